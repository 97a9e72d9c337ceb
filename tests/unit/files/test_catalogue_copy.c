// SPDX-License-Identifier: Apache-2.0
// Goal: a catalogue of any length goes out as a snapshot and comes into another database in bounded memory, in transactions that are short;
//       what is on one node only stays out; a way in that was broken off is harmless, and is gone on with.
// Method: real sealed databases in a temporary folder. Rows of files and pins with long names are put into one by SQL: 20 MB of a snapshot, with
//       `--large` (suite "slow") 85 MB. Memory is the most that the process ever had, as the kernel counts it.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "../runtime/in_fiber.h"
#include "base/mem.h"
#include "crypto/hash.h"
#include "files/catalogue.h"
#include "files/catalogue_export.h"
#include "files/catalogue_import.h"
#include "files/limits.h"
#include "snapshot_tools.h"
#include "store/stmt.h"

#define FILES 10000 // and four pins to each; five times as many when large

static unsigned times = 1;

static char folder[64];
static const pg_key key = {.bytes = {9}};

static pg_db *db_open(const char *name)
{
    static const char *steps[7];
    char path[96];
    steps[0] = pg_files_schema_1;
    steps[1] = pg_files_schema_2;
    steps[2] = pg_files_schema_3;
    steps[3] = pg_files_schema_4;
    steps[4] = pg_files_schema_5;
    steps[5] = pg_files_schema_6;
    steps[6] = pg_files_schema_7;
    const pg_db_schema schema = {steps, PG_ARRAY_LEN(steps)};
    pg_db *db = NULL;
    (void) snprintf(path, sizeof(path), "%s/%s", folder, name);
    CHECK_OK(pg_db_open(path, &key, &schema, &db));
    return db;
}

// ---- A large catalogue

static void id_make(uint8_t out_id[32], uint32_t number, uint32_t what)
{
    const uint32_t words[] = {number, what};
    pg_sha256(pg_bytes_make((const uint8_t *) words, sizeof(words)), out_id);
}

static pg_bytes long_name(void)
{
    static uint8_t name[PG_NAME_BYTES_MAX];
    memset(name, 'n', sizeof(name));
    return PG_BYTES_OF(name);
}

static pg_err file_row(pg_db_conn *conn, uint32_t number, const pg_cid *root)
{
    pg_stmt *stmt = NULL;
    uint8_t secret[32];
    id_make(secret, number, 1);
    PG_TRY(pg_db_prepare(conn,
                         "INSERT INTO file (id, state, root, key, name, kind, data, parity, size,"
                         " packed, stored, extents, segments, put_ms, ttl_s) VALUES"
                         " (?1, 2, ?2, ?3, ?4, 0, 8, 2, 5, 5, 5, 0, 0, 7, 0)",
                         &stmt));
    pg_stmt_bind_i64(stmt, 1, number);
    pg_stmt_bind_blob(stmt, 2, pg_cid_bytes(root));
    pg_stmt_bind_blob(stmt, 3, PG_BYTES_OF(secret));
    pg_stmt_bind_blob(stmt, 4, long_name());
    return pg_stmt_run(stmt);
}

static pg_err extent_row(pg_db_conn *conn, uint32_t number, const pg_cid *root)
{
    pg_stmt *stmt = NULL;
    pg_peer_id peer = {.len = 34, .bytes = {0x12, 32, (uint8_t) number}};
    PG_TRY(pg_db_prepare(conn,
                         "INSERT INTO file_extent (id, file, descriptor, extent_id, root, whole,"
                         " data, parity, slot_bytes, sequence, expiry_s, local) VALUES"
                         " (?1, ?1, ?2, ?3, NULL, 1, 8, 2, 100, 1, 5000, 0)",
                         &stmt));
    pg_stmt_bind_i64(stmt, 1, number);
    pg_stmt_bind_blob(stmt, 2, pg_cid_bytes(root));
    pg_stmt_bind_blob(stmt, 3, pg_bytes_make(root->bytes + 4, PG_EXTENT_ID_BYTES));
    PG_TRY(pg_stmt_run(stmt));
    PG_TRY(pg_db_prepare(conn, "INSERT INTO file_holder VALUES (?1, ?2, 1, 100, 0)", &stmt));
    pg_stmt_bind_i64(stmt, 1, number);
    pg_stmt_bind_blob(stmt, 2, pg_peer_id_bytes(&peer));
    return pg_stmt_run(stmt);
}

/** Some rows. */
typedef struct rows_job {
    uint32_t from;
    uint32_t to;
} rows_job;

static pg_err rows_run(pg_db_conn *conn, void *arg)
{
    const rows_job *job = arg;
    for (uint32_t i = job->from; i < job->to; i++) {
        uint8_t digest[32];
        id_make(digest, i, 0);
        const pg_cid root = pg_block_cid_of_digest(digest);
        PG_TRY(file_row(conn, i, &root));
        PG_TRY(extent_row(conn, i, &root));
    }
    return PG_OK;
}

