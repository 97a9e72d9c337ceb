// SPDX-License-Identifier: Apache-2.0
// What we want of peers, and the answers. A want exists once for a peer, however many wait for it. A block says not which want it
// answers: it is hashed, and what nobody wants is dropped. A peer that sent as many wrong blocks as there are wants for blocks has
// failed all of them.
#include "base/log.h"
#include "base/mem.h"
#include "exchange/bitswap_priv.h"

// ---- States

static pg_list *asks_in(pg_bitswap_peer *peer, pg_bitswap_ask_state state)
{
    return &peer->asks_in[state];
}

// The oldest in a state that has some.
static pg_bitswap_query *asks_first(pg_bitswap_peer *peer, pg_bitswap_ask_state state)
{
    return PG_LIST_OBJECT(peer->asks_in[state].next, pg_bitswap_query, node);
}

// One less is in its state.
static void ask_leave(pg_bitswap_peer *peer, pg_bitswap_query *ask)
{
    pg_list_remove(&ask->node);
    peer->asks_count[ask->state]--;
    if (!pg_bitswap_has_asks(peer, PG_BITSWAP_ASK_STATE_SENT)) {
        peer->wrong = 0;
    }
    pg_waitq_wake_one(&peer->room);
}

static void ask_enter(pg_bitswap_peer *peer, pg_bitswap_query *ask, pg_bitswap_ask_state state)
{
    ask->state = state;
    pg_list_append(asks_in(peer, state), &ask->node);
    peer->asks_count[state]++;
}

static void ask_set_state(pg_bitswap_peer *peer, pg_bitswap_query *ask, pg_bitswap_ask_state state)
{
    ask_leave(peer, ask);
    ask_enter(peer, ask, state);
}

static void ask_free(pg_bitswap_peer *peer, pg_bitswap_query *ask)
{
    ask_leave(peer, ask);
    (void) pg_map_take(&peer->asks, pg_cid_bytes(&ask->cid));
    pg_mfree(ask);
}

// Nothing more is to be done, but what the peer may still send is remembered.
static void ask_bury(pg_bitswap_peer *peer, pg_bitswap_query *ask, pg_bitswap_ask_state state,
                     uint32_t max)
{
    ask_set_state(peer, ask, state);
    if (peer->asks_count[state] > max) {
        ask_free(peer, asks_first(peer, state));
    }
}

// It was answered for good.
static void ask_finish(pg_bitswap_peer *peer, pg_bitswap_query *ask)
{
    ask_bury(peer, ask, PG_BITSWAP_ASK_STATE_DONE, PG_BITSWAP_DONE_MAX);
}

// Nobody waits for it any more. The peer holds the want if it has heard of it.
static void ask_abandon(pg_bitswap_peer *peer, pg_bitswap_query *ask)
{
    if (ask->was_sent) {
        ask_set_state(peer, ask, PG_BITSWAP_ASK_STATE_CANCELLING);
        pg_bitswap_send_kick(peer);
    } else {
        ask_free(peer, ask);
    }
}

static bool ask_is_live(const pg_bitswap_query *ask)
{
    return ask != NULL && ask->state < PG_BITSWAP_ASK_STATE_GONE;
}

static pg_err ask_new(pg_bitswap_peer *peer, const pg_cid *cid, pg_bitswap_query **out_ask)
{
    pg_bitswap_query *ask = PG_NEW(pg_bitswap_query);
    if (ask == NULL) {
        return PG_ERR_NOMEM;
    }
    ask->cid = *cid;
    ask->is_have = true; // until somebody wants more
    pg_list_init(&ask->waits);
    pg_err err = pg_map_add(&peer->asks, pg_cid_bytes(cid), ask);
    if (err != PG_OK) {
        pg_mfree(ask);
        return err;
    }
    ask_enter(peer, ask, PG_BITSWAP_ASK_STATE_QUEUED);
    *out_ask = ask;
    return PG_OK;
}

// ---- Waits

static void wait_settle(pg_bitswap_wait *wait, pg_bitswap_result result, pg_err err)
{
    pg_list_remove(&wait->node);
    wait->result = result;
    wait->err = err;
    pg_waitq_wake_all(&wait->call->changed);
}

static void wait_fail(pg_bitswap_wait *wait, pg_err err, const char *detail)
{
    wait->call->err = err;
    pg_bitswap_detail_copy(detail, wait->call->detail);
    wait_settle(wait, PG_BITSWAP_RESULT_FAILED, err);
}

static void waits_fail(pg_bitswap_query *ask, pg_err err, const char *detail)
{
    while (!pg_list_is_empty(&ask->waits)) {
        wait_fail(PG_LIST_OBJECT(ask->waits.next, pg_bitswap_wait, node), err, detail);
    }
}

