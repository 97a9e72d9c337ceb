// SPDX-License-Identifier: Apache-2.0
#include "files/audit_round.h"

#include <string.h>

#include "base/mem.h"
#include "files/audit_serve.h"
#include "files/discover.h"
#include "files/extents.h"
#include "files/rebuild.h"
#include "net/framed.h"
#include "runtime/fiber.h"
#include "runtime/offload.h"
#include "runtime/random.h"
#include "runtime/time.h"

/** An audit under way. */
typedef struct round_state {
    const pg_audit_case *what;
    pg_audit_result *result;
    pg_audit_challenge challenge;
    uint8_t (*sums)
        [PG_AUDIT_BLOCK_BYTES]; // sums[PG_AUDIT_ITEMS_MAX]: answers, in the order of the items
    pg_buf *statements;         // statements[PG_AUDIT_ITEMS_MAX]
    uint8_t (
        *truth)[PG_AUDIT_BLOCK_BYTES]; // truth[PG_CODE_SHARDS_MAX]: by slot, once it is settled
} round_state;

/** The items of one holder. */
typedef struct asking {
    round_state *round;
    size_t first;
    size_t count;
    unsigned again; // how often it was asked once more
} asking;

static unsigned shard_of(const round_state *round, unsigned slot)
{
    const pg_descriptor *read = round->what->read;
    return read == NULL ? 0 : pg_code_shard_of_slot(read->code, round->result->segment, slot);
}

static pg_cid shard_cid(const round_state *round, unsigned slot)
{
    const pg_descriptor *read = round->what->read;
    return read == NULL ? *round->what->descriptor
                        : pg_block_cid_of_digest(pg_descriptor_digest(read, round->result->segment,
                                                                      shard_of(round, slot)));
}

/** A sum being computed. */
typedef struct summing {
    const pg_audit_challenge *challenge;
    pg_bytes shard;
    uint8_t *out;
} summing;

static pg_err job_sum(void *arg)
{
    const summing *work = arg;
    pg_audit_compute(work->challenge, work->shard, work->out);
    return PG_OK;
}

static pg_err sum(const round_state *round, pg_bytes shard, uint8_t out[PG_AUDIT_BLOCK_BYTES])
{
    summing work = {&round->challenge, shard, out};
    return pg_offload(job_sum, &work);
}

static pg_time ask_deadline(const round_state *round)
{
    unsigned ask_ms = round->what->ask_ms;
    return pg_after(PG_MS(ask_ms == 0 ? PG_AUDIT_ASK_MS : ask_ms));
}

// ---- Asking

/** A statement that is dated elsewhere could not be shown to others as fresh. */
static bool is_of_now(uint64_t time_s)
{
    uint64_t now_s = (uint64_t) pg_wall_ms() / 1000;
    return time_s <= now_s + PG_AUDIT_SKEW_S && now_s <= time_s + PG_AUDIT_SKEW_S;
}

/** Take a statement where it is the answer to the challenge. Errors: PG_ERR_AUTH, those of pg_audit_statement_decode. */
static pg_err statement_take(const round_state *round, size_t at, pg_bytes encoded)
{
    const pg_audit_item *item = &round->result->items[at];
    pg_audit_statement *statement = PG_NEW(pg_audit_statement);
    if (statement == NULL) {
        return PG_ERR_NOMEM;
    }
    pg_err err = pg_audit_statement_decode(encoded, statement);
    bool is_right =
        err == PG_OK && pg_peer_id_equal(&statement->holder, &item->peer) &&
        pg_peer_id_equal(&statement->auditor, pg_host_id(round->what->files->config.host)) &&
        pg_cid_equal(&statement->descriptor, round->what->descriptor) &&
        memcmp(statement->nonce, round->challenge.nonce, sizeof(statement->nonce)) == 0 &&
        is_of_now(statement->time_s) && statement->answer.segment == round->result->segment &&
        statement->answer.shard == shard_of(round, item->slot);
    if (err == PG_OK && !is_right) {
        err = pg_fail(PG_ERR_AUTH, "the holder's statement is about something else");
    }
    if (err == PG_OK) {
        memcpy(round->sums[at], statement->answer.sum, PG_AUDIT_BLOCK_BYTES);
        err = pg_buf_append(&round->statements[at], encoded);
    }
    pg_mfree(statement);
    return err;
}

