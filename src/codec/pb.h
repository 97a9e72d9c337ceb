// SPDX-License-Identifier: Apache-2.0
// Protobuf messages by protobuf-c, read into an arena so that a hostile message takes no more memory than its reader
// allows. A room's name.proto becomes "room/name.pb-c.h" by three lines in its meson.build (see tests/unit/codec).
//
// What protobuf-c does, and a reader must know: a missing `required` field is an error; an absent `optional` one has
// has_x false or a NULL pointer; of a repeated occurrence of a single field the last one counts; an enum may hold any
// number; a string ends at its first NUL and is not checked to be UTF-8, so what is compared or stored is `bytes`; fields
// nobody knows are kept and written again, but a number 0 in a long form is read and then written so that it cannot be
// read: what came from others is passed on as the bytes it came in. Reading recurses as deep as the schema nests: no
// schema refers to itself.
//
// Layer: codec.  Thread: any.  Spec: protobuf.dev, encoding
#pragma once

#include <stddef.h>

#include <protobuf-c/protobuf-c.h>

#include "base/arena.h"
#include "base/attr.h"
#include "base/bytes.h"
#include "base/err.h"

/** The longest message read: Bitswap's 4 MiB and room around it. Protocols set lower limits of their own. */
#define PG_PB_BYTES_MAX (8U << 20)

/** Read a message.
 *  type          the generated descriptor, `name__descriptor`
 *  arena         owns all of *out_message. Well-formed messages take a little over twice their length; one made of
 *                thousands of tiny fields about a hundred times, which the arena's limit is to refuse
 *  out_message   to be cast to the generated struct; never passed to its free function
 *  Errors: PG_ERR_MALFORMED, PG_ERR_LIMIT (too long, or too much for the arena). Cost: O(len).
 *  Source: protobuf.dev, encoding */
PG_NODISCARD pg_err pg_pb_unpack(const ProtobufCMessageDescriptor *type, pg_bytes in,
                                 pg_arena *arena, ProtobufCMessage **out_message);

/** Read a message and refuse every encoding of it but the one that pg_pb_append writes: for what is signed or named by its hash. Fields
 *  that the schema does not have are refused in the message itself; in messages inside it they are for the caller to refuse.
 *  Errors: as pg_pb_unpack, PG_ERR_NOMEM. Cost: O(len), and a copy for the time of the call. */
PG_NODISCARD pg_err pg_pb_unpack_exact(const ProtobufCMessageDescriptor *type, pg_bytes in,
                                       pg_arena *arena, ProtobufCMessage **out_message);

/** Append a message to a buffer: fields in the order of their numbers, so that the same content gives the same bytes.
 *  Errors as pg_buf_reserve. */
PG_NODISCARD pg_err pg_pb_append(pg_buf *buf, const ProtobufCMessage *message);

/** Append the length of a message as varint, then the message, as libp2p's streams want it. Errors as pg_buf_reserve. */
PG_NODISCARD pg_err pg_pb_append_framed(pg_buf *buf, const ProtobufCMessage *message);

/** View a bytes field. Borrowed from the message. */
static inline pg_bytes pg_pb_bytes(ProtobufCBinaryData field)
{
    return pg_bytes_make(field.data, field.len);
}

/** Let a bytes field show `bytes`, which stay the caller's and have to outlive the message. */
static inline ProtobufCBinaryData pg_pb_view(pg_bytes bytes)
{
    return (ProtobufCBinaryData){.len = bytes.len, .data = (uint8_t *) (uintptr_t) bytes.ptr};
}
