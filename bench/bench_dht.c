// SPDX-License-Identifier: Apache-2.0
// What the DHT costs: how long a put and a get take, and how many requests.
//
//      bench_dht                       all three
//      bench_dht loopback              50 hosts in this process, real sockets on loopback, hybrid Noise
//      bench_dht simulated             the same in a simulated network with round trips of 20 ms; time is the network's alone
//      bench_dht scale [NODES]...      requests of a lookup against the size of the network; 50 100 200 unless told
//      bench_dht young [NODES]...      the same just after all came: tables hold what one lookup, of the own key, has met, and nodes have
//                                      at most 24 connections; so that 10,000 fit
//
// A table goes to standard output, and one JSON object a row to the file that PANGEA_BENCH_JSON names.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/mem.h"
#include "base/str.h"
#include "dht/dht.h"
#include "dht/limits.h"
#include "dht_world.h"
#include "runtime/fiber.h"
#include "runtime/random.h"
#include "runtime/runtime.h"

#define HOSTS 50
#define ROUNDS 400
#define VALUE_BYTES 1024

static FILE *json_file;

// ---- rows ----

/** One kind of call, measured many times. The samples are the calls that asked others and succeeded. */
typedef struct row {
    const char *name;
    int64_t took_ns[ROUNDS];
    size_t count; // samples
    size_t failed;
    size_t local; // answered by what the node itself holds
    uint64_t requests;
    double cpu_s;
} row;

static double cpu_s(void)
{
    struct timespec at;
    return clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &at) == 0
               ? (double) at.tv_sec + (double) at.tv_nsec * 1e-9
               : 0;
}

static int compare(const void *a, const void *b)
{
    int64_t x = *(const int64_t *) a;
    int64_t y = *(const int64_t *) b;
    return (x > y) - (x < y);
}

static double percentile_ms(const row *sorted, size_t percent)
{
    size_t at = sorted->count * percent / 100;
    return (double) sorted->took_ns[at < sorted->count ? at : sorted->count - 1] / 1e6;
}

static void row_sort(row *self)
{
    qsort(self->took_ns, self->count, sizeof(self->took_ns[0]), compare);
}

static void row_add(row *self, pg_err err, int64_t took_ns, uint64_t requests)
{
    if (err != PG_OK) {
        self->failed++;
    } else if (requests == 0) {
        self->local++;
    } else {
        self->took_ns[self->count++] = took_ns;
        self->requests += requests;
    }
}

// Of lost calls one in fifty is let pass; more, and the rest says nothing.
static pg_err row_check(const row *self)
{
    if (self->count == 0 || self->failed * 50 > self->count) {
        return pg_fail(PG_ERR_CLOSED, "%s: %zu failed, and %zu can be measured", self->name,
                       self->failed, self->count);
    }
    return PG_OK;
}

static pg_err row_print(const char *where, row *self)
{
    PG_TRY(row_check(self));
    row_sort(self);
    double p50 = percentile_ms(self, 50);
    double p95 = percentile_ms(self, 95);
    double requests = (double) self->requests / (double) self->count;
    double cpu_ms = self->cpu_s * 1e3 / (double) self->count;
    printf(
        "%-9s %-33s p50 %7.2f ms  p95 %7.2f ms  CPU %6.2f ms  %5.1f requests  %zu calls, %zu more "
        "local, %zu failed\n",
        where, self->name, p50, p95, cpu_ms, requests, self->count, self->local, self->failed);
    if (json_file != NULL) {
        (void) fprintf(json_file,
                       "{\"name\":\"dht %s %s\",\"p50_ms\":%.3f,\"p95_ms\":%.3f,\"cpu_ms\":%.3f,"
                       "\"requests\":%.2f,\"failed\":%zu,\"local\":%zu,\"count\":%zu}\n",
                       where, self->name, p50, p95, cpu_ms, requests, self->failed, self->local,
                       self->count);
    }
    (void) fflush(NULL);
    return PG_OK;
}

