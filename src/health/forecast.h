// SPDX-License-Identifier: Apache-2.0
// Whether a peer will be there in the next 24 hours: logistic regression on what its own history shows (uptime of a day, a week and a month,
// how long it has been as it is now, what it did at this hour of the day and of the week), trained here, on this node's histories
// alone. Pure and deterministic: the same histories give the same model.
//
// Layer: health.  Thread: any.  Spec: docs/protocols/health.md, "Forecast"
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "health/history.h"
#include "health/limits.h"

#define PG_FORECAST_FEATURES 9

/** What was learned. Begin with pg_forecast_model_init. */
typedef struct pg_forecast_model {
    double weights[PG_FORECAST_FEATURES];
    uint32_t examples; // it was trained on; 0: it is the one that comes with the program
} pg_forecast_model;

/** A history made ready for forecasts: how often it was known, and up, before each hour. */
typedef struct pg_forecast_past {
    uint64_t oldest; // the first hour of the window, hours since 1970
    uint32_t known[PG_HEALTH_HOURS + 1];
    double up[PG_HEALTH_HOURS + 1];
} pg_forecast_past;

/** Begin with what the program knows of peers in general. */
void pg_forecast_model_init(pg_forecast_model *model);

/** Make a history ready. */
void pg_forecast_past_make(const pg_health_history *history, pg_forecast_past *out_past);

/** Return how many of the `hours` hours before `now` are known. */
uint32_t pg_forecast_known(const pg_forecast_past *past, uint64_t now, uint64_t hours);

/** Return the probability that the peer answers in the hour that is the `ahead`-th from `now` on, by what was seen before `now`;
 *  1 <= ahead <= 24. */
double pg_forecast_hour(const pg_forecast_model *model, const pg_forecast_past *past, uint64_t now,
                        unsigned ahead);

/** Return the part of the 24 hours from `now` on in which the peer will be there: the mean of the hours. */
double pg_forecast_day(const pg_forecast_model *model, const pg_forecast_past *past, uint64_t now);

/** Train on histories: `examples` steps of stochastic gradient descent over hours of theirs that are known.
 *  pasts      pasts[count]
 *  examples   at most PG_FORECAST_EXAMPLES_MAX are taken
 *  Cost: about 1 us an example. */
void pg_forecast_train(pg_forecast_model *model, const pg_forecast_past *pasts, size_t count,
                       uint32_t examples);
