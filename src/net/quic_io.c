// SPDX-License-Identifier: Apache-2.0
// Between a QUIC connection and ngtcp2: the callbacks, the datagrams that come, those that are to go.
#include <string.h>

#include <ngtcp2/ngtcp2_crypto.h>

#include "base/log.h"
#include "base/mem.h"
#include "codec/multiaddr.h"
#include "net/quic_priv.h"
#include "runtime/random.h"

#define KEEPALIVE_SHARE 3 // of the peer's idle time

// ---- Callbacks: streams

static int on_stream_open(ngtcp2_conn *ngtcp2, int64_t id, void *user)
{
    pg_quic_conn *conn = user;
    pg_quic_stream *stream = NULL;
    // A peer may open streams in the packet that completes the handshake.
    if (conn->state > PG_QUIC_STATE_OPEN || pg_quic_stream_new(conn, id, &stream) != PG_OK) {
        return ngtcp2_conn_shutdown_stream(ngtcp2, 0, id, PG_QUIC_CODE_LIMIT) == 0
                   ? 0
                   : NGTCP2_ERR_CALLBACK_FAILURE;
    }
    pg_list_append(&conn->accept_queue, &stream->accept_node);
    pg_waitq_wake_one(&conn->acceptors);
    return ngtcp2_conn_set_stream_user_data(ngtcp2, id, stream) == 0 ? 0
                                                                     : NGTCP2_ERR_CALLBACK_FAILURE;
}

// NOLINTNEXTLINE(readability-function-size): the library says what the parameters are
static int on_stream_data(ngtcp2_conn *ngtcp2, uint32_t flags, int64_t id, uint64_t offset,
                          const uint8_t *data, size_t len, void *user, void *stream)
{
    (void) ngtcp2;
    (void) id;
    (void) offset;
    if (stream == NULL) {
        pg_quic_conn_credit(user, len);
    } else {
        pg_quic_stream_on_data(stream, pg_bytes_make(data, len),
                               (flags & NGTCP2_STREAM_DATA_FLAG_FIN) != 0);
    }
    return 0;
}

static int on_stream_acked(ngtcp2_conn *ngtcp2, int64_t id, uint64_t offset, uint64_t len,
                           void *user, void *stream)
{
    (void) ngtcp2;
    (void) id;
    (void) user;
    if (stream != NULL) {
        pg_quic_stream_on_acked(stream, offset + len);
    }
    return 0;
}

static int on_stream_close(ngtcp2_conn *ngtcp2, uint32_t flags, int64_t id, uint64_t code,
                           void *user, void *stream)
{
    (void) flags;
    (void) code;
    (void) user;
    if (stream != NULL) {
        pg_quic_stream_on_close(stream);
    } else if (!ngtcp2_conn_is_local_stream2(ngtcp2, id)) {
        ngtcp2_conn_extend_max_streams_bidi(ngtcp2, 1);
    }
    return 0;
}

static int on_stream_reset(ngtcp2_conn *ngtcp2, int64_t id, uint64_t final_size, uint64_t code,
                           void *user, void *stream)
{
    (void) ngtcp2;
    (void) id;
    (void) final_size;
    (void) code;
    (void) user;
    if (stream != NULL) {
        pg_quic_stream_on_reset(stream);
    }
    return 0;
}

static int on_stop_sending(ngtcp2_conn *ngtcp2, int64_t id, uint64_t code, void *user, void *stream)
{
    (void) ngtcp2;
    (void) id;
    (void) code;
    (void) user;
    if (stream != NULL) {
        pg_quic_stream_on_stop(stream);
    }
    return 0;
}

static int on_more_stream_data(ngtcp2_conn *ngtcp2, int64_t id, uint64_t max, void *user,
                               void *stream)
{
    (void) ngtcp2;
    (void) id;
    (void) max;
    (void) user;
    if (stream != NULL) {
        pg_quic_stream_queue(stream);
    }
    return 0;
}

static int on_more_streams(ngtcp2_conn *ngtcp2, uint64_t max, void *user)
{
    (void) ngtcp2;
    (void) max;
    pg_quic_conn *conn = user;
    pg_waitq_wake_all(&conn->openers);
    return 0;
}

