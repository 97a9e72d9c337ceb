// SPDX-License-Identifier: Apache-2.0
// Blocks go in, come out and go away. A block is PENDING from the moment its place is taken until the sync that makes it
// durable, DELETING from the moment its header is to be erased until its space is given back; only LIVE ones are seen.
//
//      put:     place, quota  ->  header and body written (a job)  ->  sync  ->  LIVE
//      delete:  header erased (a job)  ->  sync  ->  hole  ->  gone
//
// The header goes first and durably: a crash then leaves pages without a header, which a rebuild gives back, never a header
// without its pages.
#include "store/blocks.h"

#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "crypto/hash.h"
#include "runtime/offload.h"
#include "store/blocks_priv.h"

/** A change of a pack file, for a job. */
struct change {
    pg_file *file;
    const pg_key *key;
    pg_block_place place;
    const pg_cid *cid;
    pg_bytes bytes;
    uint32_t len;       // of the block
    bool without_holes; // told, or found out
    bool is_verified;   // the bytes are those of the CID
    bool has_begun;     // to write: something may stand there
};

static uint64_t offset_of(pg_block_place place)
{
    return (uint64_t) place.unit * PG_BLOCK_UNIT_BYTES;
}

static uint64_t space_of(uint32_t len)
{
    return (uint64_t) pg_block_units(len) * PG_BLOCK_UNIT_BYTES;
}

static pg_err check_sound(const pg_block_store *store)
{
    return store->has_failed ? pg_fail(PG_ERR_IO, "the disk has failed before; the block store "
                                                  "does not change until the node is restarted")
                             : PG_OK;
}

// ---- Jobs

static pg_err job_write(void *arg)
{
    struct change *change = arg;
    uint8_t head[PG_BLOCK_HEADER_BYTES];
    pg_block_header header = {*change->cid, change->len};
    if (!change->is_verified) {
        PG_TRY(pg_cid_verify(change->cid, change->bytes));
    }
    change->has_begun = true;
    pg_block_header_encode(change->key, change->place, &header, head);
    return pg_file_write_uncached(change->file, offset_of(change->place), PG_BYTES_OF(head),
                                  change->bytes);
}

static pg_err punch(struct change *change, uint64_t offset, uint64_t len)
{
    pg_err err = PG_ERR_UNSUPPORTED;
    if (!change->without_holes) {
        err = pg_file_punch(change->file, offset, len);
        change->without_holes = err == PG_ERR_UNSUPPORTED;
    }
    return err;
}

static pg_err job_erase_header(void *arg)
{
    struct change *change = arg;
    static const uint8_t zeros[PG_BLOCK_HEADER_BYTES];
    uint64_t offset = offset_of(change->place);
    pg_err err = punch(change, offset, PG_BLOCK_UNIT_BYTES);
    return err == PG_ERR_UNSUPPORTED ? pg_file_write_at(change->file, offset, PG_BYTES_OF(zeros))
                                     : err;
}

static pg_err job_punch(void *arg)
{
    struct change *change = arg;
    pg_err err = punch(change, offset_of(change->place), space_of(change->len));
    return err == PG_ERR_UNSUPPORTED ? PG_OK : err;
}

pg_err pg_block_read_run(void *arg)
{
    const pg_block_read *read = arg;
    uint64_t offset = offset_of(read->place) + PG_BLOCK_HEADER_BYTES;
    pg_err err = PG_ERR_CORRUPT;
    for (unsigned tries = 0; tries < 2 && err == PG_ERR_CORRUPT; tries++) {
        size_t len = 0;
        pg_mut_bytes space = pg_mut_bytes_make(read->out, read->len);
        PG_TRY(read->is_popular ? pg_file_read_at(read->file, offset, space, &len)
                                : pg_file_read_uncached(read->file, offset, space, &len));
        err = pg_cid_verify(read->cid, pg_bytes_make(read->out, len));
    }
    return err;
}

// ---- Space

// What a block took goes back to the disk, or is dead until its pack goes.
static void space_release(pg_block_store *store, pg_pack *pack, uint64_t bytes, bool is_dead)
{
    pack->live_bytes -= bytes;
    if (is_dead) {
        pack->dead_bytes += bytes;
    } else {
        store->used_bytes -= bytes;
    }
    pack->blocks--;
    if (pack->blocks == 0 && pack != store->active && !pack->is_removed) {
        store->used_bytes -= pack->dead_bytes;
        pg_packs_remove(&store->packs, pack);
    }
}

