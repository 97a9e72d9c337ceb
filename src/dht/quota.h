// SPDX-License-Identifier: Apache-2.0
// How much of a shared store each peer and each subnet has taken, so that none takes all of it.
//
// Layer: dht.  Thread: any, one object at a time.
#pragma once

#include <stdint.h>

#include "base/attr.h"
#include "base/bytes.h"
#include "base/err.h"
#include "base/map.h"
#include "crypto/peer_id.h"
#include "dht/reach.h"

/** Who put something into a store. */
typedef struct pg_dht_source {
    pg_peer_id peer;
    pg_dht_group group; // 0 = not counted
} pg_dht_source;

/** The accounts. All-zero but for the limits is an empty set. */
typedef struct pg_dht_quota {
    pg_map peers;
    pg_map groups;
    uint32_t peer_max;
    uint32_t group_max;
} pg_dht_quota;

/** Take one place for a source. Errors: PG_ERR_LIMIT (the detail says whose share is used up), PG_ERR_NOMEM; nothing is taken then. */
PG_NODISCARD pg_err pg_dht_quota_take(pg_dht_quota *quota, const pg_dht_source *source);

/** Give a place back. */
void pg_dht_quota_give(pg_dht_quota *quota, const pg_dht_source *source);

/** Free; nothing may be taken any more. */
void pg_dht_quota_deinit(pg_dht_quota *quota);
