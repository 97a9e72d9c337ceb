// SPDX-License-Identifier: Apache-2.0
#include "dht/providers.h"

#include <string.h>

#include "base/mem.h"
#include "codec/frame.h"

/** A key that somebody provides. */
struct pg_dht_provider_key {
    pg_list providers; // oldest announcement first
    size_t count;
    pg_list rank_node;
    unsigned rank;
    size_t len;
    uint8_t bytes[PG_DHT_PROVIDER_KEY_BYTES_MAX];
};

static pg_bytes key_bytes(const pg_dht_provider_key *key)
{
    return pg_bytes_make(key->bytes, key->len);
}

static pg_dht_provider *of_key(pg_list *node)
{
    return PG_LIST_OBJECT(node, pg_dht_provider, of_key);
}

void pg_dht_providers_init(pg_dht_providers *providers, const pg_dht_key *self, int64_t ttl_ns)
{
    *providers = (pg_dht_providers){.self = *self,
                                    .ttl_ns = ttl_ns,
                                    .count_max = PG_DHT_PROVIDERS_MAX,
                                    .peers_max = PG_DHT_PROVIDER_PEERS_MAX};
    pg_list_init(&providers->age);
    for (size_t i = 0; i < PG_DHT_RANKS; i++) {
        pg_list_init(&providers->ranks[i]);
    }
}

// ---- going ----

static void key_drop_if_empty(pg_dht_providers *providers, pg_dht_provider_key *key)
{
    if (key->count == 0) {
        (void) pg_map_take(&providers->keys, key_bytes(key));
        pg_list_remove(&key->rank_node);
        pg_mfree(key);
    }
}

static void peer_drop_if_idle(pg_dht_providers *providers, pg_dht_provider_peer *peer)
{
    if (peer->entries == 0) {
        (void) pg_map_take(&providers->peers, pg_peer_id_bytes(&peer->id));
        pg_buf_deinit(&peer->addrs);
        pg_mfree(peer);
    }
}

static void provider_remove(pg_dht_providers *providers, pg_dht_provider *provider)
{
    if (providers->listener.on_gone != NULL) {
        providers->listener.on_gone(key_bytes(provider->key), provider, providers->listener.user);
    }
    pg_list_remove(&provider->of_key);
    pg_list_remove(&provider->age);
    provider->key->count--;
    provider->peer->entries--;
    providers->count--;
    key_drop_if_empty(providers, provider->key);
    peer_drop_if_idle(providers, provider->peer);
    pg_mfree(provider);
}

// One entry too many: one of a key farther than `rank` goes.
static pg_err room_make(pg_dht_providers *providers, unsigned rank)
{
    unsigned farthest = 0;
    if (providers->count <= providers->count_max) {
        return PG_OK;
    }
    while (farthest < rank && pg_list_is_empty(&providers->ranks[farthest])) {
        farthest++;
    }
    if (farthest == rank) {
        return pg_fail(PG_ERR_FULL, "the store of providers is full of nearer keys");
    }
    pg_dht_provider_key *key =
        PG_LIST_OBJECT(providers->ranks[farthest].next, pg_dht_provider_key, rank_node);
    provider_remove(providers, of_key(key->providers.next));
    providers->evicted++;
    return PG_OK;
}

size_t pg_dht_providers_expire(pg_dht_providers *providers, pg_time now, size_t max)
{
    size_t count = 0;
    while (count < max && !pg_list_is_empty(&providers->age)) {
        pg_dht_provider *oldest = PG_LIST_OBJECT(providers->age.next, pg_dht_provider, age);
        if (oldest->expires_at > now) {
            break;
        }
        provider_remove(providers, oldest);
        count++;
    }
    return count;
}

// ---- coming ----

static pg_err peer_get(pg_dht_providers *providers, const pg_dht_source *source,
                       pg_dht_provider_peer **out_peer)
{
    pg_bytes id = pg_peer_id_bytes(&source->peer);
    pg_dht_provider_peer *peer = pg_map_get(&providers->peers, id);
    if (peer == NULL) {
        if (pg_map_count(&providers->peers) >= providers->peers_max) {
            return pg_fail(PG_ERR_FULL, "the addresses of %zu providers are kept already",
                           providers->peers_max);
        }
        peer = PG_NEW(pg_dht_provider_peer);
        if (peer == NULL) {
            return PG_ERR_NOMEM;
        }
        peer->id = source->peer;
        pg_err err = pg_map_add(&providers->peers, id, peer);
        if (err != PG_OK) {
            pg_mfree(peer);
            return err;
        }
    }
    *out_peer = peer;
    return PG_OK;
}

