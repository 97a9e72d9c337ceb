// SPDX-License-Identifier: Apache-2.0
// UDP. One system call sends a run of equal datagrams (UDP_SEGMENT) and one takes many runs (recvmmsg with UDP_GRO), which
// makes six times the throughput of a call a datagram; where the kernel refuses, datagrams go one by one.
#include <errno.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/mem.h"
#include "runtime/real_priv.h"

#define SEGMENTS_MAX 64     // the kernel's limit of one call
#define RUN_BYTES_MAX 65000 // of one call, below the 65,507 of an IP packet
#define SOCKET_BUFFER_BYTES (4 * 1024 * 1024)
#define CONTROL_BYTES 128 // room for two integers and an address
#define ECN_MASK 3
#define MULTICAST_HOPS 255 // RFC 6762, section 11

struct pg_udp {
    pg_watch *watch;
    bool is_v6;
    uint16_t port; // bound
    bool can_segment;
    uint8_t *
        buffers; // buffers[PG_UDP_BATCH_MAX][PG_UDP_BUFFER_BYTES], touched as far as datagrams fill it
    struct mmsghdr heads[PG_UDP_BATCH_MAX];
    struct iovec vectors[PG_UDP_BATCH_MAX];
    struct sockaddr_storage peers[PG_UDP_BATCH_MAX];
    _Alignas(struct cmsghdr) uint8_t controls[PG_UDP_BATCH_MAX][CONTROL_BYTES];
};

// Where a failure only costs speed, it is no failure.
static void options_set(pg_udp *udp)
{
    int fd = pg_watch_fd(udp->watch);
    int yes = 1;
    int buffer_bytes = SOCKET_BUFFER_BYTES;
    int probe =
        udp->is_v6 ? IPV6_PMTUDISC_PROBE : IP_PMTUDISC_PROBE; // we find the path's size ourselves
    int level = udp->is_v6 ? IPPROTO_IPV6 : IPPROTO_IP;
    (void) setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &buffer_bytes, sizeof(buffer_bytes));
    (void) setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &buffer_bytes, sizeof(buffer_bytes));
    (void) setsockopt(fd, level, udp->is_v6 ? IPV6_MTU_DISCOVER : IP_MTU_DISCOVER, &probe,
                      sizeof(probe));
    (void) setsockopt(fd, level, udp->is_v6 ? IPV6_RECVTCLASS : IP_RECVTOS, &yes, sizeof(yes));
    (void) setsockopt(fd, level, udp->is_v6 ? IPV6_RECVPKTINFO : IP_PKTINFO, &yes, sizeof(yes));
    (void) setsockopt(fd, SOL_UDP, UDP_GRO, &yes, sizeof(yes));
    if (udp->is_v6) {
        (void) setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &yes, sizeof(yes));
    }
}

static pg_err socket_make(pg_world *world, const pg_endpoint *at, pg_udp **out_udp)
{
    pg_udp *udp = PG_NEW(pg_udp);
    if (udp != NULL) {
        udp->buffers = pg_malloc((size_t) PG_UDP_BATCH_MAX * PG_UDP_BUFFER_BYTES);
    }
    if (udp == NULL || udp->buffers == NULL) {
        pg_mfree(udp);
        return pg_fail(PG_ERR_NOMEM, "cannot make a UDP socket");
    }
    udp->is_v6 = at->family == PG_IP_FAMILY_V6;
    udp->can_segment = true;
    pg_err err = pg_watch_new_socket((pg_real *) (void *) world, udp->is_v6 ? AF_INET6 : AF_INET,
                                     SOCK_DGRAM, &udp->watch);
    if (err != PG_OK) {
        pg_real_udp_free(udp);
        return err;
    }
    *out_udp = udp;
    return PG_OK;
}

static pg_err socket_bind(const pg_udp *udp, const pg_endpoint *at)
{
    struct sockaddr_storage address;
    socklen_t len = pg_sockaddr_make(at, &address);
    if (bind(pg_watch_fd(udp->watch), (const struct sockaddr *) &address, len) != 0) {
        char text[PG_ENDPOINT_TEXT_BYTES];
        int number = errno;
        pg_endpoint_format(at, text);
        return pg_fail_errno(number, "bind", text);
    }
    return PG_OK;
}