static pg_err reply_take(const round_state *round, size_t at, pg_bytes encoded)
{
    pg_audit_reply reply;
    pg_audit_item *item = &round->result->items[at];
    PG_TRY(pg_audit_reply_decode(encoded, &reply));
    if (reply.status == PG_AUDIT_STATUS_OK) {
        PG_TRY(statement_take(round, at, reply.statement));
    }
    item->finding = reply.status == PG_AUDIT_STATUS_OK     ? PG_AUDIT_FINDING_UNPROVEN
                    : reply.status == PG_AUDIT_STATUS_BUSY ? PG_AUDIT_FINDING_BUSY
                                                           : PG_AUDIT_FINDING_DENIED;
    return PG_OK;
}

static pg_err item_ask_once(const round_state *round, size_t at, pg_stream *stream)
{
    pg_buf out PG_CLEANUP(pg_buf_deinit) = {0};
    pg_buf in PG_CLEANUP(pg_buf_deinit) = {0};
    pg_audit_request request = {
        .descriptor = *round->what->descriptor,
        .segment = round->result->segment,
        .shard = shard_of(round, round->result->items[at].slot),
    };
    const pg_time deadline = ask_deadline(round);
    memcpy(request.nonce, round->challenge.nonce, sizeof(request.nonce));
    PG_TRY(pg_audit_request_encode(&request, &out));
    PG_TRY(pg_framed_write(stream, pg_buf_bytes(&out), deadline));
    PG_TRY(pg_framed_read(stream, PG_AUDIT_MESSAGE_BYTES_MAX, deadline, &in));
    return reply_take(round, at, pg_buf_bytes(&in));
}

/** Ask about one item. Who is busy is asked again where that is wanted, but not for long, however many items it has. */
static pg_err item_ask(asking *self, size_t at, pg_stream *stream)
{
    PG_TRY(item_ask_once(self->round, at, stream));
    while (self->round->result->items[at].finding == PG_AUDIT_FINDING_BUSY &&
           self->round->what->is_patient && self->again + 1 < PG_AUDIT_ASKS_MAX) {
        self->again++;
        PG_TRY(pg_sleep_until(pg_after(PG_MS(PG_AUDIT_AGAIN_MS))));
        PG_TRY(item_ask_once(self->round, at, stream));
    }
    return PG_OK;
}

static pg_err items_ask(asking *self)
{
    static const char *const ids[] = {PG_AUDIT_ID, NULL};
    const pg_peer_id *peer = &self->round->result->items[self->first].peer;
    pg_files *files = self->round->what->files;
    pg_stream *stream = NULL;
    pg_discover_peer(files, peer);
    PG_TRY(pg_host_open_stream(files->config.host, peer, ids, ask_deadline(self->round), &stream,
                               NULL));
    pg_err err = PG_OK;
    for (size_t i = 0; i < self->count && err == PG_OK; i++) {
        err = item_ask(self, self->first + i, stream);
        self->round->result->items[self->first + i].is_broken =
            err != PG_OK && err != PG_ERR_CANCELLED && err != PG_ERR_NOMEM;
    }
    if (err != PG_OK) {
        pg_stream_reset(stream);
    }
    pg_stream_free(&stream);
    return err;
}

/** What this node holds itself needs no question. */
static pg_err items_own(const asking *self)
{
    const round_state *round = self->round;
    pg_block_store *blocks = round->what->files->config.blocks;
    for (size_t i = self->first; i < self->first + self->count; i++) {
        pg_audit_item *item = &round->result->items[i];
        pg_cid cid = shard_cid(round, item->slot);
        pg_buf shard PG_CLEANUP(pg_buf_deinit) = {.max_len = PG_SHARD_BYTES_MAX};
        item->finding = PG_AUDIT_FINDING_DENIED;
        if (pg_block_store_get(blocks, &cid, &shard) == PG_OK) {
            PG_TRY(sum(round, pg_buf_bytes(&shard), round->sums[i]));
            item->finding = PG_AUDIT_FINDING_UNPROVEN;
        }
    }
    return PG_OK;
}