// ---- the calls to measure ----

static uint8_t value[VALUE_BYTES];

static pg_err any_check(pg_bytes key, pg_bytes bytes, void *user)
{
    (void) key;
    (void) bytes;
    (void) user;
    return PG_OK;
}

// Values that cannot change: the first answer will do.
static const pg_dht_validator fixed = {.name_space = "fixed", .check = any_check};

typedef struct subject {
    pg_dht *dht;
    size_t number;
} subject;

static void key_make(const char *name_space, size_t number, pg_buf *out)
{
    pg_buf_clear(out);
    pg_ignore(pg_buf_printf(out, "/%s/%zu", name_space, number), "there is memory");
}

static pg_err put_fixed(const subject *self, pg_buf *key)
{
    key_make("fixed", self->number, key);
    return pg_dht_put(self->dht, pg_buf_bytes(key), PG_BYTES_OF(value), NULL, NULL);
}

static pg_err put_mutable(const subject *self, pg_buf *key)
{
    key_make("test", self->number, key);
    return pg_dht_put(self->dht, pg_buf_bytes(key), PG_BYTES_OF(value), NULL, NULL);
}

static pg_err get_any(const subject *self, const pg_buf *key)
{
    pg_buf got = {0};
    pg_err err = pg_dht_get(self->dht, pg_buf_bytes(key), NULL, &got);
    pg_buf_deinit(&got);
    return err;
}

static pg_err get_fixed(const subject *self, pg_buf *key)
{
    key_make("fixed", self->number, key);
    return get_any(self, key);
}

static pg_err get_mutable(const subject *self, pg_buf *key)
{
    key_make("test", self->number, key);
    return get_any(self, key);
}

static pg_err provide(const subject *self, pg_buf *key)
{
    key_make("provided", self->number, key);
    return pg_dht_provide(self->dht, pg_buf_bytes(key), NULL, NULL);
}

static bool on_provider(const pg_dht_found *found, void *user)
{
    bool *has_one = user;
    (void) found;
    *has_one = true;
    return false;
}

static pg_err find_provider(const subject *self, pg_buf *key)
{
    bool has_one = false;
    key_make("provided", self->number, key);
    PG_TRY(pg_dht_find_providers(self->dht, pg_buf_bytes(key), NULL, on_provider, &has_one));
    return has_one ? PG_OK : PG_ERR_NOT_FOUND;
}

/** What is measured, in this order: what is got was put before. */
static const struct {
    const char *name;
    pg_err (*run)(const subject *self, pg_buf *key);
} calls[] = {
    {"put 1 KiB", put_fixed},
    {"get 1 KiB, immutable", get_fixed},
    {"put 1 KiB, mutable", put_mutable},
    {"get 1 KiB, mutable, quorum of 4", get_mutable},
    {"provide", provide},
    {"find the provider", find_provider},
};

#define CALLS PG_ARRAY_LEN(calls)

static void call_measure(const subject *self, size_t which, row *out)
{
    pg_buf key = {0};
    uint64_t before = pg_dht_get_stats(self->dht).requests;
    double cpu_start = cpu_s();
    pg_time start = pg_now();
    pg_err err = calls[which].run(self, &key);
    int64_t took_ns = pg_now() - start;
    uint64_t requests = pg_dht_get_stats(self->dht).requests - before;
    out->cpu_s += err == PG_OK && requests > 0 ? cpu_s() - cpu_start : 0;
    row_add(out, err, took_ns, requests);
    pg_buf_deinit(&key);
}

static void rows_begin(row rows[CALLS])
{
    memset(rows, 0, CALLS * sizeof(rows[0]));
    for (size_t i = 0; i < CALLS; i++) {
        rows[i].name = calls[i].name;
    }
}

static pg_err rows_print(const char *where, row rows[CALLS])
{
    for (size_t i = 0; i < CALLS; i++) {
        PG_TRY(row_print(where, &rows[i]));
    }
    return PG_OK;
}

