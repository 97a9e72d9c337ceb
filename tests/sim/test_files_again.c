// SPDX-License-Identifier: Apache-2.0
// Goal: a put that was broken off at any moment, by its client or by a crash of the node, goes on: the file is the same byte for byte, what was
//       placed is neither read nor sent again, and what it placed in vain is dropped in the end.
// Method: as test_files.c, whose world this shares. Bytes read are counted at the source, blocks sent at the hosts.
#include "base/mem.h"
#include "files_world.h"
#include "runtime/random.h"

#define SEGMENT ((size_t) 8 << 20)
#define SEGMENTS 6
#define SIZE (SEGMENTS * SEGMENT + 12345)

/** The source of the put. */
typedef struct source {
    size_t at;
    size_t ends_at; // its client goes away; 0 = never
    uint64_t read_bytes;
    uint8_t version;
    bool is_slow;    // so that the time of an extent is up
    bool is_patient; // its client, which goes away when all that it gave was placed
    bool is_nobodys; // cannot be gone on with
    bool was_done;   // the node knew that it had ended
} source;

static source from;

static pg_err on_read(pg_mut_bytes space, pg_time deadline, size_t *out_len, void *user)
{
    (void) deadline;
    if (from.ends_at != 0 && from.at >= from.ends_at) {
        PG_TRY(pg_sleep_until(pg_after(
            from.is_patient ? PG_SECONDS(60) : (int64_t) pg_sim_random_below(PG_SECONDS(5)))));
        return pg_fail(PG_ERR_CLOSED, "the client is gone");
    }
    size_t len = pg_min_size(space.len, SIZE - from.at);
    sim_content_fill(user, from.at, pg_mut_bytes_make(space.ptr, len));
    from.at += len;
    from.read_bytes += len;
    *out_len = len;
    return pg_sleep_until(pg_after(from.is_slow ? PG_MINUTES(4) : PG_MS(20)));
}

static pg_put_origin origin_make(void)
{
    pg_put_origin origin = {.source = {1, 2, 3}};
    origin.version[0] = from.version;
    return origin;
}

/** Put, or go on with it where the node says. */
static pg_err put_task(sim_node *self)
{
    const pg_put_origin origin = origin_make();
    pg_put_start start;
    pg_put_options options = {
        .code = PG_CODE_DEFAULT,
        .no_compress = true,
        .total_bytes = SIZE,
        .origin = from.is_nobodys ? NULL : &origin,
    };
    PG_TRY(pg_files_put_start(self->storage->files, &origin, &start));
    options.start = start.start;
    self->list_count = start.start;
    if (start.is_done && !from.is_nobodys) {
        self->file->link.root = start.root;
        from.was_done = true;
        return sim_find(self); // of the catalogue: the link too
    }
    from.at = (size_t) options.start;
    pg_file_entry *entry = PG_NEW(pg_file_entry);
    CHECK(entry != NULL);
    const pg_files_source bytes = {on_read, self->file};
    pg_err err = pg_files_put(self->storage->files, &options, &bytes, entry);
    if (err == PG_OK) {
        self->file->link = entry->link;
        self->file->state = entry->state;
        self->file->host_count = entry->host_count;
        self->file->survives = entry->survives;
        CHECK(entry->size_bytes == SIZE && entry->segments == SEGMENTS + 1);
        CHECK(entry->extents == (from.is_slow ? 2U : 1U));
        pg_file_entry_deinit(entry);
    }
    pg_mfree(entry);
    return err;
}

static uint64_t blocks_put(const sim_world *world)
{
    uint64_t sum = 0;
    for (size_t i = 1; i < NODES; i++) {
        sum += world->nodes[i].is_up
                   ? pg_block_store_stats_get(world->nodes[i].storage->blocks).puts_total
                   : 0;
    }
    return sum;
}

