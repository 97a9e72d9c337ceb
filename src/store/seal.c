// SPDX-License-Identifier: Apache-2.0
#include "store/seal.h"

#include <string.h>

#include "crypto/hash.h"
#include "crypto/xchacha.h"
#include "runtime/random.h"

#define MAGIC PG_BYTES_LIT("pangea sealed database\n")
#define VERSION 1
#define FIELDS_BYTES (23 + 1 + PG_SEAL_SALT_BYTES + PG_HASH_BYTES)
#define BODY_BYTES (PG_SEAL_PAGE_BYTES - PG_SEAL_TAIL_BYTES)
#define FRAME_CLEAR_BYTES 8 // page number and commit mark
#define FRAME_SUMS_BYTES (PG_SEAL_FRAME_HEAD_BYTES - FRAME_CLEAR_BYTES)

_Static_assert(PG_XCHACHA_NONCE_BYTES + PG_XCHACHA_TAG_BYTES == PG_SEAL_TAIL_BYTES, "size");

typedef enum seal_kind {
    KIND_PAGE = 1,
    KIND_FRAME = 2,
} seal_kind;

// ---- The first page

static void key_derive(const pg_key *key, const char *purpose, pg_bytes salt, pg_key *out_key)
{
    pg_blake3_stream stream;
    pg_blake3_stream_init(&stream, key);
    pg_blake3_stream_update(&stream, pg_bytes_cstr(purpose));
    pg_blake3_stream_update(&stream, salt);
    pg_blake3_stream_final(&stream, PG_MUT_BYTES_OF(out_key->bytes));
    pg_wipe(&stream, sizeof(stream));
}

static void keys_derive(const pg_key *key, pg_bytes salt, pg_seal_keys *out_keys)
{
    key_derive(key, "pangea database v1 page", salt, &out_keys->page);
    key_derive(key, "pangea database v1 log", salt, &out_keys->log);
}

void pg_seal_head_encode(const pg_key *key, const uint8_t salt[PG_SEAL_SALT_BYTES],
                         uint8_t out[PG_SEAL_PAGE_BYTES], pg_seal_keys *out_keys)
{
    uint8_t digest[PG_HASH_BYTES];
    pg_key check PG_CLEANUP(pg_key_wipe) = {0};
    pg_bytes salt_bytes = pg_bytes_make(salt, PG_SEAL_SALT_BYTES);
    memset(out, 0, PG_SEAL_PAGE_BYTES);
    key_derive(key, "pangea database v1 check", salt_bytes, &check);
    pg_writer writer = pg_writer_make(pg_mut_bytes_make(out, PG_SEAL_PAGE_BYTES));
    pg_writer_put(&writer, MAGIC);
    pg_writer_u8(&writer, VERSION);
    pg_writer_put(&writer, salt_bytes);
    pg_writer_put(&writer, pg_key_bytes(&check));
    pg_assert(writer.len == FIELDS_BYTES);
    pg_blake3(pg_writer_bytes(&writer), digest);
    pg_writer_put(&writer, PG_BYTES_OF(digest));
    keys_derive(key, salt_bytes, out_keys);
}

pg_err pg_seal_head_decode(const pg_key *key, pg_bytes in, pg_seal_keys *out_keys)
{
    uint8_t digest[PG_HASH_BYTES];
    pg_key check PG_CLEANUP(pg_key_wipe) = {0};
    pg_reader reader = pg_reader_make(in);
    pg_bytes magic = pg_reader_take(&reader, MAGIC.len);
    uint8_t version = pg_reader_u8(&reader);
    pg_bytes salt = pg_reader_take(&reader, PG_SEAL_SALT_BYTES);
    pg_bytes saved_check = pg_reader_take(&reader, PG_HASH_BYTES);
    pg_bytes saved_digest = pg_reader_take(&reader, PG_HASH_BYTES);
    if (reader.failed || !pg_bytes_equal(magic, MAGIC)) {
        return pg_fail(PG_ERR_CORRUPT, "this is no sealed database");
    }
    if (version != VERSION) {
        return pg_fail(PG_ERR_UNSUPPORTED,
                       "the database is sealed in version %u; this program knows version %d",
                       version, VERSION);
    }
    pg_blake3(pg_bytes_slice(in, 0, FIELDS_BYTES), digest);
    if (!pg_bytes_equal(saved_digest, PG_BYTES_OF(digest))) {
        return pg_fail(PG_ERR_CORRUPT, "the first page of the database is damaged");
    }
    key_derive(key, "pangea database v1 check", salt, &check);
    if (!pg_secret_equal(saved_check, pg_key_bytes(&check))) {
        return pg_fail(PG_ERR_KEY, "the database has another key");
    }
    keys_derive(key, salt, out_keys);
    return PG_OK;
}

// ---- Pages and frames

static bool is_zero(const uint8_t *bytes, size_t len)
{
    return bytes[0] == 0 && memcmp(bytes, bytes + 1, len - 1) == 0;
}

