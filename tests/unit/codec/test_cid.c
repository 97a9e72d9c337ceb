// SPDX-License-Identifier: Apache-2.0
// Goal: a multihash and a CID of each kind read back as they were made, in binary and text; anything else is refused.
// Method: vectors of the CID and PeerId specifications, recomputed with an independent program; every truncation.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "codec/cid.h"

// sha2-256 of nothing.
#define EMPTY_SHA                                                                                  \
    "\xe3\xb0\xc4\x42\x98\xfc\x1c\x14\x9a\xfb\xf4\xc8\x99\x6f\xb9\x24\x27\xae\x41\xe4\x64\x9b\x93" \
    "\x4c\xa4\x95\x99\x1b\x78\x52\xb8\x55"

static pg_multihash empty_hash(void)
{
    pg_multihash hash;
    assert_int_equal(pg_multihash_make(PG_MULTIHASH_CODE_SHA2_256, PG_BYTES_LIT(EMPTY_SHA), &hash),
                     PG_OK);
    return hash;
}

static void test_multihash__each_function__round_trips(void **state)
{
    (void) state;
    static const struct {
        pg_multihash_code code;
        size_t len;
    } rows[] = {
        {PG_MULTIHASH_CODE_IDENTITY, 0},  {PG_MULTIHASH_CODE_IDENTITY, 36},
        {PG_MULTIHASH_CODE_IDENTITY, 64}, {PG_MULTIHASH_CODE_SHA2_256, 32},
        {PG_MULTIHASH_CODE_BLAKE3, 32},
    };
    uint8_t digest[64];
    memset(digest, 0xa5, sizeof(digest));
    for (size_t i = 0; i < PG_ARRAY_LEN(rows); i++) {
        pg_multihash hash;
        pg_multihash read;
        assert_int_equal(pg_multihash_make(rows[i].code, pg_bytes_make(digest, rows[i].len), &hash),
                         PG_OK);
        assert_int_equal(pg_multihash_code_of(&hash), rows[i].code);
        assert_int_equal(pg_multihash_digest(&hash).len, rows[i].len);
        pg_bytes encoded = pg_multihash_bytes(&hash);
        assert_int_equal(encoded.len, 2 + rows[i].len);
        assert_int_equal(pg_multihash_decode(encoded, &read), PG_OK);
        assert_true(pg_multihash_equal(&hash, &read));
        for (size_t cut = 0; cut < encoded.len; cut++) {
            assert_int_equal(pg_multihash_decode(pg_bytes_slice(encoded, 0, cut), &read),
                             PG_ERR_TRUNCATED);
        }
    }
}

static void test_multihash__wrong_length_or_function__is_refused(void **state)
{
    (void) state;
    pg_multihash hash = empty_hash();
    pg_multihash before = hash;
    uint8_t long_digest[65] = {0};
    assert_int_equal(pg_multihash_make(0x13, PG_BYTES_OF(long_digest), &hash), PG_ERR_UNSUPPORTED);
    assert_int_equal(pg_multihash_make(0, PG_BYTES_OF(long_digest), &hash), PG_ERR_MALFORMED);
    assert_int_equal(pg_multihash_make(0x12, pg_bytes_make(long_digest, 31), &hash),
                     PG_ERR_MALFORMED);
    assert_int_equal(pg_multihash_decode(PG_BYTES_LIT("\x12\x01\x00"), &hash), PG_ERR_MALFORMED);
    assert_int_equal(pg_multihash_decode(PG_BYTES_LIT("\x00\x01\x00\x00"), &hash),
                     PG_ERR_MALFORMED);
    assert_int_equal(pg_multihash_decode(PG_BYTES_LIT("\x00\x41"), &hash), PG_ERR_LIMIT);
    assert_true(pg_multihash_equal(&hash, &before));
}

