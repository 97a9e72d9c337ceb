// SPDX-License-Identifier: Apache-2.0
// What libp2p puts into the payloads of a Noise handshake: the identity key, its signature over the Noise static key, the
// muxers offered, and (ours, in a field that others skip) the security protocols offered, which makes a downgrade by
// someone in the middle visible to both ends.
//
// Layer: crypto.  Thread: any.  Spec: libp2p noise, connections/inlined-muxer-negotiation
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/arena.h"
#include "base/bytes.h"
#include "base/err.h"
#include "base/str.h"
#include "crypto/identity.h"
#include "crypto/noise.h"
#include "crypto/peer_id.h"

#define PG_NOISE_PAYLOAD_BYTES_MAX 8192
#define PG_NOISE_PAYLOAD_ARENA_BYTES 65536
#define PG_NOISE_MUXERS_MAX 100 // as go-libp2p
#define PG_NOISE_SECURITIES_MAX 16
#define PG_NOISE_PROTOCOL_BYTES_MAX 255

/** A list of protocol ids in order of preference. */
typedef struct pg_noise_list {
    const pg_str *ids; // ids[count]
    size_t count;
} pg_noise_list;

/** What a side says it can do. */
typedef struct pg_noise_offer {
    pg_noise_list muxers;
    pg_noise_list securities; // what it offers on this transport; empty: does not say
} pg_noise_offer;

/** The other side, verified. Views live as long as the arena it was read with. */
typedef struct pg_noise_peer {
    pg_peer_id id;
    pg_bytes identity_key; // encoded (public_key.h)
    pg_noise_offer offer;
} pg_noise_peer;

/** Append our payload to a buffer: `identity` vouches for the static key of this handshake.
 *  Errors: PG_ERR_NOMEM, PG_ERR_LIMIT (lists, PG_NOISE_PAYLOAD_BYTES_MAX). */
PG_NODISCARD pg_err pg_noise_payload_encode(const pg_identity *identity,
                                            const uint8_t noise_static[PG_X25519_BYTES],
                                            const pg_noise_offer *offer, pg_buf *out);

/** Read the other side's payload and verify that its identity vouches for its static key. A dialer then compares the
 *  PeerId with the one it dialed, before it writes message 3.
 *  arena    of PG_NOISE_PAYLOAD_ARENA_BYTES or more; owns what *out_peer shows
 *  Errors   PG_ERR_LIMIT, PG_ERR_TRUNCATED, PG_ERR_MALFORMED, PG_ERR_UNSUPPORTED (kind of key), PG_ERR_AUTH,
 *           PG_ERR_NOMEM */
PG_NODISCARD pg_err pg_noise_payload_decode(pg_bytes in,
                                            const uint8_t noise_static[PG_X25519_BYTES],
                                            pg_arena *arena, pg_noise_peer *out_peer);

/** Choose the muxer: the first of the initiator's that the responder has.
 *  out_muxer   borrowed from `initiator`; empty when a side named none, and multistream-select has to decide
 *  Errors: PG_ERR_PROTOCOL when both named some and none is common: the connection is to be closed. */
PG_NODISCARD pg_err pg_noise_muxer_choose(const pg_noise_list *initiator,
                                          const pg_noise_list *responder, pg_str *out_muxer);

/** Refuse a connection on `used` when both sides list `strongest`, which then somebody took out of the negotiation.
 *  Errors: PG_ERR_DOWNGRADE. */
PG_NODISCARD pg_err pg_noise_downgrade_check(const pg_noise_list *ours, const pg_noise_list *theirs,
                                             pg_str strongest, pg_str used);
