// SPDX-License-Identifier: Apache-2.0
#include "crypto/tls_certificate.h"

#include <string.h>

#include <openssl/asn1.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/objects.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include "crypto/setup_priv.h"
#include "runtime/random.h"

#define EXTENSION_OID "1.3.6.1.4.1.53594.1.1"
#define SIGNED_PREFIX "libp2p-tls-handshake:"
#define SPKI_BYTES_MAX 2048 // of an RSA key of PG_TLS_CERTIFICATE_KEY_BITS_MAX: 1,056
#define SERIAL_BYTES 8

/** What the identity signs: the prefix and the certificate's key. */
typedef struct signed_text {
    uint8_t bytes[sizeof(SIGNED_PREFIX) - 1 + SPKI_BYTES_MAX];
    size_t len;
} signed_text;

static pg_err fail_memory(void)
{
    return pg_crypto_fail(PG_ERR_NOMEM, "no memory for a certificate");
}

static pg_err signed_text_make(const X509 *x509, signed_text *out_text)
{
    X509_PUBKEY *spki = X509_get_X509_PUBKEY(x509);
    uint8_t *at = out_text->bytes + sizeof(SIGNED_PREFIX) - 1;
    int len = i2d_X509_PUBKEY(spki, NULL);
    if (len <= 0 || len > SPKI_BYTES_MAX) {
        return pg_crypto_fail(PG_ERR_LIMIT, "the certificate's key is too large");
    }
    memcpy(out_text->bytes, SIGNED_PREFIX, sizeof(SIGNED_PREFIX) - 1);
    len = i2d_X509_PUBKEY(spki, &at);
    if (len <= 0) {
        return fail_memory();
    }
    out_text->len = sizeof(SIGNED_PREFIX) - 1 + (size_t) len;
    return PG_OK;
}

// ---- Making

// Append an octet string to a sequence.
static bool sequence_add(ASN1_SEQUENCE_ANY *sequence, pg_bytes bytes)
{
    ASN1_TYPE *item = ASN1_TYPE_new();
    ASN1_OCTET_STRING *octets = ASN1_OCTET_STRING_new();
    if (item == NULL || octets == NULL ||
        ASN1_OCTET_STRING_set(octets, bytes.ptr, (int) bytes.len) != 1 ||
        sk_ASN1_TYPE_push(sequence, item) <= 0) {
        ASN1_TYPE_free(item);
        ASN1_OCTET_STRING_free(octets);
        return false;
    }
    ASN1_TYPE_set(item, V_ASN1_OCTET_STRING, octets);
    return true;
}

// SignedKey ::= SEQUENCE { publicKey OCTET STRING, signature OCTET STRING }, as the extension's value.
static ASN1_OCTET_STRING *signed_key_make(pg_bytes key, pg_bytes signature)
{
    uint8_t *der = NULL;
    ASN1_OCTET_STRING *value = ASN1_OCTET_STRING_new();
    ASN1_SEQUENCE_ANY *sequence = sk_ASN1_TYPE_new_null();
    int len = -1;
    if (value != NULL && sequence != NULL && sequence_add(sequence, key) &&
        sequence_add(sequence, signature)) {
        len = i2d_ASN1_SEQUENCE_ANY(sequence, &der);
    }
    sk_ASN1_TYPE_pop_free(sequence, ASN1_TYPE_free);
    if (len > 0 && ASN1_OCTET_STRING_set(value, der, len) == 1) {
        OPENSSL_free(der);
        return value;
    }
    OPENSSL_free(der);
    ASN1_OCTET_STRING_free(value);
    return NULL;
}

static bool extension_add(X509 *x509, pg_bytes key, pg_bytes signature)
{
    ASN1_OBJECT *oid = OBJ_txt2obj(EXTENSION_OID, 1);
    ASN1_OCTET_STRING *value = signed_key_make(key, signature);
    X509_EXTENSION *extension = NULL;
    bool added = oid != NULL && value != NULL;
    if (added) {
        extension = X509_EXTENSION_create_by_OBJ(NULL, oid, 0, value);
        added = extension != NULL && X509_add_ext(x509, extension, -1) == 1;
    }
    X509_EXTENSION_free(extension);
    ASN1_OCTET_STRING_free(value);
    ASN1_OBJECT_free(oid);
    return added;
}

static bool names_set(X509 *x509)
{
    static const uint8_t organisation[] = "libp2p.io";
    uint8_t serial[SERIAL_BYTES];
    pg_random_bytes(PG_MUT_BYTES_OF(serial));
    serial[0] &= 0x7f; // a positive number
    BIGNUM *number = BN_bin2bn(serial, sizeof(serial), NULL);
    bool set = number != NULL && BN_to_ASN1_INTEGER(number, X509_get_serialNumber(x509)) != NULL &&
               X509_NAME_add_entry_by_NID(X509_get_subject_name(x509), NID_organizationName,
                                          V_ASN1_PRINTABLESTRING, organisation,
                                          sizeof(organisation) - 1, -1, 0) == 1 &&
               X509_set_issuer_name(x509, X509_get_subject_name(x509)) == 1;
    BN_free(number);
    return set;
}

