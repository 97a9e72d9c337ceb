// SPDX-License-Identifier: Apache-2.0
// The libp2p host: listens and dials, keeps the connections and what is known of their peers, gives every inbound stream to
// the protocol it asks for, and opens outbound ones over connections that are there or made for it. Everything above this
// room meets the network here. Not for: what a protocol says (each stands in a file of its own).
//
// Layer: net.  Thread: loop thread only.  Spec: libp2p connections, identify
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/bytes.h"
#include "base/err.h"
#include "base/slots.h"
#include "codec/multiaddr.h"
#include "crypto/identity.h"
#include "crypto/peer_id.h"
#include "crypto/secret.h"
#include "net/admission.h"
#include "net/conn.h"
#include "net/limits.h"
#include "net/peer_book.h"
#include "net/pseudonym.h"
#include "net/quic_endpoint.h"
#include "runtime/stream.h"
#include "runtime/time.h"

typedef struct pg_host pg_host;

/** Settings of a host; copied, but for what is pointed to. pg_host_config_default gives usable ones. */
typedef struct pg_host_config {
    const pg_identity *identity; // outlives the host
    const pg_key *network_key;   // of a private network, outlives the host; NULL = a public node
    const char *agent;           // what identify tells of the program, static
    bool require_pq;             // no classical connections at all
    bool is_null;                // no security at all: simulated runs only
    pg_admission_limits limits;
    uint32_t pending_max; // inbound handshakes in progress; one more ends the oldest
    size_t memory_max_bytes;
    size_t book_peers_max;
    int64_t dial_timeout_ns;
    int64_t handshake_timeout_ns; // inbound
    pg_pseudonyms *pseudonyms;    // names in log lines, outlive the host; NULL = ones of its own
} pg_host_config;

/** Return the defaults, with `identity`. */
pg_host_config pg_host_config_default(const pg_identity *identity);

/** What the host does and did. */
typedef struct pg_host_stats {
    uint32_t connections;
    uint32_t peers;   // that are connected
    uint32_t pending; // inbound handshakes in progress
    uint32_t streams; // inbound, being served
    size_t memory_bytes;
    size_t book_peers;
    pg_admission_totals admission;
    uint64_t dials;
    uint64_t dials_failed;
    uint64_t handshakes_failed; // inbound
    uint64_t downgrades;        // classical connections refused since the peer can do better
    uint64_t offences;          // inbound streams that broke their protocol
    pg_quic_stats quic;
} pg_host_stats;

/** Make a host that does not listen yet; it serves identify and its push, and ping. Parks: no. Errors: PG_ERR_NOMEM. */
PG_NODISCARD pg_err pg_host_new(const pg_host_config *config, pg_host **out_host);

/** Change the limits; they hold for what comes from now on. */
void pg_host_set_limits(pg_host *host, const pg_host_config *config);

/** Return the host's own PeerId. Borrowed. */
const pg_peer_id *pg_host_id(const pg_host *host);

/** Write the name that a peer has in this host's log lines (net/pseudonym.h). */
void pg_host_peer_pseudonym(pg_host *host, const pg_peer_id *peer,
                            char out_text[PG_PSEUDONYM_TEXT_BYTES]);

// Addresses

/** Listen on "/ip4/../tcp/PORT", "/ip4/../udp/PORT/quic-v1", or the same with "/ip6"; port 0 takes a free one. Parks: no.
 *  Errors: PG_ERR_UNSUPPORTED (another transport), PG_ERR_LIMIT, and those of pg_tcp_listen and pg_udp_bind; the detail names the address. */
PG_NODISCARD pg_err pg_host_listen(pg_host *host, const pg_multiaddr *addr);

/** Tell peers of further addresses, in place of those told by an earlier call. At most PG_NET_ADVERTISED_MAX count. */
void pg_host_announce(pg_host *host, const pg_multiaddr *addrs, size_t count);

/** Give the addresses at which others may reach the host, without "/p2p/ID": announced ones first, then those listened on, with
 *  "any address" resolved to those of this machine. Returns how many. */
size_t pg_host_addrs(const pg_host *host, pg_multiaddr out_addrs[PG_NET_ADVERTISED_MAX]);

// Protocols

/** One inbound stream, as its handler sees it. All of it is borrowed until the handler returns. */
typedef struct pg_net_stream_ctx {
    pg_host *host;
    pg_stream *stream; // to read and write; the host frees it
    pg_id conn;
    const pg_peer_id *peer;
    pg_bytes remote_addr; // binary multiaddr; may be empty
    const char *protocol; // the id agreed on
    void *user;
} pg_net_stream_ctx;

