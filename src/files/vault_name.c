// SPDX-License-Identifier: Apache-2.0
// How objects are named: by the digest under which they are announced, so that who knows a link finds them with nothing else.
#include <stdio.h>
#include <string.h>

#include "base/str.h"
#include "crypto/hash.h"
#include "files/vault_priv.h"

#define LAYOUT "v1" // of names and content

static void digest_of(const pg_cid *cid, uint8_t out_digest[PG_HASH_BYTES])
{
    static const char domain[] = "pangea-archive-v1";
    uint8_t input[sizeof(domain) - 1 + PG_CID_BYTES_MAX];
    memcpy(input, domain, sizeof(domain) - 1);
    memcpy(input + sizeof(domain) - 1, cid->bytes, cid->len);
    pg_sha256(pg_bytes_make(input, sizeof(domain) - 1 + cid->len), out_digest);
}

pg_multihash pg_vault_key(const pg_cid *cid)
{
    uint8_t digest[PG_HASH_BYTES];
    pg_multihash key = {.len = 0};
    digest_of(cid, digest);
    pg_ignore(pg_multihash_make(PG_MULTIHASH_CODE_SHA2_256, PG_BYTES_OF(digest), &key),
              "a digest of this length always makes one");
    return key;
}

void pg_vault_prefix(const pg_cid *descriptor, char out_name[PG_VAULT_NAME_BYTES])
{
    uint8_t digest[PG_HASH_BYTES];
    char hex[2 * PG_HASH_BYTES + 1];
    digest_of(descriptor, digest);
    pg_hex_encode(PG_BYTES_OF(digest), hex);
    (void) snprintf(out_name, PG_VAULT_NAME_BYTES, "%s/%s/", LAYOUT, hex);
}

static void name_append(char name[PG_VAULT_NAME_BYTES], const char *end)
{
    size_t len = strlen(name);
    (void) snprintf(name + len, PG_VAULT_NAME_BYTES - len, "%s", end);
}

void pg_vault_block_name(const pg_cid *cid, char out_name[PG_VAULT_NAME_BYTES])
{
    pg_vault_prefix(cid, out_name);
    name_append(out_name, "block");
}

void pg_vault_segment_name(const pg_cid *descriptor, uint32_t segment,
                           char out_name[PG_VAULT_NAME_BYTES])
{
    char number[16];
    (void) snprintf(number, sizeof(number), "%06u", segment);
    pg_vault_prefix(descriptor, out_name);
    name_append(out_name, number);
}
