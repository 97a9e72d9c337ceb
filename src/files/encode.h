// SPDX-License-Identifier: Apache-2.0
// From a stream of bytes to the blocks of a file, with bounded memory and on all cores. Knows nothing of disks and networks: the
// caller gives the bytes and takes the blocks.
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
#include "crypto/secret.h"
#include "files/code.h"
#include "files/descriptor.h"
#include "files/extents.h"
#include "files/root.h"
#include "runtime/time.h"

/** One shard on its way out. */
typedef struct pg_shard {
    unsigned slot; // 0..n-1: one host, one slot
    pg_cid cid;
    pg_bytes bytes; // borrowed for the call
} pg_shard;

/** Where the bytes come from. */
typedef struct pg_files_source {
    /** Fill `space`, come to the end, or give what came until the deadline: *out_len may be short only then, and is 0 only at the end. With
     *  nothing at the deadline: PG_ERR_TIMEOUT. What is always there (a file, memory) need not look at it. May park. */
    pg_err (*read)(pg_mut_bytes space, pg_time deadline, size_t *out_len, void *user);
    void *user;
} pg_files_source;

/** Read *rest from memory, which goes on meanwhile. Both are borrowed as long as the source is used. */
pg_files_source pg_files_source_of(pg_bytes *rest);

/** Which segment of which extent shards belong to. Borrowed for the call. */
typedef struct pg_segment_place {
    const uint8_t *extent_id; // PG_EXTENT_ID_BYTES
    uint32_t level;
    uint32_t segment; // its number in the extent; 0 is the extent's first
} pg_segment_place;

/** What came of it. */
typedef struct pg_files_encoded {
    pg_cid root;
    uint64_t size_bytes;   // of the source
    uint64_t packed_bytes; // after compression
    uint64_t shards_bytes; // of all shards
    uint64_t shared_bytes; // of the descriptors and the root, which every host of a set holds whole
    uint64_t extents;
    uint64_t segments;
} pg_files_encoded;

/** Where an encoding stands after a segment or an extent: what it can be gone on from. Borrowed for the call. */
typedef struct pg_encode_state {
    const pg_files_encoded *totals; // but for the root
    pg_bytes list;                  // of the extents that are complete, encoded (extents.h)
    const pg_descriptor *open;      // the extent at hand, so far; NULL = none
} pg_encode_state;

/** Where the blocks go. But for place_shards all calls come from one fiber, in the order of the file; any may park; an error ends
 *  the encoding. */
typedef struct pg_files_sink {
    /** Take the n shards of one segment, each for the slot it names. */
    pg_err (*put_shards)(const pg_shard *shards, unsigned count, void *user);
    /** Take the descriptor of the extent whose shards came before it, for every host of the set. May set extent->hosts. */
    pg_err (*put_descriptor)(pg_bytes block, pg_extent *extent, void *user);
    /** Take the root, the last block. */
    pg_err (*put_root)(pg_bytes block, const pg_cid *cid, void *user);
    /** In place of put_shards, for what waits long: take the n shards of a segment as soon as it is coded. Called from several fibers at
     *  once, in no order, but always before the descriptor of the extent. NULL = put_shards is called. */
    pg_err (*place_shards)(const pg_segment_place *place, const pg_shard *shards, unsigned count,
                           void *user);
    /** Note where the encoding stands, whose blocks all were taken. Lists of extents that became files are not told. NULL = not wanted. */
    pg_err (*note)(const pg_encode_state *state, void *user);
    /** Hear how many bytes of the source are done. NULL = not interested. */
    void (*progress)(uint64_t plain_bytes, void *user);
    void *user;
} pg_files_sink;

/** How to encode. */
typedef struct pg_files_encoding {
    pg_code code;
    bool no_compress; // and pad every segment to the full length
    pg_file_kind kind;
    pg_bytes name;                    // empty = not told
    const pg_key *file_key;           // fresh for every file
    void (*random)(pg_mut_bytes out); // pg_random_bytes, or a test's
    /** Give the lease key of an extent. NULL = there is none, as in a set of folders. */
    pg_err (*lease_key)(const uint8_t extent_id[PG_EXTENT_ID_BYTES],
                        uint8_t out_key[PG_LEASE_KEY_BYTES], void *user);
    void *lease_user;
    /** Go on where an earlier encoding under the same key and code was noted; the source begins behind state->totals->size_bytes. NULL = begin. */
    const pg_encode_state *resume;
    // Smaller limits, for tests; 0 = those of limits.h.
    uint32_t segment_bytes;
    uint32_t extent_segments;
    uint32_t list_bytes; // of a list of extents in a root
} pg_files_encoding;

/** Encode a stream. Holds up to PG_LANES_MAX segments, fewer on few cores. An extent is closed at 1 GiB, or PG_EXTENT_MINUTES_MAX after its
 *  first byte came: with what came until then as a short last segment, also while the source is silent. Parks: yes.
 *  out_encoded  written only on PG_OK
 *  Errors       those of the callbacks, PG_ERR_INVALID (code or name), PG_ERR_NOMEM, PG_ERR_CANCELLED */
PG_NODISCARD pg_err pg_files_encode_stream(const pg_files_encoding *encoding,
                                           const pg_files_source *source, const pg_files_sink *sink,
                                           pg_files_encoded *out_encoded);