static int on_datagram(ngtcp2_conn *ngtcp2, uint32_t flags, const uint8_t *data, size_t len,
                       void *user)
{
    (void) ngtcp2;
    (void) flags;
    pg_quic_conn *conn = user;
    if (conn->state <= PG_QUIC_STATE_OPEN && len <= PG_NET_QUIC_DATAGRAM_BYTES_MAX) {
        pg_quic_datagram_take(conn, pg_bytes_make(data, len));
    }
    return 0;
}

// ---- Callbacks: the handshake and the rest

static int on_crypto(ngtcp2_conn *ngtcp2, ngtcp2_encryption_level level, uint64_t offset,
                     const uint8_t *data, size_t len, void *user)
{
    pg_quic_conn *conn = user;
    if (conn->handshake != NULL) {
        return ngtcp2_crypto_recv_crypto_data_cb(ngtcp2, level, offset, data, len, user);
    }
    conn->crypto_bytes += len; // tickets, which are of no use to us
    return conn->crypto_bytes <= PG_NET_QUIC_CRYPTO_BYTES_MAX ? 0
                                                              : NGTCP2_ERR_CRYPTO_BUFFER_EXCEEDED;
}

static int on_completed(ngtcp2_conn *ngtcp2, void *user)
{
    pg_quic_conn *conn = user;
    (void) ngtcp2;
    conn->is_completed = true;
    conn->is_confirmed = conn->is_confirmed || !conn->is_client;
    return 0;
}

static int on_confirmed(ngtcp2_conn *ngtcp2, void *user)
{
    pg_quic_conn *conn = user;
    (void) ngtcp2;
    conn->is_confirmed = true;
    return 0;
}

static void on_random(uint8_t *out, size_t len, const ngtcp2_rand_ctx *ctx)
{
    (void) ctx;
    pg_random_bytes(pg_mut_bytes_make(out, len));
}

static int on_path_challenge(ngtcp2_conn *ngtcp2, ngtcp2_path_challenge_data *data, void *user)
{
    (void) ngtcp2;
    (void) user;
    pg_random_bytes(PG_MUT_BYTES_OF(data->data));
    return 0;
}

static int on_new_cid(ngtcp2_conn *ngtcp2, ngtcp2_cid *cid, ngtcp2_stateless_reset_token *token,
                      size_t len, void *user)
{
    pg_quic_conn *conn = user;
    (void) ngtcp2;
    pg_err err = PG_ERR_EXISTS;
    while (err == PG_ERR_EXISTS) {
        pg_random_bytes(pg_mut_bytes_make(cid->data, len));
        cid->datalen = len;
        err = pg_quic_route_add(conn, cid->data, len);
    }
    pg_quic_reset_token(conn->endpoint, cid, token);
    return err == PG_OK ? 0 : NGTCP2_ERR_CALLBACK_FAILURE;
}

static int on_cid_gone(ngtcp2_conn *ngtcp2, const ngtcp2_cid *cid, void *user)
{
    pg_quic_conn *conn = user;
    (void) ngtcp2;
    pg_quic_route_remove(conn->endpoint, cid->data, cid->datalen);
    return 0;
}

// The peer's connection id in use, and the token by which the peer would reset us, change.
static int on_peer_cid(ngtcp2_conn *ngtcp2, ngtcp2_connection_id_status_type type, uint64_t seq,
                       const ngtcp2_cid *cid, const ngtcp2_stateless_reset_token *token, void *user)
{
    pg_quic_conn *conn = user;
    (void) ngtcp2;
    (void) seq;
    (void) cid;
    if (token == NULL) {
        return 0;
    }
    if (type == NGTCP2_CONNECTION_ID_STATUS_TYPE_ACTIVATE) {
        pg_quic_reset_forget(conn);
        pg_quic_reset_note(conn, token);
    } else if (memcmp(conn->reset_token, token->data, sizeof(token->data)) == 0) {
        pg_quic_reset_forget(conn);
    }
    return 0;
}

static int on_stateless_reset(ngtcp2_conn *ngtcp2, const ngtcp2_pkt_stateless_reset2 *reset,
                              void *user)
{
    pg_quic_conn *conn = user;
    (void) ngtcp2;
    (void) reset;
    conn->was_reset = true;
    return 0;
}

