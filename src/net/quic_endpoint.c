// SPDX-License-Identifier: Apache-2.0
#include "net/quic_endpoint.h"

#include "base/mem.h"
#include "net/quic_priv.h"
#include "runtime/random.h"

#define STUCK_NS PG_MS(1)     // an expiry that has passed and that nothing came of: look again then
#define GOODBYE_NS PG_MS(100) // for the last packets of a socket to leave

// ---- The sender

void pg_quic_ready(pg_quic_conn *conn)
{
    pg_quic_endpoint *endpoint = conn->endpoint;
    if (endpoint != NULL && !pg_list_is_linked(&conn->ready_node)) {
        pg_list_append(&endpoint->ready, &conn->ready_node);
        (void) pg_waitq_wake_one(&endpoint->sender);
    }
}

static void tombs_sweep(pg_quic_endpoint *endpoint, pg_time now)
{
    while (!pg_list_is_empty(&endpoint->tombs)) {
        pg_quic_tomb *oldest = PG_LIST_OBJECT(endpoint->tombs.next, pg_quic_tomb, node);
        if (oldest->until > now) {
            return;
        }
        pg_quic_tomb_free(endpoint, oldest);
    }
}

static pg_err tombs_send(pg_quic_endpoint *endpoint, pg_time deadline)
{
    for (pg_list *node = pg_list_pop(&endpoint->tombs_due); node != NULL;
         node = pg_list_pop(&endpoint->tombs_due)) {
        const pg_quic_tomb *tomb = PG_LIST_OBJECT(node, pg_quic_tomb, due_node);
        size_t len = pg_min_size(tomb->packet_len, PG_QUIC_RUN_BYTES);
        pg_udp_msg msg = {.peer = tomb->remote, .local = tomb->local};
        memcpy(endpoint->out, tomb->packet, len); // the tomb may be gone before it is sent
        msg.data = pg_bytes_make(endpoint->out, len);
        pg_err err = pg_udp_send(endpoint->udp, &msg, deadline);
        if (err == PG_ERR_CANCELLED) {
            return err;
        }
        endpoint->stats.datagrams_out++;
        endpoint->stats.runs_out++;
    }
    return PG_OK;
}

static void due_collect(pg_quic_endpoint *endpoint, pg_time now)
{
    while (endpoint->heap_len > 0 && endpoint->heap[0]->expiry <= now) {
        pg_quic_conn *conn = endpoint->heap[0];
        pg_quic_heap_remove(endpoint, conn);
        pg_quic_ready(conn);
    }
}

static pg_err run_send(pg_quic_endpoint *endpoint, pg_quic_conn *conn, const pg_quic_run *run)
{
    const pg_udp_msg msg = {
        .peer = run->remote,
        .local = run->local,
        .data = pg_bytes_make(endpoint->out, run->len),
        .segment_bytes = run->len > run->segment_len ? (uint16_t) run->segment_len : 0,
        .ecn = run->ecn,
    };
    endpoint->sending = conn;
    pg_err err = pg_udp_send(endpoint->udp, &msg, PG_FOREVER);
    pg_quic_conn *left = endpoint->sending;
    endpoint->sending = NULL;
    if (err == PG_ERR_CANCELLED) {
        return err;
    }
    endpoint->stats.runs_out++;
    endpoint->stats.datagrams_out += (run->len + run->segment_len - 1) / run->segment_len;
    // Other failures are as good as losses, but for one who dials: there is no way to there.
    if (err == PG_ERR_UNREACHABLE && left != NULL && left->is_client &&
        left->state == PG_QUIC_STATE_HANDSHAKING) {
        pg_quic_conn_end(left, err, NULL);
    }
    return pg_fiber_yield(); // whoever wrote may write more before the next run
}

static pg_err conn_serve(pg_quic_endpoint *endpoint, pg_quic_conn *conn)
{
    pg_quic_run run;
    pg_time now = pg_now();
    if (!pg_quic_conn_write(conn, now, &run)) {
        return PG_OK;
    }
    if (run.len > 0) {
        pg_quic_ready(conn); // there may be more
        return run_send(endpoint, conn, &run);
    }
    if (conn->expiry <= now) {
        conn->expiry = now + STUCK_NS;
    }
    pg_quic_heap_set(endpoint, conn);
    return PG_OK;
}

pg_err pg_quic_send_run(void *arg)
{
    pg_quic_endpoint *endpoint = arg;
    for (;;) {
        pg_time now = pg_now();
        tombs_sweep(endpoint, now);
        PG_TRY(tombs_send(endpoint, PG_FOREVER));
        due_collect(endpoint, now);
        pg_list *node = pg_list_pop(&endpoint->ready);
        if (node != NULL) {
            PG_TRY(conn_serve(endpoint, PG_LIST_OBJECT(node, pg_quic_conn, ready_node)));
            continue;
        }
        pg_time until = endpoint->heap_len > 0 ? endpoint->heap[0]->expiry : PG_FOREVER;
        if (!pg_list_is_empty(&endpoint->tombs)) {
            pg_quic_tomb *oldest = PG_LIST_OBJECT(endpoint->tombs.next, pg_quic_tomb, node);
            until = pg_earlier(until, oldest->until);
        }
        pg_err err = pg_waitq_wait(&endpoint->sender, until);
        if (err != PG_OK && err != PG_ERR_TIMEOUT) {
            return err;
        }
    }
}

// ---- Dialing

