// SPDX-License-Identifier: Apache-2.0
// Goal: what hosts ask each other while nothing is wrong costs little; who breaks off what he was asked for stands in the book of who asked.
// Method: 14 nodes as the program builds them, patience of minutes; verified receipts are counted where they are decoded. Hostile hosts serve
//         protocols by handlers of their own.
#include <string.h>

#include "exchange/lease.h"
#include "exchange/place_client.h"
#include "exchange/place_msg.h"
#include "files/audit_serve.h"
#include "files/guard.h"
#include "files_audits.h"
#include "net/framed.h"
#include "runtime/random.h"

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
    pg_audit_request request;
    PG_TRY(sim_audit_read(ctx->stream, &request));
    audits_broken++;
    return pg_fail(PG_ERR_REFUSED, "no answer");
}

static pg_err task_break_audits(sim_node *self)
{
    return sim_audits_answer(self, on_audit_break);
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

// ---- Who is flooded with challenges

static struct {
    pg_cid descriptor;
    const sim_node *target;
    unsigned shard;   // that it holds, once it is known
    unsigned answers; // to the last who asked
} flood;

static void on_flood_lease(const pg_place_lease *lease, void *user)
{
    (void) user;
    flood.descriptor = lease->descriptor;
}

static pg_err task_flood_look(sim_node *self)
{
    return pg_place_server_leases(self->storage->place, on_flood_lease, NULL);
}

/** Ask for one sum. Errors: PG_ERR_REFUSED (it is busy). */
static pg_err sum_ask(pg_stream *stream)
{
    pg_buf bytes PG_CLEANUP(pg_buf_deinit) = {0};
    pg_audit_request request = {.descriptor = flood.descriptor};
    pg_audit_reply reply;
    pg_random_bytes(PG_MUT_BYTES_OF(request.nonce));
    for (; flood.shard < HOSTS_OF_CODE; flood.shard++) { // found by asking for each
        request.shard = flood.shard;
        PG_TRY(sim_audit_ask(stream, &request, &bytes, &reply));
        if (reply.status != PG_AUDIT_STATUS_NOT_HELD) {
            return reply.status == PG_AUDIT_STATUS_OK ? PG_OK : PG_ERR_REFUSED;
        }
    }
    return PG_ERR_NOT_FOUND;
}

/** Ask until it is busy, or often. */
static pg_err task_flood(sim_node *self)
{
    pg_stream *stream = NULL;
    pg_err err = PG_OK;
    flood.answers = 0;
    PG_TRY(sim_audit_open(self, &flood.target->id, &stream));
    for (unsigned i = 0; i < 1000 && err == PG_OK; i++) {
        err = sum_ask(stream);
        flood.answers += err == PG_OK ? 1 : 0;
    }
    pg_stream_free(&stream);
    return err == PG_ERR_REFUSED ? PG_OK : err;
}

// Strangers ask as much as a holder answers in a minute. One who proved a shard to it gets an answer all the same, and not many.
static pg_err flood_script(void *arg)
{
    sim_world *world = arg;
    sim_file file = {.content = 86, .size = 8000000};
    world_make(world, 600);
    sim_run(&world->nodes[0], sim_put, &file);
    CHECK(file.host_count == HOSTS_OF_CODE);
    memset(&flood, 0, sizeof(flood));
    flood.target = sim_node_of(world, &file.hosts[2]);
    sim_run(sim_node_of(world, &file.hosts[2]), task_flood_look, &file);
    CHECK_OK(pg_sleep_until(pg_after(PG_MINUTES(40)))); // they audit each other meanwhile
    for (size_t i = 1; i <= READER;
         i++) { // three, and each may ask for a third of what strangers may
        if (!is_host_of(&file, &world->nodes[i].id)) {
            sim_run(&world->nodes[i], task_flood, &file);
            CHECK(flood.answers > 50);
        }
    }
    sim_run(sim_node_of(world, &file.hosts[5]), task_flood, &file);
    CHECK(flood.answers > 0 && flood.answers < 20);
    sim_run(&world->nodes[0], task_flood, &file); // it has a lease there
    CHECK(flood.answers > 0 && flood.answers < 20);
    sim_nodes_stop(world);
    return PG_OK;
}

// ---- Who is busy

#define BUSY_NODES 7 // that are up: owner, four hosts, two that have nothing

/** The holder that is too busy for audits. */
static struct {
    sim_node *node;
    pg_slot_set slots;
    unsigned asked;
} busy;

static pg_audit_server *free_again; // of that holder, once it has time

static pg_err on_audit_busy(pg_net_stream_ctx *ctx)
{
    for (;;) {
        pg_audit_request request;
        const pg_audit_reply reply = {.status = PG_AUDIT_STATUS_BUSY};
        PG_TRY(sim_audit_read(ctx->stream, &request));
        busy.asked++;
        PG_TRY(sim_audit_reply(ctx->stream, &reply));
    }
}

/** Slots of the file that others than the busy one hold. */
static pg_slot_set elsewhere;

static void on_file_lease(const pg_place_lease *lease, void *user)
{
    const sim_node *self = user;
    if (lease->root.len > 0 && pg_cid_equal(&lease->root, &self->file->link.root)) {
        *(self == busy.node ? &busy.slots : &elsewhere) |= lease->slots;
    }
}

static pg_err task_slots(sim_node *self)
{
    return pg_place_server_leases(self->storage->place, on_file_lease, self);
}

static pg_err task_be_busy(sim_node *self)
{
    return sim_audits_answer(self, on_audit_busy);
}

static uint64_t repaired_sum(const sim_world *world)
{
    uint64_t slots = 0;
    for (size_t i = 0; i < NODES; i++) {
        slots += world->nodes[i].is_up
                     ? pg_guard_get_stats(world->nodes[i].storage->guard).repaired_slots_total
                     : 0;
    }
    return slots;
}

static bool is_replaced(sim_world *world, sim_file *file)
{
    elsewhere = 0;
    for (size_t i = 1; i < BUSY_NODES; i++) {
        sim_node *node = &world->nodes[i];
        if (node->is_up && node != busy.node) {
            sim_run(node, task_slots, file);
        }
    }
    return (busy.slots & ~elsewhere) == 0;
}

/** Put a file on four of six hosts, with patience as it is by default and four audits a day, and have one of the four busy from now on. */
static void busy_begin(sim_world *world, sim_file *file)
{
    const sim_world like = {.audit_s = 6 * 3600, .is_long = true};
    sim_nodes_make_of(world, BUSY_NODES, &like);
    sim_nodes_meet(world);
    file->code = (pg_code){2, 2};
    sim_run(&world->nodes[0], sim_put, file);
    CHECK(file->host_count == 4);
    memset(&busy, 0, sizeof(busy));
    busy.node = sim_node_of(world, &file->hosts[pg_sim_random_below(file->host_count)]);
    sim_run(busy.node, task_slots, file);
    sim_run(busy.node, task_be_busy, file);
    CHECK(busy.slots != 0);
}

// A holder says that it is there and holds what it promised, and is too busy to prove it for as long as anybody asks. For three days nobody minds;
// then it counts as one who does not have it, though nobody says that it lied, and another takes its slot.
static pg_err busy_run(sim_world *world, bool with_owner)
{
    sim_file file = {.content = 84, .size = 300000};
    busy_begin(world, &file);
    if (!with_owner) {
        sim_node_crash(&world->nodes[0]);
    }
    CHECK_OK(pg_sleep_until(pg_after(PG_HOURS(71))));
    CHECK(repaired_sum(world) == 0 && busy.asked > 20);
    CHECK(observations_of(world, &busy.node->id, PG_HEALTH_REFUSED) == 0);
    CHECK_OK(pg_sleep_until(pg_after(PG_HOURS(72))));
    CHECK(is_replaced(world, &file));
    CHECK(repaired_sum(world) <= 3);
    CHECK(observations_of(world, &busy.node->id, PG_HEALTH_AUDIT_FAILED) == 0);
    CHECK(observations_of(world, &busy.node->id, PG_HEALTH_REFUSED) > 0);
    sim_node_crash(busy.node);
    sim_node_start(&world->nodes[READER]);
    sim_nodes_meet(world);
    sim_run(&world->nodes[READER], sim_get, &file);
    sim_nodes_stop(world);
    return PG_OK;
}

static pg_err busy_script(void *arg)
{
    return busy_run(arg, false);
}

static pg_err busy_owner_script(void *arg)
{
    return busy_run(arg, true);
}

static pg_err task_be_free(sim_node *self)
{
    const pg_audit_server_config config = {
        .host = self->host,
        .blocks = self->storage->blocks,
        .place = self->storage->place,
        .device = self->device,
    };
    pg_host_unserve(self->host, PG_AUDIT_ID);
    return pg_audit_server_new(&config, &free_again);
}

static pg_err task_end_free(sim_node *self)
{
    (void) self;
    pg_audit_server_free(&free_again);
    return PG_OK;
}

// A holder under load is busy for two days and a half, however often it is asked; then it answers, and nothing ever came of it.
static pg_err busy_while_script(void *arg)
{
    sim_world *world = arg;
    sim_file file = {.content = 85, .size = 300000};
    busy_begin(world, &file);
    sim_node_crash(&world->nodes[0]);
    CHECK_OK(pg_sleep_until(pg_after(PG_HOURS(60))));
    CHECK(busy.asked > 20);
    sim_run(busy.node, task_be_free, &file);
    CHECK_OK(pg_sleep_until(pg_after(PG_HOURS(48))));
    CHECK(repaired_sum(world) == 0 && !is_replaced(world, &file));
    CHECK(observations_of(world, &busy.node->id, PG_HEALTH_REFUSED) == 0);
    CHECK(observations_of(world, &busy.node->id, PG_HEALTH_AUDIT_HELD) > 0);
    sim_run(busy.node, task_end_free, &file);
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

static void test_audit__strangers_flood__known_ones_are_answered(void **state)
{
    (void) state;
    sim_files_seeds(flood_script, 1);
}

static void test_audit__holder_is_always_busy__replaced_after_days(void **state)
{
    (void) state;
    if (sim_files_is_too_long()) {
        skip(); // six days
    }
    sim_files_seeds(busy_script, 1);
}

static void test_audit__holder_is_always_busy_and_owner_there__replaced_once(void **state)
{
    (void) state;
    if (!sim_files_is_long()) {
        skip(); // six days; the other of them runs always
    }
    sim_files_seeds(busy_owner_script, 1);
}

static void test_audit__holder_is_busy_for_a_while__left_alone(void **state)
{
    (void) state;
    if (!sim_files_is_long()) {
        skip(); // six days; the other of them runs always
    }
    sim_files_seeds(busy_while_script, 1);
}

int main(int argc, char **argv)
{
    sim_arguments(argc, argv);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round__all_are_there__verifies_no_receipt),
        cmocka_unit_test(test_audit__host_hangs_up__stands_in_the_book),
        cmocka_unit_test(test_repair__host_breaks_off_a_push__stands_in_the_book),
        cmocka_unit_test(test_audit__strangers_flood__known_ones_are_answered),
        cmocka_unit_test(test_audit__holder_is_always_busy__replaced_after_days),
        cmocka_unit_test(test_audit__holder_is_always_busy_and_owner_there__replaced_once),
        cmocka_unit_test(test_audit__holder_is_busy_for_a_while__left_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
