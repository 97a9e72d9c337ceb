// SPDX-License-Identifier: Apache-2.0
// Goal: what was pushed and will not be committed is gone at once when its uploader says so, and nothing else is: not what was committed, not what
// others pushed too. A host whose plug is pulled in between has it or has it not, and the account is right.
// Method: a host and two owners, who may have the same lease key; crashes at times that the seed chooses.
#include "base/mem.h"
#include "place_set.h"
#include "runtime/random.h"

static pg_time soon(void)
{
    return pg_after(PG_SECONDS(60));
}

static pg_err on_push(place_node *self, void *arg)
{
    world *w = arg;
    pg_place_session *session = open_it(self, w);
    CHECK_OK(place_push_all(session, &w->extent, 0x5));
    pg_place_session_free(&session);
    return PG_OK;
}

static pg_err on_push_and_give_up(place_node *self, void *arg)
{
    world *w = arg;
    pg_place_session *session = open_it(self, w);
    CHECK_OK(place_push_all(session, &w->extent, 0x5));
    CHECK_OK(pg_place_abandon(session, &w->extent.lease, soon()));
    CHECK_OK(pg_place_abandon(session, &w->extent.lease, soon())); // nothing is left to say
    CHECK_OK(place_push_all(session, &w->second, 0x1));            // the session goes on
    CHECK_OK(pg_place_abandon(session, &w->extent.lease, soon()));
    pg_place_session_free(&session);
    return PG_OK;
}

// Name the shards of slots 0 and 2 and the descriptor in a session of its own, as after a restart of the owner.
static pg_err abandon_by_name(place_node *self, world *w, pg_time deadline)
{
    pg_cid cids[PLACE_SLOTS_MAX];
    size_t count = 0;
    pg_buf shard = {0};
    pg_place_session *session = NULL;
    PG_TRY(place_open(self, HOST, &w->extent, &session));
    cids[count++] = w->extent.cid;
    for (uint32_t segment = 0; segment < w->extent.segments; segment++) {
        place_shard(&w->extent, 0, segment, &shard, &cids[count++]);
        place_shard(&w->extent, 2, segment, &shard, &cids[count++]);
    }
    pg_err err = pg_place_abandon_blocks(session, &w->extent.lease, cids, count, deadline);
    pg_buf_deinit(&shard);
    pg_place_session_free(&session);
    return err;
}

static pg_err on_give_up_by_name(place_node *self, void *arg)
{
    pg_err err = abandon_by_name(self, arg, soon());
    for (unsigned i = 0; i < 5 && err == PG_ERR_RESET;
         i++) { // a connection with a host that crashed
        CHECK_OK(pg_sleep_until(pg_after(PG_SECONDS(1))));
        err = abandon_by_name(self, arg, soon());
    }
    CHECK_OK(err);
    return PG_OK;
}

static void expect_empty(world *w)
{
    CHECK(stats(w).session_bytes == 0 && w->stats.lease_bytes == 0);
    CHECK_OK(place_node_do(HOST, on_account, w));
}

static pg_err given_up_script(void *arg)
{
    world *w = arg;
    world_make(w);
    CHECK_OK(place_node_do(&w->owner, on_push_and_give_up, w));
    expect_empty(w);
    // In an earlier session, and over a restart of the host, whether it could write down what it has or not.
    for (unsigned life = 0; life < 3; life++) {
        CHECK_OK(place_node_do(&w->owner, on_push, w));
        CHECK(stats(w).session_bytes == place_extent_space(&w->extent, 0x5));
        if (life == 1) {
            restart(w);
        } else if (life == 2) {
            sweep(w); // writes the rows of strays
            place_node_crash(HOST);
            CHECK(place_node_start(HOST));
        }
        CHECK_OK(place_node_do(&w->owner, on_give_up_by_name, w));
        expect_empty(w);
    }
    restart(w);
    expect_empty(w);
    world_end(w);
    return PG_OK;
}

static pg_err on_commit_and_give_up(place_node *self, void *arg)
{
    world *w = arg;
    pg_place_session *session = open_it(self, w);
    CHECK_OK(place_push_all(session, &w->extent, 0x5));
    CHECK_OK(place_commit(session, &w->extent, 0x5, 100, NULL));
    CHECK_OK(pg_place_abandon(session, &w->extent.lease, soon()));
    CHECK_OK(abandon_by_name(self, w, soon()));
    CHECK_OK(place_push_all(session, &w->extent, 0xf)); // slots that are promised, and further ones
    CHECK_OK(pg_place_abandon(session, &w->extent.lease, soon()));
    expect_slots(self, w, 0x5, 100);
    pg_place_session_free(&session);
    return PG_OK;
}

static pg_err on_check(place_node *self, void *arg)
{
    world *w = arg;
    place_check_blocks(self, &w->extent, 0x5);
    place_check_account(self);
    return PG_OK;
}

static pg_err committed_script(void *arg)
{
    world *w = arg;
    world_make(w);
    CHECK_OK(place_node_do(&w->owner, on_commit_and_give_up, w));
    CHECK(stats(w).session_bytes == 0);
    CHECK(w->stats.lease_bytes == place_extent_space(&w->extent, 0x5));
    CHECK_OK(place_node_do(HOST, on_check, w));
    // And with its lease it is gone: the pushes that were taken back do not keep it.
    CHECK_OK(place_node_do(&w->owner, on_drop, w));
    await_empty(w);
    world_end(w);
    return PG_OK;
}

