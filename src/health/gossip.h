// SPDX-License-Identifier: Apache-2.0
// The fiber that puts into the DHTs what was observed of peers, and looks up what others say of them, and of this node.
//
// Layer: health.  Thread: loop thread only.  Spec: docs/protocols/health.md, "In the DHT"
#pragma once

#include <stdint.h>

#include "base/attr.h"
#include "base/err.h"
#include "crypto/identity.h"
#include "dht/pair.h"
#include "health/health.h"

/** How to share. All pointers outlive it. */
typedef struct pg_health_gossip_config {
    const pg_dht_pair *dhts;
    const pg_identity *device; // signs
    int64_t interval_ns;       // between two rounds; 0 = never by itself
} pg_health_gossip_config;

/** Begin, after pg_health_watch. Errors: PG_ERR_NOMEM. */
PG_NODISCARD pg_err pg_health_gossip(pg_health *health, const pg_health_gossip_config *config);

/** One round now. Parks: yes. Errors: PG_ERR_INVALID (there is no DHT), PG_ERR_NOMEM, PG_ERR_CANCELLED. */
PG_NODISCARD pg_err pg_health_gossip_round(pg_health *health);
