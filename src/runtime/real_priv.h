// SPDX-License-Identifier: Apache-2.0
// The insides of the real world: the loop on libuv, descriptors that fibers wait on, the pools. Files of the back end are
// real*.c; errno and libuv's codes become pg_err in real.c alone.
//
// Layer: runtime, private.  Thread: loop thread only, except where stated.
#pragma once

#include <dirent.h>
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <uv.h>

#include "base/attr.h"
#include "base/err.h"
#include "runtime/runtime.h"
#include "runtime/world_priv.h"

typedef struct pg_pool pg_pool;

#define PG_REAL_SIGNALS 3

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
    pg_list done;      // requests; under done_mutex
    pg_list questions; // to the resolver, whose fibers wait
    pg_pool *pools[PG_POOL_KIND_COUNT];
    unsigned cpu_threads;
    unsigned io_threads;
    uv_signal_t signals[PG_REAL_SIGNALS]; // from the first wait for signals on
    bool has_signals;
    unsigned signals_pending; // bits
    pg_waitq signal_waiters;
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

// ---- Files

/** Return the flags of open(2) for a sum of pg_file_mode. */
int pg_real_open_flags(unsigned mode);

/** Return what the mode bits of a stat(2) say it is. */
pg_file_type pg_real_file_type(mode_t mode);

/** Open once more, for passing the system's cache, what was opened at `path` with `mode`; -1 when that was not asked for or cannot be
 *  had there. In a job. */
int pg_real_direct_open(const char *path, unsigned mode);

/** Write two pieces one after the other at whole pages past the cache, and zeros up to the next page; `path` is for details. In a job.
 *  Errors: PG_ERR_UNSUPPORTED (the file system cannot: use the cache), PG_ERR_FULL, PG_ERR_IO. */
PG_NODISCARD pg_err pg_real_direct_write(int fd, const char *path, uint64_t offset, pg_bytes head,
                                         pg_bytes rest);

/** Read past the cache at any offset; *out_len is short only at the end of the file. In a job.
 *  Errors: PG_ERR_UNSUPPORTED (as above), PG_ERR_IO. */
PG_NODISCARD pg_err pg_real_direct_read(int fd, const char *path, uint64_t offset,
                                        pg_mut_bytes space, size_t *out_len);

/** Make a file of an open descriptor, which is taken on PG_OK. Errors: PG_ERR_NOMEM. */
PG_NODISCARD pg_err pg_real_file_new(int fd, const char *path, pg_file **out_file);

/** Append the names `dir` still has, as pg_file_ops.dir_list. Errors: PG_ERR_LIMIT, PG_ERR_NOMEM, PG_ERR_IO. */
PG_NODISCARD pg_err pg_real_names_read(DIR *dir, const char *path, pg_buf *out_names);

// ---- Descriptors

typedef enum pg_watch_side {
    PG_WATCH_SIDE_READ,
    PG_WATCH_SIDE_WRITE,
    PG_WATCH_SIDE_HANGUP, // the other side has closed, or ended its writing
    PG_WATCH_SIDE_COUNT,
} pg_watch_side;

/** A descriptor that fibers wait for. It stays armed as long as its events are wanted, so that a steady
 *  stream costs no system call beside its reads. */
typedef struct pg_watch pg_watch;

/** Watch `fd`, which becomes non-blocking. It is taken: on failure it is closed. Errors: PG_ERR_NOMEM, PG_ERR_IO. */
PG_NODISCARD pg_err pg_watch_new(pg_real *real, int fd, pg_watch **out_watch);

/** Park until `fd` is ready on `side`, or may be: try again.
 *  Errors: PG_ERR_TIMEOUT, PG_ERR_CANCELLED, PG_ERR_CLOSED (closed meanwhile: do not touch the watch any more). */
PG_NODISCARD pg_err pg_watch_wait(pg_watch *watch, pg_watch_side side, pg_time deadline);

/** Wake who waits on `side`. */
void pg_watch_wake(pg_watch *watch, pg_watch_side side);

/** Close the descriptor and free the watch; who waits gets PG_ERR_CLOSED. */
void pg_watch_close(pg_watch *watch);

