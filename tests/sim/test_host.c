// SPDX-License-Identifier: Apache-2.0
// Goal: hosts find their way to each other on bad networks: every dial that can succeed does, identify completes, ping
//       answers, dead peers are noticed, and no connection or stream is left over.
// Method: 6 hosts with real cryptography, 5 % loss and jitter; dials at once from all to all, partitions, a crash with a
//       restart at the same address, a change of address. Every seed is a run of its own; PG_SIM_SEEDS=N runs more.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "net/echo.h"
#include "net/host.h"
#include "net/perf.h"
#include "net/ping.h"
#include "runtime/random.h"
#include "sim_test.h"

/** Fail at once: the scenario's fibers are many, and the seed is printed when the program aborts. */
#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            (void) fprintf(stderr, "%s:%d: not so: %s (last error: %s)\n", __FILE__, __LINE__,     \
                           #condition, pg_error_last()->text);                                     \
            abort();                                                                               \
        }                                                                                          \
    } while (0)
#define CHECK_OK(expression) CHECK((expression) == PG_OK)

#define HOSTS 6
#define PORT 4417

/** By which transports hosts know each other. */
typedef enum by {
    BY_TCP = 1,
    BY_QUIC = 2,
    BY_BOTH = 3,
} by;

/** One machine with a host on it; the script reads and calls `host` only through fibers of the machine. */
typedef struct sim_host {
    pg_sim_machine *machine;
    pg_key seed;
    pg_peer_id id;
    pg_host *host;
    pg_multiaddr tcp_addr;
    pg_multiaddr quic_addr;
    bool no_udp; // does not listen for QUIC, as if a firewall let no UDP through
    struct sim_world *world;
    uint64_t perf_max;
    bool is_up;
    bool stop;
    pg_err (*task)(struct sim_host *self); // run once the host listens
    pg_err task_err;
    char task_text[PG_ERROR_TEXT_BYTES_MAX];
    bool task_done;
    uint32_t connected;
    uint32_t disconnected;
    uint32_t pings;
} sim_host;

/** The world of one seed. */
typedef struct sim_world {
    by transports;
    sim_host hosts[HOSTS];
} sim_world;

static void on_event(const pg_host_event *event, void *user)
{
    sim_host *self = user;
    self->connected += event->kind == PG_HOST_EVENT_CONNECTED ? 1U : 0U;
    self->disconnected += event->kind == PG_HOST_EVENT_DISCONNECTED ? 1U : 0U;
}

static void addrs_update(sim_host *self)
{
    pg_endpoint at = pg_sim_machine_endpoint(self->machine);
    pg_bytes ip = pg_bytes_make(at.ip, 4);
    self->tcp_addr = pg_multiaddr_make(ip, PG_MULTIADDR_TRANSPORT_TCP, PORT);
    self->quic_addr = pg_multiaddr_make(ip, PG_MULTIADDR_TRANSPORT_QUIC, PORT);
}

/** What one start of a machine owns. A crashed one ends as a ghost, when the next may run already: nothing is shared. */
typedef struct life {
    pg_identity identity;
    pg_host *host;
} life;

static pg_err life_begin(life *own, sim_host *self)
{
    const uint8_t any[4] = {0};
    pg_multiaddr tcp = pg_multiaddr_make(PG_BYTES_OF(any), PG_MULTIADDR_TRANSPORT_TCP, PORT);
    pg_multiaddr quic = pg_multiaddr_make(PG_BYTES_OF(any), PG_MULTIADDR_TRANSPORT_QUIC, PORT);
    PG_TRY(pg_identity_init(&own->identity, &self->seed));
    const pg_host_config config = pg_host_config_default(&own->identity);
    PG_TRY(pg_host_new(&config, &own->host));
    PG_TRY(pg_host_watch(own->host, on_event, self));
    PG_TRY(pg_echo_serve(own->host));
    PG_TRY(pg_perf_serve(own->host, &self->perf_max));
    PG_TRY(pg_host_listen(own->host, &tcp));
    if (!self->no_udp) {
        PG_TRY(pg_host_listen(own->host, &quic));
    }
    self->host = own->host;
    self->id = own->identity.peer_id;
    addrs_update(self);
    self->is_up = true;
    return PG_OK;
}

