// SPDX-License-Identifier: Apache-2.0
// Goal: files, folders and paths do what file.h says, on a fiber and inside a job.
// Method: a temporary folder; another process for the lock; a small tmpfs for a full disk, where we may mount one.
#include <fcntl.h>
#include <linux/magic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/str.h"
#include "in_fiber.h"
#include "runtime/fiber.h"
#include "runtime/file.h"
#include "runtime/offload.h"

static char folder[64];
static char path[128];
static char other_path[128];

#define READ_WRITE_NEW (PG_FILE_MODE_WRITE | PG_FILE_MODE_CREATE | PG_FILE_MODE_EXCLUSIVE)

static pg_err body_read_write(void *arg)
{
    (void) arg;
    pg_file *file = NULL;
    pg_file_info info;
    uint8_t bytes[16] = {0};
    size_t len = 0;
    CHECK_ERR(pg_file_open(path, PG_FILE_MODE_READ, &file), PG_ERR_NOT_FOUND);
    CHECK(strstr(pg_error_detail(PG_ERR_NOT_FOUND), path) != NULL);
    CHECK_OK(pg_file_open(path, READ_WRITE_NEW, &file));
    CHECK_OK(pg_file_write_at(file, 4, PG_BYTES_LIT("abcd")));
    CHECK_OK(pg_file_sync(file));
    CHECK_OK(pg_file_read_at(file, 2, PG_MUT_BYTES_OF(bytes), &len));
    CHECK(len == 6 && memcmp(bytes, "\0\0abcd", 6) == 0);
    CHECK_OK(pg_file_read_at(file, 100, PG_MUT_BYTES_OF(bytes), &len));
    CHECK(len == 0);
    CHECK_OK(pg_file_truncate(file, 6));
    CHECK_OK(pg_file_stat(file, &info));
    CHECK(info.type == PG_FILE_TYPE_REGULAR && info.size_bytes == 6 && info.permissions == 0600);
    CHECK(info.modified_ms > INT64_C(1600000000000) && info.inode != 0);
    pg_file_free(&file);
    CHECK(file == NULL);
    pg_file_free(&file);
    CHECK_ERR(pg_file_open(path, READ_WRITE_NEW, &file), PG_ERR_EXISTS);
    CHECK_OK(pg_file_open(path, PG_FILE_MODE_READ, &file));
    CHECK_ERR(pg_file_write_at(file, 0, PG_BYTES_LIT("x")), PG_ERR_IO);
    CHECK(pg_file_truncate(file, 1) != PG_OK);
    pg_file_free(&file);
    CHECK_OK(pg_file_open(path, PG_FILE_MODE_WRITE | PG_FILE_MODE_TRUNCATE, &file));
    CHECK_OK(pg_file_stat(file, &info));
    CHECK(info.size_bytes == 0);
    pg_file_free(&file);
    CHECK_OK(pg_path_remove(path));
    return PG_OK;
}

static void test_file__written__reads_back(void **state)
{
    (void) state;
    in_fiber(body_read_write, NULL);
}

#define LARGE_BYTES ((size_t) 5 << 19)

// Returns true when the system keeps none of the file's pages in memory, or keeps all files there.
static bool is_uncached(void)
{
    static unsigned char pages[LARGE_BYTES / 4096];
    struct statfs disk;
    size_t kept = 0;
    int fd = open(path, O_RDONLY);
    void *map = mmap(NULL, LARGE_BYTES, PROT_READ, MAP_SHARED, fd, 0);
    CHECK(fd >= 0 && map != MAP_FAILED && fstatfs(fd, &disk) == 0);
    CHECK(mincore(map, LARGE_BYTES, pages) == 0);
    for (size_t i = 0; i < sizeof(pages); i++) {
        kept += pages[i] & 1;
    }
    (void) munmap(map, LARGE_BYTES);
    (void) close(fd);
    return kept == 0 || disk.f_type == TMPFS_MAGIC || disk.f_type == OVERLAYFS_SUPER_MAGIC;
}

