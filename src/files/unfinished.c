// SPDX-License-Identifier: Apache-2.0
#include "files/unfinished.h"

#include "files/catalogue_priv.h"
#include "runtime/random.h"
#include "runtime/time.h"
#include "store/stmt.h"

const char *const pg_files_schema_4 =
    "CREATE TABLE file_put (file INTEGER PRIMARY KEY, source BLOB NOT NULL UNIQUE,"
    " version BLOB NOT NULL, key BLOB NOT NULL, data INTEGER NOT NULL, parity INTEGER NOT NULL,"
    " saved_s INTEGER NOT NULL, size INTEGER, packed INTEGER, shards INTEGER, shared INTEGER,"
    " extents INTEGER, segments INTEGER, stored INTEGER, list BLOB, open BLOB, hosts BLOB)";

const char *const pg_files_schema_7 =
    "CREATE TABLE file_done (source BLOB PRIMARY KEY, version BLOB NOT NULL, file INTEGER NOT NULL,"
    " done_s INTEGER NOT NULL) WITHOUT ROWID;"
    "CREATE INDEX file_done_file ON file_done (file)";

void pg_unfinished_deinit(pg_unfinished *put)
{
    pg_key_wipe(&put->key);
    pg_buf_deinit(&put->list);
    pg_buf_deinit(&put->open);
    pg_buf_deinit(&put->hosts);
}

/** A row and whose it is. */
typedef struct row_job {
    const uint8_t *source;
    bool is_nobodys; // found by its file alone, its version is empty
    int64_t file;
    const pg_unfinished *put;
    pg_unfinished *out;
} row_job;

static pg_err begin_job(pg_db_conn *conn, void *arg)
{
    const row_job *job = arg;
    pg_stmt *stmt = NULL;
    PG_TRY(pg_db_prepare(conn,
                         "INSERT INTO file_put (file, source, version, key, data, parity, saved_s)"
                         " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
                         &stmt));
    pg_stmt_bind_i64(stmt, 1, job->put->file);
    pg_stmt_bind_blob(stmt, 2, pg_bytes_make(job->source, PG_PUT_SOURCE_BYTES));
    pg_stmt_bind_blob(stmt, 3, job->is_nobodys ? PG_BYTES_EMPTY : PG_BYTES_OF(job->put->version));
    pg_stmt_bind_blob(stmt, 4, pg_key_bytes(&job->put->key));
    pg_stmt_bind_i64(stmt, 5, job->put->code.data);
    pg_stmt_bind_i64(stmt, 6, job->put->code.parity);
    pg_stmt_bind_i64(stmt, 7, 0); // nothing to go on with: the next start takes it out
    return pg_stmt_run(stmt);
}

pg_err pg_unfinished_begin(pg_db *db, const uint8_t *source, const pg_unfinished *put)
{
    uint8_t nobodys[PG_PUT_SOURCE_BYTES];
    row_job job = {.source = source, .put = put};
    if (source == NULL) {
        pg_random_bytes(PG_MUT_BYTES_OF(nobodys));
        job.source = nobodys;
        job.is_nobodys = true;
    }
    return pg_db_write(db, begin_job, &job);
}

static pg_err save_job(pg_db_conn *conn, void *arg)
{
    const pg_unfinished *put = arg;
    pg_stmt *stmt = NULL;
    PG_TRY(pg_db_prepare(conn,
                         "UPDATE file_put SET saved_s = ?2, size = ?3, packed = ?4, shards = ?5,"
                         " shared = ?6, extents = ?7, segments = ?8, stored = ?9, list = ?10,"
                         " open = ?11, hosts = ?12 WHERE file = ?1",
                         &stmt));
    pg_stmt_bind_i64(stmt, 1, put->file);
    pg_stmt_bind_i64(stmt, 2, pg_wall_ms() / 1000);
    pg_stmt_bind_i64(stmt, 3, (int64_t) put->totals.size_bytes);
    pg_stmt_bind_i64(stmt, 4, (int64_t) put->totals.packed_bytes);
    pg_stmt_bind_i64(stmt, 5, (int64_t) put->totals.shards_bytes);
    pg_stmt_bind_i64(stmt, 6, (int64_t) put->totals.shared_bytes);
    pg_stmt_bind_i64(stmt, 7, (int64_t) put->totals.extents);
    pg_stmt_bind_i64(stmt, 8, (int64_t) put->totals.segments);
    pg_stmt_bind_i64(stmt, 9, (int64_t) put->stored_bytes);
    pg_stmt_bind_blob(stmt, 10, pg_buf_bytes(&put->list));
    pg_stmt_bind_blob(stmt, 11, pg_buf_bytes(&put->open));
    pg_stmt_bind_blob(stmt, 12, pg_buf_bytes(&put->hosts));
    return pg_stmt_run(stmt);
}

