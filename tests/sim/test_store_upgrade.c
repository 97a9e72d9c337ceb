// SPDX-License-Identifier: Apache-2.0
// Goal: whenever the power fails, or the disk is full, while a database changes its version or goes back, it is there, whole, of the one
// version or the other, with the rows of that version; and the way back stays open.
// Method: as test_store_db.c, the linker puts our functions before those of file.h, which count the calls and pull the plug at the chosen
// one. Turn by turn a program upgrades, works, and goes back.
#include <string.h>

#include "base/mem.h"
#include "runtime/file.h"
#include "runtime/random.h"
#include "runtime/sim.h"
#include "sim_plug.h"
#include "sim_test.h"
#include "store/db.h"
#include "store/stmt.h"

#define PATH "/db"
#define ROWS 200
#define ROUNDS 12

/** What outlives the machine. */
struct model {
    sim_plug plug;
    pg_sim_disk_faults faults;
    uint64_t calls_max;
    uint64_t full;
    uint64_t upgrades;
    uint64_t ways_back;
    bool goes_back; // this round's program
};

static const pg_key key = {.bytes = {9}};

// The second version touches every row and makes a table of them: more than a page, and one that fits no log frame.
static const char *const steps[] = {
    "CREATE TABLE item (id INTEGER PRIMARY KEY, data BLOB);",
    "ALTER TABLE item ADD COLUMN size INTEGER; UPDATE item SET size = length(data);"
    "CREATE TABLE twin (id INTEGER PRIMARY KEY, data BLOB);"
    "INSERT INTO twin SELECT id, data FROM item;",
    "CREATE INDEX twin_data ON twin (data);",
};
static const pg_db_schema schema_1 = {steps, 1};
static const pg_db_schema schema_3 = {steps, 3};

// NOLINTBEGIN(bugprone-reserved-identifier,readability-identifier-naming): the linker's names for --wrap
pg_err __real_pg_path_rename(const char *from, const char *to);
pg_err __real_pg_path_remove(const char *path);
pg_err __wrap_pg_path_rename(const char *from, const char *to);
pg_err __wrap_pg_path_remove(const char *path);

pg_err __wrap_pg_path_rename(const char *from, const char *to)
{
    return sim_plug_is_pulled() ? PG_ERR_CANCELLED : __real_pg_path_rename(from, to);
}

pg_err __wrap_pg_path_remove(const char *path)
{
    return sim_plug_is_pulled() ? PG_ERR_CANCELLED : __real_pg_path_remove(path);
}
// NOLINTEND(bugprone-reserved-identifier,readability-identifier-naming)

static pg_err job_fill(pg_db_conn *conn, void *arg)
{
    static const uint8_t data[1500] = {1};
    (void) arg;
    for (unsigned i = 0; i < ROWS; i++) {
        pg_stmt *stmt = NULL;
        PG_TRY(pg_db_prepare(conn, "INSERT INTO item (data) VALUES (?1)", &stmt));
        pg_stmt_bind_blob(stmt, 1, pg_bytes_make(data, 1000 + i));
        PG_TRY(pg_stmt_run(stmt));
    }
    return PG_OK;
}

static pg_err number_of(pg_db_conn *conn, const char *sql, int64_t *out_number)
{
    pg_stmt *stmt = NULL;
    pg_err err = PG_OK;
    PG_TRY(pg_db_prepare(conn, sql, &stmt));
    if (pg_stmt_next(stmt, &err)) {
        *out_number = pg_stmt_i64(stmt, 0);
    }
    return err;
}

static pg_err job_check_1(pg_db_conn *conn, void *arg)
{
    int64_t rows = 0;
    (void) arg;
    PG_TRY(number_of(conn, "SELECT count(*) FROM item", &rows));
    SIM_CHECK(rows == ROWS);
    return PG_OK;
}

static pg_err job_check_3(pg_db_conn *conn, void *arg)
{
    int64_t good = 0;
    PG_TRY(job_check_1(conn, arg));
    PG_TRY(number_of(conn,
                     "SELECT count(*) FROM item JOIN twin USING (id)"
                     " WHERE item.size = length(twin.data)",
                     &good));
    SIM_CHECK(good == ROWS);
    return PG_OK;
}

// Whatever happened before: of one version or the other, whole.
static pg_err look(uint32_t *out_version)
{
    pg_db *db = NULL;
    PG_TRY(pg_db_open(PATH, &key, NULL, &db));
    uint32_t version = pg_db_version(db);
    pg_err err = pg_db_check(db);
    if (err == PG_OK && version != 1 && version != 3) {
        err = pg_fail(PG_ERR_BUG, "a database of version %u", version);
    }
    if (err == PG_OK) {
        err = pg_db_read(db, version == 1 ? job_check_1 : job_check_3, NULL);
    }
    pg_db_close(&db);
    *out_version = version;
    return err;
}

