// SPDX-License-Identifier: Apache-2.0
// Goal: what owners and hosts sign is read back as it was, and nothing else is: not forged, not changed, not of another kind or version,
// not in another spelling.
// Method: samples with fixed keys; every byte changed in turn; payloads made by hand and signed.
#include "codec/pb.h"
#include "crypto/envelope.h"
#include "exchange/lease_record.h"
#include "exchange/place.pb-c.h"
#include "lease_samples.h"

#define GRANT_DOMAIN PG_BYTES_LIT("pangea-lease-grant")
#define GRANT_TYPE PG_BYTES_LIT("/pangea/lease-grant")

static pg_buf grant_encode(const pg_identity *lease, const pg_lease_grant *grant)
{
    pg_buf out = {0};
    assert_int_equal(pg_lease_grant_encode(lease, grant, &out), PG_OK);
    return out;
}

static void test_lease__grant__reads_back(void **state)
{
    (void) state;
    pg_identity lease = {0};
    sample_identity(&lease, 1);
    pg_lease_grant grant = sample_grant();
    pg_lease_grant got;
    memset(&got, 0xff, sizeof(got));
    pg_buf encoded = grant_encode(&lease, &grant);
    assert_int_equal(pg_lease_grant_decode(pg_buf_bytes(&encoded), &got), PG_OK);
    assert_memory_equal(got.lease_key, lease.public_key, PG_ED25519_PUBLIC_BYTES);
    assert_true(pg_cid_equal(&got.descriptor, &grant.descriptor));
    assert_true(pg_cid_equal(&got.root, &grant.root));
    assert_false(got.is_whole);
    assert_true(got.expiry_s == grant.expiry_s && got.sequence == grant.sequence);
    assert_true(encoded.len <= PG_PLACE_SIGNED_BYTES_MAX);
    pg_buf_deinit(&encoded);

    grant = (pg_lease_grant){.descriptor = grant.descriptor, .is_whole = true, .sequence = 7};
    encoded = grant_encode(&lease, &grant);
    assert_int_equal(pg_lease_grant_decode(pg_buf_bytes(&encoded), &got), PG_OK);
    assert_true(got.is_whole && got.root.len == 0 && got.expiry_s == 0 && got.sequence == 7);
    pg_buf_deinit(&encoded);
    pg_identity_deinit(&lease);
}

static void test_lease__release_and_receipt__read_back(void **state)
{
    (void) state;
    pg_identity lease = {0};
    pg_identity host = {0};
    sample_identity(&lease, 1);
    sample_identity(&host, 2);
    pg_lease_release release = sample_release(&host);
    pg_lease_release got_release;
    pg_buf encoded = {0};
    assert_int_equal(pg_lease_release_encode(&lease, &release, &encoded), PG_OK);
    assert_int_equal(pg_lease_release_decode(pg_buf_bytes(&encoded), &got_release), PG_OK);
    assert_memory_equal(got_release.lease_key, lease.public_key, PG_ED25519_PUBLIC_BYTES);
    assert_true(pg_peer_id_equal(&got_release.host, &host.peer_id));
    assert_true(got_release.slots == release.slots && got_release.sequence == release.sequence);
    pg_buf_deinit(&encoded);

    pg_lease_receipt receipt = sample_receipt();
    pg_lease_receipt got;
    assert_int_equal(pg_lease_receipt_encode(&host, &receipt, &encoded), PG_OK);
    assert_int_equal(pg_lease_receipt_decode(pg_buf_bytes(&encoded), &got), PG_OK);
    assert_true(pg_peer_id_equal(&got.host, &host.peer_id));
    assert_true(pg_cid_equal(&got.descriptor, &receipt.descriptor));
    assert_true(got.slots == receipt.slots && got.sequence == receipt.sequence &&
                got.expiry_s == receipt.expiry_s && got.time_s == receipt.time_s);
    pg_buf_deinit(&encoded);
    pg_identity_deinit(&host);
    pg_identity_deinit(&lease);
}

