// SPDX-License-Identifier: Apache-2.0
// Life of a QUIC connection, and what pg_conn asks of it.
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "codec/multiaddr.h"
#include "net/quic_priv.h"
#include "runtime/random.h"

#define FAREWELL_BYTES 1280
#define FLUSH_LOOK_NS PG_MS(10) // how often a closing connection looks whether all is acknowledged

pg_quic_conn *pg_quic_conn_of(pg_conn *base)
{
    return PG_LIST_OBJECT(base, pg_quic_conn, base);
}

// ---- What ngtcp2 may hold

// The library pools what it frees, so what it was allowed once it may keep: a transfer that has ended leaves its pools behind.
static size_t state_max(pg_quic_conn *conn)
{
    size_t now_max = PG_NET_QUIC_STATE_BYTES_MAX + (size_t) conn->window.bytes +
                     conn->send_budget.used_bytes / 2 +
                     (size_t) PG_NET_QUIC_STREAM_BYTES_MAX * (conn->streams_in + conn->streams_out);
    conn->state_max_bytes = pg_max_size(conn->state_max_bytes, now_max);
    return conn->state_max_bytes;
}

static void *state_note(pg_quic_conn *conn, void *memory)
{
    conn->state_bytes += pg_mem_size(memory);
    return memory;
}

static bool state_has_room(pg_quic_conn *conn, size_t size)
{
    size_t max = state_max(conn);
    return size <= max && conn->state_bytes <= max - size;
}

static void *on_malloc(size_t size, void *user)
{
    pg_quic_conn *conn = user;
    return state_has_room(conn, size) ? state_note(conn, pg_malloc(size)) : NULL;
}

static void *on_calloc(size_t count, size_t size, void *user)
{
    pg_quic_conn *conn = user;
    size_t product = 0;
    if (!pg_mul_size(count, size, &product) || !state_has_room(conn, product)) {
        return NULL;
    }
    return state_note(conn, pg_calloc(count, size));
}

static void on_free(void *memory, void *user)
{
    pg_quic_conn *conn = user;
    conn->state_bytes -= pg_mem_size(memory);
    pg_mfree(memory);
}

static void *on_realloc(void *memory, size_t size, void *user)
{
    pg_quic_conn *conn = user;
    size_t before = pg_mem_size(memory);
    void *grown = state_has_room(conn, size) ? pg_realloc(memory, size) : NULL;
    if (grown != NULL) {
        conn->state_bytes -= before;
        (void) state_note(conn, grown);
    }
    return grown;
}

// ---- The end

// Let ngtcp2 go, and with it the handshake, which it uses.
static void engine_free(pg_quic_conn *conn)
{
    if (conn->ngtcp2 != NULL) {
        ngtcp2_conn_del(conn->ngtcp2);
        conn->ngtcp2 = NULL;
    }
    pg_quic_handshake_free(&conn->handshake);
}

static void conn_free(pg_quic_conn *conn)
{
    engine_free(conn);
    for (pg_list *node = conn->streams.next; node != &conn->streams; node = conn->streams.next) {
        pg_quic_stream_orphan(PG_LIST_OBJECT(node, pg_quic_stream, node));
    }
    pg_budget_give(&conn->recv_budget, conn->recv_budget.used_bytes); // for the grown window
    pg_assert(conn->send_budget.used_bytes == 0 && conn->state_bytes == 0);
    pg_quic_datagrams_free(&conn->datagrams);
    pg_buf_deinit(&conn->texts);
    pg_mfree(conn->end_detail);
    pg_key_wipe(&conn->secret);
    pg_mfree(conn);
}

static void waiters_wake(pg_quic_conn *conn)
{
    pg_waitq_wake_all(&conn->acceptors);
    pg_waitq_wake_all(&conn->openers);
    pg_waitq_wake_all(&conn->settled);
    pg_quic_datagrams_wake(conn);
}

static void streams_end(pg_quic_conn *conn)
{
    pg_list *next = NULL;
    for (pg_list *node = conn->streams.next; node != &conn->streams; node = next) {
        next = node->next;
        pg_quic_stream_on_end(PG_LIST_OBJECT(node, pg_quic_stream, node));
    }
}

