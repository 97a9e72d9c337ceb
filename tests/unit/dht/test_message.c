// SPDX-License-Identifier: Apache-2.0
// Goal: messages are what the specification says on the wire, and what comes from others is bounded.
// Method: bytes written by hand, round trips, and messages over the limits.
#include "base/mem.h"
#include "dht/limits.h"
#include "dht/message.h"
#include "dht_test.h"

static pg_err decode(pg_bytes in, pg_arena *arena, pg_dht_msg *msg)
{
    *arena = pg_arena_make(PG_DHT_REQUEST_MEMORY_BYTES_MAX);
    return pg_dht_msg_decode(in, arena, msg);
}

static void test_message__find_node__is_the_bytes_others_send(void **state)
{
    (void) state;
    const uint8_t wire[] = {0x08, 0x04, 0x12, 0x03, 'k',
                            'e',  'y',  0x50, 0x00}; // field 10 is clusterLevelRaw
    pg_arena arena;
    pg_dht_msg msg;
    assert_int_equal(decode(PG_BYTES_OF(wire), &arena, &msg), PG_OK);
    assert_int_equal(msg.type, PG_DHT_MSG_FIND_NODE);
    assert_true(pg_bytes_equal(msg.key, PG_BYTES_LIT("key")));
    assert_false(msg.has_record);
    assert_int_equal(msg.closer_count, 0);
    pg_buf out = {0};
    assert_int_equal(pg_dht_msg_append(&out, &msg), PG_OK);
    assert_int_equal(out.ptr[0], 7);
    assert_memory_equal(out.ptr + 1, wire, 7);
    pg_buf_deinit(&out);
    pg_arena_deinit(&arena);
}

static void test_message__no_type__is_put_value(void **state)
{
    (void) state;
    const uint8_t wire[] = {0x12, 0x01, 'k', 0x1a, 0x06, 0x0a, 0x01, 'k', 0x12, 0x01, 'v'};
    pg_arena arena;
    pg_dht_msg msg;
    assert_int_equal(decode(PG_BYTES_OF(wire), &arena, &msg), PG_OK);
    assert_int_equal(msg.type, PG_DHT_MSG_PUT_VALUE);
    assert_true(msg.has_record);
    assert_true(pg_bytes_equal(msg.record_key, PG_BYTES_LIT("k")));
    assert_true(pg_bytes_equal(msg.record_value, PG_BYTES_LIT("v")));
    pg_arena_deinit(&arena);
}

static void test_message__unknown_type__is_unsupported(void **state)
{
    (void) state;
    const uint8_t wire[] = {0x08, 0x06};
    pg_arena arena;
    pg_dht_msg msg;
    assert_int_equal(decode(PG_BYTES_OF(wire), &arena, &msg), PG_ERR_UNSUPPORTED);
    pg_arena_deinit(&arena);
}

static void test_message__cut__is_malformed(void **state)
{
    (void) state;
    const uint8_t wire[] = {0x08, 0x04, 0x12, 0x09, 'k'};
    pg_arena arena;
    pg_dht_msg msg;
    assert_int_equal(decode(PG_BYTES_OF(wire), &arena, &msg), PG_ERR_MALFORMED);
    pg_arena_deinit(&arena);
}

static void test_message__everything__comes_back(void **state)
{
    (void) state;
    const pg_bytes addrs[] = {PG_BYTES_LIT("one"), PG_BYTES_LIT("two")};
    const pg_dht_peer_info closer[] = {
        {.id = PG_BYTES_LIT("a"), .addrs = addrs, .addr_count = 2, .link = PG_DHT_LINK_CONNECTED},
        {.id = PG_BYTES_LIT("b")},
    };
    const pg_dht_peer_info provider = {.id = PG_BYTES_LIT("c"), .addrs = addrs, .addr_count = 1};
    const pg_dht_msg msg = {
        .type = PG_DHT_MSG_GET_PROVIDERS,
        .key = PG_BYTES_LIT("key"),
        .has_record = true,
        .record_key = PG_BYTES_LIT("rk"),
        .record_value = PG_BYTES_LIT("rv"),
        .record_time = PG_BYTES_LIT("rt"),
        .closer = closer,
        .closer_count = 2,
        .providers = &provider,
        .provider_count = 1,
    };
    pg_buf out = {0};
    pg_arena arena;
    pg_dht_msg back;
    assert_int_equal(pg_dht_msg_append(&out, &msg), PG_OK);
    assert_int_equal(decode(pg_bytes_slice(pg_buf_bytes(&out), 1, out.len), &arena, &back), PG_OK);
    assert_int_equal(back.type, msg.type);
    assert_true(pg_bytes_equal(back.record_time, msg.record_time));
    assert_int_equal(back.closer_count, 2);
    assert_int_equal(back.closer[0].link, PG_DHT_LINK_CONNECTED);
    assert_int_equal(back.closer[0].addr_count, 2);
    assert_true(pg_bytes_equal(back.closer[0].addrs[1], addrs[1]));
    assert_int_equal(back.closer[1].addr_count, 0);
    assert_true(pg_bytes_equal(back.providers[0].id, provider.id));
    size_t bound = pg_dht_peer_info_bytes(&closer[0]) + pg_dht_peer_info_bytes(&closer[1]) +
                   pg_dht_peer_info_bytes(&provider) + 40;
    assert_true(out.len <= bound);
    pg_buf_deinit(&out);
    pg_arena_deinit(&arena);
}

static void test_message__thousands_of_tiny_peers__stay_within_the_arena(void **state)
{
    (void) state;
    size_t len = PG_DHT_REQUEST_BYTES_MAX;
    uint8_t *wire = pg_malloc(len);
    for (size_t i = 0; i + 1 < len; i += 2) {
        wire[i] = 0x42; // field 8, empty
        wire[i + 1] = 0;
    }
    pg_arena arena;
    pg_dht_msg msg;
    assert_int_equal(decode(pg_bytes_make(wire, len), &arena, &msg), PG_ERR_LIMIT);
    assert_true(arena.used_bytes <= arena.max_bytes);
    pg_arena_deinit(&arena);
    pg_mfree(wire);
}

static void test_message__no_memory__says_so(void **state)
{
    (void) state;
    const pg_dht_peer_info closer = {.id = PG_BYTES_LIT("a")};
    const pg_dht_msg msg = {.type = PG_DHT_MSG_FIND_NODE, .closer = &closer, .closer_count = 1};
    pg_buf out = {0};
    pg_mem_fail_nth(1);
    assert_int_equal(pg_dht_msg_append(&out, &msg), PG_ERR_NOMEM);
    pg_mem_fail_nth(0);
    pg_buf_deinit(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_message__find_node__is_the_bytes_others_send),
        cmocka_unit_test(test_message__no_type__is_put_value),
        cmocka_unit_test(test_message__unknown_type__is_unsupported),
        cmocka_unit_test(test_message__cut__is_malformed),
        cmocka_unit_test(test_message__everything__comes_back),
        cmocka_unit_test(test_message__thousands_of_tiny_peers__stay_within_the_arena),
        cmocka_unit_test(test_message__no_memory__says_so),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
