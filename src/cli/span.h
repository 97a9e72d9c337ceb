// SPDX-License-Identifier: Apache-2.0
// Spans of time as people write and read them.
//
// Layer: cli.  Thread: any.
#pragma once

#include <stdint.h>

#include "base/attr.h"
#include "base/err.h"

#define PG_SPAN_TEXT_BYTES 32

/** Write a span of time as people say it: "40 s", "12 min", "3 h", "29 d". */
void pg_span_format(int64_t seconds, char out_text[PG_SPAN_TEXT_BYTES]);

/** Read a span of time, "90s", "30m", "12h", "7d" or "2w": more than none, up to `days_max`.
 *  Errors: PG_ERR_INVALID, with a detail for the user. */
PG_NODISCARD pg_err pg_span_read(const char *text, uint64_t days_max, uint64_t *out_seconds);
