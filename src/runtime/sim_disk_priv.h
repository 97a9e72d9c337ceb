// SPDX-License-Identifier: Apache-2.0
// One simulated disk: folders, names, files, a quota, and a journal of the changes of names that were not synced. A
// crash undoes some of them, never one on which a surviving one rests, and a rename as a whole. Not for: waiting and
// faults (sim_file.c).
//
// Layer: runtime.  Thread: loop thread only.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/bytes.h"
#include "base/err.h"
#include "base/list.h"
#include "base/map.h"
#include "runtime/file.h"
#include "runtime/sim_pages_priv.h"

#define PG_SIM_NAME_BYTES_MAX 255u
#define PG_SIM_PATH_BYTES_MAX 4096u
#define PG_SIM_JOURNAL_MAX 256u // changes of names; the oldest reach the disk by themselves
#define PG_SIM_DISK_BYTES (UINT64_C(1) << 40)

/** A file or a folder. Lives while a name, an open file or the journal refers to it. */
typedef struct pg_sim_inode {
    pg_list node; // in pg_sim_disk.inodes
    uint64_t number;
    pg_file_type type; // REGULAR or FOLDER
    uint32_t permissions;
    int64_t modified_ms;
    uint32_t refs;
    uint32_t names; // 1 while it has a name (the root always)
    uint32_t opens;
    uint64_t charged_pages; // of the disk's space, for this file
    const void *locker;     // the open file that holds the lock; borrowed, compared only
    struct pg_sim_inode
        *parent;        // of a folder; borrowed, NULL for the root and for one without a name
    pg_map entries;     // of a folder: name -> pg_sim_inode
    pg_sim_pages pages; // of a file
} pg_sim_inode;

/** The disk of a machine. */
typedef struct pg_sim_disk {
    pg_sim_inode *root;
    pg_list inodes;  // all, in order of birth
    pg_list dead;    // of those, while a folder is being freed
    pg_list journal; // of pg_sim_change, oldest first
    size_t journal_len;
    uint64_t inode_next;
    uint64_t used_pages;
    uint64_t quota_pages;
    pg_sim_rng rng;
    pg_sim_crash_counts counts;
} pg_sim_disk;

/** What a path names. */
typedef struct pg_sim_place {
    pg_sim_inode *folder; // that holds the name; NULL for the root itself
    pg_bytes name;        // borrowed from the path
    pg_sim_inode *inode;  // NULL when the name is free
} pg_sim_place;

/** Make an empty disk with a root folder. Errors: PG_ERR_NOMEM. */
PG_NODISCARD pg_err pg_sim_disk_init(pg_sim_disk *disk, uint64_t seed, uint64_t number);

/** Free everything. No file may be open. */
void pg_sim_disk_deinit(pg_sim_disk *disk);

/** Find what `path` names; empty parts and "." are skipped, a relative path begins at the root. The last part may be free.
 *  Errors: PG_ERR_NOT_FOUND (a folder on the way), PG_ERR_LIMIT (path or name too long). */
PG_NODISCARD pg_err pg_sim_disk_find(const pg_sim_disk *disk, const char *path,
                                     pg_sim_place *out_place);

/** Make an empty file or folder at a free place. Errors: PG_ERR_NOMEM. */
PG_NODISCARD pg_err pg_sim_disk_make(pg_sim_disk *disk, pg_time now_ns, const pg_sim_place *place,
                                     pg_file_type type, pg_sim_inode **out_inode);

/** Remove a name. Errors: PG_ERR_BUSY (a folder that is not empty), PG_ERR_ACCESS (the root), PG_ERR_NOMEM. */
PG_NODISCARD pg_err pg_sim_disk_remove(pg_sim_disk *disk, pg_time now_ns,
                                       const pg_sim_place *place);

/** Rename, replacing what is at `to`. Errors: PG_ERR_NOT_FOUND, PG_ERR_EXISTS (a folder over a file or over names),
 *  PG_ERR_INVALID (into itself), PG_ERR_NOMEM. */
PG_NODISCARD pg_err pg_sim_disk_rename(pg_sim_disk *disk, pg_time now_ns, const pg_sim_place *from,
                                       const pg_sim_place *to);

/** Make the names in a folder durable. */
void pg_sim_disk_sync_names(pg_sim_disk *disk, const pg_sim_inode *folder);

/** Hold an inode open. */
void pg_sim_inode_open(pg_sim_inode *inode);

/** Let go of an inode held open; it is freed with its last reference. */
void pg_sim_inode_close(pg_sim_disk *disk, pg_sim_inode *inode);

/** Bring the sum of used space up to date after the content of `inode` changed. */
void pg_sim_inode_charge(pg_sim_disk *disk, pg_sim_inode *inode);

/** Return how many pages may still be taken. */
uint64_t pg_sim_disk_free_pages(const pg_sim_disk *disk);

/** Cut the power: no file is open any more; names and content become what the disk has, by chance where it is open. */
void pg_sim_disk_crash(pg_sim_disk *disk, pg_time now_ns);
