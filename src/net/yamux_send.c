// SPDX-License-Identifier: Apache-2.0
#include <string.h>

#include "base/mem.h"
#include "net/limits.h"
#include "net/yamux_priv.h"

static bool writer_has_flags(const pg_yamux *yamux)
{
    return yamux->control.len > 0 || yamux->ping_due || !pg_list_is_empty(&yamux->flag_queue);
}

static bool writer_has_work(const pg_yamux *yamux)
{
    return yamux->state < PG_YAMUX_STATE_DRAINING &&
           (writer_has_flags(yamux) || !pg_list_is_empty(&yamux->data_queue) || yamux->go_away_due);
}

// ---- Gathering a batch. Nothing here parks.

static pg_err batch_put(pg_yamux *yamux, const pg_yamux_frame *frame)
{
    uint8_t *header = NULL;
    PG_TRY(pg_buf_extend(&yamux->out, PG_YAMUX_HEADER_BYTES, &header));
    pg_yamux_frame_encode(frame, header);
    return PG_OK;
}

static bool batch_has_room(const pg_yamux *yamux, size_t payload_len)
{
    return yamux->out.len + PG_YAMUX_HEADER_BYTES + payload_len <= PG_YAMUX_BUFFER_BYTES_MAX;
}

static pg_err batch_put_ping(pg_yamux *yamux)
{
    yamux->ping_due = false;
    yamux->ping_out = true;
    yamux->ping_value++;
    yamux->ping_sent_at = pg_now();
    return batch_put(
        yamux, &(pg_yamux_frame){PG_YAMUX_TYPE_PING, PG_YAMUX_FLAG_SYN, 0, yamux->ping_value});
}

static pg_err batch_put_go_away(pg_yamux *yamux)
{
    yamux->go_away_due = false;
    return batch_put(
        yamux, &(pg_yamux_frame){PG_YAMUX_TYPE_GO_AWAY, 0, 0, (uint32_t) yamux->go_away_code});
}

// SYN or ACK ride on a window update, with credit when that is due too; FIN or RST follow on one of their own.
static pg_err batch_put_flags(pg_yamux *yamux, pg_yamux_stream *stream)
{
    pg_yamux_frame frame = {PG_YAMUX_TYPE_WINDOW, 0, stream->id, 0};
    uint16_t opening = stream->due & (PG_YAMUX_FLAG_SYN | PG_YAMUX_FLAG_ACK);
    if (opening != 0 || stream->credit_due) {
        frame.flags = opening;
        if (stream->credit_due) {
            pg_time now = pg_now();
            frame.length =
                pg_yamux_flow_give(&stream->flow, pg_yamux_stream_grow(stream, now), now);
            stream->credit_due = false;
        }
        PG_TRY(batch_put(yamux, &frame));
    }
    uint16_t closing = stream->due & (PG_YAMUX_FLAG_FIN | PG_YAMUX_FLAG_RST);
    if (closing != 0) {
        frame.flags = closing;
        frame.length = 0;
        PG_TRY(batch_put(yamux, &frame));
    }
    stream->due = 0;
    pg_yamux_stream_settle(stream);
    return PG_OK;
}

static size_t parts_len(const pg_yamux_stream *stream)
{
    size_t len = 0;
    for (size_t i = 0; i < stream->part_count; i++) {
        len += stream->parts[i].len;
    }
    return len - stream->part_offset;
}

void pg_yamux_stream_trim_parts(pg_yamux_stream *stream)
{
    while (stream->part_count > 0 && stream->part_offset == stream->parts[0].len) {
        stream->parts++;
        stream->part_count--;
        stream->part_offset = 0;
    }
}

static void parts_take(pg_yamux_stream *stream, uint8_t *space, size_t len)
{
    while (len > 0) {
        pg_bytes rest = pg_bytes_slice(stream->parts[0], stream->part_offset, len);
        memcpy(space, rest.ptr, rest.len);
        space += rest.len;
        len -= rest.len;
        stream->part_offset += rest.len;
        pg_yamux_stream_trim_parts(stream);
    }
}

// One data frame of the stream, as long as credit and frame allow.
static pg_err batch_put_data(pg_yamux *yamux, pg_yamux_stream *stream, size_t payload_len)
{
    PG_TRY(batch_put(yamux,
                     &(pg_yamux_frame){PG_YAMUX_TYPE_DATA, 0, stream->id, (uint32_t) payload_len}));
    uint8_t *space = NULL;
    PG_TRY(pg_buf_extend(&yamux->out, payload_len, &space));
    parts_take(stream, space, payload_len);
    pg_yamux_flow_send(&stream->flow, payload_len);
    if (stream->part_count == 0) {
        pg_waitq_wake_one(&stream->writers);
    }
    pg_yamux_stream_queue_data(stream);
    return PG_OK;
}

