// SPDX-License-Identifier: Apache-2.0
#include "crypto/keystore.h"

#include <string.h>

#include "crypto/hash.h"
#include "runtime/random.h"

#define MAGIC PG_BYTES_LIT("pangea keystore\n")
#define VERSION 1
#define HEAD_BYTES 18
#define LOCK_BYTES (4 + 4 + PG_ARGON2_SALT_BYTES + PG_AEAD_NONCE_BYTES)
#define BODY_BYTES_MIN (3 * PG_KEY_BYTES + 2)
#define BODY_BYTES_MAX (BODY_BYTES_MIN + PG_CERTIFICATE_BYTES_MAX)

enum { MODE_PLAIN = 0, MODE_ARGON2ID_AES_256_GCM = 1 };

_Static_assert(HEAD_BYTES + LOCK_BYTES + BODY_BYTES_MAX + PG_AEAD_TAG_BYTES + PG_HASH_BYTES <=
                   PG_KEYSTORE_BYTES_MAX,
               "the largest keystore fits");

// The body, decrypted or not yet encrypted.
typedef struct keystore_body {
    uint8_t bytes[BODY_BYTES_MAX];
    size_t len;
} keystore_body;

static void body_wipe(keystore_body *body)
{
    pg_wipe(body, sizeof(*body));
}

// Takes over the certificate's bytes and checks that it is of these two keys.
static pg_err certificate_take(pg_keystore *keystore, pg_bytes encoded)
{
    PG_TRY(pg_buf_append(&keystore->certificate, encoded));
    PG_TRY(pg_certificate_decode(encoded, &keystore->verified));
    if (!pg_peer_id_equal(&keystore->verified.person, &keystore->person.peer_id) ||
        !pg_peer_id_equal(&keystore->verified.device, &keystore->device.peer_id)) {
        return pg_fail(PG_ERR_CORRUPT, "the certificate is of other keys");
    }
    return PG_OK;
}

static pg_err secrets_init(pg_keystore *keystore, const pg_keystore_seeds *seeds)
{
    PG_TRY(pg_identity_init(&keystore->person, &seeds->person));
    PG_TRY(pg_identity_init(&keystore->device, &seeds->device));
    PG_TRY(pg_secret_init(&keystore->owner, PG_KEY_BYTES));
    memcpy(keystore->owner.ptr, seeds->owner.bytes, PG_KEY_BYTES);
    return PG_OK;
}

void pg_keystore_owner_derive(const pg_key *person, pg_key *out_owner)
{
    pg_hkdf(PG_BYTES_EMPTY, pg_key_bytes(person), PG_BYTES_LIT("pangea owner v1"),
            pg_mut_bytes_make(out_owner->bytes, PG_KEY_BYTES));
}

void pg_keystore_seeds_draw(pg_keystore_seeds *out_seeds)
{
    pg_key_random(&out_seeds->person);
    pg_key_random(&out_seeds->device);
    pg_keystore_owner_derive(&out_seeds->person, &out_seeds->owner);
}

static pg_err certify(pg_keystore *keystore, uint64_t now_s)
{
    pg_buf certificate PG_CLEANUP(pg_buf_deinit) = {0};
    PG_TRY(pg_certificate_issue(&keystore->person, keystore->device.public_key, now_s, 0,
                                &certificate));
    return certificate_take(keystore, pg_buf_bytes(&certificate));
}

pg_err pg_keystore_init(pg_keystore *keystore, const pg_keystore_seeds *seeds, uint64_t now_s)
{
    pg_keystore made = {0};
    pg_keystore_seeds drawn;
    if (seeds == NULL) {
        pg_keystore_seeds_draw(&drawn);
    }
    pg_err err = secrets_init(&made, seeds != NULL ? seeds : &drawn);
    pg_wipe(&drawn, sizeof(drawn));
    if (err == PG_OK) {
        err = certify(&made, now_s);
    }
    if (err != PG_OK) {
        pg_keystore_deinit(&made);
        return err;
    }
    *keystore = made;
    return PG_OK;
}

void pg_keystore_deinit(pg_keystore *keystore)
{
    if (keystore == NULL) {
        return;
    }
    pg_identity_deinit(&keystore->person);
    pg_identity_deinit(&keystore->device);
    pg_secret_deinit(&keystore->owner);
    pg_buf_deinit(&keystore->certificate);
    *keystore = (pg_keystore){0};
}

pg_keystore_lock pg_keystore_lock_make(pg_bytes passphrase)
{
    pg_keystore_lock lock = {.passphrase = passphrase, .cost = PG_ARGON2_COST_DEFAULT};
    pg_random_bytes(PG_MUT_BYTES_OF(lock.salt));
    pg_random_bytes(PG_MUT_BYTES_OF(lock.nonce));
    return lock;
}

