// SPDX-License-Identifier: Apache-2.0
// From a snapshot of another device into the catalogue, part by part, each part in one transaction. It is a union: what is taken in twice
// changes nothing, and what was taken in before a crash, or before the hosts of the rest were gone, is true by itself; whoever takes the
// snapshot in again goes on. So a snapshot of any length needs no transaction of its length. Whoever wants none of one that is damaged decodes
// all of it before (snapshot.h).
//
// Layer: files, private.  Thread: loop thread only; all calls with a database park while it works.  Spec: docs/protocols/catalogue.md
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/bytes.h"
#include "base/err.h"
#include "files/snapshot.h"
#include "store/stmt.h"

/** A snapshot on its way in. Holds keys, and heap memory: end it with pg_import_deinit. */
typedef struct pg_import {
    pg_snapshot_decoder decoder;
    pg_snapshot_visitor visitor;
    bool is_adopting; // what is pinned there is a pin of this node from now on
    bool has_pins;    // something is pinned there
    uint64_t changed; // files that are new here, changed or removed, pins likewise
    // Of the file at hand.
    pg_db_conn *conn; // in a transaction
    int64_t file;     // its number; 0 = it was removed here, and stays so
    bool is_known;
    bool is_changed;
    uint32_t extents_left;
    pg_file_state state; // of a new one
} pg_import;

/** Begin. `self` must not move. */
void pg_import_init(pg_import *self, bool is_adopting);

/** Take in a part, of any length: whole records of it, each whole or not at all. A file that is new comes in, unless it was removed here; of one
 *  that is here, what is newer of its extents; one that was removed there goes; pins as pg_pin_shared_take says. Others who move or drop
 *  extents are kept out by the caller (pg_files_lock). Errors of the database, of pg_snapshot_decode. */
PG_NODISCARD pg_err pg_import_part(pg_import *self, pg_db *db, pg_bytes part);

/** Tell that no more comes. Errors: PG_ERR_TRUNCATED. */
PG_NODISCARD pg_err pg_import_end(const pg_import *self);

/** Wipe and free. */
void pg_import_deinit(pg_import *self);
