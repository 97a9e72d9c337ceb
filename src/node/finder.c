// SPDX-License-Identifier: Apache-2.0
#include "node/finder.h"

#include "base/mem.h"
#include "net/bootstrap.h"
#include "net/mdns.h"
#include "net/peer_store.h"

// What a peer is worth to the services, of PG_NET_USEFULNESS_MAX: without the hosts of our files we would have to dial before each look at
// them, and a connection with a peer of the DHTs saves a handshake in a lookup.
#define USE_OF_HOST 60
#define USE_OF_CONTACT 20

struct pg_finder {
    pg_host *host;
    const pg_dht_pair *dhts;
    const pg_files *files;
    pg_peer_store *store;
    pg_conn_manager *manager;
    pg_bootstrap *bootstrap;
    pg_mdns *mdns;
    pg_peer_id *peers; // [peer_count], wanted
    size_t peer_count;
};

static void on_mdns_peer(const pg_peer_id *peer, void *user)
{
    const pg_finder *finder = user;
    pg_conn_manager_suggest(finder->manager, peer);
}

static uint32_t on_judge(const pg_peer_id *peer, void *user)
{
    const pg_finder *finder = user;
    const pg_dht_pair *dhts = finder->dhts;
    bool is_contact = (dhts->local != NULL && pg_dht_knows(dhts->local, peer)) ||
                      (dhts->global != NULL && pg_dht_knows(dhts->global, peer));
    return (is_contact ? USE_OF_CONTACT : 0U) +
           (pg_files_relies_on(finder->files, peer) ? USE_OF_HOST : 0U);
}

// ---- the lists ----

static pg_err peer_want(pg_finder *finder, const char *text, pg_peer_id *out_peer)
{
    pg_multiaddr addr;
    PG_TRY(pg_multiaddr_parse(pg_str_make(text), &addr));
    if (!pg_peer_id_cut(&addr, out_peer)) {
        return PG_ERR_BUG; // the configuration has looked at it
    }
    PG_TRY(pg_host_learn(finder->host, out_peer, &addr, PG_BOOK_SOURCE_GIVEN, PG_FOREVER));
    return pg_conn_manager_want(finder->manager, out_peer);
}

static void peers_unwant(pg_finder *finder, pg_peer_id *peers, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        pg_conn_manager_unwant(finder->manager, &peers[i]);
    }
    pg_mfree(peers);
}

// The new ones are wanted before the old ones are not, so that who stays in the list stays connected.
static pg_err peers_set(pg_finder *finder, const pg_config_list *list)
{
    pg_peer_id *peers = pg_calloc(list->count, sizeof(*peers));
    pg_err err = peers == NULL ? PG_ERR_NOMEM : PG_OK;
    size_t count = 0;
    for (; count < list->count && err == PG_OK; count++) {
        err = peer_want(finder, list->items[count], &peers[count]);
    }
    if (err != PG_OK) {
        peers_unwant(finder, peers, count > 0 ? count - 1 : 0);
        return pg_error_wrap(err, "net.peers");
    }
    peers_unwant(finder, finder->peers, finder->peer_count);
    finder->peers = peers;
    finder->peer_count = count;
    return PG_OK;
}

static pg_err bootstrap_make(const pg_finder *finder, const pg_config_list *list,
                             pg_bootstrap **out_bootstrap)
{
    pg_multiaddr *addrs = pg_calloc(list->count, sizeof(*addrs));
    pg_err err = addrs == NULL ? PG_ERR_NOMEM : PG_OK;
    for (size_t i = 0; i < list->count && err == PG_OK; i++) {
        err = pg_multiaddr_parse(pg_str_make(list->items[i]), &addrs[i]);
    }
    if (err == PG_OK) {
        err = pg_bootstrap_new(finder->host, addrs, list->count, out_bootstrap);
    }
    pg_mfree(addrs);
    return pg_error_wrap(err, "net.bootstrap");
}

