// SPDX-License-Identifier: Apache-2.0
// Goal: lengths, padding and slots are those of docs/protocols/files.md. Method: by hand, and invariants over sweeps.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "files/code.h"
#include "files/limits.h"

static void test_code__text__read_strictly(void **state)
{
    (void) state;
    pg_code code = {0};
    assert_int_equal(pg_code_from_text(PG_STR("8+2"), &code), PG_OK);
    assert_int_equal(code.data, 8);
    assert_int_equal(code.parity, 2);
    assert_int_equal(pg_code_from_text(PG_STR("31+1"), &code), PG_OK);
    const char *bad[] = {"",     "8",    "8+",    "+2",    "0+2",  "8+0",
                         "8+25", "32+1", "8 + 2", "8+2+1", "-8+2", "300+1"};
    for (size_t i = 0; i < PG_ARRAY_LEN(bad); i++) {
        assert_int_equal(pg_code_from_text(pg_str_make(bad[i]), &code), PG_ERR_INVALID);
    }
}

static void test_code__lengths__bounded(void **state)
{
    (void) state;
    for (unsigned k = 1; k < PG_CODE_SHARDS_MAX; k++) {
        pg_code code = {(uint8_t) k, 1};
        uint32_t full = pg_code_segment_bytes(code);
        assert_true(full <= PG_SEGMENT_BYTES_MAX);
        uint32_t shard = pg_code_shard_bytes(code, full + 16);
        assert_true(shard <= PG_SHARD_BYTES_MAX);
        assert_int_equal(shard % PG_SHARD_UNIT_BYTES, 0);
        assert_true((uint64_t) shard * k >= full + 16);
        uint32_t segments = pg_code_extent_segments(full);
        assert_true(segments <= PG_EXTENT_SEGMENTS_MAX);
        assert_true((uint64_t) segments * full <= PG_EXTENT_BYTES_MAX);
    }
    assert_int_equal(pg_code_shard_bytes(PG_CODE_DEFAULT, PG_SEGMENT_BYTES_MAX + 16),
                     (1 << 20) + 64);
    assert_int_equal(pg_code_shard_bytes(PG_CODE_DEFAULT, 17), 64);
}

static void test_padme__sweep__grows_little_and_is_stable(void **state)
{
    (void) state;
    // Worked by hand: E = 3, S = 2, so the last bit is cleared upwards.
    assert_int_equal(pg_padme(9), 10);
    assert_int_equal(pg_padme(100), 104);
    uint64_t before = 0;
    for (uint64_t len = 0; len < 200000; len += 1 + len / 100) {
        uint64_t padded = pg_padme(len);
        assert_true(padded >= len && padded >= before);
        assert_true(padded - len <= len * 12 / 100 + 1);
        assert_int_equal(pg_padme(padded), padded);
        before = padded;
    }
    assert_int_equal(pg_segment_padded_bytes(8388607, PG_SEGMENT_BYTES_MAX, false), 8388608);
    assert_int_equal(pg_segment_padded_bytes(1, 5000, true), 5000);
    assert_int_equal(pg_segment_padded_bytes(4999, 5000, false), 5000);
}

static void test_slots__rotation__every_slot_gets_every_shard(void **state)
{
    (void) state;
    pg_code code = PG_CODE_DEFAULT;
    for (uint32_t g = 0; g < 25; g++) {
        for (unsigned slot = 0; slot < 10; slot++) {
            unsigned shard = pg_code_shard_of_slot(code, g, slot);
            assert_int_equal(shard, (slot + g) % 10);
            assert_int_equal(pg_code_slot_of_shard(code, g, shard), slot);
        }
    }
}

static void test_survives__fewer_holders__counts_the_fullest(void **state)
{
    (void) state;
    assert_int_equal(pg_code_survives(PG_CODE_DEFAULT, 10), 2);
    assert_int_equal(pg_code_survives(PG_CODE_DEFAULT, 9), 1);
    assert_int_equal(pg_code_survives(PG_CODE_DEFAULT, 5), 1);
    assert_int_equal(pg_code_survives(PG_CODE_DEFAULT, 4), 0);
    assert_int_equal(pg_code_survives(PG_CODE_DEFAULT, 1), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_code__text__read_strictly),
        cmocka_unit_test(test_code__lengths__bounded),
        cmocka_unit_test(test_padme__sweep__grows_little_and_is_stable),
        cmocka_unit_test(test_slots__rotation__every_slot_gets_every_shard),
        cmocka_unit_test(test_survives__fewer_holders__counts_the_fullest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
