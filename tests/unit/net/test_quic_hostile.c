// SPDX-License-Identifier: Apache-2.0
// Goal: whoever sends what costs us no more than limits.h says, reaches no other connection, and is told to go.
// Method: raw datagrams from a socket of its own; a peer that has the keys of a connection and sends frames of its choice;
//       handshakes changed on their way. In the simulated world, and from an address that is not the loopback, which is trusted.
#include "net/quic_priv.h"
#include "quic_hostile.h"

#define STORM_STREAMS 900

typedef struct scene {
    pg_endpoint at; // the machine's own address
    quic_side server;
    quic_side client;
    pg_conn *here;
    pg_conn *there;
    pg_udp *raw;
} scene;

static pg_endpoint own_address(void)
{
    return (pg_endpoint){.family = PG_IP_FAMILY_V4, .ip = {10, 0, 0, 1}};
}

static scene *scene_open(bool connected)
{
    scene *made = PG_NEW(scene);
    CHECK(made != NULL);
    made->at = own_address();
    quic_side_open(&made->server, 1, &made->at, NULL);
    quic_side_open(&made->client, 2, &made->at, NULL);
    CHECK_OK(pg_udp_bind(&made->at, &made->raw));
    if (connected) {
        CHECK_OK(quic_side_dial(&made->client, &made->server, &made->here));
        CHECK_OK(quic_side_accept(&made->server, pg_after(PG_SECONDS(5)), &made->there));
    }
    return made;
}

static void scene_close(scene *made)
{
    quic_hostile_stop();
    pg_conn_free(&made->here);
    pg_conn_free(&made->there);
    pg_udp_free(&made->raw);
    quic_side_close(&made->client);
    quic_side_close(&made->server);
    pg_mfree(made);
}

static void machine_run(pg_fiber_fn body)
{
    net_test_run(quic_test_on_machine, &body);
}

static void raw_send(scene *made, pg_bytes datagram)
{
    const pg_udp_msg msg = {.peer = pg_quic_endpoint_addr(made->server.endpoint), .data = datagram};
    CHECK_OK(pg_udp_send(made->raw, &msg, PG_FOREVER));
}

// Take what came back until nothing comes for a while; returns bytes.
static size_t raw_drain(scene *made, size_t *out_datagrams)
{
    static pg_udp_msg msgs[PG_UDP_BATCH_MAX];
    size_t bytes = 0;
    size_t count = 0;
    *out_datagrams = 0;
    while (pg_udp_recv(made->raw, pg_after(PG_SECONDS(20)), msgs, &count) == PG_OK) {
        for (size_t i = 0; i < count; i++) {
            bytes += msgs[i].data.len;
        }
        *out_datagrams += count;
    }
    return bytes;
}

// A legitimate client gets in all the same.
static void newcomer_check(scene *made)
{
    quic_side newcomer;
    pg_conn *conn = NULL;
    quic_side_open(&newcomer, 3, &made->at, NULL);
    CHECK_OK(quic_side_dial(&newcomer, &made->server, &conn));
    pg_conn_free(&conn);
    quic_side_close(&newcomer);
}

// ---- Datagrams of strangers

static pg_err body_versions(void *arg)
{
    (void) arg;
    scene *made = scene_open(false);
    uint8_t datagram[1200] = {0xc0, 0xba, 0xbe, 0xba, 0xbe, 8, 1, 2, 3, 4,
                              5,    6,    7,    8,    4,    9, 9, 9, 9};
    size_t answers = 0;
    for (int i = 0; i < 5000; i++) {
        datagram[6] = (uint8_t) i;
        raw_send(made, PG_BYTES_OF(datagram));
        if (i % 50 == 0) {
            CHECK_OK(pg_fiber_yield());
            CHECK_OK(pg_sleep_until(pg_after(PG_MS(1))));
        }
    }
    size_t bytes = raw_drain(made, &answers);
    pg_quic_stats stats = pg_quic_endpoint_get_stats(made->server.endpoint);
    CHECK(stats.versions >= 100 && stats.versions <= 2 * PG_NET_QUIC_ANSWERS_PER_S);
    CHECK(stats.answers_saved > 0 && stats.connections == 0);
    CHECK(bytes < 50 * (size_t) stats.versions); // far less than what asked for them
    datagram[0] = 0xc0;                          // too short for a first packet: no answer at all
    raw_send(made, pg_bytes_make(datagram, 1199));
    CHECK(raw_drain(made, &answers) == 0);
    newcomer_check(made);
    scene_close(made);
    return PG_OK;
}

