// SPDX-License-Identifier: Apache-2.0
#include "net/bootstrap.h"

#include "base/log.h"
#include "base/mem.h"
#include "net/ping.h"
#include "runtime/fiber.h"
#include "runtime/random.h"

// ---- deciding ----

static bool is_good_before(const pg_bootstrap_peer *a, const pg_bootstrap_peer *b)
{
    if (a->health != b->health) {
        return a->health < b->health;
    }
    return a->used_at != b->used_at ? a->used_at < b->used_at : a->draw < b->draw;
}

static size_t choose_needed(const pg_bootstrap_peer *peers, size_t count, pg_time now,
                            pg_time *out_due_at)
{
    size_t best = count;
    pg_time due_at = PG_FOREVER;
    for (size_t i = 0; i < count; i++) {
        if (peers[i].is_connected) {
            continue;
        }
        if (!pg_backoff_is_due(&peers[i].backoff, now)) {
            due_at = pg_earlier(due_at, peers[i].backoff.until);
        } else if (best == count || is_good_before(&peers[i], &peers[best])) {
            best = i;
        }
    }
    *out_due_at = best < count ? now : due_at;
    return best;
}

static pg_time check_due_at(const pg_bootstrap_peer *peer)
{
    if (peer->checked_at == 0) {
        return peer->backoff.until;
    }
    pg_time old_at = peer->checked_at + PG_MS(PG_NET_BOOTSTRAP_CHECK_MS);
    return old_at > peer->backoff.until ? old_at : peer->backoff.until;
}

static size_t choose_oldest(const pg_bootstrap_peer *peers, size_t count, pg_time now,
                            pg_time *out_due_at)
{
    size_t oldest = count;
    pg_time due_at = PG_FOREVER;
    for (size_t i = 0; i < count; i++) {
        pg_time each_at = check_due_at(&peers[i]);
        if (oldest == count || each_at < due_at) {
            oldest = i;
            due_at = each_at;
        }
    }
    *out_due_at = due_at;
    return oldest < count && due_at <= now ? oldest : count;
}

size_t pg_bootstrap_choose(const pg_bootstrap_peer *peers, size_t count, bool is_needed,
                           pg_time now, pg_time *out_due_at)
{
    if (is_needed) {
        size_t chosen = choose_needed(peers, count, now, out_due_at);
        if (chosen < count || *out_due_at < PG_FOREVER) {
            return chosen;
        }
    }
    return choose_oldest(peers, count, now, out_due_at);
}

bool pg_bootstrap_note(pg_bootstrap_peer *peer, bool is_good, int64_t rtt_ns, pg_time now,
                       uint64_t random)
{
    pg_bootstrap_health before = peer->health;
    peer->checked_at = now;
    if (is_good) {
        peer->health = PG_BOOTSTRAP_HEALTH_GOOD;
        peer->rtt_ns = rtt_ns;
        pg_backoff_reset(&peer->backoff);
    } else {
        peer->health = PG_BOOTSTRAP_HEALTH_BAD;
        pg_backoff_fail(&peer->backoff, now, random);
    }
    return peer->health != before;
}

// ---- doing ----

struct pg_bootstrap {
    pg_host *host;
    pg_scope scope;
    pg_waitq changed;
    bool is_changed;
    pg_bootstrap_peer peers[PG_NET_BOOTSTRAP_MAX];
    size_t count;
};

static void on_host_event(const pg_host_event *event, void *user)
{
    pg_bootstrap *bootstrap = user;
    if (event->kind == PG_HOST_EVENT_CONNECTED || event->kind == PG_HOST_EVENT_DISCONNECTED) {
        bootstrap->is_changed = true;
        pg_waitq_wake_all(&bootstrap->changed);
    }
}

