// SPDX-License-Identifier: Apache-2.0
// Which addresses belong to a DHT: the local one lives on private, link-local and loopback addresses, the global one on
// public ones and names. And which subnet an address is in, for what is capped by subnet.
//
// Layer: dht.  Thread: any.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"
#include "codec/multiaddr.h"

typedef enum pg_dht_realm {
    PG_DHT_REALM_LOCAL,
    PG_DHT_REALM_GLOBAL,
} pg_dht_realm;

/** Return "local" or "global". Static. */
const char *pg_dht_realm_name(pg_dht_realm realm);

/** Return true when an address belongs to the realm.
 *  private_too   let the global realm have private addresses too */
bool pg_dht_addr_is_in(const pg_multiaddr *addr, pg_dht_realm realm, bool private_too);

/** Return true when an address may pass between us and a peer: loopback addresses are of use, and harmless, only among
 *  processes of one machine.
 *  peer_scope   of the address the peer is connected from or to */
bool pg_dht_addr_may_pass(const pg_multiaddr *addr, pg_ip_scope peer_scope);

/** A subnet: IPv4 /24 or IPv6 /48 of a public address; 0 is none, and not capped. */
typedef uint64_t pg_dht_group;

/** Return the subnet of an address; 0 for an address that is not public, or no IP address. */
pg_dht_group pg_dht_group_of(const pg_multiaddr *addr);
