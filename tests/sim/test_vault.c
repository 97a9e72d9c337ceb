// SPDX-License-Identifier: Apache-2.0
// Goal: what is cold and below its redundancy is archived by one of those who opted in, whatever crashes and fails meanwhile, and is read back out of its
//       archive when the hosts cannot give it any more; nothing else is archived; who changes objects is found out; what its owner drops, and what is
//       over its time, goes.
// Method: 14 nodes as the program builds them, with buckets in memory that take their time and fail.
#include <string.h>

#include "files/vault.h"
#include "files_world.h"
#include "sim_objects.h"

#define COLD_S 1800
#define SIZE 900000
#define PATIENCE_S 240 // of repairs, where there are any

static sim_bucket buckets[NODES];
static pg_objects stores[NODES];

static void world_make_patient(sim_world *world, uint64_t patience_s)
{
    static sim_world like;
    like = (sim_world){.has_dht = true, .cold_s = COLD_S, .patience_s = patience_s};
    for (size_t i = 0; i < NODES; i++) {
        sim_bucket_clear(&buckets[i]);
        stores[i] = sim_bucket_objects(&buckets[i]);
        like.objects[i] = i == 0 || i == READER ? NULL : &stores[i];
    }
    sim_nodes_make_of(world, NODES, &like);
    sim_nodes_meet(world);
}

static void world_end(sim_world *world)
{
    sim_nodes_stop(world);
    for (size_t i = 0; i < NODES; i++) {
        sim_bucket_clear(&buckets[i]);
    }
}

static void world_make(sim_world *world)
{
    world_make_patient(world, 0);
}

/** Who has archived extents; NODES: nobody. */
static size_t archiver_find(const sim_world *world, uint64_t *out_extents)
{
    size_t found = NODES;
    *out_extents = 0;
    for (size_t i = 0; i < NODES; i++) {
        if (world->nodes[i].is_up && world->nodes[i].storage->vault != NULL) {
            pg_vault_stats stats = pg_vault_get_stats(world->nodes[i].storage->vault);
            *out_extents += stats.extents;
            found = stats.extents > 0 ? i : found;
        }
    }
    return found;
}

static size_t archived_await(const sim_world *world)
{
    pg_time deadline = pg_after(PG_HOURS(24));
    uint64_t extents = 0;
    size_t found = NODES;
    while ((found = archiver_find(world, &extents)) == NODES) {
        CHECK(pg_now() < deadline);
        CHECK_OK(pg_sleep_until(pg_after(PG_MINUTES(1))));
    }
    return found;
}

/** Crash all hosts but one, and the owner. */
static void others_crash(sim_world *world, size_t kept)
{
    for (size_t i = 0; i < READER; i++) {
        if (i != kept && world->nodes[i].is_up) {
            sim_node_crash(&world->nodes[i]);
        }
    }
}

static uint64_t puts_sum(void)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < NODES; i++) {
        sum += buckets[i].puts;
    }
    return sum;
}

/** Put a file, and crash its owner and one of its hosts: below redundancy from now on. */
static void file_degrade(sim_world *world, sim_file *file)
{
    sim_run(&world->nodes[0], sim_put, file);
    sim_node_crash(&world->nodes[0]);
    sim_hosts_crash(world, file, 1);
}

// ---- Archived, and read back

static pg_err rescue_script(void *arg)
{
    sim_world *world = arg;
    sim_file file = {.content = 51, .size = SIZE};
    world_make(world);
    file_degrade(world, &file);
    size_t archiver = archived_await(world);
    CHECK(buckets[archiver].puts == 3); // a segment, the root, the descriptor
    CHECK_OK(pg_sleep_until(pg_after(PG_HOURS(1))));
    CHECK(puts_sum() == 3); // nobody else does it once more
    others_crash(world, archiver);
    sim_run(&world->nodes[READER], sim_get, &file);
    CHECK(pg_vault_get_stats(world->nodes[archiver].storage->vault).reads_total >=
          7); // it has one itself
    world_end(world);
    return PG_OK;
}

