// SPDX-License-Identifier: Apache-2.0
// Goal: a block stays as long as somebody needs it, and no longer; the cache holds what passed through last, within its bytes, outlives a
//       restart, gives way to what matters more, and never deletes what is needed or held for others.
// Method: a real block store and a real database in a temporary folder. What is offered is written by fibers of the cache: the tests run
//       on when the store has it.
#include <stdio.h>
#include <string.h>

#include "../runtime/in_fiber.h"
#include "base/mem.h"
#include "crypto/hash.h"
#include "files/keep.h"
#include "files/service.h"
#include "temp_folder.h"

#define LEN 5000U   // of a block; with its header two pages of the store
#define SPACE 8192U // that it takes there

static const pg_key key = {.bytes = {9}};

/** What a test stands on, closed and opened again. */
typedef struct ground {
    pg_block_store *blocks;
    pg_db *db;
    pg_keep keep;
    bool holds_all; // leases of others need everything
} ground;

static bool is_held(const pg_cid *cid, void *user)
{
    (void) cid;
    return ((const ground *) user)->holds_all;
}

static void ground_open(ground *it, uint64_t quota_bytes, uint64_t cache_bytes)
{
    static const char *steps[1];
    steps[0] = pg_files_schema_1;
    const pg_db_schema schema = {steps, 1};
    char path[96];
    *it = (ground){.blocks = NULL};
    (void) snprintf(path, sizeof(path), "%s/blocks", temp_folder);
    const pg_block_store_config config = {.dir = path, .quota_bytes = quota_bytes, .key = &key};
    CHECK_OK(pg_block_store_open(&config, &it->blocks));
    (void) snprintf(path, sizeof(path), "%s/db", temp_folder);
    CHECK_OK(pg_db_open(path, &key, &schema, &it->db));
    it->keep.is_held = is_held;
    it->keep.user = it;
    CHECK_OK(pg_keep_init(&it->keep, it->blocks, it->db, cache_bytes));
}

static void ground_close(ground *it)
{
    pg_keep_deinit(&it->keep);
    pg_db_close(&it->db);
    pg_block_store_close(&it->blocks);
}

static uint8_t content[LEN];

/** The block of a number. Its bytes stand in `content` until the next call. */
static pg_cid block_of(uint32_t number)
{
    memset(content, 0x5a, sizeof(content));
    memcpy(content, &number, sizeof(number));
    return pg_cid_of_blake3(PG_BYTES_OF(content));
}

static bool has(const ground *it, uint32_t number)
{
    pg_cid cid = block_of(number);
    return pg_block_store_has(it->blocks, &cid, NULL);
}

static void put(ground *it, uint32_t number)
{
    pg_cid cid = block_of(number);
    CHECK_OK(pg_keep_put(&it->keep, &cid, PG_BYTES_OF(content)));
}

static void drop(ground *it, uint32_t number)
{
    pg_cid cid = block_of(number);
    pg_keep_drop(&it->keep, &cid);
}

static void offer(ground *it, uint32_t number)
{
    pg_cid cid = block_of(number);
    pg_keep_offer(&it->keep, &cid, PG_BYTES_OF(content));
}

/** Wait until the fibers of the cache have nothing to write. */
static void cache_settle(const ground *it)
{
    pg_time deadline = SOON;
    while (it->keep.queued_bytes > 0) {
        CHECK(pg_now() < deadline);
        CHECK_OK(pg_sleep_until(pg_after(PG_MS(1))));
    }
}

static void offer_all(ground *it, uint32_t first, uint32_t end)
{
    for (uint32_t i = first; i < end; i++) {
        offer(it, i);
        cache_settle(it);
    }
}

static pg_err needed_run(void *arg)
{
    ground it;
    (void) arg;
    ground_open(&it, 1 << 20, 0);
    put(&it, 1);
    put(&it, 1);
    put(&it, 2);
    drop(&it, 1);
    CHECK(has(&it, 1));
    drop(&it, 1);
    CHECK(!has(&it, 1) && has(&it, 2));
    drop(&it, 1); // one too many is none of anybody's
    it.holds_all = true;
    drop(&it, 2); // a host's promise keeps it
    CHECK(has(&it, 2));
    pg_cid wrong = block_of(3);
    CHECK_ERR(pg_keep_put(&it.keep, &wrong, PG_BYTES_LIT("other bytes")), PG_ERR_CORRUPT);
    CHECK(!pg_keep_wants(&it.keep, &wrong));
    ground_close(&it);
    return PG_OK;
}

static pg_err cache_run(void *arg)
{
    ground it;
    (void) arg;
    ground_open(&it, 1 << 20, 4 * LEN);
    offer_all(&it, 0, 4);
    CHECK(it.keep.cache_bytes == 4 * LEN);
    pg_cid used = block_of(0);
    pg_keep_touch(&it.keep, &used);
    put(&it, 1); // needed as well
    offer_all(&it, 4, 6);
    CHECK(has(&it, 0) && has(&it, 1) && !has(&it, 2) && has(&it, 3) && has(&it, 4) && has(&it, 5));
    CHECK(it.keep.cache_bytes == 4 * LEN);
    offer_all(&it, 5, 6); // is there: nothing to write
    ground_close(&it);
    ground_open(&it, 1 << 20, 4 * LEN); // the order outlives it
    CHECK(it.keep.cache_bytes == 4 * LEN);
    offer_all(&it, 7, 8);
    CHECK(!has(&it, 3) && has(&it, 0) && has(&it, 7));
    pg_cid touched = block_of(99);
    pg_keep_touch(&it.keep, &touched); // no block of the cache
    ground_close(&it);
    ground_open(&it, 1 << 20, 2 * LEN); // a smaller one, at the next offer
    offer_all(&it, 8, 9);
    CHECK(it.keep.cache_bytes == 2 * LEN && has(&it, 8) && !has(&it, 0));
    ground_close(&it);
    return PG_OK;
}

