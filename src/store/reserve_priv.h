// SPDX-License-Identifier: Apache-2.0
// A file of no content, kept beside a database so that its room can be given back when the disk is full: deleting wants room first, for the log.
//
// Layer: store, private.  Thread: the worker of the database.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

/** The reserve of a database. The all-zero value is none. */
typedef struct pg_reserve {
    char *path; // owned
    uint64_t size_bytes;
    bool is_short;  // it has less than that
    bool may_give;  // what goes on now makes room
    bool has_given; // since may_give was set
} pg_reserve;

/** Have a reserve of `size_bytes` as `database`.reserve, and fill it. Errors: PG_ERR_NOMEM. */
PG_NODISCARD pg_err pg_reserve_init(pg_reserve *reserve, const char *database, uint64_t size_bytes);

/** Free; the file stays. */
void pg_reserve_deinit(pg_reserve *reserve);

/** Take what is missing of it from the disk, as far as that has room. */
void pg_reserve_fill(pg_reserve *reserve);

/** Give all of it back to the disk. Returns false when there was nothing to give, or it may not be given now. */
bool pg_reserve_give(pg_reserve *reserve);
