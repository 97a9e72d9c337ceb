// SPDX-License-Identifier: Apache-2.0
// Goal: fibers run in order, scopes own them, failures and cancellation travel as fiber.h says, deadlines end waits.
// Method: a real run a test; the bodies are fibers.
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/list.h"
#include "base/log.h"
#include "base/mem.h"
#include "in_fiber.h"
#include "runtime/context_priv.h"
#include "runtime/fiber.h"
#include "runtime/limits.h"
#include "runtime/random.h"
#include "runtime/world_priv.h"

static char trace[256];
static char name_a[] = "a";
static char name_b[] = "b";
static char name_c[] = "c";

static void trace_add(const char *text)
{
    size_t len = strlen(trace);
    (void) snprintf(trace + len, sizeof(trace) - len, "%s", text);
}

static pg_err body_trace_twice(void *arg)
{
    trace_add(arg);
    PG_TRY(pg_fiber_yield());
    trace_add(arg);
    return PG_OK;
}

static pg_err body_order(void *arg)
{
    (void) arg;
    pg_scope scope;
    pg_scope_init(&scope);
    trace[0] = '\0';
    CHECK_OK(pg_scope_spawn(&scope, "test.a", body_trace_twice, name_a));
    CHECK_OK(pg_scope_spawn(&scope, "test.b", body_trace_twice, name_b));
    CHECK_OK(pg_scope_spawn(&scope, "test.c", body_trace_twice, name_c));
    trace_add("0");
    CHECK_OK(pg_scope_join(&scope));
    CHECK(strcmp(trace, "0abcabc") == 0);
    return PG_OK;
}

static void test_fiber__several_spawned__run_in_order_of_spawning(void **state)
{
    (void) state;
    in_fiber(body_order, NULL);
}

// Whether a page of the stack takes memory, so many bytes below the caller.
static bool is_resident(size_t below)
{
    uintptr_t at = ((uintptr_t) __builtin_frame_address(0) - below) / 4096 * 4096;
    unsigned char found = 0;
    CHECK(mincore((void *) at, 4096, &found) == 0); // NOLINT(performance-no-int-to-ptr)
    return (found & 1U) != 0;
}

static __attribute__((noinline)) void stack_touch(void)
{
    volatile char space[24 * 1024];
    for (size_t i = 0; i < sizeof(space); i++) {
        space[i] = (char) i;
    }
}

static pg_err body_trim(void *arg)
{
    (void) arg;
    volatile uint64_t kept[64];
    for (size_t i = 0; i < PG_ARRAY_LEN(kept); i++) {
        kept[i] = i;
    }
    stack_touch();
    CHECK(is_resident((size_t) 16 * 1024));
    pg_fiber_trim();
    CHECK(!is_resident((size_t) 16 * 1024));
    CHECK_OK(pg_sleep_until(pg_after(PG_MS(1))));
    stack_touch();
    for (size_t i = 0; i < PG_ARRAY_LEN(kept); i++) {
        CHECK(kept[i] == i);
    }
    return PG_OK;
}

static void test_fiber__trimmed__gives_deep_pages_back_and_goes_on(void **state)
{
    (void) state;
    in_fiber(body_trim, NULL);
}

static pg_err body_fail(void *arg)
{
    return pg_fail(PG_ERR_CORRUPT, "shard %d", *(const int *) arg);
}

static pg_err body_sleep(void *arg)
{
    pg_err *out_err = arg;
    *out_err = pg_sleep_until(PG_FOREVER);
    return *out_err;
}

static pg_err body_first_failure(void *arg)
{
    (void) arg;
    pg_scope scope;
    pg_err slept = PG_OK;
    int seven = 7;
    int eight = 8;
    pg_scope_init(&scope);
    CHECK_OK(pg_scope_spawn(&scope, "test.sleep", body_sleep, &slept));
    CHECK_OK(pg_scope_spawn(&scope, "test.fail", body_fail, &seven));
    CHECK_OK(pg_scope_spawn(&scope, "test.fail", body_fail, &eight));
    CHECK_ERR(pg_scope_join(&scope), PG_ERR_CORRUPT);
    CHECK(strcmp(pg_error_detail(PG_ERR_CORRUPT), "shard 7") == 0);
    CHECK_ERR(slept, PG_ERR_CANCELLED);
    // The scope is as after init.
    CHECK_OK(pg_scope_join(&scope));
    CHECK_OK(pg_scope_spawn(&scope, "test.a", body_trace_twice, name_a));
    CHECK_OK(pg_scope_join(&scope));
    return PG_OK;
}

