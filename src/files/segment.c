// SPDX-License-Identifier: Apache-2.0
#include "files/segment.h"

#include <string.h>

#include "base/mem.h"
#include "files/keys.h"
#include "files/wire_priv.h"

#define AD_BYTES (4 + PG_EXTENT_ID_BYTES + 4 * 4)
#define ALIGN_BYTES 64

pg_err pg_segment_coder_init(pg_segment_coder *coder, pg_code code, uint32_t segment_bytes)
{
    *coder = (pg_segment_coder){.code = code, .segment_bytes = segment_bytes};
    pg_key none = {0};
    size_t shards_bytes = (size_t) pg_code_shard_bytes(code, segment_bytes + PG_AEAD_TAG_BYTES) *
                          pg_code_shards(code);
    coder->plain = pg_malloc_aligned(ALIGN_BYTES, segment_bytes);
    coder->shards = pg_malloc_aligned(ALIGN_BYTES, shards_bytes);
    pg_err err = coder->plain == NULL || coder->shards == NULL ? PG_ERR_NOMEM : PG_OK;
    if (err == PG_OK) {
        err = pg_aead_init(&coder->aead, PG_AEAD_ALG_AES_256_GCM, &none);
    }
    if (err == PG_OK) {
        err = pg_rs_new(code.data, code.parity, &coder->rs);
    }
    if (err == PG_OK) {
        err = pg_zstd_new(&coder->zstd);
    }
    if (err != PG_OK) {
        pg_segment_coder_deinit(coder);
    }
    return err;
}

void pg_segment_coder_choose(pg_segment_coder *coder, const pg_key *file_key,
                             const uint8_t extent_id[PG_EXTENT_ID_BYTES], uint32_t level)
{
    pg_key key = {0};
    memcpy(coder->extent_id, extent_id, PG_EXTENT_ID_BYTES);
    coder->level = level;
    pg_files_derive(file_key, PG_BYTES_OF(coder->extent_id), PG_FILES_PURPOSE_SEGMENT, &key);
    pg_aead_rekey(&coder->aead, &key);
    pg_key_wipe(&key);
}

void pg_segment_coder_deinit(pg_segment_coder *coder)
{
    if (coder == NULL) {
        return;
    }
    pg_aead_deinit(&coder->aead);
    pg_rs_free(&coder->rs);
    pg_zstd_free(&coder->zstd);
    pg_mfree(coder->plain);
    pg_mfree(coder->shards);
    *coder = (pg_segment_coder){0};
}

pg_mut_bytes pg_segment_shard(const pg_segment_coder *coder, const pg_segment_info *info,
                              unsigned shard)
{
    return pg_mut_bytes_make(coder->shards + (size_t) shard * info->shard_bytes, info->shard_bytes);
}

/** The associated data: what the segment is and where it stands, so that none passes for another. */
static void write_ad(const pg_segment_coder *coder, uint32_t segment, const pg_segment_info *info,
                     uint32_t padded_bytes, uint8_t out_ad[AD_BYTES])
{
    pg_writer writer = pg_writer_make(pg_mut_bytes_make(out_ad, AD_BYTES));
    pg_writer_u8(&writer, PG_WIRE_KIND_SEGMENT);
    pg_writer_u8(&writer, PG_FILES_VERSION);
    pg_writer_u8(&writer, (uint8_t) coder->level);
    pg_writer_u8(&writer, (uint8_t) info->flags);
    pg_writer_put(&writer, PG_BYTES_OF(coder->extent_id));
    pg_writer_u32be(&writer, segment);
    pg_writer_u32be(&writer, info->plain_bytes);
    pg_writer_u32be(&writer, info->stored_bytes);
    pg_writer_u32be(&writer, padded_bytes);
    pg_assert(!writer.failed && writer.len == AD_BYTES);
}

/** Compress coder->plain into coder->shards when that saves at least 1/32; otherwise *out_len is what it was. */
static pg_err compress(pg_segment_coder *coder, uint32_t plain_bytes, uint32_t *out_len)
{
    pg_bytes plain = {coder->plain, plain_bytes};
    size_t room = plain_bytes - plain_bytes / 32 - 1;
    size_t len = 0;
    *out_len = plain_bytes;
    if (room == 0 || !pg_zstd_probe(coder->zstd, plain)) {
        return PG_OK;
    }
    pg_err err = pg_zstd_compress(coder->zstd, PG_ZSTD_LEVEL_DEFAULT, plain,
                                  pg_mut_bytes_make(coder->shards, room), &len);
    if (err == PG_ERR_FULL) {
        return PG_OK;
    }
    PG_TRY(err);
    *out_len = (uint32_t) len;
    return PG_OK;
}

/** Fill `row` with the shards of a segment, row by row. */
static void point_at_rows(const pg_segment_coder *coder, const pg_segment_info *info,
                          uint8_t *row[PG_CODE_SHARDS_MAX])
{
    for (unsigned i = 0; i < pg_code_shards(coder->code); i++) {
        row[i] = pg_segment_shard(coder, info, i).ptr;
    }
}