// Both or none.
static pg_err lists_set(pg_finder *finder, const pg_config *config)
{
    pg_bootstrap *fresh = NULL;
    PG_TRY(bootstrap_make(finder, &config->net_bootstrap, &fresh));
    pg_err err = peers_set(finder, &config->net_peers);
    if (err != PG_OK) {
        pg_bootstrap_free(&fresh);
        return err;
    }
    pg_bootstrap_free(&finder->bootstrap);
    finder->bootstrap = fresh;
    return PG_OK;
}

static pg_err mdns_set(pg_finder *finder, bool is_on)
{
    if (!is_on) {
        pg_mdns_free(&finder->mdns);
        return PG_OK;
    }
    return finder->mdns != NULL ? PG_OK
                                : pg_mdns_new(finder->host, on_mdns_peer, finder, &finder->mdns);
}

// ---- the whole ----

// The hard limit bounds the marks, and the high one the low one.
static pg_conn_marks marks_make(const pg_config *config)
{
    uint64_t most = config->limits_connections;
    uint64_t high = config->limits_connections_high < most ? config->limits_connections_high : most;
    uint64_t low = config->limits_connections_low < high ? config->limits_connections_low : high;
    return (pg_conn_marks){
        .low = (uint32_t) low,
        .high = (uint32_t) high,
        .grace_ns = PG_MS(config->net_connection_grace_ms),
    };
}

static pg_err finder_start(pg_finder *finder, const pg_config *config, pg_db *db)
{
    const pg_conn_marks marks = marks_make(config);
    if (db != NULL) {
        PG_TRY(pg_peer_store_open(finder->host, db, &finder->store));
    }
    PG_TRY(pg_conn_manager_new(finder->host, &marks, &finder->manager));
    pg_conn_manager_set_judge(finder->manager, on_judge, finder);
    PG_TRY(lists_set(finder, config));
    return mdns_set(finder, config->net_mdns);
}

pg_err pg_finder_new(const pg_finder_parts *parts, const pg_config *config, pg_finder **out_finder)
{
    pg_finder *finder = PG_NEW(pg_finder);
    if (finder == NULL) {
        return PG_ERR_NOMEM;
    }
    finder->host = parts->host;
    finder->dhts = parts->dhts;
    finder->files = parts->files;
    pg_err err = finder_start(finder, config, parts->db);
    if (err != PG_OK) {
        pg_finder_free(&finder);
        return err;
    }
    *out_finder = finder;
    return PG_OK;
}

pg_err pg_finder_reload(pg_finder *finder, const pg_config *config)
{
    const pg_conn_marks marks = marks_make(config);
    PG_TRY(lists_set(finder, config));
    pg_conn_manager_set_marks(finder->manager, &marks);
    return mdns_set(finder, config->net_mdns);
}

void pg_finder_tell(const pg_finder *finder, pg_api_finding *out_finding)
{
    const pg_bootstrap_peer *list =
        pg_bootstrap_peers(finder->bootstrap, &out_finding->bootstrap_peers);
    out_finding->bootstrap_good = 0;
    for (size_t i = 0; i < out_finding->bootstrap_peers; i++) {
        out_finding->bootstrap_good += list[i].health == PG_BOOTSTRAP_HEALTH_GOOD ? 1U : 0U;
    }
    out_finding->manager = pg_conn_manager_get_stats(finder->manager);
    out_finding->mdns =
        finder->mdns != NULL ? pg_mdns_get_stats(finder->mdns) : (pg_mdns_stats){.links = 0};
    out_finding->remembered = finder->store != NULL ? pg_peer_store_loaded(finder->store) : 0;
}

void pg_finder_free(pg_finder **finder)
{
    pg_finder *dead = *finder;
    if (dead == NULL) {
        return;
    }
    pg_mdns_free(&dead->mdns);
    pg_bootstrap_free(&dead->bootstrap);
    if (dead->manager != NULL) {
        peers_unwant(dead, dead->peers, dead->peer_count);
    }
    pg_conn_manager_free(&dead->manager);
    pg_peer_store_close(&dead->store);
    pg_mfree(dead);
    *finder = NULL;
}
