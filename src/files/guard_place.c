// SPDX-License-Identifier: Apache-2.0
// Slots put on other hosts, for a repair, a rebalancing or a leave: whoever is to have them is found, what is lost is rebuilt from k shards,
// verified, and pushed under the grant that the extent has; the others hear of the promises.
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "codec/frame.h"
#include "exchange/place_client.h"
#include "files/guard_priv.h"
#include "files/limits.h"
#include "files/rebuild.h"
#include "files/vault.h"
#include "runtime/time.h"

// ---- What may move

/** Wait for bandwidth. */
static pg_err pace(pg_guard *guard, bool is_gentle, uint64_t bytes)
{
    const pg_guard_rules *rules = &guard->config.rules;
    uint64_t bandwidth = is_gentle ? rules->rebalance_bandwidth : rules->bandwidth;
    pg_time *at = is_gentle ? &guard->gentle_at : &guard->pace_at;
    if (bandwidth == 0) {
        return PG_OK;
    }
    pg_time from = *at > pg_now() ? *at : pg_now();
    *at = from + (int64_t) ((double) bytes / (double) bandwidth * 1e9);
    return pg_sleep_until(from);
}

// ---- One placing

/** A host that gets something. */
typedef struct target {
    pg_peer_id peer;
    pg_place_session *session;
    pg_slot_set slots;
    pg_err err;
    bool has_taken; // it gave its promise
} target;

/** A placing under way. */
typedef struct work {
    pg_guard *guard;
    guard_placing *placing;
    pg_buf encoded; // the grant
    pg_lease_grant grant;
    pg_buf root;
    pg_buf receipts;   // framed, of those who hold it
    pg_slot_set slots; // to be pushed
    uint32_t next_segment;
    size_t target_count;
    target targets[PG_PLACE_SLOTS_MAX];
} work;

/** Find the newest grant: the owner may have dropped it, or prolonged it. */
static pg_err grant_find(work *self)
{
    pg_guard *guard = self->guard;
    const pg_place_lease *lease = self->placing->lease;
    pg_buf newest PG_CLEANUP(pg_buf_deinit) = {.max_len = PG_PLACE_SIGNED_BYTES_MAX};
    pg_lease_grant grant;
    pg_err err = pg_place_server_grant(guard->config.place, lease, &self->encoded);
    if (err == PG_OK) {
        err = pg_lease_grant_decode(pg_buf_bytes(&self->encoded), &self->grant);
    }
    bool has_own = err == PG_OK;
    if (err != PG_OK && err != PG_ERR_NOT_FOUND) {
        return err;
    }
    if (pg_files_newest_grant(guard->config.files, lease->lease_key, &newest) == PG_OK &&
        pg_lease_grant_decode(pg_buf_bytes(&newest), &grant) == PG_OK &&
        memcmp(grant.lease_key, lease->lease_key, sizeof(grant.lease_key)) == 0 &&
        pg_cid_equal(&grant.descriptor, &lease->descriptor) &&
        (!has_own || grant.sequence > self->grant.sequence)) {
        self->grant = grant;
        pg_buf_deinit(&self->encoded);
        self->encoded = newest;
        newest = (pg_buf){.ptr = NULL};
        has_own = true;
        PG_TRY(pg_place_server_hear(guard->config.place, pg_buf_bytes(&self->encoded), &grant));
    }
    if (!has_own) {
        return pg_fail(PG_ERR_NOT_FOUND, "its grant is not known here, nor to the DHTs");
    }
    if (self->grant.expiry_s == 0) {
        return pg_fail(PG_ERR_CHANGED, "its owner has dropped it");
    }
    return self->grant.expiry_s < pg_guard_now_s() + PG_GUARD_EXPIRY_S
               ? pg_fail(PG_ERR_CHANGED, "its lease ends")
               : PG_OK;
}

