// SPDX-License-Identifier: Apache-2.0
#include "files/descriptor.h"

#include <string.h>

#include "base/mem.h"
#include "files/format.pb-c.h"
#include "files/keys.h"
#include "files/limits.h"
#include "files/wire_priv.h"

#define AD_HEAD_BYTES 3

pg_err pg_descriptor_init(pg_descriptor *descriptor, pg_code code, uint32_t segment_bytes,
                          uint32_t segment_max)
{
    pg_segment_info *segments = pg_calloc(segment_max, sizeof(*segments));
    uint8_t(*digests)[PG_HASH_BYTES] =
        pg_calloc((size_t) segment_max * pg_code_shards(code), PG_HASH_BYTES);
    if (segments == NULL || digests == NULL) {
        pg_mfree(segments);
        pg_mfree(digests);
        return PG_ERR_NOMEM;
    }
    *descriptor = (pg_descriptor){
        .code = code,
        .segment_bytes = segment_bytes,
        .segment_max = segment_max,
        .segments = segments,
        .digests = digests,
    };
    return PG_OK;
}

void pg_descriptor_reset(pg_descriptor *descriptor, const uint8_t extent_id[PG_EXTENT_ID_BYTES])
{
    memcpy(descriptor->extent_id, extent_id, PG_EXTENT_ID_BYTES);
    descriptor->segment_count = 0;
    descriptor->has_lease_key = false;
    descriptor->is_open = true;
}

void pg_descriptor_deinit(pg_descriptor *descriptor)
{
    if (descriptor == NULL) {
        return;
    }
    pg_mfree(descriptor->segments);
    pg_mfree(descriptor->digests);
    pg_buf_deinit(&descriptor->public_part);
    pg_buf_deinit(&descriptor->sealed);
    *descriptor = (pg_descriptor){0};
}

void pg_descriptor_add(pg_descriptor *descriptor, const pg_segment_info *info,
                       const uint8_t *digests)
{
    pg_assert(descriptor->segment_count < descriptor->segment_max);
    size_t n = pg_code_shards(descriptor->code);
    memcpy(descriptor->digests[descriptor->segment_count * n], digests, n * PG_HASH_BYTES);
    descriptor->segments[descriptor->segment_count++] = *info;
}

const uint8_t *pg_descriptor_digest(const pg_descriptor *descriptor, uint32_t segment,
                                    unsigned shard)
{
    return descriptor->digests[(size_t) segment * pg_code_shards(descriptor->code) + shard];
}

uint64_t pg_descriptor_plain_bytes(const pg_descriptor *descriptor)
{
    uint64_t sum = 0;
    for (uint32_t g = 0; g < descriptor->segment_count; g++) {
        sum += descriptor->segments[g].plain_bytes;
    }
    return sum;
}

/** The associated data of the sealed part: kind, version, level, and the whole public part. */
static pg_err append_ad(uint32_t level, pg_bytes public_part, pg_buf *out)
{
    uint8_t head[AD_HEAD_BYTES] = {PG_WIRE_KIND_DESCRIPTOR, PG_FILES_VERSION, (uint8_t) level};
    PG_TRY(pg_buf_append(out, PG_BYTES_OF(head)));
    return pg_buf_append(out, public_part);
}

static pg_err encode_public(const pg_descriptor *descriptor, pg_arena *arena, pg_buf *out)
{
    size_t count = descriptor->segment_count;
    size_t n = pg_code_shards(descriptor->code);
    Pangea__Files__DescriptorPublic message = PANGEA__FILES__DESCRIPTOR_PUBLIC__INIT;
    Pangea__Files__SegmentPublic *parts = pg_arena_alloc(arena, count * sizeof(*parts));
    message.segments = pg_arena_alloc(arena, count * sizeof(void *));
    if (parts == NULL || message.segments == NULL) {
        return PG_ERR_NOMEM;
    }
    for (size_t g = 0; g < count; g++) {
        pangea__files__segment_public__init(&parts[g]);
        parts[g].shard_bytes = descriptor->segments[g].shard_bytes;
        parts[g].digests = pg_pb_view(pg_bytes_make(descriptor->digests[g * n], n * PG_HASH_BYTES));
        message.segments[g] = &parts[g];
    }
    message.n_segments = count;
    message.data_shards = descriptor->code.data;
    message.parity_shards = descriptor->code.parity;
    message.extent_id = pg_pb_view(PG_BYTES_OF(descriptor->extent_id));
    message.segment_bytes = descriptor->segment_bytes;
    if (descriptor->has_lease_key) {
        message.lease_key = pg_pb_view(PG_BYTES_OF(descriptor->lease_key));
    }
    return pg_pb_append(out, &message.base);
}

