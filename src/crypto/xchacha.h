// SPDX-License-Identifier: Apache-2.0
// XChaCha20-Poly1305: authenticated encryption whose nonce of 192 bits may be drawn at random for every message, however
// many there are. For the pages of a database.
//
// Layer: crypto.  Thread: any.  Spec: draft-irtf-cfrg-xchacha
#pragma once

#include <stdint.h>

#include "base/bytes.h"
#include "base/err.h"
#include "crypto/secret.h"

#define PG_XCHACHA_NONCE_BYTES 24
#define PG_XCHACHA_TAG_BYTES 16

/** Encrypt `plain` to as many bytes at `out_cipher` (the same memory, or memory that does not overlap), and write the tag to
 *  `out_tag`. Cannot fail. */
void pg_xchacha_seal(const pg_key *key, const uint8_t nonce[PG_XCHACHA_NONCE_BYTES], pg_bytes ad,
                     pg_bytes plain, uint8_t *out_cipher, uint8_t out_tag[PG_XCHACHA_TAG_BYTES]);

/** Verify and decrypt `cipher` to as many bytes at `out_plain` (the same memory, or memory that does not overlap).
 *  Errors: PG_ERR_AUTH, without detail; what stands at `out_plain` is then undefined, but nothing of the plaintext. */
PG_NODISCARD pg_err pg_xchacha_open(const pg_key *key, const uint8_t nonce[PG_XCHACHA_NONCE_BYTES],
                                    pg_bytes ad, pg_bytes cipher,
                                    const uint8_t tag[PG_XCHACHA_TAG_BYTES], uint8_t *out_plain);
