// SPDX-License-Identifier: Apache-2.0
// How one extent stands: its hosts are asked, their receipts lead to further ones, what audits found counts against claims.
#include <string.h>

#include "base/mem.h"
#include "exchange/place_client.h"
#include "files/discover.h"
#include "files/guard_priv.h"
#include "files/limits.h"
#include "files/vault.h"
#include "runtime/offload.h"
#include "runtime/time.h"

void pg_guard_exam_deinit(guard_exam *exam)
{
    pg_descriptor_deinit(&exam->read);
    pg_buf_deinit(&exam->block);
}

// ---- Asking

/** Peers as bytes, each once as far as it is easy. */
typedef struct peer_list {
    pg_peer_id ids[PG_PLACE_RECEIPTS_MAX];
    pg_bytes views[PG_PLACE_RECEIPTS_MAX];
    size_t count;
} peer_list;

static void list_add(peer_list *list, const pg_peer_id *peer)
{
    if (list->count < PG_PLACE_RECEIPTS_MAX) {
        list->ids[list->count] = *peer;
        list->views[list->count] = pg_peer_id_bytes(&list->ids[list->count]);
        list->count++;
    }
}

/** What this node has in its own ledger. */
static pg_err own_take(pg_guard *guard, guard_exam *exam, peer_list *list)
{
    pg_place_holding *holding = PG_NEW(pg_place_holding);
    if (holding == NULL) {
        return PG_ERR_NOMEM;
    }
    pg_err err = pg_place_server_holding(guard->config.place, &exam->descriptor, holding);
    if (err == PG_OK) {
        exam->own = holding->slots;
        for (size_t i = 0; i < holding->receipt_count; i++) {
            const pg_lease_receipt *receipt = &holding->receipts[i];
            list_add(list, &receipt->host);
            if (exam->holders.count < PG_PLACE_RECEIPTS_MAX) { // until it answers itself
                exam->holders.items[exam->holders.count++] = (pg_holder){
                    .peer = receipt->host,
                    .slots = receipt->slots,
                    .expiry_s = receipt->expiry_s,
                };
            }
        }
    }
    pg_mfree(holding);
    return err;
}

/** Where nothing leads to a host: those that announced the block, and those who are connected. */
static pg_err anybody_add(pg_guard *guard, const guard_exam *exam, peer_list *list)
{
    pg_files *files = guard->config.files;
    pg_peer_id providers[PG_PROVIDERS_MAX];
    size_t connected = 0;
    size_t count = pg_discover_providers(files, &exam->descriptor, providers);
    pg_host_candidate *candidates = pg_calloc(PG_FILES_CANDIDATES_MAX, sizeof(*candidates));
    if (candidates == NULL) {
        return PG_ERR_NOMEM;
    }
    for (size_t i = 0; i < count; i++) {
        list_add(list, &providers[i]);
    }
    (void) pg_files_candidates(files, NULL, 0, candidates, &connected);
    for (size_t i = 0; i < connected; i++) {
        list_add(list, &candidates[i].peer);
    }
    pg_mfree(candidates);
    return PG_OK;
}

static pg_err hosts_ask(pg_guard *guard, guard_exam *exam, const pg_peer_id *hints,
                        size_t hint_count)
{
    pg_files *files = guard->config.files;
    const pg_holders_question question = {
        .host = files->config.host,
        .files = files,
        .descriptor = &exam->descriptor,
        .enough = PG_PLACE_SLOTS_MAX + 1, // all are waited for
    };
    peer_list *list = PG_NEW(peer_list);
    if (list == NULL) {
        return PG_ERR_NOMEM;
    }
    pg_err err = own_take(guard, exam, list);
    for (size_t i = 0; i < hint_count; i++) {
        list_add(list, &hints[i]);
    }
    if (err == PG_OK && list->count == 0 && exam->own == 0) {
        err = anybody_add(guard, exam, list);
    }
    if (err == PG_OK) {
        err = pg_holders_ask(&exam->holders, &question, list->views, list->count);
    }
    pg_mfree(list);
    return err;
}

// ---- The descriptor

static pg_err job_read(void *arg)
{
    guard_exam *exam = arg;
    pg_err err = pg_descriptor_decode(pg_buf_bytes(&exam->block), &exam->read);
    exam->is_whole = err != PG_OK && err != PG_ERR_NOMEM; // no descriptor: it is kept whole
    return err == PG_ERR_NOMEM ? err : PG_OK;
}

