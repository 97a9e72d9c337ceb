// SPDX-License-Identifier: Apache-2.0
#include <string.h>

#include "base/list.h"
#include "base/mem.h"
#include "net/noise_conn.h"

#define LENGTH_BYTES 2 // in front of each frame
#define FRAME_BYTES_MAX (LENGTH_BYTES + PG_NOISE_MESSAGE_BYTES_MAX)

// Frames are taken from the carrier, and given to it, four full ones at a time. A stream begins with a small buffer; one whose
// reader waited in vain has room for a ping alone.
#define BATCH_FRAMES 4
#define BUFFER_BYTES_IDLE 64
#define BUFFER_BYTES_MIN 2048
#define BUFFER_BYTES_MAX (BATCH_FRAMES * FRAME_BYTES_MAX)

typedef struct noise_stream {
    pg_stream base;
    pg_stream *raw;

    pg_noise_cipher receive;
    pg_buf in; // in.len bytes have come, of which in_begin are done with
    size_t in_begin;
    size_t in_wanted;  // how large `in` should be
    pg_mut_bytes left; // plaintext in `in` that did not fit the reader's space
    pg_err read_err;   // a frame was bad: nothing more is read

    pg_noise_cipher send;
    pg_buf out;
    bool is_writing;
} noise_stream;

static noise_stream *noise_of(pg_stream *base)
{
    return PG_LIST_OBJECT(base, noise_stream, base);
}

// ---- Reading

// The ciphertext of the next frame, if all of it is here.
static bool frame_next(const noise_stream *stream, pg_mut_bytes *out_frame)
{
    pg_reader reader = pg_reader_make(
        pg_bytes_make(stream->in.ptr + stream->in_begin, stream->in.len - stream->in_begin));
    size_t len = pg_reader_u16be(&reader);
    if (reader.failed || reader.rest.len < len) {
        return false;
    }
    *out_frame = (pg_mut_bytes){stream->in.ptr + stream->in_begin + LENGTH_BYTES, len};
    return true;
}

static size_t left_take(noise_stream *stream, pg_mut_bytes space)
{
    size_t len = pg_min_size(space.len, stream->left.len);
    memcpy(space.ptr, stream->left.ptr, len);
    stream->left.ptr += len;
    stream->left.len -= len;
    return len;
}

// Decrypt one frame: straight into `space` where it fits, else in place.
static pg_err frame_open(noise_stream *stream, pg_mut_bytes frame, pg_mut_bytes space,
                         size_t *out_len)
{
    if (frame.len < PG_AEAD_TAG_BYTES) {
        return pg_fail(PG_ERR_MALFORMED, "Noise frame of %zu bytes", frame.len);
    }
    size_t plain_len = frame.len - PG_AEAD_TAG_BYTES;
    bool fits = plain_len <= space.len;
    uint8_t *plain = fits ? space.ptr : frame.ptr;
    PG_TRY(pg_noise_decrypt(&stream->receive, pg_bytes_const(frame), plain));
    stream->in_begin += LENGTH_BYTES + frame.len;
    if (fits) {
        *out_len = plain_len;
    } else {
        stream->left = (pg_mut_bytes){plain, plain_len};
        *out_len = left_take(stream, space);
    }
    return PG_OK;
}

// Decrypt as many whole frames as `space` takes; one that does not fit begins only an empty space.
static size_t frames_open(noise_stream *stream, pg_mut_bytes space)
{
    size_t done = 0;
    pg_mut_bytes frame = {NULL, 0};
    while (stream->left.len == 0 && stream->read_err == PG_OK && frame_next(stream, &frame)) {
        pg_mut_bytes rest = {space.ptr + done, space.len - done};
        if (done > 0 && frame.len > rest.len + PG_AEAD_TAG_BYTES) {
            break;
        }
        size_t len = 0;
        stream->read_err = frame_open(stream, frame, rest, &len);
        done += len;
    }
    return done;
}

// Make room in `in` for the frame begun, or for a whole batch.
static pg_err in_prepare(noise_stream *stream)
{
    size_t rest = stream->in.len - stream->in_begin;
    pg_buf_consume(&stream->in, stream->in_begin);
    stream->in_begin = 0;
    size_t wanted = stream->in_wanted;
    if (rest >= LENGTH_BYTES) {
        size_t frame_len = LENGTH_BYTES + ((size_t) stream->in.ptr[0] << 8 | stream->in.ptr[1]);
        wanted = pg_max_size(wanted, frame_len);
    }
    return wanted > stream->in.cap ? pg_buf_reserve(&stream->in, wanted - rest) : PG_OK;
}

static void noise_shrink(noise_stream *stream)
{
    stream->in_wanted = BUFFER_BYTES_IDLE;
    if (stream->in.len == 0) {
        pg_buf_deinit(&stream->in);
    }
    if (!stream->is_writing) {
        pg_buf_deinit(&stream->out);
    }
}

// Take more from the carrier. *out_more false: it has ended, in order.
static pg_err in_fill(noise_stream *stream, pg_time deadline, bool *out_more)
{
    PG_TRY(in_prepare(stream));
    pg_mut_bytes space = {stream->in.ptr + stream->in.len, stream->in.cap - stream->in.len};
    size_t len = 0;
    pg_err err = pg_stream_read(stream->raw, space, deadline, &len);
    if (err == PG_ERR_TIMEOUT) {
        noise_shrink(stream);
    }
    PG_TRY(err);
    if (len == 0 && stream->in.len > 0) {
        return pg_fail(PG_ERR_TRUNCATED, "the peer closed within a Noise frame");
    }
    if (len > 0 && len == space.len) {
        stream->in_wanted = pg_min_size(stream->in.cap * 4, BUFFER_BYTES_MAX);
    }
    stream->in.len += len;
    *out_more = len > 0;
    return PG_OK;
}

