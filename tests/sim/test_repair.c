// SPDX-License-Identifier: Apache-2.0
// Goal: a file outlives its owner and, one after the other, more of its hosts than its code has parity, because those who are left put what is
//       lost in new places; many who notice make no storm; a network cut in two makes few copies too many, and those go; who lies in an audit, or
//       borrows the answer, is found out and replaced; nobody can make a holder read without end; who leaves hands over first.
// Method: 14 nodes as the program builds them, patience of minutes. Hostile hosts answer audits by handlers of their own.
#include <string.h>

#include "base/mem.h"
#include "codec/rs.h"
#include "exchange/place_neighbours.h"
#include "files/audit_serve.h"
#include "files/extents.h"
#include "files/guard.h"
#include "files/guard_log.h"
#include "files/guard_priv.h"
#include "files_audits.h"
#include "runtime/random.h"

#define PATIENCE_S 240
#define LONG_PATIENCE_S 2400
#define HOSTS_OF_CODE 10
#define MANY_FILES 10
#define FEW_HOSTS 12 // all but the owner and the reader

static void world_make_patient(sim_world *world, uint64_t patience_s, uint64_t audit_s)
{
    static sim_world like;
    like.patience_s = patience_s;
    like.audit_s = audit_s;
    sim_nodes_make_of(world, NODES, &like);
    sim_nodes_meet(world);
}

static void world_make(sim_world *world, uint64_t audit_s)
{
    world_make_patient(world, PATIENCE_S, audit_s);
}

// ---- Who holds what

/** What a look at the ledgers of all nodes gave. */
typedef struct census {
    pg_slot_set slots; // that somebody has
    unsigned copies;   // of all slots together
    unsigned holders;
    unsigned most;     // slots of one holder
    pg_cid descriptor; // of the last lease seen
} census;

static census found;

static void on_lease(const pg_place_lease *lease, void *user)
{
    (void) user;
    found.slots |= lease->slots;
    unsigned slots = (unsigned) __builtin_popcount(lease->slots);
    found.copies += slots;
    found.most = slots > found.most ? slots : found.most;
    found.holders++;
    found.descriptor = lease->descriptor;
}

static pg_err task_census(sim_node *self)
{
    return pg_place_server_leases(self->storage->place, on_lease, NULL);
}

/** Look at the ledgers of those who are up; there is one file. */
static census census_take(sim_world *world)
{
    found = (census){.slots = 0};
    for (size_t i = 0; i < NODES; i++) {
        if (world->nodes[i].is_up) {
            sim_run(&world->nodes[i], task_census, world->nodes[i].file);
        }
    }
    return found;
}

static void redundancy_await(sim_world *world, unsigned slots, unsigned copies)
{
    pg_time deadline = pg_after(PG_HOURS(3));
    for (;;) {
        census now = census_take(world);
        if ((unsigned) __builtin_popcount(now.slots) >= slots && now.copies >= copies) {
            return;
        }
        CHECK(pg_now() < deadline);
        CHECK_OK(pg_sleep_until(pg_after(PG_SECONDS(10))));
    }
}

static pg_guard_stats stats_sum(const sim_world *world)
{
    pg_guard_stats sum = {.repairs_total = 0};
    for (size_t i = 0; i < NODES; i++) {
        if (world->nodes[i].is_up) {
            pg_guard_stats one = pg_guard_get_stats(world->nodes[i].storage->guard);
            sum.repairs_total += one.repairs_total;
            sum.repairs_failed_total += one.repairs_failed_total;
            sum.repaired_slots_total += one.repaired_slots_total;
            sum.repaired_bytes_total += one.repaired_bytes_total;
            sum.audits_total += one.audits_total;
            sum.audits_fault_total += one.audits_fault_total;
            sum.audits_proven_total += one.audits_proven_total;
        }
    }
    return sum;
}

/** Crash some holders that are up, without the reader. */
static void holders_crash(sim_world *world, size_t count)
{
    size_t first = (size_t) pg_sim_random_below(NODES);
    for (size_t i = 0; i < NODES && count > 0; i++) {
        sim_node *node = &world->nodes[(first + i) % NODES];
        if (!node->is_up || node->number == READER) {
            continue;
        }
        found = (census){.slots = 0};
        sim_run(node, task_census, node->file);
        if (found.holders > 0) {
            sim_node_crash(node);
            count--;
        }
    }
    CHECK(count == 0);
}

// ---- The owner is gone

