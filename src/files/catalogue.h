// SPDX-License-Identifier: Apache-2.0
// The owner's catalogue: which files were put here, their links, extents, leases, and which hosts hold which slots. In the node's sealed
// database. An extent of no file is one to be dropped: its file was removed, or its put did not end well.
//
//      file     writing -> pending | partial | complete        extent    of a file -> of none -> gone
//
// Layer: files.  Thread: loop thread only; all calls park while the database works.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/err.h"
#include "codec/cid.h"
#include "crypto/peer_id.h"
#include "exchange/lease.h"
#include "files/descriptor.h"
#include "files/service.h"
#include "store/db.h"

/** One host of an extent. */
typedef struct pg_catalogue_holder {
    pg_peer_id peer;
    pg_slot_set slots;
    uint64_t bytes;  // of the shards in its slots
    uint32_t missed; // checks in a row that it did not answer
} pg_catalogue_holder;

/** One extent and its lease, or a root that is kept whole. */
typedef struct pg_catalogue_extent {
    int64_t id;                            // 0: not in the catalogue yet
    pg_cid descriptor;                     // or the root
    uint8_t extent_id[PG_EXTENT_ID_BYTES]; // what the lease key derives from
    pg_cid root;                           // that its grant names; len 0 = none
    bool is_whole;
    pg_code code;
    uint64_t slot_bytes; // of the shards of one slot
    uint64_t sequence;   // the highest that was signed
    uint64_t expiry_s;
    pg_slot_set local; // slots that are on this node only
    bool has_strays;   // a host that is no holder any more may still keep some of it
    bool is_dropped;   // its hosts are to drop it, by a grant of `sequence`
    size_t holder_count;
    pg_catalogue_holder holders[PG_PLACE_SLOTS_MAX]; // unless is_whole each slot is one's
} pg_catalogue_extent;

/** Begin a file: *out_file is its number. It shows in no list until pg_catalogue_finish. Errors of the database. */
PG_NODISCARD pg_err pg_catalogue_begin(pg_db *db, int64_t *out_file);

/** Write an extent of a file, new (its id is then set) or changed, durable. file 0 = it is to be dropped. Errors of the database. */
PG_NODISCARD pg_err pg_catalogue_extent_write(pg_db *db, int64_t file, pg_catalogue_extent *extent);

/** Forget an extent. Errors of the database. */
PG_NODISCARD pg_err pg_catalogue_extent_forget(pg_db *db, int64_t id);

/** Complete a file that was begun, and remember what it is of (unfinished.h), unless `origin` is NULL. `entry` without hosts and survives.
 *  Errors of the database; PG_ERR_EXISTS (the root is known). */
PG_NODISCARD pg_err pg_catalogue_finish(pg_db *db, int64_t file, const pg_file_entry *entry,
                                        const pg_put_origin *origin);

/** Take a file out; its extents are to be dropped from now on. Errors of the database, PG_ERR_NOT_FOUND. */
PG_NODISCARD pg_err pg_catalogue_remove(pg_db *db, int64_t file);

/** Take out all files that were begun by an earlier run and not finished, but those that can be gone on with (unfinished.h). Errors of the database. */
PG_NODISCARD pg_err pg_catalogue_recover(pg_db *db);

/** Find a file by its root. Errors: PG_ERR_NOT_FOUND, of the database. */
PG_NODISCARD pg_err pg_catalogue_find(pg_db *db, const pg_cid *root, int64_t *out_file);

/** Fill an entry with what its own row says, without what is summed over its extents. Errors: PG_ERR_NOT_FOUND, of the database. */
PG_NODISCARD pg_err pg_catalogue_row(pg_db *db, int64_t file, pg_file_entry *out_entry);

/** Fill an entry, hosts included, summed over the extents. Errors: PG_ERR_NOT_FOUND, of the database. */
PG_NODISCARD pg_err pg_catalogue_entry(pg_db *db, int64_t file, pg_file_entry *out_entry);

