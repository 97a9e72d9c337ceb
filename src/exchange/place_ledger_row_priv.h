// SPDX-License-Identifier: Apache-2.0
// Rows of the ledger's tables, in and out of statements.
//
// Layer: exchange, private.  Thread: the database's.
#pragma once

#include <string.h>

#include "exchange/place_ledger_priv.h"
#include "store/stmt.h"

/** The columns that pg_ledger_lease_take reads, in its order. */
#define PG_LEDGER_LEASE_COLUMNS                                                                    \
    "id, is_whole, root, slots, sequence, grant_sequence, expiry_s, expiry_max_s, uploader"
#define PG_LEDGER_LEASE_COLUMN_COUNT 9

/** A lease with its key. */
typedef struct pg_ledger_keyed {
    pg_ledger_lease lease;
    pg_ledger_key key;
} pg_ledger_keyed;

/** Bind lease key and descriptor as ?1 and ?2. */
void pg_ledger_key_bind(pg_stmt *stmt, const pg_ledger_key *key);

/** Read the name of a block. Errors: PG_ERR_CORRUPT. */
PG_NODISCARD pg_err pg_ledger_name_take(pg_bytes blob, pg_held_name *out_name);

/** Read a lease from the present row. Errors: PG_ERR_CORRUPT. */
PG_NODISCARD pg_err pg_ledger_lease_take(pg_stmt *stmt, pg_ledger_lease *out_lease);

/** Append the rows of a statement to `out`, pg_ledger_keyed[]: the columns of a lease, then descriptor and lease key. */
PG_NODISCARD pg_err pg_ledger_keyed_collect(pg_stmt *stmt, pg_buf *out);

/** Look a lease up, inside a transaction. */
PG_NODISCARD pg_err pg_ledger_state_read(pg_db_conn *conn, const pg_ledger_key *key,
                                         pg_ledger_state *out_state);
