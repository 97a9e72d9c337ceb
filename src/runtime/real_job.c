// SPDX-License-Identifier: Apache-2.0
// Threads for jobs: two pools, and workers, which are pools of one thread. A job's request lies on the stack of the fiber
// that waits for it; threads hand it back through one list of done requests.
#include <pthread.h>
#include <signal.h>

#include "base/mem.h"
#include "runtime/limits.h"
#include "runtime/real_priv.h"

#define IO_THREADS_DEFAULT 4

/** A job on its way. */
struct request {
    pg_list node; // in a queue or in the list of done ones; under the mutex of either
    pg_pool *pool;
    pg_fiber *fiber;
    pg_job_fn fn;
    void *arg;
    pg_err err;
    pg_error_record *record;
};

struct pg_pool {
    pg_real *real;
    const char *name;
    size_t queue_max;
    pg_waitq senders; // callers that found the queue full
    pthread_mutex_t mutex;
    pthread_cond_t work;
    pg_list queue;
    size_t queue_len;
    bool must_stop;
    unsigned thread_count;
    pthread_t threads[];
};

struct pg_worker {
    pg_pool *pool;
};

int pg_thread_start(pthread_t *out_thread, const pthread_attr_t *attributes, void *(*run)(void *),
                    void *arg)
{
    sigset_t all;
    sigset_t before;
    (void) sigfillset(&all);
    (void) pthread_sigmask(SIG_SETMASK, &all, &before);
    int number = pthread_create(out_thread, attributes, run, arg);
    (void) pthread_sigmask(SIG_SETMASK, &before, NULL);
    return number;
}

static void *pool_thread(void *arg)
{
    pg_pool *pool = arg;
    (void) pthread_setname_np(pthread_self(), pool->name);
    pthread_mutex_lock(&pool->mutex);
    for (;;) {
        pg_list *node = pg_list_pop(&pool->queue);
        if (node == NULL && pool->must_stop) {
            break;
        }
        if (node == NULL) {
            pthread_cond_wait(&pool->work, &pool->mutex);
            continue;
        }
        pool->queue_len--;
        pthread_mutex_unlock(&pool->mutex);

        struct request *request = PG_LIST_OBJECT(node, struct request, node);
        request->err = pg_job_run(request->fn, request->arg, &request->record);
        pthread_mutex_lock(&pool->real->done_mutex);
        pg_list_append(&pool->real->done, &request->node);
        pthread_mutex_unlock(&pool->real->done_mutex);
        (void) uv_async_send(&pool->real->jobs_done);

        pthread_mutex_lock(&pool->mutex);
    }
    pthread_mutex_unlock(&pool->mutex);
    return NULL;
}

static void on_jobs_done(uv_async_t *handle)
{
    pg_real *real = handle->data;
    for (;;) {
        pthread_mutex_lock(&real->done_mutex);
        pg_list *node = pg_list_pop(&real->done);
        pthread_mutex_unlock(&real->done_mutex);
        if (node == NULL) {
            break;
        }
        struct request *request = PG_LIST_OBJECT(node, struct request, node);
        pg_fiber_wake(request->fiber);
        pg_waitq_wake_one(
            &request->pool->senders); // a job that is done has left a place in the queue
    }
    pg_real_questions_wake(real);
}

static void pool_free(pg_pool *pool)
{
    pthread_mutex_lock(&pool->mutex);
    pool->must_stop = true;
    pthread_cond_broadcast(&pool->work);
    pthread_mutex_unlock(&pool->mutex);
    for (unsigned i = 0; i < pool->thread_count; i++) {
        (void) pthread_join(pool->threads[i], NULL);
    }
    (void) pthread_cond_destroy(&pool->work);
    (void) pthread_mutex_destroy(&pool->mutex);
    pg_mfree(pool);
}

static pg_err pool_new(pg_real *real, const char *name, unsigned threads, size_t queue_max,
                       pg_pool **out_pool)
{
    pg_pool *pool = pg_calloc(1, sizeof(*pool) + threads * sizeof(pool->threads[0]));
    if (pool == NULL) {
        return pg_fail(PG_ERR_NOMEM, "cannot make %s", name);
    }
    pool->real = real;
    pool->name = name;
    pool->queue_max = queue_max;
    pg_waitq_init(&pool->senders);
    pg_list_init(&pool->queue);
    (void) pthread_mutex_init(&pool->mutex, NULL);
    (void) pthread_cond_init(&pool->work, NULL);

    int number = 0;
    while (pool->thread_count < threads && number == 0) {
        number = pg_thread_start(&pool->threads[pool->thread_count], NULL, pool_thread, pool);
        pool->thread_count += number == 0;
    }
    if (number != 0) {
        pool_free(pool);
        return pg_fail(PG_ERR_LIMIT, "cannot start a thread of %s", name);
    }
    *out_pool = pool;
    return PG_OK;
}