static pg_err upgrade(struct model *model)
{
    pg_db *db = NULL;
    PG_TRY(pg_db_open(PATH, &key, &schema_3, &db));
    pg_err err = pg_db_read(db, job_check_3, NULL);
    pg_db_close(&db);
    model->upgrades++;
    return err;
}

static pg_err go_back(struct model *model)
{
    uint32_t copy = 0;
    uint32_t before = 0;
    pg_db *db = NULL;
    pg_err err = pg_db_open(PATH, &key, &schema_1, &db);
    SIM_CHECK(err != PG_OK); // the older program refuses, before anything
    PG_TRY(err == PG_ERR_UNSUPPORTED ? PG_OK : err);
    PG_TRY(pg_db_copy_find(PATH, 1, &copy));
    SIM_CHECK(copy == 1); // it was there before the version changed
    PG_TRY(pg_db_go_back(PATH, &key, copy, &before));
    SIM_CHECK(before == 3);
    PG_TRY(pg_db_open(PATH, &key, &schema_1, &db));
    err = pg_db_read(db, job_check_1, NULL);
    pg_db_close(&db);
    model->ways_back++;
    return err;
}

static pg_err program_make(void *arg)
{
    pg_db *db = NULL;
    (void) arg;
    PG_TRY(pg_db_open(PATH, &key, &schema_1, &db));
    pg_err err = pg_db_write(db, job_fill, NULL);
    pg_db_close(&db);
    return err;
}

static pg_err program_main(void *arg)
{
    struct model *model = arg;
    uint32_t version = 0;
    pg_err err = look(&version);
    if (err == PG_OK) {
        err = version == 1 ? upgrade(model) : go_back(model);
    }
    model->full += err == PG_ERR_FULL ? 1 : 0;
    return err == PG_ERR_FULL || err == PG_ERR_IO ? PG_OK : err;
}

static pg_err rounds_script(void *arg)
{
    struct model *model = arg;
    sim_plug_now = &model->plug;
    model->plug.calls_left = 0;
    PG_TRY(pg_sim_machine_new(&model->plug.machine));
    pg_sim_machine_disk(model->plug.machine, &(pg_sim_disk_faults){0});
    PG_TRY(pg_sim_machine_start(model->plug.machine, "test.make", program_make, model));
    PG_TRY(pg_sim_machine_join(model->plug.machine, PG_FOREVER));
    for (unsigned round = 0; round < ROUNDS; round++) {
        bool last = round >= ROUNDS - 2; // both ways with nothing in the way
        pg_sim_machine_disk(model->plug.machine, last ? &(pg_sim_disk_faults){0} : &model->faults);
        model->plug.calls_left =
            last || model->calls_max == 0 ? 0 : 1 + pg_sim_random_below(model->calls_max);
        PG_TRY(pg_sim_machine_start(model->plug.machine, "test.program", program_main, model));
        pg_err err = pg_sim_machine_join(model->plug.machine, PG_FOREVER);
        if (err != PG_OK && (err != PG_ERR_CANCELLED || last)) {
            return err;
        }
        if (err == PG_OK && pg_sim_random_below(2) == 0) {
            pg_sim_machine_crash(model->plug.machine); // after the end: what was not synced is gone
        }
    }
    sim_plug_now = NULL;
    return PG_OK;
}

static void test_store_upgrade__power_fails__one_version_or_the_other(void **state)
{
    (void) state;
    struct model model = {.calls_max = 900};
    sim_seeds(&(pg_sim_config){0}, 40, rounds_script, &model);
    sim_saw("power cuts", model.plug.crashes, 160, 40);
    sim_saw("upgrades", model.upgrades, 60, 40);
    sim_saw("ways back", model.ways_back, 50, 40);
}

static void test_store_upgrade__power_fails_early__one_version_or_the_other(void **state)
{
    (void) state;
    struct model model = {.calls_max = 150};
    sim_seeds(&(pg_sim_config){0}, 40, rounds_script, &model);
    sim_saw("power cuts", model.plug.crashes, 200, 40);
}

// Of 300 KB a database, its copy, a log of all of it: it runs out here and there.
static void test_store_upgrade__full_disk__stays_as_it_was(void **state)
{
    (void) state;
    uint64_t upgrades = 0;
    uint64_t full = 0;
    for (uint64_t free_kib = 350; free_kib <= 1550; free_kib += 150) {
        struct model model = {.faults = {.free_bytes = free_kib * 1024}};
        sim_seeds(&(pg_sim_config){0}, 4, rounds_script, &model);
        upgrades += model.upgrades;
        full += model.full;
    }
    sim_saw("upgrades", upgrades, 30, 4);
    sim_saw("full", full, 150, 4);
}

int main(int argc, char **argv)
{
    sim_arguments(argc, argv);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_store_upgrade__power_fails__one_version_or_the_other),
        cmocka_unit_test(test_store_upgrade__power_fails_early__one_version_or_the_other),
        cmocka_unit_test(test_store_upgrade__full_disk__stays_as_it_was),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
