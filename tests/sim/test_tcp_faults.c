// SPDX-License-Identifier: Apache-2.0
// Goal: connections meet partitions, crashes, moves and resets as TCP's do.
// Method: a client and a server; the script breaks what is between them or one of them.
#include "base/mem.h"
#include "sim_pair.h"

// ---- A stream that carries a number a time

static pg_err number_send(pg_stream *stream, uint8_t number, pg_time deadline)
{
    return pg_stream_write(stream, pg_bytes_make(&number, 1), deadline);
}

static pg_err number_expect(pg_stream *stream, uint8_t number, pg_time deadline)
{
    uint8_t got = 0;
    PG_TRY(pg_stream_read_full(stream, pg_mut_bytes_make(&got, 1), deadline));
    SIM_CHECK(got == number);
    return PG_OK;
}

static pg_err ping_rounds(pg_stream *stream, size_t rounds)
{
    for (size_t i = 0; i < rounds; i++) {
        PG_TRY(number_send(stream, (uint8_t) i, PG_FOREVER));
        PG_TRY(number_expect(stream, (uint8_t) i, PG_FOREVER));
        PG_TRY(pg_sleep_until(pg_after(PG_MS(500))));
    }
    return PG_OK;
}

// Dials, pings for a while, and keeps what came of it.
static pg_err ping_client(void *arg)
{
    struct pair *pair = arg;
    pg_stream *stream = NULL;
    PG_TRY(pg_tcp_dial(&pair->to, PG_FOREVER, &stream));
    pg_time start = pg_now();
    pair->client_err = ping_rounds(stream, 40);
    pair->took_ns = pg_now() - start;
    pg_stream_free(&stream);
    return pg_fiber_is_cancelled() ? PG_ERR_CANCELLED : PG_OK;
}

static pg_err ping_begin(struct pair *pair)
{
    PG_TRY(pair_make(pair));
    pair->client_err = PG_OK;
    PG_TRY(pg_sim_machine_start(pair->server, "test.server", pair_echo_main, NULL));
    PG_TRY(pg_sim_machine_start(pair->client, "test.client", ping_client, pair));
    return pg_sleep_until(pg_after(PG_SECONDS(5)));
}

static pg_err partition_script(void *arg)
{
    struct pair *pair = arg;
    PG_TRY(ping_begin(pair));
    pg_sim_partition(pair->client, pair->server, true);
    PG_TRY(pg_sleep_until(pg_after(PG_MINUTES(2))));
    pg_sim_partition(pair->client, pair->server, false);
    PG_TRY(pg_sim_machine_join(pair->client, PG_FOREVER));
    SIM_CHECK(pair->client_err == PG_OK);
    SIM_CHECK(pair->took_ns > PG_MINUTES(2) && pair->took_ns < PG_MINUTES(5));
    return PG_OK;
}

static void test_tcp__partition_heals__goes_on_where_it_was(void **state)
{
    (void) state;
    struct pair pair = {0};
    sim_seeds(&(pg_sim_config){.link = pair_link}, SIM_SEEDS_DEFAULT, partition_script, &pair);
}

static pg_err partition_stays_script(void *arg)
{
    struct pair *pair = arg;
    PG_TRY(ping_begin(pair));
    pg_sim_partition(pair->client, pair->server, true);
    PG_TRY(pg_sim_machine_join(pair->client, PG_FOREVER));
    SIM_CHECK(pair->client_err == PG_ERR_TIMEOUT);
    SIM_CHECK(pair->took_ns > PG_MINUTES(10) && pair->took_ns < PG_MINUTES(20));
    return PG_OK;
}

static void test_tcp__partition_stays__is_given_up(void **state)
{
    (void) state;
    struct pair pair = {0};
    sim_seeds(&(pg_sim_config){.link = pair_link}, 3, partition_stays_script, &pair);
}

