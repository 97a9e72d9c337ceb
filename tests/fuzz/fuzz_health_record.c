// SPDX-License-Identifier: Apache-2.0
// Goal: any record, and any payload under a good signature, ends in a verdict and in bounded memory; what is read stands under its own key, is as
// new as itself, and is written as it was.
// Input: one byte (bit 0: the rest is a payload, signed here), then the record or the payload.
#include "crypto/envelope.h"
#include "fuzz.h"
#include "health/limits.h"
#include "health/record.h"

static void try_read(pg_bytes in, const pg_identity *signer)
{
    pg_health_record record;
    pg_buf key = {0};
    pg_buf again = {0};
    if (pg_health_record_decode(in, &record) == PG_OK) {
        FUZZ_CHECK(record.sequence > 0 && record.hours <= PG_HEALTH_HOURS && record.uptime <= 100);
        FUZZ_CHECK(pg_health_record_key(&record.subject, &record.observer, &key) == PG_OK);
        FUZZ_CHECK(pg_dht_validator_health.check(pg_buf_bytes(&key), in, NULL) == PG_OK);
        FUZZ_CHECK(pg_dht_validator_health.compare(in, in, NULL) == 0);
    }
    if (key.len > 0 && signer != NULL) {
        FUZZ_CHECK(pg_health_record_encode(signer, &record, &again) == PG_OK);
        FUZZ_CHECK(pg_bytes_equal(pg_buf_bytes(&again), in));
    }
    pg_buf_deinit(&again);
    pg_buf_deinit(&key);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0 || size > 4096) {
        return 0;
    }
    pg_bytes rest = pg_bytes_make(data + 1, size - 1);
    if ((data[0] & 1) == 0) {
        try_read(rest, NULL);
        return 0;
    }
    pg_key seed = {{1}};
    pg_identity identity = {0};
    pg_buf sealed = {0};
    FUZZ_CHECK(pg_identity_init(&identity, &seed) == PG_OK);
    FUZZ_CHECK(pg_envelope_seal(&identity, PG_BYTES_LIT("pangea-health"),
                                PG_BYTES_LIT("/pangea/health"), rest, &sealed) == PG_OK);
    try_read(pg_buf_bytes(&sealed), &identity);
    pg_buf_deinit(&sealed);
    pg_identity_deinit(&identity);
    return 0;
}
