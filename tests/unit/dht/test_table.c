// SPDX-License-Identifier: Apache-2.0
// Goal: the table keeps who answers, gives places only as they become free, bounds subnets, and finds the nearest.
// Method: peers made for their buckets; the nearest are compared with a plain sort of all.
#include "base/mem.h"
#include "dht/table.h"
#include "dht_test.h"

static pg_dht_key self_key(void)
{
    return pg_dht_key_of(PG_BYTES_LIT("self"));
}

static pg_dht_table *table_new(pg_dht_table_listener listener, void *user)
{
    pg_dht_table *table = PG_NEW(pg_dht_table);
    pg_dht_key self = self_key();
    assert_non_null(table);
    pg_dht_table_init(table, &self, listener, user);
    return table;
}

static void table_free(pg_dht_table *table)
{
    pg_dht_table_deinit(table);
    pg_mfree(table);
}

// Fill bucket `prefix`, heard of at 1, 2, 3...
static void bucket_fill(pg_dht_table *table, unsigned prefix, pg_peer_id *peers, uint32_t *number)
{
    for (int i = 0; i < PG_DHT_K; i++) {
        peers[i] = peer_near(&table->self, prefix, number);
        assert_int_equal(pg_dht_table_offer(table, &peers[i], 0, i + 1), PG_DHT_OFFER_ADDED);
    }
}

static void test_table__full_bucket__keeps_those_who_answer(void **state)
{
    (void) state;
    pg_dht_table *table = table_new(NULL, NULL);
    pg_peer_id peers[PG_DHT_K];
    uint32_t number = 0;
    bucket_fill(table, 2, peers, &number);
    for (int i = 0; i < 1000; i++) { // a flood of new identities
        pg_peer_id stranger = peer_near(&table->self, 2, &number);
        assert_int_equal(pg_dht_table_offer(table, &stranger, 0, 100 + i), PG_DHT_OFFER_SPARE);
        assert_false(pg_dht_table_has(table, &stranger));
    }
    for (int i = 0; i < PG_DHT_K; i++) {
        assert_true(pg_dht_table_has(table, &peers[i]));
    }
    assert_int_equal(table->count, PG_DHT_K);
    assert_int_equal(table->buckets[2].spare_count, PG_DHT_SPARES_MAX);
    table_free(table);
}

static void test_table__peer_fails_twice__youngest_spare_takes_its_place(void **state)
{
    (void) state;
    pg_dht_table *table = table_new(NULL, NULL);
    pg_peer_id peers[PG_DHT_K];
    uint32_t number = 0;
    bucket_fill(table, 0, peers, &number);
    pg_peer_id old = peer_near(&table->self, 0, &number);
    pg_peer_id young = peer_near(&table->self, 0, &number);
    assert_int_equal(pg_dht_table_offer(table, &old, 0, 50), PG_DHT_OFFER_SPARE);
    assert_int_equal(pg_dht_table_offer(table, &young, 0, 51), PG_DHT_OFFER_SPARE);
    pg_dht_table_failed(table, &peers[3]);
    pg_dht_table_answered(table, &peers[3], 60); // back in time
    pg_dht_table_failed(table, &peers[3]);
    assert_true(pg_dht_table_has(table, &peers[3]));
    pg_dht_table_failed(table, &peers[3]);
    assert_false(pg_dht_table_has(table, &peers[3]));
    assert_true(pg_dht_table_has(table, &young));
    assert_false(pg_dht_table_has(table, &old));
    table_free(table);
}

static void test_table__ourselves__never_in(void **state)
{
    (void) state;
    pg_peer_id me = peer_number(7);
    pg_dht_table *table = PG_NEW(pg_dht_table);
    pg_dht_key key = pg_dht_key_of_peer(&me);
    pg_dht_table_init(table, &key, NULL, NULL);
    assert_int_equal(pg_dht_table_offer(table, &me, 0, 1), PG_DHT_OFFER_REFUSED);
    assert_int_equal(table->count, 0);
    table_free(table);
}

