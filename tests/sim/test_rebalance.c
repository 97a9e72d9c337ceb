// SPDX-License-Identifier: Apache-2.0
// Goal: ten full hosts meet ten empty ones, and within some rounds all are about as full as each other: nothing is missing at any moment, no extent
//       has two movers at a time, nothing goes back and forth, no more bytes move than it takes, and a network that is cut meanwhile does no
//       harm.
// Method: 22 nodes as the program builds them: an owner, ten hosts, ten that come later, a reader. Looks at all tables of blocks at once, every
//       few seconds.
#include <string.h>

#include "base/mem.h"
#include "exchange/place_neighbours.h"
#include "files/code.h"
#include "files/descriptor.h"
#include "files/extents.h"
#include "files/guard.h"
#include "files_world.h"

#define PATIENCE_S 2400 // rounds of 100 s
#define ROUND_S (PATIENCE_S / 24)
#define LOOK_S 10
#define HOSTS 10
#define SLOTS 10
#define FILES 24
#define QUOTA_BYTES 1500000
#define MARGIN 10      // as the setting has it
#define SLOT_PERCENT 4 // of a host

/** The shards of every file, by slot. */
static struct {
    sim_file file;
    pg_cid shards[SLOTS];
    size_t copies_max; // ever seen of all slots together
} files[FILES];

static size_t file_count;

static pg_cid next_descriptor;

static void on_lease(const pg_place_lease *lease, void *user)
{
    (void) user;
    next_descriptor = lease->descriptor; // the newest comes last
}

static pg_err task_shards(sim_node *self)
{
    pg_buf block = {.max_len = PG_BITSWAP_BLOCK_BYTES_MAX};
    pg_descriptor read;
    CHECK_OK(pg_place_server_leases(self->storage->place, on_lease, NULL));
    CHECK_OK(pg_block_store_get(self->storage->blocks, &next_descriptor, &block));
    CHECK_OK(pg_descriptor_decode(pg_buf_bytes(&block), &read));
    CHECK(read.segment_count == 1);
    for (unsigned slot = 0; slot < SLOTS; slot++) {
        files[file_count].shards[slot] = pg_block_cid_of_digest(
            pg_descriptor_digest(&read, 0, pg_code_shard_of_slot(read.code, 0, slot)));
    }
    pg_descriptor_deinit(&read);
    pg_buf_deinit(&block);
    return PG_OK;
}

static void files_put(sim_world *world)
{
    for (file_count = 0; file_count < FILES; file_count++) {
        sim_file *file = &files[file_count].file;
        *file = (sim_file){.content = 200 + file_count, .size = 300000};
        files[file_count].copies_max = 0;
        sim_run(&world->nodes[0], sim_put, file);
        CHECK(file->host_count == HOSTS);
        sim_run(sim_node_of(world, &file->hosts[0]), task_shards, file);
    }
}

static unsigned fill_of(const sim_node *node)
{
    return pg_place_server_fill(node->storage->place);
}

/** Look at all hosts at one moment: nothing is missing, and no extent has more copies than one mover makes. */
static void all_look(const sim_world *world)
{
    for (size_t f = 0; f < FILES; f++) {
        size_t copies = 0;
        for (unsigned slot = 0; slot < SLOTS; slot++) {
            size_t holders = 0;
            for (size_t i = 0; i < READER; i++) {
                const sim_node *node = &world->nodes[i];
                holders += node->is_up && pg_place_server_holds(node->storage->place,
                                                                &files[f].shards[slot])
                               ? 1
                               : 0;
            }
            CHECK(holders >= 1);
            copies += holders;
        }
        CHECK(copies <= SLOTS + 1);
        files[f].copies_max = pg_max_size(files[f].copies_max, copies);
    }
}

/** What all nodes did. */
static pg_guard_stats sum_of(const sim_world *world)
{
    pg_guard_stats sum = {.repairs_total = 0};
    for (size_t i = 1; i < READER; i++) {
        if (world->nodes[i].is_up) {
            pg_guard_stats one = pg_guard_get_stats(world->nodes[i].storage->guard);
            sum.rebalanced_slots_total += one.rebalanced_slots_total;
            sum.rebalanced_bytes_total += one.rebalanced_bytes_total;
            sum.rebalance_failed_total += one.rebalance_failed_total;
            sum.repairs_total += one.repairs_total;
        }
    }
    return sum;
}

