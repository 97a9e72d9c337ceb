// SPDX-License-Identifier: Apache-2.0
// Our side of the interoperability tests where the command line has no command: opens streams to a foreign peer by the
// hundred, echoes, half-closes and resets. Built on the same host as the node.
//
//      peer ADDR STEP...    each step prints one JSON object; the first failure ends with exit code 1
//
//      identify             wait for identify, print what the peer said
//      echo:STREAMS:BYTES   that many streams at once, each sends random bytes, closes its half, and reads them back
//      reset:STREAMS        open, write, reset; then an echo must still work
//      unsupported          a protocol nobody has must be refused and the connection live on
//      connect:COUNT        that many new connections one after the other, each until the first ping is back and identify is done; prints
//                           the median and the 95th percentile in microseconds
//      bare:COUNT           the same by the transport alone, until the first ping is back: nothing else of a host takes part on this side
//      crowd:COUNT          that many further peers connect, each with an identity of its own, and stay until standard
//                           input ends
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "codec/multiaddr.h"
#include "crypto/identity.h"
#include "net/host.h"
#include "net/multistream.h"
#include "net/ping.h"
#include "net/quic_endpoint.h"
#include "net/upgrade.h"
#include "runtime/fiber.h"
#include "runtime/file.h"
#include "runtime/random.h"
#include "runtime/runtime.h"

#define STEP_TIMEOUT PG_SECONDS(120)
#define STREAMS_MAX 2000
#define CHUNK_BYTES 65536

static const char *const echo_ids[] = {"/echo/1.0.0", NULL};
static const char *const unknown_ids[] = {"/no/such/protocol/1.0.0", NULL};

struct session {
    int argc;
    char **argv;
    pg_multiaddr addr;
    pg_identity identity;
    pg_host *host;
    pg_id conn;
    uint64_t echo_bytes;
};

// ---- echo: one stream written by one fiber and read by another

typedef struct echo_stream {
    struct session *session;
    uint64_t number;
    pg_stream *stream;
    uint8_t out[CHUNK_BYTES];
    uint8_t back[CHUNK_BYTES];
} echo_stream;

// What stands at `offset` of stream `number`: tells a byte that was lost, doubled, or given to another stream.
static uint8_t echo_byte(uint64_t number, uint64_t offset)
{
    uint64_t mixed =
        (offset + 1) * UINT64_C(0x9e3779b97f4a7c15) ^ number * UINT64_C(0xd6e8feb86659fd93);
    return (uint8_t) (mixed >> 32);
}

static pg_err echo_write(void *arg)
{
    echo_stream *echo = arg;
    uint64_t total = echo->session->echo_bytes;
    for (uint64_t at = 0; at < total; at += CHUNK_BYTES) {
        size_t len = (size_t) (total - at < CHUNK_BYTES ? total - at : CHUNK_BYTES);
        for (size_t i = 0; i < len; i++) {
            echo->out[i] = echo_byte(echo->number, at + i);
        }
        PG_TRY(
            pg_stream_write(echo->stream, pg_bytes_make(echo->out, len), pg_after(STEP_TIMEOUT)));
    }
    return pg_stream_close_write(echo->stream, pg_after(STEP_TIMEOUT));
}

static pg_err echo_read(void *arg)
{
    echo_stream *echo = arg;
    uint64_t at = 0;
    for (;;) {
        size_t len = 0;
        PG_TRY(pg_stream_read(echo->stream, PG_MUT_BYTES_OF(echo->back), pg_after(STEP_TIMEOUT),
                              &len));
        if (len == 0) {
            break;
        }
        for (size_t i = 0; i < len; i++, at++) {
            if (echo->back[i] != echo_byte(echo->number, at)) {
                return pg_fail(PG_ERR_CORRUPT, "stream %" PRIu64 " differs at byte %" PRIu64,
                               echo->number, at);
            }
        }
    }
    if (at != echo->session->echo_bytes) {
        return pg_fail(PG_ERR_TRUNCATED, "stream %" PRIu64 " gave %" PRIu64 " bytes back",
                       echo->number, at);
    }
    return PG_OK;
}

static pg_err echo_run(void *arg)
{
    echo_stream *echo = arg;
    struct session *session = echo->session;
    pg_scope scope;
    PG_TRY(pg_host_open_stream_on(session->host, session->conn, echo_ids, pg_after(STEP_TIMEOUT),
                                  &echo->stream, NULL));
    pg_scope_init(&scope);
    pg_err err = pg_scope_spawn(&scope, "interop.echo_write", echo_write, echo);
    if (err == PG_OK) {
        err = pg_scope_spawn(&scope, "interop.echo_read", echo_read, echo);
    }
    pg_err joined = pg_scope_join(&scope);
    pg_stream_free(&echo->stream);
    return err == PG_OK ? joined : err;
}