static pg_err body_uncached(void *arg)
{
    static const size_t heads[] = {1, 128, 4096, 5000};
    static const size_t lens[] = {0, 100, 65536 - 128, 65536, 1 << 20, LARGE_BYTES};
    static uint8_t bytes[LARGE_BYTES];
    static uint8_t back[LARGE_BYTES + 10000];
    const unsigned *mode = arg;
    pg_file *file = NULL;
    size_t got = 0;
    for (size_t i = 0; i < LARGE_BYTES; i++) {
        bytes[i] = (uint8_t) (i * 2654435761U >> 13);
    }
    for (size_t i = 0; i < PG_ARRAY_LEN(heads) * PG_ARRAY_LEN(lens); i++) {
        size_t head = heads[i % PG_ARRAY_LEN(heads)];
        size_t len = lens[i / PG_ARRAY_LEN(heads)];
        CHECK_OK(pg_file_open(path, READ_WRITE_NEW | *mode, &file));
        CHECK_OK(pg_file_write_uncached(file, 8192, pg_bytes_make(bytes + 7, head),
                                        pg_bytes_make(bytes, len)));
        CHECK_OK(pg_file_read_uncached(file, 8192, pg_mut_bytes_make(back, head + len), &got));
        CHECK(got == head + len && memcmp(back, bytes + 7, head) == 0 &&
              memcmp(back + head, bytes, len) == 0);
        CHECK_OK(pg_file_read_at(file, 8192 + head, pg_mut_bytes_make(back, len), &got));
        CHECK(got == len && memcmp(back, bytes, len) == 0);
        CHECK_OK(pg_file_read_uncached(file, 8193, pg_mut_bytes_make(back, sizeof(back)), &got));
        CHECK(got >= head + len - 1 && got < head + len + 4096);
        CHECK(memcmp(back + head - 1, bytes, len) == 0);
        pg_file_free(&file);
        CHECK_OK(pg_path_remove(path));
    }
    CHECK_OK(pg_file_open(path, READ_WRITE_NEW | *mode, &file));
    CHECK_OK(pg_file_write_uncached(file, 0, PG_BYTES_LIT("head"), PG_BYTES_OF(bytes)));
    CHECK_OK(pg_file_sync(file));
    CHECK(*mode == 0 || is_uncached());
    CHECK_OK(pg_file_read_uncached(file, 0, PG_MUT_BYTES_OF(back), &got));
    CHECK(*mode == 0 || is_uncached());
    pg_file_free(&file);
    return pg_path_remove(path);
}

static void test_file__much_at_once__goes_past_the_cache_where_it_can(void **state)
{
    (void) state;
    unsigned modes[] = {0, PG_FILE_MODE_UNCACHED};
    for (size_t i = 0; i < PG_ARRAY_LEN(modes); i++) {
        in_fiber(body_uncached, &modes[i]);
    }
}

static pg_err body_next_data(void *arg)
{
    (void) arg;
    pg_file *file = NULL;
    uint64_t begin = 0;
    uint64_t end = 0;
    CHECK_OK(pg_file_open(path, READ_WRITE_NEW, &file));
    CHECK_OK(pg_file_write_at(file, 1 << 20, PG_BYTES_LIT("abcd")));
    CHECK_OK(pg_file_truncate(file, 8 << 20));
    CHECK_OK(pg_file_next_data(file, 0, &begin, &end));
    CHECK(begin > 0 && begin <= 1 << 20 && end > 1 << 20 && end < 8 << 20); // by whole blocks
    CHECK_OK(pg_file_next_data(file, 1 << 20, &begin, &end));
    CHECK(begin == 1 << 20);
    CHECK_OK(pg_file_next_data(file, end, &begin, &end));
    CHECK(begin == 8 << 20 && end == 8 << 20);
    CHECK_OK(pg_file_next_data(file, 9 << 20, &begin, &end));
    CHECK(begin == 8 << 20 && end == 8 << 20);
    pg_file_free(&file);
    CHECK_OK(pg_path_remove(path));
    return PG_OK;
}

