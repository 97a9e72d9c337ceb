// SPDX-License-Identifier: Apache-2.0
// Goal: QUIC carries everything unharmed over bad networks, survives what it should, and notices what it cannot survive.
// Method: machines in the simulated world, real cryptography, losses, reordering, duplicates, a narrow link, a partition,
//       addresses that change, a crash. Every seed is a run of its own; PG_SIM_SEEDS=N runs more.
#include "quic_test.h"
#include "sim_test.h"

#define PORT 4417
#define CLIENTS_MAX 80

typedef struct world {
    pg_sim_machine *server;
    pg_sim_machine *clients[CLIENTS_MAX];
    size_t client_count;
    pg_fiber_fn use; // what a client does with its connection; `arg` is the client
    uint64_t bytes;  // of the large stream
    pg_quic_stats server_stats;
    bool server_up;
    bool go_on; // for a script to let its clients go on
    size_t done;
    bool accept_again; // the server is a second life
    uint64_t upload;   // the server takes a stream of so many bytes first
} world;

typedef struct client {
    world *w;
    size_t number;
    quic_side side;
    pg_conn *conn;
} client;

static const pg_endpoint any4 = {.family = PG_IP_FAMILY_V4};

static pg_endpoint server_addr(const world *w)
{
    pg_endpoint at = pg_sim_machine_endpoint(w->server);
    at.port = PORT;
    return at;
}

// ---- The server: every connection is echoed

typedef struct service {
    const world *w;
    pg_conn *conn;
} service;

static pg_err serve_conn(void *arg)
{
    service *self = arg;
    if (self->w->upload > 0) {
        pg_stream *stream = NULL;
        CHECK_OK(pg_conn_accept_stream(self->conn, PG_FOREVER, &stream));
        net_test_receive(stream, 1, self->w->upload);
        pg_stream_free(&stream);
    }
    pg_err err = quic_echo_run(self->conn);
    pg_conn_free(&self->conn);
    pg_mfree(self);
    return err;
}

static pg_err server_main(void *arg)
{
    world *w = arg;
    quic_side *side = PG_NEW(quic_side);
    pg_scope scope;
    pg_endpoint at = any4;
    at.port = PORT;
    CHECK(side != NULL);
    pg_scope_init_tolerant(&scope);
    quic_side_open(side, 1, &at, NULL);
    w->server_up = true;
    pg_err err = PG_OK;
    while (err != PG_ERR_CANCELLED) {
        pg_conn *conn = NULL;
        err = quic_side_accept(side, PG_FOREVER, &conn);
        if (err == PG_OK) {
            service *made = PG_NEW(service);
            CHECK(made != NULL);
            *made = (service){w, conn};
            CHECK_OK(pg_scope_spawn(&scope, "test.conn", serve_conn, made));
        }
    }
    w->server_stats = pg_quic_endpoint_get_stats(side->endpoint);
    pg_scope_close(&scope);
    quic_side_close(side);
    pg_mfree(side);
    return PG_OK;
}

// ---- A client

static pg_err client_main(void *arg)
{
    client *self = arg;
    const pg_quic_dial_request request = {.remote = server_addr(self->w)};
    quic_side_open(&self->side, (uint8_t) (10 + self->number), &any4, NULL);
    pg_err err = pg_quic_dial(self->side.endpoint, &request, pg_after(PG_SECONDS(10)), &self->conn);
    if (err == PG_OK) {
        err = self->w->use(self);
    }
    pg_fiber_shield(true);
    pg_conn_free(&self->conn);
    quic_side_close(&self->side);
    pg_fiber_shield(false);
    self->w->done++;
    pg_mfree(self);
    return err;
}

static pg_err world_begin(world *w, size_t clients)
{
    w->client_count = clients;
    w->server_up = false;
    w->go_on = false;
    w->done = 0;
    PG_TRY(pg_sim_machine_new(&w->server));
    PG_TRY(pg_sim_machine_start(w->server, "sim.server", server_main, w));
    while (!w->server_up) {
        PG_TRY(pg_sleep_until(pg_after(PG_MS(1))));
    }
    for (size_t i = 0; i < clients; i++) {
        client *made = PG_NEW(client);
        SIM_CHECK(made != NULL);
        *made = (client){.w = w, .number = i};
        PG_TRY(pg_sim_machine_new(&w->clients[i]));
        PG_TRY(pg_sim_machine_start(w->clients[i], "sim.client", client_main, made));
    }
    return PG_OK;
}

