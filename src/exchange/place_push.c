// SPDX-License-Identifier: Apache-2.0
#include "base/mem.h"
#include "exchange/place_server_priv.h"
#include "runtime/time.h"

// ---- Sessions

static pg_place_stream *idle_longest(const pg_place_server *server)
{
    pg_time youngest = pg_now() - PG_MS(PG_PLACE_SESSION_GRACE_MS);
    pg_place_stream *found = NULL;
    for (pg_list *node = server->streams.next; node != &server->streams; node = node->next) {
        pg_place_stream *stream = PG_LIST_OBJECT(node, pg_place_stream, node);
        if (stream->uploader != NULL && !stream->is_evicted && stream->active_at <= youngest &&
            (found == NULL || stream->active_at < found->active_at)) {
            found = stream;
        }
    }
    return found;
}

// Its peer finds the stream ended, and opens another when it has something to say; what it pushed is there.
static bool session_evict(pg_place_server *server)
{
    pg_place_stream *stream = idle_longest(server);
    if (stream == NULL) {
        return false;
    }
    stream->is_evicted = true;
    server->sessions--;
    pg_stream_reset(stream->stream);
    return true;
}

static pg_place_status session_admit(pg_place_server *server, const pg_uploader *uploader,
                                     uint64_t expected_bytes)
{
    if (server->is_closing || uploader->sessions >= PG_PLACE_PEER_SESSIONS_MAX) {
        return PG_PLACE_STATUS_BUSY;
    }
    pg_place_status status =
        expected_bytes == 0 ? PG_PLACE_STATUS_OK : pg_place_room(server, uploader, expected_bytes);
    if (status == PG_PLACE_STATUS_OK && server->sessions >= PG_PLACE_SESSIONS_MAX &&
        !session_evict(server)) {
        status = PG_PLACE_STATUS_BUSY;
    }
    return status;
}

pg_place_status pg_place_session_open(pg_place_stream *stream, const pg_place_request *request)
{
    pg_place_server *server = stream->server;
    pg_uploader *uploader = NULL;
    if (server->config.rules.accept == PG_PLACE_ACCEPT_NOBODY) {
        // An owner of something that is here may still drop it.
        bool has = false;
        pg_err err = pg_ledger_has_key(server->config.db, request->lease_key, &has);
        if (err != PG_OK) {
            return pg_place_failed("open", err);
        }
        if (!has) {
            return PG_PLACE_STATUS_NOT_ACCEPTED;
        }
    }
    if (pg_uploader_get(&server->held, &stream->peer, &uploader) != PG_OK) {
        return PG_PLACE_STATUS_BUSY;
    }
    pg_place_status status = session_admit(server, uploader, request->expected_bytes);
    if (status != PG_PLACE_STATUS_OK) {
        pg_uploader_settle(&server->held, uploader);
        return status;
    }
    memcpy(stream->lease_key, request->lease_key, sizeof(stream->lease_key));
    stream->uploader = uploader;
    uploader->sessions++;
    server->sessions++;
    return PG_PLACE_STATUS_OK;
}

void pg_place_session_end(pg_place_stream *stream)
{
    pg_place_server *server = stream->server;
    if (stream->uploader == NULL) {
        return;
    }
    server->sessions -= stream->is_evicted ? 0U : 1U;
    if (server->sessions == 0) {
        pg_place_spares_free(server);
    }
    stream->uploader->sessions--;
    pg_uploader_settle(&server->held, stream->uploader);
    stream->uploader = NULL;
}

// ---- Room

pg_place_status pg_place_room(const pg_place_server *server, const pg_uploader *uploader,
                              uint64_t extra)
{
    const pg_place_rules *rules = &server->config.rules;
    uint64_t used = server->held.lease_bytes + server->held.stray_bytes;
    if (extra > rules->quota_bytes || used > rules->quota_bytes - extra) {
        return PG_PLACE_STATUS_FULL;
    }
    if (rules->uploader_bytes_max != 0 && (extra > rules->uploader_bytes_max ||
                                           uploader->bytes > rules->uploader_bytes_max - extra)) {
        return PG_PLACE_STATUS_TOO_LARGE;
    }
    return PG_PLACE_STATUS_OK;
}

static bool bodies_fit(const pg_place_server *server, const pg_uploader *uploader, size_t len)
{
    return server->body_bytes + len <= PG_PLACE_BODIES_BYTES_MAX &&
           uploader->body_bytes + len <= PG_PLACE_PEER_BODIES_BYTES_MAX;
}