static pg_err encode_sealed(const pg_descriptor *descriptor, pg_arena *arena, pg_buf *out)
{
    size_t count = descriptor->segment_count;
    Pangea__Files__DescriptorSealed message = PANGEA__FILES__DESCRIPTOR_SEALED__INIT;
    Pangea__Files__SegmentSealed *parts = pg_arena_alloc(arena, count * sizeof(*parts));
    message.segments = pg_arena_alloc(arena, count * sizeof(void *));
    if (parts == NULL || message.segments == NULL) {
        return PG_ERR_NOMEM;
    }
    for (size_t g = 0; g < count; g++) {
        const pg_segment_info *info = &descriptor->segments[g];
        pangea__files__segment_sealed__init(&parts[g]);
        parts[g].nonce = pg_pb_view(PG_BYTES_OF(info->nonce));
        parts[g].plain_bytes = info->plain_bytes;
        parts[g].stored_bytes = info->stored_bytes;
        parts[g].flags = info->flags;
        message.segments[g] = &parts[g];
    }
    message.n_segments = count;
    return pg_pb_append(out, &message.base);
}

/** Encrypt or decrypt the sealed part in place; `part` holds the tag behind the text. */
static pg_err run_aead(const pg_descriptor *descriptor, const pg_key *file_key, pg_bytes ad,
                       const uint8_t nonce[PG_AEAD_NONCE_BYTES], pg_mut_bytes part, bool seal)
{
    pg_key key = {0};
    pg_aead aead = {0};
    size_t len = part.len - PG_AEAD_TAG_BYTES;
    pg_files_derive(file_key, PG_BYTES_OF(descriptor->extent_id), PG_FILES_PURPOSE_DESCRIPTOR,
                    &key);
    pg_err err = pg_aead_init(&aead, PG_AEAD_ALG_AES_256_GCM, &key);
    if (err == PG_OK && seal) {
        err = pg_aead_seal(&aead, nonce, ad, pg_bytes_make(part.ptr, len), part.ptr);
    } else if (err == PG_OK) {
        err = pg_aead_open(&aead, nonce, ad, pg_bytes_const(part), part.ptr);
    }
    pg_aead_deinit(&aead);
    pg_key_wipe(&key);
    return err;
}

pg_err pg_descriptor_encode(const pg_descriptor *descriptor, const pg_key *file_key, uint32_t level,
                            const uint8_t nonce[PG_AEAD_NONCE_BYTES], pg_buf *out)
{
    pg_arena arena = pg_arena_make(PG_DESCRIPTOR_BYTES_MAX);
    pg_buf public_part = {.max_len = PG_DESCRIPTOR_BYTES_MAX};
    pg_buf sealed = {.max_len = PG_DESCRIPTOR_BYTES_MAX};
    pg_buf ad = {0};
    Pangea__Files__Descriptor message = PANGEA__FILES__DESCRIPTOR__INIT;
    uint8_t *tag = NULL;

    pg_err err = encode_public(descriptor, &arena, &public_part);
    if (err != PG_OK) {
        goto out;
    }
    err = append_ad(level, pg_buf_bytes(&public_part), &ad);
    if (err != PG_OK) {
        goto out;
    }
    err = encode_sealed(descriptor, &arena, &sealed);
    if (err != PG_OK) {
        goto out;
    }
    err = pg_buf_extend(&sealed, PG_AEAD_TAG_BYTES, &tag);
    if (err != PG_OK) {
        goto out;
    }
    err = run_aead(descriptor, file_key, pg_buf_bytes(&ad), nonce,
                   pg_mut_bytes_make(sealed.ptr, sealed.len), true);
    if (err != PG_OK) {
        goto out;
    }
    message.version = PG_FILES_VERSION;
    message.public_ = pg_pb_view(pg_buf_bytes(&public_part));
    message.nonce = pg_pb_view(pg_bytes_make(nonce, PG_AEAD_NONCE_BYTES));
    message.sealed = pg_pb_view(pg_buf_bytes(&sealed));
    err = pg_pb_append(out, &message.base);

out:
    pg_buf_deinit(&ad);
    pg_buf_deinit(&sealed);
    pg_buf_deinit(&public_part);
    pg_arena_deinit(&arena);
    return err;
}

