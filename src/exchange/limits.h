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

/** Bytes of blocks on their way to one peer, beyond which its further wants wait. */
#define PG_BITSWAP_PENDING_BYTES_MAX (4U << 20)

/** A peer that took none of what was sent for so long is given up, milliseconds. */
#define PG_BITSWAP_IDLE_MS 30000

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

/** Receipts kept for one extent: one a slot, and some of hosts that left. */
#define PG_PLACE_RECEIPTS_MAX 64U

/** Shards that a refused commit names as missing. */
#define PG_PLACE_MISSING_MAX 64U
