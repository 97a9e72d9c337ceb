// SPDX-License-Identifier: Apache-2.0
// Lease keys: one Ed25519 pair an extent, from the owner's secret and the extent's random id. So nobody can tell that two extents have
// one owner, and the secret alone finds all keys again.
//
// Layer: files.  Thread: any.  Spec: docs/protocols/files.md, section "Lease keys"
#pragma once

#include <stdint.h>

#include "base/attr.h"
#include "base/err.h"
#include "crypto/identity.h"
#include "crypto/secret.h"
#include "files/descriptor.h"

/** Make the lease key of an extent; for a root that is kept whole the id is the digest of its block. End *out_lease with
 *  pg_identity_deinit. Errors: PG_ERR_NOMEM. */
PG_NODISCARD pg_err pg_files_lease_key(const pg_secret *owner,
                                       const uint8_t extent_id[PG_EXTENT_ID_BYTES],
                                       pg_identity *out_lease);
