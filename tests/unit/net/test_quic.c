// SPDX-License-Identifier: Apache-2.0
// Goal: QUIC connections between two ends of ours, on the kernel's loopback and in the simulated world: handshake, identity,
//       streams, back pressure, ends, datagrams, resets, Retry.
// Method: two endpoints in one process; the same bodies in both worlds.
#include "quic_test.h"
#include "runtime/runtime.h"

static const pg_endpoint loopback4 = {.family = PG_IP_FAMILY_V4, .ip = {127, 0, 0, 1}};
static const pg_endpoint loopback6 = {.family = PG_IP_FAMILY_V6, .ip = {[15] = 1}};

// A server that echoes, a client, and a connection between them.
typedef struct pair {
    quic_side server;
    quic_side client;
    pg_conn *there; // the server's end
    pg_conn *here;
    pg_scope scope;
} pair;

static pair *pair_open(const pg_endpoint *at, const quic_side_options *server_options)
{
    pair *made = PG_NEW(pair);
    CHECK(made != NULL);
    pg_scope_init_tolerant(&made->scope);
    quic_side_open(&made->server, 1, at, server_options);
    quic_side_open(&made->client, 2, at, NULL);
    CHECK_OK(quic_side_dial(&made->client, &made->server, &made->here));
    CHECK_OK(quic_side_accept(&made->server, pg_after(PG_SECONDS(5)), &made->there));
    return made;
}

static void pair_serve(pair *made)
{
    CHECK_OK(pg_scope_spawn(&made->scope, "test.serve", quic_echo_run, made->there));
}

static void pair_close(pair *made)
{
    if (made->here != NULL) {
        pg_conn_free(&made->here);
    }
    pg_scope_close(&made->scope);
    pg_conn_free(&made->there);
    quic_side_close(&made->client);
    quic_side_close(&made->server);
    pg_mfree(made);
}

// Run a body in the real world on both families, then in the simulated one.
static void both_worlds(pg_fiber_fn body)
{
    pg_endpoint v4 = loopback4;
    pg_endpoint v6 = loopback6;
    assert_int_equal(pg_runtime_run(NULL, body, &v4), PG_OK);
    assert_int_equal(pg_runtime_run(NULL, body, &v6), PG_OK);
    net_test_run(quic_test_on_machine, &body);
}

static pg_err body_handshake(void *at)
{
    pair *made = pair_open(at, NULL);
    pg_conn_info here;
    pg_conn_info there;
    pg_conn_get_info(made->here, &here);
    pg_conn_get_info(made->there, &there);
    CHECK(pg_peer_id_equal(here.peer, &made->server.identity.peer_id));
    CHECK(pg_peer_id_equal(there.peer, &made->client.identity.peer_id));
    CHECK(here.direction == PG_CONN_DIRECTION_OUTBOUND &&
          there.direction == PG_CONN_DIRECTION_INBOUND);
    CHECK(here.is_hybrid && there.is_hybrid);
    CHECK(strcmp(here.security, "tls/X25519MLKEM768") == 0);
    CHECK(strcmp(here.transport, "quic-v1") == 0);
    CHECK(here.rtt_ns > 0);
    CHECK(here.public_key.len == PG_ED25519_ENCODED_BYTES);
    CHECK(pg_bytes_equal(here.remote_addr, there.local_addr));
    CHECK(pg_secret_equal(pg_key_bytes(pg_quic_conn_secret(made->here)),
                          pg_key_bytes(pg_quic_conn_secret(made->there))));
    pair_close(made);
    return PG_OK;
}

static void test_quic__handshake__proves_both_and_is_hybrid(void **state)
{
    (void) state;
    both_worlds(body_handshake);
}

static pg_err body_echo(void *at)
{
    pair *made = pair_open(at, NULL);
    pair_serve(made);
    quic_echo_check(made->here, 1, 10);
    quic_echo_check(made->here, 2, 3000000);
    pair_close(made);
    return PG_OK;
}

static void test_quic__echo__bytes_come_back(void **state)
{
    (void) state;
    both_worlds(body_echo);
}

// ---- Who is who

