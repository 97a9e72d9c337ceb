// SPDX-License-Identifier: Apache-2.0
// Goal: an id names one object for ever: once removed it finds nothing, whatever moved into its slot.
// Method: slots reused many times; limits; failing allocations.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "base/slots.h"

static void test_slots__removed_object__is_not_found_in_a_reused_slot(void **state)
{
    (void) state;
    pg_slots slots = {0};
    int a = 0;
    int b = 0;
    pg_id old = 0;
    pg_id id = 0;
    assert_int_equal(pg_slots_add(&slots, &a, &old), PG_OK);
    assert_true(old != 0);
    assert_ptr_equal(pg_slots_get(&slots, old), &a);
    assert_ptr_equal(pg_slots_take(&slots, old), &a);
    for (int i = 0; i < 1000; i++) {
        assert_int_equal(pg_slots_add(&slots, &b, &id), PG_OK);
        assert_true(id != old);
        assert_null(pg_slots_get(&slots, old));
        assert_null(pg_slots_take(&slots, old));
        assert_ptr_equal(pg_slots_take(&slots, id), &b);
        old = id;
    }
    assert_int_equal(slots.count, 0);
    assert_int_equal(slots.cap, 16); // the same slot again and again
    pg_slots_deinit(&slots);
}

static void test_slots__many_objects__grow_and_keep_their_ids(void **state)
{
    (void) state;
    pg_slots slots = {0};
    static int objects[1000];
    static pg_id ids[1000];
    for (size_t i = 0; i < 1000; i++) {
        assert_int_equal(pg_slots_add(&slots, &objects[i], &ids[i]), PG_OK);
    }
    for (size_t i = 0; i < 1000; i++) {
        assert_ptr_equal(pg_slots_get(&slots, ids[i]), &objects[i]);
    }
    assert_null(pg_slots_get(&slots, 0));
    assert_null(pg_slots_get(&slots, 5000));
    assert_null(pg_slots_get(&slots, UINT64_MAX));
    pg_slots_deinit(&slots);
    assert_null(pg_slots_get(&slots, ids[0]));
}

static void test_slots__limit_and_memory__are_errors(void **state)
{
    (void) state;
    pg_slots slots = {.max = 17};
    int object = 0;
    pg_id id = 0;
    pg_mem_fail_nth(1);
    assert_int_equal(pg_slots_add(&slots, &object, &id), PG_ERR_NOMEM);
    assert_true(id == 0);
    for (int i = 0; i < 16; i++) {
        assert_int_equal(pg_slots_add(&slots, &object, &id), PG_OK);
    }
    pg_mem_fail_nth(1);
    pg_id last = id;
    assert_int_equal(pg_slots_add(&slots, &object, &id), PG_ERR_NOMEM);
    assert_int_equal(pg_slots_add(&slots, &object, &id), PG_OK);
    assert_int_equal(pg_slots_add(&slots, &object, &id), PG_ERR_LIMIT);
    assert_ptr_equal(pg_slots_take(&slots, last), &object);
    assert_int_equal(pg_slots_add(&slots, &object, &id), PG_OK);
    pg_slots_deinit(&slots);
    assert_int_equal(slots.max, 17);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_slots__removed_object__is_not_found_in_a_reused_slot),
        cmocka_unit_test(test_slots__many_objects__grow_and_keep_their_ids),
        cmocka_unit_test(test_slots__limit_and_memory__are_errors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
