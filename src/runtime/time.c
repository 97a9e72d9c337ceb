// SPDX-License-Identifier: Apache-2.0
#include "runtime/time.h"

#include <time.h>

#include "runtime/world_priv.h"

pg_time pg_now(void)
{
    const pg_world *world = pg_world_current();
    if (world != NULL) {
        return world->ops->now(world);
    }
    struct timespec now;
    (void) clock_gettime(CLOCK_MONOTONIC, &now);
    return PG_SECONDS(now.tv_sec) + now.tv_nsec;
}

pg_time pg_now_with_suspend(void)
{
    const pg_world *world = pg_world_current();
    if (world != NULL && world->ops->is_sim) {
        return world->ops->now(world); // simulated machines do not sleep
    }
    struct timespec now;
    (void) clock_gettime(CLOCK_BOOTTIME, &now);
    return PG_SECONDS(now.tv_sec) + now.tv_nsec;
}

pg_time pg_after(int64_t duration_ns)
{
    pg_time deadline = 0;
    return __builtin_add_overflow(pg_now(), duration_ns, &deadline) ? PG_FOREVER : deadline;
}

int64_t pg_wall_ms(void)
{
    const pg_world *world = pg_world_current();
    if (world != NULL) {
        return world->ops->wall_ms(world);
    }
    struct timespec now;
    (void) clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t) now.tv_sec * 1000 + now.tv_nsec / 1000000;
}