static void test_table__one_subnet__gets_its_places_and_no_more(void **state)
{
    (void) state;
    pg_dht_table *table = table_new(NULL, NULL);
    uint32_t number = 0;
    size_t in_all = 0;
    for (unsigned prefix = 0; prefix < 8; prefix++) {
        size_t in_bucket = 0;
        for (int i = 0; i < 10; i++) {
            pg_peer_id sybil = peer_near(&table->self, prefix, &number);
            in_bucket += pg_dht_table_offer(table, &sybil, 99, 1) == PG_DHT_OFFER_ADDED ? 1U : 0U;
        }
        assert_true(in_bucket <= PG_DHT_BUCKET_GROUP_MAX);
        in_all += in_bucket;
    }
    assert_int_equal(in_all, PG_DHT_TABLE_GROUP_MAX);
    assert_int_equal(table->count, PG_DHT_TABLE_GROUP_MAX);
    assert_true(table->refused > 0);
    pg_peer_id other = peer_near(&table->self, 0, &number);
    assert_int_equal(pg_dht_table_offer(table, &other, 98, 1), PG_DHT_OFFER_ADDED);
    table_free(table);
}

static int compare_to_target(const void *a, const void *b)
{
    pg_dht_key target = pg_dht_key_of(PG_BYTES_LIT("target"));
    pg_dht_key key_a = pg_dht_key_of_peer(a);
    pg_dht_key key_b = pg_dht_key_of_peer(b);
    return pg_dht_key_compare(&target, &key_a, &key_b);
}

static void on_contact(const pg_dht_contact *contact, unsigned bucket, void *user)
{
    pg_peer_id **next = user;
    (void) bucket;
    **next = contact->id;
    (*next)++;
}

static void test_table__nearest__are_those_of_a_plain_sort(void **state)
{
    (void) state;
    for (uint32_t size = 0; size < 2000; size = size * 2 + 1) {
        pg_dht_table *table = table_new(NULL, NULL);
        for (uint32_t i = 0; i < size; i++) {
            pg_peer_id peer = peer_number(i + 5000 * size);
            (void) pg_dht_table_offer(table, &peer, 0, 1);
        }
        pg_peer_id all[600];
        pg_peer_id *next = all;
        assert_true(table->count < PG_ARRAY_LEN(all));
        pg_dht_table_each(table, on_contact, &next);
        qsort(all, table->count, sizeof(all[0]), compare_to_target);
        const pg_dht_contact *nearest[PG_DHT_LOOKUP_WIDE_MAX];
        pg_dht_key target = pg_dht_key_of(PG_BYTES_LIT("target"));
        for (size_t max = 1; max <= PG_DHT_LOOKUP_WIDE_MAX; max += 19) {
            size_t count = pg_dht_table_nearest(table, &target, false, nearest, max);
            assert_int_equal(count, max < table->count ? max : table->count);
            for (size_t i = 0; i < count; i++) {
                assert_true(pg_peer_id_equal(&nearest[i]->id, &all[i]));
            }
        }
        table_free(table);
    }
}

static void test_table__failing_peer__is_not_told_to_others(void **state)
{
    (void) state;
    pg_dht_table *table = table_new(NULL, NULL);
    const pg_dht_contact *nearest[PG_DHT_K];
    pg_peer_id peer = peer_number(1);
    pg_dht_key target = pg_dht_key_of_peer(&peer);
    (void) pg_dht_table_offer(table, &peer, 0, 1);
    assert_int_equal(pg_dht_table_nearest(table, &target, true, nearest, PG_DHT_K), 1);
    pg_dht_table_failed(table, &peer);
    assert_int_equal(pg_dht_table_nearest(table, &target, true, nearest, PG_DHT_K), 0);
    assert_int_equal(pg_dht_table_nearest(table, &target, false, nearest, PG_DHT_K), 1);
    table_free(table);
}

static void test_table__stale__tells_those_not_heard_of(void **state)
{
    (void) state;
    pg_dht_table *table = table_new(NULL, NULL);
    pg_peer_id peers[PG_DHT_K];
    pg_peer_id stale[PG_DHT_K];
    uint32_t number = 0;
    bucket_fill(table, 1, peers, &number);
    pg_dht_table_answered(table, &peers[0], 100);
    assert_int_equal(pg_dht_table_stale(table, 5, stale, PG_DHT_K), 3); // heard of at 2, 3, 4
    assert_true(pg_peer_id_equal(&stale[0], &peers[1]));
    assert_int_equal(pg_dht_table_stale(table, 200, stale, 4), 4);
    table_free(table);
}

