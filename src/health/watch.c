// SPDX-License-Identifier: Apache-2.0
#include "health/watch.h"

#include <string.h>

#include "base/mem.h"
#include "exchange/place_client.h"
#include "health/health_priv.h"
#include "net/ping.h"
#include "runtime/random.h"
#include "runtime/time.h"

/** One peer in a round. */
typedef struct probe {
    pg_health *health;
    pg_peer_id peer;
    pg_time start_at;
    bool has_ended;
    bool has_answered;
    int64_t rtt_ns;
} probe;

/** Whom to ping. */
typedef struct round_list {
    const pg_health *health;
    probe *probes; // [PG_HEALTH_PINGED_MAX]
    size_t count;
} round_list;

// ---- Whom

static void list_add(round_list *list, const pg_peer_id *peer)
{
    const pg_host *host = list->health->watch.host;
    if (list->count == PG_HEALTH_PINGED_MAX || pg_peer_id_equal(peer, pg_host_id(host))) {
        return;
    }
    for (size_t i = 0; i < list->count; i++) {
        if (pg_peer_id_equal(&list->probes[i].peer, peer)) {
            return;
        }
    }
    list->probes[list->count++].peer = *peer;
}

static void on_conn(const pg_host_conn *conn, void *user)
{
    round_list *list = user;
    const pg_peer_id *peer = conn->info.peer;
    const pg_book_peer *known = pg_peer_book_get(pg_host_book(list->health->watch.host), peer);
    if (known != NULL && pg_book_peer_has_protocol(known, PG_PLACE_ID)) {
        list_add(list, peer);
    }
}

static pg_err known_add(round_list *list)
{
    const pg_health_watch_config *watch = &list->health->watch;
    pg_peer_id *peers = pg_calloc(PG_HEALTH_PINGED_MAX, sizeof(*peers));
    if (peers == NULL) {
        return PG_ERR_NOMEM;
    }
    size_t count = watch->known(peers, PG_HEALTH_PINGED_MAX, watch->user);
    for (size_t i = 0; i < count; i++) {
        list_add(list, &peers[i]);
    }
    pg_mfree(peers);
    return PG_OK;
}

static void barred_add(round_list *list)
{
    pg_map_cursor cursor = {.begun = false};
    while (pg_map_next(&list->health->peers, &cursor)) {
        const pg_health_peer *peer = cursor.value;
        if (peer->row.judgement.state == PG_HEALTH_STATE_BARRED) {
            list_add(list, &peer->row.peer);
        }
    }
}

// ---- One ping

static pg_err ping_try(const probe *self, int64_t *out_rtt_ns)
{
    const pg_dial_options options = {.eager = true};
    pg_host *host = self->health->watch.host;
    pg_time deadline = pg_after(PG_MS(PG_HEALTH_PING_MS));
    PG_TRY(pg_host_connect(host, &self->peer, &options, deadline, NULL));
    return pg_ping_once(host, &self->peer, deadline, out_rtt_ns);
}

/** It may have moved: let the DHT find it. Not each time, where it is gone for long. */
static void address_find(const probe *self)
{
    const pg_health_watch_config *watch = &self->health->watch;
    pg_health_peer *peer = pg_health_find(self->health, &self->peer);
    pg_multiaddr addrs[PG_NET_BOOK_ADDRS_MAX];
    size_t count = 0;
    if (pg_dht_pair_is_off(watch->dhts) ||
        (peer != NULL && peer->misses % PG_HEALTH_FIND_EVERY != 0)) {
        return;
    }
    const pg_dht_call call = {.deadline = pg_after(PG_MS(PG_HEALTH_FIND_MS))};
    pg_ignore(pg_dht_pair_find_peer(watch->dhts, &self->peer, &call, addrs, &count),
              "then the addresses that are known are tried once more");
}

