// SPDX-License-Identifier: Apache-2.0
// Goal: a host that was away when its owner renewed one lease and dropped another learns of both from the DHT, though the owner is away when it
// comes back; its claim on the one is prolonged, the other's blocks go at once. What a host no longer keeps it announces no more.
// Method: whole nodes with DHTs; hours of virtual time.
#include "base/mem.h"
#include "files/catalogue.h"
#include "files_world.h"
#include "runtime/random.h"

#define TTL_HOURS 8

/** What a host keeps. */
static struct {
    uint64_t leases;
    uint64_t first_end_s;
} kept;

static void on_lease(const pg_place_lease *lease, void *user)
{
    (void) user;
    kept.leases++;
    kept.first_end_s = lease->expiry_s < kept.first_end_s ? lease->expiry_s : kept.first_end_s;
}

static pg_err look(sim_node *self)
{
    kept.leases = 0;
    kept.first_end_s = UINT64_MAX;
    return pg_place_server_leases(self->storage->place, on_lease, NULL);
}

static bool is_host(const sim_file *file, const pg_peer_id *peer)
{
    bool is_one = false;
    for (size_t i = 0; i < file->host_count; i++) {
        is_one = is_one || pg_peer_id_equal(&file->hosts[i], peer);
    }
    return is_one;
}

static sim_node *host_of_both(sim_world *world, const sim_file *one, const sim_file *other)
{
    for (size_t i = 1; i < NODES; i++) {
        if (is_host(one, &world->nodes[i].id) && is_host(other, &world->nodes[i].id)) {
            return &world->nodes[i];
        }
    }
    CHECK(false);
    return NULL;
}

static pg_err missed_script(void *arg)
{
    sim_world *world = arg;
    sim_file renewed = {.content = 41, .size = 300000};
    sim_file removed = {.content = 42, .size = 300000};
    sim_nodes_make_of(world, NODES,
                      &(sim_world){.ttl_ms = (uint64_t) TTL_HOURS * 3600 * 1000, .has_dht = true});
    sim_nodes_meet(world);
    sim_run(&world->nodes[0], sim_put, &renewed);
    sim_run(&world->nodes[0], sim_put, &removed);
    sim_node *host = host_of_both(world, &renewed, &removed);
    sim_run(host, look, NULL);
    CHECK(kept.leases == 2);
    uint64_t end_s = kept.first_end_s;
    sim_node_crash(host);
    sim_run(&world->nodes[0], sim_remove, &removed);
    world->is_long = true;
    CHECK_OK(pg_sleep_until(pg_after(PG_HOURS(TTL_HOURS / 2 + 2)))); // leases are renewed at half
    sim_node_crash(&world->nodes[0]);                                // who would tell it
    sim_node_start(host);
    CHECK_OK(pg_sleep_until(pg_after(PG_MINUTES(15))));
    CHECK(pg_place_server_get_stats(host->storage->place).caught_up_total == 2);
    sim_run(host, look, NULL);
    CHECK(kept.leases == 1 && kept.first_end_s > end_s + 3600);
    // Nothing newer is to be had: nothing changes.
    CHECK_OK(pg_sleep_until(pg_after(PG_HOURS(3))));
    CHECK(pg_place_server_get_stats(host->storage->place).caught_up_total == 2);
    world->is_long = false;
    sim_run(&world->nodes[READER], sim_get, &renewed);
    sim_nodes_stop(world);
    return PG_OK;
}

static pg_err drops_task(sim_node *self)
{
    pg_catalogue_extent *extents = NULL;
    PG_TRY(pg_catalogue_extents(self->storage->db, 0, &extents, &self->list_count));
    pg_mfree(extents);
    return PG_OK;
}

static void drops_await(sim_node *self, size_t count, int64_t within_ns)
{
    pg_time deadline = pg_after(within_ns);
    sim_run(self, drops_task, NULL);
    while (self->list_count != count) {
        CHECK(pg_now() < deadline);
        CHECK_OK(pg_sleep_until(pg_after(PG_SECONDS(30))));
        sim_run(self, drops_task, NULL);
    }
}

