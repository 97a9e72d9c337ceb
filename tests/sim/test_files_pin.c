// SPDX-License-Identifier: Apache-2.0
// Goal: what a pin protects is there, whatever comes: the cache in need of room, crashes, everybody else gone. A pin that was broken off
//       goes on without fetching again; one that has no room changes nothing; after unpin nothing of it stays.
// Method: as test_files.c, whose world this shares: the reader pins, caches, crashes at moments the seed chooses.
#include "base/mem.h"
#include "files_world.h"
#include "runtime/random.h"

static pg_err room_task(sim_node *self)
{
    (void) pg_files_make_room(self->storage->files, UINT64_MAX); // there may be none
    return PG_OK;
}

static uint64_t blocks_of(const sim_node *self)
{
    return pg_block_store_stats_get(self->storage->blocks).blocks;
}

static uint64_t fetched_all(const sim_world *world)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < READER; i++) {
        sum += world->nodes[i].is_up
                   ? pg_bitswap_get_stats(world->nodes[i].storage->bitswap).blocks_sent
                   : 0;
    }
    return sum;
}

#define FILES 6

// Pull the plug, and go on at once, while others still have connections with the life before.
static void restart(sim_world *world, sim_node *self)
{
    sim_node_crash(self);
    sim_node_start(self);
    sim_nodes_meet(world);
}

// Do something by chance that takes away what nobody needs, or what is only in memory.
static void disturb(sim_world *world, sim_file *files)
{
    sim_node *reader = &world->nodes[READER];
    switch (pg_sim_random_below(4)) {
    case 0:
        sim_run(reader, sim_get, &files[pg_sim_random_below(FILES)]); // crowds the cache
        break;
    case 1:
        sim_run(reader, room_task, NULL);
        break;
    case 2:
        restart(world, reader);
        break;
    default:
        sim_run(&world->nodes[1], sim_get, &files[pg_sim_random_below(FILES)]);
        break;
    }
}

// Pins and unpins in any order with disturbances between them: what is pinned in the end is here, and nothing else needs to be.
static pg_err property_script(void *arg)
{
    sim_world *world = arg;
    sim_node *reader = &world->nodes[READER];
    sim_file files[FILES];
    bool is_pinned[FILES] = {false};
    sim_nodes_make(world, NODES);
    sim_nodes_meet(world);
    for (size_t i = 0; i < FILES; i++) {
        files[i] = (sim_file){.content = i + 1, .size = i == 0 ? 500 : 600000 * i};
        sim_run(&world->nodes[0], sim_put, &files[i]);
    }
    for (size_t round = 0; round < 12; round++) {
        size_t i = (size_t) pg_sim_random_below(FILES);
        sim_run(reader, is_pinned[i] ? sim_unpin : sim_pin, &files[i]);
        is_pinned[i] = !is_pinned[i];
        disturb(world, files);
    }
    for (size_t i = 0; i < READER; i++) {
        sim_node_crash(&world->nodes[i]);
    }
    sim_run(reader, room_task, NULL);
    sim_run(reader, sim_pins, NULL);
    uint64_t pins = reader->list_count;
    for (size_t i = 0; i < FILES; i++) {
        pins -= is_pinned[i] ? 1 : 0;
        if (is_pinned[i]) {
            sim_run(reader, sim_get, &files[i]);
            CHECK(reader->report.shards_fetched == 0);
            sim_run(reader, sim_unpin, &files[i]);
        }
    }
    CHECK(pins == 0);
    sim_nodes_stop(world);
    return PG_OK;
}

// The reader crashes while it pins: the pin is there, incomplete, protected, and the next call fetches only what is missing.
static pg_err resume_script(void *arg)
{
    sim_world *world = arg;
    sim_node *reader = &world->nodes[READER];
    sim_file file = {.content = 9, .size = 20000000};
    sim_nodes_make(world, NODES);
    sim_nodes_meet(world);
    sim_run(&world->nodes[0], sim_put, &file);
    uint64_t sent = fetched_all(world);
    uint64_t crashes = 0;
    for (; crashes < 3; crashes++) {
        sim_task_begin(reader, sim_pin, &file);
        CHECK_OK(pg_sleep_until(pg_after((int64_t) pg_sim_random_below(PG_SECONDS(2)))));
        restart(world, reader);
        sim_run(reader, room_task, NULL);
    }
    sim_run(reader, sim_pin, &file);
    // Root, descriptor, 24 shards; for each crash the shards of the segments that were under way, and what was asked for twice as it was late.
    CHECK(fetched_all(world) - sent < 26 + 30 + 20 * crashes);
    uint64_t before = fetched_all(world);
    sim_run(reader, sim_pin, &file); // complete: nothing to do
    CHECK(fetched_all(world) == before);
    for (size_t i = 0; i < READER; i++) {
        sim_node_crash(&world->nodes[i]);
    }
    sim_run(reader, sim_get, &file);
    CHECK(reader->report.shards_fetched == 0);
    sim_nodes_stop(world);
    return PG_OK;
}

