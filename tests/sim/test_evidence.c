// SPDX-License-Identifier: Apache-2.0
// Goal: what one host finds out about a liar the others of the extent take over, each by its own check, once: book, log and repair. What is
//       forged, replayed, stale, about others, or simply not so is refused before or after the shard is read; nobody can tell without end.
// Method: 14 nodes as the program builds them. One that has nothing of the file tells a host of it what it likes; holders' keys sign what the
//       case needs.
#include <string.h>

#include "base/mem.h"
#include "exchange/place_neighbours.h"
#include "files/code.h"
#include "files/descriptor.h"
#include "files/evidence_serve.h"
#include "files/extents.h"
#include "files/guard.h"
#include "files/guard_log.h"
#include "files_audits.h"

#define HOSTS_OF_CODE 10

/** What is known of the one extent, and of who has what. */
static struct {
    pg_place_lease lease;
    pg_buf block;
    pg_descriptor read;
    pg_slot_set held[NODES];
    pg_buf shards[HOSTS_OF_CODE]; // by slot
} extent;

static void on_lease(const pg_place_lease *lease, void *user)
{
    sim_node *self = user;
    extent.lease = *lease;
    extent.held[self->number] = lease->slots;
}

static pg_err task_look(sim_node *self)
{
    CHECK_OK(pg_place_server_leases(self->storage->place, on_lease, self));
    if (extent.block.len == 0) {
        extent.block.max_len = PG_BITSWAP_BLOCK_BYTES_MAX;
        CHECK_OK(
            pg_block_store_get(self->storage->blocks, &extent.lease.descriptor, &extent.block));
        CHECK_OK(pg_descriptor_decode(pg_buf_bytes(&extent.block), &extent.read));
    }
    for (unsigned slot = 0; slot < HOSTS_OF_CODE; slot++) {
        unsigned shard = pg_code_shard_of_slot(extent.read.code, 0, slot);
        pg_cid cid = pg_block_cid_of_digest(pg_descriptor_digest(&extent.read, 0, shard));
        if ((extent.held[self->number] >> slot & 1) != 0) {
            extent.shards[slot].max_len = PG_SHARD_BYTES_MAX;
            CHECK_OK(pg_block_store_get(self->storage->blocks, &cid, &extent.shards[slot]));
        }
    }
    return PG_OK;
}

static void extent_end(void)
{
    pg_descriptor_deinit(&extent.read);
    pg_buf_deinit(&extent.block);
    for (size_t i = 0; i < HOSTS_OF_CODE; i++) {
        pg_buf_deinit(&extent.shards[i]);
    }
    memset(&extent, 0, sizeof(extent));
}

/** What is told next, and what the host said. */
static struct {
    const sim_node *holder; // who is accused
    const pg_identity *signer;
    const sim_node *to;
    unsigned slot;
    bool is_true;    // what the holder answered
    bool is_other;   // about an extent that nobody keeps
    bool is_mangled; // the shard
    int64_t age_s;   // of the statement
    pg_evidence_status said;
} case_at;

/** Have a holder sign an answer, right or wrong, to a challenge of ours. */
static void statement_make(sim_node *self, pg_buf *out)
{
    pg_audit_statement *statement = PG_NEW(pg_audit_statement);
    CHECK(statement != NULL);
    pg_audit_challenge challenge = {.auditor = pg_peer_id_bytes(&self->id)};
    statement->auditor = self->id;
    statement->descriptor =
        case_at.is_other ? pg_block_cid(PG_BYTES_LIT("another")) : extent.lease.descriptor;
    statement->time_s = (uint64_t) (pg_wall_ms() / 1000 - case_at.age_s);
    statement->answer.shard = pg_code_shard_of_slot(extent.read.code, 0, case_at.slot);
    memcpy(challenge.extent_id, extent.read.extent_id, sizeof(challenge.extent_id));
    pg_audit_compute(&challenge, pg_buf_bytes(&extent.shards[case_at.slot]), statement->answer.sum);
    statement->answer.sum[0] ^= case_at.is_true ? 0 : 1;
    CHECK_OK(pg_audit_statement_encode(case_at.signer, statement, out));
    pg_mfree(statement);
}

