// SPDX-License-Identifier: Apache-2.0
// Goal: heads of placement messages read back as they were written, and those that lack something, have too much of it or are of no known
// kind are refused.
// Method: one of each kind; edges of every limit.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "codec/frame.h"
#include "crypto/hash.h"
#include "exchange/place_msg.h"

/** A message that was written and is read again. */
struct trip {
    pg_buf buf;
    pg_bytes body;
    pg_arena arena;
};

static struct trip trip_begin(pg_buf buf)
{
    struct trip trip = {.buf = buf, .arena = pg_arena_make(PG_PLACE_ARENA_BYTES)};
    size_t len = 0;
    assert_int_equal(pg_frame_decode(pg_buf_bytes(&buf), PG_PLACE_HEAD_BYTES_MAX, &trip.body, &len),
                     PG_OK);
    assert_int_equal(len, buf.len);
    return trip;
}

static void trip_end(struct trip *trip)
{
    pg_arena_deinit(&trip->arena);
    pg_buf_deinit(&trip->buf);
}

static struct trip request_write(const pg_place_request *request)
{
    pg_buf buf = {0};
    assert_int_equal(pg_place_request_encode(request, &buf), PG_OK);
    return trip_begin(buf);
}

static pg_err request_try(const pg_place_request *request)
{
    pg_place_request got;
    struct trip trip = request_write(request);
    pg_err err = pg_place_request_decode(trip.body, &trip.arena, &got);
    trip_end(&trip);
    return err;
}

static void test_place_msg__requests__read_back(void **state)
{
    (void) state;
    pg_cid cid = pg_cid_of_sha256(PG_BYTES_LIT("x"));
    pg_bytes receipts[] = {PG_BYTES_LIT("r1"), PG_BYTES_LIT("r22")};
    const pg_place_request requests[] = {
        {.id = 1, .kind = PG_PLACE_KIND_OPEN, .lease_key = {9}, .expected_bytes = 1U << 30},
        {.id = 2,
         .kind = PG_PLACE_KIND_PUSH,
         .cids = &cid,
         .cid_count = 1,
         .body_bytes = PG_BITSWAP_BLOCK_BYTES_MAX},
        {.id = UINT64_MAX, .kind = PG_PLACE_KIND_ASK, .cids = &cid, .cid_count = 1},
        {.id = 4,
         .kind = PG_PLACE_KIND_COMMIT,
         .grant = PG_BYTES_LIT("g"),
         .slots = 0x80000000,
         .receipts = receipts,
         .receipt_count = 2,
         .owner = PG_BYTES_LIT("own")},
        {.id = 5, .kind = PG_PLACE_KIND_RELEASE, .release = PG_BYTES_LIT("rel")},
        {.id = 0, .kind = PG_PLACE_KIND_HAVE, .cids = &cid, .cid_count = 1},
        {.id = 1,
         .kind = PG_PLACE_KIND_HAVE,
         .cids = &cid,
         .cid_count = 1,
         .without_receipts = true},
        {.id = 7,
         .kind = PG_PLACE_KIND_ABANDON,
         .cids = &cid,
         .cid_count = 1,
         .abandon = PG_BYTES_LIT("aban")},
    };
    for (size_t i = 0; i < PG_ARRAY_LEN(requests); i++) {
        const pg_place_request *request = &requests[i];
        pg_place_request got;
        struct trip trip = request_write(request);
        assert_int_equal(pg_place_request_decode(trip.body, &trip.arena, &got), PG_OK);
        assert_true(got.id == request->id && got.kind == request->kind);
        assert_memory_equal(got.lease_key, request->lease_key, sizeof(got.lease_key));
        assert_true(got.expected_bytes == request->expected_bytes);
        assert_int_equal(got.cid_count, request->cid_count);
        assert_true(got.cid_count == 0 || pg_cid_equal(&got.cids[0], &cid));
        assert_true(got.body_bytes == request->body_bytes && got.slots == request->slots);
        assert_true(pg_bytes_equal(got.grant, request->grant));
        assert_true(pg_bytes_equal(got.release, request->release));
        assert_true(pg_bytes_equal(got.abandon, request->abandon));
        assert_true(pg_bytes_equal(got.owner, request->owner));
        assert_true(got.without_receipts == request->without_receipts);
        assert_int_equal(got.receipt_count, request->receipt_count);
        assert_true(got.receipt_count == 0 || pg_bytes_equal(got.receipts[1], receipts[1]));
        trip_end(&trip);
    }
}

