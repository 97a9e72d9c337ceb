// SPDX-License-Identifier: Apache-2.0
// The real world: its loop, clocks and randomness, and the start of a run.
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "base/map.h"
#include "runtime/random.h"
#include "runtime/random_priv.h"
#include "runtime/real_priv.h"

pg_err pg_err_of_errno(int number)
{
    static const struct {
        int number;
        pg_err err;
    } table[] = {
        {ENOENT, PG_ERR_NOT_FOUND},
        {ENOTDIR, PG_ERR_NOT_FOUND},
        {EEXIST, PG_ERR_EXISTS},
        {EACCES, PG_ERR_ACCESS},
        {EPERM, PG_ERR_ACCESS},
        {EROFS, PG_ERR_ACCESS},
        {ENOSPC, PG_ERR_FULL},
        {EDQUOT, PG_ERR_FULL},
        {EFBIG, PG_ERR_FULL},
        {ENOMEM, PG_ERR_NOMEM},
        {EAGAIN, PG_ERR_BUSY},
        {EBUSY, PG_ERR_BUSY},
        {EADDRINUSE, PG_ERR_BUSY},
        {ENOTEMPTY, PG_ERR_BUSY},
        {ETXTBSY, PG_ERR_BUSY},
        {EMFILE, PG_ERR_LIMIT},
        {ENFILE, PG_ERR_LIMIT},
        {EMSGSIZE, PG_ERR_LIMIT},
        {ENAMETOOLONG, PG_ERR_LIMIT},
        {ECONNRESET, PG_ERR_RESET},
        {EPIPE, PG_ERR_RESET},
        {ECONNABORTED, PG_ERR_RESET},
        {ECONNREFUSED, PG_ERR_REFUSED},
        {ENETUNREACH, PG_ERR_UNREACHABLE},
        {EHOSTUNREACH, PG_ERR_UNREACHABLE},
        {EADDRNOTAVAIL, PG_ERR_UNREACHABLE},
        {ENODEV, PG_ERR_UNREACHABLE}, // no such interface
        {ENETDOWN, PG_ERR_UNREACHABLE},
        {EHOSTDOWN, PG_ERR_UNREACHABLE},
        {EAFNOSUPPORT, PG_ERR_UNREACHABLE},
        {ETIMEDOUT, PG_ERR_TIMEOUT},
        {EOPNOTSUPP, PG_ERR_UNSUPPORTED},
        {ENOSYS, PG_ERR_UNSUPPORTED},
        {EINVAL, PG_ERR_INVALID},
        {ECHILD, PG_ERR_CLOSED},
        {ESRCH, PG_ERR_CLOSED},
        {EISDIR, PG_ERR_INVALID},
    };
    for (size_t i = 0; i < PG_ARRAY_LEN(table); i++) {
        if (table[i].number == number) {
            return table[i].err;
        }
    }
    return PG_ERR_IO;
}

pg_err pg_fail_errno(int number, const char *what, const char *path)
{
    char text[128];
    const char *reason = strerror_r(number, text, sizeof(text));
    return path == NULL ? pg_fail(pg_err_of_errno(number), "%s: %s", what, reason)
                        : pg_fail(pg_err_of_errno(number), "%s %s: %s", what, path, reason);
}

// ---- Clocks and randomness

static pg_time real_now(const pg_world *world)
{
    (void) world;
    struct timespec now;
    (void) clock_gettime(CLOCK_MONOTONIC, &now);
    return PG_SECONDS(now.tv_sec) + now.tv_nsec;
}

static int64_t real_wall_ms(const pg_world *world)
{
    (void) world;
    struct timespec now;
    (void) clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t) now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void real_random(pg_world *world, pg_mut_bytes out)
{
    (void) world;
    pg_random_system(out);
}

// ---- The loop

static void on_alarm(uv_poll_t *handle, int status, int events)
{
    (void) status;
    (void) events;
    pg_real *real = handle->data;
    uint64_t times = 0;
    ssize_t got = read(real->alarm_fd, &times, sizeof(times));
    (void) got; // nothing to read: it was set anew meanwhile
    real->alarm_at = PG_FOREVER;
}

