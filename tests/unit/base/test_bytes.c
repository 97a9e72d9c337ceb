// SPDX-License-Identifier: Apache-2.0
// Goal: views, buffers, readers and writers stay in bounds, and a failed reader or writer stays failed.
// Method: direct calls with every edge: empty, exact fit, one too many, limits, failing allocations.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/bytes.h"
#include "base/mem.h"

static void test_bytes__read_in_pieces__each_once_and_nothing_at_the_end(void **state)
{
    (void) state;
    uint8_t space[4] = {0};
    pg_bytes rest = PG_BYTES_LIT("abcdef");
    assert_int_equal(pg_bytes_read(&rest, PG_MUT_BYTES_OF(space)), 4);
    assert_memory_equal(space, "abcd", 4);
    assert_int_equal(pg_bytes_read(&rest, pg_mut_bytes_make(NULL, 0)), 0);
    assert_int_equal(pg_bytes_read(&rest, PG_MUT_BYTES_OF(space)), 2);
    assert_memory_equal(space, "efcd", 4);
    assert_int_equal(pg_bytes_read(&rest, PG_MUT_BYTES_OF(space)), 0);
    assert_int_equal(rest.len, 0);
}

static void test_bytes__slices__stay_inside(void **state)
{
    (void) state;
    pg_bytes all = PG_BYTES_LIT("abcdef");
    assert_true(pg_bytes_equal(pg_bytes_slice(all, 1, 3), PG_BYTES_LIT("bcd")));
    assert_true(pg_bytes_equal(pg_bytes_slice(all, 4, SIZE_MAX), PG_BYTES_LIT("ef")));
    assert_int_equal(pg_bytes_slice(all, 6, 1).len, 0);
    assert_int_equal(pg_bytes_slice(all, SIZE_MAX, SIZE_MAX).len, 0);
    assert_int_equal(pg_bytes_slice(PG_BYTES_EMPTY, 0, 1).len, 0);
    assert_true(pg_bytes_equal(pg_bytes_cstr("abcdef"), all));
    uint8_t array[2] = {1, 2};
    assert_int_equal(pg_bytes_const(PG_MUT_BYTES_OF(array)).len, 2);
    assert_ptr_equal(pg_mut_bytes_make(array, 1).ptr, array);
}

static void test_bytes__comparisons__order_by_content_then_length(void **state)
{
    (void) state;
    assert_true(pg_bytes_equal(PG_BYTES_EMPTY, PG_BYTES_LIT("")));
    assert_false(pg_bytes_equal(PG_BYTES_LIT("a"), PG_BYTES_LIT("ab")));
    assert_false(pg_bytes_equal(PG_BYTES_LIT("a"), PG_BYTES_LIT("b")));
    assert_int_equal(pg_bytes_compare(PG_BYTES_EMPTY, PG_BYTES_EMPTY), 0);
    assert_true(pg_bytes_compare(PG_BYTES_EMPTY, PG_BYTES_LIT("a")) < 0);
    assert_true(pg_bytes_compare(PG_BYTES_LIT("ab"), PG_BYTES_LIT("a")) > 0);
    assert_true(pg_bytes_compare(PG_BYTES_LIT("\xff"), PG_BYTES_LIT("\x01z")) > 0);
    assert_true(pg_bytes_starts_with(PG_BYTES_LIT("abc"), PG_BYTES_LIT("ab")));
    assert_true(pg_bytes_starts_with(PG_BYTES_LIT("abc"), PG_BYTES_EMPTY));
    assert_true(pg_bytes_starts_with(PG_BYTES_EMPTY, PG_BYTES_EMPTY));
    assert_false(pg_bytes_starts_with(PG_BYTES_LIT("a"), PG_BYTES_LIT("ab")));
    assert_false(pg_bytes_starts_with(PG_BYTES_LIT("xb"), PG_BYTES_LIT("a")));
}

static void test_buf__appends__grow_and_keep_the_content(void **state)
{
    (void) state;
    pg_buf buf = {0};
    for (unsigned i = 0; i < 5000; i++) {
        uint8_t byte = (uint8_t) i;
        assert_int_equal(pg_buf_append(&buf, pg_bytes_make(&byte, 1)), PG_OK);
    }
    assert_int_equal(pg_buf_append(&buf, PG_BYTES_EMPTY), PG_OK);
    assert_int_equal(buf.len, 5000);
    for (unsigned i = 0; i < 5000; i++) {
        assert_int_equal(pg_buf_bytes(&buf).ptr[i], (uint8_t) i);
    }
    uint8_t *space = NULL;
    assert_int_equal(pg_buf_extend(&buf, 3, &space), PG_OK);
    space[0] = 'x';
    space[1] = 'y';
    space[2] = 'z';
    pg_buf_consume(&buf, 5000);
    assert_true(pg_bytes_equal(pg_buf_bytes(&buf), PG_BYTES_LIT("xyz")));
    pg_buf_consume(&buf, 1);
    assert_true(pg_bytes_equal(pg_buf_bytes(&buf), PG_BYTES_LIT("yz")));
    pg_buf_consume(&buf, 99);
    assert_int_equal(buf.len, 0);
    pg_buf_consume(&buf, 0);
    pg_buf_clear(&buf);
    pg_buf_deinit(&buf);
    assert_null(buf.ptr);
    pg_buf_deinit(&buf);
    pg_buf_deinit(NULL);
}

