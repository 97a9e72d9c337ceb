// SPDX-License-Identifier: Apache-2.0
#include "files/keys.h"

#include "crypto/kdf.h"

void pg_files_derive(const pg_key *file_key, pg_bytes salt, pg_files_purpose purpose,
                     pg_key *out_key)
{
    static const char *const labels[PG_FILES_PURPOSE_COUNT] = {
        [PG_FILES_PURPOSE_COMMITMENT] = "pangea files v1 commitment",
        [PG_FILES_PURPOSE_ROOT] = "pangea files v1 root",
        [PG_FILES_PURPOSE_DESCRIPTOR] = "pangea files v1 descriptor",
        [PG_FILES_PURPOSE_SEGMENT] = "pangea files v1 segment",
    };
    pg_hkdf(salt, pg_key_bytes(file_key), pg_bytes_cstr(labels[purpose]),
            pg_mut_bytes_make(out_key->bytes, PG_KEY_BYTES));
}