/** Serve one stream from its first byte to its last, in a fiber of its own. After PG_OK the host closes the writing side, waits a
 *  little for the other side to finish, and frees the stream; after an error it resets it. Errors that say the
 *  peer broke the protocol (MALFORMED, PROTOCOL, CORRUPT, AUTH, DOWNGRADE) count: PG_NET_OFFENCES_MAX end the connection. */
typedef pg_err (*pg_net_handler)(pg_net_stream_ctx *ctx);

/** A protocol to serve. */
typedef struct pg_net_protocol {
    const char *id; // static, at most PG_NET_PROTOCOL_BYTES_MAX characters
    pg_net_handler handler;
    void *user;
    uint32_t conn_streams_max; // at once on one connection; 0 = no limit of its own
} pg_net_protocol;

/** Serve a protocol from now on and tell the peers. Errors: PG_ERR_EXISTS, PG_ERR_LIMIT. */
PG_NODISCARD pg_err pg_host_serve(pg_host *host, const pg_net_protocol *protocol);

/** Serve a protocol to those who know of it, and do not tell the peers. Errors as pg_host_serve. */
PG_NODISCARD pg_err pg_host_serve_unlisted(pg_host *host, const pg_net_protocol *protocol);

/** Serve a protocol no longer and tell the peers; streams being served go on. Unknown ids are ignored. */
void pg_host_unserve(pg_host *host, const char *id);

/** The same, reset its streams, and return when none of its handlers runs any more: what they use can be freed then. A handler that waits for
 *  something else than its stream has to be woken before. Cannot be cancelled. Parks: yes. */
void pg_host_withdraw(pg_host *host, const char *id);

// Connections

/** How to dial. All-zero: use a connection that is there, respect the waits after failures. */
typedef struct pg_dial_options {
    bool fresh; // make a new connection even if there is one
    bool eager; // try addresses that failed lately too
} pg_dial_options;

/** Be connected to a peer, by a connection that is there or by dialing its known addresses. Concurrent calls for one peer share a dial.
 *  options    NULL = all-zero
 *  out_conn   id of the connection; may be NULL
 *  Errors     PG_ERR_NOT_FOUND (no address known), PG_ERR_UNREACHABLE (no address answered, or all wait after failures),
 *             PG_ERR_AUTH (another peer answered), PG_ERR_DOWNGRADE, PG_ERR_LIMIT, PG_ERR_INVALID (ourselves), PG_ERR_TIMEOUT,
 *             PG_ERR_CANCELLED, PG_ERR_CLOSED (the host ends). Parks: yes. */
PG_NODISCARD pg_err pg_host_connect(pg_host *host, const pg_peer_id *peer,
                                    const pg_dial_options *options, pg_time deadline,
                                    pg_id *out_conn);

/** Dial one address. With "/p2p/ID" at its end only that peer will do; without, whoever answers.
 *  out_conn   id of the connection; may be NULL
 *  Errors as pg_host_connect, PG_ERR_UNSUPPORTED for an address we cannot dial. Parks: yes. */
PG_NODISCARD pg_err pg_host_dial(pg_host *host, const pg_multiaddr *addr,
                                 const pg_dial_options *options, pg_time deadline, pg_id *out_conn);

/** Open a stream to a peer for the first of the protocols it takes, dialing where there is no connection.
 *  ids            NULL at the end, in order of preference
 *  out_stream     owned by the caller
 *  out_protocol   the one of `ids` agreed on; may be NULL
 *  Errors: as pg_host_connect, PG_ERR_UNSUPPORTED when the peer takes none of them, and those of the stream. Parks: yes. */
PG_NODISCARD pg_err pg_host_open_stream(pg_host *host, const pg_peer_id *peer,
                                        const char *const *ids, pg_time deadline,
                                        pg_stream **out_stream, const char **out_protocol);

/** The same over one connection. Errors further: PG_ERR_CLOSED when the connection is no more. Parks: yes. */
PG_NODISCARD pg_err pg_host_open_stream_on(pg_host *host, pg_id conn, const char *const *ids,
                                           pg_time deadline, pg_stream **out_stream,
                                           const char **out_protocol);

/** Open a stream for a protocol that the peer has said it takes, without waiting for it to agree: the proposal goes out with the first
 *  bytes written, the answer is taken with the first read, which fails with PG_ERR_UNSUPPORTED when it is a refusal. For protocols where
 *  the one who opens speaks first; it saves a round trip.
 *  out_conn   id of the connection; may be NULL
 *  Errors: as pg_host_connect, and those of the stream. Parks: yes. */
