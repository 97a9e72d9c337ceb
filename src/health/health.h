// SPDX-License-Identifier: Apache-2.0
// The health book of a node: what was seen of each peer, the score that follows from it, and whether the peer may be given shards. Whoever
// deals with a peer notes what it saw here; whoever chooses peers asks here. Kept in the node's database. Not for: audits and repair
// themselves (exchange, files), connections (net).
//
// Layer: health.  Thread: loop thread only.  Spec: docs/protocols/health.md
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/bytes.h"
#include "base/err.h"
#include "crypto/peer_id.h"
#include "health/history.h"
#include "health/limits.h"
#include "health/score.h"
#include "store/db.h"

typedef struct pg_health pg_health;

/** The tables of this room, a step of the database's pg_db_schema. */
extern const char *const pg_health_schema_1;

/** What it stands on; all outlive it. */
typedef struct pg_health_config {
    pg_db *db; // has the tables
} pg_health_config;

/** Load the book and begin. Parks: yes. Errors: PG_ERR_NOMEM, those of pg_db_read. */
PG_NODISCARD pg_err pg_health_open(const pg_health_config *config, pg_health **out_health);

/** Something that was seen of a peer. */
typedef struct pg_health_observation {
    const pg_peer_id *peer;
    pg_health_kind kind;
    int64_t rtt_ns;  // of PG_HEALTH_PING_OK; or PG_HEALTH_RTT_UNKNOWN
    uint64_t time_s; // Unix time; 0 = now
    bool is_minor;   // where the book is full it is not noted of a peer that is not in it
    /** What proves it, for others to check: the signed answers of a failed audit, say. It is kept with the peer's evidence, cut at
     *  PG_HEALTH_EVIDENCE_BYTES_MAX; borrowed for the call. Empty = nothing */
    pg_bytes evidence;
} pg_health_observation;

/** Note what was seen. Cannot fail: without memory, or where the book is full of peers seen later, it is not noted. Parks: no.
 *  health   NULL is fine: nothing happens */
void pg_health_note(pg_health *health, const pg_health_observation *observation);

/** What is told of a peer. */
typedef struct pg_health_report {
    pg_peer_id peer;
    double score;          // 0..100
    pg_health_parts parts; // ours, and to less than half those of others
    uint32_t observers;    // others whose observations count
    pg_health_judgement judgement;
    uint64_t first_s; // first and last observation, and when it last answered, Unix time; 0 = never
    uint64_t last_s;
    uint64_t seen_s;
    int64_t rtt_ns;   // 0 = not known
    double fit;       // pg_health_fit
    bool is_forecast; // that is a forecast; else the score stands in for it
    uint32_t known_hours;
    uint32_t counts[PG_HEALTH_KIND_COUNT];
} pg_health_report;

/** Tell of one peer; false when nothing is known of it. Parks: no. */
bool pg_health_get(const pg_health *health, const pg_peer_id *peer, pg_health_report *out_report);

/** Call `each` for every peer of the book, the longest known first. It must not park. */
void pg_health_each(const pg_health *health,
                    void (*each)(const pg_health_report *report, void *user), void *user);

/** Return true when a peer may be given new shards: all but the barred. NULL allows all. Parks: no. */
bool pg_health_allows(const pg_health *health, const pg_peer_id *peer);

/** Return how likely a peer is there in the next 24 hours, 0..1: by the forecast, or while less than a day is known of it by its score. Parks: no. */
double pg_health_fit(const pg_health *health, const pg_peer_id *peer);

/** Turn a peer's rendezvous number into its rank: of many extents each peer comes first in as large a part as it is fit, and a peer that gets
 *  fitter loses nothing it had. Higher is better. NULL gives the number back.
 *  number   uniform; follows from the extent and the peer */
uint64_t pg_health_rank(const pg_health *health, const pg_peer_id *peer, uint64_t number);

/** One piece of evidence. Borrowed for the call. */
typedef struct pg_health_evidence {
    uint64_t time_s;
    pg_health_kind kind;   // or, when state != NEW, not read
    pg_health_state state; // the peer came to this state; NEW: an observation
    pg_health_reason reason;
    double score;   // then
    pg_bytes proof; // may be empty
} pg_health_evidence;

/** Call `each` for the evidence kept of a peer, the newest first. It must not park. Parks: yes. Errors of the database. */
PG_NODISCARD pg_err pg_health_evidence_each(pg_health *health, const pg_peer_id *peer,
                                            void (*each)(const pg_health_evidence *evidence,
                                                         void *user),
                                            void *user);

/** Train the forecast on what the book holds; runs by itself once a day too. Parks: yes. Errors: PG_ERR_NOMEM. */
PG_NODISCARD pg_err pg_health_learn(pg_health *health);

/** What the room holds and did. */
typedef struct pg_health_stats {
    uint64_t peers;
    uint64_t barred;
    uint64_t self_observers;      // that say something of this node
    uint64_t self_score;          // what they say of it, 0..100; 0 where nobody does
    uint64_t self_low;            // 1: the operator is warned
    uint64_t self_warnings_total; // how often that began
    uint64_t observations_total;
    uint64_t barred_total; // judgements
    uint64_t rounds_total; // of pings
    uint64_t
        examples; // that the forecast was trained on; 0: it is the one that comes with the program
    uint64_t rounds_lost_total; // of these nobody answered, so that they say nothing
} pg_health_stats;

/** Return what the room holds and did. NULL: all zero. */
pg_health_stats pg_health_get_stats(const pg_health *health);

/** Write what is not on disk yet. Parks: yes. Errors of the database. */
PG_NODISCARD pg_err pg_health_save(pg_health *health);

/** Save a last time, free, and set *health to NULL. NULL is fine. Parks: yes. */
void pg_health_close(pg_health **health);
