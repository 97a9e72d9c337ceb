// SPDX-License-Identifier: Apache-2.0
// Goal: what a put left to be done is done, whatever stands in its way: a node that crashes alone starts again with all it acknowledged, a
//       spreading that fails changes nothing and succeeds later, disks that are full cost a put and no more. No fiber comes near the end
//       of its stack.
// Method: as test_files.c, whose world this shares. Here hosts crash while files move to them.
#include "base/mem.h"
#include "files_world.h"
#include "runtime/random.h"

// ---- Alone

/** Check the list of the node, and that all of it can be got. */
static void acknowledged_check(sim_node *self, sim_file *files, size_t count)
{
    sim_run(self, sim_list, NULL);
    CHECK(self->list_count == count);
    for (size_t i = 0; i < count; i++) {
        sim_run(self, sim_get, &files[i]);
    }
}

// A node without hosts crashes at any moment of a put: it starts again, and has what it acknowledged, and that only.
static pg_err alone_script(void *arg)
{
    static const size_t sizes[] = {900000, 700, 40000};
    sim_world *world = arg;
    sim_node *self = &world->nodes[0];
    sim_file files[8];
    size_t count = 0;
    sim_nodes_make(world, 1);
    pg_sim_machine_disk(self->machine, &(pg_sim_disk_faults){.latency_ns = PG_MS(2)});
    for (size_t round = 0; round < PG_ARRAY_LEN(files); round++) {
        files[count] = (sim_file){.content = round, .size = sizes[round % PG_ARRAY_LEN(sizes)]};
        sim_task_begin(self, sim_put, &files[count]);
        CHECK_OK(pg_sleep_until(pg_after((int64_t) pg_sim_random_below(PG_MS(80)))));
        bool is_done = self->task_done;
        CHECK(!is_done || self->task_err == PG_OK);
        count += is_done ? 1 : 0;
        sim_node_crash(self);
        sim_node_start(self);
        sim_run(self, sim_list, NULL);
        if (!is_done && self->list_count == count + 1) {
            sim_run(self, sim_remove_newest, NULL); // done, but nobody heard of it
        }
        acknowledged_check(self, files, count);
    }
    sim_nodes_stop(world);
    return PG_OK;
}

static void test_files__alone_and_crashes_while_putting__starts_with_what_it_acknowledged(
    void **state)
{
    (void) state;
    sim_files_seeds(alone_script, 12);
}

// ---- Spreading

static void wait_until_complete(sim_node *self, sim_file *file, int64_t within_ns)
{
    pg_time deadline = pg_after(within_ns);
    do {
        CHECK(pg_now() < deadline);
        CHECK_OK(pg_sleep_until(pg_after(PG_SECONDS(5))));
        sim_run(self, sim_find, file);
    } while (file->state != PG_FILE_STATE_COMPLETE);
}

#define FIRST_HOSTS 4 // node 0 and the three that come first

// Start nodes, and let some of them crash in the time in which files move to them.
static void start_with_crashes(sim_world *world, size_t first, size_t end)
{
    for (size_t i = first; i < end; i++) {
        if (!world->nodes[i].is_up) {
            sim_node_start(&world->nodes[i]);
        }
    }
    CHECK_OK(pg_sleep_until(pg_after((int64_t) pg_sim_random_below(PG_MS(700)))));
    for (size_t i = first; i < end; i++) {
        if (pg_sim_random_below(2) == 0) {
            sim_node_crash(&world->nodes[i]);
        }
    }
}

// A file without hosts goes to three, of which each may crash at any time; then it, and one that was put on three, spread to others, of which
// two may be away at any time.
static pg_err spread_script(void *arg)
{
    sim_world *world = arg;
    sim_node *self = &world->nodes[0];
    sim_node *reader = &world->nodes[READER];
    sim_file files[] = {{.content = 1, .size = 3000000},
                        {.content = 2, .size = 2000000},
                        {.content = 3, .size = 1000}};
    sim_nodes_make(world, 1);
    sim_run(self, sim_put, &files[0]);
    for (size_t round = 0; round < 6; round++) {
        start_with_crashes(world, 1, FIRST_HOSTS);
    }
    for (size_t i = 1; i < NODES; i++) {
        if ((i < FIRST_HOSTS || i == READER) && !world->nodes[i].is_up) {
            sim_node_start(&world->nodes[i]);
        }
    }
    sim_nodes_meet(world);
    sim_run(reader, sim_get, &files[0]);
    sim_run(self, sim_put, &files[1]);
    sim_run(self, sim_put, &files[2]);
    for (size_t first = FIRST_HOSTS; first < READER; first += 2) {
        start_with_crashes(world, first, first + 2 < READER ? first + 2 : READER);
        sim_run(reader, sim_get, &files[1]);
        for (size_t i = first; i < READER && i < first + 2; i++) {
            if (!world->nodes[i].is_up) {
                sim_node_start(&world->nodes[i]);
            }
        }
    }
    for (size_t i = 0; i < PG_ARRAY_LEN(files); i++) {
        wait_until_complete(self, &files[i], PG_MINUTES(20));
        CHECK(files[i].survives >= 2);
    }
    // Nothing is left here: it is nobody's host.
    CHECK(pg_block_store_stats_get(self->storage->blocks).blocks == 0);
    sim_hosts_crash(world, &files[0], 2);
    sim_node_crash(self);
    sim_run(reader, sim_get, &files[0]);
    sim_nodes_stop(world);
    return PG_OK;
}

