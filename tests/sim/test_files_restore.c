// SPDX-License-Identifier: Apache-2.0
// Goal: whenever the owner's node dies, for good or for a while, its secret alone finds every file that the catalogue among the hosts had, and
//       what it finds can be got and removed; two devices of one person never lose a file of each other.
// Method: whole nodes with their DHTs on simulated machines; another machine gets the same person's secret and a device of its own. The owner
//       crashes at times drawn by the seed, so in every step of publishing over the seeds.
#include "base/mem.h"
#include "files/service_priv.h"
#include "files_world.h"
#include "runtime/random.h"

#define OWNER 0

static pg_catalogue_status status_of(const sim_node *self)
{
    return pg_files_catalogue_status(self->storage->files);
}

static void wait_for_phase(const sim_node *self, pg_catalogue_phase phase, int64_t within_ns)
{
    pg_time deadline = pg_after(within_ns);
    while (status_of(self).phase != phase) {
        CHECK(pg_now() < deadline);
        CHECK_OK(pg_sleep_until(pg_after(PG_SECONDS(1))));
    }
}

static void wait_for_count(sim_node *self, uint64_t count, int64_t within_ns)
{
    pg_time deadline = pg_after(within_ns);
    sim_run(self, sim_list, NULL);
    while (self->list_count != count) {
        CHECK(pg_now() < deadline);
        CHECK_OK(pg_sleep_until(pg_after(PG_SECONDS(5))));
        sim_run(self, sim_list, NULL);
    }
}

/** Make the reader a second device of the owner's person, in an empty directory, and start it. */
static sim_node *restored_start(sim_world *world)
{
    sim_node *again = &world->nodes[READER];
    again->seeds.person = world->nodes[OWNER].seeds.person;
    again->seeds.owner = world->nodes[OWNER].seeds.owner;
    again->is_restored = true;
    sim_node_start(again);
    return again;
}

static void all_got(sim_node *self, sim_file *files, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        sim_run(self, sim_find, &files[i]);
        sim_run(self, sim_get, &files[i]);
    }
}

static void wait_for_pins(sim_node *self, uint64_t count, int64_t within_ns)
{
    pg_time deadline = pg_after(within_ns);
    sim_run(self, sim_pins, NULL);
    while (self->list_count != count) {
        CHECK(pg_now() < deadline);
        CHECK_OK(pg_sleep_until(pg_after(PG_SECONDS(5))));
        sim_run(self, sim_pins, NULL);
    }
}

// The owner keeps files of somebody else, lets go of one, and dies. The restored node knows what was pinned, and has it: nobody else is needed.
// Then the old device comes back: what the new one lets go of it keeps, and says so.
static pg_err pins_script(void *arg)
{
    sim_world *world = arg;
    sim_node *owner = &world->nodes[OWNER];
    sim_file files[] = {
        {.content = 1, .size = 300}, {.content = 2, .size = 100000}, {.content = 3, .size = 70000}};
    sim_nodes_make_of(world, NODES - 1, &(sim_world){.has_dht = true});
    sim_nodes_meet(world);
    for (size_t i = 0; i < PG_ARRAY_LEN(files); i++) {
        sim_run(&world->nodes[1], sim_put, &files[i]);
        sim_run(owner, sim_pin, &files[i]);
    }
    sim_run(owner, sim_unpin, &files[2]);
    wait_for_phase(owner, PG_CATALOGUE_PHASE_PUBLISHED, PG_MINUTES(10));
    sim_node_crash(owner);
    sim_node *again = restored_start(world);
    wait_for_pins(again, 2, PG_MINUTES(10));
    wait_for_phase(again, PG_CATALOGUE_PHASE_PUBLISHED, PG_MINUTES(10));
    sim_node_crash(again); // it is known, not only in memory
    sim_node_start(again);
    wait_for_pins(again, 2, PG_MINUTES(1));
    sim_run(again, sim_unpin, &files[1]);
    wait_for_phase(again, PG_CATALOGUE_PHASE_PUBLISHED, PG_MINUTES(10));
    sim_node_start(owner);
    wait_for_phase(owner, PG_CATALOGUE_PHASE_PUBLISHED, PG_MINUTES(10));
    CHECK_OK(pg_sleep_until(pg_after(PG_HOURS(2))));
    wait_for_pins(owner, 2, PG_MINUTES(1));
    wait_for_pins(again, 1, PG_MINUTES(1));
    uint64_t sequence = status_of(owner).sequence + status_of(again).sequence;
    CHECK_OK(pg_sleep_until(pg_after(PG_HOURS(3)))); // they agree, and publish no more
    CHECK(status_of(owner).sequence + status_of(again).sequence == sequence);
    for (size_t i = 1; i < READER; i++) {
        sim_node_crash(&world->nodes[i]);
    }
    sim_run(again, sim_get, &files[0]);
    CHECK(again->report.shards_fetched == 0);
    sim_nodes_stop(world);
    return PG_OK;
}

