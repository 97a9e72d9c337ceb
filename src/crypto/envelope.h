// SPDX-License-Identifier: Apache-2.0
// Signed envelopes: a payload with its type, the signer's key and a signature that holds in one domain only, so that what
// was signed for one purpose means nothing elsewhere.
//
// Layer: crypto.  Thread: any.  Spec: libp2p RFC 0002
#pragma once

#include <stddef.h>

#include "base/arena.h"
#include "base/bytes.h"
#include "base/err.h"
#include "crypto/identity.h"
#include "crypto/peer_id.h"

#define PG_ENVELOPE_BYTES_MAX 16384 // twice what the DHT takes
#define PG_ENVELOPE_ARENA_BYTES (4 * PG_ENVELOPE_BYTES_MAX)

/** An envelope whose signature holds. The views live as long as the arena it was opened with. */
typedef struct pg_envelope {
    pg_peer_id signer;
    pg_bytes public_key; // the signer's, encoded (public_key.h)
    pg_bytes payload;
} pg_envelope;

/** Sign a payload and append the envelope to a buffer.
 *  domain, payload_type   as the purpose has them; the type stands in the envelope, the domain does not
 *  Errors: PG_ERR_NOMEM, PG_ERR_LIMIT (beyond PG_ENVELOPE_BYTES_MAX or the buffer's limit). */
PG_NODISCARD pg_err pg_envelope_seal(const pg_identity *identity, pg_bytes domain,
                                     pg_bytes payload_type, pg_bytes payload, pg_buf *out);

/** Read an envelope and verify that its type is `payload_type` and its signature holds in `domain`. Whether the signer may
 *  say so is for the caller.
 *  arena    of PG_ENVELOPE_ARENA_BYTES or more; owns what *out_envelope shows
 *  Errors   PG_ERR_LIMIT, PG_ERR_TRUNCATED, PG_ERR_MALFORMED, PG_ERR_UNSUPPORTED (type, kind of key), PG_ERR_AUTH,
 *           PG_ERR_NOMEM */
PG_NODISCARD pg_err pg_envelope_decode(pg_bytes in, pg_bytes domain, pg_bytes payload_type,
                                       pg_arena *arena, pg_envelope *out_envelope);

/** Read an envelope that pg_envelope_decode has taken before, without verifying it again: for bytes that nobody could have changed since.
 *  arena, errors   as pg_envelope_decode */
PG_NODISCARD pg_err pg_envelope_reread(pg_bytes in, pg_bytes payload_type, pg_arena *arena,
                                       pg_envelope *out_envelope);
