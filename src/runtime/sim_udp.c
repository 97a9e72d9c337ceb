// SPDX-License-Identifier: Apache-2.0
// Datagrams of the simulated network.
#include <string.h>

#include "base/mem.h"
#include "runtime/sim_net_priv.h"

#define HEADERS_V4_BYTES 28u // IP and UDP
#define HEADERS_V6_BYTES 48u

typedef struct datagram {
    pg_list node; // in pg_sim_world.flying, then in a socket's list
    pg_timer timer;
    pg_sim_machine *machine; // the sender's, for what the path is on arrival
    pg_sim_machine *member;  // who it goes to, sent to a group; else NULL
    pg_endpoint from;
    pg_endpoint to;
    size_t len;
    uint8_t ecn;
    uint8_t data[];
} datagram;

#define DATAGRAM_OF(list_node) PG_LIST_OBJECT(list_node, datagram, node)
#define UDP_OF(list_node) PG_LIST_OBJECT(list_node, pg_sim_udp, node)

static void datagrams_free(pg_list *datagrams)
{
    for (pg_list *node = pg_list_pop(datagrams); node != NULL; node = pg_list_pop(datagrams)) {
        pg_mfree(DATAGRAM_OF(node));
    }
}

// ---- Sockets

// Members of groups share their ports with each other, and with nobody else.
static bool is_taken(const pg_sim_machine *machine, const pg_endpoint *at)
{
    for (pg_list *node = machine->sockets.next; node != &machine->sockets; node = node->next) {
        const pg_endpoint *other = &UDP_OF(node)->at;
        bool are_members = pg_endpoint_is_group(other) && pg_endpoint_is_group(at);
        if (!are_members && pg_sim_net_is_clash(other, at)) {
            return true;
        }
    }
    return false;
}

static pg_err udp_make(pg_sim_machine *machine, const pg_endpoint *at, pg_udp **out_udp)
{
    if (is_taken(machine, at)) {
        return pg_fail(PG_ERR_BUSY, "port %u is in use", (unsigned) at->port);
    }
    pg_sim_udp *udp = PG_NEW(pg_sim_udp);
    if (udp == NULL) {
        return pg_fail(PG_ERR_NOMEM, "no memory for a socket");
    }
    udp->machine = machine;
    udp->at = *at;
    pg_list_init(&udp->in);
    pg_list_init(&udp->lent);
    pg_waitq_init(&udp->receivers);
    pg_list_append(&machine->sockets, &udp->node);
    *out_udp = (pg_udp *) udp;
    return PG_OK;
}

pg_err pg_sim_udp_bind(pg_world *world, const pg_endpoint *at, pg_udp **out_udp)
{
    (void) world;
    pg_sim_machine *machine = NULL;
    PG_TRY(pg_sim_machine_self(&machine));
    PG_TRY(pg_sim_net_check_bind(machine, at));
    pg_endpoint bound = *at;
    while (bound.port == 0 || (at->port == 0 && is_taken(machine, &bound))) {
        bound.port = pg_sim_net_port_next(machine);
    }
    return udp_make(machine, &bound, out_udp);
}

pg_err pg_sim_udp_join(pg_world *world, const pg_endpoint *group, uint32_t interface,
                       pg_udp **out_udp)
{
    (void) world;
    pg_sim_machine *machine = NULL;
    PG_TRY(pg_sim_machine_self(&machine));
    if (interface != PG_SIM_INTERFACE_LINK || group->family != machine->address.family) {
        return pg_fail(PG_ERR_UNREACHABLE, "no interface %u for a group of this family",
                       (unsigned) interface);
    }
    return udp_make(machine, group, out_udp);
}

pg_endpoint pg_sim_udp_endpoint(const pg_udp *udp)
{
    return ((const pg_sim_udp *) udp)->at;
}

void pg_sim_udp_crash(pg_sim_udp *udp)
{
    pg_list_remove(&udp->node);
    udp->machine = NULL;
}

static void udp_unwait(pg_sim_udp *udp)
{
    udp->waiters--;
    if (udp->is_freed && udp->waiters == 0) {
        pg_mfree(udp);
    }
}

void pg_sim_udp_free(pg_udp *base)
{
    pg_sim_udp *udp = (pg_sim_udp *) base;
    datagrams_free(&udp->in);
    datagrams_free(&udp->lent);
    pg_list_remove(&udp->node);
    udp->is_freed = true;
    pg_waitq_wake_all(&udp->receivers);
    udp->waiters++;
    udp_unwait(udp);
}

