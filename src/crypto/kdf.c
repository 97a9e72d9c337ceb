// SPDX-License-Identifier: Apache-2.0
#include "crypto/kdf.h"

#include <string.h>

#include <sodium.h>

#include "base/mem.h"
#include "crypto/setup_priv.h"

_Static_assert(crypto_pwhash_SALTBYTES == PG_ARGON2_SALT_BYTES, "salt");

void pg_hkdf_extract(pg_bytes salt, pg_bytes ikm, pg_key *out_prk)
{
    pg_hmac_sha256(salt, ikm, out_prk->bytes);
}

void pg_hkdf_expand(const pg_key *prk, pg_bytes info, pg_mut_bytes out)
{
    pg_assert(out.len <= PG_HKDF_OUT_BYTES_MAX);
    (void) pg_crypto_algs_get();
    uint8_t block[PG_HASH_BYTES];
    size_t done = 0;
    for (uint8_t counter = 1; done < out.len; counter++) {
        // RFC 5869, 2.3: T(n) = HMAC(PRK, T(n-1) | info | n), T(0) empty.
        crypto_auth_hmacsha256_state state;
        (void) crypto_auth_hmacsha256_init(&state, prk->bytes, PG_KEY_BYTES);
        (void) crypto_auth_hmacsha256_update(&state, block, counter == 1 ? 0 : sizeof(block));
        (void) crypto_auth_hmacsha256_update(&state, info.ptr, info.len);
        (void) crypto_auth_hmacsha256_update(&state, &counter, 1);
        (void) crypto_auth_hmacsha256_final(&state, block);
        pg_wipe(&state, sizeof(state));
        size_t part = pg_min_size(sizeof(block), out.len - done);
        memcpy(out.ptr + done, block, part);
        done += part;
    }
    pg_wipe(block, sizeof(block));
}

void pg_hkdf(pg_bytes salt, pg_bytes ikm, pg_bytes info, pg_mut_bytes out)
{
    pg_key prk PG_CLEANUP(pg_key_wipe) = {0};
    pg_hkdf_extract(salt, ikm, &prk);
    pg_hkdf_expand(&prk, info, out);
}

pg_err pg_argon2id(pg_bytes passphrase, const uint8_t salt[PG_ARGON2_SALT_BYTES],
                   pg_argon2_cost cost, pg_key *out_key)
{
    (void) pg_crypto_algs_get();
    if (cost.memory_kib < PG_ARGON2_MEMORY_KIB_MIN || cost.memory_kib > PG_ARGON2_MEMORY_KIB_MAX ||
        cost.passes < 1 || cost.passes > PG_ARGON2_PASSES_MAX) {
        return pg_fail(PG_ERR_LIMIT, "argon2id cost of %u KiB and %u passes, at most %u and %d",
                       cost.memory_kib, cost.passes, PG_ARGON2_MEMORY_KIB_MAX,
                       PG_ARGON2_PASSES_MAX);
    }
    if (passphrase.len > PG_ARGON2_PASSPHRASE_BYTES_MAX) {
        return pg_fail(PG_ERR_LIMIT, "the passphrase has %zu bytes, at most %d", passphrase.len,
                       PG_ARGON2_PASSPHRASE_BYTES_MAX);
    }
    const char *text = passphrase.len == 0 ? "" : (const char *) passphrase.ptr;
    if (crypto_pwhash(out_key->bytes, PG_KEY_BYTES, text, passphrase.len, salt, cost.passes,
                      (size_t) cost.memory_kib * 1024, crypto_pwhash_ALG_ARGON2ID13) != 0) {
        return pg_fail(PG_ERR_NOMEM, "argon2id cannot take %u KiB of memory", cost.memory_kib);
    }
    return PG_OK;
}
