// SPDX-License-Identifier: Apache-2.0
// The XSalsa20 stream cipher, for libp2p's private networks only. It hides, it does not authenticate: what runs inside does.
//
// Layer: crypto.  Thread: one object per thread or connection.  Spec: Bernstein, "Extending the Salsa20 nonce"
#pragma once

#include <stdint.h>

#include "base/bytes.h"
#include "crypto/secret.h"

#define PG_XSALSA20_NONCE_BYTES 24

/** A key stream and the place in it. Wipe with pg_wipe. */
typedef struct pg_xsalsa20 {
    pg_key key;
    uint8_t nonce[PG_XSALSA20_NONCE_BYTES];
    uint64_t position; // bytes used so far
} pg_xsalsa20;

/** Encrypt or decrypt the next bytes: writes in.len bytes at `out`, which may be the same memory. */
void pg_xsalsa20_xor(pg_xsalsa20 *cipher, pg_bytes in, uint8_t *out);