static pg_bytes farewell_write(pg_quic_conn *conn, const ngtcp2_ccerr *farewell, pg_mut_bytes space)
{
    if (farewell == NULL) {
        return PG_BYTES_EMPTY;
    }
    ngtcp2_pkt_info info = {0};
    ngtcp2_path_storage storage;
    ngtcp2_path_storage_zero(&storage);
    ngtcp2_ssize len =
        ngtcp2_conn_write_connection_close(conn->ngtcp2, &storage.path, &info, space.ptr, space.len,
                                           farewell, (ngtcp2_tstamp) pg_now());
    return len > 0 ? pg_bytes_make(space.ptr, (size_t) len) : PG_BYTES_EMPTY;
}

void pg_quic_conn_end(pg_quic_conn *conn, pg_err err, const ngtcp2_ccerr *farewell)
{
    uint8_t packet[FAREWELL_BYTES];
    if (conn->state == PG_QUIC_STATE_ENDED) {
        return;
    }
    bool is_endpoints = pg_list_is_linked(&conn->pending_node);
    const pg_quic_hooks *hooks = &conn->endpoint->config.hooks;
    conn->state = PG_QUIC_STATE_ENDED;
    conn->end_err = err;
    if (err != PG_OK) {
        conn->end_detail = pg_str_dup(pg_str_make(pg_error_detail(err)));
    }
    if (err == PG_OK && farewell == NULL) {
        pg_quic_unlink(conn); // it never was: the same first packet begins anew
    } else {
        pg_quic_bury(conn, farewell_write(conn, farewell, PG_MUT_BYTES_OF(packet)));
    }
    engine_free(conn);
    conn->endpoint = NULL;
    streams_end(conn);
    waiters_wake(conn);
    if (is_endpoints) {
        if (conn->was_counted || err != PG_OK) {
            hooks->on_failed(&conn->remote, conn->was_counted, err, hooks->user);
        }
        conn_free(conn);
    }
}

void pg_quic_conn_cut(pg_quic_conn *conn, pg_err err, uint64_t code)
{
    ngtcp2_ccerr farewell;
    ngtcp2_ccerr_default(&farewell);
    ngtcp2_ccerr_set_application_error(&farewell, code, NULL, 0);
    pg_quic_conn_end(conn, err, &farewell);
}

pg_err pg_quic_conn_fail_ended(const pg_quic_conn *conn)
{
    if (conn->state != PG_QUIC_STATE_ENDED) {
        return pg_fail(PG_ERR_CLOSED, "the connection is being closed");
    }
    if (conn->end_err == PG_OK) {
        return pg_fail(PG_ERR_CLOSED, "the connection was closed");
    }
    return pg_fail(conn->end_err, "%s",
                   conn->end_detail != NULL ? conn->end_detail : pg_err_text(conn->end_err));
}

// ---- Streams

static pg_err open_now(pg_quic_conn *conn, pg_stream **out_stream)
{
    int64_t id = 0;
    pg_quic_stream *stream = NULL;
    if (ngtcp2_conn_open_bidi_stream(conn->ngtcp2, &id, NULL) != 0) {
        return pg_fail(PG_ERR_NOMEM, "no memory for a stream");
    }
    pg_err err = pg_quic_stream_new(conn, id, &stream);
    if (err != PG_OK) {
        pg_quic_conn_note(conn,
                          ngtcp2_conn_shutdown_stream(conn->ngtcp2, 0, id, PG_QUIC_CODE_NONE));
        return err;
    }
    pg_ignore(ngtcp2_conn_set_stream_user_data(conn->ngtcp2, id, stream) != 0, "it is there");
    *out_stream = &stream->base;
    return PG_OK;
}

