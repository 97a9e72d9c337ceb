// SPDX-License-Identifier: Apache-2.0
#include <openssl/core.h>
#include <openssl/core_dispatch.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/provider.h>
#include <openssl/rand.h>
#include <sodium.h>

#include "crypto/hash.h"
#include "crypto/setup_priv.h"
#include "runtime/random.h"

#define RANDOM_PROVIDER "pangea-random"

static CRYPTO_ONCE setup_once = CRYPTO_ONCE_STATIC_INIT;
static pg_crypto_algs algs;
static OSSL_PROVIDER *random_provider; // loaded as long as the process lives

// ---- OpenSSL's randomness: what TLS draws (key shares, randoms, signatures) comes from the one source of the program

static int on_random(void *provctx, int which, void *out, size_t len, unsigned strength)
{
    (void) provctx;
    (void) which;
    (void) strength;
    pg_random_bytes(pg_mut_bytes_make(out, len));
    return 1;
}

static int on_provider_init(const OSSL_CORE_HANDLE *handle, const OSSL_DISPATCH *in,
                            const OSSL_DISPATCH **out, void **out_provctx)
{
    static const OSSL_DISPATCH functions[] = {
        {OSSL_FUNC_PROVIDER_RANDOM_BYTES, (void (*)(void)) on_random},
        OSSL_DISPATCH_END,
    };
    static int context; // on_random has no state, but NULL would mean a failure
    (void) handle;
    (void) in;
    *out = functions;
    *out_provctx = &context;
    return 1;
}

static void random_setup(void)
{
    if (OSSL_PROVIDER_add_builtin(NULL, RANDOM_PROVIDER, on_provider_init) == 1) {
        random_provider = OSSL_PROVIDER_try_load(NULL, RANDOM_PROVIDER, 1);
    }
    pg_assert(random_provider != NULL && RAND_set1_random_provider(NULL, random_provider) == 1);
}

// ---- all of it

static void setup(void)
{
    pg_assert(sodium_init() >= 0);
    random_setup();
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

const char *pg_crypto_library_version(void)
{
    return OpenSSL_version(OPENSSL_VERSION_STRING);
}
