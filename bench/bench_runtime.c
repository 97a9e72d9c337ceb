// SPDX-License-Identifier: Apache-2.0
// What waiting costs: switching fibers, starting them, timers, channels; and a TCP stream between two fibers of one thread
// against two threads with plain blocking sockets.
#include <netinet/in.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/attr.h"
#include "bench.h"
#include "runtime/chan.h"
#include "runtime/fiber.h"
#include "runtime/offload.h"
#include "runtime/runtime.h"
#include "runtime/socket.h"
#include "runtime/time.h"

#define TIMES 1000
#define FIBERS 500 // as many as the pool of stacks keeps
#define STREAM_BYTES ((size_t) 16 * 1024 * 1024)
#define CHUNK_BYTES ((size_t) 64 * 1024)
#define DATAGRAM_BYTES 1350
#define RUN_BYTES ((size_t) 40 * DATAGRAM_BYTES)

typedef struct runtime_state {
    uint8_t *from; // CHUNK_BYTES
    uint8_t *to;
    pg_stream *near;
    pg_stream *far;
    pg_chan chan;
    pg_waitq waitq;
    pg_udp *udp_near;
    pg_udp *udp_far;
    int plain_near;
    int plain_far;
} runtime_state;

static void must(bool good)
{
    if (!good) {
        abort();
    }
}

static pg_err fiber_nothing(void *arg)
{
    (void) arg;
    return PG_OK;
}

static pg_err fiber_yield(void *arg)
{
    (void) arg;
    for (unsigned i = 0; i < TIMES / 2; i++) {
        PG_TRY(pg_fiber_yield());
    }
    return PG_OK;
}

// Two fibers in turn; a switch leaves one and enters the other by way of the scheduler.
static void on_switch(void *user)
{
    pg_scope scope;
    pg_scope_init(&scope);
    must(pg_scope_spawn(&scope, "bench.yield", fiber_yield, user) == PG_OK);
    must(fiber_yield(user) == PG_OK);
    must(pg_scope_join(&scope) == PG_OK);
}

static void on_spawn(void *user)
{
    pg_scope scope;
    for (unsigned i = 0; i < TIMES; i++) {
        pg_scope_init(&scope);
        must(pg_scope_spawn(&scope, "bench.nothing", fiber_nothing, user) == PG_OK);
        must(pg_scope_join(&scope) == PG_OK);
    }
}

static pg_err fiber_wait(void *arg)
{
    runtime_state *state = arg;
    pg_time deadline = pg_after(PG_SECONDS(30));
    for (unsigned i = 0; i < TIMES; i++) {
        PG_TRY(pg_waitq_wait(&state->waitq, deadline));
    }
    return PG_OK;
}

// A wait with a deadline that does not come, as nearly all are.
static void on_timer_stop(void *user)
{
    runtime_state *state = user;
    pg_scope scope;
    pg_scope_init(&scope);
    must(pg_scope_spawn(&scope, "bench.wait", fiber_wait, state) == PG_OK);
    for (unsigned i = 0; i < TIMES; i++) {
        must(pg_fiber_yield() == PG_OK);
        must(pg_waitq_wake_one(&state->waitq));
    }
    must(pg_scope_join(&scope) == PG_OK);
}

static pg_err fiber_sleep(void *arg)
{
    return pg_sleep_until(*(const pg_time *) arg);
}

// Many fibers asleep until the same moment, now.
static void on_timer_fire(void *user)
{
    (void) user;
    pg_time deadline = pg_now();
    pg_scope scope;
    pg_scope_init(&scope);
    for (unsigned i = 0; i < FIBERS; i++) {
        must(pg_scope_spawn(&scope, "bench.sleep", fiber_sleep, &deadline) == PG_OK);
    }
    must(pg_scope_join(&scope) == PG_OK);
}

static pg_err fiber_send(void *arg)
{
    runtime_state *state = arg;
    for (uint64_t i = 0; i < TIMES; i++) {
        PG_TRY(pg_chan_send(&state->chan, &i, PG_FOREVER));
    }
    return PG_OK;
}

static void on_chan(void *user)
{
    runtime_state *state = user;
    pg_scope scope;
    uint64_t item = 0;
    pg_scope_init(&scope);
    must(pg_scope_spawn(&scope, "bench.send", fiber_send, state) == PG_OK);
    for (unsigned i = 0; i < TIMES; i++) {
        must(pg_chan_recv(&state->chan, &item, PG_FOREVER) == PG_OK);
    }
    must(pg_scope_join(&scope) == PG_OK);
}

static void on_offload(void *user)
{
    must(pg_offload(fiber_nothing, user) == PG_OK);
}

static pg_err fiber_write(void *arg)
{
    runtime_state *state = arg;
    for (size_t done = 0; done < STREAM_BYTES; done += CHUNK_BYTES) {
        PG_TRY(pg_stream_write(state->near, pg_bytes_make(state->from, CHUNK_BYTES), PG_FOREVER));
    }
    return PG_OK;
}

static void on_tcp(void *user)
{
    runtime_state *state = user;
    pg_scope scope;
    pg_scope_init(&scope);
    must(pg_scope_spawn(&scope, "bench.write", fiber_write, state) == PG_OK);
    for (size_t done = 0; done < STREAM_BYTES;) {
        size_t len = 0;
        must(pg_stream_read(state->far, pg_mut_bytes_make(state->to, CHUNK_BYTES), PG_FOREVER,
                            &len) == PG_OK);
        done += len;
    }
    must(pg_scope_join(&scope) == PG_OK);
}

