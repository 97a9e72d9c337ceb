// SPDX-License-Identifier: Apache-2.0
// Goal: blocks go from peer to peer by Bitswap on bad networks: fetched from one, from whoever has it, asked for; a want can be
//       cancelled; crashes and ends in the middle leave nobody waiting; and nothing is left over.
// Method: machines with real cryptography and block stores, loss and jitter. Every seed is a run of its own; PG_SIM_SEEDS=N runs more.
#include "sim_blocks.h"

#define BLOCKS 24
#define FIBERS 8

// Lengths at and around everything that counts: nothing, what is given whole, what is copied, one window, one piece.
static size_t block_len(uint64_t number)
{
    static const size_t lens[] = {0,     1,     1000,   4096,   4097,   8192,
                                  16384, 16385, 100000, 262144, 300000, 1 << 20};
    return lens[number % PG_ARRAY_LEN(lens)] + (number < PG_ARRAY_LEN(lens) ? 0 : 1);
}

static pg_err put_all(sim_node *self)
{
    for (uint64_t i = 0; i < BLOCKS; i++) {
        sim_block_put(self, i, block_len(i));
    }
    return PG_OK;
}

// ---- Fetching

/** Fetches every FIBERS-th block from machine 0. */
typedef struct fetcher {
    sim_node *self;
    uint64_t first;
} fetcher;

static pg_err block_check(uint64_t number, pg_bytes got)
{
    pg_cid cid;
    pg_buf block = sim_block_make(number, block_len(number), &cid);
    bool is_equal = pg_bytes_equal(got, pg_buf_bytes(&block));
    pg_buf_deinit(&block);
    SIM_CHECK(is_equal);
    return PG_OK;
}

static pg_err fetch_number(sim_node *self, const sim_node *from, uint64_t number)
{
    pg_buf got = {0};
    pg_cid cid = sim_block_cid(number, block_len(number));
    pg_err err = pg_bitswap_fetch(self->bitswap, &from->id, &cid, pg_after(PG_MINUTES(3)), &got);
    if (err == PG_OK) {
        err = block_check(number, pg_buf_bytes(&got));
    }
    pg_buf_deinit(&got);
    return err;
}

static pg_err fetcher_run(void *arg)
{
    const fetcher *it = arg;
    for (uint64_t i = it->first; i < BLOCKS; i += FIBERS) {
        PG_TRY(fetch_number(it->self, &it->self->all->nodes[0], i));
    }
    return PG_OK;
}

static pg_err fetch_all(sim_node *self)
{
    fetcher fetchers[FIBERS];
    pg_scope scope;
    sim_node_meet(self, &self->all->nodes[0]);
    pg_scope_init(&scope);
    for (size_t i = 0; i < FIBERS; i++) {
        fetchers[i] = (fetcher){self, i};
        CHECK_OK(pg_scope_spawn(&scope, "sim.fetcher", fetcher_run, &fetchers[i]));
    }
    return pg_scope_join(&scope);
}

static pg_err fetch_absent(sim_node *self)
{
    pg_buf got = {0};
    CHECK_OK(pg_buf_append(&got, PG_BYTES_LIT("before")));
    pg_cid cid = sim_block_cid(1000, 500);
    const pg_peer_id *peer = &self->all->nodes[0].id;
    pg_err err = pg_bitswap_fetch(self->bitswap, peer, &cid, pg_after(PG_MINUTES(1)), &got);
    SIM_CHECK(err == PG_ERR_NOT_FOUND && got.len == 6);
    // appended to what is there, and within the buffer's own limit
    cid = sim_block_cid(2, block_len(2));
    got.max_len = 1005;
    err = pg_bitswap_fetch(self->bitswap, peer, &cid, pg_after(PG_MINUTES(1)), &got);
    SIM_CHECK(err == PG_ERR_LIMIT && got.len == 6);
    got.max_len = 1006;
    CHECK_OK(pg_bitswap_fetch(self->bitswap, peer, &cid, pg_after(PG_MINUTES(1)), &got));
    SIM_CHECK(got.len == 1006);
    PG_TRY(block_check(2, pg_bytes_slice(pg_buf_bytes(&got), 6, 1000)));
    pg_buf_deinit(&got);

    pg_multihash inside;
    CHECK_OK(pg_multihash_make(0, PG_BYTES_LIT("inline"), &inside));
    cid = pg_cid_make(PG_CID_CODEC_RAW, &inside);
    err = pg_bitswap_fetch(self->bitswap, peer, &cid, pg_after(PG_MINUTES(1)), &got);
    SIM_CHECK(err == PG_ERR_UNSUPPORTED);
    return PG_OK;
}

