// SPDX-License-Identifier: Apache-2.0
// What the files of the host share: its own structure and the one of a connection.
//
// Layer: net.  Thread: loop thread only.
#pragma once

#include "base/list.h"
#include "net/host.h"
#include "net/identify_msg.h"
#include "net/pseudonym.h"
#include "net/quic_endpoint.h"
#include "net/upgrade.h"
#include "runtime/fiber.h"
#include "runtime/socket.h"

typedef enum pg_host_state {
    PG_HOST_STATE_OPEN,
    PG_HOST_STATE_DRAINING, // no new connections or streams
} pg_host_state;

typedef enum pg_identify_state {
    PG_IDENTIFY_STATE_ASKING,
    PG_IDENTIFY_STATE_KNOWN,
    PG_IDENTIFY_STATE_FAILED,
} pg_identify_state;

/** A connection in the host's list. Its fiber "net.conn" accepts streams until it ends, and frees it. */
typedef struct pg_host_entry {
    pg_list node;
    pg_host *host;
    pg_id id;
    pg_conn *conn;
    pg_peer_id peer;
    pg_book_peer *book; // pinned
    bool is_inbound;
    bool
        is_counted; // has its place in the accounts; given back early when it is given up for another
    bool is_ending; // not offered to anyone any more
    bool
        is_proven; // the peer uses it; an inbound one may have been given up by its dialer for another
    pg_endpoint remote; // inbound: what the place was taken for
    pg_scope scope;     // its streams' fibers
    uint32_t users;     // fibers in a call on conn, beside its own
    pg_waitq unused;
    pg_identify_state identify_state;
    pg_err identify_err;
    char identify_detail[128];
    pg_waitq identified;
    pg_multiaddr observed; // ours, as the peer sees it
    uint32_t offences;
    uint32_t serving;                           // streams with a handler's fiber
    uint16_t by_protocol[PG_NET_PROTOCOLS_MAX]; // the same, by place in host->protocols
    pg_time active_at;                          // the last stream, either way
} pg_host_entry;

/** A stream that a handler serves. */
typedef struct pg_host_served {
    pg_list node;
    pg_stream *stream;
    const char *protocol; // its id
} pg_host_served;

/** An address listened on. */
typedef struct pg_host_listening {
    pg_host *host;
    pg_listener *listener;  // of TCP
    pg_quic_endpoint *quic; // or this
    pg_multiaddr addr;      // with the real port
} pg_host_listening;

/** An inbound handshake in progress. */
typedef struct pg_host_pending {
    pg_list node;
    pg_host *host;
    pg_stream *stream; // until the upgrade takes it
    pg_endpoint remote;
    pg_conn *conn;  // the result
    pg_scope scope; // of the upgrade's fiber, to end it early
} pg_host_pending;

struct pg_host {
    pg_host_config config;
    pg_host_state state;
    pg_scope scope;     // every fiber of the host but the streams'
    pg_scope listening; // the accepting fibers
    pg_conn_memory memory;
    pg_key noise_static; // drawn for each host
    pg_upgrader upgrader;
    pg_quic_tls *quic_tls; // made with the first socket
    pg_key quic_reset_key;
    pg_quic_endpoint *quic_dialers[2]; // for IPv4 and IPv6, where no listening socket will do
    pg_admission admission;
    pg_peer_book book;
    pg_pseudonyms own_pseudonyms;
    pg_pseudonyms *pseudonyms; // those of the configuration, or these
    pg_slots entries;
    pg_list conns;   // pg_host_entry, oldest first
    pg_list serving; // pg_host_served
    pg_waitq gone;   // woken when a connection or one of its streams has ended
    pg_list pending;
    uint32_t pending_count;
    pg_host_listening listens[PG_NET_LISTEN_MAX];
    size_t listen_count;
    pg_multiaddr announced[PG_NET_ADVERTISED_MAX];
    size_t announced_count;
    pg_net_protocol protocols[PG_NET_PROTOCOLS_MAX]; // id NULL = free; places stay
    bool is_unlisted[PG_NET_PROTOCOLS_MAX];          // of these, peers are not told
    struct {
        pg_host_listener fn;
        void *user;
    } listeners[PG_NET_LISTENERS_MAX];
    pg_map dials;  // PeerId -> the dial that callers share
    pg_buf record; // our signed peer record, empty when it is to be made anew
    uint64_t record_seq;
    pg_waitq changed; // wakes the fiber that pushes identify
    bool is_changed;
    pg_host_stats stats; // counters only
};

/** Tell the listeners. */
void pg_host_emit(pg_host *host, pg_host_event_kind kind, const pg_host_entry *entry);

