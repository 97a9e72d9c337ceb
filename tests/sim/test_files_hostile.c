// SPDX-License-Identifier: Apache-2.0
// Goal: hosts that give other bytes than they were given, or threw away what they promised, cost a get some requests and never a wrong byte;
//       where too many of them lie it says so, and where few do, files also spread from them.
// Method: as test_files.c. The linker puts a function before the block store's reading that spoils what chosen nodes read and send. Forged
//       and replayed grants, receipts that lie and broken messages: test_place_hostile.c and test_place_rules.c.
#include "base/mem.h"
#include "files_world.h"

static sim_world *liars_of; // the world whose nodes of `liars` lie
static uint32_t liars;      // bit i: node i
static size_t lies;         // blocks they read spoilt
static uint64_t corrupt_total;

// NOLINTBEGIN(bugprone-reserved-identifier,readability-identifier-naming): the linker's names for --wrap
pg_err __real_pg_block_store_get(pg_block_store *store, const pg_cid *cid, pg_buf *out);
pg_err __wrap_pg_block_store_get(pg_block_store *store, const pg_cid *cid, pg_buf *out);

pg_err __wrap_pg_block_store_get(pg_block_store *store, const pg_cid *cid, pg_buf *out)
{
    pg_err err = __real_pg_block_store_get(store, cid, out);
    for (size_t i = 0; i < NODES && liars != 0 && err == PG_OK; i++) {
        const sim_node *node = &liars_of->nodes[i];
        if ((liars >> i & 1) != 0 && node->is_up && node->storage->blocks == store) {
            out->ptr[out->len - 1] ^= 1;
            lies++;
        }
    }
    return err;
}
// NOLINTEND(bugprone-reserved-identifier,readability-identifier-naming)

static void host_lies(sim_world *world, const pg_peer_id *host)
{
    liars_of = world;
    liars |= (uint32_t) 1 << sim_node_of(world, host)->number;
}

/** Have `count` hosts of a file lie from now on. */
static void hosts_lie(sim_world *world, const sim_file *file, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        host_lies(world, &file->hosts[i]);
    }
}

static void nodes_all_make(sim_world *world)
{
    liars = 0;
    sim_nodes_make(world, NODES);
    sim_nodes_meet(world);
}

// Two of ten hosts of a file, and all but one of those of a small one.
static pg_err lies_script(void *arg)
{
    sim_world *world = arg;
    sim_node *reader = &world->nodes[READER];
    sim_file file = {.content = 1, .size = 3000000};
    sim_file small = {.content = 2, .size = 5000};
    nodes_all_make(world);
    sim_run(&world->nodes[0], sim_put, &file);
    sim_run(&world->nodes[0], sim_put, &small);
    sim_node_crash(&world->nodes[0]);
    hosts_lie(world, &file, 2);
    sim_run(reader, sim_get, &file);
    CHECK(reader->report.shards_fetched == 8 && reader->report.shards_corrupt <= 2);
    corrupt_total += reader->report.shards_corrupt;
    liars = 0;
    hosts_lie(world, &small, small.host_count - 1);
    sim_run(reader, sim_get, &small);
    sim_nodes_stop(world);
    return PG_OK;
}

// More than the code replaces: it fails, and works when they give right bytes again.
static pg_err many_lie_script(void *arg)
{
    sim_world *world = arg;
    sim_node *reader = &world->nodes[READER];
    sim_file file = {.content = 1, .size = 3000000};
    sim_file small = {.content = 2, .size = 5000};
    nodes_all_make(world);
    sim_run(&world->nodes[0], sim_put, &file);
    sim_run(&world->nodes[0], sim_put, &small);
    sim_node_crash(&world->nodes[0]);
    hosts_lie(world, &file, 3);
    sim_task_begin(reader, sim_get, &file);
    CHECK(sim_task_end(reader, PG_MINUTES(5)) == PG_ERR_MISSING);
    CHECK(strstr(reader->task_text, "segment 0: 7 of 10 shards are left") != NULL);
    liars = 0;
    hosts_lie(world, &small, small.host_count);
    sim_task_begin(reader, sim_get, &small);
    CHECK(sim_task_end(reader, PG_MINUTES(5)) != PG_OK);
    liars = 0;
    CHECK_OK(pg_sleep_until(pg_after(PG_MINUTES(1)))); // who lied too often was cut off
    sim_run(reader, sim_get, &file);
    sim_run(reader, sim_get, &small);
    sim_nodes_stop(world);
    return PG_OK;
}

