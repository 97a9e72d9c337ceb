// SPDX-License-Identifier: Apache-2.0
// The DHTs of a node, as the configuration wants them, and the validators of what they keep.
//
// Layer: node.  Thread: loop thread only.
#pragma once

#include "base/attr.h"
#include "base/err.h"
#include "dht/keep.h"
#include "dht/pair.h"
#include "net/host.h"
#include "node/config.h"
#include "store/db.h"

/** What a node finds others with. All-zero: nothing. */
typedef struct pg_discovery {
    pg_dht_validators validators;
    pg_dht_pair dhts; // both NULL: switched off
    pg_dht_keep *local_keep;
    pg_dht_keep *global_keep;
} pg_discovery;

/** Begin, as the keys `dht.*` say; to be called when the host listens already. `discovery` stays where it is until pg_discovery_stop.
 *  db   for what is held for others; open until pg_discovery_save
 *  Parks: yes. Errors: those of pg_dht_new and pg_dht_keep_open. */
PG_NODISCARD pg_err pg_discovery_start(pg_discovery *discovery, pg_host *host,
                                       const pg_config *config, pg_db *db);

/** Take over what of the configuration may change at run time. Errors: those of pg_dht_set_mode. */
PG_NODISCARD pg_err pg_discovery_reload(pg_discovery *discovery, const pg_config *config);

/** Write what is held for others a last time; from then on nothing is written. All-zero is fine. Parks: yes. */
void pg_discovery_save(pg_discovery *discovery);

/** End, after pg_discovery_save. All-zero is fine. Parks: yes, briefly. */
void pg_discovery_stop(pg_discovery *discovery);