static pg_err task_tell(sim_node *self)
{
    pg_buf statement = {0};
    pg_buf shard = {0};
    statement_make(self, &statement);
    CHECK_OK(pg_buf_append(&shard, pg_buf_bytes(&extent.shards[case_at.slot])));
    shard.ptr[7] ^= case_at.is_mangled ? 1 : 0;
    pg_err err = pg_evidence_tell(self->host, &case_at.to->id, pg_buf_bytes(&statement),
                                  pg_buf_bytes(&shard), &case_at.said);
    pg_buf_deinit(&statement);
    pg_buf_deinit(&shard);
    return err;
}

static pg_evidence_status tell(sim_world *world)
{
    if (case_at.signer == NULL) {
        case_at.signer = case_at.holder->device;
    }
    sim_run(&world->nodes[READER], task_tell, world->nodes[READER].file);
    return case_at.said;
}

static void case_begin(const sim_node *holder, const sim_node *to)
{
    memset(&case_at, 0, sizeof(case_at));
    case_at.holder = holder;
    case_at.to = to;
    case_at.slot = (unsigned) __builtin_ctz(extent.held[holder->number]);
}

static uint32_t failed_audits(const sim_node *of, const sim_node *about)
{
    pg_health_report report;
    return pg_health_get(of->storage->health, &about->id, &report)
               ? report.counts[PG_HEALTH_AUDIT_FAILED]
               : 0;
}

static void file_put(sim_world *world, sim_file *file)
{
    sim_nodes_make(world, NODES);
    sim_nodes_meet(world);
    sim_run(&world->nodes[0], sim_put, file);
    CHECK(file->host_count == HOSTS_OF_CODE);
    for (size_t i = 0; i < file->host_count; i++) {
        sim_run(sim_node_of(world, &file->hosts[i]), task_look, file);
    }
}

// Everything that is not so.
static pg_err refused_script(void *arg)
{
    sim_world *world = arg;
    sim_file file = {.content = 81, .size = 300000};
    file_put(world, &file);
    const sim_node *holder = sim_node_of(world, &file.hosts[0]);
    const sim_node *to = sim_node_of(world, &file.hosts[1]);
    case_begin(holder, to);
    case_at.is_true = true; // the holder answered as it should
    CHECK(tell(world) == PG_EVIDENCE_STATUS_UNFOUNDED);
    case_begin(holder, to);
    case_at.is_mangled = true; // it is not the shard
    CHECK(tell(world) == PG_EVIDENCE_STATUS_UNFOUNDED);
    case_begin(holder, to);
    case_at.signer = world->nodes[READER].device; // nobody of the extent said so
    CHECK(tell(world) == PG_EVIDENCE_STATUS_NOT_OURS);
    case_begin(holder, to);
    case_at.slot = (unsigned) __builtin_ctz(extent.held[to->number]); // a slot of another
    CHECK(tell(world) == PG_EVIDENCE_STATUS_NOT_OURS);
    case_begin(holder, to);
    case_at.is_other = true;
    CHECK(tell(world) == PG_EVIDENCE_STATUS_NOT_OURS);
    case_begin(holder, to);
    case_at.age_s = PG_EVIDENCE_AGE_S + 60;
    CHECK(tell(world) == PG_EVIDENCE_STATUS_STALE);
    case_begin(holder, to);
    case_at.age_s = -(int64_t) PG_AUDIT_SKEW_S - 60;
    CHECK(tell(world) == PG_EVIDENCE_STATUS_STALE);
    CHECK(failed_audits(to, holder) == 0);
    CHECK(pg_guard_get_stats(to->storage->guard).evidence.refused_total == 7);
    // No end of it.
    case_begin(holder, to);
    case_at.is_other = true;
    unsigned told = 7;
    while (tell(world) != PG_EVIDENCE_STATUS_BUSY) {
        told++;
        CHECK(told <= PG_EVIDENCE_PEER_HOUR_MAX);
    }
    CHECK(told == PG_EVIDENCE_PEER_HOUR_MAX);
    sim_nodes_stop(world);
    return PG_OK;
}

static pg_err task_audit(sim_node *self)
{
    return pg_guard_audit(self->storage->guard, &extent.lease.descriptor);
}

