// SPDX-License-Identifier: Apache-2.0
// The simulated network: paths between machines, connections, listeners, datagrams.
//
// One end of a connection knows the other by pointer while both exist, and sends through a queue of segments whose head
// has a timer. When it fires, the path is looked at as it is then: where nothing gets through the head is tried again
// with growing pauses, as TCP does, until it is given up; where the other end is gone a reset comes back.
//
//      dial: SYN ->, <- SYNACK, ACK ->; then DATA, FIN
//
//      DIALING --on SYNACK--> OPEN       (the dialer's end)
//      EMBRYO  --on ACK-----> OPEN       (the listener's end, then waiting for accept)
//      any     --end_with---> ENDED      (reset, timed out, refused: `err` says which)
//
// Layer: runtime.  Thread: loop thread only.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "runtime/sim_world_priv.h"
#include "runtime/stream.h"

#define PG_SIM_SEGMENT_BYTES_MAX 16384u // of a stream, lost or delivered as one
#define PG_SIM_SEND_BYTES_MAX                                                                      \
    (1024u * 1024)              // written and not yet read at the other end: the window
#define PG_SIM_BACKLOG_MAX 128u // connections a listener holds that nobody accepted
#define PG_SIM_UDP_QUEUE_BYTES_MAX                                                                 \
    (256u * 1024)                      // a socket's receive buffer: what comes beyond is lost
#define PG_SIM_UDP_BYTES_MAX 65507u    // of a datagram within a machine
#define PG_SIM_MTU_BYTES 1500u         // between machines
#define PG_SIM_QUEUE_NS_MAX PG_MS(200) // datagrams a slow link would hold longer are lost
#define PG_SIM_SYN_TRIES_MAX 6u        // about two minutes
#define PG_SIM_TRIES_MAX 15u           // about a quarter of an hour

/** Numbers of the interfaces every machine has. */
#define PG_SIM_INTERFACE_LOOPBACK 1u
#define PG_SIM_INTERFACE_LINK 2u

/** What is particular about two machines. */
typedef struct pg_sim_path {
    pg_sim_link link;
    bool is_set;
    bool is_cut;
    pg_time busy_until_ns[2]; // from the lower number to the higher, and back
} pg_sim_path;

typedef enum pg_sim_conn_state {
    PG_SIM_CONN_STATE_DIALING,
    PG_SIM_CONN_STATE_EMBRYO,
    PG_SIM_CONN_STATE_OPEN,
    PG_SIM_CONN_STATE_ENDED,
} pg_sim_conn_state;

typedef enum pg_sim_segment_kind {
    PG_SIM_SEGMENT_KIND_SYN,
    PG_SIM_SEGMENT_KIND_SYNACK,
    PG_SIM_SEGMENT_KIND_ACK,
    PG_SIM_SEGMENT_KIND_DATA,
    PG_SIM_SEGMENT_KIND_FIN,
} pg_sim_segment_kind;

/** A part of a stream on its way. */
typedef struct pg_sim_segment {
    pg_list node;
    pg_time due_ns;
    pg_sim_segment_kind kind;
    uint32_t len;
    uint8_t data[];
} pg_sim_segment;

typedef struct pg_sim_listener pg_sim_listener;

/** One end of a connection. */
typedef struct pg_sim_conn {
    pg_stream stream;
    pg_list node;             // in pg_sim_machine.conns
    pg_list backlog_node;     // in pg_sim_listener.backlog until accepted
    pg_sim_machine *machine;  // NULL once it has crashed
    pg_sim_machine *far;      // had the remote address when the connection was made: for the timing
    struct pg_sim_conn *peer; // NULL while there is no other end
    pg_sim_listener *listener; // whose backlog it is in
    pg_endpoint local;         // family NONE: a Unix socket
    pg_endpoint remote;
    pg_sim_conn_state state;
    pg_err err;     // of an ended one
    bool is_orphan; // freed by its owner; lives until all is sent
    bool fin_sent;
    bool fin_received;
    uint32_t tries;      // of the head, in vain
    pg_list out;         // segments on their way, in order
    pg_list in;          // segments received
    size_t in_offset;    // read of the first
    size_t in_bytes;     // not read
    size_t window_bytes; // written and not known to be read at the other end
    size_t credit_bytes; // read there; the news is under way to here
    pg_time last_due_ns;
    pg_sim_segment *spare; // a dialer's ACK
    pg_timer due_timer;    // for the head of `out`
    pg_timer window_timer; // the news of room, or the next probe of a silent peer
    pg_timer reset_timer;  // a reset under way to here
    pg_waitq readers;
    pg_waitq writers; // and the dialer
} pg_sim_conn;

