// SPDX-License-Identifier: Apache-2.0
#include "base/mem.h"

#include <malloc.h>
#include <stdlib.h>

static _Thread_local uint64_t fail_countdown; // 0 = off

static _Thread_local bool fail_happened;

static bool should_fail(void)
{
    if (fail_countdown == 0 || --fail_countdown != 0) {
        return false;
    }
    fail_happened = true;
    return true;
}

void *pg_malloc(size_t size_bytes)
{
    return should_fail() ? NULL : malloc(size_bytes == 0 ? 1 : size_bytes);
}

void *pg_calloc(size_t count, size_t item_bytes)
{
    if (should_fail()) {
        return NULL;
    }
    bool empty = count == 0 || item_bytes == 0;
    return calloc(empty ? 1 : count, empty ? 1 : item_bytes);
}

void *pg_realloc(void *memory, size_t size_bytes)
{
    return should_fail() ? NULL : realloc(memory, size_bytes == 0 ? 1 : size_bytes);
}

void *pg_malloc_aligned(size_t align, size_t size_bytes)
{
    void *memory = NULL;
    if (should_fail() || posix_memalign(&memory, align, size_bytes == 0 ? 1 : size_bytes) != 0) {
        return NULL;
    }
    return memory;
}

void pg_mfree(void *memory)
{
    free(memory);
}

size_t pg_mem_size(const void *memory)
{
    return malloc_usable_size((void *) (uintptr_t) memory); // it only looks
}

void pg_mem_fail_nth(uint64_t nth)
{
    fail_countdown = nth;
    fail_happened = false;
}

bool pg_mem_failed(void)
{
    return fail_happened;
}