pg_err pg_unfinished_save(pg_db *db, const pg_unfinished *put)
{
    pg_unfinished copy = *put; // the database's thread reads it; its caller waits
    return pg_db_write(db, save_job, &copy);
}

static pg_err row_read(pg_stmt *stmt, pg_unfinished *out)
{
    out->file = pg_stmt_i64(stmt, 0);
    if (pg_stmt_blob(stmt, 1).len > 0) {
        PG_TRY(pg_catalogue_bytes_read(stmt, 1, out->version, sizeof(out->version)));
    }
    PG_TRY(pg_catalogue_bytes_read(stmt, 2, out->key.bytes, PG_KEY_BYTES));
    out->code = (pg_code){(uint8_t) pg_stmt_i64(stmt, 3), (uint8_t) pg_stmt_i64(stmt, 4)};
    if (pg_stmt_i64(stmt, 5) == 0) {
        return PG_OK; // begun, and no more
    }
    out->totals = (pg_files_encoded){
        .size_bytes = (uint64_t) pg_stmt_i64(stmt, 6),
        .packed_bytes = (uint64_t) pg_stmt_i64(stmt, 7),
        .shards_bytes = (uint64_t) pg_stmt_i64(stmt, 8),
        .shared_bytes = (uint64_t) pg_stmt_i64(stmt, 9),
        .extents = (uint64_t) pg_stmt_i64(stmt, 10),
        .segments = (uint64_t) pg_stmt_i64(stmt, 11),
    };
    out->stored_bytes = (uint64_t) pg_stmt_i64(stmt, 12);
    PG_TRY(pg_buf_append(&out->list, pg_stmt_blob(stmt, 13)));
    PG_TRY(pg_buf_append(&out->open, pg_stmt_blob(stmt, 14)));
    return pg_buf_append(&out->hosts, pg_stmt_blob(stmt, 15));
}

static pg_err find_job(pg_db_conn *conn, void *arg)
{
    const row_job *job = arg;
    pg_stmt *stmt = NULL;
    pg_err err = PG_OK;
    PG_TRY(pg_db_prepare(conn,
                         "SELECT file, version, key, data, parity, saved_s, size, packed, shards,"
                         " shared, extents, segments, stored, list, open, hosts"
                         " FROM file_put WHERE source = ?1 OR file = ?2",
                         &stmt));
    if (job->source != NULL) {
        pg_stmt_bind_blob(stmt, 1, pg_bytes_make(job->source, PG_PUT_SOURCE_BYTES));
    } else {
        pg_stmt_bind_i64(stmt, 2, job->file);
    }
    if (!pg_stmt_next(stmt, &err)) {
        return err != PG_OK ? err : pg_fail(PG_ERR_NOT_FOUND, "no such put");
    }
    return row_read(stmt, job->out);
}

static pg_err find(pg_db *db, row_job *job, pg_unfinished *out_put)
{
    pg_unfinished put = {.file = 0};
    job->out = &put;
    pg_err err = pg_db_read(db, find_job, job);
    if (err != PG_OK) {
        pg_unfinished_deinit(&put);
        return err;
    }
    *out_put = put;
    return PG_OK;
}

pg_err pg_unfinished_find(pg_db *db, const uint8_t source[PG_PUT_SOURCE_BYTES],
                          pg_unfinished *out_put)
{
    row_job job = {.source = source};
    return find(db, &job, out_put);
}

pg_err pg_unfinished_of(pg_db *db, int64_t file, pg_unfinished *out_put)
{
    row_job job = {.file = file};
    return find(db, &job, out_put);
}

