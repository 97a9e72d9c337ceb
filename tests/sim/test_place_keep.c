// SPDX-License-Identifier: Apache-2.0
// Goal: a host gives back what nobody needs, but never before its time or when its clock cannot be trusted; it claims nothing that it lost,
// keeps what others said they hold, and what was pushed before an upload broke off.
// Method: one host and two owners; each test is a script of a few steps on their machines, whose clocks jump.
#include "base/mem.h"
#include "crypto/hash.h"
#include "place_set.h"
#include "runtime/random.h"

// ---- Time

static void days_pass(world *w, uint64_t days)
{
    // The machines need not run meanwhile: what counts is the clock when they do.
    place_node_stop(&w->host);
    pg_sim_machine_clock_jump(w->host.machine, (int64_t) (days * DAY_S) * 1000);
    CHECK(place_node_start(&w->host));
}

static pg_err expiry_script(void *arg)
{
    world *w = arg;
    world_make(w);
    CHECK_OK(place_node_do(&w->owner, on_upload, w)); // for 30 days
    days_pass(w, 36);
    sweep(w);
    CHECK(w->stats.leases == 1 && w->freed_bytes == 0); // expired, and in its grace
    days_pass(w, 2);
    sweep(w);
    CHECK(w->stats.leases == 0 && w->stats.expired_total == 1);
    CHECK(w->freed_bytes == place_extent_space(&w->extent, 0x5));
    CHECK(w->stats.lease_bytes + w->stats.session_bytes == 0);
    world_end(w);
    return PG_OK;
}

static void test_keep__expired__goes_after_its_grace(void **state)
{
    (void) state;
    static world w;
    sim_seeds(&(pg_sim_config){0}, 3, expiry_script, &w);
}

// ---- Missed grants

static size_t caught_up; // leases, by the last look

static pg_err on_catch_up(place_node *self, void *arg)
{
    (void) arg;
    return pg_place_server_catch_up(self->server, &caught_up);
}

// Look once, with `newest` as the answer; NULL: nobody knows.
static size_t catch_up(world *w, const pg_buf *newest)
{
    w->host.newest = newest;
    CHECK_OK(place_node_do(HOST, on_catch_up, w));
    w->host.newest = NULL;
    return caught_up;
}

// The lease has sequence 100 and 30 days. Nothing that a liar may answer changes it.
static void lies_are_ignored(world *w, uint64_t now_s)
{
    pg_buf lie = {0};
    CHECK(catch_up(w, NULL) == 0 && catch_up(w, &lie) == 0);
    place_grant(&w->extent, 0, 100, &lie); // a drop that is no later
    CHECK(catch_up(w, &lie) == 0);
    place_grant(&w->extent, now_s + 30 * DAY_S, 99, &lie); // older
    CHECK(catch_up(w, &lie) == 0);
    place_grant(&w->extent, now_s - DAY_S, 101, &lie); // over already
    CHECK(catch_up(w, &lie) == 0);
    place_grant(&w->extent, now_s + 61 * DAY_S, 101, &lie); // too far ahead
    CHECK(catch_up(w, &lie) == 0);
    place_grant(&w->second, 0, 101, &lie); // of another lease
    CHECK(catch_up(w, &lie) == 0);
    place_grant(&w->extent, 0, 101, &lie);
    lie.ptr[lie.len - 1] ^= 1; // not signed
    CHECK(catch_up(w, &lie) == 0);
    CHECK(stats(w).leases == 1 && w->stats.caught_up_total == 0);
    pg_buf_deinit(&lie);
}

static pg_err missed_script(void *arg)
{
    world *w = arg;
    pg_buf grant = {0};
    world_make(w);
    CHECK_OK(place_node_do(&w->owner, on_upload, w)); // for 30 days
    place_grant(&w->extent, place_now_s() + 50 * DAY_S, 101, &grant);
    CHECK(catch_up(w, &grant) == 0);                 // not asked yet: it does not end soon
    days_pass(w, 32);                                // expired, in its grace
    lies_are_ignored(w, place_now_s() + 32 * DAY_S); // its clock was set, ours was not
    CHECK(catch_up(w, &grant) == 1 && catch_up(w, &grant) == 0);
    days_pass(w, 10);
    sweep(w);
    CHECK(w->stats.leases == 1 && w->stats.caught_up_total == 0); // counted since the start
    days_pass(w, 8);
    place_grant(&w->extent, 0, 102, &grant);
    CHECK(catch_up(w, &grant) == 1);
    await_empty(w);
    CHECK(w->stats.leases == 0);
    // It is remembered as dropped: the grant before it does not come back.
    place_grant(&w->extent, place_now_s() + DAY_S, 101, &grant);
    CHECK(catch_up(w, &grant) == 0 && stats(w).leases == 0);
    pg_buf_deinit(&grant);
    world_end(w);
    return PG_OK;
}

