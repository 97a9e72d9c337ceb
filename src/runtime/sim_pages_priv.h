// SPDX-License-Identifier: Apache-2.0
// The content of one simulated file: sparse pages, and beside each page that was not synced what the disk itself has. A
// crash decides page by page whether a write survived whole, sector by sector, or not at all. Memory holds only pages
// that were written.
//
// Layer: runtime.  Thread: loop thread only.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/bytes.h"
#include "base/err.h"
#include "runtime/sim_random_priv.h"
#include "runtime/time.h"

#define PG_SIM_PAGE_BYTES 4096u
#define PG_SIM_SECTOR_BYTES 512u
#define PG_SIM_FILE_BYTES_MAX (UINT64_C(1) << 44) // 16 TiB, as ext4
#define PG_SIM_WRITEBACK_NS PG_SECONDS(30)        // what is older has reached the disk by itself
#define PG_SIM_CHUNK_PAGES 16u

typedef enum pg_sim_page_state {
    PG_SIM_PAGE_STATE_CLEAN, // the disk has `now`; `durable` is NULL
    PG_SIM_PAGE_STATE_DIRTY, // the disk has `durable` until a sync
    PG_SIM_PAGE_STATE_LOST,  // a sync failed: the disk has `durable` and no later sync mends it
} pg_sim_page_state;

/** One page. NULL content is a hole, and reads as zeros. */
typedef struct pg_sim_page {
    uint8_t *now;     // [PG_SIM_PAGE_BYTES]
    uint8_t *durable; // [PG_SIM_PAGE_BYTES]
    pg_time dirty_since_ns;
    pg_sim_page_state state;
} pg_sim_page;

/** Neighbouring pages, so that the index stays small. */
typedef struct pg_sim_chunk {
    uint64_t number;
    bool is_dirty; // else all its pages are clean, and a sync need not look
    pg_sim_page pages[PG_SIM_CHUNK_PAGES];
} pg_sim_chunk;

/** The content; the all-zero value but for `cut_bytes`: use pg_sim_pages_init. */
typedef struct pg_sim_pages {
    pg_sim_chunk **chunks; // chunks[count], by number
    size_t count;
    size_t cap;
    uint64_t allocated; // pages that are no holes
    uint64_t size_bytes;
    uint64_t durable_bytes; // the size the disk has
    uint64_t
        cut_bytes; // the least size since the last sync, where it was cut below durable_bytes; else UINT64_MAX
    pg_time size_since_ns; // when the size first differed from durable_bytes
} pg_sim_pages;

/** When something happens, and the source of chance. */
typedef struct pg_sim_moment {
    pg_time now_ns;
    pg_sim_rng *rng;
} pg_sim_moment;

/** What crashes did, for tests that want to see every kind of fault. */
typedef struct pg_sim_crash_counts {
    uint64_t pages_kept;
    uint64_t pages_lost;
    uint64_t pages_torn;
    uint64_t sizes_undone;
    uint64_t names_kept;
    uint64_t names_undone;
} pg_sim_crash_counts;

/** Make an empty content, durable as such. */
void pg_sim_pages_init(pg_sim_pages *pages);

/** Copy what stands at `offset`; returns the number of bytes, short only at the end. */
size_t pg_sim_pages_read(const pg_sim_pages *pages, uint64_t offset, pg_mut_bytes space);

/** Return how many pages a write would allocate. */
uint64_t pg_sim_pages_needed(const pg_sim_pages *pages, uint64_t offset, uint64_t len);

/** Write, unsynced. offset + len is at most PG_SIM_FILE_BYTES_MAX. Errors: PG_ERR_NOMEM; a prefix may then be written. */
PG_NODISCARD pg_err pg_sim_pages_write(pg_sim_pages *pages, pg_sim_moment when, uint64_t offset,
                                       pg_bytes bytes);

/** Cut or extend, unsynced. Errors: PG_ERR_NOMEM. */
PG_NODISCARD pg_err pg_sim_pages_truncate(pg_sim_pages *pages, pg_sim_moment when,
                                          uint64_t size_bytes);

/** Make zeros of a range and give back the pages wholly inside it, unsynced. Errors: PG_ERR_NOMEM. */
PG_NODISCARD pg_err pg_sim_pages_punch(pg_sim_pages *pages, pg_sim_moment when, uint64_t offset,
                                       uint64_t len);

/** Make all durable, but for pages an earlier sync lost. */
void pg_sim_pages_sync(pg_sim_pages *pages);

/** A sync that fails: each dirty page is durable or lost; half of the lost ones are dropped from the cache at once. */
void pg_sim_pages_sync_fail(pg_sim_pages *pages, pg_sim_moment when);

/** Leave what a disk has after the power failed; all of it is durable then. */
void pg_sim_pages_crash(pg_sim_pages *pages, pg_sim_moment when, pg_sim_crash_counts *counts);

/** Free the memory. */
void pg_sim_pages_deinit(pg_sim_pages *pages);
