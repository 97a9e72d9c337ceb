// SPDX-License-Identifier: Apache-2.0
// Copying an extent into the archive: the k data shards of each segment as one object, then the root, and the descriptor last, so that where it is
// everything is. What is there already, from a try before or from another node of the same bucket, stays; all of it is looked at afterwards.
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "crypto/hash.h"
#include "files/limits.h"
#include "files/rebuild.h"
#include "files/vault_priv.h"
#include "runtime/random.h"
#include "runtime/time.h"

// ---- What is there

/** The objects of one extent, as a list tells. */
typedef struct inventory {
    const pg_descriptor *read; // NULL: a whole block
    size_t prefix_len;
    uint64_t block_bytes;
    bool has_block;
    uint32_t have_count;
    bool *have; // have[segment_count]
} inventory;

static uint64_t segment_object_bytes(const pg_descriptor *read, uint32_t segment)
{
    return (uint64_t) read->code.data * read->segments[segment].shard_bytes;
}

static pg_err on_object(const char *name, uint64_t bytes, void *user)
{
    inventory *self = user;
    uint64_t number = 0;
    if (strlen(name) <= self->prefix_len) {
        return PG_OK;
    }
    const char *end = name + self->prefix_len;
    if (strcmp(end, "block") == 0) {
        self->has_block = bytes == self->block_bytes;
    } else if (self->read != NULL &&
               pg_str_to_u64(pg_str_make(end), UINT32_MAX, &number) == PG_OK &&
               number < self->read->segment_count && !self->have[number] &&
               bytes == segment_object_bytes(self->read, (uint32_t) number)) {
        self->have[number] = true;
        self->have_count++;
    }
    return PG_OK;
}

static pg_err inventory_take(pg_vault *vault, const pg_cid *descriptor, inventory *self)
{
    char prefix[PG_VAULT_NAME_BYTES];
    pg_vault_prefix(descriptor, prefix);
    self->prefix_len = strlen(prefix);
    if (self->read != NULL) {
        self->have = pg_calloc(self->read->segment_count + 1, sizeof(*self->have));
        if (self->have == NULL) {
            return PG_ERR_NOMEM;
        }
    }
    return vault->objects.list(vault->objects.self, prefix, on_object, self);
}

// ---- Looking

static pg_err damage(pg_vault *vault, const char *name, const char *what)
{
    vault->totals.corrupt_total++;
    pg_ignore(vault->objects.remove(vault->objects.self, name), "it is put anew all the same");
    return pg_fail(PG_ERR_CORRUPT, "%s is not what it was: somebody changed it", what);
}

/** Read one shard back. */
static pg_err probe(pg_vault *vault, const pg_cid *cid, const pg_descriptor *read)
{
    uint32_t segment = (uint32_t) pg_random_below(read->segment_count);
    unsigned shard = (unsigned) pg_random_below(read->code.data);
    uint32_t bytes = read->segments[segment].shard_bytes;
    const pg_object_range range = {(uint64_t) shard * bytes, bytes};
    char name[PG_VAULT_NAME_BYTES];
    char what[64];
    pg_buf got PG_CLEANUP(pg_buf_deinit) = {.max_len = PG_SHARD_BYTES_MAX};
    uint8_t digest[PG_HASH_BYTES];
    pg_vault_segment_name(cid, segment, name);
    (void) snprintf(what, sizeof(what), "the object of segment %u", segment);
    pg_err err = vault->objects.get(vault->objects.self, name, &range, &got);
    if (err == PG_ERR_NOT_FOUND) {
        return pg_fail(PG_ERR_CORRUPT, "%s is gone", what);
    }
    if (err == PG_ERR_CORRUPT) {
        return damage(vault, name, what);
    }
    PG_TRY(err);
    pg_blake3(pg_buf_bytes(&got), digest);
    return memcmp(digest, pg_descriptor_digest(read, segment, shard), sizeof(digest)) == 0
               ? PG_OK
               : damage(vault, name, what);
}

static pg_err extent_verify(pg_vault *vault, const pg_vault_row *row, pg_bytes block)
{
    pg_descriptor read = {.segment_count = 0};
    PG_TRY(pg_descriptor_decode(block, &read));
    inventory found = {.read = &read, .block_bytes = row->block_bytes};
    pg_err err = inventory_take(vault, &row->descriptor, &found);
    if (err == PG_OK && found.have_count < read.segment_count) {
        err = pg_fail(PG_ERR_CORRUPT, "%u of %u objects are gone, or have another size",
                      read.segment_count - found.have_count, read.segment_count);
    }
    for (unsigned i = 0; i < PG_VAULT_PROBES && err == PG_OK; i++) {
        err = probe(vault, &row->descriptor, &read);
    }
    pg_mfree(found.have);
    pg_descriptor_deinit(&read);
    return err;
}