static void test_keep__grants_missed__the_newest_counts_and_no_other(void **state)
{
    (void) state;
    static world w;
    sim_seeds(&(pg_sim_config){0}, 3, missed_script, &w);
}

// Placed for 30 days and dropped, placed for one and dropped: the first grant could be replayed for 30 days.
static pg_err on_twice(place_node *self, void *arg)
{
    world *w = arg;
    uint64_t known = 0;
    pg_buf grant = {0};
    CHECK_OK(on_upload(self, w));
    CHECK_OK(on_drop(self, w));
    pg_place_session *session = open_it(self, w);
    CHECK_OK(place_push_all(session, &w->extent, 0x1));
    place_grant(&w->extent, place_now_s() + DAY_S, 102, &grant);
    CHECK_OK(send_grant(session, &grant, 0x1, &known));
    CHECK_OK(place_drop(session, &w->extent, 103));
    pg_buf_deinit(&grant);
    pg_place_session_free(&session);
    return PG_OK;
}

static pg_err on_replay_first(place_node *self, void *arg)
{
    world *w = arg;
    pg_place_session *session = open_it(self, w);
    CHECK_OK(place_push_all(session, &w->extent, 0x5));
    CHECK_ERR(place_commit(session, &w->extent, 0x5, 100, NULL), PG_ERR_CHANGED);
    pg_place_session_free(&session);
    return PG_OK;
}

static pg_err twice_script(void *arg)
{
    world *w = arg;
    world_make(w);
    CHECK_OK(place_node_do(&w->owner, on_twice, w));
    days_pass(w, 10);
    sweep(w);
    CHECK_OK(place_node_do(&w->other, on_replay_first, w));
    world_end(w);
    return PG_OK;
}

static void test_keep__dropped_twice__remembers_the_furthest_expiry(void **state)
{
    (void) state;
    static world w;
    sim_seeds(&(pg_sim_config){0}, 2, twice_script, &w);
}

static void hours_pass(int64_t hours)
{
    CHECK_OK(pg_sleep_until(pg_after(PG_HOURS(hours))));
}

static pg_err jump_script(void *arg)
{
    world *w = arg;
    const int64_t year_ms = INT64_C(365) * 86400 * 1000;
    world_make(w);
    CHECK_OK(place_node_do(&w->owner, on_upload, w));
    sweep(w);
    pg_sim_machine_clock_jump(w->host.machine, year_ms);
    sweep(w);
    hours_pass(23); // the host sweeps by itself too
    CHECK(stats(w).leases == 1);
    pg_sim_machine_clock_jump(w->host.machine, -2 * year_ms);
    sweep(w);
    hours_pass(30);
    pg_sim_machine_clock_jump(w->host.machine, year_ms);
    sweep(w);
    CHECK(stats(w).leases == 1);
    hours_pass(30); // back where it was, and trusted again
    sweep(w);
    CHECK(stats(w).leases == 1);
    // A year ahead for good: a day later it is believed.
    pg_sim_machine_clock_jump(w->host.machine, year_ms);
    restart(w);
    sweep(w);
    CHECK(stats(w).leases == 1);
    hours_pass(26);
    CHECK(stats(w).leases == 0 && w->stats.lease_bytes + w->stats.session_bytes == 0);
    world_end(w);
    return PG_OK;
}

static void test_keep__clock_jumps_by_a_year__nothing_is_deleted_for_a_day(void **state)
{
    (void) state;
    static world w;
    sim_seeds(&(pg_sim_config){0}, 2, jump_script, &w);
}

static pg_err on_push_only(place_node *self, void *arg)
{
    world *w = arg;
    pg_place_session *session = open_it(self, w);
    CHECK_OK(place_push_all(session, &w->extent, 0x3));
    pg_place_session_free(&session);
    return PG_OK;
}

static pg_err on_ask_some(place_node *self, void *arg)
{
    world *w = arg;
    pg_place_session *session = open_it(self, w);
    pg_cid cids[2];
    bool has[2] = {false, true};
    pg_buf shard = {0};
    place_shard(&w->extent, 0, 0, &shard, &cids[0]);
    place_shard(&w->extent, 2, 0, &shard, &cids[1]);
    CHECK_OK(pg_place_ask(session, cids, 2, pg_after(PG_SECONDS(60)), has));
    CHECK(has[0] && !has[1]);
    pg_buf_deinit(&shard);
    pg_place_session_free(&session);
    return PG_OK;
}

