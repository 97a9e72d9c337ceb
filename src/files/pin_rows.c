// SPDX-License-Identifier: Apache-2.0
#include "files/pin_rows.h"

#include <string.h>

#include "base/mem.h"
#include "files/pin_shared.h"
#include "runtime/time.h"
#include "store/stmt.h"

const char *const pg_files_schema_2 =
    "CREATE TABLE pin (id INTEGER PRIMARY KEY AUTOINCREMENT, root BLOB NOT NULL UNIQUE,"
    " key BLOB NOT NULL, name BLOB, kind INTEGER NOT NULL, size INTEGER NOT NULL,"
    " complete INTEGER NOT NULL, pinned_ms INTEGER NOT NULL);"
    "CREATE TABLE pin_block (pin INTEGER NOT NULL, cid BLOB NOT NULL, len INTEGER NOT NULL,"
    " PRIMARY KEY (pin, cid)) WITHOUT ROWID";

/** What a job works on. */
typedef struct pin_job {
    int64_t number;
    const pg_cid *root;
    const pg_pin *pin;
    pg_pin *out;
    const pg_pin_block *blocks;
    size_t count;
    int64_t now_ms; // wall clock
    pg_buf rows;    // of one kind, appended
} pin_job;

static pg_err fail_unknown(void)
{
    return pg_fail(PG_ERR_NOT_FOUND, "it is not pinned here");
}

static pg_err find_job(pg_db_conn *conn, void *arg)
{
    pin_job *job = arg;
    pg_stmt *stmt = NULL;
    pg_err err = PG_OK;
    PG_TRY(pg_db_prepare(conn, "SELECT id FROM pin WHERE root = ?1", &stmt));
    pg_stmt_bind_blob(stmt, 1, pg_cid_bytes(job->root));
    if (!pg_stmt_next(stmt, &err)) {
        return err != PG_OK ? err : fail_unknown();
    }
    job->number = pg_stmt_i64(stmt, 0);
    return PG_OK;
}

pg_err pg_pin_rows_find(pg_db *db, const pg_cid *root, int64_t *out_pin)
{
    pin_job job = {.root = root};
    PG_TRY(pg_db_read(db, find_job, &job));
    *out_pin = job.number;
    return PG_OK;
}

static pg_err begin_job(pg_db_conn *conn, void *arg)
{
    pin_job *job = arg;
    pg_stmt *stmt = NULL;
    PG_TRY(pg_db_prepare(conn,
                         "INSERT INTO pin (root, key, kind, size, complete, pinned_ms)"
                         " VALUES (?1, ?2, 0, 0, 0, ?3)",
                         &stmt));
    pg_stmt_bind_blob(stmt, 1, pg_cid_bytes(&job->pin->link.root));
    pg_stmt_bind_blob(stmt, 2, pg_key_bytes(&job->pin->link.key));
    pg_stmt_bind_i64(stmt, 3, job->pin->pinned_ms);
    PG_TRY(pg_stmt_run(stmt));
    job->number = pg_db_last_id(conn);
    return PG_OK;
}

pg_err pg_pin_rows_begin(pg_db *db, const pg_pin *pin, int64_t *out_pin)
{
    pin_job job = {.pin = pin};
    PG_TRY(pg_db_write(db, begin_job, &job));
    *out_pin = job.number;
    return PG_OK;
}

static pg_err update_job(pg_db_conn *conn, void *arg)
{
    const pin_job *job = arg;
    pg_stmt *stmt = NULL;
    PG_TRY(pg_db_prepare(
        conn, "UPDATE pin SET name = ?2, kind = ?3, size = ?4, complete = ?5 WHERE id = ?1",
        &stmt));
    pg_stmt_bind_i64(stmt, 1, job->number);
    pg_stmt_bind_blob(stmt, 2, pg_buf_bytes(&job->pin->name));
    pg_stmt_bind_i64(stmt, 3, job->pin->kind);
    pg_stmt_bind_i64(stmt, 4, (int64_t) job->pin->size_bytes);
    pg_stmt_bind_i64(stmt, 5, job->pin->is_complete);
    PG_TRY(pg_stmt_run(stmt));
    return pg_pin_shared_note(conn, job->pin, job->now_ms);
}

