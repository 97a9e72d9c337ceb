// SPDX-License-Identifier: Apache-2.0
// Goal: what was encoded decodes to the same bytes after every loss of up to m shards; corrupt and missing shards are named; failures
// of either side end the pipelines with their own error. Method: real fibers and workers over blocks in memory; small segments, so
// that many of them, many extents and trees of them fit in a test; sizes, codes, losses and corruption from a printed seed.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "files/limits.h"
#include "memory_store.h"
#include "runtime/fiber.h"
#include "runtime/runtime.h"

#define SEGMENT 2048U
#define EXTENT_SEGMENTS 4U

/** One file through both pipelines. */
typedef struct trip {
    memory_store store;
    pg_files_encoding encoding;
    pg_files_encoded encoded;
    pg_key key;
    uint8_t *plain;
    size_t len;
    uint64_t start;
    pg_err err; // of the last pipeline
    pg_error_record record;
} trip;

static void trip_init(trip *t, pg_code code, size_t len, bool text)
{
    *t = (trip){.len = len};
    test_random(pg_mut_bytes_make(t->key.bytes, PG_KEY_BYTES));
    t->plain = test_bytes(len, text);
    t->encoding = (pg_files_encoding){
        .code = code,
        .name = PG_BYTES_LIT("a name"),
        .file_key = &t->key,
        .random = test_random,
        .segment_bytes = SEGMENT,
        .extent_segments = EXTENT_SEGMENTS,
    };
}

static void trip_deinit(trip *t)
{
    memory_free(&t->store);
    pg_mfree(t->plain);
}

static pg_err encode_run(void *arg)
{
    trip *t = arg;
    pg_files_source source = memory_source(&t->store);
    pg_files_sink sink = memory_sink(&t->store);
    t->store.source = pg_bytes_make(t->plain, t->len);
    t->err = pg_files_encode_stream(&t->encoding, &source, &sink, &t->encoded);
    t->record = *pg_error_last();
    return PG_OK;
}

static pg_err decode_run(void *arg)
{
    trip *t = arg;
    pg_link link = {t->encoded.root, t->key};
    pg_files_store store = memory_blocks(&t->store);
    pg_files_output output = memory_output(&t->store);
    t->err = pg_files_decode_stream(&link, t->start, &store, &output);
    t->record = *pg_error_last();
    return PG_OK;
}

static pg_err encode(trip *t)
{
    assert_int_equal(pg_runtime_run(NULL, encode_run, t), PG_OK);
    return t->err;
}

static pg_err decode(trip *t)
{
    assert_int_equal(pg_runtime_run(NULL, decode_run, t), PG_OK);
    return t->err;
}

static void assert_restored(const trip *t)
{
    assert_int_equal(t->store.output.len, t->len - t->start);
    if (t->len > t->start) {
        assert_memory_equal(t->store.output.ptr, t->plain + t->start, t->len - t->start);
    }
}

static void test_trip__sizes_at_the_boundaries__come_back(void **state)
{
    (void) state;
    const size_t inline_max = PG_INLINE_BYTES_MAX;
    const size_t extent = SEGMENT * EXTENT_SEGMENTS;
    const size_t sizes[] = {0,
                            1,
                            inline_max - 1,
                            inline_max,
                            inline_max + 1,
                            17 * SEGMENT - 1,
                            17 * SEGMENT,
                            17 * SEGMENT + 1,
                            5 * extent - 1,
                            5 * extent,
                            5 * extent + 1};
    for (size_t i = 0; i < PG_ARRAY_LEN(sizes); i++) {
        trip t;
        trip_init(&t, PG_CODE_DEFAULT, sizes[i], i % 2 == 0);
        assert_int_equal(encode(&t), PG_OK);
        assert_int_equal(t.encoded.size_bytes, sizes[i]);
        assert_int_equal(t.encoded.segments,
                         sizes[i] <= inline_max ? 0 : (sizes[i] + SEGMENT - 1) / SEGMENT);
        assert_int_equal(t.encoded.extents,
                         (t.encoded.segments + EXTENT_SEGMENTS - 1) / EXTENT_SEGMENTS);
        assert_int_equal(decode(&t), PG_OK);
        assert_restored(&t);
        assert_int_equal(t.store.problem_count, 0);
        trip_deinit(&t);
    }
}

