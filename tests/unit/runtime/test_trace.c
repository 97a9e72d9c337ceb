// SPDX-License-Identifier: Apache-2.0
// Goal: a span stands below the one its fiber is in, also in a fiber that was started there; without a sink nothing is made.
// Method: a sink that keeps what comes.
#include <string.h>

#include "base/bytes.h"
#include "in_fiber.h"
#include "runtime/fiber.h"
#include "runtime/trace.h"

static pg_span kept[8];
static size_t kept_count;

static void on_span(const pg_span *span, void *user)
{
    CHECK(user == kept);
    CHECK(kept_count < PG_ARRAY_LEN(kept));
    kept[kept_count++] = *span;
}

static bool is_below(const pg_span *span, const pg_span *parent)
{
    return memcmp(span->context.trace_id, parent->context.trace_id, PG_TRACE_ID_BYTES) == 0 &&
           memcmp(span->parent_id, parent->context.span_id, PG_SPAN_ID_BYTES) == 0;
}

static pg_err inner_run(void *arg)
{
    pg_span span;
    (void) arg;
    pg_span_begin(&span, "inner");
    pg_span_end(&span, PG_ERR_TIMEOUT);
    return PG_OK;
}

static pg_err nested_run(void *arg)
{
    pg_span outer;
    pg_span after;
    pg_scope scope;
    (void) arg;
    pg_trace_set_sink(on_span, kept);
    pg_scope_init(&scope);
    pg_span_begin(&outer, "outer");
    CHECK_OK(pg_scope_spawn(&scope, "test.inner", inner_run, NULL));
    CHECK_OK(pg_scope_join(&scope));
    CHECK_OK(inner_run(NULL));
    for (uint64_t i = 0; i < PG_SPAN_ATTRIBUTES_MAX; i++) {
        pg_span_set_u64(&outer, "number", i);
    }
    pg_span_set_text(&outer, "one.too_many", "x");
    pg_span_end(&outer, PG_OK);
    pg_span_begin(&after, "after");
    pg_span_end(&after, PG_OK);
    pg_trace_set_sink(NULL, NULL);
    return PG_OK;
}

static void test_span__nested__stands_below(void **state)
{
    static const uint8_t none[PG_SPAN_ID_BYTES];
    (void) state;
    kept_count = 0;
    in_fiber(nested_run, NULL);
    assert_int_equal(kept_count, 4);
    const pg_span *outer = &kept[2];
    assert_string_equal(outer->name, "outer");
    assert_memory_equal(outer->parent_id, none, sizeof(none));
    assert_true(is_below(&kept[0], outer));
    assert_true(is_below(&kept[1], outer));
    assert_memory_not_equal(kept[0].context.span_id, kept[1].context.span_id, PG_SPAN_ID_BYTES);
    assert_int_equal(kept[0].err, PG_ERR_TIMEOUT);
    assert_int_equal(outer->attribute_count, PG_SPAN_ATTRIBUTES_MAX);
    assert_true(outer->duration_ns >= kept[0].duration_ns);
    assert_memory_not_equal(kept[3].context.trace_id, outer->context.trace_id, PG_TRACE_ID_BYTES);
    assert_memory_equal(kept[3].parent_id, none, sizeof(none));
}

static pg_err served_run(void *arg)
{
    pg_span span;
    pg_trace_context caller;
    CHECK_OK(pg_traceparent_decode(
        PG_STR("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"), &caller));
    caller.is_sampled = arg != NULL;
    pg_trace_set_sink(on_span, kept);
    pg_span_begin_served(&span, "served", &caller);
    CHECK_OK(inner_run(NULL));
    pg_span_end(&span, PG_OK);
    pg_trace_set_sink(NULL, NULL);
    return PG_OK;
}

static void test_span__served__goes_on_with_the_callers_trace(void **state)
{
    static const uint8_t caller[] = {0x00, 0xf0, 0x67, 0xaa, 0x0b, 0xa9, 0x02, 0xb7};
    int sampled = 1;
    (void) state;
    kept_count = 0;
    in_fiber(served_run, &sampled);
    assert_int_equal(kept_count, 2);
    assert_memory_equal(kept[1].parent_id, caller, sizeof(caller));
    assert_int_equal(kept[1].context.trace_id[0], 0x4b);
    assert_int_equal(kept[1].kind, PG_SPAN_KIND_SERVER);
    assert_true(is_below(&kept[0], &kept[1]));
    kept_count = 0;
    in_fiber(served_run, NULL); // whose caller wants nothing recorded
    assert_int_equal(kept_count, 0);
}

static pg_err off_run(void *arg)
{
    pg_span span;
    pg_trace_set_sink(NULL, NULL);
    pg_span_begin(&span, "off");
    pg_trace_set_sink(on_span, kept); // comes too late for this one
    pg_span_set_u64(&span, "number", 1);
    pg_span_end(&span, PG_OK);
    pg_span_begin(&span, "on");
    pg_trace_set_sink(NULL, NULL); // and this one has nobody left
    pg_span_end(&span, PG_OK);
    (void) arg;
    return PG_OK;
}

static void test_span__no_sink__is_nothing(void **state)
{
    (void) state;
    kept_count = 0;
    in_fiber(off_run, NULL);
    assert_int_equal(kept_count, 0);
}

static void test_traceparent__wrong__is_refused(void **state)
{
    static const char *const wrong[] = {
        "",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0x",
        "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
        "00_4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more",
        "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
        "01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01.more",
    };
    (void) state;
    for (size_t i = 0; i < PG_ARRAY_LEN(wrong); i++) {
        pg_trace_context context;
        assert_int_equal(pg_traceparent_decode(pg_str_make(wrong[i]), &context), PG_ERR_MALFORMED);
    }
    pg_trace_context context;
    assert_int_equal(
        pg_traceparent_decode(
            PG_STR("01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00-more"), &context),
        PG_OK);
    assert_false(context.is_sampled);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_span__nested__stands_below),
        cmocka_unit_test(test_span__served__goes_on_with_the_callers_trace),
        cmocka_unit_test(test_span__no_sink__is_nothing),
        cmocka_unit_test(test_traceparent__wrong__is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
