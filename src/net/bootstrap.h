// SPDX-License-Identifier: Apache-2.0
// A list of peers to begin with: used when few are connected, in rotation among those that are healthy, with growing waits for
// those that are not. Their health is looked at now and then by a dial and a ping, so that the list can be relied on when it is
// needed. Not for: peers that must stay connected (conn_manager.h).
//
// Layer: net.  Thread: loop thread only.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/err.h"
#include "codec/multiaddr.h"
#include "crypto/peer_id.h"
#include "net/backoff.h"
#include "net/host.h"
#include "net/limits.h"
#include "runtime/time.h"

/** What is known of the health of a peer. */
typedef enum pg_bootstrap_health {
    PG_BOOTSTRAP_HEALTH_GOOD,
    PG_BOOTSTRAP_HEALTH_UNKNOWN,
    PG_BOOTSTRAP_HEALTH_BAD,
} pg_bootstrap_health;

/** One peer of the list. */
typedef struct pg_bootstrap_peer {
    pg_peer_id peer;
    pg_multiaddr addrs[PG_NET_BOOTSTRAP_ADDRS_MAX]; // without "/p2p/ID"
    size_t addr_count;
    pg_bootstrap_health health;
    bool is_connected;
    uint64_t
        draw; // at random: orders those that are equal, so that not everybody begins with the first
    pg_time used_at;    // when it was last dialed because it was needed; 0 = never
    pg_time checked_at; // 0 = never
    int64_t rtt_ns;     // of the last ping
    pg_backoff backoff; // of looks at a bad one
} pg_bootstrap_peer;

/** Choose the peer to look at now. When the list is needed: of those not connected the good one not used for longest, else an unknown one, else
 *  a bad one that is due. When it is not: the one whose health is oldest, if that is old enough. Pure.
 *  out_due_at   when none is to be looked at now: when the first will be; PG_FOREVER when none will
 *  Returns its place in `peers`, `count` for none. */
size_t pg_bootstrap_choose(const pg_bootstrap_peer *peers, size_t count, bool is_needed,
                           pg_time now, pg_time *out_due_at);

/** Note how a look ended; `random` spreads the waits. Pure. Returns true when the health has changed. */
bool pg_bootstrap_note(pg_bootstrap_peer *peer, bool is_good, int64_t rtt_ns, pg_time now,
                       uint64_t random);

typedef struct pg_bootstrap pg_bootstrap;

/** Begin with a list of addresses, each with "/p2p/ID" at its end; several may be of one peer. Parks: no.
 *  addrs   [count], copied
 *  Errors: PG_ERR_INVALID (one without a peer), PG_ERR_LIMIT (too many, listeners of the host), PG_ERR_NOMEM */
PG_NODISCARD pg_err pg_bootstrap_new(pg_host *host, const pg_multiaddr *addrs, size_t count,
                                     pg_bootstrap **out_bootstrap);

/** View the list with its health. Borrowed until the next wait. */
const pg_bootstrap_peer *pg_bootstrap_peers(const pg_bootstrap *bootstrap, size_t *out_count);

/** Stop, free, and set *bootstrap to NULL; connections stay. NULL is fine. Parks: yes, briefly. */
void pg_bootstrap_free(pg_bootstrap **bootstrap);
