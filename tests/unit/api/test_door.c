// SPDX-License-Identifier: Apache-2.0
// Goal: over TCP nobody comes in by another name of this machine, from another site, or without the token.
// Method: direct calls.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "api/door.h"

#define TOKEN "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8"

static unsigned check(const char *host, const char *origin, const char *authorization)
{
    const pg_door_head head = {host, origin, authorization};
    unsigned status = 200;
    pg_err err = pg_door_check(&head, 4480, PG_BYTES_LIT(TOKEN), &status);
    assert_int_equal(err == PG_OK, status == 200);
    assert_true(err == PG_OK || err == PG_ERR_ACCESS);
    return status;
}

static void test_door__host__has_to_be_this_machine(void **state)
{
    (void) state;
    static const char *const good[] = {"127.0.0.1:4480", "127.0.0.1",  "localhost:4480",
                                       "LocalHost",      "[::1]:4480", "[::1]"};
    static const char *const bad[] = {
        "",
        "evil.example",
        "127.0.0.1.evil.example",
        "localhost.evil.example:4480",
        "127.0.0.2",
        "127.0.0.1:4481",
        "localhost:",
        "127.0.0.1:44800",
        "::1",
        "0.0.0.0:4480",
        "localhost:4480x",
        "evil.example@localhost:4480",
    };
    for (size_t i = 0; i < PG_ARRAY_LEN(good); i++) {
        assert_int_equal(check(good[i], NULL, "Bearer " TOKEN), 200);
    }
    for (size_t i = 0; i < PG_ARRAY_LEN(bad); i++) {
        assert_int_equal(check(bad[i], NULL, "Bearer " TOKEN), 403);
    }
    assert_int_equal(check(NULL, NULL, "Bearer " TOKEN), 403);
}

static void test_door__origin__has_to_be_the_door(void **state)
{
    (void) state;
    static const char *const bad[] = {
        "null",
        "",
        "http://evil.example",
        "https://127.0.0.1:4480",
        "http://127.0.0.1",
        "http://127.0.0.1:8080",
        "http://localhost.evil.example:4480",
        "http://evil.example:4480",
    };
    assert_int_equal(check("localhost:4480", "http://localhost:4480", "Bearer " TOKEN), 200);
    assert_int_equal(check("localhost:4480", "http://127.0.0.1:4480", "Bearer " TOKEN), 200);
    for (size_t i = 0; i < PG_ARRAY_LEN(bad); i++) {
        assert_int_equal(check("localhost:4480", bad[i], "Bearer " TOKEN), 403);
    }
}

static void test_door__token__has_to_be_right(void **state)
{
    (void) state;
    static const char *const bad[] = {
        "", "Bearer", "Bearer ", TOKEN, "Basic " TOKEN, "Bearer " TOKEN "x", "Bearer x" TOKEN,
    };
    char wrong[] = "Bearer " TOKEN;
    assert_int_equal(check("localhost", NULL, "bearer " TOKEN), 200);
    assert_int_equal(check("localhost", NULL, NULL), 401);
    for (size_t i = 0; i < PG_ARRAY_LEN(bad); i++) {
        assert_int_equal(check("localhost", NULL, bad[i]), 401);
    }
    for (size_t i = sizeof("Bearer ") - 1; i < sizeof(wrong) - 1; i++) {
        wrong[i] ^= 1;
        assert_int_equal(check("localhost", NULL, wrong), 401);
        wrong[i] ^= 1;
    }
}

static void test_door__no_token_wanted__host_still_counts(void **state)
{
    (void) state;
    unsigned status = 0;
    pg_door_head head = {"localhost", NULL, NULL};
    assert_int_equal(pg_door_check(&head, 4480, PG_BYTES_EMPTY, &status), PG_OK);
    head.host = "evil.example";
    assert_int_equal(pg_door_check(&head, 4480, PG_BYTES_EMPTY, &status), PG_ERR_ACCESS);
    assert_int_equal(status, 403);
}

static void test_door_endpoint__loopback_only(void **state)
{
    (void) state;
    static const char *const bad[] = {"",
                                      "4480",
                                      "127.0.0.1",
                                      "127.0.0.1:",
                                      "127.0.0.1:65536",
                                      "127.0.0.1:-1",
                                      "0.0.0.0:4480",
                                      "localhost:4480",
                                      "[::]:4480",
                                      "192.0.2.1:4480",
                                      "127.0.0.1:4480 "};
    pg_endpoint endpoint;
    char text[PG_ENDPOINT_TEXT_BYTES];
    assert_int_equal(pg_door_endpoint(PG_STR("127.0.0.1:4480"), &endpoint), PG_OK);
    pg_endpoint_format(&endpoint, text);
    assert_string_equal(text, "127.0.0.1:4480");
    assert_int_equal(pg_door_endpoint(PG_STR("[::1]:0"), &endpoint), PG_OK);
    pg_endpoint_format(&endpoint, text);
    assert_string_equal(text, "[::1]:0");
    for (size_t i = 0; i < PG_ARRAY_LEN(bad); i++) {
        assert_int_equal(pg_door_endpoint(pg_str_make(bad[i]), &endpoint), PG_ERR_INVALID);
    }
}

static void test_door_token_format__writes_base64url(void **state)
{
    (void) state;
    uint8_t token[PG_API_TOKEN_BYTES];
    char text[PG_API_TOKEN_CHARS + 1];
    for (size_t i = 0; i < sizeof(token); i++) {
        token[i] = (uint8_t) i;
    }
    pg_door_token_format(token, text);
    assert_string_equal(text, TOKEN);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_door__host__has_to_be_this_machine),
        cmocka_unit_test(test_door__origin__has_to_be_the_door),
        cmocka_unit_test(test_door__token__has_to_be_right),
        cmocka_unit_test(test_door__no_token_wanted__host_still_counts),
        cmocka_unit_test(test_door_endpoint__loopback_only),
        cmocka_unit_test(test_door_token_format__writes_base64url),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