pg_err pg_real_udp_bind(pg_world *world, const pg_endpoint *at, pg_udp **out_udp)
{
    pg_udp *udp = NULL;
    PG_TRY(socket_make(world, at, &udp));
    options_set(udp);
    pg_err err = socket_bind(udp, at);
    if (err != PG_OK) {
        pg_real_udp_free(udp);
        return err;
    }
    udp->port = pg_endpoint_of_fd(pg_watch_fd(udp->watch)).port;
    *out_udp = udp;
    return PG_OK;
}

// ---- Multicast

static pg_err option_set(const pg_udp *udp, int level, int name, pg_bytes value)
{
    if (setsockopt(pg_watch_fd(udp->watch), level, name, value.ptr, (socklen_t) value.len) != 0) {
        return pg_fail_errno(errno, "set up multicast", NULL);
    }
    return PG_OK;
}

static pg_err number_set(const pg_udp *udp, int level, int name, int value)
{
    return option_set(udp, level, name, pg_bytes_make(&value, sizeof(value)));
}

// Programs of this machine share the port: some set the one option, some the other.
static pg_err group_share(const pg_udp *udp)
{
    PG_TRY(number_set(udp, SOL_SOCKET, SO_REUSEADDR, 1));
    return number_set(udp, SOL_SOCKET, SO_REUSEPORT, 1);
}

static pg_err group_join_v4(const pg_udp *udp, const pg_endpoint *group, uint32_t interface)
{
    struct ip_mreqn join = {.imr_ifindex = (int) interface};
    memcpy(&join.imr_multiaddr, group->ip, sizeof(join.imr_multiaddr));
    PG_TRY(number_set(udp, IPPROTO_IP, IP_MULTICAST_ALL, 0)); // only what we joined, only there
    PG_TRY(number_set(udp, IPPROTO_IP, IP_MULTICAST_TTL, MULTICAST_HOPS));
    PG_TRY(number_set(udp, IPPROTO_IP, IP_MULTICAST_LOOP, 1));
    PG_TRY(option_set(udp, IPPROTO_IP, IP_MULTICAST_IF, pg_bytes_make(&join, sizeof(join))));
    return option_set(udp, IPPROTO_IP, IP_ADD_MEMBERSHIP, pg_bytes_make(&join, sizeof(join)));
}

static pg_err group_join_v6(const pg_udp *udp, const pg_endpoint *group, uint32_t interface)
{
    struct ipv6_mreq join = {.ipv6mr_interface = interface};
    memcpy(&join.ipv6mr_multiaddr, group->ip, sizeof(join.ipv6mr_multiaddr));
    PG_TRY(number_set(udp, IPPROTO_IPV6, IPV6_V6ONLY, 1));
    PG_TRY(number_set(udp, IPPROTO_IPV6, IPV6_MULTICAST_HOPS, MULTICAST_HOPS));
    PG_TRY(number_set(udp, IPPROTO_IPV6, IPV6_MULTICAST_LOOP, 1));
    PG_TRY(number_set(udp, IPPROTO_IPV6, IPV6_MULTICAST_IF, (int) interface));
    return option_set(udp, IPPROTO_IPV6, IPV6_JOIN_GROUP, pg_bytes_make(&join, sizeof(join)));
}

pg_err pg_real_udp_join(pg_world *world, const pg_endpoint *group, uint32_t interface,
                        pg_udp **out_udp)
{
    pg_udp *udp = NULL;
    pg_endpoint at = *group;
    at.scope_id = group->family == PG_IP_FAMILY_V6 ? interface : 0; // binds to the interface too
    PG_TRY(socket_make(world, group, &udp));
    pg_err err = group_share(udp);
    if (err == PG_OK) {
        err = udp->is_v6 ? group_join_v6(udp, group, interface)
                         : group_join_v4(udp, group, interface);
    }
    if (err == PG_OK) {
        err = socket_bind(udp, &at);
    }
    if (err != PG_OK) {
        pg_real_udp_free(udp);
        return err;
    }
    *out_udp = udp;
    return PG_OK;
}

pg_endpoint pg_real_udp_endpoint(const pg_udp *udp)
{
    return pg_endpoint_of_fd(pg_watch_fd(udp->watch));
}

void pg_real_udp_free(pg_udp *udp)
{
    if (udp->watch != NULL) {
        pg_watch_close(udp->watch);
    }
    pg_mfree(udp->buffers);
    pg_mfree(udp);
}

// ---- Sending

