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

// Both were checked: one that cannot be read now, for want of memory, is not the better for it.
static int grant_compare(pg_bytes a, pg_bytes b, void *user)
{
    pg_lease_grant left = {.sequence = 0};
    pg_lease_grant right = {.sequence = 0};
    (void) user;
    bool has_left = pg_lease_grant_decode(a, &left) == PG_OK;
    bool has_right = pg_lease_grant_decode(b, &right) == PG_OK;
    if (!has_left || !has_right) {
        return (int) has_left - (int) has_right;
    }
    if (left.sequence != right.sequence) {
        return left.sequence > right.sequence ? 1 : -1;
    }
    return pg_bytes_compare(a, b);
}

const pg_dht_validator pg_dht_validator_grant = {
    .name_space = PG_LEASE_RECORD_NAMESPACE,
    .is_mutable = true,
    .check = grant_check,
    .compare = grant_compare,
};