static pg_err on_conn_open_stream(pg_conn *base, pg_time deadline, pg_stream **out_stream)
{
    pg_quic_conn *conn = pg_quic_conn_of(base);
    while (conn->state == PG_QUIC_STATE_OPEN) {
        if (conn->streams_out < conn->limits.streams_out_max &&
            ngtcp2_conn_get_streams_bidi_left2(conn->ngtcp2) > 0) {
            return open_now(conn, out_stream);
        }
        PG_TRY(pg_waitq_wait(&conn->openers, deadline));
    }
    return pg_quic_conn_fail_ended(conn);
}

static pg_err on_conn_accept_stream(pg_conn *base, pg_time deadline, pg_stream **out_stream)
{
    pg_quic_conn *conn = pg_quic_conn_of(base);
    while (conn->state != PG_QUIC_STATE_ENDED) {
        pg_list *node = pg_list_pop(&conn->accept_queue);
        if (node != NULL) {
            *out_stream = &PG_LIST_OBJECT(node, pg_quic_stream, accept_node)->base;
            return PG_OK;
        }
        PG_TRY(pg_waitq_wait(&conn->acceptors, deadline));
    }
    return pg_quic_conn_fail_ended(conn);
}

// ---- The rest of pg_conn

int64_t pg_quic_conn_rtt_ns(const pg_quic_conn *conn)
{
    ngtcp2_conn_info info;
    ngtcp2_conn_get_conn_info2(conn->ngtcp2, &info);
    return info.min_rtt == UINT64_MAX ? 0 : (int64_t) info.smoothed_rtt;
}

static void on_conn_info(const pg_conn *base, pg_conn_info *out_info)
{
    const pg_quic_conn *conn = (const pg_quic_conn *) base;
    *out_info = conn->info;
    out_info->streams_in = conn->streams_in;
    out_info->streams_out = conn->streams_out;
    out_info->memory_bytes = conn->recv_budget.used_bytes + conn->send_budget.used_bytes;
    if (conn->ngtcp2 != NULL) {
        ngtcp2_conn_info info;
        ngtcp2_conn_get_conn_info2(conn->ngtcp2, &info);
        out_info->rtt_ns = info.min_rtt == UINT64_MAX ? 0 : (int64_t) info.smoothed_rtt;
        out_info->bytes_in = info.bytes_recv;
        out_info->bytes_out = info.bytes_sent;
    }
}

static bool is_flushed(const pg_quic_conn *conn)
{
    ngtcp2_conn_info info;
    ngtcp2_conn_get_conn_info2(conn->ngtcp2, &info);
    return pg_list_is_empty(&conn->send_queue) && pg_list_is_empty(&conn->starved) &&
           conn->send_budget.used_bytes == 0 && info.bytes_in_flight == 0;
}

static pg_err on_conn_close(pg_conn *base, pg_time deadline)
{
    pg_quic_conn *conn = pg_quic_conn_of(base);
    pg_err err = PG_OK;
    if (conn->state == PG_QUIC_STATE_OPEN) {
        conn->state = PG_QUIC_STATE_CLOSING;
        pg_waitq_wake_all(&conn->openers);
    }
    while (err == PG_OK && conn->state == PG_QUIC_STATE_CLOSING && !is_flushed(conn)) {
        err = pg_waitq_wait(&conn->settled, pg_earlier(deadline, pg_after(FLUSH_LOOK_NS)));
        err = err == PG_ERR_TIMEOUT && pg_now() < deadline ? PG_OK : err;
    }
    if (conn->state == PG_QUIC_STATE_ENDED) {
        return conn->end_err == PG_OK ? PG_OK : pg_quic_conn_fail_ended(conn);
    }
    pg_quic_conn_cut(conn, PG_OK, PG_QUIC_CODE_SHUTDOWN);
    return err;
}

static void on_conn_abort(pg_conn *base)
{
    pg_quic_conn_cut(pg_quic_conn_of(base), PG_OK, PG_QUIC_CODE_NONE);
}

static void on_conn_free(pg_conn *base)
{
    on_conn_abort(base);
    conn_free(pg_quic_conn_of(base));
}

static const pg_conn_ops conn_ops = {
    .open_stream = on_conn_open_stream,
    .accept_stream = on_conn_accept_stream,
    .info = on_conn_info,
    .send_datagram = pg_quic_datagram_send,
    .recv_datagram = pg_quic_datagram_recv,
    .close = on_conn_close,
    .abort = on_conn_abort,
    .free = on_conn_free,
};

