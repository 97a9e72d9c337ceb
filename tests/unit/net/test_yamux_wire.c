// SPDX-License-Identifier: Apache-2.0
// Goal: what a session puts on the wire is what the specification and other implementations expect, and what a hostile peer
// puts there costs no more than its session. Method: one session; the test plays its peer byte by byte.
#include "net/limits.h"
#include "net/yamux.h"
#include "net/yamux_flow.h"
#include "net/yamux_frame.h"
#include "net_test.h"

#define SYN PG_YAMUX_FLAG_SYN
#define ACK PG_YAMUX_FLAG_ACK
#define FIN PG_YAMUX_FLAG_FIN
#define RST PG_YAMUX_FLAG_RST

// The session under test listens: the peer's ids are odd.
typedef struct fixture {
    pg_yamux *yamux;
    pg_stream *wire; // the peer's end of the carrier
    pg_conn_memory memory;
} fixture;

static void send_frame(fixture *f, pg_yamux_type type, unsigned flags, uint32_t id, uint32_t length)
{
    uint8_t header[PG_YAMUX_HEADER_BYTES];
    pg_yamux_frame frame = {type, (uint16_t) flags, id, length};
    pg_yamux_frame_encode(&frame, header);
    CHECK_OK(pg_stream_write(f->wire, PG_BYTES_OF(header), pg_after(PG_SECONDS(60))));
}

static void send_data(fixture *f, unsigned flags, uint32_t id, const char *text)
{
    send_frame(f, PG_YAMUX_TYPE_DATA, flags, id, (uint32_t) strlen(text));
    CHECK_OK(pg_stream_write(f->wire, pg_bytes_cstr(text), pg_after(PG_SECONDS(60))));
}

static pg_yamux_frame next_frame(fixture *f)
{
    uint8_t header[PG_YAMUX_HEADER_BYTES];
    CHECK_OK(pg_stream_read_full(f->wire, PG_MUT_BYTES_OF(header), pg_after(PG_SECONDS(60))));
    pg_yamux_frame frame = {0};
    CHECK_OK(pg_yamux_frame_decode(PG_BYTES_OF(header), &frame));
    return frame;
}

static void expect_frame(fixture *f, pg_yamux_type type, unsigned flags, uint32_t id,
                         uint32_t length)
{
    pg_yamux_frame frame = next_frame(f);
    CHECK(frame.type == type);
    CHECK(frame.flags == flags);
    CHECK(frame.stream_id == id);
    CHECK(frame.length == length);
}

static void expect_text(fixture *f, unsigned flags, uint32_t id, const char *text)
{
    expect_frame(f, PG_YAMUX_TYPE_DATA, flags, id, (uint32_t) strlen(text));
    uint8_t got[64];
    CHECK_OK(pg_stream_read_full(f->wire, (pg_mut_bytes){got, strlen(text)}, PG_FOREVER));
    CHECK(memcmp(got, text, strlen(text)) == 0);
}

static void read_text(pg_stream *stream, const char *text)
{
    uint8_t got[64];
    CHECK_OK(
        pg_stream_read_full(stream, (pg_mut_bytes){got, strlen(text)}, pg_after(PG_SECONDS(60))));
    CHECK(memcmp(got, text, strlen(text)) == 0);
}

static pg_err read_err(pg_stream *stream)
{
    uint8_t byte = 0;
    size_t len = 0;
    return pg_stream_read(stream, (pg_mut_bytes){&byte, 1}, pg_after(PG_SECONDS(60)), &len);
}

static void expect_eof(pg_stream *stream)
{
    uint8_t byte = 0;
    size_t len = 1;
    CHECK_OK(pg_stream_read(stream, (pg_mut_bytes){&byte, 1}, pg_after(PG_SECONDS(60)), &len));
    CHECK(len == 0);
}

static void setup(fixture *f, const pg_conn_limits *limits)
{
    *f = (fixture){.memory = {.max_bytes = 64 * 1024 * 1024}};
    pg_conn_limits used = limits != NULL ? *limits : pg_conn_limits_default(&f->memory);
    used.shared = &f->memory;
    pg_stream *carrier = NULL;
    CHECK_OK(pg_stream_pair(1024 * 1024, &carrier, &f->wire));
    CHECK_OK(pg_yamux_new(&carrier, false, &used, &f->yamux));
    expect_frame(f, PG_YAMUX_TYPE_PING, SYN, 0, 1);
    send_frame(f, PG_YAMUX_TYPE_PING, ACK, 0, 1);
}

static void teardown(fixture *f)
{
    pg_yamux_free(&f->yamux);
    pg_stream_free(&f->wire);
    CHECK(f->memory.used_bytes == 0);
}

static pg_stream *accept_stream(fixture *f)
{
    pg_stream *stream = NULL;
    CHECK_OK(pg_yamux_accept(f->yamux, pg_after(PG_SECONDS(60)), &stream));
    return stream;
}

