// SPDX-License-Identifier: Apache-2.0
// X25519 key agreement. Any 32 bytes from pg_random_bytes are a private key.
//
// Layer: crypto.  Thread: any.  Spec: RFC 7748.
#pragma once

#include <stdint.h>

#include "base/err.h"
#include "crypto/secret.h"

#define PG_X25519_BYTES 32

/** Compute the public key of a private one. Cannot fail. About 12 us. */
void pg_x25519_public(const pg_key *secret, uint8_t out_public[PG_X25519_BYTES]);

/** Compute the secret shared with the owner of `public_key`. About 30 us. Errors: PG_ERR_MALFORMED when the point has low
 *  order, so that the result would be zero whatever our key is (RFC 7748, 6.1). */
PG_NODISCARD pg_err pg_x25519(const pg_key *secret, const uint8_t public_key[PG_X25519_BYTES],
                              pg_key *out_shared);
