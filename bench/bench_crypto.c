// SPDX-License-Identifier: Apache-2.0
// Each primitive through our interface, beside the library called directly where the interface could cost something; and
// whole Noise handshakes, both sides. For comparison, one core of a recent EPYC with OpenSSL 3.5 and libsodium 1.0.18:
// AES-256-GCM 11,900 MB/s, ChaCha20-Poly1305 3,800, SHA-256 1,600 to 1,900, BLAKE3 9,000; in us, Ed25519 sign 13 and
// verify 39, X25519 12 and 30, ML-KEM-768 keygen 28, encaps 16, decaps 24.
#include <stdlib.h>
#include <string.h>

#include <blake3.h>
#include <openssl/evp.h>

#include "bench.h"
#include "crypto/aead.h"
#include "crypto/hash.h"
#include "crypto/identity.h"
#include "crypto/noise_libp2p.h"

#define MIB (1U << 20)
#define FRAME_BYTES PG_NOISE_PLAIN_BYTES_MAX

typedef struct crypto_state {
    pg_aead gcm;
    pg_aead chacha;
    EVP_CIPHER_CTX *raw_gcm;
    EVP_CIPHER_CTX *raw_chacha;
    pg_noise_cipher frame;
    pg_identity identity;
    pg_key secret;
    uint8_t public_key[PG_X25519_BYTES];
    uint8_t signature[PG_ED25519_SIGNATURE_BYTES];
    uint8_t mlkem_public[PG_MLKEM_PUBLIC_BYTES];
    uint8_t mlkem_ciphertext[PG_MLKEM_CIPHERTEXT_BYTES];
    pg_mlkem_key mlkem;
    uint8_t *data; // 8 MiB and a tag
} crypto_state;

static const uint8_t nonce[PG_AEAD_NONCE_BYTES];
static const uint8_t seed[PG_MLKEM_SEED_BYTES];

static void must(pg_err err)
{
    if (err != PG_OK) {
        abort();
    }
}

static void seal(crypto_state *state, pg_aead *aead, size_t len)
{
    must(pg_aead_seal(aead, nonce, PG_BYTES_EMPTY, pg_bytes_make(state->data, len), state->data));
}

// The least that sealing can cost: the library's own calls.
static void raw_seal(crypto_state *state, EVP_CIPHER_CTX *ctx, int len)
{
    int written = 0;
    uint8_t tag[PG_AEAD_TAG_BYTES];
    bool done = EVP_EncryptInit_ex2(ctx, NULL, NULL, nonce, NULL) == 1 &&
                EVP_EncryptUpdate(ctx, state->data, &written, state->data, len) == 1 &&
                EVP_EncryptFinal_ex(ctx, tag, &written) == 1 &&
                EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_GET_TAG, sizeof(tag), tag) == 1;
    must(done ? PG_OK : PG_ERR_BUG);
}

