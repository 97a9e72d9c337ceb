// SPDX-License-Identifier: Apache-2.0
// Goal: a sealed database keeps what was committed, shows nothing of it in its files, tells a wrong key from damage, follows its
// schema, and hands out statements that check types.
// Method: databases in a temporary folder, whose files are read, damaged and exchanged. Crashes: tests/sim.
#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "../runtime/in_fiber.h"
#include "base/mem.h"
#include "store/db.h"
#include "store/seal.h"
#include "store/stmt.h"

#define SECRET "a most secret phrase"

static char folder[64];
static char path[96];
static char copy_path[96];
static const pg_key key = {.bytes = {1}};
static const pg_key wrong_key = {.bytes = {2}};

static const char *const steps[] = {
    ("CREATE TABLE note (id INTEGER PRIMARY KEY, text TEXT NOT NULL UNIQUE, extra BLOB);"
     "CREATE VIRTUAL TABLE words USING fts5 (text)"),
    "ALTER TABLE note ADD COLUMN size INTEGER; UPDATE note SET size = length(text)",
    "CREATE TABLE broken (id INTEGER PRIMARY KEY); CREATE TABLE note (x)",
};
static const pg_db_schema schema_1 = {steps, 1};
static const pg_db_schema schema_2 = {steps, 2};
static const pg_db_schema schema_broken = {steps, 3};

static pg_db *db_open(const pg_db_schema *schema)
{
    pg_db *db = NULL;
    CHECK_OK(pg_db_open(path, &key, schema, &db));
    return db;
}

// ---- Jobs

static pg_err job_add(pg_db_conn *conn, void *arg)
{
    pg_stmt *stmt = NULL;
    pg_str text = pg_str_make(arg);
    PG_TRY(pg_db_prepare(conn, "INSERT INTO note (text, extra) VALUES (?1, ?2)", &stmt));
    pg_stmt_bind_text(stmt, 1, text);
    pg_stmt_bind_blob(stmt, 2, pg_bytes_cstr(arg));
    PG_TRY(pg_stmt_run(stmt));
    CHECK(pg_db_changes(conn) == 1 && pg_db_last_id(conn) > 0);
    PG_TRY(pg_db_prepare(conn, "INSERT INTO words VALUES (?1)", &stmt));
    pg_stmt_bind_text(stmt, 1, text);
    return pg_stmt_run(stmt);
}

static pg_err job_add_and_fail(pg_db_conn *conn, void *arg)
{
    PG_TRY(job_add(conn, arg));
    return PG_ERR_CLOSED;
}

// Many rows: several pages, a page written twice in a transaction, a checkpoint in between.
static pg_err job_add_many(pg_db_conn *conn, void *arg)
{
    pg_stmt *stmt = NULL;
    static uint8_t bytes[2000];
    int count = *(int *) arg;
    for (int i = 0; i < count; i++) {
        char text[32];
        (void) snprintf(text, sizeof(text), "row %d of %d", i, count);
        PG_TRY(pg_db_prepare(conn, "INSERT INTO note (text, extra) VALUES (?1, ?2)", &stmt));
        pg_stmt_bind_text(stmt, 1, pg_str_make(text));
        pg_stmt_bind_blob(stmt, 2, PG_BYTES_OF(bytes));
        PG_TRY(pg_stmt_run(stmt));
    }
    return PG_OK;
}

static pg_err job_count(pg_db_conn *conn, void *arg)
{
    pg_stmt *stmt = NULL;
    pg_err err = PG_OK;
    PG_TRY(pg_db_prepare(conn, "SELECT count(*) FROM note", &stmt));
    CHECK(pg_stmt_next(stmt, &err));
    *(int64_t *) arg = pg_stmt_i64(stmt, 0);
    return PG_OK; // left in the middle: the transaction's end lets go of it
}

static int64_t count(pg_db *db)
{
    int64_t rows = -1;
    CHECK_OK(pg_db_read(db, job_count, &rows));
    return rows;
}

static void add(pg_db *db, const char *text)
{
    char copy[64];
    (void) snprintf(copy, sizeof(copy), "%s", text);
    CHECK_OK(pg_db_write(db, job_add, copy));
}

