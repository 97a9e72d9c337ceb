// SPDX-License-Identifier: Apache-2.0
// Files of the catalogue opened from the blocks of this node alone: whether what is kept here is still the file. For who has to prove
// it (a restored backup), without a network.
//
// Layer: files.  Thread: loop thread only.
#pragma once

#include <stdint.h>

#include "base/attr.h"
#include "base/err.h"
#include "store/blocks.h"
#include "store/db.h"

/** What came of it. */
typedef struct pg_local_sum {
    uint64_t files;    // in the catalogue, of those that people put
    uint64_t opened;   // read to their last byte
    uint64_t bytes;    // of these
    uint64_t on_hosts; // looked at, and not all here
    uint64_t damaged;  // looked at, and not what they were
} pg_local_sum;

/** Open up to `max` files, newest first; those whose blocks are with hosts are counted and passed over. A file pinned here but put elsewhere
 *  is in no catalogue and not looked at. Parks: yes. Errors of the database, PG_ERR_IO, PG_ERR_NOMEM, PG_ERR_CANCELLED. */
PG_NODISCARD pg_err pg_files_open_local(pg_db *db, pg_block_store *blocks, uint64_t max,
                                        pg_local_sum *out_sum);