// The first fiber of a machine: a host until it is told to stop.
static pg_err host_main(void *arg)
{
    sim_host *self = arg;
    life own = {.host = NULL};
    pg_err err = life_begin(&own, self);
    while (err == PG_OK && !self->stop) {
        if (self->task != NULL && !self->task_done) {
            self->task_err = self->task(self);
            if (self->task_err != PG_OK) { // it may have to fail: the script knows
                (void) snprintf(self->task_text, sizeof(self->task_text), "%s: %s",
                                pg_err_name(self->task_err), pg_error_detail(self->task_err));
            }
            self->task_done = true;
        }
        err = pg_sleep_until(pg_after(PG_MS(20)));
    }
    pg_fiber_shield(true);
    if (own.host != NULL) {
        pg_host_close(own.host, pg_after(PG_SECONDS(5)));
    }
    pg_host_free(&own.host);
    pg_identity_deinit(&own.identity);
    pg_fiber_shield(false);
    return err;
}

static void host_start(sim_host *self)
{
    self->stop = false;
    self->is_up = false;
    self->task = NULL;
    self->connected = 0;
    self->disconnected = 0;
    self->perf_max = 1 << 24;
    CHECK_OK(pg_sim_machine_start(self->machine, "sim.host", host_main, self));
    while (!self->is_up) {
        CHECK_OK(pg_sleep_until(pg_after(PG_MS(1))));
    }
}

static void hosts_make(sim_world *world)
{
    memset(world->hosts, 0, sizeof(world->hosts));
    for (size_t i = 0; i < HOSTS; i++) {
        sim_host *self = &world->hosts[i];
        self->world = world;
        memset(self->seed.bytes, (int) i + 1, sizeof(self->seed.bytes));
        CHECK_OK(pg_sim_machine_new(&self->machine));
        host_start(self);
    }
}

static void hosts_stop(sim_world *world)
{
    for (size_t i = 0; i < HOSTS; i++) {
        if (world->hosts[i].is_up) {
            world->hosts[i].stop = true;
        }
    }
    for (size_t i = 0; i < HOSTS; i++) {
        CHECK_OK(pg_sim_machine_join(world->hosts[i].machine, pg_after(PG_SECONDS(60))));
    }
}

// Let the machine run a task, and wait for its end.
static void task_begin(sim_host *self, pg_err (*task)(sim_host *))
{
    self->task_done = false;
    self->task = task;
}

static pg_err task_end(sim_host *self, int64_t within_ns)
{
    pg_time deadline = pg_after(within_ns);
    while (!self->task_done && pg_now() < deadline) {
        CHECK_OK(pg_sleep_until(pg_after(PG_MS(10))));
    }
    return self->task_done ? self->task_err : PG_ERR_TIMEOUT;
}

/** Wait for the end of a task that has to succeed. */
static void task_check(sim_host *self, int64_t within_ns)
{
    pg_err err = task_end(self, within_ns);
    if (err != PG_OK) {
        (void) fprintf(stderr, "%s: %s\n", pg_err_name(err), self->task_text);
    }
    CHECK_OK(err);
}

// ---- tasks ----

static pg_err peer_learn(sim_host *self, const sim_host *other)
{
    if ((self->world->transports & BY_TCP) != 0) {
        PG_TRY(pg_host_learn(self->host, &other->id, &other->tcp_addr, PG_BOOK_SOURCE_GIVEN,
                             PG_FOREVER));
    }
    if ((self->world->transports & BY_QUIC) != 0) {
        PG_TRY(pg_host_learn(self->host, &other->id, &other->quic_addr, PG_BOOK_SOURCE_GIVEN,
                             PG_FOREVER));
    }
    return PG_OK;
}

// Be connected and know each other. A connection that the other side dialed and gives up for another is never offered.
static pg_err peer_meet(sim_host *self, const pg_peer_id *peer)
{
    const pg_dial_options options = {.eager = true};
    pg_id conn = 0;
    PG_TRY(pg_host_connect(self->host, peer, &options, pg_after(PG_SECONDS(30)), &conn));
    return pg_host_await_identify(self->host, conn, pg_after(PG_SECONDS(30)));
}