/** Our addresses or protocols changed: make a new record, push it. */
void pg_host_note_change(pg_host *host);

/** Write the pseudonym of an endpoint. */
void pg_host_pseudonym(pg_host *host, const pg_endpoint *endpoint,
                       char out_text[PG_PSEUDONYM_TEXT_BYTES]);

/** Take a place for an inbound connection, giving up an idle one where that helps. Errors: as pg_admission_accept. */
PG_NODISCARD pg_err pg_host_admit(pg_host *host, const pg_endpoint *remote);

/** Log that an inbound connection was not taken, or that its handshake came to nothing; the latter is counted. */
void pg_host_log_refused(pg_host *host, const pg_endpoint *remote, pg_err err);
void pg_host_log_failed(pg_host *host, const pg_endpoint *remote, pg_err err);

/** Listen for QUIC. Errors: as pg_quic_endpoint_new. */
PG_NODISCARD pg_err pg_host_quic_listen(pg_host *host, const pg_endpoint *at,
                                        pg_quic_endpoint **out_endpoint);

/** Dial by QUIC; in a private network both sides have proven that they are of it. Of `wanted` the expected id and whether the
 *  peer is known to do the hybrid key agreement count. Parks: yes. Errors: as pg_quic_dial. */
PG_NODISCARD pg_err pg_host_quic_dial(pg_host *host, const pg_endpoint *to,
                                      const pg_upgrade_request *wanted, pg_time deadline,
                                      pg_conn **out_conn);

/** Hand the host's limits on. */
void pg_host_quic_set_limits(pg_host *host);

/** Return the sum over all QUIC sockets. */
pg_quic_stats pg_host_quic_stats(const pg_host *host);

/** Take no more inbound QUIC connections. */
void pg_host_quic_stop(pg_host *host);

/** Close all QUIC sockets. Parks: yes, briefly. */
void pg_host_quic_free(pg_host *host);

/** Make a connection of a TCP stream: as pg_upgrade, with transport and addresses filled in. Parks: yes. */
PG_NODISCARD pg_err pg_host_upgrade(pg_host *host, pg_stream **raw,
                                    const pg_upgrade_request *request, pg_time deadline,
                                    pg_conn **out_conn);

/** Put a connection into the list and start its fiber. Its place in the accounts passes to it, on failure back to the caller.
 *  conn   taken on PG_OK, *conn is NULL then
 *  remote what pg_admission_accept was given, NULL for an outbound connection
 *  Errors: PG_ERR_INVALID (ourselves), PG_ERR_DOWNGRADE, PG_ERR_LIMIT, PG_ERR_NOMEM, PG_ERR_CLOSED. Parks: no. */
PG_NODISCARD pg_err pg_host_adopt(pg_host *host, pg_conn **conn, const pg_endpoint *remote,
                                  pg_host_entry **out_entry);

/** Return the connection to use for a peer: the newest that is proven and not ending, hybrid ones first; NULL when there is none. */
pg_host_entry *pg_host_entry_best(const pg_host *host, const pg_peer_id *peer);

/** The peer has used a connection: it is offered from now on. Older ones of an inbound one are looked at, since the peer may have lost them. */
void pg_host_entry_prove(pg_host_entry *entry);

/** Wait while all connections with a peer are inbound ones that it has not used yet, a moment at most. Parks: yes.
 *  Errors: PG_ERR_TIMEOUT (the deadline), PG_ERR_CANCELLED. */
PG_NODISCARD pg_err pg_host_await_proof(pg_host *host, const pg_peer_id *peer, pg_time deadline);

/** Return a connection by id, NULL when it is no more. */
pg_host_entry *pg_host_entry_get(const pg_host *host, pg_id id);

/** Make room for one more connection by giving up an idle one that nobody wants kept: inbound ones first, the longest idle of them. Returns
 *  false when none may be given up. */
bool pg_host_trim(pg_host *host);

/** End a connection at once: no new users, its fiber frees it. */
void pg_host_entry_end(pg_host_entry *entry);

/** Count a call on the connection from another fiber; pg_host_entry_unuse when it is over. */
static inline void pg_host_entry_use(pg_host_entry *entry)
{
    entry->users++;
}

/** The call is over. */
void pg_host_entry_unuse(pg_host_entry *entry);

/** Ask the peer of a connection what it is: the fiber "net.identify" of each connection. `arg` is its entry. */
pg_err pg_identify_ask(void *arg);

/** The fiber "net.push", which tells the peers of changes. `arg` is the host. */
pg_err pg_identify_push_run(void *arg);

/** Serve "/ipfs/id/1.0.0" and its push. Errors as pg_host_serve. */
PG_NODISCARD pg_err pg_identify_serve(pg_host *host);
