// SPDX-License-Identifier: Apache-2.0
// Goal: questions and answers of ours read back; those of others are understood, wherever they put their records and however they
// compress names; what is hostile is refused within bounds.
// Method: direct calls. The foreign messages are written by hand from RFC 1035: as js-libp2p writes them (nothing compressed, TXT
// among the answers), and as others do (everything compressed, TXT behind, upper case).
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "crypto/peer_id_text.h"
#include "net/mdns_msg.h"

#define PEER "12D3KooWGzh3cCBmVJhSKvwVYLfMaZqYhkVLPGDM7SgEqx9bZr7F"
#define SERVICE "\x04_p2p\x04_udp\x05local\x00"
#define NAME                                                                                       \
    "\x20"                                                                                         \
    "abcdefghijklmnopqrstuvwxyz012345"
#define ADDR_4 "dnsaddr=/ip4/192.168.1.7/tcp/4001/p2p/" PEER // 90 characters
#define ADDR_6 "dnsaddr=/ip6/fd00::7/tcp/4001/p2p/" PEER     // 86 characters

static pg_mdns_msg msg;

static pg_err decode(pg_bytes in)
{
    memset(&msg, 0xff, sizeof(msg));
    return pg_mdns_msg_decode(in, &msg);
}

static void assert_addr(size_t index, const char *text)
{
    char formatted[PG_MULTIADDR_TEXT_BYTES];
    assert_true(index < msg.addr_count);
    pg_multiaddr_format(&msg.addrs[index], formatted);
    assert_string_equal(formatted, text + strlen("dnsaddr="));
}

static void test_mdns_msg__question__is_one_for_peers(void **state)
{
    (void) state;
    uint8_t space[64];
    size_t len = 0;
    assert_int_equal(pg_mdns_question_encode(PG_MUT_BYTES_OF(space), &len), PG_OK);
    const pg_bytes want = PG_BYTES_LIT("\0\0\0\0\0\1\0\0\0\0\0\0" SERVICE "\0\x0c\0\1");
    assert_true(pg_bytes_equal(pg_bytes_make(space, len), want));
    assert_int_equal(decode(want), PG_OK);
    assert_true(msg.asks && msg.addr_count == 0);
    assert_int_equal(pg_mdns_question_encode(pg_mut_bytes_make(space, len - 1), &len),
                     PG_ERR_LIMIT);
}

static void test_mdns_msg__other_questions__are_none_for_peers(void **state)
{
    (void) state;
    // another name; another type; a name that goes on; a response that repeats the question
    assert_int_equal(
        decode(PG_BYTES_LIT("\0\0\0\0\0\1\0\0\0\0\0\0\x04_ssh\x04_tcp\x05local\0\0\x0c\0\1")),
        PG_OK);
    assert_false(msg.asks);
    assert_int_equal(decode(PG_BYTES_LIT("\0\0\0\0\0\1\0\0\0\0\0\0" SERVICE "\0\1\0\1")), PG_OK);
    assert_false(msg.asks);
    assert_int_equal(decode(PG_BYTES_LIT("\0\0\0\0\0\1\0\0\0\0\0\0\1x" SERVICE "\0\x0c\0\1")),
                     PG_OK);
    assert_false(msg.asks);
    assert_int_equal(decode(PG_BYTES_LIT("\0\0\x84\0\0\1\0\0\0\0\0\0" SERVICE "\0\x0c\0\1")),
                     PG_OK);
    assert_false(msg.asks);
    // ours among others, letters as one likes, with the bit that asks for an answer to the asker alone
    assert_int_equal(
        decode(PG_BYTES_LIT("\0\7\0\0\0\2\0\0\0\0\0\0\x04_ssh\x04_tcp\x05local\0\0\x0c\0\1"
                            "\x04_P2P\x04_Udp\xc0\x16\0\x0c\x80\1")),
        PG_OK);
    assert_true(msg.asks);
}

