// SPDX-License-Identifier: Apache-2.0
// Goal: TCP and Unix streams do what socket.h and stream.h say: order, half-close, reset, deadlines, refusals.
// Method: both ends in one run, over loopback and sockets in a temporary folder.
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/mem.h"
#include "in_fiber.h"
#include "runtime/fiber.h"
#include "runtime/real_priv.h"
#include "runtime/socket.h"

static const pg_endpoint loopback4 = {.family = PG_IP_FAMILY_V4, .ip = {127, 0, 0, 1}};
static const pg_endpoint loopback6 = {.family = PG_IP_FAMILY_V6, .ip = {[15] = 1}};
static char folder[64];
static char socket_path[96];

/** Two ends of a connection. */
struct pair {
    pg_listener *listener;
    pg_stream *near;
    pg_stream *far;
};

static void tcp_pair_open(struct pair *pair, const pg_endpoint *at)
{
    pg_endpoint peer;
    pg_endpoint local;
    pg_endpoint remote;
    CHECK_OK(pg_tcp_listen(at, &pair->listener));
    pg_endpoint listening = pg_listener_endpoint(pair->listener);
    CHECK(listening.port != 0 && listening.family == at->family);
    CHECK_OK(pg_tcp_dial(&listening, SOON, &pair->near));
    CHECK_OK(pg_listener_accept(pair->listener, SOON, &pair->far, &peer));
    pg_tcp_endpoints(pair->near, &local, &remote);
    CHECK(pg_endpoint_equal(&remote, &listening));
    CHECK(pg_endpoint_equal(&local, &peer));
}

static void unix_pair_open(struct pair *pair)
{
    pg_endpoint peer = loopback4;
    CHECK_OK(pg_unix_listen(socket_path, &pair->listener));
    CHECK_OK(pg_unix_dial(socket_path, SOON, &pair->near));
    CHECK_OK(pg_listener_accept(pair->listener, SOON, &pair->far, &peer));
    CHECK(peer.family == PG_IP_FAMILY_NONE);
}

static void pair_close(struct pair *pair)
{
    pg_stream_free(&pair->near);
    pg_stream_free(&pair->far);
    pg_listener_free(&pair->listener);
    CHECK(pair->listener == NULL);
    pg_listener_free(&pair->listener);
}

#define BYTES ((size_t) 3 * 1024 * 1024) // more than the kernel buffers

static pg_err body_write_all(void *arg)
{
    struct pair *pair = arg;
    uint8_t *bytes = pg_malloc(BYTES);
    pg_bytes parts[40];
    size_t count = PG_ARRAY_LEN(parts);
    CHECK(bytes != NULL);
    for (size_t i = 0; i < BYTES; i++) {
        bytes[i] = (uint8_t) (i * 31 >> 3);
    }
    for (size_t i = 0; i < count; i++) {
        size_t from = i * (BYTES / count);
        size_t len = i + 1 < count ? BYTES / count : BYTES - from;
        parts[i] = pg_bytes_make(bytes + from, len);
    }
    CHECK_OK(pg_stream_writev(pair->near, parts, count, SOON));
    CHECK_OK(pg_stream_write(pair->near, PG_BYTES_EMPTY, SOON));
    CHECK_OK(pg_stream_close_write(pair->near, SOON));
    CHECK_ERR(pg_stream_write(pair->near, PG_BYTES_LIT("x"), SOON), PG_ERR_CLOSED);
    pg_mfree(bytes);
    return PG_OK;
}

static void transfer(struct pair *pair)
{
    pg_scope scope;
    uint8_t *bytes = pg_malloc(BYTES);
    size_t len = 1;
    CHECK(bytes != NULL);
    pg_scope_init(&scope);
    CHECK_OK(pg_scope_spawn(&scope, "test.writer", body_write_all, pair));
    CHECK_OK(pg_stream_read_full(pair->far, pg_mut_bytes_make(bytes, BYTES), SOON));
    for (size_t i = 0; i < BYTES; i++) {
        CHECK(bytes[i] == (uint8_t) (i * 31 >> 3));
    }
    CHECK_OK(pg_stream_read(pair->far, pg_mut_bytes_make(bytes, 1), SOON, &len));
    CHECK(len == 0);
    CHECK_OK(pg_scope_join(&scope));
    // The way back is still open.
    CHECK_OK(pg_stream_write(pair->far, PG_BYTES_LIT("back"), SOON));
    CHECK_OK(pg_stream_close_write(pair->far, SOON));
    CHECK_OK(pg_stream_read_full(pair->near, pg_mut_bytes_make(bytes, 4), SOON));
    CHECK(memcmp(bytes, "back", 4) == 0);
    CHECK_ERR(pg_stream_read_full(pair->near, pg_mut_bytes_make(bytes, 1), SOON), PG_ERR_CLOSED);
    pg_mfree(bytes);
}

