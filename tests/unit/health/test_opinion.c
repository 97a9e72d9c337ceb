// SPDX-License-Identifier: Apache-2.0
// Goal: strangers count little, one network counts once however many observers it has, and what we saw ourselves keeps at least half of the
//       weight, so that nobody who serves us well is barred by what others say.
// Method: made-up observers, a thousand of them where it is about crowds.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "health/opinion.h"

static pg_health_opinion opinion(double points, double weight, uint16_t network)
{
    return (pg_health_opinion){
        .parts = {points, points, points},
        .weight = weight,
        .network = {4, (uint8_t) (network >> 8), (uint8_t) network},
    };
}

static void test_weight__stranger_and_friend__are_far_apart(void **state)
{
    (void) state;
    assert_float_equal((float) pg_health_opinion_weight(0, 0, 720), 0.05F, 1e-6F);
    assert_float_equal((float) pg_health_opinion_weight(168, 100, 720), 1, 1e-6F);
    assert_float_equal((float) pg_health_opinion_weight(84, 80, 720), 0.4F, 1e-6F);
    assert_float_equal((float) pg_health_opinion_weight(720, 100, 12), 0.5F, 1e-6F);
    assert_float_equal((float) pg_health_opinion_weight(720, 100, 0), 0, 1e-6F);
    assert_float_equal((float) pg_health_opinion_weight(720, -5, 24), 0.05F, 1e-6F);
}

static void test_sum__many_of_one_network__count_once(void **state)
{
    (void) state;
    static pg_health_opinion crowd[1000];
    for (size_t i = 0; i < 999; i++) {
        crowd[i] = opinion(0, 0.05, 7);
    }
    crowd[999] = opinion(100, 0.05, 8);
    pg_health_others others = pg_health_opinions_sum(crowd, 1000);
    assert_int_equal(others.count, 2);
    assert_float_equal((float) others.weight, 0.1F, 1e-6F);
    assert_float_equal((float) others.parts.uptime, 50, 1e-3F);
}

static void test_sum__heavier_of_a_network__is_the_one_heard(void **state)
{
    (void) state;
    const pg_health_opinion said[] = {opinion(0, 0.05, 7), opinion(80, 0.9, 7), opinion(1, 0, 9)};
    pg_health_others others = pg_health_opinions_sum(said, 3);
    assert_int_equal(others.count, 1);
    assert_float_equal((float) others.parts.latency, 80, 1e-3F);
}

static void test_sum__nobody__weighs_nothing(void **state)
{
    (void) state;
    pg_health_others others = pg_health_opinions_sum(NULL, 0);
    const pg_health_parts own = {70, 60, 50};
    pg_health_parts mixed = pg_health_mix(&own, 24, &others);
    assert_int_equal(others.count, 0);
    assert_float_equal((float) mixed.uptime, 70, 1e-6F);
}

static void test_mix__thousand_liars_of_as_many_networks__own_keeps_half(void **state)
{
    (void) state;
    static pg_health_opinion liars[1000];
    const pg_health_parts own = {90, 80, 100};
    for (size_t i = 0; i < 1000; i++) {
        liars[i] = opinion(0, 1, (uint16_t) i);
    }
    pg_health_others others = pg_health_opinions_sum(liars, 1000);
    assert_int_equal(others.count, 1000);
    for (uint32_t hours = 1; hours <= 720; hours += 7) {
        pg_health_parts mixed = pg_health_mix(&own, hours, &others);
        assert_true(mixed.uptime >= 44.99 && mixed.availability >= 49.99);
        assert_true(pg_health_score(&mixed) > PG_HEALTH_BAR_SCORE);
    }
    pg_health_parts mixed =
        pg_health_mix(&own, 0, &others); // they do not speak where we saw nothing
    assert_float_equal((float) mixed.uptime, 90, 1e-6F);
}

static void test_mix__one_stranger__moves_little(void **state)
{
    (void) state;
    const pg_health_opinion said = opinion(0, 0.05, 1);
    const pg_health_parts own = {100, 100, 100};
    pg_health_others others = pg_health_opinions_sum(&said, 1);
    pg_health_parts mixed = pg_health_mix(&own, 168, &others);
    assert_true(mixed.uptime > 99);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_weight__stranger_and_friend__are_far_apart),
        cmocka_unit_test(test_sum__many_of_one_network__count_once),
        cmocka_unit_test(test_sum__heavier_of_a_network__is_the_one_heard),
        cmocka_unit_test(test_sum__nobody__weighs_nothing),
        cmocka_unit_test(test_mix__thousand_liars_of_as_many_networks__own_keeps_half),
        cmocka_unit_test(test_mix__one_stranger__moves_little),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
