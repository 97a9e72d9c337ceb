// SPDX-License-Identifier: Apache-2.0
// Who may come in: counts connections and streams by IP address, subnet and peer, and limits the rate of new connections
// from one address, so that no stranger takes all places. Loopback addresses are held to the sums only. Pure: time is an
// argument. Not for: memory of received bytes (conn.h counts it), which connection to give up for another (host).
//
// Layer: net.  Thread: loop thread only.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/err.h"
#include "base/map.h"
#include "crypto/peer_id.h"
#include "runtime/socket.h"
#include "runtime/time.h"

/** The limits; they may change at any time and hold for what comes then. */
typedef struct pg_admission_limits {
    uint32_t connections;            // in all, either direction
    uint32_t connections_per_peer;   // either direction
    uint32_t connections_per_ip;     // inbound; an IPv6 /64 counts as one address
    uint32_t connections_per_subnet; // inbound; IPv4 /24, IPv6 /48
    uint32_t accepts_per_ip;         // new inbound connections a second; five times as many at once
    uint32_t streams;                // inbound, being served
    uint32_t streams_per_peer;
} pg_admission_limits;

/** What was counted since the start. */
typedef struct pg_admission_totals {
    uint64_t accepted;
    uint64_t refused_connections; // the sum over all was reached
    uint64_t refused_ip;          // an address, a subnet or its rate
    uint64_t refused_peer;
    uint64_t refused_streams;
} pg_admission_totals;

/** The accounts. Own in place; begin with all-zero and set the limits, end with pg_admission_deinit. */
typedef struct pg_admission {
    pg_admission_limits limits;
    pg_admission_totals totals;
    uint32_t connections;
    uint32_t streams;
    pg_map addresses; // address -> account
    pg_map subnets;
    pg_map peers;
} pg_admission;

/** Take a place for an inbound connection from `remote`, handshake not begun.
 *  Errors: PG_ERR_LIMIT (the detail says which limit), PG_ERR_NOMEM; no place is taken then. */
PG_NODISCARD pg_err pg_admission_accept(pg_admission *admission, const pg_endpoint *remote,
                                        pg_time now);

/** Take a place for an outbound connection. Errors: PG_ERR_LIMIT. */
PG_NODISCARD pg_err pg_admission_dial(pg_admission *admission);

/** Give a place back; `remote` is what was given to pg_admission_accept, NULL for an outbound connection. */
void pg_admission_leave(pg_admission *admission, const pg_endpoint *remote);

/** Count a connection for the peer it turned out to be. Errors: PG_ERR_LIMIT, PG_ERR_NOMEM; it is not counted then. */
PG_NODISCARD pg_err pg_admission_peer_join(pg_admission *admission, const pg_peer_id *peer);

/** Give back what pg_admission_peer_join took. */
void pg_admission_peer_leave(pg_admission *admission, const pg_peer_id *peer);

/** Count an inbound stream of a peer that has a connection. Errors: PG_ERR_LIMIT. */
PG_NODISCARD pg_err pg_admission_stream_open(pg_admission *admission, const pg_peer_id *peer);

/** Give back what pg_admission_stream_open took. */
void pg_admission_stream_close(pg_admission *admission, const pg_peer_id *peer);

/** Free the accounts; nothing may be counted any more. */
void pg_admission_deinit(pg_admission *admission);
