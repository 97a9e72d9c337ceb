// SPDX-License-Identifier: Apache-2.0
// Goal: an arena gives zeroed, aligned memory and never takes more from the heap than its limit.
// Method: many small and some large requests; limits met exactly; failing allocations.
#include <setjmp.h>
#include <stdalign.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/arena.h"
#include "base/mem.h"

static void test_arena__many_requests__are_zeroed_aligned_and_apart(void **state)
{
    (void) state;
    pg_arena arena = pg_arena_make(1 << 20);
    uint8_t *pieces[200];
    for (size_t i = 0; i < PG_ARRAY_LEN(pieces); i++) {
        size_t size = (i * 37) % 600;
        pieces[i] = pg_arena_alloc(&arena, size);
        assert_non_null(pieces[i]);
        assert_int_equal((uintptr_t) pieces[i] % alignof(max_align_t), 0);
        for (size_t x = 0; x < size; x++) {
            assert_int_equal(pieces[i][x], 0);
        }
        if (size != 0) {
            memset(pieces[i], (int) (i + 1), size);
        }
    }
    for (size_t i = 0; i < PG_ARRAY_LEN(pieces); i++) {
        for (size_t x = 0; x < (i * 37) % 600; x++) {
            assert_int_equal(pieces[i][x], (uint8_t) (i + 1));
        }
    }
    pg_arena_deinit(&arena);
}

static void test_arena__limit__is_never_passed(void **state)
{
    (void) state;
    for (size_t max = 0; max < 12000; max += 97) {
        pg_arena arena = pg_arena_make(max);
        size_t given = 0;
        while (pg_arena_alloc(&arena, 48) != NULL) {
            given += 48;
        }
        assert_true(given <= max);
        assert_true(arena.used_bytes <= max);
        assert_true(max < 200 || given >= max * 3 / 4); // little is lost to blocks
        pg_arena_deinit(&arena);
    }
}

static void test_arena__huge_request__is_refused(void **state)
{
    (void) state;
    pg_arena arena = pg_arena_make(SIZE_MAX);
    assert_null(pg_arena_alloc(&arena, SIZE_MAX));
    assert_null(pg_arena_alloc(&arena, SIZE_MAX - 64));
    assert_non_null(pg_arena_alloc(&arena, 100000));
    pg_arena_deinit(&arena);
    pg_arena zero = {0};
    assert_null(pg_arena_alloc(&zero, 1));
    pg_arena_deinit(&zero);
}

static void test_arena__after_deinit__may_be_used_again(void **state)
{
    (void) state;
    pg_arena arena = pg_arena_make(5000);
    for (int i = 0; i < 3; i++) {
        assert_non_null(pg_arena_alloc(&arena, 4000));
        assert_null(pg_arena_alloc(&arena, 4000));
        pg_arena_deinit(&arena);
        assert_int_equal(arena.used_bytes, 0);
    }
}

static void test_arena_dup__bytes__are_a_copy(void **state)
{
    (void) state;
    pg_arena arena = pg_arena_make(8192);
    char text[] = "abc";
    pg_bytes copy = PG_BYTES_EMPTY;
    assert_int_equal(pg_arena_dup(&arena, PG_BYTES_OF(text), &copy), PG_OK);
    text[0] = 'x';
    assert_string_equal((const char *) copy.ptr, "abc");
    assert_int_equal(pg_arena_dup(&arena, PG_BYTES_EMPTY, &copy), PG_OK);
    assert_int_equal(copy.len, 0);
    static const uint8_t big[9000];
    pg_bytes before = copy;
    assert_int_equal(pg_arena_dup(&arena, PG_BYTES_OF(big), &copy), PG_ERR_LIMIT);
    assert_ptr_equal(copy.ptr, before.ptr);
    pg_arena_deinit(&arena);
}

static void test_arena__memory_is_out__is_null_and_recovers(void **state)
{
    (void) state;
    pg_arena arena = pg_arena_make(8192);
    pg_mem_fail_nth(1);
    assert_null(pg_arena_alloc(&arena, 8));
    assert_int_equal(arena.used_bytes, 0);
    assert_non_null(pg_arena_alloc(&arena, 8));
    pg_arena_deinit(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_arena__many_requests__are_zeroed_aligned_and_apart),
        cmocka_unit_test(test_arena__limit__is_never_passed),
        cmocka_unit_test(test_arena__huge_request__is_refused),
        cmocka_unit_test(test_arena__after_deinit__may_be_used_again),
        cmocka_unit_test(test_arena_dup__bytes__are_a_copy),
        cmocka_unit_test(test_arena__memory_is_out__is_null_and_recovers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