static pg_err root_find(work *self)
{
    const guard_exam *exam = self->placing->exam;
    const pg_files *files = self->guard->config.files;
    pg_peer_id peers[PG_PLACE_RECEIPTS_MAX + 1];
    size_t count = 0;
    self->root.max_len = PG_ROOT_BYTES_MAX;
    if (self->grant.root.len == 0 ||
        (pg_block_store_has(files->config.blocks, &self->grant.root, NULL) &&
         pg_block_store_get(files->config.blocks, &self->grant.root, &self->root) == PG_OK)) {
        return PG_OK;
    }
    for (size_t i = 0; i < exam->member_count; i++) {
        if (exam->members[i].standing == PG_REPAIR_STANDING_LIVING) {
            peers[count++] = exam->members[i].peer;
        }
    }
    const pg_bitswap_sources sources = {peers, count};
    return pg_bitswap_fetch_any(files->config.bitswap, &sources, &self->grant.root,
                                pg_after(PG_MS(PG_FETCH_BLOCK_MS)), &self->root, NULL);
}

static void target_open(work *self, const pg_peer_id *peer)
{
    const pg_guard *guard = self->guard;
    target *made = &self->targets[self->target_count];
    if (!pg_health_allows(guard->config.files->config.health, peer)) {
        return; // it lost what it had before
    }
    *made = (target){.peer = *peer};
    if (pg_place_open(guard->config.files->config.host, peer, self->grant.lease_key, 0,
                      pg_after(PG_MS(PG_UPLOAD_OPEN_MS)), &made->session) == PG_OK) {
        self->target_count++;
    }
}

/** Open sessions with hosts that have nothing of the extent, in the order in which it prefers them. */
static pg_err strangers_open(work *self, size_t wanted)
{
    const guard_exam *exam = self->placing->exam;
    pg_files *files = self->guard->config.files;
    pg_peer_id exclude[PG_PLACE_RECEIPTS_MAX + 1];
    pg_host_candidate *candidates = pg_calloc(PG_FILES_CANDIDATES_MAX, sizeof(*candidates));
    size_t connected = 0;
    pg_multihash hash = pg_cid_multihash(&exam->descriptor);
    if (candidates == NULL) {
        return PG_ERR_NOMEM;
    }
    for (size_t i = 0; i < exam->member_count; i++) {
        exclude[i] = exam->members[i].peer;
    }
    size_t count = pg_files_candidates(files, exclude, exam->member_count, candidates, &connected);
    pg_host_set_order(candidates, connected, pg_multihash_bytes(&hash), files->config.health);
    pg_host_set_order(candidates + connected, count - connected, pg_multihash_bytes(&hash),
                      files->config.health);
    for (size_t i = 0; i < count && self->target_count < wanted && !pg_fiber_is_cancelled(); i++) {
        target_open(self, &candidates[i].peer);
    }
    pg_mfree(candidates);
    return pg_fiber_is_cancelled() ? PG_ERR_CANCELLED : PG_OK;
}

static void members_with_open(work *self, int slots, size_t wanted)
{
    const guard_exam *exam = self->placing->exam;
    const pg_peer_id *self_id = pg_host_id(self->guard->config.files->config.host);
    for (size_t i = 0; i < exam->member_count && self->target_count < wanted; i++) {
        const pg_repair_member *member = &exam->members[i];
        if (member->standing == PG_REPAIR_STANDING_LIVING &&
            __builtin_popcount(member->slots) == slots &&
            !pg_peer_id_equal(&member->peer, self_id)) {
            target_open(self, &member->peer);
        }
    }
}

/** Where there are too few others, hosts that have other slots of it take one each, those with the fewest first: better than that they are missing. */
static void members_open(work *self, size_t wanted)
{
    for (int slots = 1; slots < (int) PG_PLACE_SLOTS_MAX && !pg_fiber_is_cancelled(); slots++) {
        members_with_open(self, slots, wanted);
    }
}