// A host is away for so long that its owner counts it out; then the file is removed, and all who are there drop it. The owner remembers that one is
// missing, over a crash and though there was no DHT when it signed the drop: the host learns of it from the DHT when the owner is gone. When the
// lease has ended for good nothing is remembered.
static pg_err stray_script(void *arg)
{
    sim_world *world = arg;
    sim_node *owner = &world->nodes[0];
    sim_file file = {.content = 45, .size = 300000};
    sim_nodes_make_with(world, NODES, (uint64_t) 40 * 3600 * 1000);
    sim_nodes_meet(world);
    sim_run(owner, sim_put, &file);
    sim_node *host = sim_node_of(world, &file.hosts[2]);
    sim_node_crash(host);
    world->is_long = true;
    // After a day it counts as lost: for its owner, and for the other hosts. When both replaced it one lets go again, within hours.
    CHECK_OK(pg_sleep_until(pg_after(PG_HOURS(32))));
    world->is_long = false;
    sim_run(owner, sim_find, &file);
    CHECK(!is_host(&file, &host->id));
    sim_run(owner, sim_remove, &file);
    sim_run(owner, drops_task, NULL);
    CHECK(owner->list_count == 1);
    world->has_dht = true;
    for (size_t i = 0; i < NODES; i++) {
        if (&world->nodes[i] != host) {
            sim_node_crash(&world->nodes[i]);
            sim_node_start(&world->nodes[i]);
        }
    }
    sim_nodes_meet(world);
    CHECK(sim_leases(world) == 0);
    CHECK_OK(pg_sleep_until(pg_after(PG_MINUTES(5))));
    sim_node_crash(owner);
    sim_node_start(host);
    sim_run(host, look, NULL);
    CHECK(kept.leases == 1);
    CHECK_OK(pg_sleep_until(pg_after(PG_MINUTES(15))));
    sim_run(host, look, NULL);
    CHECK(kept.leases == 0);
    sim_node_start(owner);
    CHECK_OK(pg_sleep_until(pg_after(PG_MINUTES(5))));
    drops_await(owner, 1, PG_MINUTES(1)); // it cannot know
    pg_sim_machine_clock_jump(owner->machine, INT64_C(10) * 24 * 3600 * 1000);
    drops_await(owner, 0, PG_MINUTES(5));
    sim_nodes_stop(world);
    return PG_OK;
}

/** Make the catalogue as old as one that was restored: it knows of no grant but the first ever. */
static pg_err age_task(sim_node *self)
{
    pg_catalogue_extent *extents = NULL;
    size_t count = 0;
    int64_t file = 0;
    PG_TRY(pg_catalogue_find(self->storage->db, &self->file->link.root, &file));
    PG_TRY(pg_catalogue_extents(self->storage->db, file, &extents, &count));
    pg_err err = PG_OK;
    for (size_t i = 0; i < count && err == PG_OK; i++) {
        extents[i].sequence = 1;
        err = pg_catalogue_extent_write(self->storage->db, file, &extents[i]);
    }
    pg_mfree(extents);
    return err;
}

// The owner's catalogue is older than what its hosts were told, and its clock is ten days behind: hosts know later grants than what it signs by
// its clock. What it removes is dropped all the same, at once, and the drop is the last word.
static pg_err behind_script(void *arg)
{
    sim_world *world = arg;
    sim_node *owner = &world->nodes[0];
    sim_file files[] = {{.content = 48, .size = 300000}, {.content = 49, .size = 100}};
    sim_nodes_make_with(world, NODES, (uint64_t) 40 * 3600 * 1000);
    sim_nodes_meet(world);
    for (size_t i = 0; i < PG_ARRAY_LEN(files); i++) {
        sim_run(owner, sim_put, &files[i]);
        sim_run(owner, age_task, &files[i]);
    }
    CHECK(sim_leases(world) > 0);
    pg_sim_machine_clock_jump(owner->machine, INT64_C(-10) * 24 * 3600 * 1000);
    for (size_t i = 0; i < PG_ARRAY_LEN(files); i++) {
        sim_run(owner, sim_remove, &files[i]);
    }
    CHECK(sim_leases(world) == 0);
    drops_await(owner, 0, PG_MINUTES(5));
    sim_nodes_stop(world);
    return PG_OK;
}