static void test_mdns_msg__answer__comes_back(void **state)
{
    (void) state;
    pg_peer_id peer;
    pg_multiaddr addrs[2];
    uint8_t space[PG_NET_MDNS_SEND_BYTES_MAX];
    size_t len = 0;
    assert_int_equal(pg_peer_id_parse(PG_STR(PEER), &peer), PG_OK);
    assert_int_equal(pg_multiaddr_parse(PG_STR("/ip4/192.168.1.7/tcp/4001"), &addrs[0]), PG_OK);
    assert_int_equal(pg_multiaddr_parse(PG_STR("/ip6/fd00::7/tcp/4001"), &addrs[1]), PG_OK);
    pg_mdns_answer answer = {PG_STR("abcdefghijklmnopqrstuvwxyz012345"), &peer, addrs, 2};
    assert_int_equal(pg_mdns_answer_encode(&answer, PG_MUT_BYTES_OF(space), &len), PG_OK);
    const pg_bytes want = PG_BYTES_LIT(
        "\0\0\x84\0\0\0\0\1\0\0\0\1" SERVICE "\0\x0c\0\1\0\0\0\x78\0\x23" NAME "\xc0\x0c" NAME
        "\xc0\x0c\0\x10\x80\1\0\0\0\x78\0\xb2\x5a" ADDR_4 "\x56" ADDR_6);
    assert_true(pg_bytes_equal(pg_bytes_make(space, len), want));
    assert_int_equal(decode(want), PG_OK);
    assert_false(msg.asks);
    assert_int_equal(msg.addr_count, 2);
    assert_addr(0, ADDR_4);
    assert_addr(1, ADDR_6);

    // what has no room is left out; with no room for any there is no answer
    assert_int_equal(pg_mdns_answer_encode(&answer, pg_mut_bytes_make(space, len - 1), &len),
                     PG_OK);
    assert_int_equal(decode(pg_bytes_make(space, len)), PG_OK);
    assert_int_equal(msg.addr_count, 1);
    assert_int_equal(pg_mdns_answer_encode(&answer, pg_mut_bytes_make(space, len - 10), &len),
                     PG_ERR_LIMIT);
    answer.addr_count = 0;
    assert_int_equal(pg_mdns_answer_encode(&answer, PG_MUT_BYTES_OF(space), &len), PG_ERR_INVALID);
}

static void test_mdns_msg__answers_of_others__are_understood(void **state)
{
    (void) state;
    // nothing compressed, both records among the answers, class without the flush bit
    assert_int_equal(decode(PG_BYTES_LIT("\0\0\x84\0\0\0\0\2\0\0\0\0" SERVICE
                                         "\0\x0c\0\1\0\0\0\x78\0\x32" NAME SERVICE NAME SERVICE
                                         "\0\x10\0\1\0\0\0\x78\0\xb2\x5a" ADDR_4 "\x56" ADDR_6)),
                     PG_OK);
    assert_int_equal(msg.addr_count, 2);
    assert_addr(0, ADDR_4);
    assert_addr(1, ADDR_6);

    // all compressed, the question repeated, TXT behind with SRV and A before it, strings of other keys between
    assert_int_equal(decode(PG_BYTES_LIT("\0\0\x84\0\0\1\0\1\0\0\0\3" SERVICE "\0\x0c\0\1"
                                         "\xc0\x0c\0\x0c\0\1\0\0\0\x78\0\4\1A\xc0\x0c"
                                         "\xc0\x2d\0\x21\x80\1\0\0\0\x78\0\x08\0\0\0\0\0\1\xc0\x16"
                                         "\xc0\x16\0\1\x80\1\0\0\0\x78\0\4\xc0\xa8\1\7"
                                         "\xc0\x2d\0\x10\x80\1\0\0\0\x78\0\x60\4id=1\x5a" ADDR_4)),
                     PG_OK);
    assert_int_equal(msg.addr_count, 1);
    assert_addr(0, ADDR_4);
}

static void test_mdns_msg__useless_addresses__are_left_out(void **state)
{
    (void) state;
    // a goodbye (time to live 0); another service's TXT; no /p2p/ID; no address; an unknown part; /p2p/ID alone
    assert_int_equal(
        decode(PG_BYTES_LIT("\0\0\x84\0\0\0\0\3\0\0\0\0" NAME SERVICE
                            "\0\x10\0\1\0\0\0\0\0\x5b\x5a" ADDR_4
                            "\1a\x04_ssh\x04_tcp\x05local\0\0\x10\0\1\0\0\0\x78\0\x5b\x5a" ADDR_4
                            "\1a" SERVICE "\0\x10\0\1\0\0\0\x78\0\x8a"
                            "\x21"
                            "dnsaddr=/ip4/192.168.1.7/tcp/4001"
                            "\x08"
                            "dnsaddr="
                            "\x1b"
                            "dnsaddr=/ip4/10.0.0.1/moo/1"
                            "\x41"
                            "dnsaddr=/p2p/" PEER "\0")),
        PG_OK);
    assert_int_equal(msg.addr_count, 0);
}

static void test_mdns_msg__every_cut__is_refused(void **state)
{
    (void) state;
    const pg_bytes whole =
        PG_BYTES_LIT("\0\0\x84\0\0\0\0\1\0\0\0\1" SERVICE "\0\x0c\0\1\0\0\0\x78\0\x23" NAME
                     "\xc0\x0c" NAME "\xc0\x0c\0\x10\x80\1\0\0\0\x78\0\x5b\x5a" ADDR_4);
    assert_int_equal(decode(whole), PG_OK);
    for (size_t len = 0; len < whole.len; len++) {
        assert_int_equal(decode(pg_bytes_slice(whole, 0, len)), PG_ERR_TRUNCATED);
    }
    // a string that is longer than its record
    assert_int_equal(
        decode(PG_BYTES_LIT("\0\0\x84\0\0\0\0\1\0\0\0\0\1a" SERVICE "\0\x10\0\1\0\0\0\x78\0\2\5a")),
        PG_ERR_TRUNCATED);
}