static void test_scope__one_fails__siblings_are_cancelled_and_first_error_returned(void **state)
{
    (void) state;
    in_fiber(body_first_failure, NULL);
}

static pg_err body_tolerant(void *arg)
{
    (void) arg;
    pg_scope scope;
    int one = 1;
    pg_scope_init_tolerant(&scope);
    trace[0] = '\0';
    CHECK_OK(pg_scope_spawn(&scope, "test.fail", body_fail, &one));
    CHECK_OK(pg_scope_spawn(&scope, "test.a", body_trace_twice, name_a));
    CHECK_OK(pg_scope_join(&scope));
    CHECK(strcmp(trace, "aa") == 0);
    return PG_OK;
}

static void test_scope__tolerant__failures_stay_alone(void **state)
{
    (void) state;
    in_fiber(body_tolerant, NULL);
}

static pg_err body_cancelled_spontaneously(void *arg)
{
    (void) arg;
    return PG_ERR_CANCELLED;
}

static pg_err body_scope_cancel(void *arg)
{
    (void) arg;
    pg_scope scope;
    pg_err slept = PG_OK;
    pg_scope_init(&scope);
    CHECK_OK(pg_scope_spawn(&scope, "test.sleep", body_sleep, &slept));
    CHECK_OK(pg_fiber_yield());
    pg_scope_cancel(&scope);
    CHECK_ERR(pg_scope_spawn(&scope, "test.sleep", body_sleep, &slept), PG_ERR_CANCELLED);
    CHECK_OK(pg_scope_join(&scope));
    CHECK_ERR(slept, PG_ERR_CANCELLED);
    // A fiber that says so without having been told has failed.
    CHECK_OK(pg_scope_spawn(&scope, "test.odd", body_cancelled_spontaneously, NULL));
    CHECK_ERR(pg_scope_join(&scope), PG_ERR_CANCELLED);
    return PG_OK;
}

static void test_scope__cancelled__refuses_spawns_and_join_is_ok(void **state)
{
    (void) state;
    in_fiber(body_scope_cancel, NULL);
}

struct nested {
    pg_err inner;
    pg_err join;
};

static pg_err body_nested(void *arg)
{
    struct nested *nested = arg;
    pg_scope scope;
    pg_scope_init(&scope);
    CHECK_OK(pg_scope_spawn(&scope, "test.inner", body_sleep, &nested->inner));
    nested->join = pg_scope_join(&scope);
    CHECK(pg_fiber_is_cancelled());
    return nested->join;
}

static pg_err body_cancel_nested(void *arg)
{
    (void) arg;
    pg_scope scope;
    struct nested nested = {0};
    pg_scope_init(&scope);
    CHECK_OK(pg_scope_spawn(&scope, "test.nested", body_nested, &nested));
    CHECK_OK(pg_fiber_yield());
    CHECK_OK(pg_fiber_yield());
    CHECK(!pg_fiber_is_cancelled());
    pg_scope_close(&scope);
    CHECK_ERR(nested.inner, PG_ERR_CANCELLED);
    CHECK_ERR(nested.join, PG_ERR_CANCELLED);
    return PG_OK;
}

static void test_scope__joiner_is_cancelled__its_fibers_are_too(void **state)
{
    (void) state;
    in_fiber(body_cancel_nested, NULL);
}

static pg_err body_shielded(void *arg)
{
    pg_waitq *waitq = arg;
    trace[0] = '\0';
    CHECK_ERR(pg_waitq_wait(waitq, PG_FOREVER), PG_ERR_CANCELLED);
    CHECK_ERR(pg_fiber_yield(), PG_ERR_CANCELLED);
    pg_fiber_shield(true);
    pg_fiber_shield(true);
    pg_fiber_shield(false);
    CHECK_OK(pg_fiber_yield());
    CHECK_OK(pg_sleep_until(pg_after(PG_MS(1))));
    CHECK_ERR(pg_waitq_wait(waitq, pg_after(PG_MS(1))), PG_ERR_TIMEOUT);
    trace_add("clean");
    pg_fiber_shield(false);
    CHECK_ERR(pg_waitq_wait(waitq, PG_FOREVER), PG_ERR_CANCELLED);
    return PG_ERR_CANCELLED;
}

