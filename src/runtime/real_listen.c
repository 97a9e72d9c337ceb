// SPDX-License-Identifier: Apache-2.0
// Listeners for TCP and Unix sockets.
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/str.h"
#include "runtime/real_priv.h"

#define BACKLOG 1024

struct pg_listener {
    pg_real *real;
    pg_watch *watch;
    char *path; // of a Unix socket, removed with it; NULL for TCP
};

static pg_err listener_new(pg_real *real, pg_watch *watch, const char *path,
                           pg_listener **out_listener)
{
    pg_listener *listener = PG_NEW(pg_listener);
    char *own_path = path == NULL ? NULL : pg_str_dup(pg_str_make(path));
    if (listener == NULL || (path != NULL && own_path == NULL)) {
        pg_mfree(listener);
        pg_mfree(own_path);
        return pg_fail(PG_ERR_NOMEM, "cannot listen");
    }
    if (listen(pg_watch_fd(watch), BACKLOG) != 0) {
        int number = errno;
        pg_mfree(listener);
        pg_mfree(own_path);
        return pg_fail_errno(number, "listen", NULL);
    }
    *listener = (pg_listener){real, watch, own_path};
    *out_listener = listener;
    return PG_OK;
}

pg_err pg_real_tcp_listen(pg_world *world, const pg_endpoint *at, pg_listener **out_listener)
{
    pg_real *real = (pg_real *) (void *) world;
    struct sockaddr_storage address;
    socklen_t len = pg_sockaddr_make(at, &address);
    pg_watch *watch = NULL;
    int yes = 1;
    PG_TRY(pg_watch_new_socket(real, address.ss_family, SOCK_STREAM, &watch));
    (void) setsockopt(pg_watch_fd(watch), SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes));
    if (address.ss_family == AF_INET6) {
        (void) setsockopt(pg_watch_fd(watch), IPPROTO_IPV6, IPV6_V6ONLY, &yes, sizeof(yes));
    }
    pg_err err = PG_OK;
    if (bind(pg_watch_fd(watch), (const struct sockaddr *) &address, len) != 0) {
        char text[PG_ENDPOINT_TEXT_BYTES];
        int number = errno;
        pg_endpoint_format(at, text);
        err = pg_fail_errno(number, "listen on", text);
    } else {
        err = listener_new(real, watch, NULL, out_listener);
    }
    if (err != PG_OK) {
        pg_watch_close(watch);
    }
    return err;
}

// A socket file whose process is gone refuses connections.
static pg_err dead_socket_remove(const char *path, const struct sockaddr *address, socklen_t len)
{
    struct stat info;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return pg_fail_errno(errno, "socket", NULL);
    }
    bool is_dead = connect(fd, address, len) != 0 && errno == ECONNREFUSED &&
                   lstat(path, &info) == 0 && S_ISSOCK(info.st_mode);
    (void) close(fd);
    if (!is_dead) {
        return pg_fail(PG_ERR_BUSY, "listen on %s: somebody listens there, or it is no socket",
                       path);
    }
    return unlink(path) == 0 ? PG_OK : pg_fail_errno(errno, "remove", path);
}

static pg_err unix_bind(int fd, const char *path)
{
    struct sockaddr_un address;
    socklen_t len = 0;
    PG_TRY(pg_sockaddr_make_unix(path, &address, &len));
    // Set before binding, so that the file never has a wider mode.
    if (fchmod(fd, 0600) != 0) {
        return pg_fail_errno(errno, "mode of", path);
    }
    if (bind(fd, (const struct sockaddr *) &address, len) == 0) {
        return PG_OK;
    }
    if (errno != EADDRINUSE) {
        return pg_fail_errno(errno, "listen on", path);
    }
    PG_TRY(dead_socket_remove(path, (const struct sockaddr *) &address, len));
    return bind(fd, (const struct sockaddr *) &address, len) == 0
               ? PG_OK
               : pg_fail_errno(errno, "listen on", path);
}

pg_err pg_real_unix_listen(pg_world *world, const char *path, pg_listener **out_listener)
{
    pg_real *real = (pg_real *) (void *) world;
    pg_watch *watch = NULL;
    PG_TRY(pg_watch_new_socket(real, AF_UNIX, SOCK_STREAM, &watch));
    pg_err err = unix_bind(pg_watch_fd(watch), path);
    if (err == PG_OK) {
        err = listener_new(real, watch, path, out_listener);
    }
    if (err != PG_OK) {
        pg_watch_close(watch);
    }
    return err;
}

int pg_real_listener_fd(const pg_listener *listener)
{
    return pg_watch_fd(listener->watch);
}

pg_endpoint pg_real_listener_endpoint(const pg_listener *listener)
{
    return pg_endpoint_of_fd(pg_watch_fd(listener->watch));
}

// Errors of one connection that died in the queue, not of the listener.
static bool is_passing(int number)
{
    return number == EINTR || number == ECONNABORTED || number == EPROTO || number == ENETDOWN ||
           number == EHOSTUNREACH || number == ENETUNREACH;
}

pg_err pg_real_listener_accept(pg_listener *listener, pg_time deadline, pg_stream **out_stream,
                               pg_endpoint *out_peer)
{
    struct sockaddr_storage address = {0};
    int fd = -1;
    PG_TRY(pg_fiber_checkpoint());
    while (fd < 0) {
        socklen_t len = sizeof(address);
        fd = accept4(pg_watch_fd(listener->watch), (struct sockaddr *) &address, &len,
                     SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0 && errno == EAGAIN) {
            PG_TRY(pg_watch_wait(listener->watch, PG_WATCH_SIDE_READ, deadline));
        } else if (fd < 0 && !is_passing(errno)) {
            return pg_fail_errno(errno, "accept", NULL);
        }
    }
    pg_watch *watch = NULL;
    int yes = 1;
    if (listener->path == NULL) {
        (void) setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof(yes));
    }
    PG_TRY(pg_watch_new(listener->real, fd, &watch));
    PG_TRY(pg_real_stream_new(watch, true, out_stream));
    *out_peer = pg_endpoint_of_sockaddr(&address);
    return PG_OK;
}

void pg_real_listener_free(pg_listener *listener)
{
    if (listener->path != NULL) {
        (void) unlink(listener->path);
        pg_mfree(listener->path);
    }
    pg_watch_close(listener->watch);
    pg_mfree(listener);
}