static pg_err job_find(pg_db_conn *conn, void *arg)
{
    pg_stmt *stmt = NULL;
    pg_err err = PG_OK;
    PG_TRY(pg_db_prepare(conn, "SELECT rowid FROM words WHERE words MATCH ?1", &stmt));
    pg_stmt_bind_text(stmt, 1, PG_STR("secret"));
    CHECK(pg_stmt_next(stmt, &err));
    CHECK(!pg_stmt_next(stmt, &err) && err == PG_OK);
    (void) arg;
    return PG_OK;
}

// ---- Files

static bool file_contains(const char *name, const char *text)
{
    char file[160];
    (void) snprintf(file, sizeof(file), "%s%s", path, name);
    int fd = open(file, O_RDONLY);
    CHECK(fd >= 0);
    struct stat info;
    CHECK(fstat(fd, &info) == 0);
    char *bytes = malloc((size_t) info.st_size + 1);
    CHECK(bytes != NULL && read(fd, bytes, (size_t) info.st_size) == info.st_size);
    bool found = memmem(bytes, (size_t) info.st_size, text, strlen(text)) != NULL;
    free(bytes);
    (void) close(fd);
    return found;
}

static void overwrite(off_t at, const void *bytes, size_t len)
{
    int fd = open(path, O_RDWR);
    CHECK(fd >= 0 && pwrite(fd, bytes, len, at) == (ssize_t) len);
    (void) close(fd);
}

static void page_move(off_t from, off_t to)
{
    uint8_t page[4096];
    int fd = open(path, O_RDWR);
    CHECK(fd >= 0 && pread(fd, page, sizeof(page), from) == sizeof(page));
    CHECK(pwrite(fd, page, sizeof(page), to) == sizeof(page));
    (void) close(fd);
}

static pg_err body_round_trip(void *arg)
{
    (void) arg;
    pg_db *db = db_open(&schema_1);
    int many = 3000;
    char text[] = "undone";
    CHECK(pg_db_version_before(db) == 0);
    add(db, SECRET);
    CHECK_ERR(pg_db_write(db, job_add_and_fail, text), PG_ERR_CLOSED);
    CHECK(count(db) == 1);
    CHECK(!file_contains("-wal", "secret") && !file_contains("-wal", "CREATE"));
    CHECK_OK(pg_db_write(db, job_add_many, &many));
    CHECK(count(db) == 3001);
    CHECK_OK(pg_db_check(db));
    pg_db_close(&db);
    pg_db_close(&db);
    CHECK(!file_contains("", "secret") && !file_contains("", "CREATE") &&
          !file_contains("", "SQLite"));
    db = db_open(&schema_1);
    CHECK(pg_db_version_before(db) == 1 && count(db) == 3001);
    CHECK_OK(pg_db_read(db, job_find, NULL));
    CHECK_OK(pg_db_check(db));
    pg_db_close(&db);
    return PG_OK;
}

static void test_db__committed__comes_back_and_is_nowhere_in_clear(void **state)
{
    (void) state;
    in_fiber(body_round_trip, NULL);
}

static pg_err body_wrong_key(void *arg)
{
    (void) arg;
    pg_db *db = db_open(&schema_1);
    pg_db *second = NULL;
    CHECK_ERR(pg_db_open(path, &key, &schema_1, &second), PG_ERR_BUSY);
    add(db, "one");
    pg_db_close(&db);
    CHECK_ERR(pg_db_open(path, &wrong_key, &schema_1, &db), PG_ERR_KEY);
    overwrite(23, "\x02", 1);
    CHECK_ERR(pg_db_open(path, &key, &schema_1, &db), PG_ERR_UNSUPPORTED);
    overwrite(23, "\x01", 1);
    overwrite(40, "x", 1);
    CHECK_ERR(pg_db_open(path, &key, &schema_1, &db), PG_ERR_CORRUPT);
    overwrite(0, "SQLite", 6);
    CHECK_ERR(pg_db_open(path, &key, &schema_1, &db), PG_ERR_CORRUPT);
    CHECK(strstr(pg_error_detail(PG_ERR_CORRUPT), path) != NULL);
    CHECK(truncate(path, 0) == 0);
    CHECK_ERR(pg_db_open(path, &key, &schema_1, &db), PG_ERR_CORRUPT);
    CHECK_ERR(pg_db_open("/nowhere/db", &key, &schema_1, &db), PG_ERR_NOT_FOUND);
    return PG_OK;
}

