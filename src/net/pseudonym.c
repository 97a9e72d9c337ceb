// SPDX-License-Identifier: Apache-2.0
#include "net/pseudonym.h"

#include "base/str.h"
#include "crypto/hash.h"
#include "runtime/random.h"

void pg_pseudonym_make(pg_pseudonyms *pseudonyms, pg_bytes of,
                       char out_text[PG_PSEUDONYM_TEXT_BYTES])
{
    if (pg_now() >= pseudonyms->expires_at) {
        pg_random_bytes(PG_MUT_BYTES_OF(pseudonyms->key.bytes));
        pseudonyms->expires_at = pg_after(PG_DAYS(1));
    }
    uint8_t mac[PG_HASH_BYTES];
    pg_hmac_sha256(pg_key_bytes(&pseudonyms->key), of, mac);
    pg_hex_encode(pg_bytes_make(mac, (PG_PSEUDONYM_TEXT_BYTES - 1) / 2), out_text);
}

void pg_pseudonyms_deinit(pg_pseudonyms *pseudonyms)
{
    pg_key_wipe(&pseudonyms->key);
    pseudonyms->expires_at = 0;
}
