// SPDX-License-Identifier: Apache-2.0
// Goal: any record, and any payload under a good signature, ends in a verdict and in bounded memory; what is read stands under its own key
// and is as new as itself.
// Input: one byte (bit 0: the rest is a payload, signed here), then the record or the payload.
#include "crypto/envelope.h"
#include "dht/feed.h"
#include "fuzz.h"

static void try_read(pg_bytes in)
{
    pg_arena arena = pg_arena_make(PG_FEED_ARENA_BYTES);
    pg_feed_record record;
    pg_buf key = {0};
    if (pg_feed_decode(in, &arena, &record) == PG_OK) {
        FUZZ_CHECK(record.sequence > 0 && record.value.len <= PG_FEED_VALUE_BYTES_MAX);
        FUZZ_CHECK(pg_feed_compare(&record, &record) == 0);
        FUZZ_CHECK(pg_feed_key(&record.owner, record.name, &key) == PG_OK);
        FUZZ_CHECK(pg_dht_validator_feed.check(pg_buf_bytes(&key), in, NULL) == PG_OK);
        FUZZ_CHECK(pg_dht_validator_feed.compare(in, in, NULL) == 0);
    }
    pg_buf_deinit(&key);
    pg_arena_deinit(&arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0 || size > 4096) {
        return 0;
    }
    pg_bytes rest = pg_bytes_make(data + 1, size - 1);
    if ((data[0] & 1) == 0) {
        try_read(rest);
        return 0;
    }
    pg_key seed = {{1}};
    pg_identity identity = {0};
    pg_buf sealed = {0};
    FUZZ_CHECK(pg_identity_init(&identity, &seed) == PG_OK);
    FUZZ_CHECK(pg_envelope_seal(&identity, PG_BYTES_LIT("pangea-feed"),
                                PG_BYTES_LIT("/pangea/feed"), rest, &sealed) == PG_OK);
    try_read(pg_buf_bytes(&sealed));
    pg_buf_deinit(&sealed);
    pg_identity_deinit(&identity);
    return 0;
}