static void test_trip__full_segments__come_back(void **state)
{
    (void) state;
    trip t;
    trip_init(&t, PG_CODE_DEFAULT, PG_SEGMENT_BYTES_MAX + 12345, true);
    t.encoding.segment_bytes = 0;
    t.encoding.extent_segments = 0;
    assert_int_equal(encode(&t), PG_OK);
    assert_int_equal(t.encoded.segments, 2);
    assert_true(t.encoded.packed_bytes < t.len / 4);
    memory_lose_slot(&t.store, 3);
    memory_lose_slot(&t.store, 9);
    assert_int_equal(decode(&t), PG_OK);
    assert_restored(&t);
    trip_deinit(&t);
}

/** Spoil up to m shards of each segment: some lost, some corrupt. Returns how many were corrupted. */
static size_t spoil(trip *t)
{
    unsigned n = pg_code_shards(t->encoding.code);
    size_t corrupted = 0;
    for (size_t first = 0; first + n <= t->store.count; first++) {
        if (!t->store.blocks[first].is_shard) {
            continue;
        }
        unsigned left = (unsigned) test_below(t->encoding.code.parity + 1U);
        for (unsigned i = 0; i < left; i++) {
            memory_block *block = &t->store.blocks[first + test_below(n)];
            if (block->lost || block->bytes.max_len != 0) {
                continue;
            }
            if (test_below(2) == 0) {
                block->lost = true;
            } else {
                memory_corrupt(block);
                block->bytes.max_len = block->bytes.len; // marks it
                corrupted++;
            }
        }
        first += n - 1;
    }
    return corrupted;
}

static void test_trip__random_losses_and_corruption__restored_and_named(void **state)
{
    (void) state;
    const pg_code codes[] = {{1, 1}, {1, 3}, {2, 1}, {3, 2}, {5, 3}, {8, 2}, {10, 6}, {16, 16}};
    for (unsigned round = 0; round < 24; round++) {
        trip t;
        test_random_seed(1000 + round);
        trip_init(&t, codes[round % PG_ARRAY_LEN(codes)],
                  PG_INLINE_BYTES_MAX + 1 + test_below(12 * SEGMENT), round % 3 == 0);
        t.store.give_at_most = test_below(4);
        assert_int_equal(encode(&t), PG_OK);
        size_t corrupted = spoil(&t);
        print_message("seed %u: %zu bytes, code %u+%u, %zu corrupt\n", 1000 + round, t.len,
                      t.encoding.code.data, t.encoding.code.parity, corrupted);
        assert_int_equal(decode(&t), PG_OK);
        assert_restored(&t);
        // Whatever is named is so; and every corrupt shard that was looked at is named. Data shards are looked at first.
        for (size_t i = 0; i < t.store.problem_count; i++) {
            const pg_shard_problem *problem = &t.store.problems[i];
            memory_block *block =
                memory_shard(&t.store, problem->extent, problem->segment, problem->slot);
            assert_true(pg_cid_equal(&problem->cid, &block->cid));
            assert_int_equal(problem->fault == PG_SHARD_FAULT_ABSENT, block->lost);
            assert_true(block->lost || block->bytes.max_len != 0);
            block->bytes.max_len = 0;
            block->lost = false;
        }
        for (size_t i = 0; i < t.store.count; i++) {
            const memory_block *block = &t.store.blocks[i];
            bool is_data = block->is_shard &&
                           pg_code_shard_of_slot(t.encoding.code, block->segment, block->slot) <
                               t.encoding.code.data;
            assert_false(is_data && (block->lost || block->bytes.max_len != 0));
        }
        trip_deinit(&t);
    }
}