pg_err pg_pin_rows_update(pg_db *db, int64_t number, const pg_pin *pin)
{
    pin_job job = {.number = number, .pin = pin, .now_ms = pg_wall_ms()};
    return pg_db_write(db, update_job, &job);
}

static pg_err add_job(pg_db_conn *conn, void *arg)
{
    const pin_job *job = arg;
    for (size_t i = 0; i < job->count; i++) {
        pg_stmt *stmt = NULL;
        PG_TRY(pg_db_prepare(
            conn, "INSERT OR IGNORE INTO pin_block (pin, cid, len) VALUES (?1, ?2, ?3)", &stmt));
        pg_stmt_bind_i64(stmt, 1, job->number);
        pg_stmt_bind_blob(stmt, 2, pg_cid_bytes(&job->blocks[i].cid));
        pg_stmt_bind_i64(stmt, 3, job->blocks[i].len);
        PG_TRY(pg_stmt_run(stmt));
    }
    return PG_OK;
}

pg_err pg_pin_rows_add(pg_db *db, int64_t number, const pg_pin_block *blocks, size_t count)
{
    pin_job job = {.number = number, .blocks = blocks, .count = count};
    return pg_db_write(db, add_job, &job);
}

static pg_err shared_drop(pg_db_conn *conn, const pin_job *job)
{
    pg_stmt *stmt = NULL;
    pg_cid root;
    pg_err err = PG_OK;
    PG_TRY(pg_db_prepare(conn, "SELECT root FROM pin WHERE id = ?1", &stmt));
    pg_stmt_bind_i64(stmt, 1, job->number);
    if (!pg_stmt_next(stmt, &err)) {
        return err;
    }
    PG_TRY(pg_cid_decode(pg_stmt_blob(stmt, 0), &root));
    return pg_pin_shared_drop(conn, &root, job->now_ms);
}

static pg_err remove_job(pg_db_conn *conn, void *arg)
{
    const pin_job *job = arg;
    static const char *const steps[] = {"DELETE FROM pin_block WHERE pin = ?1",
                                        "DELETE FROM pin WHERE id = ?1"};
    PG_TRY(shared_drop(conn, job));
    for (size_t i = 0; i < PG_ARRAY_LEN(steps); i++) {
        pg_stmt *stmt = NULL;
        PG_TRY(pg_db_prepare(conn, steps[i], &stmt));
        pg_stmt_bind_i64(stmt, 1, job->number);
        PG_TRY(pg_stmt_run(stmt));
    }
    return PG_OK;
}

pg_err pg_pin_rows_remove(pg_db *db, int64_t number)
{
    pin_job job = {.number = number, .now_ms = pg_wall_ms()};
    return pg_db_write_freeing(db, remove_job, &job);
}

// ---- Lists

static pg_err numbers_read(pg_db_conn *conn, const char *query, pin_job *job)
{
    pg_stmt *stmt = NULL;
    pg_err err = PG_OK;
    PG_TRY(pg_db_prepare(conn, query, &stmt));
    while (pg_stmt_next(stmt, &err)) {
        int64_t number = pg_stmt_i64(stmt, 0);
        PG_TRY(pg_buf_append(&job->rows, pg_bytes_make(&number, sizeof(number))));
    }
    return err;
}

static pg_err all_job(pg_db_conn *conn, void *arg)
{
    return numbers_read(conn, "SELECT id FROM pin ORDER BY id DESC", arg);
}

static pg_err restored_job(pg_db_conn *conn, void *arg)
{
    return numbers_read(conn, "SELECT id FROM pin WHERE restored = 1 AND complete = 0 ORDER BY id",
                        arg);
}