// A new pack, empty and under its name for good. The one before is durable: so only the last can hold what was not synced.
static pg_err roll(pg_block_store *store)
{
    pg_pack *old = store->active;
    pg_pack *pack = NULL;
    while (old != NULL && (store->writers > 0 || pg_list_is_linked(&old->dirty_node) ||
                           store->sync_started != store->sync_done)) {
        PG_TRY(pg_commit_wait(store));
    }
    uint32_t number = old == NULL ? 0 : old->number + 1;
    if (pg_packs_find(&store->packs, number) == NULL) {
        PG_TRY(pg_packs_add(&store->packs, number, &pack));
    } else {
        pack = pg_packs_last(&store->packs); // an attempt before this one got so far
    }
    PG_TRY(pg_packs_acquire(&store->packs, pack, PG_FILE_MODE_CREATE));
    pg_err err = pg_dir_sync(store->dir);
    if (err != PG_OK) {
        pg_packs_release(&store->packs, pack);
        return err;
    }
    store->active = pack;
    if (old != NULL && old->blocks == 0) {
        store->used_bytes -= old->dead_bytes;
        pg_packs_remove(&store->packs, old);
    }
    if (old != NULL) {
        pg_packs_release(&store->packs, old);
    }
    return PG_OK;
}

// Returns with room for `units` in the active pack, or rolls once: the caller looks again. *out_ready tells which.
static pg_err room_make(pg_block_store *store, uint32_t units, bool *out_ready)
{
    *out_ready = false;
    PG_TRY(check_sound(store));
    if (store->is_rolling) {
        return pg_waitq_wait(&store->changed, PG_FOREVER);
    }
    if (store->active != NULL && (uint64_t) store->active->end_unit + units <= store->pack_units) {
        *out_ready = true;
        return PG_OK;
    }
    store->is_rolling = true;
    pg_err err = roll(store);
    store->is_rolling = false;
    pg_waitq_wake_all(&store->changed);
    return err;
}

// ---- Delete

// The block is LIVE. Cannot be cancelled.
static pg_err entry_delete(pg_block_store *store, uint32_t number)
{
    pg_block_entry *entry = pg_block_index_at(&store->index, number);
    struct change change = {
        .place = pg_block_entry_place(entry),
        .len = entry->len,
        .without_holes = store->without_holes,
    };
    pg_pack *pack = pg_packs_find(&store->packs, change.place.pack);
    PG_TRY(check_sound(store));
    PG_TRY(pg_packs_acquire(&store->packs, pack, 0));
    change.file = pack->file;
    // Others may have been here while the file was opened.
    entry = pg_block_index_at(&store->index, number);
    if (entry->state != PG_BLOCK_STATE_LIVE || entry->pack != change.place.pack ||
        entry->unit != change.place.unit) {
        pg_packs_release(&store->packs, pack);
        return PG_ERR_NOT_FOUND;
    }
    entry->state = PG_BLOCK_STATE_DELETING;
    pg_err err = pg_offload_io(job_erase_header, &change);
    if (err == PG_OK) {
        pg_commit_note(store, pack);
        err = pg_commit_wait(store);
    }
    if (err == PG_OK) {
        err = pg_offload_io(job_punch, &change);
        pg_commit_note(store, pack); // nobody waits: at the latest closing syncs it
    }
    if (err != PG_OK && err != PG_ERR_CANCELLED) {
        pg_commit_fail(store); // what of the block is left only a rebuild can tell
    }
    pg_block_index_remove(&store->index, number);
    space_release(store, pack, space_of(change.len), err != PG_OK || change.without_holes);
    pg_packs_release(&store->packs, pack);
    pg_waitq_wake_all(&store->changed);
    return err;
}

pg_err pg_block_store_delete(pg_block_store *store, const pg_cid *cid)
{
    if (pg_fiber_is_cancelled()) {
        return PG_ERR_CANCELLED;
    }
    PG_TRY(check_sound(store)); // what is not found may be there after a rebuild
    if (!pg_block_store_has(store, cid, NULL)) {
        return PG_ERR_NOT_FOUND;
    }
    pg_fiber_shield(true);
    pg_err err = entry_delete(store, pg_block_index_find(&store->index, cid));
    pg_fiber_shield(false);
    return err;
}

// ---- Get

bool pg_block_store_has(const pg_block_store *store, const pg_cid *cid, uint32_t *out_len)
{
    uint32_t number =
        pg_block_cid_is_kept(cid) ? pg_block_index_find(&store->index, cid) : PG_BLOCK_NONE;
    if (number == PG_BLOCK_NONE) {
        return false;
    }
    const pg_block_entry *entry = pg_block_index_at(&store->index, number);
    if (entry->state != PG_BLOCK_STATE_LIVE) {
        return false;
    }
    if (out_len != NULL) {
        *out_len = entry->len;
    }
    return true;
}