static pg_err block_verify(pg_vault *vault, const pg_cid *cid, const char *what, pg_buf *out)
{
    char name[PG_VAULT_NAME_BYTES];
    pg_vault_block_name(cid, name);
    pg_err err = vault->objects.get(vault->objects.self, name, NULL, out);
    if (err == PG_ERR_NOT_FOUND) {
        return pg_fail(PG_ERR_CORRUPT, "%s is gone", what);
    }
    if (err == PG_ERR_LIMIT) {
        return damage(vault, name, what);
    }
    PG_TRY(err);
    return pg_cid_verify(cid, pg_buf_bytes(out)) == PG_OK ? PG_OK : damage(vault, name, what);
}

pg_err pg_vault_verify(pg_vault *vault, const pg_vault_row *row)
{
    pg_buf block PG_CLEANUP(pg_buf_deinit) = {.max_len = PG_BITSWAP_BLOCK_BYTES_MAX};
    pg_buf root PG_CLEANUP(pg_buf_deinit) = {.max_len = PG_ROOT_BYTES_MAX};
    PG_TRY(block_verify(vault, &row->descriptor, row->is_whole ? "the block" : "the descriptor",
                        &block));
    if (row->root.len > 0) {
        PG_TRY(block_verify(vault, &row->root, "the root", &root));
    }
    return row->is_whole ? PG_OK : extent_verify(vault, row, pg_buf_bytes(&block));
}

// ---- Uploading

/** One extent going up. */
typedef struct upload {
    pg_vault *vault;
    pg_vault_row *row;
    const guard_exam *exam;
    inventory found;
    size_t holder_count;
    pg_catalogue_holder holders[PG_PLACE_RECEIPTS_MAX];
    uint32_t segment; // that is gathered
    uint8_t *shards;  // shards[k][shard_bytes], one after the other
} upload;

static pg_err object_put(upload *self, const char *name, pg_bytes body)
{
    pg_vault *vault = self->vault;
    PG_TRY(pg_vault_pace(vault, &vault->up_at, body.len));
    PG_TRY(vault->objects.put(vault->objects.self, name, body));
    vault->totals.uploaded_bytes_total += body.len;
    return PG_OK;
}

static pg_err on_shard(unsigned slot, const pg_cid *cid, pg_bytes shard, void *user)
{
    const upload *self = user;
    const pg_descriptor *read = &self->exam->read;
    unsigned number = pg_code_shard_of_slot(read->code, self->segment, slot);
    (void) cid;
    if (number < read->code.data) {
        memcpy(self->shards + (size_t) number * shard.len, shard.ptr, shard.len);
    }
    return PG_OK;
}

static pg_err segment_put(upload *self, uint32_t segment)
{
    const pg_descriptor *read = &self->exam->read;
    const pg_files *files = self->vault->config.files;
    pg_slot_set slots = 0;
    char name[PG_VAULT_NAME_BYTES];
    for (unsigned shard = 0; shard < read->code.data; shard++) {
        slots |= (pg_slot_set) 1 << pg_code_slot_of_shard(read->code, segment, shard);
    }
    const pg_rebuild rebuild = {
        .bitswap = files->config.bitswap,
        .blocks = files->config.blocks,
        .descriptor = read,
        .holders = self->holders,
        .holder_count = self->holder_count,
        .give = on_shard,
        .user = self,
    };
    self->segment = segment;
    PG_TRY(pg_rebuild_segment(&rebuild, slots, segment));
    pg_vault_segment_name(&self->row->descriptor, segment, name);
    return object_put(self, name, pg_bytes_make(self->shards, segment_object_bytes(read, segment)));
}

static pg_err segments_put(upload *self)
{
    const guard_exam *exam = self->exam;
    for (size_t i = 0; i < exam->member_count && self->holder_count < PG_PLACE_RECEIPTS_MAX; i++) {
        const pg_repair_member *member = &exam->members[i];
        if (member->standing == PG_REPAIR_STANDING_LIVING && member->slots != 0) {
            self->holders[self->holder_count++] =
                (pg_catalogue_holder){.peer = member->peer, .slots = member->slots};
        }
    }
    self->shards = pg_malloc((size_t) exam->read.code.data * PG_SHARD_BYTES_MAX);
    if (self->shards == NULL) {
        return PG_ERR_NOMEM;
    }
    for (uint32_t i = 0; i < exam->read.segment_count; i++) {
        if (!self->found.have[i]) {
            PG_TRY(segment_put(self, i));
        }
    }
    return PG_OK;
}

/** Find the root, here or with the hosts that have it. */
static pg_err root_find(const upload *self, pg_buf *out)
{
    const pg_files *files = self->vault->config.files;
    const pg_cid *root = &self->row->root;
    pg_peer_id peers[PG_PLACE_RECEIPTS_MAX + 1];
    size_t count = 0;
    if (pg_block_store_has(files->config.blocks, root, NULL) &&
        pg_block_store_get(files->config.blocks, root, out) == PG_OK) {
        return PG_OK;
    }
    for (size_t i = 0; i < self->exam->member_count; i++) {
        if (self->exam->members[i].standing == PG_REPAIR_STANDING_LIVING) {
            peers[count++] = self->exam->members[i].peer;
        }
    }
    const pg_bitswap_sources sources = {peers, count};
    return pg_error_wrap(pg_bitswap_fetch_any(files->config.bitswap, &sources, root,
                                              pg_after(PG_MS(PG_FETCH_BLOCK_MS)), out, NULL),
                         "the root");
}

