// SPDX-License-Identifier: Apache-2.0
// Goal: whole connections, TCP to yamux, carry everything unharmed over bad networks, and end in bounded time where nothing
// gets through. Method: two machines in the simulated world, several seeds, faults of the link.
#include "net/limits.h"
#include "net/upgrade.h"
#include "net_test.h"

#define PORT 4001

typedef struct world {
    uint32_t loss_ppm;
    int64_t latency_ns;
    size_t streams;
    uint64_t stream_bytes;
    bool is_cut;   // the path is cut when all is set up
    bool is_reset; // some streams are reset on the way
    uint64_t seed;
    pg_sim_machine *server;
    pg_sim_machine *client;
    size_t served;
    pg_err client_err;
    int64_t rtt_ns;
    size_t memory_bytes_max;
} world;

typedef struct end {
    pg_identity identity;
    pg_key noise_static;
    pg_conn_memory memory;
    pg_upgrader upgrader;
} end;

static void end_init(end *e, uint8_t seed)
{
    pg_key key = {{seed}};
    memset(e, 0, sizeof(*e));
    CHECK_OK(pg_identity_init(&e->identity, &key));
    pg_random_bytes(PG_MUT_BYTES_OF(e->noise_static.bytes));
    e->memory.max_bytes = PG_NET_MEMORY_BYTES_MAX;
    e->upgrader = (pg_upgrader){
        .identity = &e->identity,
        .noise_static = &e->noise_static,
        .limits = pg_conn_limits_default(&e->memory),
    };
}

typedef struct job {
    world *w;
    pg_conn *conn;
    pg_stream *stream;
    uint32_t seed;
} job;

// Echo everything, then close.
static pg_err serve_stream(void *arg)
{
    job *j = arg;
    uint8_t *space = pg_malloc(20000);
    CHECK(space != NULL);
    size_t len = 1;
    pg_err err = PG_OK;
    while (err == PG_OK && len > 0) {
        err = pg_stream_read(j->stream, (pg_mut_bytes){space, 20000}, PG_FOREVER, &len);
        if (err == PG_OK && len > 0) {
            err = pg_stream_write(j->stream, pg_bytes_make(space, len), PG_FOREVER);
        }
    }
    if (err == PG_OK) {
        err = pg_stream_close_write(j->stream, PG_FOREVER);
    }
    j->w->served += err == PG_OK;
    pg_stream_free(&j->stream);
    pg_mfree(space);
    pg_mfree(j);
    return PG_OK;
}

static pg_err serve(void *arg)
{
    world *w = arg;
    end *e = PG_NEW(end);
    CHECK(e != NULL);
    end_init(e, 1);
    pg_endpoint at = pg_sim_machine_endpoint(w->server);
    at.port = PORT;
    pg_listener *listener = NULL;
    pg_stream *raw = NULL;
    CHECK_OK(pg_tcp_listen(&at, &listener));
    CHECK_OK(pg_listener_accept(listener, PG_FOREVER, &raw, NULL));
    pg_upgrade_request request = {.direction = PG_CONN_DIRECTION_INBOUND, .transport = "tcp"};
    pg_conn *conn = NULL;
    CHECK_OK(pg_upgrade(&raw, &e->upgrader, &request, PG_FOREVER, &conn));
    pg_scope scope;
    pg_scope_init_tolerant(&scope);
    pg_stream *stream = NULL;
    while (pg_conn_accept_stream(conn, PG_FOREVER, &stream) == PG_OK) {
        job *j = PG_NEW(job);
        CHECK(j != NULL);
        *j = (job){.w = w, .stream = stream};
        CHECK_OK(pg_scope_spawn(&scope, "test.serve", serve_stream, j));
        pg_conn_info info;
        pg_conn_get_info(conn, &info);
        w->memory_bytes_max = pg_max_size(w->memory_bytes_max, info.memory_bytes);
    }
    CHECK_OK(pg_scope_join(&scope));
    pg_conn_free(&conn);
    CHECK(e->memory.used_bytes == 0);
    pg_listener_free(&listener);
    pg_identity_deinit(&e->identity);
    pg_mfree(e);
    return PG_OK;
}

static pg_err send_stream(void *arg)
{
    job *j = arg;
    net_test_send(j->stream, j->seed, j->w->stream_bytes);
    return pg_stream_close_write(j->stream, PG_FOREVER);
}

static pg_err use_stream(void *arg)
{
    job *j = arg;
    CHECK_OK(pg_conn_open_stream(j->conn, PG_FOREVER, &j->stream));
    if (j->w->is_reset && j->seed % 3 == 0) {
        CHECK_OK(pg_stream_write(j->stream, PG_BYTES_LIT("never mind"), PG_FOREVER));
        pg_stream_free(&j->stream);
        return PG_OK;
    }
    pg_scope scope;
    pg_scope_init(&scope);
    CHECK_OK(pg_scope_spawn(&scope, "test.send", send_stream, j));
    net_test_receive(j->stream, j->seed, j->w->stream_bytes);
    CHECK_OK(pg_scope_join(&scope));
    pg_stream_free(&j->stream);
    return PG_OK;
}

static void use_conn(world *w, pg_conn *conn)
{
    job *jobs = pg_calloc(w->streams, sizeof(job));
    CHECK(jobs != NULL);
    pg_scope scope;
    pg_scope_init(&scope);
    for (size_t i = 0; i < w->streams; i++) {
        jobs[i] = (job){.w = w, .conn = conn, .seed = (uint32_t) i};
        CHECK_OK(pg_scope_spawn(&scope, "test.use", use_stream, &jobs[i]));
    }
    CHECK_OK(pg_scope_join(&scope));
    pg_mfree(jobs);
    pg_conn_info info;
    pg_conn_get_info(conn, &info);
    w->rtt_ns = info.rtt_ns;
}