static pg_err peer_check(pg_host *host, const pg_bootstrap_peer *peer, pg_id *out_conn,
                         int64_t *out_rtt_ns)
{
    const pg_dial_options options = {.eager = true}; // the waits are ours
    pg_time deadline = pg_after(PG_MS(PG_NET_BOOTSTRAP_TIMEOUT_MS));
    for (size_t i = 0; i < peer->addr_count; i++) {
        PG_TRY(
            pg_host_learn(host, &peer->peer, &peer->addrs[i], PG_BOOK_SOURCE_GIVEN, PG_DAYS(30)));
    }
    PG_TRY(pg_host_connect(host, &peer->peer, &options, deadline, out_conn));
    pg_err err = pg_ping_once(host, &peer->peer, deadline, out_rtt_ns);
    return err == PG_ERR_UNSUPPORTED ? PG_OK : err; // who does not serve ping has answered enough
}

// End a connection that was made for a look, unless somebody has found another use for it meanwhile.
static pg_err look_end(pg_host *host, const pg_peer_id *peer, pg_id conn)
{
    pg_host_conn made;
    PG_TRY(pg_sleep_until(pg_after(PG_MS(PG_NET_BOOTSTRAP_LINGER_MS))));
    const pg_book_peer *known = pg_peer_book_get(pg_host_book(host), peer);
    if ((known == NULL || known->keeps == 0) && pg_host_conn_get(host, conn, &made) == PG_OK &&
        made.info.streams_in + made.info.streams_out == 0) {
        pg_host_hang_up(host, conn);
    }
    return PG_OK;
}

static bool is_needed(const pg_bootstrap *bootstrap)
{
    return pg_host_get_stats(bootstrap->host).peers < PG_NET_BOOTSTRAP_PEERS_MIN;
}

static void health_tell(const pg_bootstrap *bootstrap, const pg_bootstrap_peer *peer, pg_err err)
{
    uint64_t number = (uint64_t) (peer - bootstrap->peers) + 1;
    if (err == PG_OK) {
        pg_log(PG_LOG_LEVEL_INFO, "net.bootstrap.good", PG_LOG_U64("number", number));
    } else {
        pg_log(PG_LOG_LEVEL_INFO, "net.bootstrap.bad", PG_LOG_U64("number", number),
               PG_LOG_STR("error", pg_err_name(err)));
        pg_log(PG_LOG_LEVEL_DEBUG, "net.bootstrap.failed", PG_LOG_U64("number", number),
               PG_LOG_STR("detail", pg_error_detail(err))); // has addresses
    }
}

static pg_err peer_look(pg_bootstrap *bootstrap, pg_bootstrap_peer *peer)
{
    pg_host *host = bootstrap->host;
    int64_t rtt_ns = 0;
    pg_id conn = 0;
    bool for_use = is_needed(bootstrap);
    if (for_use) {
        peer->used_at = pg_now();
    }
    pg_err err = peer_check(host, peer, &conn, &rtt_ns);
    if (err == PG_ERR_CANCELLED || err == PG_ERR_CLOSED) {
        return PG_ERR_CANCELLED; // we stop, or the host does
    }
    if (pg_bootstrap_note(peer, err == PG_OK, rtt_ns, pg_now(), pg_random_u64())) {
        health_tell(bootstrap, peer, err);
    }
    if (err == PG_OK && !peer->is_connected && !for_use) {
        PG_TRY(look_end(host, &peer->peer, conn));
    }
    return pg_sleep_until(pg_after(PG_MS(PG_NET_BOOTSTRAP_PAUSE_MS)));
}

