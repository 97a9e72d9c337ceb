// SPDX-License-Identifier: Apache-2.0
// The VFS, and the database file: its first page tells whether the key is right, page n of SQLite (from 0) stands behind it.
#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "runtime/random.h"
#include "runtime/time.h"
#include "store/vfs_priv.h"

#define PATH_BYTES_MAX 4096

// Where the pager looks for the page size and the reserved tail before it has opened the log. The whole of a file's head that
// it reads then.
#define SQLITE_HEAD_BYTES 100

static pg_vfs_file *file_of(sqlite3_file *base)
{
    return (pg_vfs_file *) base;
}

static pg_vfs *vfs_of(sqlite3_vfs *base)
{
    return (pg_vfs *) base->pAppData;
}

int pg_vfs_fail(pg_vfs *vfs, pg_err err, int code)
{
    vfs->last_err = err;
    return err == PG_ERR_FULL ? SQLITE_FULL : err == PG_ERR_NOMEM ? SQLITE_NOMEM : code;
}

// ---- Files

int pg_vfs_read(pg_vfs_file *file, uint64_t offset, pg_mut_bytes space, size_t *out_len)
{
    pg_err err = pg_file_read_at(file->file, offset, space, out_len);
    return err == PG_OK ? SQLITE_OK : pg_vfs_fail(file->vfs, err, SQLITE_IOERR_READ);
}

int pg_vfs_write(pg_vfs_file *file, uint64_t offset, pg_bytes bytes)
{
    if (file->vfs->has_failed) {
        return pg_vfs_fail(file->vfs, PG_ERR_IO, SQLITE_IOERR_WRITE);
    }
    pg_err err = pg_file_write_at(file->file, offset, bytes);
    if (err == PG_ERR_FULL && pg_reserve_give(&file->vfs->reserve)) {
        err = pg_file_write_at(file->file, offset, bytes);
    }
    if (err != PG_OK) {
        return pg_vfs_fail(file->vfs, err, SQLITE_IOERR_WRITE);
    }
    if (offset + bytes.len > file->size_bytes) {
        file->size_bytes = offset + bytes.len;
    }
    return SQLITE_OK;
}

int pg_vfs_truncate(pg_vfs_file *file, uint64_t size_bytes)
{
    pg_err err = file->vfs->has_failed ? PG_ERR_IO : pg_file_truncate(file->file, size_bytes);
    if (err != PG_OK) {
        return pg_vfs_fail(file->vfs, err, SQLITE_IOERR_TRUNCATE);
    }
    file->size_bytes = size_bytes;
    return SQLITE_OK;
}

static pg_err folder_sync(const char *path)
{
    const char *slash = strrchr(path, '/');
    if (slash == NULL || slash == path) {
        return pg_dir_sync(slash == NULL ? "." : "/");
    }
    char *folder = pg_str_dup(pg_str_make_len(path, (size_t) (slash - path)));
    if (folder == NULL) {
        return pg_fail(PG_ERR_NOMEM, "cannot sync the folder of %s", path);
    }
    pg_err err = pg_dir_sync(folder);
    pg_mfree(folder);
    return err;
}

int pg_vfs_sync(pg_vfs_file *file)
{
    pg_err err = file->vfs->has_failed ? PG_ERR_IO : pg_file_sync(file->file);
    if (err == PG_OK && file->must_sync_name) {
        err = folder_sync(file->vfs->path);
    }
    if (err != PG_OK) {
        file->vfs->has_failed = true; // nobody knows what the disk has
        return pg_vfs_fail(file->vfs, err, SQLITE_IOERR_FSYNC);
    }
    file->must_sync_name = false;
    return SQLITE_OK;
}

int pg_vfs_close(sqlite3_file *base)
{
    pg_file_free(&file_of(base)->file);
    return SQLITE_OK;
}

// The file is locked for the process as long as it is open, and there is one connection.
int pg_vfs_lock(sqlite3_file *base, int level)
{
    (void) base;
    (void) level;
    return SQLITE_OK;
}

int pg_vfs_check_reserved(sqlite3_file *base, int *out_reserved)
{
    (void) base;
    *out_reserved = 0;
    return SQLITE_OK;
}

int pg_vfs_control(sqlite3_file *base, int operation, void *arg)
{
    (void) base;
    (void) operation;
    (void) arg;
    return SQLITE_NOTFOUND;
}

int pg_vfs_sector_bytes(sqlite3_file *base)
{
    (void) base;
    return PG_SEAL_PAGE_BYTES;
}

// Without this the log would be padded, and its frames written in pieces.
int pg_vfs_characteristics(sqlite3_file *base)
{
    (void) base;
    return SQLITE_IOCAP_POWERSAFE_OVERWRITE;
}

// ---- The database file

