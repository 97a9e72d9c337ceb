// SPDX-License-Identifier: Apache-2.0
// Goal: a history keeps 720 hours and no more, survives clocks that step, counts what it is told, and comes back from the disk as it was.
// Method: observations at made-up times; damaged bytes.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "health/history.h"

#define HOUR UINT64_C(3600)
#define START (UINT64_C(480000) * HOUR)

static void ping(pg_health_history *history, uint64_t time_s, bool answered)
{
    pg_health_history_add(history, answered ? PG_HEALTH_PING_OK : PG_HEALTH_PING_FAILED, 20000000,
                          time_s);
}

static void test_add__several_in_an_hour__are_counted_there(void **state)
{
    (void) state;
    pg_health_history history = {.hour = 0};
    ping(&history, START, true);
    ping(&history, START + 300, false);
    ping(&history, START + HOUR, true);
    pg_health_hour first = pg_health_history_at(&history, START / HOUR);
    assert_int_equal(first.asked, 2);
    assert_int_equal(first.answered, 1);
    assert_int_equal(pg_health_history_at(&history, START / HOUR + 1).asked, 1);
    assert_int_equal(pg_health_history_at(&history, START / HOUR + 2).asked, 0);
    assert_int_equal(pg_health_history_at(&history, START / HOUR - 1).asked, 0);
    assert_int_equal(pg_health_history_known(&history), 2);
    assert_int_equal(pg_health_history_total(&history), 3);
}

static void test_add__hours_without_observations__stay_unknown(void **state)
{
    (void) state;
    pg_health_history history = {.hour = 0};
    for (uint64_t h = 0; h < PG_HEALTH_HOURS; h++) {
        ping(&history, START + h * HOUR, true);
    }
    assert_int_equal(pg_health_history_known(&history), PG_HEALTH_HOURS);
    ping(&history, START + (PG_HEALTH_HOURS + 99) * HOUR, true);
    assert_int_equal(pg_health_history_known(&history), PG_HEALTH_HOURS - 99);
    assert_int_equal(pg_health_history_at(&history, START / HOUR + PG_HEALTH_HOURS + 50).asked, 0);
    assert_int_equal(pg_health_history_at(&history, START / HOUR + 99).asked, 0);
    assert_int_equal(pg_health_history_at(&history, START / HOUR + 100).asked, 1);
}

static void test_add__not_measured__says_nothing_of_latency(void **state)
{
    (void) state;
    pg_health_history history = {.hour = 0};
    ping(&history, START, true);
    const double latency = history.latency;
    pg_health_history_add(&history, PG_HEALTH_PING_OK, PG_HEALTH_RTT_UNKNOWN, START + 1);
    pg_health_history_add(&history, PG_HEALTH_PING_FAILED, PG_HEALTH_RTT_UNKNOWN, START + 2);
    assert_true(history.latency >= latency && history.latency <= latency);
    assert_true(history.rtt_ns > 19999999 && history.latency_weight < 1.5);
    assert_int_equal(history.counts[PG_HEALTH_PING_OK], 2);
    assert_int_equal(history.counts[PG_HEALTH_PING_FAILED], 1);
    assert_int_equal(pg_health_history_at(&history, START / HOUR).answered, 2);
    assert_true(history.availability > 0.6 && history.availability < 0.7);
}

static void test_add__more_in_an_hour_than_fit__keeps_the_share(void **state)
{
    (void) state;
    pg_health_history history = {.hour = 0};
    for (unsigned i = 0; i < 10000; i++) {
        ping(&history, START + i % HOUR, i % 4 != 0);
    }
    pg_health_hour hour = pg_health_history_at(&history, START / HOUR);
    assert_in_range(hour.answered * 100 / hour.asked, 73, 77);
    assert_int_equal(pg_health_history_total(&history), 10000);
}

static void test_add__clock_was_a_year_ahead__hours_begin_anew(void **state)
{
    (void) state;
    pg_health_history history = {.hour = 0};
    ping(&history, START + 8760 * HOUR, true);
    ping(&history, START, true);
    assert_int_equal(pg_health_history_known(&history), 1);
    assert_int_equal(pg_health_history_at(&history, START / HOUR).asked, 1);
}

static void test_add__clock_an_hour_back__counts_in_that_hour(void **state)
{
    (void) state;
    pg_health_history history = {.hour = 0};
    ping(&history, START, true);
    ping(&history, START - HOUR, false);
    assert_int_equal(pg_health_history_at(&history, START / HOUR - 1).asked, 1);
    assert_int_equal(history.last_s, START);
    assert_int_equal(history.seen_s, START);
}