static void test_db__wrong_key_damage_and_second_opener__are_told_apart(void **state)
{
    (void) state;
    in_fiber(body_wrong_key, NULL);
}

static pg_err body_damage(void *arg)
{
    (void) arg;
    int many = 200;
    pg_db *db = db_open(&schema_1);
    CHECK_OK(pg_db_write(db, job_add_many, &many));
    pg_db_close(&db);
    page_move(60 * 4096, 61 * 4096); // a page of ours, in another place
    db = db_open(&schema_1);
    CHECK_ERR(pg_db_check(db), PG_ERR_CORRUPT);
    pg_db_close(&db);
    overwrite(4096 + 200, "damage", 6); // SQLite's first page
    CHECK_ERR(pg_db_open(path, &key, &schema_1, &db), PG_ERR_CORRUPT);
    return PG_OK;
}

static void test_db__damaged_or_moved_pages__are_found(void **state)
{
    (void) state;
    in_fiber(body_damage, NULL);
}

static pg_err body_schema(void *arg)
{
    (void) arg;
    pg_db *db = db_open(&schema_1);
    int64_t rows = 0;
    add(db, "one");
    pg_db_close(&db);
    db = db_open(&schema_2);
    CHECK(pg_db_version_before(db) == 1 && count(db) == 1);
    pg_db_close(&db);
    db = db_open(NULL); // as it is
    CHECK(pg_db_version_before(db) == 2 && count(db) == 1);
    CHECK_OK(pg_db_check(db));
    pg_db_close(&db);
    CHECK_ERR(pg_db_open(path, &key, &schema_1, &db), PG_ERR_UNSUPPORTED);
    CHECK(strstr(pg_error_detail(PG_ERR_UNSUPPORTED), "version 2") != NULL);
    // A step that fails leaves the version before it, whole.
    CHECK_ERR(pg_db_open(path, &key, &schema_broken, &db), PG_ERR_INVALID);
    CHECK(strstr(pg_error_detail(PG_ERR_INVALID), "version 3") != NULL);
    db = db_open(&schema_2);
    CHECK_OK(pg_db_read(db, job_count, &rows));
    CHECK(rows == 1);
    CHECK_OK(pg_db_check(db));
    pg_db_close(&db);
    return PG_OK;
}

static void test_db__schema__goes_forward_step_by_step(void **state)
{
    (void) state;
    in_fiber(body_schema, NULL);
}

static bool exists(const char *end)
{
    char name[128];
    (void) snprintf(name, sizeof(name), "%s%s", path, end);
    return access(name, F_OK) == 0;
}

static void copy_damage(const char *end)
{
    char name[128];
    (void) snprintf(name, sizeof(name), "%s%s", path, end);
    int fd = open(name, O_WRONLY);
    CHECK(fd >= 0 && pwrite(fd, "damage", 6, 4096 + 100) == 6);
    (void) close(fd);
}