/** Check the numbers of a public part, before memory is sized by them. */
static pg_err check_public(const Pangea__Files__DescriptorPublic *message)
{
    if (pg_code_check(message->data_shards, message->parity_shards) != PG_OK) {
        return pg_fail(PG_ERR_MALFORMED, "descriptor: impossible code %u+%u", message->data_shards,
                       message->parity_shards);
    }
    pg_code code = {(uint8_t) message->data_shards, (uint8_t) message->parity_shards};
    uint32_t full = message->segment_bytes;
    if (message->extent_id.len != PG_EXTENT_ID_BYTES ||
        (message->lease_key.len != 0 && message->lease_key.len != PG_LEASE_KEY_BYTES)) {
        return pg_fail(PG_ERR_MALFORMED, "descriptor: extent id or lease key of a wrong length");
    }
    if (full < 1 || full > pg_code_segment_bytes(code)) {
        return pg_fail(PG_ERR_MALFORMED, "descriptor: impossible segment length %u", full);
    }
    if (message->n_segments < 1 || message->n_segments > pg_code_extent_segments(full)) {
        return pg_fail(PG_ERR_MALFORMED, "descriptor: impossible number of segments %zu",
                       message->n_segments);
    }
    uint32_t shard_max = pg_code_shard_bytes(code, full + PG_AEAD_TAG_BYTES);
    for (size_t g = 0; g < message->n_segments; g++) {
        const Pangea__Files__SegmentPublic *part = message->segments[g];
        if (part->base.n_unknown_fields > 0 ||
            part->digests.len != pg_code_shards(code) * (size_t) PG_HASH_BYTES ||
            part->shard_bytes < PG_SHARD_UNIT_BYTES || part->shard_bytes > shard_max ||
            part->shard_bytes % PG_SHARD_UNIT_BYTES != 0) {
            return pg_fail(PG_ERR_MALFORMED, "descriptor: segment %zu has impossible shards", g);
        }
    }
    return PG_OK;
}

/** Build the object from a checked public part. */
static pg_err take_public(const Pangea__Files__DescriptorPublic *message, pg_descriptor *out)
{
    pg_code code = {(uint8_t) message->data_shards, (uint8_t) message->parity_shards};
    PG_TRY(pg_descriptor_init(out, code, message->segment_bytes, (uint32_t) message->n_segments));
    pg_descriptor_reset(out, message->extent_id.data);
    out->is_open = false;
    if (message->lease_key.len > 0) {
        out->has_lease_key = true;
        memcpy(out->lease_key, message->lease_key.data, PG_LEASE_KEY_BYTES);
    }
    for (size_t g = 0; g < message->n_segments; g++) {
        pg_segment_info info = {.shard_bytes = message->segments[g]->shard_bytes};
        pg_descriptor_add(out, &info, message->segments[g]->digests.data);
    }
    return PG_OK;
}

static pg_err decode_parts(pg_bytes in, pg_arena *arena, pg_descriptor *descriptor)
{
    ProtobufCMessage *message = NULL;
    PG_TRY(pg_wire_read("descriptor", &pangea__files__descriptor__descriptor, in, arena, &message));
    const Pangea__Files__Descriptor *outer = (const Pangea__Files__Descriptor *) message;
    if (outer->nonce.len != PG_AEAD_NONCE_BYTES || outer->sealed.len < PG_AEAD_TAG_BYTES) {
        return pg_fail(PG_ERR_MALFORMED, "descriptor: nonce or sealed part of a wrong length");
    }
    PG_TRY(pg_wire_read("descriptor", &pangea__files__descriptor_public__descriptor,
                        pg_pb_bytes(outer->public_), arena, &message));
    const Pangea__Files__DescriptorPublic *public_part =
        (const Pangea__Files__DescriptorPublic *) message;
    PG_TRY(check_public(public_part));
    PG_TRY(take_public(public_part, descriptor));
    memcpy(descriptor->nonce, outer->nonce.data, PG_AEAD_NONCE_BYTES);
    PG_TRY(pg_buf_append(&descriptor->public_part, pg_pb_bytes(outer->public_)));
    return pg_buf_append(&descriptor->sealed, pg_pb_bytes(outer->sealed));
}

