// SPDX-License-Identifier: Apache-2.0
// What becomes of puts, gets and pins that were given an id: how far they have come, how they ended. Kept for a while after the end, for a
// client whose connection broke.
//
// Layer: api.  Thread: loop thread only.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <json-c/json_object.h>

#include "api/limits.h"
#include "base/attr.h"
#include "base/err.h"
#include "base/map.h"
#include "base/str.h"
#include "files/service.h"
#include "runtime/time.h"

typedef enum pg_transfer_kind {
    PG_TRANSFER_KIND_PUT,
    PG_TRANSFER_KIND_GET,
    PG_TRANSFER_KIND_PIN,
    PG_TRANSFER_KIND_COUNT,
} pg_transfer_kind;

typedef enum pg_transfer_state {
    PG_TRANSFER_STATE_RUNNING,
    PG_TRANSFER_STATE_DONE,
    PG_TRANSFER_STATE_FAILED,
    PG_TRANSFER_STATE_COUNT,
} pg_transfer_state;

/** One transfer. */
typedef struct pg_transfer {
    char id[PG_API_TRANSFER_ID_CHARS_MAX + 1];
    pg_transfer_kind kind;
    pg_transfer_state state;
    pg_transfer_progress progress;
    pg_err problem; // of a failed one
    char *detail;   // of the problem; NULL = its plain text
    bool has_report;
    pg_get_report report;
    pg_time ended_at;
    pg_time told_at; // the last event
} pg_transfer;

/** All of them; the all-zero value is an empty table. */
typedef struct pg_transfers {
    pg_map map;
} pg_transfers;

/** Check an id that a client chose: 8 to 64 of 0-9, a-z, A-Z, '_' and '-'. Errors: PG_ERR_INVALID. */
PG_NODISCARD pg_err pg_transfer_id_check(pg_str id);

/** Begin one. It stays where it is until it has ended. An ended one with the same id is forgotten, as are the oldest ended ones where there is no
 *  room. Errors: PG_ERR_EXISTS (one with this id runs), PG_ERR_BUSY (PG_API_TRANSFERS_MAX run), PG_ERR_NOMEM. */
PG_NODISCARD pg_err pg_transfers_begin(pg_transfers *transfers, const char *id,
                                       pg_transfer_kind kind, pg_time now,
                                       pg_transfer **out_transfer);

/** Take over how far it has come. Returns true when it is time to tell: at most once in PG_API_TRANSFER_EVENT_MS. */
bool pg_transfer_go_on(pg_transfer *transfer, const pg_transfer_progress *progress, pg_time now);

/** End it: with PG_OK, or with a problem whose detail is copied. `report` may be NULL. */
void pg_transfer_end(pg_transfer *transfer, pg_err err, const char *detail,
                     const pg_get_report *report, pg_time now);

/** Find one that runs, or ended no longer than PG_API_TRANSFER_KEEP_MS ago; NULL = there is none. Borrowed until the next begin. */
const pg_transfer *pg_transfers_find(pg_transfers *transfers, const char *id, pg_time now);

/** Call `each` with all that run, and with those that ended no longer than PG_API_TRANSFER_KEEP_MS ago; it may not begin one. */
void pg_transfers_each(pg_transfers *transfers, pg_time now,
                       void (*each)(const pg_transfer *transfer, void *user), void *user);

/** Return how many run. */
uint64_t pg_transfers_running(const pg_transfers *transfers);

/** Make its JSON object, as GET /api/v1/transfers/{id} gives it. Owned by the caller. */
json_object *pg_transfer_document(const pg_transfer *transfer);

/** Forget all; none may run. */
void pg_transfers_deinit(pg_transfers *transfers);
