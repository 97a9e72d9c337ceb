// SPDX-License-Identifier: Apache-2.0
// Goal: a descriptor reads back, its public part without a key; what is changed, moved to another level or impossible is refused.
// Method: real descriptors, each field spoiled; every single byte changed.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "files/descriptor.h"
#include "files/limits.h"
#include "memory_store.h"

#define SEGMENT 5000U

static const pg_key key = {{42}};
static const uint8_t nonce[PG_AEAD_NONCE_BYTES] = {7};
static const uint8_t extent_id[PG_EXTENT_ID_BYTES] = {9, 8, 7};

/** A descriptor of `count` full segments, stored as they are. */
static void make(pg_descriptor *descriptor, pg_code code, uint32_t segment_bytes, uint32_t count)
{
    uint8_t digests[PG_CODE_SHARDS_MAX][PG_HASH_BYTES];
    assert_int_equal(pg_descriptor_init(descriptor, code, segment_bytes, count), PG_OK);
    pg_descriptor_reset(descriptor, extent_id);
    for (uint32_t g = 0; g < count; g++) {
        pg_segment_info info = {.shard_bytes = pg_code_shard_bytes(code, segment_bytes + 16),
                                .plain_bytes = segment_bytes,
                                .stored_bytes = segment_bytes};
        test_random(PG_MUT_BYTES_OF(info.nonce));
        test_random(PG_MUT_BYTES_OF(digests));
        pg_descriptor_add(descriptor, &info, digests[0]);
    }
}

/** Encode, read, open. */
static pg_err round_trip(const pg_descriptor *descriptor, uint32_t level, pg_descriptor *out)
{
    pg_buf block = {0};
    assert_int_equal(pg_descriptor_encode(descriptor, &key, 0, nonce, &block), PG_OK);
    pg_err err = pg_descriptor_decode(pg_buf_bytes(&block), out);
    pg_buf_deinit(&block);
    if (err == PG_OK) {
        err = pg_descriptor_open(out, &key, level);
        if (err != PG_OK) {
            pg_descriptor_deinit(out);
        }
    }
    return err;
}

static void test_descriptor__encoded__reads_back(void **state)
{
    (void) state;
    pg_descriptor one;
    pg_descriptor two;
    make(&one, PG_CODE_DEFAULT, SEGMENT, 5);
    one.has_lease_key = true;
    memset(one.lease_key, 0x66, PG_LEASE_KEY_BYTES);
    one.segments[4].plain_bytes = 4999; // padded to the full segment like the others
    one.segments[4].stored_bytes = 4999;
    assert_int_equal(round_trip(&one, 0, &two), PG_OK);
    assert_int_equal(two.segment_count, 5);
    assert_memory_equal(one.segments, two.segments, 5 * sizeof(*one.segments));
    assert_memory_equal(one.digests, two.digests, 5 * 10 * sizeof(*one.digests));
    assert_memory_equal(one.lease_key, two.lease_key, PG_LEASE_KEY_BYTES);
    assert_memory_equal(two.extent_id, extent_id, PG_EXTENT_ID_BYTES);
    assert_int_equal(pg_descriptor_plain_bytes(&two), 5 * SEGMENT - 1);
    pg_descriptor_deinit(&two);
    assert_int_equal(round_trip(&one, 1, &two), PG_ERR_CORRUPT);
    pg_descriptor_deinit(&one);
    pg_descriptor_deinit(NULL);
}

static void test_descriptor__largest__fits_its_limit(void **state)
{
    (void) state;
    const pg_code codes[] = {{1, 31}, {7, 25}, {8, 24}, {31, 1}};
    for (size_t i = 0; i < PG_ARRAY_LEN(codes); i++) {
        uint32_t full = pg_code_segment_bytes(codes[i]);
        pg_descriptor one;
        pg_descriptor two;
        make(&one, codes[i], full, pg_code_extent_segments(full));
        assert_int_equal(round_trip(&one, 0, &two), PG_OK);
        pg_descriptor_deinit(&two);
        pg_descriptor_deinit(&one);
    }
}

