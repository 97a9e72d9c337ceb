// SPDX-License-Identifier: Apache-2.0
// Rebalancing: who is fuller than others gives slots to emptier hosts, a few at a time, with the same hand-over as who leaves: dropped here only
// with the other's promise in hand. A slot moves only to a host that rendezvous ranks above this one for its extent, so that it never comes
// back the same way; only when all of the extent is there; and never so that its hosts stand in fewer networks. Of the hosts of an extent one
// may move at a time: time is cut into epochs, and a hash says whose each is.
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "crypto/hash.h"
#include "exchange/place_client.h"
#include "files/guard_priv.h"
#include "files/limits.h"
#include "runtime/random.h"
#include "runtime/time.h"

/** A host that was asked how full it is. */
typedef struct offer {
    pg_guard *guard;
    pg_host_candidate candidate;
    pg_cid probe;
    unsigned fill; // percent
    bool is_open;  // it told, and nothing has failed there
} offer;

/** One round of moves. */
typedef struct balance {
    pg_guard *guard;
    uint64_t epoch;
    pg_time ends;
    size_t count;
    offer offers[PG_REBALANCE_ASKS_MAX];
    unsigned moves;
} balance;

// ---- How full

static unsigned own_fill(const pg_guard *guard)
{
    return pg_place_server_fill(guard->config.place);
}

static pg_err offer_run(void *arg)
{
    offer *self = arg;
    pg_place_holding *holding = PG_NEW(pg_place_holding);
    if (holding == NULL) {
        return PG_ERR_NOMEM;
    }
    self->is_open =
        pg_place_have_slots(self->guard->config.files->config.host, &self->candidate.peer,
                            &self->probe, pg_after(PG_MS(PG_UPLOAD_OPEN_MS)), holding) == PG_OK &&
        holding->has_fill;
    self->fill = holding->fill;
    pg_mfree(holding);
    return pg_fiber_is_cancelled() ? PG_ERR_CANCELLED : PG_OK;
}

static pg_err offers_ask(balance *self, size_t from, size_t count)
{
    pg_scope scope;
    pg_err err = PG_OK;
    pg_scope_init(&scope);
    for (size_t i = from; i < from + count && err == PG_OK; i++) {
        err = pg_scope_spawn(&scope, "guard.offer", offer_run, &self->offers[i]);
    }
    if (err != PG_OK) {
        pg_scope_close(&scope);
        return err;
    }
    return pg_scope_join(&scope);
}

/** Choose hosts by chance, and ask them. */
static pg_err offers_make(balance *self, const pg_cid *probe)
{
    pg_guard *guard = self->guard;
    size_t connected = 0;
    pg_host_candidate *candidates = pg_calloc(PG_FILES_CANDIDATES_MAX, sizeof(*candidates));
    if (candidates == NULL) {
        return PG_ERR_NOMEM;
    }
    size_t count = pg_files_candidates(guard->config.files, NULL, 0, candidates, &connected);
    while (count > 0 && self->count < PG_REBALANCE_ASKS_MAX) {
        size_t at = (size_t) pg_random_below(count);
        self->offers[self->count++] =
            (offer){.guard = guard, .candidate = candidates[at], .probe = *probe};
        candidates[at] = candidates[--count];
    }
    pg_mfree(candidates);
    for (size_t at = 0; at < self->count; at += PG_GUARD_CHECKS_MAX) {
        PG_TRY(offers_ask(self, at, pg_min_size(self->count - at, PG_GUARD_CHECKS_MAX)));
    }
    return PG_OK;
}

static void balance_tell(balance *self)
{
    unsigned fills[PG_REBALANCE_ASKS_MAX];
    size_t count = 0;
    for (size_t i = 0; i < self->count; i++) {
        if (!self->offers[i].is_open) {
            continue;
        }
        size_t at = count++;
        for (; at > 0 && fills[at - 1] > self->offers[i].fill; at--) {
            fills[at] = fills[at - 1];
        }
        fills[at] = self->offers[i].fill;
    }
    self->guard->balance = (pg_guard_balance){
        .fill = own_fill(self->guard),
        .median = count == 0 ? 0 : fills[count / 2],
        .hosts = count,
    };
}

