// SPDX-License-Identifier: Apache-2.0
// Goal: a fiber can wait on a library's descriptor, a listener can be lent to a library, and the machine tells its addresses.
// Method: a Unix listener lent to the test itself; the simulated world refuses and tells its own address.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_foreign__lent_listener__wakes_when_somebody_calls),
        cmocka_unit_test(test_interfaces__real__begin_with_loopback),
        cmocka_unit_test(test_foreign__simulated_world__refuses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
