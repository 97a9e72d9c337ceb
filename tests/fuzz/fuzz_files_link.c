// SPDX-License-Identifier: Apache-2.0
// Goal: a link that is read has exactly one spelling, the one that is written.
#include <string.h>

#include "files/link.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    pg_link link;
    char text[PG_LINK_TEXT_BYTES];
    if (pg_link_parse(pg_str_make_len((const char *) data, size), &link) == PG_OK) {
        pg_link_format(&link, text);
        FUZZ_CHECK(size == PG_LINK_CHARS && memcmp(text, data, size) == 0);
        pg_link_wipe(&link);
    }
    return 0;
}
