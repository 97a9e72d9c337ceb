// SPDX-License-Identifier: Apache-2.0
// All limits of the room on one page: what a peer may cost us, each with its unit and its reason. Not for: limits that are
// part of a wire format and stand beside its codec.
//
// Layer: net.  Thread: any.
#pragma once

// Negotiation and handshake

/** One multistream-select message, its newline included. As js-libp2p; no protocol id comes near. */
#define PG_NET_MULTISTREAM_BYTES_MAX 1024

/** Proposals one listener answers in one negotiation. A dialer with more is guessing. */
#define PG_NET_MULTISTREAM_PROPOSALS_MAX 32

/** One negotiation, from the first byte to the last, whatever trickles in meanwhile. As js-libp2p. */
#define PG_NET_NEGOTIATE_TIMEOUT_MS 10000

/** From a raw stream to a connection, all steps together. As js-libp2p for its inbound upgrades. */
#define PG_NET_UPGRADE_TIMEOUT_MS 10000

/** Entries a peer may list of muxers, or of security protocols, in its handshake payload. As go-libp2p. */
#define PG_NET_HANDSHAKE_LIST_MAX 100

/** A swarm.key file. The longest correct one has 95 bytes; leaves room for stray blank lines. */
#define PG_NET_SWARM_KEY_BYTES_MAX 1024

// Streams of one connection

/** Streams the peer may have open at once; one more is refused. js-libp2p allows 1,000. */
#define PG_NET_STREAMS_IN_MAX 1000

/** Streams we open at once on one connection; the next waits. The peer most likely allows us no more. */
#define PG_NET_STREAMS_OUT_MAX 1000

/** Streams of the peer that wait for accept_stream; go-libp2p has 256 too. */
#define PG_NET_STREAMS_ACCEPT_MAX 256

/** Streams of ours the peer has not acknowledged yet; the next waits. rust-libp2p closes on more. */
#define PG_NET_STREAMS_UNACKED_MAX 256

/** Bytes a peer may send on one stream before we have read any. Fixed by yamux. */
#define PG_NET_WINDOW_BYTES_MIN 262144

/** What a receive window may grow to: 1 Gbit/s over a round trip of 134 ms. As js-libp2p and go-libp2p. */
#define PG_NET_WINDOW_BYTES_MAX (16 * 1024 * 1024)

// Memory for received bytes that nobody has read yet, and for windows grown beyond the least one

/** Of one connection: two windows of full size. */
#define PG_NET_CONN_MEMORY_BYTES_MAX (32 * 1024 * 1024)

/** Of one connection, always granted: it does not count against the sum over all, so nobody can starve the others of it. */
#define PG_NET_CONN_MEMORY_BYTES_FREE (512 * 1024)

/** Of all connections together. Leaves the files half of a 250 MB process. */
#define PG_NET_MEMORY_BYTES_MAX (96 * 1024 * 1024)

// Liveness

/** Between two pings of the muxer. js-libp2p and go-libp2p ping every 30 s. */
#define PG_NET_KEEPALIVE_MS 30000

/** For the answer to a ping of the muxer, then the connection is dead. As go-libp2p. */
#define PG_NET_PING_TIMEOUT_MS 10000

/** For one batch of bytes to leave: a peer that takes none for so long is gone. */
#define PG_NET_WRITE_TIMEOUT_MS 30000
