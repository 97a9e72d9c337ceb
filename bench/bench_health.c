// SPDX-License-Identifier: Apache-2.0
// How good forecasts are, on traces of churn they were not trained on: which part of placed shards is lost when hosts are chosen by chance, by
// score and by forecast, and whether hosts that are forecast to be there for a part of the day are there for that part.
//
//      bench_health [--seed FIRST] [--worlds N] [--weights]
//
// A world is 400 hosts over 60 days, seen by one node that pings them every five minutes. Of hosts that leave for good another takes the
// place. The first 30 days are what is learned from; then hosts are chosen at random moments, and what becomes of them is counted.
// How hosts come and go stands in tests/sim/churn.h.
#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "churn.h"
#include "health/forecast.h"
#include "health/score.h"

#define HOSTS 400U
#define DAYS 68U // the last week is only looked at
#define LEARN_HOURS 720U
#define PLACE_HOURS 720U
#define HOURS (DAYS * 24U)
#define TICKS (HOURS * CHURN_TICKS_PER_HOUR)
#define PLACEMENTS 400U
#define CANDIDATES 60U
#define DATA 8U
#define SLOTS 10U
#define BINS 10U
#define LOSS_OF_PINGS 0.01

/** One life of a host, and what was seen of it. */
typedef struct life {
    uint8_t up[TICKS];
    churn_life churn; // points to `up`
    pg_health_history history;
} life;

typedef enum method { BY_CHANCE, BY_SCORE, BY_FORECAST, METHOD_COUNT } method;

/** What became of the shards that one method placed. */
typedef struct fate {
    double shard_hours;
    double absent_hours;
    double segment_hours;
    double unreadable_hours;
    double shards;
    double lost;     // silent for a day within a week
    double departed; // for good, within a week
} fate;

typedef struct bin {
    double forecast;
    double truth;
    double count;
} bin;

typedef struct world {
    life *lives; // [life_count]
    size_t life_count;
    size_t now_at[HOSTS]; // the life that is on at a place
    churn_kind kinds[HOSTS];
    pg_forecast_model model;
    fate fates[METHOD_COUNT];
    bin bins[BINS];
    double brier;       // of the hours
    double brier_month; // of the mean of the month instead
    double brier_count;
    churn_random random;
} world;

static double uniform(world *self)
{
    return churn_uniform(&self->random);
}

// ---- Lives

static void life_begin(world *self, size_t place, uint32_t born)
{
    life *one = &self->lives[self->life_count];
    memset(one, 0, sizeof(*one));
    one->churn = (churn_life){.up = one->up, .ticks = TICKS, .born = born};
    churn_life_draw(&self->random, self->kinds[place], &one->churn);
    self->now_at[place] = self->life_count++;
}

static void world_populate(world *self)
{
    for (size_t place = 0; place < HOSTS; place++) {
        self->kinds[place] = churn_kind_draw(&self->random, &churn_mixed);
        life_begin(self, place, 0);
    }
}

// ---- Watching

static void life_watch(world *self, life *one, uint32_t tick)
{
    if (one->churn.born > tick || (!one->up[tick] && one->history.seen_s == 0)) {
        return; // it was never met
    }
    bool answers = one->up[tick] && uniform(self) > LOSS_OF_PINGS * LOSS_OF_PINGS;
    pg_health_history_add(&one->history, answers ? PG_HEALTH_PING_OK : PG_HEALTH_PING_FAILED,
                          30000000, CHURN_START_HOUR * 3600 + (uint64_t) tick * 300);
}

/** Those that are gone for good are pinged on: nobody knows it of them. */
static void tick_watch(world *self, uint32_t tick)
{
    for (size_t place = 0; place < HOSTS; place++) {
        const life *one = &self->lives[self->now_at[place]];
        if (tick >= one->churn.gone && self->life_count < 4 * (size_t) HOSTS) {
            life_begin(self, place, tick);
        }
    }
    for (size_t i = 0; i < self->life_count; i++) {
        life_watch(self, &self->lives[i], tick);
    }
}

static void model_learn(world *self)
{
    pg_forecast_past *pasts = pg_calloc(self->life_count, sizeof(*pasts));
    size_t count = 0;
    if (pasts == NULL) {
        abort();
    }
    for (size_t i = 0; i < self->life_count; i++) {
        if (pg_health_history_known(&self->lives[i].history) >= PG_FORECAST_KNOWN_MIN) {
            pg_forecast_past_make(&self->lives[i].history, &pasts[count++]);
        }
    }
    pg_forecast_model_init(&self->model);
    pg_forecast_train(&self->model, pasts, count, PG_FORECAST_EXAMPLES_MAX);
    pg_mfree(pasts);
}