static pg_err room_wait(pg_bitswap_peer *peer, const pg_cid *cid, pg_time deadline)
{
    for (;;) {
        if (peer->bitswap->is_closing) {
            return pg_fail(PG_ERR_CLOSED, "the exchange of blocks ends");
        }
        bool is_live = ask_is_live(pg_map_get(&peer->asks, pg_cid_bytes(cid)));
        if (is_live || pg_bitswap_asks_live(peer) < PG_BITSWAP_WANTS_MAX) {
            return PG_OK;
        }
        PG_TRY(pg_waitq_wait(&peer->room, deadline));
    }
}

static pg_err wait_begin(pg_bitswap_peer *peer, const pg_cid *cid, pg_bitswap_wait *wait)
{
    pg_bitswap_query *ask = pg_map_get(&peer->asks, pg_cid_bytes(cid));
    if (ask == NULL) {
        PG_TRY(ask_new(peer, cid, &ask));
    } else if (ask->state >= PG_BITSWAP_ASK_STATE_CANCELLING) {
        ask->is_have = true;
        ask->was_resent = false;
        ask_set_state(peer, ask, PG_BITSWAP_ASK_STATE_QUEUED);
    }
    if (ask->is_have && !wait->is_have) {
        ask->is_have = false;
        ask_set_state(peer, ask, PG_BITSWAP_ASK_STATE_QUEUED);
    }
    wait->ask = ask;
    pg_list_append(&ask->waits, &wait->node);
    peer->unasked = 0;
    return PG_OK;
}

pg_err pg_bitswap_ask_begin(pg_bitswap *bitswap, const pg_peer_id *peer, const pg_cid *cid,
                            pg_time deadline, pg_bitswap_wait *wait)
{
    pg_bitswap_peer *it = NULL;
    PG_TRY(pg_bitswap_peer_use(bitswap, peer, &it));
    pg_err err = room_wait(it, cid, deadline);
    if (err == PG_OK) {
        err = wait_begin(it, cid, wait);
    }
    if (err != PG_OK) {
        pg_bitswap_peer_unuse(it);
        return err;
    }
    wait->peer = it;
    pg_bitswap_send_kick(it);
    if (!it->writer_runs) {
        pg_bitswap_ask_end(wait);
        return PG_ERR_NOMEM;
    }
    return PG_OK;
}

void pg_bitswap_ask_end(pg_bitswap_wait *wait)
{
    pg_bitswap_peer *peer = wait->peer;
    if (peer == NULL) {
        return;
    }
    if (wait->result == PG_BITSWAP_RESULT_NONE) {
        pg_list_remove(&wait->node);
        if (pg_list_is_empty(&wait->ask->waits)) {
            ask_abandon(peer, wait->ask);
        }
    }
    pg_buf_deinit(&wait->block);
    wait->peer = NULL;
    pg_bitswap_peer_unuse(peer);
}

// ---- Answers

static bool is_awaited(const pg_bitswap_query *ask)
{
    return ask != NULL && (ask->state == PG_BITSWAP_ASK_STATE_SENT ||
                           (ask->state == PG_BITSWAP_ASK_STATE_QUEUED && ask->was_sent));
}

void pg_bitswap_ask_on_presence(pg_bitswap_peer *peer, pg_bytes cid, bool has)
{
    pg_bitswap_query *ask = pg_map_get(&peer->asks, cid);
    if (!is_awaited(ask)) {
        return;
    }
    pg_list *next = NULL;
    for (pg_list *node = ask->waits.next; node != &ask->waits; node = next) {
        pg_bitswap_wait *wait = PG_LIST_OBJECT(node, pg_bitswap_wait, node);
        next = node->next;
        if (!has) {
            wait_settle(wait, PG_BITSWAP_RESULT_LACKS, PG_OK);
        } else if (wait->is_have) {
            wait_settle(wait, PG_BITSWAP_RESULT_HAS, PG_OK);
        }
    }
    if (!pg_list_is_empty(&ask->waits)) {
        return;
    }
    if (has && ask->is_have) {
        ask_finish(peer, ask); // the peer has done with it too
    } else {
        ask_abandon(peer, ask);
    }
}

// Give a block to all who wait for it; the last one gets it as it is.
static void block_deliver(pg_bitswap_query *ask, pg_buf *data)
{
    while (!pg_list_is_empty(&ask->waits)) {
        pg_bitswap_wait *wait = PG_LIST_OBJECT(ask->waits.next, pg_bitswap_wait, node);
        pg_err err = PG_OK;
        if (wait->node.next != &ask->waits) {
            err = pg_buf_append(&wait->block, pg_buf_bytes(data));
        } else {
            wait->block = *data;
            *data = (pg_buf){0};
        }
        if (err == PG_OK) {
            wait_settle(wait, PG_BITSWAP_RESULT_BLOCK, PG_OK);
        } else {
            wait_fail(wait, err, pg_error_detail(err));
        }
    }
}

