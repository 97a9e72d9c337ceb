// SPDX-License-Identifier: Apache-2.0
// Streams of QUIC. Received bytes go to the parked reader at once, or wait in chunks; the peer's credit on the connection
// then comes back when there is memory for them, else when they are read. Written bytes stay with the parked writer until
// they can be sent; then they are copied, since they must not move until they are acknowledged.
#include <string.h>

#include "base/mem.h"
#include "net/quic_priv.h"

#define CHUNK_BYTES_MIN 1024 // so that tiny pieces do not cost a heap block each
#define CHUNK_BYTES_MAX 65536

static pg_quic_stream *stream_of(pg_stream *base)
{
    return PG_LIST_OBJECT(base, pg_quic_stream, base);
}

static pg_err chunk_add(pg_list *chunks, size_t wanted, pg_quic_chunk **out_chunk)
{
    size_t cap = pg_min_size(pg_max_size(wanted, CHUNK_BYTES_MIN), CHUNK_BYTES_MAX);
    pg_quic_chunk *chunk = pg_malloc(sizeof(*chunk) + cap);
    if (chunk == NULL) {
        return pg_fail(PG_ERR_NOMEM, "no memory for the bytes of a stream");
    }
    *chunk = (pg_quic_chunk){.cap = cap};
    pg_list_append(chunks, &chunk->node);
    *out_chunk = chunk;
    return PG_OK;
}

static pg_quic_chunk *chunk_first(const pg_list *chunks)
{
    return pg_list_is_empty(chunks) ? NULL : PG_LIST_OBJECT(chunks->next, pg_quic_chunk, node);
}

static pg_quic_chunk *chunk_last(const pg_list *chunks)
{
    return pg_list_is_empty(chunks) ? NULL : PG_LIST_OBJECT(chunks->prev, pg_quic_chunk, node);
}

static void chunk_free(pg_quic_chunk *chunk)
{
    pg_list_remove(&chunk->node);
    pg_mfree(chunk);
}

// ---- Life

static void stream_try_free(pg_quic_stream *stream);

static void in_drop(pg_quic_stream *stream)
{
    pg_quic_conn *conn = stream->conn;
    for (pg_quic_chunk *chunk = chunk_first(&stream->in); chunk != NULL;
         chunk = chunk_first(&stream->in)) {
        chunk_free(chunk);
    }
    if (conn != NULL) {
        pg_budget_give(&conn->recv_budget, stream->in_bytes - stream->owed_bytes);
        pg_quic_conn_credit(conn, stream->owed_bytes);
    }
    stream->in_bytes = 0;
    stream->owed_bytes = 0;
}

static void out_drop_first(pg_quic_stream *stream)
{
    pg_quic_chunk *chunk = chunk_first(&stream->out);
    stream->out_begin += chunk->len;
    if (stream->conn != NULL) {
        pg_budget_give(&stream->conn->send_budget, chunk->cap);
    }
    chunk_free(chunk);
}

static void out_drop(pg_quic_stream *stream)
{
    while (!pg_list_is_empty(&stream->out)) {
        out_drop_first(stream);
    }
}

// Memory has come back: streams that wait for it may go on, and somebody may wait for all to be acknowledged.
static void out_freed(pg_quic_conn *conn)
{
    for (pg_list *node = pg_list_pop(&conn->starved); node != NULL;
         node = pg_list_pop(&conn->starved)) {
        pg_list_append(&conn->send_queue, node);
        pg_quic_ready(conn);
    }
    if (conn->state == PG_QUIC_STATE_CLOSING) {
        pg_waitq_wake_all(&conn->settled);
    }
}

static void stream_try_free(pg_quic_stream *stream)
{
    if (stream->is_wired || stream->is_held) {
        return;
    }
    pg_quic_conn *conn = stream->conn;
    in_drop(stream);
    out_drop(stream);
    pg_list_remove(&stream->node);
    pg_list_remove(&stream->accept_node);
    pg_list_remove(&stream->send_node);
    if (conn != NULL && stream->is_ours) {
        conn->streams_out--;
        pg_waitq_wake_one(&conn->openers);
    } else if (conn != NULL) {
        conn->streams_in--;
    }
    if (conn != NULL && conn->ngtcp2 != NULL && !stream->is_ours) {
        ngtcp2_conn_extend_max_streams_bidi(conn->ngtcp2, 1); // only now: an unread one counts
        pg_quic_ready(conn);
    }
    pg_mfree(stream);
}