static uint64_t test_promised; // hosts whose promise nobody heard

static void on_coded_lease(const pg_place_lease *lease, void *user)
{
    (void) user;
    kept.leases += lease->is_whole ? 0 : 1; // what is whole is of the list of files
}

static pg_err coded_look(sim_node *self)
{
    kept.leases = 0;
    return pg_place_server_leases(self->storage->place, on_coded_lease, NULL);
}

/** Wait until a host has given its promise, which its owner has not heard yet; false when it is none of the file's. */
static bool promise_await(const sim_node *host, const sim_node *owner)
{
    while (!owner->task_done) {
        if (pg_place_server_get_stats(host->storage->place).leases > 0) {
            return true;
        }
        CHECK_OK(pg_sleep_until(pg_after(PG_US(200))));
    }
    return false;
}

// A host loses power when it has promised and nobody heard it; the file is removed while it is away. When it is back it has a lease that its owner
// does not know of, and learns that it is dropped.
static pg_err promise_script(void *arg)
{
    sim_world *world = arg;
    sim_node *owner = &world->nodes[0];
    sim_file file = {.content = 47, .size = 300000};
    sim_nodes_make_of(world, NODES,
                      &(sim_world){.ttl_ms = (uint64_t) TTL_HOURS * 3600 * 1000, .has_dht = true});
    sim_nodes_meet(world);
    sim_node *host = &world->nodes[1 + pg_sim_random_below(READER - 1)];
    sim_task_begin(owner, sim_put, &file);
    if (promise_await(host, owner)) {
        pg_sim_partition(owner->machine, host->machine, true);
    }
    sim_node_crash(host);
    CHECK_OK(sim_task_end(owner, PG_MINUTES(10)));
    pg_sim_partition(owner->machine, host->machine, false);
    test_promised += is_host(&file, &host->id) ? 0 : 1;
    sim_run(owner, sim_remove, &file);
    CHECK_OK(pg_sleep_until(pg_after(PG_MINUTES(5))));
    sim_node_crash(owner); // who might tell it
    sim_node_start(host);
    CHECK_OK(pg_sleep_until(pg_after(PG_MINUTES(15))));
    sim_run(host, coded_look, NULL);
    CHECK(kept.leases == 0);
    sim_nodes_stop(world);
    return PG_OK;
}

static void remove_begin(sim_node *owner, sim_file *file)
{
    sim_task_begin(owner, sim_remove, file);
    CHECK_OK(pg_sleep_until(pg_after((int64_t) pg_sim_random_below(PG_MS(300)))));
    sim_node_crash(owner);
    sim_node_start(owner);
}

// The owner crashes at any moment of a removal, while a host is away. If the file is gone from its catalogue it ends with dropping it everywhere,
// also there when the host comes back.
static pg_err crash_script(void *arg)
{
    sim_world *world = arg;
    sim_node *owner = &world->nodes[0];
    sim_file file = {.content = 46, .size = 300000};
    sim_nodes_make_of(world, NODES, &(sim_world){.has_dht = true});
    sim_nodes_meet(world);
    sim_run(owner, sim_put, &file);
    sim_node *host = sim_node_of(world, &file.hosts[1]);
    sim_node_crash(host);
    remove_begin(owner, &file);
    sim_run(owner, sim_list, NULL);
    if (owner->list_count == 0) {
        CHECK_OK(pg_sleep_until(pg_after(PG_MINUTES(5))));
        sim_node_crash(owner); // once more: what it has still to do is known
        sim_node_start(owner);
        sim_node_start(host);
        drops_await(owner, 0, PG_MINUTES(10));
        sim_run(host, look, NULL);
        CHECK(kept.leases <= 1); // the list of what was removed, if anything
        sim_run(owner, sim_list, NULL);
        CHECK(owner->list_count == 0);
    }
    sim_nodes_stop(world);
    return PG_OK;
}