/** Waits for connections. */
struct pg_sim_listener {
    pg_list node;            // in pg_sim_machine.listeners
    pg_sim_machine *machine; // NULL when closed or crashed
    pg_endpoint at;
    char *path;      // of a Unix listener, else NULL
    pg_list backlog; // of pg_sim_conn: EMBRYO, or waiting for accept
    uint32_t backlog_len;
    uint32_t waiters; // fibers in accept
    bool is_freed;    // by its owner; the last waiter frees the memory
    pg_waitq acceptors;
};

// ---- sim_net.c: addresses and paths

/** Let packets to machine->address find it. Errors: PG_ERR_NOMEM. */
PG_NODISCARD pg_err pg_sim_net_address_add(pg_sim_world *world, pg_sim_machine *machine);

/** Return who had the address last; NULL when nobody ever. `from` for addresses within a machine. */
pg_sim_machine *pg_sim_net_find(pg_sim_machine *from, const pg_endpoint *to);

/** Return the machine that a packet from `from` on `machine` to `to` gets to now; NULL when it gets nowhere. */
pg_sim_machine *pg_sim_net_reach(pg_sim_machine *machine, const pg_endpoint *from,
                                 const pg_endpoint *to);

/** Return true when a packet from `from` on `machine` gets to the machine `other` now, whatever it is addressed to. */
bool pg_sim_net_gets_to(const pg_sim_machine *machine, const pg_endpoint *from,
                        const pg_sim_machine *other);

/** Return the settings between two machines. Borrowed until they change. */
const pg_sim_link *pg_sim_net_link(const pg_sim_machine *a, const pg_sim_machine *b);

/** Return when `bytes` given to the link now have left it, behind what was given before; PG_FOREVER, and nothing is given, where
 *  they would wait for longer than `wait_ns_max`. */
pg_time pg_sim_net_departure(pg_sim_machine *from, const pg_sim_machine *to, size_t bytes,
                             int64_t wait_ns_max);

/** Return the time a packet travels, drawn anew for each. */
int64_t pg_sim_net_travel_ns(pg_sim_machine *from, const pg_sim_machine *to);

/** Check that a socket of `machine` may be bound to `at`. Errors: PG_ERR_UNREACHABLE. */
PG_NODISCARD pg_err pg_sim_net_check_bind(const pg_sim_machine *machine, const pg_endpoint *at);

/** Return true when a socket bound to `at` gets what is sent to `to`. */
bool pg_sim_net_is_for(const pg_endpoint *at, const pg_endpoint *to);

/** Return true when two sockets bound so would get in each other's way. */
bool pg_sim_net_is_clash(const pg_endpoint *a, const pg_endpoint *b);

/** Return the next port to try for a socket that asks for any. */
uint16_t pg_sim_net_port_next(pg_sim_machine *machine);

/** Return the address that packets of `machine` to `to` carry as their source; port 0. */
pg_endpoint pg_sim_net_source(const pg_sim_machine *machine, const pg_endpoint *to);

/** Take all sockets away from a machine; nobody is told. */
void pg_sim_net_crash(pg_sim_machine *machine);

/** Free what the network holds, after the machines. */
void pg_sim_net_deinit(pg_sim_world *world);

// ---- sim_conn.c: connections

/** Make one end, in the list of its machine. Errors: PG_ERR_NOMEM. */
PG_NODISCARD pg_err pg_sim_conn_new(pg_sim_machine *machine, pg_sim_machine *far,
                                    pg_sim_conn_state state, pg_sim_conn **out_conn);

