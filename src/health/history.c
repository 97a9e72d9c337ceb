// SPDX-License-Identifier: Apache-2.0
#include "health/history.h"

#include <string.h>

#define VERSION 1
#define HOUR_S 3600U
// Means are kept as parts of 2^32, times in their units.
#define UNIT 4294967296.0
// Beyond the end of the calendar, and far longer than anybody waits: what is read is not more.
#define HOUR_MAX (UINT64_C(1) << 40)
#define RTT_MAX_NS 1e15

static bool is_answer(pg_health_kind kind)
{
    return kind != PG_HEALTH_PING_FAILED;
}

// ---- Hours

/** Make `hour` the newest one: what lies between is not known. */
static void hours_advance(pg_health_history *history, uint64_t hour)
{
    if (history->hour == 0 || hour - history->hour >= PG_HEALTH_HOURS) {
        memset(history->hours, 0, sizeof(history->hours));
    } else {
        for (uint64_t h = history->hour + 1; h <= hour; h++) {
            history->hours[h % PG_HEALTH_HOURS] = (pg_health_hour){0};
        }
    }
    history->hour = hour;
}

static void hours_add(pg_health_history *history, uint64_t hour, bool answered)
{
    if (hour > history->hour) {
        hours_advance(history, hour);
    }
    if (history->hour - hour >= PG_HEALTH_HOURS) { // that one was of a clock that was wrong
        history->hour = 0;
        hours_advance(history, hour);
    }
    pg_health_hour *at = &history->hours[hour % PG_HEALTH_HOURS];
    if (at->asked == UINT8_MAX) { // halve, and go on
        at->asked /= 2;
        at->answered /= 2;
    }
    at->asked++;
    at->answered = (uint8_t) (at->answered + (answered ? 1 : 0));
}

pg_health_hour pg_health_history_at(const pg_health_history *history, uint64_t hour)
{
    if (hour > history->hour || history->hour - hour >= PG_HEALTH_HOURS) {
        return (pg_health_hour){0};
    }
    return history->hours[hour % PG_HEALTH_HOURS];
}

uint32_t pg_health_history_known(const pg_health_history *history)
{
    uint32_t known = 0;
    for (size_t i = 0; i < PG_HEALTH_HOURS; i++) {
        known += history->hours[i].asked > 0 ? 1 : 0;
    }
    return known;
}

uint64_t pg_health_history_total(const pg_health_history *history)
{
    uint64_t total = 0;
    for (size_t i = 0; i < PG_HEALTH_KIND_COUNT; i++) {
        total += history->counts[i];
    }
    return total;
}

// ---- Means

/** Move a mean towards `value`, which weighs `weight`: a plain mean at first, one that forgets once there is enough. */
static void mean_add(double *mean, double *total, double value, double weight)
{
    *total = *total + weight < PG_HEALTH_MEMORY ? *total + weight : PG_HEALTH_MEMORY;
    double part = weight / *total;
    *mean += (value - *mean) * (part < 1 ? part : 1);
}

static double weight_of(pg_health_kind kind)
{
    switch (kind) {
    case PG_HEALTH_AUDIT_FAILED:
        return PG_HEALTH_WEIGHT_LOSS;
    case PG_HEALTH_AUDIT_HELD:
    case PG_HEALTH_TRANSFER_OK:
    case PG_HEALTH_REFUSED:
        return PG_HEALTH_WEIGHT_USE;
    case PG_HEALTH_PING_OK:
    case PG_HEALTH_PING_FAILED:
    case PG_HEALTH_KIND_COUNT:
    default:
        return 1;
    }
}

static bool is_kept_promise(pg_health_kind kind)
{
    return kind == PG_HEALTH_PING_OK || kind == PG_HEALTH_AUDIT_HELD ||
           kind == PG_HEALTH_TRANSFER_OK;
}

void pg_health_history_add(pg_health_history *history, pg_health_kind kind, int64_t rtt_ns,
                           uint64_t time_s)
{
    hours_add(history, time_s / HOUR_S, is_answer(kind));
    history->first_s = history->first_s == 0 ? time_s : history->first_s;
    history->last_s = time_s > history->last_s ? time_s : history->last_s;
    if (is_answer(kind) && time_s > history->seen_s) {
        history->seen_s = time_s;
    }
    bool is_measured = rtt_ns != PG_HEALTH_RTT_UNKNOWN;
    if (kind == PG_HEALTH_PING_OK && is_measured) {
        double rtt = rtt_ns > 0 ? (double) rtt_ns : 0;
        double half = (double) PG_HEALTH_RTT_HALF_NS;
        history->rtt_ns += (rtt - history->rtt_ns) * (history->rtt_ns > 0 ? 0.125 : 1);
        mean_add(&history->latency, &history->latency_weight, half / (half + rtt), 1);
    } else if (kind == PG_HEALTH_PING_FAILED && is_measured) {
        mean_add(&history->latency, &history->latency_weight, 0, 1);
    }
    mean_add(&history->availability, &history->availability_weight, is_kept_promise(kind) ? 1 : 0,
             weight_of(kind));
    if (history->counts[kind] < UINT32_MAX) {
        history->counts[kind]++;
    }
    if (kind == PG_HEALTH_AUDIT_HELD) {
        history->losses = 0;
    } else if (kind == PG_HEALTH_AUDIT_FAILED && history->losses < UINT32_MAX) {
        history->losses++;
    }
}

