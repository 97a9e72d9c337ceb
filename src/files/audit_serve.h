// SPDX-License-Identifier: Apache-2.0
// The holder's side of audits: answers challenges about shards that are kept here for others, signed by the device, for the auditor on the
// other end of the connection and nobody else. What one auditor and all together can make it read is bounded. Not for: who asks
// (audit_round.h).
//
// Layer: files.  Thread: loop thread only.  Spec: docs/protocols/audit.md
#pragma once

#include <stdint.h>

#include "base/attr.h"
#include "base/err.h"
#include "crypto/identity.h"
#include "exchange/place_server.h"
#include "health/health.h"
#include "net/host.h"
#include "store/blocks.h"

#define PG_AUDIT_ID "/pangea/audit/1.0.0"

/** What it stands on; all outlive it. */
typedef struct pg_audit_server_config {
    pg_host *host;
    pg_block_store *blocks;
    pg_place_server *place;    // says what is kept for others: a cache is no holder
    const pg_health *health;   // knows who proved something to us; NULL: nobody did
    const pg_identity *device; // signs
} pg_audit_server_config;

/** What it did. */
typedef struct pg_audit_server_stats {
    uint64_t answered_total;
    uint64_t not_held_total;
    uint64_t busy_total;  // refused for their cost
    uint64_t bytes_total; // read for them
} pg_audit_server_stats;

typedef struct pg_audit_server pg_audit_server;

/** Serve. Errors: PG_ERR_EXISTS, PG_ERR_LIMIT, PG_ERR_NOMEM. */
PG_NODISCARD pg_err pg_audit_server_new(const pg_audit_server_config *config,
                                        pg_audit_server **out_server);

/** Return what it did. */
pg_audit_server_stats pg_audit_server_get_stats(const pg_audit_server *server);

/** Serve no more, free, and set *server to NULL. NULL is fine. Parks: yes, briefly. */
void pg_audit_server_free(pg_audit_server **server);
