// SPDX-License-Identifier: Apache-2.0
// What the files of QUIC share: endpoint, connection, stream. Packets and their numbers, keys, acknowledgements, losses and
// congestion are ngtcp2's; here is what carries its packets, feeds its streams, and bounds what it may take.
//
//      HANDSHAKING --(proven, and confirmed by the server)--> OPEN --pg_conn_close--> CLOSING
//      any --(closed, failed, silent for too long, aborted)--> ENDED
//
// HANDSHAKING and inbound: the endpoint owns the connection. Else: whoever dialed, or was given it. In ENDED nothing of ngtcp2
// and of the endpoint is left; a tomb in the endpoint answers stray packets for a while.
//
// A call into ngtcp2 never parks and is never nested: its callbacks only note things and wake fibers.
//
// Layer: net.  Thread: loop thread only.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <ngtcp2/ngtcp2.h>

#include "base/list.h"
#include "base/map.h"
#include "net/budget.h"
#include "net/limits.h"
#include "net/quic_endpoint.h"
#include "net/quic_window.h"
#include "runtime/fiber.h"

typedef struct pg_quic_conn pg_quic_conn;

// Application error codes of libp2p, of connections and of streams; most peers send 0.
#define PG_QUIC_CODE_NONE 0x0u
#define PG_QUIC_CODE_LIMIT 0x1001u
#define PG_QUIC_CODE_RATE 0x1002u
#define PG_QUIC_CODE_VIOLATION 0x1003u
#define PG_QUIC_CODE_TRIMMED 0x1005u
#define PG_QUIC_CODE_SHUTDOWN 0x1006u
#define PG_QUIC_CODE_GATED 0x1007u

#define PG_QUIC_RUN_BYTES 65000 // what one system call sends, below the 65,507 of an IP packet
#define PG_QUIC_NO_HEAP SIZE_MAX

// ---- Addresses

/** Two addresses as ngtcp2 wants them. */
typedef struct pg_quic_path {
    ngtcp2_sockaddr_union local;
    ngtcp2_sockaddr_union remote;
    ngtcp2_path path; // points to both
} pg_quic_path;

/** Fill a path. It must stay where it is. */
void pg_quic_path_set(pg_quic_path *path, const pg_endpoint *local, const pg_endpoint *remote);

/** Return one address of a path. */
pg_endpoint pg_quic_path_endpoint(const ngtcp2_addr *addr);

// ---- The endpoint

/** Remembers a connection that has ended: what comes for it is answered with its last packet, or not at all. */
typedef struct pg_quic_tomb {
    pg_list node; // in pg_quic_endpoint.tombs, oldest first
    pg_list due_node;
    pg_list routes;
    pg_endpoint local; // NONE: any
    pg_endpoint remote;
    pg_time until;
    uint32_t received; // since then
    size_t packet_len; // 0: the peer has closed, or is to hear nothing
    uint8_t packet[];  // CONNECTION_CLOSE
} pg_quic_tomb;

/** Where packets with one connection id go: one of both is set. */
typedef struct pg_quic_route {
    pg_list node; // in the routes of either
    pg_quic_conn *conn;
    pg_quic_tomb *tomb;
    uint8_t cid_len;
    uint8_t cid[NGTCP2_MAX_CIDLEN];
} pg_quic_route;

struct pg_quic_endpoint {
    pg_quic_config config;
    pg_udp *udp;
    pg_endpoint addr;
    bool is_stopped;
    bool
        wants_retry; // the first packet of a client was not its first: set by a read, for the caller
    pg_scope scope;  // both fibers
    pg_key token_key;

    pg_map routes;        // connection id -> pg_quic_route
    pg_map resets;        // stateless reset token of the peer -> pg_quic_conn
    pg_list conns;        // all that have not ended
    pg_list pending;      // inbound handshakes, oldest first
    uint32_t unvalidated; // of these, those whose address has not been shown to exist
    pg_list tombs;
    uint32_t tomb_count;
    pg_quic_rate unvalidated_rate;
    pg_quic_rate answer_rate;

    pg_list ready; // connections with something to do
    pg_list tombs_due;
    pg_quic_conn **heap; // heap[heap_len]: by expiry, the first the least
    size_t heap_len;
    size_t heap_cap;
    pg_waitq sender;
    pg_quic_conn *sending; // whose run is being sent; NULL when it has gone meanwhile
    uint8_t *out;          // out[PG_QUIC_RUN_BYTES]
    pg_udp_msg *msgs;      // msgs[PG_UDP_BATCH_MAX]
    pg_quic_stats stats;
};