static void test_quic_hostile__flood_of_unknown_versions__few_answers_no_state(void **state)
{
    (void) state;
    machine_run(body_versions);
}

// The first packets of a client's handshake: what it sends to a socket that does not answer.
static size_t initials_catch(scene *made, uint8_t out_packets[4][1500], size_t out_lens[4])
{
    static pg_udp_msg msgs[PG_UDP_BATCH_MAX];
    quic_side victim;
    pg_conn *none = NULL;
    pg_udp *sink = NULL;
    size_t count = 0;
    size_t caught = 0;
    quic_side_open(&victim, 9, &made->at, NULL);
    CHECK_OK(pg_udp_bind(&made->at, &sink));
    pg_quic_dial_request request = {.remote = pg_udp_endpoint(sink)};
    CHECK(pg_quic_dial(victim.endpoint, &request, pg_after(PG_MS(100)), &none) == PG_ERR_TIMEOUT);
    CHECK_OK(pg_udp_recv(sink, pg_after(PG_SECONDS(1)), msgs, &count));
    for (; caught < count && caught < 4; caught++) {
        CHECK(msgs[caught].data.len <= 1500);
        memcpy(out_packets[caught], msgs[caught].data.ptr, msgs[caught].data.len);
        out_lens[caught] = msgs[caught].data.len;
    }
    pg_udp_free(&sink);
    quic_side_close(&victim);
    return caught;
}

static pg_err body_amplification(void *arg)
{
    (void) arg;
    static uint8_t packets[4][1500];
    size_t lens[4] = {0};
    size_t answers = 0;
    scene *made = scene_open(false);
    size_t caught = initials_catch(made, packets, lens);
    CHECK(caught >= 2 && lens[0] >= 1200); // a client hello with ML-KEM takes two
    raw_send(made, pg_bytes_make(packets[0], lens[0]));
    raw_send(made, pg_bytes_make(packets[1], lens[1]));
    size_t bytes = raw_drain(made, &answers); // it never answers, as a victim would not
    CHECK(bytes > 0 && bytes <= 3 * (lens[0] + lens[1]));
    CHECK(pg_quic_endpoint_get_stats(made->server.endpoint).connections == 0); // timed out
    CHECK(made->server.failed == 1);
    scene_close(made);
    return PG_OK;
}

static void test_quic_hostile__address_that_never_answers__gets_three_times_at_most(void **state)
{
    (void) state;
    machine_run(body_amplification);
}

static pg_err body_initial_flood(void *arg)
{
    (void) arg;
    static uint8_t packets[4][1500];
    size_t lens[4] = {0};
    scene *made = scene_open(false);
    CHECK(initials_catch(made, packets, lens) >= 2);
    // The client's own connection id is in the packet's keys: only the first packet of each is good; the others are other
    // first packets, caught anew.
    for (int i = 0; i < 150; i++) {
        CHECK(initials_catch(made, packets, lens) >= 2);
        raw_send(made, pg_bytes_make(packets[0], lens[0]));
        raw_send(made, pg_bytes_make(packets[1], lens[1]));
        CHECK_OK(pg_fiber_yield());
        pg_quic_stats stats = pg_quic_endpoint_get_stats(made->server.endpoint);
        CHECK(stats.pending <= PG_NET_QUIC_UNVALIDATED_MAX);
    }
    pg_quic_stats stats = pg_quic_endpoint_get_stats(made->server.endpoint);
    CHECK(stats.retries > 50);
    newcomer_check(made);
    scene_close(made);
    return PG_OK;
}

