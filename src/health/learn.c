// SPDX-License-Identifier: Apache-2.0
// Forecasts for the peers of the book: trained once a day on what it holds, made when they are asked for and kept for the hour.
#include "base/mem.h"
#include "health/forecast.h"
#include "health/health_priv.h"
#include "runtime/offload.h"
#include "runtime/time.h"

#define HOUR_S 3600U

/** A training on its way to a thread and back. */
typedef struct lesson {
    pg_forecast_model model;
    pg_forecast_past *pasts; // [count]
    size_t count;
} lesson;

static pg_err lesson_run(void *arg)
{
    lesson *self = arg;
    pg_forecast_model_init(&self->model);
    pg_forecast_train(&self->model, self->pasts, self->count, PG_FORECAST_EXAMPLES_MAX);
    return PG_OK;
}

static void lesson_fill(const pg_health *health, lesson *self)
{
    pg_map_cursor cursor = {.begun = false};
    while (pg_map_next(&health->peers, &cursor)) {
        const pg_health_peer *peer = cursor.value;
        if (pg_health_history_known(&peer->row.history) >= PG_FORECAST_KNOWN_MIN) {
            pg_forecast_past_make(&peer->row.history, &self->pasts[self->count++]);
        }
    }
}

pg_err pg_health_learn(pg_health *health)
{
    lesson self = {.count = 0};
    self.pasts = pg_calloc(pg_map_count(&health->peers) + 1, sizeof(*self.pasts));
    if (self.pasts == NULL) {
        return PG_ERR_NOMEM;
    }
    lesson_fill(health, &self);
    pg_err err = pg_offload(lesson_run, &self);
    pg_mfree(self.pasts);
    PG_TRY(err);
    if (self.model.examples < PG_FORECAST_EXAMPLES_MIN) { // what others taught is better
        pg_forecast_model_init(&self.model);
    }
    health->model = self.model;
    pg_map_cursor cursor = {.begun = false};
    while (pg_map_next(&health->peers, &cursor)) {
        ((pg_health_peer *) cursor.value)->forecast_hour = 0;
    }
    return PG_OK;
}

pg_err pg_health_learn_run(void *arg)
{
    int64_t wait_ms = PG_FORECAST_FIRST_MS;
    for (;;) {
        PG_TRY(pg_sleep_until(pg_after(PG_MS(wait_ms))));
        pg_err err = pg_health_learn(arg);
        if (err == PG_ERR_CANCELLED) {
            return err;
        }
        wait_ms = PG_FORECAST_EVERY_MS;
    }
}

double pg_health_peer_fit(const pg_health *health, pg_health_peer *peer, bool *out_forecast)
{
    // What is known of the present hour counts as the last one.
    uint64_t now = pg_health_now_s() / HOUR_S + 1;
    if (peer->forecast_hour != now) {
        pg_forecast_past past;
        pg_forecast_past_make(&peer->row.history, &past);
        bool is_known = pg_forecast_known(&past, now, PG_HEALTH_HOURS) >= PG_FORECAST_KNOWN_MIN;
        peer->forecast = is_known ? pg_forecast_day(&health->model, &past, now) : -1;
        peer->forecast_hour = now;
    }
    *out_forecast = peer->forecast >= 0;
    return *out_forecast ? peer->forecast : peer->score / 100;
}

double pg_health_fit(const pg_health *health, const pg_peer_id *peer)
{
    bool is_forecast = false;
    pg_health_peer *found = health == NULL ? NULL : pg_health_find(health, peer);
    return found == NULL ? PG_HEALTH_UNKNOWN / 100
                         : pg_health_peer_fit(health, found, &is_forecast);
}
