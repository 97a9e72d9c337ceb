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

// QUIC

/** Length of our connection ids, random bytes. */
#define PG_NET_QUIC_CID_BYTES 8

/** Connection ids of the other side that we keep: one in use and one to change to. Each costs both ends memory. */
#define PG_NET_QUIC_CIDS_MAX 2

/** Certificates a peer may send, together: it has to be one, of at most PG_TLS_CERTIFICATE_BYTES_MAX. */
#define PG_NET_QUIC_CERTIFICATES_BYTES_MAX 8192

/** TLS messages after the handshake are none of our business, and thrown away: so many bytes of a connection. */
#define PG_NET_QUIC_CRYPTO_BYTES_MAX 65536

/** Bytes a peer may send on one connection before we have taken any. As one stream of yamux. */
#define PG_NET_QUIC_WINDOW_BYTES_MIN PG_NET_WINDOW_BYTES_MIN

/** What the QUIC library may hold for one connection, beside what the windows let it and what we send: keys, packet numbers,
X And for each open stream. */
#define PG_NET_QUIC_STATE_BYTES_MAX (128 * 1024)
#define PG_NET_QUIC_STREAM_BYTES_MAX 1024

/** Written by us and not acknowledged, of one connection, always granted. */
#define PG_NET_QUIC_SEND_BYTES_FREE (128 * 1024)

/** Taken of a write at once, before it can be sent: a run of datagrams that one system call takes. */
#define PG_NET_QUIC_PULL_BYTES (64 * 1024)

/** Without a packet from the peer for so long, a connection is dead. As go-libp2p. */
#define PG_NET_QUIC_IDLE_MS 30000

/** The longest pause between our packets; a third of the peer's idle time if that is less: 3.3 s for js-libp2p and
 *  rust-libp2p, who wait 10 s. */
#define PG_NET_QUIC_KEEPALIVE_MS 10000

/** Handshakes a second with addresses that have not shown they exist; beyond, they have to (Retry). And how many at once.
 *  A handshake costs 1 ms. */
#define PG_NET_QUIC_UNVALIDATED_PER_S 50
#define PG_NET_QUIC_UNVALIDATED_MAX 32

/** Answers a second that cost no state: Retry, version negotiation, refusals, stateless resets. */
#define PG_NET_QUIC_ANSWERS_PER_S 500

/** How long a Retry token is good. */
#define PG_NET_QUIC_RETRY_TOKEN_MS 10000

/** Connections that have ended, remembered to answer stray packets: how many, and for how long. About 250 bytes each. */
#define PG_NET_QUIC_TOMBS_MAX 1024
#define PG_NET_QUIC_TOMB_MS 3000

/** Unreliable datagrams received that wait for the reader; the oldest makes room. A second of voice, at 20 ms each. */
#define PG_NET_QUIC_DATAGRAMS_MAX 64

/** Datagrams to send that wait for the congestion window; one more drops the oldest. */
#define PG_NET_QUIC_DATAGRAMS_OUT_MAX 32

/** One datagram: fits into a packet on any path. */
#define PG_NET_QUIC_DATAGRAM_BYTES_MAX 1150

// Connections of the host

/** Handshakes in progress that one dial races, and addresses of one peer that it tries at all. */
#define PG_NET_DIAL_ADDRS_MAX 16

/** Head start of one address of a peer before the next is tried beside it. As RFC 8305 recommends. */
#define PG_NET_DIAL_STAGGER_MS 250

/** A classical connection waits so long for the other transport of the same peer to bring a hybrid one. Together with the head
 *  start a dial with UDP blocked stays below a second. */
#define PG_NET_DIAL_HYBRID_MS 500

/** Wait after the first failure of an address; it doubles with each further one. */
#define PG_NET_BACKOFF_MIN_MS 1000

/** The longest wait after failures: a peer that comes back is met again within five minutes. */
#define PG_NET_BACKOFF_MAX_MS 300000

/** Addresses whose inbound connections are counted at once, those who left within the last seconds included: 1 MiB. */
#define PG_NET_ADDRESSES_MAX 4096

/** An idle inbound connection younger than this is not given up for a newer one. */
#define PG_NET_IDLE_GRACE_MS 5000

/** Protocols a host serves. */
#define PG_NET_PROTOCOLS_MAX 48

/** Length of a protocol id. libp2p sets none; the longest in use have about 50 characters. */
#define PG_NET_PROTOCOL_BYTES_MAX 128

/** Streams that broke their protocol before their connection is closed. */
#define PG_NET_OFFENCES_MAX 16

/** Listeners for connection events. */
#define PG_NET_LISTENERS_MAX 16

/** Addresses listened on at once. */
#define PG_NET_LISTEN_MAX 16

/** Addresses we tell others. More do not fit into an identify message that every implementation takes. */
#define PG_NET_ADVERTISED_MAX 16

/** After a handler is done: how long the other side may take to finish its direction, and how much of it is thrown away. */
#define PG_NET_LINGER_MS 10000
#define PG_NET_LINGER_BYTES_MAX (1024 * 1024)

/** Pause after the system ran out of descriptors or memory on accept. */
#define PG_NET_ACCEPT_PAUSE_MS 100

/** For a peer to hear that we go, before the connection is cut. */
#define PG_NET_FAREWELL_MS 1000

/** How often a host that stops looks whether the streams it opened have ended. */
#define PG_NET_DRAIN_LOOK_MS 50

// identify, ping, perf, echo

/** One identify message taken, and how many in a row are merged. As go-libp2p. */
#define PG_NET_IDENTIFY_BYTES_MAX 8192
#define PG_NET_IDENTIFY_MESSAGES_MAX 10

/** What one identify exchange may take from the heap: ten messages, their fields, and views of them. */
#define PG_NET_IDENTIFY_MEMORY_BYTES_MAX (1024 * 1024)

/** An identify message sent. rust-libp2p refuses longer ones. */
#define PG_NET_IDENTIFY_SEND_BYTES_MAX 4096

/** A whole identify exchange. js-libp2p gives 5 s. */
#define PG_NET_IDENTIFY_TIMEOUT_MS 5000

/** Changes of addresses or protocols within this time are pushed to the peers together. */
#define PG_NET_PUSH_DELAY_MS 200

/** Inbound ping streams of one connection; the specification asks for two. */
#define PG_NET_PING_STREAMS_MAX 2

/** A ping stream with no ping for so long is closed. */
#define PG_NET_PING_IDLE_MS 60000

/** One answer to a ping. */
#define PG_NET_PING_REPLY_MS 10000

/** perf and echo: streams of one connection, and how long one may make no progress. */
#define PG_NET_PERF_STREAMS_MAX 4
#define PG_NET_ECHO_STREAMS_MAX 1024
#define PG_NET_TRANSFER_IDLE_MS 30000

// The peer book

/** Addresses of one peer. */
#define PG_NET_BOOK_ADDRS_MAX 16

/** Protocols of one peer that are remembered. kubo has about 30. */
#define PG_NET_BOOK_PROTOCOLS_MAX 128

/** Characters kept of the program a peer says it is. */
#define PG_NET_AGENT_BYTES_MAX 128

/** A signed peer record in its envelope. */
#define PG_NET_RECORD_BYTES_MAX 8192

/** How long an address told by its peer is believed, and one that was reached. */
#define PG_NET_BOOK_ADDR_TTL_MS (60 * 60 * 1000)
#define PG_NET_BOOK_REACHED_TTL_MS (24 * 60 * 60 * 1000)
