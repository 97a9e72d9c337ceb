// SPDX-License-Identifier: Apache-2.0
// Goal: datagrams arrive as sent, alone and in runs, with their ECN bits, also where the kernel refuses to segment.
// Method: sockets on loopback in one run.
#include <string.h>
#include <sys/socket.h>

#include "in_fiber.h"
#include "runtime/fiber.h"
#include "runtime/interfaces.h"
#include "runtime/real_priv.h"
#include "runtime/socket.h"

static const pg_endpoint loopback4 = {.family = PG_IP_FAMILY_V4, .ip = {127, 0, 0, 1}};
static const pg_endpoint loopback6 = {.family = PG_IP_FAMILY_V6, .ip = {[15] = 1}};

#define DATAGRAM_BYTES 1200
#define RUN_BYTES (150 * DATAGRAM_BYTES - 100) // more than one call takes, and a shorter last one

static uint8_t sent[RUN_BYTES];
static uint8_t received[RUN_BYTES];

// Take datagrams until `len` bytes are there; checks that all but the last have `segment_bytes`.
static void receive_all(pg_udp *udp, const pg_endpoint *from, size_t len, uint8_t ecn)
{
    pg_udp_msg msgs[PG_UDP_BATCH_MAX];
    size_t done = 0;
    while (done < len) {
        size_t count = 0;
        CHECK_OK(pg_udp_recv(udp, SOON, msgs, &count));
        CHECK(count > 0);
        for (size_t i = 0; i < count; i++) {
            CHECK(pg_endpoint_equal(&msgs[i].peer, from) && msgs[i].ecn == ecn);
            CHECK(msgs[i].data.len <= len - done);
            memcpy(received + done, msgs[i].data.ptr, msgs[i].data.len);
            done += msgs[i].data.len;
            size_t datagram = msgs[i].segment_bytes != 0 ? msgs[i].segment_bytes : msgs[i].data.len;
            CHECK(datagram == DATAGRAM_BYTES || done == len);
        }
    }
    CHECK(memcmp(sent, received, len) == 0);
}

static pg_err body_exchange(void *arg)
{
    const pg_endpoint *at = arg;
    pg_udp *a = NULL;
    pg_udp *b = NULL;
    for (size_t i = 0; i < RUN_BYTES; i++) {
        sent[i] = (uint8_t) (i * 13 >> 2);
    }
    CHECK_OK(pg_udp_bind(at, &a));
    CHECK_OK(pg_udp_bind(at, &b));
    pg_endpoint from = pg_udp_endpoint(a);
    pg_udp_msg msg = {.peer = pg_udp_endpoint(b), .data = pg_bytes_make(sent, DATAGRAM_BYTES)};
    CHECK(msg.peer.port != 0);
    CHECK_OK(pg_udp_send(a, &msg, SOON));
    receive_all(b, &from, DATAGRAM_BYTES, 0);
    msg.ecn = 2;
    CHECK_OK(pg_udp_send(a, &msg, SOON));
    receive_all(b, &from, DATAGRAM_BYTES, 2);
    msg.segment_bytes = DATAGRAM_BYTES;
    CHECK_OK(pg_udp_send(a, &msg, SOON)); // a run of one
    receive_all(b, &from, DATAGRAM_BYTES, 2);
    msg.data.len = RUN_BYTES;
    CHECK_OK(pg_udp_send(a, &msg, SOON));
    receive_all(b, &from, RUN_BYTES, 2);
    msg.data = PG_BYTES_EMPTY;
    msg.segment_bytes = 0;
    CHECK_OK(pg_udp_send(a, &msg, SOON)); // an empty datagram is one
    pg_udp_msg msgs[PG_UDP_BATCH_MAX];
    size_t count = 0;
    CHECK_OK(pg_udp_recv(b, SOON, msgs, &count));
    CHECK(count == 1 && msgs[0].data.len == 0);
    pg_udp_free(&a);
    CHECK(a == NULL);
    pg_udp_free(&a);
    pg_udp_free(&b);
    return PG_OK;
}

static void test_udp__single_and_runs__arrive_with_ecn(void **state)
{
    (void) state;
    pg_endpoint v4 = loopback4;
    pg_endpoint v6 = loopback6;
    in_fiber(body_exchange, &v4);
    in_fiber(body_exchange, &v6);
}

