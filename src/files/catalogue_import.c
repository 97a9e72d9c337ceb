// SPDX-License-Identifier: Apache-2.0
#include "files/catalogue_import.h"

#include "files/catalogue_priv.h"
#include "files/limits.h"
#include "files/pin_shared.h"

// ---- Files

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
    pg_stmt_bind_i64(stmt, 1, PG_FILE_STATE_COMPLETE); // its extents tell
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

/** Take over what another device did with an extent later than we did. */
static pg_err extent_renew(pg_import *self, const pg_catalogue_extent *extent)
{
    pg_db_conn *conn = self->conn;
    pg_stmt *stmt = NULL;
    pg_err err = PG_OK;
    PG_TRY(pg_db_prepare(conn,
                         "SELECT id, local FROM file_extent WHERE file = ?1 AND descriptor = ?2"
                         " AND sequence < ?3",
                         &stmt));
    pg_stmt_bind_i64(stmt, 1, self->file);
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
    self->is_changed = true;
    return local != 0 ? PG_OK : pg_catalogue_holders_put(conn, extent, id);
}

/** All extents of the file came. */
static pg_err file_done(pg_import *self)
{
    self->changed += self->is_changed ? 1 : 0;
    if (self->file == 0 || self->is_known || self->state == PG_FILE_STATE_COMPLETE) {
        return PG_OK;
    }
    pg_stmt *stmt = NULL;
    PG_TRY(pg_db_prepare(self->conn, "UPDATE file SET state = ?2 WHERE id = ?1", &stmt));
    pg_stmt_bind_i64(stmt, 1, self->file);
    pg_stmt_bind_i64(stmt, 2, self->state);
    return pg_stmt_run(stmt);
}

static pg_err on_file(const pg_snapshot_file *file, void *user)
{
    pg_import *self = user;
    bool is_gone = false;
    self->file = 0;
    self->is_known = false;
    self->is_changed = false;
    self->extents_left = file->placed_count;
    self->state = PG_FILE_STATE_COMPLETE;
    PG_TRY(is_removed(self->conn, &file->link.root, &is_gone));
    if (!is_gone) {
        PG_TRY(file_of(self->conn, &file->link.root, &self->file));
        self->is_known = self->file != 0;
    }
    if (!is_gone && !self->is_known) {
        self->is_changed = true;
        PG_TRY(file_insert(self->conn, file, &self->file));
    }
    return self->extents_left == 0 ? file_done(self) : PG_OK;
}

static pg_err extent_take(pg_import *self, const pg_catalogue_extent *extent)
{
    int64_t id = 0;
    if (self->is_known) {
        return extent_renew(self, extent);
    }
    pg_file_state state = pg_catalogue_state_of(extent, 1);
    self->state = state < self->state ? state : self->state;
    return pg_catalogue_extent_put(self->conn, self->file, extent, &id);
}

static pg_err on_extent(const pg_catalogue_extent *extent, void *user)
{
    pg_import *self = user;
    if (self->file != 0) {
        PG_TRY(extent_take(self, extent));
    }
    self->extents_left--;
    return self->extents_left == 0 ? file_done(self) : PG_OK;
}

// ---- What was removed, and pins

static pg_err file_drop(pg_db_conn *conn, int64_t file)
{
    static const char *const steps[] = {"UPDATE file_extent SET file = 0 WHERE file = ?1",
                                        "DELETE FROM file WHERE id = ?1"};
    for (size_t i = 0; i < PG_ARRAY_LEN(steps); i++) {
        pg_stmt *stmt = NULL;
        PG_TRY(pg_db_prepare(conn, steps[i], &stmt));
        pg_stmt_bind_i64(stmt, 1, file);
        PG_TRY(pg_stmt_run(stmt));
    }
    return PG_OK;
}

static pg_err on_removed(const pg_snapshot_removed *removed, void *user)
{
    pg_import *self = user;
    int64_t file = 0;
    pg_stmt *stmt = NULL;
    PG_TRY(file_of(self->conn, &removed->root, &file));
    if (file != 0) {
        PG_TRY(file_drop(self->conn, file));
    }
    PG_TRY(pg_db_prepare(self->conn, "INSERT OR IGNORE INTO catalogue_removed VALUES (?1, ?2)",
                         &stmt));
    pg_stmt_bind_blob(stmt, 1, pg_cid_bytes(&removed->root));
    pg_stmt_bind_i64(stmt, 2, (int64_t) removed->removed_s);
    PG_TRY(pg_stmt_run(stmt));
    self->changed += file != 0 || pg_db_changes(self->conn) > 0 ? 1 : 0;
    return PG_OK;
}

static pg_err on_pin(const pg_snapshot_pin *pin, void *user)
{
    pg_import *self = user;
    bool is_new = false;
    PG_TRY(pg_pin_shared_take(self->conn, pin, self->is_adopting, &is_new));
    self->changed += is_new ? 1 : 0;
    self->has_pins |= pin->is_pinned;
    return PG_OK;
}

// ---- Parts

/** A step of a part. */
typedef struct step_job {
    pg_import *self;
    pg_bytes bytes;
} step_job;

static pg_err step_run(pg_db_conn *conn, void *arg)
{
    const step_job *job = arg;
    job->self->conn = conn;
    return pg_snapshot_decode(&job->self->decoder, job->bytes);
}

void pg_import_init(pg_import *self, bool is_adopting)
{
    *self = (pg_import){.is_adopting = is_adopting,
                        .visitor = {on_file, on_extent, on_removed, on_pin, self}};
    pg_snapshot_decoder_init(&self->decoder, &self->visitor);
}

pg_err pg_import_part(pg_import *self, pg_db *db, pg_bytes part)
{
    while (part.len > 0) {
        step_job job = {self, pg_bytes_slice(part, 0, PG_SNAPSHOT_STEP_BYTES)};
        PG_TRY(pg_db_write(db, step_run, &job));
        part = pg_bytes_slice(part, job.bytes.len, part.len);
    }
    return PG_OK;
}

pg_err pg_import_end(const pg_import *self)
{
    return pg_snapshot_decode_end(&self->decoder);
}

void pg_import_deinit(pg_import *self)
{
    pg_snapshot_decoder_deinit(&self->decoder);
}
