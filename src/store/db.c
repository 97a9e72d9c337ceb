// SPDX-License-Identifier: Apache-2.0
#include "store/db.h"

#include "base/mem.h"
#include "base/str.h"
#include "store/db_priv.h"

/** A call on its way to the worker. */
struct call {
    pg_db *db;
    const pg_key *key;
    const pg_db_schema *schema;
    pg_db_fn fn;
    void *arg;
    const char *path;
    uint64_t bytes;
};

// ---- Opening

static pg_err version_set(pg_db_conn *conn, uint32_t version)
{
    pg_buf sql = {0};
    pg_err err = pg_buf_printf(&sql, "PRAGMA user_version = %u", version);
    if (err == PG_OK) {
        err = pg_db_exec(conn, (const char *) sql.ptr);
    }
    pg_buf_deinit(&sql);
    return err;
}

static pg_err steps_run(pg_db_conn *conn, const pg_db_schema *schema, uint32_t version)
{
    PG_TRY(pg_db_exec(conn, "BEGIN IMMEDIATE"));
    pg_err err = PG_OK;
    for (uint32_t i = version; i < schema->count && err == PG_OK; i++) {
        err = pg_error_wrap(pg_db_exec(conn, schema->steps[i]), "database version %u", i + 1);
    }
    if (err == PG_OK) {
        err = version_set(conn, schema->count);
    }
    if (err == PG_OK) {
        err = pg_db_exec(conn, "COMMIT");
    }
    if (err != PG_OK) {
        (void) sqlite3_exec(conn->sqlite, "ROLLBACK", NULL, NULL, NULL);
    }
    return err;
}

// Whoever meets a newer database is told what can be done.
static pg_err newer_fail(const pg_db *db, uint32_t version, uint32_t known)
{
    uint32_t copy = 0;
    pg_err err = pg_db_copy_find(db->path, known, &copy);
    if (err == PG_OK && copy > 0) {
        return pg_fail(
            PG_ERR_UNSUPPORTED,
            "%s has version %u, this program knows up to %u: run the newer program again, "
            "or go back to the copy of version %u from before the upgrade with `pangea "
            "downgrade`",
            db->path, version, known, copy);
    }
    return pg_fail(
        PG_ERR_UNSUPPORTED,
        "%s has version %u, this program knows up to %u: run the newer program again, or "
        "restore a backup that this one made with `pangea restore`",
        db->path, version, known);
}

static pg_err migrate(pg_db *db, const pg_db_schema *schema, const pg_key *key)
{
    int64_t found = 0;
    PG_TRY(pg_db_query_i64(&db->conn, "PRAGMA user_version", &found));
    if (found < 0 || found > UINT32_MAX) {
        return pg_fail(PG_ERR_CORRUPT, "%s has version %lld", db->path, (long long) found);
    }
    const uint32_t version = (uint32_t) found;
    db->version_before = version;
    db->version = version;
    if (schema == NULL) {
        return PG_OK;
    }
    if (version > schema->count) {
        return newer_fail(db, version, schema->count);
    }
    if (version == schema->count) {
        pg_db_copies_age(db->path);
        return PG_OK;
    }
    if (version > 0) {
        PG_TRY(pg_error_wrap(pg_db_copy_keep(db, key), "copy of version %u before the upgrade",
                             version));
    }
    PG_TRY(pg_error_wrap(steps_run(&db->conn, schema, version),
                         "upgrade from version %u to %u, now undone", version, schema->count));
    db->version = schema->count;
    return PG_OK;
}

static pg_err job_open(void *arg)
{
    const struct call *call = arg;
    pg_err err = pg_db_conn_open(&call->db->conn, call->db->path, call->key);
    if (err == PG_OK) {
        err = migrate(call->db, call->schema, call->key);
    }
    if (err != PG_OK) {
        pg_db_conn_close(&call->db->conn);
    }
    return err;
}

static pg_err job_close(void *arg)
{
    const struct call *call = arg;
    pg_db_conn_close(&call->db->conn);
    return PG_OK;
}

static void db_free(pg_db *db)
{
    pg_worker_free(&db->worker);
    pg_mfree(db->path);
    pg_mfree(db);
}

pg_err pg_db_open(const char *path, const pg_key *key, const pg_db_schema *schema, pg_db **out_db)
{
    pg_db *db = PG_NEW(pg_db);
    if (db == NULL) {
        return pg_fail(PG_ERR_NOMEM, "no memory for a database");
    }
    pg_err err = PG_OK;
    struct call call = {.db = db, .key = key, .schema = schema};
    db->path = pg_str_dup(pg_str_make(path));
    if (db->path == NULL) {
        err = pg_fail(PG_ERR_NOMEM, "no memory for a database");
    }
    if (err == PG_OK) {
        err = pg_worker_new("database", &db->worker);
    }
    if (err == PG_OK) {
        err = pg_worker_call(db->worker, job_open, &call);
    }
    if (err != PG_OK) {
        db_free(db);
        return err;
    }
    *out_db = db;
    return PG_OK;
}