static void test_lease__abandonment__reads_back_and_nothing_else_does(void **state)
{
    (void) state;
    pg_identity lease = {0};
    pg_identity host = {0};
    pg_identity uploader = {0};
    sample_identity(&lease, 1);
    sample_identity(&host, 2);
    sample_identity(&uploader, 3);
    const pg_lease_abandon abandon = sample_abandon(&host, &uploader);
    pg_lease_abandon got;
    pg_lease_release release;
    pg_buf encoded = {0};
    assert_int_equal(pg_lease_abandon_encode(&lease, &abandon, &encoded), PG_OK);
    assert_true(encoded.len <= PG_PLACE_SIGNED_BYTES_MAX);
    assert_int_equal(pg_lease_release_decode(pg_buf_bytes(&encoded), &release), PG_ERR_UNSUPPORTED);
    assert_int_equal(pg_lease_abandon_decode(pg_buf_bytes(&encoded), &got), PG_OK);
    assert_memory_equal(got.lease_key, lease.public_key, PG_ED25519_PUBLIC_BYTES);
    assert_true(pg_peer_id_equal(&got.host, &host.peer_id));
    assert_true(pg_peer_id_equal(&got.uploader, &uploader.peer_id));
    assert_memory_equal(got.blocks, abandon.blocks, sizeof(abandon.blocks));
    for (size_t i = 0; i < encoded.len; i++) {
        encoded.ptr[i] ^= 1;
        assert_int_not_equal(pg_lease_abandon_decode(pg_buf_bytes(&encoded), &got), PG_OK);
        encoded.ptr[i] ^= 1;
        assert_int_not_equal(pg_lease_abandon_decode(pg_bytes_make(encoded.ptr, i), &got), PG_OK);
    }
    pg_buf_deinit(&encoded);
    // Nobody, or no digest: signed well, and refused.
    const pg_lease_abandon nobody = {.host = host.peer_id};
    assert_int_equal(pg_lease_abandon_encode(&lease, &nobody, &encoded), PG_OK);
    assert_int_equal(pg_lease_abandon_decode(pg_buf_bytes(&encoded), &got), PG_ERR_MALFORMED);
    pg_buf_deinit(&encoded);
    pg_identity_deinit(&uploader);
    pg_identity_deinit(&host);
    pg_identity_deinit(&lease);
}

static void test_lease__proof_of_the_owner__reads_back_and_nothing_else_does(void **state)
{
    (void) state;
    pg_identity lease = {0};
    pg_identity host = {0};
    pg_identity uploader = {0};
    sample_identity(&lease, 1);
    sample_identity(&host, 2);
    sample_identity(&uploader, 3);
    const pg_lease_owner owner = sample_owner(&host, &uploader);
    pg_lease_owner got;
    pg_lease_abandon abandon;
    pg_buf encoded = {0};
    assert_int_equal(pg_lease_owner_encode(&lease, &owner, &encoded), PG_OK);
    assert_true(encoded.len <= PG_PLACE_SIGNED_BYTES_MAX);
    assert_int_equal(pg_lease_abandon_decode(pg_buf_bytes(&encoded), &abandon), PG_ERR_UNSUPPORTED);
    assert_int_equal(pg_lease_owner_decode(pg_buf_bytes(&encoded), &got), PG_OK);
    assert_memory_equal(got.lease_key, lease.public_key, PG_ED25519_PUBLIC_BYTES);
    assert_true(pg_cid_equal(&got.descriptor, &owner.descriptor));
    assert_true(pg_peer_id_equal(&got.host, &host.peer_id));
    assert_true(pg_peer_id_equal(&got.uploader, &uploader.peer_id));
    for (size_t i = 0; i < encoded.len; i++) {
        encoded.ptr[i] ^= 1;
        assert_int_not_equal(pg_lease_owner_decode(pg_buf_bytes(&encoded), &got), PG_OK);
        encoded.ptr[i] ^= 1;
        assert_int_not_equal(pg_lease_owner_decode(pg_bytes_make(encoded.ptr, i), &got), PG_OK);
    }
    pg_buf_deinit(&encoded);
    const pg_lease_owner nobody = {.descriptor = owner.descriptor, .host = host.peer_id};
    assert_int_equal(pg_lease_owner_encode(&lease, &nobody, &encoded), PG_OK);
    assert_int_equal(pg_lease_owner_decode(pg_buf_bytes(&encoded), &got), PG_ERR_MALFORMED);
    pg_buf_deinit(&encoded);
    pg_identity_deinit(&uploader);
    pg_identity_deinit(&host);
    pg_identity_deinit(&lease);
}

