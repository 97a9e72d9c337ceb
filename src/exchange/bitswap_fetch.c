// SPDX-License-Identifier: Apache-2.0
// Our callers: fetch a block from one peer, from the first of many that has it, or ask who has what.
#include "base/mem.h"
#include "exchange/bitswap_priv.h"

// ---- Calls

static pg_err call_begin(pg_bitswap *bitswap, pg_bitswap_call *call)
{
    if (bitswap->is_closing) {
        return pg_fail(PG_ERR_CLOSED, "the exchange of blocks ends");
    }
    *call = (pg_bitswap_call){.err = PG_OK};
    pg_waitq_init(&call->changed);
    bitswap->stats.fetches_running++;
    return PG_OK;
}

static void call_end(pg_bitswap *bitswap)
{
    bitswap->stats.fetches_running--;
    pg_bitswap_spares_trim(bitswap);
    pg_waitq_wake_all(&bitswap->left);
}

static pg_err cid_check(const pg_cid *cid)
{
    pg_multihash hash = pg_cid_multihash(cid);
    return pg_multihash_code_of(&hash) == PG_MULTIHASH_CODE_IDENTITY
               ? pg_fail(PG_ERR_UNSUPPORTED, "a CID that carries its data itself is not fetched")
               : PG_OK;
}

// Give the block to the caller: as it is where his buffer is empty, whose memory serves the next block then.
static pg_err block_give(pg_bitswap *bitswap, pg_buf *block, pg_buf *out)
{
    bool fits = out->max_len == 0 || block->len <= out->max_len;
    if (out->len > 0 || !fits || block->len <= PG_BITSWAP_COPY_BYTES_MAX) {
        return pg_buf_append(out, pg_buf_bytes(block));
    }
    pg_buf old = *out;
    *out = *block;
    out->max_len = old.max_len;
    *block = (pg_buf){0};
    pg_bitswap_spare_give(bitswap, &old);
    return PG_OK;
}

// What a wait that has ended comes to.
static pg_err wait_result(pg_bitswap *bitswap, pg_bitswap_wait *wait, pg_buf *out)
{
    switch (wait->result) {
    case PG_BITSWAP_RESULT_BLOCK:
        return block_give(bitswap, &wait->block, out);
    case PG_BITSWAP_RESULT_LACKS:
        return pg_fail(PG_ERR_NOT_FOUND, "the peer does not have the block");
    case PG_BITSWAP_RESULT_FAILED:
        return wait->call->err == wait->err ? pg_fail(wait->err, "%s", wait->call->detail)
                                            : wait->err;
    case PG_BITSWAP_RESULT_HAS:
    case PG_BITSWAP_RESULT_NONE:
        break;
    }
    return PG_ERR_BUG;
}

// ---- From one peer

static pg_err fetch_one(pg_bitswap *bitswap, const pg_peer_id *peer, const pg_cid *cid,
                        pg_time deadline, pg_buf *out)
{
    pg_bitswap_call call;
    PG_TRY(call_begin(bitswap, &call));
    pg_bitswap_wait wait = {.call = &call};
    pg_err err = pg_bitswap_ask_begin(bitswap, peer, cid, deadline, &wait);
    while (err == PG_OK && wait.result == PG_BITSWAP_RESULT_NONE) {
        err = pg_waitq_wait(&call.changed, deadline);
    }
    if (wait.result != PG_BITSWAP_RESULT_NONE) {
        err = wait_result(bitswap, &wait,
                          out); // also where the wait ended otherwise at the same time
    }
    pg_bitswap_ask_end(&wait);
    call_end(bitswap);
    return err;
}

pg_err pg_bitswap_fetch(pg_bitswap *bitswap, const pg_peer_id *peer, const pg_cid *cid,
                        pg_time deadline, pg_buf *out)
{
    PG_TRY(cid_check(cid));
    return fetch_one(bitswap, peer, cid, deadline, out);
}

// ---- Who has what

static pg_err answers_wait(pg_bitswap_wait *waits, size_t count, pg_time deadline)
{
    for (size_t i = 0; i < count; i++) {
        while (waits[i].result == PG_BITSWAP_RESULT_NONE) {
            PG_TRY(pg_waitq_wait(&waits[i].call->changed, deadline));
        }
        if (waits[i].result == PG_BITSWAP_RESULT_FAILED) {
            return wait_result(NULL, &waits[i], NULL);
        }
    }
    return PG_OK;
}

