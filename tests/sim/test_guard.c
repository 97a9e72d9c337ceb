// SPDX-License-Identifier: Apache-2.0
// Goal: what hosts ask each other while nothing is wrong costs little.
// Method: 14 nodes as the program builds them, patience of minutes; verified receipts are counted where they are decoded.
#include "exchange/lease.h"
#include "files/guard.h"
#include "files_world.h"

#define PATIENCE_S 240
#define ROUND_S (PATIENCE_S / 24)
#define HOSTS_OF_CODE 10

// ---- What is counted

static uint64_t receipts_verified;

// NOLINTBEGIN(bugprone-reserved-identifier,readability-identifier-naming): the linker's names for --wrap
pg_err __real_pg_lease_receipt_decode(pg_bytes in, pg_lease_receipt *out_receipt);
pg_err __wrap_pg_lease_receipt_decode(pg_bytes in, pg_lease_receipt *out_receipt);

pg_err __wrap_pg_lease_receipt_decode(pg_bytes in, pg_lease_receipt *out_receipt)
{
    receipts_verified++;
    return __real_pg_lease_receipt_decode(in, out_receipt);
}
// NOLINTEND(bugprone-reserved-identifier,readability-identifier-naming)

static uint64_t rounds_sum(const sim_world *world)
{
    uint64_t rounds = 0;
    for (size_t i = 0; i < NODES; i++) {
        rounds += pg_guard_get_stats(world->nodes[i].storage->guard).rounds_total;
    }
    return rounds;
}

// ---- Rounds

// Ten hosts of one file ask each other once a round, and each has the receipts of the nine others: who is there is known by the answer, not by
// signatures.
static pg_err rounds_script(void *arg)
{
    static const sim_world like = {.patience_s = PATIENCE_S};
    sim_world *world = arg;
    sim_file file = {.content = 81, .size = 900000};
    sim_nodes_make_of(world, NODES, &like);
    sim_nodes_meet(world);
    sim_run(&world->nodes[0], sim_put, &file);
    CHECK(file.host_count == HOSTS_OF_CODE);
    CHECK_OK(pg_sleep_until(pg_after(PG_MINUTES(5)))); // the list of files was put, too
    uint64_t before = rounds_sum(world);
    receipts_verified = 0;
    CHECK_OK(pg_sleep_until(pg_after(PG_SECONDS(30 * ROUND_S))));
    CHECK(rounds_sum(world) - before >= HOSTS_OF_CODE * UINT64_C(25));
    CHECK(receipts_verified == 0);
    sim_nodes_stop(world);
    return PG_OK;
}

// ---- The tests

static void test_round__all_are_there__verifies_no_receipt(void **state)
{
    (void) state;
    sim_files_seeds(rounds_script, 1);
}

int main(int argc, char **argv)
{
    sim_arguments(argc, argv);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round__all_are_there__verifies_no_receipt),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
