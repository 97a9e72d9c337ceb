// SPDX-License-Identifier: Apache-2.0
// Stays connected to the peers of net.peers: dials them, and again after each loss, with growing waits.
//
// Layer: node.  Thread: loop thread only.
#pragma once

#include "base/attr.h"
#include "base/err.h"
#include "net/host.h"
#include "node/config.h"

typedef struct pg_keeper pg_keeper;

/** Begin with the peers of a list of multiaddrs, each with "/p2p/ID" at its end. Parks: no.
 *  Errors: PG_ERR_INVALID (the detail names the entry), PG_ERR_LIMIT, PG_ERR_NOMEM */
PG_NODISCARD pg_err pg_keeper_new(pg_host *host, const pg_config_list *peers,
                                  pg_keeper **out_keeper);

/** Stop, free, and set *keeper to NULL; connections stay. NULL is fine. Parks: yes, briefly. */
void pg_keeper_free(pg_keeper **keeper);
