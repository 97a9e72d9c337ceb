// SPDX-License-Identifier: Apache-2.0
// Goal: in a network of hundreds, what was put is found, by anybody, although packets are lost and a fifth of the nodes is
//       dead or lies; the network grows, loses nodes and heals; publishing keeps what is published alive.
// Method: 200 hosts without cryptography on their connections, each a machine with an address of its own, one DHT each.
#include "base/mem.h"
#include "dht/limits.h"
#include "dht_world.h"
#include "runtime/limits.h"
#include "sim_test.h"

// The large one, where packets are lost, and the others. `make nightly-dht` has networks of up to 10,000.
static size_t nodes_many(void)
{
    return getenv("PG_TEST_LONG") != NULL ? 200 : getenv("PG_TEST_SLOW") != NULL ? 60 : 40;
}

static size_t nodes_fewer(void)
{
    return getenv("PG_TEST_LONG") != NULL ? 100 : getenv("PG_TEST_SLOW") != NULL ? 40 : 30;
}

#define TEST_SKIPPED 77 // as meson has it
#define MACHINES_MAX 250

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
    pg_time start = pg_now();
    pg_err err = pg_dht_put(self->dht, pg_buf_bytes(&job->key), pg_buf_bytes(&job->value), &call,
                            &job->count);
    job->took_ns = pg_now() - start;
    return err;
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
    pg_time start = pg_now();
    PG_TRY(pg_dht_find_providers(self->dht, pg_buf_bytes(&job->key), NULL, on_provider, job));
    job->took_ns = pg_now() - start;
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
    if (err != PG_OK) {
        (void) printf("  failed: %s\n", pg_err_name(err));
    }
    self->took_ns += job->took_ns;
}

static void tally_print(const char *what, const tally *self)
{
    (void) printf("  %-28s %zu of %zu, %.0f ms on average\n", what, self->good, self->all,
                  (double) self->took_ns / 1e6 / (double) self->all);
    (void) fflush(stdout);
}

#define BATCH 20 // nodes with something to do at once

typedef pg_err (*task)(dht_node *self, void *arg);

// Give an errand each to random nodes, `count` in all, and note how they went.
static void errands_run(dht_world *world, task what, errand *jobs, size_t count, tally *sum)
{
    for (size_t first = 0; first < count; first += BATCH) {
        dht_node *nodes[BATCH];
        size_t end = pg_min_size(count, first + BATCH);
        for (size_t i = first; i < end; i++) {
            do {
                nodes[i - first] = dht_world_random(world);
            } while (nodes[i - first] == jobs[i].target); // it would find itself
            dht_node_begin(nodes[i - first], what, &jobs[i]);
        }
        for (size_t i = first; i < end; i++) {
            tally_note(sum, dht_node_end(nodes[i - first], PG_MINUTES(3)), &jobs[i]);
        }
    }
}

#define VALUES_MAX 200

static errand jobs[VALUES_MAX];

static void jobs_make(size_t count, size_t from)
{
    for (size_t i = 0; i < count; i++) {
        errand_init(&jobs[i], from + i);
    }
}

static void jobs_free(size_t count)
{
    for (size_t i = 0; i < count; i++) {
        errand_deinit(&jobs[i]);
    }
}

// Get values that were put before, each from two nodes.
static void gets_run(dht_world *world, size_t count, tally *gets)
{
    jobs_make(count, 0);
    errands_run(world, get, jobs, count, gets);
    errands_run(world, get, jobs, count, gets);
    jobs_free(count);
}

static void values_run(dht_world *world, size_t count, tally *puts, tally *gets)
{
    jobs_make(count, 0);
    errands_run(world, put, jobs, count, puts);
    jobs_free(count);
    gets_run(world, count, gets);
}

static void peers_run(dht_world *world, size_t count, tally *finds)
{
    jobs_make(count, 0);
    for (size_t i = 0; i < count; i++) {
        jobs[i].target = dht_world_random(world);
    }
    errands_run(world, find_peer, jobs, count, finds);
    jobs_free(count);
}

static pg_err provide_own(dht_node *self, void *arg)
{
    errand *job = arg;
    job->target = self;
    return provide(self, job);
}

static void providers_run(dht_world *world, size_t count, tally *finds)
{
    tally provided = {0};
    jobs_make(count, 1000);
    errands_run(world, provide_own, jobs, count, &provided);
    CHECK(provided.good == provided.all);
    errands_run(world, find_provider, jobs, count, finds);
    jobs_free(count);
}

