// SPDX-License-Identifier: Apache-2.0
// Goal: children start, talk, end and die as process.h says; signals and names reach the fibers that wait for them.
// Method: small programs every system has, in one run.
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/str.h"
#include "in_fiber.h"
#include "runtime/fiber.h"
#include "runtime/process.h"
#include "runtime/resolve.h"

#define SHELL(script) ((const char *const[]){"sh", "-c", (script), NULL})

static pg_process_spec spec_of(const char *const *argv)
{
    return (pg_process_spec){
        .argv = argv,
        .stdin_fd = PG_PROCESS_FD_NULL,
        .stdout_fd = PG_PROCESS_FD_NULL,
        .stderr_fd = PG_PROCESS_FD_NULL,
    };
}

static void read_all(pg_stream *stream, pg_buf *out)
{
    for (size_t len = 1; len > 0;) {
        uint8_t *space = NULL;
        CHECK_OK(pg_buf_extend(out, 256, &space));
        CHECK_OK(pg_stream_read(stream, pg_mut_bytes_make(space, 256), SOON, &len));
        out->len -= 256 - len;
    }
}

static pg_err body_talk(void *arg)
{
    (void) arg;
    pg_process *process = NULL;
    pg_buf text = {0};
    int status = -1;
    pg_process_spec spec = spec_of(SHELL("cat; echo \"$WORD in $(pwd)\"; echo oops >&2; exit 7"));
    spec.env = (const char *const[]){"WORD=home", "PATH=/usr/bin:/bin", NULL};
    spec.cwd = "/";
    spec.stdin_fd = PG_PROCESS_FD_PIPE;
    spec.stdout_fd = PG_PROCESS_FD_PIPE;
    spec.stderr_fd = PG_PROCESS_FD_PIPE;
    CHECK_OK(pg_process_spawn(&spec, &process));
    CHECK(pg_process_pid(process) > 0);
    pg_stream *in = pg_process_take_pipe(process, 0);
    pg_stream *out = pg_process_take_pipe(process, 1);
    pg_stream *err = pg_process_take_pipe(process, 2);
    CHECK(in != NULL && out != NULL && err != NULL && pg_process_take_pipe(process, 1) == NULL);
    CHECK_OK(pg_stream_write(in, PG_BYTES_LIT("hello "), SOON));
    CHECK_OK(pg_stream_close_write(in, SOON));
    read_all(out, &text);
    CHECK(pg_bytes_equal(pg_buf_bytes(&text), PG_BYTES_LIT("hello home in /\n")));
    pg_buf_clear(&text);
    read_all(err, &text);
    CHECK(pg_bytes_equal(pg_buf_bytes(&text), PG_BYTES_LIT("oops\n")));
    CHECK_OK(pg_process_wait(process, SOON, &status));
    CHECK(status == 7);
    CHECK_OK(pg_process_wait(process, SOON, &status)); // again
    CHECK_ERR(pg_process_kill(process, SIGTERM), PG_ERR_CLOSED);
    pg_stream_free(&in);
    pg_stream_free(&out);
    pg_stream_free(&err);
    pg_process_free(&process);
    CHECK(process == NULL);
    pg_process_free(&process);
    pg_buf_deinit(&text);
    return PG_OK;
}

static void test_process__with_pipes__talks_and_tells_its_exit_code(void **state)
{
    (void) state;
    in_fiber(body_talk, NULL);
}

static pg_err body_wait(void *arg)
{
    int status = 0;
    return pg_process_wait(arg, PG_FOREVER, &status);
}

static pg_err body_killed(void *arg)
{
    (void) arg;
    pg_process *process = NULL;
    pg_scope scope;
    int status = -1;
    pg_process_spec spec = spec_of((const char *const[]){"sleep", "1000", NULL});
    spec.die_with_parent = true;
    CHECK_OK(pg_process_spawn(&spec, &process));
    CHECK_ERR(pg_process_wait(process, pg_after(PG_MS(1)), &status), PG_ERR_TIMEOUT);
    pg_scope_init(&scope);
    CHECK_OK(pg_scope_spawn(&scope, "test.wait", body_wait, process));
    CHECK_OK(pg_fiber_yield());
    pg_scope_cancel(&scope);
    CHECK_OK(pg_scope_join(&scope));
    CHECK_OK(pg_process_kill(process, SIGTERM));
    CHECK_OK(pg_process_wait(process, SOON, &status));
    CHECK(status == 128 + SIGTERM);
    pg_process_free(&process);
    // Freed while it runs: killed, and gone.
    CHECK_OK(pg_process_spawn(&spec, &process));
    int64_t pid = pg_process_pid(process);
    pg_process_free(&process);
    CHECK(kill((pid_t) pid, 0) != 0);
    return PG_OK;
}