static pg_err crash_script(void *arg)
{
    struct pair *pair = arg;
    PG_TRY(ping_begin(pair));
    pg_sim_machine_crash(pair->server);
    PG_TRY(pg_sleep_until(pg_after(PG_SECONDS(30))));
    SIM_CHECK(pg_sim_machine_join(pair->client, pg_after(1)) == PG_ERR_TIMEOUT);
    PG_TRY(pg_sim_machine_start(pair->server, "test.server", pair_echo_main, NULL));
    PG_TRY(pg_sim_machine_join(pair->client, PG_FOREVER));
    SIM_CHECK(pair->client_err == PG_ERR_RESET);
    PG_TRY(pg_sim_machine_start(pair->client, "test.client", ping_client, pair));
    PG_TRY(pg_sim_machine_join(pair->client, PG_FOREVER));
    SIM_CHECK(pair->client_err == PG_OK);
    return PG_OK;
}

static void test_tcp__server_crashes__is_silent_until_its_restart_resets(void **state)
{
    (void) state;
    struct pair pair = {0};
    sim_seeds(&(pg_sim_config){.link = pair_link}, SIM_SEEDS_DEFAULT, crash_script, &pair);
}

static pg_err move_script(void *arg)
{
    struct pair *pair = arg;
    PG_TRY(ping_begin(pair));
    pg_endpoint address = {.family = PG_IP_FAMILY_V4, .ip = {192, 168, 7, 1}};
    pg_sim_machine_move(pair->server, &address);
    SIM_CHECK(pg_sim_machine_endpoint(pair->server).ip[0] == 192);
    PG_TRY(pg_sim_machine_join(pair->client, PG_FOREVER));
    SIM_CHECK(pair->client_err == PG_ERR_TIMEOUT);
    address.port = PAIR_PORT;
    pair->to = address;
    PG_TRY(pg_sim_machine_start(pair->client, "test.client", ping_client, pair));
    PG_TRY(pg_sim_machine_join(pair->client, PG_FOREVER));
    SIM_CHECK(pair->client_err == PG_OK);
    return PG_OK;
}

static void test_tcp__server_moves__old_connections_die_and_new_ones_find_it(void **state)
{
    (void) state;
    struct pair pair = {0};
    sim_seeds(&(pg_sim_config){.link = pair_link}, 3, move_script, &pair);
}

// ---- Back pressure

#define FLOOD_BYTES ((size_t) 4 * 1024 * 1024)

static pg_err flood_client(void *arg)
{
    struct pair *pair = arg;
    static const uint8_t zeros[50000];
    pg_stream *stream = NULL;
    PG_TRY(pg_tcp_dial(&pair->to, PG_FOREVER, &stream));
    pair->sent_bytes = 0;
    pair->client_err = PG_OK;
    while (pair->client_err == PG_OK && pair->sent_bytes < FLOOD_BYTES) {
        pair->client_err = pg_stream_write(stream, PG_BYTES_OF(zeros), PG_FOREVER);
        pair->sent_bytes += pair->client_err == PG_OK ? sizeof(zeros) : 0;
    }
    if (pair->client_err == PG_OK) {
        pair->client_err = pg_stream_close_write(stream, PG_FOREVER);
    }
    size_t len = 0;
    uint8_t space[1];
    if (pair->client_err == PG_OK) {
        pair->client_err = pg_stream_read(stream, PG_MUT_BYTES_OF(space), PG_FOREVER, &len);
    }
    pg_stream_free(&stream);
    return PG_OK;
}

// Accepts and reads nothing until it is told to go on.
static pg_err lazy_read(struct pair *pair, pg_stream *stream)
{
    static uint8_t space[60000];
    size_t total = 0;
    while (!pair->go_on) {
        PG_TRY(pg_sleep_until(pg_after(PG_MS(100))));
    }
    for (;;) {
        size_t len = 0;
        PG_TRY(pg_stream_read(stream, PG_MUT_BYTES_OF(space), PG_FOREVER, &len));
        total += len;
        if (len == 0) {
            SIM_CHECK(total >= FLOOD_BYTES);
            return pg_stream_close_write(stream, PG_FOREVER);
        }
    }
}

static pg_err lazy_main(void *arg)
{
    struct pair *pair = arg;
    pg_listener *listener = NULL;
    pg_stream *stream = NULL;
    PG_TRY(pair_listen(&listener));
    pg_err err = pg_listener_accept(listener, PG_FOREVER, &stream, NULL);
    if (err == PG_OK) {
        err = lazy_read(pair, stream);
    }
    pg_stream_free(&stream);
    pg_listener_free(&listener);
    return err;
}