static pg_err body_wrong_peer(void *at)
{
    quic_side server;
    quic_side client;
    pg_conn *conn = NULL;
    quic_side_open(&server, 1, at, NULL);
    quic_side_open(&client, 2, at, NULL);
    pg_quic_dial_request request = {.remote = pg_quic_endpoint_addr(server.endpoint),
                                    .expected_id = &client.identity.peer_id};
    CHECK(pg_quic_dial(client.endpoint, &request, pg_after(PG_SECONDS(5)), &conn) == PG_ERR_AUTH);
    CHECK(strstr(pg_error_detail(PG_ERR_AUTH), "dialed 12D3KooW") != NULL);
    CHECK(quic_side_accept(&server, pg_after(PG_SECONDS(5)), &conn) == PG_ERR_REFUSED);
    CHECK(conn == NULL);
    request.expected_id = NULL; // whoever it is
    CHECK_OK(pg_quic_dial(client.endpoint, &request, pg_after(PG_SECONDS(5)), &conn));
    pg_conn_free(&conn);
    quic_side_close(&client);
    quic_side_close(&server);
    return PG_OK;
}

static void test_quic__another_peer__is_refused_by_the_dialer(void **state)
{
    (void) state;
    both_worlds(body_wrong_peer);
}

static pg_err dial_groups(const pg_endpoint *at, pg_quic_groups server_groups,
                          pg_quic_groups client_groups, bool hybrid_only)
{
    const quic_side_options server_options = {.groups = server_groups};
    const quic_side_options client_options = {.groups = client_groups};
    quic_side server;
    quic_side client;
    pg_conn *conn = NULL;
    pg_conn_info info = {.is_hybrid = false};
    quic_side_open(&server, 1, at, &server_options);
    quic_side_open(&client, 2, at, &client_options);
    pg_quic_dial_request request = {.remote = pg_quic_endpoint_addr(server.endpoint),
                                    .hybrid_only = hybrid_only};
    pg_err err = pg_quic_dial(client.endpoint, &request, pg_after(PG_SECONDS(5)), &conn);
    if (err == PG_OK) {
        pg_conn_get_info(conn, &info);
        bool hybrid =
            server_groups != PG_QUIC_GROUPS_CLASSICAL && client_groups != PG_QUIC_GROUPS_CLASSICAL;
        CHECK(info.is_hybrid == hybrid);
        CHECK(strcmp(info.security, hybrid ? "tls/X25519MLKEM768" : "tls/X25519") == 0);
        pg_conn_free(&conn);
    }
    quic_side_close(&client);
    quic_side_close(&server);
    return err;
}

static pg_err body_groups(void *at)
{
    const pg_quic_groups any = PG_QUIC_GROUPS_ANY;
    const pg_quic_groups hybrid = PG_QUIC_GROUPS_HYBRID;
    const pg_quic_groups classical = PG_QUIC_GROUPS_CLASSICAL;
    CHECK_OK(dial_groups(at, any, classical, false));
    CHECK_OK(dial_groups(at, classical, any, false));
    CHECK_OK(dial_groups(at, hybrid, any, false));
    CHECK_OK(dial_groups(at, any, hybrid, true));
    CHECK(dial_groups(at, classical, any, true) == PG_ERR_DOWNGRADE);
    CHECK(dial_groups(at, classical, hybrid, false) == PG_ERR_UNSUPPORTED);
    CHECK(dial_groups(at, hybrid, classical, false) == PG_ERR_REFUSED);
    return PG_OK;
}

static void test_quic__key_agreements__hybrid_where_both_can_and_on_demand(void **state)
{
    (void) state;
    both_worlds(body_groups);
}

