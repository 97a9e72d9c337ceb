// SPDX-License-Identifier: Apache-2.0
#include "health/health.h"

#include <math.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "health/health_priv.h"
#include "runtime/time.h"

// Odds of a peer that is always there, and of one that never is: none gets all, none gets nothing.
#define WEIGHT_MAX 64.0
#define TWO_64 18446744073709551616.0
#define TWO_63 9223372036854775808.0

uint64_t pg_health_now_s(void)
{
    int64_t now_ms = pg_wall_ms();
    return now_ms > 0 ? (uint64_t) now_ms / 1000 : 0;
}

pg_health_peer *pg_health_find(const pg_health *health, const pg_peer_id *peer)
{
    return pg_map_get(&health->peers, pg_peer_id_bytes(peer));
}

// ---- Evidence

static void clue_drop_first(pg_health *health)
{
    pg_buf_deinit(&health->clues[0].proof);
    health->clue_count--;
    memmove(&health->clues[0], &health->clues[1], health->clue_count * sizeof(health->clues[0]));
}

/** Take evidence over; `clue` owns nothing afterwards. */
static void clue_add(pg_health *health, const pg_health_clue *clue)
{
    if (health->clue_count == PG_HEALTH_EVIDENCE_WAITING_MAX && !health->is_saving) {
        clue_drop_first(health);
    }
    if (health->clue_count == PG_HEALTH_EVIDENCE_WAITING_MAX) { // being written: this one is lost
        pg_buf proof = clue->proof;
        pg_buf_deinit(&proof);
        return;
    }
    health->clues[health->clue_count++] = *clue;
}

static void clue_note(pg_health *health, const pg_health_peer *peer,
                      const pg_health_observation *observation, uint64_t time_s)
{
    pg_health_clue clue = {
        .peer = peer->row.peer,
        .time_s = time_s,
        .kind = observation->kind,
        .score = peer->score,
    };
    pg_bytes proof = pg_bytes_slice(observation->evidence, 0, PG_HEALTH_EVIDENCE_BYTES_MAX);
    pg_ignore(pg_buf_append(&clue.proof, proof), "then only that it happened is kept");
    clue_add(health, &clue);
}

// ---- Judging

pg_health_parts pg_health_peer_parts(const pg_health_peer *peer, uint64_t now_s)
{
    pg_health_parts own = pg_health_parts_of(&peer->row.history, now_s);
    return pg_health_mix(&own, pg_health_history_known(&peer->row.history), &peer->others);
}

void pg_health_rejudge(pg_health *health, pg_health_peer *peer, uint64_t now_s)
{
    pg_health_judgement *judgement = &peer->row.judgement;
    pg_health_parts parts = pg_health_peer_parts(peer, now_s);
    peer->score = pg_health_score(&parts);
    pg_health_state before = judgement->state;
    if (!pg_health_judge(judgement, &peer->row.history, peer->score, now_s)) {
        return;
    }
    peer->is_changed = true;
    bool is_barred = judgement->state == PG_HEALTH_STATE_BARRED;
    if (!is_barred && before != PG_HEALTH_STATE_BARRED) {
        return;
    }
    health->barred_total += is_barred ? 1 : 0;
    const pg_health_clue clue = {
        .peer = peer->row.peer,
        .time_s = now_s,
        .state = judgement->state,
        .reason = judgement->reason,
        .score = peer->score,
    };
    clue_add(health, &clue);
    pg_log_limited(PG_LOG_LEVEL_INFO, is_barred ? "health.peer.barred" : "health.peer.returned",
                   PG_LOG_STR("reason", pg_health_reason_text(judgement->reason)),
                   PG_LOG_U64("score", (uint64_t) peer->score));
}

// ---- Noting

