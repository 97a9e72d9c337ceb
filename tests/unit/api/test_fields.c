// SPDX-License-Identifier: Apache-2.0
// Goal: fields are read strictly, and what strangers call themselves becomes text.
// Method: direct calls on small objects.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#include <json-c/json_tokener.h>

#include "api/fields.h"

static void test_fields__wrong_types__are_named(void **state)
{
    (void) state;
    json_object *object =
        json_tokener_parse("{\"t\":\"x\",\"n\":7,\"b\":true,\"neg\":-1,\"f\":1.5}");
    const char *text = NULL;
    uint64_t number = 0;
    bool is_on = false;
    assert_int_equal(pg_field_text(object, "t", &text), PG_OK);
    assert_string_equal(text, "x");
    assert_int_equal(pg_field_text(object, "n", &text), PG_ERR_INVALID);
    assert_string_equal(pg_error_detail(PG_ERR_INVALID), "\"n\" must be a text");
    assert_int_equal(pg_field_text(object, "none", &text), PG_ERR_INVALID);
    assert_int_equal(pg_field_u64(object, "n", 7, 0, &number), PG_OK);
    assert_int_equal(number, 7);
    assert_int_equal(pg_field_u64(object, "none", 7, 3, &number), PG_OK);
    assert_int_equal(number, 3);
    assert_int_equal(pg_field_u64(object, "n", 6, 0, &number), PG_ERR_INVALID);
    assert_int_equal(pg_field_u64(object, "neg", 6, 0, &number), PG_ERR_INVALID);
    assert_int_equal(pg_field_u64(object, "f", 6, 0, &number), PG_ERR_INVALID);
    assert_int_equal(pg_field_bool(object, "b", &is_on), PG_OK);
    assert_true(is_on);
    assert_int_equal(pg_field_bool(object, "t", &is_on), PG_ERR_INVALID);
    json_object_put(object);
}

static void test_fields__name_of_a_stranger__is_made_text(void **state)
{
    (void) state;
    json_object *object = json_object_new_object();
    pg_field_add_name(object, "empty", PG_BYTES_EMPTY);
    pg_field_add_name(object, "plain", PG_BYTES_LIT("\xc3\xa4 b"));
    pg_field_add_name(object, "odd", PG_BYTES_LIT("a\xff\xc3\n"));
    assert_string_equal(json_object_to_json_string_ext(object, JSON_C_TO_STRING_PLAIN),
                        "{\"empty\":null,\"plain\":\"\xc3\xa4 b\","
                        "\"odd\":\"a\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\"}");
    json_object_put(object);
}

static void test_fields__wiped_text__is_gone(void **state)
{
    (void) state;
    json_object *object = json_object_new_object();
    char secret[64];
    memset(secret, 's', sizeof(secret) - 1);
    secret[sizeof(secret) - 1] = '\0';
    pg_field_add_text(object, "link", secret);
    json_object *field = json_object_object_get(object, "link");
    const char *kept = json_object_get_string(field);
    assert_string_equal(kept, secret);
    pg_field_wipe(object, "link");
    for (size_t i = 0; i < sizeof(secret); i++) {
        assert_int_equal(kept[i], 0);
    }
    pg_field_wipe(object, "none");
    pg_field_wipe(NULL, "link");
    json_object_put(object);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fields__wrong_types__are_named),
        cmocka_unit_test(test_fields__name_of_a_stranger__is_made_text),
        cmocka_unit_test(test_fields__wiped_text__is_gone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
