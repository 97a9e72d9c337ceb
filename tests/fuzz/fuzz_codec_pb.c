// SPDX-License-Identifier: Apache-2.0
// Goal: a message that is read, written and read again writes the same bytes, and what is read as exact is written as it was; none takes
// more than its arena. What
// protobuf-c writes of a field with number 0 it does not read again: see codec/pb.h.
#include "codec/pb.h"
#include "fuzz.h"
#include "sample.pb-c.h"

#define ARENA_BYTES (1U << 20)

// Reads `in` and appends what it says to `out`; returns whether it was a message.
static bool rewrite(pg_bytes in, pg_buf *out)
{
    pg_arena arena = pg_arena_make(ARENA_BYTES);
    ProtobufCMessage *message = NULL;
    pg_err err = pg_pb_unpack(&pangea__test__sample__descriptor, in, &arena, &message);
    FUZZ_CHECK(arena.used_bytes <= ARENA_BYTES);
    if (err == PG_OK) {
        FUZZ_CHECK(pg_pb_append(out, message) == PG_OK);
    }
    if (pg_pb_unpack_exact(&pangea__test__sample__descriptor, in, &arena, &message) == PG_OK) {
        FUZZ_CHECK(pg_bytes_equal(pg_buf_bytes(out), in));
    }
    pg_arena_deinit(&arena);
    return err == PG_OK;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    pg_buf first = {0};
    pg_buf second = {0};
    if (rewrite(pg_bytes_make(data, size), &first) && rewrite(pg_buf_bytes(&first), &second)) {
        FUZZ_CHECK(pg_bytes_equal(pg_buf_bytes(&first), pg_buf_bytes(&second)));
    }
    pg_buf_deinit(&first);
    pg_buf_deinit(&second);
    return 0;
}
