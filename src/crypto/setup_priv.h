// SPDX-License-Identifier: Apache-2.0
// Start of the libraries under this room, done by itself at the first use: libsodium picks its fast code and prepares
// guarded memory, OpenSSL's algorithms are looked up once, because a look-up per message costs more than a small frame.
//
// Layer: crypto.  Thread: any.
#pragma once

#include <openssl/evp.h>

#include "base/bytes.h"
#include "base/err.h"

/** The algorithms of OpenSSL that are used by handle. None is NULL. */
typedef struct pg_crypto_algs {
    EVP_MD *sha256;
    EVP_CIPHER *aes_256_gcm;
    EVP_CIPHER *chacha20_poly1305;
} pg_crypto_algs;

/** Start the libraries if that has not happened, and return the algorithms; lives as long as the process. Ends the
 *  process when a library lacks an algorithm: it is then not one we may be linked with. */
const pg_crypto_algs *pg_crypto_algs_get(void);

/** Forget what OpenSSL noted about a failure, and record `text` as its detail. Returns `code`. */
PG_NODISCARD pg_err pg_crypto_fail(pg_err code, const char *text);
