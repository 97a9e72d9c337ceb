// SPDX-License-Identifier: Apache-2.0
// A node as one file, and back: identity, settings, the network's key, a copy of the database, and by choice the blocks. A backup is
// whole or not there; a directory is restored whole or not made. Not for: how the file looks (backup_format.h).
//
//      pg_backup_write                       pg_backup_read ──> pg_backup_place
//      beside a node that runs, or alone     every digest       a folder under another name, then one rename
//
// Layer: node.  Thread: loop thread only; all calls park.  Spec: docs/protocols/backup.md
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/bytes.h"
#include "base/err.h"
#include "crypto/keystore.h"
#include "node/backup_format.h"
#include "node/config.h"

/** What goes into a backup. Borrowed for the call. */
typedef struct pg_backup_source {
    const char *data;            // the data directory
    const pg_keystore *identity; // of it
    pg_bytes keystore;           // as it is to stand in the backup: a file of crypto/keystore.h
    const pg_config *config;     // names the network's key
    const char *database;        // a copy that nobody changes; NULL = there is none
    uint32_t schema;             // its version
    bool with_blocks;
    const char *program; // version of this program
} pg_backup_source;

/** What a backup holds. */
typedef struct pg_backup_sum {
    uint64_t entries;
    uint64_t bytes; // of the file
    uint64_t packs;
    bool has_settings;
    bool has_network_key;
    bool has_database;
    bool has_blocks;
} pg_backup_sum;

/** Write a backup to `file`, which is not there yet; it appears when it is whole and durable. A node may run on the directory: then
 *  blocks that came after the database was copied may be in it or not, as after a crash.
 *  Errors: PG_ERR_EXISTS, PG_ERR_LIMIT (a database of 8 GiB), those of reading and writing, PG_ERR_CANCELLED: nothing is left then. */
PG_NODISCARD pg_err pg_backup_write(const pg_backup_source *source, const char *file,
                                    pg_backup_sum *out_sum);

/** A backup that was read through and is what its owner wrote. End it with pg_backup_close. */
typedef struct pg_backup {
    const char *file; // borrowed
    pg_buf keystore;  // as it stands there
    pg_keystore identity;
    pg_backup_keys keys;
    pg_buf list;         // NUL behind it
    pg_backup_head head; // borrows from `list`
    pg_str lines;        // likewise
    pg_backup_sum sum;
} pg_backup;

/** Read a backup through: every digest, and that the list is its owner's. Nothing is written anywhere.
 *  passphrase   of the identity in the backup; empty: none
 *  Errors: PG_ERR_CORRUPT (an entry is not what the list says; it is named), PG_ERR_TRUNCATED, PG_ERR_MALFORMED, PG_ERR_UNSUPPORTED, PG_ERR_AUTH,
 *  PG_ERR_KEY (locked, or a wrong passphrase), those of pg_file_open, PG_ERR_CANCELLED. */
PG_NODISCARD pg_err pg_backup_read(const char *file, pg_bytes passphrase, pg_backup *out_backup);

/** Make a data directory of a backup that was read. It is written under another name beside `data`, made durable, and renamed; what an
 *  earlier attempt left there is removed first. Every digest is checked once more on the way.
 *  data   not there, or an empty folder
 *  Errors: PG_ERR_EXISTS (it is not empty), as pg_backup_read, PG_ERR_FULL, PG_ERR_ACCESS, PG_ERR_IO: then `data` is as before. */
PG_NODISCARD pg_err pg_backup_place(const pg_backup *backup, const char *data);

/** Wipe and free; all-zero is fine. */
void pg_backup_close(pg_backup *backup);