static pg_err blocks_job(pg_db_conn *conn, void *arg)
{
    pin_job *job = arg;
    pg_stmt *stmt = NULL;
    pg_err err = PG_OK;
    PG_TRY(pg_db_prepare(conn, "SELECT cid, len FROM pin_block WHERE pin = ?1", &stmt));
    pg_stmt_bind_i64(stmt, 1, job->number);
    while (pg_stmt_next(stmt, &err)) {
        pg_pin_block block = {.len = (uint32_t) pg_stmt_i64(stmt, 1)};
        PG_TRY(pg_cid_decode(pg_stmt_blob(stmt, 0), &block.cid));
        PG_TRY(pg_buf_append(&job->rows, pg_bytes_make(&block, sizeof(block))));
    }
    return err;
}

/** Have a job list rows of `row_bytes`; *out_rows is the caller's. */
static pg_err rows_read(pg_db *db, pg_db_fn fn, pin_job *job, size_t row_bytes, void **out_rows,
                        size_t *out_count)
{
    pg_err err = pg_db_read(db, fn, job);
    if (err != PG_OK) {
        pg_buf_deinit(&job->rows);
        return err;
    }
    *out_rows = job->rows.ptr;
    *out_count = job->rows.len / row_bytes;
    return PG_OK;
}

pg_err pg_pin_rows_all(pg_db *db, int64_t **out_numbers, size_t *out_count)
{
    pin_job job = {.number = 0};
    return rows_read(db, all_job, &job, sizeof(**out_numbers), (void **) out_numbers, out_count);
}

pg_err pg_pin_rows_restored(pg_db *db, int64_t **out_numbers, size_t *out_count)
{
    pin_job job = {.number = 0};
    return rows_read(db, restored_job, &job, sizeof(**out_numbers), (void **) out_numbers,
                     out_count);
}

pg_err pg_pin_rows_blocks(pg_db *db, int64_t number, pg_pin_block **out_blocks, size_t *out_count)
{
    pin_job job = {.number = number};
    return rows_read(db, blocks_job, &job, sizeof(**out_blocks), (void **) out_blocks, out_count);
}

static pg_err read_job(pg_db_conn *conn, void *arg)
{
    const pin_job *job = arg;
    pg_stmt *stmt = NULL;
    pg_err err = PG_OK;
    PG_TRY(pg_db_prepare(
        conn, "SELECT root, key, name, kind, size, complete, pinned_ms FROM pin WHERE id = ?1",
        &stmt));
    pg_stmt_bind_i64(stmt, 1, job->number);
    if (!pg_stmt_next(stmt, &err)) {
        return err != PG_OK ? err : fail_unknown();
    }
    pg_bytes key = pg_stmt_blob(stmt, 1);
    if (key.len != PG_KEY_BYTES) {
        return pg_fail(PG_ERR_CORRUPT, "pins: a key of %zu bytes", key.len);
    }
    PG_TRY(pg_cid_decode(pg_stmt_blob(stmt, 0), &job->out->link.root));
    memcpy(job->out->link.key.bytes, key.ptr, key.len);
    PG_TRY(pg_buf_append(&job->out->name, pg_stmt_blob(stmt, 2)));
    job->out->kind = (pg_file_kind) pg_stmt_i64(stmt, 3);
    job->out->size_bytes = (uint64_t) pg_stmt_i64(stmt, 4);
    job->out->is_complete = pg_stmt_i64(stmt, 5) != 0;
    job->out->pinned_ms = pg_stmt_i64(stmt, 6);
    return PG_OK;
}

pg_err pg_pin_rows_read(pg_db *db, int64_t number, pg_pin *out_pin)
{
    pg_pin pin = {.kind = 0};
    pin_job job = {.number = number, .out = &pin};
    pg_err err = pg_db_read(db, read_job, &job);
    if (err != PG_OK) {
        pg_pin_deinit(&pin);
        return err;
    }
    *out_pin = pin;
    return PG_OK;
}
