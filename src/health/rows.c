// SPDX-License-Identifier: Apache-2.0
#include "health/rows.h"

#include <string.h>

#include "base/mem.h"
#include "store/stmt.h"

#define SCORE_UNIT 1000 // a score stands in thousandths

const char *const pg_health_schema_1 =
    "CREATE TABLE health_peer (peer BLOB PRIMARY KEY, history BLOB NOT NULL,"
    " state INTEGER NOT NULL, reason INTEGER NOT NULL, since_s INTEGER NOT NULL,"
    " first_s INTEGER NOT NULL) WITHOUT ROWID;"
    "CREATE TABLE health_evidence (id INTEGER PRIMARY KEY AUTOINCREMENT, peer BLOB NOT NULL,"
    " time_s INTEGER NOT NULL, kind INTEGER NOT NULL, state INTEGER NOT NULL,"
    " reason INTEGER NOT NULL, score INTEGER NOT NULL, proof BLOB NOT NULL);"
    "CREATE INDEX health_evidence_peer ON health_evidence (peer, id)";

// ---- Loading

/** Rows being read. */
typedef struct loading {
    pg_buf rows; // pg_health_row, appended
} loading;

static pg_err row_take(pg_stmt *stmt, pg_health_row *out_row)
{
    int64_t state = pg_stmt_i64(stmt, 2);
    int64_t reason = pg_stmt_i64(stmt, 3);
    if (state < 0 || state >= PG_HEALTH_STATE_COUNT || reason < 0 ||
        reason >= PG_HEALTH_REASON_COUNT) {
        return pg_fail(PG_ERR_CORRUPT, "health: a peer in a state nobody knows");
    }
    out_row->judgement = (pg_health_judgement){
        .state = (pg_health_state) state,
        .reason = (pg_health_reason) reason,
        .since_s = (uint64_t) pg_stmt_i64(stmt, 4),
    };
    PG_TRY(pg_peer_id_decode(pg_stmt_blob(stmt, 0), &out_row->peer));
    return pg_health_history_decode(pg_stmt_blob(stmt, 1), &out_row->history);
}

static pg_err load_job(pg_db_conn *conn, void *arg)
{
    loading *job = arg;
    pg_stmt *stmt = NULL;
    pg_err err = PG_OK;
    PG_TRY(pg_db_prepare(conn,
                         "SELECT peer, history, state, reason, since_s FROM health_peer"
                         " ORDER BY first_s, peer LIMIT ?1",
                         &stmt));
    pg_stmt_bind_i64(stmt, 1, PG_HEALTH_PEERS_MAX);
    while (pg_stmt_next(stmt, &err)) {
        uint8_t *space = NULL;
        pg_health_row *row = PG_NEW(pg_health_row);
        if (row == NULL) {
            return PG_ERR_NOMEM;
        }
        err = row_take(stmt, row);
        if (err == PG_OK) {
            err = pg_buf_extend(&job->rows, sizeof(*row), &space);
        }
        if (err == PG_OK) {
            memcpy(space, row, sizeof(*row));
        }
        pg_mfree(row);
        PG_TRY(err);
    }
    return err;
}

pg_err pg_health_rows_load(pg_db *db, pg_health_row **out_rows, size_t *out_count)
{
    loading job = {.rows = {.ptr = NULL}};
    pg_err err = pg_db_read(db, load_job, &job);
    if (err != PG_OK) {
        pg_buf_deinit(&job.rows);
        return err;
    }
    *out_rows = (pg_health_row *) (void *) job.rows.ptr;
    *out_count = job.rows.len / sizeof(**out_rows);
    return PG_OK;
}

// ---- Saving

static pg_err row_save(pg_db_conn *conn, const pg_health_row *row)
{
    pg_buf history PG_CLEANUP(pg_buf_deinit) = {0};
    pg_stmt *stmt = NULL;
    PG_TRY(pg_health_history_encode(&row->history, &history));
    PG_TRY(pg_db_prepare(conn,
                         "INSERT INTO health_peer (peer, history, state, reason, since_s, first_s)"
                         " VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT (peer) DO UPDATE SET"
                         " history = ?2, state = ?3, reason = ?4, since_s = ?5",
                         &stmt));
    pg_stmt_bind_blob(stmt, 1, pg_peer_id_bytes(&row->peer));
    pg_stmt_bind_blob(stmt, 2, pg_buf_bytes(&history));
    pg_stmt_bind_i64(stmt, 3, row->judgement.state);
    pg_stmt_bind_i64(stmt, 4, row->judgement.reason);
    pg_stmt_bind_i64(stmt, 5, (int64_t) row->judgement.since_s);
    pg_stmt_bind_i64(stmt, 6, (int64_t) row->history.first_s);
    return pg_stmt_run(stmt);
}

