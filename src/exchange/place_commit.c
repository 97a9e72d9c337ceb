// SPDX-License-Identifier: Apache-2.0
// A commit becomes a promise in this order: what was signed is verified; the descriptor tells which blocks the slots need; they are pinned,
// so that nobody deletes them, and must all be there; then one transaction, durable; then the receipt.
#include "base/log.h"
#include "base/mem.h"
#include "codec/frame.h"
#include "exchange/place_server_priv.h"
#include "runtime/offload.h"
#include "runtime/time.h"
#include "store/block_header.h"

#define PINS_PER_TURN 512U // then others run

/** A block that a commit holds on to. */
typedef struct commit_pin {
    uint32_t number;
    bool is_adopted; // it was not ours before
} commit_pin;

/** A commit being worked on. */
typedef struct commit_work {
    pg_place_job *job;
    pg_place_server *server;
    pg_lease_grant grant;
    pg_slot_set slots; // asked for and held
    pg_slot_set fresh; // of these, what is not held yet
    pg_ledger_receipt receipts[PG_PLACE_COMMIT_RECEIPTS_MAX];
    pg_ledger_block *blocks; // blocks[block_count], of which the first pin_count are pinned
    commit_pin *pins;        // pins[block_count]
    size_t block_count;
    size_t pin_count;
    pg_cid missing[PG_PLACE_MISSING_MAX];
    size_t missing_count;
    bool has_turn;
} commit_work;

// ---- The ledger and the table

pg_err pg_place_ledger_lock(pg_place_server *server)
{
    while (server->is_ledger_busy) {
        PG_TRY(pg_waitq_wait(&server->ledger_free, PG_FOREVER));
    }
    server->is_ledger_busy = true;
    return PG_OK;
}

void pg_place_ledger_unlock(pg_place_server *server)
{
    server->is_ledger_busy = false;
    pg_waitq_wake_one(&server->ledger_free);
}

static pg_held_name name_at(pg_bytes names)
{
    pg_held_name name;
    memcpy(name.bytes, names.ptr, sizeof(name.bytes));
    return name;
}

static void added_apply(pg_held *held, pg_bytes names)
{
    for (; names.len > 0; names = pg_bytes_slice(names, sizeof(pg_held_name), names.len)) {
        pg_held_name name = name_at(names);
        uint32_t number = pg_held_find(held, &name);
        if (number != PG_HELD_NONE) {
            pg_held_lease(held, number);
        }
    }
}

static bool removed_apply(pg_held *held, pg_bytes names, bool as_strays)
{
    bool has_doomed = false;
    for (; names.len > 0; names = pg_bytes_slice(names, sizeof(pg_held_name), names.len)) {
        pg_held_name name = name_at(names);
        uint32_t number = pg_held_find(held, &name);
        if (number == PG_HELD_NONE || !pg_held_unlease(held, number)) {
            continue;
        }
        pg_held_block *block = pg_held_at(held, number);
        if (as_strays) {
            block->is_doomed = false;
            block->used_s = pg_place_now_s();
        }
        has_doomed = has_doomed || block->is_doomed;
        pg_held_settle(held, number);
    }
    return has_doomed;
}

static void ended_apply(pg_place_server *server, pg_bytes peers)
{
    for (; peers.len > 0; peers = pg_bytes_slice(peers, sizeof(pg_peer_id), peers.len)) {
        pg_peer_id peer;
        memcpy(&peer, peers.ptr, sizeof(peer));
        pg_uploader *uploader = pg_map_get(&server->held.uploaders, pg_peer_id_bytes(&peer));
        server->leases--;
        if (uploader != NULL && uploader->leases > 0) {
            uploader->leases--;
            pg_uploader_settle(&server->held, uploader);
        }
    }
}

void pg_place_apply(pg_place_server *server, pg_ledger_change *change, bool as_strays)
{
    // What came first: a block that moves within a lease is never without one.
    added_apply(&server->held, pg_buf_bytes(&change->added));
    if (removed_apply(&server->held, pg_buf_bytes(&change->removed), as_strays)) {
        pg_place_kick(server);
    }
    ended_apply(server, pg_buf_bytes(&change->ended));
    server->leases += change->is_new ? 1U : 0U;
    server->tombs = (uint64_t) ((int64_t) server->tombs + change->tombs);
    pg_ledger_change_deinit(change);
}

