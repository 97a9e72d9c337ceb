// SPDX-License-Identifier: Apache-2.0
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "net/limits.h"
#include "net/yamux_priv.h"

#define TURNS_MAX 4             // of a reader within one payload
#define GO_AWAY_TIMEOUT_MS 1000 // to tell the peer that it broke the protocol

// ---- Frames of streams

static bool stream_id_is_ours(const pg_yamux *yamux, uint32_t id)
{
    return (id % 2 == 1) == yamux->is_client;
}

// The peer opens a stream: *out_stream is NULL when it was refused.
static pg_err on_syn(pg_yamux *yamux, uint32_t id, pg_yamux_stream **out_stream)
{
    if (stream_id_is_ours(yamux, id)) {
        return pg_fail(PG_ERR_PROTOCOL, "the peer opened stream %u, an id of ours", id);
    }
    *out_stream = NULL;
    bool is_welcome = yamux->state == PG_YAMUX_STATE_OPEN &&
                      yamux->streams_in < yamux->limits.streams_in_max &&
                      yamux->accept_count < PG_NET_STREAMS_ACCEPT_MAX;
    if (!is_welcome) {
        pg_log_limited(PG_LOG_LEVEL_DEBUG, "net.yamux.stream_refused", PG_LOG_U64("stream", id),
                       PG_LOG_U64("streams_in", yamux->streams_in));
        return pg_yamux_control_put(
            yamux, &(pg_yamux_frame){PG_YAMUX_TYPE_WINDOW, PG_YAMUX_FLAG_RST, id, 0});
    }
    PG_TRY(pg_yamux_stream_new(yamux, id, out_stream));
    pg_list_append(&yamux->accept_queue, &(*out_stream)->accept_node);
    yamux->accept_count++;
    pg_waitq_wake_one(&yamux->acceptors);
    return PG_OK;
}

static void on_closing_flags(pg_yamux *yamux, const pg_yamux_frame *frame)
{
    pg_yamux_stream *stream = pg_yamux_stream_find(yamux, frame->stream_id);
    if (stream == NULL) {
        return;
    }
    if (frame->flags & PG_YAMUX_FLAG_RST) {
        pg_yamux_stream_on_rst(stream);
    } else if (frame->flags & PG_YAMUX_FLAG_FIN) {
        pg_yamux_stream_on_fin(stream);
    }
}

static pg_err on_stream_frame(pg_yamux *yamux, const pg_yamux_frame *frame)
{
    pg_yamux_stream *stream = pg_yamux_stream_find(yamux, frame->stream_id);
    if (frame->flags & PG_YAMUX_FLAG_SYN) {
        if (stream != NULL) {
            return pg_fail(PG_ERR_PROTOCOL, "the peer opened stream %u twice", frame->stream_id);
        }
        PG_TRY(on_syn(yamux, frame->stream_id, &stream));
    }
    bool is_data = frame->type == PG_YAMUX_TYPE_DATA;
    yamux->payload = *frame;
    yamux->payload_left = is_data ? frame->length : 0;
    if (stream != NULL && (frame->flags & PG_YAMUX_FLAG_ACK)) {
        pg_yamux_stream_on_ack(stream);
    }
    // Frames of streams that are gone are no fault: they were under way. Their payload is drained. A reset may carry a number
    // of the sender's own where credit stands.
    if (stream != NULL && is_data && pg_yamux_stream_is_receiving(stream)) {
        PG_TRY(pg_yamux_flow_on_data(&stream->flow, frame->length));
    }
    if (stream != NULL && !is_data && !(frame->flags & PG_YAMUX_FLAG_RST)) {
        PG_TRY(pg_yamux_flow_on_credit(&stream->flow, frame->length));
        pg_yamux_stream_queue_data(stream);
    }
    if (yamux->payload_left == 0) {
        on_closing_flags(yamux, frame);
    }
    return PG_OK;
}

// Give payload to the reader of its stream. One who wanted less may go on and want the rest, which spares it the way through the queue: a
// few times, or a reader of single bytes would hold up all others.
static pg_err payload_give(pg_yamux *yamux, pg_bytes bytes)
{
    for (unsigned turn = 0; bytes.len > 0; turn++) {
        pg_yamux_stream *stream = pg_yamux_stream_find(yamux, yamux->payload.stream_id);
        if (stream == NULL || !pg_yamux_stream_is_receiving(stream)) {
            return PG_OK;
        }
        size_t given = pg_yamux_stream_give(stream, bytes);
        bytes = pg_bytes_slice(bytes, given, bytes.len);
        if (given > 0 && bytes.len > 0 && turn < TURNS_MAX) {
            PG_TRY(pg_fiber_yield());
        } else if (bytes.len > 0) {
            pg_yamux_stream_queue(stream, bytes);
            return PG_OK;
        }
    }
    return PG_OK;
}

