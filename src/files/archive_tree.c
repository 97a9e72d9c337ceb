// SPDX-License-Identifier: Apache-2.0
#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "files/archive_tree_priv.h"

static pg_tree_level *level_top(pg_tree *tree)
{
    return &tree->levels[tree->depth - 1];
}

static void level_pop(pg_tree *tree)
{
    pg_tree_level *level = level_top(tree);
    pg_folder_names_deinit(&level->names);
    pg_folder_free(&level->folder);
    tree->depth--;
}

// Take over an open folder as the deepest level; `path` is what the tree's path is now.
static pg_err level_push(pg_tree *tree, pg_folder *folder)
{
    if (tree->depth == PG_ARCHIVE_DEPTH_MAX) {
        pg_err err = pg_fail(PG_ERR_LIMIT, "%s is deeper than %u folders", pg_folder_path(folder),
                             PG_ARCHIVE_DEPTH_MAX);
        pg_folder_free(&folder);
        return err;
    }
    tree->depth++;
    *level_top(tree) = (pg_tree_level){.folder = folder, .path_len = tree->path.len};
    return pg_folder_list(folder, &level_top(tree)->names);
}

pg_err pg_tree_init(pg_tree *tree, const char *path)
{
    pg_folder *folder = NULL;
    *tree = (pg_tree){.path.max_len = PG_ARCHIVE_PATH_BYTES_MAX + 1};
    tree->levels = pg_calloc(PG_ARCHIVE_DEPTH_MAX, sizeof(*tree->levels));
    if (tree->levels == NULL) {
        return pg_fail(PG_ERR_NOMEM, "cannot walk over %s", path);
    }
    PG_TRY(pg_folder_open(path, &folder));
    return level_push(tree, folder);
}

// Make the tree's path that of `name` in the deepest folder.
static pg_err path_set(pg_tree *tree, const char *name)
{
    tree->path.len = level_top(tree)->path_len;
    pg_err err = pg_buf_printf(&tree->path, "%s%s", tree->path.len == 0 ? "" : "/", name);
    if (err == PG_ERR_LIMIT) {
        return pg_fail(PG_ERR_LIMIT, "%s/%s: the path is longer than %u bytes",
                       pg_folder_path(level_top(tree)->folder), name, PG_ARCHIVE_PATH_BYTES_MAX);
    }
    return err;
}

// What was listed a moment ago and is not there any more: the archive would not be the folder at any time.
static pg_err changed_if_gone(pg_err err, const pg_folder *folder, const char *name)
{
    if (err == PG_ERR_NOT_FOUND || err == PG_ERR_INVALID) {
        return pg_fail(PG_ERR_CHANGED, "%s/%s changed while the folder was read",
                       pg_folder_path(folder), name);
    }
    return err;
}

pg_err pg_tree_next(pg_tree *tree, pg_tree_entry *out_entry, bool *out_more)
{
    pg_tree_entry entry = {.path = "."};
    if (!tree->begun) {
        entry.folder = level_top(tree)->folder;
        PG_TRY(pg_folder_look(entry.folder, NULL, &entry.is));
        tree->begun = true;
        *out_entry = entry;
        *out_more = true;
        return PG_OK;
    }
    while (tree->depth > 0 && level_top(tree)->next == level_top(tree)->names.count) {
        level_pop(tree);
    }
    *out_more = tree->depth > 0;
    if (tree->depth == 0) {
        return PG_OK;
    }
    pg_tree_level *level = level_top(tree);
    entry.folder = level->folder;
    entry.name = level->names.items[level->next++];
    PG_TRY(path_set(tree, entry.name));
    entry.path = (const char *) tree->path.ptr;
    PG_TRY(changed_if_gone(pg_folder_look(entry.folder, entry.name, &entry.is), entry.folder,
                           entry.name));
    if (entry.is.type == PG_FILE_TYPE_FOLDER) {
        pg_folder *inner = NULL;
        PG_TRY(changed_if_gone(pg_folder_enter(entry.folder, entry.name, &inner), entry.folder,
                               entry.name));
        PG_TRY(level_push(tree, inner));
    }
    *out_entry = entry;
    return PG_OK;
}

void pg_tree_deinit(pg_tree *tree)
{
    while (tree->depth > 0) {
        level_pop(tree);
    }
    pg_mfree(tree->levels);
    pg_buf_deinit(&tree->path);
    *tree = (pg_tree){0};
}
