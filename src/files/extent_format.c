// SPDX-License-Identifier: Apache-2.0
#include "files/extent_format.h"

#include <string.h>

#include "base/mem.h"
#include "files/descriptor.h"
#include "files/extents.h"

/** A descriptor behind the view that the protocol sees. */
typedef struct view {
    pg_extent_view base; // first
    pg_descriptor descriptor;
} view;

static void view_free(pg_extent_view **base)
{
    view *dead = (view *) *base;
    if (dead != NULL) {
        pg_descriptor_deinit(&dead->descriptor);
        pg_mfree(dead);
    }
    *base = NULL;
}

static pg_err view_read(pg_bytes block, pg_extent_view **out_view)
{
    view *made = PG_NEW(view);
    if (made == NULL) {
        return PG_ERR_NOMEM;
    }
    pg_extent_view *base = &made->base;
    pg_err err = pg_descriptor_decode(block, &made->descriptor);
    if (err == PG_OK && !made->descriptor.has_lease_key) {
        err = pg_fail(PG_ERR_INVALID, "the descriptor has no lease key");
    }
    if (err != PG_OK) {
        view_free(&base);
        return err;
    }
    memcpy(base->lease_key, made->descriptor.lease_key, sizeof(base->lease_key));
    base->slots = pg_code_shards(made->descriptor.code);
    base->segments = made->descriptor.segment_count;
    *out_view = base;
    return PG_OK;
}

static void view_shard(const pg_extent_view *base, uint32_t segment, uint32_t slot, pg_cid *out_cid,
                       uint32_t *out_bytes)
{
    const pg_descriptor *descriptor = &((const view *) base)->descriptor;
    unsigned shard = pg_code_shard_of_slot(descriptor->code, segment, slot);
    *out_cid = pg_block_cid_of_digest(pg_descriptor_digest(descriptor, segment, shard));
    *out_bytes = descriptor->segments[segment].shard_bytes;
}

const pg_extent_format pg_files_extent_format = {view_read, view_shard, view_free};
