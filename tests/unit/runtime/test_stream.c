// SPDX-License-Identifier: Apache-2.0
// Goal: a pair of streams in memory behaves as stream.h says: bytes in order, bounded, half-close, reset.
// Method: a real run a test; every carrier's own test repeats the same behaviours.
#include <string.h>

#include "base/mem.h"
#include "in_fiber.h"
#include "runtime/fiber.h"
#include "runtime/stream.h"

#define BYTES 10000

struct side {
    pg_stream *stream;
    pg_err err;
};

static pg_err body_write_all(void *arg)
{
    struct side *side = arg;
    uint8_t bytes[BYTES];
    for (size_t i = 0; i < BYTES; i++) {
        bytes[i] = (uint8_t) (i * 7);
    }
    const pg_bytes parts[] = {pg_bytes_make(bytes, 1), PG_BYTES_EMPTY,
                              pg_bytes_make(bytes + 1, 4000),
                              pg_bytes_make(bytes + 4001, BYTES - 4001)};
    PG_TRY(pg_stream_writev(side->stream, parts, 4, SOON));
    PG_TRY(pg_stream_close_write(side->stream, SOON));
    CHECK_ERR(pg_stream_write(side->stream, parts[0], SOON), PG_ERR_CLOSED);
    return PG_OK;
}

static pg_err body_transfer(void *arg)
{
    struct side a = {0};
    struct side b = {0};
    pg_scope scope;
    uint8_t bytes[BYTES];
    size_t len = 1;
    pg_scope_init(&scope);
    CHECK_OK(pg_stream_pair(*(const size_t *) arg, &a.stream, &b.stream));
    CHECK_OK(pg_scope_spawn(&scope, "test.writer", body_write_all, &a));
    CHECK_OK(pg_stream_read_full(b.stream, pg_mut_bytes_make(bytes, 3), SOON));
    CHECK_OK(pg_stream_read_full(b.stream, pg_mut_bytes_make(bytes + 3, BYTES - 3), SOON));
    for (size_t i = 0; i < BYTES; i++) {
        CHECK(bytes[i] == (uint8_t) (i * 7));
    }
    CHECK_OK(pg_stream_read(b.stream, pg_mut_bytes_make(bytes, 1), SOON, &len));
    CHECK(len == 0);
    CHECK_ERR(pg_stream_read_full(b.stream, pg_mut_bytes_make(bytes, 1), SOON), PG_ERR_CLOSED);
    CHECK_OK(pg_scope_join(&scope));
    // The other direction is still open.
    CHECK_OK(pg_stream_write(b.stream, PG_BYTES_LIT("x"), SOON));
    CHECK_OK(pg_stream_close_write(b.stream, SOON));
    CHECK_ERR(pg_stream_read_full(a.stream, pg_mut_bytes_make(bytes, 2), SOON), PG_ERR_TRUNCATED);
    pg_stream_free(&a.stream);
    pg_stream_free(&b.stream);
    CHECK(a.stream == NULL);
    pg_stream_free(&a.stream);
    return PG_OK;
}

static void test_pair__written_and_closed__other_end_reads_all_then_end(void **state)
{
    (void) state;
    const size_t sizes[] = {1, 7, 4096, 100000};
    for (size_t i = 0; i < PG_ARRAY_LEN(sizes); i++) {
        size_t size = sizes[i];
        in_fiber(body_transfer, &size);
    }
}

static pg_err body_read_one(void *arg)
{
    struct side *side = arg;
    uint8_t byte = 0;
    side->err = pg_stream_read_full(side->stream, pg_mut_bytes_make(&byte, 1), PG_FOREVER);
    return PG_OK;
}

static pg_err body_write_much(void *arg)
{
    struct side *side = arg;
    uint8_t bytes[100] = {0};
    side->err = pg_stream_write(side->stream, PG_BYTES_OF(bytes), PG_FOREVER);
    return PG_OK;
}

