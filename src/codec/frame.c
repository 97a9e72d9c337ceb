// SPDX-License-Identifier: Apache-2.0
#include "codec/frame.h"

#include <string.h>

#include "base/mem.h"
#include "codec/varint.h"

pg_err pg_frame_decode(pg_bytes in, size_t body_max, pg_bytes *out_body, size_t *out_len)
{
    uint64_t body_len = 0;
    size_t prefix_len = 0;
    PG_TRY(pg_uvarint_decode(in, &body_len, &prefix_len));
    if (body_len > body_max) {
        return pg_fail(PG_ERR_LIMIT, "message of %llu bytes, at most %zu",
                       (unsigned long long) body_len, body_max);
    }
    if (body_len > in.len - prefix_len) {
        return pg_fail(PG_ERR_TRUNCATED, "message of %zu bytes, %zu are here", (size_t) body_len,
                       in.len - prefix_len);
    }
    *out_body = pg_bytes_make(in.ptr + prefix_len, (size_t) body_len);
    *out_len = prefix_len + (size_t) body_len;
    return PG_OK;
}

pg_err pg_frame_append(pg_buf *buf, pg_bytes body)
{
    uint8_t *space = NULL;
    PG_TRY(pg_frame_extend(buf, body.len, &space));
    if (body.len != 0) {
        memcpy(space, body.ptr, body.len);
    }
    return PG_OK;
}

pg_err pg_frame_extend(pg_buf *buf, size_t body_len, uint8_t **out_body)
{
    uint8_t prefix[PG_UVARINT_BYTES_MAX];
    pg_writer writer = pg_writer_make(PG_MUT_BYTES_OF(prefix));
    size_t len = 0;
    pg_writer_uvarint(&writer, body_len);
    if (writer.failed || !pg_add_size(writer.len, body_len, &len)) {
        return pg_fail(PG_ERR_LIMIT, "message of %zu bytes", body_len);
    }
    uint8_t *space = NULL;
    PG_TRY(pg_buf_extend(buf, len, &space));
    memcpy(space, prefix, writer.len);
    *out_body = space + writer.len;
    return PG_OK;
}
