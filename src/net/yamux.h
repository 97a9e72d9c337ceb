// SPDX-License-Identifier: Apache-2.0
// yamux: many byte streams over one. One fiber reads the carrier for the whole life of the session; another writes to it
// while there is something to write. Streams implement pg_stream in full: half close, reset, deadlines, cancellation. Not
// for: security (noise_conn.h), who the peer is (conn.h).
//
// Rules of ours beside the specification: the reader never waits for a slow stream; pings, credit and flags go before data;
// streams with data take turns of one frame; memory is bounded by a budget (a window that finds no room does not grow, a
// stream whose bytes find no room is reset).
//
// Layer: net.  Thread: loop thread only.  Spec: libp2p yamux
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/err.h"
#include "net/conn.h"
#include "runtime/stream.h"
#include "runtime/time.h"

#define PG_YAMUX_ID "/yamux/1.0.0"

typedef struct pg_yamux pg_yamux;

/** What is known of a session. Fields as in pg_conn_info. */
typedef struct pg_yamux_stats {
    int64_t rtt_ns;
    uint32_t streams_in;
    uint32_t streams_out;
    uint64_t bytes_in;
    uint64_t bytes_out;
    size_t memory_bytes;
} pg_yamux_stats;

/** Start a session and ping the peer for the round trip. Parks: no.
 *  carrier    taken on PG_OK, and *carrier set to NULL; freed with the session
 *  is_client  we dialed: our stream ids are odd
 *  limits     window_max_bytes at least PG_NET_WINDOW_BYTES_MIN
 *  Errors: PG_ERR_NOMEM, PG_ERR_CANCELLED */
PG_NODISCARD pg_err pg_yamux_new(pg_stream **carrier, bool is_client, const pg_conn_limits *limits,
                                 pg_yamux **out_yamux);

/** Open a stream. Parks, errors, ownership: as pg_conn_open_stream. */
PG_NODISCARD pg_err pg_yamux_open(pg_yamux *yamux, pg_time deadline, pg_stream **out_stream);

/** Wait for the next stream of the peer, which learns by this call that we take it. Parks, errors, ownership: as
 *  pg_conn_accept_stream. */
PG_NODISCARD pg_err pg_yamux_accept(pg_yamux *yamux, pg_time deadline, pg_stream **out_stream);

/** Tell what is known of the session, now. Parks: no. */
pg_yamux_stats pg_yamux_get_stats(const pg_yamux *yamux);

/** End in good order. As pg_conn_close. Parks: yes. */
PG_NODISCARD pg_err pg_yamux_close(pg_yamux *yamux, pg_time deadline);

/** End at once. As pg_conn_abort. Parks: no. */
void pg_yamux_abort(pg_yamux *yamux);

/** Abort, wait for the session's fibers, free, and set *yamux to NULL. As pg_conn_free. Parks: yes, briefly. */
void pg_yamux_free(pg_yamux **yamux);
