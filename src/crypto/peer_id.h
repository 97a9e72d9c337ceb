// SPDX-License-Identifier: Apache-2.0
// PeerId: the name of a peer, which is the multihash of its public key.
//
// Layer: crypto.  Thread: any.  Spec: libp2p peer-ids.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/err.h"
#include "codec/multiaddr.h"

#define PG_PEER_ID_BYTES_MAX 44     // an identity multihash of a key of 42 bytes
#define PG_PEER_ID_KEY_BYTES_MAX 42 // longer keys are hashed with SHA-256

/** A PeerId as a value. Bytes beyond `len` are zero. The all-zero value is no PeerId. */
typedef struct pg_peer_id {
    uint8_t len;
    uint8_t bytes[PG_PEER_ID_BYTES_MAX];
} pg_peer_id;

/** View the multihash. Borrowed. */
static inline pg_bytes pg_peer_id_bytes(const pg_peer_id *id)
{
    return (pg_bytes){id->bytes, id->len};
}

/** Make the PeerId of a public key, given as its canonical protobuf encoding (public_key.h). Cannot fail. */
void pg_peer_id_of_key(pg_bytes encoded_key, pg_peer_id *out_id);

/** Read a PeerId from its multihash: identity with 1..42 bytes, or SHA-256, and nothing behind it.
 *  Errors: PG_ERR_TRUNCATED, PG_ERR_MALFORMED, PG_ERR_UNSUPPORTED (another hash). */
PG_NODISCARD pg_err pg_peer_id_decode(pg_bytes in, pg_peer_id *out_id);

/** Take the PeerId off the end of an address. False where there is none that pg_peer_id_decode takes; *out_peer is untouched then. */
bool pg_peer_id_cut(pg_multiaddr *addr, pg_peer_id *out_peer);

/** Return true when both name the same peer. */
static inline bool pg_peer_id_equal(const pg_peer_id *a, const pg_peer_id *b)
{
    return pg_bytes_equal(pg_peer_id_bytes(a), pg_peer_id_bytes(b));
}

/** Order by bytes: negative, 0 or positive. */
static inline int pg_peer_id_compare(const pg_peer_id *a, const pg_peer_id *b)
{
    return pg_bytes_compare(pg_peer_id_bytes(a), pg_peer_id_bytes(b));
}
