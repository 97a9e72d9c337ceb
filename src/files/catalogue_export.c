// SPDX-License-Identifier: Apache-2.0
#include "files/catalogue_export.h"

#include "files/catalogue_priv.h"
#include "files/limits.h"
#include "files/pin_shared.h"
#include "store/stmt.h"

static pg_err forget_job(pg_db_conn *conn, void *arg)
{
    const uint64_t *since_s = arg;
    pg_stmt *stmt = NULL;
    PG_TRY(pg_db_prepare(conn, "DELETE FROM catalogue_removed WHERE removed_s < ?1", &stmt));
    pg_stmt_bind_i64(stmt, 1, (int64_t) *since_s);
    PG_TRY(pg_stmt_run(stmt));
    return pg_pin_shared_forget(conn, *since_s * 1000);
}

pg_err pg_export_forget(pg_db *db, uint64_t since_s)
{
    return pg_db_write(db, forget_job, &since_s);
}

pg_err pg_export_fail_too_large(uint64_t bytes_max)
{
    return pg_fail(PG_ERR_LIMIT,
                   "the list of files and pins has more than %llu bytes, or one file of it more "
                   "than %u, which is what a restored node reads: no copy of it is made until some "
                   "are removed",
                   (unsigned long long) bytes_max, PG_SNAPSHOT_RECORD_BYTES_MAX);
}

static pg_err too_large(pg_export *self)
{
    self->is_too_large = true;
    return pg_export_fail_too_large(self->bytes_max);
}

// ---- Rows as records

static pg_err on_extent(const pg_catalogue_extent *extent, void *user)
{
    pg_export *self = user;
    self->is_left_out |= !pg_catalogue_is_on_hosts(extent);
    if (self->is_left_out) {
        return PG_OK;
    }
    PG_TRY(pg_snapshot_extent_add(&self->page, extent));
    bool is_long = self->page.len - self->record_start > PG_SNAPSHOT_RECORD_BYTES_MAX;
    return is_long ? too_large(self) : PG_OK;
}

static pg_err file_read(pg_stmt *stmt, pg_snapshot_file *file)
{
    PG_TRY(pg_cid_decode(pg_stmt_blob(stmt, 0), &file->link.root));
    PG_TRY(pg_catalogue_bytes_read(stmt, 1, file->link.key.bytes, PG_KEY_BYTES));
    file->name = pg_stmt_blob(stmt, 2);
    file->kind = (pg_file_kind) pg_stmt_i64(stmt, 3);
    file->code = (pg_code){(uint8_t) pg_stmt_i64(stmt, 4), (uint8_t) pg_stmt_i64(stmt, 5)};
    file->size_bytes = (uint64_t) pg_stmt_i64(stmt, 6);
    file->packed_bytes = (uint64_t) pg_stmt_i64(stmt, 7);
    file->stored_bytes = (uint64_t) pg_stmt_i64(stmt, 8);
    file->extents = (uint64_t) pg_stmt_i64(stmt, 9);
    file->segments = (uint64_t) pg_stmt_i64(stmt, 10);
    int64_t put_ms = pg_stmt_i64(stmt, 11);
    file->put_ms = (uint64_t) (put_ms > 0 ? put_ms : 0);
    file->ttl_s = (uint64_t) pg_stmt_i64(stmt, 12);
    file->placed_count = (uint32_t) pg_stmt_i64(stmt, 14);
    return PG_OK;
}

/** Append a file with its extents, or nothing. */
static pg_err file_write(pg_export *self, pg_db_conn *conn, pg_stmt *stmt)
{
    pg_snapshot_file file = {.put_ms = 0};
    PG_TRY(file_read(stmt, &file));
    self->record_start = self->page.len;
    self->is_left_out = file.placed_count == 0;
    pg_err err = pg_snapshot_file_add(&self->page, &file);
    self->last = file.link.root;
    pg_link_wipe(&file.link);
    PG_TRY(err);
    PG_TRY(pg_catalogue_extents_each(conn, pg_stmt_i64(stmt, 13), on_extent, self));
    if (self->is_left_out) {
        self->page.len = self->record_start;
    }
    return PG_OK;
}

static pg_err files_page(pg_export *self, pg_db_conn *conn, bool *out_end)
{
    pg_stmt *stmt = NULL;
    pg_err err = PG_OK;
    PG_TRY(pg_db_prepare(conn,
                         "SELECT root, key, name, kind, data, parity, size, packed, stored,"
                         " extents, segments, put_ms, ttl_s, id, (SELECT count(*) FROM file_extent"
                         " WHERE file_extent.file = file.id) FROM file WHERE state >= 0"
                         " AND root > ?1" PG_CATALOGUE_NO_VERSION " ORDER BY root",
                         &stmt));
    pg_stmt_bind_blob(stmt, 1, pg_cid_bytes(&self->last));
    *out_end = false;
    while (self->page.len < PG_SNAPSHOT_STEP_BYTES) {
        if (!pg_stmt_next(stmt, &err)) {
            *out_end = true;
            return err;
        }
        PG_TRY(file_write(self, conn, stmt));
    }
    return PG_OK;
}

