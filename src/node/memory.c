// SPDX-License-Identifier: Apache-2.0
#include "node/memory.h"

#include "base/log.h"
#include "base/mem.h"
#include "runtime/offload.h"
#include "runtime/process.h"
#include "runtime/time.h"

#define STARTED_MS 2000   // when what only starting needs is over
#define INTERVAL_MS 10000 // paging 64 MiB in again takes 20 ms

static pg_err job_unmap(void *arg)
{
    (void) arg;
    pg_process_unmap_unused();
    return PG_OK;
}

static pg_err job_give_back(void *arg)
{
    (void) arg;
    pg_mem_give_back();
    return PG_OK;
}

static pg_err give_back_run(void *arg)
{
    (void) arg;
    PG_TRY(pg_sleep_until(pg_after(PG_MS(STARTED_MS))));
    PG_TRY(pg_offload_io(job_unmap, NULL));
    for (;;) {
        PG_TRY(pg_sleep_until(pg_after(PG_MS(INTERVAL_MS))));
        PG_TRY(pg_offload_io(job_give_back, NULL));
    }
}

void pg_memory_start(pg_memory *self)
{
    pg_mem_keep_large();
    pg_scope_init_tolerant(&self->scope);
    self->is_running = true;
    pg_err err = pg_scope_spawn(&self->scope, "node.memory", give_back_run, NULL);
    if (err != PG_OK) {
        pg_log(PG_LOG_LEVEL_WARN, "node.memory.failed", PG_LOG_STR("error", pg_err_name(err)));
    }
}

void pg_memory_end(pg_memory *self)
{
    if (self->is_running) {
        pg_scope_close(&self->scope);
    }
    self->is_running = false;
}
