// SPDX-License-Identifier: Apache-2.0
// The block store: blocks of up to 4 MiB by their CID, in large pack files, never more of them than a quota. What it has
// acknowledged survives a crash; what it gives is what the CID names. A deleted block is a hole in its file, so nothing is ever
// moved. Not for: who may keep what, and for how long (exchange).
//
// Two CIDs with one hash name one block. A CID that carries its data itself (an identity hash) is not kept.
//
// Layer: store.  Thread: loop thread only; the work is done on the I/O pool.  Spec: docs/protocols/store.md
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/bytes.h"
#include "base/err.h"
#include "codec/cid.h"
#include "crypto/secret.h"
#include "store/limits.h"

typedef struct pg_block_store pg_block_store;

/** Settings of a store. */
typedef struct pg_block_store_config {
    const char *dir;      // made when it is not there; the folder around it has to be. Copied
    uint64_t quota_bytes; // that the pack files may take on the disk
    const pg_key *key;    // of this store, and the same each time. Copied
    uint32_t pack_bytes;  // span of new pack files, PG_PACK_BYTES_MIN..MAX; 0 = the most
    bool
        without_holes; // as on a file system that has none: the space of a block is given back with its pack
} pg_block_store_config;

/** What a store holds and did. */
typedef struct pg_block_store_stats {
    uint64_t blocks;
    uint64_t
        used_bytes; // what the blocks take, in whole units with their headers; what `du` says of the pack files
    uint64_t quota_bytes;
    uint64_t packs;
    uint64_t puts_total;  // blocks written
    uint64_t syncs_total; // that made them durable
    uint64_t lost_total;  // blocks found damaged, and dropped
    bool was_rebuilt;     // the index, from the pack files, since the store was not closed
    bool has_failed;      // to sync: nothing is taken any more
} pg_block_store_stats;

/** Open the store in a folder, and make it at the first time. After a crash every pack file is looked through, and what was not
 *  acknowledged is given back. Parks: yes.
 *  Errors: PG_ERR_BUSY (another process has it open), PG_ERR_KEY, PG_ERR_CORRUPT (the file that names the store), PG_ERR_UNSUPPORTED (its
 *  version), PG_ERR_INVALID (settings), PG_ERR_ACCESS, PG_ERR_FULL, PG_ERR_IO, PG_ERR_NOMEM. */
PG_NODISCARD pg_err pg_block_store_open(const pg_block_store_config *config,
                                        pg_block_store **out_store);

/** Save the index and free the store; no call of it may be on. NULL is fine. Parks: yes, cancelled or not. */
void pg_block_store_close(pg_block_store **store);

/** Keep a block: verify it, write it, and return when it is durable. One sync serves all puts that are on, for which it waits up
 *  to PG_COMMIT_WAIT_MS. A block that is there is verified again and, when it was damaged, written anew.
 *  bytes  at most PG_BLOCK_BYTES_MAX, borrowed until return
 *  Errors: PG_ERR_FULL (quota or disk, nothing is kept), PG_ERR_CORRUPT (not what the CID names), PG_ERR_LIMIT (too long), PG_ERR_UNSUPPORTED
 *  (an identity CID), PG_ERR_IO (after a failed sync for all puts, until the store is opened anew), PG_ERR_NOMEM; PG_ERR_CANCELLED when the
 *  fiber was cancelled before. Parks: yes. */
PG_NODISCARD pg_err pg_block_store_put(pg_block_store *store, const pg_cid *cid, pg_bytes bytes);

/** As pg_block_store_put, for bytes that this process found to be those of the CID before, and nobody changed since: they are not
 *  hashed again. What came from a peer or a file has to have been. Errors as there, but for PG_ERR_CORRUPT. Parks: yes. */
PG_NODISCARD pg_err pg_block_store_put_verified(pg_block_store *store, const pg_cid *cid,
                                                pg_bytes bytes);

/** Return true when a put of the block has returned, and nobody deleted it. *out_len (may be NULL) is its length. Parks: no. */
bool pg_block_store_has(const pg_block_store *store, const pg_cid *cid, uint32_t *out_len);

/** Append a block to `out`, verified. One that was damaged is dropped and its space given back.
 *  Errors: PG_ERR_NOT_FOUND, PG_ERR_CORRUPT (it was damaged, and is now gone), PG_ERR_IO, PG_ERR_NOMEM, PG_ERR_LIMIT (of the buffer),
 *  PG_ERR_CANCELLED. Parks: yes. */
PG_NODISCARD pg_err pg_block_store_get(pg_block_store *store, const pg_cid *cid, pg_buf *out);

/** Delete a block and give back its space; durable at return. Errors: PG_ERR_NOT_FOUND, PG_ERR_IO (a crash may bring the block back),
 *  PG_ERR_CANCELLED (when the fiber was cancelled before). Parks: yes. */
PG_NODISCARD pg_err pg_block_store_delete(pg_block_store *store, const pg_cid *cid);

/** Call `each` for the CID, as it was put, and the length of every block. It may park, put and delete: blocks that come meanwhile may
 *  be told or not, all others are told once. An error ends the walk and is returned. */
PG_NODISCARD pg_err pg_block_store_walk(pg_block_store *store,
                                        pg_err (*each)(const pg_cid *cid, uint32_t len, void *user),
                                        void *user);

/** What a look at the blocks found. */
typedef struct pg_block_check {
    uint64_t ledger_bytes; // what the store counts
    uint64_t disk_bytes;   // what the disk says that the pack files take
    uint64_t checked;      // blocks looked at
    uint64_t damaged;      // of these: header or content is not what it was
    pg_cid first_damaged;  // when there are any
} pg_block_check;

/** Look at blocks and change nothing, damaged ones stay. What comes or goes meanwhile may be looked at or not.
 *  sample   how many, spread over all; of these the headers are read. 0 = all, and their content is hashed
 *  Errors: PG_ERR_IO, PG_ERR_NOMEM, PG_ERR_CANCELLED. Parks: yes. */
PG_NODISCARD pg_err pg_block_store_check(pg_block_store *store, uint64_t sample,
                                         pg_block_check *out_check);

/** Have `fn` called for every block that is found damaged and dropped, in the fiber that found it. It must not park. NULL: no more. */
void pg_block_store_on_lost(pg_block_store *store, void (*fn)(const pg_cid *cid, void *user),
                            void *user);

/** Change the quota. Below what is used nothing more is taken until enough was deleted. */
void pg_block_store_quota_set(pg_block_store *store, uint64_t quota_bytes);

/** Tell what the store holds and did. */
pg_block_store_stats pg_block_store_stats_get(const pg_block_store *store);