static void test_file__sparse__tells_where_data_is(void **state)
{
    (void) state;
    in_fiber(body_next_data, NULL);
}

static pg_err body_punch(void *arg)
{
    (void) arg;
    pg_file *file = NULL;
    pg_file_info before;
    pg_file_info after;
    static uint8_t bytes[65536];
    memset(bytes, 7, sizeof(bytes));
    size_t len = 0;
    CHECK_OK(pg_file_open(path, READ_WRITE_NEW, &file));
    CHECK_OK(pg_file_write_at(file, 0, PG_BYTES_OF(bytes)));
    CHECK_OK(pg_file_sync(file));
    CHECK_OK(pg_file_stat(file, &before));
    CHECK_OK(pg_file_punch(file, 4096, 32768));
    CHECK_OK(pg_file_stat(file, &after));
    CHECK(after.size_bytes == sizeof(bytes) && after.allocated_bytes < before.allocated_bytes);
    CHECK_OK(pg_file_read_at(file, 4095, pg_mut_bytes_make(bytes, 2), &len));
    CHECK(len == 2 && bytes[0] == 7 && bytes[1] == 0);
    CHECK_ERR(pg_file_punch(file, 0, 0), PG_ERR_INVALID);
    pg_file_free(&file);
    CHECK_OK(pg_path_remove(path));
    return PG_OK;
}

static void test_file__hole_punched__gives_blocks_back(void **state)
{
    (void) state;
    in_fiber(body_punch, NULL);
}

static pg_err body_try_lock(void *arg)
{
    pg_err *out_err = arg;
    pg_file *file = NULL;
    CHECK_OK(pg_file_open(path, PG_FILE_MODE_WRITE, &file));
    *out_err = pg_file_lock(file);
    pg_file_free(&file);
    return PG_OK;
}

// What another process gets: flock(1) exits with 0 when it could take the lock.
static pg_err lock_elsewhere(void)
{
    static char program[] = "flock";
    static char at_once[] = "-n";
    static char command[] = "true";
    pid_t pid = fork();
    if (pid == 0) {
        char *const argv[] = {program, at_once, path, command, NULL};
        (void) execvp(program, argv);
        _exit(99);
    }
    int status = 0;
    CHECK(waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) <= 1);
    return WEXITSTATUS(status) == 0 ? PG_OK : PG_ERR_BUSY;
}

static pg_err body_lock(void *arg)
{
    (void) arg;
    pg_file *file = NULL;
    pg_err err = PG_OK;
    CHECK_OK(pg_file_open(path, READ_WRITE_NEW, &file));
    CHECK_OK(pg_file_lock(file));
    CHECK_OK(body_try_lock(&err));
    CHECK_ERR(err, PG_ERR_BUSY);
    CHECK_ERR(lock_elsewhere(), PG_ERR_BUSY);
    pg_file_free(&file);
    CHECK_OK(lock_elsewhere());
    CHECK_OK(body_try_lock(&err));
    CHECK_OK(err);
    CHECK_OK(pg_path_remove(path));
    return PG_OK;
}

static void test_file__locked__is_busy_for_others_until_closed(void **state)
{
    (void) state;
    in_fiber(body_lock, NULL);
}

static pg_err on_name(const char *name, void *user)
{
    pg_buf *names = user;
    PG_TRY(pg_buf_append(names, pg_bytes_cstr(name)));
    return strcmp(name, "stop") == 0 ? PG_ERR_CLOSED : PG_OK;
}

static void name_make(const char *name)
{
    char full[160];
    (void) snprintf(full, sizeof(full), "%s/%s", path, name);
    CHECK_OK(pg_file_replace(full, PG_BYTES_EMPTY, 0600));
}

