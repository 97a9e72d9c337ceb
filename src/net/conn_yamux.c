// SPDX-License-Identifier: Apache-2.0
#include "net/conn_yamux.h"

#include "base/list.h"
#include "base/mem.h"
#include "net/yamux.h"

typedef struct yamux_conn {
    pg_conn base;
    pg_yamux *yamux;
    pg_conn_info info; // its pointers lead to what follows
    pg_peer_id peer_id;
    pg_buf texts; // public key and addresses, one after the other
} yamux_conn;

static yamux_conn *conn_of(pg_conn *base)
{
    return PG_LIST_OBJECT(base, yamux_conn, base);
}

static pg_err conn_open_stream(pg_conn *base, pg_time deadline, pg_stream **out_stream)
{
    return pg_yamux_open(conn_of(base)->yamux, deadline, out_stream);
}

static pg_err conn_accept_stream(pg_conn *base, pg_time deadline, pg_stream **out_stream)
{
    return pg_yamux_accept(conn_of(base)->yamux, deadline, out_stream);
}

static void conn_info(const pg_conn *base, pg_conn_info *out_info)
{
    const yamux_conn *conn = (const yamux_conn *) base;
    pg_yamux_stats stats = pg_yamux_get_stats(conn->yamux);
    *out_info = conn->info;
    out_info->rtt_ns = stats.rtt_ns;
    out_info->streams_in = stats.streams_in;
    out_info->streams_out = stats.streams_out;
    out_info->bytes_in = stats.bytes_in;
    out_info->bytes_out = stats.bytes_out;
    out_info->memory_bytes = stats.memory_bytes;
}

static pg_err conn_close(pg_conn *base, pg_time deadline)
{
    return pg_yamux_close(conn_of(base)->yamux, deadline);
}

static void conn_abort(pg_conn *base)
{
    pg_yamux_abort(conn_of(base)->yamux);
}

static void conn_free(pg_conn *base)
{
    yamux_conn *conn = conn_of(base);
    pg_yamux_free(&conn->yamux);
    pg_buf_deinit(&conn->texts);
    pg_mfree(conn);
}

static const pg_conn_ops conn_ops = {
    .open_stream = conn_open_stream,
    .accept_stream = conn_accept_stream,
    .info = conn_info,
    .close = conn_close,
    .abort = conn_abort,
    .free = conn_free,
};

static pg_err conn_copy_info(yamux_conn *conn, const pg_conn_info *info)
{
    pg_bytes *views[] = {&conn->info.public_key, &conn->info.local_addr, &conn->info.remote_addr};
    conn->info = *info;
    conn->info.muxer = PG_YAMUX_ID;
    conn->info.opened_at = pg_now();
    conn->peer_id = *info->peer;
    conn->info.peer = &conn->peer_id;
    for (size_t i = 0; i < PG_ARRAY_LEN(views); i++) {
        PG_TRY(pg_buf_append(&conn->texts, *views[i]));
    }
    size_t begin = 0;
    for (size_t i = 0; i < PG_ARRAY_LEN(views); i++) {
        *views[i] = pg_bytes_slice(pg_buf_bytes(&conn->texts), begin, views[i]->len);
        begin += views[i]->len;
    }
    return PG_OK;
}

pg_err pg_conn_yamux_new(pg_stream **secure, const pg_conn_info *info, const pg_conn_limits *limits,
                         pg_conn **out_conn)
{
    yamux_conn *conn = PG_NEW(yamux_conn);
    if (conn == NULL) {
        return pg_fail(PG_ERR_NOMEM, "no memory for a connection");
    }
    conn->base.ops = &conn_ops;
    bool is_client = info->direction == PG_CONN_DIRECTION_OUTBOUND;
    pg_err err = conn_copy_info(conn, info);
    if (err == PG_OK) {
        err = pg_yamux_new(secure, is_client, limits, &conn->yamux);
    }
    if (err != PG_OK) {
        pg_buf_deinit(&conn->texts);
        pg_mfree(conn);
        return err;
    }
    *out_conn = &conn->base;
    return PG_OK;
}
