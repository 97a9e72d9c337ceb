// SPDX-License-Identifier: Apache-2.0
// Goal: sizes never wrap, every allocator can be made to fail once, and zero bytes are an allocation like any other.
// Method: direct calls.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"

static void test_mem__zero_bytes__is_not_null(void **state)
{
    (void) state;
    void *memory[] = {pg_malloc(0), pg_calloc(0, 8), pg_calloc(8, 0), pg_realloc(NULL, 0),
                      pg_malloc_aligned(64, 0)};
    for (size_t i = 0; i < PG_ARRAY_LEN(memory); i++) {
        assert_non_null(memory[i]);
        pg_mfree(memory[i]);
    }
    pg_mfree(NULL);
}

static void test_mem__calloc_and_aligned__are_zeroed_and_aligned(void **state)
{
    (void) state;
    static const uint8_t zeros[300];
    uint8_t *memory = pg_calloc(3, 100);
    assert_non_null(memory);
    assert_memory_equal(memory, zeros, 300);
    pg_mfree(memory);
    for (size_t align = 8; align <= 4096; align *= 2) {
        memory = pg_malloc_aligned(align, 100);
        assert_non_null(memory);
        assert_int_equal((uintptr_t) memory % align, 0);
        pg_mfree(memory);
    }
    uint64_t *one = PG_NEW(uint64_t);
    assert_non_null(one);
    assert_true(*one == 0);
    pg_mfree(one);
}

#define PIECES 64
#define PIECE_BYTES ((size_t) 1 << 20)

// What the process has in memory, in pages.
static long resident(void)
{
    long total = 0;
    long pages = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    assert_non_null(file);
    assert_int_equal(fscanf(file, "%ld %ld", &total, &pages), 2);
    (void) fclose(file);
    return pages;
}

// Pieces with something small that stays between them, as a node's heap is after a transfer.
static void pieces_use(void *small[PIECES])
{
    void *large[PIECES];
    for (size_t i = 0; i < PIECES; i++) {
        large[i] = pg_malloc(PIECE_BYTES);
        small[i] = pg_malloc(100);
        assert_non_null(large[i]);
        assert_non_null(small[i]);
        memset(large[i], 1, PIECE_BYTES);
    }
    for (size_t i = 0; i < PIECES; i++) {
        pg_mfree(large[i]);
    }
}

static void test_mem__transfer_over__memory_is_kept_until_it_is_given_back(void **state)
{
    (void) state;
    void *small[PIECES];
    const long most = PIECES * (long) (PIECE_BYTES / 4096);
#if defined(PG_WITH_ASAN) || defined(PG_WITH_TSAN)
    skip(); // their allocators keep what they like
#endif
    pg_mem_keep_large();
    long before = resident();
    pieces_use(small);
    assert_true(resident() - before > most * 9 / 10);
    pg_mem_give_back();
    assert_true(resident() - before < most / 10);
    for (size_t i = 0; i < PIECES; i++) {
        pg_mfree(small[i]);
    }
}

static void test_mem__realloc__keeps_the_content(void **state)
{
    (void) state;
    char *memory = pg_malloc(4);
    assert_non_null(memory);
    memcpy(memory, "abc", 4);
    char *grown = pg_realloc(memory, 10000);
    assert_non_null(grown);
    assert_string_equal(grown, "abc");
    pg_mem_fail_nth(1);
    assert_null(pg_realloc(grown, 20000));
    assert_string_equal(grown, "abc");
    pg_mfree(grown);
}

static void test_mem__product_that_overflows__is_null(void **state)
{
    (void) state;
    volatile size_t half = SIZE_MAX / 2;
    assert_null(pg_calloc(half, 3));
}

static void test_mem__nth_failure__happens_once_at_its_turn(void **state)
{
    (void) state;
    pg_mem_fail_nth(3);
    void *first = pg_malloc(1);
    void *second = pg_calloc(1, 1);
    assert_non_null(first);
    assert_non_null(second);
    assert_false(pg_mem_failed());
    assert_null(pg_malloc_aligned(8, 1));
    assert_true(pg_mem_failed());
    void *third = pg_malloc(1);
    assert_non_null(third);
    pg_mem_fail_nth(1);
    assert_false(pg_mem_failed());
    assert_null(pg_calloc(1, 1));
    pg_mem_fail_nth(1);
    assert_null(pg_malloc(1));
    pg_mem_fail_nth(0);
    assert_false(pg_mem_failed());
    pg_mfree(first);
    pg_mfree(second);
    pg_mfree(third);
}

static void test_mem__size__is_at_least_what_was_asked(void **state)
{
    (void) state;
    assert_int_equal(pg_mem_size(NULL), 0);
    for (size_t len = 0; len < 5000; len += 499) {
        void *memory = pg_malloc(len);
        assert_non_null(memory);
        assert_true(pg_mem_size(memory) >= len && pg_mem_size(memory) < len + 100);
        pg_mfree(memory);
    }
}

static void test_sizes__arithmetic__stops_at_the_edge(void **state)
{
    (void) state;
    size_t out = 7;
    assert_true(pg_add_size(SIZE_MAX - 1, 1, &out));
    assert_true(out == SIZE_MAX);
    out = 7;
    assert_false(pg_add_size(SIZE_MAX, 1, &out));
    assert_false(pg_mul_size(SIZE_MAX / 2, 3, &out));
    assert_int_equal(out, 7);
    assert_true(pg_mul_size(SIZE_MAX, 0, &out));
    assert_int_equal(out, 0);
    assert_int_equal(pg_min_size(2, 3), 2);
    assert_int_equal(pg_min_size(3, 2), 2);
    assert_int_equal(pg_max_size(2, 3), 3);
    assert_int_equal(pg_max_size(3, 2), 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_mem__zero_bytes__is_not_null),
        cmocka_unit_test(test_mem__calloc_and_aligned__are_zeroed_and_aligned),
        cmocka_unit_test(test_mem__transfer_over__memory_is_kept_until_it_is_given_back),
        cmocka_unit_test(test_mem__realloc__keeps_the_content),
        cmocka_unit_test(test_mem__product_that_overflows__is_null),
        cmocka_unit_test(test_mem__nth_failure__happens_once_at_its_turn),
        cmocka_unit_test(test_mem__size__is_at_least_what_was_asked),
        cmocka_unit_test(test_sizes__arithmetic__stops_at_the_edge),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
