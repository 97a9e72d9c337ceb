// SPDX-License-Identifier: Apache-2.0
#include "files/evidence_serve.h"

#include <string.h>

#include "base/map.h"
#include "base/mem.h"
#include "exchange/place_neighbours.h"
#include "files/extents.h"
#include "files/guard_log.h"
#include "files/limits.h"
#include "net/framed.h"
#include "runtime/fiber.h"
#include "runtime/offload.h"
#include "runtime/time.h"

struct pg_evidence_server {
    pg_evidence_server_config config;
    bool is_working; // on a record: what comes twice is to be known the second time
    bool is_closing;
    pg_waitq turn;
    pg_map told; // by peer: uint32_t, records of this hour
    uint32_t told_total;
    pg_time hour_ends;
    pg_evidence_stats stats;
};

// ---- What it may cost

static void told_clear(pg_evidence_server *server)
{
    pg_map_cursor cursor = {.begun = false};
    while (pg_map_next(&server->told, &cursor)) {
        pg_mfree(cursor.value);
    }
    pg_map_deinit(&server->told);
    server->told_total = 0;
    server->hour_ends = pg_after(PG_HOURS(1));
}

/** Count a record; false when its peer, or all together, have told enough for this hour. */
static bool told_count(pg_evidence_server *server, const pg_peer_id *peer)
{
    if (pg_now() >= server->hour_ends) {
        told_clear(server);
    }
    uint32_t *told = pg_map_get(&server->told, pg_peer_id_bytes(peer));
    if (told == NULL) { // no more peers than records: those are bounded
        told = server->told_total < PG_EVIDENCE_HOUR_MAX ? PG_NEW(uint32_t) : NULL;
        if (told == NULL || pg_map_add(&server->told, pg_peer_id_bytes(peer), told) != PG_OK) {
            pg_mfree(told);
            return false;
        }
    }
    if (*told >= PG_EVIDENCE_PEER_HOUR_MAX || server->told_total >= PG_EVIDENCE_HOUR_MAX) {
        return false;
    }
    ++*told;
    server->told_total++;
    return true;
}

// ---- One record

/** A record being looked into. */
typedef struct work {
    pg_evidence_server *server;
    const pg_net_stream_ctx *from;
    pg_buf head;
    pg_evidence evidence;
    pg_audit_statement statement;
    pg_buf block; // descriptor, or the whole block
    pg_descriptor read;
    bool is_whole;
    unsigned slot;
    pg_buf shard;
    bool holds;
} work;

// A job of the pool: a descriptor has up to 1.5 MiB. What is none is kept whole.
static pg_err job_read(void *arg)
{
    work *self = arg;
    pg_err err = pg_descriptor_decode(pg_buf_bytes(&self->block), &self->read);
    self->is_whole = err != PG_OK;
    return err == PG_ERR_NOMEM ? err : PG_OK;
}

static pg_err job_judge(void *arg)
{
    work *self = arg;
    self->holds = pg_evidence_holds(&self->statement, self->is_whole ? NULL : &self->read,
                                    pg_buf_bytes(self->is_whole ? &self->block : &self->shard));
    return PG_OK;
}