static pg_err block_get(pg_guard *guard, guard_exam *exam)
{
    pg_files *files = guard->config.files;
    pg_peer_id peers[PG_PLACE_RECEIPTS_MAX];
    size_t count = 0;
    exam->block.max_len = PG_BITSWAP_BLOCK_BYTES_MAX;
    if (pg_block_store_has(files->config.blocks, &exam->descriptor, NULL) &&
        pg_block_store_get(files->config.blocks, &exam->descriptor, &exam->block) == PG_OK) {
        return pg_offload(job_read, exam);
    }
    for (size_t i = 0; i < exam->holders.count; i++) {
        if (exam->holders.items[i].has_answered) {
            peers[count++] = exam->holders.items[i].peer;
        }
    }
    if (count == 0) {
        return pg_fail(PG_ERR_NOT_FOUND, "no host of this extent answers");
    }
    const pg_bitswap_sources sources = {peers, count};
    PG_TRY(pg_bitswap_fetch_any(files->config.bitswap, &sources, &exam->descriptor,
                                pg_after(PG_MS(PG_FETCH_BLOCK_MS)), &exam->block, NULL));
    return pg_offload(job_read, exam);
}

// ---- Members

static const pg_guard_standing *standing_of(const guard_exam *exam, const pg_peer_id *peer)
{
    for (size_t i = 0; i < exam->standing_count; i++) {
        if (pg_peer_id_equal(&exam->standings[i].peer, peer)) {
            return &exam->standings[i];
        }
    }
    return NULL;
}

static pg_slot_set faulty_of(const guard_exam *exam, const pg_peer_id *peer)
{
    const pg_guard_standing *standing = standing_of(exam, peer);
    return standing == NULL ? 0 : standing->faulty;
}

static void member_add(const pg_guard *guard, guard_exam *exam, const pg_holder *holder)
{
    pg_repair_member member = {
        .peer = holder->peer,
        .slots = holder->slots & ~faulty_of(exam, &holder->peer),
        .standing = holder->has_answered ? PG_REPAIR_STANDING_LIVING : PG_REPAIR_STANDING_SILENT,
    };
    const guard_peer *peer = pg_guard_peer(guard, &holder->peer);
    uint64_t patience_s = guard->config.rules.patience_s;
    member.is_back = holder->has_answered && peer != NULL && pg_guard_peer_is_back(guard, peer);
    if (!holder->has_answered && peer != NULL) {
        member.is_lost_if_urgent = pg_guard_peer_is_lost(peer, patience_s / 4);
        if (pg_guard_peer_is_lost(peer, patience_s)) {
            member.standing = PG_REPAIR_STANDING_LOST;
        }
    }
    exam->members[exam->member_count++] = member;
}

static void members_make(const pg_guard *guard, guard_exam *exam)
{
    const pg_peer_id *self = pg_host_id(guard->config.files->config.host);
    exam->member_count = 0;
    for (size_t i = 0; i < exam->holders.count; i++) {
        const pg_holder *holder = &exam->holders.items[i];
        if (!pg_peer_id_equal(&holder->peer, self)) {
            member_add(guard, exam, holder);
        }
    }
    if (exam->own != 0) {
        exam->members[exam->member_count++] = (pg_repair_member){
            .peer = *self,
            .slots = exam->own,
            .standing = PG_REPAIR_STANDING_LIVING,
        };
    }
}

static void plan_make(const pg_guard *guard, guard_exam *exam)
{
    pg_multihash hash = pg_cid_multihash(&exam->descriptor);
    members_make(guard, exam);
    const pg_repair_case what = {
        .extent_id = pg_multihash_bytes(&hash),
        .slots = exam->is_whole ? 1 : pg_code_shards(exam->read.code),
        // What this node has archived can be rebuilt from any number.
        .needed = pg_vault_has(guard->config.files->vault, &exam->descriptor) ? 0
                  : exam->is_whole                                            ? 1
                                   : exam->read.code.data,
        .copies = exam->is_whole ? PG_GUARD_COPIES : 0,
        .members = exam->members,
        .count = exam->member_count,
        .self = pg_host_id(guard->config.files->config.host),
    };
    exam->plan = pg_repair_plan_make(&what);
}

// ---- Strangers

static bool is_asked(const guard_exam *exam, const pg_peer_id *peer)
{
    for (size_t i = 0; i < exam->holders.count; i++) {
        if (pg_peer_id_equal(&exam->holders.items[i].peer, peer)) {
            return true;
        }
    }
    return false;
}

