// SPDX-License-Identifier: Apache-2.0
// Goal: certificates of other implementations are read, ours are read back, and nothing else is believed.
// Method: the vectors of the libp2p specification; every byte of a certificate changed; certificates with other extensions,
//       dates and keys made by hand; the same seed of a simulated run twice.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include "base/mem.h"
#include "crypto/peer_id_text.h"
#include "crypto/tls_certificate.h"
#include "runtime/sim.h"
#include "vectors.h"

#define NOW_MS INT64_C(1800000000000)

static pg_identity identity_of(uint8_t byte)
{
    pg_key seed;
    memset(seed.bytes, byte, sizeof(seed.bytes));
    pg_identity identity = {0};
    assert_int_equal(pg_identity_init(&identity, &seed), PG_OK);
    return identity;
}

static pg_err decode(const pg_tls_certificate *certificate, pg_tls_peer *out_peer)
{
    pg_buf der = {0};
    assert_int_equal(pg_tls_certificate_encode(certificate, &der), PG_OK);
    pg_err err = pg_tls_certificate_decode(pg_buf_bytes(&der), NOW_MS, out_peer);
    pg_buf_deinit(&der);
    return err;
}

static void test_tls_certificate__vectors_of_the_specification__as_written_there(void **state)
{
    (void) state;
    vectors file = vectors_open("libp2p-tls/certificates.txt");
    while (vectors_next(&file)) {
        pg_tls_peer peer = {0};
        pg_err err = pg_tls_certificate_decode(vectors_bytes(&file, "certificate"), NOW_MS, &peer);
        if (strcmp(vectors_text(&file, "result"), "valid") == 0) {
            char text[PG_PEER_ID_TEXT_BYTES];
            assert_int_equal(err, PG_OK);
            pg_peer_id_format(&peer.id, text);
            assert_string_equal(text, vectors_text(&file, "peer"));
        } else {
            assert_int_equal(err, PG_ERR_AUTH);
            assert_int_equal(peer.id.len, 0);
        }
    }
    assert_int_equal(file.count, 4);
}

static void test_tls_certificate__ours__names_the_identity(void **state)
{
    (void) state;
    pg_identity identity = identity_of(1);
    pg_tls_certificate certificate;
    pg_tls_peer peer = {0};
    uint8_t key[PG_ED25519_ENCODED_BYTES];
    assert_int_equal(pg_tls_certificate_init(&certificate, &identity, NOW_MS), PG_OK);
    assert_int_equal(decode(&certificate, &peer), PG_OK);
    pg_public_key_encode_ed25519(identity.public_key, key);
    assert_true(pg_peer_id_equal(&peer.id, &identity.peer_id));
    assert_true(
        pg_bytes_equal(pg_bytes_make(peer.public_key, peer.public_key_len), PG_BYTES_OF(key)));
    pg_tls_certificate_deinit(&certificate);
    pg_tls_certificate_deinit(&certificate);
    pg_identity_deinit(&identity);
}

static void test_tls_certificate__any_byte_changed__is_refused(void **state)
{
    (void) state;
    pg_identity identity = identity_of(1);
    pg_tls_certificate certificate;
    pg_tls_peer peer = {0};
    pg_buf der = {0};
    assert_int_equal(pg_tls_certificate_init(&certificate, &identity, NOW_MS), PG_OK);
    assert_int_equal(pg_tls_certificate_encode(&certificate, &der), PG_OK);
    for (size_t i = 0; i < der.len; i++) {
        for (unsigned bit = 0; bit < 8; bit += 7) {
            der.ptr[i] ^= (uint8_t) (1U << bit);
            assert_int_not_equal(pg_tls_certificate_decode(pg_buf_bytes(&der), NOW_MS, &peer),
                                 PG_OK);
            der.ptr[i] ^= (uint8_t) (1U << bit);
        }
    }
    for (size_t len = 0; len < der.len; len++) {
        uint8_t *cut = pg_malloc(len); // its exact size, for AddressSanitizer
        assert_non_null(cut);
        memcpy(cut, der.ptr, len);
        assert_int_equal(pg_tls_certificate_decode(pg_bytes_make(cut, len), NOW_MS, &peer),
                         PG_ERR_MALFORMED);
        pg_mfree(cut);
    }
    assert_int_equal(pg_buf_append(&der, PG_BYTES_LIT("x")), PG_OK);
    assert_int_equal(pg_tls_certificate_decode(pg_buf_bytes(&der), NOW_MS, &peer),
                     PG_ERR_MALFORMED);
    assert_int_equal(peer.id.len, 0);
    pg_buf_deinit(&der);
    pg_tls_certificate_deinit(&certificate);
    pg_identity_deinit(&identity);
}

