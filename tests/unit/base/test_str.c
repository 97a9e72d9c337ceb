// SPDX-License-Identifier: Apache-2.0
// Goal: text is split, read and written strictly.
// Method: direct calls with the faults a person or a peer would send.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "base/str.h"

static void test_str__views__compare_by_content(void **state)
{
    (void) state;
    assert_true(pg_str_equal(pg_str_make("abc"), PG_STR("abc")));
    assert_true(pg_str_equal(pg_str_make(NULL), PG_STR("")));
    assert_false(pg_str_equal(PG_STR("abc"), PG_STR("abd")));
    assert_false(pg_str_equal(PG_STR("abc"), PG_STR("ab")));
    assert_true(pg_str_starts_with(PG_STR("abc"), PG_STR("ab")));
    assert_true(pg_str_starts_with(pg_str_make(NULL), PG_STR("")));
    assert_false(pg_str_starts_with(PG_STR("a"), PG_STR("ab")));
}

static void test_str_split__each_separator__once(void **state)
{
    (void) state;
    pg_str head;
    pg_str rest = pg_str_split(PG_STR("a//b"), '/', &head);
    assert_true(pg_str_equal(head, PG_STR("a")));
    rest = pg_str_split(rest, '/', &head);
    assert_int_equal(head.len, 0);
    assert_non_null(head.ptr);
    rest = pg_str_split(rest, '/', &head);
    assert_true(pg_str_equal(head, PG_STR("b")));
    assert_null(rest.ptr);
    rest = pg_str_split(PG_STR("a/"), '/', &head);
    assert_int_equal(rest.len, 0);
    assert_non_null(rest.ptr); // something empty follows, unlike at the end
    rest = pg_str_split(rest, '/', &head);
    assert_null(rest.ptr);
}

static void test_str_distance__counts_single_changes(void **state)
{
    (void) state;
    assert_int_equal(pg_str_distance(PG_STR(""), PG_STR("")), 0);
    assert_int_equal(pg_str_distance(PG_STR("status"), PG_STR("status")), 0);
    assert_int_equal(pg_str_distance(PG_STR(""), PG_STR("abc")), 3);
    assert_int_equal(pg_str_distance(PG_STR("abc"), PG_STR("")), 3);
    assert_int_equal(pg_str_distance(PG_STR("stauts"), PG_STR("status")), 2);
    assert_int_equal(pg_str_distance(PG_STR("kitten"), PG_STR("sitting")), 3);
    char longer[200];
    memset(longer, 'x', sizeof(longer));
    assert_int_equal(pg_str_distance(pg_str_make_len(longer, 200), pg_str_make_len(longer, 100)),
                     0); // of which only the beginning counts
    assert_true(pg_str_is_near(PG_STR("stauts"), 2));
    assert_false(pg_str_is_near(PG_STR("xx"), 2)); // nothing of it is left
    assert_false(pg_str_is_near(PG_STR("status"), 4));
}

static void test_str_printable_len__every_kind_of_character__has_its_length(void **state)
{
    (void) state;
    static const struct {
        const char *text;
        size_t len;
    } rows[] = {
        {"", 0},
        {"a", 1},
        {"~", 1},
        {"\x1f", 0},             // a control character
        {"\x7f", 0},             //
        {"\x80", 0},             // goes on, but begins nothing
        {"\xc2\x9f", 0},         // a control character in two bytes
        {"\xc2\xa0", 2},         //
        {"\xc1\xbf", 0},         // overlong
        {"\xc3", 0},             // cut
        {"\xc3\x41", 0},         //
        {"\xdf\xbf", 2},         //
        {"\xe0\x9f\xbf", 0},     // overlong
        {"\xe0\xa0\x80", 3},     //
        {"\xe2\x82", 0},         // cut
        {"\xe2\x82\xac", 3},     //
        {"\xe2\x82\x41", 0},     //
        {"\xed\x9f\xbf", 3},     //
        {"\xed\xa0\x80", 0},     // a surrogate
        {"\xee\x80\x80", 3},     //
        {"\xf0\x8f\xbf\xbf", 0}, // overlong
        {"\xf0\x90\x80\x80", 4}, //
        {"\xf3\xbf\xbf\xbf", 4}, //
        {"\xf4\x8f\xbf\xbf", 4}, // the last
        {"\xf4\x90\x80\x80", 0}, // beyond it
        {"\xf5\x80\x80\x80", 0}, //
        {"\xff", 0},
    };
    for (size_t i = 0; i < PG_ARRAY_LEN(rows); i++) {
        assert_int_equal(pg_str_printable_len(pg_str_make(rows[i].text)), rows[i].len);
    }
}

