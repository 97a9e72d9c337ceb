// SPDX-License-Identifier: Apache-2.0
// Goal: what is read as a PeerId is written and read again as the same.
#include <string.h>

#include "crypto/peer_id_text.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    pg_peer_id id;
    pg_peer_id back;
    char text[PG_PEER_ID_TEXT_BYTES];
    if (pg_peer_id_parse(pg_str_make_len((const char *) data, size), &id) == PG_OK) {
        pg_peer_id_format(&id, text);
        FUZZ_CHECK(pg_peer_id_parse(pg_str_make(text), &back) == PG_OK);
        FUZZ_CHECK(pg_peer_id_equal(&id, &back));
    }
    return 0;
}
