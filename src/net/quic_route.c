// SPDX-License-Identifier: Apache-2.0
// Which connection a packet is for, the tombs of those that have ended, and when each connection wants to be looked at.
#include <string.h>

#include <ngtcp2/ngtcp2_crypto.h>

#include "base/mem.h"
#include "net/quic_priv.h"

// ---- Addresses

static void sockaddr_fill(const pg_endpoint *endpoint, ngtcp2_sockaddr_union *space,
                          ngtcp2_addr *out_addr)
{
    const uint8_t port[2] = {(uint8_t) (endpoint->port >> 8), (uint8_t) endpoint->port};
    memset(space, 0, sizeof(*space));
    out_addr->addr = &space->sa;
    if (endpoint->family == PG_IP_FAMILY_V6) {
        space->in6.sin6_family = NGTCP2_AF_INET6;
        space->in6.sin6_scope_id = endpoint->scope_id;
        memcpy(&space->in6.sin6_port, port, sizeof(port));
        memcpy(&space->in6.sin6_addr, endpoint->ip, 16);
        out_addr->addrlen = sizeof(space->in6);
    } else {
        space->in.sin_family = NGTCP2_AF_INET;
        memcpy(&space->in.sin_port, port, sizeof(port));
        memcpy(&space->in.sin_addr, endpoint->ip, 4);
        out_addr->addrlen = sizeof(space->in);
    }
}

void pg_quic_path_set(pg_quic_path *path, const pg_endpoint *local, const pg_endpoint *remote)
{
    path->path.user_data = NULL;
    sockaddr_fill(local, &path->local, &path->path.local);
    sockaddr_fill(remote, &path->remote, &path->path.remote);
}

pg_endpoint pg_quic_path_endpoint(const ngtcp2_addr *addr)
{
    pg_endpoint endpoint = {0};
    uint8_t port[2] = {0};
    if (addr->addr->sa_family == NGTCP2_AF_INET6) {
        const ngtcp2_sockaddr_in6 *v6 = (const ngtcp2_sockaddr_in6 *) (const void *) addr->addr;
        endpoint.family = PG_IP_FAMILY_V6;
        endpoint.scope_id = v6->sin6_scope_id;
        memcpy(port, &v6->sin6_port, sizeof(port));
        memcpy(endpoint.ip, &v6->sin6_addr, 16);
    } else {
        const ngtcp2_sockaddr_in *v4 = (const ngtcp2_sockaddr_in *) (const void *) addr->addr;
        endpoint.family = PG_IP_FAMILY_V4;
        memcpy(port, &v4->sin_port, sizeof(port));
        memcpy(endpoint.ip, &v4->sin_addr, 4);
    }
    endpoint.port = (uint16_t) (port[0] << 8 | port[1]);
    return endpoint;
}

// ---- Routes

pg_err pg_quic_route_add(pg_quic_conn *conn, const uint8_t *cid, size_t cid_len)
{
    pg_quic_route *route = PG_NEW(pg_quic_route);
    if (route == NULL) {
        return pg_fail(PG_ERR_NOMEM, "no memory for a connection id");
    }
    route->conn = conn;
    route->cid_len = (uint8_t) cid_len;
    memcpy(route->cid, cid, cid_len);
    pg_err err = pg_map_add(&conn->endpoint->routes, pg_bytes_make(cid, cid_len), route);
    if (err != PG_OK) {
        pg_mfree(route);
        return err;
    }
    pg_list_append(&conn->routes, &route->node);
    return PG_OK;
}

static void route_free(pg_quic_endpoint *endpoint, pg_quic_route *route)
{
    (void) pg_map_take(&endpoint->routes, pg_bytes_make(route->cid, route->cid_len));
    pg_list_remove(&route->node);
    pg_mfree(route);
}

static void routes_free(pg_quic_endpoint *endpoint, pg_list *routes)
{
    while (!pg_list_is_empty(routes)) {
        route_free(endpoint, PG_LIST_OBJECT(routes->next, pg_quic_route, node));
    }
}

void pg_quic_route_remove(pg_quic_endpoint *endpoint, const uint8_t *cid, size_t cid_len)
{
    pg_quic_route *route = pg_map_get(&endpoint->routes, pg_bytes_make(cid, cid_len));
    if (route != NULL) {
        route_free(endpoint, route);
    }
}

// ---- Stateless resets

void pg_quic_reset_token(const pg_quic_endpoint *endpoint, const ngtcp2_cid *cid,
                         ngtcp2_stateless_reset_token *out_token)
{
    const pg_key *key = endpoint->config.reset_key;
    memset(out_token->data, 0, sizeof(out_token->data));
    pg_ignore(ngtcp2_crypto_generate_stateless_reset_token(out_token->data, key->bytes,
                                                           sizeof(key->bytes), cid) != 0,
              "out of memory: a token nobody can use");
}

void pg_quic_reset_note(pg_quic_conn *conn, const ngtcp2_stateless_reset_token *token)
{
    pg_bytes key = PG_BYTES_OF(token->data);
    if (pg_map_add(&conn->endpoint->resets, key, conn) == PG_OK) {
        memcpy(conn->reset_token, key.ptr, key.len);
        conn->has_reset = true;
    }
}

void pg_quic_reset_forget(pg_quic_conn *conn)
{
    if (conn->has_reset) {
        conn->has_reset = false;
        (void) pg_map_take(&conn->endpoint->resets, PG_BYTES_OF(conn->reset_token));
    }
}

// ---- The end of a connection

void pg_quic_pending_remove(pg_quic_conn *conn)
{
    if (pg_list_is_linked(&conn->pending_node)) {
        pg_list_remove(&conn->pending_node);
        conn->endpoint->stats.pending--;
        conn->endpoint->unvalidated -= conn->was_counted ? 0 : 1;
    }
}