static void test_place_msg__requests_at_their_limits__fit_a_head(void **state)
{
    (void) state;
    pg_cid cids[PG_PLACE_ASK_MAX + 1];
    pg_bytes receipts[PG_PLACE_COMMIT_RECEIPTS_MAX + 1];
    uint8_t receipt[256] = {0};
    for (size_t i = 0; i < PG_ARRAY_LEN(cids); i++) {
        cids[i] = pg_cid_of_blake3(pg_bytes_make(&i, sizeof(i)));
    }
    for (size_t i = 0; i < PG_ARRAY_LEN(receipts); i++) {
        receipts[i] = PG_BYTES_OF(receipt);
    }
    pg_place_request ask = {.kind = PG_PLACE_KIND_ASK, .cids = cids, .cid_count = PG_PLACE_ASK_MAX};
    assert_int_equal(request_try(&ask), PG_OK);
    pg_place_request commit = {
        .kind = PG_PLACE_KIND_COMMIT,
        .grant = PG_BYTES_OF(receipt),
        .receipts = receipts,
        .receipt_count = PG_PLACE_COMMIT_RECEIPTS_MAX,
    };
    assert_int_equal(request_try(&commit), PG_OK);
    uint8_t statement[PG_PLACE_SIGNED_BYTES_MAX] = {0};
    const pg_place_request abandon = {
        .kind = PG_PLACE_KIND_ABANDON,
        .cids = cids,
        .cid_count = PG_PLACE_ASK_MAX,
        .abandon = PG_BYTES_OF(statement),
    };
    assert_int_equal(request_try(&abandon), PG_OK);
    pg_buf buf = {0};
    ask.cid_count++;
    commit.receipt_count++;
    assert_int_equal(pg_place_request_encode(&ask, &buf), PG_ERR_LIMIT);
    assert_int_equal(pg_place_request_encode(&commit, &buf), PG_ERR_LIMIT);
    assert_int_equal(buf.len, 0);
    pg_buf_deinit(&buf);
}

static void test_place_msg__requests_that_lack_something__are_refused(void **state)
{
    (void) state;
    pg_cid cids[] = {pg_cid_of_blake3(PG_BYTES_LIT("a")), pg_cid_of_blake3(PG_BYTES_LIT("b"))};
    uint8_t long_bytes[PG_PLACE_SIGNED_BYTES_MAX + 1] = {0};
    pg_multihash identity;
    assert_int_equal(pg_multihash_make(PG_MULTIHASH_CODE_IDENTITY, PG_BYTES_LIT("x"), &identity),
                     PG_OK);
    pg_cid inline_cid = pg_cid_make(PG_CID_CODEC_RAW, &identity);
    const pg_place_request faulty[] = {
        {.kind = PG_PLACE_KIND_PUSH, .body_bytes = 1},
        {.kind = PG_PLACE_KIND_ASK},
        {.kind = PG_PLACE_KIND_HAVE},
        {.kind = PG_PLACE_KIND_COMMIT},
        {.kind = PG_PLACE_KIND_COMMIT, .grant = PG_BYTES_OF(long_bytes)},
        {.kind = PG_PLACE_KIND_COMMIT,
         .grant = PG_BYTES_LIT("g"),
         .owner = PG_BYTES_OF(long_bytes)},
        {.kind = PG_PLACE_KIND_RELEASE},
        {.kind = PG_PLACE_KIND_HAVE, .cids = &inline_cid, .cid_count = 1},
        {.kind = PG_PLACE_KIND_ABANDON, .cids = cids, .cid_count = 1},
        {.kind = PG_PLACE_KIND_ABANDON, .abandon = PG_BYTES_LIT("statement")},
        {.kind = PG_PLACE_KIND_ABANDON,
         .cids = cids,
         .cid_count = 1,
         .abandon = PG_BYTES_OF(long_bytes)},
    };
    for (size_t i = 0; i < PG_ARRAY_LEN(faulty); i++) {
        assert_int_equal(request_try(&faulty[i]), PG_ERR_MALFORMED);
    }
    pg_place_request two = {.kind = PG_PLACE_KIND_HAVE, .cids = cids, .cid_count = 2};
    assert_int_equal(request_try(&two), PG_ERR_LIMIT);
    two.kind = PG_PLACE_KIND_PUSH;
    assert_int_equal(request_try(&two), PG_ERR_LIMIT);
    pg_place_request large = {.kind = PG_PLACE_KIND_PUSH,
                              .cids = cids,
                              .cid_count = 1,
                              .body_bytes = PG_BITSWAP_BLOCK_BYTES_MAX + 1};
    assert_int_equal(request_try(&large), PG_ERR_LIMIT);
    pg_place_request unknown = {.id = 3, .kind = PG_PLACE_KIND_COUNT};
    assert_int_equal(request_try(&unknown), PG_ERR_UNSUPPORTED);
    unknown.kind = 0;
    assert_int_equal(request_try(&unknown), PG_ERR_UNSUPPORTED);

    pg_arena arena = pg_arena_make(PG_PLACE_ARENA_BYTES);
    pg_place_request got;
    pg_bytes short_key = PG_BYTES_LIT("\x10\x01\x1a\x02kk");
    assert_int_equal(pg_place_request_decode(short_key, &arena, &got), PG_ERR_MALFORMED);
    pg_bytes huge = pg_bytes_make(long_bytes, PG_PLACE_HEAD_BYTES_MAX + 1);
    assert_int_equal(pg_place_request_decode(huge, &arena, &got), PG_ERR_LIMIT);
    pg_arena_deinit(&arena);
}

