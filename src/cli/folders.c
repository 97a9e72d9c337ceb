// SPDX-License-Identifier: Apache-2.0
#include "cli/folders.h"

#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "runtime/fiber.h"
#include "runtime/file.h"
#include "runtime/random.h"

/** Set a buffer to "parent/name" with a NUL behind it. */
static pg_err join_path(pg_buf *path, const char *parent, const char *name)
{
    pg_buf_clear(path);
    return pg_buf_printf(path, "%s/%s", parent, name);
}

static const char *text_of(const pg_buf *path)
{
    return (const char *) path->ptr;
}

static pg_err folders_init(pg_folders *folders, const char *const *paths, size_t count)
{
    *folders = (pg_folders){.paths = paths, .count = count};
    folders->set = pg_calloc(count, sizeof(*folders->set));
    return folders->set == NULL ? PG_ERR_NOMEM : PG_OK;
}

void pg_folders_deinit(pg_folders *folders)
{
    for (size_t i = 0; i < folders->count && folders->set != NULL; i++) {
        pg_buf_deinit(&folders->set[i]);
    }
    pg_mfree(folders->set);
    *folders = (pg_folders){0};
}

static pg_err prepare_one(pg_folders *folders, size_t i, const char *hidden)
{
    const char *path = folders->paths[i];
    pg_file_info info;
    PG_TRY(pg_path_stat(path, &info));
    if (info.type != PG_FILE_TYPE_FOLDER) {
        return pg_fail(PG_ERR_INVALID, "%s is no folder", path);
    }
    PG_TRY(join_path(&folders->set[i], path, hidden));
    pg_err err = pg_dir_make(text_of(&folders->set[i]));
    if (err == PG_ERR_EXISTS) {
        return pg_fail(PG_ERR_INVALID, "%s is named twice", path);
    }
    PG_TRY(err);
    folders->prepared++;
    return PG_OK;
}

pg_err pg_folders_prepare(pg_folders *folders, const char *const *paths, size_t count)
{
    uint8_t id[8];
    char hidden[] = ".pangea-0123456789abcdef";
    pg_random_bytes(PG_MUT_BYTES_OF(id));
    pg_hex_encode(PG_BYTES_OF(id), hidden + strlen(".pangea-"));
    PG_TRY(folders_init(folders, paths, count));
    for (size_t i = 0; i < count; i++) {
        PG_TRY(prepare_one(folders, i, hidden));
    }
    return PG_OK;
}

/** Write the path of a block to `path`. */
static pg_err block_path(const pg_folders *folders, size_t folder, const pg_cid *cid, pg_buf *path)
{
    char name[PG_CID_TEXT_BYTES];
    pg_cid_format(cid, name);
    return join_path(path, text_of(&folders->set[folder]), name);
}

pg_err pg_folders_put(const pg_folders *folders, size_t folder, const pg_cid *cid, pg_bytes block)
{
    pg_buf path = {0};
    pg_file *file = NULL;
    pg_err err = block_path(folders, folder, cid, &path);
    if (err == PG_OK) {
        err = pg_file_open(text_of(&path),
                           PG_FILE_MODE_WRITE | PG_FILE_MODE_CREATE | PG_FILE_MODE_TRUNCATE, &file);
    }
    if (err == PG_OK) {
        err = pg_error_wrap(pg_file_write_at(file, 0, block), "%s", folders->paths[folder]);
    }
    pg_file_free(&file);
    pg_buf_deinit(&path);
    return err;
}

/** Makes one file of the folder `user` durable. */
static pg_err on_name_sync(const char *name, void *user)
{
    pg_buf path = {0};
    pg_file *file = NULL;
    pg_err err = join_path(&path, user, name);
    if (err == PG_OK) {
        err = pg_file_open(text_of(&path), PG_FILE_MODE_READ, &file);
    }
    if (err == PG_OK) {
        err = pg_file_sync(file);
    }
    pg_file_free(&file);
    pg_buf_deinit(&path);
    return err;
}

pg_err pg_folders_finish(pg_folders *folders, const pg_cid *root)
{
    pg_buf path = {0};
    pg_err err = PG_OK;
    pg_cid_format(root, folders->root);
    // A set may have its name only when all of it is on the disk: a crash leaves the whole of it or none.
    for (size_t i = 0; i < folders->count && err == PG_OK; i++) {
        pg_buf *set = &folders->set[i];
        err = pg_dir_each(text_of(set), on_name_sync, set->ptr);
        if (err == PG_OK) {
            err = pg_dir_sync(text_of(set));
        }
    }
    for (size_t i = 0; i < folders->count && err == PG_OK; i++) {
        err = join_path(&path, folders->paths[i], folders->root);
        if (err == PG_OK) {
            err = pg_path_rename(text_of(&folders->set[i]), text_of(&path));
        }
        if (err == PG_OK) {
            folders->finished++;
            err = pg_dir_sync(folders->paths[i]);
        }
    }
    pg_buf_deinit(&path);
    return err;
}

/** Removes one file of the folder `user`. */
static pg_err on_name_remove(const char *name, void *user)
{
    pg_buf path = {0};
    pg_err err = join_path(&path, user, name);
    if (err == PG_OK) {
        err = pg_path_remove(text_of(&path));
    }
    pg_buf_deinit(&path);
    return err;
}

void pg_folders_abort(pg_folders *folders)
{
    pg_fiber_shield(true);
    for (size_t i = 0; i < folders->prepared; i++) {
        pg_buf *set = &folders->set[i];
        if (i < folders->finished) {
            pg_ignore(join_path(set, folders->paths[i], folders->root), "removes less then");
        }
        pg_ignore(pg_dir_each(text_of(set), on_name_remove, set->ptr), "removes what it can");
        pg_ignore(pg_dir_remove(text_of(set)), "an error is on its way already");
    }
    pg_fiber_shield(false);
}

pg_err pg_folders_find(pg_folders *folders, const char *const *paths, size_t count,
                       const pg_cid *root)
{
    PG_TRY(folders_init(folders, paths, count));
    pg_cid_format(root, folders->root);
    for (size_t i = 0; i < count; i++) {
        pg_file_info info;
        PG_TRY(join_path(&folders->set[i], paths[i], folders->root));
        // In the set's folder itself the root is a file of that name.
        pg_err err = pg_path_stat(text_of(&folders->set[i]), &info);
        if (err != PG_OK || info.type != PG_FILE_TYPE_FOLDER) {
            PG_TRY(join_path(&folders->set[i], paths[i], "."));
        }
    }
    return PG_OK;
}

pg_err pg_folders_get(const pg_folders *folders, size_t folder, const pg_cid *cid,
                      pg_mut_bytes space, size_t *out_len)
{
    pg_buf path = {0};
    pg_file *file = NULL;
    pg_err err = block_path(folders, folder, cid, &path);
    if (err == PG_OK) {
        err = pg_file_open(text_of(&path), PG_FILE_MODE_READ, &file);
    }
    if (err == PG_OK) {
        err = pg_file_read_at(file, 0, space, out_len);
    }
    pg_file_free(&file);
    pg_buf_deinit(&path);
    return err;
}