static pg_err asking_run(void *arg)
{
    asking *self = arg;
    const pg_peer_id *ourselves = pg_host_id(self->round->what->files->config.host);
    bool is_own = pg_peer_id_equal(&self->round->result->items[self->first].peer, ourselves);
    pg_ignore(is_own ? items_own(self) : items_ask(self), "then it is silent");
    return pg_fiber_is_cancelled() ? PG_ERR_CANCELLED : PG_OK;
}

static size_t items_make(round_state *round, asking askings[PG_AUDIT_ITEMS_MAX])
{
    pg_audit_result *result = round->result;
    unsigned slots = round->what->read == NULL ? 1 : pg_code_shards(round->what->read->code);
    size_t count = 0;
    for (size_t i = 0; i < round->what->holder_count; i++) {
        const pg_catalogue_holder *holder = &round->what->holders[i];
        asking one = {.round = round, .first = result->count};
        for (unsigned slot = 0; slot < slots && result->count < PG_AUDIT_ITEMS_MAX; slot++) {
            if ((holder->slots >> slot & 1) != 0) {
                result->items[result->count++] =
                    (pg_audit_item){.peer = holder->peer, .slot = slot};
                one.count++;
            }
        }
        if (one.count > 0) {
            askings[count++] = one;
        }
    }
    return count;
}

/** Return true when another host than this node and the one of an item gave an answer: where none did it may be this node that is cut off. */
static bool has_other_answer(const round_state *round, const pg_audit_item *but)
{
    const pg_peer_id *ourselves = pg_host_id(round->what->files->config.host);
    for (size_t i = 0; i < round->result->count; i++) {
        const pg_audit_item *item = &round->result->items[i];
        if (item->finding != PG_AUDIT_FINDING_SILENT && !pg_peer_id_equal(&item->peer, ourselves) &&
            !pg_peer_id_equal(&item->peer, &but->peer)) {
            return true;
        }
    }
    return false;
}

static void silence_judge(const round_state *round)
{
    for (size_t i = 0; i < round->result->count; i++) {
        pg_audit_item *item = &round->result->items[i];
        bool is_alone = item->finding == PG_AUDIT_FINDING_SILENT && has_other_answer(round, item);
        item->is_broken = item->is_broken && is_alone;
        item->is_owed = item->finding == PG_AUDIT_FINDING_BUSY || is_alone;
    }
}

static pg_err holders_ask(round_state *round)
{
    asking askings[PG_AUDIT_ITEMS_MAX];
    size_t count = items_make(round, askings);
    pg_scope scope;
    pg_err err = PG_OK;
    pg_scope_init(&scope);
    for (size_t i = 0; i < count && err == PG_OK; i++) {
        err = pg_scope_spawn(&scope, "files.audit", asking_run, &askings[i]);
    }
    if (err != PG_OK) {
        pg_scope_close(&scope);
        return err;
    }
    return pg_scope_join(&scope);
}

// ---- Judging

/** Where shard `shard` was answered for; PG_AUDIT_ITEMS_MAX: nowhere. */
static size_t answer_of(const round_state *round, unsigned shard)
{
    for (size_t i = 0; i < round->result->count; i++) {
        const pg_audit_item *item = &round->result->items[i];
        if (item->finding == PG_AUDIT_FINDING_UNPROVEN && shard_of(round, item->slot) == shard) {
            return i;
        }
    }
    return PG_AUDIT_ITEMS_MAX;
}

/** Two holders of one shard have to say the same. */
static bool doubles_agree(const round_state *round)
{
    for (size_t i = 0; i < round->result->count; i++) {
        const pg_audit_item *item = &round->result->items[i];
        size_t first = answer_of(round, shard_of(round, item->slot));
        if (item->finding == PG_AUDIT_FINDING_UNPROVEN && first != i &&
            memcmp(round->sums[i], round->sums[first], PG_AUDIT_BLOCK_BYTES) != 0) {
            return false;
        }
    }
    return true;
}

