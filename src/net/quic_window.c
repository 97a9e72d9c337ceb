// SPDX-License-Identifier: Apache-2.0
#include "net/quic_window.h"

#define GROW_ROUND_TRIPS 4

uint64_t pg_quic_window_growth(pg_quic_window *window, pg_time now, int64_t rtt_ns,
                               uint64_t bytes_max)
{
    bool was_fast = now - window->round_at < GROW_ROUND_TRIPS * rtt_ns;
    uint64_t left = bytes_max > window->bytes ? bytes_max - window->bytes : 0;
    window->used_bytes = 0;
    window->round_at = now;
    if (!was_fast) {
        return 0;
    }
    return window->bytes < left ? window->bytes : left;
}

bool pg_quic_rate_take(pg_quic_rate *rate, pg_time now, uint32_t per_second)
{
    int64_t share = PG_SECONDS(1) / per_second;
    int64_t paid = now - rate->paid_at;
    rate->debt_ns = rate->debt_ns > paid ? rate->debt_ns - paid : 0;
    rate->paid_at = now;
    if (rate->debt_ns + share > PG_SECONDS(1)) {
        return false;
    }
    rate->debt_ns += share;
    return true;
}
