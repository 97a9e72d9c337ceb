// SPDX-License-Identifier: Apache-2.0
// Keys from keys (HKDF-SHA256), and keys from passphrases (Argon2id).
//
// Layer: crypto.  Thread: any.  Spec: RFC 5869, RFC 9106.
#pragma once

#include <stdint.h>

#include "base/bytes.h"
#include "base/err.h"
#include "crypto/hash.h"
#include "crypto/secret.h"

#define PG_HKDF_OUT_BYTES_MAX (255 * PG_HASH_BYTES)

/** Concentrate input key material into one pseudo-random key (HKDF-Extract); `salt` may be empty. Cannot fail. */
void pg_hkdf_extract(pg_bytes salt, pg_bytes ikm, pg_key *out_prk);

/** Derive `out.len` bytes (at most PG_HKDF_OUT_BYTES_MAX) for the purpose `info` (HKDF-Expand). Cannot fail. */
void pg_hkdf_expand(const pg_key *prk, pg_bytes info, pg_mut_bytes out);

/** Extract, then expand: one output for one purpose. Cannot fail. */
void pg_hkdf(pg_bytes salt, pg_bytes ikm, pg_bytes info, pg_mut_bytes out);

#define PG_ARGON2_SALT_BYTES 16
#define PG_ARGON2_MEMORY_KIB_MIN 8
#define PG_ARGON2_MEMORY_KIB_MAX (1U << 20) // 1 GiB: a file may not ask for more of this machine
#define PG_ARGON2_PASSES_MAX 16
#define PG_ARGON2_PASSPHRASE_BYTES_MAX 1024

/** Cost of Argon2id, version 0x13, one lane. */
typedef struct pg_argon2_cost {
    uint32_t memory_kib; // PG_ARGON2_MEMORY_KIB_MIN..MAX
    uint32_t passes;     // 1..PG_ARGON2_PASSES_MAX
} pg_argon2_cost;

/** What new keystores use: half a second on one core of today. */
#define PG_ARGON2_COST_DEFAULT ((pg_argon2_cost){.memory_kib = 256 * 1024, .passes = 3})

/** Derive a key from a passphrase with Argon2id. Takes cost.memory_kib from the heap and up to seconds: call it on a
 *  worker. Stack: 12 KiB. Errors: PG_ERR_LIMIT (cost or passphrase out of range), PG_ERR_NOMEM. */
PG_NODISCARD pg_err pg_argon2id(pg_bytes passphrase, const uint8_t salt[PG_ARGON2_SALT_BYTES],
                                pg_argon2_cost cost, pg_key *out_key);
