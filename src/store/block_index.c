// SPDX-License-Identifier: Apache-2.0
#include <string.h>

#include "base/mem.h"
#include "store/block_index_priv.h"

#define ENTRIES_MIN 64U
#define ENTRIES_MAX (UINT32_C(1) << 31)

void pg_block_index_init(pg_block_index *index, const pg_key *key)
{
    *index = (pg_block_index){.key = *key, .free_head = PG_BLOCK_NONE};
}

void pg_block_index_deinit(pg_block_index *index)
{
    pg_mfree(index->entries);
    pg_mfree(index->slots);
    pg_key_wipe(&index->key);
    *index = (pg_block_index){.free_head = PG_BLOCK_NONE};
}

static uint32_t slot_of(const pg_block_index *index, uint8_t hash_code, const uint8_t *digest)
{
    uint8_t input[1 + PG_HASH_BYTES];
    uint8_t hash[PG_HASH_BYTES];
    uint32_t value = 0;
    input[0] = hash_code;
    memcpy(input + 1, digest, PG_HASH_BYTES);
    pg_blake3_keyed(&index->key, PG_BYTES_OF(input), hash);
    memcpy(&value, hash, sizeof(value));
    return value & (index->slot_count - 1);
}

static uint32_t slot_next(const pg_block_index *index, uint32_t slot)
{
    return (slot + 1) & (index->slot_count - 1);
}

pg_block_entry *pg_block_index_at(const pg_block_index *index, uint32_t number)
{
    pg_assert(number < index->entry_count);
    return &index->entries[number];
}

uint32_t pg_block_index_find(const pg_block_index *index, const pg_cid *cid)
{
    pg_multihash hash = pg_cid_multihash(cid);
    pg_bytes digest = pg_multihash_digest(&hash);
    uint8_t code = (uint8_t) pg_multihash_code_of(&hash);
    if (index->slot_count == 0) {
        return PG_BLOCK_NONE;
    }
    pg_assert(digest.len == PG_HASH_BYTES);
    for (uint32_t slot = slot_of(index, code, digest.ptr); index->slots[slot] != 0;
         slot = slot_next(index, slot)) {
        const pg_block_entry *entry = &index->entries[index->slots[slot] - 1];
        if (entry->hash_code == code && memcmp(entry->digest, digest.ptr, PG_HASH_BYTES) == 0) {
            return index->slots[slot] - 1;
        }
    }
    return PG_BLOCK_NONE;
}

static void slot_fill(pg_block_index *index, uint32_t number)
{
    const pg_block_entry *entry = &index->entries[number];
    uint32_t slot = slot_of(index, entry->hash_code, entry->digest);
    while (index->slots[slot] != 0) {
        slot = slot_next(index, slot);
    }
    index->slots[slot] = number + 1;
}

// Slots are at most two thirds full.
static pg_err slots_grow(pg_block_index *index)
{
    if ((uint64_t) index->block_count * 3 < (uint64_t) index->slot_count * 2) {
        return PG_OK;
    }
    uint32_t slot_count = index->slot_count == 0 ? 2 * ENTRIES_MIN : 2 * index->slot_count;
    uint32_t *slots = pg_calloc(slot_count, sizeof(*slots));
    if (slots == NULL) {
        return pg_fail(PG_ERR_NOMEM, "no memory for an index of %u blocks", index->block_count);
    }
    pg_mfree(index->slots);
    index->slots = slots;
    index->slot_count = slot_count;
    for (uint32_t i = 0; i < index->entry_count; i++) {
        if (index->entries[i].state != PG_BLOCK_STATE_FREE) {
            slot_fill(index, i);
        }
    }
    return PG_OK;
}

