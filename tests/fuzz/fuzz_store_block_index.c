// SPDX-License-Identifier: Apache-2.0
// Goal: a saved index of any content is refused or cut up within its bounds, and its records name blocks that can be. The input is read
// as it is, and once more with the MAC it ought to have.
#include <stdlib.h>
#include <string.h>

#include "crypto/hash.h"
#include "fuzz.h"
#include "store/block_index_file.h"
#include "store/limits.h"

static const pg_key key = {.bytes = {1}};

static void check(pg_bytes in)
{
    pg_block_index_file file;
    pg_block_index_pack pack;
    if (pg_block_index_file_decode(&key, in, &file) != PG_OK) {
        return;
    }
    FUZZ_CHECK(file.blocks.len == (size_t) file.block_count * PG_BLOCK_RECORD_BYTES);
    for (uint32_t i = 0; i < file.pack_count; i++) {
        pg_block_index_file_pack(&file, i, &pack);
    }
    for (uint32_t i = 0; i < file.block_count; i++) {
        pg_block_header header;
        pg_block_place place;
        pg_bytes record =
            pg_bytes_slice(file.blocks, (size_t) i * PG_BLOCK_RECORD_BYTES, PG_BLOCK_RECORD_BYTES);
        if (pg_block_record_decode(record, &header, &place) == PG_OK) {
            FUZZ_CHECK(header.len <= PG_BLOCK_BYTES_MAX && pg_block_cid_is_kept(&header.cid));
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    check(pg_bytes_make(data, size));
    uint8_t *bytes = malloc(size + PG_HASH_BYTES);
    if (bytes == NULL) {
        return 0;
    }
    if (size != 0) {
        memcpy(bytes, data, size);
    }
    pg_blake3_keyed(&key, pg_bytes_make(bytes, size), bytes + size);
    check(pg_bytes_make(bytes, size + PG_HASH_BYTES));
    free(bytes);
    return 0;
}
