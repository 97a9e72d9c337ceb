// SPDX-License-Identifier: Apache-2.0
#include "files/adopt.h"

#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "exchange/place_neighbours.h"
#include "files/discover.h"
#include "files/guard_log.h"
#include "files/lease_keys.h"
#include "files/limits.h"
#include "files/notices.h"
#include "runtime/time.h"

/** A host that the catalogue does not have. */
typedef struct stranger {
    pg_files *files;
    const pg_cid *descriptor;
    pg_peer_id peer;
    pg_slot_set slots; // that it says it holds
} stranger;

/** An extent being brought up to date. */
typedef struct adoption {
    pg_files *files;
    pg_catalogue_extent *extent;
    const pg_adopt_claim *claims;
    size_t claim_count;
    size_t count;
    stranger strangers[PG_ADOPT_ASKS_MAX];
    size_t extra_count;
    pg_catalogue_holder extras[PG_ADOPT_ASKS_MAX + PG_PLACE_SLOTS_MAX]; // slots to be dropped there
    bool is_changed;
} adoption;

static bool is_known(const adoption *self, const pg_peer_id *peer)
{
    for (size_t i = 0; i < self->extent->holder_count; i++) {
        if (pg_peer_id_equal(&self->extent->holders[i].peer, peer)) {
            return true;
        }
    }
    for (size_t i = 0; i < self->count; i++) {
        if (pg_peer_id_equal(&self->strangers[i].peer, peer)) {
            return true;
        }
    }
    return pg_peer_id_equal(pg_host_id(self->files->config.host), peer);
}

static void strangers_find(adoption *self, const pg_place_holding *holding)
{
    for (size_t i = 0; i < holding->receipt_count && self->count < PG_ADOPT_ASKS_MAX; i++) {
        const pg_peer_id *peer = &holding->receipts[i].host;
        if (!is_known(self, peer)) {
            self->strangers[self->count++] = (stranger){
                .files = self->files, .descriptor = &self->extent->descriptor, .peer = *peer};
        }
    }
}

static pg_err ask_run(void *arg)
{
    stranger *self = arg;
    pg_place_holding *holding = PG_NEW(pg_place_holding);
    if (holding == NULL) {
        return PG_ERR_NOMEM;
    }
    pg_discover_peer(self->files, &self->peer);
    if (pg_place_have_slots(self->files->config.host, &self->peer, self->descriptor,
                            pg_after(PG_MS(PG_FETCH_ASK_MS)), holding) == PG_OK) {
        self->slots = holding->slots;
    }
    pg_mfree(holding);
    return pg_fiber_is_cancelled() ? PG_ERR_CANCELLED : PG_OK;
}

static pg_err strangers_ask(adoption *self)
{
    pg_scope scope;
    pg_err err = PG_OK;
    pg_scope_init(&scope);
    for (size_t i = 0; i < self->count && err == PG_OK; i++) {
        err = pg_scope_spawn(&scope, "files.adopt", ask_run, &self->strangers[i]);
    }
    if (err != PG_OK) {
        pg_scope_close(&scope);
        return err;
    }
    return pg_scope_join(&scope);
}

static void extra_add(adoption *self, const pg_peer_id *peer, pg_slot_set slots)
{
    self->extras[self->extra_count++] = (pg_catalogue_holder){.peer = *peer, .slots = slots};
}

/** Return slots with somebody who answers. */
static pg_slot_set covered_of(const adoption *self)
{
    pg_slot_set covered = self->extent->local;
    for (size_t i = 0; i < self->extent->holder_count; i++) {
        const pg_catalogue_holder *holder = &self->extent->holders[i];
        covered |= holder->missed == 0 ? holder->slots : 0;
    }
    return covered;
}

/** What a holder has beside what the catalogue knows: from a repair. It drops what somebody else has. */
static void claims_compare(adoption *self, pg_slot_set *covered)
{
    pg_catalogue_extent *extent = self->extent;
    for (size_t i = 0; i < extent->holder_count && !extent->is_whole; i++) {
        pg_catalogue_holder *holder = &extent->holders[i];
        pg_slot_set more = 0;
        for (size_t j = 0; j < self->claim_count; j++) {
            more |= pg_peer_id_equal(&self->claims[j].peer, &holder->peer)
                        ? self->claims[j].holding->slots & ~holder->slots
                        : 0;
        }
        if ((more & *covered) != 0) {
            extra_add(self, &holder->peer, more & *covered);
        }
        if ((more & ~*covered) != 0) {
            holder->slots |= more & ~*covered;
            *covered |= holder->slots;
            self->is_changed = true;
        }
    }
}

