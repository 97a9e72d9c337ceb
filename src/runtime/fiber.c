// SPDX-License-Identifier: Apache-2.0
#include "runtime/fiber.h"

#include <stdint.h>
#include <string.h>

#include "base/mem.h"
#include "runtime/limits.h"
#include "runtime/sched_priv.h"
#include "runtime/world_priv.h"

static pg_fiber *self_or_die(void)
{
    pg_fiber *self = pg_fiber_self();
    pg_assert(self != NULL); // else: something that parks was called off a fiber
    return self;
}

pg_fiber *pg_fiber_self(void)
{
    const pg_sched *sched = pg_sched_get();
    return sched == NULL ? NULL : sched->current;
}

// ---- Start and end

static pg_fiber_kind *kind_get(pg_sched *sched, const char *name)
{
    for (pg_fiber_kind *kind = sched->kinds; kind != NULL; kind = kind->next) {
        if (kind->stats.kind == name || strcmp(kind->stats.kind, name) == 0) {
            return kind;
        }
    }
    pg_fiber_kind *kind = PG_NEW(pg_fiber_kind);
    if (kind != NULL) {
        kind->stats.kind = name;
        kind->stats.stack_bytes = PG_FIBER_STACK_BYTES;
        kind->next = sched->kinds;
        sched->kinds = kind;
    }
    return kind;
}

static void fiber_enter(pg_transfer transfer)
{
    pg_context_entered(transfer);
    pg_sched *sched = pg_sched_get();
    pg_fiber *fiber = sched->current;
    fiber->result = fiber->fn(fiber->arg);
    fiber->state = PG_FIBER_STATE_ENDED;
    pg_context_switch(&fiber->context, &sched->context, true);
    __builtin_unreachable();
}

pg_err pg_fiber_start(pg_scope *scope, pg_machine *machine, const char *kind_name, pg_fiber_fn fn,
                      void *arg)
{
    pg_sched *sched = pg_sched_get();
    pg_assert(sched != NULL);
    pg_fiber_kind *kind = kind_get(sched, kind_name);
    if (kind == NULL) {
        return pg_fail(PG_ERR_NOMEM, "cannot start a fiber");
    }
    pg_stack stack = {0};
    PG_TRY(pg_stack_take(&sched->stacks, &stack));

    size_t own_bytes = (sizeof(pg_fiber) + 63) & ~(size_t) 63;
    pg_fiber *fiber = (pg_fiber *) (void *) (stack.bottom + stack.bytes - own_bytes);
    if (sched->measures_stacks) {
        pg_stack_paint(&stack, fiber);
    }
    *fiber = (pg_fiber){.scope = scope, .machine = machine, .kind = kind, .fn = fn, .arg = arg};
    fiber->stack = stack;
    fiber->number = ++sched->fibers_started;
    if (sched->current != NULL) {
        fiber->trace = sched->current->trace;
    }
    pg_context_make(&fiber->context, stack.bottom, stack.bytes - own_bytes, fiber_enter);
    kind->stats.running++;
    kind->stats.started_total++;
    pg_list_append(&sched->fibers, &fiber->all_node);
    pg_list_append(&scope->fibers, &fiber->scope_node);
    if (machine != NULL) {
        pg_list_append(&machine->fibers, &fiber->machine_node);
    }
    scope->count++;
    fiber->state = PG_FIBER_STATE_READY;
    pg_list_append(&sched->ready, &fiber->ready_node);
    return PG_OK;
}

void pg_fiber_stats_each(void (*each)(const pg_fiber_stats *stats, void *user), void *user)
{
    pg_sched *sched = pg_sched_get();
    pg_assert(sched != NULL);
    if (sched->measures_stacks) {
        for (pg_list *node = sched->fibers.next; node != &sched->fibers; node = node->next) {
            const pg_fiber *fiber = PG_LIST_OBJECT(node, pg_fiber, all_node);
            pg_fiber_stats *stats = &fiber->kind->stats;
            stats->high_water_bytes =
                pg_max_size(stats->high_water_bytes, pg_stack_used(&fiber->stack));
        }
    }
    for (const pg_fiber_kind *kind = sched->kinds; kind != NULL; kind = kind->next) {
        each(&kind->stats, user);
    }
}

// ---- Waiting

static void fiber_make_ready(pg_fiber *fiber, pg_err err)
{
    pg_timer_stop(&fiber->timer);
    fiber->wake_err = err;
    fiber->state = PG_FIBER_STATE_READY;
    pg_list_append(&pg_sched_get()->ready, &fiber->ready_node);
}

static void on_deadline(pg_timer *timer)
{
    fiber_make_ready(PG_LIST_OBJECT(timer, pg_fiber, timer), PG_ERR_TIMEOUT);
}

static bool must_stop(const pg_fiber *fiber)
{
    return fiber->is_ghost || (fiber->is_cancelled && fiber->shields == 0);
}

