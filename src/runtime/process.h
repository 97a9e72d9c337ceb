// SPDX-License-Identifier: Apache-2.0
// Child processes and signals to this one. Not in a simulated run.
//
// Layer: runtime.  Thread: loop thread only.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/err.h"
#include "runtime/stream.h"

typedef struct pg_process pg_process;

/** How to start a child. */
typedef struct pg_process_spec {
    const char *const *argv; // argv[0] is looked up in PATH; ends with NULL
    const char *const *env;  // ends with NULL; NULL = ours
    const char *cwd;         // NULL = ours
    int stdin_fd; // a descriptor of ours to inherit, or PG_PROCESS_FD_NULL / PG_PROCESS_FD_PIPE
    int stdout_fd;
    int stderr_fd;
    bool die_with_parent; // gets SIGKILL when this process ends, however it ends
} pg_process_spec;

#define PG_PROCESS_FD_NULL (-1)
#define PG_PROCESS_FD_PIPE (-2)

/** Start a child. Errors: PG_ERR_NOT_FOUND, PG_ERR_ACCESS, PG_ERR_NOMEM, PG_ERR_IO. Parks: no. */
PG_NODISCARD pg_err pg_process_spawn(const pg_process_spec *spec, pg_process **out_process);

/** Return the pid. */
int64_t pg_process_pid(const pg_process *process);

/** Take the stream of a pipe asked for in the specification (0, 1, 2); NULL when there is none or it was taken. Owned by the caller. */
pg_stream *pg_process_take_pipe(pg_process *process, int fd);

/** Send a signal; PG_ERR_CLOSED when the child has ended. Parks: no. */
PG_NODISCARD pg_err pg_process_kill(pg_process *process, int signal_number);

/** Wait for the end: *out_status is the exit code, or 128 + the signal. Parks: yes. Errors: PG_ERR_TIMEOUT, PG_ERR_CANCELLED. */
PG_NODISCARD pg_err pg_process_wait(pg_process *process, pg_time deadline, int *out_status);

/** Free; a child that still runs is killed first. NULL is fine. Parks: yes, until it is gone. */
void pg_process_free(pg_process **process);

#define PG_SIGNAL_HANGUP 1 // the number of SIGHUP, for rooms that know no system headers

/** Wait for one of the signals SIGINT, SIGTERM, SIGHUP to this process. From the first call on they no longer end it. Parks: yes.
 *  Errors: PG_ERR_TIMEOUT, PG_ERR_CANCELLED. */
PG_NODISCARD pg_err pg_signal_wait(pg_time deadline, int *out_signal);

/** Let go of the pages of the program and its libraries that were only read; those in use come back at their next access, from the system's
 *  cache. For a program that has started and waits. Any thread. */
void pg_process_unmap_unused(void);
