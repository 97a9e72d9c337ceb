// SPDX-License-Identifier: Apache-2.0
#include <string.h>

#include "base/mem.h"
#include "files/catalogue_feed.h"
#include "files/extents.h"
#include "files/lease_keys.h"
#include "files/limits.h"
#include "files/service_priv.h"
#include "files/upload.h"
#include "runtime/random.h"
#include "runtime/time.h"

/** An extent whose shards are being placed. At most PG_LANES_MAX at once, usually one or two. */
typedef struct open_extent {
    bool is_used;
    bool is_ready; // upload or err is set
    uint8_t id[PG_EXTENT_ID_BYTES];
    pg_upload *upload;
    pg_err err;
} open_extent;

/** A put. */
typedef struct put {
    pg_files *files;
    const pg_put_options *options;
    pg_file_entry *entry;
    int64_t file;              // in the catalogue
    const pg_key *version_key; // of a version of the catalogue; NULL: an ordinary file
    uint64_t expiry_s;
    uint64_t stored_bytes;
    open_extent open[PG_LANES_MAX + 1];
    pg_waitq ready;
    pg_upload *first; // the file's first extent, or its root alone: its hosts get the root
    pg_catalogue_extent first_placed;
    pg_catalogue_extent placed; // the extent at hand
    uint32_t hosts;
} put;

// ---- Extents that are open

static open_extent *extent_find(put *self, const uint8_t *id)
{
    for (size_t i = 0; i < PG_ARRAY_LEN(self->open); i++) {
        if (self->open[i].is_used && memcmp(self->open[i].id, id, PG_EXTENT_ID_BYTES) == 0) {
            return &self->open[i];
        }
    }
    return NULL;
}

// What one slot of the extent will take at most, as far as the length of the source is known.
static uint64_t expected_bytes(const put *self)
{
    uint64_t plain = self->options->total_bytes;
    plain = plain < PG_EXTENT_BYTES_MAX ? plain : PG_EXTENT_BYTES_MAX;
    return plain / self->options->code.data;
}

static pg_err placed_write(const put *self, pg_catalogue_extent *extent)
{
    PG_TRY(pg_catalogue_extent_write(self->files->config.db, self->file, extent));
    pg_reliance_add(&self->files->reliance, extent);
    return PG_OK;
}

static pg_err on_record(pg_catalogue_extent *extent, void *user)
{
    return placed_write(user, extent);
}

static pg_err extent_open(put *self, open_extent *extent, const uint8_t *id)
{
    pg_upload_spec spec = {.code = self->options->code,
                           .expected_bytes = expected_bytes(self),
                           .expiry_s = self->expiry_s,
                           .record = on_record,
                           .user = self};
    *extent = (open_extent){.is_used = true};
    memcpy(extent->id, id, PG_EXTENT_ID_BYTES);
    memcpy(spec.extent_id, id, PG_EXTENT_ID_BYTES);
    extent->err = pg_upload_new(self->files, &spec, &extent->upload);
    extent->is_ready = true;
    pg_waitq_wake_all(&self->ready);
    return extent->err;
}

/** Give the upload of an extent, and begin it at its first segment. */
static pg_err extent_get(put *self, const uint8_t *id, open_extent **out_extent)
{
    open_extent *extent = extent_find(self, id);
    if (extent == NULL) {
        size_t i = 0;
        while (i < PG_ARRAY_LEN(self->open) && self->open[i].is_used) {
            i++;
        }
        pg_assert(i < PG_ARRAY_LEN(self->open)); // each lane is in one extent, and one is closing
        extent = &self->open[i];
        PG_TRY(extent_open(self, extent, id));
    }
    while (!extent->is_ready) {
        PG_TRY(pg_waitq_wait(&self->ready, PG_FOREVER));
    }
    *out_extent = extent;
    return extent->err == PG_OK ? PG_OK : PG_ERR_CANCELLED; // who opened it tells
}

// ---- What the encoder gives

static pg_err on_place_shards(const pg_segment_place *place, const pg_shard *shards, unsigned count,
                              void *user)
{
    put *self = user;
    open_extent *extent = NULL;
    PG_TRY(extent_get(self, place->extent_id, &extent));
    PG_TRY(pg_upload_shards(extent->upload, shards, count));
    self->hosts = (uint32_t) pg_upload_host_count(extent->upload);
    return PG_OK;
}

static void hints_set(pg_extent *extent, const pg_catalogue_extent *placed)
{
    extent->host_count = placed->holder_count;
    for (size_t i = 0; i < placed->holder_count; i++) {
        extent->hosts[i] = pg_peer_id_bytes(&placed->holders[i].peer);
    }
}

static void stored_count(put *self, const pg_catalogue_extent *placed)
{
    for (size_t i = 0; i < placed->holder_count; i++) {
        self->stored_bytes += placed->holders[i].bytes;
    }
    self->stored_bytes += (uint64_t) __builtin_popcount(placed->local) * placed->slot_bytes;
}