static pg_err bootstrap_run(void *arg)
{
    pg_bootstrap *bootstrap = arg;
    pg_err err = PG_OK;
    while (err == PG_OK) {
        pg_time due_at = PG_FOREVER;
        bootstrap->is_changed = false;
        for (size_t i = 0; i < bootstrap->count; i++) {
            pg_bootstrap_peer *each = &bootstrap->peers[i];
            each->is_connected = pg_host_is_connected(bootstrap->host, &each->peer);
        }
        size_t chosen = pg_bootstrap_choose(bootstrap->peers, bootstrap->count,
                                            is_needed(bootstrap), pg_now(), &due_at);
        if (chosen < bootstrap->count) {
            err = peer_look(bootstrap, &bootstrap->peers[chosen]);
            continue;
        }
        while (err == PG_OK && !bootstrap->is_changed) {
            err = pg_waitq_wait(&bootstrap->changed, due_at);
        }
        err = err == PG_ERR_TIMEOUT ? PG_OK : err;
    }
    return err;
}

// ---- the list ----

static pg_err addr_add(pg_bootstrap *bootstrap, const pg_multiaddr *addr)
{
    pg_multiaddr bare = *addr;
    pg_peer_id peer;
    if (!pg_peer_id_cut(&bare, &peer) || bare.len == 0) {
        return pg_fail(PG_ERR_INVALID, "needs an address with /p2p/ID at its end");
    }
    if (pg_peer_id_equal(&peer, pg_host_id(bootstrap->host))) {
        return PG_OK; // one list may serve all, those on it too
    }
    size_t at = 0;
    while (at < bootstrap->count && !pg_peer_id_equal(&bootstrap->peers[at].peer, &peer)) {
        at++;
    }
    if (at == PG_NET_BOOTSTRAP_MAX) {
        return pg_fail(PG_ERR_LIMIT, "more than %d peers", PG_NET_BOOTSTRAP_MAX);
    }
    pg_bootstrap_peer *place = &bootstrap->peers[at];
    if (at == bootstrap->count) {
        *place = (pg_bootstrap_peer){
            .peer = peer, .health = PG_BOOTSTRAP_HEALTH_UNKNOWN, .draw = pg_random_u64()};
        bootstrap->count++;
    }
    if (place->addr_count == PG_NET_BOOTSTRAP_ADDRS_MAX) {
        return pg_fail(PG_ERR_LIMIT, "more than %d addresses of one peer",
                       PG_NET_BOOTSTRAP_ADDRS_MAX);
    }
    place->addrs[place->addr_count] = bare;
    place->addr_count++;
    return PG_OK;
}

pg_err pg_bootstrap_new(pg_host *host, const pg_multiaddr *addrs, size_t count,
                        pg_bootstrap **out_bootstrap)
{
    pg_bootstrap *bootstrap = PG_NEW(pg_bootstrap);
    if (bootstrap == NULL) {
        return PG_ERR_NOMEM;
    }
    bootstrap->host = host;
    pg_scope_init_tolerant(&bootstrap->scope);
    pg_waitq_init(&bootstrap->changed);
    pg_err err = pg_host_watch(host, on_host_event, bootstrap);
    for (size_t i = 0; i < count && err == PG_OK; i++) {
        char text[PG_MULTIADDR_TEXT_BYTES];
        pg_multiaddr_format(&addrs[i], text);
        err = pg_error_wrap(addr_add(bootstrap, &addrs[i]), "'%s'", text);
    }
    if (err == PG_OK) {
        err = pg_scope_spawn(&bootstrap->scope, "net.bootstrap", bootstrap_run, bootstrap);
    }
    if (err != PG_OK) {
        pg_bootstrap_free(&bootstrap);
        return err;
    }
    *out_bootstrap = bootstrap;
    return PG_OK;
}

const pg_bootstrap_peer *pg_bootstrap_peers(const pg_bootstrap *bootstrap, size_t *out_count)
{
    *out_count = bootstrap->count;
    return bootstrap->peers;
}

void pg_bootstrap_free(pg_bootstrap **bootstrap)
{
    pg_bootstrap *dead = *bootstrap;
    if (dead == NULL) {
        return;
    }
    pg_host_unwatch(dead->host, on_host_event, dead);
    pg_scope_close(&dead->scope);
    pg_mfree(dead);
    *bootstrap = NULL;
}
