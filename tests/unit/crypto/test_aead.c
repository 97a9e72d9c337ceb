// SPDX-License-Identifier: Apache-2.0
// Goal: both ciphers give the published answers, refuse every change, and a context can be used again in any order.
// Method: Wycheproof (which holds the RFC 8439 and NIST cases), then changes and orders by hand.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "crypto/aead.h"
#include "vectors.h"

static void check_file(const char *path, pg_aead_alg alg, size_t count)
{
    pg_key key = {{0}};
    pg_aead aead = {0};
    assert_int_equal(pg_aead_init(&aead, alg, &key), PG_OK);
    vectors file = vectors_open(path);
    while (vectors_next(&file)) {
        uint8_t out[1024];
        uint8_t tag[PG_AEAD_TAG_BYTES];
        pg_bytes plain = vectors_bytes(&file, "plain");
        pg_bytes cipher = vectors_bytes(&file, "cipher");
        pg_bytes ad = vectors_bytes(&file, "ad");
        const uint8_t *nonce = vectors_bytes(&file, "nonce").ptr;
        memcpy(key.bytes, vectors_bytes(&file, "key").ptr, sizeof(key.bytes));
        pg_aead_rekey(&aead, &key);
        bool valid = strcmp(vectors_text(&file, "result"), "valid") == 0;
        pg_err err =
            pg_aead_open_detached(&aead, nonce, ad, cipher, vectors_bytes(&file, "tag").ptr, out);
        assert_int_equal(err, valid ? PG_OK : PG_ERR_AUTH);
        if (!valid) {
            continue;
        }
        assert_true(pg_bytes_equal(plain, pg_bytes_make(out, plain.len)));
        assert_int_equal(pg_aead_seal_detached(&aead, nonce, ad, plain, out, tag), PG_OK);
        assert_true(pg_bytes_equal(cipher, pg_bytes_make(out, plain.len)));
        assert_true(pg_bytes_equal(PG_BYTES_OF(tag), vectors_bytes(&file, "tag")));
    }
    assert_int_equal(file.count, count);
    pg_aead_deinit(&aead);
}

static void test_aead__wycheproof_aes_256_gcm__matches(void **state)
{
    (void) state;
    check_file("wycheproof/aes_gcm.txt", PG_AEAD_ALG_AES_256_GCM, 66);
}

static void test_aead__wycheproof_chacha20_poly1305__matches(void **state)
{
    (void) state;
    check_file("wycheproof/chacha20_poly1305.txt", PG_AEAD_ALG_CHACHA20_POLY1305, 124);
}

static const pg_aead_alg algs[] = {PG_AEAD_ALG_AES_256_GCM, PG_AEAD_ALG_CHACHA20_POLY1305};

static void test_aead__in_place_and_interleaved__restores_every_message(void **state)
{
    (void) state;
    for (size_t a = 0; a < PG_ARRAY_LEN(algs); a++) {
        pg_key key = {{1, 2, 3}};
        pg_aead aead = {0};
        assert_int_equal(pg_aead_init(&aead, algs[a], &key), PG_OK);
        uint8_t first[300 + PG_AEAD_TAG_BYTES];
        uint8_t second[17 + PG_AEAD_TAG_BYTES];
        memset(first, 'f', 300);
        memset(second, 's', 17);
        const uint8_t one[PG_AEAD_NONCE_BYTES] = {1};
        const uint8_t two[PG_AEAD_NONCE_BYTES] = {2};
        assert_int_equal(
            pg_aead_seal(&aead, one, PG_BYTES_LIT("ad"), pg_bytes_make(first, 300), first), PG_OK);
        assert_int_equal(
            pg_aead_seal(&aead, two, PG_BYTES_EMPTY, pg_bytes_make(second, 17), second), PG_OK);
        assert_int_equal(pg_aead_open(&aead, one, PG_BYTES_LIT("ad"), PG_BYTES_OF(first), first),
                         PG_OK);
        assert_int_equal(pg_aead_open(&aead, two, PG_BYTES_EMPTY, PG_BYTES_OF(second), second),
                         PG_OK);
        for (size_t i = 0; i < 300; i++) {
            assert_int_equal(first[i], 'f');
        }
        assert_memory_equal(second, "sssssssssssssssss", 17);
        pg_aead_deinit(&aead);
        pg_aead_deinit(&aead);
        pg_aead_deinit(NULL);
    }
}

