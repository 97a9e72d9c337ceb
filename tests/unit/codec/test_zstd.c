// SPDX-License-Identifier: Apache-2.0
// Goal: a segment comes back as it was, the probe is right about text, noise and compressed data, and no frame yields more than was declared.
// Method: round trips over lengths and levels; frames that are cut, flipped, doubled or declare another length.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "codec/zstd.h"

#define SEGMENT_BYTES PG_ZSTD_PLAIN_BYTES_MAX

typedef struct zstd_state {
    pg_zstd *zstd;
    uint8_t *plain;
    uint8_t *stored;
    uint8_t *back;
    size_t stored_cap;
} zstd_state;

static int setup(void **state)
{
    static zstd_state all;
    all.stored_cap = pg_zstd_bound(SEGMENT_BYTES);
    all.plain = pg_malloc(SEGMENT_BYTES);
    all.stored = pg_malloc(all.stored_cap);
    all.back = pg_malloc(SEGMENT_BYTES);
    *state = &all;
    return all.plain == NULL || all.stored == NULL || all.back == NULL ||
           pg_zstd_new(&all.zstd) != PG_OK;
}

static int teardown(void **state)
{
    zstd_state *all = *state;
    pg_zstd_free(&all->zstd);
    pg_zstd_free(&all->zstd); // twice is fine
    pg_mfree(all->plain);
    pg_mfree(all->stored);
    pg_mfree(all->back);
    return 0;
}

static void noise_fill(uint8_t *out, size_t len)
{
    uint64_t seed = 7;
    for (size_t i = 0; i < len; i++) {
        seed = seed * 6364136223846793005u + 1442695040888963407u;
        out[i] = (uint8_t) (seed >> 56);
    }
}

static void text_fill(uint8_t *out, size_t len)
{
    static const char *const words[] = {"shard ", "segment ", "manifest ", "peer ",  "lease ",
                                        "audit ", "record ",  "host ",     "grant ", "of a \n"};
    uint64_t seed = 9;
    for (size_t at = 0; at < len;) {
        seed = seed * 6364136223846793005u + 1442695040888963407u;
        const char *word = words[(seed >> 40) % PG_ARRAY_LEN(words)];
        while (*word != '\0' && at < len) {
            out[at++] = (uint8_t) *word++;
        }
    }
}

static size_t compress(zstd_state *all, int level, size_t plain_len)
{
    size_t len = 0;
    assert_int_equal(pg_zstd_compress(all->zstd, level, pg_bytes_make(all->plain, plain_len),
                                      pg_mut_bytes_make(all->stored, all->stored_cap), &len),
                     PG_OK);
    return len;
}

static pg_err decompress(zstd_state *all, size_t stored_len, size_t plain_len)
{
    return pg_zstd_decompress(all->zstd, pg_bytes_make(all->stored, stored_len),
                              pg_mut_bytes_make(all->back, plain_len));
}

static void test_zstd__lengths_and_levels__round_trip(void **state)
{
    zstd_state *all = *state;
    static const size_t lens[] = {0, 1, 100, 4096, 65537, 1U << 20, SEGMENT_BYTES};
    static const int levels[] = {1, 3, PG_ZSTD_LEVEL_MAX};
    for (size_t i = 0; i < PG_ARRAY_LEN(lens) * PG_ARRAY_LEN(levels); i++) {
        size_t plain_len = lens[i / PG_ARRAY_LEN(levels)];
        int level = levels[i % PG_ARRAY_LEN(levels)];
        if (level > 3 && plain_len > 65537) {
            continue; // seconds each
        }
        text_fill(all->plain, plain_len);
        size_t len = compress(all, level, plain_len);
        assert_int_equal(decompress(all, len, plain_len), PG_OK);
        assert_memory_equal(all->back, all->plain, plain_len);
    }
    noise_fill(all->plain, SEGMENT_BYTES);
    size_t len = compress(all, 1, SEGMENT_BYTES);
    assert_true(len >= SEGMENT_BYTES && len <= pg_zstd_bound(SEGMENT_BYTES));
    assert_int_equal(decompress(all, len, SEGMENT_BYTES), PG_OK);
    assert_memory_equal(all->back, all->plain, SEGMENT_BYTES);
}

