// SPDX-License-Identifier: Apache-2.0
// Goal: the index finds what was added and not removed, whatever the order, and survives running out of memory.
// Method: random adds and removals against an array.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "crypto/hash.h"
#include "store/block_index_priv.h"

#define IDS 3000

static const pg_key key = {.bytes = {5}};

static pg_block_header header_of(uint32_t id)
{
    return (pg_block_header){pg_cid_of_sha256(pg_bytes_make(&id, sizeof(id))), id};
}

static void test_block_index__random_changes__agree_with_a_model(void **state)
{
    (void) state;
    static uint32_t numbers[IDS]; // + 1, 0 = not there
    pg_block_index index;
    pg_block_index_init(&index, &key);
    uint64_t random = 1;
    uint32_t count = 0;
    for (uint32_t step = 0; step < 40000; step++) {
        random = random * 6364136223846793005u + 1442695040888963407u;
        uint32_t id = (uint32_t) (random >> 33) % IDS;
        pg_block_header header = header_of(id);
        uint32_t found = pg_block_index_find(&index, &header.cid);
        assert_int_equal(found + 1, numbers[id]);
        if (found == PG_BLOCK_NONE) {
            assert_int_equal(pg_block_index_add(&index, &header, (pg_block_place){id, 9},
                                                PG_BLOCK_STATE_LIVE, &found),
                             PG_OK);
            numbers[id] = found + 1;
            count++;
        } else {
            const pg_block_entry *entry = pg_block_index_at(&index, found);
            pg_cid cid = pg_block_entry_cid(entry);
            assert_true(pg_cid_equal(&cid, &header.cid));
            assert_int_equal(pg_block_entry_place(entry).pack, id);
            assert_int_equal(entry->len, id);
            pg_block_index_remove(&index, found);
            numbers[id] = 0;
            count--;
        }
        assert_int_equal(index.block_count, count);
    }
    pg_block_index_deinit(&index);
}

static void test_block_index__cid_version_0__comes_back_and_names_the_same_block(void **state)
{
    (void) state;
    pg_block_index index;
    pg_block_header header = header_of(1);
    pg_multihash hash = pg_cid_multihash(&header.cid);
    pg_cid v1 = header.cid;
    uint32_t number = 0;
    pg_block_index_init(&index, &key);
    assert_int_equal(pg_cid_make_v0(&hash, &header.cid), PG_OK);
    assert_int_equal(
        pg_block_index_add(&index, &header, (pg_block_place){0, 0}, PG_BLOCK_STATE_LIVE, &number),
        PG_OK);
    assert_int_equal(pg_block_index_find(&index, &v1), number);
    pg_cid cid = pg_block_entry_cid(pg_block_index_at(&index, number));
    assert_true(pg_cid_equal(&cid, &header.cid));
    pg_block_index_deinit(&index);
}

static void test_block_index__no_memory__stays_as_it_was(void **state)
{
    (void) state;
    pg_block_index index;
    uint32_t number = 0;
    pg_block_index_init(&index, &key);
    for (uint32_t id = 0; id < 500; id++) {
        pg_block_header header = header_of(id);
        for (uint64_t nth = 1;; nth++) {
            pg_mem_fail_nth(nth);
            pg_err err = pg_block_index_add(&index, &header, (pg_block_place){0, 0},
                                            PG_BLOCK_STATE_LIVE, &number);
            bool failed = pg_mem_failed();
            pg_mem_fail_nth(0);
            assert_int_equal(err, failed ? PG_ERR_NOMEM : PG_OK);
            if (!failed) {
                break;
            }
            assert_int_equal(index.block_count, id);
        }
    }
    for (uint32_t id = 0; id < 500; id++) {
        pg_block_header header = header_of(id);
        assert_int_not_equal(pg_block_index_find(&index, &header.cid), PG_BLOCK_NONE);
    }
    pg_block_index_deinit(&index);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_block_index__random_changes__agree_with_a_model),
        cmocka_unit_test(test_block_index__cid_version_0__comes_back_and_names_the_same_block),
        cmocka_unit_test(test_block_index__no_memory__stays_as_it_was),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