/** Forget the peer that was seen longest ago. Barred peers stay: who forgets them lets them in again. Returns false when all are barred. */
static bool oldest_forget(pg_health *health)
{
    pg_map_cursor cursor = {.begun = false};
    pg_health_peer *oldest = NULL;
    while (pg_map_next(&health->peers, &cursor)) {
        pg_health_peer *peer = cursor.value;
        if (peer->row.judgement.state != PG_HEALTH_STATE_BARRED &&
            (oldest == NULL || peer->row.history.last_s < oldest->row.history.last_s)) {
            oldest = peer;
        }
    }
    if (oldest == NULL || health->gone_count == PG_HEALTH_GONE_MAX) {
        return false;
    }
    health->gone[health->gone_count++] = oldest->row.peer;
    (void) pg_map_take(&health->peers, pg_peer_id_bytes(&oldest->row.peer));
    pg_mfree(oldest);
    return true;
}

static pg_health_peer *peer_add(pg_health *health, const pg_peer_id *id)
{
    if (pg_map_count(&health->peers) >= PG_HEALTH_PEERS_MAX && !oldest_forget(health)) {
        return NULL;
    }
    pg_health_peer *peer = PG_NEW(pg_health_peer);
    if (peer == NULL) {
        return NULL;
    }
    peer->row.peer = *id;
    if (pg_map_add(&health->peers, pg_peer_id_bytes(id), peer) != PG_OK) {
        pg_mfree(peer);
        return NULL;
    }
    return peer;
}

static bool is_evidence(pg_health_kind kind)
{
    return kind == PG_HEALTH_AUDIT_FAILED || kind == PG_HEALTH_REFUSED;
}

/** Return true when it is one of many of a kind that come together. */
static bool is_repeated(pg_health_peer *peer, pg_health_kind kind, uint64_t time_s)
{
    uint64_t *last_s = &peer->used_s[kind];
    bool is_use = kind == PG_HEALTH_TRANSFER_OK || kind == PG_HEALTH_REFUSED;
    if (is_use && time_s >= *last_s && time_s - *last_s < PG_HEALTH_USE_EVERY_S) {
        return true;
    }
    *last_s = time_s;
    return false;
}

void pg_health_note(pg_health *health, const pg_health_observation *observation)
{
    if (health == NULL || observation->kind >= PG_HEALTH_KIND_COUNT) {
        return;
    }
    pg_health_peer *peer = pg_health_find(health, observation->peer);
    bool has_room = !observation->is_minor || pg_map_count(&health->peers) < PG_HEALTH_PEERS_MAX;
    peer = peer == NULL && has_room ? peer_add(health, observation->peer) : peer;
    if (peer == NULL) {
        return;
    }
    uint64_t now_s = pg_health_now_s();
    uint64_t time_s = observation->time_s != 0 ? observation->time_s : now_s;
    if (is_repeated(peer, observation->kind, time_s)) {
        return;
    }
    pg_health_history_add(&peer->row.history, observation->kind, observation->rtt_ns, time_s);
    peer->is_changed = true;
    health->observations_total++;
    pg_health_rejudge(health, peer, now_s);
    if (is_evidence(observation->kind)) {
        clue_note(health, peer, observation, time_s);
    }
}

// ---- Asking

static void report_make(const pg_health *health, pg_health_peer *peer, pg_health_report *out)
{
    const pg_health_history *history = &peer->row.history;
    *out = (pg_health_report){
        .peer = peer->row.peer,
        .parts = pg_health_peer_parts(peer, pg_health_now_s()),
        .observers = peer->others.count,
        .judgement = peer->row.judgement,
        .first_s = history->first_s,
        .last_s = history->last_s,
        .seen_s = history->seen_s,
        .rtt_ns = (int64_t) history->rtt_ns,
        .known_hours = pg_health_history_known(history),
    };
    out->score = pg_health_score(&out->parts);
    out->fit = pg_health_peer_fit(health, peer, &out->is_forecast);
    memcpy(out->counts, history->counts, sizeof(out->counts));
}

bool pg_health_get(const pg_health *health, const pg_peer_id *peer, pg_health_report *out_report)
{
    pg_health_peer *found = health == NULL ? NULL : pg_health_find(health, peer);
    if (found == NULL) {
        return false;
    }
    report_make(health, found, out_report);
    return true;
}

void pg_health_each(const pg_health *health,
                    void (*each)(const pg_health_report *report, void *user), void *user)
{
    pg_map_cursor cursor = {.begun = false};
    while (health != NULL && pg_map_next(&health->peers, &cursor)) {
        pg_health_report report;
        report_make(health, cursor.value, &report);
        each(&report, user);
    }
}

