// SPDX-License-Identifier: Apache-2.0
// Goal: what a machine synced survives every crash, what it did not may be gone, torn or undone, and disks fail as told.
// Method: programs on a simulated machine, crashed at random times and looked at by a second program, over many seeds.
#include "base/bytes.h"
#include "base/mem.h"
#include "base/str.h"
#include "runtime/file.h"
#include "runtime/offload.h"
#include "runtime/sim_world_priv.h"
#include "sim_test.h"

#define WRITE_NEW (PG_FILE_MODE_WRITE | PG_FILE_MODE_CREATE)

/** What a script shares with the programs on its machine. */
struct bench {
    pg_sim_machine *machine;
    uint32_t acknowledged; // by the program before the crash
    uint32_t found;        // by the program after it
    pg_sim_crash_counts counts;
};

static pg_err run_program(struct bench *bench, pg_fiber_fn fn)
{
    PG_TRY(pg_sim_machine_start(bench->machine, "test.program", fn, bench));
    return pg_sim_machine_join(bench->machine, PG_FOREVER);
}

static pg_err crash_within(struct bench *bench, pg_fiber_fn fn, int64_t within_ns)
{
    PG_TRY(pg_sim_machine_start(bench->machine, "test.program", fn, bench));
    PG_TRY(pg_sleep_until(pg_after((int64_t) pg_sim_random_below((uint64_t) within_ns))));
    pg_sim_machine_crash(bench->machine);
    return PG_OK;
}

static pg_err write_file(const char *path, pg_bytes bytes, bool sync)
{
    pg_file *file = NULL;
    PG_TRY(pg_file_open(path, WRITE_NEW, &file));
    pg_err err = pg_file_write_at(file, 0, bytes);
    if (err == PG_OK && sync) {
        err = pg_file_sync(file);
    }
    pg_file_free(&file);
    return err;
}

static pg_err expect_file(const char *path, pg_bytes bytes)
{
    pg_buf buf = {0};
    pg_err err = pg_file_load(path, 100000, &buf);
    bool equal = pg_bytes_equal(pg_buf_bytes(&buf), bytes);
    pg_buf_deinit(&buf);
    PG_TRY(err);
    SIM_CHECK(equal);
    return PG_OK;
}

// ---- Names and content without faults

static pg_err names_append(const char *name, void *user)
{
    return pg_buf_printf(user, "%s,", name);
}

static pg_err list_folder(const char *path, char *out_text, size_t size)
{
    pg_buf names = {0};
    pg_err err = pg_dir_each(path, names_append, &names);
    if (err == PG_OK) {
        (void) snprintf(out_text, size, "%.*s", PG_STR_ARGS(pg_buf_str(&names)));
    }
    pg_buf_deinit(&names);
    return err;
}

