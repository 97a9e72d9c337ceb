// SPDX-License-Identifier: Apache-2.0
// Making and opening the files of a sealed database, on its worker.
//
// A database is made under another name and renamed, so that under its own it has always a whole first page. Whenever one is opened
// with a log, the log is copied back and cut: what was committed before is then durable for sure, whatever syncs failed.
#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "runtime/random.h"
#include "store/db_priv.h"

// ---- SQLite

static pg_err code_map(int code)
{
    switch (code & 0xff) {
    case SQLITE_NOMEM:
        return PG_ERR_NOMEM;
    case SQLITE_FULL:
        return PG_ERR_FULL;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
        return PG_ERR_CORRUPT;
    case SQLITE_CONSTRAINT:
        return code == SQLITE_CONSTRAINT_UNIQUE || code == SQLITE_CONSTRAINT_PRIMARYKEY ||
                       code == SQLITE_CONSTRAINT_ROWID
                   ? PG_ERR_EXISTS
                   : PG_ERR_INVALID;
    case SQLITE_IOERR:
    case SQLITE_CANTOPEN:
        return PG_ERR_IO;
    default: // an error in the SQL, or in how it is used
        return PG_ERR_INVALID;
    }
}

pg_err pg_db_error(pg_db_conn *conn, int code)
{
    pg_err err = code_map(code);
    pg_err precise = conn->vfs.last_err;
    conn->vfs.last_err = PG_OK;
    if (err == PG_ERR_IO && precise != PG_OK) {
        err = precise;
    }
    const char *text = conn->sqlite == NULL ? sqlite3_errstr(code) : sqlite3_errmsg(conn->sqlite);
    if (err == PG_ERR_FULL && !conn->vfs.has_failed) {
        return pg_fail(err,
                       "database: its disk has no room left; free some room there, or make some "
                       "with `pangea rm` and `pangea unpin`, and try again");
    }
    return conn->vfs.has_failed
               ? pg_fail(err, "database: the disk failed to make a change durable; the database "
                              "does not change until the node is restarted")
               : pg_fail(err, "database: %s", text);
}

pg_err pg_db_exec(pg_db_conn *conn, const char *sql)
{
    int code = sqlite3_exec(conn->sqlite, sql, NULL, NULL, NULL);
    return code == SQLITE_OK ? PG_OK : pg_db_error(conn, code);
}

pg_err pg_db_query_i64(pg_db_conn *conn, const char *sql, int64_t *out_value)
{
    sqlite3_stmt *stmt = NULL;
    int code = sqlite3_prepare_v2(conn->sqlite, sql, -1, &stmt, NULL);
    if (code == SQLITE_OK) {
        code = sqlite3_step(stmt);
    }
    pg_err err = PG_OK;
    if (code == SQLITE_ROW) {
        *out_value = sqlite3_column_int64(stmt, 0);
    } else {
        err = pg_db_error(conn, code);
    }
    (void) sqlite3_finalize(stmt);
    return err;
}

// Statement journals stay in memory, whatever they come to: in a file they would be plaintext. Before SQLite's first use only.
static void sqlite_configure(void)
{
    static bool is_configured;
    if (!is_configured) {
        (void) sqlite3_config(SQLITE_CONFIG_STMTJRNL_SPILL, -1);
        is_configured = true;
    }
}

