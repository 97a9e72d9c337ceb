// SPDX-License-Identifier: Apache-2.0
// Where each block is: a table in memory, 56 to 80 bytes a block. Blocks are found by hash function and digest, so that CIDs which
// differ only in version or codec name one block. Entries keep their number until they are removed.
//
// Layer: store, private.  Thread: loop thread only.
#pragma once

#include <stdint.h>

#include "base/bytes.h"
#include "base/err.h"
#include "codec/cid.h"
#include "crypto/hash.h"
#include "store/block_header.h"

#define PG_BLOCK_NONE UINT32_MAX

typedef enum pg_block_state {
    PG_BLOCK_STATE_FREE,    // of an entry: names no block
    PG_BLOCK_STATE_PENDING, // being written, not durable yet
    PG_BLOCK_STATE_LIVE,
    PG_BLOCK_STATE_DELETING,
} pg_block_state;

/** One block. */
typedef struct pg_block_entry {
    uint8_t digest[PG_HASH_BYTES];
    uint32_t pack;
    uint32_t len; // of a free entry: the next free one, or PG_BLOCK_NONE
    uint16_t unit;
    uint16_t codec; // of the CID it came with, as are the next two
    uint8_t hash_code;
    uint8_t cid_version;
    uint8_t state; // pg_block_state
} pg_block_entry;

_Static_assert(sizeof(pg_block_entry) == 48, "memory a block takes");

/** The table. Own in place. */
typedef struct pg_block_index {
    pg_key key;              // of the hash: strangers choose digests
    pg_block_entry *entries; // entries[entry_cap]
    uint32_t entry_count;    // used or free
    uint32_t entry_cap;
    uint32_t free_head;
    uint32_t block_count;
    uint32_t *slots;     // slots[slot_count], entry number + 1, 0 = empty; linear probing
    uint32_t slot_count; // 0 or a power of two
} pg_block_index;

/** Make an empty table; `key` is copied. */
void pg_block_index_init(pg_block_index *index, const pg_key *key);

/** Free the memory. The all-zero value is fine. */
void pg_block_index_deinit(pg_block_index *index);

/** Return the number of the block's entry, or PG_BLOCK_NONE. The CID is one the store keeps. */
uint32_t pg_block_index_find(const pg_block_index *index, const pg_cid *cid);

/** Add a block that is not in it. Moves the entries in memory. Errors: PG_ERR_NOMEM, PG_ERR_LIMIT (2^31 blocks). */
PG_NODISCARD pg_err pg_block_index_add(pg_block_index *index, const pg_block_header *header,
                                       pg_block_place place, pg_block_state state,
                                       uint32_t *out_number);

/** Return an entry. Borrowed until the next add. */
pg_block_entry *pg_block_index_at(const pg_block_index *index, uint32_t number);

/** Return the CID with which a block was put. */
pg_cid pg_block_entry_cid(const pg_block_entry *entry);

/** Return where a block is. */
pg_block_place pg_block_entry_place(const pg_block_entry *entry);

/** Remove a block; its number may be given to another. */
void pg_block_index_remove(pg_block_index *index, uint32_t number);
