// SPDX-License-Identifier: Apache-2.0
#include "files/catalogue.h"

#include <string.h>

#include "base/mem.h"
#include "files/catalogue_priv.h"
#include "files/host_set.h"
#include "files/limits.h"
#include "runtime/time.h"
#include "store/stmt.h"

const char *const pg_files_schema_1 =
    "CREATE TABLE file (id INTEGER PRIMARY KEY AUTOINCREMENT, state INTEGER NOT NULL, root BLOB "
    "UNIQUE,"
    " key BLOB, name BLOB, kind INTEGER, data INTEGER, parity INTEGER, size INTEGER,"
    " packed INTEGER, stored INTEGER, extents INTEGER, segments INTEGER, put_ms INTEGER, ttl_s "
    "INTEGER);"
    "CREATE TABLE file_extent (id INTEGER PRIMARY KEY AUTOINCREMENT, file INTEGER NOT NULL,"
    " descriptor BLOB NOT NULL, extent_id BLOB NOT NULL, root BLOB, whole INTEGER NOT NULL,"
    " data INTEGER NOT NULL, parity INTEGER NOT NULL, slot_bytes INTEGER NOT NULL,"
    " sequence INTEGER NOT NULL, expiry_s INTEGER NOT NULL, local INTEGER NOT NULL);"
    "CREATE INDEX file_extent_file ON file_extent (file);"
    "CREATE TABLE file_holder (extent INTEGER NOT NULL, peer BLOB NOT NULL, slots INTEGER NOT NULL,"
    " bytes INTEGER NOT NULL, missed INTEGER NOT NULL, PRIMARY KEY (extent, peer)) WITHOUT ROWID;"
    "CREATE TABLE file_pin (cid BLOB PRIMARY KEY, len INTEGER NOT NULL) WITHOUT ROWID;"
    "CREATE TABLE file_cache (place INTEGER PRIMARY KEY, cid BLOB NOT NULL, len INTEGER NOT NULL)";

const char *const pg_files_schema_6 =
    "ALTER TABLE file_extent ADD COLUMN strays INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE file_extent ADD COLUMN dropped INTEGER NOT NULL DEFAULT 0";

#define NO_VERSION PG_CATALOGUE_NO_VERSION

// Files whose put can be gone on with (unfinished.h).
#define GOES_ON "(SELECT file FROM file_put WHERE length(version) > 0)"

// ---- Reading columns

static pg_err cid_read(pg_stmt *stmt, int column, pg_cid *out_cid)
{
    *out_cid = (pg_cid){.len = 0};
    return pg_stmt_is_null(stmt, column) ? PG_OK
                                         : pg_cid_decode(pg_stmt_blob(stmt, column), out_cid);
}

pg_err pg_catalogue_bytes_read(pg_stmt *stmt, int column, uint8_t *out, size_t len)
{
    pg_bytes bytes = pg_stmt_blob(stmt, column);
    if (bytes.len != len) {
        return pg_fail(PG_ERR_CORRUPT, "catalogue: a column of %zu bytes, not %zu", bytes.len, len);
    }
    memcpy(out, bytes.ptr, len);
    return PG_OK;
}

static uint64_t u64_read(pg_stmt *stmt, int column)
{
    return (uint64_t) pg_stmt_i64(stmt, column);
}

// ---- Files

static pg_err begin_job(pg_db_conn *conn, void *arg)
{
    pg_stmt *stmt = NULL;
    PG_TRY(pg_db_prepare(conn, "INSERT INTO file (state) VALUES (-1)", &stmt));
    PG_TRY(pg_stmt_run(stmt));
    *(int64_t *) arg = pg_db_last_id(conn);
    return PG_OK;
}

pg_err pg_catalogue_begin(pg_db *db, int64_t *out_file)
{
    return pg_db_write(db, begin_job, out_file);
}

/** A file and what is to be done with it. */
typedef struct file_job {
    int64_t file;
    const pg_file_entry *entry;
    pg_file_entry *out;
    int64_t state;
    int64_t removed_s; // wall clock
    const pg_cid *root;
    const pg_put_origin *origin;
} file_job;

// What a put could have been gone on with goes with its end.
static pg_err unfinished_drop(pg_db_conn *conn, int64_t file)
{
    pg_stmt *stmt = NULL;
    PG_TRY(pg_db_prepare(conn, "DELETE FROM file_put WHERE file = ?1", &stmt));
    pg_stmt_bind_i64(stmt, 1, file);
    return pg_stmt_run(stmt);
}

