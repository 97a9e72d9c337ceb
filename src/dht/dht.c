// SPDX-License-Identifier: Apache-2.0
// One DHT: its beginning and end, who comes into the table, which addresses pass, what it tells of itself.
#include "dht/dht.h"

#include <string.h>

#include "base/mem.h"
#include "dht/dht_priv.h"
#include "dht/limits.h"

// ---- addresses ----

void pg_dht_conn_where(const pg_dht *dht, pg_id conn, pg_ip_scope *out_scope,
                       pg_dht_group *out_group)
{
    pg_host_conn found;
    pg_multiaddr addr;
    *out_scope = PG_IP_SCOPE_NONE;
    *out_group = 0;
    if (pg_host_conn_get(dht->config.host, conn, &found) == PG_OK &&
        pg_multiaddr_decode(found.info.remote_addr, &addr) == PG_OK) {
        *out_scope = pg_multiaddr_scope(&addr);
        *out_group = pg_dht_group_of(&addr);
    }
}

bool pg_dht_is_in_realm(const pg_dht *dht, const pg_multiaddr *addr)
{
    return pg_dht_addr_is_in(addr, dht->config.realm, dht->config.private_too);
}

size_t pg_dht_addrs_of(const pg_dht *dht, const pg_peer_id *peer, pg_ip_scope asker,
                       pg_bytes out_addrs[PG_DHT_ADDRS_MAX])
{
    size_t count = 0;
    pg_time now = pg_now();
    const pg_book_peer *known = pg_peer_book_get(pg_host_book(dht->config.host), peer);
    for (int source = 0; known != NULL && source < PG_BOOK_SOURCE_HEARSAY; source++) {
        for (size_t i = 0; i < known->addr_count && count < PG_DHT_ADDRS_MAX; i++) {
            const pg_book_addr *each = &known->addrs[i];
            if ((int) each->source == source && each->expires_at > now &&
                pg_dht_is_in_realm(dht, &each->addr) && pg_dht_addr_may_pass(&each->addr, asker)) {
                out_addrs[count] = pg_multiaddr_bytes(&each->addr);
                count++;
            }
        }
    }
    return count;
}

static void addr_learn(pg_dht *dht, pg_bytes binary, const pg_peer_id *peer, pg_ip_scope from)
{
    pg_multiaddr addr;
    if (pg_multiaddr_decode(binary, &addr) == PG_OK && pg_dht_is_in_realm(dht, &addr) &&
        pg_dht_addr_may_pass(&addr, from)) {
        pg_ignore(pg_host_learn(dht->config.host, peer, &addr, PG_BOOK_SOURCE_HEARSAY,
                                PG_MS(PG_DHT_HEARSAY_TTL_MS)),
                  "an address of another peer, or no room: then without it");
    }
}

bool pg_dht_addrs_learn(pg_dht *dht, const pg_dht_peer_info *info, const pg_peer_id *peer,
                        pg_ip_scope from, bool *out_news)
{
    pg_host *host = dht->config.host;
    const pg_book_peer *known = pg_peer_book_get(pg_host_book(host), peer);
    size_t before = known == NULL ? 0 : known->addr_count;
    for (size_t i = 0; i < info->addr_count && i < PG_DHT_ADDRS_MAX; i++) {
        addr_learn(dht, info->addrs[i], peer, from);
    }
    known = pg_peer_book_get(pg_host_book(host), peer);
    size_t after = known == NULL ? 0 : known->addr_count;
    *out_news = after > before;
    return after > 0 || pg_host_is_connected(host, peer);
}

// ---- the table ----

// Peers of the table stay in the host's book, with their addresses.
static bool on_table_change(const pg_peer_id *peer, bool is_in, void *user)
{
    const pg_dht *dht = user;
    pg_book_peer *known = pg_peer_book_get(pg_host_book(dht->config.host), peer);
    if (known == NULL) {
        pg_assert(is_in); // pinned as long as it is in
        return false;
    }
    if (is_in) {
        pg_book_peer_pin(known);
    } else {
        pg_book_peer_unpin(known);
    }
    return true;
}

// In the local DHT a peer counts when it is really connected over a local address: what it says of its addresses is not enough.
static bool belongs(const pg_dht *dht, const pg_peer_id *peer, pg_ip_scope from)
{
    pg_bytes addrs[PG_DHT_ADDRS_MAX];
    bool is_local = from == PG_IP_SCOPE_LOOPBACK || from == PG_IP_SCOPE_LINK_LOCAL ||
                    from == PG_IP_SCOPE_PRIVATE;
    return (is_local || dht->config.realm != PG_DHT_REALM_LOCAL) &&
           pg_dht_addrs_of(dht, peer, from, addrs) > 0;
}

