// SPDX-License-Identifier: Apache-2.0
#include "files/rebuild.h"

#include <string.h>

#include "base/mem.h"
#include "codec/rs.h"
#include "crypto/hash.h"
#include "files/extents.h"
#include "files/limits.h"
#include "runtime/fiber.h"
#include "runtime/offload.h"

/** One segment in work. */
typedef struct work {
    const pg_rebuild *rebuild;
    pg_rs *rs;
    uint8_t *shards; // shards[n][PG_SHARD_BYTES_MAX]
    uint32_t segment;
    uint32_t shard_bytes;
    uint32_t have;   // bit i: row i is there
    uint32_t wanted; // bit i: row i is to be given
    uint64_t silent; // bit i: holder i gave no answer, and is not asked again
} work;

/** One shard being fetched. */
typedef struct fetch {
    work *work;
    unsigned shard;
} fetch;

static unsigned shards_of(const work *self)
{
    return pg_code_shards(self->rebuild->descriptor->code);
}

static uint8_t *row_of(const work *self, unsigned shard)
{
    return self->shards + (size_t) shard * PG_SHARD_BYTES_MAX;
}

static pg_cid cid_of(const work *self, unsigned shard)
{
    return pg_block_cid_of_digest(
        pg_descriptor_digest(self->rebuild->descriptor, self->segment, shard));
}

static bool row_take(work *self, unsigned shard, pg_bytes bytes)
{
    if (bytes.len != self->shard_bytes) {
        return false;
    }
    memcpy(row_of(self, shard), bytes.ptr, bytes.len);
    self->have |= (uint32_t) 1 << shard;
    return true;
}

static bool fetch_from(work *self, size_t number, const pg_cid *cid, pg_buf *block)
{
    const pg_rebuild *rebuild = self->rebuild;
    pg_err err = pg_bitswap_fetch(rebuild->bitswap, &rebuild->holders[number].peer, cid,
                                  pg_after(PG_MS(PG_FETCH_SHARD_MS)), block);
    if (err != PG_OK && err != PG_ERR_NOT_FOUND && err != PG_ERR_CORRUPT) {
        self->silent |= (uint64_t) 1 << number;
    }
    return err == PG_OK;
}

static bool fetch_from_holders(const fetch *self, const pg_cid *cid, pg_buf *block)
{
    const pg_rebuild *rebuild = self->work->rebuild;
    unsigned slot =
        pg_code_slot_of_shard(rebuild->descriptor->code, self->work->segment, self->shard);
    for (size_t i = 0; i < rebuild->holder_count; i++) {
        if ((rebuild->holders[i].slots >> slot & 1) != 0 && (self->work->silent >> i & 1) == 0 &&
            fetch_from(self->work, i, cid, block)) {
            return true;
        }
    }
    return false;
}

static pg_err fetch_run(void *arg)
{
    const fetch *self = arg;
    pg_buf block = {.max_len = PG_SHARD_BYTES_MAX};
    pg_cid cid = cid_of(self->work, self->shard);
    bool is_here = pg_block_store_has(self->work->rebuild->blocks, &cid, NULL) &&
                   pg_block_store_get(self->work->rebuild->blocks, &cid, &block) == PG_OK;
    if (is_here || fetch_from_holders(self, &cid, &block)) {
        (void) row_take(self->work, self->shard, pg_buf_bytes(&block));
    }
    pg_buf_deinit(&block);
    return pg_fiber_is_cancelled() ? PG_ERR_CANCELLED : PG_OK;
}

/** Fetch the shards of `set`, all at once; those that do not come are simply not there afterwards. */
static pg_err fetch_set(work *self, uint32_t set)
{
    fetch fetches[PG_CODE_SHARDS_MAX];
    pg_scope scope;
    pg_err err = PG_OK;
    pg_scope_init(&scope);
    for (unsigned i = 0; i < shards_of(self) && err == PG_OK; i++) {
        if ((set >> i & 1) != 0) {
            fetches[i] = (fetch){self, i};
            err = pg_scope_spawn(&scope, "files.rebuild", fetch_run, &fetches[i]);
        }
    }
    if (err != PG_OK) {
        pg_scope_close(&scope);
        return err;
    }
    return pg_scope_join(&scope);
}

static pg_err compute_job(void *arg)
{
    work *self = arg;
    const uint8_t *have[PG_CODE_SHARDS_MAX] = {NULL};
    uint8_t *want[PG_CODE_SHARDS_MAX] = {NULL};
    for (unsigned i = 0; i < shards_of(self); i++) {
        if ((self->have >> i & 1) != 0) {
            have[i] = row_of(self, i);
        } else if ((self->wanted >> i & 1) != 0) {
            want[i] = row_of(self, i);
        }
    }
    PG_TRY(pg_rs_reconstruct(self->rs, self->shard_bytes, have, want));
    for (unsigned i = 0; i < shards_of(self); i++) {
        uint8_t digest[PG_HASH_BYTES];
        if (want[i] == NULL) {
            continue;
        }
        pg_blake3(pg_bytes_make(want[i], self->shard_bytes), digest);
        if (memcmp(digest, pg_descriptor_digest(self->rebuild->descriptor, self->segment, i),
                   PG_HASH_BYTES) != 0) {
            return pg_fail(PG_ERR_CORRUPT, "segment %u: shard %u does not come out right",
                           self->segment, i);
        }
    }
    return PG_OK;
}

