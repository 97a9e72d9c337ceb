// SPDX-License-Identifier: Apache-2.0
// Goal: messages come out of a stream as they went in, and one that is too long is refused at its first bytes.
// Method: a stream fed byte by byte; failing allocations.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "codec/frame.h"

static void test_frame__stream_byte_by_byte__gives_each_message_once(void **state)
{
    (void) state;
    pg_buf stream = {0};
    uint8_t big[300];
    memset(big, 0x5a, sizeof(big));
    assert_int_equal(pg_frame_append(&stream, PG_BYTES_LIT("first")), PG_OK);
    assert_int_equal(pg_frame_append(&stream, PG_BYTES_EMPTY), PG_OK);
    assert_int_equal(pg_frame_append(&stream, PG_BYTES_OF(big)), PG_OK);
    assert_int_equal(stream.len, 1 + 5 + 1 + 2 + 300);

    const size_t wants[] = {5, 0, 300};
    pg_bytes rest = pg_buf_bytes(&stream);
    size_t have = 0;
    size_t count = 0;
    while (count < PG_ARRAY_LEN(wants)) {
        pg_bytes body = PG_BYTES_EMPTY;
        size_t len = 0;
        pg_err err = pg_frame_decode(pg_bytes_slice(rest, 0, have), 300, &body, &len);
        if (err == PG_ERR_TRUNCATED) {
            have++;
            continue;
        }
        assert_int_equal(err, PG_OK);
        assert_int_equal(len, have); // not one byte later than needed
        assert_int_equal(body.len, wants[count++]);
        rest = pg_bytes_slice(rest, len, rest.len);
        have = 0;
    }
    assert_int_equal(rest.len, 0);
    pg_buf_deinit(&stream);
}

static void test_frame__too_long__is_refused_at_its_length(void **state)
{
    (void) state;
    pg_bytes body = PG_BYTES_EMPTY;
    size_t len = 0;
    assert_int_equal(pg_frame_decode(PG_BYTES_LIT("\x81\x20"), 4096, &body, &len), PG_ERR_LIMIT);
    pg_bytes huge = PG_BYTES_LIT("\xff\xff\xff\xff\xff\xff\xff\xff\x7f");
    assert_int_equal(pg_frame_decode(huge, SIZE_MAX, &body, &len), PG_ERR_TRUNCATED);
    assert_int_equal(pg_frame_decode(PG_BYTES_LIT("\x80\x00"), 10, &body, &len), PG_ERR_MALFORMED);
}

static void test_frame__buffer_full_or_memory_out__stays_as_it_was(void **state)
{
    (void) state;
    pg_buf buf = {.max_len = 8};
    assert_int_equal(pg_frame_append(&buf, PG_BYTES_LIT("abc")), PG_OK);
    assert_int_equal(pg_frame_append(&buf, PG_BYTES_LIT("abcd")), PG_ERR_LIMIT);
    assert_int_equal(buf.len, 4);
    pg_buf_deinit(&buf);

    uint8_t *space = NULL;
    pg_buf other = {0};
    pg_mem_fail_nth(1);
    assert_int_equal(pg_frame_extend(&other, 10, &space), PG_ERR_NOMEM);
    assert_true(pg_mem_failed());
    pg_mem_fail_nth(0);
    assert_int_equal(pg_frame_extend(&other, SIZE_MAX, &space), PG_ERR_LIMIT);
    assert_null(space);
    assert_int_equal(other.len, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_frame__stream_byte_by_byte__gives_each_message_once),
        cmocka_unit_test(test_frame__too_long__is_refused_at_its_length),
        cmocka_unit_test(test_frame__buffer_full_or_memory_out__stays_as_it_was),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
