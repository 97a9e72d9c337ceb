// SPDX-License-Identifier: Apache-2.0
// Protobuf by hand, for messages that are too large to be copied: fields are read as views where they lie, and written without
// what they carry. Knows no schema. Not for: ordinary messages (pb.h).
//
// Layer: codec.  Thread: any.  Spec: protobuf.dev, encoding
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/bytes.h"
#include "base/err.h"

/** Tag and value, or tag and length, of a field: two varints of up to ten bytes, as strangers may write them. */
#define PG_PB_HEAD_BYTES_MAX 20

/** How a field is written. Groups, which nobody has used for long, are not taken. */
typedef enum pg_pb_wire {
    PG_PB_WIRE_VARINT = 0,
    PG_PB_WIRE_FIXED64 = 1,
    PG_PB_WIRE_BYTES = 2,
    PG_PB_WIRE_FIXED32 = 5,
} pg_pb_wire;

/** A field, or the beginning of one. */
typedef struct pg_pb_field {
    uint32_t number; // 1..2^29-1
    pg_pb_wire wire;
    uint64_t value;  // of a number; of BYTES how many
    size_t head_len; // of tag and number, or tag and length: where the bytes begin
    pg_bytes bytes;  // BYTES: the content, by pg_pb_walk_next only
} pg_pb_field;

/** Read tag and number, or tag and length, of the field at the front of `in`, which may be all there is of a message so far. The bytes
 *  of a BYTES field are not looked at.
 *  Errors: PG_ERR_TRUNCATED (it ends inside; more bytes may help), PG_ERR_MALFORMED. */
PG_NODISCARD pg_err pg_pb_head_decode(pg_bytes in, pg_pb_field *out_field);

/** Walks over the fields of a whole message, in the order they stand. */
typedef struct pg_pb_walk {
    pg_bytes rest;
    pg_err err; // PG_OK, or why the walk stopped
} pg_pb_walk;

/** Begin a walk. `message` is borrowed, and the views of its fields show it. */
static inline pg_pb_walk pg_pb_walk_make(pg_bytes message)
{
    return (pg_pb_walk){message, PG_OK};
}

/** Step to the next field. Returns false at the end, and where the message is broken: pg_pb_walk.err tells.
 *  Errors there: PG_ERR_MALFORMED, also for a message that ends inside a field. */
bool pg_pb_walk_next(pg_pb_walk *walk, pg_pb_field *out_field);

/** Return true when the field is a number with this number. */
static inline bool pg_pb_is_varint(const pg_pb_field *field, uint32_t number)
{
    return field->number == number && field->wire == PG_PB_WIRE_VARINT;
}

/** Return true when the field is bytes with this number. */
static inline bool pg_pb_is_bytes(const pg_pb_field *field, uint32_t number)
{
    return field->number == number && field->wire == PG_PB_WIRE_BYTES;
}

/** Return how many bytes a varint takes: 1..10. */
size_t pg_pb_varint_len(uint64_t value);

/** Append a number. Errors as pg_buf_reserve. */
PG_NODISCARD pg_err pg_pb_put_varint(pg_buf *buf, uint32_t number, uint64_t value);

/** Append the head of `len` bytes which the caller sends behind it. Errors as pg_buf_reserve. */
PG_NODISCARD pg_err pg_pb_put_head(pg_buf *buf, uint32_t number, size_t len);

/** Append bytes. Errors as pg_buf_reserve. */
PG_NODISCARD pg_err pg_pb_put_bytes(pg_buf *buf, uint32_t number, pg_bytes bytes);