// The archiving node lost all its own blocks as well, root and descriptor with them: the archive alone has the file.
static pg_err alone_script(void *arg)
{
    sim_world *world = arg;
    sim_file files[2] = {{.content = 52, .size = SIZE}, {.content = 53, .size = 900}};
    uint64_t extents = 0;
    world_make(world);
    sim_run(&world->nodes[0], sim_put, &files[1]);
    file_degrade(world, &files[0]);
    for (size_t i = 0; i < NODES; i++) {
        if (i != 3 && buckets[i].puts == 0 && stores[i].self != NULL) {
            buckets[i].fails = 100; // one archive works: all goes there
        }
    }
    pg_time deadline = pg_after(PG_HOURS(48));
    while (archiver_find(world, &extents) != 3) {
        CHECK(pg_now() < deadline);
        CHECK_OK(pg_sleep_until(pg_after(PG_MINUTES(5))));
    }
    others_crash(world, 3);
    sim_run(&world->nodes[3], sim_lose, &files[0]);
    CHECK_OK(pg_sleep_until(pg_after(PG_MINUTES(2))));
    sim_run(&world->nodes[READER], sim_get, &files[0]);
    CHECK(pg_vault_get_stats(world->nodes[3].storage->vault).reads_total >= 10);
    world_end(world);
    return PG_OK;
}

// ---- Not archived

// At full redundancy, or being read, nothing is archived.
static pg_err nothing_script(void *arg)
{
    sim_world *world = arg;
    sim_file file = {.content = 54, .size = SIZE};
    world_make(world);
    sim_run(&world->nodes[0], sim_put, &file);
    CHECK_OK(pg_sleep_until(pg_after(PG_HOURS(2))));
    CHECK(puts_sum() == 0); // cold, but whole
    sim_node_crash(&world->nodes[0]);
    sim_hosts_crash(world, &file, 2); // so that all who are left are read
    sim_run(&world->nodes[READER], sim_get, &file);
    CHECK_OK(pg_sleep_until(pg_after(PG_SECONDS(COLD_S * 3 / 4))));
    CHECK(puts_sum() == 0); // below, but read lately
    (void) archived_await(world);
    world_end(world);
    return PG_OK;
}

// ---- Faults

// Buckets that fail three calls of ten, and an archiver that crashes on the way: what is there is not put again.
static pg_err faults_script(void *arg)
{
    sim_world *world = arg;
    sim_file file = {.content = 55, .size = 7 * SIZE, .code = {2, 4}};
    size_t crashed = NODES;
    world_make(world);
    for (size_t i = 0; i < NODES; i++) {
        buckets[i].fails = 30;
    }
    file_degrade(world, &file);
    pg_time deadline = pg_after(PG_HOURS(24));
    while (crashed == NODES) {
        CHECK(pg_now() < deadline);
        CHECK_OK(pg_sleep_until(pg_after(PG_MS(20))));
        for (size_t i = 0; i < NODES; i++) {
            crashed = buckets[i].puts > 0 ? i : crashed;
        }
    }
    sim_node_crash(&world->nodes[crashed]);
    CHECK_OK(pg_sleep_until(pg_after(PG_MINUTES(1))));
    sim_node_start(&world->nodes[crashed]);
    sim_nodes_meet(world);
    size_t archiver = archived_await(world);
    if (archiver == crashed) {
        CHECK(buckets[crashed].puts == pg_map_count(&buckets[crashed].objects)); // each once
    }
    for (size_t i = 0; i < NODES; i++) {
        buckets[i].fails = 5;
    }
    others_crash(world, archiver);
    sim_run(&world->nodes[READER], sim_get, &file);
    world_end(world);
    return PG_OK;
}

/** A round by hand on the node that archived. */
static pg_vault_round round_done;

