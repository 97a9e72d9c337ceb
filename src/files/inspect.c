// SPDX-License-Identifier: Apache-2.0
#include <string.h>

#include "base/arena.h"
#include "base/mem.h"
#include "files/extents.h"
#include "files/fetch.h"
#include "files/limits.h"
#include "files/service_priv.h"

/** A link being looked up. */
typedef struct inspection {
    pg_fetch fetch;
    pg_files_store store;
    bool (*extent)(const pg_extent_info *info, void *user); // false: no more of them
    void *user;
    pg_extent_info info;
} inspection;

static void holders_copy(const pg_holders *holders, pg_extent_info *info)
{
    info->holder_count = 0;
    for (size_t i = 0; holders != NULL && i < holders->count; i++) {
        const pg_holder *holder = &holders->items[i];
        if (holder->slots == 0) {
            continue; // it was asked, and has nothing
        }
        info->holders[info->holder_count++] = (pg_slot_holder){
            .peer = holder->peer,
            .slots = holder->slots,
            .is_reachable = holder->has_answered,
            .expiry_s = holder->expiry_s,
        };
    }
}

static pg_err extent_tell(inspection *self, const pg_extent *extent, uint64_t number,
                          bool *out_goes_on)
{
    pg_buf block = {.max_len = PG_DESCRIPTOR_BYTES_MAX};
    pg_descriptor descriptor = {.segment_count = 0};
    pg_err err = self->store.get_block(&extent->descriptor, extent, &block, self->store.user);
    if (err == PG_OK) {
        err = pg_descriptor_decode(pg_buf_bytes(&block), &descriptor);
    }
    if (err == PG_OK) {
        self->info.number = number;
        self->info.plain_bytes = extent->plain_bytes;
        self->info.descriptor = extent->descriptor;
        self->info.code = descriptor.code;
        holders_copy(pg_fetch_holders(&self->fetch, descriptor.extent_id), &self->info);
        *out_goes_on = self->extent(&self->info, self->user);
    }
    pg_descriptor_deinit(&descriptor);
    pg_buf_deinit(&block);
    return pg_error_wrap(err, "extent %llu", (unsigned long long) number);
}

static pg_err extents_tell(inspection *self, pg_bytes list)
{
    bool goes_on = true;
    for (uint64_t number = 0; list.len > 0 && goes_on; number++) {
        pg_arena arena = pg_arena_make(PG_EXTENT_LIST_BYTES_MAX);
        pg_extent extent = {.plain_bytes = 0};
        pg_err err = pg_extents_take(&list, &arena, &extent);
        if (err == PG_OK) {
            err = extent_tell(self, &extent, number, &goes_on);
        }
        pg_arena_deinit(&arena);
        PG_TRY(err);
    }
    return PG_OK;
}

static pg_err extents_count(pg_bytes list, uint64_t *out_count)
{
    *out_count = 0;
    while (list.len > 0) {
        pg_arena arena = pg_arena_make(PG_EXTENT_LIST_BYTES_MAX);
        pg_extent extent;
        pg_err err = pg_extents_take(&list, &arena, &extent);
        pg_arena_deinit(&arena);
        PG_TRY(err);
        ++*out_count;
    }
    return PG_OK;
}

static pg_err root_tell(const pg_root *root, void (*tell)(const pg_link_info *info, void *user),
                        void *user)
{
    pg_link_info info = {
        .size_bytes = root->size_bytes,
        .kind = root->kind,
        .name = pg_buf_bytes(&root->name),
        .is_inline = root->extents.len == 0,
    };
    PG_TRY(extents_count(pg_buf_bytes(&root->extents), &info.extents));
    if (tell != NULL) {
        tell(&info, user);
    }
    return PG_OK;
}

pg_err pg_files_inspect(pg_files *files, const pg_link *link,
                        void (*root)(const pg_link_info *info, void *user),
                        bool (*extent)(const pg_extent_info *info, void *user), void *user)
{
    pg_root read = {0};
    inspection *self = PG_NEW(inspection);
    if (self == NULL) {
        return PG_ERR_NOMEM;
    }
    pg_fetch_init(&self->fetch, files);
    self->fetch.asks_all = true;
    self->store = pg_fetch_store(&self->fetch);
    self->extent = extent;
    self->user = user;
    pg_err err = pg_files_decode_root(link, &self->store, &read);
    if (err == PG_OK) {
        err = root_tell(&read, root, user);
    }
    if (err == PG_OK && extent != NULL) {
        err = extents_tell(self, pg_buf_bytes(&read.extents));
    }
    pg_root_deinit(&read);
    pg_fetch_deinit(&self->fetch);
    pg_mfree(self);
    return err;
}
