// SPDX-License-Identifier: Apache-2.0
// Goal: a transfer is found by its id while it runs and a while after, no client's id takes another's, and the table stays small.
// Method: direct calls with times of the test's own.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "api/transfers.h"
#include "base/mem.h"
#include "crypto/peer_id_text.h"

#define LIAR "12D3KooWBtg3aaRMjxwedh83aGiUkwSxDwUZkzuJcfaqUmo7R3pq"

static pg_peer_id liar(void)
{
    pg_peer_id peer;
    assert_int_equal(pg_peer_id_parse(PG_STR(LIAR), &peer), PG_OK);
    return peer;
}

static pg_transfer *begin(pg_transfers *transfers, const char *id, pg_time now)
{
    pg_transfer *transfer = NULL;
    assert_int_equal(pg_transfers_begin(transfers, id, PG_TRANSFER_KIND_PUT, now, &transfer),
                     PG_OK);
    return transfer;
}

static void assert_document(const pg_transfer *transfer, const char *want)
{
    json_object *document = pg_transfer_document(transfer);
    assert_string_equal(json_object_to_json_string_ext(document, JSON_C_TO_STRING_PLAIN), want);
    json_object_put(document);
}

static void test_transfers__id__is_checked(void **state)
{
    (void) state;
    char longest[PG_API_TRANSFER_ID_CHARS_MAX + 2];
    memset(longest, 'a', sizeof(longest));
    assert_int_equal(pg_transfer_id_check(PG_STR("a-Z_0123")), PG_OK);
    assert_int_equal(pg_transfer_id_check(pg_str_make_len(longest, sizeof(longest) - 2)), PG_OK);
    assert_int_equal(pg_transfer_id_check(pg_str_make_len(longest, sizeof(longest) - 1)),
                     PG_ERR_INVALID);
    assert_int_equal(pg_transfer_id_check(PG_STR("1234567")), PG_ERR_INVALID);
    assert_int_equal(pg_transfer_id_check(PG_STR("12345678/")), PG_ERR_INVALID);
    assert_int_equal(pg_transfer_id_check(PG_STR("")), PG_ERR_INVALID);
}

static void test_transfers__life__is_told(void **state)
{
    (void) state;
    pg_transfers transfers = {0};
    pg_transfer *put = begin(&transfers, "transfer-1", 0);
    assert_document(put,
                    "{\"id\":\"transfer-1\",\"kind\":\"put\",\"state\":\"running\",\"bytes\":0,"
                    "\"total_bytes\":0,\"hosts\":0,\"problem\":null,\"report\":null}");
    const pg_transfer_progress half = {5, 10, 3};
    assert_false(pg_transfer_go_on(put, &half, PG_MS(99)));
    assert_true(pg_transfer_go_on(put, &half, PG_MS(100)));
    assert_false(pg_transfer_go_on(put, &half, PG_MS(199)));
    assert_true(pg_transfer_go_on(put, &half, PG_MS(250)));
    pg_transfer_end(put, PG_ERR_FULL, "no host has room", NULL, PG_MS(300));
    assert_document(put,
                    "{\"id\":\"transfer-1\",\"kind\":\"put\",\"state\":\"failed\",\"bytes\":5,"
                    "\"total_bytes\":10,\"hosts\":3,\"problem\":{\"type\":\"about:blank\","
                    "\"title\":\"no space left\",\"status\":507,\"detail\":\"no host has room\","
                    "\"code\":\"full\"},\"report\":null}");
    pg_transfer *get = NULL;
    assert_int_equal(pg_transfers_begin(&transfers, "transfer-2", PG_TRANSFER_KIND_GET, 0, &get),
                     PG_OK);
    const pg_get_report report = {
        .shards_fetched = 1,
        .shards_local = 2,
        .shards_absent = 3,
        .shards_corrupt = 4,
        .first_byte_ns = PG_MS(5),
        .faulty_count = 1,
        .faulty = {{liar(), PG_HOST_FAULT_CORRUPT}},
    };
    pg_transfer_end(get, PG_OK, "", &report, PG_MS(300));
    assert_document(get, "{\"id\":\"transfer-2\",\"kind\":\"get\",\"state\":\"done\",\"bytes\":0,"
                         "\"total_bytes\":0,\"hosts\":0,\"problem\":null,\"report\":{"
                         "\"shards_fetched\":1,\"shards_local\":2,\"shards_absent\":3,"
                         "\"shards_corrupt\":4,\"first_byte_ms\":5.000,\"faulty_hosts\":[{"
                         "\"peer_id\":\"" LIAR "\",\"fault\":\"corrupt\"}]}}");
    pg_transfers_deinit(&transfers);
}

