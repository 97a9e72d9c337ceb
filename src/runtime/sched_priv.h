// SPDX-License-Identifier: Apache-2.0
// The scheduler's insides, for the files of the core. A fiber's structure stands at the top of its own stack, so that an
// idle fiber touches few pages.
//
//      spawn -> READY -> RUNNING -> ENDED
//                 ^         |
//                 |         v
//                 +---- PARKED, PARKED_HARD
//
// Layer: runtime, private.  Thread: loop thread only.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/list.h"
#include "runtime/context_priv.h"
#include "runtime/stack_priv.h"
#include "runtime/timer_priv.h"
#include "runtime/trace.h"
#include "runtime/world_priv.h"

typedef enum pg_fiber_state {
    PG_FIBER_STATE_READY,
    PG_FIBER_STATE_RUNNING,
    PG_FIBER_STATE_PARKED,      // ends by wake, deadline or cancellation
    PG_FIBER_STATE_PARKED_HARD, // ends by wake alone
    PG_FIBER_STATE_ENDED,
} pg_fiber_state;

/** What is known of one kind of fiber. */
typedef struct pg_fiber_kind {
    pg_fiber_stats stats;
    struct pg_fiber_kind *next;
} pg_fiber_kind;

struct pg_fiber {
    pg_list ready_node;
    pg_list all_node;
    pg_list scope_node;
    pg_list machine_node;
    pg_scope *scope;
    pg_machine *machine;
    pg_fiber_kind *kind;
    pg_fiber_fn fn;
    void *arg;
    pg_context context;
    pg_stack stack;
    pg_error_record *record; // NULL: nothing recorded; it then runs with the spare one
    pg_timer timer;          // deadline of the present wait
    pg_trace_context trace;  // of the span it is in
    uint64_t number;
    pg_fiber_state state;
    pg_err wake_err; // result of the present wait
    pg_err result;
    uint32_t shields;
    bool is_cancelled;
    bool is_ghost;
};

/** All of a run. */
typedef struct pg_sched {
    pg_world *world;
    pg_context context;
    pg_fiber *current;
    pg_list ready;
    pg_list fibers;
    pg_timers timers;
    pg_stack_pool stacks;
    pg_fiber_kind *kinds;
    pg_error_record *spare;
    pg_error_record *big_record; // of the job on the scheduler's stack
    pg_job_fn big_fn;
    void *big_arg;
    pg_err big_err;
    uint64_t fibers_started;
    pg_err abort_err;
    unsigned checkpoints; // passed since the last switch
    bool measures_stacks;
} pg_sched;

/** Return the run of this thread, or NULL. */
pg_sched *pg_sched_get(void);

/** Tell a fiber to stop; as a ghost when `ghost`. */
void pg_fiber_cancel(pg_fiber *fiber, bool ghost);

/** A fiber of `scope` has ended with `result`; *record (may be NULL) is its detail, NULL after it was taken. */
void pg_scope_fiber_ended(pg_scope *scope, pg_err result, bool was_cancelled,
                          pg_error_record **record);

/** Start a fiber. Errors: PG_ERR_NOMEM. */
PG_NODISCARD pg_err pg_fiber_start(pg_scope *scope, pg_machine *machine, const char *kind,
                                   pg_fiber_fn fn, void *arg);
