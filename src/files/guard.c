// SPDX-License-Identifier: Apache-2.0
// Rounds: which hosts are there, and which extents have lost some. A host is asked once a round, about one extent, however many it holds;
// extents are looked at only when one of their hosts is missing or at fault.
#include "files/guard.h"

#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "exchange/place_client.h"
#include "files/discover.h"
#include "files/guard_priv.h"
#include "files/limits.h"
#include "runtime/random.h"
#include "runtime/time.h"

#define ROUND_JITTER_PART 4 // of its length, at most

uint64_t pg_guard_now_s(void)
{
    int64_t now_ms = pg_wall_ms();
    return now_ms < 0 ? 0 : (uint64_t) now_ms / 1000;
}

uint64_t pg_guard_round_s(const pg_guard *guard)
{
    uint64_t part = guard->config.rules.patience_s / PG_GUARD_ROUND_PART;
    return part < PG_GUARD_ROUND_S_MIN   ? PG_GUARD_ROUND_S_MIN
           : part > PG_GUARD_ROUND_S_MAX ? PG_GUARD_ROUND_S_MAX
                                         : part;
}

void pg_guard_note(pg_guard *guard, const pg_cid *descriptor, const char *what, pg_buf *detail)
{
    char text[PG_GUARD_NOTE_BYTES_MAX];
    size_t len = pg_min_size(detail->len, sizeof(text) - 1);
    if (len > 0) {
        memcpy(text, detail->ptr, len);
    }
    text[len] = '\0';
    pg_buf_deinit(detail);
    const pg_guard_note_line note = {pg_guard_now_s(), *descriptor, what, text};
    pg_log_limited(PG_LOG_LEVEL_INFO, "guard.note", PG_LOG_STR("what", what),
                   PG_LOG_STR("detail", text));
    pg_ignore(pg_guard_log_note(guard->config.files->config.db, &note),
              "the log of the node has it");
}

// ---- Hosts

guard_peer *pg_guard_peer(const pg_guard *guard, const pg_peer_id *peer)
{
    return pg_map_get(&guard->peers, pg_peer_id_bytes(peer));
}

bool pg_guard_peer_is_lost(const guard_peer *peer, uint64_t patience_s)
{
    uint64_t now_s = pg_guard_now_s();
    return peer->silent_s != 0 && peer->misses >= PG_GUARD_MISSES_MIN && now_s > peer->silent_s &&
           now_s - peer->silent_s >= patience_s;
}

bool pg_guard_peer_is_back(const pg_guard *guard, const guard_peer *peer)
{
    uint64_t grace_s = PG_GUARD_BACK_ROUNDS * pg_guard_round_s(guard);
    grace_s = grace_s > PG_GUARD_BACK_S_MIN ? grace_s : PG_GUARD_BACK_S_MIN;
    return pg_guard_peer_is_lost(peer, guard->config.rules.patience_s / 4) ||
           (peer->back != 0 && pg_now() < peer->back + PG_SECONDS(grace_s));
}

double pg_guard_availability(const pg_guard *guard, const pg_peer_id *peer, bool *out_is_forecast)
{
    const pg_files *files = guard->config.files;
    pg_health_report known;
    *out_is_forecast = true;
    if (pg_peer_id_equal(peer, pg_host_id(files->config.host))) {
        return 1.0; // whoever asks here finds it here
    }
    bool is_known = pg_health_get(files->config.health, peer, &known);
    *out_is_forecast = is_known && known.is_forecast;
    return is_known ? known.fit : pg_health_fit(files->config.health, peer);
}

static guard_peer *peer_get(pg_guard *guard, const pg_peer_id *peer)
{
    guard_peer *known = pg_guard_peer(guard, peer);
    if (known != NULL || pg_map_count(&guard->peers) >= PG_GUARD_PEERS_MAX) {
        return known;
    }
    known = PG_NEW(guard_peer);
    if (known == NULL) {
        return NULL;
    }
    known->id = *peer;
    if (pg_map_add(&guard->peers, pg_peer_id_bytes(peer), known) != PG_OK) {
        pg_mfree(known);
        return NULL;
    }
    return known;
}