static pg_err peer_use(sim_host *self, const sim_host *other)
{
    pg_ping ping = {0};
    int64_t rtt_ns = 0;
    const pg_peer_id *peer = &other->id;
    PG_TRY(peer_learn(self, other));
    PG_TRY(peer_meet(self, peer));
    const pg_book_peer *known = pg_peer_book_get(pg_host_book(self->host), peer);
    CHECK(known != NULL && pg_book_peer_has_protocol(known, PG_ECHO_ID));
    CHECK(known->record.len > 0 && known->is_hybrid);
    PG_TRY(pg_ping_init(&ping, self->host, peer, pg_after(PG_SECONDS(30))));
    pg_err err = PG_OK;
    for (int i = 0; i < 5 && err == PG_OK; i++) {
        err = pg_ping_round(&ping, pg_after(PG_SECONDS(30)), &rtt_ns);
    }
    pg_ping_deinit(&ping);
    return err;
}

static pg_err all_use(sim_host *self)
{
    for (size_t i = 0; i < HOSTS; i++) {
        if (&self->world->hosts[i] != self && self->world->hosts[i].is_up) {
            PG_TRY(peer_use(self, &self->world->hosts[i]));
        }
    }
    return PG_OK;
}

static pg_err first_use(sim_host *self)
{
    return peer_use(self, &self->world->hosts[0]);
}

static pg_err first_perf(sim_host *self)
{
    const pg_perf_request request = {.up_bytes = 200000, .down_bytes = 300000};
    pg_perf_result result;
    PG_TRY(peer_use(self, &self->world->hosts[0]));
    PG_TRY(pg_perf_measure(self->host, &self->world->hosts[0].id, &request, pg_after(PG_MINUTES(5)),
                           &result));
    CHECK(result.up_bytes == 200000 && result.down_bytes == 300000);
    return PG_OK;
}

static pg_err first_dial_wrong(sim_host *self)
{
    sim_host *other = &self->world->hosts[0];
    pg_multiaddr addr = self->world->transports == BY_TCP ? other->tcp_addr : other->quic_addr;
    const pg_peer_id *third = &self->world->hosts[2].id;
    CHECK_OK(pg_multiaddr_append(&addr, PG_MULTIADDR_CODE_P2P, pg_peer_id_bytes(third)));
    const pg_dial_options options = {.fresh = true};
    return pg_host_dial(self->host, &addr, &options, pg_after(PG_SECONDS(30)), NULL);
}

static pg_err open_run(void *arg)
{
    static const char *const ids[] = {PG_ECHO_ID, NULL};
    sim_host *self = arg;
    pg_stream *stream = NULL;
    pg_err err = pg_host_open_stream(self->host, &self->world->hosts[0].id, ids,
                                     pg_after(PG_MINUTES(5)), &stream, NULL);
    pg_stream_free(&stream);
    return err;
}

static pg_err first_open(sim_host *self)
{
    pg_scope scope;
    pg_scope_init(&scope);
    PG_TRY(pg_scope_spawn(&scope, "test.open", open_run, self));
    return pg_scope_join(&scope);
}

// Open ten thousand streams that stay open.
static pg_err first_flood(sim_host *self)
{
    static const char *const ids[] = {PG_ECHO_ID, NULL};
    enum { STREAMS = 10000 };
    pg_stream **streams = pg_calloc(STREAMS, sizeof(pg_stream *));
    CHECK(streams != NULL);
    size_t open = 0;
    pg_err err = PG_OK;
    while (open < STREAMS && err == PG_OK) {
        err = pg_host_open_stream(self->host, &self->world->hosts[0].id, ids,
                                  pg_after(PG_SECONDS(20)), &streams[open], NULL);
        open += err == PG_OK ? 1U : 0U;
    }
    CHECK(open >= 500); // idle ones end meanwhile: this is not the number open at once
    while (!self->stop) {
        CHECK_OK(pg_sleep_until(pg_after(PG_MS(100))));
    }
    for (size_t i = 0; i < open; i++) {
        pg_stream_free(&streams[i]);
    }
    pg_mfree(streams);
    return PG_OK;
}

/** A protocol whose handlers take their time to end. */
#define SLOW_ID "/test/slow/1.0.0"
#define SLOW_STREAMS 3

static unsigned slow_running;
static bool slow_is_open; // all streams, as their opener sees it

static pg_err on_slow_stream(pg_net_stream_ctx *ctx)
{
    uint8_t byte;
    slow_running++;
    pg_err err = pg_stream_read_full(ctx->stream, pg_mut_bytes_make(&byte, 1), PG_FOREVER);
    CHECK_OK(pg_sleep_until(pg_after(PG_SECONDS(3))));
    slow_running--;
    return err;
}