/** Which finished files. */
typedef enum pg_catalogue_which {
    PG_CATALOGUE_ALL,        // versions of the catalogue itself too, newest first
    PG_CATALOGUE_INCOMPLETE, // of all, those that are not on enough hosts
    PG_CATALOGUE_LISTED,     // what people put, newest first
} pg_catalogue_which;

/** Give the numbers of finished files. Free *out_ids with pg_mfree. Errors of the database. */
PG_NODISCARD pg_err pg_catalogue_files(pg_db *db, pg_catalogue_which which, int64_t **out_ids,
                                       size_t *out_count);

/** Give the numbers of the files of a page, newest first, and make it the next one. Free *out_ids with pg_mfree. Errors of the database. */
PG_NODISCARD pg_err pg_catalogue_page(pg_db *db, pg_file_page *page, int64_t **out_ids,
                                      size_t *out_count);

/** Give the extents of a file in the order they were written; file 0: those to be dropped. Free *out_extents with pg_mfree. Errors of the database. */
PG_NODISCARD pg_err pg_catalogue_extents(pg_db *db, int64_t file, pg_catalogue_extent **out_extents,
                                         size_t *out_count);

/** Count the extents of finished files. Errors of the database. */
PG_NODISCARD pg_err pg_catalogue_extent_count(pg_db *db, uint64_t *out_count);

/** Give the extent number `nth` of those, from 0, and whose it is. Errors: PG_ERR_NOT_FOUND, of the database. */
PG_NODISCARD pg_err pg_catalogue_extent_nth(pg_db *db, uint64_t nth, int64_t *out_file,
                                            pg_catalogue_extent *out_extent);

/** Give the first extent of finished files with this descriptor. Errors: PG_ERR_NOT_FOUND, of the database. */
PG_NODISCARD pg_err pg_catalogue_extent_find(pg_db *db, const pg_cid *descriptor, int64_t *out_file,
                                             pg_catalogue_extent *out_extent);

/** Give the hosts of all extents, at most `max`, those with most extents first. Free *out_hosts with pg_mfree. Errors of the database. */
PG_NODISCARD pg_err pg_catalogue_hosts(pg_db *db, size_t max, pg_peer_id **out_hosts,
                                       size_t *out_count);

/** Return the slots that nobody holds, neither a host nor this node. */
pg_slot_set pg_catalogue_missing(const pg_catalogue_extent *extent);

/** Note what state a file is in now. Errors of the database. */
PG_NODISCARD pg_err pg_catalogue_state(pg_db *db, int64_t file, pg_file_state state);

/** What was put, summed. */
typedef struct pg_catalogue_sums {
    uint64_t files[PG_FILE_STATE_COUNT];
    uint64_t bytes; // as they were put
} pg_catalogue_sums;

/** Count the finished files of each state, and sum their sizes. Errors of the database. */
PG_NODISCARD pg_err pg_catalogue_counts(pg_db *db, pg_catalogue_sums *out_sums);

/** Pin a public block. Errors of the database; PG_ERR_EXISTS (it is pinned). */
PG_NODISCARD pg_err pg_catalogue_pin(pg_db *db, const pg_cid *cid, uint32_t len);

/** Tell all that are pinned. Free *out_cids with pg_mfree. Errors of the database. */
PG_NODISCARD pg_err pg_catalogue_pins(pg_db *db, pg_cid **out_cids, size_t *out_count);

/** Return the state that follows from where the slots of a file's extents are. */
pg_file_state pg_catalogue_state_of(const pg_catalogue_extent *extents, size_t count);

/** Return true when an extent can be had from its hosts alone. */
bool pg_catalogue_is_on_hosts(const pg_catalogue_extent *extent);

/** Return when the earliest lease of a file ends; 0 without extents. */
uint64_t pg_catalogue_expiry_s(const pg_catalogue_extent *extents, size_t count);

/** Return how many hosts a file may lose for certain: the least of its extents. */
uint32_t pg_catalogue_survives(const pg_catalogue_extent *extents, size_t count);

/** Return how many copies of a root that is kept whole are wanted under a code: enough for the same losses, and one more. */
static inline unsigned pg_whole_copies(pg_code code)
{
    return (unsigned) code.parity + 2;
}
