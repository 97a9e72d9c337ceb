// SPDX-License-Identifier: Apache-2.0
#include "health/opinion.h"

#include <math.h>
#include <string.h>

#define HOURS_DAY 24.0
#define HOURS_WEEK 168.0
#define DAYS_WEEK 7.0
#define STRANGER 0.05

double pg_health_opinion_weight(uint32_t known_hours, double score, uint32_t said_hours)
{
    double known = fmin(known_hours / HOURS_WEEK, 1) * fmin(fmax(score / 100, 0), 1);
    return fmax(known, STRANGER) * fmin(said_hours / HOURS_DAY, 1);
}

/** Return true when a heavier one of the same network stands elsewhere, or an equal one before it. */
static bool is_shadowed(const pg_health_opinion *opinions, size_t count, size_t at)
{
    for (size_t i = 0; i < count; i++) {
        bool is_same =
            memcmp(opinions[i].network, opinions[at].network, PG_HEALTH_NETWORK_BYTES) == 0;
        bool is_heavier = opinions[i].weight > opinions[at].weight ||
                          (opinions[i].weight >= opinions[at].weight && i < at);
        if (i != at && is_same && is_heavier) {
            return true;
        }
    }
    return false;
}

pg_health_others pg_health_opinions_sum(const pg_health_opinion *opinions, size_t count)
{
    pg_health_others sum = {.count = 0};
    for (size_t i = 0; i < count; i++) {
        const pg_health_opinion *one = &opinions[i];
        if (one->weight > 0 && !is_shadowed(opinions, count, i)) {
            sum.parts.uptime += one->weight * one->parts.uptime;
            sum.parts.latency += one->weight * one->parts.latency;
            sum.parts.availability += one->weight * one->parts.availability;
            sum.weight += one->weight;
            sum.count++;
        }
    }
    if (sum.count > 0) {
        sum.parts.uptime /= sum.weight;
        sum.parts.latency /= sum.weight;
        sum.parts.availability /= sum.weight;
    }
    return sum;
}

pg_health_parts pg_health_mix(const pg_health_parts *own, uint32_t known_hours,
                              const pg_health_others *others)
{
    double own_weight = fmin(known_hours / HOURS_DAY, DAYS_WEEK);
    double their_weight = fmin(others->weight, own_weight);
    double total = own_weight + their_weight;
    if (their_weight <= 0) {
        return *own;
    }
    return (pg_health_parts){
        .uptime = (own_weight * own->uptime + their_weight * others->parts.uptime) / total,
        .latency = (own_weight * own->latency + their_weight * others->parts.latency) / total,
        .availability =
            (own_weight * own->availability + their_weight * others->parts.availability) / total,
    };
}
