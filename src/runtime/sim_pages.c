// SPDX-License-Identifier: Apache-2.0
#include <string.h>

#include "base/mem.h"
#include "runtime/sim_pages_priv.h"

#define EARLY_WRITEBACK_PPM                                                                        \
    125000 // of writes to a dirty page: what it held before reaches the disk first

void pg_sim_pages_init(pg_sim_pages *pages)
{
    *pages = (pg_sim_pages){.cut_bytes = UINT64_MAX};
}

void pg_sim_pages_deinit(pg_sim_pages *pages)
{
    for (size_t i = 0; i < pages->count; i++) {
        for (size_t k = 0; k < PG_SIM_CHUNK_PAGES; k++) {
            pg_mfree(pages->chunks[i]->pages[k].now);
            pg_mfree(pages->chunks[i]->pages[k].durable);
        }
        pg_mfree(pages->chunks[i]);
    }
    pg_mfree(pages->chunks);
    pg_sim_pages_init(pages);
}

// ---- The index

// The place of the first chunk whose number is not below `number`.
static size_t chunk_place(const pg_sim_pages *pages, uint64_t number)
{
    size_t low = 0;
    size_t high = pages->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (pages->chunks[middle]->number < number) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

static pg_sim_chunk *chunk_find(const pg_sim_pages *pages, uint64_t page_number)
{
    size_t place = chunk_place(pages, page_number / PG_SIM_CHUNK_PAGES);
    if (place == pages->count || pages->chunks[place]->number != page_number / PG_SIM_CHUNK_PAGES) {
        return NULL;
    }
    return pages->chunks[place];
}

static const pg_sim_page *page_find(const pg_sim_pages *pages, uint64_t number)
{
    const pg_sim_chunk *chunk = chunk_find(pages, number);
    return chunk == NULL ? NULL : &chunk->pages[number % PG_SIM_CHUNK_PAGES];
}

// For whoever is about to change the page.
static pg_sim_page *chunk_page(pg_sim_chunk *chunk, uint64_t number)
{
    chunk->is_dirty = true;
    return &chunk->pages[number % PG_SIM_CHUNK_PAGES];
}

static pg_err page_make(pg_sim_pages *pages, uint64_t number, pg_sim_page **out_page)
{
    pg_sim_chunk *chunk = chunk_find(pages, number);
    if (chunk != NULL) {
        *out_page = chunk_page(chunk, number);
        return PG_OK;
    }
    if (pages->count == pages->cap) {
        size_t cap = pages->cap == 0 ? 1 : 2 * pages->cap;
        pg_sim_chunk **chunks = pg_realloc(pages->chunks, cap * sizeof(void *));
        if (chunks == NULL) {
            return pg_fail(PG_ERR_NOMEM, "no memory for the index of a simulated file");
        }
        pages->chunks = chunks;
        pages->cap = cap;
    }
    chunk = PG_NEW(pg_sim_chunk);
    if (chunk == NULL) {
        return pg_fail(PG_ERR_NOMEM, "no memory for a simulated file");
    }
    chunk->number = number / PG_SIM_CHUNK_PAGES;
    size_t place = chunk_place(pages, chunk->number);
    memmove(&pages->chunks[place + 1], &pages->chunks[place],
            (pages->count - place) * sizeof(void *));
    pages->chunks[place] = chunk;
    pages->count++;
    *out_page = chunk_page(chunk, number);
    return PG_OK;
}

// ---- Reading

size_t pg_sim_pages_read(const pg_sim_pages *pages, uint64_t offset, pg_mut_bytes space)
{
    if (offset >= pages->size_bytes) {
        return 0;
    }
    uint64_t there = pages->size_bytes - offset;
    size_t len = there < space.len ? (size_t) there : space.len;
    for (size_t done = 0; done < len;) {
        uint64_t at = offset + done;
        size_t inside = (size_t) (at % PG_SIM_PAGE_BYTES);
        size_t part = pg_min_size(len - done, PG_SIM_PAGE_BYTES - inside);
        const pg_sim_page *page = page_find(pages, at / PG_SIM_PAGE_BYTES);
        if (page == NULL || page->now == NULL) {
            memset(space.ptr + done, 0, part);
        } else {
            memcpy(space.ptr + done, page->now + inside, part);
        }
        done += part;
    }
    return len;
}

uint64_t pg_sim_pages_needed(const pg_sim_pages *pages, uint64_t offset, uint64_t len)
{
    uint64_t needed = 0;
    if (len == 0) {
        return 0;
    }
    uint64_t last = (offset + len - 1) / PG_SIM_PAGE_BYTES;
    for (uint64_t number = offset / PG_SIM_PAGE_BYTES; number <= last; number++) {
        const pg_sim_page *page = page_find(pages, number);
        needed += page == NULL || page->now == NULL;
    }
    return needed;
}

// ---- Writing

static uint8_t *content_dup(const uint8_t *content)
{
    if (content == NULL) {
        return pg_calloc(1, PG_SIM_PAGE_BYTES);
    }
    uint8_t *copy = pg_malloc(PG_SIM_PAGE_BYTES);
    if (copy != NULL) {
        memcpy(copy, content, PG_SIM_PAGE_BYTES);
    }
    return copy;
}

// The kernel writes a dirty page out when it likes, so what stood there between two writes may be what survives.
static pg_err page_write_back(pg_sim_page *page, pg_sim_moment when)
{
    bool is_old = when.now_ns - page->dirty_since_ns > PG_SIM_WRITEBACK_NS;
    if (!is_old && !pg_sim_rng_chance(when.rng, EARLY_WRITEBACK_PPM)) {
        return PG_OK;
    }
    uint8_t *durable = NULL;
    if (page->now != NULL) {
        durable = content_dup(page->now);
        if (durable == NULL) {
            return pg_fail(PG_ERR_NOMEM, "no memory for a simulated file");
        }
    }
    pg_mfree(page->durable);
    page->durable = durable;
    page->dirty_since_ns = when.now_ns;
    return PG_OK;
}

// Make a page dirty, with content of its own to write into.
static pg_err page_touch(pg_sim_pages *pages, pg_sim_page *page, pg_sim_moment when)
{
    if (page->state == PG_SIM_PAGE_STATE_DIRTY) {
        PG_TRY(page_write_back(page, when));
    }
    if (page->state != PG_SIM_PAGE_STATE_CLEAN && page->now != NULL) {
        if (page->state == PG_SIM_PAGE_STATE_LOST) {
            page->dirty_since_ns = when.now_ns;
        }
        page->state = PG_SIM_PAGE_STATE_DIRTY;
        return PG_OK;
    }
    uint8_t *content = content_dup(page->now);
    if (content == NULL) {
        return pg_fail(PG_ERR_NOMEM, "no memory for a simulated file");
    }
    pages->allocated += page->now == NULL;
    if (page->state == PG_SIM_PAGE_STATE_CLEAN) {
        page->durable = page->now;
        page->dirty_since_ns = when.now_ns;
    }
    page->now = content;
    page->state = PG_SIM_PAGE_STATE_DIRTY;
    return PG_OK;
}

// Make a hole of a page, unsynced.
static void page_drop(pg_sim_pages *pages, pg_sim_page *page, pg_sim_moment when)
{
    if (page->now == NULL) {
        return;
    }
    pages->allocated--;
    if (page->state == PG_SIM_PAGE_STATE_CLEAN) {
        page->durable = page->now;
        page->dirty_since_ns = when.now_ns;
    } else {
        pg_mfree(page->now);
    }
    page->now = NULL;
    page->state = PG_SIM_PAGE_STATE_DIRTY;
}

static void size_set(pg_sim_pages *pages, pg_sim_moment when, uint64_t size_bytes)
{
    if (pages->size_bytes == pages->durable_bytes && pages->cut_bytes == UINT64_MAX) {
        pages->size_since_ns = when.now_ns;
    }
    pages->size_bytes = size_bytes;
    uint64_t least =
        pages->cut_bytes < pages->durable_bytes ? pages->cut_bytes : pages->durable_bytes;
    if (size_bytes < least) {
        pages->cut_bytes = size_bytes;
    }
}

pg_err pg_sim_pages_write(pg_sim_pages *pages, pg_sim_moment when, uint64_t offset, pg_bytes bytes)
{
    for (size_t done = 0; done < bytes.len;) {
        uint64_t at = offset + done;
        size_t inside = (size_t) (at % PG_SIM_PAGE_BYTES);
        size_t part = pg_min_size(bytes.len - done, PG_SIM_PAGE_BYTES - inside);
        pg_sim_page *page = NULL;
        PG_TRY(page_make(pages, at / PG_SIM_PAGE_BYTES, &page));
        PG_TRY(page_touch(pages, page, when));
        memcpy(page->now + inside, bytes.ptr + done, part);
        done += part;
        if (at + part > pages->size_bytes) {
            size_set(pages, when, at + part);
        }
    }
    return PG_OK;
}

// Zeros in a part of one page.
static pg_err page_clear(pg_sim_pages *pages, pg_sim_moment when, uint64_t offset, size_t len)
{
    pg_sim_chunk *chunk = chunk_find(pages, offset / PG_SIM_PAGE_BYTES);
    if (len == 0 || chunk == NULL) {
        return PG_OK;
    }
    pg_sim_page *page = chunk_page(chunk, offset / PG_SIM_PAGE_BYTES);
    if (page->now == NULL) {
        return PG_OK;
    }
    PG_TRY(page_touch(pages, page, when));
    memset(page->now + offset % PG_SIM_PAGE_BYTES, 0, len);
    return PG_OK;
}

// Holes of the pages [first, end).
static void pages_drop(pg_sim_pages *pages, pg_sim_moment when, uint64_t first, uint64_t end)
{
    for (size_t i = chunk_place(pages, first / PG_SIM_CHUNK_PAGES); i < pages->count; i++) {
        pg_sim_chunk *chunk = pages->chunks[i];
        for (size_t k = 0; k < PG_SIM_CHUNK_PAGES; k++) {
            uint64_t number = chunk->number * PG_SIM_CHUNK_PAGES + k;
            if (number >= end) {
                return;
            }
            if (number >= first) {
                page_drop(pages, chunk_page(chunk, number), when);
            }
        }
    }
}

static uint64_t page_after(uint64_t bytes)
{
    return (bytes + PG_SIM_PAGE_BYTES - 1) / PG_SIM_PAGE_BYTES;
}

pg_err pg_sim_pages_truncate(pg_sim_pages *pages, pg_sim_moment when, uint64_t size_bytes)
{
    if (size_bytes < pages->size_bytes) {
        size_t inside = (size_t) (size_bytes % PG_SIM_PAGE_BYTES);
        if (inside != 0) {
            PG_TRY(page_clear(pages, when, size_bytes, PG_SIM_PAGE_BYTES - inside));
        }
        pages_drop(pages, when, page_after(size_bytes), UINT64_MAX);
    }
    size_set(pages, when, size_bytes);
    return PG_OK;
}

pg_err pg_sim_pages_punch(pg_sim_pages *pages, pg_sim_moment when, uint64_t offset, uint64_t len)
{
    uint64_t end = 0;
    if (__builtin_add_overflow(offset, len, &end) || end > pages->size_bytes) {
        end = pages->size_bytes;
    }
    if (offset >= end) {
        return PG_OK;
    }
    uint64_t first = page_after(offset);
    // Up to the end of the file the last page goes whole: behind the end there are zeros anyway.
    uint64_t last = end == pages->size_bytes ? page_after(end) : end / PG_SIM_PAGE_BYTES;
    uint64_t head_end = first * PG_SIM_PAGE_BYTES < end ? first * PG_SIM_PAGE_BYTES : end;
    PG_TRY(page_clear(pages, when, offset, (size_t) (head_end - offset)));
    if (last >= first && last * PG_SIM_PAGE_BYTES < end) {
        PG_TRY(
            page_clear(pages, when, last * PG_SIM_PAGE_BYTES, (size_t) (end % PG_SIM_PAGE_BYTES)));
    }
    pages_drop(pages, when, first, last);
    return PG_OK;
}

// ---- Syncing and crashing

// What a sync or a crash does to one page that is not clean.
typedef void (*page_fn)(pg_sim_pages *pages, pg_sim_page *page, pg_sim_moment when,
                        pg_sim_crash_counts *counts);

static void page_each(pg_sim_pages *pages, pg_sim_moment when, pg_sim_crash_counts *counts,
                      page_fn fn)
{
    for (size_t i = 0; i < pages->count; i++) {
        pg_sim_chunk *chunk = pages->chunks[i];
        bool is_dirty = false;
        for (size_t k = 0; k < PG_SIM_CHUNK_PAGES && chunk->is_dirty; k++) {
            if (chunk->pages[k].state != PG_SIM_PAGE_STATE_CLEAN) {
                fn(pages, &chunk->pages[k], when, counts);
                is_dirty = is_dirty || chunk->pages[k].state != PG_SIM_PAGE_STATE_CLEAN;
            }
        }
        chunk->is_dirty = is_dirty;
    }
}

static void page_settle(pg_sim_page *page)
{
    pg_mfree(page->durable);
    page->durable = NULL;
    page->state = PG_SIM_PAGE_STATE_CLEAN;
}

static void page_revert(pg_sim_pages *pages, pg_sim_page *page, pg_sim_moment when,
                        pg_sim_crash_counts *counts)
{
    (void) when;
    counts->pages_lost++;
    pages->allocated += page->durable != NULL;
    pages->allocated -= page->now != NULL;
    pg_mfree(page->now);
    page->now = page->durable;
    page->durable = NULL;
    page->state = PG_SIM_PAGE_STATE_CLEAN;
}

static void size_settle(pg_sim_pages *pages)
{
    pages->durable_bytes = pages->size_bytes;
    pages->cut_bytes = UINT64_MAX;
}

static void page_sync(pg_sim_pages *pages, pg_sim_page *page, pg_sim_moment when,
                      pg_sim_crash_counts *counts)
{
    (void) pages;
    (void) when;
    (void) counts;
    if (page->state == PG_SIM_PAGE_STATE_DIRTY) {
        page_settle(page);
    }
}

void pg_sim_pages_sync(pg_sim_pages *pages)
{
    page_each(pages, (pg_sim_moment){0, NULL}, NULL, page_sync);
    size_settle(pages);
}

// Behind `from` the disk has nothing of what was there before the file was cut, nor of what lies behind its end.
static void durable_cut(pg_sim_pages *pages, uint64_t from, bool now_too)
{
    for (size_t i = chunk_place(pages, from / PG_SIM_PAGE_BYTES / PG_SIM_CHUNK_PAGES);
         i < pages->count; i++) {
        for (size_t k = 0; k < PG_SIM_CHUNK_PAGES; k++) {
            pg_sim_page *page = &pages->chunks[i]->pages[k];
            uint64_t start =
                (pages->chunks[i]->number * PG_SIM_CHUNK_PAGES + k) * PG_SIM_PAGE_BYTES;
            uint8_t **content = now_too ? &page->now : &page->durable;
            if (*content == NULL || start + PG_SIM_PAGE_BYTES <= from ||
                (!now_too && page->state == PG_SIM_PAGE_STATE_CLEAN)) {
                continue;
            }
            if (start < from) {
                size_t inside = (size_t) (from - start);
                memset(*content + inside, 0, PG_SIM_PAGE_BYTES - inside);
                continue;
            }
            pages->allocated -= now_too;
            pg_mfree(*content);
            *content = NULL;
        }
    }
}

static void page_sync_fail(pg_sim_pages *pages, pg_sim_page *page, pg_sim_moment when,
                           pg_sim_crash_counts *counts)
{
    if (page->state != PG_SIM_PAGE_STATE_DIRTY) {
        return;
    }
    switch (pg_sim_rng_below(when.rng, 4)) {
    case 0:
        page_revert(pages, page, when, counts);
        break;
    case 1:
        page->state = PG_SIM_PAGE_STATE_LOST;
        break;
    default:
        page_settle(page);
        break;
    }
}

void pg_sim_pages_sync_fail(pg_sim_pages *pages, pg_sim_moment when)
{
    if (pages->cut_bytes != UINT64_MAX) {
        durable_cut(pages, pages->cut_bytes, false);
    }
    pg_sim_crash_counts counts = {0}; // no crash: not told
    page_each(pages, when, &counts, page_sync_fail);
    size_settle(pages);
}

// Sector by sector the old or the new. Both are made real first; where memory is out the page is lost instead.
static bool page_tear(pg_sim_pages *pages, pg_sim_page *page, pg_sim_rng *rng)
{
    if (page->now == NULL) {
        page->now = content_dup(NULL);
        if (page->now == NULL) {
            return false;
        }
        pages->allocated++;
    }
    uint64_t keep = pg_sim_rng_next(rng);
    for (size_t at = 0; at < PG_SIM_PAGE_BYTES; at += PG_SIM_SECTOR_BYTES, keep >>= 1) {
        if ((keep & 1) != 0) {
            continue;
        }
        if (page->durable == NULL) {
            memset(page->now + at, 0, PG_SIM_SECTOR_BYTES);
        } else {
            memcpy(page->now + at, page->durable + at, PG_SIM_SECTOR_BYTES);
        }
    }
    page_settle(page);
    return true;
}

static void page_crash(pg_sim_pages *pages, pg_sim_page *page, pg_sim_moment when,
                       pg_sim_crash_counts *counts)
{
    bool is_old = when.now_ns - page->dirty_since_ns > PG_SIM_WRITEBACK_NS;
    uint64_t draw = pg_sim_rng_below(when.rng, 5);
    if (page->state == PG_SIM_PAGE_STATE_DIRTY && (is_old || draw < 2)) {
        page_settle(page);
        counts->pages_kept++;
    } else if (page->state == PG_SIM_PAGE_STATE_DIRTY && draw == 2 &&
               page_tear(pages, page, when.rng)) {
        counts->pages_torn++;
    } else {
        page_revert(pages, page, when, counts);
    }
}

static uint64_t size_after_crash(const pg_sim_pages *pages, pg_sim_moment when, bool is_old,
                                 pg_sim_crash_counts *counts)
{
    uint64_t base =
        pages->cut_bytes < pages->durable_bytes ? pages->cut_bytes : pages->durable_bytes;
    if (is_old || pages->size_bytes <= base) {
        return pages->size_bytes;
    }
    switch (pg_sim_rng_below(when.rng, 4)) {
    case 0:
        counts->sizes_undone++;
        return base;
    case 1:
        counts->sizes_undone++;
        return base + pg_sim_rng_below(when.rng, pages->size_bytes - base);
    default:
        return pages->size_bytes;
    }
}

void pg_sim_pages_crash(pg_sim_pages *pages, pg_sim_moment when, pg_sim_crash_counts *counts)
{
    bool is_old = when.now_ns - pages->size_since_ns > PG_SIM_WRITEBACK_NS;
    if (pages->cut_bytes != UINT64_MAX) {
        if (!is_old && pg_sim_rng_below(when.rng, 2) == 0) {
            page_each(pages, when, counts, page_revert);
            pages->size_bytes = pages->durable_bytes;
            size_settle(pages);
            counts->sizes_undone++;
            return;
        }
        durable_cut(pages, pages->cut_bytes, false);
    }
    uint64_t size_bytes = size_after_crash(pages, when, is_old, counts);
    page_each(pages, when, counts, page_crash);
    pages->size_bytes = size_bytes;
    durable_cut(pages, size_bytes, true);
    size_settle(pages);
}
