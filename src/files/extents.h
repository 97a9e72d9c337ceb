// SPDX-License-Identifier: Apache-2.0
// The list of a file's extents, as it stands in a root or, when too long for one, in a file of its own. Kept encoded: it is
// written and read from front to back.
//
// Layer: files.  Thread: any.  Spec: docs/protocols/files.md, section "List of extents".
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/attr.h"
#include "base/bytes.h"
#include "base/err.h"
#include "codec/cid.h"
#include "files/limits.h"

/** One extent in a list. */
typedef struct pg_extent {
    pg_cid descriptor;                  // raw, BLAKE3
    uint64_t plain_bytes;               // 1..PG_EXTENT_BYTES_MAX
    size_t host_count;                  // hints: who held a slot when the list was written
    pg_bytes hosts[PG_CODE_SHARDS_MAX]; // PeerIds, 1..PG_HOST_ID_BYTES_MAX bytes each; borrowed
} pg_extent;

/** Append an extent to an encoded list. Errors: PG_ERR_NOMEM, PG_ERR_LIMIT. */
PG_NODISCARD pg_err pg_extents_append(pg_buf *list, const pg_extent *extent);

/** Take the first extent off an encoded list of foreign origin.
 *  list    what is left of the list; moved forward on PG_OK; not empty
 *  arena   owns what out_extent->hosts show
 *  Errors: PG_ERR_MALFORMED, PG_ERR_LIMIT, PG_ERR_NOMEM */
PG_NODISCARD pg_err pg_extents_take(pg_bytes *list, pg_arena *arena, pg_extent *out_extent);

/** Check every extent of a list and sum up their plaintext. Errors as pg_extents_take. */
PG_NODISCARD pg_err pg_extents_sum(pg_bytes list, uint64_t *out_plain_bytes);

/** Read a CID that must name one of our blocks: raw, BLAKE3. Errors: PG_ERR_MALFORMED. */
PG_NODISCARD pg_err pg_block_cid_decode(pg_bytes in, pg_cid *out_cid);

/** Make the CID of a block from its BLAKE3 digest. */
pg_cid pg_block_cid_of_digest(const uint8_t digest[32]);

/** Make the CID of a block's bytes. */
pg_cid pg_block_cid(pg_bytes block);
