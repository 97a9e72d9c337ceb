// SPDX-License-Identifier: Apache-2.0
// Addresses of peers as a row of parts, "/ip4/192.0.2.1/udp/4001/quic-v1/p2p/12D3...", as a value. An address with a part
// that is not known here cannot be used at all (PG_ERR_UNSUPPORTED): skip it, not the message it came in.
// Not for: resolving names, dialing (net).
//
// Layer: codec.  Thread: any.  Spec: multiformats/multiaddr and its table of protocols
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/bytes.h"
#include "base/err.h"
#include "base/str.h"
#include "codec/multihash.h"

// X(symbol, code, name, kind of value)
#define PG_MULTIADDR_TABLE(X)                                                                      \
    X(IP4, 4, "ip4", IP4)                                                                          \
    X(TCP, 6, "tcp", PORT)                                                                         \
    X(IP6, 41, "ip6", IP6)                                                                         \
    X(DNS, 53, "dns", NAME)                                                                        \
    X(DNS4, 54, "dns4", NAME)                                                                      \
    X(DNS6, 55, "dns6", NAME)                                                                      \
    X(DNSADDR, 56, "dnsaddr", NAME)                                                                \
    X(UDP, 273, "udp", PORT)                                                                       \
    X(P2P_CIRCUIT, 290, "p2p-circuit", NONE)                                                       \
    X(P2P, 421, "p2p", PEER)                                                                       \
    X(TLS, 448, "tls", NONE)                                                                       \
    X(QUIC_V1, 461, "quic-v1", NONE)                                                               \
    X(WEBTRANSPORT, 465, "webtransport", NONE)                                                     \
    X(CERTHASH, 466, "certhash", HASH)                                                             \
    X(WS, 477, "ws", NONE)                                                                         \
    X(WSS, 478, "wss", NONE)

typedef enum pg_multiaddr_code {
#define PG_MULTIADDR_ENUM(symbol, code, name, kind) PG_MULTIADDR_CODE_##symbol = (code),
    PG_MULTIADDR_TABLE(PG_MULTIADDR_ENUM)
#undef PG_MULTIADDR_ENUM
} pg_multiaddr_code;

/** Bytes of an address: a relayed one with a long name and two PeerIds takes about 200. */
#define PG_MULTIADDR_BYTES_MAX 256
/** Parts of an address: a relayed one over a secure WebSocket takes 8. */
#define PG_MULTIADDR_PARTS_MAX 16
/** Characters of any address and a NUL. Parts that grow most: ip6 (17 bytes to 45), p2p-circuit (2 to 12, 16 times). */
#define PG_MULTIADDR_TEXT_BYTES 1024

/** An address as it stands on the wire, checked. All-zero is none. */
typedef struct pg_multiaddr {
    uint16_t len;
    uint8_t bytes[PG_MULTIADDR_BYTES_MAX];
} pg_multiaddr;

/** Read a binary address that is all of `in`. Errors: PG_ERR_TRUNCATED, PG_ERR_MALFORMED, PG_ERR_LIMIT,
 *  PG_ERR_UNSUPPORTED for a part that is not in the table or a hash function that is not known. */
PG_NODISCARD pg_err pg_multiaddr_decode(pg_bytes in, pg_multiaddr *out_addr);

/** Read an address from text, "/ipfs/" meaning "/p2p/". Errors as pg_multiaddr_decode. */
PG_NODISCARD pg_err pg_multiaddr_parse(pg_str text, pg_multiaddr *out_addr);

/** Write the text and a NUL. */
void pg_multiaddr_format(const pg_multiaddr *addr, char out_text[PG_MULTIADDR_TEXT_BYTES]);

/** View the binary form. Borrowed from `addr`. */
static inline pg_bytes pg_multiaddr_bytes(const pg_multiaddr *addr)
{
    return pg_bytes_make(addr->bytes, addr->len);
}

/** Return true when both are the same, part by part. */
bool pg_multiaddr_equal(const pg_multiaddr *a, const pg_multiaddr *b);

/** One part. `value` is the binary value without its length, borrowed from the address. */
typedef struct pg_multiaddr_part {
    pg_multiaddr_code code;
    pg_bytes value;
} pg_multiaddr_part;

