// SPDX-License-Identifier: Apache-2.0
#include "cli/span.h"

#include <stdio.h>

#include "base/str.h"

void pg_span_format(int64_t seconds, char out_text[PG_SPAN_TEXT_BYTES])
{
    static const struct {
        int64_t seconds;
        const char *unit;
    } units[] = {{86400, "d"}, {3600, "h"}, {60, "min"}, {1, "s"}};
    unsigned i = 0;
    // From two of a unit on: "36 h" says more than "1 d".
    while (i + 1 < PG_ARRAY_LEN(units) && seconds < 2 * units[i].seconds) {
        i++;
    }
    (void) snprintf(out_text, PG_SPAN_TEXT_BYTES, "%lld %s",
                    (long long) (seconds < 0 ? 0 : seconds / units[i].seconds), units[i].unit);
}

pg_err pg_span_read(const char *text, uint64_t days_max, uint64_t *out_seconds)
{
    static const struct {
        char letter;
        uint64_t seconds;
    } units[] = {{'s', 1}, {'m', 60}, {'h', 3600}, {'d', 86400}, {'w', 604800}};
    pg_str digits = pg_str_make(text);
    uint64_t number = 0;
    uint64_t factor = 0;
    for (size_t i = 0; i < PG_ARRAY_LEN(units) && digits.len > 0; i++) {
        if (digits.ptr[digits.len - 1] == units[i].letter) {
            factor = units[i].seconds;
            digits.len--;
            break;
        }
    }
    if (factor == 0 || pg_str_to_u64(digits, days_max * 86400 / factor, &number) != PG_OK ||
        number == 0) {
        return pg_fail(PG_ERR_INVALID, "'%s' is no span of time up to %llu days, as 30m, 12h or 7d",
                       text, (unsigned long long) days_max);
    }
    *out_seconds = number * factor;
    return PG_OK;
}
