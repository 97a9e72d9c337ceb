// SPDX-License-Identifier: Apache-2.0
// Goal: a walk over the hosts of all leases tells each of them once, leases without any too; a lease is found by its extent, the one that ends last, and
//       by its id; each is drawn about as often as any other, also next to ids that are gone; an empty ledger has nothing to give.
// Method: rows written by hand into a sealed database on a simulated disk.
#include "exchange/place_ledger_priv.h"
#include "exchange/place_neighbours.h"
#include "exchange/place_server.h"
#include "sim_test.h"
#include "store/stmt.h"

#define LEASES 1000
#define GONE_FIRST 2 // of those whose ids are gone
#define GONE_LAST 901
#define LEFT (LEASES - (GONE_LAST - GONE_FIRST + 1))
#define DRAWS 10000

static const pg_key db_key = {.bytes = {3}};

static pg_cid descriptor_of(int64_t number)
{
    return pg_cid_of_sha256(pg_bytes_make(&number, sizeof(number)));
}

static pg_peer_id host_of(int64_t number)
{
    pg_peer_id peer = {.len = 38, .bytes = {0, 36, 8, 1, 18, 32}};
    memcpy(peer.bytes + 6, &number, sizeof(number));
    return peer;
}

/** Hosts of a lease: none, one, two or three. */
static int64_t hosts_of(int64_t lease)
{
    return lease % 4;
}

/** The last lease is of the same extent as the one before it, and ends later. */
static pg_err lease_fill(pg_db_conn *conn, int64_t id)
{
    const pg_cid descriptor = descriptor_of(id == LEASES ? id - 1 : id);
    const pg_peer_id uploader = host_of(0);
    uint8_t lease_key[PG_ED25519_PUBLIC_BYTES] = {1};
    pg_stmt *stmt = NULL;
    memcpy(lease_key + 8, &id, sizeof(id));
    PG_TRY(
        pg_db_prepare(conn,
                      "INSERT INTO place_lease (id, lease_key, descriptor, is_whole, root, slots,"
                      " sequence, grant_sequence, expiry_s, expiry_max_s, uploader)"
                      " VALUES (?1, ?2, ?3, 0, x'', 1, 1, 1, 1000 + ?1, 1000 + ?1, ?4)",
                      &stmt));
    pg_stmt_bind_i64(stmt, 1, id);
    pg_stmt_bind_blob(stmt, 2, PG_BYTES_OF(lease_key));
    pg_stmt_bind_blob(stmt, 3, pg_cid_bytes(&descriptor));
    pg_stmt_bind_blob(stmt, 4, pg_peer_id_bytes(&uploader));
    PG_TRY(pg_stmt_run(stmt));
    PG_TRY(pg_db_prepare(conn,
                         "INSERT INTO place_block (lease, slot, name, len)"
                         " VALUES (?1, 0, zeroblob(33), 5000), (?1, 1, zeroblob(33), 5000)",
                         &stmt));
    pg_stmt_bind_i64(stmt, 1, id);
    PG_TRY(pg_stmt_run(stmt));
    for (int64_t i = 0; i < hosts_of(id); i++) {
        const pg_peer_id host = host_of(id + i);
        PG_TRY(pg_db_prepare(conn,
                             "INSERT INTO place_receipt (lease, host, sequence, time_s, receipt)"
                             " VALUES (?1, ?2, 1, 1, x'00')",
                             &stmt));
        pg_stmt_bind_i64(stmt, 1, id);
        pg_stmt_bind_blob(stmt, 2, pg_peer_id_bytes(&host));
        PG_TRY(pg_stmt_run(stmt));
    }
    return PG_OK;
}

static pg_err fill_job(pg_db_conn *conn, void *arg)
{
    (void) arg;
    for (int64_t id = 1; id <= LEASES; id++) {
        if (id < GONE_FIRST || id > GONE_LAST) {
            PG_TRY(lease_fill(conn, id));
        }
    }
    return PG_OK;
}