static pg_err world_end(world *w, int64_t within_ns)
{
    for (size_t i = 0; i < w->client_count; i++) {
        PG_TRY(pg_error_wrap(pg_sim_machine_join(w->clients[i], pg_after(within_ns)), "client %zu",
                             i));
    }
    return pg_sim_machine_stop(w->server);
}

// ---- Bad networks

typedef struct stream_job {
    pg_conn *conn;
    uint32_t seed;
    uint64_t bytes;
} stream_job;

static pg_err stream_job_run(void *arg)
{
    const stream_job *job = arg;
    quic_echo_check(job->conn, job->seed, job->bytes);
    return PG_OK;
}

// Twenty small streams beside a large one, then an orderly end.
static pg_err use_streams(void *arg)
{
    client *self = arg;
    stream_job jobs[21];
    pg_scope scope;
    pg_scope_init(&scope);
    for (uint32_t i = 0; i < PG_ARRAY_LEN(jobs); i++) {
        jobs[i] = (stream_job){self->conn, i, i == 0 ? self->w->bytes : 20000};
        PG_TRY(pg_scope_spawn(&scope, "test.job", stream_job_run, &jobs[i]));
    }
    PG_TRY(pg_scope_join(&scope));
    return pg_conn_close(self->conn, pg_after(PG_SECONDS(30)));
}

static pg_err streams_script(void *arg)
{
    world *w = arg;
    w->use = use_streams;
    PG_TRY(world_begin(w, 2));
    return world_end(w, PG_MINUTES(5));
}

static void test_quic__loss_jitter_and_duplicates__everything_arrives(void **state)
{
    (void) state;
    static world w;
    w.bytes = 1000000;
    const pg_sim_config config = {
        .link = {.latency_ns = PG_MS(15),
                 .jitter_ns = PG_MS(10),
                 .loss_ppm = 50000,
                 .duplicate_ppm = 20000},
        .events_max = 20000000,
    };
    sim_seeds(&config, 5, streams_script, &w);
}

static void test_quic__same_seed__same_run(void **state)
{
    (void) state;
    static world w;
    pg_sim_stats runs[3];
    static const uint64_t seeds[] = {7, 7, 8};
    w.bytes = 100000;
    for (size_t i = 0; i < 3; i++) {
        const pg_sim_config config = {
            .seed = seeds[i],
            .link = {.latency_ns = PG_MS(15), .jitter_ns = PG_MS(10), .loss_ppm = 50000},
        };
        assert_int_equal(pg_sim_run(&config, streams_script, &w, &runs[i]), PG_OK);
    }
    assert_int_equal(runs[0].digest, runs[1].digest);
    assert_int_not_equal(runs[0].digest, runs[2].digest);
}

static pg_err use_bulk(void *arg)
{
    client *self = arg;
    pg_time start = pg_now();
    quic_echo_check(self->conn, 3, self->w->bytes);
    pg_conn_info info;
    pg_conn_get_info(self->conn, &info);
    int64_t took_ns = pg_now() - start;
    // A megabyte a second, out and back at once: not faster than the link, and not much slower.
    int64_t least_ns = (int64_t) self->w->bytes * 1000;
    SIM_CHECK(took_ns >= least_ns && took_ns <= 3 * least_ns);
    SIM_CHECK(info.rtt_ns >= PG_MS(40) && info.rtt_ns <= PG_MS(600));
    return PG_OK;
}

static pg_err narrow_script(void *arg)
{
    world *w = arg;
    w->use = use_bulk;
    PG_TRY(world_begin(w, 1));
    return world_end(w, PG_MINUTES(2));
}

static void test_quic__narrow_link__is_filled_and_not_flooded(void **state)
{
    (void) state;
    static world w;
    w.bytes = 5000000;
    const pg_sim_config config = {
        .link = {.latency_ns = PG_MS(20), .bytes_per_second = 1000000},
        .events_max = 20000000,
    };
    sim_seeds(&config, 2, narrow_script, &w);
}

