// SPDX-License-Identifier: Apache-2.0
// The health book on disk: a row a peer, and the newest pieces of evidence.
//
// Layer: health, private.  Thread: loop thread only; all calls park while the database works.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/err.h"
#include "crypto/peer_id.h"
#include "health/health.h"
#include "health/history.h"
#include "health/score.h"
#include "store/db.h"

/** A peer as it stands in the database. */
typedef struct pg_health_row {
    pg_peer_id peer;
    pg_health_history history;
    pg_health_judgement judgement;
} pg_health_row;

/** A piece of evidence on its way to the database. Owns its proof. */
typedef struct pg_health_clue {
    pg_peer_id peer;
    uint64_t time_s;
    pg_health_kind kind;
    pg_health_state state;
    pg_health_reason reason;
    double score;
    pg_buf proof;
} pg_health_clue;

/** Read all peers, the longest known first; *out_rows is the caller's. Errors: PG_ERR_CORRUPT, PG_ERR_NOMEM, of the database. */
PG_NODISCARD pg_err pg_health_rows_load(pg_db *db, pg_health_row **out_rows, size_t *out_count);

/** What is to be written. */
typedef struct pg_health_changes {
    const pg_health_row *rows; // [row_count]
    size_t row_count;
    const pg_health_clue *clues; // [clue_count]
    size_t clue_count;
    const pg_peer_id *gone; // [gone_count]: forgotten, with their evidence
    size_t gone_count;
} pg_health_changes;

/** Write all of it in one transaction. Errors of the database. */
PG_NODISCARD pg_err pg_health_rows_save(pg_db *db, const pg_health_changes *changes);

/** Read the evidence of one peer, the newest first, at most PG_HEALTH_EVIDENCE_MAX.
 *  out_clues   out_clues[PG_HEALTH_EVIDENCE_MAX]; the caller ends each proof. Errors of the database. */
PG_NODISCARD pg_err pg_health_rows_clues(pg_db *db, const pg_peer_id *peer,
                                         pg_health_clue *out_clues, size_t *out_count);
