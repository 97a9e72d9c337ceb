// SPDX-License-Identifier: Apache-2.0
// Authenticated encryption: AES-256-GCM (files, messages) and ChaCha20-Poly1305 (Noise), behind one context that keeps
// the key set up, so that a call costs the nonce and the bytes. Not for: choosing nonces; the caller never repeats one
// under a key (counter, or random with a bounded number of messages).
//
// Layer: crypto.  Thread: one context per thread or connection.  Spec: NIST SP 800-38D, RFC 8439.
#pragma once

#include <stdint.h>

#include "base/bytes.h"
#include "base/err.h"
#include "crypto/secret.h"

#define PG_AEAD_NONCE_BYTES 12
#define PG_AEAD_TAG_BYTES 16
#define PG_AEAD_BYTES_MAX (1U << 30) // of plaintext, and of associated data, in one message

typedef enum pg_aead_alg {
    PG_AEAD_ALG_AES_256_GCM,
    PG_AEAD_ALG_CHACHA20_POLY1305,
} pg_aead_alg;

/** A cipher with its key. Holds heap memory, 1 to 2 KiB; the all-zero value is an ended one. */
typedef struct pg_aead {
    struct evp_cipher_ctx_st *ctx;
} pg_aead;

/** Begin with a key, which is copied. End it with pg_aead_deinit. Errors: PG_ERR_NOMEM. */
PG_NODISCARD pg_err pg_aead_init(pg_aead *aead, pg_aead_alg alg, const pg_key *key);

/** Change the key. Takes no memory. */
void pg_aead_rekey(pg_aead *aead, const pg_key *key);

/** Wipe and free. NULL and the all-zero value are fine. */
void pg_aead_deinit(pg_aead *aead);

/** Encrypt `plain` to as many bytes at `out_cipher` (the same memory, or memory that does not overlap), and write the tag
 *  to `out_tag`. Errors: PG_ERR_LIMIT beyond PG_AEAD_BYTES_MAX. No heap. */
PG_NODISCARD pg_err pg_aead_seal_detached(pg_aead *aead, const uint8_t nonce[PG_AEAD_NONCE_BYTES],
                                          pg_bytes ad, pg_bytes plain, uint8_t *out_cipher,
                                          uint8_t out_tag[PG_AEAD_TAG_BYTES]);

/** Verify and decrypt `cipher` to as many bytes at `out_plain` (the same memory, or memory that does not overlap).
 *  Errors: PG_ERR_AUTH (what stands at `out_plain` is zeros then), PG_ERR_LIMIT. No heap. */
PG_NODISCARD pg_err pg_aead_open_detached(pg_aead *aead, const uint8_t nonce[PG_AEAD_NONCE_BYTES],
                                          pg_bytes ad, pg_bytes cipher,
                                          const uint8_t tag[PG_AEAD_TAG_BYTES], uint8_t *out_plain);

/** As pg_aead_seal_detached, with the tag behind the ciphertext: writes plain.len + PG_AEAD_TAG_BYTES bytes. */
PG_NODISCARD pg_err pg_aead_seal(pg_aead *aead, const uint8_t nonce[PG_AEAD_NONCE_BYTES],
                                 pg_bytes ad, pg_bytes plain, uint8_t *out_sealed);

/** As pg_aead_open_detached, with the tag behind the ciphertext: writes sealed.len - PG_AEAD_TAG_BYTES bytes.
 *  Errors: also PG_ERR_TRUNCATED when there is no room for a tag. */
PG_NODISCARD pg_err pg_aead_open(pg_aead *aead, const uint8_t nonce[PG_AEAD_NONCE_BYTES],
                                 pg_bytes ad, pg_bytes sealed, uint8_t *out_plain);