const ngtcp2_callbacks pg_quic_callbacks = {
    .client_initial = ngtcp2_crypto_client_initial_cb,
    .recv_client_initial = ngtcp2_crypto_recv_client_initial_cb,
    .recv_crypto_data = on_crypto,
    .handshake_completed = on_completed,
    .handshake_confirmed = on_confirmed,
    .encrypt = ngtcp2_crypto_encrypt_cb,
    .decrypt = ngtcp2_crypto_decrypt_cb,
    .hp_mask = ngtcp2_crypto_hp_mask_cb,
    .recv_stream_data = on_stream_data,
    .acked_stream_data_offset = on_stream_acked,
    .stream_open = on_stream_open,
    .stream_close = on_stream_close,
    .stream_reset = on_stream_reset,
    .recv_stop_sending = on_stop_sending,
    .extend_max_stream_data = on_more_stream_data,
    .extend_max_local_streams_bidi = on_more_streams,
    .recv_datagram = on_datagram,
    .recv_retry = ngtcp2_crypto_recv_retry_cb,
    .rand = on_random,
    .get_new_connection_id2 = on_new_cid,
    .remove_connection_id = on_cid_gone,
    .dcid_status2 = on_peer_cid,
    .recv_stateless_reset2 = on_stateless_reset,
    .update_key = ngtcp2_crypto_update_key_cb,
    .delete_crypto_aead_ctx = ngtcp2_crypto_delete_crypto_aead_ctx_cb,
    .delete_crypto_cipher_ctx = ngtcp2_crypto_delete_crypto_cipher_ctx_cb,
    .get_path_challenge_data2 = on_path_challenge,
    .version_negotiation = ngtcp2_crypto_version_negotiation_cb,
};

// ---- Credit

void pg_quic_conn_credit(pg_quic_conn *conn, size_t len)
{
    if (conn->ngtcp2 == NULL || len == 0) {
        return;
    }
    uint64_t growth = 0;
    if (pg_quic_window_use(&conn->window, len)) {
        growth = pg_quic_window_growth(&conn->window, pg_now(), pg_quic_conn_rtt_ns(conn),
                                       conn->limits.memory_max_bytes / 2);
        if (!pg_budget_take(&conn->recv_budget, growth)) {
            growth = 0; // no memory for a larger one
        }
        conn->window.bytes += growth;
    }
    ngtcp2_conn_extend_max_offset(conn->ngtcp2, len + growth);
    pg_quic_ready(conn);
}

// ---- From handshake to open

static pg_err texts_fill(pg_quic_conn *conn)
{
    const pg_endpoint *ends[] = {&conn->local, &conn->remote};
    pg_bytes *views[] = {&conn->info.public_key, &conn->info.local_addr, &conn->info.remote_addr};
    const pg_tls_peer *peer = &conn->handshake->peer;
    size_t lens[3] = {peer->public_key_len};
    PG_TRY(pg_buf_append(&conn->texts, pg_bytes_make(peer->public_key, peer->public_key_len)));
    for (size_t i = 0; i < 2; i++) {
        if (pg_endpoint_is_any(ends[i])) {
            continue; // not known
        }
        pg_multiaddr addr =
            pg_multiaddr_make(pg_endpoint_ip(ends[i]), PG_MULTIADDR_TRANSPORT_QUIC, ends[i]->port);
        PG_TRY(pg_buf_append(&conn->texts, pg_multiaddr_bytes(&addr)));
        lens[i + 1] = addr.len;
    }
    size_t begin = 0;
    for (size_t i = 0; i < 3; i++) {
        *views[i] = pg_bytes_slice(pg_buf_bytes(&conn->texts), begin, lens[i]);
        begin += lens[i];
    }
    return PG_OK;
}

// TLS is done: keep what it came to, and let the rest go, which is most of what a connection holds.
static pg_err handshake_finish(pg_quic_conn *conn)
{
    pg_quic_tls_result result;
    PG_TRY(pg_quic_handshake_result(conn->handshake, &result));
    PG_TRY(texts_fill(conn));
    conn->secret = result.secret;
    pg_key_wipe(&result.secret);
    conn->peer_id = conn->handshake->peer.id;
    conn->info.peer = &conn->peer_id;
    conn->info.direction = conn->is_client ? PG_CONN_DIRECTION_OUTBOUND : PG_CONN_DIRECTION_INBOUND;
    conn->info.transport = PG_QUIC_TRANSPORT;
    conn->info.security = result.security;
    conn->info.is_hybrid = result.is_hybrid;
    conn->info.muxer = "quic";
    conn->info.opened_at = pg_now();
    ngtcp2_conn_set_tls_native_handle(conn->ngtcp2, NULL);
    pg_quic_handshake_free(&conn->handshake);
    return PG_OK;
}

