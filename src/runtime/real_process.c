// SPDX-License-Identifier: Apache-2.0
// Child processes. fork and exec by hand: neither libuv nor posix_spawn can tie a child's life to ours. A pidfd tells the
// loop of its end, and no signal can hit a stranger who got the same pid.
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/mem.h"
#include "runtime/process.h"
#include "runtime/real_priv.h"

#define STANDARD_FDS 3

struct pg_process {
    pid_t pid;
    pg_watch *watch; // of the pidfd
    pg_stream *pipes[STANDARD_FDS];
    bool has_ended;
    int status;
};

/** Descriptors while a child is being made; -1: none. */
struct plumbing {
    int child[STANDARD_FDS];    // what it gets
    bool is_made[STANDARD_FDS]; // child[i] is ours to close
    int ours[STANDARD_FDS];     // our ends of the pipes
    int fault[2];               // the child writes an errno here when it cannot become the program
};

static void fd_close(int *fd)
{
    if (*fd >= 0) {
        (void) close(*fd);
        *fd = -1;
    }
}

static void plumbing_deinit(struct plumbing *plumbing)
{
    for (unsigned i = 0; i < STANDARD_FDS; i++) {
        if (plumbing->is_made[i]) {
            fd_close(&plumbing->child[i]);
        }
        fd_close(&plumbing->ours[i]);
    }
    fd_close(&plumbing->fault[0]);
    fd_close(&plumbing->fault[1]);
}

static pg_err plumbing_make(struct plumbing *plumbing, const pg_process_spec *spec)
{
    const int wanted[STANDARD_FDS] = {spec->stdin_fd, spec->stdout_fd, spec->stderr_fd};
    if (pipe2(plumbing->fault, O_CLOEXEC) != 0) {
        return pg_fail_errno(errno, "pipe", NULL);
    }
    for (unsigned i = 0; i < STANDARD_FDS; i++) {
        int ends[2] = {-1, -1};
        plumbing->child[i] = wanted[i];
        if (wanted[i] == PG_PROCESS_FD_NULL) {
            plumbing->child[i] = open("/dev/null", O_RDWR | O_CLOEXEC);
            plumbing->is_made[i] = true;
        } else if (wanted[i] == PG_PROCESS_FD_PIPE && pipe2(ends, O_CLOEXEC) == 0) {
            plumbing->child[i] = ends[i == 0 ? 0 : 1];
            plumbing->ours[i] = ends[i == 0 ? 1 : 0];
            plumbing->is_made[i] = true;
        }
        if (plumbing->child[i] < 0) {
            return pg_fail_errno(errno, "descriptors of a child", NULL);
        }
    }
    return PG_OK;
}

// In the child: only calls that are safe after fork in a program with threads.
PG_NORETURN static void child_become(const pg_process_spec *spec, const struct plumbing *plumbing,
                                     pid_t parent)
{
    int sources[STANDARD_FDS];
    sigset_t none;
    (void) sigemptyset(&none);
    (void) sigprocmask(SIG_SETMASK, &none, NULL);
    (void) signal(SIGPIPE, SIG_DFL);
    for (int i = 0; i < STANDARD_FDS; i++) {
        sources[i] =
            fcntl(plumbing->child[i], F_DUPFD_CLOEXEC, STANDARD_FDS); // out of the way of 0 to 2
        if (sources[i] < 0) {
            goto fail;
        }
    }
    for (int i = 0; i < STANDARD_FDS; i++) {
        if (dup2(sources[i], i) < 0) {
            goto fail;
        }
    }
    (void) close_range(STANDARD_FDS, ~0U, CLOSE_RANGE_CLOEXEC); // what libraries left open
    if (spec->die_with_parent) {
        (void) prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() != parent) {
            _exit(127); // it died just before
        }
    }
    if (spec->cwd != NULL && chdir(spec->cwd) != 0) {
        goto fail;
    }
    char *const *argv = (char *const *) (uintptr_t) spec->argv;
    char *const *env = (char *const *) (uintptr_t) spec->env;
    (void) execvpe(argv[0], argv, env != NULL ? env : environ);
fail:;
    int number = errno;
    ssize_t put = write(plumbing->fault[1], &number, sizeof(number));
    (void) put; // nobody is there to be told
    _exit(127);
}

// Wait until the child has become the program, some 100 us; 0 or the errno that hindered it.
static int fault_read(struct plumbing *plumbing)
{
    int number = 0;
    ssize_t got = -1;
    fd_close(&plumbing->fault[1]);
    do {
        got = read(plumbing->fault[0], &number, sizeof(number));
    } while (got < 0 && errno == EINTR);
    return got == (ssize_t) sizeof(number) ? number : 0;
}