void pg_db_close(pg_db **db)
{
    if (*db == NULL) {
        return;
    }
    struct call call = {.db = *db};
    pg_ignore(pg_worker_call((*db)->worker, job_close, &call), "closing does not fail");
    db_free(*db);
    *db = NULL;
}

uint32_t pg_db_version_before(const pg_db *db)
{
    return db->version_before;
}

uint32_t pg_db_version(const pg_db *db)
{
    return db->version;
}

const char *pg_db_library_version(void)
{
    return sqlite3_libversion();
}

// ---- Transactions

static pg_err transaction(pg_db_conn *conn, const char *begin, const struct call *call)
{
    PG_TRY(pg_db_exec(conn, begin));
    pg_err err = call->fn(conn, call->arg);
    pg_db_stmts_reset(conn);
    if (err == PG_OK) {
        err = pg_db_exec(conn, "COMMIT");
    }
    if (err != PG_OK && sqlite3_get_autocommit(conn->sqlite) == 0) {
        (void) sqlite3_exec(conn->sqlite, "ROLLBACK", NULL, NULL, NULL);
    }
    return err;
}

static pg_err job_read(void *arg)
{
    const struct call *call = arg;
    pg_db_conn *conn = &call->db->conn;
    conn->is_read_only = true;
    pg_err err = transaction(conn, "BEGIN", call);
    conn->is_read_only = false;
    return err;
}

static pg_err job_write(void *arg)
{
    const struct call *call = arg;
    return transaction(&call->db->conn, "BEGIN IMMEDIATE", call);
}

static pg_err job_write_freeing(void *arg)
{
    const struct call *call = arg;
    pg_db_conn *conn = &call->db->conn;
    pg_reserve *reserve = &conn->vfs.reserve;
    reserve->may_give = true;
    reserve->has_given = false;
    pg_err err = transaction(conn, "BEGIN IMMEDIATE", call);
    reserve->may_give = false;
    if (reserve->has_given) { // what the log took comes back with its end
        (void) sqlite3_exec(conn->sqlite, "PRAGMA wal_checkpoint(TRUNCATE)", NULL, NULL, NULL);
        conn->vfs.last_err = PG_OK;
    }
    pg_reserve_fill(reserve);
    return err;
}

static pg_err job_keep_room(void *arg)
{
    const struct call *call = arg;
    return pg_reserve_init(&call->db->conn.vfs.reserve, call->db->path, call->bytes);
}

pg_err pg_db_keep_room(pg_db *db, uint64_t bytes)
{
    struct call call = {.db = db, .bytes = bytes};
    return pg_worker_call(db->worker, job_keep_room, &call);
}

pg_err pg_db_write_freeing(pg_db *db, pg_db_fn fn, void *arg)
{
    struct call call = {.db = db, .fn = fn, .arg = arg};
    return pg_worker_call(db->worker, job_write_freeing, &call);
}

pg_err pg_db_read(pg_db *db, pg_db_fn fn, void *arg)
{
    struct call call = {.db = db, .fn = fn, .arg = arg};
    return pg_worker_call(db->worker, job_read, &call);
}

pg_err pg_db_write(pg_db *db, pg_db_fn fn, void *arg)
{
    struct call call = {.db = db, .fn = fn, .arg = arg};
    return pg_worker_call(db->worker, job_write, &call);
}

// ---- Check and backup

static pg_err job_check(void *arg)
{
    const struct call *call = arg;
    pg_db_conn *conn = &call->db->conn;
    sqlite3_stmt *stmt = NULL;
    pg_err err = PG_OK;
    int code = sqlite3_prepare_v2(conn->sqlite, "PRAGMA integrity_check(1)", -1, &stmt, NULL);
    if (code == SQLITE_OK) {
        code = sqlite3_step(stmt);
    }
    if (code != SQLITE_ROW) {
        err = pg_db_error(conn, code);
    } else {
        pg_str text = pg_str_make((const char *) sqlite3_column_text(stmt, 0));
        if (!pg_str_equal(text, PG_STR("ok"))) {
            err = pg_fail(PG_ERR_CORRUPT, "database: %.*s", PG_STR_ARGS(text));
        }
    }
    (void) sqlite3_finalize(stmt);
    return err;
}

pg_err pg_db_check(pg_db *db)
{
    struct call call = {.db = db};
    return pg_worker_call(db->worker, job_check, &call);
}

static pg_err job_backup(void *arg)
{
    const struct call *call = arg;
    pg_file_info info;
    pg_err err = pg_path_stat(call->path, &info);
    if (err == PG_OK) {
        return pg_fail(PG_ERR_EXISTS, "%s: exists", call->path);
    }
    return err == PG_ERR_NOT_FOUND ? pg_db_file_make(call->path, call->key, &call->db->conn) : err;
}

pg_err pg_db_backup(pg_db *db, const char *path, const pg_key *key)
{
    struct call call = {.db = db, .path = path, .key = key};
    return pg_worker_call(db->worker, job_backup, &call);
}