static void test_lease__any_byte_changed__is_refused(void **state)
{
    (void) state;
    pg_identity lease = {0};
    sample_identity(&lease, 1);
    pg_lease_grant grant = sample_grant();
    pg_lease_grant got = {.sequence = 99};
    pg_buf encoded = grant_encode(&lease, &grant);
    for (size_t i = 0; i < encoded.len; i++) {
        for (unsigned bit = 0; bit < 8; bit += 3) {
            encoded.ptr[i] ^= (uint8_t) (1U << bit);
            assert_int_not_equal(pg_lease_grant_decode(pg_buf_bytes(&encoded), &got), PG_OK);
            encoded.ptr[i] ^= (uint8_t) (1U << bit);
        }
        pg_bytes cut = pg_bytes_make(encoded.ptr, i);
        assert_int_not_equal(pg_lease_grant_decode(cut, &got), PG_OK);
    }
    assert_true(got.sequence == 99); // untouched
    encoded.ptr[encoded.len - 1] ^= 1;
    assert_int_equal(pg_lease_grant_decode(pg_buf_bytes(&encoded), &got), PG_ERR_AUTH);
    pg_buf_deinit(&encoded);
    pg_identity_deinit(&lease);
}

static void test_lease__another_kind__is_refused(void **state)
{
    (void) state;
    pg_identity key = {0};
    sample_identity(&key, 1);
    pg_lease_grant grant = sample_grant();
    pg_lease_release release = sample_release(&key);
    pg_lease_receipt receipt = sample_receipt();
    pg_buf as_grant = grant_encode(&key, &grant);
    pg_buf as_receipt = {0};
    assert_int_equal(pg_lease_receipt_encode(&key, &receipt, &as_receipt), PG_OK);
    assert_int_equal(pg_lease_release_decode(pg_buf_bytes(&as_grant), &release),
                     PG_ERR_UNSUPPORTED);
    assert_int_equal(pg_lease_receipt_decode(pg_buf_bytes(&as_grant), &receipt),
                     PG_ERR_UNSUPPORTED);
    assert_int_equal(pg_lease_grant_decode(pg_buf_bytes(&as_receipt), &grant), PG_ERR_UNSUPPORTED);
    pg_buf_deinit(&as_grant);
    pg_buf_deinit(&as_receipt);

    // The same type, signed for another purpose.
    pg_buf other = {0};
    pg_bytes payload = PG_BYTES_LIT("\x08\x01");
    assert_int_equal(
        pg_envelope_seal(&key, PG_BYTES_LIT("pangea-device-cert"), GRANT_TYPE, payload, &other),
        PG_OK);
    assert_int_equal(pg_lease_grant_decode(pg_buf_bytes(&other), &grant), PG_ERR_AUTH);
    pg_buf_deinit(&other);
    pg_identity_deinit(&key);
}

// Sign a payload as if it were a grant.
static pg_err payload_decode(pg_bytes payload)
{
    pg_identity key = {0};
    pg_lease_grant grant;
    pg_buf sealed = {0};
    sample_identity(&key, 1);
    assert_int_equal(pg_envelope_seal(&key, GRANT_DOMAIN, GRANT_TYPE, payload, &sealed), PG_OK);
    pg_err err = pg_lease_grant_decode(pg_buf_bytes(&sealed), &grant);
    pg_buf_deinit(&sealed);
    pg_identity_deinit(&key);
    return err;
}

static pg_err message_decode(const Pangea__Exchange__LeaseGrant *message, pg_bytes behind)
{
    pg_buf payload = {0};
    assert_int_equal(pg_pb_append(&payload, &message->base), PG_OK);
    assert_int_equal(pg_buf_append(&payload, behind), PG_OK);
    pg_err err = payload_decode(pg_buf_bytes(&payload));
    pg_buf_deinit(&payload);
    return err;
}

