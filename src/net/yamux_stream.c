// SPDX-License-Identifier: Apache-2.0
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "net/limits.h"
#include "net/yamux_priv.h"

#define CHUNK_BYTES_MIN 1024 // so that a run of tiny frames does not cost a heap block each
#define CHUNK_BYTES_MAX 65536

#define BIT(state) (1u << (unsigned) (state))

static const unsigned state_edges_from[] = {
    [PG_YAMUX_STREAM_STATE_OPEN] = 0,
    [PG_YAMUX_STREAM_STATE_SEND_CLOSED] = BIT(PG_YAMUX_STREAM_STATE_OPEN),
    [PG_YAMUX_STREAM_STATE_RECV_CLOSED] = BIT(PG_YAMUX_STREAM_STATE_OPEN),
    [PG_YAMUX_STREAM_STATE_CLOSED] =
        BIT(PG_YAMUX_STREAM_STATE_SEND_CLOSED) | BIT(PG_YAMUX_STREAM_STATE_RECV_CLOSED),
    [PG_YAMUX_STREAM_STATE_RESET_LOCAL] =
        BIT(PG_YAMUX_STREAM_STATE_OPEN) | BIT(PG_YAMUX_STREAM_STATE_SEND_CLOSED) |
        BIT(PG_YAMUX_STREAM_STATE_RECV_CLOSED) | BIT(PG_YAMUX_STREAM_STATE_CLOSED),
    [PG_YAMUX_STREAM_STATE_RESET_REMOTE] =
        BIT(PG_YAMUX_STREAM_STATE_OPEN) | BIT(PG_YAMUX_STREAM_STATE_SEND_CLOSED) |
        BIT(PG_YAMUX_STREAM_STATE_RECV_CLOSED) | BIT(PG_YAMUX_STREAM_STATE_CLOSED),
    [PG_YAMUX_STREAM_STATE_LOST] =
        BIT(PG_YAMUX_STREAM_STATE_OPEN) | BIT(PG_YAMUX_STREAM_STATE_SEND_CLOSED),
};

static void stream_set_state(pg_yamux_stream *stream, pg_yamux_stream_state state)
{
    pg_assert((state_edges_from[state] & BIT(stream->state)) != 0);
    stream->state = state;
    pg_log(PG_LOG_LEVEL_TRACE, "net.yamux.stream", PG_LOG_U64("stream", stream->id),
           PG_LOG_U64("state", state));
}

static bool stream_is_reset(const pg_yamux_stream *stream)
{
    return stream->state == PG_YAMUX_STREAM_STATE_RESET_LOCAL ||
           stream->state == PG_YAMUX_STREAM_STATE_RESET_REMOTE;
}

bool pg_yamux_stream_is_receiving(const pg_yamux_stream *stream)
{
    return stream->state == PG_YAMUX_STREAM_STATE_OPEN ||
           stream->state == PG_YAMUX_STREAM_STATE_SEND_CLOSED;
}

// ---- Memory

// Take or give memory until what the stream is charged for is what it may hold. Giving never fails.
static bool stream_charge(pg_yamux_stream *stream, uint32_t window)
{
    if (stream->session == NULL) {
        return true;
    }
    bool has_grown = pg_yamux_stream_is_receiving(stream) && window > PG_NET_WINDOW_BYTES_MIN;
    size_t wanted = has_grown ? window : stream->queued_bytes;
    pg_budget *budget = &stream->session->budget;
    if (wanted > stream->charged_bytes) {
        if (!pg_budget_take(budget, wanted - stream->charged_bytes)) {
            return false;
        }
    } else {
        pg_budget_give(budget, stream->charged_bytes - wanted);
    }
    stream->charged_bytes = wanted;
    return true;
}

static void stream_recharge(pg_yamux_stream *stream)
{
    pg_assert(stream_charge(stream, stream->flow.recv_window));
}

uint32_t pg_yamux_stream_grow(pg_yamux_stream *stream, pg_time now)
{
    pg_yamux *yamux = stream->session;
    uint32_t window = pg_yamux_flow_wanted_window(&stream->flow, now, yamux->rtt_ns,
                                                  yamux->limits.window_max_bytes);
    return stream_charge(stream, window) ? window : stream->flow.recv_window;
}

