// SPDX-License-Identifier: Apache-2.0
// All limits of what a node keeps on disk, each with unit and reason.
//
// Layer: store.  Thread: any.
#pragma once

/** How long the copy from before a change of the database's version is kept, days: somebody who wants back knows by then. */
#define PG_DB_COPY_DAYS 30

/** The highest version that a copy's name may tell. */
#define PG_DB_COPY_VERSION_MAX 9999U

/** Room that a database keeps on its disk so that deleting works when that is full, bytes: for the log of removing a file of 1,000 extents, 1 TiB. */
#define PG_DB_ROOM_BYTES (1U << 20)

/** A block, bytes: what one message of a block exchange carries at most. */
#define PG_BLOCK_BYTES_MAX (4U << 20)

/** Blocks begin at multiples of this, the page of common file systems: a hole gives back whole pages. */
#define PG_BLOCK_UNIT_BYTES 4096U

/** The span of a pack file, bytes, holes included: few files, and a scan of one takes well under a second. */
#define PG_PACK_BYTES_MAX (256U << 20)

/** The least span, for tests: one largest block and its header. */
#define PG_PACK_BYTES_MIN (PG_BLOCK_BYTES_MAX + PG_BLOCK_UNIT_BYTES)

/** Pack files held open, two descriptors each: far below the 1,024 a process usually has. */
#define PG_PACKS_OPEN_MAX 64U

/** Reads that are remembered: a block that is read once more among the next so many is left to the system's cache. */
#define PG_BLOCKS_RECENT 1024U

/** How long a finished write waits for others, so that one sync serves all, milliseconds. */
#define PG_COMMIT_WAIT_MS 5

/** Pack files looked through at once when the index is rebuilt: as many as the I/O pool has threads. */
#define PG_SCAN_FIBERS 4U

/** The saved index, bytes: 46 a block, so 90 million blocks. */
#define PG_BLOCK_INDEX_FILE_BYTES_MAX (UINT64_C(4) << 30)

/** Exchanges with an S3-compatible store at once: what an upload and some readers need; each has a thread, which mostly waits. */
#define PG_S3_LINES 4U

/** Time for a connection with it, milliseconds. */
#define PG_S3_CONNECT_MS 15000

/** Time for one exchange, milliseconds: the largest object, 8 MiB and a little, at 64 KiB a second. */
#define PG_S3_TIMEOUT_MS 150000U

/** Silence after which an exchange is given up, seconds. */
#define PG_S3_SILENCE_S 30

/** What is read of an answer that tells of a failure, bytes: errors have some hundred. */
#define PG_S3_TROUBLE_BYTES_MAX 16384U

/** What is read of a page of a list, bytes: 1,000 names of ours take 300 KiB. */
#define PG_S3_PAGE_BYTES_MAX (4U << 20)

/** Pages of one list: 1,000 names each, so a million. */
#define PG_S3_PAGES_MAX 1000U

/** How often a request is tried in all, and how long is waited before the second try, milliseconds; it doubles, and half of it is chance. */
#define PG_S3_TRIES_MAX 5U
#define PG_S3_BACKOFF_MS 300
