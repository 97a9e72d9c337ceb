// SPDX-License-Identifier: Apache-2.0
// The descriptor keeps its number over a turn (dup2), so that who writes meanwhile writes to the old file or to the new one.
#include "cli/log_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/str.h"

#define NUMBER_CHARS_MAX 24

static pg_err file_open(const char *path, int *out_fd, uint64_t *out_size)
{
    struct stat info;
    int fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, 0600);
    if (fd < 0) {
        pg_err err = errno == ENOENT                     ? PG_ERR_NOT_FOUND
                     : errno == EACCES || errno == EROFS ? PG_ERR_ACCESS
                     : errno == EISDIR || errno == ENXIO ? PG_ERR_INVALID
                                                         : PG_ERR_IO;
        return pg_fail(err, "log.file: %s: %s", path, strerror(errno));
    }
    if (fstat(fd, &info) != 0 || !S_ISREG(info.st_mode)) {
        (void) close(fd);
        return pg_fail(PG_ERR_INVALID, "log.file: %s is no plain file", path);
    }
    *out_fd = fd;
    *out_size = (uint64_t) info.st_size;
    return PG_OK;
}

// Remove what is left of a time when there were more files.
static void surplus_remove(const char *path, uint64_t count, char *name, size_t space)
{
    do {
        (void) snprintf(name, space, "%s.%llu", path, (unsigned long long) count);
        count++;
    } while (unlink(name) == 0);
}

pg_err pg_log_file_open(const char *path, uint64_t max_bytes, uint64_t count, pg_log_file *out_file)
{
    int fd = -1;
    uint64_t size = 0;
    char *copy = pg_str_dup(pg_str_make(path));
    if (copy == NULL) {
        return PG_ERR_NOMEM;
    }
    pg_err err = file_open(path, &fd, &size);
    if (err != PG_OK) {
        pg_mfree(copy);
        return err;
    }
    size_t space = strlen(path) + NUMBER_CHARS_MAX;
    char *name = pg_malloc(space);
    if (name != NULL) {
        surplus_remove(path, count, name, space);
        pg_mfree(name);
    }
    *out_file = (pg_log_file){
        .is_open = true, .path = copy, .fd = fd, .max_bytes = max_bytes, .count = count};
    atomic_store(&out_file->size_bytes, size);
    return PG_OK;
}

// Give each file the number of the one before it; the oldest is overwritten.
static bool names_shift(const pg_log_file *self, char *from, char *to, size_t space)
{
    for (uint64_t i = self->count - 1; i > 0; i--) {
        (void) snprintf(to, space, "%s.%llu", self->path, (unsigned long long) i);
        (void) snprintf(from, space, i == 1 ? "%s" : "%s.%llu", self->path,
                        (unsigned long long) i - 1);
        if (rename(from, to) != 0 && errno != ENOENT) {
            return false;
        }
    }
    return self->count > 1 || unlink(self->path) == 0 || errno == ENOENT;
}

static bool turn(pg_log_file *self)
{
    size_t space = strlen(self->path) + NUMBER_CHARS_MAX;
    char *names = pg_malloc(2 * space);
    int fd = -1;
    uint64_t size = 0;
    if (names == NULL) {
        return false;
    }
    bool is_done = names_shift(self, names, names + space, space) &&
                   file_open(self->path, &fd, &size) == PG_OK && dup2(fd, self->fd) >= 0;
    if (fd >= 0) {
        (void) close(fd);
    }
    if (is_done) {
        (void) fcntl(self->fd, F_SETFD, FD_CLOEXEC); // dup2 forgets it
        atomic_store(&self->size_bytes, size);
    }
    pg_mfree(names);
    return is_done;
}

bool pg_log_file_write(pg_log_file *file, pg_bytes line)
{
    uint64_t size = atomic_load(&file->size_bytes);
    if (size > 0 && size + line.len > file->max_bytes &&
        !atomic_flag_test_and_set(&file->is_turning)) {
        bool is_done = turn(file);
        atomic_flag_clear(&file->is_turning);
        if (!is_done) {
            return false;
        }
    }
    ssize_t written = write(file->fd, line.ptr, line.len);
    if (written == (ssize_t) line.len) {
        atomic_fetch_add(&file->size_bytes, line.len);
        return true;
    }
    if (written > 0) { // the disk is full: no half lines
        struct stat info;
        if (fstat(file->fd, &info) == 0 && info.st_size >= written) {
            pg_ignore(ftruncate(file->fd, info.st_size - written), "half a line stays, then");
        }
    }
    return false;
}

void pg_log_file_close(pg_log_file *file)
{
    if (file->is_open) {
        (void) close(file->fd);
        pg_mfree(file->path);
    }
    *file = (pg_log_file){.is_open = false};
}
