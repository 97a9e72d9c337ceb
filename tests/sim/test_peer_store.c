// SPDX-License-Identifier: Apache-2.0
// Goal: a host that starts anew knows whom it met, where, and who can do the hybrid handshake, but not what it only heard of; ages
// go by the wall clock, whatever that does; the database stays within its bounds, and a full disk harms nobody.
// Method: a machine whose host has a store in a sealed database, crashed or stopped and started again; a host it meets.
#include "base/mem.h"
#include "net/host.h"
#include "net/peer_store.h"
#include "runtime/file.h"
#include "sim_test.h"
#include "store/stmt.h"

#define PORT 4417
#define BOOK_MAX 100

static const pg_key db_key = {.bytes = {3}};

/** One life of a machine: what it does once the book is loaded, and how it ends. */
typedef struct life {
    pg_key seed;
    pg_peer_id id;
    pg_err (*task)(struct life *self);
    bool is_saved_on_end;
    pg_host *host;
    pg_db *db;
    pg_peer_store *store;
    const struct life *other;
    pg_multiaddr other_addr;
    bool stop;
} life;

static pg_err life_run(life *self)
{
    const char *const steps[] = {pg_peer_store_schema_1};
    const pg_db_schema schema = {steps, 1};
    const uint8_t any[4] = {0};
    pg_multiaddr listen = pg_multiaddr_make(PG_BYTES_OF(any), PG_MULTIADDR_TRANSPORT_TCP, PORT);
    PG_TRY(pg_host_listen(self->host, &listen));
    PG_TRY(pg_db_open("/db", &db_key, &schema, &self->db));
    PG_TRY(pg_peer_store_open(self->host, self->db, &self->store));
    if (self->task != NULL) {
        return self->task(self);
    }
    while (!self->stop) {
        PG_TRY(pg_sleep_until(pg_after(PG_SECONDS(30))));
    }
    return PG_OK;
}

static pg_err life_main(void *arg)
{
    life *self = arg;
    pg_identity identity = {0};
    PG_TRY(pg_identity_init(&identity, &self->seed));
    pg_host_config config = pg_host_config_default(&identity);
    config.book_peers_max = BOOK_MAX;
    self->id = identity.peer_id;
    PG_TRY(pg_host_new(&config, &self->host));
    pg_err err = life_run(self);
    pg_fiber_shield(true);
    pg_peer_store_close(&self->store);
    pg_db_close(&self->db);
    pg_host_free(&self->host);
    pg_identity_deinit(&identity);
    pg_fiber_shield(false);
    return err;
}

static pg_err life_make(pg_sim_machine *machine, uint8_t seed, pg_err (*task)(life *), life *self)
{
    *self = (life){.task = task};
    memset(self->seed.bytes, seed, sizeof(self->seed.bytes));
    return pg_sim_machine_start(machine, "sim.life", life_main, self);
}

static pg_err life_whole(pg_sim_machine *machine, pg_err (*task)(life *), const life *other,
                         const pg_multiaddr *other_addr)
{
    static life self;
    PG_TRY(life_make(machine, 1, task, &self));
    self.other = other;
    self.other_addr = other_addr != NULL ? *other_addr : (pg_multiaddr){0};
    return pg_sim_machine_join(machine, PG_FOREVER);
}

static pg_peer_id invented(uint32_t number)
{
    pg_peer_id peer = {.len = 38, .bytes = {0, 36, 8, 1, 18, 32}};
    memcpy(peer.bytes + 6, &number, sizeof(number));
    return peer;
}

static const pg_book_peer *known(const life *self, const pg_peer_id *peer)
{
    return pg_peer_book_get(pg_host_book(self->host), peer);
}

static pg_err learn(life *self, uint32_t number, pg_book_source source)
{
    const uint8_t ip[4] = {10, 9, (uint8_t) (number >> 8), (uint8_t) number};
    pg_multiaddr addr = pg_multiaddr_make(PG_BYTES_OF(ip), PG_MULTIADDR_TRANSPORT_TCP, PORT);
    pg_peer_id peer = invented(number);
    return pg_host_learn(self->host, &peer, &addr, source, PG_HOURS(1));
}

