// SPDX-License-Identifier: Apache-2.0
#include "base/mem.h"

#include <malloc.h>
#include <stdatomic.h>
#include <stdlib.h>

#define LARGE_BYTES                                                                                \
    (32                                                                                            \
     << 20) // the allocator's own limit; it adapts to less, and then gives back in the midst of a transfer
#define KEPT_BYTES_MAX (64 << 20) // free at the end of the heap
#define GIVE_BACK_BYTES_MIN ((size_t) 1 << 20)

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

void pg_mem_keep_large(void)
{
    (void) mallopt(M_MMAP_THRESHOLD, LARGE_BYTES);
    (void) mallopt(M_TRIM_THRESHOLD, KEPT_BYTES_MAX);
}

void pg_mem_give_back(void)
{
    static _Atomic size_t
        left; // free after the last time: what of it is in use again is worth another
    size_t unused = mallinfo2().fordblks;
    if (unused > left + GIVE_BACK_BYTES_MIN || unused + GIVE_BACK_BYTES_MIN < left) {
        (void) malloc_trim(GIVE_BACK_BYTES_MIN);
        left = mallinfo2().fordblks;
    }
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
