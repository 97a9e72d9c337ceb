// SPDX-License-Identifier: Apache-2.0
// Goal: every field of a message is seen once and where it lies, whatever its kind; broken messages end the walk with an error.
// Method: messages by hand after the specification's encoding page, held against protobuf-c, cut at every byte.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "codec/pb_walk.h"

static void test_pb_walk__each_wire_type__is_seen(void **state)
{
    (void) state;
    pg_bytes message = PG_BYTES_LIT("\x08\x96\x01"                         // 1: 150
                                    "\x12\x07testing"                      // 2: "testing"
                                    "\x1d\x04\x03\x02\x01"                 // 3: fixed32
                                    "\x21\x08\x07\x06\x05\x04\x03\x02\x01" // 4: fixed64
                                    "\x82\x7d\x00"                         // 2000: empty bytes
    );
    pg_pb_walk walk = pg_pb_walk_make(message);
    pg_pb_field field;
    assert_true(pg_pb_walk_next(&walk, &field));
    assert_true(pg_pb_is_varint(&field, 1) && field.value == 150 && field.head_len == 3);
    assert_true(pg_pb_walk_next(&walk, &field));
    assert_true(pg_pb_is_bytes(&field, 2) && !pg_pb_is_varint(&field, 2));
    assert_true(pg_bytes_equal(field.bytes, PG_BYTES_LIT("testing")));
    assert_ptr_equal(field.bytes.ptr, message.ptr + 5); // a view, no copy
    assert_true(pg_pb_walk_next(&walk, &field));
    assert_true(field.number == 3 && field.wire == PG_PB_WIRE_FIXED32 && field.value == 0x01020304);
    assert_true(pg_pb_walk_next(&walk, &field));
    assert_true(field.number == 4 && field.wire == PG_PB_WIRE_FIXED64);
    assert_true(field.value == UINT64_C(0x0102030405060708));
    assert_true(pg_pb_walk_next(&walk, &field));
    assert_true(pg_pb_is_bytes(&field, 2000) && field.bytes.len == 0);
    assert_false(pg_pb_walk_next(&walk, &field));
    assert_int_equal(walk.err, PG_OK);
}

static void test_pb_walk__cut_anywhere__is_malformed_unless_between_fields(void **state)
{
    (void) state;
    pg_bytes message = PG_BYTES_LIT("\x08\x96\x01\x12\x03"
                                    "abc"
                                    "\x1d\x04\x03\x02\x01");
    for (size_t cut = 0; cut <= message.len; cut++) {
        pg_pb_walk walk = pg_pb_walk_make(pg_bytes_slice(message, 0, cut));
        pg_pb_field field;
        while (pg_pb_walk_next(&walk, &field)) {
        }
        bool is_between = cut == 0 || cut == 3 || cut == 8 || cut == 13;
        assert_int_equal(walk.err, is_between ? PG_OK : PG_ERR_MALFORMED);
        assert_false(pg_pb_walk_next(&walk, &field)); // and stays there
    }
}

static void test_pb_walk__broken_fields__are_malformed(void **state)
{
    (void) state;
    static const pg_bytes rows[] = {
        {(const uint8_t *) "\x00\x01", 2},                                          // number 0
        {(const uint8_t *) "\x80\x80\x80\x80\x10\x01", 6},                          // number 2^29
        {(const uint8_t *) "\x0b\x0c", 2},                                          // a group
        {(const uint8_t *) "\x0e\x01", 2},                                          // wire type 6
        {(const uint8_t *) "\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 12}, // 11 bytes
        {(const uint8_t *) "\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 11}, // 2^64 - 1 bytes
        {(const uint8_t *) "\x0a\x02x", 3},
    };
    for (size_t i = 0; i < PG_ARRAY_LEN(rows); i++) {
        pg_pb_walk walk = pg_pb_walk_make(rows[i]);
        pg_pb_field field;
        assert_false(pg_pb_walk_next(&walk, &field));
        assert_int_equal(walk.err, PG_ERR_MALFORMED);
    }
}

static void test_pb_head__bytes_not_here_yet__gives_their_length(void **state)
{
    (void) state;
    pg_pb_field field;
    pg_bytes head = PG_BYTES_LIT("\x12\x80\x80\x40");
    assert_int_equal(pg_pb_head_decode(head, &field), PG_OK);
    assert_true(pg_pb_is_bytes(&field, 2));
    assert_int_equal(field.value, 1 << 20);
    assert_int_equal(field.head_len, 4);
    for (size_t cut = 0; cut < head.len; cut++) {
        assert_int_equal(pg_pb_head_decode(pg_bytes_slice(head, 0, cut), &field), PG_ERR_TRUNCATED);
    }
    // longer than it need be, and a negative int32 in its ten bytes
    assert_int_equal(pg_pb_head_decode(PG_BYTES_LIT("\x88\x00\x81\x80\x00"), &field), PG_OK);
    assert_true(pg_pb_is_varint(&field, 1) && field.value == 1 && field.head_len == 5);
    assert_int_equal(
        pg_pb_head_decode(PG_BYTES_LIT("\x10\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"), &field),
        PG_OK);
    assert_true(field.value == UINT64_MAX);
}

static void test_pb_put__what_is_written__is_read_back(void **state)
{
    (void) state;
    pg_buf buf = {0};
    pg_pb_field field;
    assert_int_equal(pg_pb_put_varint(&buf, 1, 150), PG_OK);
    assert_int_equal(pg_pb_put_varint(&buf, 536870911, UINT64_MAX), PG_OK);
    assert_int_equal(pg_pb_put_bytes(&buf, 2, PG_BYTES_LIT("testing")), PG_OK);
    assert_int_equal(pg_pb_put_head(&buf, 3, 5), PG_OK);
    assert_int_equal(pg_buf_append(&buf, PG_BYTES_LIT("later")), PG_OK);
    assert_true(
        pg_bytes_starts_with(pg_buf_bytes(&buf), PG_BYTES_LIT("\x08\x96\x01\xf8\xff\xff\xff\x0f")));
    pg_pb_walk walk = pg_pb_walk_make(pg_buf_bytes(&buf));
    assert_true(pg_pb_walk_next(&walk, &field) && field.value == 150);
    assert_int_equal(pg_pb_varint_len(150), 2);
    assert_true(pg_pb_walk_next(&walk, &field) && field.value == UINT64_MAX);
    assert_int_equal(pg_pb_varint_len(UINT64_MAX), 10);
    assert_true(pg_pb_walk_next(&walk, &field));
    assert_true(pg_bytes_equal(field.bytes, PG_BYTES_LIT("testing")));
    assert_true(pg_pb_walk_next(&walk, &field));
    assert_true(pg_bytes_equal(field.bytes, PG_BYTES_LIT("later")));
    assert_false(pg_pb_walk_next(&walk, &field));
    assert_int_equal(walk.err, PG_OK);
    pg_buf_deinit(&buf);

    pg_buf full = {.max_len = 4};
    assert_int_equal(pg_pb_put_bytes(&full, 1, PG_BYTES_LIT("abc")), PG_ERR_LIMIT);
    assert_int_equal(full.len, 0);
    pg_buf_deinit(&full);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pb_walk__each_wire_type__is_seen),
        cmocka_unit_test(test_pb_walk__cut_anywhere__is_malformed_unless_between_fields),
        cmocka_unit_test(test_pb_walk__broken_fields__are_malformed),
        cmocka_unit_test(test_pb_head__bytes_not_here_yet__gives_their_length),
        cmocka_unit_test(test_pb_put__what_is_written__is_read_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
