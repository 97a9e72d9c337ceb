// SPDX-License-Identifier: Apache-2.0
// Goal: no input of a grant, release, abandonment, proof of the owner or receipt does harm; a payload that is read is written again, and signed by the same key again, as the
// same bytes.
// Method: the bytes as they come, which only the corpus gets past the signature; and as payload of an envelope we sign.
#include "crypto/envelope.h"
#include "exchange/lease.h"
#include "fuzz.h"

static pg_identity identity;

static void plain(pg_bytes in)
{
    pg_lease_grant grant;
    pg_lease_release release;
    pg_lease_abandon abandon;
    pg_lease_owner owner;
    pg_lease_receipt receipt;
    pg_ignore(pg_lease_grant_decode(in, &grant), "only what it may not do counts");
    pg_ignore(pg_lease_release_decode(in, &release), "as above");
    pg_ignore(pg_lease_abandon_decode(in, &abandon), "as above");
    pg_ignore(pg_lease_owner_decode(in, &owner), "as above");
    pg_ignore(pg_lease_receipt_decode(in, &receipt), "as above");
}

static void expect_same(pg_err err, pg_buf *again, const pg_buf *sealed)
{
    FUZZ_CHECK(err == PG_OK);
    FUZZ_CHECK(pg_bytes_equal(pg_buf_bytes(again), pg_buf_bytes(sealed)));
    pg_buf_clear(again);
}

static void sealed_as(const char *domain, const char *type, pg_bytes payload)
{
    pg_buf sealed = {0};
    pg_buf again = {0};
    pg_lease_grant grant;
    pg_lease_release release;
    pg_lease_abandon abandon;
    pg_lease_owner owner;
    pg_lease_receipt receipt;
    if (pg_envelope_seal(&identity, pg_bytes_cstr(domain), pg_bytes_cstr(type), payload, &sealed) !=
        PG_OK) {
        return;
    }
    if (pg_lease_grant_decode(pg_buf_bytes(&sealed), &grant) == PG_OK) {
        expect_same(pg_lease_grant_encode(&identity, &grant, &again), &again, &sealed);
    }
    if (pg_lease_release_decode(pg_buf_bytes(&sealed), &release) == PG_OK) {
        expect_same(pg_lease_release_encode(&identity, &release, &again), &again, &sealed);
    }
    if (pg_lease_abandon_decode(pg_buf_bytes(&sealed), &abandon) == PG_OK) {
        expect_same(pg_lease_abandon_encode(&identity, &abandon, &again), &again, &sealed);
    }
    if (pg_lease_owner_decode(pg_buf_bytes(&sealed), &owner) == PG_OK) {
        expect_same(pg_lease_owner_encode(&identity, &owner, &again), &again, &sealed);
    }
    if (pg_lease_receipt_decode(pg_buf_bytes(&sealed), &receipt) == PG_OK) {
        expect_same(pg_lease_receipt_encode(&identity, &receipt, &again), &again, &sealed);
    }
    pg_buf_deinit(&again);
    pg_buf_deinit(&sealed);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    pg_bytes in = pg_bytes_make(data, size);
    pg_key seed = {.bytes = {1}};
    if (identity.public_key[0] == 0 && pg_identity_init(&identity, &seed) != PG_OK) {
        return 0;
    }
    plain(in);
    sealed_as("pangea-lease-grant", "/pangea/lease-grant", in);
    sealed_as("pangea-lease-release", "/pangea/lease-release", in);
    sealed_as("pangea-lease-abandon", "/pangea/lease-abandon", in);
    sealed_as("pangea-lease-owner", "/pangea/lease-owner", in);
    sealed_as("pangea-lease-receipt", "/pangea/lease-receipt", in);
    return 0;
}