// Take what is there of the payload under way. Flags of the frame count after its last byte.
static pg_err on_payload(pg_yamux *yamux, pg_bytes bytes)
{
    PG_TRY(payload_give(yamux, bytes));
    yamux->payload_left -= (uint32_t) bytes.len;
    if (yamux->payload_left == 0 && yamux->state != PG_YAMUX_STATE_ENDED) {
        on_closing_flags(yamux, &yamux->payload);
    }
    return PG_OK;
}

// ---- Frames of the session

static void on_pong(pg_yamux *yamux, uint32_t value)
{
    if (!yamux->ping_out || value != yamux->ping_value) {
        return;
    }
    yamux->ping_out = false;
    int64_t sample_ns = pg_now() - yamux->ping_sent_at;
    sample_ns = sample_ns > 0 ? sample_ns : 1; // a coarse clock; 0 says that nothing is known
    yamux->rtt_ns = yamux->rtt_ns == 0 ? sample_ns : (7 * yamux->rtt_ns + sample_ns) / 8;
}

static pg_err on_frame(pg_yamux *yamux, const pg_yamux_frame *frame)
{
    if (frame->type == PG_YAMUX_TYPE_PING) {
        if (frame->flags & PG_YAMUX_FLAG_ACK) {
            on_pong(yamux, frame->length);
            return PG_OK;
        }
        return pg_yamux_control_put(
            yamux, &(pg_yamux_frame){PG_YAMUX_TYPE_PING, PG_YAMUX_FLAG_ACK, 0, frame->length});
    }
    if (frame->type == PG_YAMUX_TYPE_GO_AWAY) {
        if (frame->length != PG_YAMUX_CODE_NORMAL) {
            return pg_fail(PG_ERR_RESET, "the peer ended the session with code %u", frame->length);
        }
        yamux->peer_gone_away = true;
        pg_waitq_wake_all(&yamux->openers);
        return PG_OK;
    }
    return on_stream_frame(yamux, frame);
}

// ---- The fiber

// Take all whole headers and all payload of what has come; *out_left bytes of a header begun stay.
static pg_err reader_take(pg_yamux *yamux, pg_bytes bytes, size_t *out_left)
{
    while (bytes.len > 0 && yamux->state != PG_YAMUX_STATE_ENDED) {
        size_t used = PG_YAMUX_HEADER_BYTES;
        if (yamux->payload_left > 0) {
            used = pg_min_size(bytes.len, yamux->payload_left);
            PG_TRY(on_payload(yamux, pg_bytes_slice(bytes, 0, used)));
        } else if (bytes.len >= PG_YAMUX_HEADER_BYTES) {
            pg_yamux_frame frame;
            PG_TRY(pg_yamux_frame_decode(bytes, &frame));
            PG_TRY(on_frame(yamux, &frame));
        } else {
            break;
        }
        bytes = pg_bytes_slice(bytes, used, bytes.len);
    }
    *out_left = bytes.len;
    return PG_OK;
}

// A ping behind much data takes as long as the data, and is no sign of a dead peer.
static int64_t pong_patience(const pg_yamux *yamux)
{
    bool is_busy =
        yamux->busy_at != 0 && yamux->busy_at + PG_MS(PG_NET_PING_BUSY_MS) > yamux->ping_sent_at;
    return is_busy ? PG_MS(PG_NET_PING_BUSY_MS) : PG_MS(PG_NET_PING_TIMEOUT_MS);
}

static pg_time reader_deadline(const pg_yamux *yamux)
{
    if (yamux->ping_due) { // waits for the writer, which has a deadline of its own: look again then
        return pg_after(PG_MS(PG_NET_PING_TIMEOUT_MS));
    }
    if (!yamux->ping_out) {
        return yamux->ping_next_at;
    }
    pg_time alive_at =
        yamux->heard_at > yamux->ping_sent_at ? yamux->heard_at : yamux->ping_sent_at;
    return alive_at + pong_patience(yamux);
}

// Ping when it is time; give up on a peer that neither answers nor sends anything else.
static pg_err reader_tick(pg_yamux *yamux)
{
    pg_time now = pg_now();
    if (now < reader_deadline(yamux)) {
        return PG_OK;
    }
    if (yamux->ping_out) {
        return pg_fail(PG_ERR_TIMEOUT, "the peer does not answer pings");
    }
    yamux->ping_next_at = now + PG_MS(PG_NET_KEEPALIVE_MS);
    yamux->ping_due = true;
    pg_yamux_writer_kick(yamux);
    return PG_OK;
}

