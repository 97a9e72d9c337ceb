// SPDX-License-Identifier: Apache-2.0
#include "files/peer_clock.h"

// No difference of these overflows, whatever a host signs.
#define S_MAX (UINT64_C(1) << 40)

static int64_t clamp(uint64_t seconds)
{
    return (int64_t) (seconds < S_MAX ? seconds : S_MAX);
}

void pg_peer_clock_note(pg_peer_clock *clock, const pg_peer_id *host, uint64_t host_s,
                        uint64_t ours_s)
{
    size_t place = 0;
    while (place < clock->count && !pg_peer_id_equal(&clock->samples[place].host, host)) {
        place++;
    }
    if (place == PG_PEER_CLOCK_HOSTS) {
        place = clock->next;
        clock->next = (clock->next + 1) % PG_PEER_CLOCK_HOSTS;
    } else if (place == clock->count) {
        clock->count++;
    }
    clock->samples[place].host = *host;
    clock->samples[place].ahead_s = clamp(host_s) - clamp(ours_s);
}

int64_t pg_peer_clock_ahead_s(const pg_peer_clock *clock)
{
    int64_t sorted[PG_PEER_CLOCK_HOSTS];
    for (size_t i = 0; i < clock->count; i++) {
        size_t at = i;
        for (; at > 0 && sorted[at - 1] > clock->samples[i].ahead_s; at--) {
            sorted[at] = sorted[at - 1];
        }
        sorted[at] = clock->samples[i].ahead_s;
    }
    return clock->count == 0 ? 0 : sorted[clock->count / 2];
}
