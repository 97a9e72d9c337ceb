// SPDX-License-Identifier: Apache-2.0
// Time: one monotonic clock for waits and deadlines, one wall clock for dates. In a simulated run both are virtual.
// Every wait in this program takes a deadline, an absolute pg_time.
//
// Layer: runtime.  Thread: loop thread only, except where stated.
#pragma once

#include <stdint.h>

#include "base/attr.h"
#include "base/err.h"

/** A point on the monotonic clock, in nanoseconds; the origin is arbitrary. */
typedef int64_t pg_time;

/** A deadline that never comes. */
#define PG_FOREVER INT64_MAX

#define PG_US(n) ((int64_t) (n) *1000)
#define PG_MS(n) ((int64_t) (n) *1000000)
#define PG_SECONDS(n) ((int64_t) (n) *1000000000)
#define PG_MINUTES(n) PG_SECONDS((int64_t) (n) *60)
#define PG_HOURS(n) PG_MINUTES((int64_t) (n) *60)
#define PG_DAYS(n) PG_HOURS((int64_t) (n) *24)

/** Return the current time of the monotonic clock. Any thread. */
pg_time pg_now(void);

/** Return the deadline `duration_ns` from now, PG_FOREVER where the sum would overflow. */
pg_time pg_after(int64_t duration_ns);

/** Return the earlier of two deadlines. */
static inline pg_time pg_earlier(pg_time a, pg_time b)
{
    return a < b ? a : b;
}

/** Return the wall clock in milliseconds since 1970, UTC. May jump either way. Any thread. */
int64_t pg_wall_ms(void);

/** Return a monotonic time that goes on while the machine is suspended, as pg_now does not. Only differences mean anything, and not
 *  with pg_now: by comparing it with the wall clock one sees that clock step. Any thread. */
pg_time pg_now_with_suspend(void);

/** Park until `deadline`. Parks: yes.
 *  Errors: PG_ERR_CANCELLED. */
PG_NODISCARD pg_err pg_sleep_until(pg_time deadline);
