// SPDX-License-Identifier: Apache-2.0
// Names by the system's resolver, each on a thread of its own: an answer may take half a minute, a fiber may stop waiting
// for it, and the end of the program must not wait either. And the table of socket operations.
#include <netdb.h>
#include <netinet/in.h>
#include <pthread.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "runtime/limits.h"
#include "runtime/real_priv.h"

/** A question on its way; its thread frees it when nobody waits any more. */
struct question {
    pg_list node; // in the run's list while its fiber waits
    pg_real *real;
    pg_fiber *fiber;
    char *name;
    struct addrinfo hints;
    bool is_abandoned; // from here on under the mutex while the thread runs
    bool is_done;
    int status;
    struct addrinfo *answer;
};

// Threads may outlive the run that started them, so what they share with it is static.
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static unsigned threads_running;

static void question_free(struct question *question)
{
    if (question->answer != NULL) {
        freeaddrinfo(question->answer);
    }
    pg_mfree(question->name);
    pg_mfree(question);
}

static void *question_thread(void *arg)
{
    struct question *question = arg;
    struct addrinfo *answer = NULL;
    int status = getaddrinfo(question->name, NULL, &question->hints, &answer);
    pthread_mutex_lock(&mutex);
    threads_running--;
    question->status = status;
    question->answer = status == 0 ? answer : NULL;
    question->is_done = true;
    bool is_abandoned = question->is_abandoned;
    if (!is_abandoned) {
        (void) uv_async_send(&question->real->jobs_done);
    }
    pthread_mutex_unlock(&mutex);
    if (is_abandoned) {
        question_free(question);
    }
    return NULL;
}

void pg_real_questions_wake(pg_real *real)
{
    pthread_mutex_lock(&mutex);
    for (pg_list *node = real->questions.next; node != &real->questions; node = node->next) {
        struct question *question = PG_LIST_OBJECT(node, struct question, node);
        if (question->is_done) {
            pg_fiber_wake(question->fiber);
        }
    }
    pthread_mutex_unlock(&mutex);
}

static pg_err err_of_status(int status, const char *name)
{
    switch (status) {
    case 0:
        return PG_OK;
    case EAI_NONAME:
    case EAI_NODATA:
    case EAI_ADDRFAMILY:
        return pg_fail(PG_ERR_NOT_FOUND, "no address of /dns/%s", name);
    case EAI_MEMORY:
        return pg_fail(PG_ERR_NOMEM, "cannot resolve /dns/%s", name);
    default:
        return pg_fail(PG_ERR_UNREACHABLE, "cannot resolve /dns/%s: %s", name,
                       gai_strerror(status));
    }
}

static pg_err question_new(pg_real *real, const char *name, pg_ip_family family,
                           struct question **out_question)
{
    struct question *question = PG_NEW(struct question);
    char *own_name = pg_str_dup(pg_str_make(name));
    if (question == NULL || own_name == NULL) {
        pg_mfree(question);
        pg_mfree(own_name);
        return pg_fail(PG_ERR_NOMEM, "cannot resolve /dns/%s", name);
    }
    question->real = real;
    question->fiber = pg_fiber_self();
    question->name = own_name;
    question->hints.ai_socktype = SOCK_STREAM; // else each address comes once a protocol
    question->hints.ai_family = family == PG_IP_FAMILY_V4   ? AF_INET
                                : family == PG_IP_FAMILY_V6 ? AF_INET6
                                                            : AF_UNSPEC;
    *out_question = question;
    return PG_OK;
}

static pg_err thread_start(struct question *question)
{
    pthread_t thread;
    pthread_attr_t detached;
    pthread_mutex_lock(&mutex);
    bool may_start = threads_running < PG_RESOLVE_THREADS_MAX;
    threads_running += may_start;
    pthread_mutex_unlock(&mutex);
    if (!may_start) {
        return pg_fail(PG_ERR_BUSY, "%d names are being resolved", PG_RESOLVE_THREADS_MAX);
    }
    (void) pthread_attr_init(&detached);
    (void) pthread_attr_setdetachstate(&detached, PTHREAD_CREATE_DETACHED);
    int number = pg_thread_start(&thread, &detached, question_thread, question);
    (void) pthread_attr_destroy(&detached);
    if (number != 0) {
        pthread_mutex_lock(&mutex);
        threads_running--;
        pthread_mutex_unlock(&mutex);
        return pg_fail_errno(number, "thread", NULL);
    }
    return PG_OK;
}

static size_t answer_read(const struct addrinfo *answer, pg_endpoint *out_endpoints)
{
    size_t count = 0;
    for (; answer != NULL && count < PG_RESOLVE_MAX; answer = answer->ai_next) {
        struct sockaddr_storage address = {0};
        memcpy(&address, answer->ai_addr, pg_min_size(answer->ai_addrlen, sizeof(address)));
        out_endpoints[count] = pg_endpoint_of_sockaddr(&address);
        count += out_endpoints[count].family != PG_IP_FAMILY_NONE;
    }
    return count;
}

pg_err pg_real_resolve(pg_world *world, const char *name, pg_ip_family family, pg_time deadline,
                       pg_endpoint *out_endpoints, size_t *out_count)
{
    pg_real *real = (pg_real *) (void *) world;
    struct question *question = NULL;
    PG_TRY(pg_fiber_checkpoint());
    PG_TRY(question_new(real, name, family, &question));
    pg_err err = thread_start(question);
    if (err != PG_OK) {
        question_free(question);
        return err;
    }
    pg_list_append(&real->questions, &question->node);
    err = pg_fiber_park(deadline);
    pg_list_remove(&question->node);

    pthread_mutex_lock(&mutex);
    bool is_done = question->is_done;
    question->is_abandoned = !is_done;
    pthread_mutex_unlock(&mutex);
    if (!is_done) {
        return err;
    }
    err = err_of_status(question->status, name);
    if (err == PG_OK) {
        *out_count = answer_read(question->answer, out_endpoints);
    }
    question_free(question);
    return err;
}

const pg_socket_ops pg_real_socket_ops = {
    .tcp_listen = pg_real_tcp_listen,
    .tcp_dial = pg_real_tcp_dial,
    .tcp_endpoints = pg_real_tcp_endpoints,
    .unix_listen = pg_real_unix_listen,
    .unix_dial = pg_real_unix_dial,
    .listener_endpoint = pg_real_listener_endpoint,
    .listener_accept = pg_real_listener_accept,
    .listener_free = pg_real_listener_free,
    .udp_bind = pg_real_udp_bind,
    .udp_join = pg_real_udp_join,
    .udp_endpoint = pg_real_udp_endpoint,
    .udp_send = pg_real_udp_send,
    .udp_recv = pg_real_udp_recv,
    .udp_free = pg_real_udp_free,
    .resolve = pg_real_resolve,
    .interfaces = pg_real_interfaces,
};