static void test_zstd__used_and_fresh_context__write_the_same(void **state)
{
    zstd_state *all = *state;
    text_fill(all->plain, 300000);
    size_t len = compress(all, 1, 300000);
    pg_zstd *fresh = NULL;
    size_t fresh_len = 0;
    assert_int_equal(pg_zstd_new(&fresh), PG_OK);
    assert_int_equal(pg_zstd_compress(fresh, 1, pg_bytes_make(all->plain, 300000),
                                      pg_mut_bytes_make(all->back, SEGMENT_BYTES), &fresh_len),
                     PG_OK);
    assert_int_equal(fresh_len, len);
    assert_memory_equal(all->back, all->stored, len);
    pg_zstd_free(&fresh);
}

static void test_zstd__no_room_or_bad_arguments__is_an_error(void **state)
{
    zstd_state *all = *state;
    size_t len = 0;
    noise_fill(all->plain, 10000);
    pg_mut_bytes small = pg_mut_bytes_make(all->stored, 9999);
    pg_bytes plain = pg_bytes_make(all->plain, 10000);
    assert_int_equal(pg_zstd_compress(all->zstd, 1, plain, small, &len), PG_ERR_FULL);
    assert_int_equal(len, 0);
    assert_int_equal(pg_zstd_compress(all->zstd, 0, plain, small, &len), PG_ERR_INVALID);
    assert_int_equal(pg_zstd_compress(all->zstd, PG_ZSTD_LEVEL_MAX + 1, plain, small, &len),
                     PG_ERR_INVALID);
    plain.len = SEGMENT_BYTES + (size_t) 1;
    assert_int_equal(pg_zstd_compress(all->zstd, 1, plain, small, &len), PG_ERR_INVALID);
    assert_int_equal(decompress(all, 10, SEGMENT_BYTES + (size_t) 1), PG_ERR_INVALID);
    pg_mem_fail_nth(1);
    pg_zstd *none = NULL;
    assert_int_equal(pg_zstd_new(&none), PG_ERR_NOMEM);
    pg_mem_fail_nth(0);
    assert_null(none);
}

static void test_zstd_decompress__other_length_than_declared__is_corrupt(void **state)
{
    zstd_state *all = *state;
    memset(all->plain, 0, SEGMENT_BYTES); // a small bomb: 8 MiB in some hundred bytes
    size_t len = compress(all, 1, SEGMENT_BYTES);
    assert_true(len < 1000);
    all->back[4096] = 0x77;
    assert_int_equal(decompress(all, len, 4096), PG_ERR_CORRUPT);
    assert_int_equal(all->back[4096], 0x77);
    len = compress(all, 1, 4096);
    assert_int_equal(decompress(all, len, 4097), PG_ERR_CORRUPT);
    assert_int_equal(decompress(all, len, 4095), PG_ERR_CORRUPT);
    assert_int_equal(decompress(all, len, 0), PG_ERR_CORRUPT);
    assert_int_equal(decompress(all, len, 4096), PG_OK);
}

static void test_zstd_decompress__cut_or_followed__is_corrupt(void **state)
{
    zstd_state *all = *state;
    text_fill(all->plain, 5000);
    size_t len = compress(all, 1, 5000);
    for (size_t cut = 0; cut < len; cut++) {
        assert_int_equal(decompress(all, cut, 5000), PG_ERR_CORRUPT);
    }
    memcpy(all->stored + len, all->stored, len);
    assert_int_equal(decompress(all, len + 1, 5000), PG_ERR_CORRUPT);
    assert_int_equal(decompress(all, 2 * len, 10000), PG_ERR_CORRUPT);
    memcpy(all->stored + len, "\x50\x2a\x4d\x18\x00\x00\x00\x00", 8); // a frame to be skipped
    assert_int_equal(decompress(all, len + 8, 5000), PG_ERR_CORRUPT);
    assert_int_equal(decompress(all, len, 5000), PG_OK);
}

