// SPDX-License-Identifier: Apache-2.0
// Goal: a segment opens from any k shards to what was sealed, and from nothing that was changed or moved. Method: random lengths,
// content and losses; every field of the description changed; failing allocations.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "files/segment.h"
#include "memory_store.h"

#define SEGMENT 30000U

static const uint8_t extent_id[PG_EXTENT_ID_BYTES] = {9, 8, 7};
static const pg_key key = {{42}};

/** Seal `len` bytes and describe them as segment 0 of an open descriptor. */
static void seal(pg_segment_coder *coder, pg_descriptor *descriptor, size_t len, bool text,
                 uint32_t flags)
{
    uint8_t digests[PG_CODE_SHARDS_MAX][PG_HASH_BYTES];
    uint8_t *plain = test_bytes(len, text);
    pg_segment_info info = {.plain_bytes = (uint32_t) len, .flags = flags};
    pg_segment_coder_choose(coder, &key, extent_id, 0);
    memcpy(coder->plain, plain, len);
    test_random(PG_MUT_BYTES_OF(info.nonce));
    assert_int_equal(pg_segment_seal(coder, 0, &info, digests), PG_OK);
    pg_descriptor_reset(descriptor, extent_id);
    pg_descriptor_add(descriptor, &info, digests[0]);
    memcpy(coder->plain, plain, len); // what compression used up
    pg_mfree(plain);
}

static void test_segment__random_losses__opens_to_the_same(void **state)
{
    (void) state;
    const pg_code codes[] = {{1, 1}, {3, 2}, {8, 2}, {20, 12}};
    for (unsigned round = 0; round < 80; round++) {
        pg_code code = codes[round % PG_ARRAY_LEN(codes)];
        unsigned n = pg_code_shards(code);
        size_t len = round < 4 ? 1 : round < 8 ? SEGMENT : 1 + test_below(SEGMENT);
        pg_segment_coder coder;
        pg_descriptor descriptor;
        uint8_t before[SEGMENT];
        assert_int_equal(pg_segment_coder_init(&coder, code, SEGMENT), PG_OK);
        assert_int_equal(pg_descriptor_init(&descriptor, code, SEGMENT, 1), PG_OK);
        seal(&coder, &descriptor, len, round / 4 % 2 == 0,
             round % 5 == 0 ? PG_SEGMENT_FLAG_FULL : 0);
        memcpy(before, coder.plain, len);
        memset(coder.plain, 0xee, SEGMENT);
        pg_shard_set present = (pg_shard_set) (((uint64_t) 1 << n) - 1);
        for (unsigned lost = 0; lost < code.parity;) {
            unsigned i = (unsigned) test_below(n);
            if ((present >> i & 1) != 0) {
                present &= ~((pg_shard_set) 1 << i);
                memset(pg_segment_shard(&coder, &descriptor.segments[0], i).ptr, 0xdd,
                       descriptor.segments[0].shard_bytes);
                lost++;
            }
        }
        assert_int_equal(pg_segment_find_corrupt(&coder, &descriptor, 0, present), 0);
        assert_int_equal(pg_segment_open(&coder, &descriptor, 0, present), PG_OK);
        assert_memory_equal(before, coder.plain, len);
        pg_descriptor_deinit(&descriptor);
        pg_segment_coder_deinit(&coder);
    }
}

/** A sealed segment whose shards are kept, since opening works in place. */
typedef struct kept {
    pg_segment_coder coder;
    pg_descriptor descriptor;
    uint8_t *shards;
    size_t shards_len;
} kept;

static void kept_init(kept *k, bool text)
{
    assert_int_equal(pg_segment_coder_init(&k->coder, PG_CODE_DEFAULT, SEGMENT), PG_OK);
    assert_int_equal(pg_descriptor_init(&k->descriptor, PG_CODE_DEFAULT, SEGMENT, 1), PG_OK);
    seal(&k->coder, &k->descriptor, 20000, text, 0);
    k->shards_len = 10 * (size_t) k->descriptor.segments[0].shard_bytes;
    k->shards = pg_malloc(k->shards_len);
    assert_non_null(k->shards);
    memcpy(k->shards, k->coder.shards, k->shards_len);
}

