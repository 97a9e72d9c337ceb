// SPDX-License-Identifier: Apache-2.0
#include "crypto/aead.h"

#include <openssl/evp.h>

#include "crypto/setup_priv.h"

enum { OPEN = 0, SEAL = 1 }; // directions as OpenSSL numbers them

pg_err pg_aead_init(pg_aead *aead, pg_aead_alg alg, const pg_key *key)
{
    const pg_crypto_algs *algs = pg_crypto_algs_get();
    const EVP_CIPHER *cipher =
        alg == PG_AEAD_ALG_AES_256_GCM ? algs->aes_256_gcm : algs->chacha20_poly1305;
    EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
    if (ctx == NULL || EVP_CipherInit_ex2(ctx, cipher, key->bytes, NULL, SEAL, NULL) != 1) {
        EVP_CIPHER_CTX_free(ctx);
        return pg_crypto_fail(PG_ERR_NOMEM, "no memory for a cipher");
    }
    aead->ctx = ctx;
    return PG_OK;
}

void pg_aead_rekey(pg_aead *aead, const pg_key *key)
{
    pg_assert(EVP_CipherInit_ex2(aead->ctx, NULL, key->bytes, NULL, SEAL, NULL) == 1);
}

void pg_aead_deinit(pg_aead *aead)
{
    if (aead == NULL) {
        return;
    }
    EVP_CIPHER_CTX_free(aead->ctx);
    aead->ctx = NULL;
}

// Sets the nonce only (the key schedule stays), feeds the associated data, then the bytes. None of it can fail for
// input within the limits.
static pg_err run(pg_aead *aead, int direction, const uint8_t *nonce, pg_bytes ad, pg_bytes in,
                  uint8_t *out)
{
    if (in.len > PG_AEAD_BYTES_MAX || ad.len > PG_AEAD_BYTES_MAX) {
        return pg_fail(PG_ERR_LIMIT,
                       "a message of %zu bytes with %zu of associated data, at most %u", in.len,
                       ad.len, PG_AEAD_BYTES_MAX);
    }
    int written = 0;
    pg_assert(EVP_CipherInit_ex2(aead->ctx, NULL, NULL, nonce, direction, NULL) == 1);
    if (ad.len != 0) {
        pg_assert(EVP_CipherUpdate(aead->ctx, NULL, &written, ad.ptr, (int) ad.len) == 1);
    }
    if (in.len != 0) {
        pg_assert(EVP_CipherUpdate(aead->ctx, out, &written, in.ptr, (int) in.len) == 1);
    }
    return PG_OK;
}

pg_err pg_aead_seal_detached(pg_aead *aead, const uint8_t nonce[PG_AEAD_NONCE_BYTES], pg_bytes ad,
                             pg_bytes plain, uint8_t *out_cipher,
                             uint8_t out_tag[PG_AEAD_TAG_BYTES])
{
    PG_TRY(run(aead, SEAL, nonce, ad, plain, out_cipher));
    int written = 0;
    uint8_t rest[16]; // stays empty: neither cipher has a last block
    pg_assert(EVP_CipherFinal_ex(aead->ctx, rest, &written) == 1);
    pg_assert(EVP_CIPHER_CTX_ctrl(aead->ctx, EVP_CTRL_AEAD_GET_TAG, PG_AEAD_TAG_BYTES, out_tag) ==
              1);
    return PG_OK;
}

pg_err pg_aead_open_detached(pg_aead *aead, const uint8_t nonce[PG_AEAD_NONCE_BYTES], pg_bytes ad,
                             pg_bytes cipher, const uint8_t tag[PG_AEAD_TAG_BYTES],
                             uint8_t *out_plain)
{
    uint8_t
        wanted[PG_AEAD_TAG_BYTES]; // the call takes no const, and the output may stand over the tag
    for (size_t i = 0; i < sizeof(wanted); i++) {
        wanted[i] = tag[i];
    }
    PG_TRY(run(aead, OPEN, nonce, ad, cipher, out_plain));
    int written = 0;
    uint8_t rest[16];
    pg_assert(EVP_CIPHER_CTX_ctrl(aead->ctx, EVP_CTRL_AEAD_SET_TAG, PG_AEAD_TAG_BYTES, wanted) ==
              1);
    if (EVP_CipherFinal_ex(aead->ctx, rest, &written) != 1) {
        if (cipher.len != 0) {
            pg_wipe(out_plain, cipher.len);
        }
        return pg_crypto_fail(PG_ERR_AUTH, "the authentication tag does not match");
    }
    return PG_OK;
}

pg_err pg_aead_seal(pg_aead *aead, const uint8_t nonce[PG_AEAD_NONCE_BYTES], pg_bytes ad,
                    pg_bytes plain, uint8_t *out_sealed)
{
    return pg_aead_seal_detached(aead, nonce, ad, plain, out_sealed, out_sealed + plain.len);
}

pg_err pg_aead_open(pg_aead *aead, const uint8_t nonce[PG_AEAD_NONCE_BYTES], pg_bytes ad,
                    pg_bytes sealed, uint8_t *out_plain)
{
    if (sealed.len < PG_AEAD_TAG_BYTES) {
        return pg_fail(PG_ERR_TRUNCATED, "%zu bytes are too few for a tag", sealed.len);
    }
    pg_bytes cipher = pg_bytes_make(sealed.ptr, sealed.len - PG_AEAD_TAG_BYTES);
    return pg_aead_open_detached(aead, nonce, ad, cipher, sealed.ptr + cipher.len, out_plain);
}