static void test_zstd_decompress__flipped_bits__never_leave_bounds(void **state)
{
    zstd_state *all = *state;
    text_fill(all->plain, 3000);
    size_t len = compress(all, 1, 3000);
    for (size_t bit = 0; bit < 8 * len; bit++) {
        all->stored[bit / 8] ^= (uint8_t) (1U << bit % 8);
        all->back[3000] = 0x77;
        pg_err err = decompress(all, len, 3000); // may pass: zstd has no digest here, the seal has
        assert_true(err == PG_OK || err == PG_ERR_CORRUPT || err == PG_ERR_NOMEM);
        assert_int_equal(all->back[3000], 0x77);
        all->stored[bit / 8] ^= (uint8_t) (1U << bit % 8);
    }
}

static bool probe(zstd_state *all, size_t len)
{
    return pg_zstd_probe(all->zstd, pg_bytes_make(all->plain, len));
}

static void test_zstd_probe__text_and_noise__are_told_apart(void **state)
{
    zstd_state *all = *state;
    static const size_t lens[] = {256U << 10, 300001, 1U << 20, (5U << 20) + 1, SEGMENT_BYTES};
    for (size_t i = 0; i < PG_ARRAY_LEN(lens); i++) {
        text_fill(all->plain, lens[i]);
        assert_true(probe(all, lens[i]));
        noise_fill(all->plain, lens[i]);
        assert_false(probe(all, lens[i]));
        memset(all->plain, 0, lens[i]);
        assert_true(probe(all, lens[i]));
    }
    noise_fill(all->plain, 1000);
    assert_true(probe(all, 0)); // too short to be worth a probe
    assert_true(probe(all, 1000));
}

static void test_zstd_probe__compressed_data__will_not_pay(void **state)
{
    zstd_state *all = *state;
    // The harder case: compressed by a weak code, so that some redundancy is left.
    text_fill(all->plain, SEGMENT_BYTES);
    size_t len = compress(all, 1, SEGMENT_BYTES);
    assert_true(len > 1U << 20);
    memcpy(all->plain, all->stored, len);
    assert_false(probe(all, len));
}

static void test_zstd_probe__text_of_six_bits_a_character__will_pay(void **state)
{
    zstd_state *all = *state;
    noise_fill(all->plain, SEGMENT_BYTES);
    for (size_t i = 0; i < SEGMENT_BYTES; i++) {
        all->plain[i] =
            (uint8_t) (' ' +
                       all->plain[i] % 64); // as base64 of noise: no words, yet a quarter is air
    }
    assert_true(probe(all, SEGMENT_BYTES));
}

static void test_zstd_probe__a_quarter_text_in_noise__will_pay(void **state)
{
    zstd_state *all = *state;
    noise_fill(all->plain, SEGMENT_BYTES);
    text_fill(all->plain + SEGMENT_BYTES / 2, SEGMENT_BYTES / 4);
    assert_true(probe(all, SEGMENT_BYTES));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_zstd__lengths_and_levels__round_trip),
        cmocka_unit_test(test_zstd__used_and_fresh_context__write_the_same),
        cmocka_unit_test(test_zstd__no_room_or_bad_arguments__is_an_error),
        cmocka_unit_test(test_zstd_decompress__other_length_than_declared__is_corrupt),
        cmocka_unit_test(test_zstd_decompress__cut_or_followed__is_corrupt),
        cmocka_unit_test(test_zstd_decompress__flipped_bits__never_leave_bounds),
        cmocka_unit_test(test_zstd_probe__text_and_noise__are_told_apart),
        cmocka_unit_test(test_zstd_probe__compressed_data__will_not_pay),
        cmocka_unit_test(test_zstd_probe__text_of_six_bits_a_character__will_pay),
        cmocka_unit_test(test_zstd_probe__a_quarter_text_in_noise__will_pay),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