static void test_place_msg__tiny_fields__end_at_the_arena(void **state)
{
    (void) state;
    static uint8_t in[PG_PLACE_HEAD_BYTES_MAX];
    pg_place_request got;
    for (size_t i = 0; i < sizeof(in); i += 2) {
        in[i] = 0x2a; // an empty CID
        in[i + 1] = 0;
    }
    pg_arena arena = pg_arena_make(PG_PLACE_ARENA_BYTES);
    assert_int_equal(pg_place_request_decode(PG_BYTES_OF(in), &arena, &got), PG_ERR_LIMIT);
    pg_arena_deinit(&arena);
}

/** Append fields that no version has yet, one of each wire type. */
static void unknown_append(struct trip *trip)
{
    const pg_bytes unknown = PG_BYTES_LIT("\xf8\x01\x01"                             // 31: a varint
                                          "\x81\x02\x01\x02\x03\x04\x05\x06\x07\x08" // 32: 64 bits
                                          "\x8a\x02\x02hi"                           // 33: bytes
                                          "\x95\x02\x01\x02\x03\x04");               // 34: 32 bits
    pg_buf longer = {0};
    assert_int_equal(pg_buf_append(&longer, trip->body), PG_OK);
    assert_int_equal(pg_buf_append(&longer, unknown), PG_OK);
    pg_buf_deinit(&trip->buf);
    trip->buf = longer;
    trip->body = pg_buf_bytes(&longer);
}

// What is added to a head later is passed over by who does not know it: so a host that is older answers as it always did.
static void test_place_msg__fields_of_later_versions__are_passed_over(void **state)
{
    (void) state;
    pg_cid cid = pg_cid_of_sha256(PG_BYTES_LIT("x"));
    const pg_place_request have = {
        .id = 5, .kind = PG_PLACE_KIND_HAVE, .cids = &cid, .cid_count = 1};
    const pg_place_response told = {.id = 5, .slots = 3, .sequence = 9, .fill = 7};
    pg_place_request request;
    pg_place_response response;
    struct trip trip = request_write(&have);
    unknown_append(&trip);
    assert_int_equal(pg_place_request_decode(trip.body, &trip.arena, &request), PG_OK);
    assert_true(request.id == 5 && request.kind == PG_PLACE_KIND_HAVE && request.cid_count == 1);
    assert_true(pg_cid_equal(&request.cids[0], &cid) && !request.without_receipts);
    trip_end(&trip);
    pg_buf buf = {0};
    assert_int_equal(pg_place_response_encode(&told, &buf), PG_OK);
    trip = trip_begin(buf);
    unknown_append(&trip);
    assert_int_equal(pg_place_response_decode(trip.body, &trip.arena, &response), PG_OK);
    assert_true(response.id == 5 && response.slots == 3 && response.sequence == 9);
    assert_true(response.fill == 7 && response.receipt_count == 0);
    trip_end(&trip);
}