static pg_err stream_queue_bytes(pg_yamux_stream *stream, pg_bytes bytes)
{
    size_t queued_before = stream->queued_bytes;
    stream->queued_bytes += bytes.len;
    if (!stream_charge(stream, stream->flow.recv_window)) {
        stream->queued_bytes = queued_before;
        return pg_fail(PG_ERR_LIMIT, "too many unread bytes on the connection");
    }
    while (bytes.len > 0) {
        bool has_tail = !pg_list_is_empty(&stream->chunks);
        pg_yamux_chunk *tail = PG_LIST_OBJECT(stream->chunks.prev, pg_yamux_chunk, node);
        if (!has_tail || tail->len == tail->cap) {
            size_t cap = pg_min_size(pg_max_size(bytes.len, CHUNK_BYTES_MIN), CHUNK_BYTES_MAX);
            tail = pg_malloc(sizeof(pg_yamux_chunk) + cap);
            if (tail == NULL) {
                return pg_fail(PG_ERR_NOMEM, "no memory for %zu received bytes", cap);
            }
            *tail = (pg_yamux_chunk){.cap = cap};
            pg_list_append(&stream->chunks, &tail->node);
        }
        size_t len = pg_min_size(bytes.len, tail->cap - tail->len);
        memcpy(tail->bytes + tail->len, bytes.ptr, len);
        tail->len += len;
        bytes = pg_bytes_slice(bytes, len, bytes.len);
    }
    return PG_OK;
}

static void stream_drop_chunks(pg_yamux_stream *stream)
{
    for (pg_list *node = NULL; (node = pg_list_pop(&stream->chunks)) != NULL;) {
        pg_mfree(PG_LIST_OBJECT(node, pg_yamux_chunk, node));
    }
    stream->queued_bytes = 0;
    stream_recharge(stream);
}

static void stream_try_free(pg_yamux_stream *stream)
{
    if (stream->is_wired || stream->is_held) {
        return;
    }
    stream_drop_chunks(stream);
    pg_list_remove(&stream->node);
    pg_mfree(stream);
}

// ---- On and off the wire

pg_yamux_stream *pg_yamux_stream_find(const pg_yamux *yamux, uint32_t id)
{
    return pg_map_get(&yamux->streams, pg_bytes_make(&id, sizeof(id)));
}

static bool stream_is_ours(const pg_yamux_stream *stream)
{
    return (stream->id % 2 == 1) == stream->session->is_client;
}

void pg_yamux_stream_settle(pg_yamux_stream *stream)
{
    bool is_done = stream->due == 0 && stream->state >= PG_YAMUX_STREAM_STATE_CLOSED;
    if (stream->is_wired && is_done) {
        pg_yamux *yamux = stream->session;
        pg_map_take(&yamux->streams, pg_bytes_make(&stream->id, sizeof(stream->id)));
        pg_list_remove(&stream->flag_node);
        pg_list_remove(&stream->data_node);
        if (pg_list_is_linked(&stream->accept_node)) {
            pg_list_remove(&stream->accept_node);
            yamux->accept_count--;
        }
        stream->is_wired = false;
        pg_yamux_stream_on_ack(stream);
        *(stream_is_ours(stream) ? &yamux->streams_out : &yamux->streams_in) -= 1;
        pg_waitq_wake_one(&yamux->openers);
    }
    stream_try_free(stream);
}

void pg_yamux_stream_on_ack(pg_yamux_stream *stream)
{
    if (stream->is_unacked) {
        stream->is_unacked = false;
        stream->session->streams_unacked--;
        pg_waitq_wake_one(&stream->session->openers);
    }
}

// Enter a state in which nothing more is read or written, with `due` still to be told to the peer.
static void stream_cut(pg_yamux_stream *stream, pg_yamux_stream_state state, uint16_t due)
{
    stream_set_state(stream, state);
    stream->due = due;
    stream->credit_due = false;
    if (stream_is_reset(stream)) {
        stream_drop_chunks(stream);
    }
    stream_recharge(stream);
    pg_list_remove(&stream->data_node);
    pg_waitq_wake_all(&stream->readers);
    pg_waitq_wake_all(&stream->writers);
}

static void stream_abort(pg_yamux_stream *stream, pg_err err)
{
    if (stream->state > PG_YAMUX_STREAM_STATE_CLOSED) {
        return;
    }
    // A stream the peer has not heard of, or is done with, needs no reset.
    bool is_known = stream->is_wired && (stream->due & PG_YAMUX_FLAG_SYN) == 0;
    stream->reset_err = err;
    stream_cut(stream, PG_YAMUX_STREAM_STATE_RESET_LOCAL, is_known ? PG_YAMUX_FLAG_RST : 0);
    if (is_known) {
        pg_yamux_stream_queue_flags(stream);
    }
    pg_yamux_stream_settle(stream);
}

void pg_yamux_stream_on_rst(pg_yamux_stream *stream)
{
    if (stream->state <= PG_YAMUX_STREAM_STATE_CLOSED) {
        stream_cut(stream, PG_YAMUX_STREAM_STATE_RESET_REMOTE, 0);
    }
    stream->due = 0; // both have reset it
    pg_yamux_stream_settle(stream);
}