// An idle connection keeps next to nothing.
static void reader_trim(pg_yamux *yamux)
{
    yamux->is_trimmed = true;
    if (yamux->in.len == 0) {
        pg_buf_deinit(&yamux->in);
    }
    if (!yamux->writer_runs) {
        pg_buf_deinit(&yamux->out);
        pg_buf_deinit(&yamux->control);
    }
    pg_fiber_trim();
}

// One read of the carrier: *out_len 0 = nothing came in time.
static pg_err reader_fill(pg_yamux *yamux, size_t wanted, size_t *out_len)
{
    if (yamux->in.cap < wanted) {
        PG_TRY(pg_buf_reserve(&yamux->in, wanted - yamux->in.len));
    }
    pg_mut_bytes space = {yamux->in.ptr + yamux->in.len, yamux->in.cap - yamux->in.len};
    pg_time until = reader_deadline(yamux);
    until = yamux->is_trimmed ? until : pg_earlier(until, pg_after(PG_MS(PG_NET_IDLE_TRIM_MS)));
    pg_err err = pg_stream_read(yamux->carrier, space, until, out_len);
    if (err == PG_ERR_TIMEOUT) {
        *out_len = 0;
        reader_trim(yamux);
        return PG_OK;
    }
    PG_TRY(err);
    if (*out_len == 0) {
        return pg_fail(PG_ERR_CLOSED, "the peer closed the connection");
    }
    yamux->heard_at = pg_now();
    yamux->is_trimmed = false;
    yamux->bytes_in += *out_len;
    return PG_OK;
}

static pg_err reader_loop(pg_yamux *yamux)
{
    size_t wanted = PG_YAMUX_BUFFER_BYTES_MIN;
    while (yamux->state != PG_YAMUX_STATE_ENDED) {
        PG_TRY(reader_tick(yamux));
        size_t len = 0;
        PG_TRY(reader_fill(yamux, wanted, &len));
        if (len == 0) {
            wanted = PG_YAMUX_BUFFER_BYTES_IDLE;
            continue;
        }
        size_t have = yamux->in.len + len;
        if (have == yamux->in.cap) {
            wanted = pg_min_size(yamux->in.cap * 4, PG_YAMUX_BUFFER_BYTES_MAX);
        }
        size_t left = 0;
        PG_TRY(reader_take(yamux, pg_bytes_make(yamux->in.ptr, have), &left));
        memmove(yamux->in.ptr, yamux->in.ptr + have - left, left);
        yamux->in.len = left;
        PG_TRY(pg_fiber_yield()); // whoever got bytes goes first
    }
    return PG_OK;
}

// Tell a peer that broke the rules, and wait shortly until it has left.
static void reader_go_away(pg_yamux *yamux)
{
    yamux->go_away_due = true;
    yamux->go_away_code = PG_YAMUX_CODE_PROTOCOL;
    pg_yamux_writer_kick(yamux);
    pg_time deadline = pg_after(PG_MS(GO_AWAY_TIMEOUT_MS));
    while (yamux->writer_runs && yamux->state < PG_YAMUX_STATE_ENDED) {
        if (pg_waitq_wait(&yamux->flushed, deadline) != PG_OK) {
            return;
        }
    }
}

static void reader_finish(pg_yamux *yamux, pg_err err)
{
    if (yamux->state == PG_YAMUX_STATE_ENDED) {
        return; // aborted
    }
    bool is_orderly =
        err == PG_ERR_CLOSED && (yamux->peer_gone_away || yamux->state == PG_YAMUX_STATE_DRAINING);
    if (!is_orderly) {
        pg_yamux_note_end(yamux, err, pg_error_detail(err));
    }
    if (pg_err_class_of(err) == PG_ERR_CLASS_PEER && yamux->state < PG_YAMUX_STATE_DRAINING) {
        reader_go_away(yamux);
    }
    bool is_flushed = !yamux->writer_runs && yamux->state == PG_YAMUX_STATE_DRAINING;
    if (is_orderly && !yamux->writer_runs && !is_flushed) {
        pg_ignore(pg_stream_close_write(yamux->carrier, pg_after(PG_MS(GO_AWAY_TIMEOUT_MS))),
                  "the peer has gone; nothing depends on it");
    } else if (!is_flushed) {
        pg_stream_reset(yamux->carrier);
    }
    if (yamux->state != PG_YAMUX_STATE_ENDED) {
        pg_yamux_end(yamux);
    }
}

pg_err pg_yamux_reader_run(void *arg)
{
    pg_yamux *yamux = arg;
    reader_finish(yamux, reader_loop(yamux));
    return PG_OK;
}
