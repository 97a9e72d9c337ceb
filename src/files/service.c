// SPDX-License-Identifier: Apache-2.0
#include "files/service.h"

#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "crypto/hash.h"
#include "exchange/place_client.h"
#include "files/abandon.h"
#include "files/discover.h"
#include "files/extents.h"
#include "files/limits.h"
#include "files/service_priv.h"
#include "files/unfinished.h"
#include "files/vault.h"
#include "runtime/time.h"

// ---- Hosts

/** Candidates being listed. */
typedef struct listing {
    pg_files *files;
    const pg_peer_id *exclude;
    size_t exclude_count;
    pg_host_candidate *candidates;
    size_t count;
} listing;

static bool is_excluded(const listing *list, const pg_peer_id *peer)
{
    for (size_t i = 0; i < list->exclude_count; i++) {
        if (pg_peer_id_equal(&list->exclude[i], peer)) {
            return true;
        }
    }
    for (size_t i = 0; i < list->count; i++) {
        if (pg_peer_id_equal(&list->candidates[i].peer, peer)) {
            return true; // a second connection with it
        }
    }
    return false;
}

/** Return true when a peer takes placements, and may be given any. */
static bool is_host(const listing *list, const pg_book_peer *peer)
{
    return pg_book_peer_has_protocol(peer, PG_PLACE_ID) &&
           pg_health_allows(list->files->config.health, &peer->id);
}

static void on_conn(const pg_host_conn *conn, void *user)
{
    listing *list = user;
    const pg_peer_id *peer = conn->info.peer;
    const pg_book_peer *known = pg_peer_book_get(pg_host_book(list->files->config.host), peer);
    if (list->count == PG_FILES_CANDIDATES_MAX || known == NULL || !is_host(list, known) ||
        is_excluded(list, peer)) {
        return;
    }
    pg_host_candidate *candidate = &list->candidates[list->count++];
    candidate->peer = *peer;
    pg_network_of(conn->info.remote_addr, candidate->network);
}

/** Peers met before, who may be there again: where those who are connected do not suffice. */
static void book_list(listing *list)
{
    pg_peer_book *book = pg_host_book(list->files->config.host);
    pg_map_cursor cursor = {.begun = false};
    for (const pg_book_peer *peer = pg_peer_book_next(book, &cursor);
         peer != NULL && list->count < PG_FILES_CANDIDATES_MAX;
         peer = pg_peer_book_next(book, &cursor)) {
        if (peer->addr_count > 0 && is_host(list, peer) && !is_excluded(list, &peer->id)) {
            pg_host_candidate *candidate = &list->candidates[list->count++];
            candidate->peer = peer->id;
            pg_network_of(pg_multiaddr_bytes(&peer->addrs[0].addr), candidate->network);
        }
    }
}

size_t pg_files_candidates(pg_files *files, const pg_peer_id *exclude, size_t exclude_count,
                           pg_host_candidate *out_candidates, size_t *out_connected)
{
    listing list = {files, exclude, exclude_count, out_candidates, 0};
    pg_host_conns_each(files->config.host, on_conn, &list);
    *out_connected = list.count;
    if (list.count < PG_CODE_SHARDS_MAX) {
        book_list(&list);
    }
    return list.count;
}

static void on_host_event(const pg_host_event *event, void *user)
{
    if (event->kind == PG_HOST_EVENT_IDENTIFIED) {
        pg_files_spread_wake(user);
        pg_publish_peer_appeared(user);
    }
}

// ---- Locks and places

pg_err pg_files_lock(pg_files *files)
{
    while (files->is_locked) {
        PG_TRY(pg_waitq_wait(&files->unlocked, PG_FOREVER));
    }
    files->is_locked = true;
    return PG_OK;
}

void pg_files_unlock(pg_files *files)
{
    files->is_locked = false;
    (void) pg_waitq_wake_one(&files->unlocked);
}