// Out of all lists; its routes stay.
static void conn_detach(pg_quic_conn *conn)
{
    pg_quic_pending_remove(conn);
    pg_quic_reset_forget(conn);
    pg_quic_heap_remove(conn->endpoint, conn);
    pg_list_remove(&conn->ready_node);
    pg_list_remove(&conn->node);
    if (conn->endpoint->sending == conn) {
        conn->endpoint->sending = NULL;
    }
    conn->endpoint->stats.connections--;
}

void pg_quic_unlink(pg_quic_conn *conn)
{
    conn_detach(conn);
    routes_free(conn->endpoint, &conn->routes);
}

void pg_quic_tomb_free(pg_quic_endpoint *endpoint, pg_quic_tomb *tomb)
{
    routes_free(endpoint, &tomb->routes);
    pg_list_remove(&tomb->node);
    pg_list_remove(&tomb->due_node);
    endpoint->tomb_count--;
    pg_mfree(tomb);
}

void pg_quic_bury(pg_quic_conn *conn, pg_bytes packet)
{
    pg_quic_endpoint *endpoint = conn->endpoint;
    conn_detach(conn);
    pg_quic_tomb *tomb = pg_malloc(sizeof(*tomb) + packet.len);
    if (tomb == NULL) { // stray packets will get a stateless reset, which is as good
        routes_free(endpoint, &conn->routes);
        return;
    }
    *tomb = (pg_quic_tomb){.remote = conn->remote, .packet_len = packet.len};
    tomb->local = conn->is_client ? (pg_endpoint){0} : conn->local;
    tomb->until = pg_after(PG_MS(PG_NET_QUIC_TOMB_MS));
    if (packet.len > 0) {
        memcpy(tomb->packet, packet.ptr, packet.len);
    }
    pg_list_init(&tomb->routes);
    for (pg_list *node = pg_list_pop(&conn->routes); node != NULL;
         node = pg_list_pop(&conn->routes)) {
        pg_quic_route *route = PG_LIST_OBJECT(node, pg_quic_route, node);
        route->conn = NULL;
        route->tomb = tomb;
        pg_list_append(&tomb->routes, node);
    }
    pg_list_append(&endpoint->tombs, &tomb->node);
    endpoint->tomb_count++;
    if (packet.len > 0) {
        pg_list_append(&endpoint->tombs_due, &tomb->due_node);
        (void) pg_waitq_wake_one(&endpoint->sender);
    }
    if (endpoint->tomb_count > PG_NET_QUIC_TOMBS_MAX) {
        pg_quic_tomb_free(endpoint, PG_LIST_OBJECT(endpoint->tombs.next, pg_quic_tomb, node));
    }
}

// ---- The heap

static void heap_put(pg_quic_endpoint *endpoint, size_t index, pg_quic_conn *conn)
{
    endpoint->heap[index] = conn;
    conn->heap_index = index;
}

static size_t heap_rise(pg_quic_endpoint *endpoint, size_t index, const pg_quic_conn *conn)
{
    while (index > 0 && endpoint->heap[(index - 1) / 2]->expiry > conn->expiry) {
        heap_put(endpoint, index, endpoint->heap[(index - 1) / 2]);
        index = (index - 1) / 2;
    }
    return index;
}

static size_t heap_sink(pg_quic_endpoint *endpoint, size_t index, const pg_quic_conn *conn)
{
    for (;;) {
        size_t child = 2 * index + 1;
        if (child + 1 < endpoint->heap_len &&
            endpoint->heap[child + 1]->expiry < endpoint->heap[child]->expiry) {
            child++;
        }
        if (child >= endpoint->heap_len || endpoint->heap[child]->expiry >= conn->expiry) {
            return index;
        }
        heap_put(endpoint, index, endpoint->heap[child]);
        index = child;
    }
}

static void heap_settle(pg_quic_endpoint *endpoint, size_t index, pg_quic_conn *conn)
{
    index = heap_rise(endpoint, index, conn);
    index = heap_sink(endpoint, index, conn);
    heap_put(endpoint, index, conn);
}

pg_err pg_quic_heap_reserve(pg_quic_endpoint *endpoint)
{
    if (endpoint->stats.connections <= endpoint->heap_cap) {
        return PG_OK;
    }
    size_t cap = endpoint->heap_cap == 0 ? 16 : endpoint->heap_cap * 2;
    pg_quic_conn **grown = pg_realloc(endpoint->heap, cap * sizeof(pg_quic_conn *));
    if (grown == NULL) {
        return pg_fail(PG_ERR_NOMEM, "no memory for a connection");
    }
    endpoint->heap = grown;
    endpoint->heap_cap = cap;
    return PG_OK;
}

void pg_quic_heap_set(pg_quic_endpoint *endpoint, pg_quic_conn *conn)
{
    size_t index = conn->heap_index;
    if (index == PG_QUIC_NO_HEAP) {
        pg_assert(endpoint->heap_len < endpoint->heap_cap); // reserved with the connection
        index = endpoint->heap_len;
        endpoint->heap_len++;
        endpoint->heap[index] = conn;
    }
    heap_settle(endpoint, index, conn);
}

void pg_quic_heap_remove(pg_quic_endpoint *endpoint, pg_quic_conn *conn)
{
    size_t index = conn->heap_index;
    if (index == PG_QUIC_NO_HEAP) {
        return;
    }
    conn->heap_index = PG_QUIC_NO_HEAP;
    endpoint->heap_len--;
    if (index < endpoint->heap_len) {
        heap_settle(endpoint, index, endpoint->heap[endpoint->heap_len]);
    }
}
