// SPDX-License-Identifier: Apache-2.0
// From where a node is reached: one judgement, of which `pangea status` and `pangea doctor` speak. Pure.
//
// Layer: cli.  Thread: any.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include <json-c/json_object.h>

#include "codec/multiaddr.h"

/** What its addresses and connections tell. */
typedef enum pg_reach {
    PG_REACH_UNKNOWN, // nobody is connected
    PG_REACH_MACHINE, // it listens for this machine alone, and nodes of it came: a network on one machine
    PG_REACH_CLOSED,   // it listens for this machine alone, or nowhere, and nobody came
    PG_REACH_OTHERS,   // others came by themselves
    PG_REACH_UNPROVEN, // it dialed all that it is connected with
} pg_reach;

/** What is to be told of PG_REACH_CLOSED, and what to do about it. */
#define PG_REACH_CLOSED_TEXT "other machines cannot reach this node"
#define PG_REACH_CLOSED_FIX "let net.listen have addresses of /ip4/0.0.0.0, as by default"

/** Return how far the farthest of a node's addresses is reached from. *out_count tells how many there are; `addrs` may be NULL. */
pg_ip_scope pg_reach_scope(json_object *addrs, size_t *out_count);

/** Judge by that, and by how many connections came and were dialed. */
pg_reach pg_reach_judge(pg_ip_scope widest, uint64_t inbound, uint64_t outbound);
