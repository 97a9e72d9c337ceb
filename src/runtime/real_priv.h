// SPDX-License-Identifier: Apache-2.0
// The insides of the real world: the loop on libuv, descriptors that fibers wait on, the pools. Files of the back end are
// real*.c; errno and libuv's codes become pg_err in real.c alone.
//
// Layer: runtime, private.  Thread: loop thread only, except where stated.
#pragma once

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>

#include <uv.h>

#include "base/attr.h"
#include "base/err.h"
#include "runtime/runtime.h"
#include "runtime/world_priv.h"

typedef struct pg_pool pg_pool;

/** The real world. */
typedef struct pg_real {
    pg_world world;
    uv_loop_t loop;
    bool has_loop;
    int alarm_fd; // a timerfd: libuv's own timers count whole milliseconds
    uv_poll_t alarm;
    pg_time alarm_at;     // PG_FOREVER: not set
    uv_async_t jobs_done; // sent after each done job
    pthread_mutex_t done_mutex;
    pg_list done; // requests; under done_mutex
    pg_pool *pools[PG_POOL_KIND_COUNT];
    unsigned cpu_threads;
    unsigned io_threads;
    struct pg_signals *signals; // NULL until somebody waits for signals
} pg_real;

extern const pg_socket_ops pg_real_socket_ops;
extern const pg_file_ops pg_real_file_ops;
extern const pg_job_ops pg_real_job_ops;

/** Return the real world of this run; NULL in a simulated one, and outside a run. Any thread. */
pg_real *pg_real_get(void);

/** Return the code for an errno. Any thread. */
pg_err pg_err_of_errno(int number);

/** Fail with the code for an errno and a detail "<what> <path>: <text>"; `path` may be NULL. Any thread. */
PG_NODISCARD pg_err pg_fail_errno(int number, const char *what, const char *path);

// ---- Descriptors

typedef enum pg_watch_side {
    PG_WATCH_SIDE_READ,
    PG_WATCH_SIDE_WRITE,
    PG_WATCH_SIDE_COUNT,
} pg_watch_side;

/** A descriptor that one fiber a side can wait for. It stays armed as long as its events are wanted, so that a steady
 *  stream costs no system call beside its reads. */
typedef struct pg_watch pg_watch;

/** Watch `fd`, which becomes non-blocking; owned by the watch on PG_OK. Errors: PG_ERR_NOMEM, PG_ERR_IO. */
PG_NODISCARD pg_err pg_watch_new(pg_real *real, int fd, pg_watch **out_watch);

/** Park until `fd` is ready on `side`, or may be: try again. Errors: PG_ERR_TIMEOUT, PG_ERR_CANCELLED. */
PG_NODISCARD pg_err pg_watch_wait(pg_watch *watch, pg_watch_side side, pg_time deadline);

/** Close the descriptor; who waits is woken and has to look why. Free the watch too. */
void pg_watch_close(pg_watch *watch);

// ---- Streams on descriptors

/** Make a stream of a connected socket, or of one end of a pipe (is_socket false); fd is taken on PG_OK.
 *  Errors: PG_ERR_NOMEM, PG_ERR_IO. */
PG_NODISCARD pg_err pg_real_stream_new(pg_real *real, int fd, bool is_socket,
                                       pg_stream **out_stream);

// ---- Pools

/** Start what jobs need. Errors: PG_ERR_NOMEM, PG_ERR_IO. */
PG_NODISCARD pg_err pg_real_jobs_init(pg_real *real);

/** Wait for the threads and free. Half-built is fine. */
void pg_real_jobs_deinit(pg_real *real);

/** Stop listening for signals. */
void pg_real_signals_deinit(pg_real *real);