static pg_err stray_script(void *arg)
{
    world *w = arg;
    world_make(w);
    CHECK_OK(place_node_do(&w->owner, on_push_only, w));
    uint64_t all = stats(w).session_bytes;
    CHECK(all == place_extent_space(&w->extent, 0x3));
    // A node that is started every day still forgets in time.
    days_pass(w, 1);
    CHECK_OK(place_node_do(&w->owner, on_ask_some, w)); // one is used again
    days_pass(w, 1);
    sweep(w);
    CHECK(w->freed_bytes == 0 && stats(w).session_bytes == all);
    days_pass(w, 1);
    sweep(w);
    CHECK(w->freed_bytes == all - 12288);
    CHECK(stats(w).session_bytes == 12288);
    world_end(w);
    return PG_OK;
}

static void test_keep__pushed_and_not_committed__goes_two_days_after_its_last_use(void **state)
{
    (void) state;
    static world w;
    sim_seeds(&(pg_sim_config){0}, 3, stray_script, &w);
}

// ---- Blocks that several need

static pg_err whole_commit(pg_place_session *session, const pg_identity *lease, const pg_cid *cid,
                           uint64_t expiry_s, uint64_t sequence)
{
    const pg_lease_grant grant = {
        .descriptor = *cid, .is_whole = true, .expiry_s = expiry_s, .sequence = sequence};
    pg_buf encoded = {0};
    uint64_t known = 0;
    CHECK_OK(pg_lease_grant_encode(lease, &grant, &encoded));
    pg_err err = send_grant(session, &encoded, expiry_s == 0 ? 0 : 1, &known);
    pg_buf_deinit(&encoded);
    return err;
}

// One block under two keys, which is also a shard of an extent.
static pg_err on_share(place_node *self, void *arg)
{
    world *w = arg;
    pg_cid cid;
    pg_buf shard = {0};
    pg_place_session *first = open_it(self, w);
    pg_place_session *second = NULL;
    pg_place_holding holding = {0};
    uint64_t expiry_s = place_now_s() + DAY_S;
    CHECK_OK(place_open(self, HOST, &w->second, &second));
    place_shard(&w->extent, 0, 0, &shard, &cid);
    CHECK_OK(whole_commit(second, &w->second.lease, &cid, expiry_s, 1));
    CHECK_OK(whole_commit(first, &w->extent.lease, &cid, expiry_s, 1));
    CHECK_ERR(whole_commit(second, &w->second.lease, &w->second.cid, expiry_s, 1),
              PG_ERR_NOT_FOUND);
    CHECK_OK(pg_place_have(self->host, &HOST->identity.peer_id, &cid, NULL, PG_FOREVER, &holding));
    CHECK(holding.slots == 1 && holding.has_descriptor && holding.expiry_s == expiry_s);
    CHECK_OK(place_drop(first, &w->extent, 101));
    CHECK_OK(whole_commit(second, &w->second.lease, &cid, 0, 2));
    pg_place_session_free(&second);
    pg_place_session_free(&first);
    pg_buf_deinit(&shard);
    return PG_OK;
}

static pg_err on_share_end(place_node *self, void *arg)
{
    world *w = arg;
    pg_cid cid;
    pg_buf shard = {0};
    pg_place_session *session = open_it(self, w);
    place_shard(&w->extent, 0, 0, &shard, &cid);
    CHECK_OK(whole_commit(session, &w->extent.lease, &cid, 0, 2));
    pg_place_session_free(&session);
    pg_buf_deinit(&shard);
    return PG_OK;
}

static pg_err share_script(void *arg)
{
    world *w = arg;
    world_make(w);
    CHECK_OK(place_node_do(&w->owner, on_upload, w));
    CHECK_OK(place_node_do(&w->owner, on_share, w));
    sweep(w);
    CHECK(w->stats.leases == 1 && w->stats.lease_bytes == 12288); // the block alone
    CHECK(w->stats.session_bytes == 0);
    restart(w);
    CHECK(stats(w).lease_bytes == 12288);
    CHECK_OK(place_node_do(&w->owner, on_share_end, w));
    await_empty(w);
    world_end(w);
    return PG_OK;
}

static void test_keep__shared_block__stays_until_its_last_lease_is_gone(void **state)
{
    (void) state;
    static world w;
    sim_seeds(&(pg_sim_config){0}, 3, share_script, &w);
}

#define RACE_BLOCKS 3U
#define RACE_ROUNDS 40U

// Between the server and its store: what takes an instant on a simulated disk takes a while, so that others come in between.
static bool is_store_slow;

static void store_slow(void)
{
    if (is_store_slow) {
        pg_fiber_shield(true);
        pg_ignore(pg_sleep_until(pg_after((int64_t) pg_random_below(PG_MS(20)))), "only a pause");
        pg_fiber_shield(false);
    }
}

// NOLINTBEGIN(bugprone-reserved-identifier,readability-identifier-naming): the linker's names for --wrap
pg_err __real_pg_block_store_put(pg_block_store *store, const pg_cid *cid, pg_bytes bytes);
pg_err __real_pg_block_store_delete(pg_block_store *store, const pg_cid *cid);
pg_err __wrap_pg_block_store_put(pg_block_store *store, const pg_cid *cid, pg_bytes bytes);
pg_err __wrap_pg_block_store_delete(pg_block_store *store, const pg_cid *cid);

