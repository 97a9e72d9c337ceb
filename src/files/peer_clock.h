// SPDX-License-Identifier: Apache-2.0
// The wall clock against those of hosts, which sign the time with every receipt: one sample a host, the newest, and their median, which a
// minority of hosts cannot move far. Nothing is decided by it; it tells a person whose clock is wrong. Pure.
//
// Layer: files.  Thread: any, one object at a time.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "crypto/peer_id.h"

/** Hosts that are remembered: enough for a median. */
#define PG_PEER_CLOCK_HOSTS 32

/** The samples. All-zero: none. */
typedef struct pg_peer_clock {
    struct {
        pg_peer_id host;
        int64_t ahead_s;
    } samples[PG_PEER_CLOCK_HOSTS];
    size_t count;
    size_t next; // is replaced, when all are taken
} pg_peer_clock;

/** Note that a host has just said it is `host_s` while it was `ours_s` here, seconds since 1970. */
void pg_peer_clock_note(pg_peer_clock *clock, const pg_peer_id *host, uint64_t host_s,
                        uint64_t ours_s);

/** Return how far the hosts are ahead of us in the median, seconds; negative: behind. 0 without samples: clock->count tells. */
int64_t pg_peer_clock_ahead_s(const pg_peer_clock *clock);
