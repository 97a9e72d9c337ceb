// SPDX-License-Identifier: Apache-2.0
// Public keys of peers as libp2p writes them, and signatures by their owners. Ours are always Ed25519 (identity.h);
// RSA, ECDSA on P-256 and secp256k1 are verified because other implementations use them.
//
// Layer: crypto.  Thread: any.  Spec: libp2p peer-ids, RFC 8032, RFC 8017, FIPS 186-5.
#pragma once

#include <stdint.h>

#include "base/bytes.h"
#include "base/err.h"

#define PG_PUBLIC_KEY_BYTES_MAX 1100 // encoded; RSA with 8,192 bits has 1,068
#define PG_RSA_BITS_MIN 2048
#define PG_RSA_BITS_MAX 8192

#define PG_ED25519_PUBLIC_BYTES 32
#define PG_ED25519_SIGNATURE_BYTES 64
#define PG_ED25519_ENCODED_BYTES 36 // the protobuf around a public key

/** Kind of key; the numbers are those on the wire. */
typedef enum pg_key_type {
    PG_KEY_TYPE_RSA = 0,
    PG_KEY_TYPE_ED25519 = 1,
    PG_KEY_TYPE_SECP256K1 = 2,
    PG_KEY_TYPE_ECDSA = 3,
    PG_KEY_TYPE_COUNT,
} pg_key_type;

/** A view of an encoded public key. `data` is 32 bytes (Ed25519), a compressed point of 33 (secp256k1), or PKIX DER. */
typedef struct pg_public_key {
    pg_key_type type;
    pg_bytes data; // borrowed from what was decoded
} pg_public_key;

/** Read a PublicKey protobuf. Only the canonical encoding is accepted, because its bytes make the PeerId.
 *  in       1..PG_PUBLIC_KEY_BYTES_MAX bytes; has to live as long as *out_key is used
 *  Errors   PG_ERR_LIMIT, PG_ERR_TRUNCATED, PG_ERR_MALFORMED, PG_ERR_UNSUPPORTED (a type we do not know) */
PG_NODISCARD pg_err pg_public_key_decode(pg_bytes in, pg_public_key *out_key);

/** Write the PublicKey protobuf of an Ed25519 key. */
void pg_public_key_encode_ed25519(const uint8_t public_key[PG_ED25519_PUBLIC_BYTES],
                                  uint8_t out_encoded[PG_ED25519_ENCODED_BYTES]);

/** Verify a signature as libp2p makes it with this kind of key: Ed25519 plain, RSA PKCS#1 v1.5 with SHA-256, ECDSA and
 *  secp256k1 with SHA-256 in DER. Ed25519 refuses what RFC 8032 leaves open: points of low order and second encodings.
 *  Errors: PG_ERR_AUTH (the signature is not of this key over this message), PG_ERR_MALFORMED (no such key),
 *  PG_ERR_UNSUPPORTED (RSA of a size out of range, a curve that is not P-256), PG_ERR_NOMEM. */
PG_NODISCARD pg_err pg_public_key_verify(const pg_public_key *key, pg_bytes message,
                                         pg_bytes signature);
