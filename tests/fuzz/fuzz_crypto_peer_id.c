// SPDX-License-Identifier: Apache-2.0
// Goal: a PeerId that is taken has exactly the bytes of the input.
#include "crypto/peer_id.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    pg_peer_id id = {0};
    if (pg_peer_id_decode(pg_bytes_make(data, size), &id) == PG_OK) {
        FUZZ_CHECK(pg_bytes_equal(pg_peer_id_bytes(&id), pg_bytes_make(data, size)));
    }
    return 0;
}