static pg_err flood_begin(struct pair *pair)
{
    pair->go_on = false;
    PG_TRY(pair_make(pair));
    PG_TRY(pg_sim_machine_start(pair->server, "test.server", lazy_main, pair));
    PG_TRY(pg_sim_machine_start(pair->client, "test.client", flood_client, pair));
    PG_TRY(pg_sleep_until(pg_after(PG_MINUTES(1))));
    SIM_CHECK(pair->sent_bytes > (size_t) 900 * 1024 && pair->sent_bytes <= 1024 * 1024);
    return PG_OK;
}

static pg_err flood_script(void *arg)
{
    struct pair *pair = arg;
    PG_TRY(flood_begin(pair));
    pg_sim_partition(pair->client, pair->server, true);
    pair->go_on = true;
    PG_TRY(pg_sleep_until(pg_after(PG_SECONDS(10))));
    SIM_CHECK(pair->sent_bytes <= 1024 * 1024);
    pg_sim_partition(pair->client, pair->server, false);
    PG_TRY(pg_sim_machine_join(pair->client, PG_FOREVER));
    PG_TRY(pair->client_err);
    return pg_sim_machine_join(pair->server, PG_FOREVER);
}

static void test_tcp__nobody_reads__writer_waits_for_room(void **state)
{
    (void) state;
    struct pair pair = {0};
    sim_seeds(&(pg_sim_config){.link = pair_link}, 5, flood_script, &pair);
}

static pg_err flood_crash_script(void *arg)
{
    struct pair *pair = arg;
    PG_TRY(flood_begin(pair));
    pg_sim_machine_crash(pair->server);
    if (pg_sim_random_below(2) == 0) {
        PG_TRY(pg_sim_machine_join(pair->client, PG_FOREVER));
        SIM_CHECK(pair->client_err == PG_ERR_TIMEOUT);
        return PG_OK;
    }
    PG_TRY(pg_sim_machine_start(pair->server, "test.server", pair_echo_main, NULL));
    PG_TRY(pg_sim_machine_join(pair->client, PG_FOREVER));
    SIM_CHECK(pair->client_err == PG_ERR_RESET);
    return PG_OK;
}

static void test_tcp__reader_crashes_with_full_window__writer_finds_out(void **state)
{
    (void) state;
    struct pair pair = {0};
    sim_seeds(&(pg_sim_config){.link = pair_link}, 8, flood_crash_script, &pair);
}

// ---- Resets and closing

static pg_err reset_client(void *arg)
{
    struct pair *pair = arg;
    pg_stream *stream = NULL;
    PG_TRY(pg_tcp_dial(&pair->to, PG_FOREVER, &stream));
    pg_err err = number_send(stream, 1, PG_FOREVER);
    if (err == PG_OK) {
        err = pg_sleep_until(pg_after(PG_SECONDS(1)));
    }
    pg_endpoint local = {0};
    pg_endpoint remote = {0};
    pg_tcp_endpoints(stream, &local, &remote);
    if (!pg_endpoint_equal(&remote, &pair->to) || local.port == 0) {
        err = PG_ERR_BUG;
    }
    pg_stream_reset(stream);
    pg_stream_reset(stream);
    uint8_t byte = 0;
    size_t len = 0;
    if (pg_stream_read(stream, pg_mut_bytes_make(&byte, 1), PG_FOREVER, &len) != PG_ERR_CLOSED ||
        number_send(stream, 2, PG_FOREVER) != PG_ERR_CLOSED ||
        pg_stream_close_write(stream, PG_FOREVER) != PG_ERR_CLOSED) {
        err = PG_ERR_BUG;
    }
    pg_stream_free(&stream);
    return err;
}