void pg_yamux_stream_on_fin(pg_yamux_stream *stream)
{
    if (!pg_yamux_stream_is_receiving(stream)) {
        return;
    }
    stream_set_state(stream, stream->state == PG_YAMUX_STREAM_STATE_OPEN
                                 ? PG_YAMUX_STREAM_STATE_RECV_CLOSED
                                 : PG_YAMUX_STREAM_STATE_CLOSED);
    stream->credit_due = false;
    stream_recharge(stream);
    pg_waitq_wake_all(&stream->readers);
    pg_yamux_stream_settle(stream);
}

void pg_yamux_stream_on_end(pg_yamux_stream *stream)
{
    if (pg_yamux_stream_is_receiving(stream)) {
        stream_cut(stream, PG_YAMUX_STREAM_STATE_LOST, 0);
    } else if (stream->state == PG_YAMUX_STREAM_STATE_RECV_CLOSED) {
        stream_cut(stream, PG_YAMUX_STREAM_STATE_CLOSED, 0);
    }
    stream->due = 0;
    pg_yamux_stream_settle(stream);
}

void pg_yamux_stream_orphan(pg_yamux_stream *stream)
{
    pg_budget_give(&stream->session->budget, stream->charged_bytes);
    stream->charged_bytes = 0;
    stream->session = NULL;
    pg_list_remove(&stream->node);
}

// ---- Receiving

// `len` bytes are the reader's now: the peer may get credit for them.
static void stream_on_consumed(pg_yamux_stream *stream, size_t len)
{
    bool is_due = pg_yamux_flow_on_read(&stream->flow, len) > 0;
    if (is_due && stream->is_wired && pg_yamux_stream_is_receiving(stream)) {
        stream->credit_due = true;
        pg_yamux_stream_queue_flags(stream);
    }
}

size_t pg_yamux_stream_give(pg_yamux_stream *stream, pg_bytes bytes)
{
    size_t direct = pg_min_size(stream->read_space.len, bytes.len);
    if (direct > 0) {
        memcpy(stream->read_space.ptr, bytes.ptr, direct);
        stream->read_space.ptr += direct;
        stream->read_space.len -= direct;
        stream->read_len += direct;
        stream_on_consumed(stream, direct);
        pg_waitq_wake_one(&stream->readers);
    }
    return direct;
}

void pg_yamux_stream_queue(pg_yamux_stream *stream, pg_bytes bytes)
{
    pg_err err = stream_queue_bytes(stream, bytes);
    if (err != PG_OK) {
        stream_abort(stream, err);
    }
}

static size_t stream_take_queued(pg_yamux_stream *stream, pg_mut_bytes space)
{
    size_t taken = 0;
    while (taken < space.len && !pg_list_is_empty(&stream->chunks)) {
        pg_yamux_chunk *chunk = PG_LIST_OBJECT(stream->chunks.next, pg_yamux_chunk, node);
        size_t len = pg_min_size(space.len - taken, chunk->len - chunk->begin);
        memcpy(space.ptr + taken, chunk->bytes + chunk->begin, len);
        chunk->begin += len;
        taken += len;
        if (chunk->begin == chunk->len) {
            pg_list_remove(&chunk->node);
            pg_mfree(chunk);
        }
    }
    stream->queued_bytes -= taken;
    stream_recharge(stream);
    stream_on_consumed(stream, taken);
    return taken;
}

static pg_err stream_fail(const pg_yamux_stream *stream)
{
    if (stream->state == PG_YAMUX_STREAM_STATE_RESET_REMOTE) {
        return pg_fail(PG_ERR_RESET, "stream was reset by the peer");
    }
    if (stream->state == PG_YAMUX_STREAM_STATE_RESET_LOCAL) {
        return pg_fail(stream->reset_err, "stream was reset here: %s",
                       pg_err_text(stream->reset_err));
    }
    if (stream->state == PG_YAMUX_STREAM_STATE_LOST && stream->session != NULL) {
        return pg_yamux_fail_ended(stream->session);
    }
    if (stream->state == PG_YAMUX_STREAM_STATE_LOST) {
        return pg_fail(PG_ERR_CLOSED, "the connection has ended");
    }
    return pg_fail(PG_ERR_CLOSED, "stream was closed for writing");
}

static pg_err on_stream_read(pg_stream *base, pg_mut_bytes space, pg_time deadline, size_t *out_len)
{
    pg_yamux_stream *stream = PG_LIST_OBJECT(base, pg_yamux_stream, base);
    for (;;) {
        if (stream->queued_bytes > 0) {
            *out_len = stream_take_queued(stream, space);
            return PG_OK;
        }
        if (stream->state == PG_YAMUX_STREAM_STATE_RECV_CLOSED ||
            stream->state == PG_YAMUX_STREAM_STATE_CLOSED) {
            *out_len = 0;
            return PG_OK;
        }
        if (!pg_yamux_stream_is_receiving(stream)) {
            return stream_fail(stream);
        }
        stream->read_space = space;
        pg_err err = pg_waitq_wait(&stream->readers, deadline);
        size_t len = stream->read_len;
        stream->read_space = (pg_mut_bytes){NULL, 0};
        stream->read_len = 0;
        if (len > 0) { // bytes that came before the wait ended otherwise are not lost
            *out_len = len;
            return PG_OK;
        }
        PG_TRY(err);
    }
}

