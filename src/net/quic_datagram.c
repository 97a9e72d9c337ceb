// SPDX-License-Identifier: Apache-2.0
// Unreliable datagrams of QUIC, for media: sent at once or soon, lost or not, never sent again. Short queues on both sides,
// in which the oldest makes room, since late sound is no sound.
#include <string.h>

#include "base/mem.h"
#include "net/quic_priv.h"

typedef struct datagram {
    pg_list node;
    size_t len;
    uint8_t bytes[];
} datagram;

struct pg_quic_datagrams {
    pg_list in;
    pg_list out;
    size_t in_count;
    size_t out_count;
    pg_waitq readers;
};

static datagram *datagram_of(pg_list *node)
{
    return PG_LIST_OBJECT(node, datagram, node);
}

static pg_quic_datagrams *datagrams_get(pg_quic_conn *conn)
{
    if (conn->datagrams == NULL) {
        conn->datagrams = PG_NEW(pg_quic_datagrams);
        if (conn->datagrams != NULL) {
            pg_list_init(&conn->datagrams->in);
            pg_list_init(&conn->datagrams->out);
            pg_waitq_init(&conn->datagrams->readers);
        }
    }
    return conn->datagrams;
}

// Append a copy; beyond `max` the oldest goes.
static bool queue_put(pg_list *queue, size_t *count, size_t max, pg_bytes bytes)
{
    datagram *made = pg_malloc(sizeof(*made) + bytes.len);
    if (made == NULL) {
        return false;
    }
    *made = (datagram){.len = bytes.len};
    if (bytes.len > 0) {
        memcpy(made->bytes, bytes.ptr, bytes.len);
    }
    pg_list_append(queue, &made->node);
    *count += 1;
    if (*count > max) {
        pg_mfree(datagram_of(pg_list_pop(queue)));
        *count -= 1;
    }
    return true;
}

static void queue_drop(pg_list *queue)
{
    for (pg_list *node = pg_list_pop(queue); node != NULL; node = pg_list_pop(queue)) {
        pg_mfree(datagram_of(node));
    }
}

void pg_quic_datagrams_free(pg_quic_datagrams **datagrams)
{
    if (*datagrams != NULL) {
        queue_drop(&(*datagrams)->in);
        queue_drop(&(*datagrams)->out);
        pg_mfree(*datagrams);
        *datagrams = NULL;
    }
}

void pg_quic_datagram_take(pg_quic_conn *conn, pg_bytes bytes)
{
    // Who never asked for datagrams shall not pay memory for a peer's.
    pg_quic_datagrams *datagrams = conn->datagrams;
    if (datagrams != NULL &&
        queue_put(&datagrams->in, &datagrams->in_count, PG_NET_QUIC_DATAGRAMS_MAX, bytes)) {
        pg_waitq_wake_one(&datagrams->readers);
    }
}

ngtcp2_ssize pg_quic_datagram_write(pg_quic_conn *conn, ngtcp2_path *path, ngtcp2_pkt_info *info,
                                    pg_mut_bytes space, pg_time now, bool *out_written)
{
    pg_quic_datagrams *datagrams = conn->datagrams;
    *out_written = false;
    if (datagrams == NULL || pg_list_is_empty(&datagrams->out)) {
        return 0;
    }
    datagram *first = datagram_of(datagrams->out.next);
    const ngtcp2_vec vec = {first->bytes, first->len};
    int accepted = 0;
    ngtcp2_ssize len = ngtcp2_conn_writev_datagram(conn->ngtcp2, path, info, space.ptr, space.len,
                                                   &accepted, NGTCP2_WRITE_DATAGRAM_FLAG_MORE, 0,
                                                   &vec, 1, (ngtcp2_tstamp) now);
    bool is_hopeless = len == NGTCP2_ERR_INVALID_ARGUMENT || len == NGTCP2_ERR_INVALID_STATE;
    if (accepted != 0 || is_hopeless) { // too long for this path, or not wanted by the peer
        pg_list_remove(&first->node);
        datagrams->out_count--;
        pg_mfree(first);
    }
    *out_written = accepted != 0 || is_hopeless;
    return is_hopeless ? NGTCP2_ERR_WRITE_MORE : len;
}

pg_err pg_quic_datagram_send(pg_conn *base, pg_bytes bytes)
{
    pg_quic_conn *conn = pg_quic_conn_of(base);
    if (conn->state != PG_QUIC_STATE_OPEN) {
        return pg_quic_conn_fail_ended(conn);
    }
    const ngtcp2_transport_params *remote = ngtcp2_conn_get_remote_transport_params2(conn->ngtcp2);
    if (bytes.len > PG_NET_QUIC_DATAGRAM_BYTES_MAX) {
        return pg_fail(PG_ERR_LIMIT, "a datagram of %zu bytes, at most %d", bytes.len,
                       PG_NET_QUIC_DATAGRAM_BYTES_MAX);
    }
    if (remote == NULL || remote->max_datagram_frame_size <= PG_NET_QUIC_DATAGRAM_BYTES_MAX) {
        return pg_fail(PG_ERR_UNSUPPORTED, "the peer takes no datagrams");
    }
    pg_quic_datagrams *datagrams = datagrams_get(conn);
    if (datagrams == NULL ||
        !queue_put(&datagrams->out, &datagrams->out_count, PG_NET_QUIC_DATAGRAMS_OUT_MAX, bytes)) {
        return pg_fail(PG_ERR_NOMEM, "no memory for a datagram");
    }
    pg_quic_ready(conn);
    return PG_OK;
}

pg_err pg_quic_datagram_recv(pg_conn *base, pg_time deadline, pg_mut_bytes space, size_t *out_len)
{
    pg_quic_conn *conn = pg_quic_conn_of(base);
    pg_quic_datagrams *datagrams = datagrams_get(conn);
    if (datagrams == NULL) {
        return pg_fail(PG_ERR_NOMEM, "no memory for datagrams");
    }
    while (pg_list_is_empty(&datagrams->in)) {
        if (conn->state == PG_QUIC_STATE_ENDED) {
            return pg_quic_conn_fail_ended(conn);
        }
        PG_TRY(pg_waitq_wait(&datagrams->readers, deadline));
    }
    datagram *first = datagram_of(pg_list_pop(&datagrams->in));
    size_t len = pg_min_size(first->len, space.len);
    bool is_cut = len < first->len;
    if (len > 0) {
        memcpy(space.ptr, first->bytes, len);
    }
    datagrams->in_count--;
    pg_mfree(first);
    if (is_cut) {
        return pg_fail(PG_ERR_LIMIT, "a datagram was longer than the %zu bytes for it", space.len);
    }
    *out_len = len;
    return PG_OK;
}

void pg_quic_datagrams_wake(pg_quic_conn *conn)
{
    if (conn->datagrams != NULL) {
        pg_waitq_wake_all(&conn->datagrams->readers);
    }
}