static void test_restore__owner_with_pins_dies__they_are_known_and_kept_again(void **state)
{
    (void) state;
    sim_files_seeds(pins_script, 1);
}

// The owner dies for good, and two hosts of the largest file.
static pg_err death_script(void *arg)
{
    sim_world *world = arg;
    sim_file files[] = {
        {.content = 1, .size = 10}, {.content = 2, .size = 100000}, {.content = 3, .size = 900000}};
    sim_nodes_make_of(world, NODES - 1, &(sim_world){.has_dht = true});
    sim_nodes_meet(world);
    for (size_t i = 0; i < PG_ARRAY_LEN(files); i++) {
        sim_run(&world->nodes[OWNER], sim_put, &files[i]);
    }
    wait_for_phase(&world->nodes[OWNER], PG_CATALOGUE_PHASE_PUBLISHED, PG_MINUTES(10));
    sim_node_crash(&world->nodes[OWNER]);
    sim_hosts_crash(world, &files[2], 2);
    sim_node *again = restored_start(world);
    wait_for_count(again, PG_ARRAY_LEN(files), PG_MINUTES(10));
    all_got(again, files, PG_ARRAY_LEN(files));
    // It has a version of its own, and can drop what the dead device put.
    wait_for_phase(again, PG_CATALOGUE_PHASE_PUBLISHED, PG_MINUTES(10));
    CHECK(status_of(again).sequence >= 2);
    uint64_t leases = sim_leases(world);
    sim_run(again, sim_remove, &files[2]);
    CHECK(sim_leases(world) + 7 <= leases);
    sim_nodes_stop(world);
    return PG_OK;
}

static void test_restore__owner_dies_with_two_hosts__all_is_found_and_can_be_dropped(void **state)
{
    (void) state;
    sim_files_seeds(death_script, 4);
}

// The owner dies at any moment after two files were published, while a third is put and published. Two at least are found, and whatever is found
// can be got. Then the old device comes back: both have all three; what one removes the other loses too.
static pg_err moment_script(void *arg)
{
    sim_world *world = arg;
    sim_node *owner = &world->nodes[OWNER];
    sim_file files[] = {
        {.content = 1, .size = 10}, {.content = 2, .size = 70000}, {.content = 3, .size = 50000}};
    sim_nodes_make_of(world, NODES - 1, &(sim_world){.has_dht = true});
    sim_nodes_meet(world);
    sim_run(owner, sim_put, &files[0]);
    sim_run(owner, sim_put, &files[1]);
    wait_for_phase(owner, PG_CATALOGUE_PHASE_PUBLISHED, PG_MINUTES(10));
    uint64_t sequence = status_of(owner).sequence;
    sim_run(owner, sim_put, &files[2]);
    // A minute until it is published, then a third of a second in which all is done.
    CHECK_OK(pg_sleep_until(pg_after(PG_SECONDS(50))));
    uint64_t looks = status_of(owner).looks;
    while (status_of(owner).looks == looks) {
        CHECK_OK(pg_sleep_until(pg_after(PG_MS(10))));
    }
    CHECK_OK(pg_sleep_until(pg_after((int64_t) pg_sim_random_below(PG_MS(400)))));
    bool is_out = status_of(owner).phase == PG_CATALOGUE_PHASE_PUBLISHED;
    CHECK(!is_out || status_of(owner).sequence > sequence);
    sim_node_crash(owner);
    sim_node *again = restored_start(world);
    pg_time deadline = pg_after(PG_MINUTES(10));
    wait_for_phase(again, PG_CATALOGUE_PHASE_PUBLISHED, PG_MINUTES(10));
    sim_run(again, sim_list, NULL);
    CHECK(again->list_count == 3 || (again->list_count == 2 && !is_out));
    CHECK(pg_now() < deadline);
    all_got(again, files, again->list_count);
    sim_node_start(owner); // with its disk
    wait_for_count(owner, 3, PG_MINUTES(10));
    wait_for_count(again, 3, PG_HOURS(3));
    all_got(again, files, 3);
    sim_run(again, sim_remove, &files[1]);
    wait_for_count(owner, 2, PG_HOURS(3));
    wait_for_phase(owner, PG_CATALOGUE_PHASE_PUBLISHED, PG_HOURS(1));
    wait_for_phase(again, PG_CATALOGUE_PHASE_PUBLISHED, PG_HOURS(1));
    sim_run(again, sim_list, NULL);
    CHECK(again->list_count == 2);
    sim_nodes_stop(world);
    return PG_OK;
}