static void test_tls_certificate__out_of_its_dates__is_refused(void **state)
{
    (void) state;
    pg_identity identity = identity_of(1);
    pg_tls_certificate certificate;
    pg_tls_peer peer;
    const struct {
        int64_t made_ms;
        pg_err err;
    } cases[] = {
        {NOW_MS + INT64_C(3599) * 1000, PG_OK},
        {NOW_MS + INT64_C(3601) * 1000, PG_ERR_AUTH},
        {NOW_MS - (PG_TLS_CERTIFICATE_AFTER_S - 1) * 1000, PG_OK},
        {NOW_MS - (PG_TLS_CERTIFICATE_AFTER_S + 1) * 1000, PG_ERR_AUTH},
    };
    for (size_t i = 0; i < PG_ARRAY_LEN(cases); i++) {
        assert_int_equal(pg_tls_certificate_init(&certificate, &identity, cases[i].made_ms), PG_OK);
        assert_int_equal(decode(&certificate, &peer), cases[i].err);
        pg_tls_certificate_deinit(&certificate);
    }
    pg_identity_deinit(&identity);
}

static void test_tls_certificate__too_long__is_refused_unread(void **state)
{
    (void) state;
    static const uint8_t zeros[PG_TLS_CERTIFICATE_BYTES_MAX + 1];
    pg_tls_peer peer;
    assert_int_equal(pg_tls_certificate_decode(PG_BYTES_OF(zeros), NOW_MS, &peer), PG_ERR_LIMIT);
}

// ---- Certificates with something changed, and signed again by their own key

static pg_err decode_resigned(pg_tls_certificate *certificate, const EVP_MD *digest)
{
    pg_tls_peer peer;
    assert_true(X509_sign(certificate->x509, certificate->key, digest) > 0);
    return decode(certificate, &peer);
}

static void extension_put(X509 *x509, const char *oid_text, int critical, pg_bytes value)
{
    ASN1_OBJECT *oid = OBJ_txt2obj(oid_text, 1);
    ASN1_OCTET_STRING *octets = ASN1_OCTET_STRING_new();
    assert_int_equal(ASN1_OCTET_STRING_set(octets, value.ptr, (int) value.len), 1);
    X509_EXTENSION *extension = X509_EXTENSION_create_by_OBJ(NULL, oid, critical, octets);
    assert_int_equal(X509_add_ext(x509, extension, -1), 1);
    X509_EXTENSION_free(extension);
    ASN1_OCTET_STRING_free(octets);
    ASN1_OBJECT_free(oid);
}

static void test_tls_certificate__other_extensions__skipped_unless_critical(void **state)
{
    (void) state;
    pg_identity identity = identity_of(1);
    pg_tls_certificate certificate;
    assert_int_equal(pg_tls_certificate_init(&certificate, &identity, NOW_MS), PG_OK);
    X509_EXTENSION_set_critical(X509_get_ext(certificate.x509, 0), 1); // ours may be critical
    extension_put(certificate.x509, "1.3.6.1.4.1.53594.9.9", 0, PG_BYTES_LIT("x"));
    extension_put(certificate.x509, "2.5.29.19", 1, PG_BYTES_LIT("\x30\x00")); // basicConstraints
    assert_int_equal(decode_resigned(&certificate, EVP_sha256()), PG_OK);
    extension_put(certificate.x509, "1.3.6.1.4.1.53594.9.8", 1, PG_BYTES_LIT("x"));
    assert_int_equal(decode_resigned(&certificate, EVP_sha256()), PG_ERR_UNSUPPORTED);
    pg_tls_certificate_deinit(&certificate);
    pg_identity_deinit(&identity);
}

static void test_tls_certificate__identity_missing_or_twice__is_refused(void **state)
{
    (void) state;
    pg_identity identity = identity_of(1);
    pg_tls_certificate certificate;
    assert_int_equal(pg_tls_certificate_init(&certificate, &identity, NOW_MS), PG_OK);
    X509_EXTENSION *ours = X509_EXTENSION_dup(X509_get_ext(certificate.x509, 0));
    assert_int_equal(X509_add_ext(certificate.x509, ours, -1), 1);
    assert_int_equal(decode_resigned(&certificate, EVP_sha256()), PG_ERR_MALFORMED);
    X509_EXTENSION_free(X509_delete_ext(certificate.x509, 1));
    assert_int_equal(decode_resigned(&certificate, EVP_sha256()), PG_OK);
    X509_EXTENSION_free(X509_delete_ext(certificate.x509, 0));
    assert_int_equal(decode_resigned(&certificate, EVP_sha256()), PG_ERR_MALFORMED);
    X509_EXTENSION_free(ours);
    pg_tls_certificate_deinit(&certificate);
    pg_identity_deinit(&identity);
}