static pg_err body_shield(void *arg)
{
    (void) arg;
    pg_scope scope;
    pg_waitq waitq;
    pg_waitq_init(&waitq);
    pg_scope_init(&scope);
    CHECK_OK(pg_scope_spawn(&scope, "test.shield", body_shielded, &waitq));
    CHECK_OK(pg_fiber_yield());
    pg_scope_cancel(&scope);
    CHECK_OK(pg_scope_join(&scope));
    CHECK(strcmp(trace, "clean") == 0);
    return PG_OK;
}

static void test_shield__cancelled_fiber__can_wait_for_its_cleanup(void **state)
{
    (void) state;
    in_fiber(body_shield, NULL);
}

static pg_err body_cancelled_before_it_ran(void *arg)
{
    (void) arg;
    pg_scope scope;
    pg_err slept = PG_OK;
    pg_scope_init(&scope);
    CHECK_OK(pg_scope_spawn(&scope, "test.sleep", body_sleep, &slept));
    pg_scope_close(&scope);
    CHECK_ERR(slept, PG_ERR_CANCELLED);
    return PG_OK;
}

static void test_scope__closed_at_once__fiber_still_runs_and_cleans_up(void **state)
{
    (void) state;
    in_fiber(body_cancelled_before_it_ran, NULL);
}

struct waits {
    pg_waitq waitq;
    pg_err errs[3];
    size_t count;
};

static pg_err body_wait(void *arg)
{
    struct waits *waits = arg;
    size_t mine = waits->count++;
    waits->errs[mine] = pg_waitq_wait(&waits->waitq, mine == 0 ? pg_after(PG_MS(2)) : PG_FOREVER);
    return PG_OK;
}

static pg_err body_waitq(void *arg)
{
    (void) arg;
    struct waits waits = {.errs = {PG_ERR_BUG, PG_ERR_BUG, PG_ERR_BUG}};
    pg_scope scope;
    pg_scope_init(&scope);
    pg_waitq_init(&waits.waitq);
    CHECK(!pg_waitq_wake_one(&waits.waitq));
    for (unsigned i = 0; i < 3; i++) {
        CHECK_OK(pg_scope_spawn(&scope, "test.wait", body_wait, &waits));
    }
    pg_time start = pg_now();
    CHECK_OK(pg_sleep_until(pg_after(PG_MS(5))));
    CHECK(pg_now() - start >= PG_MS(5));
    CHECK_ERR(waits.errs[0], PG_ERR_TIMEOUT);
    CHECK(pg_waitq_wake_one(&waits.waitq));
    CHECK_OK(pg_fiber_yield());
    CHECK_ERR(waits.errs[1], PG_OK);
    CHECK_ERR(waits.errs[2], PG_ERR_BUG);
    pg_waitq_wake_all(&waits.waitq);
    CHECK_OK(pg_scope_join(&scope));
    CHECK_ERR(waits.errs[2], PG_OK);
    return PG_OK;
}

static void test_waitq__deadline_and_wake__end_the_wait_in_order(void **state)
{
    (void) state;
    in_fiber(body_waitq, NULL);
}

static pg_err body_woken_then_cancelled(void *arg)
{
    (void) arg;
    struct waits waits = {.count = 1};
    pg_scope scope;
    pg_scope_init(&scope);
    pg_waitq_init(&waits.waitq);
    CHECK_OK(pg_scope_spawn(&scope, "test.wait", body_wait, &waits));
    CHECK_OK(pg_fiber_yield());
    CHECK(pg_waitq_wake_one(&waits.waitq));
    pg_scope_close(&scope);
    CHECK_ERR(waits.errs[1], PG_OK); // the wake is not lost
    return PG_OK;
}

static void test_waitq__woken_then_cancelled__wake_counts(void **state)
{
    (void) state;
    in_fiber(body_woken_then_cancelled, NULL);
}

