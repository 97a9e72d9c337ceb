// SPDX-License-Identifier: Apache-2.0
#include "net/conn.h"

#include "net/limits.h"

pg_conn_limits pg_conn_limits_default(pg_conn_memory *shared)
{
    return (pg_conn_limits){
        .streams_in_max = PG_NET_STREAMS_IN_MAX,
        .streams_out_max = PG_NET_STREAMS_OUT_MAX,
        .window_max_bytes = PG_NET_WINDOW_BYTES_MAX,
        .memory_max_bytes = PG_NET_CONN_MEMORY_BYTES_MAX,
        .shared = shared,
    };
}

pg_err pg_conn_open_stream(pg_conn *conn, pg_time deadline, pg_stream **out_stream)
{
    return conn->ops->open_stream(conn, deadline, out_stream);
}

pg_err pg_conn_accept_stream(pg_conn *conn, pg_time deadline, pg_stream **out_stream)
{
    return conn->ops->accept_stream(conn, deadline, out_stream);
}

void pg_conn_get_info(const pg_conn *conn, pg_conn_info *out_info)
{
    conn->ops->info(conn, out_info);
}

pg_err pg_conn_send_datagram(pg_conn *conn, pg_bytes bytes)
{
    return conn->ops->send_datagram != NULL
               ? conn->ops->send_datagram(conn, bytes)
               : pg_fail(PG_ERR_UNSUPPORTED, "this connection carries no datagrams");
}

pg_err pg_conn_recv_datagram(pg_conn *conn, pg_time deadline, pg_mut_bytes space, size_t *out_len)
{
    return conn->ops->recv_datagram != NULL
               ? conn->ops->recv_datagram(conn, deadline, space, out_len)
               : pg_fail(PG_ERR_UNSUPPORTED, "this connection carries no datagrams");
}

pg_err pg_conn_close(pg_conn *conn, pg_time deadline)
{
    return conn->ops->close(conn, deadline);
}

void pg_conn_abort(pg_conn *conn)
{
    conn->ops->abort(conn);
}

void pg_conn_free(pg_conn **conn)
{
    if (*conn == NULL) {
        return;
    }
    (*conn)->ops->free(*conn);
    *conn = NULL;
}