pg_err __wrap_pg_block_store_put(pg_block_store *store, const pg_cid *cid, pg_bytes bytes)
{
    store_slow();
    pg_err err = __real_pg_block_store_put(store, cid, bytes);
    store_slow();
    return err;
}

pg_err __wrap_pg_block_store_delete(pg_block_store *store, const pg_cid *cid)
{
    store_slow();
    pg_err err = __real_pg_block_store_delete(store, cid);
    store_slow();
    return err;
}
// NOLINTEND(bugprone-reserved-identifier,readability-identifier-naming)

static pg_buf race_block(unsigned number, pg_cid *out_cid)
{
    pg_buf block = {0};
    uint8_t *space = NULL;
    CHECK_OK(pg_buf_extend(&block, 5000, &space));
    memset(space, (int) number + 1, 5000);
    *out_cid = pg_cid_of_blake3(pg_buf_bytes(&block));
    return block;
}

// Lease a block that others lease and drop meanwhile; what a receipt is for has to be there.
static void race_once(place_node *self, world *w, pg_place_session *session,
                      const pg_identity *lease, uint64_t sequence)
{
    pg_cid cid;
    pg_place_holding holding = {0};
    pg_buf block = race_block((unsigned) pg_random_below(RACE_BLOCKS), &cid);
    CHECK_OK(pg_place_push(session, &cid, pg_buf_bytes(&block), PG_FOREVER));
    CHECK_OK(pg_sleep_until(pg_after((int64_t) pg_random_below(PG_MS(30)))));
    // Meanwhile another may have dropped it: it was pushed, and stays.
    CHECK_OK(whole_commit(session, lease, &cid, place_now_s() + DAY_S, 2 * sequence));
    CHECK_OK(pg_sleep_until(pg_after((int64_t) pg_random_below(PG_MS(30)))));
    CHECK_OK(pg_place_have(self->host, &HOST->identity.peer_id, &cid, NULL, PG_FOREVER, &holding));
    CHECK(holding.slots == 1 && holding.has_descriptor);
    CHECK_OK(whole_commit(session, lease, &cid, 0, 2 * sequence + 1));
    pg_buf_deinit(&block);
}

static pg_err race_run(place_node *self, world *w, const place_extent *extent)
{
    pg_place_session *session = NULL;
    CHECK_OK(place_open(self, HOST, extent, &session));
    for (uint64_t i = 1; i <= RACE_ROUNDS; i++) {
        race_once(self, w, session, &extent->lease, i);
    }
    pg_place_session_free(&session);
    return PG_OK;
}

static pg_err on_race(place_node *self, void *arg)
{
    world *w = arg;
    return race_run(self, w, self == &w->owner ? &w->extent : &w->second);
}

static pg_err race_script(void *arg)
{
    world *w = arg;
    world_make(w);
    is_store_slow = true;
    pg_sim_machine_disk(w->host.machine, &(pg_sim_disk_faults){.latency_ns = PG_MS(3)});
    place_node_begin(&w->owner, on_race, w);
    place_node_begin(&w->other, on_race, w);
    CHECK_OK(place_node_wait(&w->owner, PG_HOURS(1)));
    CHECK_OK(place_node_wait(&w->other, PG_HOURS(1)));
    await_empty(w);
    is_store_slow = false;
    world_end(w);
    return PG_OK;
}

static void test_keep__leased_while_others_drop_it__a_receipt_holds(void **state)
{
    (void) state;
    static world w;
    sim_seeds(&(pg_sim_config){0}, 6, race_script, &w);
}

static pg_err on_needed_check(place_node *self, void *arg)
{
    world *w = arg;
    CHECK(pg_block_store_has(self->blocks, &w->extent.cid, NULL));
    CHECK(!pg_place_server_holds(self->server, &w->extent.cid));
    return PG_OK;
}

// A grant for a block that the host's owner has, and which nobody pushed: it counts from then on, but not when the commit fails.
static pg_err on_adopt(place_node *self, void *arg)
{
    world *w = arg;
    uint64_t known = 0;
    pg_buf grant = {0};
    pg_place_session *session = open_it(self, w);
    place_grant(&w->extent, place_now_s() + DAY_S, 200, &grant);
    CHECK_ERR(send_grant(session, &grant, 0x1, &known), PG_ERR_MISSING);
    CHECK_OK(whole_commit(session, &w->extent.lease, &w->extent.root, place_now_s() + DAY_S, 1));
    pg_buf_deinit(&grant);
    pg_place_session_free(&session);
    return PG_OK;
}

