// SPDX-License-Identifier: Apache-2.0
// Goal: questions thin out, answers are delayed, gathered and spaced; only addresses that may stand on the link are believed and told.
// Method: direct calls with chosen times and interfaces.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "base/str.h"
#include "net/limits.h"
#include "net/mdns_link.h"

#define LAN 2
#define VPN 3

static const pg_interface interfaces[] = {
    {{PG_IP_FAMILY_V4, {127, 0, 0, 1}, 0, 0}, 1, 8, true, false},
    {{PG_IP_FAMILY_V4, {192, 168, 1, 7}, 0, 0}, LAN, 24, false, true},
    {{PG_IP_FAMILY_V6, {0xfd, 0, 0, 1, [15] = 7}, 0, 0}, LAN, 64, false, true},
    {{PG_IP_FAMILY_V6, {0xfe, 0x80, [15] = 7}, 0, LAN}, LAN, 64, false, true},
    {{PG_IP_FAMILY_V4, {10, 8, 0, 2}, 0, 0}, VPN, 12, false, true},
    {{PG_IP_FAMILY_V4, {198, 51, 100, 7}, 0, 0}, VPN, 24, false, true},
};
static const pg_mdns_place lan = {interfaces, PG_ARRAY_LEN(interfaces), LAN};
static const pg_mdns_place vpn = {interfaces, PG_ARRAY_LEN(interfaces), VPN};
static const pg_endpoint neighbour = {PG_IP_FAMILY_V4, {192, 168, 1, 9}, 5353, 0};
static const pg_endpoint ourselves = {PG_IP_FAMILY_V4, {192, 168, 1, 7}, 5353, 0};

static pg_multiaddr addr_of(const char *text)
{
    pg_multiaddr addr;
    assert_int_equal(pg_multiaddr_parse(pg_str_make(text), &addr), PG_OK);
    return addr;
}

static bool is_plausible(const char *text, const pg_endpoint *from, const pg_mdns_place *place)
{
    pg_multiaddr addr = addr_of(text);
    return pg_mdns_addr_is_plausible(&addr, from, place);
}

static void test_mdns_link__questions__come_at_once_and_thin_out(void **state)
{
    (void) state;
    pg_mdns_pace pace = pg_mdns_pace_make(1000, UINT64_MAX);
    assert_true(pace.ask_at >= 1000 + PG_MS(20) && pace.ask_at < 1000 + PG_MS(120));
    assert_true(pace.answer_at == PG_FOREVER);
    pg_time now = pace.ask_at;
    int64_t waits_ms[10];
    for (size_t i = 0; i < PG_ARRAY_LEN(waits_ms); i++) {
        pg_mdns_pace_asked(&pace, now);
        waits_ms[i] = (pace.ask_at - now) / PG_MS(1);
        now = pace.ask_at;
    }
    assert_int_equal(waits_ms[0], 1000);
    assert_int_equal(waits_ms[1], 2000);
    assert_int_equal(waits_ms[5], 32000);
    assert_int_equal(waits_ms[6], PG_NET_MDNS_ASK_MAX_MS);
    assert_int_equal(waits_ms[9], PG_NET_MDNS_ASK_MAX_MS);
}

static void test_mdns_link__answers__are_gathered_and_spaced(void **state)
{
    (void) state;
    pg_mdns_pace pace = pg_mdns_pace_make(0, 0);
    pg_mdns_pace_question(&pace, PG_SECONDS(5), 0);
    assert_int_equal(pace.answer_at, PG_SECONDS(5) + PG_MS(20));
    pg_mdns_pace_question(&pace, PG_SECONDS(5) + PG_MS(10), 7); // one answer for both
    assert_int_equal(pace.answer_at, PG_SECONDS(5) + PG_MS(20));
    pg_mdns_pace_answered(&pace, PG_SECONDS(6));
    assert_true(pace.answer_at == PG_FOREVER);
    pg_mdns_pace_question(&pace, PG_SECONDS(6) + PG_MS(1), UINT64_MAX);
    assert_int_equal(pace.answer_at, PG_SECONDS(7)); // not within a second
}

static void test_mdns_link__rate__holds_in_every_window(void **state)
{
    (void) state;
    pg_mdns_rate rate = {0};
    for (int i = 0; i < 3; i++) {
        assert_true(pg_mdns_rate_take(&rate, 3, 100, 50 + i));
    }
    assert_false(pg_mdns_rate_take(&rate, 3, 100, 149));
    assert_true(pg_mdns_rate_take(&rate, 3, 100, 150));
    assert_true(pg_mdns_rate_take(&rate, 3, 100, 1000));
    assert_int_equal(rate.count, 1);
}