static pg_err body_way_back(void *arg)
{
    (void) arg;
    pg_db *db = db_open(&schema_1);
    uint32_t found = 9;
    uint32_t before = 0;
    CHECK(!exists(".v0") && !exists(".v1")); // there was nothing before
    add(db, SECRET);
    pg_db_close(&db);
    CHECK_OK(pg_db_copy_find(path, 100, &found));
    CHECK(found == 0);
    db = db_open(&schema_2);
    CHECK(pg_db_version(db) == 2 && exists(".v1") && !exists(".v1-wal") &&
          !file_contains(".v1", "secret"));
    add(db, "after");
    pg_db_close(&db);
    db = db_open(&schema_2); // and stays a while
    pg_db_close(&db);
    CHECK_OK(pg_db_copy_find(path, 100, &found));
    CHECK(found == 1);
    // The older program says what to do, and goes back.
    CHECK_ERR(pg_db_open(path, &key, &schema_1, &db), PG_ERR_UNSUPPORTED);
    CHECK(strstr(pg_error_detail(PG_ERR_UNSUPPORTED), "pangea downgrade") != NULL);
    CHECK_ERR(pg_db_go_back(path, &key, 7, &before), PG_ERR_NOT_FOUND);
    CHECK_ERR(pg_db_go_back(path, &wrong_key, 1, &before), PG_ERR_KEY);
    CHECK_OK(pg_db_go_back(path, &key, 1, &before));
    CHECK(before == 2 && exists(".v2") && !exists(".v1"));
    db = db_open(&schema_1);
    CHECK(count(db) == 1);
    add(db, "back");
    add(db, "and on");
    pg_db_close(&db);
    // Forward once more: from where it is now, not from an old copy.
    db = db_open(&schema_2);
    CHECK(count(db) == 3 && exists(".v1"));
    pg_db_close(&db);
    CHECK_OK(pg_db_go_back(path, &key, 1, &before));
    db = db_open(&schema_1);
    CHECK(count(db) == 3);
    pg_db_close(&db);
    // A damaged copy is not gone back to.
    db = db_open(&schema_2);
    pg_db_close(&db);
    copy_damage(".v1");
    CHECK_ERR(pg_db_go_back(path, &key, 1, &before), PG_ERR_CORRUPT);
    db = db_open(&schema_2);
    CHECK(count(db) == 3);
    pg_db_close(&db);
    return PG_OK;
}

static void test_db__new_version__keeps_a_copy_to_go_back_to(void **state)
{
    (void) state;
    in_fiber(body_way_back, NULL);
}

static pg_err body_old_copies(void *arg)
{
    (void) arg;
    char name[128];
    pg_db *db = db_open(&schema_1);
    pg_db_close(&db);
    db = db_open(&schema_2);
    pg_db_close(&db);
    (void) snprintf(name, sizeof(name), "%s.v1", path);
    time_t now = time(NULL);
    const struct timespec young[2] = {{.tv_sec = now - 29 * 86400}, {.tv_sec = now - 29 * 86400}};
    const struct timespec old[2] = {{.tv_sec = now - 31 * 86400}, {.tv_sec = now - 31 * 86400}};
    CHECK(utimensat(AT_FDCWD, name, young, 0) == 0);
    db = db_open(&schema_2);
    pg_db_close(&db);
    CHECK(exists(".v1"));
    CHECK(utimensat(AT_FDCWD, name, old, 0) == 0);
    db = db_open(&schema_2);
    pg_db_close(&db);
    CHECK(!exists(".v1"));
    return PG_OK;
}

static void test_db__copy_nobody_wants__goes_after_a_month(void **state)
{
    (void) state;
    in_fiber(body_old_copies, NULL);
}

// ---- Statements

static pg_err job_types(pg_db_conn *conn, void *arg)
{
    pg_stmt *stmt = NULL;
    pg_err err = PG_OK;
    (void) arg;
    PG_TRY(pg_db_prepare(conn, "SELECT 7, 'text', x'0102', NULL, ?1, ?2, ?3", &stmt));
    pg_stmt_bind_null(stmt, 1);
    pg_stmt_bind_text(stmt, 2, pg_str_make(NULL));
    pg_stmt_bind_blob(stmt, 3, PG_BYTES_EMPTY);
    CHECK(pg_stmt_next(stmt, &err));
    CHECK(pg_stmt_i64(stmt, 0) == 7 && pg_str_equal(pg_stmt_text(stmt, 1), PG_STR("text")));
    CHECK(pg_bytes_equal(pg_stmt_blob(stmt, 2), PG_BYTES_LIT("\x01\x02")));
    CHECK(pg_stmt_is_null(stmt, 3) && pg_stmt_is_null(stmt, 4) && !pg_stmt_is_null(stmt, 5));
    CHECK(pg_stmt_i64(stmt, 3) == 0 && pg_stmt_text(stmt, 3).len == 0);
    CHECK(pg_stmt_blob(stmt, 3).len == 0 && pg_stmt_blob(stmt, 6).len == 0);
    CHECK(!pg_stmt_next(stmt, &err) && err == PG_OK);
    CHECK(pg_stmt_next(stmt, &err)); // from the beginning again
    CHECK(pg_stmt_text(stmt, 0).len == 0 && pg_stmt_i64(stmt, 1) == 0);
    CHECK(!pg_stmt_next(stmt, &err) && err == PG_ERR_CORRUPT);
    pg_stmt_bind_i64(stmt, 9, 1);
    CHECK(pg_stmt_run(stmt) == PG_ERR_INVALID);
    CHECK(pg_db_prepare(conn, "SELECT 1; SELECT 2", &stmt) == PG_ERR_INVALID);
    CHECK(pg_db_prepare(conn, "", &stmt) == PG_ERR_INVALID);
    CHECK(pg_db_prepare(conn, "SELECT nonsense FROM nowhere", &stmt) == PG_ERR_INVALID);
    CHECK(pg_db_prepare(conn, "DELETE FROM note", &stmt) == PG_ERR_INVALID);
    return PG_OK;
}