// ---- loss ----

static pg_err loss_script(void *arg)
{
    dht_world *world = arg;
    const dht_world_config config = {.nodes = nodes_many(), .is_null = true, .connections = 100};
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
    (void) printf("%zu nodes, 10 %% loss: %zu peers a table, %.1f requests a lookup\n",
                  nodes_many(), stats.peers / nodes_many(),
                  (double) stats.requests / (double) stats.lookups);
    tally_print("puts", &puts);
    tally_print("gets", &gets);
    tally_print("peers found", &finds);
    tally_print("providers found", &providers);
    CHECK(puts.good * 100 > puts.all * 99);
    CHECK(gets.good * 100 > gets.all * 99);
    CHECK(finds.good * 100 > finds.all * 99);
    CHECK(providers.good + 1 >= providers.all);
    dht_world_end(world);
    return PG_OK;
}

static const pg_sim_link quick = {.latency_ns = PG_MS(10), .jitter_ns = PG_MS(5)};

// ---- the dead ----

static void crash_some(dht_world *world, unsigned percent)
{
    for (size_t i = 0; i < world->count; i++) {
        if (pg_sim_random_below(100) < percent) {
            pg_sim_machine_crash(world->nodes[i].machine);
            world->nodes[i].is_up = false;
        }
    }
}

static pg_err dead_script(void *arg)
{
    dht_world *world = arg;
    const dht_world_config config = {.nodes = nodes_fewer(), .is_null = true};
    tally puts = {0};
    tally before = {0};
    tally gets = {0};
    tally late = {0};
    tally finds = {0};
    dht_world_make(world, &config, MACHINES_MAX);
    CHECK_OK(pg_sleep_until(pg_after(PG_MINUTES(1))));
    values_run(world, 40, &puts, &before);
    crash_some(world, 20); // silently: nobody is told
    gets_run(world, 40, &gets);
    peers_run(world, 60, &finds);
    CHECK_OK(pg_sleep_until(pg_after(PG_MINUTES(12)))); // by now nobody should tell of the dead
    gets_run(world, 40, &late);
    (void) printf("%zu nodes, of which 20 %% die at once\n", nodes_fewer());
    tally_print("gets before", &before);
    tally_print("gets right after", &gets);
    tally_print("peers found right after", &finds);
    tally_print("gets 12 minutes later", &late);
    CHECK(gets.good * 100 > gets.all * 99 && late.good == late.all);
    CHECK(finds.good * 100 > finds.all * 98);
    CHECK(gets.took_ns / (int64_t) gets.all < PG_SECONDS(2));
    dht_world_end(world);
    return PG_OK;
}

// ---- liars ----

static pg_err liars_script(void *arg)
{
    dht_world *world = arg;
    const dht_world_config config = {.nodes = nodes_fewer(), .is_null = true, .liars_percent = 20};
    tally puts = {0};
    tally gets = {0};
    tally finds = {0};
    tally providers = {0};
    dht_world_make(world, &config, MACHINES_MAX);
    CHECK_OK(pg_sleep_until(pg_after(PG_MINUTES(1))));
    values_run(world, 25, &puts, &gets);
    peers_run(world, 30, &finds);
    providers_run(world, 15, &providers);
    pg_dht_stats stats = dht_world_stats(world);
    (void) printf("%zu nodes, of which 20 %% lie: %.1f requests a lookup\n", nodes_fewer(),
                  (double) stats.requests / (double) stats.lookups);
    tally_print("puts", &puts);
    tally_print("gets", &gets);
    tally_print("peers found", &finds);
    tally_print("providers found", &providers);
    CHECK(gets.good * 100 > gets.all * 99);
    CHECK(finds.good * 100 > finds.all * 98);
    CHECK(providers.good * 100 > providers.all * 98);
    dht_world_end(world);
    return PG_OK;
}

// ---- values that change ----

static pg_err put_once(dht_node *self, void *arg)
{
    errand *job = arg;
    return pg_dht_put(self->dht, pg_buf_bytes(&job->key), pg_buf_bytes(&job->value), NULL,
                      &job->count);
}

static void value_set(errand *job, const char *text)
{
    pg_buf_clear(&job->value);
    CHECK_OK(pg_buf_append(&job->value, pg_bytes_cstr(text)));
}

