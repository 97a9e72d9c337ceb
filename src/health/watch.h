// SPDX-License-Identifier: Apache-2.0
// The fiber that pings those we deal with, each about every five minutes, and notes what came of it. A peer counts as silent when it did
// not answer twice, with its addresses looked up anew in between; a round in which nobody at all answers says something of us, not of
// them, and is not noted.
//
// Layer: health.  Thread: loop thread only.  Spec: docs/protocols/health.md, "Pings"
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/err.h"
#include "crypto/peer_id.h"
#include "dht/pair.h"
#include "health/health.h"
#include "net/host.h"

/** How to ping. All pointers outlive the watch. */
typedef struct pg_health_watch_config {
    pg_host *host;
    const pg_dht_pair *dhts; // to look addresses up in; NULL or empty = nowhere
    int64_t interval_ns; // from one ping of a peer to the next, more or less; 0 = never by itself
    /** List those we deal with, most important first; must not park. Hosts that are connected and take shards, and barred peers, are pinged
     *  beside them where there is room.
     *  out_peers   out_peers[max]. Returns how many */
    size_t (*known)(pg_peer_id *out_peers, size_t max, void *user);
    void *user;
} pg_health_watch_config;

/** Begin. Errors: PG_ERR_NOMEM. */
PG_NODISCARD pg_err pg_health_watch(pg_health *health, const pg_health_watch_config *config);

/** Ping everybody now, once, and note it. Parks: yes. Errors: PG_ERR_INVALID (nobody watches), PG_ERR_NOMEM, PG_ERR_CANCELLED. */
PG_NODISCARD pg_err pg_health_round(pg_health *health);

/** End it; whoever was never begun is fine. Parks: yes. */
void pg_health_unwatch(pg_health *health);