pg_err pg_descriptor_decode(pg_bytes in, pg_descriptor *out_descriptor)
{
    if (in.len > PG_DESCRIPTOR_BYTES_MAX) {
        return pg_fail(PG_ERR_LIMIT, "descriptor: has %zu bytes, at most %u", in.len,
                       PG_DESCRIPTOR_BYTES_MAX);
    }
    PG_TRY(pg_wire_check_version("descriptor", in));
    pg_descriptor descriptor = {0};
    pg_arena arena = pg_wire_arena(in.len);
    pg_err err = decode_parts(in, &arena, &descriptor);
    pg_arena_deinit(&arena);
    if (err != PG_OK) {
        pg_descriptor_deinit(&descriptor);
        return err;
    }
    *out_descriptor = descriptor;
    return PG_OK;
}

/** Check one sealed entry against the public one and take it. */
static pg_err take_sealed(pg_descriptor *descriptor, uint32_t g,
                          const Pangea__Files__SegmentSealed *part)
{
    pg_segment_info *info = &descriptor->segments[g];
    bool last = g + 1 == descriptor->segment_count;
    bool zstd = (part->flags & PG_SEGMENT_FLAG_ZSTD) != 0;
    bool lengths_fit = part->plain_bytes >= 1 && part->plain_bytes <= descriptor->segment_bytes &&
                       (last || part->plain_bytes == descriptor->segment_bytes) &&
                       (zstd ? part->stored_bytes >= 1 && part->stored_bytes < part->plain_bytes
                             : part->stored_bytes == part->plain_bytes);
    if (part->base.n_unknown_fields > 0 || part->nonce.len != PG_AEAD_NONCE_BYTES ||
        (part->flags & ~PG_SEGMENT_FLAGS_KNOWN) != 0 || !lengths_fit) {
        return pg_fail(PG_ERR_MALFORMED, "descriptor: segment %u has impossible lengths", g);
    }
    uint32_t padded = pg_segment_padded_bytes(part->stored_bytes, descriptor->segment_bytes,
                                              (part->flags & PG_SEGMENT_FLAG_FULL) != 0);
    if (info->shard_bytes != pg_code_shard_bytes(descriptor->code, padded + PG_AEAD_TAG_BYTES)) {
        return pg_fail(PG_ERR_MALFORMED, "descriptor: segment %u: shards of %u bytes do not fit", g,
                       info->shard_bytes);
    }
    info->plain_bytes = part->plain_bytes;
    info->stored_bytes = part->stored_bytes;
    info->flags = part->flags;
    memcpy(info->nonce, part->nonce.data, PG_AEAD_NONCE_BYTES);
    return PG_OK;
}

static pg_err take_all_sealed(pg_descriptor *descriptor, pg_bytes plain, pg_arena *arena)
{
    ProtobufCMessage *message = NULL;
    PG_TRY(pg_wire_read("descriptor", &pangea__files__descriptor_sealed__descriptor, plain, arena,
                        &message));
    const Pangea__Files__DescriptorSealed *sealed =
        (const Pangea__Files__DescriptorSealed *) message;
    if (sealed->n_segments != descriptor->segment_count) {
        return pg_fail(PG_ERR_MALFORMED, "descriptor: %zu sealed entries for %u segments",
                       sealed->n_segments, descriptor->segment_count);
    }
    for (uint32_t g = 0; g < descriptor->segment_count; g++) {
        PG_TRY(take_sealed(descriptor, g, sealed->segments[g]));
    }
    descriptor->is_open = true;
    return PG_OK;
}

pg_err pg_descriptor_open(pg_descriptor *descriptor, const pg_key *file_key, uint32_t level)
{
    pg_buf ad = {0};
    pg_buf plain = {0};
    pg_arena arena = pg_wire_arena(descriptor->sealed.len);
    pg_err err = append_ad(level, pg_buf_bytes(&descriptor->public_part), &ad);
    if (err == PG_OK) {
        err = pg_buf_append(&plain, pg_buf_bytes(&descriptor->sealed));
    }
    if (err != PG_OK) {
        goto out;
    }
    err = run_aead(descriptor, file_key, pg_buf_bytes(&ad), descriptor->nonce,
                   pg_mut_bytes_make(plain.ptr, plain.len), false);
    if (err == PG_ERR_AUTH) {
        err = pg_fail(PG_ERR_CORRUPT, "descriptor: its sealed part does not open with this key");
    }
    if (err != PG_OK) {
        goto out;
    }
    err = take_all_sealed(descriptor, pg_bytes_make(plain.ptr, plain.len - PG_AEAD_TAG_BYTES),
                          &arena);

out:
    pg_arena_deinit(&arena);
    pg_buf_deinit(&plain);
    pg_buf_deinit(&ad);
    return err;
}
