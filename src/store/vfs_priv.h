// SPDX-License-Identifier: Apache-2.0
// SQLite's way to the disk: files of runtime/file.h, sealed page by page. One VFS a database, since it carries the keys. It knows the
// database file and its log, and refuses every other: there is no journal and no temporary file that could hold plaintext.
//
// Layer: store, private.  Thread: the worker of the database.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <sqlite3.h>

#include "base/err.h"
#include "runtime/file.h"
#include "store/reserve_priv.h"
#include "store/seal.h"

/** The VFS of one database. Own in place; must not move. */
typedef struct pg_vfs {
    sqlite3_vfs base;
    char name[32];
    const char *path; // of the database; borrowed
    pg_seal_keys keys;
    bool is_registered;
    bool has_failed;    // to sync: nothing is written any more
    pg_reserve reserve; // where the disk is full
    pg_err
        last_err; // of the last call that failed, which SQLite's codes tell too coarsely; PG_OK: none
} pg_vfs;

/** Make a VFS and register it with SQLite; `vfs->keys` are set by the caller. Errors: PG_ERR_NOMEM. */
PG_NODISCARD pg_err pg_vfs_init(pg_vfs *vfs, const char *path);

/** Take it from SQLite and wipe the keys. No database may be open. The all-zero value is fine. */
void pg_vfs_deinit(pg_vfs *vfs);

/** An open file, as SQLite holds it. */
typedef struct pg_vfs_file {
    sqlite3_file base;
    pg_vfs *vfs;
    pg_file *file;
    uint64_t size_bytes; // on the disk
    bool must_sync_name; // it was made, and its folder not synced
    // Of a log:
    bool was_written;    // since it was opened: from then on every frame has to be right
    bool has_head;       // `head` waits for its page
    uint64_t head_frame; // the frame it belongs to
    uint8_t head[PG_SEAL_FRAME_HEAD_BYTES];
} pg_vfs_file;

/** The operations on a log. */
extern const sqlite3_io_methods pg_vfs_log_methods;

/** Note why an operation fails, and return the code for SQLite. */
int pg_vfs_fail(pg_vfs *vfs, pg_err err, int code);

/** Read at `offset` of the file; *out_len is short at its end only. Returns a code of SQLite. */
int pg_vfs_read(pg_vfs_file *file, uint64_t offset, pg_mut_bytes space, size_t *out_len);

/** Write at `offset` of the file. Returns a code of SQLite. */
int pg_vfs_write(pg_vfs_file *file, uint64_t offset, pg_bytes bytes);

/** Cut the file. Returns a code of SQLite. */
int pg_vfs_truncate(pg_vfs_file *file, uint64_t size_bytes);

/** Make the file durable, and its name if it is new. Returns a code of SQLite. */
int pg_vfs_sync(pg_vfs_file *file);

// What both kinds of file have alike, as sqlite3_io_methods wants it.
int pg_vfs_close(sqlite3_file *base);
int pg_vfs_lock(sqlite3_file *base, int level);
int pg_vfs_check_reserved(sqlite3_file *base, int *out_reserved);
int pg_vfs_control(sqlite3_file *base, int operation, void *arg);
int pg_vfs_sector_bytes(sqlite3_file *base);
int pg_vfs_characteristics(sqlite3_file *base);
