// SPDX-License-Identifier: Apache-2.0
#include "crypto/noise.h"

#include <string.h>

#include "base/mem.h"
#include "crypto/kdf.h"
#include "runtime/random.h"

#define TOKENS_MAX 6
#define MESSAGES 3

typedef enum noise_token {
    TOKEN_END,
    TOKEN_E,
    TOKEN_S,
    TOKEN_EE,
    TOKEN_ES,
    TOKEN_SE,
    TOKEN_E1,
    TOKEN_EKEM1,
} noise_token;

typedef struct pattern {
    const char *name;
    noise_token messages[MESSAGES][TOKENS_MAX];
} pattern;

static const pattern patterns[PG_NOISE_PATTERN_COUNT] = {
    [PG_NOISE_PATTERN_XX] =
        {
            "Noise_XX_25519_ChaChaPoly_SHA256",
            {
                {TOKEN_E},
                {TOKEN_E, TOKEN_EE, TOKEN_S, TOKEN_ES},
                {TOKEN_S, TOKEN_SE},
            },
        },
    [PG_NOISE_PATTERN_XXHFS] =
        {
            "Noise_XXhfs_25519+MLKEM768_ChaChaPoly_SHA256",
            {
                {TOKEN_E, TOKEN_E1},
                {TOKEN_E, TOKEN_EE, TOKEN_EKEM1, TOKEN_S, TOKEN_ES},
                {TOKEN_S, TOKEN_SE},
            },
        },
};

struct pg_noise {
    const pattern *pattern;
    bool initiator;
    bool failed;
    size_t step; // messages done

    // SymmetricState, with its CipherState
    pg_sha256_stream sha256;
    uint8_t hash[PG_HASH_BYTES];
    pg_key chaining_key;
    pg_noise_cipher cipher; // has a key once has_key
    bool has_key;

    // HandshakeState
    pg_key static_secret;
    pg_noise_seeds seeds;
    uint8_t static_public[PG_X25519_BYTES];
    uint8_t remote_static[PG_X25519_BYTES];
    bool has_remote_static;
    uint8_t remote_ephemeral[PG_X25519_BYTES];
    pg_mlkem_key kem_key;                      // initiator
    uint8_t remote_kem[PG_MLKEM_PUBLIC_BYTES]; // responder
};

// Transport and handshake ciphers

pg_err pg_noise_cipher_init(pg_noise_cipher *cipher, const pg_key *key)
{
    pg_aead aead = {0};
    PG_TRY(pg_aead_init(&aead, PG_AEAD_ALG_CHACHA20_POLY1305, key));
    *cipher = (pg_noise_cipher){.aead = aead};
    return PG_OK;
}

void pg_noise_cipher_deinit(pg_noise_cipher *cipher)
{
    if (cipher == NULL) {
        return;
    }
    pg_aead_deinit(&cipher->aead);
    cipher->nonce = 0;
}

// Noise 12.3: 32 bits of zeros, then the counter in little-endian. The last value is reserved (5.1).
static pg_err nonce_take(pg_noise_cipher *cipher, uint8_t nonce[PG_AEAD_NONCE_BYTES])
{
    if (cipher->nonce == UINT64_MAX) {
        return pg_fail(PG_ERR_LIMIT, "noise: the nonces of this connection are used up");
    }
    memset(nonce, 0, 4);
    for (size_t i = 0; i < 8; i++) {
        nonce[4 + i] = (uint8_t) (cipher->nonce >> (8 * i));
    }
    cipher->nonce++;
    return PG_OK;
}

static pg_err cipher_seal(pg_noise_cipher *cipher, pg_bytes ad, pg_bytes plain, uint8_t *out)
{
    uint8_t nonce[PG_AEAD_NONCE_BYTES];
    PG_TRY(nonce_take(cipher, nonce));
    return pg_aead_seal(&cipher->aead, nonce, ad, plain, out);
}

static pg_err cipher_open(pg_noise_cipher *cipher, pg_bytes ad, pg_bytes sealed, uint8_t *out)
{
    uint8_t nonce[PG_AEAD_NONCE_BYTES];
    PG_TRY(nonce_take(cipher, nonce));
    return pg_aead_open(&cipher->aead, nonce, ad, sealed, out);
}

