// SPDX-License-Identifier: Apache-2.0
// Goal: the shards of any slots of an extent come from its descriptor and k others, right to the byte, each for its slot and in the
//       order of the segments; too few are named; who takes them may break it off.
// Method: extents encoded in memory, some of their shards put into a real block store. What hosts give: tests/sim/test_files_trouble.c.
#include <string.h>

#include "../runtime/in_fiber.h"
#include "base/mem.h"
#include "files/rebuild.h"
#include "memory_store.h"
#include "temp_folder.h"

#define SEGMENT 20000U
#define SEGMENTS 3U
#define LEN ((SEGMENTS - 1) * SEGMENT + 1234)

/** An extent in memory, and a part of it in a store. */
typedef struct scene {
    memory_store memory;
    pg_block_store *blocks;
    pg_descriptor descriptor;
    pg_slot_set wanted;
    pg_slot_set given[SEGMENTS]; // slots that came, by segment
    size_t count;
    size_t fail_at; // the shard at which its taker breaks off; 0 = never
} scene;

static void scene_make(scene *it, pg_code code)
{
    static uint8_t plain[LEN];
    static const pg_key key = {.bytes = {3}};
    pg_files_encoded encoded = {0};
    const pg_files_encoding encoding = {
        .code = code,
        .file_key = &key,
        .random = test_random,
        .segment_bytes = SEGMENT,
        .extent_segments = SEGMENTS,
    };
    memset(it, 0, sizeof(*it)); // as a value it would lie on the stack first
    it->memory.source = PG_BYTES_OF(plain);
    test_random(PG_MUT_BYTES_OF(plain));
    const pg_files_source source = memory_source(&it->memory);
    const pg_files_sink sink = memory_sink(&it->memory);
    CHECK_OK(pg_files_encode_stream(&encoding, &source, &sink, &encoded));
    CHECK(encoded.extents == 1 && encoded.segments == SEGMENTS);
    for (size_t i = 0; i < it->memory.count && it->descriptor.segment_count == 0; i++) {
        const memory_block *block = &it->memory.blocks[i];
        if (!block->is_shard) {
            CHECK_OK(pg_descriptor_decode(pg_buf_bytes(&block->bytes), &it->descriptor));
        }
    }
    char path[96];
    (void) snprintf(path, sizeof(path), "%s/blocks", temp_folder);
    const pg_block_store_config config = {.dir = path, .quota_bytes = 64 << 20, .key = &key};
    CHECK_OK(pg_block_store_open(&config, &it->blocks));
}

static void scene_end(scene *it)
{
    pg_descriptor_deinit(&it->descriptor);
    pg_block_store_close(&it->blocks);
    memory_free(&it->memory);
}

/** Put the shards of some slots into the store. */
static void slots_store(scene *it, pg_slot_set slots)
{
    for (size_t i = 0; i < it->memory.count; i++) {
        const memory_block *block = &it->memory.blocks[i];
        if (block->is_shard && (slots >> block->slot & 1) != 0) {
            CHECK_OK(pg_block_store_put(it->blocks, &block->cid, pg_buf_bytes(&block->bytes)));
        }
    }
}

static pg_err on_give(unsigned slot, const pg_cid *cid, pg_bytes shard, void *user)
{
    scene *it = user;
    uint32_t segment = (uint32_t) (it->count / (size_t) __builtin_popcount(it->wanted));
    const memory_block *block = memory_shard(&it->memory, 0, segment, slot);
    CHECK(block != NULL && pg_cid_equal(cid, &block->cid));
    CHECK(pg_bytes_equal(shard, pg_buf_bytes(&block->bytes)));
    it->given[segment] |= (pg_slot_set) 1 << slot;
    return ++it->count == it->fail_at ? pg_fail(PG_ERR_FULL, "no more") : PG_OK;
}

static pg_err slots_rebuild(scene *it, pg_slot_set slots)
{
    const pg_rebuild rebuild = {
        .blocks = it->blocks,
        .descriptor = &it->descriptor,
        .give = on_give,
        .user = it,
    };
    it->wanted = slots;
    return pg_rebuild_slots(&rebuild, slots);
}

