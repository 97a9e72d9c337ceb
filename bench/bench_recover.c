// SPDX-License-Identifier: Apache-2.0
// How long a host takes to be one again after kill -9, with the metadata of 100 GiB: 102,400 blocks in 100 extents under lease. The blocks
// are small, since only their number counts: headers, index, rows of the ledger. A process makes it all and dies; each of the next ones
// opens store, database and ledger, tells how long that took, and dies in the same way, so that nothing is ever saved in good order.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/mem.h"
#include "bench.h"
#include "codec/cid.h"
#include "crypto/hash.h"
#include "crypto/identity.h"
#include "exchange/place_client.h"
#include "exchange/place_server.h"
#include "net/host.h"
#include "runtime/fiber.h"
#include "runtime/runtime.h"

#define EXTENTS 100U
#define SEGMENTS PG_PLACE_SEGMENTS_MAX
#define BLOCK_BYTES 64U
#define FIBERS 100U
#define ROUNDS 5U
#define DAYS_S(days) (UINT64_C(86400) * (days))

static const pg_key key = {.bytes = {7}};
static char folder[] = "bench-recover-XXXXXX";

static void must(bool condition)
{
    if (!condition) {
        (void) fprintf(stderr, "bench_recover: %s\n", pg_error_last()->text);
        _exit(1);
    }
}

// ---- What is kept

static pg_cid block_make(uint64_t number, uint8_t out[BLOCK_BYTES])
{
    memset(out, 0, BLOCK_BYTES);
    memcpy(out, &number, sizeof(number));
    return pg_cid_of_blake3(pg_bytes_make(out, BLOCK_BYTES));
}

/** A descriptor: whose it is, and the number of its first block. */
typedef struct descriptor {
    uint8_t lease_key[PG_ED25519_PUBLIC_BYTES];
    uint64_t first;
} descriptor;

typedef struct view {
    pg_extent_view base;
    uint64_t first;
} view;

static pg_err descriptor_read(pg_bytes block, pg_extent_view **out_view)
{
    descriptor read;
    view *made = PG_NEW(view);
    if (block.len != sizeof(read) || made == NULL) {
        pg_mfree(made);
        return PG_ERR_MALFORMED;
    }
    memcpy(&read, block.ptr, sizeof(read));
    memcpy(made->base.lease_key, read.lease_key, sizeof(read.lease_key));
    made->base.slots = 1;
    made->base.segments = SEGMENTS;
    made->first = read.first;
    *out_view = &made->base;
    return PG_OK;
}

static void descriptor_shard(const pg_extent_view *base, uint32_t segment, uint32_t slot,
                             pg_cid *out_cid, uint32_t *out_bytes)
{
    uint8_t bytes[BLOCK_BYTES];
    *out_cid = block_make(((const view *) base)->first + segment + slot, bytes);
    *out_bytes = BLOCK_BYTES;
}

static void descriptor_free(pg_extent_view **base)
{
    pg_mfree(*base);
    *base = NULL;
}

static bool not_needed(const pg_cid *cid, void *user)
{
    (void) cid;
    (void) user;
    return false;
}

// ---- A host

/** What a process opens. */
typedef struct node {
    pg_identity identity;
    pg_host *host;
    pg_block_store *blocks;
    pg_db *db;
    pg_place_server *server;
} node;

static void blocks_open(node *self)
{
    char path[96];
    (void) snprintf(path, sizeof(path), "%s/blocks", folder);
    const pg_block_store_config config = {.dir = path, .quota_bytes = UINT64_MAX, .key = &key};
    must(pg_block_store_open(&config, &self->blocks) == PG_OK);
}

static void rest_open(node *self)
{
    static const pg_extent_format format = {descriptor_read, descriptor_shard, descriptor_free};
    const pg_db_schema schema = {&pg_place_schema_1, 1};
    const pg_key seed = {.bytes = {1}};
    char path[96];
    (void) snprintf(path, sizeof(path), "%s/db", folder);
    must(pg_db_open(path, &key, &schema, &self->db) == PG_OK);
    must(pg_identity_init(&self->identity, &seed) == PG_OK);
    const pg_host_config host = pg_host_config_default(&self->identity);
    must(pg_host_new(&host, &self->host) == PG_OK);
    const pg_place_server_config config = {
        .host = self->host,
        .blocks = self->blocks,
        .db = self->db,
        .device = &self->identity,
        .format = &format,
        .rules = {.quota_bytes = UINT64_MAX},
        .is_needed = not_needed,
    };
    must(pg_place_server_new(&config, &self->server) == PG_OK);
}

// ---- Making it

static uint64_t next_block;
static node made;

static pg_err put_run(void *arg)
{
    uint8_t bytes[BLOCK_BYTES];
    (void) arg;
    while (next_block < (uint64_t) EXTENTS * SEGMENTS) {
        pg_cid cid = block_make(next_block++, bytes);
        PG_TRY(pg_block_store_put(made.blocks, &cid, PG_BYTES_OF(bytes)));
    }
    return PG_OK;
}

static void blocks_put(void)
{
    pg_scope scope;
    pg_scope_init(&scope);
    for (unsigned i = 0; i < FIBERS; i++) {
        must(pg_scope_spawn(&scope, "bench.put", put_run, NULL) == PG_OK);
    }
    must(pg_scope_join(&scope) == PG_OK);
}

