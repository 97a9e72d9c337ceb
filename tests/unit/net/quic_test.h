// SPDX-License-Identifier: Apache-2.0
// One side of QUIC for tests: an endpoint with an identity, and the connections that came to it.
#pragma once

#include "net/limits.h"
#include "net/quic_endpoint.h"
#include "net_test.h"

#define QUIC_SIDE_CONNS_MAX 512

/** A side. Own in place; all-zero is none. */
typedef struct quic_side {
    pg_identity identity;
    pg_quic_tls *tls;
    pg_key reset_key;
    pg_conn_memory memory;
    pg_quic_endpoint *endpoint;
    pg_quic_verdict verdict; // for strangers
    pg_conn *conns[QUIC_SIDE_CONNS_MAX];
    size_t arrived;
    size_t taken;
    pg_waitq arrivals;
    uint32_t counted; // initials of validated addresses
    uint32_t failed;  // inbound handshakes
    pg_err failure;   // the last
} quic_side;

/** Settings that are not the usual ones. All-zero: the usual. */
typedef struct quic_side_options {
    pg_quic_groups groups;
    bool dials_only;
    uint32_t pending_max;
    uint32_t streams_in_max;
    uint32_t window_max_bytes;
    int64_t handshake_timeout_ns;
} quic_side_options;

/** Open a side with the identity of `seed` at an address. `options` may be NULL. */
void quic_side_open(quic_side *side, uint8_t seed, const pg_endpoint *at,
                    const quic_side_options *options);

/** Wait for the next inbound connection. */
pg_err quic_side_accept(quic_side *side, pg_time deadline, pg_conn **out_conn);

/** Dial `to`, wanting its identity. */
pg_err quic_side_dial(quic_side *from, const quic_side *to, pg_conn **out_conn);

/** The script of a simulated run: run a body on a machine, with the loopback address as its argument. `arg` points to the body,
 *  a pg_fiber_fn. */
pg_err quic_test_on_machine(void *arg);

/** Let an endpoint forget all its connections without a word to their peers, as a crash would. */
void quic_test_vanish(pg_quic_endpoint *endpoint);

/** End what is left, and free. Checks that no memory is charged any more. */
void quic_side_close(quic_side *side);

/** Serve streams of a connection by echo until it ends; a fiber's body, `arg` is the connection. */
pg_err quic_echo_run(void *arg);

/** Send `total` bytes on a new stream and check that they come back. */
void quic_echo_check(pg_conn *conn, uint32_t seed, uint64_t total);
