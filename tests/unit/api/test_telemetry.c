// SPDX-License-Identifier: Apache-2.0
// Goal: a document has the fields of the table and no other, in coarse numbers, and none where few stand behind it; the bounded spreads give
//       their percentiles; the id of the list is that of a URL, too; URLs that would tell who sends, or send in the open, are refused.
// Method: direct calls.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#include <json-c/json_object.h>
#include <json-c/json_tokener.h>
#include <json-c/linkhash.h>

#include "api/limits.h"
#include "api/telemetry_document.h"
#include "api/telemetry_send.h"
#include "base/mem.h"

static json_object *write_and_read(const pg_telemetry_facts *facts)
{
    pg_buf text = {0};
    assert_int_equal(pg_telemetry_write(facts, &text), PG_OK);
    assert_true(text.len <= PG_API_TELEMETRY_BYTES_MAX);
    json_tokener *tokener = json_tokener_new();
    json_object *document = json_tokener_parse_ex(tokener, (const char *) text.ptr, (int) text.len);
    json_tokener_free(tokener);
    pg_buf_deinit(&text);
    assert_non_null(document);
    return document;
}

static int64_t number(json_object *document, const char *name)
{
    json_object *value = NULL;
    assert_true(json_object_object_get_ex(document, name, &value));
    return value == NULL ? -1 : json_object_get_int64(value);
}

static const char *text(json_object *document, const char *name)
{
    json_object *value = NULL;
    assert_true(json_object_object_get_ex(document, name, &value));
    return json_object_get_string(value);
}

static void fill(pg_usage_kind *kind, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        pg_usage_note(kind, PG_OK, UINT64_C(3) << 20, INT64_C(1500000000));
    }
}

static void test_write__fields_of_the_table_and_no_other(void **state)
{
    (void) state;
    const pg_telemetry_facts facts = {.version = "0.9.1-mine+build.7"};
    json_object *document = write_and_read(&facts);
    size_t count = 0;
    json_object_object_foreach(document, name, value)
    {
        (void) value;
        assert_string_equal(pg_telemetry_field_at(count).name, name);
        assert_true(strlen(pg_telemetry_field_at(count).meaning) > 0);
        count++;
    }
    assert_true(count > 20);
    assert_null(pg_telemetry_field_at(count).name);
    assert_string_equal(text(document, "format"), "pangea-telemetry-1");
    assert_string_equal(text(document, "version"), "0.9.1"); // not what a builder added
    assert_string_equal(text(document, "tag"), "00000000000000000000000000000000");
    assert_string_equal(text(document, "os"), "linux");
    json_object_put(document);
}

static void test_write__counts__are_powers_of_two_with_an_end(void **state)
{
    (void) state;
    static const struct {
        uint64_t value;
        int64_t told;
    } cases[] = {{0, 0},     {1, 1},     {2, 2},        {3, 2},           {4, 4},
                 {255, 128}, {256, 256}, {100000, 256}, {UINT64_MAX, 256}};
    for (size_t i = 0; i < PG_ARRAY_LEN(cases); i++) {
        const pg_telemetry_facts facts = {.version = "1", .peers = cases[i].value};
        json_object *document = write_and_read(&facts);
        assert_int_equal(number(document, "peers"), cases[i].told);
        json_object_put(document);
    }
    const pg_telemetry_facts facts = {.version = "1", .period_s = 100000, .uptime_s = 3599};
    json_object *document = write_and_read(&facts);
    assert_int_equal(number(document, "period_hours"), 16);
    assert_int_equal(number(document, "uptime_hours"), 0);
    json_object_put(document);
}

static void test_write__fewer_than_eight__no_number(void **state)
{
    (void) state;
    pg_telemetry_facts facts = {.version = "1", .sums = {.repairs = {5, 2}, .audits = {100, 7}}};
    fill(&facts.usage.put, 7);
    fill(&facts.usage.get, 8);
    json_object *document = write_and_read(&facts);
    assert_int_equal(number(document, "puts"), 4);
    assert_int_equal(number(document, "put_percent"), -1);
    assert_int_equal(number(document, "put_ms_p50"), -1);
    assert_int_equal(number(document, "put_speed_p5"), -1);
    assert_int_equal(number(document, "get_percent"), 100);
    assert_int_equal(number(document, "get_ms_p95"), 1024);
    assert_int_equal(number(document, "get_speed_p50"), 1 << 21);
    assert_int_equal(number(document, "repair_percent"), -1);
    assert_int_equal(number(document, "audit_percent"), 95); // 93.5
    json_object_put(document);
}

