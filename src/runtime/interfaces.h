// SPDX-License-Identifier: Apache-2.0
// The addresses of this machine: what listening on "any address" amounts to.
//
// Layer: runtime.  Thread: loop thread only.
#pragma once

#include <stddef.h>

#include "runtime/socket.h"

#define PG_INTERFACES_MAX 32

/** Give the addresses of the interfaces that are up, loopback first, ports 0. Returns how many; none when the system does not tell. */
size_t pg_interfaces(pg_endpoint out_endpoints[PG_INTERFACES_MAX]);
