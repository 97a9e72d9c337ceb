// SPDX-License-Identifier: Apache-2.0
// Addresses, names and paths of the simulated network.
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "runtime/sim_net_priv.h"

#define PORT_FIRST 32768u // the range Linux takes ports from
#define PORT_COUNT 28232u

static const pg_sim_link within_machine = {.latency_ns = PG_US(10)};

// ---- Addresses

// The bytes that name a machine: family and address, not the port.
typedef struct address_key {
    uint8_t bytes[17];
} address_key;

static address_key key_of(const pg_endpoint *endpoint)
{
    address_key key = {{(uint8_t) endpoint->family}};
    pg_bytes ip = pg_endpoint_ip(endpoint);
    memcpy(key.bytes + 1, endpoint->ip, ip.len);
    return key;
}

static bool is_same_ip(const pg_endpoint *a, const pg_endpoint *b)
{
    return a->family == b->family && pg_bytes_equal(pg_endpoint_ip(a), pg_endpoint_ip(b));
}

pg_err pg_sim_net_address_add(pg_sim_world *world, pg_sim_machine *machine)
{
    address_key key = key_of(&machine->address);
    pg_map_take(&world->addresses, PG_BYTES_OF(key.bytes));
    return pg_map_add(&world->addresses, PG_BYTES_OF(key.bytes), machine);
}

pg_sim_machine *pg_sim_net_find(pg_sim_machine *from, const pg_endpoint *to)
{
    if (pg_endpoint_is_loopback(to)) {
        return from;
    }
    address_key key = key_of(to);
    return pg_map_get(&from->world->addresses, PG_BYTES_OF(key.bytes));
}

// As pg_sim_net_find, without the map where the machine has its first address still.
static pg_sim_machine *machine_at(const pg_sim_world *world, const pg_endpoint *to)
{
    if (to->family == PG_IP_FAMILY_V4 && to->ip[0] == 10) {
        size_t number = (size_t) to->ip[1] << 16 | (size_t) to->ip[2] << 8 | to->ip[3];
        if (number - 1 < world->machine_count &&
            is_same_ip(&world->machines[number - 1]->address, to)) {
            return world->machines[number - 1];
        }
    }
    address_key key = key_of(to);
    pg_sim_machine *machine = pg_map_get(&world->addresses, PG_BYTES_OF(key.bytes));
    return machine != NULL && is_same_ip(&machine->address, to) ? machine : NULL;
}

pg_endpoint pg_sim_net_source(const pg_sim_machine *machine, const pg_endpoint *to)
{
    pg_endpoint source = pg_endpoint_is_loopback(to) ? *to : machine->address;
    source.port = 0;
    return source;
}

pg_err pg_sim_net_check_bind(const pg_sim_machine *machine, const pg_endpoint *at)
{
    if (at->family != PG_IP_FAMILY_NONE && (pg_endpoint_is_any(at) || pg_endpoint_is_loopback(at) ||
                                            is_same_ip(at, &machine->address))) {
        return PG_OK;
    }
    char text[PG_ENDPOINT_TEXT_BYTES];
    pg_endpoint_format(at, text);
    return pg_fail(PG_ERR_UNREACHABLE, "%s is no address of this machine", text);
}

bool pg_sim_net_is_for(const pg_endpoint *at, const pg_endpoint *to)
{
    return at->port == to->port && at->family == to->family &&
           (pg_endpoint_is_any(at) || is_same_ip(at, to));
}

bool pg_sim_net_is_clash(const pg_endpoint *a, const pg_endpoint *b)
{
    return pg_sim_net_is_for(a, b) || pg_sim_net_is_for(b, a);
}

uint16_t pg_sim_net_port_next(pg_sim_machine *machine)
{
    machine->port_next = (uint16_t) ((machine->port_next + 1u) % PORT_COUNT);
    return (uint16_t) (PORT_FIRST + machine->port_next);
}

// ---- Paths

typedef struct pair_key {
    uint32_t numbers[2]; // the lower first
} pair_key;

static pair_key pair_of(const pg_sim_machine *a, const pg_sim_machine *b)
{
    return a->number < b->number ? (pair_key){{a->number, b->number}}
                                 : (pair_key){{b->number, a->number}};
}

