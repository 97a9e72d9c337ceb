// SPDX-License-Identifier: Apache-2.0
// Datagrams that come: to their connections, to the tombs of ended ones, and what strangers get. Nothing is kept of a
// stranger before the owner of the endpoint agrees, and who is many must first show that its address exists.
#include <string.h>

#include <ngtcp2/ngtcp2_crypto.h>

#include "base/mem.h"
#include "net/quic_priv.h"
#include "runtime/random.h"

#define ANSWER_BYTES_MAX 1200
#define RESET_BYTES_MIN (NGTCP2_MIN_STATELESS_RESET_RANDLEN + NGTCP2_STATELESS_RESET_TOKENLEN)
#define RESET_BYTES_MAX 43 // looks like a packet with little in it
#define YIELD_BYTES 16384  // let readers take what came before the next run

/** A datagram, where it came from and to. */
typedef struct arrival {
    pg_quic_endpoint *endpoint;
    const pg_udp_msg *msg;
    pg_bytes bytes;
    pg_time now;
} arrival;

// ---- Answers without state

static void answer_send(const arrival *in, pg_bytes packet, uint64_t *count)
{
    const pg_udp_msg msg = {.peer = in->msg->peer, .local = in->msg->local, .data = packet};
    // When the socket is full this is the first to be left out.
    if (pg_udp_send(in->endpoint->udp, &msg, in->now) == PG_OK) {
        *count += 1;
        in->endpoint->stats.datagrams_out++;
    }
}

// Whether there may be another answer now.
static bool answer_may(const arrival *in)
{
    if (pg_quic_rate_take(&in->endpoint->answer_rate, in->now, PG_NET_QUIC_ANSWERS_PER_S)) {
        return true;
    }
    in->endpoint->stats.answers_saved++;
    return false;
}

static void answer_versions(const arrival *in, const ngtcp2_version_cid *ids)
{
    static const uint32_t versions[] = {NGTCP2_PROTO_VER_V1};
    uint8_t packet[ANSWER_BYTES_MAX];
    uint8_t random = 0;
    if (in->endpoint->config.hooks.on_conn == NULL || !answer_may(in)) {
        return;
    }
    pg_random_bytes(pg_mut_bytes_make(&random, 1));
    ngtcp2_ssize len = ngtcp2_pkt_write_version_negotiation(
        packet, sizeof(packet), random, ids->scid, ids->scidlen, ids->dcid, ids->dcidlen, versions,
        PG_ARRAY_LEN(versions));
    if (len > 0) {
        answer_send(in, pg_bytes_make(packet, (size_t) len), &in->endpoint->stats.versions);
    }
}

static void answer_retry(const arrival *in, const ngtcp2_pkt_hd *hd)
{
    uint8_t packet[ANSWER_BYTES_MAX];
    uint8_t token[NGTCP2_CRYPTO_MAX_RETRY_TOKENLEN2];
    uint8_t id[PG_NET_QUIC_CID_BYTES];
    ngtcp2_cid cid;
    pg_quic_path path;
    if (!answer_may(in)) {
        return;
    }
    const pg_key *key = &in->endpoint->token_key;
    pg_random_bytes(PG_MUT_BYTES_OF(id));
    ngtcp2_cid_init(&cid, id, sizeof(id));
    pg_quic_path_set(&path, &in->endpoint->addr, &in->msg->peer);
    ngtcp2_ssize token_len = ngtcp2_crypto_generate_retry_token2(
        token, key->bytes, sizeof(key->bytes), hd->version, path.path.remote.addr,
        path.path.remote.addrlen, &cid, &hd->dcid, (ngtcp2_tstamp) in->now);
    if (token_len <= 0) {
        return;
    }
    ngtcp2_ssize len = ngtcp2_crypto_write_retry(packet, sizeof(packet), hd->version, &hd->scid,
                                                 &cid, &hd->dcid, token, (size_t) token_len);
    if (len > 0) {
        answer_send(in, pg_bytes_make(packet, (size_t) len), &in->endpoint->stats.retries);
    }
}

static void answer_close(const arrival *in, const ngtcp2_pkt_hd *hd, uint64_t code)
{
    uint8_t packet[ANSWER_BYTES_MAX];
    if (!answer_may(in)) {
        return;
    }
    ngtcp2_ssize len = ngtcp2_crypto_write_connection_close(packet, sizeof(packet), hd->version,
                                                            &hd->scid, &hd->dcid, code, NULL, 0);
    if (len > 0) {
        answer_send(in, pg_bytes_make(packet, (size_t) len), &in->endpoint->stats.refusals);
    }
}