// Give up both halves, or only the peer's when ours was closed in good order and `keep_sent`.
static void stream_abort(pg_quic_stream *stream, pg_err err, bool keep_sent)
{
    pg_quic_conn *conn = stream->conn;
    bool is_live = stream->is_wired && conn != NULL && conn->ngtcp2 != NULL;
    bool cut_recv = stream->recv == PG_QUIC_RECV_OPEN;
    bool cut_send =
        stream->send == PG_QUIC_SEND_OPEN || (stream->send == PG_QUIC_SEND_CLOSED && !keep_sent);
    stream->reset_err = err;
    if (is_live && cut_send) {
        pg_quic_conn_note(conn, ngtcp2_conn_shutdown_stream_write(conn->ngtcp2, 0, stream->id,
                                                                  PG_QUIC_CODE_NONE));
    }
    if (is_live && cut_recv) {
        pg_quic_conn_note(
            conn, ngtcp2_conn_shutdown_stream_read(conn->ngtcp2, 0, stream->id, PG_QUIC_CODE_NONE));
    }
    if (cut_send) {
        stream->send = PG_QUIC_SEND_RESET;
        stream->is_ending = false;
        pg_list_remove(&stream->send_node);
    }
    if (stream->recv <= PG_QUIC_RECV_ENDED) {
        stream->recv = PG_QUIC_RECV_STOPPED;
    }
    in_drop(stream);
    pg_waitq_wake_all(&stream->readers);
    pg_waitq_wake_all(&stream->writers);
    if (is_live) {
        pg_quic_ready(conn);
    }
}

void pg_quic_stream_on_reset(pg_quic_stream *stream)
{
    if (stream->recv <= PG_QUIC_RECV_ENDED) {
        stream->recv = PG_QUIC_RECV_RESET;
        in_drop(stream);
        pg_waitq_wake_all(&stream->readers);
    }
}

void pg_quic_stream_on_stop(pg_quic_stream *stream)
{
    if (stream->send <= PG_QUIC_SEND_CLOSED) {
        stream->send = PG_QUIC_SEND_STOPPED;
        stream->is_ending = false;
        pg_list_remove(&stream->send_node);
        pg_waitq_wake_all(&stream->writers);
    }
}

void pg_quic_stream_on_close(pg_quic_stream *stream)
{
    // Both halves are over for ngtcp2; those that are not for us ended by a reset we were told of, or are by this.
    if (stream->recv == PG_QUIC_RECV_OPEN) {
        pg_quic_stream_on_reset(stream);
    }
    if (stream->send == PG_QUIC_SEND_OPEN) {
        pg_quic_stream_on_stop(stream);
    }
    stream->is_wired = false;
    stream->is_ending = false;
    pg_list_remove(&stream->send_node);
    out_drop(stream);
    out_freed(stream->conn);
    stream_try_free(stream);
}

void pg_quic_stream_on_end(pg_quic_stream *stream)
{
    if (stream->recv == PG_QUIC_RECV_OPEN) {
        stream->recv = PG_QUIC_RECV_LOST; // what has come can still be read
    }
    if (stream->send == PG_QUIC_SEND_OPEN) {
        stream->send = PG_QUIC_SEND_LOST;
    }
    stream->is_wired = false;
    stream->is_ending = false;
    if (pg_list_is_linked(&stream->accept_node)) {
        pg_list_remove(&stream->accept_node);
        stream->is_held = false; // nobody will ask for it
    }
    pg_list_remove(&stream->send_node);
    out_drop(stream);
    pg_waitq_wake_all(&stream->readers);
    pg_waitq_wake_all(&stream->writers);
    stream_try_free(stream);
}

void pg_quic_stream_orphan(pg_quic_stream *stream)
{
    pg_budget_give(&stream->conn->recv_budget, stream->in_bytes - stream->owed_bytes);
    stream->conn = NULL;
    pg_list_remove(&stream->node);
}

// ---- Receiving

