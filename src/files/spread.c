// SPDX-License-Identifier: Apache-2.0
// What a put left to be done: files that wait on this node or crowd on few hosts go to hosts that appear, and what was removed is
// dropped by the hosts that have it.
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "files/lease_keys.h"
#include "files/limits.h"
#include "files/notices.h"
#include "files/publish.h"
#include "files/service_priv.h"
#include "files/upload.h"
#include "runtime/time.h"

// ---- Dropping

static void holders_forget(pg_catalogue_extent *extent, const pg_notice *notices, size_t count)
{
    size_t left = 0;
    for (size_t i = 0; i < count; i++) {
        if (!notices[i].is_done) {
            extent->holders[left++] = extent->holders[i];
        }
    }
    extent->holder_count = left;
}

/** Tell the hosts of an extent to drop it. *out_known is the highest sequence of a later grant that one of them keeps to; 0 = none. */
static pg_err drop_tell(pg_files *files, pg_catalogue_extent *extent, pg_bytes grant,
                        uint64_t *out_known)
{
    pg_notice notices[PG_PLACE_SLOTS_MAX] = {{.files = NULL}};
    size_t count = extent->holder_count;
    for (size_t i = 0; i < count; i++) {
        notices[i].files = files;
        notices[i].extent = extent;
        notices[i].holder = &extent->holders[i];
        notices[i].grant = grant;
    }
    PG_TRY(pg_notices_send(notices, count));
    *out_known = 0;
    for (size_t i = 0; i < count; i++) {
        *out_known = notices[i].known > *out_known ? notices[i].known : *out_known;
    }
    holders_forget(extent, notices, count);
    return PG_OK;
}

/** Append the grant that drops an extent: signed and noted once, and the same ever after. */
static pg_err drop_sign(pg_files *files, pg_catalogue_extent *extent, pg_buf *out)
{
    if (extent->is_dropped) {
        return pg_grants_again(files, extent, out);
    }
    PG_TRY(pg_files_grant(files, extent, 0, out));
    extent->is_dropped = true;
    return pg_catalogue_extent_write(files->config.db, 0, extent);
}

// A catalogue can be older than what its hosts were told, and the clock behind, when it was restored: then it is signed again, above what they
// know. One who makes that up gains a few rounds; the lease ends by itself.
static pg_err drop_rounds(pg_files *files, pg_catalogue_extent *extent)
{
    uint64_t known = 1;
    for (unsigned round = 0; round < PG_DROP_ROUNDS_MAX && known != 0; round++) {
        pg_buf grant PG_CLEANUP(pg_buf_deinit) = {0};
        PG_TRY(drop_sign(files, extent, &grant));
        PG_TRY(drop_tell(files, extent, pg_buf_bytes(&grant), &known));
        if (known != 0) {
            extent->sequence = known;
            extent->is_dropped = false;
        }
    }
    return PG_OK;
}

static pg_err drop_try(pg_files *files, pg_catalogue_extent *extent, uint32_t *out_dropped)
{
    size_t hosts = extent->holder_count;
    *out_dropped = 0;
    if (extent->is_dropped && hosts == 0) {
        return PG_OK; // whoever may still have it finds the grant in the DHTs
    }
    PG_TRY(drop_rounds(files, extent));
    *out_dropped = (uint32_t) (hosts - extent->holder_count);
    bool is_written = *out_dropped == 0 && extent->is_dropped;
    return is_written ? PG_OK : pg_catalogue_extent_write(files->config.db, 0, extent);
}

pg_err pg_files_drop_extent(pg_files *files, pg_catalogue_extent *extent, uint32_t *out_dropped)
{
    PG_TRY(drop_try(files, extent, out_dropped));
    if (extent->local != 0) {
        pg_ignore(pg_files_local_need(files, extent, extent->local, false),
                  "a descriptor that is gone leaves strays, which go by themselves");
        extent->local = 0;
        PG_TRY(pg_catalogue_extent_write(files->config.db, 0, extent));
    }
    uint64_t gone_s = extent->expiry_s + PG_PLACE_GRACE_S;
    bool have_all = extent->holder_count == 0 && !extent->has_strays;
    if (!have_all && (uint64_t) pg_wall_ms() / 1000 <= gone_s) {
        return PG_OK;
    }
    PG_TRY(pg_catalogue_extent_forget(files->config.db, extent->id));
    return pg_grants_end(files, extent);
}