static pg_err on_put_own(place_node *self, void *arg)
{
    world *w = arg;
    CHECK_OK(pg_block_store_put(self->blocks, &w->extent.cid, pg_buf_bytes(&w->extent.descriptor)));
    return pg_block_store_put(self->blocks, &w->extent.root, pg_buf_bytes(&w->extent.root_block));
}

static pg_err adopt_script(void *arg)
{
    world *w = arg;
    world_make(w);
    place_extent_add_root(&w->extent, 5000);
    const pg_cid needed[] = {w->extent.cid, w->extent.root};
    w->host.needed = needed;
    w->host.needed_count = 2;
    CHECK_OK(place_node_do(&w->host, on_put_own, w));
    CHECK_OK(place_node_do(&w->owner, on_adopt, w));
    CHECK(stats(w).lease_bytes == 8192 && w->stats.session_bytes == 0);
    CHECK_OK(place_node_do(&w->host, on_needed_check, w));
    world_end(w);
    return PG_OK;
}

static void test_keep__own_block_under_a_grant__counts_while_it_is_leased(void **state)
{
    (void) state;
    static world w;
    sim_seeds(&(pg_sim_config){0}, 2, adopt_script, &w);
}

static pg_err needed_script(void *arg)
{
    world *w = arg;
    world_make(w);
    w->host.needed = &w->extent.cid;
    w->host.needed_count = 1;
    CHECK_OK(place_node_do(&w->owner, on_upload, w));
    CHECK_OK(place_node_do(&w->owner, on_drop, w));
    await_empty(w);
    CHECK_OK(place_node_do(&w->host, on_needed_check, w));
    restart(w); // and is nobody's stray then
    CHECK(stats(w).session_bytes == 0);
    CHECK_OK(place_node_do(&w->host, on_needed_check, w));
    world_end(w);
    return PG_OK;
}

static void test_keep__block_needed_otherwise__is_not_deleted(void **state)
{
    (void) state;
    static world w;
    sim_seeds(&(pg_sim_config){0}, 3, needed_script, &w);
}

// ---- Damage

static pg_err on_lose_shard(place_node *self, void *arg)
{
    world *w = arg;
    pg_cid cid;
    pg_buf shard = {0};
    place_shard(&w->extent, 2, 1, &shard, &cid);
    pg_place_server_lost(self->server, &cid); // a mistake: it is there
    CHECK(pg_place_server_holds(self->server, &cid));
    CHECK_OK(pg_block_store_delete(self->blocks, &cid));
    pg_place_server_lost(self->server, &cid);
    CHECK(!pg_place_server_holds(self->server, &cid));
    pg_buf_deinit(&shard);
    return PG_OK;
}

static pg_err on_lost_check(place_node *self, void *arg)
{
    world *w = arg;
    expect_slots(self, w, 0x1, 100); // slot 2 is no longer claimed
    CHECK_OK(place_upload(self, HOST, &w->extent, 0x4, 100));
    expect_slots(self, w, 0x5, 100);
    return PG_OK;
}

static pg_err on_lose_descriptor(place_node *self, void *arg)
{
    world *w = arg;
    CHECK_OK(pg_block_store_delete(self->blocks, &w->extent.cid));
    pg_place_server_lost(self->server, &w->extent.cid);
    return PG_OK;
}

static pg_err on_bare_check(place_node *self, void *arg)
{
    world *w = arg;
    pg_place_holding holding = {0};
    CHECK_OK(place_have(self, HOST, &w->extent, &holding));
    CHECK(holding.slots == 0x5 && !holding.has_descriptor);
    pg_place_session *session = open_it(self, w);
    CHECK_ERR(place_commit(session, &w->extent, 0, 101, NULL), PG_ERR_NOT_FOUND);
    CHECK_OK(
        pg_place_push(session, &w->extent.cid, pg_buf_bytes(&w->extent.descriptor), PG_FOREVER));
    CHECK_OK(place_commit(session, &w->extent, 0, 101, NULL));
    pg_place_session_free(&session);
    expect_slots(self, w, 0x5, 101);
    return PG_OK;
}

// Behind the server's back, as a disk that went bad while the node was off.
static pg_err on_delete_unseen(place_node *self, void *arg)
{
    world *w = arg;
    pg_cid cid;
    pg_buf shard = {0};
    place_shard(&w->extent, 0, 2, &shard, &cid);
    CHECK_OK(pg_block_store_delete(self->blocks, &cid));
    pg_buf_deinit(&shard);
    return PG_OK;
}

static pg_err on_unseen_check(place_node *self, void *arg)
{
    expect_slots(self, arg, 0x4, 101);
    return PG_OK;
}