const pg_key *pg_quic_conn_secret(const pg_conn *conn)
{
    pg_assert(conn->ops == &conn_ops);
    return &((const pg_quic_conn *) conn)->secret;
}

void pg_quic_conn_refuse(pg_conn **base, pg_err err)
{
    pg_assert((*base)->ops == &conn_ops);
    uint64_t code = PG_QUIC_CODE_GATED;
    if (err == PG_ERR_LIMIT) {
        code = PG_QUIC_CODE_LIMIT;
    } else if (err == PG_ERR_CLOSED) {
        code = PG_QUIC_CODE_SHUTDOWN;
    }
    pg_quic_conn_cut(pg_quic_conn_of(*base), err, code);
    pg_conn_free(base);
}

// ---- Beginning

static void conn_init(pg_quic_conn *conn, pg_quic_endpoint *endpoint, const pg_quic_path *path)
{
    conn->base.ops = &conn_ops;
    conn->endpoint = endpoint;
    conn->limits = endpoint->config.limits;
    conn->mem = (ngtcp2_mem){conn, on_malloc, on_free, on_calloc, on_realloc};
    conn->recv_budget = pg_budget_make(&conn->limits, 0); // the first window is granted anyway
    conn->send_budget = pg_budget_make(&conn->limits, PG_NET_QUIC_SEND_BYTES_FREE);
    conn->window = pg_quic_window_make(PG_NET_QUIC_WINDOW_BYTES_MIN, pg_now());
    conn->heap_index = PG_QUIC_NO_HEAP;
    conn->expiry = PG_FOREVER;
    conn->local = pg_quic_path_endpoint(&path->path.local);
    conn->remote = pg_quic_path_endpoint(&path->path.remote);
    pg_list_init(&conn->routes);
    pg_list_init(&conn->streams);
    pg_list_init(&conn->accept_queue);
    pg_list_init(&conn->send_queue);
    pg_list_init(&conn->starved);
    pg_waitq_init(&conn->acceptors);
    pg_waitq_init(&conn->openers);
    pg_waitq_init(&conn->settled);
}

static ngtcp2_transport_params params_make(const pg_quic_conn *conn)
{
    ngtcp2_transport_params params;
    ngtcp2_transport_params_default(&params);
    params.initial_max_streams_bidi = conn->limits.streams_in_max;
    params.initial_max_data = conn->window.bytes;
    params.initial_max_stream_data_bidi_local = PG_NET_WINDOW_BYTES_MIN;
    params.initial_max_stream_data_bidi_remote = PG_NET_WINDOW_BYTES_MIN;
    params.max_idle_timeout = (ngtcp2_duration) PG_MS(PG_NET_QUIC_IDLE_MS);
    params.active_connection_id_limit = PG_NET_QUIC_CIDS_MAX;
    params.max_datagram_frame_size = UINT16_MAX;
    return params;
}

// Lengths of datagrams to try on a path, beyond the 1,200 that any carries: Ethernet; jumbo frames and the loopback, where
// the packet is as large as the library decrypts in a buffer of 4 KiB: head and connection id come to ten bytes; tunnels.
#define PACKET_BYTES_MAX (4096 + 2 + PG_NET_QUIC_CID_BYTES)
static const uint16_t mtu_probes[] = {1452, PACKET_BYTES_MAX, 1406, 1342};

static ngtcp2_settings settings_make(const pg_quic_conn *conn)
{
    ngtcp2_settings settings;
    ngtcp2_settings_default(&settings);
    settings.initial_ts = (ngtcp2_tstamp) pg_now();
    settings.max_tx_udp_payload_size = PACKET_BYTES_MAX;
    settings.pmtud_probes = mtu_probes;
    settings.pmtud_probeslen = PG_ARRAY_LEN(mtu_probes);
    settings.handshake_timeout = (ngtcp2_duration) conn->endpoint->config.handshake_timeout_ns;
    return settings;
}

