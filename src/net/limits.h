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

/** One negotiation, from the first byte to the last, whatever trickles in meanwhile. On an open connection the answer may wait behind what
 *  was sent before it: as PG_NET_PING_BUSY_MS. That of a new connection ends with its upgrade. */
#define PG_NET_NEGOTIATE_TIMEOUT_MS 40000

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

/** The same where at least PG_NET_BUSY_BYTES left together not long before the ping, which then waits behind what the kernel has not sent yet:
 *  some 100 KiB, on a slow line to many peers. */
#define PG_NET_PING_BUSY_MS 40000
#define PG_NET_BUSY_BYTES (16U * 1024)

/** A connection on which nothing came for so long gives back its buffers, and what its fibers do not need of their stacks. */
#define PG_NET_IDLE_TRIM_MS 2000

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

/** An inbound connection is offered when the peer has used it, which takes a round trip; who wants the peer meanwhile waits so long,
 *  milliseconds, before it dials. */
#define PG_NET_PROOF_MS 2000

/** Older connections of a peer that came back have so long to answer, milliseconds: five losses in a row on a line of 200 ms. */
#define PG_NET_PROBE_MS 5000
#define PG_NET_LINGER_BYTES_MAX (1024 * 1024)

/** Pause after the system ran out of descriptors or memory on accept. */
#define PG_NET_ACCEPT_PAUSE_MS 100

/** For a peer to hear that we go, before the connection is cut. */
#define PG_NET_FAREWELL_MS 1000

/** How often a host that stops looks whether the streams it opened have ended, and how long nothing may move until it waits for them no more: longer
 *  than an answer of the other end of the world takes. */
#define PG_NET_DRAIN_LOOK_MS 50
#define PG_NET_DRAIN_QUIET_MS 500

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

// Finding peers on the link (mDNS)

/** A message taken. As RFC 6762, section 17. */
#define PG_NET_MDNS_MESSAGE_BYTES_MAX 9000

/** A message sent: fits a link's packets beside the heads of IPv6 and UDP. */
#define PG_NET_MDNS_SEND_BYTES_MAX 1400

/** Records of one message. A busy link's answers have some tens. */
#define PG_NET_MDNS_RECORDS_MAX 128

/** Addresses taken from one message: twice what a peer of ours tells. */
#define PG_NET_MDNS_ADDRS_MAX 32

/** Links, an interface and a family each, that are listened on at once. */
#define PG_NET_MDNS_LINKS_MAX 16

/** Between two questions on a link: from the first to the last it doubles. js-libp2p asks every 10 s; ours hear each other's answers,
 *  and each question of a newcomer. */
#define PG_NET_MDNS_ASK_MIN_MS 1000
#define PG_NET_MDNS_ASK_MAX_MS 60000

/** An answer waits so long, chosen at random, for others to answer too. As RFC 6762, section 6. */
#define PG_NET_MDNS_ANSWER_MIN_MS 20
#define PG_NET_MDNS_ANSWER_MAX_MS 120

/** Between two answers on a link. As RFC 6762, section 6. */
#define PG_NET_MDNS_ANSWER_PAUSE_MS 1000

/** Messages looked at on a link in a second; what is beyond is thrown away. */
#define PG_NET_MDNS_MESSAGES_PER_SECOND 200

/** Peers taken up in a minute that were not known before: whoever floods the link cannot fill the book. */
#define PG_NET_MDNS_PEERS_PER_MINUTE 32

/** How long an address heard on the link is believed: five questions. */
#define PG_NET_MDNS_ADDR_TTL_MS (5 * 60 * 1000)

/** How often the interfaces of this machine are looked at. */
#define PG_NET_MDNS_LOOK_MS 10000

// The connection manager

/** Between two looks at all connections, when nothing happens meanwhile. */
#define PG_NET_MANAGER_LOOK_MS 5000

/** Between two looks at the least, however much happens. */
#define PG_NET_MANAGER_PAUSE_MS 50

/** Dials of the manager in progress, and of these such to peers that are merely known. */
#define PG_NET_MANAGER_DIALS_MAX 8
#define PG_NET_MANAGER_DIALS_KNOWN_MAX 4

/** Between two dials to peers merely known, while anybody is connected; with nobody the waits after failures grow. */
#define PG_NET_MANAGER_KNOWN_PAUSE_MS 2000

/** Peers let go at one look. */
#define PG_NET_MANAGER_TRIMS_MAX 64

/** Peers waited for, of each kind: those found nearby or told by services, and those lost. */
#define PG_NET_MANAGER_FOUND_MAX 128
#define PG_NET_MANAGER_LOST_MAX 128

/** Dials to a lost peer before it is given up: with the growing waits about four minutes. */
#define PG_NET_MANAGER_REDIALS_MAX 8

/** A connection that lasted so long was no failure: the next waits begin anew. */
#define PG_NET_MANAGER_STABLE_MS 60000

/** A peer that ended a connection is not bothered for so long, unless it is wanted or worth it: it may be full. One that had
 *  stayed longer than that may have been started anew. */
#define PG_NET_MANAGER_REST_MS (10 * 60 * 1000)
#define PG_NET_MANAGER_REST_SHORT_MS 30000

/** Peers of which that is remembered. */
#define PG_NET_MANAGER_RESTING_MAX 1024

/** A peer worth it, with whom nothing happened for so long, is pinged; so many failures in a row end its connections. That a machine or a network is gone the
 *  muxer and QUIC find out within a minute: this finds programs that hang, whom those who ask them for something give up on sooner. */
#define PG_NET_MANAGER_PING_MS (5 * 60 * 1000)
#define PG_NET_MANAGER_PING_TIMEOUT_MS 15000
#define PG_NET_MANAGER_PING_FAILURES_MAX 2
#define PG_NET_MANAGER_PINGS_MAX 4

/** A second connection with one peer, unused for so long, is closed. */
#define PG_NET_MANAGER_SPARE_MS 60000

// Bootstrap peers

/** Peers of the list, and addresses of one. */
#define PG_NET_BOOTSTRAP_MAX 64
#define PG_NET_BOOTSTRAP_ADDRS_MAX 4

/** With fewer peers connected the list is used. */
#define PG_NET_BOOTSTRAP_PEERS_MIN 4

/** A peer of the list whose health is older than this is looked at again. */
#define PG_NET_BOOTSTRAP_CHECK_MS (30 * 60 * 1000)

/** One look: dial, handshake and ping. */
#define PG_NET_BOOTSTRAP_TIMEOUT_MS 30000

/** Between two looks, so that a long list is no burst of dials. */
#define PG_NET_BOOTSTRAP_PAUSE_MS 250

/** A connection made for a look stays so long, for the peer to finish getting acquainted. */
#define PG_NET_BOOTSTRAP_LINGER_MS 3000

// The peer store on disk

/** How long an address is remembered that was neither told again nor reached, and a peer that cannot do the hybrid handshake. */
#define PG_NET_STORE_AGE_MS (INT64_C(30) * 24 * 60 * 60 * 1000)

/** Between two saves of what has changed: what a crash may cost. */
#define PG_NET_STORE_SAVE_MS (5 * 60 * 1000)

/** Peers written in one transaction: 300 KiB of memory. */
#define PG_NET_STORE_BATCH 64
