// SPDX-License-Identifier: Apache-2.0
// Goal: a line reaches the sink when its level is on, in a form that no field can break, and no place floods the log.
// Method: a sink that keeps the last line; a clock set by hand.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/log.h"
#include "base/mem.h"

typedef struct kept_lines {
    pg_buf text;
    pg_buf json;
    unsigned count;
} kept_lines;

static void on_line(const pg_log_line *line, void *user)
{
    kept_lines *kept = user;
    kept->count++;
    pg_buf_clear(&kept->text);
    pg_buf_clear(&kept->json);
    assert_int_equal(pg_log_format_text(line, &kept->text), PG_OK);
    assert_int_equal(pg_log_format_json(line, &kept->json), PG_OK);
}

static kept_lines kept;

static void assert_text(const pg_buf *buf, const char *wanted)
{
    assert_int_equal(buf->len, strlen(wanted));
    assert_memory_equal(buf->ptr, wanted, buf->len);
}

static int setup(void **state)
{
    (void) state;
    pg_log_set_sink(on_line, &kept, PG_LOG_LEVEL_INFO);
    kept.count = 0;
    return 0;
}

static int teardown(void **state)
{
    (void) state;
    pg_log_set_sink(NULL, NULL, PG_LOG_LEVEL_INFO);
    pg_log_set_clock(NULL);
    pg_buf_deinit(&kept.text);
    pg_buf_deinit(&kept.json);
    return 0;
}

static void test_log__fields_of_each_type__are_formatted(void **state)
{
    (void) state;
    pg_log(PG_LOG_LEVEL_INFO, "net.listen", PG_LOG_STR("address", "127.0.0.1"),
           PG_LOG_U64("port", UINT64_MAX), PG_LOG_I64("skew_ms", -5), PG_LOG_STR("peer", NULL));
    assert_int_equal(kept.count, 1);
    assert_text(&kept.text,
                "info  net.listen address=127.0.0.1 port=18446744073709551615 skew_ms=-5 "
                "peer=\"\"");
    assert_text(&kept.json, "{\"level\":\"info\",\"event\":\"net.listen\",\"address\":"
                            "\"127.0.0.1\",\"port\":18446744073709551615,\"skew_ms\":-5,"
                            "\"peer\":\"\"}");
}

static void test_log__hostile_field__cannot_break_out(void **state)
{
    (void) state;
    pg_log(PG_LOG_LEVEL_WARN, "net.agent", PG_LOG_STR("agent", "a\"b\\c\n\x1b[31m\x7f d=e"));
    assert_text(&kept.text, "warn  net.agent "
                            "agent=\"a\\\"b\\\\c\\u000a\\u001b[31m\\u007f d=e\"");
    assert_text(&kept.json, "{\"level\":\"warn\",\"event\":\"net.agent\",\"agent\":"
                            "\"a\\\"b\\\\c\\u000a\\u001b[31m\\u007f d=e\"}");
}

static void test_log__bytes_that_are_no_text__are_escaped(void **state)
{
    (void) state;
    // Well-formed UTF-8 stays; a lone byte, a C1 control, a surrogate and an overlong form do not.
    pg_log(PG_LOG_LEVEL_INFO, "net.agent",
           PG_LOG_STR("agent",
                      "\xc3\xa4\xe2\x82\xac\xf0\x9f\x8c\x8d \xff \xc2\x9b \xed\xa0\x80 \xc0\xaf"));
    assert_true(pg_str_equal(
        pg_buf_str(&kept.json),
        PG_STR(
            "{\"level\":\"info\",\"event\":\"net.agent\",\"agent\":\"\xc3\xa4\xe2\x82\xac\xf0\x9f"
            "\x8c\x8d \\u00ff \\u00c2\\u009b \\u00ed\\u00a0\\u0080 \\u00c0\\u00af\"}")));
}

static void test_log__level__decides(void **state)
{
    (void) state;
    pg_log(PG_LOG_LEVEL_DEBUG, "quiet", PG_LOG_U64("n", 1));
    assert_int_equal(kept.count, 0);
    pg_log_set_level(PG_LOG_LEVEL_TRACE);
    assert_true(pg_log_is_on(PG_LOG_LEVEL_TRACE));
    pg_log(PG_LOG_LEVEL_DEBUG, "loud", PG_LOG_U64("n", 1));
    assert_int_equal(kept.count, 1);
    pg_log_set_sink(NULL, NULL, PG_LOG_LEVEL_TRACE);
    pg_log_set_level(PG_LOG_LEVEL_TRACE); // without a sink nothing is on
    assert_false(pg_log_is_on(PG_LOG_LEVEL_ERROR));
    const pg_log_line line = {PG_LOG_LEVEL_ERROR, "nowhere", NULL, 0, 0};
    pg_log_write(&line);
    assert_int_equal(kept.count, 1);
}