/** Have the sender look at a connection: it may have something to write, or another expiry. */
void pg_quic_ready(pg_quic_conn *conn);

/** Send packets with this connection id to `conn`. Errors: PG_ERR_EXISTS, PG_ERR_NOMEM. */
PG_NODISCARD pg_err pg_quic_route_add(pg_quic_conn *conn, const uint8_t *cid, size_t cid_len);

/** Send them there no more. */
void pg_quic_route_remove(pg_quic_endpoint *endpoint, const uint8_t *cid, size_t cid_len);

/** Remember, or forget, the stateless reset token of the peer's connection id in use. Without memory resets go unnoticed. */
void pg_quic_reset_note(pg_quic_conn *conn, const ngtcp2_stateless_reset_token *token);
void pg_quic_reset_forget(pg_quic_conn *conn);

/** An inbound handshake is over. */
void pg_quic_pending_remove(pg_quic_conn *conn);

/** Take a connection out of the endpoint without a trace. */
void pg_quic_unlink(pg_quic_conn *conn);

/** Take a connection that has ended out of the endpoint, and leave a tomb with its ids.
 *  packet  to be sent, now and as an answer; empty: nothing */
void pg_quic_bury(pg_quic_conn *conn, pg_bytes packet);

/** Forget a connection that has ended. */
void pg_quic_tomb_free(pg_quic_endpoint *endpoint, pg_quic_tomb *tomb);

/** Make the stateless reset token of a connection id of ours. */
void pg_quic_reset_token(const pg_quic_endpoint *endpoint, const ngtcp2_cid *cid,
                         ngtcp2_stateless_reset_token *out_token);

/** Make room in the heap for every connection there is. Errors: PG_ERR_NOMEM. */
PG_NODISCARD pg_err pg_quic_heap_reserve(pg_quic_endpoint *endpoint);

/** Put a connection into the heap at conn->expiry, or move it there. */
void pg_quic_heap_set(pg_quic_endpoint *endpoint, pg_quic_conn *conn);

/** Take it out. */
void pg_quic_heap_remove(pg_quic_endpoint *endpoint, pg_quic_conn *conn);

/** The fibers "net.quic.recv" and "net.quic.send". `arg` is the endpoint. */
pg_err pg_quic_recv_run(void *arg);
pg_err pg_quic_send_run(void *arg);

// ---- A connection

typedef enum pg_quic_state {
    PG_QUIC_STATE_HANDSHAKING,
    PG_QUIC_STATE_OPEN,
    PG_QUIC_STATE_CLOSING, // no new streams; ends when all is acknowledged
    PG_QUIC_STATE_ENDED,
} pg_quic_state;

/** Unreliable datagrams on their way; made with the first. */
typedef struct pg_quic_datagrams pg_quic_datagrams;

struct pg_quic_conn {
    pg_conn base;
    pg_quic_endpoint *endpoint;   // NULL once ended
    ngtcp2_conn *ngtcp2;          // NULL once ended
    pg_quic_handshake *handshake; // NULL once it is over
    pg_quic_state state;
    bool is_client;
    bool was_counted;  // inbound: its address was validated before, and counted
    bool is_completed; // both sides of TLS are done
    bool is_confirmed; // and the server has said so
    bool was_reset;    // by a stateless reset
    bool lacks_memory; // for what ngtcp2 was to tell the peer: the next write ends the connection
    pg_endpoint local; // inbound: what it was called by; outbound: any
    pg_endpoint remote;

    pg_list node;         // in pg_quic_endpoint.conns
    pg_list ready_node;   // in .ready
    pg_list pending_node; // in .pending
    size_t heap_index;    // in .heap; PG_QUIC_NO_HEAP
    pg_time expiry;       // when ngtcp2 wants to be called
    pg_list routes;
    bool has_reset;
    uint8_t reset_token[NGTCP2_STATELESS_RESET_TOKENLEN]; // by which the peer would reset us

    pg_conn_limits limits;
    ngtcp2_mem mem;
    size_t state_bytes;     // what ngtcp2 holds
    size_t state_max_bytes; // and may hold: the most there was reason for
    pg_budget recv_budget;
    pg_budget send_budget;
    pg_quic_window window;
    uint64_t crypto_bytes; // of TLS after the handshake