void pg_files_recount(pg_files *files)
{
    pg_catalogue_sums sums;
    if (pg_catalogue_counts(files->config.db, &sums) == PG_OK) {
        files->totals.files_pending = sums.files[PG_FILE_STATE_PENDING];
        files->totals.files_partial = sums.files[PG_FILE_STATE_PARTIAL];
        files->totals.files = sums.files[PG_FILE_STATE_COMPLETE] + files->totals.files_pending +
                              files->totals.files_partial;
        files->totals.files_bytes = sums.bytes;
    }
}

void pg_files_rely(pg_files *files)
{
    pg_ignore(pg_reliance_read(&files->reliance, files->config.db),
              "it only says whom to stay connected with; read again in an hour");
}

bool pg_files_relies_on(const pg_files *files, const pg_peer_id *host)
{
    return pg_reliance_has(&files->reliance, host);
}

size_t pg_files_hosts(const pg_files *files, pg_peer_id *out_hosts, size_t max)
{
    return pg_reliance_list(&files->reliance, out_hosts, max);
}

pg_err pg_files_transfer_begin(pg_files *files)
{
    const pg_time deadline = pg_after(PG_MINUTES(PG_TRANSFER_WAIT_MINUTES));
    while (files->transfers == PG_TRANSFERS_MAX) {
        pg_err err = pg_waitq_wait(&files->transfer_ended, deadline);
        if (err == PG_ERR_TIMEOUT) {
            return pg_fail(PG_ERR_BUSY, "%u transfers are running, and none ended for %d minutes",
                           PG_TRANSFERS_MAX, PG_TRANSFER_WAIT_MINUTES);
        }
        PG_TRY(err);
    }
    files->transfers++;
    return PG_OK;
}

void pg_files_transfer_end(pg_files *files)
{
    files->transfers--;
    (void) pg_waitq_wake_one(&files->transfer_ended);
}

// ---- Blocks that are on this node only

/** Need one block more, or less. */
static pg_err need_change(pg_files *files, const pg_cid *cid, bool on)
{
    if (!on) {
        pg_keep_drop(&files->keep, cid);
        return PG_OK;
    }
    return pg_keep_need(&files->keep, cid);
}

static pg_err shards_change(pg_files *files, const pg_descriptor *descriptor, pg_slot_set slots,
                            bool on)
{
    for (uint32_t g = 0; g < descriptor->segment_count; g++) {
        for (unsigned slot = 0; slot < pg_code_shards(descriptor->code); slot++) {
            if ((slots >> slot & 1) == 0) {
                continue;
            }
            pg_cid cid = pg_block_cid_of_digest(pg_descriptor_digest(
                descriptor, g, pg_code_shard_of_slot(descriptor->code, g, slot)));
            PG_TRY(need_change(files, &cid, on));
        }
    }
    return PG_OK;
}

pg_err pg_files_local_need(pg_files *files, const pg_catalogue_extent *extent, pg_slot_set slots,
                           bool on)
{
    pg_buf block = {.max_len = PG_BLOCK_BYTES_MAX};
    pg_descriptor descriptor = {.segment_count = 0};
    pg_err err = PG_OK;
    if (!extent->is_whole) {
        err = pg_block_store_get(files->config.blocks, &extent->descriptor, &block);
        if (err == PG_OK) {
            err = pg_descriptor_decode(pg_buf_bytes(&block), &descriptor);
        }
        if (err == PG_OK) {
            err = shards_change(files, &descriptor, slots, on);
        }
        pg_descriptor_deinit(&descriptor);
    }
    pg_buf_deinit(&block);
    PG_TRY(err);
    if (slots == extent->local) {
        PG_TRY(need_change(files, &extent->descriptor, on));
        if (extent->root.len > 0) {
            PG_TRY(need_change(files, &extent->root, on));
        }
    }
    return PG_OK;
}

