// SPDX-License-Identifier: Apache-2.0
// Goal: envelopes, peer records and certificates have the bytes of their specifications, hold only as they were signed
// and only for what they were signed for.
// Method: the bytes put together by hand from RFC 0002; every byte changed; hostile messages by hand.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "codec/pb.h"
#include "crypto/certificate.h"
#include "crypto/libp2p.pb-c.h"
#include "crypto/peer_record.h"

#define DOMAIN PG_BYTES_LIT("test-domain")
#define TYPE PG_BYTES_LIT("/t")

static pg_identity identity_of(uint8_t byte)
{
    pg_key seed;
    memset(seed.bytes, byte, sizeof(seed.bytes));
    pg_identity identity = {0};
    assert_int_equal(pg_identity_init(&identity, &seed), PG_OK);
    return identity;
}

static void test_envelope__sealed__has_the_bytes_of_rfc_0002(void **state)
{
    (void) state;
    pg_identity identity = identity_of(1);
    static const char message[] = "\x0btest-domain\x02/t\x05hello";
    uint8_t want[256];
    pg_writer writer = pg_writer_make(PG_MUT_BYTES_OF(want));
    uint8_t key[PG_ED25519_ENCODED_BYTES];
    uint8_t signature[PG_ED25519_SIGNATURE_BYTES];
    pg_public_key_encode_ed25519(identity.public_key, key);
    pg_identity_sign(&identity, pg_bytes_make(message, sizeof(message) - 1), signature);
    pg_writer_put(&writer, PG_BYTES_LIT("\x0a\x24"));
    pg_writer_put(&writer, PG_BYTES_OF(key));
    pg_writer_put(&writer, PG_BYTES_LIT("\x12\x02/t\x1a\x05hello\x2a\x40"));
    pg_writer_put(&writer, PG_BYTES_OF(signature));

    pg_buf sealed = {0};
    assert_int_equal(pg_envelope_seal(&identity, DOMAIN, TYPE, PG_BYTES_LIT("hello"), &sealed),
                     PG_OK);
    assert_true(pg_bytes_equal(pg_buf_bytes(&sealed), pg_writer_bytes(&writer)));
    pg_arena arena = pg_arena_make(PG_ENVELOPE_ARENA_BYTES);
    pg_envelope opened = {0};
    assert_int_equal(pg_envelope_decode(pg_buf_bytes(&sealed), DOMAIN, TYPE, &arena, &opened),
                     PG_OK);
    assert_true(pg_peer_id_equal(&opened.signer, &identity.peer_id));
    assert_true(pg_bytes_equal(opened.payload, PG_BYTES_LIT("hello")));
    assert_true(pg_bytes_equal(opened.public_key, PG_BYTES_OF(key)));
    pg_arena_deinit(&arena);
    pg_buf_deinit(&sealed);
    pg_identity_deinit(&identity);
}

static void test_envelope__other_purpose__is_refused(void **state)
{
    (void) state;
    pg_identity identity = identity_of(1);
    pg_buf sealed = {0};
    pg_arena arena = pg_arena_make(PG_ENVELOPE_ARENA_BYTES);
    pg_envelope opened = {0};
    assert_int_equal(pg_envelope_seal(&identity, DOMAIN, TYPE, PG_BYTES_EMPTY, &sealed), PG_OK);
    pg_bytes in = pg_buf_bytes(&sealed);
    assert_int_equal(pg_envelope_decode(in, DOMAIN, TYPE, &arena, &opened), PG_OK);
    assert_int_equal(pg_envelope_decode(in, PG_BYTES_LIT("else"), TYPE, &arena, &opened),
                     PG_ERR_AUTH);
    assert_int_equal(pg_envelope_decode(in, DOMAIN, PG_BYTES_LIT("/u"), &arena, &opened),
                     PG_ERR_UNSUPPORTED);
    pg_arena_deinit(&arena);
    pg_buf_deinit(&sealed);
    pg_identity_deinit(&identity);
}

static void test_envelope__any_byte_changed__never_opens_as_signed(void **state)
{
    (void) state;
    pg_identity identity = identity_of(1);
    pg_buf sealed = {0};
    assert_int_equal(pg_envelope_seal(&identity, DOMAIN, TYPE, PG_BYTES_LIT("hello"), &sealed),
                     PG_OK);
    for (size_t i = 0; i < sealed.len; i++) {
        pg_arena arena = pg_arena_make(PG_ENVELOPE_ARENA_BYTES);
        pg_envelope opened = {0};
        sealed.ptr[i] ^= 0x10;
        assert_int_not_equal(
            pg_envelope_decode(pg_buf_bytes(&sealed), DOMAIN, TYPE, &arena, &opened), PG_OK);
        sealed.ptr[i] ^= 0x10;
        assert_int_not_equal(
            pg_envelope_decode(pg_bytes_make(sealed.ptr, i), DOMAIN, TYPE, &arena, &opened), PG_OK);
        pg_arena_deinit(&arena);
    }
    pg_buf_deinit(&sealed);
    pg_identity_deinit(&identity);
}

