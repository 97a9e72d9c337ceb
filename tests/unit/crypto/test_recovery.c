// SPDX-License-Identifier: Apache-2.0
// Goal: the secret that is written down gives person and owner back and no other device; every mistyped letter is found.
// Method: direct calls; the text of a known seed stands here, since it must be read for ever.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "crypto/recovery.h"

static pg_keystore keystore_make(bool is_derived)
{
    pg_keystore made = {0};
    pg_keystore_seeds seeds;
    memset(&seeds, 7, sizeof(seeds));
    if (is_derived) {
        pg_keystore_owner_derive(&seeds.person, &seeds.owner);
    }
    assert_int_equal(pg_keystore_init(&made, &seeds, 1700000000), PG_OK);
    return made;
}

static void comes_back(bool is_derived, size_t chars)
{
    char text[PG_RECOVERY_TEXT_BYTES];
    pg_keystore_seeds seeds;
    pg_key person;
    pg_keystore keystore = keystore_make(is_derived);
    pg_recovery_format(&keystore, text);
    assert_int_equal(strlen(text), chars);
    assert_int_equal(pg_recovery_parse(pg_str_make(text), &seeds), PG_OK);
    pg_identity_seed(&keystore.person, &person);
    assert_memory_equal(seeds.person.bytes, person.bytes, PG_KEY_BYTES);
    assert_memory_equal(seeds.owner.bytes, keystore.owner.ptr, PG_KEY_BYTES);
    pg_identity_seed(&keystore.device, &person);
    assert_memory_not_equal(seeds.device.bytes, person.bytes, PG_KEY_BYTES);
    pg_keystore_deinit(&keystore);
}

static void test_recovery__person_and_owner__come_back(void **state)
{
    (void) state;
    comes_back(true, 60 + 14);
    comes_back(false, 111 + 27);
}

static void test_recovery__known_seed__has_this_text(void **state)
{
    (void) state;
    static const char expected[] =
        "aedq-obyh-a4dq-obyh-a4dq-obyh-a4dq-obyh-a4dq-obyh-a4dq-obyh-a4dq-p2jg-iuea";
    char text[PG_RECOVERY_TEXT_BYTES];
    pg_keystore keystore = keystore_make(true);
    pg_recovery_format(&keystore, text);
    assert_string_equal(text, expected);
    pg_keystore_deinit(&keystore);
}

static void test_recovery__as_people_write_it__is_read(void **state)
{
    (void) state;
    char text[PG_RECOVERY_TEXT_BYTES];
    char spaced[2 * PG_RECOVERY_TEXT_BYTES] = " ";
    pg_keystore_seeds seeds;
    pg_keystore keystore = keystore_make(true);
    pg_recovery_format(&keystore, text);
    size_t at = 1;
    for (size_t i = 0; text[i] != '\0'; i++) {
        char c = text[i];
        spaced[at++] = (char) (c >= 'a' && c <= 'z' ? c - 'a' + 'A' : c == '-' ? ' ' : c);
    }
    spaced[at++] = '\n';
    assert_int_equal(pg_recovery_parse(pg_str_make_len(spaced, at), &seeds), PG_OK);
    pg_keystore_deinit(&keystore);
}

static void test_recovery__mistyped__is_refused(void **state)
{
    (void) state;
    char text[PG_RECOVERY_TEXT_BYTES];
    pg_keystore_seeds seeds;
    pg_keystore keystore = keystore_make(true);
    pg_recovery_format(&keystore, text);
    size_t len = strlen(text);
    for (size_t i = 0; i < len; i++) {
        char kept = text[i];
        text[i] = kept == 'q' ? 'r' : 'q';
        if (kept != '-') {
            assert_int_not_equal(pg_recovery_parse(pg_str_make(text), &seeds), PG_OK);
        }
        text[i] = kept;
        assert_int_not_equal(pg_recovery_parse(pg_str_make_len(text, i), &seeds), PG_OK);
    }
    text[1] = text[1] == 'q' ? 'r' : 'q';
    assert_int_equal(pg_recovery_parse(pg_str_make(text), &seeds), PG_ERR_CORRUPT);
    text[1] = '1'; // no letter of base 32
    assert_int_equal(pg_recovery_parse(pg_str_make(text), &seeds), PG_ERR_MALFORMED);
    assert_int_equal(pg_recovery_parse(PG_STR("abcd-efgh"), &seeds), PG_ERR_TRUNCATED);
    static char endless[PG_RECOVERY_INPUT_BYTES_MAX + 1];
    memset(endless, '-', sizeof(endless));
    assert_int_equal(pg_recovery_parse(pg_str_make_len(endless, sizeof(endless)), &seeds),
                     PG_ERR_LIMIT);
    pg_keystore_deinit(&keystore);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_recovery__person_and_owner__come_back),
        cmocka_unit_test(test_recovery__known_seed__has_this_text),
        cmocka_unit_test(test_recovery__as_people_write_it__is_read),
        cmocka_unit_test(test_recovery__mistyped__is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