// Set the alarm, unless it stands earlier: waking once too often costs less than setting it at every wait.
static void alarm_set(pg_real *real, pg_time at)
{
    if (at >= real->alarm_at) {
        return;
    }
    struct itimerspec when = {
        .it_value = {.tv_sec = at / PG_SECONDS(1), .tv_nsec = at % PG_SECONDS(1)}};
    int rc = timerfd_settime(real->alarm_fd, TFD_TIMER_ABSTIME, &when, NULL);
    pg_assert(rc == 0);
    real->alarm_at = at;
}

static pg_err real_poll(pg_world *world, pg_time until)
{
    pg_real *real = (pg_real *) (void *) world;
    bool must_wait = until == PG_FOREVER || (until > 0 && until > real_now(world));
    if (must_wait) {
        alarm_set(real, until);
    }
    (void) uv_run(&real->loop, must_wait ? UV_RUN_ONCE : UV_RUN_NOWAIT);
    return PG_OK;
}

static const pg_world_ops real_ops = {
    .is_sim = false,
    .now = real_now,
    .wall_ms = real_wall_ms,
    .random = real_random,
    .poll = real_poll,
    .socket = &pg_real_socket_ops,
    .file = &pg_real_file_ops,
    .job = &pg_real_job_ops,
};

pg_real *pg_real_get(void)
{
    pg_world *world = pg_world_current();
    return world != NULL && world->ops == &real_ops ? (pg_real *) (void *) world : NULL;
}

bool pg_runtime_is_sim(void)
{
    const pg_world *world = pg_world_current();
    return world != NULL && world->ops->is_sim;
}

static pg_err real_init(pg_real *real, const pg_runtime_config *config)
{
    *real = (pg_real){.world = {&real_ops}, .alarm_fd = -1, .alarm_at = PG_FOREVER};
    real->cpu_threads = config->cpu_threads;
    real->io_threads = config->io_threads;
    if (uv_loop_init(&real->loop) != 0) {
        return pg_fail(PG_ERR_IO, "cannot make the event loop");
    }
    real->has_loop = true;
    real->alarm_fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    if (real->alarm_fd < 0 || uv_poll_init(&real->loop, &real->alarm, real->alarm_fd) != 0) {
        return pg_fail(PG_ERR_IO, "cannot make the timer of the loop");
    }
    real->alarm.data = real;
    if (uv_poll_start(&real->alarm, UV_READABLE, on_alarm) != 0) {
        return pg_fail(PG_ERR_IO, "cannot watch the timer of the loop");
    }
    return pg_real_jobs_init(real);
}

// Half-built is fine.
static void real_deinit(pg_real *real)
{
    pg_real_signals_deinit(real);
    pg_real_jobs_deinit(real);
    if (real->alarm.data != NULL) {
        uv_close((uv_handle_t *) &real->alarm, NULL);
    }
    if (real->alarm_fd >= 0) {
        (void) close(real->alarm_fd);
    }
    if (real->has_loop) {
        (void) uv_run(&real->loop, UV_RUN_DEFAULT); // lets closed handles go
        int rc = uv_loop_close(&real->loop);
        pg_assert(rc == 0); // else: a handle was left open
    }
}

pg_err pg_runtime_run(const pg_runtime_config *config, pg_fiber_fn fn, void *arg)
{
    static const pg_runtime_config defaults;
    const pg_runtime_config *used = config != NULL ? config : &defaults;
    pg_real real;
    pg_err err = real_init(&real, used);
    if (err == PG_OK) {
        (void) signal(SIGPIPE, SIG_IGN); // writes tell
        uint64_t seed = 0;
        pg_random_system(pg_mut_bytes_make(&seed, sizeof(seed)));
        pg_map_seed(seed);
        err = pg_sched_run(&real.world, used->measure_stacks, fn, arg);
    }
    real_deinit(&real);
    return err;
}
