// SPDX-License-Identifier: Apache-2.0
// Goal: a run is a pure function of its seed, its clocks are virtual, and a run that goes wrong says how.
// Method: small scripts; digests compared between runs.
#include "base/mem.h"
#include "base/str.h"
#include "runtime/file.h"
#include "runtime/offload.h"
#include "runtime/random.h"
#include "runtime/resolve.h"
#include "runtime/runtime.h"
#include "sim_pair.h"

// ---- Machines and clocks

static pg_err answer_main(void *arg)
{
    *(int *) arg += 1;
    return pg_sleep_until(pg_after(PG_SECONDS(1)));
}

static pg_err failing_main(void *arg)
{
    (void) arg;
    return pg_fail(PG_ERR_CORRUPT, "page 7 is bad");
}

static pg_err lifecycle_script(void *arg)
{
    pg_sim_machine *machine = NULL;
    int *ran = arg; // outlives the script: the last process runs when it has returned
    *ran = 0;
    PG_TRY(pg_sim_machine_new(&machine));
    PG_TRY(pg_sim_machine_join(machine, PG_FOREVER)); // never started
    PG_TRY(pg_sim_machine_start(machine, "test.answer", answer_main, ran));
    SIM_CHECK(pg_sim_machine_start(machine, "test.answer", answer_main, ran) == PG_ERR_BUSY);
    SIM_CHECK(pg_sim_machine_join(machine, pg_after(PG_MS(1))) == PG_ERR_TIMEOUT);
    PG_TRY(pg_sim_machine_join(machine, PG_FOREVER));
    PG_TRY(pg_sim_machine_stop(machine)); // has ended already
    PG_TRY(pg_sim_machine_start(machine, "test.answer", answer_main, ran));
    PG_TRY(pg_fiber_yield());
    PG_TRY(pg_sim_machine_stop(machine));
    PG_TRY(pg_sim_machine_start(machine, "test.answer", answer_main, ran));
    PG_TRY(pg_fiber_yield());
    pg_sim_machine_crash(machine);
    SIM_CHECK(pg_sim_machine_join(machine, PG_FOREVER) == PG_ERR_CANCELLED);
    SIM_CHECK(*ran == 3);
    PG_TRY(pg_sim_machine_start(machine, "test.failing", failing_main, NULL));
    pg_err err = pg_sim_machine_join(machine, PG_FOREVER);
    SIM_CHECK(err == PG_ERR_CORRUPT);
    SIM_CHECK(strcmp(pg_error_detail(err), "page 7 is bad") == 0);
    PG_TRY(pg_sim_machine_start(machine, "test.answer", answer_main, ran)); // runs at the end
    SIM_CHECK(pg_runtime_is_sim());
    return PG_OK;
}

static void test_machine__start_join_stop_crash__go_one_after_another(void **state)
{
    (void) state;
    int ran = 0;
    sim_seeds(&(pg_sim_config){.seed = 1}, 3, lifecycle_script, &ran);
    assert_int_equal(ran, 4);
}

/** An object with a user, on a machine that crashes. */
struct used {
    pg_waitq unused;
    unsigned users;
    bool is_freed;
};

static pg_err user_run(void *arg)
{
    struct used *used = arg;
    pg_err err = pg_sleep_until(PG_FOREVER);
    used->users--;
    pg_waitq_wake_all(&used->unused);
    return err;
}

static pg_err owner_main(void *arg)
{
    struct used *used = arg;
    pg_scope scope;
    pg_scope_init(&scope);
    PG_TRY(pg_scope_spawn(&scope, "test.user", user_run, used));
    pg_err err = pg_sleep_until(PG_FOREVER);
    while (used->users > 0) {
        pg_waitq_wait_hard(&used->unused);
    }
    used->is_freed = true;
    pg_scope_close(&scope);
    return err;
}