static void test_process__killed_or_freed__ends(void **state)
{
    (void) state;
    in_fiber(body_killed, NULL);
}

static pg_err body_refused(void *arg)
{
    (void) arg;
    pg_process *process = NULL;
    pg_process_spec spec = spec_of((const char *const[]){"no-such-program-here", NULL});
    CHECK_ERR(pg_process_spawn(&spec, &process), PG_ERR_NOT_FOUND);
    CHECK(strstr(pg_error_detail(PG_ERR_NOT_FOUND), "no-such-program-here") != NULL);
    spec.argv = (const char *const[]){"/etc/passwd", NULL};
    CHECK_ERR(pg_process_spawn(&spec, &process), PG_ERR_ACCESS);
    spec = spec_of(SHELL("true"));
    spec.cwd = "/nonexistent";
    CHECK_ERR(pg_process_spawn(&spec, &process), PG_ERR_NOT_FOUND);
    spec.cwd = NULL;
    spec.stdin_fd = 999;
    CHECK_ERR(pg_process_spawn(&spec, &process), PG_ERR_IO);
    spec.stdin_fd = -9;
    CHECK(pg_process_spawn(&spec, &process) != PG_OK);
    spec.stdin_fd = PG_PROCESS_FD_PIPE;
    for (uint64_t n = 1; n <= 4; n++) {
        pg_mem_fail_nth(n);
        CHECK_ERR(pg_process_spawn(&spec, &process), PG_ERR_NOMEM);
        CHECK(pg_mem_failed() || n == 4);
    }
    pg_mem_fail_nth(0);
    return PG_OK;
}

static void test_process__cannot_start__says_why(void **state)
{
    (void) state;
    in_fiber(body_refused, NULL);
}

static pg_err body_orphan(void *arg)
{
    pg_process *process = NULL;
    pg_process_spec spec = spec_of((const char *const[]){"sleep", "1000", NULL});
    spec.die_with_parent = true;
    CHECK_OK(pg_process_spawn(&spec, &process));
    pid_t pid = (pid_t) pg_process_pid(process);
    CHECK(write(*(const int *) arg, &pid, sizeof(pid)) == sizeof(pid));
    (void) raise(SIGKILL);
    return PG_OK;
}

// A process of its own that starts a child and is killed; the child's standard error stays open as long as it lives.
static void test_process__parent_is_killed__dies_too(void **state)
{
    (void) state;
    int tell[2];
    assert_int_equal(pipe(tell), 0);
    pid_t parent = fork();
    if (parent == 0) {
        pg_ignore(pg_runtime_run(NULL, body_orphan, &tell[1]), "it never returns");
        _exit(1);
    }
    assert_int_equal(close(tell[1]), 0);
    pid_t child = 0;
    assert_int_equal(read(tell[0], &child, sizeof(child)), sizeof(child));
    assert_int_equal(waitpid(parent, NULL, 0), parent);
    // It is init's now; its end is a matter of microseconds.
    for (unsigned i = 0; i < 10000 && kill(child, 0) == 0; i++) {
        char name[64];
        char status[512] = "";
        (void) snprintf(name, sizeof(name), "/proc/%d/stat", (int) child);
        FILE *file = fopen(name, "re");
        if (file == NULL) {
            break;
        }
        size_t len = fread(status, 1, sizeof(status) - 1, file);
        (void) fclose(file);
        status[len] = '\0';
        if (strstr(status, ") Z ") != NULL) {
            break;
        }
        assert_true(i < 9999);
        (void) usleep(100);
    }
    assert_int_equal(close(tell[0]), 0);
}

static pg_err body_signal_wait(void *arg)
{
    pg_err *out_err = arg;
    int number = 0;
    *out_err = pg_signal_wait(PG_FOREVER, &number);
    return PG_OK;
}