static void name_remove(const char *name)
{
    char full[160];
    (void) snprintf(full, sizeof(full), "%s/%s", path, name);
    CHECK_OK(pg_path_remove(full));
}

static pg_err body_folders(void *arg)
{
    (void) arg;
    pg_buf names = {0};
    pg_file_info info;
    CHECK_OK(pg_dir_make(path));
    CHECK_ERR(pg_dir_make(path), PG_ERR_EXISTS);
    CHECK_OK(pg_path_stat(path, &info));
    CHECK(info.type == PG_FILE_TYPE_FOLDER && info.permissions == 0700);
    CHECK_OK(pg_dir_each(path, on_name, &names));
    CHECK(names.len == 0);
    name_make("b");
    name_make("a");
    name_make("C");
    CHECK_OK(pg_dir_each(path, on_name, &names));
    CHECK(pg_bytes_equal(pg_buf_bytes(&names), PG_BYTES_LIT("Cab")));
    name_make("stop");
    name_make("z");
    pg_buf_clear(&names);
    CHECK_ERR(pg_dir_each(path, on_name, &names), PG_ERR_CLOSED);
    CHECK(pg_bytes_equal(pg_buf_bytes(&names), PG_BYTES_LIT("Cabstop")));
    CHECK_ERR(pg_dir_remove(path), PG_ERR_BUSY);
    CHECK_OK(pg_dir_sync(path));
    for (const char *const *name = (const char *const[]){"a", "b", "C", "stop", "z", NULL};
         *name != NULL; name++) {
        name_remove(*name);
    }
    CHECK_OK(pg_dir_remove(path));
    CHECK_ERR(pg_dir_remove(path), PG_ERR_NOT_FOUND);
    CHECK_ERR(pg_dir_sync(path), PG_ERR_NOT_FOUND);
    CHECK_ERR(pg_dir_each(path, on_name, &names), PG_ERR_NOT_FOUND);
    CHECK_ERR(pg_path_stat(path, &info), PG_ERR_NOT_FOUND);
    CHECK_ERR(pg_path_remove(path), PG_ERR_NOT_FOUND);
    CHECK_ERR(pg_path_rename(path, other_path), PG_ERR_NOT_FOUND);
    CHECK_OK(pg_path_stat("/dev/null", &info));
    CHECK(info.type == PG_FILE_TYPE_OTHER);
    pg_buf_deinit(&names);
    return PG_OK;
}

static void test_folder__names__come_in_byte_order(void **state)
{
    (void) state;
    in_fiber(body_folders, NULL);
}

static pg_err body_replace(void *arg)
{
    (void) arg;
    pg_buf loaded = {0};
    pg_file_info info;
    static uint8_t large[200000];
    memset(large, 9, sizeof(large));
    CHECK_OK(pg_file_replace(path, PG_BYTES_LIT("old"), 0600));
    CHECK_OK(pg_file_replace(path, PG_BYTES_LIT("newer"), 0644));
    CHECK_OK(pg_path_stat(path, &info));
    CHECK(info.permissions == 0644);
    CHECK_OK(pg_file_load(path, 5, &loaded));
    CHECK(pg_bytes_equal(pg_buf_bytes(&loaded), PG_BYTES_LIT("newer")));
    CHECK_ERR(pg_file_load(path, 4, &loaded), PG_ERR_LIMIT);
    CHECK(loaded.len == 5);
    CHECK_OK(pg_path_rename(path, other_path));
    CHECK_ERR(pg_file_load(path, 5, &loaded), PG_ERR_NOT_FOUND);
    CHECK_OK(pg_file_replace(other_path, PG_BYTES_OF(large), 0600));
    CHECK_OK(pg_file_load(other_path, SIZE_MAX, &loaded));
    CHECK(loaded.len == 5 + sizeof(large) && loaded.ptr[loaded.len - 1] == 9);
    pg_buf_clear(&loaded);
    loaded.max_len = 100;
    CHECK_ERR(pg_file_load(other_path, sizeof(large), &loaded), PG_ERR_LIMIT);
    CHECK_ERR(pg_file_replace("/nonexistent/file", PG_BYTES_LIT("x"), 0600), PG_ERR_NOT_FOUND);
    // What cannot be replaced leaves no temporary file behind.
    CHECK_OK(pg_dir_make(path));
    CHECK(pg_file_replace(path, PG_BYTES_LIT("x"), 0600) != PG_OK);
    CHECK_OK(pg_dir_remove(path));
    CHECK_OK(pg_path_remove(other_path));
    // A name without a slash stands in the folder of the process.
    CHECK(chdir(folder) == 0);
    CHECK_OK(pg_file_replace("plain", PG_BYTES_LIT("x"), 0600));
    CHECK_OK(pg_path_remove("plain"));
    CHECK(chdir("/") == 0);
    pg_buf_deinit(&loaded);
    return PG_OK;
}