static pg_err extent_close(put *self, open_extent *open, pg_bytes block, pg_extent *extent)
{
    self->placed.id = 0;
    PG_TRY(pg_upload_finish(open->upload, block, &extent->descriptor, &self->placed));
    PG_TRY(placed_write(self, &self->placed));
    pg_upload_recorded(open->upload);
    stored_count(self, &self->placed);
    hints_set(extent, &self->placed); // borrowed from `placed` until the list has them
    if (self->first == NULL) {
        self->first = open->upload; // its sessions stay open for the root
        open->upload = NULL;
        self->first_placed = self->placed;
        return PG_OK;
    }
    return pg_upload_seal(open->upload, PG_BYTES_EMPTY, NULL, &self->placed);
}

static pg_err on_put_descriptor(pg_bytes block, pg_extent *extent, void *user)
{
    put *self = user;
    pg_descriptor descriptor;
    PG_TRY(pg_descriptor_decode(block, &descriptor));
    open_extent *open = extent_find(self, descriptor.extent_id);
    pg_descriptor_deinit(&descriptor);
    pg_assert(open != NULL && open->upload != NULL); // its shards were placed before
    pg_err err = extent_close(self, open, block, extent);
    pg_upload_free(&open->upload);
    open->is_used = false;
    return err;
}

/** A file that stands in its root: the root alone is kept, whole, on some hosts. */
static pg_err root_place_whole(put *self, pg_bytes block, const pg_cid *cid)
{
    pg_upload_spec spec = {
        .code = self->options->code,
        .is_whole = true,
        .expected_bytes = block.len,
        .expiry_s = self->expiry_s,
        .record = on_record,
        .user = self,
    };
    const pg_multihash hash = pg_cid_multihash(cid);
    memcpy(spec.extent_id, pg_multihash_digest(&hash).ptr, PG_EXTENT_ID_BYTES);
    PG_TRY(pg_upload_new(self->files, &spec, &self->first));
    PG_TRY(pg_upload_finish(self->first, block, cid, &self->placed));
    stored_count(self, &self->placed);
    PG_TRY(placed_write(self, &self->placed));
    pg_upload_recorded(self->first);
    return pg_upload_seal(self->first, PG_BYTES_EMPTY, NULL, &self->placed);
}

static pg_err on_put_root(pg_bytes block, const pg_cid *cid, void *user)
{
    put *self = user;
    if (self->first == NULL) {
        return root_place_whole(self, block, cid);
    }
    PG_TRY(pg_upload_seal(self->first, block, cid, &self->first_placed));
    self->stored_bytes += block.len * self->first_placed.holder_count;
    PG_TRY(placed_write(self, &self->first_placed));
    pg_upload_recorded(self->first);
    return PG_OK;
}

static void on_progress(uint64_t plain_bytes, void *user)
{
    put *self = user;
    const pg_transfer_progress progress = {plain_bytes, self->options->total_bytes, self->hosts};
    if (self->options->progress != NULL) {
        self->options->progress(&progress, self->options->user);
    }
}

static pg_err on_lease_key(const uint8_t extent_id[PG_EXTENT_ID_BYTES],
                           uint8_t out_key[PG_LEASE_KEY_BYTES], void *user)
{
    const put *self = user;
    pg_identity lease = {.peer_id = {.len = 0}};
    PG_TRY(pg_files_lease_key(self->files->config.owner, extent_id, &lease));
    memcpy(out_key, lease.public_key, PG_LEASE_KEY_BYTES);
    pg_identity_deinit(&lease);
    return PG_OK;
}

// ---- The whole

static pg_err encode(put *self, const pg_files_source *source, const pg_key *key,
                     pg_files_encoded *out_encoded)
{
    const pg_files_encoding encoding = {
        .code = self->options->code,
        .no_compress = self->options->no_compress,
        .kind = self->options->kind,
        .name = self->options->name,
        .file_key = key,
        .random = pg_random_bytes,
        .lease_key = on_lease_key,
        .lease_user = self,
    };
    const pg_files_sink sink = {
        .put_descriptor = on_put_descriptor,
        .put_root = on_put_root,
        .place_shards = on_place_shards,
        .progress = on_progress,
        .user = self,
    };
    return pg_files_encode_stream(&encoding, source, &sink, out_encoded);
}

static pg_err state_find(put *self, pg_file_state *out_state)
{
    pg_catalogue_extent *extents = NULL;
    size_t count = 0;
    PG_TRY(pg_catalogue_extents(self->files->config.db, self->file, &extents, &count));
    *out_state = pg_catalogue_state_of(extents, count);
    pg_mfree(extents);
    return PG_OK;
}