static pg_err reset_server(void *arg)
{
    struct pair *pair = arg;
    pg_listener *listener = NULL;
    pg_stream *stream = NULL;
    pg_endpoint peer = {0};
    PG_TRY(pair_listen(&listener));
    pg_err err = pg_listener_accept(listener, PG_FOREVER, &stream, &peer);
    pg_listener_free(&listener);
    PG_TRY(err);
    err = number_expect(stream, 1, PG_FOREVER);
    if (err == PG_OK) {
        pair->server_err = number_expect(stream, 2, PG_FOREVER);
    }
    pg_stream_free(&stream);
    SIM_CHECK(peer.family == PG_IP_FAMILY_V4 && peer.port != 0);
    return err;
}

static pg_err reset_script(void *arg)
{
    struct pair *pair = arg;
    PG_TRY(pair_make(pair));
    PG_TRY(pg_sim_machine_start(pair->server, "test.server", reset_server, pair));
    PG_TRY(pg_sim_machine_start(pair->client, "test.client", reset_client, pair));
    PG_TRY(pg_sim_machine_join(pair->client, PG_FOREVER));
    PG_TRY(pg_sim_machine_join(pair->server, PG_FOREVER));
    SIM_CHECK(pair->server_err == PG_ERR_RESET);
    return PG_OK;
}

static void test_tcp__reset__ends_both_ends(void **state)
{
    (void) state;
    struct pair pair = {0};
    sim_seeds(&(pg_sim_config){.link = pair_link}, 3, reset_script, &pair);
}

// Writes, closes, reads to the end and frees at once: what it wrote must still arrive.
static pg_err hasty_client(void *arg)
{
    struct pair *pair = arg;
    pg_stream *stream = NULL;
    PG_TRY(pg_tcp_dial(&pair->to, PG_FOREVER, &stream));
    uint8_t byte = 0;
    size_t len = 1;
    pg_err err = pg_stream_read(stream, pg_mut_bytes_make(&byte, 1), PG_FOREVER, &len);
    if (err == PG_OK && len == 0) {
        err = number_send(stream, 3, PG_FOREVER);
    }
    if (err == PG_OK) {
        err = pg_stream_close_write(stream, PG_FOREVER);
    }
    if (err == PG_OK && number_send(stream, 4, PG_FOREVER) != PG_ERR_CLOSED) {
        err = PG_ERR_BUG;
    }
    pg_stream_free(&stream);
    return err;
}

static pg_err patient_server(void *arg)
{
    struct pair *pair = arg;
    pg_listener *listener = NULL;
    pg_stream *stream = NULL;
    PG_TRY(pair_listen(&listener));
    pg_err err = pg_listener_accept(listener, PG_FOREVER, &stream, NULL);
    if (err == PG_OK) {
        err = pg_stream_close_write(stream, PG_FOREVER);
    }
    if (err == PG_OK) {
        err = number_expect(stream, 3, PG_FOREVER);
    }
    if (err == PG_OK) {
        pair->server_err = number_expect(stream, 4, PG_FOREVER);
    }
    pg_stream_free(&stream);
    pg_listener_free(&listener);
    return err;
}

static pg_err hasty_script(void *arg)
{
    struct pair *pair = arg;
    PG_TRY(pair_make(pair));
    PG_TRY(pg_sim_machine_start(pair->server, "test.server", patient_server, pair));
    PG_TRY(pg_sim_machine_start(pair->client, "test.client", hasty_client, pair));
    PG_TRY(pg_sim_machine_join(pair->client, PG_FOREVER));
    PG_TRY(pg_sim_machine_join(pair->server, PG_FOREVER));
    SIM_CHECK(pair->server_err == PG_ERR_CLOSED);
    return PG_OK;
}

static void test_tcp__freed_when_finished__still_sends_what_is_under_way(void **state)
{
    (void) state;
    struct pair pair = {0};
    pg_sim_config config = {.link = pair_link};
    config.link.loss_ppm = 200000;
    sim_seeds(&config, SIM_SEEDS_DEFAULT, hasty_script, &pair);
}

// ---- Listeners

static pg_err dial_and_hold(void *arg)
{
    struct pair *pair = arg;
    pg_stream *stream = NULL;
    PG_TRY(pg_tcp_dial(&pair->to, pg_after(PG_SECONDS(20)), &stream));
    pair->sent_bytes++;
    pair->client_err = number_expect(stream, 1, PG_FOREVER);
    pg_stream_free(&stream);
    return PG_OK;
}