/** Ask those who announced the extent and whom no receipt names: one that got its slots while the others were away. A host that is to take what seems
 *  lost would find them, after all of it was pushed. */
static pg_err announced_ask(pg_guard *guard, guard_exam *exam)
{
    pg_files *files = guard->config.files;
    pg_holders *holders = &exam->holders;
    pg_peer_id providers[PG_PROVIDERS_MAX];
    pg_place_holding *holding = PG_NEW(pg_place_holding);
    if (holding == NULL) {
        return PG_ERR_NOMEM;
    }
    size_t count = pg_discover_providers(files, &exam->descriptor, providers);
    for (size_t i = 0; i < count && holders->count < PG_PLACE_RECEIPTS_MAX; i++) {
        if (!is_asked(exam, &providers[i]) &&
            !pg_peer_id_equal(&providers[i], pg_host_id(files->config.host)) &&
            pg_place_have_slots(files->config.host, &providers[i], &exam->descriptor,
                                pg_after(PG_MS(PG_FETCH_ASK_MS)), holding) == PG_OK) {
            holders->items[holders->count++] = (pg_holder){
                .peer = providers[i],
                .slots = holding->slots,
                .expiry_s = holding->expiry_s,
                .has_answered = true,
            };
        }
    }
    pg_mfree(holding);
    return pg_fiber_is_cancelled() ? PG_ERR_CANCELLED : PG_OK;
}

pg_err pg_guard_examine_further(pg_guard *guard, guard_exam *exam)
{
    PG_TRY(announced_ask(guard, exam));
    plan_make(guard, exam);
    return PG_OK;
}

pg_err pg_guard_examine_known(pg_guard *guard, const pg_cid *descriptor, const pg_peer_id *hints,
                              size_t hint_count, guard_exam *exam)
{
    exam->descriptor = *descriptor;
    pg_holders_init(&exam->holders);
    PG_TRY(hosts_ask(guard, exam, hints, hint_count));
    PG_TRY(block_get(guard, exam));
    PG_TRY(pg_guard_log_standings(guard->config.files->config.db, descriptor, exam->standings,
                                  &exam->standing_count));
    plan_make(guard, exam);
    return PG_OK;
}

pg_err pg_guard_examine(pg_guard *guard, const pg_cid *descriptor, const pg_peer_id *hints,
                        size_t hint_count, guard_exam *exam)
{
    PG_TRY(pg_guard_examine_known(guard, descriptor, hints, hint_count, exam));
    return pg_repair_plan_has_work(&exam->plan) ? pg_guard_examine_further(guard, exam) : PG_OK;
}

// ---- Telling

static void network_of(const pg_guard *guard, const pg_peer_id *peer,
                       uint8_t out_network[PG_NETWORK_BYTES])
{
    pg_peer_book *book = pg_host_book(guard->config.files->config.host);
    const pg_book_peer *known = pg_peer_book_get(book, peer);
    memset(out_network, 0, PG_NETWORK_BYTES);
    if (known != NULL && known->addr_count > 0) {
        pg_network_of(pg_multiaddr_bytes(&known->addrs[0].addr), out_network);
    }
}

/** Of this node by the address that it tells others. */
static void own_network(const pg_guard *guard, uint8_t out_network[PG_NETWORK_BYTES])
{
    pg_multiaddr addrs[PG_NET_ADVERTISED_MAX];
    memset(out_network, 0, PG_NETWORK_BYTES);
    if (pg_host_addrs(guard->config.files->config.host, addrs) > 0) {
        pg_network_of(pg_multiaddr_bytes(&addrs[0]), out_network);
    }
}

/** Networks, each once. */
typedef struct network_set {
    uint8_t items[PG_PLACE_RECEIPTS_MAX + 2][PG_NETWORK_BYTES];
    unsigned count;
} network_set;

static void network_add(network_set *set, const uint8_t network[PG_NETWORK_BYTES])
{
    for (unsigned i = 0; i < set->count; i++) {
        if (memcmp(set->items[i], network, PG_NETWORK_BYTES) == 0) {
            return;
        }
    }
    memcpy(set->items[set->count++], network, PG_NETWORK_BYTES);
}