// Our side of a child that runs: its pidfd and the streams of its pipes.
static pg_err process_adopt(pg_real *real, pg_process *process, struct plumbing *plumbing)
{
    int pidfd = pidfd_open(process->pid, 0);
    if (pidfd < 0) {
        return pg_fail_errno(errno, "watch a child", NULL);
    }
    PG_TRY(pg_watch_new(real, pidfd, &process->watch));
    for (unsigned i = 0; i < STANDARD_FDS; i++) {
        int fd = plumbing->ours[i];
        pg_watch *watch = NULL;
        plumbing->ours[i] = -1;
        if (fd >= 0) {
            PG_TRY(pg_watch_new(real, fd, &watch));
            PG_TRY(pg_real_stream_new(watch, false, &process->pipes[i]));
        }
    }
    return PG_OK;
}

static void process_deinit(pg_process *process)
{
    if (process->watch != NULL) {
        pg_watch_close(process->watch);
    }
    for (unsigned i = 0; i < STANDARD_FDS; i++) {
        pg_stream_free(&process->pipes[i]);
    }
    pg_mfree(process);
}

pg_err pg_process_spawn(const pg_process_spec *spec, pg_process **out_process)
{
    pg_real *real = pg_real_get();
    if (real == NULL) {
        return pg_fail(PG_ERR_UNSUPPORTED, "a simulated run has no processes");
    }
    struct plumbing plumbing = {.child = {-1, -1, -1}, .ours = {-1, -1, -1}, .fault = {-1, -1}};
    pid_t parent = getpid();
    int number = 0;
    pg_process *process = PG_NEW(pg_process);
    pg_err err = process == NULL ? pg_fail(PG_ERR_NOMEM, "cannot start %s", spec->argv[0])
                                 : plumbing_make(&plumbing, spec);
    if (err != PG_OK) {
        goto out;
    }
    process->pid = fork();
    if (process->pid == 0) {
        child_become(spec, &plumbing, parent);
    }
    number = process->pid < 0 ? errno : fault_read(&plumbing);
    if (number != 0) {
        err = pg_fail_errno(number, "start", spec->argv[0]);
    } else {
        err = process_adopt(real, process, &plumbing);
    }
    if (err != PG_OK && process->pid > 0) {
        (void) kill(process->pid, SIGKILL);
        (void) waitpid(process->pid, NULL, 0);
    }
out:
    plumbing_deinit(&plumbing);
    if (err != PG_OK && process != NULL) {
        process_deinit(process);
    } else if (err == PG_OK) {
        *out_process = process;
    }
    return err;
}

int64_t pg_process_pid(const pg_process *process)
{
    return process->pid;
}

pg_stream *pg_process_take_pipe(pg_process *process, int fd)
{
    pg_assert(fd >= 0 && fd < STANDARD_FDS);
    pg_stream *stream = process->pipes[fd];
    process->pipes[fd] = NULL;
    return stream;
}

// Note the end if it has come.
static bool process_look(pg_process *process)
{
    int status = 0;
    if (!process->has_ended && waitpid(process->pid, &status, WNOHANG) == process->pid) {
        process->has_ended = true;
        process->status = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    }
    return process->has_ended;
}

pg_err pg_process_kill(pg_process *process, int signal_number)
{
    if (process_look(process)) {
        return PG_ERR_CLOSED;
    }
    return pidfd_send_signal(pg_watch_fd(process->watch), signal_number, NULL, 0) == 0
               ? PG_OK
               : pg_fail_errno(errno, "signal to a child", NULL);
}

pg_err pg_process_wait(pg_process *process, pg_time deadline, int *out_status)
{
    PG_TRY(pg_fiber_checkpoint());
    while (!process_look(process)) {
        PG_TRY(pg_watch_wait(process->watch, PG_WATCH_SIDE_READ, deadline));
    }
    *out_status = process->status;
    return PG_OK;
}

void pg_process_free(pg_process **process)
{
    int status = 0;
    if (*process == NULL) {
        return;
    }
    pg_fiber_shield(true);
    pg_ignore(pg_process_kill(*process, SIGKILL), "it may have ended");
    pg_ignore(pg_process_wait(*process, PG_FOREVER, &status), "shielded, without a deadline");
    pg_fiber_shield(false);
    process_deinit(*process);
    *process = NULL;
}
