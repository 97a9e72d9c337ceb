// SPDX-License-Identifier: Apache-2.0
// Writing a backup. Pack files are read while a node may append to them and make holes in them: what was acknowledged before does not
// move or change, and what is half-written is told apart when the store is opened, as after a crash.
#include "node/backup.h"

#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "crypto/peer_id_text.h"
#include "node/data.h"
#include "node/node.h"
#include "runtime/fiber.h"
#include "runtime/file.h"
#include "runtime/time.h"
#include "store/limits.h"

#define STEP_BYTES (1U << 20)
#define GAP_BYTES (4U << 20) // a hole shorter than this is written as zeros: few entries
#define STORE_BYTES_MAX 4096 // the file that names the block store

/** A backup being written. */
typedef struct writer {
    const pg_backup_source *source;
    pg_file *file;
    uint64_t offset;
    uint64_t made_s;
    pg_buf list;
    pg_backup_keys keys;
    pg_backup_sum sum;
    uint8_t *step; // step[STEP_BYTES]
    // Of the entry at hand.
    pg_backup_entry entry;
    pg_blake3_stream hash;
    uint64_t left;
} writer;

// ---- Entries

static pg_err put(writer *self, pg_bytes bytes)
{
    PG_TRY(pg_file_write_at(self->file, self->offset, bytes));
    self->offset += bytes.len;
    return PG_OK;
}

static pg_err entry_begin(writer *self, const pg_backup_entry *entry)
{
    uint8_t header[PG_BACKUP_BLOCK_BYTES];
    if (self->sum.entries++ == PG_BACKUP_ENTRIES_MAX) {
        return pg_fail(PG_ERR_LIMIT, "the blocks come to more than a backup takes");
    }
    PG_TRY(pg_backup_header_encode(entry, self->made_s, header));
    self->entry = *entry;
    self->left = entry->size_bytes;
    pg_blake3_stream_init(&self->hash, NULL);
    return put(self, PG_BYTES_OF(header));
}

static pg_err entry_write(writer *self, pg_bytes bytes)
{
    pg_assert(bytes.len <= self->left);
    pg_blake3_stream_update(&self->hash, bytes);
    self->left -= bytes.len;
    return put(self, bytes);
}

static pg_err fill(writer *self)
{
    static const uint8_t zeros[PG_BACKUP_BLOCK_BYTES];
    uint64_t over = self->offset % PG_BACKUP_BLOCK_BYTES;
    return over == 0 ? PG_OK : put(self, pg_bytes_make(zeros, PG_BACKUP_BLOCK_BYTES - over));
}

static pg_err entry_end(writer *self)
{
    uint8_t digest[PG_HASH_BYTES];
    pg_assert(self->left == 0);
    pg_blake3_stream_final(&self->hash, PG_MUT_BYTES_OF(digest));
    PG_TRY(pg_backup_line_write(&self->entry, digest, &self->list));
    return fill(self);
}

static pg_err entry_add(writer *self, pg_backup_kind kind, pg_bytes content)
{
    const pg_backup_entry entry = {.kind = kind, .size_bytes = content.len};
    PG_TRY(entry_begin(self, &entry));
    PG_TRY(entry_write(self, content));
    return entry_end(self);
}

static pg_err sealed_add(writer *self, pg_backup_kind kind, pg_bytes content)
{
    pg_buf sealed PG_CLEANUP(pg_buf_deinit) = {0};
    PG_TRY(pg_backup_seal(&self->keys, kind, content, &sealed));
    return entry_add(self, kind, pg_buf_bytes(&sealed));
}

// A range of a file; where it ended meanwhile (holes at the end were cut), zeros.
static pg_err range_add(writer *self, const pg_backup_entry *entry, pg_file *file, uint64_t offset)
{
    PG_TRY(entry_begin(self, entry));
    while (self->left > 0) {
        size_t want = self->left < STEP_BYTES ? (size_t) self->left : STEP_BYTES;
        size_t len = 0;
        PG_TRY(pg_file_read_at(file, offset, pg_mut_bytes_make(self->step, want), &len));
        memset(self->step + len, 0, want - len);
        PG_TRY(entry_write(self, pg_bytes_make(self->step, want)));
        offset += want;
    }
    return entry_end(self);
}

// ---- Parts

static pg_err settings_add(writer *self)
{
    pg_buf path PG_CLEANUP(pg_buf_deinit) = {0};
    pg_buf text = {0};
    PG_TRY(pg_data_name(self->source->data, PG_CONFIG_NAME, &path));
    pg_err err = pg_file_load((const char *) path.ptr, PG_CONFIG_FILE_BYTES_MAX, &text);
    self->sum.has_settings = err == PG_OK;
    if (err == PG_OK) {
        err = sealed_add(self, PG_BACKUP_KIND_SETTINGS, pg_buf_bytes(&text));
    }
    pg_buf_deinit(&text);
    return err == PG_ERR_NOT_FOUND ? PG_OK : err;
}