// An extent that is noted before its descriptor is here, when the node ended in between, is dropped; one whose descriptor was damaged is
// lost. Neither keeps the node from starting.
static pg_err local_need_again(pg_files *files, int64_t file, const pg_catalogue_extent *extent)
{
    pg_err err = pg_files_local_need(files, extent, extent->local, true);
    if (err != PG_ERR_NOT_FOUND && err != PG_ERR_CORRUPT) {
        return err;
    }
    pg_log(file == 0 ? PG_LOG_LEVEL_DEBUG : PG_LOG_LEVEL_WARN, "files.extent.lost",
           PG_LOG_U64("file", (uint64_t) file), PG_LOG_STR("error", pg_err_name(err)));
    return PG_OK;
}

static pg_err local_need_all(pg_files *files, int64_t file)
{
    pg_catalogue_extent *extents = NULL;
    size_t count = 0;
    PG_TRY(pg_catalogue_extents(files->config.db, file, &extents, &count));
    pg_err err = PG_OK;
    for (size_t i = 0; i < count && err == PG_OK; i++) {
        if (extents[i].local != 0) {
            err = local_need_again(files, file, &extents[i]);
        }
    }
    pg_mfree(extents);
    return err;
}

/** Find out what was needed when the node ended. */
static pg_err needs_load(pg_files *files)
{
    int64_t *ids = NULL;
    pg_cid *pins = NULL;
    size_t count = 0;
    PG_TRY(pg_catalogue_files(files->config.db, PG_CATALOGUE_INCOMPLETE, &ids, &count));
    pg_err err = local_need_all(files, 0);
    for (size_t i = 0; i < count && err == PG_OK; i++) {
        err = local_need_all(files, ids[i]);
    }
    pg_mfree(ids);
    PG_TRY(err);
    PG_TRY(pg_catalogue_pins(files->config.db, &pins, &count));
    for (size_t i = 0; i < count && err == PG_OK; i++) {
        err = pg_keep_need(&files->keep, &pins[i]);
    }
    files->totals.pinned_blocks = count;
    pg_mfree(pins);
    return err == PG_OK ? pg_files_pins_load(files) : err;
}

// ---- Beginning and end

// Where the ledger is not there to be asked (at the beginning and at the end) everything counts as held.
static bool is_held(const pg_cid *cid, void *user)
{
    const pg_files *files = user;
    return files->place == NULL || pg_place_server_holds(files->place, cid);
}

static pg_err files_begin(pg_files *files)
{
    PG_TRY(pg_keep_init(&files->keep, files->config.blocks, files->config.db,
                        files->config.cache_bytes_max));
    PG_TRY(pg_unfinished_expire(files->config.db, pg_wall_ms() / 1000 - PG_PUT_RESUME_S));
    PG_TRY(pg_catalogue_recover(files->config.db));
    PG_TRY(needs_load(files));
    pg_files_recount(files);
    pg_files_rely(files);
    PG_TRY(pg_host_watch(files->config.host, on_host_event, files));
    PG_TRY(pg_abandon_left(files));
    PG_TRY(pg_scope_spawn(&files->scope, "files.announce", pg_files_announce_run, files));
    PG_TRY(pg_scope_spawn(&files->scope, "files.grants", pg_files_grants_run, files));
    PG_TRY(pg_scope_spawn(&files->scope, "files.tend", pg_files_tend_run, files));
    PG_TRY(pg_scope_spawn(&files->scope, "files.pins", pg_files_pin_again_run, files));
    PG_TRY(pg_feed_own_load(files->config.db, &files->publisher.own));
    if (files->config.dht != NULL && files->config.person != NULL) {
        PG_TRY(pg_scope_spawn(&files->scope, "files.publish", pg_publish_run, files));
    }
    return pg_scope_spawn(&files->scope, "files.spread", pg_files_spread_run, files);
}