static pg_err body_transfer(void *arg)
{
    struct pair pair = {0};
    if (arg != NULL) {
        tcp_pair_open(&pair, arg);
    } else {
        unix_pair_open(&pair);
    }
    transfer(&pair);
    pair_close(&pair);
    return PG_OK;
}

static void test_tcp__much_written_and_half_closed__arrives_whole(void **state)
{
    (void) state;
    pg_endpoint v4 = loopback4;
    pg_endpoint v6 = loopback6;
    in_fiber(body_transfer, &v4);
    in_fiber(body_transfer, &v6);
}

static void test_unix__much_written_and_half_closed__arrives_whole(void **state)
{
    (void) state;
    in_fiber(body_transfer, NULL);
}

struct reader {
    pg_stream *stream;
    pg_err err;
};

static pg_err body_read_one(void *arg)
{
    struct reader *reader = arg;
    uint8_t byte = 0;
    reader->err = pg_stream_read_full(reader->stream, pg_mut_bytes_make(&byte, 1), PG_FOREVER);
    return PG_OK;
}

static pg_err body_write_for_ever(void *arg)
{
    struct reader *writer = arg;
    static const uint8_t bytes[65536];
    do {
        writer->err = pg_stream_write(writer->stream, PG_BYTES_OF(bytes), PG_FOREVER);
    } while (writer->err == PG_OK);
    return PG_OK;
}

static pg_err body_reset(void *arg)
{
    (void) arg;
    struct pair pair = {0};
    pg_scope scope;
    pg_endpoint local;
    pg_endpoint remote;
    tcp_pair_open(&pair, &loopback4);
    struct reader near = {pair.near, PG_OK};
    struct reader far = {pair.far, PG_OK};
    struct reader near_writer = {pair.near, PG_OK};
    pg_scope_init(&scope);
    CHECK_OK(pg_scope_spawn(&scope, "test.read", body_read_one, &near));
    CHECK_OK(pg_scope_spawn(&scope, "test.read", body_read_one, &far));
    CHECK_OK(pg_fiber_yield());
    pg_stream_reset(pair.near);
    pg_stream_reset(pair.near);
    CHECK_OK(pg_scope_join(&scope));
    CHECK_ERR(near.err, PG_ERR_CLOSED);
    CHECK_ERR(far.err, PG_ERR_RESET);
    CHECK_OK(pg_scope_spawn(&scope, "test.write", body_write_for_ever, &near_writer));
    CHECK_OK(pg_scope_join(&scope));
    CHECK_ERR(near_writer.err, PG_ERR_CLOSED);
    CHECK_ERR(pg_stream_close_write(pair.near, SOON), PG_ERR_CLOSED);
    CHECK_ERR(pg_stream_write(pair.far, PG_BYTES_LIT("x"), SOON), PG_ERR_RESET);
    pg_tcp_endpoints(pair.near, &local, &remote);
    CHECK(local.family == PG_IP_FAMILY_NONE && remote.family == PG_IP_FAMILY_NONE);
    pair_close(&pair);
    return PG_OK;
}

static void test_tcp__reset__ends_waits_on_both_sides(void **state)
{
    (void) state;
    in_fiber(body_reset, NULL);
}

