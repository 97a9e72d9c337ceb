// SPDX-License-Identifier: Apache-2.0
// The run: one loop that runs ready fibers, asks the world for news, and fires timers.
#include <stdatomic.h>
#include <stdint.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "runtime/limits.h"
#include "runtime/sched_priv.h"

#define POLL_NOT (INT64_MIN) // a time that is past

static _Thread_local pg_sched *thread_sched;
static _Atomic(pg_world *) current_world;

/** The first fiber's function and result. */
struct first {
    pg_fiber_fn fn;
    void *arg;
    pg_err result;
    bool has_ended;
};

pg_sched *pg_sched_get(void)
{
    return thread_sched;
}

pg_world *pg_world_current(void)
{
    return atomic_load_explicit(&current_world, memory_order_acquire);
}

static uint64_t log_now_ms(void)
{
    return (uint64_t) (pg_now() / PG_MS(1));
}

// ---- Error records: a fiber has one of its own only when something is in it.

static void record_lend(pg_sched *sched, const pg_fiber *fiber)
{
    pg_error_swap(fiber->record != NULL ? fiber->record : sched->spare);
}

static void record_take_back(pg_sched *sched, pg_fiber *fiber)
{
    pg_error_swap(NULL);
    if (fiber->record != NULL) {
        if (fiber->record->code == PG_OK) {
            pg_mfree(fiber->record);
            fiber->record = NULL;
        }
        return;
    }
    if (sched->spare->code == PG_OK) {
        return;
    }
    pg_error_record *fresh = PG_NEW(pg_error_record);
    if (fresh == NULL) {
        sched->spare->code = PG_OK; // out of memory: the detail is lost, the code is not
        return;
    }
    fiber->record = sched->spare;
    sched->spare = fresh;
}

// ---- Running fibers

static void fiber_finish(pg_sched *sched, pg_fiber *fiber)
{
    if (sched->measures_stacks) {
        size_t used = pg_stack_used(&fiber->stack);
        fiber->kind->stats.high_water_bytes =
            pg_max_size(fiber->kind->stats.high_water_bytes, used);
    }
    fiber->kind->stats.running--;
    pg_list_remove(&fiber->all_node);
    pg_list_remove(&fiber->scope_node);
    pg_list_remove(&fiber->machine_node);
    pg_context_tsan_free(fiber->context.tsan_fiber);

    pg_error_record *record = fiber->record;
    pg_scope *scope = fiber->scope;
    pg_err result = fiber->result;
    bool was_cancelled = fiber->is_cancelled;
    pg_stack stack = fiber->stack; // the fiber lies in it
    pg_stack_give(&sched->stacks, &stack);
    pg_scope_fiber_ended(scope, result, was_cancelled, &record);
    pg_mfree(record);
}

static void fiber_run(pg_sched *sched, pg_fiber *fiber)
{
    if (sched->world->ops->on_event != NULL) {
        sched->world->ops->on_event(sched->world, fiber->number);
    }
    fiber->state = PG_FIBER_STATE_RUNNING;
    sched->current = fiber;
    sched->checkpoints = 0;
    record_lend(sched, fiber);
    pg_context_switch(&sched->context, &fiber->context, false);
    while (sched->big_fn != NULL) {
        sched->big_err = pg_job_run(sched->big_fn, sched->big_arg, &sched->big_record);
        sched->big_fn = NULL;
        pg_context_switch(&sched->context, &fiber->context, false);
    }
    record_take_back(sched, fiber);
    sched->current = NULL;
    pg_assert(pg_stack_is_sound(&sched->stacks, &fiber->stack)); // else: a fiber ran over its stack
    if (fiber->state == PG_FIBER_STATE_ENDED) {
        fiber_finish(sched, fiber);
    }
}

pg_err pg_fiber_call_big(pg_job_fn fn, void *arg)
{
    pg_sched *sched = thread_sched;
    pg_assert(sched != NULL && sched->current != NULL);
    sched->big_fn = fn;
    sched->big_arg = arg;
    pg_context_switch(&sched->current->context, &sched->context, false);
    pg_error_record *record = sched->big_record;
    sched->big_record = NULL;
    return pg_job_finish(sched->big_err, record);
}

// ---- Timers

void pg_timer_start(pg_timer *timer, pg_time at, void (*fire)(pg_timer *timer))
{
    pg_assert(thread_sched != NULL && !timer->is_started);
    timer->at = at;
    timer->fire = fire;
    pg_timers_add(&thread_sched->timers, timer);
}

