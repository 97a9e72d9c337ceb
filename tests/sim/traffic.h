// SPDX-License-Identifier: Apache-2.0
// What nodes say to each other, by protocol: stands between the services and pg_host_open_stream. A program that counts is linked with
// TRAFFIC_WRAPS (meson.build). What a stream carries is counted at the end that opened it, both directions, so nothing twice. Not counted:
// the frames of the muxer, handshakes and identify, which traffic_connections tells apart.
#pragma once

#include <stdint.h>

typedef enum traffic_kind {
    TRAFFIC_DHT,
    TRAFFIC_PING,
    TRAFFIC_PLACE, // puts, and the guard's and owners' questions who holds what
    TRAFFIC_AUDIT,
    TRAFFIC_BLOCKS, // Bitswap
    TRAFFIC_OTHER,
    TRAFFIC_KIND_COUNT,
} traffic_kind;

/** Sums over all nodes since the last traffic_reset. */
typedef struct traffic {
    uint64_t streams;
    uint64_t messages; // changes of direction: a question is one, its answer another
    uint64_t bytes;
} traffic;

/** Return what was counted of a kind. */
traffic traffic_of(traffic_kind kind);

/** Begin anew. */
void traffic_reset(void);

/** Return the name of a kind. */
const char *traffic_kind_name(traffic_kind kind);