static void test_files__hosts_crash_while_files_spread__all_spread_in_the_end(void **state)
{
    (void) state;
    sim_files_seeds(spread_script, 6);
}

// ---- Slow hosts

// Two hosts take requests and never answer: that is found out once, not for every segment again.
static pg_err slow_script(void *arg)
{
    sim_world *world = arg;
    sim_file file = {.content = 42, .size = 24000000, .code = {2, 2}};
    sim_nodes_make(world, NODES);
    sim_nodes_meet(world);
    sim_run(&world->nodes[0], sim_put, &file);
    for (size_t i = 0; i < 2; i++) {
        pg_sim_partition(world->nodes[READER].machine, sim_node_of(world, &file.hosts[i])->machine,
                         true);
    }
    pg_time before = pg_now();
    sim_run(&world->nodes[READER], sim_get, &file);
    CHECK(pg_now() - before < PG_SECONDS(4));
    sim_nodes_stop(world);
    return PG_OK;
}

static void test_files__two_hosts_never_answer__costs_seconds(void **state)
{
    (void) state;
    sim_files_seeds(slow_script, 1);
}

/** Give a node a slow line: so many bytes a second to and from each other node. */
static void line_set(sim_world *world, size_t number, uint64_t bytes_per_second)
{
    const pg_sim_link link = {.latency_ns = PG_MS(30), .bytes_per_second = bytes_per_second};
    for (size_t i = 0; i < NODES; i++) {
        if (i != number) {
            pg_sim_link_set(world->nodes[number].machine, world->nodes[i].machine, &link);
        }
    }
}

// Who puts and who gets have lines of 2 Mbit/s over all, and most wait behind what is being sent: that takes its time, and costs no host.
static pg_err line_script(void *arg)
{
    sim_world *world = arg;
    sim_file file = {.content = 42, .size = 40000000};
    sim_nodes_make(world, NODES);
    line_set(world, 0, 25000);
    line_set(world, READER, 25000);
    sim_nodes_meet(world);
    sim_run(&world->nodes[0], sim_put, &file);
    CHECK(file.state == PG_FILE_STATE_COMPLETE);
    pg_time before = pg_now();
    sim_run(&world->nodes[READER], sim_get, &file);
    print_message("got after %.0f s\n", (double) (pg_now() - before) / 1e9);
    CHECK(pg_now() - before < PG_SECONDS(300)); // 170 at best
    CHECK(world->nodes[READER].report.shards_fetched < 50);
    sim_nodes_stop(world);
    return PG_OK;
}

static void test_files__slow_lines__take_their_time(void **state)
{
    (void) state;
    sim_files_seeds(line_script, 1);
}

// ---- Alone for a week

// The owner never comes back. Each day, of two unless the run is a long one, a host is started anew; the clock of one is a year ahead for a day, that of another a year behind for
// good. (A clock that stays ahead is believed after a day, and what has expired by it goes.)
static pg_err week_script(void *arg)
{
    static const int64_t jumps[] = {
        PG_HOURS(365 * 24) / PG_MS(1),
        -PG_HOURS(365 * 24) / PG_MS(1),
        -PG_HOURS(365 * 24) / PG_MS(1),
    };
    sim_world *world = arg;
    sim_file file = {.content = 51, .size = 400000};
    sim_file small = {.content = 52, .size = 4000};
    sim_nodes_make(world, NODES);
    sim_nodes_meet(world);
    sim_run(&world->nodes[0], sim_put, &file);
    sim_run(&world->nodes[0], sim_put, &small);
    sim_node_crash(&world->nodes[0]);
    world->is_long = true;
    const size_t days = sim_files_is_long() ? 7 : 2;
    for (size_t day = 0; day < days; day++) {
        sim_node *host = sim_node_of(world, &file.hosts[day]);
        CHECK_OK(pg_sleep_until(pg_after(PG_HOURS(12))));
        sim_node_crash(host);
        if (day < PG_ARRAY_LEN(jumps)) {
            pg_sim_machine_clock_jump(sim_node_of(world, &file.hosts[day / 2])->machine,
                                      jumps[day]);
        }
        CHECK_OK(pg_sleep_until(pg_after(PG_HOURS(12))));
        sim_node_start(host);
    }
    world->is_long = false;
    sim_nodes_meet(world);
    sim_run(&world->nodes[READER], sim_get, &small);
    for (size_t i = 7; i < 9; i++) { // two of those that stayed up
        sim_node_crash(sim_node_of(world, &file.hosts[i]));
    }
    sim_run(&world->nodes[READER], sim_get, &file);
    CHECK(world->nodes[READER].report.shards_fetched == 8);
    sim_nodes_stop(world);
    return PG_OK;
}