static void keepalive_set(pg_quic_conn *conn)
{
    const ngtcp2_transport_params *remote = ngtcp2_conn_get_remote_transport_params2(conn->ngtcp2);
    int64_t pause_ns = PG_MS(PG_NET_QUIC_KEEPALIVE_MS);
    if (remote != NULL && remote->max_idle_timeout != 0) {
        pause_ns = pg_earlier(pause_ns, (int64_t) (remote->max_idle_timeout / KEEPALIVE_SHARE));
    }
    ngtcp2_conn_set_keep_alive_timeout(conn->ngtcp2, (ngtcp2_duration) pause_ns);
}

static void conn_open(pg_quic_conn *conn)
{
    pg_quic_endpoint *endpoint = conn->endpoint;
    const pg_quic_hooks *hooks = &endpoint->config.hooks;
    conn->state = PG_QUIC_STATE_OPEN;
    keepalive_set(conn);
    pg_waitq_wake_all(&conn->settled);
    if (!conn->is_client) {
        pg_quic_pending_remove(conn);
        hooks->on_conn(&conn->base, &conn->remote, conn->was_counted, hooks->user);
    }
}

// After each datagram. Returns false when the connection is gone.
static bool conn_step(pg_quic_conn *conn)
{
    pg_quic_ready(conn);
    if (conn->is_completed && conn->handshake != NULL) {
        pg_err err = handshake_finish(conn);
        if (err != PG_OK) {
            bool is_endpoints = pg_list_is_linked(&conn->pending_node);
            pg_quic_conn_cut(conn, err, PG_QUIC_CODE_VIOLATION);
            return !is_endpoints;
        }
    }
    if (conn->state == PG_QUIC_STATE_HANDSHAKING && conn->is_confirmed) {
        conn_open(conn);
    }
    return true;
}

// ---- Failures

static pg_err fail_of_application(uint64_t code)
{
    switch (code) {
    case PG_QUIC_CODE_LIMIT:
    case PG_QUIC_CODE_RATE:
        return pg_fail(PG_ERR_REFUSED, "the peer has too many connections");
    case PG_QUIC_CODE_GATED:
        return pg_fail(PG_ERR_REFUSED, "the peer does not want this connection");
    case PG_QUIC_CODE_VIOLATION:
        return pg_fail(PG_ERR_RESET, "the peer says that we broke the protocol");
    default:
        return PG_OK; // in good order
    }
}

static pg_err fail_of_transport(const pg_quic_conn *conn, uint64_t code)
{
    if (code == NGTCP2_NO_ERROR) {
        return PG_OK;
    }
    if (code == NGTCP2_CONNECTION_REFUSED) {
        return pg_fail(PG_ERR_REFUSED, "the peer refuses connections");
    }
    if (code >= NGTCP2_CRYPTO_ERROR && code <= NGTCP2_CRYPTO_ERROR + UINT8_MAX &&
        conn->handshake != NULL) {
        return pg_quic_handshake_fail(conn->handshake, (uint8_t) (code - NGTCP2_CRYPTO_ERROR),
                                      true);
    }
    if (code > NGTCP2_CRYPTO_ERROR && code <= NGTCP2_CRYPTO_ERROR + UINT8_MAX) {
        return pg_fail(PG_ERR_REFUSED, "the peer refuses us after the handshake: TLS alert %u",
                       (unsigned) (code - NGTCP2_CRYPTO_ERROR));
    }
    return pg_fail(PG_ERR_RESET, "the peer ended the connection with QUIC error 0x%llx",
                   (unsigned long long) code);
}

// The peer has closed, or forgotten the connection.
static pg_err fail_of_peer(const pg_quic_conn *conn)
{
    const ngtcp2_ccerr *said = ngtcp2_conn_get_ccerr2(conn->ngtcp2);
    if (conn->was_reset) {
        return pg_fail(PG_ERR_RESET, "the peer knows no such connection any more");
    }
    pg_err err = said->type == NGTCP2_CCERR_TYPE_APPLICATION
                     ? fail_of_application(said->error_code)
                     : fail_of_transport(conn, said->error_code);
    if (err == PG_OK && conn->state == PG_QUIC_STATE_HANDSHAKING) {
        return pg_fail(PG_ERR_CLOSED, "the peer closed the connection during the handshake");
    }
    return err;
}

