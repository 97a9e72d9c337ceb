// SPDX-License-Identifier: Apache-2.0
// The index, saved when a store is closed and removed when it is opened: while the file is there, it is true.
#include "store/block_index_file.h"

#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "crypto/hash.h"
#include "store/blocks_priv.h"

#define FILE_NAME "index"
#define MAGIC PG_BYTES_LIT("pangea index 1\n\0")
#define PACK_BYTES (4 + 4 + 8)

pg_err pg_block_store_path(const pg_block_store *store, const char *name, pg_buf *out_path)
{
    return pg_buf_printf(out_path, "%s/%s", store->dir, name);
}

// ---- Writing

static void block_encode(pg_writer *writer, const pg_block_entry *entry)
{
    pg_writer_u8(writer, entry->cid_version);
    pg_writer_u8(writer, entry->hash_code);
    pg_writer_u16be(writer, entry->codec);
    pg_writer_put(writer, PG_BYTES_OF(entry->digest));
    pg_writer_u32be(writer, entry->pack);
    pg_writer_u16be(writer, entry->unit);
    pg_writer_u32be(writer, entry->len);
}

static void index_encode(const pg_block_store *store, pg_writer *writer)
{
    uint8_t mac[PG_HASH_BYTES];
    pg_writer_put(writer, MAGIC);
    pg_writer_u32be(writer, (uint32_t) store->packs.count);
    pg_writer_u32be(writer, store->index.block_count);
    for (size_t i = 0; i < store->packs.count; i++) {
        const pg_pack *pack = store->packs.packs[i];
        pg_writer_u32be(writer, pack->number);
        pg_writer_u32be(writer, pack->end_unit);
        pg_writer_u64be(writer, pack->dead_bytes);
    }
    for (uint32_t i = 0; i < store->index.entry_count; i++) {
        const pg_block_entry *entry = pg_block_index_at(&store->index, i);
        if (entry->state != PG_BLOCK_STATE_FREE) {
            block_encode(writer, entry);
        }
    }
    pg_blake3_keyed(&store->index_key, pg_writer_bytes(writer), mac);
    pg_writer_put(writer, PG_BYTES_OF(mac));
}

pg_err pg_block_index_save(pg_block_store *store)
{
    pg_buf path = {0};
    pg_buf text = {.max_len = (size_t) PG_BLOCK_INDEX_FILE_BYTES_MAX};
    uint8_t *space = NULL;
    size_t len = MAGIC.len + 8 + store->packs.count * PACK_BYTES +
                 store->index.block_count * (size_t) PG_BLOCK_RECORD_BYTES + PG_HASH_BYTES;
    pg_err err = pg_block_store_path(store, FILE_NAME, &path);
    if (err == PG_OK) {
        err = pg_buf_extend(&text, len, &space);
    }
    if (err == PG_OK) {
        pg_writer writer = pg_writer_make(pg_mut_bytes_make(space, len));
        index_encode(store, &writer);
        pg_assert(!writer.failed && writer.len == len);
        err = pg_file_replace((const char *) path.ptr, pg_buf_bytes(&text), 0600);
    }
    pg_buf_deinit(&text);
    pg_buf_deinit(&path);
    return err;
}

// ---- Reading

pg_err pg_block_index_file_decode(const pg_key *key, pg_bytes in, pg_block_index_file *out_file)
{
    uint8_t mac[PG_HASH_BYTES];
    pg_block_index_file file = {0};
    if (in.len < MAGIC.len + 8 + PG_HASH_BYTES || !pg_bytes_starts_with(in, MAGIC)) {
        return pg_fail(PG_ERR_CORRUPT, "the saved index is no index");
    }
    pg_bytes signed_part = pg_bytes_slice(in, 0, in.len - PG_HASH_BYTES);
    pg_blake3_keyed(key, signed_part, mac);
    if (!pg_secret_equal(PG_BYTES_OF(mac),
                         pg_bytes_slice(in, in.len - PG_HASH_BYTES, PG_HASH_BYTES))) {
        return pg_fail(PG_ERR_CORRUPT, "the saved index is damaged");
    }
    pg_reader reader = pg_reader_make(pg_bytes_slice(signed_part, MAGIC.len, signed_part.len));
    file.pack_count = pg_reader_u32be(&reader);
    file.block_count = pg_reader_u32be(&reader);
    file.packs = pg_reader_take(&reader, (size_t) file.pack_count * PACK_BYTES);
    file.blocks = pg_reader_take(&reader, (size_t) file.block_count * PG_BLOCK_RECORD_BYTES);
    if (pg_reader_finish(&reader) != PG_OK) {
        return pg_fail(PG_ERR_CORRUPT, "the saved index has another length than it says");
    }
    *out_file = file;
    return PG_OK;
}

void pg_block_index_file_pack(const pg_block_index_file *file, uint32_t number,
                              pg_block_index_pack *out_pack)
{
    pg_reader reader =
        pg_reader_make(pg_bytes_slice(file->packs, (size_t) number * PACK_BYTES, PACK_BYTES));
    out_pack->number = pg_reader_u32be(&reader);
    out_pack->end_unit = pg_reader_u32be(&reader);
    out_pack->dead_bytes = pg_reader_u64be(&reader);
}