/** Send a segment without data. Errors: PG_ERR_NOMEM. */
PG_NODISCARD pg_err pg_sim_conn_signal(pg_sim_conn *conn, pg_sim_segment_kind kind);

/** Free one end, at once, and tell the other by a reset, which may get lost. */
void pg_sim_conn_drop(pg_sim_conn *conn);

/** Free one end, at once; the other, if there still is one, is not told. */
void pg_sim_conn_delete(pg_sim_conn *conn);

/** Take one end away from its crashed machine; freed by its owner if it has one, else here. */
void pg_sim_conn_crash(pg_sim_conn *conn);

// ---- sim_listen.c: listeners and dialing

/** A SYN has reached `machine`: make the other end. Errors: PG_ERR_REFUSED, PG_ERR_LIMIT (backlog), PG_ERR_NOMEM. */
PG_NODISCARD pg_err pg_sim_listener_admit(pg_sim_machine *machine, pg_sim_conn *dialer);

/** The handshake of `conn` is complete: it can be accepted. */
void pg_sim_listener_offer(pg_sim_conn *conn);

/** Take `conn` out of the backlog it is in. */
void pg_sim_listener_forget(pg_sim_conn *conn);

/** Take a listener away from its crashed machine. */
void pg_sim_listener_crash(pg_sim_listener *listener);

PG_NODISCARD pg_err pg_sim_tcp_listen(pg_world *world, const pg_endpoint *at,
                                      pg_listener **out_listener);
PG_NODISCARD pg_err pg_sim_tcp_dial(pg_world *world, const pg_endpoint *to, pg_time deadline,
                                    pg_stream **out_stream);
PG_NODISCARD pg_err pg_sim_unix_listen(pg_world *world, const char *path,
                                       pg_listener **out_listener);
PG_NODISCARD pg_err pg_sim_unix_dial(pg_world *world, const char *path, pg_time deadline,
                                     pg_stream **out_stream);
pg_endpoint pg_sim_listener_endpoint(const pg_listener *listener);
PG_NODISCARD pg_err pg_sim_listener_accept(pg_listener *listener, pg_time deadline,
                                           pg_stream **out_stream, pg_endpoint *out_peer);
void pg_sim_listener_free(pg_listener *base);
void pg_sim_tcp_endpoints(const pg_stream *stream, pg_endpoint *out_local, pg_endpoint *out_remote);

// ---- sim_udp.c: datagrams

/** A datagram socket. */
typedef struct pg_sim_udp {
    pg_list node;            // in pg_sim_machine.sockets
    pg_sim_machine *machine; // NULL when closed or crashed
    pg_endpoint at;          // of a group, when it has joined one
    pg_list in;              // of datagrams received
    pg_list lent;            // those the last receive gave out
    size_t in_bytes;
    uint32_t waiters; // fibers in receive
    bool is_freed;    // by its owner; the last waiter frees the memory
    pg_waitq receivers;
} pg_sim_udp;

/** Take a socket away from its crashed machine. */
void pg_sim_udp_crash(pg_sim_udp *udp);

/** Free the datagrams under way. */
void pg_sim_udp_deinit(pg_sim_world *world);

PG_NODISCARD pg_err pg_sim_udp_bind(pg_world *world, const pg_endpoint *at, pg_udp **out_udp);
PG_NODISCARD pg_err pg_sim_udp_join(pg_world *world, const pg_endpoint *group, uint32_t interface,
                                    pg_udp **out_udp);
pg_endpoint pg_sim_udp_endpoint(const pg_udp *udp);
PG_NODISCARD pg_err pg_sim_udp_send(pg_udp *udp, const pg_udp_msg *msg, pg_time deadline);
PG_NODISCARD pg_err pg_sim_udp_recv(pg_udp *udp, pg_time deadline, pg_udp_msg *out_msgs,
                                    size_t *out_count);
void pg_sim_udp_free(pg_udp *base);
