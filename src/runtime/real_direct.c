// SPDX-License-Identifier: Apache-2.0
// Reading and writing past the system's cache of pages (O_DIRECT). What goes that way has to stand at whole pages in memory and in the
// file, so it passes through a buffer: one copy, in place of the copy, the page and the bookkeeping that the cache takes for each.
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "runtime/limits.h"
#include "runtime/real_priv.h"

/** A run of pages of a file, and the memory it passes through. */
typedef struct passage {
    int fd;
    const char *path;
    uint8_t *pages; // pages[cap]
    size_t cap;
} passage;

static size_t page_up(size_t len)
{
    return (len + PG_FILE_PAGE_BYTES - 1) / PG_FILE_PAGE_BYTES * PG_FILE_PAGE_BYTES;
}

static pg_err passage_open(passage *self, int fd, const char *path, size_t wanted)
{
    *self = (passage){.fd = fd, .path = path};
    self->cap = pg_min_size(page_up(wanted), PG_FILE_PASSAGE_BYTES);
    self->pages = pg_malloc_aligned(PG_FILE_PAGE_BYTES, self->cap);
    return self->pages != NULL ? PG_OK : PG_ERR_UNSUPPORTED; // then through the cache
}

int pg_real_direct_open(const char *path, unsigned mode)
{
    if ((mode & PG_FILE_MODE_UNCACHED) == 0) {
        return -1;
    }
    unsigned kept =
        mode & ~(unsigned) (PG_FILE_MODE_CREATE | PG_FILE_MODE_EXCLUSIVE | PG_FILE_MODE_TRUNCATE);
    return open(path, pg_real_open_flags(kept) | O_DIRECT);
}

// Write `len` bytes of the buffer, whole pages.
static pg_err pages_write(const passage *self, uint64_t offset, size_t len)
{
    for (size_t done = 0; done < len;) {
        ssize_t put = pwrite(self->fd, self->pages + done, len - done, (off_t) (offset + done));
        if (put < 0 && errno == EINVAL) {
            return PG_ERR_UNSUPPORTED; // pages of another size, or not at all
        }
        if (put < 0 && errno != EINTR) {
            return pg_fail_errno(errno, "write", self->path);
        }
        done += put < 0 ? 0 : (size_t) put / PG_FILE_PAGE_BYTES * PG_FILE_PAGE_BYTES;
        if (put >= 0 && put < PG_FILE_PAGE_BYTES) {
            return pg_fail_errno(EIO, "write", self->path);
        }
    }
    return PG_OK;
}

// Fill `out` with what stands at `at` in the two pieces one after the other; returns how much that was.
static size_t pieces_copy(pg_bytes head, pg_bytes rest, size_t at, pg_mut_bytes out)
{
    size_t from_head = at < head.len ? pg_min_size(head.len - at, out.len) : 0;
    if (from_head > 0) {
        memcpy(out.ptr, head.ptr + at, from_head);
    }
    size_t skip = at + from_head - head.len;
    size_t from_rest =
        at + from_head < head.len ? 0 : pg_min_size(rest.len - skip, out.len - from_head);
    if (from_rest > 0) {
        memcpy(out.ptr + from_head, rest.ptr + skip, from_rest);
    }
    return from_head + from_rest;
}

pg_err pg_real_direct_write(int fd, const char *path, uint64_t offset, pg_bytes head, pg_bytes rest)
{
    passage self;
    size_t total = head.len + rest.len;
    PG_TRY(passage_open(&self, fd, path, total));
    pg_err err = PG_OK;
    for (size_t at = 0; at < total && err == PG_OK; at += self.cap) {
        size_t len = pieces_copy(head, rest, at, pg_mut_bytes_make(self.pages, self.cap));
        size_t whole = page_up(len);
        memset(self.pages + len, 0, whole - len);
        err = pages_write(&self, offset + at, whole);
    }
    pg_mfree(self.pages);
    return err;
}

// Fill the buffer with pages from `offset` on; *out_len is short where the file ends.
static pg_err pages_read(const passage *self, uint64_t offset, size_t len, size_t *out_len)
{
    ssize_t got = -1;
    do {
        got = pread(self->fd, self->pages, len, (off_t) offset);
    } while (got < 0 && errno == EINTR);
    if (got < 0) {
        return errno == EINVAL ? PG_ERR_UNSUPPORTED : pg_fail_errno(errno, "read", self->path);
    }
    *out_len = (size_t) got;
    return PG_OK;
}

pg_err pg_real_direct_read(int fd, const char *path, uint64_t offset, pg_mut_bytes space,
                           size_t *out_len)
{
    passage self;
    size_t skip = (size_t) (offset % PG_FILE_PAGE_BYTES);
    size_t done = 0;
    bool is_end = false;
    PG_TRY(passage_open(&self, fd, path, skip + space.len));
    pg_err err = PG_OK;
    while (done < space.len && err == PG_OK && !is_end) {
        size_t want = pg_min_size(page_up(skip + space.len - done), self.cap);
        size_t got = 0;
        err = pages_read(&self, offset + done - skip, want, &got);
        is_end = got <= skip;
        if (err == PG_OK && !is_end) {
            size_t len = pg_min_size(got - skip, space.len - done);
            memcpy(space.ptr + done, self.pages + skip, len);
            done += len;
        }
        skip = (size_t) ((offset + done) % PG_FILE_PAGE_BYTES);
    }
    pg_mfree(self.pages);
    if (err == PG_OK) {
        *out_len = done;
    }
    return err;
}
