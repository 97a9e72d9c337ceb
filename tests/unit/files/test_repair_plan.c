// SPDX-License-Identifier: Apache-2.0
// Goal: what is lost, how urgent it is and who leads follow from who answers: the same for everybody who sees the same hosts; whoever is silent
//       is waited for, shorter when a fifth is missing; the chance to read comes out as counted by hand.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "crypto/identity.h"
#include "files/repair_plan.h"

#define N 10

static pg_repair_member members[N];

static int setup(void **state)
{
    (void) state;
    for (uint8_t i = 0; i < N; i++) {
        pg_identity identity = {.peer_id = {.len = 0}};
        const pg_key seed = {{(uint8_t) (i + 1)}};
        assert_int_equal(pg_identity_init(&identity, &seed), PG_OK);
        members[i] = (pg_repair_member){.peer = identity.peer_id,
                                        .slots = (pg_slot_set) 1 << i,
                                        .standing = PG_REPAIR_STANDING_LIVING};
        pg_identity_deinit(&identity);
    }
    return 0;
}

static pg_repair_plan plan_of(size_t self, unsigned copies)
{
    const pg_repair_case what = {
        .extent_id = PG_BYTES_LIT("an extent"),
        .slots = copies > 0 ? 1 : N,
        .needed = copies > 0 ? 1 : N - 2,
        .copies = copies,
        .members = members,
        .count = N,
        .self = &members[self].peer,
    };
    return pg_repair_plan_make(&what);
}

static void test_plan__all_there__nothing(void **state)
{
    (void) state;
    pg_repair_plan plan = plan_of(0, 0);
    assert_false(pg_repair_plan_has_work(&plan));
    assert_int_equal(plan.at_risk, 0);
    assert_false(plan.is_urgent);
}

static void test_plan__everybody_sees_the_same__each_position_once(void **state)
{
    unsigned seen = 0;
    (void) state;
    members[4].standing = PG_REPAIR_STANDING_LOST;
    for (size_t i = 0; i < N; i++) {
        if (i != 4) {
            seen |= 1U << plan_of(i, 0).position;
        }
    }
    assert_int_equal(seen, 0x1ff);
}

static void test_plan__one_silent__waited_for(void **state)
{
    (void) state;
    members[3].standing = PG_REPAIR_STANDING_SILENT;
    members[3].is_lost_if_urgent = true;
    pg_repair_plan plan = plan_of(0, 0);
    assert_int_equal(plan.at_risk, 1 << 3);
    assert_int_equal(plan.lost, 0);
    assert_false(plan.is_urgent);
    members[3].standing = PG_REPAIR_STANDING_LOST;
    plan = plan_of(0, 0);
    assert_int_equal(plan.lost, 1 << 3);
    assert_false(plan.is_urgent);
}

static void test_plan__a_fifth_silent__urgent(void **state)
{
    (void) state;
    members[3].standing = PG_REPAIR_STANDING_SILENT;
    members[3].is_lost_if_urgent = true;
    members[7].standing = PG_REPAIR_STANDING_SILENT;
    pg_repair_plan plan = plan_of(0, 0);
    assert_true(plan.is_urgent);
    assert_int_equal(plan.lost, 1 << 3); // the other is not silent for long enough even so
}

static void test_plan__fewer_than_it_takes__nothing_to_be_done(void **state)
{
    (void) state;
    members[3].standing = PG_REPAIR_STANDING_LOST;
    members[7].standing = PG_REPAIR_STANDING_LOST;
    pg_repair_plan plan = plan_of(0, 0);
    assert_true(pg_repair_plan_has_work(&plan));
    members[8].standing = PG_REPAIR_STANDING_SILENT;
    plan = plan_of(0, 0);
    assert_int_equal(plan.lost, 1 << 3 | 1 << 7);
    assert_true(plan.is_hopeless);
    assert_false(pg_repair_plan_has_work(&plan));
}

static void test_plan__lost_host_is_back__others_waited_for(void **state)
{
    (void) state;
    members[3].standing = PG_REPAIR_STANDING_LOST;
    members[7].standing = PG_REPAIR_STANDING_SILENT;
    members[7].is_lost_if_urgent = true;
    assert_int_equal(plan_of(0, 0).lost, 1 << 3 | 1 << 7);
    members[1].is_back = true;
    assert_int_equal(plan_of(0, 0).lost, 0);
    assert_int_equal(plan_of(0, 0).at_risk, 1 << 3 | 1 << 7);
    members[5].slots = 0; // what nobody claims is lost all the same
    assert_int_equal(plan_of(0, 0).lost, 1 << 5);
}

static void test_plan__claim_denied_by_audit__lost_at_once(void **state)
{
    (void) state;
    members[5].slots = 0;
    pg_repair_plan plan = plan_of(0, 0);
    assert_int_equal(plan.lost, 1 << 5);
}

static void test_plan__slot_held_twice__one_may_go(void **state)
{
    (void) state;
    members[1].slots |= 1;
    members[0].standing = PG_REPAIR_STANDING_LOST;
    assert_int_equal(plan_of(1, 0).lost, 0);
}

static void test_plan__whole_block__copies_counted(void **state)
{
    (void) state;
    for (size_t i = 0; i < N; i++) {
        members[i].slots = i < 3 ? 1 : 0;
    }
    assert_int_equal(plan_of(0, 4).copies_lost, 1);
    assert_false(plan_of(0, 4).is_urgent);
    members[1].standing = PG_REPAIR_STANDING_LOST;
    assert_int_equal(plan_of(0, 4).copies_lost, 2);
    assert_true(plan_of(0, 4).is_urgent);
    assert_int_equal(plan_of(0, 2).copies_lost, 0);
}

static void near(double a, double b)
{
    assert_true(a - b < 1e-12 && b - a < 1e-12);
}

static void test_readable__by_hand(void **state)
{
    const pg_slot_set sets[] = {1, 2, 4};
    const pg_slot_set pairs[] = {3, 4};
    const double chances[] = {0.9, 0.8, 0.7};
    (void) state;
    near(pg_repair_readable(sets, chances, 3, 0), 0.9 * 0.8 * 0.7);
    near(pg_repair_readable(sets, chances, 3, 1),
         0.9 * 0.8 * 0.7 + 0.1 * 0.8 * 0.7 + 0.9 * 0.2 * 0.7 + 0.9 * 0.8 * 0.3);
    near(pg_repair_readable(sets, chances, 3, 3), 1.0);
    near(pg_repair_readable(pairs, chances, 2, 1), 0.9); // the host of two has to be there
    near(pg_repair_readable(pairs, chances, 2, 2), 0.9 + 0.1 * 0.8);
    near(pg_repair_readable(NULL, NULL, 0, 0), 1.0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_plan__all_there__nothing, setup),
        cmocka_unit_test_setup(test_plan__everybody_sees_the_same__each_position_once, setup),
        cmocka_unit_test_setup(test_plan__one_silent__waited_for, setup),
        cmocka_unit_test_setup(test_plan__a_fifth_silent__urgent, setup),
        cmocka_unit_test_setup(test_plan__fewer_than_it_takes__nothing_to_be_done, setup),
        cmocka_unit_test_setup(test_plan__lost_host_is_back__others_waited_for, setup),
        cmocka_unit_test_setup(test_plan__claim_denied_by_audit__lost_at_once, setup),
        cmocka_unit_test_setup(test_plan__slot_held_twice__one_may_go, setup),
        cmocka_unit_test_setup(test_plan__whole_block__copies_counted, setup),
        cmocka_unit_test(test_readable__by_hand),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
