// SPDX-License-Identifier: Apache-2.0
// Goal: after any crash a sealed database opens, has every transaction whose write returned, each whole, and none that was undone; also
// when the power fails in the middle of a transaction, of a checkpoint, or while the database is being made.
// Method: the linker puts our functions before those of file.h, which count the calls and pull the plug at the chosen one. Each
// transaction adds rows whose sum is kept in a second table.
#include <string.h>

#include "base/mem.h"
#include "runtime/file.h"
#include "runtime/random.h"
#include "runtime/sim.h"
#include "sim_plug.h"
#include "sim_test.h"
#include "store/db.h"
#include "store/limits.h"
#include "store/stmt.h"

#define PATH "/db"
#define ROUNDS 5

/** What outlives the machine. */
struct model {
    sim_plug plug;
    pg_sim_disk_faults faults;
    uint64_t calls_max;    // the plug is pulled at a call before this
    uint32_t transactions; // a round
    int64_t acknowledged;  // the highest number whose write returned
    int64_t begun;         // the highest number that may be there
    uint64_t failed;
};

static const pg_key key = {.bytes = {9}};
static const char *const steps[] = {
    "CREATE TABLE item (id INTEGER PRIMARY KEY, number INTEGER, data BLOB);"
    "CREATE INDEX item_number ON item (number);"
    "CREATE TABLE total (id INTEGER PRIMARY KEY, items INTEGER);"
    "INSERT INTO total VALUES (1, 0)",
};
static const pg_db_schema schema = {steps, 1};

// ---- Transactions

static pg_err job_add(pg_db_conn *conn, void *arg)
{
    const int64_t *number = arg;
    pg_stmt *stmt = NULL;
    static const uint8_t data[3000] = {1};
    unsigned rows = 1 + (unsigned) pg_random_below(12);
    for (unsigned i = 0; i < rows; i++) {
        PG_TRY(pg_db_prepare(conn, "INSERT INTO item (number, data) VALUES (?1, ?2)", &stmt));
        pg_stmt_bind_i64(stmt, 1, *number);
        pg_stmt_bind_blob(stmt, 2, pg_bytes_make(data, pg_random_below(sizeof(data))));
        PG_TRY(pg_stmt_run(stmt));
    }
    PG_TRY(pg_db_prepare(conn, "DELETE FROM item WHERE number < ?1", &stmt));
    pg_stmt_bind_i64(stmt, 1, *number - 30);
    PG_TRY(pg_stmt_run(stmt));
    PG_TRY(pg_db_prepare(conn, "UPDATE total SET items = (SELECT count(*) FROM item)", &stmt));
    return pg_stmt_run(stmt);
}

static pg_err job_add_and_undo(pg_db_conn *conn, void *arg)
{
    int64_t number = *(const int64_t *) arg + 1000000;
    PG_TRY(job_add(conn, &number));
    return PG_ERR_CLOSED;
}

/** What the database holds. */
struct found {
    int64_t last;
    int64_t items;
    int64_t total;
    int64_t numbers; // different ones among the last 30
};

static pg_err job_look(pg_db_conn *conn, void *arg)
{
    struct found *found = arg;
    pg_stmt *stmt = NULL;
    pg_err err = PG_OK;
    PG_TRY(pg_db_prepare(conn,
                         "SELECT coalesce(max(number), 0), count(*), count(DISTINCT number),"
                         " (SELECT items FROM total) FROM item",
                         &stmt));
    if (!pg_stmt_next(stmt, &err)) {
        return err;
    }
    found->last = pg_stmt_i64(stmt, 0);
    found->items = pg_stmt_i64(stmt, 1);
    found->numbers = pg_stmt_i64(stmt, 2);
    found->total = pg_stmt_i64(stmt, 3);
    return PG_OK;
}

static pg_err check(struct model *model, pg_db *db)
{
    struct found found = {0};
    PG_TRY(pg_db_check(db));
    PG_TRY(pg_db_read(db, job_look, &found));
    SIM_CHECK(found.items == found.total);
    SIM_CHECK(found.last >= model->acknowledged);
    SIM_CHECK(found.last <= model->begun);
    SIM_CHECK(found.numbers == (found.last > 31 ? 31 : found.last));
    model->acknowledged = found.last;
    model->begun = found.last;
    return PG_OK;
}