static void test_quic_hostile__flood_of_first_packets__retry_and_others_get_in(void **state)
{
    (void) state;
    machine_run(body_initial_flood);
}

static pg_err body_garbage(void *arg)
{
    (void) arg;
    scene *made = scene_open(true);
    uint8_t datagram[1400];
    size_t answers = 0;
    pg_scope scope;
    pg_scope_init_tolerant(&scope);
    CHECK_OK(pg_scope_spawn(&scope, "test.serve", quic_echo_run, made->there));
    const pg_quic_conn *target = pg_quic_conn_of(made->there);
    const ngtcp2_cid *cid = ngtcp2_conn_get_dcid2(pg_quic_conn_of(made->here)->ngtcp2);
    for (int i = 0; i < 20000; i++) {
        size_t len = (size_t) pg_random_below(sizeof(datagram));
        pg_random_bytes(pg_mut_bytes_make(datagram, len));
        if (i % 2 == 0 && len > 9) { // to the connection itself: a short header and its id
            datagram[0] = (uint8_t) (datagram[0] & 0x3fU) | 0x40U;
            memcpy(datagram + 1, cid->data, cid->datalen);
        }
        raw_send(made, pg_bytes_make(datagram, len));
        if (i % 100 == 0) {
            CHECK_OK(pg_sleep_until(pg_after(PG_MS(1))));
        }
    }
    CHECK(target->state == PG_QUIC_STATE_OPEN);
    quic_echo_check(made->here, 1, 100000);
    (void) raw_drain(made, &answers);
    CHECK(answers <= 30 * PG_NET_QUIC_ANSWERS_PER_S);
    pg_conn_free(&made->here);
    pg_scope_close(&scope);
    scene_close(made);
    return PG_OK;
}

static void test_quic_hostile__garbage__connection_stands(void **state)
{
    (void) state;
    machine_run(body_garbage);
}

static pg_err body_forged_retry(void *arg)
{
    (void) arg;
    static pg_udp_msg msgs[PG_UDP_BATCH_MAX];
    scene *made = scene_open(false);
    quic_side victim;
    pg_conn *conn = NULL;
    size_t count = 0;
    pg_udp *middle = NULL;
    pg_scope scope;
    // Somebody who sees the first packet answers before the server with a Retry whose tag is not right, and with a version
    // negotiation for other ids; then lets the packets through.
    quic_side_open(&victim, 9, &made->at, NULL);
    CHECK_OK(pg_udp_bind(&made->at, &middle));
    pg_scope_init_tolerant(&scope);
    pg_quic_conn *dialing = NULL;
    pg_quic_path path;
    const pg_endpoint at = pg_udp_endpoint(middle);
    const pg_quic_tls_wish wish = {.is_client = true};
    pg_quic_path_set(&path, &victim.endpoint->addr, &at);
    CHECK_OK(pg_quic_conn_new(victim.endpoint, &path, &wish, NULL, NULL, &dialing));
    pg_quic_ready(dialing);
    CHECK_OK(pg_udp_recv(middle, pg_after(PG_SECONDS(1)), msgs, &count));
    CHECK(count >= 1 && msgs[0].data.len >= 1200);
    const uint8_t *first = msgs[0].data.ptr;
    uint8_t forged[100] = {0xf0, 0, 0, 0, 1}; // Retry, version 1
    size_t their_len = first[5];
    size_t our_len = first[6 + their_len];
    forged[5] = (uint8_t) our_len; // to the client's own id
    memcpy(forged + 6, first + 7 + their_len, our_len);
    forged[6 + our_len] = 8; // from any
    pg_udp_msg answer = {.peer = msgs[0].peer, .data = PG_BYTES_OF(forged)};
    CHECK_OK(pg_udp_send(middle, &answer, PG_FOREVER));
    uint8_t versions[40] = {0x80, 0, 0, 0, 0}; // version negotiation: only some draft
    versions[5] = (uint8_t) our_len;
    memcpy(versions + 6, first + 7 + their_len, our_len);
    versions[6 + our_len] = 3; // not the id the client had chosen for us
    versions[sizeof(versions) - 1] = 29;
    answer.data = PG_BYTES_OF(versions);
    CHECK_OK(pg_udp_send(middle, &answer, PG_FOREVER));
    CHECK_OK(pg_sleep_until(pg_after(PG_MS(5))));
    CHECK(dialing->state == PG_QUIC_STATE_HANDSHAKING); // it goes on as if nothing had been
    CHECK(!ngtcp2_conn_after_retry2(dialing->ngtcp2));
    conn = &dialing->base;
    pg_conn_free(&conn);
    pg_udp_free(&middle);
    quic_side_close(&victim);
    scene_close(made);
    return PG_OK;
}