// Only one in the directory: elsewhere it is somebody else's.
static pg_err network_key_add(writer *self)
{
    const char *name = self->source->config->net_swarm_key;
    pg_buf path PG_CLEANUP(pg_buf_deinit) = {0};
    pg_buf text = {0};
    if (name[0] == '\0' || name[0] == '.' || strchr(name, '/') != NULL) {
        return PG_OK;
    }
    PG_TRY(pg_data_name(self->source->data, name, &path));
    PG_TRY(
        pg_buf_reserve(&text, 2 * PG_CONFIG_FILE_BYTES_MAX)); // at once: growing leaves it behind
    pg_err err = pg_buf_printf(&text, "%s\n", name);
    if (err == PG_OK) {
        err = pg_file_load((const char *) path.ptr, PG_CONFIG_FILE_BYTES_MAX, &text);
    }
    if (err == PG_OK) {
        self->sum.has_network_key = true;
        err = sealed_add(self, PG_BACKUP_KIND_NETWORK_KEY, pg_buf_bytes(&text));
    }
    pg_wipe(text.ptr, text.cap);
    pg_buf_deinit(&text);
    return err;
}

static pg_err database_add(writer *self)
{
    pg_file *file = NULL;
    pg_file_info info;
    if (self->source->database == NULL) {
        return PG_OK;
    }
    PG_TRY(pg_file_open(self->source->database, PG_FILE_MODE_READ, &file));
    pg_err err = pg_file_stat(file, &info);
    if (err == PG_OK) {
        const pg_backup_entry entry = {.kind = PG_BACKUP_KIND_DATABASE,
                                       .size_bytes = info.size_bytes};
        err = range_add(self, &entry, file, 0);
    }
    pg_file_free(&file);
    self->sum.has_database = true;
    return err;
}

// What a pack holds, from `from` on: a range without long holes. Ends are whole pages.
static pg_err range_find(pg_file *file, uint64_t from, uint64_t size, uint64_t *out_begin,
                         uint64_t *out_end)
{
    uint64_t begin = from;
    uint64_t end = size;
    pg_err err = pg_file_next_data(file, from, &begin, &end);
    if (err == PG_ERR_UNSUPPORTED) {
        *out_begin = from;
        *out_end = size;
        return PG_OK;
    }
    while (err == PG_OK && end < size) {
        uint64_t next = end;
        uint64_t next_end = end;
        err = pg_file_next_data(file, end, &next, &next_end);
        if (err != PG_OK || next >= size || next - end >= GAP_BYTES) {
            break;
        }
        end = next_end;
    }
    *out_begin = begin / PG_BLOCK_UNIT_BYTES * PG_BLOCK_UNIT_BYTES;
    *out_end = end < size ? end : size;
    return err;
}

static pg_err pack_ranges_add(writer *self, pg_file *file, uint32_t number)
{
    pg_file_info info;
    PG_TRY(pg_file_stat(file, &info));
    uint64_t size = info.size_bytes < PG_PACK_BYTES_MAX ? info.size_bytes : PG_PACK_BYTES_MAX;
    uint64_t at = 0;
    while (at < size) {
        uint64_t begin = 0;
        uint64_t end = 0;
        PG_TRY(range_find(file, at, size, &begin, &end));
        if (begin >= size || end <= begin) {
            break;
        }
        const pg_backup_entry entry = {.kind = PG_BACKUP_KIND_PACK,
                                       .pack = number,
                                       .offset = begin,
                                       .size_bytes = end - begin};
        PG_TRY(range_add(self, &entry, file, begin));
        at = (end + PG_BLOCK_UNIT_BYTES - 1) / PG_BLOCK_UNIT_BYTES * PG_BLOCK_UNIT_BYTES;
    }
    return PG_OK;
}

static pg_err block_file_open(const writer *self, const char *name, pg_file **out_file)
{
    pg_buf path PG_CLEANUP(pg_buf_deinit) = {0};
    PG_TRY(pg_buf_printf(&path, "%s/blocks/%s", self->source->data, name));
    return pg_file_open((const char *) path.ptr, PG_FILE_MODE_READ, out_file);
}

static pg_err on_block_file(const char *name, void *user)
{
    writer *self = user;
    pg_file *file = NULL;
    uint64_t number = 0;
    uint8_t bytes[4];
    if (strncmp(name, "pack-", 5) != 0 || strlen(name) != 13 ||
        pg_hex_decode(pg_str_make(name + 5), PG_MUT_BYTES_OF(bytes)) != PG_OK) {
        return PG_OK;
    }
    for (size_t i = 0; i < sizeof(bytes); i++) {
        number = number << 8 | bytes[i];
    }
    pg_err err = block_file_open(self, name, &file);
    if (err == PG_OK) {
        self->sum.packs++;
        err = pack_ranges_add(self, file, (uint32_t) number);
    }
    pg_file_free(&file);
    return err == PG_ERR_NOT_FOUND ? PG_OK : err; // its last block went meanwhile
}

