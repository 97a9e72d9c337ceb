// SPDX-License-Identifier: Apache-2.0
// Goal: channels keep order, make senders wait when full, and end waits when closed, cancelled or late.
// Method: a real run a test.
#include <stdbool.h>

#include "base/mem.h"
#include "in_fiber.h"
#include "runtime/chan.h"

#define COUNT 100

static pg_err body_producer(void *arg)
{
    pg_chan *chan = arg;
    for (int i = 0; i < COUNT; i++) {
        PG_TRY(pg_chan_send(chan, &i, SOON));
        CHECK(chan->count <= chan->cap);
    }
    pg_chan_close(chan);
    return PG_OK;
}

static pg_err body_order(void *arg)
{
    pg_chan chan;
    pg_scope scope;
    int item = -1;
    pg_scope_init(&scope);
    CHECK_OK(pg_chan_init(&chan, sizeof(int), *(const size_t *) arg));
    CHECK_OK(pg_scope_spawn(&scope, "test.producer", body_producer, &chan));
    for (int i = 0; i < COUNT; i++) {
        CHECK_OK(pg_chan_recv(&chan, &item, SOON));
        CHECK(item == i);
    }
    CHECK_ERR(pg_chan_recv(&chan, &item, SOON), PG_ERR_CLOSED);
    CHECK_OK(pg_scope_join(&scope));
    pg_chan_deinit(&chan);
    return PG_OK;
}

static void test_chan__one_sender__items_arrive_in_order(void **state)
{
    (void) state;
    for (size_t cap = 1; cap < 5; cap++) {
        in_fiber(body_order, &cap);
    }
}

static pg_err body_full(void *arg)
{
    (void) arg;
    pg_chan chan;
    int item = 1;
    CHECK_OK(pg_chan_init(&chan, sizeof(int), 2));
    CHECK_ERR(pg_chan_recv(&chan, &item, pg_after(PG_MS(1))), PG_ERR_TIMEOUT);
    CHECK_OK(pg_chan_try_send(&chan, &item));
    CHECK_OK(pg_chan_send(&chan, &item, SOON));
    CHECK_ERR(pg_chan_try_send(&chan, &item), PG_ERR_BUSY);
    CHECK_ERR(pg_chan_send(&chan, &item, pg_after(PG_MS(1))), PG_ERR_TIMEOUT);
    pg_chan_close(&chan);
    CHECK_ERR(pg_chan_send(&chan, &item, SOON), PG_ERR_CLOSED);
    CHECK_OK(pg_chan_recv(&chan, &item, SOON));
    CHECK_OK(pg_chan_recv(&chan, &item, SOON));
    CHECK_ERR(pg_chan_recv(&chan, &item, SOON), PG_ERR_CLOSED);
    pg_chan_deinit(&chan);
    return PG_OK;
}

static void test_chan__full_empty_closed__answer_so(void **state)
{
    (void) state;
    in_fiber(body_full, NULL);
}

struct ends {
    pg_chan chan;
    pg_err sent;
    pg_err received;
};

static pg_err body_send_one(void *arg)
{
    struct ends *ends = arg;
    int item = 5;
    ends->sent = pg_chan_send(&ends->chan, &item, PG_FOREVER);
    return PG_OK;
}

static pg_err body_recv_one(void *arg)
{
    struct ends *ends = arg;
    int item = 0;
    ends->received = pg_chan_recv(&ends->chan, &item, PG_FOREVER);
    return PG_OK;
}

static pg_err body_waits_end(void *arg)
{
    bool by_closing = arg != NULL;
    struct ends full = {0};
    struct ends empty = {0};
    pg_scope scope;
    int item = 1;
    pg_scope_init(&scope);
    CHECK_OK(pg_chan_init(&full.chan, sizeof(int), 1));
    CHECK_OK(pg_chan_init(&empty.chan, sizeof(int), 1));
    CHECK_OK(pg_chan_try_send(&full.chan, &item));
    CHECK_OK(pg_scope_spawn(&scope, "test.send", body_send_one, &full));
    CHECK_OK(pg_scope_spawn(&scope, "test.recv", body_recv_one, &empty));
    CHECK_OK(pg_fiber_yield());
    if (by_closing) {
        pg_chan_close(&full.chan);
        pg_chan_close(&empty.chan);
        CHECK_OK(pg_scope_join(&scope));
    } else {
        pg_scope_close(&scope);
    }
    CHECK_ERR(full.sent, by_closing ? PG_ERR_CLOSED : PG_ERR_CANCELLED);
    CHECK_ERR(empty.received, by_closing ? PG_ERR_CLOSED : PG_ERR_CANCELLED);
    pg_chan_deinit(&full.chan);
    pg_chan_deinit(&empty.chan);
    return PG_OK;
}

static void test_chan__closed_or_cancelled__waits_end(void **state)
{
    (void) state;
    int yes = 1;
    in_fiber(body_waits_end, &yes);
    in_fiber(body_waits_end, NULL);
}

static void test_chan__out_of_memory__fails(void **state)
{
    (void) state;
    pg_chan chan;
    pg_mem_fail_nth(1);
    assert_int_equal(pg_chan_init(&chan, 8, 8), PG_ERR_NOMEM);
    pg_mem_fail_nth(0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_chan__one_sender__items_arrive_in_order),
        cmocka_unit_test(test_chan__full_empty_closed__answer_so),
        cmocka_unit_test(test_chan__closed_or_cancelled__waits_end),
        cmocka_unit_test(test_chan__out_of_memory__fails),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