static pg_err pins_run(pg_db_conn *conn, void *arg)
{
    const rows_job *job = arg;
    for (uint32_t i = job->from; i < job->to; i++) {
        pg_stmt *stmt = NULL;
        uint8_t digest[32];
        id_make(digest, i, 2);
        const pg_cid root = pg_block_cid_of_digest(digest);
        PG_TRY(
            pg_db_prepare(conn, "INSERT INTO catalogue_pin VALUES (?1, 5, ?2, ?3, 0, 7)", &stmt));
        pg_stmt_bind_blob(stmt, 1, pg_cid_bytes(&root));
        pg_stmt_bind_blob(stmt, 2, PG_BYTES_OF(digest));
        pg_stmt_bind_blob(stmt, 3, long_name());
        PG_TRY(pg_stmt_run(stmt));
    }
    return PG_OK;
}

static void pins_make(pg_db *db, uint32_t count)
{
    for (uint32_t i = 0; i < count; i += 1000) {
        rows_job job = {i, i + 1000};
        CHECK_OK(pg_db_write(db, pins_run, &job));
    }
}

static void rows_make(pg_db *db, uint32_t count)
{
    for (uint32_t i = 0; i < count; i += 1000) {
        rows_job job = {i + 1, (i + 1000 < count ? i + 1000 : count) + 1};
        CHECK_OK(pg_db_write(db, rows_run, &job));
    }
}

static long memory_most_kib(void)
{
    struct rusage usage;
    CHECK(getrusage(RUSAGE_SELF, &usage) == 0);
    return usage.ru_maxrss;
}

static uint64_t files_count(pg_db *db)
{
    pg_catalogue_sums sums;
    CHECK_OK(pg_catalogue_counts(db, &sums));
    CHECK(sums.files[PG_FILE_STATE_PENDING] == 0);
    return sums.files[PG_FILE_STATE_PARTIAL] + sums.files[PG_FILE_STATE_COMPLETE];
}

/** Read a catalogue to its end, into another database, into a decoder, or for its digest alone. */
static uint64_t drain(pg_db *db, pg_db *into, pg_import *import, pg_snapshot_decoder *check,
                      uint8_t out_digest[PG_HASH_BYTES])
{
    static uint8_t space[1U << 20];
    pg_export export;
    size_t len = sizeof(space);
    CHECK_OK(pg_export_init(&export, db, PG_SNAPSHOT_BYTES_MAX));
    while (len == sizeof(space)) {
        CHECK_OK(pg_export_read(PG_MUT_BYTES_OF(space), PG_FOREVER, &len, &export));
        pg_bytes part = pg_bytes_make(space, len);
        if (import != NULL) {
            CHECK_OK(pg_import_part(import, into, part));
        }
        if (check != NULL) {
            CHECK_OK(pg_snapshot_decode(check, part));
        }
    }
    uint64_t bytes = export.bytes;
    pg_export_digest(&export, out_digest);
    pg_export_deinit(&export);
    return bytes;
}

static pg_err large_run(void *arg)
{
    (void) arg;
    uint8_t before[PG_HASH_BYTES];
    uint8_t after[PG_HASH_BYTES];
    pg_snapshot_decoder check;
    pg_import import;
    pg_db *db = db_open("large");
    pg_db *into = db_open("restored");
    rows_make(db, times * FILES);
    pins_make(db, times * FILES * 4);
    rows_make(into, 1000);             // it has some of them
    long most_kib = memory_most_kib(); // with what the database itself takes
    pg_snapshot_decoder_init(&check, NULL);
    uint64_t bytes = drain(db, NULL, NULL, &check, before);
    CHECK_OK(pg_snapshot_decode_end(&check));
    pg_snapshot_decoder_deinit(&check);
    CHECK(bytes > times * UINT64_C(18000000));
    pg_import_init(&import, false);
    CHECK(drain(db, into, &import, NULL, after) == bytes);
    CHECK_OK(pg_import_end(&import));
    CHECK(import.changed == times * FILES * 5 - 1000 && files_count(into) == times * FILES);
    pg_import_deinit(&import);
    CHECK(memcmp(before, after, sizeof(before)) == 0);
    CHECK(drain(into, NULL, NULL, NULL, after) == bytes);
    CHECK(memcmp(before, after, sizeof(before)) == 0); // it says the same again
    long more_kib = memory_most_kib() - most_kib;
    (void) fprintf(stderr, "%llu bytes, %ld KiB more memory\n", (unsigned long long) bytes,
                   more_kib);
#ifndef PG_WITH_ASAN // which keeps what was freed
    CHECK(more_kib < 6L * 1024);
#endif
    pg_db_close(&db);
    pg_db_close(&into);
    return PG_OK;
}

static void test_catalogue_copy__any_length__in_bounded_memory(void **state)
{
    (void) state;
    in_fiber(large_run, NULL);
}

// ---- Broken off

