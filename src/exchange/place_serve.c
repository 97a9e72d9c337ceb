// SPDX-License-Identifier: Apache-2.0
// One fiber reads the requests of a stream, and the bodies of blocks behind them; each request is then worked on and answered by a fiber of
// its own, so that one sync serves several pushes. With PG_PLACE_INFLIGHT_MAX in work nothing more is read.
#include "base/log.h"
#include "base/mem.h"
#include "exchange/place_server_priv.h"
#include "net/framed.h"

#define WASTE_BYTES 4096
#define CHUNK_BYTES 65536 // of a body: a stream that brings one is not idle

// What a response may take of a job's arena beside its request: 64 missing CIDs, or views of 64 receipts.
#define RESPONSE_ARENA_BYTES 16384

static void job_free(pg_place_job *job)
{
    pg_arena_deinit(&job->arena);
    pg_buf_deinit(&job->head);
    pg_buf_deinit(&job->body);
    pg_buf_deinit(&job->data);
    pg_mfree(job);
}

// ---- Answering

static void totals_count(pg_place_server *server, const pg_place_job *job)
{
    switch (job->response.status) {
    case PG_PLACE_STATUS_OK:
        server->totals.pushes_total += job->request.kind == PG_PLACE_KIND_PUSH;
        server->totals.commits_total += job->request.kind == PG_PLACE_KIND_COMMIT;
        break;
    case PG_PLACE_STATUS_FULL:
    case PG_PLACE_STATUS_NOT_ACCEPTED:
    case PG_PLACE_STATUS_TOO_LARGE:
    case PG_PLACE_STATUS_BAD_GRANT:
    case PG_PLACE_STATUS_SUPERSEDED:
    case PG_PLACE_STATUS_BUSY:
    case PG_PLACE_STATUS_HELD:
        server->totals.refused_total++;
        break;
    case PG_PLACE_STATUS_CORRUPT:
    case PG_PLACE_STATUS_MISSING:
    case PG_PLACE_STATUS_NOT_FOUND:
    case PG_PLACE_STATUS_COUNT:
        break;
    }
}

static pg_err response_write(pg_place_stream *stream, pg_bytes bytes)
{
    pg_time deadline = pg_after(PG_MS(PG_PLACE_WRITE_MS));
    while (stream->is_writing) {
        PG_TRY(pg_waitq_wait(&stream->write_turn, deadline));
    }
    stream->is_writing = true;
    pg_err err = pg_stream_write(stream->stream, bytes, deadline);
    stream->is_writing = false;
    pg_waitq_wake_one(&stream->write_turn);
    return err;
}

// A peer that does not take its answers loses the stream.
static void respond(pg_place_job *job)
{
    pg_place_stream *stream = job->stream;
    pg_buf out = {0};
    job->response.id = job->request.id;
    totals_count(stream->server, job);
    pg_err err = pg_place_response_encode(&job->response, &out);
    if (err == PG_OK) {
        err = response_write(stream, pg_buf_bytes(&out));
    }
    if (err != PG_OK) {
        pg_stream_reset(stream->stream);
    }
    pg_buf_deinit(&out);
}

static pg_place_status work(pg_place_job *job)
{
    switch (job->request.kind) {
    case PG_PLACE_KIND_PUSH:
        return pg_place_push_store(job);
    case PG_PLACE_KIND_ASK:
        return pg_place_ask_answer(job);
    case PG_PLACE_KIND_COMMIT:
        return pg_place_commit_answer(job);
    case PG_PLACE_KIND_RELEASE:
        return pg_place_release_answer(job);
    case PG_PLACE_KIND_HAVE:
        return pg_place_have_answer(job);
    case PG_PLACE_KIND_ABANDON:
        return pg_place_abandon_answer(job);
    case PG_PLACE_KIND_OPEN:
        return pg_place_session_open(job->stream, &job->request);
    case PG_PLACE_KIND_COUNT:
        break;
    }
    return PG_PLACE_STATUS_BUSY; // decoding lets none through
}

// The end of a job, whatever became of it.
static void job_end(pg_place_job *job)
{
    pg_place_stream *stream = job->stream;
    pg_place_push_end(job);
    job_free(job);
    stream->inflight--;
    stream->active_at = pg_now();
    pg_waitq_wake_one(&stream->room);
}

static pg_err job_run(void *arg)
{
    pg_place_job *job = arg;
    job->response.status = work(job);
    pg_place_push_end(job); // its memory is for others, however long the answer takes
    respond(job);
    job_end(job);
    return PG_OK;
}

// ---- Reading

static pg_err body_fill(pg_place_stream *stream, pg_mut_bytes space, pg_time deadline)
{
    size_t done = 0;
    while (done < space.len) {
        size_t len = pg_min_size(space.len - done, CHUNK_BYTES);
        PG_TRY(pg_stream_read_full(stream->stream, pg_mut_bytes_make(space.ptr + done, len),
                                   deadline));
        done += len;
        stream->active_at = pg_now();
    }
    return PG_OK;
}