#define SEAL_CASE(name, field, len)                                                                \
    static void on_##name(void *user)                                                              \
    {                                                                                              \
        crypto_state *state = user;                                                                \
        seal(state, &state->field, (len));                                                         \
    }                                                                                              \
    static void on_raw_##name(void *user)                                                          \
    {                                                                                              \
        crypto_state *state = user;                                                                \
        raw_seal(state, state->raw_##field, (int) (len));                                          \
    }

SEAL_CASE(gcm_8_mib, gcm, 8 * MIB)
SEAL_CASE(gcm_1_mib, gcm, MIB)
SEAL_CASE(gcm_64, gcm, 64)
SEAL_CASE(chacha_64_kib, chacha, 65536)
SEAL_CASE(chacha_64, chacha, 64)

static void on_noise_frame(void *user)
{
    crypto_state *state = user;
    must(pg_noise_encrypt(&state->frame, pg_bytes_make(state->data, FRAME_BYTES), state->data));
}

static void on_sha256(void *user)
{
    crypto_state *state = user;
    pg_sha256(pg_bytes_make(state->data, MIB), state->signature);
}

static void on_raw_sha256(void *user)
{
    crypto_state *state = user;
    must(EVP_Q_digest(NULL, "SHA256", NULL, state->data, MIB, state->signature, NULL) == 1
             ? PG_OK
             : PG_ERR_BUG);
}

static void on_sha256_36(void *user)
{
    crypto_state *state = user;
    pg_sha256(pg_bytes_make(state->data, 36), state->signature);
}

static void on_blake3(void *user)
{
    crypto_state *state = user;
    pg_blake3(pg_bytes_make(state->data, MIB), state->signature);
}

static void on_raw_blake3(void *user)
{
    crypto_state *state = user;
    blake3_hasher hasher;
    blake3_hasher_init(&hasher);
    blake3_hasher_update(&hasher, state->data, MIB);
    blake3_hasher_finalize(&hasher, state->signature, BLAKE3_OUT_LEN);
}

static void on_sign(void *user)
{
    crypto_state *state = user;
    pg_identity_sign(&state->identity, PG_BYTES_OF(seed), state->signature);
}

static void on_verify(void *user)
{
    crypto_state *state = user;
    uint8_t signature[PG_ED25519_SIGNATURE_BYTES];
    pg_identity_sign(&state->identity, PG_BYTES_OF(seed), signature);
    pg_public_key key = {PG_KEY_TYPE_ED25519, PG_BYTES_OF(state->identity.public_key)};
    must(pg_public_key_verify(&key, PG_BYTES_OF(seed), PG_BYTES_OF(signature)));
}

static void on_x25519_public(void *user)
{
    crypto_state *state = user;
    pg_x25519_public(&state->secret, state->public_key);
}

static void on_x25519(void *user)
{
    crypto_state *state = user;
    pg_key shared;
    must(pg_x25519(&state->secret, state->public_key, &shared));
}

static void on_mlkem_keygen(void *user)
{
    (void) user;
    pg_mlkem_key key = {0};
    must(pg_mlkem_key_init(&key, seed));
    pg_mlkem_key_deinit(&key);
}

static void on_mlkem_encaps(void *user)
{
    crypto_state *state = user;
    pg_key shared;
    must(pg_mlkem_encaps(state->mlkem_public, seed, state->mlkem_ciphertext, &shared));
}

static void on_mlkem_decaps(void *user)
{
    crypto_state *state = user;
    pg_key shared;
    must(pg_mlkem_decaps(&state->mlkem, state->mlkem_ciphertext, &shared));
}

// Both sides of a handshake as libp2p makes it, identities signed and verified.
static void handshake(crypto_state *state, pg_noise_pattern pattern)
{
    static const pg_noise_offer offer;
    pg_noise *sides[2] = {0};
    uint8_t space[2048];
    for (int i = 0; i < 2; i++) {
        pg_noise_config config = {pattern, NULL, i == 0, PG_BYTES_EMPTY, &state->secret, NULL};
        must(pg_noise_new(&config, &sides[i]));
    }
    for (int step = 0; step < 3; step++) {
        pg_noise *from = sides[step % 2];
        pg_noise *to = sides[1 - step % 2];
        pg_buf payload = {0};
        size_t len = 0;
        pg_bytes got = PG_BYTES_EMPTY;
        pg_noise_peer peer;
        pg_arena arena = pg_arena_make(PG_NOISE_PAYLOAD_ARENA_BYTES);
        if (step != 0) {
            must(pg_noise_payload_encode(&state->identity, pg_noise_local_static(from), &offer,
                                         &payload));
        }
        must(pg_noise_write(from, pg_buf_bytes(&payload), PG_MUT_BYTES_OF(space), &len));
        must(pg_noise_read(to, pg_mut_bytes_make(space, len), &got));
        if (step != 0) {
            must(pg_noise_payload_decode(got, pg_noise_remote_static(to), &arena, &peer));
        }
        pg_arena_deinit(&arena);
        pg_buf_deinit(&payload);
    }
    for (int i = 0; i < 2; i++) {
        pg_noise_cipher send = {0};
        pg_noise_cipher receive = {0};
        must(pg_noise_split(sides[i], &send, &receive));
        pg_noise_cipher_deinit(&send);
        pg_noise_cipher_deinit(&receive);
        pg_noise_free(&sides[i]);
    }
}

static void on_handshake_xx(void *user)
{
    handshake(user, PG_NOISE_PATTERN_XX);
}

static void on_handshake_hybrid(void *user)
{
    handshake(user, PG_NOISE_PATTERN_XXHFS);
}

static EVP_CIPHER_CTX *raw_cipher(const EVP_CIPHER *cipher, const pg_key *key)
{
    EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
    must(ctx != NULL && EVP_EncryptInit_ex2(ctx, cipher, key->bytes, nonce, NULL) == 1
             ? PG_OK
             : PG_ERR_NOMEM);
    return ctx;
}

static void state_fill(crypto_state *state)
{
    pg_key key = {{1}};
    state->secret = key;
    state->data = bench_alloc((size_t) 8 * MIB + PG_AEAD_TAG_BYTES);
    bench_fill_random(state->data, (size_t) 8 * MIB, 1);
    must(pg_aead_init(&state->gcm, PG_AEAD_ALG_AES_256_GCM, &key));
    must(pg_aead_init(&state->chacha, PG_AEAD_ALG_CHACHA20_POLY1305, &key));
    state->raw_gcm = raw_cipher(EVP_aes_256_gcm(), &key);
    state->raw_chacha = raw_cipher(EVP_chacha20_poly1305(), &key);
    must(pg_noise_cipher_init(&state->frame, &key));
    must(pg_identity_init(&state->identity, &key));
    must(pg_mlkem_key_init(&state->mlkem, seed));
    pg_mlkem_public(&state->mlkem, state->mlkem_public);
    pg_x25519_public(&state->secret, state->public_key);
}

int main(int argc, char **argv)
{
    bench_begin(argc, argv);
    crypto_state state = {0};
    state_fill(&state);
    const bench_case cases[] = {
        {"evp aes-256-gcm 8 MiB", 8 * MIB, on_raw_gcm_8_mib, &state, NULL},
        {"aes-256-gcm 8 MiB", 8 * MIB, on_gcm_8_mib, &state, "evp aes-256-gcm 8 MiB"},
        {"evp aes-256-gcm 1 MiB", MIB, on_raw_gcm_1_mib, &state, NULL},
        {"aes-256-gcm 1 MiB", MIB, on_gcm_1_mib, &state, "evp aes-256-gcm 1 MiB"},
        {"evp aes-256-gcm 64 B", 64, on_raw_gcm_64, &state, NULL},
        {"aes-256-gcm 64 B", 64, on_gcm_64, &state, "evp aes-256-gcm 64 B"},
        {"evp chacha20-poly1305 64 KiB", 65536, on_raw_chacha_64_kib, &state, NULL},
        {"chacha20-poly1305 64 KiB", 65536, on_chacha_64_kib, &state,
         "evp chacha20-poly1305 64 KiB"},
        {"noise frame 65,519 B", FRAME_BYTES, on_noise_frame, &state,
         "evp chacha20-poly1305 64 KiB"},
        {"evp chacha20-poly1305 64 B", 64, on_raw_chacha_64, &state, NULL},
        {"chacha20-poly1305 64 B", 64, on_chacha_64, &state, "evp chacha20-poly1305 64 B"},
        {"evp sha-256 1 MiB", MIB, on_raw_sha256, &state, NULL},
        {"sha-256 1 MiB", MIB, on_sha256, &state, "evp sha-256 1 MiB"},
        {"sha-256 36 B", 36, on_sha256_36, &state, NULL},
        {"library blake3 1 MiB", MIB, on_raw_blake3, &state, NULL},
        {"blake3 1 MiB", MIB, on_blake3, &state, "library blake3 1 MiB"},
        {"ed25519 sign", 0, on_sign, &state, NULL},
        {"ed25519 sign and verify", 0, on_verify, &state, NULL},
        {"x25519 public key", 0, on_x25519_public, &state, NULL},
        {"x25519 agreement", 0, on_x25519, &state, NULL},
        {"ml-kem-768 keygen", 0, on_mlkem_keygen, &state, NULL},
        {"ml-kem-768 encaps", 0, on_mlkem_encaps, &state, NULL},
        {"ml-kem-768 decaps", 0, on_mlkem_decaps, &state, NULL},
        {"noise xx, both sides", 0, on_handshake_xx, &state, NULL},
        {"noise xxhfs, both sides", 0, on_handshake_hybrid, &state, "noise xx, both sides"},
    };
    bench_run(cases, PG_ARRAY_LEN(cases), NULL);
    pg_aead_deinit(&state.gcm);
    pg_aead_deinit(&state.chacha);
    EVP_CIPHER_CTX_free(state.raw_gcm);
    EVP_CIPHER_CTX_free(state.raw_chacha);
    pg_noise_cipher_deinit(&state.frame);
    pg_identity_deinit(&state.identity);
    pg_mlkem_key_deinit(&state.mlkem);
    free(state.data);
    return 0;
}