/** Take slots from a holder, or from all with NULL; one without any is none. */
static void holders_reduce(pg_catalogue_extent *extent, const pg_peer_id *peer, pg_slot_set slots)
{
    size_t left = 0;
    for (size_t i = 0; i < extent->holder_count; i++) {
        pg_catalogue_holder holder = extent->holders[i];
        if (peer == NULL || pg_peer_id_equal(&holder.peer, peer)) {
            holder.slots &= ~slots;
            holder.bytes = (uint64_t) __builtin_popcount(holder.slots) * extent->slot_bytes;
        }
        if (holder.slots != 0) {
            extent->holders[left++] = holder;
        }
    }
    extent->holder_count = left;
}

static void strangers_take(adoption *self, pg_slot_set covered)
{
    pg_catalogue_extent *extent = self->extent;
    for (size_t i = 0; i < self->count; i++) {
        const stranger *one = &self->strangers[i];
        pg_slot_set taken = one->slots & ~covered;
        if ((one->slots & covered) != 0 && !extent->is_whole) {
            extra_add(self, &one->peer, one->slots & covered);
        }
        if (extent->is_whole) {
            taken = one->slots;
        }
        if (taken == 0 || extent->holder_count == PG_PLACE_SLOTS_MAX) {
            continue;
        }
        if (!extent
                 ->is_whole) { // in the catalogue a slot is one host's: no longer that of the silent one
            holders_reduce(extent, NULL, taken);
        }
        extent->holders[extent->holder_count++] = (pg_catalogue_holder){
            .peer = one->peer,
            .slots = taken,
            .bytes = (uint64_t) __builtin_popcount(taken) * extent->slot_bytes,
        };
        covered |= taken;
        self->is_changed = true;
    }
}

/** What audits from here say of the holders of an extent. */
typedef struct doubts {
    size_t count;
    pg_guard_standing standings[PG_PLACE_RECEIPTS_MAX];
} doubts;

/** Return slots that a holder did not prove when it was asked last: hosts may have replaced it for that, and are not to do it again and again. */
static pg_slot_set doubtful(const doubts *self, const pg_peer_id *peer)
{
    for (size_t i = 0; i < self->count; i++) {
        if (pg_peer_id_equal(&self->standings[i].peer, peer)) {
            return self->standings[i].faulty | self->standings[i].owed;
        }
    }
    return 0;
}

/** Ask once more, now that a second holder has shown itself, who holds what for certain: one that is handing a slot over to that very holder has it
 *  yet, and soon no more. */
static pg_err covered_confirm(adoption *self, pg_slot_set *out_covered)
{
    pg_catalogue_extent *extent = self->extent;
    pg_place_holding *holding = PG_NEW(pg_place_holding);
    doubts *in_doubt = PG_NEW(doubts);
    *out_covered = extent->local;
    pg_err err = holding == NULL || in_doubt == NULL ? PG_ERR_NOMEM : PG_OK;
    if (err == PG_OK) {
        err = pg_guard_log_standings(self->files->config.db, &extent->descriptor,
                                     in_doubt->standings, &in_doubt->count);
    }
    for (size_t i = 0; i < extent->holder_count && err == PG_OK; i++) {
        const pg_catalogue_holder *holder = &extent->holders[i];
        if (pg_place_have_slots(self->files->config.host, &holder->peer, &extent->descriptor,
                                pg_after(PG_MS(PG_FETCH_ASK_MS)), holding) == PG_OK) {
            *out_covered |= holder->slots & holding->slots & ~holding->leaving &
                            ~doubtful(in_doubt, &holder->peer);
        }
        err = pg_fiber_is_cancelled() ? PG_ERR_CANCELLED : PG_OK;
    }
    pg_mfree(in_doubt);
    pg_mfree(holding);
    return err;
}

/** Let second holders keep what nobody else holds for certain; the next look tells more. */
static pg_err extras_confirm(adoption *self)
{
    pg_slot_set covered = 0;
    size_t left = 0;
    PG_TRY(covered_confirm(self, &covered));
    for (size_t i = 0; i < self->extra_count; i++) {
        pg_catalogue_holder extra = self->extras[i];
        extra.slots &= covered;
        if (extra.slots != 0) {
            self->extras[left++] = extra;
        }
    }
    self->extra_count = left;
    return PG_OK;
}