/** Judge what was answered; true when it proves all of it. */
static pg_err judge(const round_state *round, bool *out_is_proven)
{
    const uint8_t *answers[PG_CODE_SHARDS_MAX] = {NULL};
    const pg_descriptor *read = round->what->read;
    pg_rs_verdict verdict = {.finding = PG_RS_FINDING_UNPROVEN};
    if (read != NULL) {
        for (unsigned shard = 0; shard < pg_code_shards(read->code); shard++) {
            size_t at = answer_of(round, shard);
            answers[shard] = at == PG_AUDIT_ITEMS_MAX ? NULL : round->sums[at];
        }
        PG_TRY(pg_audit_judge(read->code, answers, &verdict));
    }
    *out_is_proven = verdict.finding == PG_RS_FINDING_CONSISTENT && doubles_agree(round);
    return PG_OK;
}

static void findings_set(const round_state *round, pg_audit_finding finding)
{
    for (size_t i = 0; i < round->result->count; i++) {
        pg_audit_item *item = &round->result->items[i];
        item->finding = item->finding == PG_AUDIT_FINDING_UNPROVEN ? finding : item->finding;
    }
}

// ---- Settling by whole shards

static pg_err on_shard(unsigned slot, const pg_cid *cid, pg_bytes shard, void *user)
{
    const round_state *round = user;
    unsigned kept = 0;
    (void) cid;
    PG_TRY(sum(round, shard, round->truth[slot]));
    for (size_t i = 0; i < round->result->count; i++) {
        pg_audit_item *item = &round->result->items[i];
        kept += item->shard.len > 0 ? 1 : 0;
        if (item->slot == slot && item->finding == PG_AUDIT_FINDING_UNPROVEN &&
            round->statements[i].len > 0 && kept < PG_EVIDENCE_LIES_MAX &&
            memcmp(round->sums[i], round->truth[slot], PG_AUDIT_BLOCK_BYTES) != 0) {
            PG_TRY(pg_buf_append(&item->shard, shard));
        }
    }
    return PG_OK;
}

static pg_err truth_rebuild(const round_state *round)
{
    const pg_files *files = round->what->files;
    const pg_rebuild rebuild = {
        .bitswap = files->config.bitswap,
        .blocks = files->config.blocks,
        .descriptor = round->what->read,
        .holders = round->what->holders,
        .holder_count = round->what->holder_count,
        .give = on_shard,
        .user = (void *) (uintptr_t) round,
    };
    uint64_t all = ((uint64_t) 1 << pg_code_shards(round->what->read->code)) - 1;
    return pg_rebuild_segment(&rebuild, (pg_slot_set) all, round->result->segment);
}

static pg_err truth_fetch(const round_state *round)
{
    const pg_files *files = round->what->files;
    const pg_cid *cid = round->what->descriptor;
    pg_buf block PG_CLEANUP(pg_buf_deinit) = {.max_len = PG_SHARD_BYTES_MAX};
    pg_peer_id peers[PG_AUDIT_ITEMS_MAX];
    size_t count = 0;
    for (size_t i = 0; i < round->result->count; i++) {
        peers[count++] = round->result->items[i].peer;
    }
    const pg_bitswap_sources sources = {peers, count};
    if (!pg_block_store_has(files->config.blocks, cid, NULL) ||
        pg_block_store_get(files->config.blocks, cid, &block) != PG_OK) {
        PG_TRY(pg_bitswap_fetch_any(files->config.bitswap, &sources, cid,
                                    pg_after(PG_MS(PG_FETCH_BLOCK_MS)), &block, NULL));
    }
    return sum(round, pg_buf_bytes(&block), round->truth[0]);
}

static void truth_compare(const round_state *round)
{
    for (size_t i = 0; i < round->result->count; i++) {
        pg_audit_item *item = &round->result->items[i];
        if (item->finding != PG_AUDIT_FINDING_UNPROVEN) {
            continue;
        }
        bool is_true = memcmp(round->sums[i], round->truth[item->slot], PG_AUDIT_BLOCK_BYTES) == 0;
        item->finding = is_true ? PG_AUDIT_FINDING_PROVEN : PG_AUDIT_FINDING_LIED;
        if (!is_true) {
            item->statement = round->statements[i];
            round->statements[i] = (pg_buf){.ptr = NULL};
        }
    }
}

