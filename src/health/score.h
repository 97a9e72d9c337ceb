// SPDX-License-Identifier: Apache-2.0
// From a history to a score, and from scores to a judgement: whether a peer may be given shards. The judgement has a memory, so that it does not
// change with every ping. Pure.
//
//                 score < 30, or 2 proven losses                            (step_bar)
//      NEW ──12 observations──> GOOD <──> FAIR (below 40) ───────> BARRED
//                                 ^                                  │
//                                 └── score > 40, and 6 h (a week) are over (step_return)
//
// Layer: health.  Thread: any.  Spec: docs/protocols/health.md
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "health/history.h"

/** The parts of a score, each 0..100. */
typedef struct pg_health_parts {
    double uptime;
    double latency; // inverse: 100 is no time at all
    double availability;
} pg_health_parts;

typedef enum pg_health_state {
    PG_HEALTH_STATE_NEW, // too little is known
    PG_HEALTH_STATE_GOOD,
    PG_HEALTH_STATE_FAIR,   // close to being barred
    PG_HEALTH_STATE_BARRED, // takes no new shards
    PG_HEALTH_STATE_COUNT,
} pg_health_state;

typedef enum pg_health_reason {
    PG_HEALTH_REASON_NONE,
    PG_HEALTH_REASON_SCORE, // it fell under 30
    PG_HEALTH_REASON_LOSS,  // it was proven to have lost shards
    PG_HEALTH_REASON_COUNT,
} pg_health_reason;

/** A judgement. All-zero: NEW. */
typedef struct pg_health_judgement {
    pg_health_state state;
    pg_health_reason reason; // of BARRED
    uint64_t since_s;        // Unix time
} pg_health_judgement;

/** Compute the parts at a time of the wall clock. */
pg_health_parts pg_health_parts_of(const pg_health_history *history, uint64_t now_s);

/** Return 0.4 uptime + 0.3 latency + 0.3 availability, 0..100. */
double pg_health_score(const pg_health_parts *parts);

/** Judge anew. Returns true when the state has changed.
 *  history   its losses are forgotten when the peer is let in again
 *  score     of the history, or one in which others had a say */
bool pg_health_judge(pg_health_judgement *judgement, pg_health_history *history, double score,
                     uint64_t now_s);

/** Return the name of a state: "new", "good", "fair", "barred". Static. */
const char *pg_health_state_name(pg_health_state state);

/** Return the reason as a sentence for people; empty for NONE. Static. */
const char *pg_health_reason_text(pg_health_reason reason);
