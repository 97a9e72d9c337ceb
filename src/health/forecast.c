// SPDX-License-Identifier: Apache-2.0
#include "health/forecast.h"

#include <math.h>
#include <string.h>

#define HOURS_DAY 24U
#define HOURS_WEEK 168U
// Keeps a peer that was always there, or never, from being certain; and how much the month weighs in a mean of few hours.
#define DOUBT 0.005
#define MONTH_WEIGHT 2.0
// Steps: of AdaGrad, and how strongly the weights are held to those the program came with.
#define RATE 0.05
#define HOLD 1e-5

// Trained on the traces of bench/bench_health.c (--seed 1 --worlds 3 --weights, beginning with zeros), for a node that has seen too little itself.
static const double weights_initial[PG_FORECAST_FEATURES] = {
    -0.1030, -0.4990, 0.1166, 0.2436, 0.4224, 0.3936, 1.1430, 0.4300, 0.5588,
};

void pg_forecast_model_init(pg_forecast_model *model)
{
    *model = (pg_forecast_model){.examples = 0};
    memcpy(model->weights, weights_initial, sizeof(model->weights));
}

// ---- The past

void pg_forecast_past_make(const pg_health_history *history, pg_forecast_past *out_past)
{
    pg_forecast_past *past = out_past;
    past->oldest = history->hour >= PG_HEALTH_HOURS ? history->hour - PG_HEALTH_HOURS + 1 : 0;
    past->known[0] = 0;
    past->up[0] = 0;
    for (size_t i = 0; i < PG_HEALTH_HOURS; i++) {
        pg_health_hour hour = pg_health_history_at(history, past->oldest + i);
        bool is_known = hour.asked > 0;
        past->known[i + 1] = past->known[i] + (is_known ? 1 : 0);
        past->up[i + 1] = past->up[i] + (is_known ? (double) hour.answered / hour.asked : 0);
    }
}

/** Return the index of an hour, held within the window. */
static size_t index_of(const pg_forecast_past *past, uint64_t hour)
{
    if (hour <= past->oldest) {
        return 0;
    }
    uint64_t index = hour - past->oldest;
    return index < PG_HEALTH_HOURS ? (size_t) index : PG_HEALTH_HOURS;
}

uint32_t pg_forecast_known(const pg_forecast_past *past, uint64_t now, uint64_t hours)
{
    size_t end = index_of(past, now);
    size_t begin = index_of(past, now > hours ? now - hours : 0);
    return past->known[end] - past->known[begin];
}

static double up_in(const pg_forecast_past *past, uint64_t now, uint64_t hours)
{
    size_t end = index_of(past, now);
    size_t begin = index_of(past, now > hours ? now - hours : 0);
    return past->up[end] - past->up[begin];
}

/** Return the mean over the known hours of a window, drawn to `prior` where they are few. */
static double mean_in(const pg_forecast_past *past, uint64_t now, uint64_t hours, double prior)
{
    return (up_in(past, now, hours) + MONTH_WEIGHT * prior) /
           (pg_forecast_known(past, now, hours) + MONTH_WEIGHT);
}

/** Return the mean over the hours before `now` that lie a multiple of `period` before `target`. */
static double mean_at(const pg_forecast_past *past, uint64_t now, uint64_t target, unsigned period,
                      double prior)
{
    double sum = MONTH_WEIGHT * prior;
    double total = MONTH_WEIGHT;
    uint64_t end = past->oldest + PG_HEALTH_HOURS;
    uint64_t skipped = target > end ? (target - end) / period * period : 0; // beyond the window
    for (uint64_t hour = target - skipped; hour >= period + past->oldest;) {
        hour -= period;
        size_t i = index_of(past, hour);
        if (hour < now && i < PG_HEALTH_HOURS && past->known[i + 1] > past->known[i]) {
            sum += past->up[i + 1] - past->up[i];
            total += 1;
        }
    }
    return sum / total;
}

/** Return how it was in the last hour that is known, -1..1, and in *out_hours for how long it has been so. */
static double state_at(const pg_forecast_past *past, uint64_t now, unsigned *out_hours)
{
    double state = 0;
    unsigned hours = 0;
    for (size_t i = index_of(past, now); i > 0; i--) {
        if (past->known[i] == past->known[i - 1]) {
            continue;
        }
        double up = 2 * (past->up[i] - past->up[i - 1]) - 1;
        if (hours > 0 && (up > 0) != (state > 0)) {
            break;
        }
        state = hours == 0 ? up : state;
        hours++;
    }
    *out_hours = hours;
    return state;
}

// ---- Features

static double logit(double share)
{
    double held = DOUBT + (1 - 2 * DOUBT) * share;
    return log(held / (1 - held));
}

/** What is the same for all hours ahead. */
typedef struct outlook {
    double month;
    double month_logit;
    double day_logit;
    double week_logit;
    double state;
    double state_logit; // how long it has been so, with its sign
} outlook;

