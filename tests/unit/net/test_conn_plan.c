// SPDX-License-Identifier: Apache-2.0
// Goal: the worth of a peer orders as promised; beyond the high mark the least worth go, never the kept or the young; dials stay
// within the marks of their reasons.
// Method: direct calls with chosen views.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/attr.h"
#include "net/conn_plan.h"
#include "net/limits.h"

// Old, unused, far, not ours: worth nothing but its age.
static const pg_conn_view plain = {
    .age_ns = PG_HOURS(1), .idle_ns = PG_HOURS(1), .rtt_ns = PG_SECONDS(1)};

static void assert_better(pg_conn_view better, pg_conn_view worse)
{
    assert_true(pg_conn_grade(&better) > pg_conn_grade(&worse));
}

static void test_grade__each_merit__counts(void **state)
{
    (void) state;
    pg_conn_view better = plain;
    better.is_outbound = true;
    assert_better(better, plain);
    better = plain;
    better.rtt_ns = PG_MS(10);
    assert_better(better, plain);
    pg_conn_view unknown = plain;
    unknown.rtt_ns = 0;
    assert_better(better, unknown);
    assert_better(unknown, plain);
    better = plain;
    better.age_ns = PG_HOURS(10);
    assert_better(better, plain);
    better = plain;
    better.idle_ns = PG_MINUTES(20);
    assert_better(better, plain);
    better = plain;
    better.streams = 1;
    assert_better(better, plain);
    better = plain;
    better.usefulness = 1;
    assert_better(better, plain);
}

static void test_grade__merits__are_in_order(void **state)
{
    (void) state;
    pg_conn_view best = {.streams = 1000, .age_ns = PG_DAYS(100), .rtt_ns = 1, .is_outbound = true};
    pg_conn_view kept = plain;
    kept.is_kept = true;
    pg_conn_view useful = plain;
    useful.usefulness = PG_NET_USEFULNESS_MAX;
    best.usefulness = 50;
    assert_better(kept, useful);
    assert_better(kept, best);
    assert_better(useful, best);
    useful.usefulness = UINT32_MAX; // a judge that exaggerates
    assert_better(kept, useful);
    best.usefulness = 0;
    pg_conn_view idle = best;
    idle.streams = 0;
    idle.idle_ns = PG_HOURS(1);
    assert_better(best, idle);
    pg_conn_view used = plain;
    used.idle_ns = PG_SECONDS(1);
    assert_better(used, idle); // used now, rather than old
    pg_conn_view negative = {.age_ns = -1, .idle_ns = -1, .rtt_ns = -1};
    assert_true(pg_conn_grade(&negative) > 0);
}

static void test_redial__useful_or_chosen_and_used__is_worth_it(void **state)
{
    (void) state;
    pg_conn_view view = {.idle_ns = 0};
    assert_false(pg_conn_is_worth_redial(&view)); // it called us: it may come back
    view.usefulness = 1;
    assert_true(pg_conn_is_worth_redial(&view));
    view = (pg_conn_view){.is_outbound = true, .idle_ns = PG_MINUTES(5), .age_ns = PG_MINUTES(7)};
    assert_true(pg_conn_is_worth_redial(&view));
    view.age_ns = PG_MINUTES(5) + PG_SECONDS(1); // since then nothing happened
    assert_false(pg_conn_is_worth_redial(&view));
    view.age_ns = PG_HOURS(3);
    view.idle_ns = PG_HOURS(1);
    assert_false(pg_conn_is_worth_redial(&view));
    view.streams = 1;
    assert_true(pg_conn_is_worth_redial(&view));
    view.age_ns = PG_SECONDS(5);
    assert_false(pg_conn_is_worth_redial(&view)); // getting acquainted
}

// ---- letting go ----

static const pg_conn_marks marks = {.low = 2, .high = 4, .grace_ns = PG_SECONDS(30)};

static void test_trim__up_to_the_high_mark__nobody_goes(void **state)
{
    (void) state;
    pg_conn_view views[4] = {plain, plain, plain, plain};
    size_t indices[PG_NET_MANAGER_TRIMS_MAX];
    assert_int_equal(pg_conn_plan_trim(views, 4, &marks, indices), 0);
    assert_int_equal(pg_conn_plan_trim(views, 0, &marks, indices), 0);
}

static void test_trim__beyond_it__the_least_worth_go(void **state)
{
    (void) state;
    pg_conn_view views[7];
    size_t indices[PG_NET_MANAGER_TRIMS_MAX];
    for (size_t i = 0; i < 7; i++) {
        views[i] = plain;
        views[i].usefulness = (uint32_t) (i * 5 % 7); // 0 5 3 1 6 4 2
    }
    assert_int_equal(pg_conn_plan_trim(views, 7, &marks, indices), 3);
    assert_int_equal(indices[0], 0);
    assert_int_equal(indices[1], 3);
    assert_int_equal(indices[2], 6);
}

static void test_trim__kept__never_go(void **state)
{
    (void) state;
    pg_conn_view views[8];
    size_t indices[PG_NET_MANAGER_TRIMS_MAX];
    for (size_t i = 0; i < 8; i++) {
        views[i] = plain;
        views[i].is_kept = i < 5;
        views[i].usefulness = i < 5 ? 0 : 10;
    }
    assert_int_equal(pg_conn_plan_trim(views, 8, &marks, indices), 3);
    for (size_t i = 0; i < 3; i++) {
        assert_true(indices[i] >= 5);
    }
}

