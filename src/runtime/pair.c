// SPDX-License-Identifier: Apache-2.0
// Two streams in memory, each the other end of the other.
#include <stdint.h>
#include <string.h>

#include "base/mem.h"
#include "runtime/fiber.h"
#include "runtime/stream.h"

/** One direction: a ring. */
struct ring {
    uint8_t *bytes; // bytes[cap]
    size_t cap;
    size_t head;
    size_t count;
    bool is_closed; // by the writer
    pg_waitq readers;
    pg_waitq writers;
};

struct pair;

/** One of the two streams. */
struct end {
    pg_stream stream;
    struct pair *pair;
    struct ring *in;
    struct ring *out;
    bool is_freed;
};

struct pair {
    struct end ends[2];
    struct ring rings[2];
    const struct end *resetter; // who reset both directions; NULL: nobody
};

static struct end *end_of(pg_stream *stream)
{
    return (struct end *) (void *) stream;
}

static pg_err reset_err(const struct end *end)
{
    if (end->pair->resetter == NULL) {
        return PG_OK;
    }
    return end->pair->resetter == end ? PG_ERR_CLOSED : PG_ERR_RESET;
}

static size_t ring_get(struct ring *ring, pg_mut_bytes space)
{
    size_t len = pg_min_size(space.len, ring->count);
    size_t first = pg_min_size(len, ring->cap - ring->head);
    memcpy(space.ptr, ring->bytes + ring->head, first);
    memcpy(space.ptr + first, ring->bytes, len - first);
    ring->head = (ring->head + len) % ring->cap;
    ring->count -= len;
    return len;
}

static size_t ring_put(struct ring *ring, pg_bytes bytes)
{
    size_t len = pg_min_size(bytes.len, ring->cap - ring->count);
    size_t tail = (ring->head + ring->count) % ring->cap;
    size_t first = pg_min_size(len, ring->cap - tail);
    memcpy(ring->bytes + tail, bytes.ptr, first);
    memcpy(ring->bytes, bytes.ptr + first, len - first);
    ring->count += len;
    return len;
}

static pg_err pair_read(pg_stream *stream, pg_mut_bytes space, pg_time deadline, size_t *out_len)
{
    struct end *end = end_of(stream);
    PG_TRY(reset_err(end));
    while (end->in->count == 0 && !end->in->is_closed) {
        PG_TRY(pg_waitq_wait(&end->in->readers, deadline));
        PG_TRY(reset_err(end));
    }
    *out_len = space.len == 0 ? 0 : ring_get(end->in, space);
    pg_waitq_wake_all(&end->in->writers);
    return PG_OK;
}

static pg_err pair_write_part(struct end *end, pg_bytes bytes, pg_time deadline)
{
    size_t done = 0;
    while (done < bytes.len) {
        while (end->out->count == end->out->cap) {
            PG_TRY(pg_waitq_wait(&end->out->writers, deadline));
            PG_TRY(reset_err(end));
        }
        done += ring_put(end->out, pg_bytes_slice(bytes, done, bytes.len - done));
        pg_waitq_wake_all(&end->out->readers);
    }
    return PG_OK;
}

static pg_err pair_write(pg_stream *stream, const pg_bytes *parts, size_t part_count,
                         pg_time deadline)
{
    struct end *end = end_of(stream);
    PG_TRY(reset_err(end));
    if (end->out->is_closed) {
        return PG_ERR_CLOSED;
    }
    for (size_t i = 0; i < part_count; i++) {
        PG_TRY(pair_write_part(end, parts[i], deadline));
    }
    return PG_OK;
}

static pg_err pair_close_write(pg_stream *stream, pg_time deadline)
{
    (void) deadline; // nothing to wait for
    struct end *end = end_of(stream);
    PG_TRY(reset_err(end));
    end->out->is_closed = true;
    pg_waitq_wake_all(&end->out->readers);
    return PG_OK;
}

static void pair_reset(pg_stream *stream)
{
    struct end *end = end_of(stream);
    if (end->pair->resetter != NULL) {
        return;
    }
    end->pair->resetter = end;
    for (unsigned i = 0; i < 2; i++) {
        pg_waitq_wake_all(&end->pair->rings[i].readers);
        pg_waitq_wake_all(&end->pair->rings[i].writers);
    }
}

static void pair_free(pg_stream *stream)
{
    struct end *end = end_of(stream);
    struct pair *pair = end->pair;
    bool is_finished = end->out->is_closed && end->in->is_closed && end->in->count == 0;
    if (!is_finished) {
        pair_reset(stream);
    }
    end->is_freed = true;
    if (pair->ends[0].is_freed && pair->ends[1].is_freed) {
        pg_mfree(pair->rings[0].bytes);
        pg_mfree(pair->rings[1].bytes);
        pg_mfree(pair);
    }
}

static const pg_stream_ops pair_ops = {
    .read = pair_read,
    .write = pair_write,
    .close_write = pair_close_write,
    .reset = pair_reset,
    .free = pair_free,
};

pg_err pg_stream_pair(size_t buffer_bytes, pg_stream **out_a, pg_stream **out_b)
{
    pg_assert(buffer_bytes > 0);
    struct pair *pair = PG_NEW(struct pair);
    if (pair == NULL) {
        goto out;
    }
    for (unsigned i = 0; i < 2; i++) {
        struct ring *ring = &pair->rings[i];
        ring->cap = buffer_bytes;
        ring->bytes = pg_malloc(buffer_bytes);
        pg_waitq_init(&ring->readers);
        pg_waitq_init(&ring->writers);
        pair->ends[i] = (struct end){
            .stream = {&pair_ops}, .pair = pair, .in = ring, .out = &pair->rings[1 - i]};
    }
    if (pair->rings[0].bytes == NULL || pair->rings[1].bytes == NULL) {
        goto out;
    }
    *out_a = &pair->ends[0].stream;
    *out_b = &pair->ends[1].stream;
    return PG_OK;
out:
    if (pair != NULL) {
        pg_mfree(pair->rings[0].bytes);
        pg_mfree(pair->rings[1].bytes);
    }
    pg_mfree(pair);
    return pg_fail(PG_ERR_NOMEM, "cannot make a pair of streams");
}
