// SPDX-License-Identifier: Apache-2.0
// The root of a file: the block a link names. Sealed but for what tells a wrong key from damage. It holds the size, the name if
// wanted, and either the content itself or the list of extents.
//
// Layer: files.  Thread: any, one object at a time.  Spec: docs/protocols/files.md, section "Root".
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/bytes.h"
#include "base/err.h"
#include "crypto/aead.h"
#include "crypto/secret.h"

#define PG_ROOT_SALT_BYTES 32

/** What the bytes of a file are. */
typedef enum pg_file_kind {
    PG_FILE_KIND_FILE = 0,
    PG_FILE_KIND_FOLDER = 1, // a pax archive of a folder
    PG_FILE_KIND_COUNT,
} pg_file_kind;

/** What a root says. Owns its buffers: end it with pg_root_deinit. The all-zero value is the root of an empty file. */
typedef struct pg_root {
    uint64_t size_bytes;
    pg_file_kind kind;
    pg_buf name; // UTF-8 without '/' and control characters; empty = not told
    uint32_t
        level; // 0: the extents are the file; else they are the list of extents of the level below
    pg_buf content; // the file itself when it is not in extents
    pg_buf extents; // encoded list (extents.h)
} pg_root;

/** What must be fresh for every root. */
typedef struct pg_root_seal {
    uint8_t salt[PG_ROOT_SALT_BYTES];
    uint8_t nonce[PG_AEAD_NONCE_BYTES];
} pg_root_seal;

/** Encode the block and append it to `out`. Errors: PG_ERR_LIMIT when it would be longer than PG_ROOT_BYTES_MAX,
 *  PG_ERR_NOMEM. */
PG_NODISCARD pg_err pg_root_encode(const pg_root *root, const pg_key *file_key,
                                   const pg_root_seal *seal, pg_buf *out);

/** Open a block.
 *  Errors: PG_ERR_KEY (the block is whole but belongs to another key), PG_ERR_CORRUPT (right key, damaged content),
 *  PG_ERR_LIMIT, PG_ERR_MALFORMED, PG_ERR_UNSUPPORTED (version, named), PG_ERR_NOMEM */
PG_NODISCARD pg_err pg_root_decode(pg_bytes in, const pg_key *file_key, pg_root *out_root);

/** Check a file name for a root: no control characters, no '/', at most PG_NAME_BYTES_MAX, not "." or "..".
 *  Errors: PG_ERR_INVALID. */
PG_NODISCARD pg_err pg_root_check_name(pg_bytes name);

/** Free. NULL and the all-zero value are fine. */
void pg_root_deinit(pg_root *root);
