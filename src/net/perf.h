// SPDX-License-Identifier: Apache-2.0
// Perf: how fast bytes go up and down one stream.
//
// Layer: net.  Thread: loop thread only.  Spec: libp2p perf 1.0.0
#pragma once

#include <stdint.h>

#include "base/attr.h"
#include "base/err.h"
#include "crypto/peer_id.h"
#include "net/host.h"
#include "runtime/time.h"

#define PG_PERF_ID "/perf/1.0.0"

/** Serve perf.
 *  bytes_max   most bytes of one request in each direction; read at each request, outlives the host
 *  Errors as pg_host_serve. */
PG_NODISCARD pg_err pg_perf_serve(pg_host *host, const uint64_t *bytes_max);

/** What a measurement found. */
typedef struct pg_perf_result {
    uint64_t up_bytes;
    uint64_t down_bytes;
    int64_t up_ns;   // from the first byte sent until the first one that comes back (or the end)
    int64_t down_ns; // from then on to the last
} pg_perf_result;

/** Called now and then with what has gone up and come down so far. Must not park. */
typedef void (*pg_perf_progress)(uint64_t up_bytes, uint64_t down_bytes, void *user);

/** What to measure. */
typedef struct pg_perf_request {
    uint64_t up_bytes;
    uint64_t down_bytes;
    pg_perf_progress progress; // may be NULL
    void *user;
} pg_perf_request;

/** Send `up_bytes`, then take `down_bytes`, over a new stream to the peer. Parks: yes.
 *  Errors: as pg_host_open_stream; PG_ERR_TRUNCATED when fewer bytes come back, PG_ERR_PROTOCOL when more do */
PG_NODISCARD pg_err pg_perf_measure(pg_host *host, const pg_peer_id *peer,
                                    const pg_perf_request *request, pg_time deadline,
                                    pg_perf_result *out_result);
