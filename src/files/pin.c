// SPDX-License-Identifier: Apache-2.0
// Pins: a file is decoded once to nowhere, and what it was decoded from stays. Of each segment that is any k shards, those that are here
// already before others: enough to restore the file without anybody, at about its size.
#include <string.h>

#include "base/arena.h"
#include "base/mem.h"
#include "files/extents.h"
#include "files/fetch.h"
#include "files/limits.h"
#include "files/pin_rows.h"
#include "files/service_priv.h"
#include "runtime/time.h"
#include "store/block_header.h"

/** A file being pinned. */
typedef struct pinning {
    pg_list node; // of pg_files.pinnings
    pg_files *files;
    const pg_link *link;
    pg_fetch fetch;
    pg_files_store from; // of the fetch
    pg_files_store store;
    const pg_pin_options *options;
    pg_transfer_progress progress;
    int64_t number; // of the row; 0 = not there yet
    bool is_new;    // the row, of this run
    bool has_root;  // it was read
    pg_pin pin;
    pg_map held; // by multihash: held_block
} pinning;

void pg_pin_deinit(pg_pin *pin)
{
    pg_link_wipe(&pin->link);
    pg_buf_deinit(&pin->name);
}

// ---- Keeping blocks

/** A block that this pin needs. */
typedef struct held_block {
    pg_cid cid;
    bool is_noted; // its row is written
} held_block;

static held_block *held_find(const pinning *self, const pg_cid *cid)
{
    pg_multihash key = pg_cid_multihash(cid);
    return pg_map_get(&self->held, pg_multihash_bytes(&key));
}

static pg_err held_add(pinning *self, const pg_cid *cid, bool is_noted)
{
    held_block *block = PG_NEW(held_block);
    if (block == NULL) {
        return PG_ERR_NOMEM;
    }
    *block = (held_block){*cid, is_noted};
    pg_multihash key = pg_cid_multihash(cid);
    pg_err err = pg_map_add(&self->held, pg_multihash_bytes(&key), block);
    if (err != PG_OK) {
        pg_mfree(block);
    }
    return err;
}

static void held_take(pinning *self, const pg_cid *cid)
{
    pg_multihash key = pg_cid_multihash(cid);
    pg_mfree(pg_map_take(&self->held, pg_multihash_bytes(&key)));
}

/** Need a block, once for this pin, and store it where it is not here. */
static pg_err block_keep(pinning *self, const pg_cid *cid, pg_bytes bytes)
{
    pg_keep *keep = &self->files->keep;
    bool is_here = pg_block_store_has(self->files->config.blocks, cid, NULL);
    if (held_find(self, cid) != NULL) {
        if (!is_here) { // damaged since, or still being written
            PG_TRY(pg_keep_put(keep, cid, bytes));
            pg_keep_drop(keep, cid);
        }
        return PG_OK;
    }
    PG_TRY(held_add(self, cid, false));
    pg_err err = is_here ? pg_keep_need(keep, cid) : pg_keep_put(keep, cid, bytes);
    if (err != PG_OK) {
        held_take(self, cid);
    }
    return err;
}

static pg_err blocks_note(pinning *self, const pg_pin_block *blocks, size_t count)
{
    PG_TRY(pg_pin_rows_add(self->files->config.db, self->number, blocks, count));
    for (size_t i = 0; i < count; i++) {
        held_block *block = held_find(self, &blocks[i].cid);
        if (block != NULL) {
            block->is_noted = true;
        }
    }
    return PG_OK;
}

static pg_err on_get_block(const pg_cid *cid, const pg_extent *extent, pg_buf *out, void *user)
{
    pinning *self = user;
    PG_TRY(self->from.get_block(cid, extent, out, self->from.user));
    PG_TRY(block_keep(self, cid, pg_buf_bytes(out)));
    const pg_pin_block block = {*cid, (uint32_t) out->len};
    return blocks_note(self, &block, 1);
}

/** One shard being kept. */
typedef struct keeping {
    pinning *self;
    pg_cid cid;
    pg_bytes bytes;
} keeping;

static pg_err keeping_run(void *arg)
{
    const keeping *one = arg;
    return block_keep(one->self, &one->cid, one->bytes);
}

