// SPDX-License-Identifier: Apache-2.0
// Goal: a host that was away when its owner renewed one lease and dropped another learns of both from the DHT, though the owner is away when it
// comes back; its claim on the one is prolonged, the other's blocks go at once.
// Method: whole nodes with DHTs; hours of virtual time.
#include "files_world.h"

#define TTL_HOURS 20

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
    CHECK_OK(pg_sleep_until(pg_after(PG_HOURS(7))));
    CHECK(pg_place_server_get_stats(host->storage->place).caught_up_total == 2);
    world->is_long = false;
    sim_run(&world->nodes[READER], sim_get, &renewed);
    sim_nodes_stop(world);
    return PG_OK;
}

static void test_files_grants__host_missed_them__found_in_the_dht(void **state)
{
    (void) state;
    sim_files_seeds(missed_script, 2);
}

int main(int argc, char **argv)
{
    sim_arguments(argc, argv);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_files_grants__host_missed_them__found_in_the_dht),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