static void test_transfers__id_again__only_after_the_end(void **state)
{
    (void) state;
    pg_transfers transfers = {0};
    pg_transfer *transfer = begin(&transfers, "transfer-1", 0);
    pg_transfer *other = NULL;
    assert_int_equal(pg_transfers_begin(&transfers, "transfer-1", PG_TRANSFER_KIND_GET, 0, &other),
                     PG_ERR_EXISTS);
    assert_int_equal(pg_transfers_begin(&transfers, "short", PG_TRANSFER_KIND_GET, 0, &other),
                     PG_ERR_INVALID);
    assert_null(other);
    pg_transfer_end(transfer, PG_ERR_CANCELLED, "cancelled", NULL, 1);
    transfer = begin(&transfers, "transfer-1", 2);
    assert_ptr_equal(pg_transfers_find(&transfers, "transfer-1", 2), transfer);
    assert_int_equal(transfer->state, PG_TRANSFER_STATE_RUNNING);
    pg_transfer_end(transfer, PG_OK, "", NULL, 3);
    pg_transfers_deinit(&transfers);
}

static void test_transfers__ended_long_ago__is_forgotten(void **state)
{
    (void) state;
    pg_transfers transfers = {0};
    pg_time keep = PG_MS(PG_API_TRANSFER_KEEP_MS);
    pg_transfer *transfer = begin(&transfers, "transfer-1", 0);
    assert_non_null(pg_transfers_find(&transfers, "transfer-1", 2 * keep)); // it runs
    pg_transfer_end(transfer, PG_OK, "", NULL, 2 * keep);
    assert_non_null(pg_transfers_find(&transfers, "transfer-1", 3 * keep));
    assert_null(pg_transfers_find(&transfers, "transfer-1", 3 * keep + 1));
    assert_null(pg_transfers_find(&transfers, "transfer-1", 3 * keep));
    pg_transfers_deinit(&transfers);
}

static void test_transfers__table_full__ended_ones_make_room(void **state)
{
    (void) state;
    pg_transfers transfers = {0};
    pg_transfer *all[PG_API_TRANSFERS_MAX];
    char id[32];
    for (int i = 0; i < PG_API_TRANSFERS_MAX; i++) {
        (void) snprintf(id, sizeof(id), "transfer-%d", i);
        all[i] = begin(&transfers, id, 0);
    }
    pg_transfer *other = NULL;
    assert_int_equal(pg_transfers_begin(&transfers, "one-more", PG_TRANSFER_KIND_GET, 0, &other),
                     PG_ERR_BUSY);
    pg_transfer_end(all[7], PG_OK, "", NULL, 20);
    pg_transfer_end(all[9], PG_OK, "", NULL, 10);
    other = begin(&transfers, "one-more", 30);
    assert_null(pg_transfers_find(&transfers, "transfer-9", 30));
    assert_non_null(pg_transfers_find(&transfers, "transfer-7", 30));
    pg_transfer_end(other, PG_OK, "", NULL, 30);
    for (int i = 0; i < PG_API_TRANSFERS_MAX; i++) {
        if (i != 7 && i != 9) {
            pg_transfer_end(all[i], PG_OK, "", NULL, 40);
        }
    }
    pg_transfers_deinit(&transfers);
}

static void test_transfers__no_memory__nothing_is_left_behind(void **state)
{
    (void) state;
    bool has_failed = true;
    for (uint64_t nth = 1; has_failed; nth++) {
        pg_transfers transfers = {0};
        pg_transfer *transfer = NULL;
        pg_mem_fail_nth(nth);
        pg_err err =
            pg_transfers_begin(&transfers, "transfer-1", PG_TRANSFER_KIND_PUT, 0, &transfer);
        has_failed = pg_mem_failed();
        pg_mem_fail_nth(0);
        assert_int_equal(err, has_failed ? PG_ERR_NOMEM : PG_OK);
        assert_ptr_equal(pg_transfers_find(&transfers, "transfer-1", 0), transfer);
        if (err == PG_OK) {
            pg_mem_fail_nth(1); // the detail is lost, the code is not
            pg_transfer_end(transfer, PG_ERR_FULL, "no host has room", NULL, 0);
            pg_mem_fail_nth(0);
            assert_null(transfer->detail);
            assert_int_equal(transfer->problem, PG_ERR_FULL);
        }
        pg_transfers_deinit(&transfers);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_transfers__id__is_checked),
        cmocka_unit_test(test_transfers__life__is_told),
        cmocka_unit_test(test_transfers__id_again__only_after_the_end),
        cmocka_unit_test(test_transfers__ended_long_ago__is_forgotten),
        cmocka_unit_test(test_transfers__table_full__ended_ones_make_room),
        cmocka_unit_test(test_transfers__no_memory__nothing_is_left_behind),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