static pg_err finish_job(pg_db_conn *conn, void *arg)
{
    const file_job *job = arg;
    const pg_file_entry *entry = job->entry;
    pg_stmt *stmt = NULL;
    PG_TRY(unfinished_drop(conn, job->file));
    if (job->origin != NULL) {
        PG_TRY(pg_finished_write(conn, job->file, job->origin));
    }
    PG_TRY(pg_db_prepare(conn,
                         "UPDATE file SET state = ?2, root = ?3, key = ?4, name = ?5, kind = ?6,"
                         " data = ?7, parity = ?8, size = ?9, packed = ?10, stored = ?11,"
                         " extents = ?12, segments = ?13, put_ms = ?14, ttl_s = ?15 WHERE id = ?1",
                         &stmt));
    pg_stmt_bind_i64(stmt, 1, job->file);
    pg_stmt_bind_i64(stmt, 2, entry->state);
    pg_stmt_bind_blob(stmt, 3, pg_cid_bytes(&entry->link.root));
    pg_stmt_bind_blob(stmt, 4, pg_key_bytes(&entry->link.key));
    pg_stmt_bind_blob(stmt, 5, pg_buf_bytes(&entry->name));
    pg_stmt_bind_i64(stmt, 6, entry->kind);
    pg_stmt_bind_i64(stmt, 7, entry->code.data);
    pg_stmt_bind_i64(stmt, 8, entry->code.parity);
    pg_stmt_bind_i64(stmt, 9, (int64_t) entry->size_bytes);
    pg_stmt_bind_i64(stmt, 10, (int64_t) entry->packed_bytes);
    pg_stmt_bind_i64(stmt, 11, (int64_t) entry->stored_bytes);
    pg_stmt_bind_i64(stmt, 12, (int64_t) entry->extents);
    pg_stmt_bind_i64(stmt, 13, (int64_t) entry->segments);
    pg_stmt_bind_i64(stmt, 14, entry->put_ms);
    pg_stmt_bind_i64(stmt, 15, (int64_t) entry->ttl_s);
    return pg_stmt_run(stmt);
}

pg_err pg_catalogue_finish(pg_db *db, int64_t file, const pg_file_entry *entry,
                           const pg_put_origin *origin)
{
    file_job job = {.file = file, .entry = entry, .origin = origin};
    return pg_db_write(db, finish_job, &job);
}

static pg_err remove_job(pg_db_conn *conn, void *arg)
{
    const file_job *job = arg;
    pg_stmt *stmt = NULL;
    // Other devices learn of it by the root: of a file that was finished, and is no version of the catalogue.
    PG_TRY(pg_db_prepare(conn,
                         "INSERT OR IGNORE INTO catalogue_removed SELECT root, ?2 FROM file WHERE"
                         " id = ?1 AND state >= 0" NO_VERSION,
                         &stmt));
    pg_stmt_bind_i64(stmt, 1, job->file);
    pg_stmt_bind_i64(stmt, 2, job->removed_s);
    PG_TRY(pg_stmt_run(stmt));
    PG_TRY(unfinished_drop(conn, job->file));
    PG_TRY(pg_finished_drop(conn, job->file));
    PG_TRY(pg_db_prepare(conn, "DELETE FROM file WHERE id = ?1", &stmt));
    pg_stmt_bind_i64(stmt, 1, job->file);
    PG_TRY(pg_stmt_run(stmt));
    if (pg_db_changes(conn) == 0) {
        return pg_fail(PG_ERR_NOT_FOUND, "no such file in the catalogue");
    }
    PG_TRY(pg_db_prepare(conn, "DELETE FROM catalogue_version WHERE file = ?1", &stmt));
    pg_stmt_bind_i64(stmt, 1, job->file);
    PG_TRY(pg_stmt_run(stmt));
    PG_TRY(pg_db_prepare(conn, "UPDATE file_extent SET file = 0 WHERE file = ?1", &stmt));
    pg_stmt_bind_i64(stmt, 1, job->file);
    return pg_stmt_run(stmt);
}

pg_err pg_catalogue_remove(pg_db *db, int64_t file)
{
    file_job job = {.file = file, .removed_s = pg_wall_ms() / 1000};
    return pg_db_write_freeing(db, remove_job, &job);
}

static pg_err recover_job(pg_db_conn *conn, void *arg)
{
    (void) arg;
    pg_stmt *stmt = NULL;
    PG_TRY(pg_db_prepare(conn,
                         "UPDATE file_extent SET file = 0 WHERE file IN"
                         " (SELECT id FROM file WHERE state = -1 AND id NOT IN " GOES_ON ")",
                         &stmt));
    PG_TRY(pg_stmt_run(stmt));
    PG_TRY(pg_db_prepare(conn, "DELETE FROM file WHERE state = -1 AND id NOT IN " GOES_ON, &stmt));
    PG_TRY(pg_stmt_run(stmt));
    PG_TRY(pg_db_prepare(
        conn, "DELETE FROM catalogue_version WHERE file NOT IN (SELECT id FROM file)", &stmt));
    return pg_stmt_run(stmt);
}

