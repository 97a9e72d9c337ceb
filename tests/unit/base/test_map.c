// SPDX-License-Identifier: Apache-2.0
// Goal: a map finds what was added and nothing else, walks in order of insertion, and survives memory running out.
// Method: thousands of keys against a plain array; keys of every length; failing allocations.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/map.h"
#include "base/mem.h"

static pg_bytes key_of(const uint32_t *number)
{
    return pg_bytes_make(number, sizeof(*number));
}

static void test_map__thousands_of_keys__are_found_and_taken(void **state)
{
    (void) state;
    pg_map_seed(0x1234567890abcdef);
    pg_map map = {0};
    static int values[3000];
    for (uint32_t i = 0; i < 3000; i++) {
        assert_int_equal(pg_map_add(&map, key_of(&i), &values[i]), PG_OK);
    }
    assert_int_equal(pg_map_count(&map), 3000);
    for (uint32_t i = 0; i < 3000; i += 2) {
        assert_int_equal(pg_map_add(&map, key_of(&i), &values[0]), PG_ERR_EXISTS);
        assert_ptr_equal(pg_map_take(&map, key_of(&i)), &values[i]);
        assert_null(pg_map_take(&map, key_of(&i)));
    }
    for (uint32_t i = 0; i < 4000; i++) {
        assert_ptr_equal(pg_map_get(&map, key_of(&i)), i % 2 == 1 && i < 3000 ? &values[i] : NULL);
    }
    assert_int_equal(pg_map_count(&map), 1500);
    pg_map_deinit(&map);
    assert_int_equal(pg_map_count(&map), 0);
    pg_map_deinit(&map);
}

static void test_map__keys_of_every_length__are_different(void **state)
{
    (void) state;
    pg_map map = {0};
    static uint8_t zeros[64];
    static int values[65];
    assert_null(pg_map_get(&map, PG_BYTES_EMPTY));
    for (size_t len = 0; len <= 64; len++) {
        pg_bytes key = len == 0 ? PG_BYTES_EMPTY : pg_bytes_make(zeros, len);
        assert_int_equal(pg_map_add(&map, key, &values[len]), PG_OK);
    }
    for (size_t len = 0; len <= 64; len++) {
        pg_bytes key = len == 0 ? PG_BYTES_EMPTY : pg_bytes_make(zeros, len);
        assert_ptr_equal(pg_map_get(&map, key), &values[len]);
    }
    zeros[63] = 1; // the map has copies
    assert_null(pg_map_get(&map, PG_BYTES_OF(zeros)));
    pg_map_deinit(&map);
}

static void test_map_next__walk__is_in_order_and_may_take_the_current(void **state)
{
    (void) state;
    pg_map map = {0};
    static int values[100];
    for (uint32_t i = 0; i < 100; i++) {
        assert_int_equal(pg_map_add(&map, key_of(&i), &values[i]), PG_OK);
    }
    pg_map_cursor cursor = {0};
    uint32_t seen = 0;
    while (pg_map_next(&map, &cursor)) {
        assert_ptr_equal(cursor.value, &values[seen]);
        assert_memory_equal(cursor.key.ptr, &seen, sizeof(seen));
        if (seen % 3 != 0) {
            assert_ptr_equal(pg_map_take(&map, key_of(&seen)), &values[seen]);
        }
        seen++;
    }
    assert_int_equal(seen, 100);
    assert_int_equal(pg_map_count(&map), 34);
    pg_map_deinit(&map);
    pg_map_cursor none = {0};
    assert_false(pg_map_next(&map, &none));
}

static void test_map__memory_is_out__keeps_what_is_there(void **state)
{
    (void) state;
    static int values[2000];
    pg_map map = {0};
    size_t failures = 0;
    // Every second addition fails at its first, second or third allocation, if it makes so many.
    for (uint32_t i = 0; i < 2000; i++) {
        pg_mem_fail_nth(i % 2 == 0 ? 0 : 1 + i / 2 % 3);
        pg_err err = pg_map_add(&map, key_of(&i), &values[i]);
        assert_int_equal(err, pg_mem_failed() ? PG_ERR_NOMEM : PG_OK);
        failures += err != PG_OK;
        pg_mem_fail_nth(0);
        assert_ptr_equal(pg_map_get(&map, key_of(&i)), err == PG_OK ? &values[i] : NULL);
    }
    assert_true(failures > 0);
    assert_int_equal(pg_map_count(&map), 2000 - failures);
    pg_map_deinit(&map);

    // The table itself, made with the first key and grown later: each of its allocations fails once.
    for (uint64_t nth = 1; nth <= 4; nth++) {
        pg_map fresh = {0};
        pg_err first = PG_OK;
        pg_mem_fail_nth(nth);
        for (uint32_t i = 0; i < 500 && !pg_mem_failed(); i++) {
            first = pg_map_add(&fresh, key_of(&i), &values[i]);
        }
        assert_int_equal(first, PG_ERR_NOMEM);
        pg_mem_fail_nth(0);
        pg_map_deinit(&fresh);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_map__thousands_of_keys__are_found_and_taken),
        cmocka_unit_test(test_map__keys_of_every_length__are_different),
        cmocka_unit_test(test_map_next__walk__is_in_order_and_may_take_the_current),
        cmocka_unit_test(test_map__memory_is_out__keeps_what_is_there),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
