// SPDX-License-Identifier: Apache-2.0
#include "files/holders.h"

#include "base/mem.h"
#include "exchange/place_client.h"
#include "files/discover.h"
#include "files/limits.h"
#include "runtime/fiber.h"
#include "runtime/time.h"

/** A host being asked. */
typedef struct asking {
    pg_files *files;
    const pg_cid *descriptor;
    pg_peer_id peer;
    pg_place_holding *holding; // NULL: no answer
} asking;

static pg_err ask_run(void *arg)
{
    asking *self = arg;
    pg_place_holding *holding = PG_NEW(pg_place_holding);
    if (holding == NULL) {
        return PG_ERR_NOMEM;
    }
    pg_discover_peer(self->files, &self->peer);
    pg_err err = pg_place_have(self->files->config.host, &self->peer, self->descriptor,
                               pg_after(PG_MS(PG_FETCH_ASK_MS)), holding);
    if (err != PG_OK) {
        pg_mfree(holding);
        return pg_fiber_is_cancelled() ? PG_ERR_CANCELLED : PG_OK;
    }
    self->holding = holding;
    return PG_OK;
}

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

static void answer_take(pg_holders *holders, const asking *from)
{
    const pg_place_holding *holding = from->holding;
    pg_holder *own = holding->slots != 0 ? holder_get(holders, &from->peer) : NULL;
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

static pg_err ask_all(asking *askings, size_t count)
{
    pg_scope scope;
    pg_err err = PG_OK;
    pg_scope_init(&scope);
    for (size_t i = 0; i < count && err == PG_OK; i++) {
        err = pg_scope_spawn(&scope, "files.ask", ask_run, &askings[i]);
    }
    if (err != PG_OK) {
        pg_scope_close(&scope);
        return err;
    }
    return pg_scope_join(&scope);
}

/** Ask those of `peers` who have not answered yet. */
static pg_err ask_round(pg_holders *holders, pg_files *files, const pg_cid *descriptor,
                        const pg_peer_id *peers, size_t count)
{
    asking *askings = pg_calloc(count + 1, sizeof(*askings));
    if (askings == NULL) {
        return PG_ERR_NOMEM;
    }
    for (size_t i = 0; i < count; i++) {
        askings[i] = (asking){files, descriptor, peers[i], NULL};
    }
    pg_err err = ask_all(askings, count);
    for (size_t i = 0; i < count; i++) {
        if (askings[i].holding != NULL && err == PG_OK) {
            answer_take(holders, &askings[i]);
        }
        pg_mfree(askings[i].holding);
    }
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

pg_err pg_holders_ask(pg_holders *holders, pg_files *files, const pg_cid *descriptor,
                      const pg_bytes *peers, size_t count)
{
    const pg_peer_id *self_id = pg_host_id(files->config.host);
    pg_peer_id asked[PG_PLACE_RECEIPTS_MAX];
    pg_peer_id told[PG_PLACE_RECEIPTS_MAX];
    size_t asked_count = 0;
    size_t told_count = 0;
    for (size_t i = 0; i < count && asked_count < PG_PLACE_RECEIPTS_MAX; i++) {
        pg_peer_id peer;
        if (pg_peer_id_decode(peers[i], &peer) == PG_OK && !pg_peer_id_equal(&peer, self_id) &&
            !is_known(asked, asked_count, &peer)) {
            asked[asked_count++] = peer;
        }
    }
    PG_TRY(ask_round(holders, files, descriptor, asked, asked_count));
    // Slots that moved: those whom only receipts name.
    for (size_t i = 0; i < holders->count; i++) {
        const pg_peer_id *peer = &holders->items[i].peer;
        if (!is_known(asked, asked_count, peer) && !pg_peer_id_equal(peer, self_id)) {
            told[told_count++] = *peer;
        }
    }
    PG_TRY(ask_round(holders, files, descriptor, told, told_count));
    for (size_t i = 0; i < holders->count; i++) { // what others say of us need not be asked
        holders->items[i].has_answered |= pg_peer_id_equal(&holders->items[i].peer, self_id);
    }
    return PG_OK;
}

pg_slot_set pg_holders_slots(const pg_holders *holders)
{
    pg_slot_set slots = 0;
    for (size_t i = 0; i < holders->count; i++) {
        slots |= holders->items[i].slots;
    }
    return slots;
}

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