static void rebuilt_check(const scene *it, pg_slot_set slots)
{
    for (uint32_t segment = 0; segment < SEGMENTS; segment++) {
        CHECK(it->given[segment] == slots);
    }
}

static pg_err here_run(void *arg)
{
    static scene it; // too large for the stack of a fiber
    (void) arg;
    scene_make(&it, PG_CODE_DEFAULT);
    slots_store(&it, 0x3ff);
    CHECK_OK(slots_rebuild(&it, 0x205));
    rebuilt_check(&it, 0x205);
    scene_end(&it);
    return PG_OK;
}

static pg_err computed_run(void *arg)
{
    static scene it;
    (void) arg;
    scene_make(&it, PG_CODE_DEFAULT);
    slots_store(&it, 0x3ff & ~0x081U); // which shards they are changes from segment to segment
    CHECK_OK(slots_rebuild(&it, 0x281));
    rebuilt_check(&it, 0x281);
    scene_end(&it);
    return PG_OK;
}

static pg_err widest_run(void *arg)
{
    static scene it;
    (void) arg;
    scene_make(&it, (pg_code){24, 8});
    slots_store(&it, 0x00ffffff);
    CHECK_OK(slots_rebuild(&it, 0xffffffff));
    rebuilt_check(&it, 0xffffffff);
    scene_end(&it);
    return PG_OK;
}

static pg_err copies_run(void *arg)
{
    static scene it;
    (void) arg;
    scene_make(&it, (pg_code){1, 3}); // each shard is the whole segment
    slots_store(&it, 0x4);
    CHECK_OK(slots_rebuild(&it, 0xb));
    rebuilt_check(&it, 0xb);
    scene_end(&it);
    return PG_OK;
}

static pg_err few_run(void *arg)
{
    static scene it;
    (void) arg;
    scene_make(&it, PG_CODE_DEFAULT);
    slots_store(&it, 0x7f);
    CHECK_ERR(slots_rebuild(&it, 0x300), PG_ERR_MISSING);
    CHECK(strstr(pg_error_last()->text, "segment 0: 7 of 10 shards can be had, 8") != NULL);
    CHECK(it.count == 0);
    CHECK_OK(slots_rebuild(&it, 0x41)); // those that are here need no others
    CHECK_OK(slots_rebuild(&it, 0));
    CHECK(it.count == 6);
    scene_end(&it);
    return PG_OK;
}

static pg_err broken_off_run(void *arg)
{
    static scene it;
    (void) arg;
    scene_make(&it, PG_CODE_DEFAULT);
    slots_store(&it, 0xff);
    it.fail_at = 3;
    CHECK_ERR(slots_rebuild(&it, 0x300), PG_ERR_FULL);
    CHECK(it.count == 3);
    scene_end(&it);
    return PG_OK;
}

static void test_rebuild__shards_are_here__given_as_they_are(void **state)
{
    (void) state;
    in_fiber(here_run, NULL);
}

static void test_rebuild__two_slots_lost__computed(void **state)
{
    (void) state;
    in_fiber(computed_run, NULL);
}

static void test_rebuild__widest_code__every_slot_comes(void **state)
{
    (void) state;
    in_fiber(widest_run, NULL);
}

static void test_rebuild__one_shard_is_enough__copies_come(void **state)
{
    (void) state;
    in_fiber(copies_run, NULL);
}

static void test_rebuild__too_few__told_with_the_segment(void **state)
{
    (void) state;
    in_fiber(few_run, NULL);
}

static void test_rebuild__taker_fails__ends_there(void **state)
{
    (void) state;
    in_fiber(broken_off_run, NULL);
}

#define TEST(function)                                                                             \
    cmocka_unit_test_setup_teardown(function, temp_folder_make, temp_folder_remove)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_rebuild__shards_are_here__given_as_they_are),
        TEST(test_rebuild__two_slots_lost__computed),
        TEST(test_rebuild__widest_code__every_slot_comes),
        TEST(test_rebuild__one_shard_is_enough__copies_come),
        TEST(test_rebuild__too_few__told_with_the_segment),
        TEST(test_rebuild__taker_fails__ends_there),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