    pg_list streams; // every pg_quic_stream
    pg_list accept_queue;
    pg_list send_queue; // streams with bytes or an end to send
    pg_list starved;    // streams that want memory for it
    uint32_t streams_in;
    uint32_t streams_out;
    pg_waitq acceptors;
    pg_waitq openers;
    pg_waitq settled; // woken when the state changes, and when all is acknowledged
    pg_quic_datagrams *datagrams;

    pg_err end_err; // PG_OK: in good order, or not yet
    char *end_detail;
    pg_key secret;
    pg_peer_id peer_id;
    pg_buf texts; // the peer's key and both addresses
    pg_conn_info info;
};

/** What ngtcp2 calls. The user data are the pg_quic_conn, and the pg_quic_stream, NULL where it could not be made. */
extern const ngtcp2_callbacks pg_quic_callbacks;

/** Make a connection; its ngtcp2 object is made too.
 *  hd       of the first packet, for an inbound one; NULL: outbound
 *  retried  the client's first id, when it was sent a Retry; else NULL
 *  Errors: PG_ERR_NOMEM */
PG_NODISCARD pg_err pg_quic_conn_new(pg_quic_endpoint *endpoint, const pg_quic_path *path,
                                     const pg_quic_tls_wish *wish, const ngtcp2_pkt_hd *hd,
                                     const ngtcp2_cid *retried, pg_quic_conn **out_conn);

/** Give ngtcp2 a datagram that came. The connection may end, and an inbound one that was not open be freed: returns false then. */
bool pg_quic_conn_read(pg_quic_conn *conn, const pg_quic_path *path, uint8_t ecn, pg_bytes datagram,
                       pg_time now);

/** A run of datagrams of equal length, the last may be shorter. */
typedef struct pg_quic_run {
    size_t len; // 0: nothing to send now
    size_t segment_len;
    uint8_t ecn;
    pg_endpoint local; // NONE: any
    pg_endpoint remote;
} pg_quic_run;

/** Let ngtcp2 do what is due, and write what it has into endpoint->out. The connection may end as above: returns false then. */
bool pg_quic_conn_write(pg_quic_conn *conn, pg_time now, pg_quic_run *out_run);

/** End a connection; once ended it stays so.
 *  err       why, its detail in the error record; PG_OK: in good order
 *  farewell  what to tell the peer; NULL: nothing
 *  An inbound one that was not open is freed. */
void pg_quic_conn_end(pg_quic_conn *conn, pg_err err, const ngtcp2_ccerr *farewell);

/** End it with an application error code. */
void pg_quic_conn_cut(pg_quic_conn *conn, pg_err err, uint64_t code);

/** Fail as the connection ended, or is about to; PG_ERR_CLOSED where that is in good order. */
PG_NODISCARD pg_err pg_quic_conn_fail_ended(const pg_quic_conn *conn);

/** Return the connection of a pg_conn. */
pg_quic_conn *pg_quic_conn_of(pg_conn *base);

/** Note what came of telling ngtcp2 something: it fails only for want of memory. */
void pg_quic_conn_note(pg_quic_conn *conn, int code);

/** The bytes of one stream, taken or thrown away: the peer may send as many more on the connection, and a faster one yet more. */
void pg_quic_conn_credit(pg_quic_conn *conn, size_t len);

/** Return the smoothed round trip, 0 when it is not known. */
int64_t pg_quic_conn_rtt_ns(const pg_quic_conn *conn);

/** Free datagrams. NULL is fine. */
void pg_quic_datagrams_free(pg_quic_datagrams **datagrams);

/** The connection has ended: nobody need wait for datagrams. */
void pg_quic_datagrams_wake(pg_quic_conn *conn);

/** Note a datagram that came. */
void pg_quic_datagram_take(pg_quic_conn *conn, pg_bytes bytes);

/** Write the next datagram into the packet under way. Returns as ngtcp2_conn_writev_datagram; 0 with *out_written false where
 *  there is none or no room. */
ngtcp2_ssize pg_quic_datagram_write(pg_quic_conn *conn, ngtcp2_path *path, ngtcp2_pkt_info *info,
                                    pg_mut_bytes space, pg_time now, bool *out_written);

PG_NODISCARD pg_err pg_quic_datagram_send(pg_conn *base, pg_bytes bytes);
PG_NODISCARD pg_err pg_quic_datagram_recv(pg_conn *base, pg_time deadline, pg_mut_bytes space,
                                          size_t *out_len);

