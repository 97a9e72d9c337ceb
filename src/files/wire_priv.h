// SPDX-License-Identifier: Apache-2.0
// What all block formats have in common: the version in front, one encoding for one content, the associated data that ties a
// sealed part to its place.
//
// Layer: files.  Thread: any.  Spec: docs/protocols/files.md, section "Encoding".
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/attr.h"
#include "base/bytes.h"
#include "base/err.h"
#include "codec/pb.h"

/** The first byte of associated data: what is sealed. */
typedef enum pg_wire_kind {
    PG_WIRE_KIND_ROOT = 1,
    PG_WIRE_KIND_DESCRIPTOR = 2,
    PG_WIRE_KIND_SEGMENT = 3,
} pg_wire_kind;

/** Check that `in` begins with field 1, the version, and that it is ours. `what` names the block ("root").
 *  Errors: PG_ERR_MALFORMED, PG_ERR_UNSUPPORTED naming the version needed. */
PG_NODISCARD pg_err pg_wire_check_version(const char *what, pg_bytes in);

/** Read a message of at most `max_bytes` in its one encoding. The caller refuses unknown fields in nested messages.
 *  Errors: PG_ERR_LIMIT, PG_ERR_MALFORMED, PG_ERR_NOMEM, with `what` in the text. */
PG_NODISCARD pg_err pg_wire_read(const char *what, const ProtobufCMessageDescriptor *type,
                                 pg_bytes in, pg_arena *arena, ProtobufCMessage **out_message);

/** What makes of a message what it says. What it keeps stands in the bytes that were read, not in the message. */
typedef pg_err (*pg_wire_taker)(const ProtobufCMessage *message, void *out);

/** Check the length (audits and evidence, PG_AUDIT_MESSAGE_BYTES_MAX) and the version of a message, read it, and hand it to `take`.
 *  Errors: PG_ERR_LIMIT, PG_ERR_MALFORMED, PG_ERR_UNSUPPORTED, PG_ERR_NOMEM, those of `take`. */
PG_NODISCARD pg_err pg_wire_take(const char *what, const ProtobufCMessageDescriptor *type,
                                 pg_bytes in, pg_wire_taker take, void *out);

/** Return an arena that is enough for every honest message of `len` bytes. */
pg_arena pg_wire_arena(size_t len);
