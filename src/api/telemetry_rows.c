// SPDX-License-Identifier: Apache-2.0
#include "api/telemetry_rows.h"

#include <string.h>

#include "api/limits.h"
#include "api/telemetry.h"
#include "store/stmt.h"

const char *const pg_telemetry_schema_1 =
    "CREATE TABLE telemetry_state (id INTEGER PRIMARY KEY CHECK (id = 1), consent TEXT NOT NULL,"
    " consent_s INTEGER NOT NULL, tag BLOB NOT NULL, tag_s INTEGER NOT NULL,"
    " next_s INTEGER NOT NULL);"
    "CREATE TABLE telemetry_sent (id INTEGER PRIMARY KEY AUTOINCREMENT, time_s INTEGER NOT NULL,"
    " result INTEGER NOT NULL, tries INTEGER NOT NULL, url TEXT NOT NULL, document TEXT NOT NULL)";

// ---- State

static pg_err load_job(pg_db_conn *conn, void *arg)
{
    pg_telemetry_state *state = arg;
    pg_stmt *stmt = NULL;
    pg_err err = PG_OK;
    PG_TRY(pg_db_prepare(conn, "SELECT consent, consent_s, tag, tag_s, next_s FROM telemetry_state",
                         &stmt));
    if (!pg_stmt_next(stmt, &err)) {
        return err;
    }
    pg_str consent = pg_stmt_text(stmt, 0);
    pg_bytes tag = pg_stmt_blob(stmt, 2);
    if (consent.len >= sizeof(state->consent) || tag.len != sizeof(state->tag)) {
        return pg_fail(PG_ERR_CORRUPT, "telemetry: a state of another shape");
    }
    memcpy(state->consent, consent.ptr, consent.len);
    memcpy(state->tag, tag.ptr, tag.len);
    state->consent_s = (uint64_t) pg_stmt_i64(stmt, 1);
    state->tag_s = (uint64_t) pg_stmt_i64(stmt, 3);
    state->next_s = (uint64_t) pg_stmt_i64(stmt, 4);
    return PG_OK;
}

pg_err pg_telemetry_rows_load(pg_db *db, pg_telemetry_state *out_state)
{
    pg_telemetry_state state = {.next_s = 0};
    PG_TRY(pg_db_read(db, load_job, &state));
    *out_state = state;
    return PG_OK;
}

static pg_err save_job(pg_db_conn *conn, void *arg)
{
    const pg_telemetry_state *state = arg;
    pg_stmt *stmt = NULL;
    PG_TRY(pg_db_prepare(conn,
                         "INSERT INTO telemetry_state (id, consent, consent_s, tag, tag_s, next_s)"
                         " VALUES (1, ?1, ?2, ?3, ?4, ?5) ON CONFLICT (id) DO UPDATE SET"
                         " consent = ?1, consent_s = ?2, tag = ?3, tag_s = ?4, next_s = ?5",
                         &stmt));
    pg_stmt_bind_text(stmt, 1, pg_str_make(state->consent));
    pg_stmt_bind_i64(stmt, 2, (int64_t) state->consent_s);
    pg_stmt_bind_blob(stmt, 3, pg_bytes_make(state->tag, sizeof(state->tag)));
    pg_stmt_bind_i64(stmt, 4, (int64_t) state->tag_s);
    pg_stmt_bind_i64(stmt, 5, (int64_t) state->next_s);
    return pg_stmt_run(stmt);
}

pg_err pg_telemetry_rows_save(pg_db *db, const pg_telemetry_state *state)
{
    pg_telemetry_state copy = *state;
    return pg_db_write(db, save_job, &copy);
}

// ---- Documents

/** A document being entered. */
typedef struct sent_job {
    pg_telemetry_state state;
    const pg_telemetry_sent *sent;
    int64_t id;
    pg_telemetry_result result;
    uint64_t tries;
} sent_job;