static pg_err targets_find(work *self)
{
    const guard_placing *placing = self->placing;
    bool is_whole = placing->exam->is_whole;
    size_t wanted = is_whole ? pg_min_size(placing->is_moving ? 1 : placing->exam->plan.copies_lost,
                                           PG_PLACE_SLOTS_MAX)
                             : (size_t) __builtin_popcount(self->slots);
    if (placing->target != NULL) {
        target_open(self, placing->target);
    } else {
        PG_TRY(strangers_open(self, wanted));
    }
    if (!is_whole && placing->target == NULL) {
        members_open(self, wanted);
    }
    if (self->target_count == 0) {
        return pg_fail(PG_ERR_UNREACHABLE, "no host that could be asked takes it");
    }
    size_t at = 0;
    for (unsigned slot = 0; slot < PG_PLACE_SLOTS_MAX && !is_whole; slot++) {
        if ((self->slots >> slot & 1) != 0) {
            self->targets[at].slots |= (pg_slot_set) 1 << slot;
            at = (at + 1) % self->target_count;
        }
    }
    for (size_t i = 0; i < self->target_count && is_whole; i++) {
        self->targets[i].slots = 1;
    }
    return PG_OK;
}

// ---- Shards

static target *target_of(work *self, unsigned slot)
{
    for (size_t i = 0; i < self->target_count; i++) {
        if ((self->targets[i].slots >> slot & 1) != 0) {
            return &self->targets[i];
        }
    }
    return NULL;
}

static void push(work *self, target *to, const pg_cid *cid, pg_bytes bytes)
{
    if (to->err == PG_OK) {
        to->err = pg_place_push(to->session, cid, bytes, pg_after(PG_MS(PG_UPLOAD_PUSH_MS)));
        self->placing->bytes += to->err == PG_OK ? bytes.len : 0;
    }
}

static pg_err on_shard(unsigned slot, const pg_cid *cid, pg_bytes shard, void *user)
{
    work *self = user;
    target *to = target_of(self, slot);
    const guard_placing *placing = self->placing;
    unsigned lowest = (unsigned) __builtin_ctz(self->slots);
    uint64_t moved = shard.len;
    if (slot == lowest &&
        !placing->is_moving) { // what was fetched for this segment counts with its first
        moved += (uint64_t) shard.len * placing->exam->read.code.data;
    }
    PG_TRY(pace(self->guard, placing->is_gentle, moved));
    if (to != NULL) {
        push(self, to, cid, shard);
    }
    for (size_t i = 0; i < self->target_count; i++) {
        if (self->targets[i].err == PG_OK) {
            return PG_OK;
        }
    }
    return pg_fail(PG_ERR_UNREACHABLE, "every host that took it was lost: %s",
                   pg_error_detail(self->targets[0].err));
}

/** Out of the archive of this node, where it has one: what hosts do not give any more. */
static pg_err on_spare(uint32_t segment, unsigned shard, pg_buf *out, void *user)
{
    const work *self = user;
    const guard_exam *exam = self->placing->exam;
    const pg_vault_shard what = {&exam->descriptor, &exam->read, segment, shard};
    return pg_vault_get_shard(self->guard->config.files->vault, &what, out);
}

/** One of several fibers that take segments in turn: while one is fetched another is pushed. */
typedef struct lane {
    work *work;
    const pg_rebuild *rebuild;
} lane;

static pg_err lane_run(void *arg)
{
    const lane *self = arg;
    while (self->work->next_segment < self->rebuild->descriptor->segment_count) {
        uint32_t segment = self->work->next_segment++;
        PG_TRY(pg_rebuild_segment(self->rebuild, self->work->slots, segment));
    }
    return PG_OK;
}

