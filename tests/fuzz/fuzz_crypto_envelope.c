// SPDX-License-Identifier: Apache-2.0
// Goal: an envelope that opens shows only its own bytes; peer records and certificates that open encode again.
#include "crypto/certificate.h"
#include "crypto/peer_record.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    pg_bytes in = pg_bytes_make(data, size);
    pg_arena arena = pg_arena_make(PG_PEER_RECORD_ARENA_BYTES);
    pg_envelope envelope = {0};
    if (pg_envelope_decode(in, PG_BYTES_LIT("fuzz"), PG_BYTES_LIT("/fuzz"), &arena, &envelope) ==
        PG_OK) {
        FUZZ_CHECK(envelope.signer.len != 0 && envelope.payload.len < size);
    }
    pg_arena_deinit(&arena);
    pg_peer_record record = {0};
    if (pg_peer_record_decode(in, &arena, &record) == PG_OK) {
        FUZZ_CHECK(record.addr_count <= PG_PEER_RECORD_ADDRS_MAX);
        pg_key seed = {{1}};
        pg_identity identity = {0};
        pg_buf again = {0};
        FUZZ_CHECK(pg_identity_init(&identity, &seed) == PG_OK);
        FUZZ_CHECK(pg_peer_record_encode(&identity, &record, &again) == PG_OK);
        pg_buf_deinit(&again);
        pg_identity_deinit(&identity);
    }
    pg_arena_deinit(&arena);
    pg_certificate certificate = {0};
    if (pg_certificate_decode(in, &certificate) == PG_OK) {
        FUZZ_CHECK(certificate.person.len != 0 && certificate.device.len != 0);
    }
    return 0;
}