// At once: one sync serves them all.
static pg_err shards_keep(pinning *self, const pg_shards_want *want, pg_shard_set got)
{
    keeping keepings[PG_CODE_SHARDS_MAX];
    pg_pin_block blocks[PG_CODE_SHARDS_MAX];
    size_t count = 0;
    pg_scope scope;
    pg_err err = PG_OK;
    pg_scope_init(&scope);
    for (unsigned i = 0; i < pg_code_shards(want->descriptor->code) && err == PG_OK; i++) {
        if ((got >> i & 1) == 0) {
            continue;
        }
        keeping *one = &keepings[count];
        *one = (keeping){
            self, pg_block_cid_of_digest(pg_descriptor_digest(want->descriptor, want->segment, i)),
            pg_bytes_make(want->shards + (size_t) i * want->shard_bytes, want->shard_bytes)};
        blocks[count++] = (pg_pin_block){one->cid, want->shard_bytes};
        err = pg_scope_spawn(&scope, "files.pin", keeping_run, one);
    }
    if (err != PG_OK) {
        pg_scope_close(&scope);
        return err;
    }
    PG_TRY(pg_scope_join(&scope));
    return blocks_note(self, blocks, count);
}

static pg_err on_get_shards(const pg_shards_want *want, pg_shard_set *out_got,
                            pg_shard_set *out_absent, void *user)
{
    pinning *self = user;
    PG_TRY(self->from.get_shards(want, out_got, out_absent, self->from.user));
    return shards_keep(self, want, *out_got);
}

// ---- Room

/** Count the bytes that are not here of k shards of each segment, whole units of the block store. */
static uint64_t missing_bytes(const pg_files *files, const pg_descriptor *descriptor)
{
    uint64_t sum = 0;
    for (uint32_t g = 0; g < descriptor->segment_count; g++) {
        unsigned need = descriptor->code.data;
        for (unsigned i = 0; i < pg_code_shards(descriptor->code) && need > 0; i++) {
            pg_cid cid = pg_block_cid_of_digest(pg_descriptor_digest(descriptor, g, i));
            need -= pg_block_store_has(files->config.blocks, &cid, NULL) ? 1 : 0;
        }
        uint64_t units = pg_block_units(descriptor->segments[g].shard_bytes);
        sum += need * units * PG_BLOCK_UNIT_BYTES;
    }
    return sum;
}

static pg_err extent_measure(pinning *self, const pg_extent *extent, uint64_t *sum)
{
    pg_buf block = {.max_len = PG_DESCRIPTOR_BYTES_MAX};
    pg_descriptor descriptor = {.segment_count = 0};
    pg_err err = on_get_block(&extent->descriptor, extent, &block, self);
    if (err == PG_OK) {
        err = pg_descriptor_decode(pg_buf_bytes(&block), &descriptor);
    }
    if (err == PG_OK) {
        *sum += missing_bytes(self->files, &descriptor);
    }
    pg_descriptor_deinit(&descriptor);
    pg_buf_deinit(&block);
    return err;
}

/** Say at once when the file cannot fit, before the cache gives way to a part of it. */
static pg_err room_check(pinning *self, pg_bytes list)
{
    uint64_t sum = 0;
    while (list.len > 0) {
        pg_arena arena = pg_arena_make(PG_EXTENT_LIST_BYTES_MAX);
        pg_extent extent = {.plain_bytes = 0};
        pg_err err = pg_extents_take(&list, &arena, &extent);
        if (err == PG_OK) {
            err = extent_measure(self, &extent, &sum);
        }
        pg_arena_deinit(&arena);
        PG_TRY(err);
    }
    const pg_block_store_stats stats = pg_block_store_stats_get(self->files->config.blocks);
    uint64_t cache = self->files->keep.cache_bytes; // gives way
    uint64_t used = stats.used_bytes > cache ? stats.used_bytes - cache : 0;
    uint64_t room = stats.quota_bytes > used ? stats.quota_bytes - used : 0;
    if (sum > room) {
        return pg_fail(PG_ERR_FULL,
                       "pinning it takes %llu bytes more, and of the quota of %llu bytes only %llu "
                       "are left beside what is needed; nothing was changed",
                       (unsigned long long) sum, (unsigned long long) stats.quota_bytes,
                       (unsigned long long) room);
    }
    return PG_OK;
}

// ---- The whole

static pg_err on_write(pg_bytes bytes, void *user)
{
    pinning *self = user;
    self->progress.bytes += bytes.len;
    if (self->options->progress != NULL) {
        self->options->progress(&self->progress, self->options->user);
    }
    return PG_OK;
}

static pg_err root_note(pinning *self, const pg_root *root)
{
    self->has_root = true;
    self->progress.total_bytes = root->size_bytes;
    self->pin.size_bytes = root->size_bytes;
    self->pin.kind = root->kind;
    pg_buf_clear(&self->pin.name);
    PG_TRY(pg_buf_append(&self->pin.name, pg_buf_bytes(&root->name)));
    PG_TRY(pg_pin_rows_update(self->files->config.db, self->number, &self->pin));
    pg_publish_changed(self->files);
    return PG_OK;
}