pg_err pg_catalogue_recover(pg_db *db)
{
    return pg_db_write_freeing(db, recover_job, NULL);
}

static pg_err find_job(pg_db_conn *conn, void *arg)
{
    file_job *job = arg;
    pg_stmt *stmt = NULL;
    pg_err err = PG_OK;
    PG_TRY(pg_db_prepare(conn, "SELECT id FROM file WHERE root = ?1", &stmt));
    pg_stmt_bind_blob(stmt, 1, pg_cid_bytes(job->root));
    if (!pg_stmt_next(stmt, &err)) {
        return err != PG_OK ? err : pg_fail(PG_ERR_NOT_FOUND, "no such file in the catalogue");
    }
    job->file = pg_stmt_i64(stmt, 0);
    return PG_OK;
}

pg_err pg_catalogue_find(pg_db *db, const pg_cid *root, int64_t *out_file)
{
    file_job job = {.root = root};
    PG_TRY(pg_db_read(db, find_job, &job));
    *out_file = job.file;
    return PG_OK;
}

static pg_err entry_read(pg_stmt *stmt, pg_file_entry *entry)
{
    entry->state = (pg_file_state) pg_stmt_i64(stmt, 0);
    PG_TRY(cid_read(stmt, 1, &entry->link.root));
    PG_TRY(pg_catalogue_bytes_read(stmt, 2, entry->link.key.bytes, PG_KEY_BYTES));
    PG_TRY(pg_buf_append(&entry->name, pg_stmt_blob(stmt, 3)));
    entry->kind = (pg_file_kind) pg_stmt_i64(stmt, 4);
    entry->code = (pg_code){(uint8_t) pg_stmt_i64(stmt, 5), (uint8_t) pg_stmt_i64(stmt, 6)};
    entry->size_bytes = u64_read(stmt, 7);
    entry->packed_bytes = u64_read(stmt, 8);
    entry->stored_bytes = u64_read(stmt, 9);
    entry->extents = u64_read(stmt, 10);
    entry->segments = u64_read(stmt, 11);
    entry->put_ms = pg_stmt_i64(stmt, 12);
    entry->ttl_s = u64_read(stmt, 13);
    return PG_OK;
}

static pg_err entry_job(pg_db_conn *conn, void *arg)
{
    const file_job *job = arg;
    pg_stmt *stmt = NULL;
    pg_err err = PG_OK;
    PG_TRY(pg_db_prepare(conn,
                         "SELECT state, root, key, name, kind, data, parity, size, packed, stored,"
                         " extents, segments, put_ms, ttl_s FROM file WHERE id = ?1 AND state >= 0",
                         &stmt));
    pg_stmt_bind_i64(stmt, 1, job->file);
    if (!pg_stmt_next(stmt, &err)) {
        return err != PG_OK ? err : pg_fail(PG_ERR_NOT_FOUND, "no such file in the catalogue");
    }
    return entry_read(stmt, job->out);
}

static void host_add(pg_file_entry *entry, const pg_catalogue_holder *holder)
{
    size_t i = 0;
    while (i < entry->host_count && !pg_peer_id_equal(&entry->hosts[i].peer, &holder->peer)) {
        i++;
    }
    if (i == PG_FILE_HOSTS_MAX) {
        return;
    }
    if (i == entry->host_count) {
        entry->hosts[entry->host_count++] = (pg_file_host){.peer = holder->peer};
    }
    entry->hosts[i].slots += (uint32_t) __builtin_popcount(holder->slots);
    entry->hosts[i].bytes += holder->bytes;
}

static void extents_sum(pg_file_entry *entry, const pg_catalogue_extent *extents, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        for (size_t j = 0; j < extents[i].holder_count; j++) {
            host_add(entry, &extents[i].holders[j]);
        }
    }
    entry->expiry_s = pg_catalogue_expiry_s(extents, count);
    entry->survives = pg_catalogue_survives(extents, count);
}

pg_err pg_catalogue_row(pg_db *db, int64_t file, pg_file_entry *out_entry)
{
    *out_entry = (pg_file_entry){.state = 0};
    file_job job = {.file = file, .out = out_entry};
    pg_err err = pg_db_read(db, entry_job, &job);
    if (err != PG_OK) {
        pg_file_entry_deinit(out_entry);
    }
    return err;
}