unsigned pg_guard_networks(const pg_guard *guard, const guard_exam *exam, bool without_self,
                           const pg_host_candidate *with)
{
    const pg_peer_id *ourselves = pg_host_id(guard->config.files->config.host);
    uint8_t network[PG_NETWORK_BYTES];
    network_set seen = {.count = 0};
    for (size_t i = 0; i < exam->member_count; i++) {
        const pg_repair_member *member = &exam->members[i];
        bool is_self = pg_peer_id_equal(&member->peer, ourselves);
        if (member->standing != PG_REPAIR_STANDING_LIVING || member->slots == 0 ||
            (is_self && without_self)) {
            continue;
        }
        if (is_self) {
            own_network(guard, network);
        } else {
            network_of(guard, &member->peer, network);
        }
        network_add(&seen, network);
    }
    if (with != NULL) {
        network_add(&seen, with->network);
    }
    return seen.count;
}

static double readable(const pg_guard *guard, const guard_exam *exam)
{
    pg_slot_set sets[PG_PLACE_RECEIPTS_MAX + 1];
    double chances[PG_PLACE_RECEIPTS_MAX + 1];
    pg_slot_set placed = 0;
    size_t count = 0;
    for (size_t i = 0; i < exam->member_count; i++) {
        const pg_repair_member *member = &exam->members[i];
        pg_slot_set slots =
            member->slots & ~placed; // a second copy counts for little: leave it out
        if (member->standing != PG_REPAIR_STANDING_LIVING || slots == 0) {
            continue;
        }
        placed |= exam->is_whole ? 0 : slots;
        sets[count] = slots;
        bool is_forecast = false;
        chances[count++] = pg_guard_availability(guard, &member->peer, &is_forecast);
    }
    if (count == 0) {
        return 0.0;
    }
    if (exam->is_whole) { // all of them have to be away
        return pg_repair_readable(sets, chances, count, (unsigned) count - 1);
    }
    unsigned missing = (unsigned) __builtin_popcount(exam->plan.at_risk);
    unsigned parity = exam->read.code.parity;
    return missing > parity ? 0.0 : pg_repair_readable(sets, chances, count, parity - missing);
}

static void member_report(const pg_guard *guard, const guard_exam *exam,
                          const pg_repair_member *member, pg_guard_member *out)
{
    const guard_peer *peer = pg_guard_peer(guard, &member->peer);
    const pg_guard_standing *standing = standing_of(exam, &member->peer);
    *out = (pg_guard_member){
        .peer = member->peer,
        .slots = member->slots | (standing == NULL ? 0 : standing->faulty),
        .faulty = standing == NULL ? 0 : standing->faulty,
        .is_living = member->standing == PG_REPAIR_STANDING_LIVING,
        .silent_s = peer == NULL ? 0 : peer->silent_s,
        .proven_s = standing == NULL ? 0 : standing->proven_s,
    };
    out->availability = pg_guard_availability(guard, &member->peer, &out->is_forecast);
}

void pg_guard_exam_report(const pg_guard *guard, const guard_exam *exam,
                          pg_guard_report *out_report)
{
    *out_report = (pg_guard_report){
        .descriptor = exam->descriptor,
        .is_whole = exam->is_whole,
        .is_kept = exam->own != 0,
        .is_urgent = exam->plan.is_urgent,
        .slots = exam->is_whole ? PG_GUARD_COPIES : pg_code_shards(exam->read.code),
        .needed = exam->is_whole ? 1 : exam->read.code.data,
        .missing = exam->plan.at_risk,
        .lost = exam->plan.lost,
        .copies_lost = exam->plan.copies_lost,
        .position = exam->plan.position,
        .networks = pg_guard_networks(guard, exam, false, NULL),
        .readable = readable(guard, exam),
    };
    for (size_t i = 0; i < exam->member_count; i++) {
        if (exam->members[i].slots != 0 || faulty_of(exam, &exam->members[i].peer) != 0) {
            member_report(guard, exam, &exam->members[i],
                          &out_report->members[out_report->member_count++]);
        }
    }
}

pg_err pg_guard_explain(pg_guard *guard, const pg_cid *descriptor, const pg_peer_id *hints,
                        size_t hint_count, pg_guard_report *out_report)
{
    guard_exam *exam = PG_NEW(guard_exam);
    if (exam == NULL) {
        return PG_ERR_NOMEM;
    }
    pg_err err = pg_guard_examine_known(guard, descriptor, hints, hint_count, exam);
    // Who does not watch its hosts takes nobody for lost.
    if (err == PG_OK && (exam->plan.at_risk != 0 || pg_repair_plan_has_work(&exam->plan))) {
        err = pg_guard_examine_further(guard, exam);
    }
    if (err == PG_OK) {
        pg_guard_exam_report(guard, exam, out_report);
    }
    pg_guard_exam_deinit(exam);
    pg_mfree(exam);
    return err;
}