// Serve until all streams are open, then no more: what the handlers use could be freed.
static pg_err first_withdraw(sim_host *self)
{
    const pg_net_protocol protocol = {.id = SLOW_ID, .handler = on_slow_stream};
    slow_running = 0;
    slow_is_open = false;
    PG_TRY(pg_host_serve(self->host, &protocol));
    while (!slow_is_open) {
        PG_TRY(pg_sleep_until(pg_after(PG_MS(10))));
    }
    CHECK(slow_running == SLOW_STREAMS);
    pg_host_withdraw(self->host, SLOW_ID);
    CHECK(slow_running == 0);
    return PG_OK;
}

static pg_err second_open_slow(sim_host *self)
{
    static const char *const ids[] = {SLOW_ID, NULL};
    const pg_peer_id *first = &self->world->hosts[0].id;
    pg_stream *streams[SLOW_STREAMS] = {NULL};
    uint8_t byte;
    PG_TRY(peer_use(self, &self->world->hosts[0]));
    for (size_t i = 0; i < SLOW_STREAMS; i++) {
        PG_TRY(pg_host_open_stream(self->host, first, ids, pg_after(PG_SECONDS(20)), &streams[i],
                                   NULL));
    }
    slow_is_open = true;
    for (size_t i = 0; i < SLOW_STREAMS; i++) {
        CHECK(pg_stream_read_full(streams[i], pg_mut_bytes_make(&byte, 1),
                                  pg_after(PG_SECONDS(20))) != PG_ERR_TIMEOUT);
        pg_stream_free(&streams[i]);
    }
    CHECK(pg_host_open_stream(self->host, first, ids, pg_after(PG_SECONDS(20)), &streams[0],
                              NULL) == PG_ERR_UNSUPPORTED);
    return PG_OK;
}

#define OFTEN 10

// Open a stream to the first host and use it, `rounds` times at intervals of 100 ms and a round trip, then leave it open for a while.
static pg_err first_ping(sim_host *self, int rounds)
{
    const sim_host *first = &self->world->hosts[0];
    pg_ping ping = {0};
    int64_t rtt_ns = 0;
    PG_TRY(peer_learn(self, first));
    PG_TRY(peer_meet(self, &first->id));
    PG_TRY(pg_ping_init(&ping, self->host, &first->id, pg_after(PG_SECONDS(30))));
    pg_err err = PG_OK;
    for (int i = 0; i < rounds && err == PG_OK; i++) {
        err = pg_ping_round(&ping, pg_after(PG_SECONDS(1)), &rtt_ns);
        self->pings += err == PG_OK ? 1U : 0U;
        pg_err slept = pg_sleep_until(pg_after(PG_MS(100)));
        err = err == PG_OK ? slept : err;
    }
    if (err == PG_OK) {
        err = pg_sleep_until(pg_after(PG_SECONDS(20)));
    }
    pg_ping_deinit(&ping);
    return err;
}

static pg_err first_ping_once(sim_host *self)
{
    return first_ping(self, 1);
}

static pg_err first_ping_often(sim_host *self)
{
    return first_ping(self, OFTEN);
}

// ---- scripts ----

// Stop the first host while another has a stream to it; returns how long that took.
static int64_t first_stop(sim_world *world, pg_err (*task)(sim_host *))
{
    hosts_make(world);
    task_begin(&world->hosts[1], task);
    while (world->hosts[1].pings == 0) {
        CHECK_OK(pg_sleep_until(pg_after(PG_MS(10))));
    }
    pg_time begun = pg_now();
    world->hosts[0].stop = true;
    CHECK_OK(pg_sim_machine_join(world->hosts[0].machine, pg_after(PG_SECONDS(60))));
    world->hosts[0].is_up = false;
    int64_t took_ns = pg_now() - begun;
    hosts_stop(world);
    return took_ns;
}

static pg_err drain_script(void *arg)
{
    sim_world *world = arg;
    int64_t took_ns = first_stop(world, first_ping_once);
    CHECK(took_ns >= PG_MS(PG_NET_DRAIN_QUIET_MS) && took_ns < PG_SECONDS(2));
    took_ns = first_stop(world, first_ping_often);
    CHECK(world->hosts[1].pings == OFTEN); // all of them were let through
    CHECK(took_ns > PG_SECONDS(2) && took_ns < PG_SECONDS(5));
    return PG_OK;
}

