// SPDX-License-Identifier: Apache-2.0
// Goal: identify messages decode within their memory; what decodes and is short enough to send encodes and decodes to the same.
#include "codec/frame.h"
#include "fuzz.h"
#include "net/identify_msg.h"
#include "net/limits.h"

static void check_equal(const pg_bytes *a, size_t a_count, const pg_bytes *b, size_t b_count)
{
    FUZZ_CHECK(a_count == b_count);
    for (size_t i = 0; i < a_count; i++) {
        FUZZ_CHECK(pg_bytes_equal(a[i], b[i]));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    pg_arena arena = pg_arena_make(PG_NET_IDENTIFY_MEMORY_BYTES_MAX);
    pg_arena again = pg_arena_make(PG_NET_IDENTIFY_MEMORY_BYTES_MAX);
    pg_buf buf = {0};
    pg_identify_msg msg;
    pg_identify_msg back;
    if (pg_identify_msg_decode(pg_bytes_make(data, size), &arena, &msg) == PG_OK &&
        pg_identify_msg_append(&buf, &msg) == PG_OK) {
        pg_bytes body;
        size_t len = 0;
        FUZZ_CHECK(pg_frame_decode(pg_buf_bytes(&buf), buf.len, &body, &len) == PG_OK);
        FUZZ_CHECK(pg_identify_msg_decode(body, &again, &back) == PG_OK);
        check_equal(msg.listen_addrs, msg.listen_addr_count, back.listen_addrs,
                    back.listen_addr_count);
        check_equal(msg.protocols, msg.protocol_count, back.protocols, back.protocol_count);
        FUZZ_CHECK(pg_bytes_equal(msg.public_key, back.public_key));
        FUZZ_CHECK(pg_bytes_equal(msg.signed_peer_record, back.signed_peer_record));
    }
    FUZZ_CHECK(arena.used_bytes <= arena.max_bytes);
    pg_buf_deinit(&buf);
    pg_arena_deinit(&arena);
    pg_arena_deinit(&again);
    return 0;
}