// The uploader's plug is pulled, or its client goes away, again and again at moments that the seed chooses.
static pg_err again_script(void *arg)
{
    sim_world *world = arg;
    sim_node *self = &world->nodes[0];
    sim_file file = {.size = SIZE};
    uint64_t tries = 0;
    bool is_done = false;
    from = (source){.version = 1};
    sim_nodes_make(world, NODES);
    sim_nodes_meet(world);
    uint64_t before = blocks_put(world);
    for (; tries < 3; tries++) {
        bool crashes = pg_sim_random_below(2) == 0;
        from.ends_at = crashes ? 0 : from.at + SEGMENT + (size_t) pg_sim_random_below(2 * SEGMENT);
        sim_task_begin(self, put_task, &file);
        if (crashes) {
            CHECK_OK(pg_sleep_until(pg_after((int64_t) pg_sim_random_below(PG_MS(1500)))));
            sim_node_crash(self);
            sim_node_start(self);
        } else {
            pg_err err = sim_task_end(self, PG_MINUTES(10));
            CHECK(err == PG_ERR_CLOSED || err == PG_OK);
        }
        is_done = self->task_done && self->task_err == PG_OK;
        if (is_done) {
            break;
        }
        CHECK_OK(pg_sleep_until(pg_after(PG_MINUTES(2)))); // dead connections are found dead
        sim_nodes_meet(world);
    }
    from.ends_at = 0;
    if (!is_done) {
        sim_run(self, put_task, &file);
    }
    CHECK(file.state == PG_FILE_STATE_COMPLETE && file.survives == 2);
    // Each time the segments in work, and the one that was not noted.
    CHECK(from.read_bytes <= SIZE + tries * (7 * SEGMENT));
    CHECK(blocks_put(world) - before <= (SEGMENTS + 1 + tries * 7) * 10 + 20 + 20 * tries);
    CHECK(from.read_bytes < (tries + 1) * SIZE || tries == 0);
    CHECK_OK(pg_sleep_until(pg_after(PG_MINUTES(2))));
    sim_nodes_meet(world);
    sim_run(&world->nodes[READER], sim_get, &file);
    sim_run(self, sim_list, NULL);
    CHECK(self->list_count == 1);
    sim_nodes_stop(world);
    return PG_OK;
}

// Exactly what was noted is gone on with: with a client that stops after four segments nothing of them is read or sent again.
static pg_err exact_script(void *arg)
{
    sim_world *world = arg;
    sim_node *self = &world->nodes[0];
    sim_file file = {.size = SIZE};
    from = (source){.version = 1, .ends_at = 4 * SEGMENT, .is_patient = true};
    sim_nodes_make(world, NODES);
    sim_nodes_meet(world);
    uint64_t before = blocks_put(world);
    sim_task_begin(self, put_task, &file);
    CHECK(sim_task_end(self, PG_MINUTES(10)) == PG_ERR_CLOSED);
    sim_run(self, sim_list, NULL);
    CHECK(self->list_count == 0);
    sim_node_crash(self);
    sim_node_start(self);
    CHECK_OK(pg_sleep_until(pg_after(PG_MINUTES(2))));
    sim_nodes_meet(world);
    from.ends_at = 0;
    from.read_bytes = 0;
    uint64_t sent = blocks_put(world) - before;
    sim_run(self, put_task, &file);
    CHECK(self->list_count > 0 && self->list_count % SEGMENT == 0);
    CHECK(from.read_bytes == SIZE - self->list_count);
    uint64_t left = SEGMENTS + 1 - self->list_count / SEGMENT;
    CHECK(blocks_put(world) - before - sent ==
          left * 10 + 20); // and descriptor and root for each host
    sim_run(&world->nodes[READER], sim_get, &file);
    sim_nodes_stop(world);
    return PG_OK;
}

