// SPDX-License-Identifier: Apache-2.0
#include "net/perf.h"

#include "base/mem.h"

#define PERF_BUFFER_BYTES 65536

static pg_time idle_deadline(void)
{
    return pg_after(PG_MS(PG_NET_TRANSFER_IDLE_MS));
}

// Send zeros; `sent` counts them for whoever watches.
static pg_err zeros_send(pg_stream *stream, uint64_t count, pg_time deadline, uint64_t *sent)
{
    static const uint8_t zeros[PERF_BUFFER_BYTES];
    while (*sent < count) {
        size_t len = count - *sent < sizeof(zeros) ? (size_t) (count - *sent) : sizeof(zeros);
        pg_time until = pg_earlier(deadline, idle_deadline());
        PG_TRY(pg_stream_write(stream, pg_bytes_make(zeros, len), until));
        *sent += len;
    }
    return PG_OK;
}

static pg_err perf_handle(pg_net_stream_ctx *ctx)
{
    const uint64_t max = *(const uint64_t *) ctx->user;
    uint8_t header[8];
    PG_TRY(pg_stream_read_full(ctx->stream, PG_MUT_BYTES_OF(header), idle_deadline()));
    pg_reader reader = pg_reader_make(PG_BYTES_OF(header));
    uint64_t wanted = pg_reader_u64be(&reader);
    if (wanted > max) {
        return pg_fail(PG_ERR_LIMIT, "perf: %llu bytes wanted", (unsigned long long) wanted);
    }
    uint8_t *space = pg_malloc(PERF_BUFFER_BYTES);
    if (space == NULL) {
        return PG_ERR_NOMEM;
    }
    uint64_t received = 0;
    size_t len = 0;
    pg_err err = PG_OK;
    do {
        err = pg_stream_read(ctx->stream, pg_mut_bytes_make(space, PERF_BUFFER_BYTES),
                             idle_deadline(), &len);
        received += err == PG_OK ? len : 0;
    } while (err == PG_OK && len > 0 && received <= max);
    pg_mfree(space);
    PG_TRY(err);
    if (received > max) {
        return pg_fail(PG_ERR_LIMIT, "perf: more than %llu bytes", (unsigned long long) max);
    }
    uint64_t sent = 0;
    return zeros_send(ctx->stream, wanted, PG_FOREVER, &sent);
}

pg_err pg_perf_serve(pg_host *host, const uint64_t *bytes_max)
{
    // The handler only reads it.
    const pg_net_protocol perf = {PG_PERF_ID, perf_handle, (void *) (uintptr_t) bytes_max,
                                  PG_NET_PERF_STREAMS_MAX};
    return pg_host_serve(host, &perf);
}

static void progress_tell(const pg_perf_request *request, const pg_perf_result *result)
{
    if (request->progress != NULL) {
        request->progress(result->up_bytes, result->down_bytes, request->user);
    }
}

static pg_err up_measure(pg_stream *stream, const pg_perf_request *request, pg_time deadline,
                         pg_perf_result *result)
{
    uint8_t header[8];
    pg_writer writer = pg_writer_make(PG_MUT_BYTES_OF(header));
    pg_writer_u64be(&writer, request->down_bytes);
    PG_TRY(pg_stream_write(stream, pg_writer_bytes(&writer), deadline));
    while (result->up_bytes < request->up_bytes) {
        uint64_t step = result->up_bytes + PERF_BUFFER_BYTES;
        PG_TRY(zeros_send(stream, step < request->up_bytes ? step : request->up_bytes, deadline,
                          &result->up_bytes));
        progress_tell(request, result);
    }
    return pg_stream_close_write(stream, deadline);
}

static pg_err down_measure(pg_stream *stream, const pg_perf_request *request, pg_time deadline,
                           pg_perf_result *result)
{
    uint8_t *space = pg_malloc(PERF_BUFFER_BYTES);
    if (space == NULL) {
        return PG_ERR_NOMEM;
    }
    pg_time start = pg_now();
    pg_err err = PG_OK;
    for (;;) {
        size_t len = 0;
        pg_time until = pg_earlier(deadline, idle_deadline());
        err = pg_stream_read(stream, pg_mut_bytes_make(space, PERF_BUFFER_BYTES), until, &len);
        if (err != PG_OK || len == 0) {
            break;
        }
        if (result->down_bytes == 0) {
            result->up_ns +=
                pg_now() - start; // the other side answers after it has read everything
            start = pg_now();
        }
        result->down_bytes += len;
        progress_tell(request, result);
    }
    if (result->down_bytes == 0) {
        result->up_ns += pg_now() - start;
    } else {
        result->down_ns = pg_now() - start;
    }
    pg_mfree(space);
    if (err == PG_OK && result->down_bytes < request->down_bytes) {
        err = pg_fail(PG_ERR_TRUNCATED, "perf: %llu bytes came of %llu",
                      (unsigned long long) result->down_bytes,
                      (unsigned long long) request->down_bytes);
    } else if (err == PG_OK && result->down_bytes > request->down_bytes) {
        err = pg_fail(PG_ERR_PROTOCOL, "perf: more bytes came than were wanted");
    }
    return err;
}

pg_err pg_perf_measure(pg_host *host, const pg_peer_id *peer, const pg_perf_request *request,
                       pg_time deadline, pg_perf_result *out_result)
{
    static const char *const ids[] = {PG_PERF_ID, NULL};
    pg_perf_result result = {0};
    pg_stream *stream = NULL;
    PG_TRY(pg_host_open_stream(host, peer, ids, deadline, &stream, NULL));
    pg_time start = pg_now();
    pg_err err = up_measure(stream, request, deadline, &result);
    result.up_ns = pg_now() - start;
    if (err == PG_OK) {
        err = down_measure(stream, request, deadline, &result);
    }
    pg_stream_free(&stream);
    if (err == PG_OK) {
        *out_result = result;
    }
    return err;
}