pg_err pg_place_lose(pg_place_server *server, const pg_held_name *name)
{
    pg_ledger_change change = {0};
    PG_TRY(pg_place_ledger_lock(server));
    pg_err err = pg_ledger_lose(server->config.db, name, &change);
    if (err == PG_OK) {
        pg_place_apply(server, &change, true);
    }
    pg_ledger_change_deinit(&change);
    pg_place_ledger_unlock(server);
    return err;
}

// ---- What was signed

// What a decoder says of foreign bytes: they are wrong, or we are out of memory.
static pg_place_status decoded(pg_err err)
{
    return err == PG_OK          ? PG_PLACE_STATUS_OK
           : err == PG_ERR_NOMEM ? PG_PLACE_STATUS_BUSY
                                 : PG_PLACE_STATUS_BAD_GRANT;
}

static pg_place_status grant_check(const commit_work *work)
{
    const pg_lease_grant *grant = &work->grant;
    const pg_place_stream *stream = work->job->stream;
    uint64_t now_s = pg_place_now_s();
    if (memcmp(grant->lease_key, stream->lease_key, sizeof(grant->lease_key)) != 0) {
        return PG_PLACE_STATUS_BAD_GRANT;
    }
    if (grant->expiry_s == 0) {
        return PG_PLACE_STATUS_OK;
    }
    if (work->server->config.rules.accept == PG_PLACE_ACCEPT_NOBODY) {
        return PG_PLACE_STATUS_NOT_ACCEPTED;
    }
    return grant->expiry_s > now_s && grant->expiry_s - now_s <= PG_PLACE_EXPIRY_S_MAX
               ? PG_PLACE_STATUS_OK
               : PG_PLACE_STATUS_BAD_GRANT;
}

// Receipts of other hosts, under this grant or one before it. A job of the pool: a verification takes 70 us.
static pg_err job_receipts(void *arg)
{
    commit_work *work = arg;
    const pg_place_request *request = &work->job->request;
    const pg_peer_id *ourselves = &work->server->config.device->peer_id;
    for (size_t i = 0; i < request->receipt_count; i++) {
        pg_lease_receipt *receipt = &work->receipts[i].receipt;
        work->receipts[i].encoded = request->receipts[i];
        PG_TRY(pg_lease_receipt_decode(request->receipts[i], receipt));
        if (!pg_cid_equal(&receipt->descriptor, &work->grant.descriptor) ||
            receipt->sequence > work->grant.sequence ||
            pg_peer_id_equal(&receipt->host, ourselves)) {
            return PG_ERR_AUTH;
        }
    }
    return PG_OK;
}

static pg_place_status receipts_check(commit_work *work)
{
    return work->job->request.receipt_count == 0 ? PG_PLACE_STATUS_OK
                                                 : decoded(pg_offload(job_receipts, work));
}

// ---- Which blocks it takes

static pg_err blocks_alloc(commit_work *work, size_t count)
{
    work->blocks = pg_calloc(count, sizeof(*work->blocks));
    work->pins = pg_calloc(count, sizeof(*work->pins));
    return work->blocks == NULL || work->pins == NULL ? PG_ERR_NOMEM : PG_OK;
}

static bool block_plan(commit_work *work, const pg_cid *cid, int32_t slot, uint32_t len)
{
    if (!pg_block_cid_is_kept(cid)) {
        return false;
    }
    work->blocks[work->block_count++] = (pg_ledger_block){pg_held_name_of(cid), slot, len};
    return true;
}

static bool whole_plan(commit_work *work)
{
    uint32_t len = 0;
    const pg_cid *cid = &work->grant.descriptor;
    (void) pg_block_store_has(work->server->config.blocks, cid, &len); // pinning looks again
    return block_plan(work, cid, 0, len);
}

static bool shards_plan(commit_work *work, const pg_extent_view *view)
{
    const pg_extent_format *format = work->server->config.format;
    for (uint32_t slot = 0; slot < view->slots; slot++) {
        if ((work->slots >> slot & 1U) == 0) {
            continue;
        }
        for (uint32_t segment = 0; segment < view->segments; segment++) {
            pg_cid cid = {0};
            uint32_t len = 0;
            format->shard(view, segment, slot, &cid, &len);
            if (!block_plan(work, &cid, (int32_t) slot, len)) {
                return false;
            }
        }
    }
    return true;
}

