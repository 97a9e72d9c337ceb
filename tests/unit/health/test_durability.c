// SPDX-License-Identifier: Apache-2.0
// Goal: the loss is that of the binomial distribution where hosts are alike, and of all cases counted where they are not; the parity chosen is the
//       least that is enough.
// Method: all subsets of hosts enumerated.
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "health/durability.h"

static const pg_durability_aim aim = {8, 2, 8, 0.001};

/** The loss by looking at every case. */
static double enumerate(const pg_durability_host *hosts, size_t count, unsigned needed)
{
    double loss = 0;
    for (unsigned set = 0; set < 1U << count; set++) {
        double chance = 1;
        unsigned shards = 0;
        for (size_t i = 0; i < count; i++) {
            bool up = (set >> i & 1) != 0;
            chance *= up ? hosts[i].up : 1 - hosts[i].up;
            shards += up ? hosts[i].shards : 0;
        }
        loss += shards < needed ? chance : 0;
    }
    return loss;
}

static void test_loss__any_hosts__is_that_of_all_cases(void **state)
{
    (void) state;
    for (unsigned round = 0; round < 200; round++) {
        pg_durability_host hosts[12];
        size_t count = 1 + round % 12;
        for (size_t i = 0; i < count; i++) {
            hosts[i].up = (double) ((round * 7 + i * 13) % 101) / 100;
            hosts[i].shards = (unsigned) ((round + i * 5) % 4);
        }
        for (unsigned needed = 0; needed < 14; needed++) {
            double expected = enumerate(hosts, count, needed);
            double found = pg_durability_loss(hosts, count, needed);
            assert_true(found > expected - 1e-9 && found < expected + 1e-9);
        }
    }
}

static void test_loss__eight_of_ten_at_95__is_known(void **state)
{
    (void) state;
    pg_durability_host hosts[10];
    for (size_t i = 0; i < 10; i++) {
        hosts[i] = (pg_durability_host){0.95, 1};
    }
    // 1 - sum of binomial(10, j) 0.95^(10-j) 0.05^j for j = 0..2
    assert_float_equal((float) pg_durability_loss(hosts, 10, 8), 0.0115036F, 1e-6F);
    assert_float_equal((float) pg_durability_loss(hosts, 10, 0), 0, 1e-9F);
    assert_float_equal((float) pg_durability_loss(hosts, 10, 11), 1, 1e-9F);
    assert_float_equal((float) pg_durability_loss(hosts, 0, 1), 1, 1e-9F);
}

static void test_loss__more_shards_than_fit__counts_what_fits(void **state)
{
    (void) state;
    pg_durability_host hosts[80];
    for (size_t i = 0; i < 80; i++) {
        hosts[i] = (pg_durability_host){1, 1};
    }
    assert_float_equal((float) pg_durability_loss(hosts, 80, 64), 0, 1e-9F);
    assert_float_equal((float) pg_durability_loss(hosts, 80, 65), 1, 1e-9F);
}

static void test_parity__by_how_good_the_hosts_are__is_the_least(void **state)
{
    (void) state;
    static const struct {
        double up;
        unsigned parity;
    } cases[] = {{0.999, 2}, {0.99, 2}, {0.97, 3}, {0.95, 4}, {0.9, 5}, {0.85, 7}, {0.5, 8}};
    for (size_t c = 0; c < sizeof(cases) / sizeof(cases[0]); c++) {
        double up[32];
        double loss = 0;
        for (size_t i = 0; i < 32; i++) {
            up[i] = cases[c].up;
        }
        unsigned parity = pg_durability_parity(up, 32, &aim, &loss);
        assert_int_equal(parity, cases[c].parity);
        assert_true(loss <= 0.001 || parity == 8);
    }
}

static void test_parity__few_hosts__slots_share_a_fate(void **state)
{
    (void) state;
    double up[2] = {0.99, 0.99};
    double loss = 0;
    // With eight parity shards each of the two has enough alone; with fewer both are needed.
    assert_int_equal(pg_durability_parity(up, 2, &aim, &loss), 8);
    assert_float_equal((float) loss, 0.0001F, 1e-7F);
    assert_int_equal(pg_durability_parity(up, 1, &aim, NULL), 8);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_loss__any_hosts__is_that_of_all_cases),
        cmocka_unit_test(test_loss__eight_of_ten_at_95__is_known),
        cmocka_unit_test(test_loss__more_shards_than_fit__counts_what_fits),
        cmocka_unit_test(test_parity__by_how_good_the_hosts_are__is_the_least),
        cmocka_unit_test(test_parity__few_hosts__slots_share_a_fate),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