static void test_quic_hostile__forged_retry_and_versions__are_not_believed(void **state)
{
    (void) state;
    machine_run(body_forged_retry);
}

static pg_err body_token_elsewhere(void *arg)
{
    (void) arg;
    static uint8_t packets[4][1500];
    size_t lens[4] = {0};
    size_t answers = 0;
    scene *made = scene_open(false);
    // An Initial with a token we never made: its first byte says Retry, the rest is nothing.
    CHECK(initials_catch(made, packets, lens) >= 2);
    uint8_t datagram[1500];
    const uint8_t *first = packets[0];
    size_t ids = 6 + (size_t) first[5] + 1 + first[6 + first[5]];
    memcpy(datagram, first, ids);
    datagram[ids] = 40; // token length
    memset(datagram + ids + 1, 7, 40);
    datagram[ids + 1] = 0xb7;
    memcpy(datagram + ids + 41, first + ids + 1, lens[0] - ids - 1);
    raw_send(made, pg_bytes_make(datagram, lens[0] + 40));
    CHECK(raw_drain(made, &answers) > 0 && answers == 1); // INVALID_TOKEN
    pg_quic_stats stats = pg_quic_endpoint_get_stats(made->server.endpoint);
    CHECK(stats.refusals == 1 && stats.connections == 0 && made->server.failed == 0);
    scene_close(made);
    return PG_OK;
}

static void test_quic_hostile__token_we_never_made__is_refused_without_state(void **state)
{
    (void) state;
    machine_run(body_token_elsewhere);
}

// ---- A connection led elsewhere

static pg_err echo_much(void *arg)
{
    quic_echo_check(arg, 5, 3000000);
    return PG_OK;
}

// Somebody on the path sends a packet of the client on from a victim's address, while the server has much to send.
static pg_err body_led_elsewhere(void *arg)
{
    (void) arg;
    static uint8_t voice[1000];
    scene *made = scene_open(true);
    pg_quic_conn *client = pg_quic_conn_of(made->here);
    size_t answers = 0;
    pg_quic_run run;
    pg_scope scope;
    pg_scope echoes;
    pg_scope_init_tolerant(&scope);
    pg_scope_init(&echoes);
    CHECK_OK(pg_scope_spawn(&scope, "test.serve", quic_echo_run, made->there));
    CHECK_OK(pg_scope_spawn(&echoes, "test.echo", echo_much, made->here));
    CHECK_OK(pg_sleep_until(pg_after(PG_MS(3))));
    CHECK_OK(pg_conn_send_datagram(made->here, PG_BYTES_OF(voice)));
    CHECK(pg_quic_conn_write(client, pg_now(), &run) && run.len >= sizeof(voice));
    raw_send(made,
             pg_bytes_make(made->client.endpoint->out, pg_min_size(run.len, run.segment_len)));
    size_t led_bytes = pg_min_size(run.len, run.segment_len);
    size_t bytes = raw_drain(made, &answers);
    CHECK(bytes > 0 && bytes <= 3 * led_bytes);
    // The connection stays where the client is.
    CHECK_OK(pg_scope_join(&echoes));
    quic_echo_check(made->here, 6, 100000);
    pg_conn_free(&made->here);
    pg_scope_close(&scope);
    scene_close(made);
    return PG_OK;
}

