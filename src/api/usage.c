// SPDX-License-Identifier: Apache-2.0
#include "api/usage.h"

#define NS_MS INT64_C(1000000)
#define MS_SECOND UINT64_C(1000)

void pg_usage_spread_add(pg_usage_spread *spread, uint64_t value)
{
    unsigned bin = value == 0 ? 0 : 63U - (unsigned) __builtin_clzll(value);
    spread->bins[bin < PG_USAGE_BINS ? bin : PG_USAGE_BINS - 1]++;
    spread->count++;
}

uint64_t pg_usage_spread_at(const pg_usage_spread *spread, unsigned percent)
{
    uint64_t rank = (spread->count * percent + 99) / 100;
    uint64_t seen = 0;
    for (unsigned bin = 0; bin < PG_USAGE_BINS; bin++) {
        seen += spread->bins[bin];
        if (seen >= rank && seen > 0) {
            return UINT64_C(1) << bin;
        }
    }
    return 0;
}

static bool is_counted(pg_err err)
{
    return err != PG_ERR_CANCELLED && err != PG_ERR_CLOSED && err != PG_ERR_INVALID &&
           err != PG_ERR_BUSY;
}

void pg_usage_note(pg_usage_kind *kind, pg_err err, uint64_t bytes, int64_t duration_ns)
{
    if (!is_counted(err)) {
        return;
    }
    if (err != PG_OK) {
        kind->ended.bad++;
        return;
    }
    uint64_t ms = duration_ns > NS_MS ? (uint64_t) (duration_ns / NS_MS) : 1;
    kind->ended.good++;
    pg_usage_spread_add(&kind->ms, ms);
    if (bytes >= PG_USAGE_SPEED_BYTES_MIN) {
        // A transfer of more than 16 PiB is none.
        uint64_t some = bytes < UINT64_MAX / MS_SECOND ? bytes : UINT64_MAX / MS_SECOND;
        pg_usage_spread_add(&kind->speeds, some * MS_SECOND / ms);
    }
}
