// SPDX-License-Identifier: Apache-2.0
#include "base/arena.h"

#include <stdalign.h>
#include <string.h>

#include "base/mem.h"

#define BLOCK_BYTES 4096

struct pg_arena_block {
    pg_arena_block *next;
    size_t used;
    size_t cap;
    alignas(max_align_t) unsigned char data[];
};

static pg_arena_block *block_add(pg_arena *arena, size_t need)
{
    size_t room = arena->max_bytes - arena->used_bytes;
    size_t header = sizeof(pg_arena_block);
    if (room < header || need > room - header) {
        return NULL;
    }
    // Small requests share a block; the last one before the limit is cut to fit.
    size_t size = pg_min_size(pg_max_size(need + header, BLOCK_BYTES), room);
    pg_arena_block *block = pg_malloc(size);
    if (block == NULL) {
        return NULL;
    }
    *block = (pg_arena_block){.next = arena->blocks, .used = 0, .cap = size - header};
    arena->blocks = block;
    arena->used_bytes += size;
    return block;
}

void *pg_arena_alloc(pg_arena *arena, size_t size_bytes)
{
    const size_t align = alignof(max_align_t);
    size_t need = 0;
    if (!pg_add_size(size_bytes, align - 1, &need)) {
        return NULL;
    }
    need &= ~(align - 1);
    pg_arena_block *block = arena->blocks;
    if (block == NULL || need > block->cap - block->used) {
        block = block_add(arena, need);
        if (block == NULL) {
            return NULL;
        }
    }
    void *memory = block->data + block->used;
    block->used += need;
    memset(memory, 0, need);
    return memory;
}

pg_err pg_arena_dup(pg_arena *arena, pg_bytes bytes, pg_bytes *out_copy)
{
    uint8_t *copy = pg_arena_alloc(arena, bytes.len);
    if (copy == NULL) {
        return pg_fail(PG_ERR_LIMIT, "%zu bytes do not fit an arena of %zu", bytes.len,
                       arena->max_bytes);
    }
    if (bytes.len != 0) {
        memcpy(copy, bytes.ptr, bytes.len);
    }
    *out_copy = pg_bytes_make(copy, bytes.len);
    return PG_OK;
}

void pg_arena_deinit(pg_arena *arena)
{
    while (arena->blocks != NULL) {
        pg_arena_block *next = arena->blocks->next;
        pg_mfree(arena->blocks);
        arena->blocks = next;
    }
    arena->used_bytes = 0;
}
