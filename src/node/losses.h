// SPDX-License-Identifier: Apache-2.0
// Blocks that the store found damaged and dropped, for those who count on them: the store tells in the middle of a read, where nothing may
// wait; a fiber here tells the ledger, which has a database to write to.
//
// Layer: node.  Thread: loop thread only.
#pragma once

#include <stdint.h>

#include "base/attr.h"
#include "base/err.h"
#include "exchange/place_server.h"
#include "files/service.h"
#include "store/blocks.h"

typedef struct pg_losses pg_losses;

/** Hear of the losses of a store, and tell `files` and `place` of them. All outlive it. Errors: PG_ERR_NOMEM. */
PG_NODISCARD pg_err pg_losses_new(pg_block_store *blocks, pg_files *files, pg_place_server *place,
                                  pg_losses **out_losses);

/** Hear no more, free, and set *losses to NULL. What was not told yet the ledger finds at the next start. NULL is fine. Parks: yes, briefly. */
void pg_losses_free(pg_losses **losses);
