// SPDX-License-Identifier: Apache-2.0
// What peers want of us. Each has a ledger of at most PG_BITSWAP_WANTS_MAX wants; when it is full the oldest want for a block that is not
// here makes room, and where all are still to be answered, no more is read from the peer. Blocks are read from the disk ahead of the writer, bounded in bytes for the peer and for all; where all of that is
// taken, peers take turns, and who is sent a block for too long is given up.
#include <string.h>

#include "base/mem.h"
#include "exchange/bitswap_priv.h"

#define WATCH_MS 1000

/** A block being read. */
typedef struct read_job {
    pg_bitswap_peer *peer;
    pg_bitswap_held *held;
    pg_bitswap_outgoing *outgoing;
    size_t len; // as it is accounted for
} read_job;

// ---- Demands: all wants of a block that is not here, found by its hash

static pg_bytes demand_key(const pg_bitswap_demand *demand)
{
    return pg_multihash_bytes(&demand->hash);
}

// False when memory is out: the want is then not remembered.
static bool demand_join(pg_bitswap_held *held)
{
    if (held->demand != NULL) {
        return true;
    }
    pg_bitswap *bitswap = held->peer->bitswap;
    pg_multihash hash = pg_cid_multihash(&held->cid);
    pg_bitswap_demand *demand = pg_map_get(&bitswap->demands, pg_multihash_bytes(&hash));
    if (demand == NULL) {
        demand = PG_NEW(pg_bitswap_demand);
        if (demand == NULL) {
            return false;
        }
        demand->hash = hash;
        pg_list_init(&demand->wants);
        if (pg_map_add(&bitswap->demands, demand_key(demand), demand) != PG_OK) {
            pg_mfree(demand);
            return false;
        }
    }
    held->demand = demand;
    pg_list_append(&demand->wants, &held->demand_node);
    return true;
}

static void demand_leave(pg_bitswap_held *held)
{
    pg_bitswap_demand *demand = held->demand;
    if (demand == NULL) {
        return;
    }
    held->demand = NULL;
    pg_list_remove(&held->demand_node);
    if (pg_list_is_empty(&demand->wants)) {
        (void) pg_map_take(&held->peer->bitswap->demands, demand_key(demand));
        pg_mfree(demand);
    }
}

// ---- The ledger

static void held_set_state(pg_bitswap_held *held, pg_bitswap_held_state state)
{
    pg_bitswap_peer *peer = held->peer;
    pg_list_remove(&held->node);
    held->state = state;
    if (state == PG_BITSWAP_HELD_STATE_HELD) {
        pg_list_append(&peer->held_idle, &held->node);
    } else if (state == PG_BITSWAP_HELD_STATE_ANSWER) {
        pg_list_append(&peer->answers, &held->node);
        pg_bitswap_send_kick(peer);
    } else if (state == PG_BITSWAP_HELD_STATE_BLOCK) {
        pg_list_append(&peer->blocks, &held->node);
    }
}

// Out of the ledger. One that is being read is freed by its fiber.
static void held_drop(pg_bitswap_held *held)
{
    pg_bitswap_peer *peer = held->peer;
    demand_leave(held);
    pg_list_remove(&held->node);
    (void) pg_map_take(&peer->held, pg_bytes_make(held->raw, held->raw_len));
    peer->bitswap->held_count--;
    peer->bitswap->holders -= pg_map_count(&peer->held) == 0 ? 1 : 0;
    pg_waitq_wake_all(&peer->answered);
    if (held->state == PG_BITSWAP_HELD_STATE_READING) {
        held->is_orphan = true;
    } else {
        pg_mfree(held);
    }
}

// The block is not here. Say so if the peer wants to hear it, and remember the want if it can ever be answered.
static void held_lack(pg_bitswap_held *held)
{
    bool is_kept = held->cid.len != 0 && demand_join(held);
    if (held->send_dont_have) {
        held->has = false;
        held_set_state(held, PG_BITSWAP_HELD_STATE_ANSWER);
    } else if (is_kept) {
        held_set_state(held, PG_BITSWAP_HELD_STATE_HELD);
    } else {
        held_drop(held);
    }
}

