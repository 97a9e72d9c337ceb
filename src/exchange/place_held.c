// SPDX-License-Identifier: Apache-2.0
#include <string.h>

#include "base/mem.h"
#include "exchange/limits.h"
#include "exchange/place_held_priv.h"
#include "runtime/random.h"
#include "store/block_header.h"
#include "store/limits.h"

#define BLOCKS_MIN 64U

// ---- Names

pg_held_name pg_held_name_of(const pg_cid *cid)
{
    pg_held_name name = {0};
    pg_multihash hash = pg_cid_multihash(cid);
    pg_bytes digest = pg_multihash_digest(&hash);
    pg_assert(digest.len == PG_HASH_BYTES);
    name.bytes[0] = (uint8_t) pg_multihash_code_of(&hash);
    memcpy(name.bytes + 1, digest.ptr, PG_HASH_BYTES);
    return name;
}

pg_cid pg_held_name_cid(const pg_held_name *name)
{
    pg_multihash hash = {0};
    pg_bytes digest = pg_bytes_make(name->bytes + 1, PG_HASH_BYTES);
    pg_err err = pg_multihash_make(name->bytes[0], digest, &hash);
    pg_assert(err == PG_OK);
    return pg_cid_make(PG_CID_CODEC_RAW, &hash);
}

uint64_t pg_held_space(uint32_t len)
{
    return (uint64_t) pg_block_units(len) * PG_BLOCK_UNIT_BYTES;
}

// ---- The table

void pg_held_init(pg_held *held)
{
    *held = (pg_held){.free_head = PG_HELD_NONE};
    pg_random_bytes(pg_mut_bytes_make(held->key.bytes, PG_KEY_BYTES));
}

void pg_held_deinit(pg_held *held)
{
    pg_map_cursor cursor = {0};
    while (pg_map_next(&held->uploaders, &cursor)) {
        pg_mfree(cursor.value);
    }
    pg_map_deinit(&held->uploaders);
    pg_buf_deinit(&held->gone);
    pg_mfree(held->blocks);
    pg_mfree(held->slots);
    *held = (pg_held){.free_head = PG_HELD_NONE};
}

static uint32_t slot_of(const pg_held *held, const pg_held_name *name)
{
    uint8_t hash[PG_HASH_BYTES];
    uint32_t value = 0;
    pg_blake3_keyed(&held->key, PG_BYTES_OF(name->bytes), hash);
    memcpy(&value, hash, sizeof(value));
    return value & (held->slot_count - 1);
}

static uint32_t slot_next(const pg_held *held, uint32_t slot)
{
    return (slot + 1) & (held->slot_count - 1);
}

pg_held_block *pg_held_at(const pg_held *held, uint32_t number)
{
    pg_assert(number < held->end && held->blocks[number].is_used);
    return &held->blocks[number];
}

static bool is_name(const pg_held *held, uint32_t number, const pg_held_name *name)
{
    return memcmp(held->blocks[number].name.bytes, name->bytes, sizeof(name->bytes)) == 0;
}

uint32_t pg_held_find(const pg_held *held, const pg_held_name *name)
{
    if (held->slot_count == 0) {
        return PG_HELD_NONE;
    }
    for (uint32_t slot = slot_of(held, name); held->slots[slot] != 0;
         slot = slot_next(held, slot)) {
        if (is_name(held, held->slots[slot] - 1, name)) {
            return held->slots[slot] - 1;
        }
    }
    return PG_HELD_NONE;
}

static void slot_fill(pg_held *held, uint32_t number)
{
    uint32_t slot = slot_of(held, &held->blocks[number].name);
    while (held->slots[slot] != 0) {
        slot = slot_next(held, slot);
    }
    held->slots[slot] = number + 1;
}

// Slots are at most two thirds full.
static pg_err slots_grow(pg_held *held)
{
    if ((uint64_t) held->count * 3 < (uint64_t) held->slot_count * 2) {
        return PG_OK;
    }
    uint32_t slot_count = held->slot_count == 0 ? 2 * BLOCKS_MIN : 2 * held->slot_count;
    uint32_t *slots = pg_calloc(slot_count, sizeof(*slots));
    if (slots == NULL) {
        return pg_fail(PG_ERR_NOMEM, "no memory for a table of %u blocks", held->count);
    }
    pg_mfree(held->slots);
    held->slots = slots;
    held->slot_count = slot_count;
    for (uint32_t i = 0; i < held->end; i++) {
        if (held->blocks[i].is_used) {
            slot_fill(held, i);
        }
    }
    return PG_OK;
}

static pg_err blocks_grow(pg_held *held)
{
    if (held->count >= PG_PLACE_BLOCKS_MAX) {
        return pg_fail(PG_ERR_LIMIT, "%u blocks are kept for others, as many as may be",
                       held->count);
    }
    if (held->free_head != PG_HELD_NONE || held->end < held->cap) {
        return PG_OK;
    }
    size_t cap = pg_max_size((size_t) held->cap + held->cap / 2, BLOCKS_MIN);
    pg_held_block *blocks = pg_realloc(held->blocks, cap * sizeof(*blocks));
    if (blocks == NULL) {
        return pg_fail(PG_ERR_NOMEM, "no memory for a table of %zu blocks", cap);
    }
    held->blocks = blocks;
    held->cap = (uint32_t) cap;
    return PG_OK;
}

