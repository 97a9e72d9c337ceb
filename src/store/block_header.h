// SPDX-License-Identifier: Apache-2.0
// The 128 bytes before each block in a pack file. They carry a MAC over where they stand, so that a block whose content
// looks like a header is not taken for one when the index is rebuilt.
//
//      offset  bytes
//      0       8     "pgblock1"
//      8       4     length of the block, big-endian
//      12      1     length of the CID
//      13      83    the CID, then zeros
//      96      32    BLAKE3 under the store's key of: pack number (4, big-endian), offset of the header (8), bytes 0..95
//
// Layer: store.  Thread: any.  Spec: docs/protocols/store.md
#pragma once

#include <stdint.h>

#include "base/bytes.h"
#include "base/err.h"
#include "codec/cid.h"
#include "crypto/secret.h"

#define PG_BLOCK_HEADER_BYTES 128

/** Where a header stands. */
typedef struct pg_block_place {
    uint32_t pack;
    uint32_t unit; // offset in the pack, in PG_BLOCK_UNIT_BYTES
} pg_block_place;

/** What a header says. */
typedef struct pg_block_header {
    pg_cid cid;
    uint32_t len; // of the block, 0..PG_BLOCK_BYTES_MAX
} pg_block_header;

/** Return true for a CID the store keeps: a hash of 32 bytes, not one that carries its data itself. */
bool pg_block_cid_is_kept(const pg_cid *cid);

/** Return how many units a block of `len` bytes takes with its header. */
uint32_t pg_block_units(uint32_t len);

/** Write a header. Cannot fail. */
void pg_block_header_encode(const pg_key *key, pg_block_place place, const pg_block_header *header,
                            uint8_t out[PG_BLOCK_HEADER_BYTES]);

/** Read the header at the front of `in`, which may go on.
 *  Errors: PG_ERR_TRUNCATED, PG_ERR_MALFORMED (no header), PG_ERR_AUTH (not one of ours, not for this place), all without detail: most
 *  places that are looked at have none. */
PG_NODISCARD pg_err pg_block_header_decode(const pg_key *key, pg_block_place place, pg_bytes in,
                                           pg_block_header *out_header);