static struct cmsghdr *control_add(struct msghdr *head, struct cmsghdr *at, int level, int type,
                                   pg_bytes value)
{
    at->cmsg_level = level;
    at->cmsg_type = type;
    at->cmsg_len = CMSG_LEN(value.len);
    memcpy(CMSG_DATA(at), value.ptr, value.len);
    head->msg_controllen += CMSG_SPACE(value.len);
    return (struct cmsghdr *) (void *) ((char *) at + CMSG_SPACE(value.len));
}

static struct cmsghdr *source_add(const pg_udp *udp, struct msghdr *head, struct cmsghdr *at,
                                  const pg_endpoint *local)
{
    if (udp->is_v6) {
        struct in6_pktinfo v6 = {.ipi6_ifindex = local->scope_id};
        memcpy(&v6.ipi6_addr, local->ip, sizeof(v6.ipi6_addr));
        return control_add(head, at, IPPROTO_IPV6, IPV6_PKTINFO, pg_bytes_make(&v6, sizeof(v6)));
    }
    struct in_pktinfo v4 = {0};
    memcpy(&v4.ipi_spec_dst, local->ip, sizeof(v4.ipi_spec_dst));
    return control_add(head, at, IPPROTO_IP, IP_PKTINFO, pg_bytes_make(&v4, sizeof(v4)));
}

// Send one run: several datagrams when segment_bytes is set, else one. Returns 0 or an errno.
static int run_send(const pg_udp *udp, const pg_udp_msg *msg, pg_bytes data, uint16_t segment_bytes)
{
    struct sockaddr_storage address;
    _Alignas(struct cmsghdr) uint8_t control[CONTROL_BYTES] = {0};
    struct iovec vector = {.iov_base = (void *) (uintptr_t) data.ptr, .iov_len = data.len};
    struct msghdr head = {
        .msg_name = &address,
        .msg_namelen = pg_sockaddr_make(&msg->peer, &address),
        .msg_iov = &vector,
        .msg_iovlen = 1,
        .msg_control = control,
    };
    struct cmsghdr *at = (struct cmsghdr *) (void *) control;
    int ecn = msg->ecn & ECN_MASK;
    if (ecn != 0) {
        at = control_add(&head, at, udp->is_v6 ? IPPROTO_IPV6 : IPPROTO_IP,
                         udp->is_v6 ? IPV6_TCLASS : IP_TOS, pg_bytes_make(&ecn, sizeof(ecn)));
    }
    if (msg->local.family != PG_IP_FAMILY_NONE) {
        at = source_add(udp, &head, at, &msg->local);
    }
    if (segment_bytes != 0) {
        (void) control_add(&head, at, SOL_UDP, UDP_SEGMENT,
                           pg_bytes_make(&segment_bytes, sizeof(segment_bytes)));
    }
    if (head.msg_controllen == 0) {
        head.msg_control = NULL;
    }
    return sendmsg(pg_watch_fd(udp->watch), &head, MSG_NOSIGNAL) < 0 ? errno : 0;
}

// How much of `data` one call takes.
static size_t run_bytes(const pg_udp *udp, const pg_udp_msg *msg, size_t rest_bytes)
{
    if (msg->segment_bytes == 0) {
        return rest_bytes;
    }
    size_t segments = RUN_BYTES_MAX / msg->segment_bytes;
    segments = udp->can_segment ? pg_min_size(pg_max_size(segments, 1), SEGMENTS_MAX) : 1;
    return pg_min_size(segments * msg->segment_bytes, rest_bytes);
}

pg_err pg_real_udp_send(pg_udp *udp, const pg_udp_msg *msg, pg_time deadline)
{
    bool can_segment = udp->can_segment;
    size_t done = 0;
    PG_TRY(pg_fiber_checkpoint());
    do {
        size_t len = can_segment ? run_bytes(udp, msg, msg->data.len - done)
                                 : pg_min_size(msg->segment_bytes, msg->data.len - done);
        bool is_run = msg->segment_bytes != 0 && len > msg->segment_bytes;
        int number = run_send(udp, msg, pg_bytes_make(msg->data.ptr + done, len),
                              is_run ? msg->segment_bytes : 0);
        if (number == 0 || number == ENOBUFS) { // a full queue below drops, as the network may
            done += len;
        } else if (number == EAGAIN) {
            PG_TRY(pg_watch_wait(udp->watch, PG_WATCH_SIDE_WRITE, deadline));
        } else if (is_run && (number == EINVAL || number == EIO || number == EOPNOTSUPP)) {
            can_segment = false;
            udp->can_segment = number == EINVAL; // that may be this path's size alone
        } else if (number != EINTR) {
            return number == EPERM ? PG_ERR_UNREACHABLE
                                   : pg_err_of_errno(number); // EPERM: a packet filter
        }
    } while (done < msg->data.len);
    return PG_OK;
}