/** Is it about an extent that is kept here, and a slot that a receipt says the holder has? */
static pg_evidence_status place_find(work *self)
{
    const pg_evidence_server_config *config = &self->server->config;
    const pg_audit_answer *answer = &self->statement.answer;
    bool is_holder = false;
    pg_place_holding *holding = PG_NEW(pg_place_holding);
    if (holding == NULL) {
        return PG_EVIDENCE_STATUS_BUSY;
    }
    pg_err err = pg_place_server_holding(config->place, &self->statement.descriptor, holding);
    bool is_kept = err == PG_OK && holding->slots != 0;
    if (is_kept) {
        self->block.max_len = PG_BITSWAP_BLOCK_BYTES_MAX;
        err = pg_block_store_get(config->blocks, &self->statement.descriptor, &self->block);
    }
    if (is_kept && err == PG_OK) {
        err = pg_offload(job_read, self);
    }
    bool is_inside = self->is_whole ? answer->segment == 0 && answer->shard == 0
                                    : answer->segment < self->read.segment_count &&
                                          answer->shard < pg_code_shards(self->read.code);
    if (is_kept && err == PG_OK && is_inside) {
        self->slot = self->is_whole
                         ? 0
                         : pg_code_slot_of_shard(self->read.code, answer->segment, answer->shard);
        for (size_t i = 0; i < holding->receipt_count; i++) {
            is_holder |= pg_peer_id_equal(&holding->receipts[i].host, &self->statement.holder) &&
                         (holding->receipts[i].slots >> self->slot & 1) != 0;
        }
    }
    pg_mfree(holding);
    return is_kept && err != PG_OK ? PG_EVIDENCE_STATUS_BUSY
           : is_holder             ? PG_EVIDENCE_STATUS_WANTED
                                   : PG_EVIDENCE_STATUS_NOT_OURS;
}

/** Is it news? */
static pg_evidence_status news_check(const work *self)
{
    uint64_t now_s = (uint64_t) pg_wall_ms() / 1000;
    uint64_t time_s = self->statement.time_s;
    size_t count = 0;
    pg_evidence_status status = PG_EVIDENCE_STATUS_WANTED;
    if (time_s > now_s + PG_AUDIT_SKEW_S || time_s + PG_EVIDENCE_AGE_S < now_s) {
        return PG_EVIDENCE_STATUS_STALE;
    }
    pg_guard_standing *standings = pg_calloc(PG_PLACE_RECEIPTS_MAX, sizeof(*standings));
    if (standings == NULL ||
        pg_guard_log_standings(self->server->config.db, &self->statement.descriptor, standings,
                               &count) != PG_OK) {
        pg_mfree(standings);
        return PG_EVIDENCE_STATUS_BUSY;
    }
    for (size_t i = 0; i < count; i++) {
        const pg_guard_standing *one = &standings[i];
        if (!pg_peer_id_equal(&one->peer, &self->statement.holder)) {
            continue;
        }
        bool is_faulty = (one->faulty >> self->slot & 1) != 0;
        bool is_proven = (one->proven >> self->slot & 1) != 0 && one->proven_s >= time_s;
        status = is_faulty   ? PG_EVIDENCE_STATUS_KNOWN
                 : is_proven ? PG_EVIDENCE_STATUS_STALE
                             : status;
    }
    pg_mfree(standings);
    return status;
}

static pg_err reply(const work *self, pg_evidence_status status)
{
    pg_buf out PG_CLEANUP(pg_buf_deinit) = {0};
    PG_TRY(pg_evidence_reply_encode(status, &out));
    return pg_framed_write(self->from->stream, pg_buf_bytes(&out),
                           pg_after(PG_MS(PG_AUDIT_ASK_MS)));
}

/** Get the shard: it may be here, else it follows. */
static pg_err shard_get(work *self)
{
    const pg_audit_answer *answer = &self->statement.answer;
    uint8_t *space = NULL;
    if (self->is_whole) {
        return PG_OK;
    }
    const pg_cid cid =
        pg_block_cid_of_digest(pg_descriptor_digest(&self->read, answer->segment, answer->shard));
    self->shard.max_len = PG_SHARD_BYTES_MAX;
    if (pg_block_store_has(self->server->config.blocks, &cid, NULL) &&
        pg_block_store_get(self->server->config.blocks, &cid, &self->shard) == PG_OK) {
        return PG_OK;
    }
    if (self->evidence.shard_bytes != self->read.segments[answer->segment].shard_bytes) {
        return PG_ERR_MALFORMED;
    }
    PG_TRY(pg_buf_extend(&self->shard, self->evidence.shard_bytes, &space));
    PG_TRY(reply(self, PG_EVIDENCE_STATUS_WANTED));
    return pg_stream_read_full(self->from->stream,
                               pg_mut_bytes_make(space, self->evidence.shard_bytes),
                               pg_after(PG_MS(PG_PLACE_BODY_MS)));
}

