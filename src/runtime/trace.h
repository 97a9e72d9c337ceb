// SPDX-License-Identifier: Apache-2.0
// Spans: what took how long, and within what. A span is begun and ended by one fiber; what it begins meanwhile, and the fibers it starts,
// stand below it. Without a sink a span costs a comparison. Its attributes are numbers and static texts, so that no address, link or name
// can get into one.
//
//      pg_span span;
//      pg_span_begin(&span, "files.get");
//      err = ...
//      pg_span_set_u64(&span, "pangea.bytes", bytes);
//      pg_span_end(&span, err);
//
// Layer: runtime.  Thread: loop thread only.  Spec: W3C Trace Context; OpenTelemetry, "Span"
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/err.h"
#include "base/str.h"
#include "runtime/time.h"

#define PG_TRACE_ID_BYTES 16
#define PG_SPAN_ID_BYTES 8
#define PG_SPAN_ATTRIBUTES_MAX 6

/** Where in a trace something stands. All-zero: in none. */
typedef struct pg_trace_context {
    uint8_t trace_id[PG_TRACE_ID_BYTES];
    uint8_t span_id[PG_SPAN_ID_BYTES];
    bool is_sampled; // whoever began the trace wants it recorded
} pg_trace_context;

typedef enum pg_span_kind {
    PG_SPAN_KIND_INTERNAL = 1, // numbers of OTLP
    PG_SPAN_KIND_SERVER = 2,
    PG_SPAN_KIND_CLIENT = 3,
} pg_span_kind;

typedef struct pg_span_attribute {
    const char *name; // static
    const char *text; // static; NULL: a number
    uint64_t number;
} pg_span_attribute;

/** One span. Lives on the stack of the function that it is about. */
typedef struct pg_span {
    const char *name; // static; NULL: not recorded
    pg_span_kind kind;
    pg_trace_context context;
    uint8_t parent_id[PG_SPAN_ID_BYTES]; // all-zero: none
    int64_t wall_ns;                     // when it began, since 1970
    pg_time began_at;
    int64_t duration_ns;
    pg_err err;
    pg_span_attribute attributes[PG_SPAN_ATTRIBUTES_MAX];
    size_t attribute_count;
    pg_trace_context outer; // of the fiber before
} pg_span;

/** Takes a span that has ended; borrowed for the call. Must not park. */
typedef void (*pg_trace_sink_fn)(const pg_span *span, void *user);

/** Give spans that end from now on to `sink`; NULL records none. One in a process. */
void pg_trace_set_sink(pg_trace_sink_fn sink, void *user);

/** Begin a span below the one that the running fiber is in. */
void pg_span_begin(pg_span *span, const char *name);

/** Begin the span of a request below the one that its caller named; `caller` may be NULL: a trace of its own. */
void pg_span_begin_served(pg_span *span, const char *name, const pg_trace_context *caller);

/** Note a number; beyond PG_SPAN_ATTRIBUTES_MAX they are left out. `name` is static. */
void pg_span_set_u64(pg_span *span, const char *name, uint64_t value);

/** Note a text. Both are static. */
void pg_span_set_text(pg_span *span, const char *name, const char *value);

/** End a span, in the fiber that began it. */
void pg_span_end(pg_span *span, pg_err err);

/** Read a header `traceparent`. Errors: PG_ERR_MALFORMED. */
PG_NODISCARD pg_err pg_traceparent_decode(pg_str text, pg_trace_context *out_context);