static pg_err key_get(pg_dht_providers *providers, pg_bytes bytes, pg_dht_provider_key **out_key)
{
    pg_dht_provider_key *key = pg_map_get(&providers->keys, bytes);
    if (key == NULL) {
        key = PG_NEW(pg_dht_provider_key);
        if (key == NULL) {
            return PG_ERR_NOMEM;
        }
        pg_list_init(&key->providers);
        key->len = bytes.len;
        memcpy(key->bytes, bytes.ptr, bytes.len);
        pg_err err = pg_map_add(&providers->keys, bytes, key);
        if (err != PG_OK) {
            pg_mfree(key);
            return err;
        }
        pg_dht_key point = pg_dht_key_of(bytes);
        unsigned prefix = pg_dht_key_prefix(&providers->self, &point);
        key->rank = prefix < PG_DHT_RANKS ? prefix : PG_DHT_RANKS - 1;
        pg_list_append(&providers->ranks[key->rank], &key->rank_node);
    }
    *out_key = key;
    return PG_OK;
}

static pg_dht_provider *provider_find(pg_dht_provider_key *key, const pg_dht_provider_peer *peer)
{
    for (pg_list *node = key->providers.next; node != &key->providers; node = node->next) {
        if (of_key(node)->peer == peer) {
            return of_key(node);
        }
    }
    return NULL;
}

static size_t group_count(pg_dht_provider_key *key, pg_dht_group group)
{
    size_t count = 0;
    for (pg_list *node = key->providers.next; node != &key->providers; node = node->next) {
        count += of_key(node)->peer->group == group ? 1U : 0U;
    }
    return count;
}

static pg_err shares_check(pg_dht_provider_key *key, const pg_dht_provider_peer *peer,
                           pg_dht_group group)
{
    if (peer->entries >= PG_DHT_PEER_PROVIDERS_MAX) {
        return pg_fail(PG_ERR_LIMIT, "the peer provides %u keys here, its share", peer->entries);
    }
    if (group != 0 && group_count(key, group) >= PG_DHT_KEY_GROUP_PROVIDERS_MAX) {
        return pg_fail(PG_ERR_LIMIT, "%d providers of this key are in the peer's subnet already",
                       PG_DHT_KEY_GROUP_PROVIDERS_MAX);
    }
    return PG_OK;
}

// A new entry, in no list yet. It is counted before room is made for it, so that key and peer stay meanwhile.
static pg_err provider_make(pg_dht_providers *providers, pg_dht_provider_key *key,
                            pg_dht_provider_peer *peer, pg_dht_provider **out_provider)
{
    pg_dht_provider *provider = PG_NEW(pg_dht_provider);
    if (provider == NULL) {
        return PG_ERR_NOMEM;
    }
    *provider = (pg_dht_provider){.peer = peer, .key = key};
    key->count++;
    peer->entries++;
    providers->count++;
    if (key->count > PG_DHT_KEY_PROVIDERS_MAX) {
        provider_remove(providers, of_key(key->providers.next));
    }
    pg_err err = room_make(providers, key->rank);
    if (err != PG_OK) {
        key->count--;
        peer->entries--;
        providers->count--;
        pg_mfree(provider);
        return err;
    }
    *out_provider = provider;
    return PG_OK;
}

static pg_err provider_get(pg_dht_providers *providers, pg_dht_provider_key *key,
                           pg_dht_provider_peer *peer, pg_dht_group group,
                           pg_dht_provider **out_provider)
{
    pg_dht_provider *known = provider_find(key, peer);
    if (known != NULL) {
        pg_list_remove(&known->of_key);
        pg_list_remove(&known->age);
        *out_provider = known;
        return PG_OK;
    }
    PG_TRY(shares_check(key, peer, group));
    return provider_make(providers, key, peer, out_provider);
}

// Keep the order of expiry: nearly always the new one is the last.
static void age_insert(pg_dht_providers *providers, pg_dht_provider *provider)
{
    pg_list *before = providers->age.prev;
    while (before != &providers->age &&
           PG_LIST_OBJECT(before, pg_dht_provider, age)->expires_at > provider->expires_at) {
        before = before->prev;
    }
    pg_list_append(before->next, &provider->age);
}