// What a page or frame is bound to: its kind, its place, and of a frame what stays readable.
static pg_bytes ad_make(seal_kind kind, uint64_t number, const uint8_t *clear, uint8_t space[17])
{
    pg_writer writer = pg_writer_make(pg_mut_bytes_make(space, 17));
    pg_writer_u8(&writer, (uint8_t) kind);
    pg_writer_u64be(&writer, number);
    if (kind == KIND_FRAME) {
        pg_writer_put(&writer, pg_bytes_make(clear, FRAME_CLEAR_BYTES));
    }
    return pg_writer_bytes(&writer);
}

static pg_err tail_check(const uint8_t page[PG_SEAL_PAGE_BYTES])
{
    return is_zero(page + BODY_BYTES, PG_SEAL_TAIL_BYTES)
               ? PG_OK
               : pg_fail(PG_ERR_INVALID, "a database page has content where its seal belongs");
}

pg_err pg_seal_page(const pg_seal_keys *keys, uint64_t number,
                    const uint8_t plain[PG_SEAL_PAGE_BYTES], uint8_t out[PG_SEAL_PAGE_BYTES])
{
    uint8_t ad[17];
    uint8_t *nonce = out + BODY_BYTES;
    PG_TRY(tail_check(plain));
    pg_random_bytes(pg_mut_bytes_make(nonce, PG_XCHACHA_NONCE_BYTES));
    pg_xchacha_seal(&keys->page, nonce, ad_make(KIND_PAGE, number, NULL, ad),
                    pg_bytes_make(plain, BODY_BYTES), out, nonce + PG_XCHACHA_NONCE_BYTES);
    return PG_OK;
}

pg_err pg_seal_page_open(const pg_seal_keys *keys, uint64_t number,
                         uint8_t page[PG_SEAL_PAGE_BYTES])
{
    uint8_t ad[17];
    uint8_t *nonce = page + BODY_BYTES;
    if (is_zero(page, PG_SEAL_PAGE_BYTES)) {
        return PG_OK;
    }
    PG_TRY(pg_xchacha_open(&keys->page, nonce, ad_make(KIND_PAGE, number, NULL, ad),
                           pg_bytes_make(page, BODY_BYTES), nonce + PG_XCHACHA_NONCE_BYTES, page));
    memset(nonce, 0, PG_SEAL_TAIL_BYTES);
    return PG_OK;
}

// One message: the page's body, then the second part of the head, which stands before it.
static void frame_gather(const uint8_t frame[PG_SEAL_FRAME_BYTES],
                         uint8_t out[BODY_BYTES + FRAME_SUMS_BYTES])
{
    memcpy(out, frame + PG_SEAL_FRAME_HEAD_BYTES, BODY_BYTES);
    memcpy(out + BODY_BYTES, frame + FRAME_CLEAR_BYTES, FRAME_SUMS_BYTES);
}

static void frame_scatter(const uint8_t message[BODY_BYTES + FRAME_SUMS_BYTES],
                          uint8_t frame[PG_SEAL_FRAME_BYTES])
{
    memcpy(frame + PG_SEAL_FRAME_HEAD_BYTES, message, BODY_BYTES);
    memcpy(frame + FRAME_CLEAR_BYTES, message + BODY_BYTES, FRAME_SUMS_BYTES);
}

pg_err pg_seal_frame(const pg_seal_keys *keys, uint64_t number, uint8_t frame[PG_SEAL_FRAME_BYTES])
{
    uint8_t ad[17];
    uint8_t message[BODY_BYTES + FRAME_SUMS_BYTES];
    uint8_t *nonce = frame + PG_SEAL_FRAME_HEAD_BYTES + BODY_BYTES;
    PG_TRY(tail_check(frame + PG_SEAL_FRAME_HEAD_BYTES));
    frame_gather(frame, message);
    pg_random_bytes(pg_mut_bytes_make(nonce, PG_XCHACHA_NONCE_BYTES));
    pg_xchacha_seal(&keys->log, nonce, ad_make(KIND_FRAME, number, frame, ad), PG_BYTES_OF(message),
                    message, nonce + PG_XCHACHA_NONCE_BYTES);
    frame_scatter(message, frame);
    return PG_OK;
}

pg_err pg_seal_frame_open(const pg_seal_keys *keys, uint64_t number,
                          uint8_t frame[PG_SEAL_FRAME_BYTES])
{
    uint8_t ad[17];
    uint8_t message[BODY_BYTES + FRAME_SUMS_BYTES];
    uint8_t *nonce = frame + PG_SEAL_FRAME_HEAD_BYTES + BODY_BYTES;
    frame_gather(frame, message);
    PG_TRY(pg_xchacha_open(&keys->log, nonce, ad_make(KIND_FRAME, number, frame, ad),
                           PG_BYTES_OF(message), nonce + PG_XCHACHA_NONCE_BYTES, message));
    frame_scatter(message, frame);
    memset(nonce, 0, PG_SEAL_TAIL_BYTES);
    return PG_OK;
}