static pg_err body_wake_passes_over(void *arg)
{
    (void) arg;
    struct waits waits = {.count = 1, .errs = {PG_ERR_BUG, PG_ERR_BUG, PG_ERR_BUG}};
    pg_scope first;
    pg_scope second;
    pg_scope_init(&first);
    pg_scope_init(&second);
    pg_waitq_init(&waits.waitq);
    CHECK_OK(pg_scope_spawn(&first, "test.wait", body_wait, &waits));
    CHECK_OK(pg_scope_spawn(&second, "test.wait", body_wait, &waits));
    CHECK_OK(pg_fiber_yield());
    pg_scope_cancel(&first); // it has not run since: it still stands in the waiting place
    CHECK(pg_waitq_wake_one(&waits.waitq));
    CHECK_OK(pg_scope_join(&second));
    pg_scope_close(&first);
    CHECK_ERR(waits.errs[1], PG_ERR_CANCELLED);
    CHECK_ERR(waits.errs[2], PG_OK);
    return PG_OK;
}

static void test_waitq__first_waiter_was_cancelled__wake_goes_to_the_next(void **state)
{
    (void) state;
    in_fiber(body_wake_passes_over, NULL);
}

static pg_err body_wait_hard(void *arg)
{
    struct waits *waits = arg;
    pg_waitq_wait_hard(&waits->waitq);
    waits->count++;
    return PG_OK;
}

static pg_err body_hard(void *arg)
{
    (void) arg;
    struct waits waits = {0};
    pg_scope scope;
    pg_scope_init(&scope);
    pg_waitq_init(&waits.waitq);
    CHECK_OK(pg_scope_spawn(&scope, "test.wait", body_wait_hard, &waits));
    CHECK_OK(pg_fiber_yield());
    pg_scope_cancel(&scope);
    CHECK_OK(pg_fiber_yield());
    CHECK(waits.count == 0);
    CHECK(pg_waitq_wake_one(&waits.waitq));
    CHECK_OK(pg_scope_join(&scope));
    CHECK(waits.count == 1);
    return PG_OK;
}

static void test_waitq__hard_wait__goes_on_when_cancelled(void **state)
{
    (void) state;
    in_fiber(body_hard, NULL);
}

static pg_err body_own_record(void *arg)
{
    const int *number = arg;
    pg_err err = pg_fail(PG_ERR_IO, "disk %d", *number);
    PG_TRY(pg_fiber_yield());
    char want[32];
    (void) snprintf(want, sizeof(want), "disk %d", *number);
    CHECK(strcmp(pg_error_detail(err), want) == 0);
    pg_error_clear();
    PG_TRY(pg_fiber_yield());
    CHECK(pg_error_last()->code == PG_OK);
    return PG_OK;
}

static pg_err body_records(void *arg)
{
    (void) arg;
    pg_scope scope;
    int numbers[4] = {1, 2, 3, 4};
    pg_scope_init(&scope);
    for (unsigned i = 0; i < 4; i++) {
        CHECK_OK(pg_scope_spawn(&scope, "test.record", body_own_record, &numbers[i]));
    }
    CHECK_OK(pg_scope_join(&scope));
    CHECK(pg_error_last()->code == PG_OK);
    return PG_OK;
}

static void test_record__each_fiber__has_its_own(void **state)
{
    (void) state;
    in_fiber(body_records, NULL);
}

static void test_run__first_fiber_fails__its_detail_is_the_threads(void **state)
{
    (void) state;
    int nine = 9;
    assert_int_equal(pg_runtime_run(NULL, body_fail, &nine), PG_ERR_CORRUPT);
    assert_string_equal(pg_error_detail(PG_ERR_CORRUPT), "shard 9");
}

static pg_err body_run_again(void *arg)
{
    (void) arg;
    CHECK(!pg_runtime_is_sim());
    CHECK_ERR(pg_runtime_run(NULL, body_run_again, NULL), PG_ERR_BUSY);
    return PG_OK;
}

static void test_run__while_one_is_on__is_refused(void **state)
{
    (void) state;
    in_fiber(body_run_again, NULL);
    assert_false(pg_runtime_is_sim());
}

static pg_err body_nothing(void *arg)
{
    (void) arg;
    return PG_OK;
}

