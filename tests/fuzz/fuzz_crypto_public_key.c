// SPDX-License-Identifier: Apache-2.0
// Goal: a public key that is taken is canonical, its PeerId reads back, and verifying under it ends in a verdict.
#include "crypto/peer_id.h"
#include "crypto/public_key.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    pg_public_key key = {0};
    if (pg_public_key_decode(pg_bytes_make(data, size), &key) != PG_OK) {
        return 0;
    }
    FUZZ_CHECK(key.data.ptr > data && key.data.ptr + key.data.len == data + size);
    if (key.type == PG_KEY_TYPE_ED25519) {
        uint8_t encoded[PG_ED25519_ENCODED_BYTES];
        pg_public_key_encode_ed25519(key.data.ptr, encoded);
        FUZZ_CHECK(pg_bytes_equal(PG_BYTES_OF(encoded), pg_bytes_make(data, size)));
    }
    pg_peer_id id = {0};
    pg_peer_id back = {0};
    pg_peer_id_of_key(pg_bytes_make(data, size), &id);
    FUZZ_CHECK(pg_peer_id_decode(pg_peer_id_bytes(&id), &back) == PG_OK);
    FUZZ_CHECK(pg_peer_id_equal(&id, &back));
    const uint8_t signature[PG_ED25519_SIGNATURE_BYTES] = {0};
    FUZZ_CHECK(pg_public_key_verify(&key, pg_bytes_make(data, size), PG_BYTES_OF(signature)) !=
               PG_OK);
    return 0;
}
