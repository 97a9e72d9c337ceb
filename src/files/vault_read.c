// SPDX-License-Identifier: Apache-2.0
// Reading out of the archive: for the gets of this node, and through it for peers, who ask by Bitswap as they ask any host. A peer takes the
// descriptor first; with it the extent is opened, and its data shards can be asked for. Whatever comes is verified before it is given to anybody.
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "crypto/hash.h"
#include "files/extents.h"
#include "files/limits.h"
#include "files/vault_priv.h"
#include "runtime/offload.h"
#include "runtime/time.h"

/** Where a data shard of an open extent is. */
typedef struct vault_place {
    uint64_t hash; // the first bytes of its digest
    uint32_t segment;
    uint32_t shard;
} vault_place;

static uint64_t hash_of(const uint8_t digest[PG_HASH_BYTES])
{
    uint64_t hash;
    memcpy(&hash, digest, sizeof(hash));
    return hash;
}

// ---- Out of the store of objects

static pg_err read_note(pg_vault *vault, const pg_cid *descriptor, uint64_t bytes, pg_err err)
{
    vault->totals.reads_total += err == PG_OK ? 1 : 0;
    vault->totals.reads_bytes_total += err == PG_OK ? bytes : 0;
    vault->totals.reads_failed_total += err != PG_OK && err != PG_ERR_NOT_FOUND ? 1 : 0;
    vault->totals.corrupt_total += err == PG_ERR_CORRUPT ? 1 : 0;
    pg_vault_row *row = pg_vault_row_of(vault, descriptor);
    bool is_damaged = err == PG_ERR_CORRUPT || err == PG_ERR_NOT_FOUND;
    if (is_damaged && row != NULL && row->state == PG_VAULT_STATE_STORED) {
        pg_log_limited(PG_LOG_LEVEL_WARN, "vault.damaged", PG_LOG_STR("error", pg_err_name(err)),
                       PG_LOG_STR("detail", pg_error_detail(err)));
        row->checked_s = 0; // the next round looks at all of it
    }
    if (err != PG_ERR_NOT_FOUND) {
        pg_vault_note(vault, is_damaged ? PG_OK : err);
    }
    return err;
}

static pg_err block_read(pg_vault *vault, const pg_cid *cid, pg_buf *out)
{
    char name[PG_VAULT_NAME_BYTES];
    pg_buf got = {.max_len = PG_BITSWAP_BLOCK_BYTES_MAX};
    pg_vault_block_name(cid, name);
    pg_err err = vault->objects.get(vault->objects.self, name, NULL, &got);
    if (err == PG_OK && pg_cid_verify(cid, pg_buf_bytes(&got)) != PG_OK) {
        err = pg_fail(PG_ERR_CORRUPT, "an object of the archive is not what it was");
    }
    err = read_note(vault, cid, got.len, err);
    if (err == PG_OK) {
        err = pg_buf_append(out, pg_buf_bytes(&got));
    }
    pg_buf_deinit(&got);
    return err;
}

pg_err pg_vault_block(pg_vault *vault, const pg_cid *cid, pg_buf *out)
{
    if (vault == NULL) {
        return PG_ERR_NOT_FOUND;
    }
    PG_TRY(pg_vault_enter(vault));
    pg_err err = block_read(vault, cid, out);
    pg_vault_leave(vault);
    return err;
}

/** A shard to be read: all that is needed of its descriptor, which may be closed meanwhile. */
typedef struct shard_read {
    pg_cid descriptor;
    uint32_t segment;
    unsigned shard;
    uint32_t bytes;
    uint8_t digest[PG_HASH_BYTES];
    pg_bytes got; // for the job
    bool is_right;
} shard_read;

static pg_err job_compare(void *arg)
{
    shard_read *self = arg;
    uint8_t digest[PG_HASH_BYTES];
    pg_blake3(self->got, digest);
    self->is_right = memcmp(digest, self->digest, sizeof(digest)) == 0;
    return PG_OK;
}

static pg_err shard_take(pg_vault *vault, shard_read *self, pg_buf *out)
{
    const pg_object_range range = {(uint64_t) self->shard * self->bytes, self->bytes};
    char name[PG_VAULT_NAME_BYTES];
    size_t before = out->len;
    pg_vault_segment_name(&self->descriptor, self->segment, name);
    pg_err err = vault->objects.get(vault->objects.self, name, &range, out);
    if (err == PG_OK) {
        self->got = pg_bytes_slice(pg_buf_bytes(out), before, out->len);
        err = pg_offload(job_compare, self);
    }
    if (err == PG_OK && !self->is_right) {
        out->len = before;
        err = pg_fail(PG_ERR_CORRUPT, "segment %u: shard %u in the archive is not what it was",
                      self->segment, self->shard);
    }
    return read_note(vault, &self->descriptor, self->bytes, err);
}