static bool dates_set(X509 *x509, int64_t wall_s)
{
    return ASN1_TIME_set(X509_getm_notBefore(x509), wall_s - PG_TLS_CERTIFICATE_BEFORE_S) != NULL &&
           ASN1_TIME_set(X509_getm_notAfter(x509), wall_s + PG_TLS_CERTIFICATE_AFTER_S) != NULL;
}

// Fill a certificate whose key is made.
static pg_err certificate_fill(const pg_tls_certificate *certificate, const pg_identity *identity,
                               int64_t wall_ms)
{
    X509 *x509 = certificate->x509;
    signed_text text = {.len = 0};
    uint8_t key[PG_ED25519_ENCODED_BYTES];
    uint8_t signature[PG_ED25519_SIGNATURE_BYTES];
    if (X509_set_version(x509, X509_VERSION_3) != 1 || !names_set(x509) ||
        !dates_set(x509, wall_ms / 1000) || X509_set_pubkey(x509, certificate->key) != 1) {
        return fail_memory();
    }
    PG_TRY(signed_text_make(x509, &text));
    pg_public_key_encode_ed25519(identity->public_key, key);
    pg_identity_sign(identity, pg_bytes_make(text.bytes, text.len), signature);
    if (!extension_add(x509, PG_BYTES_OF(key), PG_BYTES_OF(signature)) ||
        X509_sign(x509, certificate->key, EVP_sha256()) <= 0) {
        return fail_memory();
    }
    return PG_OK;
}

pg_err pg_tls_certificate_init(pg_tls_certificate *certificate, const pg_identity *identity,
                               int64_t wall_ms)
{
    (void) pg_crypto_algs_get();
    *certificate = (pg_tls_certificate){.x509 = X509_new(), .key = EVP_EC_gen("P-256")};
    pg_err err = certificate->x509 == NULL || certificate->key == NULL
                     ? fail_memory()
                     : certificate_fill(certificate, identity, wall_ms);
    if (err != PG_OK) {
        pg_tls_certificate_deinit(certificate);
    }
    return err;
}

pg_err pg_tls_certificate_encode(const pg_tls_certificate *certificate, pg_buf *out)
{
    uint8_t *der = NULL;
    int len = i2d_X509(certificate->x509, &der);
    if (len <= 0) {
        return fail_memory();
    }
    pg_err err = pg_buf_append(out, pg_bytes_make(der, (size_t) len));
    OPENSSL_free(der);
    return err;
}

void pg_tls_certificate_deinit(pg_tls_certificate *certificate)
{
    if (certificate != NULL) {
        X509_free(certificate->x509);
        EVP_PKEY_free(certificate->key);
        *certificate = (pg_tls_certificate){0};
    }
}

// ---- Reading

// Find the one extension of ours. Unknown extensions are skipped, unless they are critical.
static pg_err extension_find(const X509 *x509, const ASN1_OBJECT *oid, pg_bytes *out_value)
{
    bool found = false;
    pg_bytes value = PG_BYTES_EMPTY;
    for (int i = 0; i < X509_get_ext_count(x509); i++) {
        X509_EXTENSION *each = X509_get_ext(x509, i);
        bool is_ours = OBJ_cmp(X509_EXTENSION_get_object(each), oid) == 0;
        if (is_ours && found) {
            return pg_fail(PG_ERR_MALFORMED, "the certificate has two identities");
        }
        if (is_ours) {
            const ASN1_OCTET_STRING *octets = X509_EXTENSION_get_data(each);
            value =
                pg_bytes_make(ASN1_STRING_get0_data(octets), (size_t) ASN1_STRING_length(octets));
            found = true;
        } else if (X509_EXTENSION_get_critical(each) && X509_supported_extension(each) != 1) {
            return pg_fail(PG_ERR_UNSUPPORTED, "the certificate has a critical extension that is "
                                               "not known here");
        }
    }
    if (!found) {
        return pg_fail(PG_ERR_MALFORMED, "the certificate names no libp2p identity");
    }
    *out_value = value;
    return PG_OK;
}

static bool octets_view(const ASN1_TYPE *item, pg_bytes *out_bytes)
{
    if (ASN1_TYPE_get(item) != V_ASN1_OCTET_STRING) {
        return false;
    }
    const ASN1_OCTET_STRING *octets = item->value.octet_string;
    *out_bytes = pg_bytes_make(ASN1_STRING_get0_data(octets), (size_t) ASN1_STRING_length(octets));
    return true;
}