static pg_err fetch_script(void *arg)
{
    sim_nodes *all = arg;
    sim_nodes_make(all, 3, 3, NULL);
    CHECK_OK(sim_task_run(&all->nodes[0], put_all));
    sim_task_begin(&all->nodes[1], fetch_all);
    sim_task_begin(&all->nodes[2], fetch_all);
    CHECK_OK(sim_task_end(&all->nodes[1], PG_MINUTES(10)));
    CHECK_OK(sim_task_end(&all->nodes[2], PG_MINUTES(10)));
    CHECK_OK(sim_task_run(&all->nodes[2], fetch_absent));
    SIM_AWAIT(pg_bitswap_get_stats(all->nodes[0].bitswap).wants_held == 0); // cancelled
    pg_bitswap_stats server = pg_bitswap_get_stats(all->nodes[0].bitswap);
    pg_bitswap_stats client = pg_bitswap_get_stats(all->nodes[1].bitswap);
    CHECK(client.blocks_received == BLOCKS && client.blocks_refused == 0);
    CHECK(client.fetches_running == 0 && client.blocks_sent == 0);
    CHECK(server.blocks_sent == 2 * BLOCKS + 2 && server.wants_served == 2 * BLOCKS + 2);
    CHECK(server.wants_unserved == 1);
    sim_nodes_stop(all);
    return PG_OK;
}

// ---- Any of many

static pg_err put_third(sim_node *self)
{
    for (uint64_t i = 0; i < BLOCKS; i++) {
        if (i % 3 == self->number % 3) {
            sim_block_put(self, i, block_len(i));
        }
    }
    return PG_OK;
}

static pg_err fetch_any_number(sim_node *self, const pg_peer_id *peers, size_t count,
                               uint64_t number)
{
    const pg_bitswap_sources sources = {peers, count};
    pg_buf got = {0};
    pg_peer_id from = {0};
    pg_cid cid = sim_block_cid(number, block_len(number));
    pg_err err = pg_bitswap_fetch_any(self->bitswap, count == 0 ? NULL : &sources, &cid,
                                      pg_after(PG_MINUTES(2)), &got, &from);
    if (err == PG_OK) {
        err = block_check(number, pg_buf_bytes(&got));
        SIM_CHECK(pg_peer_id_equal(&from, &self->all->nodes[number % 3].id));
    }
    pg_buf_deinit(&got);
    return err;
}

static pg_err any_of_connected(sim_node *self)
{
    SIM_CHECK(fetch_any_number(self, NULL, 0, 0) == PG_ERR_NOT_FOUND); // nobody to ask
    for (size_t i = 0; i < 3; i++) {
        PG_TRY(sim_node_connect(self, &self->all->nodes[i]));
    }
    for (uint64_t i = 0; i < BLOCKS; i++) {
        PG_TRY(fetch_any_number(self, NULL, 0, i));
    }
    SIM_CHECK(fetch_any_number(self, NULL, 0, 1000) == PG_ERR_NOT_FOUND);
    return PG_OK;
}

