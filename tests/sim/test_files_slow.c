// SPDX-License-Identifier: Apache-2.0
// Goal: what a slow source gave is its hosts' promise a quarter of an hour later, however long it is silent then: it outlives two of them and
//       the session of nobody is kept for it. What comes of it is a file as any other.
// Method: as test_files.c, whose world this shares. Sources that speak at times of their own, in hours of virtual time.
#include "base/mem.h"
#include "files/limits.h"
#include "files_world.h"

#define SEGMENT ((size_t) 8 << 20)

/** What a source says after a silence. */
typedef struct word {
    int64_t wait_ns;
    size_t bytes;
} word;

/** The source of the put. */
typedef struct source {
    const word *words; // words[count]
    size_t count;
    size_t spoken;   // words that are through
    size_t given;    // bytes of the word at hand
    pg_time next_at; // when it comes; 0 = its silence has not begun
    size_t at;       // bytes in all
    uint64_t extents;
    uint64_t segments;
} source;

static source from;

/** Wait for the next word; *out_is_there is false when it does not come until the deadline. */
static pg_err word_await(pg_time deadline, bool *out_is_there)
{
    if (from.next_at == 0) {
        from.next_at = pg_after(from.words[from.spoken].wait_ns);
    }
    *out_is_there = from.next_at <= deadline;
    return pg_sleep_until(*out_is_there ? from.next_at : deadline);
}

static void word_take(const sim_file *file, pg_mut_bytes space, size_t *len)
{
    const size_t bytes = from.words[from.spoken].bytes;
    const size_t some = pg_min_size(bytes - from.given, space.len - *len);
    sim_content_fill(file, from.at, pg_mut_bytes_make(space.ptr + *len, some));
    *len += some;
    from.at += some;
    from.given += some;
    if (from.given == bytes) {
        from.spoken++;
        from.given = 0;
        from.next_at = 0;
    }
}

static pg_err on_read(pg_mut_bytes space, pg_time deadline, size_t *out_len, void *user)
{
    size_t len = 0;
    bool is_there = true;
    while (len < space.len && from.spoken < from.count) {
        PG_TRY(word_await(deadline, &is_there));
        if (!is_there) {
            break;
        }
        word_take(user, space, &len);
    }
    *out_len = len;
    return len == 0 && !is_there ? PG_ERR_TIMEOUT : PG_OK;
}

static pg_err put_task(sim_node *self)
{
    const pg_put_options options = {.code = PG_CODE_DEFAULT};
    pg_file_entry *entry = PG_NEW(pg_file_entry);
    CHECK(entry != NULL);
    const pg_files_source bytes = {on_read, self->file};
    PG_TRY(pg_files_put(self->storage->files, &options, &bytes, entry));
    CHECK(entry->size_bytes == from.at);
    self->file->size = from.at;
    self->file->link = entry->link;
    from.extents = entry->extents;
    from.segments = entry->segments;
    pg_file_entry_deinit(entry);
    pg_mfree(entry);
    return PG_OK;
}

static void put_begin(sim_world *world, const word *words, size_t count, sim_file *file)
{
    from = (source){.words = words, .count = count};
    sim_nodes_make(world, NODES);
    sim_nodes_meet(world);
    sim_task_begin(&world->nodes[0], put_task, file);
}

/** Crash some hosts that have a lease. */
static void holders_crash(const sim_world *world, size_t count)
{
    for (size_t i = 1; i < READER && count > 0; i++) {
        sim_node *host = (sim_node *) (uintptr_t) &world->nodes[i];
        if (host->is_up && pg_place_server_get_stats(host->storage->place).leases > 0) {
            sim_node_crash(host);
            count--;
        }
    }
    CHECK(count == 0);
}

static size_t streams_served(const sim_world *world)
{
    size_t sum = 0;
    for (size_t i = 0; i < NODES; i++) {
        sum += world->nodes[i].is_up ? pg_host_get_stats(world->nodes[i].host).streams : 0;
    }
    return sum;
}