static pg_err dial(void *arg)
{
    world *w = arg;
    end *e = PG_NEW(end);
    CHECK(e != NULL);
    end_init(e, 2);
    pg_endpoint to = pg_sim_machine_endpoint(w->server);
    to.port = PORT;
    pg_stream *raw = NULL;
    CHECK_OK(pg_tcp_dial(&to, PG_FOREVER, &raw));
    pg_upgrade_request request = {.direction = PG_CONN_DIRECTION_OUTBOUND, .transport = "tcp"};
    pg_conn *conn = NULL;
    CHECK_OK(pg_upgrade(&raw, &e->upgrader, &request, PG_FOREVER, &conn));
    if (w->is_cut) {
        CHECK_OK(pg_sleep_until(pg_after(PG_SECONDS(1))));
        pg_sim_partition(w->server, w->client, true);
        pg_stream *stream = NULL;
        w->client_err = pg_conn_accept_stream(conn, PG_FOREVER, &stream);
    } else {
        use_conn(w, conn);
        CHECK(pg_conn_send_datagram(conn, PG_BYTES_LIT("x")) == PG_ERR_UNSUPPORTED); // TCP has none
        w->client_err = pg_conn_close(conn, pg_after(PG_SECONDS(60)));
    }
    pg_conn_free(&conn);
    CHECK(e->memory.used_bytes == 0);
    pg_identity_deinit(&e->identity);
    pg_mfree(e);
    return PG_OK;
}

static pg_err script(void *arg)
{
    world *w = arg;
    CHECK_OK(pg_sim_machine_new(&w->server));
    CHECK_OK(pg_sim_machine_new(&w->client));
    CHECK_OK(pg_sim_machine_start(w->server, "test.server", serve, w));
    CHECK_OK(pg_fiber_yield());
    CHECK_OK(pg_sim_machine_start(w->client, "test.client", dial, w));
    CHECK_OK(pg_sim_machine_join(w->client, pg_after(PG_HOURS(10))));
    CHECK_OK(pg_sim_machine_join(w->server, pg_after(PG_HOURS(10))));
    return PG_OK;
}

static void run_world(world *w, pg_sim_stats *out_stats)
{
    pg_sim_config config = {
        .seed = w->seed,
        .link = {.latency_ns = w->latency_ns,
                 .jitter_ns = w->latency_ns / 2,
                 .loss_ppm = w->loss_ppm},
    };
    CHECK_OK(pg_sim_run(&config, script, w, out_stats));
}

static void test_conn__loss_and_jitter__everything_arrives(void **state)
{
    (void) state;
    for (uint64_t seed = 1; seed <= 5; seed++) {
        world w = {.loss_ppm = 50000,
                   .latency_ns = PG_MS(20),
                   .streams = 10,
                   .stream_bytes = 300000,
                   .is_reset = seed % 2 == 0,
                   .seed = seed};
        run_world(&w, NULL);
        assert_int_equal(w.client_err, PG_OK);
        assert_true(w.rtt_ns >= PG_MS(40));
        assert_int_equal(w.served, w.is_reset ? 6 : 10);
    }
}

static void test_conn__same_seed__same_run(void **state)
{
    (void) state;
    pg_sim_stats stats[2];
    for (size_t i = 0; i < 2; i++) {
        world w = {.loss_ppm = 20000,
                   .latency_ns = PG_MS(5),
                   .streams = 5,
                   .stream_bytes = 10000,
                   .seed = 9};
        run_world(&w, &stats[i]);
    }
    assert_int_equal(stats[0].digest, stats[1].digest);
}

static void test_conn__64_mib_on_one_stream__window_grows(void **state)
{
    (void) state;
    world w = {.latency_ns = PG_MS(10), .streams = 1, .stream_bytes = 64 * 1024 * 1024, .seed = 1};
    pg_sim_stats stats;
    run_world(&w, &stats);
    assert_int_equal(w.served, 1);
    // With the least window 64 MiB would take 256 round trips of 20 ms and more.
    assert_true(stats.virtual_ns < PG_SECONDS(4));
}

static void test_conn__500_streams_at_once__all_are_served(void **state)
{
    (void) state;
    world w = {.latency_ns = PG_MS(1), .streams = 500, .stream_bytes = 2000, .seed = 1};
    run_world(&w, NULL);
    assert_int_equal(w.served, 500);
    assert_true(w.memory_bytes_max <= PG_NET_CONN_MEMORY_BYTES_MAX);
}

static void test_conn__path_cut__both_ends_give_up(void **state)
{
    (void) state;
    world w = {.latency_ns = PG_MS(1), .is_cut = true, .seed = 1};
    pg_sim_stats stats;
    run_world(&w, &stats);
    assert_int_equal(w.client_err, PG_ERR_TIMEOUT);
    assert_true(stats.virtual_ns <=
                PG_MS(PG_NET_KEEPALIVE_MS + PG_NET_PING_TIMEOUT_MS) + PG_SECONDS(1));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_conn__loss_and_jitter__everything_arrives),
        cmocka_unit_test(test_conn__same_seed__same_run),
        cmocka_unit_test(test_conn__64_mib_on_one_stream__window_grows),
        cmocka_unit_test(test_conn__500_streams_at_once__all_are_served),
        cmocka_unit_test(test_conn__path_cut__both_ends_give_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
