// SPDX-License-Identifier: Apache-2.0
// Goal: simulated streams behave as TCP does: whole, in order, slowed by loss and partitions, and dead where TCP is dead.
// Method: two machines that talk, over many seeds.
#include "base/mem.h"
#include "runtime/resolve.h"
#include "sim_pair.h"

#define ECHO_BYTES ((size_t) 200 * 1000)

static uint8_t pattern(size_t at)
{
    return (uint8_t) (at * 31 + at / 251);
}

// ---- Echo

static pg_err echo_write(void *arg)
{
    pg_stream *stream = arg;
    uint8_t part[7000];
    for (size_t done = 0; done < ECHO_BYTES;) {
        size_t len = pg_min_size(1 + pg_sim_random_below(sizeof(part)), ECHO_BYTES - done);
        for (size_t i = 0; i < len; i++) {
            part[i] = pattern(done + i);
        }
        PG_TRY(pg_stream_write(stream, pg_bytes_make(part, len), PG_FOREVER));
        done += len;
    }
    return pg_stream_close_write(stream, PG_FOREVER);
}

static pg_err echo_check(pg_stream *stream)
{
    uint8_t space[3000];
    size_t done = 0;
    for (;;) {
        size_t len = 0;
        PG_TRY(pg_stream_read(stream, PG_MUT_BYTES_OF(space), PG_FOREVER, &len));
        for (size_t i = 0; i < len; i++) {
            SIM_CHECK(space[i] == pattern(done + i));
        }
        done += len;
        if (len == 0) {
            SIM_CHECK(done == ECHO_BYTES);
            return PG_OK;
        }
    }
}

static pg_err echo_client(void *arg)
{
    struct pair *pair = arg;
    pg_stream *stream = NULL;
    pg_scope scope;
    pg_scope_init(&scope);
    pg_time start = pg_now();
    PG_TRY(pg_tcp_dial(&pair->to, PG_FOREVER, &stream));
    pg_err err = pg_scope_spawn(&scope, "test.write", echo_write, stream);
    if (err == PG_OK) {
        err = echo_check(stream);
    }
    pg_err joined = pg_scope_join(&scope);
    pair->took_ns = pg_now() - start;
    pg_stream_free(&stream);
    return err == PG_OK ? joined : err;
}

static pg_err echo_script(void *arg)
{
    struct pair *pair = arg;
    PG_TRY(pair_make(pair));
    PG_TRY(pg_sim_machine_start(pair->server, "test.server", pair_echo_main, NULL));
    PG_TRY(pg_sim_machine_start(pair->client, "test.client", echo_client, pair));
    return pg_sim_machine_join(pair->client, PG_FOREVER);
}

static void test_tcp__five_percent_loss__echoes_whole_and_in_order(void **state)
{
    (void) state;
    struct pair pair = {0};
    pg_sim_config config = {.link = pair_link};
    config.link.loss_ppm = 50000;
    sim_seeds(&config, SIM_SEEDS_DEFAULT, echo_script, &pair);
    assert_true(pair.took_ns > PG_MS(40));
}

static void test_tcp__slow_link__takes_the_time_of_its_bytes(void **state)
{
    (void) state;
    struct pair pair = {0};
    pg_sim_config config = {.link = pair_link};
    config.link.bytes_per_second = 100000;
    sim_seeds(&config, 2, echo_script, &pair);
    // Both directions at once: two seconds, and a little for the echo of the last part.
    assert_in_range(pair.took_ns, PG_MS(2000), PG_MS(2600));
}

// ---- Dialing

static pg_err dial_client(void *arg)
{
    struct pair *pair = arg;
    pg_stream *stream = NULL;
    pg_time start = pg_now();
    pair->client_err = pg_tcp_dial(&pair->to, pg_after(PG_MINUTES(30)), &stream);
    pair->took_ns = pg_now() - start;
    pg_stream_free(&stream);
    return PG_OK;
}