// ---- Sending

// Put a packet, which passes to it, into a socket's buffer.
static void packet_put(pg_sim_udp *udp, datagram *packet)
{
    pg_sim_world *world = packet->machine->world;
    if (udp->in_bytes + packet->len > PG_SIM_UDP_QUEUE_BYTES_MAX) {
        pg_mfree(packet);
        return;
    }
    pg_sim_world_note(world, (uint64_t) packet->machine->number << 32 | udp->machine->number,
                      packet->len);
    udp->in_bytes += packet->len;
    pg_list_append(&udp->in, &packet->node);
    pg_waitq_wake_one(&udp->receivers);
}

static bool is_joined(const pg_sim_udp *udp, const pg_endpoint *group)
{
    return pg_endpoint_is_group(&udp->at) && pg_sim_net_is_for(&udp->at, group);
}

// Every member on the machine gets a copy of its own.
static void packet_spread(const datagram *packet)
{
    pg_list *sockets = &packet->member->sockets;
    for (pg_list *node = sockets->next; node != sockets; node = node->next) {
        if (!is_joined(UDP_OF(node), &packet->to)) {
            continue;
        }
        datagram *copy = pg_malloc(sizeof(*copy) + packet->len);
        if (copy == NULL) {
            return; // lost
        }
        memcpy(copy, packet, sizeof(*copy) + packet->len);
        copy->node = (pg_list){NULL, NULL};
        packet_put(UDP_OF(node), copy);
    }
}

static void on_arrival(pg_timer *timer)
{
    datagram *packet = PG_LIST_OBJECT(timer, datagram, timer);
    pg_list_remove(&packet->node);
    if (packet->member != NULL) {
        if (pg_sim_net_gets_to(packet->machine, &packet->from, packet->member)) {
            packet_spread(packet);
        }
        pg_mfree(packet);
        return;
    }
    pg_sim_machine *to = pg_sim_net_reach(packet->machine, &packet->from, &packet->to);
    pg_list *node = to == NULL ? NULL : to->sockets.next;
    while (node != NULL && node != &to->sockets &&
           !pg_sim_net_is_for(&UDP_OF(node)->at, &packet->to)) {
        node = node->next;
    }
    if (node == NULL || node == &to->sockets) {
        pg_mfree(packet);
        return;
    }
    packet_put(UDP_OF(node), packet);
}

static pg_err packet_send(pg_sim_udp *udp, const pg_endpoint *from, const pg_udp_msg *msg,
                          pg_bytes data, pg_sim_machine *member)
{
    pg_sim_machine *machine = udp->machine;
    pg_sim_world *world = machine->world;
    pg_sim_machine *to = member != NULL ? member : pg_sim_net_find(machine, &msg->peer);
    const pg_sim_link *link = to == NULL ? NULL : pg_sim_net_link(machine, to);
    if (to == NULL || pg_sim_rng_chance(&world->network_rng, link->loss_ppm)) {
        return PG_OK; // lost
    }
    pg_time departure_ns =
        pg_sim_net_departure(machine, to, data.len + HEADERS_V4_BYTES, PG_SIM_QUEUE_NS_MAX);
    if (departure_ns == PG_FOREVER) {
        return PG_OK; // lost: the link is too slow for so much
    }
    unsigned copies = 1 + pg_sim_rng_chance(&world->network_rng, link->duplicate_ppm);
    for (unsigned i = 0; i < copies; i++) {
        datagram *packet = pg_malloc(sizeof(*packet) + data.len);
        if (packet == NULL) {
            return pg_fail(PG_ERR_NOMEM, "no memory for a datagram");
        }
        *packet = (datagram){
            .machine = machine,
            .member = member,
            .from = *from,
            .to = msg->peer,
            .len = data.len,
            .ecn = msg->ecn,
        };
        if (data.len != 0) {
            memcpy(packet->data, data.ptr, data.len);
        }
        pg_list_append(&world->flying, &packet->node);
        pg_timer_start(&packet->timer, departure_ns + pg_sim_net_travel_ns(machine, to),
                       on_arrival);
    }
    return PG_OK;
}