static void body_write(const pg_keystore *keystore, keystore_body *body)
{
    pg_keystore_seeds seeds;
    pg_identity_seed(&keystore->person, &seeds.person);
    pg_identity_seed(&keystore->device, &seeds.device);
    pg_writer writer = pg_writer_make(PG_MUT_BYTES_OF(body->bytes));
    pg_writer_put(&writer, pg_key_bytes(&seeds.person));
    pg_writer_put(&writer, pg_key_bytes(&seeds.device));
    pg_writer_put(&writer, pg_secret_bytes(&keystore->owner));
    pg_writer_u16be(&writer, (uint16_t) keystore->certificate.len);
    pg_writer_put(&writer, pg_buf_bytes(&keystore->certificate));
    pg_assert(!writer.failed);
    body->len = writer.len;
    pg_wipe(&seeds, sizeof(seeds));
}

static pg_err cipher_init(pg_bytes passphrase, pg_argon2_cost cost, const uint8_t *salt,
                          pg_aead *aead)
{
    pg_key key PG_CLEANUP(pg_key_wipe) = {0};
    PG_TRY(pg_argon2id(passphrase, salt, cost, &key));
    return pg_aead_init(aead, PG_AEAD_ALG_AES_256_GCM, &key);
}

static pg_err body_put_locked(const pg_keystore_lock *lock, const keystore_body *body,
                              pg_writer *writer)
{
    pg_writer_u32be(writer, lock->cost.memory_kib);
    pg_writer_u32be(writer, lock->cost.passes);
    pg_writer_put(writer, PG_BYTES_OF(lock->salt));
    pg_writer_put(writer, PG_BYTES_OF(lock->nonce));
    pg_aead aead PG_CLEANUP(pg_aead_deinit) = {0};
    PG_TRY(cipher_init(lock->passphrase, lock->cost, lock->salt, &aead));
    uint8_t sealed[BODY_BYTES_MAX + PG_AEAD_TAG_BYTES];
    PG_TRY(pg_aead_seal(&aead, lock->nonce, pg_writer_bytes(writer),
                        pg_bytes_make(body->bytes, body->len), sealed));
    pg_writer_put(writer, pg_bytes_make(sealed, body->len + PG_AEAD_TAG_BYTES));
    return PG_OK;
}

pg_err pg_keystore_encode(const pg_keystore *keystore, const pg_keystore_lock *lock, pg_buf *out)
{
    keystore_body body PG_CLEANUP(body_wipe) = {0};
    body_write(keystore, &body);
    uint8_t *space = NULL;
    PG_TRY(pg_buf_reserve(out, PG_KEYSTORE_BYTES_MAX));
    space = out->ptr + out->len;
    pg_writer writer = pg_writer_make(pg_mut_bytes_make(space, PG_KEYSTORE_BYTES_MAX));
    pg_writer_put(&writer, MAGIC);
    pg_writer_u8(&writer, VERSION);
    pg_writer_u8(&writer, lock != NULL ? MODE_ARGON2ID_AES_256_GCM : MODE_PLAIN);
    if (lock != NULL) {
        PG_TRY(body_put_locked(lock, &body, &writer));
    } else {
        pg_writer_put(&writer, pg_bytes_make(body.bytes, body.len));
    }
    uint8_t checksum[PG_HASH_BYTES];
    pg_sha256(pg_writer_bytes(&writer), checksum);
    pg_writer_put(&writer, PG_BYTES_OF(checksum));
    pg_assert(!writer.failed);
    out->len += writer.len;
    return PG_OK;
}

pg_err pg_keystore_is_locked(pg_bytes in, bool *out_locked)
{
    pg_reader reader = pg_reader_make(in);
    pg_bytes magic = pg_reader_take(&reader, MAGIC.len);
    uint8_t version = pg_reader_u8(&reader);
    uint8_t mode = pg_reader_u8(&reader);
    if (reader.failed || !pg_bytes_equal(magic, MAGIC)) {
        return pg_fail(PG_ERR_CORRUPT, "not a keystore");
    }
    if (version != VERSION) {
        return pg_fail(PG_ERR_UNSUPPORTED, "a keystore of version %u, this program reads %d",
                       version, VERSION);
    }
    if (mode != MODE_PLAIN && mode != MODE_ARGON2ID_AES_256_GCM) {
        return pg_fail(PG_ERR_UNSUPPORTED,
                       "a keystore locked in way %u, this program knows 0 and 1", mode);
    }
    *out_locked = mode == MODE_ARGON2ID_AES_256_GCM;
    return PG_OK;
}

