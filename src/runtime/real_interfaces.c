// SPDX-License-Identifier: Apache-2.0
// The addresses of the machine, as libuv tells them.
#include <string.h>

#include "runtime/interfaces.h"
#include "runtime/real_priv.h"

size_t pg_real_interfaces(pg_world *world, pg_endpoint *out_endpoints)
{
    uv_interface_address_t *found = NULL;
    int found_count = 0;
    size_t count = 0;
    (void) world;
    if (uv_interface_addresses(&found, &found_count) != 0) {
        return 0;
    }
    for (int pass = 0; pass < 2; pass++) { // loopback, then the others
        for (int i = 0; i < found_count && count < PG_INTERFACES_MAX; i++) {
            struct sockaddr_storage address = {0};
            memcpy(&address, &found[i].address, sizeof(found[i].address));
            if ((found[i].is_internal != 0) == (pass == 0)) {
                out_endpoints[count] = pg_endpoint_of_sockaddr(&address);
                out_endpoints[count].port = 0;
                count++;
            }
        }
    }
    uv_free_interface_addresses(found, found_count);
    return count;
}
