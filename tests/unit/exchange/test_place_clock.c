// SPDX-License-Identifier: Apache-2.0
// Goal: nothing is deleted for a day after the wall clock stepped by more than an hour, either way, also over a restart.
// Method: both clocks by hand.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "exchange/limits.h"
#include "exchange/place_clock_priv.h"

#define WALL INT64_C(1765000000)
#define YEAR INT64_C(31536000)
#define HOUR 3600
#define DAY 86400

static pg_time at(int64_t seconds)
{
    return PG_SECONDS(1000 + seconds);
}

static pg_place_clock begin(int64_t seen_s, int64_t quiet_s)
{
    pg_place_clock clock;
    pg_place_clock_begin(&clock, seen_s, quiet_s, WALL, at(0));
    return clock;
}

static void test_place_clock__runs_evenly__lets_delete(void **state)
{
    (void) state;
    pg_place_clock clock = begin(0, 0);
    for (int64_t hour = 0; hour < 1000; hour++) {
        int64_t drift = hour % 3;
        assert_true(pg_place_clock_look(&clock, WALL + hour * HOUR + drift, at(hour * HOUR)));
    }
}

static void test_place_clock__steps__is_quiet_for_a_day(void **state)
{
    (void) state;
    static const int64_t steps[] = {YEAR, -YEAR, HOUR + 2, -HOUR - 2};
    for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
        pg_place_clock clock = begin(0, 0);
        assert_true(pg_place_clock_look(&clock, WALL + HOUR, at(HOUR)));
        int64_t wall = WALL + 2 * HOUR + steps[i];
        assert_false(pg_place_clock_look(&clock, wall, at(2 * HOUR)));
        assert_int_equal(pg_place_clock_quiet_s(&clock, at(2 * HOUR)), DAY);
        assert_false(pg_place_clock_look(&clock, wall + DAY - 1, at(2 * HOUR + DAY - 1)));
        assert_true(pg_place_clock_look(&clock, wall + DAY, at(2 * HOUR + DAY)));
        assert_int_equal(pg_place_clock_quiet_s(&clock, at(2 * HOUR + DAY)), 0);
    }
}

static void test_place_clock__nonsense__is_never_trusted(void **state)
{
    (void) state;
    static const int64_t walls[] = {INT64_MIN, -WALL, INT64_MAX};
    for (size_t i = 0; i < sizeof(walls) / sizeof(walls[0]); i++) {
        pg_place_clock clock = begin(0, 0);
        for (int64_t day = 0; day < 5; day++) {
            assert_false(pg_place_clock_look(&clock, walls[i], at(day * DAY)));
        }
    }
}

static void test_place_clock__small_steps__add_up(void **state)
{
    (void) state;
    pg_place_clock clock = begin(0, 0);
    assert_true(pg_place_clock_look(&clock, WALL + 2000, at(0)));
    assert_false(pg_place_clock_look(&clock, WALL + 4000, at(0)));
}

static void test_place_clock__steps_back__is_quiet_again(void **state)
{
    (void) state;
    pg_place_clock clock = begin(0, 0);
    assert_false(pg_place_clock_look(&clock, WALL + YEAR, at(0)));
    assert_false(pg_place_clock_look(&clock, WALL + DAY - HOUR, at(DAY - HOUR)));
    assert_false(pg_place_clock_look(&clock, WALL + DAY, at(DAY)));
    assert_true(pg_place_clock_look(&clock, WALL + 2 * DAY - HOUR, at(2 * DAY - HOUR)));
}

static void test_place_clock__restart__remembers(void **state)
{
    (void) state;
    pg_place_clock clock = begin(WALL - DAY, 0);
    assert_true(pg_place_clock_look(&clock, WALL, at(0)));
    clock = begin(WALL - DAY, 500);
    assert_false(pg_place_clock_look(&clock, WALL + 499, at(499)));
    assert_true(pg_place_clock_look(&clock, WALL + 500, at(500)));
    clock = begin(WALL + HOUR + 1, 0); // it went back while the node was off
    assert_false(pg_place_clock_look(&clock, WALL, at(0)));
    clock = begin(WALL - YEAR, 0); // or ahead
    assert_false(pg_place_clock_look(&clock, WALL, at(0)));
    assert_true(pg_place_clock_look(&clock, WALL + DAY, at(DAY)));
    clock = begin(INT64_MIN, INT64_MAX); // nonsense in the database
    assert_false(pg_place_clock_look(&clock, WALL, at(0)));
    assert_true(pg_place_clock_look(&clock, WALL + DAY, at(DAY)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_place_clock__runs_evenly__lets_delete),
        cmocka_unit_test(test_place_clock__steps__is_quiet_for_a_day),
        cmocka_unit_test(test_place_clock__nonsense__is_never_trusted),
        cmocka_unit_test(test_place_clock__small_steps__add_up),
        cmocka_unit_test(test_place_clock__steps_back__is_quiet_again),
        cmocka_unit_test(test_place_clock__restart__remembers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
