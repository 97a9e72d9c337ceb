// SPDX-License-Identifier: Apache-2.0
// The inside of a block store, which its parts share: open and rebuild (blocks_open.c), commit (commit.c), the rest (blocks.c).
//
// Layer: store, private.  Thread: loop thread only, the jobs excepted.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/list.h"
#include "crypto/secret.h"
#include "runtime/fiber.h"
#include "runtime/file.h"
#include "store/block_index_priv.h"
#include "store/blocks.h"
#include "store/packs_priv.h"

struct pg_block_store {
    char *dir;
    uint64_t quota_bytes;
    uint64_t used_bytes; // live and dead of all packs, and of the puts that are on
    uint32_t pack_units; // span of new pack files
    bool without_holes;
    pg_file *lock;
    pg_key header_key;
    pg_key index_key; // of the saved index
    pg_block_index index;
    pg_packs packs;
    pg_pack *active;  // takes new blocks; held open, and of the highest number. NULL: none yet
    bool is_rolling;  // to a new active pack
    pg_waitq changed; // a block became live or went away, a pack was rolled

    // Commit. Only the active pack and packs with erased headers are ever dirty.
    pg_scope scope;       // of the fiber that syncs
    pg_list dirty;        // packs to sync
    uint32_t writers;     // puts that are writing now
    uint64_t sync_wanted; // number of the last sync somebody waits for
    uint64_t sync_started;
    uint64_t sync_done; // number of the last sync that ended
    bool has_failed;
    bool is_closing;
    pg_waitq work;      // for the fiber that syncs
    pg_waitq committed; // for those whose writes it syncs

    void (*on_lost)(const pg_cid *cid, void *user);
    void *on_lost_user;

    uint32_t recent
        [PG_BLOCKS_RECENT]; // numbers of entries that were read, plus 1, each at its remainder

    uint64_t puts_total;
    uint64_t lost_total;
    bool was_rebuilt;
};

/** Start the fiber that syncs. Errors: PG_ERR_NOMEM. */
PG_NODISCARD pg_err pg_commit_start(pg_block_store *store);

/** Have it sync what is left, and end it. Parks: yes. */
void pg_commit_stop(pg_block_store *store);

/** Say that something was written to `pack`, which the caller holds open, and has to become durable. */
void pg_commit_note(pg_block_store *store, pg_pack *pack);

/** Wait until all that was noted so far is durable; not to be cancelled. Parks: yes.
 *  Errors: PG_ERR_IO (a sync has failed), PG_ERR_CANCELLED (the simulated machine crashed). */
PG_NODISCARD pg_err pg_commit_wait(pg_block_store *store);

/** Record that the disk cannot be trusted: nothing is written any more, all who wait are told. */
void pg_commit_fail(pg_block_store *store);

/** Write the index to its file, so that the next open need not look through the pack files. Parks: yes. */
PG_NODISCARD pg_err pg_block_index_save(pg_block_store *store);

/** Read the saved index into an empty store with its packs listed, if it is there and fits the pack files. Parks: yes.
 *  Errors: PG_ERR_NOT_FOUND, PG_ERR_CORRUPT (it cannot be used: the store is as before), PG_ERR_NOMEM, PG_ERR_IO (it cannot be removed). */
PG_NODISCARD pg_err pg_block_index_load(pg_block_store *store);

/** Make the path of a file in the store's folder. Errors: PG_ERR_NOMEM. */
PG_NODISCARD pg_err pg_block_store_path(const pg_block_store *store, const char *name,
                                        pg_buf *out_path);

/** What a job reads: a block, appended to `out`, and verified. */
typedef struct pg_block_read {
    pg_file *file;
    pg_block_place place;
    const pg_cid *cid;
    uint32_t len;
    bool is_popular; // read through the system's cache
    uint8_t *out;    // out[len]
} pg_block_read;

/** Read and verify a block, twice before it is given up. For a job; `arg` is a pg_block_read. Errors: PG_ERR_CORRUPT, PG_ERR_IO. */
PG_NODISCARD pg_err pg_block_read_run(void *arg);