void pg_timer_stop(pg_timer *timer)
{
    if (timer->is_started) {
        pg_timers_remove(&thread_sched->timers, timer);
    }
}

static void timers_fire(pg_sched *sched)
{
    const pg_world_ops *ops = sched->world->ops;
    if (sched->timers.root == NULL) {
        return;
    }
    // Timers that a timer starts wait for the next turn, so that none can hold the loop.
    pg_time now = ops->now(sched->world);
    uint64_t last = sched->timers.started;
    while (sched->timers.root != NULL && sched->timers.root->at <= now &&
           sched->timers.root->number <= last) {
        pg_timer *timer = sched->timers.root;
        pg_timers_remove(&sched->timers, timer);
        if (ops->on_event != NULL) {
            ops->on_event(sched->world, 0);
        }
        timer->fire(timer);
    }
}

// ---- The loop

void pg_sched_abort(pg_err err)
{
    pg_sched *sched = thread_sched;
    pg_assert(sched != NULL && err != PG_OK);
    if (sched->abort_err != PG_OK) {
        return;
    }
    sched->abort_err = err;
    for (pg_list *node = sched->fibers.next; node != &sched->fibers; node = node->next) {
        pg_fiber_cancel(PG_LIST_OBJECT(node, pg_fiber, all_node), true);
    }
}

static pg_err first_run(void *arg)
{
    struct first *first = arg;
    first->result = first->fn(first->arg);
    first->has_ended = true;
    return first->result;
}

static void loop(pg_sched *sched, const struct first *first)
{
    while (!first->has_ended) {
        for (unsigned i = 0; i < PG_SWITCHES_PER_POLL && !first->has_ended; i++) {
            pg_list *node = pg_list_pop(&sched->ready);
            if (node == NULL) {
                break;
            }
            fiber_run(sched, PG_LIST_OBJECT(node, pg_fiber, ready_node));
        }
        if (first->has_ended) {
            return;
        }
        bool is_idle = pg_list_is_empty(&sched->ready);
        if (sched->abort_err != PG_OK) {
            pg_assert(!is_idle); // else: a ghost waits for something that is not its own
            continue;
        }
        pg_err err = sched->world->ops->poll(sched->world,
                                             is_idle ? pg_timers_next(&sched->timers) : POLL_NOT);
        if (err != PG_OK) {
            pg_sched_abort(err);
        } else {
            timers_fire(sched);
        }
    }
}

static void sched_deinit(pg_sched *sched)
{
    pg_stack_pool_deinit(&sched->stacks);
    for (pg_fiber_kind *kind = sched->kinds; kind != NULL; kind = sched->kinds) {
        sched->kinds = kind->next;
        pg_mfree(kind);
    }
    pg_mfree(sched->spare);
}

pg_err pg_sched_run(pg_world *world, bool measure_stacks, pg_fiber_fn fn, void *arg)
{
    pg_world *none = NULL;
    if (!atomic_compare_exchange_strong(&current_world, &none, world)) {
        return pg_fail(PG_ERR_BUSY, "a run is on in this process");
    }
    pg_sched sched = {.world = world, .measures_stacks = measure_stacks};
    struct first first = {.fn = fn, .arg = arg};
    pg_scope scope;
    pg_list_init(&sched.ready);
    pg_list_init(&sched.fibers);
    pg_stack_pool_init(&sched.stacks, !world->ops->is_sim);
    sched.context.tsan_fiber = pg_context_tsan_self();
    sched.spare = PG_NEW(pg_error_record);
    thread_sched = &sched;
    pg_log_set_clock(log_now_ms);
    pg_scope_init(&scope);

    pg_err err = PG_OK;
    if (sched.spare == NULL) {
        err = pg_fail(PG_ERR_NOMEM, "cannot make the scheduler");
        goto out;
    }
    err = pg_fiber_start(&scope, NULL, "runtime.first", first_run, &first);
    if (err != PG_OK) {
        goto out;
    }
    loop(&sched, &first);
    pg_assert(pg_list_is_empty(&sched.fibers)); // else: a fiber outlived its owner
    err = first.result;
    if (scope.first_record != NULL) {
        err = pg_job_finish(err, scope.first_record);
    }
    if (sched.abort_err != PG_OK) {
        err = sched.abort_err; // its detail is in the thread's record since
    }
out:
    pg_log_set_clock(NULL);
    thread_sched = NULL;
    sched_deinit(&sched);
    atomic_store_explicit(&current_world, NULL, memory_order_release);
    return err;
}