static void test_table__refresh__goes_through_the_used_buckets(void **state)
{
    (void) state;
    pg_dht_table *table = table_new(NULL, NULL);
    uint32_t number = 0;
    assert_int_equal(pg_dht_table_unrefreshed(table, 0, 10), PG_DHT_BUCKETS);
    pg_peer_id peer = peer_near(&table->self, 3, &number);
    (void) pg_dht_table_offer(table, &peer, 0, 1);
    assert_int_equal(pg_dht_table_unrefreshed(table, 0, 10), 0);
    pg_dht_key key = pg_dht_key_of_peer(&peer);
    pg_dht_table_refreshed(table, &key, 10);
    assert_int_equal(pg_dht_table_unrefreshed(table, 3, 10), PG_DHT_BUCKETS);
    assert_int_equal(pg_dht_table_unrefreshed(table, 3, 11), 3);
    assert_int_equal(pg_dht_table_unrefreshed(table, 1, 10), 1);
    table_free(table);
}

/** What a listener heard. */
typedef struct heard {
    int in;
    int out;
    bool refuses;
} heard;

static bool on_change(const pg_peer_id *peer, bool is_in, void *user)
{
    heard *self = user;
    (void) peer;
    if (is_in && self->refuses) {
        return false;
    }
    self->in += is_in ? 1 : 0;
    self->out += is_in ? 0 : 1;
    return true;
}

static void test_table__listener__hears_of_all_and_may_refuse(void **state)
{
    (void) state;
    heard ears = {0};
    pg_dht_table *table = table_new(on_change, &ears);
    pg_peer_id peers[PG_DHT_K];
    uint32_t number = 0;
    bucket_fill(table, 0, peers, &number);
    assert_int_equal(ears.in, PG_DHT_K);
    pg_peer_id spare = peer_near(&table->self, 0, &number);
    (void) pg_dht_table_offer(table, &spare, 0, 9);
    ears.refuses = true;
    pg_dht_table_remove(table, &peers[0]); // the spare is refused, and gone
    assert_int_equal(table->count, PG_DHT_K - 1);
    assert_int_equal(table->buckets[0].spare_count, 0);
    assert_int_equal(pg_dht_table_offer(table, &spare, 0, 9), PG_DHT_OFFER_REFUSED);
    pg_dht_table_deinit(table);
    assert_int_equal(ears.out, PG_DHT_K);
    pg_mfree(table);
}

static void test_table__removed_spare__gets_no_place_later(void **state)
{
    (void) state;
    pg_dht_table *table = table_new(NULL, NULL);
    pg_peer_id peers[PG_DHT_K];
    uint32_t number = 0;
    bucket_fill(table, 0, peers, &number);
    pg_peer_id spare = peer_near(&table->self, 0, &number);
    (void) pg_dht_table_offer(table, &spare, 0, 9);
    pg_dht_table_remove(table, &spare);
    pg_dht_table_remove(table, &peers[0]);
    assert_int_equal(table->count, PG_DHT_K - 1);
    table_free(table);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_table__full_bucket__keeps_those_who_answer),
        cmocka_unit_test(test_table__peer_fails_twice__youngest_spare_takes_its_place),
        cmocka_unit_test(test_table__ourselves__never_in),
        cmocka_unit_test(test_table__one_subnet__gets_its_places_and_no_more),
        cmocka_unit_test(test_table__nearest__are_those_of_a_plain_sort),
        cmocka_unit_test(test_table__failing_peer__is_not_told_to_others),
        cmocka_unit_test(test_table__stale__tells_those_not_heard_of),
        cmocka_unit_test(test_table__refresh__goes_through_the_used_buckets),
        cmocka_unit_test(test_table__listener__hears_of_all_and_may_refuse),
        cmocka_unit_test(test_table__removed_spare__gets_no_place_later),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
