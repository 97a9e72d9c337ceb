// SPDX-License-Identifier: Apache-2.0
// Fibers and scopes. A fiber is a function with a stack of its own on the one loop thread; what looks like a blocking
// call parks it and the loop goes on. A fiber is always started in a scope, and a scope does not end before its fibers
// did: nothing outlives its owner.
//
//      pg_scope scope;
//      pg_scope_init(&scope);
//      err = pg_scope_spawn(&scope, "net.reader", reader_run, conn);
//      ...
//      err = pg_scope_join(&scope);      // wait for all, first failure cancels the others
//
// Cancelling a fiber makes the wait it is in, and every later one, end with PG_ERR_CANCELLED, until it has returned.
//
// Layer: runtime.  Thread: loop thread only.
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/attr.h"
#include "base/err.h"
#include "base/list.h"
#include "runtime/time.h"

typedef struct pg_fiber pg_fiber;

/** The body of a fiber. Its result goes to its scope. */
typedef pg_err (*pg_fiber_fn)(void *arg);

/** Owns fibers. Lives on the stack of the fiber that made it, or inside an object with a clear end. */
typedef struct pg_scope {
    pg_list fibers;
    pg_fiber *joiner;
    size_t count;
    pg_err first_err;
    bool cancelled;
    bool tolerant;
    pg_error_record *first_record; // detail of first_err, for the joiner
} pg_scope;

/** Make an empty scope: the first fiber that fails cancels its siblings, and pg_scope_join returns its error. */
void pg_scope_init(pg_scope *scope);

/** Make a scope for independent fibers (one a connection, say): their errors are theirs alone, join returns PG_OK. */
void pg_scope_init_tolerant(pg_scope *scope);

/** Start `fn(arg)` in a fiber of this scope; it first runs at the next turn of the loop, in the order of spawning.
 *  kind   static name "room.what": stack high-water marks and debug output are kept by it
 *  arg    must live until the fiber ends
 *  Errors: PG_ERR_NOMEM, PG_ERR_CANCELLED when the scope was cancelled. Parks: no. */
PG_NODISCARD pg_err pg_scope_spawn(pg_scope *scope, const char *kind, pg_fiber_fn fn, void *arg);

/** Tell all fibers of the scope to stop. Does not wait. New spawns are refused. Parks: no. */
void pg_scope_cancel(pg_scope *scope);

/** Wait until every fiber of the scope has ended; the scope is then as after init. When the caller itself is cancelled
 *  meanwhile the scope is cancelled too and still waited for. Parks: yes.
 *  Returns the first failure (PG_ERR_CANCELLED of fibers cancelled by the scope does not count), else PG_OK, or
 *  PG_ERR_CANCELLED when the caller was cancelled. */
PG_NODISCARD pg_err pg_scope_join(pg_scope *scope);

/** Cancel, then wait for all; cannot be cancelled itself. For the cleanup path. Parks: yes. */
void pg_scope_close(pg_scope *scope);

/** Let the other fibers that are ready run first. Parks: yes.
 *  Errors: PG_ERR_CANCELLED. */
PG_NODISCARD pg_err pg_fiber_yield(void);

/** Give the memory of the running fiber's stack back that only deeper calls had use for: before a long wait, from as far up as can
 *  be. Costs a microsecond, and as much again when the stack grows once more. Parks: no. */
void pg_fiber_trim(void);

/** Return true when the running fiber has been told to stop. */
bool pg_fiber_is_cancelled(void);

/** Hold back (or let through again) cancellation of the running fiber, for cleanup that must wait. Nests; keep deadlines short. */
void pg_fiber_shield(bool on);

/** One waiting place of fibers; the all-zero value is ready for use after pg_waitq_init. */
typedef struct pg_waitq {
    pg_list waiters;
} pg_waitq;

/** Make an empty waiting place. */
void pg_waitq_init(pg_waitq *waitq);

/** Park until woken. Check the condition again afterwards: others may have run in between. Parks: yes.
 *  Errors: PG_ERR_TIMEOUT, PG_ERR_CANCELLED. */
PG_NODISCARD pg_err pg_waitq_wait(pg_waitq *waitq, pg_time deadline);

/** Park until woken, cancelled or not, and also when the machine has crashed, where other waits end at once: for the cleanup path of an
 *  object that waits for its last user, who has to be certain to come. Check the condition again afterwards. Parks: yes. */
void pg_waitq_wait_hard(pg_waitq *waitq);

/** Make the first waiter ready; false when nobody waits. Parks: no. */
bool pg_waitq_wake_one(pg_waitq *waitq);

/** Make all waiters ready. Parks: no. */
void pg_waitq_wake_all(pg_waitq *waitq);

/** What is known of the stacks of one kind of fiber. */
typedef struct pg_fiber_stats {
    const char *kind;
    size_t stack_bytes; // as mapped
    size_t
        high_water_bytes; // the most any fiber of the kind has used; measured only when switched on
    size_t running;
    size_t started_total;
} pg_fiber_stats;

/** Call `each` for every kind of fiber seen so far. */
void pg_fiber_stats_each(void (*each)(const pg_fiber_stats *stats, void *user), void *user);