// The peer broke the rules: it hears so, and the session has ended with this error.
static void expect_goodbye(fixture *f, pg_err err, const char *text)
{
    pg_yamux_frame frame = next_frame(f);
    while (frame.type != PG_YAMUX_TYPE_GO_AWAY) {
        frame = next_frame(f);
    }
    CHECK(frame.length == PG_YAMUX_CODE_PROTOCOL);
    pg_stream *stream = NULL;
    pg_err got = PG_OK;
    while ((got = pg_yamux_accept(f->yamux, pg_after(PG_SECONDS(60)), &stream)) == PG_OK) {
        pg_stream_free(&stream);
    }
    CHECK(got == err);
    CHECK(strstr(pg_error_detail(got), text) != NULL);
}

static pg_err opened_here(void *arg)
{
    (void) arg;
    fixture f;
    setup(&f, NULL);
    pg_stream *stream = NULL;
    CHECK_OK(pg_yamux_open(f.yamux, PG_FOREVER, &stream));
    CHECK_OK(pg_stream_write(stream, PG_BYTES_LIT("hello"), PG_FOREVER));
    CHECK_OK(pg_stream_close_write(stream, PG_FOREVER));
    expect_frame(&f, PG_YAMUX_TYPE_WINDOW, SYN, 2, 0);
    expect_text(&f, 0, 2, "hello");
    expect_frame(&f, PG_YAMUX_TYPE_WINDOW, FIN, 2, 0);
    send_data(&f, ACK, 2, "world");
    send_frame(&f, PG_YAMUX_TYPE_WINDOW, FIN, 2, 0);
    read_text(stream, "world");
    expect_eof(stream);
    CHECK(pg_yamux_get_stats(f.yamux).streams_out == 0);
    CHECK(pg_yamux_get_stats(f.yamux).rtt_ns > 0);
    CHECK(pg_stream_write(stream, PG_BYTES_LIT("more"), PG_FOREVER) == PG_ERR_CLOSED);
    pg_stream_free(&stream);
    teardown(&f);
    return PG_OK;
}

static void test_wire__stream_opened_here__flags_ride_on_window_updates(void **state)
{
    (void) state;
    net_test_run(opened_here, NULL);
}

static pg_err opened_there(void *arg)
{
    (void) arg;
    fixture f;
    setup(&f, NULL);
    send_data(&f, SYN, 1, "early"); // SYN on data, with payload
    pg_stream *stream = accept_stream(&f);
    expect_frame(&f, PG_YAMUX_TYPE_WINDOW, ACK, 1, 0);
    read_text(stream, "early");
    send_data(&f, FIN, 1, "late"); // FIN with payload: the payload counts first
    read_text(stream, "late");
    expect_eof(stream);
    CHECK_OK(pg_stream_close_write(stream, PG_FOREVER));
    CHECK_OK(pg_stream_close_write(stream, PG_FOREVER)); // again is fine
    expect_frame(&f, PG_YAMUX_TYPE_WINDOW, FIN, 1, 0);
    send_frame(&f, PG_YAMUX_TYPE_WINDOW, 0, 1, 5); // late update
    send_data(&f, 0, 99, "stranger");              // drained
    send_frame(&f, PG_YAMUX_TYPE_PING, SYN, 0, 0xdeadbeef);
    expect_frame(&f, PG_YAMUX_TYPE_PING, ACK, 0, 0xdeadbeef);
    send_frame(&f, PG_YAMUX_TYPE_PING, ACK, 0, 77); // never asked for
    pg_stream_free(&stream);
    CHECK(pg_yamux_get_stats(f.yamux).streams_in == 0);
    teardown(&f);
    return PG_OK;
}

static void test_wire__stream_opened_there__data_fin_and_late_frames_are_taken(void **state)
{
    (void) state;
    net_test_run(opened_there, NULL);
}

static pg_err resets(void *arg)
{
    (void) arg;
    fixture f;
    setup(&f, NULL);
    send_data(&f, SYN, 1, "abc");
    pg_stream *stream = accept_stream(&f);
    expect_frame(&f, PG_YAMUX_TYPE_WINDOW, ACK, 1, 0);
    send_frame(&f, PG_YAMUX_TYPE_WINDOW, RST, 1, 12345); // a code where credit stands
    send_data(&f, SYN, 3, "x");
    pg_stream *other = accept_stream(&f);
    CHECK(read_err(stream) == PG_ERR_RESET);
    CHECK(pg_stream_write(stream, PG_BYTES_LIT("x"), PG_FOREVER) == PG_ERR_RESET);
    CHECK(pg_stream_close_write(stream, PG_FOREVER) == PG_ERR_RESET);
    pg_stream_reset(stream); // nothing left to do
    pg_stream_free(&stream);
    expect_frame(&f, PG_YAMUX_TYPE_WINDOW, ACK, 3, 0);
    pg_stream_reset(other);
    CHECK(read_err(other) == PG_ERR_CLOSED);
    expect_frame(&f, PG_YAMUX_TYPE_WINDOW, RST, 3, 0);
    pg_stream_free(&other);
    send_data(&f, 0, 3, "under way"); // drained
    send_frame(&f, PG_YAMUX_TYPE_WINDOW, SYN, 5, 0);
    other = accept_stream(&f);
    pg_stream_free(&other); // not finished: reset
    expect_frame(&f, PG_YAMUX_TYPE_WINDOW, RST, 5, 0);
    CHECK(pg_yamux_get_stats(f.yamux).streams_in == 0);
    // Opened and reset at once: the peer never hears of it.
    CHECK_OK(pg_yamux_open(f.yamux, PG_FOREVER, &stream));
    pg_stream_free(&stream);
    send_frame(&f, PG_YAMUX_TYPE_PING, SYN, 0, 7);
    expect_frame(&f, PG_YAMUX_TYPE_PING, ACK, 0, 7);
    CHECK(pg_yamux_get_stats(f.yamux).streams_out == 0);
    teardown(&f);
    return PG_OK;
}

