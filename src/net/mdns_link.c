// SPDX-License-Identifier: Apache-2.0
#include "net/mdns_link.h"

#include "base/bytes.h"
#include "net/limits.h"

// ---- when ----

static int64_t between_ms(int64_t min_ms, int64_t max_ms, uint64_t random)
{
    return PG_MS(min_ms) + (int64_t) (random % (uint64_t) PG_MS(max_ms - min_ms));
}

pg_mdns_pace pg_mdns_pace_make(pg_time now, uint64_t random)
{
    return (pg_mdns_pace){
        .ask_at = now + between_ms(PG_NET_MDNS_ANSWER_MIN_MS, PG_NET_MDNS_ANSWER_MAX_MS, random),
        .ask_wait_ns = PG_MS(PG_NET_MDNS_ASK_MIN_MS),
        .answer_at = PG_FOREVER,
        .answer_again_at = now,
    };
}

void pg_mdns_pace_asked(pg_mdns_pace *pace, pg_time now)
{
    int64_t longest_ns = PG_MS(PG_NET_MDNS_ASK_MAX_MS);
    pace->ask_at = now + pace->ask_wait_ns;
    pace->ask_wait_ns = pace->ask_wait_ns < longest_ns / 2 ? pace->ask_wait_ns * 2 : longest_ns;
}

void pg_mdns_pace_question(pg_mdns_pace *pace, pg_time now, uint64_t random)
{
    if (pace->answer_at != PG_FOREVER) {
        return;
    }
    pg_time soon = now + between_ms(PG_NET_MDNS_ANSWER_MIN_MS, PG_NET_MDNS_ANSWER_MAX_MS, random);
    pace->answer_at = soon > pace->answer_again_at ? soon : pace->answer_again_at;
}

void pg_mdns_pace_answered(pg_mdns_pace *pace, pg_time now)
{
    pace->answer_at = PG_FOREVER;
    pace->answer_again_at = now + PG_MS(PG_NET_MDNS_ANSWER_PAUSE_MS);
}

bool pg_mdns_rate_take(pg_mdns_rate *rate, uint32_t max, int64_t window_ns, pg_time now)
{
    if (rate->count == 0 || now - rate->window_at >= window_ns) {
        *rate = (pg_mdns_rate){.window_at = now};
    }
    if (rate->count == max) {
        return false;
    }
    rate->count++;
    return true;
}

// ---- whom ----

static bool is_in_prefix(pg_bytes ip, const pg_interface *interface)
{
    pg_bytes base = pg_endpoint_ip(&interface->at);
    size_t whole = interface->prefix_bits / 8U;
    unsigned rest = interface->prefix_bits % 8U;
    if (ip.len != base.len || interface->prefix_bits == 0 || whole > base.len) {
        return false;
    }
    if (!pg_bytes_equal(pg_bytes_slice(ip, 0, whole), pg_bytes_slice(base, 0, whole))) {
        return false;
    }
    return rest == 0 || (ip.ptr[whole] ^ base.ptr[whole]) >> (8 - rest) == 0;
}

static bool is_on_link(pg_bytes ip, const pg_mdns_place *place)
{
    for (size_t i = 0; i < place->count; i++) {
        if (place->interfaces[i].number == place->number &&
            is_in_prefix(ip, &place->interfaces[i])) {
            return true;
        }
    }
    return false;
}

static bool is_ours(pg_bytes ip, const pg_mdns_place *place, bool on_link_only)
{
    for (size_t i = 0; i < place->count; i++) {
        if ((!on_link_only || place->interfaces[i].number == place->number) &&
            pg_bytes_equal(ip, pg_endpoint_ip(&place->interfaces[i].at))) {
            return true;
        }
    }
    return false;
}

// The IP address, for those that can be dialed as they are: a link-local IPv6 address lacks its interface.
static bool addr_ip(const pg_multiaddr *addr, pg_bytes *out_ip, pg_ip_scope *out_scope)
{
    pg_multiaddr_hop hop;
    if (pg_multiaddr_first_hop(addr, &hop) != PG_OK || pg_multiaddr_is_relay(addr) ||
        (hop.host_code != PG_MULTIADDR_CODE_IP4 && hop.host_code != PG_MULTIADDR_CODE_IP6)) {
        return false;
    }
    *out_ip = hop.host;
    *out_scope = pg_ip_scope_of(hop.host);
    return *out_scope != PG_IP_SCOPE_LINK_LOCAL || hop.host.len == 4;
}

bool pg_mdns_addr_is_plausible(const pg_multiaddr *addr, const pg_endpoint *from,
                               const pg_mdns_place *place)
{
    pg_bytes ip;
    pg_ip_scope scope;
    pg_bytes sender = pg_endpoint_ip(from);
    if (!addr_ip(addr, &ip, &scope)) {
        return false;
    }
    if (scope == PG_IP_SCOPE_LOOPBACK) {
        return is_ours(sender, place, false);
    }
    if (scope != PG_IP_SCOPE_PRIVATE && scope != PG_IP_SCOPE_LINK_LOCAL) {
        return false;
    }
    return is_on_link(ip, place) || pg_bytes_equal(ip, sender);
}

size_t pg_mdns_addrs_choose(const pg_multiaddr *ours, size_t count, const pg_mdns_place *place,
                            pg_multiaddr *out_addrs)
{
    size_t chosen = 0;
    for (size_t i = 0; i < count; i++) {
        pg_bytes ip;
        pg_ip_scope scope;
        if (addr_ip(&ours[i], &ip, &scope) &&
            (scope == PG_IP_SCOPE_PRIVATE || scope == PG_IP_SCOPE_LINK_LOCAL) &&
            is_ours(ip, place, true)) {
            out_addrs[chosen] = ours[i];
            chosen++;
        }
    }
    return chosen;
}