// The owner and two hosts go for good; then two more, and then one that was filled by repair: five of ten, with a parity of two.
static pg_err outlives_script(void *arg)
{
    sim_world *world = arg;
    sim_file file = {.content = 41, .size = 900000};
    world_make(world, 0);
    sim_run(&world->nodes[0], sim_put, &file);
    CHECK(file.host_count == HOSTS_OF_CODE);
    sim_node_crash(&world->nodes[0]);
    holders_crash(world, 2);
    redundancy_await(world, HOSTS_OF_CODE, HOSTS_OF_CODE);
    pg_guard_stats sum = stats_sum(world);
    CHECK(sum.repaired_slots_total >= 2 && sum.repaired_slots_total <= 4); // no storm
    holders_crash(world, 2);
    redundancy_await(world, HOSTS_OF_CODE, HOSTS_OF_CODE);
    holders_crash(world, 1);
    sim_run(&world->nodes[READER], sim_get, &file);
    sim_nodes_stop(world);
    return PG_OK;
}

// A file that stands in its root is kept in copies: three of four hosts go one after the other, and it is there in four copies again.
static pg_err copies_script(void *arg)
{
    sim_world *world = arg;
    sim_file file = {.content = 42, .size = 900};
    world_make(world, 0);
    sim_run(&world->nodes[0], sim_put, &file);
    CHECK(file.host_count == 4);
    sim_node_crash(&world->nodes[0]);
    for (size_t i = 0; i < 3; i++) {
        holders_crash(world, 1);
        redundancy_await(world, 1, 4);
    }
    CHECK(stats_sum(world).repaired_slots_total <= 6);
    sim_run(&world->nodes[READER], sim_get, &file);
    sim_nodes_stop(world);
    return PG_OK;
}

/** Count what stands in the books of all nodes of one of them; nobody pings in this world: it came from the checks of guards. */
static uint32_t observations_of(const sim_world *world, const pg_peer_id *peer, pg_health_kind kind)
{
    uint32_t sum = 0;
    for (size_t i = 0; i < NODES; i++) {
        pg_health_report report;
        if (world->nodes[i].is_up &&
            pg_health_get(world->nodes[i].storage->health, peer, &report)) {
            CHECK(report.rtt_ns == 0); // a check measures no latency
            sum += report.counts[kind];
        }
    }
    return sum;
}

// A host that is away for less than patience lasts costs nothing, and stands in the books.
static pg_err patience_script(void *arg)
{
    sim_world *world = arg;
    sim_file file = {.content = 43, .size = 900000};
    world_make(world, 0);
    sim_run(&world->nodes[0], sim_put, &file);
    sim_node *away = sim_node_of(world, &file.hosts[3]);
    sim_node_crash(away);
    CHECK_OK(pg_sleep_until(pg_after(PG_SECONDS(PATIENCE_S / 2))));
    sim_node_start(away);
    CHECK_OK(pg_sleep_until(pg_after(PG_SECONDS(2 * PATIENCE_S))));
    CHECK(stats_sum(world).repairs_total == 0);
    CHECK(census_take(world).copies == HOSTS_OF_CODE);
    CHECK(observations_of(world, &file.hosts[3], PG_HEALTH_PING_FAILED) >= HOSTS_OF_CODE - 1);
    CHECK(observations_of(world, &file.hosts[3], PG_HEALTH_PING_OK) >= HOSTS_OF_CODE - 1);
    CHECK(observations_of(world, &file.hosts[4], PG_HEALTH_PING_OK) > 0);
    CHECK(observations_of(world, &file.hosts[4], PG_HEALTH_PING_FAILED) <
          observations_of(world, &file.hosts[3], PG_HEALTH_PING_FAILED));
    sim_nodes_stop(world);
    return PG_OK;
}

// Three of twelve hosts go, and one node is left that has nothing of the file: it takes one slot, the others go to hosts, one to each.
static pg_err few_script(void *arg)
{
    sim_world *world = arg;
    sim_file file = {.content = 46, .size = 900000, .code = {8, 4}};
    world_make(world, 0);
    sim_run(&world->nodes[0], sim_put, &file);
    CHECK(file.host_count == FEW_HOSTS);
    holders_crash(world, 3);
    redundancy_await(world, FEW_HOSTS, FEW_HOSTS);
    CHECK(census_take(world).most == 2);
    sim_run(&world->nodes[READER], sim_get, &file);
    sim_nodes_stop(world);
    return PG_OK;
}

// ---- Partitions

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

