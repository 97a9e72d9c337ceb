// SPDX-License-Identifier: Apache-2.0
// Goal: keys, PeerIds and signatures are libp2p's, byte for byte, and only canonical encodings are taken.
// Method: the specification's vectors, RFC 8032, Wycheproof; every encoding altered by hand.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/str.h"
#include "crypto/identity.h"
#include "vectors.h"

// libp2p peer-ids, test vectors.
#define SPEC_PUBLIC "080112201ed1e8fae2c4a144b8be8fd4b47bf3d3b34b871c3cacf6010f0e42d474fce27e"
#define SPEC_PRIVATE                                                                               \
    "080112407e0830617c4a7de83925dfb2694556b12936c477a0e1feb2e148ec9da60fee7d"                     \
    "1ed1e8fae2c4a144b8be8fd4b47bf3d3b34b871c3cacf6010f0e42d474fce27e"

static size_t hex(const char *text, uint8_t *out)
{
    size_t len = strlen(text) / 2;
    assert_int_equal(pg_hex_decode(pg_str_make(text), pg_mut_bytes_make(out, len)), PG_OK);
    return len;
}

static void test_identity__spec_private_key__gives_spec_public_key(void **state)
{
    (void) state;
    uint8_t in[PG_IDENTITY_PRIVATE_BYTES];
    assert_int_equal(hex(SPEC_PRIVATE, in), sizeof(in));
    pg_identity identity = {0};
    assert_int_equal(pg_identity_private_decode(PG_BYTES_OF(in), &identity), PG_OK);
    uint8_t encoded[PG_ED25519_ENCODED_BYTES];
    uint8_t want[PG_ED25519_ENCODED_BYTES];
    pg_public_key_encode_ed25519(identity.public_key, encoded);
    assert_int_equal(hex(SPEC_PUBLIC, want), sizeof(want));
    assert_memory_equal(encoded, want, sizeof(want));
    assert_int_equal(identity.peer_id.len, 38);
    assert_memory_equal(identity.peer_id.bytes, "\x00\x24", 2);
    assert_memory_equal(identity.peer_id.bytes + 2, want, sizeof(want));
    uint8_t out[PG_IDENTITY_PRIVATE_BYTES];
    pg_identity_private_encode(&identity, out);
    assert_memory_equal(out, in, sizeof(in));
    pg_key seed;
    pg_identity_seed(&identity, &seed);
    assert_memory_equal(seed.bytes, in + 4, PG_KEY_BYTES);
    pg_identity_deinit(&identity);
    pg_identity_deinit(&identity);
    pg_identity_deinit(NULL);
}

static void test_identity__old_form_and_bad_forms__read_or_refused(void **state)
{
    (void) state;
    uint8_t in[4 + 96 + 1];
    (void) hex(SPEC_PRIVATE, in);
    pg_identity identity = {0};
    in[3] = 96;
    memcpy(in + 68, in + 36, 32);
    assert_int_equal(pg_identity_private_decode(pg_bytes_make(in, 100), &identity), PG_OK);
    pg_identity_deinit(&identity);
    in[99] ^= 1;
    assert_int_equal(pg_identity_private_decode(pg_bytes_make(in, 100), &identity), PG_ERR_CORRUPT);
    in[3] = 64;
    for (size_t len = 0; len < 68; len++) {
        assert_int_equal(pg_identity_private_decode(pg_bytes_make(in, len), &identity),
                         PG_ERR_TRUNCATED);
    }
    assert_int_equal(pg_identity_private_decode(pg_bytes_make(in, 69), &identity),
                     PG_ERR_MALFORMED);
    in[40] ^= 1;
    assert_int_equal(pg_identity_private_decode(pg_bytes_make(in, 68), &identity), PG_ERR_CORRUPT);
    in[1] = PG_KEY_TYPE_RSA;
    assert_int_equal(pg_identity_private_decode(pg_bytes_make(in, 68), &identity),
                     PG_ERR_UNSUPPORTED);
    in[0] = 0x10;
    assert_int_equal(pg_identity_private_decode(pg_bytes_make(in, 68), &identity),
                     PG_ERR_MALFORMED);
    (void) hex(SPEC_PRIVATE, in);
    in[3] = 32;
    assert_int_equal(pg_identity_private_decode(pg_bytes_make(in, 36), &identity),
                     PG_ERR_MALFORMED);
    assert_null(identity.secret.ptr);
}

