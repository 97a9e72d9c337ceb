// SPDX-License-Identifier: Apache-2.0
// The start of a real run: the loop on libuv, the operating system's sockets, disks, clock and randomness. The simulated
// world starts in sim.h; everything above this room runs unchanged on both.
//
// Layer: runtime.  Thread: the caller's becomes the loop thread.
#pragma once

#include <stdbool.h>

#include "base/attr.h"
#include "base/err.h"
#include "runtime/fiber.h"

/** Settings of a real run; the all-zero value gives the defaults. */
typedef struct pg_runtime_config {
    unsigned cpu_threads; // 0 = one a core
    unsigned io_threads;  // 0 = 4
    bool measure_stacks;  // paint stacks, so that pg_fiber_stats_each tells high-water marks
} pg_runtime_config;

/** Run `fn(arg)` as the first fiber until it has returned, and return its result; its detail is then in the thread's error record.
 *  One at a time in a process. `config` may be NULL. Errors further: PG_ERR_NOMEM, PG_ERR_IO. */
PG_NODISCARD pg_err pg_runtime_run(const pg_runtime_config *config, pg_fiber_fn fn, void *arg);

/** Return true when the running fiber lives in a simulated world. */
bool pg_runtime_is_sim(void);
