// SPDX-License-Identifier: Apache-2.0
// A change is only the name of an entry: what is written is what the stores hold when its turn comes. So an entry that changes often is
// written once a flush, and there are never more changes than entries in memory and on disk. Expiry is kept as a point of the wall
// clock; one that lies too far ahead, after the clock was set back, counts as new.
#include "dht/keep.h"

#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "codec/frame.h"
#include "dht/dht_priv.h"
#include "dht/limits.h"
#include "store/stmt.h"

const char *const pg_dht_keep_schema_1 =
    "CREATE TABLE dht_record ("
    " id INTEGER PRIMARY KEY,"
    " realm INTEGER NOT NULL,"
    " key BLOB NOT NULL,"
    " value BLOB NOT NULL,"
    " source BLOB NOT NULL," // PeerId; empty: this node
    " subnet INTEGER NOT NULL,"
    " received_ms INTEGER NOT NULL," // wall clock
    " expires_ms INTEGER NOT NULL,"  // wall clock
    " UNIQUE (realm, key)"
    ");"
    "CREATE INDEX dht_record_expiry ON dht_record (realm, expires_ms);"
    "CREATE TABLE dht_provider ("
    " id INTEGER PRIMARY KEY,"
    " realm INTEGER NOT NULL,"
    " key BLOB NOT NULL,"
    " value BLOB NOT NULL,"  // addresses, each with its length in front
    " source BLOB NOT NULL," // PeerId of the provider
    " subnet INTEGER NOT NULL,"
    " expires_ms INTEGER NOT NULL,"
    " UNIQUE (realm, key, source)"
    ");"
    "CREATE INDEX dht_provider_expiry ON dht_provider (realm, expires_ms)";

/** An entry that differs from what is on disk. */
typedef struct change {
    pg_list node;
    bool is_provider;
    bool is_on_disk; // there may be a row
    pg_peer_id peer; // provider
    size_t key_len;
    size_t name_len;
    uint8_t name[]; // kind, provider, key
} change;

/** A row on its way to or from the database. */
typedef struct row {
    bool is_gone; // to be deleted
    pg_buf key;
    pg_buf value;
    pg_dht_source source;
    int64_t received_ms;
    int64_t expires_ms;
} row;

/** Some rows of one kind. */
typedef struct batch {
    int64_t realm;
    bool is_provider;
    row rows[PG_DHT_KEEP_BATCH];
    size_t count;
    int64_t now_ms;   // loading: rows up to this have expired
    int64_t after_ms; // loading: rows up to this, and this id, were taken before
    int64_t after_id;
} batch;

struct pg_dht_keep {
    pg_dht *dht;
    pg_db *db;
    pg_scope scope;
    pg_map changed; // by name
    pg_list order;  // the same, oldest first
    size_t loaded;
    bool is_failing;
};

// ---- time ----

static int64_t wall_of(pg_time at)
{
    return pg_wall_ms() + (at - pg_now()) / PG_MS(1);
}

static pg_time time_of(const pg_dht_keep *keep, int64_t wall_ms)
{
    int64_t ttl_ms = keep->dht->config.ttl_ns / PG_MS(1);
    int64_t left_ms = wall_ms - pg_wall_ms();
    return pg_after(PG_MS(left_ms < ttl_ms ? left_ms : ttl_ms));
}

// ---- changes ----

/** Make a change that is in no list; NULL without memory. peer: NULL for a record. */
static change *change_make(const pg_peer_id *peer, pg_bytes key, bool is_on_disk)
{
    size_t peer_len = peer == NULL ? 0 : peer->len;
    change *made = pg_malloc(sizeof(*made) + 1 + peer_len + key.len);
    if (made == NULL) {
        return NULL;
    }
    *made = (change){.is_provider = peer != NULL,
                     .is_on_disk = is_on_disk,
                     .key_len = key.len,
                     .name_len = 1 + peer_len + key.len};
    made->name[0] = made->is_provider ? 'p' : 'r';
    if (peer != NULL) {
        made->peer = *peer;
        memcpy(made->name + 1, peer->bytes, peer->len);
    }
    memcpy(made->name + 1 + peer_len, key.ptr, key.len);
    return made;
}