static void test_wire__reset_by_either__ends_both_directions(void **state)
{
    (void) state;
    net_test_run(resets, NULL);
}

static pg_err reset_before_accept(void *arg)
{
    (void) arg;
    fixture f;
    setup(&f, NULL);
    for (uint32_t i = 0; i < 1000; i++) {
        send_frame(&f, PG_YAMUX_TYPE_WINDOW, SYN, 1 + 2 * i, 0);
        send_frame(&f, PG_YAMUX_TYPE_WINDOW, RST, 1 + 2 * i, 0);
    }
    send_data(&f, SYN, 2001, "x");
    pg_stream *stream = accept_stream(&f);
    while (read_err(stream) == PG_ERR_RESET) { // accepted just before its reset came
        pg_stream_free(&stream);
        stream = accept_stream(&f);
    }
    CHECK(pg_yamux_get_stats(f.yamux).streams_in == 1);
    teardown(&f);
    CHECK(read_err(stream) == PG_ERR_CLOSED); // outlives its connection
    CHECK(pg_stream_write(stream, PG_BYTES_LIT("x"), PG_FOREVER) == PG_ERR_CLOSED);
    pg_stream_reset(stream);
    pg_stream_free(&stream);
    return PG_OK;
}

static void test_wire__reset_before_accept__leaves_nothing(void **state)
{
    (void) state;
    net_test_run(reset_before_accept, NULL);
}

typedef struct offence {
    pg_yamux_type type;
    unsigned flags;
    uint32_t id;
    uint32_t length;
    const char *text; // of the error
} offence;

static pg_err offend(void *arg)
{
    const offence *o = arg;
    fixture f;
    setup(&f, NULL);
    send_frame(&f, PG_YAMUX_TYPE_WINDOW, SYN, 1, 0);
    send_frame(&f, o->type, o->flags, o->id, o->length);
    expect_goodbye(&f, PG_ERR_PROTOCOL, o->text);
    teardown(&f);
    return PG_OK;
}

static void test_wire__broken_rule__ends_the_session_with_go_away_1(void **state)
{
    (void) state;
    offence offences[] = {
        {PG_YAMUX_TYPE_WINDOW, SYN, 2, 0, "an id of ours"},
        {PG_YAMUX_TYPE_WINDOW, SYN, 1, 0, "twice"},
        {PG_YAMUX_TYPE_DATA, 0, 1, 262145, "credit for 262144"},
        {PG_YAMUX_TYPE_WINDOW, 0, 1, UINT32_MAX, "credit of more"},
        {PG_YAMUX_TYPE_DATA, 0, 0, 1, "stream 0"},
    };
    for (size_t i = 0; i < PG_ARRAY_LEN(offences); i++) {
        net_test_run(offend, &offences[i]);
    }
}

static pg_err garbage(void *arg)
{
    (void) arg;
    fixture f;
    setup(&f, NULL);
    CHECK_OK(pg_stream_write(f.wire, PG_BYTES_LIT("GET / HTTP/1.1\r\n\r\n"), PG_FOREVER));
    expect_goodbye(&f, PG_ERR_PROTOCOL, "version 71");
    pg_stream *stream = NULL;
    CHECK(pg_yamux_open(f.yamux, PG_FOREVER, &stream) == PG_ERR_PROTOCOL);
    CHECK(pg_yamux_close(f.yamux, PG_FOREVER) == PG_ERR_PROTOCOL);
    teardown(&f);
    return PG_OK;
}

static void test_wire__garbage__ends_the_session(void **state)
{
    (void) state;
    net_test_run(garbage, NULL);
}

static pg_err flood_refusals(void *arg)
{
    fixture *f = arg;
    uint32_t refused = 0;
    while (refused < 10000 - PG_NET_STREAMS_ACCEPT_MAX) {
        pg_yamux_frame frame = next_frame(f);
        CHECK(frame.type == PG_YAMUX_TYPE_WINDOW && frame.flags == RST);
        refused++;
    }
    return PG_OK;
}

