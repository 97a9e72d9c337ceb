// SPDX-License-Identifier: Apache-2.0
// Goal: what lies behind a good signature is read as safely as what lies before it: any payload of a peer record or a
// certificate, signed by the fuzzer itself, ends in a verdict and in bounded memory.
// Input: one byte (bit 0: certificate), then the payload.
#include "crypto/certificate.h"
#include "crypto/peer_record.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0 || size > 8192) {
        return 0;
    }
    bool is_certificate = (data[0] & 1) != 0;
    pg_key seed = {{1}};
    pg_identity identity = {0};
    pg_buf sealed = {0};
    FUZZ_CHECK(pg_identity_init(&identity, &seed) == PG_OK);
    pg_bytes domain =
        is_certificate ? PG_BYTES_LIT("pangea-device-cert") : PG_BYTES_LIT("libp2p-peer-record");
    pg_bytes type = is_certificate ? PG_BYTES_LIT("/pangea/device-cert") : PG_BYTES_LIT("\x03\x01");
    FUZZ_CHECK(pg_envelope_seal(&identity, domain, type, pg_bytes_make(data + 1, size - 1),
                                &sealed) == PG_OK);
    pg_certificate certificate = {0};
    pg_peer_record record = {0};
    pg_arena arena = pg_arena_make(PG_PEER_RECORD_ARENA_BYTES);
    if (is_certificate) {
        if (pg_certificate_decode(pg_buf_bytes(&sealed), &certificate) == PG_OK) {
            FUZZ_CHECK(pg_peer_id_equal(&certificate.person, &identity.peer_id));
        }
    } else if (pg_peer_record_decode(pg_buf_bytes(&sealed), &arena, &record) == PG_OK) {
        FUZZ_CHECK(pg_peer_id_equal(&record.peer, &identity.peer_id));
    }
    pg_arena_deinit(&arena);
    pg_buf_deinit(&sealed);
    pg_identity_deinit(&identity);
    return 0;
}
