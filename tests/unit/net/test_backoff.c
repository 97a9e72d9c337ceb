// SPDX-License-Identifier: Apache-2.0
// Goal: waits double within their bounds, half of each is left to chance, and a success forgets them.
// Method: direct calls with chosen chance.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "net/backoff.h"
#include "net/limits.h"

static void test_backoff__first_failure__waits_half_to_all_of_the_minimum(void **state)
{
    (void) state;
    pg_backoff backoff = {0, 0};
    assert_true(pg_backoff_is_due(&backoff, 0));
    pg_backoff_fail(&backoff, 1000, 0);
    assert_int_equal(backoff.until, 1000 + PG_MS(PG_NET_BACKOFF_MIN_MS) / 2);
    assert_false(pg_backoff_is_due(&backoff, backoff.until - 1));
    assert_true(pg_backoff_is_due(&backoff, backoff.until));

    backoff = (pg_backoff){0, 0};
    pg_backoff_fail(&backoff, 1000, (uint64_t) PG_MS(PG_NET_BACKOFF_MIN_MS) / 2);
    assert_int_equal(backoff.until, 1000 + PG_MS(PG_NET_BACKOFF_MIN_MS));
}

static void test_backoff__many_failures__double_up_to_the_bound(void **state)
{
    (void) state;
    pg_backoff backoff = {0, 0};
    int64_t before = 0;
    for (int i = 0; i < 100; i++) {
        pg_backoff_fail(&backoff, 0, 0);
        assert_true(backoff.until >= before);
        assert_true(backoff.until <= PG_MS(PG_NET_BACKOFF_MAX_MS));
        before = backoff.until;
    }
    assert_int_equal(before, PG_MS(PG_NET_BACKOFF_MAX_MS) / 2);
    pg_backoff_reset(&backoff);
    assert_true(pg_backoff_is_due(&backoff, 0));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_backoff__first_failure__waits_half_to_all_of_the_minimum),
        cmocka_unit_test(test_backoff__many_failures__double_up_to_the_bound),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
