// SPDX-License-Identifier: Apache-2.0
// Rows travel between the loop thread and the database's as plain copies. Ages are kept as points of the wall clock; one that lies in
// the future, after the clock was set back, counts as now.
#include "net/peer_store.h"

#include "base/log.h"
#include "base/mem.h"
#include "net/limits.h"
#include "runtime/fiber.h"
#include "store/stmt.h"

const char *const pg_peer_store_schema_1 =
    "CREATE TABLE net_peer ("
    " id BLOB NOT NULL PRIMARY KEY,"
    " seen_ms INTEGER NOT NULL," // wall clock
    " is_hybrid INTEGER NOT NULL,"
    " rtt_ns INTEGER NOT NULL"
    ") WITHOUT ROWID;"
    "CREATE INDEX net_peer_seen ON net_peer (seen_ms);"
    "CREATE INDEX net_peer_worth ON net_peer (is_hybrid, seen_ms);"
    "CREATE TABLE net_peer_addr ("
    " peer BLOB NOT NULL REFERENCES net_peer (id) ON DELETE CASCADE,"
    " addr BLOB NOT NULL,"
    " is_reached INTEGER NOT NULL,"
    " confirmed_ms INTEGER NOT NULL," // wall clock
    " PRIMARY KEY (peer, addr)"
    ") WITHOUT ROWID;"
    "CREATE INDEX net_peer_addr_confirmed ON net_peer_addr (confirmed_ms)";

/** An address as it stands in the database. */
typedef struct addr_row {
    pg_multiaddr addr;
    bool is_reached;
    int64_t confirmed_ms;
} addr_row;

/** A peer as it stands in the database. */
typedef struct peer_row {
    pg_peer_id id;
    int64_t seen_ms;
    bool is_hybrid;
    int64_t rtt_ns;
    size_t addr_count;
    addr_row addrs[PG_NET_BOOK_ADDRS_MAX];
} peer_row;

/** Some rows, on their way. */
typedef struct rows {
    peer_row *items; // [max]
    size_t count;
    size_t max;
    int64_t after_ms; // loading: rows up to this one were taken before
    pg_peer_id after;
    int64_t oldest_ms;
} rows;

struct pg_peer_store {
    pg_host *host;
    pg_db *db;
    pg_scope scope;
    pg_time saved_at; // what changed before is on disk
    size_t loaded;
    bool is_failing;
};

// ---- time ----

static int64_t wall_of(pg_time at)
{
    return pg_wall_ms() - (pg_now() - at) / PG_MS(1);
}

static pg_time time_of(int64_t wall_ms)
{
    int64_t age_ms = pg_wall_ms() - wall_ms;
    age_ms = age_ms < 0 ? 0 : age_ms;
    age_ms = age_ms > PG_NET_STORE_AGE_MS ? PG_NET_STORE_AGE_MS : age_ms;
    return pg_now() - PG_MS(age_ms);
}

// ---- loading ----

static pg_err addrs_load(pg_db_conn *conn, peer_row *row, int64_t oldest_ms)
{
    pg_stmt *stmt = NULL;
    pg_err err = PG_OK;
    PG_TRY(pg_db_prepare(conn,
                         "SELECT addr, is_reached, confirmed_ms FROM net_peer_addr WHERE peer = ?1"
                         " AND confirmed_ms >= ?2 ORDER BY confirmed_ms DESC",
                         &stmt));
    pg_stmt_bind_blob(stmt, 1, pg_peer_id_bytes(&row->id));
    pg_stmt_bind_i64(stmt, 2, oldest_ms);
    while (pg_stmt_next(stmt, &err)) {
        addr_row *addr = &row->addrs[row->addr_count];
        if (row->addr_count == PG_NET_BOOK_ADDRS_MAX) {
            continue;
        }
        addr->is_reached = pg_stmt_i64(stmt, 1) != 0;
        addr->confirmed_ms = pg_stmt_i64(stmt, 2);
        if (pg_multiaddr_decode(pg_stmt_blob(stmt, 0), &addr->addr) == PG_OK) {
            row->addr_count++;
        }
    }
    return err;
}