static pg_sim_path *path_find(const pg_sim_machine *a, const pg_sim_machine *b)
{
    const pg_map *paths = &a->world->paths;
    if (pg_map_count(paths) == 0) {
        return NULL;
    }
    pair_key key = pair_of(a, b);
    return pg_map_get(paths, PG_BYTES_OF(key.numbers));
}

// The script's and the link's own bookkeeping: a run without memory for it has no meaning.
static pg_sim_path *path_make(pg_sim_machine *a, pg_sim_machine *b)
{
    pg_sim_path *path = path_find(a, b);
    if (path != NULL) {
        return path;
    }
    path = PG_NEW(pg_sim_path);
    pg_assert(path != NULL);
    pair_key key = pair_of(a, b);
    pg_err err = pg_map_add(&a->world->paths, PG_BYTES_OF(key.numbers), path);
    pg_assert(err == PG_OK);
    return path;
}

void pg_sim_link_set(pg_sim_machine *a, pg_sim_machine *b, const pg_sim_link *link)
{
    pg_sim_path *path = path_make(a, b);
    path->is_set = link != NULL;
    if (link != NULL) {
        path->link = *link;
    }
}

void pg_sim_partition(pg_sim_machine *a, pg_sim_machine *b, bool cut)
{
    path_make(a, b)->is_cut = cut;
}

const pg_sim_link *pg_sim_net_link(const pg_sim_machine *a, const pg_sim_machine *b)
{
    if (a == b) {
        return &within_machine;
    }
    const pg_sim_path *path = path_find(a, b);
    return path != NULL && path->is_set ? &path->link : &a->world->config.link;
}

pg_sim_machine *pg_sim_net_reach(pg_sim_machine *machine, const pg_endpoint *from,
                                 const pg_endpoint *to)
{
    if (from->family == PG_IP_FAMILY_NONE || pg_endpoint_is_loopback(to)) {
        return machine;
    }
    pg_sim_machine *other = machine_at(machine->world, to);
    return other != NULL && pg_sim_net_gets_to(machine, from, other) ? other : NULL;
}

bool pg_sim_net_gets_to(const pg_sim_machine *machine, const pg_endpoint *from,
                        const pg_sim_machine *other)
{
    if (!is_same_ip(from, &machine->address) || other->is_down) {
        return false; // it has moved, or nobody is there
    }
    const pg_sim_path *path = other == machine ? NULL : path_find(machine, other);
    return path == NULL || !path->is_cut;
}

pg_time pg_sim_net_departure(pg_sim_machine *from, const pg_sim_machine *to, size_t bytes,
                             int64_t wait_ns_max)
{
    pg_time now_ns = from->world->now_ns;
    uint64_t rate = pg_sim_net_link(from, to)->bytes_per_second;
    if (rate == 0) {
        return now_ns;
    }
    pg_sim_path *path = path_make(from, from->world->machines[to->number - 1]);
    pg_time *busy_until_ns = &path->busy_until_ns[from->number < to->number ? 0 : 1];
    pg_time start_ns = *busy_until_ns > now_ns ? *busy_until_ns : now_ns;
    if (start_ns - now_ns > wait_ns_max) {
        return PG_FOREVER;
    }
    __uint128_t takes_ns = (__uint128_t) bytes * (uint64_t) PG_SECONDS(1) / rate;
    *busy_until_ns = start_ns + (pg_time) takes_ns;
    return *busy_until_ns;
}

int64_t pg_sim_net_travel_ns(pg_sim_machine *from, const pg_sim_machine *to)
{
    const pg_sim_link *link = pg_sim_net_link(from, to);
    return link->latency_ns +
           (int64_t) pg_sim_rng_below(&from->world->network_rng, (uint64_t) link->jitter_ns);
}

// ---- Names

static pg_sim_machine *machine_named(pg_sim_world *world, const char *name)
{
    pg_str number = {NULL, 0};
    pg_str domain = pg_str_split(pg_str_make(name), '.', &number);
    uint64_t value = 0;
    if (!pg_str_equal(domain, PG_STR("sim")) || !pg_str_starts_with(number, PG_STR("m")) ||
        pg_str_to_u64(pg_str_make_len(number.ptr + 1, number.len - 1), world->machine_count,
                      &value) != PG_OK ||
        value == 0) {
        return NULL;
    }
    return world->machines[value - 1];
}

