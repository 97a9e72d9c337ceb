// SPDX-License-Identifier: Apache-2.0
#include "files/holders.h"

#include "base/mem.h"
#include "exchange/place_client.h"
#include "files/discover.h"
#include "files/limits.h"
#include "runtime/time.h"

void pg_holders_init(pg_holders *holders)
{
    *holders = (pg_holders){.count = 0};
    pg_waitq_init(&holders->turn);
}

// ---- Who has what

/** Hosts that are asked at once. */
typedef struct asking_round {
    const pg_holders_question *question;
    pg_place_verified *verified;
    pg_holders *holders;
    size_t open; // who may yet answer
    pg_waitq changed;
} asking_round;

/** A host being asked. */
typedef struct asking {
    asking_round *round;
    pg_peer_id peer;
} asking;

static pg_holder *holder_get(pg_holders *holders, const pg_peer_id *peer)
{
    for (size_t i = 0; i < holders->count; i++) {
        if (pg_peer_id_equal(&holders->items[i].peer, peer)) {
            return &holders->items[i];
        }
    }
    if (holders->count == PG_PLACE_RECEIPTS_MAX) {
        return NULL;
    }
    pg_holder *made = &holders->items[holders->count++];
    *made = (pg_holder){.peer = *peer};
    return made;
}

static void answer_take(pg_holders *holders, const pg_peer_id *from,
                        const pg_place_holding *holding)
{
    pg_holder *own =
        holder_get(holders, from); // with no slots too: what receipts say of it is over
    if (own != NULL) {
        own->slots = holding->slots;
        own->expiry_s = holding->expiry_s;
        own->has_answered = true;
    }
    for (size_t i = 0; i < holding->receipt_count; i++) {
        const pg_lease_receipt *receipt = &holding->receipts[i];
        pg_holder *other = holder_get(holders, &receipt->host);
        if (other != NULL && !other->has_answered) {
            other->slots = receipt->slots;
            other->expiry_s = receipt->expiry_s;
        }
    }
}

static pg_err ask_run(void *arg)
{
    const asking *self = arg;
    asking_round *round = self->round;
    pg_place_holding *holding = PG_NEW(pg_place_holding);
    if (round->question->files != NULL) {
        pg_discover_peer(round->question->files, &self->peer);
    }
    if (holding != NULL &&
        pg_place_have(round->question->host, &self->peer, round->question->descriptor,
                      round->verified, pg_after(PG_MS(PG_FETCH_ASK_MS)), holding) == PG_OK) {
        answer_take(round->holders, &self->peer, holding);
    }
    pg_mfree(holding);
    round->open--;
    pg_waitq_wake_all(&round->changed);
    return PG_OK;
}

static bool is_enough(const pg_holders *holders, unsigned enough)
{
    pg_slot_set answered = 0;
    for (size_t i = 0; i < holders->count; i++) {
        answered |= holders->items[i].has_answered ? holders->items[i].slots : 0;
    }
    return (unsigned) __builtin_popcount(answered) >= enough;
}

/** Wait for all answers, or a little longer than until there are enough. */
static pg_err answers_wait(asking_round *round)
{
    pg_time until = PG_FOREVER; // each question has its deadline
    pg_err err = PG_OK;
    while (round->open > 0 && err == PG_OK) {
        if (until == PG_FOREVER && is_enough(round->holders, round->question->enough)) {
            until = pg_after(PG_MS(PG_FETCH_GRACE_MS));
        }
        err = pg_waitq_wait(&round->changed, until);
    }
    return err == PG_ERR_TIMEOUT ? PG_OK : err;
}

/** Ask some at once. */
static pg_err round_run(asking_round *round, const pg_peer_id *peers, size_t count)
{
    pg_scope scope;
    asking *askings = pg_calloc(count + 1, sizeof(*askings));
    if (askings == NULL) {
        return PG_ERR_NOMEM;
    }
    round->open = 0;
    pg_waitq_init(&round->changed);
    pg_scope_init_tolerant(&scope);
    pg_err err = PG_OK;
    for (size_t i = 0; i < count && err == PG_OK; i++) {
        askings[i] = (asking){round, peers[i]};
        err = pg_scope_spawn(&scope, "files.ask", ask_run, &askings[i]);
        round->open += err == PG_OK ? 1 : 0;
    }
    if (err == PG_OK) {
        err = answers_wait(round);
    }
    pg_scope_close(&scope);
    pg_mfree(askings);
    return err;
}

