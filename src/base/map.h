// SPDX-License-Identifier: Apache-2.0
// A map from byte strings to pointers, keyed hash inside so that strangers cannot choose collisions, walked in the order
// of insertion so that a simulated run repeats. Not for: millions of entries (an entry costs about 100 bytes and its key).
//
// Layer: base.  Thread: any, one map at a time.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/bytes.h"
#include "base/err.h"

typedef struct pg_map_entry pg_map_entry;

/** A map; the all-zero value is an empty one. Keys are copied; values are the caller's. */
typedef struct pg_map {
    pg_map_entry *head;
} pg_map;

/** Set the key of the hash for the whole process, before the first map is filled: random in a real run. */
void pg_map_seed(uint64_t seed);

/** Map `key` to `value` (not NULL). Errors: PG_ERR_EXISTS, PG_ERR_NOMEM. */
PG_NODISCARD pg_err pg_map_add(pg_map *map, pg_bytes key, void *value);

/** Return the value of `key`, or NULL. Borrowed from whoever added it. */
void *pg_map_get(const pg_map *map, pg_bytes key);

/** Remove `key` and return its value, or NULL. */
void *pg_map_take(pg_map *map, pg_bytes key);

/** Return the number of keys. */
size_t pg_map_count(const pg_map *map);

/** A place in a walk over a map; begin with the all-zero value. */
typedef struct pg_map_cursor {
    pg_bytes key; // of the current entry; borrowed until it is removed
    void *value;
    pg_map_entry *next;
    bool begun;
} pg_map_cursor;

/** Step to the next entry, oldest first; false at the end. The current entry may be taken out during the walk, others not. */
bool pg_map_next(const pg_map *map, pg_map_cursor *cursor);

/** Remove all keys and free the map's memory. Values are the caller's to free before. */
void pg_map_deinit(pg_map *map);