static void test_trip__every_pair_of_slots_lost__comes_back(void **state)
{
    (void) state;
    trip t;
    trip_init(&t, PG_CODE_DEFAULT, 20 * SEGMENT + 5, false);
    assert_int_equal(encode(&t), PG_OK);
    for (unsigned a = 0; a < 10; a++) {
        for (unsigned b = a + 1; b < 10; b++) {
            memory_again(&t.store);
            memory_lose_slot(&t.store, a);
            memory_lose_slot(&t.store, b);
            assert_int_equal(decode(&t), PG_OK);
            assert_restored(&t);
        }
    }
    trip_deinit(&t);
}

// Whoever says that he verified the shards is believed, but no wrong byte comes out.
static void test_decode__shards_wrongly_called_verified__the_seal_does_not_open(void **state)
{
    (void) state;
    trip t;
    trip_init(&t, PG_CODE_DEFAULT, 20 * SEGMENT, false);
    assert_int_equal(encode(&t), PG_OK);
    t.store.is_verified = true;
    assert_int_equal(decode(&t), PG_OK);
    assert_restored(&t);
    memory_again(&t.store);
    memory_corrupt(memory_shard(&t.store, 0, 1, 1)); // shard 0
    assert_int_equal(decode(&t), PG_ERR_CORRUPT);
    assert_int_equal(t.store.output.len, SEGMENT);
    assert_memory_equal(t.store.output.ptr, t.plain, SEGMENT);
    trip_deinit(&t);
}

static void test_decode__too_few_shards__names_segment_and_shards(void **state)
{
    (void) state;
    trip t;
    trip_init(&t, PG_CODE_DEFAULT, 20 * SEGMENT, false);
    assert_int_equal(encode(&t), PG_OK);
    memory_lose_slot(&t.store, 0);
    memory_lose_slot(&t.store, 1);
    memory_corrupt(memory_shard(&t.store, 1, 2, 5)); // shard 7
    assert_int_equal(decode(&t), PG_ERR_MISSING);
    assert_string_equal(t.record.text,
                        "extent 1: segment 2: 7 of 10 shards are left, 8 are needed; "
                        "missing: 2, 3; corrupt: 7");
    // What came before is whole: a later run goes on from there.
    size_t done = t.store.output.len;
    assert_int_equal(done % SEGMENT, 0);
    assert_memory_equal(t.store.output.ptr, t.plain, done);
    memory_again(&t.store);
    t.start = done;
    assert_int_equal(decode(&t), PG_OK);
    assert_restored(&t);
    trip_deinit(&t);
}

static void test_decode__resumed__goes_on_at_any_byte(void **state)
{
    (void) state;
    trip t;
    trip_init(&t, PG_CODE_DEFAULT, 18 * SEGMENT + 100, true);
    assert_int_equal(encode(&t), PG_OK);
    for (t.start = 0; t.start < t.len; t.start += SEGMENT) {
        memory_again(&t.store);
        assert_int_equal(decode(&t), PG_OK);
        assert_restored(&t);
    }
    memory_again(&t.store);
    t.start = t.len;
    assert_int_equal(decode(&t), PG_OK);
    assert_restored(&t);
    for (t.start = 1; t.start < t.len; t.start += 2 * SEGMENT - 1) { // also within a segment
        memory_again(&t.store);
        assert_int_equal(decode(&t), PG_OK);
        assert_restored(&t);
    }
    memory_again(&t.store);
    t.start = t.len + 1;
    assert_int_equal(decode(&t), PG_ERR_INVALID);
    trip_deinit(&t);
    trip_init(&t, PG_CODE_DEFAULT, 10, true);
    assert_int_equal(encode(&t), PG_OK);
    memory_again(&t.store);
    t.start = 5;
    assert_int_equal(decode(&t), PG_OK);
    assert_restored(&t);
    t.start = 11;
    assert_int_equal(decode(&t), PG_ERR_INVALID);
    trip_deinit(&t);
}