/** Compute the true sums from what is here. What is not settles nothing: the caller has seen to it. */
static pg_err truth_read(const round_state *round)
{
    for (size_t i = 0; i < round->result->count; i++) {
        pg_buf shard PG_CLEANUP(pg_buf_deinit) = {.max_len = PG_SHARD_BYTES_MAX};
        pg_cid cid = shard_cid(round, round->result->items[i].slot);
        PG_TRY(pg_block_store_get(round->what->files->config.blocks, &cid, &shard));
        PG_TRY(sum(round, pg_buf_bytes(&shard), round->truth[round->result->items[i].slot]));
    }
    return PG_OK;
}

static pg_err settle(const round_state *round)
{
    pg_err err = round->what->is_local       ? truth_read(round)
                 : round->what->read == NULL ? truth_fetch(round)
                                             : truth_rebuild(round);
    if (err == PG_ERR_CANCELLED || err == PG_ERR_NOMEM) {
        return err;
    }
    if (err == PG_OK) {
        truth_compare(round);
        round->result->is_settled = true;
    }
    return PG_OK; // else they stay unproven: too few whole shards can be had
}

static pg_err round_run(round_state *round)
{
    bool is_proven = false;
    PG_TRY(holders_ask(round));
    silence_judge(round);
    if (!round->what->is_local) {
        PG_TRY(judge(round, &is_proven));
    }
    if (is_proven) {
        findings_set(round, PG_AUDIT_FINDING_PROVEN);
        return PG_OK;
    }
    for (size_t i = 0; i < round->result->count; i++) {
        if (round->result->items[i].finding == PG_AUDIT_FINDING_UNPROVEN) {
            return settle(round);
        }
    }
    return PG_OK; // nobody answered
}

// ---- The whole

static void challenge_make(round_state *round)
{
    const pg_descriptor *read = round->what->read;
    pg_multihash hash = pg_cid_multihash(round->what->descriptor);
    round->result->is_patient = round->what->is_patient;
    round->result->segment = read == NULL ? 0 : (uint32_t) pg_random_below(read->segment_count);
    round->challenge.segment = round->result->segment;
    round->challenge.auditor = pg_peer_id_bytes(pg_host_id(round->what->files->config.host));
    pg_random_bytes(pg_mut_bytes_make(round->challenge.nonce, PG_AUDIT_NONCE_BYTES));
    memcpy(round->challenge.extent_id,
           read == NULL ? pg_multihash_digest(&hash).ptr : read->extent_id, PG_EXTENT_ID_BYTES);
}

pg_err pg_audit_round(const pg_audit_case *what, pg_audit_result *out_result)
{
    round_state round = {.what = what, .result = out_result};
    *out_result = (pg_audit_result){.count = 0};
    round.sums = pg_calloc(PG_AUDIT_ITEMS_MAX, sizeof(*round.sums));
    round.truth = pg_calloc(PG_CODE_SHARDS_MAX, sizeof(*round.truth));
    round.statements = pg_calloc(PG_AUDIT_ITEMS_MAX, sizeof(*round.statements));
    pg_err err = PG_ERR_NOMEM;
    if (round.sums != NULL && round.truth != NULL && round.statements != NULL) {
        challenge_make(&round);
        err = round_run(&round);
    }
    for (size_t i = 0; round.statements != NULL && i < PG_AUDIT_ITEMS_MAX; i++) {
        pg_buf_deinit(&round.statements[i]);
    }
    pg_mfree(round.statements);
    pg_mfree(round.sums);
    pg_mfree(round.truth);
    return err;
}

void pg_audit_result_deinit(pg_audit_result *result)
{
    for (size_t i = 0; i < result->count; i++) {
        pg_buf_deinit(&result->items[i].statement);
        pg_buf_deinit(&result->items[i].shard);
    }
    result->count = 0;
}

const char *pg_audit_finding_name(pg_audit_finding finding)
{
    static const char *const names[PG_AUDIT_FINDING_COUNT] = {"silent", "busy",   "unproven",
                                                              "proven", "denied", "lied"};
    return names[finding];
}
