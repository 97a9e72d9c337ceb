// SPDX-License-Identifier: Apache-2.0
// Goal: placement works on real threads, sockets and disks as it does in simulation; what was promised is there after a restart.
// Method: two hosts of one process on loopback, a store and a database in a temporary folder; blocks that are kept whole. Also the one test
// that ThreadSanitizer sees.
#include <dirent.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "../runtime/in_fiber.h"
#include "crypto/hash.h"
#include "exchange/place_client.h"
#include "exchange/place_server.h"
#include "runtime/fiber.h"

#define BLOCKS 24U
#define BLOCK_BYTES 60000U

static char folder[64];
static const pg_key key = {.bytes = {1}};

/** Who keeps, and who places. */
typedef struct real {
    pg_identity identities[2];
    pg_identity lease;
    pg_host *hosts[2];
    pg_block_store *blocks;
    pg_db *db;
    pg_place_server *server;
    pg_place_session *session;
} real;

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

// ---- Start and end

static void storage_open(real *r)
{
    char path[96];
    const char *const steps[] = {pg_place_schema_1, pg_place_schema_2};
    const pg_db_schema schema = {steps, 2};
    (void) snprintf(path, sizeof(path), "%s/blocks", folder);
    const pg_block_store_config config = {.dir = path, .quota_bytes = 1 << 30, .key = &key};
    CHECK_OK(pg_block_store_open(&config, &r->blocks));
    (void) snprintf(path, sizeof(path), "%s/db", folder);
    CHECK_OK(pg_db_open(path, &key, &schema, &r->db));
}

static void server_start(real *r)
{
    static const pg_extent_format format = {.read = no_read};
    const pg_place_server_config config = {
        .host = r->hosts[0],
        .blocks = r->blocks,
        .db = r->db,
        .device = &r->identities[0],
        .format = &format,
        .rules = {.quota_bytes = 1 << 30},
        .is_needed = not_needed,
    };
    CHECK_OK(pg_place_server_new(&config, &r->server));
}

static void identity_make(pg_identity *identity, uint8_t number)
{
    const pg_key seed = {.bytes = {number}};
    CHECK_OK(pg_identity_init(identity, &seed));
}

static void begin(real *r)
{
    pg_multiaddr addrs[PG_NET_ADVERTISED_MAX];
    const uint8_t loopback[4] = {127, 0, 0, 1};
    pg_multiaddr listen = pg_multiaddr_make(PG_BYTES_OF(loopback), PG_MULTIADDR_TRANSPORT_TCP, 0);
    identity_make(&r->lease, 9);
    for (uint8_t i = 0; i < 2; i++) {
        identity_make(&r->identities[i], i);
        const pg_host_config config = pg_host_config_default(&r->identities[i]);
        CHECK_OK(pg_host_new(&config, &r->hosts[i]));
    }
    CHECK_OK(pg_host_listen(r->hosts[0], &listen));
    CHECK(pg_host_addrs(r->hosts[0], addrs) > 0);
    CHECK_OK(pg_host_learn(r->hosts[1], pg_host_id(r->hosts[0]), &addrs[0], PG_BOOK_SOURCE_GIVEN,
                           PG_FOREVER));
    storage_open(r);
    server_start(r);
}

static void end(real *r)
{
    pg_place_server_free(&r->server);
    for (unsigned i = 0; i < 2; i++) {
        pg_host_free(&r->hosts[i]);
        pg_identity_deinit(&r->identities[i]);
    }
    pg_identity_deinit(&r->lease);
    pg_db_close(&r->db);
    pg_block_store_close(&r->blocks);
}

static void session_open(real *r)
{
    CHECK_OK(pg_place_open(r->hosts[1], pg_host_id(r->hosts[0]), r->lease.public_key, 0, SOON,
                           &r->session));
}

// ---- Blocks

/** A block on its way, on a fiber of its own. */
typedef struct one_block {
    real *r;
    unsigned number;
    uint8_t bytes[BLOCK_BYTES];
} one_block;

static one_block all[BLOCKS];

static pg_cid block_fill(one_block *one)
{
    memset(one->bytes, (int) one->number + 1, sizeof(one->bytes));
    return pg_cid_of_blake3(PG_BYTES_OF(one->bytes));
}

