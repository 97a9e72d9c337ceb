// SPDX-License-Identifier: Apache-2.0
#include "codec/varint.h"

#include "base/mem.h"

size_t pg_uvarint_len(uint64_t value)
{
    size_t len = 1;
    for (; value > 0x7f; value >>= 7) {
        len++;
    }
    return len;
}

pg_err pg_uvarint_decode(pg_bytes in, uint64_t *out_value, size_t *out_len)
{
    uint64_t value = 0;
    size_t len_max = pg_min_size(in.len, PG_UVARINT_BYTES_MAX);
    for (size_t i = 0; i < len_max; i++) {
        uint8_t byte = in.ptr[i];
        value |= (uint64_t) (byte & 0x7f) << (7 * i);
        if (byte < 0x80) {
            if (byte == 0 && i != 0) {
                return pg_fail(PG_ERR_MALFORMED, "varint is not in its shortest form");
            }
            *out_value = value;
            *out_len = i + 1;
            return PG_OK;
        }
    }
    if (len_max == PG_UVARINT_BYTES_MAX) {
        return pg_fail(PG_ERR_MALFORMED, "varint is longer than %d bytes", PG_UVARINT_BYTES_MAX);
    }
    return pg_fail(PG_ERR_TRUNCATED, "data ends inside a varint");
}

pg_err pg_reader_uvarint(pg_reader *reader, uint64_t max, uint64_t *out_value)
{
    uint64_t value = 0;
    size_t len = 0;
    pg_err err = reader->failed ? pg_fail(PG_ERR_TRUNCATED, "data ends too early")
                                : pg_uvarint_decode(reader->rest, &value, &len);
    if (err == PG_OK && value > max) {
        err = pg_fail(PG_ERR_LIMIT, "%llu, at most %llu allowed", (unsigned long long) value,
                      (unsigned long long) max);
    }
    if (err != PG_OK) {
        reader->failed = true;
        return err;
    }
    (void) pg_reader_take(reader, len);
    *out_value = value;
    return PG_OK;
}

pg_err pg_reader_uvarint_bytes(pg_reader *reader, size_t len_max, pg_bytes *out_bytes)
{
    uint64_t len = 0;
    PG_TRY(pg_reader_uvarint(reader, len_max, &len));
    pg_bytes bytes = pg_reader_take(reader, (size_t) len);
    if (reader->failed) {
        return pg_fail(PG_ERR_TRUNCATED, "data ends inside a field of %zu bytes", (size_t) len);
    }
    *out_bytes = bytes;
    return PG_OK;
}

void pg_writer_uvarint(pg_writer *writer, uint64_t value)
{
    if (value > PG_UVARINT_MAX) {
        writer->failed = true;
        return;
    }
    uint8_t encoded[PG_UVARINT_BYTES_MAX];
    size_t len = 0;
    for (; value > 0x7f; value >>= 7) {
        encoded[len++] = (uint8_t) (value | 0x80);
    }
    encoded[len++] = (uint8_t) value;
    pg_writer_put(writer, pg_bytes_make(encoded, len));
}

void pg_writer_uvarint_bytes(pg_writer *writer, pg_bytes bytes)
{
    pg_writer_uvarint(writer, bytes.len);
    pg_writer_put(writer, bytes);
}