static pg_err open_kept(kept *k)
{
    memcpy(k->coder.shards, k->shards, k->shards_len);
    return pg_segment_open(&k->coder, &k->descriptor, 0, 0x3ff);
}

static void kept_deinit(kept *k)
{
    pg_mfree(k->shards);
    pg_descriptor_deinit(&k->descriptor);
    pg_segment_coder_deinit(&k->coder);
}

static void test_segment__every_bit_of_its_place__is_authenticated(void **state)
{
    (void) state;
    kept k;
    kept_init(&k, true);
    pg_segment_info *info = &k.descriptor.segments[0];
    assert_int_equal(open_kept(&k), PG_OK);
    info->plain_bytes++;
    assert_int_equal(open_kept(&k), PG_ERR_CORRUPT);
    info->plain_bytes--;
    info->stored_bytes--;
    assert_int_equal(open_kept(&k), PG_ERR_CORRUPT);
    info->stored_bytes++;
    info->nonce[0] ^= 1;
    assert_int_equal(open_kept(&k), PG_ERR_CORRUPT);
    info->nonce[0] ^= 1;
    info->flags ^= PG_SEGMENT_FLAG_ZSTD;
    assert_int_equal(open_kept(&k), PG_ERR_CORRUPT);
    info->flags ^= PG_SEGMENT_FLAG_ZSTD;
    pg_segment_coder_choose(&k.coder, &key, extent_id, 1);
    assert_int_equal(open_kept(&k), PG_ERR_CORRUPT);
    uint8_t other[PG_EXTENT_ID_BYTES] = {9, 8, 6};
    pg_segment_coder_choose(&k.coder, &key, other, 0);
    assert_int_equal(open_kept(&k), PG_ERR_CORRUPT);
    pg_segment_coder_choose(&k.coder, &key, extent_id, 0);
    assert_int_equal(open_kept(&k), PG_OK);
    kept_deinit(&k);
}

static void test_segment__corrupt_shards__all_found(void **state)
{
    (void) state;
    kept k;
    kept_init(&k, false);
    k.coder.shards[0] ^= 1;
    k.coder.shards[k.shards_len - 1] ^= 0x80;
    assert_int_equal(pg_segment_find_corrupt(&k.coder, &k.descriptor, 0, 0x3ff), 0x201);
    assert_int_equal(pg_segment_find_corrupt(&k.coder, &k.descriptor, 0, 0x1fe), 0);
    assert_int_equal(pg_segment_open(&k.coder, &k.descriptor, 0, 0x07f), PG_ERR_MISSING);
    kept_deinit(&k);
}

static void test_segment__what_does_not_compress__is_stored_as_it_is(void **state)
{
    (void) state;
    kept k;
    kept_init(&k, false);
    assert_int_equal(k.descriptor.segments[0].flags, 0);
    assert_int_equal(k.descriptor.segments[0].stored_bytes, 20000);
    kept_deinit(&k);
    kept_init(&k, true);
    assert_int_equal(k.descriptor.segments[0].flags, PG_SEGMENT_FLAG_ZSTD);
    assert_true(k.descriptor.segments[0].stored_bytes < 2000);
    kept_deinit(&k);
}

static void test_coder__no_memory__fails_clean(void **state)
{
    (void) state;
    for (uint64_t nth = 1; nth < 20; nth++) {
        pg_segment_coder coder;
        pg_mem_fail_nth(nth);
        pg_err err = pg_segment_coder_init(&coder, PG_CODE_DEFAULT, SEGMENT);
        bool failed = pg_mem_failed();
        pg_mem_fail_nth(0);
        assert_int_equal(err, failed ? PG_ERR_NOMEM : PG_OK);
        pg_segment_coder_deinit(&coder);
    }
    pg_segment_coder_deinit(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_segment__random_losses__opens_to_the_same),
        cmocka_unit_test(test_segment__every_bit_of_its_place__is_authenticated),
        cmocka_unit_test(test_segment__corrupt_shards__all_found),
        cmocka_unit_test(test_segment__what_does_not_compress__is_stored_as_it_is),
        cmocka_unit_test(test_coder__no_memory__fails_clean),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
