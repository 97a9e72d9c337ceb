// SPDX-License-Identifier: Apache-2.0
#include "files/root.h"

#include <string.h>

#include "base/mem.h"
#include "files/code.h"
#include "files/extents.h"
#include "files/format.pb-c.h"
#include "files/keys.h"
#include "files/limits.h"
#include "files/wire_priv.h"

#define LENGTH_BYTES 4
// Version, salt, commitment, nonce, tag and the fields' heads take 106 bytes.
#define TEXT_BYTES_MAX (PG_ROOT_BYTES_MAX - 128U)
#define AD_BYTES (2 + PG_ROOT_SALT_BYTES + PG_KEY_BYTES)

void pg_root_deinit(pg_root *root)
{
    if (root == NULL) {
        return;
    }
    if (root->content.ptr != NULL) {
        pg_wipe(root->content.ptr, root->content.cap);
    }
    pg_buf_deinit(&root->name);
    pg_buf_deinit(&root->content);
    pg_buf_deinit(&root->extents);
    *root = (pg_root){0};
}

pg_err pg_root_check_name(pg_bytes name)
{
    bool dots = pg_bytes_equal(name, PG_BYTES_LIT(".")) || pg_bytes_equal(name, PG_BYTES_LIT(".."));
    bool bad = dots || name.len > PG_NAME_BYTES_MAX;
    for (size_t i = 0; i < name.len && !bad; i++) {
        bad = name.ptr[i] < 0x20 || name.ptr[i] == 0x7f || name.ptr[i] == '/';
    }
    return bad ? pg_fail(PG_ERR_INVALID, "not a name a root may carry") : PG_OK;
}

/** Associated data: kind, version, salt, commitment. */
static void write_ad(pg_bytes salt, pg_bytes commitment, uint8_t out_ad[AD_BYTES])
{
    pg_writer writer = pg_writer_make(pg_mut_bytes_make(out_ad, AD_BYTES));
    pg_writer_u8(&writer, PG_WIRE_KIND_ROOT);
    pg_writer_u8(&writer, PG_FILES_VERSION);
    pg_writer_put(&writer, salt);
    pg_writer_put(&writer, commitment);
    pg_assert(!writer.failed && writer.len == AD_BYTES);
}

/** Write length, message and padding, with room for the tag behind. */
static pg_err append_text(const pg_root *root, pg_buf *out)
{
    Pangea__Files__RootSealed message = PANGEA__FILES__ROOT_SEALED__INIT;
    message.size_bytes = root->size_bytes;
    message.name = pg_pb_view(pg_buf_bytes(&root->name));
    message.kind = (uint32_t) root->kind;
    message.level = root->level;
    message.content = pg_pb_view(pg_buf_bytes(&root->content));
    message.extents = pg_pb_view(pg_buf_bytes(&root->extents));

    uint8_t *head = NULL;
    PG_TRY(pg_buf_extend(out, LENGTH_BYTES, &head));
    PG_TRY(pg_pb_append(out, &message.base));
    pg_writer writer = pg_writer_make(pg_mut_bytes_make(out->ptr, LENGTH_BYTES));
    pg_writer_u32be(&writer, (uint32_t) (out->len - LENGTH_BYTES));
    size_t padded = pg_min_size(pg_padme(out->len), TEXT_BYTES_MAX);
    size_t extra = padded - out->len + PG_AEAD_TAG_BYTES;
    uint8_t *space = NULL;
    out->max_len += PG_AEAD_TAG_BYTES;
    PG_TRY(pg_buf_extend(out, extra, &space));
    memset(space, 0, extra);
    return PG_OK;
}

pg_err pg_root_encode(const pg_root *root, const pg_key *file_key, const pg_root_seal *seal,
                      pg_buf *out)
{
    pg_bytes salt = PG_BYTES_OF(seal->salt);
    pg_buf text = {.max_len = TEXT_BYTES_MAX};
    pg_key key = {0};
    pg_key commitment = {0};
    pg_aead aead = {0};
    uint8_t ad[AD_BYTES];
    Pangea__Files__Root message = PANGEA__FILES__ROOT__INIT;

    pg_err err = append_text(root, &text);
    if (err != PG_OK) {
        goto out;
    }
    pg_files_derive(file_key, salt, PG_FILES_PURPOSE_COMMITMENT, &commitment);
    pg_files_derive(file_key, salt, PG_FILES_PURPOSE_ROOT, &key);
    err = pg_aead_init(&aead, PG_AEAD_ALG_AES_256_GCM, &key);
    if (err != PG_OK) {
        goto out;
    }
    write_ad(salt, pg_key_bytes(&commitment), ad);
    err = pg_aead_seal(&aead, seal->nonce, PG_BYTES_OF(ad),
                       pg_bytes_make(text.ptr, text.len - PG_AEAD_TAG_BYTES), text.ptr);
    if (err != PG_OK) {
        goto out;
    }
    message.version = PG_FILES_VERSION;
    message.salt = pg_pb_view(salt);
    message.commitment = pg_pb_view(pg_key_bytes(&commitment));
    message.nonce = pg_pb_view(PG_BYTES_OF(seal->nonce));
    message.sealed = pg_pb_view(pg_buf_bytes(&text));
    err = pg_pb_append(out, &message.base);

out:
    pg_aead_deinit(&aead);
    pg_key_wipe(&key);
    if (text.ptr != NULL) {
        pg_wipe(text.ptr, text.cap);
    }
    pg_buf_deinit(&text);
    return err;
}

