// SPDX-License-Identifier: Apache-2.0
// How the files of a sealed database look: the page in front of the database file that tells whether a key is right, sealed pages, and
// sealed frames of the write-ahead log. Pure; the files are the VFS's (vfs_priv.h).
//
// Layer: store.  Thread: any.  Spec: docs/protocols/store.md
#pragma once

#include <stdint.h>

#include "base/bytes.h"
#include "base/err.h"
#include "crypto/secret.h"

/** A page, on the disk and in memory: SQLite's default, and the page of common file systems. */
#define PG_SEAL_PAGE_BYTES 4096

/** The tail of a page that SQLite leaves alone: a nonce and a tag. It reads as zeros. */
#define PG_SEAL_TAIL_BYTES 40

/** The head of a frame in SQLite's log; the log itself begins with another. */
#define PG_SEAL_FRAME_HEAD_BYTES 24
#define PG_SEAL_LOG_HEAD_BYTES 32
#define PG_SEAL_FRAME_BYTES (PG_SEAL_FRAME_HEAD_BYTES + PG_SEAL_PAGE_BYTES)

#define PG_SEAL_SALT_BYTES 32

/** What opens one database. Wipe with pg_wipe. */
typedef struct pg_seal_keys {
    pg_key page;
    pg_key log;
} pg_seal_keys;

/** Write the first page of a new database file, and derive its keys from `key` and a random salt. Cannot fail. */
void pg_seal_head_encode(const pg_key *key, const uint8_t salt[PG_SEAL_SALT_BYTES],
                         uint8_t out[PG_SEAL_PAGE_BYTES], pg_seal_keys *out_keys);

/** Read the first page of a database file, and derive its keys.
 *  Errors: PG_ERR_CORRUPT (no sealed database, or damaged), PG_ERR_UNSUPPORTED (the version is named), PG_ERR_KEY. */
PG_NODISCARD pg_err pg_seal_head_decode(const pg_key *key, pg_bytes in, pg_seal_keys *out_keys);

/** Seal page `number` of the database (from 0) under a fresh nonce. Errors: PG_ERR_INVALID when its tail is not zeros. */
PG_NODISCARD pg_err pg_seal_page(const pg_seal_keys *keys, uint64_t number,
                                 const uint8_t plain[PG_SEAL_PAGE_BYTES],
                                 uint8_t out[PG_SEAL_PAGE_BYTES]);

/** Open a page in place. One of zeros was never written, and stays zeros. Errors: PG_ERR_AUTH, without detail. */
PG_NODISCARD pg_err pg_seal_page_open(const pg_seal_keys *keys, uint64_t number,
                                      uint8_t page[PG_SEAL_PAGE_BYTES]);

/** Seal frame `number` of the log (from 0) in place: page number and commit mark stay readable and are authenticated, the salts and the
 *  checksums, which are sums of plaintext, are sealed with the page. Errors: PG_ERR_INVALID when the page's tail is not zeros. */
PG_NODISCARD pg_err pg_seal_frame(const pg_seal_keys *keys, uint64_t number,
                                  uint8_t frame[PG_SEAL_FRAME_BYTES]);

/** Open a frame in place. Errors: PG_ERR_AUTH, without detail: the end of a log looks like that. */
PG_NODISCARD pg_err pg_seal_frame_open(const pg_seal_keys *keys, uint64_t number,
                                       uint8_t frame[PG_SEAL_FRAME_BYTES]);