static void test_quic_hostile__packet_sent_on_from_a_victim__gets_three_times_at_most(void **state)
{
    (void) state;
    machine_run(body_led_elsewhere);
}

// ---- A peer with the keys

// Send frames; the server's end has to end with this error, and say which on the wire.
static void frames_check(pg_bytes frames, pg_err want)
{
    scene *made = scene_open(true);
    pg_stream *none = NULL;
    CHECK(quic_hostile_send(made->here, frames));
    pg_err err = pg_conn_accept_stream(made->there, pg_after(PG_SECONDS(5)), &none);
    if (err != want) {
        (void) fprintf(stderr, "%s, not %s: %s\n", pg_err_name(err), pg_err_name(want),
                       pg_error_detail(err));
        abort();
    }
    CHECK(pg_conn_accept_stream(made->here, pg_after(PG_SECONDS(5)), &none) == PG_ERR_RESET);
    newcomer_check(made);
    scene_close(made);
}

static pg_err body_frames(void *arg)
{
    (void) arg;
    // ACK of packets 0 to 16383, of which hardly one was sent
    frames_check(PG_BYTES_LIT("\x02\x7f\xff\x00\x00\x7f\xff"), PG_ERR_PROTOCOL);
    // STREAM 4000 (the 1,001st of the client): beyond the limit
    frames_check(PG_BYTES_LIT("\x0a\x4f\xa0\x01x"), PG_ERR_PROTOCOL);
    // STREAM 0 at offset 1,000,000: beyond its window
    frames_check(PG_BYTES_LIT("\x0e\x00\x80\x0f\x42\x40\x01x"), PG_ERR_PROTOCOL);
    // STREAM 1, which is the server's to open
    frames_check(PG_BYTES_LIT("\x0a\x01\x01x"), PG_ERR_PROTOCOL);
    // STREAM 2: one-way, of which none is allowed
    frames_check(PG_BYTES_LIT("\x0a\x02\x01x"), PG_ERR_PROTOCOL);
    // RESET_STREAM 0 with a final size beyond the window
    frames_check(PG_BYTES_LIT("\x04\x00\x00\x80\x0f\x42\x40"), PG_ERR_PROTOCOL);
    // MAX_STREAM_DATA for a stream of ours that we never opened
    frames_check(PG_BYTES_LIT("\x11\x01\x40\x64"), PG_ERR_PROTOCOL);
    // NEW_CONNECTION_ID, more than we keep
    frames_check(PG_BYTES_LIT("\x18\x02\x00\x04"
                              "aaaa0123456789abcdef"
                              "\x18\x03\x00\x04"
                              "bbbb1123456789abcdef"
                              "\x18\x04\x00\x04"
                              "cccc2123456789abcdef"),
                 PG_ERR_PROTOCOL);
    // RETIRE_CONNECTION_ID of one never given
    frames_check(PG_BYTES_LIT("\x19\x7f\xff"), PG_ERR_PROTOCOL);
    // HANDSHAKE_DONE from a client
    frames_check(PG_BYTES_LIT("\x1e"), PG_ERR_PROTOCOL);
    // NEW_TOKEN from a client
    frames_check(PG_BYTES_LIT("\x07\x01x"), PG_ERR_PROTOCOL);
    // no frame at all of this number
    frames_check(PG_BYTES_LIT("\x21\x22\x23"), PG_ERR_PROTOCOL);
    // a frame cut off by the end of the packet: STREAM with a length beyond it
    frames_check(PG_BYTES_LIT("\x0a\x00\x7f\xff"), PG_ERR_PROTOCOL);
    return PG_OK;
}

static void test_quic_hostile__frames_against_the_rules__end_the_connection(void **state)
{
    (void) state;
    machine_run(body_frames);
}

