// SPDX-License-Identifier: Apache-2.0
// The writer of a peer: one fiber, one stream of ours, all messages in order. It opens the stream when there is something to send, and
// closes it when there was nothing for a while. A stream may be reset by a peer that has no use for an idle one: what went into
// the void is sent once more on a new one.
#include "base/log.h"
#include "base/mem.h"
#include "codec/varint.h"
#include "exchange/bitswap_priv.h"
#include "net/limits.h"

static const char *const protocol_ids[] = {PG_BITSWAP_ID, NULL};

/** A message being sent. */
typedef struct message {
    pg_buf head;                // all of it, but the data of the block at its end
    pg_bitswap_outgoing *block; // NULL = none
    uint32_t epoch;             // of the peer when it was gathered
    uint64_t blocks;
    uint64_t block_bytes;
} message;

static bool has_output(const pg_bitswap_peer *peer)
{
    return pg_bitswap_has_asks(peer, PG_BITSWAP_ASK_STATE_QUEUED) ||
           pg_bitswap_has_asks(peer, PG_BITSWAP_ASK_STATE_CANCELLING) ||
           !pg_list_is_empty(&peer->answers) || !pg_list_is_empty(&peer->ready);
}

// ---- The stream

// Nothing is expected on it: this is how we hear that it was reset, or that the peer has taken the last of it.
static pg_err stream_listen(void *arg)
{
    pg_bitswap_peer *peer = arg;
    uint8_t waste[64];
    size_t len = 1;
    pg_err err = PG_OK;
    while (err == PG_OK && len > 0) {
        err = pg_stream_read(peer->stream, PG_MUT_BYTES_OF(waste), PG_FOREVER, &len);
    }
    peer->stream_is_lost = err != PG_OK;
    peer->stream_has_ended = true;
    pg_waitq_wake_all(&peer->work);
    return PG_OK;
}

static pg_err stream_open(pg_bitswap_peer *peer)
{
    pg_host *host = peer->bitswap->host;
    if (!pg_bitswap_has_asks(peer, PG_BITSWAP_ASK_STATE_QUEUED) &&
        !pg_host_is_connected(host, &peer->id)) {
        return pg_fail(PG_ERR_CLOSED, "the peer has left");
    }
    pg_stream *stream = NULL;
    peer->stream_conn = pg_host_conn_best(host, &peer->id);
    // On a slow line the peer's answer waits behind the blocks it sends: no reason to give those up.
    PG_TRY(pg_host_open_stream(host, &peer->id, protocol_ids,
                               pg_after(PG_MS(PG_NET_NEGOTIATE_TIMEOUT_MS)), &stream, NULL));
    peer->stream = stream;
    if (peer->stream_conn == 0) { // it was made just now
        peer->stream_conn = pg_host_conn_best(host, &peer->id);
    }
    peer->stream_is_lost = false;
    peer->stream_has_ended = false;
    pg_scope_init_tolerant(&peer->stream_scope);
    pg_err err = pg_scope_spawn(&peer->stream_scope, "exchange.listen", stream_listen, peer);
    if (err != PG_OK) {
        pg_stream_free(&peer->stream);
    }
    return err;
}

static void stream_drop(pg_bitswap_peer *peer)
{
    if (peer->stream == NULL) {
        return;
    }
    pg_stream_reset(peer->stream);
    pg_scope_close(&peer->stream_scope);
    pg_stream_free(&peer->stream);
    peer->stream_is_lost = false;
}

// End the stream in good order: a reset might overtake what we wrote. Other work ends the wait.
static void stream_close(pg_bitswap_peer *peer)
{
    pg_time deadline = pg_after(PG_MS(PG_NET_LINGER_MS));
    if (peer->stream != NULL && !peer->stream_is_lost &&
        pg_stream_close_write(peer->stream, deadline) == PG_OK) {
        while (!peer->stream_has_ended && !has_output(peer)) {
            if (pg_waitq_wait(&peer->work, deadline) != PG_OK) {
                break;
            }
        }
    }
    stream_drop(peer);
}

static pg_err linger_run(void *arg)
{
    pg_stream *stream = arg;
    pg_time deadline = pg_after(PG_MS(PG_NET_LINGER_MS));
    uint8_t waste[64];
    size_t len = 1;
    pg_err err = pg_stream_close_write(stream, deadline);
    while (err == PG_OK && len > 0) {
        err = pg_stream_read(stream, PG_MUT_BYTES_OF(waste), deadline, &len);
    }
    pg_stream_free(&stream);
    return err == PG_ERR_CANCELLED ? err : PG_OK;
}

