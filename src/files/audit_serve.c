// SPDX-License-Identifier: Apache-2.0
#include "files/audit_serve.h"

#include <string.h>

#include "base/map.h"
#include "base/mem.h"
#include "files/audit_msg.h"
#include "files/extents.h"
#include "files/limits.h"
#include "net/framed.h"
#include "runtime/fiber.h"
#include "runtime/offload.h"
#include "runtime/time.h"

struct pg_audit_server {
    pg_audit_server_config config;
    uint32_t workers;
    bool is_closing;
    pg_waitq turn;        // workers went down
    pg_map spent;         // by auditor: uint64_t bytes of this minute
    uint64_t spent_total; // of what all share
    uint64_t spent_known; // of what is kept for those who are known
    pg_time minute_ends;
    pg_audit_server_stats stats;
};

// ---- What it may cost

static void spent_clear(pg_audit_server *server)
{
    pg_map_cursor cursor = {.begun = false};
    while (pg_map_next(&server->spent, &cursor)) {
        pg_mfree(cursor.value);
    }
    pg_map_deinit(&server->spent);
    server->spent_total = 0;
    server->spent_known = 0;
    server->minute_ends = pg_after(PG_MINUTES(1));
}

/** Return true when an auditor has something to do with this node: it proved a shard to us, or has a lease here. */
static bool is_known(const pg_audit_server *server, const pg_peer_id *peer)
{
    pg_health_report report;
    return pg_place_server_is_uploader(server->config.place, peer) ||
           (pg_health_get(server->config.health, peer, &report) &&
            report.counts[PG_HEALTH_AUDIT_HELD] > 0);
}

static uint64_t *spent_of(pg_audit_server *server, const pg_peer_id *peer)
{
    uint64_t *spent = pg_map_get(&server->spent, pg_peer_id_bytes(peer));
    size_t count = pg_map_count(&server->spent);
    if (spent != NULL || count == PG_AUDIT_PEERS_MAX ||
        (count >= PG_AUDIT_STRANGERS_MAX && !is_known(server, peer))) {
        return spent;
    }
    spent = PG_NEW(uint64_t);
    if (spent != NULL && pg_map_add(&server->spent, pg_peer_id_bytes(peer), spent) != PG_OK) {
        pg_mfree(spent);
        spent = NULL;
    }
    return spent;
}

/** Charge an auditor with bytes to be read; false when it has to come later. */
static bool spend(pg_audit_server *server, const pg_peer_id *peer, uint64_t bytes)
{
    if (pg_now() >= server->minute_ends) {
        spent_clear(server);
    }
    uint64_t *spent = spent_of(server, peer);
    if (spent == NULL || *spent + bytes > PG_AUDIT_PEER_BYTES_MAX) {
        return false;
    }
    if (server->spent_total + bytes <= PG_AUDIT_TOTAL_BYTES_MAX - PG_AUDIT_KNOWN_BYTES_MAX) {
        server->spent_total += bytes;
    } else if (server->spent_known + bytes <= PG_AUDIT_KNOWN_BYTES_MAX &&
               *spent + bytes <= PG_AUDIT_KNOWN_PEER_BYTES_MAX && is_known(server, peer)) {
        server->spent_known += bytes;
    } else {
        return false;
    }
    *spent += bytes;
    server->stats.bytes_total += bytes;
    return true;
}

// ---- One challenge

/** A challenge being answered. */
typedef struct work {
    pg_audit_server *server;
    const pg_peer_id *auditor;
    pg_audit_request request;
    pg_buf block; // descriptor, or the whole block
    bool is_whole;
    uint8_t extent_id[PG_EXTENT_ID_BYTES];
    pg_cid shard;
    pg_buf shard_bytes;
    pg_audit_statement statement;
    pg_buf encoded;
} work;