/** Refuse what no writer writes. */
static pg_err check_sealed(const Pangea__Files__RootSealed *message)
{
    bool in_extents = message->extents.len > 0;
    if (message->kind >= PG_FILE_KIND_COUNT || message->level >= PG_LEVELS_MAX ||
        pg_root_check_name(pg_pb_bytes(message->name)) != PG_OK) {
        return pg_fail(PG_ERR_MALFORMED, "root: impossible kind, level or name");
    }
    if (in_extents ? message->content.len > 0
                   : message->level > 0 || message->content.len != message->size_bytes) {
        return pg_fail(PG_ERR_MALFORMED, "root: its content does not have the size it tells");
    }
    if (in_extents) {
        uint64_t sum = 0;
        PG_TRY(pg_extents_sum(pg_pb_bytes(message->extents), &sum));
        if (message->level == 0 && sum != message->size_bytes) {
            return pg_fail(PG_ERR_MALFORMED, "root: its extents do not have the size it tells");
        }
    }
    return PG_OK;
}

static pg_err take_text(pg_bytes text, pg_arena *arena, pg_root *root)
{
    pg_reader reader = pg_reader_make(text);
    uint32_t len = pg_reader_u32be(&reader);
    pg_bytes encoded = pg_reader_take(&reader, len);
    bool padded = !reader.failed &&
                  text.len == pg_min_size(pg_padme(len + (size_t) LENGTH_BYTES), TEXT_BYTES_MAX);
    for (size_t i = 0; i < reader.rest.len; i++) {
        padded = padded && reader.rest.ptr[i] == 0;
    }
    if (!padded) {
        return pg_fail(PG_ERR_MALFORMED, "root: wrong padding");
    }
    ProtobufCMessage *message = NULL;
    PG_TRY(pg_wire_read("root", &pangea__files__root_sealed__descriptor, encoded, arena, &message));
    const Pangea__Files__RootSealed *sealed = (const Pangea__Files__RootSealed *) message;
    PG_TRY(check_sealed(sealed));
    root->size_bytes = sealed->size_bytes;
    root->kind = (pg_file_kind) sealed->kind;
    root->level = sealed->level;
    PG_TRY(pg_buf_append(&root->name, pg_pb_bytes(sealed->name)));
    PG_TRY(pg_buf_append(&root->content, pg_pb_bytes(sealed->content)));
    return pg_buf_append(&root->extents, pg_pb_bytes(sealed->extents));
}

/** Decrypt the sealed part to `out_text`, which has room for all of it. */
static pg_err open_sealed(const Pangea__Files__Root *outer, const pg_key *file_key,
                          uint8_t *out_text)
{
    pg_bytes salt = pg_pb_bytes(outer->salt);
    pg_bytes commitment = pg_pb_bytes(outer->commitment);
    pg_key expected = {0};
    pg_files_derive(file_key, salt, PG_FILES_PURPOSE_COMMITMENT, &expected);
    if (!pg_secret_equal(pg_key_bytes(&expected), commitment)) {
        return pg_fail(PG_ERR_KEY, "the key of the link does not belong to this root");
    }
    pg_key key = {0};
    pg_aead aead = {0};
    uint8_t ad[AD_BYTES];
    pg_files_derive(file_key, salt, PG_FILES_PURPOSE_ROOT, &key);
    pg_err err = pg_aead_init(&aead, PG_AEAD_ALG_AES_256_GCM, &key);
    if (err == PG_OK) {
        write_ad(salt, commitment, ad);
        err = pg_aead_open(&aead, outer->nonce.data, PG_BYTES_OF(ad), pg_pb_bytes(outer->sealed),
                           out_text);
    }
    if (err == PG_ERR_AUTH) {
        err = pg_fail(PG_ERR_CORRUPT, "root: right key, but its content was altered");
    }
    pg_aead_deinit(&aead);
    pg_key_wipe(&key);
    return err;
}

static pg_err decode_parts(pg_bytes in, const pg_key *file_key, pg_arena *arena, pg_root *root)
{
    ProtobufCMessage *message = NULL;
    PG_TRY(pg_wire_read("root", &pangea__files__root__descriptor, in, arena, &message));
    const Pangea__Files__Root *outer = (const Pangea__Files__Root *) message;
    if (outer->salt.len != PG_ROOT_SALT_BYTES || outer->commitment.len != PG_KEY_BYTES ||
        outer->nonce.len != PG_AEAD_NONCE_BYTES ||
        outer->sealed.len < LENGTH_BYTES + PG_AEAD_TAG_BYTES) {
        return pg_fail(PG_ERR_MALFORMED, "root: a field has a wrong length");
    }
    size_t len = outer->sealed.len - PG_AEAD_TAG_BYTES;
    uint8_t *text = pg_malloc(len);
    if (text == NULL) {
        return PG_ERR_NOMEM;
    }
    pg_err err = open_sealed(outer, file_key, text);
    if (err == PG_OK) {
        err = take_text(pg_bytes_make(text, len), arena, root);
    }
    pg_wipe(text, len);
    pg_mfree(text);
    return err;
}

pg_err pg_root_decode(pg_bytes in, const pg_key *file_key, pg_root *out_root)
{
    if (in.len > PG_ROOT_BYTES_MAX) {
        return pg_fail(PG_ERR_LIMIT, "root: has %zu bytes, at most %u", in.len, PG_ROOT_BYTES_MAX);
    }
    PG_TRY(pg_wire_check_version("root", in));
    pg_root root = {0};
    pg_arena arena = pg_wire_arena(2 * in.len);
    pg_err err = decode_parts(in, file_key, &arena, &root);
    pg_arena_deinit(&arena);
    if (err != PG_OK) {
        pg_root_deinit(&root);
        return err;
    }
    *out_root = root;
    return PG_OK;
}