static pg_err removed_page(pg_export *self, pg_db_conn *conn, bool *out_end)
{
    pg_stmt *stmt = NULL;
    pg_err err = PG_OK;
    PG_TRY(pg_db_prepare(
        conn, "SELECT root, removed_s FROM catalogue_removed WHERE root > ?1 ORDER BY root",
        &stmt));
    pg_stmt_bind_blob(stmt, 1, pg_cid_bytes(&self->last));
    *out_end = false;
    while (self->page.len < PG_SNAPSHOT_STEP_BYTES) {
        if (!pg_stmt_next(stmt, &err)) {
            *out_end = true;
            return err;
        }
        pg_snapshot_removed removed = {.removed_s = (uint64_t) pg_stmt_i64(stmt, 1)};
        PG_TRY(pg_cid_decode(pg_stmt_blob(stmt, 0), &removed.root));
        PG_TRY(pg_snapshot_removed_add(&self->page, &removed));
        self->last = removed.root;
    }
    return PG_OK;
}

// The version at the front says whether there are pins. One that came meanwhile is left to the next snapshot; that all go cannot be, since
// what was let go of is forgotten before a reading, not in it.
static pg_err pins_page(pg_export *self, pg_db_conn *conn, bool *out_end)
{
    *out_end = !self->has_pins;
    if (*out_end) {
        return PG_OK;
    }
    bool is_first = self->last.len == 0;
    PG_TRY(pg_pin_shared_page(conn, &self->last, PG_SNAPSHOT_STEP_BYTES, &self->page, out_end));
    if (is_first && self->last.len == 0) {
        return pg_fail(PG_ERR_CHANGED, "the pins went while the catalogue was read");
    }
    return PG_OK;
}

// ---- Pages

static pg_err begin_page(pg_export *self, pg_db_conn *conn)
{
    PG_TRY(pg_pin_shared_any(conn, &self->has_pins));
    return pg_snapshot_begin(&self->page, self->has_pins);
}

static pg_err page_job(pg_db_conn *conn, void *arg)
{
    pg_export *self = arg;
    bool is_end = true;
    pg_err err = PG_OK;
    switch (self->stage) {
    case PG_EXPORT_STAGE_BEGIN:
        err = begin_page(self, conn);
        break;
    case PG_EXPORT_STAGE_FILES:
        err = files_page(self, conn, &is_end);
        break;
    case PG_EXPORT_STAGE_REMOVED:
        err = removed_page(self, conn, &is_end);
        break;
    case PG_EXPORT_STAGE_PINS:
        err = pins_page(self, conn, &is_end);
        break;
    case PG_EXPORT_STAGE_END:
    case PG_EXPORT_STAGE_DONE:
        err = pg_snapshot_end(&self->page);
        break;
    }
    if (err == PG_OK && is_end) {
        self->stage++;
        self->last = (pg_cid){.len = 0};
    }
    return err;
}

static pg_err page_next(pg_export *self)
{
    bool has_records = self->stage != PG_EXPORT_STAGE_BEGIN && self->stage != PG_EXPORT_STAGE_END;
    pg_buf_clear(&self->page);
    self->taken = 0;
    PG_TRY(pg_db_read(self->db, page_job, self));
    self->is_empty &= !has_records || self->page.len == 0;
    self->bytes += self->page.len;
    pg_sha256_stream_update(&self->digest, pg_buf_bytes(&self->page));
    return self->bytes > self->bytes_max ? too_large(self) : PG_OK;
}

pg_err pg_export_init(pg_export *self, pg_db *db, uint64_t bytes_max)
{
    *self = (pg_export){.db = db, .bytes_max = bytes_max, .is_empty = true};
    return pg_sha256_stream_init(&self->digest);
}

pg_err pg_export_read(pg_mut_bytes space, pg_time deadline, size_t *out_len, void *user)
{
    (void) deadline; // the database is always there
    pg_export *self = user;
    size_t len = 0;
    while (len < space.len) {
        pg_bytes rest = pg_bytes_slice(pg_buf_bytes(&self->page), self->taken, self->page.len);
        if (rest.len > 0) {
            size_t got = pg_bytes_read(&rest, pg_mut_bytes_make(space.ptr + len, space.len - len));
            self->taken += got;
            len += got;
        } else if (self->stage == PG_EXPORT_STAGE_DONE) {
            break;
        } else {
            PG_TRY(page_next(self));
        }
    }
    *out_len = len;
    return PG_OK;
}

void pg_export_digest(pg_export *self, uint8_t out_digest[PG_HASH_BYTES])
{
    pg_sha256_stream_final(&self->digest, out_digest);
}

void pg_export_deinit(pg_export *self)
{
    if (self->page.ptr != NULL) {
        pg_wipe(self->page.ptr, self->page.cap);
    }
    pg_buf_deinit(&self->page);
    pg_sha256_stream_deinit(&self->digest);
}