// The peer has a newer connection: the one of the stream may lead to a former life of it. What is on its way there may still arrive; what we
// asked for there is asked for again.
static void stream_leave(pg_bitswap_peer *peer)
{
    pg_scope_close(&peer->stream_scope);
    pg_stream *old = peer->stream;
    peer->stream = NULL;
    peer->stream_is_lost = false;
    if (pg_scope_spawn(&peer->bitswap->scope, "exchange.linger", linger_run, old) != PG_OK) {
        pg_stream_free(&old);
    }
    pg_bitswap_ask_resend(peer, peer->message + 1);
}

// ---- Gathering a message. Nothing here parks.

static pg_err gather_answers(pg_bitswap_peer *peer, message *out)
{
    while (!pg_list_is_empty(&peer->answers) && out->head.len < PG_BITSWAP_BATCH_BYTES_MAX) {
        pg_bitswap_held *held = PG_LIST_OBJECT(peer->answers.next, pg_bitswap_held, node);
        PG_TRY(pg_bitswap_presence_encode(pg_bytes_make(held->raw, held->raw_len), held->has,
                                          &out->head));
        pg_bitswap_serve_answered(held);
    }
    return PG_OK;
}

// Small blocks are copied; the first large one ends the message.
static pg_err gather_blocks(pg_bitswap_peer *peer, message *out)
{
    while (!pg_list_is_empty(&peer->ready) && out->head.len < PG_BITSWAP_BATCH_BYTES_MAX) {
        pg_bitswap_outgoing *block = PG_LIST_OBJECT(peer->ready.next, pg_bitswap_outgoing, node);
        pg_bytes data = pg_buf_bytes(&block->data);
        bool is_large = data.len > PG_BITSWAP_COPY_BYTES_MAX;
        PG_TRY(pg_bitswap_block_encode(&block->cid, data.len, &out->head));
        if (!is_large) {
            PG_TRY(pg_buf_append(&out->head, data));
        }
        out->blocks++;
        out->block_bytes += data.len;
        pg_list_remove(&block->node);
        peer->ready_count--;
        if (is_large) {
            out->block = block;
            return PG_OK;
        }
        pg_bitswap_serve_release(peer, block);
    }
    return PG_OK;
}

static pg_err gather(pg_bitswap_peer *peer, message *out)
{
    pg_buf entries = {0};
    out->epoch = peer->epoch;
    peer->message++;
    pg_err err = pg_bitswap_ask_gather(peer, PG_BITSWAP_BATCH_BYTES_MAX, &entries);
    if (err == PG_OK && entries.len > 0) {
        err = pg_bitswap_wantlist_encode(pg_buf_bytes(&entries), false, &out->head);
    }
    pg_buf_deinit(&entries);
    if (err == PG_OK) {
        err = gather_answers(peer, out);
    }
    return err == PG_OK ? gather_blocks(peer, out) : err;
}

// ---- Sending it

// Piece by piece, so that a peer has to take some of it now and then, not all of it at once.
static pg_err message_write(pg_stream *stream, const message *out)
{
    uint8_t space[PG_UVARINT_BYTES_MAX];
    pg_writer prefix = pg_writer_make(PG_MUT_BYTES_OF(space));
    pg_bytes data = out->block == NULL ? PG_BYTES_EMPTY : pg_buf_bytes(&out->block->data);
    pg_writer_uvarint(&prefix, out->head.len + data.len);
    const pg_bytes parts[] = {pg_writer_bytes(&prefix), pg_buf_bytes(&out->head),
                              pg_bytes_slice(data, 0, PG_BITSWAP_PIECE_BYTES)};
    PG_TRY(
        pg_stream_writev(stream, parts, PG_ARRAY_LEN(parts), pg_after(PG_MS(PG_BITSWAP_IDLE_MS))));
    for (size_t at = PG_BITSWAP_PIECE_BYTES; at < data.len; at += PG_BITSWAP_PIECE_BYTES) {
        PG_TRY(pg_stream_write(stream, pg_bytes_slice(data, at, PG_BITSWAP_PIECE_BYTES),
                               pg_after(PG_MS(PG_BITSWAP_IDLE_MS))));
    }
    return PG_OK;
}