// Both halves have enough to rebuild, and each thinks the other lost: copies at most double, no more come when they meet again, and the owner
// has them dropped.
static pg_err partition_script(void *arg)
{
    sim_world *world = arg;
    sim_file file = {.content = 44, .size = 300000, .code = {2, 8}};
    world_make_patient(world, LONG_PATIENCE_S, 0);
    sim_run(&world->nodes[0], sim_put, &file);
    CHECK(file.host_count == HOSTS_OF_CODE);
    cut(world, true);
    CHECK_OK(pg_sleep_until(pg_after(PG_SECONDS(3 * LONG_PATIENCE_S))));
    census split = census_take(world);
    CHECK(split.copies > HOSTS_OF_CODE && split.copies <= 2 * HOSTS_OF_CODE + 2);
    cut(world, false);
    sim_nodes_meet(world);
    CHECK_OK(pg_sleep_until(pg_after(PG_SECONDS(2 * LONG_PATIENCE_S))));
    CHECK(census_take(world).copies <= split.copies); // they know of each other
    pg_time deadline = pg_after(PG_HOURS(4));
    while (census_take(world).copies > HOSTS_OF_CODE) {
        CHECK(pg_now() < deadline);
        CHECK_OK(pg_sleep_until(pg_after(PG_MINUTES(5))));
    }
    CHECK(__builtin_popcount(census_take(world).slots) == HOSTS_OF_CODE);
    sim_run(&world->nodes[READER], sim_get, &file);
    sim_nodes_stop(world);
    return PG_OK;
}

/** Mend the network node by node, as nodes that dial again find each other. */
static void heal_slowly(sim_world *world)
{
    for (size_t i = 0; i < NODES; i += 2) {
        for (size_t j = 1; j < NODES; j += 2) {
            pg_sim_partition(world->nodes[i].machine, world->nodes[j].machine, false);
        }
        CHECK_OK(pg_sleep_until(pg_after(PG_SECONDS(PATIENCE_S / 10))));
    }
}

// Neither half has enough to rebuild: nobody tries, and when they meet again host by host, those that come late are waited for.
static pg_err stuck_script(void *arg)
{
    sim_world *world = arg;
    sim_file file = {.content = 44, .size = 900000};
    world_make(world, 0);
    sim_run(&world->nodes[0], sim_put, &file);
    CHECK(file.host_count == HOSTS_OF_CODE);
    cut(world, true);
    CHECK_OK(pg_sleep_until(pg_after(PG_SECONDS(3 * PATIENCE_S))));
    CHECK(stats_sum(world).repairs_failed_total == 0);
    heal_slowly(world);
    sim_nodes_meet(world);
    CHECK_OK(pg_sleep_until(pg_after(PG_SECONDS(2 * PATIENCE_S))));
    CHECK(stats_sum(world).repairs_total == 0 && stats_sum(world).repairs_failed_total == 0);
    CHECK(census_take(world).copies == HOSTS_OF_CODE);
    sim_run(&world->nodes[READER], sim_get, &file);
    sim_nodes_stop(world);
    return PG_OK;
}

// ---- Hostile holders

/** How a hostile holder answers. */
typedef enum trick {
    TRICK_LIE,    // anything
    TRICK_BORROW, // computed from what the other holders answer to the same challenge
} trick;

/** The one hostile holder of the world. */
static struct {
    sim_world *world;
    sim_node *node;
    trick how;
    unsigned asked;
    unsigned borrowed; // answers for which k others helped
} villain;

/** Ask another holder the same, as the borrower would. */
static pg_err other_ask(sim_node *self, const pg_peer_id *peer, const pg_audit_request *request,
                        pg_audit_answer *out)
{
    pg_stream *stream = NULL;
    pg_buf bytes = {0};
    pg_audit_reply reply;
    pg_audit_statement *statement = PG_NEW(pg_audit_statement);
    CHECK(statement != NULL);
    pg_err err = sim_audit_open(self, peer, &stream);
    if (err == PG_OK) {
        err = sim_audit_ask(stream, request, &bytes, &reply);
    }
    if (err == PG_OK) {
        err = reply.status == PG_AUDIT_STATUS_OK
                  ? pg_audit_statement_decode(reply.statement, statement)
                  : PG_ERR_REFUSED;
    }
    if (err == PG_OK) {
        *out = statement->answer;
    }
    pg_stream_free(&stream);
    pg_buf_deinit(&bytes);
    pg_mfree(statement);
    return err;
}

/** Compute our own answer from those of the others: it would be right, if they had been computed for the auditor. */
static void answer_borrow(sim_node *self, const pg_audit_request *request, pg_audit_answer *answer)
{
    pg_audit_answer *answers = pg_calloc(HOSTS_OF_CODE, sizeof(*answers));
    const uint8_t *have[HOSTS_OF_CODE] = {NULL};
    uint8_t *want[HOSTS_OF_CODE] = {NULL};
    unsigned count = 0;
    pg_rs *rs = NULL;
    CHECK(answers != NULL);
    for (unsigned shard = 0; shard < HOSTS_OF_CODE && count < 8; shard++) {
        pg_audit_request other = *request;
        other.shard = shard;
        for (size_t i = 0; i < NODES && shard != request->shard && have[shard] == NULL; i++) {
            sim_node *node = &self->world->nodes[i];
            if (node != self && node->is_up &&
                other_ask(self, &node->id, &other, &answers[shard]) == PG_OK) {
                have[shard] = answers[shard].sum;
                count++;
            }
        }
    }
    if (count == 8) {
        villain.borrowed++;
        want[request->shard] = answer->sum;
        CHECK_OK(pg_rs_new(8, 2, &rs));
        CHECK_OK(pg_rs_reconstruct(rs, PG_AUDIT_BLOCK_BYTES, have, want));
        pg_rs_free(&rs);
    }
    pg_mfree(answers);
}

