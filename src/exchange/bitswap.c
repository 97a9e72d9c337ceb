// SPDX-License-Identifier: Apache-2.0
// The exchange from its start to its end, and the objects of peers. One exists while the peer wants something or we of it, or a fiber
// works for it; the end of the last connection forgets what it wanted.
#include "exchange/bitswap.h"

#include "base/mem.h"
#include "exchange/bitswap_priv.h"

// ---- Peers

pg_err pg_bitswap_peer_use(pg_bitswap *bitswap, const pg_peer_id *id, pg_bitswap_peer **out_peer)
{
    pg_bitswap_peer *peer = pg_map_get(&bitswap->peers, pg_peer_id_bytes(id));
    if (peer == NULL) {
        peer = PG_NEW(pg_bitswap_peer);
        if (peer == NULL) {
            return PG_ERR_NOMEM;
        }
        peer->bitswap = bitswap;
        peer->id = *id;
        pg_list_init(&peer->held_idle);
        pg_list_init(&peer->answers);
        pg_list_init(&peer->blocks);
        pg_list_init(&peer->ready);
        for (int state = 0; state < PG_BITSWAP_ASK_STATE_COUNT; state++) {
            pg_list_init(&peer->asks_in[state]);
        }
        pg_waitq_init(&peer->answered);
        pg_waitq_init(&peer->room);
        pg_waitq_init(&peer->received);
        pg_waitq_init(&peer->work);
        pg_err err = pg_map_add(&bitswap->peers, pg_peer_id_bytes(id), peer);
        if (err != PG_OK) {
            pg_mfree(peer);
            return err;
        }
    }
    peer->users++;
    *out_peer = peer;
    return PG_OK;
}

void pg_bitswap_peer_unuse(pg_bitswap_peer *peer)
{
    peer->users--;
    bool is_known = pg_map_count(&peer->held) > 0 || pg_map_count(&peer->asks) > 0 ||
                    !pg_list_is_empty(&peer->ready);
    if (peer->users > 0 || is_known) {
        return;
    }
    (void) pg_map_take(&peer->bitswap->peers, pg_peer_id_bytes(&peer->id));
    pg_list_remove(&peer->budget_node);
    pg_map_deinit(&peer->held);
    pg_map_deinit(&peer->asks);
    pg_mfree(peer);
}

// Forget what the peer wants, and fail what we want of it.
static void peer_cut(pg_bitswap_peer *peer, bool all, const char *detail)
{
    peer->users++;
    peer->epoch++;
    peer->faults = 0;
    pg_bitswap_serve_clear(peer);
    pg_bitswap_ask_fail(peer, all, PG_ERR_CLOSED, detail);
    pg_bitswap_peer_unuse(peer);
}

static void on_event(const pg_host_event *event, void *user)
{
    pg_bitswap *bitswap = user;
    if (event->kind != PG_HOST_EVENT_DISCONNECTED || event->peer_connections > 0) {
        return;
    }
    pg_bitswap_peer *peer = pg_map_get(&bitswap->peers, pg_peer_id_bytes(event->peer));
    if (peer != NULL) {
        peer_cut(peer, false, "the connection to the peer has ended");
    }
}

// ---- Memory of blocks

pg_buf pg_bitswap_spare_take(pg_bitswap *bitswap, size_t len)
{
    for (size_t i = bitswap->spare_count; i > 0; i--) {
        pg_buf spare = bitswap->spares[i - 1];
        if (spare.cap >= len) {
            bitswap->spares[i - 1] = bitswap->spares[--bitswap->spare_count];
            return spare;
        }
    }
    return (pg_buf){0};
}

void pg_bitswap_spare_give(pg_bitswap *bitswap, pg_buf *buf)
{
    bool is_useful =
        buf->cap > PG_BITSWAP_COPY_BYTES_MAX && buf->cap <= 2 * PG_BITSWAP_BLOCK_BYTES_MAX;
    if (is_useful && bitswap->spare_count < PG_BITSWAP_SPARES_MAX) {
        bitswap->spares[bitswap->spare_count++] = (pg_buf){.ptr = buf->ptr, .cap = buf->cap};
        *buf = (pg_buf){0};
    }
    pg_buf_deinit(buf);
}

