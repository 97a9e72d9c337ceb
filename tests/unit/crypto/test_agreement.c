// SPDX-License-Identifier: Apache-2.0
// Goal: X25519 and ML-KEM-768 give the published answers and refuse keys that would give a known secret.
// Method: Wycheproof, which has the RFC 7748 and FIPS 203 cases.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "crypto/mlkem.h"
#include "crypto/x25519.h"
#include "vectors.h"

static pg_key key_of(pg_bytes bytes)
{
    pg_key key;
    assert_int_equal(bytes.len, PG_KEY_BYTES);
    memcpy(key.bytes, bytes.ptr, PG_KEY_BYTES);
    return key;
}

static void test_x25519__wycheproof__matches_and_refuses_zero(void **state)
{
    (void) state;
    vectors file = vectors_open("wycheproof/x25519.txt");
    size_t refused = 0;
    while (vectors_next(&file)) {
        pg_key secret = key_of(vectors_bytes(&file, "secret"));
        pg_key shared = {{0}};
        pg_err err = pg_x25519(&secret, vectors_bytes(&file, "public").ptr, &shared);
        bool zero = strcmp(vectors_text(&file, "result"), "zero") == 0;
        assert_int_equal(err, zero ? PG_ERR_MALFORMED : PG_OK);
        assert_memory_equal(shared.bytes, vectors_bytes(&file, "shared").ptr, PG_KEY_BYTES);
        refused += zero;
    }
    assert_int_equal(file.count, 218);
    assert_true(refused > 20);
}

static void test_x25519__both_sides__share_a_secret(void **state)
{
    (void) state;
    pg_key a = {{1}};
    pg_key b = {{2}};
    uint8_t public_a[PG_X25519_BYTES];
    uint8_t public_b[PG_X25519_BYTES];
    pg_x25519_public(&a, public_a);
    pg_x25519_public(&b, public_b);
    pg_key shared_a;
    pg_key shared_b;
    assert_int_equal(pg_x25519(&a, public_b, &shared_a), PG_OK);
    assert_int_equal(pg_x25519(&b, public_a, &shared_b), PG_OK);
    assert_memory_equal(shared_a.bytes, shared_b.bytes, PG_KEY_BYTES);
}

static void test_mlkem__keygen_from_seed__gives_published_key(void **state)
{
    (void) state;
    vectors file = vectors_open("wycheproof/mlkem_768_keygen.txt");
    while (vectors_next(&file)) {
        pg_mlkem_key key = {0};
        uint8_t public_key[PG_MLKEM_PUBLIC_BYTES];
        assert_int_equal(pg_mlkem_key_init(&key, vectors_bytes(&file, "seed").ptr), PG_OK);
        pg_mlkem_public(&key, public_key);
        assert_true(pg_bytes_equal(PG_BYTES_OF(public_key), vectors_bytes(&file, "public")));
        pg_mlkem_key_deinit(&key);
        pg_mlkem_key_deinit(&key);
    }
    pg_mlkem_key_deinit(NULL);
    assert_int_equal(file.count, 4);
}

static void test_mlkem__encaps__matches_and_refuses_keys_out_of_range(void **state)
{
    (void) state;
    vectors file = vectors_open("wycheproof/mlkem_768_encaps.txt");
    size_t refused = 0;
    while (vectors_next(&file)) {
        uint8_t ciphertext[PG_MLKEM_CIPHERTEXT_BYTES];
        pg_key shared;
        pg_bytes public_key = vectors_bytes(&file, "public");
        if (public_key.len != PG_MLKEM_PUBLIC_BYTES) {
            continue;
        }
        pg_err err = pg_mlkem_encaps(public_key.ptr, vectors_bytes(&file, "random").ptr, ciphertext,
                                     &shared);
        if (strcmp(vectors_text(&file, "result"), "valid") != 0) {
            assert_int_equal(err, PG_ERR_MALFORMED);
            refused++;
            continue;
        }
        assert_int_equal(err, PG_OK);
        assert_true(pg_bytes_equal(PG_BYTES_OF(ciphertext), vectors_bytes(&file, "cipher")));
        assert_memory_equal(shared.bytes, vectors_bytes(&file, "shared").ptr, PG_KEY_BYTES);
    }
    assert_true(refused >= 4);
}

static void test_mlkem__decaps__matches_and_rejects_implicitly(void **state)
{
    (void) state;
    vectors file = vectors_open("wycheproof/mlkem_768.txt");
    while (vectors_next(&file)) {
        pg_mlkem_key key = {0};
        pg_key shared;
        uint8_t ciphertext[PG_MLKEM_CIPHERTEXT_BYTES];
        memcpy(ciphertext, vectors_bytes(&file, "cipher").ptr, sizeof(ciphertext));
        assert_int_equal(pg_mlkem_key_init(&key, vectors_bytes(&file, "seed").ptr), PG_OK);
        assert_int_equal(pg_mlkem_decaps(&key, ciphertext, &shared), PG_OK);
        assert_memory_equal(shared.bytes, vectors_bytes(&file, "shared").ptr, PG_KEY_BYTES);
        ciphertext[7] ^= 1;
        assert_int_equal(pg_mlkem_decaps(&key, ciphertext, &shared), PG_OK);
        assert_memory_not_equal(shared.bytes, vectors_bytes(&file, "shared").ptr, PG_KEY_BYTES);
        pg_mlkem_key_deinit(&key);
    }
    assert_int_equal(file.count, 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_x25519__wycheproof__matches_and_refuses_zero),
        cmocka_unit_test(test_x25519__both_sides__share_a_secret),
        cmocka_unit_test(test_mlkem__keygen_from_seed__gives_published_key),
        cmocka_unit_test(test_mlkem__encaps__matches_and_refuses_keys_out_of_range),
        cmocka_unit_test(test_mlkem__decaps__matches_and_rejects_implicitly),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