// Many streams, each with one byte far beyond a gap: for each the library keeps a block of 8 KiB.
static pg_err body_gaps(void *arg)
{
    (void) arg;
    scene *made = scene_open(true);
    const pg_quic_conn *target = pg_quic_conn_of(made->there);
    size_t most = 0;
    bool is_open = true;
    for (uint32_t stream = 0; stream < 1000 && is_open; stream += 20) {
        uint8_t frames[QUIC_HOSTILE_BYTES];
        pg_writer writer = pg_writer_make(PG_MUT_BYTES_OF(frames));
        for (uint32_t i = stream; i < stream + 20; i++) {
            pg_writer_u8(&writer, 0x0e); // STREAM with offset and length
            pg_writer_u32be(&writer, 0x80000000U | (i * 4));
            pg_writer_u16be(&writer, 0x4000U | 100); // offset 100
            pg_writer_u8(&writer, 1);
            pg_writer_u8(&writer, 'x');
        }
        is_open = quic_hostile_send(made->here, pg_writer_bytes(&writer));
        CHECK_OK(pg_sleep_until(pg_after(PG_MS(5))));
        most = pg_max_size(most, target->state_bytes);
        is_open = is_open && target->state == PG_QUIC_STATE_OPEN;
    }
    CHECK(!is_open && target->end_err == PG_ERR_NOMEM); // given up long before a thousand
    CHECK(most <= PG_NET_QUIC_STATE_BYTES_MAX + PG_NET_QUIC_WINDOW_BYTES_MIN +
                      1000 * PG_NET_QUIC_STREAM_BYTES_MAX);
    CHECK(most < 2000000);
    scene_close(made);
    return PG_OK;
}

static void test_quic_hostile__gaps_in_many_streams__bounded_memory(void **state)
{
    (void) state;
    machine_run(body_gaps);
}

// A peer that gives endless credit and does not read: it gets no more of us than one that is honest.
static pg_err body_reader_never(void *arg)
{
    (void) arg;
    static const uint8_t much[8000000];
    scene *made = scene_open(true);
    pg_stream *here = NULL;
    pg_stream *there = NULL;
    uint8_t first = 0;
    CHECK_OK(pg_conn_open_stream(made->here, pg_after(PG_SECONDS(1)), &here));
    CHECK_OK(pg_stream_write(here, PG_BYTES_LIT("!"), pg_after(PG_SECONDS(1))));
    CHECK_OK(pg_conn_accept_stream(made->there, pg_after(PG_SECONDS(1)), &there));
    CHECK_OK(pg_stream_read_full(there, pg_mut_bytes_make(&first, 1), pg_after(PG_SECONDS(1))));
    // MAX_DATA and MAX_STREAM_DATA of 2^62 - 1, and nobody reads: what we hold stays small.
    CHECK(quic_hostile_send(made->here, PG_BYTES_LIT("\x10\xff\xff\xff\xff\xff\xff\xff\xff"
                                                     "\x11\x00\xff\xff\xff\xff\xff\xff\xff\xff")));
    pg_err err = pg_stream_write(there, PG_BYTES_OF(much), pg_after(PG_SECONDS(3)));
    pg_conn_info info;
    pg_conn_get_info(made->there, &info);
    CHECK(info.memory_bytes <= PG_NET_CONN_MEMORY_BYTES_MAX);
    CHECK(err != PG_OK); // the honest library at the other end takes no more than its window
    pg_stream_free(&here);
    pg_stream_free(&there);
    scene_close(made);
    return PG_OK;
}

static void test_quic_hostile__endless_credit__no_more_is_held(void **state)
{
    (void) state;
    machine_run(body_reader_never);
}

// ---- Acknowledged before it arrived

typedef struct flood {
    pg_stream *stream;
    pg_err err; // of the write, once is_done
    bool is_done;
} flood;

static pg_err flood_run(void *arg)
{
    static const uint8_t much[100000];
    flood *self = arg;
    while (self->err == PG_OK) {
        self->err = pg_stream_write(self->stream, PG_BYTES_OF(much), pg_after(PG_SECONDS(20)));
    }
    self->is_done = true;
    return PG_OK;
}

