// SPDX-License-Identifier: Apache-2.0
// Goal: the XML of S3-compatible stores is read as they mean it, and nothing else is.
// Method: answers as Amazon's reference shows them and as Ceph writes them, then cut, changed and blown up.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "store/s3_xml.h"

static const char head[] = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n";

static const char page[] =
    "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
    "<!-- a comment with <tags> -->"
    "<ListBucketResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><Name>b</Name>"
    "<Prefix>v1/</Prefix><KeyCount>2</KeyCount><IsTruncated>true</IsTruncated>"
    "<Contents><Key>v1/a&amp;b</Key><Size>17</Size><Owner><ID>Key</ID></Owner></Contents>"
    "<Contents><Owner/><Key>v1/c</Key><ETag>&quot;0&quot;</ETag><Size>0</Size></Contents>"
    "<CommonPrefixes><Prefix>x</Prefix></CommonPrefixes>"
    "<NextContinuationToken>1ueG=&#43;w/&#x2F;</NextContinuationToken></ListBucketResult>";

static pg_err on_object(const char *name, uint64_t bytes, void *user)
{
    char *out = user;
    size_t len = strlen(out);
    (void) snprintf(out + len, 4096 - len, "%s=%llu;", name, (unsigned long long) bytes);
    return PG_OK;
}

static pg_err list_read(const char *text, char out[4096], pg_s3_list *list)
{
    out[0] = '\0';
    return pg_s3_list_decode(pg_bytes_cstr(text), on_object, out, list);
}

static void test_s3_list__a_page__is_read(void **state)
{
    (void) state;
    char got[4096];
    pg_s3_list list;
    assert_int_equal(list_read(page, got, &list), PG_OK);
    assert_string_equal(got, "v1/a&b=17;v1/c=0;");
    assert_true(list.is_truncated);
    assert_string_equal(list.token, "1ueG=+w//");
}

static void test_s3_list__prefixed_and_empty__is_read(void **state)
{
    (void) state;
    char got[4096];
    pg_s3_list list;
    assert_int_equal(list_read("<s3:ListBucketResult><s3:IsTruncated>false</s3:IsTruncated>"
                               "</s3:ListBucketResult>",
                               got, &list),
                     PG_OK);
    assert_string_equal(got, "");
    assert_false(list.is_truncated);
}

static void test_s3_list__cut_anywhere__is_refused(void **state)
{
    (void) state;
    char got[4096];
    pg_s3_list list;
    for (size_t len = 0; len < sizeof(page) - 1; len++) {
        got[0] = '\0';
        assert_int_not_equal(pg_s3_list_decode(pg_bytes_make(page, len), on_object, got, &list),
                             PG_OK);
    }
}

static void test_s3_list__senseless__is_refused(void **state)
{
    (void) state;
    static const char *const texts[] = {
        "",
        "<Error><Code>x</Code></Error>",
        "<other/>",
        "</ListBucketResult>",
        "<html><body>Bad Gateway</body></html>",
        "<!DOCTYPE a [<!ENTITY b \"c\">]><ListBucketResult></ListBucketResult>",
        "<ListBucketResult><Contents><Key>a</Key></Contents></ListBucketResult>",
        "<ListBucketResult><Contents><Size>1</Size></Contents></ListBucketResult>",
        "<ListBucketResult><Contents><Key>a</Key><Size>-1</Size></Contents></ListBucketResult>",
        "<ListBucketResult><Contents><Key>a&b;</Key><Size>1</Size></Contents></ListBucketResult>",
        "<ListBucketResult><Contents><Key>a\n</Key><Size>1</Size></Contents></ListBucketResult>",
        "<ListBucketResult><IsTruncated>maybe</IsTruncated></ListBucketResult>",
        "<ListBucketResult><IsTruncated>true</IsTruncated></ListBucketResult>",
        "<ListBucketResult><><></ListBucketResult>",
        "<ListBucketResult><a><a><a><a><a><a><a><a>",
    };
    char got[4096];
    pg_s3_list list;
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        assert_int_not_equal(list_read(texts[i], got, &list), PG_OK);
    }
}