static pg_err job_too_short(pg_db_conn *conn, void *arg)
{
    pg_stmt *stmt = NULL;
    (void) arg;
    PG_TRY(pg_db_prepare(conn, "INSERT INTO note (text) VALUES (?1)", &stmt));
    return pg_stmt_run(stmt); // NULL where there must be a value
}

// One statement that changes more than a statement journal keeps in memory by default, and then fails.
static pg_err job_big_statement(pg_db_conn *conn, void *arg)
{
    pg_stmt *stmt = NULL;
    (void) arg;
    PG_TRY(pg_db_prepare(conn,
                         "UPDATE note SET extra = zeroblob(1000),"
                         " text = CASE WHEN id < 2900 THEN text || 'x' ELSE 'same' END",
                         &stmt));
    CHECK(pg_stmt_run(stmt) == PG_ERR_EXISTS);
    return PG_OK;
}

static pg_err body_statements(void *arg)
{
    (void) arg;
    int many = 3000;
    char text[] = "one";
    pg_db *db = db_open(&schema_1);
    CHECK_OK(pg_db_read(db, job_types, NULL));
    CHECK_OK(pg_db_write(db, job_add, text));
    CHECK_ERR(pg_db_write(db, job_add, text), PG_ERR_EXISTS);
    CHECK_ERR(pg_db_write(db, job_too_short, text), PG_ERR_INVALID);
    CHECK_OK(pg_db_write(db, job_add_many, &many));
    CHECK_OK(pg_db_write(db, job_big_statement, NULL));
    CHECK(count(db) == 3001);
    CHECK_OK(pg_db_check(db));
    pg_db_close(&db);
    return PG_OK;
}

static void test_db__statements__check_types_and_constraints(void **state)
{
    (void) state;
    in_fiber(body_statements, NULL);
}

static pg_err body_backup(void *arg)
{
    (void) arg;
    int many = 500;
    pg_db *db = db_open(&schema_2);
    pg_db *copy = NULL;
    CHECK_OK(pg_db_write(db, job_add_many, &many));
    CHECK_OK(pg_db_backup(db, copy_path, &wrong_key));
    CHECK_ERR(pg_db_backup(db, copy_path, &wrong_key), PG_ERR_EXISTS);
    CHECK_ERR(pg_db_backup(db, "/nowhere/copy", &key), PG_ERR_NOT_FOUND);
    add(db, "later");
    CHECK_ERR(pg_db_open(copy_path, &key, &schema_2, &copy), PG_ERR_KEY);
    CHECK_OK(pg_db_open(copy_path, &wrong_key, &schema_2, &copy));
    CHECK(pg_db_version_before(copy) == 2 && count(copy) == 500 && count(db) == 501);
    add(copy, "own");
    CHECK_OK(pg_db_check(copy));
    pg_db_close(&copy);
    pg_db_close(&db);
    return PG_OK;
}

static void test_db__backup__is_a_database_of_its_own(void **state)
{
    (void) state;
    in_fiber(body_backup, NULL);
}

static pg_err body_no_memory(void *arg)
{
    (void) arg;
    for (uint64_t nth = 1;; nth++) {
        pg_db *db = NULL;
        pg_mem_fail_nth(nth);
        pg_err err = pg_db_open(path, &key, &schema_1, &db);
        bool failed = pg_mem_failed();
        pg_mem_fail_nth(0);
        CHECK(err == PG_OK || (failed && err == PG_ERR_NOMEM));
        pg_db_close(&db);
        if (!failed) {
            return PG_OK;
        }
    }
}

