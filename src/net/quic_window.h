// SPDX-License-Identifier: Apache-2.0
// How large a receive window of QUIC is to be, as arithmetic on plain values: it doubles while the peer uses a whole one up
// within four round trips. And how often something may happen in a second. Not for: the bytes themselves.
//
// Layer: net.  Thread: any.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"
#include "runtime/time.h"

/** The window of a stream, or of a connection. */
typedef struct pg_quic_window {
    uint64_t bytes;
    uint64_t used_bytes; // consumed since round_at
    pg_time round_at;
} pg_quic_window;

/** Return a window of `bytes` that begins now. */
static inline pg_quic_window pg_quic_window_make(uint64_t bytes, pg_time now)
{
    return (pg_quic_window){.bytes = bytes, .round_at = now};
}

/** Count consumed bytes. Returns true when a whole window has been: then ask whether it should grow. */
static inline bool pg_quic_window_use(pg_quic_window *window, uint64_t len)
{
    window->used_bytes += len;
    return window->used_bytes >= window->bytes;
}

/** Return by how many bytes the window is to grow, and begin to count anew. It grows when the caller adds them to `bytes`.
 *  rtt_ns  0 = not known: does not grow */
uint64_t pg_quic_window_growth(pg_quic_window *window, pg_time now, int64_t rtt_ns,
                               uint64_t bytes_max);

/** Allows something so often. All-zero: nothing has happened. */
typedef struct pg_quic_rate {
    int64_t debt_ns; // falls by a second a second, each event adds its share
    pg_time paid_at;
} pg_quic_rate;

/** Count an event at `now`. Returns false, and counts nothing, when more than `per_second` came lately; a second's worth may
 *  come at once. */
PG_NODISCARD bool pg_quic_rate_take(pg_quic_rate *rate, pg_time now, uint32_t per_second);
