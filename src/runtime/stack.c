// SPDX-License-Identifier: Apache-2.0
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>

#include "base/mem.h"
#include "runtime/context_priv.h"
#include "runtime/limits.h"
#include "runtime/stack_priv.h"

#define PAGE_BYTES 4096
#define GUARD_BYTES PAGE_BYTES
#define FRAME_BYTES 512 // what a call that gives pages back takes itself
#define CANARY UINT64_C(0x5ca1ab1e0ddba115)
#define CANARY_BYTES 64 // keeps the top of the stack aligned
#define PAINT 0xa5
#define SLAB_STACKS 64
#define SLAB_BYTES (GUARD_BYTES + SLAB_STACKS * PG_FIBER_STACK_BYTES)

/** A mapping of many stacks, in a simulated run. Stands in the page before its first stack, with a canary at the end. */
struct slab {
    pg_list node;
};

static void *pages_map(size_t bytes)
{
    void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);
    return memory == MAP_FAILED ? NULL : memory;
}

// The node of a pooled stack lies where a new fiber writes first: no further page is touched.
static pg_list *node_of(const pg_stack *stack)
{
    return (pg_list *) (void *) (stack->bottom + stack->bytes - sizeof(pg_list));
}

static pg_stack stack_of(pg_list *node)
{
    size_t usable = PG_FIBER_STACK_BYTES - CANARY_BYTES;
    return (pg_stack){(char *) node + sizeof(pg_list) - usable, usable};
}

static uint64_t canary_get(const char *end)
{
    uint64_t value = 0;
    memcpy(&value, end - sizeof(value), sizeof(value));
    return value;
}

static void canary_put(char *end)
{
    uint64_t value = CANARY;
    memcpy(end - sizeof(value), &value, sizeof(value));
}

void pg_stack_pool_init(pg_stack_pool *pool, bool is_guarded)
{
    *pool = (pg_stack_pool){
        .is_guarded = is_guarded,
        .hot_max = is_guarded ? PG_STACK_POOL_HOT_MAX : PG_STACK_POOL_HOT_SIM_MAX,
    };
    pg_list_init(&pool->hot);
    pg_list_init(&pool->cold);
    pg_list_init(&pool->slabs);
}

static pg_err guarded_add(pg_stack_pool *pool)
{
    char *memory = pages_map(GUARD_BYTES + PG_FIBER_STACK_BYTES);
    if (memory == NULL) {
        return pg_fail(PG_ERR_NOMEM, "cannot map a stack");
    }
    if (mprotect(memory, GUARD_BYTES, PROT_NONE) != 0) {
        munmap(memory, GUARD_BYTES + PG_FIBER_STACK_BYTES);
        return pg_fail(PG_ERR_NOMEM, "cannot guard a stack");
    }
    pg_stack stack = {memory + GUARD_BYTES, PG_FIBER_STACK_BYTES - CANARY_BYTES};
    pg_list_append(&pool->hot, node_of(&stack));
    pool->hot_count++;
    return PG_OK;
}

static pg_err slab_add(pg_stack_pool *pool)
{
    char *memory = pages_map(SLAB_BYTES);
    if (memory == NULL) {
        return pg_fail(PG_ERR_NOMEM, "cannot map stacks");
    }
    (void) madvise(memory, SLAB_BYTES, MADV_NOHUGEPAGE); // else each touch could cost 2 MiB
    struct slab *slab = (struct slab *) (void *) memory;
    *slab = (struct slab){0};
    pg_list_append(&pool->slabs, &slab->node);
    char *end = memory + GUARD_BYTES;
    canary_put(end);
    for (unsigned i = 0; i < SLAB_STACKS; i++) {
        pg_stack stack = {end, PG_FIBER_STACK_BYTES - CANARY_BYTES};
        end += PG_FIBER_STACK_BYTES;
        canary_put(end);
        pg_list_append(&pool->cold, node_of(&stack));
        pool->cold_count++;
    }
    return PG_OK;
}

pg_err pg_stack_take(pg_stack_pool *pool, pg_stack *out_stack)
{
    if (pool->hot_count == 0 && pool->cold_count == 0) {
        PG_TRY(pool->is_guarded ? guarded_add(pool) : slab_add(pool));
    }
    pg_list *node = NULL;
    if (pool->hot_count > 0) {
        node = pool->hot.prev; // the last one used: its pages are in the cache
        pg_list_remove(node);
        pool->hot_count--;
    } else {
        node = pg_list_pop(&pool->cold);
        pool->cold_count--;
    }
    *out_stack = stack_of(node);
    return PG_OK;
}

void pg_stack_give(pg_stack_pool *pool, const pg_stack *stack)
{
    pg_context_unpoison(stack->bottom, stack->bytes);
    *node_of(stack) = (pg_list){0};
    if (pool->hot_count < pool->hot_max) {
        pg_list_append(&pool->hot, node_of(stack));
        pool->hot_count++;
        return;
    }
    if (pool->is_guarded && pool->cold_count >= PG_STACK_POOL_COLD_MAX) {
        munmap(stack->bottom - GUARD_BYTES, GUARD_BYTES + PG_FIBER_STACK_BYTES);
        return;
    }
    (void) madvise(stack->bottom, PG_FIBER_STACK_BYTES - PG_STACK_KEEP_BYTES, MADV_DONTNEED);
    pg_list_append(&pool->cold, node_of(stack));
    pool->cold_count++;
}

void pg_stack_trim(const pg_stack *stack, const void *frame)
{
    // What the frame calls from here on lies below it: the page it ends in stays, and one more when little of that is left.
    size_t depth = (size_t) ((const char *) frame - stack->bottom);
    size_t unused = depth > FRAME_BYTES ? (depth - FRAME_BYTES) / PAGE_BYTES * PAGE_BYTES : 0;
    if (unused > 0) {
        (void) madvise(stack->bottom, unused, MADV_DONTNEED);
    }
}

bool pg_stack_is_sound(const pg_stack_pool *pool, const pg_stack *stack)
{
    return pool->is_guarded || canary_get(stack->bottom) == CANARY;
}

void pg_stack_paint(const pg_stack *stack, const void *end)
{
    memset(stack->bottom, PAINT, (size_t) ((const char *) end - stack->bottom));
}

size_t pg_stack_used(const pg_stack *stack)
{
    char paint[256]; // many at once: a byte alone is slow under the sanitizers
    size_t untouched = 0;
    memset(paint, PAINT, sizeof(paint));
    while (untouched + sizeof(paint) <= stack->bytes &&
           memcmp(stack->bottom + untouched, paint, sizeof(paint)) == 0) {
        untouched += sizeof(paint);
    }
    while (untouched < stack->bytes && (unsigned char) stack->bottom[untouched] == PAINT) {
        untouched++;
    }
    return stack->bytes - untouched;
}

static void pooled_unmap(const pg_stack_pool *pool, pg_list *list)
{
    for (pg_list *node = pg_list_pop(list); node != NULL; node = pg_list_pop(list)) {
        if (pool->is_guarded) {
            munmap(stack_of(node).bottom - GUARD_BYTES, GUARD_BYTES + PG_FIBER_STACK_BYTES);
        }
    }
}

void pg_stack_pool_deinit(pg_stack_pool *pool)
{
    pooled_unmap(pool, &pool->hot);
    pooled_unmap(pool, &pool->cold);
    for (pg_list *node = pg_list_pop(&pool->slabs); node != NULL;
         node = pg_list_pop(&pool->slabs)) {
        munmap(PG_LIST_OBJECT(node, struct slab, node), SLAB_BYTES);
    }
    *pool = (pg_stack_pool){0};
}