static pg_err work(struct model *model, pg_db *db)
{
    for (uint32_t i = 0; i < model->transactions; i++) {
        int64_t number = model->begun + 1;
        if (pg_random_below(5) == 0) {
            pg_err err = pg_db_write(db, job_add_and_undo, &number);
            PG_TRY(err == PG_ERR_CLOSED ? PG_OK : err);
        }
        model->begun = number;
        PG_TRY(pg_db_write(db, job_add, &number));
        model->acknowledged = number;
    }
    return PG_OK;
}

static pg_err program_main(void *arg)
{
    struct model *model = arg;
    pg_db *db = NULL;
    pg_err err = pg_db_open(PATH, &key, &schema, &db);
    if (err == PG_OK) {
        err = check(model, db);
    }
    if (err == PG_OK) {
        err = work(model, db);
    }
    pg_db_close(&db);
    if (err == PG_ERR_IO || err == PG_ERR_FULL) { // as the disk was told to
        model->failed++;
        return PG_OK;
    }
    return err;
}

static pg_err rounds_script(void *arg)
{
    struct model *model = arg;
    sim_plug_now = &model->plug;
    model->acknowledged = 0;
    model->begun = 0;
    model->plug.calls_left = 0;
    PG_TRY(pg_sim_machine_new(&model->plug.machine));
    for (unsigned round = 0; round < ROUNDS; round++) {
        bool last = round == ROUNDS - 1;
        pg_sim_machine_disk(model->plug.machine, last ? &(pg_sim_disk_faults){0} : &model->faults);
        model->plug.calls_left =
            last || model->calls_max == 0 ? 0 : 1 + pg_sim_random_below(model->calls_max);
        PG_TRY(pg_sim_machine_start(model->plug.machine, "test.program", program_main, model));
        pg_err err = pg_sim_machine_join(model->plug.machine, PG_FOREVER);
        if (err == PG_OK && pg_sim_random_below(2) == 0) {
            pg_sim_machine_crash(model->plug.machine); // after the end: what was not synced is gone
        } else if (err != PG_OK && (err != PG_ERR_CANCELLED || last)) {
            return err;
        }
    }
    sim_plug_now = NULL;
    return PG_OK;
}

// ---- A disk without a byte left

static pg_err job_remove(pg_db_conn *conn, void *arg)
{
    (void) arg;
    pg_stmt *stmt = NULL;
    PG_TRY(pg_db_prepare(conn, "DELETE FROM item WHERE id = (SELECT max(id) FROM item)", &stmt));
    PG_TRY(pg_stmt_run(stmt));
    PG_TRY(pg_db_prepare(conn, "UPDATE total SET items = (SELECT count(*) FROM item)", &stmt));
    return pg_stmt_run(stmt);
}

static pg_err disk_fill(void)
{
    static const uint8_t page[4096] = {1};
    pg_file *file = NULL;
    pg_file_info info;
    pg_err err = pg_file_open("/filler", PG_FILE_MODE_WRITE | PG_FILE_MODE_CREATE, &file);
    if (err == PG_OK) {
        err = pg_file_stat(file, &info);
    }
    for (uint64_t at = info.size_bytes / sizeof(page); err == PG_OK; at++) {
        err = pg_file_write_at(file, at * sizeof(page), PG_BYTES_OF(page));
    }
    pg_file_free(&file);
    return err == PG_ERR_FULL ? PG_OK : err;
}

// Remove what is there, one after the other; the plug may be pulled. What was acknowledged stays removed.
static pg_err room_main(void *arg)
{
    struct model *model = arg;
    struct found found = {0};
    pg_db *db = NULL;
    PG_TRY(pg_db_open(PATH, &key, &schema, &db));
    pg_err err = pg_db_keep_room(db, PG_DB_ROOM_BYTES);
    if (err == PG_OK && model->transactions > 0) { // the first time
        err = work(model, db);
        model->transactions = 0;
        model->begun = 0;
    }
    if (err == PG_OK) {
        err = pg_db_read(db, job_look, &found);
    }
    if (err == PG_OK && model->begun > 0 && found.items != model->begun &&
        found.items != model->begun - 1) {
        err = pg_fail(PG_ERR_BUG, "%lld rows, not %lld", (long long) found.items,
                      (long long) model->begun);
    }
    for (model->begun = found.items; err == PG_OK && model->begun > 0;) {
        err = disk_fill();
        if (err == PG_OK) {
            model->failed += pg_db_write(db, job_remove, NULL) == PG_ERR_FULL;
            err = pg_db_read(db, job_look, &found);
            model->begun = found.items; // a short log may have had room
        }
        if (err == PG_OK && model->begun > 0) {
            err = pg_db_write_freeing(db, job_remove, NULL);
            model->begun -= err == PG_OK;
        }
    }
    if (err == PG_OK) {
        err = pg_db_check(db);
    }
    pg_db_close(&db);
    return err;
}

