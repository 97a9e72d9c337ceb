// SPDX-License-Identifier: Apache-2.0
// Goal: a record comes back as it was signed, stands under the key of its subject and its signer and nowhere else, and the newer one counts; what is
//       damaged, of another version or out of range is refused.
// Method: records of made-up identities, each byte flipped.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "crypto/envelope.h"
#include "health/record.h"

static pg_identity observer;
static pg_identity other;

static int identities_make(void **state)
{
    const pg_key one = {{1}};
    const pg_key two = {{2}};
    (void) state;
    return pg_identity_init(&observer, &one) != PG_OK || pg_identity_init(&other, &two) != PG_OK;
}

static int identities_end(void **state)
{
    (void) state;
    pg_identity_deinit(&observer);
    pg_identity_deinit(&other);
    return 0;
}

static pg_health_record sample(uint64_t sequence)
{
    return (pg_health_record){.subject = other.peer_id,
                              .sequence = sequence,
                              .hours = 720,
                              .uptime = 99,
                              .latency = 80,
                              .availability = 100};
}

static void encode(const pg_identity *by, const pg_health_record *record, pg_buf *out)
{
    assert_int_equal(pg_health_record_encode(by, record, out), PG_OK);
}

static void test_decode__encoded__is_the_same(void **state)
{
    (void) state;
    pg_buf bytes = {0};
    pg_health_record back;
    const pg_health_record record = sample(5);
    encode(&observer, &record, &bytes);
    assert_int_equal(pg_health_record_decode(pg_buf_bytes(&bytes), &back), PG_OK);
    assert_true(pg_peer_id_equal(&back.observer, &observer.peer_id));
    assert_true(pg_peer_id_equal(&back.subject, &other.peer_id));
    assert_int_equal(back.sequence, 5);
    assert_int_equal(back.hours, 720);
    assert_int_equal(back.availability, 100);
    pg_buf_deinit(&bytes);
}

static void test_decode__any_byte_flipped_or_cut__is_refused(void **state)
{
    (void) state;
    pg_buf bytes = {0};
    pg_health_record back;
    const pg_health_record record = sample(5);
    encode(&observer, &record, &bytes);
    for (size_t i = 0; i < bytes.len; i++) {
        bytes.ptr[i] ^= 0x40;
        assert_int_not_equal(pg_health_record_decode(pg_buf_bytes(&bytes), &back), PG_OK);
        bytes.ptr[i] ^= 0x40;
        pg_bytes cut = pg_bytes_slice(pg_buf_bytes(&bytes), 0, i);
        assert_int_not_equal(pg_health_record_decode(cut, &back), PG_OK);
    }
    pg_buf_deinit(&bytes);
}

static void test_decode__out_of_range__is_refused(void **state)
{
    (void) state;
    pg_health_record bad[] = {sample(0), sample(1), sample(1), sample(1), sample(1), sample(1)};
    bad[1].hours = 721;
    bad[2].uptime = 101;
    bad[3].latency = 101;
    bad[4].availability = 101;
    bad[5].subject = observer.peer_id; // of itself
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        pg_buf bytes = {0};
        pg_health_record back;
        encode(&observer, &bad[i], &bytes);
        assert_int_equal(pg_health_record_decode(pg_buf_bytes(&bytes), &back), PG_ERR_MALFORMED);
        pg_buf_deinit(&bytes);
    }
}

static void test_validator__other_key__is_refused(void **state)
{
    (void) state;
    pg_buf bytes = {0};
    pg_buf key = {0};
    const pg_health_record record = sample(5);
    encode(&observer, &record, &bytes);
    assert_int_equal(pg_health_record_key(&other.peer_id, &observer.peer_id, &key), PG_OK);
    assert_int_equal(pg_dht_validator_health.check(pg_buf_bytes(&key), pg_buf_bytes(&bytes), NULL),
                     PG_OK);
    pg_buf_clear(&key);
    assert_int_equal(pg_health_record_key(&observer.peer_id, &other.peer_id, &key), PG_OK);
    assert_int_equal(pg_dht_validator_health.check(pg_buf_bytes(&key), pg_buf_bytes(&bytes), NULL),
                     PG_ERR_AUTH);
    pg_buf_deinit(&key);
    pg_buf_deinit(&bytes);
}

static void test_validator__later_sequence__is_better(void **state)
{
    (void) state;
    pg_buf older = {0};
    pg_buf newer = {0};
    const pg_health_record first = sample(5);
    const pg_health_record second = sample(6);
    encode(&observer, &first, &older);
    encode(&observer, &second, &newer);
    pg_bytes a = pg_buf_bytes(&newer);
    pg_bytes b = pg_buf_bytes(&older);
    assert_true(pg_dht_validator_health.compare(a, b, NULL) > 0);
    assert_true(pg_dht_validator_health.compare(b, a, NULL) < 0);
    assert_int_equal(pg_dht_validator_health.compare(a, a, NULL), 0);
    pg_buf_deinit(&older);
    pg_buf_deinit(&newer);
}

static void test_provider_key__of_two_subjects__differ(void **state)
{
    (void) state;
    const pg_multihash one = pg_health_provider_key(&observer.peer_id);
    const pg_multihash two = pg_health_provider_key(&other.peer_id);
    assert_int_equal(one.len, 34);
    assert_false(pg_multihash_equal(&one, &two));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_decode__encoded__is_the_same),
        cmocka_unit_test(test_decode__any_byte_flipped_or_cut__is_refused),
        cmocka_unit_test(test_decode__out_of_range__is_refused),
        cmocka_unit_test(test_validator__other_key__is_refused),
        cmocka_unit_test(test_validator__later_sequence__is_better),
        cmocka_unit_test(test_provider_key__of_two_subjects__differ),
    };
    return cmocka_run_group_tests(tests, identities_make, identities_end);
}