static void test_descriptor__impossible_content__malformed(void **state)
{
    (void) state;
    for (int form = 0; form < 12; form++) {
        pg_descriptor one;
        pg_descriptor two;
        make(&one, PG_CODE_DEFAULT, SEGMENT, 3);
        pg_segment_info *last = &one.segments[2];
        last->shard_bytes += form == 0 ? 64 : 0;
        last->shard_bytes += form == 1 ? 1 : 0;
        last->shard_bytes = form == 2 ? 0 : last->shard_bytes;
        last->plain_bytes += form == 3 ? 1 : 0;
        last->plain_bytes = form == 4 ? 0 : last->plain_bytes;
        last->stored_bytes -= form == 5 ? 1 : 0;
        last->flags = form == 6 ? 4 : 0;
        last->flags |= form == 7 ? PG_SEGMENT_FLAG_ZSTD : 0;
        one.segments[0].plain_bytes -= form == 8 ? 1 : 0;
        one.segments[0].stored_bytes -= form == 8 ? 1 : 0;
        one.segment_bytes = form == 9 ? PG_SEGMENT_BYTES_MAX + 1 : one.segment_bytes;
        one.segment_bytes = form == 10 ? 0 : one.segment_bytes;
        one.segment_count = form == 11 ? 0 : one.segment_count;
        assert_int_equal(round_trip(&one, 0, &two), PG_ERR_MALFORMED);
        pg_descriptor_deinit(&one);
    }
}

static void test_descriptor__every_changed_byte__is_noticed(void **state)
{
    (void) state;
    pg_descriptor one;
    pg_descriptor two;
    pg_buf block = {0};
    make(&one, (pg_code){2, 1}, SEGMENT, 2);
    assert_int_equal(pg_descriptor_encode(&one, &key, 0, nonce, &block), PG_OK);
    for (size_t i = 0; i < block.len; i++) {
        block.ptr[i] ^= 0x20;
        pg_err err = pg_descriptor_decode(pg_buf_bytes(&block), &two);
        if (err == PG_OK) {
            err = pg_descriptor_open(&two, &key, 0);
            pg_descriptor_deinit(&two);
        }
        assert_true(err == PG_ERR_CORRUPT || err == PG_ERR_MALFORMED || err == PG_ERR_UNSUPPORTED);
        block.ptr[i] ^= 0x20;
    }
    block.ptr[1] = 9;
    assert_int_equal(pg_descriptor_decode(pg_buf_bytes(&block), &two), PG_ERR_UNSUPPORTED);
    block.ptr[1] = 1;
    block.max_len = 0;
    assert_int_equal(pg_buf_append(&block, PG_BYTES_LIT("\x30\x01")), PG_OK); // field 6
    assert_int_equal(pg_descriptor_decode(pg_buf_bytes(&block), &two), PG_ERR_MALFORMED);
    uint8_t *huge = test_bytes(PG_DESCRIPTOR_BYTES_MAX + 1, true);
    assert_int_equal(pg_descriptor_decode(pg_bytes_make(huge, PG_DESCRIPTOR_BYTES_MAX + 1), &two),
                     PG_ERR_LIMIT);
    pg_mfree(huge);
    pg_buf_deinit(&block);
    pg_descriptor_deinit(&one);
}

static void test_descriptor__no_memory__fails_clean(void **state)
{
    (void) state;
    pg_descriptor one;
    make(&one, PG_CODE_DEFAULT, SEGMENT, 3);
    for (uint64_t nth = 1; nth < 60; nth++) {
        pg_buf block = {0};
        pg_descriptor two = {0};
        pg_mem_fail_nth(nth);
        pg_err err = pg_descriptor_encode(&one, &key, 0, nonce, &block);
        if (err == PG_OK) {
            err = pg_descriptor_decode(pg_buf_bytes(&block), &two);
        }
        if (err == PG_OK) {
            err = pg_descriptor_open(&two, &key, 0);
        }
        bool failed = pg_mem_failed();
        pg_mem_fail_nth(0);
        assert_true(failed ? err == PG_ERR_NOMEM || err == PG_ERR_LIMIT : err == PG_OK);
        pg_descriptor_deinit(&two);
        pg_buf_deinit(&block);
    }
    pg_descriptor_deinit(&one);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_descriptor__encoded__reads_back),
        cmocka_unit_test(test_descriptor__largest__fits_its_limit),
        cmocka_unit_test(test_descriptor__impossible_content__malformed),
        cmocka_unit_test(test_descriptor__every_changed_byte__is_noticed),
        cmocka_unit_test(test_descriptor__no_memory__fails_clean),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
