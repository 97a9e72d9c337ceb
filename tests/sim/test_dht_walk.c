// SPDX-License-Identifier: Apache-2.0
// Goal: know what a stranger learns who walks the key space of a DHT, and what it costs. It cannot list keys: peers tell of peers near a key,
//       and of values only to who names the key. So it walks to list the peers, and places identities to be told keys as one of the nearest.
// Method: a network of honest nodes that provide and put; a stranger with the program as it is, with public calls. Numbers are printed;
//       PG_SIM_NODES=N for another size.
#include "base/mem.h"
#include "dht/dht_priv.h"
#include "dht/limits.h"
#include "dht_world.h"
#include "runtime/limits.h"
#include "sim_test.h"

#ifdef PG_WITH_ASAN
#define HONEST 40
#else
#define HONEST 60
#endif
#define LISTENERS_MAX 32
#define KEYS_EACH 4
#define KEY_BYTES 32
#define FRUITLESS 12 // lookups in a row that tell of nobody new end a walk

/** What is tried. */
typedef struct trial {
    dht_world world;
    size_t honest;
    size_t listeners; // identities that the stranger places
    size_t subnets;   // that they are in; 0: each in one of its own
    uint64_t lookups; // of the walk
    size_t known;     // peers that it told of
    int64_t took_ns;
} trial;

static void world_make(trial *self)
{
    const dht_world_config config = {
        .nodes = self->honest, .is_null = true, .refresh_ns = PG_MINUTES(10)};
    dht_world_make(&self->world, &config, self->honest + LISTENERS_MAX + 1);
    CHECK_OK(pg_sleep_until(pg_after(PG_MINUTES(1))));
}

static dht_node *stranger_add(trial *self)
{
    dht_node *made = dht_world_add(&self->world);
    dht_node_place(made, self->subnets);
    dht_node_start(made, 3);
    return made;
}

// ---- listing the peers

static size_t peers_add(pg_map *seen, const pg_peer_id *peers, size_t count)
{
    size_t added = 0;
    for (size_t i = 0; i < count; i++) {
        added += pg_map_add(seen, pg_peer_id_bytes(&peers[i]), seen) == PG_OK ? 1U : 0U;
    }
    return added;
}

static pg_err walk(dht_node *self, void *arg)
{
    trial *it = arg;
    pg_map seen = {0};
    pg_peer_id peers[PG_DHT_LOOKUP_WIDE_MAX];
    pg_time start = pg_now();
    size_t fruitless = 0;
    pg_err err = PG_OK;
    for (it->lookups = 0; fruitless < FRUITLESS && err == PG_OK; it->lookups++) {
        size_t count = 0;
        err = pg_dht_nearest(self->dht, pg_bytes_make(&it->lookups, sizeof(it->lookups)), NULL,
                             peers, &count);
        fruitless = peers_add(&seen, peers, count) > 0 ? 0 : fruitless + 1;
    }
    it->known = pg_map_count(&seen);
    it->took_ns = pg_now() - start;
    pg_map_deinit(&seen);
    return err;
}

static pg_err walk_script(void *arg)
{
    trial *self = arg;
    world_make(self);
    dht_node *stranger = stranger_add(self);
    uint64_t before = pg_dht_get_stats(stranger->dht).requests;
    CHECK_OK(dht_node_do(stranger, walk, self, PG_HOURS(2)));
    uint64_t requests = pg_dht_get_stats(stranger->dht).requests - before;
    (void) printf("  a walk over %zu nodes: %zu peers known after %llu lookups, %llu requests, "
                  "%.1f s\n",
                  self->honest, self->known, (unsigned long long) self->lookups,
                  (unsigned long long) requests, (double) self->took_ns / 1e9);
    CHECK(self->known >= self->honest * 95 / 100); // who serves a DHT can be listed
    dht_world_end(&self->world);
    return PG_OK;
}

// ---- being told keys