static pg_err withdraw_script(void *arg)
{
    sim_world *world = arg;
    hosts_make(world);
    task_begin(&world->hosts[0], first_withdraw);
    task_begin(&world->hosts[1], second_open_slow);
    task_check(&world->hosts[0], PG_MINUTES(2));
    task_check(&world->hosts[1], PG_MINUTES(2));
    hosts_stop(world);
    return PG_OK;
}

static pg_err flood_script(void *arg)
{
    sim_world *world = arg;
    hosts_make(world);
    task_begin(&world->hosts[1], first_use);
    task_check(&world->hosts[1], PG_MINUTES(2));
    task_begin(&world->hosts[1], first_flood);
    CHECK(task_end(&world->hosts[1], PG_MINUTES(2)) == PG_ERR_TIMEOUT); // it goes on
    task_begin(&world->hosts[2], first_use);
    task_check(&world->hosts[2], PG_MINUTES(2));
    pg_host_stats stats = pg_host_get_stats(world->hosts[0].host);
    CHECK(stats.streams <= PG_NET_STREAMS_IN_MAX + 10);
    CHECK(stats.memory_bytes <= PG_NET_MEMORY_BYTES_MAX);
    hosts_stop(world);
    return PG_OK;
}

static pg_err bad_network_script(void *arg)
{
    sim_world *world = arg;
    hosts_make(world);
    for (size_t i = 0; i < HOSTS; i++) {
        task_begin(&world->hosts[i], all_use);
    }
    for (size_t i = 0; i < HOSTS; i++) {
        task_check(&world->hosts[i], PG_MINUTES(5));
        pg_host_stats stats = pg_host_get_stats(world->hosts[i].host);
        CHECK(stats.connections >= HOSTS - 1 && stats.connections <= 2 * HOSTS);
        CHECK(stats.book_peers == HOSTS - 1);
    }
    task_begin(&world->hosts[1], first_perf);
    task_check(&world->hosts[1], PG_MINUTES(10));
    task_begin(&world->hosts[1], first_dial_wrong);
    CHECK(task_end(&world->hosts[1], PG_MINUTES(1)) == PG_ERR_AUTH);
    hosts_stop(world);
    for (size_t i = 0; i < HOSTS; i++) {
        CHECK(world->hosts[i].connected == world->hosts[i].disconnected);
    }
    return PG_OK;
}

static pg_err crash_script(void *arg)
{
    sim_world *world = arg;
    hosts_make(world);
    task_begin(&world->hosts[1], first_use);
    task_check(&world->hosts[1], PG_MINUTES(2));

    // killed and started again: the old connection is dead, and a new one is made
    pg_sim_machine_crash(world->hosts[0].machine);
    host_start(&world->hosts[0]);
    CHECK_OK(pg_sleep_until(pg_after(PG_MINUTES(2)))); // keep-alive has noticed by now
    task_begin(&world->hosts[1], first_use);
    task_check(&world->hosts[1], PG_MINUTES(2));
    CHECK(world->hosts[1].connected == 2 && world->hosts[1].disconnected == 1);

    // moved: the connection goes silent and is dropped; at its new address it is met again
    pg_endpoint moved = pg_sim_machine_endpoint(world->hosts[0].machine);
    moved.ip[1] ^= 0x40U;
    pg_sim_machine_move(world->hosts[0].machine, &moved);
    addrs_update(&world->hosts[0]);
    CHECK_OK(pg_sleep_until(pg_after(PG_MINUTES(2))));
    CHECK(world->hosts[1].disconnected == 2);
    task_begin(&world->hosts[1], first_use);
    task_check(&world->hosts[1], PG_MINUTES(2));
    hosts_stop(world);
    return PG_OK;
}

// The plug is pulled while somebody opens a stream over a connection.
static pg_err crash_opening_script(void *arg)
{
    sim_world *world = arg;
    hosts_make(world);
    task_begin(&world->hosts[1], first_use);
    task_check(&world->hosts[1], PG_MINUTES(2));
    pg_sim_partition(world->hosts[0].machine, world->hosts[1].machine, true);
    task_begin(&world->hosts[1], first_open);
    CHECK(task_end(&world->hosts[1], PG_MS(500)) == PG_ERR_TIMEOUT);
    pg_sim_machine_crash(world->hosts[1].machine);
    world->hosts[1].is_up = false;
    CHECK_OK(pg_sleep_until(pg_after(PG_MS(100))));
    host_start(&world->hosts[1]);
    hosts_stop(world);
    return PG_OK;
}