// One of the peers has crashed, one is named twice, and one speaks no Bitswap.
static pg_err any_of_named(sim_node *self)
{
    sim_node *nodes = self->all->nodes;
    pg_peer_id peers[5];
    for (size_t i = 0; i < 5; i++) {
        peers[i] = nodes[i == 3 ? 0 : i].id;
        sim_node_meet(self, &nodes[i == 3 ? 0 : i]);
    }
    pg_time start = pg_now();
    PG_TRY(fetch_any_number(self, peers, 5, 3));  // machine 0 has it
    SIM_CHECK(pg_now() < start + PG_SECONDS(10)); // whoever does not answer is not waited for
    SIM_CHECK(fetch_any_number(self, peers, 5, 1) == PG_ERR_NOT_FOUND); // machine 1 had it
    return PG_OK;
}

static pg_err any_of_dead(sim_node *self)
{
    pg_peer_id peer = self->all->nodes[1].id;
    pg_err err = fetch_any_number(self, &peer, 1, 1);
    SIM_CHECK(err != PG_OK && err != PG_ERR_NOT_FOUND &&
              err != PG_ERR_TIMEOUT); // nobody could tell
    peer = self->all->nodes[4].id;
    SIM_CHECK(fetch_any_number(self, &peer, 1, 1) == PG_ERR_UNSUPPORTED);
    return PG_OK;
}

static pg_err any_script(void *arg)
{
    sim_nodes *all = arg;
    sim_nodes_make(all, 5, 4, NULL);
    for (size_t i = 0; i < 3; i++) {
        CHECK_OK(sim_task_run(&all->nodes[i], put_third));
    }
    CHECK_OK(sim_task_run(&all->nodes[3], any_of_connected));
    CHECK(pg_bitswap_get_stats(all->nodes[3].bitswap).blocks_refused == 0);
    pg_sim_machine_crash(all->nodes[1].machine);
    all->nodes[1].is_up = false;
    CHECK_OK(pg_sleep_until(pg_after(PG_MINUTES(2)))); // the connections are seen to be dead
    CHECK_OK(sim_task_run(&all->nodes[3], any_of_named));
    CHECK_OK(sim_task_run(&all->nodes[3], any_of_dead));
    sim_nodes_stop(all);
    return PG_OK;
}

// ---- Who has what

static pg_err ask_all(sim_node *self)
{
    static pg_cid cids[PG_BITSWAP_WANTS_MAX];
    static bool has[PG_BITSWAP_WANTS_MAX];
    const sim_node *server = &self->all->nodes[0];
    sim_node_meet(self, server);
    for (uint64_t i = 0; i < PG_BITSWAP_WANTS_MAX; i++) {
        cids[i] = sim_block_cid(i, i < BLOCKS ? block_len(i) : 10);
    }
    PG_TRY(pg_bitswap_ask(self->bitswap, &server->id, cids, PG_BITSWAP_WANTS_MAX,
                          pg_after(PG_MINUTES(5)), has));
    for (uint64_t i = 0; i < PG_BITSWAP_WANTS_MAX; i++) {
        SIM_CHECK(has[i] == (i < BLOCKS));
    }
    PG_TRY(pg_bitswap_ask(self->bitswap, &server->id, cids, 0, pg_after(PG_MINUTES(5)), has));
    return fetch_number(self, server, 5); // there was room for it
}

static pg_err ask_script(void *arg)
{
    sim_nodes *all = arg;
    sim_nodes_make(all, 2, 2, NULL);
    CHECK_OK(sim_task_run(&all->nodes[0], put_all));
    CHECK_OK(sim_task_run(&all->nodes[1], ask_all));
    pg_bitswap *server = all->nodes[0].bitswap;
    SIM_AWAIT(pg_bitswap_get_stats(server).wants_served == BLOCKS + 1);
    CHECK(pg_bitswap_get_stats(server).wants_unserved == PG_BITSWAP_WANTS_MAX - BLOCKS);
    SIM_AWAIT(pg_bitswap_get_stats(server).wants_held == 0);
    sim_nodes_stop(all);
    return PG_OK;
}

