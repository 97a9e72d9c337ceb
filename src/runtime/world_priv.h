// SPDX-License-Identifier: Apache-2.0
// What stands between the core of the runtime and a world. Above: fibers, scopes, timers, channels, streams, the same in
// every world and deterministic (ready fibers run first in, first out; timers fire by time, then by the order in which they
// were started). Below: `real` (libuv, the operating system) and `sim` (virtual time, everything in memory).
//
// A world embeds pg_world, fills the table of operations, and calls pg_sched_run. The core does everything that concerns
// fibers; a world parks the running fiber by pg_fiber_park or pg_waitq_wait and makes it ready from `poll`, from a
// timer, or from another fiber. The core keeps ghosts (see pg_machine_crash) away from all operations that return pg_err;
// the others (free, reset) must not have effects outside for objects of a crashed machine.
//
// Layer: runtime, private.  Thread: loop thread only, except where stated.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/bytes.h"
#include "base/err.h"
#include "base/list.h"
#include "runtime/fiber.h"
#include "runtime/file.h"
#include "runtime/interfaces.h"
#include "runtime/offload.h"
#include "runtime/resolve.h"
#include "runtime/socket.h"
#include "runtime/stream.h"
#include "runtime/time.h"

typedef struct pg_world pg_world;

/** Sockets; each operation as the function of the same name in socket.h and resolve.h, plus the world. */
typedef struct pg_socket_ops {
    pg_err (*tcp_listen)(pg_world *world, const pg_endpoint *at, pg_listener **out_listener);
    pg_err (*tcp_dial)(pg_world *world, const pg_endpoint *to, pg_time deadline,
                       pg_stream **out_stream);
    void (*tcp_endpoints)(const pg_stream *stream, pg_endpoint *out_local, pg_endpoint *out_remote);
    pg_err (*unix_listen)(pg_world *world, const char *path, pg_listener **out_listener);
    pg_err (*unix_dial)(pg_world *world, const char *path, pg_time deadline,
                        pg_stream **out_stream);
    pg_endpoint (*listener_endpoint)(const pg_listener *listener);
    pg_err (*listener_accept)(pg_listener *listener, pg_time deadline, pg_stream **out_stream,
                              pg_endpoint *out_peer); // out_peer is never NULL here
    void (*listener_free)(pg_listener *listener);     // never NULL here
    pg_err (*udp_bind)(pg_world *world, const pg_endpoint *at, pg_udp **out_udp);
    pg_err (*udp_join)(pg_world *world, const pg_endpoint *group, uint32_t interface,
                       pg_udp **out_udp);
    pg_endpoint (*udp_endpoint)(const pg_udp *udp);
    pg_err (*udp_send)(pg_udp *udp, const pg_udp_msg *msg, pg_time deadline);
    pg_err (*udp_recv)(pg_udp *udp, pg_time deadline, pg_udp_msg *out_msgs, size_t *out_count);
    void (*udp_free)(pg_udp *udp);
    pg_err (*resolve)(pg_world *world, const char *name, pg_ip_family family, pg_time deadline,
                      pg_endpoint *out_endpoints, size_t *out_count);
    size_t (*interfaces)(pg_world *world, pg_interface *out_interfaces);
} pg_socket_ops;

/** Files; as the functions of file.h. Called on a fiber, which they may park, or inside a job (pg_job_is_running), where
 *  they must do the work at once; in the real world a job is on another thread. */
