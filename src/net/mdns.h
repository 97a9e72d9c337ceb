// SPDX-License-Identifier: Apache-2.0
// Finds peers on the links of this machine by multicast DNS, and lets them find this one: asks and answers on 224.0.0.251 and
// ff02::fb, port 5353, of every interface that has multicast. What is heard goes to the host's book as hearsay, which the
// handshake of a dial proves or not. Only what was sent to the groups is heard, and they are not routed. Not for: public networks.
//
// Layer: net.  Thread: loop thread only.  Spec: libp2p discovery/mdns; RFC 6762
#pragma once

#include <stdint.h>

#include "base/attr.h"
#include "base/err.h"
#include "crypto/peer_id.h"
#include "net/host.h"

typedef struct pg_mdns pg_mdns;

/** Hears of each peer that answers, new or known, once its addresses are in the book. Must not park. */
typedef void (*pg_mdns_listener)(const pg_peer_id *peer, void *user);

/** Begin. The peer's name on the links is drawn anew for each.
 *  listener   may be NULL
 *  Errors: PG_ERR_NOMEM. Parks: no. A link that cannot be listened on is tried again later. */
PG_NODISCARD pg_err pg_mdns_new(pg_host *host, pg_mdns_listener listener, void *user,
                                pg_mdns **out_mdns);

/** What happened so far. */
typedef struct pg_mdns_stats {
    uint32_t links; // now
    uint64_t questions_sent;
    uint64_t answers_sent;
    uint64_t messages;         // looked at
    uint64_t messages_bad;     // of these, not understood
    uint64_t addrs_taken;      // with those known before
    uint64_t addrs_refused;    // not of the link
    uint64_t peers_refused;    // too many new ones in a minute
    uint64_t messages_skipped; // too many in a second: not looked at
} pg_mdns_stats;

/** Return the counters. */
pg_mdns_stats pg_mdns_get_stats(const pg_mdns *mdns);

/** Stop, free, and set *mdns to NULL. NULL is fine. Parks: yes, briefly. */
void pg_mdns_free(pg_mdns **mdns);
