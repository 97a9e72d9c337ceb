// SPDX-License-Identifier: Apache-2.0
#include "store/stmt.h"

#include "base/mem.h"
#include "store/db_priv.h"

struct pg_stmt {
    pg_list node;
    pg_db_conn *conn;
    const char *sql; // a literal: found again by its address
    sqlite3_stmt *sqlite;
    bool is_used; // in the transaction that is on; those stand first in the list
    pg_err err;   // what binding or reading a column met, for the next step
};

#define STMT_OF(list_node) PG_LIST_OBJECT(list_node, pg_stmt, node)

static pg_stmt *stmt_find(const pg_db_conn *conn, const char *sql)
{
    for (pg_list *node = conn->stmts.next; node != &conn->stmts; node = node->next) {
        pg_stmt *stmt = STMT_OF(node);
        if (stmt->sql == sql) {
            return stmt;
        }
    }
    return NULL;
}

static void stmt_clear(pg_stmt *stmt)
{
    (void) sqlite3_reset(stmt->sqlite);
    (void) sqlite3_clear_bindings(stmt->sqlite);
    stmt->err = PG_OK;
}

static pg_err stmt_make(pg_db_conn *conn, const char *sql, pg_stmt **out_stmt)
{
    const char *rest = NULL;
    pg_stmt *stmt = PG_NEW(pg_stmt);
    if (stmt == NULL) {
        return pg_fail(PG_ERR_NOMEM, "no memory for a statement");
    }
    int code =
        sqlite3_prepare_v3(conn->sqlite, sql, -1, SQLITE_PREPARE_PERSISTENT, &stmt->sqlite, &rest);
    pg_err err = code == SQLITE_OK ? PG_OK : pg_db_error(conn, code);
    if (err == PG_OK && (stmt->sqlite == NULL || *rest != '\0')) {
        err = pg_fail(PG_ERR_INVALID, "not one statement: %s", sql);
    }
    if (err != PG_OK) {
        (void) sqlite3_finalize(stmt->sqlite);
        pg_mfree(stmt);
        return err;
    }
    stmt->conn = conn;
    stmt->sql = sql;
    pg_list_append(&conn->stmts, &stmt->node);
    *out_stmt = stmt;
    return PG_OK;
}

pg_err pg_db_prepare(pg_db_conn *conn, const char *sql, pg_stmt **out_stmt)
{
    pg_stmt *stmt = stmt_find(conn, sql);
    if (stmt == NULL) {
        PG_TRY(stmt_make(conn, sql, &stmt));
    }
    if (conn->is_read_only && sqlite3_stmt_readonly(stmt->sqlite) == 0) {
        return pg_fail(PG_ERR_INVALID, "a statement that writes, where only reading was asked for");
    }
    stmt_clear(stmt);
    if (!stmt->is_used) {
        stmt->is_used = true;
        pg_list_remove(&stmt->node);
        pg_list_append(conn->stmts.next, &stmt->node); // before the first
    }
    *out_stmt = stmt;
    return PG_OK;
}

void pg_db_stmts_reset(pg_db_conn *conn)
{
    for (pg_list *node = conn->stmts.next; node != &conn->stmts && STMT_OF(node)->is_used;
         node = node->next) {
        stmt_clear(STMT_OF(node));
        STMT_OF(node)->is_used = false;
    }
}

void pg_db_stmts_free(pg_db_conn *conn)
{
    for (pg_list *node = pg_list_pop(&conn->stmts); node != NULL;
         node = pg_list_pop(&conn->stmts)) {
        pg_stmt *stmt = STMT_OF(node);
        (void) sqlite3_finalize(stmt->sqlite);
        pg_mfree(stmt);
    }
}

// ---- Values in

static void bound(pg_stmt *stmt, int code)
{
    if (code != SQLITE_OK && stmt->err == PG_OK) {
        stmt->err = pg_db_error(stmt->conn, code);
    }
}

void pg_stmt_bind_i64(pg_stmt *stmt, int number, int64_t value)
{
    bound(stmt, sqlite3_bind_int64(stmt->sqlite, number, value));
}

void pg_stmt_bind_text(pg_stmt *stmt, int number, pg_str value)
{
    bound(stmt, sqlite3_bind_text64(stmt->sqlite, number, value.ptr == NULL ? "" : value.ptr,
                                    value.len, SQLITE_TRANSIENT, SQLITE_UTF8));
}

void pg_stmt_bind_blob(pg_stmt *stmt, int number, pg_bytes value)
{
    bound(stmt, sqlite3_bind_blob64(stmt->sqlite, number,
                                    value.ptr == NULL ? (const void *) "" : value.ptr, value.len,
                                    SQLITE_TRANSIENT));
}

void pg_stmt_bind_null(pg_stmt *stmt, int number)
{
    bound(stmt, sqlite3_bind_null(stmt->sqlite, number));
}

// ---- Rows out

bool pg_stmt_next(pg_stmt *stmt, pg_err *out_err)
{
    pg_err err = stmt->err;
    int code = err == PG_OK ? sqlite3_step(stmt->sqlite) : SQLITE_DONE;
    if (code == SQLITE_ROW) {
        *out_err = PG_OK;
        return true;
    }
    if (code != SQLITE_DONE) {
        err = pg_db_error(stmt->conn, code);
    }
    stmt_clear(stmt);
    *out_err = err;
    return false;
}

pg_err pg_stmt_run(pg_stmt *stmt)
{
    pg_err err = PG_OK;
    bool more = true;
    while (more) {
        more = pg_stmt_next(stmt, &err);
    }
    return err;
}

bool pg_stmt_is_null(const pg_stmt *stmt, int column)
{
    return sqlite3_column_type(stmt->sqlite, column) == SQLITE_NULL;
}

// NULL has every type.
static bool column_is(pg_stmt *stmt, int column, int type)
{
    int found = sqlite3_column_type(stmt->sqlite, column);
    if (found != type && found != SQLITE_NULL && stmt->err == PG_OK) {
        stmt->err = pg_fail(PG_ERR_CORRUPT, "column %d of the database has another type", column);
    }
    return found == type;
}

int64_t pg_stmt_i64(pg_stmt *stmt, int column)
{
    return column_is(stmt, column, SQLITE_INTEGER) ? sqlite3_column_int64(stmt->sqlite, column) : 0;
}

pg_str pg_stmt_text(pg_stmt *stmt, int column)
{
    if (!column_is(stmt, column, SQLITE_TEXT)) {
        return PG_STR("");
    }
    const char *text = (const char *) sqlite3_column_text(stmt->sqlite, column);
    return pg_str_make_len(text, (size_t) sqlite3_column_bytes(stmt->sqlite, column));
}

pg_bytes pg_stmt_blob(pg_stmt *stmt, int column)
{
    if (!column_is(stmt, column, SQLITE_BLOB)) {
        return PG_BYTES_EMPTY;
    }
    const void *bytes = sqlite3_column_blob(stmt->sqlite, column);
    return pg_bytes_make(bytes, (size_t) sqlite3_column_bytes(stmt->sqlite, column));
}

uint64_t pg_db_changes(const pg_db_conn *conn)
{
    return (uint64_t) sqlite3_changes64(conn->sqlite);
}

int64_t pg_db_last_id(const pg_db_conn *conn)
{
    return sqlite3_last_insert_rowid(conn->sqlite);
}