// ---- Whose turn, and to whom

static uint64_t turn_of(const balance *self, const pg_place_lease *lease, const pg_peer_id *peer)
{
    uint8_t digest[PG_HASH_BYTES];
    uint8_t number[8];
    pg_multihash hash = pg_cid_multihash(&lease->descriptor);
    pg_writer writer = pg_writer_make(PG_MUT_BYTES_OF(number));
    pg_writer_u64be(&writer, self->epoch);
    pg_blake3_stream stream;
    pg_blake3_stream_init(&stream, NULL);
    pg_blake3_stream_update(&stream, PG_BYTES_LIT("pangea rebalance v1"));
    pg_blake3_stream_update(&stream, pg_multihash_bytes(&hash));
    pg_blake3_stream_update(&stream, PG_BYTES_OF(number));
    pg_blake3_stream_update(&stream, pg_peer_id_bytes(peer));
    pg_blake3_stream_final(&stream, PG_MUT_BYTES_OF(digest));
    pg_reader reader = pg_reader_make(PG_BYTES_OF(digest));
    return pg_reader_u64be(&reader);
}

static bool has_peer(pg_bytes hosts, const pg_peer_id *peer)
{
    for (size_t at = 0; at + sizeof(pg_peer_id) <= hosts.len; at += sizeof(pg_peer_id)) {
        pg_peer_id one;
        memcpy(&one, hosts.ptr + at, sizeof(one));
        if (pg_peer_id_equal(&one, peer)) {
            return true;
        }
    }
    return false;
}

static bool is_our_turn(const balance *self, const pg_place_lease *lease, pg_bytes hosts)
{
    const pg_peer_id *ourselves = pg_host_id(self->guard->config.files->config.host);
    uint64_t own = turn_of(self, lease, ourselves);
    for (size_t at = 0; at + sizeof(pg_peer_id) <= hosts.len; at += sizeof(pg_peer_id)) {
        pg_peer_id one;
        memcpy(&one, hosts.ptr + at, sizeof(one));
        if (turn_of(self, lease, &one) > own) {
            return false;
        }
    }
    return true;
}

static bool is_emptier(const balance *self, unsigned fill)
{
    return fill + self->guard->config.rules.rebalance_margin <= own_fill(self->guard);
}

/** Return the emptier host that rendezvous ranks highest for the extent, above this node; NULL when there is none. */
static offer *offer_find(balance *self, const pg_place_lease *lease, pg_bytes hosts)
{
    const pg_files *files = self->guard->config.files;
    pg_multihash hash = pg_cid_multihash(&lease->descriptor);
    uint64_t best = pg_host_set_number(pg_host_id(files->config.host), pg_multihash_bytes(&hash));
    offer *found = NULL;
    for (size_t i = 0; i < self->count; i++) {
        offer *one = &self->offers[i];
        const pg_peer_id *peer = &one->candidate.peer;
        uint64_t number = pg_host_set_number(peer, pg_multihash_bytes(&hash));
        if (one->is_open && number > best && is_emptier(self, one->fill) &&
            !has_peer(hosts, peer) && pg_health_allows(files->config.health, peer)) {
            best = number;
            found = one;
        }
    }
    return found;
}

// ---- One slot