static pg_bytes change_name_bytes(const change *of)
{
    return pg_bytes_make(of->name, of->name_len);
}

static pg_bytes change_key(const change *of)
{
    return pg_bytes_make(of->name + (of->name_len - of->key_len), of->key_len);
}

static void change_drop(pg_dht_keep *keep, change *dead)
{
    (void) pg_map_take(&keep->changed, change_name_bytes(dead));
    pg_list_remove(&dead->node);
    pg_mfree(dead);
}

// Enter a change that is in no list; it is taken over.
static void change_enter(pg_dht_keep *keep, change *made)
{
    change *known = pg_map_get(&keep->changed, change_name_bytes(made));
    if (known != NULL) {
        known->is_on_disk = known->is_on_disk || made->is_on_disk;
        pg_mfree(made);
    } else if (pg_map_add(&keep->changed, change_name_bytes(made), made) == PG_OK) {
        pg_list_append(&keep->order, &made->node);
    } else {
        pg_mfree(made); // no memory: on disk it stays as it was, until it changes again or expires
    }
}

// An entry that came and went without having been written need not be thought of. peer: NULL for a record.
static void change_note(pg_dht_keep *keep, const pg_peer_id *peer, pg_bytes key, bool is_on_disk,
                        bool is_gone)
{
    change *made = change_make(peer, key, is_on_disk);
    if (made == NULL) {
        return;
    }
    if (!is_gone || is_on_disk) {
        change_enter(keep, made);
        return;
    }
    change *known = pg_map_get(&keep->changed, change_name_bytes(made));
    if (known != NULL && !known->is_on_disk) {
        change_drop(keep, known);
    }
    pg_mfree(made);
}

static void on_record_put(pg_dht_record *record, void *user)
{
    change_note(user, NULL, record->key, record->is_written, false);
}

static void on_record_gone(const pg_dht_record *record, void *user)
{
    change_note(user, NULL, record->key, record->is_written, true);
}

static void on_provider_put(pg_bytes key, pg_dht_provider *provider, void *user)
{
    change_note(user, &provider->peer->id, key, provider->is_written, false);
}

static void on_provider_gone(pg_bytes key, const pg_dht_provider *provider, void *user)
{
    change_note(user, &provider->peer->id, key, provider->is_written, true);
}

static void listeners_set(pg_dht_keep *keep)
{
    keep->dht->records.listener =
        (pg_dht_records_listener){.on_put = on_record_put, .on_gone = on_record_gone, .user = keep};
    keep->dht->providers.listener = (pg_dht_providers_listener){
        .on_put = on_provider_put, .on_gone = on_provider_gone, .user = keep};
}

// ---- rows ----

static void rows_clear(batch *self)
{
    for (size_t i = 0; i < PG_DHT_KEEP_BATCH; i++) {
        pg_buf_deinit(&self->rows[i].key);
        pg_buf_deinit(&self->rows[i].value);
        self->rows[i] = (row){.is_gone = false};
    }
    self->count = 0;
}

static pg_err row_fill(row *self, pg_bytes key, pg_bytes value)
{
    PG_TRY(pg_buf_append(&self->key, key));
    return pg_buf_append(&self->value, value);
}

static pg_err record_row(pg_dht_keep *keep, const change *of, row *out_row)
{
    pg_dht_record *record = pg_map_get(&keep->dht->records.by_key, change_key(of));
    out_row->is_gone = record == NULL;
    if (record == NULL) {
        return row_fill(out_row, change_key(of), PG_BYTES_EMPTY);
    }
    record->is_written = true;
    out_row->source = record->source;
    out_row->source.peer.len = record->is_own ? 0 : record->source.peer.len;
    out_row->received_ms = record->received_wall_ms;
    out_row->expires_ms = wall_of(record->expires_at);
    return row_fill(out_row, record->key, record->value);
}