// ---- A stream

/** The peer's half. */
typedef enum pg_quic_recv {
    PG_QUIC_RECV_OPEN,
    PG_QUIC_RECV_ENDED,   // all has come
    PG_QUIC_RECV_RESET,   // by the peer
    PG_QUIC_RECV_STOPPED, // by us: what comes is thrown away
    PG_QUIC_RECV_LOST,    // the connection has ended
} pg_quic_recv;

/** Our half. */
typedef enum pg_quic_send {
    PG_QUIC_SEND_OPEN,
    PG_QUIC_SEND_CLOSED,  // by us: the end goes out after all bytes
    PG_QUIC_SEND_RESET,   // by us
    PG_QUIC_SEND_STOPPED, // by the peer
    PG_QUIC_SEND_LOST,
} pg_quic_send;

/** Bytes that came and were not read, or were written and not acknowledged. */
typedef struct pg_quic_chunk {
    pg_list node;
    size_t begin; // received: read so far
    size_t len;
    size_t cap;
    uint8_t bytes[];
} pg_quic_chunk;

typedef struct pg_quic_stream {
    pg_stream base;
    pg_quic_conn *conn; // NULL once it has gone
    int64_t id;
    pg_list node; // in pg_quic_conn.streams
    pg_list accept_node;
    pg_list send_node; // in .send_queue or .starved
    bool is_ours;
    bool is_wired;  // ngtcp2 knows it
    bool is_held;   // somebody has it, or will get it by accept
    bool is_ending; // the end is to be sent
    pg_quic_recv recv;
    pg_quic_send send;
    pg_err reset_err; // of a reset by us

    pg_list in; // pg_quic_chunk
    size_t in_bytes;
    size_t
        owed_bytes; // of these, those the peer has no credit for yet; the others are charged to the budget
    pg_mut_bytes read_space;
    size_t read_len;
    pg_quic_window window;
    pg_waitq readers;

    pg_list out;           // pg_quic_chunk: sent and not acknowledged, then not sent
    uint64_t out_begin;    // offset of the first chunk in the stream
    uint64_t sent;         // offset of what is to be sent next
    uint64_t out_end;      // offset behind the last byte taken
    const pg_bytes *parts; // of the parked writer
    size_t part_count;
    size_t part_offset;
    pg_waitq writers;
} pg_quic_stream;

/** Make a stream that ngtcp2 knows under `id`. Errors: PG_ERR_NOMEM. */
PG_NODISCARD pg_err pg_quic_stream_new(pg_quic_conn *conn, int64_t id, pg_quic_stream **out_stream);

/** Bytes came, in order; `is_end`: they are the last. */
void pg_quic_stream_on_data(pg_quic_stream *stream, pg_bytes bytes, bool is_end);

/** The peer has reset its half. */
void pg_quic_stream_on_reset(pg_quic_stream *stream);

/** The peer wants no more of ours. */
void pg_quic_stream_on_stop(pg_quic_stream *stream);

/** The first bytes, up to `offset`, are acknowledged. */
void pg_quic_stream_on_acked(pg_quic_stream *stream, uint64_t offset);

/** ngtcp2 is done with the stream. May free it. */
void pg_quic_stream_on_close(pg_quic_stream *stream);

/** The connection has ended. May free it. */
void pg_quic_stream_on_end(pg_quic_stream *stream);

/** The connection goes away under a stream that somebody holds. */
void pg_quic_stream_orphan(pg_quic_stream *stream);

/** Queue the stream if it has something to send. */
void pg_quic_stream_queue(pg_quic_stream *stream);

#define PG_QUIC_VECS 4

/** What the sender may put into packets now. */
typedef struct pg_quic_offer {
    ngtcp2_vec vecs[PG_QUIC_VECS];
    size_t count;
    size_t len;
    bool is_end; // nothing comes behind it
} pg_quic_offer;

/** Take bytes of the writer where that is due, and give what is to be sent. Returns false when memory for it is out: the stream
 *  then waits in `starved`. */
bool pg_quic_stream_offer(pg_quic_stream *stream, pg_quic_offer *out_offer);

/** `len` bytes of the offer, and its end, went into a packet. */
void pg_quic_stream_on_sent(pg_quic_stream *stream, const pg_quic_offer *offer, size_t len);