static void *thread_write(void *arg)
{
    const runtime_state *state = arg;
    for (size_t done = 0; done < STREAM_BYTES;) {
        ssize_t put = write(state->plain_near, state->from, CHUNK_BYTES);
        must(put > 0);
        done += (size_t) put;
    }
    return NULL;
}

static void on_plain(void *user)
{
    const runtime_state *state = user;
    pthread_t thread;
    must(pthread_create(&thread, NULL, thread_write, user) == 0);
    for (size_t done = 0; done < STREAM_BYTES;) {
        ssize_t got = read(state->plain_far, state->to, CHUNK_BYTES);
        must(got > 0);
        done += (size_t) got;
    }
    must(pthread_join(thread, NULL) == 0);
}

static void udp_pass(runtime_state *state, size_t len, uint16_t segment_bytes)
{
    pg_udp_msg msgs[PG_UDP_BATCH_MAX];
    pg_udp_msg msg = {.peer = pg_udp_endpoint(state->udp_far),
                      .data = pg_bytes_make(state->from, len),
                      .segment_bytes = segment_bytes};
    must(pg_udp_send(state->udp_near, &msg, PG_FOREVER) == PG_OK);
    for (size_t done = 0; done < len;) {
        size_t count = 0;
        must(pg_udp_recv(state->udp_far, PG_FOREVER, msgs, &count) == PG_OK);
        for (size_t i = 0; i < count; i++) {
            done += msgs[i].data.len;
        }
    }
}

static void on_udp_runs(void *user)
{
    udp_pass(user, RUN_BYTES, DATAGRAM_BYTES);
}

static void on_udp_single(void *user)
{
    for (size_t done = 0; done < RUN_BYTES; done += DATAGRAM_BYTES) {
        udp_pass(user, DATAGRAM_BYTES, 0);
    }
}

static void plain_open(runtime_state *state)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t len = sizeof(at);
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    state->plain_near = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    must(bind(listener, (const struct sockaddr *) &at, len) == 0 && listen(listener, 1) == 0);
    must(getsockname(listener, (struct sockaddr *) &at, &len) == 0);
    must(connect(state->plain_near, (const struct sockaddr *) &at, len) == 0);
    state->plain_far = accept(listener, NULL, NULL);
    must(state->plain_far >= 0 && close(listener) == 0);
}

static void state_open(runtime_state *state)
{
    const pg_endpoint loopback = {.family = PG_IP_FAMILY_V4, .ip = {127, 0, 0, 1}};
    pg_listener *listener = NULL;
    state->from = bench_alloc(CHUNK_BYTES);
    state->to = bench_alloc(CHUNK_BYTES);
    bench_fill_random(state->from, CHUNK_BYTES, 1);
    pg_waitq_init(&state->waitq);
    must(pg_chan_init(&state->chan, sizeof(uint64_t), 16) == PG_OK);
    must(pg_tcp_listen(&loopback, &listener) == PG_OK);
    pg_endpoint at = pg_listener_endpoint(listener);
    must(pg_tcp_dial(&at, PG_FOREVER, &state->near) == PG_OK);
    must(pg_listener_accept(listener, PG_FOREVER, &state->far, NULL) == PG_OK);
    pg_listener_free(&listener);
    must(pg_udp_bind(&loopback, &state->udp_near) == PG_OK);
    must(pg_udp_bind(&loopback, &state->udp_far) == PG_OK);
    plain_open(state);
}

static void state_close(runtime_state *state)
{
    pg_chan_deinit(&state->chan);
    pg_stream_free(&state->near);
    pg_stream_free(&state->far);
    pg_udp_free(&state->udp_near);
    pg_udp_free(&state->udp_far);
    must(close(state->plain_near) == 0 && close(state->plain_far) == 0);
    free(state->from);
    free(state->to);
}

static pg_err run(void *arg)
{
    (void) arg;
    runtime_state state = {0};
    state_open(&state);
    const bench_case cases[] = {
        {"1000 fiber switches", 0, on_switch, &state, NULL},
        {"1000 spawns with join", 0, on_spawn, &state, NULL},
        {"1000 waits, deadline stopped", 0, on_timer_stop, &state, NULL},
        {"500 spawns with a timer fired", 0, on_timer_fire, &state, NULL},
        {"1000 items through a channel", 0, on_chan, &state, NULL},
        {"offload of nothing", 0, on_offload, &state, NULL},
        {"plain blocking TCP", (double) STREAM_BYTES, on_plain, &state, NULL},
        {"TCP stream between fibers", (double) STREAM_BYTES, on_tcp, &state, "plain blocking TCP"},
        {"UDP, a datagram a call", (double) RUN_BYTES, on_udp_single, &state, NULL},
        {"UDP, runs of 40", (double) RUN_BYTES, on_udp_runs, &state, "UDP, a datagram a call"},
    };
    bench_run(cases, PG_ARRAY_LEN(cases), NULL);
    state_close(&state);
    return PG_OK;
}

int main(int argc, char **argv)
{
    bench_begin(argc, argv);
    return pg_runtime_run(NULL, run, NULL) == PG_OK ? 0 : 1;
}
