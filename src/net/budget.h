// SPDX-License-Identifier: Apache-2.0
// Memory one connection holds for its peer: bounded for the connection, and over all connections but for a small share that
// every connection has for certain. Not for: allocating it.
//
// Layer: net.  Thread: loop thread only.
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/attr.h"
#include "net/conn.h"

/** What one connection holds. Its share of the sum over all is what exceeds free_bytes. */
typedef struct pg_budget {
    size_t used_bytes;
    size_t max_bytes;
    size_t free_bytes;      // always granted
    pg_conn_memory *shared; // NULL = none
} pg_budget;

/** Return an empty budget; `free_bytes` of it are granted whatever the others hold. */
pg_budget pg_budget_make(const pg_conn_limits *limits, size_t free_bytes);

/** Take `len` bytes more. Returns false, and takes nothing, when the connection or all of them would hold too much. */
PG_NODISCARD bool pg_budget_take(pg_budget *budget, size_t len);

/** Give back `len` bytes taken before. */
void pg_budget_give(pg_budget *budget, size_t len);
