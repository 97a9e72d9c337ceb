// SPDX-License-Identifier: Apache-2.0
// How puts and gets go: how many ended well, how long they took, how fast they were, in bins of powers of two, of which there is a fixed
// number. Nothing in it leads back to one of them. Pure.
//
// Layer: api.  Thread: any, one at a time.
#pragma once

#include <stdint.h>

#include "base/err.h"

/** Bins of a spread: bin i has the values of 2^i to 2^(i+1) - 1, the last one all above, too. */
#define PG_USAGE_BINS 40U

/** How values are spread. All-zero: none. */
typedef struct pg_usage_spread {
    uint64_t count;
    uint64_t bins[PG_USAGE_BINS];
} pg_usage_spread;

/** Add a value. */
void pg_usage_spread_add(pg_usage_spread *spread, uint64_t value);

/** Return the power of two at or below the value that `percent` of all do not exceed; 0 where there is none.
 *  percent   1..100 */
uint64_t pg_usage_spread_at(const pg_usage_spread *spread, unsigned percent);

/** How many ended which way. */
typedef struct pg_usage_rate {
    uint64_t good;
    uint64_t bad;
} pg_usage_rate;

/** Transfers of one kind. All-zero: none. */
typedef struct pg_usage_kind {
    pg_usage_rate ended;
    pg_usage_spread ms;     // of those that ended well
    pg_usage_spread speeds; // of these, bytes a second, of PG_USAGE_SPEED_BYTES_MIN and more
} pg_usage_kind;

/** Bytes below which a transfer has no speed worth telling: it is the time of its round trips. */
#define PG_USAGE_SPEED_BYTES_MIN (UINT64_C(1) << 20)

/** All of a node. */
typedef struct pg_usage {
    pg_usage_kind put;
    pg_usage_kind get;
} pg_usage;

/** Note that a transfer ended. What its client broke off, or asked for wrongly, or found no place for, says nothing and is left out. */
void pg_usage_note(pg_usage_kind *kind, pg_err err, uint64_t bytes, int64_t duration_ns);
