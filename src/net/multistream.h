// SPDX-License-Identifier: Apache-2.0
// multistream-select: how both ends of a stream agree on the protocol it speaks. The dialer proposes, the listener echoes or
// says "na". Both functions read not one byte beyond the negotiation: what follows belongs to the protocol chosen.
//
// Layer: net.  Thread: loop thread only, the codec any.  Spec: libp2p connections, "Multistream-select"
#pragma once

#include <stddef.h>

#include "base/attr.h"
#include "base/bytes.h"
#include "base/err.h"
#include "base/str.h"
#include "runtime/stream.h"
#include "runtime/time.h"

/** Append one message, with its length and its newline. `text` has at most PG_NET_MULTISTREAM_BYTES_MAX - 1 characters.
 *  Errors: PG_ERR_LIMIT, and as pg_buf_append. */
PG_NODISCARD pg_err pg_multistream_encode(pg_str text, pg_buf *out);

/** Read the message at the front of `in`.
 *  out_text  without its newline; borrows from `in`
 *  out_len   bytes of the whole message
 *  Errors: PG_ERR_TRUNCATED (more bytes are needed), PG_ERR_LIMIT, PG_ERR_MALFORMED. Thread: any. */
PG_NODISCARD pg_err pg_multistream_decode(pg_bytes in, pg_str *out_text, size_t *out_len);

/** Propose protocols in order until the peer takes one. The first goes out together with the header. Parks: yes; within
 *  PG_NET_NEGOTIATE_TIMEOUT_MS in all.
 *  ids         1..PG_NET_MULTISTREAM_PROPOSALS_MAX, borrowed
 *  out_chosen  index of the one agreed on
 *  Errors: PG_ERR_UNSUPPORTED when the peer takes none, PG_ERR_PROTOCOL, PG_ERR_MALFORMED, PG_ERR_LIMIT, PG_ERR_TIMEOUT, those of the stream;
 *  after one, reset the stream */
PG_NODISCARD pg_err pg_multistream_dial(pg_stream *stream, const pg_str *ids, size_t id_count,
                                        pg_time deadline, size_t *out_chosen);

/** Propose one protocol without waiting: header and proposal go out with the first bytes written (or with the close, or when a
 *  read comes first), and the answer is read with the first read, which fails as pg_multistream_dial would. For protocols where
 *  the dialer speaks first. Parks: no.
 *  stream      taken on PG_OK, and *stream set to NULL
 *  id          copied
 *  out_stream  owned by the caller
 *  Errors: PG_ERR_NOMEM, PG_ERR_LIMIT */
PG_NODISCARD pg_err pg_multistream_dial_lazy(pg_stream **stream, pg_str id, pg_stream **out_stream);

/** Answer proposals until one is among `ids`. "ls" gets "na". Parks: yes; within PG_NET_NEGOTIATE_TIMEOUT_MS in all.
 *  ids         borrowed
 *  out_chosen  index of the one agreed on
 *  Errors: PG_ERR_CLOSED when the peer closes before it proposed anything, PG_ERR_UNSUPPORTED when it leaves after a refusal or
 *  proposed PG_NET_MULTISTREAM_PROPOSALS_MAX in vain; others as pg_multistream_dial */
PG_NODISCARD pg_err pg_multistream_listen(pg_stream *stream, const pg_str *ids, size_t id_count,
                                          pg_time deadline, size_t *out_chosen);
