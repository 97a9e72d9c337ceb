// SPDX-License-Identifier: Apache-2.0
// Identify: what a peer says of itself, checked and put into the book. The host asks on every new connection, answers those
// who ask, and pushes changes. Not for: the bytes of the message (identify_msg.h).
//
// Layer: net.  Thread: loop thread only.  Spec: libp2p identify 1.0.0, RFC 0003
#pragma once

#include "base/attr.h"
#include "base/err.h"
#include "net/identify_msg.h"
#include "net/peer_book.h"
#include "runtime/stream.h"
#include "runtime/time.h"

#define PG_IDENTIFY_ID "/ipfs/id/1.0.0"
#define PG_IDENTIFY_PUSH_ID "/ipfs/id/push/1.0.0"
#define PG_IDENTIFY_PROTOCOL_VERSION "ipfs/0.1.0"

/** Read all messages of one exchange, to the end of the stream, as one. Parks: yes.
 *  arena   of PG_NET_IDENTIFY_MEMORY_BYTES_MAX; owns *out_msg
 *  Errors: PG_ERR_LIMIT (a message or their number), PG_ERR_TRUNCATED, PG_ERR_MALFORMED, and those of the stream */
PG_NODISCARD pg_err pg_identify_read(pg_stream *stream, pg_time deadline, pg_arena *arena,
                                     pg_identify_msg *out_msg);

/** Check what an authenticated peer says of itself and put it into the book. Pure.
 *  is_push    absent fields mean "unchanged"; without it a missing key is an error
 *  Errors: PG_ERR_AUTH (another peer's key or record), PG_ERR_MALFORMED, PG_ERR_TRUNCATED, PG_ERR_LIMIT, PG_ERR_NOMEM; the book may
 *  then have part of it. Addresses that cannot be used are left out, an old record is ignored. */
PG_NODISCARD pg_err pg_identify_apply(pg_book_peer *peer, const pg_identify_msg *msg, bool is_push,
                                      pg_time now);
