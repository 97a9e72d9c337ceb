// SPDX-License-Identifier: Apache-2.0
// Whether the wall clock can be trusted enough to delete by it: not for a while after it stepped, which is seen by a clock that cannot be
// set. Pure: both clocks are arguments.
//
// Layer: exchange, private.  Thread: any, one object at a time.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "runtime/time.h"

/** What is known of the clock. */
typedef struct pg_place_clock {
    int64_t base_wall_s; // both clocks at one moment, since when none has stepped
    pg_time base;
    pg_time quiet_until; // nothing is deleted before
} pg_place_clock;

/** Begin a run.
 *  seen_s    the wall clock when the run before this one last looked; 0 = there was none
 *  quiet_s   how long nothing was to be deleted then
 *  wall_s, now   the clocks; `now` is pg_now_with_suspend */
void pg_place_clock_begin(pg_place_clock *clock, int64_t seen_s, int64_t quiet_s, int64_t wall_s,
                          pg_time now);

/** Look at the clocks, and return true when what is over its time may be deleted. */
bool pg_place_clock_look(pg_place_clock *clock, int64_t wall_s, pg_time now);

/** Return how many seconds nothing is to be deleted from now on. */
int64_t pg_place_clock_quiet_s(const pg_place_clock *clock, pg_time now);
