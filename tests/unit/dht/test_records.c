// SPDX-License-Identifier: Apache-2.0
// Goal: the store of records stays within its bounds whoever puts what, prefers what is near, forgets in time.
// Method: direct calls with chosen times; a listener counts; memory fails at every allocation once.
#include "base/mem.h"
#include "dht/limits.h"
#include "dht/records.h"
#include "dht_test.h"

#define TTL 1000

/** A store, and what its listener heard. */
typedef struct shelf {
    pg_dht_records records;
    pg_dht_key self;
    size_t puts;
    size_t gones;
} shelf;

static void on_put(pg_dht_record *record, void *user)
{
    shelf *self = user;
    assert_true(record->value.len > 0);
    self->puts++;
}

static void on_gone(const pg_dht_record *record, void *user)
{
    shelf *self = user;
    assert_true(record->key.len > 0);
    self->gones++;
}

static shelf *shelf_new(void)
{
    shelf *self = PG_NEW(shelf);
    assert_non_null(self);
    self->self = pg_dht_key_of(PG_BYTES_LIT("self"));
    pg_dht_records_init(&self->records, &self->self, TTL);
    self->records.listener =
        (pg_dht_records_listener){.on_put = on_put, .on_gone = on_gone, .user = self};
    return self;
}

static void shelf_free(shelf *self)
{
    pg_dht_records_deinit(&self->records);
    pg_mfree(self);
}

static pg_err put(shelf *self, uint32_t key, const char *value, uint32_t peer, pg_time now)
{
    const pg_dht_source source = {.peer = peer_number(peer), .group = 0};
    return pg_dht_records_put(&self->records, pg_bytes_make(&key, sizeof(key)),
                              pg_bytes_cstr(value), &source, now, 77);
}

static const pg_dht_record *get(const shelf *self, uint32_t key, pg_time now)
{
    return pg_dht_records_get(&self->records, pg_bytes_make(&key, sizeof(key)), now);
}

static void test_records__put_get_replace__last_one_counts(void **state)
{
    (void) state;
    shelf *self = shelf_new();
    assert_null(get(self, 1, 0));
    assert_int_equal(put(self, 1, "old", 1, 0), PG_OK);
    assert_int_equal(put(self, 1, "newer", 2, 10), PG_OK);
    const pg_dht_record *record = get(self, 1, 20);
    assert_non_null(record);
    assert_true(pg_bytes_equal(record->value, PG_BYTES_LIT("newer")));
    assert_int_equal(record->expires_at, 10 + TTL);
    assert_int_equal(record->received_wall_ms, 77);
    assert_int_equal(self->records.count, 1);
    assert_int_equal(self->records.bytes, 4 + 5);
    assert_int_equal(self->puts, 2);
    shelf_free(self);
}

static void test_records__expired__are_neither_given_nor_kept(void **state)
{
    (void) state;
    shelf *self = shelf_new();
    assert_int_equal(put(self, 1, "a", 1, 0), PG_OK);
    assert_int_equal(put(self, 2, "b", 1, 500), PG_OK);
    assert_int_equal(put(self, 1, "a", 1, 900), PG_OK); // once more: lives longer
    assert_non_null(get(self, 2, 1499));
    assert_null(get(self, 2, 1500));
    assert_int_equal(pg_dht_records_expire(&self->records, 1500, 10), 1);
    assert_non_null(get(self, 1, 1500));
    assert_int_equal(self->gones, 1);
    assert_int_equal(pg_dht_records_expire(&self->records, 5000, 10), 1);
    assert_int_equal(self->records.count, 0);
    assert_int_equal(self->records.bytes, 0);
    shelf_free(self);
}

static void test_records__one_peer__gets_its_share(void **state)
{
    (void) state;
    shelf *self = shelf_new();
    for (uint32_t i = 0; i < PG_DHT_PEER_RECORDS_MAX; i++) {
        assert_int_equal(put(self, i, "v", 1, 0), PG_OK);
    }
    assert_int_equal(put(self, 100000, "v", 1, 0), PG_ERR_LIMIT);
    assert_int_equal(put(self, 5, "again", 1, 0), PG_OK); // no new place
    assert_int_equal(put(self, 100000, "v", 2, 0), PG_OK);
    (void) pg_dht_records_expire(&self->records, 5000, 1);
    assert_int_equal(put(self, 100001, "v", 1, 5000), PG_OK);
    assert_int_equal(self->records.refused, 1);
    shelf_free(self);
}

static void test_records__one_subnet__gets_its_share(void **state)
{
    (void) state;
    shelf *self = shelf_new();
    pg_err err = PG_OK;
    uint32_t taken = 0;
    for (; err == PG_OK; taken++) {
        const pg_dht_source source = {.peer = peer_number(taken / 10), .group = 5};
        err = pg_dht_records_put(&self->records, pg_bytes_make(&taken, sizeof(taken)),
                                 PG_BYTES_LIT("v"), &source, 0, 0);
    }
    assert_int_equal(err, PG_ERR_LIMIT);
    assert_int_equal(taken - 1, PG_DHT_GROUP_RECORDS_MAX);
    shelf_free(self);
}

// A key number whose point shares `prefix` bits with us, from `*number` on.
static uint32_t key_near(const shelf *self, unsigned prefix, uint32_t *number)
{
    for (;;) {
        uint32_t key = (*number)++;
        pg_dht_key point = pg_dht_key_of(pg_bytes_make(&key, sizeof(key)));
        if (pg_dht_key_prefix(&self->self, &point) == prefix) {
            return key;
        }
    }
}

