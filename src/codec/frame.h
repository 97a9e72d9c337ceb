// SPDX-License-Identifier: Apache-2.0
// Messages with their length in front, a varint: how every libp2p protocol but the muxer cuts a stream. The pure part;
// reading from a stream is net's.
//
// Layer: codec.  Thread: any.  Spec: libp2p, "length-prefixed" messages
#pragma once

#include <stddef.h>

#include "base/attr.h"
#include "base/bytes.h"
#include "base/err.h"

/** Read the message at the front of what a stream gave so far.
 *  body_max    the longest message taken; a longer one is refused as soon as its length is read
 *  out_body    borrows from `in`
 *  out_len     bytes of prefix and body together: where the next message begins
 *  Errors: PG_ERR_TRUNCATED when more bytes are needed, PG_ERR_LIMIT, PG_ERR_MALFORMED (peer fault) */
PG_NODISCARD pg_err pg_frame_decode(pg_bytes in, size_t body_max, pg_bytes *out_body,
                                    size_t *out_len);

/** Append length and body to a buffer. Errors as pg_buf_reserve; the buffer is then unchanged. */
PG_NODISCARD pg_err pg_frame_append(pg_buf *buf, pg_bytes body);

/** Append the length and as many bytes for the caller to fill; *out_body points at them. Errors as pg_frame_append. */
PG_NODISCARD pg_err pg_frame_extend(pg_buf *buf, size_t body_len, uint8_t **out_body);