static pg_err provider_row(pg_dht_keep *keep, const change *of, row *out_row)
{
    pg_dht_provider *provider =
        pg_dht_providers_find(&keep->dht->providers, change_key(of), &of->peer);
    out_row->is_gone = provider == NULL;
    out_row->source.peer = of->peer;
    if (provider == NULL) {
        return row_fill(out_row, change_key(of), PG_BYTES_EMPTY);
    }
    provider->is_written = true;
    out_row->source.group = provider->peer->group;
    out_row->expires_ms = wall_of(provider->expires_at);
    return row_fill(out_row, change_key(of), pg_buf_bytes(&provider->peer->addrs));
}

// ---- writing ----

static void entry_bind(pg_stmt *stmt, const batch *self, const row *of)
{
    pg_stmt_bind_i64(stmt, 1, self->realm);
    pg_stmt_bind_blob(stmt, 2, pg_buf_bytes(&of->key));
    pg_stmt_bind_blob(stmt, 3, pg_peer_id_bytes(&of->source.peer));
}

static pg_err row_write(pg_db_conn *conn, const batch *self, const row *of)
{
    const char *sql = NULL;
    pg_stmt *stmt = NULL;
    if (of->is_gone) {
        sql = self->is_provider
                  ? "DELETE FROM dht_provider WHERE realm = ?1 AND key = ?2 AND source = ?3"
                  : "DELETE FROM dht_record WHERE realm = ?1 AND key = ?2 AND ?3 IS NOT NULL";
    } else if (self->is_provider) {
        sql = "INSERT INTO dht_provider (realm, key, source, value, subnet, expires_ms)"
              " VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT (realm, key, source)"
              " DO UPDATE SET value = ?4, subnet = ?5, expires_ms = ?6";
    } else {
        sql = "INSERT INTO dht_record (realm, key, source, value, subnet, expires_ms, received_ms)"
              " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) ON CONFLICT (realm, key) DO UPDATE"
              " SET source = ?3, value = ?4, subnet = ?5, expires_ms = ?6, received_ms = ?7";
    }
    PG_TRY(pg_db_prepare(conn, sql, &stmt));
    entry_bind(stmt, self, of);
    if (!of->is_gone) {
        pg_stmt_bind_blob(stmt, 4, pg_buf_bytes(&of->value));
        pg_stmt_bind_i64(stmt, 5, (int64_t) of->source.group);
        pg_stmt_bind_i64(stmt, 6, of->expires_ms);
    }
    if (!of->is_gone && !self->is_provider) {
        pg_stmt_bind_i64(stmt, 7, of->received_ms);
    }
    return pg_stmt_run(stmt);
}

static pg_err job_write(pg_db_conn *conn, void *arg)
{
    const batch *self = arg;
    for (size_t i = 0; i < self->count; i++) {
        PG_TRY(row_write(conn, self, &self->rows[i]));
    }
    return PG_OK;
}

// Take changes of one kind, as the oldest is, and make their rows.
static pg_err changes_take(pg_dht_keep *keep, batch *rows, pg_list *out_taken)
{
    const change *oldest = PG_LIST_OBJECT(keep->order.next, change, node);
    pg_list *node = keep->order.next;
    pg_err err = PG_OK;
    rows->is_provider = oldest->is_provider;
    while (node != &keep->order && rows->count < PG_DHT_KEEP_BATCH && err == PG_OK) {
        change *each = PG_LIST_OBJECT(node, change, node);
        node = node->next;
        if (each->is_provider == rows->is_provider) {
            row *made = &rows->rows[rows->count];
            (void) pg_map_take(&keep->changed, change_name_bytes(each));
            pg_list_remove(&each->node);
            pg_list_append(out_taken, &each->node);
            err = each->is_provider ? provider_row(keep, each, made) : record_row(keep, each, made);
            rows->count++;
        }
    }
    return err;
}

