// SPDX-License-Identifier: Apache-2.0
// Jobs, whatever thread runs them: the flag that says so, and their error records.
#include "base/mem.h"
#include "runtime/offload.h"
#include "runtime/world_priv.h"

static _Thread_local unsigned jobs_running;

bool pg_job_is_running(void)
{
    return jobs_running > 0;
}

pg_err pg_job_run(pg_job_fn fn, void *arg, pg_error_record **out_record)
{
    pg_error_record own = {0};
    pg_error_record *before = pg_error_swap(&own);
    jobs_running++;
    pg_err err = fn(arg);
    jobs_running--;
    pg_error_swap(before);

    pg_error_record *record = NULL;
    if (err != PG_OK && own.code == err) {
        record = pg_malloc(sizeof(*record));
        if (record != NULL) {
            *record = own;
        }
    }
    *out_record = record;
    return err;
}

pg_err pg_job_finish(pg_err err, pg_error_record *record)
{
    if (record != NULL) {
        err = pg_error_set(err, record->file, record->line, "%s", record->text);
        pg_mfree(record);
    }
    return err;
}

pg_err pg_offload(pg_job_fn fn, void *arg)
{
    pg_world *world = pg_world_current();
    return world->ops->job->offload(world, PG_POOL_KIND_CPU, fn, arg);
}

pg_err pg_offload_io(pg_job_fn fn, void *arg)
{
    pg_world *world = pg_world_current();
    return world->ops->job->offload(world, PG_POOL_KIND_IO, fn, arg);
}

unsigned pg_cpu_count(void)
{
    const pg_world *world = pg_world_current();
    return world->ops->job->cpu_count(world);
}

pg_err pg_worker_new(const char *name, pg_worker **out_worker)
{
    pg_world *world = pg_world_current();
    if (pg_fiber_is_ghost()) {
        return PG_ERR_CANCELLED;
    }
    return world->ops->job->worker_new(world, name, out_worker);
}

pg_err pg_worker_call(pg_worker *worker, pg_job_fn fn, void *arg)
{
    return pg_world_current()->ops->job->worker_call(worker, fn, arg);
}

void pg_worker_free(pg_worker **worker)
{
    if (*worker != NULL) {
        pg_world_current()->ops->job->worker_free(*worker);
        *worker = NULL;
    }
}