static pg_err pool_call(pg_pool *pool, pg_job_fn fn, void *arg)
{
    struct request request = {.pool = pool, .fiber = pg_fiber_self(), .fn = fn, .arg = arg};
    pg_assert(request.fiber != NULL); // else: called off a fiber, or inside a job
    pthread_mutex_lock(&pool->mutex);
    while (pool->queue_len >= pool->queue_max) {
        pthread_mutex_unlock(&pool->mutex);
        pg_fiber_shield(true);
        pg_ignore(pg_waitq_wait(&pool->senders, PG_FOREVER), "shielded, without a deadline");
        pg_fiber_shield(false);
        pthread_mutex_lock(&pool->mutex);
    }
    pg_list_append(&pool->queue, &request.node);
    pool->queue_len++;
    pthread_cond_signal(&pool->work);
    pthread_mutex_unlock(&pool->mutex);
    pg_fiber_park_hard();
    return pg_job_finish(request.err, request.record);
}

static pg_err real_offload(pg_world *world, pg_pool_kind kind, pg_job_fn fn, void *arg)
{
    const pg_real *real = (const pg_real *) (const void *) world;
    return pool_call(real->pools[kind], fn, arg);
}

static unsigned real_cpu_count(const pg_world *world)
{
    const pg_real *real = (const pg_real *) (const void *) world;
    return real->pools[PG_POOL_KIND_CPU]->thread_count;
}

static pg_err real_worker_new(pg_world *world, const char *name, pg_worker **out_worker)
{
    pg_worker *worker = PG_NEW(pg_worker);
    if (worker == NULL) {
        return pg_fail(PG_ERR_NOMEM, "cannot make %s", name);
    }
    pg_err err = pool_new((pg_real *) (void *) world, name, 1, PG_IO_QUEUE_MAX, &worker->pool);
    if (err != PG_OK) {
        pg_mfree(worker);
        return err;
    }
    *out_worker = worker;
    return PG_OK;
}

static pg_err real_worker_call(pg_worker *worker, pg_job_fn fn, void *arg)
{
    return pool_call(worker->pool, fn, arg);
}

static pg_err job_nothing(void *arg)
{
    (void) arg;
    return PG_OK;
}

static void real_worker_free(pg_worker *worker)
{
    // After its last job the thread ends at once, so that joining it does not hold the loop.
    pg_ignore(pool_call(worker->pool, job_nothing, NULL), "it does nothing");
    pool_free(worker->pool);
    pg_mfree(worker);
}

const pg_job_ops pg_real_job_ops = {
    .offload = real_offload,
    .cpu_count = real_cpu_count,
    .worker_new = real_worker_new,
    .worker_call = real_worker_call,
    .worker_free = real_worker_free,
};

static unsigned threads_of(unsigned wanted, unsigned fallback, unsigned max)
{
    unsigned threads = wanted != 0 ? wanted : fallback;
    return threads < max ? threads : max;
}

pg_err pg_real_jobs_init(pg_real *real)
{
    pg_list_init(&real->done);
    pg_list_init(&real->questions);
    (void) pthread_mutex_init(&real->done_mutex, NULL);
    if (uv_async_init(&real->loop, &real->jobs_done, on_jobs_done) != 0) {
        return pg_fail(PG_ERR_IO, "cannot make the way back from the pools");
    }
    real->jobs_done.data = real;
    unsigned cpu = threads_of(real->cpu_threads, uv_available_parallelism(), PG_CPU_THREADS_MAX);
    unsigned io = threads_of(real->io_threads, IO_THREADS_DEFAULT, PG_IO_THREADS_MAX);
    PG_TRY(pool_new(real, "pangea-cpu", cpu, PG_CPU_QUEUE_MAX, &real->pools[PG_POOL_KIND_CPU]));
    return pool_new(real, "pangea-io", io, PG_IO_QUEUE_MAX, &real->pools[PG_POOL_KIND_IO]);
}

void pg_real_jobs_deinit(pg_real *real)
{
    for (unsigned i = 0; i < PG_POOL_KIND_COUNT; i++) {
        if (real->pools[i] != NULL) {
            pool_free(real->pools[i]);
            real->pools[i] = NULL;
        }
    }
    if (real->jobs_done.data != NULL) {
        uv_close((uv_handle_t *) &real->jobs_done, NULL);
        (void) pthread_mutex_destroy(&real->done_mutex);
    }
}