pg_err pg_bitswap_ask(pg_bitswap *bitswap, const pg_peer_id *peer, const pg_cid *cids,
                      size_t cid_count, pg_time deadline, bool *out_has)
{
    pg_bitswap_call call;
    pg_assert(cid_count <= PG_BITSWAP_WANTS_MAX);
    for (size_t i = 0; i < cid_count; i++) {
        PG_TRY(cid_check(&cids[i]));
    }
    PG_TRY(call_begin(bitswap, &call));
    pg_bitswap_wait *waits = pg_calloc(cid_count, sizeof(pg_bitswap_wait));
    pg_err err = waits == NULL ? PG_ERR_NOMEM : PG_OK;
    for (size_t i = 0; i < cid_count && err == PG_OK; i++) {
        waits[i].call = &call;
        waits[i].is_have = true;
        err = pg_bitswap_ask_begin(bitswap, peer, &cids[i], deadline, &waits[i]);
    }
    if (err == PG_OK) {
        err = answers_wait(waits, cid_count, deadline);
    }
    for (size_t i = 0; i < cid_count && waits != NULL; i++) {
        if (err == PG_OK) {
            out_has[i] = waits[i].result != PG_BITSWAP_RESULT_LACKS;
        }
        pg_bitswap_ask_end(&waits[i]);
    }
    pg_mfree(waits);
    call_end(bitswap);
    return err;
}

// ---- From any of many peers

/** A peer that may have the block. */
typedef struct candidate {
    pg_peer_id peer;
    pg_bitswap_wait have;
    pg_bitswap_wait block;
    bool is_asked; // for the block
    bool is_done;  // it does not have it, or has failed
} candidate;

/** A search among many. */
typedef struct search {
    pg_bitswap *bitswap;
    const pg_cid *cid;
    pg_time deadline;
    pg_bitswap_call call;
    candidate *candidates;
    size_t count;
    size_t cap;
    pg_time hedge_at; // when the next that has it is asked too
    size_t answers;   // of peers that said something about the block
    pg_err err;       // of the first peer that failed
    char detail[PG_BITSWAP_DETAIL_BYTES];
} search;

static void failure_note(search *it, pg_err err)
{
    if (it->err == PG_OK) {
        it->err = err;
        pg_bitswap_detail_copy(pg_error_detail(err), it->detail);
    }
}

// Look at what came of a candidate. Returns true when it has given the block.
static bool candidate_look(search *it, candidate *one)
{
    pg_bitswap_wait *wait = one->is_asked ? &one->block : &one->have;
    if (one->is_done || wait->result == PG_BITSWAP_RESULT_NONE) {
        return false;
    }
    if (wait->result == PG_BITSWAP_RESULT_BLOCK) {
        return true;
    }
    if (wait->result == PG_BITSWAP_RESULT_HAS) {
        return false; // it waits for its turn
    }
    one->is_done = true;
    if (wait->result == PG_BITSWAP_RESULT_FAILED) {
        failure_note(it, wait_result(it->bitswap, wait, NULL));
    } else {
        it->answers++;
    }
    return false;
}

static void block_ask(search *it, candidate *one)
{
    one->is_asked = true;
    one->block.call = &it->call;
    it->hedge_at = pg_after(PG_MS(PG_BITSWAP_HEDGE_MS));
    pg_err err = pg_bitswap_ask_begin(it->bitswap, &one->peer, it->cid, pg_now(), &one->block);
    if (err != PG_OK) {
        one->is_done = true;
        failure_note(it, err);
    }
}

/** How a search stands. */
typedef struct standing {
    candidate *giver; // has given the block
    candidate *spare; // the first that has it and was not asked for it
    size_t fetching;
    size_t open; // candidates that may yet give something
} standing;

static standing search_look(search *it)
{
    standing now = {NULL, NULL, 0, 0};
    for (size_t i = 0; i < it->count; i++) {
        candidate *one = &it->candidates[i];
        if (candidate_look(it, one)) {
            now.giver = now.giver == NULL ? one : now.giver;
        }
        if (one->is_done) {
            continue;
        }
        now.open++;
        now.fetching += one->is_asked ? 1U : 0U;
        if (!one->is_asked && one->have.result == PG_BITSWAP_RESULT_HAS && now.spare == NULL) {
            now.spare = one;
        }
    }
    return now;
}