static void test_place_msg__responses__read_back(void **state)
{
    (void) state;
    pg_cid missing[PG_PLACE_MISSING_MAX];
    pg_bytes receipts[PG_PLACE_RECEIPTS_MAX];
    uint8_t receipt[214] = {1}; // as long as one can be
    for (size_t i = 0; i < PG_PLACE_MISSING_MAX; i++) {
        missing[i] = pg_cid_of_blake3(pg_bytes_make(&i, sizeof(i)));
        receipts[i] = PG_BYTES_OF(receipt);
    }
    const pg_place_response responses[] = {
        {.id = 1},
        {.id = 2, .has = PG_BYTES_LIT("\x05")},
        {.id = 3, .receipt = PG_BYTES_LIT("receipt")},
        {.id = 4, .status = PG_PLACE_STATUS_SUPERSEDED, .known_sequence = 77},
        {.id = 5,
         .status = PG_PLACE_STATUS_MISSING,
         .missing = missing,
         .missing_count = PG_PLACE_MISSING_MAX},
        {.id = 6,
         .slots = 3,
         .has_descriptor = true,
         .sequence = UINT64_MAX,
         .expiry_s = UINT64_MAX,
         .receipts = receipts,
         .receipt_count = PG_PLACE_RECEIPTS_MAX,
         .fill = PG_PLACE_FILL_MAX + 1,
         .leaving = 2},
    };
    for (size_t i = 0; i < PG_ARRAY_LEN(responses); i++) {
        const pg_place_response *response = &responses[i];
        pg_place_response got;
        pg_buf buf = {0};
        assert_int_equal(pg_place_response_encode(response, &buf), PG_OK);
        struct trip trip = trip_begin(buf);
        assert_int_equal(pg_place_response_decode(trip.body, &trip.arena, &got), PG_OK);
        assert_true(got.id == response->id && got.status == response->status);
        assert_true(pg_bytes_equal(got.has, response->has));
        assert_true(pg_bytes_equal(got.receipt, response->receipt));
        assert_true(got.known_sequence == response->known_sequence);
        assert_int_equal(got.missing_count, response->missing_count);
        assert_true(got.missing_count == 0 || pg_cid_equal(&got.missing[63], &missing[63]));
        assert_true(got.slots == response->slots && got.sequence == response->sequence);
        assert_true(got.has_descriptor == response->has_descriptor);
        assert_true(got.expiry_s == response->expiry_s);
        assert_int_equal(got.receipt_count, response->receipt_count);
        assert_true(got.receipt_count == 0 || pg_bytes_equal(got.receipts[63], receipts[63]));
        assert_int_equal(got.fill, response->fill);
        assert_int_equal(got.leaving, response->leaving);
        trip_end(&trip);
    }
}

static void test_place_msg__host_fuller_than_full__is_malformed(void **state)
{
    (void) state;
    pg_arena arena = pg_arena_make(PG_PLACE_ARENA_BYTES);
    pg_place_response got;
    pg_bytes in = PG_BYTES_LIT("\x08\x01\x60\x66"); // 102
    assert_int_equal(pg_place_response_decode(in, &arena, &got), PG_ERR_MALFORMED);
    pg_arena_deinit(&arena);
}

static void test_place_msg__unknown_status__is_unsupported(void **state)
{
    (void) state;
    pg_arena arena = pg_arena_make(PG_PLACE_ARENA_BYTES);
    pg_place_response got;
    pg_bytes in = PG_BYTES_LIT("\x08\x01\x10\x0b");
    assert_int_equal(pg_place_response_decode(in, &arena, &got), PG_ERR_UNSUPPORTED);
    pg_arena_deinit(&arena);
}

static void test_place_msg__statuses__are_the_errors_of_the_header(void **state)
{
    (void) state;
    static const pg_err errs[PG_PLACE_STATUS_COUNT] = {
        PG_OK,          PG_ERR_FULL,    PG_ERR_REFUSED, PG_ERR_LIMIT,     PG_ERR_AUTH,
        PG_ERR_CHANGED, PG_ERR_CORRUPT, PG_ERR_MISSING, PG_ERR_NOT_FOUND, PG_ERR_REFUSED,
        PG_ERR_EXISTS,
    };
    for (pg_place_status status = 0; status < PG_PLACE_STATUS_COUNT; status++) {
        assert_int_equal(pg_place_status_err(status), errs[status]);
        assert_true(strlen(pg_place_status_text(status)) > 5);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_place_msg__requests__read_back),
        cmocka_unit_test(test_place_msg__requests_at_their_limits__fit_a_head),
        cmocka_unit_test(test_place_msg__requests_that_lack_something__are_refused),
        cmocka_unit_test(test_place_msg__tiny_fields__end_at_the_arena),
        cmocka_unit_test(test_place_msg__fields_of_later_versions__are_passed_over),
        cmocka_unit_test(test_place_msg__responses__read_back),
        cmocka_unit_test(test_place_msg__host_fuller_than_full__is_malformed),
        cmocka_unit_test(test_place_msg__unknown_status__is_unsupported),
        cmocka_unit_test(test_place_msg__statuses__are_the_errors_of_the_header),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
