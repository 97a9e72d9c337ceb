// SPDX-License-Identifier: Apache-2.0
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "files/limits.h"
#include "files/rebuild.h"
#include "files/upload_priv.h"
#include "runtime/time.h"

// ---- Gaps

static size_t least_loaded(const pg_upload *upload)
{
    size_t best = SIZE_MAX;
    for (size_t i = 0; i < upload->host_count; i++) {
        const upload_host *host = &upload->hosts[i];
        if (!host->is_lost && host->session != NULL &&
            (best == SIZE_MAX ||
             __builtin_popcount(host->slots) < __builtin_popcount(upload->hosts[best].slots))) {
            best = i;
        }
    }
    return best;
}

/** Give every gap a host: new ones first, then those with least slots, then this node; but not where the slot had a place before this
 *  upload, which is better. */
static pg_err gaps_assign(pg_upload *upload)
{
    size_t opened = 0;
    PG_TRY(pg_upload_open(upload, (size_t) __builtin_popcount(upload->gaps), &opened));
    while (upload->gaps != 0) {
        pg_slot_set slot = upload->gaps & -upload->gaps;
        size_t to = least_loaded(upload);
        if (to == SIZE_MAX && upload->is_resumed) {
            return pg_upload_fail(upload);
        }
        if (to == SIZE_MAX) {
            upload->local |= slot;
        } else if (upload->spec.is_whole) { // every host has it anyway
            for (size_t i = upload->host_count - opened; i < upload->host_count; i++) {
                upload->hosts[i].slots = 1;
            }
        } else {
            upload->hosts[to].slots |= slot;
            upload->hosts[to].is_committed = false;
        }
        upload->moving |= slot;
        upload->gaps &= ~slot;
    }
    return PG_OK;
}

static pg_err on_rebuilt(unsigned slot, const pg_cid *cid, pg_bytes shard, void *user)
{
    pg_upload *upload = user;
    upload_host *host = pg_upload_host_of(upload, slot);
    if (host == NULL && (upload->local >> slot & 1) == 0) {
        return PG_OK; // lost again: a gap of the next round
    }
    return pg_upload_push(upload, host, cid, shard);
}

static pg_err moving_bring(pg_upload *upload, const pg_descriptor *descriptor)
{
    pg_catalogue_holder holders[PG_UPLOAD_HOSTS_MAX];
    size_t count = 0;
    for (size_t i = 0; i < upload->host_count; i++) {
        const upload_host *host = &upload->hosts[i];
        pg_slot_set slots = host->had | (host->slots & ~upload->moving);
        if (!host->is_lost && slots != 0) {
            holders[count++] = (pg_catalogue_holder){.peer = host->peer, .slots = slots};
        }
    }
    const pg_rebuild rebuild = {
        .bitswap = upload->files->config.bitswap,
        .blocks = upload->files->config.blocks,
        .descriptor = descriptor,
        .holders = holders,
        .holder_count = count,
        .give = on_rebuilt,
        .user = upload,
    };
    pg_slot_set slots = upload->moving;
    upload->moving = 0;
    pg_err err = pg_rebuild_slots(&rebuild, slots);
    if (err == PG_ERR_MISSING) { // a file that is not there yet lacks no shards: it lacks hosts
        pg_upload_note(upload, err);
        return pg_upload_fail(upload);
    }
    return err;
}

pg_err pg_upload_fill_gaps(pg_upload *upload, const pg_descriptor *descriptor)
{
    if (upload->gaps != 0) {
        PG_TRY(gaps_assign(upload));
    }
    if (upload->spec.is_whole || upload->moving == 0) {
        upload->moving = 0;
        return PG_OK;
    }
    return moving_bring(upload, descriptor);
}

// ---- Grants

pg_err pg_upload_sign(pg_upload *upload)
{
    upload->sequence = pg_files_next_sequence(upload->sequence);
    const pg_lease_grant grant = {
        .descriptor = upload->descriptor,
        .is_whole = upload->spec.is_whole,
        .root = upload->root,
        .expiry_s = upload->spec.expiry_s,
        .sequence = upload->sequence,
    };
    pg_buf_clear(&upload->grant);
    PG_TRY(pg_lease_grant_encode(&upload->lease, &grant, &upload->grant));
    pg_grants_note(&upload->files->grants, upload->lease.public_key, pg_buf_bytes(&upload->grant));
    return PG_OK;
}

/** One host being told. */
typedef struct telling {
    pg_upload *upload;
    upload_host *host;
    pg_bytes block; // to be pushed first; empty = none
    pg_cid cid;
    bool with_receipts;
    bool is_told;
} telling;

static size_t receipts_of_others(const telling *self, pg_bytes *out_receipts)
{
    size_t count = 0;
    for (size_t i = 0; i < self->upload->host_count && count < PG_PLACE_SLOTS_MAX; i++) {
        const upload_host *host = &self->upload->hosts[i];
        if (host != self->host && !host->is_lost && host->receipt.len > 0) {
            out_receipts[count++] = pg_buf_bytes(&host->receipt);
        }
    }
    return count;
}