pg_err pg_catalogue_entry(pg_db *db, int64_t file, pg_file_entry *out_entry)
{
    pg_catalogue_extent *extents = NULL;
    size_t count = 0;
    PG_TRY(pg_catalogue_row(db, file, out_entry));
    pg_err err = pg_catalogue_extents(db, file, &extents, &count);
    if (err == PG_OK) {
        extents_sum(out_entry, extents, count);
    } else {
        pg_file_entry_deinit(out_entry);
    }
    pg_mfree(extents);
    return err;
}

static pg_err state_job(pg_db_conn *conn, void *arg)
{
    const file_job *job = arg;
    pg_stmt *stmt = NULL;
    PG_TRY(pg_db_prepare(conn, "UPDATE file SET state = ?2 WHERE id = ?1 AND state >= 0", &stmt));
    pg_stmt_bind_i64(stmt, 1, job->file);
    pg_stmt_bind_i64(stmt, 2, job->state);
    return pg_stmt_run(stmt);
}

static pg_err counts_job(pg_db_conn *conn, void *arg)
{
    pg_catalogue_sums *sums = arg;
    pg_stmt *stmt = NULL;
    pg_err err = PG_OK;
    PG_TRY(
        pg_db_prepare(conn,
                      "SELECT state, count(*), sum(size) FROM file WHERE state >= 0 AND id NOT IN"
                      " (SELECT file FROM catalogue_version) GROUP BY state",
                      &stmt));
    while (pg_stmt_next(stmt, &err)) {
        int64_t state = pg_stmt_i64(stmt, 0);
        if (state < PG_FILE_STATE_COUNT) {
            sums->files[state] = u64_read(stmt, 1);
            sums->bytes += u64_read(stmt, 2);
        }
    }
    return err;
}

pg_err pg_catalogue_counts(pg_db *db, pg_catalogue_sums *out_sums)
{
    *out_sums = (pg_catalogue_sums){0};
    return pg_db_read(db, counts_job, out_sums);
}

pg_err pg_catalogue_state(pg_db *db, int64_t file, pg_file_state state)
{
    file_job job = {.file = file, .state = state};
    return pg_db_write(db, state_job, &job);
}

// ---- Lists that grow

/** Items of one kind, on the heap. */
typedef struct rows {
    void *items;
    size_t count;
    size_t room;
    int64_t file;
    pg_catalogue_which which;
    pg_file_page *page;
    size_t max;
} rows;

static void *row_add(rows *list, size_t item_bytes)
{
    if (list->count == list->room) {
        size_t room = list->room * 2 + 8;
        size_t bytes = 0;
        void *items = pg_mul_size(room, item_bytes, &bytes) ? pg_realloc(list->items, bytes) : NULL;
        if (items == NULL) {
            return NULL;
        }
        list->items = items;
        list->room = room;
    }
    char *row = (char *) list->items + list->count++ * item_bytes;
    memset(row, 0, item_bytes);
    return row;
}

static pg_err rows_read(pg_db *db, pg_db_fn job, rows *list, void **out_items, size_t *out_count)
{
    pg_err err = pg_db_read(db, job, list);
    if (err != PG_OK) {
        pg_mfree(list->items);
        return err;
    }
    *out_items = list->items;
    *out_count = list->count;
    return PG_OK;
}

static pg_err files_job(pg_db_conn *conn, void *arg)
{
    static const char *const queries[] = {
        [PG_CATALOGUE_ALL] = "SELECT id FROM file WHERE state >= 0 ORDER BY id DESC",
        [PG_CATALOGUE_INCOMPLETE] =
            "SELECT id FROM file WHERE state >= 0 AND state < ?1 ORDER BY id DESC",
        [PG_CATALOGUE_LISTED] =
            "SELECT id FROM file WHERE state >= 0" NO_VERSION " ORDER BY put_ms DESC, id DESC",
    };
    rows *list = arg;
    pg_stmt *stmt = NULL;
    pg_err err = PG_OK;
    PG_TRY(pg_db_prepare(conn, queries[list->which], &stmt));
    if (list->which == PG_CATALOGUE_INCOMPLETE) {
        pg_stmt_bind_i64(stmt, 1, PG_FILE_STATE_COMPLETE);
    }
    while (pg_stmt_next(stmt, &err)) {
        int64_t *id = row_add(list, sizeof(*id));
        if (id == NULL) {
            return PG_ERR_NOMEM;
        }
        *id = pg_stmt_i64(stmt, 0);
    }
    return err;
}

pg_err pg_catalogue_files(pg_db *db, pg_catalogue_which which, int64_t **out_ids, size_t *out_count)
{
    rows list = {.which = which};
    return rows_read(db, files_job, &list, (void **) out_ids, out_count);
}