static bool view_is_good(const commit_work *work, const pg_extent_view *view)
{
    bool is_sized = view->slots >= 1 && view->slots <= PG_PLACE_SLOTS_MAX && view->segments >= 1 &&
                    view->segments <= PG_PLACE_SEGMENTS_MAX;
    return is_sized && (view->slots == 32 || work->slots >> view->slots == 0) &&
           memcmp(view->lease_key, work->grant.lease_key, sizeof(view->lease_key)) == 0;
}

static pg_place_status extent_plan(commit_work *work, const pg_extent_view *view,
                                   uint32_t descriptor_len)
{
    const pg_lease_grant *grant = &work->grant;
    uint32_t root_len = 0;
    if (!view_is_good(work, view)) {
        return PG_PLACE_STATUS_BAD_GRANT;
    }
    size_t slots = (size_t) __builtin_popcount(work->slots);
    if (blocks_alloc(work, 2 + slots * view->segments) != PG_OK) {
        return PG_PLACE_STATUS_BUSY;
    }
    (void) block_plan(work, &grant->descriptor, PG_LEDGER_SLOT_DESCRIPTOR, descriptor_len);
    if (grant->root.len > 0) {
        (void) pg_block_store_has(work->server->config.blocks, &grant->root, &root_len);
        (void) block_plan(work, &grant->root, PG_LEDGER_SLOT_ROOT, root_len);
    }
    return shards_plan(work, view) ? PG_PLACE_STATUS_OK : PG_PLACE_STATUS_BAD_GRANT;
}

static pg_place_status extent_read(commit_work *work)
{
    pg_place_server *server = work->server;
    pg_extent_view *view = NULL;
    pg_buf block = {.max_len = PG_BITSWAP_BLOCK_BYTES_MAX};
    pg_err err = pg_block_store_get(server->config.blocks, &work->grant.descriptor, &block);
    if (err == PG_ERR_CORRUPT) {
        pg_place_server_lost(server, &work->grant.descriptor);
    }
    pg_place_status status = err == PG_ERR_NOMEM ? PG_PLACE_STATUS_BUSY : PG_PLACE_STATUS_NOT_FOUND;
    if (err == PG_OK) {
        status = decoded(server->config.format->read(pg_buf_bytes(&block), &view));
    }
    if (view != NULL) {
        status = extent_plan(work, view, (uint32_t) block.len);
        server->config.format->free(&view);
    }
    pg_buf_deinit(&block);
    return status;
}

static pg_place_status plan(commit_work *work)
{
    if (!work->grant.is_whole) {
        return work->slots == 0 ? PG_PLACE_STATUS_NOT_FOUND : extent_read(work);
    }
    if (work->slots != 1) {
        return PG_PLACE_STATUS_BAD_GRANT;
    }
    if (blocks_alloc(work, 1) != PG_OK) {
        return PG_PLACE_STATUS_BUSY;
    }
    return whole_plan(work) ? PG_PLACE_STATUS_OK : PG_PLACE_STATUS_BAD_GRANT;
}

// ---- Pinning them

// A block that is there for another reason, a cache say, now counts here.
static pg_place_status block_adopt(commit_work *work, const pg_ledger_block *block,
                                   uint32_t *out_number)
{
    pg_place_stream *stream = work->job->stream;
    pg_place_server *server = work->server;
    pg_place_status status = pg_place_room(server, stream->uploader, pg_held_space(block->len));
    if (status != PG_PLACE_STATUS_OK) {
        return status;
    }
    if (pg_held_add(&server->held, &block->name, block->len, stream->uploader, out_number) !=
        PG_OK) {
        return PG_PLACE_STATUS_FULL;
    }
    pg_held_at(&server->held, *out_number)->is_present = true;
    pg_held_at(&server->held, *out_number)->used_s = pg_place_now_s();
    return PG_PLACE_STATUS_OK;
}