// ---- there and back ----

static pg_err task_meet(life *self)
{
    pg_id conn = 0;
    const pg_peer_id *peer = &self->other->id;
    PG_TRY(pg_host_learn(self->host, peer, &self->other_addr, PG_BOOK_SOURCE_HEARSAY, PG_HOURS(1)));
    PG_TRY(pg_host_connect(self->host, peer, NULL, pg_after(PG_SECONDS(30)), &conn));
    PG_TRY(pg_host_await_identify(self->host, conn, pg_after(PG_SECONDS(30))));
    PG_TRY(learn(self, 1, PG_BOOK_SOURCE_HEARSAY));
    PG_TRY(learn(self, 2, PG_BOOK_SOURCE_SIGNED));
    SIM_CHECK(pg_peer_store_loaded(self->store) == 0);
    return PG_OK;
}

static pg_err task_remember(life *self)
{
    const pg_book_peer *peer = known(self, &self->other->id);
    SIM_CHECK(pg_peer_store_loaded(self->store) == 2 && peer != NULL);
    SIM_CHECK(peer->is_hybrid && pg_book_peer_familiarity(peer) == PG_FAMILIARITY_REACHED);
    pg_peer_id heard = invented(1);
    pg_peer_id told = invented(2);
    SIM_CHECK(known(self, &heard) == NULL);
    SIM_CHECK(known(self, &told)->addrs[0].source == PG_BOOK_SOURCE_HEARSAY);
    return pg_host_connect(self->host, &self->other->id, NULL, pg_after(PG_SECONDS(30)), NULL);
}

static pg_err other_begin(pg_sim_machine *machine, life *self, pg_multiaddr *out_addr)
{
    pg_endpoint at = pg_sim_machine_endpoint(machine);
    PG_TRY(life_make(machine, 2, NULL, self));
    *out_addr = pg_multiaddr_make(pg_bytes_make(at.ip, 4), PG_MULTIADDR_TRANSPORT_TCP, PORT);
    return pg_sleep_until(pg_after(PG_SECONDS(1)));
}

static pg_err restart_script(void *arg)
{
    (void) arg;
    static life other;
    pg_multiaddr addr;
    pg_sim_machine *a = NULL;
    pg_sim_machine *b = NULL;
    PG_TRY(pg_sim_machine_new(&a));
    PG_TRY(pg_sim_machine_new(&b));
    PG_TRY(other_begin(b, &other, &addr));
    PG_TRY(life_whole(a, task_meet, &other, &addr));
    PG_TRY(life_whole(a, task_remember, &other, NULL));
    PG_TRY(pg_sleep_until(pg_after(PG_DAYS(20))));
    PG_TRY(life_whole(a, task_remember, &other, NULL)); // reached again just before
    other.stop = true;
    return pg_sim_machine_join(b, PG_FOREVER);
}

static void test_peer_store__restart__those_met_are_known(void **state)
{
    (void) state;
    sim_seeds(&(pg_sim_config){.link = {.latency_ns = PG_MS(5)}}, 3, restart_script, NULL);
}

// ---- a crash loses minutes ----

static pg_err task_meet_and_wait(life *self)
{
    PG_TRY(task_meet(self));
    return pg_sleep_until(PG_FOREVER);
}

static pg_err task_still_hybrid(life *self)
{
    const pg_book_peer *peer = known(self, &self->other->id);
    SIM_CHECK(peer != NULL && peer->is_hybrid);
    return PG_OK;
}

static pg_err crash_script(void *arg)
{
    (void) arg;
    static life self;
    static life other;
    pg_sim_machine *a = NULL;
    pg_sim_machine *b = NULL;
    PG_TRY(pg_sim_machine_new(&a));
    PG_TRY(pg_sim_machine_new(&b));
    PG_TRY(life_make(a, 1, task_meet_and_wait, &self));
    self.other = &other;
    PG_TRY(other_begin(b, &other, &self.other_addr));
    PG_TRY(pg_sleep_until(pg_after(PG_MINUTES(6))));
    pg_sim_machine_crash(a);
    return life_whole(a, task_still_hybrid, &other, NULL);
}

