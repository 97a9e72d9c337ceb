// SPDX-License-Identifier: Apache-2.0
// The addresses of the machine, as the kernel tells them.
#include <ifaddrs.h>
#include <net/if.h>
#include <string.h>

#include "runtime/interfaces.h"
#include "runtime/real_priv.h"

static pg_endpoint endpoint_of(const struct sockaddr *address)
{
    struct sockaddr_storage copy = {0};
    if (address == NULL || (address->sa_family != AF_INET && address->sa_family != AF_INET6)) {
        return (pg_endpoint){0};
    }
    memcpy(&copy, address,
           address->sa_family == AF_INET ? sizeof(struct sockaddr_in)
                                         : sizeof(struct sockaddr_in6));
    pg_endpoint endpoint = pg_endpoint_of_sockaddr(&copy);
    endpoint.port = 0;
    return endpoint;
}

static uint8_t mask_bits(const struct sockaddr *mask)
{
    pg_endpoint endpoint = endpoint_of(mask);
    uint8_t bits = 0;
    for (size_t i = 0; i < sizeof(endpoint.ip); i++) {
        bits = (uint8_t) (bits + __builtin_popcount(endpoint.ip[i]));
    }
    return bits;
}

size_t pg_real_interfaces(pg_world *world, pg_interface *out_interfaces)
{
    struct ifaddrs *found = NULL;
    size_t count = 0;
    (void) world;
    if (getifaddrs(&found) != 0) {
        return 0;
    }
    for (int pass = 0; pass < 2; pass++) { // loopback, then the others
        for (const struct ifaddrs *each = found; each != NULL && count < PG_INTERFACES_MAX;
             each = each->ifa_next) {
            bool is_loopback = (each->ifa_flags & IFF_LOOPBACK) != 0;
            bool is_up = (each->ifa_flags & IFF_UP) != 0 && (each->ifa_flags & IFF_RUNNING) != 0;
            pg_endpoint at = endpoint_of(each->ifa_addr);
            if (!is_up || is_loopback != (pass == 0) || at.family == PG_IP_FAMILY_NONE) {
                continue;
            }
            out_interfaces[count] = (pg_interface){
                .at = at,
                .number = if_nametoindex(each->ifa_name),
                .prefix_bits = mask_bits(each->ifa_netmask),
                .is_loopback = is_loopback,
                .has_multicast = (each->ifa_flags & IFF_MULTICAST) != 0,
            };
            count++;
        }
    }
    freeifaddrs(found);
    return count;
}