static pg_err shards_push(work *self)
{
    const guard_placing *placing = self->placing;
    const guard_exam *exam = placing->exam;
    pg_catalogue_holder holders[PG_PLACE_RECEIPTS_MAX];
    size_t count = 0;
    if (exam->is_whole) {
        return PG_OK; // the block goes as the descriptor does
    }
    for (size_t i = 0; i < exam->member_count && count < PG_PLACE_RECEIPTS_MAX; i++) {
        const pg_repair_member *member = &exam->members[i];
        if (member->standing == PG_REPAIR_STANDING_LIVING && member->slots != 0) {
            holders[count++] = (pg_catalogue_holder){.peer = member->peer, .slots = member->slots};
        }
    }
    const pg_rebuild rebuild = {
        .bitswap = self->guard->config.files->config.bitswap,
        .blocks = self->guard->config.files->config.blocks,
        .descriptor = &exam->read,
        .holders = holders,
        .holder_count = count,
        .spare = on_spare,
        .give = on_shard,
        .user = self,
    };
    lane lanes[PG_GUARD_LANES];
    pg_scope scope;
    pg_err err = PG_OK;
    pg_scope_init(&scope);
    for (size_t i = 0; i < PG_GUARD_LANES && err == PG_OK; i++) {
        lanes[i] = (lane){self, &rebuild};
        err = pg_scope_spawn(&scope, "guard.lane", lane_run, &lanes[i]);
    }
    if (err != PG_OK) {
        pg_scope_close(&scope);
        return err;
    }
    return pg_scope_join(&scope);
}

// ---- Promises

/** Collect receipts that a commit may carry: of this grant or before it, not of the host that is asked, nor of one whose slots are placed anew. */
static size_t receipts_collect(const work *self, const pg_peer_id *to,
                               pg_bytes out[PG_PLACE_COMMIT_RECEIPTS_MAX])
{
    const guard_exam *exam = self->placing->exam;
    pg_bytes rest = pg_buf_bytes(&self->receipts);
    size_t count = 0;
    while (rest.len > 0 && count < PG_PLACE_COMMIT_RECEIPTS_MAX) {
        pg_bytes encoded;
        pg_lease_receipt receipt;
        size_t len = 0;
        if (pg_frame_decode(rest, PG_PLACE_SIGNED_BYTES_MAX, &encoded, &len) != PG_OK) {
            break;
        }
        rest = pg_bytes_slice(rest, len, rest.len);
        if (pg_lease_receipt_decode(encoded, &receipt) != PG_OK ||
            receipt.sequence > self->grant.sequence || pg_peer_id_equal(&receipt.host, to)) {
            continue;
        }
        for (size_t i = 0; i < exam->member_count; i++) {
            if (pg_peer_id_equal(&exam->members[i].peer, &receipt.host) &&
                exam->members[i].standing != PG_REPAIR_STANDING_LOST) {
                out[count++] = encoded;
                break;
            }
        }
    }
    return count;
}

static pg_err target_commit(work *self, target *to, pg_buf *out_receipt)
{
    pg_bytes receipts[PG_PLACE_COMMIT_RECEIPTS_MAX];
    pg_lease_receipt receipt;
    uint64_t known = 0;
    push(self, to, &self->placing->exam->descriptor, pg_buf_bytes(&self->placing->exam->block));
    if (self->grant.root.len > 0) {
        push(self, to, &self->grant.root, pg_buf_bytes(&self->root));
    }
    PG_TRY(to->err);
    const pg_place_commit commit = {
        .grant = pg_buf_bytes(&self->encoded),
        .slots = to->slots,
        .receipts = receipts,
        .receipt_count = receipts_collect(self, &to->peer, receipts),
    };
    return pg_place_commit_send(to->session, &commit, pg_after(PG_MS(PG_GUARD_COMMIT_MS)), &receipt,
                                out_receipt, &known);
}

/** Have a host repeat its promise, as every commit does, and keep the receipt of another; empty: none. Errors as pg_place_open and pg_place_commit_send. */
static pg_err promise_ask(const work *self, const pg_peer_id *peer, pg_bytes other,
                          pg_lease_receipt *out_receipt, pg_buf *out_encoded)
{
    pg_place_session *session = NULL;
    uint64_t known = 0;
    const pg_place_commit commit = {
        .grant = pg_buf_bytes(&self->encoded),
        .receipts = &other,
        .receipt_count = other.len > 0 ? 1 : 0,
    };
    PG_TRY(pg_place_open(self->guard->config.files->config.host, peer, self->grant.lease_key, 0,
                         pg_after(PG_MS(PG_UPLOAD_OPEN_MS)), &session));
    pg_err err = pg_place_commit_send(session, &commit, pg_after(PG_MS(PG_UPLOAD_COMMIT_MS)),
                                      out_receipt, out_encoded, &known);
    pg_place_session_free(&session);
    return err;
}