static pg_err fail_of_ngtcp2(int code)
{
    if (code == NGTCP2_ERR_NOMEM) {
        return pg_fail(PG_ERR_NOMEM, "the connection wants more memory than it may have");
    }
    return pg_fail(PG_ERR_PROTOCOL, "QUIC: %s", ngtcp2_strerror(code));
}

static void end_by_tls(pg_quic_conn *conn)
{
    ngtcp2_ccerr farewell;
    uint8_t alert = ngtcp2_conn_get_tls_alert2(conn->ngtcp2);
    ngtcp2_ccerr_default(&farewell);
    ngtcp2_ccerr_set_tls_alert(&farewell, alert, NULL, 0);
    pg_err err = conn->handshake != NULL ? pg_quic_handshake_fail(conn->handshake, alert, false)
                                         : pg_fail(PG_ERR_PROTOCOL, "TLS broke the connection");
    pg_quic_conn_end(conn, err, &farewell);
}

static void end_by_code(pg_quic_conn *conn, int code)
{
    ngtcp2_ccerr farewell;
    switch (code) {
    case NGTCP2_ERR_DRAINING:
        pg_quic_conn_end(conn, fail_of_peer(conn), NULL);
        break;
    case NGTCP2_ERR_CRYPTO:
        end_by_tls(conn);
        break;
    case NGTCP2_ERR_RETRY: // the packets of a client hello came in the wrong order
        conn->endpoint->wants_retry = true;
        pg_quic_conn_end(conn, PG_OK, NULL);
        break;
    case NGTCP2_ERR_DROP_CONN:
        pg_quic_conn_end(conn, PG_OK, NULL);
        break;
    case NGTCP2_ERR_RECV_VERSION_NEGOTIATION:
        pg_quic_conn_end(conn, pg_fail(PG_ERR_UNSUPPORTED, "the peer speaks no QUIC version 1"),
                         NULL);
        break;
    case NGTCP2_ERR_IDLE_CLOSE:
        pg_quic_conn_end(conn, pg_fail(PG_ERR_TIMEOUT, "the peer has been silent for too long"),
                         NULL);
        break;
    case NGTCP2_ERR_HANDSHAKE_TIMEOUT:
        pg_quic_conn_end(conn, pg_fail(PG_ERR_TIMEOUT, "the handshake took too long"), NULL);
        break;
    default:
        ngtcp2_ccerr_default(&farewell);
        ngtcp2_ccerr_set_liberr(&farewell, code, NULL, 0);
        pg_quic_conn_end(conn, fail_of_ngtcp2(code), &farewell);
        break;
    }
}

// Returns false when the connection is gone.
static bool conn_fail(pg_quic_conn *conn, int code)
{
    bool is_endpoints = pg_list_is_linked(&conn->pending_node);
    end_by_code(conn, code);
    return !is_endpoints;
}

// ---- Datagrams that came

bool pg_quic_conn_read(pg_quic_conn *conn, const pg_quic_path *path, uint8_t ecn, pg_bytes datagram,
                       pg_time now)
{
    const ngtcp2_pkt_info info = {.ecn = ecn};
    // The clock was read for a whole run of datagrams; the connection may have been made since.
    pg_time last = (pg_time) ngtcp2_conn_get_timestamp(conn->ngtcp2);
    now = now > last ? now : last;
    int code = ngtcp2_conn_read_pkt(conn->ngtcp2, &path->path, &info, datagram.ptr, datagram.len,
                                    (ngtcp2_tstamp) now);
    return code == 0 ? conn_step(conn) : conn_fail(conn, code);
}

// ---- Datagrams that are to go