static pg_place_status block_pin(commit_work *work, const pg_ledger_block *block)
{
    pg_place_server *server = work->server;
    uint32_t number = PG_HELD_NONE;
    uint32_t len = 0;
    if (pg_place_block_find(server, &block->name, &number) != PG_OK) {
        return PG_PLACE_STATUS_BUSY;
    }
    pg_cid cid = pg_held_name_cid(&block->name);
    if (!pg_block_store_has(server->config.blocks, &cid, &len) || len != block->len) {
        if (block->slot < 0 || work->grant.is_whole) {
            return PG_PLACE_STATUS_NOT_FOUND;
        }
        if (work->missing_count < PG_PLACE_MISSING_MAX) {
            work->missing[work->missing_count++] = cid;
        }
        return PG_PLACE_STATUS_OK;
    }
    bool is_adopted = number == PG_HELD_NONE;
    if (is_adopted) {
        pg_place_status status = block_adopt(work, block, &number);
        if (status != PG_PLACE_STATUS_OK) {
            return status;
        }
    }
    if (pg_held_at(&server->held, number)->len != len) { // as somebody said who is pushing it
        pg_held_set_len(&server->held, number, len);
    }
    pg_held_block *held = pg_held_at(&server->held, number);
    held->is_present = true;
    held->pins++;
    work->pins[work->pin_count++] = (commit_pin){number, is_adopted};
    return PG_PLACE_STATUS_OK;
}

static pg_place_status blocks_pin(commit_work *work)
{
    for (size_t i = 0; i < work->block_count; i++) {
        pg_place_status status = block_pin(work, &work->blocks[i]);
        if (status != PG_PLACE_STATUS_OK) {
            return status;
        }
        if (i % PINS_PER_TURN == PINS_PER_TURN - 1 && pg_fiber_yield() != PG_OK) {
            return PG_PLACE_STATUS_BUSY;
        }
    }
    if (work->missing_count > 0) {
        pg_cid *copy = pg_arena_alloc(&work->job->arena, sizeof(work->missing));
        if (copy == NULL) {
            return PG_PLACE_STATUS_BUSY;
        }
        memcpy(copy, work->missing, sizeof(work->missing));
        work->job->response.missing = copy;
        work->job->response.missing_count = work->missing_count;
        return PG_PLACE_STATUS_MISSING;
    }
    return PG_PLACE_STATUS_OK;
}

// What was adopted for a commit that came to nothing is not ours again.
static void pins_release(commit_work *work)
{
    pg_held *held = &work->server->held;
    for (size_t i = 0; i < work->pin_count; i++) {
        pg_held_block *block = pg_held_at(held, work->pins[i].number);
        if (work->pins[i].is_adopted && block->leases == 0 && block->wants == 0) {
            block->is_present = false;
        }
        pg_held_unpin(held, work->pins[i].number);
    }
    pg_mfree(work->blocks);
    pg_mfree(work->pins);
    work->blocks = NULL;
    work->pins = NULL;
    work->block_count = 0;
    work->pin_count = 0;
}

static void work_free(commit_work *work)
{
    pins_release(work);
    pg_mfree(work);
}

// ---- Committing

static pg_place_status write_failed(commit_work *work, pg_err err, uint64_t known_sequence)
{
    switch ((int) err) {
    case PG_ERR_CHANGED:
        work->job->response.known_sequence = known_sequence;
        return PG_PLACE_STATUS_SUPERSEDED;
    case PG_ERR_NOT_FOUND:
        return PG_PLACE_STATUS_NOT_FOUND;
    default:
        return pg_place_failed("commit", err);
    }
}

// What was pushed for this commit has been answered.
static void wants_settle(commit_work *work)
{
    for (size_t i = 0; i < work->pin_count; i++) {
        int32_t slot = work->blocks[i].slot;
        pg_held_block *block = pg_held_at(&work->server->held, work->pins[i].number);
        bool is_asked_for = slot < 0 || (work->job->request.slots >> slot & 1U) != 0;
        block->is_present = true; // another commit, which failed, may have adopted it
        if (is_asked_for && block->wants > 0) {
            block->wants--;
        }
    }
}

// The promise, or its end. *out_slots is what is held then.
static pg_place_status ledger_write(commit_work *work, pg_slot_set *out_slots)
{
    pg_place_server *server = work->server;
    pg_place_stream *stream = work->job->stream;
    pg_ledger_change change = {0};
    pg_ledger_commit commit = {
        .grant = &work->grant,
        .encoded = work->job->request.grant,
        .slots = work->job->request.slots,
        .uploader = &stream->peer,
        .blocks = work->blocks,
        .block_count = work->block_count,
        .receipts = work->receipts,
        .receipt_count = work->grant.expiry_s == 0 ? 0 : work->job->request.receipt_count,
    };
    pg_err err = pg_place_ledger_lock(server);
    if (err != PG_OK) {
        return PG_PLACE_STATUS_BUSY;
    }
    commit.make_room = server->tombs >= PG_PLACE_TOMBS_MAX;
    err = pg_ledger_commit_write(server->config.db, &commit, &change);
    if (err == PG_OK) {
        stream->uploader->leases += change.is_new ? 1U : 0U;
        wants_settle(work);
        pg_place_apply(server, &change, false);
        pg_place_tell(server, &work->grant);
        *out_slots = commit.slots;
    }
    pg_ledger_change_deinit(&change);
    pg_place_ledger_unlock(server);
    return err == PG_OK ? PG_PLACE_STATUS_OK : write_failed(work, err, commit.known_sequence);
}