/** Let another host of the extent keep a receipt; where it does not, it hears of it when it asks. */
static void member_tell(const work *self, const pg_repair_member *member, pg_bytes receipt)
{
    pg_lease_receipt answer;
    pg_err err = promise_ask(self, &member->peer, receipt, &answer, NULL);
    if (err != PG_OK) {
        pg_log(PG_LOG_LEVEL_DEBUG, "guard.untold", PG_LOG_STR("error", pg_err_name(err)));
    }
}

/** Note the promise of a host, and tell the other hosts of it: who asks them finds it then. */
static pg_err receipt_spread(const work *self, const pg_peer_id *from, pg_bytes receipt)
{
    const guard_exam *exam = self->placing->exam;
    const pg_peer_id *ourselves = pg_host_id(self->guard->config.files->config.host);
    pg_err err = pg_place_server_note(self->guard->config.place, self->placing->lease, receipt);
    for (size_t i = 0; i < exam->member_count && !pg_fiber_is_cancelled(); i++) {
        const pg_repair_member *member = &exam->members[i];
        if (member->standing == PG_REPAIR_STANDING_LIVING && member->slots != 0 &&
            !pg_peer_id_equal(&member->peer, ourselves) && !pg_peer_id_equal(&member->peer, from)) {
            member_tell(self, member, receipt);
        }
    }
    return err == PG_ERR_NOT_FOUND ? PG_OK : err;
}

/** Count slots that a host has promised to keep, and let all know. */
static pg_err promise_take(const work *self, const pg_peer_id *from, pg_slot_set slots,
                           pg_bytes receipt)
{
    guard_placing *placing = self->placing;
    placing->moved |= slots;
    placing->taken += __builtin_popcount(slots);
    PG_TRY(pg_frame_append(&placing->receipts, receipt));
    return receipt_spread(self, from, receipt);
}

static pg_err promises_get(work *self)
{
    pg_err last = PG_OK;
    for (size_t i = 0; i < self->target_count; i++) {
        target *to = &self->targets[i];
        pg_buf receipt = {.ptr = NULL};
        pg_err err = target_commit(self, to, &receipt);
        to->err = err;
        to->has_taken = err == PG_OK;
        if (err == PG_OK) {
            err = promise_take(self, &to->peer, to->slots, pg_buf_bytes(&receipt));
        }
        pg_buf_deinit(&receipt);
        last = err != PG_OK ? err : last;
    }
    return self->placing->moved != 0 ? PG_OK : last;
}

/** Does a host still hold some of these slots, and mean to keep them? Two that leave at once must not rely on each other. */
static bool is_kept_by(const work *self, const pg_peer_id *peer, pg_slot_set slots)
{
    pg_place_holding *holding = PG_NEW(pg_place_holding);
    bool is_kept = holding != NULL &&
                   pg_place_have_slots(self->guard->config.files->config.host, peer,
                                       &self->placing->exam->descriptor,
                                       pg_after(PG_MS(PG_FETCH_ASK_MS)), holding) == PG_OK &&
                   (holding->slots & ~holding->leaving & slots) == slots;
    pg_mfree(holding);
    return is_kept;
}