// ---- Streams on descriptors

/** Make a stream of a connected socket, or of one end of a pipe (is_socket false). The watch is taken, on failure too.
 *  Errors: PG_ERR_NOMEM. */
PG_NODISCARD pg_err pg_real_stream_new(pg_watch *watch, bool is_socket, pg_stream **out_stream);

pg_err pg_real_tcp_dial(pg_world *world, const pg_endpoint *to, pg_time deadline,
                        pg_stream **out_stream);
pg_err pg_real_unix_dial(pg_world *world, const char *path, pg_time deadline,
                         pg_stream **out_stream);
void pg_real_tcp_endpoints(const pg_stream *stream, pg_endpoint *out_local,
                           pg_endpoint *out_remote);

// ---- Listeners, datagrams, names: the operations of the table

pg_err pg_real_tcp_listen(pg_world *world, const pg_endpoint *at, pg_listener **out_listener);
pg_err pg_real_unix_listen(pg_world *world, const char *path, pg_listener **out_listener);
pg_endpoint pg_real_listener_endpoint(const pg_listener *listener);
pg_err pg_real_listener_accept(pg_listener *listener, pg_time deadline, pg_stream **out_stream,
                               pg_endpoint *out_peer);
void pg_real_listener_free(pg_listener *listener);
pg_err pg_real_udp_bind(pg_world *world, const pg_endpoint *at, pg_udp **out_udp);
pg_err pg_real_udp_join(pg_world *world, const pg_endpoint *group, uint32_t interface,
                        pg_udp **out_udp);
pg_endpoint pg_real_udp_endpoint(const pg_udp *udp);
pg_err pg_real_udp_send(pg_udp *udp, const pg_udp_msg *msg, pg_time deadline);
pg_err pg_real_udp_recv(pg_udp *udp, pg_time deadline, pg_udp_msg *out_msgs, size_t *out_count);
void pg_real_udp_free(pg_udp *udp);
pg_err pg_real_resolve(pg_world *world, const char *name, pg_ip_family family, pg_time deadline,
                       pg_endpoint *out_endpoints, size_t *out_count);

/** As pg_interfaces_list. */
size_t pg_real_interfaces(pg_world *world, pg_interface *out_interfaces);

/** Return the descriptor of a listener. */
int pg_real_listener_fd(const pg_listener *listener);

// ---- Addresses

/** Write an endpoint as a socket address and return its length. */
socklen_t pg_sockaddr_make(const pg_endpoint *endpoint, struct sockaddr_storage *out_address);

/** Read a socket address; PG_IP_FAMILY_NONE when it is no IP address. */
pg_endpoint pg_endpoint_of_sockaddr(const struct sockaddr_storage *address);

/** Return the local address of a socket. */
pg_endpoint pg_endpoint_of_fd(int fd);

/** Write a Unix address and its length. Errors: PG_ERR_LIMIT (path too long). */
PG_NODISCARD pg_err pg_sockaddr_make_unix(const char *path, struct sockaddr_un *out_address,
                                          socklen_t *out_len);

/** Make a non-blocking socket, watched. Errors: PG_ERR_LIMIT, PG_ERR_UNREACHABLE (no such family here), PG_ERR_NOMEM, PG_ERR_IO. */
PG_NODISCARD pg_err pg_watch_new_socket(pg_real *real, int family, int type, pg_watch **out_watch);

/** Return the descriptor. */
int pg_watch_fd(const pg_watch *watch);

// ---- Pools

/** Start what jobs need. Errors: PG_ERR_NOMEM, PG_ERR_IO. */
PG_NODISCARD pg_err pg_real_jobs_init(pg_real *real);

/** Wait for the threads and free. Half-built is fine. */
void pg_real_jobs_deinit(pg_real *real);

/** As pthread_create, for a thread that takes no signals: those are the loop thread's business. */
int pg_thread_start(pthread_t *out_thread, const pthread_attr_t *attributes, void *(*run)(void *),
                    void *arg);

/** Wake the fibers whose names are resolved. */
void pg_real_questions_wake(pg_real *real);

/** Stop listening for signals. */
void pg_real_signals_deinit(pg_real *real);
