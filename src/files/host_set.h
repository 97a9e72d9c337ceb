// SPDX-License-Identifier: Apache-2.0
// Which hosts keep an extent, and which slots each of them gets. By rendezvous: every candidate has a number that follows from the
// extent and its name, and comes first in as many extents as it is fit (health/health.h), so extents spread evenly over hosts that are
// alike, and two who know the same of the candidates choose alike. Hosts of one network come after those of networks not chosen yet. Pure.
//
// Layer: files.  Thread: any.  Spec: docs/protocols/files.md, section "Host sets"
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "crypto/peer_id.h"
#include "exchange/lease.h"
#include "files/code.h"
#include "health/health.h"

#define PG_NETWORK_BYTES 7

/** A host that could be chosen. */
typedef struct pg_host_candidate {
    pg_peer_id peer;
    uint8_t network[PG_NETWORK_BYTES]; // family and prefix: two in one network may fail together
    uint64_t rank;                     // set by pg_host_set_order
} pg_host_candidate;

/** Tell the network of a binary multiaddr: IPv4 /24, IPv6 /48; all zero where it has no IP address. */
void pg_network_of(pg_bytes addr, uint8_t out_network[PG_NETWORK_BYTES]);

/** Return a host's number for one extent: uniform, the same for everybody. The higher of two hosts is preferred, fitness aside. */
uint64_t pg_host_set_number(const pg_peer_id *peer, pg_bytes extent_id);

/** Put the candidates in the order in which an extent prefers them, best first.
 *  candidates   candidates[count], sorted in place
 *  extent_id    any bytes that name the extent
 *  health       how fit the candidates are; NULL = all alike */
void pg_host_set_order(pg_host_candidate *candidates, size_t count, pg_bytes extent_id,
                       const pg_health *health);

/** Deal n slots to `hosts` hosts, 1..n of them, as evenly as can be: host i gets the slots s with s mod hosts = i.
 *  out_slots   out_slots[hosts] */
void pg_slots_deal(unsigned n, unsigned hosts, pg_slot_set *out_slots);

/** Return how many hosts may be lost for certain when each holds the slots of its set and `parity` may be missing: those with most slots
 *  are taken to go first.
 *  sets   sets[count] */
unsigned pg_slots_survive(const pg_slot_set *sets, size_t count, unsigned parity);
