// SPDX-License-Identifier: Apache-2.0
// The streams of peers. A stream holds a window of a few KiB while a message comes, so that no message has to fit into memory; large
// blocks go into buffers of their own, but only while something is wanted of the peer, and are hashed on the pool while the next one
// comes. What is not wanted is taken off the stream and thrown away.
#include <string.h>

#include "base/mem.h"
#include "codec/varint.h"
#include "exchange/bitswap_priv.h"
#include "runtime/offload.h"

#define WANTS_IN_A_ROW 256

/** A large block that has come, on its way to who waits for it. */
typedef struct block_job {
    pg_bitswap_peer *peer;
    pg_bitswap_prefix prefix;
    pg_buf data;
    pg_cid cid;
} block_job;

static pg_time idle_deadline(void)
{
    return pg_after(PG_MS(PG_BITSWAP_IDLE_MS));
}

// ---- The window

static pg_bytes window_bytes(const pg_bitswap_inbound *in)
{
    return pg_bytes_make(in->window == NULL ? NULL : in->window + in->begin, in->end - in->begin);
}

static pg_err window_check(const pg_bitswap_inbound *in)
{
    return in->bitswap->is_closing ? pg_fail(PG_ERR_CLOSED, "the exchange of blocks ends") : PG_OK;
}

// Wait for the first bytes of a message, without a window. *out_len 0: the stream has ended.
static pg_err window_begin(pg_bitswap_inbound *in, size_t *out_len)
{
    uint8_t first[16];
    pg_mfree(in->window);
    in->window = NULL;
    in->begin = 0;
    in->end = 0;
    pg_time deadline = pg_after(PG_MS(PG_BITSWAP_STREAM_QUIET_MS));
    PG_TRY(pg_stream_read(in->stream, PG_MUT_BYTES_OF(first), deadline, out_len));
    PG_TRY(window_check(in));
    in->window = pg_malloc(PG_BITSWAP_WINDOW_BYTES);
    if (in->window == NULL) {
        return PG_ERR_NOMEM;
    }
    memcpy(in->window, first, *out_len);
    in->end = *out_len;
    return PG_OK;
}

// Take more of the message under way.
static pg_err window_fill(pg_bitswap_inbound *in)
{
    memmove(in->window, in->window + in->begin, in->end - in->begin);
    in->end -= in->begin;
    in->begin = 0;
    size_t len = 0;
    pg_assert(in->end < PG_BITSWAP_WINDOW_BYTES);
    PG_TRY(pg_stream_read(in->stream,
                          (pg_mut_bytes){in->window + in->end, PG_BITSWAP_WINDOW_BYTES - in->end},
                          idle_deadline(), &len));
    PG_TRY(window_check(in));
    if (len == 0) {
        return pg_fail(PG_ERR_TRUNCATED, "the stream ends inside a message");
    }
    in->end += len;
    return PG_OK;
}

static pg_err discard(pg_bitswap_inbound *in, size_t len)
{
    for (;;) {
        size_t here = pg_min_size(len, in->end - in->begin);
        in->begin += here;
        len -= here;
        if (len == 0) {
            return PG_OK;
        }
        PG_TRY(window_fill(in));
    }
}

// ---- Blocks

// What a peer sends while nothing is wanted is counted, and at last an offence: as many blocks may be late as are remembered.
static void unasked_note(pg_bitswap_peer *peer)
{
    peer->bitswap->stats.blocks_refused++;
    peer->unasked++;
    if (peer->unasked > pg_map_count(&peer->asks)) {
        peer->faults++;
    }
}

static bool is_anything_asked(const pg_bitswap_peer *peer)
{
    return pg_bitswap_has_asks(peer, PG_BITSWAP_ASK_STATE_SENT) ||
           pg_bitswap_has_asks(peer, PG_BITSWAP_ASK_STATE_QUEUED);
}

static pg_err faults_check(const pg_bitswap_peer *peer)
{
    return peer->faults <= PG_BITSWAP_FAULTS_MAX
               ? PG_OK
               : pg_fail(PG_ERR_PROTOCOL, "%u blocks that nobody asked for", peer->faults);
}

static void block_arrived(pg_bitswap_peer *peer, const pg_cid *cid, pg_buf *data)
{
    pg_bitswap_ask_on_block(peer, cid, data);
    pg_bitswap_spare_give(peer->bitswap, data);
    pg_bitswap_spares_trim(peer->bitswap);
}

