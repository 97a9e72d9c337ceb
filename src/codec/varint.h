// SPDX-License-Identifier: Apache-2.0
// Unsigned varints as libp2p and the multiformats write them: little groups of 7 bits, low group first, in the shortest
// form, at most 9 bytes and so below 2^63. Not for: protobuf's own varints, which may be longer (pb.h).
//
// Layer: codec.  Thread: any.  Spec: multiformats/unsigned-varint
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/bytes.h"
#include "base/err.h"

#define PG_UVARINT_BYTES_MAX 9
#define PG_UVARINT_MAX (UINT64_MAX >> 1)

/** Return how many bytes `value`, at most PG_UVARINT_MAX, takes: 1..9. */
size_t pg_uvarint_len(uint64_t value);

/** Read a varint at the front of `in`.
 *  out_value, out_len   the number and the bytes it took, 1..9
 *  Errors: PG_ERR_TRUNCATED when `in` ends inside it (more bytes may help), PG_ERR_MALFORMED when it is longer than 9
 *  bytes or than it need be. */
PG_NODISCARD pg_err pg_uvarint_decode(pg_bytes in, uint64_t *out_value, size_t *out_len);

/** Take a varint of at most `max` from a reader. Errors as pg_uvarint_decode, PG_ERR_LIMIT beyond `max`; the reader has
 *  then failed. */
PG_NODISCARD pg_err pg_reader_uvarint(pg_reader *reader, uint64_t max, uint64_t *out_value);

/** Take a length, as varint of at most `len_max`, and as many bytes from a reader; *out_bytes borrows from its input.
 *  Errors as pg_reader_uvarint, PG_ERR_TRUNCATED when fewer bytes follow; the reader has then failed. */
PG_NODISCARD pg_err pg_reader_uvarint_bytes(pg_reader *reader, size_t len_max, pg_bytes *out_bytes);

/** Write a varint. A value beyond PG_UVARINT_MAX fails the writer. */
void pg_writer_uvarint(pg_writer *writer, uint64_t value);

/** Write the length of `bytes` as varint and then the bytes. */
void pg_writer_uvarint_bytes(pg_writer *writer, pg_bytes bytes);