static void test_peer_store__crash__loses_minutes_at_most(void **state)
{
    (void) state;
    sim_seeds(&(pg_sim_config){.link = {.latency_ns = PG_MS(5)}}, 10, crash_script, NULL);
}

// ---- ages and bounds ----

static pg_err task_meet_two(life *self)
{
    pg_peer_id peer = invented(1);
    PG_TRY(learn(self, 1, PG_BOOK_SOURCE_SIGNED));
    PG_TRY(learn(self, 2, PG_BOOK_SOURCE_SIGNED));
    pg_book_peer_note_hybrid(pg_peer_book_get(pg_host_book(self->host), &peer), false);
    return PG_OK;
}

static pg_err task_old(life *self)
{
    pg_peer_id hybrid = invented(1);
    pg_peer_id plain = invented(2);
    pg_time due = 0;
    const pg_book_peer *peer = known(self, &hybrid);
    SIM_CHECK(pg_peer_store_loaded(self->store) == 2 && known(self, &plain) != NULL);
    SIM_CHECK(pg_book_peer_is_due(peer, pg_now(), &due));
    SIM_CHECK(!pg_book_peer_is_due(peer, pg_after(PG_DAYS(1)), &due)); // 30 days are over then
    return PG_OK;
}

static pg_err task_young(life *self)
{
    pg_peer_id plain = invented(2);
    const pg_book_peer *peer = known(self, &plain);
    SIM_CHECK(peer != NULL && peer->addr_count == 1 && peer->seen_at <= pg_now());
    return PG_OK;
}

static pg_err task_too_old(life *self)
{
    pg_peer_id hybrid = invented(1);
    PG_TRY(learn(self, 3, PG_BOOK_SOURCE_SIGNED)); // something to save: the old is cleared away
    const pg_book_peer *peer = known(self, &hybrid);
    SIM_CHECK(peer != NULL && peer->is_hybrid && peer->addr_count == 0);
    return PG_OK;
}

static pg_err task_only_hybrid(life *self)
{
    pg_peer_id hybrid = invented(1);
    pg_peer_id plain = invented(2);
    SIM_CHECK(known(self, &hybrid) != NULL && known(self, &plain) == NULL);
    return PG_OK;
}

static pg_err age_script(void *arg)
{
    (void) arg;
    pg_sim_machine *machine = NULL;
    PG_TRY(pg_sim_machine_new(&machine));
    PG_TRY(life_whole(machine, task_meet_two, NULL, NULL));
    pg_sim_machine_clock_jump(machine, -PG_DAYS(3) / PG_MS(1)); // now it was seen in the future
    PG_TRY(life_whole(machine, task_young, NULL, NULL));
    pg_sim_machine_clock_jump(machine, PG_DAYS(3) / PG_MS(1));
    PG_TRY(pg_sleep_until(pg_after(PG_DAYS(29) + PG_HOURS(1))));
    PG_TRY(life_whole(machine, task_old, NULL, NULL));
    PG_TRY(pg_sleep_until(pg_after(PG_DAYS(1))));
    PG_TRY(life_whole(machine, task_too_old, NULL, NULL));
    PG_TRY(life_whole(machine, task_only_hybrid, NULL, NULL));
    return PG_OK;
}

static void test_peer_store__thirty_days__only_the_hybrid_is_remembered(void **state)
{
    (void) state;
    sim_seeds(&(pg_sim_config){.seed = 1}, 1, age_script, NULL);
}

static pg_err job_count(pg_db_conn *conn, void *arg)
{
    pg_stmt *stmt = NULL;
    pg_err err = PG_OK;
    PG_TRY(pg_db_prepare(conn, "SELECT count(*) FROM net_peer", &stmt));
    SIM_CHECK(pg_stmt_next(stmt, &err));
    *(int64_t *) arg = pg_stmt_i64(stmt, 0);
    return err;
}