static pg_err step_echo(struct session *session, uint64_t streams, uint64_t bytes)
{
    echo_stream *echoes = pg_calloc(streams, sizeof(echo_stream));
    pg_scope scope;
    pg_err err = PG_OK;
    if (echoes == NULL) {
        return pg_fail(PG_ERR_NOMEM, "no memory for %" PRIu64 " streams", streams);
    }
    session->echo_bytes = bytes;
    pg_scope_init(&scope);
    for (uint64_t i = 0; i < streams && err == PG_OK; i++) {
        echoes[i].session = session;
        echoes[i].number = i;
        err = pg_scope_spawn(&scope, "interop.echo", echo_run, &echoes[i]);
    }
    pg_err joined = pg_scope_join(&scope);
    pg_mfree(echoes);
    return err == PG_OK ? joined : err;
}

// ---- the other steps

static pg_err step_reset(struct session *session, uint64_t streams)
{
    static const uint8_t some[1000];
    for (uint64_t i = 0; i < streams; i++) {
        pg_stream *stream = NULL;
        PG_TRY(pg_host_open_stream_on(session->host, session->conn, echo_ids,
                                      pg_after(STEP_TIMEOUT), &stream, NULL));
        pg_err err = pg_stream_write(stream, PG_BYTES_OF(some), pg_after(STEP_TIMEOUT));
        pg_stream_reset(stream);
        pg_stream_free(&stream);
        PG_TRY(err);
    }
    return step_echo(session, 1, sizeof(some));
}

static pg_err step_unsupported(struct session *session)
{
    pg_stream *stream = NULL;
    pg_err err = pg_host_open_stream_on(session->host, session->conn, unknown_ids,
                                        pg_after(STEP_TIMEOUT), &stream, NULL);
    pg_stream_free(&stream);
    if (err != PG_ERR_UNSUPPORTED) {
        return err != PG_OK ? err : pg_fail(PG_ERR_PROTOCOL, "accepted a protocol nobody has");
    }
    return step_echo(session, 1, 1);
}

static pg_err step_identify(struct session *session)
{
    pg_host_conn conn;
    PG_TRY(pg_host_await_identify(session->host, session->conn, pg_after(STEP_TIMEOUT)));
    PG_TRY(pg_host_conn_get(session->host, session->conn, &conn));
    const pg_book_peer *known = pg_peer_book_get(pg_host_book(session->host), conn.info.peer);
    if (known == NULL) {
        return pg_fail(PG_ERR_NOT_FOUND, "the peer is not in the book");
    }
    (void) printf(
        "{\"step\":\"identify\",\"agent\":\"%s\",\"protocols\":%zu,\"security\":\"%s\"}\n",
        known->agent, known->protocol_count, conn.info.security);
    return PG_OK;
}

// ---- new connections

static pg_err connect_once(struct session *session, double *out_us)
{
    const pg_dial_options options = {.fresh = true};
    pg_host_conn conn;
    pg_ping ping = {0};
    pg_id id = 0;
    int64_t rtt_ns = 0;
    pg_time start = pg_now();
    PG_TRY(pg_host_dial(session->host, &session->addr, &options, pg_after(STEP_TIMEOUT), &id));
    PG_TRY(pg_host_conn_get(session->host, id, &conn));
    pg_err err = pg_ping_init(&ping, session->host, conn.info.peer, pg_after(STEP_TIMEOUT));
    if (err == PG_OK) {
        err = pg_ping_round(&ping, pg_after(STEP_TIMEOUT), &rtt_ns);
    }
    if (err == PG_OK) {
        err = pg_host_await_identify(session->host, id, pg_after(STEP_TIMEOUT));
    }
    *out_us = (double) (pg_now() - start) / 1e3;
    pg_ping_deinit(&ping);
    pg_host_hang_up(session->host, id);
    return err;
}

/** What dials without a host. */
typedef struct bare_dialer {
    pg_endpoint to;
    pg_peer_id peer;
    pg_key key; // of Noise, or of stateless resets
    pg_upgrader upgrader;
    pg_quic_tls *tls;
    pg_quic_endpoint *endpoint; // NULL: TCP
} bare_dialer;