pg_err pg_noise_encrypt(pg_noise_cipher *cipher, pg_bytes plain, uint8_t *out_message)
{
    if (plain.len > PG_NOISE_PLAIN_BYTES_MAX) {
        return pg_fail(PG_ERR_LIMIT, "noise: %zu bytes in a message, at most %d", plain.len,
                       PG_NOISE_PLAIN_BYTES_MAX);
    }
    return cipher_seal(cipher, PG_BYTES_EMPTY, plain, out_message);
}

pg_err pg_noise_decrypt(pg_noise_cipher *cipher, pg_bytes message, uint8_t *out_plain)
{
    if (message.len > PG_NOISE_MESSAGE_BYTES_MAX) {
        return pg_fail(PG_ERR_LIMIT, "noise: a message of %zu bytes, at most %d", message.len,
                       PG_NOISE_MESSAGE_BYTES_MAX);
    }
    return cipher_open(cipher, PG_BYTES_EMPTY, message, out_plain);
}

// SymmetricState (Noise 5.2)

static void mix_hash(pg_noise *noise, pg_bytes data)
{
    pg_sha256_stream_update(&noise->sha256, PG_BYTES_OF(noise->hash));
    pg_sha256_stream_update(&noise->sha256, data);
    pg_sha256_stream_final(&noise->sha256, noise->hash);
}

// Noise's HKDF with two outputs is RFC 5869's with the chaining key as salt and no info.
static void hkdf2(const pg_key *chaining_key, pg_bytes ikm, pg_key *out_first, pg_key *out_second)
{
    uint8_t both[2 * PG_KEY_BYTES];
    pg_hkdf(pg_key_bytes(chaining_key), ikm, PG_BYTES_EMPTY, PG_MUT_BYTES_OF(both));
    memcpy(out_first->bytes, both, PG_KEY_BYTES);
    memcpy(out_second->bytes, both + PG_KEY_BYTES, PG_KEY_BYTES);
    pg_wipe(both, sizeof(both));
}

static void mix_key(pg_noise *noise, const pg_key *ikm)
{
    pg_key key PG_CLEANUP(pg_key_wipe) = {0};
    hkdf2(&noise->chaining_key, pg_key_bytes(ikm), &noise->chaining_key, &key);
    pg_aead_rekey(&noise->cipher.aead, &key);
    noise->cipher.nonce = 0;
    noise->has_key = true;
}

static size_t tag_bytes(const pg_noise *noise)
{
    return noise->has_key ? PG_AEAD_TAG_BYTES : 0;
}

static pg_err encrypt_and_hash(pg_noise *noise, pg_bytes plain, pg_writer *writer)
{
    uint8_t *at = writer->ptr + writer->len; // the caller has checked that there is room
    size_t len = plain.len + tag_bytes(noise);
    if (noise->has_key) {
        PG_TRY(cipher_seal(&noise->cipher, PG_BYTES_OF(noise->hash), plain, at));
        writer->len += len;
    } else {
        pg_writer_put(writer, plain);
    }
    mix_hash(noise, pg_bytes_make(at, len));
    return PG_OK;
}

// Takes plain_len bytes and their tag from the front of `rest` and decrypts them where they stand.
static pg_err decrypt_and_hash(pg_noise *noise, size_t plain_len, pg_mut_bytes *rest,
                               uint8_t **out_plain)
{
    pg_bytes sealed = pg_bytes_make(rest->ptr, plain_len + tag_bytes(noise));
    *out_plain = rest->ptr;
    rest->ptr += sealed.len;
    rest->len -= sealed.len;
    uint8_t before[PG_HASH_BYTES];
    memcpy(before, noise->hash, sizeof(before));
    mix_hash(noise, sealed); // first: decryption overwrites it
    if (!noise->has_key) {
        return PG_OK;
    }
    return cipher_open(&noise->cipher, PG_BYTES_OF(before), sealed, *out_plain);
}

// HandshakeState (Noise 5.3)

static pg_err mix_dh(pg_noise *noise, const pg_key *secret, const uint8_t *public_key)
{
    pg_key shared PG_CLEANUP(pg_key_wipe) = {0};
    PG_TRY(pg_x25519(secret, public_key, &shared));
    mix_key(noise, &shared);
    return PG_OK;
}