static pg_err task_many(life *self)
{
    for (uint32_t round = 0; round < 5; round++) {
        for (uint32_t i = 0; i < BOOK_MAX; i++) {
            PG_TRY(learn(self, round * 1000 + i, PG_BOOK_SOURCE_SIGNED));
            pg_peer_id peer = invented(round * 1000 + i);
            pg_peer_book_get(pg_host_book(self->host), &peer)->is_hybrid = i < 10;
        }
        PG_TRY(pg_peer_store_save(self->store));
        PG_TRY(pg_sleep_until(pg_after(PG_SECONDS(1))));
    }
    int64_t rows = 0;
    PG_TRY(pg_db_read(self->db, job_count, &rows));
    SIM_CHECK(rows == BOOK_MAX);
    for (uint32_t i = 1; i < 2 * PG_NET_BOOK_ADDRS_MAX; i++) { // one peer, ever new addresses
        const uint8_t ip[4] = {10, 10, 10, (uint8_t) i};
        pg_multiaddr addr = pg_multiaddr_make(PG_BYTES_OF(ip), PG_MULTIADDR_TRANSPORT_TCP, PORT);
        pg_peer_id peer = invented(4000);
        PG_TRY(pg_host_learn(self->host, &peer, &addr, PG_BOOK_SOURCE_SIGNED, PG_MINUTES(1)));
        PG_TRY(pg_peer_store_save(self->store));
        PG_TRY(pg_sleep_until(pg_after(PG_SECONDS(10))));
    }
    return PG_OK;
}

static pg_err task_many_again(life *self)
{
    size_t hybrid = 0;
    pg_map_cursor cursor = {0};
    const pg_book_peer *peer = NULL;
    while ((peer = pg_peer_book_next(pg_host_book(self->host), &cursor)) != NULL) {
        hybrid += peer->is_hybrid ? 1U : 0U;
    }
    SIM_CHECK(pg_host_get_stats(self->host).book_peers == BOOK_MAX);
    SIM_CHECK(hybrid == 50); // of all five rounds
    pg_peer_id one = invented(4000);
    SIM_CHECK(known(self, &one)->addr_count == PG_NET_BOOK_ADDRS_MAX);
    return PG_OK;
}

static pg_err bounds_script(void *arg)
{
    (void) arg;
    pg_sim_machine *machine = NULL;
    PG_TRY(pg_sim_machine_new(&machine));
    PG_TRY(life_whole(machine, task_many, NULL, NULL));
    return life_whole(machine, task_many_again, NULL, NULL);
}

static void test_peer_store__more_than_fit__the_hybrid_and_the_newest_stay(void **state)
{
    (void) state;
    sim_seeds(&(pg_sim_config){.seed = 1}, 1, bounds_script, NULL);
}

// ---- a bad disk ----

static pg_sim_machine *bad_machine;

static pg_err task_full(life *self)
{
    pg_sim_machine_disk(bad_machine, &(pg_sim_disk_faults){.write_error_ppm = 1000000});
    PG_TRY(task_meet_two(self));
    SIM_CHECK(pg_peer_store_save(self->store) != PG_OK);
    PG_TRY(pg_sleep_until(pg_after(PG_MINUTES(20)))); // it tries again, and tells once
    SIM_CHECK(pg_host_get_stats(self->host).book_peers == 2);
    pg_sim_machine_disk(bad_machine, &(pg_sim_disk_faults){.write_error_ppm = 0});
    return PG_OK;
}

static pg_err disk_script(void *arg)
{
    (void) arg;
    PG_TRY(pg_sim_machine_new(&bad_machine));
    return life_whole(bad_machine, task_full, NULL, NULL);
}

static void test_peer_store__disk_fails__the_book_goes_on(void **state)
{
    (void) state;
    sim_seeds(&(pg_sim_config){.seed = 1}, 1, disk_script, NULL);
}

int main(int argc, char **argv)
{
    sim_arguments(argc, argv);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_peer_store__restart__those_met_are_known),
        cmocka_unit_test(test_peer_store__crash__loses_minutes_at_most),
        cmocka_unit_test(test_peer_store__thirty_days__only_the_hybrid_is_remembered),
        cmocka_unit_test(test_peer_store__more_than_fit__the_hybrid_and_the_newest_stay),
        cmocka_unit_test(test_peer_store__disk_fails__the_book_goes_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
