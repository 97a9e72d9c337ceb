// SPDX-License-Identifier: Apache-2.0
// Goal: listeners hear every event once and in order, go on where they were, and are told when they were too slow.
// Method: a fiber of a simulated world; the texts are compared.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "api/events.h"
#include "api/limits.h"
#include "base/str.h"
#include "runtime/fiber.h"
#include "runtime/sim.h"

#define FIRST 1000

#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            (void) fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #condition);         \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

static void publish(pg_events *events, unsigned number)
{
    char data[32];
    (void) snprintf(data, sizeof(data), "{\"n\":%u}", number);
    pg_events_publish(events, "test", pg_bytes_cstr(data));
}

static bool hears(pg_events_listener *listener, const char *want)
{
    pg_buf text = {0};
    pg_err err = pg_events_next(listener, pg_after(PG_MS(1)), &text);
    bool is_so = err == PG_OK && pg_str_equal(pg_buf_str(&text), pg_str_make(want));
    if (!is_so) {
        (void) fprintf(stderr, "%s: %.*s", pg_err_name(err), PG_STR_ARGS(pg_buf_str(&text)));
    }
    pg_buf_deinit(&text);
    return is_so;
}

static bool hears_nothing(pg_events_listener *listener)
{
    pg_buf text = {0};
    return pg_events_next(listener, pg_after(PG_MS(1)), &text) == PG_ERR_TIMEOUT && text.len == 0;
}

static pg_err in_order(void *arg)
{
    pg_events *events = arg;
    pg_events_listener a;
    pg_events_listener b;
    publish(events, 0);
    CHECK(!pg_events_has_listeners(events));
    CHECK(pg_events_listen(events, 0, &a) == PG_OK);
    CHECK(pg_events_has_listeners(events));
    CHECK(hears_nothing(&a)); // what was before is not for it
    publish(events, 1);
    publish(events, 2);
    CHECK(hears(&a, "id: 1001\nevent: test\ndata: {\"n\":1}\n\n"));
    CHECK(pg_events_listen(events, 1001, &b) == PG_OK);
    CHECK(hears(&b, "id: 1002\nevent: test\ndata: {\"n\":2}\n\n"));
    CHECK(hears(&a, "id: 1002\nevent: test\ndata: {\"n\":2}\n\n"));
    CHECK(hears_nothing(&a) && hears_nothing(&b));
    pg_events_leave(&a);
    pg_events_leave(&a);
    pg_events_leave(&b);
    CHECK(!pg_events_has_listeners(events));
    return PG_OK;
}

static pg_err gaps(void *arg)
{
    pg_events *events = arg;
    pg_events_listener slow;
    pg_events_listener late;
    pg_events_listener early;
    pg_events_listener alien;
    char want[128];
    CHECK(pg_events_listen(events, 0, &slow) == PG_OK);
    for (unsigned i = 0; i < PG_API_EVENTS_MAX; i++) {
        publish(events, i);
    }
    CHECK(hears(&slow, "id: 1000\nevent: test\ndata: {\"n\":0}\n\n")); // just so in the ring
    for (unsigned i = 0; i < 10; i++) {
        publish(events, i);
    }
    (void) snprintf(want, sizeof(want),
                    "id: 1009\nevent: gap\ndata: {\"next_id\":1010}\n\n"
                    "id: 1010\nevent: test\ndata: {\"n\":10}\n\n");
    CHECK(hears(&slow, want));
    CHECK(hears(&slow, "id: 1011\nevent: test\ndata: {\"n\":11}\n\n"));
    CHECK(pg_events_listen(events, 3, &early) == PG_OK); // of a run before this
    CHECK(hears(&early, want));
    uint64_t last = FIRST + PG_API_EVENTS_MAX + 9;
    CHECK(pg_events_listen(events, last, &late) == PG_OK); // heard all
    CHECK(hears_nothing(&late));
    CHECK(pg_events_listen(events, last + 1, &alien) == PG_OK); // heard what was never told
    CHECK(hears(&alien, want));
    pg_events_leave(&slow);
    pg_events_leave(&early);
    pg_events_leave(&late);
    pg_events_leave(&alien);
    return PG_OK;
}

static pg_err left_out(void *arg)
{
    static const uint8_t huge[PG_API_EVENT_BYTES_MAX + 1];
    pg_events *events = arg;
    pg_events_listener a;
    CHECK(pg_events_listen(events, 0, &a) == PG_OK);
    pg_events_publish(events, "test", PG_BYTES_OF(huge));
    CHECK(hears(&a, "id: 1000\nevent: gap\ndata: {\"next_id\":1001}\n\n"));
    CHECK(hears_nothing(&a));
    publish(events, 1);
    CHECK(hears(&a, "id: 1001\nevent: test\ndata: {\"n\":1}\n\n"));
    pg_events_leave(&a);
    return PG_OK;
}

static pg_err too_many(void *arg)
{
    pg_events *events = arg;
    pg_events_listener all[PG_API_LISTENERS_MAX + 1];
    for (int i = 0; i < PG_API_LISTENERS_MAX; i++) {
        CHECK(pg_events_listen(events, 0, &all[i]) == PG_OK);
    }
    CHECK(pg_events_listen(events, 0, &all[PG_API_LISTENERS_MAX]) == PG_ERR_BUSY);
    pg_events_leave(&all[0]);
    CHECK(pg_events_listen(events, 0, &all[0]) == PG_OK);
    for (int i = 0; i < PG_API_LISTENERS_MAX; i++) {
        pg_events_leave(&all[i]);
    }
    return PG_OK;
}

static pg_err later_run(void *arg)
{
    CHECK(pg_sleep_until(pg_after(PG_SECONDS(5))) == PG_OK);
    publish(arg, 7);
    return PG_OK;
}

static pg_err waiting(void *arg)
{
    pg_events *events = arg;
    pg_events_listener a;
    pg_buf text = {0};
    pg_scope scope;
    pg_scope_init(&scope);
    CHECK(pg_events_listen(events, 0, &a) == PG_OK);
    CHECK(pg_scope_spawn(&scope, "test.later", later_run, events) == PG_OK);
    CHECK(pg_events_next(&a, PG_FOREVER, &text) == PG_OK);
    CHECK(text.len > 0);
    CHECK(pg_scope_join(&scope) == PG_OK);
    pg_buf_deinit(&text);
    pg_events_leave(&a);
    return PG_OK;
}

static void run(pg_fiber_fn fn)
{
    pg_events *events = NULL;
    assert_int_equal(pg_events_new(FIRST, &events), PG_OK);
    assert_int_equal(pg_sim_run(&(pg_sim_config){.seed = 1}, fn, events, NULL), PG_OK);
    pg_events_free(&events);
    pg_events_free(&events);
}

static void test_events__two_listeners__hear_all_in_order(void **state)
{
    (void) state;
    run(in_order);
}

static void test_events__slow_listener__goes_on_at_the_tail_and_is_told(void **state)
{
    (void) state;
    run(gaps);
}

static void test_events__event_too_long__is_a_gap(void **state)
{
    (void) state;
    run(left_out);
}

static void test_events__too_many_listeners__are_refused(void **state)
{
    (void) state;
    run(too_many);
}

static void test_events__nothing_there__waits(void **state)
{
    (void) state;
    run(waiting);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_events__two_listeners__hear_all_in_order),
        cmocka_unit_test(test_events__slow_listener__goes_on_at_the_tail_and_is_told),
        cmocka_unit_test(test_events__event_too_long__is_a_gap),
        cmocka_unit_test(test_events__too_many_listeners__are_refused),
        cmocka_unit_test(test_events__nothing_there__waits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