static pg_err record(put *self, const pg_files_encoded *encoded, const pg_key *key,
                     pg_file_entry *out_entry)
{
    pg_file_entry *entry = self->entry;
    *entry = (pg_file_entry){
        .link = {encoded->root, *key},
        .kind = self->options->kind,
        .code = self->options->code,
        .size_bytes = encoded->size_bytes,
        .packed_bytes = encoded->packed_bytes,
        .stored_bytes = self->stored_bytes,
        .extents = encoded->extents,
        .segments = encoded->segments,
        .put_ms = pg_wall_ms(),
        .ttl_s = self->options->ttl_s,
    };
    PG_TRY(pg_buf_append(&entry->name, self->options->name));
    PG_TRY(state_find(self, &entry->state));
    PG_TRY(pg_catalogue_finish(self->files->config.db, self->file, entry));
    return pg_catalogue_entry(self->files->config.db, self->file, out_entry);
}

static pg_err put_run(put *self, const pg_files_source *source, pg_file_entry *out_entry)
{
    pg_files_encoded encoded = {0};
    pg_key key PG_CLEANUP(pg_key_wipe) = {0};
    if (self->version_key != NULL) {
        key = *self->version_key;
        PG_TRY(pg_catalogue_begin_version(self->files->config.db, &self->file));
    } else {
        pg_key_random(&key);
        PG_TRY(pg_catalogue_begin(self->files->config.db, &self->file));
    }
    PG_TRY(encode(self, source, &key, &encoded));
    PG_TRY(record(self, &encoded, &key, out_entry));
    if (self->version_key == NULL) {
        self->files->totals.puts_total++;
        self->files->totals.bytes_put_total += encoded.size_bytes;
    }
    return PG_OK;
}

static pg_err expiry_find(const pg_files *files, uint64_t ttl_s, uint64_t *out_expiry_s)
{
    ttl_s = ttl_s != 0 ? ttl_s : files->config.ttl_s;
    if (ttl_s > PG_PLACE_EXPIRY_S_MAX) {
        return pg_fail(PG_ERR_INVALID, "hosts keep nothing for more than 60 days at a time");
    }
    // An hour less than the most: the clocks of hosts may be behind ours.
    uint64_t most = PG_PLACE_EXPIRY_S_MAX - 3600;
    *out_expiry_s = (uint64_t) pg_wall_ms() / 1000 + (ttl_s < most ? ttl_s : most);
    return PG_OK;
}

/** End what is open, and after a failure see that hosts drop what they have of the file. Not cancelled itself. */
static void put_end(put *self, bool is_done)
{
    pg_fiber_shield(true);
    for (size_t i = 0; i < PG_ARRAY_LEN(self->open); i++) {
        pg_upload_free(&self->open[i].upload);
    }
    pg_upload_free(&self->first);
    if (!is_done && self->file != 0) {
        pg_ignore(pg_catalogue_remove(self->files->config.db, self->file),
                  "the next start finds it unfinished");
    }
    pg_files_recount(self->files);
    pg_fiber_shield(false);
    pg_files_spread_wake(self->files); // to drop, or to spread
    if (is_done && self->version_key == NULL) {
        pg_publish_changed(self->files);
    }
    pg_file_entry_deinit(self->entry);
    pg_mfree(self->entry);
    pg_mfree(self);
}

static pg_err put_any(pg_files *files, const pg_put_options *options, const pg_key *version_key,
                      const pg_files_source *source, pg_file_entry *out_entry)
{
    uint64_t expiry_s = 0;
    PG_TRY(expiry_find(files, options->ttl_s, &expiry_s));
    PG_TRY(pg_files_transfer_begin(files));
    put *self = PG_NEW(put);
    pg_file_entry *entry = PG_NEW(pg_file_entry);
    pg_err err = PG_ERR_NOMEM;
    if (self != NULL && entry != NULL) {
        *self = (put){.files = files,
                      .options = options,
                      .entry = entry,
                      .version_key = version_key,
                      .expiry_s = expiry_s};
        pg_waitq_init(&self->ready);
        err = put_run(self, source, out_entry);
        pg_error_record kept = *pg_error_last();
        put_end(self, err == PG_OK);
        err = err != PG_OK && kept.code == err ? pg_fail(err, "%s", kept.text) : err;
    } else {
        pg_mfree(self);
        pg_mfree(entry);
    }
    pg_files_transfer_end(files);
    return err;
}

pg_err pg_files_put(pg_files *files, const pg_put_options *options, const pg_files_source *source,
                    pg_file_entry *out_entry)
{
    return put_any(files, options, NULL, source, out_entry);
}

pg_err pg_files_put_version(pg_files *files, const pg_key *key, uint64_t bytes,
                            const pg_files_source *source, pg_file_entry *out_entry)
{
    const pg_put_options options = {.code = PG_CODE_DEFAULT, .total_bytes = bytes};
    return put_any(files, &options, key, source, out_entry);
}
