// SPDX-License-Identifier: Apache-2.0
// What it costs a node to be there, against the size of the network: messages and bytes a node and hour of the DHTs' upkeep, pings, owners'
// checks and audits; or those of one round of gossip. Whole nodes with the program's settings in a simulated world (tests/sim/town.h);
// each node has put a file.
//
//      bench_growth NODES              a quarter of an hour in which nobody asks for anything
//      bench_growth NODES gossip       one round of gossip of some nodes, with their books filled by a ping a minute
//
// Prints one line per kind, separated by tabs: nodes, kind, streams, messages and bytes. What is counted stands in tests/sim/traffic.h.
#include <string.h>
#include <time.h>

#include "base/mem.h"
#include "health/gossip.h"
#include "runtime/random.h"
#include "town.h"
#include "traffic.h"

#define SETTLE_MIN 3
#define PUTS_UNTIL_MIN 10
#define QUIET_MIN 15
#define GOSSIP_AT_MIN 18
#define GOSSIPS 5
#define FILE_BYTES 40000

static town all;
static bool is_gossip;

/** Bytes that are put. */
typedef struct source {
    size_t left;
} source;

static pg_err on_read(pg_mut_bytes space, pg_time deadline, size_t *out_len, void *user)
{
    source *self = user;
    (void) deadline;
    *out_len = pg_min_size(space.len, self->left);
    pg_random_bytes(pg_mut_bytes_make(space.ptr, *out_len));
    self->left -= *out_len;
    return PG_OK;
}

static pg_err put(town_node *self, void *arg)
{
    source bytes = {FILE_BYTES};
    const pg_files_source from = {on_read, &bytes};
    const pg_put_options options = {.code = PG_CODE_DEFAULT, .total_bytes = FILE_BYTES};
    pg_file_entry *entry = PG_NEW(pg_file_entry);
    (void) arg;
    CHECK(entry != NULL);
    CHECK_OK(pg_files_put(self->storage->files, &options, &from, entry));
    CHECK(entry->state == PG_FILE_STATE_COMPLETE);
    pg_file_entry_deinit(entry);
    pg_mfree(entry);
    return PG_OK;
}

static void puts_do(void)
{
    for (size_t i = 0; i < all.config.nodes; i++) {
        CHECK_OK(town_do(&all.nodes[i], put, NULL, PG_MINUTES(5)));
    }
}

static void row(const char *name, const traffic *sum, double per)
{
    printf("%zu\t%s\t%.1f\t%.1f\t%.0f\n", all.config.nodes, name, (double) sum->streams / per,
           (double) sum->messages / per, (double) sum->bytes / per);
}

/** State that is no traffic: connections of a node, peers in its table, and hosts that its guard asks. */
static void state_tell(void)
{
    double connections = 0;
    double contacts = 0;
    double neighbours = 0;
    double nodes = (double) all.config.nodes;
    for (size_t i = 0; i < all.config.nodes; i++) {
        const town_node *node = &all.nodes[i];
        connections += pg_host_get_stats(node->host).connections;
        contacts += (double) pg_dht_get_stats(node->discovery->dhts.global).peers;
        neighbours += (double) pg_guard_get_stats(node->storage->guard).peers;
    }
    printf("%zu\tstate\t%.1f\t%.1f\t%.1f\n", all.config.nodes, connections / nodes,
           contacts / nodes, neighbours / nodes);
}

static pg_err until_minute(int64_t minute, pg_time start)
{
    return pg_sleep_until(start + PG_MINUTES(minute));
}

static pg_err gossip_do(town_node *self, void *arg)
{
    (void) arg;
    return pg_health_gossip_round(self->storage->health);
}

/** What rounds add to what goes on anyhow, which is measured over as long a time before. */
static pg_err gossip_measure(void)
{
    traffic_reset();
    PG_TRY(pg_sleep_until(pg_after(PG_MINUTES(2))));
    const traffic before = traffic_of(TRAFFIC_DHT);
    pg_time start = pg_now();
    traffic_reset();
    for (size_t i = 0; i < GOSSIPS; i++) {
        PG_TRY(town_do(town_random(&all), gossip_do, NULL, PG_MINUTES(20)));
    }
    double spans = (double) (pg_now() - start) / (double) PG_MINUTES(2);
    traffic sum = traffic_of(TRAFFIC_DHT);
    sum.streams -= pg_min_size(sum.streams, (size_t) ((double) before.streams * spans));
    sum.messages -= pg_min_size(sum.messages, (size_t) ((double) before.messages * spans));
    sum.bytes -= pg_min_size(sum.bytes, (size_t) ((double) before.bytes * spans));
    row("gossip round", &sum, GOSSIPS);
    return PG_OK;
}

static pg_err script(void *arg)
{
    const town_config *config = arg;
    pg_time start = pg_now();
    town_make(&all, config);
    town_nodes_start(&all, 0, config->nodes);
    PG_TRY(until_minute(SETTLE_MIN, start));
    puts_do();
    PG_TRY(until_minute(PUTS_UNTIL_MIN, start));
    if (is_gossip) {
        PG_TRY(until_minute(GOSSIP_AT_MIN, start));
        return gossip_measure();
    }
    traffic_reset();
    PG_TRY(until_minute(PUTS_UNTIL_MIN + QUIET_MIN, start));
    for (size_t kind = 0; kind < TRAFFIC_KIND_COUNT; kind++) {
        const traffic sum = traffic_of((traffic_kind) kind);
        row(traffic_kind_name((traffic_kind) kind), &sum, (double) config->nodes * QUIET_MIN / 60);
    }
    state_tell();
    return PG_OK;
}

int main(int argc, char **argv)
{
    static town_config wanted = {
        .settings = {"net.mdns=false", "storage.quota=64MiB", "storage.cache=1MiB"},
        .setting_count = 3};
    const pg_sim_config config = {
        .seed = 1, .link = {.latency_ns = PG_MS(20), .jitter_ns = PG_MS(10), .loss_ppm = 1000}};
    wanted.nodes = argc > 1 ? strtoull(argv[1], NULL, 10) : 50;
    is_gossip = argc > 2 && strcmp(argv[2], "gossip") == 0;
    if (is_gossip) {
        wanted.settings[wanted.setting_count++] = "health.ping_interval=1m";
    }
    pg_err err = pg_sim_run(&config, script, &wanted, NULL);
    if (err != PG_OK) {
        (void) fprintf(stderr, "bench_growth: %s\n", pg_error_detail(err));
    }
    (void) fflush(NULL);
    _Exit(err == PG_OK ? 0 : 1); // what a thousand nodes hold is not taken down piece by piece
}