static void test_cid__published_texts__match(void **state)
{
    (void) state;
    pg_multihash hash = empty_hash();
    static const struct {
        uint32_t codec;
        const char *text;
    } rows[] = {
        {PG_CID_CODEC_RAW, "bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku"},
        {PG_CID_CODEC_DAG_PB, "bafybeihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku"},
    };
    char text[PG_CID_TEXT_BYTES];
    pg_cid read;
    for (size_t i = 0; i < PG_ARRAY_LEN(rows); i++) {
        pg_cid cid = pg_cid_make(rows[i].codec, &hash);
        pg_cid_format(&cid, text);
        assert_string_equal(text, rows[i].text);
        assert_int_equal(pg_cid_parse(pg_str_make(text), &read), PG_OK);
        assert_true(pg_cid_equal(&cid, &read));
        assert_int_equal(pg_cid_version(&read), 1);
        assert_int_equal(pg_cid_codec(&read), rows[i].codec);
    }
    pg_cid cid;
    assert_int_equal(pg_cid_make_v0(&hash, &cid), PG_OK);
    pg_cid_format(&cid, text);
    assert_string_equal(text, "QmdfTbBqBPQ7VNxZEYEj14VmRuZBkqFbiwReogJgS1zR1n");
    assert_int_equal(pg_cid_parse(pg_str_make(text), &read), PG_OK);
    assert_true(pg_cid_equal(&cid, &read));
    assert_int_equal(pg_cid_version(&read), 0);
    assert_int_equal(pg_cid_codec(&read), PG_CID_CODEC_DAG_PB);
    pg_multihash back = pg_cid_multihash(&read);
    assert_true(pg_multihash_equal(&back, &hash));
}

static void test_cid__each_base_codec_and_hash__round_trips(void **state)
{
    (void) state;
    static const uint32_t codecs[] = {0, PG_CID_CODEC_RAW, PG_CID_CODEC_LIBP2P_KEY, 0x200, 0xffff};
    uint8_t data[64];
    memset(data, 0xff, sizeof(data));
    pg_multihash hashes[3] = {empty_hash()};
    assert_int_equal(pg_multihash_make(0, PG_BYTES_OF(data), &hashes[1]), PG_OK);
    assert_int_equal(
        pg_multihash_make(PG_MULTIHASH_CODE_BLAKE3, pg_bytes_make(data, 32), &hashes[2]), PG_OK);
    for (size_t i = 0; i < PG_ARRAY_LEN(codecs) * PG_ARRAY_LEN(hashes); i++) {
        const pg_multihash *hash = &hashes[i % PG_ARRAY_LEN(hashes)];
        pg_cid cid = pg_cid_make(codecs[i / PG_ARRAY_LEN(hashes)], hash);
        for (pg_base base = PG_BASE_16; base < PG_BASE_COUNT; base++) {
            char text[PG_CID_TEXT_BYTES];
            pg_cid read;
            pg_cid_format_base(&cid, base, text);
            assert_int_equal(pg_cid_parse(pg_str_make(text), &read), PG_OK);
            assert_true(pg_cid_equal(&cid, &read));
            assert_int_equal(pg_cid_codec(&read), codecs[i / PG_ARRAY_LEN(hashes)]);
            pg_multihash back = pg_cid_multihash(&read);
            assert_true(pg_multihash_equal(&back, hash));
        }
        pg_cid read;
        for (size_t cut = 0; cut < cid.len; cut++) {
            assert_int_not_equal(pg_cid_decode(pg_bytes_make(cid.bytes, cut), &read), PG_OK);
        }
    }
}

static void test_cid__faulty__is_refused(void **state)
{
    (void) state;
    pg_cid cid;
    uint8_t data[4] = {0};
    pg_multihash identity;
    assert_int_equal(pg_multihash_make(0, PG_BYTES_OF(data), &identity), PG_OK);
    assert_int_equal(pg_cid_make_v0(&identity, &cid), PG_ERR_INVALID);
    assert_int_equal(pg_cid_decode(PG_BYTES_LIT("\x02\x55\x00\x00"), &cid), PG_ERR_UNSUPPORTED);
    assert_int_equal(pg_cid_decode(PG_BYTES_LIT("\x01\x80\x80\x04\x00\x00"), &cid),
                     PG_ERR_UNSUPPORTED);
    assert_int_equal(pg_cid_decode(PG_BYTES_LIT("\x01\x55\x13\x00"), &cid), PG_ERR_UNSUPPORTED);
    assert_int_equal(pg_cid_decode(PG_BYTES_LIT("\x01\x55\x00\x00\x00"), &cid), PG_ERR_MALFORMED);
    assert_int_equal(pg_cid_decode(PG_BYTES_LIT("\x12\x20" EMPTY_SHA "\x00"), &cid),
                     PG_ERR_MALFORMED);
    assert_int_equal(pg_cid_parse(PG_STR(""), &cid), PG_ERR_MALFORMED);
    assert_int_equal(pg_cid_parse(PG_STR("no-cid"), &cid), PG_ERR_MALFORMED);
    // Version 0 may not hide behind a prefix: "z" and the text of version 0.
    assert_int_equal(pg_cid_parse(PG_STR("zQmdfTbBqBPQ7VNxZEYEj14VmRuZBkqFbiwReogJgS1zR1n"), &cid),
                     PG_ERR_MALFORMED);
    assert_int_equal(pg_cid_parse(PG_STR("Qm0fTbBqBPQ7VNxZEYEj14VmRuZBkqFbiwReogJgS1zR1n"), &cid),
                     PG_ERR_MALFORMED);
}

