// SPDX-License-Identifier: Apache-2.0
#include "base/log.h"

#include <inttypes.h>
#include <stdatomic.h>

static pg_log_sink_fn sink_fn;
static void *sink_user;
static atomic_int sink_level = -1; // nothing is on before a sink is set
static uint64_t (*limit_clock)(void);
static _Atomic uint64_t lines_written[PG_LOG_LEVEL_COUNT];

static const char *const level_names[PG_LOG_LEVEL_COUNT] = {"error", "warn", "info", "debug",
                                                            "trace"};

void pg_log_set_sink(pg_log_sink_fn sink, void *user, pg_log_level level)
{
    sink_fn = sink;
    sink_user = user;
    atomic_store(&sink_level, sink == NULL ? -1 : (int) level);
}

void pg_log_set_level(pg_log_level level)
{
    if (sink_fn != NULL) {
        atomic_store(&sink_level, (int) level);
    }
}

pg_log_level pg_log_get_level(void)
{
    int level = atomic_load(&sink_level);
    return level < 0 ? PG_LOG_LEVEL_COUNT : (pg_log_level) level;
}

const char *pg_log_level_name(pg_log_level level)
{
    return level < PG_LOG_LEVEL_COUNT ? level_names[level] : "off";
}

uint64_t pg_log_lines(pg_log_level level)
{
    return atomic_load_explicit(&lines_written[level], memory_order_relaxed);
}

bool pg_log_is_on(pg_log_level level)
{
    return (int) level <= atomic_load_explicit(&sink_level, memory_order_relaxed);
}

pg_err pg_log_level_from_name(pg_str name, pg_log_level *out_level)
{
    for (int level = 0; level < PG_LOG_LEVEL_COUNT; level++) {
        if (pg_str_equal(name, pg_str_make(level_names[level]))) {
            *out_level = (pg_log_level) level;
            return PG_OK;
        }
    }
    return pg_fail(PG_ERR_INVALID, "'%.*s' is not a log level (error, warn, info, debug, trace)",
                   PG_STR_ARGS(name));
}

void pg_log_write(const pg_log_line *line)
{
    if (sink_fn != NULL) {
        atomic_fetch_add_explicit(&lines_written[line->level], 1, memory_order_relaxed);
        sink_fn(line, sink_user);
    }
}

// A quoted string in the manner of JSON. What is not printable text, byte for byte, is escaped, so that nothing controls
// a terminal, breaks a line, or makes a reader of JSON stumble over broken UTF-8.
static pg_err quote(pg_buf *out, const char *text)
{
    PG_TRY(pg_buf_append(out, PG_BYTES_LIT("\"")));
    pg_str rest = pg_str_make(text);
    while (rest.len != 0) {
        size_t len = pg_str_printable_len(rest);
        if (len == 0) {
            PG_TRY(pg_buf_printf(out, "\\u%04x", (unsigned char) rest.ptr[0]));
            len = 1;
        } else if (rest.ptr[0] == '"' || rest.ptr[0] == '\\') {
            PG_TRY(pg_buf_printf(out, "\\%c", rest.ptr[0]));
        } else {
            PG_TRY(pg_buf_append(out, pg_bytes_make(rest.ptr, len)));
        }
        rest = pg_str_make_len(rest.ptr + len, rest.len - len);
    }
    return pg_buf_append(out, PG_BYTES_LIT("\""));
}

static bool is_plain(const char *text)
{
    if (*text == '\0') {
        return false;
    }
    for (; *text != '\0'; text++) {
        unsigned char c = (unsigned char) *text;
        if (c <= 0x20 || c >= 0x7f || c == '"' || c == '\\' || c == '=') {
            return false;
        }
    }
    return true;
}

static pg_err value_put(pg_buf *out, const pg_log_field *field, bool always_quote)
{
    switch (field->type) {
    case PG_LOG_TYPE_U64:
        return pg_buf_printf(out, "%" PRIu64, field->u64);
    case PG_LOG_TYPE_I64:
        return pg_buf_printf(out, "%" PRId64, field->i64);
    case PG_LOG_TYPE_STR:
        break;
    }
    const char *text = field->str == NULL ? "" : field->str;
    if (!always_quote && is_plain(text)) {
        return pg_buf_append(out, pg_bytes_cstr(text));
    }
    return quote(out, text);
}

pg_err pg_log_format_text(const pg_log_line *line, pg_buf *out)
{
    PG_TRY(pg_buf_printf(out, "%-5s %s", level_names[line->level], line->event));
    for (size_t i = 0; i < line->field_count; i++) {
        PG_TRY(pg_buf_printf(out, " %s=", line->fields[i].name));
        PG_TRY(value_put(out, &line->fields[i], false));
    }
    if (line->suppressed != 0) {
        PG_TRY(pg_buf_printf(out, " suppressed=%" PRIu64, line->suppressed));
    }
    return PG_OK;
}

pg_err pg_log_format_json(const pg_log_line *line, pg_buf *out)
{
    PG_TRY(pg_buf_printf(out, "{\"level\":\"%s\",\"event\":", level_names[line->level]));
    PG_TRY(quote(out, line->event));
    for (size_t i = 0; i < line->field_count; i++) {
        PG_TRY(pg_buf_printf(out, ",\"%s\":", line->fields[i].name));
        PG_TRY(value_put(out, &line->fields[i], true));
    }
    if (line->suppressed != 0) {
        PG_TRY(pg_buf_printf(out, ",\"suppressed\":%" PRIu64, line->suppressed));
    }
    return pg_buf_append(out, PG_BYTES_LIT("}"));
}

void pg_log_set_clock(uint64_t (*now_ms)(void))
{
    limit_clock = now_ms;
}

bool pg_log_limiter_admit(pg_log_limiter *limiter, uint64_t *out_suppressed)
{
    *out_suppressed = 0;
    if (limit_clock == NULL) {
        return true;
    }
    uint64_t now_ms = limit_clock();
    if (limiter->lines == 0 || now_ms - limiter->window_start_ms >= PG_LOG_LIMIT_WINDOW_MS) {
        limiter->window_start_ms = now_ms;
        limiter->lines = 0;
    }
    if (limiter->lines >= PG_LOG_LIMIT_LINES) {
        limiter->suppressed++;
        return false;
    }
    limiter->lines++;
    *out_suppressed = limiter->suppressed;
    limiter->suppressed = 0;
    return true;
}
