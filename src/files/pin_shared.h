// SPDX-License-Identifier: Apache-2.0
// Which files the person has pinned, on whatever device: what the catalogue among the hosts says of pins, so that a node which was restored
// from the secret knows them. What is kept on this node is told by pin_rows.h; the two are written together.
//
//      pinned --the last device lets go--> not pinned (remembered for PG_REMOVED_TTL_S) --a device pins it, or still has it--> pinned
//
// Layer: files, private.  Thread: the database's.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/bytes.h"
#include "base/err.h"
#include "files/service.h"
#include "files/snapshot.h"
#include "store/stmt.h"

/** Note that a file is pinned here; one that stands as pinned is left. Errors of the database. */
PG_NODISCARD pg_err pg_pin_shared_note(pg_db_conn *conn, const pg_pin *pin, int64_t now_ms);

/** Note that a file is not pinned here any more. Errors of the database. */
PG_NODISCARD pg_err pg_pin_shared_drop(pg_db_conn *conn, const pg_cid *root, int64_t now_ms);

/** Take in what another device says of a pin, where that is newer. What is pinned here stays so, whatever the other says.
 *  is_adopted   a file that is pinned there is a pin of this node from now on, of which nothing is here
 *  out_is_new   anything changed
 *  Errors of the database. */
PG_NODISCARD pg_err pg_pin_shared_take(pg_db_conn *conn, const pg_snapshot_pin *pin,
                                       bool is_adopted, bool *out_is_new);

/** Forget those that were let go of before `since_ms`. Errors of the database. */
PG_NODISCARD pg_err pg_pin_shared_forget(pg_db_conn *conn, uint64_t since_ms);

/** Tell whether there is anything to tell of pins. Errors of the database. */
PG_NODISCARD pg_err pg_pin_shared_any(pg_db_conn *conn, bool *out_any);

/** Append the records of pins to a part of a snapshot, in the order of their roots, until it has `bytes` bytes.
 *  last      root of the last one: it goes on behind it; len 0 = begin
 *  out_end   there are no more
 *  Errors of the database, of pg_snapshot_pin_add. */
PG_NODISCARD pg_err pg_pin_shared_page(pg_db_conn *conn, pg_cid *last, size_t bytes, pg_buf *out,
                                       bool *out_end);
