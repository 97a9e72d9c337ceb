// SPDX-License-Identifier: Apache-2.0
// Messages with their length in front, read from and written to a stream. Reads nothing beyond the message, so that what
// follows it on the stream belongs to whoever comes next. The pure part is codec/frame.h.
//
// Layer: net.  Thread: loop thread only.  Spec: libp2p, "length-prefixed" messages
#pragma once

#include <stddef.h>

#include "base/attr.h"
#include "base/bytes.h"
#include "base/err.h"
#include "runtime/stream.h"
#include "runtime/time.h"

/** Read one message and append its body to `out`. Memory is taken after the length was found to be at most `body_max`. Parks: yes.
 *  Errors: PG_ERR_CLOSED (the stream ended before the first byte), PG_ERR_TRUNCATED (it ended inside), PG_ERR_LIMIT,
 *  PG_ERR_MALFORMED, and those of pg_stream_read and pg_buf_reserve; `out` is then unchanged. */
PG_NODISCARD pg_err pg_framed_read(pg_stream *stream, size_t body_max, pg_time deadline,
                                   pg_buf *out);

/** Write one message, its length first. Parks: yes. Errors as pg_stream_write. */
PG_NODISCARD pg_err pg_framed_write(pg_stream *stream, pg_bytes body, pg_time deadline);