static pg_evidence_status status_find(work *self)
{
    if (!told_count(self->server, self->from->peer)) {
        return PG_EVIDENCE_STATUS_BUSY;
    }
    if (pg_audit_statement_decode(self->evidence.statement, &self->statement) != PG_OK) {
        return PG_EVIDENCE_STATUS_UNFOUNDED;
    }
    pg_evidence_status status = place_find(self);
    return status == PG_EVIDENCE_STATUS_WANTED ? news_check(self) : status;
}

static pg_err judge(work *self, pg_evidence_status *out_status)
{
    pg_err err = shard_get(self);
    if (err != PG_OK && err != PG_ERR_MALFORMED) {
        return err; // the stream is of no more use
    }
    if (err == PG_OK) {
        PG_TRY(pg_offload(job_judge, self));
    }
    *out_status = self->holds ? PG_EVIDENCE_STATUS_TAKEN : PG_EVIDENCE_STATUS_UNFOUNDED;
    return PG_OK;
}

static void stats_count(pg_evidence_server *server, pg_evidence_status status)
{
    bool is_taken = status == PG_EVIDENCE_STATUS_TAKEN;
    bool is_known = status == PG_EVIDENCE_STATUS_KNOWN;
    server->stats.taken_total += is_taken ? 1 : 0;
    server->stats.known_total += is_known ? 1 : 0;
    server->stats.refused_total += is_taken || is_known ? 0 : 1;
}

static pg_err turn_await(pg_evidence_server *server)
{
    const pg_time deadline = pg_after(PG_MS(PG_AUDIT_ASK_MS));
    while (server->is_working) {
        PG_TRY(pg_waitq_wait(&server->turn, deadline));
        PG_TRY(server->is_closing ? PG_ERR_CLOSED : PG_OK);
    }
    return PG_OK;
}

static pg_err judge_and_take(work *self, pg_evidence_status *out_status)
{
    pg_evidence_server *server = self->server;
    *out_status = status_find(self);
    if (*out_status == PG_EVIDENCE_STATUS_WANTED) {
        PG_TRY(judge(self, out_status));
    }
    stats_count(server, *out_status);
    if (*out_status == PG_EVIDENCE_STATUS_TAKEN) {
        const pg_evidence_found found = {&self->statement, self->evidence.statement, self->slot};
        server->config.take(&found, server->config.user);
    }
    return PG_OK;
}

static pg_err work_run(work *self)
{
    pg_evidence_server *server = self->server;
    pg_evidence_status status = PG_EVIDENCE_STATUS_BUSY;
    PG_TRY(pg_evidence_decode(pg_buf_bytes(&self->head), &self->evidence));
    if (turn_await(server) != PG_OK) {
        stats_count(server, status);
        return reply(self, status);
    }
    server->is_working = true;
    pg_err err = judge_and_take(self, &status);
    server->is_working = false;
    (void) pg_waitq_wake_one(&server->turn);
    return err == PG_OK ? reply(self, status) : err;
}

static pg_err next_serve(const pg_net_stream_ctx *from)
{
    work *self = PG_NEW(work);
    if (self == NULL) {
        return PG_ERR_NOMEM;
    }
    self->server = from->user;
    self->from = from;
    pg_err err = pg_framed_read(from->stream, PG_AUDIT_MESSAGE_BYTES_MAX,
                                pg_after(PG_MS(PG_AUDIT_IDLE_MS)), &self->head);
    if (err == PG_OK) {
        err = work_run(self);
    }
    pg_buf_deinit(&self->head);
    pg_buf_deinit(&self->block);
    pg_buf_deinit(&self->shard);
    pg_descriptor_deinit(&self->read);
    pg_mfree(self);
    return err;
}