static pg_audit_status block_get(work *self, const pg_cid *cid, pg_buf *out)
{
    const pg_audit_server *server = self->server;
    uint32_t len = 0;
    if (!pg_place_server_holds(server->config.place, cid) ||
        !pg_block_store_has(server->config.blocks, cid, &len)) {
        return PG_AUDIT_STATUS_NOT_HELD;
    }
    if (!spend(self->server, self->auditor, len)) {
        return PG_AUDIT_STATUS_BUSY;
    }
    pg_err err = pg_block_store_get(server->config.blocks, cid, out);
    return err == PG_OK                                       ? PG_AUDIT_STATUS_OK
           : err == PG_ERR_NOT_FOUND || err == PG_ERR_CORRUPT ? PG_AUDIT_STATUS_NOT_HELD
                                                              : PG_AUDIT_STATUS_BUSY;
}

// A job of the pool: a descriptor has up to 1.5 MiB. What is none is kept whole.
static pg_err job_find(void *arg)
{
    work *self = arg;
    const pg_audit_request *request = &self->request;
    pg_descriptor descriptor = {.segment_count = 0};
    pg_err err = pg_descriptor_decode(pg_buf_bytes(&self->block), &descriptor);
    if (err == PG_ERR_NOMEM) {
        return err;
    }
    if (err != PG_OK) {
        pg_multihash hash = pg_cid_multihash(&request->descriptor);
        memcpy(self->extent_id, pg_multihash_digest(&hash).ptr, sizeof(self->extent_id));
        self->is_whole = true;
        return request->segment == 0 && request->shard == 0 ? PG_OK : PG_ERR_NOT_FOUND;
    }
    if (request->segment < descriptor.segment_count &&
        request->shard < pg_code_shards(descriptor.code)) {
        memcpy(self->extent_id, descriptor.extent_id, sizeof(self->extent_id));
        self->shard = pg_block_cid_of_digest(
            pg_descriptor_digest(&descriptor, request->segment, request->shard));
    } else {
        err = PG_ERR_NOT_FOUND;
    }
    pg_descriptor_deinit(&descriptor);
    return err;
}

static pg_err job_sum(void *arg)
{
    work *self = arg;
    pg_audit_statement *statement = &self->statement;
    pg_bytes shard = pg_buf_bytes(self->is_whole ? &self->block : &self->shard_bytes);
    pg_audit_challenge challenge = {
        .segment = self->request.segment,
        .auditor = pg_peer_id_bytes(self->auditor),
    };
    memcpy(challenge.nonce, self->request.nonce, sizeof(challenge.nonce));
    memcpy(challenge.extent_id, self->extent_id, sizeof(challenge.extent_id));
    statement->auditor = *self->auditor;
    statement->descriptor = self->request.descriptor;
    memcpy(statement->nonce, self->request.nonce, sizeof(statement->nonce));
    statement->time_s = (uint64_t) pg_wall_ms() / 1000;
    statement->answer.segment = self->request.segment;
    statement->answer.shard = self->request.shard;
    pg_audit_compute(&challenge, shard, statement->answer.sum);
    return pg_audit_statement_encode(self->server->config.device, statement, &self->encoded);
}

static pg_audit_status work_do(work *self)
{
    pg_audit_status status = block_get(self, &self->request.descriptor, &self->block);
    if (status != PG_AUDIT_STATUS_OK) {
        return status;
    }
    pg_err err = pg_offload(job_find, self);
    if (err != PG_OK) {
        return err == PG_ERR_NOT_FOUND ? PG_AUDIT_STATUS_NOT_HELD : PG_AUDIT_STATUS_BUSY;
    }
    if (!self->is_whole) {
        status = block_get(self, &self->shard, &self->shard_bytes);
    }
    bool is_read = status == PG_AUDIT_STATUS_OK;
    if (is_read && self->is_whole && self->block.len > PG_SHARD_BYTES_MAX) {
        return PG_AUDIT_STATUS_NOT_HELD; // nothing of ours is kept whole at this length
    }
    if (!is_read) {
        return status;
    }
    return pg_offload(job_sum, self) == PG_OK ? PG_AUDIT_STATUS_OK : PG_AUDIT_STATUS_BUSY;
}

static pg_err turn_take(pg_audit_server *server)
{
    pg_time deadline = pg_after(PG_MS(PG_AUDIT_ASK_MS / 2));
    while (server->workers >= PG_AUDIT_WORKERS_MAX) {
        PG_TRY(pg_waitq_wait(&server->turn, deadline));
        PG_TRY(server->is_closing ? PG_ERR_CLOSED : PG_OK);
    }
    server->workers++;
    return PG_OK;
}

