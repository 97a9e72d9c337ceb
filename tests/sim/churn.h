// SPDX-License-Identifier: Apache-2.0
// Lives of hosts: when each is up, until it goes for good. Servers, homes, desks that keep the hours of their owner's day, and passers-by.
// Lengths of sessions follow Weibull distributions with the shapes that Stutzbach and Rejaie measured for swarms of BitTorrent
// (Understanding Churn in Peer-to-Peer Networks, 2006: 0.34, 0.38, 0.59), stretched to what keeps a storage host; absences are lognormal.
// A pure function of the seed. Not for: what hosts do while they are up.
#pragma once

#include <stddef.h>
#include <stdint.h>

#define CHURN_TICKS_PER_HOUR 12U
#define CHURN_START_HOUR UINT64_C(480000) // of Unix time, at tick 0

typedef enum churn_kind {
    CHURN_SERVER,
    CHURN_HOME,
    CHURN_DIURNAL,
    CHURN_TRANSIENT,
    CHURN_KIND_COUNT,
} churn_kind;

/** The part of each kind among the hosts of a world. */
typedef struct churn_mix {
    double shares[CHURN_KIND_COUNT];
} churn_mix;

/** A quarter servers, a third each of homes and desks, the rest passers-by. */
extern const churn_mix churn_mixed;

/** Hosts whose owners mean to keep them up: about 97 % of the time. */
extern const churn_mix churn_steady;

/** Numbers from a seed. */
typedef struct churn_random {
    uint64_t state;
} churn_random;

/** Return a number in (0, 1), evenly or normally distributed, and one with this median and spread of its logarithm. */
double churn_uniform(churn_random *random);
double churn_normal(churn_random *random);
double churn_lognormal(churn_random *random, double median, double sigma);

/** One life of a host. */
typedef struct churn_life {
    uint8_t *up; // [ticks]: 1 while it is up
    uint32_t ticks;
    uint32_t born;
    uint32_t gone; // tick from which on it never comes back; `ticks`: later
} churn_life;

/** Draw a kind. */
churn_kind churn_kind_draw(churn_random *random, const churn_mix *mix);

/** Draw a life. `life->up`, `ticks` and `born` are set; up[] is all zero. */
void churn_life_draw(churn_random *random, churn_kind kind, churn_life *life);
