// SPDX-License-Identifier: Apache-2.0
// Endpoints as text, and the way from the functions of socket.h and resolve.h to the world of the run.
#include "runtime/socket.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#include "runtime/interfaces.h"
#include "runtime/resolve.h"
#include "runtime/world_priv.h"

bool pg_endpoint_equal(const pg_endpoint *a, const pg_endpoint *b)
{
    size_t ip_bytes = a->family == PG_IP_FAMILY_V4 ? 4 : 16;
    if (a->family != b->family) {
        return false;
    }
    return a->family == PG_IP_FAMILY_NONE || (memcmp(a->ip, b->ip, ip_bytes) == 0 &&
                                              a->port == b->port && a->scope_id == b->scope_id);
}

pg_bytes pg_endpoint_ip(const pg_endpoint *endpoint)
{
    static const size_t lens[] = {
        [PG_IP_FAMILY_NONE] = 0, [PG_IP_FAMILY_V4] = 4, [PG_IP_FAMILY_V6] = 16};
    return pg_bytes_make(endpoint->ip, lens[endpoint->family]);
}

bool pg_endpoint_is_loopback(const pg_endpoint *endpoint)
{
    static const uint8_t one[16] = {[15] = 1};
    if (endpoint->family == PG_IP_FAMILY_V4) {
        return endpoint->ip[0] == 127;
    }
    return pg_bytes_equal(pg_endpoint_ip(endpoint), PG_BYTES_OF(one));
}

bool pg_endpoint_is_any(const pg_endpoint *endpoint)
{
    static const uint8_t zeros[16];
    pg_bytes ip = pg_endpoint_ip(endpoint);
    return pg_bytes_equal(ip, pg_bytes_make(zeros, ip.len));
}

bool pg_endpoint_is_group(const pg_endpoint *endpoint)
{
    if (endpoint->family == PG_IP_FAMILY_V4) {
        return (endpoint->ip[0] & 0xf0U) == 0xe0;
    }
    return endpoint->family == PG_IP_FAMILY_V6 && endpoint->ip[0] == 0xff;
}

void pg_endpoint_format(const pg_endpoint *endpoint, char out_text[PG_ENDPOINT_TEXT_BYTES])
{
    char ip[INET6_ADDRSTRLEN] = "";
    switch (endpoint->family) {
    case PG_IP_FAMILY_V4:
        (void) inet_ntop(AF_INET, endpoint->ip, ip, sizeof(ip));
        (void) snprintf(out_text, PG_ENDPOINT_TEXT_BYTES, "%s:%u", ip, endpoint->port);
        break;
    case PG_IP_FAMILY_V6:
        (void) inet_ntop(AF_INET6, endpoint->ip, ip, sizeof(ip));
        if (endpoint->scope_id != 0) {
            (void) snprintf(out_text, PG_ENDPOINT_TEXT_BYTES, "[%s%%%u]:%u", ip,
                            (unsigned) endpoint->scope_id, endpoint->port);
        } else {
            (void) snprintf(out_text, PG_ENDPOINT_TEXT_BYTES, "[%s]:%u", ip, endpoint->port);
        }
        break;
    case PG_IP_FAMILY_NONE:
        (void) snprintf(out_text, PG_ENDPOINT_TEXT_BYTES, "none");
        break;
    }
}

static pg_err enter(pg_world **out_world, const pg_socket_ops **out_ops)
{
    pg_world *world = pg_world_current();
    pg_assert(world != NULL); // else: called outside a run
    if (pg_fiber_is_ghost()) {
        return PG_ERR_CANCELLED;
    }
    *out_world = world;
    *out_ops = world->ops->socket;
    return PG_OK;
}

static const pg_socket_ops *ops_get(void)
{
    return pg_world_current()->ops->socket;
}

pg_err pg_tcp_listen(const pg_endpoint *at, pg_listener **out_listener)
{
    pg_world *world = NULL;
    const pg_socket_ops *ops = NULL;
    PG_TRY(enter(&world, &ops));
    return ops->tcp_listen(world, at, out_listener);
}

pg_err pg_tcp_dial(const pg_endpoint *to, pg_time deadline, pg_stream **out_stream)
{
    pg_world *world = NULL;
    const pg_socket_ops *ops = NULL;
    PG_TRY(enter(&world, &ops));
    return ops->tcp_dial(world, to, deadline, out_stream);
}