// A packet of a connection that is not known here: say so, with something shorter, so that two who know nothing stop soon.
static void answer_reset(const arrival *in, const ngtcp2_version_cid *ids)
{
    uint8_t packet[RESET_BYTES_MAX];
    uint8_t random[RESET_BYTES_MAX];
    ngtcp2_cid cid;
    ngtcp2_stateless_reset_token token;
    size_t want = pg_min_size(in->bytes.len - 1, RESET_BYTES_MAX);
    if (want < RESET_BYTES_MIN || !answer_may(in)) {
        return;
    }
    ngtcp2_cid_init(&cid, ids->dcid, ids->dcidlen);
    pg_quic_reset_token(in->endpoint, &cid, &token);
    pg_random_bytes(PG_MUT_BYTES_OF(random));
    ngtcp2_ssize len = ngtcp2_pkt_write_stateless_reset2(packet, sizeof(packet), &token, random,
                                                         want - NGTCP2_STATELESS_RESET_TOKENLEN);
    if (len > 0) {
        answer_send(in, pg_bytes_make(packet, (size_t) len), &in->endpoint->stats.resets);
    }
}

// ---- Known connections

static bool conn_take(const arrival *in, pg_quic_conn *conn)
{
    pg_quic_path path;
    bool is_told = in->msg->local.family != PG_IP_FAMILY_NONE;
    if (conn->is_client && conn->handshake != NULL && is_told) {
        conn->local = in->msg->local; // to be shown; for packets it is "any"
    }
    pg_quic_path_set(&path, conn->is_client || !is_told ? &in->endpoint->addr : &in->msg->local,
                     &in->msg->peer);
    return pg_quic_conn_read(conn, &path, in->msg->ecn, in->bytes, in->now);
}

// Repeat the last packet, ever more seldom.
static void tomb_take(const arrival *in, pg_quic_tomb *tomb)
{
    tomb->received++;
    bool is_power_of_two = (tomb->received & (tomb->received - 1)) == 0;
    if (tomb->packet_len > 0 && is_power_of_two && !pg_list_is_linked(&tomb->due_node)) {
        pg_list_append(&in->endpoint->tombs_due, &tomb->due_node);
        (void) pg_waitq_wake_one(&in->endpoint->sender);
    }
}

// A short packet with an id nobody has: a peer who has forgotten us, or whom we have forgotten.
static void stray_take(const arrival *in, const ngtcp2_version_cid *ids)
{
    pg_bytes tail = pg_bytes_slice(in->bytes, in->bytes.len - NGTCP2_STATELESS_RESET_TOKENLEN,
                                   NGTCP2_STATELESS_RESET_TOKENLEN);
    pg_quic_conn *conn =
        in->bytes.len >= RESET_BYTES_MIN ? pg_map_get(&in->endpoint->resets, tail) : NULL;
    if (conn != NULL) {
        (void) conn_take(in, conn);
        return;
    }
    in->endpoint->stats.datagrams_lost++;
    answer_reset(in, ids);
}

// ---- Strangers

// Whether the client has a token of ours. Returns false when it has one that is not good: it is told then.
static bool token_check(const arrival *in, const ngtcp2_pkt_hd *hd, ngtcp2_cid *out_first,
                        bool *out_has)
{
    const pg_key *key = &in->endpoint->token_key;
    pg_quic_path path;
    *out_has = hd->tokenlen > 0 && hd->token[0] == NGTCP2_CRYPTO_TOKEN_MAGIC_RETRY2;
    if (!*out_has) {
        return true; // none, or one of another kind, which counts for nothing
    }
    pg_quic_path_set(&path, &in->endpoint->addr, &in->msg->peer);
    int code = ngtcp2_crypto_verify_retry_token2(
        out_first, hd->token, hd->tokenlen, key->bytes, sizeof(key->bytes), hd->version,
        path.path.remote.addr, path.path.remote.addrlen, &hd->dcid,
        (ngtcp2_duration) PG_MS(PG_NET_QUIC_RETRY_TOKEN_MS), (ngtcp2_tstamp) in->now);
    if (code != 0) {
        answer_close(in, hd, NGTCP2_INVALID_TOKEN);
        return false;
    }
    return true;
}

