// SPDX-License-Identifier: Apache-2.0
// How the node comes to its peers, in one place: the peers of net.peers, the list of net.bootstrap, those on the local network, those
// remembered from earlier runs, and the manager that decides whom of them to be connected with: hosts of our files before peers of the
// DHTs, and these before others.
//
// Layer: node.  Thread: loop thread only.
#pragma once

#include "api/routes.h"
#include "base/attr.h"
#include "base/err.h"
#include "dht/pair.h"
#include "files/service.h"
#include "net/conn_manager.h"
#include "net/host.h"
#include "node/config.h"
#include "store/db.h"

typedef struct pg_finder pg_finder;

/** What it stands on; all outlive it. */
typedef struct pg_finder_parts {
    pg_host *host;
    pg_db *db; // with pg_peer_store_schema_1 among its steps; NULL: nothing is remembered
    const pg_dht_pair *dhts; // whose peers are worth a connection
    const pg_files *files;   // whose hosts are worth one
} pg_finder_parts;

/** Begin as the configuration says. Parks: yes.
 *  Errors: PG_ERR_LIMIT (the detail names the key), PG_ERR_NOMEM, and those of pg_peer_store_open */
PG_NODISCARD pg_err pg_finder_new(const pg_finder_parts *parts, const pg_config *config,
                                  pg_finder **out_finder);

/** Go on as a changed configuration says. Parks: yes, briefly. Errors as pg_finder_new; the lists are both taken over or none. */
PG_NODISCARD pg_err pg_finder_reload(pg_finder *finder, const pg_config *config);

/** Tell how it goes. */
void pg_finder_tell(const pg_finder *finder, pg_api_finding *out_finding);

/** Stop, save what is remembered, free, and set *finder to NULL; connections stay. NULL is fine. Parks: yes. */
void pg_finder_free(pg_finder **finder);