// What is written may be there even when the write failed.
static void changes_end(pg_dht_keep *keep, pg_list *taken, bool is_done)
{
    for (pg_list *node = pg_list_pop(taken); node != NULL; node = pg_list_pop(taken)) {
        change *each = PG_LIST_OBJECT(node, change, node);
        each->is_on_disk = true;
        if (is_done) {
            pg_mfree(each);
        } else {
            change_enter(keep, each);
        }
    }
}

static pg_err batch_write(pg_dht_keep *keep, batch *rows)
{
    pg_list taken;
    pg_list_init(&taken);
    pg_err err = changes_take(keep, rows, &taken);
    if (err == PG_OK) {
        err = pg_db_write(keep->db, job_write, rows);
    }
    changes_end(keep, &taken, err == PG_OK);
    rows_clear(rows);
    return err;
}

static pg_err changes_write(pg_dht_keep *keep, size_t batches_max)
{
    pg_err err = PG_OK;
    if (pg_list_is_empty(&keep->order)) {
        return PG_OK;
    }
    batch *rows = PG_NEW(batch);
    if (rows == NULL) {
        return PG_ERR_NOMEM;
    }
    rows->realm = (int64_t) keep->dht->config.realm;
    for (size_t i = 0; i < batches_max && err == PG_OK && !pg_list_is_empty(&keep->order); i++) {
        err = batch_write(keep, rows);
    }
    pg_mfree(rows);
    return err;
}

pg_err pg_dht_keep_flush(pg_dht_keep *keep)
{
    return changes_write(keep, SIZE_MAX);
}

size_t pg_dht_unsaved(const pg_dht_keep *keep)
{
    return keep == NULL ? 0 : pg_map_count(&keep->changed);
}

// Told once, when it begins to fail.
static void write_and_tell(pg_dht_keep *keep, size_t batches_max)
{
    pg_err err = changes_write(keep, batches_max);
    if (err != PG_OK && err != PG_ERR_CANCELLED && !keep->is_failing) {
        pg_log(PG_LOG_LEVEL_WARN, "dht.keep.failed", PG_LOG_STR("error", pg_err_name(err)),
               PG_LOG_STR("detail", pg_error_detail(err)));
    }
    keep->is_failing = err != PG_OK;
}

static pg_err keep_run(void *arg)
{
    pg_dht_keep *keep = arg;
    for (;;) {
        PG_TRY(pg_sleep_until(pg_after(PG_MS(PG_DHT_KEEP_FLUSH_MS))));
        write_and_tell(keep, PG_DHT_KEEP_BATCHES_MAX);
    }
}

// ---- loading ----

static pg_err job_expire(pg_db_conn *conn, void *arg)
{
    const batch *self = arg;
    static const char *const sql[] = {
        "DELETE FROM dht_record WHERE realm = ?1 AND expires_ms <= ?2",
        "DELETE FROM dht_provider WHERE realm = ?1 AND expires_ms <= ?2",
    };
    for (size_t i = 0; i < PG_ARRAY_LEN(sql); i++) {
        pg_stmt *stmt = NULL;
        PG_TRY(pg_db_prepare(conn, sql[i], &stmt));
        pg_stmt_bind_i64(stmt, 1, self->realm);
        pg_stmt_bind_i64(stmt, 2, self->now_ms);
        PG_TRY(pg_stmt_run(stmt));
    }
    return PG_OK;
}

static pg_err row_read(pg_stmt *stmt, bool is_provider, row *out_row)
{
    pg_bytes peer = pg_stmt_blob(stmt, 4);
    out_row->source.group = (pg_dht_group) pg_stmt_i64(stmt, 5);
    out_row->received_ms = is_provider ? 0 : pg_stmt_i64(stmt, 6);
    PG_TRY(row_fill(out_row, pg_stmt_blob(stmt, 2), pg_stmt_blob(stmt, 3)));
    return peer.len == 0 && !is_provider ? PG_OK : pg_peer_id_decode(peer, &out_row->source.peer);
}

