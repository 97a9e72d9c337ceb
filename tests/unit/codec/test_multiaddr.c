// SPDX-License-Identifier: Apache-2.0
// Goal: addresses of every kind read back as they were made, in binary and text, and their parts are told apart.
// Method: vectors of the multiaddr specification and LIBP2P table; addresses as seen from other implementations; faults.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "codec/cid.h"
#include "codec/multiaddr.h"

#define PEER "12D3KooWBtg3aaRMjxwedh83aGiUkwSxDwUZkzuJcfaqUmo7R3pq"
#define RELAY "QmYyQSo1c1Ym7orWxLYvCrM2EmxFTANf8wXmmE7DWjhx5N"

static pg_multiaddr parse(const char *text)
{
    pg_multiaddr addr;
    assert_int_equal(pg_multiaddr_parse(pg_str_make(text), &addr), PG_OK);
    return addr;
}

static pg_err parse_err(const char *text)
{
    pg_multiaddr addr;
    return pg_multiaddr_parse(pg_str_make(text), &addr);
}

static void test_multiaddr__known_binary__matches_text(void **state)
{
    (void) state;
    pg_multiaddr tcp = parse("/ip4/127.0.0.1/tcp/4001");
    assert_true(
        pg_bytes_equal(pg_multiaddr_bytes(&tcp), PG_BYTES_LIT("\x04\x7f\x00\x00\x01\x06\x0f\xa1")));
    pg_multiaddr quic = parse("/ip6/::1/udp/443/quic-v1");
    assert_true(pg_bytes_equal(pg_multiaddr_bytes(&quic),
                               PG_BYTES_LIT("\x29\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x01"
                                            "\x91\x02\x01\xbb\xcd\x03")));
    pg_multiaddr dns = parse("/dns4/a.example/tcp/80/ws");
    assert_true(
        pg_bytes_equal(pg_multiaddr_bytes(&dns), PG_BYTES_LIT("\x36\x09"
                                                              "a.example\x06\x00\x50\xdd\x03")));
}

static void test_multiaddr__addresses_of_every_part__round_trip(void **state)
{
    (void) state;
    static const char *const texts[] = {
        "/ip4/0.0.0.0/tcp/0",
        "/ip4/255.255.255.255/udp/65535",
        "/ip6/2001:db8::1/tcp/4001/p2p/" PEER,
        "/ip6/::ffff:1.2.3.4/tcp/4001",
        "/dns/node_1.example-host.net/tcp/443/tls/ws",
        "/dns6/x/tcp/443/wss",
        "/dnsaddr/bootstrap.libp2p.io/p2p/" RELAY,
        "/ip4/192.0.2.1/udp/4001/quic-v1/p2p/" RELAY "/p2p-circuit/p2p/" PEER,
        "/p2p/" PEER,
        "/p2p-circuit",
        "/ip4/1.2.3.4/udp/9/quic-v1/webtransport/certhash/"
        "uEiDDq4_xNyDorZBH3TlGazyJdOWSwvo4PUo5YHFMrvDE8g/p2p/" PEER,
    };
    for (size_t i = 0; i < PG_ARRAY_LEN(texts); i++) {
        char text[PG_MULTIADDR_TEXT_BYTES];
        pg_multiaddr addr = parse(texts[i]);
        pg_multiaddr read;
        pg_multiaddr_format(&addr, text);
        assert_string_equal(text, texts[i]);
        assert_int_equal(pg_multiaddr_decode(pg_multiaddr_bytes(&addr), &read), PG_OK);
        assert_true(pg_multiaddr_equal(&addr, &read));
    }
}

static void test_multiaddr__other_spellings__become_the_usual_one(void **state)
{
    (void) state;
    static const char *const rows[][2] = {
        {"/ip4/1.2.3.4/tcp/1/ipfs/" RELAY, "/ip4/1.2.3.4/tcp/1/p2p/" RELAY},
        {"/p2p/bafzbeie5745rpv2m6tjyuugywy4d5ewrqgqqhfnf445he3omzpjbx5xqxe", "/p2p/" RELAY},
        {"/ip6/2001:0db8:0:0::1/tcp/00080", "/ip6/2001:db8::1/tcp/80"},
    };
    for (size_t i = 0; i < PG_ARRAY_LEN(rows); i++) {
        char text[PG_MULTIADDR_TEXT_BYTES];
        pg_multiaddr addr = parse(rows[i][0]);
        pg_multiaddr_format(&addr, text);
        assert_string_equal(text, rows[i][1]);
    }
}

