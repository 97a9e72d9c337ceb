// SPDX-License-Identifier: Apache-2.0
// Goal: any text ends in a verdict; a secret that is read is written again as one that gives the same person and owner.
#include <string.h>

#include "crypto/recovery.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    pg_keystore_seeds seeds;
    pg_keystore_seeds again;
    pg_keystore keystore = {0};
    char text[PG_RECOVERY_TEXT_BYTES];
    if (pg_recovery_parse(pg_str_make_len((const char *) data, size), &seeds) != PG_OK) {
        return 0;
    }
    FUZZ_CHECK(pg_keystore_init(&keystore, &seeds, 1) == PG_OK);
    pg_recovery_format(&keystore, text);
    FUZZ_CHECK(pg_recovery_parse(pg_str_make(text), &again) == PG_OK);
    FUZZ_CHECK(memcmp(&seeds.person, &again.person, sizeof(seeds.person)) == 0);
    FUZZ_CHECK(memcmp(&seeds.owner, &again.owner, sizeof(seeds.owner)) == 0);
    pg_keystore_deinit(&keystore);
    return 0;
}