static void test_trip__list_of_extents_too_long__becomes_a_tree(void **state)
{
    (void) state;
    for (unsigned list_bytes = 300; list_bytes >= 150; list_bytes -= 150) {
        trip t;
        trip_init(&t, (pg_code){2, 1}, 200 * SEGMENT + 77, true);
        t.encoding.extent_segments = 2;
        t.encoding.list_bytes = list_bytes;
        t.encoding.segment_bytes = SEGMENT;
        t.store.hosts = list_bytes == 300 ? 3 : 0;
        assert_int_equal(encode(&t), PG_OK);
        assert_true(t.encoded.extents > 101);
        memory_lose_slot(&t.store, 1);
        assert_int_equal(decode(&t), PG_OK);
        assert_restored(&t);
        trip_deinit(&t);
    }
    trip t;
    trip_init(&t, (pg_code){2, 1}, 200 * SEGMENT, true);
    t.encoding.list_bytes = 10; // less than one entry: no tree is high enough
    assert_int_equal(encode(&t), PG_ERR_LIMIT);
    trip_deinit(&t);
}

static void test_decode__wrong_key__is_told_from_corruption(void **state)
{
    (void) state;
    trip t;
    trip_init(&t, PG_CODE_DEFAULT, 20 * SEGMENT, true);
    assert_int_equal(encode(&t), PG_OK);
    t.key.bytes[7] ^= 1;
    assert_int_equal(decode(&t), PG_ERR_KEY);
    t.key.bytes[7] ^= 1;
    memory_corrupt(memory_find(&t.store, &t.encoded.root));
    assert_int_equal(decode(&t), PG_ERR_CORRUPT);
    trip_deinit(&t);
}

static void test_decode__descriptor_lost_or_corrupt__fails_with_its_extent(void **state)
{
    (void) state;
    trip t;
    trip_init(&t, PG_CODE_DEFAULT, 20 * SEGMENT, true);
    assert_int_equal(encode(&t), PG_OK);
    size_t descriptor = 4 * 10; // behind the shards of the first extent
    assert_false(t.store.blocks[descriptor].is_shard);
    t.store.blocks[descriptor].lost = true;
    assert_int_equal(decode(&t), PG_ERR_MISSING);
    assert_string_equal(t.record.text, "extent 0: the block is lost");
    memory_again(&t.store);
    memory_corrupt(&t.store.blocks[descriptor]);
    assert_int_equal(decode(&t), PG_ERR_CORRUPT);
    trip_deinit(&t);
}

static void test_trip__callbacks_fail__error_comes_through(void **state)
{
    (void) state;
    trip t;
    for (size_t after = 1; after < 240; after += 13) {
        trip_init(&t, PG_CODE_DEFAULT, 20 * SEGMENT, true);
        t.store.fail_after = after;
        t.store.fail_with = PG_ERR_FULL;
        pg_err err = encode(&t);
        assert_int_equal(err, t.store.fail_after == 0 ? PG_ERR_FULL : PG_OK);
        trip_deinit(&t);
    }
    trip_init(&t, PG_CODE_DEFAULT, 20 * SEGMENT, true);
    assert_int_equal(encode(&t), PG_OK);
    for (size_t after = 1; after < 46; after++) {
        memory_again(&t.store);
        t.store.fail_after = after;
        t.store.fail_with = PG_ERR_IO;
        assert_int_equal(decode(&t), PG_ERR_IO);
        assert_non_null(strstr(t.record.text, "the test's"));
    }
    trip_deinit(&t);
    trip_init(&t, PG_CODE_DEFAULT, 20 * SEGMENT + 1, true);
    t.store.source_err = PG_ERR_CHANGED;
    assert_int_equal(encode(&t), PG_ERR_CHANGED);
    assert_string_equal(t.record.text, "the test's source fails");
    trip_deinit(&t);
}

static void test_encode__no_compress__pads_to_full_segments(void **state)
{
    (void) state;
    trip t;
    trip_init(&t, PG_CODE_DEFAULT, 17 * SEGMENT + 1, true);
    t.encoding.no_compress = true;
    assert_int_equal(encode(&t), PG_OK);
    assert_int_equal(t.encoded.packed_bytes, t.len);
    size_t len = t.store.blocks[0].bytes.len;
    for (size_t i = 0; i < t.store.count; i++) {
        assert_true(!t.store.blocks[i].is_shard || t.store.blocks[i].bytes.len == len);
    }
    assert_int_equal(decode(&t), PG_OK);
    assert_restored(&t);
    trip_deinit(&t);
}

