// SPDX-License-Identifier: Apache-2.0
// Goal: a window grows for a peer that fills it in time, by doubling and up to its bound; a rate lets through what it says.
// Method: direct calls with chosen times.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "net/quic_window.h"

static void test_quic_window__used_up_fast__doubles_up_to_the_bound(void **state)
{
    (void) state;
    pg_quic_window window = pg_quic_window_make(1000, 0);
    assert_false(pg_quic_window_use(&window, 999));
    assert_true(pg_quic_window_use(&window, 1));
    assert_int_equal(pg_quic_window_growth(&window, 39, 10, 3500), 1000);
    window.bytes += 1000;
    assert_false(pg_quic_window_use(&window, 1999)); // counted anew
    assert_true(pg_quic_window_use(&window, 1));
    assert_int_equal(pg_quic_window_growth(&window, 78, 10, 3500), 1500);
    window.bytes += 1500;
    assert_true(pg_quic_window_use(&window, 3500));
    assert_int_equal(pg_quic_window_growth(&window, 80, 10, 3500), 0);
    assert_int_equal(pg_quic_window_growth(&window, 81, 10, 1000), 0); // the bound was lowered
}

static void test_quic_window__used_up_slowly__stays(void **state)
{
    (void) state;
    pg_quic_window window = pg_quic_window_make(1000, 0);
    assert_true(pg_quic_window_use(&window, 1000));
    assert_int_equal(pg_quic_window_growth(&window, 40, 10, 9000), 0);
    assert_true(pg_quic_window_use(&window, 1000)); // from now on
    assert_int_equal(pg_quic_window_growth(&window, 79, 10, 9000), 1000);
}

static void test_quic_window__round_trip_not_known__stays(void **state)
{
    (void) state;
    pg_quic_window window = pg_quic_window_make(1000, 5);
    assert_true(pg_quic_window_use(&window, 5000));
    assert_int_equal(pg_quic_window_growth(&window, 5, 0, 9000), 0);
}

static void test_quic_rate__a_second_of_it_at_once__then_evenly(void **state)
{
    (void) state;
    pg_quic_rate rate = {0};
    pg_time now = PG_SECONDS(1000);
    for (int i = 0; i < 50; i++) {
        assert_true(pg_quic_rate_take(&rate, now, 50));
    }
    assert_false(pg_quic_rate_take(&rate, now, 50));
    assert_false(pg_quic_rate_take(&rate, now + PG_MS(19), 50)); // a refusal costs nothing
    assert_true(pg_quic_rate_take(&rate, now + PG_MS(20), 50));
    assert_false(pg_quic_rate_take(&rate, now + PG_MS(20), 50));
    int taken = 0;
    for (int i = 0; i < 10000; i++) { // ten seconds
        taken += pg_quic_rate_take(&rate, now + PG_MS(20 + i), 50) ? 1 : 0;
    }
    assert_in_range(taken, 499, 501);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_quic_window__used_up_fast__doubles_up_to_the_bound),
        cmocka_unit_test(test_quic_window__used_up_slowly__stays),
        cmocka_unit_test(test_quic_window__round_trip_not_known__stays),
        cmocka_unit_test(test_quic_rate__a_second_of_it_at_once__then_evenly),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