bool pg_health_allows(const pg_health *health, const pg_peer_id *peer)
{
    const pg_health_peer *found = health == NULL ? NULL : pg_health_find(health, peer);
    return found == NULL || found->row.judgement.state != PG_HEALTH_STATE_BARRED;
}

static double weight_of(const pg_health *health, const pg_peer_id *peer)
{
    double fit = pg_health_fit(health, peer);
    double odds = fit < 1 ? fit / (1 - fit) : WEIGHT_MAX;
    return fmin(fmax(odds, 1 / WEIGHT_MAX), WEIGHT_MAX);
}

// Weighted rendezvous: of numbers u in (0, 1] the one with the greatest u^(1/w) wins as often as its share of all weights.
uint64_t pg_health_rank(const pg_health *health, const pg_peer_id *peer, uint64_t number)
{
    if (health == NULL) {
        return number;
    }
    double uniform = ((double) number + 1) / TWO_64;
    double ranked = pow(uniform, 1 / weight_of(health, peer));
    return ranked < 1 ? (uint64_t) (ranked * TWO_63) : (uint64_t) TWO_63;
}

pg_err pg_health_evidence_each(pg_health *health, const pg_peer_id *peer,
                               void (*each)(const pg_health_evidence *evidence, void *user),
                               void *user)
{
    pg_health_clue *clues = pg_calloc(PG_HEALTH_EVIDENCE_MAX, sizeof(*clues));
    size_t count = 0;
    if (clues == NULL) {
        return PG_ERR_NOMEM;
    }
    pg_err err = pg_health_save(health);
    if (err == PG_OK) {
        err = pg_health_rows_clues(health->config.db, peer, clues, &count);
    }
    for (size_t i = 0; i < count; i++) {
        const pg_health_evidence evidence = {
            .time_s = clues[i].time_s,
            .kind = clues[i].kind,
            .state = clues[i].state,
            .reason = clues[i].reason,
            .score = clues[i].score,
            .proof = pg_buf_bytes(&clues[i].proof),
        };
        each(&evidence, user);
        pg_buf_deinit(&clues[i].proof);
    }
    pg_mfree(clues);
    return err;
}

pg_health_stats pg_health_get_stats(const pg_health *health)
{
    pg_health_stats stats = {.peers = 0};
    pg_map_cursor cursor = {.begun = false};
    while (health != NULL && pg_map_next(&health->peers, &cursor)) {
        const pg_health_peer *peer = cursor.value;
        stats.peers++;
        stats.barred += peer->row.judgement.state == PG_HEALTH_STATE_BARRED ? 1 : 0;
    }
    if (health != NULL) {
        stats.observations_total = health->observations_total;
        stats.barred_total = health->barred_total;
        stats.self_observers = health->self.count;
        stats.self_score =
            health->self.count > 0 ? (uint64_t) pg_health_score(&health->self.parts) : 0;
        stats.self_low = health->is_self_low ? 1 : 0;
        stats.self_warnings_total = health->self_warnings;
        stats.examples = health->model.examples;
        stats.rounds_total = health->rounds_total;
        stats.rounds_lost_total = health->rounds_lost;
    }
    return stats;
}

// ---- Saving

static size_t changed_count(const pg_health *health)
{
    size_t count = 0;
    pg_map_cursor cursor = {.begun = false};
    while (pg_map_next(&health->peers, &cursor)) {
        const pg_health_peer *peer = cursor.value;
        count += peer->is_changed ? 1 : 0;
    }
    return count;
}

/** Copy what changed, since the book goes on while the database writes. */
static void changed_copy(const pg_health *health, pg_health_row *rows)
{
    pg_map_cursor cursor = {.begun = false};
    while (pg_map_next(&health->peers, &cursor)) {
        pg_health_peer *peer = cursor.value;
        if (peer->is_changed) {
            *rows++ = peer->row;
            peer->is_changed = false;
        }
    }
}

static void changed_again(pg_health *health, const pg_health_row *rows, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        pg_health_peer *peer = pg_health_find(health, &rows[i].peer);
        if (peer != NULL) {
            peer->is_changed = true;
        }
    }
}

