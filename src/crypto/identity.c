// SPDX-License-Identifier: Apache-2.0
#include "crypto/identity.h"

#include <string.h>

#include <sodium.h>

#include "crypto/setup_priv.h"

#define SECRET_BYTES 64

// A PrivateKey protobuf up to the key: type Ed25519, then bytes of this length.
static const uint8_t private_head[] = {0x08, PG_KEY_TYPE_ED25519, 0x12};

_Static_assert(crypto_sign_SECRETKEYBYTES == SECRET_BYTES, "seed and public key");
_Static_assert(sizeof(private_head) + 1 + SECRET_BYTES == PG_IDENTITY_PRIVATE_BYTES, "protobuf");

pg_err pg_identity_init(pg_identity *identity, const pg_key *seed)
{
    pg_secret secret = {0};
    PG_TRY(pg_secret_init(&secret, SECRET_BYTES));
    *identity = (pg_identity){.secret = secret};
    (void) crypto_sign_seed_keypair(identity->public_key, secret.ptr, seed->bytes);
    uint8_t encoded[PG_ED25519_ENCODED_BYTES];
    pg_public_key_encode_ed25519(identity->public_key, encoded);
    pg_peer_id_of_key(PG_BYTES_OF(encoded), &identity->peer_id);
    return PG_OK;
}

void pg_identity_deinit(pg_identity *identity)
{
    if (identity == NULL) {
        return;
    }
    pg_secret_deinit(&identity->secret);
    *identity = (pg_identity){0};
}

void pg_identity_seed(const pg_identity *identity, pg_key *out_seed)
{
    memcpy(out_seed->bytes, identity->secret.ptr, PG_KEY_BYTES);
}

void pg_identity_sign(const pg_identity *identity, pg_bytes message,
                      uint8_t out_signature[PG_ED25519_SIGNATURE_BYTES])
{
    (void) crypto_sign_detached(out_signature, NULL, message.ptr, message.len,
                                identity->secret.ptr);
}

void pg_identity_private_encode(const pg_identity *identity,
                                uint8_t out_encoded[PG_IDENTITY_PRIVATE_BYTES])
{
    pg_writer writer = pg_writer_make(pg_mut_bytes_make(out_encoded, PG_IDENTITY_PRIVATE_BYTES));
    pg_writer_put(&writer, PG_BYTES_OF(private_head));
    pg_writer_u8(&writer, SECRET_BYTES);
    pg_writer_put(&writer, pg_secret_bytes(&identity->secret));
    pg_assert(!writer.failed && writer.len == PG_IDENTITY_PRIVATE_BYTES);
}

pg_err pg_identity_private_decode(pg_bytes in, pg_identity *out_identity)
{
    pg_reader reader = pg_reader_make(in);
    pg_bytes head = pg_reader_take(&reader, sizeof(private_head));
    uint8_t len = pg_reader_u8(&reader);
    pg_bytes data = pg_reader_take(&reader, len);
    PG_TRY(pg_error_wrap(pg_reader_finish(&reader), "private key"));
    if (head.ptr[0] != private_head[0] || head.ptr[2] != private_head[2]) {
        return pg_fail(PG_ERR_MALFORMED, "a private key that is not in canonical form");
    }
    if (head.ptr[1] != PG_KEY_TYPE_ED25519) {
        return pg_fail(PG_ERR_UNSUPPORTED, "a private key of type %u, only Ed25519 is taken",
                       head.ptr[1]);
    }
    if (data.len != SECRET_BYTES && data.len != SECRET_BYTES + PG_ED25519_PUBLIC_BYTES) {
        return pg_fail(PG_ERR_MALFORMED, "a private key of %zu bytes", data.len);
    }
    pg_key seed PG_CLEANUP(pg_key_wipe) = {0};
    memcpy(seed.bytes, data.ptr, PG_KEY_BYTES);
    pg_identity identity = {0};
    PG_TRY(pg_identity_init(&identity, &seed));
    for (size_t at = PG_KEY_BYTES; at < data.len; at += PG_ED25519_PUBLIC_BYTES) {
        if (memcmp(data.ptr + at, identity.public_key, PG_ED25519_PUBLIC_BYTES) != 0) {
            pg_identity_deinit(&identity);
            return pg_fail(PG_ERR_CORRUPT, "the public key is not that of the private key");
        }
    }
    *out_identity = identity;
    return PG_OK;
}
