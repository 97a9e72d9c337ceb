// SPDX-License-Identifier: Apache-2.0
// Who provides what, as peers announced it to this node, in memory: bounded in all, by key, by key and subnet, and by
// provider. A full key drops the announcement that is oldest, a full store those of keys farthest from our own point. A listener may
// write the changes down, as for records.h. Pure: time is an argument.
//
// Layer: dht.  Thread: loop thread only.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/bytes.h"
#include "base/err.h"
#include "base/list.h"
#include "base/map.h"
#include "codec/multiaddr.h"
#include "crypto/peer_id.h"
#include "dht/key.h"
#include "dht/limits.h"
#include "dht/reach.h"
#include "dht/records.h"
#include "runtime/time.h"

/** A peer that provides something, with its addresses. One for all its keys. */
typedef struct pg_dht_provider_peer {
    pg_peer_id id;
    pg_dht_group group;
    pg_buf addrs;     // each with its length in front (codec/frame.h)
    uint32_t entries; // keys it provides
} pg_dht_provider_peer;

typedef struct pg_dht_provider_key pg_dht_provider_key;

/** One peer provides one key. */
typedef struct pg_dht_provider {
    pg_dht_provider_peer *peer;
    pg_dht_provider_key *key;
    pg_time expires_at;
    bool is_written; // the listener's: it may have this on disk
    pg_list of_key;  // oldest announcement first
    pg_list age;     // first to expire first
} pg_dht_provider;

/** Hears of changes. May not park, nor change the store. */
typedef struct pg_dht_providers_listener {
    void (*on_put)(pg_bytes key, pg_dht_provider *provider, void *user);
    void (*on_gone)(pg_bytes key, const pg_dht_provider *provider, void *user);
    void *user;
} pg_dht_providers_listener;

/** The store. Own in place, end with pg_dht_providers_deinit. */
typedef struct pg_dht_providers {
    pg_map keys;
    pg_map peers;
    pg_list age;
    pg_list ranks[PG_DHT_RANKS]; // of keys, the farthest from us first
    pg_dht_key self;
    int64_t ttl_ns;
    size_t count;
    size_t count_max;
    size_t peers_max;
    uint64_t refused;
    uint64_t evicted;
    pg_dht_providers_listener listener; // members may be NULL
} pg_dht_providers;

/** Make an empty store with the limits of limits.h around our own point. */
void pg_dht_providers_init(pg_dht_providers *providers, const pg_dht_key *self, int64_t ttl_ns);

/** Note that a peer provides a key, or does so still. Its addresses replace those told before.
 *  key     1..PG_DHT_PROVIDER_KEY_BYTES_MAX bytes
 *  group   subnet the peer is connected through
 *  addrs   addrs[addr_count], the first PG_DHT_ADDRS_MAX count
 *  Errors: PG_ERR_LIMIT (the provider, or its subnet under this key, has its share), PG_ERR_FULL (of nearer keys), PG_ERR_NOMEM. */
PG_NODISCARD pg_err pg_dht_providers_add(pg_dht_providers *providers, pg_bytes key,
                                         const pg_dht_source *source, const pg_multiaddr *addrs,
                                         size_t addr_count, pg_time now);

/** Put back what a listener wrote down: as it was given to on_put. Not told to the listener. Errors as pg_dht_providers_add. */
PG_NODISCARD pg_err pg_dht_providers_restore(pg_dht_providers *providers, pg_bytes key,
                                             const pg_dht_provider *provider);

/** Return the entry of one provider of a key, NULL when there is none. Borrowed until the store changes. */
pg_dht_provider *pg_dht_providers_find(const pg_dht_providers *providers, pg_bytes key,
                                       const pg_peer_id *peer);

/** Give the providers of a key, those that announced it last first.
 *  out_providers[max], borrowed until the store changes. Returns how many. */
size_t pg_dht_providers_get(const pg_dht_providers *providers, pg_bytes key, pg_time now,
                            const pg_dht_provider **out_providers, size_t max);

/** Give the addresses of a provider, binary. out_addrs[PG_DHT_ADDRS_MAX], borrowed until the store changes. Returns how many. */
size_t pg_dht_provider_addrs(const pg_dht_provider *provider, pg_bytes out_addrs[PG_DHT_ADDRS_MAX]);

/** Forget what has expired, at most `max` entries. Returns how many. */
size_t pg_dht_providers_expire(pg_dht_providers *providers, pg_time now, size_t max);

/** Free all, without telling the listener. */
void pg_dht_providers_deinit(pg_dht_providers *providers);