static pg_err flood(void *arg)
{
    (void) arg;
    fixture f;
    setup(&f, NULL);
    pg_scope scope;
    pg_scope_init(&scope);
    CHECK_OK(pg_scope_spawn(&scope, "test.reader", flood_refusals, &f));
    for (uint32_t i = 0; i < 10000; i++) {
        send_frame(&f, PG_YAMUX_TYPE_WINDOW, SYN, 1 + 2 * i, 0);
    }
    CHECK_OK(pg_scope_join(&scope));
    CHECK(pg_yamux_get_stats(f.yamux).streams_in == PG_NET_STREAMS_ACCEPT_MAX);
    pg_stream *stream = accept_stream(&f); // the others are served
    pg_stream_free(&stream);
    teardown(&f);
    return PG_OK;
}

static void test_wire__ten_thousand_streams__excess_is_refused(void **state)
{
    (void) state;
    net_test_run(flood, NULL);
}

#define FLOOD_PINGS 200000u

static pg_err flood_pings(void *arg)
{
    for (uint32_t i = 0; i < FLOOD_PINGS; i++) {
        send_frame(arg, PG_YAMUX_TYPE_PING, SYN, 0, i);
    }
    return PG_OK;
}

// More answers than the carrier holds: the session waits with them, the flooder waits with the rest.
static pg_err pings_unread(void *arg)
{
    (void) arg;
    fixture f;
    setup(&f, NULL);
    pg_scope scope;
    pg_scope_init(&scope);
    CHECK_OK(pg_scope_spawn(&scope, "test.flood", flood_pings, &f));
    while (pg_yamux_get_stats(f.yamux).bytes_out < 1000000) {
        CHECK_OK(pg_fiber_yield());
    }
    for (uint32_t i = 0; i < FLOOD_PINGS; i++) {
        expect_frame(&f, PG_YAMUX_TYPE_PING, ACK, 0, i);
    }
    CHECK_OK(pg_scope_join(&scope));
    teardown(&f);
    return PG_OK;
}

static void test_wire__flood_of_pings__each_is_answered_in_turn(void **state)
{
    (void) state;
    net_test_run(pings_unread, NULL);
}

static pg_err credit(void *arg)
{
    (void) arg;
    fixture f;
    setup(&f, NULL);
    send_frame(&f, PG_YAMUX_TYPE_WINDOW, SYN, 1, 0);
    pg_stream *stream = accept_stream(&f);
    expect_frame(&f, PG_YAMUX_TYPE_WINDOW, ACK, 1, 0);
    static uint8_t bytes[262144 + 100];
    pg_err err = pg_stream_write(stream, PG_BYTES_OF(bytes), pg_after(PG_MS(1)));
    CHECK(err == PG_ERR_TIMEOUT); // 100 bytes wait for credit
    static uint8_t got[PG_YAMUX_DATA_BYTES_MAX];
    for (size_t left = 262144; left > 0;) {
        pg_yamux_frame frame = next_frame(&f);
        CHECK(frame.type == PG_YAMUX_TYPE_DATA && frame.length <= sizeof(got));
        CHECK_OK(pg_stream_read_full(f.wire, (pg_mut_bytes){got, frame.length}, PG_FOREVER));
        CHECK(frame.length <= left);
        left -= frame.length;
    }
    pg_bytes parts[] = {PG_BYTES_EMPTY, PG_BYTES_LIT("ab"), PG_BYTES_LIT("cd"), PG_BYTES_EMPTY};
    err = pg_stream_writev(stream, parts, PG_ARRAY_LEN(parts), pg_after(PG_MS(1)));
    CHECK(err == PG_ERR_TIMEOUT);
    send_frame(&f, PG_YAMUX_TYPE_WINDOW, 0, 1, 3);
    send_frame(&f, PG_YAMUX_TYPE_WINDOW, 0, 1, 100);
    CHECK_OK(pg_stream_writev(stream, parts, PG_ARRAY_LEN(parts), PG_FOREVER));
    pg_yamux_frame frame = next_frame(&f);
    CHECK(frame.type == PG_YAMUX_TYPE_DATA && (frame.length == 3 || frame.length == 4));
    pg_stream_free(&stream);
    teardown(&f);
    return PG_OK;
}

static void test_wire__no_credit__writer_waits_and_never_exceeds_it(void **state)
{
    (void) state;
    net_test_run(credit, NULL);
}