static row rows[CALLS];

// ---- loopback ----

typedef struct real_node {
    pg_identity identity;
    pg_host *host;
    pg_dht *dht;
} real_node;

/** A run on loopback. */
typedef struct loopback_case {
    const char *name;
    size_t idle_streams_max;
} loopback_case;

static real_node nodes[HOSTS];
static pg_dht_validators validators;

static pg_err node_start(real_node *self, const loopback_case *how)
{
    const uint8_t loopback[4] = {127, 0, 0, 1};
    pg_multiaddr listen = pg_multiaddr_make(PG_BYTES_OF(loopback), PG_MULTIADDR_TRANSPORT_TCP, 0);
    pg_key seed;
    pg_random_bytes(PG_MUT_BYTES_OF(seed.bytes));
    PG_TRY(pg_identity_init(&self->identity, &seed));
    const pg_host_config config = pg_host_config_default(&self->identity);
    PG_TRY(pg_host_new(&config, &self->host));
    PG_TRY(pg_host_listen(self->host, &listen));
    pg_dht_config dht = pg_dht_config_default(self->host, PG_DHT_REALM_GLOBAL, &validators);
    dht.private_too = true;
    dht.refresh_ns = 0;
    dht.idle_streams_max = how->idle_streams_max;
    return pg_dht_new(&dht, &self->dht);
}

static pg_err nodes_meet(void)
{
    pg_multiaddr addrs[PG_NET_ADVERTISED_MAX];
    (void) pg_host_addrs(nodes[0].host, addrs);
    PG_TRY(pg_multiaddr_append(&addrs[0], PG_MULTIADDR_CODE_P2P,
                               pg_peer_id_bytes(pg_host_id(nodes[0].host))));
    for (size_t i = 1; i < HOSTS; i++) {
        pg_id conn = 0;
        PG_TRY(pg_host_dial(nodes[i].host, &addrs[0], NULL, pg_after(PG_SECONDS(10)), &conn));
        PG_TRY(pg_host_await_identify(nodes[i].host, conn, pg_after(PG_SECONDS(10))));
    }
    for (size_t round = 0; round < 2; round++) {
        for (size_t i = 0; i < HOSTS; i++) {
            PG_TRY(pg_dht_refresh(nodes[i].dht, NULL));
        }
    }
    return PG_OK;
}

static pg_err loopback_measure(const loopback_case *how)
{
    uint64_t last = 0;
    rows_begin(rows);
    for (size_t i = 0; i < ROUNDS; i++) {
        for (size_t which = 0; which < CALLS; which++) {
            last = (last + 1 + pg_random_below(HOSTS - 1)) % HOSTS; // not the one that put it
            const subject one = {.dht = nodes[last].dht, .number = i};
            call_measure(&one, which, &rows[which]);
            PG_TRY(pg_sleep_until(pg_after(PG_MS(2)))); // what was left under way ends
        }
    }
    return rows_print(how->name, rows);
}

static pg_err loopback_run(void *arg)
{
    const loopback_case *how = arg;
    memset(nodes, 0, sizeof(nodes));
    pg_err err = PG_OK;
    for (size_t i = 0; i < HOSTS && err == PG_OK; i++) {
        err = node_start(&nodes[i], how);
    }
    if (err == PG_OK) {
        err = nodes_meet();
    }
    if (err == PG_OK) {
        err = loopback_measure(how);
    }
    for (size_t i = 0; i < HOSTS; i++) {
        pg_dht_free(&nodes[i].dht);
    }
    for (size_t i = 0; i < HOSTS; i++) {
        pg_host_free(&nodes[i].host);
        pg_identity_deinit(&nodes[i].identity);
    }
    return err;
}

