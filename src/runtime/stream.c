// SPDX-License-Identifier: Apache-2.0
#include "runtime/stream.h"

#include "runtime/world_priv.h"

pg_err pg_stream_read(pg_stream *stream, pg_mut_bytes space, pg_time deadline, size_t *out_len)
{
    if (pg_fiber_is_ghost()) {
        return PG_ERR_CANCELLED;
    }
    return stream->ops->read(stream, space, deadline, out_len);
}

pg_err pg_stream_read_full(pg_stream *stream, pg_mut_bytes space, pg_time deadline)
{
    size_t done = 0;
    while (done < space.len) {
        size_t got = 0;
        PG_TRY(pg_stream_read(stream, pg_mut_bytes_make(space.ptr + done, space.len - done),
                              deadline, &got));
        if (got == 0) {
            return done == 0 ? PG_ERR_CLOSED
                             : pg_fail(PG_ERR_TRUNCATED, "stream ended after %zu of %zu bytes",
                                       done, space.len);
        }
        done += got;
    }
    return PG_OK;
}

pg_err pg_stream_write(pg_stream *stream, pg_bytes bytes, pg_time deadline)
{
    return pg_stream_writev(stream, &bytes, 1, deadline);
}

pg_err pg_stream_writev(pg_stream *stream, const pg_bytes *parts, size_t part_count,
                        pg_time deadline)
{
    if (pg_fiber_is_ghost()) {
        return PG_ERR_CANCELLED;
    }
    return stream->ops->write(stream, parts, part_count, deadline);
}

pg_err pg_stream_close_write(pg_stream *stream, pg_time deadline)
{
    if (pg_fiber_is_ghost()) {
        return PG_ERR_CANCELLED;
    }
    return stream->ops->close_write(stream, deadline);
}

void pg_stream_reset(pg_stream *stream)
{
    stream->ops->reset(stream);
}

void pg_stream_free(pg_stream **stream)
{
    if (*stream != NULL) {
        (*stream)->ops->free(*stream);
        *stream = NULL;
    }
}
