// SPDX-License-Identifier: Apache-2.0
// Goal: a database's first page of any content is refused or is what was written; pages and frames of any content do not open, but for
// pages of zeros. The head is read as it is, and once more with the digest it ought to have.
#include <string.h>

#include "crypto/hash.h"
#include "fuzz.h"
#include "store/seal.h"

#define FIELDS_BYTES 88

static const pg_key key = {.bytes = {1}};

static void check_head(const uint8_t head[PG_SEAL_PAGE_BYTES])
{
    uint8_t again[PG_SEAL_PAGE_BYTES];
    pg_seal_keys keys;
    pg_seal_keys derived;
    if (pg_seal_head_decode(&key, pg_bytes_make(head, PG_SEAL_PAGE_BYTES), &keys) == PG_OK) {
        pg_seal_head_encode(&key, head + 24, again, &derived);
        FUZZ_CHECK(memcmp(head, again, FIELDS_BYTES + PG_HASH_BYTES) == 0);
        FUZZ_CHECK(memcmp(&keys, &derived, sizeof(keys)) == 0);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t frame[PG_SEAL_FRAME_BYTES] = {0};
    pg_seal_keys keys = {.page = key, .log = key};
    if (size != 0) {
        memcpy(frame, data, size < sizeof(frame) ? size : sizeof(frame));
    }
    check_head(frame);
    pg_blake3(pg_bytes_make(frame, FIELDS_BYTES), frame + FIELDS_BYTES);
    check_head(frame);
    FUZZ_CHECK(pg_seal_page_open(&keys, 1, frame) == PG_ERR_AUTH);
    FUZZ_CHECK(pg_seal_frame_open(&keys, 1, frame) == PG_ERR_AUTH);
    memset(frame, 0, sizeof(frame));
    FUZZ_CHECK(pg_seal_page_open(&keys, 1, frame) == PG_OK);
    return 0;
}