static void test_lease__signed_nonsense__is_malformed(void **state)
{
    (void) state;
    pg_lease_grant grant = sample_grant();
    Pangea__Exchange__LeaseGrant good = PANGEA__EXCHANGE__LEASE_GRANT__INIT;
    good.version = 1;
    good.descriptor = pg_pb_view(pg_cid_bytes(&grant.descriptor));
    good.sequence = 1;
    assert_int_equal(message_decode(&good, PG_BYTES_EMPTY), PG_OK);
    assert_int_equal(message_decode(&good, PG_BYTES_LIT("\x3a\x01x")), PG_ERR_MALFORMED);
    assert_int_equal(message_decode(&good, PG_BYTES_LIT("\x30\x01")), PG_ERR_MALFORMED);
    assert_int_equal(payload_decode(PG_BYTES_EMPTY), PG_ERR_MALFORMED);
    assert_int_equal(payload_decode(PG_BYTES_LIT("\x12\x01x\x08\x01")), PG_ERR_MALFORMED);

    Pangea__Exchange__LeaseGrant bad = good;
    bad.sequence = 0;
    assert_int_equal(message_decode(&bad, PG_BYTES_EMPTY), PG_ERR_MALFORMED);
    bad.sequence = UINT64_C(1) << 63;
    assert_int_equal(message_decode(&bad, PG_BYTES_EMPTY), PG_ERR_MALFORMED);
    bad = good;
    bad.expiry_s = UINT64_C(1) << 63;
    assert_int_equal(message_decode(&bad, PG_BYTES_EMPTY), PG_ERR_MALFORMED);
    bad = good;
    bad.descriptor = pg_pb_view(PG_BYTES_LIT("\x01\x55\x00\x03"
                                             "abc")); // carries its data itself
    assert_int_equal(message_decode(&bad, PG_BYTES_EMPTY), PG_ERR_MALFORMED);
    bad.descriptor.len = 0;
    assert_int_equal(message_decode(&bad, PG_BYTES_EMPTY), PG_ERR_MALFORMED);
    bad = good;
    bad.is_whole = true;
    bad.root = good.descriptor;
    assert_int_equal(message_decode(&bad, PG_BYTES_EMPTY), PG_ERR_MALFORMED);
}

static void test_lease__next_version__is_named(void **state)
{
    (void) state;
    assert_int_equal(payload_decode(PG_BYTES_LIT("\x08\x02\x7a\x01x")), PG_ERR_UNSUPPORTED);
    assert_non_null(strstr(pg_error_detail(PG_ERR_UNSUPPORTED), "version 2"));
}

static void test_lease__other_spelling_of_the_envelope__is_malformed(void **state)
{
    (void) state;
    pg_identity lease = {0};
    sample_identity(&lease, 1);
    pg_lease_grant grant = sample_grant();
    pg_lease_grant got;
    pg_buf encoded = grant_encode(&lease, &grant);
    pg_buf other = {0};
    // A field nobody knows behind it.
    assert_int_equal(pg_buf_append(&other, pg_buf_bytes(&encoded)), PG_OK);
    assert_int_equal(pg_buf_append(&other, PG_BYTES_LIT("\x32\x01x")), PG_OK);
    assert_int_equal(pg_lease_grant_decode(pg_buf_bytes(&other), &got), PG_ERR_MALFORMED);
    // The signature first.
    size_t head = encoded.len - PG_ED25519_SIGNATURE_BYTES - 2;
    pg_buf_clear(&other);
    assert_int_equal(
        pg_buf_append(&other, pg_bytes_slice(pg_buf_bytes(&encoded), head, encoded.len)), PG_OK);
    assert_int_equal(pg_buf_append(&other, pg_bytes_make(encoded.ptr, head)), PG_OK);
    assert_int_equal(other.len, encoded.len);
    assert_int_equal(pg_lease_grant_decode(pg_buf_bytes(&other), &got), PG_ERR_MALFORMED);
    pg_buf_deinit(&other);
    pg_buf_deinit(&encoded);
    pg_identity_deinit(&lease);
}

// ---- the record in the DHT

