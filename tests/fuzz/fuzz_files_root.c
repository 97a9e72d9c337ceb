// SPDX-License-Identifier: Apache-2.0
// Goal: no root, and no list of extents in one sealed by somebody who has the key, is read to anything that cannot be written again
// as it was. Method: the input as a block; then as the list of extents, and as the content, of a root that is sealed here.
#include "base/mem.h"
#include "files/extents.h"
#include "files/root.h"
#include "fuzz.h"

static const pg_key key = {{0x17, 0xeb, 0x9c, 0x06, 0xac, 0x3c, 0xe0, 0x4e, 0x7a, 0x62, 0x1b,
                            0x41, 0xf7, 0x4b, 0x53, 0x70, 0x90, 0x15, 0xd5, 0x4e, 0x16, 0x41,
                            0xba, 0x2c, 0x24, 0x44, 0xea, 0xc1, 0x84, 0xb6, 0x4c, 0x14}};
static const pg_root_seal fresh;

/** Seal a root made of the input and open it; what comes back is what went in. */
static void seal_and_open(pg_bytes content, pg_bytes extents, uint64_t size_bytes)
{
    pg_root root = {.size_bytes = size_bytes};
    pg_root again = {0};
    pg_buf block = {0};
    FUZZ_CHECK(pg_buf_append(&root.content, content) == PG_OK);
    FUZZ_CHECK(pg_buf_append(&root.extents, extents) == PG_OK);
    if (pg_root_encode(&root, &key, &fresh, &block) == PG_OK &&
        pg_root_decode(pg_buf_bytes(&block), &key, &again) == PG_OK) {
        FUZZ_CHECK(pg_bytes_equal(pg_buf_bytes(&again.content), content));
        FUZZ_CHECK(pg_bytes_equal(pg_buf_bytes(&again.extents), extents));
        FUZZ_CHECK(again.size_bytes == size_bytes);
    }
    pg_buf_deinit(&block);
    pg_root_deinit(&again);
    pg_root_deinit(&root);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    pg_bytes in = pg_bytes_make(data, size);
    pg_root root;
    pg_cid cid;
    uint64_t sum = 0;
    if (pg_root_decode(in, &key, &root) == PG_OK) {
        pg_root_deinit(&root);
    }
    if (pg_block_cid_decode(in, &cid) == PG_OK) {
        FUZZ_CHECK(pg_bytes_equal(in, pg_cid_bytes(&cid)));
    }
    if (pg_extents_sum(in, &sum) == PG_OK) {
        seal_and_open(PG_BYTES_EMPTY, in, sum);
    }
    seal_and_open(in, PG_BYTES_EMPTY, size);
    return 0;
}
