// SPDX-License-Identifier: Apache-2.0
// From a raw stream to a connection: [private network] -> security negotiation -> Noise -> muxer, with the policy on
// post-quantum security. Not for: dialing and listening (the host), QUIC, which brings its own security and streams.
//
// Layer: net.  Thread: loop thread only.  Spec: libp2p connections
#pragma once

#include <stdbool.h>

#include "base/attr.h"
#include "base/bytes.h"
#include "base/err.h"
#include "crypto/identity.h"
#include "crypto/secret.h"
#include "net/conn.h"
#include "runtime/stream.h"
#include "runtime/time.h"

/** What all upgrades of a node share. Everything is borrowed, for as long as upgrades run. */
typedef struct pg_upgrader {
    const pg_identity *identity;
    const pg_key *noise_static; // X25519 secret, fresh for each process (pg_random_bytes)
    const pg_key *swarm_key;    // of the private network; NULL: none
    bool require_pq;            // classical Noise is neither offered nor taken
    bool is_null;               // no security: simulated runs only (null_security.h)
    pg_conn_limits limits;
} pg_upgrader;

/** What is known of one raw stream. */
typedef struct pg_upgrade_request {
    pg_conn_direction direction;
    const pg_peer_id *expected_id; // whom we dialed; NULL: whoever it is
    bool is_known_hybrid;          // this peer has spoken hybrid Noise before: only that is taken
    const char *transport;         // "tcp"; static
    pg_bytes local_addr;           // binary multiaddrs, copied; may be empty
    pg_bytes remote_addr;
} pg_upgrade_request;

/** Upgrade a raw stream. Parks: yes; within PG_NET_UPGRADE_TIMEOUT_MS in all, whatever trickles in.
 *  raw        taken always, *raw is NULL then: reset and freed on failure
 *  out_conn   owned by the caller, who ends it with pg_conn_free
 *  Errors: PG_ERR_AUTH (another peer than expected, a proof that does not hold, or not of our private network), PG_ERR_DOWNGRADE (somebody
 *  takes the hybrid handshake away), PG_ERR_UNSUPPORTED (no common security or muxer, or require_pq and the peer cannot), PG_ERR_PROTOCOL,
 *  PG_ERR_MALFORMED, PG_ERR_LIMIT, PG_ERR_TRUNCATED, PG_ERR_TIMEOUT, PG_ERR_CLOSED, PG_ERR_RESET, PG_ERR_CANCELLED, PG_ERR_NOMEM */
PG_NODISCARD pg_err pg_upgrade(pg_stream **raw, const pg_upgrader *upgrader,
                               const pg_upgrade_request *request, pg_time deadline,
                               pg_conn **out_conn);
