// SPDX-License-Identifier: Apache-2.0
#include "crypto/public_key.h"

#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/objects.h>
#include <openssl/x509.h>
#include <sodium.h>

#include "crypto/setup_priv.h"

// Protobuf tags of PublicKey: field 1 varint, field 2 bytes.
#define TAG_TYPE 0x08
#define TAG_DATA 0x12

#define SECP256K1_POINT_BYTES 33

// The length of `data`: a varint of one or two bytes, minimal, which is all that PG_PUBLIC_KEY_BYTES_MAX needs.
static size_t read_len(pg_reader *reader)
{
    uint8_t low = pg_reader_u8(reader);
    if (low < 0x80) {
        return low;
    }
    uint8_t high = pg_reader_u8(reader);
    if (high == 0 || high >= 0x80) {
        reader->failed = true;
    }
    return (size_t) high << 7 | (low & 0x7f);
}

pg_err pg_public_key_decode(pg_bytes in, pg_public_key *out_key)
{
    if (in.len > PG_PUBLIC_KEY_BYTES_MAX) {
        return pg_fail(PG_ERR_LIMIT, "a public key of %zu bytes, at most %d", in.len,
                       PG_PUBLIC_KEY_BYTES_MAX);
    }
    pg_reader reader = pg_reader_make(in);
    uint8_t type_tag = pg_reader_u8(&reader);
    uint8_t type = pg_reader_u8(&reader);
    uint8_t data_tag = pg_reader_u8(&reader);
    if (!reader.failed && (type_tag != TAG_TYPE || data_tag != TAG_DATA)) {
        return pg_fail(PG_ERR_MALFORMED, "a public key that is not in canonical form");
    }
    size_t len = read_len(&reader);
    pg_bytes data = pg_reader_take(&reader, len);
    PG_TRY(pg_error_wrap(pg_reader_finish(&reader), "public key"));
    if (type >= PG_KEY_TYPE_COUNT) {
        return pg_fail(PG_ERR_UNSUPPORTED, "a public key of type %u, known are 0 to 3", type);
    }
    if ((type == PG_KEY_TYPE_ED25519 && len != PG_ED25519_PUBLIC_BYTES) ||
        (type == PG_KEY_TYPE_SECP256K1 && len != SECP256K1_POINT_BYTES) || len == 0) {
        return pg_fail(PG_ERR_MALFORMED, "a public key of type %u with %zu bytes", type, len);
    }
    *out_key = (pg_public_key){(pg_key_type) type, data};
    return PG_OK;
}

void pg_public_key_encode_ed25519(const uint8_t public_key[PG_ED25519_PUBLIC_BYTES],
                                  uint8_t out_encoded[PG_ED25519_ENCODED_BYTES])
{
    pg_writer writer = pg_writer_make(pg_mut_bytes_make(out_encoded, PG_ED25519_ENCODED_BYTES));
    pg_writer_u8(&writer, TAG_TYPE);
    pg_writer_u8(&writer, PG_KEY_TYPE_ED25519);
    pg_writer_u8(&writer, TAG_DATA);
    pg_writer_u8(&writer, PG_ED25519_PUBLIC_BYTES);
    pg_writer_put(&writer, pg_bytes_make(public_key, PG_ED25519_PUBLIC_BYTES));
    pg_assert(!writer.failed && writer.len == PG_ED25519_ENCODED_BYTES);
}

static pg_err import_pkix(const pg_public_key *key, EVP_PKEY **out_pkey)
{
    const uint8_t *at = key->data.ptr;
    EVP_PKEY *pkey = d2i_PUBKEY(NULL, &at, (long) key->data.len);
    if (pkey == NULL || at != key->data.ptr + key->data.len) {
        EVP_PKEY_free(pkey);
        return pg_crypto_fail(PG_ERR_MALFORMED, "the public key is no PKIX structure");
    }
    *out_pkey = pkey;
    return PG_OK;
}

static pg_err import_rsa(const pg_public_key *key, EVP_PKEY **out_pkey)
{
    EVP_PKEY *pkey = NULL;
    PG_TRY(import_pkix(key, &pkey));
    int bits = EVP_PKEY_get_bits(pkey);
    if (EVP_PKEY_get_base_id(pkey) != EVP_PKEY_RSA || bits < PG_RSA_BITS_MIN ||
        bits > PG_RSA_BITS_MAX) {
        EVP_PKEY_free(pkey);
        return pg_fail(PG_ERR_UNSUPPORTED, "wants an RSA key of %d to %d bits", PG_RSA_BITS_MIN,
                       PG_RSA_BITS_MAX);
    }
    *out_pkey = pkey;
    return PG_OK;
}

