// SPDX-License-Identifier: Apache-2.0
// A walk over a tree on disk in the order of an archive: depth first, names in byte order. Keeps one open folder a level.
//
// Layer: files, private.  Thread: inside a job.
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/attr.h"
#include "base/bytes.h"
#include "base/err.h"
#include "files/limits.h"
#include "runtime/folder.h"

/** One level of the walk. */
typedef struct pg_tree_level {
    pg_folder *folder;
    pg_folder_names names;
    size_t next;     // of names
    size_t path_len; // of the path of what stands in this folder
} pg_tree_level;

/** A walk. All-zero: none. */
typedef struct pg_tree {
    pg_tree_level *levels; // levels[PG_ARCHIVE_DEPTH_MAX]
    size_t depth;
    pg_buf path; // of the current entry, relative to the top, with a NUL behind
    bool begun;
} pg_tree;

/** What the walk is at. Borrowed until its next step. */
typedef struct pg_tree_entry {
    const pg_folder *folder; // that it stands in
    const char *name;        // in the folder; NULL for the top itself
    const char *path;        // "." for the top
    pg_folder_entry is;
} pg_tree_entry;

/** Begin a walk over the folder at `path`. End it with pg_tree_deinit, also after a failure. Errors: as pg_folder_open. */
PG_NODISCARD pg_err pg_tree_init(pg_tree *tree, const char *path);

/** Step to the next entry, the top first; *out_more is false at the end.
 *  Errors: PG_ERR_CHANGED (an entry went away), PG_ERR_LIMIT, those of pg_folder_enter and pg_folder_list. */
PG_NODISCARD pg_err pg_tree_next(pg_tree *tree, pg_tree_entry *out_entry, bool *out_more);

/** Free. */
void pg_tree_deinit(pg_tree *tree);
