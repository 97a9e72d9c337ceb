// SPDX-License-Identifier: Apache-2.0
#include "crypto/mlkem.h"

#include <string.h>

#include <openssl/core_names.h>
#include <openssl/evp.h>

#include "crypto/setup_priv.h"

#define ALGORITHM "ML-KEM-768"

// OpenSSL's parameters take no const; it only reads these.
static OSSL_PARAM param_octets(const char *name, const uint8_t *bytes, size_t len)
{
    union {
        const uint8_t *in;
        void *out;
    } ptr = {.in = bytes};
    return OSSL_PARAM_construct_octet_string(name, ptr.out, len);
}

pg_err pg_mlkem_key_init(pg_mlkem_key *key, const uint8_t seed[PG_MLKEM_SEED_BYTES])
{
    const OSSL_PARAM params[] = {
        param_octets(OSSL_PKEY_PARAM_ML_KEM_SEED, seed, PG_MLKEM_SEED_BYTES), OSSL_PARAM_END};
    EVP_PKEY *pkey = NULL;
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, ALGORITHM, NULL);
    bool made = ctx != NULL && EVP_PKEY_keygen_init(ctx) == 1 &&
                EVP_PKEY_CTX_set_params(ctx, params) == 1 && EVP_PKEY_generate(ctx, &pkey) == 1;
    EVP_PKEY_CTX_free(ctx);
    if (!made) {
        return pg_crypto_fail(PG_ERR_NOMEM, "no memory for an ML-KEM key");
    }
    key->pkey = pkey;
    return PG_OK;
}

void pg_mlkem_key_deinit(pg_mlkem_key *key)
{
    if (key == NULL) {
        return;
    }
    EVP_PKEY_free(key->pkey);
    key->pkey = NULL;
}

void pg_mlkem_public(const pg_mlkem_key *key, uint8_t out_public[PG_MLKEM_PUBLIC_BYTES])
{
    size_t len = 0;
    pg_assert(EVP_PKEY_get_octet_string_param(key->pkey, OSSL_PKEY_PARAM_PUB_KEY, out_public,
                                              PG_MLKEM_PUBLIC_BYTES, &len) == 1);
    pg_assert(len == PG_MLKEM_PUBLIC_BYTES);
}

static pg_err import(const uint8_t public_key[PG_MLKEM_PUBLIC_BYTES], EVP_PKEY **out_pkey)
{
    OSSL_PARAM params[] = {param_octets(OSSL_PKEY_PARAM_PUB_KEY, public_key, PG_MLKEM_PUBLIC_BYTES),
                           OSSL_PARAM_END};
    EVP_PKEY *pkey = NULL;
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, ALGORITHM, NULL);
    if (ctx == NULL || EVP_PKEY_fromdata_init(ctx) != 1) {
        EVP_PKEY_CTX_free(ctx);
        return pg_crypto_fail(PG_ERR_NOMEM, "no memory for an ML-KEM key");
    }
    int imported = EVP_PKEY_fromdata(ctx, &pkey, EVP_PKEY_PUBLIC_KEY, params);
    EVP_PKEY_CTX_free(ctx);
    if (imported != 1) {
        return pg_crypto_fail(PG_ERR_MALFORMED, "the ML-KEM encapsulation key is out of range");
    }
    *out_pkey = pkey;
    return PG_OK;
}

pg_err pg_mlkem_encaps(const uint8_t public_key[PG_MLKEM_PUBLIC_BYTES],
                       const uint8_t random[PG_MLKEM_RANDOM_BYTES],
                       uint8_t out_ciphertext[PG_MLKEM_CIPHERTEXT_BYTES], pg_key *out_shared)
{
    EVP_PKEY *pkey = NULL;
    PG_TRY(import(public_key, &pkey));
    const OSSL_PARAM params[] = {param_octets(OSSL_KEM_PARAM_IKME, random, PG_MLKEM_RANDOM_BYTES),
                                 OSSL_PARAM_END};
    uint8_t ciphertext[PG_MLKEM_CIPHERTEXT_BYTES];
    pg_key shared PG_CLEANUP(pg_key_wipe) = {0};
    size_t ciphertext_len = sizeof(ciphertext);
    size_t shared_len = sizeof(shared.bytes);
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_pkey(NULL, pkey, NULL);
    bool done =
        ctx != NULL && EVP_PKEY_encapsulate_init(ctx, params) == 1 &&
        EVP_PKEY_encapsulate(ctx, ciphertext, &ciphertext_len, shared.bytes, &shared_len) == 1;
    EVP_PKEY_CTX_free(ctx);
    EVP_PKEY_free(pkey);
    if (!done) {
        return pg_crypto_fail(PG_ERR_NOMEM, "no memory to encapsulate");
    }
    pg_assert(ciphertext_len == sizeof(ciphertext) && shared_len == sizeof(shared.bytes));
    memcpy(out_ciphertext, ciphertext, sizeof(ciphertext));
    *out_shared = shared;
    return PG_OK;
}

pg_err pg_mlkem_decaps(const pg_mlkem_key *key, const uint8_t ciphertext[PG_MLKEM_CIPHERTEXT_BYTES],
                       pg_key *out_shared)
{
    pg_key shared PG_CLEANUP(pg_key_wipe) = {0};
    size_t shared_len = sizeof(shared.bytes);
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_pkey(NULL, key->pkey, NULL);
    bool done = ctx != NULL && EVP_PKEY_decapsulate_init(ctx, NULL) == 1 &&
                EVP_PKEY_decapsulate(ctx, shared.bytes, &shared_len, ciphertext,
                                     PG_MLKEM_CIPHERTEXT_BYTES) == 1;
    EVP_PKEY_CTX_free(ctx);
    if (!done) {
        return pg_crypto_fail(PG_ERR_NOMEM, "no memory to decapsulate");
    }
    pg_assert(shared_len == sizeof(shared.bytes));
    *out_shared = shared;
    return PG_OK;
}
