// SPDX-License-Identifier: Apache-2.0
// The message of the DHT, request and answer alike. Not for: what a message asks for (server.c), reading from a stream
// (net/framed.h).
//
// Layer: dht.  Thread: any.  Spec: libp2p kad-dht, "RPC messages"
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/attr.h"
#include "base/bytes.h"
#include "base/err.h"

/** What is asked; the numbers are those on the wire. */
typedef enum pg_dht_msg_type {
    PG_DHT_MSG_PUT_VALUE = 0,
    PG_DHT_MSG_GET_VALUE = 1,
    PG_DHT_MSG_ADD_PROVIDER = 2,
    PG_DHT_MSG_GET_PROVIDERS = 3,
    PG_DHT_MSG_FIND_NODE = 4,
    PG_DHT_MSG_PING = 5,
    PG_DHT_MSG_COUNT,
} pg_dht_msg_type;

/** How the sender is linked to a peer it tells of. */
typedef enum pg_dht_link {
    PG_DHT_LINK_NONE = 0,
    PG_DHT_LINK_CONNECTED = 1,
    PG_DHT_LINK_CAN = 2,
    PG_DHT_LINK_CANNOT = 3,
} pg_dht_link;

/** A peer in a message. Nothing of it is checked. */
typedef struct pg_dht_peer_info {
    pg_bytes id;           // PeerId, binary
    const pg_bytes *addrs; // addrs[addr_count], binary multiaddrs
    size_t addr_count;
    uint32_t link; // pg_dht_link
} pg_dht_peer_info;

/** A message. Views borrow from what it was read from, or from whoever writes it. An empty view is an absent field. */
typedef struct pg_dht_msg {
    pg_dht_msg_type type;
    pg_bytes key;
    bool has_record;
    pg_bytes record_key;
    pg_bytes record_value;
    pg_bytes record_time;           // RFC 3339 text, when the peer that keeps it received it
    const pg_dht_peer_info *closer; // closer[closer_count]
    size_t closer_count;
    const pg_dht_peer_info *providers; // providers[provider_count]
    size_t provider_count;
} pg_dht_msg;

/** Read a message.
 *  in       without its length, at most PG_DHT_REPLY_BYTES_MAX; borrowed as long as *out_msg is used
 *  arena    owns what *out_msg points to; its limit bounds the number of fields
 *  Errors: PG_ERR_MALFORMED, PG_ERR_LIMIT, PG_ERR_UNSUPPORTED (a type we do not know). Cost: O(len). */
PG_NODISCARD pg_err pg_dht_msg_decode(pg_bytes in, pg_arena *arena, pg_dht_msg *out_msg);

/** Append a message with its length in front. Errors: PG_ERR_LIMIT (longer than PG_DHT_REPLY_BYTES_MAX), and as pg_buf_append. */
PG_NODISCARD pg_err pg_dht_msg_append(pg_buf *buf, const pg_dht_msg *msg);

/** Return the most bytes a peer takes in a message. */
size_t pg_dht_peer_info_bytes(const pg_dht_peer_info *info);
