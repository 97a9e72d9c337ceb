// SPDX-License-Identifier: Apache-2.0
#include "runtime/trace.h"

#include <string.h>

#include "base/bytes.h"
#include "runtime/random.h"
#include "runtime/sched_priv.h"

/** "00-", 32 digits, "-", 16 digits, "-", 2 digits. */
#define TRACEPARENT_CHARS 55

static pg_trace_sink_fn sink_fn;
static void *sink_user;

void pg_trace_set_sink(pg_trace_sink_fn sink, void *user)
{
    sink_fn = sink;
    sink_user = user;
}

static bool is_zero(const uint8_t *bytes, size_t len)
{
    uint8_t any = 0;
    for (size_t i = 0; i < len; i++) {
        any |= bytes[i];
    }
    return any == 0;
}

// An id that is not all-zero, which would mean none.
static void id_draw(uint8_t *id, size_t len)
{
    do {
        pg_random_bytes(pg_mut_bytes_make(id, len));
    } while (is_zero(id, len));
}

static void span_start(pg_span *span, const char *name, pg_span_kind kind,
                       const pg_trace_context *parent)
{
    pg_fiber *fiber = pg_fiber_self();
    bool is_root = is_zero(parent->trace_id, sizeof(parent->trace_id));
    *span = (pg_span){.name = name, .kind = kind, .outer = fiber->trace};
    if (is_root) {
        id_draw(span->context.trace_id, sizeof(span->context.trace_id));
        span->context.is_sampled = true;
    } else {
        span->context = *parent;
        memcpy(span->parent_id, parent->span_id, sizeof(span->parent_id));
    }
    id_draw(span->context.span_id, sizeof(span->context.span_id));
    span->wall_ns = PG_MS(pg_wall_ms());
    span->began_at = pg_now();
    fiber->trace = span->context;
}

void pg_span_begin(pg_span *span, const char *name)
{
    span->name = NULL;
    if (sink_fn != NULL && pg_fiber_self() != NULL) {
        span_start(span, name, PG_SPAN_KIND_INTERNAL, &pg_fiber_self()->trace);
    }
}

void pg_span_begin_served(pg_span *span, const char *name, const pg_trace_context *caller)
{
    static const pg_trace_context none;
    span->name = NULL;
    if (sink_fn != NULL && pg_fiber_self() != NULL) {
        span_start(span, name, PG_SPAN_KIND_SERVER, caller == NULL ? &none : caller);
    }
}

static void attribute_add(pg_span *span, const char *name, const char *text, uint64_t number)
{
    if (span->name != NULL && span->attribute_count < PG_SPAN_ATTRIBUTES_MAX) {
        span->attributes[span->attribute_count] = (pg_span_attribute){name, text, number};
        span->attribute_count++;
    }
}

void pg_span_set_u64(pg_span *span, const char *name, uint64_t value)
{
    attribute_add(span, name, NULL, value);
}

void pg_span_set_text(pg_span *span, const char *name, const char *value)
{
    attribute_add(span, name, value, 0);
}

void pg_span_end(pg_span *span, pg_err err)
{
    if (span->name == NULL) {
        return;
    }
    span->duration_ns = pg_now() - span->began_at;
    span->err = err;
    pg_fiber_self()->trace = span->outer;
    if (sink_fn != NULL && span->context.is_sampled) {
        sink_fn(span, sink_user);
    }
}

// ---- traceparent

// Lower case only, as the specification wants it.
static bool hex_read(pg_str text, size_t at, uint8_t *out, size_t len)
{
    const pg_str digits = pg_str_make_len(text.ptr + at, 2 * len);
    for (size_t i = 0; i < digits.len; i++) {
        if (digits.ptr[i] >= 'A' && digits.ptr[i] <= 'F') {
            return false;
        }
    }
    return pg_hex_decode(digits, pg_mut_bytes_make(out, len)) == PG_OK;
}

pg_err pg_traceparent_decode(pg_str text, pg_trace_context *out_context)
{
    pg_trace_context context = {.is_sampled = false};
    uint8_t version = 0;
    uint8_t flags = 0;
    if (text.len < TRACEPARENT_CHARS || !hex_read(text, 0, &version, 1) || text.ptr[2] != '-' ||
        !hex_read(text, 3, context.trace_id, sizeof(context.trace_id)) || text.ptr[35] != '-' ||
        !hex_read(text, 36, context.span_id, sizeof(context.span_id)) || text.ptr[52] != '-' ||
        !hex_read(text, 53, &flags, 1)) {
        return pg_fail(PG_ERR_MALFORMED, "traceparent is not of the form 00-TRACE-SPAN-FLAGS");
    }
    // A later version may have more behind it, which means nothing to us.
    bool has_right_len = version == 0 ? text.len == TRACEPARENT_CHARS
                                      : text.len == TRACEPARENT_CHARS || text.ptr[55] == '-';
    if (version == 0xff || !has_right_len || is_zero(context.trace_id, sizeof(context.trace_id)) ||
        is_zero(context.span_id, sizeof(context.span_id))) {
        return pg_fail(PG_ERR_MALFORMED, "traceparent names no trace");
    }
    context.is_sampled = (flags & 1) != 0;
    *out_context = context;
    return PG_OK;
}