static pg_err memory_bound(void *arg)
{
    (void) arg;
    fixture f;
    pg_conn_limits limits = pg_conn_limits_default(NULL);
    limits.memory_max_bytes = 600 * 1024;
    setup(&f, &limits);
    static uint8_t payload[200 * 1024];
    pg_stream *streams[4];
    for (uint32_t i = 0; i < 4; i++) {
        send_frame(&f, PG_YAMUX_TYPE_WINDOW, SYN, 1 + 2 * i, 0);
        streams[i] = accept_stream(&f);
        send_frame(&f, PG_YAMUX_TYPE_DATA, 0, 1 + 2 * i, sizeof(payload));
        CHECK_OK(pg_stream_write(f.wire, PG_BYTES_OF(payload), pg_after(PG_SECONDS(60))));
    }
    pg_yamux_frame frame = next_frame(&f);
    while (frame.flags != RST) {
        frame = next_frame(&f);
    }
    CHECK(frame.stream_id == 7);
    CHECK(pg_yamux_get_stats(f.yamux).memory_bytes <= limits.memory_max_bytes);
    CHECK(f.memory.used_bytes <= limits.memory_max_bytes - PG_NET_CONN_MEMORY_BYTES_FREE);
    for (uint32_t i = 0; i < 3; i++) {
        CHECK_OK(pg_stream_read_full(streams[i], PG_MUT_BYTES_OF(payload), PG_FOREVER));
        pg_stream_free(&streams[i]);
    }
    CHECK(read_err(streams[3]) == PG_ERR_LIMIT);
    pg_stream_free(&streams[3]);
    CHECK(pg_yamux_get_stats(f.yamux).memory_bytes == 0);
    teardown(&f);
    return PG_OK;
}

static void test_wire__unread_bytes_beyond_the_budget__stream_is_reset(void **state)
{
    (void) state;
    net_test_run(memory_bound, NULL);
}

static pg_err lost(void *arg)
{
    bool in_order = arg != NULL;
    fixture f;
    setup(&f, NULL);
    send_data(&f, SYN | FIN, 1, "whole");
    send_data(&f, SYN, 3, "half");
    if (in_order) {
        send_frame(&f, PG_YAMUX_TYPE_GO_AWAY, 0, 0, PG_YAMUX_CODE_NORMAL);
    }
    pg_stream *whole = accept_stream(&f);
    pg_stream *half = accept_stream(&f);
    CHECK_OK(pg_stream_close_write(f.wire, PG_FOREVER));
    pg_stream *none = NULL;
    CHECK(pg_yamux_accept(f.yamux, PG_FOREVER, &none) == PG_ERR_CLOSED);
    CHECK(pg_yamux_open(f.yamux, PG_FOREVER, &none) == PG_ERR_CLOSED);
    read_text(whole, "whole");
    expect_eof(whole);
    read_text(half, "half");
    CHECK(read_err(half) == PG_ERR_CLOSED); // the end of the connection is not the end of the data
    CHECK(pg_yamux_close(f.yamux, PG_FOREVER) == (in_order ? PG_OK : PG_ERR_CLOSED));
    pg_stream_free(&whole);
    pg_stream_free(&half);
    teardown(&f);
    return PG_OK;
}

static void test_wire__end_of_carrier__what_came_is_read_the_rest_is_lost(void **state)
{
    (void) state;
    int yes = 1;
    net_test_run(lost, NULL);
    net_test_run(lost, &yes);
}

static pg_err go_away_error(void *arg)
{
    (void) arg;
    fixture f;
    setup(&f, NULL);
    send_frame(&f, PG_YAMUX_TYPE_GO_AWAY, 0, 0, PG_YAMUX_CODE_INTERNAL);
    pg_stream *stream = NULL;
    CHECK(pg_yamux_accept(f.yamux, PG_FOREVER, &stream) == PG_ERR_RESET);
    CHECK(strstr(pg_error_detail(PG_ERR_RESET), "code 2") != NULL);
    teardown(&f);
    return PG_OK;
}

static void test_wire__go_away_with_a_code__ends_the_session(void **state)
{
    (void) state;
    net_test_run(go_away_error, NULL);
}

static pg_err go_away_open(void *arg)
{
    (void) arg;
    fixture f;
    setup(&f, NULL);
    pg_stream *stream = NULL;
    CHECK_OK(pg_yamux_open(f.yamux, PG_FOREVER, &stream));
    expect_frame(&f, PG_YAMUX_TYPE_WINDOW, SYN, 2, 0);
    send_frame(&f, PG_YAMUX_TYPE_GO_AWAY, 0, 0, PG_YAMUX_CODE_NORMAL);
    send_data(&f, ACK, 2, "go on");
    read_text(stream, "go on");
    pg_stream *more = NULL;
    CHECK(pg_yamux_open(f.yamux, PG_FOREVER, &more) == PG_ERR_CLOSED);
    pg_stream_free(&stream);
    teardown(&f);
    return PG_OK;
}

static void test_wire__go_away_0__open_streams_go_on(void **state)
{
    (void) state;
    net_test_run(go_away_open, NULL);
}

static pg_err close_session(void *arg)
{
    fixture *f = arg;
    return pg_yamux_close(f->yamux, PG_FOREVER);
}

