// SPDX-License-Identifier: Apache-2.0
// No security at all: each side says who it is, and is believed. For simulated networks of a thousand nodes and more, where
// cryptography would take most of the time and prove nothing. Refused outside of a simulated run.
//
// Layer: net.  Thread: loop thread only.
#pragma once

#include "base/attr.h"
#include "base/bytes.h"
#include "base/err.h"
#include "crypto/identity.h"
#include "crypto/peer_id.h"
#include "runtime/stream.h"
#include "runtime/time.h"

#define PG_NULL_SECURITY_ID "/pangea/simulated-null/1.0.0"

/** Say who we are, and read who the other side is. Parks: yes.
 *  out_public_key   of the peer, as PublicKey protobuf; appended to
 *  Errors: PG_ERR_INVALID (a real run), PG_ERR_AUTH (another peer than expected), PG_ERR_MALFORMED, and those of the stream */
PG_NODISCARD pg_err pg_null_security_handshake(pg_stream *stream, const pg_identity *identity,
                                               const pg_peer_id *expected_id, pg_time deadline,
                                               pg_peer_id *out_peer, pg_buf *out_public_key);
