// SPDX-License-Identifier: Apache-2.0
// The routing table: peers in buckets by the number of bits they share with us, at most PG_DHT_K a bucket. Who is in and
// answers stays: a newcomer to a full bucket waits among the spares until somebody fails. So a flood of new identities
// drives nobody out. Peers of one subnet get a few places. Pure: time is an argument.
//
// Layer: dht.  Thread: loop thread only.  Spec: libp2p kad-dht, "Routing table"; Maymounkov and Mazières, Kademlia, 2.2
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/err.h"
#include "base/list.h"
#include "crypto/peer_id.h"
#include "dht/key.h"
#include "dht/limits.h"
#include "dht/reach.h"
#include "runtime/time.h"

/** A peer in the table. */
typedef struct pg_dht_contact {
    pg_list node;
    pg_peer_id id;
    pg_dht_key key;
    pg_dht_group group;
    pg_time heard_at;  // it answered, or told us something
    uint32_t failures; // in a row
} pg_dht_contact;

typedef struct pg_dht_bucket {
    pg_list contacts; // least recently heard of first
    pg_list spares;   // the same
    uint32_t count;
    uint32_t spare_count;
    pg_time refreshed_at; // a lookup went into its range
} pg_dht_bucket;

/** Hears of peers that come in and go out. Must not change the table. Returns false to refuse one that comes in. */
typedef bool (*pg_dht_table_listener)(const pg_peer_id *peer, bool is_in, void *user);

/** The table. Own in place, end with pg_dht_table_deinit. */
typedef struct pg_dht_table {
    pg_dht_key self;
    pg_dht_bucket buckets[PG_DHT_BUCKETS];
    size_t count;
    uint64_t refused; // places that a subnet did not get
    pg_dht_table_listener listener;
    void *user;
} pg_dht_table;

/** Make an empty table around our own point. `listener` may be NULL. */
void pg_dht_table_init(pg_dht_table *table, const pg_dht_key *self, pg_dht_table_listener listener,
                       void *user);

typedef enum pg_dht_offer {
    PG_DHT_OFFER_ADDED,
    PG_DHT_OFFER_KNOWN,   // was in; counts as heard of
    PG_DHT_OFFER_SPARE,   // waits for a place
    PG_DHT_OFFER_REFUSED, // ourselves, its subnet has its share, or the listener refused
    PG_DHT_OFFER_NOMEM,
} pg_dht_offer;

/** Offer a peer that serves the DHT and was heard of at `now`; `group` is the subnet it is really connected through. */
pg_dht_offer pg_dht_table_offer(pg_dht_table *table, const pg_peer_id *peer, pg_dht_group group,
                                pg_time now);

/** Note that a peer answered. Unknown peers are ignored. */
void pg_dht_table_answered(pg_dht_table *table, const pg_peer_id *peer, pg_time now);

/** Note that a peer did not answer. The PG_DHT_FAILURES_MAX-th time in a row it goes, and a spare takes its place. */
void pg_dht_table_failed(pg_dht_table *table, const pg_peer_id *peer);

/** Take a peer out: it does not serve the DHT any more. */
void pg_dht_table_remove(pg_dht_table *table, const pg_peer_id *peer);

/** Return true when the peer is in the table. */
bool pg_dht_table_has(const pg_dht_table *table, const pg_peer_id *peer);

/** Give the peers nearest to a point, nearest first.
 *  healthy_only   leave out those that failed last time
 *  out_contacts   out_contacts[max], borrowed until the table changes; max at most PG_DHT_LOOKUP_WIDE_MAX
 *  Returns how many. */
size_t pg_dht_table_nearest(const pg_dht_table *table, const pg_dht_key *target, bool healthy_only,
                            const pg_dht_contact **out_contacts, size_t max);

/** Give up to `max` peers that were not heard of since `since`, the most stale of each bucket first. Returns how many. */
size_t pg_dht_table_stale(const pg_dht_table *table, pg_time since, pg_peer_id *out_peers,
                          size_t max);

/** Note that a lookup for `target` went through the network at `now`. */
void pg_dht_table_refreshed(pg_dht_table *table, const pg_dht_key *target, pg_time now);

/** Return the first bucket that no lookup went into since `since`, from `from` on, among those up to the last one that holds
 *  anybody; PG_DHT_BUCKETS when there is none. */
unsigned pg_dht_table_unrefreshed(const pg_dht_table *table, unsigned from, pg_time since);

/** Call `each` for every peer, nearest buckets last. It must not change the table. */
void pg_dht_table_each(const pg_dht_table *table,
                       void (*each)(const pg_dht_contact *contact, unsigned bucket, void *user),
                       void *user);

/** Forget everybody (the listener hears of it) and free. */
void pg_dht_table_deinit(pg_dht_table *table);
