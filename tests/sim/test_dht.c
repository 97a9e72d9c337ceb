// SPDX-License-Identifier: Apache-2.0
// Goal: in a network of hundreds, what was put is found, by anybody, although packets are lost and a fifth of the nodes is
//       dead or lies; the network grows, loses nodes and heals; publishing keeps what is published alive.
// Method: 200 hosts without cryptography on their connections, each a machine with an address of its own, one DHT each.
#include "base/mem.h"
#include "dht/limits.h"
#include "dht_world.h"
#include "sim_test.h"

#define NODES 200
#define MACHINES_MAX 400

static const pg_sim_link lossy = {
    .latency_ns = PG_MS(30), .jitter_ns = PG_MS(20), .loss_ppm = 100000};

/** One thing to find, and how it went. */
typedef struct errand {
    pg_buf key;
    pg_buf value;
    const dht_node *target;
    size_t count;
    int64_t took_ns;
} errand;

static void errand_init(errand *self, size_t number)
{
    *self = (errand){.count = 0};
    CHECK_OK(pg_buf_printf(&self->key, "/test/%zu", number));
    CHECK_OK(pg_buf_printf(&self->value, "value of %zu", number));
}

static void errand_deinit(errand *self)
{
    pg_buf_deinit(&self->key);
    pg_buf_deinit(&self->value);
}

static pg_err find_peer(dht_node *self, void *arg)
{
    errand *job = arg;
    pg_multiaddr *addrs = pg_calloc(PG_NET_BOOK_ADDRS_MAX, sizeof(*addrs));
    pg_time start = pg_now();
    pg_err err = pg_dht_find_peer(self->dht, &job->target->id, NULL, addrs, &job->count);
    job->took_ns = pg_now() - start;
    CHECK(err != PG_OK || pg_host_is_connected(self->host, &job->target->id));
    pg_mfree(addrs);
    return err;
}

static pg_err put(dht_node *self, void *arg)
{
    errand *job = arg;
    const pg_dht_call call = {.keeps = true};
    return pg_dht_put(self->dht, pg_buf_bytes(&job->key), pg_buf_bytes(&job->value), &call,
                      &job->count);
}

static pg_err get(dht_node *self, void *arg)
{
    errand *job = arg;
    pg_buf value = {0};
    pg_time start = pg_now();
    pg_err err = pg_dht_get(self->dht, pg_buf_bytes(&job->key), NULL, &value);
    job->took_ns = pg_now() - start;
    if (err == PG_OK && !pg_bytes_equal(pg_buf_bytes(&value), pg_buf_bytes(&job->value))) {
        err = PG_ERR_CORRUPT;
    }
    pg_buf_deinit(&value);
    return err;
}

static pg_err provide(dht_node *self, void *arg)
{
    errand *job = arg;
    const pg_dht_call call = {.keeps = true};
    return pg_dht_provide(self->dht, pg_buf_bytes(&job->key), &call, &job->count);
}

static bool on_provider(const pg_dht_found *found, void *user)
{
    errand *job = user;
    job->count += pg_peer_id_equal(found->peer, &job->target->id) ? 1U : 0U;
    return true;
}

static pg_err find_provider(dht_node *self, void *arg)
{
    errand *job = arg;
    job->count = 0;
    PG_TRY(pg_dht_find_providers(self->dht, pg_buf_bytes(&job->key), NULL, on_provider, job));
    return job->count == 1 ? PG_OK : PG_ERR_NOT_FOUND;
}

/** How many of a kind succeeded. */
typedef struct tally {
    size_t good;
    size_t all;
    int64_t took_ns;
} tally;

static void tally_note(tally *self, pg_err err, const errand *job)
{
    self->all++;
    self->good += err == PG_OK ? 1U : 0U;
    self->took_ns += job->took_ns;
}

static void tally_print(const char *what, const tally *self)
{
    (void) printf("  %-28s %zu of %zu, %.0f ms on average\n", what, self->good, self->all,
                  (double) self->took_ns / 1e6 / (double) self->all);
    (void) fflush(stdout);
}

// Put `count` values from random nodes, and get each from two others.
static void values_run(dht_world *world, size_t count, tally *puts, tally *gets)
{
    for (size_t i = 0; i < count; i++) {
        errand job;
        errand_init(&job, i);
        tally_note(puts, dht_node_do(dht_world_random(world), put, &job, PG_MINUTES(3)), &job);
        for (int k = 0; k < 2; k++) {
            tally_note(gets, dht_node_do(dht_world_random(world), get, &job, PG_MINUTES(3)), &job);
        }
        errand_deinit(&job);
    }
}

static void peers_run(dht_world *world, size_t count, tally *finds)
{
    for (size_t i = 0; i < count; i++) {
        errand job = {.target = dht_world_random(world)};
        dht_node *asker = dht_world_random(world);
        if (asker != job.target) {
            tally_note(finds, dht_node_do(asker, find_peer, &job, PG_MINUTES(3)), &job);
        }
    }
}

static void providers_run(dht_world *world, size_t count, tally *finds)
{
    for (size_t i = 0; i < count; i++) {
        errand job;
        errand_init(&job, 100000 + i);
        dht_node *provider = dht_world_random(world);
        job.target = provider;
        pg_err err = dht_node_do(provider, provide, &job, PG_MINUTES(3));
        dht_node *asker = dht_world_random(world);
        while (asker == provider) {
            asker = dht_world_random(world);
        }
        err = err == PG_OK ? dht_node_do(asker, find_provider, &job, PG_MINUTES(3)) : err;
        tally_note(finds, err, &job);
        errand_deinit(&job);
    }
}

// ---- loss ----

static pg_err loss_script(void *arg)
{
    dht_world *world = arg;
    const dht_world_config config = {.nodes = NODES, .is_null = true};
    tally puts = {0};
    tally gets = {0};
    tally finds = {0};
    tally providers = {0};
    dht_world_make(world, &config, MACHINES_MAX);
    CHECK_OK(pg_sleep_until(pg_after(PG_MINUTES(1))));
    values_run(world, 100, &puts, &gets);
    peers_run(world, 200, &finds);
    providers_run(world, 50, &providers);
    pg_dht_stats stats = dht_world_stats(world);
    (void) printf("%d nodes, 10 %% loss: %zu peers a table, %.1f requests a lookup\n", NODES,
                  stats.peers / NODES, (double) stats.requests / (double) stats.lookups);
    tally_print("puts", &puts);
    tally_print("gets", &gets);
    tally_print("peers found", &finds);
    tally_print("providers found", &providers);
    CHECK(puts.good * 100 > puts.all * 99);
    CHECK(gets.good * 100 > gets.all * 99);
    CHECK(finds.good * 100 > finds.all * 99);
    CHECK(providers.good * 100 > providers.all * 99);
    dht_world_end(world);
    return PG_OK;
}

static void seeds_run(pg_fiber_fn script, const pg_sim_link *link, uint64_t seeds)
{
    static dht_world world;
    const pg_sim_config config = {.link = *link, .events_max = 200000000};
    sim_seeds(&config, seeds, script, &world);
}

static void test_dht__two_hundred_nodes_and_loss__nearly_all_is_found(void **state)
{
    (void) state;
    seeds_run(loss_script, &lossy, 1);
}

int main(int argc, char **argv)
{
    sim_arguments(argc, argv);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_dht__two_hundred_nodes_and_loss__nearly_all_is_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