void pg_tcp_endpoints(const pg_stream *stream, pg_endpoint *out_local, pg_endpoint *out_remote)
{
    ops_get()->tcp_endpoints(stream, out_local, out_remote);
}

pg_err pg_unix_listen(const char *path, pg_listener **out_listener)
{
    pg_world *world = NULL;
    const pg_socket_ops *ops = NULL;
    PG_TRY(enter(&world, &ops));
    return ops->unix_listen(world, path, out_listener);
}

pg_err pg_unix_dial(const char *path, pg_time deadline, pg_stream **out_stream)
{
    pg_world *world = NULL;
    const pg_socket_ops *ops = NULL;
    PG_TRY(enter(&world, &ops));
    return ops->unix_dial(world, path, deadline, out_stream);
}

pg_endpoint pg_listener_endpoint(const pg_listener *listener)
{
    return ops_get()->listener_endpoint(listener);
}

pg_err pg_listener_accept(pg_listener *listener, pg_time deadline, pg_stream **out_stream,
                          pg_endpoint *out_peer)
{
    pg_world *world = NULL;
    const pg_socket_ops *ops = NULL;
    pg_endpoint peer = {0};
    PG_TRY(enter(&world, &ops));
    PG_TRY(ops->listener_accept(listener, deadline, out_stream, &peer));
    if (out_peer != NULL) {
        *out_peer = peer;
    }
    return PG_OK;
}

void pg_listener_free(pg_listener **listener)
{
    if (*listener != NULL) {
        ops_get()->listener_free(*listener);
        *listener = NULL;
    }
}

pg_err pg_udp_bind(const pg_endpoint *at, pg_udp **out_udp)
{
    pg_world *world = NULL;
    const pg_socket_ops *ops = NULL;
    PG_TRY(enter(&world, &ops));
    return ops->udp_bind(world, at, out_udp);
}

pg_err pg_udp_join(const pg_endpoint *group, uint32_t interface, pg_udp **out_udp)
{
    pg_world *world = NULL;
    const pg_socket_ops *ops = NULL;
    if (!pg_endpoint_is_group(group)) {
        return pg_fail(PG_ERR_INVALID, "not the address of a multicast group");
    }
    PG_TRY(enter(&world, &ops));
    return ops->udp_join(world, group, interface, out_udp);
}

pg_endpoint pg_udp_endpoint(const pg_udp *udp)
{
    return ops_get()->udp_endpoint(udp);
}

pg_err pg_udp_send(pg_udp *udp, const pg_udp_msg *msg, pg_time deadline)
{
    pg_world *world = NULL;
    const pg_socket_ops *ops = NULL;
    PG_TRY(enter(&world, &ops));
    return ops->udp_send(udp, msg, deadline);
}

pg_err pg_udp_recv(pg_udp *udp, pg_time deadline, pg_udp_msg *out_msgs, size_t *out_count)
{
    pg_world *world = NULL;
    const pg_socket_ops *ops = NULL;
    PG_TRY(enter(&world, &ops));
    return ops->udp_recv(udp, deadline, out_msgs, out_count);
}

void pg_udp_free(pg_udp **udp)
{
    if (*udp != NULL) {
        ops_get()->udp_free(*udp);
        *udp = NULL;
    }
}

pg_err pg_resolve(const char *name, pg_ip_family family, pg_time deadline,
                  pg_endpoint *out_endpoints, size_t *out_count)
{
    pg_world *world = NULL;
    const pg_socket_ops *ops = NULL;
    PG_TRY(enter(&world, &ops));
    return ops->resolve(world, name, family, deadline, out_endpoints, out_count);
}

size_t pg_interfaces_list(pg_interface out_interfaces[PG_INTERFACES_MAX])
{
    return ops_get()->interfaces(pg_world_current(), out_interfaces);
}

size_t pg_interfaces(pg_endpoint out_endpoints[PG_INTERFACES_MAX])
{
    pg_interface found[PG_INTERFACES_MAX];
    size_t count = pg_interfaces_list(found);
    for (size_t i = 0; i < count; i++) {
        out_endpoints[i] = found[i].at;
    }
    return count;
}