static size_t data_len(const pg_yamux_stream *stream)
{
    size_t len = pg_min_size(parts_len(stream), PG_YAMUX_DATA_BYTES_MAX);
    return pg_min_size(len, (size_t) stream->flow.send_credit);
}

static pg_err batch_gather(pg_yamux *yamux)
{
    if (yamux->go_away_due && yamux->go_away_code != PG_YAMUX_CODE_NORMAL) {
        return batch_put_go_away(yamux); // the session has failed, nothing else matters
    }
    PG_TRY(pg_buf_append(&yamux->out, pg_buf_bytes(&yamux->control)));
    pg_buf_clear(&yamux->control);
    if (yamux->ping_due) {
        PG_TRY(batch_put_ping(yamux));
    }
    while (!pg_list_is_empty(&yamux->flag_queue) && batch_has_room(yamux, PG_YAMUX_HEADER_BYTES)) {
        pg_list *node = pg_list_pop(&yamux->flag_queue);
        PG_TRY(batch_put_flags(yamux, PG_LIST_OBJECT(node, pg_yamux_stream, flag_node)));
    }
    while (!pg_list_is_empty(&yamux->data_queue)) {
        pg_yamux_stream *stream =
            PG_LIST_OBJECT(yamux->data_queue.next, pg_yamux_stream, data_node);
        size_t payload_len = data_len(stream);
        if (!batch_has_room(yamux, payload_len)) {
            return PG_OK;
        }
        pg_list_remove(&stream->data_node);
        PG_TRY(batch_put_data(yamux, stream, payload_len));
    }
    bool is_last = !writer_has_flags(yamux);
    return yamux->go_away_due && is_last ? batch_put_go_away(yamux) : PG_OK;
}

// ---- The fiber

static pg_err writer_loop(pg_yamux *yamux)
{
    while (writer_has_work(yamux)) {
        bool was_going = yamux->go_away_due;
        PG_TRY(batch_gather(yamux));
        PG_TRY(pg_stream_write(yamux->carrier, pg_buf_bytes(&yamux->out),
                               pg_after(PG_MS(PG_NET_WRITE_TIMEOUT_MS))));
        yamux->bytes_out += yamux->out.len;
        yamux->busy_at = yamux->out.len >= PG_NET_BUSY_BYTES ? pg_now() : yamux->busy_at;
        pg_buf_clear(&yamux->out);
        if (was_going && !yamux->go_away_due && yamux->state < PG_YAMUX_STATE_DRAINING) {
            pg_yamux_drain(yamux);
            PG_TRY(pg_stream_close_write(yamux->carrier, pg_after(PG_MS(PG_NET_WRITE_TIMEOUT_MS))));
        }
        pg_waitq_wake_all(&yamux->flushed);
    }
    return PG_OK;
}

static pg_err writer_run(void *arg)
{
    pg_yamux *yamux = arg;
    pg_err err = writer_loop(yamux);
    yamux->writer_runs = false;
    pg_waitq_wake_all(&yamux->flushed);
    if (err != PG_OK) {
        pg_yamux_break(yamux, err);
    }
    return PG_OK;
}

void pg_yamux_writer_kick(pg_yamux *yamux)
{
    if (yamux->writer_runs || !writer_has_work(yamux)) {
        return;
    }
    yamux->writer_runs = true;
    pg_err err = pg_scope_spawn(&yamux->scope, "net.yamux.writer", writer_run, yamux);
    if (err != PG_OK) {
        yamux->writer_runs = false;
        pg_yamux_break(yamux, err);
    }
}

void pg_yamux_stream_queue_flags(pg_yamux_stream *stream)
{
    if (!pg_list_is_linked(&stream->flag_node)) {
        pg_list_append(&stream->session->flag_queue, &stream->flag_node);
    }
    pg_yamux_writer_kick(stream->session);
}

void pg_yamux_stream_queue_data(pg_yamux_stream *stream)
{
    bool can_send = stream->part_count > 0 && stream->flow.send_credit > 0;
    if (can_send && !pg_list_is_linked(&stream->data_node)) {
        pg_list_append(&stream->session->data_queue, &stream->data_node);
    }
    pg_yamux_writer_kick(stream->session);
}

pg_err pg_yamux_control_put(pg_yamux *yamux, const pg_yamux_frame *frame)
{
    while (yamux->control.len >= PG_YAMUX_CONTROL_BYTES_MAX && writer_has_work(yamux)) {
        pg_yamux_writer_kick(yamux);
        PG_TRY(pg_waitq_wait(&yamux->flushed, pg_after(PG_MS(PG_NET_WRITE_TIMEOUT_MS))));
    }
    if (yamux->state >= PG_YAMUX_STATE_DRAINING) {
        return PG_OK; // nothing is sent any more
    }
    uint8_t *header = NULL;
    PG_TRY(pg_buf_extend(&yamux->control, PG_YAMUX_HEADER_BYTES, &header));
    pg_yamux_frame_encode(frame, header);
    pg_yamux_writer_kick(yamux);
    return PG_OK;
}