static pg_err clue_save(pg_db_conn *conn, const pg_health_clue *clue)
{
    pg_stmt *stmt = NULL;
    PG_TRY(pg_db_prepare(conn,
                         "INSERT INTO health_evidence (peer, time_s, kind, state, reason, score,"
                         " proof) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
                         &stmt));
    pg_stmt_bind_blob(stmt, 1, pg_peer_id_bytes(&clue->peer));
    pg_stmt_bind_i64(stmt, 2, (int64_t) clue->time_s);
    pg_stmt_bind_i64(stmt, 3, clue->kind);
    pg_stmt_bind_i64(stmt, 4, clue->state);
    pg_stmt_bind_i64(stmt, 5, clue->reason);
    pg_stmt_bind_i64(stmt, 6, (int64_t) (clue->score * SCORE_UNIT));
    pg_stmt_bind_blob(stmt, 7, pg_buf_bytes(&clue->proof));
    PG_TRY(pg_stmt_run(stmt));
    PG_TRY(pg_db_prepare(conn,
                         "DELETE FROM health_evidence WHERE peer = ?1 AND id <= (SELECT id FROM"
                         " health_evidence WHERE peer = ?1 ORDER BY id DESC LIMIT 1 OFFSET ?2)",
                         &stmt));
    pg_stmt_bind_blob(stmt, 1, pg_peer_id_bytes(&clue->peer));
    pg_stmt_bind_i64(stmt, 2, PG_HEALTH_EVIDENCE_MAX);
    return pg_stmt_run(stmt);
}

static pg_err peer_remove(pg_db_conn *conn, const pg_peer_id *peer)
{
    static const char *const steps[] = {"DELETE FROM health_evidence WHERE peer = ?1",
                                        "DELETE FROM health_peer WHERE peer = ?1"};
    for (size_t i = 0; i < PG_ARRAY_LEN(steps); i++) {
        pg_stmt *stmt = NULL;
        PG_TRY(pg_db_prepare(conn, steps[i], &stmt));
        pg_stmt_bind_blob(stmt, 1, pg_peer_id_bytes(peer));
        PG_TRY(pg_stmt_run(stmt));
    }
    return PG_OK;
}

static pg_err save_job(pg_db_conn *conn, void *arg)
{
    const pg_health_changes *changes = arg;
    for (size_t i = 0; i < changes->gone_count; i++) {
        PG_TRY(peer_remove(conn, &changes->gone[i]));
    }
    for (size_t i = 0; i < changes->row_count; i++) {
        PG_TRY(row_save(conn, &changes->rows[i]));
    }
    for (size_t i = 0; i < changes->clue_count; i++) {
        PG_TRY(clue_save(conn, &changes->clues[i]));
    }
    return PG_OK;
}

pg_err pg_health_rows_save(pg_db *db, const pg_health_changes *changes)
{
    pg_health_changes job = *changes;
    return pg_db_write(db, save_job, &job);
}

// ---- Evidence

/** Evidence being read. */
typedef struct reading {
    const pg_peer_id *peer;
    pg_health_clue *clues; // [PG_HEALTH_EVIDENCE_MAX]
    size_t count;
} reading;

static bool clue_is_sound(const pg_health_clue *clue)
{
    return clue->kind < PG_HEALTH_KIND_COUNT && clue->state < PG_HEALTH_STATE_COUNT &&
           clue->reason < PG_HEALTH_REASON_COUNT;
}

static pg_err clues_job(pg_db_conn *conn, void *arg)
{
    reading *job = arg;
    pg_stmt *stmt = NULL;
    pg_err err = PG_OK;
    PG_TRY(pg_db_prepare(conn,
                         "SELECT time_s, kind, state, reason, score, proof FROM health_evidence"
                         " WHERE peer = ?1 ORDER BY id DESC LIMIT ?2",
                         &stmt));
    pg_stmt_bind_blob(stmt, 1, pg_peer_id_bytes(job->peer));
    pg_stmt_bind_i64(stmt, 2, PG_HEALTH_EVIDENCE_MAX);
    while (pg_stmt_next(stmt, &err)) {
        pg_health_clue *clue = &job->clues[job->count];
        *clue = (pg_health_clue){
            .peer = *job->peer,
            .time_s = (uint64_t) pg_stmt_i64(stmt, 0),
            .kind = (pg_health_kind) pg_stmt_i64(stmt, 1),
            .state = (pg_health_state) pg_stmt_i64(stmt, 2),
            .reason = (pg_health_reason) pg_stmt_i64(stmt, 3),
            .score = (double) pg_stmt_i64(stmt, 4) / SCORE_UNIT,
        };
        if (!clue_is_sound(clue)) {
            return pg_fail(PG_ERR_CORRUPT, "health: evidence of a kind nobody knows");
        }
        PG_TRY(pg_buf_append(&clue->proof, pg_stmt_blob(stmt, 5)));
        job->count++;
    }
    return err;
}

pg_err pg_health_rows_clues(pg_db *db, const pg_peer_id *peer, pg_health_clue *out_clues,
                            size_t *out_count)
{
    reading job = {.peer = peer, .clues = out_clues};
    pg_err err = pg_db_read(db, clues_job, &job);
    if (err != PG_OK) {
        for (size_t i = 0; i < job.count; i++) {
            pg_buf_deinit(&job.clues[i].proof);
        }
        return err;
    }
    *out_count = job.count;
    return PG_OK;
}