// ---- More wants than there is room for

static pg_err fetch_one_of_many(void *arg)
{
    const fetcher *it = arg;
    return fetch_number(it->self, &it->self->all->nodes[0], it->first % BLOCKS);
}

static pg_err fetch_crowd(sim_node *self)
{
    static fetcher fetchers[1500];
    pg_scope scope;
    sim_node_meet(self, &self->all->nodes[0]);
    pg_scope_init(&scope);
    for (size_t i = 0; i < PG_ARRAY_LEN(fetchers); i++) {
        fetchers[i] = (fetcher){self, i};
        CHECK_OK(pg_scope_spawn(&scope, "sim.fetcher", fetch_one_of_many, &fetchers[i]));
    }
    return pg_scope_join(&scope);
}

// Ask for more than a peer may want at once, in several fibers: those beyond wait for room.
static pg_err ask_thousand(void *arg)
{
    const fetcher *it = arg;
    enum { COUNT = 1000 };
    pg_cid *cids = pg_calloc(COUNT, sizeof(pg_cid));
    bool *has = pg_calloc(COUNT, sizeof(bool));
    CHECK(cids != NULL && has != NULL);
    for (uint64_t i = 0; i < COUNT; i++) {
        cids[i] = sim_block_cid(it->first * COUNT + i, 10);
    }
    pg_err err = pg_bitswap_ask(it->self->bitswap, &it->self->all->nodes[0].id, cids, COUNT,
                                pg_after(PG_MINUTES(5)), has);
    pg_mfree(cids);
    pg_mfree(has);
    return err;
}

static pg_err ask_crowd(sim_node *self)
{
    fetcher askers[5];
    pg_scope scope;
    pg_scope_init(&scope);
    for (size_t i = 0; i < PG_ARRAY_LEN(askers); i++) {
        askers[i] = (fetcher){self, i};
        CHECK_OK(pg_scope_spawn(&scope, "sim.asker", ask_thousand, &askers[i]));
    }
    return pg_scope_join(&scope);
}

static pg_err crowd_script(void *arg)
{
    sim_nodes *all = arg;
    sim_nodes_make(all, 2, 2, NULL);
    CHECK_OK(sim_task_run(&all->nodes[0], put_all));
    CHECK_OK(sim_task_run(&all->nodes[1], fetch_crowd));
    // a block that many wait for comes once
    CHECK(pg_bitswap_get_stats(all->nodes[0].bitswap).blocks_sent == BLOCKS);
    CHECK_OK(sim_task_run(&all->nodes[1], ask_crowd));
    CHECK(pg_bitswap_get_stats(all->nodes[0].bitswap).wants_held <= PG_BITSWAP_WANTS_MAX);
    sim_nodes_stop(all);
    return PG_OK;
}

// ---- Both ways at once

static pg_err put_own(sim_node *self)
{
    for (uint64_t i = 0; i < 40; i++) {
        sim_block_put(self, 100 * self->number + i, 200000);
    }
    return PG_OK;
}

static pg_err fetch_other(void *arg)
{
    const fetcher *it = arg;
    sim_node *self = it->self;
    const sim_node *other = &self->all->nodes[1 - self->number];
    pg_buf got = {0};
    pg_cid cid = sim_block_cid(100 * other->number + it->first, 200000);
    PG_TRY(pg_bitswap_fetch(self->bitswap, &other->id, &cid, pg_after(PG_MINUTES(5)), &got));
    SIM_CHECK(got.len == 200000);
    pg_buf_deinit(&got);
    return PG_OK;
}

