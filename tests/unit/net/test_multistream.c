// SPDX-License-Identifier: Apache-2.0
// Goal: both ends agree however the bytes are cut or joined, and bytes behind the negotiation are not touched. Method: both ends
// of a pair, or one end against bytes by hand.
#include "net/limits.h"
#include "net/multistream.h"
#include "net_test.h"

#define HEAD "\x13/multistream/1.0.0\n"

static const pg_str ids[] = {{"/a/1", 4}, {"/b/1", 4}};

typedef struct pair {
    pg_stream *dialer;
    pg_stream *listener;
} pair;

static void setup(pair *p)
{
    CHECK_OK(pg_stream_pair(4096, &p->dialer, &p->listener));
}

static void teardown(pair *p)
{
    pg_stream_free(&p->dialer);
    pg_stream_free(&p->listener);
}

static void say(pg_stream *stream, pg_bytes bytes)
{
    CHECK_OK(pg_stream_write(stream, bytes, PG_FOREVER));
}

static void hear(pg_stream *stream, pg_bytes wanted)
{
    uint8_t got[256];
    CHECK_OK(
        pg_stream_read_full(stream, (pg_mut_bytes){got, wanted.len}, pg_after(PG_SECONDS(60))));
    CHECK(pg_bytes_equal(pg_bytes_make(got, wanted.len), wanted));
}

static pg_err listen_second(void *arg)
{
    size_t chosen = 9;
    PG_TRY(pg_multistream_listen(arg, &ids[1], 1, PG_FOREVER, &chosen));
    CHECK(chosen == 0);
    hear(arg, PG_BYTES_LIT("payload"));
    say(arg, PG_BYTES_LIT("answer"));
    return PG_OK;
}

static pg_err second_choice(void *arg)
{
    (void) arg;
    for (size_t chunk = 1; chunk < 50; chunk += 12) {
        pair p;
        setup(&p);
        p.dialer = net_test_choppy(p.dialer, chunk);
        p.listener = net_test_choppy(p.listener, chunk);
        pg_scope scope;
        pg_scope_init(&scope);
        CHECK_OK(pg_scope_spawn(&scope, "test.listener", listen_second, p.listener));
        size_t chosen = 9;
        CHECK_OK(pg_multistream_dial(p.dialer, ids, 2, PG_FOREVER, &chosen));
        CHECK(chosen == 1);
        say(p.dialer, PG_BYTES_LIT("payload"));
        hear(p.dialer, PG_BYTES_LIT("answer"));
        CHECK_OK(pg_scope_join(&scope));
        teardown(&p);
    }
    return PG_OK;
}

static void test_multistream__first_refused__second_taken(void **state)
{
    (void) state;
    net_test_run(second_choice, NULL);
}

static pg_err lazy(void *arg)
{
    (void) arg;
    for (unsigned i = 0; i < 4; i++) {
        pair p;
        setup(&p);
        pg_scope scope;
        pg_scope_init(&scope);
        CHECK_OK(pg_multistream_dial_lazy(&p.dialer, ids[1], &p.dialer));
        CHECK_OK(pg_scope_spawn(&scope, "test.listener", listen_second, p.listener));
        if (i == 0) { // many parts
            pg_bytes parts[12] = {PG_BYTES_LIT("pay"), PG_BYTES_LIT("lo"), PG_BYTES_EMPTY};
            parts[10] = PG_BYTES_LIT("a");
            parts[11] = PG_BYTES_LIT("d");
            CHECK_OK(pg_stream_writev(p.dialer, parts, 12, PG_FOREVER));
        } else if (i == 1) { // a read before the first write sends the proposal
            uint8_t byte = 0;
            size_t len = 0;
            pg_mut_bytes space = {&byte, 1};
            CHECK(pg_stream_read(p.dialer, space, pg_after(PG_MS(1)), &len) == PG_ERR_TIMEOUT);
            say(p.dialer, PG_BYTES_LIT("payload"));
        } else {
            say(p.dialer, PG_BYTES_LIT("pay"));
            say(p.dialer, PG_BYTES_LIT("load"));
        }
        hear(p.dialer, PG_BYTES_LIT("answer"));
        CHECK_OK(pg_stream_close_write(p.dialer, PG_FOREVER));
        CHECK_OK(pg_scope_join(&scope));
        pg_stream_reset(p.dialer);
        teardown(&p);
    }
    return PG_OK;
}