static size_t holders_of(const dht_world *world, const errand *job)
{
    size_t count = 0;
    for (size_t i = 0; i < world->count; i++) {
        if (world->nodes[i].is_up) {
            const pg_dht_records *records = pg_dht_get_records(world->nodes[i].dht);
            const pg_dht_record *record = pg_map_get(&records->by_key, pg_buf_bytes(&job->key));
            count += record != NULL && pg_bytes_equal(record->value, pg_buf_bytes(&job->value));
        }
    }
    return count;
}

static pg_err change_script(void *arg)
{
    dht_world *world = arg;
    const dht_world_config config = {.nodes = 40, .is_null = true};
    errand job;
    dht_world_make(world, &config, MACHINES_MAX);
    CHECK_OK(pg_sleep_until(pg_after(PG_MINUTES(1))));
    errand_init(&job, 1);
    value_set(&job, "1 old");
    CHECK_OK(dht_node_do(&world->nodes[0], put_once, &job, PG_MINUTES(1)));
    CHECK(job.count >= PG_DHT_K / 2 && job.count < PG_DHT_K); // the rest are not waited for
    while (holders_of(world, &job) < PG_DHT_K) {
        CHECK_OK(pg_sleep_until(pg_after(PG_MS(10))));
    }

    // Cut half of them off while a newer value is put: they keep the old one.
    for (size_t i = 20; i < 40; i++) {
        for (size_t k = 0; k < 20; k++) {
            pg_sim_partition(world->nodes[i].machine, world->nodes[k].machine, true);
        }
    }
    value_set(&job, "2 new");
    CHECK_OK(dht_node_do(&world->nodes[0], put_once, &job, PG_MINUTES(2)));
    CHECK_OK(pg_sleep_until(pg_after(PG_SECONDS(10)))); // what the put left under way ends
    for (size_t i = 20; i < 40; i++) {
        for (size_t k = 0; k < 20; k++) {
            pg_sim_partition(world->nodes[i].machine, world->nodes[k].machine, false);
        }
    }
    CHECK_OK(pg_sleep_until(pg_after(PG_MINUTES(20))));
    size_t new_before = holders_of(world, &job);
    CHECK(new_before > 0);
    for (size_t i = 0; i < 40; i++) {
        CHECK_OK(dht_node_do(&world->nodes[i], get, &job, PG_MINUTES(1)));
    }
    CHECK_OK(pg_sleep_until(pg_after(PG_MINUTES(1))));
    CHECK(dht_world_stats(world).corrected > 0 && holders_of(world, &job) > new_before);

    // A value older than what is known is refused at home, and by those who keep it.
    value_set(&job, "1 old");
    size_t refused = 0;
    for (size_t i = 0; i < 40; i++) {
        pg_err err = dht_node_do(&world->nodes[i], put_once, &job, PG_MINUTES(1));
        refused += err != PG_OK ? 1U : 0U;
    }
    CHECK(refused > 0);
    value_set(&job, "2 new");
    for (size_t i = 0; i < 40; i++) {
        CHECK_OK(dht_node_do(&world->nodes[i], get, &job, PG_MINUTES(1)));
    }
    errand_deinit(&job);
    dht_world_end(world);
    return PG_OK;
}

// ---- publishing again ----

static pg_err unpublish(dht_node *self, void *arg)
{
    const errand *job = arg;
    pg_dht_unpublish(self->dht, pg_buf_bytes(&job->key));
    return PG_OK;
}

static pg_err republish_script(void *arg)
{
    dht_world *world = arg;
    const dht_world_config config = {
        .nodes = 40, .is_null = true, .republish_ns = PG_MINUTES(10), .refresh_ns = PG_MINUTES(5)};
    errand value;
    errand provided;
    dht_world_make(world, &config, MACHINES_MAX);
    CHECK_OK(pg_sleep_until(pg_after(PG_MINUTES(1))));
    errand_init(&value, 1);
    errand_init(&provided, 2);
    dht_node *publisher = &world->nodes[0];
    provided.target = publisher;
    CHECK_OK(dht_node_do(publisher, put, &value, PG_MINUTES(1)));
    CHECK_OK(dht_node_do(publisher, provide, &provided, PG_MINUTES(1)));

    // All who kept it go, and others come: they have it once it was published again.
    for (size_t i = 1; i < 40; i++) {
        pg_sim_machine_crash(world->nodes[i].machine);
        world->nodes[i].is_up = false;
    }
    for (size_t i = 1; i < 40; i++) {
        dht_node_start(&world->nodes[i], 2);
    }
    CHECK_OK(pg_sleep_until(pg_after(PG_MINUTES(2))));
    CHECK(holders_of(world, &value) <= 1);
    CHECK_OK(pg_sleep_until(pg_after(PG_MINUTES(13))));
    CHECK(holders_of(world, &value) >= PG_DHT_K - 2);
    CHECK_OK(dht_node_do(&world->nodes[9], get, &value, PG_MINUTES(1)));
    CHECK_OK(dht_node_do(&world->nodes[9], find_provider, &provided, PG_MINUTES(1)));
    CHECK_OK(dht_node_do(publisher, unpublish, &value, PG_MINUTES(1)));
    CHECK(pg_dht_get_stats(publisher->dht).published == 1);
    errand_deinit(&value);
    errand_deinit(&provided);
    dht_world_end(world);
    return PG_OK;
}

