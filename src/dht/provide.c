// SPDX-License-Identifier: Apache-2.0
// Providers and peers: told of, and found.
#include <string.h>

#include "base/map.h"
#include "base/mem.h"
#include "crypto/peer_id_text.h"
#include "dht/dht_priv.h"
#include "dht/limits.h"

static pg_err key_check(pg_bytes key)
{
    return key.len > 0 && key.len <= PG_DHT_PROVIDER_KEY_BYTES_MAX
               ? PG_OK
               : pg_fail(PG_ERR_INVALID, "a provider key has 1 to %d bytes, not %zu",
                         PG_DHT_PROVIDER_KEY_BYTES_MAX, key.len);
}

// ---- providing ----

static pg_err provide_tell(pg_dht *dht, pg_bytes key, const pg_peer_id *peers, size_t count,
                           const pg_dht_call *call, size_t *out_told)
{
    pg_bytes views[PG_DHT_ADDRS_MAX];
    size_t view_count = 0;
    pg_multiaddr *addrs = pg_calloc(PG_NET_ADVERTISED_MAX, sizeof(*addrs)); // too much for a stack
    if (addrs == NULL) {
        return PG_ERR_NOMEM;
    }
    size_t addr_count = pg_host_addrs(dht->config.host, addrs);
    for (size_t i = 0; i < addr_count && view_count < PG_DHT_ADDRS_MAX; i++) {
        if (pg_dht_is_in_realm(dht, &addrs[i])) {
            views[view_count] = pg_multiaddr_bytes(&addrs[i]);
            view_count++;
        }
    }
    const pg_dht_peer_info own = {
        .id = pg_peer_id_bytes(pg_host_id(dht->config.host)),
        .addrs = views,
        .addr_count = view_count,
    };
    const pg_dht_msg msg = {
        .type = PG_DHT_MSG_ADD_PROVIDER, .key = key, .providers = &own, .provider_count = 1};
    pg_err err =
        view_count == 0
            ? pg_fail(PG_ERR_UNREACHABLE, "this node has no address that the %s DHT could tell",
                      pg_dht_realm_name(dht->config.realm))
            : pg_dht_spread(dht, peers, count, &msg, pg_dht_call_deadline(call), out_told);
    pg_mfree(addrs);
    return err;
}

pg_err pg_dht_provide(pg_dht *dht, pg_bytes key, const pg_dht_call *call, size_t *out_told)
{
    pg_peer_id peers[PG_DHT_LOOKUP_WIDE_MAX];
    size_t count = 0;
    size_t told = 0;
    PG_TRY(key_check(key));
    if (call != NULL && call->keeps) {
        PG_TRY(pg_dht_publish_again(dht, key, PG_BYTES_EMPTY, true));
    }
    pg_err err = pg_dht_nearest(dht, key, call, peers, &count);
    if (err == PG_OK) {
        err = provide_tell(dht, key, peers, count, call, &told);
    }
    if (err == PG_OK && told == 0) {
        err = pg_fail(PG_ERR_UNREACHABLE, "none of %zu peers took the announcement", count);
    }
    if (err != PG_OK) {
        pg_dht_publish_soon(dht, key);
        return err;
    }
    if (out_told != NULL) {
        *out_told = told;
    }
    return PG_OK;
}

// ---- finding providers ----

/** A lookup of providers. */
typedef struct provider_search {
    pg_dht_on_provider on_provider;
    void *user;
    pg_map known; // PeerId -> anything
} provider_search;

// Returns true when the peer was not known yet.
static bool search_add(provider_search *self, const pg_dht *dht, const pg_peer_id *peer,
                       bool *out_enough)
{
    if (pg_map_add(&self->known, pg_peer_id_bytes(peer), self) != PG_OK) {
        return false;
    }
    const pg_dht_found found = {.peer = peer, .realm = dht->config.realm};
    *out_enough = !self->on_provider(&found, self->user);
    return true;
}