static pg_err lost_script(void *arg)
{
    world *w = arg;
    world_make(w);
    CHECK_OK(place_node_do(&w->owner, on_upload, w));
    CHECK_OK(place_node_do(&w->host, on_lose_shard, w));
    sweep(w);
    // The rest of the slot waits for its repair.
    CHECK(w->freed_bytes == 0 && w->stats.session_bytes == UINT64_C(2) * 12288);
    CHECK_OK(place_node_do(&w->owner, on_lost_check, w));
    CHECK_OK(place_node_do(&w->host, on_lose_descriptor, w));
    CHECK_OK(place_node_do(&w->owner, on_bare_check, w));
    CHECK_OK(place_node_do(&w->host, on_delete_unseen, w));
    restart(w);
    CHECK_OK(place_node_do(&w->owner, on_unseen_check, w));
    CHECK(stats(w).session_bytes == UINT64_C(2) * 12288);
    world_end(w);
    return PG_OK;
}

static void test_keep__block_lost__its_slot_is_no_longer_claimed(void **state)
{
    (void) state;
    static world w;
    sim_seeds(&(pg_sim_config){0}, 3, lost_script, &w);
}

// ---- Receipts of others, listings

static void receipt_of(const pg_identity *host, const pg_cid *descriptor, uint64_t sequence,
                       uint64_t time_s, pg_buf *out)
{
    const pg_lease_receipt receipt = {
        .descriptor = *descriptor,
        .slots = 2,
        .sequence = sequence,
        .expiry_s = 1900000000,
        .time_s = time_s,
    };
    pg_buf_clear(out);
    CHECK_OK(pg_lease_receipt_encode(host, &receipt, out));
}

static pg_err commit_with_receipt(pg_place_session *session, const world *w, uint64_t sequence,
                                  const pg_buf *receipt)
{
    pg_buf grant = {0};
    pg_lease_receipt got = {0};
    pg_bytes receipts[] = {pg_buf_bytes(receipt)};
    place_grant(&w->extent, place_now_s() + DAY_S, sequence, &grant);
    const pg_place_commit commit = {
        .grant = pg_buf_bytes(&grant), .receipts = receipts, .receipt_count = 1};
    pg_err err = pg_place_commit_send(session, &commit, PG_FOREVER, &got, NULL, NULL);
    pg_buf_deinit(&grant);
    return err;
}

static pg_err on_receipts(place_node *self, void *arg)
{
    world *w = arg;
    const pg_identity *third = &w->other.identity;
    pg_place_session *session = open_it(self, w);
    pg_buf receipt = {0};
    pg_place_holding holding = {0};
    receipt_of(third, &w->extent.cid, 90, 5, &receipt);
    CHECK_OK(commit_with_receipt(session, w, 110, &receipt));
    receipt_of(third, &w->extent.cid, 90, 7, &receipt); // newer: in its place
    CHECK_OK(commit_with_receipt(session, w, 111, &receipt));
    receipt_of(third, &w->extent.cid, 89, 9, &receipt); // of an older grant: not
    CHECK_OK(commit_with_receipt(session, w, 112, &receipt));
    receipt_of(&self->identity, &w->extent.cid, 1, 1, &receipt);
    CHECK_OK(commit_with_receipt(session, w, 113, &receipt));
    CHECK_OK(place_have(self, HOST, &w->extent, &holding));
    CHECK(holding.receipt_count == 2 && holding.receipts[0].time_s == 7);
    CHECK(pg_peer_id_equal(&holding.receipts[0].host, &third->peer_id));
    CHECK(pg_peer_id_equal(&holding.receipts[1].host, &self->identity.peer_id));
    // Of another extent, of a grant that does not exist yet, of the host itself, of nobody.
    receipt_of(third, &w->second.cid, 90, 9, &receipt);
    CHECK_ERR(commit_with_receipt(session, w, 114, &receipt), PG_ERR_AUTH);
    receipt_of(third, &w->extent.cid, 999, 9, &receipt);
    CHECK_ERR(commit_with_receipt(session, w, 114, &receipt), PG_ERR_AUTH);
    receipt_of(&w->host.identity, &w->extent.cid, 90, 9, &receipt);
    CHECK_ERR(commit_with_receipt(session, w, 114, &receipt), PG_ERR_AUTH);
    receipt_of(third, &w->extent.cid, 90, 11, &receipt);
    receipt.ptr[receipt.len - 1] ^= 1;
    CHECK_ERR(commit_with_receipt(session, w, 114, &receipt), PG_ERR_AUTH);
    pg_buf_deinit(&receipt);
    pg_place_session_free(&session);
    return PG_OK;
}