static void test_multiaddr__faulty_text__is_refused(void **state)
{
    (void) state;
    static const struct {
        const char *text;
        pg_err err;
    } rows[] = {
        {"", PG_ERR_MALFORMED},
        {"ip4/1.2.3.4", PG_ERR_MALFORMED},
        {"/", PG_ERR_UNSUPPORTED},
        {"/ip4/1.2.3.4/", PG_ERR_UNSUPPORTED},
        {"/ip4", PG_ERR_MALFORMED},
        {"/ip4/1.2.3", PG_ERR_MALFORMED},
        {"/ip4/1.2.3.256/tcp/1", PG_ERR_MALFORMED},
        {"/ip4//tcp/1", PG_ERR_MALFORMED},
        {"/ip6/fe80::1%eth0/tcp/1", PG_ERR_MALFORMED},
        {"/ip6/1111:1111:1111:1111:1111:1111:1111:1111:1111:1111:1111/tcp/1", PG_ERR_MALFORMED},
        {"/ip4/1.2.3.4/tcp/65536", PG_ERR_MALFORMED},
        {"/ip4/1.2.3.4/tcp/-1", PG_ERR_MALFORMED},
        {"/ip4/1.2.3.4/sctp/1", PG_ERR_UNSUPPORTED},
        {"/dns4/a b/tcp/1", PG_ERR_MALFORMED},
        {"/dns4//tcp/1", PG_ERR_MALFORMED},
        {"/p2p/12D3", PG_ERR_TRUNCATED},
        {"/p2p/bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku", PG_ERR_MALFORMED},
        {"/certhash/xyz", PG_ERR_UNSUPPORTED},
        {"/certhash/uEhAD", PG_ERR_TRUNCATED},
    };
    for (size_t i = 0; i < PG_ARRAY_LEN(rows); i++) {
        assert_int_equal(parse_err(rows[i].text), rows[i].err);
    }
    pg_multiaddr addr;
    assert_int_equal(pg_multiaddr_parse(PG_STR("/ip4/1.2.3.4\0/tcp/1"), &addr), PG_ERR_MALFORMED);
}

static void test_multiaddr__faulty_binary__is_refused(void **state)
{
    (void) state;
    pg_multiaddr addr = {0};
    static const struct {
        pg_bytes in;
        pg_err err;
    } rows[] = {
        {{NULL, 0}, PG_ERR_MALFORMED},
        {{(const uint8_t *) "\x04\x7f", 2}, PG_ERR_TRUNCATED},
        {{(const uint8_t *) "\x07", 1}, PG_ERR_UNSUPPORTED},
        {{(const uint8_t *) "\x84\x00", 2}, PG_ERR_MALFORMED},
        {{(const uint8_t *) "\x36\x05"
                            "ab",
          4},
         PG_ERR_TRUNCATED},
        {{(const uint8_t *) "\x36\x02/a", 4}, PG_ERR_MALFORMED},
        {{(const uint8_t *) "\x36\x00", 2}, PG_ERR_MALFORMED},
        {{(const uint8_t *) "\x36\xff\x7f", 3}, PG_ERR_LIMIT},
        {{(const uint8_t *) "\xa5\x03\x02\x13\x00", 5}, PG_ERR_UNSUPPORTED},
    };
    for (size_t i = 0; i < PG_ARRAY_LEN(rows); i++) {
        assert_int_equal(pg_multiaddr_decode(rows[i].in, &addr), rows[i].err);
        assert_int_equal(addr.len, 0);
    }
}

