// SPDX-License-Identifier: Apache-2.0
#include "files/link.h"

#include <string.h>

#include "base/bytes.h"
#include "base/mem.h"
#include "codec/multibase.h"
#include "crypto/hash.h"
#include "files/limits.h"

#define SCHEME "pangea:"
#define ROOT_CHARS 59
#define CHECKSUM_BYTES 4
#define SECRET_BYTES (1 + PG_KEY_BYTES + CHECKSUM_BYTES)

/** A checksum over all that the link says: the root, and `payload`, which is the version and what belongs to it. */
static void checksum(const pg_cid *root, pg_bytes payload, uint8_t out_sum[CHECKSUM_BYTES])
{
    uint8_t digest[PG_HASH_BYTES];
    pg_blake3_stream stream;
    pg_blake3_stream_init(&stream, NULL);
    pg_blake3_stream_update(&stream, PG_BYTES_LIT("pangea link"));
    pg_blake3_stream_update(&stream, pg_cid_bytes(root));
    pg_blake3_stream_update(&stream, payload);
    pg_blake3_stream_final(&stream, PG_MUT_BYTES_OF(digest));
    memcpy(out_sum, digest, CHECKSUM_BYTES);
    pg_wipe(&stream, sizeof(stream));
}

void pg_link_format(const pg_link *link, char out_text[PG_LINK_TEXT_BYTES])
{
    uint8_t secret[SECRET_BYTES] = {PG_FILES_VERSION};
    memcpy(secret + 1, link->key.bytes, PG_KEY_BYTES);
    checksum(&link->root, pg_bytes_make(secret, 1 + PG_KEY_BYTES), secret + 1 + PG_KEY_BYTES);

    char root[PG_CID_TEXT_BYTES];
    pg_cid_format(&link->root, root);
    pg_writer writer = pg_writer_make(pg_mut_bytes_make(out_text, PG_LINK_CHARS));
    pg_writer_put(&writer, PG_BYTES_LIT(SCHEME));
    pg_writer_put(&writer, pg_bytes_cstr(root));
    pg_writer_put(&writer, PG_BYTES_LIT("#"));
    pg_writer_base(&writer, PG_BASE_58BTC, PG_BYTES_OF(secret));
    pg_assert(!writer.failed && writer.len == PG_LINK_CHARS);
    out_text[PG_LINK_CHARS] = '\0';
    pg_wipe(secret, sizeof(secret));
}

static pg_err fail_short(size_t chars)
{
    return pg_fail(PG_ERR_TRUNCATED, "the link ends too early: it has %zu characters of %d", chars,
                   PG_LINK_CHARS);
}

/** Fail because the characters or the checksum are wrong, unless so much is missing that this explains it. */
static pg_err fail_mistyped(size_t chars)
{
    if (chars < PG_LINK_CHARS) {
        return fail_short(chars);
    }
    return pg_fail(PG_ERR_MALFORMED, "the link is mistyped: its checksum does not match%s",
                   chars > PG_LINK_CHARS ? ", and it is too long" : "");
}

static pg_err read_root(pg_str text, size_t chars, bool has_secret, pg_cid *out_root)
{
    if (!has_secret && text.len < ROOT_CHARS) {
        return fail_short(chars);
    }
    pg_cid root;
    if (pg_cid_parse(text, &root) != PG_OK) {
        return pg_fail(PG_ERR_MALFORMED,
                       "the link is mistyped: what stands before '#' is no content id");
    }
    pg_multihash hash = pg_cid_multihash(&root);
    char spelled[PG_CID_TEXT_BYTES];
    pg_cid_format(&root, spelled);
    if (pg_cid_version(&root) != 1 || pg_cid_codec(&root) != PG_CID_CODEC_RAW ||
        pg_multihash_code_of(&hash) != PG_MULTIHASH_CODE_BLAKE3 ||
        !pg_str_equal(text, pg_str_make(spelled))) {
        return pg_fail(PG_ERR_MALFORMED,
                       "the link is mistyped: a root is a raw BLAKE3 content id in base 32");
    }
    *out_root = root;
    return PG_OK;
}

/** Take the version and the key out of the decoded secret part, whose checksum holds. */
static pg_err read_secret(pg_bytes secret, pg_key *out_key)
{
    if (secret.ptr[0] != PG_FILES_VERSION) {
        return pg_fail(
            PG_ERR_UNSUPPORTED,
            "the link has version %u; this program knows version %d: a newer one is needed",
            secret.ptr[0], PG_FILES_VERSION);
    }
    if (secret.len != 1 + PG_KEY_BYTES) {
        return pg_fail(PG_ERR_MALFORMED, "the link has a key of a wrong length");
    }
    memcpy(out_key->bytes, secret.ptr + 1, PG_KEY_BYTES);
    return PG_OK;
}

pg_err pg_link_parse(pg_str text, pg_link *out_link)
{
    if (!pg_str_starts_with(text, PG_STR(SCHEME))) {
        size_t shown = pg_min_size(text.len, sizeof(SCHEME));
        bool begins = shown > 0 && strncmp(text.ptr, SCHEME, text.len) == 0;
        return begins ? fail_short(text.len)
                      : pg_fail(PG_ERR_INVALID, "not a pangea link: it does not begin with \"%s\"",
                                SCHEME);
    }
    pg_str rest = {text.ptr + strlen(SCHEME), text.len - strlen(SCHEME)};
    pg_str root_text;
    pg_str secret_text = pg_str_split(rest, '#', &root_text);
    bool has_secret = secret_text.ptr != NULL;
    pg_cid root;
    PG_TRY(read_root(root_text, text.len, has_secret, &root));
    if (!has_secret || secret_text.len == 0) {
        return pg_fail(PG_ERR_TRUNCATED,
                       "the link has no key: the part from '#' on is missing (was it cut off by a "
                       "shell? put the link in quotes)");
    }
    uint8_t space[2 * SECRET_BYTES];
    uint8_t sum[CHECKSUM_BYTES];
    size_t len = 0;
    pg_err err = pg_base_decode(PG_BASE_58BTC, secret_text, PG_MUT_BYTES_OF(space), &len);
    if (err == PG_OK && len > CHECKSUM_BYTES) {
        checksum(&root, pg_bytes_make(space, len - CHECKSUM_BYTES), sum);
    }
    if (err != PG_OK || len <= CHECKSUM_BYTES ||
        !pg_secret_equal(PG_BYTES_OF(sum),
                         pg_bytes_make(space + len - CHECKSUM_BYTES, CHECKSUM_BYTES))) {
        err = fail_mistyped(text.len);
    } else {
        pg_key key;
        err = read_secret(pg_bytes_make(space, len - CHECKSUM_BYTES), &key);
        if (err == PG_OK) {
            *out_link = (pg_link){root, key};
        }
        pg_key_wipe(&key);
    }
    pg_wipe(space, sizeof(space));
    return err;
}

void pg_link_wipe(pg_link *link)
{
    if (link != NULL) {
        pg_key_wipe(&link->key);
    }
}
