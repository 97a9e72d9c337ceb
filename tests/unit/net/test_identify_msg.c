// SPDX-License-Identifier: Apache-2.0
// Goal: identify messages survive the way there and back, several merge as one, and hostile ones are bounded.
// Method: direct calls; one message written by hand from the field numbers of the specification.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "codec/frame.h"
#include "net/identify_msg.h"
#include "net/limits.h"

static void test_identify_msg__all_fields__come_back(void **state)
{
    (void) state;
    const pg_bytes addrs[] = {PG_BYTES_LIT("\x04\x7f\x00\x00\x01\x06\x0f\xa1"), PG_BYTES_LIT("?")};
    const pg_bytes protocols[] = {PG_BYTES_LIT("/a/1"), PG_BYTES_LIT("/b/1")};
    const pg_identify_msg msg = {
        .public_key = PG_BYTES_LIT("key"),
        .listen_addrs = addrs,
        .listen_addr_count = 2,
        .protocols = protocols,
        .protocol_count = 2,
        .observed_addr = PG_BYTES_LIT("seen"),
        .protocol_version = PG_BYTES_LIT("ipfs/0.1.0"),
        .agent_version = PG_BYTES_LIT("pangea/1"),
        .signed_peer_record = PG_BYTES_LIT("record"),
    };
    pg_buf buf = {0};
    assert_int_equal(pg_identify_msg_append(&buf, &msg), PG_OK);
    pg_bytes body;
    size_t len = 0;
    assert_int_equal(pg_frame_decode(pg_buf_bytes(&buf), 4096, &body, &len), PG_OK);
    assert_int_equal(len, buf.len);
    pg_arena arena = pg_arena_make(65536);
    pg_identify_msg back;
    assert_int_equal(pg_identify_msg_decode(body, &arena, &back), PG_OK);
    assert_true(pg_bytes_equal(back.public_key, msg.public_key));
    assert_int_equal(back.listen_addr_count, 2);
    assert_true(pg_bytes_equal(back.listen_addrs[0], addrs[0]));
    assert_int_equal(back.protocol_count, 2);
    assert_true(pg_bytes_equal(back.protocols[1], protocols[1]));
    assert_true(pg_bytes_equal(back.observed_addr, msg.observed_addr));
    assert_true(pg_bytes_equal(back.protocol_version, msg.protocol_version));
    assert_true(pg_bytes_equal(back.agent_version, msg.agent_version));
    assert_true(pg_bytes_equal(back.signed_peer_record, msg.signed_peer_record));
    pg_arena_deinit(&arena);
    pg_buf_deinit(&buf);
}

static void test_identify_msg__two_in_a_row__merge(void **state)
{
    (void) state;
    // agent "old", protocol "/a"; then agent "new", protocol "/b", an unknown field 7
    const pg_bytes bytes = PG_BYTES_LIT("\x32\x03old\x1a\x02/a\x32\x03new\x1a\x02/b\x3a\x01x");
    pg_arena arena = pg_arena_make(65536);
    pg_identify_msg msg;
    assert_int_equal(pg_identify_msg_decode(bytes, &arena, &msg), PG_OK);
    assert_true(pg_bytes_equal(msg.agent_version, PG_BYTES_LIT("new")));
    assert_int_equal(msg.protocol_count, 2);
    assert_true(pg_bytes_equal(msg.protocols[0], PG_BYTES_LIT("/a")));
    assert_int_equal(msg.public_key.len, 0);
    assert_null(msg.listen_addrs);
    pg_arena_deinit(&arena);
}

static void test_identify_msg__hostile__is_refused_within_bounds(void **state)
{
    (void) state;
    pg_arena arena = pg_arena_make(PG_NET_IDENTIFY_MEMORY_BYTES_MAX);
    pg_identify_msg msg;
    assert_int_equal(pg_identify_msg_decode(PG_BYTES_LIT("\x0a\x7f"), &arena, &msg),
                     PG_ERR_MALFORMED);
    size_t big_len = (size_t) PG_NET_IDENTIFY_MESSAGES_MAX * PG_NET_IDENTIFY_BYTES_MAX + 2;
    uint8_t *big = pg_malloc(big_len);
    assert_non_null(big);
    for (size_t i = 0; i < big_len; i += 2) {
        big[i] = 0x1a; // an empty protocol
        big[i + 1] = 0;
    }
    assert_int_equal(pg_identify_msg_decode(pg_bytes_make(big, big_len), &arena, &msg),
                     PG_ERR_LIMIT);
    assert_int_equal(pg_identify_msg_decode(pg_bytes_make(big, big_len - 2), &arena, &msg),
                     PG_ERR_LIMIT); // 40,960 entries of 32 bytes and more
    assert_true(arena.used_bytes <= arena.max_bytes);
    pg_mfree(big);
    pg_arena_deinit(&arena);
}

static void test_identify_msg__too_long_to_send__is_refused(void **state)
{
    (void) state;
    static const uint8_t big[PG_NET_IDENTIFY_SEND_BYTES_MAX];
    const pg_identify_msg msg = {.signed_peer_record = PG_BYTES_OF(big)};
    pg_buf buf = {0};
    assert_int_equal(pg_identify_msg_append(&buf, &msg), PG_ERR_LIMIT);
    assert_int_equal(buf.len, 0);
    pg_mem_fail_nth(1);
    assert_int_equal(pg_identify_msg_append(&buf, &msg), PG_ERR_NOMEM);
    pg_mem_fail_nth(0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_identify_msg__all_fields__come_back),
        cmocka_unit_test(test_identify_msg__two_in_a_row__merge),
        cmocka_unit_test(test_identify_msg__hostile__is_refused_within_bounds),
        cmocka_unit_test(test_identify_msg__too_long_to_send__is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
