// SPDX-License-Identifier: Apache-2.0
// The ledger of a host with many leases, each with ten receipts and twenty blocks, in a sealed database: a guard's walk over the hosts of all, drawing
// one to audit, finding one by its descriptor. PANGEA_BENCH_LEASES says how many, unless 10,000. Runs in a new folder below the present one.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "bench.h"
#include "crypto/hash.h"
#include "exchange/place_ledger_priv.h"
#include "exchange/place_neighbours.h"
#include "exchange/place_server.h"
#include "runtime/random.h"
#include "runtime/runtime.h"
#include "store/stmt.h"

#define AT_ONCE 500
#define HOSTS 10
#define PEERS 400
#define BLOCKS 20
#define RECEIPT_BYTES 220
#define GRANT_BYTES 300

static const pg_key key = {.bytes = {1}};

static pg_db *db;
static char folder[] = "bench-ledger-XXXXXX";
static int64_t leases = 10000;
static int64_t filled;
static uint64_t seen; // hosts

static void must(pg_err err)
{
    if (err != PG_OK) {
        (void) fprintf(stderr, "bench_ledger: %s\n", pg_error_detail(err));
        abort();
    }
}

// ---- Filling

static pg_cid descriptor_of(int64_t lease)
{
    return pg_cid_of_sha256(pg_bytes_make(&lease, sizeof(lease)));
}

static pg_peer_id host_of(int64_t number)
{
    pg_peer_id peer = {.len = 38, .bytes = {0, 36, 8, 1, 18, 32}};
    number %= PEERS;
    memcpy(peer.bytes + 6, &number, sizeof(number));
    return peer;
}

static pg_err lease_fill(pg_db_conn *conn, int64_t id)
{
    static const uint8_t grant[GRANT_BYTES];
    const pg_cid descriptor = descriptor_of(id);
    const pg_peer_id uploader = host_of(id);
    uint8_t lease_key[PG_ED25519_PUBLIC_BYTES] = {1};
    pg_stmt *stmt = NULL;
    memcpy(lease_key + 8, &id, sizeof(id));
    PG_TRY(
        pg_db_prepare(conn,
                      "INSERT INTO place_lease (id, lease_key, descriptor, is_whole, root, slots,"
                      " sequence, grant_sequence, expiry_s, expiry_max_s, uploader, signed)"
                      " VALUES (?1, ?2, ?3, 0, x'', 1, 1, 1, 2000000000, 2000000000, ?4, ?5)",
                      &stmt));
    pg_stmt_bind_i64(stmt, 1, id);
    pg_stmt_bind_blob(stmt, 2, PG_BYTES_OF(lease_key));
    pg_stmt_bind_blob(stmt, 3, pg_cid_bytes(&descriptor));
    pg_stmt_bind_blob(stmt, 4, pg_peer_id_bytes(&uploader));
    pg_stmt_bind_blob(stmt, 5, PG_BYTES_OF(grant));
    return pg_stmt_run(stmt);
}

static pg_err rows_fill(pg_db_conn *conn, int64_t id)
{
    static const uint8_t receipt[RECEIPT_BYTES];
    pg_stmt *stmt = NULL;
    for (int64_t i = 0; i < HOSTS; i++) {
        const pg_peer_id host = host_of(id * 7 + i);
        PG_TRY(pg_db_prepare(conn,
                             "INSERT INTO place_receipt (lease, host, sequence, time_s, receipt)"
                             " VALUES (?1, ?2, 1, 1, ?3)",
                             &stmt));
        pg_stmt_bind_i64(stmt, 1, id);
        pg_stmt_bind_blob(stmt, 2, pg_peer_id_bytes(&host));
        pg_stmt_bind_blob(stmt, 3, PG_BYTES_OF(receipt));
        PG_TRY(pg_stmt_run(stmt));
    }
    for (int64_t i = 0; i < BLOCKS; i++) {
        uint8_t name[33] = {0x1e};
        memcpy(name + 1, &id, sizeof(id));
        memcpy(name + 9, &i, sizeof(i));
        PG_TRY(pg_db_prepare(conn,
                             "INSERT INTO place_block (lease, slot, name, len)"
                             " VALUES (?1, 0, ?2, 1048576)",
                             &stmt));
        pg_stmt_bind_i64(stmt, 1, id);
        pg_stmt_bind_blob(stmt, 2, PG_BYTES_OF(name));
        PG_TRY(pg_stmt_run(stmt));
    }
    return PG_OK;
}

static pg_err fill_job(pg_db_conn *conn, void *arg)
{
    (void) arg;
    for (int64_t i = 0; i < AT_ONCE && filled < leases; i++) {
        filled++;
        PG_TRY(lease_fill(conn, filled));
        PG_TRY(rows_fill(conn, filled));
    }
    return PG_OK;
}

// ---- Cases

static void on_walk(void *user)
{
    pg_buf page = {0};
    int64_t after = 0;
    (void) user;
    do {
        pg_buf_clear(&page);
        must(pg_ledger_hosts_page(db, after, &page));
        for (size_t at = 0; at < page.len; at += sizeof(pg_place_lease_host)) {
            pg_place_lease_host host;
            memcpy(&host, page.ptr + at, sizeof(host));
            after = host.lease;
            seen++;
        }
    } while (page.len > 0);
    pg_buf_deinit(&page);
}

static void on_draw(void *user)
{
    pg_ledger_listed listed;
    (void) user;
    must(pg_ledger_listed_draw(db, &listed));
}

static void on_find(void *user)
{
    const pg_cid wanted = descriptor_of(1 + (int64_t) pg_random_below((uint64_t) leases));
    pg_ledger_listed listed;
    (void) user;
    must(pg_ledger_listed_find(db, &wanted, &listed));
}

static void begin(void)
{
    const char *const steps[] = {pg_place_schema_1, pg_place_schema_2};
    const pg_db_schema schema = {steps, PG_ARRAY_LEN(steps)};
    const char *wanted = getenv("PANGEA_BENCH_LEASES");
    char path[64];
    leases = wanted == NULL ? leases : strtoll(wanted, NULL, 10);
    if (mkdtemp(folder) == NULL) {
        abort();
    }
    (void) snprintf(path, sizeof(path), "%s/db", folder);
    must(pg_db_open(path, &key, &schema, &db));
    while (filled < leases) {
        must(pg_db_write(db, fill_job, NULL));
    }
}

static pg_err run(void *arg)
{
    (void) arg;
    begin();
    const bench_case cases[] = {
        {"hosts of all leases", 0, on_walk, NULL, NULL},
        {"draw a lease", 0, on_draw, NULL, NULL},
        {"find a lease", 0, on_find, NULL, NULL},
    };
    bench_run(cases, PG_ARRAY_LEN(cases), NULL);
    pg_db_close(&db);
    bench_folder_remove(folder);
    return PG_OK;
}

int main(int argc, char **argv)
{
    bench_begin(argc, argv);
    return pg_runtime_run(NULL, run, NULL) == PG_OK ? 0 : 1;
}