static pg_err task_round(sim_node *self)
{
    return pg_vault_run(self->storage->vault, &round_done);
}

// Somebody changes what is in the bucket. While hosts are there it is put anew; when they are gone it is lost, and nobody is given anything else.
static pg_err tamper_script(void *arg)
{
    sim_world *world = arg;
    sim_file file = {.content = 56, .size = SIZE};
    world_make(world);
    file_degrade(world, &file);
    size_t archiver = archived_await(world);
    sim_node *node = &world->nodes[archiver];
    CHECK(sim_bucket_tamper(&buckets[archiver], "/000000") == 1);
    sim_run(node, task_round, &file);
    CHECK(round_done.checked == 1 && round_done.damaged == 1 && round_done.uploaded == 1);
    CHECK(pg_vault_get_stats(node->storage->vault).extents == 1);
    sim_run(node, task_round, &file);
    CHECK(round_done.checked == 1 && round_done.damaged == 0);
    CHECK(sim_bucket_tamper(&buckets[archiver], "/000000") == 1);
    others_crash(world, archiver);
    sim_task_begin(&world->nodes[READER], sim_get, &file);
    pg_err err = sim_task_end(&world->nodes[READER], PG_MINUTES(30));
    CHECK(err == PG_ERR_MISSING);
    CHECK(pg_vault_get_stats(node->storage->vault).corrupt_total > 0);
    world_end(world);
    return PG_OK;
}

// ---- Repair

static uint64_t slots_found;

static void on_lease(const pg_place_lease *lease, void *user)
{
    const sim_file *file = user;
    bool is_it = lease->root.len > 0 && pg_cid_equal(&lease->root, &file->link.root);
    slots_found |= is_it ? lease->slots : 0;
}

static pg_err task_slots(sim_node *self)
{
    return pg_place_server_leases(self->storage->place, on_lease, self->file);
}

// One host of four is left, too few to rebuild what is lost, but it archived it: it fills new hosts out of its archive, and need not live on. All hosts it
// has to do with are silent; others answer, so that it does not take itself to be cut off.
static pg_err repair_script(void *arg)
{
    sim_world *world = arg;
    sim_file file = {.content = 59, .size = SIZE, .code = {2, 2}};
    world_make_patient(world, PATIENCE_S);
    sim_run(&world->nodes[0], sim_put, &file);
    CHECK(file.host_count == 4);
    sim_node *archiver = sim_node_of(world, &file.hosts[0]);
    CHECK_OK(pg_sleep_until(pg_after(PG_SECONDS(COLD_S))));
    for (size_t i = 0; i < NODES; i++) {
        buckets[i].fails = 100; // one archive works
    }
    buckets[archiver->number].fails = 0;
    sim_run(archiver, task_round, &file);
    CHECK(round_done.uploaded == 0); // all is whole
    const pg_vault_rules rules = {.quota_bytes = 1 << 30, .healthy_too = true};
    pg_vault_set_rules(archiver->storage->vault, &rules);
    sim_run(archiver, task_round, &file);
    CHECK(round_done.uploaded > 0 && round_done.failed == 0);
    sim_node_crash(&world->nodes[0]);
    for (size_t i = 1; i < file.host_count; i++) {
        sim_node_crash(sim_node_of(world, &file.hosts[i]));
    }
    pg_time deadline = pg_after(PG_HOURS(3));
    do {
        CHECK(pg_now() < deadline);
        CHECK_OK(pg_sleep_until(pg_after(PG_SECONDS(30))));
        slots_found = 0;
        for (size_t i = 1; i < READER; i++) {
            if (world->nodes[i].is_up && &world->nodes[i] != archiver) {
                sim_run(&world->nodes[i], task_slots, &file);
            }
        }
    } while (__builtin_popcountll(slots_found) < 3); // all but that of the archiver
    sim_node_crash(archiver);
    sim_run(&world->nodes[READER], sim_get, &file);
    world_end(world);
    return PG_OK;
}