static pg_err page_job(pg_db_conn *conn, void *arg)
{
    rows *list = arg;
    pg_stmt *stmt = NULL;
    pg_err err = PG_OK;
    PG_TRY(pg_db_prepare(conn,
                         "SELECT id, put_ms FROM file WHERE state >= 0" NO_VERSION
                         " AND (put_ms, id) < (?1, ?2) ORDER BY put_ms DESC, id DESC LIMIT ?3",
                         &stmt));
    pg_stmt_bind_i64(stmt, 1, list->page->put_ms);
    pg_stmt_bind_i64(stmt, 2, list->page->file);
    pg_stmt_bind_i64(stmt, 3, list->page->max);
    while (pg_stmt_next(stmt, &err)) {
        int64_t *id = row_add(list, sizeof(*id));
        if (id == NULL) {
            return PG_ERR_NOMEM;
        }
        *id = pg_stmt_i64(stmt, 0);
        list->page->file = *id;
        list->page->put_ms = pg_stmt_i64(stmt, 1);
    }
    return err;
}

pg_err pg_catalogue_page(pg_db *db, pg_file_page *page, int64_t **out_ids, size_t *out_count)
{
    rows list = {.page = page};
    PG_TRY(rows_read(db, page_job, &list, (void **) out_ids, out_count));
    page->has_more = *out_count == page->max;
    return PG_OK;
}

// ---- Extents

static pg_err extent_read(pg_stmt *stmt, pg_catalogue_extent *extent)
{
    extent->id = pg_stmt_i64(stmt, 0);
    PG_TRY(cid_read(stmt, 1, &extent->descriptor));
    PG_TRY(pg_catalogue_bytes_read(stmt, 2, extent->extent_id, PG_EXTENT_ID_BYTES));
    PG_TRY(cid_read(stmt, 3, &extent->root));
    extent->is_whole = pg_stmt_i64(stmt, 4) != 0;
    extent->code = (pg_code){(uint8_t) pg_stmt_i64(stmt, 5), (uint8_t) pg_stmt_i64(stmt, 6)};
    extent->slot_bytes = u64_read(stmt, 7);
    extent->sequence = u64_read(stmt, 8);
    extent->expiry_s = u64_read(stmt, 9);
    extent->local = (pg_slot_set) pg_stmt_i64(stmt, 10);
    extent->has_strays = pg_stmt_i64(stmt, 11) != 0;
    extent->is_dropped = pg_stmt_i64(stmt, 12) != 0;
    return PG_OK;
}

// Who moves slots takes each as one host's. Of two hosts who are said to have one the first has it: another device may have said anything.
static pg_err holders_read(pg_db_conn *conn, pg_catalogue_extent *extent)
{
    pg_stmt *stmt = NULL;
    pg_err err = PG_OK;
    pg_slot_set taken = 0;
    PG_TRY(pg_db_prepare(
        conn, "SELECT peer, slots, bytes, missed FROM file_holder WHERE extent = ?1", &stmt));
    pg_stmt_bind_i64(stmt, 1, extent->id);
    while (extent->holder_count < PG_PLACE_SLOTS_MAX && pg_stmt_next(stmt, &err)) {
        pg_catalogue_holder *holder = &extent->holders[extent->holder_count];
        PG_TRY(pg_peer_id_decode(pg_stmt_blob(stmt, 0), &holder->peer));
        holder->slots = (pg_slot_set) pg_stmt_i64(stmt, 1) & ~taken;
        holder->bytes = u64_read(stmt, 2);
        holder->missed = (uint32_t) pg_stmt_i64(stmt, 3);
        taken |= extent->is_whole ? 0 : holder->slots;
        extent->holder_count += holder->slots != 0 ? 1 : 0;
    }
    return err;
}

pg_err pg_catalogue_extents_each(pg_db_conn *conn, int64_t file,
                                 pg_err (*each)(const pg_catalogue_extent *extent, void *user),
                                 void *user)
{
    pg_stmt *stmt = NULL;
    pg_err err = PG_OK;
    PG_TRY(pg_db_prepare(conn,
                         "SELECT id, descriptor, extent_id, root, whole, data, parity, slot_bytes,"
                         " sequence, expiry_s, local, strays, dropped FROM file_extent"
                         " WHERE file = ?1 ORDER BY id",
                         &stmt));
    pg_stmt_bind_i64(stmt, 1, file);
    while (pg_stmt_next(stmt, &err)) {
        pg_catalogue_extent extent = {.id = 0};
        PG_TRY(extent_read(stmt, &extent));
        PG_TRY(holders_read(conn, &extent));
        PG_TRY(each(&extent, user));
    }
    return err;
}

static pg_err on_extent(const pg_catalogue_extent *extent, void *user)
{
    pg_catalogue_extent *row = row_add(user, sizeof(*row));
    if (row == NULL) {
        return PG_ERR_NOMEM;
    }
    *row = *extent;
    return PG_OK;
}