static pg_err walk_check(pg_db *db)
{
    pg_buf page PG_CLEANUP(pg_buf_deinit) = {0};
    unsigned told[LEASES + 1] = {0};
    int64_t after = 0;
    do {
        pg_buf_clear(&page);
        PG_TRY(pg_ledger_hosts_page(db, after, &page));
        for (size_t at = 0; at < page.len; at += sizeof(pg_place_lease_host)) {
            pg_place_lease_host one;
            memcpy(&one, page.ptr + at, sizeof(one));
            SIM_CHECK(one.lease >= after && one.lease <= LEASES);
            SIM_CHECK((one.host.len == 0) == (hosts_of(one.lease) == 0));
            after = one.lease;
            told[one.lease]++;
        }
    } while (page.len > 0);
    for (int64_t id = 1; id <= LEASES; id++) {
        bool is_there = id < GONE_FIRST || id > GONE_LAST;
        int64_t rows = hosts_of(id) == 0 ? 1 : hosts_of(id);
        SIM_CHECK(told[id] == (is_there ? rows : 0));
    }
    return PG_OK;
}

static pg_err find_check(pg_db *db)
{
    pg_ledger_listed listed;
    pg_cid twice = descriptor_of(LEASES - 1);
    pg_cid gone = descriptor_of(GONE_FIRST);
    PG_TRY(pg_ledger_listed_find(db, &twice, &listed));
    SIM_CHECK(listed.lease.id == LEASES && pg_cid_equal(&listed.descriptor, &twice));
    SIM_CHECK(listed.bytes == 8192);
    SIM_CHECK(pg_ledger_listed_find(db, &gone, &listed) == PG_ERR_NOT_FOUND);
    PG_TRY(pg_ledger_listed_get(db, GONE_LAST + 1, &listed));
    SIM_CHECK(listed.lease.id == GONE_LAST + 1 && listed.bytes == 8192); // a block in two slots
    SIM_CHECK(pg_ledger_listed_get(db, GONE_LAST, &listed) == PG_ERR_NOT_FOUND);
    SIM_CHECK(pg_ledger_listed_get(db, LEASES + 1, &listed) == PG_ERR_NOT_FOUND);
    return PG_OK;
}

static pg_err draw_check(pg_db *db)
{
    unsigned drawn[LEASES + 1] = {0};
    for (unsigned i = 0; i < DRAWS; i++) {
        pg_ledger_listed listed;
        PG_TRY(pg_ledger_listed_draw(db, &listed));
        SIM_CHECK(listed.lease.id >= 1 && listed.lease.id <= LEASES);
        drawn[listed.lease.id]++;
    }
    for (int64_t id = 1; id <= LEASES; id++) {
        bool is_there = id < GONE_FIRST || id > GONE_LAST;
        SIM_CHECK(is_there ? drawn[id] > DRAWS / LEFT / 2 && drawn[id] < DRAWS / LEFT * 2
                           : drawn[id] == 0);
    }
    return PG_OK;
}

static pg_err checks_run(pg_db *db)
{
    pg_ledger_listed listed;
    pg_buf page PG_CLEANUP(pg_buf_deinit) = {0};
    SIM_CHECK(pg_ledger_listed_draw(db, &listed) == PG_ERR_NOT_FOUND);
    PG_TRY(pg_ledger_hosts_page(db, 0, &page));
    SIM_CHECK(page.len == 0);
    PG_TRY(pg_db_write(db, fill_job, NULL));
    PG_TRY(walk_check(db));
    PG_TRY(find_check(db));
    return draw_check(db);
}

static pg_err life_main(void *arg)
{
    const char *const steps[] = {pg_place_schema_1, pg_place_schema_2};
    const pg_db_schema schema = {steps, 2};
    pg_db *db = NULL;
    (void) arg;
    PG_TRY(pg_db_open("/db", &db_key, &schema, &db));
    pg_err err = checks_run(db);
    pg_db_close(&db);
    return err;
}

static pg_err script(void *arg)
{
    pg_sim_machine *machine = NULL;
    PG_TRY(pg_sim_machine_new(&machine));
    PG_TRY(pg_sim_machine_start(machine, "sim.life", life_main, arg));
    return pg_sim_machine_join(machine, PG_FOREVER);
}

static void test_ledger__walked_found_drawn(void **state)
{
    (void) state;
    sim_seeds(&(pg_sim_config){.seed = 1}, 2, script, NULL);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ledger__walked_found_drawn),
    };
    sim_arguments(argc, argv);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
