// SPDX-License-Identifier: Apache-2.0
// What telemetry remembers over restarts, in the node's sealed database: what was agreed to, the tag of the week, when the next document is due,
// and the last documents that were sent, byte for byte.
//
// Layer: api, private.  Thread: loop thread only; all calls park while the database works.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "api/telemetry_document.h"
#include "base/attr.h"
#include "base/err.h"
#include "base/str.h"
#include "store/db.h"

/** The one row of state. All-zero: nobody agreed to anything. */
typedef struct pg_telemetry_state {
    char consent[PG_TELEMETRY_LIST_ID_CHARS + 1]; // id of the list; empty = none
    uint64_t consent_s;                           // when, wall clock
    uint8_t tag[PG_TELEMETRY_TAG_BYTES];
    uint64_t tag_s; // when it was drawn; 0 = there is none
    uint64_t next_s;
} pg_telemetry_state;

/** What became of a document. */
typedef enum pg_telemetry_result {
    PG_TELEMETRY_RESULT_UNKNOWN, // under way, or the node ended meanwhile
    PG_TELEMETRY_RESULT_TAKEN,
    PG_TELEMETRY_RESULT_NOT_TAKEN,
    PG_TELEMETRY_RESULT_COUNT,
} pg_telemetry_result;

/** A document that was sent. */
typedef struct pg_telemetry_sent {
    uint64_t time_s;
    pg_telemetry_result result;
    uint64_t tries;
    pg_str url; // these two borrowed for the call
    pg_str document;
} pg_telemetry_sent;

/** Read the state; *out_state is all-zero where there is none. Errors: PG_ERR_CORRUPT, of the database. */
PG_NODISCARD pg_err pg_telemetry_rows_load(pg_db *db, pg_telemetry_state *out_state);

/** Write the state. Errors of the database. */
PG_NODISCARD pg_err pg_telemetry_rows_save(pg_db *db, const pg_telemetry_state *state);

/** Enter a document before it is sent, with the state; the oldest beyond PG_API_TELEMETRY_KEPT_MAX go. Errors of the database. */
PG_NODISCARD pg_err pg_telemetry_rows_begin(pg_db *db, const pg_telemetry_state *state,
                                            const pg_telemetry_sent *sent, int64_t *out_id);

/** Enter what became of it. Errors of the database. */
PG_NODISCARD pg_err pg_telemetry_rows_end(pg_db *db, int64_t id, pg_telemetry_result result,
                                          uint64_t tries);

/** Call `each` for every document that is kept, the newest first. Called on the database's thread: it only collects. Errors: PG_ERR_CORRUPT, those
 *  of `each`, of the database. */
PG_NODISCARD pg_err pg_telemetry_rows_each(
    pg_db *db, pg_err (*each)(const pg_telemetry_sent *sent, void *user), void *user);
