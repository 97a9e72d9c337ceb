// SPDX-License-Identifier: Apache-2.0
// Goal: messages decode within their memory; what decodes encodes and decodes to the same, within the size that was foretold.
#include "codec/frame.h"
#include "dht/limits.h"
#include "dht/message.h"
#include "fuzz.h"

static size_t peers_check(const pg_dht_peer_info *a, size_t a_count, const pg_dht_peer_info *b,
                          size_t b_count)
{
    size_t bytes = 0;
    FUZZ_CHECK(a_count == b_count);
    for (size_t i = 0; i < a_count; i++) {
        FUZZ_CHECK(pg_bytes_equal(a[i].id, b[i].id));
        FUZZ_CHECK(a[i].link == b[i].link);
        FUZZ_CHECK(a[i].addr_count == b[i].addr_count);
        for (size_t k = 0; k < a[i].addr_count; k++) {
            FUZZ_CHECK(pg_bytes_equal(a[i].addrs[k], b[i].addrs[k]));
        }
        bytes += pg_dht_peer_info_bytes(&a[i]) + 6; // `link` may be any number here
    }
    return bytes;
}

static void round_trip(const pg_dht_msg *msg)
{
    pg_arena arena = pg_arena_make(PG_DHT_REPLY_MEMORY_BYTES_MAX);
    pg_buf buf = {0};
    pg_dht_msg back;
    pg_bytes body = PG_BYTES_EMPTY;
    size_t len = 0;
    if (pg_dht_msg_append(&buf, msg) == PG_OK) {
        FUZZ_CHECK(pg_frame_decode(pg_buf_bytes(&buf), buf.len, &body, &len) == PG_OK);
        FUZZ_CHECK(pg_dht_msg_decode(body, &arena, &back) == PG_OK);
        FUZZ_CHECK(msg->type == back.type);
        FUZZ_CHECK(pg_bytes_equal(msg->key, back.key));
        FUZZ_CHECK(msg->has_record == back.has_record);
        FUZZ_CHECK(pg_bytes_equal(msg->record_key, back.record_key));
        FUZZ_CHECK(pg_bytes_equal(msg->record_value, back.record_value));
        FUZZ_CHECK(pg_bytes_equal(msg->record_time, back.record_time));
        size_t most =
            64 + msg->key.len + msg->record_key.len + msg->record_value.len + msg->record_time.len;
        most += peers_check(msg->closer, msg->closer_count, back.closer, back.closer_count);
        most +=
            peers_check(msg->providers, msg->provider_count, back.providers, back.provider_count);
        FUZZ_CHECK(body.len <= most);
    }
    pg_buf_deinit(&buf);
    pg_arena_deinit(&arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    pg_arena arena = pg_arena_make(PG_DHT_REQUEST_MEMORY_BYTES_MAX);
    pg_dht_msg msg;
    if (pg_dht_msg_decode(pg_bytes_make(data, size), &arena, &msg) == PG_OK) {
        round_trip(&msg);
    }
    FUZZ_CHECK(arena.used_bytes <= arena.max_bytes);
    pg_arena_deinit(&arena);
    return 0;
}