static pg_err close_flushes(void *arg)
{
    (void) arg;
    fixture f;
    setup(&f, NULL);
    pg_stream *stream = NULL;
    CHECK_OK(pg_yamux_open(f.yamux, PG_FOREVER, &stream));
    CHECK_OK(pg_stream_write(stream, PG_BYTES_LIT("last words"), PG_FOREVER));
    CHECK_OK(pg_stream_close_write(stream, PG_FOREVER));
    pg_scope scope;
    pg_scope_init(&scope);
    CHECK_OK(pg_scope_spawn(&scope, "test.closer", close_session, &f));
    expect_frame(&f, PG_YAMUX_TYPE_WINDOW, SYN, 2, 0);
    expect_text(&f, 0, 2, "last words");
    expect_frame(&f, PG_YAMUX_TYPE_WINDOW, FIN, 2, 0);
    expect_frame(&f, PG_YAMUX_TYPE_GO_AWAY, 0, 0, 0);
    expect_eof(f.wire);
    pg_stream *none = NULL;
    CHECK(pg_yamux_open(f.yamux, PG_FOREVER, &none) == PG_ERR_CLOSED);
    send_data(&f, ACK | FIN, 2, "yours"); // what the peer still says is heard
    CHECK_OK(pg_stream_close_write(f.wire, PG_FOREVER));
    CHECK_OK(pg_scope_join(&scope));
    read_text(stream, "yours");
    expect_eof(stream);
    pg_stream_free(&stream);
    teardown(&f);
    return PG_OK;
}

static pg_err close_times_out(void *arg)
{
    (void) arg;
    fixture f;
    setup(&f, NULL);
    CHECK(pg_yamux_close(f.yamux, pg_after(PG_MS(1))) == PG_ERR_TIMEOUT); // the peer stays
    CHECK(pg_yamux_close(f.yamux, PG_FOREVER) == PG_ERR_CLOSED);          // it was aborted
    teardown(&f);
    return PG_OK;
}

static void test_wire__close_and_the_peer_stays__is_aborted_in_time(void **state)
{
    (void) state;
    net_test_run(close_times_out, NULL);
}

static void test_wire__close__flushes_then_says_goodbye(void **state)
{
    (void) state;
    net_test_run(close_flushes, NULL);
}

static pg_err unacked(void *arg)
{
    (void) arg;
    fixture f;
    setup(&f, NULL);
    static pg_stream *streams[PG_NET_STREAMS_UNACKED_MAX + 1];
    for (uint32_t i = 0; i < PG_NET_STREAMS_UNACKED_MAX; i++) {
        CHECK_OK(pg_yamux_open(f.yamux, PG_FOREVER, &streams[i]));
        expect_frame(&f, PG_YAMUX_TYPE_WINDOW, SYN, 2 + 2 * i, 0);
    }
    pg_stream **last = &streams[PG_NET_STREAMS_UNACKED_MAX];
    CHECK(pg_yamux_open(f.yamux, pg_after(PG_SECONDS(1)), last) == PG_ERR_TIMEOUT);
    send_frame(&f, PG_YAMUX_TYPE_WINDOW, ACK, 2, 0);
    CHECK_OK(pg_yamux_open(f.yamux, pg_after(PG_SECONDS(1)), last));
    for (uint32_t i = 0; i <= PG_NET_STREAMS_UNACKED_MAX; i++) {
        pg_stream_free(&streams[i]);
    }
    teardown(&f);
    return PG_OK;
}

static void test_wire__256_streams_not_acknowledged__the_next_waits(void **state)
{
    (void) state;
    net_test_run(unacked, NULL);
}

static pg_err keepalive(void *arg)
{
    (void) arg;
    fixture f;
    setup(&f, NULL);
    pg_time begin = pg_now();
    for (uint32_t i = 2; i < 5; i++) {
        expect_frame(&f, PG_YAMUX_TYPE_PING, SYN, 0, i);
        send_frame(&f, PG_YAMUX_TYPE_PING, ACK, 0, i);
    }
    CHECK(pg_now() - begin == 3 * PG_MS(PG_NET_KEEPALIVE_MS));
    // No answer, but other bytes: it lives. Nothing at all: it is dead after 10 s.
    expect_frame(&f, PG_YAMUX_TYPE_PING, SYN, 0, 5);
    CHECK_OK(pg_sleep_until(pg_after(PG_SECONDS(9))));
    send_frame(&f, PG_YAMUX_TYPE_WINDOW, 0, 99, 1);
    begin = pg_now();
    pg_stream *stream = NULL;
    CHECK(pg_yamux_accept(f.yamux, PG_FOREVER, &stream) == PG_ERR_TIMEOUT);
    CHECK(strstr(pg_error_detail(PG_ERR_TIMEOUT), "pings") != NULL);
    CHECK(pg_now() - begin == PG_MS(PG_NET_PING_TIMEOUT_MS));
    teardown(&f);
    return PG_OK;
}

static void test_wire__idle__pings_every_30_s_and_gives_up_after_10(void **state)
{
    (void) state;
    net_test_run(keepalive, NULL);
}