// A host that has slots of the unfinished extent is gone: another takes them, rebuilt. With three gone it begins anew.
static pg_err hosts_script(void *arg)
{
    sim_world *world = arg;
    sim_node *self = &world->nodes[0];
    sim_file file = {.size = SIZE};
    from = (source){.version = 1, .ends_at = 5 * SEGMENT, .is_patient = true};
    sim_nodes_make(world, NODES);
    sim_nodes_meet(world);
    sim_task_begin(self, put_task, &file);
    CHECK(sim_task_end(self, PG_MINUTES(10)) == PG_ERR_CLOSED);
    size_t gone = 0;
    size_t wanted = 1 + (size_t) pg_sim_random_below(2);
    for (size_t i = 1; i < READER && gone < wanted; i++) {
        if (pg_block_store_stats_get(world->nodes[i].storage->blocks).blocks > 0) {
            sim_node_crash(&world->nodes[i]);
            gone++;
        }
    }
    from.ends_at = 0;
    from.read_bytes = 0;
    sim_run(self, put_task, &file);
    CHECK(self->list_count > 0 && from.read_bytes == SIZE - self->list_count);
    CHECK(file.host_count >= 9);
    sim_run(&world->nodes[READER], sim_get, &file);
    sim_nodes_stop(world);
    return PG_OK;
}

// Over several extents: those that are complete stay, the hosts of the first get the root.
static pg_err extents_script(void *arg)
{
    sim_world *world = arg;
    sim_node *self = &world->nodes[0];
    sim_file file = {.size = SIZE};
    from = (source){.version = 1, .ends_at = 6 * SEGMENT, .is_patient = true, .is_slow = true};
    sim_nodes_make(world, NODES);
    sim_nodes_meet(world);
    sim_task_begin(self, put_task, &file);
    CHECK(sim_task_end(self, PG_HOURS(3)) == PG_ERR_CLOSED);
    sim_node_crash(self);
    sim_node_start(self);
    CHECK_OK(pg_sleep_until(pg_after(PG_MINUTES(2))));
    sim_nodes_meet(world);
    from.ends_at = 0;
    from.read_bytes = 0;
    sim_task_begin(self, put_task, &file);
    CHECK_OK(sim_task_end(self, PG_HOURS(3)));
    CHECK(self->list_count >= 4 * SEGMENT && from.read_bytes == SIZE - self->list_count);
    CHECK(file.state == PG_FILE_STATE_COMPLETE && file.survives == 2);
    sim_node_crash(self);
    sim_run(&world->nodes[READER], sim_get, &file);
    sim_nodes_stop(world);
    return PG_OK;
}

/** Make the same put again, and tell whether the node knew that it had ended. */
static bool put_repeat(sim_world *world, sim_file *file, uint8_t version)
{
    from = (source){.version = version};
    sim_run(&world->nodes[0], put_task, file);
    CHECK(from.was_done == (from.read_bytes == 0));
    return from.was_done;
}

/** The same, where it is not: the client leaves as soon as it is asked for bytes. */
static void begins_anew(sim_node *self, sim_file *file, uint8_t version)
{
    from = (source){.version = version, .ends_at = 1};
    sim_task_begin(self, put_task, file);
    const pg_err err = sim_task_end(self, PG_MINUTES(10));
    CHECK(err == PG_ERR_CLOSED && !from.was_done && from.read_bytes > 0);
}

static void hosts_crash(sim_world *world)
{
    for (size_t i = 1; i < NODES; i++) {
        sim_node_crash(&world->nodes[i]);
    }
}

