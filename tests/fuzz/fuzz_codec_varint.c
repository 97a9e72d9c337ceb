// SPDX-License-Identifier: Apache-2.0
// Goal: a varint that is read writes the same bytes again; a frame that is read holds what its length says; the reader
// agrees with the decoder.
#include "codec/frame.h"
#include "codec/varint.h"
#include "fuzz.h"

static void check_varint(pg_bytes in)
{
    uint64_t value = 0;
    size_t len = 0;
    pg_err err = pg_uvarint_decode(in, &value, &len);
    pg_reader reader = pg_reader_make(in);
    uint64_t read = 0;
    FUZZ_CHECK(pg_reader_uvarint(&reader, UINT64_MAX, &read) == err);
    if (err != PG_OK) {
        return;
    }
    uint8_t space[PG_UVARINT_BYTES_MAX];
    pg_writer writer = pg_writer_make(PG_MUT_BYTES_OF(space));
    pg_writer_uvarint(&writer, value);
    FUZZ_CHECK(!writer.failed && len == pg_uvarint_len(value) && read == value);
    FUZZ_CHECK(pg_bytes_equal(pg_writer_bytes(&writer), pg_bytes_slice(in, 0, len)));
}

static void check_frames(pg_bytes in)
{
    pg_buf out = {0};
    pg_bytes body = PG_BYTES_EMPTY;
    pg_bytes rest = in;
    size_t len = 0;
    while (pg_frame_decode(rest, 4096, &body, &len) == PG_OK) {
        FUZZ_CHECK(body.len <= 4096 && len > body.len && len <= rest.len);
        FUZZ_CHECK(pg_frame_append(&out, body) == PG_OK);
        rest = pg_bytes_slice(rest, len, rest.len);
    }
    FUZZ_CHECK(pg_bytes_equal(pg_buf_bytes(&out), pg_bytes_slice(in, 0, in.len - rest.len)));
    pg_buf_deinit(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    check_varint(pg_bytes_make(data, size));
    check_frames(pg_bytes_make(data, size));
    return 0;
}
