// SPDX-License-Identifier: Apache-2.0
// Jobs of a simulated machine: run inline on the scheduler's stack, after a short wait, so that other fibers run in
// between as they would beside another thread.
#include <stddef.h>

#include "base/mem.h"
#include "runtime/sim_world_priv.h"

#define JOB_NS_MAX PG_US(50)

/** A thread of its own: here only the time when its last job ends. */
typedef struct pg_sim_worker {
    pg_sim_world *world;
    pg_time busy_until_ns;
} pg_sim_worker;

// A cancelled fiber waits too, and a ghost goes on at once: its jobs may free memory.
static void job_wait(pg_time until)
{
    pg_fiber_shield(true);
    pg_ignore(pg_fiber_park(until), "it ends with the deadline, or for a ghost");
    pg_fiber_shield(false);
}

static pg_time job_end(pg_sim_world *world, pg_time start)
{
    return start + 1 + (int64_t) pg_sim_rng_below(&world->outside_rng, (uint64_t) JOB_NS_MAX);
}

static pg_err on_offload(pg_world *base, pg_pool_kind pool, pg_job_fn fn, void *arg)
{
    (void) pool;
    pg_sim_world *world = (pg_sim_world *) base;
    job_wait(job_end(world, world->now_ns));
    return pg_fiber_call_big(fn, arg);
}

static unsigned on_cpu_count(const pg_world *world)
{
    (void) world;
    return 1;
}

static pg_err on_worker_new(pg_world *base, const char *name, pg_worker **out_worker)
{
    (void) name;
    pg_sim_worker *worker = PG_NEW(pg_sim_worker);
    if (worker == NULL) {
        return pg_fail(PG_ERR_NOMEM, "no memory for a worker");
    }
    worker->world = (pg_sim_world *) base;
    *out_worker = (pg_worker *) worker;
    return PG_OK;
}

static pg_err on_worker_call(pg_worker *base, pg_job_fn fn, void *arg)
{
    pg_sim_worker *worker = (pg_sim_worker *) base;
    pg_sim_world *world = worker->world;
    pg_time start = worker->busy_until_ns > world->now_ns ? worker->busy_until_ns : world->now_ns;
    worker->busy_until_ns = job_end(world, start);
    job_wait(worker->busy_until_ns);
    return pg_fiber_call_big(fn, arg);
}

static void on_worker_free(pg_worker *base)
{
    pg_mfree(base);
}

const pg_job_ops pg_sim_job_ops = {
    .offload = on_offload,
    .cpu_count = on_cpu_count,
    .worker_new = on_worker_new,
    .worker_call = on_worker_call,
    .worker_free = on_worker_free,
};