/** What others hold already need not be pushed, and a new host would not take it: their promise is all that is wanted. */
static pg_err held_take(work *self)
{
    const guard_exam *exam = self->placing->exam;
    const pg_peer_id *ourselves = pg_host_id(self->guard->config.files->config.host);
    unsigned copies = 0;
    PG_TRY(pg_place_server_leaving(self->guard->config.place, &exam->descriptor, self->slots));
    for (size_t i = 0; i < exam->member_count; i++) {
        const pg_repair_member *member = &exam->members[i];
        copies += member->standing == PG_REPAIR_STANDING_LIVING && member->slots != 0 ? 1 : 0;
    }
    for (size_t i = 0; i < exam->member_count && self->slots != 0; i++) {
        const pg_repair_member *member = &exam->members[i];
        pg_lease_receipt receipt;
        pg_buf encoded PG_CLEANUP(pg_buf_deinit) = {.ptr = NULL};
        if (member->standing != PG_REPAIR_STANDING_LIVING || (member->slots & self->slots) == 0 ||
            pg_peer_id_equal(&member->peer, ourselves) ||
            (exam->is_whole && copies <= PG_GUARD_COPIES) ||
            !is_kept_by(self, &member->peer, member->slots & self->slots) ||
            promise_ask(self, &member->peer, (pg_bytes){.len = 0}, &receipt, &encoded) != PG_OK ||
            (receipt.slots & member->slots & self->slots) == 0) {
            continue;
        }
        pg_slot_set promised = receipt.slots & member->slots & self->slots;
        self->slots &= ~promised;
        PG_TRY(promise_take(self, &member->peer, promised, pg_buf_bytes(&encoded)));
    }
    return pg_fiber_is_cancelled() ? PG_ERR_CANCELLED : PG_OK;
}

static pg_err work_run(work *self)
{
    const guard_placing *placing = self->placing;
    self->slots = placing->slots;
    PG_TRY(grant_find(self));
    if (placing->is_moving && placing->target == NULL) {
        PG_TRY(held_take(self));
        if (self->slots == 0) {
            return PG_OK;
        }
    }
    PG_TRY(root_find(self));
    PG_TRY(targets_find(self));
    pg_place_server *place = self->guard->config.place;
    pg_buf own PG_CLEANUP(pg_buf_deinit) = {.ptr = NULL};
    PG_TRY(pg_place_server_receipts(place, &placing->lease->descriptor, &self->receipts));
    if (!placing->is_moving) {
        PG_TRY(pg_place_server_receipt(place, placing->lease, &own));
        PG_TRY(pg_frame_append(&self->receipts, pg_buf_bytes(&own)));
    }
    PG_TRY(shards_push(self));
    if (placing->is_moving) {
        PG_TRY(pg_place_server_leaving(place, &placing->lease->descriptor, self->slots));
    }
    return promises_get(self);
}

/** Enter into the health book what came of each host, as of an upload (upload.c). Where none took anything it may be this node that is cut off: then
 *  somebody else has to answer. */
static void targets_note(const work *self)
{
    const target *broken = NULL;
    bool is_connected = false;
    for (size_t i = 0; i < self->target_count; i++) {
        const target *to = &self->targets[i];
        is_connected |= to->has_taken;
        broken = pg_files_is_break(to->err) ? to : broken;
    }
    is_connected =
        is_connected || (broken != NULL && pg_guard_is_connected(self->guard, &broken->peer));
    for (size_t i = 0; i < self->target_count && is_connected; i++) {
        const target *to = &self->targets[i];
        const pg_health_observation seen = {
            .peer = &to->peer,
            .kind = to->has_taken ? PG_HEALTH_TRANSFER_OK : PG_HEALTH_REFUSED,
        };
        if (to->has_taken || pg_files_is_break(to->err)) {
            pg_health_note(self->guard->config.files->config.health, &seen);
        }
    }
}

pg_err pg_guard_place(pg_guard *guard, guard_placing *placing)
{
    work *self = PG_NEW(work);
    if (self == NULL) {
        return PG_ERR_NOMEM;
    }
    self->guard = guard;
    self->placing = placing;
    pg_err err = work_run(self);
    if (!pg_fiber_is_cancelled()) {
        targets_note(self);
    }
    pg_fiber_shield(true);
    for (size_t i = 0; i < self->target_count; i++) {
        pg_place_session_free(&self->targets[i].session);
    }
    pg_fiber_shield(false);
    pg_buf_deinit(&self->encoded);
    pg_buf_deinit(&self->root);
    pg_buf_deinit(&self->receipts);
    pg_mfree(self);
    return err;
}