// The tokens that are the same for writer and reader. The first letter is the initiator's key.
static pg_err step_dh(pg_noise *noise, noise_token token)
{
    bool local_is_static = token != TOKEN_EE && (token == TOKEN_SE) == noise->initiator;
    bool remote_is_static = token != TOKEN_EE && !local_is_static;
    return mix_dh(noise, local_is_static ? &noise->static_secret : &noise->seeds.ephemeral,
                  remote_is_static ? noise->remote_static : noise->remote_ephemeral);
}

static pg_err write_e1(pg_noise *noise, pg_writer *writer)
{
    uint8_t public_key[PG_MLKEM_PUBLIC_BYTES];
    PG_TRY(pg_mlkem_key_init(&noise->kem_key, noise->seeds.kem_key));
    pg_mlkem_public(&noise->kem_key, public_key);
    return encrypt_and_hash(noise, PG_BYTES_OF(public_key), writer);
}

static pg_err write_ekem1(pg_noise *noise, pg_writer *writer)
{
    uint8_t ciphertext[PG_MLKEM_CIPHERTEXT_BYTES];
    pg_key shared PG_CLEANUP(pg_key_wipe) = {0};
    PG_TRY(pg_mlkem_encaps(noise->remote_kem, noise->seeds.kem_random, ciphertext, &shared));
    PG_TRY(encrypt_and_hash(noise, PG_BYTES_OF(ciphertext), writer));
    mix_key(noise, &shared);
    return PG_OK;
}

static pg_err write_token(pg_noise *noise, noise_token token, pg_writer *writer)
{
    uint8_t ephemeral[PG_X25519_BYTES];
    switch (token) {
    case TOKEN_E:
        pg_x25519_public(&noise->seeds.ephemeral, ephemeral);
        pg_writer_put(writer, PG_BYTES_OF(ephemeral));
        mix_hash(noise, PG_BYTES_OF(ephemeral));
        return PG_OK;
    case TOKEN_S:
        return encrypt_and_hash(noise, PG_BYTES_OF(noise->static_public), writer);
    case TOKEN_E1:
        return write_e1(noise, writer);
    case TOKEN_EKEM1:
        return write_ekem1(noise, writer);
    case TOKEN_EE:
    case TOKEN_ES:
    case TOKEN_SE:
        return step_dh(noise, token);
    case TOKEN_END:
        break;
    }
    return PG_OK;
}

static pg_err read_ekem1(pg_noise *noise, pg_mut_bytes *rest)
{
    uint8_t *ciphertext = NULL;
    pg_key shared PG_CLEANUP(pg_key_wipe) = {0};
    PG_TRY(decrypt_and_hash(noise, PG_MLKEM_CIPHERTEXT_BYTES, rest, &ciphertext));
    PG_TRY(pg_mlkem_decaps(&noise->kem_key, ciphertext, &shared));
    mix_key(noise, &shared);
    return PG_OK;
}

static pg_err read_token(pg_noise *noise, noise_token token, pg_mut_bytes *rest)
{
    uint8_t *plain = NULL;
    switch (token) {
    case TOKEN_E:
        memcpy(noise->remote_ephemeral, rest->ptr, PG_X25519_BYTES);
        rest->ptr += PG_X25519_BYTES;
        rest->len -= PG_X25519_BYTES;
        mix_hash(noise, PG_BYTES_OF(noise->remote_ephemeral));
        return PG_OK;
    case TOKEN_S:
        PG_TRY(decrypt_and_hash(noise, PG_X25519_BYTES, rest, &plain));
        memcpy(noise->remote_static, plain, PG_X25519_BYTES);
        noise->has_remote_static = true;
        return PG_OK;
    case TOKEN_E1:
        PG_TRY(decrypt_and_hash(noise, PG_MLKEM_PUBLIC_BYTES, rest, &plain));
        memcpy(noise->remote_kem, plain, PG_MLKEM_PUBLIC_BYTES);
        return PG_OK;
    case TOKEN_EKEM1:
        return read_ekem1(noise, rest);
    case TOKEN_EE:
    case TOKEN_ES:
    case TOKEN_SE:
        return step_dh(noise, token);
    case TOKEN_END:
        break;
    }
    return PG_OK;
}

