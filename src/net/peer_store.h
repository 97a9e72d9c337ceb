// SPDX-License-Identifier: Apache-2.0
// The host's book on disk: who was met, by which addresses, and who can do the post-quantum handshake, so that a node that starts
// anew finds its peers again and cannot be talked down to less. In a sealed database; loaded at the start, with the ages that the
// wall clock tells, saved now and then and at the end. What was only heard of is not kept.
//
// Layer: net.  Thread: loop thread only; the database has its own.
#pragma once

#include <stdint.h>

#include "base/attr.h"
#include "base/err.h"
#include "net/host.h"
#include "store/db.h"

/** Step 1 of the schema: the tables net_peer and net_peer_addr. One of the steps of the database's pg_db_schema. */
extern const char *const pg_peer_store_schema_1;

typedef struct pg_peer_store pg_peer_store;

/** Load the book, then save what changes every PG_NET_STORE_SAVE_MS. The database holds as many peers as the book does at most. Parks: yes.
 *  db   outlives the store
 *  Errors: PG_ERR_NOMEM, and those of pg_db_read. */
PG_NODISCARD pg_err pg_peer_store_open(pg_host *host, pg_db *db, pg_peer_store **out_store);

/** Save what has changed, now. Parks: yes. Errors: PG_ERR_NOMEM, and those of pg_db_write. */
PG_NODISCARD pg_err pg_peer_store_save(pg_peer_store *store);

/** Return how many peers were loaded. */
size_t pg_peer_store_loaded(const pg_peer_store *store);

/** Save a last time, free, and set *store to NULL; before the host is freed. NULL is fine. Parks: yes. */
void pg_peer_store_close(pg_peer_store **store);