static pg_err names_program(void *arg)
{
    (void) arg;
    char names[64];
    pg_file_info info;
    pg_file *file = NULL;
    PG_TRY(pg_dir_make("/a"));
    PG_TRY(pg_dir_make("/a/b"));
    SIM_CHECK(pg_dir_make("/a") == PG_ERR_EXISTS);
    SIM_CHECK(pg_dir_make("/x/y") == PG_ERR_NOT_FOUND);
    PG_TRY(write_file("a/b/two", PG_BYTES_LIT("2"), true));
    PG_TRY(write_file("/a/b/./one", PG_BYTES_LIT("1"), true));
    PG_TRY(list_folder("/a//b/", names, sizeof(names)));
    SIM_CHECK(strcmp(names, "one,two,") == 0);
    SIM_CHECK(pg_dir_remove("/a/b") == PG_ERR_BUSY);
    SIM_CHECK(pg_dir_remove("/") == PG_ERR_ACCESS);
    SIM_CHECK(pg_path_remove("/a/b") == PG_ERR_ACCESS);
    SIM_CHECK(pg_path_remove("/a/none") == PG_ERR_NOT_FOUND);
    SIM_CHECK(pg_dir_sync("/a/b/one") == PG_ERR_NOT_FOUND);
    SIM_CHECK(pg_path_rename("/a", "/a/b/c") == PG_ERR_INVALID);
    SIM_CHECK(pg_path_rename("/", "/c") == PG_ERR_INVALID);
    SIM_CHECK(pg_path_rename("/none", "/c") == PG_ERR_NOT_FOUND);
    SIM_CHECK(pg_path_rename("/a/b/one", "/a") == PG_ERR_EXISTS);
    PG_TRY(pg_path_rename("/a/b/one", "/a/b/one"));
    PG_TRY(pg_path_rename("/a/b/one", "/a/b/two"));
    PG_TRY(expect_file("/a/b/two", PG_BYTES_LIT("1")));
    PG_TRY(pg_path_rename("/a/b", "/c"));
    PG_TRY(pg_path_stat("/c", &info));
    SIM_CHECK(info.type == PG_FILE_TYPE_FOLDER && info.permissions == 0700);
    PG_TRY(pg_path_stat("/c/two", &info));
    SIM_CHECK(info.type == PG_FILE_TYPE_REGULAR && info.size_bytes == 1 && info.inode != 0);
    SIM_CHECK(info.allocated_bytes == 4096 && info.permissions == 0600);
    SIM_CHECK(info.modified_ms >= INT64_C(1767225600000));
    SIM_CHECK(pg_file_open("/c", PG_FILE_MODE_READ, &file) == PG_ERR_IO);
    SIM_CHECK(pg_file_open("/d", PG_FILE_MODE_READ, &file) == PG_ERR_NOT_FOUND);
    SIM_CHECK(pg_file_open("/c/two", WRITE_NEW | PG_FILE_MODE_EXCLUSIVE, &file) == PG_ERR_EXISTS);
    PG_TRY(pg_path_remove("/c/two"));
    PG_TRY(pg_dir_remove("/c"));
    PG_TRY(pg_dir_remove("/a"));
    PG_TRY(list_folder("/", names, sizeof(names)));
    SIM_CHECK(names[0] == '\0');
    return PG_OK;
}

static pg_err one_program_script(void *arg)
{
    struct bench bench = {0};
    PG_TRY(pg_sim_machine_new(&bench.machine));
    return run_program(&bench, *(pg_fiber_fn *) arg);
}

static void test_disk__names__are_made_listed_renamed_and_removed(void **state)
{
    (void) state;
    pg_fiber_fn fn = names_program;
    sim_seeds(&(pg_sim_config){.seed = 1}, 2, one_program_script, &fn);
}

static pg_err long_names_program(void *arg)
{
    (void) arg;
    char path[5001];
    pg_file *file = NULL;
    memset(path, 'x', sizeof(path) - 1);
    path[sizeof(path) - 1] = '\0';
    SIM_CHECK(pg_file_open(path, WRITE_NEW, &file) == PG_ERR_LIMIT);
    path[256] = '\0';
    SIM_CHECK(pg_file_open(path, WRITE_NEW, &file) == PG_ERR_LIMIT);
    path[255] = '\0';
    return write_file(path, PG_BYTES_LIT("x"), false);
}

static void test_disk__long_paths_and_names__are_refused(void **state)
{
    (void) state;
    pg_fiber_fn fn = long_names_program;
    sim_seeds(&(pg_sim_config){.seed = 1}, 1, one_program_script, &fn);
}

