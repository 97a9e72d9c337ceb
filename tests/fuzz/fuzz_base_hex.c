// SPDX-License-Identifier: Apache-2.0
// Goal: what pg_hex_decode accepts has the right length and encodes back to itself but for the case of letters.
#include <ctype.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t half = size / 2;
    uint8_t *bytes = pg_malloc(half);
    char *text = pg_malloc(2 * half + 1);
    FUZZ_CHECK(bytes != NULL && text != NULL);
    pg_str input = pg_str_make_len((const char *) data, size);
    pg_err err = pg_hex_decode(input, (pg_mut_bytes){bytes, half});
    if (err == PG_OK) {
        FUZZ_CHECK(size % 2 == 0);
        pg_hex_encode(pg_bytes_make(bytes, half), text);
        for (size_t i = 0; i < size; i++) {
            FUZZ_CHECK(text[i] == tolower(data[i]));
        }
    }
    pg_mfree(text);
    pg_mfree(bytes);
    return 0;
}
