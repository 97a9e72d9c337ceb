// SPDX-License-Identifier: Apache-2.0
// All limits of the room on one page: how wide lookups are, and what strangers may cost us, each with unit and reason.
//
// Layer: dht.  Thread: any.
#pragma once

// Kademlia's numbers, as the libp2p specification has them

/** Peers in a bucket, peers that keep a record, peers in an answer. */
#define PG_DHT_K 20

/** Requests of one lookup under way at once, slow ones not counted. */
#define PG_DHT_ALPHA 10

/** Answers that a mutable record is chosen from. */
#define PG_DHT_QUORUM 4

// The routing table

/** Buckets, by the number of bits shared with our own key; the last one takes all that share more. A network of 2^40 nodes fills 36. */
#define PG_DHT_BUCKETS 64

/** Peers that wait for a place in one bucket. */
#define PG_DHT_SPARES_MAX 8

/** Peers of one subnet (IPv4 /24, IPv6 /48) in one bucket, and in the whole table. Public addresses only. As go-libp2p, which has 2 and 3 of a /16. */
#define PG_DHT_BUCKET_GROUP_MAX 2
#define PG_DHT_TABLE_GROUP_MAX 8

/** Failures in a row after which a peer leaves the table. */
#define PG_DHT_FAILURES_MAX 2

/** A peer not heard of for so long is asked whether it is still there, and how many are asked in one round. */
#define PG_DHT_STALE_MS (10 * 60 * 1000)
#define PG_DHT_PROBES_MAX 4

// Lookups

/** Peers one lookup knows of. Forty answers' worth; beyond it the farthest is forgotten. */
#define PG_DHT_CANDIDATES_MAX 512

/** Requests of one lookup in all. A lookup in a network of a million nodes takes about 60. */
#define PG_DHT_LOOKUP_ASKS_MAX 160

/** Requests of one lookup under way at once, slow ones counted: a dozen liars with PG_DHT_TOLD_OPEN_MAX dead peers each do not fill it. */
#define PG_DHT_LOOKUP_INFLIGHT_MAX (5 * PG_DHT_ALPHA)

/** Peers of one subnet that count among the nearest of a lookup. */
#define PG_DHT_LOOKUP_GROUP_MAX 3

/** Where the nearest peers stand suspiciously close together, a lookup goes on outward to so many. */
#define PG_DHT_LOOKUP_WIDE_MAX (3 * PG_DHT_K)

/** Peers taken from one answer, addresses taken or told of one peer, and providers taken from one answer. */
#define PG_DHT_TOLD_MAX 24
#define PG_DHT_ADDRS_MAX 8
#define PG_DHT_TOLD_PROVIDERS_MAX 256

/** Peers told first by one peer that did not answer, before it is no longer believed. */
#define PG_DHT_TOLD_DEAD_MAX 3

/** Peers told by one peer alone that are asked at once, as long as none of them has answered. */
#define PG_DHT_TOLD_OPEN_MAX 4

/** When a request counts as slow and lets another one go beside it: three times the mean of the lookup, within these. */
#define PG_DHT_SLOW_MIN_MS 200
#define PG_DHT_SLOW_MAX_MS 1000

/** One request, the connection made for it included. */
#define PG_DHT_ASK_MS 5000

/** One lookup, unless the caller says less. */
#define PG_DHT_LOOKUP_MS 60000

/** Requests of all lookups under way at once; the next waits. With PG_DHT_REPLY_BYTES_MAX this bounds memory. */
#define PG_DHT_REQUESTS_MAX 128

/** Puts and announcements still under way to peers after their call had enough; beyond, calls wait for all. */
#define PG_DHT_BEHIND_MAX 256

/** How long an address heard of in an answer is remembered. As go-libp2p gives it time to be dialed, and some. */
#define PG_DHT_HEARSAY_TTL_MS (10 * 60 * 1000)

// Streams and messages

/** Streams kept open for the next request, and for how long. js-libp2p ends an idle one after 10 s. */
#define PG_DHT_IDLE_STREAMS_MAX 256
#define PG_DHT_IDLE_STREAM_MS 8000

/** A request from a peer. A record of the largest size, or 100 addresses of a provider, and room around it. */
#define PG_DHT_REQUEST_BYTES_MAX 32768

/** An answer taken. go-libp2p may send 4 MiB; 20 peers with 100 addresses each come to 200 KiB. */
#define PG_DHT_REPLY_BYTES_MAX (1024 * 1024)

