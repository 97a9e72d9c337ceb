// SPDX-License-Identifier: Apache-2.0
// What is decided on a link where peers find each other: when to ask and to answer, how much to take from whom, which addresses to
// believe and which to tell. Pure: time, chance and interfaces are arguments. Not for: sockets (mdns.h), bytes (mdns_msg.h).
//
// Layer: net.  Thread: any, one object at a time.  Spec: RFC 6762, sections 5.2, 6 and 11; libp2p discovery/mdns
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "codec/multiaddr.h"
#include "runtime/interfaces.h"
#include "runtime/time.h"

/** When to speak on one link. */
typedef struct pg_mdns_pace {
    pg_time ask_at;
    int64_t ask_wait_ns;
    pg_time answer_at;       // PG_FOREVER: nobody waits for an answer
    pg_time answer_again_at; // not before
} pg_mdns_pace;

/** Return the pace of a new link: the first question comes after a moment chosen by `random`, so that machines which start together
 *  do not ask together. */
pg_mdns_pace pg_mdns_pace_make(pg_time now, uint64_t random);

/** We asked: the next question comes after twice the wait, at most PG_NET_MDNS_ASK_MAX_MS. */
void pg_mdns_pace_asked(pg_mdns_pace *pace, pg_time now);

/** Somebody asks: an answer is due, one for all who ask until then. */
void pg_mdns_pace_question(pg_mdns_pace *pace, pg_time now, uint64_t random);

/** We answered. */
void pg_mdns_pace_answered(pg_mdns_pace *pace, pg_time now);

/** How often something happened in the present window of time. All-zero to begin. */
typedef struct pg_mdns_rate {
    pg_time window_at;
    uint32_t count;
} pg_mdns_rate;

/** Count once more; false when it has happened `max` times in the window of `window_ns`. */
bool pg_mdns_rate_take(pg_mdns_rate *rate, uint32_t max, int64_t window_ns, pg_time now);

/** The interface a message came by, among all of this machine. */
typedef struct pg_mdns_place {
    const pg_interface *interfaces; // interfaces[count]
    size_t count;
    uint32_t number;
} pg_mdns_place;

/** Return true when an address heard on a link may be that of a peer there: a private or link-local IP address within the link's own
 *  prefixes or that of the sender, or a loopback one when the sender is this machine. So nobody on one link can make us dial
 *  into another, or out into the world.
 *  from   where the message came from */
bool pg_mdns_addr_is_plausible(const pg_multiaddr *addr, const pg_endpoint *from,
                               const pg_mdns_place *place);

/** Choose from our addresses those to tell on a link: private and link-local ones that stand on it. A host that listens elsewhere only is
 *  not to be found there.
 *  out_addrs   [count]
 *  Returns how many. */
size_t pg_mdns_addrs_choose(const pg_multiaddr *ours, size_t count, const pg_mdns_place *place,
                            pg_multiaddr *out_addrs);
