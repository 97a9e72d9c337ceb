// SPDX-License-Identifier: Apache-2.0
// Goal: no certificate breaks the reader, and one that is believed names somebody by a key that is read again.
#include "crypto/tls_certificate.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    pg_tls_peer peer = {0};
    if (pg_tls_certificate_decode(pg_bytes_make(data, size), INT64_C(1800000000000), &peer) ==
        PG_OK) {
        pg_public_key key;
        FUZZ_CHECK(peer.id.len != 0);
        FUZZ_CHECK(pg_public_key_decode(pg_bytes_make(peer.public_key, peer.public_key_len),
                                        &key) == PG_OK);
    }
    return 0;
}