static pg_err body_refused(void *at)
{
    quic_side server;
    quic_side client;
    pg_conn *conn = NULL;
    quic_side_open(&server, 1, at, NULL);
    quic_side_open(&client, 2, at, NULL);
    server.verdict = PG_QUIC_VERDICT_REFUSE;
    pg_time start = pg_now();
    CHECK(quic_side_dial(&client, &server, &conn) == PG_ERR_REFUSED);
    CHECK(pg_now() - start < PG_SECONDS(1));
    CHECK(pg_quic_endpoint_get_stats(server.endpoint).refusals >= 1);
    server.verdict = PG_QUIC_VERDICT_ACCEPT;
    pg_quic_endpoint_stop(server.endpoint);
    pg_quic_dial_request request = {.remote = pg_quic_endpoint_addr(server.endpoint)};
    CHECK(pg_quic_dial(client.endpoint, &request, pg_after(PG_MS(200)), &conn) == PG_ERR_TIMEOUT);
    CHECK(pg_quic_endpoint_get_stats(client.endpoint).connections == 0);
    quic_side_close(&client);
    quic_side_close(&server);
    return PG_OK;
}

static void test_quic__owner_says_no__dialer_hears_at_once(void **state)
{
    (void) state;
    both_worlds(body_refused);
}

static pg_err body_refuse_codes(void *at)
{
    static const struct {
        pg_err why;
        pg_err heard;
    } cases[] = {{PG_ERR_LIMIT, PG_ERR_REFUSED},
                 {PG_ERR_DOWNGRADE, PG_ERR_REFUSED},
                 {PG_ERR_CLOSED, PG_ERR_CLOSED}};
    for (size_t i = 0; i < PG_ARRAY_LEN(cases); i++) {
        pair *made = pair_open(at, NULL);
        pg_stream *stream = NULL;
        pg_quic_conn_refuse(&made->there, cases[i].why);
        CHECK(made->there == NULL);
        CHECK(pg_conn_accept_stream(made->here, pg_after(PG_SECONDS(5)), &stream) ==
              cases[i].heard);
        pair_close(made);
    }
    return PG_OK;
}

static void test_quic__refused_after_the_handshake__peer_hears_why(void **state)
{
    (void) state;
    both_worlds(body_refuse_codes);
}

// ---- Streams

typedef struct echo_job {
    pg_conn *conn;
    uint32_t seed;
} echo_job;

static pg_err echo_job_run(void *arg)
{
    const echo_job *job = arg;
    quic_echo_check(job->conn, job->seed, 3000);
    return PG_OK;
}

static pg_err body_many_streams(void *at)
{
    enum { STREAMS = 500 };
    static echo_job jobs[STREAMS];
    pair *made = pair_open(at, NULL);
    pg_scope scope;
    pg_scope_init(&scope);
    pair_serve(made);
    for (uint32_t i = 0; i < STREAMS; i++) {
        jobs[i] = (echo_job){made->here, i};
        CHECK_OK(pg_scope_spawn(&scope, "test.job", echo_job_run, &jobs[i]));
    }
    CHECK_OK(pg_scope_join(&scope));
    pair_close(made);
    return PG_OK;
}

static void test_quic__500_streams_at_once__all_are_served(void **state)
{
    (void) state;
    both_worlds(body_many_streams);
}

// Open a stream and have the server accept it.
static void stream_pair(pair *made, pg_stream **out_here, pg_stream **out_there)
{
    uint8_t first = 0;
    pg_time deadline = pg_after(PG_SECONDS(10));
    CHECK_OK(pg_conn_open_stream(made->here, deadline, out_here));
    CHECK_OK(pg_stream_write(*out_here, PG_BYTES_LIT("!"), deadline));
    CHECK_OK(pg_conn_accept_stream(made->there, deadline, out_there));
    CHECK_OK(pg_stream_read_full(*out_there, pg_mut_bytes_make(&first, 1), deadline));
    CHECK(first == '!');
}

static pg_err body_halves(void *at)
{
    pair *made = pair_open(at, NULL);
    pg_stream *here = NULL;
    pg_stream *there = NULL;
    uint8_t space[16];
    size_t len = 1;
    pg_time deadline = pg_after(PG_SECONDS(10));
    stream_pair(made, &here, &there);
    CHECK_OK(pg_stream_close_write(here, deadline));
    CHECK_OK(pg_stream_close_write(here, deadline)); // once more is nothing
    CHECK(pg_stream_write(here, PG_BYTES_LIT("x"), deadline) == PG_ERR_CLOSED);
    CHECK_OK(pg_stream_read(there, PG_MUT_BYTES_OF(space), deadline, &len));
    CHECK(len == 0);
    // The other half goes on.
    CHECK_OK(pg_stream_write(there, PG_BYTES_LIT("still here"), deadline));
    CHECK_OK(pg_stream_read_full(here, pg_mut_bytes_make(space, 10), deadline));
    CHECK_OK(pg_stream_close_write(there, deadline));
    CHECK_OK(pg_stream_read(here, PG_MUT_BYTES_OF(space), deadline, &len));
    CHECK(len == 0);
    pg_stream_free(&here);
    pg_stream_free(&there);
    pair_close(made);
    return PG_OK;
}