static void test_str_dup__view__becomes_terminated(void **state)
{
    (void) state;
    char *copy = pg_str_dup(pg_str_make_len("abcdef", 3));
    assert_string_equal(copy, "abc");
    pg_mfree(copy);
    copy = pg_str_dup(pg_str_make(NULL));
    assert_string_equal(copy, "");
    pg_mfree(copy);
    pg_mem_fail_nth(1);
    assert_null(pg_str_dup(PG_STR("abc")));
    assert_null(pg_str_dup(pg_str_make_len("", SIZE_MAX)));
}

static void test_str_to_u64__digits_only__up_to_the_limit(void **state)
{
    (void) state;
    uint64_t value = 0;
    assert_int_equal(pg_str_to_u64(PG_STR("0"), 0, &value), PG_OK);
    assert_int_equal(pg_str_to_u64(PG_STR("65535"), 65535, &value), PG_OK);
    assert_int_equal(value, 65535);
    assert_int_equal(pg_str_to_u64(PG_STR("18446744073709551615"), UINT64_MAX, &value), PG_OK);
    assert_true(value == UINT64_MAX);
    static const char *const faulty[] = {"",
                                         " 1",
                                         "1 ",
                                         "+1",
                                         "-1",
                                         "a",
                                         "1a",
                                         "0x1",
                                         "65536",
                                         "18446744073709551616",
                                         "99999999999999999999999"};
    for (size_t i = 0; i < PG_ARRAY_LEN(faulty); i++) {
        uint64_t max = strlen(faulty[i]) > 6 ? UINT64_MAX : 65535;
        assert_int_equal(pg_str_to_u64(pg_str_make(faulty[i]), max, &value), PG_ERR_INVALID);
    }
    assert_true(value == UINT64_MAX);
}

static void test_buf_printf__text__is_appended_and_terminated(void **state)
{
    (void) state;
    pg_buf buf = {0};
    assert_int_equal(pg_buf_printf(&buf, "%s=%d", "a", 1), PG_OK);
    assert_int_equal(pg_buf_printf(&buf, " %100s", "b"), PG_OK);
    assert_int_equal(buf.len, 104);
    assert_int_equal(buf.ptr[104], 0);
    assert_true(pg_str_starts_with(pg_buf_str(&buf), PG_STR("a=1  ")));
    pg_mem_fail_nth(1);
    assert_int_equal(pg_buf_printf(&buf, "%1000s", "c"), PG_ERR_NOMEM);
    assert_int_equal(buf.len, 104);
    pg_buf_deinit(&buf);
    pg_buf small = {.max_len = 3};
    assert_int_equal(pg_buf_printf(&small, "abc"), PG_ERR_LIMIT); // no room for the NUL
    assert_int_equal(pg_buf_printf(&small, "ab"), PG_OK);
    pg_buf_deinit(&small);
}

static void test_hex__both_cases__are_read_one_is_written(void **state)
{
    (void) state;
    char text[11];
    uint8_t bytes[5];
    pg_hex_encode(PG_BYTES_LIT("\x00\x1f\xa0\xff\x9c"), text);
    assert_string_equal(text, "001fa0ff9c");
    assert_int_equal(pg_hex_decode(PG_STR("001Fa0Ff9c"), PG_MUT_BYTES_OF(bytes)), PG_OK);
    assert_memory_equal(bytes, "\x00\x1f\xa0\xff\x9c", 5);
    static const char *const faulty[] = {
        "",           "001fa0ff9",  "001fa0ff9c00",    "001fa0ff9g",
        "0x1fa0ff9c", " 01fa0ff9c", "001fa0ff\x80\x80"};
    for (size_t i = 0; i < PG_ARRAY_LEN(faulty); i++) {
        assert_int_equal(pg_hex_decode(pg_str_make(faulty[i]), PG_MUT_BYTES_OF(bytes)),
                         PG_ERR_MALFORMED);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_str__views__compare_by_content),
        cmocka_unit_test(test_str_split__each_separator__once),
        cmocka_unit_test(test_str_distance__counts_single_changes),
        cmocka_unit_test(test_str_printable_len__every_kind_of_character__has_its_length),
        cmocka_unit_test(test_str_dup__view__becomes_terminated),
        cmocka_unit_test(test_str_to_u64__digits_only__up_to_the_limit),
        cmocka_unit_test(test_buf_printf__text__is_appended_and_terminated),
        cmocka_unit_test(test_hex__both_cases__are_read_one_is_written),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