static pg_place_status receipt_make(commit_work *work, pg_slot_set slots)
{
    const pg_lease_receipt receipt = {
        .descriptor = work->grant.descriptor,
        .slots = slots,
        .sequence = work->grant.sequence,
        .expiry_s = work->grant.expiry_s,
        .time_s = pg_place_now_s(),
    };
    pg_buf *data = &work->job->data;
    if (pg_lease_receipt_encode(work->server->config.device, &receipt, data) != PG_OK) {
        return PG_PLACE_STATUS_BUSY; // a repeated commit gives it
    }
    work->job->response.receipt = pg_buf_bytes(data);
    return PG_PLACE_STATUS_OK;
}

static pg_place_status lease_check(commit_work *work, const pg_ledger_state *state)
{
    const pg_place_server *server = work->server;
    const pg_uploader *uploader = work->job->stream->uploader;
    uint64_t known = 0;
    if (!pg_ledger_grant_is_next(state, &work->grant, &known)) {
        work->job->response.known_sequence = known;
        return PG_PLACE_STATUS_SUPERSEDED;
    }
    if (state->lease.id != 0) {
        return state->lease.is_whole == work->grant.is_whole ? PG_PLACE_STATUS_OK
                                                             : PG_PLACE_STATUS_BAD_GRANT;
    }
    if (server->leases >= PG_PLACE_LEASES_MAX) {
        return PG_PLACE_STATUS_FULL;
    }
    return uploader->leases >= PG_PLACE_PEER_LEASES_MAX ? PG_PLACE_STATUS_TOO_LARGE
                                                        : PG_PLACE_STATUS_OK;
}

// Find out what the commit would change, and which blocks that takes.
static pg_place_status change_find(commit_work *work)
{
    pg_ledger_key key = {.descriptor = work->grant.descriptor};
    pg_ledger_state state = {0};
    memcpy(key.lease_key, work->grant.lease_key, sizeof(key.lease_key));
    pg_err err = pg_ledger_find(work->server->config.db, &key, &state);
    if (err != PG_OK) {
        return pg_place_failed("commit", err);
    }
    pg_place_status status = lease_check(work, &state);
    work->slots = work->job->request.slots | state.lease.slots;
    work->fresh = work->job->request.slots & ~state.lease.slots;
    return status == PG_PLACE_STATUS_OK ? plan(work) : status;
}

static pg_place_status keep(commit_work *work)
{
    pg_slot_set slots = 0;
    pg_place_status status = blocks_pin(work);
    if (status == PG_PLACE_STATUS_OK) {
        status = ledger_write(work, &slots);
    }
    return status == PG_PLACE_STATUS_OK ? receipt_make(work, slots) : status;
}

// By the session's key, for this host, this peer and this extent: so nobody can use it who hears it.
static pg_place_status owner_check(const commit_work *work)
{
    const pg_place_stream *stream = work->job->stream;
    pg_lease_owner owner;
    if (work->job->request.owner.len == 0) {
        return PG_PLACE_STATUS_OK;
    }
    pg_place_status status = decoded(pg_lease_owner_decode(work->job->request.owner, &owner));
    bool is_good = status == PG_PLACE_STATUS_OK &&
                   memcmp(owner.lease_key, stream->lease_key, sizeof(owner.lease_key)) == 0 &&
                   pg_peer_id_equal(&owner.host, &work->server->config.device->peer_id) &&
                   pg_peer_id_equal(&owner.uploader, &stream->peer) &&
                   pg_cid_equal(&owner.descriptor, &work->grant.descriptor);
    return status != PG_PLACE_STATUS_OK || is_good ? status : PG_PLACE_STATUS_BAD_GRANT;
}

