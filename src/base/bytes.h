// SPDX-License-Identifier: Apache-2.0
// Bytes: views that never own, a growing buffer that does, and a reader and a writer that fail sticky, so that wire
// layouts are written without offsets added by hand. Not for: text (str.h), secrets (crypto/secret.h).
//
// Layer: base.  Thread: any, one object at a time.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/err.h"

/** A view of bytes somebody else owns. `ptr` may be NULL when `len` is 0. */
typedef struct pg_bytes {
    const uint8_t *ptr;
    size_t len;
} pg_bytes;

/** A writable view. */
typedef struct pg_mut_bytes {
    uint8_t *ptr;
    size_t len;
} pg_mut_bytes;

#define PG_BYTES_EMPTY ((pg_bytes){NULL, 0})

/** View an array (not a pointer). */
#define PG_BYTES_OF(array) ((pg_bytes){(const uint8_t *) (array), sizeof(array)})
#define PG_MUT_BYTES_OF(array) ((pg_mut_bytes){(uint8_t *) (array), sizeof(array)})

/** View the characters of a string literal, without its NUL. */
#define PG_BYTES_LIT(literal) ((pg_bytes){(const uint8_t *) ("" literal), sizeof(literal) - 1})

/** Make a view of `len` bytes at `ptr`. */
static inline pg_bytes pg_bytes_make(const void *ptr, size_t len)
{
    return (pg_bytes){(const uint8_t *) ptr, len};
}

/** View the characters of a NUL-terminated string, without the NUL. */
pg_bytes pg_bytes_cstr(const char *text);

/** Make a writable view of `len` bytes at `ptr`. */
static inline pg_mut_bytes pg_mut_bytes_make(void *ptr, size_t len)
{
    return (pg_mut_bytes){(uint8_t *) ptr, len};
}

/** Give the read-only view of a writable one. */
static inline pg_bytes pg_bytes_const(pg_mut_bytes bytes)
{
    return (pg_bytes){bytes.ptr, bytes.len};
}

/** Return the part of `bytes` from `offset`, at most `len` long; empty beyond the end. */
pg_bytes pg_bytes_slice(pg_bytes bytes, size_t offset, size_t len);

/** Copy what fits from the front of *rest into `space`, take it off *rest, and return how much that was. */
size_t pg_bytes_read(pg_bytes *rest, pg_mut_bytes space);

/** Return true when both have the same content. Not constant time: use pg_secret_equal on secrets. */
bool pg_bytes_equal(pg_bytes a, pg_bytes b);

/** Order by content, then by length: negative, 0 or positive, as memcmp. */
int pg_bytes_compare(pg_bytes a, pg_bytes b);

/** Return true when `bytes` begins with `prefix`. */
bool pg_bytes_starts_with(pg_bytes bytes, pg_bytes prefix);

/** A growing buffer; the all-zero value is an empty one. Never grows beyond `max_len` (0 = no limit). */
typedef struct pg_buf {
    uint8_t *ptr;
    size_t len;
    size_t cap;
    size_t max_len;
} pg_buf;

/** View what a buffer holds. Borrowed until the buffer changes. */
static inline pg_bytes pg_buf_bytes(const pg_buf *buf)
{
    return (pg_bytes){buf->ptr, buf->len};
}

/** Make room for `extra` more bytes. Errors: PG_ERR_NOMEM, PG_ERR_LIMIT beyond max_len. */
PG_NODISCARD pg_err pg_buf_reserve(pg_buf *buf, size_t extra);

/** Append a copy of `bytes`. Errors as pg_buf_reserve; the buffer is then unchanged. */
PG_NODISCARD pg_err pg_buf_append(pg_buf *buf, pg_bytes bytes);

/** Append `len` bytes for the caller to fill and point *out_space at them. Errors as pg_buf_reserve. */
PG_NODISCARD pg_err pg_buf_extend(pg_buf *buf, size_t len, uint8_t **out_space);

/** Drop the first `len` bytes (at most all) and move the rest to the front. */
void pg_buf_consume(pg_buf *buf, size_t len);

/** Forget the content, keep the memory. */
void pg_buf_clear(pg_buf *buf);

/** Free the memory; the buffer is empty and usable again. NULL and the all-zero value are fine. */
void pg_buf_deinit(pg_buf *buf);

/** Reads a byte string front to back. The first read beyond the end sets `failed`; everything after gives zeros. */
typedef struct pg_reader {
    pg_bytes rest;
    bool failed;
} pg_reader;

/** Start reading `bytes`, borrowed for the reader's life. */
static inline pg_reader pg_reader_make(pg_bytes bytes)
{
    return (pg_reader){bytes, false};
}

/** Take the next `len` bytes as a view; empty with `failed` set when there are fewer. */
pg_bytes pg_reader_take(pg_reader *reader, size_t len);

/** Copy the next `len` bytes to `out`; zeros when there are fewer. */
void pg_reader_copy(pg_reader *reader, void *out, size_t len);

/** Take an unsigned integer, big-endian where it has more than one byte. */
uint8_t pg_reader_u8(pg_reader *reader);
/** Take a big-endian 16-bit integer. */
uint16_t pg_reader_u16be(pg_reader *reader);
/** Take a big-endian 32-bit integer. */
uint32_t pg_reader_u32be(pg_reader *reader);
/** Take a big-endian 64-bit integer. */
uint64_t pg_reader_u64be(pg_reader *reader);

/** Return PG_OK when every read so far was in bounds and nothing is left; else PG_ERR_TRUNCATED or PG_ERR_MALFORMED. */
PG_NODISCARD pg_err pg_reader_finish(const pg_reader *reader);

/** Writes into caller's memory front to back. The first write beyond the end sets `failed`; later writes do nothing. */
typedef struct pg_writer {
    uint8_t *ptr;
    size_t len; // written so far
    size_t cap;
    bool failed;
} pg_writer;

/** Start writing into `space`, borrowed for the writer's life. */
static inline pg_writer pg_writer_make(pg_mut_bytes space)
{
    return (pg_writer){space.ptr, 0, space.len, false};
}

/** View what was written. */
static inline pg_bytes pg_writer_bytes(const pg_writer *writer)
{
    return (pg_bytes){writer->ptr, writer->len};
}

/** Write a copy of `bytes`. */
void pg_writer_put(pg_writer *writer, pg_bytes bytes);
/** Write one byte. */
void pg_writer_u8(pg_writer *writer, uint8_t value);
/** Write a big-endian 16-bit integer. */
void pg_writer_u16be(pg_writer *writer, uint16_t value);
/** Write a big-endian 32-bit integer. */
void pg_writer_u32be(pg_writer *writer, uint32_t value);
/** Write a big-endian 64-bit integer. */
void pg_writer_u64be(pg_writer *writer, uint64_t value);