// A block that is nothing we asked for: it stands in the place of one that we did.
static void on_wrong(pg_bitswap_peer *peer)
{
    uint32_t awaited = 0;
    peer->faults++;
    peer->wrong++;
    pg_list *sent = asks_in(peer, PG_BITSWAP_ASK_STATE_SENT);
    for (pg_list *node = sent->next; node != sent; node = node->next) {
        awaited += PG_LIST_OBJECT(node, pg_bitswap_query, node)->is_have ? 0U : 1U;
    }
    pg_log_limited(PG_LOG_LEVEL_DEBUG, "exchange.bitswap.wrong_block",
                   PG_LOG_U64("wrong", peer->wrong), PG_LOG_U64("awaited", awaited));
    if (peer->wrong < awaited) {
        return;
    }
    if (awaited > 0) {
        char name[PG_PSEUDONYM_TEXT_BYTES];
        pg_host_peer_pseudonym(peer->bitswap->host, &peer->id, name);
        pg_log_limited(PG_LOG_LEVEL_INFO, "exchange.bitswap.corrupt", PG_LOG_STR("peer", name));
    }
    pg_list *next = NULL;
    for (pg_list *node = sent->next; node != sent; node = next) {
        pg_bitswap_query *ask = PG_LIST_OBJECT(node, pg_bitswap_query, node);
        next = node->next;
        if (!ask->is_have) {
            waits_fail(ask, PG_ERR_CORRUPT, "the peer sent other bytes than those of the block");
            ask_abandon(peer, ask);
        }
    }
    peer->wrong = 0;
}

void pg_bitswap_ask_on_block(pg_bitswap_peer *peer, const pg_cid *cid, pg_buf *data)
{
    pg_bitswap_stats *stats = &peer->bitswap->stats;
    pg_bitswap_query *ask = cid == NULL ? NULL : pg_map_get(&peer->asks, pg_cid_bytes(cid));
    if (is_awaited(ask)) {
        stats->blocks_received++;
        stats->bytes_received += data->len;
        block_deliver(ask, data);
        ask_finish(peer, ask);
        return;
    }
    stats->blocks_refused++;
    if (ask == NULL) {
        on_wrong(peer);
    }
}

// ---- Sending

static pg_err entry_put(const pg_bitswap_query *ask, bool is_cancel, pg_buf *entries)
{
    const pg_bitswap_want want = {
        .cid = pg_cid_bytes(&ask->cid),
        .priority = is_cancel ? 0 : 1,
        .is_cancel = is_cancel,
        .is_have = !is_cancel && ask->is_have,
        .send_dont_have = !is_cancel,
    };
    return pg_bitswap_want_encode(&want, entries);
}

pg_err pg_bitswap_ask_gather(pg_bitswap_peer *peer, size_t len_max, pg_buf *entries)
{
    while (pg_bitswap_has_asks(peer, PG_BITSWAP_ASK_STATE_CANCELLING) && entries->len < len_max) {
        pg_bitswap_query *ask = asks_first(peer, PG_BITSWAP_ASK_STATE_CANCELLING);
        PG_TRY(entry_put(ask, true, entries));
        ask_bury(peer, ask, PG_BITSWAP_ASK_STATE_GONE, PG_BITSWAP_WANTS_MAX);
    }
    while (pg_bitswap_has_asks(peer, PG_BITSWAP_ASK_STATE_QUEUED) && entries->len < len_max) {
        pg_bitswap_query *ask = asks_first(peer, PG_BITSWAP_ASK_STATE_QUEUED);
        PG_TRY(entry_put(ask, false, entries));
        ask->was_sent = true;
        ask->message = peer->message;
        ask_set_state(peer, ask, PG_BITSWAP_ASK_STATE_SENT);
    }
    return PG_OK;
}

void pg_bitswap_ask_resend(pg_bitswap_peer *peer, uint64_t message)
{
    pg_list *next = NULL;
    pg_list *sent = asks_in(peer, PG_BITSWAP_ASK_STATE_SENT);
    for (pg_list *node = sent->next; node != sent; node = next) {
        pg_bitswap_query *ask = PG_LIST_OBJECT(node, pg_bitswap_query, node);
        next = node->next;
        if (ask->message < message && !ask->was_resent) {
            ask->was_resent = true;
            ask_set_state(peer, ask, PG_BITSWAP_ASK_STATE_QUEUED);
        }
    }
}

// ---- The end

static void asks_fail(pg_bitswap_peer *peer, pg_bitswap_ask_state state, pg_err err,
                      const char *detail)
{
    while (pg_bitswap_has_asks(peer, state)) {
        pg_bitswap_query *ask = asks_first(peer, state);
        waits_fail(ask, err, detail);
        ask_free(peer, ask);
    }
}

void pg_bitswap_ask_fail(pg_bitswap_peer *peer, bool all, pg_err err, const char *detail)
{
    pg_list *queued = asks_in(peer, PG_BITSWAP_ASK_STATE_QUEUED);
    for (pg_list *node = queued->next; node != queued; node = node->next) {
        PG_LIST_OBJECT(node, pg_bitswap_query, node)->was_sent = false; // it is forgotten there
    }
    for (int state = 0; state < PG_BITSWAP_ASK_STATE_COUNT; state++) {
        if (all || state != PG_BITSWAP_ASK_STATE_QUEUED) {
            asks_fail(peer, (pg_bitswap_ask_state) state, err, detail);
        }
    }
}