/** A message sent: rust-libp2p refuses more than 16,384 bytes, the length in front included. */
#define PG_DHT_SEND_BYTES_MAX 16000

/** What reading one request, or one answer, may take from the heap beside the message. */
#define PG_DHT_REQUEST_MEMORY_BYTES_MAX (512 * 1024)
#define PG_DHT_REPLY_MEMORY_BYTES_MAX (4 * 1024 * 1024)

/** Streams served at once: of one connection, and in all. */
#define PG_DHT_CONN_STREAMS_MAX 32
#define PG_DHT_STREAMS_MAX 1024

/** Between two requests on a stream. As go-libp2p. */
#define PG_DHT_SERVE_IDLE_MS 60000

/** For one answer to leave. */
#define PG_DHT_SERVE_WRITE_MS 10000

// Records

/** A key of a record: namespace and name. */
#define PG_DHT_NAME_BYTES_MAX 512

/** The value of a record. */
#define PG_DHT_VALUE_BYTES_MAX 8192

/** The name of a feed, what it points with (a CID, and whom to ask for it), and a whole record: envelope and signature around it. */
#define PG_FEED_NAME_BYTES_MAX 64
#define PG_FEED_VALUE_BYTES_MAX 1024
#define PG_FEED_BYTES_MAX 1536

/** Namespaces with a validator. */
#define PG_DHT_VALIDATORS_MAX 32

/** Records kept for others: in all, and bytes of keys and values. */
#define PG_DHT_RECORDS_MAX 16384
#define PG_DHT_RECORD_BYTES_MAX (32 * 1024 * 1024)

/** Of these, put by one peer, and by one subnet (public addresses). */
#define PG_DHT_PEER_RECORDS_MAX 512
#define PG_DHT_GROUP_RECORDS_MAX 2048

/** Records live so long with us: local DHT, global DHT. */
#define PG_DHT_LOCAL_TTL_MS (INT64_C(30) * 24 * 3600 * 1000)
#define PG_DHT_GLOBAL_TTL_MS (INT64_C(60) * 24 * 3600 * 1000)

// Providers

/** The key of a provider: a multihash. As go-libp2p. */
#define PG_DHT_PROVIDER_KEY_BYTES_MAX 80

/** Provider entries kept: in all, of one key, of one key and subnet (public addresses), of one provider. */
#define PG_DHT_PROVIDERS_MAX 65536
#define PG_DHT_KEY_PROVIDERS_MAX 64
#define PG_DHT_KEY_GROUP_PROVIDERS_MAX 8
#define PG_DHT_PEER_PROVIDERS_MAX 16384

/** Providers whose addresses are kept. */
#define PG_DHT_PROVIDER_PEERS_MAX 8192

// On disk

/** Between two writes of what changed, rows in one transaction, and transactions of one time: at most 200 rows and one transaction a second. */
#define PG_DHT_KEEP_FLUSH_MS 5000
#define PG_DHT_KEEP_BATCH 256
#define PG_DHT_KEEP_BATCHES_MAX 4

// Upkeep

/** Between two rounds of upkeep: expiry, idle streams, stale peers. */
#define PG_DHT_UPKEEP_MS 10000

/** Between two refreshes of a bucket, and of the neighbourhood of our own key. */
#define PG_DHT_REFRESH_MS (10 * 60 * 1000)

/** After the first peer was met: time for more to come before the first lookup. */
#define PG_DHT_FIRST_LOOKUP_MS 100

/** Buckets beyond this are refreshed by the lookup of our own key alone: a name for the next would take 2^16 tries. */
#define PG_DHT_REFRESH_BUCKETS_MAX 15

/** What we published is published again after so long: others forget in 24 to 48 h. */
#define PG_DHT_REPUBLISH_MS (INT64_C(22) * 3600 * 1000)

/** What could not be published is tried again so many times sooner. */
#define PG_DHT_REPUBLISH_HASTE 40

/** How often we look whether something new is due. */
#define PG_DHT_PUBLISH_LOOK_MS (10 * 60 * 1000)

/** Values and keys we publish again. */
#define PG_DHT_PUBLISHED_MAX 65536

/** Of these, published again at the same time. */
#define PG_DHT_REPUBLISH_FIBERS 2

/** Distances that the size of the network is estimated from, and how many it takes. */
#define PG_DHT_DENSITY_SAMPLES 16
#define PG_DHT_DENSITY_SAMPLES_MIN 4