pg_err pg_block_record_decode(pg_bytes in, pg_block_header *out_header, pg_block_place *out_place)
{
    pg_reader reader = pg_reader_make(in);
    pg_multihash hash = {0};
    pg_block_header header = {0};
    pg_block_place place = {0};
    uint8_t version = pg_reader_u8(&reader);
    uint8_t hash_code = pg_reader_u8(&reader);
    uint16_t codec = pg_reader_u16be(&reader);
    pg_bytes digest = pg_reader_take(&reader, PG_HASH_BYTES);
    place.pack = pg_reader_u32be(&reader);
    place.unit = pg_reader_u16be(&reader);
    header.len = pg_reader_u32be(&reader);
    if (pg_reader_finish(&reader) != PG_OK || version > 1 || header.len > PG_BLOCK_BYTES_MAX ||
        pg_multihash_make(hash_code, digest, &hash) != PG_OK) {
        return PG_ERR_CORRUPT;
    }
    if (version == 0) {
        PG_TRY(pg_cid_make_v0(&hash, &header.cid) == PG_OK ? PG_OK : PG_ERR_CORRUPT);
    } else {
        header.cid = pg_cid_make(codec, &hash);
    }
    if (!pg_block_cid_is_kept(&header.cid)) {
        return PG_ERR_CORRUPT;
    }
    *out_header = header;
    *out_place = place;
    return PG_OK;
}

// ---- Into the store

static pg_err packs_fill(pg_block_store *store, const pg_block_index_file *file)
{
    if (file->pack_count != store->packs.count) {
        return PG_ERR_CORRUPT;
    }
    for (uint32_t i = 0; i < file->pack_count; i++) {
        pg_block_index_pack saved = {0};
        pg_block_index_file_pack(file, i, &saved);
        pg_pack *pack = store->packs.packs[i];
        if (saved.number != pack->number ||
            saved.end_unit > PG_PACK_BYTES_MAX / PG_BLOCK_UNIT_BYTES) {
            return PG_ERR_CORRUPT;
        }
        pack->end_unit = saved.end_unit;
        pack->dead_bytes = saved.dead_bytes;
        store->used_bytes += saved.dead_bytes;
    }
    return PG_OK;
}

static pg_err block_fill(pg_block_store *store, pg_bytes record)
{
    pg_block_header header = {0};
    pg_block_place place = {0};
    uint32_t number = 0;
    PG_TRY(pg_block_record_decode(record, &header, &place));
    pg_pack *pack = pg_packs_find(&store->packs, place.pack);
    if (pack == NULL || place.unit + pg_block_units(header.len) > pack->end_unit ||
        pg_block_index_find(&store->index, &header.cid) != PG_BLOCK_NONE) {
        return PG_ERR_CORRUPT;
    }
    PG_TRY(pg_block_index_add(&store->index, &header, place, PG_BLOCK_STATE_LIVE, &number));
    uint64_t space = (uint64_t) pg_block_units(header.len) * PG_BLOCK_UNIT_BYTES;
    pack->blocks++;
    pack->live_bytes += space;
    store->used_bytes += space;
    return PG_OK;
}

static pg_err store_fill(pg_block_store *store, pg_bytes in)
{
    pg_block_index_file file = {0};
    PG_TRY(pg_block_index_file_decode(&store->index_key, in, &file));
    PG_TRY(packs_fill(store, &file));
    for (uint32_t i = 0; i < file.block_count; i++) {
        PG_TRY(block_fill(store, pg_bytes_slice(file.blocks, (size_t) i * PG_BLOCK_RECORD_BYTES,
                                                PG_BLOCK_RECORD_BYTES)));
    }
    return PG_OK;
}

static void store_empty(pg_block_store *store)
{
    pg_key key = store->index.key;
    pg_block_index_deinit(&store->index);
    pg_block_index_init(&store->index, &key);
    pg_key_wipe(&key);
    store->used_bytes = 0;
    for (size_t i = 0; i < store->packs.count; i++) {
        pg_pack *pack = store->packs.packs[i];
        *pack = (pg_pack){.number = pack->number};
    }
}

pg_err pg_block_index_load(pg_block_store *store)
{
    pg_buf path = {0};
    pg_buf text = {0};
    pg_err err = pg_block_store_path(store, FILE_NAME, &path);
    if (err == PG_OK) {
        err = pg_file_load((const char *) path.ptr, (size_t) PG_BLOCK_INDEX_FILE_BYTES_MAX, &text);
    }
    if (err == PG_OK) {
        err = store_fill(store, pg_buf_bytes(&text));
    }
    if (err != PG_OK) {
        store_empty(store);
    }
    if (err == PG_OK || err == PG_ERR_CORRUPT || err == PG_ERR_LIMIT || err == PG_ERR_IO) {
        // From here on the pack files change, and it is no longer true.
        pg_err removed = pg_path_remove((const char *) path.ptr);
        if (removed == PG_OK) {
            removed = pg_dir_sync(store->dir);
        }
        err = removed != PG_OK ? removed : err == PG_OK ? PG_OK : PG_ERR_CORRUPT;
    }
    pg_buf_deinit(&text);
    pg_buf_deinit(&path);
    return err;
}