static pg_err crowd_client(void *arg)
{
    pg_scope scope;
    pg_scope_init_tolerant(&scope);
    for (size_t i = 0; i < 140; i++) {
        PG_TRY(pg_scope_spawn(&scope, "test.crowd", dial_and_hold, arg));
    }
    return pg_scope_join(&scope);
}

static pg_err deaf_server(void *arg)
{
    (void) arg;
    pg_listener *listener = NULL;
    pg_listener *second = NULL;
    PG_TRY(pair_listen(&listener));
    pg_err busy = pair_listen(&second);
    pg_err err = pg_sleep_until(pg_after(PG_SECONDS(40)));
    pg_listener_free(&listener);
    SIM_CHECK(busy == PG_ERR_BUSY);
    return err;
}

static pg_err backlog_script(void *arg)
{
    struct pair *pair = arg;
    pair->sent_bytes = 0;
    PG_TRY(pair_make(pair));
    PG_TRY(pg_sim_machine_start(pair->server, "test.server", deaf_server, pair));
    PG_TRY(pg_sim_machine_start(pair->client, "test.client", crowd_client, pair));
    PG_TRY(pg_sim_machine_join(pair->server, PG_FOREVER));
    PG_TRY(pg_sim_machine_join(pair->client, PG_FOREVER));
    SIM_CHECK(pair->sent_bytes == 128);
    SIM_CHECK(pair->client_err == PG_ERR_RESET);
    return PG_OK;
}

static void test_listener__nobody_accepts__holds_a_backlog_and_resets_it_when_freed(void **state)
{
    (void) state;
    struct pair pair = {0};
    sim_seeds(&(pg_sim_config){.link = pair_link}, 2, backlog_script, &pair);
}

static pg_err dial_cancel_script(void *arg)
{
    struct pair *pair = arg;
    PG_TRY(pair_make(pair));
    PG_TRY(pg_sim_machine_start(pair->server, "test.server", pair_echo_main, NULL));
    PG_TRY(pg_sleep_until(pg_after(PG_MS(10))));
    PG_TRY(pg_sim_machine_start(pair->client, "test.client", ping_client, pair));
    PG_TRY(pg_sleep_until(pg_after((int64_t) pg_sim_random_below((uint64_t) PG_MS(60)))));
    if (pg_sim_random_below(2) == 0) {
        pg_sim_machine_crash(pair->client);
    } else {
        PG_TRY(pg_sim_machine_stop(pair->client));
    }
    PG_TRY(pg_sleep_until(pg_after(PG_SECONDS(10))));
    return pg_sim_machine_stop(pair->server);
}

static void test_tcp__dialer_stops_or_crashes_at_any_time__leaves_nothing_behind(void **state)
{
    (void) state;
    struct pair pair = {0};
    pg_sim_config config = {.link = pair_link};
    config.link.loss_ppm = 100000;
    sim_seeds(&config, 3 * SIM_SEEDS_DEFAULT, dial_cancel_script, &pair);
}

int main(int argc, char **argv)
{
    sim_arguments(argc, argv);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tcp__partition_heals__goes_on_where_it_was),
        cmocka_unit_test(test_tcp__partition_stays__is_given_up),
        cmocka_unit_test(test_tcp__server_crashes__is_silent_until_its_restart_resets),
        cmocka_unit_test(test_tcp__server_moves__old_connections_die_and_new_ones_find_it),
        cmocka_unit_test(test_tcp__nobody_reads__writer_waits_for_room),
        cmocka_unit_test(test_tcp__reader_crashes_with_full_window__writer_finds_out),
        cmocka_unit_test(test_tcp__reset__ends_both_ends),
        cmocka_unit_test(test_tcp__freed_when_finished__still_sends_what_is_under_way),
        cmocka_unit_test(test_listener__nobody_accepts__holds_a_backlog_and_resets_it_when_freed),
        cmocka_unit_test(test_tcp__dialer_stops_or_crashes_at_any_time__leaves_nothing_behind),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
