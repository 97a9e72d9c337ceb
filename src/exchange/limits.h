// SPDX-License-Identifier: Apache-2.0
// All limits of the exchange of blocks, each with unit and reason.
//
// Layer: exchange.  Thread: any.
#pragma once

/** A block that Bitswap carries, bytes: what other implementations take. Our shards and descriptors stay below it. */
#define PG_BITSWAP_BLOCK_BYTES_MAX (2U << 20)

/** A Bitswap message, bytes, length prefix not counted: kubo's limit. */
#define PG_BITSWAP_MESSAGE_BYTES_MAX (4U << 20)

/** Entries of one wantlist message, and wants of one peer held at once: kubo keeps 1,024 too. */
#define PG_BITSWAP_WANTS_MAX 1024U

/** A CID in a message, bytes: what others take, four varints and a digest of 128 bytes. */
#define PG_BITSWAP_CID_BYTES_MAX 168U

/** Wants of all peers held at once, shared by those who want something: 8 MiB. As peers come they may be a few times as many, until the
 *  first ones have made room. */
#define PG_BITSWAP_WANTS_TOTAL_MAX 16384U

/** Streams of one connection on which we read messages at once: some open one for each message. */
#define PG_BITSWAP_STREAMS_MAX 128U

/** Blocks of one peer that came lately and are remembered, so that a second copy is no fault. */
#define PG_BITSWAP_DONE_MAX 64U

/** Bytes of blocks on their way to one peer, beyond which its further wants wait. */
#define PG_BITSWAP_PENDING_BYTES_MAX (4U << 20)

/** The same to all peers together: what is read from the disk and not yet sent. */
#define PG_BITSWAP_PENDING_TOTAL_BYTES_MAX (64U << 20)

/** Blocks read from the disk at once for one peer: small ones need some to be fast, large ones are bounded by their bytes. */
#define PG_BITSWAP_READS_MAX 8U

/** A peer that took none of what was sent for so long is given up, milliseconds. */
#define PG_BITSWAP_IDLE_MS 30000

/** While others wait for the memory that blocks to all peers may take, a peer that has been sent one message for so long is given up,
 *  milliseconds: about 100 kB/s. */
#define PG_BITSWAP_SLOW_MS 10000

/** What a message of ours carries beside one large block, bytes: wants, answers, small blocks. */
#define PG_BITSWAP_BATCH_BYTES_MAX (128U << 10)

/** A block up to this length is copied into the message, bytes: several share one. */
#define PG_BITSWAP_COPY_BYTES_MAX (16U << 10)

/** How much of a message is sent or received under one deadline of PG_BITSWAP_IDLE_MS, bytes: one batch of the muxer. */
#define PG_BITSWAP_PIECE_BYTES (256U << 10)

/** A stream of ours with nothing to send is closed after so long, milliseconds: js resets those on which nothing came for 10 s, and what
 *  we would send at that moment. */
#define PG_BITSWAP_STREAM_IDLE_MS 5000

/** A stream of a peer with no message is closed after so long, milliseconds: others keep theirs open. */
#define PG_BITSWAP_STREAM_QUIET_MS 600000

/** Buffers kept for the next blocks while some are on their way. */
#define PG_BITSWAP_SPARES_MAX 8U

/** Blocks of one peer being verified at once; more are not read meanwhile. */
#define PG_BITSWAP_VERIFY_MAX 4U

/** A peer that has a block and does not send it for so long is doubled by the next that has it, milliseconds. */
#define PG_BITSWAP_HEDGE_MS 5000

/** Blocks nobody asked for, or that are not what was asked for, which a peer may send before that is an offence, on each connection. */
#define PG_BITSWAP_FAULTS_MAX 16U

/** The head of a placement message, bytes: a grant or receipt is under 400, a commit may bring 32 receipts. */
#define PG_PLACE_HEAD_BYTES_MAX 16384U

/** A signed grant, receipt or release, bytes: the longest, a grant that names a root, has 236. */
#define PG_PLACE_SIGNED_BYTES_MAX 512U

/** CIDs of one ASK: a head holds no more. Longer lists take several. */
#define PG_PLACE_ASK_MAX 256U

/** Receipts of one COMMIT: one of each other host of the set. */
#define PG_PLACE_COMMIT_RECEIPTS_MAX 32U

/** Requests of one placement stream in work at once: enough for one sync to serve several. */
#define PG_PLACE_INFLIGHT_MAX 8U

/** Slots of an extent: the code has at most 32 shards (files/limits.h). */
#define PG_PLACE_SLOTS_MAX 32U

/** The furthest expiry a host takes, seconds from now: 60 days, as records have. */
#define PG_PLACE_EXPIRY_S_MAX (UINT64_C(60) * 24 * 3600)

/** What was pushed and never committed is kept so long after its last use, seconds. */
#define PG_PLACE_SESSION_S (UINT64_C(2) * 24 * 3600)

/** After its expiry a lease is kept so much longer, seconds: clocks differ, owners sleep. */
#define PG_PLACE_GRACE_S (UINT64_C(7) * 24 * 3600)

/** Nothing is deleted for so long after the clock stepped, seconds. */
#define PG_PLACE_CLOCK_S (UINT64_C(24) * 3600)