static pg_err bare_init(bare_dialer *self, const struct session *session)
{
    pg_multiaddr_hop hop;
    pg_multiaddr addr = session->addr;
    PG_TRY(pg_multiaddr_first_hop(&addr, &hop));
    if (hop.host_code != PG_MULTIADDR_CODE_IP4 || !pg_peer_id_cut(&addr, &self->peer)) {
        return pg_fail(PG_ERR_INVALID, "not an address of IPv4 that names its peer");
    }
    self->to = (pg_endpoint){.family = PG_IP_FAMILY_V4, .port = hop.port};
    memcpy(self->to.ip, hop.host.ptr, hop.host.len);
    pg_random_bytes(PG_MUT_BYTES_OF(self->key.bytes));
    self->upgrader = (pg_upgrader){.identity = &session->identity,
                                   .noise_static = &self->key,
                                   .limits = pg_conn_limits_default(NULL)};
    if (hop.transport != PG_MULTIADDR_TRANSPORT_QUIC) {
        return PG_OK;
    }
    PG_TRY(pg_quic_tls_new(&session->identity, PG_QUIC_GROUPS_ANY, &self->tls));
    const pg_endpoint any = {.family = PG_IP_FAMILY_V4};
    const pg_quic_config config = {.tls = self->tls,
                                   .reset_key = &self->key,
                                   .limits = self->upgrader.limits,
                                   .handshake_timeout_ns = STEP_TIMEOUT};
    return pg_quic_endpoint_new(&config, &any, &self->endpoint);
}

static void bare_deinit(bare_dialer *self)
{
    pg_quic_endpoint_free(&self->endpoint);
    pg_quic_tls_free(&self->tls);
    pg_key_wipe(&self->key);
}

static pg_err bare_dial(bare_dialer *self, pg_conn **out_conn)
{
    if (self->endpoint != NULL) {
        const pg_quic_dial_request request = {.remote = self->to, .expected_id = &self->peer};
        return pg_quic_dial(self->endpoint, &request, pg_after(STEP_TIMEOUT), out_conn);
    }
    const pg_upgrade_request request = {
        .direction = PG_CONN_DIRECTION_OUTBOUND, .expected_id = &self->peer, .transport = "tcp"};
    pg_stream *raw = NULL;
    PG_TRY(pg_tcp_dial(&self->to, pg_after(STEP_TIMEOUT), &raw));
    return pg_upgrade(&raw, &self->upgrader, &request, pg_after(STEP_TIMEOUT), out_conn);
}

static pg_err bare_ping(pg_stream *stream)
{
    uint8_t sent[PG_PING_BYTES];
    uint8_t back[PG_PING_BYTES];
    size_t chosen = 0;
    PG_TRY(pg_multistream_dial(stream, &PG_STR(PG_PING_ID), 1, pg_after(STEP_TIMEOUT), &chosen));
    pg_random_bytes(PG_MUT_BYTES_OF(sent));
    PG_TRY(pg_stream_write(stream, PG_BYTES_OF(sent), pg_after(STEP_TIMEOUT)));
    PG_TRY(pg_stream_read_full(stream, PG_MUT_BYTES_OF(back), pg_after(STEP_TIMEOUT)));
    return memcmp(sent, back, sizeof(sent)) == 0 ? PG_OK
                                                 : pg_fail(PG_ERR_CORRUPT, "other bytes came back");
}

static pg_err bare_once(bare_dialer *self, double *out_us)
{
    pg_conn *conn = NULL;
    pg_stream *stream = NULL;
    pg_time start = pg_now();
    PG_TRY(bare_dial(self, &conn));
    pg_err err = pg_conn_open_stream(conn, pg_after(STEP_TIMEOUT), &stream);
    if (err == PG_OK) {
        err = bare_ping(stream);
    }
    *out_us = (double) (pg_now() - start) / 1e3;
    pg_stream_free(&stream);
    pg_conn_free(&conn);
    return err;
}

static int double_compare(const void *a, const void *b)
{
    double x = *(const double *) a;
    double y = *(const double *) b;
    return (x > y) - (x < y);
}

static pg_err step_connect(struct session *session, uint64_t count, bool is_bare)
{
    static double took[STREAMS_MAX];
    bare_dialer dialer = {0};
    pg_err err = is_bare ? bare_init(&dialer, session) : PG_OK;
    pg_host_hang_up(session->host, session->conn);
    for (uint64_t i = 0; i < count && err == PG_OK; i++) {
        err = is_bare ? bare_once(&dialer, &took[i]) : connect_once(session, &took[i]);
    }
    bare_deinit(&dialer);
    PG_TRY(err);
    qsort(took, count, sizeof(took[0]), double_compare);
    (void) printf("{\"step\":\"connect\",\"p50_us\":%.0f,\"p95_us\":%.0f}\n", took[count / 2],
                  took[count * 95 / 100]);
    return PG_OK;
}

// ---- crowd

static pg_err member_start(const pg_multiaddr *addr, pg_identity *identity, pg_host **out_host)
{
    pg_key seed PG_CLEANUP(pg_key_wipe) = {0};
    pg_random_bytes(PG_MUT_BYTES_OF(seed.bytes));
    PG_TRY(pg_identity_init(identity, &seed));
    pg_host_config config = pg_host_config_default(identity);
    PG_TRY(pg_host_new(&config, out_host));
    pg_id conn = 0;
    PG_TRY(pg_host_dial(*out_host, addr, NULL, pg_after(STEP_TIMEOUT), &conn));
    return pg_host_await_identify(*out_host, conn, pg_after(STEP_TIMEOUT));
}