/** Forget hosts of no extent. */
static void peers_forget(pg_guard *guard)
{
    pg_map_cursor cursor = {.begun = false};
    while (pg_map_next(&guard->peers, &cursor)) {
        guard_peer *peer = cursor.value;
        if (peer->round == guard->totals.rounds_total) {
            continue;
        }
        if (peer->silent_s != 0) {
            pg_ignore(pg_guard_log_silent(guard->config.files->config.db, &peer->id, 0),
                      "an old date; checks in a row count too");
        }
        (void) pg_map_take(&guard->peers, pg_peer_id_bytes(&peer->id));
        pg_mfree(peer);
    }
}

/** Silent hosts as the database has them, read on its thread. */
static pg_err on_silent(const pg_peer_id *peer, uint64_t since_s, void *user)
{
    pg_buf *rows = user;
    PG_TRY(pg_buf_append(rows, pg_bytes_make(peer, sizeof(*peer))));
    return pg_buf_append(rows, pg_bytes_make(&since_s, sizeof(since_s)));
}

static pg_err peers_load(pg_guard *guard)
{
    const size_t row = sizeof(pg_peer_id) + sizeof(uint64_t);
    pg_buf rows PG_CLEANUP(pg_buf_deinit) = {0};
    PG_TRY(pg_guard_log_silents(guard->config.files->config.db, on_silent, &rows));
    for (size_t at = 0; at + row <= rows.len; at += row) {
        pg_peer_id id;
        memcpy(&id, rows.ptr + at, sizeof(id));
        guard_peer *peer = peer_get(guard, &id);
        if (peer != NULL) {
            memcpy(&peer->silent_s, rows.ptr + at + sizeof(id), sizeof(peer->silent_s));
        }
    }
    return PG_OK;
}

/** One host being asked whether it is there. */
typedef struct check {
    pg_guard *guard;
    pg_peer_id peer;
    pg_cid probe;
    bool has_answered;
    bool has_denied; // it says that it does not hold the extent
} check;

static pg_err check_run(void *arg)
{
    check *self = arg;
    pg_files *files = self->guard->config.files;
    pg_place_holding *holding = PG_NEW(pg_place_holding);
    if (holding == NULL) {
        return PG_ERR_NOMEM;
    }
    pg_discover_peer(files, &self->peer);
    self->has_answered = pg_place_have_slots(files->config.host, &self->peer, &self->probe,
                                             pg_after(PG_MS(PG_UPLOAD_OPEN_MS)), holding) == PG_OK;
    self->has_denied = self->has_answered && holding->slots == 0;
    pg_mfree(holding);
    return pg_fiber_is_cancelled() ? PG_ERR_CANCELLED : PG_OK;
}

static void check_take(pg_guard *guard, const check *self)
{
    guard_peer *peer = pg_guard_peer(guard, &self->peer);
    if (peer == NULL) {
        return;
    }
    uint64_t before_s = peer->silent_s;
    const pg_health_observation seen = {
        .peer = &self->peer,
        .kind = self->has_answered ? PG_HEALTH_PING_OK : PG_HEALTH_PING_FAILED,
        .rtt_ns = PG_HEALTH_RTT_UNKNOWN,
        .is_minor = true, // there may be more of these hosts than the book has room for
    };
    pg_health_note(guard->config.files->config.health, &seen);
    if (self->has_answered && pg_guard_peer_is_lost(peer, guard->config.rules.patience_s / 4)) {
        peer->back = pg_now();
    }
    peer->misses = self->has_answered ? 0 : peer->misses + 1;
    peer->silent_s = self->has_answered ? 0 : before_s != 0 ? before_s : pg_guard_now_s();
    peer->is_lost_noted &= !self->has_answered;
    if (peer->silent_s != before_s) {
        pg_ignore(pg_guard_log_silent(guard->config.files->config.db, &peer->id, peer->silent_s),
                  "after a restart its silence begins anew");
    }
}