typedef struct pg_file_ops {
    pg_err (*open)(pg_world *world, const char *path, unsigned mode, uint32_t permissions,
                   pg_file **out_file); // permissions: of a file it makes
    pg_err (*read_at)(pg_file *file, uint64_t offset, pg_mut_bytes space, size_t *out_len);
    pg_err (*read)(pg_file *file, pg_mut_bytes space, size_t *out_len); // NULL: unsupported
    pg_err (*read_uncached)(pg_file *file, uint64_t offset, pg_mut_bytes space,
                            size_t *out_len); // NULL: as read_at
    pg_err (*write_at)(pg_file *file, uint64_t offset, pg_bytes bytes);
    pg_err (*write_uncached)(pg_file *file, uint64_t offset, pg_bytes head,
                             pg_bytes rest);        // NULL: two of write_at
    pg_err (*write)(pg_file *file, pg_bytes bytes); // NULL: unsupported
    pg_err (*sync)(pg_file *file);
    pg_err (*truncate)(pg_file *file, uint64_t size_bytes);
    pg_err (*punch)(pg_file *file, uint64_t offset, uint64_t len);
    pg_err (*next_data)(pg_file *file, uint64_t offset, uint64_t *out_begin,
                        uint64_t *out_end); // NULL: unsupported
    pg_err (*lock)(pg_file *file);
    pg_err (*stat)(pg_file *file, pg_file_info *out_info);
    void (*free)(pg_file *file); // never NULL here
    pg_err (*path_stat)(pg_world *world, const char *path, pg_file_info *out_info);
    pg_err (*path_rename)(pg_world *world, const char *from, const char *to);
    pg_err (*path_remove)(pg_world *world, const char *path);
    pg_err (*dir_make)(pg_world *world, const char *path);
    pg_err (*dir_remove)(pg_world *world, const char *path);
    pg_err (*dir_sync)(pg_world *world, const char *path);
    // Append the names in any order to `out_names`, each with its NUL; at most PG_DIR_NAMES_MAX.
    pg_err (*dir_list)(pg_world *world, const char *path, pg_buf *out_names);
    pg_err (*disk_space)(pg_world *world, const char *path, uint64_t *out_total,
                         uint64_t *out_free);
} pg_file_ops;

typedef enum pg_pool_kind {
    PG_POOL_KIND_CPU,
    PG_POOL_KIND_IO,
    PG_POOL_KIND_COUNT,
} pg_pool_kind;

/** Work for other threads; as the functions of offload.h. Jobs are run by pg_job_run, on whatever thread. A ghost's jobs are run
 *  too, since they may free memory: what they do to files then fails. */
typedef struct pg_job_ops {
    pg_err (*offload)(pg_world *world, pg_pool_kind pool, pg_job_fn fn, void *arg);
    unsigned (*cpu_count)(const pg_world *world);
    pg_err (*worker_new)(pg_world *world, const char *name, pg_worker **out_worker);
    pg_err (*worker_call)(pg_worker *worker, pg_job_fn fn, void *arg);
    void (*worker_free)(pg_worker *worker); // never NULL here
} pg_job_ops;

/** What a world is to the core. */
typedef struct pg_world_ops {
    bool is_sim; // no guard pages below stacks, processes and signals are refused
    pg_time (*now)(const pg_world *world);             // real: any thread
    int64_t (*wall_ms)(const pg_world *world);         // real: any thread
    void (*random)(pg_world *world, pg_mut_bytes out); // real: any thread
    // Take in what happened outside and make fibers ready; when nothing has, wait for it until `until` (not at all when
    // that is past, for ever for PG_FOREVER). The core fires its timers after each call, by `now`. A failure ends the run.
    pg_err (*poll)(pg_world *world, pg_time until);
    // NULL, or told of each switch to a fiber (its number, from 1) and each timer fired (0), in order.
    void (*on_event)(pg_world *world, uint64_t fiber_number);
    const pg_socket_ops *socket;
    const pg_file_ops *file;
    const pg_job_ops *job;
} pg_world_ops;

/** The first member of every world's own structure. */
struct pg_world {
    const pg_world_ops *ops;
};

/** Return the world of the run, or NULL outside a run. Any thread. */
pg_world *pg_world_current(void);

// ---- The run

/** Run `fn(arg)` as the first fiber, outside all machines, until it has returned; all others have to have ended by then.
 *  measure_stacks   paint stacks, so that high-water marks are known
 *  Errors: what fn returned, the failure of `poll` or pg_sched_abort, PG_ERR_NOMEM, PG_ERR_BUSY (a run is on). Detail: in
 *  the thread's error record. */
PG_NODISCARD pg_err pg_sched_run(pg_world *world, bool measure_stacks, pg_fiber_fn fn, void *arg);