static pg_err extents_job(pg_db_conn *conn, void *arg)
{
    rows *list = arg;
    return pg_catalogue_extents_each(conn, list->file, on_extent, list);
}

pg_err pg_catalogue_extents(pg_db *db, int64_t file, pg_catalogue_extent **out_extents,
                            size_t *out_count)
{
    rows list = {.file = file};
    return rows_read(db, extents_job, &list, (void **) out_extents, out_count);
}

// ---- One extent

// Of files that were finished.
#define OF_FILES " FROM file_extent WHERE file IN (SELECT id FROM file WHERE root IS NOT NULL)"
#define EXTENT_COLUMNS                                                                             \
    "SELECT id, descriptor, extent_id, root, whole, data, parity, slot_bytes,"                     \
    " sequence, expiry_s, local, file"

/** One that is looked for. */
typedef struct pick_job {
    const pg_cid *descriptor; // NULL: by number
    uint64_t nth;
    uint64_t count;
    int64_t file;
    pg_catalogue_extent *extent;
} pick_job;

static pg_err count_job(pg_db_conn *conn, void *arg)
{
    pick_job *job = arg;
    pg_stmt *stmt = NULL;
    pg_err err = PG_OK;
    PG_TRY(pg_db_prepare(conn, "SELECT count(*)" OF_FILES, &stmt));
    if (pg_stmt_next(stmt, &err)) {
        job->count = u64_read(stmt, 0);
    }
    return err;
}

pg_err pg_catalogue_extent_count(pg_db *db, uint64_t *out_count)
{
    pick_job job = {.descriptor = NULL};
    PG_TRY(pg_db_read(db, count_job, &job));
    *out_count = job.count;
    return PG_OK;
}

static pg_err pick(pg_db_conn *conn, void *arg)
{
    pick_job *job = arg;
    pg_stmt *stmt = NULL;
    pg_err err = PG_OK;
    if (job->descriptor == NULL) {
        PG_TRY(
            pg_db_prepare(conn, EXTENT_COLUMNS OF_FILES " ORDER BY id LIMIT 1 OFFSET ?1", &stmt));
        pg_stmt_bind_i64(stmt, 1, (int64_t) job->nth);
    } else {
        PG_TRY(pg_db_prepare(
            conn, EXTENT_COLUMNS OF_FILES " AND descriptor = ?1 ORDER BY id LIMIT 1", &stmt));
        pg_stmt_bind_blob(stmt, 1, pg_cid_bytes(job->descriptor));
    }
    if (!pg_stmt_next(stmt, &err)) {
        return err != PG_OK ? err : pg_fail(PG_ERR_NOT_FOUND, "no such extent in the catalogue");
    }
    PG_TRY(extent_read(stmt, job->extent));
    job->file = pg_stmt_i64(stmt, 11);
    return holders_read(conn, job->extent);
}

static pg_err picked(pg_db *db, pick_job *job, int64_t *out_file, pg_catalogue_extent *out_extent)
{
    pg_catalogue_extent extent = {.id = 0};
    job->extent = &extent;
    PG_TRY(pg_db_read(db, pick, job));
    *out_file = job->file;
    *out_extent = extent;
    return PG_OK;
}

pg_err pg_catalogue_extent_nth(pg_db *db, uint64_t nth, int64_t *out_file,
                               pg_catalogue_extent *out_extent)
{
    pick_job job = {.nth = nth};
    return picked(db, &job, out_file, out_extent);
}

pg_err pg_catalogue_extent_find(pg_db *db, const pg_cid *descriptor, int64_t *out_file,
                                pg_catalogue_extent *out_extent)
{
    pick_job job = {.descriptor = descriptor};
    return picked(db, &job, out_file, out_extent);
}

/** An extent to be written. */
typedef struct extent_job {
    int64_t file;
    pg_catalogue_extent *extent;
    int64_t id;
} extent_job;

pg_err pg_catalogue_holders_put(pg_db_conn *conn, const pg_catalogue_extent *extent, int64_t id)
{
    pg_stmt *stmt = NULL;
    PG_TRY(pg_db_prepare(conn, "DELETE FROM file_holder WHERE extent = ?1", &stmt));
    pg_stmt_bind_i64(stmt, 1, id);
    PG_TRY(pg_stmt_run(stmt));
    for (size_t i = 0; i < extent->holder_count; i++) {
        const pg_catalogue_holder *holder = &extent->holders[i];
        PG_TRY(pg_db_prepare(conn, "INSERT INTO file_holder VALUES (?1, ?2, ?3, ?4, ?5)", &stmt));
        pg_stmt_bind_i64(stmt, 1, id);
        pg_stmt_bind_blob(stmt, 2, pg_peer_id_bytes(&holder->peer));
        pg_stmt_bind_i64(stmt, 3, holder->slots);
        pg_stmt_bind_i64(stmt, 4, (int64_t) holder->bytes);
        pg_stmt_bind_i64(stmt, 5, holder->missed);
        PG_TRY(pg_stmt_run(stmt));
    }
    return PG_OK;
}