static pg_err last_user_script(void *arg)
{
    (void) arg;
    pg_sim_machine *machine = NULL;
    struct used used = {.users = 1};
    pg_waitq_init(&used.unused);
    PG_TRY(pg_sim_machine_new(&machine));
    PG_TRY(pg_sim_machine_start(machine, "test.owner", owner_main, &used));
    PG_TRY(pg_sleep_until(pg_after(PG_MS(1))));
    pg_sim_machine_crash(machine);
    PG_TRY(pg_sleep_until(pg_after(PG_MS(1))));
    SIM_CHECK(used.users == 0 && used.is_freed);
    return PG_OK;
}

static void test_machine__crashes_while_an_object_is_used__its_last_user_is_waited_for(void **state)
{
    (void) state;
    sim_seeds(&(pg_sim_config){0}, 3, last_user_script, NULL);
}

struct clock {
    int64_t wall_ms;
    pg_time now;
    pg_time with_suspend;
};

static pg_err clock_main(void *arg)
{
    struct clock *clock = arg;
    clock->wall_ms = pg_wall_ms();
    clock->now = pg_now();
    clock->with_suspend = pg_now_with_suspend();
    return PG_OK;
}

static pg_err clock_script(void *arg)
{
    (void) arg;
    const int64_t year_ms = INT64_C(365) * 86400000;
    pg_sim_machine *machine = NULL;
    struct clock clock = {0};
    PG_TRY(pg_sim_machine_new(&machine));
    int64_t wall_ms = pg_wall_ms();
    SIM_CHECK(wall_ms == INT64_C(1767225600000));
    pg_time before = pg_now();
    pg_time suspend_before = pg_now_with_suspend();
    pg_sim_machine_clock_jump(machine, -year_ms);
    PG_TRY(pg_sleep_until(pg_after(PG_HOURS(1))));
    PG_TRY(pg_sim_machine_start(machine, "test.clock", clock_main, &clock));
    PG_TRY(pg_sim_machine_join(machine, PG_FOREVER));
    SIM_CHECK(clock.wall_ms == wall_ms + 3600000 - year_ms);
    SIM_CHECK(clock.now == before + PG_HOURS(1) && clock.now == pg_now());
    SIM_CHECK(clock.with_suspend == suspend_before + PG_HOURS(1));
    SIM_CHECK(pg_wall_ms() == wall_ms + 3600000);
    return PG_OK;
}

static void test_clock__jumps_by_a_year__moves_the_wall_clock_of_that_machine_alone(void **state)
{
    (void) state;
    sim_seeds(&(pg_sim_config){.seed = 1}, 1, clock_script, NULL);
}

// ---- Determinism

static pg_err busy_script(void *arg)
{
    struct pair pair = {0};
    (void) arg;
    PG_TRY(pair_make(&pair));
    PG_TRY(pg_sim_machine_start(pair.server, "test.server", pair_echo_main, NULL));
    for (size_t i = 0; i < 20; i++) {
        uint64_t word = pg_random_below(1000);
        PG_TRY(pg_sleep_until(pg_after((int64_t) word)));
        pg_sim_machine_crash(pair.server);
        PG_TRY(pg_sim_machine_start(pair.server, "test.server", pair_echo_main, NULL));
    }
    return PG_OK;
}

static pg_sim_stats stats_of(uint64_t seed)
{
    pg_sim_stats stats = {0};
    assert_int_equal(pg_sim_run(&(pg_sim_config){.seed = seed}, busy_script, NULL, &stats), PG_OK);
    return stats;
}

static void test_run__equal_seeds__have_equal_digests_and_others_not(void **state)
{
    (void) state;
    pg_sim_stats first = stats_of(7);
    pg_sim_stats again = stats_of(7);
    pg_sim_stats other = stats_of(8);
    assert_true(first.events > 20);
    assert_true(first.digest == again.digest);
    assert_true(first.events == again.events);
    assert_true(first.virtual_ns == again.virtual_ns);
    assert_true(first.digest != other.digest);
}

struct draws {
    uint64_t words[4];
    uint64_t script_word;
};

static pg_err draw_main(void *arg)
{
    pg_random_bytes(pg_mut_bytes_make(arg, sizeof(uint64_t)));
    return PG_OK;
}