static pg_err on_resolve(pg_world *base, const char *name, pg_ip_family family, pg_time deadline,
                         pg_endpoint *out_endpoints, size_t *out_count)
{
    pg_sim_world *world = (pg_sim_world *) base;
    pg_sim_machine *self = NULL;
    PG_TRY(pg_sim_machine_self(&self));
    pg_time answer_ns = world->now_ns + 2 * world->config.link.latency_ns + 1;
    pg_err err = pg_fiber_park(pg_earlier(answer_ns, deadline));
    if (err != PG_ERR_TIMEOUT || deadline < answer_ns) {
        return err;
    }
    const pg_sim_machine *machine = machine_named(world, name);
    pg_endpoint found = {.family = PG_IP_FAMILY_V4, .ip = {127, 0, 0, 1}};
    if (machine != NULL) {
        found = machine->address;
    } else if (!pg_str_equal(pg_str_make(name), PG_STR("localhost"))) {
        return pg_fail(PG_ERR_NOT_FOUND, "no machine has the name %s", name);
    }
    if (family != PG_IP_FAMILY_NONE && family != found.family) {
        return pg_fail(PG_ERR_NOT_FOUND, "%s has no address of this family", name);
    }
    out_endpoints[0] = found;
    *out_count = 1;
    return PG_OK;
}

// All machines are on one link.
static size_t on_interfaces(pg_world *base, pg_interface *out_interfaces)
{
    pg_sim_machine *self = NULL;
    (void) base;
    out_interfaces[0] = (pg_interface){
        .at = {.family = PG_IP_FAMILY_V4, .ip = {127, 0, 0, 1}},
        .number = PG_SIM_INTERFACE_LOOPBACK,
        .prefix_bits = 8,
        .is_loopback = true,
    };
    if (pg_sim_machine_self(&self) != PG_OK) {
        return 1;
    }
    out_interfaces[1] = (pg_interface){
        .at = self->address,
        .number = PG_SIM_INTERFACE_LINK,
        .prefix_bits = self->address.family == PG_IP_FAMILY_V4 ? 8 : 64,
        .has_multicast = true,
    };
    return 2;
}

// ---- The end of things

void pg_sim_net_crash(pg_sim_machine *machine)
{
    while (!pg_list_is_empty(&machine->listeners)) {
        pg_sim_listener_crash(PG_LIST_OBJECT(machine->listeners.next, pg_sim_listener, node));
    }
    while (!pg_list_is_empty(&machine->conns)) {
        pg_sim_conn_crash(PG_LIST_OBJECT(machine->conns.next, pg_sim_conn, node));
    }
    while (!pg_list_is_empty(&machine->sockets)) {
        pg_sim_udp_crash(PG_LIST_OBJECT(machine->sockets.next, pg_sim_udp, node));
    }
}

void pg_sim_net_deinit(pg_sim_world *world)
{
    pg_sim_udp_deinit(world);
    pg_map_cursor cursor = {0};
    while (pg_map_next(&world->paths, &cursor)) {
        pg_mfree(cursor.value);
    }
    pg_map_deinit(&world->paths);
    pg_map_deinit(&world->addresses);
}

const pg_socket_ops pg_sim_socket_ops = {
    .tcp_listen = pg_sim_tcp_listen,
    .tcp_dial = pg_sim_tcp_dial,
    .tcp_endpoints = pg_sim_tcp_endpoints,
    .unix_listen = pg_sim_unix_listen,
    .unix_dial = pg_sim_unix_dial,
    .listener_endpoint = pg_sim_listener_endpoint,
    .listener_accept = pg_sim_listener_accept,
    .listener_free = pg_sim_listener_free,
    .udp_bind = pg_sim_udp_bind,
    .udp_join = pg_sim_udp_join,
    .udp_endpoint = pg_sim_udp_endpoint,
    .udp_send = pg_sim_udp_send,
    .udp_recv = pg_sim_udp_recv,
    .udp_free = pg_sim_udp_free,
    .resolve = on_resolve,
    .interfaces = on_interfaces,
};