// The first to expire first, so that the stores have them in their order.
static pg_err job_load(pg_db_conn *conn, void *arg)
{
    batch *self = arg;
    pg_stmt *stmt = NULL;
    pg_err err = PG_OK;
    pg_err bad = PG_OK;
    PG_TRY(pg_db_prepare(
        conn,
        self->is_provider
            ? "SELECT id, expires_ms, key, value, source, subnet FROM dht_provider WHERE realm = ?1"
              " AND (expires_ms, id) > (?2, ?3) ORDER BY expires_ms, id LIMIT ?4"
            : "SELECT id, expires_ms, key, value, source, subnet, received_ms FROM dht_record"
              " WHERE realm = ?1 AND (expires_ms, id) > (?2, ?3) ORDER BY expires_ms, id LIMIT ?4",
        &stmt));
    pg_stmt_bind_i64(stmt, 1, self->realm);
    pg_stmt_bind_i64(stmt, 2, self->after_ms);
    pg_stmt_bind_i64(stmt, 3, self->after_id);
    pg_stmt_bind_i64(stmt, 4, PG_DHT_KEEP_BATCH);
    while (pg_stmt_next(stmt, &err)) {
        row *made = &self->rows[self->count];
        self->after_id = pg_stmt_i64(stmt, 0);
        self->after_ms = pg_stmt_i64(stmt, 1);
        made->expires_ms = self->after_ms;
        bad = bad == PG_OK ? row_read(stmt, self->is_provider, made) : bad;
        self->count++;
    }
    return err == PG_OK ? bad : err;
}

static pg_err record_restore(pg_dht_keep *keep, const row *from)
{
    pg_dht *dht = keep->dht;
    const pg_dht_validator *validator = NULL;
    const pg_dht_record like = {
        .key = pg_buf_bytes(&from->key),
        .value = pg_buf_bytes(&from->value),
        .received_wall_ms = from->received_ms,
        .expires_at = time_of(keep, from->expires_ms),
        .source = from->source,
        .is_own = from->source.peer.len == 0,
        .is_written = true,
    };
    PG_TRY(pg_dht_validators_check(dht->config.validators, like.key, like.value, &validator));
    if (pg_map_get(&dht->records.by_key, like.key) != NULL) {
        PG_TRY(pg_dht_record_is_news(dht, validator, like.key, like.value));
    }
    return pg_dht_records_restore(&dht->records, &like);
}

static bool addrs_are_good(const pg_dht *dht, pg_bytes rest)
{
    bool has_one = false;
    while (rest.len > 0) {
        pg_bytes binary = PG_BYTES_EMPTY;
        pg_multiaddr addr;
        size_t len = 0;
        if (pg_frame_decode(rest, PG_MULTIADDR_BYTES_MAX, &binary, &len) != PG_OK ||
            pg_multiaddr_decode(binary, &addr) != PG_OK || !pg_dht_is_in_realm(dht, &addr)) {
            return false;
        }
        rest = pg_bytes_slice(rest, len, rest.len);
        has_one = true;
    }
    return has_one;
}

static pg_err provider_restore(pg_dht_keep *keep, const row *from)
{
    pg_dht_providers *providers = &keep->dht->providers;
    pg_bytes key = pg_buf_bytes(&from->key);
    pg_dht_provider_peer peer = {
        .id = from->source.peer, .group = from->source.group, .addrs = from->value};
    const pg_dht_provider like = {
        .peer = &peer, .expires_at = time_of(keep, from->expires_ms), .is_written = true};
    if (key.len == 0 || key.len > PG_DHT_PROVIDER_KEY_BYTES_MAX ||
        !addrs_are_good(keep->dht, pg_buf_bytes(&from->value))) {
        return pg_fail(PG_ERR_INVALID, "a provider without an address of use here");
    }
    if (pg_dht_providers_find(providers, key, &peer.id) != NULL) {
        return pg_fail(PG_ERR_EXISTS, "it has announced itself meanwhile");
    }
    return pg_dht_providers_restore(providers, key, &like);
}