static bool on_providers_reply(pg_dht_query *query, pg_dht_candidate_id from, const pg_dht_msg *msg,
                               bool *out_enough)
{
    provider_search *self = query->config.user;
    pg_dht *dht = query->dht;
    bool has_found = false;
    (void) from;
    for (size_t i = 0; i < msg->provider_count && i < PG_DHT_TOLD_PROVIDERS_MAX && !*out_enough;
         i++) {
        pg_peer_id peer;
        bool has_news = false;
        if (pg_peer_id_decode(msg->providers[i].id, &peer) != PG_OK ||
            pg_peer_id_equal(&peer, pg_host_id(dht->config.host))) {
            continue;
        }
        (void) pg_dht_addrs_learn(dht, &msg->providers[i], &peer, query->reply_scope, &has_news);
        (void) search_add(self, dht, &peer, out_enough);
        has_found = true;
    }
    return has_found;
}

// What was announced to ourselves.
static bool own_search(provider_search *self, pg_dht *dht, pg_bytes key)
{
    const pg_dht_provider *found[PG_DHT_KEY_PROVIDERS_MAX];
    bool enough = false;
    size_t count =
        pg_dht_providers_get(&dht->providers, key, pg_now(), found, PG_DHT_KEY_PROVIDERS_MAX);
    for (size_t i = 0; i < count && !enough; i++) {
        pg_bytes addrs[PG_DHT_ADDRS_MAX];
        const pg_dht_peer_info info = {.addrs = addrs,
                                       .addr_count = pg_dht_provider_addrs(found[i], addrs)};
        bool has_news = false;
        (void) pg_dht_addrs_learn(dht, &info, &found[i]->peer->id, PG_IP_SCOPE_LOOPBACK, &has_news);
        (void) search_add(self, dht, &found[i]->peer->id, &enough);
    }
    return enough;
}

pg_err pg_dht_find_providers(pg_dht *dht, pg_bytes key, const pg_dht_call *call,
                             pg_dht_on_provider on_provider, void *user)
{
    pg_dht_query query;
    provider_search search = {.on_provider = on_provider, .user = user};
    const pg_dht_query_config config = {
        .type = PG_DHT_MSG_GET_PROVIDERS,
        .name = key,
        .call = call,
        .is_wide = true,
        .on_reply = on_providers_reply,
        .user = &search,
    };
    PG_TRY(key_check(key));
    pg_err err = PG_OK;
    if (!own_search(&search, dht, key)) {
        err = pg_dht_query_init(&query, dht, &config);
        if (err == PG_OK) {
            err = pg_dht_query_run(&query);
            pg_dht_query_deinit(&query);
        }
    }
    pg_map_deinit(&search.known);
    return err;
}

// ---- finding a peer ----

static bool book_tell(const pg_dht *dht, const pg_peer_id *peer, pg_multiaddr *out_addrs,
                      size_t *out_count)
{
    const pg_book_peer *known = pg_peer_book_get(pg_host_book(dht->config.host), peer);
    if (known == NULL || !pg_host_is_connected(dht->config.host, peer)) {
        return false;
    }
    for (size_t i = 0; i < known->addr_count; i++) {
        out_addrs[i] = known->addrs[i].addr;
    }
    *out_count = known->addr_count;
    return true;
}

pg_err pg_dht_find_peer(pg_dht *dht, const pg_peer_id *peer, const pg_dht_call *call,
                        pg_multiaddr *out_addrs, size_t *out_count)
{
    pg_dht_query query;
    const pg_dht_query_config config = {
        .type = PG_DHT_MSG_FIND_NODE,
        .name = pg_peer_id_bytes(peer),
        .call = call,
        .wanted = peer,
    };
    if (pg_peer_id_equal(peer, pg_host_id(dht->config.host))) {
        return pg_fail(PG_ERR_INVALID, "that is this node itself");
    }
    if (book_tell(dht, peer, out_addrs, out_count)) {
        return PG_OK;
    }
    PG_TRY(pg_dht_query_init(&query, dht, &config));
    pg_err err = pg_dht_query_run(&query);
    pg_dht_query_deinit(&query);
    if (book_tell(dht, peer, out_addrs, out_count)) {
        return PG_OK;
    }
    char text[PG_PEER_ID_TEXT_BYTES];
    pg_peer_id_format(peer, text);
    return err != PG_OK ? err : pg_fail(PG_ERR_NOT_FOUND, "nobody asked could lead to %s", text);
}
