// SPDX-License-Identifier: Apache-2.0
#include "files/lease_keys.h"

#include "crypto/kdf.h"

pg_err pg_files_lease_key(const pg_secret *owner, const uint8_t extent_id[PG_EXTENT_ID_BYTES],
                          pg_identity *out_lease)
{
    pg_key seed PG_CLEANUP(pg_key_wipe) = {0};
    pg_hkdf(pg_bytes_make(extent_id, PG_EXTENT_ID_BYTES), pg_secret_bytes(owner),
            PG_BYTES_LIT("pangea lease v1"), pg_mut_bytes_make(seed.bytes, PG_KEY_BYTES));
    return pg_identity_init(out_lease, &seed);
}