static void extent_commit(pg_place_session *session, const pg_identity *lease, uint64_t number)
{
    descriptor made_descriptor = {.first = number * SEGMENTS};
    pg_lease_receipt receipt;
    pg_buf grant = {0};
    memcpy(made_descriptor.lease_key, lease->public_key, sizeof(made_descriptor.lease_key));
    const pg_bytes block =
        pg_bytes_make((const uint8_t *) &made_descriptor, sizeof(made_descriptor));
    const pg_lease_grant terms = {
        .descriptor = pg_cid_of_blake3(block),
        .expiry_s = (uint64_t) pg_wall_ms() / 1000 + DAYS_S(30),
        .sequence = 1,
    };
    must(pg_lease_grant_encode(lease, &terms, &grant) == PG_OK);
    must(pg_place_push(session, &terms.descriptor, block, PG_FOREVER) == PG_OK);
    const pg_place_commit commit = {.grant = pg_buf_bytes(&grant), .slots = 1};
    must(pg_place_commit_send(session, &commit, PG_FOREVER, &receipt, NULL, NULL) == PG_OK);
    pg_buf_deinit(&grant);
}

static void extents_commit(void)
{
    const uint8_t loopback[4] = {127, 0, 0, 1};
    const pg_key seed = {.bytes = {2}};
    pg_multiaddr listen = pg_multiaddr_make(PG_BYTES_OF(loopback), PG_MULTIADDR_TRANSPORT_TCP, 0);
    pg_multiaddr addrs[PG_NET_ADVERTISED_MAX];
    pg_identity lease;
    pg_host *owner = NULL;
    pg_place_session *session = NULL;
    must(pg_identity_init(&lease, &seed) == PG_OK);
    const pg_host_config config = pg_host_config_default(&lease);
    must(pg_host_new(&config, &owner) == PG_OK);
    must(pg_host_listen(made.host, &listen) == PG_OK);
    must(pg_host_addrs(made.host, addrs) > 0);
    must(pg_host_learn(owner, pg_host_id(made.host), &addrs[0], PG_BOOK_SOURCE_GIVEN, PG_FOREVER) ==
         PG_OK);
    must(pg_place_open(owner, pg_host_id(made.host), lease.public_key, 0, PG_FOREVER, &session) ==
         PG_OK);
    for (uint64_t i = 0; i < EXTENTS; i++) {
        extent_commit(session, &lease, i);
    }
}

static pg_err make_run(void *arg)
{
    (void) arg;
    blocks_open(&made);
    blocks_put();
    rest_open(&made);
    extents_commit();
    _exit(0);
}

// ---- Opening it again

/** Times of one start, seconds. */
typedef struct start {
    double blocks;
    double all;
    double cpu;
} start;

static double cpu_s(void)
{
    struct rusage usage;
    must(getrusage(RUSAGE_SELF, &usage) == 0);
    return (double) (usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
           (double) (usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

static pg_err open_run(void *arg)
{
    int out = *(const int *) arg;
    node self = {.host = NULL};
    pg_time begun = pg_now();
    start took;
    blocks_open(&self);
    took.blocks = (double) (pg_now() - begun) / 1e9;
    rest_open(&self);
    took.all = (double) (pg_now() - begun) / 1e9;
    took.cpu = cpu_s();
    must(pg_place_server_get_stats(self.server).leases == EXTENTS);
    must(pg_block_store_stats_get(self.blocks).blocks == (uint64_t) EXTENTS * (SEGMENTS + 1));
    must(write(out, &took, sizeof(took)) == (ssize_t) sizeof(took));
    _exit(0);
}

/** Run something in a process of its own, which dies in it. */
static void child_run(pg_fiber_fn fn, void *arg)
{
    int status = 0;
    pid_t pid = fork();
    if (pid == 0) {
        pg_ignore(pg_runtime_run(NULL, fn, arg), "the process has ended in it");
        _exit(1);
    }
    if (pid < 0 || waitpid(pid, &status, 0) != pid || status != 0) {
        bench_folder_remove(folder);
        exit(1);
    }
}

static int start_compare(const void *a, const void *b)
{
    double x = ((const start *) a)->all;
    double y = ((const start *) b)->all;
    return x < y ? -1 : x > y;
}

static void tell(const start *took)
{
    const char *path = getenv("PANGEA_BENCH_JSON");
    printf("after kill -9, %u blocks in %u extents: store %.2f s, with the ledger %.2f s (%.2f to "
           "%.2f), CPU %.2f s\n",
           EXTENTS * (SEGMENTS + 1), EXTENTS, took[ROUNDS / 2].blocks, took[ROUNDS / 2].all,
           took[0].all, took[ROUNDS - 1].all, took[ROUNDS / 2].cpu);
    FILE *json = path != NULL && path[0] != '\0' ? fopen(path, "w") : NULL;
    if (json != NULL) {
        (void) fprintf(json,
                       "{\"name\":\"recover 100 GiB of metadata\",\"store_s\":%.3f,\"all_s\":"
                       "%.3f,\"cpu_s\":%.3f}\n",
                       took[ROUNDS / 2].blocks, took[ROUNDS / 2].all, took[ROUNDS / 2].cpu);
        (void) fclose(json);
    }
}

int main(void)
{
    start took[ROUNDS];
    int ends[2];
    if (mkdtemp(folder) == NULL || pipe(ends) != 0) {
        return 1;
    }
    child_run(make_run, NULL);
    for (unsigned i = 0; i < ROUNDS; i++) {
        child_run(open_run, &ends[1]);
        if (read(ends[0], &took[i], sizeof(took[i])) != (ssize_t) sizeof(took[i])) {
            return 1;
        }
    }
    qsort(took, ROUNDS, sizeof(took[0]), start_compare);
    tell(took);
    bench_folder_remove(folder);
    return 0;
}