static pg_err noise_read(pg_stream *base, pg_mut_bytes space, pg_time deadline, size_t *out_len)
{
    noise_stream *stream = noise_of(base);
    if (stream->left.len > 0) {
        *out_len = left_take(stream, space);
        return PG_OK;
    }
    bool has_more = true;
    while (has_more) {
        size_t len = frames_open(stream, space);
        if (len > 0) {
            *out_len = len;
            return PG_OK;
        }
        if (stream->read_err != PG_OK) {
            return pg_fail(stream->read_err, "a Noise frame is not authentic");
        }
        PG_TRY(in_fill(stream, deadline, &has_more));
    }
    *out_len = 0;
    return PG_OK;
}

// ---- Writing

/** A place in the caller's parts. */
typedef struct cursor {
    const pg_bytes *parts;
    size_t part_count;
    size_t offset; // into parts[0]
    size_t rest;   // bytes in all that are left
} cursor;

static cursor cursor_make(const pg_bytes *parts, size_t part_count)
{
    cursor at = {.parts = parts, .part_count = part_count};
    for (size_t i = 0; i < part_count; i++) {
        at.rest += parts[i].len;
    }
    return at;
}

static pg_bytes cursor_take(cursor *at, size_t len)
{
    while (at->offset == at->parts[0].len) {
        at->parts++;
        at->offset = 0;
    }
    pg_bytes piece = pg_bytes_slice(at->parts[0], at->offset, len);
    at->offset += piece.len;
    at->rest -= piece.len;
    return piece;
}

// Encrypt the next frame to the end of `out`: straight from the caller's memory when it lies there in one piece.
static pg_err frame_seal(noise_stream *stream, cursor *at)
{
    size_t len = pg_min_size(at->rest, PG_NOISE_PLAIN_BYTES_MAX);
    uint8_t *frame = NULL;
    PG_TRY(pg_buf_extend(&stream->out, LENGTH_BYTES + len + PG_AEAD_TAG_BYTES, &frame));
    pg_writer head = pg_writer_make((pg_mut_bytes){frame, LENGTH_BYTES});
    pg_writer_u16be(&head, (uint16_t) (len + PG_AEAD_TAG_BYTES));
    uint8_t *body = frame + LENGTH_BYTES;
    pg_bytes plain = cursor_take(at, len);
    if (plain.len < len) {
        memcpy(body, plain.ptr, plain.len);
        for (size_t done = plain.len; done < len;) {
            pg_bytes piece = cursor_take(at, len - done);
            memcpy(body + done, piece.ptr, piece.len);
            done += piece.len;
        }
        plain = pg_bytes_make(body, len);
    }
    return pg_noise_encrypt(&stream->send, plain, body);
}

static pg_err batch_write(noise_stream *stream, cursor *at, pg_time deadline)
{
    pg_buf_clear(&stream->out);
    size_t frames = (at->rest + PG_NOISE_PLAIN_BYTES_MAX - 1) / PG_NOISE_PLAIN_BYTES_MAX;
    frames = pg_min_size(frames, BATCH_FRAMES);
    size_t len = frames * (LENGTH_BYTES + PG_AEAD_TAG_BYTES) +
                 pg_min_size(at->rest, frames * PG_NOISE_PLAIN_BYTES_MAX);
    PG_TRY(pg_buf_reserve(&stream->out, len));
    for (size_t i = 0; i < frames; i++) {
        PG_TRY(frame_seal(stream, at));
    }
    return pg_stream_write(stream->raw, pg_buf_bytes(&stream->out), deadline);
}

static pg_err noise_write(pg_stream *base, const pg_bytes *parts, size_t part_count,
                          pg_time deadline)
{
    noise_stream *stream = noise_of(base);
    cursor at = cursor_make(parts, part_count);
    stream->is_writing = true;
    pg_err err = PG_OK;
    while (err == PG_OK && at.rest > 0) {
        err = batch_write(stream, &at, deadline);
    }
    stream->is_writing = false;
    return err;
}

static pg_err noise_close_write(pg_stream *base, pg_time deadline)
{
    return pg_stream_close_write(noise_of(base)->raw, deadline);
}

static void noise_reset(pg_stream *base)
{
    pg_stream_reset(noise_of(base)->raw);
}

static void noise_free(pg_stream *base)
{
    noise_stream *stream = noise_of(base);
    pg_stream_free(&stream->raw);
    pg_noise_cipher_deinit(&stream->send);
    pg_noise_cipher_deinit(&stream->receive);
    pg_buf_deinit(&stream->in);
    pg_buf_deinit(&stream->out);
    pg_mfree(stream);
}

static const pg_stream_ops noise_ops = {
    .read = noise_read,
    .write = noise_write,
    .close_write = noise_close_write,
    .reset = noise_reset,
    .free = noise_free,
};

pg_err pg_noise_stream_new(pg_stream **raw, pg_noise_cipher *send, pg_noise_cipher *receive,
                           pg_stream **out_stream)
{
    noise_stream *stream = PG_NEW(noise_stream);
    if (stream == NULL) {
        return pg_fail(PG_ERR_NOMEM, "no memory for a Noise stream");
    }
    stream->base.ops = &noise_ops;
    stream->raw = *raw;
    stream->send = *send;
    stream->receive = *receive;
    stream->in_wanted = BUFFER_BYTES_MIN;
    stream->in.max_len = BUFFER_BYTES_MAX;
    stream->out.max_len = BUFFER_BYTES_MAX;
    *raw = NULL;
    *send = (pg_noise_cipher){0};
    *receive = (pg_noise_cipher){0};
    *out_stream = &stream->base;
    return PG_OK;
}