static pg_err checks_run(check *checks, size_t count)
{
    pg_scope scope;
    pg_err err = PG_OK;
    pg_scope_init(&scope);
    for (size_t i = 0; i < count && err == PG_OK; i++) {
        err = pg_scope_spawn(&scope, "guard.check", check_run, &checks[i]);
    }
    if (err != PG_OK) {
        pg_scope_close(&scope);
        return err;
    }
    return pg_scope_join(&scope);
}

/** Append the checks of this round, check[], every host once. */
static pg_err checks_make(pg_guard *guard, pg_buf *out)
{
    pg_map_cursor cursor = {.begun = false};
    while (pg_map_next(&guard->peers, &cursor)) {
        const guard_peer *peer = cursor.value;
        const check one = {.guard = guard, .peer = peer->id, .probe = peer->probe};
        PG_TRY(pg_buf_append(out, pg_bytes_make(&one, sizeof(one))));
    }
    return PG_OK;
}

/** Ask all hosts. When none answers, nor anybody else, it is this node that is cut off, and nobody is the worse for it.
 *  out_denied   appended to, pg_cid[]: probes that a host does not hold */
static pg_err peers_check(pg_guard *guard, pg_buf *out_denied)
{
    pg_buf made PG_CLEANUP(pg_buf_deinit) = {0};
    size_t answered = 0;
    PG_TRY(checks_make(guard, &made));
    check *checks = (check *) (void *) made.ptr;
    size_t count = made.len / sizeof(check);
    for (size_t at = 0; at < count; at += PG_GUARD_CHECKS_MAX) {
        PG_TRY(checks_run(checks + at, pg_min_size(count - at, PG_GUARD_CHECKS_MAX)));
    }
    for (size_t i = 0; i < count; i++) {
        answered += checks[i].has_answered ? 1 : 0;
    }
    bool is_cut_off = count > 0 && answered == 0 && !pg_guard_is_connected(guard, NULL);
    for (size_t i = 0; i < count && !is_cut_off; i++) {
        check_take(guard, &checks[i]);
        if (checks[i].has_denied) {
            PG_TRY(pg_buf_append(out_denied,
                                 pg_bytes_make(&checks[i].probe, sizeof(checks[i].probe))));
        }
    }
    return PG_OK;
}

// ---- Extents

/** What is done with each host of each lease of this node, those of a lease one after the other. */
typedef pg_err (*host_fn)(pg_guard *guard, const pg_place_lease_host *host, void *user);

static pg_err hosts_each(pg_guard *guard, host_fn each, void *user)
{
    pg_buf page PG_CLEANUP(pg_buf_deinit) = {0};
    int64_t after = 0;
    do {
        pg_buf_clear(&page);
        PG_TRY(pg_place_server_hosts_page(guard->config.place, after, &page));
        for (size_t at = 0; at < page.len; at += sizeof(pg_place_lease_host)) {
            pg_place_lease_host host;
            memcpy(&host, page.ptr + at, sizeof(host));
            after = host.lease;
            PG_TRY(each(guard, &host, user));
        }
        PG_TRY(pg_fiber_yield());
    } while (page.len > 0);
    return PG_OK;
}

static pg_err on_host_mark(pg_guard *guard, const pg_place_lease_host *host, void *user)
{
    (void) user;
    guard_peer *peer = host->host.len == 0 ? NULL : peer_get(guard, &host->host);
    if (peer == NULL) {
        return PG_OK;
    }
    // Another extent each round, by chance: what a host lost is found the sooner.
    if (peer->round != guard->totals.rounds_total || pg_random_below(4) == 0) {
        peer->probe = host->descriptor;
    }
    peer->round = guard->totals.rounds_total;
    return PG_OK;
}

/** Descriptors that are to be looked at. */
typedef struct suspects {
    pg_buf list;     // pg_cid[]
    bool has_silent; // some host is silent for long enough to matter
    int64_t lease;   // id of the one that was suspected last
} suspects;

static bool is_listed(const suspects *self, const pg_cid *descriptor)
{
    for (size_t at = 0; at + sizeof(pg_cid) <= self->list.len; at += sizeof(pg_cid)) {
        pg_cid one;
        memcpy(&one, self->list.ptr + at, sizeof(one));
        if (pg_cid_equal(&one, descriptor)) {
            return true;
        }
    }
    return false;
}