static pg_err import_ecdsa(const pg_public_key *key, EVP_PKEY **out_pkey)
{
    EVP_PKEY *pkey = NULL;
    PG_TRY(import_pkix(key, &pkey));
    char curve[32] = "";
    if (EVP_PKEY_get_base_id(pkey) != EVP_PKEY_EC ||
        EVP_PKEY_get_group_name(pkey, curve, sizeof(curve), NULL) != 1 ||
        OBJ_sn2nid(curve) != NID_X9_62_prime256v1) {
        EVP_PKEY_free(pkey);
        return pg_crypto_fail(PG_ERR_UNSUPPORTED, "wants an ECDSA key on the curve P-256");
    }
    *out_pkey = pkey;
    return PG_OK;
}

static pg_err import_secp256k1(const pg_public_key *key, EVP_PKEY **out_pkey)
{
    char group[] = "secp256k1";
    uint8_t point[SECP256K1_POINT_BYTES];
    pg_reader reader = pg_reader_make(key->data);
    pg_reader_copy(&reader, point, sizeof(point));
    OSSL_PARAM params[] = {
        OSSL_PARAM_construct_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, group, 0),
        OSSL_PARAM_construct_octet_string(OSSL_PKEY_PARAM_PUB_KEY, point, sizeof(point)),
        OSSL_PARAM_END,
    };
    EVP_PKEY *pkey = NULL;
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, "EC", NULL);
    bool made = ctx != NULL && EVP_PKEY_fromdata_init(ctx) == 1 &&
                EVP_PKEY_fromdata(ctx, &pkey, EVP_PKEY_PUBLIC_KEY, params) == 1;
    EVP_PKEY_CTX_free(ctx);
    if (!made) {
        return pg_crypto_fail(PG_ERR_MALFORMED, "the public key is no point of secp256k1");
    }
    *out_pkey = pkey;
    return PG_OK;
}

static pg_err verify_sha256(EVP_PKEY *pkey, pg_bytes message, pg_bytes signature)
{
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    bool ready =
        ctx != NULL && EVP_DigestVerifyInit_ex(ctx, NULL, "SHA256", NULL, NULL, pkey, NULL) == 1;
    bool valid =
        ready && EVP_DigestVerify(ctx, signature.ptr, signature.len, message.ptr, message.len) == 1;
    EVP_MD_CTX_free(ctx);
    if (!ready) {
        return pg_crypto_fail(PG_ERR_NOMEM, "no memory to verify a signature");
    }
    return valid ? PG_OK : pg_crypto_fail(PG_ERR_AUTH, "the signature does not match");
}

static pg_err verify_ed25519(const pg_public_key *key, pg_bytes message, pg_bytes signature)
{
    (void) pg_crypto_algs_get();
    if (signature.len != PG_ED25519_SIGNATURE_BYTES ||
        crypto_sign_verify_detached(signature.ptr, message.ptr, message.len, key->data.ptr) != 0) {
        return pg_fail(PG_ERR_AUTH, "the signature does not match");
    }
    return PG_OK;
}

pg_err pg_public_key_verify(const pg_public_key *key, pg_bytes message, pg_bytes signature)
{
    EVP_PKEY *pkey = NULL;
    switch (key->type) {
    case PG_KEY_TYPE_ED25519:
        return verify_ed25519(key, message, signature);
    case PG_KEY_TYPE_RSA:
        PG_TRY(import_rsa(key, &pkey));
        break;
    case PG_KEY_TYPE_ECDSA:
        PG_TRY(import_ecdsa(key, &pkey));
        break;
    case PG_KEY_TYPE_SECP256K1:
        PG_TRY(import_secp256k1(key, &pkey));
        break;
    case PG_KEY_TYPE_COUNT:
        return pg_fail(PG_ERR_UNSUPPORTED, "no kind of key");
    }
    pg_err err = verify_sha256(pkey, message, signature);
    EVP_PKEY_free(pkey);
    return err;
}
