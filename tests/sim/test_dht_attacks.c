// SPDX-License-Identifier: Apache-2.0
// Goal: strangers with many identities neither fill a node's table nor make a key disappear, as long as they do not have many
//       subnets too; the numbers with and without the defences are printed.
// Method: a network of honest nodes, and Sybils that tell only of each other, acknowledge every put and keep nothing.
#include "base/mem.h"
#include "dht/limits.h"
#include "dht_world.h"
#include "runtime/limits.h"
#include "sim_test.h"

#ifdef PG_WITH_ASAN
#define HONEST 40
#define FLOOD 40
#else
#define HONEST 60
#define FLOOD 120
#endif
#define SYBILS 30
#define WAVE 20 // sybils that come at once
#define ASKERS 20
#define MACHINES_MAX (HONEST + FLOOD)

static const pg_sim_link quick = {.latency_ns = PG_MS(10), .jitter_ns = PG_MS(5)};

/** What is attacked, and how. */
typedef struct attack {
    dht_world world;
    bool is_trusting;
    size_t subnets; // the attacker has
    size_t sybils;
} attack;

static void honest_make(attack *self)
{
    const dht_world_config config = {
        .nodes = HONEST,
        .is_null = true,
        .is_trusting = self->is_trusting,
        .refresh_ns = PG_MINUTES(2),
    };
    dht_world_make(&self->world, &config, MACHINES_MAX);
    CHECK_OK(pg_sleep_until(pg_after(PG_MINUTES(1))));
}

static pg_err meet(dht_node *self, void *arg)
{
    const dht_node *other = arg;
    PG_TRY(pg_host_learn(self->host, &other->id, &other->addr, PG_BOOK_SOURCE_GIVEN, PG_FOREVER));
    return pg_host_connect(self->host, &other->id, NULL, pg_after(PG_SECONDS(30)), NULL);
}

static void print_how(const attack *self)
{
    (void) printf("  %3zu identities in %3zu subnets, %s: ", self->sybils, self->subnets,
                  self->is_trusting ? "no defences" : "defended   ");
}

// ---- flooding a table ----

typedef struct table_count {
    const dht_world *world;
    size_t sybils;
    size_t all;
} table_count;

static void on_table_peer(const pg_peer_id *peer, unsigned bucket, void *user)
{
    table_count *count = user;
    (void) bucket;
    count->all++;
    for (size_t i = 0; i < count->world->count; i++) {
        const dht_node *node = &count->world->nodes[i];
        count->sybils +=
            node->manner == DHT_MANNER_SYBIL && pg_peer_id_equal(&node->id, peer) ? 1U : 0U;
    }
}

static pg_err flood_script(void *arg)
{
    attack *self = arg;
    honest_make(self);
    dht_node *victim = &self->world.nodes[0];
    size_t before = pg_dht_get_stats(victim->dht).peers;
    size_t first = self->world.count;
    self->sybils = FLOOD;
    for (size_t i = 0; i < FLOOD; i++) {
        dht_node *sybil = dht_world_add(&self->world);
        sybil->manner = DHT_MANNER_SYBIL;
        dht_node_place(sybil, self->subnets);
        dht_node_start(sybil, 0);
    }
    for (size_t wave = first; wave < self->world.count; wave += WAVE) {
        for (size_t i = 0; i < WAVE; i++) {
            dht_node_begin(&self->world.nodes[wave + i], meet, victim);
        }
        for (size_t i = 0; i < WAVE; i++) { // the host may refuse some: part of the defence
            (void) dht_node_end(&self->world.nodes[wave + i], PG_MINUTES(1));
        }
    }
    CHECK_OK(pg_sleep_until(pg_after(PG_SECONDS(5))));
    table_count count = {.world = &self->world};
    pg_dht_peers_each(victim->dht, on_table_peer, &count);
    print_how(self);
    (void) printf("%zu of %zu places of the table (before: %zu, all honest)\n", count.sybils,
                  count.all, before);
    CHECK(count.all - count.sybils >= before * 9 / 10); // nobody honest was driven out
    if (self->subnets == 1) {                           // without the defence it is an attack
        CHECK((count.sybils > PG_DHT_TABLE_GROUP_MAX) == self->is_trusting);
    }
    dht_world_end(&self->world);
    return PG_OK;
}

// ---- surrounding a key ----

/** One record, or one provider, looked for by many. */
typedef struct errand {
    const char *key;
    const char *value;
    size_t count;
} errand;

static pg_err put(dht_node *self, void *arg)
{
    errand *job = arg;
    return pg_dht_put(self->dht, pg_bytes_cstr(job->key), pg_bytes_cstr(job->value), NULL,
                      &job->count);
}

static pg_err get(dht_node *self, void *arg)
{
    const errand *job = arg;
    pg_buf value = {0};
    pg_err err = pg_dht_get(self->dht, pg_bytes_cstr(job->key), NULL, &value);
    if (err == PG_OK && !pg_bytes_equal(pg_buf_bytes(&value), pg_bytes_cstr(job->value))) {
        err = PG_ERR_CORRUPT;
    }
    pg_buf_deinit(&value);
    return err;
}