static void test_lazy__data_behind_the_proposal__is_the_protocols(void **state)
{
    (void) state;
    net_test_run(lazy, NULL);
}

static pg_err lazy_refused(void *arg)
{
    (void) arg;
    pair p;
    setup(&p);
    CHECK_OK(pg_multistream_dial_lazy(&p.dialer, ids[0], &p.dialer));
    CHECK_OK(pg_stream_close_write(p.dialer, PG_FOREVER)); // the close carries the proposal
    hear(p.listener, PG_BYTES_LIT(HEAD "\x05/a/1\n"));
    say(p.listener, PG_BYTES_LIT(HEAD "\x03na\n"));
    uint8_t byte = 0;
    size_t len = 0;
    pg_mut_bytes space = {&byte, 1};
    CHECK(pg_stream_read(p.dialer, space, PG_FOREVER, &len) == PG_ERR_UNSUPPORTED);
    CHECK(pg_stream_read(p.dialer, space, PG_FOREVER, &len) == PG_ERR_UNSUPPORTED);
    teardown(&p);
    return PG_OK;
}

static void test_lazy__refused__every_read_says_so(void **state)
{
    (void) state;
    net_test_run(lazy_refused, NULL);
}

static void test_lazy__id_too_long__is_refused_at_once(void **state)
{
    (void) state;
    static char text[PG_NET_MULTISTREAM_BYTES_MAX];
    pg_stream *stream = NULL;
    pg_stream *out = NULL;
    pg_str id = pg_str_make_len(text, sizeof(text));
    assert_int_equal(pg_multistream_dial_lazy(&stream, id, &out), PG_ERR_LIMIT);
    pg_mem_fail_nth(1);
    assert_int_equal(pg_multistream_dial_lazy(&stream, ids[0], &out), PG_ERR_NOMEM);
    pg_mem_fail_nth(0);
    assert_null(out);
}

// What one end hears and what comes of it.
typedef struct script {
    bool dials;
    pg_bytes heard;
    pg_bytes said; // by our end, after everything was heard
    pg_err wanted;
} script;

static pg_err play(void *arg)
{
    const script *s = arg;
    pair p;
    setup(&p);
    pg_stream *ours = s->dials ? p.dialer : p.listener;
    pg_stream *theirs = s->dials ? p.listener : p.dialer;
    say(theirs, s->heard);
    CHECK_OK(pg_stream_close_write(theirs, PG_FOREVER));
    size_t chosen = 0;
    pg_err err = s->dials ? pg_multistream_dial(ours, ids, 2, PG_FOREVER, &chosen)
                          : pg_multistream_listen(ours, ids, 2, PG_FOREVER, &chosen);
    CHECK(err == s->wanted);
    hear(theirs, s->said);
    teardown(&p);
    return PG_OK;
}