// The least recently seen first, so that the book has them in its order.
static pg_err job_load(pg_db_conn *conn, void *arg)
{
    rows *batch = arg;
    pg_stmt *stmt = NULL;
    pg_err err = PG_OK;
    batch->count = 0;
    PG_TRY(pg_db_prepare(conn,
                         "SELECT id, seen_ms, is_hybrid, rtt_ns FROM net_peer"
                         " WHERE (seen_ms, id) > (?1, ?2) ORDER BY seen_ms, id LIMIT ?3",
                         &stmt));
    pg_stmt_bind_i64(stmt, 1, batch->after_ms);
    pg_stmt_bind_blob(stmt, 2, pg_peer_id_bytes(&batch->after));
    pg_stmt_bind_i64(stmt, 3, (int64_t) batch->max);
    while (pg_stmt_next(stmt, &err)) {
        peer_row *row = &batch->items[batch->count];
        *row = (peer_row){
            .seen_ms = pg_stmt_i64(stmt, 1),
            .is_hybrid = pg_stmt_i64(stmt, 2) != 0,
            .rtt_ns = pg_stmt_i64(stmt, 3),
        };
        if (pg_peer_id_decode(pg_stmt_blob(stmt, 0), &row->id) != PG_OK) {
            return pg_fail(PG_ERR_CORRUPT, "a row of net_peer has no PeerId");
        }
        batch->after_ms = row->seen_ms;
        batch->after = row->id;
        batch->count++;
    }
    for (size_t i = 0; i < batch->count && err == PG_OK; i++) {
        err = addrs_load(conn, &batch->items[i], batch->oldest_ms);
    }
    return err;
}

static pg_err row_restore(pg_peer_store *store, const peer_row *row)
{
    pg_peer_book *book = pg_host_book(store->host);
    pg_book_peer *peer = pg_peer_book_get(book, &row->id);
    if (peer == NULL) {
        PG_TRY(pg_peer_book_add(book, &row->id, time_of(row->seen_ms), &peer));
    }
    if (row->is_hybrid) {
        pg_book_peer_note_hybrid(peer, false);
    }
    peer->rtt_ns = peer->rtt_ns == 0 ? row->rtt_ns : peer->rtt_ns;
    for (size_t i = 0; i < row->addr_count; i++) {
        pg_time confirmed_at = time_of(row->addrs[i].confirmed_ms);
        const pg_book_addr addr = {
            .addr = row->addrs[i].addr,
            .source = row->addrs[i].is_reached ? PG_BOOK_SOURCE_REACHED : PG_BOOK_SOURCE_HEARSAY,
            .confirmed_at = confirmed_at,
            .expires_at = confirmed_at + PG_MS(PG_NET_STORE_AGE_MS),
        };
        PG_TRY(pg_book_peer_restore_addr(peer, &addr, pg_now()));
    }
    store->loaded++;
    return PG_OK;
}

static pg_err book_load(pg_peer_store *store)
{
    rows batch = {
        .max = PG_NET_STORE_BATCH,
        .oldest_ms = pg_wall_ms() - PG_NET_STORE_AGE_MS,
        .after_ms = INT64_MIN,
    };
    pg_err err = PG_OK;
    batch.items = pg_calloc(batch.max, sizeof(*batch.items));
    if (batch.items == NULL) {
        return PG_ERR_NOMEM;
    }
    do {
        err = pg_db_read(store->db, job_load, &batch);
        for (size_t i = 0; i < batch.count && err == PG_OK; i++) {
            err = row_restore(store, &batch.items[i]);
        }
    } while (err == PG_OK && batch.count > 0);
    pg_mfree(batch.items);
    return err == PG_ERR_LIMIT ? PG_OK : err; // the book is full of peers in use: it has enough
}

// ---- saving ----

static pg_err addrs_save(pg_db_conn *conn, const peer_row *row)
{
    for (size_t i = 0; i < row->addr_count; i++) {
        pg_stmt *stmt = NULL;
        const addr_row *addr = &row->addrs[i];
        PG_TRY(pg_db_prepare(conn,
                             "INSERT INTO net_peer_addr VALUES (?1, ?2, ?3, ?4)"
                             " ON CONFLICT (peer, addr) DO UPDATE SET confirmed_ms = ?4,"
                             " is_reached = max(is_reached, ?3)",
                             &stmt));
        pg_stmt_bind_blob(stmt, 1, pg_peer_id_bytes(&row->id));
        pg_stmt_bind_blob(stmt, 2, pg_multiaddr_bytes(&addr->addr));
        pg_stmt_bind_i64(stmt, 3, addr->is_reached);
        pg_stmt_bind_i64(stmt, 4, addr->confirmed_ms);
        PG_TRY(pg_stmt_run(stmt));
    }
    pg_stmt *stmt = NULL;
    PG_TRY(pg_db_prepare(conn,
                         "DELETE FROM net_peer_addr WHERE peer = ?1 AND addr NOT IN (SELECT addr"
                         " FROM net_peer_addr WHERE peer = ?1 ORDER BY confirmed_ms DESC LIMIT ?2)",
                         &stmt));
    pg_stmt_bind_blob(stmt, 1, pg_peer_id_bytes(&row->id));
    pg_stmt_bind_i64(stmt, 2, PG_NET_BOOK_ADDRS_MAX);
    return pg_stmt_run(stmt);
}