static void test_files__owner_gone_for_a_week__given_back(void **state)
{
    (void) state;
    sim_files_seeds(week_script, 1);
}

// ---- Disks

// The disk of the node is full: a put without hosts fails, nothing of it stays, and it goes on when there is room.
static pg_err full_script(void *arg)
{
    sim_world *world = arg;
    sim_node *self = &world->nodes[0];
    sim_file small = {.content = 1, .size = 60000};
    sim_file large = {.content = 2, .size = 3000000};
    sim_nodes_make(world, 1);
    sim_run(self, sim_put, &small);
    pg_sim_machine_disk(self->machine, &(pg_sim_disk_faults){.free_bytes = 1 << 20});
    sim_task_begin(self, sim_put, &large);
    CHECK(sim_task_end(self, PG_MINUTES(5)) == PG_ERR_FULL);
    acknowledged_check(self, &small, 1);
    CHECK(pg_block_store_stats_get(self->storage->blocks).blocks == 12);
    pg_sim_machine_disk(self->machine, &(pg_sim_disk_faults){.free_bytes = 0});
    sim_run(self, sim_put, &large);
    sim_node_crash(self);
    sim_node_start(self);
    acknowledged_check(self, (sim_file[]){small, large}, 2);
    sim_nodes_stop(world);
    return PG_OK;
}

static void test_files__disk_is_full__fails_and_goes_on(void **state)
{
    (void) state;
    sim_files_seeds(full_script, 3);
}

// ---- Stacks

static void stack_print(const pg_fiber_stats *stats, void *user)
{
    size_t *kinds = user;
    (void) printf("fiber %-24s stack %6zu high water %6zu started %zu\n", stats->kind,
                  stats->stack_bytes, stats->high_water_bytes, stats->started_total);
    CHECK(stats->high_water_bytes < stats->stack_bytes / 4 * 3);
    *kinds += 1;
}

// What files do at least once: put, spread, get with hosts away, remove.
static pg_err stacks_script(void *arg)
{
    sim_world *world = arg;
    size_t kinds = 0;
    sim_file file = {.content = 1, .size = 3000000};
    sim_file tiny = {.content = 2, .size = 100};
    sim_nodes_make(world, 4);
    sim_nodes_meet(world);
    sim_run(&world->nodes[0], sim_put, &file);
    sim_run(&world->nodes[0], sim_put, &tiny);
    for (size_t i = 4; i < NODES; i++) {
        sim_node_start(&world->nodes[i]);
    }
    sim_nodes_meet(world);
    wait_until_complete(&world->nodes[0], &file, PG_MINUTES(20));
    sim_hosts_crash(world, &file, 2);
    sim_run(&world->nodes[READER], sim_get, &file);
    sim_run(&world->nodes[0], sim_remove, &file);
    sim_nodes_stop(world);
    pg_fiber_stats_each(stack_print, &kinds);
    CHECK(kinds >= 20);
    return PG_OK;
}

static void test_files__stacks_painted__every_kind_keeps_a_quarter_free(void **state)
{
    (void) state;
    static sim_world world;
    const pg_sim_config config = {.seed = 1, .measure_stacks = true, .events_max = 50000000};
    assert_int_equal(pg_sim_run(&config, stacks_script, &world, NULL), PG_OK);
}

int main(int argc, char **argv)
{
    sim_arguments(argc, argv);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(
            test_files__alone_and_crashes_while_putting__starts_with_what_it_acknowledged),
        cmocka_unit_test(test_files__hosts_crash_while_files_spread__all_spread_in_the_end),
        cmocka_unit_test(test_files__two_hosts_never_answer__costs_seconds),
        cmocka_unit_test(test_files__slow_lines__take_their_time),
        cmocka_unit_test(test_files__owner_gone_for_a_week__given_back),
        cmocka_unit_test(test_files__disk_is_full__fails_and_goes_on),
        cmocka_unit_test(test_files__stacks_painted__every_kind_keeps_a_quarter_free),
    };
    if (getenv("PG_TEST_ONLY") != NULL) {
        cmocka_set_test_filter(getenv("PG_TEST_ONLY"));
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
