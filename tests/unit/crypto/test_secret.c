// SPDX-License-Identifier: Apache-2.0
// Goal: secrets are kept in memory of their own, compared by content and gone after use.
// Method: direct calls.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "crypto/secret.h"

static void test_secret__made__is_zeroed_and_writable(void **state)
{
    (void) state;
    pg_secret secret = {0};
    assert_int_equal(pg_secret_init(&secret, 40), PG_OK);
    const uint8_t zeros[40] = {0};
    assert_true(pg_secret_equal(pg_secret_bytes(&secret), PG_BYTES_OF(zeros)));
    memset(secret.ptr, 7, secret.len);
    pg_secret_deinit(&secret);
    assert_null(secret.ptr);
    pg_secret_deinit(&secret);
    pg_secret_deinit(NULL);
}

static void test_secret__size_out_of_range__is_refused(void **state)
{
    (void) state;
    pg_secret secret = {0};
    assert_int_equal(pg_secret_init(&secret, 0), PG_ERR_LIMIT);
    assert_int_equal(pg_secret_init(&secret, PG_SECRET_BYTES_MAX + 1), PG_ERR_LIMIT);
    assert_null(secret.ptr);
}

static void test_secret__compared__by_length_and_content(void **state)
{
    (void) state;
    assert_true(pg_secret_equal(PG_BYTES_LIT("abc"), PG_BYTES_LIT("abc")));
    assert_false(pg_secret_equal(PG_BYTES_LIT("abc"), PG_BYTES_LIT("abd")));
    assert_false(pg_secret_equal(PG_BYTES_LIT("abc"), PG_BYTES_LIT("ab")));
    assert_true(pg_secret_equal(PG_BYTES_EMPTY, PG_BYTES_EMPTY));
}

static void test_key__random__differs_each_time(void **state)
{
    (void) state;
    pg_key a;
    pg_key b;
    pg_key_random(&a);
    pg_key_random(&b);
    assert_false(pg_secret_equal(pg_key_bytes(&a), pg_key_bytes(&b)));
}

static void test_key__wiped__is_zero(void **state)
{
    (void) state;
    pg_key key;
    memset(key.bytes, 0xa5, sizeof(key.bytes));
    pg_key_wipe(&key);
    const uint8_t zeros[PG_KEY_BYTES] = {0};
    assert_memory_equal(pg_key_bytes(&key).ptr, zeros, sizeof(zeros));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_secret__made__is_zeroed_and_writable),
        cmocka_unit_test(test_secret__size_out_of_range__is_refused),
        cmocka_unit_test(test_secret__compared__by_length_and_content),
        cmocka_unit_test(test_key__random__differs_each_time),
        cmocka_unit_test(test_key__wiped__is_zero),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
