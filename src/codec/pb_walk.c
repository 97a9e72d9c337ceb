// SPDX-License-Identifier: Apache-2.0
#include "codec/pb_walk.h"

#include "base/mem.h"

#define VARINT_BYTES_MAX 10
#define NUMBER_MAX ((UINT32_C(1) << 29) - 1)
#define WIRE_BITS 3U

// Unlike the varints of multiformats these may be longer than they need be, and their tenth byte overflows silently.
static pg_err varint_decode(pg_bytes in, uint64_t *out_value, size_t *out_len)
{
    uint64_t value = 0;
    size_t len_max = pg_min_size(in.len, VARINT_BYTES_MAX);
    for (size_t i = 0; i < len_max; i++) {
        value |= (uint64_t) (in.ptr[i] & 0x7fU) << (7 * i);
        if (in.ptr[i] < 0x80U) {
            *out_value = value;
            *out_len = i + 1;
            return PG_OK;
        }
    }
    if (len_max == VARINT_BYTES_MAX) {
        return pg_fail(PG_ERR_MALFORMED, "protobuf varint is longer than %d bytes",
                       VARINT_BYTES_MAX);
    }
    return pg_fail(PG_ERR_TRUNCATED, "protobuf ends inside a varint");
}

static pg_err fixed_decode(pg_bytes in, size_t len, uint64_t *out_value)
{
    if (in.len < len) {
        return pg_fail(PG_ERR_TRUNCATED, "protobuf ends inside a number");
    }
    uint64_t value = 0;
    for (size_t i = 0; i < len; i++) {
        value |= (uint64_t) in.ptr[i] << (8 * i);
    }
    *out_value = value;
    return PG_OK;
}

pg_err pg_pb_head_decode(pg_bytes in, pg_pb_field *out_field)
{
    uint64_t tag = 0;
    size_t tag_len = 0;
    PG_TRY(varint_decode(in, &tag, &tag_len));
    uint64_t number = tag >> WIRE_BITS;
    if (number == 0 || number > NUMBER_MAX) {
        return pg_fail(PG_ERR_MALFORMED, "protobuf field with number %llu",
                       (unsigned long long) number);
    }
    pg_pb_field field = {.number = (uint32_t) number, .wire = (pg_pb_wire) (tag & 7U)};
    pg_bytes rest = pg_bytes_slice(in, tag_len, in.len);
    size_t len = 0;
    switch (field.wire) {
    case PG_PB_WIRE_VARINT:
    case PG_PB_WIRE_BYTES:
        PG_TRY(varint_decode(rest, &field.value, &len));
        break;
    case PG_PB_WIRE_FIXED64:
        len = 8;
        PG_TRY(fixed_decode(rest, len, &field.value));
        break;
    case PG_PB_WIRE_FIXED32:
        len = 4;
        PG_TRY(fixed_decode(rest, len, &field.value));
        break;
    default:
        return pg_fail(PG_ERR_MALFORMED, "protobuf field of wire type %u", (unsigned) field.wire);
    }
    field.head_len = tag_len + len;
    *out_field = field;
    return PG_OK;
}

static pg_err walk_step(pg_pb_walk *walk, pg_pb_field *field)
{
    pg_err err = pg_pb_head_decode(walk->rest, field);
    if (err == PG_ERR_TRUNCATED) {
        return pg_fail(PG_ERR_MALFORMED, "protobuf ends inside a field");
    }
    PG_TRY(err);
    walk->rest = pg_bytes_slice(walk->rest, field->head_len, walk->rest.len);
    if (field->wire != PG_PB_WIRE_BYTES) {
        return PG_OK;
    }
    if (field->value > walk->rest.len) {
        return pg_fail(PG_ERR_MALFORMED, "protobuf field of %llu bytes, %zu are left",
                       (unsigned long long) field->value, walk->rest.len);
    }
    field->bytes = pg_bytes_slice(walk->rest, 0, (size_t) field->value);
    walk->rest = pg_bytes_slice(walk->rest, field->bytes.len, walk->rest.len);
    return PG_OK;
}

bool pg_pb_walk_next(pg_pb_walk *walk, pg_pb_field *out_field)
{
    if (walk->err != PG_OK || walk->rest.len == 0) {
        return false;
    }
    pg_pb_field field = {0};
    walk->err = walk_step(walk, &field);
    if (walk->err != PG_OK) {
        return false;
    }
    *out_field = field;
    return true;
}

size_t pg_pb_varint_len(uint64_t value)
{
    size_t len = 1;
    for (; value > 0x7fU; value >>= 7U) {
        len++;
    }
    return len;
}

static void varint_put(pg_writer *writer, uint64_t value)
{
    for (; value > 0x7fU; value >>= 7U) {
        pg_writer_u8(writer, (uint8_t) (value | 0x80U));
    }
    pg_writer_u8(writer, (uint8_t) value);
}

static pg_err head_put(pg_buf *buf, uint32_t number, pg_pb_wire wire, uint64_t value)
{
    pg_assert(number > 0 && number <= NUMBER_MAX);
    uint8_t space[PG_PB_HEAD_BYTES_MAX];
    pg_writer writer = pg_writer_make(PG_MUT_BYTES_OF(space));
    varint_put(&writer, (uint64_t) number << WIRE_BITS | (unsigned) wire);
    varint_put(&writer, value);
    return pg_buf_append(buf, pg_writer_bytes(&writer));
}

pg_err pg_pb_put_varint(pg_buf *buf, uint32_t number, uint64_t value)
{
    return head_put(buf, number, PG_PB_WIRE_VARINT, value);
}

pg_err pg_pb_put_head(pg_buf *buf, uint32_t number, size_t len)
{
    return head_put(buf, number, PG_PB_WIRE_BYTES, len);
}

pg_err pg_pb_put_bytes(pg_buf *buf, uint32_t number, pg_bytes bytes)
{
    PG_TRY(pg_buf_reserve(buf, PG_PB_HEAD_BYTES_MAX + bytes.len)); // all of it or nothing
    PG_TRY(pg_pb_put_head(buf, number, bytes.len));
    return pg_buf_append(buf, bytes);
}
