// SPDX-License-Identifier: Apache-2.0
#include "cli/answer.h"

#include <stdio.h>

#include "base/attr.h"
#include "crypto/secret.h"

const char *pg_answer_text(json_object *object, const char *name)
{
    json_object *field = NULL;
    if (!json_object_object_get_ex(object, name, &field) ||
        !json_object_is_type(field, json_type_string)) {
        return "?";
    }
    return json_object_get_string(field);
}

double pg_answer_number(json_object *object, const char *name)
{
    json_object *field = NULL;
    return json_object_object_get_ex(object, name, &field) ? json_object_get_double(field) : 0.0;
}

uint64_t pg_answer_u64(json_object *object, const char *name)
{
    json_object *field = NULL;
    return json_object_object_get_ex(object, name, &field) ? json_object_get_uint64(field) : 0;
}

bool pg_answer_bool(json_object *object, const char *name)
{
    json_object *field = NULL;
    return json_object_object_get_ex(object, name, &field) && json_object_get_boolean(field);
}

json_object *pg_answer_object(json_object *object, const char *name)
{
    json_object *field = NULL;
    return json_object_object_get_ex(object, name, &field) ? field : NULL;
}

size_t pg_answer_count(json_object *list)
{
    return json_object_is_type(list, json_type_array) ? json_object_array_length(list) : 0;
}

void pg_answer_wipe(json_object *object, const char *name)
{
    json_object *field = pg_answer_object(object, name);
    if (json_object_is_type(field, json_type_string)) {
        pg_wipe((void *) (uintptr_t) json_object_get_string(field),
                (size_t) json_object_get_string_len(field));
    }
}

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
