// SPDX-License-Identifier: Apache-2.0
// QUIC on one UDP socket: many connections, in both directions, told apart by their connection ids. Two fibers serve them
// all, one receives and one sends, so that an idle connection costs no stack. Strangers are answered without state where
// that is possible: version negotiation, Retry, refusal, stateless reset. Not for: who may come in (the host decides).
//
// Layer: net.  Thread: loop thread only.  Spec: RFC 9000, RFC 9001, RFC 9002, RFC 9221; libp2p quic
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/err.h"
#include "crypto/peer_id.h"
#include "crypto/secret.h"
#include "net/conn.h"
#include "net/quic_tls.h"
#include "runtime/socket.h"
#include "runtime/time.h"

/** What pg_conn_info.transport says of these connections. */
#define PG_QUIC_TRANSPORT "quic-v1"

typedef struct pg_quic_endpoint pg_quic_endpoint;

/** What to do with a stranger who wants a connection. */
typedef enum pg_quic_verdict {
    PG_QUIC_VERDICT_ACCEPT,
    PG_QUIC_VERDICT_REFUSE,
} pg_quic_verdict;

/** What an endpoint asks and tells its owner. All are called from the endpoint's fibers and must not park. */
typedef struct pg_quic_hooks {
    /** May `remote` begin a handshake? `is_validated`: it has shown that it receives what is sent there. Only then is it counted. */
    pg_quic_verdict (*on_initial)(const pg_endpoint *remote, bool is_validated, void *user);
    /** An inbound handshake is over. The connection is the owner's now, who frees it by pg_conn_free. */
    void (*on_conn)(pg_conn *conn, const pg_endpoint *remote, bool was_counted, void *user);
    /** An inbound handshake came to nothing; the detail of `err` is in the error record. */
    void (*on_failed)(const pg_endpoint *remote, bool was_counted, pg_err err, void *user);
    void *user;
} pg_quic_hooks;

/** Settings of an endpoint; copied, but for what is pointed to, which outlives it. */
typedef struct pg_quic_config {
    const pg_quic_tls *tls;
    const pg_key
        *reset_key; // makes stateless resets; the same after a restart, so that peers hear of it
    pg_conn_limits limits;
    uint32_t pending_max; // inbound handshakes; one more ends the oldest
    int64_t handshake_timeout_ns;
    pg_quic_hooks hooks; // on_conn NULL: takes no inbound connections
} pg_quic_config;

/** Bind a socket and serve it. Parks: no. Errors: those of pg_udp_bind, PG_ERR_NOMEM, PG_ERR_CANCELLED. */
PG_NODISCARD pg_err pg_quic_endpoint_new(const pg_quic_config *config, const pg_endpoint *at,
                                         pg_quic_endpoint **out_endpoint);

/** Return the address bound, with the real port. */
pg_endpoint pg_quic_endpoint_addr(const pg_quic_endpoint *endpoint);

/** Change what holds for handshakes from now on. */
void pg_quic_endpoint_set_limits(pg_quic_endpoint *endpoint, uint32_t pending_max,
                                 int64_t handshake_timeout_ns);

/** What an endpoint did and does. */
typedef struct pg_quic_stats {
    uint32_t connections; // handshakes included
    uint32_t pending;     // inbound handshakes
    uint64_t datagrams_in;
    uint64_t datagrams_out;
    uint64_t runs_out;       // system calls that sent them
    uint64_t retries;        // sent
    uint64_t versions;       // negotiations sent
    uint64_t resets;         // stateless ones sent
    uint64_t refusals;       // sent
    uint64_t answers_saved;  // not sent, since there were too many
    uint64_t datagrams_lost; // for nobody, or unreadable
} pg_quic_stats;

/** Return what the endpoint does. */
pg_quic_stats pg_quic_endpoint_get_stats(const pg_quic_endpoint *endpoint);

/** Whom to dial. */
typedef struct pg_quic_dial_request {
    pg_endpoint remote;
    const pg_peer_id *expected_id; // NULL: whoever answers
    bool hybrid_only;              // no classical key agreement is offered
} pg_quic_dial_request;

/** Make a connection, and wait until the peer has confirmed it. Parks: yes; within the endpoint's handshake timeout.
 *  out_conn  owned by the caller, who frees it by pg_conn_free
 *  Errors: PG_ERR_AUTH (another peer than expected, a proof that does not hold), PG_ERR_DOWNGRADE (hybrid_only, and the peer refuses
 *  the hybrid key agreement), PG_ERR_UNSUPPORTED (the peer speaks no QUIC version 1, or require_pq and it cannot), PG_ERR_REFUSED,
 *  PG_ERR_PROTOCOL, PG_ERR_TIMEOUT, PG_ERR_CANCELLED, PG_ERR_UNREACHABLE, PG_ERR_CLOSED (the endpoint ends), PG_ERR_NOMEM */
PG_NODISCARD pg_err pg_quic_dial(pg_quic_endpoint *endpoint, const pg_quic_dial_request *request,
                                 pg_time deadline, pg_conn **out_conn);

/** Take no more inbound connections. */
void pg_quic_endpoint_stop(pg_quic_endpoint *endpoint);

/** End all connections at once, tell their peers, close the socket, free, and set *endpoint to NULL. Connections of it may still
 *  be held; they are ended. NULL is fine. Parks: yes, briefly; cannot be cancelled. */
void pg_quic_endpoint_free(pg_quic_endpoint **endpoint);

/** Free a QUIC connection and tell the peer why as far as there are words for it: PG_ERR_LIMIT, PG_ERR_CLOSED (we stop), else
 *  that we do not want it. Sets *base to NULL. Parks: no. */
void pg_quic_conn_refuse(pg_conn **base, pg_err err);

/** Return a secret of a QUIC connection that both ends know and nobody else, for proofs about the connection. Borrowed. */
const pg_key *pg_quic_conn_secret(const pg_conn *conn);