static void addrs_set(pg_dht_provider_peer *peer, const pg_multiaddr *addrs, size_t count)
{
    pg_buf_clear(&peer->addrs);
    for (size_t i = 0; i < count && i < PG_DHT_ADDRS_MAX; i++) {
        if (pg_frame_append(&peer->addrs, pg_multiaddr_bytes(&addrs[i])) != PG_OK) {
            return; // no memory: those that are there will do
        }
    }
}

static pg_err provider_put(pg_dht_providers *providers, pg_bytes key, const pg_dht_source *source,
                           pg_time expires_at, pg_dht_provider **out_provider)
{
    pg_dht_provider_peer *peer = NULL;
    pg_dht_provider_key *entry = NULL;
    pg_err err = peer_get(providers, source, &peer);
    if (err == PG_OK) {
        err = key_get(providers, key, &entry);
    }
    if (err == PG_OK) {
        err = provider_get(providers, entry, peer, source->group, out_provider);
    }
    if (err != PG_OK) {
        providers->refused += err == PG_ERR_LIMIT || err == PG_ERR_FULL ? 1U : 0U;
        if (entry != NULL) {
            key_drop_if_empty(providers, entry);
        }
        if (peer != NULL) {
            peer_drop_if_idle(providers, peer);
        }
        return err;
    }
    peer->group = source->group;
    (*out_provider)->expires_at = expires_at;
    pg_list_append(&entry->providers, &(*out_provider)->of_key);
    age_insert(providers, *out_provider);
    return PG_OK;
}

pg_err pg_dht_providers_add(pg_dht_providers *providers, pg_bytes key, const pg_dht_source *source,
                            const pg_multiaddr *addrs, size_t addr_count, pg_time now)
{
    pg_dht_provider *provider = NULL;
    PG_TRY(provider_put(providers, key, source, now + providers->ttl_ns, &provider));
    addrs_set(provider->peer, addrs, addr_count);
    if (providers->listener.on_put != NULL) {
        providers->listener.on_put(key, provider, providers->listener.user);
    }
    return PG_OK;
}

pg_err pg_dht_providers_restore(pg_dht_providers *providers, pg_bytes key,
                                const pg_dht_provider *provider)
{
    pg_dht_provider *made = NULL;
    const pg_dht_source source = {provider->peer->id, provider->peer->group};
    PG_TRY(provider_put(providers, key, &source, provider->expires_at, &made));
    made->is_written = provider->is_written;
    pg_buf_clear(&made->peer->addrs);
    return pg_buf_append(&made->peer->addrs, pg_buf_bytes(&provider->peer->addrs));
}

// ---- reading ----

pg_dht_provider *pg_dht_providers_find(const pg_dht_providers *providers, pg_bytes key,
                                       const pg_peer_id *peer)
{
    const pg_dht_provider_peer *known = pg_map_get(&providers->peers, pg_peer_id_bytes(peer));
    pg_dht_provider_key *entry = pg_map_get(&providers->keys, key);
    return known == NULL || entry == NULL ? NULL : provider_find(entry, known);
}

size_t pg_dht_providers_get(const pg_dht_providers *providers, pg_bytes key, pg_time now,
                            const pg_dht_provider **out_providers, size_t max)
{
    size_t count = 0;
    pg_dht_provider_key *entry = pg_map_get(&providers->keys, key);
    if (entry == NULL) {
        return 0;
    }
    for (pg_list *node = entry->providers.prev; node != &entry->providers && count < max;
         node = node->prev) {
        const pg_dht_provider *provider = of_key(node);
        if (provider->expires_at > now) {
            out_providers[count] = provider;
            count++;
        }
    }
    return count;
}

size_t pg_dht_provider_addrs(const pg_dht_provider *provider, pg_bytes out_addrs[PG_DHT_ADDRS_MAX])
{
    size_t count = 0;
    pg_bytes rest = pg_buf_bytes(&provider->peer->addrs);
    while (rest.len > 0 && count < PG_DHT_ADDRS_MAX) {
        size_t len = 0;
        if (pg_frame_decode(rest, PG_MULTIADDR_BYTES_MAX, &out_addrs[count], &len) != PG_OK) {
            break;
        }
        rest = pg_bytes_slice(rest, len, rest.len);
        count++;
    }
    return count;
}

void pg_dht_providers_deinit(pg_dht_providers *providers)
{
    providers->listener = (pg_dht_providers_listener){0};
    while (!pg_list_is_empty(&providers->age)) {
        provider_remove(providers, PG_LIST_OBJECT(providers->age.next, pg_dht_provider, age));
    }
    pg_map_deinit(&providers->keys);
    pg_map_deinit(&providers->peers);
}
