// SPDX-License-Identifier: Apache-2.0
// One segment, from plaintext to shards and back: compress if it pays, pad, seal, code, digest. Everything about a segment is
// one call, so that it is one job of a worker. Owns the memory of one segment at a time. Not for: the order of segments
// (encode.h, decode.h).
//
// Layer: files.  Thread: one object at a time; the calls take milliseconds: run them on a worker.
// Spec: docs/protocols/files.md, section "Segments".
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/bytes.h"
#include "base/err.h"
#include "codec/rs.h"
#include "codec/zstd.h"
#include "crypto/aead.h"
#include "crypto/hash.h"
#include "crypto/secret.h"
#include "files/code.h"
#include "files/descriptor.h"
#include "files/limits.h"

/** A set of shards of one segment: bit i is shard i. */
typedef uint32_t pg_shard_set;

/** Memory and ciphers for one segment at a time. The all-zero value is an ended one. */
typedef struct pg_segment_coder {
    pg_code code;
    uint32_t segment_bytes;
    uint32_t level; // of the extent in its tree
    uint8_t extent_id[PG_EXTENT_ID_BYTES];
    pg_aead aead;
    pg_rs *rs;
    pg_zstd *zstd;
    uint8_t *plain;  // plain[segment_bytes]: what is to be sealed, or what was opened
    uint8_t *shards; // shards[n][shard_bytes of the segment], row-major
} pg_segment_coder;

/** Begin one for a code and a segment length; it takes n / k + 1 segments of memory and the compressor's 1 to 2 MiB.
 *  End it with pg_segment_coder_deinit. Errors: PG_ERR_NOMEM. */
PG_NODISCARD pg_err pg_segment_coder_init(pg_segment_coder *coder, pg_code code,
                                          uint32_t segment_bytes);

/** Choose the extent whose segments come next. */
void pg_segment_coder_choose(pg_segment_coder *coder, const pg_key *file_key,
                             const uint8_t extent_id[PG_EXTENT_ID_BYTES], uint32_t level);

/** Wipe and free. NULL and the all-zero value are fine. */
void pg_segment_coder_deinit(pg_segment_coder *coder);

/** View shard `shard` of the segment described by `info`. Borrowed until the next call on the coder. */
pg_mut_bytes pg_segment_shard(const pg_segment_coder *coder, const pg_segment_info *info,
                              unsigned shard);

/** Turn coder->plain into shards.
 *  segment    its number in the extent
 *  info       in: plain_bytes (1..segment_bytes), nonce (never used before with this extent id), and the flag FULL for neither
 *             compression nor a telling length; out: the rest
 *  out_digests  out_digests[n], BLAKE3 of each shard
 *  Errors: PG_ERR_NOMEM. coder->plain is used up. */
PG_NODISCARD pg_err pg_segment_seal(pg_segment_coder *coder, uint32_t segment,
                                    pg_segment_info *info, uint8_t (*out_digests)[PG_HASH_BYTES]);

/** Check shards against their digests, whose origin the caller trusts, and return those that fail. */
pg_shard_set pg_segment_find_corrupt(const pg_segment_coder *coder, const pg_descriptor *descriptor,
                                     uint32_t segment, pg_shard_set present);

/** Turn checked shards back into coder->plain; the descriptor is open and its extent chosen. Missing data shards are computed.
 *  present   at least k shards that passed pg_segment_find_corrupt
 *  Errors: PG_ERR_CORRUPT (does not open or decompress: the descriptor is wrong), PG_ERR_MISSING (fewer than k), PG_ERR_NOMEM */
PG_NODISCARD pg_err pg_segment_open(pg_segment_coder *coder, const pg_descriptor *descriptor,
                                    uint32_t segment, pg_shard_set present);