// ---- Placing

static double odds(double fit)
{
    return fmin(fmax(fit / (1 - fmin(fit, 0.9999)), 1.0 / 64), 64);
}

/** The weight of a host; 0 where it is not asked at all. */
static double weight_of(const world *self, const life *one, method how, uint64_t hour)
{
    pg_health_parts parts = pg_health_parts_of(&one->history, hour * 3600);
    double score = pg_health_score(&parts);
    if (how == BY_CHANCE) {
        return 1;
    }
    if (score < PG_HEALTH_BAR_SCORE) {
        return 0;
    }
    if (how == BY_FORECAST && pg_health_history_known(&one->history) >= PG_FORECAST_KNOWN_MIN) {
        pg_forecast_past past;
        pg_forecast_past_make(&one->history, &past);
        return odds(pg_forecast_day(&self->model, &past, hour + 1));
    }
    return odds(score / 100);
}

static bool is_lost(const life *one, uint32_t tick)
{
    unsigned silent = 0;
    for (uint32_t t = tick; t < tick + 168 * CHURN_TICKS_PER_HOUR; t++) {
        silent = one->up[t] ? 0 : silent + 1;
        if (silent >= 24 * CHURN_TICKS_PER_HOUR) {
            return true;
        }
    }
    return false;
}

static void fate_count(world *self, method how, life *const chosen[SLOTS], uint32_t tick)
{
    fate *to = &self->fates[how];
    for (unsigned h = 0; h < 24; h++) {
        unsigned up = 0;
        for (size_t i = 0; i < SLOTS; i++) {
            up += chosen[i]->up[tick + h * CHURN_TICKS_PER_HOUR];
        }
        to->shard_hours += SLOTS;
        to->absent_hours += SLOTS - up;
        to->segment_hours += 1;
        to->unreadable_hours += up < DATA ? 1 : 0;
    }
    for (size_t i = 0; i < SLOTS; i++) {
        to->shards += 1;
        to->lost += is_lost(chosen[i], tick) ? 1 : 0;
        to->departed += chosen[i]->churn.gone < tick + 168 * CHURN_TICKS_PER_HOUR ? 1 : 0;
    }
}

/** The ten of the candidates that weighted rendezvous puts first. */
static void place_by(world *self, method how, life *const *candidates, size_t count, uint32_t tick)
{
    life *chosen[SLOTS];
    double ranks[SLOTS];
    size_t filled = 0;
    uint64_t hour = CHURN_START_HOUR + tick / CHURN_TICKS_PER_HOUR;
    for (size_t i = 0; i < count; i++) {
        double weight = weight_of(self, candidates[i], how, hour);
        double rank = weight > 0 ? pow(uniform(self), 1 / weight) : -1 + uniform(self);
        size_t at = filled < SLOTS ? filled++ : SLOTS - 1;
        if (at == SLOTS - 1 && filled == SLOTS && i >= SLOTS && rank <= ranks[at]) {
            continue;
        }
        for (; at > 0 && ranks[at - 1] < rank; at--) {
            chosen[at] = chosen[at - 1];
            ranks[at] = ranks[at - 1];
        }
        chosen[at] = candidates[i];
        ranks[at] = rank;
    }
    if (filled == SLOTS) {
        fate_count(self, how, chosen, tick);
    }
}

/** Some of those that are up, since only they can take anything. */
static size_t candidates_find(world *self, uint32_t tick, life *out[CANDIDATES])
{
    size_t count = 0;
    for (unsigned tries = 0; tries < 4000 && count < CANDIDATES; tries++) {
        life *one = &self->lives[self->now_at[(size_t) (uniform(self) * HOSTS)]];
        bool is_new = one->up[tick] != 0;
        for (size_t i = 0; i < count && is_new; i++) {
            is_new = out[i] != one;
        }
        if (is_new) {
            out[count++] = one;
        }
    }
    return count;
}

// ---- Calibration

