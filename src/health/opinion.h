// SPDX-License-Identifier: Apache-2.0
// What others say of a peer, and how much of it counts: an observer weighs as much as we know of it, one network counts once, and all of them
// together never weigh more than what we saw ourselves. Pure.
//
// Layer: health.  Thread: any.  Spec: docs/protocols/health.md, "What others say"
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "health/score.h"

#define PG_HEALTH_NETWORK_BYTES 7

/** What one observer says. */
typedef struct pg_health_opinion {
    pg_health_parts parts;
    double weight; // pg_health_opinion_weight
    uint8_t network
        [PG_HEALTH_NETWORK_BYTES]; // of the observer: IPv4 /24, IPv6 /48; all zero = not known, all of which are one
} pg_health_opinion;

/** What several say. All-zero: nobody says anything. */
typedef struct pg_health_others {
    pg_health_parts parts; // weighted mean
    double weight;         // of all together, in days of observation
    uint32_t count;        // of observers that counted
} pg_health_others;

/** Return what an observer weighs, 0..1: the part of a week that we have known it ourselves, times our score of it; a stranger a twentieth; and less
 *  where it has watched for less than a day.
 *  known_hours   of our own observations of the observer
 *  score         ours of it, 0..100
 *  said_hours    on which it says its observations stand */
double pg_health_opinion_weight(uint32_t known_hours, double score, uint32_t said_hours);

/** Sum up. Of one network the heaviest counts alone.
 *  opinions   opinions[count] */
pg_health_others pg_health_opinions_sum(const pg_health_opinion *opinions, size_t count);

/** Mix what we saw with what others say: our own part weighs at least half.
 *  known_hours   of our own observations */
pg_health_parts pg_health_mix(const pg_health_parts *own, uint32_t known_hours,
                              const pg_health_others *others);
