// SPDX-License-Identifier: Apache-2.0
// Goal: PeerIds are read in both spellings and written in the usual one.
// Method: the examples of the libp2p specification of peer ids.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "crypto/peer_id_text.h"

#define RSA "QmYyQSo1c1Ym7orWxLYvCrM2EmxFTANf8wXmmE7DWjhx5N"
#define RSA_CID "bafzbeie5745rpv2m6tjyuugywy4d5ewrqgqqhfnf445he3omzpjbx5xqxe"
#define ED25519 "12D3KooWD3eckifWpRn9wQpMG9R9hX3sD158z7EqHWmweQAJU5SA"

static void assert_reads(const char *text, const char *written)
{
    pg_peer_id id;
    char back[PG_PEER_ID_TEXT_BYTES];
    assert_int_equal(pg_peer_id_parse(pg_str_make(text), &id), PG_OK);
    pg_peer_id_format(&id, back);
    assert_string_equal(back, written);
}

static void test_peer_id_text__examples__come_back_in_base58(void **state)
{
    (void) state;
    assert_reads(RSA, RSA);
    assert_reads(RSA_CID, RSA);
    assert_reads(ED25519, ED25519);
}

static void test_peer_id_text__other_things__are_refused(void **state)
{
    (void) state;
    pg_peer_id id;
    assert_int_not_equal(pg_peer_id_parse(PG_STR(""), &id), PG_OK);
    assert_int_not_equal(pg_peer_id_parse(PG_STR("12D3KooW"), &id), PG_OK);
    assert_int_not_equal(
        pg_peer_id_parse(PG_STR("QmYyQSo1c1Ym7orWxLYvCrM2EmxFTANf8wXmmE7DWjhx50"), &id), PG_OK);
    // a CID of raw data
    assert_int_equal(
        pg_peer_id_parse(PG_STR("bafkreigh2akiscaildcqabsyg3dfr6chu3fgpregiymsck7e7aqa4s52zy"),
                         &id),
        PG_ERR_UNSUPPORTED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_peer_id_text__examples__come_back_in_base58),
        cmocka_unit_test(test_peer_id_text__other_things__are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