static pg_err on_lease_key(const uint8_t extent_id[PG_EXTENT_ID_BYTES],
                           uint8_t out_key[PG_LEASE_KEY_BYTES], void *user)
{
    (void) extent_id;
    memset(out_key, *(const int *) user, PG_LEASE_KEY_BYTES);
    return PG_OK;
}

/** Counts the segments that are placed. */
typedef struct placing {
    unsigned now;
    unsigned at_once_max;
    uint32_t in_extent; // of the extent that is to be closed next
    uint32_t ahead;     // of those behind it
    uint8_t extent_id[PG_EXTENT_ID_BYTES];
    uint64_t total;
    unsigned calls;
    unsigned fail_at; // this call; 0 = never
} placing;

static pg_err on_place_shards(const pg_segment_place *place, const pg_shard *shards, unsigned count,
                              void *user)
{
    placing *self = user;
    if (++self->calls == self->fail_at) {
        return pg_fail(PG_ERR_FULL, "the test's host is full");
    }
    self->now++;
    self->at_once_max = self->now > self->at_once_max ? self->now : self->at_once_max;
    for (uint64_t turns = test_below(20); turns > 0; turns--) {
        PG_TRY(pg_fiber_yield());
    }
    for (unsigned i = 0; i < count; i++) {
        pg_cid cid = pg_block_cid(shards[i].bytes);
        assert_true(pg_cid_equal(&cid, &shards[i].cid));
    }
    self->now--;
    if (self->in_extent + self->ahead == 0) {
        memcpy(self->extent_id, place->extent_id, PG_EXTENT_ID_BYTES);
    }
    if (memcmp(self->extent_id, place->extent_id, PG_EXTENT_ID_BYTES) == 0) {
        self->in_extent++;
    } else {
        self->ahead++;
    }
    return PG_OK;
}

static pg_err on_placed_descriptor(pg_bytes block, pg_extent *extent, void *user)
{
    placing *self = user;
    pg_descriptor descriptor;
    (void) extent;
    PG_TRY(pg_descriptor_decode(block, &descriptor));
    self->total += descriptor.segment_count;
    uint32_t placed = self->in_extent + self->ahead;
    pg_err err =
        placed >= descriptor.segment_count ? PG_OK : PG_ERR_BUG; // all before their descriptor
    self->in_extent = 0;
    self->ahead = placed - descriptor.segment_count;
    pg_descriptor_deinit(&descriptor);
    return err;
}

static pg_err on_placed_root(pg_bytes block, const pg_cid *cid, void *user)
{
    (void) block;
    (void) cid;
    (void) user;
    return PG_OK;
}

/** A file whose shards are placed. */
typedef struct placed_trip {
    trip trip;
    placing placing;
} placed_trip;

static pg_err place_run(void *arg)
{
    placed_trip *self = arg;
    pg_files_source source = memory_source(&self->trip.store);
    const pg_files_sink sink = {
        .put_descriptor = on_placed_descriptor,
        .put_root = on_placed_root,
        .place_shards = on_place_shards,
        .user = &self->placing,
    };
    self->trip.store.source = pg_bytes_make(self->trip.plain, self->trip.len);
    self->trip.err =
        pg_files_encode_stream(&self->trip.encoding, &source, &sink, &self->trip.encoded);
    return PG_OK;
}

static void test_encode__placing_takes_long__several_at_once_and_all_before_their_descriptor(
    void **state)
{
    (void) state;
    placed_trip placed = {.placing = {.now = 0}};
    trip_init(&placed.trip, PG_CODE_DEFAULT, 57 * SEGMENT + 1, false);
    assert_int_equal(pg_runtime_run(NULL, place_run, &placed), PG_OK);
    assert_int_equal(placed.trip.err, PG_OK);
    assert_int_equal(placed.placing.total, 58);
    assert_int_equal(placed.trip.encoded.segments, 58);
    assert_true(placed.placing.at_once_max > 1);
    trip_deinit(&placed.trip);

    placed = (placed_trip){.placing = {.fail_at = 23}};
    trip_init(&placed.trip, PG_CODE_DEFAULT, 57 * SEGMENT + 1, false);
    assert_int_equal(pg_runtime_run(NULL, place_run, &placed), PG_OK);
    assert_int_equal(placed.trip.err, PG_ERR_FULL);
    trip_deinit(&placed.trip);
}

