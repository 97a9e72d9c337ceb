// SPDX-License-Identifier: Apache-2.0
// Goal: every hash gives the published answers, in one piece and in parts.
// Method: FIPS 180-4 examples, BLAKE3's own vectors, Wycheproof for HMAC.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "base/str.h"
#include "crypto/hash.h"
#include "vectors.h"

static void assert_digest(const uint8_t *digest, const char *hex)
{
    char text[2 * PG_HASH_BYTES + 1];
    pg_hex_encode(pg_bytes_make(digest, PG_HASH_BYTES), text);
    assert_string_equal(text, hex);
}

static void test_sha256__published_messages__give_published_digests(void **state)
{
    (void) state;
    uint8_t digest[PG_HASH_BYTES];
    pg_sha256(PG_BYTES_EMPTY, digest);
    assert_digest(digest, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    pg_sha256(PG_BYTES_LIT("abc"), digest);
    assert_digest(digest, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    pg_sha256(PG_BYTES_LIT("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq"), digest);
    assert_digest(digest, "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
    uint8_t *million = pg_malloc(1000000);
    assert_non_null(million);
    memset(million, 'a', 1000000);
    pg_sha256(pg_bytes_make(million, 1000000), digest);
    assert_digest(digest, "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
    pg_mfree(million);
}

static void test_sha256_stream__any_parts__equals_one_piece(void **state)
{
    (void) state;
    uint8_t data[1000];
    for (size_t i = 0; i < sizeof(data); i++) {
        data[i] = (uint8_t) (i * 31);
    }
    pg_sha256_stream stream = {0};
    assert_int_equal(pg_sha256_stream_init(&stream), PG_OK);
    for (size_t part = 1; part < 200; part += 13) {
        for (size_t at = 0; at < sizeof(data); at += part) {
            pg_sha256_stream_update(&stream, pg_bytes_slice(PG_BYTES_OF(data), at, part));
        }
        uint8_t in_parts[PG_HASH_BYTES];
        uint8_t whole[PG_HASH_BYTES];
        pg_sha256_stream_final(&stream, in_parts);
        pg_sha256(PG_BYTES_OF(data), whole);
        assert_memory_equal(in_parts, whole, PG_HASH_BYTES);
    }
    pg_sha256_stream_deinit(&stream);
    pg_sha256_stream_deinit(&stream);
    pg_sha256_stream_deinit(NULL);
}

// Lengths around the switch between the two implementations.
static void test_sha256__every_short_length__equals_the_stream(void **state)
{
    (void) state;
    uint8_t data[600];
    memset(data, 0x5c, sizeof(data));
    pg_sha256_stream stream = {0};
    assert_int_equal(pg_sha256_stream_init(&stream), PG_OK);
    for (size_t len = 0; len <= sizeof(data); len++) {
        uint8_t a[PG_HASH_BYTES];
        uint8_t b[PG_HASH_BYTES];
        pg_sha256(pg_bytes_make(data, len), a);
        pg_sha256_stream_update(&stream, pg_bytes_make(data, len));
        pg_sha256_stream_final(&stream, b);
        assert_memory_equal(a, b, PG_HASH_BYTES);
    }
    pg_sha256_stream_deinit(&stream);
}

static void test_blake3__official_vectors__match_plain_and_keyed(void **state)
{
    (void) state;
    pg_key key;
    memcpy(key.bytes, "whats the Elvish word for friend", PG_KEY_BYTES);
    vectors file = vectors_open("blake3/test_vectors.txt");
    while (vectors_next(&file)) {
        uint64_t len = 0;
        assert_int_equal(pg_str_to_u64(pg_str_make(vectors_text(&file, "len")), 1 << 20, &len), 0);
        uint8_t *input = pg_malloc(len);
        assert_non_null(input);
        for (size_t i = 0; i < len; i++) {
            input[i] = (uint8_t) (i % 251);
        }
        pg_bytes in = pg_bytes_make(input, len);
        uint8_t out[131];
        pg_blake3(in, out);
        assert_memory_equal(out, vectors_bytes(&file, "hash").ptr, PG_HASH_BYTES);
        pg_blake3_keyed(&key, in, out);
        assert_memory_equal(out, vectors_bytes(&file, "keyed").ptr, PG_HASH_BYTES);
        for (int keyed = 0; keyed < 2; keyed++) {
            pg_bytes want = vectors_bytes(&file, keyed ? "keyed" : "hash");
            assert_int_equal(want.len, sizeof(out));
            pg_blake3_stream stream;
            pg_blake3_stream_init(&stream, keyed ? &key : NULL);
            pg_blake3_stream_update(&stream, pg_bytes_slice(in, 0, len / 3));
            pg_blake3_stream_update(&stream, pg_bytes_slice(in, len / 3, len));
            pg_blake3_stream_final(&stream, PG_MUT_BYTES_OF(out));
            assert_memory_equal(out, want.ptr, want.len);
        }
        pg_mfree(input);
    }
    assert_int_equal(file.count, 35);
}

static void test_hmac__wycheproof__matches(void **state)
{
    (void) state;
    vectors file = vectors_open("wycheproof/hmac_sha256.txt");
    while (vectors_next(&file)) {
        uint8_t mac[PG_HASH_BYTES];
        pg_hmac_sha256(vectors_bytes(&file, "key"), vectors_bytes(&file, "in"), mac);
        assert_memory_equal(mac, vectors_bytes(&file, "mac").ptr, PG_HASH_BYTES);
    }
    assert_int_equal(file.count, 33);
}

static void test_hmac__nothing_under_no_key__matches(void **state)
{
    (void) state;
    char hex[2 * PG_HASH_BYTES + 1];
    uint8_t mac[PG_HASH_BYTES];
    pg_hmac_sha256(PG_BYTES_EMPTY, PG_BYTES_EMPTY, mac);
    pg_hex_encode(PG_BYTES_OF(mac), hex);
    assert_string_equal(hex, "b613679a0814d9ec772f95d778c35fc5ff1697c493715653c6c712144292c5ad");
}

static void test_cid__of_data__verifies_only_that_data(void **state)
{
    (void) state;
    pg_bytes data = PG_BYTES_LIT("hello world");
    pg_cid sha256 = pg_cid_of_sha256(data);
    char text[PG_CID_TEXT_BYTES];
    pg_cid_format(&sha256, text); // as IPFS prints it
    assert_string_equal(text, "bafkreifzjut3te2nhyekklss27nh3k72ysco7y32koao5eei66wof36n5e");
    pg_cid blake3 = pg_cid_of_blake3(data);
    pg_multihash hash = {0};
    assert_int_equal(pg_multihash_make(PG_MULTIHASH_CODE_IDENTITY, data, &hash), PG_OK);
    pg_cid identity = pg_cid_make(PG_CID_CODEC_RAW, &hash);
    const pg_cid none = {0};
    const pg_cid *cids[] = {&sha256, &blake3, &identity};
    for (size_t i = 0; i < PG_ARRAY_LEN(cids); i++) {
        assert_int_equal(pg_cid_verify(cids[i], data), PG_OK);
        assert_int_equal(pg_cid_verify(cids[i], PG_BYTES_LIT("hello worle")), PG_ERR_CORRUPT);
    }
    assert_int_equal(pg_cid_verify(&none, data), PG_ERR_UNSUPPORTED);
    blake3.bytes[2] = 0x1f;
    assert_int_equal(pg_cid_verify(&blake3, data), PG_ERR_UNSUPPORTED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sha256__published_messages__give_published_digests),
        cmocka_unit_test(test_sha256_stream__any_parts__equals_one_piece),
        cmocka_unit_test(test_sha256__every_short_length__equals_the_stream),
        cmocka_unit_test(test_blake3__official_vectors__match_plain_and_keyed),
        cmocka_unit_test(test_hmac__wycheproof__matches),
        cmocka_unit_test(test_hmac__nothing_under_no_key__matches),
        cmocka_unit_test(test_cid__of_data__verifies_only_that_data),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