static pg_err draws_script(void *arg)
{
    struct draws *draws = arg;
    for (size_t i = 0; i < 4; i++) {
        pg_sim_machine *machine = NULL;
        PG_TRY(pg_sim_machine_new(&machine));
        PG_TRY(pg_sim_machine_start(machine, "test.draw", draw_main, &draws->words[i]));
        PG_TRY(pg_sim_machine_join(machine, PG_FOREVER));
    }
    draws->script_word = pg_sim_random_below(UINT64_MAX);
    SIM_CHECK(pg_sim_random_below(0) == 0 && pg_sim_random_below(1) == 0);
    return PG_OK;
}

static void test_random__machines__draw_from_streams_of_their_own(void **state)
{
    (void) state;
    struct draws first = {0};
    struct draws again = {0};
    sim_seeds(&(pg_sim_config){.seed = 1}, 1, draws_script, &first);
    sim_seeds(&(pg_sim_config){.seed = 1}, 1, draws_script, &again);
    assert_memory_equal(&first, &again, sizeof(first));
    for (size_t i = 0; i < 4; i++) {
        for (size_t k = 0; k < i; k++) {
            assert_true(first.words[i] != first.words[k]);
        }
        assert_true(first.words[i] != first.script_word);
    }
}

// ---- Runs that go wrong

static pg_err spin_main(void *arg)
{
    (void) arg;
    for (;;) {
        PG_TRY(pg_fiber_yield());
    }
}

static pg_err spin_script(void *arg)
{
    (void) arg;
    pg_sim_machine *machine = NULL;
    PG_TRY(pg_sim_machine_new(&machine));
    PG_TRY(pg_sim_machine_start(machine, "test.spin", spin_main, NULL));
    return pg_sleep_until(pg_after(PG_SECONDS(1)));
}

static void test_run__livelock__ends_at_its_limit_of_events(void **state)
{
    (void) state;
    pg_sim_stats stats = {0};
    const pg_sim_config config = {.seed = 3, .events_max = 5000};
    pg_err err = pg_sim_run(&config, spin_script, NULL, &stats);
    assert_int_equal(err, PG_ERR_LIMIT);
    assert_non_null(strstr(pg_error_detail(err), "livelock"));
    assert_true(stats.events >= 5000);
}

static pg_err wait_main(void *arg)
{
    (void) arg;
    pg_waitq never;
    pg_waitq_init(&never);
    return pg_waitq_wait(&never, PG_FOREVER);
}

static pg_err deadlock_script(void *arg)
{
    (void) arg;
    for (size_t i = 0; i < 2; i++) {
        pg_sim_machine *machine = NULL;
        PG_TRY(pg_sim_machine_new(&machine));
        PG_TRY(pg_sim_machine_start(machine, "test.wait", wait_main, NULL));
    }
    return wait_main(NULL);
}

static void test_run__everybody_waits_for_ever__fails_and_names_the_fibers(void **state)
{
    (void) state;
    pg_err err = pg_sim_run(&(pg_sim_config){.seed = 3}, deadlock_script, NULL, NULL);
    assert_int_equal(err, PG_ERR_BUG);
    assert_non_null(strstr(pg_error_detail(err), "test.wait (2)"));
}

static pg_err failing_script(void *arg)
{
    pg_sim_machine *machine = NULL;
    PG_TRY(pg_sim_machine_new(&machine));
    PG_TRY(pg_sim_machine_start(machine, "test.wait", wait_main, NULL));
    PG_TRY(pg_fiber_yield());
    return failing_main(arg);
}

static void test_run__script_fails__ends_the_machines_and_keeps_the_detail(void **state)
{
    (void) state;
    pg_err err = pg_sim_run(&(pg_sim_config){.seed = 3}, failing_script, NULL, NULL);
    assert_int_equal(err, PG_ERR_CORRUPT);
    assert_string_equal(pg_error_detail(err), "page 7 is bad");
}

// ---- Memory that runs out

