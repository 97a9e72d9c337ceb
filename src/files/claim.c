// SPDX-License-Identifier: Apache-2.0
// Is it really gone? Somebody brings slots of an extent, with a grant that anybody may show, and says that their host is lost. The hosts are asked;
// one that says it has them proves it by an audit, whose answer this node can judge alone: the shards in question lie here, pushed a moment
// ago and as good as their digests. So neither who brings them nor who claims them is believed.
#include <string.h>

#include "base/mem.h"
#include "exchange/place_neighbours.h"
#include "files/audit_round.h"
#include "files/discover.h"
#include "files/holders.h"
#include "files/service_priv.h"
#include "runtime/offload.h"

/** A claim being looked into. */
typedef struct looking {
    pg_files *files;
    const pg_place_claim *claim;
    pg_buf block;
    pg_descriptor read; // of an extent
    pg_holders holders;
    size_t count;
    pg_peer_id peers[PG_PLACE_RECEIPTS_MAX];
    pg_bytes views[PG_PLACE_RECEIPTS_MAX];
    size_t living_count;
    pg_catalogue_holder living[PG_PLACE_RECEIPTS_MAX]; // that say they hold some of it
    pg_audit_result result;
} looking;

static void peer_add(looking *self, const pg_peer_id *peer)
{
    if (self->count < PG_PLACE_RECEIPTS_MAX) {
        self->peers[self->count] = *peer;
        self->views[self->count] = pg_peer_id_bytes(&self->peers[self->count]);
        self->count++;
    }
}

/** Hosts of the extent that this node knows of itself: it may hold other slots. */
static pg_err own_add(looking *self)
{
    pg_place_holding *holding = PG_NEW(pg_place_holding);
    if (holding == NULL) {
        return PG_ERR_NOMEM;
    }
    pg_err err = pg_place_server_holding(self->files->place, self->claim->descriptor, holding);
    for (size_t i = 0; err == PG_OK && i < holding->receipt_count; i++) {
        peer_add(self, &holding->receipts[i].host);
    }
    pg_mfree(holding);
    return err;
}

/** Where nothing leads to a host, without a DHT say: those who are connected. */
static pg_err connected_add(looking *self)
{
    size_t connected = 0;
    pg_host_candidate *candidates = pg_calloc(PG_FILES_CANDIDATES_MAX, sizeof(*candidates));
    if (candidates == NULL) {
        return PG_ERR_NOMEM;
    }
    (void) pg_files_candidates(self->files, NULL, 0, candidates, &connected);
    for (size_t i = 0; i < pg_min_size(connected, PG_PROVIDERS_MAX); i++) {
        peer_add(self, &candidates[i].peer);
    }
    pg_mfree(candidates);
    return PG_OK;
}

static pg_err holders_ask(looking *self)
{
    pg_peer_id providers[PG_PROVIDERS_MAX];
    const pg_holders_question question = {
        .host = self->files->config.host,
        .files = self->files,
        .descriptor = self->claim->descriptor,
        .enough = PG_PLACE_SLOTS_MAX + 1, // all are waited for
    };
    size_t found = pg_discover_providers(self->files, self->claim->descriptor, providers);
    for (size_t i = 0; i < found; i++) {
        peer_add(self, &providers[i]);
    }
    for (size_t i = 0; i < self->claim->host_count; i++) {
        peer_add(self, &self->claim->hosts[i]);
    }
    PG_TRY(own_add(self));
    if (self->count == 0) {
        PG_TRY(connected_add(self));
    }
    return pg_holders_ask(&self->holders, &question, self->views, self->count);
}

static void living_list(looking *self)
{
    for (size_t i = 0; i < self->holders.count; i++) {
        const pg_holder *holder = &self->holders.items[i];
        pg_slot_set slots = holder->slots & self->claim->slots;
        if (holder->has_answered && slots != 0 &&
            !pg_peer_id_equal(&holder->peer, self->claim->claimant) &&
            !pg_peer_id_equal(&holder->peer, pg_host_id(self->files->config.host))) {
            self->living[self->living_count++] =
                (pg_catalogue_holder){.peer = holder->peer, .slots = slots};
        }
    }
}

// A job of the pool: a descriptor has up to 1.5 MiB.
static pg_err job_read(void *arg)
{
    looking *self = arg;
    return pg_descriptor_decode(pg_buf_bytes(&self->block), &self->read);
}

static pg_err result_take(const looking *self, pg_slot_set *out_held)
{
    unsigned copies = 0;
    bool is_unsure = false;
    pg_slot_set held = 0;
    for (size_t i = 0; i < self->result.count; i++) {
        const pg_audit_item *item = &self->result.items[i];
        bool is_proven = item->finding == PG_AUDIT_FINDING_PROVEN;
        held |= is_proven ? (pg_slot_set) 1 << item->slot : 0;
        copies += is_proven ? 1 : 0;
        is_unsure |= item->finding == PG_AUDIT_FINDING_UNPROVEN; // who is busy is as who is silent
    }
    *out_held = self->claim->is_whole && copies < PG_GUARD_COPIES ? 0 : held;
    return is_unsure ? pg_fail(PG_ERR_BUSY, "what a host answers cannot be judged") : PG_OK;
}

static pg_err look(looking *self, pg_slot_set *out_held)
{
    pg_audit_case what = {
        .files = self->files,
        .descriptor = self->claim->descriptor,
        .read = self->claim->is_whole ? NULL : &self->read,
        .holders = self->living,
        .is_local = true,
        .is_patient = true,
        .ask_ms = PG_CLAIM_ASK_MS,
    };
    *out_held = 0;
    PG_TRY(pg_block_store_get(self->files->config.blocks, self->claim->descriptor, &self->block));
    if (!self->claim->is_whole) {
        PG_TRY(pg_offload(job_read, self));
    }
    PG_TRY(holders_ask(self));
    living_list(self);
    if (self->living_count == 0) {
        return PG_OK;
    }
    what.holder_count = self->living_count;
    PG_TRY(pg_audit_round(&what, &self->result));
    return result_take(self, out_held);
}

bool pg_files_is_own(pg_files *files, const pg_cid *descriptor)
{
    pg_catalogue_extent *extent = PG_NEW(pg_catalogue_extent);
    int64_t file = 0;
    bool is_own = extent != NULL &&
                  pg_catalogue_extent_find(files->config.db, descriptor, &file, extent) == PG_OK;
    pg_mfree(extent);
    return is_own;
}

pg_err pg_files_held_elsewhere(pg_files *files, const pg_place_claim *claim, pg_slot_set *out_held)
{
    looking *self = PG_NEW(looking);
    if (self == NULL) {
        return PG_ERR_NOMEM;
    }
    self->files = files;
    self->claim = claim;
    self->block.max_len = PG_BITSWAP_BLOCK_BYTES_MAX;
    pg_holders_init(&self->holders);
    pg_err err = look(self, out_held);
    pg_audit_result_deinit(&self->result);
    pg_descriptor_deinit(&self->read);
    pg_buf_deinit(&self->block);
    pg_mfree(self);
    return err;
}