static void test_envelope__too_long__is_refused_both_ways(void **state)
{
    (void) state;
    pg_identity identity = identity_of(1);
    static const uint8_t big[PG_ENVELOPE_BYTES_MAX + 1];
    pg_buf sealed = {0};
    pg_arena arena = pg_arena_make(PG_ENVELOPE_ARENA_BYTES);
    pg_envelope opened = {0};
    assert_int_equal(pg_envelope_seal(&identity, DOMAIN, TYPE, PG_BYTES_OF(big), &sealed),
                     PG_ERR_LIMIT);
    assert_int_equal(pg_envelope_seal(&identity, DOMAIN, TYPE,
                                      pg_bytes_make(big, PG_ENVELOPE_BYTES_MAX), &sealed),
                     PG_ERR_LIMIT);
    assert_int_equal(sealed.len, 0);
    assert_int_equal(pg_envelope_decode(PG_BYTES_OF(big), DOMAIN, TYPE, &arena, &opened),
                     PG_ERR_LIMIT);
    pg_arena_deinit(&arena);
    pg_buf_deinit(&sealed);
    pg_identity_deinit(&identity);
}

static void test_envelope__memory_out__leaves_nothing(void **state)
{
    (void) state;
    pg_identity identity = identity_of(1);
    for (uint64_t nth = 1; nth <= 2; nth++) {
        pg_buf sealed = {0};
        pg_mem_fail_nth(nth);
        assert_int_equal(pg_envelope_seal(&identity, DOMAIN, TYPE, PG_BYTES_LIT("x"), &sealed),
                         PG_ERR_NOMEM);
        pg_mem_fail_nth(0);
        assert_int_equal(sealed.len, 0);
        pg_buf_deinit(&sealed);
    }
    pg_identity_deinit(&identity);
}

static void test_peer_record__sealed__reads_back_with_type_03_01(void **state)
{
    (void) state;
    pg_identity identity = identity_of(2);
    const pg_bytes addrs[] = {PG_BYTES_LIT("\x04\x7f\0\0\1\x06\x0f\xa1"), PG_BYTES_LIT("b")};
    pg_peer_record record = {.seq = 1234567890123, .addrs = addrs, .addr_count = 2};
    pg_buf sealed = {0};
    assert_int_equal(pg_peer_record_encode(&identity, &record, &sealed), PG_OK);
    // public_key takes 2 + 36 bytes, then the payload type
    assert_memory_equal(sealed.ptr + 38, "\x12\x02\x03\x01", 4);
    pg_arena arena = pg_arena_make(PG_PEER_RECORD_ARENA_BYTES);
    pg_peer_record back = {0};
    assert_int_equal(pg_peer_record_decode(pg_buf_bytes(&sealed), &arena, &back), PG_OK);
    assert_true(pg_peer_id_equal(&back.peer, &identity.peer_id));
    assert_int_equal(back.seq, record.seq);
    assert_int_equal(back.addr_count, 2);
    assert_true(pg_bytes_equal(back.addrs[0], addrs[0]));
    assert_true(pg_bytes_equal(back.addrs[1], addrs[1]));
    pg_arena_deinit(&arena);
    pg_buf_deinit(&sealed);
    pg_identity_deinit(&identity);
}

// Seals a hand-made record as a real node would.
static pg_err seal_and_decode(const pg_identity *identity, pg_bytes payload)
{
    pg_buf sealed = {0};
    assert_int_equal(pg_envelope_seal(identity, PG_BYTES_LIT("libp2p-peer-record"),
                                      PG_BYTES_LIT("\x03\x01"), payload, &sealed),
                     PG_OK);
    pg_arena arena = pg_arena_make(PG_PEER_RECORD_ARENA_BYTES);
    pg_peer_record record = {0};
    pg_err err = pg_peer_record_decode(pg_buf_bytes(&sealed), &arena, &record);
    pg_arena_deinit(&arena);
    pg_buf_deinit(&sealed);
    return err;
}

static void test_peer_record__of_another_peer_or_hostile__is_refused(void **state)
{
    (void) state;
    pg_identity identity = identity_of(2);
    pg_identity other = identity_of(3);
    pg_buf payload = {0};
    assert_int_equal(pg_buf_append(&payload, PG_BYTES_LIT("\x0a\x26")), PG_OK);
    assert_int_equal(pg_buf_append(&payload, pg_peer_id_bytes(&identity.peer_id)), PG_OK);
    assert_int_equal(seal_and_decode(&identity, pg_buf_bytes(&payload)), PG_OK);
    assert_int_equal(seal_and_decode(&other, pg_buf_bytes(&payload)), PG_ERR_AUTH);
    assert_int_equal(seal_and_decode(&identity, PG_BYTES_LIT("\x0a\x26")), PG_ERR_MALFORMED);
    for (size_t i = 0; i <= PG_PEER_RECORD_ADDRS_MAX; i++) {
        assert_int_equal(pg_buf_append(&payload, PG_BYTES_LIT("\x1a\0")), PG_OK);
    }
    assert_int_equal(seal_and_decode(&identity, pg_buf_bytes(&payload)), PG_ERR_LIMIT);
    for (size_t i = 0; i < 7000; i++) {
        assert_int_equal(pg_buf_append(&payload, PG_BYTES_LIT("\x1a\0")), PG_OK);
    }
    assert_int_equal(seal_and_decode(&identity, pg_buf_bytes(&payload)), PG_ERR_LIMIT);
    pg_bytes addrs[PG_PEER_RECORD_ADDRS_MAX + 1] = {0};
    pg_peer_record record = {.addrs = addrs, .addr_count = PG_ARRAY_LEN(addrs)};
    assert_int_equal(pg_peer_record_encode(&identity, &record, &payload), PG_ERR_LIMIT);
    pg_buf_deinit(&payload);
    pg_identity_deinit(&identity);
    pg_identity_deinit(&other);
}

