// SPDX-License-Identifier: Apache-2.0
// Descriptors that fibers wait on, and socket addresses.
#include <errno.h>
#include <netinet/in.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "runtime/real_priv.h"

/** A fiber that waits on one side; lives on its stack. */
struct waiter {
    pg_list node;
    pg_fiber *fiber;
    bool is_closed;
};

struct pg_watch {
    uv_poll_t poll;
    int fd;
    int armed; // events the loop looks for
    pg_list waiters[PG_WATCH_SIDE_COUNT];
};

static const int side_events[PG_WATCH_SIDE_COUNT] = {
    [PG_WATCH_SIDE_READ] = UV_READABLE,
    [PG_WATCH_SIDE_WRITE] = UV_WRITABLE,
    [PG_WATCH_SIDE_HANGUP] = UV_DISCONNECT,
};

static void on_handle_closed(uv_handle_t *handle)
{
    pg_mfree(PG_LIST_OBJECT(handle, pg_watch, poll));
}

pg_err pg_watch_new(pg_real *real, int fd, pg_watch **out_watch)
{
    pg_watch *watch = PG_NEW(pg_watch);
    if (watch == NULL) {
        (void) close(fd);
        return pg_fail(PG_ERR_NOMEM, "cannot watch a descriptor");
    }
    int code = uv_poll_init(&real->loop, &watch->poll, fd);
    if (code != 0) {
        (void) close(fd);
        pg_mfree(watch);
        return pg_fail_errno(-code, "watch", NULL);
    }
    watch->fd = fd;
    for (unsigned side = 0; side < PG_WATCH_SIDE_COUNT; side++) {
        pg_list_init(&watch->waiters[side]);
    }
    *out_watch = watch;
    return PG_OK;
}

pg_err pg_watch_new_socket(pg_real *real, int family, int type, pg_watch **out_watch)
{
    int fd = socket(family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    return fd < 0 ? pg_fail_errno(errno, "socket", NULL) : pg_watch_new(real, fd, out_watch);
}

int pg_watch_fd(const pg_watch *watch)
{
    return watch->fd;
}

static void on_event(uv_poll_t *handle, int status, int events);

static void arm(pg_watch *watch, int events)
{
    if (events == watch->armed) {
        return;
    }
    watch->armed = events;
    int code =
        events == 0 ? uv_poll_stop(&watch->poll) : uv_poll_start(&watch->poll, events, on_event);
    pg_assert(code == 0);
}

void pg_watch_wake(pg_watch *watch, pg_watch_side side)
{
    const pg_list *waiters = &watch->waiters[side];
    for (pg_list *node = waiters->next; node != waiters; node = node->next) {
        pg_fiber_wake(PG_LIST_OBJECT(node, struct waiter, node)->fiber);
    }
}

static void on_event(uv_poll_t *handle, int status, int events)
{
    pg_watch *watch = PG_LIST_OBJECT(handle, pg_watch, poll);
    int unwanted = 0;
    if (status != 0) {
        watch->armed = 0; // libuv has stopped it; the system call will tell what is wrong
        events = UV_READABLE | UV_WRITABLE | UV_DISCONNECT;
    }
    for (unsigned side = 0; side < PG_WATCH_SIDE_COUNT; side++) {
        if ((events & side_events[side]) == 0) {
            continue;
        }
        pg_watch_wake(watch, (pg_watch_side) side);
        unwanted |= pg_list_is_empty(&watch->waiters[side]) ? side_events[side] : 0;
    }
    arm(watch, watch->armed & ~unwanted);
}

pg_err pg_watch_wait(pg_watch *watch, pg_watch_side side, pg_time deadline)
{
    struct waiter waiter = {.fiber = pg_fiber_self()};
    pg_list_append(&watch->waiters[side], &waiter.node);
    arm(watch, watch->armed | side_events[side]);
    pg_err err = pg_fiber_park(deadline);
    if (waiter.is_closed) {
        return PG_ERR_CLOSED;
    }
    pg_list_remove(&waiter.node);
    return err;
}

void pg_watch_close(pg_watch *watch)
{
    for (unsigned side = 0; side < PG_WATCH_SIDE_COUNT; side++) {
        for (pg_list *node = pg_list_pop(&watch->waiters[side]); node != NULL;
             node = pg_list_pop(&watch->waiters[side])) {
            struct waiter *waiter = PG_LIST_OBJECT(node, struct waiter, node);
            waiter->is_closed = true;
            pg_fiber_wake(waiter->fiber);
        }
    }
    uv_close((uv_handle_t *) &watch->poll, on_handle_closed);
    (void) close(watch->fd);
}

// ---- Addresses

socklen_t pg_sockaddr_make(const pg_endpoint *endpoint, struct sockaddr_storage *out_address)
{
    memset(out_address, 0, sizeof(*out_address));
    if (endpoint->family == PG_IP_FAMILY_V6) {
        struct sockaddr_in6 *v6 = (struct sockaddr_in6 *) (void *) out_address;
        v6->sin6_family = AF_INET6;
        v6->sin6_port = htons(endpoint->port);
        v6->sin6_scope_id = endpoint->scope_id;
        memcpy(&v6->sin6_addr, endpoint->ip, 16);
        return sizeof(*v6);
    }
    struct sockaddr_in *v4 = (struct sockaddr_in *) (void *) out_address;
    v4->sin_family = AF_INET;
    v4->sin_port = htons(endpoint->port);
    memcpy(&v4->sin_addr, endpoint->ip, 4);
    return sizeof(*v4);
}

pg_endpoint pg_endpoint_of_sockaddr(const struct sockaddr_storage *address)
{
    pg_endpoint endpoint = {0};
    if (address->ss_family == AF_INET) {
        const struct sockaddr_in *v4 = (const struct sockaddr_in *) (const void *) address;
        endpoint.family = PG_IP_FAMILY_V4;
        endpoint.port = ntohs(v4->sin_port);
        memcpy(endpoint.ip, &v4->sin_addr, 4);
    } else if (address->ss_family == AF_INET6) {
        const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *) (const void *) address;
        endpoint.family = PG_IP_FAMILY_V6;
        endpoint.port = ntohs(v6->sin6_port);
        endpoint.scope_id = v6->sin6_scope_id;
        memcpy(endpoint.ip, &v6->sin6_addr, 16);
    }
    return endpoint;
}

pg_endpoint pg_endpoint_of_fd(int fd)
{
    struct sockaddr_storage address = {0};
    socklen_t len = sizeof(address);
    return getsockname(fd, (struct sockaddr *) &address, &len) == 0
               ? pg_endpoint_of_sockaddr(&address)
               : (pg_endpoint){0};
}

pg_err pg_sockaddr_make_unix(const char *path, struct sockaddr_un *out_address, socklen_t *out_len)
{
    size_t len = strlen(path);
    if (len == 0 || len >= sizeof(out_address->sun_path)) {
        return pg_fail(PG_ERR_LIMIT, "socket %s: a path has 1 to %zu bytes", path,
                       sizeof(out_address->sun_path) - 1);
    }
    *out_address = (struct sockaddr_un){.sun_family = AF_UNIX};
    memcpy(out_address->sun_path, path, len + 1);
    *out_len = (socklen_t) (offsetof(struct sockaddr_un, sun_path) + len + 1);
    return PG_OK;
}
