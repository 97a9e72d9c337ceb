// SPDX-License-Identifier: Apache-2.0
// Goal: a protobuf message reads back as it was written, always in the same bytes, and a hostile one takes no more memory than its arena allows.
// Method: a sample message; bytes made by hand for what an encoder would not write.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "codec/frame.h"
#include "codec/pb.h"
#include "sample.pb-c.h"

static pg_err unpack(pg_bytes in, pg_arena *arena, const Pangea__Test__Sample **out_sample)
{
    ProtobufCMessage *message = NULL;
    PG_TRY(pg_pb_unpack(&pangea__test__sample__descriptor, in, arena, &message));
    *out_sample = (const Pangea__Test__Sample *) message;
    return PG_OK;
}

static void sample_append(pg_buf *buf, bool framed)
{
    uint64_t numbers[] = {1, 300, UINT64_MAX};
    Pangea__Test__Inner inner = PANGEA__TEST__INNER__INIT;
    inner.has_id = true;
    inner.id = pg_pb_view(PG_BYTES_LIT("id"));
    inner.n_numbers = PG_ARRAY_LEN(numbers);
    inner.numbers = numbers;
    Pangea__Test__Inner *inners[] = {&inner, &inner};
    char name[] = "name";
    Pangea__Test__Sample sample = PANGEA__TEST__SAMPLE__INIT;
    sample.version = 3;
    sample.name = name;
    sample.has_color = true;
    sample.color = PANGEA__TEST__COLOR__COLOR_BLUE;
    sample.n_inners = PG_ARRAY_LEN(inners);
    sample.inners = inners;
    assert_int_equal(
        framed ? pg_pb_append_framed(buf, &sample.base) : pg_pb_append(buf, &sample.base), PG_OK);
}

static void test_pb__message__round_trips_to_the_same_bytes(void **state)
{
    (void) state;
    pg_buf first = {0};
    pg_buf second = {0};
    pg_arena arena = pg_arena_make(64 << 10);
    const Pangea__Test__Sample *sample = NULL;
    sample_append(&first, false);
    assert_int_equal(unpack(pg_buf_bytes(&first), &arena, &sample), PG_OK);
    assert_int_equal(sample->version, 3);
    assert_string_equal(sample->name, "name");
    assert_false(sample->has_data);
    assert_null(sample->single);
    assert_int_equal(sample->color, PANGEA__TEST__COLOR__COLOR_BLUE);
    assert_int_equal(sample->n_inners, 2);
    assert_true(sample->inners[1]->numbers[2] == UINT64_MAX);
    assert_true(pg_bytes_equal(pg_pb_bytes(sample->inners[0]->id), PG_BYTES_LIT("id")));
    assert_int_equal(pg_pb_append(&second, &sample->base), PG_OK);
    assert_true(pg_bytes_equal(pg_buf_bytes(&first), pg_buf_bytes(&second)));
    pg_arena_deinit(&arena);
    pg_buf_deinit(&first);
    pg_buf_deinit(&second);
}

static void test_pb__framed__is_length_and_message(void **state)
{
    (void) state;
    pg_buf plain = {0};
    pg_buf framed = {0};
    sample_append(&plain, false);
    sample_append(&framed, true);
    pg_bytes body = PG_BYTES_EMPTY;
    size_t len = 0;
    assert_int_equal(pg_frame_decode(pg_buf_bytes(&framed), 4096, &body, &len), PG_OK);
    assert_int_equal(len, framed.len);
    assert_true(pg_bytes_equal(body, pg_buf_bytes(&plain)));
    pg_buf_deinit(&plain);
    pg_buf_deinit(&framed);
}

static void test_pb__unknown_field__is_kept(void **state)
{
    (void) state;
    pg_arena arena = pg_arena_make(64 << 10);
    pg_buf out = {0};
    const Pangea__Test__Sample *sample = NULL;
    pg_bytes in = PG_BYTES_LIT("\x08\x01\xa2\x06\x03xyz"); // version 1, field 100 "xyz"
    assert_int_equal(unpack(in, &arena, &sample), PG_OK);
    assert_int_equal(sample->version, 1);
    assert_int_equal(pg_pb_append(&out, &sample->base), PG_OK);
    assert_true(pg_bytes_equal(pg_buf_bytes(&out), in));
    pg_buf_deinit(&out);
    pg_arena_deinit(&arena);
}

static void test_pb__another_encoding__is_not_exact(void **state)
{
    (void) state;
    static const pg_bytes others[] = {
        {(const uint8_t *) "\x08\x01\xa2\x06\x01x", 6}, // a field nobody knows
        {(const uint8_t *) "\x08\x81\x00", 3},          // a long varint
        {(const uint8_t *) "\x08\x01\x08\x01", 4},      // twice
        {(const uint8_t *) "\x12\x01x\x08\x01", 5},     // in another order
    };
    pg_arena arena = pg_arena_make(64 << 10);
    ProtobufCMessage *message = NULL;
    for (size_t i = 0; i < PG_ARRAY_LEN(others); i++) {
        assert_int_equal(
            pg_pb_unpack(&pangea__test__sample__descriptor, others[i], &arena, &message), PG_OK);
        message = NULL;
        assert_int_equal(
            pg_pb_unpack_exact(&pangea__test__sample__descriptor, others[i], &arena, &message),
            PG_ERR_MALFORMED);
        assert_null(message);
    }
    pg_buf in = {0};
    sample_append(&in, false);
    assert_int_equal(
        pg_pb_unpack_exact(&pangea__test__sample__descriptor, pg_buf_bytes(&in), &arena, &message),
        PG_OK);
    assert_non_null(message);
    pg_buf_deinit(&in);
    pg_arena_deinit(&arena);
}

