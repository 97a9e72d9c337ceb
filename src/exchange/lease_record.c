// SPDX-License-Identifier: Apache-2.0
#include "exchange/lease_record.h"

#include "base/str.h"
#include "exchange/lease.h"

pg_err pg_lease_record_key(const uint8_t lease_key[PG_ED25519_PUBLIC_BYTES], pg_buf *out)
{
    char text[2 * PG_ED25519_PUBLIC_BYTES + 1];
    pg_hex_encode(pg_bytes_make(lease_key, PG_ED25519_PUBLIC_BYTES), text);
    return pg_buf_printf(out, "/" PG_LEASE_RECORD_NAMESPACE "/%s", text);
}

static pg_err grant_check(pg_bytes key, pg_bytes value, void *user)
{
    pg_buf expected PG_CLEANUP(pg_buf_deinit) = {0};
    pg_lease_grant grant;
    (void) user;
    PG_TRY(pg_lease_grant_decode(value, &grant));
    PG_TRY(pg_lease_record_key(grant.lease_key, &expected));
    if (!pg_bytes_equal(key, pg_buf_bytes(&expected))) {
        return pg_fail(PG_ERR_AUTH, "a grant by another lease key than its record's");
    }
    return PG_OK;
}

// Both were checked when they came: a signature is verified once, not at every comparison.
static int grant_compare(pg_bytes a, pg_bytes b, void *user)
{
    (void) user;
    uint64_t left = pg_lease_grant_sequence(a);
    uint64_t right = pg_lease_grant_sequence(b);
    if (left != right) {
        return left > right ? 1 : -1;
    }
    return pg_bytes_compare(a, b);
}

const pg_dht_validator pg_dht_validator_grant = {
    .name_space = PG_LEASE_RECORD_NAMESPACE,
    .is_mutable = true,
    .check = grant_check,
    .compare = grant_compare,
};