// A hash that no PeerId has would be written as text that does not read back.
static void test_multiaddr__peer_with_another_hash__is_unsupported(void **state)
{
    (void) state;
    uint8_t digest[32] = {0};
    pg_multihash blake3;
    pg_multiaddr addr = {0};
    assert_int_equal(pg_multihash_make(PG_MULTIHASH_CODE_BLAKE3, PG_BYTES_OF(digest), &blake3),
                     PG_OK);
    assert_int_equal(pg_multiaddr_append(&addr, PG_MULTIADDR_CODE_P2P, pg_multihash_bytes(&blake3)),
                     PG_ERR_UNSUPPORTED);
    assert_int_equal(addr.len, 0);
    assert_int_equal(
        pg_multiaddr_append(&addr, PG_MULTIADDR_CODE_CERTHASH, pg_multihash_bytes(&blake3)), PG_OK);
}

static void test_multiaddr__too_long__is_a_limit(void **state)
{
    (void) state;
    uint8_t bytes[PG_MULTIADDR_BYTES_MAX + 1] = {0};
    pg_multiaddr addr = {0};
    assert_int_equal(pg_multiaddr_decode(PG_BYTES_OF(bytes), &addr), PG_ERR_LIMIT);
    for (size_t i = 0; i < PG_MULTIADDR_PARTS_MAX; i++) {
        assert_int_equal(pg_multiaddr_append(&addr, PG_MULTIADDR_CODE_P2P_CIRCUIT, PG_BYTES_EMPTY),
                         PG_OK);
    }
    char text[PG_MULTIADDR_TEXT_BYTES];
    pg_multiaddr_format(&addr, text);
    assert_int_equal(pg_multiaddr_append(&addr, PG_MULTIADDR_CODE_TLS, PG_BYTES_EMPTY),
                     PG_ERR_LIMIT);
    assert_int_equal(addr.len, 2 * PG_MULTIADDR_PARTS_MAX);

    static char many[2000];
    for (size_t at = 0; at + 45 < sizeof(many) / 2; at += 12) {
        memcpy(many + at, "/p2p-circuit", 12);
    }
    assert_int_equal(parse_err(many), PG_ERR_LIMIT); // too many parts
    memset(many, 'a', 300);
    memcpy(many, "/dns4/", 6);
    many[300] = '\0';
    assert_int_equal(parse_err(many), PG_ERR_LIMIT); // too many bytes
    memset(many, 'a', sizeof(many) - 1);
    assert_int_equal(parse_err(many), PG_ERR_LIMIT); // too many characters
}

static void test_multiaddr__longest_text__fits(void **state)
{
    (void) state;
    uint8_t ip[16];
    memset(ip, 0xff, sizeof(ip));
    pg_multiaddr addr = {0};
    while (pg_multiaddr_append(&addr, PG_MULTIADDR_CODE_IP6, PG_BYTES_OF(ip)) == PG_OK) {
    }
    assert_int_equal(addr.len, 15 * 17);
    char text[PG_MULTIADDR_TEXT_BYTES];
    pg_multiaddr_format(&addr, text);
    assert_int_equal(strlen(text), 15 * 44);
}

static void test_multiaddr_append__value_of_wrong_size__leaves_it_unchanged(void **state)
{
    (void) state;
    pg_multiaddr addr = parse("/ip4/1.2.3.4");
    pg_multiaddr before = addr;
    // Six bytes would pass as a port and a second part.
    assert_int_equal(
        pg_multiaddr_append(&addr, PG_MULTIADDR_CODE_TCP, PG_BYTES_LIT("\x00\x01\xa2\x02\xa2\x02")),
        PG_ERR_MALFORMED);
    assert_int_equal(pg_multiaddr_append(&addr, PG_MULTIADDR_CODE_TLS, PG_BYTES_LIT("x")),
                     PG_ERR_MALFORMED);
    assert_int_equal(pg_multiaddr_append(&addr, PG_MULTIADDR_CODE_DNS, PG_BYTES_LIT("/")),
                     PG_ERR_MALFORMED);
    assert_int_equal(pg_multiaddr_append(&addr, (pg_multiaddr_code) 7, PG_BYTES_EMPTY),
                     PG_ERR_UNSUPPORTED);
    uint8_t name[250];
    memset(name, 'a', sizeof(name));
    assert_int_equal(pg_multiaddr_append(&addr, PG_MULTIADDR_CODE_DNS, PG_BYTES_OF(name)),
                     PG_ERR_LIMIT);
    assert_true(pg_multiaddr_equal(&addr, &before));
}

