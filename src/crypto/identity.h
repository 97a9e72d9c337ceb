// SPDX-License-Identifier: Apache-2.0
// An Ed25519 key pair of ours and the PeerId it gives: a person's or a device's. Not for: foreign keys (public_key.h).
//
// Layer: crypto.  Thread: any once made; signing does not change it.  Spec: RFC 8032, libp2p peer-ids.
#pragma once

#include <stdint.h>

#include "base/bytes.h"
#include "base/err.h"
#include "crypto/peer_id.h"
#include "crypto/public_key.h"
#include "crypto/secret.h"

#define PG_IDENTITY_PRIVATE_BYTES 68 // the PrivateKey protobuf

/** A key pair. Own in place, end with pg_identity_deinit; do not copy. The all-zero value is an ended one. */
typedef struct pg_identity {
    pg_secret secret; // seed, then public key
    uint8_t public_key[PG_ED25519_PUBLIC_BYTES];
    pg_peer_id peer_id;
} pg_identity;

/** Make the key pair of a seed. Errors: PG_ERR_NOMEM. */
PG_NODISCARD pg_err pg_identity_init(pg_identity *identity, const pg_key *seed);

/** Wipe and free. NULL and the all-zero value are fine. */
void pg_identity_deinit(pg_identity *identity);

/** Copy out the seed, which is the whole secret. The caller wipes it. */
void pg_identity_seed(const pg_identity *identity, pg_key *out_seed);

/** Sign a message. About 13 us. Cannot fail. */
void pg_identity_sign(const pg_identity *identity, pg_bytes message,
                      uint8_t out_signature[PG_ED25519_SIGNATURE_BYTES]);

/** Write the PrivateKey protobuf of libp2p: a secret, which the caller wipes. */
void pg_identity_private_encode(const pg_identity *identity,
                                uint8_t out_encoded[PG_IDENTITY_PRIVATE_BYTES]);

/** Read a PrivateKey protobuf with an Ed25519 key, the older form with the public key twice included. End *out_identity
 *  with pg_identity_deinit. Errors: PG_ERR_TRUNCATED, PG_ERR_MALFORMED, PG_ERR_UNSUPPORTED (another type),
 *  PG_ERR_CORRUPT (the public key is not that of the seed), PG_ERR_NOMEM. */
PG_NODISCARD pg_err pg_identity_private_decode(pg_bytes in, pg_identity *out_identity);