static void forecasts_check(world *self, uint32_t tick)
{
    uint64_t hour = CHURN_START_HOUR + tick / CHURN_TICKS_PER_HOUR;
    for (size_t i = 0; i < self->life_count; i++) {
        const life *one = &self->lives[i];
        pg_forecast_past past;
        if (pg_health_history_known(&one->history) < PG_FORECAST_KNOWN_MIN) {
            continue;
        }
        pg_forecast_past_make(&one->history, &past);
        double month = past.up[PG_HEALTH_HOURS] / past.known[PG_HEALTH_HOURS];
        double truth = 0;
        for (unsigned ahead = 1; ahead <= 24; ahead++) {
            double up = one->up[tick + ahead * CHURN_TICKS_PER_HOUR];
            double miss = pg_forecast_hour(&self->model, &past, hour + 1, ahead) - up;
            truth += up / 24;
            self->brier += miss * miss;
            self->brier_month += (month - up) * (month - up);
            self->brier_count += 1;
        }
        double forecast = pg_forecast_day(&self->model, &past, hour + 1);
        bin *to = &self->bins[(size_t) fmin(forecast * BINS, BINS - 1)];
        to->forecast += forecast;
        to->truth += truth;
        to->count += 1;
    }
}

// ---- The whole

static void world_run(world *self, uint64_t seed)
{
    self->random.state = seed * UINT64_C(0x2545f4914f6cdd1d);
    self->life_count = 0;
    world_populate(self);
    uint32_t place_every = PLACE_HOURS * CHURN_TICKS_PER_HOUR / PLACEMENTS;
    for (uint32_t tick = 0; tick < (LEARN_HOURS + PLACE_HOURS) * CHURN_TICKS_PER_HOUR; tick++) {
        tick_watch(self, tick);
        if (tick < LEARN_HOURS * CHURN_TICKS_PER_HOUR) {
            continue;
        }
        if (tick % (24 * CHURN_TICKS_PER_HOUR) == 0) {
            model_learn(self); // once a day, from what was seen
        }
        if (tick % (25 * CHURN_TICKS_PER_HOUR) == 0) { // each hour of the day in turn
            forecasts_check(self, tick);
        }
        if (tick % place_every == 0) {
            life *candidates[CANDIDATES];
            size_t count = candidates_find(self, tick, candidates);
            for (unsigned how = 0; how < METHOD_COUNT; how++) {
                place_by(self, (method) how, candidates, count, tick);
            }
        }
    }
}

static void fates_print(const world *self)
{
    static const char *const names[METHOD_COUNT] = {"chance", "score", "forecast"};
    printf("%-10s %10s %12s %12s %12s\n", "chosen by", "absent", "unreadable", "lost", "departed");
    for (unsigned how = 0; how < METHOD_COUNT; how++) {
        const fate *one = &self->fates[how];
        printf("%-10s %9.2f%% %11.2f%% %11.2f%% %11.2f%%\n", names[how],
               100 * one->absent_hours / one->shard_hours,
               100 * one->unreadable_hours / one->segment_hours, 100 * one->lost / one->shards,
               100 * one->departed / one->shards);
    }
}

static void calibration_print(const world *self)
{
    printf("\n%-14s %8s %10s %8s\n", "forecast", "mean", "was there", "cases");
    for (size_t i = 0; i < BINS; i++) {
        const bin *one = &self->bins[i];
        if (one->count > 0) {
            printf("%.1f to %.1f     %8.3f %10.3f %8.0f\n", (double) i / BINS,
                   (double) (i + 1) / BINS, one->forecast / one->count, one->truth / one->count,
                   one->count);
        }
    }
    printf("\nBrier score of the hours: %.4f; of the mean of the month instead: %.4f\n",
           self->brier / self->brier_count, self->brier_month / self->brier_count);
}

int main(int argc, char **argv)
{
    uint64_t first = 101;
    uint64_t worlds = 4;
    bool weights = false;
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--weights") == 0) {
            weights = true;
        } else if (strcmp(argv[i], "--seed") == 0 && i + 1 < argc) {
            first = strtoull(argv[++i], NULL, 10);
        } else if (strcmp(argv[i], "--worlds") == 0 && i + 1 < argc) {
            worlds = strtoull(argv[++i], NULL, 10);
        } // others are of the programs beside this one
    }
    world *self = PG_NEW(world);
    if (self == NULL || (self->lives = pg_calloc(4 * (size_t) HOSTS, sizeof(life))) == NULL) {
        return 1;
    }
    for (uint64_t seed = first; seed < first + worlds; seed++) {
        world_run(self, seed);
    }
    fates_print(self);
    calibration_print(self);
    for (size_t i = 0; weights && i < PG_FORECAST_FEATURES; i++) {
        printf("%s%.4f", i == 0 ? "weights " : ", ", self->model.weights[i]);
    }
    printf("\n");
    pg_mfree(self->lives);
    pg_mfree(self);
    return 0;
}
