// SPDX-License-Identifier: Apache-2.0
#include "cli/target.h"

#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "runtime/fiber.h"
#include "runtime/random.h"

static const char *text_of(const pg_buf *path)
{
    return (const char *) path->ptr;
}

pg_err pg_target_check(const char *path, bool replace)
{
    pg_file_info info;
    pg_err err = pg_path_stat(path, &info);
    if (err == PG_ERR_NOT_FOUND) {
        return PG_OK;
    }
    PG_TRY(err);
    if (info.type != PG_FILE_TYPE_REGULAR) {
        return pg_fail(PG_ERR_INVALID, "%s is no ordinary file; -o - writes to standard output",
                       path);
    }
    if (!replace) {
        return pg_fail(PG_ERR_EXISTS, "%s is there already; --force replaces it", path);
    }
    return PG_OK;
}

pg_err pg_target_open(pg_target *target, pg_str path, bool replace)
{
    *target = (pg_target){.replace = replace};
    PG_TRY(pg_buf_printf(&target->path, "%.*s", PG_STR_ARGS(path)));
    if (strcmp(text_of(&target->path), "-") == 0) {
        return pg_file_from_fd(STDOUT_FILENO, &target->file);
    }
    PG_TRY(pg_target_check(text_of(&target->path), replace));
    uint8_t id[8];
    char hex[2 * sizeof(id) + 1];
    pg_random_bytes(PG_MUT_BYTES_OF(id));
    pg_hex_encode(PG_BYTES_OF(id), hex);
    // Beside its place, so that renaming is enough; not made of its name, which may be as long as names can be.
    const char *slash = strrchr(text_of(&target->path), '/');
    size_t folder_len = slash == NULL ? 0 : (size_t) (slash + 1 - text_of(&target->path));
    PG_TRY(pg_buf_printf(&target->hidden, "%.*s.pangea-%s", (int) folder_len,
                         text_of(&target->path), hex));
    pg_err err = pg_file_open(text_of(&target->hidden),
                              PG_FILE_MODE_WRITE | PG_FILE_MODE_CREATE | PG_FILE_MODE_EXCLUSIVE,
                              &target->file);
    if (err != PG_OK) {
        pg_buf_clear(&target->hidden);
    }
    return err;
}

pg_err pg_target_write(pg_target *target, pg_bytes bytes)
{
    pg_err err = target->hidden.len == 0 ? pg_file_write(target->file, bytes)
                                         : pg_file_write_at(target->file, target->offset, bytes);
    target->offset += bytes.len;
    return pg_error_wrap(err, "%s", text_of(&target->path));
}

pg_err pg_target_finish(pg_target *target)
{
    if (target->hidden.len == 0) {
        return PG_OK;
    }
    PG_TRY(pg_file_sync(target->file));
    PG_TRY(pg_target_check(text_of(&target->path), target->replace));
    PG_TRY(pg_path_rename(text_of(&target->hidden), text_of(&target->path)));
    pg_buf_clear(&target->hidden);
    return PG_OK;
}

void pg_target_close(pg_target *target)
{
    pg_fiber_shield(true);
    pg_file_free(&target->file);
    if (target->hidden.len > 0) {
        pg_ignore(pg_path_remove(text_of(&target->hidden)), "an error is on its way already");
    }
    pg_fiber_shield(false);
    pg_buf_deinit(&target->hidden);
    pg_buf_deinit(&target->path);
}