// What is not taken goes from the disk, or is written as it is now.
static pg_err rows_restore(pg_dht_keep *keep, const batch *rows)
{
    for (size_t i = 0; i < rows->count; i++) {
        const row *each = &rows->rows[i];
        pg_bytes key = pg_buf_bytes(&each->key);
        pg_err err = rows->is_provider ? provider_restore(keep, each) : record_restore(keep, each);
        if (err == PG_ERR_NOMEM) {
            return err;
        }
        keep->loaded += err == PG_OK ? 1U : 0U;
        if (err != PG_OK && key.len <= PG_DHT_NAME_BYTES_MAX) {
            change_note(keep, rows->is_provider ? &each->source.peer : NULL, key, true, true);
        }
    }
    return PG_OK;
}

static pg_err kind_load(pg_dht_keep *keep, batch *rows, bool is_provider)
{
    pg_err err = PG_OK;
    size_t count = 0;
    rows->is_provider = is_provider;
    rows->after_ms = rows->now_ms;
    rows->after_id = INT64_MAX;
    do {
        err = pg_db_read(keep->db, job_load, rows);
        count = rows->count;
        if (err == PG_OK) {
            err = rows_restore(keep, rows);
        }
        rows_clear(rows);
    } while (err == PG_OK && count == PG_DHT_KEEP_BATCH);
    return err;
}

static pg_err all_load(pg_dht_keep *keep)
{
    batch *rows = PG_NEW(batch);
    if (rows == NULL) {
        return PG_ERR_NOMEM;
    }
    rows->realm = (int64_t) keep->dht->config.realm;
    rows->now_ms = pg_wall_ms();
    pg_err err = pg_db_write_freeing(keep->db, job_expire, rows);
    if (err == PG_ERR_FULL) {
        err = PG_OK; // the next start tries again
    }
    if (err == PG_OK) {
        err = kind_load(keep, rows, false);
    }
    if (err == PG_OK) {
        err = kind_load(keep, rows, true);
    }
    pg_mfree(rows);
    return err;
}

// ---- the whole ----

static void keep_free(pg_dht_keep *keep)
{
    keep->dht->keep = NULL;
    keep->dht->records.listener = (pg_dht_records_listener){.user = NULL};
    keep->dht->providers.listener = (pg_dht_providers_listener){.user = NULL};
    while (!pg_list_is_empty(&keep->order)) {
        change_drop(keep, PG_LIST_OBJECT(keep->order.next, change, node));
    }
    pg_map_deinit(&keep->changed);
    pg_mfree(keep);
}

pg_err pg_dht_keep_open(pg_dht *dht, pg_db *db, pg_dht_keep **out_keep)
{
    pg_dht_keep *keep = PG_NEW(pg_dht_keep);
    if (keep == NULL) {
        return PG_ERR_NOMEM;
    }
    keep->dht = dht;
    keep->db = db;
    pg_list_init(&keep->order);
    pg_scope_init_tolerant(&keep->scope);
    listeners_set(keep); // what comes in while the rest is loaded counts too
    dht->keep = keep;
    pg_err err = all_load(keep);
    if (err == PG_OK) {
        err = pg_scope_spawn(&keep->scope, "dht.keep", keep_run, keep);
    }
    if (err != PG_OK) {
        keep_free(keep);
        return err;
    }
    *out_keep = keep;
    return PG_OK;
}

size_t pg_dht_keep_loaded(const pg_dht_keep *keep)
{
    return keep->loaded;
}

void pg_dht_keep_close(pg_dht_keep **keep)
{
    pg_dht_keep *dead = *keep;
    if (dead == NULL) {
        return;
    }
    pg_scope_close(&dead->scope);
    write_and_tell(dead, SIZE_MAX);
    keep_free(dead);
    *keep = NULL;
}