static void key_make(size_t node, size_t number, uint8_t out[KEY_BYTES])
{
    memset(out, 0, KEY_BYTES);
    memcpy(out, &node, sizeof(node));
    memcpy(out + sizeof(node), &number, sizeof(number));
}

static pg_err provide_all(dht_node *self, void *arg)
{
    (void) arg;
    pg_err err = PG_OK;
    for (size_t i = 0; i < KEYS_EACH && err == PG_OK; i++) {
        uint8_t key[KEY_BYTES];
        size_t told = 0;
        key_make(self->index, i, key);
        err = pg_dht_provide(self->dht, PG_BYTES_OF(key), NULL, &told);
    }
    return err;
}

/** Return true when one of the stranger's identities was told who provides a key. */
static bool is_learned(const trial *self, const uint8_t key[KEY_BYTES])
{
    for (size_t i = self->honest; i < self->world.count; i++) {
        const pg_dht_provider *provider = NULL;
        if (pg_dht_providers_get(&self->world.nodes[i].dht->providers,
                                 pg_bytes_make(key, KEY_BYTES), pg_now(), &provider, 1) > 0) {
            return true;
        }
    }
    return false;
}

static size_t learned_count(const trial *self)
{
    size_t learned = 0;
    for (size_t node = 0; node < self->honest; node++) {
        for (size_t i = 0; i < KEYS_EACH; i++) {
            uint8_t key[KEY_BYTES];
            key_make(node, i, key);
            learned += is_learned(self, key) ? 1U : 0U;
        }
    }
    return learned;
}

static pg_err listen_script(void *arg)
{
    trial *self = arg;
    world_make(self);
    for (size_t i = 0; i < self->listeners; i++) {
        (void) stranger_add(self);
    }
    CHECK_OK(pg_sleep_until(pg_after(PG_MINUTES(11)))); // a refresh: they are known as others are
    for (size_t i = 0; i < self->honest; i++) {
        CHECK_OK(dht_node_do(&self->world.nodes[i], provide_all, NULL, PG_MINUTES(10)));
    }
    size_t keys = self->honest * KEYS_EACH;
    size_t learned = learned_count(self);
    (void) printf("  %2zu identities in %2zu subnets among %zu nodes: told who provides %zu of %zu "
                  "keys, %zu %%\n",
                  self->listeners, self->subnets == 0 ? self->listeners : self->subnets,
                  self->honest, learned, keys, 100 * learned / keys);
    // A key goes to the 20 nearest: one identity is among them for one key in so many.
    double share = (double) PG_DHT_K / (double) (self->honest + self->listeners);
    double least = 0.4 * share;
    CHECK((double) learned >= least * (double) keys || self->subnets != 0);
    CHECK(self->listeners > 1 || (double) learned <= 2 * share * (double) keys);
    dht_world_end(&self->world);
    return PG_OK;
}

static void trial_run(pg_fiber_fn script, size_t listeners, size_t subnets)
{
    static trial self;
    const pg_sim_config config = {.link = {.latency_ns = PG_MS(10), .jitter_ns = PG_MS(5)},
                                  .events_max = 500000000};
    self = (trial){.honest = (size_t) sim_setting("PG_SIM_NODES", HONEST),
                   .listeners = listeners,
                   .subnets = subnets};
    sim_seeds(&config, 1, script, &self);
    (void) fflush(stdout);
}

static void test_walk__stranger_lists_peers__all_who_serve(void **state)
{
    (void) state;
    trial_run(walk_script, 0, 0);
}

static void test_walk__stranger_places_identities__is_told_its_share_of_keys(void **state)
{
    (void) state;
    trial_run(listen_script, 1, 0);
    trial_run(listen_script, 4, 0);
    trial_run(listen_script, 16, 0);
    trial_run(listen_script, 16, 1);
}

int main(int argc, char **argv)
{
    sim_arguments(argc, argv);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_walk__stranger_lists_peers__all_who_serve),
        cmocka_unit_test(test_walk__stranger_places_identities__is_told_its_share_of_keys),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
