// SPDX-License-Identifier: Apache-2.0
// Blocks over Bitswap against /perf on the same connection: two hosts in this process, TCP over loopback, hybrid Noise, yamux. Both
// sides share one loop thread here, as they would not elsewhere; the block store reads and the digests are made on the pools. Runs
// in a new folder below the present one.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/attr.h"
#include "bench.h"
#include "crypto/hash.h"
#include "exchange/bitswap.h"
#include "net/host.h"
#include "net/perf.h"
#include "runtime/fiber.h"
#include "runtime/runtime.h"

#define TOTAL_BYTES ((size_t) 128 << 20) // of one call of a case
#define FIBERS_MAX 64

static const pg_key key = {.bytes = {1}};

typedef struct side {
    pg_identity identity;
    pg_host *host;
    pg_block_store *blocks;
    pg_bitswap *bitswap;
} side;

typedef struct exchange_state {
    char folder[64];
    side server;
    side client;
    uint64_t perf_max;
} exchange_state;

/** A case: which blocks, and how many at once. */
typedef struct exchange_case {
    exchange_state *state;
    size_t len;
    bool is_sha256;
    size_t fibers;
    pg_cid *cids; // cids[count]
    size_t count;
    size_t next;   // to be fetched
    double loop_s; // CPU time of this thread, all calls together
    double loop_bytes;
} exchange_case;

static void must(bool good)
{
    if (!good) {
        (void) fprintf(stderr, "bench_bitswap: %s\n", pg_error_last()->text);
        abort();
    }
}

// ---- The cases

static double thread_s(void)
{
    struct timespec time;
    must(clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time) == 0);
    return (double) time.tv_sec + (double) time.tv_nsec * 1e-9;
}

static void loop_note(exchange_case *one, double since_s)
{
    one->loop_s += thread_s() - since_s;
    one->loop_bytes += (double) TOTAL_BYTES;
}

static void on_perf(void *user)
{
    exchange_case *one = user;
    double start_s = thread_s();
    const pg_perf_request request = {.down_bytes = TOTAL_BYTES};
    pg_perf_result result;
    must(pg_perf_measure(one->state->client.host, pg_host_id(one->state->server.host), &request,
                         PG_FOREVER, &result) == PG_OK);
    loop_note(one, start_s);
}

static pg_err fetch_run(void *arg)
{
    exchange_case *one = arg;
    const pg_peer_id *peer = pg_host_id(one->state->server.host);
    pg_buf block = {0};
    pg_err err = PG_OK;
    while (one->next < one->count && err == PG_OK) {
        const pg_cid *cid = &one->cids[one->next++];
        pg_buf_clear(&block);
        err = pg_bitswap_fetch(one->state->client.bitswap, peer, cid, PG_FOREVER, &block);
        must(err != PG_OK || block.len == one->len);
    }
    pg_buf_deinit(&block);
    return err;
}

static void on_fetch(void *user)
{
    exchange_case *one = user;
    pg_scope scope;
    double start_s = thread_s();
    one->next = 0;
    pg_scope_init(&scope);
    for (size_t i = 0; i < one->fibers; i++) {
        must(pg_scope_spawn(&scope, "bench.fetch", fetch_run, one) == PG_OK);
    }
    must(pg_scope_join(&scope) == PG_OK);
    loop_note(one, start_s);
}

// Read from the disk and verify: what the pools do for the server of a fetch.
static pg_err get_run(void *arg)
{
    exchange_case *one = arg;
    while (one->next < one->count) {
        pg_buf block = {0};
        PG_TRY(pg_block_store_get(one->state->server.blocks, &one->cids[one->next++], &block));
        pg_buf_deinit(&block);
    }
    return PG_OK;
}

static void on_get(void *user)
{
    exchange_case *one = user;
    pg_scope scope;
    one->next = 0;
    pg_scope_init(&scope);
    for (size_t i = 0; i < one->fibers; i++) {
        must(pg_scope_spawn(&scope, "bench.get", get_run, one) == PG_OK);
    }
    must(pg_scope_join(&scope) == PG_OK);
}

// ---- Before and after

static void side_begin(side *it, const char *dir, uint8_t number)
{
    pg_key seed = {.bytes = {number}};
    const pg_block_store_config config = {.dir = dir, .quota_bytes = UINT64_MAX, .key = &key};
    must(pg_identity_init(&it->identity, &seed) == PG_OK);
    const pg_host_config host_config = pg_host_config_default(&it->identity);
    must(pg_host_new(&host_config, &it->host) == PG_OK);
    must(pg_block_store_open(&config, &it->blocks) == PG_OK);
    must(pg_bitswap_new(it->host, it->blocks, &it->bitswap) == PG_OK);
}

