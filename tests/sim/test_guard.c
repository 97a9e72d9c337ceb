// SPDX-License-Identifier: Apache-2.0
// Goal: what hosts ask each other while nothing is wrong costs little; who breaks off what he was asked for stands in the book of who asked.
// Method: 14 nodes as the program builds them, patience of minutes; verified receipts are counted where they are decoded. Hostile hosts serve
//         protocols by handlers of their own.
#include "exchange/lease.h"
#include "exchange/place_client.h"
#include "exchange/place_msg.h"
#include "files/audit_msg.h"
#include "files/audit_serve.h"
#include "files/guard.h"
#include "files_world.h"
#include "net/framed.h"

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

static void world_make(sim_world *world, uint64_t audit_s)
{
    const sim_world like = {.patience_s = PATIENCE_S, .audit_s = audit_s};
    sim_nodes_make_of(world, NODES, &like);
    sim_nodes_meet(world);
}

/** Count what stands in the books of all nodes of one of them. */
static uint32_t observations_of(const sim_world *world, const pg_peer_id *peer, pg_health_kind kind)
{
    uint32_t sum = 0;
    for (size_t i = 0; i < NODES; i++) {
        pg_health_report report;
        if (world->nodes[i].is_up &&
            pg_health_get(world->nodes[i].storage->health, peer, &report)) {
            sum += report.counts[kind];
        }
    }
    return sum;
}

static bool is_host_of(const sim_file *file, const pg_peer_id *peer)
{
    for (size_t i = 0; i < file->host_count; i++) {
        if (pg_peer_id_equal(&file->hosts[i], peer)) {
            return true;
        }
    }
    return false;
}

// ---- Rounds

// Ten hosts of one file ask each other once a round, and each has the receipts of the nine others: who is there is known by the answer, not by
// signatures.
static pg_err rounds_script(void *arg)
{
    sim_world *world = arg;
    sim_file file = {.content = 81, .size = 900000};
    world_make(world, 0);
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

// ---- Who breaks off

static unsigned audits_broken;

static pg_err on_audit_break(pg_net_stream_ctx *ctx)
{
    pg_buf bytes PG_CLEANUP(pg_buf_deinit) = {0};
    PG_TRY(
        pg_framed_read(ctx->stream, PG_AUDIT_MESSAGE_BYTES_MAX, pg_after(PG_SECONDS(60)), &bytes));
    audits_broken++;
    return pg_fail(PG_ERR_REFUSED, "no answer");
}

static pg_err task_break_audits(sim_node *self)
{
    const pg_net_protocol protocol = {PG_AUDIT_ID, on_audit_break, NULL, 4};
    pg_host_unserve(self->host, PG_AUDIT_ID);
    return pg_host_serve(self->host, &protocol);
}

// A holder says that it is there, and hangs up when it is to prove what it has.
static pg_err audit_script(void *arg)
{
    sim_world *world = arg;
    sim_file file = {.content = 82, .size = 900000};
    world_make(world, 300);
    sim_run(&world->nodes[0], sim_put, &file);
    CHECK(file.host_count == HOSTS_OF_CODE);
    const pg_peer_id *villain = &file.hosts[4];
    audits_broken = 0;
    sim_run(sim_node_of(world, villain), task_break_audits, &file);
    CHECK_OK(pg_sleep_until(pg_after(PG_MINUTES(30))));
    CHECK(audits_broken > 10);
    CHECK(observations_of(world, villain, PG_HEALTH_REFUSED) >= audits_broken / 2);
    CHECK(observations_of(world, villain, PG_HEALTH_AUDIT_FAILED) == 0); // it proves nothing
    for (size_t i = 0; i < file.host_count; i++) {
        const pg_peer_id *peer = &file.hosts[i];
        CHECK(peer == villain || observations_of(world, peer, PG_HEALTH_REFUSED) == 0);
    }
    sim_nodes_stop(world);
    return PG_OK;
}

static unsigned pushes_broken;

static pg_err on_push_break(pg_net_stream_ctx *ctx)
{
    pg_err err = PG_OK;
    while (err == PG_OK) {
        pg_buf head PG_CLEANUP(pg_buf_deinit) = {0};
        pg_buf out PG_CLEANUP(pg_buf_deinit) = {0};
        pg_arena arena PG_CLEANUP(pg_arena_deinit) = pg_arena_make(PG_PLACE_ARENA_BYTES);
        pg_place_request request;
        PG_TRY(pg_framed_read(ctx->stream, PG_PLACE_HEAD_BYTES_MAX, PG_FOREVER, &head));
        CHECK_OK(pg_place_request_decode(pg_buf_bytes(&head), &arena, &request));
        if (request.kind == PG_PLACE_KIND_PUSH) {
            pushes_broken++;
            return pg_fail(PG_ERR_REFUSED, "enough");
        }
        CHECK_OK(pg_place_response_encode(&(pg_place_response){.id = request.id}, &out));
        err = pg_stream_write(ctx->stream, pg_buf_bytes(&out), pg_after(PG_SECONDS(15)));
    }
    return err;
}

static pg_err task_break_pushes(sim_node *self)
{
    const pg_net_protocol protocol = {PG_PLACE_ID, on_push_break, NULL, 0};
    pg_host_unserve(self->host, PG_PLACE_ID);
    return pg_host_serve(self->host, &protocol);
}

// A host is lost. All who have nothing of the file take a session and hang up in the middle of the first shard: nobody else took anything, but others
// are there, so it is not the one who repairs that is cut off.
static pg_err push_script(void *arg)
{
    sim_world *world = arg;
    sim_file file = {.content = 83, .size = 900000};
    world_make(world, 0);
    sim_run(&world->nodes[0], sim_put, &file);
    CHECK(file.host_count == HOSTS_OF_CODE);
    sim_node_crash(&world->nodes[0]);
    pushes_broken = 0;
    for (size_t i = 1; i < READER; i++) {
        if (!is_host_of(&file, &world->nodes[i].id)) {
            sim_run(&world->nodes[i], task_break_pushes, &file);
        }
    }
    sim_hosts_crash(world, &file, 1);
    CHECK_OK(pg_sleep_until(pg_after(PG_SECONDS(3 * PATIENCE_S))));
    CHECK(pushes_broken > 0);
    uint32_t refused = 0;
    for (size_t i = 1; i < READER; i++) {
        const pg_peer_id *peer = &world->nodes[i].id;
        uint32_t seen = observations_of(world, peer, PG_HEALTH_REFUSED);
        CHECK(seen == 0 || !is_host_of(&file, peer));
        refused += seen;
    }
    CHECK(refused > 0);
    sim_nodes_stop(world);
    return PG_OK;
}

// ---- The tests

static void test_round__all_are_there__verifies_no_receipt(void **state)
{
    (void) state;
    sim_files_seeds(rounds_script, 1);
}

static void test_audit__host_hangs_up__stands_in_the_book(void **state)
{
    (void) state;
    sim_files_seeds(audit_script, 1);
}

static void test_repair__host_breaks_off_a_push__stands_in_the_book(void **state)
{
    (void) state;
    sim_files_seeds(push_script, 1);
}

int main(int argc, char **argv)
{
    sim_arguments(argc, argv);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round__all_are_there__verifies_no_receipt),
        cmocka_unit_test(test_audit__host_hangs_up__stands_in_the_book),
        cmocka_unit_test(test_repair__host_breaks_off_a_push__stands_in_the_book),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
