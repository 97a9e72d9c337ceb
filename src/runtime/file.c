// SPDX-License-Identifier: Apache-2.0
// The way from the functions of file.h to the world of the run, and what is made of several of them.
#include "runtime/file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "runtime/random.h"
#include "runtime/world_priv.h"

#define PATH_BYTES_MAX 4096 // as the system's
#define LOAD_STEP_BYTES 65536

static pg_err enter(pg_world **out_world, const pg_file_ops **out_ops)
{
    pg_world *world = pg_world_current();
    pg_assert(world != NULL); // else: called outside a run
    if (pg_fiber_is_ghost()) {
        return PG_ERR_CANCELLED;
    }
    *out_world = world;
    *out_ops = world->ops->file;
    return PG_OK;
}

// An operation on an open file.
#define FILE_DO(operation, ...)                                                                    \
    do {                                                                                           \
        pg_world *world = NULL;                                                                    \
        const pg_file_ops *ops = NULL;                                                             \
        PG_TRY(enter(&world, &ops));                                                               \
        return ops->operation == NULL ? PG_ERR_UNSUPPORTED : ops->operation(__VA_ARGS__);          \
    } while (0)

// An operation on a path; `world` is in scope.
#define PATH_DO(operation, ...) FILE_DO(operation, world, __VA_ARGS__)

static pg_err open_with(const char *path, unsigned mode, uint32_t permissions, pg_file **out_file)
{
    PATH_DO(open, path, mode, permissions, out_file);
}

pg_err pg_file_open(const char *path, unsigned mode, pg_file **out_file)
{
    return open_with(path, mode, 0600, out_file);
}

pg_err pg_file_read_at(pg_file *file, uint64_t offset, pg_mut_bytes space, size_t *out_len)
{
    FILE_DO(read_at, file, offset, space, out_len);
}

pg_err pg_file_read(pg_file *file, pg_mut_bytes space, size_t *out_len)
{
    FILE_DO(read, file, space, out_len);
}

pg_err pg_file_write_at(pg_file *file, uint64_t offset, pg_bytes bytes)
{
    FILE_DO(write_at, file, offset, bytes);
}

pg_err pg_file_read_uncached(pg_file *file, uint64_t offset, pg_mut_bytes space, size_t *out_len)
{
    pg_world *world = NULL;
    const pg_file_ops *ops = NULL;
    PG_TRY(enter(&world, &ops));
    return ops->read_uncached != NULL ? ops->read_uncached(file, offset, space, out_len)
                                      : ops->read_at(file, offset, space, out_len);
}

pg_err pg_file_write_uncached(pg_file *file, uint64_t offset, pg_bytes head, pg_bytes rest)
{
    pg_world *world = NULL;
    const pg_file_ops *ops = NULL;
    PG_TRY(enter(&world, &ops));
    if (ops->write_uncached != NULL) {
        return ops->write_uncached(file, offset, head, rest);
    }
    PG_TRY(ops->write_at(file, offset, head));
    return rest.len == 0 ? PG_OK : ops->write_at(file, offset + head.len, rest);
}

pg_err pg_file_write(pg_file *file, pg_bytes bytes)
{
    FILE_DO(write, file, bytes);
}

pg_err pg_file_sync(pg_file *file)
{
    FILE_DO(sync, file);
}

pg_err pg_file_truncate(pg_file *file, uint64_t size_bytes)
{
    FILE_DO(truncate, file, size_bytes);
}

pg_err pg_file_punch(pg_file *file, uint64_t offset, uint64_t len)
{
    FILE_DO(punch, file, offset, len);
}

pg_err pg_file_next_data(pg_file *file, uint64_t offset, uint64_t *out_begin, uint64_t *out_end)
{
    FILE_DO(next_data, file, offset, out_begin, out_end);
}

pg_err pg_file_lock(pg_file *file)
{
    FILE_DO(lock, file);
}

pg_err pg_file_stat(pg_file *file, pg_file_info *out_info)
{
    FILE_DO(stat, file, out_info);
}

void pg_file_free(pg_file **file)
{
    if (*file != NULL) {
        pg_world_current()->ops->file->free(*file);
        *file = NULL;
    }
}

pg_err pg_path_stat(const char *path, pg_file_info *out_info)
{
    PATH_DO(path_stat, path, out_info);
}

pg_err pg_path_rename(const char *from, const char *to)
{
    PATH_DO(path_rename, from, to);
}

pg_err pg_path_remove(const char *path)
{
    PATH_DO(path_remove, path);
}

pg_err pg_dir_make(const char *path)
{
    PATH_DO(dir_make, path);
}

pg_err pg_dir_remove(const char *path)
{
    PATH_DO(dir_remove, path);
}

pg_err pg_dir_sync(const char *path)
{
    PATH_DO(dir_sync, path);
}

pg_err pg_disk_space(const char *path, uint64_t *out_total, uint64_t *out_free)
{
    PATH_DO(disk_space, path, out_total, out_free);
}