static pg_err block_take(pg_bitswap_peer *peer, const pg_bitswap_part *part)
{
    pg_buf data = {0};
    pg_cid cid;
    if (!is_anything_asked(peer)) {
        unasked_note(peer);
        return faults_check(peer);
    }
    PG_TRY(pg_buf_append(&data, part->data));
    pg_err err = pg_bitswap_prefix_cid(&part->prefix, part->data, &cid);
    block_arrived(peer, err == PG_OK ? &cid : NULL, &data);
    return faults_check(peer);
}

static pg_err block_hash(void *arg)
{
    block_job *job = arg;
    return pg_bitswap_prefix_cid(&job->prefix, pg_buf_bytes(&job->data), &job->cid);
}

static void receiving_end(pg_bitswap_peer *peer)
{
    peer->receiving--;
    pg_waitq_wake_one(&peer->received);
}

static pg_err block_run(void *arg)
{
    block_job *job = arg;
    pg_bitswap_peer *peer = job->peer;
    pg_err err = pg_offload(block_hash, job);
    block_arrived(peer, err == PG_OK ? &job->cid : NULL, &job->data);
    pg_mfree(job);
    receiving_end(peer);
    pg_bitswap_peer_unuse(peer);
    return PG_OK;
}

// Read the `len` bytes of a large block, of which the window may have the first. The stream is given all the space that is left, so
// that it need not keep what has come, but has to bring a piece in time.
static pg_err block_read(pg_bitswap_inbound *in, size_t len, pg_buf *data)
{
    uint8_t *space = NULL;
    PG_TRY(pg_buf_extend(data, len, &space));
    size_t at = pg_min_size(len, in->end - in->begin);
    memcpy(space, in->window + in->begin, at);
    in->begin += at;
    pg_time deadline = idle_deadline();
    for (size_t piece_end = at + PG_BITSWAP_PIECE_BYTES; at < len;) {
        size_t got = 0;
        PG_TRY(pg_stream_read(in->stream, (pg_mut_bytes){space + at, len - at}, deadline, &got));
        if (got == 0) {
            return pg_fail(PG_ERR_TRUNCATED, "the stream ends inside a block");
        }
        at += got;
        if (at >= piece_end) {
            piece_end = at + PG_BITSWAP_PIECE_BYTES;
            deadline = idle_deadline();
        }
    }
    return window_check(in);
}

// Read a large block and give it to a fiber that hashes it. Few are on their way at once.
static pg_err block_receive(pg_bitswap_inbound *in, const pg_bitswap_part *part)
{
    pg_bitswap_peer *peer = in->peer;
    while (peer->receiving >= PG_BITSWAP_VERIFY_MAX) {
        PG_TRY(pg_waitq_wait(&peer->received, idle_deadline()));
        PG_TRY(window_check(in));
    }
    block_job *job = PG_NEW(block_job);
    if (job == NULL) {
        return PG_ERR_NOMEM;
    }
    job->peer = peer;
    job->prefix = part->prefix;
    job->data = pg_bitswap_spare_take(in->bitswap, part->follow);
    peer->receiving++;
    pg_err err = block_read(in, part->follow, &job->data);
    if (err == PG_OK) {
        err = pg_scope_spawn(&in->bitswap->scope, "exchange.verify", block_run, job);
    }
    if (err != PG_OK) {
        receiving_end(peer);
        pg_bitswap_spare_give(in->bitswap, &job->data);
        pg_mfree(job);
        return err;
    }
    peer->users++;
    return PG_OK;
}

static pg_err block_head_take(pg_bitswap_inbound *in, const pg_bitswap_part *part)
{
    if (is_anything_asked(in->peer)) {
        PG_TRY(block_receive(in, part));
    } else {
        unasked_note(in->peer);
        PG_TRY(discard(in, part->follow));
    }
    return faults_check(in->peer);
}

// ---- Messages

// A want of the peer. Others run now and then, so that one peer's flood is not all we do.
static pg_err want_take(pg_bitswap_inbound *in, const pg_bitswap_want *want, uint32_t round)
{
    in->wants++;
    if (in->wants % WANTS_IN_A_ROW == 0) {
        PG_TRY(pg_fiber_yield());
    }
    if (!want->is_cancel) {
        PG_TRY(pg_bitswap_serve_room(in->peer));
    }
    PG_TRY(window_check(in));
    pg_bitswap_serve_want(in->peer, want, round);
    return PG_OK;
}

