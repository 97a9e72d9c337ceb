// SPDX-License-Identifier: Apache-2.0
// Goal: paths and parameters are read as they were meant, and what is odd or too much is refused with a reason.
// Method: direct calls.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "api/uri.h"

static pg_uri uri;

static void assert_refused(const char *text, const char *detail)
{
    pg_err err = pg_uri_decode(pg_str_make(text), &uri);
    assert_int_equal(err, PG_ERR_INVALID);
    assert_non_null(strstr(pg_error_detail(err), detail));
}

static void test_uri__parameters__are_decoded(void **state)
{
    (void) state;
    assert_int_equal(
        pg_uri_decode(PG_STR("/a/b?name=%C3%A4+b%2Bc&code=8%2b2&&empty=&bare&x=a=b"), &uri), PG_OK);
    assert_string_equal(uri.path, "/a/b");
    assert_int_equal(uri.param_count, 5);
    assert_string_equal(pg_uri_get(&uri, "name"), "\xc3\xa4 b+c");
    assert_string_equal(pg_uri_get(&uri, "code"), "8+2");
    assert_string_equal(pg_uri_get(&uri, "empty"), "");
    assert_string_equal(pg_uri_get(&uri, "bare"), "");
    assert_string_equal(pg_uri_get(&uri, "x"), "a=b");
    assert_null(pg_uri_get(&uri, "nam"));
    assert_int_equal(pg_uri_decode(PG_STR("/"), &uri), PG_OK);
    assert_int_equal(uri.param_count, 0);
    assert_int_equal(pg_uri_decode(PG_STR(""), &uri), PG_OK);
    assert_string_equal(uri.path, "");
}

static void test_uri__odd_queries__are_refused(void **state)
{
    (void) state;
    assert_refused("/?a=%", "'%' without two digits");
    assert_refused("/?a=%4", "'%' without two digits");
    assert_refused("/?a=%4g", "'%' without two digits");
    assert_refused("/?a=%00", "zero byte");
    assert_refused("/?a=1&b=2&a=3", "'a' twice");
    assert_refused("/?%61=1&a=3", "'a' twice");
}

static void test_uri__limits__hold(void **state)
{
    (void) state;
    char text[PG_API_URI_BYTES_MAX + 2];
    memset(text, '&', sizeof(text) - 1);
    memcpy(text, "/?", 2);
    text[PG_API_URI_BYTES_MAX + 1] = '\0';
    assert_refused(text, "more than 4096 bytes");
    // The longest, in which every parameter takes more room decoded than it had.
    for (int i = 0; i < PG_API_PARAMS_MAX; i++) {
        text[2 + 2 * i] = (char) ('a' + i);
    }
    memset(text + 2 + 2 * PG_API_PARAMS_MAX - 1, 'z',
           PG_API_URI_BYTES_MAX - 2 - 2 * PG_API_PARAMS_MAX + 1);
    text[PG_API_URI_BYTES_MAX] = '\0';
    assert_int_equal(pg_uri_decode(pg_str_make(text), &uri), PG_OK);
    assert_int_equal(uri.param_count, PG_API_PARAMS_MAX);
    assert_refused("/?a&b&c&d&e&f&g&h&i&j&k&l&m&n&o&p&q", "more than 16 parameters");
}

static void test_uri_check__parameter_nobody_knows__is_named(void **state)
{
    (void) state;
    assert_int_equal(pg_uri_decode(PG_STR("/?name=a&code=b"), &uri), PG_OK);
    assert_int_equal(pg_uri_check(&uri, "code kind name"), PG_OK);
    assert_int_equal(pg_uri_check(&uri, "code names"), PG_ERR_INVALID);
    assert_string_equal(pg_error_detail(PG_ERR_INVALID), "'name' is no parameter of this path");
    assert_int_equal(pg_uri_check(&uri, NULL), PG_ERR_INVALID);
    assert_int_equal(pg_uri_decode(PG_STR("/?=a"), &uri), PG_OK);
    assert_int_equal(pg_uri_check(&uri, "a b"), PG_ERR_INVALID);
}

static void test_uri__numbers_and_switches__are_checked(void **state)
{
    (void) state;
    uint64_t number = 0;
    bool is_on = false;
    assert_int_equal(pg_uri_decode(PG_STR("/?n=7&x=-1&t=true&f=false&y=yes"), &uri), PG_OK);
    assert_int_equal(pg_uri_u64(&uri, "n", 7, 1, &number), PG_OK);
    assert_int_equal(number, 7);
    assert_int_equal(pg_uri_u64(&uri, "none", 7, 3, &number), PG_OK);
    assert_int_equal(number, 3);
    assert_int_equal(pg_uri_u64(&uri, "n", 6, 1, &number), PG_ERR_INVALID);
    assert_int_equal(pg_uri_u64(&uri, "x", 6, 1, &number), PG_ERR_INVALID);
    assert_int_equal(pg_uri_bool(&uri, "t", &is_on), PG_OK);
    assert_true(is_on);
    assert_int_equal(pg_uri_bool(&uri, "f", &is_on), PG_OK);
    assert_false(is_on);
    assert_int_equal(pg_uri_bool(&uri, "none", &is_on), PG_OK);
    assert_false(is_on);
    assert_int_equal(pg_uri_bool(&uri, "y", &is_on), PG_ERR_INVALID);
}

static void test_uri_match__last_part__may_be_a_name(void **state)
{
    (void) state;
    const char *param = NULL;
    assert_true(pg_uri_match("/a/b", "/a/b", &param));
    assert_string_equal(param, "");
    assert_true(pg_uri_match("/a/xyz", "/a/{id}", &param));
    assert_string_equal(param, "xyz");
    assert_false(pg_uri_match("/a/", "/a/{id}", &param));
    assert_false(pg_uri_match("/a", "/a/{id}", &param));
    assert_false(pg_uri_match("/a/b/c", "/a/{id}", &param));
    assert_false(pg_uri_match("/a/b/", "/a/b", &param));
}

static void test_uri_escape__reads_back(void **state)
{
    (void) state;
    pg_buf text = {0};
    uint8_t all[255];
    for (int i = 0; i < 255; i++) {
        all[i] = (uint8_t) (i + 1);
    }
    assert_int_equal(pg_buf_append(&text, PG_BYTES_LIT("/?a=")), PG_OK);
    assert_int_equal(pg_uri_escape(PG_BYTES_OF(all), &text), PG_OK);
    assert_int_equal(pg_uri_decode(pg_buf_str(&text), &uri), PG_OK);
    assert_memory_equal(pg_uri_get(&uri, "a"), all, sizeof(all));
    pg_buf_clear(&text);
    assert_int_equal(pg_uri_escape(PG_BYTES_LIT("aZ0-._~ /\n"), &text), PG_OK);
    assert_int_equal(text.len, 7 + 9);
    assert_memory_equal(text.ptr, "aZ0-._~%20%2F%0A", text.len + 1); // with its NUL
    pg_buf_deinit(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_uri__parameters__are_decoded),
        cmocka_unit_test(test_uri__odd_queries__are_refused),
        cmocka_unit_test(test_uri__limits__hold),
        cmocka_unit_test(test_uri_check__parameter_nobody_knows__is_named),
        cmocka_unit_test(test_uri__numbers_and_switches__are_checked),
        cmocka_unit_test(test_uri_match__last_part__may_be_a_name),
        cmocka_unit_test(test_uri_escape__reads_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