static pg_err sqlite_open(pg_db_conn *conn, const char *path)
{
    int reserved = PG_SEAL_TAIL_BYTES;
    int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE;
    int code = sqlite3_open_v2(path, &conn->sqlite, flags, conn->vfs.name);
    if (code == SQLITE_OK) {
        code = sqlite3_file_control(conn->sqlite, "main", SQLITE_FCNTL_RESERVE_BYTES, &reserved);
    }
    if (code != SQLITE_OK) {
        return pg_db_error(conn, code);
    }
    (void) sqlite3_db_config(conn->sqlite, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
    (void) sqlite3_db_config(conn->sqlite, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
    return pg_db_exec(conn, "PRAGMA locking_mode = EXCLUSIVE;"
                            "PRAGMA temp_store = MEMORY;"
                            "PRAGMA synchronous = FULL;"
                            "PRAGMA foreign_keys = ON;");
}

// ---- Files

static pg_err head_write(const char *path, const pg_key *key, pg_seal_keys *out_keys)
{
    uint8_t salt[PG_SEAL_SALT_BYTES];
    uint8_t head[PG_SEAL_PAGE_BYTES];
    pg_file *file = NULL;
    pg_random_bytes(PG_MUT_BYTES_OF(salt));
    pg_seal_head_encode(key, salt, head, out_keys);
    PG_TRY(pg_file_open(path, PG_FILE_MODE_WRITE | PG_FILE_MODE_CREATE | PG_FILE_MODE_TRUNCATE,
                        &file));
    pg_err err = pg_file_write_at(file, 0, PG_BYTES_OF(head));
    pg_file_free(&file);
    return err;
}

static pg_err head_read(const char *path, const pg_key *key, pg_seal_keys *out_keys)
{
    uint8_t head[PG_SEAL_PAGE_BYTES];
    pg_file *file = NULL;
    size_t len = 0;
    PG_TRY(pg_file_open(path, PG_FILE_MODE_READ, &file));
    pg_err err = PG_ERR_CORRUPT;
    for (unsigned tries = 0; tries < 2 && err == PG_ERR_CORRUPT; tries++) { // or it was misread
        err = pg_file_read_at(file, 0, PG_MUT_BYTES_OF(head), &len);
        if (err == PG_OK) {
            err = pg_seal_head_decode(key, pg_bytes_make(head, len), out_keys);
        }
    }
    pg_file_free(&file);
    return pg_error_wrap(err, "%s", path);
}

static pg_err copy_from(pg_db_conn *to, pg_db_conn *from)
{
    sqlite3_backup *backup = sqlite3_backup_init(to->sqlite, "main", from->sqlite, "main");
    if (backup == NULL) {
        return pg_db_error(to, sqlite3_extended_errcode(to->sqlite));
    }
    int code = sqlite3_backup_step(backup, -1);
    int finished = sqlite3_backup_finish(backup);
    if (code == SQLITE_DONE && finished == SQLITE_OK) {
        return PG_OK;
    }
    code = finished != SQLITE_OK ? finished : code;
    return pg_db_error(from->vfs.last_err != PG_OK ? from : to, code);
}

// With a journal in memory only: a crash leaves a file under a name nobody reads.
static pg_err content_write(pg_db_conn *conn, const char *path, pg_db_conn *from)
{
    PG_TRY(sqlite_open(conn, path));
    PG_TRY(pg_db_exec(conn, "PRAGMA page_size = 4096; PRAGMA journal_mode = MEMORY;"));
    if (from != NULL) {
        return copy_from(conn, from);
    }
    return pg_db_exec(conn, "PRAGMA application_id = 0x70676462;" // "pgdb"
                            "PRAGMA journal_mode = WAL;");
}

static pg_err file_sync(const char *path)
{
    pg_file *file = NULL;
    PG_TRY(pg_file_open(path, PG_FILE_MODE_WRITE, &file));
    pg_err err = pg_file_sync(file);
    pg_file_free(&file);
    return err;
}

static pg_err folder_sync(const char *path)
{
    const char *slash = strrchr(path, '/');
    if (slash == NULL || slash == path) {
        return pg_dir_sync(slash == NULL ? "." : "/");
    }
    char *folder = pg_str_dup(pg_str_make_len(path, (size_t) (slash - path)));
    if (folder == NULL) {
        return pg_fail(PG_ERR_NOMEM, "cannot make %s", path);
    }
    pg_err err = pg_dir_sync(folder);
    pg_mfree(folder);
    return err;
}

static pg_err leftover_remove(const char *path)
{
    pg_err err = pg_path_remove(path);
    return err == PG_ERR_NOT_FOUND ? PG_OK : err;
}

static pg_err make_under(const char *path, const char *temporary, const pg_key *key,
                         pg_db_conn *from)
{
    pg_db_conn conn = {0};
    pg_list_init(&conn.stmts);
    pg_err err = head_write(temporary, key, &conn.vfs.keys);
    if (err == PG_OK) {
        err = pg_vfs_init(&conn.vfs, temporary);
    }
    if (err == PG_OK) {
        err = content_write(&conn, temporary, from);
    }
    pg_db_conn_close(&conn);
    if (err == PG_OK) {
        err = file_sync(temporary);
    }
    if (err == PG_OK) {
        err = pg_path_rename(temporary, path);
    }
    return err == PG_OK ? folder_sync(path) : err;
}

pg_err pg_db_file_make(const char *path, const pg_key *key, pg_db_conn *from)
{
    pg_buf temporary = {0};
    pg_buf log = {0};
    sqlite_configure();
    pg_err err = pg_buf_printf(&temporary, "%s.new", path);
    if (err == PG_OK) {
        err = pg_buf_printf(&log, "%s.new-wal", path);
    }
    if (err == PG_OK) {
        err = leftover_remove((const char *) log.ptr);
    }
    if (err == PG_OK) {
        err = make_under(path, (const char *) temporary.ptr, key, from);
    }
    if (err != PG_OK && temporary.ptr != NULL) {
        pg_ignore(pg_path_remove((const char *) temporary.ptr), "the first failure counts");
    }
    pg_buf_deinit(&log);
    pg_buf_deinit(&temporary);
    return err;
}

pg_err pg_db_conn_open(pg_db_conn *conn, const char *path, const pg_key *key)
{
    pg_file_info info;
    sqlite_configure();
    pg_list_init(&conn->stmts);
    pg_err err = pg_path_stat(path, &info);
    if (err == PG_ERR_NOT_FOUND) {
        err = pg_db_file_make(path, key, NULL);
    }
    PG_TRY(err);
    PG_TRY(head_read(path, key, &conn->vfs.keys));
    PG_TRY(pg_vfs_init(&conn->vfs, path));
    PG_TRY(sqlite_open(conn, path));
    PG_TRY(pg_db_exec(conn, "PRAGMA journal_mode = WAL;"
                            "PRAGMA journal_size_limit = 4194304;"));
    err = pg_db_exec(conn, "PRAGMA wal_checkpoint(TRUNCATE);");
    return err == PG_ERR_FULL ? PG_OK : err; // the log stays as it is, and is read all the same
}

void pg_db_conn_close(pg_db_conn *conn)
{
    if (conn->stmts.next != NULL) {
        pg_db_stmts_free(conn);
    }
    int code = sqlite3_close(conn->sqlite);
    pg_assert(code == SQLITE_OK); // no statement and no backup is left
    conn->sqlite = NULL;
    pg_vfs_deinit(&conn->vfs);
}