// One that ended is not made again: not when its answer was lost, nor after a crash; but when the source changed, the file was removed, or
// after two days.
static pg_err repeated_script(void *arg)
{
    sim_world *world = arg;
    sim_node *self = &world->nodes[0];
    sim_file file = {.size = SIZE};
    sim_file again = {.size = SIZE};
    sim_nodes_make(world, NODES);
    sim_nodes_meet(world);
    CHECK(!put_repeat(world, &file, 1));
    const uint64_t before = blocks_put(world);
    CHECK(put_repeat(world, &again, 1));
    sim_node_crash(self);
    sim_node_start(self);
    CHECK_OK(pg_sleep_until(pg_after(PG_MINUTES(2))));
    sim_nodes_meet(world);
    CHECK(put_repeat(world, &again, 1));
    CHECK(pg_cid_equal(&again.link.root, &file.link.root) && again.state == file.state);
    CHECK(memcmp(&again.link.key, &file.link.key, sizeof(file.link.key)) == 0);
    CHECK(blocks_put(world) == before);
    begins_anew(self, &again, 2);
    sim_run(self, sim_remove, &file);
    CHECK(!put_repeat(world, &again, 1));
    sim_run(self, sim_list, NULL);
    CHECK(self->list_count == 1);
    hosts_crash(world); // which have no part in it
    CHECK_OK(pg_sleep_until(pg_after(PG_HOURS(49))));
    begins_anew(self, &again, 1);
    sim_nodes_stop(world);
    return PG_OK;
}

/** Return what hosts keep that they have not promised. */
static uint64_t strays(const sim_world *world)
{
    uint64_t sum = 0;
    for (size_t i = 1; i < NODES; i++) {
        sum += world->nodes[i].is_up
                   ? pg_place_server_get_stats(world->nodes[i].storage->place).session_bytes
                   : 0;
    }
    return sum;
}

// What cannot be gone on with is gone when its client is: hosts need not keep it for two days.
static pg_err nobodys_script(void *arg)
{
    sim_world *world = arg;
    sim_node *self = &world->nodes[0];
    sim_file file = {.size = SIZE};
    from = (source){.version = 1, .ends_at = 4 * SEGMENT, .is_patient = true, .is_nobodys = true};
    sim_nodes_make(world, NODES);
    sim_nodes_meet(world);
    sim_task_begin(self, put_task, &file);
    CHECK_OK(pg_sleep_until(pg_after(PG_SECONDS(50))));
    CHECK(!self->task_done && strays(world) > 30 * (SEGMENT / 8));
    CHECK(sim_task_end(self, PG_MINUTES(10)) == PG_ERR_CLOSED);
    CHECK(strays(world) == 0 && sim_leases(world) == 0);
    sim_nodes_stop(world);
    return PG_OK;
}

/** Return how many hosts keep something that they have not promised. */
static size_t hosts_with_strays(sim_world *world, sim_node **out_last)
{
    size_t count = 0;
    for (size_t i = 1; i < NODES; i++) {
        const sim_node *one = &world->nodes[i];
        if (one->is_up && pg_place_server_get_stats(one->storage->place).session_bytes > 0) {
            *out_last = &world->nodes[i];
            count++;
        }
    }
    return count;
}

// The same when the node crashes: it tells the hosts when it is back, after another crash too, and one that was away meanwhile when that is back. Of
// the segments that were not noted yet hosts know no better than to wait.
static pg_err orphan_script(void *arg)
{
    sim_world *world = arg;
    sim_node *self = &world->nodes[0];
    sim_node *away = NULL;
    sim_file file = {.size = SIZE};
    from = (source){.version = 1, .ends_at = 4 * SEGMENT, .is_patient = true, .is_nobodys = true};
    sim_nodes_make(world, NODES);
    sim_nodes_meet(world);
    sim_task_begin(self, put_task, &file);
    CHECK_OK(pg_sleep_until(pg_after(PG_SECONDS(50))));
    CHECK(!self->task_done && strays(world) > 30 * (SEGMENT / 8));
    sim_node_crash(self);
    CHECK(hosts_with_strays(world, &away) == 10);
    sim_node_crash(away);
    sim_node_start(self);
    CHECK_OK(pg_sleep_until(pg_after((int64_t) pg_sim_random_below(PG_SECONDS(4)))));
    sim_node_crash(self);
    sim_node_start(self);
    CHECK_OK(pg_sleep_until(pg_after(PG_MINUTES(4))));
    CHECK(strays(world) == 0 && sim_leases(world) == 0);
    sim_node_start(away);
    sim_nodes_meet(world);
    CHECK(strays(world) > 3 * (SEGMENT / 8));
    CHECK_OK(pg_sleep_until(pg_after(PG_MINUTES(20))));
    CHECK(strays(world) == 0);
    sim_run(self, sim_list, NULL);
    CHECK(self->list_count == 0);
    sim_nodes_stop(world);
    return PG_OK;
}

