// SPDX-License-Identifier: Apache-2.0
#include "net/multistream.h"

#include <string.h>

#include "base/mem.h"
#include "codec/frame.h"
#include "net/limits.h"
#include "runtime/fiber.h"

#define HEADER PG_STR("/multistream/1.0.0")
#define HEADER_BYTES 20 // of its whole message
#define REFUSAL PG_STR("na")

// The length of a message takes one byte or two.
#define MESSAGE_BYTES_MAX (2 + PG_NET_MULTISTREAM_BYTES_MAX)

// ---- Messages

pg_err pg_multistream_encode(pg_str text, pg_buf *out)
{
    if (text.len >= PG_NET_MULTISTREAM_BYTES_MAX) {
        return pg_fail(PG_ERR_LIMIT, "protocol id of %zu characters", text.len);
    }
    uint8_t *body = NULL;
    PG_TRY(pg_frame_extend(out, text.len + 1, &body));
    memcpy(body, text.ptr, text.len);
    body[text.len] = '\n';
    return PG_OK;
}

pg_err pg_multistream_decode(pg_bytes in, pg_str *out_text, size_t *out_len)
{
    pg_bytes body = PG_BYTES_EMPTY;
    size_t len = 0;
    PG_TRY(pg_frame_decode(in, PG_NET_MULTISTREAM_BYTES_MAX, &body, &len));
    if (body.len == 0 || body.ptr[body.len - 1] != '\n') {
        return pg_fail(PG_ERR_MALFORMED, "multistream message does not end in a newline");
    }
    *out_text = pg_str_make_len((const char *) body.ptr, body.len - 1);
    *out_len = len;
    return PG_OK;
}

static pg_time negotiation_deadline(pg_time deadline)
{
    return pg_earlier(deadline, pg_after(PG_MS(PG_NET_NEGOTIATE_TIMEOUT_MS)));
}

/** One message as it is read, to its last byte and no further. */
typedef struct message {
    uint8_t bytes[MESSAGE_BYTES_MAX];
    size_t len; // read so far
    pg_str text;
} message;

// How many bytes are certain to belong to the message, given what has come: 1 before its length is known.
static size_t message_wanted(const message *in)
{
    if (in->len == 0) {
        return 1;
    }
    if ((in->bytes[0] & 0x80) == 0) {
        return (size_t) 1 + in->bytes[0];
    }
    if (in->len == 1) {
        return 2;
    }
    return 2 + ((in->bytes[0] & 0x7fU) | (size_t) in->bytes[1] << 7);
}

static pg_err message_read(pg_stream *stream, message *in, pg_time deadline)
{
    size_t used = 0;
    pg_err err = PG_ERR_TRUNCATED;
    while (err == PG_ERR_TRUNCATED) {
        if (in->len >= 2 && (in->bytes[0] & in->bytes[1] & 0x80) != 0) {
            return pg_fail(PG_ERR_LIMIT, "multistream message of 16 KiB or more");
        }
        size_t wanted = message_wanted(in);
        if (wanted > in->len) {
            // A length beyond the limit was refused by the decoder, so the message fits.
            pg_assert(wanted <= sizeof(in->bytes));
            PG_TRY(pg_stream_read_full(
                stream, (pg_mut_bytes){in->bytes + in->len, wanted - in->len}, deadline));
            in->len = wanted;
        }
        err = pg_multistream_decode(pg_bytes_make(in->bytes, in->len), &in->text, &used);
    }
    return err;
}

// The first message of the other side. Where more is there already, its first byte comes along into *rest.
static pg_err header_read(pg_stream *stream, message *rest, pg_time deadline)
{
    uint8_t bytes[HEADER_BYTES + 1];
    size_t have = 0;
    while (have < HEADER_BYTES) {
        size_t len = 0;
        pg_mut_bytes space = {bytes + have, sizeof(bytes) - have};
        space.len = rest == NULL ? HEADER_BYTES - have : space.len;
        PG_TRY(pg_stream_read(stream, space, deadline, &len));
        if (len == 0) {
            return pg_fail(have == 0 ? PG_ERR_CLOSED : PG_ERR_TRUNCATED,
                           "the peer closed during protocol negotiation");
        }
        have += len;
    }
    pg_str text = PG_STR("");
    size_t used = 0;
    pg_err err = pg_multistream_decode(pg_bytes_make(bytes, HEADER_BYTES), &text, &used);
    if (err != PG_OK || !pg_str_equal(text, HEADER)) {
        return pg_fail(PG_ERR_PROTOCOL, "the peer does not speak multistream-select");
    }
    if (rest != NULL && have > HEADER_BYTES) {
        rest->bytes[0] = bytes[HEADER_BYTES];
        rest->len = 1;
    }
    return PG_OK;
}

