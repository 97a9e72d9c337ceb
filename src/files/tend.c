// SPDX-License-Identifier: Apache-2.0
// Looking after what was put here: hosts are asked what they hold, leases are renewed at half their life, and slots that are lost are noted, for
// the spreading (spread.c) to place anew. Hosts are slow to be given up: only after a day in which they answered nothing, or when they say
// themselves that they do not have it.
#include "base/log.h"
#include "base/mem.h"
#include "exchange/place_client.h"
#include "files/adopt.h"
#include "files/discover.h"
#include "files/limits.h"
#include "files/notices.h"
#include "files/publish.h"
#include "files/service_priv.h"
#include "runtime/time.h"

/** One host being asked. */
typedef struct check {
    pg_files *files;
    const pg_catalogue_extent *extent;
    const pg_catalogue_holder *holder;
    pg_peer_id peer;
    bool has_answered;
    pg_slot_set slots;
    uint64_t expiry_s;
    pg_place_holding *holding; // the whole answer
} check;

static pg_err check_run(void *arg)
{
    check *self = arg;
    pg_place_holding *holding = PG_NEW(pg_place_holding);
    if (holding == NULL) {
        return PG_ERR_NOMEM;
    }
    pg_discover_peer(self->files, &self->holder->peer);
    self->has_answered =
        pg_place_have(self->files->config.host, &self->holder->peer, &self->extent->descriptor,
                      NULL, pg_after(PG_MS(PG_UPLOAD_OPEN_MS)), holding) == PG_OK;
    self->slots = holding->slots;
    self->expiry_s = holding->expiry_s;
    self->holding = holding;
    return pg_fiber_is_cancelled() ? PG_ERR_CANCELLED : PG_OK;
}

static pg_err checks_run(check *checks, size_t count)
{
    pg_scope scope;
    pg_err err = PG_OK;
    pg_scope_init(&scope);
    for (size_t i = 0; i < count && err == PG_OK; i++) {
        err = pg_scope_spawn(&scope, "files.check", check_run, &checks[i]);
    }
    if (err != PG_OK) {
        pg_scope_close(&scope);
        return err;
    }
    return pg_scope_join(&scope);
}

/** Take over what the hosts said; *out_behind are those whose lease ends before ours says. Returns true when slots were lost. */
static bool checks_take(pg_catalogue_extent *extent, const check *checks, pg_slot_set *out_behind)
{
    size_t left = 0;
    bool is_lost = false;
    *out_behind = 0;
    for (size_t i = 0; i < extent->holder_count; i++) {
        pg_catalogue_holder holder = extent->holders[i];
        holder.missed = checks[i].has_answered ? 0 : holder.missed + 1;
        if (checks[i].has_answered) {
            is_lost |= (holder.slots & ~checks[i].slots) != 0;
            holder.slots &= checks[i].slots;
            holder.bytes = (uint64_t) __builtin_popcount(holder.slots) * extent->slot_bytes;
        }
        if (holder.missed >= PG_TEND_MISSED_MAX || holder.slots == 0) {
            is_lost = true;
            extent->has_strays |= holder.slots != 0; // it may come back with them
            pg_log(PG_LOG_LEVEL_INFO, "files.host.gone", PG_LOG_U64("missed", holder.missed));
            continue;
        }
        if (checks[i].has_answered && checks[i].expiry_s < extent->expiry_s) {
            *out_behind |= (pg_slot_set) 1 << left;
        }
        extent->holders[left++] = holder;
    }
    extent->holder_count = left;
    return is_lost;
}

/** Give the hosts in `behind` a grant with the present expiry. */
static pg_err grants_send(pg_files *files, pg_catalogue_extent *extent, pg_slot_set behind)
{
    pg_notice notices[PG_PLACE_SLOTS_MAX] = {{.files = NULL}};
    pg_buf grant = {0};
    size_t count = 0;
    PG_TRY(pg_files_grant(files, extent, extent->expiry_s, &grant));
    for (size_t i = 0; i < extent->holder_count; i++) {
        if ((behind >> i & 1) != 0) {
            notices[count++] = (pg_notice){.files = files,
                                           .extent = extent,
                                           .holder = &extent->holders[i],
                                           .grant = pg_buf_bytes(&grant)};
        }
    }
    pg_err err = pg_notices_send(notices, count);
    pg_buf_deinit(&grant);
    return err;
}

/** Prolong the lease when half of it is over. Returns true when it was. */
static bool lease_prolong(const pg_files *files, pg_catalogue_extent *extent)
{
    uint64_t now_s = (uint64_t) pg_wall_ms() / 1000;
    uint64_t ttl_s = files->config.ttl_s;
    ttl_s = ttl_s < PG_PLACE_EXPIRY_S_MAX - 3600 ? ttl_s : PG_PLACE_EXPIRY_S_MAX - 3600;
    if (extent->expiry_s > now_s + ttl_s / 2) {
        return false;
    }
    extent->expiry_s = now_s + ttl_s;
    return true;
}