static void test_trim__young__neither_go_nor_displace(void **state)
{
    (void) state;
    pg_conn_view views[20];
    size_t indices[PG_NET_MANAGER_TRIMS_MAX];
    for (size_t i = 0; i < 20; i++) {
        views[i] = plain;
        views[i].age_ns = i < 4 ? PG_HOURS(1) : PG_SECONDS(29);
    }
    assert_int_equal(pg_conn_plan_trim(views, 20, &marks, indices), 0);
    views[4].age_ns = PG_SECONDS(30);
    assert_int_equal(pg_conn_plan_trim(views, 20, &marks, indices), 1);
    assert_int_equal(indices[0], 4);
}

static void test_trim__thousands_too_many__some_at_a_time(void **state)
{
    (void) state;
    static pg_conn_view views[2000];
    size_t indices[PG_NET_MANAGER_TRIMS_MAX];
    for (size_t i = 0; i < PG_ARRAY_LEN(views); i++) {
        views[i] = plain;
    }
    assert_int_equal(pg_conn_plan_trim(views, PG_ARRAY_LEN(views), &marks, indices),
                     PG_NET_MANAGER_TRIMS_MAX);
}

// ---- dialing ----

static size_t plan(const pg_dial_view *views, size_t count, size_t connected, size_t *indices,
                   pg_time *due)
{
    const pg_dial_room room = {.connected = connected, .now = 1000};
    return pg_conn_plan_dial(views, count, &room, &marks, indices, due);
}

static void test_dial__reasons__reach_up_to_their_marks(void **state)
{
    (void) state;
    const pg_dial_view views[] = {
        {PG_DIAL_REASON_KNOWN, 5, 0},
        {PG_DIAL_REASON_FOUND, 0, 0},
        {PG_DIAL_REASON_LOST, 0, 0},
        {PG_DIAL_REASON_KEPT, 0, 0},
    };
    size_t indices[PG_NET_MANAGER_DIALS_MAX];
    pg_time due = 0;
    const size_t want_connected[] = {0, 1, 2, 3, 4};
    const size_t want_chosen[] = {3, 2, 2, 1, 1};
    for (size_t i = 0; i < PG_ARRAY_LEN(want_chosen); i++) {
        assert_int_equal(plan(views, 4, want_connected[i], indices, &due), want_chosen[i]);
        assert_int_equal(indices[0], 3); // kept first, and even beyond the high mark
        assert_true(due == PG_FOREVER);
    }
    assert_int_equal(plan(views, 4, 0, indices, &due), 3); // each counts as connected at once
    assert_int_equal(indices[1], 2);
    assert_int_equal(indices[2], 1);
    assert_int_equal(plan(views, 1, 1, indices, &due), 1);
    assert_int_equal(plan(views, 1, 2, indices, &due), 0);
}

static void test_dial__worth_and_due__decide_within_a_reason(void **state)
{
    (void) state;
    const pg_dial_view views[] = {
        {PG_DIAL_REASON_KNOWN, 1, 0},    {PG_DIAL_REASON_KNOWN, 3, 1500}, // not yet
        {PG_DIAL_REASON_KNOWN, 2, 1000}, {PG_DIAL_REASON_KNOWN, 2, 999},
        {PG_DIAL_REASON_KEPT, 0, 1200},
    };
    size_t indices[PG_NET_MANAGER_DIALS_MAX];
    pg_time due = 0;
    assert_int_equal(plan(views, 5, 0, indices, &due), 2);
    assert_int_equal(indices[0], 3);
    assert_int_equal(indices[1], 2);
    assert_int_equal(due, 1200); // the low mark is reached: of the others only the kept one counts

    // while dials to peers merely known pause, only their end counts
    const pg_dial_room room = {.known_due_at = 5000, .now = 1000};
    assert_int_equal(pg_conn_plan_dial(views, 4, &room, &marks, indices, &due), 0);
    assert_int_equal(due, 5000);
}

static void test_dial__many__are_bounded(void **state)
{
    (void) state;
    pg_dial_view views[30];
    size_t indices[PG_NET_MANAGER_DIALS_MAX];
    pg_time due = 0;
    const pg_conn_marks wide = {.low = 100, .high = 200};
    for (size_t i = 0; i < PG_ARRAY_LEN(views); i++) {
        views[i] = (pg_dial_view){PG_DIAL_REASON_KNOWN, 0, 0};
    }
    pg_dial_room room = {.now = 1};
    assert_int_equal(pg_conn_plan_dial(views, 30, &room, &wide, indices, &due),
                     PG_NET_MANAGER_DIALS_KNOWN_MAX);
    for (size_t i = 0; i < PG_ARRAY_LEN(views); i++) {
        views[i].reason = PG_DIAL_REASON_KEPT;
    }
    assert_int_equal(pg_conn_plan_dial(views, 30, &room, &wide, indices, &due),
                     PG_NET_MANAGER_DIALS_MAX);
    room.dialing = PG_NET_MANAGER_DIALS_MAX - 1;
    assert_int_equal(pg_conn_plan_dial(views, 30, &room, &wide, indices, &due), 1);
    room.dialing = PG_NET_MANAGER_DIALS_MAX;
    assert_int_equal(pg_conn_plan_dial(views, 30, &room, &wide, indices, &due), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_grade__each_merit__counts),
        cmocka_unit_test(test_grade__merits__are_in_order),
        cmocka_unit_test(test_redial__useful_or_chosen_and_used__is_worth_it),
        cmocka_unit_test(test_trim__up_to_the_high_mark__nobody_goes),
        cmocka_unit_test(test_trim__beyond_it__the_least_worth_go),
        cmocka_unit_test(test_trim__kept__never_go),
        cmocka_unit_test(test_trim__young__neither_go_nor_displace),
        cmocka_unit_test(test_trim__thousands_too_many__some_at_a_time),
        cmocka_unit_test(test_dial__reasons__reach_up_to_their_marks),
        cmocka_unit_test(test_dial__worth_and_due__decide_within_a_reason),
        cmocka_unit_test(test_dial__many__are_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