static void test_restore__owner_dies_at_any_moment__what_is_found_is_there(void **state)
{
    (void) state;
    sim_files_seeds(moment_script, 12);
}

// Nothing changes for hours: the owner looks each hour whether another device did something, but neither writes its catalogue down nor puts it.
static pg_err idle_script(void *arg)
{
    sim_world *world = arg;
    sim_node *owner = &world->nodes[OWNER];
    sim_file file = {.content = 1, .size = 40000};
    sim_nodes_make_of(world, NODES - 1, &(sim_world){.has_dht = true});
    sim_nodes_meet(world);
    wait_for_phase(owner, PG_CATALOGUE_PHASE_EMPTY, PG_MINUTES(10));
    sim_run(owner, sim_put, &file);
    CHECK(status_of(owner).phase == PG_CATALOGUE_PHASE_BEHIND);
    wait_for_phase(owner, PG_CATALOGUE_PHASE_PUBLISHED, PG_MINUTES(10));
    CHECK_OK(pg_sleep_until(pg_after(PG_MINUTES(10))));
    pg_catalogue_status before = status_of(owner);
    uint64_t leases = sim_leases(world);
    CHECK_OK(pg_sleep_until(pg_after(PG_HOURS(4))));
    pg_catalogue_status after = status_of(owner);
    CHECK(after.phase == PG_CATALOGUE_PHASE_PUBLISHED);
    CHECK(after.looks >= before.looks + 3);
    CHECK(after.snapshots == before.snapshots && after.sequence == before.sequence);
    CHECK(sim_leases(world) == leases); // a version that was put again would have some
    sim_run(owner, sim_remove, &file);
    wait_for_phase(owner, PG_CATALOGUE_PHASE_PUBLISHED, PG_MINUTES(10));
    CHECK(status_of(owner).sequence == after.sequence + 1);
    sim_nodes_stop(world);
    return PG_OK;
}

static void test_restore__nothing_changes_for_hours__nothing_is_written_nor_put(void **state)
{
    (void) state;
    sim_files_seeds(idle_script, 1);
}

// The catalogue outgrows what a restored node reads: the owner is told, nothing is tried in vain, and after a removal it goes on.
static pg_err large_script(void *arg)
{
    sim_world *world = arg;
    sim_node *owner = &world->nodes[OWNER];
    sim_file files[] = {{.content = 1, .size = 40000}, {.content = 2, .size = 40000}};
    sim_nodes_make_of(world, NODES - 1, &(sim_world){.has_dht = true});
    sim_nodes_meet(world);
    owner->storage->files->publisher.bytes_max = 1000; // one of them on ten hosts has 800
    sim_run(owner, sim_put, &files[0]);
    wait_for_phase(owner, PG_CATALOGUE_PHASE_PUBLISHED, PG_MINUTES(10));
    uint64_t sequence = status_of(owner).sequence;
    sim_run(owner, sim_put, &files[1]);
    wait_for_phase(owner, PG_CATALOGUE_PHASE_TOO_LARGE, PG_MINUTES(10));
    CHECK_OK(pg_sleep_until(pg_after(PG_MINUTES(1))));
    CHECK(strstr(status_of(owner).reason, "1000 bytes") != NULL);
    uint64_t snapshots = status_of(owner).snapshots;
    CHECK_OK(pg_sleep_until(pg_after(PG_HOURS(2))));
    CHECK(status_of(owner).snapshots == snapshots && status_of(owner).sequence == sequence);
    sim_run(owner, sim_remove, &files[0]);
    wait_for_phase(owner, PG_CATALOGUE_PHASE_PUBLISHED, PG_MINUTES(10));
    CHECK(status_of(owner).sequence == sequence + 1 && status_of(owner).reason == NULL);
    sim_node *again = restored_start(world);
    wait_for_count(again, 1, PG_MINUTES(10));
    all_got(again, &files[1], 1);
    sim_nodes_stop(world);
    return PG_OK;
}