static pg_err body_out_of_memory(void *arg)
{
    (void) arg;
    pg_scope scope;
    pg_scope_init(&scope);
    pg_mem_fail_nth(1); // the entry of a kind not seen yet
    CHECK_ERR(pg_scope_spawn(&scope, "test.new_kind", body_nothing, NULL), PG_ERR_NOMEM);
    CHECK(pg_mem_failed());
    pg_mem_fail_nth(0);
    CHECK_OK(pg_scope_join(&scope));
    return PG_OK;
}

static void test_spawn__out_of_memory__fails_cleanly(void **state)
{
    (void) state;
    in_fiber(body_out_of_memory, NULL);
    for (uint64_t n = 1;; n++) {
        pg_mem_fail_nth(n);
        pg_err err = pg_runtime_run(NULL, body_nothing, NULL);
        bool failed = pg_mem_failed();
        pg_mem_fail_nth(0);
        assert_int_equal(err, failed ? PG_ERR_NOMEM : PG_OK);
        if (!failed) {
            break;
        }
    }
}

#define MANY 1500 // more than both parts of the pool hold

static pg_err body_many(void *arg)
{
    (void) arg;
    pg_scope scope;
    pg_waitq waitq;
    pg_waitq_init(&waitq);
    for (unsigned round = 0; round < 2; round++) {
        struct waits waits = {.count = 1};
        pg_scope_init(&scope);
        pg_waitq_init(&waits.waitq);
        for (unsigned i = 0; i < MANY; i++) {
            CHECK_OK(pg_scope_spawn(&scope, "test.many", body_nothing, NULL));
        }
        CHECK_OK(pg_scope_join(&scope));
    }
    return PG_OK;
}

static void test_spawn__more_than_the_pool_keeps__works(void **state)
{
    (void) state;
    in_fiber(body_many, NULL);
}

static pg_err body_deep(void *arg)
{
    volatile char space[20000]; // written one by one: clang drops a memset of it
    for (size_t i = 0; i < sizeof(space); i++) {
        space[i] = 1;
    }
    *(bool *) arg = space[100] == 1;
    return PG_OK;
}

static void on_stats(const pg_fiber_stats *stats, void *user)
{
    size_t *deep = user;
    print_message("fiber %-16s stack %6zu high water %6zu running %zu started %zu\n", stats->kind,
                  stats->stack_bytes, stats->high_water_bytes, stats->running,
                  stats->started_total);
    if (strcmp(stats->kind, "test.deep") == 0) {
        *deep = stats->high_water_bytes;
    }
}

static pg_err body_stats(void *arg)
{
    (void) arg;
    pg_scope scope;
    bool value = false;
    size_t deep = 0;
    pg_scope_init(&scope);
    CHECK_OK(pg_scope_spawn(&scope, "test.deep", body_deep, &value));
    CHECK_OK(pg_scope_spawn(&scope, "test.shallow", body_nothing, NULL));
    CHECK_OK(pg_scope_join(&scope));
    pg_fiber_stats_each(on_stats, &deep);
    CHECK(deep > 20000 && deep < PG_FIBER_STACK_BYTES);
    return PG_OK;
}

static void test_stats__painted_stacks__tell_the_high_water_mark(void **state)
{
    (void) state;
    pg_runtime_config config = {.measure_stacks = true};
    assert_int_equal(pg_runtime_run(&config, body_stats, NULL), PG_OK);
}

static pg_err body_idle_wait(void *arg)
{
    struct waits *waits = arg;
    waits->count++;
    return pg_waitq_wait(&waits->waitq, pg_after(PG_HOURS(1)));
}

#define IDLE 4000
#define IDLE_BYTES_MAX 12288

static size_t resident_bytes(void)
{
    char text[128] = "";
    FILE *file = fopen("/proc/self/statm", "re"); // pages: total, resident, ..
    CHECK(file != NULL && fgets(text, sizeof(text), file) != NULL);
    (void) fclose(file);
    const char *resident = strchr(text, ' ');
    CHECK(resident != NULL);
    return strtoul(resident, NULL, 10) * (size_t) sysconf(_SC_PAGESIZE);
}