static pg_err root_put(upload *self)
{
    char name[PG_VAULT_NAME_BYTES];
    pg_buf root PG_CLEANUP(pg_buf_deinit) = {.max_len = PG_ROOT_BYTES_MAX};
    if (self->row->root.len == 0) {
        return PG_OK;
    }
    PG_TRY(root_find(self, &root));
    self->row->root_bytes = (uint32_t) root.len;
    pg_vault_block_name(&self->row->root, name);
    pg_vault *vault = self->vault;
    uint64_t there = 0;
    pg_err err = vault->objects.head(vault->objects.self, name, &there);
    if (err != PG_ERR_NOT_FOUND && (err != PG_OK || there == root.len)) {
        return err;
    }
    return object_put(self, name, pg_buf_bytes(&root));
}

static pg_err objects_put(upload *self)
{
    char name[PG_VAULT_NAME_BYTES];
    pg_vault *vault = self->vault;
    PG_TRY(inventory_take(vault, &self->row->descriptor, &self->found));
    if (!self->row->is_whole) {
        PG_TRY(segments_put(self));
    }
    PG_TRY(root_put(self));
    if (!self->found.has_block) {
        pg_vault_block_name(&self->row->descriptor, name);
        PG_TRY(object_put(self, name, pg_buf_bytes(&self->exam->block)));
    }
    return pg_error_wrap(pg_vault_verify(vault, self->row), "read back");
}

// ---- The row

static uint64_t bytes_of(const guard_exam *exam)
{
    uint64_t sum = exam->block.len;
    for (uint32_t i = 0; i < exam->read.segment_count && !exam->is_whole; i++) {
        sum += segment_object_bytes(&exam->read, i);
    }
    return sum;
}

static pg_err quota_check(const pg_vault *vault, const pg_vault_row *row)
{
    uint64_t used = 0;
    pg_map_cursor cursor = {.begun = false};
    while (pg_map_next(&vault->rows, &cursor)) {
        const pg_vault_row *other = cursor.value;
        used += other == row ? 0 : other->bytes;
    }
    return used + row->bytes <= vault->config.rules.quota_bytes
               ? PG_OK
               : pg_fail(PG_ERR_FULL, "archive.quota has no room for %llu bytes more",
                         (unsigned long long) row->bytes);
}

/** Return the row of a lease, made where there is none; NULL without memory. */
static pg_vault_row *row_get(pg_vault *vault, const pg_place_lease *lease, const guard_exam *exam)
{
    pg_vault_row *row = pg_vault_row_of(vault, &lease->descriptor);
    if (row != NULL || pg_map_count(&vault->rows) >= PG_VAULT_ROWS_MAX) {
        return row;
    }
    row = PG_NEW(pg_vault_row);
    if (row == NULL) {
        return NULL;
    }
    *row = (pg_vault_row){
        .descriptor = lease->descriptor,
        .root = lease->root,
        .is_whole = exam->is_whole,
        .sequence = lease->sequence,
        .expiry_s = lease->expiry_s,
        .bytes = bytes_of(exam),
        .block_bytes = (uint32_t) exam->block.len,
        .segments = exam->is_whole ? 0 : exam->read.segment_count,
    };
    memcpy(row->lease_key, lease->lease_key, sizeof(row->lease_key));
    if (quota_check(vault, row) != PG_OK ||
        pg_map_add(&vault->rows, pg_cid_bytes(&row->descriptor), row) != PG_OK) {
        pg_mfree(row);
        return NULL;
    }
    pg_vault_index(vault, row, true);
    return row;
}

static pg_err upload_run(upload *self)
{
    pg_vault *vault = self->vault;
    pg_vault_row *row = self->row;
    pg_db *db = vault->config.files->config.db;
    PG_TRY(pg_vault_row_write(db, row));
    PG_TRY(objects_put(self));
    row->state = PG_VAULT_STATE_STORED;
    row->bytes = bytes_of(self->exam) + row->root_bytes;
    row->stored_s = row->checked_s = pg_guard_now_s();
    vault->mark++;
    return pg_vault_row_write(db, row);
}

pg_err pg_vault_upload(pg_vault *vault, const pg_place_lease *lease, guard_exam *exam)
{
    if (lease->expiry_s < pg_guard_now_s() + PG_GUARD_EXPIRY_S) {
        return pg_fail(PG_ERR_CHANGED, "its lease ends");
    }
    upload *self = PG_NEW(upload);
    if (self == NULL) {
        return PG_ERR_NOMEM;
    }
    self->vault = vault;
    self->exam = exam;
    self->found = (inventory){
        .read = exam->is_whole ? NULL : &exam->read,
        .block_bytes = exam->block.len,
    };
    self->row = row_get(vault, lease, exam);
    pg_err err = self->row == NULL ? pg_fail(PG_ERR_FULL, "archive.quota has no room for it")
                                   : upload_run(self);
    pg_mfree(self->found.have);
    pg_mfree(self->shards);
    pg_mfree(self);
    return err;
}