static pg_err on_audit(pg_net_stream_ctx *ctx)
{
    for (;;) {
        pg_audit_request request;
        PG_TRY(sim_audit_read(ctx->stream, &request));
        pg_audit_answer *answer = PG_NEW(pg_audit_answer);
        CHECK(answer != NULL);
        villain.asked++;
        if (villain.how == TRICK_BORROW) {
            answer_borrow(villain.node, &request, answer);
        }
        pg_err err = sim_audit_state(villain.node, ctx, &request, answer);
        pg_mfree(answer);
        PG_TRY(err);
    }
}

static pg_err on_block(const pg_cid *cid, uint32_t len, void *user)
{
    sim_node *self = user;
    return len > 40000 ? pg_block_store_delete(self->storage->blocks, cid) : PG_OK;
}

/** Throw the shards away, go on saying that they are here, and answer audits. */
static pg_err task_turn_bad(sim_node *self)
{
    PG_TRY(pg_block_store_walk(self->storage->blocks, on_block, self));
    return sim_audits_answer(self, on_audit);
}

/** Faults against the villain in one node's log. */
static struct {
    unsigned lies;
    unsigned others;
    pg_buf statement;
} faults;

static pg_err on_fault(const pg_guard_fault *fault, void *user)
{
    (void) user;
    if (pg_peer_id_equal(&fault->peer, &villain.node->id) &&
        fault->finding == PG_AUDIT_FINDING_LIED) {
        faults.lies++;
        pg_buf_clear(&faults.statement);
        return pg_buf_append(&faults.statement, fault->statement);
    }
    faults.others += pg_peer_id_equal(&fault->peer, &villain.node->id) ? 0 : 1;
    return PG_OK;
}

static pg_err task_faults(sim_node *self)
{
    return pg_guard_log_faults(self->storage->db, on_fault, NULL);
}

static void villain_found_await(sim_world *world)
{
    pg_time deadline = pg_after(PG_HOURS(6));
    do {
        CHECK(pg_now() < deadline);
        CHECK_OK(pg_sleep_until(pg_after(PG_SECONDS(30))));
        faults.lies = 0;
        faults.others = 0;
        for (size_t i = 1; i < READER; i++) {
            sim_run(&world->nodes[i], task_faults, world->nodes[i].file);
        }
    } while (faults.lies == 0);
    CHECK(faults.others == 0); // nobody else is accused
}

// The owner is away; a host threw its shards away and says it has them. Audits find it, its signed lie is kept, and its slots go to another, though it
// is there and claims them.
static pg_err villain_run(sim_world *world, trick how)
{
    sim_file file = {.content = 45, .size = 900000};
    world_make(world, 600);
    sim_run(&world->nodes[0], sim_put, &file);
    sim_node_crash(&world->nodes[0]);
    villain.world = world;
    villain.node = sim_node_of(world, &file.hosts[pg_sim_random_below(file.host_count)]);
    villain.how = how;
    villain.asked = villain.borrowed = 0;
    sim_run(villain.node, task_turn_bad, &file);
    villain_found_await(world);
    CHECK(villain.asked > 0 && (how != TRICK_BORROW || villain.borrowed > 0));
    pg_audit_statement *lie = PG_NEW(pg_audit_statement);
    CHECK(lie != NULL);
    CHECK_OK(pg_audit_statement_decode(pg_buf_bytes(&faults.statement), lie));
    CHECK(pg_peer_id_equal(&lie->holder, &villain.node->id)); // it signed it
    pg_mfree(lie);
    redundancy_await(world, HOSTS_OF_CODE,
                     HOSTS_OF_CODE + 1); // its claim still counts in the census
    sim_node_crash(villain.node);
    holders_crash(world, 2);
    sim_run(&world->nodes[READER], sim_get, &file);
    pg_buf_deinit(&faults.statement);
    sim_nodes_stop(world);
    return PG_OK;
}

static pg_err liar_script(void *arg)
{
    return villain_run(arg, TRICK_LIE);
}

static pg_err borrower_script(void *arg)
{
    return villain_run(arg, TRICK_BORROW);
}