static pg_err body_idle(void *arg)
{
    (void) arg;
    struct waits waits = {.count = 0};
    pg_scope scope;
    pg_scope_init(&scope);
    pg_waitq_init(&waits.waitq);
    size_t before = resident_bytes();
    for (unsigned i = 0; i < IDLE; i++) {
        CHECK_OK(pg_scope_spawn(&scope, "test.idle", body_idle_wait, &waits));
    }
    CHECK_OK(pg_sleep_until(pg_after(PG_MS(1))));
    size_t each = (resident_bytes() - before) / IDLE;
    CHECK(waits.count == IDLE);
    pg_waitq_wake_all(&waits.waitq);
    CHECK_OK(pg_scope_join(&scope));
    print_message("an idle fiber has touched %zu bytes\n", each);
    CHECK(each < IDLE_BYTES_MAX);
    return PG_OK;
}

static void test_fiber__idle__touches_few_pages(void **state)
{
    (void) state;
#if defined(PG_WITH_ASAN) || defined(PG_WITH_TSAN)
    skip(); // their shadow memory counts too
#endif
    in_fiber(body_idle, NULL);
}

static void test_time__outside_a_run__runs_forward(void **state)
{
    (void) state;
    pg_time before = pg_now();
    assert_true(pg_now() >= before);
    pg_time with_suspend = pg_now_with_suspend();
    assert_true(with_suspend > 0 && pg_now_with_suspend() >= with_suspend);
    assert_int_equal(pg_after(INT64_MAX), PG_FOREVER);
    assert_int_equal(pg_earlier(3, 2), 2);
    assert_true(pg_wall_ms() > INT64_C(1600000000000));
}

static pg_err body_time(void *arg)
{
    (void) arg;
    CHECK(pg_wall_ms() > INT64_C(1600000000000));
    CHECK_OK(pg_sleep_until(pg_now() - PG_SECONDS(1))); // past: one turn
    CHECK_OK(pg_sleep_until(pg_after(PG_US(100))));
    return PG_OK;
}

static void test_time__inside_a_run__sleeps(void **state)
{
    (void) state;
    in_fiber(body_time, NULL);
}

static pg_err body_random(void *arg)
{
    (void) arg;
    uint8_t a[32] = {0};
    uint8_t b[32] = {0};
    pg_random_bytes(pg_mut_bytes_make(a, sizeof(a)));
    pg_random_bytes(pg_mut_bytes_make(b, sizeof(b)));
    CHECK(memcmp(a, b, sizeof(a)) != 0);
    unsigned seen = 0;
    for (unsigned i = 0; i < 1000; i++) {
        uint64_t value = pg_random_below(3);
        CHECK(value < 3);
        seen |= 1U << value;
    }
    CHECK(seen == 7);
    CHECK(pg_random_below(0) == 0 && pg_random_below(1) == 0);
    return PG_OK;
}

static void test_random__inside_and_outside__is_uniform_below_a_bound(void **state)
{
    (void) state;
    assert_int_equal(body_random(NULL), PG_OK);
    in_fiber(body_random, NULL);
}

static pg_err body_crash_victim(void *arg)
{
    pg_err *errs = arg;
    pg_scope scope;
    pg_err slept = PG_OK;
    pg_scope_init(&scope);
    CHECK_OK(pg_scope_spawn(&scope, "test.child", body_sleep, &slept));
    pg_fiber_shield(true);
    errs[0] = pg_sleep_until(PG_FOREVER);
    CHECK(pg_fiber_is_ghost());
    errs[1] = pg_fiber_yield();
    CHECK_ERR(pg_scope_spawn(&scope, "test.child", body_sleep, &slept), PG_ERR_CANCELLED);
    errs[2] = pg_scope_join(&scope); // waits for the child all the same
    CHECK_ERR(slept, PG_ERR_CANCELLED);
    return errs[0];
}

static pg_err body_crash(void *arg)
{
    (void) arg;
    pg_machine machine;
    pg_scope scope;
    pg_err errs[3] = {0};
    pg_machine_init(&machine);
    pg_scope_init(&scope);
    CHECK(pg_fiber_machine() == NULL);
    CHECK_OK(pg_machine_spawn(&machine, &scope, "test.victim", body_crash_victim, errs));
    CHECK_OK(pg_fiber_yield());
    CHECK_OK(pg_fiber_yield());
    pg_machine_crash(&machine);
    CHECK(pg_list_is_empty(&machine.fibers));
    CHECK_OK(pg_scope_join(&scope));
    for (unsigned i = 0; i < 3; i++) {
        CHECK_ERR(errs[i], PG_ERR_CANCELLED);
    }
    return PG_OK;
}

