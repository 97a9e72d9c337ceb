// SPDX-License-Identifier: Apache-2.0
// Goal: timers fire by time, then by the order of starting; a stopped timer never fires.
// Method: the heap against a sorted model in random sweeps; a real run for the firing.
#include <stdlib.h>

#include "in_fiber.h"
#include "runtime/timer_priv.h"
#include "runtime/world_priv.h"

#define COUNT 500

// Returns true when what is popped comes in order and is all there is.
static bool drain_in_order(pg_timers *timers, size_t want)
{
    pg_time last_at = -1;
    uint64_t last_number = 0;
    size_t popped = 0;
    while (timers->root != NULL) {
        pg_timer *timer = timers->root;
        if (pg_timers_next(timers) != timer->at || timer->at < last_at ||
            (timer->at == last_at && timer->number < last_number)) {
            return false;
        }
        last_at = timer->at;
        last_number = timer->number;
        pg_timers_remove(timers, timer);
        popped++;
    }
    return popped == want && pg_timers_next(timers) == PG_FOREVER;
}

static void test_timers__random_adds_and_removes__come_out_in_order(void **state)
{
    (void) state;
    static pg_timer all[COUNT];
    for (unsigned seed = 1; seed <= 20; seed++) {
        pg_timers timers = {0};
        uint32_t random = seed;
        size_t in = 0;
        for (unsigned i = 0; i < 4 * COUNT; i++) {
            random = random * 1664525 + 1013904223;
            pg_timer *timer = &all[(random >> 8) % COUNT];
            if (timer->is_started) {
                pg_timers_remove(&timers, timer);
                in--;
            } else {
                timer->at = (random >> 20) % 50;
                pg_timers_add(&timers, timer);
                in++;
            }
        }
        assert_true(drain_in_order(&timers, in));
    }
}

static pg_timer first;
static pg_timer second;
static pg_timer never;
static char fired[8];
static size_t fired_count;

static void on_fire(pg_timer *timer)
{
    fired[fired_count++] = timer == &first ? '1' : '2';
    if (timer == &first) {
        pg_timer_stop(&never);
    }
}

static pg_err body_fire(void *arg)
{
    (void) arg;
    pg_time at = pg_after(PG_MS(1));
    pg_timer_start(&never, at + PG_US(200), on_fire);
    pg_timer_start(&second, at + PG_US(100), on_fire);
    pg_timer_start(&first, at, on_fire);
    CHECK_OK(pg_sleep_until(at + PG_MS(2)));
    pg_timer_stop(&first); // has fired: nothing
    CHECK(fired_count == 2 && fired[0] == '1' && fired[1] == '2');
    return PG_OK;
}

static void test_timers__started_in_a_run__fire_by_time_unless_stopped(void **state)
{
    (void) state;
    in_fiber(body_fire, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_timers__random_adds_and_removes__come_out_in_order),
        cmocka_unit_test(test_timers__started_in_a_run__fire_by_time_unless_stopped),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
