// SPDX-License-Identifier: Apache-2.0
// Looking at the blocks of a store without changing anything: whether the headers stand where the index says, whether the content is what
// the CIDs name, and whether the disk takes what the ledger counts.
#include "base/str.h"
#include "runtime/offload.h"
#include "store/blocks_priv.h"

/** One block to be looked at, in a job. */
typedef struct look {
    pg_block_read read;
    const pg_key *key;
    bool is_deep;
} look;

static pg_err job_look(void *arg)
{
    look *self = arg;
    uint8_t bytes[PG_BLOCK_HEADER_BYTES];
    pg_block_header header;
    pg_err err = PG_ERR_MALFORMED;
    for (unsigned tries = 0; tries < 2 && err != PG_OK; tries++) { // or it was misread
        size_t len = 0;
        PG_TRY(pg_file_read_at(self->read.file,
                               (uint64_t) self->read.place.unit * PG_BLOCK_UNIT_BYTES,
                               PG_MUT_BYTES_OF(bytes), &len));
        err =
            pg_block_header_decode(self->key, self->read.place, pg_bytes_make(bytes, len), &header);
    }
    if (err != PG_OK || header.len != self->read.len ||
        !pg_cid_equal(&header.cid, self->read.cid)) {
        return PG_ERR_CORRUPT;
    }
    return self->is_deep ? pg_block_read_run(&self->read) : PG_OK;
}

static bool is_still_there(pg_block_store *store, const pg_cid *cid, pg_block_place place)
{
    uint32_t number = pg_block_index_find(&store->index, cid);
    if (number == PG_BLOCK_NONE) {
        return false;
    }
    const pg_block_entry *entry = pg_block_index_at(&store->index, number);
    return entry->state == PG_BLOCK_STATE_LIVE && entry->pack == place.pack &&
           entry->unit == place.unit;
}

static pg_err block_look(pg_block_store *store, uint32_t number, bool is_deep, pg_buf *space,
                         pg_block_check *check)
{
    const pg_block_entry *entry = pg_block_index_at(&store->index, number);
    const pg_cid cid = pg_block_entry_cid(entry);
    look self = {.key = &store->header_key, .is_deep = is_deep};
    self.read =
        (pg_block_read){.place = pg_block_entry_place(entry), .cid = &cid, .len = entry->len};
    pg_buf_clear(space);
    PG_TRY(pg_buf_extend(space, is_deep ? entry->len : 0, &self.read.out));
    pg_pack *pack = pg_packs_find(&store->packs, self.read.place.pack);
    pg_err err = pg_packs_acquire(&store->packs, pack, 0);
    if (err == PG_OK) {
        self.read.file = pack->file;
        err = pg_offload_io(job_look, &self);
        pg_packs_release(&store->packs, pack);
    }
    if (err != PG_OK && !is_still_there(store, &cid, self.read.place)) {
        return err == PG_ERR_CANCELLED ? err : PG_OK; // it went away while it was read
    }
    check->checked++;
    if (err == PG_ERR_CORRUPT && check->damaged++ == 0) {
        check->first_damaged = cid;
    }
    return err == PG_ERR_CORRUPT ? PG_OK : err;
}

static pg_err disk_look(pg_block_store *store, pg_block_check *check)
{
    check->ledger_bytes = store->used_bytes;
    for (size_t i = 0; i < store->packs.count; i++) {
        pg_pack *pack = store->packs.packs[i];
        pg_file_info info;
        PG_TRY(pg_packs_acquire(&store->packs, pack, 0));
        pg_err err = pg_file_stat(pack->file, &info);
        pg_packs_release(&store->packs, pack);
        PG_TRY(err);
        check->disk_bytes += info.allocated_bytes;
    }
    return PG_OK;
}

pg_err pg_block_store_check(pg_block_store *store, uint64_t sample, pg_block_check *out_check)
{
    pg_block_check check = {.checked = 0};
    pg_buf space = {0};
    uint64_t blocks = store->index.block_count;
    uint64_t every = sample == 0 || blocks <= sample ? 1 : blocks / sample;
    uint64_t seen = 0;
    pg_err err = disk_look(store, &check);
    for (uint32_t i = 0; i < store->index.entry_count && err == PG_OK; i++) {
        if (pg_block_index_at(&store->index, i)->state == PG_BLOCK_STATE_LIVE &&
            seen++ % every == 0) {
            err = block_look(store, i, sample == 0, &space, &check);
        }
    }
    pg_buf_deinit(&space);
    PG_TRY(err);
    *out_check = check;
    return PG_OK;
}