// More hosts than are kept: those of the oldest grants go.
static pg_err on_many_receipts(place_node *self, void *arg)
{
    world *w = arg;
    pg_place_session *session = open_it(self, w);
    pg_buf receipt = {0};
    pg_place_holding holding = {0};
    for (unsigned i = 0; i < PG_PLACE_RECEIPTS_MAX + 10; i++) {
        pg_identity host = {0};
        pg_key seed = {.bytes = {0x77, (uint8_t) i}};
        CHECK_OK(pg_identity_init(&host, &seed));
        receipt_of(&host, &w->extent.cid, 90, 100 + i, &receipt);
        CHECK_OK(commit_with_receipt(session, w, 200 + i, &receipt));
        pg_identity_deinit(&host);
    }
    CHECK_OK(place_have(self, HOST, &w->extent, &holding));
    CHECK(holding.receipt_count == PG_PLACE_RECEIPTS_MAX);
    CHECK(holding.receipts[0].time_s == 100 + PG_PLACE_RECEIPTS_MAX + 9);
    const pg_place_holding all = holding;
    CHECK_OK(pg_place_have_slots(self->host, &HOST->identity.peer_id, &w->extent.cid, PG_FOREVER,
                                 &holding));
    CHECK(holding.receipt_count == 0 && holding.slots == all.slots && holding.slots != 0);
    CHECK(holding.has_descriptor && holding.sequence == all.sequence);
    CHECK(holding.expiry_s == all.expiry_s);
    CHECK(holding.has_fill == all.has_fill && holding.fill == all.fill);
    pg_buf_deinit(&receipt);
    pg_place_session_free(&session);
    return PG_OK;
}

/** What a listing told. */
typedef struct listing {
    const world *w;
    unsigned count;
} listing;

static void on_lease(const pg_place_lease *lease, void *user)
{
    listing *list = user;
    const world *w = list->w;
    CHECK(pg_cid_equal(&lease->descriptor, &w->extent.cid));
    CHECK(!lease->is_whole && lease->slots == 0x5 && lease->sequence == 100);
    CHECK(lease->bytes == place_extent_space(&w->extent, 0x5));
    CHECK(pg_peer_id_equal(&lease->uploader, &w->owner.identity.peer_id));
    list->count++;
}

static pg_err on_list(place_node *self, void *arg)
{
    listing list = {.w = arg};
    CHECK_OK(pg_place_server_leases(self->server, on_lease, &list));
    CHECK(list.count == 1);
    return PG_OK;
}

static pg_err receipts_script(void *arg)
{
    world *w = arg;
    world_make(w);
    place_extent_add_root(&w->extent, 5000);
    CHECK_OK(place_node_do(&w->owner, on_upload, w));
    CHECK_OK(place_node_do(&w->host, on_list, w));
    CHECK_OK(place_node_do(&w->owner, on_receipts, w));
    CHECK_OK(place_node_do(&w->owner, on_many_receipts, w));
    world_end(w);
    return PG_OK;
}

static void test_keep__receipts_of_others__the_newest_are_kept_and_passed_on(void **state)
{
    (void) state;
    static world w;
    sim_seeds(&(pg_sim_config){0}, 1, receipts_script, &w);
}

// ---- Out of memory

/** One try with little memory. */
typedef struct hungry {
    world *w;
    uint64_t nth;
    uint64_t sequence;
    bool was_hungry;
    pg_err err;
} hungry;

static pg_err on_hungry(place_node *self, void *arg)
{
    hungry *try = arg;
    world *w = try->w;
    pg_mem_fail_nth(try->nth);
    pg_place_session *session = NULL;
    try->err = pg_place_open(self->host, &HOST->identity.peer_id, w->extent.lease.public_key, 0,
                             pg_after(PG_SECONDS(60)), &session);
    if (try->err == PG_OK) {
        try->err = pg_place_push(session, &w->extent.cid, pg_buf_bytes(&w->extent.descriptor),
                                 pg_after(PG_SECONDS(60)));
    }
    if (try->err == PG_OK) {
        const pg_lease_grant grant = {
            .descriptor = w->extent.cid,
            .expiry_s = place_now_s() + DAY_S,
            .sequence = try->sequence,
        };
        pg_buf encoded = {0};
        uint64_t known = 0;
        try->err = pg_lease_grant_encode(&w->extent.lease, &grant, &encoded);
        if (try->err == PG_OK) {
            try->err = send_grant(session, &encoded, 0, &known);
        }
        pg_buf_deinit(&encoded);
    }
    pg_place_session_free(&session);
    try->was_hungry = pg_mem_failed();
    pg_mem_fail_nth(0);
    return PG_OK;
}

static pg_err on_fed(place_node *self, void *arg)
{
    const hungry *try = arg;
    world *w = try->w;
    pg_place_holding holding = {0};
    CHECK_OK(place_have(self, HOST, &w->extent, &holding));
    CHECK(holding.slots == 0x5 && holding.has_descriptor);
    CHECK(holding.sequence <= try->sequence);
    CHECK(try->err != PG_OK || holding.sequence == try->sequence);
    return PG_OK;
}