static void test_certificate__issued__names_both_and_its_time(void **state)
{
    (void) state;
    pg_identity person = identity_of(4);
    pg_identity device = identity_of(5);
    pg_buf out = {0};
    assert_int_equal(pg_certificate_issue(&person, device.public_key, 1000000, 2000000, &out),
                     PG_OK);
    assert_true(out.len <= PG_CERTIFICATE_BYTES_MAX);
    pg_certificate certificate = {0};
    assert_int_equal(pg_certificate_decode(pg_buf_bytes(&out), &certificate), PG_OK);
    assert_true(pg_peer_id_equal(&certificate.person, &person.peer_id));
    assert_true(pg_peer_id_equal(&certificate.device, &device.peer_id));
    assert_true(pg_certificate_is_valid_at(&certificate, 1000000));
    assert_true(pg_certificate_is_valid_at(&certificate, 1000000 - PG_CERTIFICATE_CLOCK_SLACK_S));
    assert_false(
        pg_certificate_is_valid_at(&certificate, 1000000 - PG_CERTIFICATE_CLOCK_SLACK_S - 1));
    assert_true(pg_certificate_is_valid_at(&certificate, 1999999));
    assert_false(pg_certificate_is_valid_at(&certificate, 2000000));
    certificate.expires_at_s = 0;
    certificate.issued_at_s = 5;
    assert_true(pg_certificate_is_valid_at(&certificate, 0));
    assert_true(pg_certificate_is_valid_at(&certificate, UINT64_MAX));
    pg_buf_deinit(&out);
    pg_identity_deinit(&person);
    pg_identity_deinit(&device);
}

static pg_err certificate_decode(const pg_identity *person, uint32_t version, pg_bytes device_key)
{
    Pangea__Crypto__Certificate message = PANGEA__CRYPTO__CERTIFICATE__INIT;
    message.has_version = true;
    message.version = version;
    message.has_device_key = true;
    message.device_key = pg_pb_view(device_key);
    pg_buf payload = {0};
    pg_buf sealed = {0};
    assert_int_equal(pg_pb_append(&payload, &message.base), PG_OK);
    assert_int_equal(pg_envelope_seal(person, PG_BYTES_LIT("pangea-device-cert"),
                                      PG_BYTES_LIT("/pangea/device-cert"), pg_buf_bytes(&payload),
                                      &sealed),
                     PG_OK);
    pg_certificate certificate = {0};
    pg_err err = pg_certificate_decode(pg_buf_bytes(&sealed), &certificate);
    pg_buf_deinit(&payload);
    pg_buf_deinit(&sealed);
    return err;
}

static void test_certificate__other_version_or_no_key__is_refused(void **state)
{
    (void) state;
    pg_identity person = identity_of(4);
    uint8_t key[PG_ED25519_ENCODED_BYTES];
    pg_public_key_encode_ed25519(person.public_key, key);
    assert_int_equal(certificate_decode(&person, 1, PG_BYTES_OF(key)), PG_OK);
    assert_int_equal(certificate_decode(&person, 2, PG_BYTES_OF(key)), PG_ERR_UNSUPPORTED);
    assert_int_equal(certificate_decode(&person, 1, PG_BYTES_EMPTY), PG_ERR_TRUNCATED);
    const uint8_t big[PG_CERTIFICATE_BYTES_MAX + 1] = {0};
    pg_certificate certificate = {0};
    assert_int_equal(pg_certificate_decode(PG_BYTES_OF(big), &certificate), PG_ERR_LIMIT);
    assert_int_equal(pg_certificate_decode(PG_BYTES_LIT("\x0a\x24"), &certificate),
                     PG_ERR_MALFORMED);
    pg_identity_deinit(&person);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_envelope__sealed__has_the_bytes_of_rfc_0002),
        cmocka_unit_test(test_envelope__other_purpose__is_refused),
        cmocka_unit_test(test_envelope__any_byte_changed__never_opens_as_signed),
        cmocka_unit_test(test_envelope__too_long__is_refused_both_ways),
        cmocka_unit_test(test_envelope__memory_out__leaves_nothing),
        cmocka_unit_test(test_peer_record__sealed__reads_back_with_type_03_01),
        cmocka_unit_test(test_peer_record__of_another_peer_or_hostile__is_refused),
        cmocka_unit_test(test_certificate__issued__names_both_and_its_time),
        cmocka_unit_test(test_certificate__other_version_or_no_key__is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