// What the head says of every database of ours. A crash while the log is copied back may tear the first page; the log has it whole, but
// before the log is opened SQLite asks for the head.
static void head_make_up(uint8_t out[SQLITE_HEAD_BYTES])
{
    memset(out, 0, SQLITE_HEAD_BYTES);
    memcpy(out, "SQLite format 3", 16);
    out[16] = PG_SEAL_PAGE_BYTES >> 8;
    out[18] = 2; // log for writing
    out[19] = 2; // and for reading
    out[20] = PG_SEAL_TAIL_BYTES;
    out[21] = 64;
    out[22] = 32;
    out[23] = 32;
}

// Read one page; beyond the end *out_there is false.
static int page_read(pg_vfs_file *file, uint64_t number, uint8_t page[PG_SEAL_PAGE_BYTES],
                     bool *out_there)
{
    size_t len = 0;
    int code = pg_vfs_read(file, (number + 1) * PG_SEAL_PAGE_BYTES,
                           pg_mut_bytes_make(page, PG_SEAL_PAGE_BYTES), &len);
    *out_there = len == PG_SEAL_PAGE_BYTES;
    if (code != SQLITE_OK || !*out_there) {
        return code;
    }
    return pg_seal_page_open(&file->vfs->keys, number, page) == PG_OK ? SQLITE_OK
                                                                      : SQLITE_IOERR_DATA;
}

static int on_read(sqlite3_file *base, void *out, int len, sqlite3_int64 offset)
{
    pg_vfs_file *file = file_of(base);
    uint8_t page[PG_SEAL_PAGE_BYTES];
    bool is_there = false;
    uint64_t number = (uint64_t) offset / PG_SEAL_PAGE_BYTES;
    size_t inside = (size_t) (offset % PG_SEAL_PAGE_BYTES);
    if (len < 0 || offset < 0 || inside + (size_t) len > PG_SEAL_PAGE_BYTES) {
        return SQLITE_IOERR_READ; // SQLite reads pages, and parts of the first
    }
    int code = page_read(file, number, page, &is_there);
    if (code == SQLITE_IOERR_DATA && inside + (size_t) len <= SQLITE_HEAD_BYTES) {
        head_make_up(page);
        code = SQLITE_OK;
    }
    if (code != SQLITE_OK) {
        return code == SQLITE_IOERR_DATA ? pg_vfs_fail(file->vfs, PG_ERR_CORRUPT, code) : code;
    }
    if (!is_there) {
        memset(out, 0, (size_t) len);
        return SQLITE_IOERR_SHORT_READ;
    }
    memcpy(out, page + inside, (size_t) len);
    return SQLITE_OK;
}

static int on_write(sqlite3_file *base, const void *bytes, int len, sqlite3_int64 offset)
{
    pg_vfs_file *file = file_of(base);
    uint8_t page[PG_SEAL_PAGE_BYTES];
    uint64_t number = (uint64_t) offset / PG_SEAL_PAGE_BYTES;
    if (len != PG_SEAL_PAGE_BYTES || offset < 0 || offset % PG_SEAL_PAGE_BYTES != 0) {
        return SQLITE_IOERR_WRITE;
    }
    pg_err err = pg_seal_page(&file->vfs->keys, number, bytes, page);
    if (err != PG_OK) {
        return pg_vfs_fail(file->vfs, err, SQLITE_IOERR_WRITE);
    }
    return pg_vfs_write(file, (number + 1) * PG_SEAL_PAGE_BYTES, PG_BYTES_OF(page));
}

static int on_truncate(sqlite3_file *base, sqlite3_int64 size)
{
    return pg_vfs_truncate(file_of(base), (uint64_t) size + PG_SEAL_PAGE_BYTES);
}

static int on_sync(sqlite3_file *base, int flags)
{
    (void) flags;
    return pg_vfs_sync(file_of(base));
}

// Whole pages: the last may have been cut short by a crash, and is then in the log.
static int on_size(sqlite3_file *base, sqlite3_int64 *out_size)
{
    uint64_t pages = file_of(base)->size_bytes / PG_SEAL_PAGE_BYTES;
    *out_size = (sqlite3_int64) (pages == 0 ? 0 : (pages - 1) * PG_SEAL_PAGE_BYTES);
    return SQLITE_OK;
}

// Version 1: no shared memory, no mapping. The index of the log is then in the heap, which exclusive locking allows.
static const sqlite3_io_methods database_methods = {
    .iVersion = 1,
    .xClose = pg_vfs_close,
    .xRead = on_read,
    .xWrite = on_write,
    .xTruncate = on_truncate,
    .xSync = on_sync,
    .xFileSize = on_size,
    .xLock = pg_vfs_lock,
    .xUnlock = pg_vfs_lock,
    .xCheckReservedLock = pg_vfs_check_reserved,
    .xFileControl = pg_vfs_control,
    .xSectorSize = pg_vfs_sector_bytes,
    .xDeviceCharacteristics = pg_vfs_characteristics,
};

// ---- The VFS