static void test_log__level_names__are_read_back(void **state)
{
    (void) state;
    pg_log_level level = PG_LOG_LEVEL_COUNT;
    assert_int_equal(pg_log_level_from_name(PG_STR("error"), &level), PG_OK);
    assert_int_equal(level, PG_LOG_LEVEL_ERROR);
    assert_int_equal(pg_log_level_from_name(PG_STR("trace"), &level), PG_OK);
    assert_int_equal(level, PG_LOG_LEVEL_TRACE);
    assert_int_equal(pg_log_level_from_name(PG_STR("Trace"), &level), PG_ERR_INVALID);
    assert_int_equal(pg_log_level_from_name(PG_STR(""), &level), PG_ERR_INVALID);
}

static uint64_t clock_ms;

static uint64_t on_clock(void)
{
    return clock_ms;
}

static void log_limited(uint64_t number)
{
    pg_log_limited(PG_LOG_LEVEL_INFO, "flood", PG_LOG_U64("n", number));
}

static void test_log_limited__flood__is_cut_and_told(void **state)
{
    (void) state;
    pg_log_set_clock(on_clock);
    clock_ms = 0;
    for (uint64_t i = 0; i < 1000; i++) {
        log_limited(i);
    }
    assert_int_equal(kept.count, PG_LOG_LIMIT_LINES);
    clock_ms = PG_LOG_LIMIT_WINDOW_MS - 1;
    log_limited(1000);
    assert_int_equal(kept.count, PG_LOG_LIMIT_LINES);
    clock_ms = PG_LOG_LIMIT_WINDOW_MS;
    log_limited(1001);
    assert_int_equal(kept.count, PG_LOG_LIMIT_LINES + 1);
    assert_text(&kept.text, "info  flood n=1001 suppressed=991");
    assert_text(&kept.json,
                "{\"level\":\"info\",\"event\":\"flood\",\"n\":1001,\"suppressed\":991}");
    log_limited(1002);
    assert_text(&kept.text, "info  flood n=1002");
}

static void test_log_limiter__no_clock__admits_all(void **state)
{
    (void) state;
    pg_log_limiter limiter = {0};
    uint64_t suppressed = 7;
    for (int i = 0; i < 100; i++) {
        assert_true(pg_log_limiter_admit(&limiter, &suppressed));
        assert_int_equal(suppressed, 0);
    }
}

static void test_log_format__no_room__is_an_error_at_every_length(void **state)
{
    (void) state;
    const pg_log_field fields[] = {PG_LOG_STR("a", "plain"), PG_LOG_STR("b", "\"\n\xff"),
                                   PG_LOG_U64("c", 1), PG_LOG_I64("d", -1)};
    const pg_log_line line = {PG_LOG_LEVEL_ERROR, "event", fields, PG_ARRAY_LEN(fields), 3};
    for (int json = 0; json < 2; json++) {
        pg_err err = PG_ERR_LIMIT;
        for (size_t max = 1; err != PG_OK; max++) {
            pg_buf buf = {.max_len = max};
            err = json != 0 ? pg_log_format_json(&line, &buf) : pg_log_format_text(&line, &buf);
            assert_true(err == PG_OK || err == PG_ERR_LIMIT);
            assert_true(buf.len <= max);
            pg_buf_deinit(&buf);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_log__fields_of_each_type__are_formatted, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_log__hostile_field__cannot_break_out, setup, teardown),
        cmocka_unit_test_setup_teardown(test_log__bytes_that_are_no_text__are_escaped, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_log__level__decides, setup, teardown),
        cmocka_unit_test_setup_teardown(test_log__level_names__are_read_back, setup, teardown),
        cmocka_unit_test_setup_teardown(test_log_limited__flood__is_cut_and_told, setup, teardown),
        cmocka_unit_test_setup_teardown(test_log_limiter__no_clock__admits_all, setup, teardown),
        cmocka_unit_test_setup_teardown(test_log_format__no_room__is_an_error_at_every_length,
                                        setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
