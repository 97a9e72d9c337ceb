// SPDX-License-Identifier: Apache-2.0
#include "codec/pb.h"

#include <stdbool.h>

#include "codec/frame.h"

typedef struct pb_memory {
    pg_arena *arena;
    bool refused;
} pb_memory;

static void *on_pb_alloc(void *user, size_t size)
{
    pb_memory *memory = user;
    void *got = pg_arena_alloc(memory->arena, size);
    memory->refused = memory->refused || got == NULL;
    return got;
}

static void on_pb_free(void *user, void *pointer)
{
    (void) user; // the arena frees all at once
    (void) pointer;
}

pg_err pg_pb_unpack(const ProtobufCMessageDescriptor *type, pg_bytes in, pg_arena *arena,
                    ProtobufCMessage **out_message)
{
    if (in.len > PG_PB_BYTES_MAX) {
        return pg_fail(PG_ERR_LIMIT, "%s of %zu bytes, at most %u", type->short_name, in.len,
                       PG_PB_BYTES_MAX);
    }
    pb_memory memory = {.arena = arena, .refused = false};
    ProtobufCAllocator allocator = {on_pb_alloc, on_pb_free, &memory};
    ProtobufCMessage *message = protobuf_c_message_unpack(type, &allocator, in.len, in.ptr);
    if (message == NULL && memory.refused) {
        return pg_fail(PG_ERR_LIMIT, "%s of %zu bytes takes more than %zu bytes of memory",
                       type->short_name, in.len, arena->max_bytes);
    }
    if (message == NULL) {
        return pg_fail(PG_ERR_MALFORMED, "%zu bytes are no %s", in.len, type->short_name);
    }
    *out_message = message;
    return PG_OK;
}

pg_err pg_pb_unpack_exact(const ProtobufCMessageDescriptor *type, pg_bytes in, pg_arena *arena,
                          ProtobufCMessage **out_message)
{
    ProtobufCMessage *message = NULL;
    PG_TRY(pg_pb_unpack(type, in, arena, &message));
    if (message->n_unknown_fields > 0) {
        return pg_fail(PG_ERR_MALFORMED, "a field that a %s does not have", type->short_name);
    }
    pg_buf again = {.max_len = in.len};
    pg_err err = pg_pb_append(&again, message);
    if (err == PG_ERR_LIMIT || (err == PG_OK && !pg_bytes_equal(pg_buf_bytes(&again), in))) {
        err = pg_fail(PG_ERR_MALFORMED, "not in the one encoding of its content");
    }
    pg_buf_deinit(&again);
    if (err == PG_OK) {
        *out_message = message;
    }
    return err;
}

pg_err pg_pb_append(pg_buf *buf, const ProtobufCMessage *message)
{
    uint8_t *space = NULL;
    PG_TRY(pg_buf_extend(buf, protobuf_c_message_get_packed_size(message), &space));
    (void) protobuf_c_message_pack(message, space);
    return PG_OK;
}

pg_err pg_pb_append_framed(pg_buf *buf, const ProtobufCMessage *message)
{
    uint8_t *space = NULL;
    PG_TRY(pg_frame_extend(buf, protobuf_c_message_get_packed_size(message), &space));
    (void) protobuf_c_message_pack(message, space);
    return PG_OK;
}
