// SPDX-License-Identifier: Apache-2.0
// Goal: addresses fall to the right DHT, loopback stays on its machine, subnets are told apart.
// Method: a table of addresses.
#include "dht/reach.h"
#include "dht_test.h"

static void test_reach__addresses__belong_to_their_realm(void **state)
{
    (void) state;
    static const struct {
        const char *text;
        bool is_local;
        bool is_global;
    } rows[] = {
        {"/ip4/127.0.0.1/tcp/1", true, false},
        {"/ip4/10.1.2.3/tcp/1", true, false},
        {"/ip4/192.168.1.1/tcp/1", true, false},
        {"/ip4/169.254.1.1/tcp/1", true, false},
        {"/ip6/::1/tcp/1", true, false},
        {"/ip6/fe80::1/tcp/1", true, false},
        {"/ip6/fd00::1/tcp/1", true, false},
        {"/ip4/8.8.8.8/tcp/1", false, true},
        {"/ip6/2606:4700::1/tcp/1", false, true},
        {"/dns4/example.org/tcp/1", false, true},
        {"/ip4/0.0.0.0/tcp/1", false, false},
        {"/ip4/224.0.0.1/tcp/1", false, false},
        {"/ip4/8.8.8.8/udp/1/quic-v1", false, true},
    };
    for (size_t i = 0; i < PG_ARRAY_LEN(rows); i++) {
        pg_multiaddr addr = addr_of(rows[i].text);
        assert_int_equal(pg_dht_addr_is_in(&addr, PG_DHT_REALM_LOCAL, false), rows[i].is_local);
        assert_int_equal(pg_dht_addr_is_in(&addr, PG_DHT_REALM_GLOBAL, false), rows[i].is_global);
        assert_int_equal(pg_dht_addr_is_in(&addr, PG_DHT_REALM_GLOBAL, true),
                         rows[i].is_global || rows[i].is_local);
    }
}

static void test_reach__loopback__passes_only_over_loopback(void **state)
{
    (void) state;
    pg_multiaddr loopback = addr_of("/ip4/127.0.0.1/tcp/22");
    pg_multiaddr other = addr_of("/ip4/10.0.0.1/tcp/22");
    assert_true(pg_dht_addr_may_pass(&loopback, PG_IP_SCOPE_LOOPBACK));
    assert_false(pg_dht_addr_may_pass(&loopback, PG_IP_SCOPE_PRIVATE));
    assert_false(pg_dht_addr_may_pass(&loopback, PG_IP_SCOPE_PUBLIC));
    assert_false(pg_dht_addr_may_pass(&loopback, PG_IP_SCOPE_NONE));
    assert_true(pg_dht_addr_may_pass(&other, PG_IP_SCOPE_PUBLIC));
}

static pg_dht_group group(const char *text)
{
    pg_multiaddr addr = addr_of(text);
    return pg_dht_group_of(&addr);
}

static void test_reach__subnets__are_24_and_48_bits_of_public_addresses(void **state)
{
    (void) state;
    assert_int_equal(group("/ip4/8.8.8.8/tcp/1"), group("/ip4/8.8.8.9/udp/5"));
    assert_int_not_equal(group("/ip4/8.8.8.8/tcp/1"), group("/ip4/8.8.9.8/tcp/1"));
    assert_int_equal(group("/ip6/2606:4700:1:2::1/tcp/1"), group("/ip6/2606:4700:1:3::9/tcp/1"));
    assert_int_not_equal(group("/ip6/2606:4700:1::1/tcp/1"), group("/ip6/2606:4700:2::1/tcp/1"));
    assert_int_not_equal(group("/ip4/8.8.8.8/tcp/1"), 0);
    assert_int_equal(group("/ip4/10.0.0.1/tcp/1"), 0);
    assert_int_equal(group("/ip4/127.0.0.1/tcp/1"), 0);
    assert_int_equal(group("/dns4/example.org/tcp/1"), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reach__addresses__belong_to_their_realm),
        cmocka_unit_test(test_reach__loopback__passes_only_over_loopback),
        cmocka_unit_test(test_reach__subnets__are_24_and_48_bits_of_public_addresses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
