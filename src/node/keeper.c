// SPDX-License-Identifier: Apache-2.0
#include "node/keeper.h"

#include "base/log.h"
#include "base/mem.h"
#include "net/backoff.h"
#include "runtime/fiber.h"
#include "runtime/random.h"

/** One peer to stay connected to. */
typedef struct kept {
    pg_keeper *keeper;
    pg_peer_id peer;
} kept;

struct pg_keeper {
    pg_host *host;
    pg_scope scope;
    pg_waitq lost; // woken when any connection has ended
    kept peers[PG_CONFIG_LIST_MAX];
    size_t count;
};

static void on_host_event(const pg_host_event *event, void *user)
{
    pg_keeper *keeper = user;
    if (event->kind == PG_HOST_EVENT_DISCONNECTED) {
        pg_waitq_wake_all(&keeper->lost);
    }
}

// One turn: connect and stay until the connection is lost, or wait after a failure.
static pg_err kept_turn(const kept *self, pg_backoff *backoff)
{
    pg_keeper *keeper = self->keeper;
    const pg_dial_options options = {.eager = true}; // the waits are ours
    pg_err err = pg_host_connect(keeper->host, &self->peer, &options, PG_FOREVER, NULL);
    if (err == PG_ERR_CANCELLED || err == PG_ERR_CLOSED) {
        return PG_ERR_CANCELLED;
    }
    if (err != PG_OK) {
        uint64_t random = 0;
        pg_random_bytes(pg_mut_bytes_make(&random, sizeof(random)));
        pg_log(PG_LOG_LEVEL_DEBUG, "node.peer.unreachable", PG_LOG_STR("error", pg_err_name(err)));
        pg_backoff_fail(backoff, pg_now(), random);
        return pg_sleep_until(backoff->until);
    }
    pg_backoff_reset(backoff);
    while (pg_host_is_connected(keeper->host, &self->peer)) {
        PG_TRY(pg_waitq_wait(&keeper->lost, PG_FOREVER));
    }
    return PG_OK;
}

static pg_err kept_run(void *arg)
{
    const kept *self = arg;
    pg_backoff backoff = {0, 0};
    pg_err err = PG_OK;
    while (err == PG_OK) {
        err = kept_turn(self, &backoff);
    }
    return err;
}

static pg_err kept_add(pg_keeper *keeper, const char *text)
{
    pg_multiaddr addr;
    pg_multihash named;
    kept *self = &keeper->peers[keeper->count];
    self->keeper = keeper;
    pg_err err = pg_multiaddr_parse(pg_str_make(text), &addr);
    if (err != PG_OK) {
        return pg_fail(PG_ERR_INVALID, "net.peers: '%s': %s", text, pg_error_detail(err));
    }
    if (!pg_multiaddr_cut_peer(&addr, &named) ||
        pg_peer_id_decode(pg_multihash_bytes(&named), &self->peer) != PG_OK) {
        return pg_fail(PG_ERR_INVALID, "net.peers: '%s' needs /p2p/ID at its end", text);
    }
    PG_TRY(pg_host_learn(keeper->host, &self->peer, &addr, PG_BOOK_SOURCE_GIVEN, PG_FOREVER));
    PG_TRY(pg_host_keep(keeper->host, &self->peer));
    keeper->count++;
    return pg_scope_spawn(&keeper->scope, "node.keeper", kept_run, self);
}

pg_err pg_keeper_new(pg_host *host, const pg_config_list *peers, pg_keeper **out_keeper)
{
    pg_keeper *keeper = PG_NEW(pg_keeper);
    if (keeper == NULL) {
        return PG_ERR_NOMEM;
    }
    keeper->host = host;
    pg_scope_init_tolerant(&keeper->scope);
    pg_waitq_init(&keeper->lost);
    pg_err err = pg_host_watch(host, on_host_event, keeper);
    for (size_t i = 0; i < peers->count && err == PG_OK; i++) {
        err = kept_add(keeper, peers->items[i]);
    }
    if (err != PG_OK) {
        pg_keeper_free(&keeper);
        return err;
    }
    *out_keeper = keeper;
    return PG_OK;
}

void pg_keeper_free(pg_keeper **keeper)
{
    pg_keeper *dead = *keeper;
    if (dead == NULL) {
        return;
    }
    pg_scope_close(&dead->scope);
    pg_host_unwatch(dead->host, on_host_event, dead);
    for (size_t i = 0; i < dead->count; i++) {
        pg_host_unkeep(dead->host, &dead->peers[i].peer);
    }
    pg_mfree(dead);
    *keeper = NULL;
}
