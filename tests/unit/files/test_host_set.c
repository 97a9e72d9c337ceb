// SPDX-License-Identifier: Apache-2.0
// Goal: extents spread evenly over hosts, two who know the same hosts choose alike, hosts of different networks come first, slots are dealt
//       evenly, and what is told about survival is the worst case.
// Method: made-up peers and networks; every loss of hosts tried against what pg_slots_survive says.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "codec/multiaddr.h"
#include "files/host_set.h"

static pg_host_candidate candidate(uint8_t number, uint8_t network)
{
    pg_host_candidate made = {.peer = {.len = 38}, .network = {4, network}};
    memset(made.peer.bytes, number, 38);
    return made;
}

static size_t candidates_make(pg_host_candidate *out, size_t count, uint8_t networks)
{
    for (size_t i = 0; i < count; i++) {
        out[i] = candidate((uint8_t) (i + 1), (uint8_t) (i % networks));
    }
    return count;
}

static pg_bytes extent_id(uint8_t number)
{
    static uint8_t id[32];
    memset(id, number, sizeof(id));
    return PG_BYTES_OF(id);
}

static void test_order__other_order_of_candidates__same_result(void **state)
{
    (void) state;
    pg_host_candidate a[20];
    pg_host_candidate b[20];
    size_t count = candidates_make(a, 20, 7);
    for (size_t i = 0; i < count; i++) {
        b[i] = a[count - 1 - i];
    }
    pg_host_set_order(a, count, extent_id(1), NULL);
    pg_host_set_order(b, count, extent_id(1), NULL);
    for (size_t i = 0; i < count; i++) {
        assert_true(pg_peer_id_equal(&a[i].peer, &b[i].peer));
    }
}

static void test_order__many_extents__each_host_is_first_about_as_often(void **state)
{
    (void) state;
    unsigned first[10] = {0};
    for (unsigned e = 0; e < 250; e++) {
        pg_host_candidate hosts[10];
        candidates_make(hosts, 10, 10);
        pg_host_set_order(hosts, 10, extent_id((uint8_t) e), NULL);
        first[hosts[0].peer.bytes[0] - 1]++;
    }
    for (size_t i = 0; i < 10; i++) {
        assert_in_range(first[i], 8, 50); // 25 on average
    }
}

static void test_order__few_networks__each_comes_once_before_any_comes_twice(void **state)
{
    (void) state;
    pg_host_candidate hosts[12];
    candidates_make(hosts, 12, 4);
    pg_host_set_order(hosts, 12, extent_id(3), NULL);
    unsigned seen = 0;
    for (size_t i = 0; i < 4; i++) {
        seen |= 1U << hosts[i].network[1];
    }
    assert_int_equal(seen, 0xf);
    for (size_t i = 1; i < 12; i++) { // within both parts by rank
        assert_true(i == 4 || hosts[i - 1].rank >= hosts[i].rank);
    }
}

static void test_deal__every_number_of_hosts__all_slots_once_and_evenly(void **state)
{
    (void) state;
    for (unsigned n = 2; n <= 32; n++) {
        for (unsigned hosts = 1; hosts <= n; hosts++) {
            pg_slot_set sets[32];
            uint64_t all = 0;
            pg_slots_deal(n, hosts, sets);
            for (unsigned i = 0; i < hosts; i++) {
                assert_int_equal(all & sets[i], 0);
                all |= sets[i];
                assert_in_range(__builtin_popcount(sets[i]), n / hosts, (n + hosts - 1) / hosts);
            }
            assert_int_equal(all, ((uint64_t) 1 << n) - 1);
        }
    }
}

// The least number of hosts whose loss takes more slots than the parity, by trying all.
static unsigned fatal_losses(const pg_slot_set *sets, unsigned count, unsigned parity)
{
    unsigned least = count + 1;
    for (unsigned lost = 0; lost < 1U << count; lost++) {
        unsigned slots = 0;
        for (unsigned i = 0; i < count; i++) {
            slots += (lost >> i & 1) != 0 ? (unsigned) __builtin_popcount(sets[i]) : 0;
        }
        unsigned hosts = (unsigned) __builtin_popcount(lost);
        if (slots > parity && hosts < least) {
            least = hosts;
        }
    }
    return least;
}

static void test_survive__all_losses_tried__is_one_less_than_the_least_fatal(void **state)
{
    (void) state;
    for (unsigned hosts = 1; hosts <= 10; hosts++) {
        pg_slot_set sets[10];
        pg_slots_deal(10, hosts, sets);
        for (unsigned parity = 1; parity <= 4; parity++) {
            assert_int_equal(pg_slots_survive(sets, hosts, parity),
                             fatal_losses(sets, hosts, parity) - 1);
        }
    }
    const pg_slot_set uneven[] = {0x7, 0x8, 0x10, 0x60};
    assert_int_equal(pg_slots_survive(uneven, 4, 2), 0);
    assert_int_equal(pg_slots_survive(uneven, 4, 4), 1);
}

static void network_check(const char *text, const uint8_t *expected)
{
    pg_multiaddr addr;
    uint8_t network[PG_NETWORK_BYTES];
    assert_int_equal(pg_multiaddr_parse(pg_str_make(text), &addr), PG_OK);
    pg_network_of(pg_multiaddr_bytes(&addr), network);
    assert_memory_equal(network, expected, PG_NETWORK_BYTES);
}

static void test_network__addresses__prefixes_of_ip_nothing_else(void **state)
{
    (void) state;
    network_check("/ip4/192.0.2.77/tcp/4417", (const uint8_t[]){4, 192, 0, 2, 0, 0, 0});
    network_check("/ip6/2001:db8:1:2::3/tcp/4417",
                  (const uint8_t[]){6, 0x20, 0x01, 0x0d, 0xb8, 0, 1});
    network_check("/dns4/example.org/tcp/4417", (const uint8_t[]){0, 0, 0, 0, 0, 0, 0});
    uint8_t network[PG_NETWORK_BYTES];
    pg_network_of(PG_BYTES_LIT("\xff garbage"), network);
    assert_memory_equal(network, ((const uint8_t[]){0, 0, 0, 0, 0, 0, 0}), PG_NETWORK_BYTES);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_order__other_order_of_candidates__same_result),
        cmocka_unit_test(test_order__many_extents__each_host_is_first_about_as_often),
        cmocka_unit_test(test_order__few_networks__each_comes_once_before_any_comes_twice),
        cmocka_unit_test(test_deal__every_number_of_hosts__all_slots_once_and_evenly),
        cmocka_unit_test(test_survive__all_losses_tried__is_one_less_than_the_least_fatal),
        cmocka_unit_test(test_network__addresses__prefixes_of_ip_nothing_else),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
