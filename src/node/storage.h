// SPDX-License-Identifier: Apache-2.0
// What a node keeps and gives: block store, sealed database, exchange of blocks, ledger of leases, files. Builds them in order over a data
// directory and a host, and takes them down in reverse.
//
// Layer: node.  Thread: loop thread only.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/err.h"
#include "crypto/keystore.h"
#include "dht/pair.h"
#include "exchange/bitswap.h"
#include "exchange/place_server.h"
#include "files/guard.h"
#include "files/service.h"
#include "files/vault.h"
#include "health/health.h"
#include "net/host.h"
#include "node/config.h"
#include "node/losses.h"
#include "store/blocks.h"
#include "store/db.h"
#include "store/s3.h"

/** The parts, each NULL until it is there. All-zero to begin. */
typedef struct pg_storage {
    pg_block_store *blocks;
    pg_db *db;
    pg_health *health;
    pg_bitswap *bitswap;
    pg_files *files;
    pg_place_server *place;
    pg_losses *losses;
    bool is_copying; // the database
    pg_guard *guard;
    pg_s3 *s3;       // NULL: no archive is configured
    pg_vault *vault; // likewise
} pg_storage;

/** What it stands on; all outlive it. */
typedef struct pg_storage_parts {
    pg_host *host;
    const pg_dht_pair *dhts; // may get its members later, or never; NULL = none
    const pg_keystore *identity;
    bool is_restored;          // the identity was made from its secret
    const pg_objects *objects; // of the archive, in the place of S3, for tests; NULL: as configured
} pg_storage_parts;

/** Open what is on the disk, make it at the first time, and serve it. After a failure end what was begun with pg_storage_close.
 *  data      the data directory, which is open
 *  Parks: yes. Errors: those of the parts; the detail names the part. */
PG_NODISCARD pg_err pg_storage_open(pg_storage *storage, const char *data,
                                    const pg_storage_parts *parts, const pg_config *config);

/** Open block store and database, those that are there, for somebody who only looks: nothing is made, no schema changes, nothing is
 *  served. End it with pg_storage_close, also after a failure. The directory is open (node/data.h). Parks: yes.
 *  Errors: as pg_block_store_open and pg_db_open; what was opened before stays open. */
PG_NODISCARD pg_err pg_storage_inspect(pg_storage *storage, const char *data,
                                       const pg_keystore *identity, const pg_config *config);

/** The same for the database alone. */
PG_NODISCARD pg_err pg_storage_inspect_database(pg_storage *storage, const char *data,
                                                const pg_keystore *identity);

/** Copy the database, sealed under its key, to a file of the directory, in the place of one that a crash left there. The caller removes it.
 *  out_path   appended to, with a NUL that is not counted
 *  Errors: PG_ERR_BUSY (another copy is being made), PG_ERR_NOT_FOUND (there is no database), as pg_db_backup. Parks: yes. */
PG_NODISCARD pg_err pg_storage_copy_database(pg_storage *storage, const char *data,
                                             const pg_keystore *identity, pg_buf *out_path);

/** Put the newest copy from before an upgrade that this program can read in the place of a database that it cannot. Parks: yes.
 *  out_from, out_to   versions
 *  Errors: PG_ERR_NOT_FOUND (no such copy, or no database), PG_ERR_EXISTS (the database is not newer than this program), as pg_db_go_back. */
PG_NODISCARD pg_err pg_storage_downgrade(const char *data, const pg_keystore *identity,
                                         uint32_t *out_from, uint32_t *out_to);

/** Return the version of the database's schema that this program writes. */
uint32_t pg_storage_schema_version(void);

/** Take over what of the configuration may change at run time. */
void pg_storage_reload(pg_storage *storage, const pg_config *config);

/** Begin to ping those we deal with: hosts of what was put here, and those whose leases are held here. Errors: PG_ERR_NOMEM. */
PG_NODISCARD pg_err pg_storage_watch(pg_storage *storage, const pg_storage_parts *parts,
                                     const pg_config *config);

/** End all of it; the host serves no streams any more. Parks: yes. */
void pg_storage_close(pg_storage *storage);
