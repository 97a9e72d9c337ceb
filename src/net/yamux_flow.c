// SPDX-License-Identifier: Apache-2.0
#include "net/yamux_flow.h"

#include "base/mem.h"
#include "net/limits.h"

#define GROW_ROUND_TRIPS 4

pg_yamux_flow pg_yamux_flow_make(pg_time now)
{
    return (pg_yamux_flow){
        .send_credit = PG_NET_WINDOW_BYTES_MIN,
        .recv_window = PG_NET_WINDOW_BYTES_MIN,
        .recv_credit = PG_NET_WINDOW_BYTES_MIN,
        .updated_at = now,
    };
}

void pg_yamux_flow_send(pg_yamux_flow *flow, size_t len)
{
    pg_assert(len <= flow->send_credit);
    flow->send_credit -= len;
}

pg_err pg_yamux_flow_on_credit(pg_yamux_flow *flow, uint32_t delta)
{
    if (flow->send_credit + delta > UINT32_MAX) {
        return pg_fail(PG_ERR_PROTOCOL, "credit of more than 2^32 - 1 bytes");
    }
    flow->send_credit += delta;
    return PG_OK;
}

pg_err pg_yamux_flow_on_data(pg_yamux_flow *flow, uint32_t len)
{
    if (len > flow->recv_credit) {
        return pg_fail(PG_ERR_PROTOCOL, "%u bytes sent with credit for %u", len, flow->recv_credit);
    }
    flow->recv_credit -= len;
    flow->recv_unread += len;
    return PG_OK;
}

static uint32_t flow_unannounced(const pg_yamux_flow *flow)
{
    return flow->recv_window - flow->recv_credit - flow->recv_unread;
}

uint32_t pg_yamux_flow_on_read(pg_yamux_flow *flow, size_t len)
{
    pg_assert(len <= flow->recv_unread);
    flow->recv_unread -= (uint32_t) len;
    uint32_t delta = flow_unannounced(flow);
    return delta >= flow->recv_window / 2 ? delta : 0;
}

uint32_t pg_yamux_flow_wanted_window(const pg_yamux_flow *flow, pg_time now, int64_t rtt_ns,
                                     uint32_t window_max)
{
    if (now - flow->updated_at >= GROW_ROUND_TRIPS * rtt_ns || flow->recv_window >= window_max) {
        return flow->recv_window;
    }
    return (uint32_t) pg_min_size((size_t) flow->recv_window * 2, window_max);
}

uint32_t pg_yamux_flow_give(pg_yamux_flow *flow, uint32_t window, pg_time now)
{
    pg_assert(window >= flow->recv_window);
    flow->recv_window = window;
    uint32_t delta = flow_unannounced(flow);
    flow->recv_credit += delta;
    flow->updated_at = now;
    return delta;
}
