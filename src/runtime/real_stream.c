// SPDX-License-Identifier: Apache-2.0
// Streams on descriptors: TCP, Unix sockets, pipes; and dialing.
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/mem.h"
#include "runtime/real_priv.h"

#define PARTS_MAX 32           // of one system call
#define UNIX_RETRY_NS PG_MS(1) // when the listener's backlog is full: there is nothing to wait on

/** A stream on a descriptor. */
struct real_stream {
    pg_stream stream;
    pg_watch *watch; // NULL after a reset
    bool is_socket;
    bool read_ended;
    bool write_closed;
};

static struct real_stream *stream_of(pg_stream *stream)
{
    return (struct real_stream *) (void *) stream;
}

static bool would_block(int number)
{
    return number == EAGAIN || number == EWOULDBLOCK;
}

static pg_err stream_read(pg_stream *base, pg_mut_bytes space, pg_time deadline, size_t *out_len)
{
    struct real_stream *stream = stream_of(base);
    PG_TRY(pg_fiber_checkpoint());
    while (stream->watch != NULL) {
        ssize_t got = read(pg_watch_fd(stream->watch), space.ptr, space.len);
        if (got >= 0) {
            stream->read_ended = got == 0;
            *out_len = (size_t) got;
            return PG_OK;
        }
        if (would_block(errno)) {
            PG_TRY(pg_watch_wait(stream->watch, PG_WATCH_SIDE_READ, deadline));
        } else if (errno != EINTR) {
            return pg_err_of_errno(errno);
        }
    }
    return PG_ERR_CLOSED;
}

/** What is still to be written. */
struct rest {
    const pg_bytes *parts;
    size_t count;
    size_t offset; // in the first part
};

static int rest_fill(const struct rest *rest, struct iovec out_vectors[PARTS_MAX])
{
    int count = 0;
    for (size_t i = 0; i < rest->count && count < PARTS_MAX; i++) {
        pg_bytes part = pg_bytes_slice(rest->parts[i], i == 0 ? rest->offset : 0, SIZE_MAX);
        if (part.len > 0) {
            out_vectors[count++] =
                (struct iovec){.iov_base = (void *) (uintptr_t) part.ptr, .iov_len = part.len};
        }
    }
    return count;
}

static void rest_advance(struct rest *rest, size_t written)
{
    while (rest->count > 0 && written >= rest->parts[0].len - rest->offset) {
        written -= rest->parts[0].len - rest->offset;
        rest->offset = 0;
        rest->parts++;
        rest->count--;
    }
    rest->offset += written;
}

static pg_err stream_write(pg_stream *base, const pg_bytes *parts, size_t part_count,
                           pg_time deadline)
{
    struct real_stream *stream = stream_of(base);
    struct rest rest = {parts, part_count, 0};
    PG_TRY(pg_fiber_checkpoint());
    rest_advance(&rest, 0);
    while (stream->watch != NULL && !stream->write_closed) {
        if (rest.count == 0) {
            return PG_OK;
        }
        struct iovec vectors[PARTS_MAX];
        ssize_t put = writev(pg_watch_fd(stream->watch), vectors, rest_fill(&rest, vectors));
        if (put >= 0) {
            rest_advance(&rest, (size_t) put);
        } else if (would_block(errno)) {
            PG_TRY(pg_watch_wait(stream->watch, PG_WATCH_SIDE_WRITE, deadline));
        } else if (errno != EINTR) {
            return pg_err_of_errno(errno);
        }
    }
    return PG_ERR_CLOSED;
}

static void stream_reset(pg_stream *base)
{
    struct real_stream *stream = stream_of(base);
    if (stream->watch == NULL) {
        return;
    }
    if (stream->is_socket) {
        // Without lingering, closing sends a reset. A Unix socket ignores it.
        struct linger none = {.l_onoff = 1};
        (void) setsockopt(pg_watch_fd(stream->watch), SOL_SOCKET, SO_LINGER, &none, sizeof(none));
    }
    pg_watch_close(stream->watch);
    stream->watch = NULL;
}

static pg_err stream_close_write(pg_stream *base, pg_time deadline)
{
    (void) deadline; // the kernel sends what it has by itself
    struct real_stream *stream = stream_of(base);
    if (stream->watch == NULL) {
        return PG_ERR_CLOSED;
    }
    stream->write_closed = true;
    if (!stream->is_socket) {
        pg_watch_close(stream->watch); // a pipe has one direction
        stream->watch = NULL;
    } else if (shutdown(pg_watch_fd(stream->watch), SHUT_WR) != 0) {
        return errno == ENOTCONN ? PG_ERR_RESET : pg_err_of_errno(errno);
    }
    return PG_OK;
}