static size_t thrown_away; // blocks

static pg_err on_throw_away(const pg_cid *cid, uint32_t len, void *user)
{
    (void) len;
    thrown_away++;
    return pg_block_store_delete(user, cid);
}

static pg_err throw_away(sim_node *self)
{
    return pg_block_store_walk(self->storage->blocks, on_throw_away, self->storage->blocks);
}

// Two hosts promise and throw away.
static pg_err thrown_away_script(void *arg)
{
    sim_world *world = arg;
    sim_file file = {.content = 1, .size = 3000000};
    nodes_all_make(world);
    thrown_away = 0;
    sim_run(&world->nodes[0], sim_put, &file);
    sim_node_crash(&world->nodes[0]);
    for (size_t i = 0; i < 2; i++) {
        sim_run(sim_node_of(world, &file.hosts[i]), throw_away, NULL);
    }
    CHECK(thrown_away >= 2);
    sim_run(&world->nodes[READER], sim_get, &file);
    sim_nodes_stop(world);
    return PG_OK;
}

// A file on six hosts, of which one lies, spreads to others: its slots are computed from the rest.
static pg_err spread_script(void *arg)
{
    sim_world *world = arg;
    sim_file file = {.content = 1, .size = 3000000};
    liars = 0;
    lies = 0;
    sim_nodes_make(world, 7);
    sim_nodes_meet(world);
    sim_run(&world->nodes[0], sim_put, &file);
    CHECK(file.host_count == 6 && file.survives == 1);
    size_t liar = 0;
    while (file.slots[liar] < 2) { // of one that has two, one moves
        liar++;
    }
    host_lies(world, &file.hosts[liar]);
    for (size_t i = 7; i < NODES; i++) {
        sim_node_start(&world->nodes[i]);
    }
    sim_nodes_meet(world);
    pg_time deadline = pg_after(PG_MINUTES(10));
    while (file.state != PG_FILE_STATE_COMPLETE) {
        CHECK(pg_now() < deadline);
        CHECK_OK(pg_sleep_until(pg_after(PG_SECONDS(5))));
        sim_run(&world->nodes[0], sim_find, &file);
    }
    CHECK(lies > 0); // the liar was asked, and others instead
    sim_node_crash(&world->nodes[0]);
    sim_run(&world->nodes[READER], sim_get, &file);
    sim_nodes_stop(world);
    return PG_OK;
}

static void test_hostile__two_hosts_give_other_bytes__replaced(void **state)
{
    (void) state;
    corrupt_total = 0;
    sim_files_seeds(lies_script, 4);
    assert_true(corrupt_total > 0);
}

static void test_hostile__too_many_give_other_bytes__told(void **state)
{
    (void) state;
    sim_files_seeds(many_lie_script, 2);
}

static void test_hostile__two_hosts_threw_it_away__replaced(void **state)
{
    (void) state;
    sim_files_seeds(thrown_away_script, 2);
}

static void test_hostile__a_host_lies__its_slots_are_computed(void **state)
{
    (void) state;
    sim_files_seeds(spread_script, 2);
}

int main(int argc, char **argv)
{
    sim_arguments(argc, argv);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_hostile__two_hosts_give_other_bytes__replaced),
        cmocka_unit_test(test_hostile__too_many_give_other_bytes__told),
        cmocka_unit_test(test_hostile__two_hosts_threw_it_away__replaced),
        cmocka_unit_test(test_hostile__a_host_lies__its_slots_are_computed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