// The loopback has many addresses: a socket on "any address" hears which one was meant, and answers from it.
static pg_err body_local(void *arg)
{
    (void) arg;
    pg_udp *any = NULL;
    pg_udp *client = NULL;
    pg_udp_msg msgs[PG_UDP_BATCH_MAX];
    size_t count = 0;
    CHECK_OK(pg_udp_bind(&(pg_endpoint){.family = PG_IP_FAMILY_V4}, &any));
    CHECK_OK(pg_udp_bind(&loopback4, &client));
    pg_endpoint meant = {.family = PG_IP_FAMILY_V4, .ip = {127, 0, 0, 5}};
    meant.port = pg_udp_endpoint(any).port;
    pg_udp_msg msg = {.peer = meant, .data = pg_bytes_make(sent, DATAGRAM_BYTES)};
    CHECK_OK(pg_udp_send(client, &msg, SOON));
    CHECK_OK(pg_udp_recv(any, SOON, msgs, &count));
    CHECK(count == 1 && pg_endpoint_equal(&msgs[0].local, &meant));
    pg_udp_msg answer = {.peer = msgs[0].peer,
                         .local = msgs[0].local,
                         .data = pg_bytes_make(sent, 3 * DATAGRAM_BYTES),
                         .segment_bytes = DATAGRAM_BYTES};
    CHECK_OK(pg_udp_send(any, &answer, SOON));
    receive_all(client, &meant, 3 * DATAGRAM_BYTES, 0);
    answer.local.ip[0] = 192; // 192.0.0.5: not of this machine: invalid, or no way there
    CHECK(pg_udp_send(any, &answer, SOON) != PG_OK);
    pg_udp_free(&any);
    pg_udp_free(&client);
    return PG_OK;
}

static void test_udp__any_address__tells_and_keeps_the_one_meant(void **state)
{
    (void) state;
    in_fiber(body_local, NULL);
}

static pg_err body_refusals(void *arg)
{
    (void) arg;
    pg_udp *a = NULL;
    pg_udp *b = NULL;
    pg_udp_msg msgs[PG_UDP_BATCH_MAX];
    size_t count = 0;
    CHECK_OK(pg_udp_bind(&loopback4, &a));
    pg_endpoint at = pg_udp_endpoint(a);
    CHECK_ERR(pg_udp_bind(&at, &b), PG_ERR_BUSY);
    CHECK_ERR(pg_udp_recv(a, pg_after(PG_MS(1)), msgs, &count), PG_ERR_TIMEOUT);
    static uint8_t large[100000];
    pg_udp_msg msg = {.peer = at, .data = PG_BYTES_OF(large)};
    CHECK_ERR(pg_udp_send(a, &msg, SOON), PG_ERR_LIMIT);
    msg.segment_bytes = 65535;
    CHECK_ERR(pg_udp_send(a, &msg, SOON), PG_ERR_LIMIT);
    msg.peer = loopback6;
    msg.peer.port = 1;
    msg.segment_bytes = 0;
    msg.data.len = 10;
    CHECK(pg_udp_send(a, &msg, SOON) != PG_OK);
    pg_udp_free(&a);
    return PG_OK;
}

static void test_udp__too_large_or_in_use__is_refused(void **state)
{
    (void) state;
    in_fiber(body_refusals, NULL);
}

// A socket without checksums cannot segment: the kernel refuses each run.
static void segmentation_forbid(const pg_udp *udp)
{
    pg_endpoint at = pg_udp_endpoint(udp);
    int yes = 1;
    for (int fd = 3; fd < 100; fd++) {
        pg_endpoint of_fd = pg_endpoint_of_fd(fd);
        if (pg_endpoint_equal(&at, &of_fd)) {
            CHECK(setsockopt(fd, SOL_SOCKET, SO_NO_CHECK, &yes, sizeof(yes)) == 0);
            return;
        }
    }
    CHECK(false);
}

static pg_err body_one_by_one(void *arg)
{
    (void) arg;
    pg_udp *a = NULL;
    pg_udp *b = NULL;
    CHECK_OK(pg_udp_bind(&loopback4, &a));
    CHECK_OK(pg_udp_bind(&loopback4, &b));
    segmentation_forbid(a);
    pg_endpoint from = pg_udp_endpoint(a);
    size_t len = 20 * DATAGRAM_BYTES - 7;
    pg_udp_msg msg = {.peer = pg_udp_endpoint(b),
                      .data = pg_bytes_make(sent, len),
                      .segment_bytes = DATAGRAM_BYTES};
    for (unsigned i = 0; i < 2; i++) {
        CHECK_OK(pg_udp_send(a, &msg, SOON));
        receive_all(b, &from, len, 0);
    }
    pg_udp_free(&a);
    pg_udp_free(&b);
    return PG_OK;
}

static void test_udp__kernel_refuses_runs__datagrams_go_one_by_one(void **state)
{
    (void) state;
    in_fiber(body_one_by_one, NULL);
}

struct receiver {
    pg_udp *udp;
    pg_err err;
};

static pg_err body_receive(void *arg)
{
    struct receiver *receiver = arg;
    pg_udp_msg msgs[PG_UDP_BATCH_MAX];
    size_t count = 0;
    receiver->err = pg_udp_recv(receiver->udp, PG_FOREVER, msgs, &count);
    return PG_OK;
}