static void test_identity__rfc_8032_test_2__gives_published_signature(void **state)
{
    (void) state;
    pg_key seed;
    uint8_t want[PG_ED25519_SIGNATURE_BYTES];
    (void) hex("4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb", seed.bytes);
    (void) hex("92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"
               "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
               want);
    pg_identity identity = {0};
    assert_int_equal(pg_identity_init(&identity, &seed), PG_OK);
    uint8_t signature[PG_ED25519_SIGNATURE_BYTES];
    pg_identity_sign(&identity, PG_BYTES_LIT("r"), signature);
    assert_memory_equal(signature, want, sizeof(want));
    pg_public_key key = {PG_KEY_TYPE_ED25519, PG_BYTES_OF(identity.public_key)};
    assert_int_equal(pg_public_key_verify(&key, PG_BYTES_LIT("r"), PG_BYTES_OF(signature)), PG_OK);
    assert_int_equal(pg_public_key_verify(&key, PG_BYTES_LIT("s"), PG_BYTES_OF(signature)),
                     PG_ERR_AUTH);
    pg_identity_deinit(&identity);
}

static void check_signatures(const char *path, pg_key_type type, size_t count)
{
    vectors file = vectors_open(path);
    while (vectors_next(&file)) {
        pg_public_key key = {type, vectors_bytes(&file, "public")};
        pg_err err = pg_public_key_verify(&key, vectors_bytes(&file, "message"),
                                          vectors_bytes(&file, "signature"));
        bool valid = strcmp(vectors_text(&file, "result"), "valid") == 0;
        if (err != (valid ? PG_OK : PG_ERR_AUTH)) {
            fail_msg("%s: case %s: %s", path, vectors_text(&file, "id"), pg_error_detail(err));
        }
    }
    assert_int_equal(file.count, count);
}

static void test_public_key__wycheproof__accepts_and_refuses_as_told(void **state)
{
    (void) state;
    check_signatures("wycheproof/ed25519.txt", PG_KEY_TYPE_ED25519, 151);
    check_signatures("wycheproof/rsa_2048_sha256.txt", PG_KEY_TYPE_RSA, 52);
    check_signatures("wycheproof/ecdsa_secp256k1_sha256.txt", PG_KEY_TYPE_SECP256K1, 155);
    check_signatures("wycheproof/ecdsa_secp256r1_sha256.txt", PG_KEY_TYPE_ECDSA, 158);
}

// A key of low order lets one signature hold for any message in verifiers that allow it.
static void test_public_key__low_order_ed25519__verifies_nothing(void **state)
{
    (void) state;
    const uint8_t identity_point[32] = {1};
    uint8_t signature[PG_ED25519_SIGNATURE_BYTES] = {1}; // R the same point, S = 0
    pg_public_key key = {PG_KEY_TYPE_ED25519, PG_BYTES_OF(identity_point)};
    assert_int_equal(pg_public_key_verify(&key, PG_BYTES_LIT("any"), PG_BYTES_OF(signature)),
                     PG_ERR_AUTH);
}

static void test_public_key__decoded__only_when_canonical(void **state)
{
    (void) state;
    uint8_t in[PG_ED25519_ENCODED_BYTES + 1];
    (void) hex(SPEC_PUBLIC, in);
    pg_bytes good = pg_bytes_make(in, PG_ED25519_ENCODED_BYTES);
    pg_public_key key = {0};
    assert_int_equal(pg_public_key_decode(good, &key), PG_OK);
    assert_int_equal(key.type, PG_KEY_TYPE_ED25519);
    assert_true(pg_bytes_equal(key.data, pg_bytes_make(in + 4, 32)));
    for (size_t len = 0; len < good.len; len++) {
        assert_int_equal(pg_public_key_decode(pg_bytes_make(in, len), &key), PG_ERR_TRUNCATED);
    }
    assert_int_equal(pg_public_key_decode(PG_BYTES_OF(in), &key), PG_ERR_MALFORMED);
    in[1] = PG_KEY_TYPE_COUNT;
    assert_int_equal(pg_public_key_decode(good, &key), PG_ERR_UNSUPPORTED);
    in[1] = PG_KEY_TYPE_SECP256K1;
    assert_int_equal(pg_public_key_decode(good, &key), PG_ERR_MALFORMED);
    in[2] = 0x1a;
    assert_int_equal(pg_public_key_decode(good, &key), PG_ERR_MALFORMED);
    const uint8_t long_len[] = {0x08, 0x00, 0x12, 0x81, 0x00, 0x55}; // 1 in two bytes
    assert_int_equal(pg_public_key_decode(PG_BYTES_OF(long_len), &key), PG_ERR_TRUNCATED);
    const uint8_t empty[] = {0x08, 0x00, 0x12, 0x00};
    assert_int_equal(pg_public_key_decode(PG_BYTES_OF(empty), &key), PG_ERR_MALFORMED);
    uint8_t two_bytes[5 + 300] = {0x08, 0x00, 0x12, 0xac, 0x02};
    assert_int_equal(pg_public_key_decode(PG_BYTES_OF(two_bytes), &key), PG_OK);
    assert_int_equal(key.data.len, 300);
    uint8_t big[PG_PUBLIC_KEY_BYTES_MAX + 1] = {0};
    assert_int_equal(pg_public_key_decode(PG_BYTES_OF(big), &key), PG_ERR_LIMIT);
}

