// SPDX-License-Identifier: Apache-2.0
// Credit of one yamux stream in both directions, as arithmetic on plain values: what we may still send, what the peer may
// still send, when to give it more, and when its window grows. Not for: the bytes themselves.
//
// Layer: net.  Thread: any.  Spec: libp2p yamux, "Flow control"
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/err.h"
#include "runtime/time.h"

/** Credit of one stream. Always: recv_credit + recv_unread <= recv_window; the rest was read and is not announced yet. */
typedef struct pg_yamux_flow {
    uint64_t send_credit; // bytes we may still send; at most 2^32 - 1
    uint32_t recv_window; // bytes the peer may have under way or unread
    uint32_t recv_credit; // bytes the peer may still send
    uint32_t recv_unread; // bytes that came and nobody has read
    pg_time updated_at;   // when credit was last given
} pg_yamux_flow;

/** Return the credit of a stream opened now: one least window each way. */
pg_yamux_flow pg_yamux_flow_make(pg_time now);

/** Take back `len` bytes of credit for what we send; at most send_credit. */
void pg_yamux_flow_send(pg_yamux_flow *flow, size_t len);

/** The peer gives `delta` more. Errors: PG_ERR_PROTOCOL beyond 2^32 - 1 in all. */
PG_NODISCARD pg_err pg_yamux_flow_on_credit(pg_yamux_flow *flow, uint32_t delta);

/** The peer sends `len` bytes. Errors: PG_ERR_PROTOCOL when that is more than it may. */
PG_NODISCARD pg_err pg_yamux_flow_on_data(pg_yamux_flow *flow, uint32_t len);

/** We have read (or thrown away) `len` of the unread bytes. Returns the credit worth announcing now: 0 below half a window. */
uint32_t pg_yamux_flow_on_read(pg_yamux_flow *flow, size_t len);

/** Return the window to grow to now that credit is given: twice as large when the last was used up within four round trips, at
 *  most `window_max`; the present one when it need not grow.
 *  rtt_ns  0 = not known: does not grow */
uint32_t pg_yamux_flow_wanted_window(const pg_yamux_flow *flow, pg_time now, int64_t rtt_ns,
                                     uint32_t window_max);

/** Give all credit there is to give, in a window of `window` bytes, at least the present one. Returns the delta to announce. */
uint32_t pg_yamux_flow_give(pg_yamux_flow *flow, uint32_t window, pg_time now);