static pg_err body_waits(void *arg)
{
    (void) arg;
    struct pair pair = {0};
    pg_scope scope;
    uint8_t byte = 0;
    tcp_pair_open(&pair, &loopback4);
    CHECK_ERR(pg_stream_read_full(pair.near, pg_mut_bytes_make(&byte, 1), pg_after(PG_MS(1))),
              PG_ERR_TIMEOUT);
    struct reader reader = {pair.near, PG_OK};
    struct reader writer = {pair.near, PG_OK};
    pg_scope_init(&scope);
    CHECK_OK(pg_scope_spawn(&scope, "test.read", body_read_one, &reader));
    CHECK_OK(pg_scope_spawn(&scope, "test.write", body_write_for_ever, &writer));
    CHECK_OK(pg_sleep_until(pg_after(PG_MS(5))));
    pg_scope_close(&scope);
    CHECK_ERR(reader.err, PG_ERR_CANCELLED);
    CHECK_ERR(writer.err, PG_ERR_CANCELLED);
    // Freed unfinished: the other side is reset, after what it was sent or instead.
    pg_stream_free(&pair.near);
    pg_err err = PG_OK;
    while (err == PG_OK) {
        err = pg_stream_read_full(pair.far, pg_mut_bytes_make(&byte, 1), SOON);
    }
    CHECK_ERR(err, PG_ERR_RESET);
    pair_close(&pair);
    return PG_OK;
}

static void test_tcp__late_or_cancelled__ends_the_wait(void **state)
{
    (void) state;
    in_fiber(body_waits, NULL);
}

struct acceptor {
    pg_listener *listener;
    pg_err err;
};

static pg_err body_accept(void *arg)
{
    struct acceptor *acceptor = arg;
    pg_stream *stream = NULL;
    acceptor->err = pg_listener_accept(acceptor->listener, PG_FOREVER, &stream, NULL);
    return PG_OK;
}

static pg_err body_listener(void *arg)
{
    (void) arg;
    pg_listener *listener = NULL;
    pg_listener *second = NULL;
    pg_stream *stream = NULL;
    pg_scope scope;
    CHECK_OK(pg_tcp_listen(&loopback4, &listener));
    pg_endpoint at = pg_listener_endpoint(listener);
    CHECK_ERR(pg_tcp_listen(&at, &second), PG_ERR_BUSY);
    CHECK_ERR(pg_listener_accept(listener, pg_after(PG_MS(1)), &stream, NULL), PG_ERR_TIMEOUT);
    pg_endpoint nowhere = {.family = PG_IP_FAMILY_V4, .ip = {203, 0, 113, 1}};
    CHECK_ERR(pg_tcp_listen(&nowhere, &second), PG_ERR_UNREACHABLE);

    struct acceptor acceptor = {listener, PG_OK};
    pg_scope_init(&scope);
    CHECK_OK(pg_scope_spawn(&scope, "test.accept", body_accept, &acceptor));
    CHECK_OK(pg_fiber_yield());
    pg_scope_close(&scope);
    CHECK_ERR(acceptor.err, PG_ERR_CANCELLED);
    CHECK_OK(pg_scope_spawn(&scope, "test.accept", body_accept, &acceptor));
    CHECK_OK(pg_fiber_yield());
    pg_listener_free(&listener);
    CHECK_OK(pg_scope_join(&scope));
    CHECK_ERR(acceptor.err, PG_ERR_CLOSED);
    CHECK_ERR(pg_tcp_dial(&at, SOON, &stream), PG_ERR_REFUSED);
    return PG_OK;
}

static void test_listener__busy_late_cancelled_freed__says_so(void **state)
{
    (void) state;
    in_fiber(body_listener, NULL);
}

static pg_err body_accept_one(void *arg)
{
    pg_stream *stream = NULL;
    uint8_t byte = 0;
    CHECK_OK(pg_listener_accept(arg, SOON, &stream, NULL));
    CHECK_ERR(pg_stream_read_full(stream, pg_mut_bytes_make(&byte, 1), SOON), PG_ERR_CLOSED);
    pg_stream_free(&stream);
    return PG_OK;
}

static pg_err body_two_accept(void *arg)
{
    (void) arg;
    pg_listener *listener = NULL;
    pg_stream *streams[2] = {0};
    pg_scope scope;
    pg_scope_init(&scope);
    CHECK_OK(pg_tcp_listen(&loopback4, &listener));
    pg_endpoint at = pg_listener_endpoint(listener);
    for (unsigned i = 0; i < 2; i++) {
        CHECK_OK(pg_scope_spawn(&scope, "test.accept", body_accept_one, listener));
    }
    CHECK_OK(pg_fiber_yield());
    for (unsigned i = 0; i < 2; i++) {
        CHECK_OK(pg_tcp_dial(&at, SOON, &streams[i]));
        CHECK_OK(pg_stream_close_write(streams[i], SOON));
    }
    CHECK_OK(pg_scope_join(&scope));
    pg_stream_free(&streams[0]);
    pg_stream_free(&streams[1]);
    pg_listener_free(&listener);
    return PG_OK;
}

