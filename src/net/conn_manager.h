// SPDX-License-Identifier: Apache-2.0
// Keeps the number of connected peers between two marks, and the right ones among them: dials known peers below the low mark,
// lets the least worth go beyond the high one, comes back to those that were lost and are worth it, pings those that have been
// silent, closes spare connections. Not for: the hard limits (admission.h), finding peers (mdns.h, bootstrap.h).
//
// Layer: net.  Thread: loop thread only.
#pragma once

#include <stdint.h>

#include "base/attr.h"
#include "base/err.h"
#include "crypto/peer_id.h"
#include "net/conn_plan.h"
#include "net/host.h"

typedef struct pg_conn_manager pg_conn_manager;

/** Begin. Parks: no. Errors: PG_ERR_LIMIT (listeners of the host), PG_ERR_NOMEM. */
PG_NODISCARD pg_err pg_conn_manager_new(pg_host *host, const pg_conn_marks *marks,
                                        pg_conn_manager **out_manager);

/** Change the marks. */
void pg_conn_manager_set_marks(pg_conn_manager *manager, const pg_conn_marks *marks);

/** Be connected with a peer from now on: dial it, whatever the marks say, and again after each loss. Nests.
 *  Errors: PG_ERR_LIMIT (the book is full of peers in use), PG_ERR_NOMEM. */
PG_NODISCARD pg_err pg_conn_manager_want(pg_conn_manager *manager, const pg_peer_id *peer);

/** Undo one pg_conn_manager_want; the connection stays as long as it is worth it. */
void pg_conn_manager_unwant(pg_conn_manager *manager, const pg_peer_id *peer);

/** Tell of a peer whose addresses are in the book: it is dialed once, when there is room for it. Beyond PG_NET_MANAGER_FOUND_MAX that
 *  wait it is forgotten. */
void pg_conn_manager_suggest(pg_conn_manager *manager, const pg_peer_id *peer);

/** Tell how useful a connected peer is to the services, 0..PG_NET_USEFULNESS_MAX. Must not park. */
typedef uint32_t (*pg_conn_judge)(const pg_peer_id *peer, void *user);

/** Ask about peers from now on; NULL: nobody. */
void pg_conn_manager_set_judge(pg_conn_manager *manager, pg_conn_judge judge, void *user);

/** What it does and did. */
typedef struct pg_conn_manager_stats {
    size_t connected; // peers
    size_t wanted;    // peers that must be connected
    size_t found;     // waiting for room
    size_t lost;      // being tried again
    size_t dialing;
    uint64_t dials[PG_DIAL_REASON_COUNT];
    uint64_t dials_failed;
    uint64_t trimmed; // peers let go
    uint64_t spares;  // second connections closed
    uint64_t pings;
    uint64_t pings_failed;
    uint64_t network_looks; // at the interfaces of the machine
} pg_conn_manager_stats;

/** Return the counters. */
pg_conn_manager_stats pg_conn_manager_get_stats(const pg_conn_manager *manager);

/** Stop, free, and set *manager to NULL; connections stay. NULL is fine. Parks: yes, briefly. */
void pg_conn_manager_free(pg_conn_manager **manager);
