// SPDX-License-Identifier: Apache-2.0
// Spans on their way out: kept in a ring of bounded size, sent in batches to a collector as OTLP/HTTP with JSON, by libcurl on a thread of its
// own, so that a collector that is slow or gone holds up nothing. What finds the ring full, or is in a batch that nobody takes, is
// dropped and counted.
//
// Layer: api.  Thread: loop thread only.  Spec: OpenTelemetry Protocol 1.x, "OTLP/HTTP", JSON encoding
#pragma once

#include <stdint.h>

#include "base/attr.h"
#include "base/bytes.h"
#include "base/err.h"
#include "runtime/trace.h"

typedef struct pg_trace_export pg_trace_export;

/** What it did. */
typedef struct pg_trace_stats {
    uint64_t exported; // spans that the collector took
    uint64_t dropped;  // spans that it did not get
} pg_trace_stats;

/** Send all spans of the process from now on.
 *  endpoint   "http://127.0.0.1:4318/v1/traces"; copied
 *  version    of the program, static
 *  Errors: PG_ERR_INVALID (no http or https URL), PG_ERR_NOMEM, PG_ERR_LIMIT, PG_ERR_IO (libcurl would not start) */
PG_NODISCARD pg_err pg_trace_export_new(const char *endpoint, const char *version,
                                        pg_trace_export **out_export);

/** Return what it did; NULL did nothing. */
pg_trace_stats pg_trace_export_stats(const pg_trace_export *trace_export);

/** Send what is left, for PG_API_TRACE_TIMEOUT_MS at most, free, and set *trace_export to NULL. NULL is fine. Parks: yes. */
void pg_trace_export_free(pg_trace_export **trace_export);

/** Append spans as the body of a request, one JSON object. For tests, too. Errors: PG_ERR_NOMEM. */
PG_NODISCARD pg_err pg_trace_write(const pg_span *spans, size_t count, const char *version,
                                   pg_buf *out);