pg_err pg_catalogue_extent_put(pg_db_conn *conn, int64_t file, const pg_catalogue_extent *extent,
                               int64_t *out_id)
{
    pg_stmt *stmt = NULL;
    PG_TRY(
        pg_db_prepare(conn,
                      "INSERT OR REPLACE INTO file_extent (id, file, descriptor, extent_id, root,"
                      " whole, data, parity, slot_bytes, sequence, expiry_s, local, strays,"
                      " dropped) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13,"
                      " ?14)",
                      &stmt));
    if (extent->id != 0) {
        pg_stmt_bind_i64(stmt, 1, extent->id);
    }
    pg_stmt_bind_i64(stmt, 2, file);
    pg_stmt_bind_blob(stmt, 3, pg_cid_bytes(&extent->descriptor));
    pg_stmt_bind_blob(stmt, 4, PG_BYTES_OF(extent->extent_id));
    if (extent->root.len != 0) {
        pg_stmt_bind_blob(stmt, 5, pg_cid_bytes(&extent->root));
    }
    pg_stmt_bind_i64(stmt, 6, extent->is_whole);
    pg_stmt_bind_i64(stmt, 7, extent->code.data);
    pg_stmt_bind_i64(stmt, 8, extent->code.parity);
    pg_stmt_bind_i64(stmt, 9, (int64_t) extent->slot_bytes);
    pg_stmt_bind_i64(stmt, 10, (int64_t) extent->sequence);
    pg_stmt_bind_i64(stmt, 11, (int64_t) extent->expiry_s);
    pg_stmt_bind_i64(stmt, 12, extent->local);
    pg_stmt_bind_i64(stmt, 13, extent->has_strays);
    pg_stmt_bind_i64(stmt, 14, extent->is_dropped);
    PG_TRY(pg_stmt_run(stmt));
    *out_id = extent->id != 0 ? extent->id : pg_db_last_id(conn);
    return pg_catalogue_holders_put(conn, extent, *out_id);
}

static pg_err extent_job_run(pg_db_conn *conn, void *arg)
{
    extent_job *job = arg;
    return pg_catalogue_extent_put(conn, job->file, job->extent, &job->id);
}

pg_err pg_catalogue_extent_write(pg_db *db, int64_t file, pg_catalogue_extent *extent)
{
    extent_job job = {.file = file, .extent = extent};
    PG_TRY(file == 0 ? pg_db_write_freeing(db, extent_job_run, &job)
                     : pg_db_write(db, extent_job_run, &job));
    extent->id = job.id;
    return PG_OK;
}

static pg_err forget_job(pg_db_conn *conn, void *arg)
{
    pg_stmt *stmt = NULL;
    PG_TRY(pg_db_prepare(conn, "DELETE FROM file_holder WHERE extent = ?1", &stmt));
    pg_stmt_bind_i64(stmt, 1, *(int64_t *) arg);
    PG_TRY(pg_stmt_run(stmt));
    PG_TRY(pg_db_prepare(conn, "DELETE FROM file_extent WHERE id = ?1", &stmt));
    pg_stmt_bind_i64(stmt, 1, *(int64_t *) arg);
    return pg_stmt_run(stmt);
}

pg_err pg_catalogue_extent_forget(pg_db *db, int64_t id)
{
    return pg_db_write_freeing(db, forget_job, &id);
}

// ---- Pins

/** A pin to be written. */
typedef struct pin_job {
    const pg_cid *cid;
    uint32_t len;
} pin_job;

static pg_err pin_job_run(pg_db_conn *conn, void *arg)
{
    const pin_job *job = arg;
    pg_stmt *stmt = NULL;
    PG_TRY(pg_db_prepare(conn, "INSERT INTO file_pin VALUES (?1, ?2)", &stmt));
    pg_stmt_bind_blob(stmt, 1, pg_cid_bytes(job->cid));
    pg_stmt_bind_i64(stmt, 2, job->len);
    return pg_stmt_run(stmt);
}

pg_err pg_catalogue_pin(pg_db *db, const pg_cid *cid, uint32_t len)
{
    pin_job job = {cid, len};
    return pg_db_write(db, pin_job_run, &job);
}