static bool is_member(const pg_sim_machine *machine, const pg_endpoint *group)
{
    for (pg_list *node = machine->sockets.next; node != &machine->sockets; node = node->next) {
        if (is_joined(UDP_OF(node), group)) {
            return true;
        }
    }
    return false;
}

// To all machines with a member, the sender's own too.
static pg_err group_send(pg_sim_udp *udp, const pg_endpoint *from, const pg_udp_msg *msg,
                         pg_bytes data)
{
    const pg_sim_world *world = udp->machine->world;
    for (size_t i = 0; i < world->machine_count; i++) {
        pg_sim_machine *machine = world->machines[i];
        if (is_member(machine, &msg->peer)) {
            PG_TRY(packet_send(udp, from, msg, data, machine));
        }
    }
    return PG_OK;
}

static size_t payload_max(pg_sim_machine *machine, const pg_endpoint *to)
{
    if (pg_sim_net_find(machine, to) == machine) {
        return PG_SIM_UDP_BYTES_MAX;
    }
    return PG_SIM_MTU_BYTES - (to->family == PG_IP_FAMILY_V4 ? HEADERS_V4_BYTES : HEADERS_V6_BYTES);
}

pg_err pg_sim_udp_send(pg_udp *base, const pg_udp_msg *msg, pg_time deadline)
{
    (void) deadline;
    pg_sim_udp *udp = (pg_sim_udp *) base;
    PG_TRY(pg_fiber_checkpoint());
    if (udp->machine == NULL) {
        return PG_ERR_CANCELLED;
    }
    pg_endpoint from = pg_sim_net_source(udp->machine, &msg->peer);
    if (msg->peer.family != udp->at.family || msg->peer.family != from.family) {
        return pg_fail(PG_ERR_UNREACHABLE, "no route to an address of this family");
    }
    size_t step = msg->segment_bytes == 0 ? msg->data.len : msg->segment_bytes;
    size_t max = payload_max(udp->machine, &msg->peer);
    if (pg_min_size(step, msg->data.len) > max || msg->data.len > PG_UDP_BUFFER_BYTES) {
        return pg_fail(PG_ERR_LIMIT, "datagram of %zu bytes, at most %zu", step, max);
    }
    from.port = udp->at.port;
    if (msg->local.family != PG_IP_FAMILY_NONE && !pg_endpoint_equal(&msg->local, &from)) {
        return pg_fail(PG_ERR_INVALID, "the address to send from is not this machine's any more");
    }
    size_t done = 0;
    do {
        pg_bytes data = pg_bytes_slice(msg->data, done, step);
        PG_TRY(pg_endpoint_is_group(&msg->peer) ? group_send(udp, &from, msg, data)
                                                : packet_send(udp, &from, msg, data, NULL));
        done += step;
    } while (done < msg->data.len);
    return PG_OK;
}

// ---- Receiving

pg_err pg_sim_udp_recv(pg_udp *base, pg_time deadline, pg_udp_msg *out_msgs, size_t *out_count)
{
    pg_sim_udp *udp = (pg_sim_udp *) base;
    udp->waiters++;
    pg_err err = pg_fiber_checkpoint();
    datagrams_free(&udp->lent);
    while (err == PG_OK && !udp->is_freed && pg_list_is_empty(&udp->in)) {
        err = pg_waitq_wait(&udp->receivers, deadline);
    }
    if (err == PG_OK && udp->is_freed) {
        err = pg_fail(PG_ERR_CLOSED, "the socket was closed");
    }
    size_t count = 0;
    while (err == PG_OK && count < PG_UDP_BATCH_MAX && !pg_list_is_empty(&udp->in)) {
        pg_list *node = pg_list_pop(&udp->in);
        datagram *packet = DATAGRAM_OF(node);
        pg_list_append(&udp->lent, node);
        udp->in_bytes -= packet->len;
        out_msgs[count++] = (pg_udp_msg){.peer = packet->from,
                                         .local = packet->to,
                                         .data = pg_bytes_make(packet->data, packet->len),
                                         .ecn = packet->ecn};
    }
    udp_unwait(udp);
    PG_TRY(err);
    *out_count = count;
    return PG_OK;
}

void pg_sim_udp_deinit(pg_sim_world *world)
{
    for (pg_list *node = world->flying.next; node != &world->flying; node = node->next) {
        pg_timer_stop(&DATAGRAM_OF(node)->timer);
    }
    datagrams_free(&world->flying);
}
