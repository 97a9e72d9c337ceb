// SPDX-License-Identifier: Apache-2.0
// Goal: a grant can be shown by anybody, and still nobody fills the disks of strangers with it, nor thins a set: slots of hosts that are there are not
//       taken from who is not the owner, whatever he leaves out; once a host is gone they are, once. What the owner dropped does not come
//       back. Asking over and over has nobody asked again, and leaves nothing behind.
// Method: 14 nodes as the program builds them; one without a share in anything has a grant, the descriptor and the shards of a file, as any host
//       of it might give him, and pushes them to hosts that have nothing of it.
#include <string.h>

#include "base/mem.h"
#include "exchange/place_client.h"
#include "exchange/place_neighbours.h"
#include "files/code.h"
#include "files/descriptor.h"
#include "files/extents.h"
#include "files_world.h"

#define HOSTS_OF_CODE 10

/** What the villain has, taken from the disk of a host. */
static struct {
    pg_place_lease lease;
    pg_buf grant;
    pg_buf descriptor;
    pg_buf root;
    pg_buf shards[HOSTS_OF_CODE]; // of the one segment, by slot
    pg_cid cids[HOSTS_OF_CODE];
    pg_slot_set held[NODES]; // by each node
} loot;

static void loot_drop(void)
{
    pg_buf_deinit(&loot.grant);
    pg_buf_deinit(&loot.descriptor);
    pg_buf_deinit(&loot.root);
    for (size_t i = 0; i < HOSTS_OF_CODE; i++) {
        pg_buf_deinit(&loot.shards[i]);
    }
    memset(&loot, 0, sizeof(loot));
}

static void on_lease(const pg_place_lease *lease, void *user)
{
    (void) user;
    loot.lease = *lease;
}

static void shards_take(sim_node *self)
{
    pg_descriptor read;
    CHECK_OK(pg_descriptor_decode(pg_buf_bytes(&loot.descriptor), &read));
    CHECK(read.segment_count == 1);
    for (unsigned slot = 0; slot < HOSTS_OF_CODE; slot++) {
        loot.cids[slot] = pg_block_cid_of_digest(
            pg_descriptor_digest(&read, 0, pg_code_shard_of_slot(read.code, 0, slot)));
        loot.shards[slot].max_len = PG_SHARD_BYTES_MAX;
        if (pg_block_store_has(self->storage->blocks, &loot.cids[slot], NULL) &&
            loot.shards[slot].len == 0) {
            CHECK_OK(
                pg_block_store_get(self->storage->blocks, &loot.cids[slot], &loot.shards[slot]));
        }
    }
    pg_descriptor_deinit(&read);
}

/** Take what a host has of the one file. */
static pg_err task_loot(sim_node *self)
{
    CHECK_OK(pg_place_server_leases(self->storage->place, on_lease, NULL));
    loot.held[self->number] = loot.lease.slots;
    if (loot.grant.len == 0) {
        loot.descriptor.max_len = PG_BITSWAP_BLOCK_BYTES_MAX;
        CHECK_OK(pg_place_server_grant(self->storage->place, &loot.lease, &loot.grant));
        CHECK_OK(
            pg_block_store_get(self->storage->blocks, &loot.lease.descriptor, &loot.descriptor));
    }
    if (loot.root.len == 0 && loot.lease.root.len > 0) {
        loot.root.max_len = PG_ROOT_BYTES_MAX;
        CHECK_OK(pg_block_store_get(self->storage->blocks, &loot.lease.root, &loot.root));
    }
    if (!loot.lease.is_whole) {
        shards_take(self);
    }
    return PG_OK;
}

/** What the villain does next. */
static struct {
    const sim_node *to;
    pg_slot_set slots;
    const pg_identity *poses_as; // the owner
    pg_err err;                  // of the commit
} push;

