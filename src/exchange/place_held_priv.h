// SPDX-License-Identifier: Apache-2.0
// The blocks a host keeps for others, in memory: a table of 64 bytes a block, and the account of what they take. A block is held by
// leases (rows of the ledger), or is a stray: pushed and not committed, or left over. Blocks that are being pushed are in the table, and
// counted, before they are there: so pushes at once cannot overshoot a quota.
//
// Entries move when one is added: keep numbers. A pinned entry keeps its number.
//
// Layer: exchange, private.  Thread: loop thread only.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/bytes.h"
#include "base/err.h"
#include "base/map.h"
#include "codec/cid.h"
#include "crypto/hash.h"
#include "crypto/peer_id.h"
#include "crypto/secret.h"

#define PG_HELD_NONE UINT32_MAX

/** A block's name in the ledger: the code of its hash function, and the digest. CIDs with one hash name one block. */
typedef struct pg_held_name {
    uint8_t bytes[1 + PG_HASH_BYTES];
} pg_held_name;

/** Give the name of a block that can be kept (block_header.h). */
pg_held_name pg_held_name_of(const pg_cid *cid);

/** Give a CID of a block, to ask the block store by. */
pg_cid pg_held_name_cid(const pg_held_name *name);

/** Who pushed blocks. Lives as long as something is counted for it. */
typedef struct pg_uploader {
    pg_peer_id peer;
    uint64_t bytes;    // of entries that it pushed
    uint32_t leases;   // that it committed
    uint32_t sessions; // open now
    size_t body_bytes; // of blocks on their way
} pg_uploader;

/** One block. */
typedef struct pg_held_block {
    pg_held_name name;
    bool is_used : 1;     // the entry
    bool is_present : 1;  // in the block store; else it is being pushed, or gone
    bool is_deleting : 1; // wait until it is not
    bool is_doomed : 1;   // to be deleted whatever its age: its last lease is gone
    bool is_saved : 1;    // its row of strays is in the database
    bool is_changed : 1;  // that row has to be written, or removed
    uint8_t wants;        // pushes that no commit has answered yet
    uint32_t len;
    uint32_t leases;    // rows of the ledger that need it
    uint32_t used_s;    // when it was pushed, or as a stray asked for; Unix seconds
    uint32_t pins;      // who works with it now
    pg_uploader *owner; // charged for it; NULL: nobody
} pg_held_block;

_Static_assert(sizeof(pg_held_block) == 64, "memory a block takes");

/** The table. Own in place. */
typedef struct pg_held {
    pg_key key;            // of the hash: strangers choose digests
    pg_held_block *blocks; // blocks[cap]
    uint32_t end;          // used or free below
    uint32_t cap;
    uint32_t free_head; // its `len` is the next free one
    uint32_t count;
    uint32_t *slots; // slots[slot_count], number + 1, 0 = empty; linear probing
    uint32_t slot_count;
    uint64_t lease_bytes; // as stored, of blocks with leases
    uint64_t stray_bytes; // of all others
    pg_map uploaders;     // PeerId -> pg_uploader
    pg_buf gone;          // pg_held_name[]: blocks that are no more, and have a row of strays
} pg_held;

/** Make an empty table. */
void pg_held_init(pg_held *held);

/** Free it. The all-zero value is fine. */
void pg_held_deinit(pg_held *held);

/** Return what a block takes in the store: whole units, with its header. */
uint64_t pg_held_space(uint32_t len);

/** Return the number of a block, or PG_HELD_NONE. */
uint32_t pg_held_find(const pg_held *held, const pg_held_name *name);

/** Return a block. Borrowed until the next add. */
pg_held_block *pg_held_at(const pg_held *held, uint32_t number);

/** Add a block that is not in it: a stray, not present, with no pins. Errors: PG_ERR_NOMEM, PG_ERR_LIMIT (PG_PLACE_BLOCKS_MAX). */
PG_NODISCARD pg_err pg_held_add(pg_held *held, const pg_held_name *name, uint32_t len,
                                pg_uploader *owner, uint32_t *out_number);

/** Correct the length, and the account with it. */
void pg_held_set_len(pg_held *held, uint32_t number, uint32_t len);

/** Let `owner` be charged for a block that nobody is charged for. */
void pg_held_own(pg_held *held, uint32_t number, pg_uploader *owner);

/** Count one more row of the ledger. */
void pg_held_lease(pg_held *held, uint32_t number);

/** Count one row less. With the last the block is doomed, unless somebody pushed it for a lease of his own. Returns true with the last. */
bool pg_held_unlease(pg_held *held, uint32_t number);

/** Undo a pin, and forget the block when it is gone and nobody has to do with it. */
void pg_held_unpin(pg_held *held, uint32_t number);

/** Forget the block when it is not present, and has no leases and no pins. */
void pg_held_settle(pg_held *held, uint32_t number);

/** Return the account of a peer, made where there is none. Give it back with pg_uploader_settle. Errors: PG_ERR_NOMEM. */
PG_NODISCARD pg_err pg_uploader_get(pg_held *held, const pg_peer_id *peer,
                                    pg_uploader **out_uploader);

/** Free the account when nothing is counted for it. */
void pg_uploader_settle(pg_held *held, pg_uploader *uploader);
