// SPDX-License-Identifier: Apache-2.0
// Goal: whatever a store answers, names and texts that are read of it are bounded, printable and NUL-terminated, and a list that goes on tells how.
#include <string.h>

#include "base/str.h"
#include "fuzz.h"
#include "store/s3_xml.h"

static pg_err on_object(const char *name, uint64_t bytes, void *user)
{
    size_t *count = user;
    FUZZ_CHECK(strnlen(name, PG_S3_NAME_BYTES_MAX + 1) <= PG_S3_NAME_BYTES_MAX);
    FUZZ_CHECK(bytes <= INT64_MAX);
    (*count)++;
    return PG_OK;
}

static void text_check(const char *text, size_t room)
{
    size_t len = strnlen(text, room);
    FUZZ_CHECK(len < room);
    for (size_t at = 0; at < len;) {
        size_t step = pg_str_printable_len(pg_str_make_len(text + at, len - at));
        FUZZ_CHECK(step > 0);
        at += step;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    pg_bytes in = pg_bytes_make(data, size);
    pg_s3_error error;
    pg_s3_list list;
    size_t count = 0;
    if (pg_s3_error_decode(in, &error) == PG_OK) {
        text_check(error.code, sizeof(error.code));
        text_check(error.message, sizeof(error.message));
        text_check(error.region, sizeof(error.region));
        FUZZ_CHECK(error.code[0] != '\0');
    }
    if (pg_s3_list_decode(in, on_object, &count, &list) == PG_OK) {
        FUZZ_CHECK(strnlen(list.token, sizeof(list.token)) < sizeof(list.token));
        FUZZ_CHECK(!list.is_truncated || list.token[0] != '\0');
        FUZZ_CHECK(count <= size / sizeof("<Contents>"));
    }
    return 0;
}
