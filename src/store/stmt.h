// SPDX-License-Identifier: Apache-2.0
// Prepared statements inside a transaction of a sealed database. SQL is always a literal; values are bound by type and never become
// part of it. Errors of binding and of reading a column are remembered, and returned by the next step, so that a job reads straight:
//
//      PG_TRY(pg_db_prepare(conn, "SELECT id, name FROM file WHERE size > ?1", &stmt));
//      pg_stmt_bind_i64(stmt, 1, 4096);
//      while (pg_stmt_next(stmt, &err)) { use(pg_stmt_i64(stmt, 0), pg_stmt_text(stmt, 1)); }
//      return err;
//
// Layer: store.  Thread: the database's, inside a pg_db_fn.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/bytes.h"
#include "base/err.h"
#include "base/str.h"
#include "store/db.h"

typedef struct pg_stmt pg_stmt;

/** Get the statement of a literal, without values. It is prepared once and kept: the same literal cannot be in use twice at a time.
 *  Valid until the function returns. Errors: PG_ERR_INVALID (no statement, or one that writes in pg_db_read), PG_ERR_NOMEM, PG_ERR_CORRUPT. */
PG_NODISCARD pg_err pg_db_prepare(pg_db_conn *conn, const char *sql, pg_stmt **out_stmt);

/** Bind a value to the parameter `?number`, from 1; text and bytes are copied. Text is UTF-8. */
void pg_stmt_bind_i64(pg_stmt *stmt, int number, int64_t value);
/** Bind text. */
void pg_stmt_bind_text(pg_stmt *stmt, int number, pg_str value);
/** Bind bytes. */
void pg_stmt_bind_blob(pg_stmt *stmt, int number, pg_bytes value);
/** Bind NULL, which is what parameters without a value are, too. */
void pg_stmt_bind_null(pg_stmt *stmt, int number);

/** Step to the next row; false at the end, and when it fails, which *out_err tells. The statement is then as if just prepared. */
PG_NODISCARD bool pg_stmt_next(pg_stmt *stmt, pg_err *out_err);

/** Run a statement to its end; rows are skipped.
 *  Errors: PG_ERR_EXISTS (a key that is there), PG_ERR_INVALID (another constraint), PG_ERR_FULL, PG_ERR_IO, PG_ERR_CORRUPT, PG_ERR_NOMEM. */
PG_NODISCARD pg_err pg_stmt_run(pg_stmt *stmt);

/** Return a column, from 0, of the present row. One of another type fails the next step with PG_ERR_CORRUPT. NULL reads as 0 or empty. */
int64_t pg_stmt_i64(pg_stmt *stmt, int column);
/** Return text, borrowed until the next step. */
pg_str pg_stmt_text(pg_stmt *stmt, int column);
/** Return bytes, borrowed until the next step. */
pg_bytes pg_stmt_blob(pg_stmt *stmt, int column);
/** Return true when the column is NULL. */
bool pg_stmt_is_null(const pg_stmt *stmt, int column);

/** Return the number of rows the last statement changed. */
uint64_t pg_db_changes(const pg_db_conn *conn);

/** Return the row id of the last insert. */
int64_t pg_db_last_id(const pg_db_conn *conn);