// ---- Sending

static bool stream_is_writable(const pg_yamux_stream *stream)
{
    return (stream->state == PG_YAMUX_STREAM_STATE_OPEN ||
            stream->state == PG_YAMUX_STREAM_STATE_RECV_CLOSED) &&
           stream->session != NULL && stream->session->state < PG_YAMUX_STATE_DRAINING;
}

static pg_err stream_fail_write(const pg_yamux_stream *stream)
{
    if (stream->session != NULL && stream->session->state >= PG_YAMUX_STATE_DRAINING &&
        !stream_is_reset(stream)) {
        return pg_yamux_fail_ended(stream->session);
    }
    return stream_fail(stream);
}

static pg_err on_stream_write(pg_stream *base, const pg_bytes *parts, size_t part_count,
                              pg_time deadline)
{
    pg_yamux_stream *stream = PG_LIST_OBJECT(base, pg_yamux_stream, base);
    stream->parts = parts;
    stream->part_count = part_count;
    stream->part_offset = 0;
    pg_err err = PG_OK;
    while (err == PG_OK) {
        pg_yamux_stream_trim_parts(stream);
        if (stream->part_count == 0) {
            return PG_OK;
        }
        if (!stream_is_writable(stream)) {
            err = stream_fail_write(stream);
            break;
        }
        pg_yamux_stream_queue_data(stream);
        err = pg_waitq_wait(&stream->writers, deadline);
    }
    bool is_all_sent = stream->part_count == 0;
    stream->parts = NULL;
    stream->part_count = 0;
    pg_list_remove(&stream->data_node);
    return is_all_sent ? PG_OK : err;
}

static pg_err on_stream_close_write(pg_stream *base, pg_time deadline)
{
    pg_yamux_stream *stream = PG_LIST_OBJECT(base, pg_yamux_stream, base);
    (void) deadline; // the flag waits its turn, we do not
    if (stream->state == PG_YAMUX_STREAM_STATE_SEND_CLOSED ||
        stream->state == PG_YAMUX_STREAM_STATE_CLOSED) {
        return PG_OK;
    }
    if (!stream_is_writable(stream)) {
        return stream_fail_write(stream);
    }
    stream_set_state(stream, stream->state == PG_YAMUX_STREAM_STATE_OPEN
                                 ? PG_YAMUX_STREAM_STATE_SEND_CLOSED
                                 : PG_YAMUX_STREAM_STATE_CLOSED);
    stream->due |= PG_YAMUX_FLAG_FIN;
    pg_yamux_stream_queue_flags(stream);
    return PG_OK;
}

static void on_stream_reset(pg_stream *base)
{
    stream_abort(PG_LIST_OBJECT(base, pg_yamux_stream, base), PG_ERR_CLOSED);
}

static void on_stream_free(pg_stream *base)
{
    pg_yamux_stream *stream = PG_LIST_OBJECT(base, pg_yamux_stream, base);
    if (stream->state < PG_YAMUX_STREAM_STATE_CLOSED) {
        stream_abort(stream, PG_ERR_CLOSED);
    }
    stream->is_held = false;
    stream_try_free(stream);
}

static const pg_stream_ops stream_ops = {
    .read = on_stream_read,
    .write = on_stream_write,
    .close_write = on_stream_close_write,
    .reset = on_stream_reset,
    .free = on_stream_free,
};

pg_err pg_yamux_stream_new(pg_yamux *yamux, uint32_t id, pg_yamux_stream **out_stream)
{
    pg_yamux_stream *stream = PG_NEW(pg_yamux_stream);
    if (stream == NULL) {
        return pg_fail(PG_ERR_NOMEM, "no memory for a stream");
    }
    stream->base.ops = &stream_ops;
    stream->session = yamux;
    stream->id = id;
    stream->flow = pg_yamux_flow_make(pg_now());
    pg_list_init(&stream->chunks);
    pg_waitq_init(&stream->readers);
    pg_waitq_init(&stream->writers);
    pg_err err = pg_map_add(&yamux->streams, pg_bytes_make(&id, sizeof(id)), stream);
    if (err != PG_OK) {
        pg_mfree(stream);
        return err;
    }
    stream->is_wired = true;
    pg_list_append(&yamux->all, &stream->node);
    *(stream_is_ours(stream) ? &yamux->streams_out : &yamux->streams_in) += 1;
    *out_stream = stream;
    return PG_OK;
}
