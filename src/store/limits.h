// SPDX-License-Identifier: Apache-2.0
// All limits of what a node keeps on disk, each with unit and reason.
//
// Layer: store.  Thread: any.
#pragma once

/** How long the copy from before a change of the database's version is kept, days: somebody who wants back knows by then. */
#define PG_DB_COPY_DAYS 30

/** The highest version that a copy's name may tell. */
#define PG_DB_COPY_VERSION_MAX 9999U

/** A block, bytes: what one message of a block exchange carries at most. */
#define PG_BLOCK_BYTES_MAX (4U << 20)

/** Blocks begin at multiples of this, the page of common file systems: a hole gives back whole pages. */
#define PG_BLOCK_UNIT_BYTES 4096U

/** The span of a pack file, bytes, holes included: few files, and a scan of one takes well under a second. */
#define PG_PACK_BYTES_MAX (256U << 20)

/** The least span, for tests: one largest block and its header. */
#define PG_PACK_BYTES_MIN (PG_BLOCK_BYTES_MAX + PG_BLOCK_UNIT_BYTES)

/** Pack files held open: far below the 1,024 descriptors a process usually has. */
#define PG_PACKS_OPEN_MAX 64U

/** How long a finished write waits for others, so that one sync serves all, milliseconds. */
#define PG_COMMIT_WAIT_MS 5

/** Pack files looked through at once when the index is rebuilt: as many as the I/O pool has threads. */
#define PG_SCAN_FIBERS 4U

/** The saved index, bytes: 46 a block, so 90 million blocks. */
#define PG_BLOCK_INDEX_FILE_BYTES_MAX (UINT64_C(4) << 30)
