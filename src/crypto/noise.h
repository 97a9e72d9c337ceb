// SPDX-License-Identifier: Apache-2.0
// The Noise protocol, bytes in and bytes out: handshake patterns XX and XXhfs (with ML-KEM-768 beside X25519) over
// ChaCha20-Poly1305 and SHA-256, and the two ciphers they end in. Framing, identities and policy are not here: see
// noise_libp2p.h for what libp2p puts into the payloads.
//
//      pg_noise_new --> [write, read, write] or [read, write, read] --> pg_noise_is_done --> pg_noise_split
//
// A message that fails ends the handshake: every later call gives PG_ERR_CLOSED, and only pg_noise_free remains. Not so
// when a call was refused before it began (PG_ERR_LIMIT of pg_noise_write, PG_ERR_BUG).
//
// Layer: crypto.  Thread: one object per thread or connection.  Spec: Noise revision 34, Noise HFS, libp2p/specs 727.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/err.h"
#include "crypto/aead.h"
#include "crypto/hash.h"
#include "crypto/mlkem.h"
#include "crypto/secret.h"
#include "crypto/x25519.h"

#define PG_NOISE_MESSAGE_BYTES_MAX 65535 // handshake and transport alike
#define PG_NOISE_PLAIN_BYTES_MAX (PG_NOISE_MESSAGE_BYTES_MAX - PG_AEAD_TAG_BYTES)
#define PG_NOISE_NAME_BYTES_MAX 255

typedef enum pg_noise_pattern {
    PG_NOISE_PATTERN_XX,    // Noise_XX_25519_ChaChaPoly_SHA256
    PG_NOISE_PATTERN_XXHFS, // Noise_XXhfs_25519+MLKEM768_ChaChaPoly_SHA256
    PG_NOISE_PATTERN_COUNT,
} pg_noise_pattern;

/** The random bytes of one handshake, for tests and vectors; never used twice. */
typedef struct pg_noise_seeds {
    pg_key ephemeral;                          // X25519, both sides
    uint8_t kem_key[PG_MLKEM_SEED_BYTES];      // XXhfs, initiator
    uint8_t kem_random[PG_MLKEM_RANDOM_BYTES]; // XXhfs, responder
} pg_noise_seeds;

/** What a handshake starts from. Everything is copied. */
typedef struct pg_noise_config {
    pg_noise_pattern pattern;
    const char *protocol_name; // NULL: the pattern's; at most PG_NOISE_NAME_BYTES_MAX characters
    bool initiator;
    pg_bytes prologue;           // may be empty
    const pg_key *static_secret; // X25519
    const pg_noise_seeds *seeds; // NULL: drawn from pg_random_bytes
} pg_noise_config;

/** A handshake under way. */
typedef struct pg_noise pg_noise;

/** Begin a handshake. End it with pg_noise_free. Errors: PG_ERR_NOMEM, PG_ERR_LIMIT (name). */
PG_NODISCARD pg_err pg_noise_new(const pg_noise_config *config, pg_noise **out_noise);

/** Wipe and free; *noise is NULL then. NULL is fine. */
void pg_noise_free(pg_noise **noise);

/** Return true when the next step is ours to write, false when it is to read or the handshake is done. */
bool pg_noise_is_our_turn(const pg_noise *noise);

/** Return true when all messages have been exchanged. */
bool pg_noise_is_done(const pg_noise *noise);

/** Return how many bytes the next message has beyond its payload, whoever writes it; 0 when done. */
size_t pg_noise_overhead(const pg_noise *noise);

/** Write the next message with a payload, which is in the clear in the first message.
 *  space     at least pg_noise_overhead + payload.len bytes, not overlapping the payload
 *  out_len   bytes written
 *  Errors    PG_ERR_LIMIT (no room, or more than PG_NOISE_MESSAGE_BYTES_MAX), PG_ERR_MALFORMED (the other side's key is
 *            of low order or fails the modulus check), PG_ERR_NOMEM, PG_ERR_CLOSED (failed before), PG_ERR_BUG (not our
 *            turn) */
PG_NODISCARD pg_err pg_noise_write(pg_noise *noise, pg_bytes payload, pg_mut_bytes space,
                                   size_t *out_len);

/** Read the next message, decrypting in place.
 *  message       changed, also on failure
 *  out_payload   the part of `message` that is the payload
 *  Errors        PG_ERR_TRUNCATED, PG_ERR_LIMIT, PG_ERR_AUTH, PG_ERR_MALFORMED (key of low order), PG_ERR_NOMEM,
 *                PG_ERR_CLOSED, PG_ERR_BUG (our turn to write) */
PG_NODISCARD pg_err pg_noise_read(pg_noise *noise, pg_mut_bytes message, pg_bytes *out_payload);

/** Return the other side's static key, 32 bytes; NULL before it was received. Borrowed. */
const uint8_t *pg_noise_remote_static(const pg_noise *noise);

/** Return our static public key, 32 bytes. Borrowed. */
const uint8_t *pg_noise_local_static(const pg_noise *noise);

/** Return the handshake hash, 32 bytes: with the handshake done it names this session for both sides. Borrowed. */
const uint8_t *pg_noise_hash(const pg_noise *noise);

/** One direction of the transport. Holds heap memory; the all-zero value is an ended one. */
typedef struct pg_noise_cipher {
    pg_aead aead;
    uint64_t nonce; // of the next message
} pg_noise_cipher;

/** Make the two ciphers of a finished handshake. End both with pg_noise_cipher_deinit.
 *  Errors: PG_ERR_NOMEM, PG_ERR_CLOSED, PG_ERR_BUG (not done). */
PG_NODISCARD pg_err pg_noise_split(pg_noise *noise, pg_noise_cipher *out_send,
                                   pg_noise_cipher *out_receive);

/** Make a transport cipher of a key (for vectors, and for what gets its key elsewhere). Errors: PG_ERR_NOMEM. */
PG_NODISCARD pg_err pg_noise_cipher_init(pg_noise_cipher *cipher, const pg_key *key);

/** Wipe and free. NULL and the all-zero value are fine. */
void pg_noise_cipher_deinit(pg_noise_cipher *cipher);

/** Encrypt `plain` to plain.len + PG_AEAD_TAG_BYTES bytes at `out_message`, which may be the same memory. No heap.
 *  Errors: PG_ERR_LIMIT when plain is longer than PG_NOISE_PLAIN_BYTES_MAX or the nonces are used up (close then). */
PG_NODISCARD pg_err pg_noise_encrypt(pg_noise_cipher *cipher, pg_bytes plain, uint8_t *out_message);

/** Decrypt `message` to message.len - PG_AEAD_TAG_BYTES bytes at `out_plain`, which may be the same memory. No heap.
 *  Errors: PG_ERR_AUTH (the connection is over), PG_ERR_TRUNCATED, PG_ERR_LIMIT as pg_noise_encrypt. */
PG_NODISCARD pg_err pg_noise_decrypt(pg_noise_cipher *cipher, pg_bytes message, uint8_t *out_plain);