static void test_file__replaced__has_the_new_content_and_mode(void **state)
{
    (void) state;
    in_fiber(body_replace, NULL);
}

static pg_err job_files(void *arg)
{
    (void) arg;
    pg_file *file = NULL;
    uint8_t byte = 0;
    size_t len = 0;
    PG_TRY(pg_file_open(path, READ_WRITE_NEW, &file));
    PG_TRY(pg_file_write_at(file, 0, PG_BYTES_LIT("j")));
    PG_TRY(pg_file_read_at(file, 0, pg_mut_bytes_make(&byte, 1), &len));
    pg_file_free(&file);
    PG_TRY(pg_path_remove(path));
    return pg_file_open(path, PG_FILE_MODE_READ, &file);
}

static pg_err body_in_job(void *arg)
{
    (void) arg;
    CHECK_ERR(pg_offload(job_files, NULL), PG_ERR_NOT_FOUND);
    CHECK(strstr(pg_error_detail(PG_ERR_NOT_FOUND), path) != NULL);
    return PG_OK;
}

static void test_file__inside_a_job__works_at_once(void **state)
{
    (void) state;
    in_fiber(body_in_job, NULL);
}

static pg_err body_cancelled_open(void *arg)
{
    pg_err *out_err = arg;
    pg_file *file = NULL;
    *out_err = pg_file_open(path, READ_WRITE_NEW, &file);
    return PG_OK;
}

static pg_err body_cancelled(void *arg)
{
    (void) arg;
    pg_scope scope;
    pg_err err = PG_OK;
    pg_file_info info;
    pg_scope_init(&scope);
    CHECK_OK(pg_scope_spawn(&scope, "test.open", body_cancelled_open, &err));
    pg_scope_close(&scope);
    CHECK_ERR(err, PG_ERR_CANCELLED);
    CHECK_ERR(pg_path_stat(path, &info), PG_ERR_NOT_FOUND);
    return PG_OK;
}

static void test_file__cancelled__does_nothing(void **state)
{
    (void) state;
    in_fiber(body_cancelled, NULL);
}

static pg_err body_disk(void *arg)
{
    (void) arg;
    uint64_t total = 0;
    uint64_t available = 0;
    CHECK_OK(pg_disk_space(folder, &total, &available));
    CHECK(total > 0 && available <= total);
    CHECK_ERR(pg_disk_space("/nonexistent", &total, &available), PG_ERR_NOT_FOUND);
    return PG_OK;
}

static void test_disk__asked__tells_its_space(void **state)
{
    (void) state;
    in_fiber(body_disk, NULL);
}