static pg_err begin_job(pg_db_conn *conn, void *arg)
{
    sent_job *job = arg;
    pg_stmt *stmt = NULL;
    PG_TRY(save_job(conn, &job->state));
    PG_TRY(pg_db_prepare(conn,
                         "INSERT INTO telemetry_sent (time_s, result, tries, url, document)"
                         " VALUES (?1, ?2, 0, ?3, ?4)",
                         &stmt));
    pg_stmt_bind_i64(stmt, 1, (int64_t) job->sent->time_s);
    pg_stmt_bind_i64(stmt, 2, PG_TELEMETRY_RESULT_UNKNOWN);
    pg_stmt_bind_text(stmt, 3, job->sent->url);
    pg_stmt_bind_text(stmt, 4, job->sent->document);
    PG_TRY(pg_stmt_run(stmt));
    job->id = pg_db_last_id(conn);
    PG_TRY(pg_db_prepare(conn, "DELETE FROM telemetry_sent WHERE id <= ?1", &stmt));
    pg_stmt_bind_i64(stmt, 1, job->id - PG_API_TELEMETRY_KEPT_MAX);
    return pg_stmt_run(stmt);
}

pg_err pg_telemetry_rows_begin(pg_db *db, const pg_telemetry_state *state,
                               const pg_telemetry_sent *sent, int64_t *out_id)
{
    sent_job job = {.state = *state, .sent = sent};
    PG_TRY(pg_db_write(db, begin_job, &job));
    *out_id = job.id;
    return PG_OK;
}

static pg_err end_job(pg_db_conn *conn, void *arg)
{
    const sent_job *job = arg;
    pg_stmt *stmt = NULL;
    PG_TRY(pg_db_prepare(conn, "UPDATE telemetry_sent SET result = ?2, tries = ?3 WHERE id = ?1",
                         &stmt));
    pg_stmt_bind_i64(stmt, 1, job->id);
    pg_stmt_bind_i64(stmt, 2, job->result);
    pg_stmt_bind_i64(stmt, 3, (int64_t) job->tries);
    return pg_stmt_run(stmt);
}

pg_err pg_telemetry_rows_end(pg_db *db, int64_t id, pg_telemetry_result result, uint64_t tries)
{
    sent_job job = {.id = id, .result = result, .tries = tries};
    return pg_db_write(db, end_job, &job);
}

/** A walk over what was sent. */
typedef struct each_job_arg {
    pg_err (*each)(const pg_telemetry_sent *sent, void *user);
    void *user;
} each_job_arg;

static pg_err each_job(pg_db_conn *conn, void *arg)
{
    const each_job_arg *job = arg;
    pg_stmt *stmt = NULL;
    pg_err err = PG_OK;
    PG_TRY(pg_db_prepare(conn,
                         "SELECT time_s, result, tries, url, document FROM telemetry_sent"
                         " ORDER BY id DESC LIMIT ?1",
                         &stmt));
    pg_stmt_bind_i64(stmt, 1, PG_API_TELEMETRY_KEPT_MAX);
    while (pg_stmt_next(stmt, &err)) {
        int64_t result = pg_stmt_i64(stmt, 1);
        if (result < 0 || result >= PG_TELEMETRY_RESULT_COUNT) {
            return pg_fail(PG_ERR_CORRUPT, "telemetry: a document that ended as none does");
        }
        const pg_telemetry_sent sent = {
            .time_s = (uint64_t) pg_stmt_i64(stmt, 0),
            .result = (pg_telemetry_result) result,
            .tries = (uint64_t) pg_stmt_i64(stmt, 2),
            .url = pg_stmt_text(stmt, 3),
            .document = pg_stmt_text(stmt, 4),
        };
        PG_TRY(job->each(&sent, job->user));
    }
    return err;
}

pg_err pg_telemetry_rows_each(pg_db *db, pg_err (*each)(const pg_telemetry_sent *sent, void *user),
                              void *user)
{
    each_job_arg job = {each, user};
    return pg_db_read(db, each_job, &job);
}
