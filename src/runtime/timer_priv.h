// SPDX-License-Identifier: Apache-2.0
// The timers of a run: a pairing heap through nodes inside the timers, so that starting one cannot fail; a timer that is
// stopped before it fires, as nearly all are, costs a few pointers.
//
// Layer: runtime, private.  Thread: loop thread only.
#pragma once

#include <stdint.h>

#include "runtime/time.h"
#include "runtime/world_priv.h"

/** The timers started; all-zero: none. */
typedef struct pg_timers {
    pg_timer *root;
    uint64_t started; // so far
} pg_timers;

/** Put a timer in. */
void pg_timers_add(pg_timers *timers, pg_timer *timer);

/** Take a timer out that is in. */
void pg_timers_remove(pg_timers *timers, pg_timer *timer);

/** Return the time of the first timer, PG_FOREVER when there is none. */
pg_time pg_timers_next(const pg_timers *timers);
