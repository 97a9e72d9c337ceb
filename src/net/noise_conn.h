// SPDX-License-Identifier: Apache-2.0
// Noise over a stream: the handshake of libp2p, hybrid or classical, in either role, and the encrypted stream it gives. Not
// for: the cryptography and the payloads (crypto/noise.h, crypto/noise_libp2p.h), choosing among security protocols (upgrade.h).
//
// Layer: net.  Thread: loop thread only.  Spec: libp2p noise; libp2p/specs 727 for the hybrid
#pragma once

#include <stdbool.h>

#include "base/attr.h"
#include "base/bytes.h"
#include "base/err.h"
#include "base/str.h"
#include "crypto/identity.h"
#include "crypto/noise.h"
#include "crypto/noise_libp2p.h"
#include "crypto/peer_id.h"
#include "runtime/stream.h"
#include "runtime/time.h"

#define PG_NOISE_ID_HYBRID "/noise-mlkem768-hfs/0.2.0"
#define PG_NOISE_ID_CLASSICAL "/noise"

/** What a handshake needs. Everything is borrowed until it is over. */
typedef struct pg_noise_conn_config {
    pg_noise_pattern pattern; // XXHFS is PG_NOISE_ID_HYBRID, XX is PG_NOISE_ID_CLASSICAL
    bool is_initiator;        // we dialed
    const pg_identity *identity;
    const pg_key *static_secret;   // X25519; fresh for each process, never stored
    const pg_peer_id *expected_id; // NULL: whoever it is
    pg_noise_offer offer;          // muxers, and the security protocols we offer on this transport
} pg_noise_conn_config;

/** What a handshake gives. */
typedef struct pg_noise_conn_result {
    pg_stream *stream; // owned by the caller
    pg_peer_id peer_id;
    pg_buf public_key; // of the peer, as PublicKey protobuf; end it with pg_buf_deinit
    pg_str muxer; // agreed on already, out of config->offer; empty: to be negotiated on the stream
} pg_noise_conn_result;

/** Shake hands, and wrap the stream. The peer's identity, an expected PeerId and a stripped hybrid offer are checked, by the
 *  initiator before it shows its own identity. Parks: yes; within PG_NET_UPGRADE_TIMEOUT_MS in all. About 100 us of CPU.
 *  raw         taken on PG_OK, and *raw set to NULL; on failure the caller resets it
 *  out_result  written only on PG_OK. A read of the stream fails with PG_ERR_AUTH when a frame is not authentic: reset it then.
 *  Errors: PG_ERR_AUTH (another peer than expected, or a proof that does not hold), PG_ERR_DOWNGRADE, PG_ERR_PROTOCOL (no common
 *  muxer), PG_ERR_MALFORMED, PG_ERR_LIMIT, PG_ERR_TRUNCATED, PG_ERR_UNSUPPORTED (kind of key), PG_ERR_TIMEOUT,
 *  PG_ERR_NOMEM, and those of the stream */
PG_NODISCARD pg_err pg_noise_conn_handshake(pg_stream **raw, const pg_noise_conn_config *config,
                                            pg_time deadline, pg_noise_conn_result *out_result);

/** Wrap a stream with ciphers from elsewhere. Parks: no.
 *  raw, send, receive  taken on PG_OK: *raw is NULL and the ciphers all-zero then
 *  Errors: PG_ERR_NOMEM */
PG_NODISCARD pg_err pg_noise_stream_new(pg_stream **raw, pg_noise_cipher *send,
                                        pg_noise_cipher *receive, pg_stream **out_stream);
