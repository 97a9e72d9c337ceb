// SPDX-License-Identifier: Apache-2.0
// Goal: every file whose put was acknowledged is readable while at most two of its ten hosts are down, whatever crashed, was cut off or
//       had a bad disk meanwhile; a put that is not acknowledged leaves nothing; a put without hosts waits and goes out by itself.
// Method: 14 nodes as the program builds them (node/storage.h), real cryptography and databases on simulated disks and networks, all
//       connected to all; crashes at moments the seed chooses. PG_SIM_SEEDS=N runs more seeds.
#include <string.h>

#include "base/mem.h"
#include "files_world.h"
#include "runtime/random.h"

// The main job: put, two hosts and the uploader die, a node that never saw the file gives it back.
static pg_err outlives_script(void *arg)
{
    static const size_t sizes[] = {0, 1, 20000, 32768, 32769, 300000, 3000000};
    sim_world *world = arg;
    sim_nodes_make(world, NODES);
    sim_nodes_meet(world);
    sim_file files[PG_ARRAY_LEN(sizes)];
    for (size_t i = 0; i < PG_ARRAY_LEN(sizes); i++) {
        files[i] = (sim_file){.content = i * 1000 + 7, .size = sizes[i]};
        sim_run(&world->nodes[0], sim_put, &files[i]);
        CHECK(files[i].state == PG_FILE_STATE_COMPLETE);
        CHECK(files[i].host_count == (sizes[i] <= 32768 ? 4U : 10U));
        CHECK(files[i].survives >= 2);
    }
    size_t chosen = (size_t) pg_sim_random_below(PG_ARRAY_LEN(sizes));
    sim_hosts_crash(world, &files[chosen], 2);
    if (world->nodes[0].is_up) {
        sim_node_crash(&world->nodes[0]);
    }
    sim_run(&world->nodes[READER], sim_get, &files[chosen]);
    sim_nodes_stop(world);
    return PG_OK;
}

static uint32_t broken_off; // uploads, by hosts that crashed, in the books of all seeds

/** Look into the book of the node that put a file: hosts that took it stand there with it, only crashed ones with a fault. */
static void book_check(sim_world *world, const sim_file *file)
{
    const pg_health *health = world->nodes[0].storage->health;
    for (size_t i = 1; i < NODES; i++) {
        pg_health_report report;
        if (pg_health_get(health, &world->nodes[i].id, &report)) {
            CHECK(report.counts[PG_HEALTH_REFUSED] == 0 || !world->nodes[i].is_up);
            broken_off += report.counts[PG_HEALTH_REFUSED];
        }
    }
    for (size_t i = 0; i < file->host_count; i++) {
        pg_health_report report;
        CHECK(pg_health_get(health, &file->hosts[i], &report));
        CHECK(report.counts[PG_HEALTH_TRANSFER_OK] > 0);
    }
}

// Hosts crash while a file is put: it is put all the same, or it fails and the next try works.
static pg_err crashes_script(void *arg)
{
    sim_world *world = arg;
    sim_file file = {.content = 99, .size = 2000000};
    sim_nodes_make(world, NODES);
    sim_nodes_meet(world);
    sim_task_begin(&world->nodes[0], sim_put, &file);
    for (int i = 0; i < 2; i++) {
        CHECK_OK(pg_sleep_until(pg_after((int64_t) pg_sim_random_below(PG_MS(400)))));
        sim_node *victim = &world->nodes[1 + pg_sim_random_below(NODES - 2)];
        if (victim->is_up) {
            sim_node_crash(victim);
        }
    }
    pg_err err = sim_task_end(&world->nodes[0], PG_MINUTES(10));
    CHECK(err == PG_OK); // two of ten may go at any time
    CHECK(file.state != PG_FILE_STATE_PENDING);
    book_check(world, &file);
    sim_node_crash(&world->nodes[0]);
    sim_run(&world->nodes[READER], sim_get, &file);
    sim_nodes_stop(world);
    return PG_OK;
}

