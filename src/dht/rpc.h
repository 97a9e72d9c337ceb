// SPDX-License-Identifier: Apache-2.0
// Requests to other peers. A stream serves several, one after the other, and waits a while for the next; many of its kind and
// of memory at once are not under way. Not for: what is in the messages.
//
// Layer: dht.  Thread: loop thread only.  Spec: libp2p kad-dht, "RPC messages"
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/bytes.h"
#include "base/err.h"
#include "base/list.h"
#include "base/slots.h"
#include "crypto/peer_id.h"
#include "net/host.h"
#include "runtime/fiber.h"
#include "runtime/time.h"

/** The requests of one DHT. Own in place, end with pg_dht_rpc_deinit. */
typedef struct pg_dht_rpc {
    pg_host *host;
    const char *protocol; // static
    pg_list idle;         // streams, least recently used first
    size_t idle_count;
    size_t idle_max; // 0 = a stream for each request
    uint32_t running;
    pg_waitq room;
    uint64_t requests;
    uint64_t failures;
    uint64_t streams; // opened
} pg_dht_rpc;

/** Begin, with no stream. `protocol` is static. */
void pg_dht_rpc_init(pg_dht_rpc *rpc, pg_host *host, const char *protocol);

/** Send a request and wait for the answer, dialing where there is no connection. Parks: yes.
 *  request     with its length in front
 *  out_reply   appended to: the answer without its length
 *  out_conn    the connection used
 *  Errors: those of pg_host_open_stream_lazy and pg_framed_read */
PG_NODISCARD pg_err pg_dht_rpc_ask(pg_dht_rpc *rpc, const pg_peer_id *peer, pg_bytes request,
                                   pg_time deadline, pg_buf *out_reply, pg_id *out_conn);

/** Send a request that has no answer, and wait until the peer has taken it in and closed. Parks: yes. Errors as pg_dht_rpc_ask. */
PG_NODISCARD pg_err pg_dht_rpc_tell(pg_dht_rpc *rpc, const pg_peer_id *peer, pg_bytes request,
                                    pg_time deadline);

/** Close the streams that have been idle since before `before`. Parks: no. */
void pg_dht_rpc_sweep(pg_dht_rpc *rpc, pg_time before);

/** Close all idle streams; no request may be under way. */
void pg_dht_rpc_deinit(pg_dht_rpc *rpc);
