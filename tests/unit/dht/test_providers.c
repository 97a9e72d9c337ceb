// SPDX-License-Identifier: Apache-2.0
// Goal: the store of providers stays within its bounds, gives the freshest first, forgets in time.
// Method: direct calls with chosen times; memory fails at every allocation once.
#include "base/mem.h"
#include "dht/providers.h"
#include "dht_test.h"

#define TTL 1000

static pg_dht_providers *providers_new(void)
{
    pg_dht_key self = pg_dht_key_of(PG_BYTES_LIT("self"));
    pg_dht_providers *providers = PG_NEW(pg_dht_providers);
    assert_non_null(providers);
    pg_dht_providers_init(providers, &self, TTL);
    return providers;
}

static void providers_free(pg_dht_providers *providers)
{
    pg_dht_providers_deinit(providers);
    pg_mfree(providers);
}

static pg_err add(pg_dht_providers *providers, uint32_t key, uint32_t peer, pg_dht_group group,
                  pg_time now)
{
    const pg_dht_source source = {.peer = peer_number(peer), .group = group};
    pg_multiaddr addr = addr_of("/ip4/192.0.2.1/tcp/4001");
    return pg_dht_providers_add(providers, pg_bytes_make(&key, sizeof(key)), &source, &addr, 1,
                                now);
}

static size_t get(const pg_dht_providers *providers, uint32_t key, pg_time now,
                  const pg_dht_provider **found)
{
    return pg_dht_providers_get(providers, pg_bytes_make(&key, sizeof(key)), now, found,
                                PG_DHT_KEY_PROVIDERS_MAX);
}

static uint32_t number_of(const pg_dht_provider *provider)
{
    uint32_t number = 0;
    memcpy(&number, provider->peer->id.bytes + 2, sizeof(number));
    return number;
}

static void test_providers__several__freshest_first_with_addresses(void **state)
{
    (void) state;
    pg_dht_providers *providers = providers_new();
    const pg_dht_provider *found[PG_DHT_KEY_PROVIDERS_MAX];
    pg_bytes addrs[PG_DHT_ADDRS_MAX];
    assert_int_equal(add(providers, 1, 10, 0, 0), PG_OK);
    assert_int_equal(add(providers, 1, 11, 0, 5), PG_OK);
    assert_int_equal(add(providers, 1, 12, 0, 7), PG_OK);
    assert_int_equal(add(providers, 1, 10, 0, 9), PG_OK); // still does
    assert_int_equal(get(providers, 1, 10, found), 3);
    assert_int_equal(number_of(found[0]), 10);
    assert_int_equal(number_of(found[1]), 12);
    assert_int_equal(number_of(found[2]), 11);
    assert_int_equal(pg_dht_provider_addrs(found[0], addrs), 1);
    pg_multiaddr addr = addr_of("/ip4/192.0.2.1/tcp/4001");
    assert_true(pg_bytes_equal(addrs[0], pg_multiaddr_bytes(&addr)));
    assert_int_equal(get(providers, 2, 10, found), 0);
    assert_int_equal(providers->count, 3);
    providers_free(providers);
}

static void test_providers__expired__are_gone(void **state)
{
    (void) state;
    pg_dht_providers *providers = providers_new();
    const pg_dht_provider *found[PG_DHT_KEY_PROVIDERS_MAX];
    assert_int_equal(add(providers, 1, 10, 0, 0), PG_OK);
    assert_int_equal(add(providers, 1, 11, 0, 500), PG_OK);
    assert_int_equal(get(providers, 1, 1000, found), 1);
    assert_int_equal(pg_dht_providers_expire(providers, 1000, 10), 1);
    assert_int_equal(pg_dht_providers_expire(providers, 2000, 10), 1);
    assert_int_equal(providers->count, 0);
    assert_int_equal(pg_map_count(&providers->keys), 0);
    assert_int_equal(pg_map_count(&providers->peers), 0);
    providers_free(providers);
}

static void test_providers__one_key__drops_the_oldest(void **state)
{
    (void) state;
    pg_dht_providers *providers = providers_new();
    const pg_dht_provider *found[PG_DHT_KEY_PROVIDERS_MAX];
    for (uint32_t i = 0; i < PG_DHT_KEY_PROVIDERS_MAX + 5; i++) {
        assert_int_equal(add(providers, 1, i, 0, i), PG_OK);
    }
    assert_int_equal(get(providers, 1, 100, found), PG_DHT_KEY_PROVIDERS_MAX);
    assert_int_equal(number_of(found[0]), PG_DHT_KEY_PROVIDERS_MAX + 4);
    assert_int_equal(number_of(found[PG_DHT_KEY_PROVIDERS_MAX - 1]), 5);
    assert_int_equal(providers->count, PG_DHT_KEY_PROVIDERS_MAX);
    providers_free(providers);
}