static void test_mdns_link__addresses_of_the_link__are_believed(void **state)
{
    (void) state;
    assert_true(is_plausible("/ip4/192.168.1.9/tcp/1", &neighbour, &lan));
    assert_true(is_plausible("/ip4/192.168.1.250/udp/1/quic-v1", &neighbour, &lan)); // its second
    assert_true(is_plausible("/ip6/fd00:1::9/tcp/1", &neighbour, &lan));
    assert_true(is_plausible("/ip4/10.15.255.1/tcp/1", &neighbour, &vpn)); // a /12
    const pg_endpoint far = {PG_IP_FAMILY_V4, {172, 16, 3, 3}, 5353, 0};
    assert_true(is_plausible("/ip4/172.16.3.3/tcp/1", &far, &lan)); // where it came from
    assert_true(is_plausible("/ip4/127.0.0.1/tcp/1", &ourselves, &lan));
}

static void test_mdns_link__other_addresses__are_not(void **state)
{
    (void) state;
    assert_false(is_plausible("/ip4/192.168.2.9/tcp/1", &neighbour, &lan));
    assert_false(is_plausible("/ip4/10.8.0.9/tcp/22", &neighbour, &lan)); // into the other link
    assert_false(is_plausible("/ip4/192.168.1.9/tcp/1",
                              &(pg_endpoint){PG_IP_FAMILY_V4, {10, 8, 0, 9}, 5353, 0}, &vpn));
    assert_false(is_plausible("/ip4/10.16.0.1/tcp/1", &neighbour, &vpn)); // beyond the /12
    assert_false(is_plausible("/ip4/127.0.0.1/tcp/1", &neighbour, &lan));
    assert_false(is_plausible("/ip4/198.51.100.9/tcp/1", &neighbour, &vpn)); // public
    assert_false(is_plausible("/ip4/8.8.8.8/tcp/1",
                              &(pg_endpoint){PG_IP_FAMILY_V4, {8, 8, 8, 8}, 5353, 0}, &lan));
    assert_false(is_plausible("/ip6/fe80::9/tcp/1", &neighbour, &lan)); // lacks its interface
    assert_false(is_plausible("/ip4/0.0.0.0/tcp/1", &neighbour, &lan));
    assert_false(is_plausible("/ip4/224.0.0.251/tcp/1", &neighbour, &lan));
    assert_false(is_plausible("/dns4/localhost/tcp/1", &ourselves, &lan));
    assert_false(is_plausible("/ip4/192.168.1.9/tcp/1/p2p/"
                              "12D3KooWGzh3cCBmVJhSKvwVYLfMaZqYhkVLPGDM7SgEqx9bZr7F/p2p-circuit",
                              &neighbour, &lan));
}

static void test_mdns_link__own_addresses__those_of_the_link_are_told(void **state)
{
    (void) state;
    pg_multiaddr chosen[6];
    const pg_multiaddr all[] = {
        addr_of("/ip4/203.0.113.1/tcp/4417"), // announced
        addr_of("/ip4/127.0.0.1/tcp/4417"),    addr_of("/ip4/192.168.1.7/tcp/4417"),
        addr_of("/ip4/10.8.0.2/tcp/4417"),     addr_of("/ip6/fd00:1::7/tcp/4417"),
        addr_of("/ip4/198.51.100.7/tcp/4417"),
    };
    assert_int_equal(pg_mdns_addrs_choose(all, 6, &lan, chosen), 2);
    assert_true(pg_multiaddr_equal(&chosen[0], &all[2]));
    assert_true(pg_multiaddr_equal(&chosen[1], &all[4]));
    assert_int_equal(pg_mdns_addrs_choose(all, 6, &vpn, chosen), 1);
    assert_true(pg_multiaddr_equal(&chosen[0], &all[3]));
    assert_int_equal(pg_mdns_addrs_choose(all, 2, &lan, chosen), 0); // not there to be found
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_mdns_link__questions__come_at_once_and_thin_out),
        cmocka_unit_test(test_mdns_link__answers__are_gathered_and_spaced),
        cmocka_unit_test(test_mdns_link__rate__holds_in_every_window),
        cmocka_unit_test(test_mdns_link__addresses_of_the_link__are_believed),
        cmocka_unit_test(test_mdns_link__other_addresses__are_not),
        cmocka_unit_test(test_mdns_link__own_addresses__those_of_the_link_are_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