static pg_err body_waits(void *arg)
{
    (void) arg;
    struct receiver receiver = {0};
    pg_scope scope;
    pg_scope_init(&scope);
    CHECK_OK(pg_udp_bind(&loopback4, &receiver.udp));
    CHECK_OK(pg_scope_spawn(&scope, "test.receive", body_receive, &receiver));
    CHECK_OK(pg_fiber_yield());
    pg_scope_close(&scope);
    CHECK_ERR(receiver.err, PG_ERR_CANCELLED);
    CHECK_OK(pg_scope_spawn(&scope, "test.receive", body_receive, &receiver));
    CHECK_OK(pg_fiber_yield());
    pg_udp_free(&receiver.udp);
    CHECK_OK(pg_scope_join(&scope));
    CHECK_ERR(receiver.err, PG_ERR_CLOSED);
    return PG_OK;
}

static void test_udp__cancelled_or_freed__ends_the_wait(void **state)
{
    (void) state;
    in_fiber(body_waits, NULL);
}

static uint32_t loopback_number(void)
{
    pg_interface found[PG_INTERFACES_MAX];
    size_t count = pg_interfaces_list(found);
    for (size_t i = 0; i < count; i++) {
        if (found[i].is_loopback && found[i].at.family == PG_IP_FAMILY_V4) {
            CHECK(found[i].prefix_bits == 8 && found[i].number > 0);
            return found[i].number;
        }
    }
    CHECK(false);
    return 0;
}

static void receive_one(pg_udp *udp, uint16_t from_port, const char *text)
{
    pg_udp_msg msgs[PG_UDP_BATCH_MAX];
    size_t count = 0;
    CHECK_OK(pg_udp_recv(udp, SOON, msgs, &count));
    CHECK(count == 1 && msgs[0].peer.port == from_port);
    CHECK(pg_bytes_equal(msgs[0].data, pg_bytes_cstr(text)));
}

// On the loopback interface, so nothing leaves the machine; the port is one that was free a moment ago.
static pg_err body_group(void *arg)
{
    (void) arg;
    pg_udp *a = NULL;
    pg_udp *b = NULL;
    pg_udp *other = NULL;
    pg_udp_msg msgs[PG_UDP_BATCH_MAX];
    size_t count = 0;
    uint32_t number = loopback_number();
    CHECK_OK(pg_udp_bind(&loopback4, &other));
    pg_endpoint group = {.family = PG_IP_FAMILY_V4, .ip = {224, 0, 0, 251}};
    group.port = pg_udp_endpoint(other).port;
    CHECK_OK(pg_udp_join(&group, number, &a));
    CHECK_OK(pg_udp_join(&group, number, &b));
    pg_udp_msg msg = {.peer = group, .data = PG_BYTES_LIT("to all")};
    CHECK_OK(pg_udp_send(a, &msg, SOON));
    receive_one(a, group.port, "to all");
    receive_one(b, group.port, "to all");
    msg.peer = pg_udp_endpoint(other);
    CHECK_OK(pg_udp_send(b, &msg, SOON)); // sent to one address: the members do not hear it
    receive_one(other, group.port, "to all");
    CHECK_ERR(pg_udp_recv(a, pg_after(PG_MS(1)), msgs, &count), PG_ERR_TIMEOUT);
    pg_udp_free(&a);
    pg_udp_free(&b);
    pg_udp_free(&other);
    return PG_OK;
}

static void test_udp__group__is_heard_by_its_members_only(void **state)
{
    (void) state;
    in_fiber(body_group, NULL);
}

static pg_err body_group_refusals(void *arg)
{
    (void) arg;
    pg_udp *udp = NULL;
    pg_endpoint group4 = {.family = PG_IP_FAMILY_V4, .ip = {224, 0, 0, 251}, .port = 45353};
    pg_endpoint group6 = {.family = PG_IP_FAMILY_V6, .ip = {0xff, 2, [15] = 0xfb}, .port = 45353};
    CHECK(pg_endpoint_is_group(&group4) && pg_endpoint_is_group(&group6));
    CHECK(!pg_endpoint_is_group(&loopback4) && !pg_endpoint_is_group(&loopback6));
    CHECK_ERR(pg_udp_join(&loopback4, loopback_number(), &udp), PG_ERR_INVALID);
    CHECK_ERR(pg_udp_join(&group4, 1 << 20, &udp), PG_ERR_UNREACHABLE);
    CHECK(pg_udp_join(&group6, 1 << 20, &udp) != PG_OK); // where there is no IPv6, for that
    CHECK(udp == NULL);
    return PG_OK;
}

static void test_udp__no_group_or_interface__is_refused(void **state)
{
    (void) state;
    in_fiber(body_group_refusals, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_udp__single_and_runs__arrive_with_ecn),
        cmocka_unit_test(test_udp__any_address__tells_and_keeps_the_one_meant),
        cmocka_unit_test(test_udp__too_large_or_in_use__is_refused),
        cmocka_unit_test(test_udp__kernel_refuses_runs__datagrams_go_one_by_one),
        cmocka_unit_test(test_udp__cancelled_or_freed__ends_the_wait),
        cmocka_unit_test(test_udp__group__is_heard_by_its_members_only),
        cmocka_unit_test(test_udp__no_group_or_interface__is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
