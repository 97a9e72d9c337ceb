// SPDX-License-Identifier: Apache-2.0
// Goal: what the ledger remembers of leases that ended is bounded, whatever ended them.
// Method: rows written by hand into a database on a simulated disk, and one expiry.
#include "../runtime/in_fiber.h"
#include "crypto/hash.h"
#include "exchange/limits.h"
#include "exchange/place_ledger_priv.h"
#include "exchange/place_server.h"
#include "runtime/sim.h"
#include "store/stmt.h"

#define LEASES 3
#define SHORTENED_TO_S 100 // and granted until 10,000 once: until then old grants can be replayed
#define NOW_S 5000

static pg_cid cid_make(uint8_t number)
{
    return pg_cid_of_blake3(pg_bytes_make(&number, 1));
}

static pg_err lease_write(pg_db_conn *conn, uint8_t number)
{
    const uint8_t key[PG_ED25519_PUBLIC_BYTES] = {number};
    const uint8_t uploader[] = {0, 1, 1};
    pg_cid descriptor = cid_make(number);
    pg_stmt *stmt = NULL;
    PG_TRY(pg_db_prepare(
        conn, "INSERT INTO place_lease VALUES (?1, ?2, ?3, 1, x'', 1, 2, 2, ?4, 10000, ?5, x'')",
        &stmt));
    pg_stmt_bind_i64(stmt, 1, number);
    pg_stmt_bind_blob(stmt, 2, PG_BYTES_OF(key));
    pg_stmt_bind_blob(stmt, 3, pg_cid_bytes(&descriptor));
    pg_stmt_bind_i64(stmt, 4, SHORTENED_TO_S);
    pg_stmt_bind_blob(stmt, 5, PG_BYTES_OF(uploader));
    return pg_stmt_run(stmt);
}

// LEASES leases, and as many dropped ones that are forgotten earlier.
static pg_err rows_write(pg_db_conn *conn, void *arg)
{
    (void) arg;
    for (uint8_t i = 1; i <= LEASES; i++) {
        const uint8_t key[PG_ED25519_PUBLIC_BYTES] = {[1] = i};
        pg_stmt *stmt = NULL;
        PG_TRY(lease_write(conn, i));
        PG_TRY(pg_db_prepare(conn, "INSERT INTO place_dropped VALUES (?1, ?2, 1, ?3)", &stmt));
        pg_stmt_bind_blob(stmt, 1, PG_BYTES_OF(key));
        pg_stmt_bind_blob(stmt, 2, PG_BYTES_OF(key));
        pg_stmt_bind_i64(stmt, 3, NOW_S + i);
        PG_TRY(pg_stmt_run(stmt));
    }
    return PG_OK;
}

static pg_err dropped_count(pg_db_conn *conn, void *arg)
{
    int64_t *counts = arg; // all, and of the leases
    pg_stmt *stmt = NULL;
    pg_err err = PG_OK;
    PG_TRY(pg_db_prepare(conn, "SELECT count(*), sum(until_s = 10000) FROM place_dropped", &stmt));
    CHECK(pg_stmt_next(stmt, &err));
    counts[0] = pg_stmt_i64(stmt, 0);
    counts[1] = pg_stmt_i64(stmt, 1);
    return err;
}

/** An expiry where `tombs` drops are remembered: how many more and of which it leaves. */
typedef struct expiry {
    uint64_t tombs;
    int64_t more;
} expiry;

static pg_err expire_main(void *arg)
{
    const expiry *want = arg;
    const pg_key key = {.bytes = {1}};
    const char *const steps[] = {pg_place_schema_1, pg_place_schema_2};
    const pg_db_schema schema = {steps, 2};
    pg_db *db = NULL;
    pg_ledger_change change = {0};
    int64_t counts[2] = {0};
    uint32_t ended = 0;
    CHECK_OK(pg_db_open("/db", &key, &schema, &db));
    CHECK_OK(pg_db_write(db, rows_write, NULL));
    CHECK_OK(pg_ledger_expire(db, NOW_S, NOW_S, want->tombs, &change, &ended));
    CHECK(ended == LEASES && change.tombs == want->more);
    CHECK_OK(pg_db_read(db, dropped_count, counts));
    CHECK(counts[0] == LEASES + want->more); // room was made by the oldest
    CHECK(counts[1] == LEASES);
    pg_ledger_change_deinit(&change);
    pg_db_close(&db);
    return PG_OK;
}

static pg_err expire_script(void *arg)
{
    pg_sim_machine *machine = NULL;
    CHECK_OK(pg_sim_machine_new(&machine));
    CHECK_OK(pg_sim_machine_start(machine, "test.ledger", expire_main, arg));
    return pg_sim_machine_join(machine, PG_FOREVER);
}

static void expire_run(uint64_t tombs, int64_t more)
{
    const pg_sim_config config = {.seed = 1};
    expiry want = {tombs, more};
    assert_int_equal(pg_sim_run(&config, expire_script, &want, NULL), PG_OK);
}

static void test_ledger__shortened_leases_expire__are_remembered(void **state)
{
    (void) state;
    expire_run(LEASES, LEASES);
}

static void test_ledger__shortened_leases_expire_when_it_is_full__oldest_are_forgotten(void **state)
{
    (void) state;
    expire_run(PG_PLACE_TOMBS_MAX, 0);
    expire_run(PG_PLACE_TOMBS_MAX - 1, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ledger__shortened_leases_expire__are_remembered),
        cmocka_unit_test(
            test_ledger__shortened_leases_expire_when_it_is_full__oldest_are_forgotten),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