// More than the quota: refused before anything is fetched, and the pin that was there stays; so does the cache.
static pg_err full_script(void *arg)
{
    sim_world *world = arg;
    sim_node *reader = &world->nodes[READER];
    sim_file small = {.content = 1, .size = 2000000};
    sim_file cached = {.content = 2, .size = 1000000};
    sim_file large = {.content = 3, .size = 20000000};
    sim_nodes_make(world, NODES);
    sim_nodes_meet(world);
    sim_run(&world->nodes[0], sim_put, &small);
    sim_run(&world->nodes[0], sim_put, &cached);
    sim_run(&world->nodes[0], sim_put, &large);
    sim_run(reader, sim_pin, &small);
    sim_run(reader, sim_get, &cached);
    CHECK_OK(pg_sleep_until(pg_after(PG_SECONDS(2)))); // the cache is written
    uint64_t blocks = blocks_of(reader);
    pg_block_store_quota_set(reader->storage->blocks, 12 << 20);
    sim_task_begin(reader, sim_pin, &large);
    CHECK(sim_task_end(reader, PG_MINUTES(5)) == PG_ERR_FULL);
    CHECK(strstr(reader->task_text, "quota") != NULL);
    CHECK(blocks_of(reader) == blocks);
    sim_run(reader, sim_pins, NULL);
    CHECK(reader->list_count == 1);
    pg_block_store_quota_set(reader->storage->blocks, 64 << 20);
    sim_run(reader, sim_pin, &large);
    sim_run(reader, sim_pins, NULL);
    CHECK(reader->list_count == 2);
    sim_run(reader, sim_unpin, &large);
    sim_run(reader, sim_unpin, &small);
    sim_run(reader, room_task, NULL);
    CHECK(blocks_of(reader) == 0);
    sim_nodes_stop(world);
    return PG_OK;
}

// Nobody has it, or the link has another key: nothing is pinned.
static pg_err absent_script(void *arg)
{
    sim_world *world = arg;
    sim_node *reader = &world->nodes[READER];
    sim_file file = {.content = 4, .size = 100000};
    sim_nodes_make(world, NODES);
    sim_nodes_meet(world);
    sim_run(&world->nodes[0], sim_put, &file);
    sim_file other = file;
    other.link.key.bytes[0] ^= 1;
    sim_task_begin(reader, sim_pin, &other);
    CHECK(sim_task_end(reader, PG_MINUTES(5)) == PG_ERR_KEY);
    sim_run(&world->nodes[0], sim_remove, &file);
    CHECK_OK(pg_sleep_until(pg_after(PG_SECONDS(2))));
    sim_task_begin(reader, sim_pin, &file);
    CHECK(sim_task_end(reader, PG_MINUTES(5)) == PG_ERR_NOT_FOUND);
    sim_run(reader, sim_pins, NULL);
    CHECK(reader->list_count == 0);
    sim_task_begin(reader, sim_unpin, &file);
    CHECK(sim_task_end(reader, PG_MINUTES(1)) == PG_ERR_NOT_FOUND);
    sim_nodes_stop(world);
    return PG_OK;
}

static void test_pin__pinned_and_unpinned_with_crashes__there_while_pinned(void **state)
{
    (void) state;
    sim_files_seeds(property_script, 8);
}

static void test_pin__crashes__goes_on(void **state)
{
    (void) state;
    sim_files_seeds(resume_script, 4);
}

static void test_pin__no_room__changes_nothing(void **state)
{
    (void) state;
    sim_files_seeds(full_script, 3);
}

static void test_pin__nobody_has_it__is_not_pinned(void **state)
{
    (void) state;
    sim_files_seeds(absent_script, 3);
}

int main(int argc, char **argv)
{
    sim_arguments(argc, argv);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pin__pinned_and_unpinned_with_crashes__there_while_pinned),
        cmocka_unit_test(test_pin__crashes__goes_on),
        cmocka_unit_test(test_pin__no_room__changes_nothing),
        cmocka_unit_test(test_pin__nobody_has_it__is_not_pinned),
    };
    if (getenv("PG_TEST_ONLY") != NULL) {
        cmocka_set_test_filter(getenv("PG_TEST_ONLY"));
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