// A segment and a part of one, then nothing for hours, in which two of the hosts die.
static pg_err silent_script(void *arg)
{
    static const word words[] = {{0, SEGMENT + 100000}, {PG_HOURS(3), 5}};
    sim_world *world = arg;
    sim_file file = {.content = 0};
    put_begin(world, words, PG_ARRAY_LEN(words), &file);
    CHECK_OK(pg_sleep_until(pg_after(PG_MINUTES(PG_EXTENT_MINUTES_MAX - 1))));
    CHECK(sim_leases(world) == 0);
    CHECK_OK(pg_sleep_until(pg_after(PG_MINUTES(6))));
    CHECK(sim_leases(world) == 10 && !world->nodes[0].task_done);
    CHECK(streams_served(world) == 0);
    holders_crash(world, 2);
    CHECK_OK(sim_task_end(&world->nodes[0], PG_HOURS(4)));
    CHECK(from.extents == 2 && from.segments == 3);
    CHECK_OK(pg_sleep_until(pg_after(PG_MINUTES(5))));
    sim_run(&world->nodes[0], sim_find, &file);
    CHECK(file.state == PG_FILE_STATE_COMPLETE); // what the dead ones had is with others
    sim_node_crash(&world->nodes[0]);
    holders_crash(world, 1);
    sim_run(&world->nodes[READER], sim_get, &file);
    sim_nodes_stop(world);
    return PG_OK;
}

// A few lines every seven minutes: three of them are an extent, though all together would stand in a root.
static pg_err drops_script(void *arg)
{
    static word words[10];
    sim_world *world = arg;
    sim_file file = {.content = 0};
    for (size_t i = 0; i < PG_ARRAY_LEN(words); i++) {
        words[i] = (word){PG_MINUTES(7), 3000};
    }
    put_begin(world, words, PG_ARRAY_LEN(words), &file);
    CHECK_OK(pg_sleep_until(pg_after(PG_MINUTES(44))));
    CHECK(sim_leases(world) == 20);
    CHECK_OK(sim_task_end(&world->nodes[0], PG_HOURS(1)));
    CHECK(from.extents == 4 && from.segments == 4 && from.at == 30000);
    sim_node_crash(&world->nodes[0]);
    sim_run(&world->nodes[READER], sim_get, &file);
    sim_nodes_stop(world);
    return PG_OK;
}

// Little, and the end at once after a silence: it stands in the root.
static pg_err late_script(void *arg)
{
    static const word words[] = {{PG_HOURS(2), 1}, {PG_MINUTES(14), 30000}};
    sim_world *world = arg;
    sim_file file = {.content = 0};
    put_begin(world, words, PG_ARRAY_LEN(words), &file);
    CHECK_OK(sim_task_end(&world->nodes[0], PG_HOURS(3)));
    CHECK(from.extents == 0 && from.at == 30001);
    sim_node_crash(&world->nodes[0]);
    sim_run(&world->nodes[READER], sim_get, &file);
    sim_nodes_stop(world);
    return PG_OK;
}

static void test_slow__silent_for_hours__what_came_is_promised_and_outlives_hosts(void **state)
{
    (void) state;
    sim_files_seeds(silent_script, 2);
}

static void test_slow__a_few_lines_at_a_time__an_extent_every_quarter_of_an_hour(void **state)
{
    (void) state;
    sim_files_seeds(drops_script, 2);
}

static void test_slow__little_after_a_silence__stands_in_the_root(void **state)
{
    (void) state;
    sim_files_seeds(late_script, 1);
}

int main(int argc, char **argv)
{
    sim_arguments(argc, argv);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_slow__silent_for_hours__what_came_is_promised_and_outlives_hosts),
        cmocka_unit_test(test_slow__a_few_lines_at_a_time__an_extent_every_quarter_of_an_hour),
        cmocka_unit_test(test_slow__little_after_a_silence__stands_in_the_root),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
