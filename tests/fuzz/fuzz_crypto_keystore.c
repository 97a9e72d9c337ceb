// SPDX-License-Identifier: Apache-2.0
// Goal: a keystore of any bytes ends in a verdict; one that is read encodes back to the same bytes when it is not locked.
// Method: the input as it is, then with its checksum made good, and with a cost that a fuzzer can afford.
#include <string.h>

#include "base/mem.h"
#include "crypto/keystore.h"
#include "fuzz.h"

static void check(pg_bytes in)
{
    pg_keystore keystore = {0};
    bool locked = false;
    if (pg_keystore_decode(in, PG_BYTES_LIT("passphrase"), &keystore) != PG_OK) {
        return;
    }
    FUZZ_CHECK(pg_keystore_is_locked(in, &locked) == PG_OK);
    if (!locked) {
        pg_buf again = {0};
        FUZZ_CHECK(pg_keystore_encode(&keystore, NULL, &again) == PG_OK);
        FUZZ_CHECK(pg_bytes_equal(pg_buf_bytes(&again), in));
        pg_buf_deinit(&again);
    }
    pg_keystore_deinit(&keystore);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 64) {
        check(pg_bytes_make(data, size));
        return 0;
    }
    uint8_t *copy = pg_malloc(size);
    FUZZ_CHECK(copy != NULL);
    memcpy(copy, data, size);
    const uint8_t cheap[8] = {0, 0, 0, 8, 0, 0, 0, 1};
    if (copy[17] == 1) {
        memcpy(copy + 18, cheap, sizeof(cheap));
    }
    check(pg_bytes_make(copy, size));
    pg_sha256(pg_bytes_make(copy, size - PG_HASH_BYTES), copy + size - PG_HASH_BYTES);
    check(pg_bytes_make(copy, size));
    pg_mfree(copy);
    return 0;
}