/** A place in a walk over the parts. */
typedef struct pg_multiaddr_cursor {
    pg_reader reader;
} pg_multiaddr_cursor;

/** Begin a walk. The address must live as long and stay as it is. */
static inline pg_multiaddr_cursor pg_multiaddr_walk(const pg_multiaddr *addr)
{
    return (pg_multiaddr_cursor){pg_reader_make(pg_multiaddr_bytes(addr))};
}

/** Step to the next part; false at the end. */
bool pg_multiaddr_next(pg_multiaddr_cursor *cursor, pg_multiaddr_part *out_part);

/** Append a part; `value` is binary, without its length: for "/p2p/ID" the PeerId's bytes. Errors: PG_ERR_MALFORMED for a value that is not of the code,
 *  PG_ERR_UNSUPPORTED, PG_ERR_LIMIT when the address gets too long; it is then unchanged. */
PG_NODISCARD pg_err pg_multiaddr_append(pg_multiaddr *addr, pg_multiaddr_code code, pg_bytes value);

/** How an address is reached. */
typedef enum pg_multiaddr_transport {
    PG_MULTIADDR_TRANSPORT_TCP,   // .../tcp/PORT
    PG_MULTIADDR_TRANSPORT_UDP,   // .../udp/PORT
    PG_MULTIADDR_TRANSPORT_QUIC,  // .../udp/PORT/quic-v1
    PG_MULTIADDR_TRANSPORT_OTHER, // anything else, as WebSocket
} pg_multiaddr_transport;

/** Make "/ip4/../tcp/PORT" and its kin. `ip` has 4 or 16 bytes, `transport` is one of the first three. */
pg_multiaddr pg_multiaddr_make(pg_bytes ip, pg_multiaddr_transport transport, uint16_t port);

/** Where the first hop of an address leads. */
typedef struct pg_multiaddr_hop {
    pg_multiaddr_code host_code; // IP4, IP6, DNS, DNS4, DNS6
    pg_bytes host;               // 4 or 16 bytes, or the name; borrowed from the address
    pg_multiaddr_transport transport;
    uint16_t port;
} pg_multiaddr_hop;

/** Take the first hop apart: host, port and transport before any "/p2p". Errors: PG_ERR_UNSUPPORTED for an address that
 *  does not begin with host and port, as "/dnsaddr/..." or a bare "/p2p/...". */
PG_NODISCARD pg_err pg_multiaddr_first_hop(const pg_multiaddr *addr, pg_multiaddr_hop *out_hop);

/** Cut "/p2p/ID" off the end: *out_peer is the id, and what stands before it stays. Returns false, and changes nothing,
 *  when the address ends in another part. */
bool pg_multiaddr_cut_peer(pg_multiaddr *addr, pg_multihash *out_peer);

/** Return true when the address leads over a relay ("/p2p-circuit"). */
bool pg_multiaddr_is_relay(const pg_multiaddr *addr);

/** Give the relay's own address, what stands before "/p2p-circuit", usually with its "/p2p/ID". Returns false when the
 *  address leads over none or names none; *out_relay is then untouched. */
bool pg_multiaddr_relay(const pg_multiaddr *addr, pg_multiaddr *out_relay);

/** Who can reach an IP address. */
typedef enum pg_ip_scope {
    PG_IP_SCOPE_NONE,       // no IP address: a name
    PG_IP_SCOPE_LOOPBACK,   // this machine
    PG_IP_SCOPE_LINK_LOCAL, // this link
    PG_IP_SCOPE_PRIVATE,    // this site, or one provider's customers: RFC 1918, 4193, 6598
    PG_IP_SCOPE_PUBLIC,     // anybody
    PG_IP_SCOPE_UNUSABLE,   // nobody: unspecified, multicast, reserved, documentation
} pg_ip_scope;

/** Return the scope of an IP address of 4 or 16 bytes; an IPv4 address inside an IPv6 one counts as itself; other lengths
 *  are PG_IP_SCOPE_NONE. Source: IANA special-purpose address registries */
pg_ip_scope pg_ip_scope_of(pg_bytes ip);

/** Return the scope of the address's first part. */
pg_ip_scope pg_multiaddr_scope(const pg_multiaddr *addr);
