// SPDX-License-Identifier: Apache-2.0
// Goal: a link reads back as it was written; every way to spoil one has its own error. Method: every single changed, swapped, lost
// and added character of a link.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "files/extents.h"
#include "files/link.h"
#include "memory_store.h"

static void make(char text[PG_LINK_TEXT_BYTES], pg_link *link)
{
    link->root = pg_block_cid(PG_BYTES_LIT("a root"));
    test_random(pg_mut_bytes_make(link->key.bytes, PG_KEY_BYTES));
    pg_link_format(link, text);
}

static pg_err parse(const char *text)
{
    pg_link link;
    return pg_link_parse(pg_str_make(text), &link);
}

static void test_link__written__reads_back(void **state)
{
    (void) state;
    char text[PG_LINK_TEXT_BYTES];
    pg_link link;
    pg_link again;
    for (int i = 0; i < 50; i++) {
        make(text, &link);
        assert_int_equal(strlen(text), PG_LINK_CHARS);
        assert_int_equal(pg_link_parse(pg_str_make(text), &again), PG_OK);
        assert_true(pg_cid_equal(&link.root, &again.root));
        assert_memory_equal(link.key.bytes, again.key.bytes, PG_KEY_BYTES);
    }
    pg_link_wipe(&again);
    pg_link_wipe(NULL);
}

static void test_link__cut_anywhere__is_truncated(void **state)
{
    (void) state;
    char text[PG_LINK_TEXT_BYTES];
    pg_link link;
    make(text, &link);
    for (size_t len = 1; len < PG_LINK_CHARS; len++) {
        char cut[PG_LINK_TEXT_BYTES] = {0};
        memcpy(cut, text, len);
        assert_int_equal(parse(cut), PG_ERR_TRUNCATED);
    }
}

static void test_link__one_character_wrong__is_mistyped(void **state)
{
    (void) state;
    char text[PG_LINK_TEXT_BYTES];
    pg_link link;
    make(text, &link);
    for (size_t at = strlen("pangea:"); at < PG_LINK_CHARS; at++) {
        char wrong[PG_LINK_TEXT_BYTES + 1];
        memcpy(wrong, text, sizeof(text));
        wrong[at] = text[at] == '3' ? '4' : '3';
        assert_true(parse(wrong) == PG_ERR_MALFORMED || wrong[at] == text[at]);
        memcpy(wrong, text, sizeof(text));
        wrong[at] = '0'; // in neither alphabet
        assert_int_equal(parse(wrong), PG_ERR_MALFORMED);
        if (at + 1 < PG_LINK_CHARS && text[at] != text[at + 1]) {
            memcpy(wrong, text, sizeof(text));
            wrong[at] = text[at + 1];
            wrong[at + 1] = text[at];
            assert_int_equal(parse(wrong), PG_ERR_MALFORMED);
        }
        memcpy(wrong, text, at);
        wrong[at] = '2';
        memcpy(wrong + at + 1, text + at, PG_LINK_CHARS - at + 1);
        assert_int_equal(parse(wrong), PG_ERR_MALFORMED);
    }
}

static void test_link__foreign__is_told_apart(void **state)
{
    (void) state;
    assert_int_equal(parse(""), PG_ERR_INVALID);
    assert_int_equal(parse("https://example.org/"), PG_ERR_INVALID);
    assert_int_equal(parse("ipfs://bafkreib"), PG_ERR_INVALID);
    assert_int_equal(parse(" pangea:"), PG_ERR_INVALID);
    assert_int_equal(parse("magnet:?xt=urn:btih:c12fe1c06bba254a9dc9f519b335aa7c1367a88a"),
                     PG_ERR_INVALID);
    assert_non_null(strstr(pg_error_detail(PG_ERR_INVALID), "not a pangea link"));
}

static void test_link__other_kinds_of_content_id__mistyped(void **state)
{
    (void) state;
    assert_int_equal(
        parse("pangea:QmYwAPJzv5CZsnA625s3Xf2nemtYgPpHdWEz79ojWKPbdG#2222222222222222222222222222"
              "2222222222222222222222"),
        PG_ERR_MALFORMED);
    assert_int_equal(
        parse("pangea:bafkreigh2akiscaildcqabsyg3dfr6chu3fgpregiymsck7e7aqa4s52zy#222222"),
        PG_ERR_MALFORMED);
}

static void test_link__next_version__names_it(void **state)
{
    (void) state;
    // Version 2 with a payload of another length; the checksum rule is the same for all versions.
    uint8_t secret[20] = {2, 1, 2, 3};
    pg_cid root = pg_block_cid(PG_BYTES_LIT("a root"));
    uint8_t digest[PG_HASH_BYTES];
    char cid[PG_CID_TEXT_BYTES];
    char text[256];
    pg_blake3_stream stream;
    pg_blake3_stream_init(&stream, NULL);
    pg_blake3_stream_update(&stream, PG_BYTES_LIT("pangea link"));
    pg_blake3_stream_update(&stream, pg_cid_bytes(&root));
    pg_blake3_stream_update(&stream, pg_bytes_make(secret, 16));
    pg_blake3_stream_final(&stream, PG_MUT_BYTES_OF(digest));
    memcpy(secret + 16, digest, 4);
    pg_cid_format(&root, cid);
    pg_writer writer = pg_writer_make(PG_MUT_BYTES_OF(text));
    pg_writer_put(&writer, PG_BYTES_LIT("pangea:"));
    pg_writer_put(&writer, pg_bytes_cstr(cid));
    pg_writer_u8(&writer, '#');
    pg_writer_base(&writer, PG_BASE_58BTC, PG_BYTES_OF(secret));
    pg_writer_u8(&writer, 0);
    assert_int_equal(parse(text), PG_ERR_UNSUPPORTED);
    assert_non_null(strstr(pg_error_detail(PG_ERR_UNSUPPORTED), "version 2"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_link__written__reads_back),
        cmocka_unit_test(test_link__cut_anywhere__is_truncated),
        cmocka_unit_test(test_link__one_character_wrong__is_mistyped),
        cmocka_unit_test(test_link__foreign__is_told_apart),
        cmocka_unit_test(test_link__other_kinds_of_content_id__mistyped),
        cmocka_unit_test(test_link__next_version__names_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
