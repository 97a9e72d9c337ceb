// SPDX-License-Identifier: Apache-2.0
#include "cli/put_source.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/str.h"

// The last component of a path; of "." and its kin that of the folder itself.
static void name_take(pg_put_source *source)
{
    char *resolved = NULL;
    pg_str path = pg_str_make(source->path);
    while (path.len > 1 && path.ptr[path.len - 1] == '/') {
        path.len--;
    }
    size_t begin = path.len;
    while (begin > 0 && path.ptr[begin - 1] != '/') {
        begin--;
    }
    pg_str name = pg_str_make_len(path.ptr + begin, path.len - begin);
    if (name.len == 0 || pg_str_equal(name, PG_STR(".")) || pg_str_equal(name, PG_STR(".."))) {
        resolved = realpath(source->path, NULL);
        const char *slash = resolved == NULL ? NULL : strrchr(resolved, '/');
        name = slash == NULL ? PG_STR("") : pg_str_make(slash + 1);
    }
    memcpy(source->name, name.ptr, pg_min_size(name.len, sizeof(source->name) - 1));
    free(resolved);
}

static pg_err stream_open(pg_put_source *source)
{
    // A pipe without a writer yet must not hold us up here.
    source->stream_fd = open(source->path, O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
    return source->stream_fd >= 0 ? PG_OK
                                  : pg_fail(errno == EACCES ? PG_ERR_ACCESS : PG_ERR_IO,
                                            "open %s: %s", source->path, strerror(errno));
}

pg_err pg_put_source_open(pg_put_source *source, const char *path, const pg_output *output,
                          pg_progress *progress)
{
    pg_file_info info;
    *source =
        (pg_put_source){.path = path, .output = output, .progress = progress, .stream_fd = -1};
    if (strcmp(path, "-") == 0) {
        source->stream_fd = STDIN_FILENO;
        return PG_OK;
    }
    pg_err err = pg_path_stat(path, &info);
    if (err == PG_ERR_NOT_FOUND && strncmp(path, "pangea:", strlen("pangea:")) == 0) {
        return pg_fail(PG_ERR_INVALID,
                       "this is a link, not a file: `pangea get` gets what it names");
    }
    PG_TRY(err);
    name_take(source);
    source->is_folder = info.type == PG_FILE_TYPE_FOLDER;
    if (source->is_folder) {
        return PG_OK;
    }
    if (info.type != PG_FILE_TYPE_REGULAR) {
        return stream_open(source);
    }
    PG_TRY(pg_source_open(&source->file, path));
    source->is_sized = !source->file.is_stream;
    source->size_bytes = source->file.info.size_bytes;
    return PG_OK;
}

static void on_skipped(const char *path, const char *what, void *user)
{
    const pg_put_source *source = user;
    pg_progress_clear(source->progress);
    pg_output_warn(source->output, "%s/%s is %s: left out", source->path, path, what);
}

pg_err pg_put_source_measure(pg_put_source *source)
{
    const pg_archive_notes notes = {.skipped = on_skipped, .user = source};
    pg_archive_sum sum = {0};
    if (!source->is_folder) {
        return PG_OK;
    }
    PG_TRY(pg_archive_measure(source->path, &sum, &source->size_bytes));
    return pg_packer_new(source->path, &notes, &source->packer);
}

bool pg_put_source_identify(const pg_put_source *source, pg_blake3_stream *path,
                            uint8_t out_version[PG_HASH_BYTES])
{
    struct stat info;
    char *resolved = source->is_sized ? realpath(source->path, NULL) : NULL;
    if (resolved == NULL) {
        return false;
    }
    pg_blake3_stream_update(path, pg_bytes_make(resolved, strlen(resolved) + 1));
    bool is_file = stat(resolved, &info) == 0 && S_ISREG(info.st_mode) &&
                   (uint64_t) info.st_size == source->size_bytes;
    free(resolved);
    if (!is_file) {
        return false;
    }
    // The time of the last change of the inode tells of whoever sets the other times.
    const int64_t what[] = {(int64_t) info.st_dev,          (int64_t) info.st_ino,
                            (int64_t) info.st_size,         (int64_t) info.st_mtim.tv_sec,
                            (int64_t) info.st_mtim.tv_nsec, (int64_t) info.st_ctim.tv_sec,
                            (int64_t) info.st_ctim.tv_nsec};
    pg_blake3(PG_BYTES_OF(what), out_version);
    return true;
}

void pg_put_source_skip(pg_put_source *source, uint64_t start)
{
    source->file.offset = start;
    source->read_bytes = start;
}

// What is there, not all that was asked for: a stream may be slow.
static pg_err stream_read(const pg_put_source *source, pg_mut_bytes space, size_t *out_len)
{
    ssize_t got = 0;
    do {
        got = read(source->stream_fd, space.ptr, space.len);
    } while (got < 0 && errno == EINTR);
    if (got < 0) {
        return pg_fail(PG_ERR_IO, "read %s: %s",
                       source->stream_fd == STDIN_FILENO ? "standard input" : source->path,
                       strerror(errno));
    }
    *out_len = (size_t) got;
    return PG_OK;
}

pg_err pg_put_source_read(pg_mut_bytes space, size_t *out_len, void *user)
{
    pg_put_source *source = user;
    if (source->packer != NULL) {
        PG_TRY(pg_packer_read(space, out_len, source->packer));
    } else if (source->stream_fd >= 0) {
        PG_TRY(stream_read(source, space, out_len));
    } else {
        PG_TRY(pg_source_read(&source->file, space, out_len));
        // The last bytes are given out only when the file is still what it was: after them nobody asks for more.
        if (source->read_bytes + *out_len == source->size_bytes) {
            PG_TRY(pg_source_check(&source->file));
        }
    }
    source->read_bytes += *out_len;
    return PG_OK;
}

void pg_put_source_close(pg_put_source *source)
{
    pg_packer_free(&source->packer);
    pg_source_close(&source->file);
    if (source->stream_fd >= 0 && source->stream_fd != STDIN_FILENO) {
        (void) close(source->stream_fd);
    }
    source->stream_fd = -1;
}