static void test_quic__half_closed__other_half_goes_on(void **state)
{
    (void) state;
    both_worlds(body_halves);
}

static pg_err body_reset(void *at)
{
    pair *made = pair_open(at, NULL);
    pg_stream *here = NULL;
    pg_stream *there = NULL;
    uint8_t space[16];
    size_t len = 0;
    pg_time deadline = pg_after(PG_SECONDS(10));
    stream_pair(made, &here, &there);
    pg_stream_reset(here);
    CHECK(pg_stream_read(here, PG_MUT_BYTES_OF(space), deadline, &len) == PG_ERR_CLOSED);
    CHECK(pg_stream_write(here, PG_BYTES_LIT("x"), deadline) == PG_ERR_CLOSED);
    CHECK(pg_stream_read(there, PG_MUT_BYTES_OF(space), deadline, &len) == PG_ERR_RESET);
    CHECK(pg_stream_write(there, PG_BYTES_LIT("x"), deadline) == PG_ERR_RESET);
    pg_stream_free(&here);
    pg_stream_free(&there);
    // Freed unread: the writer on the other side is stopped, in the middle of a long write.
    static const uint8_t much[3000000];
    stream_pair(made, &here, &there);
    pg_stream_free(&there);
    CHECK(pg_stream_write(here, PG_BYTES_OF(much), deadline) == PG_ERR_RESET);
    pg_stream_free(&here);
    // The connection lives, and nothing is left of the streams.
    pair_serve(made);
    quic_echo_check(made->here, 1, 1000);
    pg_conn_info info;
    pg_time soon = pg_after(PG_SECONDS(5));
    do {
        CHECK_OK(pg_sleep_until(pg_after(PG_MS(1))));
        pg_conn_get_info(made->here, &info);
    } while ((info.streams_out > 0 || info.streams_in > 0) && pg_now() < soon);
    CHECK(info.streams_out == 0 && info.streams_in == 0);
    pair_close(made);
    return PG_OK;
}

static void test_quic__stream_reset_or_dropped__the_other_side_hears(void **state)
{
    (void) state;
    both_worlds(body_reset);
}

static pg_err body_back_pressure(void *at)
{
    static const uint8_t much[4000000];
    pair *made = pair_open(at, NULL);
    pg_stream *here[4] = {NULL};
    pg_stream *there[4] = {NULL};
    pg_conn_info info;
    for (size_t i = 0; i < 4; i++) {
        stream_pair(made, &here[i], &there[i]);
        CHECK(pg_stream_write(here[i], PG_BYTES_OF(much), pg_after(PG_MS(300))) == PG_ERR_TIMEOUT);
    }
    pg_conn_get_info(made->there, &info);
    CHECK(info.memory_bytes <= 5 * PG_NET_WINDOW_BYTES_MIN);
    pg_conn_get_info(made->here, &info);
    CHECK(info.memory_bytes <= 4 * 3 * PG_NET_QUIC_PULL_BYTES);
    // Four streams nobody reads hold up none of the others.
    pair_serve(made);
    quic_echo_check(made->here, 7, 2000000);
    for (size_t i = 0; i < 4; i++) {
        pg_stream_free(&here[i]);
        pg_stream_free(&there[i]);
    }
    quic_echo_check(made->here, 8, 2000000);
    pair_close(made);
    return PG_OK;
}

static void test_quic__nobody_reads__writer_waits_and_others_go_on(void **state)
{
    (void) state;
    both_worlds(body_back_pressure);
}