static pg_err open_file_try(pg_file *file, pg_file *second)
{
    pg_file_info info;
    uint8_t space[10];
    size_t len = 0;
    PG_TRY(pg_file_lock(file));
    PG_TRY(pg_file_lock(file));
    SIM_CHECK(pg_file_lock(second) == PG_ERR_BUSY);
    SIM_CHECK(pg_file_write_at(second, 0, PG_BYTES_LIT("x")) != PG_OK);
    PG_TRY(pg_file_write_at(file, 100000, PG_BYTES_LIT("end")));
    PG_TRY(pg_file_stat(file, &info));
    SIM_CHECK(info.size_bytes == 100003 && info.allocated_bytes == 4096);
    PG_TRY(pg_file_read_at(second, 99999, PG_MUT_BYTES_OF(space), &len));
    SIM_CHECK(len == 4 && memcmp(space, "\0end", 4) == 0);
    PG_TRY(pg_file_punch(file, 0, 200000));
    PG_TRY(pg_file_stat(file, &info));
    SIM_CHECK(info.size_bytes == 100003 && info.allocated_bytes == 0);
    PG_TRY(pg_file_truncate(file, 5));
    PG_TRY(pg_file_read_at(second, 0, PG_MUT_BYTES_OF(space), &len));
    SIM_CHECK(len == 5);
    SIM_CHECK(pg_file_truncate(file, UINT64_MAX) == PG_ERR_FULL);
    SIM_CHECK(pg_file_write_at(file, UINT64_MAX - 5, PG_BYTES_LIT("x")) == PG_ERR_FULL);
    PG_TRY(pg_path_remove("/file")); // open files stay
    PG_TRY(pg_file_write_at(file, 0, PG_BYTES_LIT("still")));
    PG_TRY(pg_file_read_at(second, 0, PG_MUT_BYTES_OF(space), &len));
    SIM_CHECK(len == 5 && memcmp(space, "still", 5) == 0);
    return PG_OK;
}

static pg_err open_file_program(void *arg)
{
    (void) arg;
    pg_file *file = NULL;
    pg_file *second = NULL;
    pg_err err = pg_file_open("/file", WRITE_NEW, &file);
    if (err == PG_OK) {
        err = pg_file_open("/file", PG_FILE_MODE_READ, &second);
    }
    if (err == PG_OK) {
        err = open_file_try(file, second);
    }
    pg_file_free(&file);
    pg_file_free(&second);
    PG_TRY(err);
    PG_TRY(write_file("/file", PG_BYTES_LIT("content"), false));
    PG_TRY(pg_file_open("/file", PG_FILE_MODE_WRITE | PG_FILE_MODE_TRUNCATE, &file));
    pg_file_free(&file);
    return expect_file("/file", PG_BYTES_EMPTY);
}

static void test_file__open__reads_writes_locks_and_outlives_its_name(void **state)
{
    (void) state;
    pg_fiber_fn fn = open_file_program;
    sim_seeds(&(pg_sim_config){.seed = 1}, 2, one_program_script, &fn);
}

static pg_err job_write(void *arg)
{
    (void) arg;
    PG_TRY(write_file("/from_job", PG_BYTES_LIT("job"), true));
    return expect_file("/from_job", PG_BYTES_LIT("job"));
}

static pg_err job_program(void *arg)
{
    (void) arg;
    PG_TRY(pg_offload_io(job_write, NULL));
    return expect_file("/from_job", PG_BYTES_LIT("job"));
}

static void test_file__in_a_job__works_at_once(void **state)
{
    (void) state;
    pg_fiber_fn fn = job_program;
    sim_seeds(&(pg_sim_config){.seed = 1}, 1, one_program_script, &fn);
}

// ---- Crashes. A log of records, each with its number all over, synced now and then.

#define RECORD_BYTES ((size_t) 3000)

static pg_err log_append(pg_file *file, uint32_t number)
{
    uint8_t record[RECORD_BYTES];
    memset(record, (int) (number & 0x7f) + 1, sizeof(record));
    return pg_file_write_at(file, (uint64_t) number * RECORD_BYTES, PG_BYTES_OF(record));
}