static pg_err dial_nobody_script(void *arg)
{
    struct pair *pair = arg;
    PG_TRY(pair_make(pair));
    PG_TRY(pg_sim_machine_start(pair->client, "test.client", dial_client, pair));
    PG_TRY(pg_sim_machine_join(pair->client, PG_FOREVER));
    SIM_CHECK(pair->client_err == PG_ERR_REFUSED);
    SIM_CHECK(pair->took_ns >= PG_MS(20) && pair->took_ns <= PG_MS(24));

    pg_sim_partition(pair->client, pair->server, true);
    PG_TRY(pg_sim_machine_start(pair->client, "test.client", dial_client, pair));
    PG_TRY(pg_sim_machine_join(pair->client, PG_FOREVER));
    SIM_CHECK(pair->client_err == PG_ERR_TIMEOUT);
    SIM_CHECK(pair->took_ns > PG_SECONDS(60) && pair->took_ns < PG_SECONDS(130));

    pair->to.ip[1] = 77;
    PG_TRY(pg_sim_machine_start(pair->client, "test.client", dial_client, pair));
    PG_TRY(pg_sim_machine_join(pair->client, PG_FOREVER));
    SIM_CHECK(pair->client_err == PG_ERR_UNREACHABLE);
    return PG_OK;
}

static void test_tcp__nobody_there__is_refused_or_times_out_or_has_no_route(void **state)
{
    (void) state;
    struct pair pair = {0};
    sim_seeds(&(pg_sim_config){.link = pair_link}, 3, dial_nobody_script, &pair);
}

// ---- IPv6

static pg_err v6_server(void *arg)
{
    struct pair *pair = arg;
    pg_listener *listener = NULL;
    pg_stream *stream = NULL;
    pg_endpoint peer = {0};
    PG_TRY(pg_tcp_listen(&(pg_endpoint){.family = PG_IP_FAMILY_V6, .port = PAIR_PORT}, &listener));
    pg_err err = pg_listener_accept(listener, PG_FOREVER, &stream, &peer);
    if (err == PG_OK) {
        err = pair_echo_stream(stream);
    }
    pg_stream_free(&stream);
    pg_listener_free(&listener);
    PG_TRY(err);
    pg_endpoint client = pg_sim_machine_endpoint(pair->client);
    client.port = peer.port;
    SIM_CHECK(pg_endpoint_equal(&client, &peer));
    return PG_OK;
}

static pg_err v6_client(void *arg)
{
    struct pair *pair = arg;
    pg_endpoint found[PG_RESOLVE_MAX];
    size_t count = 0;
    PG_TRY(pg_resolve("m1.sim", PG_IP_FAMILY_V6, PG_FOREVER, found, &count));
    SIM_CHECK(count == 1);
    found[0].port = PAIR_PORT;
    SIM_CHECK(pg_endpoint_equal(&found[0], &pair->to));
    return echo_client(arg);
}

static pg_err v6_script(void *arg)
{
    struct pair *pair = arg;
    PG_TRY(pair_make(pair));
    pg_endpoint address = {.family = PG_IP_FAMILY_V6, .ip = {0x20, 0x01, 0x0d, 0xb8, [15] = 1}};
    pg_sim_machine_move(pair->server, &address);
    pair->to = address;
    pair->to.port = PAIR_PORT;
    PG_TRY(pg_sim_machine_start(pair->client, "test.client", dial_client, pair));
    PG_TRY(pg_sim_machine_join(pair->client, PG_FOREVER));
    SIM_CHECK(pair->client_err == PG_ERR_UNREACHABLE); // it has IPv4 alone

    address.ip[15] = 2;
    pg_sim_machine_move(pair->client, &address);
    PG_TRY(pg_sim_machine_start(pair->server, "test.server", v6_server, pair));
    PG_TRY(pg_sim_machine_start(pair->client, "test.client", v6_client, pair));
    PG_TRY(pg_sim_machine_join(pair->client, PG_FOREVER));
    return pg_sim_machine_join(pair->server, PG_FOREVER);
}

static void test_tcp__machines_moved_to_ipv6__talk_by_it(void **state)
{
    (void) state;
    struct pair pair = {0};
    sim_seeds(&(pg_sim_config){.link = pair_link}, 2, v6_script, &pair);
}

int main(int argc, char **argv)
{
    sim_arguments(argc, argv);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tcp__five_percent_loss__echoes_whole_and_in_order),
        cmocka_unit_test(test_tcp__slow_link__takes_the_time_of_its_bytes),
        cmocka_unit_test(test_tcp__nobody_there__is_refused_or_times_out_or_has_no_route),
        cmocka_unit_test(test_tcp__machines_moved_to_ipv6__talk_by_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