static pg_err loopback(void)
{
    static loopback_case cases[] = {{"no reuse", 0}, {"loopback", PG_DHT_IDLE_STREAMS_MAX}};
    printf("\n%d hosts in one process on loopback, hybrid Noise; CPU is that of all hosts; \"no "
           "reuse\" opens a stream for each request\n",
           HOSTS);
    for (size_t i = 0; i < PG_ARRAY_LEN(cases); i++) {
        PG_TRY(pg_runtime_run(NULL, loopback_run, &cases[i]));
    }
    return PG_OK;
}

// ---- simulated ----

static dht_world world;

static const pg_sim_link round_trip_20_ms = {.latency_ns = PG_MS(10)};

typedef struct sim_call {
    size_t which;
    size_t number;
} sim_call;

static pg_err sim_measure(dht_node *self, void *arg)
{
    const sim_call *call = arg;
    const subject one = {.dht = self->dht, .number = call->number};
    call_measure(&one, call->which, &rows[call->which]);
    return PG_OK;
}

static pg_err simulated_script(void *arg)
{
    const dht_world_config config = {.nodes = HOSTS};
    (void) arg;
    dht_world_make(&world, &config, HOSTS);
    PG_TRY(pg_dht_validators_add(&world.validators, &fixed));
    PG_TRY(pg_sleep_until(pg_after(PG_MINUTES(2))));
    dht_node *node = &world.nodes[0];
    for (size_t i = 0; i < ROUNDS; i++) {
        for (size_t which = 0; which < CALLS; which++) {
            const dht_node *last = node;
            while (node == last) { // not the one that put it
                node = dht_world_random(&world);
            }
            sim_call call = {which, i};
            PG_TRY(dht_node_do(node, sim_measure, &call, PG_MINUTES(1)));
        }
    }
    dht_world_end(&world);
    return PG_OK;
}

static pg_err simulated(void)
{
    const pg_sim_config config = {.seed = 1, .link = round_trip_20_ms};
    printf("\n%d nodes in a simulated network, 20 ms round trip, connections open, hybrid Noise\n",
           HOSTS);
    rows_begin(rows);
    PG_TRY(pg_sim_run(&config, simulated_script, NULL, NULL));
    return rows_print("20 ms", rows);
}

// ---- scale ----

/** Lookups in a network of one size. */
typedef struct scale {
    size_t nodes;
    bool is_young;
    row row;
    uint64_t hops;
    size_t peers;
} scale;

/** One lookup. */
typedef struct scale_call {
    scale *scale;
    size_t number;
    unsigned hops;
} scale_call;

static void on_step(const pg_dht_step *step, void *user)
{
    scale_call *call = user;
    call->hops = step->hop > call->hops ? step->hop : call->hops;
}

// A key that nobody has: the lookup goes all the way.
static pg_err scale_lookup(dht_node *self, void *arg)
{
    scale_call *call = arg;
    row *out = &call->scale->row;
    const pg_dht_trace trace = {.on_step = on_step, .user = call};
    const pg_dht_call how = {.trace = &trace};
    pg_buf key = {0};
    pg_buf none = {0};
    key_make("test", call->number, &key);
    uint64_t before = pg_dht_get_stats(self->dht).requests;
    pg_time start = pg_now();
    pg_err err = pg_dht_get(self->dht, pg_buf_bytes(&key), &how, &none);
    row_add(out, err == PG_ERR_NOT_FOUND ? PG_OK : PG_ERR_CORRUPT, pg_now() - start,
            pg_dht_get_stats(self->dht).requests - before);
    call->scale->hops += call->hops;
    pg_buf_deinit(&key);
    pg_buf_deinit(&none);
    return PG_OK;
}

static pg_err scale_script(void *arg)
{
    scale *self = arg;
    const dht_world_config config = {
        .nodes = self->nodes,
        .is_null = true,
        .connections = self->is_young ? 24 : 64,
        .refresh_ns = self->is_young ? PG_DAYS(1) : PG_MINUTES(30),
    };
    dht_world_make(&world, &config, self->nodes);
    PG_TRY(pg_sleep_until(pg_after(PG_MINUTES(2))));
    self->peers = dht_world_stats(&world).peers / self->nodes;
    for (size_t i = 0; i < ROUNDS / 4; i++) {
        scale_call call = {.scale = self, .number = i};
        PG_TRY(dht_node_do(dht_world_random(&world), scale_lookup, &call, PG_MINUTES(2)));
    }
    dht_world_end(&world);
    return PG_OK;
}

