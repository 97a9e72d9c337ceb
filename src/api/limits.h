// SPDX-License-Identifier: Apache-2.0
// All limits of the room on one page. Who connects is a program of this machine, not a stranger: these bound accidents.
//
// Layer: api.  Thread: any.
#pragma once

#include <stdint.h>

/** Connections to the local API at once. */
#define PG_API_CONNECTIONS_MAX 128

/** Body of a request. */
#define PG_API_BODY_BYTES_MAX 65536

/** Levels of nesting in JSON. */
#define PG_API_JSON_DEPTH_MAX 16

/** A connection on which nothing happens is closed. */
#define PG_API_IDLE_SECONDS 60

/** Rounds of one ping request, and the pause between two of them. */
#define PG_API_PING_ROUNDS_MAX 1000
#define PG_API_PING_INTERVAL_MS_MAX 60000

/** A dial, a ping, a perf asked for over the API, unless the request names less. */
#define PG_API_DIAL_TIMEOUT_MS 30000
#define PG_API_PING_TIMEOUT_MS 10000
#define PG_API_PERF_TIMEOUT_MS (10 * 60 * 1000)

/** The longest time an invitation may hold, unless it holds for ever: ten years. */
#define PG_API_INVITE_SECONDS_MAX (UINT64_C(10) * 366 * 24 * 60 * 60)

/** After a dial: for the peer to tell what it is. */
#define PG_API_IDENTIFY_MS 5000