static void test_multiaddr_make__each_transport__gives_the_usual_text(void **state)
{
    (void) state;
    static const struct {
        pg_multiaddr_transport transport;
        const char *text4;
        const char *text6;
    } rows[] = {
        {PG_MULTIADDR_TRANSPORT_TCP, "/ip4/10.0.0.1/tcp/4001", "/ip6/fe80::1/tcp/4001"},
        {PG_MULTIADDR_TRANSPORT_UDP, "/ip4/10.0.0.1/udp/4001", "/ip6/fe80::1/udp/4001"},
        {PG_MULTIADDR_TRANSPORT_QUIC, "/ip4/10.0.0.1/udp/4001/quic-v1",
         "/ip6/fe80::1/udp/4001/quic-v1"},
    };
    static const uint8_t ip4[4] = {10, 0, 0, 1};
    static const uint8_t ip6[16] = {0xfe, 0x80, [15] = 1};
    for (size_t i = 0; i < PG_ARRAY_LEN(rows); i++) {
        char text[PG_MULTIADDR_TEXT_BYTES];
        pg_multiaddr addr = pg_multiaddr_make(PG_BYTES_OF(ip4), rows[i].transport, 4001);
        pg_multiaddr_hop hop;
        pg_multiaddr_format(&addr, text);
        assert_string_equal(text, rows[i].text4);
        assert_int_equal(pg_multiaddr_first_hop(&addr, &hop), PG_OK);
        assert_int_equal(hop.host_code, PG_MULTIADDR_CODE_IP4);
        assert_true(pg_bytes_equal(hop.host, PG_BYTES_OF(ip4)));
        assert_int_equal(hop.transport, rows[i].transport);
        assert_int_equal(hop.port, 4001);
        addr = pg_multiaddr_make(PG_BYTES_OF(ip6), rows[i].transport, 4001);
        pg_multiaddr_format(&addr, text);
        assert_string_equal(text, rows[i].text6);
    }
}

static void test_multiaddr_first_hop__other_addresses__are_told_apart(void **state)
{
    (void) state;
    pg_multiaddr_hop hop;
    pg_multiaddr addr = parse("/dns4/a.example/tcp/443/wss/p2p/" PEER);
    assert_int_equal(pg_multiaddr_first_hop(&addr, &hop), PG_OK);
    assert_int_equal(hop.transport, PG_MULTIADDR_TRANSPORT_OTHER);
    assert_int_equal(hop.host_code, PG_MULTIADDR_CODE_DNS4);
    assert_true(pg_bytes_equal(hop.host, PG_BYTES_LIT("a.example")));
    addr = parse("/ip4/1.2.3.4/udp/9/quic-v1/webtransport");
    assert_int_equal(pg_multiaddr_first_hop(&addr, &hop), PG_OK);
    assert_int_equal(hop.transport, PG_MULTIADDR_TRANSPORT_OTHER);
    addr = parse("/ip4/1.2.3.4/tcp/9/quic-v1");
    assert_int_equal(pg_multiaddr_first_hop(&addr, &hop), PG_OK);
    assert_int_equal(hop.transport, PG_MULTIADDR_TRANSPORT_OTHER);
    addr = parse("/ip4/1.2.3.4/tcp/9/p2p/" RELAY "/p2p-circuit/p2p/" PEER);
    assert_int_equal(pg_multiaddr_first_hop(&addr, &hop), PG_OK);
    assert_int_equal(hop.transport, PG_MULTIADDR_TRANSPORT_TCP);
    static const char *const others[] = {"/dnsaddr/a.example", "/p2p-circuit", "/ip4/1.2.3.4",
                                         "/ip4/1.2.3.4/tls"};
    for (size_t i = 0; i < PG_ARRAY_LEN(others); i++) {
        addr = parse(others[i]);
        assert_int_equal(pg_multiaddr_first_hop(&addr, &hop), PG_ERR_UNSUPPORTED);
    }
}