static pg_err log_program(void *arg)
{
    struct bench *bench = arg;
    pg_file *file = NULL;
    PG_TRY(pg_file_open("/log", WRITE_NEW, &file));
    pg_err err = pg_file_lock(file); // the one before must not hold it any more
    if (err == PG_OK) {
        err = pg_dir_sync("/");
    }
    for (uint32_t number = bench->acknowledged; err == PG_OK;) {
        for (size_t i = 0; i < 8 && err == PG_OK; i++) {
            err = log_append(file, number++);
        }
        if (err == PG_OK) {
            err = pg_file_sync(file);
        }
        bench->acknowledged = err == PG_OK ? number : bench->acknowledged;
    }
    pg_file_free(&file);
    return err;
}

// Count the whole records from the start; a torn or missing one ends them.
static pg_err log_count_program(void *arg)
{
    struct bench *bench = arg;
    pg_buf buf = {0};
    bench->found = 0;
    pg_err err = pg_file_load("/log", 10 * 1000 * 1000, &buf);
    if (err == PG_ERR_NOT_FOUND && bench->acknowledged == 0) {
        err = PG_OK;
    }
    for (size_t at = 0; at + RECORD_BYTES <= buf.len; at += RECORD_BYTES) {
        uint8_t record[RECORD_BYTES];
        memset(record, (int) (bench->found & 0x7f) + 1, sizeof(record));
        if (memcmp(buf.ptr + at, record, sizeof(record)) != 0) {
            break;
        }
        bench->found++;
    }
    pg_buf_deinit(&buf);
    return err;
}

static pg_err log_script(void *arg)
{
    struct bench *bench = arg;
    bench->acknowledged = 0;
    PG_TRY(pg_sim_machine_new(&bench->machine));
    for (size_t i = 0; i < 10; i++) {
        PG_TRY(crash_within(bench, log_program, PG_MS(2)));
        PG_TRY(run_program(bench, log_count_program));
        SIM_CHECK(bench->found >= bench->acknowledged);
        SIM_CHECK(bench->found <= bench->acknowledged + 8);
    }
    const pg_sim_crash_counts *counts = &bench->machine->disk.counts;
    bench->counts.pages_kept += counts->pages_kept;
    bench->counts.pages_lost += counts->pages_lost;
    bench->counts.pages_torn += counts->pages_torn;
    bench->counts.sizes_undone += counts->sizes_undone;
    return PG_OK;
}

static void test_crash__amid_appends__keeps_every_synced_record(void **state)
{
    (void) state;
    struct bench bench = {0};
    sim_seeds(&(pg_sim_config){.seed = 1}, 2 * SIM_SEEDS_DEFAULT, log_script, &bench);
    sim_saw("pages kept", bench.counts.pages_kept, 300, 2 * SIM_SEEDS_DEFAULT);
    sim_saw("pages lost", bench.counts.pages_lost, 250, 2 * SIM_SEEDS_DEFAULT);
    sim_saw("pages torn", bench.counts.pages_torn, 150, 2 * SIM_SEEDS_DEFAULT);
    sim_saw("sizes undone", bench.counts.sizes_undone, 80, 2 * SIM_SEEDS_DEFAULT);
}

// A small file replaced again and again: there is always a whole version, at least the one acknowledged.
static pg_err replace_program(void *arg)
{
    struct bench *bench = arg;
    for (uint32_t version = bench->acknowledged + 1;; version++) {
        uint8_t content[6000];
        memset(content, (int) (version & 0xff), sizeof(content));
        PG_TRY(pg_file_replace("/conf", PG_BYTES_OF(content), 0600));
        bench->acknowledged = version;
    }
}