pg_err pg_vault_get_shard(pg_vault *vault, const pg_vault_shard *what, pg_buf *out)
{
    const pg_descriptor *descriptor = what->descriptor;
    if (vault == NULL || what->shard >= descriptor->code.data) {
        return PG_ERR_NOT_FOUND;
    }
    shard_read self = {
        .descriptor = *what->cid,
        .segment = what->segment,
        .shard = what->shard,
        .bytes = descriptor->segments[what->segment].shard_bytes,
    };
    memcpy(self.digest, pg_descriptor_digest(descriptor, what->segment, what->shard),
           sizeof(self.digest));
    PG_TRY(pg_vault_enter(vault));
    pg_err err = shard_take(vault, &self, out);
    pg_vault_leave(vault);
    return err;
}

// ---- Open extents

static void open_free(vault_open **open)
{
    vault_open *dead = *open;
    if (dead != NULL) {
        pg_descriptor_deinit(&dead->read);
        pg_mfree(dead->places);
        pg_mfree(dead);
    }
    *open = NULL;
}

void pg_vault_close(pg_vault *vault, const pg_cid *descriptor)
{
    for (size_t i = 0; i < PG_VAULT_OPEN_MAX; i++) {
        if (vault->open[i] != NULL &&
            (descriptor == NULL || pg_cid_equal(&vault->open[i]->descriptor, descriptor))) {
            open_free(&vault->open[i]);
        }
    }
}

static int place_compare(const void *a, const void *b)
{
    const vault_place *left = a;
    const vault_place *right = b;
    return left->hash < right->hash ? -1 : left->hash > right->hash ? 1 : 0;
}

/** A descriptor being opened. */
typedef struct opening {
    pg_bytes block;
    vault_open *open;
} opening;

static pg_err job_open(void *arg)
{
    const opening *self = arg;
    vault_open *open = self->open;
    PG_TRY(pg_descriptor_decode(self->block, &open->read));
    const unsigned data = open->read.code.data;
    open->places = pg_calloc((size_t) open->read.segment_count * data + 1, sizeof(vault_place));
    if (open->places == NULL) {
        return PG_ERR_NOMEM;
    }
    for (uint32_t segment = 0; segment < open->read.segment_count; segment++) {
        for (unsigned shard = 0; shard < data; shard++) {
            const uint8_t *digest = pg_descriptor_digest(&open->read, segment, shard);
            open->places[open->count++] = (vault_place){hash_of(digest), segment, shard};
        }
    }
    qsort(open->places, open->count, sizeof(vault_place), place_compare);
    return PG_OK;
}

static vault_open **open_slot(pg_vault *vault, const pg_cid *descriptor)
{
    vault_open **oldest = &vault->open[0];
    for (size_t i = 0; i < PG_VAULT_OPEN_MAX; i++) {
        vault_open **at = &vault->open[i];
        if (*at != NULL && pg_cid_equal(&(*at)->descriptor, descriptor)) {
            return at;
        }
        if (*oldest != NULL && (*at == NULL || (*at)->used < (*oldest)->used)) {
            oldest = at;
        }
    }
    return oldest;
}

/** Open an extent whose descriptor is at hand. */
static pg_err extent_open(pg_vault *vault, const pg_cid *descriptor, pg_bytes block)
{
    vault_open *made = PG_NEW(vault_open);
    if (made == NULL) {
        return PG_ERR_NOMEM;
    }
    opening job = {block, made};
    made->descriptor = *descriptor;
    pg_err err = pg_offload(job_open, &job);
    if (err != PG_OK) {
        open_free(&made);
        return err;
    }
    vault_open **slot = open_slot(vault, descriptor);
    open_free(slot);
    made->used = ++vault->uses;
    *slot = made;
    return PG_OK;
}

