// SPDX-License-Identifier: Apache-2.0
// A byte stream, whatever carries it: TCP, a Unix socket, Noise over TCP, one stream of a muxer, a pipe in memory. One
// fiber may read while another writes; two readers, or two writers, at once are a bug.
//
// Layer: runtime.  Thread: loop thread only.
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/attr.h"
#include "base/bytes.h"
#include "base/err.h"
#include "runtime/time.h"

typedef struct pg_stream pg_stream;

/** What a carrier implements; the functions below say what each means. */
typedef struct pg_stream_ops {
    pg_err (*read)(pg_stream *stream, pg_mut_bytes space, pg_time deadline, size_t *out_len);
    pg_err (*write)(pg_stream *stream, const pg_bytes *parts, size_t part_count, pg_time deadline);
    pg_err (*close_write)(pg_stream *stream, pg_time deadline);
    void (*reset)(pg_stream *stream);
    void (*free)(pg_stream *stream);
} pg_stream_ops;

/** The first member of every carrier's own structure. */
struct pg_stream {
    const pg_stream_ops *ops;
};

/** Read what is there, at least one byte, at most `space.len`; *out_len 0 means the other side has closed its writing. Parks: yes.
 *  Errors: PG_ERR_RESET, PG_ERR_CLOSED (reset by us), PG_ERR_TIMEOUT, PG_ERR_CANCELLED, and those of the carrier. */
PG_NODISCARD pg_err pg_stream_read(pg_stream *stream, pg_mut_bytes space, pg_time deadline,
                                   size_t *out_len);

/** Read exactly `space.len` bytes. Parks: yes.
 *  Errors: as pg_stream_read; PG_ERR_CLOSED when the stream ended before the first byte, PG_ERR_TRUNCATED after it. */
PG_NODISCARD pg_err pg_stream_read_full(pg_stream *stream, pg_mut_bytes space, pg_time deadline);

/** Write all of `bytes`: returns when they are the carrier's (sent or buffered within its bound). Parks: yes.
 *  Errors: PG_ERR_RESET, PG_ERR_CLOSED, PG_ERR_TIMEOUT, PG_ERR_CANCELLED; after one, what was sent is unknown: reset. */
PG_NODISCARD pg_err pg_stream_write(pg_stream *stream, pg_bytes bytes, pg_time deadline);

/** Write several parts in order as if they were one. Parks: yes. Errors as pg_stream_write. */
PG_NODISCARD pg_err pg_stream_writev(pg_stream *stream, const pg_bytes *parts, size_t part_count,
                                     pg_time deadline);

/** Say that we write no more; reading goes on. Parks: yes. Errors as pg_stream_write. */
PG_NODISCARD pg_err pg_stream_close_write(pg_stream *stream, pg_time deadline);

/** Abort both directions at once. Waits on the stream, here and there, end with an error. Parks: no. */
void pg_stream_reset(pg_stream *stream);

/** Free the stream and set *stream to NULL; where it was not finished in both directions it is reset first. No fiber may be in a
 *  call on it. NULL is fine. Parks: no. */
void pg_stream_free(pg_stream **stream);

/** Make two streams in memory, each the other end of the other, with room for `buffer_bytes` in each direction. Owned by the
 *  caller. Errors: PG_ERR_NOMEM. */
PG_NODISCARD pg_err pg_stream_pair(size_t buffer_bytes, pg_stream **out_a, pg_stream **out_b);
