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
    PG_TRY(pg_db_write(db, versions_remove_job, &job));
    *out_count = job.count;
    return PG_OK;
}

// ---- What another device did

/** Something to be taken in. */
typedef struct import_job {
    const pg_snapshot_file *file;
    const pg_snapshot_removed *removed;
    bool is_new;
} import_job;

static pg_err is_removed(pg_db_conn *conn, const pg_cid *root, bool *out_removed)
{
    pg_stmt *stmt = NULL;
    pg_err err = PG_OK;
    PG_TRY(pg_db_prepare(conn, "SELECT 1 FROM catalogue_removed WHERE root = ?1", &stmt));
    pg_stmt_bind_blob(stmt, 1, pg_cid_bytes(root));
    *out_removed = pg_stmt_next(stmt, &err);
    return err;
}

/** Give the number of a file, 0 when it is not here. */
static pg_err file_of(pg_db_conn *conn, const pg_cid *root, int64_t *out_file)
{
    pg_stmt *stmt = NULL;
    pg_err err = PG_OK;
    *out_file = 0;
    PG_TRY(pg_db_prepare(conn, "SELECT id FROM file WHERE root = ?1", &stmt));
    pg_stmt_bind_blob(stmt, 1, pg_cid_bytes(root));
    if (pg_stmt_next(stmt, &err)) {
        *out_file = pg_stmt_i64(stmt, 0);
    }
    return err;
}

static pg_err file_insert(pg_db_conn *conn, const pg_snapshot_file *file, int64_t *out_file)
{
    pg_stmt *stmt = NULL;
    PG_TRY(pg_db_prepare(conn,
                         "INSERT INTO file (state, root, key, name, kind, data, parity, size,"
                         " packed, stored, extents, segments, put_ms, ttl_s) VALUES"
                         " (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)",
                         &stmt));
    pg_stmt_bind_i64(stmt, 1, pg_catalogue_state_of(file->placed, file->placed_count));
    pg_stmt_bind_blob(stmt, 2, pg_cid_bytes(&file->link.root));
    pg_stmt_bind_blob(stmt, 3, pg_key_bytes(&file->link.key));
    pg_stmt_bind_blob(stmt, 4, file->name);
    pg_stmt_bind_i64(stmt, 5, file->kind);
    pg_stmt_bind_i64(stmt, 6, file->code.data);
    pg_stmt_bind_i64(stmt, 7, file->code.parity);
    pg_stmt_bind_i64(stmt, 8, (int64_t) file->size_bytes);
    pg_stmt_bind_i64(stmt, 9, (int64_t) file->packed_bytes);
    pg_stmt_bind_i64(stmt, 10, (int64_t) file->stored_bytes);
    pg_stmt_bind_i64(stmt, 11, (int64_t) file->extents);
    pg_stmt_bind_i64(stmt, 12, (int64_t) file->segments);
    pg_stmt_bind_i64(stmt, 13, (int64_t) file->put_ms);
    pg_stmt_bind_i64(stmt, 14, (int64_t) file->ttl_s);
    PG_TRY(pg_stmt_run(stmt));
    *out_file = pg_db_last_id(conn);
    return PG_OK;
}

static pg_err file_import(pg_db_conn *conn, const pg_snapshot_file *file)
{
    int64_t number = 0;
    PG_TRY(file_insert(conn, file, &number));
    for (size_t i = 0; i < file->placed_count; i++) {
        int64_t id = 0;
        PG_TRY(pg_catalogue_extent_put(conn, number, &file->placed[i], &id));
    }
    return PG_OK;
}

/** Take over what another device did with an extent later than we did. */
static pg_err extent_import(pg_db_conn *conn, int64_t file, const pg_catalogue_extent *extent,
                            bool *is_new)
{
    pg_stmt *stmt = NULL;
    pg_err err = PG_OK;
    PG_TRY(pg_db_prepare(conn,
                         "SELECT id, local FROM file_extent WHERE file = ?1 AND descriptor = ?2"
                         " AND sequence < ?3",
                         &stmt));
    pg_stmt_bind_i64(stmt, 1, file);
    pg_stmt_bind_blob(stmt, 2, pg_cid_bytes(&extent->descriptor));
    pg_stmt_bind_i64(stmt, 3, (int64_t) extent->sequence);
    if (!pg_stmt_next(stmt, &err)) {
        return err; // ours is as new
    }
    int64_t id = pg_stmt_i64(stmt, 0);
    int64_t local = pg_stmt_i64(stmt, 1);
    PG_TRY(pg_db_prepare(
        conn, "UPDATE file_extent SET sequence = ?2, expiry_s = ?3, strays = 1 WHERE id = ?1",
        &stmt));
    pg_stmt_bind_i64(stmt, 1, id);
    pg_stmt_bind_i64(stmt, 2, (int64_t) extent->sequence);
    pg_stmt_bind_i64(stmt, 3, (int64_t) extent->expiry_s);
    PG_TRY(pg_stmt_run(stmt));
    *is_new = true;
    return local != 0 ? PG_OK : pg_catalogue_holders_put(conn, extent, id);
}