static bool is_known(const pg_peer_id *peers, size_t count, const pg_peer_id *peer)
{
    for (size_t i = 0; i < count; i++) {
        if (pg_peer_id_equal(&peers[i], peer)) {
            return true;
        }
    }
    return false;
}

/** Those whom receipts name and nobody has asked: slots that moved. */
static size_t told_list(const pg_holders *holders, const pg_peer_id *asked, size_t asked_count,
                        const pg_peer_id *ourselves, pg_peer_id *out_told)
{
    size_t count = 0;
    for (size_t i = 0; i < holders->count; i++) {
        const pg_peer_id *peer = &holders->items[i].peer;
        if (!is_known(asked, asked_count, peer) && !pg_peer_id_equal(peer, ourselves)) {
            out_told[count++] = *peer;
        }
    }
    return count;
}

// What others say of us need not be asked. Of the rest those who gave no answer come last.
static void silent_note(pg_holders *holders, const pg_peer_id *ourselves)
{
    for (size_t i = 0; i < holders->count; i++) {
        pg_holder *holder = &holders->items[i];
        holder->has_answered |= pg_peer_id_equal(&holder->peer, ourselves);
        holder->failures += holder->has_answered ? 0 : 1;
    }
}

static pg_err all_ask(asking_round *round, const pg_bytes *peers, size_t count)
{
    pg_holders *holders = round->holders;
    const pg_holders_question *question = round->question;
    const pg_peer_id *ourselves = pg_host_id(question->host);
    pg_peer_id asked[PG_PLACE_RECEIPTS_MAX];
    size_t asked_count = 0;
    for (size_t i = 0; i < count && asked_count < PG_PLACE_RECEIPTS_MAX; i++) {
        pg_peer_id peer;
        if (pg_peer_id_decode(peers[i], &peer) == PG_OK && !pg_peer_id_equal(&peer, ourselves) &&
            !is_known(asked, asked_count, &peer)) {
            asked[asked_count++] = peer;
        }
    }
    PG_TRY(round_run(round, asked, asked_count));
    if (!is_enough(holders, question->enough)) {
        pg_peer_id told[PG_PLACE_RECEIPTS_MAX];
        size_t told_count = told_list(holders, asked, asked_count, ourselves, told);
        PG_TRY(round_run(round, told, told_count));
    }
    silent_note(holders, ourselves);
    return PG_OK;
}

pg_err pg_holders_ask(pg_holders *holders, const pg_holders_question *question,
                      const pg_bytes *peers, size_t count)
{
    asking_round round = {.question = question, .holders = holders};
    round.verified = PG_NEW(pg_place_verified);
    if (round.verified == NULL) {
        return PG_ERR_NOMEM;
    }
    pg_place_verified_init(round.verified);
    pg_err err = all_ask(&round, peers, count);
    pg_mfree(round.verified);
    return err;
}

// ---- Whom to ask

pg_holder *pg_holders_find(pg_holders *holders, unsigned slot)
{
    pg_holder *best = NULL;
    for (size_t i = 0; i < holders->count; i++) {
        pg_holder *holder = &holders->items[i];
        if ((holder->slots >> slot & 1) != 0 &&
            (best == NULL || holder->failures < best->failures ||
             (holder->failures == best->failures && holder->has_answered && !best->has_answered))) {
            best = holder;
        }
    }
    return best;
}

pg_err pg_holders_turn_take(pg_holders *holders, pg_holder *holder)
{
    while (holder->fetches == PG_FETCH_HOST_MAX) {
        PG_TRY(pg_waitq_wait(&holders->turn, PG_FOREVER)); // each fetch has its deadline
    }
    holder->fetches++;
    return PG_OK;
}

void pg_holders_turn_give(pg_holders *holders, pg_holder *holder)
{
    holder->fetches--;
    pg_waitq_wake_all(&holders->turn);
}