static void test_s3_list__a_name_too_long__is_refused(void **state)
{
    (void) state;
    char name[PG_S3_NAME_BYTES_MAX + 2];
    char text[sizeof(name) + 256];
    char got[4096];
    pg_s3_list list;
    memset(name, 'a', sizeof(name));
    name[sizeof(name) - 1] = '\0';
    (void) snprintf(text, sizeof(text),
                    "<ListBucketResult><Contents><Key>%s</Key><Size>1</Size></Contents>"
                    "</ListBucketResult>",
                    name);
    assert_int_equal(list_read(text, got, &list), PG_ERR_LIMIT);
    name[sizeof(name) - 2] = '\0';
    (void) snprintf(text, sizeof(text),
                    "<ListBucketResult><Contents><Key>%s</Key><Size>1</Size></Contents>"
                    "</ListBucketResult>",
                    name);
    assert_int_equal(list_read(text, got, &list), PG_OK);
}

static pg_err on_object_fail(const char *name, uint64_t bytes, void *user)
{
    (void) name;
    (void) bytes;
    (void) user;
    return PG_ERR_FULL;
}

static void test_s3_list__the_listener_fails__it_ends(void **state)
{
    (void) state;
    pg_s3_list list;
    assert_int_equal(pg_s3_list_decode(pg_bytes_cstr(page), on_object_fail, NULL, &list),
                     PG_ERR_FULL);
}

static void test_s3_error__is_read(void **state)
{
    (void) state;
    pg_s3_error error;
    char text[1024];
    (void) snprintf(text, sizeof(text),
                    "%s<Error><Code>AuthorizationHeaderMalformed</Code><Message>The region "
                    "&apos;x&apos; is wrong; expecting &lt;y&gt;</Message><Region>eu-west-1"
                    "</Region><Detail><Code>other</Code></Detail><RequestId>1</RequestId></Error>",
                    head);
    assert_int_equal(pg_s3_error_decode(pg_bytes_cstr(text), &error), PG_OK);
    assert_string_equal(error.code, "AuthorizationHeaderMalformed");
    assert_string_equal(error.message, "The region 'x' is wrong; expecting <y>");
    assert_string_equal(error.region, "eu-west-1");
}

static void test_s3_error__long_or_unprintable__is_cut(void **state)
{
    (void) state;
    pg_s3_error error;
    char text[1024] = "<Error><Code>a\x1b[31m</Code><Message>";
    size_t len = strlen(text);
    memset(text + len, 'm', 500);
    (void) snprintf(text + len + 500, sizeof(text) - len - 500, "</Message></Error>");
    assert_int_equal(pg_s3_error_decode(pg_bytes_cstr(text), &error), PG_OK);
    assert_string_equal(error.code, "a");
    assert_int_equal(strlen(error.message), sizeof(error.message) - 1);
}

static void test_s3_error__none__is_refused(void **state)
{
    (void) state;
    static const char *const texts[] = {
        "",         "not found", "<html></html>", "<Error></Error>",
        "</Error>", "<Error/>",  "<Error><Code>",
    };
    pg_s3_error error;
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        assert_int_equal(pg_s3_error_decode(pg_bytes_cstr(texts[i]), &error), PG_ERR_MALFORMED);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_s3_list__a_page__is_read),
        cmocka_unit_test(test_s3_list__prefixed_and_empty__is_read),
        cmocka_unit_test(test_s3_list__cut_anywhere__is_refused),
        cmocka_unit_test(test_s3_list__senseless__is_refused),
        cmocka_unit_test(test_s3_list__a_name_too_long__is_refused),
        cmocka_unit_test(test_s3_list__the_listener_fails__it_ends),
        cmocka_unit_test(test_s3_error__is_read),
        cmocka_unit_test(test_s3_error__long_or_unprintable__is_cut),
        cmocka_unit_test(test_s3_error__none__is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
