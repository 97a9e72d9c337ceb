// SPDX-License-Identifier: Apache-2.0
#include "node/finder.h"

#include "base/mem.h"
#include "net/bootstrap.h"
#include "net/mdns.h"
#include "net/peer_store.h"

struct pg_finder {
    pg_host *host;
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
    PG_TRY(lists_set(finder, config));
    return mdns_set(finder, config->net_mdns);
}

pg_err pg_finder_new(pg_host *host, const pg_config *config, pg_db *db, pg_finder **out_finder)
{
    pg_finder *finder = PG_NEW(pg_finder);
    if (finder == NULL) {
        return PG_ERR_NOMEM;
    }
    finder->host = host;
    pg_err err = finder_start(finder, config, db);
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
