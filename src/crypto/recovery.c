// SPDX-License-Identifier: Apache-2.0
#include "crypto/recovery.h"

#include <string.h>

#include "codec/multibase.h"
#include "crypto/hash.h"

#define CHECKSUM_BYTES 4
#define BINARY_BYTES_MAX (1 + 2 * PG_KEY_BYTES + CHECKSUM_BYTES)
#define CHARS_MAX ((BINARY_BYTES_MAX * 8 + 4) / 5)
#define GROUP_CHARS 4

enum { VERSION_PERSON = 1, VERSION_BOTH = 2 };

_Static_assert(CHARS_MAX + CHARS_MAX / GROUP_CHARS + 1 <= PG_RECOVERY_TEXT_BYTES,
               "the longest fits");

/** A secret before it becomes text. */
typedef struct binary {
    uint8_t bytes[BINARY_BYTES_MAX];
    size_t len;
    char chars[CHARS_MAX + 1];
} binary;

static void binary_wipe(binary *secret)
{
    pg_wipe(secret, sizeof(*secret));
}

static void checksum_make(pg_bytes content, uint8_t out[CHECKSUM_BYTES])
{
    uint8_t input[32 + BINARY_BYTES_MAX];
    uint8_t digest[PG_HASH_BYTES];
    pg_writer writer = pg_writer_make(PG_MUT_BYTES_OF(input));
    pg_writer_put(&writer, PG_BYTES_LIT("pangea secret"));
    pg_writer_put(&writer, content);
    pg_assert(!writer.failed);
    pg_sha256(pg_writer_bytes(&writer), digest);
    memcpy(out, digest, CHECKSUM_BYTES);
    pg_wipe(input, sizeof(input));
}

void pg_recovery_format(const pg_keystore *keystore, char out_text[PG_RECOVERY_TEXT_BYTES])
{
    binary secret PG_CLEANUP(binary_wipe) = {.len = 0};
    pg_key person PG_CLEANUP(pg_key_wipe) = {0};
    pg_key owner PG_CLEANUP(pg_key_wipe) = {0};
    uint8_t checksum[CHECKSUM_BYTES];
    pg_identity_seed(&keystore->person, &person);
    pg_keystore_owner_derive(&person, &owner);
    bool is_derived = pg_secret_equal(pg_key_bytes(&owner), pg_secret_bytes(&keystore->owner));

    pg_writer writer = pg_writer_make(PG_MUT_BYTES_OF(secret.bytes));
    pg_writer_u8(&writer, is_derived ? VERSION_PERSON : VERSION_BOTH);
    pg_writer_put(&writer, pg_key_bytes(&person));
    if (!is_derived) {
        pg_writer_put(&writer, pg_secret_bytes(&keystore->owner));
    }
    checksum_make(pg_writer_bytes(&writer), checksum);
    pg_writer_put(&writer, PG_BYTES_OF(checksum));
    pg_writer text = pg_writer_make(PG_MUT_BYTES_OF(secret.chars));
    pg_writer_base(&text, PG_BASE_32, pg_writer_bytes(&writer));
    pg_assert(!writer.failed && !text.failed);
    size_t at = 0;
    for (size_t i = 0; i < text.len; i++) {
        if (i > 0 && i % GROUP_CHARS == 0) {
            out_text[at++] = '-';
        }
        out_text[at++] = secret.chars[i];
    }
    out_text[at] = '\0';
}

// The characters without what divides them.
static pg_err chars_take(pg_str text, binary *secret, size_t *out_len)
{
    size_t len = 0;
    if (text.len > PG_RECOVERY_INPUT_BYTES_MAX) {
        return pg_fail(PG_ERR_LIMIT, "a secret has at most %d characters", CHARS_MAX);
    }
    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i];
        if (c == '-' || c == ' ' || c == '\t' || c == '\r' || c == '\n') {
            continue;
        }
        if (len == CHARS_MAX) {
            return pg_fail(PG_ERR_MALFORMED, "this is longer than a secret");
        }
        secret->chars[len++] = (char) (c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c);
    }
    *out_len = len;
    return PG_OK;
}

static pg_err content_take(const binary *secret, pg_reader *out_content)
{
    uint8_t checksum[CHECKSUM_BYTES];
    size_t content_len = secret->len - CHECKSUM_BYTES;
    pg_bytes content = pg_bytes_make(secret->bytes, content_len);
    checksum_make(content, checksum);
    if (memcmp(checksum, secret->bytes + content_len, CHECKSUM_BYTES) != 0) {
        return pg_fail(PG_ERR_CORRUPT, "mistyped: the secret's checksum does not match");
    }
    *out_content = pg_reader_make(content);
    return PG_OK;
}

static pg_err binary_read(const binary *secret, pg_keystore_seeds *seeds)
{
    pg_reader reader = {.failed = false};
    if (secret->len < 1 + PG_KEY_BYTES + CHECKSUM_BYTES) {
        return pg_fail(PG_ERR_TRUNCATED, "this is shorter than a secret");
    }
    PG_TRY(content_take(secret, &reader));
    uint8_t version = pg_reader_u8(&reader);
    pg_reader_copy(&reader, seeds->person.bytes, PG_KEY_BYTES);
    if (version == VERSION_BOTH) {
        pg_reader_copy(&reader, seeds->owner.bytes, PG_KEY_BYTES);
    } else if (version == VERSION_PERSON) {
        pg_keystore_owner_derive(&seeds->person, &seeds->owner);
    } else {
        return pg_fail(PG_ERR_UNSUPPORTED,
                       "a secret of version %u, this program knows versions 1 and 2", version);
    }
    return pg_reader_finish(&reader);
}

pg_err pg_recovery_parse(pg_str text, pg_keystore_seeds *out_seeds)
{
    binary secret PG_CLEANUP(binary_wipe) = {.len = 0};
    pg_keystore_seeds seeds;
    size_t len = 0;
    PG_TRY(chars_take(text, &secret, &len));
    pg_err err = pg_base_decode(PG_BASE_32, pg_str_make_len(secret.chars, len),
                                PG_MUT_BYTES_OF(secret.bytes), &secret.len);
    if (err != PG_OK) {
        return pg_fail(PG_ERR_MALFORMED,
                       "not a secret: it is written with a to z, 2 to 7 and hyphens");
    }
    pg_keystore_seeds_draw(&seeds); // for the device's
    err = binary_read(&secret, &seeds);
    if (err == PG_OK) {
        *out_seeds = seeds;
    }
    pg_wipe(&seeds, sizeof(seeds));
    return err;
}