static pg_err drain_run(void *arg)
{
    uint8_t space[4096];
    size_t len = 1;
    pg_err err = PG_OK;
    while (err == PG_OK && len > 0) {
        err = pg_stream_read(arg, PG_MUT_BYTES_OF(space), PG_FOREVER, &len);
    }
    return PG_OK;
}

// The packet numbers our library leaves out now and then are acknowledged by none but a liar.
static pg_err body_optimist(void *arg)
{
    (void) arg;
    scene *made = scene_open(true);
    const pg_quic_conn *target = pg_quic_conn_of(made->there);
    pg_stream *here = NULL;
    flood self = {0};
    pg_scope scope;
    pg_scope_init_tolerant(&scope);
    CHECK_OK(pg_conn_open_stream(made->here, pg_after(PG_SECONDS(1)), &here));
    CHECK_OK(pg_stream_write(here, PG_BYTES_LIT("!"), pg_after(PG_SECONDS(1))));
    CHECK_OK(pg_conn_accept_stream(made->there, pg_after(PG_SECONDS(1)), &self.stream));
    CHECK_OK(pg_scope_spawn(&scope, "test.flood", flood_run, &self));
    CHECK_OK(pg_scope_spawn(&scope, "test.drain", drain_run, here));
    bool is_open = true;
    for (int i = 0; i < 10000 && is_open; i++) {
        ngtcp2_conn_info numbers;
        uint8_t frame[] = {0x02, 0x80, 0, 0, 0, 0, 0, 0x80, 0, 0, 0};
        ngtcp2_conn_get_conn_info(target->ngtcp2, &numbers);
        uint32_t largest = numbers.pkt_sent > 20 ? (uint32_t) numbers.pkt_sent - 20 : 0;
        for (int byte = 0; byte < 3; byte++) { // ACK of 0 to `largest`
            frame[2 + byte] = frame[8 + byte] = (uint8_t) (largest >> (16 - 8 * byte));
        }
        is_open = quic_hostile_send(made->here, PG_BYTES_OF(frame));
        CHECK_OK(pg_sleep_until(pg_after(PG_MS(1))));
        is_open = is_open && target->state == PG_QUIC_STATE_OPEN;
    }
    CHECK(!is_open && target->end_err == PG_ERR_PROTOCOL);
    pg_scope_close(&scope);
    CHECK(self.is_done && self.err == PG_ERR_PROTOCOL);
    pg_stream_free(&self.stream);
    pg_stream_free(&here);
    scene_close(made);
    return PG_OK;
}

static void test_quic_hostile__acknowledged_ahead__the_liar_is_found_out(void **state)
{
    (void) state;
    machine_run(body_optimist);
}