static pg_err room_script(void *arg)
{
    struct model *model = arg;
    pg_err err = PG_ERR_CANCELLED;
    *model = (struct model){.transactions = 20, .calls_max = model->calls_max};
    sim_plug_now = &model->plug;
    PG_TRY(pg_sim_machine_new(&model->plug.machine));
    pg_sim_machine_disk(model->plug.machine, &(pg_sim_disk_faults){.free_bytes = 3 << 20});
    while (err == PG_ERR_CANCELLED) {
        model->plug.calls_left =
            model->transactions > 0 ? 0 : 1 + pg_sim_random_below(model->calls_max);
        PG_TRY(pg_sim_machine_start(model->plug.machine, "test.program", room_main, model));
        err = pg_sim_machine_join(model->plug.machine, PG_FOREVER);
    }
    sim_plug_now = NULL;
    PG_TRY(err);
    SIM_CHECK(model->begun == 0 && model->failed > 10);
    return PG_OK;
}

static void test_store_db__no_byte_left__removes_all_the_same(void **state)
{
    (void) state;
    struct model model = {.calls_max = 3000};
    sim_seeds(&(pg_sim_config){0}, 5, room_script, &model);
}

// ---- The tests

static void test_store_db__power_fails_in_a_job__keeps_what_was_committed(void **state)
{
    (void) state;
    struct model model = {.calls_max = 700, .transactions = 30};
    sim_seeds(&(pg_sim_config){0}, 60, rounds_script, &model);
    sim_saw("power cuts", model.plug.crashes, 90, 60);
}

static void test_store_db__power_fails_early__a_database_is_made_whole_or_not_at_all(void **state)
{
    (void) state;
    struct model model = {.calls_max = 30, .transactions = 5};
    sim_seeds(&(pg_sim_config){0}, 100, rounds_script, &model);
    sim_saw("power cuts", model.plug.crashes, 200, 100);
}

// Enough to fill the log, so that it is copied back.
static void test_store_db__power_fails_in_a_checkpoint__keeps_what_was_committed(void **state)
{
    (void) state;
    struct model model = {.calls_max = 5000, .transactions = 150};
    sim_seeds(&(pg_sim_config){0}, 20, rounds_script, &model);
    sim_saw("power cuts", model.plug.crashes, 20, 20);
}

static void test_store_db__errors_of_the_disk__keep_what_was_committed(void **state)
{
    (void) state;
    struct model model = {
        .transactions = 30,
        .faults = {.write_error_ppm = 2000, .sync_error_ppm = 20000},
    };
    sim_seeds(&(pg_sim_config){0}, 60, rounds_script, &model);
    sim_saw("failed", model.failed, 80, 60);
}

static void test_store_db__full_disk__keeps_what_was_committed(void **state)
{
    (void) state;
    struct model model = {.transactions = 60, .faults = {.free_bytes = 600 * 1024}};
    sim_seeds(&(pg_sim_config){0}, 20, rounds_script, &model);
    sim_saw("failed", model.failed, 40, 20);
}

int main(int argc, char **argv)
{
    sim_arguments(argc, argv);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_store_db__power_fails_in_a_job__keeps_what_was_committed),
        cmocka_unit_test(test_store_db__power_fails_early__a_database_is_made_whole_or_not_at_all),
        cmocka_unit_test(test_store_db__power_fails_in_a_checkpoint__keeps_what_was_committed),
        cmocka_unit_test(test_store_db__errors_of_the_disk__keep_what_was_committed),
        cmocka_unit_test(test_store_db__full_disk__keeps_what_was_committed),
        cmocka_unit_test(test_store_db__no_byte_left__removes_all_the_same),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
