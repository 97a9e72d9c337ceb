// SPDX-License-Identifier: Apache-2.0
#include "exchange/limits.h"
#include "exchange/place_clock_priv.h"

// No sum of these overflows, whatever the wall clock says.
#define WALL_S_MAX (INT64_C(1) << 40)

static int64_t wall_clamp(int64_t wall_s)
{
    int64_t least = wall_s < 0 ? 0 : wall_s;
    return least > WALL_S_MAX ? WALL_S_MAX : least;
}

static void be_quiet(pg_place_clock *clock, pg_time now, int64_t quiet_s)
{
    pg_time until = now + PG_SECONDS(quiet_s);
    clock->quiet_until = until > clock->quiet_until ? until : clock->quiet_until;
}

void pg_place_clock_begin(pg_place_clock *clock, int64_t seen_s, int64_t quiet_s, int64_t wall_s,
                          pg_time now)
{
    const int64_t full_s = (int64_t) PG_PLACE_CLOCK_S;
    int64_t wall = wall_clamp(wall_s);
    int64_t seen = wall_clamp(seen_s);
    *clock = (pg_place_clock){.base_wall_s = wall, .base = now, .quiet_until = now};
    be_quiet(clock, now, quiet_s < 0 ? 0 : quiet_s > full_s ? full_s : quiet_s);
    // Back behind what was seen, or further ahead than a node is usually off.
    if (seen > 0 && (wall < seen - (int64_t) PG_PLACE_STEP_S ||
                     wall > seen + (int64_t) PG_PLACE_EXPIRY_S_MAX)) {
        be_quiet(clock, now, full_s);
    }
}

bool pg_place_clock_look(pg_place_clock *clock, int64_t wall_s, pg_time now)
{
    int64_t wall = wall_clamp(wall_s);
    int64_t expected = clock->base_wall_s + (now - clock->base) / PG_SECONDS(1);
    int64_t off = wall > expected ? wall - expected : expected - wall;
    if (off > (int64_t) PG_PLACE_STEP_S) {
        clock->base_wall_s = wall;
        clock->base = now;
        be_quiet(clock, now, (int64_t) PG_PLACE_CLOCK_S);
    }
    return now >= clock->quiet_until;
}

int64_t pg_place_clock_quiet_s(const pg_place_clock *clock, pg_time now)
{
    pg_time left = clock->quiet_until - now;
    return left <= 0 ? 0 : (left + PG_SECONDS(1) - 1) / PG_SECONDS(1);
}
