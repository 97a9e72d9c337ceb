// SPDX-License-Identifier: Apache-2.0
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <sodium.h>

#include "crypto/setup_priv.h"

static CRYPTO_ONCE setup_once = CRYPTO_ONCE_STATIC_INIT;
static pg_crypto_algs algs;

static void setup(void)
{
    pg_assert(sodium_init() >= 0);
    algs.sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);
    algs.aes_256_gcm = EVP_CIPHER_fetch(NULL, "AES-256-GCM", NULL);
    algs.chacha20_poly1305 = EVP_CIPHER_fetch(NULL, "ChaCha20-Poly1305", NULL);
    pg_assert(algs.sha256 != NULL && algs.aes_256_gcm != NULL && algs.chacha20_poly1305 != NULL);
}

const pg_crypto_algs *pg_crypto_algs_get(void)
{
    pg_assert(CRYPTO_THREAD_run_once(&setup_once, setup) == 1);
    return &algs;
}

pg_err pg_crypto_fail(pg_err code, const char *text)
{
    ERR_clear_error();
    return pg_fail(code, "%s", text);
}
