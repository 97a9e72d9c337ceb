// SPDX-License-Identifier: Apache-2.0
// Goal: a fiber can wait on a library's descriptor, a listener can be lent to a library, and the machine tells its addresses.
// Method: a Unix listener lent to the test itself, which accepts by hand; the simulated world refuses and tells its own address.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "in_fiber.h"
#include "runtime/foreign.h"
#include "runtime/interfaces.h"
#include "runtime/sim.h"

static pg_err wait_for_caller(void *arg)
{
    (void) arg;
    char path[64];
    (void) snprintf(path, sizeof(path), "/tmp/pangea-foreign-%d", (int) getpid());
    pg_listener *listener = NULL;
    pg_foreign *foreign = NULL;
    pg_stream *caller = NULL;
    int fd = -1;
    CHECK_ERR(pg_unix_listen(path, &listener), PG_OK);
    CHECK_ERR(pg_listener_dup(listener, &fd), PG_OK);
    CHECK_ERR(pg_foreign_new(fd, &foreign), PG_OK);
    CHECK_ERR(pg_foreign_wait(foreign, pg_after(PG_MS(1))), PG_ERR_TIMEOUT);
    CHECK_ERR(pg_unix_dial(path, pg_after(PG_SECONDS(5)), &caller), PG_OK);
    CHECK_ERR(pg_foreign_wait(foreign, pg_after(PG_SECONDS(5))), PG_OK);
    pg_foreign_free(&foreign);
    pg_foreign_free(&foreign);
    CHECK(close(fd) == 0);
    pg_stream_free(&caller);
    pg_listener_free(&listener);
    return PG_OK;
}

static void test_foreign__lent_listener__wakes_when_somebody_calls(void **state)
{
    (void) state;
    assert_int_equal(pg_runtime_run(NULL, wait_for_caller, NULL), PG_OK);
}

/** A socket that was accepted by hand, and who called. */
typedef struct test_line {
    pg_listener *listener;
    pg_stream *caller;
    int fd;
    pg_foreign *foreign;
} test_line;

static void line_open(test_line *self)
{
    char path[64];
    int listening = -1;
    (void) snprintf(path, sizeof(path), "/tmp/pangea-line-%d", (int) getpid());
    CHECK_OK(pg_unix_listen(path, &self->listener));
    CHECK_OK(pg_listener_dup(self->listener, &listening));
    CHECK_OK(pg_unix_dial(path, SOON, &self->caller));
    self->fd = accept(listening, NULL, NULL);
    CHECK(self->fd >= 0 && close(listening) == 0);
    CHECK_OK(pg_foreign_new(self->fd, &self->foreign));
}

static void line_close(test_line *self)
{
    pg_foreign_free(&self->foreign);
    CHECK(close(self->fd) == 0);
    pg_stream_free(&self->caller);
    pg_listener_free(&self->listener);
}

static pg_err hangup_watch(void *arg)
{
    bool by_closing = *(const bool *) arg;
    test_line line = {0};
    line_open(&line);
    CHECK_OK(pg_stream_write(line.caller, PG_BYTES_LIT("unread"), SOON));
    CHECK_ERR(pg_foreign_wait_hangup(line.foreign, pg_after(PG_MS(1))), PG_ERR_TIMEOUT);
    if (by_closing) {
        pg_stream_free(&line.caller);
    } else {
        CHECK_OK(pg_stream_close_write(line.caller, SOON));
    }
    CHECK_OK(pg_foreign_wait_hangup(line.foreign, SOON));
    line_close(&line);
    return PG_OK;
}

static void test_foreign_wait_hangup__other_side_ends__wakes(void **state)
{
    (void) state;
    in_fiber(hangup_watch, &(bool){false});
    in_fiber(hangup_watch, &(bool){true});
}

static pg_err hangup_wait(void *arg)
{
    test_line *line = arg;
    return pg_foreign_wait_hangup(line->foreign, PG_FOREVER);
}

static pg_err free_while_waiting(void *arg)
{
    (void) arg;
    test_line line = {0};
    pg_scope scope;
    line_open(&line);
    pg_scope_init(&scope);
    CHECK_OK(pg_scope_spawn(&scope, "test.wait", hangup_wait, &line));
    CHECK_OK(pg_fiber_yield());
    pg_foreign_free(&line.foreign);
    CHECK_ERR(pg_scope_join(&scope), PG_ERR_CLOSED);
    line_close(&line);
    return PG_OK;
}

static void test_foreign_free__somebody_waits__is_told(void **state)
{
    (void) state;
    in_fiber(free_while_waiting, NULL);
}