pg_err pg_files_new(const pg_files_config *config, pg_files **out_files)
{
    pg_files *files = PG_NEW(pg_files);
    if (files == NULL) {
        return PG_ERR_NOMEM;
    }
    files->config = *config;
    pg_grants_init(&files->grants, config->dht == NULL);
    files->keep.is_held = is_held;
    files->keep.user = files;
    pg_scope_init_tolerant(&files->scope);
    pg_waitq_init(&files->wake);
    pg_waitq_init(&files->unlocked);
    pg_waitq_init(&files->transfer_ended);
    pg_publisher_init(&files->publisher);
    pg_list_init(&files->pinnings);
    pg_waitq_init(&files->pins_found);
    pg_list_init(&files->puts);
    pg_waitq_init(&files->put_ended);
    pg_err err = files_begin(files);
    if (err != PG_OK) {
        pg_error_record kept = pg_error_keep();
        pg_files_free(&files);
        return pg_error_again(&kept, err);
    }
    *out_files = files;
    return PG_OK;
}

void pg_files_attach_place(pg_files *files, pg_place_server *place)
{
    files->place = place;
}

void pg_files_attach_vault(pg_files *files, struct pg_vault *vault)
{
    files->vault = vault;
}

void pg_files_free(pg_files **files)
{
    pg_files *dead = *files;
    if (dead == NULL) {
        return;
    }
    pg_host_unwatch(dead->config.host, on_host_event, dead);
    pg_scope_close(&dead->scope);
    pg_grants_deinit(&dead->grants);
    pg_keep_deinit(&dead->keep);
    pg_reliance_deinit(&dead->reliance);
    pg_mfree(dead);
    *files = NULL;
}

bool pg_files_needs(const pg_files *files, const pg_cid *cid)
{
    return pg_keep_wants(&files->keep, cid);
}

void pg_files_dropped(pg_files *files, const pg_lease_grant *grant)
{
    pg_vault_dropped(files->vault, grant);
}

bool pg_files_make_room(pg_files *files, uint64_t bytes)
{
    return pg_keep_make_room(&files->keep, bytes);
}

void pg_files_lost(pg_files *files, const pg_cid *cid)
{
    pg_keep_lost(&files->keep, cid);
    if (pg_keep_wants(&files->keep, cid)) {
        pg_log(PG_LOG_LEVEL_WARN,
               "files.block.lost"); // of a file that waits here, or one that was pinned
    }
}

void pg_file_entry_deinit(pg_file_entry *entry)
{
    if (entry != NULL) {
        pg_link_wipe(&entry->link);
        pg_buf_deinit(&entry->name);
    }
}

// ---- The catalogue

pg_err pg_files_list(pg_files *files, pg_file_page *page,
                     void (*each)(const pg_file_entry *entry, void *user), void *user)
{
    int64_t *ids = NULL;
    size_t count = 0;
    pg_file_entry *entry = PG_NEW(pg_file_entry);
    if (entry == NULL) {
        return PG_ERR_NOMEM;
    }
    pg_err err = pg_catalogue_page(files->config.db, page, &ids, &count);
    for (size_t i = 0; i < count && err == PG_OK; i++) {
        err = pg_catalogue_entry(files->config.db, ids[i], entry);
        if (err == PG_OK) {
            each(entry, user);
            pg_file_entry_deinit(entry);
        } else if (err == PG_ERR_NOT_FOUND) {
            err = PG_OK; // removed meanwhile
        }
    }
    pg_mfree(ids);
    pg_mfree(entry);
    return err;
}

pg_err pg_files_find(pg_files *files, const pg_cid *root, pg_file_entry *out_entry)
{
    int64_t file = 0;
    PG_TRY(pg_catalogue_find(files->config.db, root, &file));
    return pg_catalogue_entry(files->config.db, file, out_entry);
}

static pg_err extents_drop(pg_files *files, pg_catalogue_extent *extents, size_t count,
                           uint32_t *out_dropped, uint32_t *out_hosts)
{
    for (size_t i = 0; i < count; i++) {
        uint32_t hosts = (uint32_t) extents[i].holder_count;
        uint32_t dropped = 0;
        PG_TRY(pg_files_drop_extent(files, &extents[i], &dropped));
        *out_hosts += hosts;
        *out_dropped += dropped;
    }
    return PG_OK;
}

