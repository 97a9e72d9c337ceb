// SPDX-License-Identifier: Apache-2.0
// Goal: a varint has exactly one form, at most 9 bytes, and a reader that met a wrong one has failed.
// Method: values at every length boundary, and the faulty forms of the specification.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "codec/varint.h"

static void test_uvarint__each_length__round_trips(void **state)
{
    (void) state;
    for (unsigned bits = 0; bits <= 63; bits++) {
        uint64_t value = ((uint64_t) 1 << bits) - 1; // the largest number of so many bits
        uint8_t space[PG_UVARINT_BYTES_MAX];
        pg_writer writer = pg_writer_make(PG_MUT_BYTES_OF(space));
        pg_writer_uvarint(&writer, value);
        assert_false(writer.failed);
        assert_int_equal(writer.len, bits == 0 ? 1 : (bits + 6) / 7);
        assert_int_equal(pg_uvarint_len(value), writer.len);
        uint64_t read = 0;
        size_t len = 0;
        assert_int_equal(pg_uvarint_decode(pg_writer_bytes(&writer), &read, &len), PG_OK);
        assert_true(read == value);
        assert_int_equal(len, writer.len);
        for (size_t cut = 0; cut < writer.len; cut++) {
            pg_bytes part = pg_bytes_make(space, cut);
            assert_int_equal(pg_uvarint_decode(part, &read, &len), PG_ERR_TRUNCATED);
        }
    }
}

static void test_uvarint__published_values__match(void **state)
{
    (void) state;
    static const struct {
        uint64_t value;
        pg_bytes encoded;
    } rows[] = {
        {1, {(const uint8_t *) "\x01", 1}},       {127, {(const uint8_t *) "\x7f", 1}},
        {128, {(const uint8_t *) "\x80\x01", 2}}, {255, {(const uint8_t *) "\xff\x01", 2}},
        {300, {(const uint8_t *) "\xac\x02", 2}}, {16384, {(const uint8_t *) "\x80\x80\x01", 3}},
    };
    for (size_t i = 0; i < PG_ARRAY_LEN(rows); i++) {
        uint64_t value = 0;
        size_t len = 0;
        assert_int_equal(pg_uvarint_decode(rows[i].encoded, &value, &len), PG_OK);
        assert_int_equal(value, rows[i].value);
        assert_int_equal(len, rows[i].encoded.len);
    }
}

static void test_uvarint__wrong_forms__are_malformed(void **state)
{
    (void) state;
    uint64_t value = 7;
    size_t len = 7;
    assert_int_equal(pg_uvarint_decode(PG_BYTES_LIT("\x80\x00"), &value, &len), PG_ERR_MALFORMED);
    assert_int_equal(pg_uvarint_decode(PG_BYTES_LIT("\xff\x80\x00"), &value, &len),
                     PG_ERR_MALFORMED);
    pg_bytes ten = PG_BYTES_LIT("\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01");
    assert_int_equal(pg_uvarint_decode(ten, &value, &len), PG_ERR_MALFORMED);
    pg_bytes nine = pg_bytes_slice(ten, 0, 9);
    assert_int_equal(pg_uvarint_decode(nine, &value, &len), PG_ERR_MALFORMED);
    assert_int_equal(value, 7);
    assert_int_equal(len, 7);
}

static void test_uvarint__beyond_63_bits__fails_the_writer(void **state)
{
    (void) state;
    uint8_t space[16];
    pg_writer writer = pg_writer_make(PG_MUT_BYTES_OF(space));
    pg_writer_uvarint(&writer, PG_UVARINT_MAX + 1);
    assert_true(writer.failed);
    assert_int_equal(writer.len, 0);
}

static void test_uvarint_reader__row_of_fields__is_taken_in_order(void **state)
{
    (void) state;
    uint8_t space[16];
    pg_writer writer = pg_writer_make(PG_MUT_BYTES_OF(space));
    pg_writer_uvarint(&writer, 1000);
    pg_writer_uvarint_bytes(&writer, PG_BYTES_LIT("abc"));
    pg_writer_uvarint_bytes(&writer, PG_BYTES_EMPTY);
    pg_reader reader = pg_reader_make(pg_writer_bytes(&writer));
    uint64_t value = 0;
    pg_bytes bytes = PG_BYTES_EMPTY;
    assert_int_equal(pg_reader_uvarint(&reader, 1000, &value), PG_OK);
    assert_int_equal(value, 1000);
    assert_int_equal(pg_reader_uvarint_bytes(&reader, 3, &bytes), PG_OK);
    assert_true(pg_bytes_equal(bytes, PG_BYTES_LIT("abc")));
    assert_int_equal(pg_reader_uvarint_bytes(&reader, 3, &bytes), PG_OK);
    assert_int_equal(bytes.len, 0);
    assert_int_equal(pg_reader_finish(&reader), PG_OK);
    assert_int_equal(pg_reader_uvarint(&reader, 1, &value), PG_ERR_TRUNCATED);
}

static void test_uvarint_reader__beyond_limit__has_failed_for_good(void **state)
{
    (void) state;
    uint64_t value = 5;
    pg_bytes bytes = PG_BYTES_EMPTY;
    pg_reader reader = pg_reader_make(PG_BYTES_LIT("\x10\x01"));
    assert_int_equal(pg_reader_uvarint(&reader, 15, &value), PG_ERR_LIMIT);
    assert_int_equal(pg_reader_uvarint(&reader, 99, &value), PG_ERR_TRUNCATED);
    assert_int_equal(value, 5);
    reader = pg_reader_make(PG_BYTES_LIT("\x03\x61\x62"));
    assert_int_equal(pg_reader_uvarint_bytes(&reader, 2, &bytes), PG_ERR_LIMIT);
    reader = pg_reader_make(PG_BYTES_LIT("\x03\x61\x62"));
    assert_int_equal(pg_reader_uvarint_bytes(&reader, 3, &bytes), PG_ERR_TRUNCATED);
    assert_true(reader.failed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_uvarint__each_length__round_trips),
        cmocka_unit_test(test_uvarint__published_values__match),
        cmocka_unit_test(test_uvarint__wrong_forms__are_malformed),
        cmocka_unit_test(test_uvarint__beyond_63_bits__fails_the_writer),
        cmocka_unit_test(test_uvarint_reader__row_of_fields__is_taken_in_order),
        cmocka_unit_test(test_uvarint_reader__beyond_limit__has_failed_for_good),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