static void test_buf__limit__refuses_what_is_beyond_and_survives_deinit(void **state)
{
    (void) state;
    pg_buf buf = {.max_len = 100};
    static const uint8_t data[101];
    uint8_t *space = NULL;
    assert_int_equal(pg_buf_append(&buf, PG_BYTES_OF(data)), PG_ERR_LIMIT);
    assert_int_equal(pg_buf_append(&buf, pg_bytes_make(data, 100)), PG_OK);
    assert_true(buf.cap <= 100);
    assert_int_equal(pg_buf_extend(&buf, 1, &space), PG_ERR_LIMIT);
    assert_int_equal(pg_buf_reserve(&buf, SIZE_MAX), PG_ERR_LIMIT);
    assert_null(space);
    assert_int_equal(buf.len, 100);
    pg_buf_deinit(&buf);
    assert_int_equal(buf.max_len, 100);
}

static void test_buf__memory_is_out__stays_as_it_was(void **state)
{
    (void) state;
    pg_buf buf = {0};
    assert_int_equal(pg_buf_append(&buf, PG_BYTES_LIT("abc")), PG_OK);
    pg_mem_fail_nth(1);
    assert_int_equal(pg_buf_reserve(&buf, 1000), PG_ERR_NOMEM);
    assert_true(pg_bytes_equal(pg_buf_bytes(&buf), PG_BYTES_LIT("abc")));
    pg_buf_deinit(&buf);
    volatile size_t most = SIZE_MAX - 10;
    assert_int_equal(pg_buf_reserve(&buf, most), PG_ERR_NOMEM); // the doubling must not wrap
}

static void test_reader__fields__come_out_as_the_writer_put_them(void **state)
{
    (void) state;
    uint8_t space[64];
    pg_writer writer = pg_writer_make(PG_MUT_BYTES_OF(space));
    pg_writer_u8(&writer, 0x12);
    pg_writer_u16be(&writer, 0x3456);
    pg_writer_u32be(&writer, 0x789abcde);
    pg_writer_u64be(&writer, 0x0102030405060708);
    pg_writer_put(&writer, PG_BYTES_LIT("tail"));
    pg_writer_put(&writer, PG_BYTES_EMPTY);
    assert_false(writer.failed);
    assert_true(pg_bytes_equal(pg_writer_bytes(&writer),
                               PG_BYTES_LIT("\x12\x34\x56\x78\x9a\xbc\xde"
                                            "\x01\x02\x03\x04\x05\x06\x07\x08tail")));
    pg_reader reader = pg_reader_make(pg_writer_bytes(&writer));
    char tail[4];
    assert_int_equal(pg_reader_u8(&reader), 0x12);
    assert_int_equal(pg_reader_u16be(&reader), 0x3456);
    assert_int_equal(pg_reader_u32be(&reader), 0x789abcde);
    assert_true(pg_reader_u64be(&reader) == 0x0102030405060708);
    assert_int_equal(pg_reader_finish(&reader), PG_ERR_MALFORMED);
    pg_reader_copy(&reader, tail, sizeof(tail));
    assert_memory_equal(tail, "tail", 4);
    pg_reader_copy(&reader, NULL, 0);
    assert_int_equal(pg_reader_take(&reader, 0).len, 0);
    assert_int_equal(pg_reader_finish(&reader), PG_OK);
}

static void test_reader__beyond_the_end__fails_for_good(void **state)
{
    (void) state;
    pg_reader reader = pg_reader_make(PG_BYTES_LIT("\x01\x02\x03"));
    uint8_t out[4] = {9, 9, 9, 9};
    assert_int_equal(pg_reader_u32be(&reader), 0);
    assert_true(reader.failed);
    assert_int_equal(pg_reader_u8(&reader), 0); // though three bytes would be there
    pg_reader_copy(&reader, out, sizeof(out));
    assert_memory_equal(out, "\0\0\0\0", 4);
    assert_int_equal(pg_reader_take(&reader, 1).len, 0);
    assert_int_equal(pg_reader_finish(&reader), PG_ERR_TRUNCATED);
    reader = pg_reader_make(PG_BYTES_EMPTY);
    assert_int_equal(pg_reader_finish(&reader), PG_OK);
}

static void test_writer__beyond_the_end__fails_for_good(void **state)
{
    (void) state;
    uint8_t space[4] = {0};
    pg_writer writer = pg_writer_make(pg_mut_bytes_make(space, 3));
    pg_writer_u16be(&writer, 0x0102);
    pg_writer_u16be(&writer, 0x0304);
    assert_true(writer.failed);
    pg_writer_u8(&writer, 5); // would fit
    assert_int_equal(writer.len, 2);
    assert_memory_equal(space, "\x01\x02\0\0", 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bytes__read_in_pieces__each_once_and_nothing_at_the_end),
        cmocka_unit_test(test_bytes__slices__stay_inside),
        cmocka_unit_test(test_bytes__comparisons__order_by_content_then_length),
        cmocka_unit_test(test_buf__appends__grow_and_keep_the_content),
        cmocka_unit_test(test_buf__limit__refuses_what_is_beyond_and_survives_deinit),
        cmocka_unit_test(test_buf__memory_is_out__stays_as_it_was),
        cmocka_unit_test(test_reader__fields__come_out_as_the_writer_put_them),
        cmocka_unit_test(test_reader__beyond_the_end__fails_for_good),
        cmocka_unit_test(test_writer__beyond_the_end__fails_for_good),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
