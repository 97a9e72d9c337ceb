// SPDX-License-Identifier: Apache-2.0
// What the catalogue remembers of its own publishing: which files are versions of it, what was removed, and which record of the feed is
// ours. Tables beside those of catalogue.h.
//
// Layer: files, private.  Thread: loop thread only; all calls park while the database works.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/bytes.h"
#include "base/err.h"
#include "crypto/hash.h"
#include "dht/limits.h"
#include "files/catalogue.h"

/** What we published last. All-zero: nothing. */
typedef struct pg_feed_own {
    uint64_t sequence;
    uint8_t record[PG_FEED_BYTES_MAX]; // as it was signed
    size_t record_len;                 // 0 = none
    pg_cid root;                       // of the version it points to
    uint8_t digest[PG_HASH_BYTES];     // of the snapshot in that version
    uint64_t published_s;              // wall clock
    bool stands;                       // enough peers took it
    bool is_found; // a catalogue was found, or ours stands: there is nothing to restore
} pg_feed_own;

/** Read it. Errors of the database. */
PG_NODISCARD pg_err pg_feed_own_load(pg_db *db, pg_feed_own *out_own);

/** Write it, durable. Errors of the database. */
PG_NODISCARD pg_err pg_feed_own_save(pg_db *db, const pg_feed_own *own);

/** Begin a file that is a version of the catalogue: it is in no list of files and in no snapshot. Otherwise as pg_catalogue_begin. */
PG_NODISCARD pg_err pg_catalogue_begin_version(pg_db *db, int64_t *out_file);

/** Remove all versions but the one with this root; their extents are to be dropped from now on. *out_count tells how many. */
PG_NODISCARD pg_err pg_catalogue_versions_remove(pg_db *db, const pg_cid *but, uint64_t *out_count);
