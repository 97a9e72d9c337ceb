// SPDX-License-Identifier: Apache-2.0
#include "files/keep.h"

#include <string.h>

#include "base/mem.h"
#include "files/limits.h"
#include "store/stmt.h"

/** A block that is needed. */
typedef struct need {
    uint64_t count;
} need;

/** A block of the cache. */
typedef struct cached {
    pg_list order;
    pg_cid cid;
    uint32_t len;
} cached;

/** A block on its way to the cache. */
typedef struct queued {
    pg_list node; // of the queue
    pg_cid cid;
    pg_buf bytes;
} queued;

static pg_multihash key_of(const pg_cid *cid)
{
    return pg_cid_multihash(cid);
}

// ---- What is needed

static need *need_get(const pg_keep *keep, const pg_cid *cid)
{
    pg_multihash key = key_of(cid);
    return pg_map_get(&keep->needed, pg_multihash_bytes(&key));
}

static cached *cached_get(const pg_keep *keep, const pg_cid *cid)
{
    pg_multihash key = key_of(cid);
    return pg_map_get(&keep->cached, pg_multihash_bytes(&key));
}

bool pg_keep_wants(const pg_keep *keep, const pg_cid *cid)
{
    return need_get(keep, cid) != NULL || cached_get(keep, cid) != NULL;
}

pg_err pg_keep_need(pg_keep *keep, const pg_cid *cid)
{
    need *entry = need_get(keep, cid);
    if (entry == NULL) {
        entry = PG_NEW(need);
        if (entry == NULL) {
            return PG_ERR_NOMEM;
        }
        pg_multihash key = key_of(cid);
        pg_err err = pg_map_add(&keep->needed, pg_multihash_bytes(&key), entry);
        if (err != PG_OK) {
            pg_mfree(entry);
            return err;
        }
    }
    entry->count++;
    return PG_OK;
}

static void delete_unwanted(pg_keep *keep, const pg_cid *cid)
{
    if (!pg_keep_wants(keep, cid) && !keep->is_held(cid, keep->user)) {
        pg_ignore(pg_block_store_delete(keep->blocks, cid),
                  "it may be gone; one that stays is found as a stray at the next start");
    }
}

void pg_keep_drop(pg_keep *keep, const pg_cid *cid)
{
    need *entry = need_get(keep, cid);
    if (entry == NULL || --entry->count > 0) {
        return;
    }
    pg_multihash key = key_of(cid);
    (void) pg_map_take(&keep->needed, pg_multihash_bytes(&key));
    pg_mfree(entry);
    delete_unwanted(keep, cid);
}

static pg_err needed_put(pg_keep *keep, const pg_cid *cid, pg_bytes bytes)
{
    pg_err err = pg_block_store_put(keep->blocks, cid, bytes);
    while (err == PG_ERR_FULL && pg_keep_make_room(keep, bytes.len)) {
        err = pg_block_store_put(keep->blocks, cid, bytes);
    }
    return err;
}

pg_err pg_keep_put(pg_keep *keep, const pg_cid *cid, pg_bytes bytes)
{
    // Needed first: nobody may delete it between the two.
    PG_TRY(pg_keep_need(keep, cid));
    pg_err err = needed_put(keep, cid, bytes);
    if (err != PG_OK) {
        pg_error_record record = pg_error_keep();
        pg_keep_drop(keep, cid);
        return pg_error_again(&record, err);
    }
    return PG_OK;
}

// ---- The cache

/** Forget a block of the cache, which stays where it is. Returns its CID. */
static pg_cid cached_forget(pg_keep *keep, cached *entry)
{
    pg_cid cid = entry->cid;
    pg_multihash key = key_of(&cid);
    (void) pg_map_take(&keep->cached, pg_multihash_bytes(&key));
    pg_list_remove(&entry->order);
    keep->cache_bytes -= entry->len;
    keep->is_dirty = true;
    pg_mfree(entry);
    return cid;
}

/** Give up the block that was not used for longest. Returns its length. */
static uint32_t oldest_remove(pg_keep *keep)
{
    cached *oldest = PG_LIST_OBJECT(keep->order.next, cached, order);
    uint32_t len = oldest->len;
    pg_cid cid = cached_forget(keep, oldest);
    delete_unwanted(keep, &cid);
    return len;
}

bool pg_keep_make_room(pg_keep *keep, uint64_t bytes)
{
    uint64_t freed = 0;
    bool has_freed = false;
    while (freed < bytes && !pg_list_is_empty(&keep->order)) {
        freed += oldest_remove(keep);
        has_freed = true;
    }
    return has_freed;
}

