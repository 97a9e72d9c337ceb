// SPDX-License-Identifier: Apache-2.0
// From the catalogue to a snapshot, read like a file: page by page from the database, each page in one transaction, so that its length costs
// neither memory nor others their turn. What changes while it is read is in it or not, file by file; it is a snapshot in any case.
//
// Layer: files, private.  Thread: loop thread only; all calls with a database park while it works.  Spec: docs/protocols/catalogue.md
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/bytes.h"
#include "base/err.h"
#include "crypto/hash.h"
#include "files/encode.h"
#include "files/snapshot.h"
#include "store/db.h"

/** What is read next. */
typedef enum pg_export_stage {
    PG_EXPORT_STAGE_BEGIN,
    PG_EXPORT_STAGE_FILES,
    PG_EXPORT_STAGE_REMOVED,
    PG_EXPORT_STAGE_PINS,
    PG_EXPORT_STAGE_END,
    PG_EXPORT_STAGE_DONE,
} pg_export_stage;

/** A reading. Holds keys, and heap memory: end it with pg_export_deinit. */
typedef struct pg_export {
    pg_db *db;
    pg_export_stage stage;
    pg_cid last; // root of the row that was read last in this stage; len 0 = none
    pg_buf page;
    size_t taken;        // bytes of it that were given away
    size_t record_start; // in it, of the file at hand
    bool is_left_out;    // that file
    bool has_pins;
    bool is_empty;     // no record so far
    bool is_too_large; // why it failed
    uint64_t bytes;    // so far
    uint64_t bytes_max;
    pg_sha256_stream digest;
} pg_export;

/** Forget what was removed, or let go of, before `since_s`, wall clock. Errors of the database. */
PG_NODISCARD pg_err pg_export_forget(pg_db *db, uint64_t since_s);

/** Begin to read the catalogue of `db`, borrowed, up to `bytes_max` bytes. Errors: PG_ERR_NOMEM. */
PG_NODISCARD pg_err pg_export_init(pg_export *self, pg_db *db, uint64_t bytes_max);

/** Read on: a pg_files_source.read, `user` is the pg_export. Files that are on this node only are left out: nobody else could have them.
 *  Errors: PG_ERR_LIMIT (is_too_large is set), PG_ERR_CHANGED, PG_ERR_NOMEM, of the database. */
PG_NODISCARD pg_err pg_export_read(pg_mut_bytes space, pg_time deadline, size_t *out_len,
                                   void *user);

/** Return PG_ERR_LIMIT, and tell what is to be done about a catalogue that is too large. */
PG_NODISCARD pg_err pg_export_fail_too_large(uint64_t bytes_max);

/** Give the digest of all that was read, once. */
void pg_export_digest(pg_export *self, uint8_t out_digest[PG_HASH_BYTES]);

/** Wipe and free. The all-zero value is fine. */
void pg_export_deinit(pg_export *self);
