// SPDX-License-Identifier: Apache-2.0
#include "files/local.h"

#include <string.h>

#include "base/mem.h"
#include "files/catalogue.h"
#include "files/decode.h"
#include "files/limits.h"

/** One file being read. */
typedef struct reading {
    pg_block_store *blocks;
    uint64_t bytes;
} reading;

static pg_err on_get_block(const pg_cid *cid, const pg_extent *extent, pg_buf *out, void *user)
{
    const reading *self = user;
    (void) extent;
    pg_err err = pg_block_store_get(self->blocks, cid, out);
    return err == PG_ERR_NOT_FOUND ? PG_ERR_MISSING : err;
}

static pg_err shard_get(const reading *self, const pg_shards_want *want, unsigned shard,
                        bool *out_found)
{
    pg_buf block PG_CLEANUP(pg_buf_deinit) = {.max_len = want->shard_bytes};
    pg_cid cid =
        pg_block_cid_of_digest(pg_descriptor_digest(want->descriptor, want->segment, shard));
    pg_err err = pg_block_store_get(self->blocks, &cid, &block);
    *out_found = err == PG_OK && block.len == want->shard_bytes;
    if (*out_found) {
        memcpy(want->shards + (size_t) shard * want->shard_bytes, block.ptr, block.len);
    }
    return err == PG_ERR_NOT_FOUND || err == PG_ERR_CORRUPT || err == PG_ERR_LIMIT ? PG_OK : err;
}

static pg_err on_get_shards(const pg_shards_want *want, pg_shard_set *out_got,
                            pg_shard_set *out_absent, void *user)
{
    unsigned need = want->need;
    for (unsigned i = 0; i < pg_code_shards(want->descriptor->code) && need > 0; i++) {
        pg_shard_set bit = (pg_shard_set) 1 << i;
        bool is_found = false;
        if ((want->tried & bit) != 0) {
            continue;
        }
        PG_TRY(shard_get(user, want, i, &is_found));
        *out_got |= is_found ? bit : 0;
        *out_absent |= is_found ? 0 : bit;
        need -= is_found ? 1 : 0;
    }
    return PG_OK;
}

static pg_err on_write(pg_bytes bytes, void *user)
{
    reading *self = user;
    self->bytes += bytes.len;
    return PG_OK;
}

static pg_err file_open(pg_db *db, pg_block_store *blocks, int64_t id, pg_local_sum *sum)
{
    pg_file_entry *entry = PG_NEW(pg_file_entry);
    reading self = {.blocks = blocks};
    const pg_files_store store = {
        .get_block = on_get_block, .get_shards = on_get_shards, .user = &self};
    const pg_files_output output = {.write = on_write, .user = &self};
    pg_err err = entry == NULL ? PG_ERR_NOMEM : pg_catalogue_row(db, id, entry);
    if (err != PG_OK) {
        pg_mfree(entry);
        return err;
    }
    err = pg_files_decode_stream(&entry->link, 0, &store, &output);
    bool is_damaged = err == PG_ERR_CORRUPT || err == PG_ERR_MALFORMED || err == PG_ERR_KEY ||
                      (err == PG_OK && self.bytes != entry->size_bytes);
    pg_file_entry_deinit(entry);
    pg_mfree(entry);
    sum->damaged += is_damaged ? 1 : 0;
    sum->on_hosts += err == PG_ERR_MISSING ? 1 : 0;
    sum->opened += err == PG_OK && !is_damaged ? 1 : 0;
    sum->bytes += err == PG_OK && !is_damaged ? self.bytes : 0;
    return is_damaged || err == PG_ERR_MISSING ? PG_OK : err;
}

pg_err pg_files_open_local(pg_db *db, pg_block_store *blocks, uint64_t max, pg_local_sum *out_sum)
{
    int64_t *ids = NULL;
    size_t count = 0;
    pg_local_sum sum = {.files = 0};
    PG_TRY(pg_catalogue_files(db, PG_CATALOGUE_LISTED, &ids, &count));
    sum.files = count;
    pg_err err = PG_OK;
    for (size_t i = 0; i < count && blocks != NULL && sum.opened < max && err == PG_OK; i++) {
        err = file_open(db, blocks, ids[i], &sum);
    }
    pg_mfree(ids);
    PG_TRY(err);
    *out_sum = sum;
    return PG_OK;
}