void pg_keep_lost(pg_keep *keep, const pg_cid *cid)
{
    cached *entry = cached_get(keep, cid);
    if (entry != NULL) {
        (void) cached_forget(keep, entry);
    }
}

static void cache_trim(pg_keep *keep)
{
    while (keep->cache_bytes > keep->cache_bytes_max) {
        (void) oldest_remove(keep);
    }
}

static pg_err cached_add(pg_keep *keep, const pg_cid *cid, uint32_t len)
{
    cached *entry = PG_NEW(cached);
    if (entry == NULL) {
        return PG_ERR_NOMEM;
    }
    entry->cid = *cid;
    entry->len = len;
    pg_multihash key = key_of(cid);
    pg_err err = pg_map_add(&keep->cached, pg_multihash_bytes(&key), entry);
    if (err != PG_OK) {
        pg_mfree(entry);
        return err == PG_ERR_EXISTS ? PG_OK : err;
    }
    pg_list_append(&keep->order, &entry->order);
    keep->cache_bytes += len;
    keep->is_dirty = true;
    return PG_OK;
}

void pg_keep_touch(pg_keep *keep, const pg_cid *cid)
{
    cached *entry = cached_get(keep, cid);
    if (entry != NULL) {
        pg_list_remove(&entry->order);
        pg_list_append(&keep->order, &entry->order);
    }
}

/** Return false where the cache has the block, or cannot take one of so many bytes. */
static bool is_welcome(const pg_keep *keep, const pg_cid *cid, size_t bytes)
{
    return bytes <= keep->cache_bytes_max && cached_get(keep, cid) == NULL &&
           !pg_block_store_has(keep->blocks, cid, NULL) &&
           keep->queued_bytes + bytes <= PG_CACHE_QUEUE_BYTES_MAX;
}

void pg_keep_offer_take(pg_keep *keep, const pg_cid *cid, pg_buf *block)
{
    queued *item = is_welcome(keep, cid, block->len) ? PG_NEW(queued) : NULL;
    if (item != NULL) {
        *item = (queued){.cid = *cid, .bytes = *block};
        *block = (pg_buf){0};
        keep->queued_bytes += item->bytes.len;
        pg_list_append(&keep->queue, &item->node);
        (void) pg_waitq_wake_one(&keep->queue_changed);
    }
    pg_buf_deinit(block);
}

void pg_keep_offer(pg_keep *keep, const pg_cid *cid, pg_bytes bytes)
{
    pg_buf copy = {0};
    if (is_welcome(keep, cid, bytes.len) && pg_buf_append(&copy, bytes) == PG_OK) {
        pg_keep_offer_take(keep, cid, &copy);
    }
}

static void queued_free(pg_keep *keep, queued *item)
{
    keep->queued_bytes -= item->bytes.len;
    pg_buf_deinit(&item->bytes);
    pg_mfree(item);
}

static void queued_write(pg_keep *keep, const queued *item)
{
    uint32_t len = (uint32_t) item->bytes.len;
    if (cached_get(keep, &item->cid) != NULL) {
        return; // offered twice: no other block has to go for it
    }
    if (cached_add(keep, &item->cid, len) != PG_OK) {
        return;
    }
    cache_trim(keep); // parks, so it comes last: what others add meanwhile counts too
    pg_err err = pg_block_store_put_verified(keep->blocks, &item->cid, pg_buf_bytes(&item->bytes));
    cached *entry = cached_get(keep, &item->cid);
    if (err != PG_OK && entry != NULL) {
        (void) cached_forget(keep, entry); // the store is full of what matters more
    } else if (entry == NULL) {
        delete_unwanted(keep, &item->cid); // given up again while it was written
    }
}

// ---- The table of the cache. It is behind after a crash: what it does not know is a stray then, what it knows too much is skipped.

/** A row. */
typedef struct cache_row {
    pg_cid cid;
    uint32_t len;
} cache_row;

/** The table, least recently used first. */
typedef struct cache_table {
    cache_row *rows; // [count]
    size_t count;
    size_t room;
} cache_table;

static pg_err table_write(pg_db_conn *conn, void *arg)
{
    const cache_table *table = arg;
    pg_stmt *stmt = NULL;
    PG_TRY(pg_db_prepare(conn, "DELETE FROM file_cache", &stmt));
    PG_TRY(pg_stmt_run(stmt));
    for (size_t i = 0; i < table->count; i++) {
        PG_TRY(pg_db_prepare(conn, "INSERT INTO file_cache (place, cid, len) VALUES (?1, ?2, ?3)",
                             &stmt));
        pg_stmt_bind_i64(stmt, 1, (int64_t) i);
        pg_stmt_bind_blob(stmt, 2, pg_cid_bytes(&table->rows[i].cid));
        pg_stmt_bind_i64(stmt, 3, table->rows[i].len);
        PG_TRY(pg_stmt_run(stmt));
    }
    return PG_OK;
}