// What is so: taken once, forgotten when the holder proves it has the slot, and then the old record is of no use.
static pg_err taken_script(void *arg)
{
    sim_world *world = arg;
    sim_file file = {.content = 82, .size = 300000};
    file_put(world, &file);
    const sim_node *holder = sim_node_of(world, &file.hosts[2]);
    sim_node *to = sim_node_of(world, &file.hosts[3]);
    case_begin(holder, to);
    case_at.age_s = 1800;
    CHECK(tell(world) == PG_EVIDENCE_STATUS_TAKEN);
    CHECK(failed_audits(to, holder) == 1);
    CHECK(tell(world) == PG_EVIDENCE_STATUS_KNOWN);
    CHECK(failed_audits(to, holder) == 1);
    CHECK(pg_guard_get_stats(to->storage->guard).queued == 1); // its slot counts as lost
    sim_run(to, task_audit, &file);                            // the holder has it after all
    CHECK(tell(world) == PG_EVIDENCE_STATUS_STALE);
    CHECK(failed_audits(to, holder) == 1);
    sim_nodes_stop(world);
    return PG_OK;
}

static pg_err on_bad_audit(pg_net_stream_ctx *ctx)
{
    pg_audit_request request;
    PG_TRY(sim_audit_read(ctx->stream, &request));
    pg_audit_answer *answer = PG_NEW(pg_audit_answer);
    CHECK(answer != NULL);
    pg_err err = sim_audit_state(case_at.holder, ctx, &request, answer);
    pg_mfree(answer);
    return err;
}

static pg_err task_turn_bad(sim_node *self)
{
    return sim_audits_answer(self, on_bad_audit);
}

static unsigned lies_found;

static pg_err on_fault(const pg_guard_fault *fault, void *user)
{
    (void) user;
    CHECK(pg_peer_id_equal(&fault->peer, &case_at.holder->id) && fault->statement.len > 0);
    lies_found++;
    return PG_OK;
}

static pg_err task_faults(sim_node *self)
{
    return pg_guard_log_faults(self->storage->db, on_fault, NULL);
}

// One audit of one host, and all nine know, with the evidence in their logs and books; the one that leads repairs.
static pg_err spread_script(void *arg)
{
    sim_world *world = arg;
    sim_file file = {.content = 83, .size = 300000};
    file_put(world, &file);
    sim_node_crash(&world->nodes[0]);
    sim_node *liar = sim_node_of(world, &file.hosts[4]);
    sim_node *auditor = sim_node_of(world, &file.hosts[5]);
    case_begin(liar, auditor);
    sim_run(liar, task_turn_bad, &file);
    sim_run(auditor, task_audit, &file);
    lies_found = 0;
    uint64_t repairs = 0;
    for (size_t i = 0; i < file.host_count; i++) {
        sim_node *host = sim_node_of(world, &file.hosts[i]);
        if (host != liar) {
            sim_run(host, task_faults, &file);
            CHECK(failed_audits(host, liar) == 1);
        }
    }
    CHECK(lies_found == HOSTS_OF_CODE - 1);
    CHECK(pg_guard_get_stats(auditor->storage->guard).evidence_told_total == HOSTS_OF_CODE - 2);
    pg_time deadline = pg_after(PG_HOURS(24));
    while (repairs == 0) {
        CHECK(pg_now() < deadline);
        CHECK_OK(pg_sleep_until(pg_after(PG_SECONDS(10))));
        for (size_t i = 1; i < READER; i++) {
            repairs += pg_guard_get_stats(world->nodes[i].storage->guard).repairs_total;
        }
    }
    CHECK(repairs == 1);
    sim_nodes_stop(world);
    return PG_OK;
}

static void run(pg_fiber_fn script)
{
    sim_files_seeds(script, 1);
    extent_end();
}

static void test_evidence__not_so__refused(void **state)
{
    (void) state;
    run(refused_script);
}

static void test_evidence__so__taken_once(void **state)
{
    (void) state;
    run(taken_script);
}

static void test_evidence__one_audit__all_hosts_know(void **state)
{
    (void) state;
    run(spread_script);
}

int main(int argc, char **argv)
{
    sim_arguments(argc, argv);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_evidence__not_so__refused),
        cmocka_unit_test(test_evidence__so__taken_once),
        cmocka_unit_test(test_evidence__one_audit__all_hosts_know),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
