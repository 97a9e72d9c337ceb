// SPDX-License-Identifier: Apache-2.0
// Goal: swarm.key files are read as libp2p writes them, and the stream they protect is the XSalsa20 one of the specification.
// Method: texts; a protected stream against bytes made by hand, and against itself in random chunks.
#include "crypto/xsalsa20.h"
#include "net/pnet.h"
#include "net_test.h"

#define HEX "0001020304050607f8f9fafbfcfdfeff1011121314151617e8e9eaebecedeeef"
#define BASE64 "AAECAwQFBgf4+fr7/P3+/xAREhMUFRYX6Onq6+zt7u8="
#define HEAD "/key/swarm/psk/1.0.0/\n"

static void wanted_key(pg_key *out_key)
{
    for (size_t i = 0; i < PG_KEY_BYTES; i++) {
        out_key->bytes[i] = (uint8_t) (i % 16 < 8 ? i : 0xf0 + i);
    }
    for (size_t i = 24; i < PG_KEY_BYTES; i++) {
        out_key->bytes[i] = (uint8_t) (0xd0 + i);
    }
}

static void test_swarm_key__every_encoding__gives_the_key(void **state)
{
    (void) state;
    static const char *texts[] = {
        HEAD "/base16/\n" HEX,
        HEAD "/base16/\n" HEX "\n\n",
        "/key/swarm/psk/1.0.0/\r\n/base16/\r\n" HEX "\r\n",
        HEAD "/base64/\n" BASE64 "\n",
        HEAD "/bin/\n\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b\x0c\x0d\x0e\x0f\x10"
             "\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b\x0c\x0d\x0e\x0f\x10\n",
    };
    pg_key wanted;
    wanted_key(&wanted);
    for (size_t i = 0; i < PG_ARRAY_LEN(texts); i++) {
        pg_key key = {{0}};
        assert_int_equal(pg_swarm_key_parse(pg_bytes_cstr(texts[i]), &key), PG_OK);
        if (i + 1 < PG_ARRAY_LEN(texts)) {
            assert_memory_equal(key.bytes, wanted.bytes, PG_KEY_BYTES);
        } else {
            assert_int_equal(key.bytes[9], 0x0a); // a line feed inside the key
        }
    }
}

static void test_swarm_key__written__reads_back(void **state)
{
    (void) state;
    char text[PG_SWARM_KEY_TEXT_BYTES];
    pg_key key;
    pg_key back;
    wanted_key(&key);
    pg_swarm_key_format(&key, text);
    assert_string_equal(text, HEAD "/base16/\n" HEX "\n");
    assert_int_equal(pg_swarm_key_parse(pg_bytes_cstr(text), &back), PG_OK);
    assert_memory_equal(key.bytes, back.bytes, PG_KEY_BYTES);
}

static void test_swarm_key__anything_else__is_refused(void **state)
{
    (void) state;
    static const char *texts[] = {
        "",
        "/key/swarm/psk/2.0.0/\n/base16/\n" HEX,
        HEAD,
        HEAD "/base32/\n" HEX,
        HEAD "/base16/\n" HEX "00",
        HEAD "/base16/\n" HEX "\nmore",
        HEAD "/base64/\n" HEX,
        HEAD "/base64/\nAAECAwQFBgf4-fr7_P3-_xAREhMUFRYX6Onq6-zt7u8=",
        HEAD "/bin/\nshort",
    };
    pg_key key = {{7}};
    for (size_t i = 0; i < PG_ARRAY_LEN(texts); i++) {
        assert_int_equal(pg_swarm_key_parse(pg_bytes_cstr(texts[i]), &key), PG_ERR_INVALID);
        assert_null(strstr(pg_error_detail(PG_ERR_INVALID), "0001"));
    }
    static char large[1025];
    assert_int_equal(pg_swarm_key_parse(PG_BYTES_OF(large), &key), PG_ERR_INVALID);
    assert_int_equal(key.bytes[0], 7);
}