static pg_err stdin_wait(void)
{
    pg_file *in = NULL;
    uint8_t space[256];
    size_t len = sizeof(space);
    PG_TRY(pg_file_from_fd(0, &in));
    pg_err err = PG_OK;
    while (err == PG_OK && len == sizeof(space)) {
        err = pg_file_read(in, PG_MUT_BYTES_OF(space), &len);
    }
    pg_file_free(&in);
    return err;
}

static pg_err step_crowd(const pg_multiaddr *addr, uint64_t count)
{
    pg_identity *identities = pg_calloc(count, sizeof(pg_identity));
    pg_host **hosts = pg_calloc(count, sizeof(pg_host *));
    pg_err err = identities == NULL || hosts == NULL ? PG_ERR_NOMEM : PG_OK;
    for (uint64_t i = 0; i < count && err == PG_OK; i++) {
        err = member_start(addr, &identities[i], &hosts[i]);
    }
    if (err == PG_OK) {
        (void) printf("{\"step\":\"crowd\"}\n");
        (void) fflush(stdout);
        err = stdin_wait();
    }
    for (uint64_t i = 0; i < count && identities != NULL && hosts != NULL; i++) {
        pg_host_free(&hosts[i]);
        pg_identity_deinit(&identities[i]);
    }
    pg_mfree(hosts);
    pg_mfree(identities);
    return err;
}

// ---- the session

static pg_err step_run(struct session *session, const char *text)
{
    pg_str name;
    pg_str first;
    pg_str rest = pg_str_split(pg_str_make(text), ':', &name);
    pg_str second = pg_str_split(rest, ':', &first);
    uint64_t a = 1;
    uint64_t b = 0;
    if (first.len != 0) {
        PG_TRY(pg_str_to_u64(first, UINT64_C(1) << 40, &a));
    }
    if (second.len != 0) {
        PG_TRY(pg_str_to_u64(second, UINT64_C(1) << 40, &b));
    }
    if (a > STREAMS_MAX) {
        return pg_fail(PG_ERR_INVALID, "at most %d streams", STREAMS_MAX);
    }
    if (pg_str_equal(name, PG_STR("identify"))) {
        return step_identify(session);
    }
    if (pg_str_equal(name, PG_STR("connect")) || pg_str_equal(name, PG_STR("bare"))) {
        return step_connect(session, a, pg_str_equal(name, PG_STR("bare")));
    }
    if (pg_str_equal(name, PG_STR("crowd"))) {
        return step_crowd(&session->addr, a);
    }
    pg_err err = pg_fail(PG_ERR_INVALID, "no step '%s'", text);
    if (pg_str_equal(name, PG_STR("echo"))) {
        err = step_echo(session, a, b);
    } else if (pg_str_equal(name, PG_STR("reset"))) {
        err = step_reset(session, a);
    } else if (pg_str_equal(name, PG_STR("unsupported"))) {
        err = step_unsupported(session);
    }
    if (err == PG_OK) {
        (void) printf("{\"step\":\"%s\"}\n", text);
    }
    return err;
}

static pg_err session_run(struct session *session)
{
    PG_TRY(pg_multiaddr_parse(pg_str_make(session->argv[1]), &session->addr));
    PG_TRY(
        pg_host_dial(session->host, &session->addr, NULL, pg_after(STEP_TIMEOUT), &session->conn));
    for (int i = 2; i < session->argc; i++) {
        PG_TRY(pg_error_wrap(step_run(session, session->argv[i]), "%s", session->argv[i]));
    }
    return PG_OK;
}

static pg_err peer_main(void *arg)
{
    struct session *session = arg;
    pg_key seed PG_CLEANUP(pg_key_wipe) = {0};
    pg_random_bytes(PG_MUT_BYTES_OF(seed.bytes));
    PG_TRY(pg_identity_init(&session->identity, &seed));
    pg_host_config config = pg_host_config_default(&session->identity);
    pg_err err = pg_host_new(&config, &session->host);
    if (err == PG_OK) {
        err = session_run(session);
        pg_host_close(session->host, pg_after(PG_SECONDS(2)));
    }
    pg_host_free(&session->host);
    pg_identity_deinit(&session->identity);
    return err;
}

int main(int argc, char **argv)
{
    if (argc < 2) {
        (void) fprintf(stderr, "usage: peer ADDR STEP...\n");
        return 2;
    }
    struct session session = {.argc = argc, .argv = argv};
    pg_err err = pg_runtime_run(NULL, peer_main, &session);
    if (err != PG_OK) {
        (void) fprintf(stderr, "peer: %s\n", pg_error_detail(err));
        return 1;
    }
    return 0;
}
