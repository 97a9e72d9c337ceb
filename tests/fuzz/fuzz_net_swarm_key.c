// SPDX-License-Identifier: Apache-2.0
// Goal: a key that pg_swarm_key_parse accepts reads as the same key when it is written in base 16.
#include <string.h>

#include "base/str.h"
#include "fuzz.h"
#include "net/pnet.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    pg_key key;
    if (pg_swarm_key_parse(pg_bytes_make(data, size), &key) != PG_OK) {
        return 0;
    }
    char hex[2 * PG_KEY_BYTES + 1];
    pg_hex_encode(pg_key_bytes(&key), hex);
    pg_buf text = {0};
    FUZZ_CHECK(pg_buf_printf(&text, "/key/swarm/psk/1.0.0/\r\n/base16/\n%s\n\n", hex) == PG_OK);
    pg_key back;
    FUZZ_CHECK(pg_swarm_key_parse(pg_buf_bytes(&text), &back) == PG_OK);
    FUZZ_CHECK(memcmp(key.bytes, back.bytes, PG_KEY_BYTES) == 0);
    pg_buf_deinit(&text);
    return 0;
}