static pg_err pushed_commit(pg_place_session *session)
{
    pg_lease_receipt receipt;
    const pg_place_commit commit = {
        .grant = pg_buf_bytes(&loot.grant),
        .slots = push.slots,
        .owner = push.poses_as,
    };
    const pg_time soon = pg_after(PG_MINUTES(1));
    CHECK_OK(pg_place_push(session, &loot.lease.descriptor, pg_buf_bytes(&loot.descriptor), soon));
    if (loot.root.len > 0) {
        CHECK_OK(pg_place_push(session, &loot.lease.root, pg_buf_bytes(&loot.root), soon));
    }
    for (unsigned slot = 0; slot < HOSTS_OF_CODE && !loot.lease.is_whole; slot++) {
        if ((push.slots >> slot & 1) != 0) {
            CHECK_OK(
                pg_place_push(session, &loot.cids[slot], pg_buf_bytes(&loot.shards[slot]), soon));
        }
    }
    return pg_place_commit_send(session, &commit, soon, &receipt, NULL, NULL);
}

static pg_err task_push(sim_node *self)
{
    pg_place_session *session = NULL;
    CHECK_OK(pg_place_open(self->host, &push.to->id, loot.lease.lease_key, 0,
                           pg_after(PG_SECONDS(10)), &session));
    push.err = pushed_commit(session);
    pg_place_session_free(&session);
    return PG_OK;
}

static pg_err push_try(sim_world *world, const sim_node *to, pg_slot_set slots)
{
    sim_node *villain = &world->nodes[READER];
    push.to = to;
    push.slots = slots;
    sim_run(villain, task_push, villain->file);
    return push.err;
}

static pg_place_stats stats_of(const sim_node *node)
{
    return pg_place_server_get_stats(node->storage->place);
}

static unsigned held_count;

static void on_held(const pg_place_lease *lease, void *user)
{
    (void) user;
    held_count += pg_cid_equal(&lease->descriptor, &loot.lease.descriptor) ? 1 : 0;
}

static pg_err task_count(sim_node *self)
{
    return pg_place_server_leases(self->storage->place, on_held, NULL);
}

/** Return how many hosts have a share in the file; there may be leases of catalogues, too. */
static unsigned hosts_count(sim_world *world)
{
    held_count = 0;
    for (size_t i = 0; i < NODES; i++) {
        sim_run(&world->nodes[i], task_count, world->nodes[i].file);
    }
    return held_count;
}

/** Return the n-th node, from 0, that takes placements and holds nothing. */
static sim_node *stranger(sim_world *world, size_t nth)
{
    for (size_t i = 0; i < READER; i++) {
        if (world->nodes[i].is_up && stats_of(&world->nodes[i]).leases == 0 && nth-- == 0) {
            return &world->nodes[i];
        }
    }
    CHECK(false);
    return NULL;
}

static void file_put(sim_world *world, sim_file *file, bool has_dht)
{
    static sim_world like;
    like.has_dht = has_dht;
    sim_nodes_make_of(world, NODES, &like);
    sim_nodes_meet(world);
    if (has_dht) {
        CHECK_OK(pg_sleep_until(pg_after(PG_MINUTES(3)))); // tables fill
    }
    sim_run(&world->nodes[0], sim_put, file);
    for (size_t i = 0; i < file->host_count; i++) {
        sim_run(sim_node_of(world, &file->hosts[i]), task_loot, file);
    }
}

// All hosts are there. The villain keeps quiet about them, and finds no stranger that takes a slot; nor one that has him ask twice.
static pg_err living_script(void *arg)
{
    sim_world *world = arg;
    sim_file file = {.content = 71, .size = 300000};
    file_put(world, &file, false);
    CHECK(file.host_count == HOSTS_OF_CODE);
    sim_node *to = stranger(world, 0);
    for (unsigned i = 0; i < 5; i++) {
        CHECK(push_try(world, to, 1U << i | 1U) == PG_ERR_EXISTS);
    }
    CHECK(stats_of(to).claims_held_total == 5 && stats_of(to).claims_total == 1);
    CHECK(push_try(world, to, 1U << 7) == PG_ERR_EXISTS); // another slot is another question
    CHECK(stats_of(to).claims_total == 2);
    CHECK(push_try(world, stranger(world, 1), 0x3ff) == PG_ERR_EXISTS);
    push.poses_as = world->nodes[READER].device;
    CHECK(push_try(world, to, 2) == PG_ERR_AUTH); // that is not the owner's signature
    push.poses_as = NULL;
    CHECK(sim_leases(world) == HOSTS_OF_CODE);
    CHECK(stats_of(to).leases == 0);
    sim_nodes_stop(world);
    return PG_OK;
}

