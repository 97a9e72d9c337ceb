// SPDX-License-Identifier: Apache-2.0
// Placement between two hosts of one process over loopback, each push durable: against the block store alone, and against moving the
// same bytes by /perf. One loop thread does the work of both sides. Runs in a new folder below the present one.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/attr.h"
#include "bench.h"
#include "crypto/hash.h"
#include "exchange/place_client.h"
#include "exchange/place_server.h"
#include "net/perf.h"
#include "runtime/fiber.h"
#include "runtime/runtime.h"

#define BLOCK_BYTES ((size_t) 1 << 20)
#define GROUP 16U

typedef struct exchange_state {
    char folder[64];
    pg_identity identities[2]; // who keeps, who places
    pg_host *hosts[2];
    pg_block_store *alone;
    pg_block_store *blocks; // of the server
    pg_db *db;
    pg_place_server *server;
    pg_place_session *session;
    uint8_t *bytes; // GROUP blocks
    uint64_t counter;
    uint64_t perf_bytes_max;
} exchange_state;

/** One block on its way, on a fiber. */
typedef struct one_block {
    exchange_state *state;
    pg_bytes bytes;
} one_block;

static const pg_key key = {.bytes = {1}};

static void must(bool good)
{
    if (!good) {
        (void) fprintf(stderr, "bench_place: %s\n", pg_error_last()->text);
        abort();
    }
}

static pg_err put_run(void *arg)
{
    const one_block *one = arg;
    pg_cid cid = pg_cid_of_blake3(one->bytes);
    return pg_block_store_put(one->state->alone, &cid, one->bytes);
}

static pg_err push_run(void *arg)
{
    const one_block *one = arg;
    pg_cid cid = pg_cid_of_blake3(one->bytes);
    return pg_place_push(one->state->session, &cid, one->bytes, PG_FOREVER);
}

// Blocks nobody has seen yet, all at once.
static void group_run(exchange_state *state, pg_fiber_fn fn)
{
    one_block blocks[GROUP];
    pg_scope scope;
    pg_scope_init(&scope);
    for (unsigned i = 0; i < GROUP; i++) {
        uint8_t *block = state->bytes + i * BLOCK_BYTES;
        state->counter++;
        memcpy(block, &state->counter, sizeof(state->counter));
        blocks[i] = (one_block){state, pg_bytes_make(block, BLOCK_BYTES)};
        must(pg_scope_spawn(&scope, "bench.block", fn, &blocks[i]) == PG_OK);
    }
    must(pg_scope_join(&scope) == PG_OK);
}

static void on_put(void *user)
{
    group_run(user, put_run);
}

static void on_push(void *user)
{
    group_run(user, push_run);
}

static void on_perf(void *user)
{
    exchange_state *state = user;
    const pg_perf_request request = {.up_bytes = GROUP * BLOCK_BYTES};
    pg_perf_result result;
    must(pg_perf_measure(state->hosts[1], pg_host_id(state->hosts[0]), &request, PG_FOREVER,
                         &result) == PG_OK);
}

// ---- Two hosts

// No descriptor is read: nothing is committed.
static pg_err no_read(pg_bytes block, pg_extent_view **out_view)
{
    (void) block;
    (void) out_view;
    return PG_ERR_MALFORMED;
}

static bool not_needed(const pg_cid *cid, void *user)
{
    (void) cid;
    (void) user;
    return false;
}

static pg_block_store *store_open(const exchange_state *state, const char *name)
{
    char path[96];
    pg_block_store *store = NULL;
    (void) snprintf(path, sizeof(path), "%s/%s", state->folder, name);
    const pg_block_store_config config = {.dir = path, .quota_bytes = UINT64_MAX, .key = &key};
    must(pg_block_store_open(&config, &store) == PG_OK);
    return store;
}

static void storage_begin(exchange_state *state)
{
    char path[96];
    const pg_db_schema schema = {&pg_place_schema_1, 1};
    (void) snprintf(state->folder, sizeof(state->folder), "bench-exchange-XXXXXX");
    must(mkdtemp(state->folder) != NULL);
    state->alone = store_open(state, "alone");
    state->blocks = store_open(state, "blocks");
    (void) snprintf(path, sizeof(path), "%s/db", state->folder);
    must(pg_db_open(path, &key, &schema, &state->db) == PG_OK);
}

static void server_begin(exchange_state *state)
{
    static const pg_extent_format format = {.read = no_read};
    const pg_place_server_config config = {
        .host = state->hosts[0],
        .blocks = state->blocks,
        .db = state->db,
        .device = &state->identities[0],
        .format = &format,
        .rules = {.quota_bytes = UINT64_MAX},
        .is_needed = not_needed,
    };
    must(pg_place_server_new(&config, &state->server) == PG_OK);
    state->perf_bytes_max = UINT64_MAX;
    must(pg_perf_serve(state->hosts[0], &state->perf_bytes_max) == PG_OK);
}

static void hosts_begin(exchange_state *state)
{
    pg_multiaddr addrs[PG_NET_ADVERTISED_MAX];
    const uint8_t loopback[4] = {127, 0, 0, 1};
    pg_multiaddr listen = pg_multiaddr_make(PG_BYTES_OF(loopback), PG_MULTIADDR_TRANSPORT_TCP, 0);
    for (unsigned i = 0; i < 2; i++) {
        const pg_key seed = {.bytes = {(uint8_t) i}};
        must(pg_identity_init(&state->identities[i], &seed) == PG_OK);
        const pg_host_config config = pg_host_config_default(&state->identities[i]);
        must(pg_host_new(&config, &state->hosts[i]) == PG_OK);
    }
    must(pg_host_listen(state->hosts[0], &listen) == PG_OK);
    must(pg_host_addrs(state->hosts[0], addrs) > 0);
    server_begin(state);
    must(pg_host_learn(state->hosts[1], pg_host_id(state->hosts[0]), &addrs[0],
                       PG_BOOK_SOURCE_GIVEN, PG_FOREVER) == PG_OK);
    must(pg_place_open(state->hosts[1], pg_host_id(state->hosts[0]),
                       state->identities[1].public_key, 0, PG_FOREVER, &state->session) == PG_OK);
}

static void all_end(exchange_state *state)
{
    pg_place_session_free(&state->session);
    pg_place_server_free(&state->server);
    for (unsigned i = 0; i < 2; i++) {
        pg_host_free(&state->hosts[i]);
        pg_identity_deinit(&state->identities[i]);
    }
    pg_db_close(&state->db);
    pg_block_store_close(&state->blocks);
    pg_block_store_close(&state->alone);
    free(state->bytes);
    bench_folder_remove(state->folder);
}

static pg_err run(void *arg)
{
    (void) arg;
    exchange_state state = {0};
    const double bytes = (double) (GROUP * BLOCK_BYTES);
    state.bytes = bench_alloc(GROUP * BLOCK_BYTES);
    bench_fill_random(state.bytes, GROUP * BLOCK_BYTES, 1);
    storage_begin(&state);
    hosts_begin(&state);
    const bench_case cases[] = {
        {"put 16 x 1 MiB, store alone", bytes, on_put, &state, NULL},
        {"/perf 16 MiB", bytes, on_perf, &state, NULL},
        {"push 16 x 1 MiB", bytes, on_push, &state, "put 16 x 1 MiB, store alone"},
    };
    bench_run(cases, PG_ARRAY_LEN(cases), NULL);
    all_end(&state);
    return PG_OK;
}

int main(int argc, char **argv)
{
    bench_begin(argc, argv);
    return pg_runtime_run(NULL, run, NULL) == PG_OK ? 0 : 1;
}