static pg_err body_full(void *arg)
{
    (void) arg;
    pg_file *file = NULL;
    static uint8_t bytes[1 << 20];
    CHECK_OK(pg_file_open(path, READ_WRITE_NEW, &file));
    CHECK_ERR(pg_file_write_at(file, 0, PG_BYTES_OF(bytes)), PG_ERR_FULL);
    pg_file_free(&file);
    CHECK_ERR(pg_file_replace(other_path, PG_BYTES_OF(bytes), 0600), PG_ERR_FULL);
    CHECK_OK(pg_path_remove(path));
    return PG_OK;
}

static void test_file__disk_is_full__says_so(void **state)
{
    (void) state;
    if (mount("none", folder, "tmpfs", 0, "size=64k") != 0) {
        skip(); // not allowed to
    }
    in_fiber(body_full, NULL);
    assert_int_equal(umount(folder), 0);
}

struct pipe_end {
    pg_file *file;
    pg_err err;
};

static pg_err body_pipe_write(void *arg)
{
    struct pipe_end *end = arg;
    static uint8_t bytes[300000];
    for (size_t i = 0; i < sizeof(bytes); i++) {
        bytes[i] = (uint8_t) (i >> 4);
    }
    end->err = pg_file_write(end->file, PG_BYTES_OF(bytes));
    return PG_OK;
}

static pg_err body_pipe_read_one(void *arg)
{
    struct pipe_end *end = arg;
    uint8_t byte = 0;
    size_t len = 0;
    end->err = pg_file_read(end->file, pg_mut_bytes_make(&byte, 1), &len);
    return PG_OK;
}

static pg_err body_pipe(void *arg)
{
    (void) arg;
    int ends[2];
    struct pipe_end reader = {0};
    struct pipe_end writer = {0};
    pg_scope scope;
    static uint8_t bytes[300001];
    size_t len = 0;
    CHECK(pipe(ends) == 0);
    CHECK_OK(pg_file_from_fd(ends[0], &reader.file));
    CHECK_OK(pg_file_from_fd(ends[1], &writer.file));
    pg_scope_init(&scope);
    // An endless wait for input can be cancelled.
    CHECK_OK(pg_scope_spawn(&scope, "test.read", body_pipe_read_one, &reader));
    CHECK_OK(pg_fiber_yield());
    pg_scope_close(&scope);
    CHECK_ERR(reader.err, PG_ERR_CANCELLED);

    CHECK_OK(pg_scope_spawn(&scope, "test.write", body_pipe_write, &writer));
    CHECK_OK(pg_file_read(reader.file, pg_mut_bytes_make(bytes, 300000), &len));
    CHECK(len == 300000 && bytes[299999] == (uint8_t) (299999 >> 4));
    CHECK_OK(pg_scope_join(&scope));
    CHECK_OK(writer.err);
    CHECK((fcntl(ends[0], F_GETFL) & O_NONBLOCK) == 0); // others share the descriptor
    CHECK_OK(pg_file_write(writer.file, PG_BYTES_LIT("end")));
    pg_file_free(&writer.file);
    CHECK(close(ends[1]) == 0);
    CHECK_OK(pg_file_read(reader.file, PG_MUT_BYTES_OF(bytes), &len));
    CHECK(len == 3);
    pg_file_free(&reader.file);
    CHECK(close(ends[0]) == 0);
    return PG_OK;
}

static void test_pipe__written__is_read_without_changing_its_flags(void **state)
{
    (void) state;
    in_fiber(body_pipe, NULL);
}

static pg_err body_pipe_broken(void *arg)
{
    (void) arg;
    int ends[2];
    struct pipe_end writer = {0};
    CHECK(pipe(ends) == 0 && close(ends[0]) == 0);
    CHECK_OK(pg_file_from_fd(ends[1], &writer.file));
    CHECK_OK(body_pipe_write(&writer));
    CHECK_ERR(writer.err, PG_ERR_CLOSED);
    pg_file_free(&writer.file);
    CHECK(close(ends[1]) == 0);
    CHECK_ERR(pg_file_from_fd(ends[1], &writer.file), PG_ERR_IO);
    return PG_OK;
}