static pg_place_status signed_check(commit_work *work)
{
    pg_place_status status = decoded(pg_lease_grant_decode(work->job->request.grant, &work->grant));
    if (status == PG_PLACE_STATUS_OK) {
        status = grant_check(work);
    }
    if (status == PG_PLACE_STATUS_OK) {
        status = owner_check(work);
    }
    return status == PG_PLACE_STATUS_OK && work->grant.expiry_s != 0 ? receipts_check(work)
                                                                     : status;
}

static pg_err turn_take(pg_place_server *server)
{
    pg_time deadline = pg_after(PG_MS(PG_PLACE_TURN_MS));
    while (server->commits >= PG_PLACE_COMMITS_MAX) {
        PG_TRY(pg_waitq_wait(&server->turn, deadline));
        PG_TRY(server->is_closing ? PG_ERR_CLOSED : PG_OK);
    }
    server->commits++;
    return PG_OK;
}

static void turn_give(pg_place_server *server)
{
    server->commits--;
    pg_waitq_wake_all(&server->turn);
}

static bool is_claim(const commit_work *work)
{
    return work->fresh != 0 && work->job->request.owner.len == 0 &&
           work->server->config.held_elsewhere != NULL;
}

// What was pushed for slots that others hold need not lie here for two days.
static void pushes_take_back(commit_work *work)
{
    bool has_doomed = false;
    for (size_t i = 0; i < work->block_count; i++) {
        const pg_ledger_block *block = &work->blocks[i];
        if (work->grant.is_whole || (block->slot >= 0 && (work->fresh >> block->slot & 1U) != 0)) {
            has_doomed |= pg_place_push_take_back(work->job->stream, &block->name);
        }
    }
    if (has_doomed) {
        pg_place_kick(work->server);
    }
}

// Others commit while those who may hold the slots are asked.
static pg_place_status claim_check(commit_work *work)
{
    pg_peer_id hosts[PG_PLACE_COMMIT_RECEIPTS_MAX];
    const size_t count = work->job->request.receipt_count;
    for (size_t i = 0; i < count; i++) {
        hosts[i] = work->receipts[i].receipt.host;
    }
    const pg_place_claim claim = {
        .descriptor = &work->grant.descriptor,
        .is_whole = work->grant.is_whole,
        .slots = work->fresh,
        .claimant = &work->job->stream->peer,
        .hosts = hosts,
        .host_count = count,
    };
    pg_place_status status = blocks_pin(work);
    if (status != PG_PLACE_STATUS_OK) {
        return status; // nobody is asked about what was not brought
    }
    turn_give(work->server);
    work->has_turn = false;
    status = pg_place_claim_check(work->job, &work->grant, &claim);
    if (status == PG_PLACE_STATUS_HELD) {
        pushes_take_back(work);
    }
    if (status != PG_PLACE_STATUS_OK) {
        return status;
    }
    pins_release(work);
    if (turn_take(work->server) != PG_OK) {
        return PG_PLACE_STATUS_BUSY;
    }
    work->has_turn = true;
    return change_find(work); // it may be another by now
}

static pg_place_status commit_run(commit_work *work)
{
    pg_slot_set slots = 0;
    pg_place_status status = signed_check(work);
    if (status == PG_PLACE_STATUS_OK && work->grant.expiry_s == 0) {
        return ledger_write(work, &slots);
    }
    if (status == PG_PLACE_STATUS_OK) {
        status = change_find(work);
    }
    if (status == PG_PLACE_STATUS_OK && is_claim(work)) {
        status = claim_check(work);
    }
    return status == PG_PLACE_STATUS_OK ? keep(work) : status;
}

pg_place_status pg_place_commit_answer(pg_place_job *job)
{
    pg_place_server *server = job->stream->server;
    if (turn_take(server) != PG_OK) {
        return PG_PLACE_STATUS_BUSY;
    }
    pg_place_status status = PG_PLACE_STATUS_BUSY;
    bool has_turn = true;
    commit_work *work = PG_NEW(commit_work);
    if (work != NULL) {
        work->job = job;
        work->server = server;
        work->has_turn = true;
        status = commit_run(work);
        has_turn = work->has_turn;
        work_free(work);
    }
    if (has_turn) {
        turn_give(server);
    }
    return status;
}

// ---- Release