// ---- Going on

/** Where an encoding stood after so many segments, when it was broken off. */
typedef struct noting {
    uint64_t after;
    const pg_key *key;
    pg_files_encoded totals;
    pg_buf list;
    pg_buf open;
} noting;

/** A file that is encoded in two runs. */
typedef struct two_runs {
    trip trip;
    noting noted;
    size_t first_len; // that the first run was given
} two_runs;

static noting *taking; // the sink's callbacks belong to the store

static pg_err on_note(const pg_encode_state *state, void *user)
{
    uint8_t nonce[PG_AEAD_NONCE_BYTES];
    (void) user;
    if (state->totals->segments != taking->after || state->open == NULL) {
        return PG_OK;
    }
    taking->totals = *state->totals;
    test_random(PG_MUT_BYTES_OF(nonce));
    PG_TRY(pg_buf_append(&taking->list, state->list));
    PG_TRY(pg_descriptor_encode(state->open, taking->key, 0, nonce, &taking->open));
    return PG_ERR_RESET; // and the run is broken off
}

static pg_err first_run(two_runs *self)
{
    pg_files_source source = memory_source(&self->trip.store);
    pg_files_sink sink = memory_sink(&self->trip.store);
    pg_files_encoded encoded;
    sink.note = on_note;
    taking = &self->noted;
    self->trip.store.source = pg_bytes_make(self->trip.plain, self->first_len);
    return pg_files_encode_stream(&self->trip.encoding, &source, &sink, &encoded);
}

static pg_err second_run(two_runs *self)
{
    pg_descriptor open;
    pg_files_source source = memory_source(&self->trip.store);
    pg_files_sink sink = memory_sink(&self->trip.store);
    PG_TRY(pg_descriptor_decode(pg_buf_bytes(&self->noted.open), &open));
    pg_err err = pg_descriptor_open(&open, &self->trip.key, 0);
    const pg_encode_state state = {&self->noted.totals, pg_buf_bytes(&self->noted.list), &open};
    self->trip.encoding.resume = &state;
    self->trip.store.source =
        pg_bytes_make(self->trip.plain + self->noted.totals.size_bytes,
                      self->trip.len - (size_t) self->noted.totals.size_bytes);
    if (err == PG_OK) {
        err = pg_files_encode_stream(&self->trip.encoding, &source, &sink, &self->trip.encoded);
    }
    pg_descriptor_deinit(&open);
    return err;
}

static pg_err two_run(void *arg)
{
    two_runs *self = arg;
    self->trip.err = first_run(self);
    if (self->trip.err == PG_ERR_RESET) {
        self->trip.err = second_run(self);
    }
    return PG_OK;
}

// The last segment of the first run is full, or one that the time of its extent cut short: behind that no segment can follow.
static void test_encode__resumed_behind_a_short_segment__in_the_next_extent(void **state)
{
    (void) state;
    const size_t lengths[] = {18 * SEGMENT, 18 * SEGMENT - 700, 16 * SEGMENT + 1, 20 * SEGMENT - 1};
    for (size_t i = 0; i < PG_ARRAY_LEN(lengths); i++) {
        two_runs runs = {.first_len = lengths[i]};
        trip_init(&runs.trip, PG_CODE_DEFAULT, lengths[i] + 5 * SEGMENT + 3, false);
        runs.noted.key = &runs.trip.key;
        runs.noted.after = (lengths[i] + SEGMENT - 1) / SEGMENT;
        assert_int_equal(pg_runtime_run(NULL, two_run, &runs), PG_OK);
        assert_int_equal(runs.trip.err, PG_OK);
        assert_int_equal(runs.noted.totals.size_bytes, lengths[i]);
        assert_int_equal(runs.trip.encoded.size_bytes, runs.trip.len);
        assert_int_equal(runs.trip.encoded.extents, i == 0 ? 6 : 7);
        memory_again(&runs.trip.store);
        assert_int_equal(decode(&runs.trip), PG_OK);
        assert_restored(&runs.trip);
        pg_buf_deinit(&runs.noted.list);
        pg_buf_deinit(&runs.noted.open);
        trip_deinit(&runs.trip);
    }
}