static void test_peer_text__both_forms__name_the_same_peer(void **state)
{
    (void) state;
    static const struct {
        const char *base58;
        const char *cid;
    } rows[] = {
        {"QmYyQSo1c1Ym7orWxLYvCrM2EmxFTANf8wXmmE7DWjhx5N",
         "bafzbeie5745rpv2m6tjyuugywy4d5ewrqgqqhfnf445he3omzpjbx5xqxe"},
        {"12D3KooWBtg3aaRMjxwedh83aGiUkwSxDwUZkzuJcfaqUmo7R3pq",
         "bafzaajaiaejcahwr5d5ofrfbis4l5d6uwr57hu5tjodrypfm6yaq6dsc2r2pzyt6"},
    };
    for (size_t i = 0; i < PG_ARRAY_LEN(rows); i++) {
        pg_multihash a;
        pg_multihash b;
        char text[PG_PEER_TEXT_BYTES];
        assert_int_equal(pg_peer_text_parse(pg_str_make(rows[i].base58), &a), PG_OK);
        assert_int_equal(pg_peer_text_parse(pg_str_make(rows[i].cid), &b), PG_OK);
        assert_true(pg_multihash_equal(&a, &b));
        pg_peer_text_format(pg_multihash_bytes(&a), text);
        assert_string_equal(text, rows[i].base58);
    }
    pg_multihash longest;
    uint8_t data[64];
    memset(data, 0xff, sizeof(data));
    char text[PG_PEER_TEXT_BYTES];
    assert_int_equal(pg_multihash_make(0, PG_BYTES_OF(data), &longest), PG_OK);
    pg_peer_text_format(pg_multihash_bytes(&longest), text);
}

static void test_peer_text__other_cid_or_garbage__is_refused(void **state)
{
    (void) state;
    pg_multihash peer;
    assert_int_equal(pg_peer_text_parse(PG_STR("bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevt"
                                               "enxquvyku"),
                                        &peer),
                     PG_ERR_MALFORMED);
    uint8_t digest[32] = {0};
    char text[PG_CID_TEXT_BYTES];
    pg_multihash blake3;
    assert_int_equal(pg_multihash_make(PG_MULTIHASH_CODE_BLAKE3, PG_BYTES_OF(digest), &blake3),
                     PG_OK);
    assert_false(pg_peer_hash_is_valid(&blake3));
    pg_cid key = pg_cid_make(PG_CID_CODEC_LIBP2P_KEY, &blake3);
    pg_cid_format(&key, text);
    assert_int_equal(pg_peer_text_parse(pg_str_make(text), &peer), PG_ERR_UNSUPPORTED);
    assert_int_equal(pg_peer_text_parse(PG_STR("12D3KooW"), &peer), PG_ERR_TRUNCATED);
    assert_int_equal(pg_peer_text_parse(PG_STR("Qm0"), &peer), PG_ERR_MALFORMED);
    assert_int_equal(pg_peer_text_parse(PG_STR(""), &peer), PG_ERR_MALFORMED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_multihash__each_function__round_trips),
        cmocka_unit_test(test_multihash__wrong_length_or_function__is_refused),
        cmocka_unit_test(test_cid__published_texts__match),
        cmocka_unit_test(test_cid__each_base_codec_and_hash__round_trips),
        cmocka_unit_test(test_cid__faulty__is_refused),
        cmocka_unit_test(test_peer_text__both_forms__name_the_same_peer),
        cmocka_unit_test(test_peer_text__other_cid_or_garbage__is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