static pg_err forget_job(pg_db_conn *conn, void *arg)
{
    pg_stmt *stmt = NULL;
    PG_TRY(pg_db_prepare(conn, "DELETE FROM file_put WHERE file = ?1", &stmt));
    pg_stmt_bind_i64(stmt, 1, *(const int64_t *) arg);
    return pg_stmt_run(stmt);
}

pg_err pg_unfinished_forget(pg_db *db, int64_t file)
{
    return pg_db_write_freeing(db, forget_job, &file);
}

/** Rows being listed. */
typedef struct list_job {
    int64_t before_s; // 0 = those that nobody can go on with
    pg_buf files;     // int64_t
} list_job;

static pg_err list_run(pg_db_conn *conn, void *arg)
{
    list_job *job = arg;
    pg_stmt *stmt = NULL;
    pg_err err = PG_OK;
    if (job->before_s == 0) {
        PG_TRY(pg_db_prepare(conn, "SELECT file FROM file_put WHERE length(version) = 0 LIMIT 1000",
                             &stmt));
    } else {
        PG_TRY(pg_db_prepare(
            conn, "SELECT file FROM file_put WHERE saved_s > 0 AND saved_s < ?1 LIMIT 1000",
            &stmt));
        pg_stmt_bind_i64(stmt, 1, job->before_s);
    }
    while (pg_stmt_next(stmt, &err)) {
        int64_t file = pg_stmt_i64(stmt, 0);
        PG_TRY(pg_buf_append(&job->files, pg_bytes_make(&file, sizeof(file))));
    }
    return err;
}

static pg_err list(pg_db *db, int64_t before_s, int64_t **out_files, size_t *out_count)
{
    list_job job = {.before_s = before_s};
    pg_err err = pg_db_read(db, list_run, &job);
    if (err != PG_OK) {
        pg_buf_deinit(&job.files);
        return err;
    }
    *out_files = (int64_t *) (void *) job.files.ptr;
    *out_count = job.files.len / sizeof(int64_t);
    return PG_OK;
}

pg_err pg_unfinished_old(pg_db *db, int64_t before_s, int64_t **out_files, size_t *out_count)
{
    return list(db, before_s, out_files, out_count);
}

pg_err pg_unfinished_left(pg_db *db, int64_t **out_files, size_t *out_count)
{
    return list(db, 0, out_files, out_count);
}

static pg_err hosts_job(pg_db_conn *conn, void *arg)
{
    const pg_unfinished *put = arg;
    pg_stmt *stmt = NULL;
    PG_TRY(pg_db_prepare(conn, "UPDATE file_put SET hosts = ?2 WHERE file = ?1", &stmt));
    pg_stmt_bind_i64(stmt, 1, put->file);
    pg_stmt_bind_blob(stmt, 2, pg_buf_bytes(&put->hosts));
    return pg_stmt_run(stmt);
}

pg_err pg_unfinished_hosts_save(pg_db *db, const pg_unfinished *put)
{
    pg_unfinished copy = *put; // the database's thread reads it; its caller waits
    return pg_db_write(db, hosts_job, &copy);
}

static pg_err expire_job(pg_db_conn *conn, void *arg)
{
    pg_stmt *stmt = NULL;
    PG_TRY(pg_db_prepare(conn, "DELETE FROM file_put WHERE saved_s < ?1", &stmt));
    pg_stmt_bind_i64(stmt, 1, *(const int64_t *) arg);
    return pg_stmt_run(stmt);
}

pg_err pg_unfinished_expire(pg_db *db, int64_t before_s)
{
    return pg_db_write_freeing(db, expire_job, &before_s);
}

// ---- Puts that are finished

pg_err pg_finished_write(pg_db_conn *conn, int64_t file, const pg_put_origin *origin)
{
    pg_stmt *stmt = NULL;
    PG_TRY(pg_db_prepare(conn,
                         "INSERT OR REPLACE INTO file_done (source, version, file, done_s)"
                         " VALUES (?1, ?2, ?3, ?4)",
                         &stmt));
    pg_stmt_bind_blob(stmt, 1, PG_BYTES_OF(origin->source));
    pg_stmt_bind_blob(stmt, 2, PG_BYTES_OF(origin->version));
    pg_stmt_bind_i64(stmt, 3, file);
    pg_stmt_bind_i64(stmt, 4, pg_wall_ms() / 1000);
    return pg_stmt_run(stmt);
}

