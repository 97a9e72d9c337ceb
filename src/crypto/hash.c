// SPDX-License-Identifier: Apache-2.0
#include "crypto/hash.h"

#include <stdalign.h>

#include <blake3.h>
#include <openssl/evp.h>
#include <sodium.h>

#include "crypto/setup_priv.h"

// OpenSSL has the faster SHA-256 (SHA extensions), but wants a context from the heap; up to here libsodium's, which
// wants none, takes less time in all.
#define SHA256_SMALL_BYTES 192

_Static_assert(sizeof(blake3_hasher) <= sizeof(pg_blake3_stream), "room for BLAKE3's state");
_Static_assert(alignof(blake3_hasher) <= alignof(pg_blake3_stream), "and at its alignment");
_Static_assert(BLAKE3_OUT_LEN == PG_HASH_BYTES && BLAKE3_KEY_LEN == PG_KEY_BYTES, "sizes");

void pg_sha256(pg_bytes in, uint8_t out_digest[PG_HASH_BYTES])
{
    const pg_crypto_algs *algs = pg_crypto_algs_get();
    if (in.len > SHA256_SMALL_BYTES &&
        EVP_Digest(in.ptr, in.len, out_digest, NULL, algs->sha256, NULL) == 1) {
        return;
    }
    (void) crypto_hash_sha256(out_digest, in.ptr, in.len); // also when OpenSSL got no memory
}

pg_err pg_sha256_stream_init(pg_sha256_stream *stream)
{
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    if (ctx == NULL || EVP_DigestInit_ex2(ctx, pg_crypto_algs_get()->sha256, NULL) != 1) {
        EVP_MD_CTX_free(ctx);
        return pg_crypto_fail(PG_ERR_NOMEM, "no memory for SHA-256");
    }
    stream->ctx = ctx;
    return PG_OK;
}

void pg_sha256_stream_update(pg_sha256_stream *stream, pg_bytes in)
{
    pg_assert(EVP_DigestUpdate(stream->ctx, in.ptr, in.len) == 1);
}

void pg_sha256_stream_final(pg_sha256_stream *stream, uint8_t out_digest[PG_HASH_BYTES])
{
    pg_assert(EVP_DigestFinal_ex(stream->ctx, out_digest, NULL) == 1);
    pg_assert(EVP_DigestInit_ex2(stream->ctx, NULL, NULL) == 1);
}

void pg_sha256_stream_deinit(pg_sha256_stream *stream)
{
    if (stream == NULL) {
        return;
    }
    EVP_MD_CTX_free(stream->ctx);
    stream->ctx = NULL;
}

static blake3_hasher *hasher_of(pg_blake3_stream *stream)
{
    return (blake3_hasher *) (void *) stream->state;
}

void pg_blake3(pg_bytes in, uint8_t out_digest[PG_HASH_BYTES])
{
    blake3_hasher hasher;
    blake3_hasher_init(&hasher);
    blake3_hasher_update(&hasher, in.ptr, in.len);
    blake3_hasher_finalize(&hasher, out_digest, PG_HASH_BYTES);
}

void pg_blake3_keyed(const pg_key *key, pg_bytes in, uint8_t out_digest[PG_HASH_BYTES])
{
    blake3_hasher hasher;
    blake3_hasher_init_keyed(&hasher, key->bytes);
    blake3_hasher_update(&hasher, in.ptr, in.len);
    blake3_hasher_finalize(&hasher, out_digest, PG_HASH_BYTES);
    pg_wipe(&hasher, sizeof(hasher));
}

void pg_blake3_stream_init(pg_blake3_stream *stream, const pg_key *key)
{
    if (key != NULL) {
        blake3_hasher_init_keyed(hasher_of(stream), key->bytes);
    } else {
        blake3_hasher_init(hasher_of(stream));
    }
}

void pg_blake3_stream_update(pg_blake3_stream *stream, pg_bytes in)
{
    blake3_hasher_update(hasher_of(stream), in.ptr, in.len);
}

void pg_blake3_stream_final(const pg_blake3_stream *stream, pg_mut_bytes out)
{
    blake3_hasher_finalize((const blake3_hasher *) (const void *) stream->state, out.ptr, out.len);
}

void pg_hmac_sha256(pg_bytes key, pg_bytes in, uint8_t out_mac[PG_HASH_BYTES])
{
    (void) pg_crypto_algs_get();
    static const uint8_t none[1];
    crypto_auth_hmacsha256_state state;
    (void) crypto_auth_hmacsha256_init(&state, key.len == 0 ? none : key.ptr, key.len);
    (void) crypto_auth_hmacsha256_update(&state, in.ptr, in.len);
    (void) crypto_auth_hmacsha256_final(&state, out_mac);
    pg_wipe(&state, sizeof(state));
}

static pg_cid raw_cid(pg_multihash_code code, const uint8_t digest[PG_HASH_BYTES])
{
    pg_multihash hash = {0};
    pg_assert(pg_multihash_make(code, pg_bytes_make(digest, PG_HASH_BYTES), &hash) == PG_OK);
    return pg_cid_make(PG_CID_CODEC_RAW, &hash);
}

pg_cid pg_cid_of_blake3(pg_bytes data)
{
    uint8_t digest[PG_HASH_BYTES];
    pg_blake3(data, digest);
    return raw_cid(PG_MULTIHASH_CODE_BLAKE3, digest);
}

pg_cid pg_cid_of_sha256(pg_bytes data)
{
    uint8_t digest[PG_HASH_BYTES];
    pg_sha256(data, digest);
    return raw_cid(PG_MULTIHASH_CODE_SHA2_256, digest);
}

pg_err pg_cid_verify(const pg_cid *cid, pg_bytes data)
{
    if (cid->len == 0) {
        return pg_fail(PG_ERR_UNSUPPORTED, "no CID to verify by");
    }
    pg_multihash hash = pg_cid_multihash(cid);
    uint8_t digest[PG_HASH_BYTES];
    pg_bytes got = PG_BYTES_OF(digest);
    switch (pg_multihash_code_of(&hash)) {
    case PG_MULTIHASH_CODE_IDENTITY:
        got = data;
        break;
    case PG_MULTIHASH_CODE_SHA2_256:
        pg_sha256(data, digest);
        break;
    case PG_MULTIHASH_CODE_BLAKE3:
        pg_blake3(data, digest);
        break;
    default:
        return pg_fail(PG_ERR_UNSUPPORTED, "a multihash of code 0x%02x", hash.bytes[0]);
    }
    if (!pg_bytes_equal(got, pg_multihash_digest(&hash))) {
        return pg_fail(PG_ERR_CORRUPT, "the data is not what its CID names");
    }
    return PG_OK;
}
