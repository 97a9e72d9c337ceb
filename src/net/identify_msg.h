// SPDX-License-Identifier: Apache-2.0
// The identify message: what a peer says of itself. Pure; the exchange is identify.h's. Several messages of one exchange
// are merged by decoding them as one: protobuf appends repeated fields and lets the last single one count.
//
// Layer: net.  Thread: any.  Spec: libp2p identify
#pragma once

#include <stddef.h>

#include "base/arena.h"
#include "base/attr.h"
#include "base/bytes.h"
#include "base/err.h"

/** A message. Views are borrowed: from the arena after decoding, from the caller before encoding. Empty = absent. */
typedef struct pg_identify_msg {
    pg_bytes public_key;          // PublicKey protobuf
    const pg_bytes *listen_addrs; // [listen_addr_count], binary multiaddrs, not checked
    size_t listen_addr_count;
    const pg_bytes *protocols; // [protocol_count]
    size_t protocol_count;
    pg_bytes observed_addr; // of the receiver, as the sender sees it; binary multiaddr, not checked
    pg_bytes protocol_version;
    pg_bytes agent_version;
    pg_bytes signed_peer_record; // envelope, not checked
} pg_identify_msg;

/** Decode one message, or several one behind the other without their prefixes.
 *  in        at most PG_NET_IDENTIFY_MESSAGES_MAX * PG_NET_IDENTIFY_BYTES_MAX bytes; borrowed until return
 *  arena     owns all views of *out_msg; PG_NET_IDENTIFY_MEMORY_BYTES_MAX is enough for honest messages
 *  Errors    PG_ERR_MALFORMED, PG_ERR_LIMIT (too long, or too much for the arena)
 *  Cost      O(len).   Thread: any.   Source: libp2p identify, "The Identify Message" */
PG_NODISCARD pg_err pg_identify_msg_decode(pg_bytes in, pg_arena *arena, pg_identify_msg *out_msg);

/** Append a message with its length in front. Errors as pg_buf_reserve, PG_ERR_LIMIT beyond PG_NET_IDENTIFY_SEND_BYTES_MAX. */
PG_NODISCARD pg_err pg_identify_msg_append(pg_buf *buf, const pg_identify_msg *msg);