static pg_err none_run(void *arg)
{
    ground it;
    (void) arg;
    ground_open(&it, 1 << 20, 0);
    offer_all(&it, 0, 3);
    CHECK(it.keep.cache_bytes == 0 && pg_block_store_stats_get(it.blocks).blocks == 0);
    CHECK(!pg_keep_make_room(&it.keep, 1));
    ground_close(&it);
    return PG_OK;
}

static pg_err yields_run(void *arg)
{
    ground it;
    (void) arg;
    ground_open(&it, 8 * SPACE, 8 * SPACE);
    put(&it, 100);
    offer_all(&it, 0, 9); // seven fit
    CHECK(it.keep.cache_bytes == 7 * LEN && !has(&it, 8));
    for (uint32_t i = 101; i < 108; i++) {
        put(&it, i); // each takes the place of one
        CHECK(has(&it, i) && !has(&it, i - 101));
    }
    CHECK(it.keep.cache_bytes == 0);
    pg_cid more = block_of(200);
    CHECK_ERR(pg_keep_put(&it.keep, &more, PG_BYTES_OF(content)), PG_ERR_FULL);
    CHECK(!pg_keep_wants(&it.keep, &more));
    drop(&it, 100);
    offer_all(&it, 0, 2);
    CHECK(has(&it, 0) && !has(&it, 1));
    CHECK(pg_keep_make_room(&it.keep, 1) && !has(&it, 0));
    ground_close(&it);
    return PG_OK;
}

static pg_err lost_run(void *arg)
{
    ground it;
    (void) arg;
    ground_open(&it, 1 << 20, 4 * LEN);
    offer_all(&it, 0, 1);
    pg_cid cid = block_of(0);
    CHECK_OK(pg_block_store_delete(it.blocks, &cid)); // as one found damaged is
    pg_keep_lost(&it.keep, &cid);
    CHECK(it.keep.cache_bytes == 0 && !pg_keep_wants(&it.keep, &cid));
    pg_keep_lost(&it.keep, &cid);
    offer_all(&it, 0, 1); // it comes again
    CHECK(has(&it, 0) && it.keep.cache_bytes == LEN);
    ground_close(&it);
    return PG_OK;
}

// A cache of two blocks, and many that come at once: what is given up while it is written is not left behind.
static pg_err crowd_run(void *arg)
{
    ground it;
    (void) arg;
    ground_open(&it, 1 << 20, 2 * LEN);
    for (uint32_t i = 0; i < 20; i++) {
        offer(&it, i);
        offer(&it, i);
    }
    cache_settle(&it);
    CHECK(it.keep.cache_bytes == 2 * LEN);
    CHECK(pg_block_store_stats_get(it.blocks).blocks == 2);
    ground_close(&it);
    return PG_OK;
}

// More than may wait is not cached, and what waits when it ends is forgotten.
static pg_err queue_run(void *arg)
{
    static uint8_t large[1 << 20];
    ground it;
    (void) arg;
    ground_open(&it, UINT64_C(64) << 20, UINT64_C(64) << 20);
    for (uint32_t i = 0; i < 20; i++) {
        memcpy(large, &i, sizeof(i));
        pg_cid cid = pg_cid_of_blake3(PG_BYTES_OF(large));
        pg_keep_offer(&it.keep, &cid, PG_BYTES_OF(large));
    }
    CHECK(it.keep.queued_bytes == 16 * sizeof(large));
    ground_close(&it);
    return PG_OK;
}

static void test_keep__needed_twice__goes_with_the_last(void **state)
{
    (void) state;
    in_fiber(needed_run, NULL);
}

static void test_keep__cache_is_full__the_oldest_goes(void **state)
{
    (void) state;
    in_fiber(cache_run, NULL);
}

static void test_keep__no_cache__nothing_is_kept(void **state)
{
    (void) state;
    in_fiber(none_run, NULL);
}

static void test_keep__store_is_full__the_cache_gives_way(void **state)
{
    (void) state;
    in_fiber(yields_run, NULL);
}

static void test_keep__block_lost__comes_again(void **state)
{
    (void) state;
    in_fiber(lost_run, NULL);
}

static void test_keep__many_at_once__no_block_is_left_behind(void **state)
{
    (void) state;
    in_fiber(crowd_run, NULL);
}

static void test_keep__more_than_may_wait__is_passed_over(void **state)
{
    (void) state;
    in_fiber(queue_run, NULL);
}

#define TEST(function)                                                                             \
    cmocka_unit_test_setup_teardown(function, temp_folder_make, temp_folder_remove)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_keep__needed_twice__goes_with_the_last),
        TEST(test_keep__cache_is_full__the_oldest_goes),
        TEST(test_keep__no_cache__nothing_is_kept),
        TEST(test_keep__store_is_full__the_cache_gives_way),
        TEST(test_keep__block_lost__comes_again),
        TEST(test_keep__many_at_once__no_block_is_left_behind),
        TEST(test_keep__more_than_may_wait__is_passed_over),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