// The uploader crashes while it puts: after its restart there is no such file, and hosts have dropped what was promised.
static pg_err uploader_script(void *arg)
{
    sim_world *world = arg;
    sim_file file = {.content = 5, .size = 2000000};
    sim_file other = {.content = 6, .size = 100000};
    sim_nodes_make(world, NODES);
    sim_nodes_meet(world);
    sim_run(&world->nodes[0], sim_put, &other);
    uint64_t leases = sim_leases(world);
    sim_task_begin(&world->nodes[0], sim_put, &file);
    CHECK_OK(pg_sleep_until(pg_after((int64_t) pg_sim_random_below(PG_MS(800)))));
    bool is_done = world->nodes[0].task_done;
    sim_node_crash(&world->nodes[0]);
    CHECK_OK(pg_sleep_until(pg_after(PG_SECONDS(5))));
    sim_node_start(&world->nodes[0]);
    sim_nodes_meet(world);
    sim_run(&world->nodes[0], sim_list, NULL);
    if (is_done) {
        CHECK(world->nodes[0].list_count == 2);
        sim_run(&world->nodes[READER], sim_get, &file);
    } else if (world->nodes[0].list_count == 1) {
        CHECK_OK(pg_sleep_until(pg_after(PG_MINUTES(4)))); // time to tell the hosts
        CHECK(sim_leases(world) == leases);
    }
    sim_run(&world->nodes[READER], sim_get, &other);
    sim_nodes_stop(world);
    return PG_OK;
}

// Nobody there: the file waits here, also over a crash, and goes out when hosts appear; with few hosts it spreads as more come.
static pg_err pending_script(void *arg)
{
    sim_world *world = arg;
    sim_file files[2] = {{.content = 11, .size = 900000}, {.content = 12, .size = 900}};
    sim_nodes_make(world, 1);
    for (size_t i = 0; i < 2; i++) {
        sim_run(&world->nodes[0], sim_put, &files[i]);
        CHECK(files[i].state == PG_FILE_STATE_PENDING && files[i].survives == 0);
    }
    sim_node_crash(&world->nodes[0]);
    sim_node_start(&world->nodes[0]);
    sim_run(&world->nodes[0], sim_get, &files[0]);
    for (size_t i = 1; i < 4; i++) {
        sim_node_start(&world->nodes[i]);
    }
    sim_nodes_meet(world);
    CHECK_OK(pg_sleep_until(pg_after(PG_MINUTES(3))));
    sim_run(&world->nodes[0], sim_find, &files[0]);
    CHECK(files[0].state == PG_FILE_STATE_PARTIAL && files[0].host_count == 3);
    for (size_t i = 4; i < NODES; i++) {
        sim_node_start(&world->nodes[i]);
    }
    sim_nodes_meet(world);
    CHECK_OK(pg_sleep_until(pg_after(PG_MINUTES(10))));
    for (size_t i = 0; i < 2; i++) {
        sim_run(&world->nodes[0], sim_find, &files[i]);
        CHECK(files[i].state == PG_FILE_STATE_COMPLETE && files[i].survives >= 2);
    }
    CHECK(pg_block_store_stats_get(world->nodes[0].storage->blocks).blocks == 0);
    sim_hosts_crash(world, &files[0], 2);
    sim_node_crash(&world->nodes[0]);
    sim_run(&world->nodes[READER], sim_get, &files[0]);
    sim_nodes_stop(world);
    return PG_OK;
}

// What was removed is dropped by the hosts, at once or when they are back.
static pg_err remove_script(void *arg)
{
    sim_world *world = arg;
    sim_file file = {.content = 3, .size = 500000};
    sim_nodes_make(world, NODES);
    sim_nodes_meet(world);
    sim_run(&world->nodes[0], sim_put, &file);
    CHECK(sim_leases(world) == 10);
    sim_node *away = sim_node_of(world, &file.hosts[4]);
    sim_node_crash(away);
    sim_run(&world->nodes[0], sim_remove, &file);
    CHECK(sim_leases(world) == 0);
    sim_node_start(away);
    CHECK(sim_leases(world) == 1);
    sim_nodes_meet(world);
    CHECK_OK(pg_sleep_until(pg_after(PG_MINUTES(4))));
    CHECK(sim_leases(world) == 0);
    for (size_t i = 0; i < NODES; i++) {
        CHECK(pg_block_store_stats_get(world->nodes[i].storage->blocks).blocks == 0);
    }
    sim_task_begin(&world->nodes[READER], sim_get, &file);
    CHECK(sim_task_end(&world->nodes[READER], PG_MINUTES(5)) == PG_ERR_NOT_FOUND);
    sim_nodes_stop(world);
    return PG_OK;
}

