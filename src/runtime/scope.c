// SPDX-License-Identifier: Apache-2.0
#include "base/mem.h"
#include "runtime/fiber.h"
#include "runtime/sched_priv.h"
#include "runtime/world_priv.h"

void pg_scope_init(pg_scope *scope)
{
    *scope = (pg_scope){0};
    pg_list_init(&scope->fibers);
}

void pg_scope_init_tolerant(pg_scope *scope)
{
    pg_scope_init(scope);
    scope->tolerant = true;
}

pg_err pg_machine_spawn(pg_machine *machine, pg_scope *scope, const char *kind, pg_fiber_fn fn,
                        void *arg)
{
    if (scope->cancelled || pg_fiber_is_ghost()) {
        return PG_ERR_CANCELLED;
    }
    return pg_fiber_start(scope, machine, kind, fn, arg);
}

pg_err pg_scope_spawn(pg_scope *scope, const char *kind, pg_fiber_fn fn, void *arg)
{
    return pg_machine_spawn(pg_fiber_machine(), scope, kind, fn, arg);
}

void pg_scope_cancel(pg_scope *scope)
{
    scope->cancelled = true;
    for (pg_list *node = scope->fibers.next; node != &scope->fibers; node = node->next) {
        pg_fiber_cancel(PG_LIST_OBJECT(node, pg_fiber, scope_node), false);
    }
}

void pg_scope_fiber_ended(pg_scope *scope, pg_err result, bool was_cancelled,
                          pg_error_record **record)
{
    scope->count--;
    bool failed = result != PG_OK && !(result == PG_ERR_CANCELLED && was_cancelled);
    if (failed && !scope->tolerant && scope->first_err == PG_OK) {
        scope->first_err = result;
        if (*record != NULL && (*record)->code == result) {
            scope->first_record = *record;
            *record = NULL;
        }
        pg_scope_cancel(scope);
    }
    if (scope->count == 0 && scope->joiner != NULL) {
        pg_fiber_wake(scope->joiner);
    }
}

// Take the first failure out and make the scope as after init.
static pg_err scope_reset(pg_scope *scope)
{
    pg_err err = scope->first_err;
    if (scope->first_record != NULL) {
        err = pg_job_finish(err, scope->first_record);
    }
    bool tolerant = scope->tolerant;
    pg_scope_init(scope);
    scope->tolerant = tolerant;
    return err;
}

static void wait_hard(pg_scope *scope)
{
    scope->joiner = pg_fiber_self();
    while (scope->count > 0) {
        pg_fiber_park_hard();
    }
    scope->joiner = NULL;
}

pg_err pg_scope_join(pg_scope *scope)
{
    bool interrupted = false;
    pg_assert(pg_fiber_self() != NULL && scope->joiner == NULL);
    while (scope->count > 0 && !interrupted) {
        scope->joiner = pg_fiber_self();
        interrupted = pg_fiber_park(PG_FOREVER) == PG_ERR_CANCELLED;
        scope->joiner = NULL;
    }
    if (interrupted) {
        pg_scope_cancel(scope);
        wait_hard(scope);
    }
    pg_err err = scope_reset(scope);
    return err == PG_OK && interrupted ? PG_ERR_CANCELLED : err;
}

void pg_scope_close(pg_scope *scope)
{
    pg_assert(pg_fiber_self() != NULL && scope->joiner == NULL);
    pg_scope_cancel(scope);
    wait_hard(scope);
    pg_mfree(scope->first_record);
    scope->first_record = NULL;
    pg_ignore(scope_reset(scope), "closing is for the cleanup path");
}