// What two uploaders pushed, the one who gives up leaves to the other; who did not push it first has no say at all.
static pg_err shared_script(void *arg)
{
    world *w = arg;
    world_make(w);
    CHECK_OK(place_node_do(&w->owner, on_push, w));
    const uint64_t all = stats(w).session_bytes;
    CHECK_OK(place_node_do(&w->other, on_give_up_by_name, w));
    CHECK(stats(w).session_bytes == all);
    CHECK_OK(place_node_do(&w->other, on_push, w));
    CHECK_OK(place_node_do(&w->owner, on_give_up_by_name, w));
    CHECK(stats(w).session_bytes == all);
    CHECK_OK(place_node_do(&w->other, on_upload, w));
    CHECK(stats(w).session_bytes == 0 && w->stats.lease_bytes == all);
    world_end(w);
    return PG_OK;
}

// ---- In the middle of a push

/** A session that is being pushed into. */
typedef struct pushing {
    world *w;
    pg_place_session *session;
} pushing;

static pg_err push_run(void *arg)
{
    const pushing *self = arg;
    return place_push_all(self->session, &self->w->extent, 0xf);
}

// Whoever is interrupted gives up while some of it is on its way, which may have ended the session.
static pg_err on_break_off(place_node *self, void *arg)
{
    world *w = arg;
    pg_scope scope;
    pushing it = {w, open_it(self, w)};
    pg_scope_init_tolerant(&scope);
    CHECK_OK(pg_scope_spawn(&scope, "test.push", push_run, &it));
    CHECK_OK(pg_sleep_until(pg_after((int64_t) pg_sim_random_below(PG_MS(40)))));
    pg_scope_close(&scope);
    CHECK_OK(pg_place_abandon(it.session, &w->extent.lease, soon()));
    pg_place_session_free(&it.session);
    return PG_OK;
}

static pg_err broken_off_script(void *arg)
{
    world *w = arg;
    world_make(w);
    for (unsigned round = 0; round < 10; round++) {
        CHECK_OK(place_node_do(&w->owner, on_break_off, w));
        expect_empty(w);
    }
    world_end(w);
    return PG_OK;
}

// ---- The plug is pulled

static pg_err on_work(place_node *self, void *arg)
{
    world *w = arg;
    pg_place_session *session = NULL;
    PG_TRY(place_open(self, HOST, &w->extent, &session));
    pg_err err = PG_OK;
    while (err == PG_OK) {
        err = place_push_all(session, &w->extent, 0x5);
        if (err == PG_OK) {
            err = pg_place_abandon(session, &w->extent.lease, pg_after(PG_SECONDS(5)));
        }
    }
    pg_place_session_free(&session);
    return err;
}

static pg_err pulled_script(void *arg)
{
    world *w = arg;
    world_make(w);
    for (unsigned round = 0; round < 6; round++) {
        place_node_begin(&w->owner, on_work, w);
        CHECK_OK(pg_sleep_until(pg_after((int64_t) pg_sim_random_below(PG_MS(300)))));
        place_node_crash(HOST);
        CHECK(place_node_wait(&w->owner, PG_MINUTES(2)) != PG_ERR_BUSY);
        CHECK(place_node_start(HOST));
        CHECK_OK(place_node_do(HOST, on_account, w));
        CHECK(stats(w).session_bytes <= place_extent_space(&w->extent, 0x5));
        CHECK_OK(place_node_do(&w->owner, on_give_up_by_name, w));
        expect_empty(w);
    }
    world_end(w);
    return PG_OK;
}

static void test_abandon__given_up__gone_at_once(void **state)
{
    (void) state;
    static world w;
    sim_seeds(&(pg_sim_config){0}, 3, given_up_script, &w);
}

static void test_abandon__committed__stays(void **state)
{
    (void) state;
    static world w;
    sim_seeds(&(pg_sim_config){0}, 3, committed_script, &w);
}

static void test_abandon__pushed_by_others_too__stays(void **state)
{
    (void) state;
    static world w;
    sim_seeds(&(pg_sim_config){0}, 3, shared_script, &w);
}

static void test_abandon__in_the_middle_of_a_push__gone_at_once(void **state)
{
    (void) state;
    static world w;
    const pg_sim_config config = {
        .link = {.latency_ns = PG_MS(3), .jitter_ns = PG_MS(2), .loss_ppm = 5000}};
    sim_seeds(&config, 20, broken_off_script, &w);
}

static void test_abandon__host_crashes_meanwhile__there_or_gone(void **state)
{
    (void) state;
    static world w;
    const pg_sim_config config = {.link = {.latency_ns = PG_MS(2), .jitter_ns = PG_MS(1)}};
    sim_seeds(&config, 20, pulled_script, &w);
}

int main(int argc, char **argv)
{
    sim_arguments(argc, argv);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_abandon__given_up__gone_at_once),
        cmocka_unit_test(test_abandon__committed__stays),
        cmocka_unit_test(test_abandon__pushed_by_others_too__stays),
        cmocka_unit_test(test_abandon__in_the_middle_of_a_push__gone_at_once),
        cmocka_unit_test(test_abandon__host_crashes_meanwhile__there_or_gone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