static bool is_backed(const pg_bitswap *bitswap, const pg_cid *cid, uint32_t *out_len)
{
    const pg_bitswap_backing *backing = &bitswap->backing;
    return backing->has != NULL && backing->has(cid, out_len, backing->user);
}

static bool is_here(const pg_bitswap *bitswap, const pg_cid *cid, uint32_t *out_len)
{
    return cid->len != 0 &&
           (is_backed(bitswap, cid, out_len) ||
            pg_block_store_has(bitswap->blocks, cid, out_len)) &&
           *out_len <= PG_BITSWAP_BLOCK_BYTES_MAX;
}

// What becomes of a want, by what is here now.
static void held_decide(pg_bitswap_held *held)
{
    uint32_t len = 0;
    if (!is_here(held->peer->bitswap, &held->cid, &len)) {
        held_lack(held);
        return;
    }
    demand_leave(held);
    held->has = true;
    held_set_state(held,
                   held->is_have ? PG_BITSWAP_HELD_STATE_ANSWER : PG_BITSWAP_HELD_STATE_BLOCK);
}

// How many wants of a peer are held: less where many peers want something, so that nobody takes the places of others.
static uint32_t ledger_max(const pg_bitswap *bitswap)
{
    uint32_t holders = bitswap->holders > 0 ? bitswap->holders : 1;
    uint32_t share = PG_BITSWAP_WANTS_TOTAL_MAX / holders;
    return share < PG_BITSWAP_WANTS_MAX ? share + 1 : PG_BITSWAP_WANTS_MAX;
}

static bool ledger_is_full(const pg_bitswap_peer *peer)
{
    return pg_map_count(&peer->held) >= ledger_max(peer->bitswap);
}

pg_err pg_bitswap_serve_room(pg_bitswap_peer *peer)
{
    while (ledger_is_full(peer) && pg_list_is_empty(&peer->held_idle)) {
        pg_bitswap_serve_pump(peer);
        PG_TRY(pg_waitq_wait(&peer->answered, pg_after(PG_MS(PG_BITSWAP_IDLE_MS))));
    }
    return PG_OK;
}

static pg_bitswap_held *held_new(pg_bitswap_peer *peer, const pg_bitswap_want *want)
{
    while (ledger_is_full(peer) && !pg_list_is_empty(&peer->held_idle)) {
        held_drop(PG_LIST_OBJECT(peer->held_idle.next, pg_bitswap_held, node));
    }
    pg_bitswap_held *held = pg_calloc(1, sizeof(pg_bitswap_held) + want->cid.len);
    if (held == NULL) {
        return NULL;
    }
    held->peer = peer;
    held->raw_len = (uint8_t) want->cid.len;
    memcpy(held->raw, want->cid.ptr, want->cid.len);
    if (pg_cid_decode(want->cid, &held->cid) != PG_OK) {
        held->cid.len = 0; // a hash we do not compute: we never have it
    }
    held->is_have = want->is_have;
    if (pg_map_add(&peer->held, want->cid, held) != PG_OK) {
        pg_mfree(held);
        return NULL;
    }
    peer->bitswap->held_count++;
    peer->bitswap->holders += pg_map_count(&peer->held) == 1 ? 1 : 0;
    return held;
}

// A block that waits for the writer, or NULL.
static pg_bitswap_outgoing *ready_find(const pg_bitswap_peer *peer, pg_bytes cid)
{
    for (pg_list *node = peer->ready.next; node != &peer->ready; node = node->next) {
        pg_bitswap_outgoing *outgoing = PG_LIST_OBJECT(node, pg_bitswap_outgoing, node);
        if (pg_bytes_equal(pg_cid_bytes(&outgoing->cid), cid)) {
            return outgoing;
        }
    }
    return NULL;
}