// The source changed: it begins anew, and hosts drop what they promised; given up for good after two days.
static pg_err changed_script(void *arg)
{
    sim_world *world = arg;
    sim_node *self = &world->nodes[0];
    sim_file file = {.size = SIZE};
    from = (source){.version = 1, .ends_at = 4 * SEGMENT, .is_patient = true};
    sim_nodes_make(world, NODES);
    sim_nodes_meet(world);
    sim_task_begin(self, put_task, &file);
    CHECK(sim_task_end(self, PG_MINUTES(10)) == PG_ERR_CLOSED);
    CHECK(strays(world) > 0);
    from = (source){.version = 2};
    sim_run(self, put_task, &file);
    CHECK(self->list_count == 0 && from.read_bytes == SIZE);
    CHECK(strays(world) == 0);
    sim_run(&world->nodes[READER], sim_get, &file);
    from = (source){.version = 3, .ends_at = 4 * SEGMENT, .is_patient = true};
    sim_task_begin(self, put_task, &file);
    CHECK(sim_task_end(self, PG_MINUTES(10)) == PG_ERR_CLOSED);
    hosts_crash(world);
    CHECK_OK(pg_sleep_until(pg_after(PG_HOURS(50))));
    for (size_t i = 1; i < NODES; i++) {
        sim_node_start(&world->nodes[i]);
    }
    sim_nodes_meet(world);
    from = (source){.version = 3};
    sim_run(self, put_task, &file);
    CHECK(self->list_count == 0);
    sim_nodes_stop(world);
    return PG_OK;
}

static void test_again__crashes_and_clients_that_leave__goes_on(void **state)
{
    (void) state;
    sim_files_seeds(again_script, 3);
}

static void test_again__client_leaves_and_node_crashes__nothing_is_read_or_sent_twice(void **state)
{
    (void) state;
    sim_files_seeds(exact_script, 1);
}

static void test_again__hosts_gone_meanwhile__others_take_over(void **state)
{
    (void) state;
    sim_files_seeds(hosts_script, 2);
}

static void test_again__several_extents__go_on(void **state)
{
    (void) state;
    sim_files_seeds(extents_script, 1);
}

static void test_again__ended__is_not_made_again(void **state)
{
    (void) state;
    sim_files_seeds(repeated_script, 1);
}

static void test_again__put_that_cannot_be_gone_on_with__leaves_nothing_on_hosts(void **state)
{
    (void) state;
    sim_files_seeds(nobodys_script, 1);
}

static void test_again__node_crashes_and_nobody_can_go_on__hosts_are_told(void **state)
{
    (void) state;
    sim_files_seeds(orphan_script, 3);
}

static void test_again__source_changed_or_too_late__begins_anew(void **state)
{
    (void) state;
    sim_files_seeds(changed_script, 1);
}

int main(int argc, char **argv)
{
    sim_arguments(argc, argv);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_again__crashes_and_clients_that_leave__goes_on),
        cmocka_unit_test(test_again__client_leaves_and_node_crashes__nothing_is_read_or_sent_twice),
        cmocka_unit_test(test_again__hosts_gone_meanwhile__others_take_over),
        cmocka_unit_test(test_again__several_extents__go_on),
        cmocka_unit_test(test_again__ended__is_not_made_again),
        cmocka_unit_test(test_again__put_that_cannot_be_gone_on_with__leaves_nothing_on_hosts),
        cmocka_unit_test(test_again__node_crashes_and_nobody_can_go_on__hosts_are_told),
        cmocka_unit_test(test_again__source_changed_or_too_late__begins_anew),
    };
    if (getenv("PG_TEST_ONLY") != NULL) {
        cmocka_set_test_filter(getenv("PG_TEST_ONLY"));
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