// Bad disks under two hosts: what they give is found wrong, and others are asked.
static pg_err disks_script(void *arg)
{
    sim_world *world = arg;
    sim_file file = {.content = 77, .size = 3000000};
    sim_nodes_make(world, NODES);
    sim_nodes_meet(world);
    sim_run(&world->nodes[0], sim_put, &file);
    const pg_sim_disk_faults faults = {.read_flip_ppm = 300000};
    for (size_t i = 0; i < 2; i++) {
        pg_sim_machine_disk(sim_node_of(world, &file.hosts[i])->machine, &faults);
    }
    sim_node_crash(&world->nodes[0]);
    sim_run(&world->nodes[READER], sim_get, &file);
    for (size_t i = 0; i < NODES; i++) {
        pg_sim_machine_disk(world->nodes[i].machine, &(pg_sim_disk_faults){.free_bytes = 0});
    }
    sim_nodes_stop(world);
    return PG_OK;
}

// Cut off from two hosts, silently: the get does not wait for them for ever.
static pg_err partition_script(void *arg)
{
    sim_world *world = arg;
    sim_file file = {.content = 42, .size = 3000000};
    sim_nodes_make(world, NODES);
    sim_nodes_meet(world);
    sim_run(&world->nodes[0], sim_put, &file);
    for (size_t i = 0; i < 2; i++) {
        pg_sim_partition(world->nodes[READER].machine, sim_node_of(world, &file.hosts[i])->machine,
                         true);
    }
    pg_time before = pg_now();
    sim_run(&world->nodes[READER], sim_get, &file);
    CHECK(pg_now() - before < PG_SECONDS(60));
    sim_nodes_stop(world);
    return PG_OK;
}

// What passed through is kept and given on: with all hosts gone, the nodes that read the file have it.
static pg_err seeds_script(void *arg)
{
    sim_world *world = arg;
    sim_file file = {.content = 21, .size = 200000};
    sim_nodes_make(world, NODES);
    sim_nodes_meet(world);
    sim_run(&world->nodes[0], sim_put, &file);
    sim_run(&world->nodes[READER], sim_get, &file);
    CHECK_OK(pg_sleep_until(pg_after(PG_SECONDS(5))));
    for (size_t i = 0; i < file.host_count; i++) {
        sim_node_crash(sim_node_of(world, &file.hosts[i]));
    }
    sim_node_crash(&world->nodes[0]);
    sim_run(&world->nodes[READER], sim_get, &file);
    CHECK(world->nodes[READER].report.shards_fetched == 0);
    for (size_t i = 1; i < READER; i++) { // one that is no host and never saw it
        if (world->nodes[i].is_up) {
            sim_run(&world->nodes[i], sim_get, &file);
        }
    }
    sim_nodes_stop(world);
    return PG_OK;
}

// A host is gone for good, another has lost its disk: their slots are rebuilt elsewhere, and the leases are renewed meanwhile.
static pg_err repair_script(void *arg)
{
    sim_world *world = arg;
    sim_file file = {.content = 31, .size = 400000};
    sim_file small = {.content = 32, .size = 4000};
    sim_nodes_make_with(world, NODES, (uint64_t) 12 * 3600 * 1000);
    sim_nodes_meet(world);
    sim_run(&world->nodes[0], sim_put, &file);
    sim_run(&world->nodes[0], sim_put, &small);
    const pg_peer_id gone = file.hosts[1];
    const pg_peer_id robbed = file.hosts[2];
    sim_node_crash(sim_node_of(world, &gone));
    sim_run(sim_node_of(world, &robbed), sim_lose, NULL);
    world->is_long = true;
    CHECK_OK(pg_sleep_until(pg_after(PG_HOURS(27))));
    world->is_long = false;
    sim_run(&world->nodes[0], sim_find, &file);
    CHECK(file.state == PG_FILE_STATE_COMPLETE && file.survives == 2 && file.host_count == 10);
    for (size_t i = 0; i < file.host_count; i++) {
        CHECK(!pg_peer_id_equal(&file.hosts[i], &gone));
    }
    CHECK(file.expiry_s > (uint64_t) pg_wall_ms() / 1000 + (uint64_t) 5 * 3600);
    sim_hosts_crash(world, &file, 2);
    sim_node_crash(&world->nodes[0]);
    sim_run(&world->nodes[READER], sim_get, &file);
    sim_nodes_stop(world);
    return PG_OK;
}

static void on_lease(const pg_place_lease *lease, void *user)
{
    uint64_t *first_end_s = user;
    *first_end_s = lease->expiry_s < *first_end_s ? lease->expiry_s : *first_end_s;
}

static uint64_t first_end_s; // of the leases that the node asked last keeps; UINT64_MAX = none