static pg_err second_use(sim_host *self)
{
    pg_time start = pg_now();
    PG_TRY(peer_use(self, &self->world->hosts[1]));
    CHECK(pg_now() - start < PG_SECONDS(20)); // not over the dead one
    return PG_OK;
}

// A host loses power and is back at once: who had a connection with it uses the new one, and soon gives the old one up.
static pg_err second_life_script(void *arg)
{
    sim_world *world = arg;
    sim_host *stays = &world->hosts[0];
    sim_host *returns = &world->hosts[1];
    hosts_make(world);
    task_begin(returns, first_use);
    task_check(returns, PG_MINUTES(2));
    pg_sim_machine_crash(returns->machine);
    host_start(returns);
    task_begin(returns, first_use);
    task_check(returns, PG_MINUTES(2));
    CHECK(stays->connected == 2);
    task_begin(stays, second_use);
    task_check(stays, PG_MINUTES(1));
    pg_time deadline = pg_after(PG_MS(PG_NET_PROBE_MS) + PG_SECONDS(1));
    while (pg_host_get_stats(stays->host).connections != 1) {
        CHECK(pg_now() < deadline);
        CHECK_OK(pg_sleep_until(pg_after(PG_MS(10))));
    }
    hosts_stop(world);
    return PG_OK;
}

static pg_err partition_script(void *arg)
{
    sim_world *world = arg;
    hosts_make(world);
    pg_sim_partition(world->hosts[0].machine, world->hosts[1].machine, true);
    task_begin(&world->hosts[1], first_use);
    CHECK(task_end(&world->hosts[1], PG_MINUTES(2)) != PG_OK);
    task_begin(&world->hosts[2], first_use); // the others are not cut off
    task_check(&world->hosts[2], PG_MINUTES(2));
    pg_sim_partition(world->hosts[0].machine, world->hosts[1].machine, false);
    task_begin(&world->hosts[1], first_use);
    task_check(&world->hosts[1], PG_MINUTES(2));
    hosts_stop(world);
    return PG_OK;
}

// Connect, and check by which transport; return how long it took.
static pg_err first_race(sim_host *self)
{
    sim_host *other = &self->world->hosts[0];
    pg_id conn = 0;
    pg_host_conn info;
    PG_TRY(peer_learn(self, other));
    pg_time start = pg_now();
    PG_TRY(pg_host_connect(self->host, &other->id, NULL, pg_after(PG_SECONDS(10)), &conn));
    CHECK(pg_now() - start < PG_SECONDS(1));
    CHECK_OK(pg_host_conn_get(self->host, conn, &info));
    CHECK(strcmp(info.info.transport, other->no_udp ? "tcp" : "quic-v1") == 0);
    CHECK(info.info.is_hybrid && info.info.rtt_ns >= 0);
    // Once more: what did not get through is not waited for again.
    pg_host_disconnect(self->host, &other->id);
    start = pg_now();
    PG_TRY(pg_host_connect(self->host, &other->id, NULL, pg_after(PG_SECONDS(10)), &conn));
    CHECK(pg_now() - start < PG_MS(250));
    return PG_OK;
}

static pg_err race_script(void *arg)
{
    sim_world *world = arg;
    hosts_make(world);
    task_begin(&world->hosts[1], first_race);
    task_check(&world->hosts[1], PG_MINUTES(1));
    // A firewall now lets no UDP through to the first: it listens by TCP alone.
    world->hosts[0].stop = true;
    CHECK_OK(pg_sim_machine_join(world->hosts[0].machine, pg_after(PG_SECONDS(60))));
    world->hosts[0].no_udp = true;
    host_start(&world->hosts[0]);
    task_begin(&world->hosts[2], first_race);
    task_check(&world->hosts[2], PG_MINUTES(1));
    hosts_stop(world);
    return PG_OK;
}

static void seeds_run_by(by transports, pg_fiber_fn script, uint64_t seeds)
{
    static sim_world world;
    world.transports = transports;
    const pg_sim_config config = {
        .link = {.latency_ns = PG_MS(15), .jitter_ns = PG_MS(10), .loss_ppm = 50000},
        .events_max = 20000000,
    };
    sim_seeds(&config, seeds, script, &world);
}