static void want_cancel(pg_bitswap_peer *peer, pg_bytes cid)
{
    pg_bitswap_held *held = pg_map_get(&peer->held, cid);
    pg_bitswap_outgoing *outgoing = ready_find(peer, cid);
    if (held != NULL) {
        held_drop(held);
    }
    if (outgoing != NULL) {
        pg_list_remove(&outgoing->node);
        peer->ready_count--;
        pg_bitswap_serve_release(peer, outgoing);
    }
}

void pg_bitswap_serve_want(pg_bitswap_peer *peer, const pg_bitswap_want *want, uint32_t round)
{
    if (want->is_cancel) {
        want_cancel(peer, want->cid);
        return;
    }
    pg_bitswap_held *held = pg_map_get(&peer->held, want->cid);
    if (held == NULL && ready_find(peer, want->cid) != NULL) {
        return; // it is as good as sent
    }
    if (held == NULL) {
        held = held_new(peer, want);
    }
    if (held == NULL) {
        return;
    }
    held->round = round;
    held->is_have = held->is_have && want->is_have;
    held->send_dont_have = held->send_dont_have || want->send_dont_have;
    if (held->state != PG_BITSWAP_HELD_STATE_READING) {
        held_decide(held);
    }
}

void pg_bitswap_serve_full(pg_bitswap_peer *peer, uint32_t round)
{
    pg_map_cursor cursor = {0};
    while (pg_map_next(&peer->held, &cursor)) {
        pg_bitswap_held *held = cursor.value;
        if (held->round != round) {
            held_drop(held);
        }
    }
}

void pg_bitswap_serve_answered(pg_bitswap_held *held)
{
    pg_bitswap_stats *stats = &held->peer->bitswap->stats;
    if (held->has) {
        stats->wants_served++;
        held_drop(held);
        return;
    }
    stats->wants_unserved++;
    pg_waitq_wake_all(&held->peer->answered);
    if (held->demand != NULL) {
        held_set_state(held, PG_BITSWAP_HELD_STATE_HELD);
    } else {
        held_drop(held);
    }
}

void pg_bitswap_announce(pg_bitswap *bitswap, const pg_cid *cid)
{
    uint32_t len = 0;
    pg_multihash hash = pg_cid_multihash(cid);
    pg_bitswap_demand *demand = pg_map_get(&bitswap->demands, pg_multihash_bytes(&hash));
    if (demand == NULL || !is_here(bitswap, cid, &len)) {
        return;
    }
    size_t count = 0; // one leaves the list at each step, and the last one frees it
    for (pg_list *node = demand->wants.next; node != &demand->wants; node = node->next) {
        count++;
    }
    for (; count > 0; count--) {
        pg_bitswap_held *held = PG_LIST_OBJECT(demand->wants.next, pg_bitswap_held, demand_node);
        pg_bitswap_peer *peer = held->peer;
        held_decide(held);
        pg_bitswap_serve_pump(peer);
    }
}

// ---- Reading from the disk

static void budget_release(pg_bitswap *bitswap);

static void charge(pg_bitswap_peer *peer, size_t len)
{
    peer->pending_bytes += len;
    peer->bitswap->pending_bytes += len;
}

static void discharge(pg_bitswap_peer *peer, size_t len)
{
    peer->pending_bytes -= len;
    peer->bitswap->pending_bytes -= len;
}

static void outgoing_free(pg_bitswap *bitswap, pg_bitswap_outgoing *outgoing)
{
    pg_bitswap_spare_give(bitswap, &outgoing->data);
    pg_bitswap_spares_trim(bitswap);
    pg_mfree(outgoing);
}

void pg_bitswap_serve_release(pg_bitswap_peer *peer, pg_bitswap_outgoing *outgoing)
{
    discharge(peer, outgoing->data.len);
    outgoing_free(peer->bitswap, outgoing);
    pg_bitswap_serve_pump(peer);
    budget_release(peer->bitswap);
}