// Put bytes of streams into the packet under way, each in its turn, until it is full. Returns as ngtcp2_conn_writev_stream.
static ngtcp2_ssize streams_write(pg_quic_conn *conn, ngtcp2_path *path, ngtcp2_pkt_info *info,
                                  pg_mut_bytes space, ngtcp2_tstamp now)
{
    while (!pg_list_is_empty(&conn->send_queue)) {
        pg_quic_offer offer;
        pg_list *node = conn->send_queue.next;
        pg_quic_stream *stream = PG_LIST_OBJECT(node, pg_quic_stream, send_node);
        if (!pg_quic_stream_offer(stream, &offer)) {
            pg_list_remove(node);
            pg_list_append(&conn->starved, node);
            continue;
        }
        if (offer.len == 0 && !offer.is_end) { // its writer has given up
            pg_list_remove(node);
            continue;
        }
        // Equal lengths make a run: packets that have something behind them are filled up.
        uint32_t flags = NGTCP2_WRITE_STREAM_FLAG_MORE | NGTCP2_WRITE_STREAM_FLAG_PADDING;
        flags |= offer.is_end ? NGTCP2_WRITE_STREAM_FLAG_FIN : 0;
        ngtcp2_ssize taken = -1;
        ngtcp2_ssize len =
            ngtcp2_conn_writev_stream(conn->ngtcp2, path, info, space.ptr, space.len, &taken, flags,
                                      stream->id, offer.vecs, offer.count, now);
        if (taken >= 0) {
            pg_quic_stream_on_sent(stream, &offer, (size_t) taken);
        }
        if (len == NGTCP2_ERR_STREAM_DATA_BLOCKED || len == NGTCP2_ERR_STREAM_SHUT_WR ||
            len == NGTCP2_ERR_STREAM_NOT_FOUND) {
            pg_list_remove(
                node); // until there is credit; or a callback tells what has become of it
            continue;
        }
        if (len != NGTCP2_ERR_WRITE_MORE) {
            if (len > 0 && pg_list_is_linked(node)) { // the next packet begins with another
                pg_list_remove(node);
                pg_list_append(&conn->send_queue, node);
            }
            return len;
        }
    }
    return ngtcp2_conn_writev_stream(conn->ngtcp2, path, info, space.ptr, space.len, NULL,
                                     NGTCP2_WRITE_STREAM_FLAG_NONE, -1, NULL, 0, now);
}

// NOLINTNEXTLINE(readability-function-size): the library says what the parameters are
static ngtcp2_ssize on_write_packet(ngtcp2_conn *ngtcp2, ngtcp2_path *path, ngtcp2_pkt_info *info,
                                    uint8_t *space, size_t space_len, ngtcp2_tstamp now, void *user)
{
    pg_quic_conn *conn = user;
    pg_mut_bytes packet = pg_mut_bytes_make(space, space_len);
    bool is_written = true;
    (void) ngtcp2;
    while (is_written) {
        ngtcp2_ssize len =
            pg_quic_datagram_write(conn, path, info, packet, (pg_time) now, &is_written);
        if (len > 0 || (len < 0 && len != NGTCP2_ERR_WRITE_MORE)) {
            return len;
        }
    }
    return streams_write(conn, path, info, packet, now);
}

void pg_quic_conn_note(pg_quic_conn *conn, int code)
{
    if (code == NGTCP2_ERR_NOMEM) {
        conn->lacks_memory = true; // else the peer would wait for ever for what it is not told
        pg_quic_ready(conn);
    }
}

bool pg_quic_conn_write(pg_quic_conn *conn, pg_time now, pg_quic_run *out_run)
{
    pg_quic_endpoint *endpoint = conn->endpoint;
    ngtcp2_path_storage storage;
    ngtcp2_pkt_info info = {0};
    *out_run = (pg_quic_run){.len = 0};
    if (conn->lacks_memory) {
        (void) conn_fail(conn, NGTCP2_ERR_NOMEM);
        return false;
    }
    if (conn->expiry <= now) {
        int code = ngtcp2_conn_handle_expiry(conn->ngtcp2, (ngtcp2_tstamp) now);
        if (code != 0) {
            (void) conn_fail(conn, code);
            return false;
        }
    }
    ngtcp2_path_storage_zero(&storage);
    ngtcp2_ssize len = ngtcp2_conn_write_aggregate_pkt(
        conn->ngtcp2, &storage.path, &info, endpoint->out, PG_QUIC_RUN_BYTES, &out_run->segment_len,
        on_write_packet, (ngtcp2_tstamp) now);
    if (len < 0) {
        (void) conn_fail(conn, (int) len);
        return false;
    }
    uint64_t expiry = ngtcp2_conn_get_expiry2(conn->ngtcp2);
    conn->expiry = expiry > INT64_MAX ? PG_FOREVER : (pg_time) expiry;
    out_run->len = (size_t) len;
    if (len > 0) {
        out_run->ecn = (uint8_t) info.ecn;
        out_run->remote = pg_quic_path_endpoint(&storage.path.remote);
        if (!conn->is_client) {
            out_run->local = pg_quic_path_endpoint(&storage.path.local);
        }
    }
    return true;
}