// A block that is not what it was is dropped, unless it went away while it was read.
static pg_err drop_damaged(pg_block_store *store, const pg_cid *cid, pg_block_place place)
{
    uint32_t number = pg_block_index_find(&store->index, cid);
    if (number == PG_BLOCK_NONE) {
        return PG_ERR_NOT_FOUND;
    }
    const pg_block_entry *entry = pg_block_index_at(&store->index, number);
    if (entry->state != PG_BLOCK_STATE_LIVE || entry->pack != place.pack ||
        entry->unit != place.unit) {
        return PG_ERR_NOT_FOUND;
    }
    store->lost_total++;
    pg_fiber_shield(true);
    pg_ignore(entry_delete(store, number), "it is lost whether its space comes back or not");
    pg_fiber_shield(false);
    if (store->on_lost != NULL) {
        store->on_lost(cid, store->on_lost_user);
    }
    return pg_fail(PG_ERR_CORRUPT, "a block was damaged on the disk and has been dropped");
}

// Note that a block is read. Returns true when it was before, not long ago: then the system's cache is worth its memory.
static bool popular_note(pg_block_store *store, uint32_t number)
{
    uint32_t *slot = &store->recent[number % PG_BLOCKS_RECENT];
    bool is_popular = *slot == number + 1;
    *slot = number + 1;
    return is_popular;
}

pg_err pg_block_store_get(pg_block_store *store, const pg_cid *cid, pg_buf *out)
{
    uint32_t len = 0;
    if (!pg_block_store_has(store, cid, &len)) {
        return PG_ERR_NOT_FOUND;
    }
    uint32_t number = pg_block_index_find(&store->index, cid);
    const pg_block_entry *entry = pg_block_index_at(&store->index, number);
    pg_block_read read = {.place = pg_block_entry_place(entry), .cid = cid, .len = len};
    read.is_popular = popular_note(store, number);
    pg_pack *pack = pg_packs_find(&store->packs, read.place.pack);
    size_t before = out->len;
    PG_TRY(pg_buf_extend(out, len, &read.out));
    pg_err err = pg_packs_acquire(&store->packs, pack, 0);
    if (err == PG_OK) {
        read.file = pack->file;
        err = pg_offload_io(pg_block_read_run, &read);
        pg_packs_release(&store->packs, pack);
    }
    if (err != PG_OK) {
        out->len = before;
    }
    return err == PG_ERR_CORRUPT ? drop_damaged(store, cid, read.place) : err;
}

// ---- Put

// Take a place in the active pack, which has room.
static pg_err place_take(pg_block_store *store, const pg_cid *cid, uint32_t len,
                         uint32_t *out_number)
{
    pg_pack *pack = store->active;
    pg_block_header header = {*cid, len};
    pg_block_place place = {pack->number, pack->end_unit};
    PG_TRY(pg_block_index_add(&store->index, &header, place, PG_BLOCK_STATE_PENDING, out_number));
    uint64_t space = space_of(len);
    pack->end_unit += pg_block_units(len);
    pack->blocks++;
    pack->live_bytes += space;
    store->used_bytes += space;
    return PG_OK;
}

// Nothing of the block is left, but for a hole in the span of its pack.
static void place_give_back(pg_block_store *store, pg_pack *pack, uint32_t number,
                            struct change *change)
{
    pg_err err = PG_OK;
    if (change->has_begun) {
        err = pg_offload_io(job_punch, change);
        pg_commit_note(store, pack);
    } else if (pack->end_unit == change->place.unit + pg_block_units(change->len)) {
        pack->end_unit =
            change->place.unit; // nothing was written: a wrong block takes no span either
    }
    if (err == PG_OK && change->has_begun && change->without_holes) {
        err = pg_offload_io(job_erase_header, change);
    }
    if (err != PG_OK && err != PG_ERR_CANCELLED) {
        pg_commit_fail(store); // a header may stand there, for a block that does not
    }
    pg_block_index_remove(&store->index, number);
    space_release(store, pack, space_of(change->len),
                  err != PG_OK || (change->has_begun && change->without_holes));
    pg_waitq_wake_all(&store->changed);
}

// There is room, and the block is in nobody's hands. Cannot be cancelled.
static pg_err block_write(pg_block_store *store, const pg_cid *cid, pg_bytes bytes,
                          bool is_verified)
{
    uint32_t number = PG_BLOCK_NONE;
    uint32_t len = (uint32_t) bytes.len;
    uint64_t space = space_of(len);
    if (store->used_bytes > store->quota_bytes || space > store->quota_bytes - store->used_bytes) {
        return pg_fail(PG_ERR_FULL, "the block store is full: %llu of %llu bytes are used",
                       (unsigned long long) store->used_bytes,
                       (unsigned long long) store->quota_bytes);
    }
    PG_TRY(place_take(store, cid, len, &number));
    pg_pack *pack = store->active;
    struct change change = {
        .file = pack->file,
        .key = &store->header_key,
        .place = pg_block_entry_place(pg_block_index_at(&store->index, number)),
        .cid = cid,
        .bytes = bytes,
        .len = len,
        .without_holes = store->without_holes,
        .is_verified = is_verified,
    };
    pack->users++;
    store->writers++;
    pg_err err = pg_offload_io(job_write, &change);
    if (err == PG_OK) {
        pg_commit_note(store, pack);
    } else {
        place_give_back(store, pack, number, &change);
    }
    store->writers--;
    if (err == PG_OK) {
        err = pg_commit_wait(store);
        if (err == PG_OK) {
            pg_block_index_at(&store->index, number)->state = PG_BLOCK_STATE_LIVE;
            store->puts_total++;
        } else {
            pg_block_index_remove(&store->index, number); // it may be there after a rebuild
            space_release(store, pack, space, true);
        }
        pg_waitq_wake_all(&store->changed);
    } else {
        pg_waitq_wake_all(&store->work);
    }
    pg_packs_release(&store->packs, pack);
    return err;
}

