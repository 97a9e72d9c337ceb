// SPDX-License-Identifier: Apache-2.0
// Ids for objects that may go away while somebody still holds a reference: a slot number with a generation. Looking up
// an id whose object was removed gives NULL, never a stranger in the same slot.
//
// Layer: base.  Thread: any, one table at a time.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/err.h"

/** Names one object in one table, for ever. 0 names nothing. */
typedef uint64_t pg_id;

typedef struct pg_slot pg_slot;

/** A table of slots; the all-zero value is an empty one without a limit. */
typedef struct pg_slots {
    pg_slot *slots;
    uint32_t cap;
    uint32_t free_head; // 1-based index of the first free slot, 0 = none
    uint32_t count;
    uint32_t max; // 0 = no limit
} pg_slots;

/** Put `object` (not NULL) into the table. Errors: PG_ERR_NOMEM, PG_ERR_LIMIT at `max` objects. */
PG_NODISCARD pg_err pg_slots_add(pg_slots *slots, void *object, pg_id *out_id);

/** Return the object of `id`, or NULL when it was removed or never was. */
void *pg_slots_get(const pg_slots *slots, pg_id id);

/** Remove `id` and return its object, or NULL. */
void *pg_slots_take(pg_slots *slots, pg_id id);

/** Free the table's memory; objects are the caller's. */
void pg_slots_deinit(pg_slots *slots);