static void test_multiaddr_cut_peer__at_the_end_only__and_back(void **state)
{
    (void) state;
    pg_multihash peer;
    pg_multihash wanted;
    char text[PG_MULTIADDR_TEXT_BYTES];
    assert_int_equal(pg_peer_text_parse(PG_STR(PEER), &wanted), PG_OK);
    pg_multiaddr addr = parse("/ip4/1.2.3.4/tcp/9/p2p/" RELAY "/p2p-circuit/p2p/" PEER);
    pg_multiaddr whole = addr;
    assert_true(pg_multiaddr_cut_peer(&addr, &peer));
    assert_true(pg_multihash_equal(&peer, &wanted));
    pg_multiaddr_format(&addr, text);
    assert_string_equal(text, "/ip4/1.2.3.4/tcp/9/p2p/" RELAY "/p2p-circuit");
    assert_false(pg_multiaddr_cut_peer(&addr, &peer));
    assert_int_equal(pg_multiaddr_append(&addr, PG_MULTIADDR_CODE_P2P, pg_multihash_bytes(&peer)),
                     PG_OK);
    assert_true(pg_multiaddr_equal(&addr, &whole));
    addr = parse("/p2p/" PEER);
    assert_true(pg_multiaddr_cut_peer(&addr, &peer));
    assert_int_equal(addr.len, 0);
    assert_false(pg_multiaddr_cut_peer(&addr, &peer));
}

static void test_multiaddr_relay__relayed_address__gives_the_relay(void **state)
{
    (void) state;
    char text[PG_MULTIADDR_TEXT_BYTES];
    pg_multiaddr relay = {0};
    pg_multiaddr addr = parse("/ip4/1.2.3.4/tcp/9/p2p/" RELAY "/p2p-circuit/p2p/" PEER);
    assert_true(pg_multiaddr_is_relay(&addr));
    assert_true(pg_multiaddr_relay(&addr, &relay));
    pg_multiaddr_format(&relay, text);
    assert_string_equal(text, "/ip4/1.2.3.4/tcp/9/p2p/" RELAY);
    assert_false(pg_multiaddr_is_relay(&relay));
    pg_multiaddr other = relay;
    assert_false(pg_multiaddr_relay(&relay, &other));
    addr = parse("/p2p-circuit/p2p/" PEER);
    assert_true(pg_multiaddr_is_relay(&addr));
    assert_false(pg_multiaddr_relay(&addr, &other));
    assert_true(pg_multiaddr_equal(&relay, &other));
}