// ---- Dialer

static pg_err answer_read(pg_stream *stream, pg_str id, pg_time deadline, bool *out_taken)
{
    message answer = {0};
    PG_TRY(message_read(stream, &answer, deadline));
    *out_taken = pg_str_equal(answer.text, id);
    if (!*out_taken && !pg_str_equal(answer.text, REFUSAL)) {
        return pg_fail(PG_ERR_PROTOCOL, "asked for %.*s, the peer answers %.*s", PG_STR_ARGS(id),
                       PG_STR_ARGS(answer.text));
    }
    return PG_OK;
}

static pg_err proposal_write(pg_stream *stream, pg_str id, bool is_first, pg_time deadline)
{
    pg_buf out = {0};
    pg_err err = is_first ? pg_multistream_encode(HEADER, &out) : PG_OK;
    if (err == PG_OK) {
        err = pg_multistream_encode(id, &out);
    }
    if (err == PG_OK) {
        err = pg_stream_write(stream, pg_buf_bytes(&out), deadline);
    }
    pg_buf_deinit(&out);
    return err;
}

pg_err pg_multistream_dial(pg_stream *stream, const pg_str *ids, size_t id_count, pg_time deadline,
                           size_t *out_chosen)
{
    deadline = negotiation_deadline(deadline);
    for (size_t i = 0; i < id_count; i++) {
        PG_TRY(proposal_write(stream, ids[i], i == 0, deadline));
        if (i == 0) {
            PG_TRY(header_read(stream, NULL, deadline));
        }
        bool is_taken = false;
        PG_TRY(answer_read(stream, ids[i], deadline, &is_taken));
        if (is_taken) {
            *out_chosen = i;
            return PG_OK;
        }
    }
    return pg_fail(PG_ERR_UNSUPPORTED, "the peer does not speak %.*s%s", PG_STR_ARGS(ids[0]),
                   id_count > 1 ? " or what else was proposed" : "");
}

// ---- Listener

static bool id_find(const pg_str *ids, size_t id_count, pg_str id, size_t *out_index)
{
    for (size_t i = 0; i < id_count; i++) {
        if (pg_str_equal(ids[i], id)) {
            *out_index = i;
            return true;
        }
    }
    return false;
}

pg_err pg_multistream_listen(pg_stream *stream, const pg_str *ids, size_t id_count,
                             pg_time deadline, size_t *out_chosen)
{
    deadline = negotiation_deadline(deadline);
    message proposal = {0};
    PG_TRY(header_read(stream, &proposal, deadline));
    // The header of ours waits for the first answer, unless the dialer waits for the header.
    bool is_first = proposal.len > 0;
    if (!is_first) {
        pg_buf out = {0};
        pg_err err = pg_multistream_encode(HEADER, &out);
        if (err == PG_OK) {
            err = pg_stream_write(stream, pg_buf_bytes(&out), deadline);
        }
        pg_buf_deinit(&out);
        PG_TRY(err);
    }
    for (size_t i = 0; i < PG_NET_MULTISTREAM_PROPOSALS_MAX; i++) {
        pg_err err = message_read(stream, &proposal, deadline);
        if (i > 0 && proposal.len == 0 && (err == PG_ERR_CLOSED || err == PG_ERR_RESET)) {
            return pg_fail(PG_ERR_UNSUPPORTED, "the peer proposed nothing we speak, and left");
        }
        PG_TRY(err);
        size_t index = 0;
        bool is_known = id_find(ids, id_count, proposal.text, &index);
        PG_TRY(proposal_write(stream, is_known ? ids[index] : REFUSAL, is_first, deadline));
        if (is_known) {
            *out_chosen = index;
            return PG_OK;
        }
        is_first = false;
        proposal.len = 0;
    }
    return pg_fail(PG_ERR_UNSUPPORTED, "the peer made %u proposals, none of which we speak",
                   PG_NET_MULTISTREAM_PROPOSALS_MAX);
}

// ---- Dialer that does not wait

typedef enum lazy_sent {
    LAZY_SENT_NO,
    LAZY_SENT_UNDER_WAY, // by one fiber; the other waits
    LAZY_SENT_YES,
} lazy_sent;

typedef struct lazy {
    pg_stream base;
    pg_stream *inner;
    lazy_sent sent;
    pg_waitq sending;
    bool is_answered;
    pg_err answer_err; // what the answer was, for later reads
    pg_buf proposal;   // header and id as sent
    pg_str id;         // in it
} lazy;

static lazy *lazy_of(pg_stream *base)
{
    return PG_LIST_OBJECT(base, lazy, base);
}