static void side_end(side *it)
{
    pg_bitswap_free(&it->bitswap);
    pg_block_store_close(&it->blocks);
    pg_host_close(it->host, pg_after(PG_SECONDS(5)));
    pg_host_free(&it->host);
    pg_identity_deinit(&it->identity);
}

static void begin(exchange_state *state)
{
    char dir[96];
    pg_multiaddr addr;
    (void) snprintf(state->folder, sizeof(state->folder), "bench-exchange-XXXXXX");
    must(mkdtemp(state->folder) != NULL);
    (void) snprintf(dir, sizeof(dir), "%s/server", state->folder);
    side_begin(&state->server, dir, 1);
    (void) snprintf(dir, sizeof(dir), "%s/client", state->folder);
    side_begin(&state->client, dir, 2);
    state->perf_max = UINT64_MAX;
    must(pg_perf_serve(state->server.host, &state->perf_max) == PG_OK);
    must(pg_multiaddr_parse(PG_STR("/ip4/127.0.0.1/tcp/0"), &addr) == PG_OK);
    must(pg_host_listen(state->server.host, &addr) == PG_OK);
    pg_multiaddr addrs[PG_NET_ADVERTISED_MAX];
    must(pg_host_addrs(state->server.host, addrs) > 0);
    must(pg_host_dial(state->client.host, &addrs[0], NULL, PG_FOREVER, NULL) == PG_OK);
}

static exchange_case case_make(exchange_state *state, size_t len, bool is_sha256, size_t fibers)
{
    exchange_case one = {.state = state, .len = len, .is_sha256 = is_sha256, .fibers = fibers};
    one.count = TOTAL_BYTES / len;
    one.cids = bench_alloc(one.count * sizeof(pg_cid));
    uint8_t *block = bench_alloc(len);
    for (size_t i = 0; i < one.count; i++) {
        bench_fill_random(block, len, 1000 * len + i);
        pg_bytes bytes = pg_bytes_make(block, len);
        one.cids[i] = is_sha256 ? pg_cid_of_sha256(bytes) : pg_cid_of_blake3(bytes);
        must(pg_block_store_put(state->server.blocks, &one.cids[i], bytes) == PG_OK);
    }
    free(block);
    return one;
}

// The loop thread sends and receives for both sides; the rest of the CPU time is the pools'.
static void loop_report(const char *name, const exchange_case *one)
{
    const double gib = 1073741824.0;
    printf("%-40s %8.3f CPU s/GiB of the loop thread\n", name, one->loop_s / one->loop_bytes * gib);
}

static pg_err run(void *arg)
{
    const bool *is_json = arg;
    exchange_state state = {0};
    begin(&state);
    const double bytes = (double) TOTAL_BYTES;
    exchange_case large = case_make(&state, (size_t) 1 << 20, false, 8);
    exchange_case sha256 = case_make(&state, (size_t) 1 << 20, true, 8);
    exchange_case small = case_make(&state, (size_t) 16 << 10, false, FIBERS_MAX);
    exchange_case perf = {.state = &state};
    exchange_case one = large;
    one.fibers = 1;
    const bench_case cases[] = {
        {"perf, down", bytes, on_perf, &perf, NULL},
        {"get from the store, 1 MiB, 8 at once", bytes, on_get, &large, NULL},
        {"fetch 1 MiB, 8 at once", bytes, on_fetch, &large, "perf, down"},
        {"fetch 1 MiB, one after the other", bytes, on_fetch, &one, "perf, down"},
        {"fetch 1 MiB by SHA-256, 8 at once", bytes, on_fetch, &sha256, "perf, down"},
        {"fetch 16 KiB, 64 at once", bytes, on_fetch, &small, "perf, down"},
    };
    bench_run(cases, PG_ARRAY_LEN(cases), NULL);
    if (!*is_json) {
        loop_report("perf, down", &perf);
        loop_report("fetch 1 MiB, 8 at once", &large);
        loop_report("fetch 16 KiB, 64 at once", &small);
    }
    free(large.cids);
    free(sha256.cids);
    free(small.cids);
    side_end(&state.client);
    side_end(&state.server);
    bench_folder_remove(state.folder);
    return PG_OK;
}

int main(int argc, char **argv)
{
    bool is_json = argc > 1;
    bench_begin(argc, argv);
    must(pg_runtime_run(NULL, run, &is_json) == PG_OK);
    return 0;
}