static void test_multiaddr_scope__special_ranges__are_known_at_both_ends(void **state)
{
    (void) state;
    static const struct {
        const char *text;
        pg_ip_scope scope;
    } rows[] = {
        {"/ip4/0.1.2.3", PG_IP_SCOPE_UNUSABLE},
        {"/ip4/9.255.255.255", PG_IP_SCOPE_PUBLIC},
        {"/ip4/10.0.0.0", PG_IP_SCOPE_PRIVATE},
        {"/ip4/10.255.255.255", PG_IP_SCOPE_PRIVATE},
        {"/ip4/11.0.0.0", PG_IP_SCOPE_PUBLIC},
        {"/ip4/100.63.255.255", PG_IP_SCOPE_PUBLIC},
        {"/ip4/100.64.0.0", PG_IP_SCOPE_PRIVATE},
        {"/ip4/100.127.255.255", PG_IP_SCOPE_PRIVATE},
        {"/ip4/100.128.0.0", PG_IP_SCOPE_PUBLIC},
        {"/ip4/127.0.0.1", PG_IP_SCOPE_LOOPBACK},
        {"/ip4/127.255.255.255", PG_IP_SCOPE_LOOPBACK},
        {"/ip4/169.254.1.1", PG_IP_SCOPE_LINK_LOCAL},
        {"/ip4/172.15.255.255", PG_IP_SCOPE_PUBLIC},
        {"/ip4/172.16.0.0", PG_IP_SCOPE_PRIVATE},
        {"/ip4/172.31.255.255", PG_IP_SCOPE_PRIVATE},
        {"/ip4/172.32.0.0", PG_IP_SCOPE_PUBLIC},
        {"/ip4/192.0.0.8", PG_IP_SCOPE_UNUSABLE},
        {"/ip4/192.0.1.1", PG_IP_SCOPE_PUBLIC},
        {"/ip4/192.0.2.1", PG_IP_SCOPE_UNUSABLE},
        {"/ip4/192.168.255.255", PG_IP_SCOPE_PRIVATE},
        {"/ip4/198.19.255.255", PG_IP_SCOPE_UNUSABLE},
        {"/ip4/198.51.100.1", PG_IP_SCOPE_UNUSABLE},
        {"/ip4/203.0.113.1", PG_IP_SCOPE_UNUSABLE},
        {"/ip4/223.255.255.255", PG_IP_SCOPE_PUBLIC},
        {"/ip4/224.0.0.251", PG_IP_SCOPE_UNUSABLE},
        {"/ip4/255.255.255.255", PG_IP_SCOPE_UNUSABLE},
        {"/ip6/::", PG_IP_SCOPE_UNUSABLE},
        {"/ip6/::1", PG_IP_SCOPE_LOOPBACK},
        {"/ip6/::2", PG_IP_SCOPE_UNUSABLE},
        {"/ip6/::ffff:192.168.0.1", PG_IP_SCOPE_PRIVATE},
        {"/ip6/::ffff:8.8.8.8", PG_IP_SCOPE_PUBLIC},
        {"/ip6/64:ff9b::808:808", PG_IP_SCOPE_PUBLIC},
        {"/ip6/2001:4860::1", PG_IP_SCOPE_PUBLIC},
        {"/ip6/2001:db8::1", PG_IP_SCOPE_UNUSABLE},
        {"/ip6/3fff::1", PG_IP_SCOPE_PUBLIC},
        {"/ip6/fbff::1", PG_IP_SCOPE_UNUSABLE},
        {"/ip6/fc00::1", PG_IP_SCOPE_PRIVATE},
        {"/ip6/fdff::1", PG_IP_SCOPE_PRIVATE},
        {"/ip6/fe80::1", PG_IP_SCOPE_LINK_LOCAL},
        {"/ip6/febf::1", PG_IP_SCOPE_LINK_LOCAL},
        {"/ip6/fec0::1", PG_IP_SCOPE_UNUSABLE},
        {"/ip6/ff02::fb", PG_IP_SCOPE_UNUSABLE},
        {"/dns4/localhost", PG_IP_SCOPE_NONE},
        {"/p2p-circuit", PG_IP_SCOPE_NONE},
    };
    for (size_t i = 0; i < PG_ARRAY_LEN(rows); i++) {
        pg_multiaddr addr = parse(rows[i].text);
        assert_int_equal(pg_multiaddr_scope(&addr), rows[i].scope);
    }
    assert_int_equal(pg_ip_scope_of(PG_BYTES_LIT("12345")), PG_IP_SCOPE_NONE);
    assert_int_equal(pg_multiaddr_scope(&(pg_multiaddr){0}), PG_IP_SCOPE_NONE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_multiaddr__known_binary__matches_text),
        cmocka_unit_test(test_multiaddr__addresses_of_every_part__round_trip),
        cmocka_unit_test(test_multiaddr__other_spellings__become_the_usual_one),
        cmocka_unit_test(test_multiaddr__faulty_text__is_refused),
        cmocka_unit_test(test_multiaddr__faulty_binary__is_refused),
        cmocka_unit_test(test_multiaddr__peer_with_another_hash__is_unsupported),
        cmocka_unit_test(test_multiaddr__too_long__is_a_limit),
        cmocka_unit_test(test_multiaddr__longest_text__fits),
        cmocka_unit_test(test_multiaddr_append__value_of_wrong_size__leaves_it_unchanged),
        cmocka_unit_test(test_multiaddr_make__each_transport__gives_the_usual_text),
        cmocka_unit_test(test_multiaddr_first_hop__other_addresses__are_told_apart),
        cmocka_unit_test(test_multiaddr_cut_peer__at_the_end_only__and_back),
        cmocka_unit_test(test_multiaddr_relay__relayed_address__gives_the_relay),
        cmocka_unit_test(test_multiaddr_scope__special_ranges__are_known_at_both_ends),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
