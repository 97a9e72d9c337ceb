// SPDX-License-Identifier: Apache-2.0
// Files and folders. Every call parks while the I/O pool (or the simulated disk) works. Nothing is durable before
// pg_file_sync; a new name is not durable before pg_dir_sync of its folder. Inside a job (offload.h) the same calls do
// their work at once on the job's thread, so that a database there has its files through this interface too. All end with
// PG_ERR_CANCELLED, before anything was done, in a cancelled fiber; what has begun is waited for.
//
// Layer: runtime.  Thread: loop thread, or a job; one file at a time.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/bytes.h"
#include "base/err.h"

typedef struct pg_file pg_file;

typedef enum pg_file_mode {
    PG_FILE_MODE_READ = 1,
    PG_FILE_MODE_WRITE = 2,     // reading too
    PG_FILE_MODE_CREATE = 4,    // make it if it is not there, mode 0600
    PG_FILE_MODE_EXCLUSIVE = 8, // with CREATE: fail with PG_ERR_EXISTS if it is there
    PG_FILE_MODE_TRUNCATE = 16,
    PG_FILE_MODE_UNCACHED =
        32, // pg_file_read_uncached and pg_file_write_uncached may do what they say
} pg_file_mode;

typedef enum pg_file_type {
    PG_FILE_TYPE_REGULAR,
    PG_FILE_TYPE_FOLDER,
    PG_FILE_TYPE_LINK,
    PG_FILE_TYPE_OTHER,
} pg_file_type;

/** What a file is. */
typedef struct pg_file_info {
    pg_file_type type;
    uint64_t size_bytes;
    uint64_t allocated_bytes; // what it takes on the disk, as `du` counts
    int64_t modified_ms;      // wall clock
    uint32_t permissions;     // 0777 and the rest of the mode bits
    uint64_t inode;
} pg_file_info;

/** Open a file; `mode` is a sum of pg_file_mode. Parks: yes, as all here.
 *  Errors: PG_ERR_NOT_FOUND, PG_ERR_EXISTS, PG_ERR_ACCESS, PG_ERR_LIMIT (descriptors), PG_ERR_FULL, PG_ERR_IO, PG_ERR_NOMEM.
 *  The detail names the path. */
PG_NODISCARD pg_err pg_file_open(const char *path, unsigned mode, pg_file **out_file);

/** Wrap a descriptor of the process (0 = standard input, 1 = standard output); it is not closed with the file. Not in a simulated run. */
PG_NODISCARD pg_err pg_file_from_fd(int fd, pg_file **out_file);

/** Read at `offset` until `space` is full or the file ends; *out_len may be short only at the end. Errors: PG_ERR_IO. */
PG_NODISCARD pg_err pg_file_read_at(pg_file *file, uint64_t offset, pg_mut_bytes space,
                                    size_t *out_len);

/** Read the next bytes of something that cannot seek (a pipe), until `space` is full or it ends. Errors: PG_ERR_IO;
 *  PG_ERR_CANCELLED here also while it waits. */
PG_NODISCARD pg_err pg_file_read(pg_file *file, pg_mut_bytes space, size_t *out_len);

/** Write all of `bytes` at `offset`. Errors: PG_ERR_FULL, PG_ERR_IO. */
PG_NODISCARD pg_err pg_file_write_at(pg_file *file, uint64_t offset, pg_bytes bytes);

/** Read as pg_file_read_at, for what is not to be expected again soon: where the file was opened with PG_FILE_MODE_UNCACHED, the file
 *  system can, and it is much (64 KiB), the system keeps no copy in memory of what was read. Errors: PG_ERR_IO. */
PG_NODISCARD pg_err pg_file_read_uncached(pg_file *file, uint64_t offset, pg_mut_bytes space,
                                          size_t *out_len);

/** Write `head` and `rest`, one after the other, at `offset`, a multiple of 4 KiB; under the same conditions the system keeps no copy
 *  in memory, and what follows up to the next multiple becomes zeros. Errors: PG_ERR_FULL, PG_ERR_IO. */
PG_NODISCARD pg_err pg_file_write_uncached(pg_file *file, uint64_t offset, pg_bytes head,
                                           pg_bytes rest);

/** Write all of `bytes` to something that cannot seek. Errors: PG_ERR_FULL, PG_ERR_CLOSED (nobody reads), PG_ERR_IO. */
PG_NODISCARD pg_err pg_file_write(pg_file *file, pg_bytes bytes);