// ---- On disk

static uint64_t fixed_of(double value)
{
    return value > 0 ? (uint64_t) (value * UNIT + 0.5) : 0;
}

static double of_fixed(uint64_t fixed)
{
    return (double) fixed / UNIT;
}

#define HEAD_BYTES (1 + 4 * 8 + 5 * 8 + 4 * (PG_HEALTH_KIND_COUNT + 1))
#define HISTORY_BYTES (HEAD_BYTES + 2 * PG_HEALTH_HOURS)

pg_err pg_health_history_encode(const pg_health_history *history, pg_buf *out)
{
    uint8_t *space = NULL;
    PG_TRY(pg_buf_extend(out, HISTORY_BYTES, &space));
    pg_writer writer = pg_writer_make(pg_mut_bytes_make(space, HISTORY_BYTES));
    pg_writer_u8(&writer, VERSION);
    pg_writer_u64be(&writer, history->hour);
    pg_writer_u64be(&writer, history->first_s);
    pg_writer_u64be(&writer, history->last_s);
    pg_writer_u64be(&writer, history->seen_s);
    pg_writer_u64be(&writer, fixed_of(history->latency));
    pg_writer_u64be(&writer, fixed_of(history->availability));
    pg_writer_u64be(&writer, fixed_of(history->latency_weight));
    pg_writer_u64be(&writer, fixed_of(history->availability_weight));
    pg_writer_u64be(&writer, (uint64_t) history->rtt_ns);
    for (size_t i = 0; i < PG_HEALTH_KIND_COUNT; i++) {
        pg_writer_u32be(&writer, history->counts[i]);
    }
    pg_writer_u32be(&writer, history->losses);
    for (size_t i = 0; i < PG_HEALTH_HOURS; i++) {
        pg_writer_u8(&writer, history->hours[i].asked);
        pg_writer_u8(&writer, history->hours[i].answered);
    }
    pg_assert(!writer.failed && writer.len == HISTORY_BYTES);
    return PG_OK;
}

static pg_err hours_decode(pg_reader *reader, pg_health_history *history)
{
    for (size_t i = 0; i < PG_HEALTH_HOURS; i++) {
        history->hours[i].asked = pg_reader_u8(reader);
        history->hours[i].answered = pg_reader_u8(reader);
        if (history->hours[i].answered > history->hours[i].asked) {
            return pg_fail(PG_ERR_MALFORMED, "health: an hour with more answers than questions");
        }
    }
    return PG_OK;
}

static bool is_sound(const pg_health_history *history)
{
    return history->hour <= HOUR_MAX && history->rtt_ns <= RTT_MAX_NS && history->latency <= 1 &&
           history->availability <= 1 && history->latency_weight <= PG_HEALTH_MEMORY &&
           history->availability_weight <= PG_HEALTH_MEMORY;
}

pg_err pg_health_history_decode(pg_bytes in, pg_health_history *out_history)
{
    pg_health_history history = {.hour = 0};
    pg_reader reader = pg_reader_make(in);
    uint8_t version = pg_reader_u8(&reader);
    if (in.len > 0 && version != VERSION) {
        return pg_fail(PG_ERR_UNSUPPORTED, "health: a history of version %u, this is for %d",
                       version, VERSION);
    }
    history.hour = pg_reader_u64be(&reader);
    history.first_s = pg_reader_u64be(&reader);
    history.last_s = pg_reader_u64be(&reader);
    history.seen_s = pg_reader_u64be(&reader);
    history.latency = of_fixed(pg_reader_u64be(&reader));
    history.availability = of_fixed(pg_reader_u64be(&reader));
    history.latency_weight = of_fixed(pg_reader_u64be(&reader));
    history.availability_weight = of_fixed(pg_reader_u64be(&reader));
    history.rtt_ns = (double) pg_reader_u64be(&reader);
    for (size_t i = 0; i < PG_HEALTH_KIND_COUNT; i++) {
        history.counts[i] = pg_reader_u32be(&reader);
    }
    history.losses = pg_reader_u32be(&reader);
    PG_TRY(hours_decode(&reader, &history));
    PG_TRY(pg_reader_finish(&reader));
    if (!is_sound(&history)) {
        return pg_fail(PG_ERR_MALFORMED, "health: an hour or a mean out of range");
    }
    *out_history = history;
    return PG_OK;
}