static void test_pipe__nobody_reads__is_closed(void **state)
{
    (void) state;
    in_fiber(body_pipe_broken, NULL);
}

static pg_err body_plain_descriptor(void *arg)
{
    (void) arg;
    pg_file *file = NULL;
    uint8_t bytes[8];
    size_t len = 0;
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    CHECK_OK(pg_file_from_fd(fd, &file));
    CHECK_OK(pg_file_write(file, PG_BYTES_LIT("plain")));
    CHECK(lseek(fd, 0, SEEK_SET) == 0);
    CHECK_OK(pg_file_read(file, PG_MUT_BYTES_OF(bytes), &len));
    CHECK(len == 5 && memcmp(bytes, "plain", 5) == 0);
    pg_file_free(&file);
    CHECK(fcntl(fd, F_GETFD) >= 0); // still open
    CHECK(close(fd) == 0);
    CHECK_OK(pg_path_remove(path));
    return PG_OK;
}

static void test_descriptor__of_a_plain_file__reads_and_writes_in_turn(void **state)
{
    (void) state;
    in_fiber(body_plain_descriptor, NULL);
}

static pg_err body_no_memory(void *arg)
{
    (void) arg;
    pg_file *file = NULL;
    pg_buf names = {0};
    for (uint64_t n = 1; n <= 2; n++) {
        pg_mem_fail_nth(n);
        CHECK_ERR(pg_file_open("/dev/null", PG_FILE_MODE_READ, &file), PG_ERR_NOMEM);
        pg_mem_fail_nth(n);
        CHECK_ERR(pg_file_replace(path, PG_BYTES_LIT("x"), 0600), PG_ERR_NOMEM);
    }
    pg_mem_fail_nth(1);
    CHECK_ERR(pg_dir_each(folder, on_name, &names), PG_ERR_NOMEM);
    pg_mem_fail_nth(0);
    return PG_OK;
}

static void test_file__out_of_memory__fails_cleanly(void **state)
{
    (void) state;
    in_fiber(body_no_memory, NULL);
}

static int folder_make(void **state)
{
    (void) state;
    (void) snprintf(folder, sizeof(folder), "/tmp/pangea-test-XXXXXX");
    if (mkdtemp(folder) == NULL) {
        return -1;
    }
    (void) snprintf(path, sizeof(path), "%s/file", folder);
    (void) snprintf(other_path, sizeof(other_path), "%s/other", folder);
    return 0;
}

static int folder_remove(void **state)
{
    (void) state;
    return rmdir(folder); // fails when a test left something behind
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_file__written__reads_back),
        cmocka_unit_test(test_file__much_at_once__goes_past_the_cache_where_it_can),
        cmocka_unit_test(test_file__sparse__tells_where_data_is),
        cmocka_unit_test(test_file__hole_punched__gives_blocks_back),
        cmocka_unit_test(test_file__locked__is_busy_for_others_until_closed),
        cmocka_unit_test(test_folder__names__come_in_byte_order),
        cmocka_unit_test(test_file__replaced__has_the_new_content_and_mode),
        cmocka_unit_test(test_file__inside_a_job__works_at_once),
        cmocka_unit_test(test_file__cancelled__does_nothing),
        cmocka_unit_test(test_disk__asked__tells_its_space),
        cmocka_unit_test(test_file__disk_is_full__says_so),
        cmocka_unit_test(test_pipe__written__is_read_without_changing_its_flags),
        cmocka_unit_test(test_pipe__nobody_reads__is_closed),
        cmocka_unit_test(test_descriptor__of_a_plain_file__reads_and_writes_in_turn),
        cmocka_unit_test(test_file__out_of_memory__fails_cleanly),
    };
    return cmocka_run_group_tests(tests, folder_make, folder_remove);
}
