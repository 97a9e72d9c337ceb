// SPDX-License-Identifier: Apache-2.0
// Folders that stand in for hosts: each holds, in a folder named by the root's CID, its blocks as files named by theirs. A set is
// written under a hidden name and appears in each folder by one rename, so that nothing half-written is ever left.
//
// Layer: cli.  Thread: loop thread only; all calls but deinit may park.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/bytes.h"
#include "base/err.h"
#include "codec/cid.h"

/** The folders a person named, and how far the set has come in them. */
typedef struct pg_folders {
    const char *const *paths; // [count], borrowed
    size_t count;
    pg_buf *set;     // [count], path of the set's folder in each, NUL-terminated
    size_t prepared; // folders that hold a hidden set
    size_t finished; // folders whose set has its name
    char root[PG_CID_TEXT_BYTES];
} pg_folders;

/** Prepare an empty hidden set in every folder. End it with pg_folders_finish or pg_folders_abort, then pg_folders_deinit.
 *  Errors: PG_ERR_NOT_FOUND, PG_ERR_ACCESS, PG_ERR_FULL, PG_ERR_INVALID (a folder named twice, or no folder), PG_ERR_IO, PG_ERR_NOMEM */
PG_NODISCARD pg_err pg_folders_prepare(pg_folders *folders, const char *const *paths, size_t count);

/** Write a block to the hidden set of one folder. Errors: PG_ERR_FULL, PG_ERR_ACCESS, PG_ERR_IO, PG_ERR_NOMEM. */
PG_NODISCARD pg_err pg_folders_put(const pg_folders *folders, size_t folder, const pg_cid *cid,
                                   pg_bytes block);

/** Make the sets durable and give them their name, that of the root. Errors: PG_ERR_EXISTS, PG_ERR_FULL, PG_ERR_ACCESS, PG_ERR_IO. */
PG_NODISCARD pg_err pg_folders_finish(pg_folders *folders, const pg_cid *root);

/** Remove what was written, whether it has its name or not. Goes on even when the fiber is cancelled. */
void pg_folders_abort(pg_folders *folders);

/** Find the set of a root in folders: below each folder, or the folder itself. What is not there shows when a block is read.
 *  Errors: PG_ERR_NOMEM, PG_ERR_CANCELLED. */
PG_NODISCARD pg_err pg_folders_find(pg_folders *folders, const char *const *paths, size_t count,
                                    const pg_cid *root);

/** Read a block as it is, unchecked: at most `space.len` bytes. Errors: PG_ERR_NOT_FOUND, PG_ERR_ACCESS, PG_ERR_IO, PG_ERR_NOMEM. */
PG_NODISCARD pg_err pg_folders_get(const pg_folders *folders, size_t folder, const pg_cid *cid,
                                   pg_mut_bytes space, size_t *out_len);

/** Free. */
void pg_folders_deinit(pg_folders *folders);
