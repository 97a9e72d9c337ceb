// SPDX-License-Identifier: Apache-2.0
// Goal: no address, name in an address or PeerId gets through, the same one has the same pseudonym, and nothing else is touched.
// Method: direct calls.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/str.h"
#include "crypto/peer_id_text.h"
#include "net/redact.h"

#define ID "12D3KooWRBhwfeP2Y4TCx1SM6s9rUoHhR5STiGwxBhgFRcw3UERE"

static pg_pseudonyms pseudonyms;

// Compare with `wanted`, in which ~ stands for a pseudonym; `what` has to be the bytes of each.
static void assert_redacted(const char *text, const char *wanted, pg_bytes what)
{
    char name[PG_PSEUDONYM_TEXT_BYTES];
    pg_buf out = {0};
    pg_buf expected = {0};
    pg_pseudonym_make(&pseudonyms, what, name);
    for (const char *at = wanted; *at != '\0'; at++) {
        assert_int_equal(
            pg_buf_append(&expected, *at == '~' ? pg_bytes_cstr(name) : pg_bytes_make(at, 1)),
            PG_OK);
    }
    assert_int_equal(pg_redact(&pseudonyms, pg_str_make(text), &out), PG_OK);
    assert_int_equal(out.len, expected.len);
    assert_memory_equal(out.ptr, expected.ptr, out.len);
    pg_buf_deinit(&expected);
    pg_buf_deinit(&out);
}

static void test_redact__ip4__is_named_wherever_it_stands(void **state)
{
    (void) state;
    static const uint8_t ip[] = {192, 0, 2, 1};
    const pg_bytes what = PG_BYTES_OF(ip);
    assert_redacted("/ip4/192.0.2.1/tcp/4417: refused", "/ip4/~/tcp/4417: refused", what);
    assert_redacted("192.0.2.1", "~", what);
    assert_redacted("from 192.0.2.1:80, again 192.0.2.1.", "from ~:80, again ~.", what);
    assert_redacted("'192.0.2.1' (192.0.2.1)", "'~' (~)", what);
}

static void test_redact__ip6__is_named_wherever_it_stands(void **state)
{
    (void) state;
    static const uint8_t ip[16] = {0xfe, 0x80, [15] = 1};
    const pg_bytes what = PG_BYTES_OF(ip);
    assert_redacted("/ip6/fe80::1/udp/1/quic-v1", "/ip6/~/udp/1/quic-v1", what);
    assert_redacted("[fe80::1]:80 fe80::1%eth0 fe80:0:0::1: gone", "[~]:80 ~%eth0 ~: gone", what);
}

static void test_redact__peers_and_names__are_named(void **state)
{
    (void) state;
    pg_peer_id peer;
    assert_int_equal(pg_peer_id_parse(PG_STR(ID), &peer), PG_OK);
    assert_redacted("no address of " ID " is known", "no address of ~ is known",
                    pg_peer_id_bytes(&peer));
    assert_redacted("/p2p/" ID "/p2p-circuit", "/p2p/~/p2p-circuit", pg_peer_id_bytes(&peer));
    assert_redacted("cannot resolve /dns/home.example: no", "cannot resolve /dns/~: no",
                    PG_BYTES_LIT("home.example"));
    assert_redacted("/dns4/home.example/tcp/1", "/dns4/~/tcp/1", PG_BYTES_LIT("home.example"));
    assert_redacted("/dnsaddr/home.example", "/dnsaddr/~", PG_BYTES_LIT("home.example"));
    assert_redacted("nothing at https://home.example:4318/v1/traces",
                    "nothing at https://~:4318/v1/traces", PG_BYTES_LIT("home.example"));
    assert_redacted("http://home.example.", "http://~.", PG_BYTES_LIT("home.example"));
}

static void test_redact__all_else__stays(void **state)
{
    (void) state;
    static const char *const texts[] = {
        "",
        "pangea.conf: line 3: net.listen: '1.2' is not a number from 8 to 100000",
        "/home/me/.local/share/pangea/blocks/pack-00000001: No space left on device",
        "12:30:45 0.6.0-dev 1.2.3.4.5 300.1.1.1 a:b",
        "\x01\xff printable or not",
        "bafkreigh2akiscaildcqabsyg3dfr6chu3fgpregiymsck7e7aqa4s52zy",
    };
    for (size_t i = 0; i < PG_ARRAY_LEN(texts); i++) {
        assert_redacted(texts[i], texts[i], PG_BYTES_LIT("x"));
    }
}

static void test_redact__error_record__stays(void **state)
{
    (void) state;
    pg_buf out = {0};
    pg_err err = pg_fail(PG_ERR_REFUSED, "10.0.0.1 refused");
    assert_int_equal(pg_redact(&pseudonyms, pg_str_make(pg_error_detail(err)), &out), PG_OK);
    assert_string_equal(pg_error_detail(err), "10.0.0.1 refused");
    pg_buf_deinit(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_redact__ip4__is_named_wherever_it_stands),
        cmocka_unit_test(test_redact__ip6__is_named_wherever_it_stands),
        cmocka_unit_test(test_redact__peers_and_names__are_named),
        cmocka_unit_test(test_redact__all_else__stays),
        cmocka_unit_test(test_redact__error_record__stays),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
