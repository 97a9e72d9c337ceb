// SPDX-License-Identifier: Apache-2.0
// What the parts of the catalogue share inside a transaction.
//
// Layer: files, private.  Thread: the database's.
#pragma once

#include "files/catalogue.h"
#include "store/stmt.h"

/** In a WHERE: versions of the catalogue itself are files that nobody put. */
#define PG_CATALOGUE_NO_VERSION " AND id NOT IN (SELECT file FROM catalogue_version)"

/** Read a column of exactly `len` bytes. Errors: PG_ERR_CORRUPT. */
PG_NODISCARD pg_err pg_catalogue_bytes_read(pg_stmt *stmt, int column, uint8_t *out, size_t len);

/** Write an extent, new or in place of the one with its id, and its holders. Errors of the database. */
PG_NODISCARD pg_err pg_catalogue_extent_put(pg_db_conn *conn, int64_t file,
                                            const pg_catalogue_extent *extent, int64_t *out_id);

/** Remember that a file was put of an origin, now (unfinished.h). Errors of the database. */
PG_NODISCARD pg_err pg_finished_write(pg_db_conn *conn, int64_t file, const pg_put_origin *origin);

/** Forget it. Errors of the database. */
PG_NODISCARD pg_err pg_finished_drop(pg_db_conn *conn, int64_t file);

/** Write the holders of an extent in place of those that were there. Errors of the database. */
PG_NODISCARD pg_err pg_catalogue_holders_put(pg_db_conn *conn, const pg_catalogue_extent *extent,
                                             int64_t id);

/** Call `each` for the extents of a file in the order they were written; file 0: those to be dropped. It may use other statements.
 *  Errors of the database, of `each`. */
PG_NODISCARD pg_err pg_catalogue_extents_each(pg_db_conn *conn, int64_t file,
                                              pg_err (*each)(const pg_catalogue_extent *extent,
                                                             void *user),
                                              void *user);