static pg_err checksum_verify(pg_bytes in, pg_bytes *out_content)
{
    if (in.len > PG_KEYSTORE_BYTES_MAX || in.len < HEAD_BYTES + PG_HASH_BYTES) {
        return pg_fail(PG_ERR_CORRUPT, "a keystore of %zu bytes", in.len);
    }
    pg_bytes content = pg_bytes_make(in.ptr, in.len - PG_HASH_BYTES);
    uint8_t checksum[PG_HASH_BYTES];
    pg_sha256(content, checksum);
    if (!pg_bytes_equal(PG_BYTES_OF(checksum), pg_bytes_slice(in, content.len, PG_HASH_BYTES))) {
        return pg_fail(PG_ERR_CORRUPT, "the keystore is damaged: its checksum does not match");
    }
    *out_content = content;
    return PG_OK;
}

static pg_err body_unlock(pg_bytes content, pg_bytes passphrase, keystore_body *body)
{
    pg_reader reader = pg_reader_make(pg_bytes_slice(content, HEAD_BYTES, content.len));
    pg_argon2_cost cost = {0};
    uint8_t salt[PG_ARGON2_SALT_BYTES];
    uint8_t nonce[PG_AEAD_NONCE_BYTES];
    cost.memory_kib = pg_reader_u32be(&reader);
    cost.passes = pg_reader_u32be(&reader);
    pg_reader_copy(&reader, salt, sizeof(salt));
    pg_reader_copy(&reader, nonce, sizeof(nonce));
    pg_bytes sealed = reader.rest;
    if (reader.failed || sealed.len < BODY_BYTES_MIN + PG_AEAD_TAG_BYTES ||
        sealed.len > BODY_BYTES_MAX + PG_AEAD_TAG_BYTES) {
        return pg_fail(PG_ERR_CORRUPT, "a locked keystore of %zu bytes", content.len);
    }
    pg_aead aead PG_CLEANUP(pg_aead_deinit) = {0};
    PG_TRY(cipher_init(passphrase, cost, salt, &aead));
    pg_bytes ad = pg_bytes_make(content.ptr, HEAD_BYTES + LOCK_BYTES);
    if (pg_aead_open(&aead, nonce, ad, sealed, body->bytes) != PG_OK) {
        return pg_fail(PG_ERR_KEY, "wrong passphrase");
    }
    body->len = sealed.len - PG_AEAD_TAG_BYTES;
    return PG_OK;
}

static pg_err body_read(const keystore_body *body, pg_keystore *keystore)
{
    pg_reader reader = pg_reader_make(pg_bytes_make(body->bytes, body->len));
    pg_keystore_seeds seeds;
    pg_reader_copy(&reader, seeds.person.bytes, PG_KEY_BYTES);
    pg_reader_copy(&reader, seeds.device.bytes, PG_KEY_BYTES);
    pg_reader_copy(&reader, seeds.owner.bytes, PG_KEY_BYTES);
    uint16_t certificate_len = pg_reader_u16be(&reader);
    pg_bytes certificate = pg_reader_take(&reader, certificate_len);
    pg_err err = pg_reader_finish(&reader);
    if (err == PG_OK) {
        err = secrets_init(keystore, &seeds);
    }
    pg_wipe(&seeds, sizeof(seeds));
    PG_TRY(err);
    return certificate_take(keystore, certificate);
}

static pg_err body_take(pg_bytes content, bool locked, pg_bytes passphrase, keystore_body *body)
{
    if (locked) {
        return body_unlock(content, passphrase, body);
    }
    pg_bytes plain = pg_bytes_slice(content, HEAD_BYTES, content.len);
    if (plain.len > BODY_BYTES_MAX) {
        return pg_fail(PG_ERR_CORRUPT, "a keystore with a body of %zu bytes", plain.len);
    }
    pg_writer writer = pg_writer_make(PG_MUT_BYTES_OF(body->bytes));
    pg_writer_put(&writer, plain);
    body->len = writer.len;
    return PG_OK;
}

pg_err pg_keystore_decode(pg_bytes in, pg_bytes passphrase, pg_keystore *out_keystore)
{
    bool locked = false;
    pg_bytes content = PG_BYTES_EMPTY;
    keystore_body body PG_CLEANUP(body_wipe) = {0};
    PG_TRY(pg_keystore_is_locked(in, &locked));
    PG_TRY(checksum_verify(in, &content));
    PG_TRY(body_take(content, locked, passphrase, &body));
    pg_keystore read = {0};
    pg_err err = body_read(&body, &read);
    if (err != PG_OK) {
        pg_keystore_deinit(&read);
        // What the peers' decoders call malformed is damage in a file of our own.
        return err == PG_ERR_NOMEM ? err : pg_error_wrap(PG_ERR_CORRUPT, "keystore");
    }
    *out_keystore = read;
    return PG_OK;
}
