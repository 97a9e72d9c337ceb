// SPDX-License-Identifier: Apache-2.0
// The blocks this node keeps for itself: needed ones (of files that wait for hosts, pinned public blocks), counted by how many need
// them, and a cache of what passed through, the least recently used going first. What other nodes keep here is the ledger's
// (exchange/place_server.h); a block goes when none of the three wants it.
//
// Layer: files.  Thread: loop thread only.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/bytes.h"
#include "base/err.h"
#include "base/list.h"
#include "base/map.h"
#include "codec/cid.h"
#include "runtime/fiber.h"
#include "store/blocks.h"
#include "store/db.h"

/** The node's own blocks. In place; begin with pg_keep_init, end with pg_keep_deinit. */
typedef struct pg_keep {
    pg_block_store *blocks;
    pg_db *db;
    pg_map needed; // by multihash: how often
    pg_map cached; // by multihash
    pg_list order; // of the cache, least recently used first
    uint64_t cache_bytes;
    uint64_t cache_bytes_max;
    size_t queued_bytes; // waiting to be written to the cache
    pg_list queue;
    pg_waitq queue_changed;
    pg_scope scope;
    bool is_dirty; // the table of the cache is behind
    /** Return true when somebody else's lease needs a block. */
    bool (*is_held)(const pg_cid *cid, void *user);
    void *user;
} pg_keep;

/** Begin, with what the table of the cache says is here. Parks: yes.
 *  is_held   as pg_keep.is_held
 *  Errors: PG_ERR_NOMEM, of the database. */
PG_NODISCARD pg_err pg_keep_init(pg_keep *keep, pg_block_store *blocks, pg_db *db,
                                 uint64_t cache_bytes_max);

/** Write the table of the cache and free. Parks: yes. */
void pg_keep_deinit(pg_keep *keep);

/** Store a block that is needed here; once more if it is. The cache makes room for it. Parks: yes. Errors as pg_block_store_put. */
PG_NODISCARD pg_err pg_keep_put(pg_keep *keep, const pg_cid *cid, pg_bytes bytes);

/** Need a block that is here already. Errors: PG_ERR_NOMEM. */
PG_NODISCARD pg_err pg_keep_need(pg_keep *keep, const pg_cid *cid);

/** Need a block once less; when nobody does any more it is deleted. Parks: yes. */
void pg_keep_drop(pg_keep *keep, const pg_cid *cid);

/** Offer a block that passed through and was verified: it is copied and written to the cache by and by, or not at all when much is
 *  waiting. Parks: no. */
void pg_keep_offer(pg_keep *keep, const pg_cid *cid, pg_bytes bytes);

/** The same without a copy. *block is empty afterwards, whether it is taken or not. Parks: no. */
void pg_keep_offer_take(pg_keep *keep, const pg_cid *cid, pg_buf *block);

/** Count a block of the cache as used now; others are ignored. */
void pg_keep_touch(pg_keep *keep, const pg_cid *cid);

/** Give back space of the cache: blocks of at least `bytes`, or all there are. Returns false when there were none. Parks: yes. */
bool pg_keep_make_room(pg_keep *keep, uint64_t bytes);

/** Hear that a block was found damaged and is gone. Parks: no. */
void pg_keep_lost(pg_keep *keep, const pg_cid *cid);

/** Return true when a block is needed or cached. Parks: no. */
bool pg_keep_wants(const pg_keep *keep, const pg_cid *cid);