static pg_err hungry_main(void *arg)
{
    struct pair *pair = arg;
    pg_stream *stream = NULL;
    pg_udp *udp = NULL;
    uint8_t byte = 0;
    pg_err err = pg_file_replace("/file", PG_BYTES_LIT("content"), 0600);
    if (err == PG_OK) {
        err = pg_udp_bind(&(pg_endpoint){.family = PG_IP_FAMILY_V4}, &udp);
    }
    if (err == PG_OK) {
        pg_udp_msg msg = {.peer = pair->to, .data = PG_BYTES_LIT("x")};
        err = pg_udp_send(udp, &msg, PG_FOREVER);
    }
    if (err == PG_OK) {
        err = pg_tcp_dial(&pair->to, pg_after(PG_MINUTES(1)), &stream);
    }
    if (err == PG_OK) {
        err = pg_stream_write(stream, PG_BYTES_LIT("x"), PG_FOREVER);
    }
    if (err == PG_OK) {
        err = pg_stream_read_full(stream, pg_mut_bytes_make(&byte, 1), pg_after(PG_MINUTES(1)));
    }
    pg_stream_free(&stream);
    pg_udp_free(&udp);
    return err;
}

static pg_err hungry_script(void *arg)
{
    struct pair *pair = arg;
    PG_TRY(pair_make(pair));
    PG_TRY(pg_sim_machine_start(pair->server, "test.server", pair_echo_main, NULL));
    PG_TRY(pg_sim_machine_start(pair->client, "test.client", hungry_main, pair));
    PG_TRY(pg_sim_machine_join(pair->client, PG_FOREVER));
    pg_sim_machine_crash(pair->client);
    return PG_OK;
}

static void test_run__memory_is_out_anywhere__fails_or_recovers_and_leaks_nothing(void **state)
{
    (void) state;
    struct pair pair = {0};
    unsigned failures = 0;
    for (uint64_t nth = 1; nth < 1000; nth++) {
        pg_mem_fail_nth(nth);
        pg_err err =
            pg_sim_run(&(pg_sim_config){.seed = 1, .link = pair_link}, hungry_script, &pair, NULL);
        bool failed = pg_mem_failed();
        pg_mem_fail_nth(0);
        failures += err != PG_OK;
        if (!failed) {
            assert_int_equal(err, PG_OK);
            assert_true(failures > 10);
            return;
        }
    }
    fail_msg("it never ends");
}

static pg_err outside_script(void *arg)
{
    (void) arg;
    pg_stream *stream = NULL;
    pg_endpoint to = {.family = PG_IP_FAMILY_V4, .ip = {10, 0, 0, 1}, .port = 1};
    SIM_CHECK(pg_tcp_dial(&to, PG_FOREVER, &stream) == PG_ERR_UNSUPPORTED);
    return PG_OK;
}

static void test_script__outside_all_machines__has_no_network(void **state)
{
    (void) state;
    sim_seeds(&(pg_sim_config){.seed = 1}, 1, outside_script, NULL);
}

// ---- Names, jobs, Unix sockets

static pg_err resolve_main(void *arg)
{
    (void) arg;
    pg_endpoint found[PG_RESOLVE_MAX];
    size_t count = 0;
    PG_TRY(pg_resolve("m2.sim", PG_IP_FAMILY_NONE, PG_FOREVER, found, &count));
    SIM_CHECK(count == 1 && found[0].ip[3] == 2 && found[0].port == 0);
    PG_TRY(pg_resolve("localhost", PG_IP_FAMILY_V4, PG_FOREVER, found, &count));
    SIM_CHECK(found[0].ip[0] == 127);
    SIM_CHECK(pg_resolve("m2.sim", PG_IP_FAMILY_V6, PG_FOREVER, found, &count) == PG_ERR_NOT_FOUND);
    const char *const nobody[] = {"m3.sim", "m0.sim", "mx.sim", "m.sim", "m1", "", "m1.org"};
    for (size_t i = 0; i < PG_ARRAY_LEN(nobody); i++) {
        SIM_CHECK(pg_resolve(nobody[i], PG_IP_FAMILY_NONE, PG_FOREVER, found, &count) ==
                  PG_ERR_NOT_FOUND);
    }
    SIM_CHECK(pg_resolve("m1.sim", PG_IP_FAMILY_V4, pg_after(1), found, &count) == PG_ERR_TIMEOUT);
    return PG_OK;
}