static pg_err probe_run(void *arg)
{
    probe *self = arg;
    PG_TRY(pg_sleep_until(self->start_at));
    pg_err err = ping_try(self, &self->rtt_ns);
    if (err != PG_OK && err != PG_ERR_CANCELLED) {
        int64_t wait_ns = self->health->watch.interval_ns / 8;
        wait_ns = wait_ns < PG_MS(PG_HEALTH_AGAIN_MS) ? wait_ns : PG_MS(PG_HEALTH_AGAIN_MS);
        PG_TRY(pg_sleep_until(pg_after(wait_ns)));
        address_find(self);
        err = ping_try(self, &self->rtt_ns);
    }
    if (pg_fiber_is_cancelled()) {
        return PG_ERR_CANCELLED;
    }
    self->has_answered = err == PG_OK;
    self->has_ended = true;
    return PG_OK;
}

// ---- A round

/** Begin each at a time of its own, so that a round is no burst, and nobody is pinged like clockwork. */
static pg_err probes_run(pg_health *health, round_list *list, int64_t span_ns)
{
    pg_scope scope;
    pg_err err = PG_OK;
    pg_scope_init_tolerant(&scope);
    for (size_t i = 0; i < list->count && err == PG_OK; i++) {
        probe *at = &list->probes[i];
        at->health = health;
        at->start_at = pg_after(span_ns <= 0 ? 0 : (int64_t) pg_random_below((uint64_t) span_ns));
        err = pg_scope_spawn(&scope, "health.ping", probe_run, at);
    }
    if (err != PG_OK) {
        pg_scope_close(&scope);
        return err;
    }
    return pg_scope_join(&scope);
}

static void probes_note(pg_health *health, const round_list *list)
{
    size_t answered = 0;
    for (size_t i = 0; i < list->count; i++) {
        answered += list->probes[i].has_answered ? 1 : 0;
    }
    if (answered == 0 && pg_host_get_stats(health->watch.host).peers == 0) {
        health->rounds_lost += list->count > 0 ? 1 : 0;
        return; // it is we who are not there
    }
    for (size_t i = 0; i < list->count; i++) {
        const probe *at = &list->probes[i];
        if (!at->has_ended) {
            continue;
        }
        const pg_health_observation seen = {
            .peer = &at->peer,
            .kind = at->has_answered ? PG_HEALTH_PING_OK : PG_HEALTH_PING_FAILED,
            .rtt_ns = at->rtt_ns,
        };
        pg_health_note(health, &seen);
        pg_health_peer *peer = pg_health_find(health, &at->peer);
        if (peer != NULL) {
            peer->misses = at->has_answered ? 0 : peer->misses + 1;
        }
    }
}

static pg_err round_run(pg_health *health, int64_t span_ns)
{
    round_list list = {.health = health};
    list.probes = pg_calloc(PG_HEALTH_PINGED_MAX, sizeof(*list.probes));
    if (list.probes == NULL) {
        return PG_ERR_NOMEM;
    }
    pg_err err = known_add(&list);
    if (err == PG_OK) {
        pg_host_conns_each(health->watch.host, on_conn, &list);
        barred_add(&list);
        err = probes_run(health, &list, span_ns);
    }
    if (err == PG_OK) {
        probes_note(health, &list);
        health->rounds_total++;
    }
    pg_mfree(list.probes);
    return err;
}

pg_err pg_health_round(pg_health *health)
{
    if (health->watch.host == NULL) {
        return pg_fail(PG_ERR_INVALID, "health: nobody is pinged by this node");
    }
    return round_run(health, 0);
}

static pg_err watch_run(void *arg)
{
    pg_health *health = arg;
    int64_t interval_ns = health->watch.interval_ns;
    for (;;) {
        pg_time next = pg_after(interval_ns);
        pg_err err = round_run(health, interval_ns * 3 / 4); // the rest is for answers
        if (err == PG_ERR_CANCELLED) {
            return err;
        }
        PG_TRY(pg_sleep_until(next));
    }
}

pg_err pg_health_watch(pg_health *health, const pg_health_watch_config *config)
{
    health->watch = *config;
    return config->interval_ns <= 0
               ? PG_OK
               : pg_scope_spawn(&health->watching, "health.watch", watch_run, health);
}

void pg_health_unwatch(pg_health *health)
{
    if (health != NULL) {
        pg_scope_close(&health->watching);
        health->watch = (pg_health_watch_config){.host = NULL};
    }
}
