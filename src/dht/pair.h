// SPDX-License-Identifier: Apache-2.0
// The two DHTs of a node, local and global, asked at the same time. What cannot change is found by whichever answers first;
// for what can, the answers of both are one quorum. What is published goes to both.
//
// Layer: dht.  Thread: loop thread only.  Spec: docs/protocols/dht.md
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/attr.h"
#include "base/bytes.h"
#include "base/err.h"
#include "dht/dht.h"

/** The two; either may be NULL, not both. */
typedef struct pg_dht_pair {
    pg_dht *local;
    pg_dht *global;
} pg_dht_pair;

/** Return true when there is neither: the DHT is switched off, or did not begin yet. NULL is none. */
bool pg_dht_pair_is_off(const pg_dht_pair *pair);

/** Return how many peers the larger of the two tables has. */
size_t pg_dht_pair_peers(const pg_dht_pair *pair);

// Calls are those of dht.h. They fail only when both DHTs do, with the error of the one that has peers; an answer of one is an answer.

/** Find a peer, as pg_dht_find_peer. Parks: yes. */
PG_NODISCARD pg_err pg_dht_pair_find_peer(const pg_dht_pair *pair, const pg_peer_id *peer,
                                          const pg_dht_call *call, pg_multiaddr *out_addrs,
                                          size_t *out_count);

/** Find the value of a key, as pg_dht_get. Parks: yes. */
PG_NODISCARD pg_err pg_dht_pair_get(const pg_dht_pair *pair, pg_bytes key, const pg_dht_call *call,
                                    pg_buf *out_value);

/** Put a value in both, as pg_dht_put; *out_stored is the sum. Parks: yes. */
PG_NODISCARD pg_err pg_dht_pair_put(const pg_dht_pair *pair, pg_bytes key, pg_bytes value,
                                    const pg_dht_call *call, size_t *out_stored);

/** Provide a key in both, as pg_dht_provide; *out_told is the sum. Parks: yes. */
PG_NODISCARD pg_err pg_dht_pair_provide(const pg_dht_pair *pair, pg_bytes key,
                                        const pg_dht_call *call, size_t *out_told);

/** Find providers in both, as pg_dht_find_providers; a peer that both know is told once. Parks: yes. */
PG_NODISCARD pg_err pg_dht_pair_find_providers(const pg_dht_pair *pair, pg_bytes key,
                                               const pg_dht_call *call,
                                               pg_dht_on_provider on_provider, void *user);

/** Publish a key no longer again in either. */
void pg_dht_pair_unpublish(const pg_dht_pair *pair, pg_bytes key);

/** Free both, and set them to NULL. Parks: yes, briefly. */
void pg_dht_pair_free(pg_dht_pair *pair);
