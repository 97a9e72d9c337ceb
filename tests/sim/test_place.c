// SPDX-License-Identifier: Apache-2.0
// Goal: what a host gave a receipt for, it has, whatever happens: crashes in the middle of anything, restarts, bad networks; and its account
// is exactly what its store holds.
// Method: an owner that places, renews, releases and drops extents at random with several fibers, against a model that outlives the host. The
// host's plug is pulled at random times, and at chosen calls of its disk by functions that the linker puts before those of file.h.
#include "base/mem.h"
#include "place_world.h"
#include "runtime/file.h"
#include "runtime/random.h"

#define EXTENTS 5U
#define SLOTS 4U
#define ROUNDS 5U

/** What is known of an extent that was placed. */
typedef struct known {
    pg_slot_set slots; // promised
    uint64_t sequence; // of the last grant or release that was sent
    uint64_t promised; // of the last grant that a receipt is for
    bool is_open;      // something was sent that may have been done, or not
} known;

/** What outlives the host. */
typedef struct model {
    place_node host;
    place_node owner;
    place_extent extents[EXTENTS];
    known known[EXTENTS];
    uint64_t calls_max;  // the plug is pulled at a call of the disk before this
    uint64_t calls_left; // 0: not at all
    bool was_pulled;
    uint64_t receipts;
    uint64_t drops;
    uint64_t pulled;
} model;

static model *model_now; // for the functions in between, which get no argument

// ---- Between the host and its disk

// NOLINTBEGIN(bugprone-reserved-identifier,readability-identifier-naming): the linker's names for --wrap
pg_err __real_pg_file_write_at(pg_file *file, uint64_t offset, pg_bytes bytes);
pg_err __real_pg_file_sync(pg_file *file);
pg_err __real_pg_file_punch(pg_file *file, uint64_t offset, uint64_t len);
pg_err __wrap_pg_file_write_at(pg_file *file, uint64_t offset, pg_bytes bytes);
pg_err __wrap_pg_file_sync(pg_file *file);
pg_err __wrap_pg_file_punch(pg_file *file, uint64_t offset, uint64_t len);

static bool is_plug_pulled(void)
{
    if (model_now == NULL || model_now->calls_left == 0 || --model_now->calls_left > 0) {
        return false;
    }
    model_now->was_pulled = true;
    model_now->pulled++;
    pg_sim_machine_crash(model_now->host.machine);
    return true;
}

pg_err __wrap_pg_file_write_at(pg_file *file, uint64_t offset, pg_bytes bytes)
{
    return is_plug_pulled() ? PG_ERR_CANCELLED : __real_pg_file_write_at(file, offset, bytes);
}

pg_err __wrap_pg_file_sync(pg_file *file)
{
    return is_plug_pulled() ? PG_ERR_CANCELLED : __real_pg_file_sync(file);
}

pg_err __wrap_pg_file_punch(pg_file *file, uint64_t offset, uint64_t len)
{
    return is_plug_pulled() ? PG_ERR_CANCELLED : __real_pg_file_punch(file, offset, len);
}
// NOLINTEND(bugprone-reserved-identifier,readability-identifier-naming)

// ---- The owner's steps

static pg_err step_commit(model *m, unsigned id, pg_place_session *session)
{
    known *k = &m->known[id];
    pg_lease_receipt receipt = {0};
    pg_slot_set slots = 1 + (pg_slot_set) pg_random_below((1U << SLOTS) - 1);
    PG_TRY(place_push_all(session, &m->extents[id], slots));
    k->sequence++;
    k->is_open = true;
    PG_TRY(place_commit(session, &m->extents[id], slots, k->sequence, &receipt));
    CHECK((receipt.slots & (slots | k->slots)) == (slots | k->slots));
    k->slots = receipt.slots;
    k->promised = k->sequence;
    k->is_open = false;
    m->receipts++;
    return PG_OK;
}

static pg_err step_renew(model *m, unsigned id, pg_place_session *session)
{
    known *k = &m->known[id];
    if (k->slots == 0) {
        return PG_OK;
    }
    k->sequence++;
    k->is_open = true;
    PG_TRY(place_commit(session, &m->extents[id], 0, k->sequence, NULL));
    k->promised = k->sequence;
    k->is_open = false;
    m->receipts++;
    return PG_OK;
}

static pg_err step_release(model *m, unsigned id, pg_place_session *session)
{
    known *k = &m->known[id];
    pg_slot_set slots = k->slots & (pg_slot_set) pg_random_below(1U << SLOTS);
    if (slots == 0) {
        return PG_OK;
    }
    k->sequence++;
    k->is_open = true;
    PG_TRY(place_release(session, &m->extents[id], slots, k->sequence));
    k->slots &= ~slots;
    k->is_open = false;
    return PG_OK;
}

static pg_err step_drop(model *m, unsigned id, pg_place_session *session)
{
    known *k = &m->known[id];
    k->sequence++;
    k->is_open = true;
    pg_err err = place_drop(session, &m->extents[id], k->sequence);
    PG_TRY(err == PG_ERR_NOT_FOUND && k->slots == 0 ? PG_OK : err);
    k->slots = 0;
    k->promised = 0;
    k->is_open = false;
    m->drops++;
    return PG_OK;
}

// Shards that were promised before, and others, are pushed in vain: what is promised stays so.
static pg_err step_abandon(model *m, unsigned id, pg_place_session *session)
{
    pg_slot_set slots = 1 + (pg_slot_set) pg_random_below((1U << SLOTS) - 1);
    PG_TRY(place_push_all(session, &m->extents[id], slots));
    return pg_place_abandon(session, &m->extents[id].lease, pg_after(PG_SECONDS(60)));
}

