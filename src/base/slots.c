// SPDX-License-Identifier: Apache-2.0
#include "base/slots.h"

#include "base/mem.h"

#define SLOTS_CAP_MIN 16u

struct pg_slot {
    void *object;        // NULL = free
    uint32_t generation; // counts the objects that lived here
    uint32_t next_free;  // 1-based
};

static pg_err slots_grow(pg_slots *slots)
{
    uint32_t cap = slots->cap == 0 ? SLOTS_CAP_MIN : slots->cap * 2;
    if (cap < slots->cap) {
        return pg_fail(PG_ERR_LIMIT, "table of %u ids is full", slots->cap);
    }
    pg_slot *grown = pg_realloc(slots->slots, (size_t) cap * sizeof(pg_slot));
    if (grown == NULL) {
        return pg_fail(PG_ERR_NOMEM, "no memory for %u ids", cap);
    }
    for (uint32_t i = slots->cap; i < cap; i++) {
        grown[i] = (pg_slot){.next_free = i + 1 < cap ? i + 2 : 0};
    }
    slots->free_head = slots->cap + 1;
    slots->slots = grown;
    slots->cap = cap;
    return PG_OK;
}

pg_err pg_slots_add(pg_slots *slots, void *object, pg_id *out_id)
{
    pg_assert(object != NULL);
    if (slots->max != 0 && slots->count >= slots->max) {
        return pg_fail(PG_ERR_LIMIT, "at most %u at a time", slots->max);
    }
    if (slots->free_head == 0) {
        PG_TRY(slots_grow(slots));
    }
    uint32_t index = slots->free_head;
    pg_slot *slot = &slots->slots[index - 1];
    slots->free_head = slot->next_free;
    slot->object = object;
    slots->count++;
    *out_id = (pg_id) slot->generation << 32 | index;
    return PG_OK;
}

static pg_slot *slot_find(const pg_slots *slots, pg_id id)
{
    uint32_t index = (uint32_t) id;
    if (index == 0 || index > slots->cap) {
        return NULL;
    }
    pg_slot *slot = &slots->slots[index - 1];
    return slot->object != NULL && slot->generation == (uint32_t) (id >> 32) ? slot : NULL;
}

void *pg_slots_get(const pg_slots *slots, pg_id id)
{
    const pg_slot *slot = slot_find(slots, id);
    return slot == NULL ? NULL : slot->object;
}

void *pg_slots_take(pg_slots *slots, pg_id id)
{
    pg_slot *slot = slot_find(slots, id);
    if (slot == NULL) {
        return NULL;
    }
    void *object = slot->object;
    slot->object = NULL;
    slot->generation++;
    slot->next_free = slots->free_head;
    slots->free_head = (uint32_t) id;
    slots->count--;
    return object;
}

void pg_slots_deinit(pg_slots *slots)
{
    pg_mfree(slots->slots);
    *slots = (pg_slots){.max = slots->max};
}