// Take the next part, whose views show the window.
static pg_err part_take(pg_bitswap_inbound *in, const pg_bitswap_part *part, uint32_t round)
{
    pg_bitswap_peer *peer = in->peer;
    in->begin += part->used; // what the views show stays until the window is filled
    switch (part->kind) {
    case PG_BITSWAP_PART_WANT:
        return want_take(in, &part->want, round);
    case PG_BITSWAP_PART_WANTS_END:
        if (part->is_full) {
            pg_bitswap_serve_full(peer, round);
        }
        pg_bitswap_serve_pump(peer);
        return PG_OK;
    case PG_BITSWAP_PART_PRESENCE:
        pg_bitswap_ask_on_presence(peer, part->cid, part->has);
        return PG_OK;
    case PG_BITSWAP_PART_BLOCK:
        return block_take(peer, part);
    case PG_BITSWAP_PART_BLOCK_HEAD:
        return block_head_take(in, part);
    case PG_BITSWAP_PART_NOTHING:
        return discard(in, part->follow);
    case PG_BITSWAP_PART_END:
        return PG_OK;
    }
    return PG_ERR_BUG;
}

static pg_err message_take(pg_bitswap_inbound *in, size_t len)
{
    pg_bitswap_msg_reader reader = pg_bitswap_msg_reader_make(len);
    pg_bitswap_part part = {.kind = PG_BITSWAP_PART_NOTHING};
    uint32_t round = ++in->peer->round;
    while (part.kind != PG_BITSWAP_PART_END) {
        pg_err err = pg_bitswap_part_decode(&reader, window_bytes(in), &part);
        if (err == PG_OK) {
            err = part_take(in, &part, round);
        } else if (err == PG_ERR_TRUNCATED) {
            err = window_fill(in);
        }
        PG_TRY(err);
    }
    return PG_OK;
}

// Read the length of the next message. *out_more false: the stream has ended, or nothing came for long.
static pg_err length_read(pg_bitswap_inbound *in, size_t *out_len, bool *out_more)
{
    *out_more = true;
    if (in->begin == in->end) {
        size_t got = 0;
        pg_err err = window_begin(in, &got);
        *out_more = err == PG_OK && got > 0;
        if (!*out_more) {
            return err == PG_ERR_TIMEOUT ? PG_OK : err;
        }
    }
    for (;;) {
        uint64_t len = 0;
        size_t used = 0;
        pg_err err = pg_uvarint_decode(window_bytes(in), &len, &used);
        if (err == PG_ERR_TRUNCATED) {
            PG_TRY(window_fill(in));
            continue;
        }
        PG_TRY(err);
        if (len > PG_BITSWAP_MESSAGE_BYTES_MAX) {
            return pg_fail(PG_ERR_LIMIT, "a message of %llu bytes, at most %u",
                           (unsigned long long) len, PG_BITSWAP_MESSAGE_BYTES_MAX);
        }
        in->begin += used;
        *out_len = (size_t) len;
        return PG_OK;
    }
}

static pg_err messages_take(pg_bitswap_inbound *in)
{
    for (;;) {
        size_t len = 0;
        bool has_more = false;
        PG_TRY(length_read(in, &len, &has_more));
        if (!has_more) {
            return PG_OK;
        }
        PG_TRY(message_take(in, len));
    }
}

pg_err pg_bitswap_recv_stream(pg_net_stream_ctx *ctx)
{
    pg_bitswap *bitswap = ctx->user;
    pg_bitswap_inbound in = {.bitswap = bitswap, .stream = ctx->stream};
    PG_TRY(window_check(&in));
    PG_TRY(pg_bitswap_peer_use(bitswap, ctx->peer, &in.peer));
    pg_err err = messages_take(&in);
    if (pg_host_is_connected(bitswap->host, &in.peer->id)) {
        pg_bitswap_serve_pump(in.peer);
    } else {
        pg_bitswap_serve_clear(in.peer); // what was still read after the end of the connection
    }
    pg_mfree(in.window);
    pg_bitswap_peer_unuse(in.peer);
    return err;
}