static pg_err by_hand(void *arg)
{
    (void) arg;
    pg_xsalsa20 theirs = {.nonce = "a nonce of 24 characters"};
    wanted_key(&theirs.key);
    pg_xsalsa20 ours = {.key = theirs.key};
    pg_stream *raw = NULL;
    pg_stream *wire = NULL;
    pg_stream *stream = NULL;
    CHECK_OK(pg_stream_pair(1000, &raw, &wire));
    CHECK_OK(pg_pnet_protect(&raw, &theirs.key, &stream));
    pg_bytes parts[] = {PG_BYTES_LIT("two "), PG_BYTES_LIT("parts")};
    CHECK_OK(pg_stream_writev(stream, parts, 2, PG_FOREVER));
    CHECK_OK(pg_stream_write(stream, PG_BYTES_LIT("!"), PG_FOREVER));
    CHECK_OK(pg_stream_read_full(wire, PG_MUT_BYTES_OF(ours.nonce), PG_FOREVER));
    uint8_t text[10];
    CHECK_OK(pg_stream_read_full(wire, PG_MUT_BYTES_OF(text), PG_FOREVER));
    pg_xsalsa20_xor(&ours, PG_BYTES_OF(text), text);
    CHECK(memcmp(text, "two parts!", 10) == 0);
    memcpy(text, "back again", 10);
    pg_xsalsa20_xor(&theirs, PG_BYTES_OF(text), text);
    CHECK_OK(pg_stream_write(wire, pg_bytes_make(theirs.nonce, 10), PG_FOREVER));
    CHECK_OK(pg_stream_write(wire, pg_bytes_make(theirs.nonce + 10, 14), PG_FOREVER));
    CHECK_OK(pg_stream_write(wire, PG_BYTES_OF(text), PG_FOREVER));
    CHECK_OK(pg_stream_read_full(stream, PG_MUT_BYTES_OF(text), PG_FOREVER));
    CHECK(memcmp(text, "back again", 10) == 0);
    CHECK_OK(pg_stream_close_write(stream, PG_FOREVER));
    pg_stream_reset(stream);
    pg_stream_free(&stream);
    pg_stream_free(&wire);
    return PG_OK;
}

static void test_pnet__bytes_by_hand__are_those_of_the_specification(void **state)
{
    (void) state;
    net_test_run(by_hand, NULL);
}

static pg_err send_all(void *arg)
{
    net_test_send(arg, 3, 200000);
    return pg_stream_close_write(arg, PG_FOREVER);
}

static pg_err in_chunks(void *arg)
{
    (void) arg;
    pg_key key = {{9}};
    pg_stream *ends[2];
    CHECK_OK(pg_stream_pair(5000, &ends[0], &ends[1]));
    for (size_t i = 0; i < 2; i++) {
        pg_stream *chopped = net_test_choppy(ends[i], 777);
        CHECK_OK(pg_pnet_protect(&chopped, &key, &ends[i]));
    }
    pg_scope scope;
    pg_scope_init(&scope);
    CHECK_OK(pg_scope_spawn(&scope, "test.sender", send_all, ends[0]));
    net_test_receive(ends[1], 3, 200000);
    CHECK_OK(pg_scope_join(&scope));
    pg_stream_free(&ends[0]);
    uint8_t byte = 0;
    size_t len = 1;
    pg_ignore(pg_stream_read(ends[1], (pg_mut_bytes){&byte, 1}, PG_FOREVER, &len),
              "ended or reset");
    pg_stream_free(&ends[1]);
    return PG_OK;
}

static void test_pnet__any_chunking__gives_the_bytes_back(void **state)
{
    (void) state;
    net_test_run(in_chunks, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_swarm_key__every_encoding__gives_the_key),
        cmocka_unit_test(test_swarm_key__written__reads_back),
        cmocka_unit_test(test_swarm_key__anything_else__is_refused),
        cmocka_unit_test(test_pnet__bytes_by_hand__are_those_of_the_specification),
        cmocka_unit_test(test_pnet__any_chunking__gives_the_bytes_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
