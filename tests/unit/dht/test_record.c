// SPDX-License-Identifier: Apache-2.0
// Goal: records are judged by their namespace, the best of several values wins, times are written as others read them.
// Method: direct calls; dates compared with known ones.
#include "crypto/identity.h"
#include "crypto/public_key.h"
#include "dht/record.h"
#include "dht_test.h"

// The public key of an identity made of one byte, and the key of its record.
static void pk_make(uint8_t byte, pg_buf *key, uint8_t value[PG_ED25519_ENCODED_BYTES])
{
    uint8_t public_key[PG_ED25519_PUBLIC_BYTES];
    pg_peer_id peer;
    memset(public_key, byte, sizeof(public_key));
    pg_public_key_encode_ed25519(public_key, value);
    pg_peer_id_of_key(pg_bytes_make(value, PG_ED25519_ENCODED_BYTES), &peer);
    assert_int_equal(pg_buf_append(key, PG_BYTES_LIT("/pk/")), PG_OK);
    assert_int_equal(pg_buf_append(key, pg_peer_id_bytes(&peer)), PG_OK);
}

static pg_dht_validators validators_both(void)
{
    pg_dht_validators validators = {.count = 0};
    assert_int_equal(pg_dht_validators_add(&validators, &pg_dht_validator_pk), PG_OK);
    assert_int_equal(pg_dht_validators_add(&validators, &pg_dht_validator_test), PG_OK);
    return validators;
}

static void test_record__pk__only_the_key_that_hashes_to_its_name(void **state)
{
    (void) state;
    pg_dht_validators validators = validators_both();
    const pg_dht_validator *found = NULL;
    pg_buf key = {0};
    pg_buf other = {0};
    uint8_t value[PG_ED25519_ENCODED_BYTES];
    uint8_t other_value[PG_ED25519_ENCODED_BYTES];
    pk_make(1, &key, value);
    pk_make(2, &other, other_value);
    assert_int_equal(
        pg_dht_validators_check(&validators, pg_buf_bytes(&key), PG_BYTES_OF(value), &found),
        PG_OK);
    assert_ptr_equal(found, &validators.list[0]);
    assert_int_equal(
        pg_dht_validators_check(&validators, pg_buf_bytes(&other), PG_BYTES_OF(value), &found),
        PG_ERR_CORRUPT);
    value[0] ^= 1;
    assert_int_not_equal(
        pg_dht_validators_check(&validators, pg_buf_bytes(&key), PG_BYTES_OF(value), &found),
        PG_OK);
    assert_int_not_equal(
        pg_dht_validators_check(&validators, PG_BYTES_LIT("/pk/12D3"), PG_BYTES_OF(value), &found),
        PG_OK);
    pg_buf_deinit(&key);
    pg_buf_deinit(&other);
}

static void test_record__keys__need_a_known_namespace(void **state)
{
    (void) state;
    pg_dht_validators validators = validators_both();
    const pg_dht_validator *found = NULL;
    static const char *const bad[] = {"", "/", "//", "/test", "test/a", "/test/", "//a"};
    uint8_t longest[PG_DHT_NAME_BYTES_MAX + 1];
    // "/test/" names nothing, but is a key: only its shape is looked at here
    for (size_t i = 0; i < PG_ARRAY_LEN(bad); i++) {
        pg_err err = pg_dht_validators_find(&validators, pg_bytes_cstr(bad[i]), &found);
        assert_int_equal(err, strcmp(bad[i], "/test/") == 0 ? PG_OK : PG_ERR_INVALID);
    }
    assert_int_equal(pg_dht_validators_find(&validators, PG_BYTES_LIT("/other/a"), &found),
                     PG_ERR_UNSUPPORTED);
    memset(longest, 'a', sizeof(longest));
    memcpy(longest, "/test/", 6);
    assert_int_equal(pg_dht_validators_find(&validators, PG_BYTES_OF(longest), &found),
                     PG_ERR_INVALID);
    assert_int_equal(
        pg_dht_validators_find(&validators, pg_bytes_make(longest, PG_DHT_NAME_BYTES_MAX), &found),
        PG_OK);
}

static void test_record__test_namespace__is_off_unless_registered(void **state)
{
    (void) state;
    pg_dht_validators validators = {.count = 0};
    const pg_dht_validator *found = NULL;
    assert_int_equal(pg_dht_validators_add(&validators, &pg_dht_validator_pk), PG_OK);
    assert_int_equal(pg_dht_validators_find(&validators, PG_BYTES_LIT("/test/a"), &found),
                     PG_ERR_UNSUPPORTED);
    assert_int_equal(pg_dht_validators_add(&validators, &pg_dht_validator_pk), PG_ERR_EXISTS);
}

static void test_record__value_too_long__is_refused(void **state)
{
    (void) state;
    pg_dht_validators validators = validators_both();
    const pg_dht_validator *found = NULL;
    static uint8_t value[PG_DHT_VALUE_BYTES_MAX + 1];
    assert_int_equal(
        pg_dht_validators_check(&validators, PG_BYTES_LIT("/test/a"), PG_BYTES_OF(value), &found),
        PG_ERR_LIMIT);
    assert_int_equal(pg_dht_validators_check(&validators, PG_BYTES_LIT("/test/a"),
                                             pg_bytes_make(value, PG_DHT_VALUE_BYTES_MAX), &found),
                     PG_OK);
}

