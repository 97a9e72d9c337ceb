// SPDX-License-Identifier: Apache-2.0
// Memory from the heap, arithmetic on sizes that cannot wrap, and a switch for tests that makes the n-th allocation fail.
// Not for: secrets (crypto/secret.h).
//
// Layer: base.  Thread: any.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/err.h"

/** Allocate `size_bytes` bytes, uninitialised. Never NULL for 0 bytes. Returns NULL when memory is out; owned by the caller. */
PG_NODISCARD void *pg_malloc(size_t size_bytes);

/** Allocate `count` zeroed items of `item_bytes` each; NULL when memory is out or the product overflows. */
PG_NODISCARD void *pg_calloc(size_t count, size_t item_bytes);

/** Resize `memory` (may be NULL); on failure returns NULL and leaves `memory` as it was. */
PG_NODISCARD void *pg_realloc(void *memory, size_t size_bytes);

/** Allocate `size_bytes` at a multiple of `align` (a power of two, at least 8); free with pg_mfree. */
PG_NODISCARD void *pg_malloc_aligned(size_t align, size_t size_bytes);

/** Give memory back. NULL is fine. */
void pg_mfree(void *memory);

/** Return how many bytes the heap holds for an allocation, at least what was asked for; 0 for NULL. For accounts. */
size_t pg_mem_size(const void *memory);

/** Allocate one zeroed object of a type. */
#define PG_NEW(type) ((type *) pg_calloc(1, sizeof(type)))

/** Make the n-th allocation from now on fail, once (1 = the next); 0 switches it off. Tests only; this thread only. */
void pg_mem_fail_nth(uint64_t nth);

/** Return true when the failure armed by pg_mem_fail_nth has happened. Tests only. */
bool pg_mem_failed(void);

/** Set *out_sum = a + b. Returns false, *out_sum untouched, on overflow. */
PG_NODISCARD static inline bool pg_add_size(size_t a, size_t b, size_t *out_sum)
{
    size_t sum = 0;
    if (__builtin_add_overflow(a, b, &sum)) {
        return false;
    }
    *out_sum = sum;
    return true;
}

/** Set *out_product = a * b. Returns false, *out_product untouched, on overflow. */
PG_NODISCARD static inline bool pg_mul_size(size_t a, size_t b, size_t *out_product)
{
    size_t product = 0;
    if (__builtin_mul_overflow(a, b, &product)) {
        return false;
    }
    *out_product = product;
    return true;
}

/** Have the allocator keep what is freed, blocks of some MiB too, so that the next one need not be paged in anew, which takes longer than
 *  filling it. Call pg_mem_give_back now and then. Before other threads are there. */
void pg_mem_keep_large(void);

/** Give free memory back to the system; does nothing when little has changed since the last time. Takes ms where there is much. Any thread. */
void pg_mem_give_back(void);

/** Return the smaller of two sizes. */
static inline size_t pg_min_size(size_t a, size_t b)
{
    return a < b ? a : b;
}

/** Return the larger of two sizes. */
static inline size_t pg_max_size(size_t a, size_t b)
{
    return a > b ? a : b;
}