static outlook outlook_make(const pg_forecast_past *past, uint64_t now)
{
    unsigned hours = 0;
    outlook made = {.month = mean_in(past, now, PG_HEALTH_HOURS, 0.5)};
    made.month_logit = logit(made.month);
    made.day_logit = logit(mean_in(past, now, HOURS_DAY, made.month));
    made.week_logit = logit(mean_in(past, now, HOURS_WEEK, made.month));
    made.state = state_at(past, now, &hours);
    made.state_logit = (made.state > 0 ? 1 : -1) * log1p(hours) / 4;
    return made;
}

static void features_make(const pg_forecast_past *past, const outlook *base, uint64_t now,
                          unsigned ahead, double out[PG_FORECAST_FEATURES])
{
    uint64_t target = now + ahead - 1;
    double at_day = mean_at(past, now, target, HOURS_DAY, base->month);
    double at_week = mean_at(past, now, target, HOURS_WEEK, at_day);
    out[0] = 1;
    out[1] = base->month_logit;
    out[2] = base->week_logit;
    out[3] = base->day_logit;
    out[4] = logit(at_day);
    out[5] = logit(at_week);
    out[6] = base->state * exp(-(double) ahead / 4);
    out[7] = base->state * exp(-(double) ahead / 16);
    out[8] = base->state_logit;
}

static double predict(const pg_forecast_model *model, const double x[PG_FORECAST_FEATURES])
{
    double sum = 0;
    for (size_t i = 0; i < PG_FORECAST_FEATURES; i++) {
        sum += model->weights[i] * x[i];
    }
    return 1 / (1 + exp(-sum));
}

double pg_forecast_hour(const pg_forecast_model *model, const pg_forecast_past *past, uint64_t now,
                        unsigned ahead)
{
    double x[PG_FORECAST_FEATURES];
    outlook base = outlook_make(past, now);
    features_make(past, &base, now, ahead, x);
    return predict(model, x);
}

double pg_forecast_day(const pg_forecast_model *model, const pg_forecast_past *past, uint64_t now)
{
    double x[PG_FORECAST_FEATURES];
    double sum = 0;
    outlook base = outlook_make(past, now);
    for (unsigned ahead = 1; ahead <= HOURS_DAY; ahead++) {
        features_make(past, &base, now, ahead, x);
        sum += predict(model, x);
    }
    return sum / HOURS_DAY;
}

// ---- Training

/** A generator of its own: what is drawn here has to be the same in every run. Source: PCG, O'Neill 2014, XSH-RR 64/32. */
static uint32_t draw(uint64_t *state)
{
    uint64_t old = *state;
    *state = old * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    uint32_t mixed = (uint32_t) (((old >> 18U) ^ old) >> 27U);
    uint32_t turn = (uint32_t) (old >> 59U);
    return (mixed >> turn) | (mixed << ((32U - turn) & 31U));
}

/** Draw an hour to forecast from, and one to forecast, that are known; false where this try found none. */
static bool example_draw(const pg_forecast_past *past, uint64_t *state, uint64_t *out_now,
                         unsigned *out_ahead)
{
    size_t at = 1 + draw(state) % (PG_HEALTH_HOURS - 1);
    unsigned ahead = 1 + draw(state) % HOURS_DAY;
    size_t target = at + ahead - 1;
    *out_now = past->oldest + at;
    *out_ahead = ahead;
    return target < PG_HEALTH_HOURS && past->known[target + 1] > past->known[target] &&
           pg_forecast_known(past, *out_now, PG_HEALTH_HOURS) >= PG_FORECAST_KNOWN_MIN;
}

static void step(pg_forecast_model *model, double squares[PG_FORECAST_FEATURES],
                 const double x[PG_FORECAST_FEATURES], double truth)
{
    double miss = predict(model, x) - truth;
    for (size_t i = 0; i < PG_FORECAST_FEATURES; i++) {
        double slope = miss * x[i] + HOLD * (model->weights[i] - weights_initial[i]);
        squares[i] += slope * slope;
        model->weights[i] -= RATE * slope / (sqrt(squares[i]) + 1e-9);
    }
}

void pg_forecast_train(pg_forecast_model *model, const pg_forecast_past *pasts, size_t count,
                       uint32_t examples)
{
    uint64_t state = UINT64_C(0x9e3779b97f4a7c15);
    double squares[PG_FORECAST_FEATURES];
    uint32_t wanted = examples < PG_FORECAST_EXAMPLES_MAX ? examples : PG_FORECAST_EXAMPLES_MAX;
    for (size_t i = 0; i < PG_FORECAST_FEATURES; i++) {
        squares[i] = 1;
    }
    for (uint32_t tries = 0; count > 0 && model->examples < wanted && tries < 8 * wanted; tries++) {
        const pg_forecast_past *past = &pasts[draw(&state) % count];
        uint64_t now = 0;
        unsigned ahead = 0;
        double x[PG_FORECAST_FEATURES];
        if (!example_draw(past, &state, &now, &ahead)) {
            continue;
        }
        size_t target = (size_t) (now - past->oldest) + ahead - 1;
        outlook base = outlook_make(past, now);
        features_make(past, &base, now, ahead, x);
        step(model, squares, x, past->up[target + 1] - past->up[target]);
        model->examples++;
    }
}