static void test_providers__one_subnet__cannot_push_others_out(void **state)
{
    (void) state;
    pg_dht_providers *providers = providers_new();
    const pg_dht_provider *found[PG_DHT_KEY_PROVIDERS_MAX];
    assert_int_equal(add(providers, 1, 1, 3, 0), PG_OK);
    for (uint32_t i = 0; i < 1000; i++) {
        pg_err err = add(providers, 1, 100 + i, 9, 1 + i);
        assert_int_equal(err, i < PG_DHT_KEY_GROUP_PROVIDERS_MAX ? PG_OK : PG_ERR_LIMIT);
    }
    size_t count = get(providers, 1, 100, found);
    assert_int_equal(count, 1 + PG_DHT_KEY_GROUP_PROVIDERS_MAX);
    assert_int_equal(number_of(found[count - 1]), 1);
    assert_int_equal(pg_map_count(&providers->peers), 1 + PG_DHT_KEY_GROUP_PROVIDERS_MAX);
    providers_free(providers);
}

static void test_providers__full_store__farther_keys_make_room(void **state)
{
    (void) state;
    pg_dht_providers *providers = providers_new();
    providers->count_max = 50;
    for (uint32_t key = 0; key < 5000; key++) {
        pg_err err = add(providers, key, 1, 0, key);
        assert_true(err == PG_OK || err == PG_ERR_FULL);
        assert_true(providers->count <= 50);
    }
    assert_int_equal(providers->count, 50);
    assert_true(pg_list_is_empty(&providers->ranks[0])); // far keys are gone
    assert_true(providers->evicted > 0);
    assert_true(providers->refused > 0);
    providers_free(providers);
}

static void test_providers__one_peer__gets_its_share(void **state)
{
    (void) state;
    pg_dht_providers *providers = providers_new();
    for (uint32_t key = 0; key < PG_DHT_PEER_PROVIDERS_MAX; key++) {
        assert_int_equal(add(providers, key, 1, 0, 0), PG_OK);
    }
    assert_int_equal(add(providers, PG_DHT_PEER_PROVIDERS_MAX, 1, 0, 0), PG_ERR_LIMIT);
    assert_int_equal(add(providers, PG_DHT_PEER_PROVIDERS_MAX, 2, 0, 0), PG_OK);
    providers_free(providers);
}

static void test_providers__restored__as_they_were(void **state)
{
    (void) state;
    pg_dht_providers *providers = providers_new();
    pg_dht_providers *copy = providers_new();
    const pg_dht_provider *found[PG_DHT_KEY_PROVIDERS_MAX];
    const pg_dht_provider *again[PG_DHT_KEY_PROVIDERS_MAX];
    pg_bytes addrs[PG_DHT_ADDRS_MAX];
    uint32_t key = 1;
    assert_int_equal(add(providers, key, 10, 0, 0), PG_OK);
    assert_int_equal(get(providers, key, 1, found), 1);
    assert_int_equal(pg_dht_providers_restore(copy, pg_bytes_make(&key, sizeof(key)), found[0]),
                     PG_OK);
    assert_int_equal(get(copy, key, 1, again), 1);
    assert_int_equal(again[0]->expires_at, TTL);
    assert_int_equal(number_of(again[0]), 10);
    assert_int_equal(pg_dht_provider_addrs(again[0], addrs), 1);
    providers_free(providers);
    providers_free(copy);
}

static void test_providers__no_memory__nothing_is_half_there(void **state)
{
    (void) state;
    for (uint64_t nth = 1;; nth++) {
        pg_dht_providers *providers = providers_new();
        pg_mem_fail_nth(nth);
        pg_err err = add(providers, 1, 1, 0, 0);
        bool failed = pg_mem_failed();
        pg_mem_fail_nth(0);
        assert_true(err == PG_OK || err == PG_ERR_NOMEM);
        size_t want = err == PG_OK ? 1 : 0;
        assert_int_equal(providers->count, want);
        assert_int_equal(pg_map_count(&providers->keys), want);
        assert_int_equal(pg_map_count(&providers->peers), want);
        providers_free(providers);
        if (!failed) {
            break;
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_providers__several__freshest_first_with_addresses),
        cmocka_unit_test(test_providers__expired__are_gone),
        cmocka_unit_test(test_providers__one_key__drops_the_oldest),
        cmocka_unit_test(test_providers__one_subnet__cannot_push_others_out),
        cmocka_unit_test(test_providers__full_store__farther_keys_make_room),
        cmocka_unit_test(test_providers__one_peer__gets_its_share),
        cmocka_unit_test(test_providers__restored__as_they_were),
        cmocka_unit_test(test_providers__no_memory__nothing_is_half_there),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