pg_err pg_fiber_park(pg_time deadline)
{
    pg_fiber *self = self_or_die();
    pg_sched *sched = pg_sched_get();
    pg_assert(!pg_job_is_running());
    if (must_stop(self)) {
        return PG_ERR_CANCELLED;
    }
    if (deadline != PG_FOREVER) {
        pg_timer_start(&self->timer, deadline, on_deadline);
    }
    self->state = PG_FIBER_STATE_PARKED;
    pg_context_switch(&self->context, &sched->context, false);
    return self->wake_err;
}

void pg_fiber_park_hard(void)
{
    pg_fiber *self = self_or_die();
    self->state = PG_FIBER_STATE_PARKED_HARD;
    pg_context_switch(&self->context, &pg_sched_get()->context, false);
}

void pg_fiber_wake(pg_fiber *fiber)
{
    if (fiber->state == PG_FIBER_STATE_PARKED || fiber->state == PG_FIBER_STATE_PARKED_HARD) {
        fiber_make_ready(fiber, PG_OK);
    }
}

pg_err pg_fiber_yield(void)
{
    pg_fiber *self = self_or_die();
    if (must_stop(self)) {
        return PG_ERR_CANCELLED;
    }
    fiber_make_ready(self, PG_OK);
    pg_context_switch(&self->context, &pg_sched_get()->context, false);
    return PG_OK;
}

pg_err pg_fiber_checkpoint(void)
{
    pg_sched *sched = pg_sched_get();
    if (must_stop(self_or_die())) {
        return PG_ERR_CANCELLED;
    }
    if (++sched->checkpoints < PG_CHECKPOINTS_PER_SWITCH) {
        return PG_OK;
    }
    return pg_fiber_yield();
}

void pg_fiber_trim(void)
{
    const pg_fiber *self = self_or_die();
    if (!pg_sched_get()->measures_stacks) { // the paint would be gone
        pg_stack_trim(&self->stack, __builtin_frame_address(0));
    }
}

pg_err pg_sleep_until(pg_time deadline)
{
    pg_err err = pg_fiber_park(deadline);
    return err == PG_ERR_TIMEOUT ? PG_OK : err;
}

// ---- Cancellation

void pg_fiber_cancel(pg_fiber *fiber, bool ghost)
{
    fiber->is_cancelled = true;
    fiber->is_ghost = fiber->is_ghost || ghost;
    if (fiber->state == PG_FIBER_STATE_PARKED && must_stop(fiber)) {
        fiber_make_ready(fiber, PG_ERR_CANCELLED);
    }
}

bool pg_fiber_is_cancelled(void)
{
    return self_or_die()->is_cancelled;
}

void pg_fiber_shield(bool on)
{
    pg_fiber *self = self_or_die();
    pg_assert(on || self->shields > 0);
    self->shields += on ? 1 : UINT32_MAX;
}

bool pg_fiber_is_ghost(void)
{
    const pg_fiber *self = pg_fiber_self();
    return self != NULL && self->is_ghost;
}

// ---- Machines

void pg_machine_init(pg_machine *machine)
{
    pg_list_init(&machine->fibers);
}

pg_machine *pg_fiber_machine(void)
{
    const pg_fiber *self = pg_fiber_self();
    return self == NULL ? NULL : self->machine;
}

void pg_machine_crash(pg_machine *machine)
{
    for (pg_list *node = pg_list_pop(&machine->fibers); node != NULL;
         node = pg_list_pop(&machine->fibers)) {
        pg_fiber_cancel(PG_LIST_OBJECT(node, pg_fiber, machine_node), true);
    }
}

// ---- Waiting places

/** A fiber in a waiting place; lives on its stack. */
struct waiter {
    pg_list node;
    pg_fiber *fiber;
};

void pg_waitq_init(pg_waitq *waitq)
{
    pg_list_init(&waitq->waiters);
}

pg_err pg_waitq_wait(pg_waitq *waitq, pg_time deadline)
{
    struct waiter waiter = {.fiber = self_or_die()};
    pg_list_append(&waitq->waiters, &waiter.node);
    pg_err err = pg_fiber_park(deadline);
    pg_list_remove(&waiter.node);
    return err;
}

void pg_waitq_wait_hard(pg_waitq *waitq)
{
    struct waiter waiter = {.fiber = self_or_die()};
    pg_list_append(&waitq->waiters, &waiter.node);
    pg_fiber_park_hard();
    pg_list_remove(&waiter.node);
}

bool pg_waitq_wake_one(pg_waitq *waitq)
{
    // A waiter whose deadline has passed, or who was cancelled, but who has not run since, is no longer waiting: the wake
    // would be lost on it.
    for (pg_list *node = pg_list_pop(&waitq->waiters); node != NULL;
         node = pg_list_pop(&waitq->waiters)) {
        pg_fiber *fiber = PG_LIST_OBJECT(node, struct waiter, node)->fiber;
        if (fiber->state == PG_FIBER_STATE_PARKED || fiber->state == PG_FIBER_STATE_PARKED_HARD) {
            pg_fiber_wake(fiber);
            return true;
        }
    }
    return false;
}

void pg_waitq_wake_all(pg_waitq *waitq)
{
    while (pg_waitq_wake_one(waitq)) {
    }
}
