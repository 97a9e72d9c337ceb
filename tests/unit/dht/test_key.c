// SPDX-License-Identifier: Apache-2.0
// Goal: points, distances and shared bits are what libp2p has.
// Method: known answers, and properties over many pairs.
#include "crypto/peer_id_text.h"
#include "dht_test.h"

static void test_key__of_a_name__is_its_sha256(void **state)
{
    (void) state;
    // SHA-256("abc"), FIPS 180-4
    const uint8_t want[] = {0xba, 0x78, 0x16, 0xbf, 0x8f, 0x01, 0xcf, 0xea, 0x41, 0x41, 0x40,
                            0xde, 0x5d, 0xae, 0x22, 0x23, 0xb0, 0x03, 0x61, 0xa3, 0x96, 0x17,
                            0x7a, 0x9c, 0xb4, 0x10, 0xff, 0x61, 0xf2, 0x00, 0x15, 0xad};
    pg_dht_key key = pg_dht_key_of(PG_BYTES_LIT("abc"));
    assert_memory_equal(key.bytes, want, sizeof(want));
}

static void test_key__peer__is_hashed_as_multihash_not_as_text(void **state)
{
    (void) state;
    pg_peer_id peer;
    assert_int_equal(
        pg_peer_id_parse(PG_STR("12D3KooWD3eckifWpRn9wQpMG9R9hX3sD158z7EqHWmweQAJU5SA"), &peer),
        PG_OK);
    pg_dht_key key = pg_dht_key_of_peer(&peer);
    pg_dht_key same = pg_dht_key_of(pg_peer_id_bytes(&peer));
    assert_memory_equal(key.bytes, same.bytes, sizeof(key.bytes));
    assert_int_equal(peer.len, 38);
}

static void test_key__prefix__counts_leading_equal_bits(void **state)
{
    (void) state;
    pg_dht_key a = {{0}};
    pg_dht_key b = {{0}};
    assert_int_equal(pg_dht_key_prefix(&a, &b), 256);
    for (unsigned bit = 0; bit < 256; bit++) {
        memset(&b, 0, sizeof(b));
        b.bytes[bit / 8] = (uint8_t) (0x80U >> bit % 8);
        b.bytes[31] |= 1; // what stands behind does not matter
        assert_int_equal(pg_dht_key_prefix(&a, &b), bit);
        assert_int_equal(pg_dht_key_prefix(&b, &a), bit);
    }
}

static void test_key__distance__orders_as_compare_does(void **state)
{
    (void) state;
    pg_dht_key target = pg_dht_key_of(PG_BYTES_LIT("target"));
    for (uint32_t i = 0; i < 1000; i++) {
        pg_peer_id first = peer_number(2 * i);
        pg_peer_id second = peer_number(2 * i + 1);
        pg_dht_key a = pg_dht_key_of_peer(&first);
        pg_dht_key b = pg_dht_key_of_peer(&second);
        bool is_nearer = pg_dht_key_distance(&target, &a) < pg_dht_key_distance(&target, &b);
        assert_int_equal(is_nearer, pg_dht_key_compare(&target, &a, &b) < 0);
        assert_int_equal(is_nearer, pg_dht_key_compare(&target, &b, &a) > 0);
        if (pg_dht_key_prefix(&target, &a) > pg_dht_key_prefix(&target, &b)) {
            assert_true(is_nearer);
        }
    }
    assert_int_equal(pg_dht_key_compare(&target, &target, &target), 0);
}

static void test_key__find_name__lands_in_the_bucket(void **state)
{
    (void) state;
    pg_dht_key self = pg_dht_key_of(PG_BYTES_LIT("self"));
    const uint8_t seed[PG_DHT_KEY_BYTES] = {7};
    for (unsigned prefix = 0; prefix < 11; prefix++) {
        pg_peer_id name;
        assert_true(pg_dht_key_find_name(&self, prefix, seed, 1U << 16, &name));
        pg_dht_key key = pg_dht_key_of_peer(&name);
        assert_int_equal(pg_dht_key_prefix(&self, &key), prefix);
        pg_peer_id read;
        assert_int_equal(pg_peer_id_decode(pg_peer_id_bytes(&name), &read), PG_OK);
    }
    pg_peer_id untouched = peer_number(1);
    assert_false(pg_dht_key_find_name(&self, 200, seed, 1000, &untouched));
    pg_peer_id expected = peer_number(1);
    assert_true(pg_peer_id_equal(&untouched, &expected));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_key__of_a_name__is_its_sha256),
        cmocka_unit_test(test_key__peer__is_hashed_as_multihash_not_as_text),
        cmocka_unit_test(test_key__prefix__counts_leading_equal_bits),
        cmocka_unit_test(test_key__distance__orders_as_compare_does),
        cmocka_unit_test(test_key__find_name__lands_in_the_bucket),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