static pg_err fetch_others(sim_node *self)
{
    fetcher fetchers[40];
    pg_scope scope;
    sim_node_meet(self, &self->all->nodes[1 - self->number]);
    pg_scope_init(&scope);
    for (size_t i = 0; i < PG_ARRAY_LEN(fetchers); i++) {
        fetchers[i] = (fetcher){self, i};
        CHECK_OK(pg_scope_spawn(&scope, "sim.fetcher", fetch_other, &fetchers[i]));
    }
    return pg_scope_join(&scope);
}

static pg_err both_script(void *arg)
{
    sim_nodes *all = arg;
    sim_nodes_make(all, 2, 2, NULL);
    for (size_t i = 0; i < 2; i++) {
        CHECK_OK(sim_task_run(&all->nodes[i], put_own));
    }
    for (size_t i = 0; i < 2; i++) {
        sim_task_begin(&all->nodes[i], fetch_others);
    }
    for (size_t i = 0; i < 2; i++) {
        CHECK_OK(sim_task_end(&all->nodes[i], PG_MINUTES(5)));
    }
    sim_nodes_stop(all);
    return PG_OK;
}

// ---- Giving up, and being given up

#define IMPATIENT 12
#define IMPATIENT_BYTES ((size_t) 1 << 20)

static pg_err put_impatient(sim_node *self)
{
    for (uint64_t i = 0; i < IMPATIENT; i++) {
        sim_block_put(self, i, IMPATIENT_BYTES);
    }
    return PG_OK;
}

// Fetch each block for a tenth of the time that it takes.
static pg_err fetch_impatient(sim_node *self)
{
    pg_buf got = {0};
    PG_TRY(sim_node_connect(self, &self->all->nodes[0]));
    for (uint64_t i = 0; i < IMPATIENT; i++) {
        pg_cid cid = sim_block_cid(i, IMPATIENT_BYTES);
        pg_err err = pg_bitswap_fetch(self->bitswap, &self->all->nodes[0].id, &cid,
                                      pg_after(PG_MS(200)), &got);
        SIM_CHECK(err == PG_ERR_TIMEOUT && got.len == 0);
    }
    return PG_OK;
}

static pg_err fetch_patient(sim_node *self)
{
    for (uint64_t i = 0; i < IMPATIENT; i++) {
        pg_buf got = {0};
        pg_cid cid = sim_block_cid(i, IMPATIENT_BYTES);
        PG_TRY(pg_bitswap_fetch(self->bitswap, &self->all->nodes[0].id, &cid,
                                pg_after(PG_MINUTES(2)), &got));
        SIM_CHECK(got.len == IMPATIENT_BYTES);
        pg_buf_deinit(&got);
    }
    return PG_OK;
}

static pg_err cancel_script(void *arg)
{
    sim_nodes *all = arg;
    sim_nodes_make(all, 2, 2, NULL);
    CHECK_OK(sim_task_run(&all->nodes[0], put_impatient));
    const pg_sim_link slow = {.latency_ns = PG_MS(15), .bytes_per_second = 500000};
    pg_sim_link_set(all->nodes[0].machine, all->nodes[1].machine, &slow);
    CHECK_OK(sim_task_run(&all->nodes[1], fetch_impatient));
    SIM_AWAIT(pg_bitswap_get_stats(all->nodes[0].bitswap).wants_held == 0);
    pg_sim_link_set(all->nodes[0].machine, all->nodes[1].machine, NULL);
    CHECK_OK(sim_task_run(&all->nodes[1], fetch_patient)); // all of it can be wanted again
    // the block under way at each moment was sent in vain, which is no fault of the sender; the others were not
    uint64_t sent = pg_bitswap_get_stats(all->nodes[0].bitswap).blocks_sent;
    CHECK(sent >= IMPATIENT && sent <= IMPATIENT + 4);
    CHECK(pg_bitswap_get_stats(all->nodes[1].bitswap).blocks_received == IMPATIENT);
    CHECK(pg_host_get_stats(all->nodes[1].host).offences == 0);
    sim_nodes_stop(all);
    return PG_OK;
}

