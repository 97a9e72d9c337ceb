// SPDX-License-Identifier: Apache-2.0
// Goal: the median of the hosts' clocks is that of the majority, one host counts once, and no number a host signs does harm.
// Method: notes by hand.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "files/peer_clock.h"

static pg_peer_id host(uint8_t number)
{
    return (pg_peer_id){.len = 2, .bytes = {1, number}};
}

static void note(pg_peer_clock *clock, uint8_t number, uint64_t host_s)
{
    const pg_peer_id peer = host(number);
    pg_peer_clock_note(clock, &peer, host_s, 1000);
}

static void test_peer_clock__nobody__says_nothing(void **state)
{
    (void) state;
    const pg_peer_clock clock = {.count = 0};
    assert_int_equal(pg_peer_clock_ahead_s(&clock), 0);
}

static void test_peer_clock__liars_in_the_minority__do_not_move_it(void **state)
{
    (void) state;
    pg_peer_clock clock = {.count = 0};
    note(&clock, 1, UINT64_MAX);
    note(&clock, 2, 990);
    note(&clock, 3, 991);
    note(&clock, 4, 0);
    note(&clock, 5, 989);
    assert_int_equal(clock.count, 5);
    assert_int_equal(pg_peer_clock_ahead_s(&clock), -10);
}

static void test_peer_clock__one_host_often__counts_once(void **state)
{
    (void) state;
    pg_peer_clock clock = {.count = 0};
    for (uint64_t i = 0; i < 100; i++) {
        note(&clock, 1, 5000 + i);
    }
    assert_int_equal(clock.count, 1);
    assert_int_equal(pg_peer_clock_ahead_s(&clock), 4099);
    note(&clock, 2, 1000);
    note(&clock, 3, 1001);
    assert_int_equal(pg_peer_clock_ahead_s(&clock), 1);
}

static void test_peer_clock__more_hosts_than_places__keeps_the_newest(void **state)
{
    (void) state;
    pg_peer_clock clock = {.count = 0};
    for (uint8_t i = 0; i < PG_PEER_CLOCK_HOSTS; i++) {
        note(&clock, i, 1000);
    }
    for (uint8_t i = 0; i < PG_PEER_CLOCK_HOSTS; i++) {
        note(&clock, (uint8_t) (100 + i), 1007);
    }
    assert_int_equal(clock.count, PG_PEER_CLOCK_HOSTS);
    assert_int_equal(pg_peer_clock_ahead_s(&clock), 7);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_peer_clock__nobody__says_nothing),
        cmocka_unit_test(test_peer_clock__liars_in_the_minority__do_not_move_it),
        cmocka_unit_test(test_peer_clock__one_host_often__counts_once),
        cmocka_unit_test(test_peer_clock__more_hosts_than_places__keeps_the_newest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
