// SPDX-License-Identifier: Apache-2.0
#include "net_test.h"

void net_test_run(pg_fiber_fn fn, void *arg)
{
    CHECK_OK(pg_sim_run(&(pg_sim_config){.seed = 1}, fn, arg, NULL));
}

typedef struct choppy {
    pg_stream base;
    pg_stream *inner;
    size_t chunk_max;
} choppy;

static choppy *choppy_of(pg_stream *base)
{
    return PG_LIST_OBJECT(base, choppy, base);
}

static size_t choppy_len(const choppy *stream, size_t len)
{
    return pg_min_size(len, 1 + (size_t) pg_random_below(stream->chunk_max));
}

static pg_err choppy_read(pg_stream *base, pg_mut_bytes space, pg_time deadline, size_t *out_len)
{
    choppy *stream = choppy_of(base);
    space.len = choppy_len(stream, space.len);
    return pg_stream_read(stream->inner, space, deadline, out_len);
}

static pg_err choppy_write(pg_stream *base, const pg_bytes *parts, size_t part_count,
                           pg_time deadline)
{
    choppy *stream = choppy_of(base);
    for (size_t i = 0; i < part_count; i++) {
        for (size_t done = 0; done < parts[i].len;) {
            size_t len = choppy_len(stream, parts[i].len - done);
            PG_TRY(pg_stream_write(stream->inner, pg_bytes_slice(parts[i], done, len), deadline));
            done += len;
        }
    }
    return PG_OK;
}

static pg_err choppy_close_write(pg_stream *base, pg_time deadline)
{
    return pg_stream_close_write(choppy_of(base)->inner, deadline);
}

static void choppy_reset(pg_stream *base)
{
    pg_stream_reset(choppy_of(base)->inner);
}

static void choppy_free(pg_stream *base)
{
    choppy *stream = choppy_of(base);
    pg_stream_free(&stream->inner);
    pg_mfree(stream);
}

static const pg_stream_ops choppy_ops = {
    .read = choppy_read,
    .write = choppy_write,
    .close_write = choppy_close_write,
    .reset = choppy_reset,
    .free = choppy_free,
};

pg_stream *net_test_choppy(pg_stream *inner, size_t chunk_max)
{
    choppy *stream = PG_NEW(choppy);
    CHECK(stream != NULL);
    *stream = (choppy){{&choppy_ops}, inner, chunk_max};
    return &stream->base;
}

#define PERIOD 251

void net_test_fill(pg_mut_bytes bytes, uint32_t seed, uint64_t position)
{
    for (size_t i = 0; i < bytes.len; i++) {
        bytes.ptr[i] = (uint8_t) ((seed + position + i) % PERIOD);
    }
}

#define BLOCK_BYTES 100000

void net_test_send(pg_stream *stream, uint32_t seed, uint64_t total)
{
    uint8_t *pattern = pg_malloc(BLOCK_BYTES + PERIOD);
    CHECK(pattern != NULL);
    net_test_fill((pg_mut_bytes){pattern, BLOCK_BYTES + PERIOD}, seed, 0);
    for (uint64_t done = 0; done < total;) {
        size_t len = pg_min_size(BLOCK_BYTES, (size_t) (total - done));
        CHECK_OK(pg_stream_write(stream, pg_bytes_make(pattern + done % PERIOD, len), PG_FOREVER));
        done += len;
    }
    pg_mfree(pattern);
}

void net_test_receive(pg_stream *stream, uint32_t seed, uint64_t total)
{
    uint8_t *pattern = pg_malloc(BLOCK_BYTES + PERIOD);
    uint8_t *got = pg_malloc(BLOCK_BYTES);
    CHECK(pattern != NULL && got != NULL);
    net_test_fill((pg_mut_bytes){pattern, BLOCK_BYTES + PERIOD}, seed, 0);
    uint64_t done = 0;
    for (size_t len = 1; len > 0; done += len) {
        CHECK_OK(pg_stream_read(stream, (pg_mut_bytes){got, BLOCK_BYTES}, PG_FOREVER, &len));
        CHECK(memcmp(got, pattern + done % PERIOD, len) == 0);
    }
    CHECK(done == total);
    pg_mfree(pattern);
    pg_mfree(got);
}
