// SPDX-License-Identifier: Apache-2.0
// Goal: whatever stands in a pack file, a header is taken only when its MAC is right, and writes back as it was read. The input is read as
// it is, and once more with the MAC it ought to have.
#include <string.h>

#include "crypto/hash.h"
#include "fuzz.h"
#include "store/block_header.h"
#include "store/limits.h"

#define FIELDS_BYTES 96

static const pg_key key = {.bytes = {1}};
static const pg_block_place place = {2, 3};

static void check(const uint8_t bytes[PG_BLOCK_HEADER_BYTES])
{
    pg_block_header header;
    uint8_t again[PG_BLOCK_HEADER_BYTES];
    pg_bytes in = pg_bytes_make(bytes, PG_BLOCK_HEADER_BYTES);
    if (pg_block_header_decode(&key, place, in, &header) == PG_OK) {
        FUZZ_CHECK(header.len <= PG_BLOCK_BYTES_MAX && pg_block_cid_is_kept(&header.cid));
        pg_block_header_encode(&key, place, &header, again);
        FUZZ_CHECK(memcmp(bytes, again, sizeof(again)) == 0);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t bytes[PG_BLOCK_HEADER_BYTES] = {0};
    uint8_t placed[12 + FIELDS_BYTES] = {0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0x30, 0};
    pg_block_header header;
    FUZZ_CHECK(size >= sizeof(bytes) ||
               pg_block_header_decode(&key, place, pg_bytes_make(data, size), &header) ==
                   PG_ERR_TRUNCATED);
    if (size != 0) {
        memcpy(bytes, data, size < sizeof(bytes) ? size : sizeof(bytes));
    }
    check(bytes);
    memcpy(placed + 12, bytes, FIELDS_BYTES);
    pg_blake3_keyed(&key, PG_BYTES_OF(placed), bytes + FIELDS_BYTES);
    check(bytes);
    return 0;
}