pg_err pg_segment_seal(pg_segment_coder *coder, uint32_t segment, pg_segment_info *info,
                       uint8_t (*out_digests)[PG_HASH_BYTES])
{
    bool full = (info->flags & PG_SEGMENT_FLAG_FULL) != 0;
    info->stored_bytes = info->plain_bytes;
    if (!full) {
        PG_TRY(compress(coder, info->plain_bytes, &info->stored_bytes));
    }
    bool zstd = info->stored_bytes < info->plain_bytes;
    info->flags |= zstd ? PG_SEGMENT_FLAG_ZSTD : 0;

    // Compressed text stands in the shards already and is sealed in place; what is not comes from `plain`.
    uint8_t *text = zstd ? coder->shards : coder->plain;
    uint32_t padded = pg_segment_padded_bytes(info->stored_bytes, coder->segment_bytes, full);
    uint32_t sealed = padded + PG_AEAD_TAG_BYTES;
    info->shard_bytes = pg_code_shard_bytes(coder->code, sealed);
    memset(text + info->stored_bytes, 0, padded - info->stored_bytes);
    uint8_t ad[AD_BYTES];
    write_ad(coder, segment, info, padded, ad);
    PG_TRY(pg_aead_seal(&coder->aead, info->nonce, PG_BYTES_OF(ad), pg_bytes_make(text, padded),
                        coder->shards));
    memset(coder->shards + sealed, 0, (size_t) info->shard_bytes * coder->code.data - sealed);

    uint8_t *row[PG_CODE_SHARDS_MAX];
    point_at_rows(coder, info, row);
    PG_TRY(pg_rs_encode(coder->rs, info->shard_bytes, (const uint8_t *const *) row,
                        row + coder->code.data));
    for (unsigned i = 0; i < pg_code_shards(coder->code); i++) {
        pg_blake3(pg_bytes_make(row[i], info->shard_bytes), out_digests[i]);
    }
    return PG_OK;
}

pg_shard_set pg_segment_find_corrupt(const pg_segment_coder *coder, const pg_descriptor *descriptor,
                                     uint32_t segment, pg_shard_set present)
{
    const pg_segment_info *info = &descriptor->segments[segment];
    pg_shard_set corrupt = 0;
    for (unsigned i = 0; i < pg_code_shards(coder->code); i++) {
        uint8_t digest[PG_HASH_BYTES];
        if ((present >> i & 1) == 0) {
            continue;
        }
        pg_blake3(pg_bytes_const(pg_segment_shard(coder, info, i)), digest);
        if (memcmp(digest, pg_descriptor_digest(descriptor, segment, i), PG_HASH_BYTES) != 0) {
            corrupt |= (pg_shard_set) 1 << i;
        }
    }
    return corrupt;
}

/** Compute the data shards that are not `present`. */
static pg_err restore_data(pg_segment_coder *coder, const pg_segment_info *info,
                           pg_shard_set present)
{
    uint8_t *row[PG_CODE_SHARDS_MAX] = {NULL};
    const uint8_t *have[PG_CODE_SHARDS_MAX] = {NULL};
    uint8_t *want[PG_CODE_SHARDS_MAX] = {NULL};
    bool complete = true;
    point_at_rows(coder, info, row);
    for (unsigned i = 0; i < pg_code_shards(coder->code); i++) {
        if ((present >> i & 1) != 0) {
            have[i] = row[i];
        } else if (i < coder->code.data) {
            want[i] = row[i];
            complete = false;
        }
    }
    return complete ? PG_OK : pg_rs_reconstruct(coder->rs, info->shard_bytes, have, want);
}

/** Decrypt, and decompress where it was compressed. */
static pg_err unseal(pg_segment_coder *coder, uint32_t segment, const pg_segment_info *info)
{
    bool zstd = (info->flags & PG_SEGMENT_FLAG_ZSTD) != 0;
    uint32_t padded = pg_segment_padded_bytes(info->stored_bytes, coder->segment_bytes,
                                              (info->flags & PG_SEGMENT_FLAG_FULL) != 0);
    uint8_t ad[AD_BYTES];
    write_ad(coder, segment, info, padded, ad);
    pg_err err = pg_aead_open(&coder->aead, info->nonce, PG_BYTES_OF(ad),
                              pg_bytes_make(coder->shards, padded + PG_AEAD_TAG_BYTES),
                              zstd ? coder->shards : coder->plain);
    if (err == PG_ERR_AUTH) {
        return pg_fail(PG_ERR_CORRUPT, "segment %u: right shards, but its seal does not open",
                       segment);
    }
    PG_TRY(err);
    if (zstd) {
        err = pg_zstd_decompress(coder->zstd, pg_bytes_make(coder->shards, info->stored_bytes),
                                 pg_mut_bytes_make(coder->plain, info->plain_bytes));
    }
    return pg_error_wrap(err, "segment %u", segment);
}

pg_err pg_segment_open(pg_segment_coder *coder, const pg_descriptor *descriptor, uint32_t segment,
                       pg_shard_set present)
{
    pg_assert(descriptor->is_open);
    const pg_segment_info *info = &descriptor->segments[segment];
    PG_TRY(restore_data(coder, info, present));
    return unseal(coder, segment, info);
}
