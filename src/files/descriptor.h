// SPDX-License-Identifier: Apache-2.0
// The descriptor of an extent. Its public part tells whoever holds it, without any key, how to check and repair the shards: code,
// extent id, lease key, shard lengths and digests. Its sealed part tells the reader how to open the segments.
//
// Layer: files.  Thread: any, one object at a time.  Spec: docs/protocols/files.md, section "Descriptor".
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/bytes.h"
#include "base/err.h"
#include "crypto/aead.h"
#include "crypto/hash.h"
#include "crypto/secret.h"
#include "files/code.h"

#define PG_EXTENT_ID_BYTES 32
#define PG_LEASE_KEY_BYTES 32

/** The stored form of the segment is compressed with zstd. */
#define PG_SEGMENT_FLAG_ZSTD 1U
/** Padded to the full segment length, so that the length tells nothing. */
#define PG_SEGMENT_FLAG_FULL 2U
#define PG_SEGMENT_FLAGS_KNOWN (PG_SEGMENT_FLAG_ZSTD | PG_SEGMENT_FLAG_FULL)

/** What is known of one segment. */
typedef struct pg_segment_info {
    uint32_t shard_bytes;  // public: multiple of PG_SHARD_UNIT_BYTES
    uint32_t plain_bytes;  // the rest is sealed; zero until opened
    uint32_t stored_bytes; // after compression, without padding
    uint32_t flags;        // PG_SEGMENT_FLAG_*
    uint8_t nonce[PG_AEAD_NONCE_BYTES];
} pg_segment_info;

/** A descriptor in memory. The all-zero value is an ended one. */
typedef struct pg_descriptor {
    pg_code code;
    uint8_t extent_id[PG_EXTENT_ID_BYTES];
    bool has_lease_key;
    bool is_open; // the sealed fields of the segments are valid
    uint8_t lease_key[PG_LEASE_KEY_BYTES];
    uint32_t segment_bytes; // plaintext of every segment but the last
    uint32_t segment_count;
    uint32_t segment_max;
    pg_segment_info *segments;         // [segment_max]
    uint8_t (*digests)[PG_HASH_BYTES]; // [segment_max][n], BLAKE3 of each shard
    pg_buf public_part;                // as it was read; empty in one being built
    pg_buf sealed;
    uint8_t nonce[PG_AEAD_NONCE_BYTES]; // of the sealed part
} pg_descriptor;

/** Begin one of up to `segment_max` segments, to be filled by pg_descriptor_add. End it with pg_descriptor_deinit.
 *  Errors: PG_ERR_NOMEM. */
PG_NODISCARD pg_err pg_descriptor_init(pg_descriptor *descriptor, pg_code code,
                                       uint32_t segment_bytes, uint32_t segment_max);

/** Forget the segments and the lease key and take a new extent id, to build the next one in the same memory. */
void pg_descriptor_reset(pg_descriptor *descriptor, const uint8_t extent_id[PG_EXTENT_ID_BYTES]);

/** Free. NULL and the all-zero value are fine. */
void pg_descriptor_deinit(pg_descriptor *descriptor);

/** Add the next segment with the digests of its n shards, one after the other; there must be room. */
void pg_descriptor_add(pg_descriptor *descriptor, const pg_segment_info *info,
                       const uint8_t *digests);

/** Return the digest of a shard, PG_HASH_BYTES long. Borrowed. */
const uint8_t *pg_descriptor_digest(const pg_descriptor *descriptor, uint32_t segment,
                                    unsigned shard);

/** Return the plaintext bytes of the extent; it must be open. */
uint64_t pg_descriptor_plain_bytes(const pg_descriptor *descriptor);

/** Encode the block.
 *  file_key, level   of the file, and of the extent in its tree (0 = the file itself)
 *  nonce             never used before with this extent id
 *  out               appended to
 *  Errors: PG_ERR_NOMEM, PG_ERR_LIMIT (more than PG_DESCRIPTOR_BYTES_MAX). */
PG_NODISCARD pg_err pg_descriptor_encode(const pg_descriptor *descriptor, const pg_key *file_key,
                                         uint32_t level, const uint8_t nonce[PG_AEAD_NONCE_BYTES],
                                         pg_buf *out);

/** Read the public part of a block; needs no key. End *out_descriptor with pg_descriptor_deinit.
 *  Errors: PG_ERR_LIMIT, PG_ERR_MALFORMED, PG_ERR_UNSUPPORTED (version, named), PG_ERR_NOMEM. */
PG_NODISCARD pg_err pg_descriptor_decode(pg_bytes in, pg_descriptor *out_descriptor);

/** Unseal the rest of a descriptor that was read and check it against the public part.
 *  Errors: PG_ERR_CORRUPT (does not open with this key and level), PG_ERR_MALFORMED, PG_ERR_NOMEM. */
PG_NODISCARD pg_err pg_descriptor_open(pg_descriptor *descriptor, const pg_key *file_key,
                                       uint32_t level);
