// SPDX-License-Identifier: Apache-2.0
#include "health/score.h"

#include <math.h>

#define HOUR_S 3600U

/** Share of the known hours in which it answered, the newer ones counting more, and an unknown peer's part beside them. */
static double uptime_of(const pg_health_history *history, uint64_t now_s)
{
    double sum = PG_HEALTH_UNKNOWN_HOURS * PG_HEALTH_UNKNOWN / 100;
    double total = PG_HEALTH_UNKNOWN_HOURS;
    uint64_t now = now_s / HOUR_S;
    uint64_t newest = history->hour;
    uint64_t oldest = newest >= PG_HEALTH_HOURS ? newest - PG_HEALTH_HOURS + 1 : 0;
    for (uint64_t hour = oldest; hour <= newest; hour++) {
        pg_health_hour at = pg_health_history_at(history, hour);
        if (at.asked > 0) {
            double age = now > hour ? (double) (now - hour) : 0;
            double weight = exp2(-age / PG_HEALTH_HALF_LIFE_HOURS);
            sum += weight * at.answered / at.asked;
            total += weight;
        }
    }
    return 100 * sum / total;
}

/** A mean of 0..1 as a part, with what an unknown peer has until there is something behind it. */
static double part_of(double mean, double weight)
{
    double unknown = PG_HEALTH_JUDGE_AFTER;
    return (100 * mean * weight + PG_HEALTH_UNKNOWN * unknown) / (weight + unknown);
}

pg_health_parts pg_health_parts_of(const pg_health_history *history, uint64_t now_s)
{
    return (pg_health_parts){
        .uptime = uptime_of(history, now_s),
        .latency = part_of(history->latency, history->latency_weight),
        .availability = part_of(history->availability, history->availability_weight),
    };
}

double pg_health_score(const pg_health_parts *parts)
{
    return PG_HEALTH_SHARE_UPTIME * parts->uptime + PG_HEALTH_SHARE_LATENCY * parts->latency +
           PG_HEALTH_SHARE_AVAILABILITY * parts->availability;
}

// ---- Judging

static pg_health_reason step_bar(const pg_health_history *history, double score)
{
    if (history->losses >= PG_HEALTH_LOSSES_MAX) {
        return PG_HEALTH_REASON_LOSS;
    }
    return score < PG_HEALTH_BAR_SCORE ? PG_HEALTH_REASON_SCORE : PG_HEALTH_REASON_NONE;
}

static bool is_over(const pg_health_judgement *judgement, double score, uint64_t now_s)
{
    uint64_t least_s =
        judgement->reason == PG_HEALTH_REASON_LOSS ? PG_HEALTH_BAR_LOSS_S : PG_HEALTH_BAR_S;
    // After a step of the clock into the past its time counts as over.
    bool is_late = now_s < judgement->since_s || now_s - judgement->since_s >= least_s;
    return is_late && score > PG_HEALTH_RETURN_SCORE;
}

/** What becomes of a barred peer. One that lost shards is given another try after its time. */
static pg_health_judgement step_return(const pg_health_judgement *judgement,
                                       pg_health_history *history, double score, uint64_t now_s)
{
    bool is_loss = step_bar(history, score) == PG_HEALTH_REASON_LOSS;
    if (is_loss && judgement->reason == PG_HEALTH_REASON_SCORE) {
        return (pg_health_judgement){PG_HEALTH_STATE_BARRED, PG_HEALTH_REASON_LOSS, now_s};
    }
    if (!is_over(judgement, score, now_s)) {
        return *judgement;
    }
    history->losses = 0;
    return (pg_health_judgement){PG_HEALTH_STATE_GOOD, PG_HEALTH_REASON_NONE, now_s};
}

static pg_health_judgement step_live(const pg_health_history *history, double score, uint64_t now_s)
{
    pg_health_judgement next = {.state = PG_HEALTH_STATE_NEW, .since_s = now_s};
    if (pg_health_history_total(history) < PG_HEALTH_JUDGE_AFTER &&
        history->losses < PG_HEALTH_LOSSES_MAX) {
        return next;
    }
    next.reason = step_bar(history, score);
    next.state = next.reason != PG_HEALTH_REASON_NONE ? PG_HEALTH_STATE_BARRED
                 : score < PG_HEALTH_WARN_SCORE       ? PG_HEALTH_STATE_FAIR
                                                      : PG_HEALTH_STATE_GOOD;
    return next;
}

bool pg_health_judge(pg_health_judgement *judgement, pg_health_history *history, double score,
                     uint64_t now_s)
{
    pg_health_judgement next = judgement->state == PG_HEALTH_STATE_BARRED
                                   ? step_return(judgement, history, score, now_s)
                                   : step_live(history, score, now_s);
    if (next.state == judgement->state && next.reason == judgement->reason) {
        return false;
    }
    *judgement = next;
    return true;
}

const char *pg_health_state_name(pg_health_state state)
{
    static const char *const names[PG_HEALTH_STATE_COUNT] = {
        [PG_HEALTH_STATE_NEW] = "new",
        [PG_HEALTH_STATE_GOOD] = "good",
        [PG_HEALTH_STATE_FAIR] = "fair",
        [PG_HEALTH_STATE_BARRED] = "barred",
    };
    return state < PG_HEALTH_STATE_COUNT ? names[state] : "";
}

const char *pg_health_reason_text(pg_health_reason reason)
{
    static const char *const texts[PG_HEALTH_REASON_COUNT] = {
        [PG_HEALTH_REASON_NONE] = "",
        [PG_HEALTH_REASON_SCORE] = "its score fell under 30",
        [PG_HEALTH_REASON_LOSS] = "it was proven twice to have lost a shard",
    };
    return reason < PG_HEALTH_REASON_COUNT ? texts[reason] : "";
}
