// SPDX-License-Identifier: Apache-2.0
// Shards of an extent by its descriptor alone, without any key: from this node, from the host that holds the slot, or computed from k
// others. What slots move by, and what repair stands on.
//
// Layer: files.  Thread: loop thread only.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/err.h"
#include "exchange/bitswap.h"
#include "files/catalogue.h"
#include "files/descriptor.h"
#include "store/blocks.h"

/** Where shards may be, and where they go. */
typedef struct pg_rebuild {
    pg_bitswap *bitswap;
    pg_block_store *blocks; // of this node
    const pg_descriptor *descriptor;
    const pg_catalogue_holder
        *holders;        // holders[holder_count]: who can be asked, and for which slots
    size_t holder_count; // at most 64
    /** Append a data shard that no holder gives, verified; asked only when too few come from holders. NULL = there is no such place. */
    pg_err (*spare)(uint32_t segment, unsigned shard, pg_buf *out, void *user);
    /** Take one shard; called from one fiber. May park. An error ends it. */
    pg_err (*give)(unsigned slot, const pg_cid *cid, pg_bytes shard, void *user);
    void *user;
} pg_rebuild;

/** Give the shards of `slots`, segment by segment. Parks: yes.
 *  Errors: PG_ERR_MISSING (fewer than k shards of a segment could be had; it is named), those of `give`, PG_ERR_CANCELLED, PG_ERR_NOMEM. */
PG_NODISCARD pg_err pg_rebuild_slots(const pg_rebuild *rebuild, pg_slot_set slots);

/** Give those of one segment. Parks: yes. Errors likewise. */
PG_NODISCARD pg_err pg_rebuild_segment(const pg_rebuild *rebuild, pg_slot_set slots,
                                       uint32_t segment);