/** Is all of the extent there, our part nowhere else, and it in no fewer networks afterwards? */
static bool is_movable(const pg_guard *guard, const guard_exam *exam, pg_slot_set slots,
                       const offer *to)
{
    const pg_peer_id *ourselves = pg_host_id(guard->config.files->config.host);
    unsigned copies = 0;
    if (exam->own == 0 || exam->plan.at_risk != 0 || exam->plan.lost != 0 ||
        exam->plan.copies_lost != 0) {
        return false;
    }
    for (size_t i = 0; i < exam->member_count; i++) {
        const pg_repair_member *member = &exam->members[i];
        bool is_other = !pg_peer_id_equal(&member->peer, ourselves);
        copies += member->standing == PG_REPAIR_STANDING_LIVING && member->slots != 0 ? 1 : 0;
        if (pg_peer_id_equal(&member->peer, &to->candidate.peer) && member->slots != 0) {
            return false;
        }
        if (!exam->is_whole && is_other && (member->slots & slots) != 0) {
            return false; // two have it: the owner says who keeps it
        }
    }
    return (!exam->is_whole || copies >= PG_GUARD_COPIES) &&
           pg_guard_networks(guard, exam, slots == exam->own, &to->candidate) >=
               pg_guard_networks(guard, exam, false, NULL);
}

static void move_note(pg_guard *guard, const guard_placing *placing, pg_err err)
{
    pg_buf detail = {.ptr = NULL};
    if (err == PG_OK) {
        pg_ignore(pg_buf_printf(&detail, "%d of %d slots to an emptier host, %llu bytes pushed",
                                placing->taken, __builtin_popcount(placing->exam->own),
                                (unsigned long long) placing->bytes),
                  "then without it");
        pg_guard_note(guard, &placing->exam->descriptor, "rebalanced", &detail);
    }
    guard->totals.rebalanced_slots_total += err == PG_OK ? (uint64_t) placing->taken : 0;
    guard->totals.rebalanced_bytes_total += placing->bytes;
    guard->totals.rebalance_failed_total += err != PG_OK ? 1 : 0;
}

static pg_err slot_move(balance *self, const pg_place_lease *lease, guard_exam *exam, offer *to)
{
    pg_guard *guard = self->guard;
    pg_slot_set lowest = exam->own & -exam->own;
    guard_placing placing = {
        .lease = lease,
        .exam = exam,
        .slots = lowest,
        .is_moving = true,
        .is_gentle = true,
        .target = &to->candidate.peer,
    };
    if (!is_movable(guard, exam, lowest, to)) {
        return PG_OK;
    }
    pg_err err = pg_guard_move(guard, &placing);
    pg_buf_deinit(&placing.receipts);
    if (err != PG_ERR_CANCELLED) {
        move_note(guard, &placing, err);
    }
    self->moves += err == PG_OK ? 1 : 0;
    to->is_open &= err == PG_OK; // whatever it was: not there, this round
    return err == PG_ERR_CANCELLED || err == PG_ERR_NOMEM ? err : PG_OK;
}

/** Move a slot of an extent, if it still is as it looked. */
static pg_err lease_move(balance *self, const pg_place_lease *lease, offer *to)
{
    guard_exam *exam = PG_NEW(guard_exam);
    if (exam == NULL) {
        return PG_ERR_NOMEM;
    }
    to->probe = lease->descriptor;
    pg_err err = offer_run(to); // others give to it, too
    if (err == PG_OK && to->is_open && is_emptier(self, to->fill)) {
        err = pg_guard_examine(self->guard, &lease->descriptor, NULL, 0, exam);
        err = err == PG_OK ? slot_move(self, lease, exam, to) : err;
    }
    pg_guard_exam_deinit(exam);
    pg_mfree(exam);
    return err == PG_ERR_CANCELLED || err == PG_ERR_NOMEM ? err : PG_OK;
}

// ---- A round

static bool is_over(const balance *self)
{
    const pg_guard *guard = self->guard;
    return self->moves >= PG_REBALANCE_MOVES_MAX || pg_now() >= self->ends || guard->is_leaving ||
           !guard->config.rules.rebalances || pg_map_count(&guard->jobs) > 0;
}

