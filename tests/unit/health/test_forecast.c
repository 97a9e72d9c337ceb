// SPDX-License-Identifier: Apache-2.0
// Goal: forecasts follow what peers do: those always there, those gone, those that keep hours; training makes them better, is the same each time, and
//       looks at nothing that comes after the hour it forecasts from.
// Method: histories of made-up peers.
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "health/forecast.h"

#define START (UINT64_C(480000) * 3600)
#define NOW (UINT64_C(480000) + 720)

typedef bool (*habit)(unsigned hour);

static bool always(unsigned hour)
{
    return hour < UINT32_MAX;
}

static bool never(unsigned hour)
{
    return hour == UINT32_MAX;
}

static bool by_day(unsigned hour)
{
    return hour % 24 >= 8 && hour % 24 < 20;
}

static bool until_last_week(unsigned hour)
{
    return hour < 720 - 168;
}

static void past_make(habit is_up, unsigned hours, pg_forecast_past *out)
{
    pg_health_history history = {.hour = 0};
    for (unsigned i = 0; i < hours * 4; i++) {
        pg_health_kind kind = is_up(i / 4) ? PG_HEALTH_PING_OK : PG_HEALTH_PING_FAILED;
        pg_health_history_add(&history, kind, 20000000, START + (uint64_t) i * 900);
    }
    pg_forecast_past_make(&history, out);
}

static void test_day__with_the_model_that_comes_with_the_program__follows_the_habit(void **state)
{
    (void) state;
    static pg_forecast_past past;
    pg_forecast_model model;
    pg_forecast_model_init(&model);
    past_make(always, 720, &past);
    assert_true(pg_forecast_day(&model, &past, NOW) > 0.97);
    past_make(never, 720, &past);
    assert_true(pg_forecast_day(&model, &past, NOW) < 0.05);
    past_make(until_last_week, 720, &past);
    assert_true(pg_forecast_day(&model, &past, NOW) < 0.2);
    past_make(by_day, 720, &past);
    double day = pg_forecast_day(&model, &past, NOW);
    assert_true(day > 0.35 && day < 0.65);
    assert_true(pg_forecast_hour(&model, &past, NOW, 13) > pg_forecast_hour(&model, &past, NOW, 2));
}

static void test_train__peers_that_keep_hours__are_forecast_hour_by_hour(void **state)
{
    (void) state;
    static pg_forecast_past pasts[3];
    static pg_forecast_past again[3];
    pg_forecast_model model;
    pg_forecast_model twin;
    past_make(by_day, 720, &pasts[0]);
    past_make(always, 720, &pasts[1]);
    past_make(until_last_week, 720, &pasts[2]);
    memcpy(again, pasts, sizeof(pasts));
    pg_forecast_model_init(&model);
    pg_forecast_model_init(&twin);
    pg_forecast_train(&model, pasts, 3, 20000);
    pg_forecast_train(&twin, again, 3, 20000);
    assert_memory_equal(&model, &twin, sizeof(model));
    assert_int_equal(model.examples, 20000);
    assert_true(pg_forecast_hour(&model, &pasts[0], NOW, 13) > 0.9); // noon
    assert_true(pg_forecast_hour(&model, &pasts[0], NOW, 3) < 0.15); // two in the morning
    assert_true(pg_forecast_day(&model, &pasts[1], NOW) > 0.97);
    assert_true(pg_forecast_day(&model, &pasts[2], NOW) < 0.05);
}

static void test_train__nothing_to_learn_from__stays_as_it_was(void **state)
{
    (void) state;
    static pg_forecast_past past;
    pg_forecast_model model;
    pg_forecast_model before;
    pg_forecast_model_init(&model);
    before = model;
    pg_forecast_train(&model, NULL, 0, 1000);
    assert_memory_equal(&model, &before, sizeof(model));
    past_make(always, 12, &past); // too short
    pg_forecast_train(&model, &past, 1, 1000);
    assert_memory_equal(&model, &before, sizeof(model));
}

static void test_hour__future_of_the_history__is_not_looked_at(void **state)
{
    (void) state;
    static pg_forecast_past whole;
    static pg_forecast_past cut;
    pg_forecast_model model;
    pg_forecast_model_init(&model);
    past_make(until_last_week, 720, &whole);
    past_make(until_last_week, 500, &cut); // still there
    for (unsigned ahead = 1; ahead <= 24; ahead++) {
        // The same window behind the hour 500 is asked of both; what came after must not show.
        double of_whole = pg_forecast_hour(&model, &whole, START / 3600 + 500, ahead);
        double of_cut = pg_forecast_hour(&model, &cut, START / 3600 + 500, ahead);
        assert_float_equal((float) of_whole, (float) of_cut, 1e-6F);
    }
}

static void test_day__far_outside_of_the_window__is_a_probability(void **state)
{
    (void) state;
    static pg_forecast_past past;
    pg_forecast_model model;
    pg_forecast_model_init(&model);
    past_make(by_day, 720, &past);
    const uint64_t hours[] = {0, 1, 30, START / 3600, NOW + 10000, UINT64_C(1) << 40};
    for (size_t i = 0; i < sizeof(hours) / sizeof(hours[0]); i++) {
        double day = pg_forecast_day(&model, &past, hours[i]);
        assert_true(day >= 0 && day <= 1);
    }
    assert_int_equal(pg_forecast_known(&past, NOW, 24), 24);
    assert_int_equal(pg_forecast_known(&past, NOW + 10000, 24), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_day__with_the_model_that_comes_with_the_program__follows_the_habit),
        cmocka_unit_test(test_train__peers_that_keep_hours__are_forecast_hour_by_hour),
        cmocka_unit_test(test_train__nothing_to_learn_from__stays_as_it_was),
        cmocka_unit_test(test_hour__future_of_the_history__is_not_looked_at),
        cmocka_unit_test(test_day__far_outside_of_the_window__is_a_probability),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
