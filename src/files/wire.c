// SPDX-License-Identifier: Apache-2.0
#include "codec/varint.h"
#include "files/limits.h"
#include "files/wire_priv.h"

// Field 1 with wire type 0: how every versioned message begins.
#define VERSION_FIELD 0x08

pg_err pg_wire_check_version(const char *what, pg_bytes in)
{
    uint64_t version = 0;
    size_t len = 0;
    if (in.len < 2 || in.ptr[0] != VERSION_FIELD ||
        pg_uvarint_decode(pg_bytes_slice(in, 1, in.len), &version, &len) != PG_OK) {
        return pg_fail(PG_ERR_MALFORMED, "not a %s: no version in front", what);
    }
    if (version != PG_FILES_VERSION) {
        return pg_fail(PG_ERR_UNSUPPORTED,
                       "the %s has version %llu; this program knows version %d: a newer one is "
                       "needed",
                       what, (unsigned long long) version, PG_FILES_VERSION);
    }
    return PG_OK;
}

pg_err pg_wire_read(const char *what, const ProtobufCMessageDescriptor *type, pg_bytes in,
                    pg_arena *arena, ProtobufCMessage **out_message)
{
    return pg_error_wrap(pg_pb_unpack_exact(type, in, arena, out_message), "%s", what);
}

pg_arena pg_wire_arena(size_t len)
{
    return pg_arena_make(8 * len + 16384);
}

pg_err pg_wire_take(const char *what, const ProtobufCMessageDescriptor *type, pg_bytes in,
                    pg_wire_taker take, void *out)
{
    if (in.len > PG_AUDIT_MESSAGE_BYTES_MAX) {
        return pg_fail(PG_ERR_LIMIT, "%s: has %zu bytes, at most %u", what, in.len,
                       PG_AUDIT_MESSAGE_BYTES_MAX);
    }
    PG_TRY(pg_wire_check_version(what, in));
    pg_arena arena PG_CLEANUP(pg_arena_deinit) = pg_wire_arena(in.len);
    ProtobufCMessage *message = NULL;
    PG_TRY(pg_wire_read(what, type, in, &arena, &message));
    return take(message, out);
}
