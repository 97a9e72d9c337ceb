// SPDX-License-Identifier: Apache-2.0
#include "crypto/x25519.h"

#include <sodium.h>

#include "crypto/setup_priv.h"

_Static_assert(crypto_scalarmult_BYTES == PG_X25519_BYTES, "size");

void pg_x25519_public(const pg_key *secret, uint8_t out_public[PG_X25519_BYTES])
{
    (void) pg_crypto_algs_get();
    (void) crypto_scalarmult_base(out_public, secret->bytes);
}

pg_err pg_x25519(const pg_key *secret, const uint8_t public_key[PG_X25519_BYTES],
                 pg_key *out_shared)
{
    (void) pg_crypto_algs_get();
    pg_key shared PG_CLEANUP(pg_key_wipe) = {0};
    if (crypto_scalarmult(shared.bytes, secret->bytes, public_key) != 0) {
        return pg_fail(PG_ERR_MALFORMED, "the X25519 public key is a point of low order");
    }
    *out_shared = shared;
    return PG_OK;
}