static void seeds_run(pg_fiber_fn script, uint64_t seeds)
{
    seeds_run_by(BY_TCP, script, seeds);
    seeds_run_by(BY_QUIC, script, seeds);
}

static void test_host__loss_and_jitter__all_reach_all_and_nothing_is_left(void **state)
{
    (void) state;
    seeds_run(bad_network_script, 50);
}

static void test_host__crash_restart_and_move__is_met_again(void **state)
{
    (void) state;
    seeds_run(crash_script, 25);
}

static void test_host__power_lost_and_back_at_once__old_connection_is_given_up(void **state)
{
    (void) state;
    seeds_run(second_life_script, 10);
}

static void test_host__crash_while_a_stream_is_opened__ends(void **state)
{
    (void) state;
    seeds_run(crash_opening_script, 3);
}

static void test_host__partition__fails_in_time_and_heals(void **state)
{
    (void) state;
    seeds_run(partition_script, 3);
}

static void test_host__both_transports__quic_wins_and_tcp_stands_in(void **state)
{
    (void) state;
    static sim_world world;
    world.transports = BY_BOTH;
    const pg_sim_config config = {.link = {.latency_ns = PG_MS(15), .jitter_ns = PG_MS(5)}};
    sim_seeds(&config, 3, race_script, &world);
}

static void test_host__both_transports__all_reach_all(void **state)
{
    (void) state;
    seeds_run_by(BY_BOTH, bad_network_script, 50);
}

static void test_host__ten_thousand_streams__bounded_and_others_served(void **state)
{
    (void) state;
    seeds_run(flood_script, 1);
}

static void test_host__protocol_withdrawn__its_streams_end_and_handlers_are_awaited(void **state)
{
    (void) state;
    seeds_run(withdraw_script, 3);
}

static void test_host__stops__waits_for_streams_over_which_something_moves(void **state)
{
    (void) state;
    static sim_world world;
    const pg_sim_config config = {.link = {.latency_ns = PG_MS(100), .jitter_ns = PG_MS(5)}};
    for (world.transports = BY_TCP; world.transports <= BY_QUIC; world.transports++) {
        sim_seeds(&config, 2, drain_script, &world);
    }
}

static void stack_print(const pg_fiber_stats *stats, void *user)
{
    size_t *kinds = user;
    (void) printf("fiber %-24s stack %6zu high water %6zu started %zu\n", stats->kind,
                  stats->stack_bytes, stats->high_water_bytes, stats->started_total);
    CHECK(stats->high_water_bytes < stats->stack_bytes / 4 * 3);
    *kinds += 1;
}

static pg_err stacks_script(void *arg)
{
    size_t kinds = 0;
    PG_TRY(bad_network_script(arg));
    pg_fiber_stats_each(stack_print, &kinds);
    CHECK(kinds >= 8);
    return PG_OK;
}

static void test_host__stacks_painted__every_kind_keeps_a_quarter_free(void **state)
{
    (void) state;
    static sim_world world;
    world.transports = BY_BOTH;
    const pg_sim_config config = {.seed = 1, .measure_stacks = true};
    assert_int_equal(pg_sim_run(&config, stacks_script, &world, NULL), PG_OK);
}

int main(int argc, char **argv)
{
    sim_arguments(argc, argv);
    if (getenv("PG_TEST_ONLY") != NULL) {
        cmocka_set_test_filter(getenv("PG_TEST_ONLY"));
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_host__loss_and_jitter__all_reach_all_and_nothing_is_left),
        cmocka_unit_test(test_host__crash_restart_and_move__is_met_again),
        cmocka_unit_test(test_host__power_lost_and_back_at_once__old_connection_is_given_up),
        cmocka_unit_test(test_host__crash_while_a_stream_is_opened__ends),
        cmocka_unit_test(test_host__partition__fails_in_time_and_heals),
        cmocka_unit_test(test_host__both_transports__quic_wins_and_tcp_stands_in),
        cmocka_unit_test(test_host__both_transports__all_reach_all),
        cmocka_unit_test(test_host__ten_thousand_streams__bounded_and_others_served),
        cmocka_unit_test(test_host__stops__waits_for_streams_over_which_something_moves),
        cmocka_unit_test(test_host__protocol_withdrawn__its_streams_end_and_handlers_are_awaited),
        cmocka_unit_test(test_host__stacks_painted__every_kind_keeps_a_quarter_free),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