static pg_err fetch_until_failure(sim_node *self)
{
    uint64_t fetched = 0;
    sim_node_meet(self, &self->all->nodes[0]);
    for (;;) {
        pg_err err = fetch_all(self);
        if (err != PG_OK) {
            SIM_CHECK(err == PG_ERR_CLOSED || err == PG_ERR_RESET || err == PG_ERR_TIMEOUT ||
                      err == PG_ERR_UNREACHABLE || err == PG_ERR_UNSUPPORTED);
            return fetched > 0 ? PG_OK : PG_ERR_BUG;
        }
        fetched++;
    }
}

static pg_err crash_script(void *arg)
{
    sim_nodes *all = arg;
    sim_nodes_make(all, 2, 2, NULL);
    CHECK_OK(sim_task_run(&all->nodes[0], put_all));
    sim_task_begin(&all->nodes[1], fetch_until_failure);
    CHECK(sim_task_end(&all->nodes[1], PG_SECONDS(8)) == PG_ERR_TIMEOUT); // it goes on
    pg_sim_machine_crash(all->nodes[0].machine);
    CHECK_OK(sim_task_end(&all->nodes[1], PG_MINUTES(4)));
    CHECK(pg_bitswap_get_stats(all->nodes[1].bitswap).fetches_running == 0);
    sim_node_start(&all->nodes[0]);
    CHECK_OK(pg_sleep_until(pg_after(PG_MINUTES(2))));
    CHECK_OK(sim_task_run(&all->nodes[1], fetch_all)); // what was durable is served again
    sim_nodes_stop(all);
    return PG_OK;
}

static pg_err end_script(void *arg)
{
    sim_nodes *all = arg;
    sim_nodes_make(all, 2, 2, NULL);
    CHECK_OK(sim_task_run(&all->nodes[0], put_all));
    sim_task_begin(&all->nodes[1], fetch_until_failure);
    CHECK(sim_task_end(&all->nodes[1], PG_SECONDS(8)) == PG_ERR_TIMEOUT);
    all->nodes[0].stop = true;
    CHECK_OK(pg_sim_machine_join(all->nodes[0].machine, pg_after(PG_MINUTES(1))));
    all->nodes[0].is_up = false;
    CHECK_OK(sim_task_end(&all->nodes[1], PG_MINUTES(4)));
    sim_nodes_stop(all);
    return PG_OK;
}

// Ends an exchange of its own while a fiber of this machine fetches by it.
static pg_err fetch_background(void *arg)
{
    return fetch_until_failure(arg);
}

static pg_err fetch_and_end(sim_node *self)
{
    pg_scope scope;
    pg_bitswap *another = NULL;
    SIM_CHECK(pg_bitswap_new(self->host, self->store, &another) == PG_ERR_EXISTS);
    pg_scope_init(&scope);
    PG_TRY(pg_scope_spawn(&scope, "sim.fetch", fetch_background, self));
    PG_TRY(pg_sleep_until(pg_after(PG_SECONDS(5))));
    SIM_AWAIT(pg_bitswap_get_stats(self->bitswap).fetches_running > 1);
    pg_bitswap_free(self->own_bitswap);
    self->bitswap = NULL;
    return pg_scope_join(&scope);
}

static pg_err end_own_script(void *arg)
{
    sim_nodes *all = arg;
    sim_nodes_make(all, 2, 2, NULL);
    CHECK_OK(sim_task_run(&all->nodes[0], put_all));
    CHECK_OK(sim_task_run(&all->nodes[1], fetch_and_end));
    SIM_AWAIT(pg_bitswap_get_stats(all->nodes[0].bitswap).wants_held == 0);
    sim_nodes_stop(all);
    return PG_OK;
}

// ---- Damage

