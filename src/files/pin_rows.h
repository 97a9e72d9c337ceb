// SPDX-License-Identifier: Apache-2.0
// The rows of pinned files in the node's sealed database: which files are pinned, and which blocks each of them has here.
//
// Layer: files, private.  Thread: loop thread only; all calls park while the database works.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/err.h"
#include "codec/cid.h"
#include "files/service.h"
#include "store/db.h"

/** One block of a pin. */
typedef struct pg_pin_block {
    pg_cid cid;
    uint32_t len;
} pg_pin_block;

/** Find the pin of a root; *out_pin is its number. Errors: PG_ERR_NOT_FOUND, of the database. */
PG_NODISCARD pg_err pg_pin_rows_find(pg_db *db, const pg_cid *root, int64_t *out_pin);

/** Begin a pin, not complete: the link of `pin` and its time are noted. Errors: PG_ERR_EXISTS (its root is pinned), of the database. */
PG_NODISCARD pg_err pg_pin_rows_begin(pg_db *db, const pg_pin *pin, int64_t *out_pin);

/** Note name, kind, size, and whether it is complete, and that the person has it pinned. Errors of the database. */
PG_NODISCARD pg_err pg_pin_rows_update(pg_db *db, int64_t number, const pg_pin *pin);

/** Note blocks that are here for a pin; those that stand there already are left. Errors of the database. */
PG_NODISCARD pg_err pg_pin_rows_add(pg_db *db, int64_t number, const pg_pin_block *blocks,
                                    size_t count);

/** Forget a pin and its blocks, and that the person has it pinned. Errors of the database. */
PG_NODISCARD pg_err pg_pin_rows_remove(pg_db *db, int64_t number);

/** Give the numbers of all pins, newest first. Free *out_numbers with pg_mfree. Errors of the database. */
PG_NODISCARD pg_err pg_pin_rows_all(pg_db *db, int64_t **out_numbers, size_t *out_count);

/** Give the numbers of those that were found in the catalogue of another device and are not complete. Likewise. */
PG_NODISCARD pg_err pg_pin_rows_restored(pg_db *db, int64_t **out_numbers, size_t *out_count);

/** Fill a pin, but for what follows from its blocks. Errors: PG_ERR_NOT_FOUND, of the database. */
PG_NODISCARD pg_err pg_pin_rows_read(pg_db *db, int64_t number, pg_pin *out_pin);

/** Give the blocks of a pin. Free *out_blocks with pg_mfree. Errors of the database. */
PG_NODISCARD pg_err pg_pin_rows_blocks(pg_db *db, int64_t number, pg_pin_block **out_blocks,
                                       size_t *out_count);