static void test_pb__repeated_single_field__takes_the_last(void **state)
{
    (void) state;
    pg_arena arena = pg_arena_make(64 << 10);
    const Pangea__Test__Sample *sample = NULL;
    pg_bytes in = PG_BYTES_LIT("\x08\x01\x12\x01"
                               "a\x08\x02\x12\x01"
                               "b\x28\x63\x32\x02\x10\x05\x32\x02\x10\x06");
    assert_int_equal(unpack(in, &arena, &sample), PG_OK);
    assert_int_equal(sample->version, 2);
    assert_true(pg_bytes_equal(pg_pb_bytes(sample->data), PG_BYTES_LIT("b")));
    assert_int_equal(sample->color, 99);            // an enum may hold any number
    assert_int_equal(sample->single->n_numbers, 2); // embedded messages are merged
    pg_arena_deinit(&arena);
}

static void test_pb__faulty__is_malformed(void **state)
{
    (void) state;
    pg_arena arena = pg_arena_make(64 << 10);
    const Pangea__Test__Sample *sample = NULL;
    static const pg_bytes faulty[] = {
        {(const uint8_t *) "", 0},     // the required version is missing
        {(const uint8_t *) "\x08", 1}, // cut
        {(const uint8_t *) "\x08\x01\x12\x05"
                           "a",
         5}, // longer than what follows
        {(const uint8_t *) "\x08\x01\x12\xff\xff\xff\xff\x0f", 8},
        {(const uint8_t *) "\x08\x01\x0b", 3}, // a group, which nobody writes
        {(const uint8_t *) "\x0a\x01\x01", 3}, // wrong type
    };
    for (size_t i = 0; i < PG_ARRAY_LEN(faulty); i++) {
        assert_int_equal(unpack(faulty[i], &arena, &sample), PG_ERR_MALFORMED);
        assert_null(sample);
    }
    pg_arena_deinit(&arena);
}

static void test_pb__thousands_of_tiny_fields__end_at_the_arena(void **state)
{
    (void) state;
    static uint8_t in[64 << 10];
    for (size_t i = 0; i < sizeof(in); i += 2) {
        in[i] = 0x22; // an empty Inner
        in[i + 1] = 0;
    }
    in[0] = 0x08;
    in[1] = 0x01;
    const Pangea__Test__Sample *sample = NULL;
    pg_arena tight = pg_arena_make(4 * sizeof(in));
    assert_int_equal(unpack(PG_BYTES_OF(in), &tight, &sample), PG_ERR_LIMIT);
    assert_true(tight.used_bytes <= tight.max_bytes);
    pg_arena_deinit(&tight);
    pg_arena wide = pg_arena_make(128 * sizeof(in));
    assert_int_equal(unpack(PG_BYTES_OF(in), &wide, &sample), PG_OK);
    assert_int_equal(sample->n_inners, sizeof(in) / 2 - 1);
    pg_arena_deinit(&wide);
    pg_bytes huge = pg_bytes_make(in, PG_PB_BYTES_MAX + 1);
    assert_int_equal(unpack(huge, &wide, &sample), PG_ERR_LIMIT);
}

static void test_pb__memory_runs_out__fails_at_every_allocation(void **state)
{
    (void) state;
    pg_buf in = {0};
    sample_append(&in, false);
    pg_err err = PG_ERR_LIMIT;
    for (uint64_t nth = 1; err != PG_OK; nth++) {
        pg_arena arena = pg_arena_make(64 << 10);
        const Pangea__Test__Sample *sample = NULL;
        pg_mem_fail_nth(nth);
        err = unpack(pg_buf_bytes(&in), &arena, &sample);
        assert_true(err == PG_OK ? !pg_mem_failed() : err == PG_ERR_LIMIT);
        pg_arena_deinit(&arena);
    }
    pg_mem_fail_nth(0);
    pg_buf_deinit(&in);

    Pangea__Test__Sample sample = PANGEA__TEST__SAMPLE__INIT;
    pg_buf full = {.max_len = 1};
    assert_int_equal(pg_pb_append(&full, &sample.base), PG_ERR_LIMIT);
    assert_int_equal(pg_pb_append_framed(&full, &sample.base), PG_ERR_LIMIT);
    assert_int_equal(full.len, 0);
    pg_buf_deinit(&full);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pb__message__round_trips_to_the_same_bytes),
        cmocka_unit_test(test_pb__framed__is_length_and_message),
        cmocka_unit_test(test_pb__unknown_field__is_kept),
        cmocka_unit_test(test_pb__another_encoding__is_not_exact),
        cmocka_unit_test(test_pb__repeated_single_field__takes_the_last),
        cmocka_unit_test(test_pb__faulty__is_malformed),
        cmocka_unit_test(test_pb__thousands_of_tiny_fields__end_at_the_arena),
        cmocka_unit_test(test_pb__memory_runs_out__fails_at_every_allocation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