static pg_err one_step(model *m, unsigned id)
{
    pg_place_session *session = NULL;
    PG_TRY(place_open(&m->owner, &m->host, &m->extents[id], &session));
    pg_err err = PG_OK;
    switch (pg_random_below(9)) {
    case 0:
        err = step_drop(m, id, session);
        break;
    case 1:
    case 2:
        err = step_release(m, id, session);
        break;
    case 3:
        err = step_renew(m, id, session);
        break;
    case 4:
        err = step_abandon(m, id, session);
        break;
    default:
        err = step_commit(m, id, session);
        break;
    }
    pg_place_session_free(&session);
    return err;
}

// What the host says now is where the model goes on.
static pg_err known_settle(place_node *self, void *arg)
{
    model *m = arg;
    for (unsigned id = 0; id < EXTENTS; id++) {
        known *k = &m->known[id];
        pg_place_holding holding;
        PG_TRY(place_have(self, &m->host, &m->extents[id], &holding));
        if (!k->is_open) {
            CHECK(holding.slots == k->slots);
            CHECK(k->slots == 0 || holding.sequence == k->promised);
        }
        CHECK(holding.sequence <= k->sequence);
        CHECK(holding.slots == 0 || holding.has_descriptor);
        k->slots = holding.slots;
        k->promised = holding.sequence;
        k->is_open = false;
    }
    return PG_OK;
}

static pg_err owner_work(place_node *self, void *arg)
{
    model *m = arg;
    (void) self;
    for (;;) {
        for (unsigned id = 0; id < EXTENTS; id++) {
            PG_TRY(one_step(m, id));
        }
    }
}

static pg_err host_check(place_node *self, void *arg)
{
    model *m = arg;
    for (unsigned id = 0; id < EXTENTS; id++) {
        if (m->known[id].slots != 0) {
            place_check_blocks(self, &m->extents[id], m->known[id].slots);
        }
    }
    place_check_account(self);
    CHECK_OK(pg_db_check(self->db));
    return PG_OK;
}

// ---- Scripts

static void model_make(model *m)
{
    place_node_make(&m->host, 1, true);
    place_node_make(&m->owner, 2, false);
    memset(m->known, 0, sizeof(m->known));
    for (unsigned id = 0; id < EXTENTS; id++) {
        place_extent_make(&m->extents[id], id, SLOTS, 1 + id % 3, 1000 + 7000 * id);
    }
    place_extent_add_root(&m->extents[1], 3000);
}

static void model_free(model *m)
{
    for (unsigned id = 0; id < EXTENTS; id++) {
        place_extent_free(&m->extents[id]);
    }
    place_node_free(&m->owner);
    place_node_free(&m->host);
}

static void round_wait(model *m)
{
    pg_time deadline = pg_after((int64_t) (PG_SECONDS(1) + pg_sim_random_below(PG_SECONDS(6))));
    while (pg_now() < deadline && !m->was_pulled) {
        CHECK_OK(pg_sleep_until(pg_after(PG_MS(5))));
    }
}

static pg_err rounds_script(void *arg)
{
    model *m = arg;
    model_make(m);
    model_now = m;
    CHECK(place_node_start(&m->owner));
    for (unsigned round = 0; round < ROUNDS; round++) {
        m->was_pulled = false;
        m->calls_left = 0;
        CHECK(place_node_start(&m->host));
        CHECK_OK(place_node_do(&m->owner, known_settle, m));
        CHECK_OK(place_node_do(&m->host, host_check, m));
        if (round == ROUNDS - 1) {
            break;
        }
        m->calls_left = m->calls_max == 0 ? 0 : 1 + pg_sim_random_below(m->calls_max);
        place_node_begin(&m->owner, owner_work, m);
        round_wait(m);
        m->calls_left = 0;
        place_node_crash(&m->host);
        CHECK(place_node_wait(&m->owner, PG_MINUTES(10)) != PG_ERR_BUSY);
    }
    model_now = NULL;
    place_node_stop(&m->owner);
    place_node_stop(&m->host);
    model_free(m);
    return PG_OK;
}

static void seeds_run(model *m, const pg_sim_link *link, uint64_t seeds)
{
    const pg_sim_config config = {.link = *link, .events_max = 50000000};
    sim_seeds(&config, seeds, rounds_script, m);
}

static void test_place__host_crashes_at_any_time__every_receipt_holds(void **state)
{
    (void) state;
    static model m;
    seeds_run(&m, &(pg_sim_link){.latency_ns = PG_MS(2), .jitter_ns = PG_MS(1)}, 6);
    sim_saw("receipts", m.receipts, 1000, 6);
    sim_saw("drops", m.drops, 200, 6);
}

static void test_place__power_fails_at_any_call_of_the_disk__every_receipt_holds(void **state)
{
    (void) state;
    static model m;
    m.calls_max = 1500;
    seeds_run(&m, &(pg_sim_link){.latency_ns = PG_US(200)}, 12);
    sim_saw("power cuts", m.pulled, 20, 12);
    sim_saw("receipts", m.receipts, 1000, 12);
}

static void test_place__loss_and_jitter__every_receipt_holds(void **state)
{
    (void) state;
    static model m;
    seeds_run(
        &m, &(pg_sim_link){.latency_ns = PG_MS(20), .jitter_ns = PG_MS(10), .loss_ppm = 30000}, 2);
    sim_saw("receipts", m.receipts, 20, 2);
}

int main(int argc, char **argv)
{
    sim_arguments(argc, argv);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_place__host_crashes_at_any_time__every_receipt_holds),
        cmocka_unit_test(test_place__power_fails_at_any_call_of_the_disk__every_receipt_holds),
        cmocka_unit_test(test_place__loss_and_jitter__every_receipt_holds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
