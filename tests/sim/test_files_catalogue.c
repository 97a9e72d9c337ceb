// SPDX-License-Identifier: Apache-2.0
// Goal: a list of files and pins that is longer than what a program used to hold in memory is kept among the hosts, and another device of the
//       person takes all of it in.
// Method: as test_files_restore.c. Rows of pins are put into the owner's database by SQL: 20 MB of a snapshot, three segments; with
//       PG_TEST_PINS=210000 (suite "slow") 71 MB.
#include "files/limits.h"
#include "files/service_priv.h"
#include "files_world.h"
#include "store/stmt.h"

#define OWNER 0
#define STEP 1000

static uint64_t pins;

static pg_err pin_row(pg_db_conn *conn, uint64_t number)
{
    uint8_t name[PG_NAME_BYTES_MAX];
    uint8_t digest[PG_HASH_BYTES];
    pg_stmt *stmt = NULL;
    memset(name, 'n', sizeof(name));
    pg_sha256(pg_bytes_make((const uint8_t *) &number, sizeof(number)), digest);
    const pg_cid root = pg_block_cid_of_digest(digest);
    PG_TRY(pg_db_prepare(conn, "INSERT INTO catalogue_pin VALUES (?1, 5, ?2, ?3, 0, 7)", &stmt));
    pg_stmt_bind_blob(stmt, 1, pg_cid_bytes(&root));
    pg_stmt_bind_blob(stmt, 2, PG_BYTES_OF(digest));
    pg_stmt_bind_blob(stmt, 3, PG_BYTES_OF(name));
    return pg_stmt_run(stmt);
}

static pg_err rows_job(pg_db_conn *conn, void *arg)
{
    const uint64_t *from = arg;
    for (uint64_t i = *from; i < *from + STEP; i++) {
        PG_TRY(pin_row(conn, i));
    }
    return PG_OK;
}

static pg_err rows_task(sim_node *self)
{
    for (uint64_t i = 0; i < pins; i += STEP) {
        PG_TRY(pg_db_write(self->storage->db, rows_job, &i));
    }
    pg_publish_changed(self->storage->files);
    return PG_OK;
}

static pg_err count_job(pg_db_conn *conn, void *arg)
{
    pg_stmt *stmt = NULL;
    pg_err err = PG_OK;
    PG_TRY(pg_db_prepare(conn, "SELECT count(*) FROM catalogue_pin", &stmt));
    if (pg_stmt_next(stmt, &err)) {
        *(uint64_t *) arg = (uint64_t) pg_stmt_i64(stmt, 0);
    }
    return err;
}

static pg_err count_task(sim_node *self)
{
    return pg_db_read(self->storage->db, count_job, &self->list_count);
}

static void published_await(const sim_node *self, uint64_t sequence)
{
    pg_time deadline = pg_after(PG_HOURS(1));
    pg_catalogue_status status = pg_files_catalogue_status(self->storage->files);
    while (status.phase != PG_CATALOGUE_PHASE_PUBLISHED || status.sequence < sequence) {
        CHECK(pg_now() < deadline);
        CHECK_OK(pg_sleep_until(pg_after(PG_SECONDS(5))));
        status = pg_files_catalogue_status(self->storage->files);
    }
}

static pg_err long_script(void *arg)
{
    sim_world *world = arg;
    sim_node *owner = &world->nodes[OWNER];
    sim_node *other = &world->nodes[READER];
    sim_file file = {.content = 1, .size = 100000};
    uint8_t digest[PG_HASH_BYTES];
    pins = sim_setting("PG_TEST_PINS", 60000);
    sim_nodes_make_of(world, NODES - 1, &(sim_world){.has_dht = true});
    sim_nodes_meet(world);
    sim_run(owner, sim_put, &file);
    published_await(owner, 1);
    world->is_long = true;
    sim_run(owner, rows_task, NULL);
    published_await(owner, 2);
    CHECK(owner->storage->files->publisher.snapshot_bytes > pins * 338);
    memcpy(digest, owner->storage->files->publisher.digest, sizeof(digest));
    sim_node_crash(owner);
    other->seeds.person = world->nodes[OWNER].seeds.person;
    other->seeds.owner = world->nodes[OWNER].seeds.owner;
    sim_node_start(other);
    published_await(other, 2);
    sim_run(other, count_task, NULL);
    CHECK(other->list_count == pins);
    CHECK(memcmp(digest, other->storage->files->publisher.digest, sizeof(digest)) == 0);
    sim_run(other, sim_list, NULL);
    CHECK(other->list_count == 1);
    sim_run(other, sim_find, &file);
    sim_run(other, sim_get, &file);
    sim_nodes_stop(world);
    return PG_OK;
}

static void test_catalogue__longer_than_memory_was__another_device_has_all_of_it(void **state)
{
    (void) state;
    sim_files_seeds(long_script, 1);
}

int main(int argc, char **argv)
{
    sim_arguments(argc, argv);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_catalogue__longer_than_memory_was__another_device_has_all_of_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
