// SPDX-License-Identifier: Apache-2.0
// What a DHT holds for others, on disk: loaded when the node starts, each entry judged again, and written as it changes, many
// changes in one transaction. What came in the last PG_DHT_KEEP_FLUSH_MS may be lost by a crash; others hold it too.
//
// Layer: dht.  Thread: loop thread only; the database has its own.  Spec: docs/protocols/dht.md, "On disk"
#pragma once

#include <stddef.h>

#include "base/attr.h"
#include "base/err.h"
#include "dht/dht.h"
#include "store/db.h"

/** Step 1 of the schema: the tables dht_record and dht_provider. One of the steps of the database's pg_db_schema. */
extern const char *const pg_dht_keep_schema_1;

typedef struct pg_dht_keep pg_dht_keep;

/** Load what is on disk into the stores of a DHT, then write what changes in them. What is on disk and does not hold any more
 *  (expired, refused by a validator or by the limits) goes from there too. Parks: yes.
 *  dht   its realm names the rows; has no other keep
 *  db    outlives the keep
 *  Errors: PG_ERR_NOMEM, and those of pg_db_read. */
PG_NODISCARD pg_err pg_dht_keep_open(pg_dht *dht, pg_db *db, pg_dht_keep **out_keep);

/** Return how many entries were loaded. */
size_t pg_dht_keep_loaded(const pg_dht_keep *keep);

/** Write all changes now. Parks: yes. Errors: those of pg_db_write; what is not written then is tried again. */
PG_NODISCARD pg_err pg_dht_keep_flush(pg_dht_keep *keep);

/** Write a last time, free, and set *keep to NULL; before the DHT is freed. NULL is fine. Parks: yes. */
void pg_dht_keep_close(pg_dht_keep **keep);
