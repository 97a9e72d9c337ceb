// SPDX-License-Identifier: Apache-2.0
// The memory a node is seen to take: what a transfer used and freed is kept for the next one, and goes back to the system within seconds;
// so do the pages of the program and its libraries that only starting needed.
//
// Layer: node.  Thread: loop thread only.
#pragma once

#include <stdbool.h>

#include "runtime/fiber.h"

/** Own in place; all-zero until started. */
typedef struct pg_memory {
    pg_scope scope;
    bool is_running;
} pg_memory;

/** Set the allocator up, and give back from a fiber what is not used. Before the node has threads. Parks: no. */
void pg_memory_start(pg_memory *self);

/** Give back no more. All-zero is fine. Parks: yes. */
void pg_memory_end(pg_memory *self);
