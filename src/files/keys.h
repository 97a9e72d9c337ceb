// SPDX-License-Identifier: Apache-2.0
// From the one key of a file, which its link carries, the keys that seal its blocks. Each purpose and each block has its own,
// so that no two sealings ever share key and nonce, and no block passes for another.
//
// Layer: files.  Thread: any.  Spec: docs/protocols/files.md, section "Keys".
#pragma once

#include <stdint.h>

#include "base/bytes.h"
#include "crypto/secret.h"

/** What a derived key is for. */
typedef enum pg_files_purpose {
    PG_FILES_PURPOSE_COMMITMENT, // not a key: what tells a wrong key from a damaged root
    PG_FILES_PURPOSE_ROOT,       // the sealed part of a root
    PG_FILES_PURPOSE_DESCRIPTOR, // the sealed part of a descriptor
    PG_FILES_PURPOSE_SEGMENT,    // the segments of an extent
    PG_FILES_PURPOSE_COUNT,
} pg_files_purpose;

/** Derive 32 bytes for one purpose by HKDF-SHA256.
 *  file_key   of the file
 *  salt       of the root, or the extent id
 *  out_key    wiped by the caller */
void pg_files_derive(const pg_key *file_key, pg_bytes salt, pg_files_purpose purpose,
                     pg_key *out_key);