static pg_err read_wait(void *arg)
{
    test_line *line = arg;
    return pg_foreign_wait(line->foreign, PG_FOREVER);
}

static pg_err wake_by_hand(void *arg)
{
    (void) arg;
    test_line line = {0};
    pg_scope scope;
    line_open(&line);
    pg_foreign_wake(line.foreign); // nobody waits: it is for nobody
    CHECK_ERR(pg_foreign_wait(line.foreign, pg_after(PG_MS(1))), PG_ERR_TIMEOUT);
    pg_scope_init(&scope);
    CHECK_OK(pg_scope_spawn(&scope, "test.wait", read_wait, &line));
    CHECK_OK(pg_fiber_yield());
    pg_foreign_wake(line.foreign);
    CHECK_OK(pg_scope_join(&scope));
    line_close(&line);
    return PG_OK;
}

static void test_foreign_wake__somebody_waits__looks_again(void **state)
{
    (void) state;
    in_fiber(wake_by_hand, NULL);
}

static pg_err interfaces_look(void *arg)
{
    pg_endpoint *first = arg;
    pg_endpoint found[PG_INTERFACES_MAX];
    size_t count = pg_interfaces(found);
    CHECK(count <= PG_INTERFACES_MAX);
    *first = count > 0 ? found[0] : (pg_endpoint){0};
    return PG_OK;
}

static void test_interfaces__real__begin_with_loopback(void **state)
{
    (void) state;
    pg_endpoint first;
    assert_int_equal(pg_runtime_run(NULL, interfaces_look, &first), PG_OK);
    assert_true(first.family == PG_IP_FAMILY_NONE || first.ip[0] == 127 || first.ip[15] == 1);
    assert_int_equal(first.port, 0);
}

static pg_err sim_look(void *arg)
{
    (void) arg;
    pg_foreign *foreign = NULL;
    pg_endpoint found[PG_INTERFACES_MAX];
    CHECK_ERR(pg_foreign_new(0, &foreign), PG_ERR_UNSUPPORTED);
    CHECK_ERR(pg_listener_dup(NULL, &(int){0}), PG_ERR_UNSUPPORTED);
    CHECK(pg_interfaces(found) == 2);
    CHECK(found[1].ip[0] == 10);
    pg_interface list[PG_INTERFACES_MAX];
    CHECK(pg_interfaces_list(list) == 2);
    CHECK(list[0].is_loopback && !list[1].is_loopback && list[1].has_multicast);
    CHECK(pg_endpoint_equal(&list[1].at, &found[1]) && list[1].number != list[0].number);
    return PG_OK;
}

static pg_err sim_script(void *arg)
{
    pg_sim_machine *machine = NULL;
    (void) arg;
    CHECK_ERR(pg_sim_machine_new(&machine), PG_OK);
    CHECK_ERR(pg_sim_machine_start(machine, "test", sim_look, NULL), PG_OK);
    return pg_sim_machine_join(machine, PG_FOREVER);
}

static void test_foreign__simulated_world__refuses(void **state)
{
    (void) state;
    assert_int_equal(pg_sim_run(&(pg_sim_config){.seed = 1}, sim_script, NULL, NULL), PG_OK);
}

static void test_fd__pipe__is_ready_with_data_with_room_and_at_its_end(void **state)
{
    (void) state;
    int ends[2];
    char space[4096] = {0};
    assert_int_equal(pipe(ends), 0);
    assert_false(pg_fd_is_ready(ends[0], false));
    assert_true(pg_fd_is_ready(ends[1], true));
    while (pg_fd_is_ready(ends[1], true)) { // until it is full, without waiting
        assert_int_equal(write(ends[1], space, sizeof(space)), sizeof(space));
    }
    while (pg_fd_is_ready(ends[0], false)) {
        assert_true(read(ends[0], space, sizeof(space)) > 0);
    }
    assert_int_equal(close(ends[1]), 0);
    assert_true(pg_fd_is_ready(ends[0], false));
    assert_int_equal(read(ends[0], space, sizeof(space)), 0);
    assert_int_equal(close(ends[0]), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_foreign__lent_listener__wakes_when_somebody_calls),
        cmocka_unit_test(test_foreign_wait_hangup__other_side_ends__wakes),
        cmocka_unit_test(test_foreign_free__somebody_waits__is_told),
        cmocka_unit_test(test_foreign_wake__somebody_waits__looks_again),
        cmocka_unit_test(test_interfaces__real__begin_with_loopback),
        cmocka_unit_test(test_foreign__simulated_world__refuses),
        cmocka_unit_test(test_fd__pipe__is_ready_with_data_with_room_and_at_its_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