static pg_audit_status answer_make(work *self)
{
    pg_audit_server *server = self->server;
    if (turn_take(server) != PG_OK) {
        return PG_AUDIT_STATUS_BUSY;
    }
    pg_audit_status status = work_do(self);
    server->workers--;
    (void) pg_waitq_wake_one(&server->turn);
    return status;
}

static void answer_count(pg_audit_server *server, pg_audit_status status)
{
    server->stats.answered_total += status == PG_AUDIT_STATUS_OK ? 1 : 0;
    server->stats.not_held_total += status == PG_AUDIT_STATUS_NOT_HELD ? 1 : 0;
    server->stats.busy_total += status == PG_AUDIT_STATUS_BUSY ? 1 : 0;
}

static pg_err answer(const pg_net_stream_ctx *ctx, const pg_audit_request *request)
{
    pg_audit_server *server = ctx->user;
    work *own = PG_NEW(work);
    pg_buf out = {0};
    if (own == NULL) {
        return PG_ERR_NOMEM;
    }
    own->server = server;
    own->auditor = ctx->peer;
    own->request = *request;
    own->block.max_len = PG_BITSWAP_BLOCK_BYTES_MAX;
    own->shard_bytes.max_len = PG_SHARD_BYTES_MAX;
    pg_audit_reply reply = {.status = answer_make(own)};
    answer_count(server, reply.status);
    reply.statement =
        reply.status == PG_AUDIT_STATUS_OK ? pg_buf_bytes(&own->encoded) : PG_BYTES_EMPTY;
    pg_err err = pg_audit_reply_encode(&reply, &out);
    if (err == PG_OK) {
        err = pg_framed_write(ctx->stream, pg_buf_bytes(&out), pg_after(PG_MS(PG_AUDIT_ASK_MS)));
    }
    pg_buf_deinit(&out);
    pg_buf_deinit(&own->block);
    pg_buf_deinit(&own->shard_bytes);
    pg_buf_deinit(&own->encoded);
    pg_mfree(own);
    return err;
}

// ---- Streams

static pg_err next_serve(const pg_net_stream_ctx *ctx)
{
    pg_audit_request request;
    pg_buf head PG_CLEANUP(pg_buf_deinit) = {0};
    PG_TRY(pg_framed_read(ctx->stream, PG_AUDIT_MESSAGE_BYTES_MAX,
                          pg_after(PG_MS(PG_AUDIT_IDLE_MS)), &head));
    PG_TRY(pg_audit_request_decode(pg_buf_bytes(&head), &request));
    return answer(ctx, &request);
}

static pg_err handle(pg_net_stream_ctx *ctx)
{
    const pg_audit_server *server = ctx->user;
    pg_err err = PG_OK;
    while (err == PG_OK && !server->is_closing) {
        err = next_serve(ctx);
    }
    return err == PG_ERR_CLOSED || err == PG_ERR_TIMEOUT ? PG_OK : err;
}

// ---- Beginning and end

pg_err pg_audit_server_new(const pg_audit_server_config *config, pg_audit_server **out_server)
{
    pg_audit_server *server = PG_NEW(pg_audit_server);
    if (server == NULL) {
        return PG_ERR_NOMEM;
    }
    server->config = *config;
    pg_waitq_init(&server->turn);
    const pg_net_protocol protocol = {PG_AUDIT_ID, handle, server, PG_AUDIT_STREAMS_MAX};
    pg_err err = pg_host_serve(config->host, &protocol);
    if (err != PG_OK) {
        pg_mfree(server);
        return pg_error_wrap(err, "audits");
    }
    *out_server = server;
    return PG_OK;
}

pg_audit_server_stats pg_audit_server_get_stats(const pg_audit_server *server)
{
    return server->stats;
}

void pg_audit_server_free(pg_audit_server **server)
{
    pg_audit_server *dead = *server;
    if (dead == NULL) {
        return;
    }
    *server = NULL;
    dead->is_closing = true;
    pg_waitq_wake_all(&dead->turn);
    pg_host_withdraw(dead->config.host, PG_AUDIT_ID);
    spent_clear(dead);
    pg_mfree(dead);
}