static pg_err grant_send(telling *self)
{
    pg_bytes receipts[PG_PLACE_SLOTS_MAX];
    pg_lease_receipt receipt;
    pg_buf encoded = {0};
    uint64_t known = 0;
    pg_place_commit commit = {
        .grant = pg_buf_bytes(&self->upload->grant),
        .slots = self->host->slots,
        .receipts = receipts,
        .owner = &self->upload->lease,
    };
    if (self->with_receipts) {
        commit.receipt_count = receipts_of_others(self, receipts);
    }
    self->host->is_asked = true;
    pg_err err =
        pg_place_commit_send(self->host->session, &commit, pg_after(PG_MS(PG_UPLOAD_COMMIT_MS)),
                             &receipt, &encoded, &known);
    if (err != PG_OK) {
        pg_buf_deinit(&encoded);
        return err;
    }
    pg_peer_clock_note(&self->upload->files->peer_clock, &receipt.host, receipt.time_s,
                       (uint64_t) pg_wall_ms() / 1000);
    pg_buf_deinit(&self->host->receipt);
    self->host->receipt = encoded;
    self->is_told = true;
    return PG_OK;
}

static pg_err tell(telling *self)
{
    if (self->block.len > 0) {
        PG_TRY(pg_place_push(self->host->session, &self->cid, self->block,
                             pg_after(PG_MS(PG_UPLOAD_PUSH_MS))));
    }
    return grant_send(self);
}

/** The same in a new session: the root of a large file comes long after its first extent, whose session may have ended. */
static pg_err tell_anew(telling *self)
{
    upload_host *host = self->host;
    pg_place_session_free(&host->session);
    PG_TRY(pg_place_open(self->upload->files->config.host, &host->peer,
                         self->upload->lease.public_key, self->block.len,
                         pg_after(PG_MS(PG_UPLOAD_OPEN_MS)), &host->session));
    return tell(self);
}

static pg_err tell_run(void *arg)
{
    telling *self = arg;
    pg_err err = tell(self);
    if (err != PG_OK && self->host->is_committed && !pg_fiber_is_cancelled()) {
        err = tell_anew(self);
    }
    if (err == PG_ERR_CANCELLED && pg_fiber_is_cancelled()) {
        return err;
    }
    if (err != PG_OK && !self->host->is_committed) {
        pg_upload_lose(self->upload, self->host, err);
    } else if (err != PG_OK) { // it has promised the extent, and is not lost for that
        pg_upload_note(self->upload, err);
        pg_log(PG_LOG_LEVEL_DEBUG, "files.host.untold", PG_LOG_STR("error", pg_err_name(err)));
    }
    return PG_OK;
}

/** Tell all hosts with a session, or those that have not promised yet. */
static pg_err tell_all(pg_upload *upload, const telling *what, bool new_only, size_t *out_told)
{
    telling *tellings = pg_calloc(PG_UPLOAD_HOSTS_MAX, sizeof(*tellings));
    if (tellings == NULL) {
        return PG_ERR_NOMEM;
    }
    pg_scope scope;
    pg_err err = PG_OK;
    pg_scope_init(&scope);
    for (size_t i = 0; i < upload->host_count && err == PG_OK; i++) {
        upload_host *host = &upload->hosts[i];
        if (!host->is_lost && host->session != NULL && host->slots != 0 &&
            !(new_only && host->is_committed)) {
            tellings[i] = *what;
            tellings[i].upload = upload;
            tellings[i].host = host;
            err = pg_scope_spawn(&scope, "files.tell", tell_run, &tellings[i]);
        }
    }
    if (err == PG_OK) {
        err = pg_scope_join(&scope);
    } else {
        pg_scope_close(&scope);
    }
    *out_told = 0;
    for (size_t i = 0; i < upload->host_count; i++) {
        upload->hosts[i].is_committed |= tellings[i].is_told;
        *out_told += tellings[i].is_told ? 1 : 0;
    }
    pg_mfree(tellings);
    return err;
}

pg_err pg_upload_commit(pg_upload *upload, pg_bytes block)
{
    const telling what = {.block = block, .cid = upload->descriptor};
    size_t told = 0;
    return tell_all(upload, &what, true, &told);
}

pg_err pg_upload_tell(pg_upload *upload, pg_bytes root, size_t *out_told)
{
    const telling what = {.block = root, .cid = upload->root, .with_receipts = true};
    return tell_all(upload, &what, false, out_told);
}

// ---- Giving up

/** One host being told. */
typedef struct abandoning {
    const pg_upload *upload;
    upload_host *host;
    pg_time deadline;
} abandoning;

static pg_err abandon_run(void *arg)
{
    const abandoning *self = arg;
    pg_err err = pg_place_abandon(self->host->session, &self->upload->lease, self->deadline);
    if (err != PG_OK) { // it goes with the time
        pg_log(PG_LOG_LEVEL_DEBUG, "files.host.untold", PG_LOG_STR("error", pg_err_name(err)));
    }
    return PG_OK;
}

static void abandon_all(pg_upload *upload)
{
    abandoning tellings[PG_UPLOAD_HOSTS_MAX];
    pg_scope scope;
    pg_scope_init_tolerant(&scope);
    for (size_t i = 0; i < upload->host_count; i++) {
        tellings[i] =
            (abandoning){upload, &upload->hosts[i], pg_after(PG_MS(PG_UPLOAD_ABANDON_MS))};
        if (upload->hosts[i].session != NULL) {
            pg_ignore(pg_scope_spawn(&scope, "files.abandon", abandon_run, &tellings[i]),
                      "it goes with the time");
        }
    }
    pg_ignore(pg_scope_join(&scope), "each has a deadline");
}

void pg_upload_abandon(pg_upload **upload)
{
    if (*upload != NULL) {
        abandon_all(*upload);
    }
    pg_upload_free(upload);
}