static pg_err job_save(pg_db_conn *conn, void *arg)
{
    const rows *batch = arg;
    for (size_t i = 0; i < batch->count; i++) {
        const peer_row *row = &batch->items[i];
        pg_stmt *stmt = NULL;
        PG_TRY(pg_db_prepare(conn,
                             "INSERT INTO net_peer VALUES (?1, ?2, ?3, ?4)"
                             " ON CONFLICT (id) DO UPDATE SET seen_ms = ?2,"
                             " is_hybrid = max(is_hybrid, ?3), rtt_ns = ?4",
                             &stmt));
        pg_stmt_bind_blob(stmt, 1, pg_peer_id_bytes(&row->id));
        pg_stmt_bind_i64(stmt, 2, row->seen_ms);
        pg_stmt_bind_i64(stmt, 3, row->is_hybrid);
        pg_stmt_bind_i64(stmt, 4, row->rtt_ns);
        PG_TRY(pg_stmt_run(stmt));
        PG_TRY(addrs_save(conn, row));
    }
    return PG_OK;
}

static pg_err statement_run(pg_db_conn *conn, const char *sql, int64_t value)
{
    pg_stmt *stmt = NULL;
    PG_TRY(pg_db_prepare(conn, sql, &stmt));
    pg_stmt_bind_i64(stmt, 1, value);
    return pg_stmt_run(stmt);
}

// Forget what is old, then what is too much: first those that cannot do the hybrid handshake, for the others guard against downgrades.
static pg_err job_prune(pg_db_conn *conn, void *arg)
{
    const rows *bounds = arg;
    PG_TRY(statement_run(conn, "DELETE FROM net_peer_addr WHERE confirmed_ms < ?1",
                         bounds->oldest_ms));
    PG_TRY(statement_run(conn, "DELETE FROM net_peer WHERE is_hybrid = 0 AND seen_ms < ?1",
                         bounds->oldest_ms));
    return statement_run(conn,
                         "DELETE FROM net_peer WHERE id IN (SELECT id FROM net_peer"
                         " ORDER BY is_hybrid DESC, seen_ms DESC LIMIT -1 OFFSET ?1)",
                         (int64_t) bounds->max);
}

// A connection that is there says that its peer is, and that the address it was dialed at is right.
static void on_conn(const pg_host_conn *conn, void *user)
{
    const pg_peer_store *store = user;
    const pg_conn_info *info = &conn->info;
    pg_book_peer *peer = NULL;
    pg_multiaddr addr;
    if (pg_peer_book_add(pg_host_book(store->host), info->peer, pg_now(), &peer) == PG_OK &&
        info->direction == PG_CONN_DIRECTION_OUTBOUND &&
        pg_multiaddr_decode(info->remote_addr, &addr) == PG_OK) {
        pg_book_peer_dialed(peer, &addr, true, pg_now(), 0);
    }
}

static bool is_known_well(const pg_book_addr *addr)
{
    return addr->source != PG_BOOK_SOURCE_HEARSAY;
}

static bool is_changed(const pg_book_peer *peer, pg_time since)
{
    bool is_worth = pg_book_peer_familiarity(peer) > PG_FAMILIARITY_HEARD_OF;
    bool has_changed = is_worth && peer->seen_at >= since;
    for (size_t i = 0; i < peer->addr_count && !has_changed; i++) {
        has_changed = is_known_well(&peer->addrs[i]) && peer->addrs[i].confirmed_at >= since;
    }
    return has_changed;
}

static peer_row row_make(const pg_book_peer *peer)
{
    peer_row row = {
        .id = peer->id,
        .seen_ms = wall_of(peer->seen_at),
        .is_hybrid = peer->is_hybrid,
        .rtt_ns = peer->rtt_ns,
    };
    for (size_t i = 0; i < peer->addr_count; i++) {
        const pg_book_addr *addr = &peer->addrs[i];
        if (is_known_well(addr)) {
            row.addrs[row.addr_count] = (addr_row){
                .addr = addr->addr,
                .is_reached = addr->source == PG_BOOK_SOURCE_REACHED,
                .confirmed_ms = wall_of(addr->confirmed_at),
            };
            row.addr_count++;
        }
    }
    return row;
}

