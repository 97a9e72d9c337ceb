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

static pg_err on_machine(void *arg)
{
    pg_endpoint v4 = loopback4;
    pg_fiber_fn body = *(pg_fiber_fn *) arg;
    pg_sim_machine *machine = NULL;
    CHECK_OK(pg_sim_machine_new(&machine));
    CHECK_OK(pg_sim_machine_start(machine, "test.body", body, &v4));
    return pg_sim_machine_join(machine, pg_after(PG_HOURS(1)));
}

// Run a body in the real world on both families, then in the simulated one.
static void both_worlds(pg_fiber_fn body)
{
    pg_endpoint v4 = loopback4;
    pg_endpoint v6 = loopback6;
    assert_int_equal(pg_runtime_run(NULL, body, &v4), PG_OK);
    assert_int_equal(pg_runtime_run(NULL, body, &v6), PG_OK);
    net_test_run(on_machine, &body);
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_quic__handshake__proves_both_and_is_hybrid),
        cmocka_unit_test(test_quic__echo__bytes_come_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