static pg_err job_add(void *arg)
{
    volatile uint8_t large[1024 * 1024]; // would not fit on the stack of a fiber
    large[0] = 1;
    large[sizeof(large) - 1] = 2;
    *(int *) arg += large[0] + large[sizeof(large) - 1];
    return PG_OK;
}

static pg_err job_fail(void *arg)
{
    (void) arg;
    return pg_fail(PG_ERR_KEY, "in the job");
}

static pg_err jobs_main(void *arg)
{
    (void) arg;
    int sum = 0;
    pg_worker *worker = NULL;
    PG_TRY(pg_offload(job_add, &sum));
    PG_TRY(pg_offload_io(job_add, &sum));
    pg_err err = pg_offload(job_fail, NULL);
    SIM_CHECK(err == PG_ERR_KEY && strcmp(pg_error_detail(err), "in the job") == 0);
    SIM_CHECK(pg_cpu_count() == 1);
    PG_TRY(pg_worker_new("test", &worker));
    err = pg_worker_call(worker, job_add, &sum);
    pg_worker_free(&worker);
    PG_TRY(err);
    SIM_CHECK(sum == 9);
    return PG_OK;
}

static pg_err unix_echo(void *arg)
{
    pg_listener *listener = arg;
    pg_stream *stream = NULL;
    pg_endpoint peer = {.family = PG_IP_FAMILY_V6};
    PG_TRY(pg_listener_accept(listener, PG_FOREVER, &stream, &peer));
    pg_err err = peer.family == PG_IP_FAMILY_NONE ? pair_echo_stream(stream) : PG_ERR_BUG;
    pg_stream_free(&stream);
    return err;
}

static pg_err unix_talk(const char *path)
{
    uint8_t text[5] = {0};
    size_t len = 0;
    pg_stream *stream = NULL;
    PG_TRY(pg_unix_dial(path, PG_FOREVER, &stream));
    pg_err err = pg_stream_write(stream, PG_BYTES_LIT("hello"), PG_FOREVER);
    if (err == PG_OK) {
        err = pg_stream_close_write(stream, PG_FOREVER);
    }
    if (err == PG_OK) {
        err = pg_stream_read_full(stream, PG_MUT_BYTES_OF(text), PG_FOREVER);
    }
    if (err == PG_OK) {
        err = pg_stream_read(stream, PG_MUT_BYTES_OF(text), PG_FOREVER, &len);
    }
    pg_stream_free(&stream);
    PG_TRY(err);
    SIM_CHECK(len == 0 && memcmp(text, "hello", 5) == 0);
    return PG_OK;
}

static pg_err unix_main(void *arg)
{
    (void) arg;
    char long_path[200];
    memset(long_path, 'x', sizeof(long_path) - 1);
    long_path[sizeof(long_path) - 1] = '\0';
    pg_listener *listener = NULL;
    pg_listener *second = NULL;
    pg_stream *stream = NULL;
    pg_scope scope;
    pg_scope_init(&scope);
    PG_TRY(pg_unix_listen("/run/api", &listener));
    pg_err err = pg_scope_spawn(&scope, "test.unix", unix_echo, listener);
    if (err == PG_OK) {
        err = unix_talk("/run/api");
    }
    pg_err joined = pg_scope_join(&scope);
    pg_err busy = pg_unix_listen("/run/api", &second);
    pg_err refused = PG_OK;
    for (size_t i = 0; i < 129 && refused == PG_OK; i++) {
        pg_stream_free(&stream);
        refused = pg_unix_dial("/run/api", PG_FOREVER, &stream);
    }
    pg_stream_free(&stream);
    pg_listener_free(&listener);
    PG_TRY(err);
    PG_TRY(joined);
    SIM_CHECK(busy == PG_ERR_BUSY && refused == PG_ERR_REFUSED);
    SIM_CHECK(pg_unix_listen(long_path, &listener) == PG_ERR_LIMIT);
    SIM_CHECK(pg_unix_dial("/run/api", PG_FOREVER, &stream) == PG_ERR_NOT_FOUND);
    return PG_OK;
}