static pg_err fetch_all(pinning *self)
{
    const pg_files_output output = {.write = on_write, .user = self};
    pg_root root = {0};
    PG_TRY(pg_files_decode_root(self->link, &self->store, &root));
    pg_err err = root_note(self, &root);
    if (err == PG_OK) {
        err = room_check(self, pg_buf_bytes(&root.extents));
    }
    pg_root_deinit(&root);
    PG_TRY(err);
    PG_TRY(pg_files_decode_stream(self->link, 0, &self->store, &output));
    self->pin.is_complete = true;
    return pg_pin_rows_update(self->files->config.db, self->number, &self->pin);
}

/** Take over what an earlier run got; *out_missing counts its blocks that are not here any more. */
static pg_err held_load(pinning *self, size_t *out_missing)
{
    pg_pin_block *blocks = NULL;
    size_t count = 0;
    *out_missing = 0;
    PG_TRY(pg_pin_rows_blocks(self->files->config.db, self->number, &blocks, &count));
    pg_err err = PG_OK;
    for (size_t i = 0; i < count && err == PG_OK; i++) {
        err = held_add(self, &blocks[i].cid, true);
        *out_missing +=
            pg_block_store_has(self->files->config.blocks, &blocks[i].cid, NULL) ? 0 : 1;
    }
    pg_mfree(blocks);
    return err;
}

static pg_err pin_begin(pinning *self, bool *out_done)
{
    pg_db *db = self->files->config.db;
    size_t missing = 0;
    *out_done = false;
    pg_err err = pg_pin_rows_find(db, &self->link->root, &self->number);
    if (err == PG_ERR_NOT_FOUND) {
        self->pin = (pg_pin){.link = *self->link, .pinned_ms = pg_wall_ms()};
        self->is_new = true;
        return pg_pin_rows_begin(db, &self->pin, &self->number);
    }
    PG_TRY(err);
    PG_TRY(pg_pin_rows_read(db, self->number, &self->pin));
    if (memcmp(self->pin.link.key.bytes, self->link->key.bytes, PG_KEY_BYTES) != 0) {
        return pg_fail(PG_ERR_KEY, "this root is pinned, by a link with another key");
    }
    PG_TRY(held_load(self, &missing));
    *out_done = self->pin.is_complete && missing == 0;
    self->pin.is_complete = false;
    return PG_OK;
}

static pg_err pin_forget(pg_files *files, int64_t number)
{
    pg_pin_block *blocks = NULL;
    size_t count = 0;
    PG_TRY(pg_pin_rows_blocks(files->config.db, number, &blocks, &count));
    pg_err err = pg_pin_rows_remove(files->config.db, number);
    pg_publish_changed(files);
    for (size_t i = 0; i < count && err == PG_OK; i++) {
        pg_keep_drop(&files->keep, &blocks[i].cid);
    }
    pg_mfree(blocks);
    return err;
}

/** End a run. One that failed leaves what it got, to be gone on with; but nothing of a new pin whose root could not be read, or that has
 *  no room. */
static void pin_end(pinning *self, pg_err err)
{
    pg_map_cursor cursor = {.begun = false};
    pg_fiber_shield(true);
    bool is_undone = self->is_new && err != PG_OK && (err == PG_ERR_FULL || !self->has_root);
    while (pg_map_next(&self->held, &cursor)) {
        held_block *block = cursor.value;
        if (!block->is_noted) {
            pg_keep_drop(&self->files->keep, &block->cid);
        }
        pg_mfree(block);
    }
    pg_map_deinit(&self->held);
    if (is_undone) {
        pg_ignore(pin_forget(self->files, self->number), "it stands in the list, incomplete");
    }
    pg_fetch_deinit(&self->fetch);
    pg_fiber_shield(false);
}

static bool is_running(const pg_files *files, const pg_cid *root)
{
    for (pg_list *node = files->pinnings.next; node != &files->pinnings; node = node->next) {
        const pinning *other = PG_LIST_OBJECT(node, pinning, node);
        if (pg_cid_equal(&other->link->root, root)) {
            return true;
        }
    }
    return false;
}

static pg_err fail_running(void)
{
    return pg_fail(PG_ERR_BUSY, "this file is being pinned right now");
}