static pg_err replace_look_program(void *arg)
{
    struct bench *bench = arg;
    pg_buf buf = {0};
    pg_err err = pg_file_load("/conf", 10000, &buf);
    bool is_whole = buf.len == 6000;
    for (size_t i = 1; i < buf.len; i++) {
        is_whole = is_whole && buf.ptr[i] == buf.ptr[0];
    }
    uint8_t version = buf.len == 0 ? 0 : buf.ptr[0];
    pg_buf_deinit(&buf);
    if (err == PG_ERR_NOT_FOUND && bench->acknowledged == 0) {
        return PG_OK;
    }
    PG_TRY(err);
    SIM_CHECK(is_whole);
    bench->found = bench->acknowledged + (uint8_t) (version - bench->acknowledged);
    SIM_CHECK(bench->found <= bench->acknowledged + 1);
    return PG_OK;
}

static pg_err replace_script(void *arg)
{
    struct bench *bench = arg;
    bench->acknowledged = 0;
    PG_TRY(pg_sim_machine_new(&bench->machine));
    for (size_t i = 0; i < 10; i++) {
        PG_TRY(crash_within(bench, replace_program, PG_US(500)));
        PG_TRY(run_program(bench, replace_look_program));
        bench->acknowledged = bench->found;
    }
    return PG_OK;
}

static void test_crash__amid_replacements__finds_one_whole_version(void **state)
{
    (void) state;
    struct bench bench = {0};
    sim_seeds(&(pg_sim_config){.seed = 1}, SIM_SEEDS_DEFAULT, replace_script, &bench);
}

// A tree of names changed at random without a sync must still be a tree after a crash.
static pg_err churn_step(void)
{
    char from[16];
    char to[16];
    (void) snprintf(from, sizeof(from), "/d%d/f%d", (int) pg_sim_random_below(3),
                    (int) pg_sim_random_below(4));
    (void) snprintf(to, sizeof(to), "/d%d/f%d", (int) pg_sim_random_below(3),
                    (int) pg_sim_random_below(4));
    pg_err err = PG_OK;
    from[3] = pg_sim_random_below(3) == 0 ? '\0' : from[3];
    switch (pg_sim_random_below(6)) {
    case 0:
    case 1:
        err = from[3] == '\0' ? pg_dir_make(from) : write_file(from, PG_BYTES_LIT("x"), false);
        break;
    case 2:
        err = from[3] == '\0' ? pg_dir_remove(from) : pg_path_remove(from);
        break;
    case 3:
        to[3] = '\0';
        err = pg_dir_sync(to);
        break;
    case 4:
        from[3] = '\0';
        to[3] = '\0';
        err = pg_path_rename(from, to);
        break;
    default:
        err = pg_path_rename(from, to);
        break;
    }
    return err == PG_ERR_CANCELLED ? err : PG_OK;
}

static pg_err churn_program(void *arg)
{
    (void) arg;
    for (;;) {
        PG_TRY(churn_step());
    }
}

static pg_err tree_walk(const char *name, void *user)
{
    struct bench *bench = user;
    pg_file_info info;
    char path[32];
    (void) snprintf(path, sizeof(path), "/%s", name);
    PG_TRY(pg_path_stat(path, &info));
    bench->found++;
    return PG_OK;
}

static pg_err tree_program(void *arg)
{
    struct bench *bench = arg;
    bench->found = 0;
    return pg_dir_each("/", tree_walk, bench);
}

static pg_err churn_script(void *arg)
{
    struct bench *bench = arg;
    PG_TRY(pg_sim_machine_new(&bench->machine));
    for (size_t i = 0; i < 10; i++) {
        PG_TRY(crash_within(bench, churn_program, PG_MS(2)));
        PG_TRY(run_program(bench, tree_program));
        SIM_CHECK(bench->found <= 3);
    }
    bench->counts.names_kept += bench->machine->disk.counts.names_kept;
    bench->counts.names_undone += bench->machine->disk.counts.names_undone;
    return PG_OK;
}

static void test_crash__amid_changes_of_names__leaves_a_tree(void **state)
{
    (void) state;
    struct bench bench = {0};
    sim_seeds(&(pg_sim_config){.seed = 1}, 5 * SIM_SEEDS_DEFAULT, churn_script, &bench);
    sim_saw("names kept", bench.counts.names_kept, 900, 5 * SIM_SEEDS_DEFAULT);
    sim_saw("names undone", bench.counts.names_undone, 3500, 5 * SIM_SEEDS_DEFAULT);
}

