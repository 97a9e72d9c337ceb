// SPDX-License-Identifier: Apache-2.0
// Sockets: TCP and Unix as streams, UDP as datagrams with segmentation and receive offload where the kernel has them.
// Not for: names (resolve.h), multiaddrs (net).
//
// Layer: runtime.  Thread: loop thread only.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/bytes.h"
#include "base/err.h"
#include "runtime/stream.h"

typedef enum pg_ip_family {
    PG_IP_FAMILY_NONE,
    PG_IP_FAMILY_V4,
    PG_IP_FAMILY_V6,
} pg_ip_family;

/** An IP address and a port. IPv4 uses the first four bytes of `ip`. */
typedef struct pg_endpoint {
    pg_ip_family family;
    uint8_t ip[16]; // network order
    uint16_t port;
    uint32_t scope_id; // of a link-local IPv6 address, else 0
} pg_endpoint;

/** Return true when both are the same address and port. */
bool pg_endpoint_equal(const pg_endpoint *a, const pg_endpoint *b);

/** Return the bytes of the IP address: four or sixteen, none of PG_IP_FAMILY_NONE. Borrowed. */
pg_bytes pg_endpoint_ip(const pg_endpoint *endpoint);

/** Return true for the address of a multicast group. */
bool pg_endpoint_is_group(const pg_endpoint *endpoint);

/** Return true for an address of this machine alone: 127.0.0.0/8 and ::1. */
bool pg_endpoint_is_loopback(const pg_endpoint *endpoint);

/** Return true for 0.0.0.0 and ::, which stand for all addresses, and for no address at all. */
bool pg_endpoint_is_any(const pg_endpoint *endpoint);

#define PG_ENDPOINT_TEXT_BYTES 64

/** Write `1.2.3.4:80` or `[::1]:80` and a NUL. */
void pg_endpoint_format(const pg_endpoint *endpoint, char out_text[PG_ENDPOINT_TEXT_BYTES]);

/** Accepts connections. */
typedef struct pg_listener pg_listener;

/** Listen for TCP on `at`; port 0 takes a free one, IPv6 does not take IPv4 too. SO_REUSEADDR is set. Parks: no.
 *  Errors: PG_ERR_BUSY (in use), PG_ERR_ACCESS, PG_ERR_UNREACHABLE (no such address here), PG_ERR_IO, PG_ERR_NOMEM. */
PG_NODISCARD pg_err pg_tcp_listen(const pg_endpoint *at, pg_listener **out_listener);

/** Return the address listened on, with the real port. Not for Unix listeners. */
pg_endpoint pg_listener_endpoint(const pg_listener *listener);

/** Wait for the next connection. Parks: yes. out_peer may be NULL; it is PG_IP_FAMILY_NONE for a Unix socket.
 *  Errors: PG_ERR_CLOSED, PG_ERR_TIMEOUT, PG_ERR_CANCELLED, PG_ERR_LIMIT (out of descriptors: wait a little, go on). */
PG_NODISCARD pg_err pg_listener_accept(pg_listener *listener, pg_time deadline,
                                       pg_stream **out_stream, pg_endpoint *out_peer);

/** Stop listening and free; a waiting accept ends with PG_ERR_CLOSED. NULL is fine. Parks: no. */
void pg_listener_free(pg_listener **listener);

/** Connect by TCP; TCP_NODELAY is set. Parks: yes.
 *  Errors: PG_ERR_REFUSED, PG_ERR_UNREACHABLE, PG_ERR_TIMEOUT, PG_ERR_CANCELLED, PG_ERR_LIMIT, PG_ERR_NOMEM. */
PG_NODISCARD pg_err pg_tcp_dial(const pg_endpoint *to, pg_time deadline, pg_stream **out_stream);

/** Return the local and the remote address of a TCP stream. Only for streams of pg_tcp_dial and a TCP listener. */
void pg_tcp_endpoints(const pg_stream *stream, pg_endpoint *out_local, pg_endpoint *out_remote);

/** Listen on a Unix socket at `path`, mode 0600, replacing a dead socket there. Parks: no.
 *  Errors: PG_ERR_BUSY (somebody listens there), PG_ERR_LIMIT (path too long), PG_ERR_ACCESS, PG_ERR_IO, PG_ERR_NOMEM. */
PG_NODISCARD pg_err pg_unix_listen(const char *path, pg_listener **out_listener);

/** Connect to a Unix socket. A reset of such a stream shows as its end on the other side. Parks: yes. Errors: PG_ERR_NOT_FOUND, PG_ERR_REFUSED, and as pg_tcp_dial. */
PG_NODISCARD pg_err pg_unix_dial(const char *path, pg_time deadline, pg_stream **out_stream);

/** A UDP socket. */
typedef struct pg_udp pg_udp;

#define PG_UDP_BATCH_MAX 32
#define PG_UDP_BUFFER_BYTES 65536

/** One datagram, or a run of equal ones to or from one peer. */
typedef struct pg_udp_msg {
    pg_endpoint peer;
    pg_endpoint
        local; // ours it came to, or is to come from (of a socket on "any address"); NONE: not known, any
    pg_bytes data;
    uint16_t
        segment_bytes; // length of each datagram in data, the last may be shorter; 0 = data is one datagram
    uint8_t ecn; // the two ECN bits
} pg_udp_msg;

/** Bind a UDP socket; port 0 takes a free one. Errors as pg_tcp_listen. Parks: no. */
PG_NODISCARD pg_err pg_udp_bind(const pg_endpoint *at, pg_udp **out_udp);

/** Make a UDP socket that hears what is sent to a multicast group on one interface, by programs of this machine and itself too, and
 *  nothing else; what it sends to the group leaves by that interface, with a hop limit of 255. Any number of sockets may join.
 *  group      the group's address and its port, not 0
 *  interface  its number (interfaces.h)
 *  Errors: PG_ERR_INVALID (no group), PG_ERR_UNREACHABLE (no such interface), and as pg_udp_bind. Parks: no. */
PG_NODISCARD pg_err pg_udp_join(const pg_endpoint *group, uint32_t interface, pg_udp **out_udp);

/** Return the address bound, with the real port. */
pg_endpoint pg_udp_endpoint(const pg_udp *udp);

/** Send one message, split by segment_bytes, in one system call where the kernel can. Parks: while the socket is full.
 *  Errors: PG_ERR_LIMIT (too large for the path), PG_ERR_UNREACHABLE, PG_ERR_REFUSED, PG_ERR_INVALID (also `local` that is not ours any more),
 *  PG_ERR_TIMEOUT, PG_ERR_CANCELLED. */
PG_NODISCARD pg_err pg_udp_send(pg_udp *udp, const pg_udp_msg *msg, pg_time deadline);

/** Wait for datagrams and take up to PG_UDP_BATCH_MAX messages; their data is borrowed until the next call. Parks: yes.
 *  out_msgs[PG_UDP_BATCH_MAX]
 *  Errors: PG_ERR_CLOSED, PG_ERR_TIMEOUT, PG_ERR_CANCELLED. */
PG_NODISCARD pg_err pg_udp_recv(pg_udp *udp, pg_time deadline, pg_udp_msg *out_msgs,
                                size_t *out_count);

/** Close and free; a waiting receive ends with PG_ERR_CLOSED. NULL is fine. Parks: no. */
void pg_udp_free(pg_udp **udp);
