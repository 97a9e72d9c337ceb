// SPDX-License-Identifier: Apache-2.0
// The copies beside a database from before its version changed, and the way back to one of them. `path`.vN is a database of version N like
// any other, without a log.
#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "runtime/file.h"
#include "runtime/time.h"
#include "store/db_priv.h"
#include "store/limits.h"

#define DAY_MS (INT64_C(24) * 3600 * 1000)

static pg_err copy_path(const char *path, uint32_t version, pg_buf *out)
{
    return pg_buf_printf(out, "%s.v%u", path, version);
}

/** A look through the folder of a database. */
typedef struct search {
    const char *name; // of the database, without its folder
    const char *folder;
    uint32_t version_max;
    uint32_t found; // the highest so far
    bool removes;   // those that are old
} search;

// The version of "name.vN"; false for every other name.
static bool version_read(const char *name, const char *database, uint32_t *out_version)
{
    size_t len = strlen(database);
    uint64_t version = 0;
    if (strncmp(name, database, len) != 0 || strncmp(name + len, ".v", 2) != 0 ||
        name[len + 2] == '0' ||
        pg_str_to_u64(pg_str_make(name + len + 2), PG_DB_COPY_VERSION_MAX, &version) != PG_OK) {
        return false;
    }
    *out_version = (uint32_t) version;
    return true;
}

static pg_err copy_age(const search *self, const char *name)
{
    pg_buf path PG_CLEANUP(pg_buf_deinit) = {0};
    pg_file_info info;
    PG_TRY(pg_buf_printf(&path, "%s/%s", self->folder, name));
    PG_TRY(pg_path_stat((const char *) path.ptr, &info));
    int64_t age_ms = pg_wall_ms() - info.modified_ms;
    return age_ms > PG_DB_COPY_DAYS * DAY_MS ? pg_path_remove((const char *) path.ptr) : PG_OK;
}

static pg_err on_name(const char *name, void *user)
{
    search *self = user;
    uint32_t version = 0;
    if (!version_read(name, self->name, &version)) {
        return PG_OK;
    }
    if (self->removes) {
        pg_ignore(copy_age(self, name), "it is tried again at the next start");
    }
    if (version <= self->version_max && version > self->found) {
        self->found = version;
    }
    return PG_OK;
}

static pg_err copies_each(search *self, const char *path)
{
    const char *slash = strrchr(path, '/');
    size_t len = slash == NULL ? 0 : (size_t) (slash - path);
    char *folder = slash == NULL ? pg_str_dup(PG_STR("."))
                                 : pg_str_dup(pg_str_make_len(path, len > 0 ? len : 1));
    if (folder == NULL) {
        return PG_ERR_NOMEM;
    }
    self->name = slash == NULL ? path : slash + 1;
    self->folder = folder;
    pg_err err = pg_dir_each(folder, on_name, self);
    pg_mfree(folder);
    return err;
}

void pg_db_copies_age(const char *path)
{
    search self = {.removes = true};
    pg_ignore(copies_each(&self, path), "it is tried again at the next start");
}

pg_err pg_db_copy_find(const char *path, uint32_t version_max, uint32_t *out_version)
{
    search self = {.version_max = version_max};
    PG_TRY(copies_each(&self, path));
    *out_version = self.found;
    return PG_OK;
}

pg_err pg_db_copy_keep(pg_db *db, const pg_key *key)
{
    pg_buf path PG_CLEANUP(pg_buf_deinit) = {0};
    PG_TRY(copy_path(db->path, db->version, &path));
    return pg_db_file_make((const char *) path.ptr, key, &db->conn);
}

// ---- The way back

// Opened, read through, and closed: without a log, since closing copies it back.
static pg_err copy_check(const char *path, const pg_key *key, uint32_t version)
{
    pg_file_info info;
    pg_db *db = NULL;
    PG_TRY(pg_path_stat(path, &info)); // opening would make one
    PG_TRY(pg_db_open(path, key, NULL, &db));
    pg_err err = pg_db_check(db);
    if (err == PG_OK && pg_db_version(db) != version) {
        err = pg_fail(PG_ERR_CORRUPT, "%s has version %u", path, pg_db_version(db));
    }
    pg_db_close(&db);
    return err;
}

static pg_err present_keep(const char *path, const pg_key *key, uint32_t *out_version)
{
    pg_buf kept PG_CLEANUP(pg_buf_deinit) = {0};
    pg_db *db = NULL;
    PG_TRY(pg_db_open(path, key, NULL, &db));
    *out_version = pg_db_version(db);
    pg_err err = copy_path(path, *out_version, &kept);
    if (err == PG_OK) {
        err = pg_path_remove((const char *) kept.ptr); // of an earlier time
        err = err == PG_ERR_NOT_FOUND ? PG_OK : err;
    }
    if (err == PG_OK) {
        err = pg_db_backup(db, (const char *) kept.ptr, key);
    }
    pg_db_close(&db);
    return err;
}

static pg_err log_remove(const char *path)
{
    pg_buf log PG_CLEANUP(pg_buf_deinit) = {0};
    PG_TRY(pg_buf_printf(&log, "%s-wal", path));
    pg_err err = pg_path_remove((const char *) log.ptr);
    return err == PG_ERR_NOT_FOUND ? PG_OK : err;
}

pg_err pg_db_go_back(const char *path, const pg_key *key, uint32_t version, uint32_t *out_before)
{
    pg_buf copy PG_CLEANUP(pg_buf_deinit) = {0};
    uint32_t before = 0;
    PG_TRY(copy_path(path, version, &copy));
    PG_TRY(
        pg_error_wrap(copy_check((const char *) copy.ptr, key, version), "the copy to go back to"));
    PG_TRY(present_keep(path, key, &before));
    PG_TRY(log_remove((const char *) copy.ptr));
    PG_TRY(log_remove(
        path)); // it is another database's from now on; what it had is in the file since it was closed
    PG_TRY(pg_path_rename((const char *) copy.ptr, path));
    const char *slash = strrchr(path, '/');
    char *folder =
        slash == NULL
            ? pg_str_dup(PG_STR("."))
            : pg_str_dup(pg_str_make_len(path, slash == path ? 1 : (size_t) (slash - path)));
    if (folder == NULL) {
        return PG_ERR_NOMEM;
    }
    pg_err err = pg_dir_sync(folder);
    pg_mfree(folder);
    PG_TRY(err);
    *out_before = before;
    return PG_OK;
}
