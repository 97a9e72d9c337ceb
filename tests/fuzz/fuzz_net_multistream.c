// SPDX-License-Identifier: Apache-2.0
// Goal: what pg_multistream_decode accepts is within its limit and encodes back to itself.
#include "base/bytes.h"
#include "fuzz.h"
#include "net/limits.h"
#include "net/multistream.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    pg_bytes in = pg_bytes_make(data, size);
    pg_str text = PG_STR("");
    size_t len = 0;
    if (pg_multistream_decode(in, &text, &len) != PG_OK) {
        return 0;
    }
    FUZZ_CHECK(text.len < PG_NET_MULTISTREAM_BYTES_MAX && len <= size);
    pg_buf back = {0};
    FUZZ_CHECK(pg_multistream_encode(text, &back) == PG_OK);
    FUZZ_CHECK(pg_bytes_equal(pg_buf_bytes(&back), pg_bytes_slice(in, 0, len)));
    pg_buf_deinit(&back);
    return 0;
}
