// SPDX-License-Identifier: Apache-2.0
// A connection to one peer: authenticated, encrypted, and carrying many streams at once. What carries it (yamux over Noise
// over TCP, or QUIC) stands behind a table of operations. Not for: choosing the protocol of a stream (multistream.h), making
// a connection of a raw stream (upgrade.h), keeping track of connections (the host).
//
// Layer: net.  Thread: loop thread only.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/bytes.h"
#include "base/err.h"
#include "runtime/stream.h"
#include "runtime/time.h"

typedef struct pg_conn pg_conn;
typedef struct pg_peer_id pg_peer_id;

typedef enum pg_conn_direction {
    PG_CONN_DIRECTION_OUTBOUND, // we dialed
    PG_CONN_DIRECTION_INBOUND,
} pg_conn_direction;

/** What is known of a connection. The pointers are borrowed for its life; texts are NUL-terminated and static. */
typedef struct pg_conn_info {
    const pg_peer_id *peer; // proven by the handshake
    pg_bytes public_key;    // of the peer, as PublicKey protobuf
    pg_conn_direction direction;
    pg_bytes local_addr;   // binary multiaddr without /p2p; empty where the carrier does not know
    pg_bytes remote_addr;  // the same
    const char *transport; // "tcp", "quic-v1", "p2p-circuit"
    const char
        *security;     // "/noise-mlkem768-hfs/0.2.0", "/noise", "tls/X25519MLKEM768", "tls/X25519"
    const char *muxer; // "/yamux/1.0.0", "quic"
    bool is_hybrid;    // the keys rest on a post-quantum KEM too
    pg_time opened_at;
    int64_t rtt_ns;       // smoothed round trip of the muxer's pings; 0 = not known yet
    uint32_t streams_in;  // open now, opened by the peer
    uint32_t streams_out; // open now, opened by us
    uint64_t bytes_in;    // since the start: payload and headers of the muxer, before encryption
    uint64_t bytes_out;
    size_t memory_bytes; // held now for bytes not yet read and for grown windows
} pg_conn_info;

/** What a carrier implements; the functions below say what each means. */
typedef struct pg_conn_ops {
    pg_err (*open_stream)(pg_conn *conn, pg_time deadline, pg_stream **out_stream);
    pg_err (*accept_stream)(pg_conn *conn, pg_time deadline, pg_stream **out_stream);
    void (*info)(const pg_conn *conn, pg_conn_info *out_info);
    pg_err (*send_datagram)(pg_conn *conn, pg_bytes bytes); // NULL: the carrier has none
    pg_err (*recv_datagram)(pg_conn *conn, pg_time deadline, pg_mut_bytes space, size_t *out_len);
    pg_err (*close)(pg_conn *conn, pg_time deadline);
    void (*abort)(pg_conn *conn);
    void (*free)(pg_conn *conn);
} pg_conn_ops;

/** The first member of every carrier's own structure. */
struct pg_conn {
    const pg_conn_ops *ops;
};

/** Memory for received bytes, shared by all connections of a host. Set max_bytes, the rest is zero. */
typedef struct pg_conn_memory {
    size_t max_bytes;
    size_t used_bytes;
} pg_conn_memory;

/** What one connection may take. pg_conn_limits_default gives the values of limits.h. */
typedef struct pg_conn_limits {
    uint32_t streams_in_max;
    uint32_t streams_out_max;
    uint32_t window_max_bytes; // at least PG_NET_WINDOW_BYTES_MIN
    size_t memory_max_bytes;
    pg_conn_memory *shared; // outlives the connection; NULL = none
} pg_conn_limits;

/** Return the limits of limits.h, with `shared` (may be NULL) for the sum over all connections. */
pg_conn_limits pg_conn_limits_default(pg_conn_memory *shared);

/** Open a stream to the peer. The peer hears of it with the first bytes written, or before. Parks: while too many streams are open
 *  or not acknowledged.
 *  out_stream  owned by the caller; may outlive the connection, its calls then fail with PG_ERR_CLOSED
 *  Errors      PG_ERR_CLOSED (the connection has ended, or the peer takes no more streams), PG_ERR_TIMEOUT, PG_ERR_CANCELLED,
 *              PG_ERR_NOMEM, and what ended the connection */
PG_NODISCARD pg_err pg_conn_open_stream(pg_conn *conn, pg_time deadline, pg_stream **out_stream);

/** Wait for the next stream the peer opens. One fiber at a time. Parks: yes.
 *  out_stream  owned by the caller, as above
 *  Errors      PG_ERR_CLOSED (the connection has ended in good order), PG_ERR_TIMEOUT, PG_ERR_CANCELLED, else what ended the
 *              connection, with its detail */
PG_NODISCARD pg_err pg_conn_accept_stream(pg_conn *conn, pg_time deadline, pg_stream **out_stream);

/** Tell what is known of the connection, now. Parks: no. */
void pg_conn_get_info(const pg_conn *conn, pg_conn_info *out_info);

/** Send one unreliable datagram: it arrives whole, once, out of order, or never. Parks: no.
 *  Errors: PG_ERR_UNSUPPORTED (the carrier has none, or the peer takes none), PG_ERR_LIMIT (too long for a packet), PG_ERR_CLOSED,
 *  PG_ERR_NOMEM, and what ended the connection */
PG_NODISCARD pg_err pg_conn_send_datagram(pg_conn *conn, pg_bytes bytes);

/** Wait for the next datagram; those nobody waits for are kept for a while, the newest ones,
 *  once one was sent or waited for on this side; before, they are dropped. One fiber at a time. Parks: yes.
 *  Errors: PG_ERR_UNSUPPORTED, PG_ERR_LIMIT (longer than `space`: it is lost), PG_ERR_CLOSED, PG_ERR_TIMEOUT, PG_ERR_CANCELLED,
 *  PG_ERR_NOMEM, and what ended the connection */
PG_NODISCARD pg_err pg_conn_recv_datagram(pg_conn *conn, pg_time deadline, pg_mut_bytes space,
                                          size_t *out_len);

/** End in good order: no new streams either way, what was written is flushed, the peer is told, and we wait until it has closed
 *  too. Streams still open then fail with PG_ERR_CLOSED. On failure the connection is aborted. Parks: yes.
 *  Errors: PG_ERR_TIMEOUT, PG_ERR_CANCELLED, and what ended the connection */
PG_NODISCARD pg_err pg_conn_close(pg_conn *conn, pg_time deadline);

/** End at once: every wait on the connection and on its streams ends with PG_ERR_CLOSED. Parks: no. */
void pg_conn_abort(pg_conn *conn);

/** Abort where it has not ended, wait for the connection's own fibers, free, and set *conn to NULL. No fiber may be in a call on
 *  it; streams may still be held. NULL is fine. Parks: yes, briefly; cannot be cancelled. */
void pg_conn_free(pg_conn **conn);
