// SPDX-License-Identifier: Apache-2.0
#include "quic_test.h"

#include "net/quic_priv.h"

#define ECHO_BYTES 20000

static pg_quic_verdict on_initial(const pg_endpoint *remote, bool is_validated, void *user)
{
    quic_side *side = user;
    (void) remote;
    side->counted += is_validated && side->verdict == PG_QUIC_VERDICT_ACCEPT ? 1U : 0U;
    return side->verdict;
}

static void on_conn(pg_conn *conn, const pg_endpoint *remote, bool was_counted, void *user)
{
    quic_side *side = user;
    (void) remote;
    side->counted -= was_counted ? 1U : 0U;
    CHECK(side->arrived < QUIC_SIDE_CONNS_MAX);
    side->conns[side->arrived] = conn;
    side->arrived++;
    pg_waitq_wake_all(&side->arrivals);
}

static void on_failed(const pg_endpoint *remote, bool was_counted, pg_err err, void *user)
{
    quic_side *side = user;
    (void) remote;
    side->counted -= was_counted ? 1U : 0U;
    side->failed++;
    side->failure = err;
    pg_waitq_wake_all(&side->arrivals);
}

void quic_side_open(quic_side *side, uint8_t seed, const pg_endpoint *at,
                    const quic_side_options *options)
{
    static const quic_side_options usual;
    options = options != NULL ? options : &usual;
    memset(side, 0, sizeof(*side));
    pg_key key = {{seed}};
    CHECK_OK(pg_identity_init(&side->identity, &key));
    memset(side->reset_key.bytes, seed, sizeof(side->reset_key.bytes));
    side->memory.max_bytes = PG_NET_MEMORY_BYTES_MAX;
    pg_waitq_init(&side->arrivals);
    CHECK_OK(pg_quic_tls_new(&side->identity, options->groups, &side->tls));
    pg_quic_config config = {
        .tls = side->tls,
        .reset_key = &side->reset_key,
        .limits = pg_conn_limits_default(&side->memory),
        .pending_max = options->pending_max != 0 ? options->pending_max : 128,
        .handshake_timeout_ns =
            options->handshake_timeout_ns != 0 ? options->handshake_timeout_ns : PG_SECONDS(10),
        .hooks = {on_initial, options->dials_only ? NULL : on_conn, on_failed, side},
    };
    if (options->streams_in_max != 0) {
        config.limits.streams_in_max = options->streams_in_max;
    }
    if (options->window_max_bytes != 0) {
        config.limits.window_max_bytes = options->window_max_bytes;
    }
    CHECK_OK(pg_quic_endpoint_new(&config, at, &side->endpoint));
}

pg_err quic_side_accept(quic_side *side, pg_time deadline, pg_conn **out_conn)
{
    uint32_t failed = side->failed;
    while (side->taken == side->arrived) {
        if (side->failed != failed) {
            return side->failure;
        }
        PG_TRY(pg_waitq_wait(&side->arrivals, deadline));
    }
    *out_conn = side->conns[side->taken];
    side->taken++;
    return PG_OK;
}

pg_err quic_side_dial(quic_side *from, const quic_side *to, pg_conn **out_conn)
{
    pg_quic_dial_request request = {.remote = pg_quic_endpoint_addr(to->endpoint),
                                    .expected_id = &to->identity.peer_id};
    return pg_quic_dial(from->endpoint, &request, pg_after(PG_SECONDS(30)), out_conn);
}

pg_err quic_test_on_machine(void *arg)
{
    pg_endpoint v4 = {.family = PG_IP_FAMILY_V4, .ip = {127, 0, 0, 1}};
    pg_fiber_fn body = *(pg_fiber_fn *) arg;
    pg_sim_machine *machine = NULL;
    CHECK_OK(pg_sim_machine_new(&machine));
    CHECK_OK(pg_sim_machine_start(machine, "test.body", body, &v4));
    return pg_sim_machine_join(machine, pg_after(PG_HOURS(1)));
}

void quic_test_vanish(pg_quic_endpoint *endpoint)
{
    while (!pg_list_is_empty(&endpoint->conns)) {
        pg_quic_conn_end(PG_LIST_OBJECT(endpoint->conns.next, pg_quic_conn, node), PG_OK, NULL);
    }
}

void quic_side_close(quic_side *side)
{
    for (; side->taken < side->arrived; side->taken++) {
        pg_conn_free(&side->conns[side->taken]);
    }
    pg_quic_endpoint_free(&side->endpoint);
    pg_quic_tls_free(&side->tls);
    pg_identity_deinit(&side->identity);
    CHECK(side->memory.used_bytes == 0);
    CHECK(side->counted == 0);
}

static pg_err echo_stream(void *arg)
{
    pg_stream *stream = arg;
    uint8_t *space = pg_malloc(ECHO_BYTES);
    CHECK(space != NULL);
    size_t len = 1;
    pg_err err = PG_OK;
    while (err == PG_OK && len > 0) {
        err = pg_stream_read(stream, (pg_mut_bytes){space, ECHO_BYTES}, PG_FOREVER, &len);
        if (err == PG_OK && len > 0) {
            err = pg_stream_write(stream, pg_bytes_make(space, len), PG_FOREVER);
        }
    }
    if (err == PG_OK) {
        err = pg_stream_close_write(stream, PG_FOREVER);
    }
    pg_stream_free(&stream);
    pg_mfree(space);
    return err;
}

pg_err quic_echo_run(void *arg)
{
    pg_conn *conn = arg;
    pg_scope scope;
    pg_scope_init_tolerant(&scope);
    for (;;) {
        pg_stream *stream = NULL;
        if (pg_conn_accept_stream(conn, PG_FOREVER, &stream) != PG_OK) {
            break;
        }
        CHECK_OK(pg_scope_spawn(&scope, "test.echo", echo_stream, stream));
    }
    pg_scope_close(&scope);
    return PG_OK;
}

typedef struct sender {
    pg_stream *stream;
    uint32_t seed;
    uint64_t total;
} sender;

static pg_err send_run(void *arg)
{
    sender *self = arg;
    net_test_send(self->stream, self->seed, self->total);
    return pg_stream_close_write(self->stream, PG_FOREVER);
}

void quic_echo_check(pg_conn *conn, uint32_t seed, uint64_t total)
{
    sender self = {.seed = seed, .total = total};
    pg_scope scope;
    pg_scope_init(&scope);
    CHECK_OK(pg_conn_open_stream(conn, PG_FOREVER, &self.stream));
    CHECK_OK(pg_scope_spawn(&scope, "test.send", send_run, &self));
    net_test_receive(self.stream, seed, total);
    CHECK_OK(pg_scope_join(&scope));
    pg_stream_free(&self.stream);
}
