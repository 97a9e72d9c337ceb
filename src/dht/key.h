// SPDX-License-Identifier: Apache-2.0
// The space of the DHT: every name (a PeerId, a multihash, the key of a record) is hashed with SHA-256 to a point, and two
// points are as far apart as their XOR, read as a number.
//
// Layer: dht.  Thread: any.  Spec: libp2p kad-dht, "Kademlia keyspace", "Distance"
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"
#include "crypto/peer_id.h"

#define PG_DHT_KEY_BYTES 32
#define PG_DHT_KEY_BITS 256

/** A point. */
typedef struct pg_dht_key {
    uint8_t bytes[PG_DHT_KEY_BYTES];
} pg_dht_key;

/** Return the point of a name, as it stands in messages: for a peer the bytes of its PeerId, for a provider key the
 *  multihash, for a record its whole key. */
pg_dht_key pg_dht_key_of(pg_bytes name);

/** Return the point of a peer. */
pg_dht_key pg_dht_key_of_peer(const pg_peer_id *peer);

/** Order two points by their distance from `target`: negative when `a` is nearer, 0 when they are the same. */
int pg_dht_key_compare(const pg_dht_key *target, const pg_dht_key *a, const pg_dht_key *b);

/** Return how many leading bits two points share, 0..PG_DHT_KEY_BITS. */
unsigned pg_dht_key_prefix(const pg_dht_key *a, const pg_dht_key *b);

/** Return the distance of two points, its 64 highest bits. */
uint64_t pg_dht_key_distance(const pg_dht_key *a, const pg_dht_key *b);

/** Find a name whose point shares exactly `prefix` bits with `self`, by trying: about 2^(prefix + 1) tries are needed.
 *  seed       random bytes that the names are made from
 *  tries_max  how many to try, 0.4 us each
 *  out_name   a PeerId of nobody, as far as anybody knows
 *  Returns false when none was found. Pure. */
bool pg_dht_key_find_name(const pg_dht_key *self, unsigned prefix,
                          const uint8_t seed[PG_DHT_KEY_BYTES], uint32_t tries_max,
                          pg_peer_id *out_name);
