// SPDX-License-Identifier: Apache-2.0
// Goal: only what has the form of the specification is read, and what was read names a trace and a span.
#include <string.h>

#include "base/str.h"
#include "fuzz.h"
#include "runtime/trace.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const pg_trace_context none;
    pg_trace_context context = none;
    char text[2 * PG_TRACE_ID_BYTES + 1];
    const pg_str header = pg_str_make_len((const char *) data, size);
    pg_err err = pg_traceparent_decode(header, &context);
    FUZZ_CHECK(err == PG_OK || err == PG_ERR_MALFORMED);
    if (err != PG_OK) {
        FUZZ_CHECK(memcmp(&context, &none, sizeof(none)) == 0);
        return 0;
    }
    FUZZ_CHECK(memcmp(context.trace_id, none.trace_id, sizeof(none.trace_id)) != 0);
    FUZZ_CHECK(memcmp(context.span_id, none.span_id, sizeof(none.span_id)) != 0);
    pg_hex_encode(PG_BYTES_OF(context.trace_id), text);
    FUZZ_CHECK(memcmp(text, header.ptr + 3, strlen(text)) == 0);
    pg_hex_encode(PG_BYTES_OF(context.span_id), text);
    FUZZ_CHECK(memcmp(text, header.ptr + 36, strlen(text)) == 0);
    return 0;
}