static pg_err read_for_ever(void *arg)
{
    uint8_t byte = 0;
    size_t len = 0;
    return pg_stream_read(arg, (pg_mut_bytes){&byte, 1}, PG_FOREVER, &len);
}

static pg_err write_for_ever(void *arg)
{
    static uint8_t bytes[PG_NET_WINDOW_BYTES_MIN + 1];
    return pg_stream_write(arg, PG_BYTES_OF(bytes), PG_FOREVER);
}

static pg_err waits_end(void *arg)
{
    (void) arg;
    fixture f;
    setup(&f, NULL);
    pg_stream *stream = NULL;
    CHECK_OK(pg_yamux_open(f.yamux, PG_FOREVER, &stream));
    uint8_t byte = 0;
    size_t len = 0;
    pg_mut_bytes space = {&byte, 1};
    CHECK(pg_stream_read(stream, space, pg_after(PG_SECONDS(1)), &len) == PG_ERR_TIMEOUT);
    pg_scope scope;
    pg_scope_init(&scope);
    CHECK_OK(pg_scope_spawn(&scope, "test.read", read_for_ever, stream));
    CHECK_OK(pg_scope_spawn(&scope, "test.write", write_for_ever, stream));
    CHECK_OK(pg_sleep_until(pg_after(PG_SECONDS(1))));
    pg_scope_close(&scope); // cancels both
    pg_scope_init(&scope);
    CHECK_OK(pg_scope_spawn(&scope, "test.read", read_for_ever, stream));
    CHECK_OK(pg_sleep_until(pg_after(PG_SECONDS(1))));
    pg_stream_reset(stream);
    CHECK(pg_scope_join(&scope) == PG_ERR_CLOSED);
    pg_stream_free(&stream);
    CHECK_OK(pg_yamux_open(f.yamux, PG_FOREVER, &stream));
    pg_scope_init_tolerant(&scope);
    CHECK_OK(pg_scope_spawn(&scope, "test.read", read_for_ever, stream));
    CHECK_OK(pg_scope_spawn(&scope, "test.write", write_for_ever, stream));
    CHECK_OK(pg_sleep_until(pg_after(PG_SECONDS(1))));
    pg_yamux_free(&f.yamux); // ends both waits; the stream is still ours
    CHECK_OK(pg_scope_join(&scope));
    pg_stream_free(&stream);
    teardown(&f);
    return PG_OK;
}

static void test_wire__waits_on_a_stream__end_by_deadline_cancel_reset_and_end(void **state)
{
    (void) state;
    net_test_run(waits_end, NULL);
}

static pg_err peer_never_reads(void *arg)
{
    (void) arg;
    pg_conn_limits limits = pg_conn_limits_default(NULL);
    pg_stream *carrier = NULL;
    pg_stream *wire = NULL;
    pg_yamux *yamux = NULL;
    pg_stream *stream = NULL;
    CHECK_OK(pg_stream_pair(1000, &carrier, &wire));
    CHECK_OK(pg_yamux_new(&carrier, true, &limits, &yamux));
    CHECK_OK(pg_yamux_open(yamux, PG_FOREVER, &stream));
    CHECK_OK(pg_stream_write(stream, PG_BYTES_OF(((uint8_t[5000]){0})), PG_FOREVER));
    pg_stream *none = NULL;
    for (int i = 0; i < 20; i++) { // it sends, so that it is not taken for dead, but takes nothing
        pg_yamux_frame frame = {PG_YAMUX_TYPE_WINDOW, 0, 98, 1};
        uint8_t header[PG_YAMUX_HEADER_BYTES];
        pg_yamux_frame_encode(&frame, header);
        if (pg_stream_write(wire, PG_BYTES_OF(header), pg_after(PG_SECONDS(1))) != PG_OK) {
            break;
        }
        CHECK_OK(pg_sleep_until(pg_after(PG_SECONDS(5))));
    }
    CHECK(pg_yamux_accept(yamux, PG_FOREVER, &none) == PG_ERR_TIMEOUT);
    pg_stream_free(&stream);
    pg_yamux_free(&yamux);
    pg_stream_free(&wire);
    return PG_OK;
}

static void test_wire__peer_that_takes_nothing__session_ends(void **state)
{
    (void) state;
    net_test_run(peer_never_reads, NULL);
}

static pg_err out_of_memory(void *arg)
{
    (void) arg;
    bool failed = true;
    for (uint64_t nth = 1; failed; nth++) {
        fixture f;
        setup(&f, NULL);
        send_data(&f, SYN, 1, "some data");
        pg_mem_fail_nth(nth);
        pg_stream *in = NULL;
        pg_stream *out = NULL;
        pg_err err = pg_yamux_accept(f.yamux, pg_after(PG_SECONDS(1)), &in);
        err = err == PG_OK ? pg_yamux_open(f.yamux, PG_FOREVER, &out) : err;
        err = err == PG_OK ? pg_stream_write(out, PG_BYTES_LIT("x"), pg_after(PG_SECONDS(1))) : err;
        err = err == PG_OK ? pg_fiber_yield() : err;
        failed = pg_mem_failed();
        pg_mem_fail_nth(0);
        CHECK(failed || err == PG_OK);
        pg_stream_free(&in);
        pg_stream_free(&out);
        teardown(&f);
    }
    return PG_OK;
}