static pg_err leases_task(sim_node *self)
{
    first_end_s = UINT64_MAX;
    return pg_place_server_leases(self->storage->place, on_lease, &first_end_s);
}

// One file is put for eight hours, another until it is removed: the one is there for so long and then gone, here and at its hosts; the leases
// of the other are renewed, at its hosts too.
static pg_err ttl_script(void *arg)
{
    sim_world *world = arg;
    sim_node *owner = &world->nodes[0];
    sim_file brief = {.content = 33, .size = 300000, .ttl_s = UINT64_C(8) * 3600};
    sim_file kept = {.content = 34, .size = 300000};
    sim_nodes_make_with(world, NODES, (uint64_t) 12 * 3600 * 1000);
    sim_nodes_meet(world);
    sim_run(owner, sim_put, &brief);
    sim_run(owner, sim_put, &kept);
    const uint64_t end_s = (uint64_t) pg_wall_ms() / 1000 + brief.ttl_s;
    sim_run(owner, sim_find, &brief);
    CHECK(brief.expiry_s <= end_s && brief.expiry_s > end_s - 60);
    uint64_t leases = sim_leases(world);
    world->is_long = true;
    CHECK_OK(pg_sleep_until(pg_after(PG_HOURS(7))));
    sim_run(owner, sim_find, &brief);
    CHECK(brief.expiry_s <= end_s && sim_leases(world) == leases);
    sim_run(&world->nodes[READER], sim_get, &brief);
    CHECK_OK(
        pg_sleep_until(pg_after(PG_HOURS(9)))); // a look an hour finds its end, and tells its hosts
    sim_run(owner, sim_list, NULL);
    CHECK(owner->list_count == 1);
    CHECK(sim_leases(world) == leases / 2);
    for (size_t i = 1; i < NODES; i++) {
        sim_run(&world->nodes[i], leases_task, NULL); // of `kept` only, as hosts know them
        CHECK(first_end_s > (uint64_t) pg_wall_ms() / 1000 + (uint64_t) 5 * 3600);
    }
    sim_run(owner, sim_find, &kept);
    CHECK(kept.expiry_s > (uint64_t) pg_wall_ms() / 1000 + (uint64_t) 5 * 3600);
    world->is_long = false;
    sim_node_crash(owner);
    sim_run(&world->nodes[READER], sim_get, &kept);
    sim_nodes_stop(world);
    return PG_OK;
}

// Nobody comes for longer than the leases would last: what waits is prolonged, and goes out when hosts appear.
static pg_err waiting_script(void *arg)
{
    sim_world *world = arg;
    sim_file file = {.content = 13, .size = 900000};
    sim_nodes_make_with(world, 1, (uint64_t) 12 * 3600 * 1000);
    sim_run(&world->nodes[0], sim_put, &file);
    CHECK(file.state == PG_FILE_STATE_PENDING);
    const uint64_t expiry_s = file.expiry_s;
    world->is_long = true;
    CHECK_OK(pg_sleep_until(pg_after(PG_HOURS(27))));
    world->is_long = false;
    CHECK(expiry_s + (uint64_t) 3600 < (uint64_t) pg_wall_ms() / 1000);
    for (size_t i = 1; i < NODES; i++) {
        sim_node_start(&world->nodes[i]);
    }
    sim_nodes_meet(world);
    CHECK_OK(pg_sleep_until(pg_after(PG_MINUTES(10))));
    sim_run(&world->nodes[0], sim_find, &file);
    CHECK(file.state == PG_FILE_STATE_COMPLETE && file.survives == 2);
    CHECK(file.expiry_s > (uint64_t) pg_wall_ms() / 1000 + (uint64_t) 5 * 3600);
    sim_node_crash(&world->nodes[0]);
    sim_run(&world->nodes[READER], sim_get, &file);
    sim_nodes_stop(world);
    return PG_OK;
}

static pg_err on_write_stalled(pg_bytes bytes, void *user)
{
    (void) bytes;
    (void) user;
    return pg_sleep_until(PG_FOREVER);
}

static pg_err get_stalled(void *arg)
{
    sim_node *self = arg;
    const pg_files_output output = {.write = on_write_stalled};
    const pg_get_options options = {.start = 0};
    return pg_files_get(self->storage->files, &self->file->link, &options, &output, NULL);
}

