// SPDX-License-Identifier: Apache-2.0
// Goal: a private key that is taken encodes back to the input, but for the older form with the public key twice.
#include "crypto/identity.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    pg_identity identity = {0};
    if (pg_identity_private_decode(pg_bytes_make(data, size), &identity) != PG_OK) {
        return 0;
    }
    uint8_t encoded[PG_IDENTITY_PRIVATE_BYTES];
    pg_identity_private_encode(&identity, encoded);
    if (size == sizeof(encoded)) {
        FUZZ_CHECK(pg_bytes_equal(PG_BYTES_OF(encoded), pg_bytes_make(data, size)));
    }
    pg_identity_deinit(&identity);
    return 0;
}