// ---- The end

static pg_err dropped_script(void *arg)
{
    sim_world *world = arg;
    sim_file file = {.content = 57, .size = SIZE};
    world_make(world);
    sim_run(&world->nodes[0], sim_put, &file);
    sim_hosts_crash(world, &file, 1);
    size_t archiver = archived_await(world);
    sim_run(&world->nodes[0], sim_remove, &file);
    pg_time deadline = pg_after(PG_HOURS(6));
    while (pg_map_count(&buckets[archiver].objects) > 0) {
        CHECK(pg_now() < deadline);
        CHECK_OK(pg_sleep_until(pg_after(PG_MINUTES(5))));
    }
    CHECK(pg_vault_get_stats(world->nodes[archiver].storage->vault).deleted_total == 1);
    world_end(world);
    return PG_OK;
}

// Nobody renews the lease: a week after its end the archive is empty, not before.
static pg_err expired_script(void *arg)
{
    sim_world *world = arg;
    sim_file file = {.content = 58, .size = SIZE, .ttl_s = 2 * 24 * 3600};
    world_make(world);
    file_degrade(world, &file);
    size_t archiver = archived_await(world);
    others_crash(world, archiver); // nobody else has to do with it
    sim_node_crash(&world->nodes[READER]);
    for (int days = 7; days <= 11; days += 4) { // the lease ends on the second
        sim_node_crash(&world->nodes[archiver]);
        CHECK_OK(pg_sleep_until(pg_after(PG_DAYS(days == 7 ? 7 : 4))));
        sim_node_start(&world->nodes[archiver]);
        CHECK_OK(pg_sleep_until(pg_after(PG_MINUTES(10))));
        CHECK(pg_map_count(&buckets[archiver].objects) == (days == 7 ? 3 : 0));
    }
    world_end(world);
    return PG_OK;
}

// ---- The tests

static void test_vault__cold_and_below_redundancy__archived_once_and_read_back(void **state)
{
    (void) state;
    sim_files_seeds(rescue_script, 3);
}

static void test_vault__all_blocks_are_gone__the_archive_has_them(void **state)
{
    (void) state;
    sim_files_seeds(alone_script, 2);
}

static void test_vault__whole_or_read__not_archived(void **state)
{
    (void) state;
    sim_files_seeds(nothing_script, 1);
}

static void test_vault__bucket_fails_and_node_crashes__goes_on(void **state)
{
    (void) state;
    sim_files_seeds(faults_script, 3);
}

static void test_vault__objects_are_changed__found_out(void **state)
{
    (void) state;
    sim_files_seeds(tamper_script, 2);
}

static void test_vault__too_few_hosts_are_left__repaired_out_of_the_archive(void **state)
{
    (void) state;
    sim_files_seeds(repair_script, 2);
}

static void test_vault__owner_drops_the_file__objects_go(void **state)
{
    (void) state;
    sim_files_seeds(dropped_script, 1);
}

static void test_vault__lease_is_over__objects_go_a_week_later(void **state)
{
    (void) state;
    sim_files_seeds(expired_script, 1);
}

int main(int argc, char **argv)
{
    sim_arguments(argc, argv);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_vault__cold_and_below_redundancy__archived_once_and_read_back),
        cmocka_unit_test(test_vault__all_blocks_are_gone__the_archive_has_them),
        cmocka_unit_test(test_vault__whole_or_read__not_archived),
        cmocka_unit_test(test_vault__bucket_fails_and_node_crashes__goes_on),
        cmocka_unit_test(test_vault__objects_are_changed__found_out),
        cmocka_unit_test(test_vault__too_few_hosts_are_left__repaired_out_of_the_archive),
        cmocka_unit_test(test_vault__owner_drops_the_file__objects_go),
        cmocka_unit_test(test_vault__lease_is_over__objects_go_a_week_later),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