static void test_machine__crashes__its_fibers_unwind_as_ghosts(void **state)
{
    (void) state;
    in_fiber(body_crash, NULL);
}

static pg_err job_big(void *arg)
{
    volatile char space[1024 * 1024]; // more than any fiber's stack
    memset((char *) (uintptr_t) space, 1, sizeof(space));
    CHECK(pg_job_is_running() && pg_fiber_self() == arg);
    return pg_fail(PG_ERR_KEY, "big %d", space[5]);
}

static pg_err body_big(void *arg)
{
    (void) arg;
    CHECK_ERR(pg_fiber_call_big(job_big, pg_fiber_self()), PG_ERR_KEY);
    CHECK(strcmp(pg_error_detail(PG_ERR_KEY), "big 1") == 0);
    CHECK(!pg_job_is_running());
    return PG_OK;
}

static void test_fiber__calls_on_the_big_stack__gets_result_and_detail(void **state)
{
    (void) state;
    in_fiber(body_big, NULL);
}

static pg_err body_abort(void *arg)
{
    (void) arg;
    pg_scope scope;
    pg_err slept = PG_OK;
    pg_scope_init(&scope);
    CHECK_OK(pg_scope_spawn(&scope, "test.sleep", body_sleep, &slept));
    CHECK_OK(pg_fiber_yield());
    pg_sched_abort(PG_ERR_LIMIT);
    pg_sched_abort(PG_ERR_IO); // too late
    CHECK_ERR(pg_sleep_until(PG_FOREVER), PG_ERR_CANCELLED);
    CHECK_ERR(pg_scope_join(&scope), PG_ERR_CANCELLED);
    return PG_OK;
}

static void test_run__aborted__everything_unwinds(void **state)
{
    (void) state;
    assert_int_equal(pg_runtime_run(NULL, body_abort, NULL), PG_ERR_LIMIT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fiber__several_spawned__run_in_order_of_spawning),
        cmocka_unit_test(test_fiber__trimmed__gives_deep_pages_back_and_goes_on),
        cmocka_unit_test(test_scope__one_fails__siblings_are_cancelled_and_first_error_returned),
        cmocka_unit_test(test_scope__tolerant__failures_stay_alone),
        cmocka_unit_test(test_scope__cancelled__refuses_spawns_and_join_is_ok),
        cmocka_unit_test(test_scope__joiner_is_cancelled__its_fibers_are_too),
        cmocka_unit_test(test_shield__cancelled_fiber__can_wait_for_its_cleanup),
        cmocka_unit_test(test_scope__closed_at_once__fiber_still_runs_and_cleans_up),
        cmocka_unit_test(test_waitq__deadline_and_wake__end_the_wait_in_order),
        cmocka_unit_test(test_waitq__woken_then_cancelled__wake_counts),
        cmocka_unit_test(test_waitq__hard_wait__goes_on_when_cancelled),
        cmocka_unit_test(test_waitq__first_waiter_was_cancelled__wake_goes_to_the_next),
        cmocka_unit_test(test_record__each_fiber__has_its_own),
        cmocka_unit_test(test_run__first_fiber_fails__its_detail_is_the_threads),
        cmocka_unit_test(test_run__while_one_is_on__is_refused),
        cmocka_unit_test(test_spawn__out_of_memory__fails_cleanly),
        cmocka_unit_test(test_spawn__more_than_the_pool_keeps__works),
        cmocka_unit_test(test_stats__painted_stacks__tell_the_high_water_mark),
        cmocka_unit_test(test_fiber__idle__touches_few_pages),
        cmocka_unit_test(test_time__outside_a_run__runs_forward),
        cmocka_unit_test(test_time__inside_a_run__sleeps),
        cmocka_unit_test(test_random__inside_and_outside__is_uniform_below_a_bound),
        cmocka_unit_test(test_machine__crashes__its_fibers_unwind_as_ghosts),
        cmocka_unit_test(test_fiber__calls_on_the_big_stack__gets_result_and_detail),
        cmocka_unit_test(test_run__aborted__everything_unwinds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
