// SPDX-License-Identifier: Apache-2.0
// The erasure code of an extent and the arithmetic that follows from it: how long a segment, its padding and its shards
// are, and which slot holds which shard. Not for: the coding itself (codec/rs.h).
//
// Layer: files.  Thread: any.  Spec: docs/protocols/files.md, sections "Segments" and "Slots".
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/err.h"
#include "base/str.h"

/** k data and m parity shards: any k of the n = k + m give the segment back. */
typedef struct pg_code {
    uint8_t data;   // k, 1..PG_CODE_SHARDS_MAX - 1
    uint8_t parity; // m, 1..PG_CODE_SHARDS_MAX - k
} pg_code;

/** The code used where nobody asks for another: ten hosts, any two may be lost. */
#define PG_CODE_DEFAULT ((pg_code){8, 2})

/** Return n = k + m, the number of shards of a segment and of slots of an extent. */
static inline unsigned pg_code_shards(pg_code code)
{
    return (unsigned) code.data + code.parity;
}

/** Check a code that came from outside. Errors: PG_ERR_INVALID with the range. */
PG_NODISCARD pg_err pg_code_check(unsigned data, unsigned parity);

/** Read "8+2". Errors: PG_ERR_INVALID. */
PG_NODISCARD pg_err pg_code_from_text(pg_str text, pg_code *out_code);

/** Return the plaintext bytes of a full segment under this code: 1 MiB for each data shard, at most 8 MiB. */
uint32_t pg_code_segment_bytes(pg_code code);

/** Return the most segments of `segment_bytes` that an extent of 1 GiB has. */
uint32_t pg_code_extent_segments(uint32_t segment_bytes);

/** Return the least number >= len of which only the upper bits are set (Padmé): it tells an observer O(log log len) bits of the
 *  length and costs at most 12 %. Source: Nikitin et al., "Reducing Metadata Leakage from Encrypted Files", 2019, section 4. */
uint64_t pg_padme(uint64_t len);

/** Return how long `stored_bytes` of a segment are with padding: Padmé, but at most `segment_bytes`; all of `segment_bytes` when `full`. */
uint32_t pg_segment_padded_bytes(uint32_t stored_bytes, uint32_t segment_bytes, bool full);

/** Return the length of each shard of a segment of `sealed_bytes` (padded plaintext and tag): a k-th part, rounded up to 64. */
uint32_t pg_code_shard_bytes(pg_code code, uint32_t sealed_bytes);

/** Return the slot that holds shard `shard` of segment `segment`. */
unsigned pg_code_slot_of_shard(pg_code code, uint32_t segment, unsigned shard);

/** Return the shard of segment `segment` that slot `slot` holds: (slot + segment) mod n. */
unsigned pg_code_shard_of_slot(pg_code code, uint32_t segment, unsigned slot);

/** Return how many holders may be lost together when the slots are dealt to `holders` (at least 1) as evenly as they can be:
 *  m divided by the most slots on one of them, rounded down. */
unsigned pg_code_survives(pg_code code, unsigned holders);