static pg_err many_names_program(void *arg)
{
    (void) arg;
    char path[16];
    for (int i = 0; i < 600; i++) {
        (void) snprintf(path, sizeof(path), "/f%d", i);
        PG_TRY(write_file(path, PG_BYTES_LIT("x"), true));
    }
    return PG_OK;
}

static pg_err count_names(const char *name, void *user)
{
    (void) name;
    ++*(uint32_t *) user;
    return PG_OK;
}

static pg_err count_names_program(void *arg)
{
    struct bench *bench = arg;
    bench->found = 0;
    return pg_dir_each("/", count_names, &bench->found);
}

static pg_err many_names_script(void *arg)
{
    struct bench *bench = arg;
    PG_TRY(pg_sim_machine_new(&bench->machine));
    PG_TRY(run_program(bench, many_names_program));
    pg_sim_machine_crash(bench->machine);
    PG_TRY(run_program(bench, count_names_program));
    SIM_CHECK(bench->found >= 600 - 256 && bench->found < 600);
    PG_TRY(run_program(bench, many_names_program));
    PG_TRY(pg_sleep_until(pg_after(PG_MINUTES(1)))); // long enough to reach the disk
    pg_sim_machine_crash(bench->machine);
    PG_TRY(run_program(bench, count_names_program));
    SIM_CHECK(bench->found == 600);
    return PG_OK;
}

static void test_crash__many_unsynced_names__old_ones_are_on_the_disk(void **state)
{
    (void) state;
    struct bench bench = {0};
    sim_seeds(&(pg_sim_config){.seed = 1}, 2, many_names_script, &bench);
}

// ---- Faults

static pg_err full_program(void *arg)
{
    (void) arg;
    static const uint8_t data[100000];
    uint64_t total = 0;
    uint64_t left = 0;
    pg_file_info info;
    SIM_CHECK(write_file("/big", PG_BYTES_OF(data), false) == PG_ERR_FULL);
    PG_TRY(pg_disk_space("/", &total, &left));
    SIM_CHECK(total >= 65536 && left == 0);
    PG_TRY(pg_path_stat("/big", &info));
    SIM_CHECK(info.size_bytes == 65536 && info.allocated_bytes == 65536);
    PG_TRY(write_file("/big", PG_BYTES_LIT("over what is there"), true));
    SIM_CHECK(write_file("/small", PG_BYTES_LIT("x"), false) == PG_ERR_FULL);
    SIM_CHECK(pg_dir_make("/folder") == PG_ERR_FULL);
    PG_TRY(pg_path_remove("/big"));
    PG_TRY(pg_disk_space("/", &total, &left));
    SIM_CHECK(left == 65536);
    return write_file("/small", PG_BYTES_LIT("x"), true);
}

static pg_err full_script(void *arg)
{
    struct bench *bench = arg;
    PG_TRY(pg_sim_machine_new(&bench->machine));
    pg_sim_machine_disk(bench->machine, &(pg_sim_disk_faults){.free_bytes = 65536});
    return run_program(bench, full_program);
}

static void test_disk__full__refuses_what_does_not_fit_and_recovers(void **state)
{
    (void) state;
    struct bench bench = {0};
    sim_seeds(&(pg_sim_config){.seed = 1}, 2, full_script, &bench);
}

