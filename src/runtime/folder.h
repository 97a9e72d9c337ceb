// SPDX-License-Identifier: Apache-2.0
// Folders by handle, for trees that others made or may change meanwhile: a name is one component, taken in an open folder, and
// never leads through a symbolic link. Every call does its work at once on the caller's thread and may block there: they belong
// into jobs (offload.h). Not in a simulated run. Not for: single files of ours (file.h).
//
// Layer: runtime.  Thread: inside a job; one folder at a time.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/bytes.h"
#include "base/err.h"
#include "runtime/file.h"

/** An open folder. Holds a descriptor. */
typedef struct pg_folder pg_folder;

/** What a name stands for, itself and not what it may point to. */
typedef struct pg_folder_entry {
    pg_file_type type;
    uint64_t size_bytes;
    int64_t modified_s; // wall clock
    uint32_t modified_ns;
    uint32_t permissions; // 0777 and the rest of the mode bits
    uint64_t device;      // with inode: tells names of one file
    uint64_t inode;
    uint64_t links; // names it has
} pg_folder_entry;

/** Names in byte order. Owns its memory: pg_folder_names_deinit. The all-zero value is an empty list. */
typedef struct pg_folder_names {
    const char **items; // items[count], NUL-terminated, into `text`
    size_t count;
    pg_buf text;
} pg_folder_names;

/** Open a folder by its path, in which symbolic links are followed.
 *  Errors: PG_ERR_NOT_FOUND (or no folder), PG_ERR_ACCESS, PG_ERR_LIMIT (descriptors), PG_ERR_NOMEM, PG_ERR_IO, PG_ERR_UNSUPPORTED. */
PG_NODISCARD pg_err pg_folder_open(const char *path, pg_folder **out_folder);

/** Open a folder in a folder. Errors as pg_folder_open; PG_ERR_INVALID when the name is a symbolic link or another file. */
PG_NODISCARD pg_err pg_folder_enter(const pg_folder *folder, const char *name,
                                    pg_folder **out_folder);

/** Close and free. NULL is fine. */
void pg_folder_free(pg_folder **folder);

/** Return the path it was opened by, for people. Borrowed. */
const char *pg_folder_path(const pg_folder *folder);

/** Tell what a name is; NULL for the folder itself. Errors: PG_ERR_NOT_FOUND, PG_ERR_ACCESS, PG_ERR_IO. */
PG_NODISCARD pg_err pg_folder_look(const pg_folder *folder, const char *name,
                                   pg_folder_entry *out_entry);

/** List the names, without "." and "..". Errors: PG_ERR_ACCESS, PG_ERR_LIMIT (more than PG_DIR_NAMES_MAX), PG_ERR_NOMEM, PG_ERR_IO. */
PG_NODISCARD pg_err pg_folder_list(const pg_folder *folder, pg_folder_names *out_names);

/** Free a list. */
void pg_folder_names_deinit(pg_folder_names *names);

/** Open an ordinary file; `mode` as pg_file_open. `permissions`: of a file that is made, less the process's mask.
 *  Errors as pg_file_open; PG_ERR_INVALID when the name is a symbolic link. */
PG_NODISCARD pg_err pg_folder_open_file(const pg_folder *folder, const char *name, unsigned mode,
                                        uint32_t permissions, pg_file **out_file);

/** Make a folder; `permissions` less the process's mask. Errors: PG_ERR_EXISTS, PG_ERR_ACCESS, PG_ERR_FULL, PG_ERR_IO. */
PG_NODISCARD pg_err pg_folder_make(const pg_folder *folder, const char *name, uint32_t permissions);

/** Make a symbolic link that says `target`, whatever that is. Errors as pg_folder_make. */
PG_NODISCARD pg_err pg_folder_make_link(const pg_folder *folder, const char *name,
                                        const char *target);

/** Append what a symbolic link says, and a NUL that is not counted. Errors: PG_ERR_NOT_FOUND, PG_ERR_INVALID (no link), PG_ERR_IO, PG_ERR_NOMEM. */
PG_NODISCARD pg_err pg_folder_read_link(const pg_folder *folder, const char *name, pg_buf *out);

/** Give a file one more name; a symbolic link is linked to itself. Errors: PG_ERR_NOT_FOUND, PG_ERR_EXISTS, PG_ERR_ACCESS, PG_ERR_FULL, PG_ERR_IO. */
PG_NODISCARD pg_err pg_folder_add_name(const pg_folder *from, const char *from_name,
                                       const pg_folder *to, const char *to_name);

/** Give a name in the folder another one, where nothing stands. Errors: PG_ERR_NOT_FOUND, PG_ERR_EXISTS, PG_ERR_ACCESS, PG_ERR_FULL, PG_ERR_IO. */
PG_NODISCARD pg_err pg_folder_rename(const pg_folder *folder, const char *from, const char *to);

/** Set when a name, or the folder itself for NULL, was last modified. Errors: PG_ERR_NOT_FOUND, PG_ERR_ACCESS, PG_ERR_IO. */
PG_NODISCARD pg_err pg_folder_set_modified(const pg_folder *folder, const char *name,
                                           int64_t modified_s, uint32_t modified_ns);

/** Set the permissions of the folder itself. Errors: PG_ERR_ACCESS, PG_ERR_IO. */
PG_NODISCARD pg_err pg_folder_set_permissions(const pg_folder *folder, uint32_t permissions);

/** Remove a name and, where it is a folder, all below it, however deep: links are removed, not followed, and what may not be written
 *  is made so first. Holds two descriptors. What it could not remove stays, perhaps under another name inside.
 *  Errors: PG_ERR_NOT_FOUND, PG_ERR_ACCESS, PG_ERR_BUSY (a mount), PG_ERR_IO, PG_ERR_NOMEM. */
PG_NODISCARD pg_err pg_folder_remove(const pg_folder *folder, const char *name);

/** Make all that was written to the disk of the folder durable, names too. Errors: PG_ERR_IO, PG_ERR_FULL. */
PG_NODISCARD pg_err pg_folder_sync_disk(const pg_folder *folder);