// `len` bytes are the reader's: the peer may send as many more on this stream.
static void stream_consume(pg_quic_stream *stream, size_t len)
{
    pg_quic_conn *conn = stream->conn;
    if (conn == NULL || conn->ngtcp2 == NULL || !stream->is_wired ||
        stream->recv != PG_QUIC_RECV_OPEN) {
        return;
    }
    uint64_t growth = 0;
    if (pg_quic_window_use(&stream->window, len)) {
        growth = pg_quic_window_growth(&stream->window, pg_now(), pg_quic_conn_rtt_ns(conn),
                                       conn->limits.window_max_bytes);
        stream->window.bytes += growth;
    }
    pg_quic_conn_note(conn,
                      ngtcp2_conn_extend_max_stream_offset(conn->ngtcp2, stream->id, len + growth));
    pg_quic_ready(conn);
}

static pg_err in_append(pg_quic_stream *stream, pg_bytes bytes)
{
    while (bytes.len > 0) {
        pg_quic_chunk *tail = chunk_last(&stream->in);
        if (tail == NULL || tail->len == tail->cap) {
            PG_TRY(chunk_add(&stream->in, bytes.len, &tail));
        }
        size_t len = pg_min_size(bytes.len, tail->cap - tail->len);
        memcpy(tail->bytes + tail->len, bytes.ptr, len);
        tail->len += len;
        stream->in_bytes += len;
        stream->owed_bytes += len;
        bytes = pg_bytes_slice(bytes, len, bytes.len);
    }
    return PG_OK;
}

// Keep bytes nobody reads yet. Where there is memory for them the other streams of the connection do not suffer.
static void in_keep(pg_quic_stream *stream, pg_bytes bytes)
{
    pg_quic_conn *conn = stream->conn;
    pg_err err = in_append(stream, bytes);
    if (err != PG_OK) {
        stream_abort(stream, err, false);
        return;
    }
    if (pg_budget_take(&conn->recv_budget, bytes.len)) {
        stream->owed_bytes -= bytes.len;
        pg_quic_conn_credit(conn, bytes.len);
    }
}

void pg_quic_stream_on_data(pg_quic_stream *stream, pg_bytes bytes, bool is_end)
{
    size_t direct = pg_min_size(stream->read_space.len, bytes.len);
    if (stream->recv != PG_QUIC_RECV_OPEN) {
        pg_quic_conn_credit(stream->conn, bytes.len);
        return;
    }
    if (direct > 0) {
        memcpy(stream->read_space.ptr, bytes.ptr, direct);
        stream->read_space.ptr += direct;
        stream->read_space.len -= direct;
        stream->read_len += direct;
        bytes = pg_bytes_slice(bytes, direct, bytes.len);
        stream_consume(stream, direct);
        pg_quic_conn_credit(stream->conn, direct);
        pg_waitq_wake_one(&stream->readers);
    }
    if (bytes.len > 0) {
        in_keep(stream, bytes);
    }
    if (is_end && stream->recv == PG_QUIC_RECV_OPEN) {
        stream->recv = PG_QUIC_RECV_ENDED;
        pg_waitq_wake_all(&stream->readers);
    }
}

static size_t in_take(pg_quic_stream *stream, pg_mut_bytes space)
{
    size_t taken = 0;
    while (taken < space.len && stream->in_bytes > taken) {
        pg_quic_chunk *chunk = chunk_first(&stream->in);
        size_t len = pg_min_size(space.len - taken, chunk->len - chunk->begin);
        memcpy(space.ptr + taken, chunk->bytes + chunk->begin, len);
        chunk->begin += len;
        taken += len;
        if (chunk->begin == chunk->len) {
            chunk_free(chunk);
        }
    }
    size_t owed = pg_min_size(taken, stream->owed_bytes);
    stream->in_bytes -= taken;
    stream->owed_bytes -= owed;
    if (stream->conn != NULL) {
        pg_budget_give(&stream->conn->recv_budget, taken - owed);
        pg_quic_conn_credit(stream->conn, owed);
    }
    stream_consume(stream, taken);
    return taken;
}

static pg_err fail_lost(const pg_quic_stream *stream)
{
    return stream->conn != NULL ? pg_quic_conn_fail_ended(stream->conn)
                                : pg_fail(PG_ERR_CLOSED, "the connection has ended");
}

static pg_err fail_reset_here(const pg_quic_stream *stream)
{
    return pg_fail(stream->reset_err, "stream was reset here: %s", pg_err_text(stream->reset_err));
}

