// SPDX-License-Identifier: Apache-2.0
// The newest grants of what was put here, in the DHTs, so that hosts which missed one find it (docs/protocols/place.md, "In the DHT").
// Published in the background as they are signed, and those of the catalogue when the node starts; the DHT repeats them.
//
// Layer: files, private.  Thread: loop thread only.
#pragma once

#include <stdint.h>

#include "base/attr.h"
#include "base/bytes.h"
#include "base/err.h"
#include "base/list.h"
#include "base/map.h"
#include "crypto/public_key.h"
#include "files/catalogue.h"
#include "runtime/fiber.h"

/** Grants to be published. Own in place. */
typedef struct pg_grants {
    pg_map by_key;  // lease key -> entry
    pg_list order;  // the same, oldest first
    pg_waitq wake;  // of the fiber
    bool is_closed; // without DHTs: nothing is taken
} pg_grants;

/** Begin. */
void pg_grants_init(pg_grants *grants, bool is_closed);

/** Publish a grant that was just signed, in place of the one of its key that still waits. Parks: no. */
void pg_grants_note(pg_grants *grants, const uint8_t lease_key[PG_ED25519_PUBLIC_BYTES],
                    pg_bytes grant);

/** Publish the grants of the catalogue, then what is noted: for ever, until cancelled. `arg` is the files service. */
pg_err pg_files_grants_run(void *arg);

/** Append the grant that was signed last for an extent: signing is deterministic. Errors: PG_ERR_NOMEM */
PG_NODISCARD pg_err pg_grants_again(const pg_files *files, const pg_catalogue_extent *extent,
                                    pg_buf *out);

/** Publish the grant of an extent no more: nobody has it. Parks: no. Errors: PG_ERR_NOMEM */
PG_NODISCARD pg_err pg_grants_end(pg_files *files, const pg_catalogue_extent *extent);

/** Free. */
void pg_grants_deinit(pg_grants *grants);
