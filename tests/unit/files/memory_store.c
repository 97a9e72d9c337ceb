// SPDX-License-Identifier: Apache-2.0
#include "memory_store.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "crypto/hash.h"

static uint64_t random_seed = 1;
static uint64_t random_count;
static uint64_t below_state = 7;

void test_random_seed(uint64_t seed)
{
    random_seed = seed;
    random_count = 0;
    below_state = seed * 2 + 1;
}

void test_random(pg_mut_bytes out)
{
    uint8_t input[16];
    pg_writer writer = pg_writer_make(PG_MUT_BYTES_OF(input));
    pg_writer_u64be(&writer, random_seed);
    pg_writer_u64be(&writer, random_count++);
    pg_blake3_stream stream;
    pg_blake3_stream_init(&stream, NULL);
    pg_blake3_stream_update(&stream, PG_BYTES_OF(input));
    pg_blake3_stream_final(&stream, out);
}

uint64_t test_below(uint64_t limit)
{
    below_state = below_state * 6364136223846793005U + 1442695040888963407U;
    return (below_state >> 20) % limit;
}

uint8_t *test_bytes(size_t len, bool text)
{
    static const char words[] =
        "the quick brown fox jumps over the lazy dog and keeps what it finds ";
    uint8_t *bytes = pg_malloc(len + 1);
    assert_non_null(bytes);
    if (text) {
        for (size_t i = 0; i < len; i++) {
            bytes[i] = (uint8_t) words[(i + i / 97 * 13) % (sizeof(words) - 1)];
        }
    } else {
        test_random(pg_mut_bytes_make(bytes, len));
    }
    return bytes;
}

static bool must_fail(memory_store *store)
{
    return store->fail_after > 0 && --store->fail_after == 0;
}

static pg_err on_read(pg_mut_bytes space, pg_time deadline, size_t *out_len, void *user)
{
    (void) deadline;
    memory_store *store = user;
    *out_len = pg_bytes_read(&store->source, space);
    if (*out_len < space.len && store->source_err != PG_OK) {
        return pg_fail(store->source_err, "the test's source fails");
    }
    return PG_OK;
}

static pg_err add(memory_store *store, const pg_cid *cid, pg_bytes bytes)
{
    if (must_fail(store)) {
        return pg_fail(store->fail_with, "the test's sink fails");
    }
    if (store->count == store->room) {
        store->room = store->room * 2 + 64;
        store->blocks = pg_realloc(store->blocks, store->room * sizeof(*store->blocks));
        assert_non_null(store->blocks);
    }
    pg_cid actual = pg_block_cid(bytes);
    assert_true(pg_cid_equal(&actual, cid));
    memory_block *block = &store->blocks[store->count++];
    *block = (memory_block){.cid = *cid};
    return pg_buf_append(&block->bytes, bytes);
}

static pg_err on_put_shards(const pg_shard *shards, unsigned count, void *user)
{
    memory_store *store = user;
    for (unsigned i = 0; i < count; i++) {
        PG_TRY(add(store, &shards[i].cid, shards[i].bytes));
        memory_block *block = &store->blocks[store->count - 1];
        block->is_shard = true;
        block->extent = store->extent;
        block->segment = store->segment;
        block->slot = shards[i].slot;
    }
    store->segment++;
    return PG_OK;
}

static pg_err on_put_descriptor(pg_bytes bytes, pg_extent *extent, void *user)
{
    memory_store *store = user;
    pg_descriptor descriptor;
    PG_TRY(pg_descriptor_decode(bytes, &descriptor));
    pg_err err = pg_buf_append(&store->extent_ids, PG_BYTES_OF(descriptor.extent_id));
    pg_descriptor_deinit(&descriptor);
    PG_TRY(err);
    store->extent++;
    store->segment = 0;
    extent->host_count = store->hosts;
    for (size_t i = 0; i < store->hosts; i++) {
        extent->hosts[i] = PG_BYTES_LIT("\x00\x24\x08\x01\x12\x20"
                                        "0123456789abcdef0123456789abcdef");
    }
    return add(store, &extent->descriptor, bytes);
}

static pg_err on_put_root(pg_bytes bytes, const pg_cid *cid, void *user)
{
    return add(user, cid, bytes);
}

static void on_progress(uint64_t plain_bytes, void *user)
{
    memory_store *store = user;
    assert_true(plain_bytes > store->progress);
    store->progress = plain_bytes;
}

static pg_err on_get_block(const pg_cid *cid, const pg_extent *extent, pg_buf *out, void *user)
{
    (void) extent;
    memory_store *store = user;
    memory_block *block = memory_find(store, cid);
    if (must_fail(store)) {
        return pg_fail(store->fail_with, "the test's store fails");
    }
    if (block == NULL || block->lost) {
        return pg_fail(PG_ERR_MISSING, "the block is lost");
    }
    return pg_buf_append(out, pg_buf_bytes(&block->bytes));
}