static void test_multistream__by_hand__gives_the_right_bytes_and_errors(void **state)
{
    (void) state;
    script scripts[] = {
        {false, PG_BYTES_LIT(HEAD "\x05/b/1\n"), PG_BYTES_LIT(HEAD "\x05/b/1\n"), PG_OK},
        {false, PG_BYTES_LIT(HEAD "\x03ls\n\x05/z/1\n\x05/a/1\nrest"),
         PG_BYTES_LIT(HEAD "\x03na\n\x03na\n\x05/a/1\n"), PG_OK},
        {false, PG_BYTES_LIT(HEAD), PG_BYTES_LIT(HEAD), PG_ERR_CLOSED},
        {false, PG_BYTES_LIT(HEAD "\x05/z/1\n"), PG_BYTES_LIT(HEAD "\x03na\n"), PG_ERR_UNSUPPORTED},
        {false, PG_BYTES_LIT(HEAD "\x05/z"), PG_BYTES_EMPTY, PG_ERR_TRUNCATED},
        {false, PG_BYTES_LIT("\x13/multi"), PG_BYTES_EMPTY, PG_ERR_TRUNCATED},
        {false, PG_BYTES_LIT(HEAD "\x04/a/1"), PG_BYTES_EMPTY, PG_ERR_MALFORMED},
        {true, PG_BYTES_LIT(HEAD "\x05/a/1\n"), PG_BYTES_LIT(HEAD "\x05/a/1\n"), PG_OK},
        {true, PG_BYTES_LIT(HEAD "\x03na\n\x03na\n"), PG_BYTES_LIT(HEAD "\x05/a/1\n\x05/b/1\n"),
         PG_ERR_UNSUPPORTED},
        {true, PG_BYTES_LIT(HEAD "\x05/c/1\n"), PG_BYTES_EMPTY, PG_ERR_PROTOCOL},
        {true, PG_BYTES_LIT("\x13/multistream/2.0.0\n"), PG_BYTES_EMPTY, PG_ERR_PROTOCOL},
    };
    for (size_t i = 0; i < PG_ARRAY_LEN(scripts); i++) {
        net_test_run(play, &scripts[i]);
    }
}

static pg_err guesses(void *arg)
{
    (void) arg;
    pair p;
    setup(&p);
    say(p.dialer, PG_BYTES_LIT(HEAD));
    for (unsigned i = 0; i < PG_NET_MULTISTREAM_PROPOSALS_MAX; i++) {
        say(p.dialer, PG_BYTES_LIT("\x05/z/1\n"));
    }
    size_t chosen = 0;
    CHECK(pg_multistream_listen(p.listener, ids, 2, PG_FOREVER, &chosen) == PG_ERR_UNSUPPORTED);
    teardown(&p);
    return PG_OK;
}

static void test_multistream__too_many_guesses__end(void **state)
{
    (void) state;
    net_test_run(guesses, NULL);
}

static pg_err trickle(void *arg)
{
    pg_stream *stream = arg;
    for (size_t i = 0; i < 1000; i++) {
        PG_TRY(pg_stream_write(stream, pg_bytes_slice(PG_BYTES_LIT(HEAD), i % 20, 1), PG_FOREVER));
        PG_TRY(pg_sleep_until(pg_after(PG_SECONDS(3))));
    }
    return PG_OK;
}

static pg_err slow(void *arg)
{
    (void) arg;
    pair p;
    setup(&p);
    pg_scope scope;
    pg_scope_init(&scope);
    CHECK_OK(pg_scope_spawn(&scope, "test.trickle", trickle, p.listener));
    size_t chosen = 0;
    pg_time begin = pg_now();
    CHECK(pg_multistream_dial(p.dialer, ids, 2, PG_FOREVER, &chosen) == PG_ERR_TIMEOUT);
    CHECK(pg_now() - begin == PG_MS(PG_NET_NEGOTIATE_TIMEOUT_MS));
    pg_scope_close(&scope);
    teardown(&p);
    return PG_OK;
}

static void test_multistream__one_byte_in_three_seconds__ends_in_time(void **state)
{
    (void) state;
    net_test_run(slow, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_multistream__first_refused__second_taken),
        cmocka_unit_test(test_lazy__data_behind_the_proposal__is_the_protocols),
        cmocka_unit_test(test_lazy__refused__every_read_says_so),
        cmocka_unit_test(test_lazy__id_too_long__is_refused_at_once),
        cmocka_unit_test(test_multistream__by_hand__gives_the_right_bytes_and_errors),
        cmocka_unit_test(test_multistream__too_many_guesses__end),
        cmocka_unit_test(test_multistream__one_byte_in_three_seconds__ends_in_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
