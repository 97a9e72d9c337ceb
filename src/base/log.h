// SPDX-License-Identifier: Apache-2.0
// Log lines: a level, a stable event name ("dht.lookup.timeout") and typed fields, given to one sink. Rooms below
// `exchange` log only at debug; a failure is logged once, where it is handled. Never keys, contents or full addresses.
//
// Layer: base.  Thread: any; the sink is called on the caller's thread.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/bytes.h"
#include "base/err.h"
#include "base/str.h"

typedef enum pg_log_level {
    PG_LOG_LEVEL_ERROR, // the operator must act
    PG_LOG_LEVEL_WARN,  // degraded, acts alone
    PG_LOG_LEVEL_INFO,  // lifecycle
    PG_LOG_LEVEL_DEBUG, // per operation
    PG_LOG_LEVEL_TRACE, // per packet
    PG_LOG_LEVEL_COUNT,
} pg_log_level;

typedef enum pg_log_type {
    PG_LOG_TYPE_STR,
    PG_LOG_TYPE_U64,
    PG_LOG_TYPE_I64,
} pg_log_type;

/** One named value of a line. Made by PG_LOG_STR and its kin. */
typedef struct pg_log_field {
    const char *name; // snake_case, static
    pg_log_type type;
    union {
        const char *str; // borrowed for the call; NULL prints as empty
        uint64_t u64;
        int64_t i64;
    };
} pg_log_field;

#define PG_LOG_STR(field_name, value)                                                              \
    ((pg_log_field){(field_name), PG_LOG_TYPE_STR, {.str = (value)}})
#define PG_LOG_U64(field_name, value)                                                              \
    ((pg_log_field){(field_name), PG_LOG_TYPE_U64, {.u64 = (value)}})
#define PG_LOG_I64(field_name, value)                                                              \
    ((pg_log_field){(field_name), PG_LOG_TYPE_I64, {.i64 = (value)}})

/** One line on its way to the sink. Borrowed for the call. */
typedef struct pg_log_line {
    pg_log_level level;
    const char *event;
    const pg_log_field *fields;
    size_t field_count;
    uint64_t suppressed; // lines of this place that the rate limit swallowed before this one
} pg_log_line;

/** Takes one line. Must not log itself and must not park. */
typedef void (*pg_log_sink_fn)(const pg_log_line *line, void *user);

/** Send lines up to `level` to `sink`; NULL drops them all. Not while other threads log. */
void pg_log_set_sink(pg_log_sink_fn sink, void *user, pg_log_level level);

/** Change the level alone; any thread, any time. */
void pg_log_set_level(pg_log_level level);

/** Return the level in force; PG_LOG_LEVEL_COUNT when nothing is on. */
pg_log_level pg_log_get_level(void);

/** Return the name of a level ("error" .. "trace"), "off" for PG_LOG_LEVEL_COUNT. Static storage. */
const char *pg_log_level_name(pg_log_level level);

/** Return how many lines of a level were given to the sink. Any thread. */
uint64_t pg_log_lines(pg_log_level level);

/** Return true when a line of this level would reach the sink. */
bool pg_log_is_on(pg_log_level level);

/** Read a level by name ("error" .. "trace"). Errors: PG_ERR_INVALID. */
PG_NODISCARD pg_err pg_log_level_from_name(pg_str name, pg_log_level *out_level);

/** Give a line to the sink. Use the macros. */
void pg_log_write(const pg_log_line *line);

/** Format a line as `LEVEL event name=value name="value with spaces"`, no newline. Errors as pg_buf_reserve. */
PG_NODISCARD pg_err pg_log_format_text(const pg_log_line *line, pg_buf *out);

/** Format a line as one JSON object without its closing time: {"level":..,"event":..,..}. Errors as pg_buf_reserve. */
PG_NODISCARD pg_err pg_log_format_json(const pg_log_line *line, pg_buf *out);

/** How many lines one place may write in one window; the rest is counted and told with the next. */
#define PG_LOG_LIMIT_LINES 10
#define PG_LOG_LIMIT_WINDOW_MS 60000

/** Counts the lines of one place in the code. All-zero to begin. */
typedef struct pg_log_limiter {
    uint64_t window_start_ms;
    uint32_t lines;
    uint64_t suppressed;
} pg_log_limiter;

/** Set the clock of the rate limit: milliseconds that never run back. The runtime sets it; without one nothing is limited. */
void pg_log_set_clock(uint64_t (*now_ms)(void));

/** Return true when this place may write now; *out_suppressed is then what was swallowed since it last did. */
bool pg_log_limiter_admit(pg_log_limiter *limiter, uint64_t *out_suppressed);

/** Log one line: `pg_log(PG_LOG_LEVEL_INFO, "net.listen", PG_LOG_U64("port", port));` */
#define pg_log(log_level, log_event, ...)                                                          \
    do {                                                                                           \
        if (pg_log_is_on(log_level)) {                                                             \
            const pg_log_field pg_log_fields[] = {__VA_ARGS__};                                    \
            pg_log_write(&(pg_log_line){(log_level), (log_event), pg_log_fields,                   \
                                        sizeof(pg_log_fields) / sizeof(pg_log_field), 0});         \
        }                                                                                          \
    } while (0)

/** Log a line that a peer can cause: rate-limited at this place in the code. At most info. */
#define pg_log_limited(log_level, log_event, ...)                                                  \
    do {                                                                                           \
        static pg_log_limiter pg_log_place;                                                        \
        uint64_t pg_log_lost = 0;                                                                  \
        if (pg_log_is_on(log_level) && pg_log_limiter_admit(&pg_log_place, &pg_log_lost)) {        \
            const pg_log_field pg_log_fields[] = {__VA_ARGS__};                                    \
            pg_log_write(&(pg_log_line){(log_level), (log_event), pg_log_fields,                   \
                                        sizeof(pg_log_fields) / sizeof(pg_log_field),              \
                                        pg_log_lost});                                             \
        }                                                                                          \
    } while (0)