static void stream_free(pg_stream *base)
{
    struct real_stream *stream = stream_of(base);
    if (stream->watch != NULL && stream->write_closed && stream->read_ended) {
        pg_watch_close(stream->watch);
    } else {
        stream_reset(base);
    }
    pg_mfree(stream);
}

static const pg_stream_ops stream_ops = {
    .read = stream_read,
    .write = stream_write,
    .close_write = stream_close_write,
    .reset = stream_reset,
    .free = stream_free,
};

pg_err pg_real_stream_new(pg_watch *watch, bool is_socket, pg_stream **out_stream)
{
    struct real_stream *stream = PG_NEW(struct real_stream);
    if (stream == NULL) {
        pg_watch_close(watch);
        return pg_fail(PG_ERR_NOMEM, "cannot make a stream");
    }
    stream->stream.ops = &stream_ops;
    stream->watch = watch;
    stream->is_socket = is_socket;
    *out_stream = &stream->stream;
    return PG_OK;
}

void pg_real_tcp_endpoints(const pg_stream *stream, pg_endpoint *out_local, pg_endpoint *out_remote)
{
    const pg_watch *watch = ((const struct real_stream *) (const void *) stream)->watch;
    *out_local = (pg_endpoint){0};
    *out_remote = (pg_endpoint){0};
    if (watch == NULL) {
        return;
    }
    struct sockaddr_storage address = {0};
    socklen_t len = sizeof(address);
    *out_local = pg_endpoint_of_fd(pg_watch_fd(watch));
    if (getpeername(pg_watch_fd(watch), (struct sockaddr *) &address, &len) == 0) {
        *out_remote = pg_endpoint_of_sockaddr(&address);
    }
}

// ---- Dialing

static pg_err connect_wait(pg_watch *watch, const struct sockaddr *address, socklen_t len,
                           pg_time deadline)
{
    int number = 0;
    socklen_t number_bytes = sizeof(number);
    int rc = connect(pg_watch_fd(watch), address, len);
    while (rc != 0 && (errno == EINTR || errno == EAGAIN)) {
        if (errno == EAGAIN) {
            PG_TRY(pg_now() >= deadline ? PG_ERR_TIMEOUT : PG_OK);
            PG_TRY(pg_sleep_until(pg_earlier(deadline, pg_after(UNIX_RETRY_NS))));
        }
        rc = connect(pg_watch_fd(watch), address, len);
    }
    if (rc == 0) {
        return PG_OK;
    }
    if (errno != EINPROGRESS && errno != EALREADY) {
        return pg_fail_errno(errno, "connect", NULL);
    }
    PG_TRY(pg_watch_wait(watch, PG_WATCH_SIDE_WRITE, deadline));
    (void) getsockopt(pg_watch_fd(watch), SOL_SOCKET, SO_ERROR, &number, &number_bytes);
    return number == 0 ? PG_OK : pg_fail_errno(number, "connect", NULL);
}

static pg_err dial(pg_watch *watch, const struct sockaddr *address, socklen_t len, pg_time deadline,
                   pg_stream **out_stream)
{
    pg_err err = connect_wait(watch, address, len, deadline);
    if (err != PG_OK) {
        pg_watch_close(watch);
        return err;
    }
    return pg_real_stream_new(watch, true, out_stream);
}

pg_err pg_real_tcp_dial(pg_world *world, const pg_endpoint *to, pg_time deadline,
                        pg_stream **out_stream)
{
    struct sockaddr_storage address;
    socklen_t len = pg_sockaddr_make(to, &address);
    pg_watch *watch = NULL;
    int yes = 1;
    PG_TRY(pg_fiber_checkpoint());
    PG_TRY(pg_watch_new_socket((pg_real *) (void *) world, address.ss_family, SOCK_STREAM, &watch));
    (void) setsockopt(pg_watch_fd(watch), IPPROTO_TCP, TCP_NODELAY, &yes, sizeof(yes));
    return dial(watch, (const struct sockaddr *) &address, len, deadline, out_stream);
}

pg_err pg_real_unix_dial(pg_world *world, const char *path, pg_time deadline,
                         pg_stream **out_stream)
{
    struct sockaddr_un address;
    socklen_t len = 0;
    pg_watch *watch = NULL;
    PG_TRY(pg_fiber_checkpoint());
    PG_TRY(pg_sockaddr_make_unix(path, &address, &len));
    PG_TRY(pg_watch_new_socket((pg_real *) (void *) world, AF_UNIX, SOCK_STREAM, &watch));
    pg_err err = dial(watch, (const struct sockaddr *) &address, len, deadline, out_stream);
    return err == PG_OK ? PG_OK : pg_error_wrap(err, "%s", path);
}