// The library pools what a large transfer made it take: small ones behind it must not find all room taken by that.
static pg_err use_much_then_little(void *arg)
{
    client *self = arg;
    pg_stream *stream = NULL;
    uint8_t space[1];
    size_t len = 0;
    CHECK_OK(pg_conn_open_stream(self->conn, PG_FOREVER, &stream));
    net_test_send(stream, 1, self->w->upload);
    CHECK_OK(pg_stream_close_write(stream, PG_FOREVER));
    CHECK(pg_stream_read(stream, PG_MUT_BYTES_OF(space), PG_FOREVER, &len) == PG_ERR_RESET ||
          len == 0); // all has arrived
    pg_stream_free(&stream);
    return use_streams(self);
}

static pg_err much_then_little_script(void *arg)
{
    world *w = arg;
    w->use = use_much_then_little;
    PG_TRY(world_begin(w, 1));
    return world_end(w, PG_MINUTES(2));
}

static void test_quic__much_under_way_and_then_little__has_room_for_it(void **state)
{
    (void) state;
    static world w;
    w.upload = 48000000;
    w.bytes = 100000;
    const pg_sim_config config = {.link = {.latency_ns = PG_MS(100)}, .events_max = 20000000};
    sim_seeds(&config, 1, much_then_little_script, &w);
}

// ---- Crowds

static pg_err use_little(void *arg)
{
    client *self = arg;
    quic_echo_check(self->conn, 1, 100);
    return PG_OK;
}

static pg_err crowd_script(void *arg)
{
    world *w = arg;
    w->use = use_little;
    PG_TRY(world_begin(w, CLIENTS_MAX));
    PG_TRY(world_end(w, PG_MINUTES(1)));
    SIM_CHECK(w->server_stats.retries > 0); // too many strangers at once had to show their address
    return PG_OK;
}

static void test_quic__eighty_at_once__some_are_asked_to_retry_and_all_get_in(void **state)
{
    (void) state;
    static world w;
    const pg_sim_config config = {
        .link = {.latency_ns = PG_MS(30), .jitter_ns = PG_MS(20), .loss_ppm = 20000},
        .events_max = 20000000,
    };
    sim_seeds(&config, 3, crowd_script, &w);
}

// ---- What a connection survives

static pg_err use_idle(void *arg)
{
    client *self = arg;
    PG_TRY(pg_sleep_until(pg_after(PG_MINUTES(30))));
    pg_quic_stats stats = pg_quic_endpoint_get_stats(self->side.endpoint);
    SIM_CHECK(stats.datagrams_out < 1000); // a few an hour for each ten seconds
    quic_echo_check(self->conn, 1, 1000);
    return PG_OK;
}

static pg_err idle_script(void *arg)
{
    world *w = arg;
    w->use = use_idle;
    PG_TRY(world_begin(w, 1));
    return world_end(w, PG_HOURS(1));
}

static void test_quic__half_an_hour_idle__is_kept_alive(void **state)
{
    (void) state;
    static world w;
    const pg_sim_config config = {.link = {.latency_ns = PG_MS(15), .loss_ppm = 100000}};
    sim_seeds(&config, 3, idle_script, &w);
}

static pg_err use_while_moving(void *arg)
{
    client *self = arg;
    quic_echo_check(self->conn, 1, 200000);
    self->w->go_on = true; // the script moves us meanwhile
    quic_echo_check(self->conn, 2, 2000000);
    quic_echo_check(self->conn, 3, 1000);
    return PG_OK;
}

static pg_err moving_script(void *arg)
{
    world *w = arg;
    w->use = use_while_moving;
    PG_TRY(world_begin(w, 1));
    while (!w->go_on) {
        PG_TRY(pg_sleep_until(pg_after(PG_MS(5))));
    }
    PG_TRY(pg_sleep_until(pg_after(PG_MS(50 + (int64_t) pg_sim_random_below(200)))));
    SIM_CHECK(w->done == 0);
    pg_endpoint moved = pg_sim_machine_endpoint(w->clients[0]);
    moved.ip[1] ^= 0x40U;
    pg_sim_machine_move(w->clients[0], &moved);
    return world_end(w, PG_MINUTES(2));
}

static void test_quic__client_changes_its_address__connection_goes_with_it(void **state)
{
    (void) state;
    static world w;
    const pg_sim_config config = {.link = {.latency_ns = PG_MS(15), .loss_ppm = 10000},
                                  .events_max = 20000000};
    sim_seeds(&config, 5, moving_script, &w);
}

// ---- What it does not

