// SPDX-License-Identifier: Apache-2.0
#include "net/framed.h"

#include "codec/varint.h"

// The length, byte by byte: the carrier has the bytes in memory, and none beyond it may be taken.
static pg_err length_read(pg_stream *stream, pg_time deadline, uint64_t *out_len)
{
    uint8_t prefix[PG_UVARINT_BYTES_MAX];
    for (size_t have = 0; have < sizeof(prefix); have++) {
        pg_err err = pg_stream_read_full(stream, pg_mut_bytes_make(&prefix[have], 1), deadline);
        if (err != PG_OK) {
            return err == PG_ERR_CLOSED && have > 0 ? PG_ERR_TRUNCATED : err;
        }
        if ((prefix[have] & 0x80U) == 0) {
            size_t used = 0;
            return pg_uvarint_decode(pg_bytes_make(prefix, have + 1), out_len, &used);
        }
    }
    return pg_fail(PG_ERR_MALFORMED, "length prefix of more than %d bytes", PG_UVARINT_BYTES_MAX);
}

pg_err pg_framed_read(pg_stream *stream, size_t body_max, pg_time deadline, pg_buf *out)
{
    uint64_t body_len = 0;
    PG_TRY(length_read(stream, deadline, &body_len));
    if (body_len > body_max) {
        return pg_fail(PG_ERR_LIMIT, "message of %llu bytes, at most %zu",
                       (unsigned long long) body_len, body_max);
    }
    if (body_len == 0) {
        return PG_OK;
    }
    uint8_t *space = NULL;
    size_t before = out->len;
    PG_TRY(pg_buf_extend(out, (size_t) body_len, &space));
    pg_err err = pg_stream_read_full(stream, pg_mut_bytes_make(space, (size_t) body_len), deadline);
    if (err != PG_OK) {
        out->len = before;
        return err == PG_ERR_CLOSED ? PG_ERR_TRUNCATED : err;
    }
    return PG_OK;
}

pg_err pg_framed_write(pg_stream *stream, pg_bytes body, pg_time deadline)
{
    uint8_t prefix[PG_UVARINT_BYTES_MAX];
    pg_writer writer = pg_writer_make(PG_MUT_BYTES_OF(prefix));
    pg_writer_uvarint(&writer, body.len);
    const pg_bytes parts[] = {pg_writer_bytes(&writer), body};
    return pg_stream_writev(stream, parts, 2, deadline);
}
