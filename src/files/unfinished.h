// SPDX-License-Identifier: Apache-2.0
// Puts that may be made again. Those that are not finished and can be gone on with: what the encoding came to, and the hosts of the
// extent at hand. One row each, beside the file's in the catalogue, found by the source; written anew with every segment, and gone with
// the file's end, good or bad. Those that nobody can go on with, as from standard input, have a row for their hosts alone: after a crash they are told
// (abandon.h). And those that are finished, for a while: whoever did not hear of it asks again.
//
// Layer: files, private.  Thread: loop thread only; all calls park while the database works.
#pragma once

#include <stdint.h>

#include "base/attr.h"
#include "base/bytes.h"
#include "base/err.h"
#include "crypto/secret.h"
#include "files/catalogue.h"
#include "files/encode.h"
#include "files/service.h"
#include "store/db.h"

/** A put that is not finished. Owns its buffers and holds a secret: pg_unfinished_deinit. */
typedef struct pg_unfinished {
    int64_t file;
    uint8_t version[PG_PUT_SOURCE_BYTES];
    pg_key key; // of the file
    pg_code code;
    pg_files_encoded totals;
    uint64_t stored_bytes; // of the extents that are complete, on all hosts
    pg_buf list;           // of them, encoded
    pg_buf open;           // descriptor of the extent at hand, encoded; empty = none
    pg_buf hosts;          // of that extent, as pg_unfinished_hosts_write
} pg_unfinished;

/** Wipe and free. */
void pg_unfinished_deinit(pg_unfinished *put);

/** Note a put that begins; `put` has file, version, key and code.
 *  source   source[PG_PUT_SOURCE_BYTES]; NULL = nobody can go on with it, and its version is not looked at. Errors of the database, PG_ERR_EXISTS. */
PG_NODISCARD pg_err pg_unfinished_begin(pg_db *db, const uint8_t *source, const pg_unfinished *put);

/** Note how far it is. Errors of the database. */
PG_NODISCARD pg_err pg_unfinished_save(pg_db *db, const pg_unfinished *put);

/** Find the put of a source. End *out_put with pg_unfinished_deinit. Errors: PG_ERR_NOT_FOUND, of the database. */
PG_NODISCARD pg_err pg_unfinished_find(pg_db *db, const uint8_t source[PG_PUT_SOURCE_BYTES],
                                       pg_unfinished *out_put);

/** Forget that a put can be gone on with; its file stays. Errors of the database. */
PG_NODISCARD pg_err pg_unfinished_forget(pg_db *db, int64_t file);

/** Give the files of those that were not gone on with since `before_s`. Free *out_files with pg_mfree. Errors of the database. */
PG_NODISCARD pg_err pg_unfinished_old(pg_db *db, int64_t before_s, int64_t **out_files,
                                      size_t *out_count);

/** At a start: forget those that were not gone on with since `before_s`: their files are recovered as others are. Errors of the database. */
PG_NODISCARD pg_err pg_unfinished_expire(pg_db *db, int64_t before_s);

/** Give the files of those that nobody can go on with, which at a start are those of earlier runs. Free *out_files with pg_mfree. Errors of the database. */
PG_NODISCARD pg_err pg_unfinished_left(pg_db *db, int64_t **out_files, size_t *out_count);

/** Find the put of a file. End *out_put with pg_unfinished_deinit. Errors: PG_ERR_NOT_FOUND, of the database. */
PG_NODISCARD pg_err pg_unfinished_of(pg_db *db, int64_t file, pg_unfinished *out_put);

/** Note which hosts are still to be told: put->hosts, as pg_unfinished_hosts_write. Errors of the database. */
PG_NODISCARD pg_err pg_unfinished_hosts_save(pg_db *db, const pg_unfinished *put);

/** A put that is finished. */
typedef struct pg_finished {
    int64_t file;
    uint8_t version[PG_PUT_SOURCE_BYTES];
    int64_t done_s; // wall clock
} pg_finished;

/** Find the last that was finished of a source. Errors: PG_ERR_NOT_FOUND, of the database. */
PG_NODISCARD pg_err pg_finished_find(pg_db *db, const uint8_t source[PG_PUT_SOURCE_BYTES],
                                     pg_finished *out_put);

/** Forget those that were finished before `before_s`. Errors of the database. */
PG_NODISCARD pg_err pg_finished_expire(pg_db *db, int64_t before_s);

/** Write the hosts of an extent and their slots; *out is emptied first. Errors: PG_ERR_NOMEM. */
PG_NODISCARD pg_err pg_unfinished_hosts_write(const pg_catalogue_extent *extent, pg_buf *out);

/** Read them into extent->holders. Errors: PG_ERR_CORRUPT. */
PG_NODISCARD pg_err pg_unfinished_hosts_read(pg_bytes in, pg_catalogue_extent *extent);