static const noise_token *tokens_of(const pg_noise *noise)
{
    return noise->pattern->messages[noise->step];
}

bool pg_noise_is_done(const pg_noise *noise)
{
    return noise->step == MESSAGES;
}

bool pg_noise_is_our_turn(const pg_noise *noise)
{
    return !pg_noise_is_done(noise) && (noise->step % 2 == 0) == noise->initiator;
}

size_t pg_noise_overhead(const pg_noise *noise)
{
    if (pg_noise_is_done(noise)) {
        return 0;
    }
    static const size_t bytes[] = {
        [TOKEN_E] = PG_X25519_BYTES,
        [TOKEN_S] = PG_X25519_BYTES,
        [TOKEN_E1] = PG_MLKEM_PUBLIC_BYTES,
        [TOKEN_EKEM1] = PG_MLKEM_CIPHERTEXT_BYTES,
        [TOKEN_SE] = 0,
    };
    size_t sum = 0;
    size_t tag = tag_bytes(noise);
    for (const noise_token *token = tokens_of(noise); *token != TOKEN_END; token++) {
        size_t len = bytes[*token];
        sum += len;
        if (len == 0) {
            tag = PG_AEAD_TAG_BYTES; // a key agreement: from here on there is a key
        } else if (*token != TOKEN_E) {
            sum += tag;
        }
    }
    return sum + tag;
}

static pg_err check(const pg_noise *noise, bool allowed)
{
    if (noise->failed) {
        return pg_fail(PG_ERR_CLOSED, "noise: the handshake has failed before");
    }
    return allowed ? PG_OK : pg_fail(PG_ERR_BUG, "noise: called out of turn");
}

static pg_err write_message(pg_noise *noise, pg_bytes payload, pg_writer *writer)
{
    for (const noise_token *token = tokens_of(noise); *token != TOKEN_END; token++) {
        PG_TRY(write_token(noise, *token, writer));
    }
    return encrypt_and_hash(noise, payload, writer);
}

pg_err pg_noise_write(pg_noise *noise, pg_bytes payload, pg_mut_bytes space, size_t *out_len)
{
    PG_TRY(check(noise, pg_noise_is_our_turn(noise)));
    size_t overhead = pg_noise_overhead(noise);
    size_t room = pg_min_size(space.len, PG_NOISE_MESSAGE_BYTES_MAX);
    if (room < overhead || room - overhead < payload.len) {
        return pg_fail(PG_ERR_LIMIT, "noise: no room for a message of %zu and %zu bytes", overhead,
                       payload.len);
    }
    pg_writer writer = pg_writer_make(space);
    pg_err err = write_message(noise, payload, &writer);
    noise->failed = err != PG_OK;
    PG_TRY(pg_error_wrap(err, "noise message %zu", noise->step + 1));
    pg_assert(!writer.failed && writer.len == overhead + payload.len);
    noise->step++;
    *out_len = writer.len;
    return PG_OK;
}

static pg_err read_message(pg_noise *noise, pg_mut_bytes message, pg_bytes *out_payload)
{
    size_t overhead = pg_noise_overhead(noise);
    if (message.len > PG_NOISE_MESSAGE_BYTES_MAX) {
        return pg_fail(PG_ERR_LIMIT, "%zu bytes, at most %d", message.len,
                       PG_NOISE_MESSAGE_BYTES_MAX);
    }
    if (message.len < overhead) {
        return pg_fail(PG_ERR_TRUNCATED, "%zu bytes, at least %zu", message.len, overhead);
    }
    pg_mut_bytes rest = message;
    for (const noise_token *token = tokens_of(noise); *token != TOKEN_END; token++) {
        PG_TRY(read_token(noise, *token, &rest));
    }
    size_t len = message.len - overhead;
    uint8_t *payload = NULL;
    PG_TRY(decrypt_and_hash(noise, len, &rest, &payload));
    *out_payload = pg_bytes_make(payload, len);
    return PG_OK;
}

