// SPDX-License-Identifier: Apache-2.0
// Goal: jobs run on their pools, their results and details come back, bounds hold, cancelled fibers wait for theirs.
// Method: a real run a test; jobs wait for each other by semaphores, never by time.
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <string.h>

#include "base/mem.h"
#include "in_fiber.h"
#include "runtime/fiber.h"
#include "runtime/limits.h"
#include "runtime/offload.h"
#include "runtime/world_priv.h"

struct job {
    pthread_t thread;
    int number;
    sem_t *gate;
    pg_err err;
    pg_worker *worker; // NULL: the CPU pool
};

static pg_err job_note(void *arg)
{
    struct job *job = arg;
    CHECK(pg_job_is_running());
    CHECK(pg_fiber_self() == NULL && !pg_fiber_is_ghost());
    CHECK(pg_now() > 0);
    job->thread = pthread_self();
    return job->number == 0 ? PG_OK : pg_fail(PG_ERR_CORRUPT, "job %d", job->number);
}

static pg_err body_offload(void *arg)
{
    (void) arg;
    struct job job = {0};
    CHECK(pg_cpu_count() >= 1);
    CHECK_OK(pg_offload(job_note, &job));
    CHECK(!pthread_equal(job.thread, pthread_self()));
    job.number = 3;
    CHECK_ERR(pg_offload(job_note, &job), PG_ERR_CORRUPT);
    CHECK(strcmp(pg_error_detail(PG_ERR_CORRUPT), "job 3") == 0);
    CHECK_ERR(pg_offload_io(job_note, &job), PG_ERR_CORRUPT);
    return PG_OK;
}

static void test_offload__fails__its_detail_is_the_fibers(void **state)
{
    (void) state;
    in_fiber(body_offload, NULL);
}

static pg_err body_worker(void *arg)
{
    (void) arg;
    pg_worker *worker = NULL;
    struct job a = {0};
    struct job b = {.number = 4};
    CHECK_OK(pg_worker_new("test-worker", &worker));
    CHECK_OK(pg_worker_call(worker, job_note, &a));
    CHECK_ERR(pg_worker_call(worker, job_note, &b), PG_ERR_CORRUPT);
    CHECK(pthread_equal(a.thread, b.thread));
    pg_worker_free(&worker);
    CHECK(worker == NULL);
    pg_worker_free(&worker);
    pg_mem_fail_nth(1);
    CHECK_ERR(pg_worker_new("test-worker", &worker), PG_ERR_NOMEM);
    pg_mem_fail_nth(2);
    CHECK_ERR(pg_worker_new("test-worker", &worker), PG_ERR_NOMEM);
    pg_mem_fail_nth(0);
    return PG_OK;
}

static void test_worker__called_twice__is_one_thread(void **state)
{
    (void) state;
    in_fiber(body_worker, NULL);
}

static pg_err job_wait(void *arg)
{
    struct job *job = arg;
    while (sem_wait(job->gate) != 0) {
    }
    job->number = 1;
    return PG_OK;
}

static pg_err body_wait_for_job(void *arg)
{
    struct job *job = arg;
    job->err = job->worker != NULL ? pg_worker_call(job->worker, job_wait, job)
                                   : pg_offload(job_wait, job);
    return job->err;
}

static pg_err body_cancelled(void *arg)
{
    (void) arg;
    sem_t gate;
    pg_scope scope;
    CHECK(sem_init(&gate, 0, 0) == 0);
    struct job job = {.gate = &gate, .err = PG_ERR_BUG};
    pg_scope_init(&scope);
    CHECK_OK(pg_scope_spawn(&scope, "test.job", body_wait_for_job, &job));
    CHECK_OK(pg_fiber_yield());
    pg_scope_cancel(&scope);
    CHECK_OK(pg_fiber_yield());
    CHECK_OK(pg_sleep_until(pg_after(PG_MS(1))));
    CHECK(job.err == PG_ERR_BUG); // still waits: the job has its memory
    CHECK(sem_post(&gate) == 0);
    CHECK_OK(pg_scope_join(&scope));
    CHECK(job.err == PG_OK && job.number == 1);
    (void) sem_destroy(&gate);
    return PG_OK;
}

static void test_offload__cancelled__waits_for_the_end_of_the_job(void **state)
{
    (void) state;
    in_fiber(body_cancelled, NULL);
}

#define MANY ((PG_CPU_QUEUE_MAX > PG_IO_QUEUE_MAX ? PG_CPU_QUEUE_MAX : PG_IO_QUEUE_MAX) + 50)

static void check_bounded(pg_worker *worker)
{
    static struct job jobs[MANY];
    sem_t gate;
    pg_scope scope;
    CHECK(sem_init(&gate, 0, 0) == 0);
    pg_scope_init(&scope);
    for (unsigned i = 0; i < MANY; i++) {
        jobs[i] = (struct job){.gate = &gate, .worker = worker, .err = PG_ERR_BUG};
        CHECK_OK(pg_scope_spawn(&scope, "test.job", body_wait_for_job, &jobs[i]));
    }
    CHECK_OK(pg_fiber_yield());
    for (unsigned i = 0; i < MANY; i++) {
        CHECK(sem_post(&gate) == 0);
    }
    CHECK_OK(pg_scope_join(&scope));
    for (unsigned i = 0; i < MANY; i++) {
        CHECK(jobs[i].err == PG_OK && jobs[i].number == 1);
    }
    (void) sem_destroy(&gate);
}

static pg_err body_bounded(void *arg)
{
    (void) arg;
    pg_worker *worker = NULL;
    check_bounded(NULL);
    CHECK_OK(pg_worker_new("test-worker", &worker));
    check_bounded(worker);
    pg_worker_free(&worker);
    return PG_OK;
}

static void test_offload__more_than_the_queue_takes__callers_wait(void **state)
{
    (void) state;
    pg_runtime_config config = {.cpu_threads = 2, .io_threads = 1};
    assert_int_equal(pg_runtime_run(&config, body_bounded, NULL), PG_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_offload__fails__its_detail_is_the_fibers),
        cmocka_unit_test(test_worker__called_twice__is_one_thread),
        cmocka_unit_test(test_offload__cancelled__waits_for_the_end_of_the_job),
        cmocka_unit_test(test_offload__more_than_the_queue_takes__callers_wait),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
