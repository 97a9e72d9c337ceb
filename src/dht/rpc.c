// SPDX-License-Identifier: Apache-2.0
#include "dht/rpc.h"

#include "base/mem.h"
#include "dht/limits.h"
#include "net/framed.h"

/** A stream that waits for the next request. */
typedef struct idle_stream {
    pg_list node;
    pg_peer_id peer;
    pg_id conn;
    pg_stream *stream;
    pg_time since;
} idle_stream;

void pg_dht_rpc_init(pg_dht_rpc *rpc, pg_host *host, const char *protocol)
{
    *rpc = (pg_dht_rpc){.host = host, .protocol = protocol, .idle_max = PG_DHT_IDLE_STREAMS_MAX};
    pg_list_init(&rpc->idle);
    pg_waitq_init(&rpc->room);
}

// ---- streams that wait ----

static idle_stream *idle_of(pg_list *node)
{
    return PG_LIST_OBJECT(node, idle_stream, node);
}

static void idle_drop(pg_dht_rpc *rpc, idle_stream *idle)
{
    pg_list_remove(&idle->node);
    rpc->idle_count--;
    pg_stream_free(&idle->stream);
    pg_mfree(idle);
}

// Take the youngest idle stream to a peer, NULL when there is none. Not the oldest: the other side may have given it up. One over a
// connection that is not the newest may lead to a former life of the peer.
static pg_stream *idle_take(pg_dht_rpc *rpc, const pg_peer_id *peer, pg_id *out_conn)
{
    const pg_id best = pg_host_conn_best(rpc->host, peer);
    pg_list *before = NULL;
    for (pg_list *node = rpc->idle.prev; node != &rpc->idle; node = before) {
        idle_stream *idle = idle_of(node);
        before = node->prev;
        if (idle->since < pg_now() - PG_MS(PG_DHT_IDLE_STREAM_MS)) {
            break; // and all before it
        }
        if (pg_peer_id_equal(&idle->peer, peer) && idle->conn != best) {
            idle_drop(rpc, idle);
        } else if (pg_peer_id_equal(&idle->peer, peer)) {
            pg_stream *stream = idle->stream;
            *out_conn = idle->conn;
            idle->stream = NULL;
            idle_drop(rpc, idle);
            return stream;
        }
    }
    return NULL;
}

static void idle_put(pg_dht_rpc *rpc, const pg_peer_id *peer, pg_id conn, pg_stream **stream)
{
    idle_stream *idle = rpc->idle_max == 0 ? NULL : PG_NEW(idle_stream);
    if (idle == NULL) {
        pg_stream_free(stream);
        return;
    }
    *idle = (idle_stream){.peer = *peer, .conn = conn, .stream = *stream, .since = pg_now()};
    *stream = NULL;
    pg_list_append(&rpc->idle, &idle->node);
    rpc->idle_count++;
    if (rpc->idle_count > rpc->idle_max) {
        idle_drop(rpc, idle_of(rpc->idle.next));
    }
}

void pg_dht_rpc_sweep(pg_dht_rpc *rpc, pg_time before)
{
    while (!pg_list_is_empty(&rpc->idle) && idle_of(rpc->idle.next)->since < before) {
        idle_drop(rpc, idle_of(rpc->idle.next));
    }
}

void pg_dht_rpc_deinit(pg_dht_rpc *rpc)
{
    pg_assert(rpc->running == 0);
    pg_dht_rpc_sweep(rpc, PG_FOREVER);
}

// ---- requests ----

static pg_err place_take(pg_dht_rpc *rpc, pg_time deadline)
{
    while (rpc->running >= PG_DHT_REQUESTS_MAX) {
        PG_TRY(pg_waitq_wait(&rpc->room, deadline));
    }
    rpc->running++;
    rpc->requests++;
    return PG_OK;
}

static pg_err place_give(pg_dht_rpc *rpc, pg_err err)
{
    rpc->running--;
    rpc->failures += err != PG_OK && err != PG_ERR_CANCELLED ? 1U : 0U;
    (void) pg_waitq_wake_one(&rpc->room);
    return err;
}

static pg_err stream_open(pg_dht_rpc *rpc, const pg_peer_id *peer, pg_time deadline,
                          pg_stream **out_stream, pg_id *out_conn)
{
    rpc->streams++;
    return pg_host_open_stream_lazy(rpc->host, peer, rpc->protocol, deadline, out_stream, out_conn);
}

static pg_err exchange(pg_stream *stream, pg_bytes request, pg_time deadline, pg_buf *out_reply)
{
    PG_TRY(pg_stream_write(stream, request, deadline));
    return pg_framed_read(stream, PG_DHT_REPLY_BYTES_MAX, deadline, out_reply);
}

// An old stream may have been closed by the other side meanwhile: that is no failure of the peer.
static bool is_worn_out(pg_err err)
{
    return err == PG_ERR_CLOSED || err == PG_ERR_RESET;
}

static pg_err ask(pg_dht_rpc *rpc, const pg_peer_id *peer, pg_bytes request, pg_time deadline,
                  pg_buf *out_reply, pg_id *out_conn)
{
    pg_stream *stream = idle_take(rpc, peer, out_conn);
    pg_err err = PG_ERR_CLOSED;
    if (stream != NULL) {
        err = exchange(stream, request, deadline, out_reply);
        if (err != PG_OK) {
            pg_stream_free(&stream);
        }
    }
    if (stream == NULL && is_worn_out(err)) {
        err = stream_open(rpc, peer, deadline, &stream, out_conn);
        if (err == PG_OK) {
            err = exchange(stream, request, deadline, out_reply);
        }
    }
    if (err == PG_OK) {
        idle_put(rpc, peer, *out_conn, &stream);
    }
    pg_stream_free(&stream);
    return err;
}

pg_err pg_dht_rpc_ask(pg_dht_rpc *rpc, const pg_peer_id *peer, pg_bytes request, pg_time deadline,
                      pg_buf *out_reply, pg_id *out_conn)
{
    PG_TRY(place_take(rpc, deadline));
    return place_give(rpc, ask(rpc, peer, request, deadline, out_reply, out_conn));
}

static pg_err tell(pg_stream *stream, pg_bytes request, pg_time deadline)
{
    uint8_t waste[16];
    size_t len = 0;
    PG_TRY(pg_stream_write(stream, request, deadline));
    PG_TRY(pg_stream_close_write(stream, deadline));
    PG_TRY(pg_stream_read(stream, PG_MUT_BYTES_OF(waste), deadline, &len));
    return len == 0 ? PG_OK : pg_fail(PG_ERR_PROTOCOL, "an answer where there is none");
}

pg_err pg_dht_rpc_tell(pg_dht_rpc *rpc, const pg_peer_id *peer, pg_bytes request, pg_time deadline)
{
    pg_stream *stream = NULL;
    pg_id conn = 0;
    PG_TRY(place_take(rpc, deadline));
    pg_err err = stream_open(rpc, peer, deadline, &stream, &conn);
    if (err == PG_OK) {
        err = tell(stream, request, deadline);
    }
    pg_stream_free(&stream);
    return place_give(rpc, err);
}