// Entries grow by a half: that many bytes stand unused at worst.
static pg_err entries_grow(pg_block_index *index)
{
    if (index->free_head != PG_BLOCK_NONE || index->entry_count < index->entry_cap) {
        return PG_OK;
    }
    if (index->entry_count >= ENTRIES_MAX) {
        return pg_fail(PG_ERR_LIMIT, "the store holds %u blocks, as many as it can", ENTRIES_MAX);
    }
    size_t cap = pg_max_size((size_t) index->entry_cap + index->entry_cap / 2, ENTRIES_MIN);
    cap = pg_min_size(cap, ENTRIES_MAX);
    pg_block_entry *entries = pg_realloc(index->entries, cap * sizeof(*entries));
    if (entries == NULL) {
        return pg_fail(PG_ERR_NOMEM, "no memory for an index of %zu blocks", cap);
    }
    index->entries = entries;
    index->entry_cap = (uint32_t) cap;
    return PG_OK;
}

static uint32_t number_take(pg_block_index *index)
{
    uint32_t number = index->free_head;
    if (number == PG_BLOCK_NONE) {
        return index->entry_count++;
    }
    index->free_head = index->entries[number].len;
    return number;
}

pg_err pg_block_index_add(pg_block_index *index, const pg_block_header *header,
                          pg_block_place place, pg_block_state state, uint32_t *out_number)
{
    PG_TRY(entries_grow(index));
    PG_TRY(slots_grow(index));
    pg_multihash hash = pg_cid_multihash(&header->cid);
    uint32_t number = number_take(index);
    pg_block_entry *entry = &index->entries[number];
    *entry = (pg_block_entry){
        .pack = place.pack,
        .len = header->len,
        .unit = (uint16_t) place.unit,
        .codec = (uint16_t) pg_cid_codec(&header->cid),
        .hash_code = (uint8_t) pg_multihash_code_of(&hash),
        .cid_version = (uint8_t) pg_cid_version(&header->cid),
        .state = (uint8_t) state,
    };
    memcpy(entry->digest, pg_multihash_digest(&hash).ptr, PG_HASH_BYTES);
    slot_fill(index, number);
    index->block_count++;
    *out_number = number;
    return PG_OK;
}

pg_cid pg_block_entry_cid(const pg_block_entry *entry)
{
    pg_multihash hash = {0};
    pg_cid cid = {0};
    pg_err err = pg_multihash_make(entry->hash_code, PG_BYTES_OF(entry->digest), &hash);
    if (err == PG_OK && entry->cid_version == 0) {
        err = pg_cid_make_v0(&hash, &cid);
    } else if (err == PG_OK) {
        cid = pg_cid_make(entry->codec, &hash);
    }
    pg_assert(err == PG_OK); // it was made of a CID
    return cid;
}

pg_block_place pg_block_entry_place(const pg_block_entry *entry)
{
    return (pg_block_place){entry->pack, entry->unit};
}

// Close the gap at `hole`: whatever was pushed past it by the probing moves back.
static void slots_close(pg_block_index *index, uint32_t hole)
{
    for (uint32_t slot = slot_next(index, hole); index->slots[slot] != 0;
         slot = slot_next(index, slot)) {
        const pg_block_entry *entry = &index->entries[index->slots[slot] - 1];
        uint32_t home = slot_of(index, entry->hash_code, entry->digest);
        uint32_t mask = index->slot_count - 1;
        if (((slot - home) & mask) >= ((slot - hole) & mask)) {
            index->slots[hole] = index->slots[slot];
            hole = slot;
        }
    }
    index->slots[hole] = 0;
}

void pg_block_index_remove(pg_block_index *index, uint32_t number)
{
    pg_block_entry *entry = pg_block_index_at(index, number);
    pg_assert(entry->state != PG_BLOCK_STATE_FREE);
    uint32_t slot = slot_of(index, entry->hash_code, entry->digest);
    while (index->slots[slot] != number + 1) {
        slot = slot_next(index, slot);
    }
    slots_close(index, slot);
    *entry = (pg_block_entry){.len = index->free_head};
    index->free_head = number;
    index->block_count--;
}