static pg_err pin_run(pinning *self)
{
    bool is_done = false;
    pg_fetch_init(&self->fetch, self->files);
    self->fetch.is_kept = true;
    self->from = pg_fetch_store(&self->fetch);
    self->store = (pg_files_store){.get_block = on_get_block,
                                   .get_shards = on_get_shards,
                                   .problem = self->from.problem,
                                   .is_verified = self->from.is_verified,
                                   .user = self};
    pg_err err = pin_begin(self, &is_done);
    if (err == PG_OK && !is_done) {
        err = fetch_all(self);
    }
    pg_error_record record = pg_error_keep();
    pin_end(self, err);
    return pg_error_again(&record, err);
}

pg_err pg_files_pin(pg_files *files, const pg_link *link, const pg_pin_options *options,
                    pg_pin *out_pin)
{
    if (is_running(files, &link->root)) {
        return fail_running();
    }
    pinning *self = PG_NEW(pinning);
    if (self == NULL) {
        return PG_ERR_NOMEM;
    }
    *self = (pinning){.files = files, .link = link, .options = options};
    pg_list_append(&files->pinnings, &self->node);
    pg_err err = pg_files_transfer_begin(files);
    if (err == PG_OK) {
        err = pin_run(self);
        pg_files_transfer_end(files);
    }
    if (err == PG_OK) {
        err = pg_files_pin_find(files, &link->root, out_pin);
    }
    pg_list_remove(&self->node);
    pg_pin_deinit(&self->pin);
    pg_mfree(self);
    return err;
}

// ---- What is pinned

/** Read a pin, and see which of its blocks are here. */
static pg_err pin_read(const pg_files *files, int64_t number, pg_pin *out_pin)
{
    pg_pin pin = {.kind = 0};
    pg_pin_block *blocks = NULL;
    size_t count = 0;
    PG_TRY(pg_pin_rows_read(files->config.db, number, &pin));
    pg_err err = pg_pin_rows_blocks(files->config.db, number, &blocks, &count);
    for (size_t i = 0; i < count && err == PG_OK; i++) {
        bool is_here = pg_block_store_has(files->config.blocks, &blocks[i].cid, NULL);
        pin.kept_bytes += is_here ? blocks[i].len : 0;
        pin.is_complete &= is_here;
    }
    pg_mfree(blocks);
    if (err != PG_OK) {
        pg_pin_deinit(&pin);
        return err;
    }
    *out_pin = pin;
    return PG_OK;
}

pg_err pg_files_pin_find(pg_files *files, const pg_cid *root, pg_pin *out_pin)
{
    int64_t number = 0;
    PG_TRY(pg_pin_rows_find(files->config.db, root, &number));
    return pin_read(files, number, out_pin);
}

pg_err pg_files_pins(pg_files *files, void (*each)(const pg_pin *pin, void *user), void *user)
{
    int64_t *numbers = NULL;
    size_t count = 0;
    PG_TRY(pg_pin_rows_all(files->config.db, &numbers, &count));
    pg_err err = PG_OK;
    for (size_t i = 0; i < count && err == PG_OK; i++) {
        pg_pin pin = {.kind = 0};
        err = pin_read(files, numbers[i], &pin);
        if (err == PG_OK) {
            each(&pin, user);
            pg_pin_deinit(&pin);
        } else if (err == PG_ERR_NOT_FOUND) {
            err = PG_OK; // unpinned meanwhile
        }
    }
    pg_mfree(numbers);
    return err;
}

pg_err pg_files_unpin(pg_files *files, const pg_cid *root)
{
    int64_t number = 0;
    if (is_running(files, root)) {
        return fail_running();
    }
    pg_fiber_shield(true); // what is forgotten is dropped
    pg_err err = pg_pin_rows_find(files->config.db, root, &number);
    if (err == PG_OK) {
        err = pin_forget(files, number);
    }
    pg_fiber_shield(false);
    return err;
}

static pg_err pin_need(pg_files *files, int64_t number)
{
    pg_pin_block *blocks = NULL;
    size_t count = 0;
    PG_TRY(pg_pin_rows_blocks(files->config.db, number, &blocks, &count));
    pg_err err = PG_OK;
    for (size_t i = 0; i < count && err == PG_OK; i++) {
        err = pg_keep_need(&files->keep, &blocks[i].cid);
    }
    pg_mfree(blocks);
    return err;
}

pg_err pg_files_pins_load(pg_files *files)
{
    int64_t *numbers = NULL;
    size_t count = 0;
    PG_TRY(pg_pin_rows_all(files->config.db, &numbers, &count));
    pg_err err = PG_OK;
    for (size_t i = 0; i < count && err == PG_OK; i++) {
        err = pin_need(files, numbers[i]);
    }
    pg_mfree(numbers);
    return err;
}