static pg_err releases_make(adoption *self, pg_notice *notices)
{
    pg_catalogue_extent *extent = self->extent;
    pg_identity lease = {.peer_id = {.len = 0}};
    PG_TRY(pg_files_lease_key(self->files->config.owner, extent->extent_id, &lease));
    pg_err err = PG_OK;
    for (size_t i = 0; i < self->extra_count && err == PG_OK; i++) {
        extent->sequence = pg_files_next_sequence(extent->sequence);
        const pg_lease_release release = {
            .descriptor = extent->descriptor,
            .host = self->extras[i].peer,
            .slots = self->extras[i].slots,
            .sequence = extent->sequence,
        };
        notices[i] =
            (pg_notice){.files = self->files, .extent = extent, .holder = &self->extras[i]};
        err = pg_lease_release_encode(&lease, &release, &notices[i].release);
    }
    pg_identity_deinit(&lease);
    return err;
}

static pg_err extras_release(adoption *self)
{
    if (self->extra_count > 0) {
        PG_TRY(extras_confirm(self));
    }
    if (self->extra_count == 0) {
        return PG_OK;
    }
    pg_notice *notices = pg_calloc(self->extra_count, sizeof(*notices));
    if (notices == NULL) {
        return PG_ERR_NOMEM;
    }
    pg_err err = releases_make(self, notices);
    if (err == PG_OK) {
        self->is_changed = true; // the sequence
        err = pg_notices_send(notices, self->extra_count);
    }
    for (size_t i = 0; i < self->extra_count; i++) {
        if (err == PG_OK && notices[i].is_done) {
            holders_reduce(self->extent, &self->extras[i].peer, self->extras[i].slots);
        }
        pg_buf_deinit(&notices[i].release);
    }
    pg_mfree(notices);
    return err;
}

/** What hosts brought to this node itself, which is no host of what was put here, goes when others have it. */
static pg_err own_drop(adoption *self)
{
    pg_catalogue_extent *extent = self->extent;
    pg_identity lease = {.peer_id = {.len = 0}};
    pg_slot_set covered = covered_of(self);
    pg_place_holding *holding = PG_NEW(pg_place_holding);
    if (holding == NULL) {
        return PG_ERR_NOMEM;
    }
    pg_err err = pg_place_server_holding(self->files->place, &extent->descriptor, holding);
    pg_slot_set slots = err == PG_OK ? holding->slots & covered : 0;
    pg_mfree(holding);
    if (slots != 0) {
        PG_TRY(covered_confirm(self, &covered));
        slots &= covered;
    }
    if (slots == 0) {
        return err;
    }
    PG_TRY(pg_files_lease_key(self->files->config.owner, extent->extent_id, &lease));
    extent->sequence = pg_files_next_sequence(extent->sequence);
    pg_lease_release release = {
        .descriptor = extent->descriptor,
        .host = *pg_host_id(self->files->config.host),
        .slots = slots,
        .sequence = extent->sequence,
    };
    memcpy(release.lease_key, lease.public_key, sizeof(release.lease_key));
    pg_identity_deinit(&lease);
    self->is_changed = true;
    return pg_place_server_release(self->files->place, &release);
}

static pg_err adopt(adoption *self)
{
    for (size_t i = 0; i < self->claim_count; i++) {
        strangers_find(self, self->claims[i].holding);
    }
    PG_TRY(strangers_ask(self));
    pg_slot_set covered = self->extent->is_whole ? 0 : covered_of(self);
    claims_compare(self, &covered);
    strangers_take(self, covered);
    PG_TRY(extras_release(self));
    return self->files->place == NULL ? PG_OK : own_drop(self);
}

pg_err pg_adopt(pg_files *files, pg_catalogue_extent *extent, const pg_adopt_claim *claims,
                size_t count, bool *out_is_changed)
{
    adoption *self = PG_NEW(adoption);
    if (self == NULL) {
        return PG_ERR_NOMEM;
    }
    self->files = files;
    self->extent = extent;
    self->claims = claims;
    self->claim_count = count;
    pg_err err = adopt(self);
    if (self->is_changed) {
        pg_log(PG_LOG_LEVEL_INFO, "files.hosts.changed",
               PG_LOG_U64("holders", extent->holder_count),
               PG_LOG_U64("released", self->extra_count));
        *out_is_changed = true;
    }
    pg_mfree(self);
    return err == PG_ERR_NOT_FOUND || err == PG_ERR_CHANGED ? PG_OK : err;
}