static pg_err search_fail(const search *it)
{
    if (it->err != PG_OK && (it->answers == 0 || it->err == PG_ERR_CORRUPT)) {
        return pg_fail(it->err, "%s", it->detail);
    }
    return pg_fail(PG_ERR_NOT_FOUND, "none of %zu peers has the block", it->count);
}

static pg_err search_run(search *it, candidate **out_giver)
{
    for (;;) {
        standing now = search_look(it);
        if (now.giver != NULL) {
            *out_giver = now.giver;
            return PG_OK;
        }
        if (now.open == 0) {
            return search_fail(it);
        }
        bool is_turn = now.fetching == 0 || pg_now() >= it->hedge_at;
        if (now.spare != NULL && is_turn) {
            block_ask(it, now.spare);
            continue;
        }
        pg_time until = now.spare != NULL ? pg_earlier(it->deadline, it->hedge_at) : it->deadline;
        pg_err err = pg_waitq_wait(&it->call.changed, until);
        if (err != PG_OK && (err != PG_ERR_TIMEOUT || pg_now() >= it->deadline)) {
            return err;
        }
    }
}

static void candidate_add(search *it, const pg_peer_id *peer)
{
    for (size_t i = 0; i < it->count; i++) {
        if (pg_peer_id_equal(&it->candidates[i].peer, peer)) {
            return;
        }
    }
    pg_assert(it->count < it->cap);
    it->candidates[it->count++].peer = *peer;
}

static void on_conn_count(const pg_host_conn *conn, void *user)
{
    (void) conn;
    size_t *count = user;
    *count += 1;
}

static void on_conn(const pg_host_conn *conn, void *user)
{
    search *it = user;
    const pg_book_peer *known = pg_peer_book_get(pg_host_book(it->bitswap->host), conn->info.peer);
    if (known != NULL && pg_book_peer_has_protocol(known, PG_BITSWAP_ID)) {
        candidate_add(it, conn->info.peer);
    }
}

static pg_err candidates_find(search *it, const pg_bitswap_sources *sources)
{
    if (sources != NULL) {
        it->cap = sources->count;
    } else {
        pg_host_conns_each(it->bitswap->host, on_conn_count, &it->cap);
    }
    it->candidates = pg_calloc(it->cap, sizeof(candidate));
    if (it->candidates == NULL) {
        return PG_ERR_NOMEM;
    }
    for (size_t i = 0; sources != NULL && i < sources->count; i++) {
        candidate_add(it, &sources->peers[i]);
    }
    if (sources == NULL) {
        pg_host_conns_each(it->bitswap->host, on_conn, it);
    }
    return PG_OK;
}

// Ask all whether they have it. Where too much is wanted of a peer already, it is passed over.
static void candidates_ask(search *it)
{
    for (size_t i = 0; i < it->count; i++) {
        candidate *one = &it->candidates[i];
        one->have.call = &it->call;
        one->have.is_have = true;
        pg_err err = pg_bitswap_ask_begin(it->bitswap, &one->peer, it->cid, pg_now(), &one->have);
        if (err != PG_OK) {
            one->is_done = true;
            failure_note(it, err);
        }
    }
}

static pg_err giver_take(pg_bitswap *bitswap, candidate *giver, pg_buf *out, pg_peer_id *out_from)
{
    bool is_block = giver->block.result == PG_BITSWAP_RESULT_BLOCK;
    PG_TRY(wait_result(bitswap, is_block ? &giver->block : &giver->have, out));
    if (out_from != NULL) {
        *out_from = giver->peer;
    }
    return PG_OK;
}

pg_err pg_bitswap_fetch_any(pg_bitswap *bitswap, const pg_bitswap_sources *sources,
                            const pg_cid *cid, pg_time deadline, pg_buf *out, pg_peer_id *out_from)
{
    search it = {.bitswap = bitswap, .cid = cid, .deadline = deadline};
    candidate *giver = NULL;
    PG_TRY(cid_check(cid));
    PG_TRY(call_begin(bitswap, &it.call));
    pg_err err = candidates_find(&it, sources);
    if (err == PG_OK) {
        candidates_ask(&it);
        err = search_run(&it, &giver);
    }
    if (err == PG_OK) {
        err = giver_take(bitswap, giver, out, out_from);
    }
    for (size_t i = 0; i < it.count; i++) {
        pg_bitswap_ask_end(&it.candidates[i].have);
        pg_bitswap_ask_end(&it.candidates[i].block);
    }
    pg_mfree(it.candidates);
    call_end(bitswap);
    return err;
}
