// SPDX-License-Identifier: Apache-2.0
#include "churn.h"

#include <math.h>
#include <stdbool.h>

/** How hosts of a kind behave; times in hours. */
typedef struct habit {
    double shape; // of sessions
    double mean;
    double off_median;
    double off_sigma;
    double leave; // probability a day
} habit;

static const habit habits[CHURN_KIND_COUNT] = {
    [CHURN_SERVER] = {0.59, 480, 1, 1.0, 0.002},
    [CHURN_HOME] = {0.59, 60, 1.5, 1.2, 0.005},
    [CHURN_DIURNAL] = {1, 8, 0, 0.4, 0.01},
    [CHURN_TRANSIENT] = {0.38, 4, 8, 1.2, 0.04},
};

const churn_mix churn_mixed = {{0.25, 0.30, 0.30, 0.15}};
const churn_mix churn_steady = {{0.45, 0.55, 0, 0}};

// ---- Chance

double churn_uniform(churn_random *random)
{
    random->state += UINT64_C(0x9e3779b97f4a7c15); // SplitMix64
    uint64_t z = random->state;
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return ((double) ((z ^ (z >> 31)) >> 11) + 0.5) / 9007199254740992.0;
}

double churn_normal(churn_random *random)
{
    return sqrt(-2 * log(churn_uniform(random))) * cos(6.283185307179586 * churn_uniform(random));
}

double churn_lognormal(churn_random *random, double median, double sigma)
{
    return median * exp(sigma * churn_normal(random));
}

static double weibull(churn_random *random, double shape, double mean)
{
    return mean / tgamma(1 + 1 / shape) * pow(-log(churn_uniform(random)), 1 / shape);
}

// ---- Lives

static void fill(churn_life *life, double from_h, double until_h)
{
    double from = fmax(from_h * CHURN_TICKS_PER_HOUR, life->born);
    double until = fmin(until_h * CHURN_TICKS_PER_HOUR, life->gone);
    for (double tick = floor(from); tick < until; tick++) {
        life->up[(size_t) tick] = 1;
    }
}

static void sessions_make(churn_random *random, churn_life *life, const habit *as)
{
    double at = (double) life->born / CHURN_TICKS_PER_HOUR;
    while (at * CHURN_TICKS_PER_HOUR < life->ticks) {
        double end = at + weibull(random, as->shape, as->mean);
        fill(life, at, end);
        at = end + churn_lognormal(random, as->off_median, as->off_sigma);
    }
}

/** Mornings or evenings, by habit; half the days at the weekend. */
static void days_make(churn_random *random, churn_life *life, const habit *as)
{
    double habit_h =
        churn_uniform(random) < 0.5 ? 8 + churn_normal(random) : 17 + 1.5 * churn_normal(random);
    double length = churn_lognormal(random, as->mean, as->off_sigma);
    for (unsigned day = 0; day < life->ticks / (24 * CHURN_TICKS_PER_HOUR); day++) {
        bool is_weekend = (CHURN_START_HOUR / 24 + day + 4) % 7 >= 5;
        if (churn_uniform(random) < (is_weekend ? 0.5 : 0.93)) {
            double from = day * 24 + habit_h + churn_normal(random) + (is_weekend ? 2 : 0);
            fill(life, from, from + churn_lognormal(random, length, 0.25));
        }
    }
}

churn_kind churn_kind_draw(churn_random *random, const churn_mix *mix)
{
    double at = churn_uniform(random);
    unsigned kind = 0;
    while (kind + 1 < CHURN_KIND_COUNT && at > mix->shares[kind]) {
        at -= mix->shares[kind++];
    }
    return (churn_kind) kind;
}

void churn_life_draw(churn_random *random, churn_kind kind, churn_life *life)
{
    const habit *as = &habits[kind];
    double days = -log(churn_uniform(random)) / as->leave;
    life->gone = (uint32_t) fmin(life->born + days * 24 * CHURN_TICKS_PER_HOUR, life->ticks);
    if (kind == CHURN_DIURNAL) {
        days_make(random, life, as);
    } else {
        sessions_make(random, life, as);
    }
}