/** Learn of hosts that took over from others. Who is behind is counted anew, where holders changed. */
static pg_err hosts_adopt(pg_files *files, pg_catalogue_extent *extent, const check *checks,
                          size_t count, bool *is_changed, pg_slot_set *behind)
{
    pg_adopt_claim claims[PG_PLACE_SLOTS_MAX];
    size_t claimed = 0;
    bool is_other = false;
    for (size_t i = 0; i < count; i++) {
        if (checks[i].has_answered) {
            claims[claimed++] = (pg_adopt_claim){checks[i].peer, checks[i].holding};
        }
    }
    PG_TRY(pg_adopt(files, extent, claims, claimed, &is_other));
    if (is_other) {
        *behind = 0; // their places moved: the next check tells who is
        *is_changed = true;
    }
    return PG_OK;
}

static pg_err extent_tend(pg_files *files, int64_t file, bool is_kept, pg_catalogue_extent *extent)
{
    check checks[PG_PLACE_SLOTS_MAX] = {{.files = NULL}};
    pg_slot_set behind = 0;
    for (size_t i = 0; i < extent->holder_count; i++) {
        checks[i] = (check){.files = files,
                            .extent = extent,
                            .holder = &extent->holders[i],
                            .peer = extent->holders[i].peer};
    }
    const size_t count = extent->holder_count;
    pg_err err = checks_run(checks, count);
    bool is_prolonged = err == PG_OK && is_kept && lease_prolong(files, extent);
    bool is_lost = err == PG_OK && checks_take(extent, checks, &behind);
    if (err == PG_OK && is_kept) {
        err = hosts_adopt(files, extent, checks, count, &is_lost, &behind);
    }
    for (size_t i = 0; i < count; i++) {
        pg_mfree(checks[i].holding);
    }
    PG_TRY(err);
    bool is_renewed = behind != 0 && is_kept;
    if (is_renewed) {
        PG_TRY(grants_send(files, extent, behind));
    }
    PG_TRY(pg_catalogue_extent_write(files->config.db, file, extent));
    if (is_prolonged || is_lost ||
        is_renewed) { // told when it is written: a copy may be made meanwhile
        pg_publish_changed(files);
    }
    if (is_lost && pg_catalogue_missing(extent) != 0) {
        pg_log(PG_LOG_LEVEL_INFO, "files.slots.lost",
               PG_LOG_U64("slots", (uint64_t) __builtin_popcount(pg_catalogue_missing(extent))));
    }
    return PG_OK;
}

static pg_err file_tend(pg_files *files, int64_t file, bool is_kept, pg_catalogue_extent *extents,
                        size_t count)
{
    for (size_t i = 0; i < count; i++) {
        PG_TRY(extent_tend(files, file, is_kept, &extents[i]));
    }
    return pg_catalogue_state(files->config.db, file, pg_catalogue_state_of(extents, count));
}

/** A file whose leases ended and are not renewed is forgotten. */
static pg_err file_look(pg_files *files, int64_t file, pg_file_entry *entry)
{
    pg_catalogue_extent *extents = NULL;
    size_t count = 0;
    pg_err err = pg_catalogue_row(files->config.db, file, entry);
    if (err != PG_OK) {
        return err == PG_ERR_NOT_FOUND ? PG_OK : err; // removed meanwhile
    }
    bool is_kept = entry->ttl_s == 0;
    pg_file_entry_deinit(entry);
    PG_TRY(pg_catalogue_extents(files->config.db, file, &extents, &count));
    bool is_over =
        !is_kept && pg_catalogue_expiry_s(extents, count) < (uint64_t) pg_wall_ms() / 1000;
    err = is_over ? pg_catalogue_remove(files->config.db, file)
                  : file_tend(files, file, is_kept, extents, count);
    if (is_over) {
        pg_publish_changed(files);
    }
    pg_mfree(extents);
    return err;
}

static pg_err tend_all(pg_files *files)
{
    int64_t *ids = NULL;
    size_t count = 0;
    pg_file_entry *entry = PG_NEW(pg_file_entry);
    if (entry == NULL) {
        return PG_ERR_NOMEM;
    }
    pg_err err = pg_catalogue_files(files->config.db, PG_CATALOGUE_ALL, &ids, &count);
    for (size_t i = 0; i < count && err == PG_OK; i++) {
        err = pg_files_lock(files);
        if (err == PG_OK) {
            err = file_look(files, ids[i], entry);
            pg_files_unlock(files);
        }
    }
    if (err == PG_OK) {
        err = pg_files_puts_expire(files);
    }
    pg_mfree(ids);
    pg_mfree(entry);
    pg_files_recount(files);
    pg_files_rely(files);
    pg_files_spread_wake(files);
    return err;
}

pg_err pg_files_tend_run(void *arg)
{
    pg_files *files = arg;
    int64_t wait_ns = PG_MINUTES(PG_TEND_FIRST_MINUTES);
    for (;;) {
        PG_TRY(pg_sleep_until(pg_after(wait_ns)));
        wait_ns = PG_MINUTES(PG_TEND_MINUTES);
        pg_err err = tend_all(files);
        if (err == PG_ERR_CANCELLED) {
            return err;
        }
        if (err != PG_OK) {
            pg_log(PG_LOG_LEVEL_WARN, "files.tend.failed", PG_LOG_STR("error", pg_err_name(err)),
                   PG_LOG_STR("detail", pg_error_detail(err)));
        }
    }
}