void pg_bitswap_spares_trim(pg_bitswap *bitswap)
{
    bool is_busy = bitswap->pending_bytes > 0 || bitswap->stats.fetches_running > 0;
    while (!is_busy && bitswap->spare_count > 0) {
        pg_buf_deinit(&bitswap->spares[--bitswap->spare_count]);
    }
}

// ---- The exchange

static pg_err bitswap_begin(pg_bitswap *bitswap)
{
    const pg_net_protocol protocol = {PG_BITSWAP_ID, pg_bitswap_recv_stream, bitswap,
                                      PG_BITSWAP_STREAMS_MAX};
    PG_TRY(pg_host_watch(bitswap->host, on_event, bitswap));
    pg_err err = pg_scope_spawn(&bitswap->scope, "exchange.watch", pg_bitswap_serve_watch, bitswap);
    if (err == PG_OK) {
        err = pg_host_serve(bitswap->host, &protocol);
    }
    if (err != PG_OK) {
        pg_host_unwatch(bitswap->host, on_event, bitswap);
        pg_scope_close(&bitswap->scope);
    }
    return err;
}

pg_err pg_bitswap_new(pg_host *host, pg_block_store *blocks, pg_bitswap **out_bitswap)
{
    pg_bitswap *bitswap = PG_NEW(pg_bitswap);
    if (bitswap == NULL) {
        return PG_ERR_NOMEM;
    }
    bitswap->host = host;
    bitswap->blocks = blocks;
    pg_scope_init_tolerant(&bitswap->scope);
    pg_list_init(&bitswap->budget_queue);
    pg_waitq_init(&bitswap->left);
    pg_waitq_init(&bitswap->pressed);
    pg_err err = bitswap_begin(bitswap);
    if (err != PG_OK) {
        pg_mfree(bitswap);
        return err;
    }
    *out_bitswap = bitswap;
    return PG_OK;
}

void pg_bitswap_set_backing(pg_bitswap *bitswap, const pg_bitswap_backing *backing)
{
    bitswap->backing = backing == NULL ? (pg_bitswap_backing){.has = NULL} : *backing;
}

pg_bitswap_stats pg_bitswap_get_stats(const pg_bitswap *bitswap)
{
    pg_bitswap_stats stats = bitswap->stats;
    stats.wants_held = bitswap->held_count;
    return stats;
}

static void peers_cut(pg_bitswap *bitswap)
{
    pg_map_cursor cursor = {0};
    while (pg_map_next(&bitswap->peers, &cursor)) {
        pg_bitswap_peer *peer = cursor.value;
        pg_waitq_wake_all(&peer->answered);
        pg_waitq_wake_all(&peer->room);
        pg_waitq_wake_all(&peer->received);
        peer_cut(peer, true, "the exchange of blocks ends");
    }
}

void pg_bitswap_free(pg_bitswap **bitswap)
{
    pg_bitswap *it = *bitswap;
    if (it == NULL) {
        return;
    }
    *bitswap = NULL;
    pg_fiber_shield(true);
    it->is_closing = true;
    pg_host_unserve(it->host, PG_BITSWAP_ID);
    pg_host_unwatch(it->host, on_event, it);
    peers_cut(it);
    pg_host_withdraw(it->host, PG_BITSWAP_ID);
    pg_scope_close(&it->scope);
    while (it->stats.fetches_running > 0) {
        pg_ignore(pg_waitq_wait(&it->left, PG_FOREVER), "looked at again");
    }
    peers_cut(it); // what came while the others left
    pg_fiber_shield(false);
    pg_assert(pg_map_count(&it->peers) == 0 && it->held_count == 0 && it->pending_bytes == 0);
    pg_bitswap_spares_trim(it);
    pg_map_deinit(&it->peers);
    pg_map_deinit(&it->demands);
    pg_mfree(it);
}