pg_err pg_finished_drop(pg_db_conn *conn, int64_t file)
{
    pg_stmt *stmt = NULL;
    PG_TRY(pg_db_prepare(conn, "DELETE FROM file_done WHERE file = ?1", &stmt));
    pg_stmt_bind_i64(stmt, 1, file);
    return pg_stmt_run(stmt);
}

/** One that is looked for. */
typedef struct finished_job {
    const uint8_t *source;
    pg_finished found;
} finished_job;

static pg_err finished_find_job(pg_db_conn *conn, void *arg)
{
    finished_job *job = arg;
    pg_stmt *stmt = NULL;
    pg_err err = PG_OK;
    PG_TRY(pg_db_prepare(conn, "SELECT version, file, done_s FROM file_done WHERE source = ?1",
                         &stmt));
    pg_stmt_bind_blob(stmt, 1, pg_bytes_make(job->source, PG_PUT_SOURCE_BYTES));
    if (!pg_stmt_next(stmt, &err)) {
        return err != PG_OK ? err : pg_fail(PG_ERR_NOT_FOUND, "no put of this source");
    }
    job->found.file = pg_stmt_i64(stmt, 1);
    job->found.done_s = pg_stmt_i64(stmt, 2);
    return pg_catalogue_bytes_read(stmt, 0, job->found.version, sizeof(job->found.version));
}

pg_err pg_finished_find(pg_db *db, const uint8_t source[PG_PUT_SOURCE_BYTES], pg_finished *out_put)
{
    finished_job job = {.source = source};
    PG_TRY(pg_db_read(db, finished_find_job, &job));
    *out_put = job.found;
    return PG_OK;
}

static pg_err finished_expire_job(pg_db_conn *conn, void *arg)
{
    pg_stmt *stmt = NULL;
    PG_TRY(pg_db_prepare(conn, "DELETE FROM file_done WHERE done_s < ?1", &stmt));
    pg_stmt_bind_i64(stmt, 1, *(const int64_t *) arg);
    return pg_stmt_run(stmt);
}

pg_err pg_finished_expire(pg_db *db, int64_t before_s)
{
    return pg_db_write_freeing(db, finished_expire_job, &before_s);
}

// ---- Hosts: for each a length, a PeerId, four bytes of slots

pg_err pg_unfinished_hosts_write(const pg_catalogue_extent *extent, pg_buf *out)
{
    pg_buf_clear(out);
    for (size_t i = 0; i < extent->holder_count; i++) {
        uint8_t space[1 + PG_PEER_ID_BYTES_MAX + 4];
        pg_writer writer = pg_writer_make(PG_MUT_BYTES_OF(space));
        pg_writer_u8(&writer, (uint8_t) extent->holders[i].peer.len);
        pg_writer_put(&writer, pg_peer_id_bytes(&extent->holders[i].peer));
        pg_writer_u32be(&writer, extent->holders[i].slots);
        PG_TRY(pg_buf_append(out, pg_writer_bytes(&writer)));
    }
    return PG_OK;
}

pg_err pg_unfinished_hosts_read(pg_bytes in, pg_catalogue_extent *extent)
{
    pg_reader reader = pg_reader_make(in);
    extent->holder_count = 0;
    while (reader.rest.len > 0) {
        uint8_t len = pg_reader_u8(&reader);
        pg_bytes peer = pg_reader_take(&reader, len);
        uint32_t slots = pg_reader_u32be(&reader);
        if (reader.failed || extent->holder_count == PG_PLACE_SLOTS_MAX) {
            return pg_fail(PG_ERR_CORRUPT, "unfinished put: its hosts cannot be read");
        }
        pg_catalogue_holder *holder = &extent->holders[extent->holder_count++];
        *holder = (pg_catalogue_holder){.slots = slots};
        PG_TRY(pg_peer_id_decode(peer, &holder->peer));
    }
    return PG_OK;
}