static void peer_consider(pg_dht *dht, const pg_peer_id *peer, pg_id conn)
{
    pg_ip_scope from = PG_IP_SCOPE_NONE;
    pg_dht_group group = 0;
    const pg_book_peer *known = pg_peer_book_get(pg_host_book(dht->config.host), peer);
    pg_dht_conn_where(dht, conn, &from, &group);
    if (known == NULL || !pg_book_peer_has_protocol(known, dht->config.protocol)) {
        pg_dht_table_remove(&dht->table, peer);
        return;
    }
    if (!belongs(dht, peer, from)) {
        return;
    }
    bool was_empty = dht->table.count == 0;
    pg_dht_offer offer =
        pg_dht_table_offer(&dht->table, peer, dht->config.is_trusting ? 0 : group, pg_now());
    if (was_empty && offer == PG_DHT_OFFER_ADDED && dht->config.refresh_ns > 0) {
        dht->refresh_at = pg_after(PG_MS(PG_DHT_FIRST_LOOKUP_MS));
        pg_waitq_wake_all(&dht->wake);
    }
}

// ---- server or client ----

static bool has_addr_in_realm(const pg_dht *dht)
{
    pg_multiaddr addrs[PG_NET_ADVERTISED_MAX];
    size_t count = pg_host_addrs(dht->config.host, addrs);
    for (size_t i = 0; i < count; i++) {
        if (pg_dht_is_in_realm(dht, &addrs[i])) {
            return true;
        }
    }
    return false;
}

static pg_err mode_apply(pg_dht *dht)
{
    bool wanted = dht->config.mode == PG_DHT_MODE_SERVER ||
                  (dht->config.mode == PG_DHT_MODE_AUTO && has_addr_in_realm(dht));
    if (wanted == dht->is_server) {
        return PG_OK;
    }
    if (wanted) {
        const pg_net_protocol protocol = {
            .id = dht->config.protocol,
            .handler = pg_dht_serve,
            .user = dht,
            .conn_streams_max = PG_DHT_CONN_STREAMS_MAX,
        };
        PG_TRY(pg_host_serve(dht->config.host, &protocol));
    } else {
        pg_host_unserve(dht->config.host, dht->config.protocol);
    }
    dht->is_server = wanted;
    return PG_OK;
}

pg_err pg_dht_set_mode(pg_dht *dht, pg_dht_mode mode)
{
    dht->config.mode = mode;
    return mode_apply(dht);
}

static void on_host_event(const pg_host_event *event, void *user)
{
    pg_dht *dht = user;
    switch (event->kind) {
    case PG_HOST_EVENT_IDENTIFIED:
        peer_consider(dht, event->peer, event->conn);
        break;
    case PG_HOST_EVENT_ADDRESSES:
        pg_ignore(mode_apply(dht), "the host serves too much: asked again at the next change");
        break;
    case PG_HOST_EVENT_CONNECTED:
    case PG_HOST_EVENT_DISCONNECTED:
        break;
    }
}

static void on_known_conn(const pg_host_conn *conn, void *user)
{
    if (conn->is_identified) {
        peer_consider(user, conn->info.peer, conn->id);
    }
}

// ---- beginning and end ----

pg_dht_config pg_dht_config_default(pg_host *host, pg_dht_realm realm,
                                    const pg_dht_validators *validators)
{
    bool is_local = realm == PG_DHT_REALM_LOCAL;
    return (pg_dht_config){
        .host = host,
        .protocol = is_local ? PG_DHT_ID_LOCAL : PG_DHT_ID_GLOBAL,
        .realm = realm,
        .validators = validators,
        .ttl_ns = PG_MS(is_local ? PG_DHT_LOCAL_TTL_MS : PG_DHT_GLOBAL_TTL_MS),
        .refresh_ns = PG_MS(PG_DHT_REFRESH_MS),
        .republish_ns = PG_MS(PG_DHT_REPUBLISH_MS),
        .idle_streams_max = PG_DHT_IDLE_STREAMS_MAX,
    };
}

static pg_err fibers_start(pg_dht *dht)
{
    PG_TRY(pg_scope_spawn(&dht->scope, "dht.upkeep", pg_dht_upkeep_run, dht));
    for (int i = 0; i < PG_DHT_REPUBLISH_FIBERS; i++) {
        PG_TRY(pg_scope_spawn(&dht->scope, "dht.publish", pg_dht_publish_run, dht));
    }
    return PG_OK;
}

