// SPDX-License-Identifier: Apache-2.0
// What a new connection costs, both sides in one thread over loopback: by QUIC with either key agreement, and by TCP with hybrid
// Noise and yamux. The processor time is the row to read.
#include <stdlib.h>

#include "base/attr.h"
#include "bench.h"
#include "net/quic_endpoint.h"
#include "net/upgrade.h"
#include "runtime/fiber.h"
#include "runtime/random.h"
#include "runtime/runtime.h"

#define PATIENCE PG_SECONDS(10)

/** One end of QUIC that keeps the last connection which came. */
typedef struct quic_end {
    pg_identity identity;
    pg_key reset_key;
    pg_quic_tls *tls;
    pg_quic_endpoint *endpoint;
    pg_conn *arrived;
    pg_waitq arrivals;
} quic_end;

typedef struct quic_pair {
    quic_end dialer;
    quic_end listener;
} quic_pair;

typedef struct tcp_pair {
    pg_identity identities[2];
    pg_key noise_static;
    pg_upgrader upgraders[2]; // of the dialer, of the listener
    pg_listener *listener;
    pg_conn *arrived;
} tcp_pair;

static void must(bool good)
{
    if (!good) {
        abort();
    }
}

static pg_quic_verdict on_initial(const pg_endpoint *remote, bool is_validated, void *user)
{
    (void) remote;
    (void) is_validated;
    (void) user;
    return PG_QUIC_VERDICT_ACCEPT;
}

static void on_conn(pg_conn *conn, const pg_endpoint *remote, bool was_counted, void *user)
{
    quic_end *end = user;
    (void) remote;
    (void) was_counted;
    must(end->arrived == NULL);
    end->arrived = conn;
    pg_waitq_wake_all(&end->arrivals);
}

static void on_failed(const pg_endpoint *remote, bool was_counted, pg_err err, void *user)
{
    (void) remote;
    (void) was_counted;
    (void) err;
    (void) user;
    abort();
}

static void end_open(quic_end *end, uint8_t seed, pg_quic_groups groups)
{
    const pg_endpoint loopback = {.family = PG_IP_FAMILY_V4, .ip = {127, 0, 0, 1}};
    pg_key key = {{seed}};
    must(pg_identity_init(&end->identity, &key) == PG_OK);
    must(pg_quic_tls_new(&end->identity, groups, &end->tls) == PG_OK);
    pg_random_bytes(PG_MUT_BYTES_OF(end->reset_key.bytes));
    pg_waitq_init(&end->arrivals);
    const pg_quic_config config = {
        .tls = end->tls,
        .reset_key = &end->reset_key,
        .limits = pg_conn_limits_default(NULL),
        .pending_max = 16,
        .handshake_timeout_ns = PATIENCE,
        .hooks = {on_initial, on_conn, on_failed, end},
    };
    must(pg_quic_endpoint_new(&config, &loopback, &end->endpoint) == PG_OK);
}

static void end_close(quic_end *end)
{
    pg_quic_endpoint_free(&end->endpoint);
    pg_quic_tls_free(&end->tls);
    pg_identity_deinit(&end->identity);
}

static void on_quic(void *user)
{
    quic_pair *pair = user;
    pg_conn *conn = NULL;
    const pg_quic_dial_request request = {
        .remote = pg_quic_endpoint_addr(pair->listener.endpoint),
        .expected_id = &pair->listener.identity.peer_id,
    };
    must(pg_quic_dial(pair->dialer.endpoint, &request, pg_after(PATIENCE), &conn) == PG_OK);
    while (pair->listener.arrived == NULL) {
        must(pg_waitq_wait(&pair->listener.arrivals, pg_after(PATIENCE)) == PG_OK);
    }
    pg_conn_free(&conn);
    pg_conn_free(&pair->listener.arrived);
}

static pg_err fiber_accept(void *arg)
{
    tcp_pair *pair = arg;
    const pg_upgrade_request request = {.direction = PG_CONN_DIRECTION_INBOUND, .transport = "tcp"};
    pg_stream *raw = NULL;
    PG_TRY(pg_listener_accept(pair->listener, pg_after(PATIENCE), &raw, NULL));
    return pg_upgrade(&raw, &pair->upgraders[1], &request, pg_after(PATIENCE), &pair->arrived);
}

static void on_tcp(void *user)
{
    tcp_pair *pair = user;
    const pg_upgrade_request request = {
        .direction = PG_CONN_DIRECTION_OUTBOUND,
        .expected_id = &pair->identities[1].peer_id,
        .transport = "tcp",
    };
    pg_endpoint at = pg_listener_endpoint(pair->listener);
    pg_stream *raw = NULL;
    pg_conn *conn = NULL;
    pg_scope scope;
    pg_scope_init(&scope);
    must(pg_scope_spawn(&scope, "bench.accept", fiber_accept, pair) == PG_OK);
    must(pg_tcp_dial(&at, pg_after(PATIENCE), &raw) == PG_OK);
    must(pg_upgrade(&raw, &pair->upgraders[0], &request, pg_after(PATIENCE), &conn) == PG_OK);
    must(pg_scope_join(&scope) == PG_OK);
    pg_conn_free(&conn);
    pg_conn_free(&pair->arrived);
}

static void tcp_open(tcp_pair *pair)
{
    const pg_endpoint loopback = {.family = PG_IP_FAMILY_V4, .ip = {127, 0, 0, 1}};
    pg_random_bytes(PG_MUT_BYTES_OF(pair->noise_static.bytes));
    for (size_t i = 0; i < 2; i++) {
        pg_key key = {{(uint8_t) (5 + i)}};
        must(pg_identity_init(&pair->identities[i], &key) == PG_OK);
        pair->upgraders[i] = (pg_upgrader){
            .identity = &pair->identities[i],
            .noise_static = &pair->noise_static,
            .limits = pg_conn_limits_default(NULL),
        };
    }
    must(pg_tcp_listen(&loopback, &pair->listener) == PG_OK);
}

static pg_err run(void *arg)
{
    (void) arg;
    static quic_pair hybrid;
    static quic_pair classical;
    static tcp_pair tcp;
    end_open(&hybrid.dialer, 1, PG_QUIC_GROUPS_ANY);
    end_open(&hybrid.listener, 2, PG_QUIC_GROUPS_ANY);
    end_open(&classical.dialer, 3, PG_QUIC_GROUPS_CLASSICAL);
    end_open(&classical.listener, 4, PG_QUIC_GROUPS_CLASSICAL);
    tcp_open(&tcp);
    const bench_case cases[] = {
        {"TCP, hybrid Noise, yamux", 0, on_tcp, &tcp, NULL},
        {"QUIC, X25519", 0, on_quic, &classical, NULL},
        {"QUIC, X25519MLKEM768", 0, on_quic, &hybrid, "TCP, hybrid Noise, yamux"},
    };
    bench_run(cases, PG_ARRAY_LEN(cases), NULL);
    end_close(&hybrid.dialer);
    end_close(&hybrid.listener);
    end_close(&classical.dialer);
    end_close(&classical.listener);
    pg_listener_free(&tcp.listener);
    for (size_t i = 0; i < 2; i++) {
        pg_identity_deinit(&tcp.identities[i]);
    }
    return PG_OK;
}

int main(int argc, char **argv)
{
    bench_begin(argc, argv);
    return pg_runtime_run(NULL, run, NULL) == PG_OK ? 0 : 1;
}
