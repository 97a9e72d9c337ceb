// SPDX-License-Identifier: Apache-2.0
// Goal: a connection has its free share for certain, more while the sum allows, and gives all of it back.
// Method: direct calls.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "net/budget.h"

static void test_budget__beyond_the_free_share__is_counted_in_the_sum(void **state)
{
    (void) state;
    pg_conn_memory memory = {.max_bytes = 500};
    pg_conn_limits limits = pg_conn_limits_default(&memory);
    limits.memory_max_bytes = 1000;
    pg_budget one = pg_budget_make(&limits, 100);
    pg_budget other = pg_budget_make(&limits, 100);
    assert_true(pg_budget_take(&one, 100));
    assert_int_equal(memory.used_bytes, 0);
    assert_true(pg_budget_take(&one, 400));
    assert_int_equal(memory.used_bytes, 400);
    assert_false(pg_budget_take(&other, 201)); // 101 of the sum, which has 100
    assert_int_equal(other.used_bytes, 0);
    assert_true(pg_budget_take(&other, 200));
    assert_false(pg_budget_take(&one, 1));
    pg_budget_give(&one, 450);
    assert_int_equal(memory.used_bytes, 100);
    pg_budget_give(&one, 50);
    pg_budget_give(&other, 200);
    assert_int_equal(memory.used_bytes, 0);
}

static void test_budget__own_bound__holds_without_a_sum(void **state)
{
    (void) state;
    pg_conn_limits limits = pg_conn_limits_default(NULL);
    limits.memory_max_bytes = 1000;
    pg_budget budget = pg_budget_make(&limits, 100);
    assert_true(pg_budget_take(&budget, 1000));
    assert_false(pg_budget_take(&budget, 1));
    pg_budget_give(&budget, 1000);
    assert_false(pg_budget_take(&budget, SIZE_MAX));
}

static void test_budget__sum_lowered_below_what_is_used__nothing_more_is_granted(void **state)
{
    (void) state;
    pg_conn_memory memory = {.max_bytes = 500};
    pg_conn_limits limits = pg_conn_limits_default(&memory);
    pg_budget budget = pg_budget_make(&limits, 0);
    assert_true(pg_budget_take(&budget, 400));
    memory.max_bytes = 300;
    assert_false(pg_budget_take(&budget, 1));
    pg_budget_give(&budget, 200);
    assert_true(pg_budget_take(&budget, 100));
    pg_budget_give(&budget, 300);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_budget__beyond_the_free_share__is_counted_in_the_sum),
        cmocka_unit_test(test_budget__own_bound__holds_without_a_sum),
        cmocka_unit_test(test_budget__sum_lowered_below_what_is_used__nothing_more_is_granted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
