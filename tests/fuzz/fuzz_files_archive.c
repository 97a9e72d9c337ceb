// SPDX-License-Identifier: Apache-2.0
// Goal: an archive of any content is unpacked into its folder or refused, touches nothing beside it, and leaves nothing when refused.
// In memory where there is a file system for it: each input makes and removes a tree.
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "files/archive.h"
#include "fuzz.h"
#include "runtime/folder.h"
#include "runtime/offload.h"
#include "runtime/runtime.h"

#define SENTINEL "untouched"
#define ENTRIES_MAX 64

typedef struct input {
    pg_bytes rest;
} input;

static char work[64];
static char sentinel[96];
static char target[96];

static void work_remove(void)
{
    (void) unlink(sentinel);
    (void) rmdir(work);
}

static void work_make(void)
{
    const char *place = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";
    (void) snprintf(work, sizeof(work), "%s/pangea-fuzz-XXXXXX", place);
    FUZZ_CHECK(mkdtemp(work) != NULL);
    (void) snprintf(sentinel, sizeof(sentinel), "%s/sentinel", work);
    (void) snprintf(target, sizeof(target), "%s/target", work);
    int fd = open(sentinel, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    FUZZ_CHECK(fd >= 0 && write(fd, SENTINEL, strlen(SENTINEL)) == (ssize_t) strlen(SENTINEL));
    FUZZ_CHECK(close(fd) == 0 && atexit(work_remove) == 0);
}

static pg_err on_read(pg_mut_bytes space, size_t *out_len, void *user)
{
    input *in = user;
    size_t len = in->rest.len < space.len ? in->rest.len : space.len;
    if (len > 0) {
        memcpy(space.ptr, in->rest.ptr, len);
    }
    in->rest = pg_bytes_slice(in->rest, len, in->rest.len);
    *out_len = len;
    return PG_OK;
}

static pg_err job_run(void *arg)
{
    const pg_unpack_options options = {.target = target, .entries_max = ENTRIES_MAX};
    pg_archive_sum sum;
    pg_folder *folder = NULL;
    pg_folder_names names = {0};
    pg_err err = pg_archive_unpack(&options, on_read, arg, &sum);
    FUZZ_CHECK(pg_folder_open(work, &folder) == PG_OK);
    if (err == PG_OK) {
        FUZZ_CHECK(sum.entries + sum.skipped <= ENTRIES_MAX);
        FUZZ_CHECK(pg_folder_remove(folder, "target") == PG_OK);
    }
    FUZZ_CHECK(pg_folder_list(folder, &names) == PG_OK);
    FUZZ_CHECK(names.count == 1 && strcmp(names.items[0], "sentinel") == 0);
    pg_folder_names_deinit(&names);
    pg_folder_free(&folder);
    return PG_OK;
}

static pg_err fiber_run(void *arg)
{
    return pg_offload_io(job_run, arg);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const pg_runtime_config few = {.cpu_threads = 1, .io_threads = 1};
    input in = {pg_bytes_make(data, size)};
    struct stat info;
    if (work[0] == '\0') {
        work_make();
    }
    FUZZ_CHECK(pg_runtime_run(&few, fiber_run, &in) == PG_OK);
    FUZZ_CHECK(stat(sentinel, &info) == 0 && info.st_size == (off_t) strlen(SENTINEL));
    return 0;
}
