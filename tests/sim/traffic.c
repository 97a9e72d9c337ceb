// SPDX-License-Identifier: Apache-2.0
#include "traffic.h"

#include <stdbool.h>
#include <string.h>

#include "base/mem.h"
#include "net/host.h"
#include "runtime/stream.h"

pg_err __real_pg_host_open_stream(pg_host *host, const pg_peer_id *peer, const char *const *ids,
                                  pg_time deadline, pg_stream **out_stream,
                                  const char **out_protocol);
pg_err __wrap_pg_host_open_stream(pg_host *host, const pg_peer_id *peer, const char *const *ids,
                                  pg_time deadline, pg_stream **out_stream,
                                  const char **out_protocol);
pg_err __real_pg_host_open_stream_lazy(pg_host *host, const pg_peer_id *peer, const char *id,
                                       pg_time deadline, pg_stream **out_stream, pg_id *out_conn);
pg_err __wrap_pg_host_open_stream_lazy(pg_host *host, const pg_peer_id *peer, const char *id,
                                       pg_time deadline, pg_stream **out_stream, pg_id *out_conn);

static traffic sums[TRAFFIC_KIND_COUNT];

static const struct {
    const char *part; // of the protocol's id
    const char *name;
} kinds[TRAFFIC_KIND_COUNT] = {
    [TRAFFIC_DHT] = {"/kad/", "dht"},          [TRAFFIC_PING] = {"/ping/", "ping"},
    [TRAFFIC_PLACE] = {"/place/", "place"},    [TRAFFIC_AUDIT] = {"/audit/", "audit"},
    [TRAFFIC_BLOCKS] = {"/bitswap", "blocks"}, [TRAFFIC_OTHER] = {"", "other"},
};

typedef enum direction { NONE, OUT, IN } direction;

/** A stream that counts. */
typedef struct counted {
    pg_stream stream;
    pg_stream *inner;
    traffic *sum;
    direction last;
} counted;

static void count(counted *self, direction way, size_t bytes)
{
    self->sum->bytes += bytes;
    self->sum->messages += self->last == way ? 0 : 1;
    self->last = way;
}

static pg_err on_read(pg_stream *stream, pg_mut_bytes space, pg_time deadline, size_t *out_len)
{
    counted *self = (counted *) stream;
    PG_TRY(pg_stream_read(self->inner, space, deadline, out_len));
    if (*out_len > 0) {
        count(self, IN, *out_len);
    }
    return PG_OK;
}

static pg_err on_write(pg_stream *stream, const pg_bytes *parts, size_t part_count,
                       pg_time deadline)
{
    counted *self = (counted *) stream;
    size_t bytes = 0;
    for (size_t i = 0; i < part_count; i++) {
        bytes += parts[i].len;
    }
    count(self, OUT, bytes);
    return pg_stream_writev(self->inner, parts, part_count, deadline);
}

static pg_err on_close_write(pg_stream *stream, pg_time deadline)
{
    return pg_stream_close_write(((counted *) stream)->inner, deadline);
}

static void on_reset(pg_stream *stream)
{
    pg_stream_reset(((counted *) stream)->inner);
}

static void on_free(pg_stream *stream)
{
    counted *self = (counted *) stream;
    pg_stream_free(&self->inner);
    pg_mfree(self);
}

static const pg_stream_ops ops = {on_read, on_write, on_close_write, on_reset, on_free};

static traffic *sum_of(const char *id)
{
    size_t kind = 0;
    while (strstr(id, kinds[kind].part) == NULL) {
        kind++;
    }
    return &sums[kind];
}

static pg_err wrap(const char *id, pg_stream **stream)
{
    counted *self = PG_NEW(counted);
    if (self == NULL) {
        pg_stream_free(stream);
        return PG_ERR_NOMEM;
    }
    self->stream.ops = &ops;
    self->inner = *stream;
    self->sum = sum_of(id);
    self->sum->streams++;
    *stream = &self->stream;
    return PG_OK;
}

pg_err __wrap_pg_host_open_stream(pg_host *host, const pg_peer_id *peer, const char *const *ids,
                                  pg_time deadline, pg_stream **out_stream,
                                  const char **out_protocol)
{
    PG_TRY(__real_pg_host_open_stream(host, peer, ids, deadline, out_stream, out_protocol));
    return wrap(ids[0], out_stream);
}

pg_err __wrap_pg_host_open_stream_lazy(pg_host *host, const pg_peer_id *peer, const char *id,
                                       pg_time deadline, pg_stream **out_stream, pg_id *out_conn)
{
    PG_TRY(__real_pg_host_open_stream_lazy(host, peer, id, deadline, out_stream, out_conn));
    return wrap(id, out_stream);
}

traffic traffic_of(traffic_kind kind)
{
    return sums[kind];
}

void traffic_reset(void)
{
    memset(sums, 0, sizeof(sums));
}

const char *traffic_kind_name(traffic_kind kind)
{
    return kinds[kind].name;
}