static pg_err use_until_end(void *arg)
{
    client *self = arg;
    pg_stream *none = NULL;
    quic_echo_check(self->conn, 1, 1000);
    self->w->go_on = true;
    pg_time start = pg_now();
    pg_err err = pg_conn_accept_stream(self->conn, PG_FOREVER, &none);
    SIM_CHECK(err == PG_ERR_TIMEOUT || err == PG_ERR_RESET);
    // The last keep-alive begins the idle time anew.
    SIM_CHECK(pg_now() - start <= PG_MS(PG_NET_QUIC_IDLE_MS + PG_NET_QUIC_KEEPALIVE_MS + 2000));
    return err;
}

static pg_err cut_script(void *arg)
{
    world *w = arg;
    w->use = use_until_end;
    PG_TRY(world_begin(w, 1));
    while (!w->go_on) {
        PG_TRY(pg_sleep_until(pg_after(PG_MS(5))));
    }
    pg_sim_partition(w->server, w->clients[0], true);
    SIM_CHECK(pg_sim_machine_join(w->clients[0], pg_after(PG_MINUTES(2))) == PG_ERR_TIMEOUT);
    w->client_count = 0;
    // The server heard the client last about when the client heard it: its end is due.
    PG_TRY(pg_sleep_until(pg_after(PG_MS(PG_NET_QUIC_KEEPALIVE_MS + 2000))));
    PG_TRY(world_end(w, PG_MINUTES(1)));
    SIM_CHECK(w->server_stats.datagrams_in > 0 && w->server_stats.connections == 0);
    return PG_OK;
}

static void test_quic__path_cut__both_ends_give_up(void **state)
{
    (void) state;
    static world w;
    const pg_sim_config config = {.link = {.latency_ns = PG_MS(15), .loss_ppm = 20000}};
    sim_seeds(&config, 3, cut_script, &w);
}

static pg_err crash_script(void *arg)
{
    world *w = arg;
    w->use = use_until_end;
    PG_TRY(world_begin(w, 1));
    while (!w->go_on) {
        PG_TRY(pg_sleep_until(pg_after(PG_MS(5))));
    }
    pg_sim_machine_crash(w->server);
    PG_TRY(pg_sim_machine_start(w->server, "sim.server", server_main, w));
    // The next keep-alive is answered by a reset.
    SIM_CHECK(pg_sim_machine_join(w->clients[0], pg_after(PG_SECONDS(15))) == PG_ERR_RESET);
    w->client_count = 0;
    return world_end(w, PG_MINUTES(1));
}

static void test_quic__server_started_again__client_hears_soon(void **state)
{
    (void) state;
    static world w;
    const pg_sim_config config = {.link = {.latency_ns = PG_MS(15), .loss_ppm = 20000}};
    sim_seeds(&config, 3, crash_script, &w);
}

static pg_err unreachable_script(void *arg)
{
    world *w = arg;
    w->use = use_little;
    PG_TRY(pg_sim_machine_new(&w->clients[0]));
    PG_TRY(pg_sim_machine_new(&w->server)); // nobody listens there
    client *made = PG_NEW(client);
    SIM_CHECK(made != NULL);
    *made = (client){.w = w};
    PG_TRY(pg_sim_machine_start(w->clients[0], "sim.client", client_main, made));
    SIM_CHECK(pg_sim_machine_join(w->clients[0], pg_after(PG_SECONDS(11))) == PG_ERR_TIMEOUT);
    return PG_OK;
}

static void test_quic__nobody_there__dial_ends_in_time(void **state)
{
    (void) state;
    static world w;
    sim_seeds(&(pg_sim_config){.link = {.latency_ns = PG_MS(15)}}, 1, unreachable_script, &w);
}

int main(int argc, char **argv)
{
    sim_arguments(argc, argv);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_quic__loss_jitter_and_duplicates__everything_arrives),
        cmocka_unit_test(test_quic__same_seed__same_run),
        cmocka_unit_test(test_quic__narrow_link__is_filled_and_not_flooded),
        cmocka_unit_test(test_quic__much_under_way_and_then_little__has_room_for_it),
        cmocka_unit_test(test_quic__eighty_at_once__some_are_asked_to_retry_and_all_get_in),
        cmocka_unit_test(test_quic__half_an_hour_idle__is_kept_alive),
        cmocka_unit_test(test_quic__client_changes_its_address__connection_goes_with_it),
        cmocka_unit_test(test_quic__path_cut__both_ends_give_up),
        cmocka_unit_test(test_quic__server_started_again__client_hears_soon),
        cmocka_unit_test(test_quic__nobody_there__dial_ends_in_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
