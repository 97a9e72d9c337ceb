// SPDX-License-Identifier: Apache-2.0
// Keys and statements that the tests of this room share, always the same.
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "crypto/hash.h"
#include "exchange/lease.h"

/** Make the identity whose seed is 32 times `byte`. */
static inline void sample_identity(pg_identity *identity, uint8_t byte)
{
    pg_key seed;
    memset(seed.bytes, byte, sizeof(seed.bytes));
    assert_int_equal(pg_identity_init(identity, &seed), PG_OK);
}

static inline pg_lease_grant sample_grant(void)
{
    return (pg_lease_grant){
        .descriptor = pg_cid_of_blake3(PG_BYTES_LIT("descriptor")),
        .root = pg_cid_of_blake3(PG_BYTES_LIT("root")),
        .expiry_s = 1770000000,
        .sequence = 1765000000,
    };
}

static inline pg_lease_release sample_release(const pg_identity *host)
{
    return (pg_lease_release){
        .descriptor = pg_cid_of_blake3(PG_BYTES_LIT("descriptor")),
        .host = host->peer_id,
        .slots = 0x201,
        .sequence = 1765000001,
    };
}

// Of two blocks, by the uploader whose device key is `uploader`.
static inline pg_lease_abandon sample_abandon(const pg_identity *host, const pg_identity *uploader)
{
    const pg_cid cids[] = {pg_cid_of_blake3(PG_BYTES_LIT("a")),
                           pg_cid_of_sha256(PG_BYTES_LIT("b"))};
    pg_lease_abandon abandon = {.host = host->peer_id, .uploader = uploader->peer_id};
    pg_lease_blocks_digest(cids, 2, abandon.blocks);
    return abandon;
}

static inline pg_lease_owner sample_owner(const pg_identity *host, const pg_identity *uploader)
{
    return (pg_lease_owner){
        .descriptor = pg_cid_of_blake3(PG_BYTES_LIT("descriptor")),
        .host = host->peer_id,
        .uploader = uploader->peer_id,
    };
}

static inline pg_lease_receipt sample_receipt(void)
{
    return (pg_lease_receipt){
        .descriptor = pg_cid_of_blake3(PG_BYTES_LIT("descriptor")),
        .slots = 0x80000001,
        .sequence = 1765000000,
        .expiry_s = 1770000000,
        .time_s = 1765000100,
    };
}