static uint64_t extent_of(const memory_store *store, const pg_descriptor *descriptor)
{
    uint64_t extent = 0;
    while (memcmp(store->extent_ids.ptr + extent * PG_EXTENT_ID_BYTES, descriptor->extent_id,
                  PG_EXTENT_ID_BYTES) != 0) {
        extent++;
        assert_true(extent < store->extent);
    }
    return extent;
}

static pg_err on_get_shards(const pg_shards_want *want, pg_shard_set *out_got,
                            pg_shard_set *out_absent, void *user)
{
    memory_store *store = user;
    unsigned need = want->need;
    if (must_fail(store)) {
        return pg_fail(store->fail_with, "the test's store fails");
    }
    if (store->give_at_most > 0) {
        need = (unsigned) pg_min_size(need, store->give_at_most);
    }
    for (unsigned i = 0; i < pg_code_shards(want->descriptor->code) && need > 0; i++) {
        if ((want->tried >> i & 1) != 0) {
            continue;
        }
        memory_block *block =
            memory_shard(store, extent_of(store, want->descriptor), want->segment,
                         pg_code_slot_of_shard(want->descriptor->code, want->segment, i));
        assert_non_null(block);
        if (block->lost) {
            *out_absent |= (pg_shard_set) 1 << i;
            continue;
        }
        assert_int_equal(block->bytes.len, want->shard_bytes);
        memcpy(want->shards + (size_t) i * want->shard_bytes, block->bytes.ptr, want->shard_bytes);
        *out_got |= (pg_shard_set) 1 << i;
        need--;
    }
    return PG_OK;
}

static void on_problem(const pg_shard_problem *problem, void *user)
{
    memory_store *store = user;
    assert_true(store->problem_count < MEMORY_PROBLEMS_MAX);
    store->problems[store->problem_count++] = *problem;
}

static pg_err on_begin(const pg_root *root, void *user)
{
    memory_store *store = user;
    (void) root;
    store->began = true;
    return PG_OK;
}

static pg_err on_write(pg_bytes bytes, void *user)
{
    memory_store *store = user;
    assert_true(store->began);
    if (must_fail(store)) {
        return pg_fail(store->fail_with, "the test's output fails");
    }
    return pg_buf_append(&store->output, bytes);
}

pg_files_source memory_source(memory_store *store)
{
    return (pg_files_source){on_read, store};
}

pg_files_sink memory_sink(memory_store *store)
{
    return (pg_files_sink){.put_shards = on_put_shards,
                           .put_descriptor = on_put_descriptor,
                           .put_root = on_put_root,
                           .progress = on_progress,
                           .user = store};
}

pg_files_store memory_blocks(memory_store *store)
{
    return (pg_files_store){.get_block = on_get_block,
                            .get_shards = on_get_shards,
                            .problem = on_problem,
                            .is_verified = store->is_verified,
                            .user = store};
}

pg_files_output memory_output(memory_store *store)
{
    return (pg_files_output){on_begin, on_write, store};
}

memory_block *memory_find(memory_store *store, const pg_cid *cid)
{
    for (size_t i = 0; i < store->count; i++) {
        if (pg_cid_equal(&store->blocks[i].cid, cid)) {
            return &store->blocks[i];
        }
    }
    return NULL;
}

memory_block *memory_shard(memory_store *store, uint64_t extent, uint32_t segment, unsigned slot)
{
    for (size_t i = 0; i < store->count; i++) {
        memory_block *block = &store->blocks[i];
        if (block->is_shard && block->extent == extent && block->segment == segment &&
            block->slot == slot) {
            return block;
        }
    }
    return NULL;
}

void memory_lose_slot(memory_store *store, unsigned slot)
{
    for (size_t i = 0; i < store->count; i++) {
        memory_block *block = &store->blocks[i];
        block->lost |= block->is_shard && block->slot == slot;
    }
}

void memory_corrupt(memory_block *block)
{
    block->bytes.ptr[block->bytes.len / 2] ^= 0x10;
}

void memory_again(memory_store *store)
{
    for (size_t i = 0; i < store->count; i++) {
        store->blocks[i].lost = false;
    }
    pg_buf_clear(&store->output);
    store->problem_count = 0;
    store->began = false;
}

void memory_free(memory_store *store)
{
    for (size_t i = 0; i < store->count; i++) {
        pg_buf_deinit(&store->blocks[i].bytes);
    }
    pg_mfree(store->blocks);
    pg_buf_deinit(&store->output);
    pg_buf_deinit(&store->extent_ids);
    *store = (memory_store){0};
}