static pg_err file_open(pg_vfs_file *file, const char *path, bool is_log)
{
    pg_file_info info;
    unsigned mode = PG_FILE_MODE_WRITE;
    pg_err err = pg_file_open(path, mode, &file->file);
    if (err == PG_ERR_NOT_FOUND && is_log) {
        err = pg_file_open(path, mode | PG_FILE_MODE_CREATE, &file->file);
        file->must_sync_name = true;
    }
    if (err == PG_OK && !is_log) {
        err = pg_file_lock(file->file);
    }
    if (err == PG_OK) {
        err = pg_file_stat(file->file, &info);
    }
    if (err != PG_OK) {
        pg_file_free(&file->file);
        return err;
    }
    file->size_bytes = info.size_bytes;
    return PG_OK;
}

static int on_open(sqlite3_vfs *base, sqlite3_filename path, sqlite3_file *out_file, int flags,
                   int *out_flags)
{
    pg_vfs_file *file = file_of(out_file);
    *file = (pg_vfs_file){.vfs = vfs_of(base)};
    bool is_log = (flags & SQLITE_OPEN_WAL) != 0;
    if (path == NULL || (!is_log && (flags & SQLITE_OPEN_MAIN_DB) == 0)) {
        return SQLITE_CANTOPEN;
    }
    pg_err err = file_open(file, path, is_log);
    if (err != PG_OK) {
        return pg_vfs_fail(file->vfs, err, SQLITE_CANTOPEN);
    }
    file->base.pMethods = is_log ? &pg_vfs_log_methods : &database_methods;
    if (out_flags != NULL) {
        *out_flags = flags;
    }
    return SQLITE_OK;
}

static int on_delete(sqlite3_vfs *base, const char *path, int must_sync)
{
    pg_err err = pg_path_remove(path);
    if (err == PG_ERR_NOT_FOUND) {
        return SQLITE_IOERR_DELETE_NOENT;
    }
    if (err == PG_OK && must_sync != 0) {
        err = folder_sync(path);
    }
    return err == PG_OK ? SQLITE_OK : pg_vfs_fail(vfs_of(base), err, SQLITE_IOERR_DELETE);
}

static int on_access(sqlite3_vfs *base, const char *path, int flags, int *out_result)
{
    pg_file_info info;
    (void) flags;
    pg_err err = pg_path_stat(path, &info);
    *out_result = err == PG_OK;
    return err == PG_OK || err == PG_ERR_NOT_FOUND
               ? SQLITE_OK
               : pg_vfs_fail(vfs_of(base), err, SQLITE_IOERR_ACCESS);
}

static int on_full_path(sqlite3_vfs *base, const char *path, int room, char *out_path)
{
    (void) base;
    size_t len = strlen(path);
    if (room < 0 || len + 1 > (size_t) room) {
        return SQLITE_CANTOPEN;
    }
    memcpy(out_path, path, len + 1);
    return SQLITE_OK;
}

static int on_random(sqlite3_vfs *base, int len, char *out)
{
    (void) base;
    pg_random_bytes(pg_mut_bytes_make(out, (size_t) len));
    return len;
}

static int on_sleep(sqlite3_vfs *base, int time_us)
{
    (void) base;
    return time_us; // nobody else has the file, so nothing is worth waiting for
}

// In milliseconds since noon of November 24, 4714 before our era.
static int on_time(sqlite3_vfs *base, sqlite3_int64 *out_ms)
{
    (void) base;
    *out_ms = pg_wall_ms() + INT64_C(210866760000000);
    return SQLITE_OK;
}

static int on_last_error(sqlite3_vfs *base, int room, char *out_text)
{
    (void) base;
    (void) room;
    (void) out_text;
    return 0;
}

pg_err pg_vfs_init(pg_vfs *vfs, const char *path)
{
    vfs->base = (sqlite3_vfs){
        .iVersion = 2,
        .szOsFile = (int) sizeof(pg_vfs_file),
        .mxPathname = PATH_BYTES_MAX,
        .zName = vfs->name,
        .pAppData = vfs,
        .xOpen = on_open,
        .xDelete = on_delete,
        .xAccess = on_access,
        .xFullPathname = on_full_path,
        .xRandomness = on_random,
        .xSleep = on_sleep,
        .xGetLastError = on_last_error,
        .xCurrentTimeInt64 = on_time,
    };
    vfs->path = path;
    // A name nobody else has: where the VFS stands.
    const void *place = vfs;
    pg_hex_encode(pg_bytes_make(&place, sizeof(place)), vfs->name);
    if (sqlite3_vfs_register(&vfs->base, 0) != SQLITE_OK) {
        return pg_fail(PG_ERR_NOMEM, "SQLite does not start");
    }
    vfs->is_registered = true;
    return PG_OK;
}

void pg_vfs_deinit(pg_vfs *vfs)
{
    if (vfs->is_registered) {
        (void) sqlite3_vfs_unregister(&vfs->base);
    }
    pg_reserve_deinit(&vfs->reserve);
    pg_wipe(vfs, sizeof(*vfs));
}