static pg_err faults_try(pg_file *file, uint32_t counts[4])
{
    for (size_t i = 0; i < 1000; i++) {
        uint8_t space[100];
        size_t len = 0;
        static const uint8_t ones[100] = {1};
        pg_err err = pg_file_write_at(file, 0, PG_BYTES_OF(ones));
        SIM_CHECK(err == PG_OK || err == PG_ERR_IO);
        counts[0] += err == PG_ERR_IO;
        err = pg_file_sync(file);
        SIM_CHECK(err == PG_OK || err == PG_ERR_IO);
        counts[1] += err == PG_ERR_IO;
        PG_TRY(pg_file_read_at(file, 0, PG_MUT_BYTES_OF(space), &len));
        counts[2] += len == sizeof(ones) && memcmp(space, ones, len) != 0;
        err = pg_dir_sync("/");
        counts[3] += err == PG_ERR_IO;
    }
    return PG_OK;
}

static pg_err faults_program(void *arg)
{
    (void) arg;
    uint32_t counts[4] = {0};
    pg_file *file = NULL;
    pg_time start = pg_now();
    PG_TRY(pg_file_open("/file", WRITE_NEW, &file));
    pg_err err = faults_try(file, counts);
    pg_file_free(&file);
    PG_TRY(err);
    SIM_CHECK(counts[0] > 60 && counts[0] < 140);
    SIM_CHECK(counts[1] > 130 && counts[1] < 270);
    SIM_CHECK(counts[2] > 20); // flips, and pages a failed sync took back
    SIM_CHECK(counts[3] > 130 && counts[3] < 270);
    SIM_CHECK(pg_now() - start > PG_SECONDS(4));
    return PG_OK;
}

static pg_err faults_script(void *arg)
{
    struct bench *bench = arg;
    PG_TRY(pg_sim_machine_new(&bench->machine));
    pg_sim_machine_disk(bench->machine, &(pg_sim_disk_faults){.write_error_ppm = 100000,
                                                              .sync_error_ppm = 200000,
                                                              .read_flip_ppm = 50000,
                                                              .latency_ns = PG_MS(1)});
    return run_program(bench, faults_program);
}

static void test_disk__faulty__fails_at_its_rates(void **state)
{
    (void) state;
    struct bench bench = {0};
    sim_seeds(&(pg_sim_config){.seed = 1}, 3, faults_script, &bench);
}

static pg_err stop_script(void *arg)
{
    struct bench *bench = arg;
    bench->acknowledged = 0;
    PG_TRY(pg_sim_machine_new(&bench->machine));
    pg_sim_machine_disk(bench->machine, &(pg_sim_disk_faults){.latency_ns = PG_MS(10)});
    PG_TRY(pg_sim_machine_start(bench->machine, "test.program", log_program, bench));
    PG_TRY(pg_sleep_until(pg_after(PG_MS(305))));
    SIM_CHECK(bench->acknowledged == 24); // 9 calls for 8 records, after 3 to begin
    PG_TRY(pg_sim_machine_stop(bench->machine));
    return PG_OK;
}

static void test_disk__slow__takes_its_time_and_stops_between_calls(void **state)
{
    (void) state;
    struct bench bench = {0};
    sim_seeds(&(pg_sim_config){.seed = 1}, 2, stop_script, &bench);
}

int main(int argc, char **argv)
{
    sim_arguments(argc, argv);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_disk__names__are_made_listed_renamed_and_removed),
        cmocka_unit_test(test_disk__long_paths_and_names__are_refused),
        cmocka_unit_test(test_file__open__reads_writes_locks_and_outlives_its_name),
        cmocka_unit_test(test_file__in_a_job__works_at_once),
        cmocka_unit_test(test_crash__amid_appends__keeps_every_synced_record),
        cmocka_unit_test(test_crash__amid_replacements__finds_one_whole_version),
        cmocka_unit_test(test_crash__amid_changes_of_names__leaves_a_tree),
        cmocka_unit_test(test_crash__many_unsynced_names__old_ones_are_on_the_disk),
        cmocka_unit_test(test_disk__full__refuses_what_does_not_fit_and_recovers),
        cmocka_unit_test(test_disk__faulty__fails_at_its_rates),
        cmocka_unit_test(test_disk__slow__takes_its_time_and_stops_between_calls),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
