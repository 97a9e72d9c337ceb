// SPDX-License-Identifier: Apache-2.0
// From the blocks of a file back to its bytes, in order, with bounded memory and on all cores. Knows nothing of disks and networks:
// the caller finds the blocks and takes the bytes. Any k of the n shards of a segment are enough; a shard that fails its digest is
// named and replaced by another.
//
// Layer: files.  Thread: loop thread only.  Spec: docs/protocols/files.md
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/bytes.h"
#include "base/err.h"
#include "codec/cid.h"
#include "files/descriptor.h"
#include "files/extents.h"
#include "files/link.h"
#include "files/root.h"
#include "files/segment.h"

/** A wish for shards of one segment. All is borrowed for the call. */
typedef struct pg_shards_want {
    const pg_descriptor *descriptor; // code, digests, extent id
    uint64_t extent;                 // number of the extent in its level, for messages
    uint32_t segment;
    uint32_t shard_bytes;
    unsigned need;      // how many to give if it can, 1..n
    pg_shard_set tried; // not these: they were given or found absent before
    uint8_t *shards;    // shards[n][shard_bytes]: shard i goes to row i
} pg_shards_want;

/** What was wrong with a shard. */
typedef enum pg_shard_fault {
    PG_SHARD_FAULT_ABSENT,
    PG_SHARD_FAULT_CORRUPT,
} pg_shard_fault;

/** One shard that could not be used. */
typedef struct pg_shard_problem {
    pg_shard_fault fault;
    uint32_t level;
    uint64_t extent;
    uint32_t segment;
    unsigned shard;
    unsigned slot;
    pg_cid cid;
} pg_shard_problem;

/** Where the blocks come from. Calls may come from several fibers, and may park; an error ends the decoding. */
typedef struct pg_files_store {
    /** Append a root or descriptor to `out`, which limits its length; the bytes match the CID. `extent` is whose descriptor it is, with its
     *  hints; NULL for the root. Errors: PG_ERR_MISSING and others. */
    pg_err (*get_block)(const pg_cid *cid, const pg_extent *extent, pg_buf *out, void *user);
    /** Fill rows of want->shards. *out_got are those filled, checked or not; *out_absent those looked for in vain.
     *  That a shard is absent is no error; when nothing is got or absent, the rest counts as absent. */
    pg_err (*get_shards)(const pg_shards_want *want, pg_shard_set *out_got,
                         pg_shard_set *out_absent, void *user);
    /** What get_shards fills is as its digests say, so that it is not hashed once more. */
    bool is_verified;
    /** Hear of a shard that is absent or fails its digest. Does not park. NULL = not interested. */
    void (*problem)(const pg_shard_problem *problem, void *user);
    void *user;
} pg_files_store;

/** Where the bytes go. All calls come from one fiber; an error ends the decoding. */
typedef struct pg_files_output {
    /** Hear what the root says, before the first byte. NULL = not interested. */
    pg_err (*begin)(const pg_root *root, void *user);
    /** Take the next bytes, borrowed for the call. May park. */
    pg_err (*write)(pg_bytes bytes, void *user);
    void *user;
} pg_files_output;

/** Decode a file from byte `start` on, and give its bytes in order. Holds up to PG_LANES_MAX segments. Parks: yes.
 *  start    0, or where an earlier run got to, up to the end; segments before it are not fetched
 *  Errors   PG_ERR_KEY (wrong key), PG_ERR_MISSING (fewer than k shards of a segment, which are named), PG_ERR_CORRUPT,
 *           PG_ERR_MALFORMED, PG_ERR_UNSUPPORTED, PG_ERR_LIMIT, PG_ERR_INVALID (start is beyond the end), PG_ERR_NOMEM,
 *           PG_ERR_CANCELLED, those of the callbacks */
PG_NODISCARD pg_err pg_files_decode_stream(const pg_link *link, uint64_t start,
                                           const pg_files_store *store,
                                           const pg_files_output *output);

/** Fetch and open the root of a file, its list of extents brought to level 0 whatever its length. End *out_root with pg_root_deinit.
 *  Parks: yes. Errors as pg_files_decode_stream. */
PG_NODISCARD pg_err pg_files_decode_root(const pg_link *link, const pg_files_store *store,
                                         pg_root *out_root);