static void test_add__audits__failures_are_counted_until_one_is_passed(void **state)
{
    (void) state;
    pg_health_history history = {.hour = 0};
    pg_health_history_add(&history, PG_HEALTH_AUDIT_FAILED, 0, START);
    pg_health_history_add(&history, PG_HEALTH_AUDIT_FAILED, 0, START + 1);
    assert_int_equal(history.losses, 2);
    pg_health_history_add(&history, PG_HEALTH_AUDIT_HELD, 0, START + 2);
    assert_int_equal(history.losses, 0);
    assert_int_equal(history.counts[PG_HEALTH_AUDIT_FAILED], 2);
}

static void test_add__only_first_answers_in__means_are_plain(void **state)
{
    (void) state;
    pg_health_history history = {.hour = 0};
    pg_health_history_add(&history, PG_HEALTH_PING_OK, PG_HEALTH_RTT_HALF_NS, START);
    assert_float_equal((float) history.latency, 0.5F, 1e-6F);
    pg_health_history_add(&history, PG_HEALTH_PING_OK, 0, START);
    assert_float_equal((float) history.latency, 0.75F, 1e-6F);
    pg_health_history_add(&history, PG_HEALTH_PING_OK, -5, START); // a clock that ran back
    assert_float_equal((float) history.latency, 2.5F / 3, 1e-6F);
    assert_float_equal((float) history.availability, 1, 1e-6F);
}

static void test_encode__decode__is_the_same(void **state)
{
    (void) state;
    pg_health_history history = {.hour = 0};
    pg_health_history back;
    pg_buf bytes = {0};
    for (unsigned i = 0; i < 5000; i++) {
        pg_health_history_add(&history, (pg_health_kind) (i * 7 % PG_HEALTH_KIND_COUNT),
                              1000000 * (int64_t) i, START + i * 300);
    }
    assert_int_equal(pg_health_history_encode(&history, &bytes), PG_OK);
    assert_int_equal(pg_health_history_decode(pg_buf_bytes(&bytes), &back), PG_OK);
    assert_memory_equal(back.hours, history.hours, sizeof(history.hours));
    assert_memory_equal(back.counts, history.counts, sizeof(history.counts));
    assert_int_equal(back.hour, history.hour);
    assert_int_equal(back.last_s, history.last_s);
    assert_float_equal((float) back.latency, (float) history.latency, 1e-6F);
    assert_float_equal((float) back.availability_weight, (float) PG_HEALTH_MEMORY, 1e-6F);
    pg_buf_deinit(&bytes);
}

static void test_decode__cut_or_wrong__is_refused(void **state)
{
    (void) state;
    pg_health_history history = {.hour = 0};
    pg_health_history back = {.hour = 77};
    pg_buf bytes = {0};
    ping(&history, START, true);
    assert_int_equal(pg_health_history_encode(&history, &bytes), PG_OK);
    for (size_t len = 0; len < bytes.len; len++) {
        assert_int_not_equal(
            pg_health_history_decode(pg_bytes_slice(pg_buf_bytes(&bytes), 0, len), &back), PG_OK);
    }
    bytes.ptr[bytes.len - 1] = 1; // answered, never asked
    assert_int_equal(pg_health_history_decode(pg_buf_bytes(&bytes), &back), PG_ERR_MALFORMED);
    bytes.ptr[bytes.len - 1] = 0;
    bytes.ptr[0] = 2;
    assert_int_equal(pg_health_history_decode(pg_buf_bytes(&bytes), &back), PG_ERR_UNSUPPORTED);
    bytes.ptr[0] = 1;
    memset(bytes.ptr + 33, 0xff, 8); // a mean beyond 1
    assert_int_equal(pg_health_history_decode(pg_buf_bytes(&bytes), &back), PG_ERR_MALFORMED);
    assert_int_equal(back.hour, 77);
    pg_buf_deinit(&bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_add__several_in_an_hour__are_counted_there),
        cmocka_unit_test(test_add__hours_without_observations__stay_unknown),
        cmocka_unit_test(test_add__not_measured__says_nothing_of_latency),
        cmocka_unit_test(test_add__more_in_an_hour_than_fit__keeps_the_share),
        cmocka_unit_test(test_add__clock_was_a_year_ahead__hours_begin_anew),
        cmocka_unit_test(test_add__clock_an_hour_back__counts_in_that_hour),
        cmocka_unit_test(test_add__audits__failures_are_counted_until_one_is_passed),
        cmocka_unit_test(test_add__only_first_answers_in__means_are_plain),
        cmocka_unit_test(test_encode__decode__is_the_same),
        cmocka_unit_test(test_decode__cut_or_wrong__is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