static pg_err dir_list(const char *path, pg_buf *out_names)
{
    PATH_DO(dir_list, path, out_names);
}

static int names_compare(const void *a, const void *b)
{
    return strcmp(*(const char *const *) a, *(const char *const *) b);
}

pg_err pg_dir_each(const char *path, pg_err (*each)(const char *name, void *user), void *user)
{
    pg_buf text = {0};
    const char **names = NULL;
    size_t count = 0;
    pg_err err = dir_list(path, &text);
    if (err != PG_OK) {
        goto out;
    }
    for (size_t i = 0; i < text.len; i++) {
        count += text.ptr[i] == 0;
    }
    names = pg_calloc(count, sizeof(*names));
    if (names == NULL) {
        err = pg_fail(PG_ERR_NOMEM, "cannot list %s", path);
        goto out;
    }
    const char *name = (const char *) text.ptr;
    for (size_t i = 0; i < count; i++) {
        names[i] = name;
        name += strlen(name) + 1;
    }
    qsort(names, count, sizeof(*names), names_compare);
    for (size_t i = 0; i < count && err == PG_OK; i++) {
        err = each(names[i], user);
    }
out:
    pg_mfree(names);
    pg_buf_deinit(&text);
    return err;
}

// The folder that holds `path`: all before its last slash.
static pg_err folder_of(const char *path, char out_folder[PATH_BYTES_MAX])
{
    const char *slash = strrchr(path, '/');
    if (slash == NULL) {
        memcpy(out_folder, ".", sizeof("."));
        return PG_OK;
    }
    size_t len = slash == path ? 1 : (size_t) (slash - path);
    if (len >= PATH_BYTES_MAX) {
        return pg_fail(PG_ERR_INVALID, "path of %zu bytes is too long", strlen(path));
    }
    memcpy(out_folder, path, len);
    out_folder[len] = '\0';
    return PG_OK;
}

static pg_err temporary_write(const char *path, pg_bytes bytes, uint32_t permissions)
{
    pg_file *file = NULL;
    PG_TRY(open_with(path, PG_FILE_MODE_WRITE | PG_FILE_MODE_CREATE | PG_FILE_MODE_EXCLUSIVE,
                     permissions, &file));
    pg_err err = pg_file_write_at(file, 0, bytes);
    if (err == PG_OK) {
        err = pg_file_sync(file);
    }
    pg_file_free(&file);
    return err;
}

pg_err pg_file_replace(const char *path, pg_bytes bytes, uint32_t permissions)
{
    pg_buf temporary = {.max_len = PATH_BYTES_MAX};
    char *folder = pg_malloc(PATH_BYTES_MAX);
    bool made = false;
    pg_err err = PG_OK;
    if (folder == NULL) {
        err = pg_fail(PG_ERR_NOMEM, "cannot replace %s", path);
        goto out;
    }
    err = folder_of(path, folder);
    if (err != PG_OK) {
        goto out;
    }
    err = pg_buf_printf(&temporary, "%s.%08x.tmp", path,
                        (unsigned) pg_random_below(UINT64_C(1) << 32));
    if (err != PG_OK) {
        goto out;
    }
    err = temporary_write((const char *) temporary.ptr, bytes, permissions);
    made = err != PG_ERR_EXISTS && err != PG_ERR_NOT_FOUND;
    if (err == PG_OK) {
        err = pg_path_rename((const char *) temporary.ptr, path);
    }
    if (err != PG_OK) {
        goto out;
    }
    made = false;
    err = pg_dir_sync(folder);
out:
    if (made) {
        pg_ignore(pg_path_remove((const char *) temporary.ptr), "the first failure counts");
    }
    pg_buf_deinit(&temporary);
    pg_mfree(folder);
    return err;
}

pg_err pg_file_load(const char *path, size_t max_bytes, pg_buf *out)
{
    pg_file *file = NULL;
    size_t before = out->len;
    PG_TRY(pg_file_open(path, PG_FILE_MODE_READ, &file));
    pg_err err = PG_OK;
    for (bool at_end = false; err == PG_OK && !at_end;) {
        // One byte more than allowed tells a file that is too large, whatever its size was a moment ago.
        size_t loaded = out->len - before;
        size_t want = pg_min_size(LOAD_STEP_BYTES, max_bytes - loaded) + 1;
        uint8_t *space = NULL;
        size_t got = 0;
        err = pg_buf_extend(out, want, &space);
        if (err != PG_OK) {
            break;
        }
        err = pg_file_read_at(file, loaded, pg_mut_bytes_make(space, want), &got);
        out->len -= want - (err == PG_OK ? got : 0);
        at_end = got < want;
        if (err == PG_OK && loaded + got > max_bytes) {
            err = pg_fail(PG_ERR_LIMIT, "%s is larger than %zu bytes", path, max_bytes);
        }
    }
    if (err != PG_OK) {
        out->len = before;
    }
    pg_file_free(&file);
    return err;
}