static pg_place_status body_take(pg_place_stream *stream, size_t len)
{
    pg_place_server *server = stream->server;
    pg_time deadline = pg_after(PG_MS(PG_PLACE_TURN_MS));
    while (!bodies_fit(server, stream->uploader, len)) {
        if (server->is_closing || pg_waitq_wait(&server->turn, deadline) != PG_OK) {
            return PG_PLACE_STATUS_BUSY;
        }
    }
    server->body_bytes += len;
    stream->uploader->body_bytes += len;
    return PG_PLACE_STATUS_OK;
}

static void body_give(pg_place_stream *stream, size_t len)
{
    stream->server->body_bytes -= len;
    stream->uploader->body_bytes -= len;
    pg_waitq_wake_all(&stream->server->turn);
}

pg_err pg_place_body_alloc(pg_place_job *job, uint8_t **out_space)
{
    pg_place_server *server = job->stream->server;
    size_t len = job->request.body_bytes;
    if (len >= PG_PLACE_SPARE_BYTES_MIN && server->spare_count > 0 &&
        server->spares[server->spare_count - 1].cap >= len) {
        job->body = server->spares[--server->spare_count];
        job->body.len = 0;
    }
    return pg_buf_extend(&job->body, len, out_space);
}

static void body_free(pg_place_server *server, pg_buf *body)
{
    if (body->cap >= PG_PLACE_SPARE_BYTES_MIN && server->spare_count < PG_PLACE_SPARES_MAX &&
        server->sessions > 0) {
        server->spares[server->spare_count++] = *body;
        *body = (pg_buf){0};
    }
    pg_buf_deinit(body);
}

void pg_place_spares_free(pg_place_server *server)
{
    while (server->spare_count > 0) {
        pg_buf_deinit(&server->spares[--server->spare_count]);
    }
}

// ---- Pushes

pg_err pg_place_block_find(pg_place_server *server, const pg_held_name *name, uint32_t *out_number)
{
    pg_time deadline = pg_after(PG_MS(PG_PLACE_TURN_MS));
    uint32_t number = pg_held_find(&server->held, name);
    while (number != PG_HELD_NONE && pg_held_at(&server->held, number)->is_deleting) {
        PG_TRY(pg_waitq_wait(&server->changed, deadline));
        number = pg_held_find(&server->held, name);
    }
    *out_number = number;
    return PG_OK;
}

static pg_place_status block_add(pg_place_stream *stream, const pg_held_name *name, uint32_t len,
                                 uint32_t *out_number)
{
    pg_place_server *server = stream->server;
    pg_place_status status = pg_place_room(server, stream->uploader, pg_held_space(len));
    if (status != PG_PLACE_STATUS_OK) {
        return status;
    }
    pg_err err = pg_held_add(&server->held, name, len, stream->uploader, out_number);
    return err == PG_OK ? PG_PLACE_STATUS_OK : PG_PLACE_STATUS_FULL;
}

// Another push of the block is on, of fewer bytes than this one says it has.
static pg_place_status block_grow(pg_place_stream *stream, uint32_t number, uint32_t len)
{
    pg_held *held = &stream->server->held;
    uint64_t extra = pg_held_space(len) - pg_held_space(pg_held_at(held, number)->len);
    pg_place_status status = pg_place_room(stream->server, stream->uploader, extra);
    if (status == PG_PLACE_STATUS_OK) {
        pg_held_set_len(held, number, len);
    }
    return status;
}

static pg_place_status block_admit(pg_place_stream *stream, const pg_cid *cid, uint32_t len,
                                   uint32_t *out_number)
{
    pg_held *held = &stream->server->held;
    pg_held_name name = pg_held_name_of(cid);
    uint32_t number = PG_HELD_NONE;
    pg_place_status status = PG_PLACE_STATUS_OK;
    if (pg_place_block_find(stream->server, &name, &number) != PG_OK) {
        return PG_PLACE_STATUS_BUSY;
    }
    if (number == PG_HELD_NONE) {
        status = block_add(stream, &name, len, &number);
    } else if (!pg_held_at(held, number)->is_present && len > pg_held_at(held, number)->len) {
        status = block_grow(stream, number, len);
    }
    if (status == PG_PLACE_STATUS_OK) {
        pg_held_at(held, number)->pins++;
        *out_number = number;
    }
    return status;
}