static bool is_settled(pg_guard *guard, int64_t lease)
{
    const pg_bytes key = pg_bytes_make(&lease, sizeof(lease));
    const pg_time *until = pg_map_get(&guard->settled, key);
    if (until == NULL || pg_now() < *until) {
        return until != NULL;
    }
    pg_time *over = pg_map_take(&guard->settled, key);
    pg_mfree(over);
    return false;
}

static bool is_lost(const pg_guard *guard, const pg_peer_id *host)
{
    const guard_peer *peer = host->len == 0 ? NULL : pg_guard_peer(guard, host);
    return peer != NULL && pg_guard_peer_is_lost(peer, guard->config.rules.patience_s / 4);
}

static pg_err on_host_look(pg_guard *guard, const pg_place_lease_host *host, void *user)
{
    suspects *self = user;
    pg_place_lease lease;
    if (host->lease == self->lease ||
        !(is_listed(self, &host->descriptor) ||
          (self->has_silent && is_lost(guard, &host->host) && !is_settled(guard, host->lease)))) {
        return PG_OK;
    }
    self->lease = host->lease;
    pg_err err = pg_place_server_get(guard->config.place, host->lease, &lease);
    if (err == PG_OK) {
        err = pg_guard_suspect(guard, &lease);
    }
    return err == PG_ERR_CANCELLED || err == PG_ERR_NOMEM ? err : PG_OK;
}

static void peers_look(pg_guard *guard, suspects *self)
{
    pg_map_cursor cursor = {.begun = false};
    while (pg_map_next(&guard->peers, &cursor)) {
        guard_peer *peer = cursor.value;
        self->has_silent |= pg_guard_peer_is_lost(peer, guard->config.rules.patience_s / 4);
        if (!peer->is_lost_noted && pg_guard_peer_is_lost(peer, guard->config.rules.patience_s)) {
            char name[PG_PSEUDONYM_TEXT_BYTES];
            pg_host_peer_pseudonym(guard->config.files->config.host, &peer->id, name);
            pg_log(PG_LOG_LEVEL_INFO, "guard.host.lost", PG_LOG_STR("peer", name),
                   PG_LOG_U64("silent_s", pg_guard_now_s() - peer->silent_s));
            peer->is_lost_noted = true;
        }
    }
}

static pg_err round_run(pg_guard *guard)
{
    suspects found = {.has_silent = false};
    uint64_t now_s = pg_guard_now_s();
    pg_db *db = guard->config.files->config.db;
    guard->totals.rounds_total++;
    pg_err err = hosts_each(guard, on_host_mark, NULL);
    if (err == PG_OK) {
        peers_forget(guard);
        err = peers_check(guard, &found.list);
    }
    if (err == PG_OK) {
        err = pg_guard_log_faulty(db, &found.list);
    }
    if (err == PG_OK) {
        peers_look(guard, &found);
        err = found.has_silent || found.list.len > 0 ? hosts_each(guard, on_host_look, &found)
                                                     : PG_OK;
    }
    if (err == PG_OK && now_s > PG_GUARD_PROOF_S) {
        err = pg_guard_log_forget(db, now_s - PG_GUARD_PROOF_S);
    }
    pg_buf_deinit(&found.list);
    return err;
}

static pg_err round_await(pg_guard *guard)
{
    int64_t length_ns = PG_SECONDS(pg_guard_round_s(guard));
    int64_t jitter_ns = (int64_t) pg_random_below((uint64_t) length_ns / ROUND_JITTER_PART + 1);
    pg_time until = pg_after(length_ns + jitter_ns - length_ns / (2 * ROUND_JITTER_PART));
    pg_err err = PG_OK;
    while (!guard->is_woken && err == PG_OK) {
        err = pg_waitq_wait(&guard->woken, until);
    }
    guard->is_woken = false;
    return err == PG_ERR_TIMEOUT ? PG_OK : err;
}