PG_NODISCARD pg_err pg_host_open_stream_lazy(pg_host *host, const pg_peer_id *peer, const char *id,
                                             pg_time deadline, pg_stream **out_stream,
                                             pg_id *out_conn);

/** Wait until the peer of a connection has told what it is, or has failed to. Parks: yes.
 *  Errors: PG_ERR_CLOSED (the connection is no more), what made identify fail, PG_ERR_TIMEOUT, PG_ERR_CANCELLED. */
PG_NODISCARD pg_err pg_host_await_identify(pg_host *host, pg_id conn, pg_time deadline);

/** Wish for a connection with the peer to stay: it is not given up for others, and the peer stays in the book. Nests.
 *  Errors: PG_ERR_LIMIT, PG_ERR_NOMEM. */
PG_NODISCARD pg_err pg_host_keep(pg_host *host, const pg_peer_id *peer);

/** Undo one pg_host_keep. */
void pg_host_unkeep(pg_host *host, const pg_peer_id *peer);

/** End one connection at once; nothing when it is no more. Parks: no. */
void pg_host_hang_up(pg_host *host, pg_id conn);

/** End all connections with a peer at once. Parks: no. */
void pg_host_disconnect(pg_host *host, const pg_peer_id *peer);

/** Return the connection over which new streams to a peer go: the newest that it uses; 0 when there is none. */
pg_id pg_host_conn_best(const pg_host *host, const pg_peer_id *peer);

/** Return true when there is a connection with the peer. */
bool pg_host_is_connected(const pg_host *host, const pg_peer_id *peer);

/** One connection, for listings. Borrowed for the call. */
typedef struct pg_host_conn {
    pg_id id;
    pg_conn_info info;
    bool is_identified;
    pg_time active_at; // when a stream was last opened or ended, either way
    pg_bytes
        observed_addr; // ours, as the peer sees it; binary multiaddr, checked; empty = not told
} pg_host_conn;

/** Tell of one connection. Errors: PG_ERR_NOT_FOUND. Borrowed until it ends: use it before the next wait. */
PG_NODISCARD pg_err pg_host_conn_get(const pg_host *host, pg_id conn, pg_host_conn *out_conn);

/** Call `each` for every connection, oldest first. It must not park. */
void pg_host_conns_each(const pg_host *host, void (*each)(const pg_host_conn *conn, void *user),
                        void *user);

/** Return the book of peers, to read and to add addresses to. Borrowed. */
pg_peer_book *pg_host_book(pg_host *host);

/** Remember an address of a peer for `ttl_ns`; a "/p2p/ID" at its end must be the peer's. Errors: PG_ERR_INVALID, PG_ERR_LIMIT, PG_ERR_NOMEM. */
PG_NODISCARD pg_err pg_host_learn(pg_host *host, const pg_peer_id *peer, const pg_multiaddr *addr,
                                  pg_book_source source, int64_t ttl_ns);

/** Return what the host does and did. */
pg_host_stats pg_host_get_stats(const pg_host *host);

// Events

typedef enum pg_host_event_kind {
    PG_HOST_EVENT_CONNECTED,
    PG_HOST_EVENT_IDENTIFIED, // protocols and addresses are in the book; again after each push
    PG_HOST_EVENT_DISCONNECTED,
    PG_HOST_EVENT_ADDRESSES, // our own addresses changed; peer is NULL
} pg_host_event_kind;

/** Something happened to a connection. Borrowed for the call. */
typedef struct pg_host_event {
    pg_host_event_kind kind;
    const pg_peer_id *peer;
    pg_id conn;
    size_t peer_connections; // with this peer, this one counted unless it ended
} pg_host_event;

/** Hears of events, in the order they happen. Must not park. */
typedef void (*pg_host_listener)(const pg_host_event *event, void *user);

/** Hear of events from now on. Errors: PG_ERR_LIMIT at PG_NET_LISTENERS_MAX. */
PG_NODISCARD pg_err pg_host_watch(pg_host *host, pg_host_listener listener, void *user);

/** Hear no more: undoes pg_host_watch with the same arguments. */
void pg_host_unwatch(pg_host *host, pg_host_listener listener, void *user);

// The end

/** Stop in good order: no new connections or streams, those over which something moves get until `deadline` to finish, then the peers are told
 *  and the connections closed. Parks: yes. */
void pg_host_close(pg_host *host, pg_time deadline);

/** End at once what is left, free, and set *host to NULL. No fiber may be in a call on it. NULL is fine. Parks: yes, briefly. */
void pg_host_free(pg_host **host);