/** The last resort, for as many as are still needed. */
static pg_err fetch_spare(work *self)
{
    const pg_rebuild *rebuild = self->rebuild;
    const unsigned data = rebuild->descriptor->code.data;
    for (unsigned i = 0; i < data && (unsigned) __builtin_popcount(self->have) < data; i++) {
        pg_buf block = {.max_len = PG_SHARD_BYTES_MAX};
        pg_err err = (self->have >> i & 1) != 0
                         ? PG_ERR_NOT_FOUND
                         : rebuild->spare(self->segment, i, &block, rebuild->user);
        if (err == PG_OK) {
            (void) row_take(self, i, pg_buf_bytes(&block));
        }
        pg_buf_deinit(&block);
        PG_TRY(err == PG_ERR_CANCELLED ? err : PG_OK);
    }
    return PG_OK;
}

/** Compute what could not be fetched. */
static pg_err compute_missing(work *self)
{
    const pg_code code = self->rebuild->descriptor->code;
    uint32_t all = (uint32_t) (((uint64_t) 1 << shards_of(self)) - 1);
    uint32_t tried = self->wanted;
    while ((unsigned) __builtin_popcount(self->have) < code.data) {
        unsigned lack = code.data - (unsigned) __builtin_popcount(self->have);
        uint32_t next = 0;
        for (unsigned i = 0; i < shards_of(self) && lack > 0; i++) {
            if (((tried >> i) & 1) == 0) {
                next |= (uint32_t) 1 << i;
                lack--;
            }
        }
        if ((next == 0 || (tried & all) == all) && self->rebuild->spare != NULL) {
            PG_TRY(fetch_spare(self));
        }
        if ((unsigned) __builtin_popcount(self->have) >= code.data) {
            break;
        }
        if (next == 0 || (tried & all) == all) {
            return pg_fail(PG_ERR_MISSING, "segment %u: %d of %u shards can be had, %u are needed",
                           self->segment, __builtin_popcount(self->have), shards_of(self),
                           code.data);
        }
        tried |= next;
        PG_TRY(fetch_set(self, next));
    }
    return pg_offload(compute_job, self);
}

static pg_err segment_run(work *self, pg_slot_set slots)
{
    const pg_rebuild *rebuild = self->rebuild;
    self->have = 0;
    self->wanted = 0;
    self->shard_bytes = rebuild->descriptor->segments[self->segment].shard_bytes;
    for (unsigned slot = 0; slot < shards_of(self); slot++) {
        if ((slots >> slot & 1) != 0) {
            self->wanted |= (uint32_t) 1 << pg_code_shard_of_slot(rebuild->descriptor->code,
                                                                  self->segment, slot);
        }
    }
    PG_TRY(fetch_set(self, self->wanted));
    if ((self->wanted & ~self->have) != 0) {
        PG_TRY(compute_missing(self));
    }
    for (unsigned i = 0; i < shards_of(self); i++) {
        if ((self->wanted >> i & 1) != 0) {
            pg_cid cid = cid_of(self, i);
            PG_TRY(rebuild->give(pg_code_slot_of_shard(rebuild->descriptor->code, self->segment, i),
                                 &cid, pg_bytes_make(row_of(self, i), self->shard_bytes),
                                 rebuild->user));
        }
    }
    return PG_OK;
}

static pg_err segments_run(const pg_rebuild *rebuild, pg_slot_set slots, uint32_t first,
                           uint32_t end)
{
    pg_code code = rebuild->descriptor->code;
    work self = {.rebuild = rebuild};
    pg_assert(rebuild->holder_count <= 64);
    self.shards = pg_malloc((size_t) pg_code_shards(code) * PG_SHARD_BYTES_MAX);
    pg_err err = self.shards == NULL ? PG_ERR_NOMEM : pg_rs_new(code.data, code.parity, &self.rs);
    for (uint32_t g = first; g < end && err == PG_OK; g++) {
        self.segment = g;
        err = segment_run(&self, slots);
    }
    pg_rs_free(&self.rs);
    pg_mfree(self.shards);
    return err;
}

pg_err pg_rebuild_slots(const pg_rebuild *rebuild, pg_slot_set slots)
{
    return segments_run(rebuild, slots, 0, rebuild->descriptor->segment_count);
}

pg_err pg_rebuild_segment(const pg_rebuild *rebuild, pg_slot_set slots, uint32_t segment)
{
    pg_assert(segment < rebuild->descriptor->segment_count);
    return segments_run(rebuild, slots, segment, segment + 1);
}