// ---- clients, and those who are left alone ----

static pg_err become_client(dht_node *self, void *arg)
{
    (void) arg;
    return pg_dht_set_mode(self->dht, PG_DHT_MODE_CLIENT);
}

static size_t tables_with(const dht_world *world, const dht_node *node);

typedef struct table_search {
    const dht_node *node;
    size_t found;
} table_search;

static void on_table_peer(const pg_peer_id *peer, unsigned bucket, void *user)
{
    table_search *search = user;
    (void) bucket;
    search->found += pg_peer_id_equal(peer, &search->node->id) ? 1U : 0U;
}

static size_t tables_with(const dht_world *world, const dht_node *node)
{
    table_search search = {.node = node};
    for (size_t i = 0; i < world->count; i++) {
        if (world->nodes[i].is_up) {
            pg_dht_peers_each(world->nodes[i].dht, on_table_peer, &search);
        }
    }
    return search.found;
}

static pg_err client_script(void *arg)
{
    dht_world *world = arg;
    const dht_world_config config = {.nodes = 30, .is_null = true, .refresh_ns = PG_MINUTES(5)};
    errand job;
    dht_world_make(world, &config, MACHINES_MAX);
    CHECK_OK(pg_sleep_until(pg_after(PG_MINUTES(1))));
    dht_node *client = &world->nodes[7];
    CHECK(tables_with(world, client) > 10);
    CHECK_OK(dht_node_do(client, become_client, NULL, PG_MINUTES(1)));
    CHECK_OK(pg_sleep_until(pg_after(PG_MINUTES(1))));
    CHECK(tables_with(world, client) == 0); // its push said so
    errand_init(&job, 1);
    CHECK_OK(dht_node_do(client, put, &job, PG_MINUTES(1)));
    CHECK_OK(dht_node_do(&world->nodes[8], get, &job, PG_MINUTES(1)));
    CHECK(pg_dht_get_stats(client->dht).records == 0);
    job.target = client;
    CHECK_OK(dht_node_do(&world->nodes[9], find_peer, &job, PG_MINUTES(1)));

    // Everybody else is away for a while: the node comes back by what it remembers.
    for (size_t i = 0; i < 30; i++) {
        if (&world->nodes[i] != client) {
            pg_sim_machine_crash(world->nodes[i].machine);
            world->nodes[i].is_up = false;
        }
    }
    CHECK_OK(pg_sleep_until(pg_after(PG_MINUTES(30))));
    CHECK(pg_dht_get_stats(client->dht).peers == 0);
    CHECK(dht_node_do(client, get, &job, PG_MINUTES(1)) == PG_ERR_UNREACHABLE);
    for (size_t i = 0; i < 30; i++) {
        if (&world->nodes[i] != client) {
            dht_node_start(&world->nodes[i], i == 0 ? 0 : 1);
        }
    }
    CHECK_OK(pg_sleep_until(pg_after(PG_MINUTES(30))));
    CHECK(pg_dht_get_stats(client->dht).peers > 10);
    errand_deinit(&job);
    dht_world_end(world);
    return PG_OK;
}

// ---- refreshing by few and by many ----

static pg_err refresh(dht_node *self, void *arg)
{
    (void) arg;
    const pg_dht_call call = {.deadline = pg_after(PG_MINUTES(5))};
    return pg_dht_refresh(self->dht, &call);
}