static pg_err import_run(pg_db_conn *conn, void *arg)
{
    import_job *job = arg;
    bool is_gone = false;
    int64_t number = 0;
    PG_TRY(is_removed(conn, &job->file->link.root, &is_gone));
    if (is_gone) {
        return PG_OK;
    }
    PG_TRY(file_of(conn, &job->file->link.root, &number));
    if (number == 0) {
        job->is_new = true;
        return file_import(conn, job->file);
    }
    for (size_t i = 0; i < job->file->placed_count; i++) {
        PG_TRY(extent_import(conn, number, &job->file->placed[i], &job->is_new));
    }
    return PG_OK;
}

pg_err pg_catalogue_import(pg_db *db, const pg_snapshot_file *file, bool *out_is_new)
{
    import_job job = {.file = file};
    PG_TRY(pg_db_write(db, import_run, &job));
    *out_is_new = job.is_new;
    return PG_OK;
}

static pg_err import_removed_run(pg_db_conn *conn, void *arg)
{
    import_job *job = arg;
    int64_t number = 0;
    pg_stmt *stmt = NULL;
    PG_TRY(file_of(conn, &job->removed->root, &number));
    if (number != 0) {
        PG_TRY(pg_db_prepare(conn, "UPDATE file_extent SET file = 0 WHERE file = ?1", &stmt));
        pg_stmt_bind_i64(stmt, 1, number);
        PG_TRY(pg_stmt_run(stmt));
        PG_TRY(pg_db_prepare(conn, "DELETE FROM file WHERE id = ?1", &stmt));
        pg_stmt_bind_i64(stmt, 1, number);
        PG_TRY(pg_stmt_run(stmt));
    }
    PG_TRY(pg_db_prepare(conn, "INSERT OR IGNORE INTO catalogue_removed VALUES (?1, ?2)", &stmt));
    pg_stmt_bind_blob(stmt, 1, pg_cid_bytes(&job->removed->root));
    pg_stmt_bind_i64(stmt, 2, (int64_t) job->removed->removed_s);
    PG_TRY(pg_stmt_run(stmt));
    job->is_new = number != 0 || pg_db_changes(conn) > 0;
    return PG_OK;
}

pg_err pg_catalogue_import_removed(pg_db *db, const pg_snapshot_removed *removed, bool *out_is_new)
{
    import_job job = {.removed = removed};
    PG_TRY(pg_db_write(db, import_removed_run, &job));
    *out_is_new = job.is_new;
    return PG_OK;
}

/** A list of what was removed. */
typedef struct removed_list {
    pg_snapshot_removed *items;
    size_t count;
    size_t room;
    uint64_t since_s;
} removed_list;

static pg_err removed_job(pg_db_conn *conn, void *arg)
{
    removed_list *list = arg;
    pg_stmt *stmt = NULL;
    pg_err err = PG_OK;
    PG_TRY(pg_db_prepare(conn, "DELETE FROM catalogue_removed WHERE removed_s < ?1", &stmt));
    pg_stmt_bind_i64(stmt, 1, (int64_t) list->since_s);
    PG_TRY(pg_stmt_run(stmt));
    PG_TRY(
        pg_db_prepare(conn, "SELECT root, removed_s FROM catalogue_removed ORDER BY root", &stmt));
    while (pg_stmt_next(stmt, &err)) {
        if (list->count == list->room) {
            size_t room = 2 * list->room + 16;
            void *items = pg_realloc(list->items, room * sizeof(*list->items));
            if (items == NULL) {
                return PG_ERR_NOMEM;
            }
            list->items = items;
            list->room = room;
        }
        pg_snapshot_removed *item = &list->items[list->count++];
        PG_TRY(pg_cid_decode(pg_stmt_blob(stmt, 0), &item->root));
        item->removed_s = (uint64_t) pg_stmt_i64(stmt, 1);
    }
    return err;
}

pg_err pg_catalogue_removed(pg_db *db, uint64_t since_s, pg_snapshot_removed **out_removed,
                            size_t *out_count)
{
    removed_list list = {.since_s = since_s};
    pg_err err = pg_db_write(db, removed_job, &list);
    if (err != PG_OK) {
        pg_mfree(list.items);
        return err;
    }
    *out_removed = list.items;
    *out_count = list.count;
    return PG_OK;
}