/** Make what was written durable (fdatasync). After a failure the content is unknown: do not retry. Errors: PG_ERR_IO, PG_ERR_FULL. */
PG_NODISCARD pg_err pg_file_sync(pg_file *file);

/** Cut or extend with zeros to `size_bytes`. Errors: PG_ERR_FULL, PG_ERR_IO. */
PG_NODISCARD pg_err pg_file_truncate(pg_file *file, uint64_t size_bytes);

/** Give the blocks of a range back to the disk; it reads as zeros. Errors: PG_ERR_UNSUPPORTED, PG_ERR_IO. */
PG_NODISCARD pg_err pg_file_punch(pg_file *file, uint64_t offset, uint64_t len);

/** Find what a sparse file holds: the first bytes from `offset` on that are no hole, [*out_begin, *out_end); both are the file's end where
 *  nothing more comes. Errors: PG_ERR_UNSUPPORTED, PG_ERR_IO. */
PG_NODISCARD pg_err pg_file_next_data(pg_file *file, uint64_t offset, uint64_t *out_begin,
                                      uint64_t *out_end);

/** Take the lock of a file for this process, for as long as it is open. Errors: PG_ERR_BUSY (another process has it). */
PG_NODISCARD pg_err pg_file_lock(pg_file *file);

/** Tell what the open file is. Errors: PG_ERR_IO. */
PG_NODISCARD pg_err pg_file_stat(pg_file *file, pg_file_info *out_info);

/** Close and free; errors of closing are of no use after a sync. NULL is fine. */
void pg_file_free(pg_file **file);

/** Tell what `path` is, following symbolic links. Errors: PG_ERR_NOT_FOUND, PG_ERR_ACCESS, PG_ERR_IO. */
PG_NODISCARD pg_err pg_path_stat(const char *path, pg_file_info *out_info);

/** Give `from` the name `to`, replacing what is there, in one step. Errors: PG_ERR_NOT_FOUND, PG_ERR_ACCESS, PG_ERR_FULL, PG_ERR_IO. */
PG_NODISCARD pg_err pg_path_rename(const char *from, const char *to);

/** Remove a file. Errors: PG_ERR_NOT_FOUND, PG_ERR_ACCESS, PG_ERR_IO. */
PG_NODISCARD pg_err pg_path_remove(const char *path);

/** Make a folder, mode 0700. Errors: PG_ERR_EXISTS, PG_ERR_NOT_FOUND (its parent), PG_ERR_ACCESS, PG_ERR_FULL, PG_ERR_IO. */
PG_NODISCARD pg_err pg_dir_make(const char *path);

/** Remove an empty folder. Errors: PG_ERR_NOT_FOUND, PG_ERR_BUSY (not empty), PG_ERR_ACCESS, PG_ERR_IO. */
PG_NODISCARD pg_err pg_dir_remove(const char *path);

/** Make the names in a folder durable. Errors: PG_ERR_NOT_FOUND, PG_ERR_IO. */
PG_NODISCARD pg_err pg_dir_sync(const char *path);

/** Call `each` for the names in a folder, in byte order, without "." and "..". It may park; an error ends the walk and is
 *  returned. Errors: PG_ERR_NOT_FOUND, PG_ERR_ACCESS, PG_ERR_LIMIT (more than PG_DIR_NAMES_MAX), PG_ERR_NOMEM. */
PG_NODISCARD pg_err pg_dir_each(const char *path, pg_err (*each)(const char *name, void *user),
                                void *user);

#define PG_DIR_NAMES_MAX 1000000

/** Space of the disk that holds `path`, bytes: what it has and what this user may still take. Errors: PG_ERR_NOT_FOUND, PG_ERR_IO. */
PG_NODISCARD pg_err pg_disk_space(const char *path, uint64_t *out_total, uint64_t *out_free);

/** Replace the file at `path` by `bytes` so that after a crash there is the old or the new content, whole: temporary file, sync,
 *  rename, sync of the folder. `permissions` such as 0600. Errors as of its steps. */
PG_NODISCARD pg_err pg_file_replace(const char *path, pg_bytes bytes, uint32_t permissions);

/** Read a whole file of at most `max_bytes` into `out`, appended. Errors: PG_ERR_LIMIT when it is larger; as pg_file_open. */
PG_NODISCARD pg_err pg_file_load(const char *path, size_t max_bytes, pg_buf *out);