static void test_listener__two_fibers_accept__each_gets_one(void **state)
{
    (void) state;
    in_fiber(body_two_accept, NULL);
}

static pg_err body_out_of_descriptors(void *arg)
{
    (void) arg;
    pg_listener *listener = NULL;
    pg_stream *near = NULL;
    pg_stream *far = NULL;
    struct rlimit before;
    CHECK_OK(pg_tcp_listen(&loopback4, &listener));
    pg_endpoint at = pg_listener_endpoint(listener);
    CHECK_OK(pg_tcp_dial(&at, SOON, &near));
    CHECK(getrlimit(RLIMIT_NOFILE, &before) == 0);
    int next = open("/dev/null", O_RDONLY | O_CLOEXEC);
    CHECK(next >= 0 && close(next) == 0);
    struct rlimit none = {(rlim_t) next, before.rlim_max};
    CHECK(setrlimit(RLIMIT_NOFILE, &none) == 0);
    CHECK_ERR(pg_listener_accept(listener, SOON, &far, NULL), PG_ERR_LIMIT);
    CHECK_ERR(pg_tcp_dial(&at, SOON, &far), PG_ERR_LIMIT);
    CHECK(setrlimit(RLIMIT_NOFILE, &before) == 0);
    CHECK_OK(pg_listener_accept(listener, SOON, &far, NULL));
    pg_stream_free(&near);
    pg_stream_free(&far);
    pg_listener_free(&listener);
    return PG_OK;
}

static void test_listener__out_of_descriptors__goes_on_afterwards(void **state)
{
    (void) state;
    in_fiber(body_out_of_descriptors, NULL);
}

struct dialer {
    pg_endpoint at;
    pg_err err;
};

static pg_err body_dial(void *arg)
{
    struct dialer *dialer = arg;
    pg_stream *stream = NULL;
    dialer->err = pg_tcp_dial(&dialer->at, PG_FOREVER, &stream);
    pg_stream_free(&stream);
    return PG_OK;
}

static pg_err body_dial_full(void *arg)
{
    (void) arg;
    pg_stream *stream = NULL;
    pg_stream *held[4] = {0};
    struct sockaddr_storage address;
    socklen_t len = pg_sockaddr_make(&loopback4, &address);
    // A listener whose queue is full does not answer.
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK(bind(fd, (const struct sockaddr *) &address, len) == 0 && listen(fd, 0) == 0);
    pg_endpoint at = pg_endpoint_of_fd(fd);
    pg_err err = PG_OK;
    for (size_t i = 0; i < PG_ARRAY_LEN(held) && err == PG_OK; i++) {
        err = pg_tcp_dial(&at, pg_after(PG_MS(20)), &held[i]);
    }
    CHECK_ERR(err, PG_ERR_TIMEOUT);
    struct dialer dialer = {at, PG_OK};
    pg_scope scope;
    pg_scope_init(&scope);
    CHECK_OK(pg_scope_spawn(&scope, "test.dial", body_dial, &dialer));
    CHECK_OK(pg_fiber_yield());
    pg_scope_close(&scope);
    CHECK_ERR(dialer.err, PG_ERR_CANCELLED);
    for (size_t i = 0; i < PG_ARRAY_LEN(held); i++) {
        pg_stream_free(&held[i]);
    }
    CHECK(close(fd) == 0);
    pg_endpoint nowhere = {.family = PG_IP_FAMILY_V4, .ip = {255, 255, 255, 255}, .port = 1};
    err = pg_tcp_dial(&nowhere, SOON, &stream);
    CHECK(err == PG_ERR_UNREACHABLE || err == PG_ERR_ACCESS);
    return PG_OK;
}

static void test_dial__nobody_answers__times_out_or_is_cancelled(void **state)
{
    (void) state;
    in_fiber(body_dial_full, NULL);
}