// Without anything wrong audits prove every slot and accuse nobody.
static pg_err honest_script(void *arg)
{
    sim_world *world = arg;
    sim_file files[2] = {{.content = 46, .size = 900000}, {.content = 47, .size = 900}};
    world_make_patient(world, LONG_PATIENCE_S, 300);
    sim_run(&world->nodes[0], sim_put, &files[0]);
    sim_run(&world->nodes[0], sim_put, &files[1]);
    CHECK_OK(pg_sleep_until(pg_after(PG_MINUTES(40))));
    pg_guard_stats sum = stats_sum(world);
    CHECK(sum.audits_total >= 20 && sum.audits_fault_total == 0);
    CHECK(sum.audits_proven_total > 100);
    CHECK(sum.repairs_total == 0);
    sim_nodes_stop(world);
    return PG_OK;
}

// ---- A hostile auditor

static pg_cid flood_descriptor;
static pg_peer_id flood_target;
static unsigned flood_answers;

static pg_err task_flood(sim_node *self)
{
    pg_audit_answer *answer = PG_NEW(pg_audit_answer);
    CHECK(answer != NULL);
    pg_audit_request request = {.descriptor = flood_descriptor};
    flood_answers = 0;
    for (unsigned i = 0; i < 4000; i++) {
        request.shard = i % HOSTS_OF_CODE;
        pg_random_bytes(pg_mut_bytes_make(request.nonce, sizeof(request.nonce)));
        flood_answers += other_ask(self, &flood_target, &request, answer) == PG_OK ? 1 : 0;
        if (pg_guard_get_stats(sim_node_of(self->world, &flood_target)->storage->guard)
                .answers.busy_total > 5) {
            break;
        }
    }
    pg_mfree(answer);
    return PG_OK;
}

// However much one asks, what a holder reads for him in a minute is bounded, and then he is asked to come later.
static pg_err flood_script(void *arg)
{
    sim_world *world = arg;
    sim_file file = {.content = 48, .size = 6000000};
    world_make(world, 0);
    sim_run(&world->nodes[0], sim_put, &file);
    flood_descriptor = census_take(world).descriptor;
    flood_target = file.hosts[2];
    sim_run(&world->nodes[READER], task_flood, &file);
    const sim_node *target = sim_node_of(world, &flood_target);
    pg_audit_server_stats answers = pg_guard_get_stats(target->storage->guard).answers;
    CHECK(flood_answers > 10 && answers.busy_total > 0);
    uint64_t minutes = 1 + (uint64_t) (pg_now() / PG_MINUTES(1));
    CHECK(answers.bytes_total <= minutes * PG_AUDIT_PEER_BYTES_MAX);
    sim_nodes_stop(world);
    return PG_OK;
}

// ---- Leaving

static pg_guard_leaving left;
static uint64_t left_keep_bytes; // 0 = all goes

static pg_err task_leave(sim_node *self)
{
    const pg_place_rules rules = {.accept = PG_PLACE_ACCEPT_NOBODY};
    pg_place_server_set_rules(self->storage->place, &rules);
    return pg_guard_leave(self->storage->guard, left_keep_bytes, NULL, NULL, &left);
}

// A host leaves: what it had is elsewhere before it goes, and gone here; two more may go all the same.
static pg_err leave_script(void *arg)
{
    sim_world *world = arg;
    sim_file files[2] = {{.content = 49, .size = 900000}, {.content = 50, .size = 900}};
    world_make(world, 0);
    sim_run(&world->nodes[0], sim_put, &files[1]);
    sim_run(&world->nodes[0], sim_put, &files[0]);
    sim_node_crash(&world->nodes[0]);
    sim_node *leaver = sim_node_of(world, &files[1].hosts[0]);
    sim_run(leaver, task_leave, &files[0]);
    CHECK(left.leases >= 1 && left.moved == left.leases && left.failed == 0);
    CHECK(pg_place_server_get_stats(leaver->storage->place).leases == 0);
    census after = census_take(world);
    CHECK(after.copies == HOSTS_OF_CODE + 4);
    sim_node_crash(leaver);
    sim_hosts_crash(world, &files[0], 2);
    sim_run(&world->nodes[READER], sim_get, &files[0]);
    sim_run(&world->nodes[READER], sim_get, &files[1]);
    sim_nodes_stop(world);
    return PG_OK;
}

// A host of many files gives up about half of what it keeps, then all, several at once: not more than it was told to, and all can be read.
static pg_err shrink_script(void *arg)
{
    sim_world *world = arg;
    sim_file files[MANY_FILES];
    world_make(world, 0);
    for (size_t i = 0; i < MANY_FILES; i++) {
        files[i] = (sim_file){.content = 60 + i, .size = 200000};
        sim_run(&world->nodes[0], sim_put, &files[i]);
    }
    sim_node_crash(&world->nodes[0]);
    sim_node *leaver = sim_node_of(world, &files[0].hosts[0]);
    const pg_place_server *place = leaver->storage->place;
    const pg_place_stats before = pg_place_server_get_stats(place);
    const uint64_t largest = before.lease_bytes / before.leases * 2;
    CHECK(before.leases > PG_GUARD_LEAVES);
    left_keep_bytes = before.lease_bytes / 2;
    sim_run(leaver, task_leave, &files[0]);
    const uint64_t kept = pg_place_server_get_stats(place).lease_bytes;
    CHECK(left.failed == 0 && kept <= left_keep_bytes && kept + largest > left_keep_bytes);
    left_keep_bytes = 0;
    sim_run(leaver, task_leave, &files[0]);
    CHECK(left.failed == 0 && pg_place_server_get_stats(place).leases == 0);
    sim_node_crash(leaver);
    sim_hosts_crash(world, &files[0], 2);
    for (size_t i = 0; i < MANY_FILES; i++) {
        sim_run(&world->nodes[READER], sim_get, &files[i]);
    }
    sim_nodes_stop(world);
    return PG_OK;
}