static void test_public_key__wrong_structure__is_named(void **state)
{
    (void) state;
    pg_bytes none = PG_BYTES_LIT("no structure");
    uint8_t point[33] = {2};
    memset(point + 1, 0xff, 32); // beyond the field
    const struct {
        pg_public_key key;
        pg_err err;
    } cases[] = {
        {{PG_KEY_TYPE_RSA, none}, PG_ERR_MALFORMED},
        {{PG_KEY_TYPE_ECDSA, none}, PG_ERR_MALFORMED},
        {{PG_KEY_TYPE_SECP256K1, PG_BYTES_OF(point)}, PG_ERR_MALFORMED},
        {{PG_KEY_TYPE_COUNT, none}, PG_ERR_UNSUPPORTED},
    };
    for (size_t i = 0; i < PG_ARRAY_LEN(cases); i++) {
        assert_int_equal(pg_public_key_verify(&cases[i].key, none, none), cases[i].err);
    }
    vectors rsa = vectors_open("wycheproof/rsa_2048_sha256.txt");
    vectors ecdsa = vectors_open("wycheproof/ecdsa_secp256r1_sha256.txt");
    assert_true(vectors_next(&rsa) && vectors_next(&ecdsa));
    pg_public_key key = {PG_KEY_TYPE_RSA, vectors_bytes(&ecdsa, "public")};
    assert_int_equal(pg_public_key_verify(&key, none, none), PG_ERR_UNSUPPORTED);
    key = (pg_public_key){PG_KEY_TYPE_ECDSA, vectors_bytes(&rsa, "public")};
    assert_int_equal(pg_public_key_verify(&key, none, none), PG_ERR_UNSUPPORTED);
    while (vectors_next(&rsa)) {
    }
    while (vectors_next(&ecdsa)) {
    }
}

static void test_peer_id__of_long_key__is_its_sha256(void **state)
{
    (void) state;
    uint8_t key[300] = {8, 0, 0x12};
    pg_peer_id id = {0};
    pg_peer_id_of_key(PG_BYTES_OF(key), &id);
    assert_int_equal(id.len, 34);
    assert_memory_equal(id.bytes, "\x12\x20", 2);
    pg_peer_id back = {0};
    assert_int_equal(pg_peer_id_decode(pg_peer_id_bytes(&id), &back), PG_OK);
    assert_true(pg_peer_id_equal(&id, &back));
    assert_int_equal(pg_peer_id_compare(&id, &back), 0);
    back.bytes[33]++;
    assert_false(pg_peer_id_equal(&id, &back));
}

static void test_peer_id__bad_multihash__is_refused(void **state)
{
    (void) state;
    pg_peer_id id = {0};
    uint8_t in[46] = {0};
    in[1] = 43;
    assert_int_equal(pg_peer_id_decode(pg_bytes_make(in, 45), &id), PG_ERR_MALFORMED);
    in[1] = 42;
    assert_int_equal(pg_peer_id_decode(pg_bytes_make(in, 44), &id), PG_OK);
    assert_int_equal(pg_peer_id_decode(pg_bytes_make(in, 45), &id), PG_ERR_MALFORMED);
    assert_int_equal(pg_peer_id_decode(pg_bytes_make(in, 43), &id), PG_ERR_TRUNCATED);
    in[1] = 0;
    assert_int_equal(pg_peer_id_decode(pg_bytes_make(in, 2), &id), PG_ERR_MALFORMED);
    in[0] = 0x12;
    in[1] = 31;
    assert_int_equal(pg_peer_id_decode(pg_bytes_make(in, 33), &id), PG_ERR_MALFORMED);
    in[0] = 0x1e;
    in[1] = 32;
    assert_int_equal(pg_peer_id_decode(pg_bytes_make(in, 34), &id), PG_ERR_UNSUPPORTED);
    assert_int_equal(pg_peer_id_decode(PG_BYTES_EMPTY, &id), PG_ERR_TRUNCATED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_identity__spec_private_key__gives_spec_public_key),
        cmocka_unit_test(test_identity__old_form_and_bad_forms__read_or_refused),
        cmocka_unit_test(test_identity__rfc_8032_test_2__gives_published_signature),
        cmocka_unit_test(test_public_key__wycheproof__accepts_and_refuses_as_told),
        cmocka_unit_test(test_public_key__low_order_ed25519__verifies_nothing),
        cmocka_unit_test(test_public_key__decoded__only_when_canonical),
        cmocka_unit_test(test_public_key__wrong_structure__is_named),
        cmocka_unit_test(test_peer_id__of_long_key__is_its_sha256),
        cmocka_unit_test(test_peer_id__bad_multihash__is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