static pg_err body_unix(void *arg)
{
    (void) arg;
    pg_listener *listener = NULL;
    pg_listener *second = NULL;
    pg_stream *stream = NULL;
    struct stat info;
    CHECK_ERR(pg_unix_dial(socket_path, SOON, &stream), PG_ERR_NOT_FOUND);
    CHECK_OK(pg_unix_listen(socket_path, &listener));
    CHECK(stat(socket_path, &info) == 0 && (info.st_mode & 07777) == 0600);
    CHECK_ERR(pg_unix_listen(socket_path, &second), PG_ERR_BUSY);
    pg_listener_free(&listener);
    CHECK(stat(socket_path, &info) != 0);

    // A dead socket is replaced, another file is not.
    struct sockaddr_un address;
    socklen_t len = 0;
    CHECK_OK(pg_sockaddr_make_unix(socket_path, &address, &len));
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK(bind(fd, (const struct sockaddr *) &address, len) == 0 && close(fd) == 0);
    CHECK_ERR(pg_unix_dial(socket_path, SOON, &stream), PG_ERR_REFUSED);
    CHECK_OK(pg_unix_listen(socket_path, &listener));
    pg_listener_free(&listener);
    fd = open(socket_path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    CHECK(fd >= 0 && close(fd) == 0);
    CHECK_ERR(pg_unix_listen(socket_path, &listener), PG_ERR_BUSY);
    CHECK(unlink(socket_path) == 0);

    char longer[200];
    memset(longer, 'x', sizeof(longer) - 1);
    longer[sizeof(longer) - 1] = '\0';
    CHECK_ERR(pg_unix_listen(longer, &listener), PG_ERR_LIMIT);
    CHECK_ERR(pg_unix_dial(longer, SOON, &stream), PG_ERR_LIMIT);
    CHECK_ERR(pg_unix_listen("/nonexistent/socket", &listener), PG_ERR_NOT_FOUND);
    return PG_OK;
}

static void test_unix__file_is_there__is_replaced_only_when_dead(void **state)
{
    (void) state;
    in_fiber(body_unix, NULL);
}

static pg_err body_unix_full(void *arg)
{
    (void) arg;
    struct sockaddr_un address;
    socklen_t len = 0;
    pg_stream *first = NULL;
    pg_stream *second = NULL;
    CHECK_OK(pg_sockaddr_make_unix(socket_path, &address, &len));
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK(bind(fd, (const struct sockaddr *) &address, len) == 0 && listen(fd, 0) == 0);
    CHECK_OK(pg_unix_dial(socket_path, SOON, &first));
    CHECK_ERR(pg_unix_dial(socket_path, pg_after(PG_MS(3)), &second), PG_ERR_TIMEOUT);
    pg_stream_free(&first);
    CHECK(close(fd) == 0 && unlink(socket_path) == 0);
    return PG_OK;
}

static void test_unix__backlog_is_full__dial_waits_until_its_deadline(void **state)
{
    (void) state;
    in_fiber(body_unix_full, NULL);
}

static pg_err body_no_memory(void *arg)
{
    (void) arg;
    pg_listener *listener = NULL;
    pg_stream *near = NULL;
    pg_stream *far = NULL;
    pg_udp *udp = NULL;
    for (uint64_t n = 1; n <= 2; n++) {
        pg_mem_fail_nth(n);
        CHECK_ERR(pg_tcp_listen(&loopback4, &listener), PG_ERR_NOMEM);
        pg_mem_fail_nth(n + 1);
        CHECK_ERR(pg_unix_listen(socket_path, &listener), PG_ERR_NOMEM);
        CHECK(unlink(socket_path) == 0);
        pg_mem_fail_nth(n);
        CHECK_ERR(pg_udp_bind(&loopback4, &udp), PG_ERR_NOMEM);
    }
    pg_mem_fail_nth(0);
    CHECK_OK(pg_tcp_listen(&loopback4, &listener));
    pg_endpoint at = pg_listener_endpoint(listener);
    for (uint64_t n = 1; n <= 2; n++) {
        pg_mem_fail_nth(n);
        CHECK_ERR(pg_tcp_dial(&at, SOON, &near), PG_ERR_NOMEM);
        pg_mem_fail_nth(0);
        CHECK_OK(pg_tcp_dial(&at, SOON, &near));
        pg_mem_fail_nth(1);
        CHECK_ERR(pg_listener_accept(listener, SOON, &far, NULL), PG_ERR_NOMEM);
        pg_mem_fail_nth(0);
        pg_stream_free(&near);
    }
    pg_listener_free(&listener);
    return PG_OK;
}

static void test_sockets__out_of_memory__fail_cleanly(void **state)
{
    (void) state;
    in_fiber(body_no_memory, NULL);
}

static void test_endpoint__formatted__reads_as_usual(void **state)
{
    (void) state;
    char text[PG_ENDPOINT_TEXT_BYTES];
    pg_endpoint v4 = loopback4;
    v4.port = 80;
    pg_endpoint_format(&v4, text);
    assert_string_equal(text, "127.0.0.1:80");
    pg_endpoint v6 = loopback6;
    pg_endpoint_format(&v6, text);
    assert_string_equal(text, "[::1]:0");
    v6.scope_id = 3;
    pg_endpoint_format(&v6, text);
    assert_string_equal(text, "[::1%3]:0");
    pg_endpoint none = {0};
    pg_endpoint_format(&none, text);
    assert_string_equal(text, "none");
    assert_true(pg_endpoint_equal(&none, &(pg_endpoint){.port = 1}));
    assert_false(pg_endpoint_equal(&v4, &loopback4));
    assert_false(pg_endpoint_equal(&v4, &v6));
}

static void test_endpoint__asked_what_it_is__answers(void **state)
{
    (void) state;
    const pg_endpoint none = {0};
    const pg_endpoint any6 = {.family = PG_IP_FAMILY_V6};
    const pg_endpoint net127 = {.family = PG_IP_FAMILY_V4, .ip = {127, 9, 8, 7}};
    const pg_endpoint far4 = {.family = PG_IP_FAMILY_V4, .ip = {10, 0, 0, 1}};
    const pg_endpoint far6 = {.family = PG_IP_FAMILY_V6, .ip = {127, [15] = 1}};
    assert_int_equal(pg_endpoint_ip(&none).len, 0);
    assert_int_equal(pg_endpoint_ip(&far4).len, 4);
    assert_int_equal(pg_endpoint_ip(&far6).len, 16);
    assert_true(pg_endpoint_is_loopback(&loopback4) && pg_endpoint_is_loopback(&loopback6));
    assert_true(pg_endpoint_is_loopback(&net127));
    assert_false(pg_endpoint_is_loopback(&far4) || pg_endpoint_is_loopback(&far6));
    assert_false(pg_endpoint_is_loopback(&none) || pg_endpoint_is_loopback(&any6));
    assert_true(pg_endpoint_is_any(&none) && pg_endpoint_is_any(&any6));
    assert_false(pg_endpoint_is_any(&far4) || pg_endpoint_is_any(&loopback6));
}

static int folder_make(void **state)
{
    (void) state;
    (void) snprintf(folder, sizeof(folder), "/tmp/pangea-test-XXXXXX");
    if (mkdtemp(folder) == NULL) {
        return -1;
    }
    (void) snprintf(socket_path, sizeof(socket_path), "%s/socket", folder);
    return 0;
}

static int folder_remove(void **state)
{
    (void) state;
    return rmdir(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tcp__much_written_and_half_closed__arrives_whole),
        cmocka_unit_test(test_unix__much_written_and_half_closed__arrives_whole),
        cmocka_unit_test(test_tcp__reset__ends_waits_on_both_sides),
        cmocka_unit_test(test_tcp__late_or_cancelled__ends_the_wait),
        cmocka_unit_test(test_listener__busy_late_cancelled_freed__says_so),
        cmocka_unit_test(test_listener__two_fibers_accept__each_gets_one),
        cmocka_unit_test(test_listener__out_of_descriptors__goes_on_afterwards),
        cmocka_unit_test(test_dial__nobody_answers__times_out_or_is_cancelled),
        cmocka_unit_test(test_unix__file_is_there__is_replaced_only_when_dead),
        cmocka_unit_test(test_unix__backlog_is_full__dial_waits_until_its_deadline),
        cmocka_unit_test(test_sockets__out_of_memory__fail_cleanly),
        cmocka_unit_test(test_endpoint__asked_what_it_is__answers),
        cmocka_unit_test(test_endpoint__formatted__reads_as_usual),
    };
    return cmocka_run_group_tests(tests, folder_make, folder_remove);
}