static pg_err body_stream_storm(void *arg)
{
    (void) arg;
    static pg_stream *streams
        [STORM_STREAMS]; // its own library has to know them, or it would give up at the answers
    scene *made = scene_open(true);
    const pg_quic_conn *target = pg_quic_conn_of(made->there);
    pg_scope scope;
    pg_scope_init_tolerant(&scope);
    CHECK_OK(pg_scope_spawn(&scope, "test.serve", quic_echo_run, made->there));
    for (size_t i = 0; i < STORM_STREAMS; i++) {
        CHECK_OK(pg_conn_open_stream(made->here, pg_after(PG_SECONDS(1)), &streams[i]));
    }
    // Open and reset at once, as fast as the limit lets: what HTTP/2 calls rapid reset.
    for (uint32_t stream = 0; stream < STORM_STREAMS; stream += 15) {
        uint8_t frames[QUIC_HOSTILE_BYTES];
        pg_writer writer = pg_writer_make(PG_MUT_BYTES_OF(frames));
        for (uint32_t i = stream; i < stream + 15; i++) {
            pg_writer_u8(&writer, 0x0a);
            pg_writer_u32be(&writer, 0x80000000U | (i * 4));
            pg_writer_u8(&writer, 1);
            pg_writer_u8(&writer, 'x');
            pg_writer_u8(&writer, 0x04); // RESET_STREAM
            pg_writer_u32be(&writer, 0x80000000U | (i * 4));
            pg_writer_u8(&writer, 0);
            pg_writer_u8(&writer, 1);
            pg_writer_u8(&writer, 0x05); // STOP_SENDING
            pg_writer_u32be(&writer, 0x80000000U | (i * 4));
            pg_writer_u8(&writer, 0);
        }
        CHECK(quic_hostile_send(made->here, pg_writer_bytes(&writer)));
    }
    CHECK_OK(pg_sleep_until(pg_after(PG_SECONDS(2))));
    pg_conn_info info;
    pg_conn_get_info(made->there, &info);
    CHECK(target->state == PG_QUIC_STATE_OPEN && info.streams_in == 0);
    CHECK(target->state_bytes < PG_NET_QUIC_STATE_BYTES_MAX);
    for (size_t i = 0; i < STORM_STREAMS; i++) {
        pg_stream_free(&streams[i]);
    }
    pg_conn_free(&made->here);
    pg_scope_close(&scope);
    scene_close(made);
    return PG_OK;
}

static void test_quic_hostile__streams_opened_and_reset__nothing_is_left(void **state)
{
    (void) state;
    machine_run(body_stream_storm);
}

// ---- Handshakes changed on the way, by somebody with the keys of their packets

static pg_err body_handshake_changed(void *arg)
{
    (void) arg;
    static const uint8_t ones[] = {0xff, 0x01, 0x80};
    size_t made_it = 0;
    for (unsigned i = 0; i < 120; i++) {
        pg_endpoint at = own_address();
        quic_side server;
        quic_side client;
        pg_conn *conn = NULL;
        const quic_side_options options = {.handshake_timeout_ns = PG_MS(500)};
        quic_side_open(&server, 1, &at, &options);
        quic_side_open(&client, 2, &at, &options);
        quic_hostile_change(1 + i % 7, 13 * i, PG_BYTES_OF(ones));
        pg_err err = quic_side_dial(&client, &server, &conn);
        CHECK(err == PG_OK || conn == NULL);
        made_it += err == PG_OK ? 1 : 0;
        quic_hostile_stop();
        pg_conn_free(&conn);
        quic_side_close(&client);
        quic_side_close(&server);
    }
    CHECK(made_it < 60); // a change of padding, or of what is sent again, does no harm
    return PG_OK;
}

static void test_quic_hostile__handshake_changed__fails_in_time(void **state)
{
    (void) state;
    machine_run(body_handshake_changed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_quic_hostile__flood_of_unknown_versions__few_answers_no_state),
        cmocka_unit_test(test_quic_hostile__address_that_never_answers__gets_three_times_at_most),
        cmocka_unit_test(test_quic_hostile__flood_of_first_packets__retry_and_others_get_in),
        cmocka_unit_test(test_quic_hostile__garbage__connection_stands),
        cmocka_unit_test(test_quic_hostile__forged_retry_and_versions__are_not_believed),
        cmocka_unit_test(test_quic_hostile__token_we_never_made__is_refused_without_state),
        cmocka_unit_test(test_quic_hostile__packet_sent_on_from_a_victim__gets_three_times_at_most),
        cmocka_unit_test(test_quic_hostile__frames_against_the_rules__end_the_connection),
        cmocka_unit_test(test_quic_hostile__gaps_in_many_streams__bounded_memory),
        cmocka_unit_test(test_quic_hostile__endless_credit__no_more_is_held),
        cmocka_unit_test(test_quic_hostile__acknowledged_ahead__the_liar_is_found_out),
        cmocka_unit_test(test_quic_hostile__streams_opened_and_reset__nothing_is_left),
        cmocka_unit_test(test_quic_hostile__handshake_changed__fails_in_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