// A host comes back after another took its place, and leaves: what the other promises need not be pushed, and nobody would take it.
static pg_err second_leaves_script(void *arg)
{
    sim_world *world = arg;
    sim_file file = {.content = 54, .size = 900000};
    world_make(world, 0);
    sim_run(&world->nodes[0], sim_put, &file);
    sim_node_crash(&world->nodes[0]);
    sim_node *host = sim_node_of(world, &file.hosts[0]);
    sim_node_crash(host);
    redundancy_await(world, HOSTS_OF_CODE, HOSTS_OF_CODE);
    sim_node_start(host);
    sim_nodes_meet(world);
    CHECK(census_take(world).copies == HOSTS_OF_CODE + 1);
    sim_run(host, task_leave, &file);
    CHECK(left.leases == 1 && left.moved == 1 && left.failed == 0 && left.bytes == 0);
    census after = census_take(world);
    CHECK(after.copies == HOSTS_OF_CODE && __builtin_popcount(after.slots) == HOSTS_OF_CODE);
    sim_nodes_stop(world);
    return PG_OK;
}

static pg_err task_say_leaving(sim_node *self)
{
    return pg_place_server_leaving(self->storage->place, &found.descriptor, found.slots);
}

// Of two that hold the same slot one says that it is leaving: the other does not drop it on that one's word.
static pg_err second_leaving_script(void *arg)
{
    sim_world *world = arg;
    sim_file file = {.content = 55, .size = 900000};
    world_make(world, 0);
    sim_run(&world->nodes[0], sim_put, &file);
    sim_node_crash(&world->nodes[0]);
    sim_node *host = sim_node_of(world, &file.hosts[0]);
    sim_node *second = NULL;
    found = (census){.slots = 0};
    sim_run(host, task_census, &file);
    const pg_slot_set slot = found.slots;
    sim_node_crash(host);
    redundancy_await(world, HOSTS_OF_CODE, HOSTS_OF_CODE);
    for (size_t i = 1; i < NODES; i++) {
        found = (census){.slots = 0};
        if (world->nodes[i].is_up) {
            sim_run(&world->nodes[i], task_census, &file);
            second = (found.slots & slot) != 0 ? &world->nodes[i] : second;
        }
    }
    CHECK(second != NULL);
    sim_node_start(host);
    sim_nodes_meet(world);
    CHECK(census_take(world).copies == HOSTS_OF_CODE + 1);
    found = (census){.slots = 0};
    sim_run(second, task_census, &file);
    sim_run(second, task_say_leaving, &file);
    sim_run(host, task_leave, &file);
    CHECK(census_take(world).copies == HOSTS_OF_CODE + 1);
    CHECK(__builtin_popcount(census_take(world).slots) == HOSTS_OF_CODE);
    sim_nodes_stop(world);
    return PG_OK;
}

// ---- Promises that the others did not hear

static void others_crash(sim_world *world, const sim_file *file)
{
    for (size_t i = 1; i < file->host_count; i++) {
        sim_node_crash(sim_node_of(world, &file->hosts[i]));
    }
}

static void others_start(sim_world *world, const sim_file *file)
{
    for (size_t i = 1; i < file->host_count; i++) {
        sim_node_start(sim_node_of(world, &file->hosts[i]));
    }
    sim_nodes_meet(world);
}

static pg_guard_report told;

static pg_err task_explain(sim_node *self)
{
    return pg_guard_explain(self->storage->guard, &found.descriptor, self->file->hosts,
                            self->file->host_count, &told);
}

/** Put what this node has of the extent on another host, and hear nothing of it: keep it. */
static pg_err task_place(sim_node *self)
{
    pg_guard *guard = self->storage->guard;
    guard_exam *exam = PG_NEW(guard_exam);
    pg_place_lease lease;
    CHECK(exam != NULL);
    CHECK_OK(pg_guard_lease(guard, &found.descriptor, &lease));
    CHECK_OK(pg_guard_examine(guard, &found.descriptor, NULL, 0, exam));
    guard_placing placing = {.lease = &lease, .exam = exam, .slots = exam->own, .is_moving = true};
    CHECK_OK(pg_guard_place(guard, &placing));
    CHECK(placing.moved == exam->own);
    pg_buf_deinit(&placing.receipts);
    pg_guard_exam_deinit(exam);
    pg_mfree(exam);
    return pg_place_server_leaving(self->storage->place, &found.descriptor, 0);
}