// Returns PG_OK when an intact copy is there, PG_ERR_NOT_FOUND when there is none.
static pg_err existing_verify(pg_block_store *store, const pg_cid *cid)
{
    pg_buf copy = {0};
    pg_err err = pg_block_store_get(store, cid, &copy);
    pg_buf_deinit(&copy);
    return err == PG_ERR_CORRUPT ? PG_ERR_NOT_FOUND : err;
}

static pg_err put_shielded(pg_block_store *store, const pg_cid *cid, pg_bytes bytes,
                           bool is_verified)
{
    for (;;) {
        bool is_ready = false;
        uint32_t number = pg_block_index_find(&store->index, cid);
        if (number == PG_BLOCK_NONE) {
            PG_TRY(room_make(store, pg_block_units((uint32_t) bytes.len), &is_ready));
            // Room was there at once, so nobody else ran since the index was asked.
            if (is_ready) {
                return block_write(store, cid, bytes, is_verified);
            }
        } else if (pg_block_index_at(&store->index, number)->state != PG_BLOCK_STATE_LIVE) {
            PG_TRY(pg_waitq_wait(&store->changed, PG_FOREVER));
        } else {
            pg_err err = existing_verify(store, cid);
            if (err != PG_ERR_NOT_FOUND) {
                return err;
            }
        }
    }
}

static pg_err put(pg_block_store *store, const pg_cid *cid, pg_bytes bytes, bool is_verified)
{
    if (pg_fiber_is_cancelled()) {
        return PG_ERR_CANCELLED;
    }
    if (!pg_block_cid_is_kept(cid)) {
        return pg_fail(PG_ERR_UNSUPPORTED, "a block needs a CID with a hash of %d bytes",
                       PG_HASH_BYTES);
    }
    if (bytes.len > PG_BLOCK_BYTES_MAX) {
        return pg_fail(PG_ERR_LIMIT, "a block of %zu bytes, at most %u", bytes.len,
                       PG_BLOCK_BYTES_MAX);
    }
    pg_fiber_shield(true);
    pg_err err = put_shielded(store, cid, bytes, is_verified);
    pg_fiber_shield(false);
    return err;
}

pg_err pg_block_store_put(pg_block_store *store, const pg_cid *cid, pg_bytes bytes)
{
    return put(store, cid, bytes, false);
}

pg_err pg_block_store_put_verified(pg_block_store *store, const pg_cid *cid, pg_bytes bytes)
{
    return put(store, cid, bytes, true);
}

// ---- The rest

pg_err pg_block_store_walk(pg_block_store *store,
                           pg_err (*each)(const pg_cid *cid, uint32_t len, void *user), void *user)
{
    for (uint32_t i = 0; i < store->index.entry_count; i++) {
        const pg_block_entry *entry = pg_block_index_at(&store->index, i);
        if (entry->state == PG_BLOCK_STATE_LIVE) {
            pg_cid cid = pg_block_entry_cid(entry);
            PG_TRY(each(&cid, entry->len, user));
        }
    }
    return PG_OK;
}

void pg_block_store_on_lost(pg_block_store *store, void (*fn)(const pg_cid *cid, void *user),
                            void *user)
{
    store->on_lost = fn;
    store->on_lost_user = user;
}

void pg_block_store_quota_set(pg_block_store *store, uint64_t quota_bytes)
{
    store->quota_bytes = quota_bytes;
}

pg_block_store_stats pg_block_store_stats_get(const pg_block_store *store)
{
    return (pg_block_store_stats){
        .blocks = store->index.block_count,
        .used_bytes = store->used_bytes,
        .quota_bytes = store->quota_bytes,
        .packs = store->packs.count,
        .puts_total = store->puts_total,
        .syncs_total = store->sync_done,
        .lost_total = store->lost_total,
        .was_rebuilt = store->was_rebuilt,
        .has_failed = store->has_failed,
    };
}