// Push, and have it promised; the even ones are dropped again.
static pg_err block_run(void *arg)
{
    one_block *one = arg;
    real *r = one->r;
    pg_cid cid = block_fill(one);
    pg_lease_grant grant = {.descriptor = cid,
                            .is_whole = true,
                            .expiry_s = (uint64_t) (pg_wall_ms() / 1000) + 3600,
                            .sequence = 1};
    pg_buf encoded = {0};
    pg_lease_receipt receipt = {0};
    CHECK_OK(pg_place_push(r->session, &cid, PG_BYTES_OF(one->bytes), SOON));
    CHECK_OK(pg_lease_grant_encode(&r->lease, &grant, &encoded));
    pg_place_commit commit = {.grant = pg_buf_bytes(&encoded), .slots = 1};
    CHECK_OK(pg_place_commit_send(r->session, &commit, SOON, &receipt, NULL, NULL));
    CHECK(receipt.slots == 1 && pg_cid_equal(&receipt.descriptor, &cid));
    if (one->number % 2 == 0) {
        grant.expiry_s = 0;
        grant.sequence = 2;
        pg_buf_clear(&encoded);
        CHECK_OK(pg_lease_grant_encode(&r->lease, &grant, &encoded));
        commit = (pg_place_commit){.grant = pg_buf_bytes(&encoded)};
        CHECK_OK(pg_place_commit_send(r->session, &commit, SOON, &receipt, NULL, NULL));
    }
    pg_buf_deinit(&encoded);
    return PG_OK;
}

static void all_place(real *r)
{
    pg_scope scope;
    pg_scope_init(&scope);
    for (unsigned i = 0; i < BLOCKS; i++) {
        all[i].r = r;
        all[i].number = i;
        CHECK_OK(pg_scope_spawn(&scope, "test.block", block_run, &all[i]));
    }
    CHECK_OK(pg_scope_join(&scope));
}

static void all_check(real *r)
{
    for (unsigned i = 0; i < BLOCKS; i++) {
        pg_place_holding holding = {0};
        pg_buf got = {0};
        pg_cid cid = block_fill(&all[i]);
        CHECK_OK(pg_place_have(r->hosts[1], pg_host_id(r->hosts[0]), &cid, NULL, SOON, &holding));
        CHECK(holding.slots == i % 2 && holding.has_descriptor == (i % 2 == 1));
        pg_err err = pg_block_store_get(r->blocks, &cid, &got);
        CHECK(err == (i % 2 == 1 ? PG_OK : PG_ERR_NOT_FOUND));
        CHECK(i % 2 == 0 || pg_bytes_equal(pg_buf_bytes(&got), PG_BYTES_OF(all[i].bytes)));
        pg_buf_deinit(&got);
    }
}

static pg_err body_place(void *arg)
{
    (void) arg;
    real r = {0};
    uint64_t freed_bytes = 0;
    begin(&r);
    session_open(&r);
    all_place(&r);
    CHECK_OK(pg_place_server_sweep(r.server, &freed_bytes)); // what it has not deleted yet
    all_check(&r);
    pg_place_stats before = pg_place_server_get_stats(r.server);
    CHECK(before.leases == BLOCKS / 2 && before.session_bytes == 0);
    pg_place_session_free(&r.session);
    pg_place_server_free(&r.server);
    server_start(&r);
    pg_place_stats after = pg_place_server_get_stats(r.server);
    CHECK(after.leases == before.leases && after.lease_bytes == before.lease_bytes);
    CHECK(after.session_bytes == 0);
    all_check(&r);
    end(&r);
    return PG_OK;
}

static void test_place__two_hosts_on_loopback__keep_what_was_promised(void **state)
{
    (void) state;
    in_fiber(body_place, NULL);
}

static void folder_empty(const char *path)
{
    DIR *dir = opendir(path);
    if (dir == NULL) {
        return;
    }
    for (const struct dirent *entry = readdir(dir); entry != NULL; entry = readdir(dir)) {
        (void) unlinkat(dirfd(dir), entry->d_name, 0); // but for folders
    }
    (void) closedir(dir);
}

static int setup(void **state)
{
    (void) state;
    (void) snprintf(folder, sizeof(folder), "/tmp/pangea-test-XXXXXX");
    return mkdtemp(folder) == NULL ? -1 : 0;
}

static int teardown(void **state)
{
    char path[96];
    (void) state;
    (void) snprintf(path, sizeof(path), "%s/blocks", folder);
    folder_empty(path);
    (void) rmdir(path);
    folder_empty(folder);
    return rmdir(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_place__two_hosts_on_loopback__keep_what_was_promised,
                                        setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