static pg_place_status release_write(pg_place_server *server, const pg_lease_release *release)
{
    pg_ledger_change change = {0};
    if (pg_place_ledger_lock(server) != PG_OK) {
        return PG_PLACE_STATUS_BUSY;
    }
    bool make_room = server->tombs >= PG_PLACE_TOMBS_MAX;
    pg_err err = pg_ledger_release_write(server->config.db, release, make_room, &change);
    if (err == PG_OK) {
        pg_place_apply(server, &change, false);
    }
    pg_ledger_change_deinit(&change);
    pg_place_ledger_unlock(server);
    switch ((int) err) {
    case PG_OK:
        return PG_PLACE_STATUS_OK;
    case PG_ERR_CHANGED:
        return PG_PLACE_STATUS_SUPERSEDED;
    case PG_ERR_NOT_FOUND:
        return PG_PLACE_STATUS_NOT_FOUND;
    default:
        return pg_place_failed("release", err);
    }
}

pg_place_status pg_place_release_answer(pg_place_job *job)
{
    pg_place_stream *stream = job->stream;
    pg_place_server *server = stream->server;
    pg_lease_release release;
    if (pg_lease_release_decode(job->request.release, &release) != PG_OK ||
        memcmp(release.lease_key, stream->lease_key, sizeof(release.lease_key)) != 0 ||
        !pg_peer_id_equal(&release.host, &server->config.device->peer_id)) {
        return PG_PLACE_STATUS_BAD_GRANT;
    }
    return release_write(server, &release);
}

// ---- Have

static pg_err receipts_list(pg_place_job *job)
{
    pg_bytes rest = pg_buf_bytes(&job->data);
    pg_bytes *receipts = pg_arena_alloc(&job->arena, PG_PLACE_RECEIPTS_MAX * sizeof(*receipts));
    size_t count = 0;
    if (receipts == NULL) {
        return PG_ERR_NOMEM;
    }
    while (rest.len > 0 && count < PG_PLACE_RECEIPTS_MAX) {
        size_t len = 0;
        PG_TRY(pg_frame_decode(rest, PG_PLACE_SIGNED_BYTES_MAX, &receipts[count], &len));
        rest = pg_bytes_slice(rest, len, rest.len);
        count++;
    }
    job->response.receipts = receipts;
    job->response.receipt_count = count;
    return PG_OK;
}

// Who put an extent is no place for it, and says nothing that would bring it there.
static uint32_t fill_tell(pg_place_server *server, const pg_cid *descriptor, bool is_held)
{
    const pg_place_server_config *config = &server->config;
    if (config->rules.accept == PG_PLACE_ACCEPT_NOBODY) {
        return 0;
    }
    if (!is_held && config->is_own != NULL) {
        if (pg_now() >= server->fill_second) {
            server->fill_second = pg_after(PG_SECONDS(1));
            server->fill_count = 0;
        }
        if (server->fill_count++ >= PG_PLACE_FILLS_SECOND_MAX ||
            config->is_own(descriptor, config->user)) {
            return 0;
        }
    }
    return 1 + pg_place_server_fill(server);
}

pg_place_status pg_place_have_answer(pg_place_job *job)
{
    pg_place_server *server = job->stream->server;
    const pg_cid *descriptor = &job->request.cids[0];
    pg_held_name name = pg_held_name_of(descriptor);
    pg_ledger_holding holding = {0};
    bool is_held = pg_held_find(&server->held, &name) != PG_HELD_NONE;
    job->response.fill = fill_tell(server, descriptor, is_held);
    if (!server->has_bare_lease && pg_held_find(&server->held, &name) == PG_HELD_NONE) {
        return PG_PLACE_STATUS_OK; // strangers' questions cost no look at the ledger
    }
    pg_err err =
        pg_ledger_have(server->config.db, descriptor, !job->request.without_receipts, &holding);
    if (err != PG_OK) {
        return pg_place_failed("have", err);
    }
    job->data = holding.receipts;
    if (holding.lease.id == 0) {
        return PG_PLACE_STATUS_OK;
    }
    job->response.slots = holding.lease.slots;
    job->response.leaving = holding.lease.slots & pg_place_leaving_of(server, descriptor);
    job->response.has_descriptor = pg_block_store_has(server->config.blocks, descriptor, NULL);
    job->response.sequence = holding.lease.grant_sequence;
    job->response.expiry_s = holding.lease.expiry_s;
    err = receipts_list(job);
    return err == PG_OK ? PG_PLACE_STATUS_OK : pg_place_failed("have", err);
}
