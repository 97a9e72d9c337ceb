// SPDX-License-Identifier: Apache-2.0
// Goal: no head of a placement message does harm; one that is read, written and read again says the same.
#include "codec/frame.h"
#include "exchange/place_msg.h"
#include "fuzz.h"

static pg_bytes body_of(const pg_buf *framed)
{
    pg_bytes body = PG_BYTES_EMPTY;
    size_t len = 0;
    FUZZ_CHECK(pg_frame_decode(pg_buf_bytes(framed), PG_PLACE_HEAD_BYTES_MAX, &body, &len) ==
               PG_OK);
    return body;
}

// Reads `in` and appends what it says to `out`; returns whether it was a request.
static bool request_rewrite(pg_bytes in, pg_buf *out)
{
    pg_arena arena = pg_arena_make(PG_PLACE_ARENA_BYTES);
    pg_place_request request;
    pg_err err = pg_place_request_decode(in, &arena, &request);
    if (err == PG_OK) {
        FUZZ_CHECK(pg_place_request_encode(&request, out) == PG_OK);
    }
    pg_arena_deinit(&arena);
    return err == PG_OK;
}

static bool response_rewrite(pg_bytes in, pg_buf *out)
{
    pg_arena arena = pg_arena_make(PG_PLACE_ARENA_BYTES);
    pg_place_response response;
    pg_err err = pg_place_response_decode(in, &arena, &response);
    if (err == PG_OK) {
        FUZZ_CHECK(pg_place_response_encode(&response, out) == PG_OK);
    }
    pg_arena_deinit(&arena);
    return err == PG_OK;
}

static void twice(bool (*rewrite)(pg_bytes in, pg_buf *out), pg_bytes in)
{
    pg_buf first = {0};
    pg_buf second = {0};
    if (rewrite(in, &first)) {
        FUZZ_CHECK(rewrite(body_of(&first), &second));
        FUZZ_CHECK(pg_bytes_equal(pg_buf_bytes(&first), pg_buf_bytes(&second)));
    }
    pg_buf_deinit(&first);
    pg_buf_deinit(&second);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    twice(request_rewrite, pg_bytes_make(data, size));
    twice(response_rewrite, pg_bytes_make(data, size));
    return 0;
}