static pg_err body_signals(void *arg)
{
    (void) arg;
    int number = 0;
    CHECK_ERR(pg_signal_wait(pg_after(PG_MS(1)), &number), PG_ERR_TIMEOUT);
    CHECK(raise(SIGTERM) == 0);
    CHECK_OK(pg_signal_wait(SOON, &number));
    CHECK(number == SIGTERM);
    CHECK(raise(SIGHUP) == 0 && raise(SIGINT) == 0);
    int seen = 0;
    for (unsigned i = 0; i < 2; i++) {
        CHECK_OK(pg_signal_wait(SOON, &number));
        seen += number;
    }
    CHECK(seen == SIGHUP + SIGINT);
    pg_scope scope;
    pg_err err = PG_OK;
    pg_scope_init(&scope);
    CHECK_OK(pg_scope_spawn(&scope, "test.signal", body_signal_wait, &err));
    CHECK_OK(pg_fiber_yield());
    pg_scope_close(&scope);
    CHECK_ERR(err, PG_ERR_CANCELLED);
    return PG_OK;
}

static void test_signal__sent__reaches_the_fiber_that_waits(void **state)
{
    (void) state;
    in_fiber(body_signals, NULL);
}

static pg_err body_resolve_for_ever(void *arg)
{
    pg_err *out_err = arg;
    pg_endpoint endpoints[PG_RESOLVE_MAX];
    size_t count = 0;
    *out_err = pg_resolve("localhost", PG_IP_FAMILY_NONE, PG_FOREVER, endpoints, &count);
    return PG_OK;
}

static pg_err body_resolve(void *arg)
{
    (void) arg;
    pg_endpoint endpoints[PG_RESOLVE_MAX];
    size_t count = 0;
    CHECK_OK(pg_resolve("127.0.0.1", PG_IP_FAMILY_V4, SOON, endpoints, &count));
    CHECK(count == 1 && endpoints[0].family == PG_IP_FAMILY_V4 && endpoints[0].ip[0] == 127 &&
          endpoints[0].port == 0);
    CHECK_OK(pg_resolve("::1", PG_IP_FAMILY_NONE, SOON, endpoints, &count));
    CHECK(count == 1 && endpoints[0].family == PG_IP_FAMILY_V6 && endpoints[0].ip[15] == 1);
    CHECK_OK(pg_resolve("localhost", PG_IP_FAMILY_NONE, SOON, endpoints, &count));
    CHECK(count >= 1);
    CHECK_ERR(pg_resolve("127.0.0.1", PG_IP_FAMILY_V6, SOON, endpoints, &count), PG_ERR_NOT_FOUND);
    CHECK(pg_resolve("no-such-name.invalid", PG_IP_FAMILY_V4, SOON, endpoints, &count) != PG_OK);
    for (uint64_t n = 1; n <= 2; n++) {
        pg_mem_fail_nth(n);
        CHECK_ERR(pg_resolve("::1", PG_IP_FAMILY_NONE, SOON, endpoints, &count), PG_ERR_NOMEM);
    }
    pg_mem_fail_nth(0);
    pg_scope scope;
    pg_err err = PG_OK;
    pg_scope_init(&scope);
    CHECK_OK(pg_scope_spawn(&scope, "test.resolve", body_resolve_for_ever, &err));
    CHECK_OK(pg_fiber_yield());
    pg_scope_close(&scope);
    CHECK(err == PG_ERR_CANCELLED || err == PG_OK); // the answer may have come first
    return PG_OK;
}

static void test_resolve__literal_local_or_unknown__answers_so(void **state)
{
    (void) state;
    in_fiber(body_resolve, NULL);
}

static pg_err body_unmap(void *arg)
{
    (void) arg;
    long pages[3] = {0};
    for (size_t i = 0; i < PG_ARRAY_LEN(pages); i++) {
        long total = 0;
        FILE *file = fopen("/proc/self/statm", "r");
        CHECK(file != NULL && fscanf(file, "%ld %ld %*d", &total, &pages[i]) == 2);
        (void) fclose(file);
        pg_process_unmap_unused();
    }
    CHECK(pages[1] < pages[0]);
    CHECK(pages[2] <= pages[1] + pages[0] / 4); // what is in use comes back, not all
    return body_resolve(NULL);                  // all still works
}

static void test_process__pages_unmapped__takes_less_and_goes_on(void **state)
{
    (void) state;
    in_fiber(body_unmap, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_process__with_pipes__talks_and_tells_its_exit_code),
        cmocka_unit_test(test_process__killed_or_freed__ends),
        cmocka_unit_test(test_process__cannot_start__says_why),
        cmocka_unit_test(test_process__parent_is_killed__dies_too),
        cmocka_unit_test(test_signal__sent__reaches_the_fiber_that_waits),
        cmocka_unit_test(test_resolve__literal_local_or_unknown__answers_so),
        cmocka_unit_test(test_process__pages_unmapped__takes_less_and_goes_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