static pg_err handle(pg_net_stream_ctx *ctx)
{
    const pg_evidence_server *server = ctx->user;
    pg_err err = PG_OK;
    while (err == PG_OK && !server->is_closing) {
        err = next_serve(ctx);
    }
    return err == PG_ERR_CLOSED || err == PG_ERR_TIMEOUT ? PG_OK : err;
}

// ---- Beginning and end

pg_err pg_evidence_server_new(const pg_evidence_server_config *config,
                              pg_evidence_server **out_server)
{
    pg_evidence_server *server = PG_NEW(pg_evidence_server);
    if (server == NULL) {
        return PG_ERR_NOMEM;
    }
    server->config = *config;
    pg_waitq_init(&server->turn);
    const pg_net_protocol protocol = {PG_EVIDENCE_ID, handle, server, PG_AUDIT_STREAMS_MAX};
    pg_err err = pg_host_serve(config->host, &protocol);
    if (err != PG_OK) {
        pg_mfree(server);
        return pg_error_wrap(err, "evidence");
    }
    *out_server = server;
    return PG_OK;
}

pg_evidence_stats pg_evidence_server_get_stats(const pg_evidence_server *server)
{
    return server->stats;
}

void pg_evidence_server_free(pg_evidence_server **server)
{
    pg_evidence_server *dead = *server;
    if (dead == NULL) {
        return;
    }
    *server = NULL;
    dead->is_closing = true;
    pg_waitq_wake_all(&dead->turn);
    pg_host_withdraw(dead->config.host, PG_EVIDENCE_ID);
    told_clear(dead);
    pg_mfree(dead);
}

// ---- Telling

static pg_err status_read(pg_stream *stream, pg_evidence_status *out_status)
{
    pg_buf in PG_CLEANUP(pg_buf_deinit) = {0};
    PG_TRY(
        pg_framed_read(stream, PG_AUDIT_MESSAGE_BYTES_MAX, pg_after(PG_MS(PG_PLACE_BODY_MS)), &in));
    return pg_evidence_reply_decode(pg_buf_bytes(&in), out_status);
}

static pg_err tell(pg_stream *stream, pg_bytes statement, pg_bytes shard,
                   pg_evidence_status *out_status)
{
    pg_buf out PG_CLEANUP(pg_buf_deinit) = {0};
    const pg_evidence evidence = {statement, (uint32_t) shard.len};
    PG_TRY(pg_evidence_encode(&evidence, &out));
    PG_TRY(pg_framed_write(stream, pg_buf_bytes(&out), pg_after(PG_MS(PG_AUDIT_ASK_MS))));
    PG_TRY(status_read(stream, out_status));
    if (*out_status != PG_EVIDENCE_STATUS_WANTED) {
        return PG_OK;
    }
    PG_TRY(pg_stream_write(stream, shard, pg_after(PG_MS(PG_PLACE_BODY_MS))));
    PG_TRY(status_read(stream, out_status));
    return *out_status != PG_EVIDENCE_STATUS_WANTED
               ? PG_OK
               : pg_fail(PG_ERR_PROTOCOL, "the host wants a shard twice");
}

pg_err pg_evidence_tell(pg_host *host, const pg_peer_id *peer, pg_bytes statement, pg_bytes shard,
                        pg_evidence_status *out_status)
{
    static const char *const ids[] = {PG_EVIDENCE_ID, NULL};
    pg_stream *stream = NULL;
    PG_TRY(pg_host_open_stream(host, peer, ids, pg_after(PG_MS(PG_AUDIT_ASK_MS)), &stream, NULL));
    pg_err err = tell(stream, statement, shard, out_status);
    if (err != PG_OK) {
        pg_stream_reset(stream);
    }
    pg_stream_free(&stream);
    return err;
}
