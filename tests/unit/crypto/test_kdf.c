// SPDX-License-Identifier: Apache-2.0
// Goal: keys are derived as RFC 5869 and RFC 9106 say, and a stranger's cost parameters cannot take more than the limit.
// Method: Wycheproof and the RFC's first case for HKDF; Argon2id against OpenSSL's implementation, an independent one.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#include <openssl/core_names.h>
#include <openssl/kdf.h>
#include <openssl/params.h>

#include "base/str.h"
#include "crypto/kdf.h"
#include "vectors.h"

static void test_hkdf__rfc_5869_case_1__gives_prk_and_okm(void **state)
{
    (void) state;
    uint8_t ikm[22];
    memset(ikm, 0x0b, sizeof(ikm));
    uint8_t salt[13];
    assert_int_equal(pg_hex_decode(PG_STR("000102030405060708090a0b0c"), PG_MUT_BYTES_OF(salt)), 0);
    pg_key prk;
    pg_hkdf_extract(PG_BYTES_OF(salt), PG_BYTES_OF(ikm), &prk);
    uint8_t want[32];
    assert_int_equal(
        pg_hex_decode(PG_STR("077709362c2e32df0ddc3f0dc47bba6390b6c73bb50f9c3122ec844ad7c2b3e5"),
                      PG_MUT_BYTES_OF(want)),
        0);
    assert_memory_equal(prk.bytes, want, sizeof(want));
    uint8_t okm[42];
    pg_hkdf_expand(&prk, PG_BYTES_LIT("\xf0\xf1\xf2\xf3\xf4\xf5\xf6\xf7\xf8\xf9"),
                   PG_MUT_BYTES_OF(okm));
    char hex[85];
    pg_hex_encode(PG_BYTES_OF(okm), hex);
    assert_string_equal(hex, "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf"
                             "34007208d5b887185865");
}

static void test_hkdf__wycheproof__matches(void **state)
{
    (void) state;
    vectors file = vectors_open("wycheproof/hkdf_sha256.txt");
    size_t done = 0;
    while (vectors_next(&file)) {
        pg_bytes want = vectors_bytes(&file, "okm");
        if (strcmp(vectors_text(&file, "result"), "valid") != 0) {
            continue; // asks for more than RFC 5869 allows; ours is an assertion
        }
        uint8_t out[PG_HKDF_OUT_BYTES_MAX];
        pg_hkdf(vectors_bytes(&file, "salt"), vectors_bytes(&file, "ikm"),
                vectors_bytes(&file, "info"), pg_mut_bytes_make(out, want.len));
        assert_memory_equal(out, want.ptr, want.len);
        done++;
    }
    assert_true(done > 60);
}

static void openssl_argon2id(const char *passphrase, const char *salt, pg_argon2_cost cost,
                             uint8_t *out)
{
    char pass_copy[64];
    char salt_copy[64];
    (void) snprintf(pass_copy, sizeof(pass_copy), "%s", passphrase);
    (void) snprintf(salt_copy, sizeof(salt_copy), "%s", salt);
    uint32_t one = 1;
    OSSL_PARAM params[] = {
        OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_PASSWORD, pass_copy, strlen(pass_copy)),
        OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_SALT, salt_copy, strlen(salt_copy)),
        OSSL_PARAM_construct_uint32(OSSL_KDF_PARAM_ITER, &cost.passes),
        OSSL_PARAM_construct_uint32(OSSL_KDF_PARAM_ARGON2_MEMCOST, &cost.memory_kib),
        OSSL_PARAM_construct_uint32(OSSL_KDF_PARAM_ARGON2_LANES, &one),
        OSSL_PARAM_construct_uint32(OSSL_KDF_PARAM_THREADS, &one),
        OSSL_PARAM_END,
    };
    EVP_KDF *kdf = EVP_KDF_fetch(NULL, "ARGON2ID", NULL);
    EVP_KDF_CTX *ctx = EVP_KDF_CTX_new(kdf);
    assert_int_equal(EVP_KDF_derive(ctx, out, PG_KEY_BYTES, params), 1);
    EVP_KDF_CTX_free(ctx);
    EVP_KDF_free(kdf);
}

static void test_argon2id__several_costs__agrees_with_openssl(void **state)
{
    (void) state;
    static const char salt[] = "sixteen bytes ok";
    const pg_argon2_cost costs[] = {{8, 1}, {64, 3}, {1024, 2}};
    for (size_t i = 0; i < PG_ARRAY_LEN(costs); i++) {
        uint8_t want[PG_KEY_BYTES];
        openssl_argon2id("correct horse", salt, costs[i], want);
        pg_key key;
        assert_int_equal(
            pg_argon2id(PG_BYTES_LIT("correct horse"), (const uint8_t *) salt, costs[i], &key), 0);
        assert_memory_equal(key.bytes, want, sizeof(want));
    }
    pg_key key;
    assert_int_equal(pg_argon2id(PG_BYTES_EMPTY, (const uint8_t *) salt, costs[0], &key), 0);
}

static void test_argon2id__cost_out_of_range__is_refused_before_it_costs(void **state)
{
    (void) state;
    const uint8_t salt[PG_ARGON2_SALT_BYTES] = {0};
    const pg_argon2_cost costs[] = {
        {7, 1}, {PG_ARGON2_MEMORY_KIB_MAX + 1, 1}, {UINT32_MAX, 1},
        {8, 0}, {8, PG_ARGON2_PASSES_MAX + 1},
    };
    pg_key key;
    for (size_t i = 0; i < PG_ARRAY_LEN(costs); i++) {
        assert_int_equal(pg_argon2id(PG_BYTES_LIT("x"), salt, costs[i], &key), PG_ERR_LIMIT);
    }
    uint8_t big[PG_ARGON2_PASSPHRASE_BYTES_MAX + 1] = {0};
    assert_int_equal(pg_argon2id(PG_BYTES_OF(big), salt, (pg_argon2_cost){8, 1}, &key),
                     PG_ERR_LIMIT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_hkdf__rfc_5869_case_1__gives_prk_and_okm),
        cmocka_unit_test(test_hkdf__wycheproof__matches),
        cmocka_unit_test(test_argon2id__several_costs__agrees_with_openssl),
        cmocka_unit_test(test_argon2id__cost_out_of_range__is_refused_before_it_costs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