static pg_err blocks_add(writer *self)
{
    pg_buf path PG_CLEANUP(pg_buf_deinit) = {0};
    pg_buf store PG_CLEANUP(pg_buf_deinit) = {0};
    PG_TRY(pg_buf_printf(&path, "%s/blocks/store", self->source->data));
    pg_err err = self->source->with_blocks
                     ? pg_file_load((const char *) path.ptr, STORE_BYTES_MAX, &store)
                     : PG_ERR_NOT_FOUND;
    if (err == PG_ERR_NOT_FOUND) {
        return PG_OK;
    }
    PG_TRY(err);
    PG_TRY(entry_add(self, PG_BACKUP_KIND_STORE, pg_buf_bytes(&store)));
    self->sum.has_blocks = true;
    pg_buf_clear(&path);
    PG_TRY(pg_data_name(self->source->data, "blocks", &path));
    return pg_dir_each((const char *) path.ptr, on_block_file, self);
}

// ---- The whole

static pg_err list_add(writer *self)
{
    static const uint8_t zeros[2 * PG_BACKUP_BLOCK_BYTES];
    uint8_t header[PG_BACKUP_BLOCK_BYTES];
    PG_TRY(pg_backup_mac_write(&self->keys.list, &self->list));
    const pg_backup_entry entry = {.kind = PG_BACKUP_KIND_LIST, .size_bytes = self->list.len};
    PG_TRY(pg_backup_header_encode(&entry, self->made_s, header));
    PG_TRY(put(self, PG_BYTES_OF(header)));
    PG_TRY(put(self, pg_buf_bytes(&self->list)));
    PG_TRY(fill(self));
    return put(self, PG_BYTES_OF(zeros));
}

static pg_err parts_write(writer *self)
{
    char device[PG_PEER_ID_TEXT_BYTES];
    pg_peer_id_format(&self->source->identity->device.peer_id, device);
    const pg_backup_head head = {
        .made_s = self->made_s,
        .schema = self->source->database == NULL ? 0 : self->source->schema,
        .device = pg_str_make(device),
        .program = pg_str_make(self->source->program),
    };
    PG_TRY(pg_backup_head_write(&head, &self->list));
    PG_TRY(entry_add(self, PG_BACKUP_KIND_IDENTITY, self->source->keystore));
    PG_TRY(settings_add(self));
    PG_TRY(network_key_add(self));
    PG_TRY(database_add(self));
    PG_TRY(blocks_add(self));
    PG_TRY(list_add(self));
    return pg_file_sync(self->file);
}

static pg_err file_write(writer *self, const char *file, const char *temporary)
{
    PG_TRY(pg_file_open(temporary, PG_FILE_MODE_WRITE | PG_FILE_MODE_CREATE | PG_FILE_MODE_TRUNCATE,
                        &self->file));
    pg_err err = parts_write(self);
    pg_file_free(&self->file);
    if (err == PG_OK) {
        err = pg_path_rename(temporary, file);
    }
    if (err == PG_OK) {
        const char *slash = strrchr(file, '/');
        char *folder = slash == NULL   ? pg_str_dup(PG_STR("."))
                       : slash == file ? pg_str_dup(PG_STR("/"))
                                       : pg_str_dup(pg_str_make_len(file, (size_t) (slash - file)));
        err = folder == NULL ? PG_ERR_NOMEM : pg_dir_sync(folder);
        pg_mfree(folder);
    }
    if (err != PG_OK) {
        pg_fiber_shield(true);
        pg_ignore(pg_path_remove(temporary), "the first failure counts");
        pg_fiber_shield(false);
    }
    return err;
}

pg_err pg_backup_write(const pg_backup_source *source, const char *file, pg_backup_sum *out_sum)
{
    pg_buf temporary = {0};
    pg_file_info info;
    writer *self = PG_NEW(writer);
    uint8_t *step = pg_malloc(STEP_BYTES);
    pg_err err = self == NULL || step == NULL ? PG_ERR_NOMEM : pg_path_stat(file, &info);
    if (err == PG_OK) {
        err = pg_fail(PG_ERR_EXISTS, "%s is there already", file);
    } else if (err == PG_ERR_NOT_FOUND) {
        err = pg_buf_printf(&temporary, "%s.part", file);
    }
    if (err == PG_OK) {
        self->source = source;
        self->step = step;
        self->made_s = (uint64_t) pg_wall_ms() / 1000;
        self->list.max_len = PG_BACKUP_LIST_BYTES_MAX;
        pg_backup_keys_derive(&source->identity->owner, &self->keys);
        err = file_write(self, file, (const char *) temporary.ptr);
        self->sum.bytes = self->offset;
        *out_sum = err == PG_OK ? self->sum : *out_sum;
        pg_buf_deinit(&self->list);
        pg_wipe(&self->keys, sizeof(self->keys));
    }
    pg_buf_deinit(&temporary);
    pg_mfree(step);
    pg_mfree(self);
    return err;
}
