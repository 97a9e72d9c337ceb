// SPDX-License-Identifier: Apache-2.0
// The inside of the health book, shared by the files of this room that run.
//
// Layer: health, private.  Thread: loop thread only.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/list.h"
#include "base/map.h"
#include "health/forecast.h"
#include "health/gossip.h"
#include "health/health.h"
#include "health/opinion.h"
#include "health/rows.h"
#include "health/watch.h"
#include "runtime/fiber.h"

/** One peer of the book. */
typedef struct pg_health_peer {
    pg_health_row row;
    double score; // when it was last judged
    bool is_changed;
    pg_health_others others;               // what they said last
    double forecast;                       // as of forecast_hour
    uint64_t forecast_hour;                // 0 = none was made
    uint64_t used_s[PG_HEALTH_KIND_COUNT]; // when one of this kind last counted
    uint32_t misses;                       // pings in a row that were not answered
} pg_health_peer;

struct pg_health {
    pg_health_config config;
    pg_map peers; // PeerId -> pg_health_peer
    pg_health_clue clues[PG_HEALTH_EVIDENCE_WAITING_MAX];
    size_t clue_count;
    pg_peer_id gone[PG_HEALTH_GONE_MAX]; // forgotten, and still in the database
    size_t gone_count;
    bool is_saving;
    bool is_failing; // the last save failed, which was told
    uint64_t observations_total;
    uint64_t barred_total;
    pg_forecast_model model;
    pg_health_gossip_config gossip; // dhts NULL: nothing is shared
    pg_health_others self;          // what others say of this node
    bool is_self_low;
    uint64_t self_warnings;
    pg_scope scope;
    pg_health_watch_config watch; // host NULL: nobody is pinged
    pg_scope watching;
    uint64_t rounds_total;
    uint64_t rounds_lost; // in which nobody answered
};

/** Return the wall clock in Unix seconds. */
uint64_t pg_health_now_s(void);

/** Find a peer; NULL when nothing is known of it. */
pg_health_peer *pg_health_find(const pg_health *health, const pg_peer_id *peer);

/** Return how likely a peer is there in the next 24 hours, and in *out_forecast whether that is a forecast. */
double pg_health_peer_fit(const pg_health *health, pg_health_peer *peer, bool *out_forecast);

/** Train once a day, for ever, until cancelled. */
pg_err pg_health_learn_run(void *arg);

/** Return the parts of a peer, as we and others see them. */
pg_health_parts pg_health_peer_parts(const pg_health_peer *peer, uint64_t now_s);

/** Judge a peer anew, and note a change. */
void pg_health_rejudge(pg_health *health, pg_health_peer *peer, uint64_t now_s);
