// SPDX-License-Identifier: Apache-2.0
// The data directory of a node: one writer by a lock file, and the identity in it (the keystore, mode 0600).
//
// Layer: node.  Thread: loop thread only.
#pragma once

#include <stdbool.h>

#include "base/attr.h"
#include "base/bytes.h"
#include "base/err.h"
#include "crypto/keystore.h"
#include "runtime/file.h"

/** A data directory that is ours as long as it is open. Own in place, end with pg_data_close. */
typedef struct pg_data {
    char *path;
    pg_file *lock;
} pg_data;

/** Make the directory where need be, its parents too, and take its lock. Parks: yes.
 *  Errors: PG_ERR_BUSY (another node has it; the detail says so), and those of pg_dir_make and pg_file_open */
PG_NODISCARD pg_err pg_data_open(const char *path, pg_data *out_data);

/** Give the lock back and free; all-zero is fine. */
void pg_data_close(pg_data *data);

/** Make each folder of a path that is not there, mode 0700, as `mkdir -p`; the names survive a crash. Parks: yes.
 *  Errors: as pg_dir_make and pg_dir_sync. */
PG_NODISCARD pg_err pg_data_folders_make(const char *path);

/** Append "<folder>/<name>" and a NUL that is not counted. Errors as pg_buf_reserve. */
PG_NODISCARD pg_err pg_data_name(const char *folder, const char *name, pg_buf *out);

/** Make a new identity and write it to the folder, which is open by pg_data_open. Parks: yes.
 *  passphrase     empty: the file is not locked
 *  out_keystore   end with pg_keystore_deinit
 *  Errors: PG_ERR_EXISTS (there is one already), and those of pg_keystore_encode and pg_file_replace */
PG_NODISCARD pg_err pg_identity_make(const char *folder, pg_bytes passphrase,
                                     pg_keystore *out_keystore);

/** Make the identity of a person whose secret is at hand, with a new device key, in a folder that holds no data of another, and note that the
 *  person's files are to be found again. Parks: yes.
 *  seeds    of pg_recovery_parse; the rest as pg_identity_make. Errors further: PG_ERR_EXISTS (data of another identity is there) */
PG_NODISCARD pg_err pg_identity_restore(const char *folder, const pg_keystore_seeds *seeds,
                                        pg_bytes passphrase, pg_keystore *out_keystore);

/** Return true when pg_identity_restore made the identity of a folder. Parks: yes. */
bool pg_identity_is_restored(const char *folder);

/** Append the identity of a folder as its file has it, to a buffer that may grow to PG_KEYSTORE_BYTES_MAX without moving: wipe it.
 *  *out_locked tells whether it has a passphrase. Parks: yes. Errors: as pg_file_load and pg_keystore_is_locked. */
PG_NODISCARD pg_err pg_identity_file(const char *folder, pg_buf *out, bool *out_locked);

/** Append the file of an identity as pg_identity_file does, locked by a passphrase that is not empty. Parks: yes.
 *  Errors: as pg_keystore_encode. */
PG_NODISCARD pg_err pg_identity_lock(const pg_keystore *keystore, pg_bytes passphrase, pg_buf *out);

/** Read the identity of a folder. Parks: yes.
 *  Errors: PG_ERR_NOT_FOUND (none there), PG_ERR_KEY (locked, and the passphrase is wrong or missing), PG_ERR_CORRUPT,
 *  PG_ERR_UNSUPPORTED, and those of pg_file_load */
PG_NODISCARD pg_err pg_identity_load(const char *folder, pg_bytes passphrase,
                                     pg_keystore *out_keystore);