static pg_err body_stream_limit(void *at)
{
    enum { MAX = 10 };
    const quic_side_options options = {.streams_in_max = MAX};
    pair *made = pair_open(at, &options);
    pg_stream *here[MAX] = {NULL};
    pg_stream *there[MAX] = {NULL};
    pg_stream *more = NULL;
    for (size_t i = 0; i < MAX; i++) {
        stream_pair(made, &here[i], &there[i]);
    }
    CHECK(pg_conn_open_stream(made->here, pg_after(PG_MS(200)), &more) == PG_ERR_TIMEOUT);
    pg_stream_free(&here[3]);
    pg_stream_free(&there[3]);
    CHECK_OK(pg_conn_open_stream(made->here, pg_after(PG_SECONDS(5)), &more));
    pg_stream_free(&more);
    for (size_t i = 0; i < MAX; i++) {
        pg_stream_free(&here[i]);
        pg_stream_free(&there[i]);
    }
    pair_close(made);
    return PG_OK;
}

static void test_quic__peer_takes_no_more_streams__opener_waits(void **state)
{
    (void) state;
    both_worlds(body_stream_limit);
}

// ---- The end of a connection

static pg_err body_close(void *at)
{
    static uint8_t sent[2000000];
    pair *made = pair_open(at, NULL);
    pg_stream *here = NULL;
    pg_stream *there = NULL;
    pg_stream *none = NULL;
    uint8_t space[16];
    size_t len = 0;
    pg_time deadline = pg_after(PG_SECONDS(10));
    stream_pair(made, &here, &there);
    net_test_fill(PG_MUT_BYTES_OF(sent), 5, 0);
    CHECK_OK(pg_stream_write(here, pg_bytes_make(sent, 200000), deadline));
    CHECK_OK(pg_stream_close_write(here, deadline));
    CHECK_OK(pg_conn_close(made->here, deadline)); // all of it has arrived
    CHECK(pg_conn_open_stream(made->here, deadline, &none) == PG_ERR_CLOSED);
    CHECK(pg_stream_read(here, PG_MUT_BYTES_OF(space), deadline, &len) == PG_ERR_CLOSED);
    CHECK(pg_conn_accept_stream(made->there, deadline, &none) == PG_ERR_CLOSED);
    net_test_receive(there, 5, 200000);
    CHECK(pg_stream_write(there, PG_BYTES_LIT("x"), deadline) == PG_ERR_CLOSED);
    pg_conn_free(&made->here);
    CHECK(pg_stream_read(here, PG_MUT_BYTES_OF(space), deadline, &len) == PG_ERR_CLOSED);
    pg_stream_free(&here); // outlives its connection
    pg_stream_free(&there);
    pair_close(made);
    return PG_OK;
}

static void test_quic__closed__all_arrives_and_both_hear(void **state)
{
    (void) state;
    both_worlds(body_close);
}

static pg_err reader_run(void *arg)
{
    pg_stream *stream = arg;
    uint8_t space[16];
    size_t len = 0;
    return pg_stream_read(stream, PG_MUT_BYTES_OF(space), PG_FOREVER, &len);
}

static pg_err body_abort(void *at)
{
    pair *made = pair_open(at, NULL);
    pg_stream *here = NULL;
    pg_stream *there = NULL;
    pg_stream *none = NULL;
    pg_scope scope;
    pg_scope_init(&scope);
    stream_pair(made, &here, &there);
    CHECK_OK(pg_scope_spawn(&scope, "test.reader", reader_run, there));
    CHECK_OK(pg_fiber_yield());
    pg_conn_abort(made->here);
    CHECK(pg_scope_join(&scope) == PG_ERR_CLOSED);
    CHECK(pg_conn_accept_stream(made->there, pg_after(PG_SECONDS(5)), &none) == PG_ERR_CLOSED);
    CHECK(pg_conn_accept_stream(made->here, PG_FOREVER, &none) == PG_ERR_CLOSED);
    pg_stream_free(&here);
    pg_stream_free(&there);
    pair_close(made);
    return PG_OK;
}

static void test_quic__aborted__every_wait_ends(void **state)
{
    (void) state;
    both_worlds(body_abort);
}

