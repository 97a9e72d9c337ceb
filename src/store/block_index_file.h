// SPDX-License-Identifier: Apache-2.0
// The saved index of a block store as bytes. Foreign in so far as anybody may have changed the file: nothing of it is used before its
// MAC was found right, and even then every number is checked.
//
// Layer: store.  Thread: any.  Spec: docs/protocols/store.md
#pragma once

#include <stdint.h>

#include "base/bytes.h"
#include "base/err.h"
#include "crypto/secret.h"
#include "store/block_header.h"

/** CID version (1), hash function (1), codec (2), digest (32), pack (4), unit (2), length (4). */
#define PG_BLOCK_RECORD_BYTES 46

/** A saved index, verified and cut up; views into what was decoded. */
typedef struct pg_block_index_file {
    uint32_t pack_count;
    uint32_t block_count;
    pg_bytes packs;
    pg_bytes blocks; // blocks[block_count][PG_BLOCK_RECORD_BYTES]
} pg_block_index_file;

/** What it says of a pack file. */
typedef struct pg_block_index_pack {
    uint32_t number;
    uint32_t end_unit;
    uint64_t dead_bytes;
} pg_block_index_pack;

/** Verify a saved index and cut it up; `in` is borrowed for the life of *out_file. Errors: PG_ERR_CORRUPT. */
PG_NODISCARD pg_err pg_block_index_file_decode(const pg_key *key, pg_bytes in,
                                               pg_block_index_file *out_file);

/** Read what it says of the pack in place `number`, below pack_count. */
void pg_block_index_file_pack(const pg_block_index_file *file, uint32_t number,
                              pg_block_index_pack *out_pack);

/** Read one record of a block. Errors: PG_ERR_CORRUPT, without detail. */
PG_NODISCARD pg_err pg_block_record_decode(pg_bytes in, pg_block_header *out_header,
                                           pg_block_place *out_place);