#define LAZY_PARTS_MAX 8

// Send the proposal, if nobody did, with as many parts behind it as fit into one call; *out_done is how many.
static pg_err lazy_send(lazy *stream, const pg_bytes *parts, size_t part_count, pg_time deadline,
                        size_t *out_done)
{
    while (stream->sent == LAZY_SENT_UNDER_WAY) {
        PG_TRY(pg_waitq_wait(&stream->sending, deadline));
    }
    *out_done = 0;
    if (stream->sent == LAZY_SENT_YES) {
        return PG_OK;
    }
    pg_bytes all[1 + LAZY_PARTS_MAX] = {pg_buf_bytes(&stream->proposal)};
    size_t taken = pg_min_size(part_count, LAZY_PARTS_MAX);
    for (size_t i = 0; i < taken; i++) {
        all[1 + i] = parts[i];
    }
    stream->sent = LAZY_SENT_UNDER_WAY;
    pg_err err = pg_stream_writev(stream->inner, all, 1 + taken, deadline);
    stream->sent = LAZY_SENT_YES; // after a failure the stream is broken anyway
    pg_waitq_wake_all(&stream->sending);
    *out_done = taken;
    return err;
}

static pg_err lazy_read_answer(lazy *stream, pg_time deadline)
{
    bool is_taken = false;
    PG_TRY(header_read(stream->inner, NULL, deadline));
    PG_TRY(answer_read(stream->inner, stream->id, deadline, &is_taken));
    if (!is_taken) {
        return pg_fail(PG_ERR_UNSUPPORTED, "the peer does not speak %.*s", PG_STR_ARGS(stream->id));
    }
    return PG_OK;
}

static pg_err lazy_read(pg_stream *base, pg_mut_bytes space, pg_time deadline, size_t *out_len)
{
    lazy *stream = lazy_of(base);
    if (!stream->is_answered) {
        size_t done = 0;
        pg_time soon = negotiation_deadline(deadline);
        PG_TRY(lazy_send(stream, NULL, 0, soon, &done));
        stream->answer_err = lazy_read_answer(stream, soon);
        stream->is_answered = true;
        PG_TRY(stream->answer_err);
    }
    if (stream->answer_err != PG_OK) {
        return pg_fail(stream->answer_err, "negotiation of %.*s failed", PG_STR_ARGS(stream->id));
    }
    return pg_stream_read(stream->inner, space, deadline, out_len);
}

static pg_err lazy_write(pg_stream *base, const pg_bytes *parts, size_t part_count,
                         pg_time deadline)
{
    lazy *stream = lazy_of(base);
    size_t done = 0;
    PG_TRY(lazy_send(stream, parts, part_count, deadline, &done));
    if (done == part_count) {
        return PG_OK;
    }
    return pg_stream_writev(stream->inner, parts + done, part_count - done, deadline);
}

static pg_err lazy_close_write(pg_stream *base, pg_time deadline)
{
    lazy *stream = lazy_of(base);
    size_t done = 0;
    PG_TRY(lazy_send(stream, NULL, 0, deadline, &done));
    return pg_stream_close_write(stream->inner, deadline);
}

static void lazy_reset(pg_stream *base)
{
    pg_stream_reset(lazy_of(base)->inner);
}

static void lazy_free(pg_stream *base)
{
    lazy *stream = lazy_of(base);
    pg_stream_free(&stream->inner);
    pg_buf_deinit(&stream->proposal);
    pg_mfree(stream);
}

static const pg_stream_ops lazy_ops = {
    .read = lazy_read,
    .write = lazy_write,
    .close_write = lazy_close_write,
    .reset = lazy_reset,
    .free = lazy_free,
};

pg_err pg_multistream_dial_lazy(pg_stream **stream, pg_str id, pg_stream **out_stream)
{
    lazy *made = PG_NEW(lazy);
    if (made == NULL) {
        return pg_fail(PG_ERR_NOMEM, "no memory for a negotiation");
    }
    made->base.ops = &lazy_ops;
    pg_waitq_init(&made->sending);
    pg_err err = pg_multistream_encode(HEADER, &made->proposal);
    if (err == PG_OK) {
        err = pg_multistream_encode(id, &made->proposal);
    }
    if (err != PG_OK) {
        pg_buf_deinit(&made->proposal);
        pg_mfree(made);
        return err;
    }
    size_t end = made->proposal.len - 1; // its newline
    made->id = pg_str_make_len((const char *) made->proposal.ptr + end - id.len, id.len);
    made->inner = *stream;
    *stream = NULL;
    *out_stream = &made->base;
    return PG_OK;
}
