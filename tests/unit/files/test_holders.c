// SPDX-License-Identifier: Apache-2.0
// Goal: for a slot the host is found that most likely gives its shard. Method: tables made by hand; how they are filled from what hosts
//       answer: tests/sim/test_files.c, tests/integration/test_files.py (link info).
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "files/holders.h"

static void test_holders__nobody_has_the_slot__none(void **state)
{
    (void) state;
    static pg_holders holders;
    assert_null(pg_holders_find(&holders, 0));
    holders.count = 1;
    holders.items[0] = (pg_holder){.slots = 0x80000000U, .has_answered = true};
    assert_null(pg_holders_find(&holders, 30));
    assert_ptr_equal(pg_holders_find(&holders, 31), &holders.items[0]);
}

static void test_holders__several_have_it__who_answered_and_did_not_fail(void **state)
{
    (void) state;
    static pg_holders holders = {
        .count = 4,
        .items =
            {
                {.slots = 3, .has_answered = false},
                {.slots = 1, .has_answered = true, .failures = 1},
                {.slots = 1, .has_answered = true},
                {.slots = 1, .has_answered = true},
            },
    };
    assert_ptr_equal(pg_holders_find(&holders, 0), &holders.items[2]);
    holders.items[2].failures = 1;
    assert_ptr_equal(pg_holders_find(&holders, 0), &holders.items[3]);
    holders.items[3].failures = 2;
    assert_ptr_equal(pg_holders_find(&holders, 0), &holders.items[0]); // a receipt, but no failure
    holders.items[0].failures = 3;
    assert_ptr_equal(pg_holders_find(&holders, 0), &holders.items[1]);
    assert_ptr_equal(pg_holders_find(&holders, 1), &holders.items[0]); // the only one
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_holders__nobody_has_the_slot__none),
        cmocka_unit_test(test_holders__several_have_it__who_answered_and_did_not_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
