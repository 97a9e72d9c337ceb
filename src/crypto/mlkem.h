// SPDX-License-Identifier: Apache-2.0
// ML-KEM-768, the post-quantum key encapsulation. All randomness comes in as bytes (pg_random_bytes), so that a run can
// be repeated. Encapsulation keys are checked; wrong ciphertexts give a wrong secret, never an error (implicit rejection).
//
// Layer: crypto.  Thread: any, one key at a time. Stack: 16 KiB.  Spec: FIPS 203.
#pragma once

#include <stdint.h>

#include "base/err.h"
#include "crypto/secret.h"

#define PG_MLKEM_SEED_BYTES 64 // d, then z
#define PG_MLKEM_PUBLIC_BYTES 1184
#define PG_MLKEM_CIPHERTEXT_BYTES 1088
#define PG_MLKEM_RANDOM_BYTES 32 // m

/** A decapsulation key. Holds heap memory; the all-zero value is an ended one. */
typedef struct pg_mlkem_key {
    struct evp_pkey_st *pkey;
} pg_mlkem_key;

/** Make the key pair of a seed. End it with pg_mlkem_key_deinit. About 30 us. Errors: PG_ERR_NOMEM. */
PG_NODISCARD pg_err pg_mlkem_key_init(pg_mlkem_key *key, const uint8_t seed[PG_MLKEM_SEED_BYTES]);

/** Wipe and free. NULL and the all-zero value are fine. */
void pg_mlkem_key_deinit(pg_mlkem_key *key);

/** Write the encapsulation key, which may be published. */
void pg_mlkem_public(const pg_mlkem_key *key, uint8_t out_public[PG_MLKEM_PUBLIC_BYTES]);

/** Encapsulate to a foreign encapsulation key. About 20 us. Errors: PG_ERR_MALFORMED when the key fails the modulus check
 *  of FIPS 203, 7.2; PG_ERR_NOMEM. */
PG_NODISCARD pg_err pg_mlkem_encaps(const uint8_t public_key[PG_MLKEM_PUBLIC_BYTES],
                                    const uint8_t random[PG_MLKEM_RANDOM_BYTES],
                                    uint8_t out_ciphertext[PG_MLKEM_CIPHERTEXT_BYTES],
                                    pg_key *out_shared);

/** Decapsulate. About 25 us. Errors: PG_ERR_NOMEM. */
PG_NODISCARD pg_err pg_mlkem_decaps(const pg_mlkem_key *key,
                                    const uint8_t ciphertext[PG_MLKEM_CIPHERTEXT_BYTES],
                                    pg_key *out_shared);
