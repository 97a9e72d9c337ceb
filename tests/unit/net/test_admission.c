// SPDX-License-Identifier: Apache-2.0
// Goal: no address, subnet or peer takes more places than its limit, refusals are counted, and places come back.
// Method: direct calls with chosen times.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "net/admission.h"
#include "net/limits.h"

static pg_admission make(void)
{
    return (pg_admission){.limits = {.connections = 20,
                                     .connections_per_peer = 2,
                                     .connections_per_ip = 4,
                                     .connections_per_subnet = 6,
                                     .accepts_per_ip = 2,
                                     .streams = 5,
                                     .streams_per_peer = 3}};
}

static pg_endpoint v4(uint8_t a, uint8_t b, uint8_t c, uint8_t d)
{
    return (pg_endpoint){.family = PG_IP_FAMILY_V4, .ip = {a, b, c, d}};
}

static void test_admission__one_address__stops_at_its_limit(void **state)
{
    (void) state;
    pg_admission admission = make();
    pg_endpoint from = v4(192, 0, 2, 1);
    for (int i = 0; i < 4; i++) {
        assert_int_equal(pg_admission_accept(&admission, &from, 0), PG_OK);
    }
    assert_int_equal(pg_admission_accept(&admission, &from, 0), PG_ERR_LIMIT);
    assert_int_equal(admission.totals.refused_ip, 1);
    pg_admission_leave(&admission, &from);
    assert_int_equal(pg_admission_accept(&admission, &from, PG_SECONDS(10)), PG_OK);
    assert_int_equal(admission.connections, 4);
    pg_admission_deinit(&admission);
}

static void test_admission__one_subnet__stops_at_its_limit(void **state)
{
    (void) state;
    pg_admission admission = make();
    for (uint8_t i = 0; i < 6; i++) {
        pg_endpoint from = v4(192, 0, 2, i);
        assert_int_equal(pg_admission_accept(&admission, &from, 0), PG_OK);
    }
    pg_endpoint same = v4(192, 0, 2, 77);
    pg_endpoint other = v4(192, 0, 3, 77);
    assert_int_equal(pg_admission_accept(&admission, &same, 0), PG_ERR_LIMIT);
    assert_int_equal(pg_admission_accept(&admission, &other, 0), PG_OK);
    pg_endpoint first = v4(192, 0, 2, 0);
    pg_admission_leave(&admission, &first);
    assert_int_equal(pg_admission_accept(&admission, &same, 0), PG_OK);
    pg_admission_deinit(&admission);
}

static void test_admission__ipv6__counts_a_64_as_one_address(void **state)
{
    (void) state;
    pg_admission admission = make();
    pg_endpoint from = {.family = PG_IP_FAMILY_V6, .ip = {0x20, 0x01, 0x0d, 0xb8}};
    for (uint8_t i = 0; i < 4; i++) {
        from.ip[15] = i;
        assert_int_equal(pg_admission_accept(&admission, &from, 0), PG_OK);
    }
    assert_int_equal(pg_admission_accept(&admission, &from, 0), PG_ERR_LIMIT);
    from.ip[7] = 1; // another /64 of the same /48
    assert_int_equal(pg_admission_accept(&admission, &from, 0), PG_OK);
    assert_int_equal(pg_admission_accept(&admission, &from, 0), PG_OK);
    from.ip[7] = 2;
    assert_int_equal(pg_admission_accept(&admission, &from, 0), PG_ERR_LIMIT);
    pg_admission_deinit(&admission);
}

static void test_admission__too_fast__is_refused_until_time_has_passed(void **state)
{
    (void) state;
    pg_admission admission = make();
    pg_endpoint from = v4(198, 51, 100, 1);
    for (int i = 0; i < 10; i++) { // two a second, five seconds' worth at once
        assert_int_equal(pg_admission_accept(&admission, &from, 0), PG_OK);
        pg_admission_leave(&admission, &from);
    }
    assert_int_equal(pg_admission_accept(&admission, &from, 0), PG_ERR_LIMIT);
    assert_int_equal(pg_admission_accept(&admission, &from, PG_MS(499)), PG_ERR_LIMIT);
    assert_int_equal(pg_admission_accept(&admission, &from, PG_MS(500)), PG_OK);
    pg_admission_deinit(&admission);
}