static void test_wire__any_allocation_fails__nothing_leaks(void **state)
{
    (void) state;
    net_test_run(out_of_memory, NULL);
}

static void test_frame__header__survives_the_round_trip(void **state)
{
    (void) state;
    pg_yamux_frame frame = {PG_YAMUX_TYPE_GO_AWAY, 0xfff0, 0, 0x01020304};
    uint8_t header[PG_YAMUX_HEADER_BYTES];
    pg_yamux_frame_encode(&frame, header);
    static const uint8_t wire[] = {0, 3, 0xff, 0xf0, 0, 0, 0, 0, 1, 2, 3, 4};
    assert_memory_equal(header, wire, sizeof(wire));
    pg_yamux_frame back = {0};
    assert_int_equal(pg_yamux_frame_decode(PG_BYTES_OF(header), &back), PG_OK);
    assert_memory_equal(&back, &frame, sizeof(frame));
    assert_int_equal(pg_yamux_frame_decode(pg_bytes_make(header, 11), &back), PG_ERR_TRUNCATED);
    header[1] = 4;
    assert_int_equal(pg_yamux_frame_decode(PG_BYTES_OF(header), &back), PG_ERR_PROTOCOL);
}

static void test_flow__window_used_within_four_round_trips__doubles(void **state)
{
    (void) state;
    pg_yamux_flow flow = pg_yamux_flow_make(1000);
    uint32_t max = 1024 * 1024;
    assert_int_equal(pg_yamux_flow_on_data(&flow, 262144), PG_OK);
    assert_int_equal(pg_yamux_flow_on_data(&flow, 1), PG_ERR_PROTOCOL);
    assert_int_equal(pg_yamux_flow_on_read(&flow, 131071), 0);
    assert_int_equal(pg_yamux_flow_on_read(&flow, 1), 131072);
    assert_int_equal(pg_yamux_flow_wanted_window(&flow, 1100, 0, max),
                     262144); // no round trip known
    assert_int_equal(pg_yamux_flow_wanted_window(&flow, 1100, 20, max), 262144); // too slow
    assert_int_equal(pg_yamux_flow_wanted_window(&flow, 1100, 30, max), 524288);
    assert_int_equal(pg_yamux_flow_give(&flow, 524288, 1100), 131072 + 262144);
    assert_int_equal(flow.recv_credit + flow.recv_unread, flow.recv_window);
    flow.recv_window = max;
    assert_int_equal(pg_yamux_flow_wanted_window(&flow, 1100, 30, max), max);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_frame__header__survives_the_round_trip),
        cmocka_unit_test(test_flow__window_used_within_four_round_trips__doubles),
        cmocka_unit_test(test_wire__stream_opened_here__flags_ride_on_window_updates),
        cmocka_unit_test(test_wire__stream_opened_there__data_fin_and_late_frames_are_taken),
        cmocka_unit_test(test_wire__reset_by_either__ends_both_directions),
        cmocka_unit_test(test_wire__reset_before_accept__leaves_nothing),
        cmocka_unit_test(test_wire__broken_rule__ends_the_session_with_go_away_1),
        cmocka_unit_test(test_wire__garbage__ends_the_session),
        cmocka_unit_test(test_wire__ten_thousand_streams__excess_is_refused),
        cmocka_unit_test(test_wire__flood_of_pings__each_is_answered_in_turn),
        cmocka_unit_test(test_wire__no_credit__writer_waits_and_never_exceeds_it),
        cmocka_unit_test(test_wire__unread_bytes_beyond_the_budget__stream_is_reset),
        cmocka_unit_test(test_wire__end_of_carrier__what_came_is_read_the_rest_is_lost),
        cmocka_unit_test(test_wire__go_away_with_a_code__ends_the_session),
        cmocka_unit_test(test_wire__go_away_0__open_streams_go_on),
        cmocka_unit_test(test_wire__close__flushes_then_says_goodbye),
        cmocka_unit_test(test_wire__close_and_the_peer_stays__is_aborted_in_time),
        cmocka_unit_test(test_wire__256_streams_not_acknowledged__the_next_waits),
        cmocka_unit_test(test_wire__idle__pings_every_30_s_and_gives_up_after_10),
        cmocka_unit_test(test_wire__waits_on_a_stream__end_by_deadline_cancel_reset_and_end),
        cmocka_unit_test(test_wire__peer_that_takes_nothing__session_ends),
        cmocka_unit_test(test_wire__any_allocation_fails__nothing_leaks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
