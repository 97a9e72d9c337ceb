// SPDX-License-Identifier: Apache-2.0
// Goal: the parts of a score are what docs/protocols/health.md says, at their edges too, and a judgement changes when it should and not with
//       every ping.
// Method: histories of made-up peers: perfect ones, slow ones, dead ones, those that come and go, those that lose shards.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "health/score.h"

#define HOUR UINT64_C(3600)
#define START (UINT64_C(480000) * HOUR)

/** A peer over some hours from `*time_s` on, pinged every five minutes. */
static void live(pg_health_history *history, uint64_t *time_s, unsigned hours, bool answers,
                 int64_t rtt_ns)
{
    for (unsigned i = 0; i < hours * 12; i++) {
        pg_health_history_add(history, answers ? PG_HEALTH_PING_OK : PG_HEALTH_PING_FAILED, rtt_ns,
                              *time_s);
        *time_s += 300;
    }
}

static double score_at(const pg_health_history *history, uint64_t time_s)
{
    pg_health_parts parts = pg_health_parts_of(history, time_s);
    assert_true(parts.uptime >= 0 && parts.uptime <= 100);
    assert_true(parts.latency >= 0 && parts.latency <= 100);
    assert_true(parts.availability >= 0 && parts.availability <= 100);
    return pg_health_score(&parts);
}

static void test_parts__nothing_known__are_in_the_middle(void **state)
{
    (void) state;
    pg_health_history history = {.hour = 0};
    pg_health_parts parts = pg_health_parts_of(&history, START);
    assert_float_equal((float) parts.uptime, 50, 1e-3F);
    assert_float_equal((float) parts.latency, 50, 1e-3F);
    assert_float_equal((float) parts.availability, 50, 1e-3F);
    assert_float_equal((float) pg_health_score(&parts), 50, 1e-3F);
}

static void test_score__month_of_quick_answers__is_near_100(void **state)
{
    (void) state;
    pg_health_history history = {.hour = 0};
    uint64_t time_s = START;
    live(&history, &time_s, 720, true, 1000000);
    assert_true(score_at(&history, time_s) > 97);
    assert_true(score_at(&history, time_s) <= 100);
}

static void test_score__month_of_silence__is_near_0(void **state)
{
    (void) state;
    pg_health_history history = {.hour = 0};
    uint64_t time_s = START;
    live(&history, &time_s, 720, false, 0);
    assert_true(score_at(&history, time_s) < 3);
}

static void test_score__always_there_and_slow__stays_above_70(void **state)
{
    (void) state;
    pg_health_history history = {.hour = 0};
    pg_health_judgement judgement = {.state = PG_HEALTH_STATE_NEW};
    uint64_t time_s = START;
    live(&history, &time_s, 240, true, INT64_C(9000000000));
    double score = score_at(&history, time_s);
    assert_true(score > 65 && score < 75);
    (void) pg_health_judge(&judgement, &history, score, time_s);
    assert_int_equal(judgement.state, PG_HEALTH_STATE_GOOD);
}

static void test_parts__nobody_asked_for_a_week__stay_the_same(void **state)
{
    (void) state;
    pg_health_history history = {.hour = 0};
    uint64_t time_s = START;
    live(&history, &time_s, 240, true, 20000000);
    double before = score_at(&history, time_s);
    double after = score_at(&history, time_s + 168 * HOUR);
    assert_true(before - after < 2); // our own absence is no fault of theirs
}

static void test_parts__clock_before_the_newest_hour__are_in_range(void **state)
{
    (void) state;
    pg_health_history history = {.hour = 0};
    uint64_t time_s = START;
    live(&history, &time_s, 24, true, 20000000);
    (void) score_at(&history, START - 1000 * HOUR);
    (void) score_at(&history, 0);
}

static void test_judge__few_pings__nothing_is_said(void **state)
{
    (void) state;
    pg_health_history history = {.hour = 0};
    pg_health_judgement judgement = {.state = PG_HEALTH_STATE_NEW};
    for (unsigned i = 0; i + 1 < PG_HEALTH_JUDGE_AFTER; i++) {
        pg_health_history_add(&history, PG_HEALTH_PING_FAILED, 0, START + i * 300);
    }
    assert_false(pg_health_judge(&judgement, &history, 0, START));
    pg_health_history_add(&history, PG_HEALTH_PING_FAILED, 0, START + HOUR);
    assert_true(pg_health_judge(&judgement, &history, 29.99, START));
    assert_int_equal(judgement.state, PG_HEALTH_STATE_BARRED);
    assert_int_equal(judgement.reason, PG_HEALTH_REASON_SCORE);
}

static void test_judge__edges_of_the_marks__are_exact(void **state)
{
    (void) state;
    pg_health_history history = {.counts = {[PG_HEALTH_PING_OK] = 100}};
    pg_health_judgement judgement = {.state = PG_HEALTH_STATE_GOOD};
    assert_false(pg_health_judge(&judgement, &history, 40, START));
    assert_true(pg_health_judge(&judgement, &history, 39.9, START));
    assert_int_equal(judgement.state, PG_HEALTH_STATE_FAIR);
    assert_false(pg_health_judge(&judgement, &history, 30, START));
    assert_true(pg_health_judge(&judgement, &history, 29.9, START));
    assert_int_equal(judgement.state, PG_HEALTH_STATE_BARRED);
    // The way back: above 40, and six hours.
    uint64_t late = START + PG_HEALTH_BAR_S;
    assert_false(pg_health_judge(&judgement, &history, 90, late - 1));
    assert_false(pg_health_judge(&judgement, &history, 40, late));
    assert_true(pg_health_judge(&judgement, &history, 40.1, late));
    assert_int_equal(judgement.state, PG_HEALTH_STATE_GOOD);
}

