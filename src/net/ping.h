// SPDX-License-Identifier: Apache-2.0
// Ping: 32 random bytes there and back, the round trip as a peer's program sees it.
//
// Layer: net.  Thread: loop thread only.  Spec: libp2p ping 1.0.0
#pragma once

#include <stdint.h>

#include "base/attr.h"
#include "base/err.h"
#include "crypto/peer_id.h"
#include "net/host.h"
#include "runtime/time.h"

#define PG_PING_ID "/ipfs/ping/1.0.0"
#define PG_PING_BYTES 32

/** Serve ping. Called by pg_host_new. Errors as pg_host_serve. */
PG_NODISCARD pg_err pg_ping_serve(pg_host *host);

/** A stream to ping over, again and again. End with pg_ping_deinit. */
typedef struct pg_ping {
    pg_stream *stream;
    pg_book_peer *book; // of the peer; pinned
} pg_ping;

/** Open a stream for pings to a peer, dialing where need be. Parks: yes. Errors as pg_host_open_stream. */
PG_NODISCARD pg_err pg_ping_init(pg_ping *ping, pg_host *host, const pg_peer_id *peer,
                                 pg_time deadline);

/** Send one ping and wait for the answer; the round trip goes into the book too. Parks: yes.
 *  Errors: PG_ERR_CORRUPT (other bytes came back), PG_ERR_TIMEOUT, PG_ERR_CLOSED, PG_ERR_RESET, PG_ERR_CANCELLED */
PG_NODISCARD pg_err pg_ping_round(pg_ping *ping, pg_time deadline, int64_t *out_rtt_ns);

/** Open a stream, send one ping and close it. Parks: yes. Errors as pg_ping_init and pg_ping_round. */
PG_NODISCARD pg_err pg_ping_once(pg_host *host, const pg_peer_id *peer, pg_time deadline,
                                 int64_t *out_rtt_ns);

/** Close the stream; all-zero is fine. Parks: yes, briefly. */
void pg_ping_deinit(pg_ping *ping);