pg_place_status pg_place_push_begin(pg_place_job *job)
{
    pg_place_stream *stream = job->stream;
    const pg_place_request *request = &job->request;
    uint32_t number = PG_HELD_NONE;
    if (stream->server->config.rules.accept == PG_PLACE_ACCEPT_NOBODY) {
        return PG_PLACE_STATUS_NOT_ACCEPTED;
    }
    pg_place_status status = block_admit(stream, &request->cids[0], request->body_bytes, &number);
    if (status != PG_PLACE_STATUS_OK) {
        return status;
    }
    status = body_take(stream, request->body_bytes);
    if (status == PG_PLACE_STATUS_OK) {
        job->number = number;
    } else {
        pg_held_unpin(&stream->server->held, number);
    }
    return status;
}

// The block store has the block: of these bytes, or it would have refused them, unless it had it before and did not look.
static pg_place_status block_stored(pg_place_job *job)
{
    pg_place_server *server = job->stream->server;
    uint32_t len = 0;
    if (!pg_block_store_has(server->config.blocks, &job->request.cids[0], &len) ||
        len != job->body.len) {
        return PG_PLACE_STATUS_CORRUPT;
    }
    pg_held_block *block = pg_held_at(&server->held, job->number);
    if (block->len != len) {
        pg_held_set_len(&server->held, job->number, len);
    }
    pg_held_own(&server->held, job->number, job->stream->uploader);
    block->is_present = true;
    block->is_doomed = false;
    block->wants = (uint8_t) pg_min_size(block->wants + 1U, UINT8_MAX);
    block->is_changed = block->leases == 0 || block->is_saved;
    block->used_s = pg_place_now_s();
    return PG_PLACE_STATUS_OK;
}

static pg_err block_put(const pg_place_job *job)
{
    const pg_place_server_config *config = &job->stream->server->config;
    pg_bytes body = pg_buf_bytes(&job->body);
    pg_err err = pg_block_store_put(config->blocks, &job->request.cids[0], body);
    while (err == PG_ERR_FULL && config->make_room != NULL &&
           config->make_room(pg_held_space((uint32_t) body.len), config->user)) {
        err = pg_block_store_put(config->blocks, &job->request.cids[0], body);
    }
    return err;
}

pg_place_status pg_place_push_store(pg_place_job *job)
{
    pg_err err = block_put(job);
    switch ((int) err) {
    case PG_OK:
        return block_stored(job);
    case PG_ERR_CORRUPT:
        return PG_PLACE_STATUS_CORRUPT;
    case PG_ERR_FULL:
        return PG_PLACE_STATUS_FULL;
    default:
        return pg_place_failed("push", err);
    }
}

void pg_place_push_end(pg_place_job *job)
{
    if (job->number == PG_HELD_NONE) {
        return;
    }
    body_give(job->stream, job->request.body_bytes);
    body_free(job->stream->server, &job->body);
    pg_held_unpin(&job->stream->server->held, job->number);
    job->number = PG_HELD_NONE;
}

// ---- Questions

// Whoever is charged for a stray keeps it by asking; whom nobody is charged for goes to the one who asks.
static bool block_ask(pg_place_stream *stream, const pg_cid *cid)
{
    pg_place_server *server = stream->server;
    pg_held_name name = pg_held_name_of(cid);
    uint32_t number = pg_held_find(&server->held, &name);
    if (number == PG_HELD_NONE || !pg_block_store_has(server->config.blocks, cid, NULL)) {
        return false;
    }
    pg_held_block *block = pg_held_at(&server->held, number);
    if (!block->is_present || block->is_deleting || block->is_doomed) {
        return false;
    }
    if (block->owner == NULL && pg_place_room(server, stream->uploader, 0) == PG_PLACE_STATUS_OK) {
        pg_held_own(&server->held, number, stream->uploader);
    }
    if (block->leases == 0 && block->owner == stream->uploader) {
        block->used_s = pg_place_now_s();
        block->is_changed = true;
    }
    return true;
}

pg_place_status pg_place_ask_answer(pg_place_job *job)
{
    const pg_place_request *request = &job->request;
    size_t len = (request->cid_count + 7) / 8;
    uint8_t *bits = pg_arena_alloc(&job->arena, len);
    if (bits == NULL) {
        return PG_PLACE_STATUS_BUSY;
    }
    for (size_t i = 0; i < request->cid_count; i++) {
        if (block_ask(job->stream, &request->cids[i])) {
            bits[i / 8] |= (uint8_t) (1U << i % 8);
        }
    }
    job->response.has = pg_bytes_make(bits, len);
    return PG_PLACE_STATUS_OK;
}