static void test_aead__any_bit_changed__is_refused_and_nothing_leaks(void **state)
{
    (void) state;
    for (size_t a = 0; a < PG_ARRAY_LEN(algs); a++) {
        pg_key key = {{9}};
        pg_aead aead = {0};
        assert_int_equal(pg_aead_init(&aead, algs[a], &key), PG_OK);
        const uint8_t nonce[PG_AEAD_NONCE_BYTES] = {0};
        uint8_t sealed[20 + PG_AEAD_TAG_BYTES];
        assert_int_equal(pg_aead_seal(&aead, nonce, PG_BYTES_LIT("a"),
                                      PG_BYTES_LIT("twenty bytes of text"), sealed),
                         PG_OK);
        const uint8_t zeros[20] = {0};
        uint8_t out[20];
        for (size_t bit = 0; bit < 8 * sizeof(sealed); bit++) {
            sealed[bit / 8] ^= (uint8_t) (1U << (bit % 8));
            memset(out, 0xee, sizeof(out));
            assert_int_equal(
                pg_aead_open(&aead, nonce, PG_BYTES_LIT("a"), PG_BYTES_OF(sealed), out),
                PG_ERR_AUTH);
            assert_memory_equal(out, zeros, sizeof(out));
            sealed[bit / 8] ^= (uint8_t) (1U << (bit % 8));
        }
        assert_int_equal(pg_aead_open(&aead, nonce, PG_BYTES_LIT("b"), PG_BYTES_OF(sealed), out),
                         PG_ERR_AUTH);
        assert_int_equal(pg_aead_open(&aead, nonce, PG_BYTES_LIT("a"), PG_BYTES_OF(sealed), out),
                         PG_OK);
        pg_aead_deinit(&aead);
    }
}

static void test_aead__empty_and_too_short__tag_only_and_truncated(void **state)
{
    (void) state;
    for (size_t a = 0; a < PG_ARRAY_LEN(algs); a++) {
        pg_key key = {{9}};
        pg_aead aead = {0};
        assert_int_equal(pg_aead_init(&aead, algs[a], &key), PG_OK);
        const uint8_t nonce[PG_AEAD_NONCE_BYTES] = {0};
        uint8_t tag[PG_AEAD_TAG_BYTES];
        assert_int_equal(pg_aead_seal(&aead, nonce, PG_BYTES_EMPTY, PG_BYTES_EMPTY, tag), PG_OK);
        assert_int_equal(pg_aead_open(&aead, nonce, PG_BYTES_EMPTY, PG_BYTES_OF(tag), NULL), PG_OK);
        tag[0] ^= 1;
        assert_int_equal(pg_aead_open(&aead, nonce, PG_BYTES_EMPTY, PG_BYTES_OF(tag), NULL),
                         PG_ERR_AUTH);
        assert_int_equal(pg_aead_open(&aead, nonce, PG_BYTES_EMPTY, pg_bytes_make(tag, 15), NULL),
                         PG_ERR_TRUNCATED);
        pg_aead_deinit(&aead);
    }
}

static void test_aead__message_beyond_limit__is_refused_unread(void **state)
{
    (void) state;
    pg_key key = {{9}};
    pg_aead aead = {0};
    assert_int_equal(pg_aead_init(&aead, PG_AEAD_ALG_AES_256_GCM, &key), PG_OK);
    uint8_t out[PG_AEAD_TAG_BYTES];
    const uint8_t nonce[PG_AEAD_NONCE_BYTES] = {0};
    pg_bytes huge = pg_bytes_make(out, (size_t) PG_AEAD_BYTES_MAX + 1);
    assert_int_equal(pg_aead_seal_detached(&aead, nonce, PG_BYTES_EMPTY, huge, out, out),
                     PG_ERR_LIMIT);
    assert_int_equal(pg_aead_seal_detached(&aead, nonce, huge, PG_BYTES_EMPTY, out, out),
                     PG_ERR_LIMIT);
    assert_int_equal(pg_aead_open_detached(&aead, nonce, PG_BYTES_EMPTY, huge, out, out),
                     PG_ERR_LIMIT);
    pg_aead_deinit(&aead);
}

static void test_aead__8_mib__comes_back(void **state)
{
    (void) state;
    size_t len = (size_t) 8 << 20;
    uint8_t *data = pg_calloc(1, len + PG_AEAD_TAG_BYTES);
    assert_non_null(data);
    for (size_t a = 0; a < PG_ARRAY_LEN(algs); a++) {
        pg_key key = {{5}};
        pg_aead aead = {0};
        assert_int_equal(pg_aead_init(&aead, algs[a], &key), PG_OK);
        const uint8_t nonce[PG_AEAD_NONCE_BYTES] = {0};
        assert_int_equal(pg_aead_seal(&aead, nonce, PG_BYTES_EMPTY, pg_bytes_make(data, len), data),
                         PG_OK);
        assert_int_equal(pg_aead_open(&aead, nonce, PG_BYTES_EMPTY,
                                      pg_bytes_make(data, len + PG_AEAD_TAG_BYTES), data),
                         PG_OK);
        assert_int_equal(data[0] | data[len / 2] | data[len - 1], 0);
        pg_aead_deinit(&aead);
    }
    pg_mfree(data);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_aead__wycheproof_aes_256_gcm__matches),
        cmocka_unit_test(test_aead__wycheproof_chacha20_poly1305__matches),
        cmocka_unit_test(test_aead__in_place_and_interleaved__restores_every_message),
        cmocka_unit_test(test_aead__any_bit_changed__is_refused_and_nothing_leaks),
        cmocka_unit_test(test_aead__empty_and_too_short__tag_only_and_truncated),
        cmocka_unit_test(test_aead__message_beyond_limit__is_refused_unread),
        cmocka_unit_test(test_aead__8_mib__comes_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