static pg_err body_skip(pg_place_stream *stream, size_t len, pg_time deadline)
{
    uint8_t waste[WASTE_BYTES];
    while (len > 0) {
        size_t part = pg_min_size(len, sizeof(waste));
        PG_TRY(pg_stream_read_full(stream->stream, pg_mut_bytes_make(waste, part), deadline));
        len -= part;
    }
    return PG_OK;
}

// Read the body of an admitted push, or skip that of a refused one, which is answered at once.
static pg_err body_read(pg_place_job *job)
{
    size_t len = job->request.body_bytes;
    uint8_t *space = NULL;
    pg_place_status status = pg_place_push_begin(job);
    pg_time deadline = pg_after(PG_MS(PG_PLACE_BODY_MS));
    if (status == PG_PLACE_STATUS_OK && pg_place_body_alloc(job, &space) != PG_OK) {
        pg_place_push_end(job);
        status = PG_PLACE_STATUS_BUSY;
    }
    job->response.status = status;
    pg_err err = status == PG_PLACE_STATUS_OK
                     ? body_fill(job->stream, pg_mut_bytes_make(space, len), deadline)
                     : body_skip(job->stream, len, deadline);
    return err == PG_ERR_CLOSED ? pg_fail(PG_ERR_TRUNCATED, "a block without its bytes") : err;
}

static pg_err order_check(const pg_place_stream *stream, pg_place_kind kind)
{
    bool is_open = stream->uploader != NULL;
    bool is_free = kind == PG_PLACE_KIND_HAVE;
    return is_free || is_open != (kind == PG_PLACE_KIND_OPEN)
               ? PG_OK
               : pg_fail(PG_ERR_PROTOCOL, "a request of kind %d %s a session", (int) kind,
                         is_open ? "inside" : "outside");
}

static pg_err request_read(pg_place_job *job)
{
    pg_place_stream *stream = job->stream;
    pg_time until =
        pg_after(PG_MS(stream->uploader != NULL ? PG_PLACE_SESSION_IDLE_MS : PG_PLACE_IDLE_MS));
    PG_TRY(pg_framed_read(stream->stream, PG_PLACE_HEAD_BYTES_MAX, until, &job->head));
    PG_TRY(pg_place_request_decode(pg_buf_bytes(&job->head), &job->arena, &job->request));
    PG_TRY(order_check(stream, job->request.kind));
    return job->request.kind == PG_PLACE_KIND_PUSH ? body_read(job) : PG_OK;
}

// A request that was read is worked on by a fiber, or answered here: a refused push, and OPEN, since what follows depends on it.
static pg_err job_begin(pg_place_job *job)
{
    pg_place_stream *stream = job->stream;
    bool is_refused = job->response.status != PG_PLACE_STATUS_OK;
    stream->active_at = pg_now();
    if (!is_refused && job->request.kind != PG_PLACE_KIND_OPEN) {
        return pg_scope_spawn(&stream->scope, "place.request", job_run, job);
    }
    if (!is_refused) {
        job->response.status = work(job);
    }
    respond(job);
    job_end(job);
    return PG_OK;
}

static pg_err next_serve(pg_place_stream *stream)
{
    while (stream->inflight >= PG_PLACE_INFLIGHT_MAX) {
        PG_TRY(pg_waitq_wait(&stream->room, PG_FOREVER));
    }
    pg_place_job *job = PG_NEW(pg_place_job);
    if (job == NULL) {
        return PG_ERR_NOMEM;
    }
    job->stream = stream;
    job->number = PG_HELD_NONE;
    job->arena = pg_arena_make(PG_PLACE_ARENA_BYTES + RESPONSE_ARENA_BYTES);
    stream->inflight++;
    pg_err err = request_read(job);
    if (err == PG_OK) {
        err = job_begin(job);
    }
    if (err != PG_OK) {
        job_end(job);
    }
    return err;
}

static pg_err stream_serve(pg_place_stream *stream)
{
    pg_err err = PG_OK;
    while (err == PG_OK && !stream->server->is_closing) {
        err = next_serve(stream);
    }
    return err == PG_ERR_CLOSED ? PG_OK : err; // the peer has ended its direction
}

pg_err pg_place_handle(pg_net_stream_ctx *ctx)
{
    pg_place_server *server = ctx->user;
    pg_place_stream stream = {
        .server = server,
        .stream = ctx->stream,
        .peer = *ctx->peer,
        .active_at = pg_now(),
    };
    pg_waitq_init(&stream.room);
    pg_waitq_init(&stream.write_turn);
    pg_scope_init_tolerant(&stream.scope);
    pg_list_append(&server->streams, &stream.node);
    pg_err err = stream_serve(&stream);
    if (err != PG_OK) {
        pg_stream_reset(ctx->stream); // so that no answer waits for the peer
    }
    pg_ignore(pg_scope_join(&stream.scope), "each has answered for itself");
    pg_place_session_end(&stream);
    pg_list_remove(&stream.node);
    return err;
}