static void test_lease__record__only_under_its_own_key(void **state)
{
    (void) state;
    const pg_dht_validator *record = &pg_dht_validator_grant;
    pg_identity key = {0};
    pg_identity other = {0};
    pg_buf name = {0};
    pg_buf other_name = {0};
    sample_identity(&key, 1);
    sample_identity(&other, 2);
    const pg_lease_grant terms = sample_grant();
    pg_buf grant = grant_encode(&key, &terms);
    assert_int_equal(pg_lease_record_key(key.public_key, &name), PG_OK);
    assert_int_equal(pg_lease_record_key(other.public_key, &other_name), PG_OK);
    assert_int_equal(name.len, strlen("/pangea/grant/") + 64);
    assert_int_equal(record->check(pg_buf_bytes(&name), pg_buf_bytes(&grant), NULL), PG_OK);
    assert_int_equal(record->check(pg_buf_bytes(&other_name), pg_buf_bytes(&grant), NULL),
                     PG_ERR_AUTH);
    name.ptr[name.len - 1] ^= 0x20; // another spelling
    assert_int_not_equal(record->check(pg_buf_bytes(&name), pg_buf_bytes(&grant), NULL), PG_OK);
    grant.ptr[grant.len - 1] ^= 1;
    assert_int_not_equal(record->check(pg_buf_bytes(&name), pg_buf_bytes(&grant), NULL), PG_OK);
    pg_buf_deinit(&name);
    pg_buf_deinit(&other_name);
    pg_buf_deinit(&grant);
    pg_identity_deinit(&key);
    pg_identity_deinit(&other);
}

static void test_lease__record__higher_sequence_is_newer(void **state)
{
    (void) state;
    pg_identity key = {0};
    sample_identity(&key, 1);
    pg_lease_grant terms = sample_grant();
    pg_buf old = grant_encode(&key, &terms);
    terms.expiry_s++;
    pg_buf twin = grant_encode(&key, &terms);
    terms = (pg_lease_grant){.descriptor = terms.descriptor, .sequence = terms.sequence + 1};
    pg_buf drop = grant_encode(&key, &terms);
    int (*compare)(pg_bytes, pg_bytes, void *) = pg_dht_validator_grant.compare;
    assert_true(compare(pg_buf_bytes(&drop), pg_buf_bytes(&old), NULL) > 0);
    assert_true(compare(pg_buf_bytes(&old), pg_buf_bytes(&drop), NULL) < 0);
    assert_int_equal(compare(pg_buf_bytes(&old), pg_buf_bytes(&old), NULL), 0);
    int way = compare(pg_buf_bytes(&old), pg_buf_bytes(&twin), NULL);
    assert_true(way != 0);
    assert_true((compare(pg_buf_bytes(&twin), pg_buf_bytes(&old), NULL) > 0) == (way < 0));
    pg_buf_deinit(&old);
    pg_buf_deinit(&twin);
    pg_buf_deinit(&drop);
    pg_identity_deinit(&key);
}

static void test_lease__too_long__is_refused_before_it_is_read(void **state)
{
    (void) state;
    static const uint8_t zeros[PG_PLACE_SIGNED_BYTES_MAX + 1];
    pg_lease_grant grant;
    assert_int_equal(pg_lease_grant_decode(PG_BYTES_OF(zeros), &grant), PG_ERR_LIMIT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lease__grant__reads_back),
        cmocka_unit_test(test_lease__release_and_receipt__read_back),
        cmocka_unit_test(test_lease__abandonment__reads_back_and_nothing_else_does),
        cmocka_unit_test(test_lease__proof_of_the_owner__reads_back_and_nothing_else_does),
        cmocka_unit_test(test_lease__any_byte_changed__is_refused),
        cmocka_unit_test(test_lease__another_kind__is_refused),
        cmocka_unit_test(test_lease__signed_nonsense__is_malformed),
        cmocka_unit_test(test_lease__next_version__is_named),
        cmocka_unit_test(test_lease__other_spelling_of_the_envelope__is_malformed),
        cmocka_unit_test(test_lease__record__only_under_its_own_key),
        cmocka_unit_test(test_lease__record__higher_sequence_is_newer),
        cmocka_unit_test(test_lease__too_long__is_refused_before_it_is_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
