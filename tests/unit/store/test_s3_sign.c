// SPDX-License-Identifier: Apache-2.0
// Goal: requests are signed as S3-compatible stores verify them.
// Method: the examples that Amazon publishes ("Authenticating Requests: Using the Authorization Header"), whose signatures tests/integration/s3_server.py
// computes anew by code of its own, in another language.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "store/s3_sign.h"

#define TIME "20130524T000000Z"
#define NOTHING "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
#define SCOPE                                                                                      \
    "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request, "        \
    "SignedHeaders="

static void sign_check(const pg_s3_request *request, const char *expected)
{
    pg_s3_credentials credentials;
    pg_buf got = {.ptr = NULL};
    assert_int_equal(pg_s3_credentials_make(PG_STR("AKIAIOSFODNN7EXAMPLE"),
                                            PG_STR("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"),
                                            &credentials),
                     PG_OK);
    assert_int_equal(pg_s3_sign(request, &credentials, &got), PG_OK);
    assert_string_equal((const char *) got.ptr, expected);
    pg_buf_deinit(&got);
}

static pg_s3_request request_make(const char *method, const char *path, const char *query)
{
    return (pg_s3_request){
        .method = method,
        .path = path,
        .query = query,
        .payload = NOTHING,
        .time = TIME,
        .region = "us-east-1",
        .header_count = 3,
        .headers = {{"host", "examplebucket.s3.amazonaws.com"},
                    {"x-amz-content-sha256", NOTHING},
                    {"x-amz-date", TIME}},
    };
}

static void test_s3_sign__a_range__as_published(void **state)
{
    (void) state;
    pg_s3_request request = request_make("GET", "/test.txt", "");
    memmove(&request.headers[2], &request.headers[1], 2 * sizeof(request.headers[0]));
    request.headers[1] = (pg_s3_header){"range", "bytes=0-9"};
    request.header_count = 4;
    sign_check(&request, SCOPE "host;range;x-amz-content-sha256;x-amz-date, "
                               "Signature=f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c60"
                               "36bdb41");
}

static void test_s3_sign__a_put_with_more_headers__as_published(void **state)
{
    (void) state;
    char payload[PG_S3_DIGEST_TEXT_BYTES];
    pg_buf path = {.ptr = NULL};
    pg_s3_digest_format(PG_BYTES_LIT("Welcome to Amazon S3."), payload);
    assert_int_equal(pg_s3_escape(PG_STR("/test$file.text"), true, &path), PG_OK);
    const pg_s3_request request = {
        .method = "PUT",
        .path = (const char *) path.ptr,
        .query = "",
        .payload = payload,
        .time = TIME,
        .region = "us-east-1",
        .header_count = 5,
        .headers = {{"date", "Fri, 24 May 2013 00:00:00 GMT"},
                    {"host", "examplebucket.s3.amazonaws.com"},
                    {"x-amz-content-sha256", payload},
                    {"x-amz-date", TIME},
                    {"x-amz-storage-class", "REDUCED_REDUNDANCY"}},
    };
    sign_check(&request,
               SCOPE "date;host;x-amz-content-sha256;x-amz-date;x-amz-storage-class, "
                     "Signature=98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd");
    pg_buf_deinit(&path);
}

static void test_s3_sign__queries__as_published(void **state)
{
    (void) state;
    const pg_s3_request lifecycle = request_make("GET", "/", "lifecycle=");
    const pg_s3_request list = request_make("GET", "/", "max-keys=2&prefix=J");
    sign_check(&lifecycle,
               SCOPE "host;x-amz-content-sha256;x-amz-date, "
                     "Signature=fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543");
    sign_check(&list,
               SCOPE "host;x-amz-content-sha256;x-amz-date, "
                     "Signature=34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7");
}

static void time_check(int64_t wall_ms, const char *expected)
{
    char text[PG_S3_TIME_BYTES];
    pg_s3_time_format(wall_ms, text);
    assert_string_equal(text, expected);
}

static void test_s3_time__days_of_all_kinds(void **state)
{
    (void) state;
    time_check(0, "19700101T000000Z");
    time_check(-5, "19700101T000000Z");
    time_check(INT64_C(1369353600000), TIME);
    time_check(INT64_C(951782399999), "20000228T235959Z");
    time_check(INT64_C(951782400000), "20000229T000000Z");
    time_check(INT64_C(1709251199000), "20240229T235959Z");
    time_check(INT64_C(1735689599000), "20241231T235959Z");
    time_check(INT64_C(4107542400000), "21000301T000000Z"); // no leap year
}

static void test_s3_escape__keeps_what_is_plain(void **state)
{
    (void) state;
    pg_buf out = {.ptr = NULL};
    assert_int_equal(pg_s3_escape(PG_STR("aZ09-._~/+ \xc3\xa9%"), false, &out), PG_OK);
    assert_string_equal((const char *) out.ptr, "aZ09-._~%2F%2B%20%C3%A9%25");
    pg_buf_deinit(&out);
}

static void test_s3_credentials__impossible__are_refused(void **state)
{
    (void) state;
    char many[PG_S3_SECRET_KEY_BYTES_MAX + 2];
    pg_s3_credentials got;
    memset(many, 'a', sizeof(many));
    many[sizeof(many) - 1] = '\0';
    const struct {
        pg_str access;
        pg_str secret;
    } cases[] = {{PG_STR(""), PG_STR("sQ9zZ")},        {PG_STR("key"), PG_STR("")},
                 {PG_STR("key"), pg_str_make(many)},   {pg_str_make(many), PG_STR("sQ9zZ")},
                 {PG_STR("key"), PG_STR("sQ9z\nZ")},   {PG_STR("key"), PG_STR("sQ9z Z")},
                 {PG_STR("k/ey"), PG_STR("sQ9zZ")},    {PG_STR("k,ey"), PG_STR("sQ9zZ")},
                 {PG_STR("k\xc3\xa9"), PG_STR("sQ9z")}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_int_equal(pg_s3_credentials_make(cases[i].access, cases[i].secret, &got),
                         PG_ERR_INVALID);
        assert_null(strstr(pg_error_detail(PG_ERR_INVALID), "Q9")); // nothing of the secret
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_s3_sign__a_range__as_published),
        cmocka_unit_test(test_s3_sign__a_put_with_more_headers__as_published),
        cmocka_unit_test(test_s3_sign__queries__as_published),
        cmocka_unit_test(test_s3_time__days_of_all_kinds),
        cmocka_unit_test(test_s3_escape__keeps_what_is_plain),
        cmocka_unit_test(test_s3_credentials__impossible__are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