// On the stream that is open; where it broke, once more on a new one.
static pg_err message_send(pg_bitswap_peer *peer, const message *out, bool is_new)
{
    pg_err err = message_write(peer->stream, out);
    if (err == PG_OK) {
        return PG_OK;
    }
    stream_drop(peer);
    if (peer->epoch != out->epoch) {
        return PG_OK; // the peer has left, and what it wanted is forgotten
    }
    if (is_new || err == PG_ERR_TIMEOUT || peer->is_given_up || peer->bitswap->is_closing) {
        return err;
    }
    pg_bitswap_ask_resend(peer, peer->message);
    PG_TRY(stream_open(peer));
    return message_write(peer->stream, out);
}

// The stream is opened first: what is gathered counts as sent, and fails with the connection.
static pg_err message_next(pg_bitswap_peer *peer)
{
    message out = {0};
    if (peer->stream != NULL &&
        pg_host_conn_best(peer->bitswap->host, &peer->id) != peer->stream_conn) {
        stream_leave(peer);
    }
    bool is_new = peer->stream == NULL;
    if (is_new) {
        PG_TRY(stream_open(peer));
    }
    peer->write_since = pg_now();
    pg_err err = gather(peer, &out);
    if (err == PG_OK && out.head.len > 0) {
        err = message_send(peer, &out, is_new);
    }
    peer->write_since = 0;
    pg_bitswap_stats *stats = &peer->bitswap->stats;
    if (err == PG_OK) {
        stats->blocks_sent += out.blocks;
        stats->bytes_sent += out.block_bytes;
        stats->wants_served += out.blocks;
    }
    if (out.block != NULL) {
        pg_bitswap_serve_release(peer, out.block);
    }
    pg_buf_deinit(&out.head);
    return err;
}

// ---- The fiber

// Wait for work. *out_idle: there was none for long. Answers that are awaited come without this stream.
static pg_err work_wait(pg_bitswap_peer *peer, bool *out_idle)
{
    pg_err err = pg_waitq_wait(&peer->work, pg_after(PG_MS(PG_BITSWAP_STREAM_IDLE_MS)));
    *out_idle = err == PG_ERR_TIMEOUT && !has_output(peer) && !peer->stream_is_lost;
    return err == PG_ERR_TIMEOUT ? PG_OK : err;
}

static pg_err writer_loop(pg_bitswap_peer *peer)
{
    bool is_idle = false;
    while (!is_idle) {
        if (peer->bitswap->is_closing) {
            return PG_ERR_CLOSED;
        }
        if (peer->is_given_up) {
            return pg_fail(PG_ERR_TIMEOUT, "the peer takes what it wants too slowly");
        }
        if (peer->stream_is_lost) {
            stream_drop(peer);
            pg_bitswap_ask_resend(peer, peer->message + 1);
        }
        if (has_output(peer)) {
            PG_TRY(message_next(peer));
        } else {
            PG_TRY(work_wait(peer, &is_idle));
        }
    }
    stream_close(peer);
    return PG_OK;
}

static pg_err writer_run(void *arg)
{
    pg_bitswap_peer *peer = arg;
    pg_err err = writer_loop(peer);
    stream_drop(peer);
    peer->writer_runs = false;
    peer->is_given_up = false;
    if (err != PG_OK) {
        char detail[PG_BITSWAP_DETAIL_BYTES];
        pg_bitswap_detail_copy(pg_error_detail(err), detail);
        pg_log(PG_LOG_LEVEL_DEBUG, "exchange.bitswap.gave_up",
               PG_LOG_STR("error", pg_err_name(err)), PG_LOG_STR("detail", detail));
        pg_bitswap_serve_clear(peer);
        pg_bitswap_ask_fail(peer, true, err, detail);
    } else if (has_output(peer)) {
        pg_bitswap_send_kick(peer);
    }
    pg_bitswap_peer_unuse(peer);
    return PG_OK;
}

void pg_bitswap_send_kick(pg_bitswap_peer *peer)
{
    if (peer->writer_runs) {
        pg_waitq_wake_all(&peer->work);
        return;
    }
    if (peer->bitswap->is_closing) {
        return;
    }
    pg_err err = pg_scope_spawn(&peer->bitswap->scope, "exchange.writer", writer_run, peer);
    if (err == PG_OK) {
        peer->writer_runs = true;
        peer->users++;
    }
}