static void test_usage__what_says_nothing__is_left_out(void **state)
{
    (void) state;
    static const pg_err nothing[] = {PG_ERR_CANCELLED, PG_ERR_CLOSED, PG_ERR_INVALID, PG_ERR_BUSY};
    pg_usage_kind kind = {.ended = {0}};
    for (size_t i = 0; i < PG_ARRAY_LEN(nothing); i++) {
        pg_usage_note(&kind, nothing[i], 1, 1);
    }
    assert_int_equal(kind.ended.good + kind.ended.bad, 0);
    pg_usage_note(&kind, PG_ERR_NOT_FOUND, 0, 0);
    pg_usage_note(&kind, PG_ERR_PENDING, 0, 0);
    pg_usage_note(&kind, PG_OK, PG_USAGE_SPEED_BYTES_MIN - 1, 0); // small: no speed
    pg_usage_note(&kind, PG_OK, UINT64_MAX, -5);
    assert_int_equal(kind.ended.good, 2);
    assert_int_equal(kind.ended.bad, 2);
    assert_int_equal(kind.ms.count, 2);
    assert_int_equal(kind.speeds.count, 1);
}

static void test_spread__percentiles__by_hand(void **state)
{
    (void) state;
    pg_usage_spread spread = {.count = 0};
    assert_int_equal(pg_usage_spread_at(&spread, 50), 0);
    for (uint64_t i = 1; i <= 100; i++) {
        pg_usage_spread_add(&spread, i);
    }
    assert_int_equal(pg_usage_spread_at(&spread, 1), 1);
    assert_int_equal(pg_usage_spread_at(&spread, 50), 32);
    assert_int_equal(pg_usage_spread_at(&spread, 63), 32);
    assert_int_equal(pg_usage_spread_at(&spread, 64), 64);
    assert_int_equal(pg_usage_spread_at(&spread, 100), 64);
    pg_usage_spread_add(&spread, 0);
    pg_usage_spread_add(&spread, UINT64_MAX);
    assert_int_equal(spread.bins[0], 2);
    assert_int_equal(spread.bins[PG_USAGE_BINS - 1], 1);
}

static void test_list_id__other_url__is_another(void **state)
{
    (void) state;
    char one[PG_TELEMETRY_LIST_ID_CHARS + 1];
    char again[PG_TELEMETRY_LIST_ID_CHARS + 1];
    char other[PG_TELEMETRY_LIST_ID_CHARS + 1];
    pg_telemetry_list_id("https://a.example/", one);
    pg_telemetry_list_id("https://a.example/", again);
    pg_telemetry_list_id("https://b.example/", other);
    assert_int_equal(strlen(one), PG_TELEMETRY_LIST_ID_CHARS);
    assert_string_equal(one, again);
    assert_string_not_equal(one, other);
}

static void test_url__checked(void **state)
{
    (void) state;
    static const char *const good[] = {
        "https://collector.example/a?b=c@d",
        "http://127.0.0.1:4318/x",
        "http://[::1]/",
        "http://localhost",
        "https://[2001:db8::1]:443/x",
    };
    static const char *const bad[] = {
        "",
        "ftp://a.example/",
        "https://",
        "https:///path",
        "http://collector.example/",
        "http://127.0.0.1.example/",
        "http://localhost.example/",
        "https://user:secret@collector.example/",
        "https://user@collector.example/",
        "http://127.0.0.1@evil.example/",
        "https://a.example/with space",
        "https://a.example/\n",
        "https://\xc3\xa4.example/",
    };
    for (size_t i = 0; i < PG_ARRAY_LEN(good); i++) {
        assert_int_equal(pg_telemetry_url_check(pg_str_make(good[i])), PG_OK);
    }
    for (size_t i = 0; i < PG_ARRAY_LEN(bad); i++) {
        assert_int_equal(pg_telemetry_url_check(pg_str_make(bad[i])), PG_ERR_INVALID);
    }
    char longer[PG_API_TELEMETRY_URL_BYTES_MAX + 2];
    memset(longer, 'a', sizeof(longer) - 1);
    longer[sizeof(longer) - 1] = '\0';
    memcpy(longer, "https://", 8);
    assert_int_equal(pg_telemetry_url_check(pg_str_make(longer)), PG_ERR_INVALID);
    longer[sizeof(longer) - 2] = '\0';
    assert_int_equal(pg_telemetry_url_check(pg_str_make(longer)), PG_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_write__fields_of_the_table_and_no_other),
        cmocka_unit_test(test_write__counts__are_powers_of_two_with_an_end),
        cmocka_unit_test(test_write__fewer_than_eight__no_number),
        cmocka_unit_test(test_usage__what_says_nothing__is_left_out),
        cmocka_unit_test(test_spread__percentiles__by_hand),
        cmocka_unit_test(test_list_id__other_url__is_another),
        cmocka_unit_test(test_url__checked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