static pg_err accept_and_close_main(void *arg);

static pg_err listener_close(void *arg)
{
    pg_listener *listener = arg;
    PG_TRY(pg_sleep_until(pg_after(PG_SECONDS(1))));
    pg_listener_free(&listener);
    return PG_OK;
}

static pg_err accept_and_close_main(void *arg)
{
    (void) arg;
    pg_listener *listener = NULL;
    pg_stream *stream = NULL;
    pg_scope scope;
    pg_scope_init(&scope);
    pg_endpoint at = {.family = PG_IP_FAMILY_V4, .ip = {127, 0, 0, 1}};
    PG_TRY(pg_tcp_listen(&at, &listener));
    SIM_CHECK(pg_listener_endpoint(listener).port >= 32768);
    PG_TRY(pg_scope_spawn(&scope, "test.close", listener_close, listener));
    pg_err err = pg_listener_accept(listener, PG_FOREVER, &stream, NULL);
    pg_scope_close(&scope);
    SIM_CHECK(err == PG_ERR_CLOSED);
    at.ip[0] = 11;
    SIM_CHECK(pg_tcp_listen(&at, &listener) == PG_ERR_UNREACHABLE);
    return PG_OK;
}

static pg_err inside_script(void *arg)
{
    pg_sim_machine *machine = NULL;
    pg_sim_machine *other = NULL;
    PG_TRY(pg_sim_machine_new(&machine));
    PG_TRY(pg_sim_machine_new(&other));
    PG_TRY(pg_sim_machine_start(machine, "test.inside", *(pg_fiber_fn *) arg, NULL));
    return pg_sim_machine_join(machine, PG_FOREVER);
}

static void run_inside(pg_fiber_fn fn)
{
    sim_seeds(&(pg_sim_config){.link = pair_link}, 2, inside_script, &fn);
}

static void test_resolve__names_of_machines__give_their_addresses(void **state)
{
    (void) state;
    run_inside(resolve_main);
}

static void test_offload__job__runs_inline_on_a_large_stack(void **state)
{
    (void) state;
    run_inside(jobs_main);
}

static void test_unix__dial_and_echo__within_a_machine(void **state)
{
    (void) state;
    run_inside(unix_main);
}

static void test_listener__freed_while_accepting__ends_with_closed(void **state)
{
    (void) state;
    run_inside(accept_and_close_main);
}

int main(int argc, char **argv)
{
    sim_arguments(argc, argv);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_machine__start_join_stop_crash__go_one_after_another),
        cmocka_unit_test(
            test_machine__crashes_while_an_object_is_used__its_last_user_is_waited_for),
        cmocka_unit_test(test_clock__jumps_by_a_year__moves_the_wall_clock_of_that_machine_alone),
        cmocka_unit_test(test_run__equal_seeds__have_equal_digests_and_others_not),
        cmocka_unit_test(test_random__machines__draw_from_streams_of_their_own),
        cmocka_unit_test(test_run__livelock__ends_at_its_limit_of_events),
        cmocka_unit_test(test_run__everybody_waits_for_ever__fails_and_names_the_fibers),
        cmocka_unit_test(test_run__script_fails__ends_the_machines_and_keeps_the_detail),
        cmocka_unit_test(test_run__memory_is_out_anywhere__fails_or_recovers_and_leaks_nothing),
        cmocka_unit_test(test_script__outside_all_machines__has_no_network),
        cmocka_unit_test(test_resolve__names_of_machines__give_their_addresses),
        cmocka_unit_test(test_offload__job__runs_inline_on_a_large_stack),
        cmocka_unit_test(test_unix__dial_and_echo__within_a_machine),
        cmocka_unit_test(test_listener__freed_while_accepting__ends_with_closed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