/** Let those who wait to move or drop something have their turn. */
static pg_err turn_give(pg_files *files)
{
    pg_files_unlock(files);
    return pg_fiber_yield();
}

static pg_err drop_all(pg_files *files)
{
    pg_catalogue_extent *extents = NULL;
    size_t count = 0;
    PG_TRY(pg_files_lock(files));
    pg_err err = pg_catalogue_extents(files->config.db, 0, &extents, &count);
    pg_files_unlock(files);
    for (size_t i = 0; i < count && err == PG_OK; i++) { // what is dropped is nobody else's
        uint32_t dropped = 0;
        err = pg_files_lock(files);
        if (err == PG_OK) {
            err = pg_files_drop_extent(files, &extents[i], &dropped);
            pg_err turn = turn_give(files);
            err = err == PG_OK ? turn : err;
        }
    }
    pg_mfree(extents);
    return err;
}

// ---- Spreading

/** Append the descriptor of an extent, or its whole block: from here, or from its hosts. */
static pg_err block_get(pg_files *files, const pg_catalogue_extent *extent, pg_buf *out)
{
    pg_peer_id peers[PG_PLACE_SLOTS_MAX];
    if (pg_block_store_has(files->config.blocks, &extent->descriptor, NULL) &&
        pg_block_store_get(files->config.blocks, &extent->descriptor, out) == PG_OK) {
        return PG_OK;
    }
    for (size_t i = 0; i < extent->holder_count; i++) {
        peers[i] = extent->holders[i].peer;
    }
    const pg_bitswap_sources sources = {peers, extent->holder_count};
    return pg_bitswap_fetch_any(files->config.bitswap, &sources, &extent->descriptor,
                                pg_after(PG_MS(PG_FETCH_BLOCK_MS)), out, NULL);
}

static pg_err root_get(pg_files *files, const pg_catalogue_extent *extent, pg_buf *out)
{
    pg_catalogue_extent root = *extent;
    root.descriptor = extent->root;
    return extent->root.len == 0 ? PG_OK : block_get(files, &root, out);
}

/** Let old hosts drop the slots that others hold now. */
static pg_err release_moved(pg_files *files, const pg_catalogue_extent *before,
                            pg_catalogue_extent *after)
{
    pg_notice notices[PG_PLACE_SLOTS_MAX] = {{.files = NULL}};
    size_t count = 0;
    pg_identity lease = {.peer_id = {.len = 0}};
    PG_TRY(pg_files_lease_key(files->config.owner, before->extent_id, &lease));
    pg_err err = PG_OK;
    for (size_t i = 0; i < before->holder_count && err == PG_OK; i++) {
        const pg_catalogue_holder *old = &before->holders[i];
        pg_slot_set kept =
            i < after->holder_count && pg_peer_id_equal(&after->holders[i].peer, &old->peer)
                ? after->holders[i].slots
                : 0;
        if ((old->slots & ~kept) == 0) {
            continue;
        }
        after->sequence = pg_files_next_sequence(after->sequence);
        const pg_lease_release release = {
            .descriptor = before->descriptor,
            .host = old->peer,
            .slots = old->slots & ~kept,
            .sequence = after->sequence,
        };
        notices[count] = (pg_notice){.files = files, .extent = before, .holder = old};
        err = pg_lease_release_encode(&lease, &release, &notices[count++].release);
    }
    pg_identity_deinit(&lease);
    if (err == PG_OK) {
        err = pg_notices_send(notices, count);
    }
    after->has_strays = before->has_strays;
    for (size_t i = 0; i < count; i++) {
        after->has_strays |= err != PG_OK || !notices[i].is_done;
        pg_buf_deinit(&notices[i].release);
    }
    return err;
}

/** Drop what has its place elsewhere now: on old hosts, and here. */
static pg_err moved_drop(pg_files *files, const pg_catalogue_extent *before,
                         pg_catalogue_extent *after)
{
    PG_TRY(release_moved(files, before, after));
    pg_slot_set moved = before->local & ~after->local;
    return moved == 0 ? PG_OK : pg_files_local_need(files, before, moved, false);
}

