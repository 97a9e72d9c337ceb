// SPDX-License-Identifier: Apache-2.0
// The write-ahead log. SQLite writes the 24 bytes of a frame's head, then the page; when it writes a page of a transaction for the
// second time, it overwrites the page alone, and the heads with new checksums later. Each frame is one sealed message, so a head
// waits in memory for its page, and what changes alone is read, opened, changed and sealed anew.
//
// The log's own head of 32 bytes holds nothing private and stays as it is.
#include <string.h>

#include "store/vfs_priv.h"

static pg_vfs_file *file_of(sqlite3_file *base)
{
    return (pg_vfs_file *) base;
}

static uint64_t offset_of(uint64_t frame)
{
    return PG_SEAL_LOG_HEAD_BYTES + frame * PG_SEAL_FRAME_BYTES;
}

/** What stands where a frame belongs. */
typedef enum frame_kind {
    FRAME_KIND_NONE, // the file ends before its end
    FRAME_KIND_WRONG,
    FRAME_KIND_RIGHT,
} frame_kind;

static int frame_read(pg_vfs_file *file, uint64_t number, uint8_t frame[PG_SEAL_FRAME_BYTES],
                      frame_kind *out_kind)
{
    size_t len = 0;
    int code =
        pg_vfs_read(file, offset_of(number), pg_mut_bytes_make(frame, PG_SEAL_FRAME_BYTES), &len);
    if (code != SQLITE_OK) {
        return code;
    }
    *out_kind = FRAME_KIND_NONE;
    if (len == PG_SEAL_FRAME_BYTES) {
        bool is_right = pg_seal_frame_open(&file->vfs->keys, number, frame) == PG_OK;
        *out_kind = is_right ? FRAME_KIND_RIGHT : FRAME_KIND_WRONG;
    }
    return SQLITE_OK;
}

static int frame_write(pg_vfs_file *file, uint64_t number, uint8_t frame[PG_SEAL_FRAME_BYTES])
{
    pg_err err = pg_seal_frame(&file->vfs->keys, number, frame);
    if (err != PG_OK) {
        return pg_vfs_fail(file->vfs, err, SQLITE_IOERR_WRITE);
    }
    file->was_written = true;
    return pg_vfs_write(file, offset_of(number), pg_bytes_make(frame, PG_SEAL_FRAME_BYTES));
}

// Change the head, or the page, of a frame that is there.
static int frame_change(pg_vfs_file *file, uint64_t number, size_t at, pg_bytes bytes)
{
    uint8_t frame[PG_SEAL_FRAME_BYTES];
    frame_kind kind = FRAME_KIND_NONE;
    int code = frame_read(file, number, frame, &kind);
    if (code != SQLITE_OK) {
        return code;
    }
    if (kind != FRAME_KIND_RIGHT) {
        return pg_vfs_fail(file->vfs, PG_ERR_CORRUPT, SQLITE_IOERR_DATA);
    }
    memcpy(frame + at, bytes.ptr, bytes.len);
    return frame_write(file, number, frame);
}

// A head without a page to follow belongs to the page that is there.
static int head_flush(pg_vfs_file *file)
{
    if (!file->has_head) {
        return SQLITE_OK;
    }
    file->has_head = false;
    return frame_change(file, file->head_frame, 0, PG_BYTES_OF(file->head));
}

// A part of one frame. A wrong frame ends the log while it is recovered, when whole frames are read and nothing was
// written yet; zeros tell SQLite so.
static int frame_copy(pg_vfs_file *file, uint64_t number, size_t inside, pg_mut_bytes out)
{
    uint8_t frame[PG_SEAL_FRAME_BYTES];
    frame_kind kind = FRAME_KIND_NONE;
    int code = frame_read(file, number, frame, &kind);
    if (code != SQLITE_OK) {
        return code;
    }
    if (kind == FRAME_KIND_NONE) {
        memset(out.ptr, 0, out.len);
        return SQLITE_IOERR_SHORT_READ;
    }
    if (kind == FRAME_KIND_WRONG && (file->was_written || out.len < PG_SEAL_FRAME_BYTES)) {
        return pg_vfs_fail(file->vfs, PG_ERR_CORRUPT, SQLITE_IOERR_DATA);
    }
    if (kind == FRAME_KIND_WRONG) {
        memset(out.ptr, 0, out.len);
        return SQLITE_OK;
    }
    memcpy(out.ptr, frame + inside, out.len);
    return SQLITE_OK;
}

