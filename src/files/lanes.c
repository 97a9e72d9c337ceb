// SPDX-License-Identifier: Apache-2.0
#include "files/lanes_priv.h"

void pg_lanes_init(pg_lanes *lanes)
{
    pg_scope_init(&lanes->scope);
    pg_waitq_init(&lanes->changed);
    lanes->failed = false;
}

pg_err pg_lanes_wait(pg_lanes *lanes, const pg_lane_state *state, pg_lane_state wanted)
{
    while (!lanes->failed && *state != wanted) {
        PG_TRY(pg_waitq_wait(&lanes->changed, PG_FOREVER));
    }
    return lanes->failed ? PG_ERR_CANCELLED : PG_OK;
}

void pg_lanes_set(pg_lanes *lanes, pg_lane_state *state, pg_lane_state next)
{
    pg_assert(next == (*state + 1) % (PG_LANE_STATE_DONE + 1));
    *state = next;
    pg_waitq_wake_all(&lanes->changed);
}

pg_err pg_lanes_result(pg_lanes *lanes, pg_err err)
{
    if (err != PG_OK) {
        lanes->failed = true;
        pg_waitq_wake_all(&lanes->changed);
    }
    return err;
}

pg_err pg_lanes_end(pg_lanes *lanes, pg_err err)
{
    if (err == PG_ERR_CANCELLED && lanes->failed) {
        pg_err first = pg_scope_join(&lanes->scope);
        return first == PG_OK ? err : first;
    }
    lanes->failed = true;
    pg_scope_close(&lanes->scope);
    return err;
}