static void test_records__full__the_farthest_make_room_for_nearer_ones(void **state)
{
    (void) state;
    shelf *self = shelf_new();
    uint32_t number = 0;
    self->records.count_max = 4;
    uint32_t far = key_near(self, 0, &number);
    uint32_t farther = key_near(self, 0, &number);
    uint32_t middle = key_near(self, 2, &number);
    uint32_t near = key_near(self, 5, &number);
    assert_int_equal(put(self, far, "v", 1, 0), PG_OK);
    assert_int_equal(put(self, middle, "v", 1, 0), PG_OK);
    assert_int_equal(put(self, farther, "v", 1, 0), PG_OK);
    assert_int_equal(put(self, near, "v", 1, 0), PG_OK);
    assert_int_equal(put(self, key_near(self, 0, &number), "v", 1, 0), PG_ERR_FULL);
    assert_int_equal(put(self, key_near(self, 3, &number), "v", 1, 0), PG_OK);
    assert_null(get(self, far, 1)); // the oldest of the farthest
    assert_non_null(get(self, farther, 1));
    assert_int_equal(put(self, key_near(self, 3, &number), "v", 1, 0), PG_OK);
    assert_null(get(self, farther, 1));
    assert_non_null(get(self, near, 1));
    assert_int_equal(self->records.evicted, 2);
    assert_int_equal(self->records.count, 4);
    shelf_free(self);
}

static void test_records__too_many_bytes__bounded_too(void **state)
{
    (void) state;
    shelf *self = shelf_new();
    uint32_t number = 0;
    self->records.bytes_max = 100;
    uint32_t far = key_near(self, 0, &number);
    uint32_t near = key_near(self, 5, &number);
    static char big[91];
    memset(big, 'b', 80);
    assert_int_equal(put(self, far, big, 1, 0), PG_OK);
    assert_int_equal(put(self, near, "small", 1, 0), PG_OK);
    assert_non_null(get(self, far, 1));
    assert_int_equal(put(self, near, big, 1, 0), PG_OK); // grows: the farther one goes
    assert_null(get(self, far, 1));
    assert_true(self->records.bytes <= 100);
    memset(big, 'b', 90);
    assert_int_equal(put(self, far, big, 1, 0), PG_ERR_FULL);
    shelf_free(self);
}

static void test_records__own__count_against_nobody(void **state)
{
    (void) state;
    shelf *self = shelf_new();
    uint32_t key = 9;
    assert_int_equal(put(self, key, "v", 1, 0), PG_OK);
    assert_int_equal(pg_dht_records_put(&self->records, pg_bytes_make(&key, sizeof(key)),
                                        PG_BYTES_LIT("mine"), NULL, 0, 0),
                     PG_OK);
    assert_true(get(self, key, 1)->is_own);
    assert_int_equal(pg_map_count(&self->records.quota.peers), 0);
    shelf_free(self);
}

static void test_records__restored__as_they_were_and_not_told_again(void **state)
{
    (void) state;
    shelf *self = shelf_new();
    const pg_dht_record late = {.key = PG_BYTES_LIT("/a/late"),
                                .value = PG_BYTES_LIT("v"),
                                .expires_at = 900,
                                .source = {.peer = peer_number(1)}};
    const pg_dht_record soon = {.key = PG_BYTES_LIT("/a/soon"),
                                .value = PG_BYTES_LIT("v"),
                                .expires_at = 300,
                                .source = {.peer = peer_number(1)}};
    assert_int_equal(pg_dht_records_restore(&self->records, &late), PG_OK);
    assert_int_equal(pg_dht_records_restore(&self->records, &soon), PG_OK);
    assert_int_equal(self->puts, 0);
    assert_int_equal(pg_dht_records_expire(&self->records, 300, 10), 1);
    assert_non_null(pg_dht_records_get(&self->records, PG_BYTES_LIT("/a/late"), 300));
    shelf_free(self);
}

static void test_records__no_memory__nothing_is_lost(void **state)
{
    (void) state;
    for (uint64_t nth = 1;; nth++) {
        shelf *self = shelf_new();
        assert_int_equal(put(self, 1, "old", 1, 0), PG_OK);
        pg_mem_fail_nth(nth);
        pg_err first = put(self, 1, "new", 1, 0);
        pg_err second = put(self, 2, "two", 2, 0);
        bool failed = pg_mem_failed();
        pg_mem_fail_nth(0);
        assert_true(first == PG_OK || first == PG_ERR_NOMEM);
        assert_true(second == PG_OK || second == PG_ERR_NOMEM);
        assert_non_null(get(self, 1, 1));
        assert_int_equal(self->records.count, second == PG_OK ? 2 : 1);
        shelf_free(self);
        if (!failed) {
            break;
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_records__put_get_replace__last_one_counts),
        cmocka_unit_test(test_records__expired__are_neither_given_nor_kept),
        cmocka_unit_test(test_records__one_peer__gets_its_share),
        cmocka_unit_test(test_records__one_subnet__gets_its_share),
        cmocka_unit_test(test_records__full__the_farthest_make_room_for_nearer_ones),
        cmocka_unit_test(test_records__too_many_bytes__bounded_too),
        cmocka_unit_test(test_records__own__count_against_nobody),
        cmocka_unit_test(test_records__restored__as_they_were_and_not_told_again),
        cmocka_unit_test(test_records__no_memory__nothing_is_lost),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
