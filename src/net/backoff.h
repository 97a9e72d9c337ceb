// SPDX-License-Identifier: Apache-2.0
// When to try again something that failed: the wait doubles with each failure in a row, up to a bound, and half of it is
// left to chance, so that peers who lost each other do not come back in step. Pure: time and chance are arguments.
//
// Layer: net.  Thread: any, one object at a time.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "runtime/time.h"

/** Failures in a row, and when the next try is due. All-zero: at once. */
typedef struct pg_backoff {
    uint32_t failures;
    pg_time until;
} pg_backoff;

/** Count a failure at `now`; `random` is any number from pg_random_bytes. The wait is between half of and all of
 *  PG_NET_BACKOFF_MIN_MS * 2^(failures - 1), at most PG_NET_BACKOFF_MAX_MS. */
void pg_backoff_fail(pg_backoff *backoff, pg_time now, uint64_t random);

/** Forget the failures. */
static inline void pg_backoff_reset(pg_backoff *backoff)
{
    *backoff = (pg_backoff){0, 0};
}

/** Return true when a try is due. */
static inline bool pg_backoff_is_due(const pg_backoff *backoff, pg_time now)
{
    return backoff->failures == 0 || now >= backoff->until;
}
