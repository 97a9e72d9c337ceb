// SPDX-License-Identifier: Apache-2.0
// Goal: a list keeps its order and a node may be removed at any time, from any place, twice.
// Method: direct calls.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/attr.h"
#include "base/list.h"

typedef struct item {
    int number;
    pg_list node;
} item;

static void test_list__appended__pops_in_order(void **state)
{
    (void) state;
    pg_list head;
    item items[3] = {{.number = 1}, {.number = 2}, {.number = 3}};
    pg_list_init(&head);
    assert_true(pg_list_is_empty(&head));
    assert_null(pg_list_pop(&head));
    for (size_t i = 0; i < PG_ARRAY_LEN(items); i++) {
        assert_false(pg_list_is_linked(&items[i].node));
        pg_list_append(&head, &items[i].node);
        assert_true(pg_list_is_linked(&items[i].node));
    }
    assert_false(pg_list_is_empty(&head));
    for (int wanted = 1; wanted <= 3; wanted++) {
        pg_list *node = pg_list_pop(&head);
        assert_int_equal(PG_LIST_OBJECT(node, item, node)->number, wanted);
        assert_false(pg_list_is_linked(node));
    }
    assert_true(pg_list_is_empty(&head));
}

static void test_list__removed__anywhere_and_twice(void **state)
{
    (void) state;
    pg_list head;
    item items[4] = {{.number = 1}, {.number = 2}, {.number = 3}, {.number = 4}};
    pg_list_init(&head);
    for (size_t i = 0; i < PG_ARRAY_LEN(items); i++) {
        pg_list_append(&head, &items[i].node);
    }
    pg_list_remove(&items[0].node); // first
    pg_list_remove(&items[2].node); // middle
    pg_list_remove(&items[2].node); // again
    pg_list_remove(&items[3].node); // last
    assert_ptr_equal(pg_list_pop(&head), &items[1].node);
    assert_true(pg_list_is_empty(&head));
    pg_list_append(&head, &items[2].node);
    assert_ptr_equal(pg_list_pop(&head), &items[2].node);
}

static void test_list__zero_head__is_empty(void **state)
{
    (void) state;
    pg_list head = {0};
    assert_true(pg_list_is_empty(&head));
    assert_null(pg_list_pop(&head));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_list__appended__pops_in_order),
        cmocka_unit_test(test_list__removed__anywhere_and_twice),
        cmocka_unit_test(test_list__zero_head__is_empty),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
