// SPDX-License-Identifier: Apache-2.0
// Work for other threads: pure computation above about 100 us goes to the CPU pool, blocking system calls to the I/O
// pool, and a database has a thread of its own. A job touches only what it was handed. In a simulated run jobs run inline.
//
// Layer: runtime.  Thread: loop thread only; the jobs run elsewhere.
#pragma once

#include "base/attr.h"
#include "base/err.h"

/** A job. May set the error record: it is carried back to the fiber. Must not park. */
typedef pg_err (*pg_job_fn)(void *arg);

/** Run `fn(arg)` on the CPU pool and park until it is done; a cancelled fiber waits for the end too, since the job uses
 *  its memory. At most PG_CPU_QUEUE_MAX jobs wait; further callers park. Parks: yes. Returns what `fn` returned. */
PG_NODISCARD pg_err pg_offload(pg_job_fn fn, void *arg);

/** The same on the I/O pool. */
PG_NODISCARD pg_err pg_offload_io(pg_job_fn fn, void *arg);

/** Return the number of threads of the CPU pool (1 in a simulated run). */
unsigned pg_cpu_count(void);

/** A thread of its own that runs one job after another: for a database handle. */
typedef struct pg_worker pg_worker;

/** Start a worker. `name` is static, at most 15 characters. Errors: PG_ERR_NOMEM, PG_ERR_LIMIT. */
PG_NODISCARD pg_err pg_worker_new(const char *name, pg_worker **out_worker);

/** Run `fn(arg)` on the worker after the jobs before it and park until it is done, cancelled or not. Parks: yes. */
PG_NODISCARD pg_err pg_worker_call(pg_worker *worker, pg_job_fn fn, void *arg);

/** Stop the worker after its last job and free it. NULL is fine. Parks: yes. */
void pg_worker_free(pg_worker **worker);