static void test_encode__lease_key__stands_in_the_descriptor(void **state)
{
    (void) state;
    trip t;
    int byte = 0x42;
    trip_init(&t, PG_CODE_DEFAULT, 17 * SEGMENT + 1, true);
    t.encoding.lease_key = on_lease_key;
    t.encoding.lease_user = &byte;
    assert_int_equal(encode(&t), PG_OK);
    pg_descriptor descriptor;
    assert_int_equal(pg_descriptor_decode(pg_buf_bytes(&t.store.blocks[40].bytes), &descriptor),
                     PG_OK);
    assert_true(descriptor.has_lease_key);
    assert_int_equal(descriptor.lease_key[31], 0x42);
    pg_descriptor_deinit(&descriptor);
    trip_deinit(&t);
}

static void test_encode__bad_settings__refused(void **state)
{
    (void) state;
    trip t;
    trip_init(&t, (pg_code){8, 0}, 10, true);
    assert_int_equal(encode(&t), PG_ERR_INVALID);
    t.encoding.code = PG_CODE_DEFAULT;
    t.encoding.name = PG_BYTES_LIT("a/b");
    assert_int_equal(encode(&t), PG_ERR_INVALID);
    trip_deinit(&t);
}

static pg_err cancel_run(void *arg)
{
    trip *t = arg;
    pg_scope scope;
    pg_scope_init(&scope);
    PG_TRY(pg_scope_spawn(&scope, "test.encode", encode_run, t));
    for (int i = 0; i < 3; i++) {
        PG_TRY(pg_fiber_yield());
    }
    pg_scope_close(&scope);
    return PG_OK;
}

static void test_encode__cancelled__ends_and_frees(void **state)
{
    (void) state;
    trip t;
    trip_init(&t, PG_CODE_DEFAULT, 2000 * SEGMENT, false);
    assert_int_equal(pg_runtime_run(NULL, cancel_run, &t), PG_OK);
    assert_int_equal(t.err, PG_ERR_CANCELLED);
    trip_deinit(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_trip__sizes_at_the_boundaries__come_back),
        cmocka_unit_test(test_trip__full_segments__come_back),
        cmocka_unit_test(test_trip__random_losses_and_corruption__restored_and_named),
        cmocka_unit_test(test_trip__every_pair_of_slots_lost__comes_back),
        cmocka_unit_test(test_decode__too_few_shards__names_segment_and_shards),
        cmocka_unit_test(test_decode__resumed__goes_on_at_any_byte),
        cmocka_unit_test(test_trip__list_of_extents_too_long__becomes_a_tree),
        cmocka_unit_test(test_decode__shards_wrongly_called_verified__the_seal_does_not_open),
        cmocka_unit_test(test_decode__wrong_key__is_told_from_corruption),
        cmocka_unit_test(test_decode__descriptor_lost_or_corrupt__fails_with_its_extent),
        cmocka_unit_test(test_trip__callbacks_fail__error_comes_through),
        cmocka_unit_test(test_encode__no_compress__pads_to_full_segments),
        cmocka_unit_test(test_encode__resumed_behind_a_short_segment__in_the_next_extent),
        cmocka_unit_test(test_encode__lease_key__stands_in_the_descriptor),
        cmocka_unit_test(
            test_encode__placing_takes_long__several_at_once_and_all_before_their_descriptor),
        cmocka_unit_test(test_encode__bad_settings__refused),
        cmocka_unit_test(test_encode__cancelled__ends_and_frees),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