static pg_err broken_run(void *arg)
{
    (void) arg;
    uint8_t digest[PG_HASH_BYTES];
    uint8_t again[PG_HASH_BYTES];
    pg_import import;
    pg_db *db = db_open("from");
    pg_db *into = db_open("into");
    rows_make(db, 4000);
    pg_buf snapshot = snapshot_of(db);
    CHECK(snapshot.len > 3 * PG_SNAPSHOT_STEP_BYTES);
    pg_import_init(&import, false);
    CHECK_OK(pg_import_part(&import, into, pg_bytes_make(snapshot.ptr, snapshot.len / 2)));
    CHECK(pg_import_end(&import) == PG_ERR_TRUNCATED);
    pg_import_deinit(&import);
    pg_db_close(&into); // and the node ends
    into = db_open("into");
    uint64_t came = files_count(into);
    CHECK(came > 1000 && came < 3000);
    CHECK(snapshot_take(into, pg_buf_bytes(&snapshot), false, NULL) == 4000 - came);
    CHECK(snapshot_take(into, pg_buf_bytes(&snapshot), false, NULL) == 0);
    (void) drain(db, NULL, NULL, NULL, digest);
    (void) drain(into, NULL, NULL, NULL, again);
    CHECK(memcmp(digest, again, sizeof(digest)) == 0);
    pg_buf_deinit(&snapshot);
    pg_db_close(&db);
    pg_db_close(&into);
    return PG_OK;
}

static void test_catalogue_copy__broken_off__is_gone_on_with(void **state)
{
    (void) state;
    in_fiber(broken_run, NULL);
}

// ---- What goes out

static pg_err too_large_run(void *arg)
{
    (void) arg;
    uint8_t space[8192];
    size_t len = 0;
    pg_export export;
    pg_db *db = db_open("db");
    rows_make(db, 10);
    pg_buf snapshot = snapshot_of(db);
    for (uint64_t most = snapshot.len - 1; most <= snapshot.len; most++) {
        CHECK_OK(pg_export_init(&export, db, most));
        pg_err err = pg_export_read(PG_MUT_BYTES_OF(space), PG_FOREVER, &len, &export);
        CHECK(err == (most < snapshot.len ? PG_ERR_LIMIT : PG_OK));
        CHECK(export.is_too_large == (err != PG_OK));
        pg_export_deinit(&export);
    }
    pg_buf_deinit(&snapshot);
    pg_db_close(&db);
    return PG_OK;
}

static void test_catalogue_copy__one_byte_too_large__is_refused(void **state)
{
    (void) state;
    in_fiber(too_large_run, NULL);
}

static pg_err unplaced_job(pg_db_conn *conn, void *arg)
{
    (void) arg;
    pg_stmt *stmt = NULL;
    PG_TRY(pg_db_prepare(conn, "DELETE FROM file_holder WHERE extent IN (1, 2, 10)", &stmt));
    return pg_stmt_run(stmt);
}

static pg_err left_out_run(void *arg)
{
    (void) arg;
    pg_db *db = db_open("db");
    pg_db *into = db_open("into");
    rows_make(db, 10);
    CHECK_OK(pg_db_write(db, unplaced_job, NULL));
    pg_buf snapshot = snapshot_of(db);
    CHECK(snapshot_take(into, pg_buf_bytes(&snapshot), false, NULL) == 7);
    pg_buf_deinit(&snapshot);
    pg_db_close(&db);
    pg_db_close(&into);
    return PG_OK;
}

static void test_catalogue_copy__files_that_no_host_has__are_left_out(void **state)
{
    (void) state;
    in_fiber(left_out_run, NULL);
}

// ---- Set-up

static int folder_make(void **state)
{
    (void) state;
    (void) snprintf(folder, sizeof(folder), "/tmp/pangea-copy-XXXXXX");
    return mkdtemp(folder) == NULL ? -1 : 0;
}

static int folder_remove(void **state)
{
    (void) state;
    static const char *const names[] = {"large", "restored", "from", "into", "db"};
    static const char *const ends[] = {"", "-wal", "-shm", "-journal"};
    for (size_t i = 0; i < PG_ARRAY_LEN(names) * PG_ARRAY_LEN(ends); i++) {
        char path[128];
        (void) snprintf(path, sizeof(path), "%s/%s%s", folder, names[i % PG_ARRAY_LEN(names)],
                        ends[i / PG_ARRAY_LEN(names)]);
        (void) unlink(path);
    }
    return rmdir(folder);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, folder_make, folder_remove)

int main(int argc, char **argv)
{
    times = argc == 2 && strcmp(argv[1], "--large") == 0 ? 5 : 1;
    const struct CMUnitTest tests[] = {
        TEST(test_catalogue_copy__any_length__in_bounded_memory),
        TEST(test_catalogue_copy__broken_off__is_gone_on_with),
        TEST(test_catalogue_copy__one_byte_too_large__is_refused),
        TEST(test_catalogue_copy__files_that_no_host_has__are_left_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