static pg_err body_forgotten(void *at)
{
    pair *made = pair_open(at, NULL);
    pg_stream *none = NULL;
    pg_endpoint addr = pg_quic_endpoint_addr(made->server.endpoint);
    quic_side again;
    pair_serve(made);
    quic_echo_check(made->here, 1, 10);
    // Started again at the same place, without a farewell: as after a crash.
    pg_scope_close(&made->scope);
    quic_test_vanish(made->server.endpoint);
    pg_conn_free(&made->there);
    quic_side_close(&made->server);
    quic_side_open(&again, 1, &addr, NULL);
    pg_stream *stream = NULL;
    CHECK_OK(pg_conn_open_stream(made->here, pg_after(PG_SECONDS(1)), &stream));
    CHECK_OK(pg_stream_write(stream, PG_BYTES_LIT("are you there?"), pg_after(PG_SECONDS(1))));
    CHECK(pg_conn_accept_stream(made->here, pg_after(PG_SECONDS(5)), &none) == PG_ERR_RESET);
    CHECK(pg_quic_endpoint_get_stats(again.endpoint).resets >= 1);
    pg_stream_free(&stream);
    pg_conn_free(&made->here);
    quic_side_close(&made->client);
    quic_side_close(&again);
    pg_mfree(made);
    return PG_OK;
}

static void test_quic__peer_started_again__says_that_it_knows_nothing(void **state)
{
    (void) state;
    both_worlds(body_forgotten);
}

static pg_err body_endpoint_freed(void *at)
{
    pair *made = pair_open(at, NULL);
    pg_stream *here = NULL;
    pg_stream *there = NULL;
    pg_stream *none = NULL;
    stream_pair(made, &here, &there);
    pg_quic_endpoint_free(&made->client.endpoint); // its connections are still held
    CHECK(pg_conn_accept_stream(made->here, PG_FOREVER, &none) == PG_ERR_CLOSED);
    CHECK(pg_conn_accept_stream(made->there, pg_after(PG_SECONDS(5)), &none) == PG_ERR_CLOSED);
    pg_stream_free(&here);
    pg_stream_free(&there);
    pair_close(made);
    return PG_OK;
}

static void test_quic__socket_closed__connections_end(void **state)
{
    (void) state;
    both_worlds(body_endpoint_freed);
}

// ---- Datagrams

static pg_err body_datagrams(void *at)
{
    pair *made = pair_open(at, NULL);
    uint8_t space[PG_NET_QUIC_DATAGRAM_BYTES_MAX];
    uint8_t longest[PG_NET_QUIC_DATAGRAM_BYTES_MAX + 1];
    size_t len = 0;
    pg_time deadline = pg_after(PG_SECONDS(5));
    memset(longest, 9, sizeof(longest));
    CHECK_OK(pg_conn_send_datagram(made->here, PG_BYTES_LIT("hello")));
    CHECK_OK(pg_conn_recv_datagram(made->there, deadline, PG_MUT_BYTES_OF(space), &len));
    CHECK(pg_bytes_equal(pg_bytes_make(space, len), PG_BYTES_LIT("hello")));
    CHECK_OK(pg_conn_send_datagram(made->there, pg_bytes_make(longest, sizeof(space))));
    CHECK_OK(pg_conn_recv_datagram(made->here, deadline, PG_MUT_BYTES_OF(space), &len));
    CHECK(len == sizeof(space) && space[0] == 9);
    CHECK(pg_conn_send_datagram(made->here, PG_BYTES_OF(longest)) == PG_ERR_LIMIT);
    CHECK_OK(pg_conn_send_datagram(made->here, PG_BYTES_LIT("long")));
    CHECK(pg_conn_recv_datagram(made->there, deadline, pg_mut_bytes_make(space, 3), &len) ==
          PG_ERR_LIMIT);
    CHECK(pg_conn_recv_datagram(made->there, pg_after(PG_MS(20)), PG_MUT_BYTES_OF(space), &len) ==
          PG_ERR_TIMEOUT);
    // Nobody takes them: the newest stay.
    for (uint8_t i = 0; i < 3 * PG_NET_QUIC_DATAGRAMS_MAX; i++) {
        CHECK_OK(pg_conn_send_datagram(made->here, pg_bytes_make(&i, 1)));
        CHECK_OK(pg_sleep_until(pg_after(PG_US(200))));
    }
    CHECK_OK(pg_sleep_until(pg_after(PG_MS(50))));
    size_t count = 0;
    while (pg_conn_recv_datagram(made->there, pg_after(PG_MS(20)), PG_MUT_BYTES_OF(space), &len) ==
           PG_OK) {
        count++;
    }
    CHECK(count > 0 && count <= PG_NET_QUIC_DATAGRAMS_MAX);
    CHECK(space[0] == 3 * PG_NET_QUIC_DATAGRAMS_MAX - 1);
    pg_conn_abort(made->here);
    CHECK(pg_conn_send_datagram(made->here, PG_BYTES_LIT("x")) == PG_ERR_CLOSED);
    CHECK(pg_conn_recv_datagram(made->there, deadline, PG_MUT_BYTES_OF(space), &len) ==
          PG_ERR_CLOSED);
    pair_close(made);
    return PG_OK;
}