/** Count what all but the owner publish in the global DHT. */
static size_t published(const sim_world *world)
{
    size_t count = 0;
    for (size_t i = 1; i < NODES; i++) {
        const sim_node *node = &world->nodes[i];
        if (node->is_up && node->dhts->global != NULL) {
            count += pg_dht_get_stats(node->dhts->global).published;
        }
    }
    return count;
}

static void published_await(const sim_world *world, size_t least, size_t most)
{
    pg_time deadline = pg_after(PG_MINUTES(5));
    while (published(world) < least || published(world) > most) {
        CHECK(pg_now() < deadline);
        CHECK_OK(pg_sleep_until(pg_after(PG_SECONDS(1))));
    }
}

// What hosts keep they announce: descriptor and root each. What is dropped is announced no more. The catalogue is placed too, on a few hosts.
static pg_err announced_script(void *arg)
{
    sim_world *world = arg;
    sim_file kept_file = {.content = 43, .size = 300000};
    sim_file removed = {.content = 44, .size = 300000};
    sim_nodes_make_of(world, NODES, &(sim_world){.has_dht = true});
    sim_nodes_meet(world);
    size_t before = published(world);
    sim_run(&world->nodes[0], sim_put, &kept_file);
    sim_run(&world->nodes[0], sim_put, &removed);
    size_t kept_keys = before + 2 * kept_file.host_count;
    published_await(world, kept_keys + 2 * removed.host_count, SIZE_MAX);
    sim_run(&world->nodes[0], sim_remove, &removed);
    published_await(world, kept_keys, kept_keys + removed.host_count - 1);
    sim_nodes_stop(world);
    return PG_OK;
}

static void test_files_grants__lease_dropped__announced_no_more(void **state)
{
    (void) state;
    sim_files_seeds(announced_script, 1);
}

static void test_files_grants__host_counted_out__learns_of_the_drop_from_the_dht(void **state)
{
    (void) state;
    if (sim_files_is_too_long()) {
        skip(); // as one that missed a grant does
    }
    sim_files_seeds(stray_script, 1);
}

static void test_files_grants__host_lost_while_it_promises__drops_when_it_is_back(void **state)
{
    (void) state;
    test_promised = 0;
    sim_files_seeds(promise_script, 3);
    assert_true(test_promised > 0);
}

static void test_files_grants__owner_crashes_while_it_removes__drops_everywhere(void **state)
{
    (void) state;
    sim_files_seeds(crash_script, 6);
}

static void test_grants__catalogue_and_clock_behind__removed_file_is_dropped(void **state)
{
    (void) state;
    sim_files_seeds(behind_script, 3);
}

static void test_files_grants__host_missed_them__found_in_the_dht(void **state)
{
    (void) state;
    sim_files_seeds(missed_script, 1);
}

int main(int argc, char **argv)
{
    sim_arguments(argc, argv);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_grants__catalogue_and_clock_behind__removed_file_is_dropped),
        cmocka_unit_test(test_files_grants__host_missed_them__found_in_the_dht),
        cmocka_unit_test(test_files_grants__host_counted_out__learns_of_the_drop_from_the_dht),
        cmocka_unit_test(test_files_grants__host_lost_while_it_promises__drops_when_it_is_back),
        cmocka_unit_test(test_files_grants__owner_crashes_while_it_removes__drops_everywhere),
        cmocka_unit_test(test_files_grants__lease_dropped__announced_no_more),
    };
    if (getenv("PG_TEST_ONLY") != NULL) {
        cmocka_set_test_filter(getenv("PG_TEST_ONLY"));
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
