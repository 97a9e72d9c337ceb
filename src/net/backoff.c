// SPDX-License-Identifier: Apache-2.0
#include "net/backoff.h"

#include "net/limits.h"

void pg_backoff_fail(pg_backoff *backoff, pg_time now, uint64_t random)
{
    int64_t wait = PG_MS(PG_NET_BACKOFF_MIN_MS);
    for (uint32_t i = 0; i < backoff->failures && wait < PG_MS(PG_NET_BACKOFF_MAX_MS); i++) {
        wait *= 2;
    }
    if (wait > PG_MS(PG_NET_BACKOFF_MAX_MS)) {
        wait = PG_MS(PG_NET_BACKOFF_MAX_MS);
    }
    if (backoff->failures < UINT32_MAX) {
        backoff->failures++;
    }
    backoff->until = now + wait / 2 + (int64_t) (random % (uint64_t) (wait / 2 + 1));
}