static void test_quic__datagrams__arrive_whole_and_never_pile_up(void **state)
{
    (void) state;
    both_worlds(body_datagrams);
}

// ---- Memory is out

static pg_err body_no_memory(void *at)
{
    bool failed = true;
    for (uint64_t nth = 1; failed; nth++) { // until none is left to fail
        quic_side server;
        quic_side client;
        pg_conn *conn = NULL;
        pg_stream *stream = NULL;
        quic_side_open(&server, 1, at, NULL);
        quic_side_open(&client, 2, at, NULL);
        pg_quic_dial_request request = {.remote = pg_quic_endpoint_addr(server.endpoint)};
        pg_mem_fail_nth(nth);
        pg_err err = pg_quic_dial(client.endpoint, &request, pg_after(PG_MS(300)), &conn);
        if (err == PG_OK) {
            err = pg_conn_open_stream(conn, pg_after(PG_MS(50)), &stream);
        }
        if (err == PG_OK) {
            err = pg_stream_write(stream, PG_BYTES_LIT("hello"), pg_after(PG_MS(50)));
        }
        if (err == PG_OK) {
            CHECK_OK(pg_sleep_until(pg_after(PG_MS(5))));
        }
        failed = pg_mem_failed();
        pg_mem_fail_nth(0);
        CHECK(failed || (err == PG_OK && nth > 100));
        pg_stream_free(&stream);
        pg_conn_free(&conn);
        quic_side_close(&client);
        quic_side_close(&server);
    }
    return PG_OK;
}

static void test_quic__any_allocation_fails__nothing_breaks(void **state)
{
    (void) state;
    pg_fiber_fn body = body_no_memory;
    net_test_run(quic_test_on_machine, &body);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_quic__handshake__proves_both_and_is_hybrid),
        cmocka_unit_test(test_quic__echo__bytes_come_back),
        cmocka_unit_test(test_quic__another_peer__is_refused_by_the_dialer),
        cmocka_unit_test(test_quic__key_agreements__hybrid_where_both_can_and_on_demand),
        cmocka_unit_test(test_quic__owner_says_no__dialer_hears_at_once),
        cmocka_unit_test(test_quic__refused_after_the_handshake__peer_hears_why),
        cmocka_unit_test(test_quic__500_streams_at_once__all_are_served),
        cmocka_unit_test(test_quic__half_closed__other_half_goes_on),
        cmocka_unit_test(test_quic__stream_reset_or_dropped__the_other_side_hears),
        cmocka_unit_test(test_quic__nobody_reads__writer_waits_and_others_go_on),
        cmocka_unit_test(test_quic__peer_takes_no_more_streams__opener_waits),
        cmocka_unit_test(test_quic__closed__all_arrives_and_both_hear),
        cmocka_unit_test(test_quic__aborted__every_wait_ends),
        cmocka_unit_test(test_quic__peer_started_again__says_that_it_knows_nothing),
        cmocka_unit_test(test_quic__socket_closed__connections_end),
        cmocka_unit_test(test_quic__datagrams__arrive_whole_and_never_pile_up),
        cmocka_unit_test(test_quic__any_allocation_fails__nothing_breaks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
