// SPDX-License-Identifier: Apache-2.0
// Goal: what one node observed of another reaches that one through the DHT, and its operator is warned; who is rated well is not.
// Method: two machines with a book and a local DHT each; one notes that the other never answers, or always does, and both have a round.
#include "health/gossip.h"
#include "health/record.h"
#include "health/watch.h"
#include "sim_test.h"

#define PORT 4417

static const pg_key db_key = {.bytes = {3}};

/** One machine. */
typedef struct life {
    pg_key seed;
    pg_identity identity;
    pg_host *host;
    pg_db *db;
    pg_health *health;
    pg_dht_validators validators;
    pg_dht_pair dhts;
    bool is_up;
    bool has_shared;
    bool has_ended;
    pg_health_kind kind; // what it sees of the other
    struct life *other;
    pg_multiaddr other_addr;
    pg_health_stats stats;
} life;

static size_t known_none(pg_peer_id *out_peers, size_t max, void *user)
{
    (void) out_peers;
    (void) max;
    (void) user;
    return 0;
}

static pg_err life_open(life *self)
{
    const char *const steps[] = {pg_health_schema_1};
    const pg_db_schema schema = {steps, 1};
    const uint8_t any[4] = {0};
    pg_multiaddr listen = pg_multiaddr_make(PG_BYTES_OF(any), PG_MULTIADDR_TRANSPORT_TCP, PORT);
    const pg_host_config config = pg_host_config_default(&self->identity);
    PG_TRY(pg_host_new(&config, &self->host));
    PG_TRY(pg_host_listen(self->host, &listen));
    PG_TRY(pg_db_open("/db", &db_key, &schema, &self->db));
    const pg_health_config health = {.db = self->db};
    PG_TRY(pg_health_open(&health, &self->health));
    PG_TRY(pg_dht_validators_add(&self->validators, &pg_dht_validator_health));
    pg_dht_config dht = pg_dht_config_default(self->host, PG_DHT_REALM_LOCAL, &self->validators);
    dht.mode = PG_DHT_MODE_SERVER;
    PG_TRY(pg_dht_new(&dht, &self->dhts.local));
    const pg_health_watch_config watch = {.host = self->host, .known = known_none};
    const pg_health_gossip_config gossip = {.dhts = &self->dhts, .device = &self->identity};
    PG_TRY(pg_health_watch(self->health, &watch));
    PG_TRY(pg_health_gossip(self->health, &gossip));
    self->is_up = true;
    return PG_OK;
}

static pg_err life_share(life *self)
{
    const pg_peer_id *other = &self->other->identity.peer_id;
    while (!self->other->is_up) {
        PG_TRY(pg_sleep_until(pg_after(PG_MS(10))));
    }
    PG_TRY(pg_host_learn(self->host, other, &self->other_addr, PG_BOOK_SOURCE_GIVEN, PG_FOREVER));
    while (pg_dht_pair_peers(&self->dhts) == 0) {
        pg_ignore(pg_host_connect(self->host, other, NULL, pg_after(PG_SECONDS(5)), NULL),
                  "tried again");
        PG_TRY(pg_sleep_until(pg_after(PG_MS(100))));
    }
    for (unsigned i = 0; i < 200; i++) {
        const pg_health_observation seen = {.peer = other, .kind = self->kind, .rtt_ns = PG_MS(9)};
        pg_health_note(self->health, &seen);
    }
    PG_TRY(pg_health_gossip_round(self->health));
    self->has_shared = true;
    while (!self->other->has_shared) {
        PG_TRY(pg_sleep_until(pg_after(PG_MS(10))));
    }
    PG_TRY(pg_health_gossip_round(self->health));
    PG_TRY(pg_health_gossip_round(self->health)); // as bad as before: no second warning
    self->stats = pg_health_get_stats(self->health);
    self->has_ended = true;
    while (!self->other->has_ended) { // it still asks us
        PG_TRY(pg_sleep_until(pg_after(PG_MS(10))));
    }
    return PG_OK;
}

static pg_err life_main(void *arg)
{
    life *self = arg;
    pg_err err = life_open(self);
    if (err == PG_OK) {
        err = life_share(self);
    }
    pg_fiber_shield(true);
    pg_health_close(&self->health);
    pg_dht_pair_free(&self->dhts);
    pg_db_close(&self->db);
    pg_host_free(&self->host);
    pg_fiber_shield(false);
    return err;
}

static pg_err script(void *arg)
{
    life lives[2] = {{.seed = {.bytes = {1}}, .kind = PG_HEALTH_PING_FAILED},
                     {.seed = {.bytes = {2}}, .kind = PG_HEALTH_PING_OK}};
    pg_sim_machine *machines[2] = {NULL};
    (void) arg;
    for (size_t i = 0; i < 2; i++) {
        PG_TRY(pg_identity_init(&lives[i].identity, &lives[i].seed));
        PG_TRY(pg_sim_machine_new(&machines[i]));
    }
    for (size_t i = 0; i < 2; i++) {
        pg_endpoint at = pg_sim_machine_endpoint(machines[1 - i]);
        lives[i].other = &lives[1 - i];
        lives[i].other_addr =
            pg_multiaddr_make(pg_bytes_make(at.ip, 4), PG_MULTIADDR_TRANSPORT_TCP, PORT);
        PG_TRY(pg_sim_machine_start(machines[i], "sim.life", life_main, &lives[i]));
    }
    for (size_t i = 0; i < 2; i++) {
        PG_TRY(pg_sim_machine_join(machines[i], PG_FOREVER));
        pg_identity_deinit(&lives[i].identity);
    }
    const pg_health_stats *good = &lives[0].stats; // the other always sees it answer
    const pg_health_stats *bad = &lives[1].stats;
    SIM_CHECK(good->self_observers == 1 && good->self_score > 60 && good->self_low == 0);
    SIM_CHECK(good->self_warnings_total == 0);
    SIM_CHECK(bad->self_observers == 1 && bad->self_score < 30 && bad->self_low == 1);
    SIM_CHECK(bad->self_warnings_total == 1);
    return PG_OK;
}

static void test_gossip__one_sees_the_other_fail__that_one_is_warned(void **state)
{
    (void) state;
    sim_seeds(&(pg_sim_config){.seed = 1}, 5, script, NULL);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_gossip__one_sees_the_other_fail__that_one_is_warned),
    };
    sim_arguments(argc, argv);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
