// SPDX-License-Identifier: Apache-2.0
// Goal: a keystore comes back as it was written, damage is told from a wrong passphrase, and a hostile file costs nothing.
// Method: both ways of locking, every bit changed, checksums made good again by hand.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "crypto/hash.h"
#include "crypto/keystore.h"

#define CHEAP ((pg_argon2_cost){8, 1})

static pg_keystore make(void)
{
    pg_keystore_seeds seeds;
    memset(seeds.person.bytes, 1, PG_KEY_BYTES);
    memset(seeds.device.bytes, 2, PG_KEY_BYTES);
    memset(seeds.owner.bytes, 3, PG_KEY_BYTES);
    pg_keystore keystore = {0};
    assert_int_equal(pg_keystore_init(&keystore, &seeds, 1700000000), PG_OK);
    return keystore;
}

static pg_buf encoded(const pg_keystore_lock *lock)
{
    pg_keystore keystore = make();
    pg_buf out = {0};
    assert_int_equal(pg_keystore_encode(&keystore, lock, &out), PG_OK);
    pg_keystore_deinit(&keystore);
    return out;
}

static pg_keystore_lock lock_of(const char *passphrase)
{
    return (pg_keystore_lock){pg_bytes_cstr(passphrase), CHEAP, {4}, {5}};
}

static void assert_same(const pg_keystore *a, const pg_keystore *b)
{
    assert_true(pg_peer_id_equal(&a->person.peer_id, &b->person.peer_id));
    assert_true(pg_peer_id_equal(&a->device.peer_id, &b->device.peer_id));
    assert_true(pg_secret_equal(pg_secret_bytes(&a->owner), pg_secret_bytes(&b->owner)));
    assert_true(pg_bytes_equal(pg_buf_bytes(&a->certificate), pg_buf_bytes(&b->certificate)));
    assert_int_equal(a->verified.issued_at_s, b->verified.issued_at_s);
}

static void checksum_mend(pg_buf *file)
{
    pg_sha256(pg_bytes_make(file->ptr, file->len - PG_HASH_BYTES),
              file->ptr + file->len - PG_HASH_BYTES);
}

static void test_keystore__plain_and_locked__come_back(void **state)
{
    (void) state;
    pg_keystore original = make();
    pg_keystore_lock lock = lock_of("open sesame");
    for (int locked = 0; locked < 2; locked++) {
        pg_buf file = encoded(locked ? &lock : NULL);
        bool is_locked = !locked;
        assert_true(file.len <= PG_KEYSTORE_BYTES_MAX);
        assert_int_equal(pg_keystore_is_locked(pg_buf_bytes(&file), &is_locked), PG_OK);
        assert_int_equal(is_locked, locked);
        pg_keystore back = {0};
        assert_int_equal(
            pg_keystore_decode(pg_buf_bytes(&file), PG_BYTES_LIT("open sesame"), &back), PG_OK);
        assert_same(&original, &back);
        pg_keystore_deinit(&back);
        pg_keystore_deinit(&back);
        pg_buf_deinit(&file);
    }
    pg_keystore_deinit(&original);
    pg_keystore_deinit(NULL);
}

static void test_keystore__drawn__differs_each_time(void **state)
{
    (void) state;
    pg_keystore a = {0};
    pg_keystore b = {0};
    assert_int_equal(pg_keystore_init(&a, NULL, 1), PG_OK);
    assert_int_equal(pg_keystore_init(&b, NULL, 1), PG_OK);
    assert_false(pg_peer_id_equal(&a.person.peer_id, &b.person.peer_id));
    assert_false(pg_peer_id_equal(&a.person.peer_id, &a.device.peer_id));
    assert_false(pg_secret_equal(pg_secret_bytes(&a.owner), pg_secret_bytes(&b.owner)));
    pg_keystore_deinit(&a);
    pg_keystore_deinit(&b);
    pg_keystore_lock first = pg_keystore_lock_make(PG_BYTES_LIT("p"));
    pg_keystore_lock second = pg_keystore_lock_make(PG_BYTES_LIT("p"));
    assert_memory_not_equal(first.salt, second.salt, sizeof(first.salt));
    assert_memory_not_equal(first.nonce, second.nonce, sizeof(first.nonce));
    assert_int_equal(first.cost.memory_kib, PG_ARGON2_COST_DEFAULT.memory_kib);
}

static void test_keystore__locked__shows_no_secret(void **state)
{
    (void) state;
    pg_keystore_lock lock = lock_of("x");
    pg_buf file = encoded(&lock);
    const uint8_t secret[4] = {3, 3, 3, 3};
    for (size_t i = 0; i + sizeof(secret) <= file.len; i++) {
        assert_memory_not_equal(file.ptr + i, secret, sizeof(secret));
    }
    pg_buf_deinit(&file);
}

