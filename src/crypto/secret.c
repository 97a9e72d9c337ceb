// SPDX-License-Identifier: Apache-2.0
#include "crypto/secret.h"

#include <string.h>

#include <sodium.h>

#include "crypto/setup_priv.h"
#include "runtime/random.h"

void pg_wipe(void *memory, size_t len)
{
    sodium_memzero(memory, len);
}

void pg_key_random(pg_key *out_key)
{
    pg_random_bytes(PG_MUT_BYTES_OF(out_key->bytes));
}

void pg_key_wipe(pg_key *key)
{
    sodium_memzero(key->bytes, sizeof(key->bytes));
}

pg_err pg_secret_init(pg_secret *secret, size_t len)
{
    (void) pg_crypto_algs_get(); // guarded memory works only after libsodium's start
    if (len == 0 || len > PG_SECRET_BYTES_MAX) {
        return pg_fail(PG_ERR_LIMIT, "a secret of %zu bytes, at most %d", len, PG_SECRET_BYTES_MAX);
    }
    uint8_t *ptr = sodium_malloc(len);
    if (ptr == NULL) {
        return pg_fail(PG_ERR_NOMEM, "no guarded memory for a secret of %zu bytes", len);
    }
    memset(ptr, 0, len);
    *secret = (pg_secret){ptr, len};
    return PG_OK;
}

void pg_secret_deinit(pg_secret *secret)
{
    if (secret == NULL) {
        return;
    }
    sodium_free(secret->ptr);
    *secret = (pg_secret){0};
}

bool pg_secret_equal(pg_bytes a, pg_bytes b)
{
    return a.len == b.len && (a.len == 0 || sodium_memcmp(a.ptr, b.ptr, a.len) == 0);
}
