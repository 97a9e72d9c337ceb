// SPDX-License-Identifier: Apache-2.0
// What the placement protocol has to know of a descriptor, as a table of functions: the formats of files stand above this room and
// are given to it. A host needs no key for any of it.
//
// Layer: exchange.  Thread: loop thread only.
#pragma once

#include <stdint.h>

#include "base/attr.h"
#include "base/bytes.h"
#include "base/err.h"
#include "codec/cid.h"
#include "crypto/public_key.h"

/** A descriptor that was read. The rest is its maker's. */
typedef struct pg_extent_view {
    uint8_t lease_key[PG_ED25519_PUBLIC_BYTES]; // whose grants count for it
    uint32_t slots;                             // n, 1..PG_PLACE_SLOTS_MAX
    uint32_t segments;                          // shards in each slot
} pg_extent_view;

/** How to read descriptors. */
typedef struct pg_extent_format {
    /** Read a descriptor block; freed by `free`. Errors: PG_ERR_MALFORMED, PG_ERR_UNSUPPORTED, PG_ERR_LIMIT, PG_ERR_NOMEM; PG_ERR_INVALID when
     *  it has no lease key. */
    pg_err (*read)(pg_bytes block, pg_extent_view **out_view);
    /** Tell which shard slot `slot` holds of segment `segment`, and its length. */
    void (*shard)(const pg_extent_view *view, uint32_t segment, uint32_t slot, pg_cid *out_cid,
                  uint32_t *out_bytes);
    void (*free)(pg_extent_view **view);
} pg_extent_format;
