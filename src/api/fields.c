// SPDX-License-Identifier: Apache-2.0
#include "api/fields.h"

#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "crypto/peer_id_text.h"
#include "crypto/secret.h"

pg_err pg_field_text(json_object *object, const char *name, const char **out_text)
{
    json_object *field = NULL;
    if (!json_object_object_get_ex(object, name, &field) ||
        !json_object_is_type(field, json_type_string)) {
        return pg_fail(PG_ERR_INVALID, "\"%s\" must be a text", name);
    }
    *out_text = json_object_get_string(field);
    return PG_OK;
}

void pg_field_wipe(json_object *object, const char *name)
{
    json_object *field = NULL;
    if (object != NULL && json_object_object_get_ex(object, name, &field) &&
        json_object_is_type(field, json_type_string)) {
        const char *text = json_object_get_string(field);
        pg_wipe((void *) (uintptr_t) text, strlen(text));
    }
}

pg_err pg_field_u64(json_object *object, const char *name, uint64_t max, uint64_t missing,
                    uint64_t *out_value)
{
    json_object *field = NULL;
    if (!json_object_object_get_ex(object, name, &field)) {
        *out_value = missing;
        return PG_OK;
    }
    if (!json_object_is_type(field, json_type_int) || json_object_get_int64(field) < 0 ||
        json_object_get_uint64(field) > max) {
        return pg_fail(PG_ERR_INVALID, "\"%s\" must be a whole number from 0 to %llu", name,
                       (unsigned long long) max);
    }
    *out_value = json_object_get_uint64(field);
    return PG_OK;
}

pg_err pg_field_bool(json_object *object, const char *name, bool *out_value)
{
    json_object *field = NULL;
    if (!json_object_object_get_ex(object, name, &field)) {
        *out_value = false;
        return PG_OK;
    }
    if (!json_object_is_type(field, json_type_boolean)) {
        return pg_fail(PG_ERR_INVALID, "\"%s\" must be true or false", name);
    }
    *out_value = json_object_get_boolean(field) != 0;
    return PG_OK;
}

void pg_field_add_text(json_object *object, const char *name, const char *text)
{
    (void) json_object_object_add(object, name, text == NULL ? NULL : json_object_new_string(text));
}

void pg_field_add_u64(json_object *object, const char *name, uint64_t value)
{
    int64_t fits = value > INT64_MAX ? INT64_MAX : (int64_t) value;
    (void) json_object_object_add(object, name, json_object_new_int64(fits));
}

void pg_field_add_ms(json_object *object, const char *name, int64_t ns)
{
    json_object *number = json_object_new_double((double) ns / 1e6);
    if (number != NULL) {
        json_object_set_serializer(number, json_object_double_to_json_string,
                                   (void *) (uintptr_t) "%.3f", NULL);
    }
    (void) json_object_object_add(object, name, number);
}

void pg_field_add_bool(json_object *object, const char *name, bool value)
{
    (void) json_object_object_add(object, name, json_object_new_boolean(value));
}

void pg_field_add_peer(json_object *object, const char *name, const pg_peer_id *peer)
{
    char text[PG_PEER_ID_TEXT_BYTES];
    pg_peer_id_format(peer, text);
    pg_field_add_text(object, name, text);
}

void pg_field_add_name(json_object *object, const char *name, pg_bytes value)
{
    pg_buf text = {0};
    pg_str rest = pg_str_make_len((const char *) value.ptr, value.len);
    pg_err err = PG_OK;
    while (rest.len > 0 && err == PG_OK) {
        size_t len = pg_str_printable_len(rest);
        err = pg_buf_append(&text,
                            len > 0 ? pg_bytes_make(rest.ptr, len) : PG_BYTES_LIT("\xef\xbf\xbd"));
        len = pg_max_size(len, 1);
        rest = pg_str_make_len(rest.ptr + len, rest.len - len);
    }
    json_object *made =
        text.len == 0 ? NULL : json_object_new_string_len((const char *) text.ptr, (int) text.len);
    (void) json_object_object_add(object, name, made);
    pg_buf_deinit(&text);
}

void pg_field_add_cid(json_object *object, const char *name, const pg_cid *cid)
{
    char text[PG_CID_TEXT_BYTES];
    pg_cid_format(cid, text);
    pg_field_add_text(object, name, text);
}

void pg_field_add(json_object *object, const char *name, json_object *value)
{
    (void) json_object_object_add(object, name, value);
}
