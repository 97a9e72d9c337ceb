// SPDX-License-Identifier: Apache-2.0
// Goal: an error carries its detail and the contexts callers put before it, and never anything stale or unprintable.
// Method: direct calls.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/err.h"

static void test_error__kept_over_a_clean_up__is_the_same_again(void **state)
{
    (void) state;
    assert_int_equal(pg_fail(PG_ERR_FULL, "no room for %d", 7), PG_ERR_FULL);
    const pg_error_record kept = pg_error_keep();
    assert_int_equal(pg_fail(PG_ERR_IO, "the clean-up"), PG_ERR_IO);
    assert_int_equal(pg_error_again(&kept, PG_ERR_IO), PG_ERR_IO); // not what was kept
    assert_string_equal(pg_error_last()->text, "the clean-up");
    assert_int_equal(pg_error_again(&kept, PG_OK), PG_OK);
    assert_string_equal(pg_error_last()->text, "the clean-up");
    assert_int_equal(pg_error_again(&kept, PG_ERR_FULL), PG_ERR_FULL);
    assert_string_equal(pg_error_detail(PG_ERR_FULL), "no room for 7");
    assert_int_equal(pg_error_last()->line, kept.line);
}

static void test_error__set_and_wrapped__reads_outermost_first(void **state)
{
    (void) state;
    pg_err err = pg_fail(PG_ERR_TRUNCATED, "has %d bytes", 12);
    err = pg_error_wrap(err, "shard %d", 7);
    err = pg_error_wrap(err, "segment %d", 3);
    assert_int_equal(err, PG_ERR_TRUNCATED);
    assert_string_equal(pg_error_detail(err), "segment 3: shard 7: has 12 bytes");
}

static void test_error__wrap_without_record__starts_from_plain_text(void **state)
{
    (void) state;
    pg_error_clear();
    pg_err err = pg_error_wrap(PG_ERR_TIMEOUT, "dial");
    assert_string_equal(pg_error_detail(err), "dial: timed out");
    assert_int_equal(pg_error_wrap(PG_OK, "nothing"), PG_OK);
    assert_string_equal(pg_error_detail(PG_ERR_IO), "input/output error");
}

static void test_error__control_characters__become_question_marks(void **state)
{
    (void) state;
    pg_err err = pg_fail(PG_ERR_MALFORMED, "name '%s'", "a\x1b[31mb\n");
    assert_string_equal(pg_error_detail(err), "name 'a?[31mb?'");
}

static void test_error__foreign_bytes__keep_only_what_is_utf8(void **state)
{
    (void) state;
    pg_err err = pg_fail(PG_ERR_MALFORMED, "name '%s'", "\xc3\xa4 \xff \xc2\x9b");
    assert_string_equal(pg_error_detail(err), "name '\xc3\xa4 ? ?\?'");
}

static void test_error__too_long__is_cut_not_lost(void **state)
{
    (void) state;
    char big[3000];
    memset(big, 'x', sizeof(big) - 1);
    big[sizeof(big) - 1] = '\0';
    pg_err err = pg_fail(PG_ERR_IO, "%s", big);
    assert_int_equal(strlen(pg_error_detail(err)), PG_ERROR_TEXT_BYTES_MAX - 1);
    err = pg_error_wrap(err, "%s", big);
    assert_int_equal(pg_error_detail(err)[0], 'x');
    err = pg_error_wrap(err, "ctx");
    assert_memory_equal(pg_error_detail(err), "ctx: xxx", 8);
}

static void test_error__swapped_record__keeps_fibers_apart(void **state)
{
    (void) state;
    pg_error_clear();
    pg_error_record other = {0};
    pg_error_record *before = pg_error_swap(&other);
    pg_ignore(pg_fail(PG_ERR_IO, "in the other"), "only the record is of interest");
    assert_ptr_equal(pg_error_swap(before), &other);
    assert_string_equal(other.text, "in the other");
    assert_int_equal(pg_error_last()->code, PG_OK);
}

static void test_err__every_code__has_name_text_and_class(void **state)
{
    (void) state;
    assert_string_equal(pg_err_name(PG_ERR_NOT_FOUND), "not_found");
    assert_string_equal(pg_err_text(PG_ERR_NOT_FOUND), "not found");
    assert_int_equal(pg_err_class_of(PG_ERR_PROTOCOL), PG_ERR_CLASS_PEER);
    assert_string_equal(pg_err_name((pg_err) -9999), "unknown");
    assert_string_equal(pg_err_text((pg_err) -9999), "unknown error");
    assert_int_equal(pg_err_class_of((pg_err) -9999), PG_ERR_CLASS_BUG);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_error__kept_over_a_clean_up__is_the_same_again),
        cmocka_unit_test(test_error__set_and_wrapped__reads_outermost_first),
        cmocka_unit_test(test_error__wrap_without_record__starts_from_plain_text),
        cmocka_unit_test(test_error__control_characters__become_question_marks),
        cmocka_unit_test(test_error__foreign_bytes__keep_only_what_is_utf8),
        cmocka_unit_test(test_error__too_long__is_cut_not_lost),
        cmocka_unit_test(test_error__swapped_record__keeps_fibers_apart),
        cmocka_unit_test(test_err__every_code__has_name_text_and_class),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