static pg_err dial_wait(pg_quic_conn *conn, pg_time deadline)
{
    while (conn->state == PG_QUIC_STATE_HANDSHAKING) {
        pg_err err = pg_waitq_wait(&conn->settled, deadline);
        if (err == PG_ERR_TIMEOUT) {
            return pg_fail(PG_ERR_TIMEOUT, "no answer");
        }
        PG_TRY(err);
    }
    return conn->state == PG_QUIC_STATE_ENDED ? pg_quic_conn_fail_ended(conn) : PG_OK;
}

pg_err pg_quic_dial(pg_quic_endpoint *endpoint, const pg_quic_dial_request *request,
                    pg_time deadline, pg_conn **out_conn)
{
    const pg_quic_tls_wish wish = {.is_client = true,
                                   .hybrid_only = request->hybrid_only,
                                   .expected_id = request->expected_id};
    pg_quic_path path;
    pg_quic_conn *conn = NULL;
    if (endpoint->is_stopped) {
        return pg_fail(PG_ERR_CLOSED, "this node is stopping");
    }
    pg_quic_path_set(&path, &endpoint->addr, &request->remote);
    PG_TRY(pg_quic_conn_new(endpoint, &path, &wish, NULL, NULL, &conn));
    pg_quic_ready(conn);
    pg_err err = dial_wait(conn, deadline);
    pg_conn *base = &conn->base;
    if (err != PG_OK) {
        pg_conn_free(&base);
        return err;
    }
    *out_conn = base;
    return PG_OK;
}

// ---- Life

pg_err pg_quic_endpoint_new(const pg_quic_config *config, const pg_endpoint *at,
                            pg_quic_endpoint **out_endpoint)
{
    pg_quic_endpoint *endpoint = PG_NEW(pg_quic_endpoint);
    if (endpoint == NULL) {
        return pg_fail(PG_ERR_NOMEM, "no memory for a QUIC socket");
    }
    endpoint->config = *config;
    pg_scope_init_tolerant(&endpoint->scope);
    pg_list_init(&endpoint->conns);
    pg_list_init(&endpoint->pending);
    pg_list_init(&endpoint->tombs);
    pg_list_init(&endpoint->ready);
    pg_list_init(&endpoint->tombs_due);
    pg_waitq_init(&endpoint->sender);
    pg_key_random(&endpoint->token_key);
    endpoint->out = pg_malloc(PG_QUIC_RUN_BYTES);
    endpoint->msgs = pg_calloc(PG_UDP_BATCH_MAX, sizeof(*endpoint->msgs));
    pg_err err = endpoint->out == NULL || endpoint->msgs == NULL
                     ? pg_fail(PG_ERR_NOMEM, "no memory for a QUIC socket")
                     : pg_udp_bind(at, &endpoint->udp);
    if (err == PG_OK) {
        endpoint->addr = pg_udp_endpoint(endpoint->udp);
        err = pg_scope_spawn(&endpoint->scope, "net.quic.recv", pg_quic_recv_run, endpoint);
    }
    if (err == PG_OK) {
        err = pg_scope_spawn(&endpoint->scope, "net.quic.send", pg_quic_send_run, endpoint);
    }
    if (err != PG_OK) {
        pg_quic_endpoint_free(&endpoint);
        return err;
    }
    *out_endpoint = endpoint;
    return PG_OK;
}

pg_endpoint pg_quic_endpoint_addr(const pg_quic_endpoint *endpoint)
{
    return endpoint->addr;
}

void pg_quic_endpoint_set_limits(pg_quic_endpoint *endpoint, uint32_t pending_max,
                                 int64_t handshake_timeout_ns)
{
    endpoint->config.pending_max = pending_max;
    endpoint->config.handshake_timeout_ns = handshake_timeout_ns;
}

pg_quic_stats pg_quic_endpoint_get_stats(const pg_quic_endpoint *endpoint)
{
    return endpoint->stats;
}

void pg_quic_endpoint_stop(pg_quic_endpoint *endpoint)
{
    endpoint->is_stopped = true;
}

static void conns_end(pg_quic_endpoint *endpoint)
{
    while (!pg_list_is_empty(&endpoint->conns)) {
        pg_quic_conn *conn = PG_LIST_OBJECT(endpoint->conns.next, pg_quic_conn, node);
        pg_quic_conn_cut(conn, pg_fail(PG_ERR_CLOSED, "this node is stopping"),
                         PG_QUIC_CODE_SHUTDOWN);
    }
}

void pg_quic_endpoint_free(pg_quic_endpoint **endpoint)
{
    pg_quic_endpoint *dead = *endpoint;
    if (dead == NULL) {
        return;
    }
    pg_fiber_shield(true);
    dead->is_stopped = true;
    pg_scope_close(&dead->scope);
    conns_end(dead);
    if (dead->udp != NULL) {
        pg_ignore(tombs_send(dead, pg_after(GOODBYE_NS)), "who does not hear it notices later");
    }
    while (!pg_list_is_empty(&dead->tombs)) {
        pg_quic_tomb_free(dead, PG_LIST_OBJECT(dead->tombs.next, pg_quic_tomb, node));
    }
    pg_udp_free(&dead->udp);
    pg_map_deinit(&dead->routes);
    pg_map_deinit(&dead->resets);
    pg_key_wipe(&dead->token_key);
    pg_mfree(dead->heap);
    pg_mfree(dead->out);
    pg_mfree(dead->msgs);
    pg_mfree(dead);
    pg_fiber_shield(false);
    *endpoint = NULL;
}
