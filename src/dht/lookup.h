// SPDX-License-Identifier: Apache-2.0
// One iterative lookup as a state machine: whom to ask next on the way to the peers nearest to a point, what the answers
// change, and when it is over. It knows no network and no clock.
//
//      HEARD --next()--> ASKED --answered()--> ANSWERED
//                          |----failed()----> FAILED        a slow one stays ASKED, but another is asked beside it
//
// What it withstands: the dead (slow requests do not hold it up), liars (a peer that tells of several who do not answer is
// no longer believed), crowds in one subnet (a few of it count among the nearest), crowds around the target (where the nearest
// stand closer together than the size of the network allows, it goes on outward).
//
// Layer: dht.  Thread: any, one object at a time.  Spec: libp2p kad-dht, "Peer routing"; docs/protocols/dht.md
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/err.h"
#include "crypto/peer_id.h"
#include "dht/key.h"
#include "dht/limits.h"
#include "dht/reach.h"
#include "runtime/time.h"

typedef enum pg_dht_candidate_state {
    PG_DHT_CANDIDATE_HEARD,
    PG_DHT_CANDIDATE_ASKED,
    PG_DHT_CANDIDATE_ANSWERED,
    PG_DHT_CANDIDATE_FAILED,
} pg_dht_candidate_state;

/** Names a candidate of one lookup, for its whole life. */
typedef uint16_t pg_dht_candidate_id;

/** Who told of a peer: nobody, it comes from our own table. */
#define PG_DHT_TELLER_SELF UINT16_MAX

/** A peer on the way. */
typedef struct pg_dht_candidate {
    pg_peer_id id;
    pg_dht_key key;
    pg_dht_candidate_state state;
    pg_dht_candidate_id teller; // who told first, or PG_DHT_TELLER_SELF
    bool is_backed;             // told by a second peer, or by our own table
    bool is_slow;
    uint16_t hop;       // 1 for those of our own table
    uint32_t told_open; // of those it told first: asked, and not slow yet
    uint32_t told_dead; // of those it told first: did not answer, or not yet and are slow
    uint32_t told_alive;
    pg_dht_group group; // of the address it answered from
    pg_time asked_at;
} pg_dht_candidate;

/** How to look up. All-zero but for `target` gives the usual. */
typedef struct pg_dht_lookup_config {
    pg_dht_key target;
    pg_dht_key self; // never a candidate
    uint64_t
        reach; // go on until peers so far from the target have answered (pg_dht_key_distance); 0 = no such wish
    uint32_t k;        // peers to find; 0 = PG_DHT_K
    uint32_t alpha;    // 0 = PG_DHT_ALPHA
    bool ignores_lies; // believe every teller; for comparison
} pg_dht_lookup_config;

/** The lookup. Own in place, end with pg_dht_lookup_deinit. */
typedef struct pg_dht_lookup {
    pg_dht_lookup_config config;
    pg_dht_candidate *candidates; // candidates[count]: places never change
    pg_dht_candidate_id *order;   // order[count]: nearest to the target first
    uint16_t count;
    uint16_t cap;
    uint32_t asked;     // in all
    uint32_t in_flight; // slow ones counted
    uint32_t slow;      // of these
    uint32_t answers;
    int64_t answer_ns; // sum over all answers
} pg_dht_lookup;

/** Begin. Nobody is known yet. */
void pg_dht_lookup_init(pg_dht_lookup *lookup, const pg_dht_lookup_config *config);

/** Hear of a peer. Known ones are not taken again; one that failed gets another chance when `retry` is set.
 *  teller   who told, PG_DHT_TELLER_SELF for our own table
 *  Returns true when it is now waiting to be asked and was not before; false also when memory is out. */
bool pg_dht_lookup_hear(pg_dht_lookup *lookup, pg_dht_candidate_id teller, const pg_peer_id *peer,
                        bool retry);

/** Choose the next peer to ask, and count it as asked at `now`. Returns false when nobody is to be asked now. */
bool pg_dht_lookup_next(pg_dht_lookup *lookup, pg_time now, pg_dht_candidate_id *out_candidate);

/** Note an answer at `now` from a peer that is asked, in subnet `group`; call pg_dht_lookup_hear for what it told. */
void pg_dht_lookup_answered(pg_dht_lookup *lookup, pg_dht_candidate_id candidate,
                            pg_dht_group group, pg_time now);

/** Note that a peer that was asked gives no answer, or one that is none. */
void pg_dht_lookup_failed(pg_dht_lookup *lookup, pg_dht_candidate_id candidate);

/** Return when the next request becomes slow, so that pg_dht_lookup_next may give one more; PG_FOREVER when none will. */
pg_time pg_dht_lookup_due(const pg_dht_lookup *lookup);

/** Return true when the nearest peers have all answered, or nobody is left to ask. */
bool pg_dht_lookup_is_done(const pg_dht_lookup *lookup);

/** Give the nearest peers that answered: k of them, or more where the lookup went on outward; at most PG_DHT_LOOKUP_WIDE_MAX.
 *  out_ids[PG_DHT_LOOKUP_WIDE_MAX]. Returns how many. */
size_t pg_dht_lookup_nearest(const pg_dht_lookup *lookup, pg_dht_candidate_id *out_ids);

/** Look at a candidate. Borrowed until the next peer is heard of. */
const pg_dht_candidate *pg_dht_lookup_get(const pg_dht_lookup *lookup,
                                          pg_dht_candidate_id candidate);

/** Return the distance of the k-th nearest peer that answered; 0 when fewer than k have. */
uint64_t pg_dht_lookup_density(const pg_dht_lookup *lookup);

/** Free. */
void pg_dht_lookup_deinit(pg_dht_lookup *lookup);