// The block of a want has been read, or could not be.
static void read_settle(read_job *job, pg_err err)
{
    pg_bitswap_peer *peer = job->peer;
    pg_bitswap_held *held = job->held;
    bool is_wanted = !held->is_orphan;
    if (!is_wanted) {
        pg_mfree(held);
    } else if (err == PG_OK) {
        held->state = PG_BITSWAP_HELD_STATE_HELD; // so that dropping it frees it
        held_drop(held);
    } else {
        held_lack(held); // gone, damaged, or the disk has failed: for a peer that is all the same
    }
    if (is_wanted && err == PG_OK) {
        const pg_bitswap_backing *backing = &peer->bitswap->backing;
        if (backing->sent != NULL) {
            backing->sent(&job->outgoing->cid, backing->user);
        }
        pg_list_append(&peer->ready, &job->outgoing->node);
        peer->ready_count++;
        pg_bitswap_send_kick(peer);
    } else {
        discharge(peer, job->len);
        outgoing_free(peer->bitswap, job->outgoing);
    }
}

// The backing is asked first where it has the block.
static pg_err block_read(const pg_bitswap *bitswap, pg_bitswap_outgoing *outgoing)
{
    uint32_t len = 0;
    if (is_backed(bitswap, &outgoing->cid, &len)) {
        const pg_bitswap_backing backing = bitswap->backing;
        pg_err err = backing.get(&outgoing->cid, &outgoing->data, backing.user);
        if (err == PG_OK) {
            return err;
        }
    }
    return pg_block_store_get(bitswap->blocks, &outgoing->cid, &outgoing->data);
}

static pg_err read_run(void *arg)
{
    read_job job = *(read_job *) arg;
    pg_bitswap_peer *peer = job.peer;
    pg_bitswap *bitswap = peer->bitswap;
    pg_mfree(arg);
    pg_err err = block_read(bitswap, job.outgoing);
    if (err == PG_OK && job.outgoing->data.len != job.len) {
        err = PG_ERR_CORRUPT; // a CID has one length, which the peer was charged
    }
    peer->reading--;
    read_settle(&job, err);
    pg_bitswap_serve_pump(peer);
    budget_release(bitswap);
    pg_bitswap_peer_unuse(peer);
    return PG_OK;
}

// Start to read the block of a want. On failure nothing has changed.
static pg_err read_start(pg_bitswap_held *held, size_t len)
{
    pg_bitswap_peer *peer = held->peer;
    read_job *job = PG_NEW(read_job);
    pg_bitswap_outgoing *outgoing = PG_NEW(pg_bitswap_outgoing);
    pg_err err = PG_ERR_NOMEM;
    if (job != NULL && outgoing != NULL) {
        outgoing->cid = held->cid;
        outgoing->data = pg_bitswap_spare_take(peer->bitswap, len);
        *job = (read_job){peer, held, outgoing, len};
        err = pg_scope_spawn(&peer->bitswap->scope, "exchange.read", read_run, job);
    }
    if (err != PG_OK) {
        pg_mfree(job);
        if (outgoing != NULL) {
            outgoing_free(peer->bitswap, outgoing);
        }
        return err;
    }
    held_set_state(held, PG_BITSWAP_HELD_STATE_READING);
    charge(peer, len);
    peer->reading++;
    peer->users++;
    return PG_OK;
}

typedef enum pump_result {
    PUMP_STARTED,
    PUMP_NOTHING, // to read, or to read now for this peer
    PUMP_SHORT,   // all memory for blocks is taken
} pump_result;