static void test_mdns_msg__pointers__cannot_loop(void **state)
{
    (void) state;
#define HEAD "\0\0\0\0\0\1\0\0\0\0\0\0"
    assert_int_equal(decode(PG_BYTES_LIT(HEAD "\xc0\x0c\0\x0c\0\1")), PG_ERR_MALFORMED); // itself
    assert_int_equal(decode(PG_BYTES_LIT(HEAD "\1a\xc0\x0c\0\x0c\0\1")), PG_ERR_MALFORMED);
    assert_int_equal(decode(PG_BYTES_LIT(HEAD "\xc0\x0f\0\xc0\x0c\0\x0c\0\1")),
                     PG_ERR_MALFORMED); // forward
    assert_int_equal(decode(PG_BYTES_LIT(HEAD "\x40x\0\0\x0c\0\1")), PG_ERR_MALFORMED);
    assert_int_equal(decode(PG_BYTES_LIT(HEAD "\xc0")), PG_ERR_TRUNCATED);

    // a long chain of pointers, each to the one before it, inside a record that is passed over
    uint8_t space[256];
    pg_writer writer = pg_writer_make(PG_MUT_BYTES_OF(space));
    pg_writer_put(&writer, PG_BYTES_LIT("\0\0\x84\0\0\0\0\2\0\0\0\0\0\0\1\0\1\0\0\0\x78\0\x51\0"));
    for (size_t i = 0; i < 40; i++) {
        pg_writer_u16be(&writer, (uint16_t) (0xc000 | (writer.len - (i == 0 ? 1 : 2))));
    }
    pg_writer_u16be(&writer, (uint16_t) (0xc000 | (writer.len - 2)));
    pg_writer_put(&writer, PG_BYTES_LIT("\0\1\0\1\0\0\0\x78\0\0"));
    assert_int_equal(decode(pg_writer_bytes(&writer)), PG_ERR_MALFORMED);
    space[writer.len - 11] = 40; // near the chain's beginning it is fine
    assert_int_equal(decode(pg_writer_bytes(&writer)), PG_OK);
}

static void test_mdns_msg__too_much__is_refused(void **state)
{
    (void) state;
    static uint8_t large[PG_NET_MDNS_MESSAGE_BYTES_MAX + 1];
    assert_int_equal(decode(PG_BYTES_OF(large)), PG_ERR_LIMIT);
    assert_int_equal(decode(PG_BYTES_LIT("\0\0\x84\0\xff\xff\xff\xff\xff\xff\xff\xff")),
                     PG_ERR_LIMIT);
    // a name of 256 bytes
    pg_writer writer = pg_writer_make(PG_MUT_BYTES_OF(large));
    pg_writer_put(&writer, PG_BYTES_LIT("\0\0\0\0\0\1\0\0\0\0\0\0"));
    for (int i = 0; i < 64; i++) {
        pg_writer_put(&writer, PG_BYTES_LIT("\3abc"));
    }
    pg_writer_put(&writer, PG_BYTES_LIT("\0\0\x0c\0\1"));
    assert_int_equal(decode(pg_writer_bytes(&writer)), PG_ERR_MALFORMED);
    // more addresses than are taken
    writer = pg_writer_make(PG_MUT_BYTES_OF(large));
    pg_writer_put(&writer, PG_BYTES_LIT("\0\0\x84\0\0\0\0\x28\0\0\0\0"));
    for (int i = 0; i < 40; i++) {
        pg_writer_put(&writer, PG_BYTES_LIT("\1a" SERVICE "\0\x10\0\1\0\0\0\x78\0\x5b\x5a" ADDR_4));
    }
    assert_int_equal(decode(pg_writer_bytes(&writer)), PG_OK);
    assert_int_equal(msg.addr_count, PG_NET_MDNS_ADDRS_MAX);
    // another kind of exchange, and a refusal, are nothing to us
    assert_int_equal(decode(PG_BYTES_LIT("\0\0\x28\0\xff\xff\xff\xff\xff\xff\xff\xff")), PG_OK);
    assert_int_equal(decode(PG_BYTES_LIT("\0\0\x84\3\xff\xff\xff\xff\xff\xff\xff\xff")), PG_OK);
    assert_true(!msg.asks && msg.addr_count == 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_mdns_msg__question__is_one_for_peers),
        cmocka_unit_test(test_mdns_msg__other_questions__are_none_for_peers),
        cmocka_unit_test(test_mdns_msg__answer__comes_back),
        cmocka_unit_test(test_mdns_msg__answers_of_others__are_understood),
        cmocka_unit_test(test_mdns_msg__useless_addresses__are_left_out),
        cmocka_unit_test(test_mdns_msg__every_cut__is_refused),
        cmocka_unit_test(test_mdns_msg__pointers__cannot_loop),
        cmocka_unit_test(test_mdns_msg__too_much__is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