static void test_db__no_memory__fails_and_frees(void **state)
{
    (void) state;
    in_fiber(body_no_memory, NULL);
}

// ---- Seals

static void test_seal__page_and_frame__open_only_where_they_were_sealed(void **state)
{
    (void) state;
    uint8_t salt[PG_SEAL_SALT_BYTES] = {3};
    uint8_t head[PG_SEAL_PAGE_BYTES];
    uint8_t page[PG_SEAL_PAGE_BYTES] = "content";
    uint8_t sealed[PG_SEAL_PAGE_BYTES];
    uint8_t frame[PG_SEAL_FRAME_BYTES] = {1, 2, 3, 4, 5, 6, 7, 8, 9};
    pg_seal_keys keys;
    pg_seal_keys again;
    pg_seal_head_encode(&key, salt, head, &keys);
    assert_int_equal(pg_seal_head_decode(&key, PG_BYTES_OF(head), &again), PG_OK);
    assert_memory_equal(&keys, &again, sizeof(keys));
    assert_int_equal(pg_seal_page(&keys, 5, page, sealed), PG_OK);
    assert_int_equal(pg_seal_page_open(&keys, 6, sealed), PG_ERR_AUTH);
    assert_int_equal(pg_seal_page(&keys, 5, page, sealed), PG_OK);
    assert_int_equal(pg_seal_page_open(&keys, 5, sealed), PG_OK);
    assert_memory_equal(page, sealed, sizeof(page));
    page[PG_SEAL_PAGE_BYTES - 1] = 1;
    assert_int_equal(pg_seal_page(&keys, 5, page, sealed), PG_ERR_INVALID);
    assert_int_equal(pg_seal_frame(&keys, 2, frame), PG_OK);
    assert_int_equal(frame[0], 1); // page number and commit mark stay readable
    assert_int_equal(pg_seal_frame_open(&keys, 3, frame), PG_ERR_AUTH);
    frame[0] ^= 1;
    assert_int_equal(pg_seal_frame_open(&keys, 2, frame), PG_ERR_AUTH);
    frame[0] ^= 1;
    assert_int_equal(pg_seal_frame_open(&keys, 2, frame), PG_OK);
    assert_int_equal(frame[8], 9);
    frame[PG_SEAL_FRAME_BYTES - 1] = 1;
    assert_int_equal(pg_seal_frame(&keys, 2, frame), PG_ERR_INVALID);
}

static int folder_make(void **state)
{
    (void) state;
    (void) snprintf(folder, sizeof(folder), "/tmp/pangea-db-XXXXXX");
    if (mkdtemp(folder) == NULL) {
        return -1;
    }
    (void) snprintf(path, sizeof(path), "%s/db", folder);
    (void) snprintf(copy_path, sizeof(copy_path), "%s/copy", folder);
    return 0;
}

static int folder_remove(void **state)
{
    (void) state;
    DIR *dir = opendir(folder);
    for (struct dirent *entry = readdir(dir); entry != NULL; entry = readdir(dir)) {
        (void) unlinkat(dirfd(dir), entry->d_name, 0);
    }
    (void) closedir(dir);
    return rmdir(folder);
}

#define IN_FOLDER(name) cmocka_unit_test_setup_teardown(name, folder_make, folder_remove)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_FOLDER(test_db__committed__comes_back_and_is_nowhere_in_clear),
        IN_FOLDER(test_db__wrong_key_damage_and_second_opener__are_told_apart),
        IN_FOLDER(test_db__damaged_or_moved_pages__are_found),
        IN_FOLDER(test_db__schema__goes_forward_step_by_step),
        IN_FOLDER(test_db__new_version__keeps_a_copy_to_go_back_to),
        IN_FOLDER(test_db__copy_nobody_wants__goes_after_a_month),
        IN_FOLDER(test_db__statements__check_types_and_constraints),
        IN_FOLDER(test_db__backup__is_a_database_of_its_own),
        IN_FOLDER(test_db__no_memory__fails_and_frees),
        cmocka_unit_test(test_seal__page_and_frame__open_only_where_they_were_sealed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