// Start to read the next block the peer waits for.
static pump_result pump_one(pg_bitswap_peer *peer)
{
    pg_bitswap *bitswap = peer->bitswap;
    while (!pg_list_is_empty(&peer->blocks) && peer->reading < PG_BITSWAP_READS_MAX &&
           !bitswap->is_closing) {
        pg_bitswap_held *held = PG_LIST_OBJECT(peer->blocks.next, pg_bitswap_held, node);
        uint32_t len = 0;
        if (!is_here(bitswap, &held->cid, &len)) {
            held_lack(held); // deleted since it was found
            continue;
        }
        // Bytes do not bound blocks of none.
        if (peer->ready_count + peer->reading >= PG_BITSWAP_WANTS_MAX) {
            return PUMP_NOTHING;
        }
        if (peer->pending_bytes > 0 && peer->pending_bytes + len > PG_BITSWAP_PENDING_BYTES_MAX) {
            return PUMP_NOTHING;
        }
        if (bitswap->pending_bytes + len > PG_BITSWAP_PENDING_TOTAL_BYTES_MAX) {
            return PUMP_SHORT;
        }
        if (read_start(held, len) != PG_OK) {
            held_lack(held);
            continue;
        }
        return PUMP_STARTED;
    }
    return PUMP_NOTHING;
}

void pg_bitswap_serve_pump(pg_bitswap_peer *peer)
{
    pump_result result = PUMP_STARTED;
    while (result == PUMP_STARTED && !pg_list_is_linked(&peer->budget_node)) {
        result = pump_one(peer);
    }
    if (result == PUMP_SHORT) {
        pg_list_append(&peer->bitswap->budget_queue, &peer->budget_node);
        pg_waitq_wake_all(&peer->bitswap->pressed);
    }
}

// Memory for blocks has become free: those who wait take turns of one block.
static void budget_release(pg_bitswap *bitswap)
{
    while (!pg_list_is_empty(&bitswap->budget_queue)) {
        pg_bitswap_peer *peer =
            PG_LIST_OBJECT(bitswap->budget_queue.next, pg_bitswap_peer, budget_node);
        pump_result result = pump_one(peer);
        if (result == PUMP_SHORT) {
            return;
        }
        pg_list_remove(&peer->budget_node);
        if (result == PUMP_STARTED) {
            pg_list_append(&bitswap->budget_queue, &peer->budget_node);
        }
    }
}

// ---- Giving up

void pg_bitswap_serve_clear(pg_bitswap_peer *peer)
{
    pg_map_cursor cursor = {0};
    while (pg_map_next(&peer->held, &cursor)) {
        held_drop(cursor.value);
    }
    pg_list_remove(&peer->budget_node);
    for (pg_list *node = NULL; (node = pg_list_pop(&peer->ready)) != NULL;) {
        pg_bitswap_outgoing *outgoing = PG_LIST_OBJECT(node, pg_bitswap_outgoing, node);
        peer->ready_count--;
        discharge(peer, outgoing->data.len);
        outgoing_free(peer->bitswap, outgoing);
    }
    budget_release(peer->bitswap);
}

// Give up the peers that have been sent a message for too long, while others wait for the memory.
static void slow_give_up(pg_bitswap *bitswap)
{
    pg_time latest = pg_now() - PG_MS(PG_BITSWAP_SLOW_MS);
    pg_map_cursor cursor = {0};
    while (pg_map_next(&bitswap->peers, &cursor)) {
        pg_bitswap_peer *peer = cursor.value;
        if (peer->pending_bytes > 0 && peer->write_since != 0 && peer->write_since < latest &&
            peer->stream != NULL && !peer->is_given_up) {
            peer->is_given_up = true;
            pg_stream_reset(peer->stream);
        }
    }
}

pg_err pg_bitswap_serve_watch(void *arg)
{
    pg_bitswap *bitswap = arg;
    for (;;) {
        bool is_pressed = !pg_list_is_empty(&bitswap->budget_queue);
        pg_time deadline = is_pressed ? pg_after(PG_MS(WATCH_MS)) : PG_FOREVER;
        pg_err err = pg_waitq_wait(&bitswap->pressed, deadline);
        if (err == PG_ERR_CANCELLED) {
            return err;
        }
        if (err == PG_ERR_TIMEOUT) {
            slow_give_up(bitswap);
        }
    }
}
