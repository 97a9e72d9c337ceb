// SPDX-License-Identifier: Apache-2.0
// Goal: text that is read in any base writes the same text again, but for the case of letters in bases 16 and 32; bytes
// that are written read back.
#include <ctype.h>

#include "codec/multibase.h"
#include "fuzz.h"

static void check_text(pg_str text)
{
    uint8_t bytes[PG_BASE_BYTES_MAX];
    pg_base base = PG_BASE_COUNT;
    size_t len = 0;
    if (pg_multibase_decode(text, PG_MUT_BYTES_OF(bytes), &base, &len) != PG_OK) {
        return;
    }
    char again[PG_BASE_TEXT_BYTES];
    pg_writer writer = pg_writer_make(PG_MUT_BYTES_OF(again));
    pg_writer_multibase(&writer, base, pg_bytes_make(bytes, len));
    FUZZ_CHECK(!writer.failed && writer.len == text.len);
    bool any_case = base == PG_BASE_16 || base == PG_BASE_32;
    for (size_t i = 0; i < text.len; i++) {
        int c = (unsigned char) text.ptr[i];
        FUZZ_CHECK(again[i] == (any_case ? tolower(c) : c));
    }
}

static void check_bytes(pg_base base, pg_bytes in)
{
    char text[PG_BASE_TEXT_BYTES];
    uint8_t out[PG_BASE_BYTES_MAX];
    size_t len = 0;
    pg_writer writer = pg_writer_make(PG_MUT_BYTES_OF(text));
    pg_writer_base(&writer, base, in);
    if (in.len > PG_BASE_BYTES_MAX) {
        FUZZ_CHECK(writer.failed);
        return;
    }
    FUZZ_CHECK(pg_base_decode(base, pg_str_make_len(text, writer.len), PG_MUT_BYTES_OF(out),
                              &len) == PG_OK);
    FUZZ_CHECK(pg_bytes_equal(in, pg_bytes_make(out, len)));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    check_text(pg_str_make_len((const char *) data, size));
    for (pg_base base = PG_BASE_16; base < PG_BASE_COUNT; base++) {
        check_bytes(base, pg_bytes_make(data, size));
    }
    return 0;
}