static pg_err pins_job(pg_db_conn *conn, void *arg)
{
    rows *list = arg;
    pg_stmt *stmt = NULL;
    pg_err err = PG_OK;
    PG_TRY(pg_db_prepare(conn, "SELECT cid FROM file_pin", &stmt));
    while (pg_stmt_next(stmt, &err)) {
        pg_cid *cid = row_add(list, sizeof(*cid));
        if (cid == NULL) {
            return PG_ERR_NOMEM;
        }
        PG_TRY(cid_read(stmt, 0, cid));
    }
    return err;
}

pg_err pg_catalogue_pins(pg_db *db, pg_cid **out_cids, size_t *out_count)
{
    rows list = {.file = 0};
    return rows_read(db, pins_job, &list, (void **) out_cids, out_count);
}

// ---- Hosts

static pg_err hosts_job(pg_db_conn *conn, void *arg)
{
    rows *list = arg;
    pg_stmt *stmt = NULL;
    pg_err err = PG_OK;
    PG_TRY(pg_db_prepare(
        conn, "SELECT peer FROM file_holder GROUP BY peer ORDER BY count(*) DESC LIMIT ?1", &stmt));
    pg_stmt_bind_i64(stmt, 1, (int64_t) list->max);
    while (pg_stmt_next(stmt, &err)) {
        pg_peer_id *host = row_add(list, sizeof(*host));
        if (host == NULL) {
            return PG_ERR_NOMEM;
        }
        PG_TRY(pg_peer_id_decode(pg_stmt_blob(stmt, 0), host));
    }
    return err;
}

pg_err pg_catalogue_hosts(pg_db *db, size_t max, pg_peer_id **out_hosts, size_t *out_count)
{
    rows list = {.max = max};
    return rows_read(db, hosts_job, &list, (void **) out_hosts, out_count);
}

// ---- What follows from an extent's holders

pg_slot_set pg_catalogue_missing(const pg_catalogue_extent *extent)
{
    unsigned slots = extent->is_whole ? 1 : pg_code_shards(extent->code);
    pg_slot_set missing = (pg_slot_set) (((uint64_t) 1 << slots) - 1) & ~extent->local;
    for (size_t i = 0; i < extent->holder_count; i++) {
        missing &= ~extent->holders[i].slots;
    }
    return missing;
}

static bool is_spread(const pg_catalogue_extent *extent)
{
    if (pg_catalogue_missing(extent) != 0) {
        return false;
    }
    if (extent->is_whole) {
        return extent->holder_count >= pg_whole_copies(extent->code);
    }
    for (size_t i = 0; i < extent->holder_count; i++) {
        if (__builtin_popcount(extent->holders[i].slots) > 1) {
            return false;
        }
    }
    return true;
}

pg_file_state pg_catalogue_state_of(const pg_catalogue_extent *extents, size_t count)
{
    pg_file_state state = PG_FILE_STATE_COMPLETE;
    for (size_t i = 0; i < count; i++) {
        if (extents[i].local != 0) {
            return PG_FILE_STATE_PENDING;
        }
        if (!is_spread(&extents[i])) {
            state = PG_FILE_STATE_PARTIAL;
        }
    }
    return state;
}

bool pg_catalogue_is_on_hosts(const pg_catalogue_extent *extent)
{
    pg_slot_set held = 0;
    for (size_t i = 0; i < extent->holder_count; i++) {
        held |= extent->holders[i].slots;
    }
    return (unsigned) __builtin_popcount(held) >= (extent->is_whole ? 1U : extent->code.data);
}

uint64_t pg_catalogue_expiry_s(const pg_catalogue_extent *extents, size_t count)
{
    uint64_t earliest = count > 0 ? extents[0].expiry_s : 0;
    for (size_t i = 1; i < count; i++) {
        earliest = extents[i].expiry_s < earliest ? extents[i].expiry_s : earliest;
    }
    return earliest;
}

uint32_t pg_catalogue_survives(const pg_catalogue_extent *extents, size_t count)
{
    uint32_t least = count > 0 ? UINT32_MAX : 0;
    for (size_t i = 0; i < count; i++) {
        const pg_catalogue_extent *extent = &extents[i];
        pg_slot_set sets[PG_PLACE_SLOTS_MAX];
        for (size_t j = 0; j < extent->holder_count; j++) {
            sets[j] = extent->holders[j].slots;
        }
        uint32_t survives = 0;
        if (extent->local != 0) {
            survives = 0; // some of it is here only
        } else if (extent->is_whole) {
            survives = extent->holder_count > 0 ? (uint32_t) extent->holder_count - 1 : 0;
        } else {
            unsigned gone = (unsigned) __builtin_popcount(pg_catalogue_missing(extent));
            unsigned parity = extent->code.parity;
            survives =
                gone > parity ? 0 : pg_slots_survive(sets, extent->holder_count, parity - gone);
        }
        least = survives < least ? survives : least;
    }
    return least;
}
