// SPDX-License-Identifier: Apache-2.0
// The addresses of this machine and the interfaces they stand on: what listening on "any address" amounts to, and where
// neighbours may be.
//
// Layer: runtime.  Thread: loop thread only.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "runtime/socket.h"

#define PG_INTERFACES_MAX 32

/** One address of an interface that is up. */
typedef struct pg_interface {
    pg_endpoint at;      // port 0
    uint32_t number;     // of the interface, which may have several addresses
    uint8_t prefix_bits; // of the address, which all on the link have in common
    bool is_loopback;
    bool has_multicast;
} pg_interface;

/** Give the addresses of the interfaces that are up, loopback first, ports 0. Returns how many; none when the system does not tell. */
size_t pg_interfaces(pg_endpoint out_endpoints[PG_INTERFACES_MAX]);

/** Give the same addresses in the same order, with their interfaces. */
size_t pg_interfaces_list(pg_interface out_interfaces[PG_INTERFACES_MAX]);