static ngtcp2_cid cid_random(size_t len)
{
    uint8_t bytes[NGTCP2_MAX_CIDLEN];
    ngtcp2_cid cid;
    pg_random_bytes(pg_mut_bytes_make(bytes, len));
    ngtcp2_cid_init(&cid, bytes, len);
    return cid;
}

static pg_err client_make(pg_quic_conn *conn, const pg_quic_path *path)
{
    const ngtcp2_settings settings = settings_make(conn);
    const ngtcp2_transport_params params = params_make(conn);
    const ngtcp2_cid ours = cid_random(PG_NET_QUIC_CID_BYTES);
    const ngtcp2_cid theirs = cid_random(NGTCP2_MAX_CIDLEN); // until they tell theirs
    PG_TRY(pg_quic_route_add(conn, ours.data, ours.datalen));
    return ngtcp2_conn_client_new(&conn->ngtcp2, &theirs, &ours, &path->path, NGTCP2_PROTO_VER_V1,
                                  &pg_quic_callbacks, &settings, &params, &conn->mem, conn) == 0
               ? PG_OK
               : pg_fail(PG_ERR_NOMEM, "no memory for a connection");
}

static pg_err server_make(pg_quic_conn *conn, const pg_quic_path *path, const ngtcp2_pkt_hd *hd,
                          const ngtcp2_cid *retried)
{
    ngtcp2_settings settings = settings_make(conn);
    ngtcp2_transport_params params = params_make(conn);
    const ngtcp2_cid ours = cid_random(PG_NET_QUIC_CID_BYTES);
    ngtcp2_stateless_reset_token token;
    params.original_dcid = retried != NULL ? *retried : hd->dcid;
    params.original_dcid_present = 1;
    if (retried != NULL) {
        params.retry_scid = hd->dcid;
        params.retry_scid_present = 1;
        settings.token = hd->token;
        settings.tokenlen = hd->tokenlen;
        settings.token_type = NGTCP2_TOKEN_TYPE_RETRY;
    }
    pg_quic_reset_token(conn->endpoint, &ours, &token);
    memcpy(params.stateless_reset_token, token.data, sizeof(token.data));
    params.stateless_reset_token_present = 1;
    PG_TRY(pg_quic_route_add(conn, ours.data, ours.datalen));
    // A client hello with ML-KEM takes two packets: the second has the client's own id too.
    PG_TRY(pg_quic_route_add(conn, hd->dcid.data, hd->dcid.datalen));
    return ngtcp2_conn_server_new(&conn->ngtcp2, &hd->scid, &ours, &path->path, hd->version,
                                  &pg_quic_callbacks, &settings, &params, &conn->mem, conn) == 0
               ? PG_OK
               : pg_fail(PG_ERR_NOMEM, "no memory for a connection");
}

pg_err pg_quic_conn_new(pg_quic_endpoint *endpoint, const pg_quic_path *path,
                        const pg_quic_tls_wish *wish, const ngtcp2_pkt_hd *hd,
                        const ngtcp2_cid *retried, pg_quic_conn **out_conn)
{
    pg_quic_conn *conn = PG_NEW(pg_quic_conn);
    if (conn == NULL) {
        return pg_fail(PG_ERR_NOMEM, "no memory for a connection");
    }
    conn_init(conn, endpoint, path);
    conn->is_client = wish->is_client;
    pg_list_append(&endpoint->conns, &conn->node);
    endpoint->stats.connections++;
    pg_err err = pg_quic_heap_reserve(endpoint);
    if (err == PG_OK) {
        err = pg_quic_handshake_new(endpoint->config.tls, wish, &conn->ngtcp2, &conn->handshake);
    }
    if (err == PG_OK) {
        err = hd == NULL ? client_make(conn, path) : server_make(conn, path, hd, retried);
    }
    if (err != PG_OK) {
        pg_quic_unlink(conn);
        conn_free(conn);
        return err;
    }
    pg_quic_handshake_attach(conn->handshake, conn->ngtcp2);
    *out_conn = conn;
    return PG_OK;
}