// Begin a handshake: the packet is its first.
static void conn_begin(const arrival *in, const ngtcp2_pkt_hd *hd, const ngtcp2_cid *retried,
                       bool is_counted)
{
    pg_quic_endpoint *endpoint = in->endpoint;
    const pg_quic_hooks *hooks = &endpoint->config.hooks;
    const pg_quic_tls_wish wish = {.is_client = false};
    pg_quic_path path;
    pg_quic_conn *conn = NULL;
    pg_quic_path_set(&path,
                     in->msg->local.family != PG_IP_FAMILY_NONE ? &in->msg->local : &endpoint->addr,
                     &in->msg->peer);
    pg_err err = pg_quic_conn_new(endpoint, &path, &wish, hd, retried, &conn);
    if (err != PG_OK) {
        hooks->on_failed(&in->msg->peer, is_counted, err, hooks->user);
        return;
    }
    conn->was_counted = is_counted;
    endpoint->unvalidated += is_counted ? 0 : 1;
    pg_list_append(&endpoint->pending, &conn->pending_node);
    endpoint->stats.pending++;
    if (endpoint->stats.pending > endpoint->config.pending_max) {
        pg_quic_conn *oldest = PG_LIST_OBJECT(endpoint->pending.next, pg_quic_conn, pending_node);
        pg_quic_conn_end(oldest,
                         pg_fail(PG_ERR_LIMIT, "too slow while %u others were waiting",
                                 endpoint->config.pending_max),
                         NULL);
    }
    endpoint->wants_retry = false;
    (void) conn_take(in, conn);
    if (endpoint->wants_retry) {
        answer_retry(in, hd);
    }
}

static void stranger_take(const arrival *in)
{
    pg_quic_endpoint *endpoint = in->endpoint;
    const pg_quic_hooks *hooks = &endpoint->config.hooks;
    ngtcp2_pkt_hd hd;
    ngtcp2_cid first;
    bool has_token = false;
    if (hooks->on_conn == NULL || endpoint->is_stopped ||
        ngtcp2_accept(&hd, in->bytes.ptr, in->bytes.len) != 0) {
        endpoint->stats.datagrams_lost++;
        return;
    }
    if (!token_check(in, &hd, &first, &has_token)) {
        return;
    }
    bool is_validated = has_token || pg_endpoint_is_loopback(&in->msg->peer);
    if (!is_validated &&
        (endpoint->unvalidated >= PG_NET_QUIC_UNVALIDATED_MAX ||
         !pg_quic_rate_take(&endpoint->unvalidated_rate, in->now, PG_NET_QUIC_UNVALIDATED_PER_S))) {
        answer_retry(in, &hd);
        return;
    }
    if (hooks->on_initial(&in->msg->peer, is_validated, hooks->user) != PG_QUIC_VERDICT_ACCEPT) {
        answer_close(in, &hd, NGTCP2_CONNECTION_REFUSED);
        return;
    }
    conn_begin(in, &hd, has_token ? &first : NULL, is_validated);
}

// ---- All of them

static void datagram_take(const arrival *in)
{
    pg_quic_endpoint *endpoint = in->endpoint;
    ngtcp2_version_cid ids;
    endpoint->stats.datagrams_in++;
    int code =
        ngtcp2_pkt_decode_version_cid(&ids, in->bytes.ptr, in->bytes.len, PG_NET_QUIC_CID_BYTES);
    bool is_other_version = code == NGTCP2_ERR_VERSION_NEGOTIATION ||
                            (code == 0 && ids.version != 0 && ids.version != NGTCP2_PROTO_VER_V1);
    if (is_other_version && in->bytes.len >= NGTCP2_MAX_UDP_PAYLOAD_SIZE) {
        answer_versions(in, &ids);
        return;
    }
    if (code != 0 || is_other_version) {
        endpoint->stats.datagrams_lost++;
        return;
    }
    pg_quic_route *route = pg_map_get(&endpoint->routes, pg_bytes_make(ids.dcid, ids.dcidlen));
    if (route != NULL && route->conn != NULL) {
        (void) conn_take(in, route->conn);
    } else if (route != NULL) {
        tomb_take(in, route->tomb);
    } else if ((in->bytes.ptr[0] & 0x80U) != 0) {
        stranger_take(in);
    } else {
        stray_take(in, &ids);
    }
}

static pg_err msg_take(pg_quic_endpoint *endpoint, const pg_udp_msg *msg)
{
    arrival in = {.endpoint = endpoint, .msg = msg, .now = pg_now()};
    size_t step = msg->segment_bytes != 0 ? msg->segment_bytes : msg->data.len;
    for (size_t at = 0; at < msg->data.len; at += step) {
        in.bytes = pg_bytes_slice(msg->data, at, step);
        datagram_take(&in);
    }
    return msg->data.len >= YIELD_BYTES ? pg_fiber_yield() : PG_OK;
}

pg_err pg_quic_recv_run(void *arg)
{
    pg_quic_endpoint *endpoint = arg;
    for (;;) {
        size_t count = 0;
        pg_err err = pg_udp_recv(endpoint->udp, PG_FOREVER, endpoint->msgs, &count);
        if (err == PG_ERR_CANCELLED || err == PG_ERR_CLOSED) {
            return err;
        }
        if (err != PG_OK) { // the system is short of something
            PG_TRY(pg_sleep_until(pg_after(PG_MS(PG_NET_ACCEPT_PAUSE_MS))));
        }
        for (size_t i = 0; i < count; i++) {
            PG_TRY(msg_take(endpoint, &endpoint->msgs[i]));
        }
    }
}
