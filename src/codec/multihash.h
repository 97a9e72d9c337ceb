// SPDX-License-Identifier: Apache-2.0
// A digest that names its hash function, as a value. Only the functions this node computes are taken, so that whatever
// holds a multihash can be verified. Not for: hashing (crypto).
//
// Layer: codec.  Thread: any.  Spec: multiformats/multihash
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/bytes.h"
#include "base/err.h"

typedef enum pg_multihash_code {
    PG_MULTIHASH_CODE_IDENTITY = 0x00, // the digest is the data itself, 0..64 bytes
    PG_MULTIHASH_CODE_SHA2_256 = 0x12, // 32 bytes
    PG_MULTIHASH_CODE_BLAKE3 = 0x1e,   // 32 bytes
} pg_multihash_code;

#define PG_MULTIHASH_DIGEST_BYTES_MAX 64
#define PG_MULTIHASH_BYTES_MAX (2 + PG_MULTIHASH_DIGEST_BYTES_MAX)

/** A multihash as it stands on the wire: code, digest length, digest. Bytes beyond `len` are zero; all-zero is none. */
typedef struct pg_multihash {
    uint8_t len; // 2..PG_MULTIHASH_BYTES_MAX
    uint8_t bytes[PG_MULTIHASH_BYTES_MAX];
} pg_multihash;

/** Make one of a digest. Errors: PG_ERR_UNSUPPORTED for another code, PG_ERR_MALFORMED for a digest length that is not
 *  the function's. */
PG_NODISCARD pg_err pg_multihash_make(uint64_t code, pg_bytes digest, pg_multihash *out_hash);

/** Take a multihash from a reader. Errors: PG_ERR_TRUNCATED, PG_ERR_MALFORMED, PG_ERR_LIMIT, PG_ERR_UNSUPPORTED; the
 *  reader may then have failed. */
PG_NODISCARD pg_err pg_multihash_read(pg_reader *reader, pg_multihash *out_hash);

/** Read a multihash that is all of `in`. Errors as pg_multihash_read, PG_ERR_MALFORMED when bytes follow. */
PG_NODISCARD pg_err pg_multihash_decode(pg_bytes in, pg_multihash *out_hash);

/** View the encoded form. Borrowed from `hash`. */
static inline pg_bytes pg_multihash_bytes(const pg_multihash *hash)
{
    return pg_bytes_make(hash->bytes, hash->len);
}

/** Return the function's code. */
static inline pg_multihash_code pg_multihash_code_of(const pg_multihash *hash)
{
    return (pg_multihash_code) hash->bytes[0];
}

/** View the digest. Borrowed from `hash`. */
pg_bytes pg_multihash_digest(const pg_multihash *hash);

/** Return true when both name the same function and digest. Not constant time. */
bool pg_multihash_equal(const pg_multihash *a, const pg_multihash *b);