/** Find the shard that a CID names among those of open extents. */
static bool shard_find(pg_vault *vault, const pg_cid *cid, shard_read *out)
{
    pg_multihash hash = pg_cid_multihash(cid);
    pg_bytes digest = pg_multihash_digest(&hash);
    if (pg_multihash_code_of(&hash) != PG_MULTIHASH_CODE_BLAKE3 || digest.len != PG_HASH_BYTES) {
        return false;
    }
    const vault_place key = {.hash = hash_of(digest.ptr)};
    for (size_t i = 0; i < PG_VAULT_OPEN_MAX; i++) {
        vault_open *open = vault->open[i];
        const vault_place *at =
            open == NULL ? NULL
                         : bsearch(&key, open->places, open->count, sizeof(key), place_compare);
        if (at == NULL) {
            continue;
        }
        const uint8_t *whole = pg_descriptor_digest(&open->read, at->segment, at->shard);
        if (memcmp(whole, digest.ptr, PG_HASH_BYTES) == 0) {
            open->used = ++vault->uses;
            *out = (shard_read){
                .descriptor = open->descriptor,
                .segment = at->segment,
                .shard = at->shard,
                .bytes = open->read.segments[at->segment].shard_bytes,
            };
            memcpy(out->digest, whole, PG_HASH_BYTES);
            return true;
        }
    }
    return false;
}

// ---- For peers

static const pg_vault_row *root_find(const pg_vault *vault, const pg_cid *cid)
{
    return pg_map_get(&vault->roots, pg_cid_bytes(cid));
}

static bool on_has(const pg_cid *cid, uint32_t *out_len, void *user)
{
    pg_vault *vault = user;
    shard_read shard;
    const pg_vault_row *row = pg_vault_row_of(vault, cid);
    if (vault->is_ending) {
        return false;
    }
    if (row != NULL && row->state == PG_VAULT_STATE_STORED) {
        *out_len = row->block_bytes;
        return true; // also when it is here: that opens it
    }
    if (pg_block_store_has(vault->config.files->config.blocks, cid, NULL)) {
        return false;
    }
    row = root_find(vault, cid);
    if (row != NULL && row->state == PG_VAULT_STATE_STORED) {
        *out_len = row->root_bytes;
        return true;
    }
    if (shard_find(vault, cid, &shard)) {
        *out_len = shard.bytes;
        return true;
    }
    return false;
}

/** Give a descriptor, from here where it is here, and open its extent. */
static pg_err descriptor_give(pg_vault *vault, const pg_vault_row *row, pg_buf *out)
{
    pg_block_store *blocks = vault->config.files->config.blocks;
    const pg_cid descriptor = row->descriptor;
    bool is_whole = row->is_whole;
    size_t before = out->len;
    if (!pg_block_store_has(blocks, &descriptor, NULL) ||
        pg_block_store_get(blocks, &descriptor, out) != PG_OK) {
        PG_TRY(block_read(vault, &descriptor, out));
    }
    pg_bytes block = pg_bytes_slice(pg_buf_bytes(out), before, out->len);
    return is_whole ? PG_OK : extent_open(vault, &descriptor, block);
}

static pg_err cid_give(pg_vault *vault, const pg_cid *cid, pg_buf *out)
{
    shard_read shard;
    const pg_vault_row *row = pg_vault_row_of(vault, cid);
    if (row != NULL) {
        PG_TRY(pg_vault_pace(vault, &vault->down_at, row->block_bytes));
        row = pg_vault_row_of(vault, cid); // it may have gone meanwhile
        return row == NULL ? PG_ERR_NOT_FOUND : descriptor_give(vault, row, out);
    }
    if (root_find(vault, cid) != NULL) {
        return block_read(vault, cid, out);
    }
    if (!shard_find(vault, cid, &shard)) {
        return PG_ERR_NOT_FOUND;
    }
    PG_TRY(pg_vault_pace(vault, &vault->down_at, shard.bytes));
    PG_TRY(shard_take(vault, &shard, out));
    pg_keep_offer(&vault->config.files->keep, cid, pg_buf_bytes(out));
    return PG_OK;
}

static pg_err on_get(const pg_cid *cid, pg_buf *out, void *user)
{
    pg_vault *vault = user;
    PG_TRY(pg_vault_enter(vault));
    pg_err err = cid_give(vault, cid, out);
    pg_vault_leave(vault);
    return err;
}

/** A peer was sent a block: its extent is read. */
static void on_sent(const pg_cid *cid, void *user)
{
    static char nothing;
    pg_vault *vault = user;
    if (pg_map_get(&vault->reads, pg_cid_bytes(cid)) != NULL) {
        return;
    }
    if (pg_map_count(&vault->reads) >= PG_VAULT_READS_MAX ||
        pg_map_add(&vault->reads, pg_cid_bytes(cid), &nothing) != PG_OK) {
        vault->has_more_reads = true;
    }
}

void pg_vault_serve(pg_vault *vault, bool on)
{
    const pg_bitswap_backing backing = {on_has, on_get, on_sent, vault};
    pg_bitswap_set_backing(vault->config.files->config.bitswap, on ? &backing : NULL);
}