static pg_peer_id second_holder;
static unsigned hearers;

/** Does this node's ledger name the second holder? */
static pg_err task_heard(sim_node *self)
{
    pg_place_holding *holding = PG_NEW(pg_place_holding);
    CHECK(holding != NULL);
    CHECK_OK(pg_place_server_holding(self->storage->place, &found.descriptor, holding));
    for (size_t i = 0; i < holding->receipt_count; i++) {
        hearers += pg_peer_id_equal(&holding->receipts[i].host, &second_holder) ? 1 : 0;
    }
    pg_mfree(holding);
    return PG_OK;
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

// A host hands its slot over while the others are away, and does not hear that it was taken. When it leaves by the promise that the second holder
// repeats, all others hear of it.
static pg_err unanswered_script(void *arg)
{
    sim_world *world = arg;
    sim_file file = {.content = 56, .size = 900000};
    world_make(world, 0);
    sim_run(&world->nodes[0], sim_put, &file);
    sim_node_crash(&world->nodes[0]);
    CHECK(census_take(world).copies == HOSTS_OF_CODE);
    sim_node *leaver = sim_node_of(world, &file.hosts[0]);
    others_crash(world, &file);
    sim_run(leaver, task_place, &file);
    for (size_t i = 1; i < NODES; i++) {
        const pg_peer_id *peer = &world->nodes[i].id;
        if (world->nodes[i].is_up && !is_host_of(&file, peer) &&
            pg_place_server_get_stats(world->nodes[i].storage->place).leases > 0) {
            second_holder = *peer;
        }
    }
    others_start(world, &file);
    sim_run(leaver, task_leave, &file);
    CHECK(left.moved == 1 && left.failed == 0 && left.bytes == 0);
    hearers = 0;
    for (size_t i = 1; i < file.host_count; i++) {
        sim_run(sim_node_of(world, &file.hosts[i]), task_heard, &file);
    }
    CHECK(hearers == file.host_count - 1);
    sim_nodes_stop(world);
    return PG_OK;
}

// A host hands its slot over while the other hosts are away, and is gone when they are back: no receipt leads to who has it now, the DHTs do. Nobody
// brings it again.
static pg_err unheard_script(void *arg)
{
    static sim_world like;
    sim_world *world = arg;
    sim_file file = {.content = 52, .size = 900000};
    like.patience_s = PATIENCE_S;
    like.has_dht = true;
    sim_nodes_make_of(world, NODES, &like);
    sim_nodes_meet(world);
    sim_run(&world->nodes[0], sim_put, &file);
    sim_node_crash(&world->nodes[0]);
    CHECK(census_take(world).copies == HOSTS_OF_CODE);
    others_crash(world, &file);
    sim_node *leaver = sim_node_of(world, &file.hosts[0]);
    sim_run(leaver, task_leave, &file);
    CHECK(left.moved == 1 && left.failed == 0);
    CHECK_OK(pg_sleep_until(pg_after(PG_MINUTES(2)))); // it is announced
    sim_node_crash(leaver);
    others_start(world, &file);
    CHECK_OK(pg_sleep_until(pg_after(PG_SECONDS(4 * PATIENCE_S))));
    pg_guard_stats stats = stats_sum(world);
    CHECK(stats.repairs_total == 0 && stats.repairs_failed_total == 0);
    CHECK(stats.repaired_bytes_total == 0);
    CHECK(census_take(world).copies == HOSTS_OF_CODE);
    sim_run(&world->nodes[READER], sim_get, &file);
    sim_run(&world->nodes[READER], task_explain,
            &file); // who does not watch the hosts finds it too
    CHECK(told.missing == 0);
    sim_nodes_stop(world);
    return PG_OK;
}

// A host is away while the owner removes a file, and the owner is gone when it is back. It finds that nobody has the file any more, and why.
static pg_err removed_script(void *arg)
{
    static sim_world like;
    sim_world *world = arg;
    sim_file file = {.content = 53, .size = 900};
    like.patience_s = PATIENCE_S;
    like.has_dht = true;
    sim_nodes_make_of(world, NODES, &like);
    sim_nodes_meet(world);
    sim_run(&world->nodes[0], sim_put, &file);
    sim_node *host = sim_node_of(world, &file.hosts[0]);
    sim_node_crash(host);
    sim_run(&world->nodes[0], sim_remove, &file);
    CHECK_OK(
        pg_sleep_until(pg_after(PG_MINUTES(5)))); // the DHTs have it, and the others dropped it
    sim_node_crash(&world->nodes[0]);
    sim_node_start(host);
    sim_nodes_meet(world);
    CHECK(pg_place_server_get_stats(host->storage->place).leases == 1);
    CHECK_OK(pg_sleep_until(pg_after(PG_SECONDS(2 * PATIENCE_S))));
    CHECK(pg_place_server_get_stats(host->storage->place).leases == 0);
    CHECK(stats_sum(world).repairs_total == 0);
    sim_nodes_stop(world);
    return PG_OK;
}

// ---- The tests

static void test_repair__owner_and_hosts_go_one_after_the_other__file_outlives(void **state)
{
    (void) state;
    sim_files_seeds(outlives_script, 2);
}

static void test_repair__copies_of_a_small_file_go__made_anew(void **state)
{
    (void) state;
    sim_files_seeds(copies_script, 1);
}

static void test_repair__host_is_away_for_a_while__waited_for(void **state)
{
    (void) state;
    sim_files_seeds(patience_script, 1);
}

static void test_repair__too_few_others__spread_over_hosts(void **state)
{
    (void) state;
    sim_files_seeds(few_script, 1);
}

static void test_repair__answer_to_a_hand_over_is_lost__all_hear_of_it_later(void **state)
{
    (void) state;
    sim_files_seeds(unanswered_script, 1);
}

static void test_repair__slot_handed_over_unheard__found_by_the_dhts(void **state)
{
    (void) state;
    sim_files_seeds(unheard_script, 1);
}

static void test_repair__removed_while_a_host_was_away__dropped_there_too(void **state)
{
    (void) state;
    sim_files_seeds(removed_script, 1);
}

static void test_repair__network_cut_in_two__bounded_and_converges(void **state)
{
    (void) state;
    if (sim_files_is_too_long()) {
        skip(); // as halves too small for it do
    }
    sim_files_seeds(partition_script, 1);
}

static void test_repair__halves_too_small_to_repair__nothing_in_vain(void **state)
{
    (void) state;
    sim_files_seeds(stuck_script, 2);
}

static void test_audit__honest_hosts__proven(void **state)
{
    (void) state;
    sim_files_seeds(honest_script, 1);
}

static void test_audit__host_lies__found_and_replaced(void **state)
{
    (void) state;
    sim_files_seeds(liar_script, 2);
}

static void test_audit__host_borrows_the_answer__found_and_replaced(void **state)
{
    (void) state;
    sim_files_seeds(borrower_script, 2);
}

static void test_audit__auditor_floods__bounded(void **state)
{
    (void) state;
    sim_files_seeds(flood_script, 1);
}

static void test_leave__another_has_it_too__nothing_is_pushed(void **state)
{
    (void) state;
    sim_files_seeds(second_leaves_script, 1);
}

static void test_leave__who_has_it_too_is_leaving__slot_is_kept(void **state)
{
    (void) state;
    sim_files_seeds(second_leaving_script, 1);
}

static void test_leave__hands_over__nothing_lost(void **state)
{
    (void) state;
    sim_files_seeds(leave_script, 2);
}

static void test_leave__many_leases_and_a_part_is_to_stay__neither_less_nor_more_goes(void **state)
{
    (void) state;
    sim_files_seeds(shrink_script, 2);
}

int main(int argc, char **argv)
{
    sim_arguments(argc, argv);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_repair__owner_and_hosts_go_one_after_the_other__file_outlives),
        cmocka_unit_test(test_repair__copies_of_a_small_file_go__made_anew),
        cmocka_unit_test(test_repair__host_is_away_for_a_while__waited_for),
        cmocka_unit_test(test_repair__too_few_others__spread_over_hosts),
        cmocka_unit_test(test_repair__answer_to_a_hand_over_is_lost__all_hear_of_it_later),
        cmocka_unit_test(test_repair__slot_handed_over_unheard__found_by_the_dhts),
        cmocka_unit_test(test_repair__removed_while_a_host_was_away__dropped_there_too),
        cmocka_unit_test(test_repair__network_cut_in_two__bounded_and_converges),
        cmocka_unit_test(test_repair__halves_too_small_to_repair__nothing_in_vain),
        cmocka_unit_test(test_audit__honest_hosts__proven),
        cmocka_unit_test(test_audit__host_lies__found_and_replaced),
        cmocka_unit_test(test_audit__host_borrows_the_answer__found_and_replaced),
        cmocka_unit_test(test_audit__auditor_floods__bounded),
        cmocka_unit_test(test_leave__another_has_it_too__nothing_is_pushed),
        cmocka_unit_test(test_leave__who_has_it_too_is_leaving__slot_is_kept),
        cmocka_unit_test(test_leave__hands_over__nothing_lost),
        cmocka_unit_test(test_leave__many_leases_and_a_part_is_to_stay__neither_less_nor_more_goes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