// Empty a slot and move up those behind it that belong before it.
static void slot_empty(pg_held *held, uint32_t slot)
{
    uint32_t hole = slot;
    for (uint32_t at = slot_next(held, hole); held->slots[at] != 0; at = slot_next(held, at)) {
        uint32_t home = slot_of(held, &held->blocks[held->slots[at] - 1].name);
        uint32_t mask = held->slot_count - 1;
        if (((at - home) & mask) >= ((at - hole) & mask)) {
            held->slots[hole] = held->slots[at];
            hole = at;
        }
    }
    held->slots[hole] = 0;
}

// ---- The account

static void account(pg_held *held, const pg_held_block *block, bool add)
{
    uint64_t *sum = block->leases > 0 ? &held->lease_bytes : &held->stray_bytes;
    uint64_t space = pg_held_space(block->len);
    pg_assert(add || *sum >= space);
    *sum = add ? *sum + space : *sum - space;
    if (block->owner != NULL) {
        block->owner->bytes = add ? block->owner->bytes + space : block->owner->bytes - space;
    }
}

pg_err pg_held_add(pg_held *held, const pg_held_name *name, uint32_t len, pg_uploader *owner,
                   uint32_t *out_number)
{
    PG_TRY(blocks_grow(held));
    PG_TRY(slots_grow(held));
    uint32_t number = held->free_head;
    if (number == PG_HELD_NONE) {
        number = held->end++;
    } else {
        held->free_head = held->blocks[number].len;
    }
    held->blocks[number] =
        (pg_held_block){.name = *name, .is_used = true, .len = len, .owner = owner};
    held->count++;
    slot_fill(held, number);
    account(held, &held->blocks[number], true);
    *out_number = number;
    return PG_OK;
}

void pg_held_set_len(pg_held *held, uint32_t number, uint32_t len)
{
    pg_held_block *block = pg_held_at(held, number);
    account(held, block, false);
    block->len = len;
    account(held, block, true);
}

void pg_held_own(pg_held *held, uint32_t number, pg_uploader *owner)
{
    pg_held_block *block = pg_held_at(held, number);
    if (block->owner == NULL) {
        account(held, block, false);
        block->owner = owner;
        account(held, block, true);
    }
}

void pg_held_lease(pg_held *held, uint32_t number)
{
    pg_held_block *block = pg_held_at(held, number);
    account(held, block, false);
    block->leases++;
    account(held, block, true);
    block->is_doomed = false;
    block->is_changed = block->is_saved; // no stray any more
}

bool pg_held_unlease(pg_held *held, uint32_t number)
{
    pg_held_block *block = pg_held_at(held, number);
    pg_assert(block->leases > 0);
    account(held, block, false);
    block->leases--;
    account(held, block, true);
    if (block->leases > 0) {
        return false;
    }
    block->is_doomed = block->wants == 0;
    block->is_changed = true;
    return true;
}

static void block_remove(pg_held *held, uint32_t number)
{
    pg_held_block *block = pg_held_at(held, number);
    pg_uploader *owner = block->owner;
    uint32_t slot = slot_of(held, &block->name);
    while (held->slots[slot] != number + 1) {
        slot = slot_next(held, slot);
    }
    slot_empty(held, slot);
    account(held, block, false);
    if (block->is_saved) {
        pg_ignore(pg_buf_append(&held->gone, PG_BYTES_OF(block->name.bytes)),
                  "a row without a block is removed at the next start");
    }
    *block = (pg_held_block){.len = held->free_head};
    held->free_head = number;
    held->count--;
    if (owner != NULL) {
        pg_uploader_settle(held, owner);
    }
}

void pg_held_settle(pg_held *held, uint32_t number)
{
    const pg_held_block *block = pg_held_at(held, number);
    if (!block->is_present && block->leases == 0 && block->pins == 0) {
        block_remove(held, number);
    }
}

void pg_held_unpin(pg_held *held, uint32_t number)
{
    pg_held_block *block = pg_held_at(held, number);
    pg_assert(block->pins > 0);
    block->pins--;
    pg_held_settle(held, number);
}

// ---- Uploaders

pg_err pg_uploader_get(pg_held *held, const pg_peer_id *peer, pg_uploader **out_uploader)
{
    pg_uploader *uploader = pg_map_get(&held->uploaders, pg_peer_id_bytes(peer));
    if (uploader == NULL) {
        uploader = PG_NEW(pg_uploader);
        if (uploader == NULL) {
            return pg_fail(PG_ERR_NOMEM, "no memory for an uploader");
        }
        uploader->peer = *peer;
        pg_err err = pg_map_add(&held->uploaders, pg_peer_id_bytes(peer), uploader);
        if (err != PG_OK) {
            pg_mfree(uploader);
            return err;
        }
    }
    *out_uploader = uploader;
    return PG_OK;
}

void pg_uploader_settle(pg_held *held, pg_uploader *uploader)
{
    if (uploader->bytes == 0 && uploader->leases == 0 && uploader->sessions == 0 &&
        uploader->body_bytes == 0) {
        (void) pg_map_take(&held->uploaders, pg_peer_id_bytes(&uploader->peer));
        pg_mfree(uploader);
    }
}
