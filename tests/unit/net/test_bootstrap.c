// SPDX-License-Identifier: Apache-2.0
// Goal: the list is used in rotation, good peers first, and looked at in time. Method: direct calls with chosen times.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "net/bootstrap.h"

#define CHECK_NS PG_MS(PG_NET_BOOTSTRAP_CHECK_MS)

static pg_bootstrap_peer peer(pg_bootstrap_health health, pg_time used_at, uint64_t draw)
{
    return (pg_bootstrap_peer){.health = health, .used_at = used_at, .draw = draw};
}

static void test_choose__needed__good_ones_take_turns(void **state)
{
    (void) state;
    pg_bootstrap_peer peers[] = {
        peer(PG_BOOTSTRAP_HEALTH_UNKNOWN, 0, 1), peer(PG_BOOTSTRAP_HEALTH_GOOD, 500, 2),
        peer(PG_BOOTSTRAP_HEALTH_BAD, 0, 3),     peer(PG_BOOTSTRAP_HEALTH_GOOD, 400, 4),
        peer(PG_BOOTSTRAP_HEALTH_UNKNOWN, 0, 0),
    };
    const size_t want[] = {3, 1, 3, 1};
    pg_time due = 0;
    for (size_t i = 0; i < 4; i++) {
        size_t chosen = pg_bootstrap_choose(peers, 5, true, 1000, &due);
        assert_int_equal(chosen, want[i]);
        peers[chosen].used_at = 1000 + (pg_time) i;
    }
    peers[1].is_connected = true;
    peers[3].is_connected = true;
    assert_int_equal(pg_bootstrap_choose(peers, 5, true, 1000, &due), 4); // by the draw
    peers[4].is_connected = true;
    peers[0].is_connected = true;
    assert_int_equal(pg_bootstrap_choose(peers, 5, true, 1000, &due), 2);
}

static void test_choose__needed_but_bad__waits(void **state)
{
    (void) state;
    pg_bootstrap_peer peers[] = {peer(PG_BOOTSTRAP_HEALTH_GOOD, 0, 1),
                                 peer(PG_BOOTSTRAP_HEALTH_UNKNOWN, 0, 2)};
    pg_time due = 0;
    assert_true(pg_bootstrap_note(&peers[0], false, 0, 1000, 0));
    assert_true(pg_bootstrap_note(&peers[1], false, 0, 2000, 0));
    assert_false(pg_bootstrap_note(&peers[1], false, 0, 3000, 0));
    assert_int_equal(pg_bootstrap_choose(peers, 2, true, 4000, &due), 2);
    assert_int_equal(due, peers[0].backoff.until);
    assert_int_equal(pg_bootstrap_choose(peers, 2, true, due, &due), 0);
    assert_true(pg_bootstrap_note(&peers[0], true, 77, due, 0));
    assert_int_equal(peers[0].health, PG_BOOTSTRAP_HEALTH_GOOD);
    assert_int_equal(peers[0].rtt_ns, 77);
    assert_int_equal(peers[0].backoff.failures, 0);
}

static void test_choose__not_needed__the_oldest_health_is_looked_at(void **state)
{
    (void) state;
    pg_bootstrap_peer peers[] = {peer(PG_BOOTSTRAP_HEALTH_GOOD, 0, 1),
                                 peer(PG_BOOTSTRAP_HEALTH_GOOD, 0, 2),
                                 peer(PG_BOOTSTRAP_HEALTH_UNKNOWN, 0, 3)};
    pg_time due = 0;
    peers[0].checked_at = 2000;
    peers[1].checked_at = 1000;
    peers[1].is_connected = true;
    assert_int_equal(pg_bootstrap_choose(peers, 3, false, 3000, &due), 2); // never looked at
    (void) pg_bootstrap_note(&peers[2], true, 0, 3000, 0);
    assert_int_equal(pg_bootstrap_choose(peers, 3, false, 3000, &due), 3);
    assert_int_equal(due, 1000 + CHECK_NS);
    assert_int_equal(pg_bootstrap_choose(peers, 3, false, due, &due), 1);
    // all are connected: more are needed, but there are none; their health counts all the same
    peers[0].is_connected = true;
    peers[2].is_connected = true;
    assert_int_equal(pg_bootstrap_choose(peers, 3, true, 1000 + CHECK_NS, &due), 1);
    assert_int_equal(pg_bootstrap_choose(peers, 0, true, 0, &due), 0);
    assert_true(due == PG_FOREVER);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_choose__needed__good_ones_take_turns),
        cmocka_unit_test(test_choose__needed_but_bad__waits),
        cmocka_unit_test(test_choose__not_needed__the_oldest_health_is_looked_at),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