static pg_err lease_look(balance *self, const pg_place_lease *lease)
{
    pg_buf hosts PG_CLEANUP(pg_buf_deinit) = {0};
    PG_TRY(pg_place_server_hosts(self->guard->config.place, lease->id, &hosts));
    if (!is_our_turn(self, lease, pg_buf_bytes(&hosts))) {
        return PG_OK;
    }
    offer *to = offer_find(self, lease, pg_buf_bytes(&hosts));
    return to == NULL ? PG_OK : lease_move(self, lease, to);
}

/** Look at all leases once, beginning anywhere. */
static pg_err leases_look(balance *self, const pg_place_lease *first, uint64_t count)
{
    pg_buf page PG_CLEANUP(pg_buf_deinit) = {0};
    int64_t after = first->id - 1;
    for (uint64_t looked = 0; looked < count && !is_over(self);) {
        pg_buf_clear(&page);
        PG_TRY(pg_place_server_page(self->guard->config.place, after, &page));
        if (page.len == 0 && after == 0) {
            return PG_OK;
        }
        after = page.len == 0 ? 0 : after;
        for (size_t at = 0;
             at + sizeof(pg_place_lease) <= page.len && looked < count && !is_over(self);
             at += sizeof(pg_place_lease)) {
            pg_place_lease lease;
            memcpy(&lease, page.ptr + at, sizeof(lease));
            after = lease.id;
            looked++;
            PG_TRY(lease_look(self, &lease));
        }
    }
    return PG_OK;
}

static pg_err round_run(balance *self)
{
    pg_place_lease first;
    uint64_t count = pg_place_server_get_stats(self->guard->config.place).leases;
    if (count == 0 || is_over(self)) {
        return PG_OK;
    }
    pg_err err = pg_place_server_draw(self->guard->config.place, &first);
    if (err != PG_OK) {
        return err == PG_ERR_NOT_FOUND ? PG_OK : err; // they are fewer by now
    }
    PG_TRY(offers_make(self, &first.descriptor));
    balance_tell(self);
    for (size_t i = 0; i < self->count; i++) {
        if (self->offers[i].is_open && is_emptier(self, self->offers[i].fill)) {
            return leases_look(self, &first, count);
        }
    }
    return PG_OK; // nobody is much emptier
}

static uint64_t epoch_s(const pg_guard *guard)
{
    uint64_t round_s = pg_guard_round_s(guard);
    return round_s < PG_REBALANCE_EPOCH_S_MIN ? PG_REBALANCE_EPOCH_S_MIN : round_s;
}

/** Wait for the next epoch, and a little, so that not all begin at once. Clocks differ: what is left at its end keeps epochs apart. */
static pg_err epoch_await(balance *self)
{
    uint64_t length_s = epoch_s(self->guard);
    uint64_t now_s = pg_guard_now_s();
    uint64_t begins_s = (now_s / length_s + 1) * length_s;
    self->epoch = begins_s / length_s;
    pg_time begins = pg_after(PG_SECONDS(begins_s - now_s));
    self->ends = begins + PG_SECONDS(length_s) / 4 * 3;
    return pg_sleep_until(begins + (pg_time) pg_random_below((uint64_t) PG_SECONDS(length_s) / 4));
}

pg_err pg_guard_rebalance_run(void *arg)
{
    pg_guard *guard = arg;
    balance *self = PG_NEW(balance);
    pg_err err = self == NULL ? PG_ERR_NOMEM : PG_OK;
    while (err == PG_OK) {
        *self = (balance){.guard = guard};
        err = epoch_await(self);
        if (err != PG_OK || !guard->config.rules.rebalances) {
            continue;
        }
        err = round_run(self);
        if (err != PG_OK && err != PG_ERR_CANCELLED) {
            pg_log(PG_LOG_LEVEL_WARN, "guard.rebalance.failed",
                   PG_LOG_STR("error", pg_err_name(err)),
                   PG_LOG_STR("detail", pg_error_detail(err)));
            err = PG_OK;
        }
    }
    pg_mfree(self);
    return err;
}