static void test_tls_certificate__identity_malformed__is_refused(void **state)
{
    (void) state;
    static const pg_bytes values[] = {
        PG_BYTES_LIT(""),
        PG_BYTES_LIT("\x30\x00"),
        PG_BYTES_LIT("\x30\x02\x04\x00"),
        PG_BYTES_LIT("\x30\x04\x04\x00\x02\x00"),         // the second is no octet string
        PG_BYTES_LIT("\x30\x04\x04\x00\x04\x00"),         // no key
        PG_BYTES_LIT("\x30\x06\x04\x00\x04\x00\x04\x00"), // three
        PG_BYTES_LIT("\x30\x04\x04\x00\x04\x00x"),        // something behind
        PG_BYTES_LIT("\x30\x84\xff\xff\xff\xff"),
    };
    pg_identity identity = identity_of(1);
    for (size_t i = 0; i < PG_ARRAY_LEN(values); i++) {
        pg_tls_certificate certificate;
        assert_int_equal(pg_tls_certificate_init(&certificate, &identity, NOW_MS), PG_OK);
        X509_EXTENSION_free(X509_delete_ext(certificate.x509, 0));
        extension_put(certificate.x509, "1.3.6.1.4.1.53594.1.1", 0, values[i]);
        pg_err err = decode_resigned(&certificate, EVP_sha256());
        assert_true(err == PG_ERR_MALFORMED || err == PG_ERR_TRUNCATED);
        pg_tls_certificate_deinit(&certificate);
    }
    pg_identity_deinit(&identity);
}

static void test_tls_certificate__key_of_another__is_refused(void **state)
{
    (void) state;
    pg_identity identity = identity_of(1);
    pg_tls_certificate certificate;
    assert_int_equal(pg_tls_certificate_init(&certificate, &identity, NOW_MS), PG_OK);
    EVP_PKEY *other = EVP_EC_gen("P-256"); // the identity's signature is copied from the first
    assert_int_equal(X509_set_pubkey(certificate.x509, other), 1);
    EVP_PKEY_free(certificate.key);
    certificate.key = other;
    assert_int_equal(decode_resigned(&certificate, EVP_sha256()), PG_ERR_AUTH);
    pg_tls_certificate_deinit(&certificate);
    pg_identity_deinit(&identity);
}

static void test_tls_certificate__weak_signature_or_key__is_refused(void **state)
{
    (void) state;
    pg_identity identity = identity_of(1);
    pg_tls_certificate certificate;
    assert_int_equal(pg_tls_certificate_init(&certificate, &identity, NOW_MS), PG_OK);
    assert_int_equal(decode_resigned(&certificate, EVP_sha1()), PG_ERR_UNSUPPORTED);
    EVP_PKEY *weak = EVP_RSA_gen(1024);
    assert_non_null(weak);
    assert_int_equal(X509_set_pubkey(certificate.x509, weak), 1);
    EVP_PKEY_free(certificate.key);
    certificate.key = weak;
    assert_int_equal(decode_resigned(&certificate, EVP_sha256()), PG_ERR_UNSUPPORTED);
    pg_tls_certificate_deinit(&certificate);
    pg_identity_deinit(&identity);
}

// ---- Randomness

static pg_err make_simulated(void *arg)
{
    pg_buf *out = arg;
    pg_identity identity = {0};
    pg_tls_certificate certificate;
    const pg_key seed = {{7}};
    PG_TRY(pg_identity_init(&identity, &seed));
    pg_err err = pg_tls_certificate_init(&certificate, &identity, pg_wall_ms());
    if (err == PG_OK) {
        err = pg_tls_certificate_encode(&certificate, out);
    }
    pg_tls_certificate_deinit(&certificate);
    pg_identity_deinit(&identity);
    return err;
}

static void test_tls_certificate__simulated_run__repeats_from_its_seed(void **state)
{
    (void) state;
    static const uint64_t seeds[] = {1, 1, 2};
    pg_buf made[3] = {0};
    for (size_t i = 0; i < 3; i++) {
        const pg_sim_config config = {.seed = seeds[i]};
        assert_int_equal(pg_sim_run(&config, make_simulated, &made[i], NULL), PG_OK);
    }
    assert_true(pg_bytes_equal(pg_buf_bytes(&made[0]), pg_buf_bytes(&made[1])));
    assert_false(pg_bytes_equal(pg_buf_bytes(&made[0]), pg_buf_bytes(&made[2])));
    for (size_t i = 0; i < 3; i++) {
        pg_buf_deinit(&made[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tls_certificate__vectors_of_the_specification__as_written_there),
        cmocka_unit_test(test_tls_certificate__ours__names_the_identity),
        cmocka_unit_test(test_tls_certificate__any_byte_changed__is_refused),
        cmocka_unit_test(test_tls_certificate__out_of_its_dates__is_refused),
        cmocka_unit_test(test_tls_certificate__too_long__is_refused_unread),
        cmocka_unit_test(test_tls_certificate__other_extensions__skipped_unless_critical),
        cmocka_unit_test(test_tls_certificate__identity_missing_or_twice__is_refused),
        cmocka_unit_test(test_tls_certificate__identity_malformed__is_refused),
        cmocka_unit_test(test_tls_certificate__key_of_another__is_refused),
        cmocka_unit_test(test_tls_certificate__weak_signature_or_key__is_refused),
        cmocka_unit_test(test_tls_certificate__simulated_run__repeats_from_its_seed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