static pg_err provide(dht_node *self, void *arg)
{
    errand *job = arg;
    return pg_dht_provide(self->dht, pg_bytes_cstr(job->key), NULL, &job->count);
}

static bool on_provider(const pg_dht_found *found, void *user)
{
    errand *job = user;
    (void) found;
    job->count++;
    return false;
}

static pg_err find_provider(dht_node *self, void *arg)
{
    const errand *job = arg;
    errand own = {.key = job->key};
    PG_TRY(pg_dht_find_providers(self->dht, pg_bytes_cstr(own.key), NULL, on_provider, &own));
    return own.count > 0 ? PG_OK : PG_ERR_NOT_FOUND;
}

// How many of ASKERS random honest nodes succeed.
static size_t askers_run(dht_world *world, pg_err (*task)(dht_node *self, void *arg), errand *job)
{
    dht_node *nodes[ASKERS];
    size_t good = 0;
    for (size_t i = 0; i < ASKERS; i++) {
        nodes[i] = dht_world_random(world);
        dht_node_begin(nodes[i], task, job);
    }
    for (size_t i = 0; i < ASKERS; i++) {
        good += dht_node_end(nodes[i], PG_MINUTES(3)) == PG_OK ? 1U : 0U;
    }
    return good;
}

// Sybils as near to the key as 1,000 tries each bring them, known to many.
static void key_surround(attack *self, const char *key)
{
    pg_dht_key target = pg_dht_key_of(pg_bytes_cstr(key));
    self->sybils = SYBILS;
    for (size_t i = 0; i < SYBILS; i++) {
        dht_node *sybil = dht_world_add(&self->world);
        sybil->manner = DHT_MANNER_SYBIL;
        dht_node_grind(sybil, &target, 10);
        dht_node_place(sybil, self->subnets);
        dht_node_start(sybil, 0);
    }
    size_t first = self->world.count - SYBILS;
    for (size_t met = 0; met < 10; met++) {
        for (size_t i = first; i < self->world.count; i++) {
            dht_node_begin(&self->world.nodes[i], meet, dht_world_random(&self->world));
        }
        for (size_t i = first; i < self->world.count; i++) {
            (void) dht_node_end(&self->world.nodes[i], PG_MINUTES(1));
        }
    }
    CHECK_OK(pg_sleep_until(pg_after(PG_MINUTES(3)))); // a round of refreshing
}

static pg_err surround_script(void *arg)
{
    attack *self = arg;
    errand job = {.key = "/test/target", .value = "1 before"};
    honest_make(self);
    CHECK_OK(dht_node_do(dht_world_random(&self->world), put, &job, PG_MINUTES(1)));
    key_surround(self, job.key);
    size_t before = askers_run(&self->world, get, &job);
    errand fresh = {.key = "/test/target", .value = "2 after"};
    CHECK_OK(dht_node_do(dht_world_random(&self->world), put, &fresh, PG_MINUTES(1)));
    size_t after = askers_run(&self->world, get, &fresh);
    CHECK_OK(dht_node_do(dht_world_random(&self->world), provide, &job, PG_MINUTES(1)));
    size_t provided =
        askers_run(&self->world, find_provider, &job); // the provider may be among them
    print_how(self);
    (void) printf("of %d askers %zu get the value put before, %zu the one put after, %zu find the "
                  "provider\n",
                  ASKERS, before, after, provided);
    if (!self->is_trusting) { // how many they are does not help them, if their subnets are few
        size_t least = self->subnets >= SYBILS ? ASKERS / 2 : ASKERS - 2;
        CHECK(before >= least && after >= least && provided >= least);
    } else if (self->subnets == 1) { // without the defences they make it disappear
        CHECK(after <= ASKERS / 4 && provided <= ASKERS / 4);
    }
    dht_world_end(&self->world);
    return PG_OK;
}

static void attack_run(pg_fiber_fn script, bool is_trusting, size_t subnets)
{
    static attack self;
    const pg_sim_config config = {.link = quick, .events_max = 500000000};
    self = (attack){.is_trusting = is_trusting, .subnets = subnets};
    sim_seeds(&config, 1, script, &self);
    (void) fflush(stdout);
}

static void test_attack__table_flooded__honest_peers_stay(void **state)
{
    (void) state;
    (void) printf("one node of %d is met by strangers:\n", HONEST);
    attack_run(flood_script, true, 1);
    attack_run(flood_script, false, 1);
    attack_run(flood_script, false, FLOOD);
}

static void test_attack__key_surrounded__is_still_found(void **state)
{
    (void) state;
    (void) printf("a key among %d honest nodes is surrounded:\n", HONEST);
    attack_run(surround_script, true, 1);
    attack_run(surround_script, false, 1);
    attack_run(surround_script, false, 6);
    attack_run(surround_script, true, SYBILS);
    attack_run(surround_script, false, SYBILS);
}

int main(int argc, char **argv)
{
    sim_arguments(argc, argv);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_attack__table_flooded__honest_peers_stay),
        cmocka_unit_test(test_attack__key_surrounded__is_still_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