// A host goes. Now its slot is taken, as from an honest repairer, and by one stranger only: the next finds that the first has it.
static pg_err gone_script(void *arg)
{
    sim_world *world = arg;
    sim_file file = {.content = 72, .size = 300000};
    file_put(world, &file, false);
    size_t at = (size_t) pg_sim_random_below(file.host_count);
    sim_node *gone = sim_node_of(world, &file.hosts[at]);
    pg_slot_set slot = loot.held[gone->number];
    CHECK(__builtin_popcount(slot) == 1);
    sim_node_crash(gone);
    sim_node *first = stranger(world, 0);
    sim_node *second = stranger(world, 1);
    CHECK(push_try(world, first, slot | (slot == 1 ? 2 : 1)) ==
          PG_ERR_EXISTS); // with one that is not gone
    CHECK(stats_of(first).leases == 0);
    CHECK(push_try(world, first, slot) == PG_OK);
    CHECK(push_try(world, second, slot) == PG_ERR_EXISTS);
    CHECK(stats_of(first).leases == 1 && stats_of(second).leases == 0);
    sim_nodes_stop(world);
    return PG_OK;
}

// A small file lies in four copies; a fifth is not taken, and one is when a host is gone.
static pg_err copies_script(void *arg)
{
    sim_world *world = arg;
    sim_file file = {.content = 73, .size = 900};
    file_put(world, &file, false);
    CHECK(file.host_count == 4);
    CHECK(push_try(world, stranger(world, 0), 1) == PG_ERR_EXISTS);
    sim_node_crash(sim_node_of(world, &file.hosts[2]));
    CHECK(push_try(world, stranger(world, 1), 1) == PG_OK);
    CHECK(push_try(world, stranger(world, 1), 1) == PG_ERR_EXISTS);
    sim_nodes_stop(world);
    return PG_OK;
}

// The owner removes the file, and its hosts forget it. Its old grant is good for weeks yet; a host that never had the file asks the DHT, and
// finds the drop.
static pg_err replay_script(void *arg)
{
    sim_world *world = arg;
    sim_file file = {.content = 74, .size = 300000};
    file_put(world, &file, true);
    sim_node *to = stranger(world, 0);
    CHECK(push_try(world, to, 2) == PG_ERR_EXISTS); // found by what its hosts announced
    sim_run(&world->nodes[0], sim_remove, &file);
    pg_time deadline = pg_after(PG_MINUTES(10));
    while (hosts_count(world) > 0) {
        CHECK(pg_now() < deadline);
        CHECK_OK(pg_sleep_until(pg_after(PG_SECONDS(1))));
    }
    CHECK_OK(pg_sleep_until(pg_after(PG_MINUTES(11)))); // what was refused is forgotten
    CHECK(push_try(world, to, 2) == PG_ERR_CHANGED);
    CHECK(stats_of(to).claims_old_total == 1 && hosts_count(world) == 0);
    sim_nodes_stop(world);
    return PG_OK;
}

static void run(pg_fiber_fn script)
{
    sim_files_seeds(script, 1);
    loot_drop();
}

static void test_push__hosts_are_there__refused(void **state)
{
    (void) state;
    run(living_script);
}

static void test_push__host_is_gone__taken_once(void **state)
{
    (void) state;
    run(gone_script);
}

static void test_push__copies_are_there__refused(void **state)
{
    (void) state;
    run(copies_script);
}

static void test_push__owner_dropped_it__refused(void **state)
{
    (void) state;
    run(replay_script);
}

int main(int argc, char **argv)
{
    sim_arguments(argc, argv);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_push__hosts_are_there__refused),
        cmocka_unit_test(test_push__host_is_gone__taken_once),
        cmocka_unit_test(test_push__copies_are_there__refused),
        cmocka_unit_test(test_push__owner_dropped_it__refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