static void test_restore__catalogue_too_large__owner_is_told_and_it_goes_on(void **state)
{
    (void) state;
    sim_files_seeds(large_script, 1);
}

static pg_feed_own backed_up;

static pg_err back_up_task(sim_node *self)
{
    return pg_feed_own_load(self->storage->db, &backed_up);
}

static pg_err go_back_task(sim_node *self)
{
    return pg_feed_own_save(self->storage->db, &backed_up);
}

// A node that goes on from a backup finds a record of its own that is newer than the backup: that is what it tells of.
static pg_err backup_script(void *arg)
{
    sim_world *world = arg;
    sim_node *owner = &world->nodes[OWNER];
    sim_file files[] = {{.content = 1, .size = 40000}, {.content = 2, .size = 40000}};
    sim_nodes_make_of(world, NODES - 1, &(sim_world){.has_dht = true});
    sim_nodes_meet(world);
    sim_run(owner, sim_put, &files[0]);
    wait_for_phase(owner, PG_CATALOGUE_PHASE_PUBLISHED, PG_MINUTES(10));
    sim_run(owner, back_up_task, NULL);
    sim_run(owner, sim_put, &files[1]);
    wait_for_phase(owner, PG_CATALOGUE_PHASE_PUBLISHED, PG_MINUTES(10));
    const pg_catalogue_status newest = status_of(owner);
    CHECK(newest.sequence > backed_up.sequence);
    sim_run(owner, go_back_task, NULL);
    sim_node_crash(owner);
    sim_node_start(owner);
    wait_for_phase(owner, PG_CATALOGUE_PHASE_PUBLISHED, PG_MINUTES(10));
    CHECK(status_of(owner).sequence == newest.sequence);
    CHECK(status_of(owner).published_s == newest.published_s);
    sim_run(owner, sim_remove, &files[0]);
    wait_for_phase(owner, PG_CATALOGUE_PHASE_PUBLISHED, PG_MINUTES(10));
    CHECK(status_of(owner).sequence == newest.sequence + 1 && status_of(owner).peers > 0);
    sim_nodes_stop(world);
    return PG_OK;
}

static void test_restore__backup_older_than_what_was_published__newer_is_told_of(void **state)
{
    (void) state;
    sim_files_seeds(backup_script, 1);
}

// Nobody has anything: it goes on asking, and what is put meanwhile stays.
static pg_err nothing_script(void *arg)
{
    sim_world *world = arg;
    sim_file file = {.content = 1, .size = 40000};
    sim_nodes_make_of(world, NODES - 1, &(sim_world){.has_dht = true});
    sim_nodes_meet(world);
    sim_node *again = restored_start(world);
    wait_for_phase(again, PG_CATALOGUE_PHASE_RESTORING, PG_MINUTES(1));
    sim_run(again, sim_put, &file);
    CHECK_OK(pg_sleep_until(pg_after(PG_MINUTES(30))));
    CHECK(status_of(again).looks >= 5 && status_of(again).looks < 40);
    CHECK(status_of(again).phase == PG_CATALOGUE_PHASE_RESTORING);
    sim_run(again, sim_list, NULL);
    CHECK(again->list_count == 1);
    sim_nodes_stop(world);
    return PG_OK;
}

static void test_restore__nothing_to_be_found__asks_again_and_works(void **state)
{
    (void) state;
    sim_files_seeds(nothing_script, 2);
}

int main(int argc, char **argv)
{
    sim_arguments(argc, argv);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_restore__owner_dies_with_two_hosts__all_is_found_and_can_be_dropped),
        cmocka_unit_test(test_restore__owner_with_pins_dies__they_are_known_and_kept_again),
        cmocka_unit_test(test_restore__owner_dies_at_any_moment__what_is_found_is_there),
        cmocka_unit_test(test_restore__nothing_changes_for_hours__nothing_is_written_nor_put),
        cmocka_unit_test(test_restore__catalogue_too_large__owner_is_told_and_it_goes_on),
        cmocka_unit_test(test_restore__backup_older_than_what_was_published__newer_is_told_of),
        cmocka_unit_test(test_restore__nothing_to_be_found__asks_again_and_works),
    };
    if (getenv("PG_TEST_ONLY") != NULL) {
        cmocka_set_test_filter(getenv("PG_TEST_ONLY"));
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