/** How far the wall clock may be from where a clock that cannot be set says it is, seconds; more is a step. */
#define PG_PLACE_STEP_S (UINT64_C(1) * 3600)

/** How far a sequence that a host names may be ahead of our clock, milliseconds as sequences are, ten years: a host that lied could else drive an owner to the
 *  end of the numbers, after which nothing can be renewed. */
#define PG_PLACE_SEQUENCE_AHEAD_MS (UINT64_C(3652) * 24 * 3600 * 1000)

/** Receipts kept for one extent: one a slot, and some of hosts that left. */
#define PG_PLACE_RECEIPTS_MAX 64U

/** Strangers to an extent that are told in a second how full a host is: each time it looks whether the extent is its own. */
#define PG_PLACE_FILLS_SECOND_MAX 32U

/** A full host, as hosts tell how full they are: percent. */
#define PG_PLACE_FILL_MAX 100U

/** Shards that a refused commit names as missing. */
#define PG_PLACE_MISSING_MAX 64U

/** Blocks kept for others: 64 bytes of memory each here and as much in the block store, so half a GiB; at 1 MiB each they are 4 TiB. */
#define PG_PLACE_BLOCKS_MAX (1U << 22)

/** Leases of a host, and of those that one uploader committed: a lease of a shared block takes no quota, but 300 bytes of database. */
#define PG_PLACE_LEASES_MAX (1U << 20)
#define PG_PLACE_PEER_LEASES_MAX (1U << 18)

/** Dropped leases that are remembered against replay; beyond, those that could be replayed the shortest time are forgotten. */
#define PG_PLACE_TOMBS_MAX (1U << 18)

/** Shards in one slot that a host takes, as many as an extent has segments (files/limits.h). */
#define PG_PLACE_SEGMENTS_MAX 1024U

/** Upload sessions of one peer at once, and of all: one more ends the one that has been idle longest. */
#define PG_PLACE_PEER_SESSIONS_MAX 8U
#define PG_PLACE_SESSIONS_MAX 256U

/** A session that was idle for less is not ended for another, milliseconds. */
#define PG_PLACE_SESSION_GRACE_MS 10000

/** Streams of one connection, sessions and short ones. */
#define PG_PLACE_STREAMS_MAX 16U

/** Bytes of blocks that are being received and written, of all peers and of one: a full window of one stream is 8 blocks of up to 2 MiB. */
#define PG_PLACE_BODIES_BYTES_MAX ((size_t) 32 << 20)
#define PG_PLACE_PEER_BODIES_BYTES_MAX ((size_t) 16 << 20)

/** Memory of large bodies that is kept for the next while a session is open: as many as one stream has under way. Taking 1 MiB anew from the
 *  system each time costs a push 7 % of its CPU time. */
#define PG_PLACE_SPARES_MAX 8U
#define PG_PLACE_SPARE_BYTES_MIN ((size_t) 512 << 10)

/** Commits that are being worked on, each with its descriptor and a list of up to 32,768 blocks in memory; others wait. */
#define PG_PLACE_COMMITS_MAX 4U

/** For the body of a block to come, whole, milliseconds: 1 MiB at 140 kbit/s. */
#define PG_PLACE_BODY_MS 60000

/** For a peer to take a response, milliseconds. */
#define PG_PLACE_WRITE_MS 30000

/** A stream on which nothing was asked for so long is ended, milliseconds. */
#define PG_PLACE_IDLE_MS (15 * 60 * 1000)

/** The same inside of a session: as long as a source may be silent. Whoever needs its place ends it sooner (PG_PLACE_SESSIONS_MAX). */
#define PG_PLACE_SESSION_IDLE_MS (24 * 60 * 60 * 1000)

/** For memory, or for the turn of a commit, milliseconds; then the host is busy. */
#define PG_PLACE_TURN_MS 20000

/** Extents of which slots are being handed over at once: by leaving, and by rebalancing. */
#define PG_PLACE_LEAVING_MAX 8U

/** Claims that are looked into at once, of all peers and of one, and in a minute: each has the hosts of an extent asked. */
#define PG_PLACE_CLAIMS_MAX 4U
#define PG_PLACE_PEER_CLAIMS_MAX 2U
#define PG_PLACE_CLAIMS_MINUTE_MAX 240U

/** What looking into a claim may take, milliseconds: less than who repairs waits (PG_GUARD_COMMIT_MS). */
#define PG_PLACE_CLAIM_MS 110000

/** Claims that were refused are remembered for so long, milliseconds, and so many: asking again costs nobody anything. */
#define PG_PLACE_REFUSED_MS (60 * 1000)
#define PG_PLACE_REFUSED_MAX 256U

/** Between two sweeps, milliseconds. */
#define PG_PLACE_SWEEP_MS (60 * 60 * 1000)

/** The newest grant is looked up when a lease ends within so many seconds, as long as it is kept beyond that. */
#define PG_PLACE_LOOK_AHEAD_S (UINT64_C(24) * 3600)

/** After the start, and between two rounds of looking, milliseconds; leases of one round. */
#define PG_PLACE_LOOK_FIRST_MS (10 * 60 * 1000)
#define PG_PLACE_LOOK_MS (6 * 60 * 60 * 1000)
#define PG_PLACE_LOOKS_MAX 256

/** Blocks deleted at once: one sync serves them. */
#define PG_PLACE_DELETES_MAX 8U
