// SPDX-License-Identifier: Apache-2.0
#include "files/catalogue_feed.h"

#include <string.h>

#include "base/mem.h"
#include "files/catalogue_priv.h"
#include "store/stmt.h"

const char *const pg_files_schema_3 =
    "CREATE TABLE catalogue_version (file INTEGER PRIMARY KEY);"
    "CREATE TABLE catalogue_removed (root BLOB PRIMARY KEY, removed_s INTEGER NOT NULL) WITHOUT "
    "ROWID;"
    "CREATE TABLE catalogue_feed (id INTEGER PRIMARY KEY CHECK (id = 0), sequence INTEGER NOT NULL,"
    " record BLOB, root BLOB, digest BLOB, published_s INTEGER NOT NULL, stands INTEGER NOT NULL,"
    " found INTEGER NOT NULL)";

// ---- What is ours

static pg_err own_load_job(pg_db_conn *conn, void *arg)
{
    pg_feed_own *own = arg;
    pg_stmt *stmt = NULL;
    pg_err err = PG_OK;
    PG_TRY(pg_db_prepare(conn,
                         "SELECT sequence, record, root, digest, published_s, stands, found"
                         " FROM catalogue_feed WHERE id = 0",
                         &stmt));
    if (!pg_stmt_next(stmt, &err)) {
        return err;
    }
    pg_bytes record = pg_stmt_blob(stmt, 1);
    pg_bytes digest = pg_stmt_blob(stmt, 3);
    if (record.len > sizeof(own->record) || (digest.len != 0 && digest.len != PG_HASH_BYTES)) {
        return pg_fail(PG_ERR_CORRUPT, "catalogue: a feed record of %zu bytes", record.len);
    }
    own->sequence = (uint64_t) pg_stmt_i64(stmt, 0);
    own->record_len = record.len;
    if (record.len > 0) {
        memcpy(own->record, record.ptr, record.len);
        PG_TRY(pg_cid_decode(pg_stmt_blob(stmt, 2), &own->root));
    }
    if (digest.len > 0) {
        memcpy(own->digest, digest.ptr, PG_HASH_BYTES);
    }
    own->published_s = (uint64_t) pg_stmt_i64(stmt, 4);
    own->stands = pg_stmt_i64(stmt, 5) != 0;
    own->is_found = pg_stmt_i64(stmt, 6) != 0;
    return PG_OK;
}

pg_err pg_feed_own_load(pg_db *db, pg_feed_own *out_own)
{
    *out_own = (pg_feed_own){.sequence = 0};
    return pg_db_read(db, own_load_job, out_own);
}

static pg_err own_save_job(pg_db_conn *conn, void *arg)
{
    const pg_feed_own *own = arg;
    pg_stmt *stmt = NULL;
    PG_TRY(pg_db_prepare(conn,
                         "INSERT OR REPLACE INTO catalogue_feed (id, sequence, record, root,"
                         " digest, published_s, stands, found)"
                         " VALUES (0, ?1, ?2, ?3, ?4, ?5, ?6, ?7)",
                         &stmt));
    pg_stmt_bind_i64(stmt, 1, (int64_t) own->sequence);
    if (own->record_len > 0) {
        pg_stmt_bind_blob(stmt, 2, pg_bytes_make(own->record, own->record_len));
        pg_stmt_bind_blob(stmt, 3, pg_cid_bytes(&own->root));
        pg_stmt_bind_blob(stmt, 4, PG_BYTES_OF(own->digest));
    }
    pg_stmt_bind_i64(stmt, 5, (int64_t) own->published_s);
    pg_stmt_bind_i64(stmt, 6, own->stands);
    pg_stmt_bind_i64(stmt, 7, own->is_found);
    return pg_stmt_run(stmt);
}

pg_err pg_feed_own_save(pg_db *db, const pg_feed_own *own)
{
    pg_feed_own copy = *own;
    return pg_db_write(db, own_save_job, &copy);
}

// ---- Versions

static pg_err begin_version_job(pg_db_conn *conn, void *arg)
{
    int64_t *file = arg;
    pg_stmt *stmt = NULL;
    PG_TRY(pg_db_prepare(conn, "INSERT INTO file (state) VALUES (-1)", &stmt));
    PG_TRY(pg_stmt_run(stmt));
    *file = pg_db_last_id(conn);
    PG_TRY(pg_db_prepare(conn, "INSERT INTO catalogue_version VALUES (?1)", &stmt));
    pg_stmt_bind_i64(stmt, 1, *file);
    return pg_stmt_run(stmt);
}

pg_err pg_catalogue_begin_version(pg_db *db, int64_t *out_file)
{
    return pg_db_write(db, begin_version_job, out_file);
}

/** Versions to be removed. */
typedef struct versions_job {
    const pg_cid *but;
    uint64_t count;
} versions_job;

static pg_err versions_remove_job(pg_db_conn *conn, void *arg)
{
    static const char *const steps[] = {
        "UPDATE file_extent SET file = 0 WHERE file IN (SELECT file.id FROM file JOIN"
        " catalogue_version ON file.id = catalogue_version.file WHERE root IS NOT ?1)",
        "DELETE FROM file WHERE root IS NOT ?1 AND id IN (SELECT file FROM catalogue_version)",
    };
    versions_job *job = arg;
    pg_stmt *stmt = NULL;
    for (size_t i = 0; i < PG_ARRAY_LEN(steps); i++) {
        PG_TRY(pg_db_prepare(conn, steps[i], &stmt));
        pg_stmt_bind_blob(stmt, 1, pg_cid_bytes(job->but));
        PG_TRY(pg_stmt_run(stmt));
    }
    job->count = pg_db_changes(conn);
    PG_TRY(pg_db_prepare(
        conn, "DELETE FROM catalogue_version WHERE file NOT IN (SELECT id FROM file)", &stmt));
    return pg_stmt_run(stmt);
}

pg_err pg_catalogue_versions_remove(pg_db *db, const pg_cid *but, uint64_t *out_count)
{
    versions_job job = {.but = but};
    PG_TRY(pg_db_write_freeing(db, versions_remove_job, &job));
    *out_count = job.count;
    return PG_OK;
}
