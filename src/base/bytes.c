// SPDX-License-Identifier: Apache-2.0
#include "base/bytes.h"

#include <string.h>

#include "base/mem.h"

#define BUF_CAP_MIN 64

pg_bytes pg_bytes_cstr(const char *text)
{
    return pg_bytes_make(text, strlen(text));
}

pg_bytes pg_bytes_slice(pg_bytes bytes, size_t offset, size_t len)
{
    if (offset >= bytes.len) {
        return PG_BYTES_EMPTY;
    }
    return pg_bytes_make(bytes.ptr + offset, pg_min_size(len, bytes.len - offset));
}

size_t pg_bytes_read(pg_bytes *rest, pg_mut_bytes space)
{
    size_t len = rest->len < space.len ? rest->len : space.len;
    if (len > 0) {
        memcpy(space.ptr, rest->ptr, len);
    }
    *rest = pg_bytes_slice(*rest, len, rest->len);
    return len;
}

bool pg_bytes_equal(pg_bytes a, pg_bytes b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.ptr, b.ptr, a.len) == 0);
}

int pg_bytes_compare(pg_bytes a, pg_bytes b)
{
    size_t common = pg_min_size(a.len, b.len);
    int order = common == 0 ? 0 : memcmp(a.ptr, b.ptr, common);
    if (order != 0) {
        return order;
    }
    return (a.len > b.len) - (a.len < b.len);
}

bool pg_bytes_starts_with(pg_bytes bytes, pg_bytes prefix)
{
    return bytes.len >= prefix.len && pg_bytes_equal(pg_bytes_make(bytes.ptr, prefix.len), prefix);
}

pg_err pg_buf_reserve(pg_buf *buf, size_t extra)
{
    size_t need = 0;
    if (!pg_add_size(buf->len, extra, &need) || (buf->max_len != 0 && need > buf->max_len)) {
        return pg_fail(PG_ERR_LIMIT, "buffer of %zu bytes cannot take %zu more", buf->len, extra);
    }
    if (need <= buf->cap) {
        return PG_OK;
    }
    size_t cap = pg_max_size(buf->cap, BUF_CAP_MIN);
    while (cap < need) {
        if (!pg_mul_size(cap, 2, &cap)) {
            cap = need;
        }
    }
    if (buf->max_len != 0) {
        cap = pg_min_size(cap, buf->max_len);
    }
    uint8_t *grown = pg_realloc(buf->ptr, cap);
    if (grown == NULL) {
        return pg_fail(PG_ERR_NOMEM, "cannot grow a buffer to %zu bytes", cap);
    }
    buf->ptr = grown;
    buf->cap = cap;
    return PG_OK;
}

pg_err pg_buf_append(pg_buf *buf, pg_bytes bytes)
{
    PG_TRY(pg_buf_reserve(buf, bytes.len));
    if (bytes.len != 0) {
        memcpy(buf->ptr + buf->len, bytes.ptr, bytes.len);
        buf->len += bytes.len;
    }
    return PG_OK;
}

pg_err pg_buf_extend(pg_buf *buf, size_t len, uint8_t **out_space)
{
    PG_TRY(pg_buf_reserve(buf, len));
    *out_space = buf->ptr == NULL ? NULL : buf->ptr + buf->len; // NULL: nothing in an empty buffer
    buf->len += len;
    return PG_OK;
}

void pg_buf_consume(pg_buf *buf, size_t len)
{
    if (len >= buf->len) {
        buf->len = 0;
        return;
    }
    buf->len -= len;
    memmove(buf->ptr, buf->ptr + len, buf->len);
}

void pg_buf_clear(pg_buf *buf)
{
    buf->len = 0;
}

void pg_buf_deinit(pg_buf *buf)
{
    if (buf == NULL) {
        return;
    }
    pg_mfree(buf->ptr);
    *buf = (pg_buf){.max_len = buf->max_len};
}

pg_bytes pg_reader_take(pg_reader *reader, size_t len)
{
    if (reader->failed || len > reader->rest.len) {
        reader->failed = true;
        return PG_BYTES_EMPTY;
    }
    pg_bytes taken = pg_bytes_make(reader->rest.ptr, len);
    if (len != 0) {
        reader->rest.ptr += len;
        reader->rest.len -= len;
    }
    return taken;
}

void pg_reader_copy(pg_reader *reader, void *out, size_t len)
{
    pg_bytes taken = pg_reader_take(reader, len);
    if (len == 0) {
        return;
    }
    if (reader->failed) {
        memset(out, 0, len);
    } else {
        memcpy(out, taken.ptr, len);
    }
}

static uint64_t read_be(pg_reader *reader, size_t len)
{
    uint64_t value = 0;
    pg_bytes taken = pg_reader_take(reader, len);
    for (size_t i = 0; i < taken.len; i++) {
        value = value << 8 | taken.ptr[i];
    }
    return value;
}

uint8_t pg_reader_u8(pg_reader *reader)
{
    return (uint8_t) read_be(reader, 1);
}

uint16_t pg_reader_u16be(pg_reader *reader)
{
    return (uint16_t) read_be(reader, 2);
}

uint32_t pg_reader_u32be(pg_reader *reader)
{
    return (uint32_t) read_be(reader, 4);
}

uint64_t pg_reader_u64be(pg_reader *reader)
{
    return read_be(reader, 8);
}

pg_err pg_reader_finish(const pg_reader *reader)
{
    if (reader->failed) {
        return pg_fail(PG_ERR_TRUNCATED, "data ends too early");
    }
    if (reader->rest.len != 0) {
        return pg_fail(PG_ERR_MALFORMED, "%zu bytes too many at the end", reader->rest.len);
    }
    return PG_OK;
}

void pg_writer_put(pg_writer *writer, pg_bytes bytes)
{
    if (writer->failed || bytes.len > writer->cap - writer->len) {
        writer->failed = true;
        return;
    }
    if (bytes.len != 0) {
        memcpy(writer->ptr + writer->len, bytes.ptr, bytes.len);
        writer->len += bytes.len;
    }
}

static void write_be(pg_writer *writer, uint64_t value, size_t len)
{
    uint8_t encoded[8];
    for (size_t i = len; i-- > 0; value >>= 8) {
        encoded[i] = (uint8_t) value;
    }
    pg_writer_put(writer, pg_bytes_make(encoded, len));
}

void pg_writer_u8(pg_writer *writer, uint8_t value)
{
    write_be(writer, value, 1);
}

void pg_writer_u16be(pg_writer *writer, uint16_t value)
{
    write_be(writer, value, 2);
}

void pg_writer_u32be(pg_writer *writer, uint32_t value)
{
    write_be(writer, value, 4);
}

void pg_writer_u64be(pg_writer *writer, uint64_t value)
{
    write_be(writer, value, 8);
}