static void test_judge__gone_for_good__is_barred_within_a_week_and_warned_before(void **state)
{
    (void) state;
    pg_health_history history = {.hour = 0};
    pg_health_judgement judgement = {.state = PG_HEALTH_STATE_NEW};
    uint64_t time_s = START;
    live(&history, &time_s, 480, true, 20000000);
    unsigned fair = 0;
    unsigned hours = 0;
    for (; hours < 168 && judgement.state != PG_HEALTH_STATE_BARRED; hours++) {
        live(&history, &time_s, 1, false, 0);
        (void) pg_health_judge(&judgement, &history, score_at(&history, time_s), time_s);
        fair += judgement.state == PG_HEALTH_STATE_FAIR ? 1 : 0;
    }
    assert_int_equal(judgement.state, PG_HEALTH_STATE_BARRED);
    assert_true(hours > 24); // a day off is no end
    assert_true(fair >= 6);  // and there is time to act
}

static void test_judge__comes_and_goes__changes_seldom(void **state)
{
    (void) state;
    pg_health_history history = {.hour = 0};
    pg_health_judgement judgement = {.state = PG_HEALTH_STATE_NEW};
    uint64_t time_s = START;
    unsigned changes = 0;
    for (unsigned i = 0; i < 30 * 24; i++) {
        live(&history, &time_s, 1, i % 24 < 7, 20000000); // seven hours a day
        changes +=
            pg_health_judge(&judgement, &history, score_at(&history, time_s), time_s) ? 1 : 0;
    }
    assert_int_equal(judgement.state, PG_HEALTH_STATE_BARRED);
    assert_true(changes <= 6);
}

static void test_judge__two_losses__bar_whatever_the_score(void **state)
{
    (void) state;
    pg_health_history history = {.hour = 0};
    pg_health_judgement judgement = {.state = PG_HEALTH_STATE_NEW};
    pg_health_history_add(&history, PG_HEALTH_AUDIT_FAILED, 0, START);
    assert_false(pg_health_judge(&judgement, &history, 99, START));
    pg_health_history_add(&history, PG_HEALTH_AUDIT_FAILED, 0, START);
    assert_true(pg_health_judge(&judgement, &history, 99, START));
    assert_int_equal(judgement.reason, PG_HEALTH_REASON_LOSS);
    assert_false(pg_health_judge(&judgement, &history, 99, START + PG_HEALTH_BAR_LOSS_S - 1));
    assert_true(pg_health_judge(&judgement, &history, 99, START + PG_HEALTH_BAR_LOSS_S));
    assert_int_equal(judgement.state, PG_HEALTH_STATE_GOOD);
    assert_int_equal(history.losses, 0);
    (void) pg_health_judge(&judgement, &history, 99, START + PG_HEALTH_BAR_LOSS_S);
    assert_int_not_equal(judgement.state, PG_HEALTH_STATE_BARRED); // it has another try
}

static void test_judge__barred_and_then_losing__is_barred_for_the_loss(void **state)
{
    (void) state;
    pg_health_history history = {.losses = PG_HEALTH_LOSSES_MAX};
    pg_health_judgement judgement = {PG_HEALTH_STATE_BARRED, PG_HEALTH_REASON_SCORE, START};
    assert_true(pg_health_judge(&judgement, &history, 99, START + PG_HEALTH_BAR_S));
    assert_int_equal(judgement.reason, PG_HEALTH_REASON_LOSS);
    assert_int_equal(judgement.since_s, START + PG_HEALTH_BAR_S);
}

static void test_judge__clock_set_back__a_bar_is_not_for_ever(void **state)
{
    (void) state;
    pg_health_history history = {.hour = 0};
    pg_health_judgement judgement = {PG_HEALTH_STATE_BARRED, PG_HEALTH_REASON_SCORE, START};
    assert_true(pg_health_judge(&judgement, &history, 90, START - 1));
    assert_int_equal(judgement.state, PG_HEALTH_STATE_GOOD);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parts__nothing_known__are_in_the_middle),
        cmocka_unit_test(test_score__month_of_quick_answers__is_near_100),
        cmocka_unit_test(test_score__month_of_silence__is_near_0),
        cmocka_unit_test(test_score__always_there_and_slow__stays_above_70),
        cmocka_unit_test(test_parts__nobody_asked_for_a_week__stay_the_same),
        cmocka_unit_test(test_parts__clock_before_the_newest_hour__are_in_range),
        cmocka_unit_test(test_judge__few_pings__nothing_is_said),
        cmocka_unit_test(test_judge__edges_of_the_marks__are_exact),
        cmocka_unit_test(test_judge__gone_for_good__is_barred_within_a_week_and_warned_before),
        cmocka_unit_test(test_judge__comes_and_goes__changes_seldom),
        cmocka_unit_test(test_judge__two_losses__bar_whatever_the_score),
        cmocka_unit_test(test_judge__barred_and_then_losing__is_barred_for_the_loss),
        cmocka_unit_test(test_judge__clock_set_back__a_bar_is_not_for_ever),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