static void saved_drop(pg_health *health, size_t clue_count, size_t gone_count)
{
    for (size_t i = 0; i < clue_count; i++) {
        clue_drop_first(health);
    }
    health->gone_count -= gone_count;
    memmove(&health->gone[0], &health->gone[gone_count],
            health->gone_count * sizeof(health->gone[0]));
}

pg_err pg_health_save(pg_health *health)
{
    size_t count = changed_count(health);
    if (health->is_saving || (count == 0 && health->clue_count == 0 && health->gone_count == 0)) {
        return PG_OK; // who saves now will save the rest next
    }
    pg_health_row *rows = pg_calloc(count + 1, sizeof(*rows));
    if (rows == NULL) {
        return PG_ERR_NOMEM;
    }
    changed_copy(health, rows);
    const pg_health_changes changes = {
        rows, count, health->clues, health->clue_count, health->gone, health->gone_count};
    health->is_saving = true;
    pg_err err = pg_health_rows_save(health->config.db, &changes);
    health->is_saving = false;
    if (err == PG_OK) {
        saved_drop(health, changes.clue_count, changes.gone_count);
    } else {
        changed_again(health, rows, count);
    }
    pg_mfree(rows);
    return err;
}

static void save_and_tell(pg_health *health)
{
    pg_err err = pg_health_save(health);
    if (err != PG_OK && err != PG_ERR_CANCELLED && !health->is_failing) {
        pg_log(PG_LOG_LEVEL_WARN, "health.save.failed", PG_LOG_STR("error", pg_err_name(err)),
               PG_LOG_STR("detail", pg_error_detail(err)));
    }
    health->is_failing = err != PG_OK;
}

static pg_err save_run(void *arg)
{
    for (;;) {
        PG_TRY(pg_sleep_until(pg_after(PG_MS(PG_HEALTH_SAVE_MS))));
        save_and_tell(arg);
    }
}

// ---- Beginning and end

static pg_err book_load(pg_health *health)
{
    pg_health_row *rows = NULL;
    size_t count = 0;
    PG_TRY(pg_health_rows_load(health->config.db, &rows, &count));
    pg_err err = PG_OK;
    for (size_t i = 0; i < count && err == PG_OK; i++) {
        pg_health_peer *peer = peer_add(health, &rows[i].peer);
        err = peer == NULL ? PG_ERR_NOMEM : PG_OK;
        if (err == PG_OK) {
            pg_health_parts parts = pg_health_parts_of(&rows[i].history, pg_health_now_s());
            peer->row = rows[i];
            peer->score = pg_health_score(&parts);
        }
    }
    pg_mfree(rows);
    return err;
}

static void health_free(pg_health *health)
{
    pg_map_cursor cursor = {.begun = false};
    while (pg_map_next(&health->peers, &cursor)) {
        pg_mfree(cursor.value);
    }
    pg_map_deinit(&health->peers);
    while (health->clue_count > 0) {
        clue_drop_first(health);
    }
    pg_mfree(health);
}

pg_err pg_health_open(const pg_health_config *config, pg_health **out_health)
{
    pg_health *health = PG_NEW(pg_health);
    if (health == NULL) {
        return PG_ERR_NOMEM;
    }
    health->config = *config;
    pg_scope_init_tolerant(&health->scope);
    pg_scope_init_tolerant(&health->watching);
    pg_forecast_model_init(&health->model);
    pg_err err = book_load(health);
    if (err == PG_OK) {
        err = pg_scope_spawn(&health->scope, "health.save", save_run, health);
    }
    if (err == PG_OK) {
        err = pg_scope_spawn(&health->scope, "health.learn", pg_health_learn_run, health);
    }
    if (err != PG_OK) {
        pg_scope_close(&health->scope);
        health_free(health);
        return err;
    }
    *out_health = health;
    return PG_OK;
}

void pg_health_close(pg_health **health)
{
    pg_health *dead = *health;
    if (dead == NULL) {
        return;
    }
    pg_health_unwatch(dead);
    pg_scope_close(&dead->scope);
    save_and_tell(dead);
    health_free(dead);
    *health = NULL;
}