static pg_err read_fail(const pg_quic_stream *stream)
{
    if (stream->recv == PG_QUIC_RECV_RESET) {
        return pg_fail(PG_ERR_RESET, "stream was reset by the peer");
    }
    return stream->recv == PG_QUIC_RECV_STOPPED ? fail_reset_here(stream) : fail_lost(stream);
}

static pg_err on_stream_read(pg_stream *base, pg_mut_bytes space, pg_time deadline, size_t *out_len)
{
    pg_quic_stream *stream = stream_of(base);
    for (;;) {
        if (stream->in_bytes > 0) {
            *out_len = in_take(stream, space);
            return PG_OK;
        }
        if (stream->recv == PG_QUIC_RECV_ENDED) {
            *out_len = 0;
            return PG_OK;
        }
        if (stream->recv != PG_QUIC_RECV_OPEN) {
            return read_fail(stream);
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

void pg_quic_stream_queue(pg_quic_stream *stream)
{
    bool has_bytes = stream->part_count > 0 || stream->out_end > stream->sent;
    bool may_send = stream->send <= PG_QUIC_SEND_CLOSED && stream->is_wired;
    if (may_send && (has_bytes || stream->is_ending)) {
        if (!pg_list_is_linked(&stream->send_node)) {
            pg_list_append(&stream->conn->send_queue, &stream->send_node);
        }
        pg_quic_ready(stream->conn);
    }
}

// Step over parts that are empty or taken.
static void parts_trim(pg_quic_stream *stream)
{
    while (stream->part_count > 0 && stream->part_offset >= stream->parts[0].len) {
        stream->part_offset = 0;
        stream->parts++;
        stream->part_count--;
    }
}

static size_t parts_left(const pg_quic_stream *stream)
{
    size_t left = 0;
    for (size_t i = 0; i < stream->part_count && left < CHUNK_BYTES_MAX; i++) {
        left += stream->parts[i].len;
    }
    return left - stream->part_offset;
}

// Take bytes of the parked writer, at most a run of datagrams ahead. Returns false when memory is out.
static bool parts_pull(pg_quic_stream *stream)
{
    pg_budget *budget = &stream->conn->send_budget;
    while (stream->part_count > 0 && stream->out_end - stream->sent < PG_NET_QUIC_PULL_BYTES) {
        pg_quic_chunk *tail = chunk_last(&stream->out);
        if (tail == NULL || tail->len == tail->cap) {
            if (chunk_add(&stream->out, parts_left(stream), &tail) != PG_OK) {
                return false;
            }
            if (!pg_budget_take(budget, tail->cap)) {
                chunk_free(tail);
                return false;
            }
        }
        pg_bytes part =
            pg_bytes_slice(stream->parts[0], stream->part_offset, tail->cap - tail->len);
        memcpy(tail->bytes + tail->len, part.ptr, part.len);
        tail->len += part.len;
        stream->out_end += part.len;
        stream->part_offset += part.len;
        parts_trim(stream);
    }
    if (stream->part_count == 0) {
        pg_waitq_wake_one(&stream->writers); // all of it is ours now
    }
    return true;
}

bool pg_quic_stream_offer(pg_quic_stream *stream, pg_quic_offer *out_offer)
{
    *out_offer = (pg_quic_offer){.count = 0};
    if (!parts_pull(stream) && stream->out_end == stream->sent) {
        return false;
    }
    // What is not sent stands at the end of the list: find its first byte from there.
    pg_list *node = &stream->out;
    uint64_t begin = stream->out_end;
    while (begin > stream->sent) {
        node = node->prev;
        begin -= PG_LIST_OBJECT(node, pg_quic_chunk, node)->len;
    }
    size_t skip = (size_t) (stream->sent - begin);
    for (; node != &stream->out && out_offer->count < PG_QUIC_VECS; node = node->next) {
        pg_quic_chunk *chunk = PG_LIST_OBJECT(node, pg_quic_chunk, node);
        out_offer->vecs[out_offer->count++] = (ngtcp2_vec){chunk->bytes + skip, chunk->len - skip};
        out_offer->len += chunk->len - skip;
        skip = 0;
    }
    out_offer->is_end = stream->is_ending && stream->part_count == 0 &&
                        stream->sent + out_offer->len == stream->out_end;
    return true;
}

void pg_quic_stream_on_sent(pg_quic_stream *stream, const pg_quic_offer *offer, size_t len)
{
    stream->sent += len;
    if (offer->is_end && len == offer->len) {
        stream->is_ending = false;
    }
    if (stream->sent == stream->out_end && stream->part_count == 0 && !stream->is_ending) {
        pg_list_remove(&stream->send_node);
    }
}

void pg_quic_stream_on_acked(pg_quic_stream *stream, uint64_t offset)
{
    bool has_freed = false;
    for (const pg_quic_chunk *chunk = chunk_first(&stream->out);
         chunk != NULL && stream->out_begin + chunk->len <= offset &&
         stream->out_begin + chunk->len <= stream->sent;
         chunk = chunk_first(&stream->out)) {
        out_drop_first(stream);
        has_freed = true;
    }
    if (has_freed) {
        out_freed(stream->conn);
    }
}

static pg_err write_fail(const pg_quic_stream *stream)
{
    if (stream->send == PG_QUIC_SEND_STOPPED) {
        return pg_fail(PG_ERR_RESET, "the peer reads no more of the stream");
    }
    if (stream->send == PG_QUIC_SEND_RESET) {
        return fail_reset_here(stream);
    }
    return stream->send == PG_QUIC_SEND_LOST
               ? fail_lost(stream)
               : pg_fail(PG_ERR_CLOSED, "stream was closed for writing");
}

static pg_err on_stream_write(pg_stream *base, const pg_bytes *parts, size_t part_count,
                              pg_time deadline)
{
    pg_quic_stream *stream = stream_of(base);
    pg_err err = PG_OK;
    stream->parts = parts;
    stream->part_count = part_count;
    stream->part_offset = 0;
    parts_trim(stream);
    while (err == PG_OK && stream->part_count > 0) {
        if (stream->send != PG_QUIC_SEND_OPEN) {
            err = write_fail(stream);
            break;
        }
        pg_quic_stream_queue(stream);
        err = pg_waitq_wait(&stream->writers, deadline);
    }
    bool is_all_taken = stream->part_count == 0;
    stream->parts = NULL;
    stream->part_count = 0;
    if (!is_all_taken && stream->sent == stream->out_end && !stream->is_ending) {
        pg_list_remove(&stream->send_node);
    }
    return is_all_taken ? PG_OK : err;
}

static pg_err on_stream_close_write(pg_stream *base, pg_time deadline)
{
    pg_quic_stream *stream = stream_of(base);
    (void) deadline; // the end waits its turn, we do not
    if (stream->send == PG_QUIC_SEND_CLOSED) {
        return PG_OK;
    }
    if (stream->send != PG_QUIC_SEND_OPEN) {
        return write_fail(stream);
    }
    stream->send = PG_QUIC_SEND_CLOSED;
    stream->is_ending = true;
    pg_quic_stream_queue(stream);
    return PG_OK;
}

static void on_stream_reset(pg_stream *base)
{
    stream_abort(stream_of(base), PG_ERR_CLOSED, false);
}

static void on_stream_free(pg_stream *base)
{
    pg_quic_stream *stream = stream_of(base);
    stream_abort(stream, PG_ERR_CLOSED, true);
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

pg_err pg_quic_stream_new(pg_quic_conn *conn, int64_t id, pg_quic_stream **out_stream)
{
    pg_quic_stream *stream = PG_NEW(pg_quic_stream);
    if (stream == NULL) {
        return pg_fail(PG_ERR_NOMEM, "no memory for a stream");
    }
    stream->base.ops = &stream_ops;
    stream->conn = conn;
    stream->id = id;
    stream->is_ours = ngtcp2_conn_is_local_stream2(conn->ngtcp2, id) != 0;
    stream->is_wired = true;
    stream->is_held = true;
    stream->window = pg_quic_window_make(PG_NET_WINDOW_BYTES_MIN, pg_now());
    pg_list_init(&stream->in);
    pg_list_init(&stream->out);
    pg_waitq_init(&stream->readers);
    pg_waitq_init(&stream->writers);
    pg_list_append(&conn->streams, &stream->node);
    *(stream->is_ours ? &conn->streams_out : &conn->streams_in) += 1;
    *out_stream = stream;
    return PG_OK;
}