// ---- Receiving

static void heads_prepare(pg_udp *udp)
{
    for (size_t i = 0; i < PG_UDP_BATCH_MAX; i++) {
        udp->vectors[i] =
            (struct iovec){udp->buffers + i * PG_UDP_BUFFER_BYTES, PG_UDP_BUFFER_BYTES};
        udp->heads[i].msg_hdr = (struct msghdr){
            .msg_name = &udp->peers[i],
            .msg_namelen = sizeof(udp->peers[i]),
            .msg_iov = &udp->vectors[i],
            .msg_iovlen = 1,
            .msg_control = udp->controls[i],
            .msg_controllen = CONTROL_BYTES,
        };
    }
}

// The address of ours a datagram came to; the port is the socket's.
static void local_read(const struct cmsghdr *at, pg_endpoint *out_local)
{
    if (at->cmsg_level == IPPROTO_IP) {
        struct in_pktinfo v4;
        memcpy(&v4, CMSG_DATA(at), sizeof(v4));
        out_local->family = PG_IP_FAMILY_V4;
        memcpy(out_local->ip, &v4.ipi_spec_dst, sizeof(v4.ipi_spec_dst));
    } else {
        struct in6_pktinfo v6;
        memcpy(&v6, CMSG_DATA(at), sizeof(v6));
        out_local->family = PG_IP_FAMILY_V6;
        memcpy(out_local->ip, &v6.ipi6_addr, sizeof(v6.ipi6_addr));
        out_local->scope_id = IN6_IS_ADDR_LINKLOCAL(&v6.ipi6_addr) ? v6.ipi6_ifindex : 0;
    }
}

static bool is_local(const struct cmsghdr *at)
{
    return (at->cmsg_level == IPPROTO_IP && at->cmsg_type == IP_PKTINFO) ||
           (at->cmsg_level == IPPROTO_IPV6 && at->cmsg_type == IPV6_PKTINFO);
}

static void controls_read(struct msghdr *head, pg_udp_msg *out_msg)
{
    for (struct cmsghdr *at = CMSG_FIRSTHDR(head); at != NULL; at = CMSG_NXTHDR(head, at)) {
        int value = 0;
        bool is_byte = at->cmsg_level == IPPROTO_IP && at->cmsg_type == IP_TOS;
        if (is_local(at)) {
            local_read(at, &out_msg->local);
            continue;
        }
        memcpy(&value, CMSG_DATA(at), is_byte ? 1 : sizeof(value));
        if (is_byte || (at->cmsg_level == IPPROTO_IPV6 && at->cmsg_type == IPV6_TCLASS)) {
            out_msg->ecn = (uint8_t) (value & ECN_MASK);
        } else if (at->cmsg_level == SOL_UDP && at->cmsg_type == UDP_GRO) {
            out_msg->segment_bytes = (size_t) value < out_msg->data.len ? (uint16_t) value : 0;
        }
    }
}

pg_err pg_real_udp_recv(pg_udp *udp, pg_time deadline, pg_udp_msg *out_msgs, size_t *out_count)
{
    int got = -1;
    PG_TRY(pg_fiber_checkpoint());
    while (got < 0) {
        heads_prepare(udp);
        got = recvmmsg(pg_watch_fd(udp->watch), udp->heads, PG_UDP_BATCH_MAX, MSG_DONTWAIT, NULL);
        if (got < 0 && errno == EAGAIN) {
            PG_TRY(pg_watch_wait(udp->watch, PG_WATCH_SIDE_READ, deadline));
        } else if (got < 0 && errno != EINTR && errno != ECONNREFUSED) {
            return pg_fail_errno(errno, "receive", NULL);
        }
    }
    for (size_t i = 0; i < (size_t) got; i++) {
        out_msgs[i] = (pg_udp_msg){
            .peer = pg_endpoint_of_sockaddr(&udp->peers[i]),
            .local = {.port = udp->port},
            .data = pg_bytes_make(udp->vectors[i].iov_base, udp->heads[i].msg_len),
        };
        controls_read(&udp->heads[i].msg_hdr, &out_msgs[i]);
    }
    *out_count = (size_t) got;
    return PG_OK;
}