/** How full the hosts that are up are, percent. */
typedef struct fills {
    unsigned least;
    unsigned median;
    unsigned most;
} fills;

static fills fills_of(const sim_world *world)
{
    unsigned sorted[NODES];
    size_t count = 0;
    for (size_t i = 1; i < READER; i++) {
        if (!world->nodes[i].is_up) {
            continue;
        }
        unsigned fill = fill_of(&world->nodes[i]);
        size_t at = count++;
        for (; at > 0 && sorted[at - 1] > fill; at--) {
            sorted[at] = sorted[at - 1];
        }
        sorted[at] = fill;
    }
    return (fills){sorted[0], sorted[count / 2], sorted[count - 1]};
}

/** Let time go by, looking on. Returns early when no host is further from the median than the margin and a slot. Two hosts may stay further apart: a slot
 *  moves only to a host that rendezvous ranks higher for its extent, and a dozen slots need not have such a one. */
static bool rounds_run(sim_world *world, unsigned rounds, bool until_even)
{
    for (unsigned i = 0; i < rounds * (ROUND_S / LOOK_S); i++) {
        CHECK_OK(pg_sleep_until(pg_after(PG_SECONDS(LOOK_S))));
        all_look(world);
        const fills now = fills_of(world);
        if (until_even && now.most <= now.median + MARGIN + SLOT_PERCENT &&
            now.least + MARGIN + SLOT_PERCENT >= now.median) {
            return true;
        }
    }
    return false;
}

static void cut(sim_world *world, bool is_cut)
{
    for (size_t i = 0; i < NODES; i++) {
        for (size_t j = i + 1; j < NODES; j++) {
            if (i % 2 != j % 2) {
                pg_sim_partition(world->nodes[i].machine, world->nodes[j].machine, is_cut);
            }
        }
    }
}

static pg_err rebalance_script(void *arg)
{
    sim_world *world = arg;
    static sim_world like;
    like.patience_s = PATIENCE_S;
    like.quota_bytes = QUOTA_BYTES;
    sim_nodes_make_of(world, 1 + HOSTS, &like);
    sim_nodes_meet(world);
    files_put(world);
    rounds_run(world, 3, false);
    CHECK(fills_of(world).least >= 70 &&
          sum_of(world).rebalanced_slots_total == 0); // all alike: nothing to do
    for (size_t i = 1 + HOSTS; i < NODES; i++) {
        sim_node_start(&world->nodes[i]);
    }
    sim_nodes_meet(world);
    pg_time from = pg_now();
    CHECK(!rounds_run(world, 6, true));
    CHECK(sum_of(world).rebalanced_slots_total > 0);
    cut(world, true);
    rounds_run(world, 3, false);
    cut(world, false);
    sim_nodes_meet(world);
    bool is_even = rounds_run(world, 90, true);
    const fills then = fills_of(world);
    pg_guard_stats at = sum_of(world);
    (void) printf("after %.1f rounds: %u to %u %% full; %llu slots of %u moved, %llu bytes, "
                  "%llu failed\n",
                  (double) (pg_now() - from) / 1e9 / ROUND_S, then.least, then.most,
                  (unsigned long long) at.rebalanced_slots_total, FILES * SLOTS,
                  (unsigned long long) at.rebalanced_bytes_total,
                  (unsigned long long) at.rebalance_failed_total);
    CHECK(is_even);
    CHECK(at.rebalanced_slots_total <= FILES * SLOTS * 6 / 10); // half of them would be even
    rounds_run(world, 6, false);
    pg_guard_stats after = sum_of(world);
    CHECK(after.rebalanced_slots_total <= at.rebalanced_slots_total + FILES * SLOTS / 10);
    CHECK(after.repairs_total == 0);
    (void) printf("%llu more in the six rounds after\n",
                  (unsigned long long) (after.rebalanced_slots_total - at.rebalanced_slots_total));
    sim_run(&world->nodes[READER], sim_get, &files[0].file);
    sim_run(&world->nodes[READER], sim_get, &files[FILES - 1].file);
    sim_nodes_stop(world);
    return PG_OK;
}

static void test_rebalance__empty_hosts_come__even(void **state)
{
    (void) state;
    if (sim_files_is_too_long()) {
        skip(); // twenty hosts for hours
    }
    sim_files_seeds(rebalance_script, 1);
}

int main(int argc, char **argv)
{
    sim_arguments(argc, argv);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rebalance__empty_hosts_come__even),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