static void test_choice__mutable__best_of_a_quorum(void **state)
{
    (void) state;
    pg_dht_validators validators = validators_both();
    pg_dht_choice choice;
    assert_int_equal(pg_dht_choice_init(&choice, &validators, PG_BYTES_LIT("/test/a")), PG_OK);
    assert_int_equal(pg_dht_choice_add(&choice, PG_BYTES_LIT("2")), PG_DHT_VERDICT_BETTER);
    assert_int_equal(pg_dht_choice_add(&choice, PG_BYTES_LIT("1")), PG_DHT_VERDICT_WORSE);
    assert_int_equal(pg_dht_choice_add(&choice, PG_BYTES_LIT("2")), PG_DHT_VERDICT_SAME);
    assert_false(pg_dht_choice_is_enough(&choice));
    assert_int_equal(pg_dht_choice_add(&choice, PG_BYTES_LIT("3")), PG_DHT_VERDICT_BETTER);
    assert_true(pg_dht_choice_is_enough(&choice));
    assert_true(pg_bytes_equal(pg_buf_bytes(&choice.best), PG_BYTES_LIT("3")));
    assert_int_equal(choice.improved, 2);
    pg_dht_choice_deinit(&choice);
}

static unsigned checks;

static pg_err counted_check(pg_bytes key, pg_bytes value, void *user)
{
    (void) key;
    (void) user;
    checks++;
    return value.len == 1 ? PG_OK : PG_ERR_MALFORMED;
}

static int bytes_compare(pg_bytes a, pg_bytes b, void *user)
{
    (void) user;
    return pg_bytes_compare(a, b);
}

// Twenty peers answer, nearly all the same: a signature would be verified for each value, not for each answer.
static void test_choice__same_value_from_many__is_checked_once(void **state)
{
    (void) state;
    pg_dht_validators validators = {.count = 0};
    pg_dht_choice choice;
    const pg_dht_validator counted = {
        .name_space = "n", .is_mutable = true, .check = counted_check, .compare = bytes_compare};
    assert_int_equal(pg_dht_validators_add(&validators, &counted), PG_OK);
    assert_int_equal(pg_dht_choice_init(&choice, &validators, PG_BYTES_LIT("/n/a")), PG_OK);
    checks = 0;
    assert_int_equal(pg_dht_choice_add(&choice, PG_BYTES_LIT("1")), PG_DHT_VERDICT_BETTER);
    for (int i = 0; i < 18; i++) {
        assert_int_equal(pg_dht_choice_add(&choice, PG_BYTES_LIT("1")), PG_DHT_VERDICT_SAME);
    }
    assert_int_equal(pg_dht_choice_add(&choice, PG_BYTES_LIT("2")), PG_DHT_VERDICT_BETTER);
    assert_int_equal(checks, 2);
    assert_int_equal(choice.valid, 20);
    assert_int_equal(pg_dht_choice_add(&choice, PG_BYTES_LIT("1")), PG_DHT_VERDICT_WORSE);
    assert_int_equal(pg_dht_choice_add(&choice, PG_BYTES_LIT("22")), PG_DHT_VERDICT_INVALID);
    pg_dht_choice_deinit(&choice);
}

static void test_choice__immutable__first_valid_one_is_enough(void **state)
{
    (void) state;
    pg_dht_validators validators = validators_both();
    pg_dht_choice choice;
    pg_buf key = {0};
    uint8_t value[PG_ED25519_ENCODED_BYTES];
    pk_make(1, &key, value);
    assert_int_equal(pg_dht_choice_init(&choice, &validators, pg_buf_bytes(&key)), PG_OK);
    assert_int_equal(pg_dht_choice_add(&choice, PG_BYTES_LIT("junk")), PG_DHT_VERDICT_INVALID);
    assert_false(pg_dht_choice_is_enough(&choice));
    assert_int_equal(pg_dht_choice_add(&choice, PG_BYTES_OF(value)), PG_DHT_VERDICT_BETTER);
    assert_true(pg_dht_choice_is_enough(&choice));
    assert_int_equal(pg_dht_choice_add(&choice, PG_BYTES_OF(value)), PG_DHT_VERDICT_SAME);
    assert_int_equal(choice.invalid, 1);
    pg_dht_choice_deinit(&choice);
    pg_buf_deinit(&key);
}

static void test_time__known_dates__as_rfc_3339(void **state)
{
    (void) state;
    static const struct {
        int64_t wall_ms;
        const char *text;
    } rows[] = {
        {0, "1970-01-01T00:00:00.000000000Z"},
        {-5, "1970-01-01T00:00:00.000000000Z"},
        {951782400000 - 1, "2000-02-28T23:59:59.999000000Z"},
        {951782400000, "2000-02-29T00:00:00.000000000Z"},
        {951868800000, "2000-03-01T00:00:00.000000000Z"},
        {1709164800000, "2024-02-29T00:00:00.000000000Z"},
        {1735689599123, "2024-12-31T23:59:59.123000000Z"},
        {4107542400000, "2100-03-01T00:00:00.000000000Z"},
        {4107542399000, "2100-02-28T23:59:59.000000000Z"},
        {INT64_MAX, "9999-12-31T23:59:59.999000000Z"},
    };
    for (size_t i = 0; i < PG_ARRAY_LEN(rows); i++) {
        char text[PG_DHT_TIME_TEXT_BYTES];
        pg_dht_time_format(rows[i].wall_ms, text);
        assert_string_equal(text, rows[i].text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_record__pk__only_the_key_that_hashes_to_its_name),
        cmocka_unit_test(test_record__keys__need_a_known_namespace),
        cmocka_unit_test(test_record__test_namespace__is_off_unless_registered),
        cmocka_unit_test(test_record__value_too_long__is_refused),
        cmocka_unit_test(test_choice__mutable__best_of_a_quorum),
        cmocka_unit_test(test_choice__same_value_from_many__is_checked_once),
        cmocka_unit_test(test_choice__immutable__first_valid_one_is_enough),
        cmocka_unit_test(test_time__known_dates__as_rfc_3339),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