static void table_save(pg_keep *keep)
{
    size_t count = pg_map_count(&keep->cached);
    cache_table table = {.rows = pg_calloc(count + 1, sizeof(*table.rows))};
    if (!keep->is_dirty || table.rows == NULL) {
        pg_mfree(table.rows);
        return;
    }
    for (pg_list *node = keep->order.next; node != &keep->order; node = node->next) {
        const cached *entry = PG_LIST_OBJECT(node, cached, order);
        table.rows[table.count++] = (cache_row){entry->cid, entry->len};
    }
    keep->is_dirty = false;
    pg_ignore(pg_db_write(keep->db, table_write, &table), "a cache may be forgotten");
    pg_mfree(table.rows);
}

static pg_err table_read(pg_db_conn *conn, void *arg)
{
    cache_table *table = arg;
    pg_stmt *stmt = NULL;
    pg_err err = PG_OK;
    PG_TRY(pg_db_prepare(conn, "SELECT cid, len FROM file_cache ORDER BY place", &stmt));
    while (pg_stmt_next(stmt, &err)) {
        if (table->count == table->room) {
            size_t room = table->room * 2 + 64;
            cache_row *rows = pg_realloc(table->rows, room * sizeof(*rows));
            if (rows == NULL) {
                return PG_ERR_NOMEM;
            }
            table->rows = rows;
            table->room = room;
        }
        cache_row *row = &table->rows[table->count++];
        PG_TRY(pg_cid_decode(pg_stmt_blob(stmt, 0), &row->cid));
        row->len = (uint32_t) pg_stmt_i64(stmt, 1);
    }
    return err;
}

static pg_err table_load(pg_keep *keep)
{
    cache_table table = {0};
    pg_err err = pg_db_read(keep->db, table_read, &table);
    for (size_t i = 0; i < table.count && err == PG_OK; i++) {
        uint32_t len = 0;
        if (pg_block_store_has(keep->blocks, &table.rows[i].cid, &len) &&
            len == table.rows[i].len) {
            err = cached_add(keep, &table.rows[i].cid, len);
        }
    }
    pg_mfree(table.rows);
    return err;
}

// ---- Beginning and end

static pg_err writer_run(void *arg)
{
    pg_keep *keep = arg;
    pg_time save_at = pg_after(PG_MINUTES(PG_CACHE_SAVE_MINUTES));
    for (;;) {
        pg_err err = PG_OK;
        while (pg_list_is_empty(&keep->queue) && err == PG_OK) {
            err = pg_waitq_wait(&keep->queue_changed, save_at);
        }
        if (err == PG_ERR_TIMEOUT) {
            table_save(keep);
            save_at = pg_after(PG_MINUTES(PG_CACHE_SAVE_MINUTES));
            continue;
        }
        PG_TRY(err);
        queued *item = PG_LIST_OBJECT(pg_list_pop(&keep->queue), queued, node);
        queued_write(keep, item);
        queued_free(keep, item);
    }
}

pg_err pg_keep_init(pg_keep *keep, pg_block_store *blocks, pg_db *db, uint64_t cache_bytes_max)
{
    keep->blocks = blocks;
    keep->db = db;
    keep->cache_bytes_max = cache_bytes_max;
    pg_list_init(&keep->order);
    pg_list_init(&keep->queue);
    pg_waitq_init(&keep->queue_changed);
    pg_scope_init_tolerant(&keep->scope);
    PG_TRY(table_load(keep));
    for (unsigned i = 0; i < PG_CACHE_WRITERS; i++) {
        PG_TRY(pg_scope_spawn(&keep->scope, "files.cache", writer_run, keep));
    }
    return PG_OK;
}

void pg_keep_deinit(pg_keep *keep)
{
    pg_map_cursor cursor = {0};
    if (keep->blocks == NULL) {
        return;
    }
    pg_scope_close(&keep->scope);
    while (!pg_list_is_empty(&keep->queue)) {
        queued_free(keep, PG_LIST_OBJECT(pg_list_pop(&keep->queue), queued, node));
    }
    table_save(keep);
    while (pg_map_next(&keep->needed, &cursor)) {
        pg_mfree(cursor.value);
    }
    pg_map_deinit(&keep->needed);
    cursor = (pg_map_cursor){0};
    while (pg_map_next(&keep->cached, &cursor)) {
        pg_mfree(cursor.value);
    }
    pg_map_deinit(&keep->cached);
    keep->blocks = NULL;
}
