// SPDX-License-Identifier: Apache-2.0
#include "dht/key.h"

#include <string.h>

#include "codec/multihash.h"
#include "crypto/hash.h"

_Static_assert(PG_DHT_KEY_BYTES == PG_HASH_BYTES, "a point is a SHA-256 digest");

pg_dht_key pg_dht_key_of(pg_bytes name)
{
    pg_dht_key key;
    pg_sha256(name, key.bytes);
    return key;
}

pg_dht_key pg_dht_key_of_peer(const pg_peer_id *peer)
{
    return pg_dht_key_of(pg_peer_id_bytes(peer));
}

int pg_dht_key_compare(const pg_dht_key *target, const pg_dht_key *a, const pg_dht_key *b)
{
    for (size_t i = 0; i < PG_DHT_KEY_BYTES; i++) {
        int from_a = a->bytes[i] ^ target->bytes[i];
        int from_b = b->bytes[i] ^ target->bytes[i];
        if (from_a != from_b) {
            return from_a - from_b;
        }
    }
    return 0;
}

unsigned pg_dht_key_prefix(const pg_dht_key *a, const pg_dht_key *b)
{
    for (unsigned i = 0; i < PG_DHT_KEY_BYTES; i++) {
        unsigned differs = (unsigned) a->bytes[i] ^ b->bytes[i];
        if (differs != 0) {
            return 8 * i + (unsigned) __builtin_clz(differs) - 24;
        }
    }
    return PG_DHT_KEY_BITS;
}

uint64_t pg_dht_key_distance(const pg_dht_key *a, const pg_dht_key *b)
{
    uint64_t distance = 0;
    for (size_t i = 0; i < sizeof(distance); i++) {
        distance = distance << 8 | (uint8_t) (a->bytes[i] ^ b->bytes[i]);
    }
    return distance;
}

bool pg_dht_key_find_name(const pg_dht_key *self, unsigned prefix,
                          const uint8_t seed[PG_DHT_KEY_BYTES], uint32_t tries_max,
                          pg_peer_id *out_name)
{
    pg_peer_id name = {.len = 2 + PG_DHT_KEY_BYTES,
                       .bytes = {PG_MULTIHASH_CODE_SHA2_256, PG_DHT_KEY_BYTES}};
    memcpy(name.bytes + 2, seed, PG_DHT_KEY_BYTES);
    for (uint32_t i = 0; i < tries_max; i++) {
        memcpy(name.bytes + 2, &i, sizeof(i)); // any order of bytes will do
        pg_dht_key key = pg_dht_key_of_peer(&name);
        if (pg_dht_key_prefix(self, &key) == prefix) {
            *out_name = name;
            return true;
        }
    }
    return false;
}