// The ids of the peers to save, on the heap: the book may change while batches are written.
static pg_err changed_collect(const pg_peer_store *store, pg_peer_id **out_ids, size_t *out_count)
{
    const pg_peer_book *book = pg_host_book(store->host);
    pg_peer_id *ids = pg_calloc(pg_map_count(&book->peers), sizeof(*ids));
    if (ids == NULL) {
        return PG_ERR_NOMEM;
    }
    pg_map_cursor cursor = {0};
    const pg_book_peer *peer = NULL;
    *out_count = 0;
    while ((peer = pg_peer_book_next(book, &cursor)) != NULL) {
        if (is_changed(peer, store->saved_at)) {
            ids[*out_count] = peer->id;
            *out_count += 1;
        }
    }
    *out_ids = ids;
    return PG_OK;
}

static pg_err batches_save(const pg_peer_store *store, const pg_peer_id *ids, size_t count,
                           rows *batch)
{
    size_t done = 0;
    while (done < count) {
        batch->count = 0;
        for (; done < count && batch->count < batch->max; done++) {
            const pg_book_peer *peer = pg_peer_book_get(pg_host_book(store->host), &ids[done]);
            if (peer != NULL) {
                batch->items[batch->count] = row_make(peer);
                batch->count++;
            }
        }
        PG_TRY(pg_db_write(store->db, job_save, batch));
    }
    rows bounds = {
        .max = pg_host_book(store->host)->max,
        .oldest_ms = pg_wall_ms() - PG_NET_STORE_AGE_MS,
    };
    return pg_db_write(store->db, job_prune, &bounds);
}

pg_err pg_peer_store_save(pg_peer_store *store)
{
    pg_peer_id *ids = NULL;
    size_t count = 0;
    pg_time began = pg_now();
    pg_host_conns_each(store->host, on_conn, store);
    PG_TRY(changed_collect(store, &ids, &count));
    rows batch = {.max = PG_NET_STORE_BATCH};
    pg_err err = PG_OK;
    if (count > 0) {
        batch.items = pg_calloc(batch.max, sizeof(*batch.items));
        err = batch.items == NULL ? PG_ERR_NOMEM : batches_save(store, ids, count, &batch);
    }
    if (err == PG_OK) {
        store->saved_at = began;
    }
    pg_mfree(batch.items);
    pg_mfree(ids);
    return err;
}

// Told once, when it begins to fail.
static void save_and_tell(pg_peer_store *store)
{
    pg_err err = pg_peer_store_save(store);
    if (err != PG_OK && err != PG_ERR_CANCELLED && !store->is_failing) {
        pg_log(PG_LOG_LEVEL_WARN, "net.peer_store.failed", PG_LOG_STR("error", pg_err_name(err)),
               PG_LOG_STR("detail", pg_error_detail(err)));
    }
    store->is_failing = err != PG_OK;
}

static pg_err save_run(void *arg)
{
    pg_peer_store *store = arg;
    for (;;) {
        PG_TRY(pg_sleep_until(pg_after(PG_MS(PG_NET_STORE_SAVE_MS))));
        save_and_tell(store);
    }
}

// ---- the whole ----

pg_err pg_peer_store_open(pg_host *host, pg_db *db, pg_peer_store **out_store)
{
    pg_peer_store *store = PG_NEW(pg_peer_store);
    if (store == NULL) {
        return PG_ERR_NOMEM;
    }
    store->host = host;
    store->db = db;
    pg_scope_init_tolerant(&store->scope);
    pg_err err = book_load(store);
    store->saved_at = pg_now();
    if (err == PG_OK) {
        err = pg_scope_spawn(&store->scope, "net.peer_store", save_run, store);
    }
    if (err != PG_OK) {
        pg_mfree(store);
        return err;
    }
    *out_store = store;
    return PG_OK;
}

size_t pg_peer_store_loaded(const pg_peer_store *store)
{
    return store->loaded;
}

void pg_peer_store_close(pg_peer_store **store)
{
    pg_peer_store *dead = *store;
    if (dead == NULL) {
        return;
    }
    pg_scope_close(&dead->scope);
    save_and_tell(dead);
    pg_mfree(dead);
    *store = NULL;
}