// As many readers as there are places do not read on: the next one is told so, and finds a place when one has gone.
static pg_err get_crowded(sim_node *self)
{
    pg_scope readers;
    pg_scope_init_tolerant(&readers);
    for (unsigned i = 0; i < PG_TRANSFERS_MAX; i++) {
        CHECK_OK(pg_scope_spawn(&readers, "test.stalled", get_stalled, self));
    }
    CHECK_OK(pg_sleep_until(pg_after(PG_SECONDS(10))));
    const pg_time began = pg_now();
    CHECK(sim_get(self) == PG_ERR_BUSY);
    CHECK(pg_now() - began == PG_MINUTES(PG_TRANSFER_WAIT_MINUTES));
    pg_scope_close(&readers);
    return sim_get(self);
}

static pg_err crowd_script(void *arg)
{
    sim_world *world = arg;
    sim_file file = {.content = 33, .size = 50000};
    sim_nodes_make(world, NODES);
    sim_nodes_meet(world);
    sim_run(&world->nodes[0], sim_put, &file);
    sim_task_begin(&world->nodes[READER], get_crowded, &file);
    CHECK_OK(sim_task_end(&world->nodes[READER], PG_MINUTES(PG_TRANSFER_WAIT_MINUTES + 5)));
    sim_nodes_stop(world);
    return PG_OK;
}

static void test_files__hosts_and_uploader_die__given_back(void **state)
{
    (void) state;
    sim_files_seeds(outlives_script, 4);
}

static void test_files__hosts_crash_while_put__put_all_the_same(void **state)
{
    (void) state;
    sim_files_seeds(crashes_script, 10);
    assert_true(broken_off > 0);
}

static void test_files__uploader_crashes_while_putting__nothing_is_left(void **state)
{
    (void) state;
    sim_files_seeds(uploader_script, 6);
}

static void test_files__no_hosts_or_few__waits_and_spreads(void **state)
{
    (void) state;
    sim_files_seeds(pending_script, 2);
}

static void test_files__no_hosts_for_longer_than_the_leases__prolonged_and_spreads(void **state)
{
    (void) state;
    sim_files_seeds(waiting_script, 1);
}

static void test_files__removed__dropped_by_all_hosts(void **state)
{
    (void) state;
    sim_files_seeds(remove_script, 2);
}

static void test_files__bad_disks_of_two_hosts__given_back(void **state)
{
    (void) state;
    sim_files_seeds(disks_script, 3);
}

static void test_files__cut_off_from_two_hosts__given_back_in_time(void **state)
{
    (void) state;
    sim_files_seeds(partition_script, 2);
}

static void test_files__all_hosts_gone__given_back_by_who_read_it(void **state)
{
    (void) state;
    sim_files_seeds(seeds_script, 2);
}

static void test_files__put_for_hours__gone_then_and_another_is_renewed(void **state)
{
    (void) state;
    if (sim_files_is_too_long()) {
        skip(); // leases are renewed in test_files_grants.c, and end when a file is removed
    }
    sim_files_seeds(ttl_script, 1);
}

static void test_files__host_gone_and_disk_lost__rebuilt_elsewhere_and_renewed(void **state)
{
    (void) state;
    sim_files_seeds(repair_script, 1);
}

static void test_files__all_places_taken_by_who_does_not_read__told(void **state)
{
    (void) state;
    sim_files_seeds(crowd_script, 1);
}

int main(int argc, char **argv)
{
    sim_arguments(argc, argv);
    if (getenv("PG_TEST_ONLY") != NULL) {
        cmocka_set_test_filter(getenv("PG_TEST_ONLY"));
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_files__hosts_and_uploader_die__given_back),
        cmocka_unit_test(test_files__hosts_crash_while_put__put_all_the_same),
        cmocka_unit_test(test_files__uploader_crashes_while_putting__nothing_is_left),
        cmocka_unit_test(test_files__no_hosts_or_few__waits_and_spreads),
        cmocka_unit_test(test_files__no_hosts_for_longer_than_the_leases__prolonged_and_spreads),
        cmocka_unit_test(test_files__removed__dropped_by_all_hosts),
        cmocka_unit_test(test_files__bad_disks_of_two_hosts__given_back),
        cmocka_unit_test(test_files__cut_off_from_two_hosts__given_back_in_time),
        cmocka_unit_test(test_files__all_hosts_gone__given_back_by_who_read_it),
        cmocka_unit_test(test_files__put_for_hours__gone_then_and_another_is_renewed),
        cmocka_unit_test(test_files__host_gone_and_disk_lost__rebuilt_elsewhere_and_renewed),
        cmocka_unit_test(test_files__all_places_taken_by_who_does_not_read__told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