pg_err pg_dht_new(const pg_dht_config *config, pg_dht **out_dht)
{
    pg_dht *dht = PG_NEW(pg_dht);
    if (dht == NULL) {
        return PG_ERR_NOMEM;
    }
    dht->config = *config;
    dht->self = pg_dht_key_of_peer(pg_host_id(config->host));
    dht->refresh_at = config->refresh_ns > 0 ? pg_after(config->refresh_ns) : PG_FOREVER;
    dht->round_at = pg_after(PG_MS(PG_DHT_UPKEEP_MS));
    pg_dht_table_init(&dht->table, &dht->self, on_table_change, dht);
    pg_dht_rpc_init(&dht->rpc, config->host, config->protocol);
    dht->rpc.idle_max = config->idle_streams_max;
    pg_dht_records_init(&dht->records, &dht->self, config->ttl_ns);
    pg_dht_providers_init(&dht->providers, &dht->self, config->ttl_ns);
    pg_list_init(&dht->published_list);
    pg_waitq_init(&dht->wake);
    pg_scope_init_tolerant(&dht->scope);

    pg_err err = pg_host_watch(config->host, on_host_event, dht);
    if (err == PG_OK) {
        err = mode_apply(dht);
    }
    if (err == PG_OK) {
        err = fibers_start(dht);
    }
    if (err != PG_OK) {
        pg_dht_free(&dht);
        return err;
    }
    pg_host_conns_each(config->host, on_known_conn, dht);
    *out_dht = dht;
    return PG_OK;
}

void pg_dht_free(pg_dht **dht)
{
    pg_dht *dead = *dht;
    if (dead == NULL) {
        return;
    }
    pg_assert(dead->keep == NULL);
    dead->is_closing = true;
    pg_host_unwatch(dead->config.host, on_host_event, dead);
    pg_host_withdraw(dead->config.host, dead->config.protocol);
    pg_scope_close(&dead->scope);
    pg_dht_rpc_deinit(&dead->rpc);
    pg_dht_published_free(dead);
    pg_dht_records_deinit(&dead->records);
    pg_dht_providers_deinit(&dead->providers);
    pg_dht_table_deinit(&dead->table);
    pg_mfree(dead);
    *dht = NULL;
}

const pg_dht_validators *pg_dht_get_validators(const pg_dht *dht)
{
    return dht->config.validators;
}

pg_dht_records *pg_dht_get_records(pg_dht *dht)
{
    return &dht->records;
}

pg_dht_providers *pg_dht_get_providers(pg_dht *dht)
{
    return &dht->providers;
}

// ---- the size of the network ----

void pg_dht_density_note(pg_dht *dht, uint64_t distance)
{
    if (distance > 0) {
        dht->densities[dht->density_count % PG_DHT_DENSITY_SAMPLES] = distance;
        dht->density_count++;
    }
}

// The median of the samples: a minority of crowded places does not move it.
static uint64_t density_median(const pg_dht *dht)
{
    uint64_t sorted[PG_DHT_DENSITY_SAMPLES];
    size_t count = pg_min_size(dht->density_count, PG_DHT_DENSITY_SAMPLES);
    if (count < PG_DHT_DENSITY_SAMPLES_MIN) {
        return 0;
    }
    for (size_t i = 0; i < count; i++) {
        size_t at = i;
        for (; at > 0 && sorted[at - 1] > dht->densities[i]; at--) {
            sorted[at] = sorted[at - 1];
        }
        sorted[at] = dht->densities[i];
    }
    return sorted[count / 2];
}

uint64_t pg_dht_density_reach(const pg_dht *dht)
{
    return density_median(dht) / 2;
}

// ---- telling ----

pg_dht_stats pg_dht_get_stats(const pg_dht *dht)
{
    pg_dht_stats stats = dht->stats;
    uint64_t density = density_median(dht);
    stats.realm = dht->config.realm;
    stats.protocol = dht->config.protocol;
    stats.is_server = dht->is_server;
    stats.peers = dht->table.count;
    stats.network_size = density == 0 ? 0 : (size_t) (0x1p64 / (double) density * PG_DHT_K);
    stats.peers_refused = dht->table.refused;
    stats.records = dht->records.count;
    stats.record_bytes = dht->records.bytes;
    stats.providers = dht->providers.count;
    stats.unsaved = pg_dht_unsaved(dht->keep);
    stats.published = pg_map_count(&dht->published);
    stats.requests = dht->rpc.requests;
    stats.requests_failed = dht->rpc.failures;
    stats.streams = dht->rpc.streams;
    return stats;
}

typedef struct peers_walk {
    void (*each)(const pg_peer_id *peer, unsigned bucket, void *user);
    void *user;
} peers_walk;

static void on_contact(const pg_dht_contact *contact, unsigned bucket, void *user)
{
    const peers_walk *walk = user;
    walk->each(&contact->id, bucket, walk->user);
}

bool pg_dht_knows(const pg_dht *dht, const pg_peer_id *peer)
{
    return pg_dht_table_has(&dht->table, peer);
}

void pg_dht_peers_each(const pg_dht *dht,
                       void (*each)(const pg_peer_id *peer, unsigned bucket, void *user),
                       void *user)
{
    peers_walk walk = {each, user};
    pg_dht_table_each(&dht->table, on_contact, &walk);
}
