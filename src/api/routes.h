// SPDX-License-Identifier: Apache-2.0
// The routes of the local API, version 1: what each asks of the node and how the answer looks as JSON.
//
//      GET  /livez, /readyz      200 while the process serves, while the node does
//      GET  /api/v1/node         who this is, where it listens, what it does
//      GET  /api/v1/peers        the connections, and what is known of their peers
//      POST /api/v1/dial         {"target", "fresh"?, "timeout_ms"?}: be connected, and tell with whom
//      POST /api/v1/ping         {"target", "count"?, "interval_ms"?, "delay_ms"?, "timeout_ms"?}: round trips
//      POST /api/v1/perf         {"target", "up_bytes"?, "down_bytes"?, "timeout_ms"?}: throughput
//      POST /api/v1/invite, /join   routes_invite.h
//
// A target is a PeerId or a multiaddr, with or without "/p2p/ID".
//
// Layer: api.  Thread: loop thread only.
#pragma once

#include <stdbool.h>

#include "api/server.h"
#include "base/bytes.h"
#include "crypto/peer_id.h"
#include "crypto/secret.h"
#include "net/host.h"

/** What the routes speak for. Lives as long as the server. */
typedef struct pg_api_context {
    pg_host *host;
    const pg_peer_id *person;  // whose device this is
    const pg_key *network_key; // of the private network; NULL: none
    const char *version;       // of the program
    pg_time started_at;
    bool is_ready; // the node accepts connections and does not stop yet
} pg_api_context;

/** All routes; their user is a pg_api_context. */
extern const pg_api_route pg_api_routes[];

/** Append what scripts wait for in the ready file: one JSON object with `peer_id`, `addrs` with "/p2p/ID", and `api`, the socket's path.
 *  Errors as pg_buf_reserve. */
PG_NODISCARD pg_err pg_api_ready_write(const pg_api_context *context, const char *socket_path,
                                       pg_buf *out);
