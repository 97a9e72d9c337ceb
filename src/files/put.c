// SPDX-License-Identifier: Apache-2.0
#include <string.h>

#include "base/arena.h"
#include "base/mem.h"
#include "files/abandon.h"
#include "files/catalogue_feed.h"
#include "files/extents.h"
#include "files/lease_keys.h"
#include "files/limits.h"
#include "files/service_priv.h"
#include "files/unfinished.h"
#include "files/upload.h"
#include "runtime/random.h"
#include "runtime/time.h"
#include "runtime/trace.h"

/** An extent whose shards are being placed. At most PG_LANES_MAX at once, usually one or two. */
typedef struct open_extent {
    bool is_used;
    bool is_ready; // upload or err is set
    pg_time since; // when it was begun
    uint8_t id[PG_EXTENT_ID_BYTES];
    pg_upload *upload;
    pg_err err;
} open_extent;

/** A put. */
typedef struct put {
    pg_list node; // of pg_files.puts
    pg_files *files;
    const pg_put_options *options;
    pg_file_entry *entry;
    int64_t file;              // in the catalogue
    const pg_key *version_key; // of a version of the catalogue; NULL: an ordinary file
    uint64_t expiry_s;
    uint64_t stored_bytes;
    open_extent open[PG_LANES_MAX + 1];
    pg_waitq ready;
    pg_upload *
        first; // the file's first extent, or its root alone: its hosts get the root. NULL once its sessions were ended
    bool has_first;
    pg_catalogue_extent first_placed;
    pg_catalogue_extent placed; // the extent at hand
    uint32_t hosts;
    // Where it can be gone on, when it has an origin.
    bool is_noted; // its row is there
    bool is_lost;  // what an earlier run placed cannot be gone on with
    pg_unfinished noted;
    pg_descriptor so_far;    // of the extent that an earlier run left open
    int64_t open_row;        // of that extent in the catalogue; 0 = none
    uint64_t open_sequence;  // of its grant
    pg_catalogue_extent now; // hosts of the extent at hand
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

static pg_upload_spec spec_make(put *self, const uint8_t *id)
{
    pg_upload_spec spec = {.code = self->options->code,
                           .expected_bytes = expected_bytes(self),
                           .expiry_s = self->expiry_s,
                           .record = on_record,
                           .user = self};
    memcpy(spec.extent_id, id, PG_EXTENT_ID_BYTES);
    return spec;
}

static pg_err extent_open(put *self, open_extent *extent, const uint8_t *id)
{
    const pg_upload_spec spec = spec_make(self, id);
    *extent = (open_extent){.is_used = true, .since = pg_now()};
    memcpy(extent->id, id, PG_EXTENT_ID_BYTES);
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

/** Keep what the root is for: sessions that are open, unless it was so slow that the root is far. */
static pg_err first_keep(put *self, open_extent *open)
{
    self->has_first = true;
    self->first_placed = self->placed;
    if (pg_now() - open->since < PG_MINUTES(PG_EXTENT_MINUTES_MAX)) {
        self->first = open->upload;
        open->upload = NULL;
        return PG_OK;
    }
    return pg_upload_seal(open->upload, PG_BYTES_EMPTY, NULL, &self->placed);
}

static pg_err extent_close(put *self, open_extent *open, pg_bytes block, pg_extent *extent)
{
    // One that was about to be promised when an earlier run ended has its row.
    bool is_again = memcmp(open->id, self->so_far.extent_id, PG_EXTENT_ID_BYTES) == 0;
    self->placed.id = is_again ? self->open_row : 0;
    PG_TRY(pg_upload_finish(open->upload, block, &extent->descriptor, &self->placed));
    PG_TRY(placed_write(self, &self->placed));
    pg_upload_recorded(open->upload);
    stored_count(self, &self->placed);
    hints_set(extent, &self->placed); // borrowed from `placed` until the list has them
    if (!self->has_first) {
        return first_keep(self, open);
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
    if (!self->has_first) {
        return root_place_whole(self, block, cid);
    }
    if (self->first == NULL) {
        PG_TRY(pg_upload_reopen(self->files, &self->first_placed, &self->first));
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

// ---- Noting how far it is

/** Go on without notes: what is on this node only is as soon read again. */
static pg_err notes_end(put *self)
{
    self->is_noted = false;
    return pg_unfinished_forget(self->files->config.db, self->file);
}

static pg_err open_note(put *self, const pg_descriptor *open)
{
    uint8_t nonce[PG_AEAD_NONCE_BYTES];
    const open_extent *extent = extent_find(self, open->extent_id);
    pg_assert(extent != NULL && extent->upload != NULL); // its shards were placed
    pg_upload_describe(extent->upload, &self->now);
    pg_random_bytes(PG_MUT_BYTES_OF(nonce));
    PG_TRY(pg_descriptor_encode(open, &self->noted.key, 0, nonce, &self->noted.open));
    return pg_unfinished_hosts_write(&self->now, &self->noted.hosts);
}

/** Return true when nobody can go on with it: it is noted so that its hosts can be told after a crash. */
static bool is_nobodys(const put *self)
{
    return self->options->origin == NULL;
}

/** Have a row to note in; a put that nobody can go on with gets it when there is something to note. *out_noted false: not to be noted. */
static pg_err row_have(put *self, const pg_encode_state *state, bool *out_noted)
{
    if (!self->is_noted && is_nobodys(self) && self->version_key == NULL && state->open != NULL) {
        PG_TRY(pg_unfinished_begin(self->files->config.db, NULL, &self->noted));
        self->is_noted = true;
    }
    *out_noted = self->is_noted;
    return PG_OK;
}

static pg_err on_note(const pg_encode_state *state, void *user)
{
    put *self = user;
    bool is_noted = false;
    uint64_t fresh = state->totals->size_bytes - self->noted.totals.size_bytes;
    if (state->open != NULL && fresh < PG_SEGMENT_BYTES_MAX) {
        return PG_OK;
    }
    PG_TRY(row_have(self, state, &is_noted));
    if (!is_noted) {
        return PG_OK;
    }
    pg_buf_clear(&self->noted.open);
    pg_buf_clear(&self->noted.list);
    self->now = self->placed;
    if (state->open != NULL) {
        PG_TRY(open_note(self, state->open));
    }
    if (self->now.local != 0 && !is_nobodys(self)) {
        return notes_end(self);
    }
    PG_TRY(pg_buf_append(&self->noted.list, is_nobodys(self) ? PG_BYTES_EMPTY : state->list));
    self->noted.totals = *state->totals;
    self->noted.stored_bytes = self->stored_bytes;
    return pg_unfinished_save(self->files->config.db, &self->noted);
}

// ---- Going on

/** Return true when a list of extents names a descriptor; *out_first when it is the first. */
static bool list_names(pg_bytes list, const pg_cid *descriptor, bool *out_first)
{
    bool is_named = false;
    for (size_t i = 0; list.len > 0 && !is_named; i++) {
        pg_arena arena = pg_arena_make(PG_EXTENT_LIST_BYTES_MAX);
        pg_extent extent;
        if (pg_extents_take(&list, &arena, &extent) != PG_OK) {
            list = PG_BYTES_EMPTY;
        } else {
            is_named = pg_cid_equal(&extent.descriptor, descriptor);
        }
        *out_first = is_named && i == 0;
        pg_arena_deinit(&arena);
    }
    return is_named;
}

/** Sort what the catalogue has of the file: complete extents stay, the open one is written over, others are dropped. */
static pg_err row_sort(put *self, pg_catalogue_extent *extent)
{
    bool is_first = false;
    if (list_names(pg_buf_bytes(&self->noted.list), &extent->descriptor, &is_first)) {
        if (!is_first) {
            return PG_OK;
        }
        self->first_placed = *extent;
        self->has_first = true;
        return PG_OK;
    }
    if (memcmp(extent->extent_id, self->so_far.extent_id, PG_EXTENT_ID_BYTES) == 0) {
        self->open_row = extent->id;
        self->open_sequence = extent->sequence;
        return PG_OK;
    }
    return pg_catalogue_extent_write(self->files->config.db, 0, extent);
}

static pg_err rows_sort(put *self)
{
    pg_catalogue_extent *extents = NULL;
    size_t count = 0;
    PG_TRY(pg_catalogue_extents(self->files->config.db, self->file, &extents, &count));
    pg_err err = PG_OK;
    for (size_t i = 0; i < count && err == PG_OK; i++) {
        err = row_sort(self, &extents[i]);
    }
    pg_mfree(extents);
    if (err == PG_OK && self->noted.list.len > 0 && !self->has_first) {
        err = pg_fail(PG_ERR_CORRUPT, "the catalogue lacks an extent of this put");
    }
    return err;
}

static pg_err open_go_on(put *self)
{
    open_extent *extent = &self->open[0];
    const pg_upload_spec spec = spec_make(self, self->so_far.extent_id);
    PG_TRY(pg_unfinished_hosts_read(pg_buf_bytes(&self->noted.hosts), &self->now));
    self->now.code = self->options->code;
    self->now.sequence = self->open_sequence;
    *extent = (open_extent){.is_used = true, .is_ready = true, .since = pg_now()};
    memcpy(extent->id, self->so_far.extent_id, PG_EXTENT_ID_BYTES);
    return pg_upload_go_on(self->files, &spec, &self->now, &self->so_far, &extent->upload);
}

/** Be where the earlier run was. */
static pg_err go_on(put *self)
{
    self->file = self->noted.file;
    self->stored_bytes = self->noted.stored_bytes;
    if (self->noted.open.len > 0) {
        PG_TRY(pg_descriptor_decode(pg_buf_bytes(&self->noted.open), &self->so_far));
        PG_TRY(pg_descriptor_open(&self->so_far, &self->noted.key, 0));
    }
    PG_TRY(rows_sort(self));
    return self->noted.open.len > 0 ? open_go_on(self) : PG_OK;
}

static pg_err begin_anew(put *self)
{
    pg_db *db = self->files->config.db;
    pg_unfinished_deinit(&self->noted);
    self->noted = (pg_unfinished){.code = self->options->code};
    if (self->version_key != NULL) {
        self->noted.key = *self->version_key;
        PG_TRY(pg_catalogue_begin_version(db, &self->file));
    } else {
        pg_key_random(&self->noted.key);
        PG_TRY(pg_catalogue_begin(db, &self->file));
    }
    self->noted.file = self->file;
    if (self->options->origin == NULL) {
        return PG_OK;
    }
    memcpy(self->noted.version, self->options->origin->version, PG_PUT_SOURCE_BYTES);
    PG_TRY(pg_unfinished_begin(db, self->options->origin->source, &self->noted));
    self->is_noted = true;
    return PG_OK;
}

static pg_err fail_running(void)
{
    return pg_fail(PG_ERR_BUSY, "the same is being put right now");
}

/** Return true when a put of the same origin runs, other than `self`. */
static bool is_running(const pg_files *files, const pg_put_origin *origin, const put *self)
{
    for (pg_list *node = files->puts.next; node != &files->puts; node = node->next) {
        const put *one = PG_LIST_OBJECT(node, put, node);
        const pg_put_origin *other = one->options->origin;
        if (one != self && other != NULL &&
            memcmp(other->source, origin->source, PG_PUT_SOURCE_BYTES) == 0) {
            return true;
        }
    }
    return false;
}

static pg_err begin(put *self)
{
    const pg_put_origin *origin = self->options->origin;
    pg_err err = PG_ERR_NOT_FOUND;
    if (origin != NULL && is_running(self->files, origin, self)) {
        return fail_running();
    }
    if (origin != NULL) {
        err = pg_unfinished_find(self->files->config.db, origin->source, &self->noted);
    }
    if (err != PG_OK && err != PG_ERR_NOT_FOUND) {
        return err;
    }
    if (err == PG_OK && self->options->start == 0) {
        pg_abandon_unfinished(self->files, &self->noted);
        PG_TRY(pg_catalogue_remove(self->files->config.db, self->noted.file));
        err = PG_ERR_NOT_FOUND;
    }
    if (err == PG_ERR_NOT_FOUND && self->options->start == 0) {
        return begin_anew(self);
    }
    if (err != PG_OK || self->noted.totals.size_bytes != self->options->start ||
        memcmp(self->noted.version, origin->version, PG_PUT_SOURCE_BYTES) != 0 ||
        memcmp(&self->noted.code, &self->options->code, sizeof(pg_code)) != 0) {
        return pg_fail(PG_ERR_CHANGED, "it cannot be gone on with at byte %llu; begin anew",
                       (unsigned long long) self->options->start);
    }
    self->is_noted = true;
    err = go_on(self);
    self->is_lost = err != PG_OK && err != PG_ERR_CANCELLED;
    return pg_error_wrap(err, "going on with it failed, the next try begins anew");
}

static pg_err running_wait(pg_files *files, const pg_put_origin *origin)
{
    pg_time deadline = pg_after(PG_MS(PG_PUT_END_MS));
    while (origin != NULL && is_running(files, origin, NULL)) {
        pg_err err = pg_waitq_wait(&files->put_ended, deadline);
        if (err == PG_ERR_TIMEOUT) {
            return fail_running();
        }
        PG_TRY(err);
    }
    return PG_OK;
}

/** Tell of one that was broken off. */
static pg_err start_unfinished(pg_files *files, const pg_put_origin *origin, pg_put_start *start)
{
    pg_unfinished found = {.file = 0};
    pg_err err = PG_OK;
    PG_TRY(pg_unfinished_find(files->config.db, origin->source, &found));
    if (memcmp(found.version, origin->version, PG_PUT_SOURCE_BYTES) == 0) {
        start->start = found.totals.size_bytes;
    } else {
        start->was_changed = true;
        pg_abandon_unfinished(files, &found);
        err = pg_catalogue_remove(files->config.db, found.file);
        pg_files_spread_wake(files); // to drop what it placed
    }
    pg_unfinished_deinit(&found);
    return err;
}

static bool is_repeated(const pg_finished *found, const pg_file_entry *entry)
{
    int64_t age_s = pg_wall_ms() / 1000 - found->done_s;
    int64_t most_s = PG_PUT_REPEAT_S;
    if (entry->ttl_s > 0 && (int64_t) entry->ttl_s / PG_PUT_REPEAT_TTL_PART < most_s) {
        most_s = (int64_t) entry->ttl_s / PG_PUT_REPEAT_TTL_PART;
    }
    return age_s >= 0 && age_s <= most_s;
}

/** Tell of one that is finished. */
static pg_err start_finished(pg_files *files, const pg_put_origin *origin, pg_put_start *start)
{
    pg_finished found;
    PG_TRY(pg_finished_find(files->config.db, origin->source, &found));
    if (memcmp(found.version, origin->version, PG_PUT_SOURCE_BYTES) != 0) {
        return PG_OK;
    }
    pg_file_entry *entry = PG_NEW(pg_file_entry);
    if (entry == NULL) {
        return PG_ERR_NOMEM;
    }
    pg_err err = pg_catalogue_row(files->config.db, found.file, entry);
    if (err == PG_OK) {
        start->is_done = is_repeated(&found, entry);
        start->root = entry->link.root;
        pg_file_entry_deinit(entry);
    }
    pg_mfree(entry);
    return err;
}

pg_err pg_files_put_start(pg_files *files, const pg_put_origin *origin, pg_put_start *out_start)
{
    pg_put_start start = {.start = 0};
    PG_TRY(running_wait(files, origin));
    pg_err err = start_unfinished(files, origin, &start);
    if (err == PG_ERR_NOT_FOUND) {
        err = start_finished(files, origin, &start);
    }
    if (err != PG_OK && err != PG_ERR_NOT_FOUND) {
        return err;
    }
    *out_start = start;
    return PG_OK;
}

static bool file_runs(const pg_files *files, int64_t file)
{
    for (pg_list *node = files->puts.next; node != &files->puts; node = node->next) {
        if (PG_LIST_OBJECT(node, put, node)->file == file) {
            return true;
        }
    }
    return false;
}

pg_err pg_files_puts_expire(pg_files *files)
{
    int64_t *old = NULL;
    size_t count = 0;
    PG_TRY(pg_finished_expire(files->config.db, pg_wall_ms() / 1000 - PG_PUT_REPEAT_S));
    PG_TRY(
        pg_unfinished_old(files->config.db, pg_wall_ms() / 1000 - PG_PUT_RESUME_S, &old, &count));
    pg_err err = PG_OK;
    for (size_t i = 0; i < count && err == PG_OK; i++) {
        err = file_runs(files, old[i]) ? PG_OK : pg_catalogue_remove(files->config.db, old[i]);
        if (err ==
            PG_ERR_NOT_FOUND) { // the file of one that nobody could go on with went at the start
            err = pg_unfinished_forget(files->config.db, old[i]);
        }
    }
    pg_mfree(old);
    return err;
}

// ---- The whole

static pg_err encode(put *self, const pg_files_source *source, const pg_key *key,
                     pg_files_encoded *out_encoded)
{
    const pg_encode_state state = {&self->noted.totals, pg_buf_bytes(&self->noted.list),
                                   self->noted.open.len > 0 ? &self->so_far : NULL};
    pg_buf list = self->noted.list; // the notes are written anew meanwhile
    self->noted.list = (pg_buf){0};
    const pg_files_encoding encoding = {
        .resume = self->options->start > 0 ? &state : NULL,
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
        .note = on_note,
        .progress = on_progress,
        .user = self,
    };
    pg_err err = pg_files_encode_stream(&encoding, source, &sink, out_encoded);
    pg_buf_deinit(&list);
    return err;
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
    PG_TRY(pg_catalogue_finish(self->files->config.db, self->file, entry, self->options->origin));
    return pg_catalogue_entry(self->files->config.db, self->file, out_entry);
}

static pg_err put_run(put *self, const pg_files_source *source, pg_file_entry *out_entry)
{
    pg_files_encoded encoded = {0};
    PG_TRY(begin(self));
    PG_TRY(encode(self, source, &self->noted.key, &encoded));
    PG_TRY(record(self, &encoded, &self->noted.key, out_entry));
    if (self->version_key == NULL) {
        self->files->totals.puts_total++;
        self->files->totals.bytes_put_total += encoded.size_bytes - self->options->start;
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

/** Return true when what was placed is to be gone on with. */
static bool is_kept(const put *self, pg_err err)
{
    return self->is_noted && !is_nobodys(self) && !self->is_lost &&
           self->noted.totals.size_bytes > 0 && err != PG_ERR_FULL && err != PG_ERR_INVALID;
}

static void upload_end(pg_upload **upload, bool is_given_up)
{
    if (is_given_up) {
        pg_upload_abandon(upload);
    } else {
        pg_upload_free(upload);
    }
}

/** End what is open, and after a failure see that hosts drop what they have of the file, unless it is to be gone on with. Not cancelled itself. */
static void put_end(put *self, pg_err err)
{
    bool is_given_up = err != PG_OK && !is_kept(self, err);
    pg_fiber_shield(true);
    for (size_t i = 0; i < PG_ARRAY_LEN(self->open); i++) {
        upload_end(&self->open[i].upload, is_given_up);
    }
    upload_end(&self->first, is_given_up);
    if (self->is_lost) {
        pg_abandon_unfinished(self->files, &self->noted);
    }
    if (is_given_up && self->file != 0) {
        pg_ignore(pg_catalogue_remove(self->files->config.db, self->file),
                  "the next start finds it unfinished");
    }
    pg_files_recount(self->files);
    pg_fiber_shield(false);
    pg_files_spread_wake(self->files); // to drop, or to spread
    if (err == PG_OK && self->version_key == NULL) {
        pg_publish_changed(self->files);
    }
    pg_list_remove(&self->node);
    pg_waitq_wake_all(&self->files->put_ended);
    pg_file_entry_deinit(self->entry);
    pg_mfree(self->entry);
    pg_unfinished_deinit(&self->noted);
    pg_descriptor_deinit(&self->so_far);
    pg_mfree(self);
}

static pg_err put_any(pg_files *files, const pg_put_options *options, const pg_key *version_key,
                      const pg_files_source *source, pg_file_entry *out_entry)
{
    uint64_t expiry_s = 0;
    PG_TRY(expiry_find(files, options->ttl_s, &expiry_s));
    PG_TRY(running_wait(files, options->origin));
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
        pg_list_append(&files->puts, &self->node);
        err = put_run(self, source, out_entry);
        pg_error_record kept = pg_error_keep();
        put_end(self, err);
        err = pg_error_again(&kept, err);
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
    pg_span span;
    pg_span_begin(&span, "files.put");
    pg_err err = put_any(files, options, NULL, source, out_entry);
    if (err == PG_OK) {
        pg_span_set_u64(&span, "pangea.bytes", out_entry->size_bytes);
    }
    pg_span_end(&span, err);
    return err;
}

pg_err pg_files_put_version(pg_files *files, const pg_key *key, uint64_t bytes,
                            const pg_files_source *source, pg_file_entry *out_entry)
{
    const pg_put_options options = {.code = PG_CODE_DEFAULT, .total_bytes = bytes};
    return put_any(files, &options, key, source, out_entry);
}