static pg_err scale_run(size_t count, bool is_young)
{
    static scale self;
    const pg_sim_config config = {.seed = 1, .link = round_trip_20_ms};
    double start = cpu_s();
    self = (scale){.nodes = count, .is_young = is_young, .row = {.name = "lookup"}};
    PG_TRY(pg_sim_run(&config, scale_script, &self, NULL));
    PG_TRY(row_check(&self.row));
    row_sort(&self.row);
    double requests = (double) self.row.requests / (double) self.row.count;
    double hops = (double) self.hops / (double) self.row.count;
    double p50 = percentile_ms(&self.row, 50);
    double p95 = percentile_ms(&self.row, 95);
    double cpu = cpu_s() - start;
    printf("%6zu %12zu %16.1f %8.1f %10.0f %10.0f %8zu %10.1f\n", count, self.peers, requests, hops,
           p50, p95, self.row.failed, cpu);
    if (json_file != NULL) {
        (void) fprintf(json_file,
                       "{\"name\":\"dht lookup among %zu%s\",\"requests\":%.2f,\"hops\":%.2f,"
                       "\"p50_ms\":%.1f,\"p95_ms\":%.1f,\"cpu_s\":%.1f}\n",
                       count, is_young ? ", young" : "", requests, hops, p50, p95, cpu);
    }
    (void) fflush(NULL);
    return PG_OK;
}

static pg_err scale_all(bool is_young, int argc, char **argv)
{
    static const size_t usual[] = {50, 100, 200};
    printf(
        "\nlookups of a key that nobody has, simulated, 20 ms round trip, at most %d connections "
        "a node\n",
        is_young ? 24 : 64);
    printf("%6s %12s %16s %8s %10s %10s %8s %10s\n", "nodes", "in a table", "requests/lookup",
           "hops", "p50 ms", "p95 ms", "failed", "CPU s");
    for (size_t i = 0; argc == 0 && i < PG_ARRAY_LEN(usual); i++) {
        PG_TRY(scale_run(usual[i], is_young));
    }
    for (int i = 0; i < argc; i++) {
        uint64_t count = 0;
        PG_TRY(pg_str_to_u64(pg_str_make(argv[i]), 100000, &count));
        PG_TRY(scale_run((size_t) count, is_young));
    }
    return PG_OK;
}

static pg_err run(int argc, char **argv)
{
    const char *what = argc > 1 && strcmp(argv[1], "--json") != 0 ? argv[1] : "";
    bool is_all = what[0] == '\0';
    PG_TRY(pg_dht_validators_add(&validators, &fixed));
    PG_TRY(pg_dht_validators_add(&validators, &pg_dht_validator_test));
    if (is_all || strcmp(what, "loopback") == 0) {
        PG_TRY(loopback());
    }
    if (is_all || strcmp(what, "simulated") == 0) {
        PG_TRY(simulated());
    }
    if (strcmp(what, "scale") == 0 || strcmp(what, "young") == 0) {
        return scale_all(strcmp(what, "young") == 0, argc - 2, argv + 2);
    }
    return is_all ? scale_all(false, 0, NULL) : PG_OK;
}

int main(int argc, char **argv)
{
    const char *path = getenv("PANGEA_BENCH_JSON");
    json_file = path != NULL && path[0] != '\0' ? fopen(path, "w") : NULL;
    memset(value, 'v', sizeof(value));
    pg_err err = run(argc, argv);
    if (err != PG_OK) {
        (void) fprintf(stderr, "bench_dht: %s\n", pg_error_detail(err));
    }
    return err == PG_OK ? 0 : 1;
}
