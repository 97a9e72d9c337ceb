// SPDX-License-Identifier: Apache-2.0
// Stacks of fibers, mapped and pooled. In a real run a page below each faults on overflow; in a simulated one, where there
// are many more, stacks stand wall to wall in slabs with canaries between them (a guarded stack takes two of the kernel's
// 65,530 mappings).
//
// Layer: runtime, private.  Thread: loop thread only.
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/attr.h"
#include "base/err.h"
#include "base/list.h"

/** A piece of memory of PG_FIBER_STACK_BYTES. The canary of a slab stack stands in its last bytes, above the usable part. */
typedef struct pg_stack {
    char *bottom;
    size_t bytes; // usable
} pg_stack;

/** The stacks of a run. */
typedef struct pg_stack_pool {
    bool is_guarded;
    pg_list hot;  // nodes lie inside the stacks
    pg_list cold; // deep pages were given back
    size_t hot_max;
    size_t hot_count;
    size_t cold_count;
    pg_list slabs;
} pg_stack_pool;

/** Make an empty pool. */
void pg_stack_pool_init(pg_stack_pool *pool, bool is_guarded);

/** Take a stack. Errors: PG_ERR_NOMEM. */
PG_NODISCARD pg_err pg_stack_take(pg_stack_pool *pool, pg_stack *out_stack);

/** Give a stack back; it may be unmapped. */
void pg_stack_give(pg_stack_pool *pool, const pg_stack *stack);

/** Give back the pages of a stack in use that lie wholly below `frame`, an address of a frame in it which does not return before. */
void pg_stack_trim(const pg_stack *stack, const void *frame);

/** Return false when something ran over the lower end of the stack. */
bool pg_stack_is_sound(const pg_stack_pool *pool, const pg_stack *stack);

/** Fill the stack with a pattern, up to `end` inside it. */
void pg_stack_paint(const pg_stack *stack, const void *end);

/** Return how many bytes from the top have been used since it was painted. */
size_t pg_stack_used(const pg_stack *stack);

/** Unmap everything; all stacks were given back. */
void pg_stack_pool_deinit(pg_stack_pool *pool);