static pg_err fetch_damaged(sim_node *self)
{
    sim_node_meet(self, &self->all->nodes[0]);
    SIM_CHECK(fetch_number(self, &self->all->nodes[0], 8) == PG_ERR_NOT_FOUND);
    const pg_sim_disk_faults none = {0};
    pg_sim_machine_disk(self->all->nodes[0].machine, &none);
    SIM_CHECK(fetch_number(self, &self->all->nodes[0], 8) == PG_ERR_NOT_FOUND); // it is gone
    return fetch_number(self, &self->all->nodes[0], 9);
}

static pg_err damage_script(void *arg)
{
    sim_nodes *all = arg;
    sim_nodes_make(all, 2, 2, NULL);
    CHECK_OK(sim_task_run(&all->nodes[0], put_all));
    const pg_sim_disk_faults flips = {.read_flip_ppm = 1000000};
    pg_sim_machine_disk(all->nodes[0].machine, &flips);
    CHECK_OK(sim_task_run(&all->nodes[1], fetch_damaged));
    CHECK(pg_block_store_stats_get(all->nodes[0].store).lost_total == 1);
    sim_nodes_stop(all);
    return PG_OK;
}

// ---- Running

static void seeds_run(pg_fiber_fn script, uint64_t seeds)
{
    static sim_nodes all;
    const pg_sim_config config = {
        .link = {.latency_ns = PG_MS(15), .jitter_ns = PG_MS(10), .loss_ppm = 20000},
        .events_max = 50000000,
    };
    sim_seeds(&config, seeds, script, &all);
}

static void test_bitswap__two_fetch_everything_at_once__all_of_it_is_right(void **state)
{
    (void) state;
    seeds_run(fetch_script, 4);
}

static void test_bitswap__any_of_many__is_fetched_from_who_has_it(void **state)
{
    (void) state;
    seeds_run(any_script, 3);
}

static void test_bitswap__a_thousand_asked_for__each_is_told(void **state)
{
    (void) state;
    seeds_run(ask_script, 3);
}

static void test_bitswap__more_wants_than_room__wait_for_it(void **state)
{
    (void) state;
    seeds_run(crowd_script, 1);
}

static void test_bitswap__both_fetch_from_each_other__neither_waits_for_ever(void **state)
{
    (void) state;
    seeds_run(both_script, 3);
}

static void test_bitswap__deadline_of_a_fetch__cancels_the_want(void **state)
{
    (void) state;
    seeds_run(cancel_script, 3);
}

static void test_bitswap__server_crashes__fetches_end_and_later_ones_work(void **state)
{
    (void) state;
    seeds_run(crash_script, 2);
}

static void test_bitswap__server_stops__fetches_end(void **state)
{
    (void) state;
    seeds_run(end_script, 2);
}

static void test_bitswap__own_end_under_fetches__they_end(void **state)
{
    (void) state;
    seeds_run(end_own_script, 2);
}

static void test_bitswap__damaged_block__is_answered_with_no(void **state)
{
    (void) state;
    seeds_run(damage_script, 3);
}

int main(int argc, char **argv)
{
    sim_arguments(argc, argv);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bitswap__two_fetch_everything_at_once__all_of_it_is_right),
        cmocka_unit_test(test_bitswap__any_of_many__is_fetched_from_who_has_it),
        cmocka_unit_test(test_bitswap__a_thousand_asked_for__each_is_told),
        cmocka_unit_test(test_bitswap__more_wants_than_room__wait_for_it),
        cmocka_unit_test(test_bitswap__both_fetch_from_each_other__neither_waits_for_ever),
        cmocka_unit_test(test_bitswap__deadline_of_a_fetch__cancels_the_want),
        cmocka_unit_test(test_bitswap__server_crashes__fetches_end_and_later_ones_work),
        cmocka_unit_test(test_bitswap__server_stops__fetches_end),
        cmocka_unit_test(test_bitswap__own_end_under_fetches__they_end),
        cmocka_unit_test(test_bitswap__damaged_block__is_answered_with_no),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