static int on_read(sqlite3_file *base, void *out, int len, sqlite3_int64 offset)
{
    pg_vfs_file *file = file_of(base);
    pg_mut_bytes space = pg_mut_bytes_make(out, (size_t) len);
    int code = head_flush(file);
    if (code != SQLITE_OK) {
        return code;
    }
    if (offset + len <= PG_SEAL_LOG_HEAD_BYTES) {
        size_t got = 0;
        code = pg_vfs_read(file, (uint64_t) offset, space, &got);
        if (code == SQLITE_OK && got < space.len) {
            memset(space.ptr + got, 0, space.len - got);
            code = SQLITE_IOERR_SHORT_READ;
        }
        return code;
    }
    uint64_t from = (uint64_t) offset - PG_SEAL_LOG_HEAD_BYTES;
    size_t inside = (size_t) (from % PG_SEAL_FRAME_BYTES);
    if (offset < PG_SEAL_LOG_HEAD_BYTES || inside + space.len > PG_SEAL_FRAME_BYTES) {
        return SQLITE_IOERR_READ; // SQLite reads frames, and parts of them
    }
    return frame_copy(file, from / PG_SEAL_FRAME_BYTES, inside, space);
}

static int page_write(pg_vfs_file *file, uint64_t number, pg_bytes page)
{
    uint8_t frame[PG_SEAL_FRAME_BYTES];
    if (!file->has_head || file->head_frame != number) {
        int code = head_flush(file);
        return code == SQLITE_OK ? frame_change(file, number, PG_SEAL_FRAME_HEAD_BYTES, page)
                                 : code;
    }
    file->has_head = false;
    memcpy(frame, file->head, sizeof(file->head));
    memcpy(frame + sizeof(file->head), page.ptr, page.len);
    return frame_write(file, number, frame);
}

static int on_write(sqlite3_file *base, const void *bytes, int len, sqlite3_int64 offset)
{
    pg_vfs_file *file = file_of(base);
    if (offset == 0 && len == PG_SEAL_LOG_HEAD_BYTES) {
        int code = head_flush(file);
        file->was_written = true;
        return code == SQLITE_OK ? pg_vfs_write(file, 0, pg_bytes_make(bytes, (size_t) len)) : code;
    }
    uint64_t from = (uint64_t) offset - PG_SEAL_LOG_HEAD_BYTES;
    uint64_t number = from / PG_SEAL_FRAME_BYTES;
    size_t inside = (size_t) (from % PG_SEAL_FRAME_BYTES);
    if (offset < PG_SEAL_LOG_HEAD_BYTES) {
        return SQLITE_IOERR_WRITE;
    }
    if (inside == PG_SEAL_FRAME_HEAD_BYTES && len == PG_SEAL_PAGE_BYTES) {
        return page_write(file, number, pg_bytes_make(bytes, (size_t) len));
    }
    if (inside != 0 || len != PG_SEAL_FRAME_HEAD_BYTES) {
        return SQLITE_IOERR_WRITE;
    }
    int code = head_flush(file);
    if (code == SQLITE_OK) {
        memcpy(file->head, bytes, sizeof(file->head));
        file->head_frame = number;
        file->has_head = true;
    }
    return code;
}

static int on_truncate(sqlite3_file *base, sqlite3_int64 size)
{
    int code = head_flush(file_of(base));
    return code == SQLITE_OK ? pg_vfs_truncate(file_of(base), (uint64_t) size) : code;
}

static int on_sync(sqlite3_file *base, int flags)
{
    (void) flags;
    int code = head_flush(file_of(base));
    return code == SQLITE_OK ? pg_vfs_sync(file_of(base)) : code;
}

static int on_size(sqlite3_file *base, sqlite3_int64 *out_size)
{
    *out_size = (sqlite3_int64) file_of(base)->size_bytes;
    return head_flush(file_of(base));
}

const sqlite3_io_methods pg_vfs_log_methods = {
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