static pg_err identity_verify(pg_bytes key_bytes, pg_bytes signature, const signed_text *text,
                              pg_tls_peer *out_peer)
{
    pg_public_key key;
    PG_TRY(pg_public_key_decode(key_bytes, &key));
    PG_TRY(pg_public_key_verify(&key, pg_bytes_make(text->bytes, text->len), signature));
    pg_peer_id_of_key(key_bytes, &out_peer->id);
    memcpy(out_peer->public_key, key_bytes.ptr, key_bytes.len); // bounded by the decoder
    out_peer->public_key_len = key_bytes.len;
    return PG_OK;
}

static pg_err signed_key_verify(pg_bytes value, const signed_text *text, pg_tls_peer *out_peer)
{
    const uint8_t *at = value.ptr;
    pg_bytes key;
    pg_bytes signature;
    ASN1_SEQUENCE_ANY *sequence = d2i_ASN1_SEQUENCE_ANY(NULL, &at, (long) value.len);
    bool is_whole = sequence != NULL && at == value.ptr + value.len &&
                    sk_ASN1_TYPE_num(sequence) == 2 &&
                    octets_view(sk_ASN1_TYPE_value(sequence, 0), &key) &&
                    octets_view(sk_ASN1_TYPE_value(sequence, 1), &signature);
    pg_err err =
        is_whole ? identity_verify(key, signature, text, out_peer)
                 : pg_crypto_fail(PG_ERR_MALFORMED, "the identity in the certificate is malformed");
    sk_ASN1_TYPE_pop_free(sequence, ASN1_TYPE_free);
    return err;
}

// The certificate's own key and signature.
static pg_err self_verify(X509 *x509)
{
    EVP_PKEY *key = X509_get0_pubkey(x509);
    int security_bits = 0;
    if (key == NULL || X509_get_signature_info(x509, NULL, NULL, &security_bits, NULL) != 1) {
        return pg_crypto_fail(PG_ERR_UNSUPPORTED,
                              "the certificate has a key or a signature not known here");
    }
    if (EVP_PKEY_get_bits(key) > PG_TLS_CERTIFICATE_KEY_BITS_MAX) {
        return pg_fail(PG_ERR_LIMIT, "the certificate's key has %d bits", EVP_PKEY_get_bits(key));
    }
    if (security_bits < PG_TLS_CERTIFICATE_SECURITY_BITS_MIN ||
        EVP_PKEY_get_security_bits(key) < PG_TLS_CERTIFICATE_SECURITY_BITS_MIN) {
        return pg_fail(PG_ERR_UNSUPPORTED, "the certificate's key or signature is too weak");
    }
    return X509_verify(x509, key) == 1
               ? PG_OK
               : pg_crypto_fail(PG_ERR_AUTH, "the certificate is not signed by its own key");
}

static pg_err dates_check(const X509 *x509, int64_t wall_s)
{
    int before = ASN1_TIME_cmp_time_t(X509_get0_notBefore(x509), wall_s);
    int after = ASN1_TIME_cmp_time_t(X509_get0_notAfter(x509), wall_s);
    if (before == -2 || after == -2) {
        return pg_crypto_fail(PG_ERR_MALFORMED, "the certificate's dates are malformed");
    }
    if (before > 0) {
        return pg_fail(PG_ERR_AUTH, "the certificate is not valid yet: one of the clocks is wrong");
    }
    return after < 0 ? pg_fail(PG_ERR_AUTH, "the certificate has expired") : PG_OK;
}

static pg_err x509_verify(X509 *x509, int64_t wall_ms, pg_tls_peer *out_peer)
{
    signed_text text = {.len = 0};
    pg_bytes value = PG_BYTES_EMPTY;
    pg_tls_peer peer = {0};
    ASN1_OBJECT *oid = OBJ_txt2obj(EXTENSION_OID, 1);
    if (oid == NULL) {
        return fail_memory();
    }
    pg_err err = extension_find(x509, oid, &value);
    ASN1_OBJECT_free(oid);
    PG_TRY(err);
    PG_TRY(dates_check(x509, wall_ms / 1000));
    PG_TRY(self_verify(x509));
    PG_TRY(signed_text_make(x509, &text));
    PG_TRY(signed_key_verify(value, &text, &peer));
    *out_peer = peer;
    return PG_OK;
}

pg_err pg_tls_certificate_decode(pg_bytes der, int64_t wall_ms, pg_tls_peer *out_peer)
{
    (void) pg_crypto_algs_get();
    if (der.len > PG_TLS_CERTIFICATE_BYTES_MAX) {
        return pg_fail(PG_ERR_LIMIT, "a certificate of %zu bytes, at most %d", der.len,
                       PG_TLS_CERTIFICATE_BYTES_MAX);
    }
    const uint8_t *at = der.ptr;
    X509 *x509 = d2i_X509(NULL, &at, (long) der.len);
    pg_err err = x509 == NULL || at != der.ptr + der.len
                     ? pg_crypto_fail(PG_ERR_MALFORMED, "not a certificate")
                     : x509_verify(x509, wall_ms, out_peer);
    X509_free(x509);
    return err;
}
