// SPDX-License-Identifier: Apache-2.0
// Goal: the walk ends on any bytes, its views lie inside them, and the fields it gives, written again, give the same fields.
#include "codec/pb_walk.h"
#include "fuzz.h"

static bool is_inside(pg_bytes outer, pg_bytes inner)
{
    return inner.len == 0 ||
           (inner.ptr >= outer.ptr && inner.ptr + inner.len <= outer.ptr + outer.len);
}

static void field_check(pg_bytes in, const pg_pb_field *field)
{
    pg_buf buf = {0};
    pg_pb_field back;
    if (field->wire == PG_PB_WIRE_BYTES) {
        FUZZ_CHECK(field->bytes.len == field->value && is_inside(in, field->bytes));
        FUZZ_CHECK(pg_pb_put_bytes(&buf, field->number, field->bytes) == PG_OK);
    } else if (field->wire == PG_PB_WIRE_VARINT) {
        FUZZ_CHECK(pg_pb_put_varint(&buf, field->number, field->value) == PG_OK);
    } else {
        return;
    }
    pg_pb_walk walk = pg_pb_walk_make(pg_buf_bytes(&buf));
    FUZZ_CHECK(pg_pb_walk_next(&walk, &back));
    FUZZ_CHECK(back.number == field->number && back.wire == field->wire);
    FUZZ_CHECK(back.value == field->value && pg_bytes_equal(back.bytes, field->bytes));
    FUZZ_CHECK(!pg_pb_walk_next(&walk, &back) && walk.err == PG_OK);
    pg_buf_deinit(&buf);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    pg_bytes in = pg_bytes_make(data, size);
    pg_pb_walk walk = pg_pb_walk_make(in);
    pg_pb_field field;
    pg_pb_field head;
    size_t left = in.len;
    FUZZ_CHECK(pg_pb_head_decode(in, &head) != PG_OK || head.head_len <= in.len);
    while (pg_pb_walk_next(&walk, &field)) {
        FUZZ_CHECK(walk.rest.len < left && is_inside(in, walk.rest));
        left = walk.rest.len;
        field_check(in, &field);
    }
    FUZZ_CHECK(walk.err == PG_ERR_MALFORMED || (walk.err == PG_OK && walk.rest.len == 0));
    return 0;
}