static pg_err body_reset(void *arg)
{
    (void) arg;
    pg_stream *a = NULL;
    pg_stream *b = NULL;
    pg_scope scope;
    pg_scope_init(&scope);
    CHECK_OK(pg_stream_pair(16, &a, &b));
    struct side sides[4] = {{a, PG_OK}, {a, PG_OK}, {b, PG_OK}, {b, PG_OK}};
    CHECK_OK(pg_scope_spawn(&scope, "test.read", body_read_one, &sides[0]));
    CHECK_OK(pg_scope_spawn(&scope, "test.write", body_write_much, &sides[3]));
    CHECK_OK(pg_fiber_yield());
    CHECK_OK(pg_fiber_yield());
    pg_stream_reset(a);
    pg_stream_reset(b); // too late
    CHECK_OK(pg_scope_join(&scope));
    CHECK_OK(sides[0].err); // it had got its byte
    CHECK_ERR(sides[3].err, PG_ERR_RESET);
    for (unsigned i = 0; i < 4; i += 2) {
        CHECK_OK(pg_scope_spawn(&scope, "test.read", body_read_one, &sides[i]));
        CHECK_OK(pg_scope_spawn(&scope, "test.write", body_write_much, &sides[i + 1]));
    }
    CHECK_OK(pg_scope_join(&scope));
    for (unsigned i = 0; i < 4; i++) {
        CHECK_ERR(sides[i].err, i < 2 ? PG_ERR_CLOSED : PG_ERR_RESET);
    }
    CHECK_ERR(pg_stream_close_write(b, SOON), PG_ERR_RESET);
    pg_stream_free(&a);
    pg_stream_free(&b);
    return PG_OK;
}

static void test_pair__reset__ends_waits_here_and_there(void **state)
{
    (void) state;
    in_fiber(body_reset, NULL);
}

static pg_err body_freed_early(void *arg)
{
    (void) arg;
    pg_stream *a = NULL;
    pg_stream *b = NULL;
    struct side side = {0};
    pg_scope scope;
    pg_scope_init(&scope);
    CHECK_OK(pg_stream_pair(16, &a, &b));
    side.stream = b;
    CHECK_OK(pg_scope_spawn(&scope, "test.read", body_read_one, &side));
    CHECK_OK(pg_fiber_yield());
    pg_stream_free(&a);
    CHECK_OK(pg_scope_join(&scope));
    CHECK_ERR(side.err, PG_ERR_RESET);
    pg_stream_free(&b);
    return PG_OK;
}

static void test_pair__freed_unfinished__resets_the_other_end(void **state)
{
    (void) state;
    in_fiber(body_freed_early, NULL);
}

static pg_err body_timeouts(void *arg)
{
    (void) arg;
    pg_stream *a = NULL;
    pg_stream *b = NULL;
    uint8_t bytes[32] = {0};
    struct side read = {0};
    struct side write = {0};
    pg_scope scope;
    pg_scope_init(&scope);
    CHECK_OK(pg_stream_pair(16, &a, &b));
    CHECK_ERR(pg_stream_read_full(a, PG_MUT_BYTES_OF(bytes), pg_after(PG_MS(1))), PG_ERR_TIMEOUT);
    CHECK_ERR(pg_stream_write(a, PG_BYTES_OF(bytes), pg_after(PG_MS(1))), PG_ERR_TIMEOUT);
    read.stream = write.stream = a;
    CHECK_OK(pg_scope_spawn(&scope, "test.read", body_read_one, &read));
    CHECK_OK(pg_scope_spawn(&scope, "test.write", body_write_much, &write));
    CHECK_OK(pg_fiber_yield());
    pg_scope_close(&scope);
    CHECK_ERR(read.err, PG_ERR_CANCELLED);
    CHECK_ERR(write.err, PG_ERR_CANCELLED);
    pg_stream_free(&a);
    pg_stream_free(&b);
    return PG_OK;
}

static void test_pair__late_or_cancelled__ends_the_wait(void **state)
{
    (void) state;
    in_fiber(body_timeouts, NULL);
}

static void test_pair__out_of_memory__fails(void **state)
{
    (void) state;
    pg_stream *a = NULL;
    pg_stream *b = NULL;
    for (uint64_t n = 1; n <= 3; n++) {
        pg_mem_fail_nth(n);
        assert_int_equal(pg_stream_pair(16, &a, &b), PG_ERR_NOMEM);
        pg_mem_fail_nth(0);
    }
    assert_null(a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pair__written_and_closed__other_end_reads_all_then_end),
        cmocka_unit_test(test_pair__reset__ends_waits_here_and_there),
        cmocka_unit_test(test_pair__freed_unfinished__resets_the_other_end),
        cmocka_unit_test(test_pair__late_or_cancelled__ends_the_wait),
        cmocka_unit_test(test_pair__out_of_memory__fails),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
