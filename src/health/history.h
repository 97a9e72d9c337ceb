// SPDX-License-Identifier: Apache-2.0
// What one node saw of one peer: for each of the last 720 hours how often it was asked and answered, and running means of how fast it
// answers and of whether it has what it should. Of bounded size whatever happens. Pure: time is an argument.
//
// Layer: health.  Thread: any.  Spec: docs/protocols/health.md, "What is observed"
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/bytes.h"
#include "base/err.h"
#include "health/limits.h"

/** What can be seen of a peer. */
typedef enum pg_health_kind {
    PG_HEALTH_PING_OK,      // it answered a ping, in rtt_ns, or when it was asked what it holds
    PG_HEALTH_PING_FAILED,  // it did not; a ping: twice
    PG_HEALTH_AUDIT_HELD,   // it proved that it holds a shard
    PG_HEALTH_AUDIT_FAILED, // it proved, or others did, that it does not
    PG_HEALTH_TRANSFER_OK,  // it took or gave what it should
    PG_HEALTH_REFUSED,      // it did not give what it said it holds, or broke off
    PG_HEALTH_KIND_COUNT,
} pg_health_kind;

/** One hour. */
typedef struct pg_health_hour {
    uint8_t asked;    // 0: nothing is known of it
    uint8_t answered; // at most `asked`
} pg_health_hour;

/** All that is kept of one peer. The all-zero value is a peer nothing is known of. */
typedef struct pg_health_history {
    pg_health_hour hours[PG_HEALTH_HOURS]; // a ring: the hour h of the wall clock is at h mod 720
    uint64_t hour;                         // the newest one, hours since 1970; 0 = none
    uint64_t first_s;                      // first and last observation, Unix time
    uint64_t last_s;
    uint64_t seen_s; // when it last answered; 0 = never
    double latency;  // running mean of half / (half + rtt), 0 where there was no answer: 0..1
    double availability;
    double latency_weight; // how much stands behind the means: 0..PG_HEALTH_MEMORY
    double availability_weight;
    double rtt_ns; // running mean of the answers alone
    uint32_t counts[PG_HEALTH_KIND_COUNT];
    uint32_t losses; // failed audits since the last that was passed
} pg_health_history;

/** A round trip that was not measured. */
#define PG_HEALTH_RTT_UNKNOWN INT64_MIN

/** Take an observation in.
 *  rtt_ns   of PG_HEALTH_PING_OK; PG_HEALTH_RTT_UNKNOWN, also of PG_HEALTH_PING_FAILED: it says nothing of latency. Else not read
 *  time_s   wall clock. One that lies 720 hours before the newest says that the clock was wrong then: the hours begin anew */
void pg_health_history_add(pg_health_history *history, pg_health_kind kind, int64_t rtt_ns,
                           uint64_t time_s);

/** Return an hour of the wall clock; `asked` is 0 where nothing is known, or it is out of the window. */
pg_health_hour pg_health_history_at(const pg_health_history *history, uint64_t hour);

/** Return how many of the hours are known. */
uint32_t pg_health_history_known(const pg_health_history *history);

/** Return how many observations were taken in. */
uint64_t pg_health_history_total(const pg_health_history *history);

/** Append what is kept, for the node's own database. Errors as pg_buf_reserve. */
PG_NODISCARD pg_err pg_health_history_encode(const pg_health_history *history, pg_buf *out);

/** Read what pg_health_history_encode wrote. Errors: PG_ERR_TRUNCATED, PG_ERR_MALFORMED, PG_ERR_UNSUPPORTED (version). */
PG_NODISCARD pg_err pg_health_history_decode(pg_bytes in, pg_health_history *out_history);
