// SPDX-License-Identifier: Apache-2.0
// The inside of a sealed database, shared by db.c, db_open.c and stmt.c.
//
// Layer: store, private.  Thread: the worker of the database.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <sqlite3.h>

#include "base/err.h"
#include "base/list.h"
#include "runtime/offload.h"
#include "store/db.h"
#include "store/vfs_priv.h"

struct pg_db_conn {
    sqlite3 *sqlite;
    pg_vfs vfs;
    pg_list stmts;     // of pg_stmt, all that were prepared
    bool is_read_only; // of the transaction that is on
};

struct pg_db {
    pg_worker *worker;
    pg_db_conn conn;
    char *path;
    uint32_t version_before;
    uint32_t version;
};

/** Turn a code of SQLite into one of ours, with what SQLite says of it as detail. `code` is not SQLITE_OK. */
PG_NODISCARD pg_err pg_db_error(pg_db_conn *conn, int code);

/** Run SQL that gives no rows we look at. */
PG_NODISCARD pg_err pg_db_exec(pg_db_conn *conn, const char *sql);

/** Read the first column of the first row, a number. */
PG_NODISCARD pg_err pg_db_query_i64(pg_db_conn *conn, const char *sql, int64_t *out_value);

/** Open the files at `path`, which must be there, and set SQLite up. `conn` is all-zero; close it also after a failure. On the worker. */
PG_NODISCARD pg_err pg_db_conn_open(pg_db_conn *conn, const char *path, const pg_key *key);

/** Close. The all-zero value is fine. On the worker. */
void pg_db_conn_close(pg_db_conn *conn);

/** Make an empty sealed database, or a copy of `from` when that is not NULL, under the name `path`, which is free. On the worker. */
PG_NODISCARD pg_err pg_db_file_make(const char *path, const pg_key *key, pg_db_conn *from);

/** Keep a copy of the database, which is open, under its name and version. On the worker. Errors as pg_db_backup. */
PG_NODISCARD pg_err pg_db_copy_keep(pg_db *db, const pg_key *key);

/** Remove the copies beside a database that are old enough. On the worker. What cannot be removed stays. */
void pg_db_copies_age(const char *path);

/** Let go of what the statements hold, after a transaction. */
void pg_db_stmts_reset(pg_db_conn *conn);

/** Free the statements. */
void pg_db_stmts_free(pg_db_conn *conn);