static void test_admission__loopback__is_held_to_the_sum_only(void **state)
{
    (void) state;
    pg_admission admission = make();
    pg_endpoint from = v4(127, 0, 0, 1);
    pg_endpoint from6 = {.family = PG_IP_FAMILY_V6, .ip = {[15] = 1}};
    for (int i = 0; i < 10; i++) {
        assert_int_equal(pg_admission_accept(&admission, &from, 0), PG_OK);
        assert_int_equal(pg_admission_accept(&admission, &from6, 0), PG_OK);
    }
    assert_int_equal(pg_admission_accept(&admission, &from, 0), PG_ERR_LIMIT);
    assert_int_equal(pg_admission_dial(&admission), PG_ERR_LIMIT);
    assert_int_equal(admission.totals.refused_connections, 2);
    pg_admission_leave(&admission, &from);
    assert_int_equal(pg_admission_dial(&admission), PG_OK);
    pg_admission_leave(&admission, NULL);
    pg_admission_deinit(&admission);
}

static void test_admission__many_addresses__are_forgotten_when_paid(void **state)
{
    (void) state;
    pg_admission admission = make();
    for (unsigned i = 0; i < PG_NET_ADDRESSES_MAX; i++) {
        pg_endpoint from = v4(10, (uint8_t) (i >> 8U), (uint8_t) i, 1);
        assert_int_equal(pg_admission_accept(&admission, &from, 0), PG_OK);
        pg_admission_leave(&admission, &from);
    }
    pg_endpoint next = v4(11, 0, 0, 1);
    assert_int_equal(pg_admission_accept(&admission, &next, 0), PG_ERR_LIMIT);
    assert_int_equal(pg_admission_accept(&admission, &next, PG_SECONDS(1)), PG_OK);
    assert_int_equal(pg_map_count(&admission.addresses), 1);
    assert_int_equal(pg_map_count(&admission.subnets), 1);
    pg_admission_deinit(&admission);
}

static void test_admission__one_peer__is_limited_in_connections_and_streams(void **state)
{
    (void) state;
    pg_admission admission = make();
    pg_peer_id peer = {.len = 4, .bytes = {0, 2, 'a', 'b'}};
    pg_peer_id other = {.len = 4, .bytes = {0, 2, 'c', 'd'}};
    assert_int_equal(pg_admission_peer_join(&admission, &peer), PG_OK);
    assert_int_equal(pg_admission_peer_join(&admission, &peer), PG_OK);
    assert_int_equal(pg_admission_peer_join(&admission, &peer), PG_ERR_LIMIT);
    assert_int_equal(pg_admission_peer_join(&admission, &other), PG_OK);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(pg_admission_stream_open(&admission, &peer), PG_OK);
    }
    assert_int_equal(pg_admission_stream_open(&admission, &peer), PG_ERR_LIMIT);
    assert_int_equal(pg_admission_stream_open(&admission, &other), PG_OK);
    assert_int_equal(pg_admission_stream_open(&admission, &other), PG_OK);
    assert_int_equal(pg_admission_stream_open(&admission, &other), PG_ERR_LIMIT);
    assert_int_equal(admission.totals.refused_streams, 2);
    pg_admission_peer_leave(&admission, &peer);
    pg_admission_peer_leave(&admission, &peer);
    for (int i = 0; i < 3; i++) {
        pg_admission_stream_close(&admission, &peer);
    }
    assert_int_equal(pg_map_count(&admission.peers), 1);
    assert_int_equal(admission.streams, 2);
    pg_admission_deinit(&admission);
}

static void test_admission__out_of_memory__takes_no_place(void **state)
{
    (void) state;
    for (uint64_t n = 1;; n++) {
        pg_admission admission = make();
        pg_endpoint from = v4(192, 0, 2, 1);
        pg_peer_id peer = {.len = 2};
        pg_mem_fail_nth(n);
        pg_err err = pg_admission_accept(&admission, &from, 0);
        if (err == PG_OK) {
            err = pg_admission_peer_join(&admission, &peer);
        }
        bool failed = pg_mem_failed();
        pg_mem_fail_nth(0);
        assert_int_equal(err, failed ? PG_ERR_NOMEM : PG_OK);
        pg_admission_deinit(&admission);
        if (!failed) {
            break;
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_admission__one_address__stops_at_its_limit),
        cmocka_unit_test(test_admission__one_subnet__stops_at_its_limit),
        cmocka_unit_test(test_admission__ipv6__counts_a_64_as_one_address),
        cmocka_unit_test(test_admission__too_fast__is_refused_until_time_has_passed),
        cmocka_unit_test(test_admission__loopback__is_held_to_the_sum_only),
        cmocka_unit_test(test_admission__many_addresses__are_forgotten_when_paid),
        cmocka_unit_test(test_admission__one_peer__is_limited_in_connections_and_streams),
        cmocka_unit_test(test_admission__out_of_memory__takes_no_place),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
