// SPDX-License-Identifier: Apache-2.0
#include "cli/answer.h"

#include <stdio.h>

#include "crypto/secret.h"

static const char *text_or(json_object *object, const char *name, const char *missing)
{
    json_object *field = NULL;
    return json_object_object_get_ex(object, name, &field) &&
                   json_object_is_type(field, json_type_string)
               ? json_object_get_string(field)
               : missing;
}

const char *pg_answer_text(json_object *object, const char *name)
{
    return text_or(object, name, "?");
}

const char *pg_answer_optional(json_object *object, const char *name)
{
    return text_or(object, name, "");
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

void pg_answer_numbers(json_object *object, const char *name,
                       char out_text[PG_ANSWER_NUMBERS_BYTES])
{
    json_object *list = pg_answer_object(object, name);
    size_t len = 0;
    out_text[0] = '\0';
    for (size_t i = 0; i < pg_answer_count(list) && len + 12 < PG_ANSWER_NUMBERS_BYTES; i++) {
        int number = json_object_get_int(json_object_array_get_idx(list, i));
        len += (size_t) snprintf(out_text + len, PG_ANSWER_NUMBERS_BYTES - len, "%s%d",
                                 i == 0 ? "" : ",", number);
    }
}

void pg_answer_wipe(json_object *object, const char *name)
{
    json_object *field = pg_answer_object(object, name);
    if (json_object_is_type(field, json_type_string)) {
        pg_wipe((void *) (uintptr_t) json_object_get_string(field),
                (size_t) json_object_get_string_len(field));
    }
}
