// SPDX-License-Identifier: Apache-2.0
// The shape both pipelines share: a front that hands out segments, lanes that work on one segment each, a back that takes the
// results in order. Segment i goes to lane i mod count, and the back visits the lanes in the same turn: so order is kept without
// sorting, and at most `count` segments are in memory.
//
//               pg_lanes_set (front)          pg_lanes_set (lane)
//      FREE ----------------------> READY ----------------------> DONE
//        ^                                                         |
//        +---------------------------------------------------------+
//                               pg_lanes_set (back)
//
// The front and the lanes are fibers of one scope; the back is the fiber that owns it. When any of them fails, all stop.
//
// Layer: files.  Thread: loop thread only.
#pragma once

#include <stdbool.h>

#include "base/attr.h"
#include "base/err.h"
#include "runtime/fiber.h"

/** Whose a lane is at the moment. */
typedef enum pg_lane_state {
    PG_LANE_STATE_FREE,  // the front's to fill
    PG_LANE_STATE_READY, // its own fiber's to work on
    PG_LANE_STATE_DONE,  // the back's to take
} pg_lane_state;

/** What front, lanes and back have in common. */
typedef struct pg_lanes {
    pg_scope scope;
    pg_waitq changed; // any state, or failed
    bool failed;
} pg_lanes;

/** Make an empty set. */
void pg_lanes_init(pg_lanes *lanes);

/** Wait until *state is `wanted`. Parks: yes. Errors: PG_ERR_CANCELLED when we or any of the fibers failed. */
PG_NODISCARD pg_err pg_lanes_wait(pg_lanes *lanes, const pg_lane_state *state,
                                  pg_lane_state wanted);

/** Hand a lane on. Parks: no. */
void pg_lanes_set(pg_lanes *lanes, pg_lane_state *state, pg_lane_state next);

/** Tell everybody when `err`, the result of a front or lane, is a failure; returns it. Parks: no. */
PG_NODISCARD pg_err pg_lanes_result(pg_lanes *lanes, pg_err err);

/** End all fibers. `err` is the back's result; when that is only the echo of another fiber's failure, the failure itself is
 *  returned with its detail. Parks: yes. */
PG_NODISCARD pg_err pg_lanes_end(pg_lanes *lanes, pg_err err);