static pg_err rounds_run(void *arg)
{
    pg_guard *guard = arg;
    for (;;) {
        PG_TRY(round_await(guard));
        pg_err err = round_run(guard);
        if (err == PG_ERR_CANCELLED) {
            return err;
        }
        if (err != PG_OK) {
            pg_log(PG_LOG_LEVEL_WARN, "guard.round.failed", PG_LOG_STR("error", pg_err_name(err)),
                   PG_LOG_STR("detail", pg_error_detail(err)));
        }
    }
}

void pg_guard_wake(pg_guard *guard)
{
    guard->is_woken = true;
    pg_waitq_wake_all(&guard->woken);
}

// ---- Beginning and end

static pg_err guard_begin(pg_guard *guard)
{
    const pg_guard_config *config = &guard->config;
    const pg_audit_server_config answers = {
        .host = config->files->config.host,
        .blocks = config->files->config.blocks,
        .place = config->place,
        .device = config->device,
        .health = config->files->config.health,
    };
    PG_TRY(peers_load(guard));
    PG_TRY(pg_audit_server_new(&answers, &guard->answers));
    PG_TRY(pg_guard_evidence_begin(guard));
    PG_TRY(pg_scope_spawn(&guard->scope, "guard.round", rounds_run, guard));
    PG_TRY(pg_scope_spawn(&guard->scope, "guard.audit", pg_guard_audit_run, guard));
    PG_TRY(pg_scope_spawn(&guard->scope, "guard.rebalance", pg_guard_rebalance_run, guard));
    return pg_scope_spawn(&guard->scope, "guard.repair", pg_guard_repair_run, guard);
}

pg_err pg_guard_new(const pg_guard_config *config, pg_guard **out_guard)
{
    pg_guard *guard = PG_NEW(pg_guard);
    if (guard == NULL) {
        return PG_ERR_NOMEM;
    }
    guard->config = *config;
    pg_scope_init_tolerant(&guard->scope);
    pg_waitq_init(&guard->woken);
    pg_waitq_init(&guard->queued);
    pg_err err = guard_begin(guard);
    if (err != PG_OK) {
        pg_guard_free(&guard);
        return err;
    }
    *out_guard = guard;
    return PG_OK;
}

void pg_guard_set_rules(pg_guard *guard, const pg_guard_rules *rules)
{
    guard->config.rules = *rules;
    pg_guard_wake(guard);
}

pg_guard_stats pg_guard_get_stats(const pg_guard *guard)
{
    pg_guard_stats stats = guard->totals;
    pg_map_cursor cursor = {.begun = false};
    while (pg_map_next(&guard->peers, &cursor)) {
        const guard_peer *peer = cursor.value;
        stats.peers_silent += peer->silent_s != 0 ? 1 : 0;
        stats.peers_lost += pg_guard_peer_is_lost(peer, guard->config.rules.patience_s) ? 1 : 0;
    }
    cursor = (pg_map_cursor){.begun = false};
    while (pg_map_next(&guard->jobs, &cursor)) {
        stats.queued_urgent += ((const guard_job *) cursor.value)->is_urgent ? 1 : 0;
    }
    stats.peers = pg_map_count(&guard->peers);
    stats.queued = pg_map_count(&guard->jobs);
    stats.answers = pg_audit_server_get_stats(guard->answers);
    stats.evidence = pg_evidence_server_get_stats(guard->hearing);
    stats.balance = guard->balance;
    stats.rules = guard->config.rules;
    return stats;
}

static void values_free(pg_map *map)
{
    pg_map_cursor cursor = {.begun = false};
    while (pg_map_next(map, &cursor)) {
        pg_mfree(cursor.value);
    }
    pg_map_deinit(map);
}

void pg_guard_free(pg_guard **guard)
{
    pg_guard *dead = *guard;
    if (dead == NULL) {
        return;
    }
    *guard = NULL;
    pg_scope_close(&dead->scope);
    pg_evidence_server_free(&dead->hearing);
    pg_audit_server_free(&dead->answers);
    values_free(&dead->peers);
    values_free(&dead->jobs);
    values_free(&dead->settled);
    pg_mfree(dead);
}
