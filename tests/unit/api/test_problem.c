// SPDX-License-Identifier: Apache-2.0
// Goal: every error has a status of its kind, and a problem tells code, status and detail.
// Method: the whole table of errors.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "api/server.h"

static void test_problem__every_error__has_a_status(void **state)
{
    (void) state;
#define STATUS_CHECK(symbol, number, name, class, text)                                            \
    assert_true((symbol) == PG_OK ? pg_api_status(symbol) == 200                                   \
                                  : pg_api_status(symbol) >= 400 && pg_api_status(symbol) < 600);
    PG_ERR_TABLE(STATUS_CHECK)
#undef STATUS_CHECK
    assert_int_equal(pg_api_status(PG_ERR_INVALID), 400);
    assert_int_equal(pg_api_status(PG_ERR_ACCESS), 403);
    assert_int_equal(pg_api_status(PG_ERR_KEY), 403);
    assert_int_equal(pg_api_status(PG_ERR_NOT_FOUND), 404);
    assert_int_equal(pg_api_status(PG_ERR_EXISTS), 409);
    assert_int_equal(pg_api_status(PG_ERR_BUG), 500);
    assert_int_equal(pg_api_status(PG_ERR_UNSUPPORTED), 501);
    assert_int_equal(pg_api_status(PG_ERR_CORRUPT), 502);
    assert_int_equal(pg_api_status(PG_ERR_UNREACHABLE), 502);
    assert_int_equal(pg_api_status(PG_ERR_MISSING), 503);
    assert_int_equal(pg_api_status(PG_ERR_CANCELLED), 503);
    assert_int_equal(pg_api_status(PG_ERR_TIMEOUT), 504);
    assert_int_equal(pg_api_status(PG_ERR_FULL), 507);
}

static void test_problem__document__tells_all(void **state)
{
    (void) state;
    json_object *problem = pg_api_problem(PG_ERR_FULL, 0, "no host has room");
    assert_string_equal(json_object_to_json_string_ext(problem, JSON_C_TO_STRING_PLAIN),
                        "{\"type\":\"about:blank\",\"title\":\"no space left\",\"status\":507,"
                        "\"detail\":\"no host has room\",\"code\":\"full\"}");
    json_object_put(problem);
    problem = pg_api_problem(PG_ERR_UNSUPPORTED, 405, "x");
    json_object *status = NULL;
    assert_true(json_object_object_get_ex(problem, "status", &status));
    assert_int_equal(json_object_get_int(status), 405);
    json_object_put(problem);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_problem__every_error__has_a_status),
        cmocka_unit_test(test_problem__document__tells_all),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
