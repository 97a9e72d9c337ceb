// SPDX-License-Identifier: Apache-2.0
// A sealed SQLite database: everything in its files is encrypted and authenticated page by page, the log included. Each database has a
// thread of its own; what is to be done there is a function, given to pg_db_read or pg_db_write, which runs inside one transaction and
// uses statements (stmt.h). A write that returned PG_OK survives a crash. Against an older copy put in the place of the files
// there is no protection.
//
//      static pg_err job_add(pg_db_conn *conn, void *arg) { .. pg_db_prepare(conn, "INSERT ..", &stmt) .. }
//      PG_TRY(pg_db_write(db, job_add, &what));
//
// Layer: store.  Thread: loop thread; the functions run on the database's.  Spec: docs/protocols/store.md
#pragma once

#include <stdint.h>

#include "base/attr.h"
#include "base/err.h"
#include "crypto/secret.h"

typedef struct pg_db pg_db;

/** The database inside a function. */
typedef struct pg_db_conn pg_db_conn;

/** The shape of the tables: steps[n] takes a database of version n to n + 1. Steps that were released never change; new ones are
 *  appended. What a database lacks is run in one transaction: it is of the old version or of the new one, never between. */
typedef struct pg_db_schema {
    const char *const *steps; // SQL, statements divided by semicolons; static
    uint32_t count;           // the version of this program
} pg_db_schema;

/** What runs inside a transaction, on the database's thread. It must not park, and must touch only what it is handed. */
typedef pg_err (*pg_db_fn)(pg_db_conn *conn, void *arg);

/** Open a database, make it when it is not there, and bring it to the version of `schema`; NULL: open it as it is, whatever its
 *  version, to be looked at. Before a database of version N changes its version, a copy of it is made as `path`.vN, whole and durable, in the
 *  place of an older one; copies that nobody went back to for PG_DB_COPY_DAYS are removed by a later open. Parks: yes, as all here.
 *  Errors: PG_ERR_KEY (another key), PG_ERR_CORRUPT, PG_ERR_UNSUPPORTED (a newer program wrote it; the versions are named, and whether there is a
 *  way back), PG_ERR_BUSY (another process has it open), PG_ERR_ACCESS, PG_ERR_FULL (also of the copy: the database is as it was), PG_ERR_IO,
 *  PG_ERR_NOMEM. */
PG_NODISCARD pg_err pg_db_open(const char *path, const pg_key *key, const pg_db_schema *schema,
                               pg_db **out_db);

/** Close and free; no call of it may be on. NULL is fine. */
void pg_db_close(pg_db **db);

/** Run `fn(conn, arg)` in a transaction that may only read. Returns what it returned, or PG_ERR_IO, PG_ERR_CORRUPT, PG_ERR_NOMEM. */
PG_NODISCARD pg_err pg_db_read(pg_db *db, pg_db_fn fn, void *arg);

/** Run `fn(conn, arg)` in a transaction, and commit it, durable at return, when it returned PG_OK; else undo all it did.
 *  Returns what it returned, or PG_ERR_FULL, PG_ERR_IO (after a failed sync for all writes, until the database is opened anew), PG_ERR_CORRUPT,
 *  PG_ERR_NOMEM. After PG_ERR_IO the transaction may still be found done when the database is opened again. */
PG_NODISCARD pg_err pg_db_write(pg_db *db, pg_db_fn fn, void *arg);

/** Keep room for the database on its disk, as `path`.reserve, so that pg_db_write_freeing works where nothing else does; as much of it as there is room
 *  for now, the rest later. Errors: PG_ERR_NOMEM. */
PG_NODISCARD pg_err pg_db_keep_room(pg_db *db, uint64_t bytes);

/** As pg_db_write, for what makes room in the end: where the disk is full it may use the room that was kept, which is then kept anew. */
PG_NODISCARD pg_err pg_db_write_freeing(pg_db *db, pg_db_fn fn, void *arg);

/** Read every page and every index, and compare. Errors: PG_ERR_CORRUPT with the first fault as detail, PG_ERR_IO. */
PG_NODISCARD pg_err pg_db_check(pg_db *db);

/** Write a copy of the present state, sealed under `key`, to a new file, which is there whole or not at all. Other calls wait.
 *  Errors: PG_ERR_EXISTS, PG_ERR_FULL, PG_ERR_IO, PG_ERR_CORRUPT, PG_ERR_NOMEM. */
PG_NODISCARD pg_err pg_db_backup(pg_db *db, const char *path, const pg_key *key);

/** Find the copy of the highest version up to `version_max` that was kept beside a database. *out_version is 0 when there is none. Parks: yes.
 *  Errors: PG_ERR_NOMEM, PG_ERR_IO, PG_ERR_ACCESS. */
PG_NODISCARD pg_err pg_db_copy_find(const char *path, uint32_t version_max, uint32_t *out_version);

/** Put the copy of `version` in the place of a database, which becomes a copy of its own version in turn. One rename decides: before it the
 *  database is as it was, after it the copy stands there. Nobody has either open. Parks: yes.
 *  out_before   version that the database had
 *  Errors: PG_ERR_NOT_FOUND (no such copy), PG_ERR_KEY, PG_ERR_CORRUPT (of either), PG_ERR_BUSY, PG_ERR_FULL, PG_ERR_IO, PG_ERR_NOMEM. */
PG_NODISCARD pg_err pg_db_go_back(const char *path, const pg_key *key, uint32_t version,
                                  uint32_t *out_before);

/** Return the version of the schema that the database has now. */
uint32_t pg_db_version(const pg_db *db);

/** Return the version of the schema that the database had when it was opened; 0 for a new one. */
uint32_t pg_db_version_before(const pg_db *db);

/** Return the version of the SQLite underneath. Static. */
const char *pg_db_library_version(void);
