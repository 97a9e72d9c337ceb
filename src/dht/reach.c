// SPDX-License-Identifier: Apache-2.0
#include "dht/reach.h"

const char *pg_dht_realm_name(pg_dht_realm realm)
{
    return realm == PG_DHT_REALM_LOCAL ? "local" : "global";
}

bool pg_dht_addr_is_in(const pg_multiaddr *addr, pg_dht_realm realm, bool private_too)
{
    switch (pg_multiaddr_scope(addr)) {
    case PG_IP_SCOPE_LOOPBACK:
    case PG_IP_SCOPE_LINK_LOCAL:
    case PG_IP_SCOPE_PRIVATE:
        return realm == PG_DHT_REALM_LOCAL || private_too;
    case PG_IP_SCOPE_NONE:
    case PG_IP_SCOPE_PUBLIC:
        return realm == PG_DHT_REALM_GLOBAL;
    case PG_IP_SCOPE_UNUSABLE:
        break;
    }
    return false;
}

bool pg_dht_addr_may_pass(const pg_multiaddr *addr, pg_ip_scope peer_scope)
{
    return pg_multiaddr_scope(addr) != PG_IP_SCOPE_LOOPBACK || peer_scope == PG_IP_SCOPE_LOOPBACK;
}

pg_dht_group pg_dht_group_of(const pg_multiaddr *addr)
{
    pg_multiaddr_hop hop;
    if (pg_multiaddr_scope(addr) != PG_IP_SCOPE_PUBLIC ||
        pg_multiaddr_first_hop(addr, &hop) != PG_OK) {
        return 0;
    }
    size_t len = hop.host.len == 4 ? 3 : 6;
    pg_dht_group group = hop.host.len; // an IPv4 subnet is never an IPv6 one
    for (size_t i = 0; i < len; i++) {
        group = group << 8 | hop.host.ptr[i];
    }
    return group;
}