// How many requests a refresh sends.
static uint64_t refresh_requests(dht_world *world, size_t nodes)
{
    const dht_world_config config = {.nodes = nodes, .is_null = true};
    dht_world_make(world, &config, nodes);
    CHECK_OK(pg_sleep_until(pg_after(PG_MINUTES(1))));
    dht_node *node = &world->nodes[nodes / 2];
    CHECK(pg_dht_get_stats(node->dht).peers > 0);
    uint64_t before = pg_dht_get_stats(node->dht).requests;
    CHECK_OK(dht_node_do(node, refresh, NULL, PG_MINUTES(5)));
    uint64_t sent = pg_dht_get_stats(node->dht).requests - before;
    dht_world_end(world);
    return sent;
}

static pg_err few_script(void *arg)
{
    dht_world *world = arg;
    const size_t few = PG_DHT_K - 1;
    const size_t many = 2 * PG_DHT_K;
    uint64_t sent = refresh_requests(world, few);
    CHECK(sent > 0 && sent < few);               // one lookup has asked them all
    CHECK(refresh_requests(world, many) > many); // the points of the buckets too
    return PG_OK;
}

// ---- stacks ----

static void stack_print(const pg_fiber_stats *stats, void *user)
{
    size_t *kinds = user;
    (void) printf("fiber %-24s stack %6zu high water %6zu started %zu\n", stats->kind,
                  stats->stack_bytes, stats->high_water_bytes, stats->started_total);
    CHECK(stats->high_water_bytes < stats->stack_bytes / 4 * 3);
    *kinds += 1;
}

static pg_err stacks_script(void *arg)
{
    size_t kinds = 0;
    PG_TRY(change_script(arg));
    pg_fiber_stats_each(stack_print, &kinds);
    CHECK(kinds >= 12);
    return PG_OK;
}

static void test_dht__stacks_painted__every_kind_keeps_a_quarter_free(void **state)
{
    (void) state;
    static dht_world world;
    const pg_sim_config config = {.seed = 1, .link = quick, .measure_stacks = true};
    assert_int_equal(pg_sim_run(&config, stacks_script, &world, NULL), PG_OK);
}

static void seeds_run(pg_fiber_fn script, const pg_sim_link *link, uint64_t seeds)
{
    static dht_world world;
    const pg_sim_config config = {.link = *link, .events_max = 500000000};
    sim_seeds(&config, seeds, script, &world);
}

static void test_dht__many_nodes_and_loss__nearly_all_is_found(void **state)
{
    (void) state;
    seeds_run(loss_script, &lossy, 1);
}

static void test_dht__a_fifth_dies_at_once__what_was_put_is_found(void **state)
{
    (void) state;
    seeds_run(dead_script, &quick, 1);
}

static void test_dht__a_fifth_lies__what_was_put_is_found(void **state)
{
    (void) state;
    seeds_run(liars_script, &quick, 1);
}

static void test_dht__value_changes_during_a_partition__newest_wins_and_spreads(void **state)
{
    (void) state;
    seeds_run(change_script, &quick, 2);
}

static void test_dht__keepers_are_replaced__published_again(void **state)
{
    (void) state;
    seeds_run(republish_script, &quick, 1);
}

static void test_dht__refresh_among_few__asks_each_once(void **state)
{
    (void) state;
    seeds_run(few_script, &quick, 2);
}

static void test_dht__client__in_no_table_but_found_and_comes_back(void **state)
{
    (void) state;
    seeds_run(client_script, &quick, 1);
}

int main(int argc, char **argv)
{
    sim_arguments(argc, argv);
#ifdef PG_WITH_ASAN
    if (getenv("PG_TEST_LONG") == NULL) {
        return TEST_SKIPPED; // it takes minutes; unit/dht and sim/dht_keep go the same ways
    }
#endif
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_dht__value_changes_during_a_partition__newest_wins_and_spreads),
        cmocka_unit_test(test_dht__keepers_are_replaced__published_again),
        cmocka_unit_test(test_dht__refresh_among_few__asks_each_once),
        cmocka_unit_test(test_dht__client__in_no_table_but_found_and_comes_back),
        cmocka_unit_test(test_dht__a_fifth_dies_at_once__what_was_put_is_found),
        cmocka_unit_test(test_dht__a_fifth_lies__what_was_put_is_found),
        cmocka_unit_test(test_dht__stacks_painted__every_kind_keeps_a_quarter_free),
        cmocka_unit_test(test_dht__many_nodes_and_loss__nearly_all_is_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