static void test_keystore__wrong_passphrase__is_told_from_damage(void **state)
{
    (void) state;
    pg_keystore_lock lock = lock_of("right");
    pg_buf file = encoded(&lock);
    pg_keystore back = {0};
    assert_int_equal(pg_keystore_decode(pg_buf_bytes(&file), PG_BYTES_LIT("wrong"), &back),
                     PG_ERR_KEY);
    assert_int_equal(pg_keystore_decode(pg_buf_bytes(&file), PG_BYTES_EMPTY, &back), PG_ERR_KEY);
    file.ptr[100] ^= 1;
    assert_int_equal(pg_keystore_decode(pg_buf_bytes(&file), PG_BYTES_LIT("right"), &back),
                     PG_ERR_CORRUPT);
    pg_buf_deinit(&file);
}

static void test_keystore__any_byte_changed_or_cut__is_noticed(void **state)
{
    (void) state;
    pg_keystore_lock lock = lock_of("p");
    for (int locked = 0; locked < 2; locked++) {
        pg_buf file = encoded(locked ? &lock : NULL);
        pg_keystore back = {0};
        for (size_t i = 0; i < file.len; i++) {
            file.ptr[i] ^= 0x04;
            pg_err err = pg_keystore_decode(pg_buf_bytes(&file), PG_BYTES_LIT("p"), &back);
            assert_true(err == PG_ERR_CORRUPT ||
                        (err == PG_ERR_UNSUPPORTED && (i == 16 || i == 17)));
            file.ptr[i] ^= 0x04;
            err = pg_keystore_decode(pg_bytes_make(file.ptr, i), PG_BYTES_LIT("p"), &back);
            assert_int_equal(err, PG_ERR_CORRUPT);
        }
        pg_buf_deinit(&file);
    }
}

static void test_keystore__hostile_content_under_good_checksum__is_refused(void **state)
{
    (void) state;
    pg_keystore back = {0};
    pg_buf file = encoded(NULL);
    file.ptr[18] ^= 1; // another person than the certificate's
    checksum_mend(&file);
    assert_int_equal(pg_keystore_decode(pg_buf_bytes(&file), PG_BYTES_EMPTY, &back),
                     PG_ERR_CORRUPT);
    file.ptr[18] ^= 1;
    file.ptr[18 + 96] = 0xff; // length of the certificate
    checksum_mend(&file);
    assert_int_equal(pg_keystore_decode(pg_buf_bytes(&file), PG_BYTES_EMPTY, &back),
                     PG_ERR_CORRUPT);
    pg_buf_deinit(&file);

    pg_buf big = {0};
    assert_int_equal(pg_buf_append(&big, PG_BYTES_LIT("pangea keystore\n\1\0")), PG_OK);
    uint8_t *space = NULL;
    assert_int_equal(pg_buf_extend(&big, 700, &space), PG_OK);
    memset(space, 0, 700);
    checksum_mend(&big);
    assert_int_equal(pg_keystore_decode(pg_buf_bytes(&big), PG_BYTES_EMPTY, &back), PG_ERR_CORRUPT);
    big.ptr[17] = 1;
    big.len = 100;
    checksum_mend(&big);
    assert_int_equal(pg_keystore_decode(pg_buf_bytes(&big), PG_BYTES_EMPTY, &back), PG_ERR_CORRUPT);
    pg_buf_deinit(&big);

    pg_keystore_lock lock = lock_of("p");
    file = encoded(&lock);
    memset(file.ptr + 18, 0xff, 4); // four tebibytes for Argon2id
    checksum_mend(&file);
    assert_int_equal(pg_keystore_decode(pg_buf_bytes(&file), PG_BYTES_LIT("p"), &back),
                     PG_ERR_LIMIT);
    pg_buf_deinit(&file);
    assert_null(back.owner.ptr);
}

static void test_keystore__lock_out_of_range__is_refused(void **state)
{
    (void) state;
    pg_keystore keystore = make();
    pg_keystore_lock lock = lock_of("p");
    lock.cost.passes = 0;
    pg_buf out = {0};
    assert_int_equal(pg_keystore_encode(&keystore, &lock, &out), PG_ERR_LIMIT);
    assert_int_equal(out.len, 0);
    pg_buf_deinit(&out);
    pg_keystore_deinit(&keystore);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_keystore__plain_and_locked__come_back),
        cmocka_unit_test(test_keystore__drawn__differs_each_time),
        cmocka_unit_test(test_keystore__locked__shows_no_secret),
        cmocka_unit_test(test_keystore__wrong_passphrase__is_told_from_damage),
        cmocka_unit_test(test_keystore__any_byte_changed_or_cut__is_noticed),
        cmocka_unit_test(test_keystore__hostile_content_under_good_checksum__is_refused),
        cmocka_unit_test(test_keystore__lock_out_of_range__is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
