// SPDX-License-Identifier: Apache-2.0
// Peer records: the addresses of a peer, signed by itself, in a sequence that only grows.
//
// Layer: crypto.  Thread: any.  Spec: libp2p RFC 0003, with the domain and type that real nodes use
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/bytes.h"
#include "base/err.h"
#include "crypto/envelope.h"

#define PG_PEER_RECORD_ADDRS_MAX 128
#define PG_PEER_RECORD_ARENA_BYTES (8 * PG_ENVELOPE_BYTES_MAX)

/** A peer record. Addresses are binary multiaddrs, not looked into. */
typedef struct pg_peer_record {
    pg_peer_id peer;
    uint64_t seq;
    const pg_bytes *addrs; // addrs[addr_count]
    size_t addr_count;
} pg_peer_record;

/** Append a record of `identity`, sealed in an envelope, to a buffer; record->peer is not read.
 *  Errors: PG_ERR_NOMEM, PG_ERR_LIMIT (addresses, or the envelope). */
PG_NODISCARD pg_err pg_peer_record_encode(const pg_identity *identity, const pg_peer_record *record,
                                          pg_buf *out);

/** Read a sealed record: its signature holds, and by the key of the peer it speaks of. Whether `seq` is newer than the
 *  record known is for the caller.
 *  arena     of PG_PEER_RECORD_ARENA_BYTES or more; owns what *out_record shows
 *  Errors    as pg_envelope_decode, PG_ERR_AUTH when another peer signed it */
PG_NODISCARD pg_err pg_peer_record_decode(pg_bytes in, pg_arena *arena, pg_peer_record *out_record);