pg_err pg_noise_read(pg_noise *noise, pg_mut_bytes message, pg_bytes *out_payload)
{
    PG_TRY(check(noise, !pg_noise_is_done(noise) && !pg_noise_is_our_turn(noise)));
    pg_err err = read_message(noise, message, out_payload);
    noise->failed = err != PG_OK;
    PG_TRY(pg_error_wrap(err, "noise message %zu", noise->step + 1));
    noise->step++;
    return PG_OK;
}

const uint8_t *pg_noise_remote_static(const pg_noise *noise)
{
    return noise->has_remote_static ? noise->remote_static : NULL;
}

const uint8_t *pg_noise_local_static(const pg_noise *noise)
{
    return noise->static_public;
}

const uint8_t *pg_noise_hash(const pg_noise *noise)
{
    return noise->hash;
}

static pg_err start(pg_noise *noise, const pg_noise_config *config)
{
    PG_TRY(pg_sha256_stream_init(&noise->sha256));
    PG_TRY(
        pg_noise_cipher_init(&noise->cipher, &noise->chaining_key)); // rekeyed before its first use
    const char *name = config->protocol_name != NULL ? config->protocol_name : noise->pattern->name;
    pg_bytes name_bytes = pg_bytes_cstr(name);
    if (name_bytes.len > PG_NOISE_NAME_BYTES_MAX) {
        return pg_fail(PG_ERR_LIMIT, "noise: a protocol name of %zu bytes", name_bytes.len);
    }
    // Noise 5.2, InitializeSymmetric: the name itself, zero-padded, when it fits a hash.
    if (name_bytes.len <= PG_HASH_BYTES) {
        memcpy(noise->hash, name, name_bytes.len);
    } else {
        pg_sha256(name_bytes, noise->hash);
    }
    memcpy(noise->chaining_key.bytes, noise->hash, PG_KEY_BYTES);
    mix_hash(noise, config->prologue);
    return PG_OK;
}

pg_err pg_noise_new(const pg_noise_config *config, pg_noise **out_noise)
{
    pg_assert((unsigned) config->pattern < PG_NOISE_PATTERN_COUNT);
    pg_noise *noise = PG_NEW(pg_noise);
    if (noise == NULL) {
        return pg_fail(PG_ERR_NOMEM, "no memory for a handshake");
    }
    noise->pattern = &patterns[config->pattern];
    noise->initiator = config->initiator;
    noise->static_secret = *config->static_secret;
    if (config->seeds != NULL) {
        noise->seeds = *config->seeds;
    } else {
        pg_random_bytes(pg_mut_bytes_make(&noise->seeds, sizeof(noise->seeds)));
    }
    pg_x25519_public(&noise->static_secret, noise->static_public);
    pg_err err = start(noise, config);
    if (err != PG_OK) {
        pg_noise_free(&noise);
        return err;
    }
    *out_noise = noise;
    return PG_OK;
}

void pg_noise_free(pg_noise **noise)
{
    if (noise == NULL || *noise == NULL) {
        return;
    }
    pg_sha256_stream_deinit(&(*noise)->sha256);
    pg_noise_cipher_deinit(&(*noise)->cipher);
    pg_mlkem_key_deinit(&(*noise)->kem_key);
    pg_wipe(*noise, sizeof(**noise));
    pg_mfree(*noise);
    *noise = NULL;
}

pg_err pg_noise_split(pg_noise *noise, pg_noise_cipher *out_send, pg_noise_cipher *out_receive)
{
    PG_TRY(check(noise, pg_noise_is_done(noise)));
    pg_key first PG_CLEANUP(pg_key_wipe) = {0};
    pg_key second PG_CLEANUP(pg_key_wipe) = {0};
    hkdf2(&noise->chaining_key, PG_BYTES_EMPTY, &first, &second);
    pg_noise_cipher initiator = {0};
    pg_noise_cipher responder = {0};
    PG_TRY(pg_noise_cipher_init(&initiator, &first));
    pg_err err = pg_noise_cipher_init(&responder, &second);
    if (err != PG_OK) {
        pg_noise_cipher_deinit(&initiator);
        return err;
    }
    *out_send = noise->initiator ? initiator : responder;
    *out_receive = noise->initiator ? responder : initiator;
    return PG_OK;
}