static pg_err file_remove(pg_files *files, int64_t file, uint32_t *out_dropped, uint32_t *out_hosts)
{
    pg_catalogue_extent *extents = NULL;
    size_t count = 0;
    PG_TRY(pg_catalogue_extents(files->config.db, file, &extents, &count));
    pg_err err = pg_catalogue_remove(files->config.db, file);
    if (err == PG_OK) {
        err = extents_drop(files, extents, count, out_dropped, out_hosts);
    }
    pg_mfree(extents);
    return err;
}

pg_err pg_files_remove(pg_files *files, const pg_cid *root, uint32_t *out_dropped,
                       uint32_t *out_hosts)
{
    int64_t file = 0;
    uint32_t dropped = 0;
    uint32_t hosts = 0;
    PG_TRY(pg_catalogue_find(files->config.db, root, &file));
    PG_TRY(pg_files_lock(files));
    pg_err err = file_remove(files, file, &dropped, &hosts);
    pg_files_unlock(files);
    pg_files_recount(files);
    pg_publish_changed(files);
    PG_TRY(err);
    *out_dropped = dropped;
    *out_hosts = hosts;
    return PG_OK;
}

// ---- Public blocks

pg_err pg_files_block_put(pg_files *files, pg_bytes bytes, pg_cid *out_cid)
{
    if (bytes.len > PG_BITSWAP_BLOCK_BYTES_MAX) {
        return pg_fail(PG_ERR_LIMIT, "a block has at most %u bytes, this has %zu",
                       PG_BITSWAP_BLOCK_BYTES_MAX, bytes.len);
    }
    pg_cid cid = pg_cid_of_sha256(bytes);
    PG_TRY(pg_keep_put(&files->keep, &cid, bytes));
    pg_err err = pg_catalogue_pin(files->config.db, &cid, (uint32_t) bytes.len);
    if (err != PG_OK) {
        pg_keep_drop(&files->keep, &cid);
    }
    if (err != PG_OK && err != PG_ERR_EXISTS) { // pinned before: once is enough
        return err;
    }
    files->totals.pinned_blocks += err == PG_OK ? 1 : 0;
    pg_bitswap_announce(files->config.bitswap, &cid);
    *out_cid = cid;
    return PG_OK;
}

pg_err pg_files_block_get(pg_files *files, const pg_cid *cid, pg_time deadline, pg_buf *out)
{
    if (pg_block_store_has(files->config.blocks, cid, NULL) &&
        pg_block_store_get(files->config.blocks, cid, out) == PG_OK) {
        return PG_OK;
    }
    pg_err err = pg_bitswap_fetch_any(files->config.bitswap, NULL, cid, deadline, out, NULL);
    if (err == PG_ERR_NOT_FOUND) {
        pg_peer_id peers[PG_PROVIDERS_MAX];
        size_t count = pg_discover_public(files, cid, peers);
        if (count == 0) {
            return pg_fail(err, "none of the nodes that were asked has this block");
        }
        const pg_bitswap_sources sources = {peers, count};
        err = pg_bitswap_fetch_any(files->config.bitswap, &sources, cid, deadline, out, NULL);
    }
    PG_TRY(err);
    pg_keep_offer(&files->keep, cid, pg_buf_bytes(out));
    return PG_OK;
}

pg_files_stats pg_files_get_stats(const pg_files *files)
{
    pg_files_stats stats = files->totals;
    stats.cache_bytes = files->keep.cache_bytes;
    stats.cache_bytes_max = files->keep.cache_bytes_max;
    stats.clock_hosts = files->peer_clock.count;
    stats.clock_ahead_s = pg_peer_clock_ahead_s(&files->peer_clock);
    return stats;
}
