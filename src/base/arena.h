// SPDX-License-Identifier: Apache-2.0
// An arena: many small allocations for one message or request, freed at once, never more than a stated sum. What a
// decoder builds from foreign bytes lives in one, so that hostile input cannot take more memory than its reader allowed.
//
// Layer: base.  Thread: any, one arena at a time.
#pragma once

#include <stddef.h>

#include "base/attr.h"
#include "base/bytes.h"
#include "base/err.h"

typedef struct pg_arena_block pg_arena_block;

/** An arena; the all-zero value allows nothing. Own in place, end with pg_arena_deinit. */
typedef struct pg_arena {
    pg_arena_block *blocks;
    size_t used_bytes; // sum of what was taken from the heap
    size_t max_bytes;
} pg_arena;

/** Begin an arena that takes at most `max_bytes` from the heap. Takes nothing yet. */
static inline pg_arena pg_arena_make(size_t max_bytes)
{
    return (pg_arena){NULL, 0, max_bytes};
}

/** Allocate zeroed bytes, aligned for any type, living as long as the arena. NULL beyond the limit or when memory is out. */
PG_NODISCARD void *pg_arena_alloc(pg_arena *arena, size_t size_bytes);

/** Copy bytes into the arena. Errors: PG_ERR_LIMIT. */
PG_NODISCARD pg_err pg_arena_dup(pg_arena *arena, pg_bytes bytes, pg_bytes *out_copy);

/** Free everything at once; the arena may be used again with the same limit. */
void pg_arena_deinit(pg_arena *arena);