static pg_err hungry_script(void *arg)
{
    world *w = arg;
    hungry try = {.w = w, .sequence = 100, .was_hungry = true};
    world_make(w);
    CHECK_OK(place_node_do(&w->owner, on_upload, w));
    for (try.nth = 1; try.was_hungry; try.nth++) {
        try.sequence++;
        CHECK_OK(place_node_do(&w->owner, on_hungry, &try));
        CHECK_OK(place_node_do(&w->owner, on_fed, &try));
    }
    CHECK(try.nth > 50 && try.err == PG_OK);
    world_end(w);
    return PG_OK;
}

static void test_keep__memory_is_out_anywhere__no_promise_is_broken(void **state)
{
    (void) state;
    static world w;
    sim_seeds(&(pg_sim_config){0}, 1, hungry_script, &w);
}

// ---- Interrupted uploads

static pg_err on_push_some(place_node *self, void *arg)
{
    world *w = arg;
    pg_place_session *session = open_it(self, w);
    pg_err err = place_push_all(session, &w->extent, 0xf);
    pg_place_session_free(&session);
    return err;
}

// Ask, and push only what is not there.
static pg_err on_resume(place_node *self, void *arg)
{
    world *w = arg;
    pg_place_session *session = open_it(self, w);
    pg_cid cids[12];
    bool has[12];
    pg_buf shard = {0};
    unsigned found = 0;
    for (unsigned i = 0; i < 12; i++) {
        place_shard(&w->extent, i / 3, i % 3, &shard, &cids[i]);
    }
    CHECK_OK(pg_place_ask(session, cids, 12, pg_after(PG_SECONDS(60)), has));
    for (unsigned i = 0; i < 12; i++) {
        found += has[i];
        if (!has[i]) {
            place_shard(&w->extent, i / 3, i % 3, &shard, &cids[i]);
            CHECK_OK(pg_place_push(session, &cids[i], pg_buf_bytes(&shard), PG_FOREVER));
        }
    }
    CHECK_OK(
        pg_place_push(session, &w->extent.cid, pg_buf_bytes(&w->extent.descriptor), PG_FOREVER));
    CHECK(found > 0 && found < 12);
    CHECK_OK(place_commit(session, &w->extent, 0xf, 1, NULL));
    expect_slots(self, w, 0xf, 1);
    pg_buf_deinit(&shard);
    pg_place_session_free(&session);
    return PG_OK;
}

static pg_err partition_script(void *arg)
{
    world *w = arg;
    // Slow, so that the cut comes in the middle.
    const pg_sim_link slow = {.latency_ns = PG_MS(20), .bytes_per_second = 40000};
    world_make(w);
    pg_sim_link_set(w->host.machine, w->owner.machine, &slow);
    place_node_begin(&w->owner, on_push_some, w);
    CHECK(place_node_wait(&w->owner, PG_MS(2200)) == PG_ERR_BUSY);
    pg_sim_partition(w->host.machine, w->owner.machine, true);
    CHECK(place_node_wait(&w->owner, PG_MINUTES(3)) != PG_OK);
    CHECK_OK(pg_sleep_until(pg_after(PG_MINUTES(3))));
    // What was on its way when the line went dead is not accounted for any more.
    CHECK_OK(place_node_do(HOST, on_account, w));
    CHECK(stats(w).session_bytes > 0);
    pg_sim_partition(w->host.machine, w->owner.machine, false);
    restart(w);
    CHECK_OK(place_node_do(&w->owner, on_resume, w));
    CHECK(stats(w).session_bytes == 0);
    world_end(w);
    return PG_OK;
}

static void test_keep__partition_in_a_push__is_resumed_with_ask(void **state)
{
    (void) state;
    static world w;
    sim_seeds(&(pg_sim_config){0}, 4, partition_script, &w);
}

int main(int argc, char **argv)
{
    sim_arguments(argc, argv);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_keep__expired__goes_after_its_grace),
        cmocka_unit_test(test_keep__grants_missed__the_newest_counts_and_no_other),
        cmocka_unit_test(test_keep__dropped_twice__remembers_the_furthest_expiry),
        cmocka_unit_test(test_keep__clock_jumps_by_a_year__nothing_is_deleted_for_a_day),
        cmocka_unit_test(test_keep__pushed_and_not_committed__goes_two_days_after_its_last_use),
        cmocka_unit_test(test_keep__shared_block__stays_until_its_last_lease_is_gone),
        cmocka_unit_test(test_keep__leased_while_others_drop_it__a_receipt_holds),
        cmocka_unit_test(test_keep__block_needed_otherwise__is_not_deleted),
        cmocka_unit_test(test_keep__own_block_under_a_grant__counts_while_it_is_leased),
        cmocka_unit_test(test_keep__block_lost__its_slot_is_no_longer_claimed),
        cmocka_unit_test(test_keep__receipts_of_others__the_newest_are_kept_and_passed_on),
        cmocka_unit_test(test_keep__memory_is_out_anywhere__no_promise_is_broken),
        cmocka_unit_test(test_keep__partition_in_a_push__is_resumed_with_ask),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