/** End the run with `err` (not PG_OK; the first call counts): all fibers become ghosts and unwind; `poll` is not called any more. */
void pg_sched_abort(pg_err err);

// ---- Fibers

/** Return the running fiber; NULL on the scheduler's own stack (in `poll`, in timers) and on other threads. */
pg_fiber *pg_fiber_self(void);

/** Park the running fiber until pg_fiber_wake. What ends the wait first decides the result, even when more happens before it runs.
 *  Errors: PG_ERR_TIMEOUT, PG_ERR_CANCELLED (at once when it was cancelled before, unless shielded; always for a ghost). */
PG_NODISCARD pg_err pg_fiber_park(pg_time deadline);

/** Park the running fiber until pg_fiber_wake, whatever happens. Only for what is sure to end by itself: somebody else uses the
 *  fiber's memory meanwhile. */
void pg_fiber_park_hard(void);

/** Make a parked fiber ready, at the end of the queue; nothing when it is not parked or ready already. */
void pg_fiber_wake(pg_fiber *fiber);

/** For operations that may succeed without waiting, before each: ends a cancelled fiber's work, and lets others run now and then, so
 *  that a peer who is always ready cannot hold the loop. Parks: rarely. Errors: PG_ERR_CANCELLED. */
PG_NODISCARD pg_err pg_fiber_checkpoint(void);

/** Return true when the running fiber's machine has crashed under it. False off the loop thread. */
bool pg_fiber_is_ghost(void);

/** Run `fn(arg)` on the scheduler's own large stack while the running fiber stands still; pg_fiber_self stays the fiber.
 *  It must not park. Returns its result. */
PG_NODISCARD pg_err pg_fiber_call_big(pg_job_fn fn, void *arg);

// ---- Machines

/** What fibers belong to: inherited from the fiber that spawns. A world embeds it; the real one has none. */
typedef struct pg_machine {
    pg_list fibers;
} pg_machine;

/** Make `machine` one without fibers. */
void pg_machine_init(pg_machine *machine);

/** Return the machine of the running fiber; NULL when it has none, and off fibers. */
pg_machine *pg_fiber_machine(void);

/** As pg_scope_spawn, for a fiber that belongs to `machine`. */
PG_NODISCARD pg_err pg_machine_spawn(pg_machine *machine, pg_scope *scope, const char *kind,
                                     pg_fiber_fn fn, void *arg);

/** Make ghosts of all fibers of `machine`: they are cancelled, and every wait and operation of theirs, shielded or not, ends at once
 *  with PG_ERR_CANCELLED and without effect (joining their own fibers and jobs excepted), so that they unwind and free their
 *  memory. They leave the machine at once, which may get new fibers. Parks: no. */
void pg_machine_crash(pg_machine *machine);

// ---- Timers

/** Calls `fire` once, on the scheduler's stack, when its time has come. All-zero: not started. */
typedef struct pg_timer {
    pg_time at;
    uint64_t number; // order of starting, decides between equal times
    void (*fire)(struct pg_timer *timer);
    struct pg_timer
        *child; // pairing heap: first child, next sibling, and parent or previous sibling
    struct pg_timer *next;
    struct pg_timer *prev;
    bool is_started;
} pg_timer;

/** Start a timer that is not started. It lives where the caller put it until it has fired or was stopped. */
void pg_timer_start(pg_timer *timer, pg_time at, void (*fire)(pg_timer *timer));

/** Stop a timer; nothing when it is not started. */
void pg_timer_stop(pg_timer *timer);

// ---- Jobs

/** Return true inside a job: on another thread, or in pg_job_run on the loop thread. Any thread. */
bool pg_job_is_running(void);

/** Run a job with an empty error record; when it fails, *out_record (may be NULL where memory is out) is its record on the heap. Any thread. */
PG_NODISCARD pg_err pg_job_run(pg_job_fn fn, void *arg, pg_error_record **out_record);

/** Give a record from pg_job_run to the running fiber, and free it. NULL is fine. Returns `err`. */
PG_NODISCARD pg_err pg_job_finish(pg_err err, pg_error_record *record);