static pg_err extent_move(pg_files *files, int64_t file, pg_upload *upload,
                          pg_catalogue_extent *extent)
{
    pg_catalogue_extent before = *extent;
    pg_buf block = {.max_len = PG_BLOCK_BYTES_MAX};
    pg_buf root = {.max_len = PG_ROOT_BYTES_MAX};
    pg_err err = block_get(files, extent, &block);
    if (err == PG_OK) {
        err = root_get(files, extent, &root);
    }
    if (err == PG_OK) {
        err = pg_upload_finish(upload, pg_buf_bytes(&block), &before.descriptor, extent);
    }
    if (err == PG_OK) {
        err =
            pg_upload_seal(upload, pg_buf_bytes(&root), root.len > 0 ? &before.root : NULL, extent);
    }
    if (err == PG_OK) {
        extent->id = before.id;
        before.has_strays |= extent->has_strays;
        extent->has_strays = before.has_strays || before.holder_count > 0; // until they are told
        err = pg_catalogue_extent_write(files->config.db, file, extent);
    }
    if (err == PG_OK) {
        pg_upload_recorded(upload);
        pg_publish_changed(files);
        pg_reliance_add(&files->reliance, extent);
        err = moved_drop(files, &before, extent);
        if (err == PG_OK && !extent->has_strays) {
            err = pg_catalogue_extent_write(files->config.db, file, extent);
        }
    } else {
        *extent = before; // that is what the catalogue says
    }
    pg_buf_deinit(&block);
    pg_buf_deinit(&root);
    return err;
}

static pg_err extent_spread(pg_files *files, int64_t file, pg_catalogue_extent *extent)
{
    pg_upload *upload = NULL;
    if (pg_catalogue_state_of(extent, 1) == PG_FILE_STATE_COMPLETE) {
        return PG_OK;
    }
    PG_TRY(pg_upload_resume(files, extent, &upload));
    if (upload == NULL) {
        return PG_OK; // nobody new
    }
    pg_err err = extent_move(files, file, upload, extent);
    pg_fiber_shield(true);
    if (err == PG_OK) {
        pg_upload_free(&upload);
    } else {
        pg_upload_abandon(&upload);
    }
    pg_fiber_shield(false);
    return err;
}

static pg_err file_spread(pg_files *files, int64_t file)
{
    pg_catalogue_extent *extents = NULL;
    size_t count = 0;
    PG_TRY(pg_catalogue_extents(files->config.db, file, &extents, &count));
    pg_err err = PG_OK;
    for (size_t i = 0; i < count && err != PG_ERR_CANCELLED; i++) {
        err = extent_spread(files, file, &extents[i]);
        if (err != PG_OK) {
            pg_log(PG_LOG_LEVEL_INFO, "files.spread.failed", PG_LOG_STR("error", pg_err_name(err)),
                   PG_LOG_STR("detail", pg_error_detail(err)));
        }
    }
    if (err != PG_ERR_CANCELLED) {
        err = pg_catalogue_state(files->config.db, file, pg_catalogue_state_of(extents, count));
    }
    pg_mfree(extents);
    return err;
}

static pg_err spread_all(pg_files *files)
{
    int64_t *ids = NULL;
    size_t count = 0;
    PG_TRY(pg_catalogue_files(files->config.db, PG_CATALOGUE_INCOMPLETE, &ids, &count));
    pg_err err = PG_OK;
    for (size_t i = 0; i < count && err == PG_OK; i++) {
        err = pg_files_lock(files); // a file at a time: who removes one need not wait for all
        if (err == PG_OK) {
            err = file_spread(files, ids[i]);
            pg_err turn = turn_give(files);
            err = err == PG_OK ? turn : err;
        }
    }
    pg_mfree(ids);
    pg_files_recount(files);
    return err;
}

void pg_files_spread_wake(pg_files *files)
{
    files->is_woken = true;
    pg_waitq_wake_all(&files->wake);
}

pg_err pg_files_spread_run(void *arg)
{
    pg_files *files = arg;
    for (;;) {
        pg_err err = PG_OK;
        pg_time until = pg_after(PG_SECONDS(PG_SPREAD_SECONDS));
        while (!files->is_woken && err == PG_OK) {
            err = pg_waitq_wait(&files->wake, until);
        }
        files->is_woken = false;
        if (err == PG_OK || err == PG_ERR_TIMEOUT) {
            err = drop_all(files);
        }
        if (err == PG_OK) {
            err = spread_all(files);
        }
        if (err == PG_ERR_CANCELLED) {
            return err;
        }
        if (err != PG_OK) {
            pg_log(PG_LOG_LEVEL_WARN, "files.catalogue.failed",
                   PG_LOG_STR("error", pg_err_name(err)),
                   PG_LOG_STR("detail", pg_error_detail(err)));
        }
    }
}
